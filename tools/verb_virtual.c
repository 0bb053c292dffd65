/* SPDX-License-Identifier: Apache-2.0 */
/* `varve library virtual ...`: a virtual library as a thing of its own: through the daemon that has
 * it open, or (--folder) the folder itself. */
#include "verb.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/file.h>
#include <varve/text.h>
#include <varve/virtual.h>

#include "client.h"
#include "show.h"
#include "virtual_show.h"

#define SCRIPT_BYTES_MAX (1u << 20)

/* What is done to the library: to the folder, and as a request to the daemon. */
struct act {
    const char *url;    /* last part; NULL: only look */
    const char *script; /* or: */
    const char *image, *barcode;
    const char *kind;
    uint64_t count, bytes;
    bool keep; /* offline: the script is for the next opening */
};

/* --- the folder itself --- */

static bool
append_script(const char *folder, const char *script, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(folder, VARVE_VIRTUAL_SCRIPT_FILE);
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "fault script");
    if (access(path, F_OK) == 0 && !varve_file_read(path, SCRIPT_BYTES_MAX, &text, err))
        return false;
    if (text.size > 0 && text.data[text.size - 1] != '\n')
        varve_buffer_text(&text, "\n");
    varve_buffer_text(&text, script);
    return varve_buffer_ok(&text, err) &&
           varve_virtual_script_check(varve_buffer_string(&text), text.size, err) &&
           varve_file_replace(path, text.data, text.size, err);
}

static bool
drop_script(const char *folder, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(folder, VARVE_VIRTUAL_SCRIPT_FILE);
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "fault script");
    if (unlink(path) != 0 && errno != ENOENT)
        return varve_error_system(err, errno, "remove '%s'", path);
    return true;
}

static bool
do_act(struct varve_virtual *library, const struct act *act, struct varve_error *err)
{
    struct varve_barcode name;
    if (act->script != NULL && !act->keep)
        return varve_virtual_script(library, act->script, err);
    if (act->count > 0)
        return varve_virtual_add_discs(library, act->kind, (unsigned)act->count, act->bytes, err);
    if (act->image == NULL)
        return true;
    if (!varve_barcode_make(act->barcode, &name))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.64s' is no bar code", act->barcode);
    return varve_virtual_insert(library, act->image, &name, err);
}

static bool
act_on_folder(const char *folder, const struct act *act, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP(varve_virtual_close) struct varve_virtual *library = NULL;
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    bool calms = act->url != NULL && strcmp(act->url, "calm") == 0;
    if ((act->keep && !append_script(folder, act->script, err)) ||
        (calms && !drop_script(folder, err)))
        return false;
    if (!varve_virtual_open(folder, varve_clock_system(), &library, err)) {
        if (err->kind == VARVE_ERROR_BUSY)
            return varve_error_hint(err, "the daemon that has it: --archive DIR, no --folder");
        return false;
    }
    if (!do_act(library, act, err) || !varve_virtual_describe(library, &text, err))
        return false;
    *ret = json_loadb(varve_buffer_string(&text), text.size, 0, NULL);
    return *ret != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "show the library");
}

/* --- by the daemon --- */

static json_t *
body_of(const struct act *act)
{
    if (act->script != NULL)
        return json_pack("{s:s}", "script", act->script);
    if (act->image != NULL)
        return json_pack("{s:s, s:s}", "image", act->image, "barcode", act->barcode);
    json_t *body = json_object();
    if (act->count > 0)
        (void)json_object_set_new(body, "count", json_integer((json_int_t)act->count));
    if (act->bytes > 0)
        (void)json_object_set_new(body, "bytes", json_integer((json_int_t)act->bytes));
    if (act->kind != NULL)
        (void)json_object_set_new(body, "kind", json_string(act->kind));
    return body;
}

static bool
act_by_daemon(struct cli *cli, const struct args *args, const struct act *act, json_t **ret,
              struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *ignored = NULL;
    char url[512];
    if (!session_open(cli, args, NULL, &client, err))
        return false;
    const char *name = args_value(args, "library");
    if (act->url != NULL && (!library_url(client, name, act->url, url, err) ||
                             !client_post(client, url, body_of(act), &ignored, err)))
        return false;
    return library_url(client, name, "virtual", url, err) && client_get(client, url, ret, err);
}

static bool
run(struct cli *cli, const struct args *args, const struct act *act, struct varve_error *err)
{
    VARVE_CLEANUP_JSON json_t *state = NULL;
    const char *folder = args_value(args, "folder");
    if (folder != NULL ? !act_on_folder(folder, act, &state, err)
                       : !act_by_daemon(cli, args, act, &state, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(state), err);
    return virtual_show(state, err);
}

/* --- verbs --- */

bool
verb_virtual_show(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return run(cli, args, &(struct act){0}, err);
}

/* All words make one line: "now WORD WORD ..." */
bool
verb_virtual_event(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer line = {0};
    varve_buffer_text(&line, "now");
    for (size_t i = 0; i < args->count; i++)
        varve_buffer_printf(&line, " %s", args->words[i]);
    varve_buffer_text(&line, "\n");
    if (!varve_buffer_ok(&line, err))
        return false;
    struct act act = {.url = "script", .script = varve_buffer_string(&line)};
    return run(cli, args, &act, err);
}

bool
verb_virtual_inject(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    const char *path = strcmp(args->words[0], "-") == 0 ? "/dev/stdin" : args->words[0];
    if (!varve_file_read(path, SCRIPT_BYTES_MAX, &text, err))
        return false;
    if (!varve_virtual_script_check(varve_buffer_string(&text), text.size, err))
        return varve_error_wrap(err, "'%s'", args->words[0]);
    struct act act = {.url = "script", .script = varve_buffer_string(&text), .keep = true};
    return run(cli, args, &act, err);
}

bool
verb_virtual_calm(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return run(cli, args, &(struct act){.url = "calm"}, err);
}

bool
verb_virtual_insert(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *whole = realpath(args->words[0], NULL);
    if (whole == NULL)
        return varve_error_system(err, errno, "'%s'", args->words[0]);
    struct act act = {.url = "insert", .image = whole, .barcode = args->words[1]};
    return run(cli, args, &act, err);
}

static bool
take_count(struct cli *cli, const char *name, const char *text, uint64_t max, uint64_t *ret,
           struct varve_error *err)
{
    if (text == NULL)
        return true;
    if (varve_text_parse_number(text, max, ret, err))
        return true;
    cli->exit_code = EXIT_CODE_USAGE;
    return varve_error_wrap(err, "%s", name);
}

static bool
take_media(struct cli *cli, const struct args *args, uint64_t *ret, struct varve_error *err)
{
    const char *media = args_value(args, "media");
    if (media == NULL || media_parse(media, ret, err)) {
        *ret -= *ret % VARVE_CLUSTER_BYTES;
        return true;
    }
    cli->exit_code = EXIT_CODE_USAGE;
    return varve_error_wrap(err, "--media");
}

bool
verb_virtual_add(struct cli *cli, const struct args *args, struct varve_error *err)
{
    struct act act = {.url = "blanks", .kind = args_value(args, "kind")};
    if (!take_count(cli, "count", args->words[0], USHRT_MAX, &act.count, err) ||
        !take_media(cli, args, &act.bytes, err))
        return false;
    if (act.count == 0)
        return cli_usage(cli, err, "count: at least 1 is wanted");
    return run(cli, args, &act, err);
}

/* --- making one --- */

static bool
take_timing(struct cli *cli, const struct args *args, struct varve_virtual_timing *ret,
            struct varve_error *err)
{
    uint64_t speedup = 0, column = 20;
    const char *arm = args_value(args, "arm"), *spin = args_value(args, "spin");
    varve_virtual_timing_usual(ret);
    if (!take_count(cli, "--speedup", args_value(args, "speedup"), 1000000, &speedup, err) ||
        !take_count(cli, "--column", args_value(args, "column"), USHRT_MAX, &column, err))
        return false;
    if (arm != NULL && !varve_virtual_geometry_parse(arm, &ret->geometry))
        return cli_usage(cli, err, "--arm: '%.64s' is neither carousel nor gantry", arm);
    if (spin != NULL && !varve_virtual_spin_parse(spin, &ret->spin))
        return cli_usage(cli, err, "--spin: '%.64s' is none of clv, zclv and cav", spin);
    ret->speedup = (unsigned)speedup;
    ret->column = (unsigned)column;
    return true;
}

static bool
take_counts(struct cli *cli, const struct args *args, struct varve_virtual_options *ret,
            struct varve_error *err)
{
    uint64_t slots = 24, drives = 2, mail = 2, magazine = 0;
    if (!take_count(cli, "--slots", args_value(args, "slots"), USHRT_MAX, &slots, err) ||
        !take_count(cli, "--drives", args_value(args, "drives"), USHRT_MAX, &drives, err) ||
        !take_count(cli, "--mail-slots", args_value(args, "mail-slots"), USHRT_MAX, &mail, err) ||
        !take_count(cli, "--magazine", args_value(args, "magazine"), USHRT_MAX, &magazine, err))
        return false;
    ret->slots = (unsigned)slots;
    ret->drives = (unsigned)drives;
    ret->mail_slots = (unsigned)mail;
    ret->magazine_slots = (unsigned)magazine;
    return true;
}

bool
verb_virtual_create(struct cli *cli, const struct args *args, struct varve_error *err)
{
    struct varve_virtual_timing timing;
    struct varve_virtual_options options = {
        .kind = args_value(args, "kind"),
        .barcode = args_value(args, "barcode"),
        .two_sided = args_flag(args, "two-sided"),
    };
    VARVE_CLEANUP_JSON json_t *state = NULL;
    if (!take_counts(cli, args, &options, err) ||
        !take_media(cli, args, &options.disc_bytes, err) || !take_timing(cli, args, &timing, err))
        return false;
    bool timed = args_value(args, "speedup") != NULL || args_value(args, "arm") != NULL ||
                 args_value(args, "column") != NULL || args_value(args, "spin") != NULL;
    options.timing = timed ? &timing : NULL;
    if (!varve_virtual_create(args->words[0], &options, err) ||
        !act_on_folder(args->words[0], &(struct act){0}, &state, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(state), err);
    return virtual_show(state, err);
}
