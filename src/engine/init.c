/* SPDX-License-Identifier: Apache-2.0 */
/* `varve init`: the folder of a new archive. */
#include "engine_internal.h"

#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

/* Catalog and its first settings; also for a rebuild, which knows the UUID from the discs. */
bool
catalog_make(const char *path, const char *name, const struct varve_uuid *uuid,
             struct varve_clock *clock, struct varve_error *err)
{
    char text[VARVE_UUID_TEXT_BYTES];
    VARVE_CLEANUP(varve_catalog_close) struct varve_catalog *catalog = NULL;
    varve_uuid_format(uuid, text);
    return varve_catalog_create(path, getuid(), getgid(), clock, err) &&
           varve_catalog_open(path, clock, &catalog, err) &&
           varve_catalog_setting_put(catalog, "archive.uuid", text, err) &&
           varve_catalog_setting_put(catalog, "archive.name", name, err) &&
           varve_catalog_sync(catalog, err);
}

static bool
refuse_existing(const char *path, struct varve_error *err)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0,
                               "'%s' exists: this is an archive already", path);
    return true;
}

/* Tiers that init names itself are made; those given must be there: a path that is not mounted is a
 * mistake. */
static bool
make_tier(const char *dir, const char *given, const char *standard, struct varve_error *err)
{
    struct stat st;
    if (given == NULL) {
        VARVE_CLEANUP_FREE char *path = varve_file_join(dir, standard);
        return path != NULL ? varve_file_make_dirs(path, 0700, err)
                            : varve_error_set(err, VARVE_ERROR_NOMEM, 0, "make tier");
    }
    if (given[0] == 0)
        return true;
    if (stat(given, &st) != 0) {
        varve_error_system(err, errno, "tier %s: '%s'", standard, given);
        return varve_error_hint(err, "make the directory first, or mount what belongs there");
    }
    return S_ISDIR(st.st_mode) ||
           varve_error_set(err, VARVE_ERROR_INVALID, ENOTDIR, "tier %s: '%s'", standard, given);
}

static bool
check_tier(const char *given, const char *standard, struct varve_error *err)
{
    return given == NULL || make_tier("", given, standard, err);
}

static bool
write_config(const struct varve_init_options *options, const char *name, const char *path,
             struct varve_error *err)
{
    const struct varve_config_init config = {
        .name = name,
        .ssd_path = options->ssd,
        .hdd_path = options->hdd,
        .library_path = options->library != NULL && options->changer == NULL ? "library" : NULL,
        .changer = options->changer,
        .drives = options->drive_places,
        .drive_count = options->drive_place_count,
        .media_bytes = options->library != NULL ? options->disc_bytes : 0,
        .data_discs = options->data_discs,
        .parity_discs = options->parity_discs,
    };
    return varve_config_write(path, &config, err);
}

bool
varve_engine_init(const struct varve_init_options *options, struct varve_clock *clock,
                  struct varve_random *random, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *config = varve_file_join(options->dir, VARVE_CONFIG_FILE);
    VARVE_CLEANUP_FREE char *catalog = varve_file_join(options->dir, "catalog.sqlite");
    VARVE_CLEANUP_FREE char *copy = strdup(options->dir);
    if (config == NULL || catalog == NULL || copy == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "init");
    if (!refuse_existing(config, err) || !refuse_existing(catalog, err) ||
        !check_tier(options->ssd, "ssd", err) || !check_tier(options->hdd, "hdd", err) ||
        !varve_file_make_dirs(options->dir, 0755, err))
        return false;
    const char *name = options->name != NULL ? options->name : basename(copy);
    const struct varve_uuid uuid = varve_uuid_new(random);
    /* The configuration comes last: without it the folder is no archive yet. */
    if (!make_tier(options->dir, options->ssd, "ssd", err) ||
        !make_tier(options->dir, options->hdd, "hdd", err) ||
        !catalog_make(catalog, name, &uuid, clock, err))
        return false;
    if (write_config(options, name, config, err))
        return true;
    (void)unlink(catalog); /* made a moment ago, holds nothing */
    return false;
}
