/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_internal.h"

#include <string.h>
#include <time.h>

void
fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct varve_inode inode;
    struct varve_error err = {0};
    if (!varve_vfs_getattr(fs_mount_of(req)->vfs, ino, &inode, &err)) {
        fs_reply_error(req, "getattr", ino, &err);
        return;
    }
    struct stat attr;
    fs_stat(&inode, &attr);
    (void)fuse_reply_attr(req, &attr, fs_attr_timeout(&inode));
}

static int64_t
ns_of(struct timespec time)
{
    int64_t ns = 0;
    if (__builtin_mul_overflow((int64_t)time.tv_sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)time.tv_nsec, &ns))
        return time.tv_sec < 0 ? INT64_MIN : INT64_MAX; /* beyond the years 1677-2262 */
    return ns;
}

static struct varve_setattr
change_of(const struct stat *attr, int to_set)
{
    struct varve_setattr change = {0};
    /* A truncation or chown that must strip; without HANDLE_KILLPRIV_V2 the kernel sends the mode
     * that is left instead. */
#ifdef FUSE_SET_ATTR_KILL_SUID
    change.clear_suid = (to_set & FUSE_SET_ATTR_KILL_SUID) != 0;
#endif
    if (to_set & FUSE_SET_ATTR_MODE) {
        change.mask |= VARVE_SET_MODE;
        change.mode = attr->st_mode & 07777;
    }
    if (to_set & FUSE_SET_ATTR_UID) {
        change.mask |= VARVE_SET_UID;
        change.uid = attr->st_uid;
    }
    if (to_set & FUSE_SET_ATTR_GID) {
        change.mask |= VARVE_SET_GID;
        change.gid = attr->st_gid;
    }
    if (to_set & FUSE_SET_ATTR_SIZE) {
        change.mask |= VARVE_SET_SIZE;
        change.size = (uint64_t)attr->st_size;
    }
    if (to_set & FUSE_SET_ATTR_ATIME) {
        change.mask |= to_set & FUSE_SET_ATTR_ATIME_NOW ? VARVE_SET_ATIME_NOW : VARVE_SET_ATIME;
        change.atime_ns = ns_of(attr->st_atim);
    }
    if (to_set & FUSE_SET_ATTR_MTIME) {
        change.mask |= to_set & FUSE_SET_ATTR_MTIME_NOW ? VARVE_SET_MTIME_NOW : VARVE_SET_MTIME;
        change.mtime_ns = ns_of(attr->st_mtim);
    }
    return change;
}

static bool
attempt_setattr(struct fs_job *job, struct varve_error *err)
{
    job->need.ino = job->ino;
    job->need.size = UINT64_MAX;
    struct varve_inode inode;
    if (!varve_vfs_setattr(job->mount->vfs, job->ino, &job->change, &inode, err) ||
        !fs_settle(job->mount, 0, err))
        return false;
    struct stat attr;
    fs_stat(&inode, &attr);
    (void)fuse_reply_attr(job->req, &attr, fs_attr_timeout(&inode));
    return true;
}

void
fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
    (void)fi;
    fs_run(&(struct fs_job){
        .mount = fs_mount_of(req),
        .req = req,
        .what = "setattr",
        .reader = fs_reader_of(req, NULL),
        .attempt = attempt_setattr,
        .ino = ino,
        .change = change_of(attr, to_set),
    });
}

void
fs_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs usage = {0};
    struct varve_error err = {0};
    if (varve_vfs_statfs(fs_mount_of(req)->vfs, &usage, &err))
        (void)fuse_reply_statfs(req, &usage);
    else
        fs_reply_error(req, "statfs", ino, &err);
}

/* POSIX ACLs were not negotiated, so the kernel does not enforce them: kept as mere bytes they
 * would promise what nobody holds, and cp -a, which sets modes by them, would lose the modes. */
static bool
refuse_acl(fuse_req_t req, const char *name)
{
    if (strncmp(name, "system.", 7) != 0)
        return false;
    (void)fuse_reply_err(req, EOPNOTSUPP);
    return true;
}

void
fs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
            int flags)
{
    if (refuse_acl(req, name))
        return;
    struct varve_error err = {0};
    if (varve_vfs_xattr_set(fs_mount_of(req)->vfs, ino, name, value, size, flags, &err) &&
        fs_settle(fs_mount_of(req), 0, &err))
        (void)fuse_reply_err(req, 0);
    else
        fs_reply_error(req, "setxattr", ino, &err);
}

/* getxattr(2) and listxattr(2): size 0 asks how much there is. */
static void
reply_sized(fuse_req_t req, const struct varve_buffer *value, size_t size)
{
    if (size == 0)
        (void)fuse_reply_xattr(req, value->size);
    else if (value->size > size)
        (void)fuse_reply_err(req, ERANGE);
    else
        (void)fuse_reply_buf(req, (const char *)value->data, value->size);
}

void
fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    if (refuse_acl(req, name))
        return;
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    struct varve_error err = {0};
    if (varve_vfs_xattr_get(fs_mount_of(req)->vfs, ino, name, &value, &err))
        reply_sized(req, &value, size);
    else
        fs_reply_error(req, "getxattr", ino, &err);
}

void
fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer names = {0};
    struct varve_error err = {0};
    if (varve_vfs_xattr_list(fs_mount_of(req)->vfs, ino, &names, &err))
        reply_sized(req, &names, size);
    else
        fs_reply_error(req, "listxattr", ino, &err);
}

void
fs_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    if (refuse_acl(req, name))
        return;
    struct varve_error err = {0};
    if (varve_vfs_xattr_remove(fs_mount_of(req)->vfs, ino, name, &err) &&
        fs_settle(fs_mount_of(req), 0, &err))
        (void)fuse_reply_err(req, 0);
    else
        fs_reply_error(req, "removexattr", ino, &err);
}
