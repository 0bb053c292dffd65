/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that nobody syncs are made durable about a second after they were written.
 *
 * Rows go first: they are committed at any moment, and say of how many bytes they know that they
 * are durable (`unsynced`, `synced_bytes`); crash.c believes no more than that after a power cut.
 * So nothing waits for a flush: neither a commit nor who calls fsync for another file. The flusher
 * syncs the files that were written since the last time, then tells their rows, then commits. */
#include "vfs_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <varve/file.h>
#include <varve/grow.h>

#define PERIOD_NS (VARVE_NS_PER_SECOND * 7 / 10) /* with the sync itself about a second */
/* Up to so many files are synced one by one. More: the tiers' filesystems as a whole, which costs
 * as much as a few files but waits for what other programs wrote there too. */
#define FILES_ALONE 4u
#define ROWS_AT_ONCE 256u
/* The flusher does not wait for the second to end when so many files are waiting. */
#define WET_SOON 65536u

/* A file that may be open: what is synced is decided when the flusher comes. A closed one: what its
 * row said when it was closed. */
struct wet {
    uint64_t ino; /* 0: closed */
    struct varve_content row;
    bool looked; /* at the one that may be open; then these say what will be durable */
    unsigned cuts;
};

static bool
note(struct varve_vfs *vfs, const struct wet *wet)
{
    VARVE_LOCKED(&vfs->flush_lock);
    struct wet *grown = varve_grow(vfs->wet, &vfs->wet_capacity, vfs->wet_count, sizeof *grown);
    if (grown == NULL)
        return false;
    vfs->wet = grown;
    vfs->wet[vfs->wet_count++] = *wet;
    if (vfs->wet_count == 1 || vfs->wet_count == WET_SOON)
        (void)pthread_cond_signal(&vfs->flush_wake); /* cannot fail */
    return true;
}

void
flush_wet(struct varve_vfs *vfs, struct vnode *vnode)
{
    const struct wet wet = {.ino = vnode->ino, .row = vnode->content};
    /* Without memory it stays dry: the next write tries again, and the close. */
    if (!vnode->wet)
        vnode->wet = note(vfs, &wet);
}

void
flush_closed(struct varve_vfs *vfs, struct vnode *vnode)
{
    struct varve_error unused; /* the row goes on saying that the bytes are not durable */
    const struct wet wet = {.row = vnode->content};
    if (vnode->fd >= 0 && !note(vfs, &wet) && version_sync_file(vfs, vnode, &unused))
        VARVE_IGNORE(varve_catalog_content_synced(vfs->catalog, &vnode->content, &unused));
}

void
flush_cut(struct vnode *vnode, uint64_t size)
{
    if (size >= vnode->synced)
        return;
    vnode->synced = size;
    vnode->cuts++;
}

void
flush_mark(const struct vnode *vnode, struct varve_content *row)
{
    row->unsynced = !vnode->named || row->size > vnode->synced || vnode->believed;
    row->synced_bytes = vnode->believed ? VFS_BELIEVED : vnode->synced;
}

/* --- the flusher --- */

/* What an open file has now will be durable. One that was closed meanwhile only needs its sync: if
 * there was something to tell to its row, flush_closed() has noted it. */
static bool
look_at_open(struct varve_vfs *vfs, struct wet *wet)
{
    struct varve_error missing;
    struct vnode *vnode = vnode_peek(vfs, wet->ino);
    struct stat st;
    if (vnode == NULL)
        return true;
    vnode_lock(vnode);
    vnode->wet = false;
    if (!vnode_live_file(vnode) || !vnode_need_fd(vfs, vnode, &missing) ||
        fstat(vnode->fd, &st) != 0) {
        vnode_release(vfs, vnode);
        return false;
    }
    wet->row = vnode->content; /* it may be another version by now */
    wet->row.size = (uint64_t)st.st_size;
    wet->cuts = vnode->cuts;
    wet->looked = true;
    if (vnode->passed_writers > 0 || vnode->mapped)
        flush_wet(vfs, vnode); /* the kernel writes without telling */
    vnode_release(vfs,
                  vnode); /* no reference is kept: it would delay the end of an unlinked file */
    return true;
}

static bool
sync_one(struct varve_vfs *vfs, const struct wet *wet, struct varve_error *err)
{
    if (!varve_store_sync_file(vfs->store, &wet->row.place, err))
        return err->kind == VARVE_ERROR_NOT_FOUND; /* deleted or moved meanwhile */
    return (!wet->row.unsynced || wet->row.synced_bytes > 0 ||
            varve_store_sync_name(vfs->store, &wet->row.place, err));
}

static bool
sync_files(struct varve_vfs *vfs, const struct wet *wet, size_t count, struct varve_error *err)
{
    if (count > FILES_ALONE)
        return varve_store_sync_all(vfs->store, err);
    for (size_t i = 0; i < count; i++) {
        if (!sync_one(vfs, &wet[i], err))
            return false;
    }
    return true;
}

/* False: it was closed during the sync, so its row still waits, in the list. */
static bool
tell_open(struct varve_vfs *vfs, const struct wet *wet)
{
    struct varve_error unused; /* the row goes on saying that the bytes are not durable */
    struct vnode *vnode = vnode_peek(vfs, wet->ino);
    if (vnode == NULL)
        return false;
    vnode_lock(vnode);
    if (vnode->content.id.value == wet->row.id.value &&
        vnode->content.place.file == wet->row.place.file && vnode_live_file(vnode) &&
        vnode->cuts == wet->cuts) {
        vnode->name_fresh = false;
        vnode->named = true;
        vnode->believed = vnode->passed_synchronous > 0;
        if (vnode->synced < wet->row.size)
            vnode->synced = wet->row.size;
        VARVE_IGNORE(vnode_flush(vfs, vnode, &unused));
    }
    vnode_release(vfs, vnode);
    return true;
}

/* The sync failed: all of them wait again. */
static void
put_back(struct varve_vfs *vfs, struct wet *wet, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        wet[i].looked = false;
        VARVE_IGNORE(note(vfs, &wet[i])); /* else its row goes on saying so */
    }
}

static void
tell_closed(struct varve_vfs *vfs, const struct wet *wet, size_t count)
{
    struct varve_error unused; /* the rows go on saying that the bytes are not durable */
    for (size_t i = 0; i < count;) {
        bool ok = true;
        varve_catalog_begin(vfs->catalog);
        for (size_t rows = 0; ok && rows < ROWS_AT_ONCE && i < count; i++) {
            if (wet[i].ino != 0 || !wet[i].row.unsynced)
                continue;
            ok = varve_catalog_content_synced(vfs->catalog, &wet[i].row, &unused);
            rows++;
        }
        if (!varve_catalog_end(vfs->catalog, ok, &unused))
            return;
    }
}

static size_t
take_wet(struct varve_vfs *vfs, struct wet **ret)
{
    VARVE_LOCKED(&vfs->flush_lock);
    size_t count = vfs->wet_count;
    *ret = VARVE_TAKE(vfs->wet);
    vfs->wet_count = 0;
    vfs->wet_capacity = 0;
    return count;
}

/* True: some that were closed meanwhile should not wait for the next time. */
static bool
flush(struct varve_vfs *vfs)
{
    VARVE_CLEANUP_FREE struct wet *wet = NULL;
    struct varve_error unused; /* tried again after a while; who must know calls fsync */
    size_t taken = take_wet(vfs, &wet);
    size_t count = 0;
    bool again = false;
    for (size_t i = 0; i < taken; i++) {
        if (wet[i].ino == 0 || look_at_open(vfs, &wet[i]))
            wet[count++] = wet[i];
    }
    if (!sync_files(vfs, wet, count, &unused)) {
        put_back(vfs, wet, count);
        return false;
    }
    tell_closed(vfs, wet, count);
    for (size_t i = 0; i < count; i++) {
        if (wet[i].looked && !tell_open(vfs, &wet[i]))
            again = true;
    }
    VARVE_IGNORE(varve_catalog_sync(vfs->catalog, &unused));
    return again;
}

/* False when it is time to stop. */
static bool
wait_for_wet(struct varve_vfs *vfs)
{
    VARVE_LOCKED(&vfs->flush_lock);
    while (!vfs->flusher_stops && vfs->wet_count == 0)
        (void)pthread_cond_wait(&vfs->flush_wake, &vfs->flush_lock); /* the loop looks why */
    int64_t end_ns = varve_clock_monotonic(varve_clock_system()) + PERIOD_NS;
    const struct timespec until = {.tv_sec = end_ns / VARVE_NS_PER_SECOND,
                                   .tv_nsec = end_ns % VARVE_NS_PER_SECOND};
    while (!vfs->flusher_stops && vfs->wet_count < WET_SOON) {
        if (pthread_cond_timedwait(&vfs->flush_wake, &vfs->flush_lock, &until) == ETIMEDOUT)
            break;
    }
    return !vfs->flusher_stops;
}

static void *
run_flusher(void *context)
{
    while (wait_for_wet(context)) {
        if (flush(context))
            (void)flush(context);
    }
    return NULL;
}

bool
flush_start(struct varve_vfs *vfs, struct varve_error *err)
{
    int failed = pthread_create(&vfs->flusher, NULL, run_flusher, vfs);
    if (failed != 0)
        return varve_error_system(err, failed, "start a thread");
    vfs->flusher_started = true;
    return true;
}

void
flush_stop(struct varve_vfs *vfs)
{
    if (!vfs->flusher_started)
        return;
    {
        VARVE_LOCKED(&vfs->flush_lock);
        vfs->flusher_stops = true;
        (void)pthread_cond_signal(&vfs->flush_wake);
    }
    (void)pthread_join(vfs->flusher, NULL);
    if (flush(vfs))
        (void)flush(vfs);
}
