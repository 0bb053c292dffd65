/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <fcntl.h>
#include <inttypes.h>

#define DAY_NS (86400 * VARVE_NS_PER_SECOND)
/* Longer than any kernel's. */
#define TICK_NS (VARVE_NS_PER_SECOND / 50)

int64_t
vfs_now(struct varve_vfs *vfs)
{
    int64_t now_ns = varve_clock_stamp(vfs->clock), seen_ns = atomic_load(&vfs->seen_ns);
    return now_ns > seen_ns ? now_ns : seen_ns;
}

/* Filesystems may stamp finer than their clock moves (ext4 since 6.13). What was set by hand to a
 * time to come says nothing. */
void
vfs_note_stamp(struct varve_vfs *vfs, int64_t ns)
{
    int64_t seen_ns = atomic_load(&vfs->seen_ns);
    while (ns > seen_ns && ns <= varve_clock_realtime(vfs->clock)) {
        if (atomic_compare_exchange_weak(&vfs->seen_ns, &seen_ns, ns))
            return;
    }
}

int64_t
vfs_ns(struct timespec time)
{
    return (int64_t)time.tv_sec * VARVE_NS_PER_SECOND + time.tv_nsec;
}

struct timespec
vfs_timespec(int64_t ns)
{
    struct timespec time = {.tv_sec = ns / VARVE_NS_PER_SECOND,
                            .tv_nsec = ns % VARVE_NS_PER_SECOND};
    if (time.tv_nsec < 0) { /* before 1970 */
        time.tv_sec--;
        time.tv_nsec += VARVE_NS_PER_SECOND;
    }
    return time;
}

void
varve_vfs_set_atime(struct varve_vfs *vfs, enum varve_atime files, enum varve_atime directories)
{
    atomic_store(&vfs->file_atime, (int)files);
    atomic_store(&vfs->dir_atime, (int)directories);
}

bool
vfs_wants_atime(struct varve_vfs *vfs, const struct varve_inode *inode, int64_t now_ns)
{
    switch (
        (enum varve_atime)atomic_load(S_ISDIR(inode->mode) ? &vfs->dir_atime : &vfs->file_atime)) {
    case VARVE_ATIME_NEVER:
        return false;
    case VARVE_ATIME_STRICT:
        return true;
    case VARVE_ATIME_RELATIVE:
        break;
    }
    return vfs_atime_is_old(inode, now_ns);
}

bool
vfs_atime_is_old(const struct varve_inode *inode, int64_t now_ns)
{
    return inode->atime_ns <= inode->mtime_ns || inode->atime_ns <= inode->ctime_ns ||
           now_ns - inode->atime_ns >= DAY_NS;
}

void
vfs_touch_atime(struct varve_vfs *vfs, uint64_t ino)
{
    struct varve_error unused;
    struct varve_inode inode;
    int64_t now_ns = vfs_now(vfs);
    varve_catalog_begin(vfs->catalog);
    bool keep = varve_catalog_inode_get(vfs->catalog, ino, &inode, &unused) &&
                vfs_wants_atime(vfs, &inode, now_ns);
    if (keep) {
        inode.atime_ns = now_ns;
        keep = varve_catalog_inode_update(vfs->catalog, &inode, &unused);
    }
    /* Reading must not fail because its time could not be noted. */
    (void)varve_catalog_end(vfs->catalog, keep, &unused);
}

int64_t
vfs_later(int64_t before_ns, int64_t now_ns)
{
    return before_ns >= now_ns && before_ns - now_ns < TICK_NS ? before_ns + 1 : now_ns;
}

uint64_t
vfs_blocks(const struct stat *st)
{
    return st->st_blocks > 0 || st->st_size == 0 ? (uint64_t)st->st_blocks : 1;
}

bool
vfs_take_stat(struct varve_vfs *vfs, struct varve_inode *inode, const struct stat *st)
{
    int64_t mtime_ns = vfs_ns(st->st_mtim);
    inode->blocks = vfs_blocks(st);
    vfs_note_stamp(vfs, mtime_ns);
    /* A file's making may be older than the time in the row. What is changed after its time was set
     * to one to come is of now. */
    if (mtime_ns < inode->mtime_ns && inode->mtime_ns <= vfs_now(vfs))
        mtime_ns = inode->mtime_ns;
    if (inode->size == (uint64_t)st->st_size && inode->mtime_ns == mtime_ns)
        return false;
    inode->size = (uint64_t)st->st_size;
    inode->mtime_ns = mtime_ns;
    inode->ctime_ns = vfs_later(inode->ctime_ns, mtime_ns);
    return true;
}

uint64_t
vfs_flushes(struct varve_vfs *vfs)
{
    return atomic_load(&vfs->flushes);
}

/* A file that was written and closed since the row was read is no longer in the table, or no longer
 * dirty: then the row says it, but not the one that was read. */
static void
read_again(struct varve_vfs *vfs, struct varve_inode *inode, uint64_t flushes)
{
    struct varve_error unused; /* gone meanwhile: what it was is as good */
    struct varve_inode row;
    if (vfs_flushes(vfs) != flushes &&
        varve_catalog_inode_get(vfs->catalog, inode->ino, &row, &unused))
        *inode = row;
}

/* Locked. */
static void
refresh_from(struct varve_vfs *vfs, struct vnode *vnode, struct varve_inode *inode)
{
    struct stat st;
    bool written = vnode->dirty && vnode_live_file(vnode);
    if ((written || inode->blocks == 0) && vnode->fd >= 0 && fstat(vnode->fd, &st) == 0) {
        inode->blocks = vfs_blocks(&st);
        if (written)
            (void)vnode_take_stat(vfs, vnode, inode, &st);
    }
    if (vnode->atime_ns > inode->atime_ns)
        inode->atime_ns = vnode->atime_ns;
}

void
vfs_refresh(struct varve_vfs *vfs, struct varve_inode *inode, uint64_t flushes)
{
    if (!S_ISREG(inode->mode))
        return;
    if (inode->content.value != 0)
        crash_catch_up(vfs, inode);
    struct vnode *vnode = vnode_peek(vfs, inode->ino);
    if (vnode == NULL) {
        read_again(vfs, inode, flushes);
        return;
    }
    /* Nobody waits for a file that is being copied or synced: then the row is right. */
    if (!vnode_try_lock(vnode)) {
        read_again(vfs, inode, flushes);
        inode->unsteady = true;
        vnode_put(vfs, vnode);
        return;
    }
    read_again(vfs, inode, flushes);
    refresh_from(vfs, vnode, inode);
    pass_settle_privileges(vfs, vnode, inode);
    inode->unsteady = pass_unsteady(vnode);
    vnode_release(vfs, vnode);
}

bool
varve_vfs_getattr(struct varve_vfs *vfs, uint64_t ino, struct varve_inode *ret,
                  struct varve_error *err)
{
    struct varve_inode inode;
    uint64_t flushes = vfs_flushes(vfs);
    if (!varve_catalog_inode_get(vfs->catalog, ino, &inode, err))
        return false;
    vfs_refresh(vfs, &inode, flushes);
    *ret = inode;
    return true;
}

/* --- setattr --- */

static bool
check_change(const struct varve_inode *inode, const struct varve_setattr *change,
             struct varve_error *err)
{
    if ((change->mask & VARVE_SET_SIZE) == 0 || S_ISREG(inode->mode)) {
        if (change->size > INT64_MAX && (change->mask & VARVE_SET_SIZE) != 0)
            return varve_error_set(err, VARVE_ERROR_INVALID, EFBIG, "set size");
        return true;
    }
    return varve_error_set(err, VARVE_ERROR_INVALID, S_ISDIR(inode->mode) ? EISDIR : EINVAL,
                           "set size of inode %" PRIu64, inode->ino);
}

void
vfs_apply_change(struct varve_inode *inode, const struct varve_setattr *change, int64_t now_ns)
{
    if (change->mask & VARVE_SET_MODE)
        inode->mode = (inode->mode & S_IFMT) | (change->mode & 07777);
    if (change->mask & VARVE_SET_UID)
        inode->uid = change->uid;
    if (change->mask & VARVE_SET_GID)
        inode->gid = change->gid;
    if (change->clear_suid && !S_ISDIR(inode->mode)) {
        inode->mode &= ~(uint32_t)S_ISUID;
        if (inode->mode & S_IXGRP)
            inode->mode &= ~(uint32_t)S_ISGID;
    }
    if (change->mask & VARVE_SET_ATIME)
        inode->atime_ns = change->atime_ns;
    if (change->mask & VARVE_SET_SIZE) {
        inode->size = change->size;
        inode->blocks = 0;
        inode->mtime_ns = vfs_later(inode->mtime_ns, now_ns);
    }
    if (change->mask & VARVE_SET_MTIME)
        inode->mtime_ns = change->mtime_ns;
    inode->ctime_ns = vfs_later(inode->ctime_ns, now_ns);
}

/* File capabilities fall with the setuid bit: the kernel leaves both to us. */
static bool
drop_capabilities(struct varve_vfs *vfs, uint64_t ino, struct varve_error *err)
{
    struct varve_error missing;
    if (varve_catalog_xattr_delete(vfs->catalog, ino, "security.capability", &missing) ||
        missing.kind == VARVE_ERROR_NOT_FOUND)
        return true;
    *err = missing;
    return false;
}

/* Inside a unit. `live`: the backing file has just got its size and mtime, so its row follows. */
static bool
change_rows(struct varve_vfs *vfs, uint64_t ino, const struct varve_setattr *change,
            struct vnode *live, struct varve_inode *ret, struct varve_error *err)
{
    if (!varve_catalog_inode_get(vfs->catalog, ino, ret, err) || !check_change(ret, change, err))
        return false;
    vfs_apply_change(ret, change, vfs_now(vfs));
    if ((change->clear_suid && !drop_capabilities(vfs, ino, err)) ||
        ((change->mask & VARVE_SET_MODE) != 0 && !acl_follow_mode(vfs, ret, err)))
        return false;
    if (live == NULL)
        return varve_catalog_inode_update(vfs->catalog, ret, err);
    struct stat st;
    struct varve_content row;
    if (fstat(live->fd, &st) != 0)
        return varve_error_system(err, errno, "look at backing file");
    ret->size = (uint64_t)st.st_size;
    ret->blocks = vfs_blocks(&st);
    ret->mtime_ns = vfs_ns(st.st_mtim);
    if (live->seen.ctime_ns >= ret->ctime_ns)
        ret->ctime_ns = vfs_later(live->seen.ctime_ns, ret->ctime_ns);
    vfs_note_stamp(vfs, ret->mtime_ns);
    if (!varve_catalog_content_get(vfs->catalog, live->content.id, &row, err))
        return false;
    row.size = ret->size;
    row.mtime_ns = ret->mtime_ns;
    flush_mark(live, &row);
    if (!varve_catalog_content_update(vfs->catalog, &row, err) ||
        !varve_catalog_inode_update(vfs->catalog, ret, err))
        return false;
    live->content = row;
    return true;
}

static bool
change_unit(struct varve_vfs *vfs, uint64_t ino, const struct varve_setattr *change,
            struct vnode *live, struct varve_inode *ret, struct varve_error *err)
{
    struct varve_inode inode;
    varve_catalog_begin(vfs->catalog);
    bool keep = change_rows(vfs, ino, change, live, &inode, err);
    if (!varve_catalog_end(vfs->catalog, keep, err))
        return false;
    *ret = inode;
    return true;
}

bool
vfs_change_rows(struct varve_vfs *vfs, uint64_t ino, const struct varve_setattr *change,
                struct varve_inode *ret, struct varve_error *err)
{
    return change_unit(vfs, ino, change, NULL, ret, err);
}

static bool
set_file_mtime(struct varve_vfs *vfs, struct vnode *vnode, const struct varve_setattr *change,
               struct varve_error *err)
{
    bool asked = (change->mask & VARVE_SET_MTIME) != 0;
    /* What was told of the file last may be newer than the row. */
    int64_t told_ns = vnode->seen.mtime_ns > vnode->content.mtime_ns ? vnode->seen.mtime_ns
                                                                     : vnode->content.mtime_ns;
    int64_t now_ns = vfs_later(told_ns, vfs_now(vfs));
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                vfs_timespec(asked ? change->mtime_ns : now_ns)};
    if (futimens(vnode->fd, times) != 0)
        return varve_error_system(err, errno, "set time of backing file");
    vnode->changes++;
    return true;
}

/* Locked. The physical change comes first: it can fail, the rows hardly can. */
static bool
change_file(struct varve_vfs *vfs, struct vnode *vnode, const struct varve_setattr *change,
            struct varve_inode *ret, struct varve_error *err)
{
    struct vnode *live = NULL;
    pass_settle_privileges(vfs, vnode, NULL);
    if ((change->mask & VARVE_SET_SIZE) != 0 && !version_truncate(vfs, vnode, change->size, err))
        return false;
    if (vnode_live_file(vnode)) {
        if (!vnode_need_fd(vfs, vnode, err) || !set_file_mtime(vfs, vnode, change, err))
            return false;
        live = vnode;
    }
    pass_watch_from_now(vnode);
    if (!change_unit(vfs, vnode->ino, change, live, ret, err))
        return false;
    if (live != NULL && live->content.unsynced)
        flush_closed(vfs, live);
    return true;
}

static struct varve_setattr
with_times(struct varve_vfs *vfs, const struct varve_inode *inode,
           const struct varve_setattr *asked)
{
    struct varve_setattr change = *asked;
    if ((change.mask & (VARVE_SET_ATIME_NOW | VARVE_SET_MTIME_NOW)) == 0)
        return change;
    int64_t now_ns = vfs_now(vfs);
    if (change.mask & VARVE_SET_ATIME_NOW) {
        change.mask |= VARVE_SET_ATIME;
        change.atime_ns = now_ns;
    }
    if (change.mask & VARVE_SET_MTIME_NOW) {
        change.mask |= VARVE_SET_MTIME;
        change.mtime_ns = vfs_later(inode->mtime_ns, now_ns);
    }
    return change;
}

bool
varve_vfs_setattr(struct varve_vfs *vfs, uint64_t ino, const struct varve_setattr *asked,
                  struct varve_inode *ret, struct varve_error *err)
{
    struct varve_inode inode;
    if (!varve_catalog_inode_get(vfs->catalog, ino, &inode, err) ||
        !check_change(&inode, asked, err))
        return false;
    const struct varve_setattr resolved = with_times(vfs, &inode, asked), *change = &resolved;
    if (!S_ISREG(inode.mode) || (change->mask & (VARVE_SET_SIZE | VARVE_SET_MTIME)) == 0) {
        uint64_t flushes = vfs_flushes(vfs);
        if (!change_unit(vfs, ino, change, NULL, &inode, err))
            return false;
        if ((inode.mode & (S_ISUID | S_ISGID)) != 0 && (change->mask & VARVE_SET_MODE) != 0)
            pass_privileges_given(vfs, ino);
        vfs_refresh(vfs, &inode, flushes);
        *ret = inode;
        return true;
    }
    struct vnode *vnode;
    if (!vnode_acquire(vfs, ino, &vnode, NULL, err))
        return false;
    bool ok = change_file(vfs, vnode, change, ret, err);
    if (ok)
        ret->unsteady = pass_unsteady(vnode);
    vnode_release(vfs, vnode);
    if (ok && (ret->mode & (S_ISUID | S_ISGID)) != 0 && (change->mask & VARVE_SET_MODE) != 0)
        pass_privileges_given(vfs, ino);
    return ok;
}

/* --- of the whole --- */

bool
varve_vfs_statfs(struct varve_vfs *vfs, struct statvfs *ret, struct varve_error *err)
{
    struct varve_tier_usage usage;
    if (!varve_store_usage(vfs->store, VARVE_TIER_NONE, &usage, err))
        return false;
    *ret = (struct statvfs){
        .f_bsize = 4096,
        .f_frsize = 4096,
        .f_blocks = usage.bytes_total / 4096,
        .f_bfree = usage.bytes_free / 4096,
        .f_bavail = usage.bytes_free / 4096,
        .f_files = UINT32_MAX, /* the catalog has no limit that anybody reaches */
        .f_ffree = UINT32_MAX,
        .f_favail = UINT32_MAX,
        .f_namemax = VARVE_NAME_BYTES_MAX,
    };
    return true;
}

/* The sync itself runs without the vnode's lock: others read and write meanwhile. */
static bool
sync_bytes(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err)
{
    if (!vnode_live_file(vnode))
        return true; /* FROZEN and SEALED contents were made durable when they became that */
    if (!vnode_need_fd(vfs, vnode, err))
        return false;
    int fd = vnode->fd;
    bool fresh = vnode->name_fresh;
    struct varve_place place = vnode->content.place;
    unsigned cuts = vnode->cuts;
    struct stat st;
    if (fstat(fd, &st) != 0)
        return varve_error_system(err, errno, "look at backing file");
    vnode->ios++;
    vnode_unlock(vfs, vnode);
    bool ok = (fresh ? fsync(fd) : fdatasync(fd)) == 0 ||
              varve_error_system(err, errno, "sync backing file");
    ok = ok && (!fresh || varve_store_sync_name(vfs->store, &place, err));
    vnode_lock(vnode);
    vnode_io_done(vnode);
    if (!ok || vnode->content.place.file != place.file)
        return ok;
    vnode->named = true;
    if (fresh)
        vnode->name_fresh = false;
    if (vnode->cuts == cuts && vnode->synced < (uint64_t)st.st_size)
        vnode->synced = (uint64_t)st.st_size;
    return ok;
}

bool
varve_vfs_fsync(struct varve_vfs *vfs, uint64_t ino, struct varve_error *err)
{
    struct varve_inode inode;
    struct vnode *vnode;
    if (ino == 0)
        return varve_catalog_sync(vfs->catalog, err);
    if (!vnode_acquire(vfs, ino, &vnode, &inode, err))
        return false;
    bool ok = true;
    if (S_ISREG(inode.mode))
        ok = sync_bytes(vfs, vnode, err) && vnode_flush(vfs, vnode, err);
    vnode_release(vfs, vnode);
    return ok && varve_catalog_sync(vfs->catalog, err);
}
