/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_internal.h"

#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

static bool
get_attributes(struct varve_vfs *vfs, uint64_t ino, struct varve_inode *ret,
               struct varve_error *err)
{
    return varve_vfs_getattr(vfs, ino, ret, err) ||
           (err->kind == VARVE_ERROR_NOT_FOUND && varve_vfs_getattr_gone(vfs, ino, ret));
}

void
fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct varve_inode inode;
    struct varve_error err = {0};
    if (!get_attributes(fs_mount_of(req)->vfs, ino, &inode, &err)) {
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
    /* Nothing at all is set by a chown to -1 and -1, which strips too. */
    change.clear_suid = (to_set & FUSE_SET_ATTR_KILL_SUID) != 0 || to_set == 0;
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
    struct varve_vfs *vfs = job->mount->vfs;
    if (!varve_vfs_setattr(vfs, job->ino, &job->change, &inode, err) &&
        (err->kind != VARVE_ERROR_NOT_FOUND ||
         !varve_vfs_setattr_gone(vfs, job->ino, &job->change, &inode)))
        return false;
    if (!fs_settle(job->mount, 0, err))
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
        .reader = fs_reader_of(req),
        .attempt = attempt_setattr,
        .ino = ino,
        .change = change_of(attr, to_set),
    });
}

#ifdef FUSE_HAS_STATX
static struct statx_timestamp
statx_time(struct timespec time)
{
    return (struct statx_timestamp){.tv_sec = time.tv_sec, .tv_nsec = (uint32_t)time.tv_nsec};
}

/* Asked only by who wants to know when a file was made; every other stat goes to getattr. */
void
fs_statx(fuse_req_t req, fuse_ino_t ino, int flags, int mask, struct fuse_file_info *fi)
{
    (void)mask;
    (void)fi;
    struct varve_inode inode;
    struct varve_error err = {0};
    if (!get_attributes(fs_mount_of(req)->vfs, ino, &inode, &err)) {
        fs_reply_error(req, "statx", ino, &err);
        return;
    }
    struct stat attr;
    fs_stat(&inode, &attr);
    struct statx reply = {
        .stx_mask = STATX_BASIC_STATS | STATX_BTIME,
        .stx_blksize = (uint32_t)attr.st_blksize,
        .stx_nlink = (uint32_t)attr.st_nlink,
        .stx_uid = attr.st_uid,
        .stx_gid = attr.st_gid,
        .stx_mode = (uint16_t)attr.st_mode,
        .stx_ino = attr.st_ino,
        .stx_size = (uint64_t)attr.st_size,
        .stx_blocks = (uint64_t)attr.st_blocks,
        .stx_atime = statx_time(attr.st_atim),
        .stx_mtime = statx_time(attr.st_mtim),
        .stx_ctime = statx_time(attr.st_ctim),
        .stx_btime = statx_time(fs_time(inode.btime_ns)),
        .stx_rdev_major = major(attr.st_rdev),
        .stx_rdev_minor = minor(attr.st_rdev),
    };
    (void)fuse_reply_statx(req, flags, &reply, fs_attr_timeout(&inode));
}
#endif

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

/* A kernel that did not agree to POSIX ACLs does not enforce them: kept as mere bytes they would
 * promise what nobody holds, and cp -a, which sets modes by them, would lose the modes. */
static bool
refuse_acl(fuse_req_t req, const char *name)
{
    if (strncmp(name, "system.", 7) != 0 || fs_mount_of(req)->features.acls)
        return false;
    (void)fuse_reply_err(req, EOPNOTSUPP);
    return true;
}

/* As inode_permission(9) has it: of the file's group, or privileged. The kernel knows, but libfuse
 * does not hand on what it says (FUSE_SETXATTR_ACL_KILL_SGID). */
static bool
may_keep_setgid(fuse_req_t req, uint32_t gid)
{
    enum { GROUPS = 1024 };
    gid_t groups[GROUPS];
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    if (ctx->uid == 0 || ctx->gid == gid)
        return true;
    int count = fuse_req_getgroups(req, GROUPS, groups);
    for (int i = 0; i < count && i < GROUPS; i++) {
        if (groups[i] == gid)
            return true;
    }
    return false;
}

/* Flags for the vfs. Only the rare setgid file is looked at more closely. */
static int
xattr_flags(fuse_req_t req, uint64_t ino, const char *name, int flags)
{
    struct varve_inode inode;
    struct varve_error unused; /* the change itself will say it */
    if (strcmp(name, "system.posix_acl_access") == 0 &&
        varve_vfs_getattr(fs_mount_of(req)->vfs, ino, &inode, &unused) &&
        (inode.mode & S_ISGID) != 0 && !may_keep_setgid(req, inode.gid))
        flags |= VARVE_XATTR_LOSE_SETGID;
    return flags;
}

void
fs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
            int flags)
{
    if (refuse_acl(req, name))
        return;
    struct varve_error err = {0};
    flags = xattr_flags(req, ino, name, flags);
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

/* Where SELinux does not run no file has a label, but `ls -l` asks each file for it, unless it
 * hears that this filesystem has none: one round trip less for each name. */
static bool
is_idle_label(fuse_req_t req, const char *name)
{
    return !fs_mount_of(req)->features.selinux && strcmp(name, "security.selinux") == 0;
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
    else if (is_idle_label(req, name) && err.kind == VARVE_ERROR_NOT_FOUND)
        (void)fuse_reply_err(req, EOPNOTSUPP);
    else
        fs_reply_error(req, "getxattr", ino, &err);
}

/* As elsewhere, who may not read trusted.* does not see their names either. ACLs that the kernel
 * does not know are not named. */
static bool
is_listed(fuse_req_t req, const char *name)
{
    if (strncmp(name, "trusted.", 8) == 0)
        return fuse_req_ctx(req)->uid == 0;
    return strncmp(name, "system.", 7) != 0 || fs_mount_of(req)->features.acls;
}

static void
drop_unlisted(fuse_req_t req, struct varve_buffer *names)
{
    size_t kept = 0;
    for (size_t at = 0, length; at < names->size; at += length) {
        length = strnlen((const char *)names->data + at, names->size - at - 1) + 1;
        if (!is_listed(req, (const char *)names->data + at))
            continue;
        memmove(names->data + kept, names->data + at, length);
        kept += length;
    }
    names->size = kept;
}

void
fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer names = {0};
    struct varve_error err = {0};
    if (varve_vfs_xattr_list(fs_mount_of(req)->vfs, ino, &names, &err)) {
        drop_unlisted(req, &names);
        reply_sized(req, &names, size);
    } else
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
