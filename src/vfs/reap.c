/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <time.h>
#include <varve/grow.h>

/* True if the list is so long that the caller should shorten it. */
static bool
push(struct varve_vfs *vfs, struct varve_place place)
{
    VARVE_LOCKED(&vfs->reap_lock);
    struct varve_place *doomed =
        varve_grow(vfs->doomed, &vfs->doomed_capacity, vfs->doomed_count, sizeof *doomed);
    if (doomed == NULL)
        return false; /* the file stays; `varve check` finds files that no row names */
    vfs->doomed = doomed;
    vfs->doomed[vfs->doomed_count++] = place;
    if (vfs->doomed_count == VFS_REAP_SOON)
        (void)pthread_cond_signal(&vfs->reap_wake);
    return vfs->doomed_count >= VFS_REAP_MAX;
}

static size_t
take_list(struct varve_vfs *vfs, struct varve_place **ret)
{
    VARVE_LOCKED(&vfs->reap_lock);
    size_t count = vfs->doomed_count;
    *ret = VARVE_TAKE(vfs->doomed);
    vfs->doomed_count = 0;
    vfs->doomed_capacity = 0;
    return count;
}

static bool
remove_doomed(struct varve_vfs *vfs, struct varve_error *err)
{
    VARVE_LOCKED(&vfs->reaping);
    VARVE_CLEANUP_FREE struct varve_place *places = NULL;
    size_t count = take_list(vfs, &places);
    if (count == 0)
        return true;
    /* The commit that stopped naming them comes first (INV-4). */
    if (!varve_catalog_sync(vfs->catalog, err)) {
        for (size_t i = 0; i < count; i++)
            (void)push(vfs, places[i]);
        return varve_error_wrap(err, "remove %zu backing files", count);
    }
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        struct varve_error failure;
        if (varve_store_remove(vfs->store, &places[i], &failure))
            continue;
        if (ok)
            *err = failure; /* the first one is told; the file is left to `varve check` */
        ok = false;
    }
    return ok;
}

void
varve_vfs_remove_later(struct varve_vfs *vfs, struct varve_place place)
{
    struct varve_error unused;
    if (place.tier == VARVE_TIER_NONE || place.file == 0)
        return;
    if (push(vfs, place))
        VARVE_IGNORE(remove_doomed(vfs, &unused)); /* what stays in the list is tried again */
}

bool
varve_vfs_reap(struct varve_vfs *vfs, struct varve_error *err)
{
    origin_write_marks(vfs, true);
    return remove_doomed(vfs, err);
}

/* Waits a second, or less when many wait. False when it is time to stop. */
static bool
wait_for_work(struct varve_vfs *vfs)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    VARVE_LOCKED(&vfs->reap_lock);
    while (!vfs->stopping && vfs->doomed_count < VFS_REAP_SOON) {
        if (pthread_cond_timedwait(&vfs->reap_wake, &vfs->reap_lock, &until) == ETIMEDOUT)
            break;
    }
    return !vfs->stopping;
}

static void *
run_reaper(void *context)
{
    struct varve_vfs *vfs = context;
    struct varve_error unused; /* tried again a second later; the engine's reap tells */
    crash_sweep(vfs);
    while (wait_for_work(vfs)) {
        VARVE_IGNORE(remove_doomed(vfs, &unused));
        origin_write_marks(vfs, false);
        pass_sweep(vfs, false);
    }
    return NULL;
}

bool
reap_start(struct varve_vfs *vfs, struct varve_error *err)
{
    int failed = pthread_create(&vfs->reaper, NULL, run_reaper, vfs);
    if (failed != 0)
        return varve_error_system(err, failed, "start a thread");
    vfs->reaper_started = true;
    return true;
}

void
reap_stop(struct varve_vfs *vfs)
{
    struct varve_error unused;
    if (vfs->reaper_started) {
        {
            VARVE_LOCKED(&vfs->reap_lock);
            vfs->stopping = true;
            (void)pthread_cond_signal(&vfs->reap_wake);
        }
        (void)pthread_join(vfs->reaper, NULL);
    }
    VARVE_IGNORE(varve_vfs_reap(vfs, &unused));
    free(vfs->doomed);
    vfs->doomed = NULL;
}
