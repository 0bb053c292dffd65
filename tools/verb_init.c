/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#include <string.h>
#include <varve/config.h>
#include <varve/file.h>
#include <varve/ports.h>
#include <varve/text.h>
#include <varve/virtual.h>

#include "client.h"
#include "json.h"

enum { SLOTS_DEFAULT = 24, SLOTS_MAX = 20000, DRIVES_DEFAULT = 2, DRIVES_MAX = 64, MAIL_SLOTS = 2 };
static const char media_default[] = "bd-r-25";
#define MEDIA_BYTES_MIN (UINT64_C(4) << 20)

/* What was asked for, checked as far as that goes without touching anything. */
struct plan {
    struct varve_init_options options;
    bool has_library;      /* a virtual one, to be made */
    const char **drives;   /* of a SCSI library */
    char *dir, *ssd, *hdd; /* absolute where they exist; NULL: not said, or not there */
};

static void
plan_done(struct plan *plan)
{
    free(plan->dir);
    free(plan->ssd);
    free(plan->hdd);
    free(plan->drives);
}

/* What is relative on the command line counts from the current directory; in varve.conf it would
 * count from the archive. "none" is no such tier. */
static const char *
resolve_tier(const char *given, char **ret_whole)
{
    if (given == NULL)
        return NULL;
    if (strcmp(given, "none") == 0)
        return "";
    *ret_whole = realpath(given, NULL);
    return *ret_whole != NULL ? *ret_whole : given; /* missing: the engine says so */
}

static bool
parse_count(const struct args *args, const char *name, unsigned max, unsigned *value,
            struct varve_error *err)
{
    const char *text = args_value(args, name);
    uint64_t number = 0;
    if (text == NULL)
        return true;
    if (!varve_text_parse_number(text, max, &number, err))
        return varve_error_wrap(err, "--%s", name);
    if (number == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "--%s: at least 1 is wanted", name);
    *value = (unsigned)number;
    return true;
}

/* The devices are not asked: the archive may be made before they are there. */
static bool
parse_scsi(const struct args *args, struct plan *plan, struct varve_error *err)
{
    struct varve_init_options *options = &plan->options;
    options->changer = args_value(args, "changer");
    plan->drives = calloc(args->use_count + 1, sizeof *plan->drives);
    if (plan->drives == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list of drives");
    for (size_t i = 0; i < args->use_count; i++) {
        if (strcmp(args->uses[i].name, "drive") == 0)
            plan->drives[options->drive_place_count++] = args->uses[i].value;
    }
    options->drive_places = plan->drives;
    if (options->changer == NULL || options->drive_place_count == 0) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0,
                        "--library scsi needs --changer and at least one --drive");
        return varve_error_hint(err, "as in --changer /dev/sg4 --drive /dev/sg2 --drive /dev/sg3");
    }
    bool known = varve_port_is_place(options->changer);
    for (size_t i = 0; known && i < options->drive_place_count; i++)
        known = varve_port_is_place(options->drive_places[i]);
    if (known)
        return true;
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "--changer or --drive names no device");
    return varve_error_hint(err, "known are /dev/..., serial:TEXT and "
                                 "iscsi://[user[%%password]@]host[:port]/target/lun");
}

static bool
refuse_devices(const struct args *args, struct varve_error *err)
{
    if (args_value(args, "changer") == NULL && args_value(args, "drive") == NULL)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                           "--changer and --drive belong to --library scsi");
}

static bool
parse_library(const struct args *args, struct plan *plan, struct varve_error *err)
{
    const char *kind = args_value(args, "library");
    if (kind != NULL && strcmp(kind, "scsi") == 0)
        return parse_scsi(args, plan, err);
    plan->has_library = kind == NULL || strcmp(kind, "virtual") == 0;
    if (plan->has_library || strcmp(kind, "none") == 0)
        return refuse_devices(args, err);
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "--library: unknown kind '%s'", kind);
    return varve_error_hint(err, "use --library virtual, scsi or none");
}

static bool
parse_media(const struct args *args, struct plan *plan, struct varve_error *err)
{
    const char *media = args_value(args, "media");
    uint64_t bytes = 0;
    if (media == NULL && plan->options.changer != NULL)
        return true; /* the discs say it */
    if (!media_parse(media != NULL ? media : media_default, &bytes, err))
        return varve_error_wrap(err, "--media");
    /* A size that people write (700MB) is cut to what a disc can have: whole clusters. */
    bytes -= bytes % VARVE_CLUSTER_BYTES;
    if (bytes < MEDIA_BYTES_MIN)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "--media: '%s' is too small: 4 MiB is the least", media);
    plan->options.disc_bytes = bytes;
    return true;
}

static bool
parse_set(const struct args *args, struct plan *plan, struct varve_error *err)
{
    const char *set = args_value(args, "set");
    if (set != NULL &&
        !varve_config_parse_set(set, &plan->options.data_discs, &plan->options.parity_discs, err))
        return varve_error_wrap(err, "--set");
    unsigned discs = plan->options.data_discs + plan->options.parity_discs;
    if (!plan->has_library || discs <= plan->options.slots)
        return true;
    varve_error_set(
        err, VARVE_ERROR_INVALID, 0, "a set of %u+%u needs %u discs, but the library has %u slots",
        plan->options.data_discs, plan->options.parity_discs, discs, plan->options.slots);
    return varve_error_hint(err, "use a smaller --set or more --slots");
}

static bool
check_tiers(const struct plan *plan, struct varve_error *err)
{
    const char *ssd = plan->options.ssd, *hdd = plan->options.hdd;
    bool none = ssd != NULL && ssd[0] == 0 && hdd != NULL && hdd[0] == 0;
    return !none || varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                    "--ssd none and --hdd none: files need a place");
}

static bool
make_plan(const struct args *args, struct plan *plan, struct varve_error *err)
{
    *plan = (struct plan){.options = {.dir = args->words[0], /* replaced below if it exists */
                                      .name = args_value(args, "name"),
                                      .slots = SLOTS_DEFAULT,
                                      .drives = DRIVES_DEFAULT,
                                      .data_discs = 4,
                                      .parity_discs = 2}};
    plan->dir = realpath(args->words[0], NULL);
    if (plan->dir != NULL)
        plan->options.dir = plan->dir; /* "." has no name that an archive could have */
    plan->options.ssd = resolve_tier(args_value(args, "ssd"), &plan->ssd);
    plan->options.hdd = resolve_tier(args_value(args, "hdd"), &plan->hdd);
    return check_tiers(plan, err) && parse_library(args, plan, err) &&
           parse_media(args, plan, err) &&
           parse_count(args, "slots", SLOTS_MAX, &plan->options.slots, err) &&
           parse_count(args, "drives", DRIVES_MAX, &plan->options.drives, err) &&
           parse_set(args, plan, err);
}

static bool
make_library(const struct plan *plan, struct varve_error *err)
{
    const struct varve_init_options *options = &plan->options;
    VARVE_CLEANUP_FREE char *dir = varve_file_join(options->dir, "library");
    const struct varve_virtual_options made = {.slots = options->slots,
                                               .drives = options->drives,
                                               .mail_slots = MAIL_SLOTS,
                                               .disc_bytes = options->disc_bytes};
    if (dir == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "make the library");
    if (varve_virtual_create(dir, &made, err))
        return true;
    varve_error_wrap(err, "make the library");
    return varve_error_hint(err, "the rest of '%s' is made; remove it and begin again",
                            options->dir);
}

/* Before the engine makes anything, so that a refusal changes nothing. */
static bool
check_no_library(const struct plan *plan, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *dir = varve_file_join(plan->options.dir, "library");
    if (dir == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "make the library");
    return is_archive(plan->options.dir) /* refused for what it is, by the engine */ ||
           access(dir, F_OK) != 0 ||
           varve_error_set(err, VARVE_ERROR_EXISTS, 0, "'%s' exists already", dir);
}

static const char *
kind_of(const struct plan *plan)
{
    return plan->has_library ? "virtual" : plan->options.changer != NULL ? "scsi" : NULL;
}

static int
drive_count(const struct plan *plan)
{
    return plan->has_library ? (int)plan->options.drives : (int)plan->options.drive_place_count;
}

static bool
print_result(const struct cli *cli, const struct plan *plan, struct varve_error *err)
{
    const struct varve_init_options *options = &plan->options;
    const char *kind = kind_of(plan);
    if (cli->json)
        return cli_print_json(
            json_pack("{s:o, s:i, s:i, s:o, s:i, s:i, s:I}", "archive", json_bytes(options->dir),
                      "data_discs", (int)options->data_discs, "parity_discs",
                      (int)options->parity_discs, "library",
                      kind != NULL ? json_string(kind) : json_null(), "slots",
                      plan->has_library ? (int)options->slots : 0, "drives", drive_count(plan),
                      "disc_bytes", (json_int_t)options->disc_bytes),
            err);
    char bytes[VARVE_TEXT_BYTES];
    (void)printf("made the archive '%s': sets of %u+%u discs%s%s\n", options->dir,
                 options->data_discs, options->parity_discs, options->disc_bytes > 0 ? " of " : "",
                 options->disc_bytes > 0 ? varve_text_bytes(options->disc_bytes, bytes) : "");
    if (plan->has_library)
        (void)printf("a virtual library with %u blank discs and %u drives is in '%s/library'\n",
                     options->slots, options->drives, options->dir);
    (void)printf("its rules are in '%s/varve.conf'; next: varve mount %s MOUNTPOINT\n",
                 options->dir, options->dir);
    return true;
}

static bool
init(const struct cli *cli, const struct plan *plan, struct varve_error *err)
{
    if (plan->has_library && !check_no_library(plan, err))
        return false;
    return varve_engine_init(&plan->options, varve_clock_system(), varve_random_system(), err) &&
           (!plan->has_library || make_library(plan, err)) && print_result(cli, plan, err);
}

bool
verb_init(struct cli *cli, const struct args *args, struct varve_error *err)
{
    struct plan plan;
    bool ok = make_plan(args, &plan, err);
    if (!ok)
        cli->exit_code = EXIT_CODE_USAGE;
    plan.options.library = kind_of(&plan);
    ok = ok && init(cli, &plan, err);
    plan_done(&plan);
    return ok;
}
