/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>

static void
count_open(struct varve_vfs *vfs, struct vnode *vnode)
{
    int64_t now_ns = vfs_now(vfs);
    vnode->heat = varve_heat_touch(vnode->heat, vnode->heat_ns, now_ns, vfs->heat_half_life_ns);
    vnode->heat_ns = now_ns;
    vnode->opens++;
}

/* A truncation at open belongs to the opened file's life: size and times follow at once, so that
 * the inode that open answers with is right. */
static bool
truncate_at_open(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err)
{
    const struct varve_setattr change = {.mask = VARVE_SET_SIZE};
    struct varve_inode unused;
    vnode_unlock(vfs, vnode);
    bool ok = varve_vfs_setattr(vfs, vnode->ino, &change, &unused, err);
    vnode_lock(vnode);
    return ok;
}

/* Locked. */
static bool
open_vnode(struct varve_vfs *vfs, struct vnode *vnode, const struct varve_inode *inode, int flags,
           bool scans, struct varve_error *err)
{
    bool writing = (flags & O_ACCMODE) != O_RDONLY;
    if (!S_ISREG(inode->mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, S_ISDIR(inode->mode) ? EISDIR : EINVAL,
                               "open inode %" PRIu64, inode->ino);
    unsigned *count = writing ? &vnode->writers : &vnode->readers;
    (*count)++;
    if (writing && (flags & O_TRUNC) != 0 && !truncate_at_open(vfs, vnode, err)) {
        (*count)--;
        return false;
    }
    if (!scans)
        count_open(vfs, vnode);
    return true;
}

bool
varve_vfs_open(struct varve_vfs *vfs, uint64_t ino, int flags, struct varve_open **ret,
               struct varve_error *err)
{
    return varve_vfs_open_by(vfs, NULL, ino, flags, ret, err);
}

bool
varve_vfs_open_by(struct varve_vfs *vfs, const struct varve_reader *reader, uint64_t ino, int flags,
                  struct varve_open **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_open *open = calloc(1, sizeof *open);
    if (open == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open inode %" PRIu64, ino);
    struct varve_inode inode;
    struct vnode *vnode;
    bool scans = reader_scans(vfs, reader);
    if (!vnode_acquire(vfs, ino, &vnode, &inode, err))
        return false;
    if (!open_vnode(vfs, vnode, &inode, flags, scans, err)) {
        vnode_release(vfs, vnode);
        return false;
    }
    open->vfs = vfs;
    open->vnode = vnode;
    open->writing = (flags & O_ACCMODE) != O_RDONLY;
    open->reading = (flags & O_ACCMODE) != O_WRONLY;
    open->synchronous = open->writing && (flags & O_DSYNC) != 0;
    open->no_atime = scans || (flags & O_NOATIME) != 0;
    open->atime_done = !vfs_atime_is_old(&inode, vfs_now(vfs));
    vnode_unlock(vfs, vnode);
    *ret = VARVE_TAKE(open);
    return true;
}

static void
set_simulated_mtime(struct varve_vfs *vfs, struct vnode *vnode)
{
    int64_t now_ns = vfs_now(vfs);
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = now_ns / VARVE_NS_PER_SECOND, .tv_nsec = now_ns % VARVE_NS_PER_SECOND}};
    if (vnode->fd >= 0)
        (void)futimens(vnode->fd, times); /* simulations only */
}

/* Inside a unit. */
static bool
drop_empty_rows(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err)
{
    struct varve_inode inode;
    if (!varve_catalog_inode_get(vfs->catalog, vnode->ino, &inode, err))
        return false;
    inode.content = (struct varve_content_id){0};
    return varve_catalog_inode_update(vfs->catalog, &inode, err) &&
           varve_catalog_content_delete(vfs->catalog, vnode->content.id, err);
}

/* Locked, after the last close: a file that was given a backing file in case it would be written,
 * and was not, is as it was before: without a content. */
static void
drop_if_empty(struct varve_vfs *vfs, struct vnode *vnode)
{
    struct stat st;
    struct varve_error unused; /* kept, it is an empty content: no harm */
    const struct varve_content *content = &vnode->content;
    if (vnode->content.version != 1 || !vnode_live_file(vnode) || vnode->fd < 0 || vnode->mapped ||
        vnode->readers + vnode->writers > 0 || vnode->ios > 0 || fstat(vnode->fd, &st) != 0 ||
        st.st_size != 0)
        return;
    struct varve_place unwanted = content->place;
    varve_catalog_begin(vfs->catalog);
    if (!varve_catalog_end(vfs->catalog, drop_empty_rows(vfs, vnode, &unused), &unused))
        return;
    vnode->content = (struct varve_content){0};
    vnode->name_fresh = false;
    vnode_replace_fd(vnode, -1);
    varve_vfs_remove_later(vfs, unwanted);
}

/* Locked; unlocks. */
static void
close_locked(struct varve_open *open)
{
    struct varve_vfs *vfs = open->vfs;
    struct vnode *vnode = open->vnode;
    struct varve_error unused; /* close cannot fail usefully: fsync is for who wants to know */
    assert(open->writing ? vnode->writers > 0 : vnode->readers > 0);
    bool was_passed = open->passthrough;
    if (was_passed)
        pass_closed(vfs, open);
    if (open->writing)
        vnode->writers--;
    else
        vnode->readers--;
    bool last_writer = open->writing && vnode->writers == 0 && vnode->dirty;
    if (last_writer || vnode->readers + vnode->writers == 0)
        VARVE_IGNORE(vnode_flush(vfs, vnode, &unused));
    if (last_writer && vnode_live_file(vnode))
        vfs_mark_origin(vfs, vnode->ino, vnode->content.version, vnode->content.place);
    if (was_passed && open->writing)
        drop_if_empty(vfs, vnode);
    vnode_unlock(vfs, vnode);
    free(open);
    vnode_put(vfs, vnode);
}

void
varve_open_close(struct varve_open *open)
{
    if (open == NULL)
        return;
    vnode_lock(open->vnode);
    close_locked(open);
}

bool
varve_open_try_close(struct varve_open *open)
{
    if (!vnode_try_lock(open->vnode))
        return false;
    close_locked(open);
    return true;
}

void
open_note_read(struct varve_open *open)
{
    int mode = atomic_load(&open->vfs->file_atime);
    if (open->no_atime || mode == VARVE_ATIME_NEVER ||
        (open->atime_done && mode != VARVE_ATIME_STRICT))
        return;
    open->atime_done = true;
    open->vnode->atime_ns = vfs_now(open->vfs);
}

/* Locked. Of the bytes as they are now. */
static bool
current_size(struct varve_vfs *vfs, struct vnode *vnode, uint64_t *ret, struct varve_error *err)
{
    struct stat st;
    *ret = vnode->content.id.value == 0 ? 0 : vnode->content.size;
    if (!vnode_live_file(vnode)) {
        if (vnode->content.phase == VARVE_PHASE_LIVE)
            *ret = 0;
        return true;
    }
    if (!vnode_need_fd(vfs, vnode, err))
        return false;
    if (fstat(vnode->fd, &st) != 0)
        return varve_error_system(err, errno, "look at backing file");
    *ret = (uint64_t)st.st_size;
    return true;
}

/* Locked. Of bytes that are on discs only: what a recall has brought so far, or the kept head. With
 * `cut` less will do than *size, if that saves a recall. -1: to be waited for. */
static int
fd_without_copy(struct varve_vfs *vfs, struct vnode *vnode, uint64_t offset, bool cut,
                uint64_t *size)
{
    uint64_t head = 0;
    int fd = recall_partial_fd(vnode, offset, offset + *size);
    if (fd >= 0)
        return fd;
    fd = head_fd(vfs, vnode, &head);
    if (fd < 0 || offset >= head)
        return -1;
    if (*size <= head - offset)
        return fd;
    if (!cut || vnode->filling != NULL)
        return -1;
    *size = head - offset;
    return fd;
}

/* Locked. */
static bool
read_vnode(struct varve_open *open, uint64_t offset, bool cut, uint64_t *size, int *ret_fd,
           struct varve_error *err)
{
    uint64_t total;
    struct varve_vfs *vfs = open->vfs;
    struct vnode *vnode = open->vnode;
    if (!current_size(vfs, vnode, &total, err))
        return false;
    *ret_fd = -1;
    if (offset >= total || *size == 0) {
        *size = 0;
        return true;
    }
    uint64_t count = *size < total - offset ? *size : total - offset;
    if (vnode->content.place.tier != VARVE_TIER_NONE) {
        if (!vnode_need_fd(vfs, vnode, err))
            return false;
        *ret_fd = vnode->fd;
    } else {
        *ret_fd = fd_without_copy(vfs, vnode, offset, cut, &count);
    }
    if (*ret_fd < 0)
        return varve_error_set(err, VARVE_ERROR_WAIT, 0, "inode %" PRIu64 " is on discs only",
                               vnode->ino);
    vnode->ios++;
    *size = count;
    return true;
}

static bool
read_open(struct varve_open *open, uint64_t offset, bool cut, uint64_t *size, int *ret_fd,
          struct varve_error *err)
{
    if (!open->reading)
        return varve_error_set(err, VARVE_ERROR_INVALID, EBADF, "read a file open for writing");
    if (!vnode_enter(open->vnode, err))
        return false;
    bool ok = read_vnode(open, offset, cut, size, ret_fd, err);
    if (ok)
        open_note_read(open);
    vnode_unlock(open->vfs, open->vnode);
    return ok;
}

bool
varve_open_read(struct varve_open *open, uint64_t offset, uint64_t *size, int *ret_fd,
                struct varve_error *err)
{
    return read_open(open, offset, false, size, ret_fd, err);
}

bool
varve_open_read_some(struct varve_open *open, uint64_t offset, uint64_t *size, int *ret_fd,
                     struct varve_error *err)
{
    return read_open(open, offset, true, size, ret_fd, err);
}

bool
varve_open_write(struct varve_open *open, int *ret_fd, struct varve_error *err)
{
    struct vnode *vnode = open->vnode;
    if (!open->writing)
        return varve_error_set(err, VARVE_ERROR_INVALID, EBADF, "write a file open for reading");
    if (!vnode_enter(vnode, err))
        return false;
    bool ok = version_for_write(open->vfs, vnode, UINT64_MAX, err);
    if (ok) {
        vnode->dirty = true;
        vnode->changes++;
        vnode->ios++;
        flush_wet(open->vfs, vnode);
        open->writes++;
        *ret_fd = vnode->fd;
    }
    vnode_unlock(open->vfs, vnode);
    return ok;
}

void
varve_open_done(struct varve_open *open)
{
    vnode_lock(open->vnode);
    if (open->writes > 0) {
        open->writes--;
        flush_wet(open->vfs, open->vnode); /* a flush may have been under way */
        if (open->vfs->simulated)
            set_simulated_mtime(open->vfs, open->vnode);
    }
    vnode_io_done(open->vnode);
    vnode_unlock(open->vfs, open->vnode);
}

void
varve_open_shortened(struct varve_open *open)
{
    struct stat st;
    struct vnode *vnode = open->vnode;
    vnode_lock(vnode);
    flush_cut(vnode, vnode->fd >= 0 && fstat(vnode->fd, &st) == 0 ? (uint64_t)st.st_size : 0);
    vnode_unlock(open->vfs, vnode);
}

bool
varve_open_hides_data(struct varve_open *open)
{
    vnode_lock(open->vnode);
    bool hides = open->vnode->writers > 0 && open->vnode->passthroughs == 0;
    vnode_unlock(open->vfs, open->vnode);
    return hides;
}

bool
varve_open_is_written(struct varve_open *open)
{
    vnode_lock(open->vnode);
    bool written = open->vnode->writers > 0;
    vnode_unlock(open->vfs, open->vnode);
    return written;
}

bool
varve_open_on_discs(struct varve_open *open)
{
    vnode_lock(open->vnode);
    const struct varve_content *content = &open->vnode->content;
    struct varve_error unused; /* reading it will tell */
    bool on_discs = version_reread(open->vfs, open->vnode, &unused) && content->id.value != 0 &&
                    content->place.tier == VARVE_TIER_NONE;
    vnode_unlock(open->vfs, open->vnode);
    return on_discs;
}
