/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <varve/file.h>

/* After a crash numbers that were not committed may come again while their files are still there.
 */
#define NUMBERS_TRIED_MAX 1000000u
#define QUICK_CUT_BYTES_MAX (UINT64_C(64) << 20)

static enum varve_tier
other_tier(enum varve_tier tier)
{
    return tier == VARVE_TIER_SSD ? VARVE_TIER_HDD : VARVE_TIER_SSD;
}

static bool
choose_path(struct varve_vfs *vfs, enum varve_tier tier, uint64_t bytes, struct varve_place *ret,
            struct varve_error *err)
{
    struct varve_error full, unused;
    ret->tier = tier;
    if (varve_store_choose(vfs->store, tier, bytes, &ret->path_id, &full))
        return true;
    ret->tier = other_tier(tier);
    if ((full.kind == VARVE_ERROR_NO_SPACE || full.kind == VARVE_ERROR_NOT_FOUND) &&
        varve_store_choose(vfs->store, ret->tier, bytes, &ret->path_id, &unused))
        return true;
    *err = full; /* of the tier that was wanted */
    return false;
}

bool
version_new_file(struct varve_vfs *vfs, enum varve_tier tier, uint64_t bytes,
                 struct varve_place *ret, int *ret_fd, struct varve_error *err)
{
    struct varve_place place;
    struct varve_error failure;
    if (!choose_path(vfs, tier, bytes, &place, err))
        return false;
    for (unsigned tried = 0; tried < NUMBERS_TRIED_MAX; tried++) {
        if (!varve_catalog_file_numbers(vfs->catalog, 1, &place.file, err))
            return false;
        if (varve_store_create(vfs->store, &place, ret_fd, &failure)) {
            *ret = place;
            return true;
        }
        if (failure.kind != VARVE_ERROR_EXISTS)
            break;
    }
    *err = failure;
    return false;
}

/* The file has no row yet, so nothing names it. */
static bool
undo_file(struct varve_vfs *vfs, const struct varve_place *place, int fd)
{
    struct varve_error unused; /* a file that stays is an orphan for `varve check` */
    if (fd < 0)
        return false;
    (void)close(fd);
    VARVE_IGNORE(varve_store_remove(vfs->store, place, &unused));
    return false;
}

bool
version_reread(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err)
{
    struct varve_content row;
    if (vnode->content.id.value == 0 || vnode->content.phase == VARVE_PHASE_LIVE)
        return true; /* only vfs itself takes a content out of LIVE */
    if (!varve_catalog_content_get(vfs->catalog, vnode->content.id, &row, err))
        return false;
    vnode->content = row;
    return true;
}

bool
version_sync_file(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err)
{
    struct stat st;
    if (fstat(vnode->fd, &st) != 0 || fsync(vnode->fd) != 0)
        return varve_error_system(err, errno, "sync backing file");
    if (vnode->name_fresh && !varve_store_sync_name(vfs->store, &vnode->content.place, err))
        return false;
    vnode->name_fresh = false;
    vnode->named = true;
    vnode->synced = (uint64_t)st.st_size;
    return true;
}

/* --- replacing a version --- */

static bool
forget_request(struct varve_vfs *vfs, struct varve_content_id id, struct varve_error *err)
{
    struct varve_error missing;
    if (varve_catalog_request_delete(vfs->catalog, id, &missing) ||
        missing.kind == VARVE_ERROR_NOT_FOUND)
        return true;
    *err = missing;
    return false;
}

/* Inside a unit. The old row as it is now: the engine may have sealed it meanwhile. */
static bool
retire_row(struct varve_vfs *vfs, struct varve_content_id id, uint64_t adopted_file,
           struct varve_place *ret_place, struct varve_error *err)
{
    struct varve_content old;
    if (!varve_catalog_content_get(vfs->catalog, id, &old, err))
        return false;
    old.current = false;
    if (old.phase == VARVE_PHASE_LIVE) {
        *ret_place = old.place;
        return varve_catalog_content_delete(vfs->catalog, id, err);
    }
    if (old.phase == VARVE_PHASE_SEALED) {
        if (adopted_file == 0 || old.place.file != adopted_file)
            *ret_place = old.place;
        old.place = (struct varve_place){.tier = VARVE_TIER_NONE};
        head_remove(vfs, &old);
        if (!forget_request(vfs, id, err))
            return false;
    }
    return varve_catalog_content_update(vfs->catalog, &old, err);
}

/* Inside a unit. */
static bool
insert_version(struct varve_vfs *vfs, struct vnode *vnode, struct varve_content *fresh,
               struct varve_place *ret_place, struct varve_error *err)
{
    struct varve_inode inode;
    struct varve_content_id old = vnode->content.id;
    if (!varve_catalog_inode_get(vfs->catalog, vnode->ino, &inode, err))
        return false;
    if (old.value != 0 && !retire_row(vfs, old, fresh->place.file, ret_place, err))
        return false;
    fresh->mtime_ns = inode.mtime_ns;
    if (!varve_catalog_content_insert(vfs->catalog, fresh, &fresh->id, err))
        return false;
    inode.content = fresh->id;
    inode.size = fresh->size;
    if (fresh->size == 0)
        inode.blocks = 0;
    return varve_catalog_inode_update(vfs->catalog, &inode, err);
}

/* That a file got another backing file is no change of it: until it is written it has the time that
 * it had. A time that is too new is no reason to fail. */
static void
keep_mtime(int fd, int64_t mtime_ns)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, vfs_timespec(mtime_ns)};
    if (fd >= 0)
        (void)futimens(fd, times);
}

/* fd -1: none, only a tier. */
struct new_file {
    struct varve_place place;
    int fd;
    bool unsynced;    /* neither its name nor its bytes are durable */
    int64_t mtime_ns; /* its mtime is not later */
};

/* Locked. A LIVE content in `file` with `size` bytes takes the place of the current one. */
static bool
install_version(struct varve_vfs *vfs, struct vnode *vnode, struct new_file file, uint64_t size,
                struct varve_error *err)
{
    struct varve_place unwanted = {.tier = VARVE_TIER_NONE};
    struct varve_content fresh = {.ino = vnode->ino,
                                  .version = vnode->content.version + 1,
                                  .size = size,
                                  .phase = VARVE_PHASE_LIVE,
                                  .place = file.place,
                                  .unsynced = file.unsynced,
                                  .current = true};
    varve_catalog_begin(vfs->catalog);
    bool keep = insert_version(vfs, vnode, &fresh, &unwanted, err);
    if (!varve_catalog_end(vfs->catalog, keep, err))
        return varve_error_wrap(err, "new version of inode %" PRIu64, vnode->ino);
    if (file.mtime_ns > fresh.mtime_ns)
        keep_mtime(file.fd, fresh.mtime_ns);
    vnode->content = fresh;
    vnode_installed(vnode);
    vnode->changes++;
    vnode->ended = request_detach(vfs, vnode); /* who waits for the old bytes shall read the new */
    varve_vfs_remove_later(vfs, unwanted);
    return true;
}

/* One from the pool was made before whoever needs it: as long as it is empty its age is no news
 * (vnode_take_stat), so it need not be given a time. */
static bool
empty_file(struct varve_vfs *vfs, enum varve_tier tier, struct new_file *ret,
           struct varve_error *err)
{
    ret->unsynced = true;
    ret->mtime_ns = INT64_MAX;
    return pool_take(vfs, tier, &ret->place, &ret->fd, &ret->mtime_ns) ||
           version_new_file(vfs, tier, 0, &ret->place, &ret->fd, err);
}

static bool
start_empty(struct varve_vfs *vfs, struct vnode *vnode, bool with_file, struct varve_error *err)
{
    struct new_file file = {.place.tier = vfs->first_tier, .fd = -1};
    if (with_file && !empty_file(vfs, vfs->first_tier, &file, err))
        return false;
    if (!install_version(vfs, vnode, file, 0, err))
        return undo_file(vfs, &file.place, file.fd);
    vnode_replace_fd(vnode, file.fd);
    vnode->name_fresh = with_file;
    return true;
}

bool
version_give_file(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err)
{
    struct varve_content row = vnode->content;
    struct varve_inode inode;
    struct new_file file;
    assert(row.phase == VARVE_PHASE_LIVE && row.place.file == 0);
    if (!varve_catalog_inode_get(vfs->catalog, vnode->ino, &inode, err) ||
        !empty_file(vfs, row.place.tier, &file, err))
        return false;
    row.place = file.place;
    row.unsynced = true;
    row.synced_bytes = 0;
    if (!varve_catalog_content_update(vfs->catalog, &row, err))
        return undo_file(vfs, &file.place, file.fd);
    if (file.mtime_ns > inode.mtime_ns)
        keep_mtime(file.fd, inode.mtime_ns);
    vnode->content = row;
    vnode_installed(vnode);
    vnode->name_fresh = true;
    vnode_replace_fd(vnode, file.fd);
    return true;
}

/* Locked. What was adopted must be durable before a byte of it changes: after a crash the sealed
 * row would else claim a file that no longer has its bytes. */
static bool
finish_adoption(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err)
{
    if (!vnode->adopted)
        return true;
    if (!vnode_slow_begin(vnode, err))
        return false;
    vnode->adopted = !varve_catalog_sync(vfs->catalog, err);
    vnode_slow_end(vnode);
    if (vnode->adopted)
        return varve_error_wrap(err, "new version of inode %" PRIu64, vnode->ino);
    return true;
}

static bool
adopt_file(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err)
{
    if (!vnode_need_fd(vfs, vnode, err) ||
        !install_version(vfs, vnode,
                         (struct new_file){vnode->content.place, vnode->fd, false, INT64_MAX},
                         vnode->content.size, err))
        return false;
    vnode->adopted = true;
    return finish_adoption(vfs, vnode, err);
}

/* The copy is durable before the row names it: until then the frozen bytes are the only good ones
 * (INV-2). */
static bool
copy_and_install(struct varve_vfs *vfs, struct vnode *vnode, uint64_t keep, struct varve_error *err)
{
    struct varve_place place;
    int fd;
    uint64_t bytes = keep < vnode->content.size ? keep : vnode->content.size;
    if (!vnode_need_fd(vfs, vnode, err) ||
        !version_new_file(vfs, vnode->content.place.tier, bytes, &place, &fd, err))
        return false;
    bool ok =
        varve_file_copy(vnode->fd, fd, bytes, err) && varve_file_sync(fd, "new version", err) &&
        varve_store_sync_name(vfs->store, &place, err) &&
        install_version(vfs, vnode, (struct new_file){place, fd, false, INT64_MAX}, bytes, err);
    if (!ok) {
        varve_error_wrap(err, "copy of inode %" PRIu64 " for writing", vnode->ino);
        return undo_file(vfs, &place, fd);
    }
    vnode_replace_fd(vnode, fd);
    vnode->name_fresh = false;
    return true;
}

static bool
copy_file(struct varve_vfs *vfs, struct vnode *vnode, uint64_t keep, struct varve_error *err)
{
    if (!vnode_slow_begin(vnode, err))
        return false;
    bool ok = copy_and_install(vfs, vnode, keep, err);
    vnode_slow_end(vnode);
    return ok;
}

static bool
needs_recall(const struct vnode *vnode, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_WAIT, 0, "inode %" PRIu64 " is on discs only",
                           vnode->ino);
}

bool
version_for_write(struct varve_vfs *vfs, struct vnode *vnode, uint64_t keep,
                  struct varve_error *err)
{
    if (!version_reread(vfs, vnode, err))
        return false;
    const struct varve_content *content = &vnode->content;
    if (content->id.value == 0)
        return start_empty(vfs, vnode, true, err);
    bool empty = content->size == 0 || keep == 0;
    bool resident = content->place.tier != VARVE_TIER_NONE;
    switch (content->phase) {
    case VARVE_PHASE_LIVE:
        if (content->place.file == 0)
            return version_give_file(vfs, vnode, err);
        return vnode_need_fd(vfs, vnode, err) && finish_adoption(vfs, vnode, err);
    case VARVE_PHASE_FROZEN:
        return empty ? start_empty(vfs, vnode, true, err) : copy_file(vfs, vnode, keep, err);
    case VARVE_PHASE_SEALED:
        /* Taken over even to be emptied: the kernel may hold its descriptor for a reader. */
        if (resident && content->place.file != 0)
            return adopt_file(vfs, vnode, err);
        return empty ? start_empty(vfs, vnode, true, err) : needs_recall(vnode, err);
    }
    return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "phase %d of inode %" PRIu64,
                           (int)content->phase, vnode->ino);
}

static bool
is_file_of_size(const struct vnode *vnode, uint64_t size)
{
    if (vnode->content.id.value == 0)
        return size == 0;
    if (vnode->content.phase == VARVE_PHASE_LIVE)
        return size == 0 && vnode->content.place.file == 0;
    return size == vnode->content.size;
}

/* Inside a unit. */
static bool
cut_rows(struct varve_vfs *vfs, struct vnode *vnode, uint64_t size, struct varve_content *ret,
         struct varve_error *err)
{
    struct varve_inode inode;
    if (!varve_catalog_inode_get(vfs->catalog, vnode->ino, &inode, err) ||
        !varve_catalog_content_get(vfs->catalog, vnode->content.id, ret, err))
        return false;
    inode.size = ret->size = size;
    inode.mtime_ns = inode.ctime_ns = ret->mtime_ns = vfs_now(vfs);
    flush_mark(vnode, ret);
    return varve_catalog_content_update(vfs->catalog, ret, err) &&
           varve_catalog_inode_update(vfs->catalog, &inode, err);
}

static bool
tell_cut(struct varve_vfs *vfs, struct vnode *vnode, uint64_t size, struct varve_error *err)
{
    struct varve_content row;
    varve_catalog_begin(vfs->catalog);
    if (!varve_catalog_end(vfs->catalog, cut_rows(vfs, vnode, size, &row, err), err))
        return false;
    vnode->content = row;
    return varve_catalog_sync(vfs->catalog, err);
}

/* Locked. Bytes that were durable are cut off: first in the file, durably, then in the row, before
 * anybody can write behind the cut. What is written there would else be taken for them after a
 * power cut, whatever of it reached the disk. The other way round the row would be short and the
 * file still long: its old end would be taken for bytes that were appended, and be believed up to
 * its first sector of zeros (crash.c), which the file never was. */
static bool
cut_durable(struct varve_vfs *vfs, struct vnode *vnode, uint64_t size, struct varve_error *err)
{
    if (!vnode_slow_begin(vnode, err))
        return false;
    bool ok = ftruncate(vnode->fd, (off_t)size) == 0 ||
              varve_error_system(err, errno, "truncate backing file");
    if (ok) {
        flush_cut(vnode, size);
        vnode->dirty = true; /* if it fails now, the next flush tells the row the size again */
        ok = version_sync_file(vfs, vnode, err) && tell_cut(vfs, vnode, size, err);
    }
    vnode_slow_end(vnode);
    return ok;
}

/* Locked. A LIVE file is emptied by taking another one, so that after a power cut it is the old one
 * or the new one, without a wait for the disk. Not if somebody else has its descriptor, or if it is
 * in line for discs. */
static bool
may_start_anew(struct varve_vfs *vfs, const struct vnode *vnode)
{
    struct varve_request request;
    struct varve_error unused;
    struct varve_content_id before = {vnode->content.id.value - 1};
    size_t count = 0;
    return vnode->passthroughs == 0 && !vnode->mapped &&
           !pass_in_use(vfs, vnode, &vnode->content.place) &&
           varve_catalog_requests(vfs->catalog, before, &request, 1, &count, &unused) &&
           (count == 0 || request.content.value != vnode->content.id.value);
}

/* Locked. Giving back the blocks of a large file takes the filesystem below a while. */
static bool
cut_file(struct vnode *vnode, uint64_t size, struct varve_error *err)
{
    struct stat st;
    if (fstat(vnode->fd, &st) != 0)
        return varve_error_system(err, errno, "look at backing file");
    bool slow = (uint64_t)st.st_size > size && (uint64_t)st.st_size - size > QUICK_CUT_BYTES_MAX;
    if (slow && !vnode_slow_begin(vnode, err))
        return false;
    bool ok = ftruncate(vnode->fd, (off_t)size) == 0 ||
              varve_error_system(err, errno, "truncate backing file");
    vnode_slow_end(vnode);
    return ok;
}

bool
version_truncate(struct varve_vfs *vfs, struct vnode *vnode, uint64_t size, struct varve_error *err)
{
    if (!version_reread(vfs, vnode, err))
        return false;
    if (is_file_of_size(vnode, size))
        return true;
    if (size == 0 && vnode->content.phase != VARVE_PHASE_LIVE &&
        (vnode->content.phase == VARVE_PHASE_FROZEN || vnode->content.place.file == 0 ||
         vnode->content.place.tier == VARVE_TIER_NONE))
        return start_empty(vfs, vnode, false, err);
    if (!version_for_write(vfs, vnode, size, err))
        return false;
    vnode->changes++;
    if (size < vnode->synced && size == 0 && may_start_anew(vfs, vnode))
        return start_empty(vfs, vnode, false, err);
    if (size < vnode->synced)
        return cut_durable(vfs, vnode, size, err);
    if (!cut_file(vnode, size, err))
        return false;
    flush_wet(vfs, vnode);
    return true;
}
