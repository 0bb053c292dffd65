/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <fcntl.h>
#include <string.h>
#include <varve/file.h>

/* After a crash the catalog may not know the last writes to files that were open then.
 *
 * If only the daemon died, their backing files know them: size and mtime are taken from there. If
 * the power went, a backing file may have lost bytes, or have a size without the bytes for it. What
 * the row calls durable is there, a second old at most (flush.c). What the file has behind that is
 * believed up to the first hole or sector of zeros, which is what a size without bytes looks like:
 * it may have been synced past us (RWF_DSYNC in passthrough, sync(2)). Bytes that were overwritten
 * in place since may be the old or the new ones.
 *
 * Each file is compared when it is first looked at, and all of them one after another in the
 * background, so that policies too see the right sizes. After a start that follows an orderly end
 * nothing is compared at all. */

#define ROWS_AT_ONCE 64
#define SECTOR_BYTES 512u
#define CHUNK_BYTES 65536u

/* True the first time it is asked for this inode since the start after a crash. Under crash_lock.
 */
static bool
check_once(struct varve_vfs *vfs, uint64_t ino)
{
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

static void
count_loss(struct varve_vfs *vfs, bool emptied)
{
    VARVE_LOCKED(&vfs->table_lock);
    if (emptied)
        vfs->losses.files_emptied++;
    else
        vfs->losses.files_cut++;
}

/* A file without a backing file: what every file is before its first write. */
static void
take_nothing(struct varve_vfs *vfs, struct varve_content *content)
{
    content->size = 0;
    content->place = (struct varve_place){.tier = vfs->first_tier};
    content->unsynced = false;
    count_loss(vfs, true);
}

/* The offset in `bytes`, which begin at `at` in the file, of the first sector of zeros. */
static size_t
find_zeros(const uint8_t *bytes, size_t count, uint64_t at)
{
    static const uint8_t zeros[SECTOR_BYTES];
    size_t done = 0;
    while (done < count) {
        size_t sector = SECTOR_BYTES - (size_t)((at + done) % SECTOR_BYTES);
        if (sector > count - done)
            sector = count - done;
        if (memcmp(bytes + done, zeros, sector) == 0)
            return done;
        done += sector;
    }
    return count;
}

/* Where the bytes of the file end, looking from `start` on. */
static bool
end_of_bytes(int fd, uint64_t start, uint64_t size, uint64_t *ret, struct varve_error *err)
{
    off_t hole = lseek(fd, (off_t)start, SEEK_HOLE);
    uint64_t end = hole >= 0 && (uint64_t)hole < size ? (uint64_t)hole : size;
    VARVE_CLEANUP_FREE uint8_t *chunk = malloc(CHUNK_BYTES);
    if (chunk == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "look at backing file");
    uint64_t at = start;
    while (at < end) {
        uint64_t want = CHUNK_BYTES - at % SECTOR_BYTES;
        size_t count = (size_t)(want < end - at ? want : end - at);
        if (!varve_file_pread(fd, chunk, count, at, err))
            return false;
        size_t good = find_zeros(chunk, count, at);
        at += good;
        if (good < count)
            break;
    }
    *ret = at;
    return true;
}

/* Cuts off what has a size, but not the bytes for it. */
static bool
cut_tail(struct varve_vfs *vfs, const struct varve_content *content, uint64_t durable,
         uint64_t *size, struct varve_error *err)
{
    uint64_t end = *size;
    VARVE_CLEANUP_FD int fd = -1;
    if (!varve_store_open_file(vfs->store, &content->place, O_RDWR, &fd, err) ||
        !end_of_bytes(fd, durable, *size, &end, err))
        return false;
    if (end < *size && ftruncate(fd, (off_t)end) != 0)
        return varve_error_system(err, errno, "cut off what the power cut left half done");
    *size = end;
    return true;
}

/* The power went. */
static bool
take_durable(struct varve_vfs *vfs, struct varve_content *content, struct varve_error *err)
{
    struct stat st;
    struct varve_error missing;
    uint64_t durable = content->unsynced ? content->synced_bytes : content->size;
    if (!varve_store_stat(vfs->store, &content->place, &st, &missing)) {
        if (missing.kind == VARVE_ERROR_NOT_FOUND && content->unsynced && durable == 0) {
            take_nothing(vfs, content);
            return true;
        }
        *err = missing;
        return false;
    }
    uint64_t found = (uint64_t)st.st_size;
    if (found > durable && !cut_tail(vfs, content, durable, &found, err))
        return false;
    if (found < content->size)
        count_loss(vfs, false);
    content->size = found;
    content->unsynced = false;
    return true;
}

/* Only the daemon died, and mark_open() has made durable what the machine had in memory. */
static bool
take_file(struct varve_vfs *vfs, struct varve_inode *inode, struct varve_content *content,
          struct varve_error *err)
{
    struct stat st;
    if (!varve_store_stat(vfs->store, &content->place, &st, err))
        return false;
    content->unsynced = false;
    /* An older mtime alone is no news: fdatasync does not make mtimes durable, the catalog does. */
    if ((uint64_t)st.st_size == inode->size && vfs_ns(st.st_mtim) <= inode->mtime_ns)
        return true;
    (void)vfs_take_stat(vfs, inode, &st);
    content->size = inode->size;
    content->mtime_ns = inode->mtime_ns;
    return true;
}

/* Inside a unit. */
static bool
catch_up_rows(struct varve_vfs *vfs, uint64_t ino, struct varve_inode *ret, struct varve_error *err)
{
    struct varve_content content;
    /* What this run made is not to be judged by what a crash before it left: bytes that were
     * written a moment ago are not durable yet, and still right. */
    if (!varve_catalog_inode_get(vfs->catalog, ino, ret, err) || ret->content.value == 0 ||
        ret->content.value >= vfs->first_own_content ||
        !varve_catalog_content_get(vfs->catalog, ret->content, &content, err) ||
        content.phase != VARVE_PHASE_LIVE || content.place.file == 0)
        return false;
    struct varve_content before = content;
    if (!(vfs->power_lost ? take_durable(vfs, &content, err) : take_file(vfs, ret, &content, err)))
        return false;
    ret->size = content.size;
    if (content.size == before.size && content.mtime_ns == before.mtime_ns &&
        content.unsynced == before.unsynced)
        return false;
    return varve_catalog_content_update(vfs->catalog, &content, err) &&
           varve_catalog_inode_update(vfs->catalog, ret, err);
}

void
crash_catch_up(struct varve_vfs *vfs, struct varve_inode *inode)
{
    if (!atomic_load(&vfs->unclean))
        return;
    VARVE_LOCKED(&vfs->crash_lock); /* who comes second finds it done */
    struct varve_error unused;      /* a file that cannot be looked at fails when it is opened */
    struct varve_inode current;
    bool first = check_once(vfs, inode->ino);
    varve_catalog_begin(vfs->catalog);
    bool changed = first && catch_up_rows(vfs, inode->ino, &current, &unused);
    /* Who was second may have read the row before it was changed. */
    bool read = changed || varve_catalog_inode_get(vfs->catalog, inode->ino, &current, &unused);
    bool ended = varve_catalog_end(vfs->catalog, changed, &unused);
    if (read && ended == changed)
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
            if (rows[i].current && rows[i].phase == VARVE_PHASE_LIVE && rows[i].place.file != 0) {
                crash_catch_up(vfs, &inode);
                origin_mark_missing(vfs, &rows[i]);
            }
        }
    }
    atomic_store(&vfs->unclean, false);
}
