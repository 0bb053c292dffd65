/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_internal.h"

#include <string.h>
#include <sys/mount.h>

/* The end of every operation that answers with an entry. */
static void
reply_entry(fuse_req_t req, const char *what, uint64_t parent, bool ok,
            const struct varve_inode *inode, const struct varve_error *err)
{
    if (!ok) {
        fs_reply_error(req, what, parent, err);
        return;
    }
    struct fuse_entry_param entry;
    fs_entry(inode, &entry);
    (void)fuse_reply_entry(req, &entry);
}

/* The end of every operation that answers with success alone. */
static void
reply_done(fuse_req_t req, const char *what, uint64_t ino, bool ok, const struct varve_error *err)
{
    if (ok)
        (void)fuse_reply_err(req, 0);
    else
        fs_reply_error(req, what, ino, err);
}

/* The end of every operation that changed names. */
static bool
settle(fuse_req_t req, struct varve_error *err)
{
    return fs_settle(fs_mount_of(req), MS_DIRSYNC, err);
}

/* "." and "..": only file handles from before a restart (NFS) are looked up so. */
static bool
lookup(struct varve_vfs *vfs, uint64_t parent, const char *name, struct varve_inode *ret,
       struct varve_error *err)
{
    if (strcmp(name, ".") == 0)
        return varve_vfs_getattr(vfs, parent, ret, err);
    if (strcmp(name, "..") != 0)
        return varve_vfs_lookup(vfs, parent, name, ret, err);
    uint64_t above = 0;
    return varve_vfs_parent(vfs, parent, &above, err) && varve_vfs_getattr(vfs, above, ret, err);
}

void
fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct varve_inode inode;
    struct varve_error err = {0};
    if (lookup(fs_mount_of(req)->vfs, parent, name, &inode, &err)) {
        reply_entry(req, "lookup", parent, true, &inode, &err);
        return;
    }
    if (err.kind != VARVE_ERROR_NOT_FOUND) {
        fs_reply_error(req, "lookup", parent, &err);
        return;
    }
    /* Entry 0: the kernel may remember that there is none. */
    (void)fuse_reply_entry(req, &(struct fuse_entry_param){.entry_timeout = FS_TIMEOUT_S});
}

/* The vfs keeps nothing for an inode that the kernel knows, so there is nothing to forget. */
void
fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    (void)ino;
    (void)count;
    fuse_reply_none(req);
}

void
fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    (void)count;
    (void)forgets;
    fuse_reply_none(req);
}

void
fs_readlink(fuse_req_t req, fuse_ino_t ino)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer target = {0};
    struct varve_error err = {0};
    if (varve_vfs_readlink(fs_mount_of(req)->vfs, ino, &target, &err))
        (void)fuse_reply_readlink(req, varve_buffer_string(&target));
    else
        fs_reply_error(req, "readlink", ino, &err);
}

void
fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct varve_caller caller = fs_caller_of(req);
    struct varve_inode inode;
    struct varve_error err = {0};
    bool ok =
        varve_vfs_make(fs_mount_of(req)->vfs, &caller, parent, name, mode, rdev, &inode, &err) &&
        settle(req, &err);
    reply_entry(req, "mknod", parent, ok, &inode, &err);
}

void
fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    fs_mknod(req, parent, name, mode | S_IFDIR, 0);
}

void
fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct varve_error err = {0};
    bool ok = varve_vfs_unlink(fs_mount_of(req)->vfs, parent, name, &err) && settle(req, &err);
    reply_done(req, "unlink", parent, ok, &err);
}

void
fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct varve_error err = {0};
    bool ok = varve_vfs_rmdir(fs_mount_of(req)->vfs, parent, name, &err) && settle(req, &err);
    reply_done(req, "rmdir", parent, ok, &err);
}

void
fs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct varve_caller caller = fs_caller_of(req);
    struct varve_inode inode;
    struct varve_error err = {0};
    bool ok =
        varve_vfs_symlink(fs_mount_of(req)->vfs, &caller, parent, name, target, &inode, &err) &&
        settle(req, &err);
    reply_entry(req, "symlink", parent, ok, &inode, &err);
}

void
fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
          const char *new_name, unsigned flags)
{
    struct varve_error err = {0};
    bool ok =
        varve_vfs_rename(fs_mount_of(req)->vfs, parent, name, new_parent, new_name, flags, &err) &&
        settle(req, &err);
    reply_done(req, "rename", parent, ok, &err);
}

void
fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct varve_inode inode;
    struct varve_error err = {0};
    bool ok =
        varve_vfs_link(fs_mount_of(req)->vfs, ino, parent, name, &inode, &err) && settle(req, &err);
    reply_entry(req, "link", parent, ok, &inode, &err);
}
