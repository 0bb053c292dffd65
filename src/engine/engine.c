/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, starting and closing an archive. */
#include "engine_internal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

void
warning_set(struct varve_engine *engine, const char *format, ...)
{
    VARVE_LOCKED(&engine->warning_lock);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(engine->warning, sizeof engine->warning, format, args);
    va_end(args);
    engine->warning[strcspn(engine->warning, "\n")] = 0;
}

static bool
setting(struct varve_engine *engine, const char *key, char *ret, size_t size,
        struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    if (!varve_catalog_setting_get(engine->catalog, key, &value, err))
        return varve_error_wrap(err, "catalog setting '%s'", key);
    (void)snprintf(ret, size, "%s", varve_buffer_string(&value));
    return true;
}

static bool
open_catalog(struct varve_engine *engine, struct varve_error *err)
{
    char uuid[VARVE_UUID_TEXT_BYTES];
    VARVE_CLEANUP_FREE char *path = varve_file_join(engine->dir, "catalog.sqlite");
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open catalog");
    if (!varve_catalog_open(path, engine->clock, &engine->catalog, err)) {
        if (err->kind == VARVE_ERROR_NOT_FOUND)
            varve_error_hint(err, "'varve rebuild %s' makes a new catalog from the discs",
                             engine->dir);
        return false;
    }
    if (!setting(engine, "archive.uuid", uuid, sizeof uuid, err) ||
        !setting(engine, "archive.name", engine->name, sizeof engine->name, err))
        return false;
    return varve_uuid_parse(uuid, &engine->uuid) ||
           varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s': '%s' is no archive UUID", path,
                           uuid);
}

bool
tiers_open(const struct varve_config *config, struct varve_catalog *catalog,
           const struct varve_uuid *archive, struct varve_store **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_store_path *paths =
        calloc(config->tier_count + 1, sizeof *paths);
    if (paths == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open tiers");
    for (size_t i = 0; i < config->tier_count; i++) {
        paths[i].tier = config->tiers[i].tier;
        paths[i].path = config->tiers[i].path;
        if (!varve_catalog_tier_path(catalog, paths[i].tier, paths[i].path, &paths[i].path_id, err))
            return false;
    }
    return varve_store_open(paths, config->tier_count, archive, ret, err);
}

static bool
open_vfs(struct varve_engine *engine, struct varve_error *err)
{
    if (!readers_make(engine->config, &engine->readers, err))
        return false;
    const struct varve_vfs_options options = {
        .catalog = engine->catalog,
        .store = engine->store,
        .clock = engine->clock,
        .archive_dir = engine->dir,
        .first_tier =
            varve_store_has_tier(engine->store, VARVE_TIER_SSD) ? VARVE_TIER_SSD : VARVE_TIER_HDD,
        .heat_half_life_ns = engine->config->half_life_ns,
        .readers = engine->readers,
        .head_bytes = engine->config->head_bytes,
    };
    return varve_vfs_new(&options, &engine->vfs, err);
}

bool
engine_lock(struct varve_engine *engine, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(engine->dir, "varve.lock");
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "lock archive");
    if (varve_file_lock(path, &engine->lock_fd, err))
        return true;
    if (err->kind == VARVE_ERROR_BUSY) {
        varve_error_wrap(err, "archive '%s' is in use", engine->dir);
        return varve_error_hint(err, "a daemon serves it already; 'varve umount' its mount first");
    }
    return varve_error_wrap(err, "archive '%s'", engine->dir);
}

static void
init_locks(struct varve_engine *engine)
{
    /* Default attributes: these cannot fail on Linux. */
    (void)pthread_mutex_init(&engine->jobs_lock, NULL);
    (void)pthread_cond_init(&engine->jobs_changed, NULL);
    (void)pthread_mutex_init(&engine->opening_lock, NULL);
    (void)pthread_cond_init(&engine->opening_changed, NULL);
    (void)pthread_mutex_init(&engine->tasks_lock, NULL);
    (void)pthread_cond_init(&engine->tasks_changed, NULL);
    (void)pthread_mutex_init(&engine->pipeline, NULL);
    (void)pthread_mutex_init(&engine->blanks_lock, NULL);
    (void)pthread_mutex_init(&engine->ticker_lock, NULL);
    (void)pthread_cond_init(&engine->ticker_wake, NULL);
    (void)pthread_mutex_init(&engine->warning_lock, NULL);
}

static bool
open_all(struct varve_engine *engine, struct varve_error *err)
{
    return varve_config_load(engine->dir, &engine->config, err) &&
           varve_policy_new(engine->config, &engine->policy, err) && engine_lock(engine, err) &&
           open_catalog(engine, err) &&
           tiers_open(engine->config, engine->catalog, &engine->uuid, &engine->store, err) &&
           open_vfs(engine, err) && libraries_open(engine, err);
}

struct varve_engine *
engine_new(const char *dir, const struct varve_engine_ports *ports, struct varve_error *err)
{
    struct varve_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open archive");
        return NULL;
    }
    init_locks(engine);
    engine->lock_fd = -1;
    engine->file_limit = UINT64_MAX;
    engine->ports = *ports;
    engine->clock = ports->clock;
    engine->random = ports->random;
    engine->started_ns = varve_clock_realtime(ports->clock);
    engine->dir = realpath(dir, NULL);
    if (engine->dir != NULL)
        return engine;
    varve_error_system(err, errno, "archive '%s'", dir);
    varve_engine_close(engine);
    return NULL;
}

bool
varve_engine_open(const char *dir, const struct varve_engine_ports *ports,
                  struct varve_engine **ret, struct varve_error *err)
{
    VARVE_CLEANUP(varve_engine_close) struct varve_engine *engine = engine_new(dir, ports, err);
    if (engine == NULL || !open_all(engine, err))
        return false;
    *ret = VARVE_TAKE(engine);
    return true;
}

/* The setting that says: a run that had swept ended in order, during this boot of the machine (a
 * removal may come back in a power cut). Then the catalog names every backing file. */
#define SWEPT_KEY "engine.swept"

static bool
boot_id(struct varve_buffer *ret)
{
    struct varve_error unused;
    return varve_file_read("/proc/sys/kernel/random/boot_id", 64, ret, &unused) && ret->size > 0;
}

static bool
mark_started(struct varve_engine *engine, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer saved = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer now = {0};
    struct varve_error unused; /* not known is not clean */
    engine->clean_start = boot_id(&now) &&
                          varve_catalog_setting_get(engine->catalog, SWEPT_KEY, &saved, &unused) &&
                          strcmp(varve_buffer_string(&saved), varve_buffer_string(&now)) == 0;
    return varve_catalog_setting_put(engine->catalog, SWEPT_KEY, "no", err) &&
           varve_catalog_sync(engine->catalog, err);
}

static void
mark_ended(struct varve_engine *engine)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer now = {0};
    struct varve_error unused; /* not marked costs some looking at the next start */
    if (engine->started && atomic_load(&engine->swept) && boot_id(&now))
        VARVE_IGNORE(varve_catalog_setting_put(engine->catalog, SWEPT_KEY,
                                               varve_buffer_string(&now), &unused));
}

bool
varve_engine_start(struct varve_engine *engine, struct varve_error *err)
{
    uint64_t job;
    if (!mark_started(engine, err) ||
        !varve_catalog_file_numbers(engine->catalog, 1, &engine->file_limit, err))
        return false;
    engine->started = true;
    return recalls_start(engine, err) && drives_start(engine, err) &&
           pipeline_recover(engine, err) && repairs_resume(engine, NULL, err) &&
           job_start(engine, "sweep", sweep_job, NULL, NULL, &job, err) &&
           ticker_start(engine, err);
}

void
varve_engine_close(struct varve_engine *engine)
{
    if (engine == NULL)
        return;
    atomic_store(&engine->stopping, true);
    elements_interrupt(engine);
    openings_stop(engine);
    elements_interrupt(engine); /* one that was opened meanwhile, too */
    drives_stop(engine);        /* first: the ticker may wait for a look at a blank */
    ticker_stop(engine);
    recalls_stop(engine);
    jobs_stop(engine);
    recalls_free(engine);
    jobs_done(engine);
    libraries_close(engine);
    varve_vfs_free(engine->vfs);
    mark_ended(engine);
    varve_store_close(engine->store);
    varve_catalog_close(engine->catalog);
    varve_policy_free(engine->policy);
    readers_done(&engine->readers);
    varve_config_free(engine->config);
    if (engine->lock_fd >= 0)
        (void)close(engine->lock_fd); /* the lock goes with it */
    free(engine->dir);
    free(engine);
}

struct varve_vfs *
varve_engine_vfs(struct varve_engine *engine)
{
    return engine->vfs;
}

struct varve_catalog *
varve_engine_catalog(struct varve_engine *engine)
{
    return engine->catalog;
}

const struct varve_config *
varve_engine_config(struct varve_engine *engine)
{
    return engine->config;
}
