/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <fcntl.h>
#include <inttypes.h>

#define DAY_NS (86400 * VARVE_NS_PER_SECOND)

int64_t
vfs_now(const struct varve_vfs *vfs)
{
    return varve_clock_realtime(vfs->clock);
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

bool
vfs_wants_atime(const struct varve_inode *inode, int64_t now_ns)
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
                vfs_wants_atime(&inode, now_ns);
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
    return now_ns >= before_ns ? now_ns : before_ns + 1;
}

uint64_t
vfs_blocks(const struct stat *st)
{
    return st->st_blocks > 0 || st->st_size == 0 ? (uint64_t)st->st_blocks : 1;
}

bool
vfs_take_stat(struct varve_inode *inode, const struct stat *st)
{
    inode->blocks = vfs_blocks(st);
    int64_t mtime_ns = vfs_ns(st->st_mtim);
    /* Who sets a time back says so in the row as well. Else an older time is that of the file's
     * making, or of a clock that ticks more slowly than the one that the row's time is from. */
    if (mtime_ns < inode->mtime_ns)
        mtime_ns = inode->mtime_ns;
    if (inode->size == (uint64_t)st->st_size && inode->mtime_ns == mtime_ns)
        return false;
    inode->size = (uint64_t)st->st_size;
    inode->mtime_ns = mtime_ns;
    inode->ctime_ns = vfs_later(inode->ctime_ns, mtime_ns);
    return true;
}

void
vfs_refresh(struct varve_vfs *vfs, struct varve_inode *inode, bool wait, uint64_t settled)
{
    struct varve_error unused; /* gone meanwhile: what was read is the last that was true */
    if (!S_ISREG(inode->mode))
        return;
    if (inode->content.value != 0)
        crash_catch_up(vfs, inode);
    struct vnode *vnode = vnode_peek(vfs, inode->ino);
    if (vnode == NULL) {
        if (settled != vfs_settled(vfs))
            VARVE_IGNORE(varve_catalog_inode_get(vfs->catalog, inode->ino, inode, &unused));
        return;
    }
    /* Nobody waits for a file that is being copied or synced, and a listing for none at all: what
     * the catalog says was true a moment ago. */
    if (wait ? !vnode_try_lock(vnode) : pthread_mutex_trylock(&vnode->lock) != 0) {
        inode->unsteady = true;
        vnode_put(vfs, vnode);
        return;
    }
    VARVE_IGNORE(varve_catalog_inode_get(vfs->catalog, inode->ino, inode, &unused));
    struct stat st;
    bool written = vnode->dirty && vnode_live_file(vnode);
    if ((written || inode->blocks == 0) && vnode->fd >= 0 && fstat(vnode->fd, &st) == 0) {
        inode->blocks = vfs_blocks(&st);
        if (written)
            (void)vnode_take_stat(vnode, inode, &st);
    }
    if (vnode->atime_ns > inode->atime_ns)
        inode->atime_ns = vnode->atime_ns;
    pass_settle_privileges(vfs, vnode, inode);
    inode->unsteady = pass_unsteady(vnode);
    vnode_release(vfs, vnode);
}

bool
varve_vfs_getattr(struct varve_vfs *vfs, uint64_t ino, struct varve_inode *ret,
                  struct varve_error *err)
{
    struct varve_inode inode;
    uint64_t settled = vfs_settled(vfs);
    if (!varve_catalog_inode_get(vfs->catalog, ino, &inode, err))
        return false;
    vfs_refresh(vfs, &inode, true, settled);
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
        inode->mtime_ns = now_ns;
    }
    if (change->mask & VARVE_SET_MTIME)
        inode->mtime_ns = change->mtime_ns;
    inode->ctime_ns = now_ns;
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
    if (!varve_catalog_content_get(vfs->catalog, live->content.id, &row, err))
        return false;
    row.size = ret->size;
    row.mtime_ns = ret->mtime_ns;
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
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                vfs_timespec(asked ? change->mtime_ns : vfs_now(vfs))};
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
    return change_unit(vfs, vnode->ino, change, live, ret, err);
}

bool
varve_vfs_setattr(struct varve_vfs *vfs, uint64_t ino, const struct varve_setattr *change,
                  struct varve_inode *ret, struct varve_error *err)
{
    struct varve_inode inode;
    uint64_t settled = vfs_settled(vfs);
    if (!varve_catalog_inode_get(vfs->catalog, ino, &inode, err) ||
        !check_change(&inode, change, err))
        return false;
    if (!S_ISREG(inode.mode) || (change->mask & (VARVE_SET_SIZE | VARVE_SET_MTIME)) == 0) {
        if (!change_unit(vfs, ino, change, NULL, &inode, err))
            return false;
        if ((inode.mode & (S_ISUID | S_ISGID)) != 0 && (change->mask & VARVE_SET_MODE) != 0)
            pass_privileges_given(vfs, ino);
        vfs_refresh(vfs, &inode, true, settled);
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
    vnode->ios++;
    vnode_unlock(vfs, vnode);
    bool ok = (fresh ? fsync(fd) : fdatasync(fd)) == 0 ||
              varve_error_system(err, errno, "sync backing file");
    ok = ok && (!fresh || varve_store_sync_name(vfs->store, &place, err));
    vnode_lock(vnode);
    vnode_io_done(vnode);
    if (ok && fresh && vnode->content.place.file == place.file)
        vnode->name_fresh = false;
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
