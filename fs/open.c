/* SPDX-License-Identifier: Apache-2.0 */
/* open.c - open files, and the one place that decides how the kernel treats them.
 *
 * The kernel's rule: an inode can be open through the page cache or in passthrough, not both at
 * once; an open that conflicts fails. Direct handles go with either. So the mode is a property of
 * the inode for as long as any handle is open, and all of it is decided in decide_mode():
 * - cached: content that is in a backing file. The cache stays valid from one open to the next,
 *   as nobody changes files but this mount (or notify.c tells).
 * - direct: content that is still on discs. A read through the page cache that waits for a robot
 *   would hold locked pages and could only be killed, not interrupted; a direct read is an ordinary
 *   request that a signal ends. It stays direct until it is closed, also when the recall is done.
 * - passthrough (issue 3) belongs here too: for handles with varve_open_backing_fd() >= 0, and only
 *   while no cached handle of the inode is open. Files with setuid, setgid or capabilities must not
 *   be written in passthrough: the kernel would not strip them. */
#include "fs_internal.h"

#include <string.h>

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

/* Asked without side effects: varve_open_backing_fd() would tie the file to its backing file until
 * the close, varve_open_read() would count as a read. */
static bool
must_wait(struct varve_mount *mount, const struct fs_handle *handle)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer state = {0};
    struct varve_error err = {0};
    const char *migrated = varve_state_name(VARVE_STATE_MIGRATED);
    return varve_vfs_xattr_get(mount->vfs, handle->ino, "user.varve.state", &state, &err) &&
           state.size == strlen(migrated) && memcmp(state.data, migrated, state.size) == 0;
}

static void
decide_mode(struct varve_mount *mount, const struct fs_handle *handle, struct fuse_file_info *fi)
{
    if (must_wait(mount, handle))
        fi->direct_io = 1;
    else
        fi->keep_cache = 1;
}

/* Takes `open` in any case. */
static bool
give_handle(struct varve_mount *mount, uint64_t ino, struct varve_open *open,
            struct fuse_file_info *fi, struct varve_error *err)
{
    struct fs_handle *handle = calloc(1, sizeof *handle);
    if (handle == NULL) {
        varve_open_close(open);
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open");
    }
    handle->ino = ino;
    handle->open = open;
    atomic_init(&handle->uses, 1);
    decide_mode(mount, handle, fi);
    link_handle(mount, handle);
    fi->fh = (uintptr_t)handle;
    return true;
}

static bool
open_handle(struct varve_mount *mount, uint64_t ino, struct fuse_file_info *fi,
            struct varve_error *err)
{
    struct varve_open *open = NULL;
    return varve_vfs_open(mount->vfs, ino, fi->flags, &open, err) &&
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
    fs_handle_drop(handle);
}

void
fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct varve_mount *mount = fs_mount_of(req);
    struct varve_error err = {0};
    if (!open_handle(mount, ino, fi, &err)) {
        fs_reply_error(req, "open", ino, &err);
        return;
    }
    /* Interrupted: the kernel will never release what it does not know to be open. */
    if (fuse_reply_open(req, fi) == -ENOENT)
        close_handle(mount, fs_handle_of(fi));
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
        return true;
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
    if (!open_handle(mount, inode.ino, fi, &err)) {
        if (made) /* a create that fails leaves no name; if this fails too, it leaves an empty file
                   */
            (void)!varve_vfs_unlink(mount->vfs, parent, name, &undo);
        fs_reply_error(req, "create", parent, &err);
        return;
    }
    struct fuse_entry_param entry;
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
    fs_entry(&inode, &entry);
    if (fuse_reply_create(req, &entry, fi) == -ENOENT)
        close_handle(mount, fs_handle_of(fi));
}
#endif

void
fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    close_handle(fs_mount_of(req), fs_handle_of(fi));
    (void)fuse_reply_err(req, 0);
}

void
fs_close_handles(struct varve_mount *mount)
{
    while (mount->handles != NULL)
        close_handle(mount, mount->handles);
}
