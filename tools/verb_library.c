/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#include <limits.h>
#include <string.h>
#include <varve/text.h>

#include "client.h"
#include "show.h"
#include "virtual_show.h"

static const struct column library_columns[] = {
    {"NAME", "name", show_text},
    {"KIND", "kind", show_text},
    {"CONDITION", "condition", show_text},
    {"-ABSENT", "absent", show_number},
    {"-QUARANTINED", "quarantined", show_number},
    {"-DUPLICATE", "duplicate", show_number},
    {"-UNKNOWN", "unknown", show_number},
    {"WHY", "why", show_text},
    {NULL, NULL, NULL},
};

static void
show_element_disc(struct table *table, const json_t *row, const char *key)
{
    bool absent = strstr(show_string(row, "flags"), "absent") != NULL;
    if (!json_is_true(json_object_get(row, "full")) && !absent)
        table_cell(table, "(empty)");
    else if (strcmp(show_string(row, key), "-") == 0)
        table_cell(table, "(unread)");
    else
        show_text(table, row, key);
}

static const struct column element_columns[] = {
    {"-ADDRESS", "address", show_number},
    {"WHAT", "type", show_text},
    {"DISC", "barcode", show_element_disc},
    {"-FROM", "source", show_number},
    {"EXCEPTION", "exception", show_text},
    {"FLAGS", "flags", show_text},
    {NULL, NULL, NULL},
};

bool
verb_library_list(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    return session_open(cli, args, args->count > 0 ? args->words[0] : NULL, &client, err) &&
           show_list(cli, client, "/v1/libraries", "libraries", library_columns,
                     "the archive has no library", err);
}

bool
library_url(struct client *client, const char *name, const char *act, char ret[512],
            struct varve_error *err)
{
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    if (name == NULL) {
        if (!client_get(client, "/v1/libraries", &answer, err))
            return false;
        const json_t *first = json_array_get(json_object_get(answer, "libraries"), 0);
        name = json_string_value(json_object_get(first, "name"));
        if (name == NULL)
            return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "the archive has no library");
    }
    VARVE_CLEANUP_FREE char *encoded = client_encode(name);
    if (encoded == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "talk to the daemon");
    int length = snprintf(ret, 512, "/v1/libraries/%s/%s", encoded, act);
    if (encoded[0] == 0 || length >= 512)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.64s' is no library", name);
    return true;
}

bool
verb_library_inventory(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    char url[512];
    const char *act = args_flag(args, "refresh") ? "inventory?refresh=true" : "inventory";
    return session_open(cli, args, NULL, &client, err) &&
           library_url(client, args->count > 0 ? args->words[0] : NULL, act, url, err) &&
           show_list(cli, client, url, "elements", element_columns, "nothing", err);
}

/* POSTs `body` (taken) and prints the inventory that comes back. */
static bool
act(struct cli *cli, const struct args *args, const char *name, json_t *body,
    struct varve_error *err)
{
    VARVE_CLEANUP_JSON json_t *owned = body;
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    char url[512];
    if (!session_open(cli, args, NULL, &client, err) ||
        !library_url(client, args_value(args, "library"), name, url, err) ||
        !client_post(client, url, json_incref(owned), &answer, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(answer), err);
    const json_t *labels = json_object_get(answer, "labels");
    if (json_array_size(labels) > 0) {
        (void)printf("the discs will be labelled");
        for (size_t i = 0; i < json_array_size(labels); i++)
            (void)printf(" %s", json_string_value(json_array_get(labels, i)));
        (void)printf("\n");
        return true;
    }
    return show_rows(json_object_get(answer, "elements"), element_columns, "nothing", err);
}

static bool
parse_word(struct cli *cli, const char *text, const char *what, uint64_t *ret,
           struct varve_error *err)
{
    if (varve_text_parse_number(text, USHRT_MAX, ret, err))
        return true;
    cli->exit_code = EXIT_CODE_USAGE;
    return varve_error_wrap(err, "%s", what);
}

bool
verb_library_load(struct cli *cli, const struct args *args, struct varve_error *err)
{
    uint64_t drive = 0;
    return parse_word(cli, args->words[1], "drive", &drive, err) &&
           act(cli, args, "load",
               json_pack("{s:s, s:I}", "barcode", args->words[0], "drive", (json_int_t)drive), err);
}

bool
verb_library_unload(struct cli *cli, const struct args *args, struct varve_error *err)
{
    uint64_t drive = 0;
    return parse_word(cli, args->words[0], "drive", &drive, err) &&
           act(cli, args, "unload", json_pack("{s:I}", "drive", (json_int_t)drive), err);
}

bool
verb_library_import(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return act(cli, args, "import", json_object(), err);
}

bool
verb_library_export(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return act(cli, args, "export", json_pack("{s:s}", "barcode", args->words[0]), err);
}

/* A library may also be named as the only word. */
static bool
act_on(struct cli *cli, const struct args *args, const char *name, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    char url[512];
    if (!session_open(cli, args, NULL, &client, err) ||
        !library_url(client, args->count > 0 ? args->words[0] : NULL, name, url, err) ||
        !client_post(client, url, json_object(), &answer, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(answer), err);
    return show_rows(json_object_get(answer, "elements"), element_columns, "nothing", err);
}

bool
verb_library_unlock(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return act_on(cli, args, "unlock", err);
}

bool
verb_library_resume(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return act_on(cli, args, "resume", err);
}

bool
verb_library_accept(struct cli *cli, const struct args *args, struct varve_error *err)
{
    uint64_t element = 0;
    if (strcmp(args->words[0], "all") == 0)
        return act(cli, args, "accept", json_object(), err);
    return parse_word(cli, args->words[0], "element", &element, err) &&
           act(cli, args, "accept", json_pack("{s:I}", "element", (json_int_t)element), err);
}

bool
verb_library_add_blanks(struct cli *cli, const struct args *args, struct varve_error *err)
{
    uint64_t count = 0, bytes = 0;
    const char *media = args_value(args, "media");
    if (!parse_word(cli, args->words[0], "count", &count, err))
        return false;
    if (media != NULL && !media_parse(media, &bytes, err)) {
        cli->exit_code = EXIT_CODE_USAGE;
        return varve_error_wrap(err, "--media");
    }
    json_t *body = json_pack("{s:I}", "count", (json_int_t)count);
    if (bytes != 0)
        (void)json_object_set_new(body, "bytes", json_integer((json_int_t)bytes));
    if (args_value(args, "place") != NULL)
        (void)json_object_set_new(body, "shelf", json_string(args_value(args, "place")));
    return act(cli, args, "blanks", body, err);
}
