/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <string.h>

/* After a crash the catalog may not know the last writes to files that were open then: their
 * backing files do. Each file is compared when it is first looked at, and all of them one after
 * another in the background, so that policies too see the right sizes. After a start that follows
 * an orderly end nothing is compared at all. */

#define ROWS_AT_ONCE 64

/* True the first time it is asked for this inode since the start after a crash. */
static bool
check_once(struct varve_vfs *vfs, uint64_t ino)
{
    VARVE_LOCKED(&vfs->table_lock);
    size_t byte = (size_t)(ino / 8);
    if (byte >= vfs->checked_bytes) {
        size_t bytes = byte + 1 > vfs->checked_bytes * 2 ? byte + 4096 : vfs->checked_bytes * 2;
        uint8_t *grown = realloc(vfs->checked, bytes);
        if (grown == NULL)
            return true; /* looks again each time: slower, as right */
        memset(grown + vfs->checked_bytes, 0, bytes - vfs->checked_bytes);
        vfs->checked = grown;
        vfs->checked_bytes = bytes;
    }
    uint8_t bit = (uint8_t)(1u << (ino % 8));
    bool first = (vfs->checked[byte] & bit) == 0;
    vfs->checked[byte] |= bit;
    return first;
}

/* Inside a unit. */
static bool
catch_up_rows(struct varve_vfs *vfs, uint64_t ino, struct varve_inode *ret, struct varve_error *err)
{
    struct varve_content content;
    struct stat st;
    if (!varve_catalog_inode_get(vfs->catalog, ino, ret, err) || ret->content.value == 0 ||
        !varve_catalog_content_get(vfs->catalog, ret->content, &content, err) ||
        content.phase != VARVE_PHASE_LIVE || content.place.file == 0 ||
        !varve_store_stat(vfs->store, &content.place, &st, err))
        return false;
    /* An older mtime alone is no news: fdatasync does not make mtimes durable, the catalog does. */
    if ((uint64_t)st.st_size == ret->size && vfs_ns(st.st_mtim) <= ret->mtime_ns)
        return false;
    (void)vfs_take_stat(vfs, ret, &st);
    content.size = ret->size;
    content.mtime_ns = ret->mtime_ns;
    return varve_catalog_content_update(vfs->catalog, &content, err) &&
           varve_catalog_inode_update(vfs->catalog, ret, err);
}

void
crash_catch_up(struct varve_vfs *vfs, struct varve_inode *inode)
{
    if (!atomic_load(&vfs->unclean) || !check_once(vfs, inode->ino))
        return;
    struct varve_error unused; /* a file that cannot be looked at fails when it is opened */
    struct varve_inode current;
    varve_catalog_begin(vfs->catalog);
    bool changed = catch_up_rows(vfs, inode->ino, &current, &unused);
    if (varve_catalog_end(vfs->catalog, changed, &unused) && changed)
        *inode = current;
}

static bool
stopping(struct varve_vfs *vfs)
{
    VARVE_LOCKED(&vfs->reap_lock);
    return vfs->stopping;
}

void
crash_sweep(struct varve_vfs *vfs)
{
    struct varve_error unused; /* the sweep is made again after the next start */
    struct varve_content rows[ROWS_AT_ONCE];
    struct varve_content_id after = {0};
    size_t count = ROWS_AT_ONCE;
    while (atomic_load(&vfs->unclean) && count > 0) {
        if (stopping(vfs) ||
            !varve_catalog_contents(vfs->catalog, after, true, rows, ROWS_AT_ONCE, &count, &unused))
            return;
        for (size_t i = 0; i < count; i++) {
            struct varve_inode inode = {.ino = rows[i].ino};
            after = rows[i].id;
            if (rows[i].current && rows[i].phase == VARVE_PHASE_LIVE && rows[i].place.file != 0)
                crash_catch_up(vfs, &inode);
        }
    }
    atomic_store(&vfs->unclean, false);
}
