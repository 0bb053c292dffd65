/* SPDX-License-Identifier: Apache-2.0 */
/* open.c - open files, and the one place that decides how the kernel treats them.
 *
 * The kernel's rule: an inode can be open through the page cache or in passthrough, not both at
 * once; an open that conflicts fails. Direct handles go with cached ones, and while the inode is in
 * passthrough every open must be, with the same backing file. So the mode is a property of the
 * inode for as long as any handle is open, and all of it is decided in decide_mode().
 *
 * Our rule: what is written, by write(2) or through mappings, goes through one page cache. The
 * kernel writes out whole pages, so that a page which another way of writing went around would put
 * its old bytes back. Nor is a page dropped while somebody writes: who stores into what was read
 * anew would undo a write that is under way.
 * - passthrough: content in a backing file that the vfs lets the kernel have, if nobody has the
 *   file open in another way; all pages are those of the backing file. Reads, writes and mappings
 *   do not come to us. With direct_io only mappings do not: for writing what has setuid, setgid or
 *   capabilities, which we strip. As long as a mapping is left, every open is of this kind.
 * - cached: all else. The cache stays valid from one open to the next, as nobody changes files but
 *   this mount (or notify.c tells). It is emptied before the first open that is not in passthrough:
 *   readahead(2) fills it even then.
 * - direct: content that is still on discs, for reading, unless somebody writes it. A read through
 *   the page cache that waits for a robot would hold locked pages and could only be killed, not
 *   interrupted; a direct read is an ordinary request that a signal ends. It stays direct until it
 *   is closed, also when the recall is done.
 *   So it is with strictatime: reads from the page cache would not be seen. */
#include "fs_internal.h"

#include <inttypes.h>
#include <sys/mount.h>

static void
link_handle(struct varve_mount *mount, struct fs_handle *handle)
{
    VARVE_LOCKED(&mount->lock);
    handle->next = mount->handles;
    if (handle->next != NULL)
        handle->next->prev = handle;
    mount->handles = handle;
}

static void
unlink_handle(struct varve_mount *mount, struct fs_handle *handle)
{
    VARVE_LOCKED(&mount->lock);
    if (handle->prev != NULL)
        handle->prev->next = handle->next;
    else
        mount->handles = handle->next;
    if (handle->next != NULL)
        handle->next->prev = handle->prev;
}

/* Node locked. True if the kernel takes the file in passthrough, false if it must come to us; fails
 * only where the kernel leaves no choice. */
static bool
try_to_pass(struct varve_mount *mount, struct fs_node *node, struct fs_handle *handle,
            struct varve_pass *pass, struct varve_error *err)
{
    bool for_good = false;
    *pass = (struct varve_pass){.how = VARVE_PASS_NO};
    if (!mount->passthrough)
        return true;
    /* The kernel syncs no passthrough write because of the mount, and tells of no read. */
    bool all_ours = (atomic_load(&mount->flags) & (MS_STRICTATIME | MS_SYNCHRONOUS)) != 0;
    const struct varve_pass_wish wish = {
        .forced = node->passes > 0,
        .unwanted = node->handles > 0 || !fs_passthrough_on(mount),
        .mappings_only = all_ours,
    };
    if (!varve_open_pass(handle->open, &wish, pass, err))
        return false;
    if (pass->how == VARVE_PASS_NO)
        return true;
    if (fs_node_register(mount, node, pass->fd, &for_good)) {
        handle->passed = true;
        node->passes++;
        return true;
    }
    varve_open_pass_refused(handle->open, for_good);
    pass->how = VARVE_PASS_NO;
    return !pass->forced ||
           varve_error_set(err, VARVE_ERROR_BUSY, 0,
                           "inode %" PRIu64 " is mapped by a program, and the kernel takes no "
                           "backing file for passthrough now",
                           node->ino);
}

/* Node locked. Through the page cache, or past it. */
static void
go_through_us(struct varve_mount *mount, struct fs_node *node, struct fs_handle *handle,
              struct fuse_file_info *fi)
{
    bool written = varve_open_is_written(handle->open);
    handle->direct = !written && varve_open_on_discs(handle->open);
    handle->maps = (fi->flags & O_ACCMODE) == O_RDWR;
    node->mappers += handle->maps;
    fi->direct_io =
        handle->direct || (!written && (atomic_load(&mount->flags) & MS_STRICTATIME) != 0);
    fi->keep_cache = true;
    if (mount->passthrough && node->handles == 1)
        fs_forget_pages(mount, node->ino);
}

static bool
decide_mode(struct varve_mount *mount, struct fs_node *node, struct fs_handle *handle,
            struct fuse_file_info *fi, struct varve_error *err)
{
    struct varve_pass pass;
    if (!try_to_pass(mount, node, handle, &pass, err))
        return false;
    node->handles++;
    if (pass.unsteady)
        fs_forget_attributes(mount, node->ino);
    switch (pass.how) {
    case VARVE_PASS_ALL:
    case VARVE_PASS_MAPPINGS:
        fi->backing_id = node->backing_id;
        fi->direct_io = pass.how == VARVE_PASS_MAPPINGS;
        return true;
    case VARVE_PASS_NO:
        go_through_us(mount, node, handle, fi);
        return true;
    }
    return true;
}

/* What is written past us with O_SYNC is durable when the file and its name are. */
static bool
sync_at_open(struct varve_mount *mount, const struct fs_handle *handle,
             const struct fuse_file_info *fi, struct varve_error *err)
{
    bool writing = (fi->flags & O_ACCMODE) != O_RDONLY;
    if (!handle->passed || !writing || (fi->flags & O_DSYNC) == 0)
        return true;
    return varve_vfs_fsync(mount->vfs, handle->ino, err);
}

static void
leave_node(struct varve_mount *mount, struct fs_handle *handle)
{
    struct fs_node *node = handle->node;
    {
        VARVE_LOCKED(&node->lock);
        node->handles--;
        node->mappers -= handle->maps;
        if (handle->passed)
            fs_node_left(mount, node);
    }
    fs_node_put(mount, node);
    handle->node = NULL;
}

static bool
join_node(struct varve_mount *mount, struct fs_handle *handle, struct fuse_file_info *fi,
          struct varve_error *err)
{
    struct fs_node *node = fs_node_get(mount, handle->ino);
    if (node == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open");
    handle->node = node;
    bool decided = false;
    {
        VARVE_LOCKED(&node->lock);
        decided = decide_mode(mount, node, handle, fi, err);
    }
    if (!decided) {
        fs_node_put(mount, node);
        return false;
    }
    if (sync_at_open(mount, handle, fi, err))
        return true;
    leave_node(mount, handle);
    return false;
}

/* Takes `open` in any case. */
static bool
give_handle(struct varve_mount *mount, uint64_t ino, struct varve_open *open,
            struct fuse_file_info *fi, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct fs_handle *handle = calloc(1, sizeof *handle);
    bool ok = handle != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open");
    if (ok) {
        handle->ino = ino;
        handle->open = open;
        atomic_init(&handle->uses, 1);
        ok = join_node(mount, handle, fi, err);
    }
    if (!ok) {
        varve_open_close(open);
        return false;
    }
    link_handle(mount, handle);
    fi->fh = (uintptr_t)VARVE_TAKE(handle);
    return true;
}

static bool
open_handle(struct varve_mount *mount, const struct varve_reader *reader, uint64_t ino,
            struct fuse_file_info *fi, struct varve_error *err)
{
    struct varve_open *open = NULL;
    return varve_vfs_open_by(mount->vfs, reader, ino, fi->flags, &open, err) &&
           give_handle(mount, ino, open, fi, err);
}

void
fs_handle_drop(struct fs_handle *handle)
{
    if (atomic_fetch_sub(&handle->uses, 1) != 1)
        return;
    varve_open_close(handle->open);
    free(handle);
}

static void
close_handle(struct varve_mount *mount, struct fs_handle *handle)
{
    unlink_handle(mount, handle);
    leave_node(mount, handle);
    fs_handle_drop(handle);
}

static bool
attempt_open(struct fs_job *job, struct varve_error *err)
{
    if (!open_handle(job->mount, &job->reader, job->ino, &job->fi, err))
        return false;
    /* Interrupted: the kernel will never release what it does not know to be open. */
    if (fuse_reply_open(job->req, &job->fi) == -ENOENT)
        close_handle(job->mount, fs_handle_of(&job->fi));
    return true;
}

void
fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    fs_run(&(struct fs_job){
        .mount = fs_mount_of(req),
        .req = req,
        .what = "open",
        .attempt = attempt_open,
        .reader = fs_reader_of(req),
        .ino = ino,
        .fi = *fi,
        .slow = (fi->flags & O_DSYNC) != 0,
    });
}

/* Another request may have made the name since the kernel looked: fine, unless O_EXCL. */
static bool
make_or_find(fuse_req_t req, uint64_t parent, const char *name, mode_t mode, int flags,
             struct varve_inode *ret, bool *ret_made, struct varve_error *err)
{
    struct varve_vfs *vfs = fs_mount_of(req)->vfs;
    struct varve_caller caller = fs_caller_of(req);
    uint32_t type_and_mode = (mode & 07777) | S_IFREG;
    *ret_made = varve_vfs_make(vfs, &caller, parent, name, type_and_mode, 0, ret, err);
    if (*ret_made)
        return fs_settle(fs_mount_of(req), MS_DIRSYNC, err);
    if (err->kind != VARVE_ERROR_EXISTS || (flags & O_EXCL) != 0)
        return false;
    return varve_vfs_lookup(vfs, parent, name, ret, err);
}

void
fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
          struct fuse_file_info *fi)
{
    struct varve_mount *mount = fs_mount_of(req);
    struct varve_inode inode;
    struct varve_error err = {0}, undo = {0};
    bool made = false;
    if (!make_or_find(req, parent, name, mode, fi->flags, &inode, &made, &err)) {
        fs_reply_error(req, "create", parent, &err);
        return;
    }
    const struct varve_reader reader = fs_reader_of(req);
    if (made)
        fi->flags &= ~O_TRUNC; /* it is empty, and its times are in the answer already */
    bool ok = open_handle(mount, &reader, inode.ino, fi, &err);
    if (ok && (fi->flags & O_TRUNC) != 0) /* found after all, and emptied: other attributes now */
        (void)!varve_vfs_getattr(mount->vfs, inode.ino, &inode, &undo);
    if (!ok) {
        if (made) /* a create that fails leaves no name; if this fails too, it leaves an empty file
                   */
            (void)!varve_vfs_unlink(mount->vfs, parent, name, &undo);
        fs_reply_error(req, "create", parent, &err);
        return;
    }
    struct fuse_entry_param entry;
    inode.unsteady = inode.unsteady || (fi->flags & O_ACCMODE) == O_RDWR;
    fs_entry(&inode, &entry);
    if (fuse_reply_create(req, &entry, fi) == -ENOENT)
        close_handle(mount, fs_handle_of(fi));
}

#ifdef FUSE_HAS_TMPFILE
void
fs_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
    struct varve_mount *mount = fs_mount_of(req);
    struct varve_caller caller = fs_caller_of(req);
    struct varve_open *open = NULL;
    struct varve_inode inode;
    struct varve_error err = {0};
    if (!varve_vfs_tmpfile(mount->vfs, &caller, parent, mode, fi->flags, &open, &inode, &err) ||
        !give_handle(mount, inode.ino, open, fi, &err)) {
        fs_reply_error(req, "tmpfile", parent, &err);
        return;
    }
    struct fuse_entry_param entry;
    inode.unsteady = (fi->flags & O_ACCMODE) == O_RDWR;
    fs_entry(&inode, &entry);
    if (fuse_reply_create(req, &entry, fi) == -ENOENT)
        close_handle(mount, fs_handle_of(fi));
}
#endif

static bool
attempt_release(struct fs_job *job, struct varve_error *err)
{
    (void)err;
    fs_handle_drop(job->handle);
    (void)fuse_reply_err(job->req, 0);
    return true;
}

void
fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct varve_mount *mount = fs_mount_of(req);
    struct fs_handle *handle = fs_handle_of(fi);
    unlink_handle(mount, handle);
    leave_node(mount, handle);
    if (atomic_load(&handle->uses) == 1 && varve_open_try_close(handle->open)) {
        free(handle);
        (void)fuse_reply_err(req, 0);
        return;
    }
    fs_run(&(struct fs_job){
        .mount = mount,
        .req = req,
        .what = "release",
        .attempt = attempt_release,
        .handle = handle,
        .ino = ino,
        .slow = true,
    });
}

void
fs_close_handles(struct varve_mount *mount)
{
    while (mount->handles != NULL)
        close_handle(mount, mount->handles);
}
