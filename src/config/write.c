/* SPDX-License-Identifier: Apache-2.0 */
#include "config_internal.h"

#include <varve/file.h>

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static const char rules_text[] =
    "\n"
    "; Rules move files; without any, files move only when somebody asks (varve archive, release,\n"
    "; recall). Try them with `varve policy check` and `varve policy run --dry-run`.\n"
    ";\n"
    ";[rule cool]\n"
    ";from  = ssd\n"
    ";to    = hdd\n"
    ";where = age(atime) > days(7) and heat < 0.5\n"
    ";order = heat\n"
    ";\n"
    ";[rule archive]\n"
    ";from  = hdd\n"
    ";to    = optical\n"
    ";where = age(mtime) > days(30) and heat < 0.1 and size >= kib(64)\n"
    ";keep_together = dir        ; files of one directory stay on one disc where they fit\n"
    ";window = 22:00-06:00\n"
    ";\n"
    ";[rule release]\n"
    ";from  = premigrated\n"
    ";to    = migrated\n"
    ";when  = usage(hdd) > 85%\n"
    ";where = age(atime) > days(90) and not pinned\n";

static void
write_archive(const struct varve_config_init *options, struct varve_buffer *ret)
{
    unsigned data = options->data_discs, parity = options->parity_discs;
    if (data == 0) {
        data = 4;
        parity = 2;
    }
    varve_buffer_text(ret, "; varve.conf: see varve.conf(5). `varve policy check` reads it "
                           "without changing anything.\n\n[archive]\n");
    if (options->name != NULL)
        varve_buffer_printf(ret, "name = %s\n", options->name);
    varve_buffer_printf(
        ret,
        "set = %u+%u                 ; data + parity discs: any %u of a set may be lost\n"
        "seal_after = 7d           ; a set that is not full is burned after this time\n"
        "heat_half_life = 30d      ; a file not opened for this long is half as hot\n"
        "policy_interval = 1h      ; how often rules are looked at\n"
        ";head = 256K              ; of files on discs so many first bytes stay on ssd\n"
        ";recall = again           ; readers of the rest get EAGAIN; default: they wait for it\n"
        ";scan_commands = updatedb ; reading by these heats no file\n",
        data, parity, parity);
}

static void
write_tier(const char *kind, const char *path, struct varve_buffer *ret)
{
    if (path != NULL && path[0] == 0)
        return;
    varve_buffer_printf(ret,
                        "\n[tier %s]\n"
                        "path = %s\n"
                        "high = 90%%                ; above it, rules from this tier run at once\n"
                        "low  = 80%%                ; until it is down to this\n",
                        kind, path != NULL ? path : kind);
}

static void
write_scsi_library(const struct varve_config_init *options, struct varve_buffer *ret)
{
    varve_buffer_printf(ret, "\n[library main]\nkind = scsi\nchanger = %s\n", options->changer);
    for (size_t i = 0; i < options->drive_count; i++)
        varve_buffer_printf(ret, "drive = %s\n", options->drives[i]);
    if (options->media_bytes > 0)
        varve_buffer_printf(ret, "media = %" PRIu64 "\n", options->media_bytes);
}

static void
write_library(const struct varve_config_init *options, struct varve_buffer *ret)
{
    if (options->changer != NULL)
        write_scsi_library(options, ret);
    if (options->library_path == NULL)
        return;
    varve_buffer_printf(ret, "\n[library main]\nkind = virtual\npath = %s\n",
                        options->library_path);
    if (options->media_bytes > 0)
        varve_buffer_printf(ret, "media = %" PRIu64 "\n", options->media_bytes);
}

static bool
same_path(const char *got, const char *wanted)
{
    return got[0] == '/' && wanted[0] != '/' ? strcmp(got + strlen("/x/"), wanted) == 0
                                             : strcmp(got, wanted) == 0;
}

static bool
same_devices(const struct varve_config *got, const struct varve_config_init *wanted)
{
    if (got->library_count != 1 || got->libraries[0].kind != VARVE_LIBRARY_SCSI)
        return false;
    const struct varve_config_library *library = &got->libraries[0];
    bool same = strcmp(library->changer, wanted->changer) == 0 &&
                library->drives.count == wanted->drive_count;
    for (size_t i = 0; same && i < wanted->drive_count; i++)
        same = strcmp(library->drives.words[i], wanted->drives[i]) == 0;
    return same;
}

/* A value with a newline, a comment sign or blanks at its ends would come back as something else:
 * read what was written before anyone relies on it. */
static bool
check_written(const struct varve_buffer *text, const struct varve_config_init *options,
              struct varve_error *err)
{
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    if (!varve_config_parse(varve_buffer_string(text), text->size, VARVE_CONFIG_FILE, "/x", &config,
                            err))
        return false;
    const char *bad = NULL;
    if (options->name != NULL && strcmp(config->name, options->name) != 0)
        bad = options->name;
    for (size_t i = 0; i < config->tier_count; i++) {
        const char *wanted = strcmp(config->tiers[i].section, "tier ssd") == 0 ? options->ssd_path
                                                                               : options->hdd_path;
        if (wanted != NULL && !same_path(config->tiers[i].path, wanted))
            bad = wanted;
    }
    if (options->library_path != NULL &&
        (config->library_count != 1 ||
         !same_path(config->libraries[0].path, options->library_path)))
        bad = options->library_path;
    if (options->changer != NULL && !same_devices(config, options))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "the names of the devices cannot be written into a configuration");
    if (bad != NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "'%s' cannot be written into a configuration", bad);
    return true;
}

bool
varve_config_write(const char *path, const struct varve_config_init *options,
                   struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    write_archive(options, &text);
    write_tier("ssd", options->ssd_path, &text);
    write_tier("hdd", options->hdd_path, &text);
    write_library(options, &text);
    varve_buffer_text(&text, rules_text);
    if (!varve_buffer_ok(&text, err) || !check_written(&text, options, err))
        return varve_error_wrap(err, "write '%s'", path);
    struct stat st;
    if (lstat(path, &st) == 0)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0, "'%s' is there already", path);
    return varve_file_replace(path, text.data, text.size, err);
}
