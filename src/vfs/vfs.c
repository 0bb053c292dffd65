/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <assert.h>
#include <string.h>
#include <varve/file.h>

/* The setting that says how the last run ended, so how much of it can be believed:
 * "closed": in order; all is durable, every size in the catalog is right.
 * "open BOOT": not at all; if the machine has not been started since, backing files know best, as
 * what was written is still in its memory. "lost BOOT": a run that was still taking back what a
 * power cut left half done. Anything else is of an older version, which knew no power cuts. */
#define CLEAN_KEY "vfs.clean"
#define ORPHANS_AT_ONCE 64

static void
boot_id(struct varve_buffer *ret)
{
    struct varve_error unused;
    if (!varve_file_read("/proc/sys/kernel/random/boot_id", 64, ret, &unused))
        varve_buffer_clear(ret); /* not known: then every close counts as a crash */
}

static bool
begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void
judge_last_run(struct varve_vfs *vfs, const struct varve_buffer *boot)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer saved = {0};
    struct varve_error missing;
    const char *last = "closed"; /* a new catalog has nothing to doubt */
    if (varve_catalog_setting_get(vfs->catalog, CLEAN_KEY, &saved, &missing))
        last = varve_buffer_string(&saved);
    atomic_store(&vfs->unclean, strcmp(last, "closed") != 0);
    vfs->power_lost = begins_with(last, "lost ");
    if (begins_with(last, "open "))
        vfs->power_lost = boot->size == 0 || strcmp(last + 5, varve_buffer_string(boot)) != 0;
}

/* Durable before the first write to a backing file. After a mere kill the bytes that the machine
 * still has in memory are made durable before anything is concluded from them. */
static bool
mark_open(struct varve_vfs *vfs, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer boot = {0};
    VARVE_CLEANUP_FREE char *value = NULL;
    boot_id(&boot);
    judge_last_run(vfs, &boot);
    vfs->first_own_content = varve_catalog_content_next(vfs->catalog).value;
    if (asprintf(&value, "%s %s", vfs->power_lost ? "lost" : "open", varve_buffer_string(&boot)) <
        0)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "new vfs");
    /* Twice: the first one also tells of errors that are over, of anybody on that filesystem. */
    struct varve_error earlier;
    if (atomic_load(&vfs->unclean) && !vfs->power_lost &&
        !varve_store_sync_all(vfs->store, &earlier) && !varve_store_sync_all(vfs->store, err))
        return false;
    return varve_catalog_setting_put(vfs->catalog, CLEAN_KEY, value, err) &&
           varve_catalog_sync(vfs->catalog, err);
}

static void
mark_closed(struct varve_vfs *vfs)
{
    struct varve_error unused; /* not marked costs some looking at the next start */
    /* While the sweep after a crash has not come to its end, sizes may still be old. */
    if (!atomic_load(&vfs->unclean) && vfs->wet_count == 0)
        VARVE_IGNORE(varve_catalog_setting_put(vfs->catalog, CLEAN_KEY, "closed", &unused));
    VARVE_IGNORE(varve_catalog_sync(vfs->catalog, &unused));
}

static bool
delete_orphans(struct varve_vfs *vfs, struct varve_error *err)
{
    uint64_t after = 0;
    uint64_t inos[ORPHANS_AT_ONCE];
    size_t count = 0;
    do {
        if (!varve_catalog_orphans(vfs->catalog, after, inos, ORPHANS_AT_ONCE, &count, err))
            return varve_error_wrap(err, "delete what was open and unlinked");
        for (size_t i = 0; i < count; i++) {
            names_delete_orphan(vfs, inos[i]);
            after = inos[i];
        }
    } while (count > 0);
    return true;
}

static bool
init_locks(struct varve_vfs *vfs, struct varve_error *err)
{
    pthread_condattr_t attributes;
    (void)pthread_mutex_init(&vfs->table_lock, NULL); /* cannot fail with default attributes */
    (void)pthread_mutex_init(&vfs->recall_lock, NULL);
    (void)pthread_mutex_init(&vfs->ghost_lock, NULL);
    (void)pthread_mutex_init(&vfs->reap_lock, NULL);
    (void)pthread_mutex_init(&vfs->reaping, NULL);
    (void)pthread_mutex_init(&vfs->crash_lock, NULL);
    (void)pthread_mutex_init(&vfs->flush_lock, NULL);
    (void)pthread_mutex_init(&vfs->mark_lock, NULL);
    int failed = pthread_condattr_init(&attributes);
    if (failed != 0)
        return varve_error_system(err, failed, "make a condition");
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    failed = pthread_cond_init(&vfs->reap_wake, &attributes);
    if (failed == 0)
        failed = pthread_cond_init(&vfs->flush_wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (failed != 0)
        return varve_error_system(err, failed, "make a condition");
    return true;
}

static void
free_memory(struct varve_vfs *vfs)
{
    free(vfs->archive_dir);
    free(vfs->checked);
    free(vfs->wet);
    free(vfs);
}

bool
varve_vfs_new(const struct varve_vfs_options *options, struct varve_vfs **ret,
              struct varve_error *err)
{
    struct varve_vfs *vfs = calloc(1, sizeof *vfs);
    if (vfs == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "new vfs");
    vfs->catalog = options->catalog;
    vfs->store = options->store;
    vfs->clock = options->clock;
    vfs->simulated = options->clock != varve_clock_system();
    vfs->first_tier = options->first_tier;
    vfs->heat_half_life_ns = options->heat_half_life_ns;
    vfs->readers = options->readers;
    vfs->head_bytes = options->head_bytes;
    vfs->archive_dir = strdup(options->archive_dir);
    bool ok = vfs->archive_dir != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "new vfs");
    if (!ok || !init_locks(vfs, err)) {
        free_memory(vfs);
        return false;
    }
    if (!mark_open(vfs, err) || !delete_orphans(vfs, err) || !reap_start(vfs, err) ||
        !pool_start(vfs, err) || !flush_start(vfs, err)) {
        flush_stop(vfs);
        pool_stop(vfs);
        reap_stop(vfs);
        free_memory(vfs);
        return false;
    }
    *ret = vfs;
    return true;
}

void
varve_vfs_free(struct varve_vfs *vfs)
{
    if (vfs == NULL)
        return;
    recall_cancel_all(vfs);
    pass_sweep(vfs, true);
    for (size_t i = 0; i < VFS_BUCKETS; i++)
        assert(vfs->buckets[i] == NULL); /* the contract: all files are closed */
    flush_stop(vfs);
    pool_stop(vfs);
    reap_stop(vfs);
    mark_closed(vfs);
    (void)pthread_cond_destroy(&vfs->flush_wake);
    (void)pthread_cond_destroy(&vfs->reap_wake);
    (void)pthread_mutex_destroy(&vfs->flush_lock);
    (void)pthread_mutex_destroy(&vfs->crash_lock);
    (void)pthread_mutex_destroy(&vfs->reaping);
    (void)pthread_mutex_destroy(&vfs->mark_lock);
    (void)pthread_mutex_destroy(&vfs->reap_lock);
    (void)pthread_mutex_destroy(&vfs->ghost_lock);
    (void)pthread_mutex_destroy(&vfs->recall_lock);
    (void)pthread_mutex_destroy(&vfs->table_lock);
    free_memory(vfs);
}

void
varve_vfs_set_notify_port(struct varve_vfs *vfs, const struct varve_notify_port *port)
{
    VARVE_LOCKED(&vfs->table_lock);
    vfs->notify_port = port != NULL ? *port : (struct varve_notify_port){0};
}

void
varve_vfs_losses(struct varve_vfs *vfs, struct varve_vfs_losses *ret)
{
    VARVE_LOCKED(&vfs->table_lock);
    *ret = vfs->losses;
}
