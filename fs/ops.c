/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_internal.h"

#include <inttypes.h>
#include <unistd.h>
#include <varve/log.h>

/* A wrong name is the caller's affair; damage and missing discs are somebody's to look at. */
static bool
worth_logging(const struct varve_error *err)
{
    switch (err->kind) {
    case VARVE_ERROR_OFFLINE:
    case VARVE_ERROR_WRONG_DISC:
    case VARVE_ERROR_CORRUPT:
    case VARVE_ERROR_MEDIUM:
    case VARVE_ERROR_HARDWARE:
    case VARVE_ERROR_UNRECOVERABLE:
    case VARVE_ERROR_NOMEM:
    case VARVE_ERROR_NO_SPACE:
        return true;
    case VARVE_ERROR_SYSTEM:
        return varve_error_errno(err) == EIO;
    case VARVE_ERROR_NONE:
    case VARVE_ERROR_INVALID:
    case VARVE_ERROR_NOT_FOUND:
    case VARVE_ERROR_EXISTS:
    case VARVE_ERROR_BUSY:
    case VARVE_ERROR_WAIT:
    case VARVE_ERROR_NOT_READY:
    case VARVE_ERROR_CANCELLED:
        return false;
    }
    return true;
}

void
fs_reply_error(fuse_req_t req, const char *what, uint64_t ino, const struct varve_error *err)
{
    if (worth_logging(err))
        varve_log(VARVE_LOG_WARNING, "%s of inode %" PRIu64 " fails: %s", what, ino, err->text);
    (void)fuse_reply_err(req,
                         varve_error_errno(err)); /* the kernel may have given up the request */
}

struct timespec
fs_time(int64_t ns)
{
    int64_t seconds = ns / 1000000000;
    int64_t rest = ns % 1000000000;
    if (rest < 0) { /* before 1970 */
        rest += 1000000000;
        seconds--;
    }
    return (struct timespec){.tv_sec = seconds, .tv_nsec = (long)rest};
}

/* What is not in a backing file, or was not looked at, counts as all data: no blocks at all would
 * tell tar and cp that there is nothing to read. */
static uint64_t
blocks_of(const struct varve_inode *inode)
{
    if (inode->blocks != 0 || !S_ISREG(inode->mode))
        return inode->blocks;
    return inode->size / 512 + (inode->size % 512 != 0);
}

void
fs_stat(const struct varve_inode *inode, struct stat *ret)
{
    *ret = (struct stat){
        .st_ino = inode->ino,
        .st_mode = inode->mode,
        .st_nlink = inode->nlink,
        .st_uid = inode->uid,
        .st_gid = inode->gid,
        .st_rdev = inode->rdev,
        .st_size = (off_t)inode->size,
        .st_blksize = 4096,
        .st_blocks = (blkcnt_t)blocks_of(inode),
        .st_atim = fs_time(inode->atime_ns),
        .st_mtim = fs_time(inode->mtime_ns),
        .st_ctim = fs_time(inode->ctime_ns),
    };
}

double
fs_attr_timeout(const struct varve_inode *inode)
{
    return inode->unsteady ? 0 : FS_TIMEOUT_S;
}

void
fs_forget_attributes(struct varve_mount *mount, uint64_t ino)
{
    /* ENOENT: the kernel does not know the inode; fine. */
    (void)fuse_lowlevel_notify_inval_inode(mount->session, ino, -1, 0);
}

void
fs_forget_pages(struct varve_mount *mount, uint64_t ino)
{
    (void)fuse_lowlevel_notify_inval_inode(mount->session, ino, 0, 0); /* as above */
}

/* Node id and inode number are one, and numbers are never used again: generation 0 for all. */
void
fs_entry(const struct varve_inode *inode, struct fuse_entry_param *ret)
{
    *ret = (struct fuse_entry_param){
        .ino = inode->ino,
        .attr_timeout = fs_attr_timeout(inode),
        .entry_timeout = FS_TIMEOUT_S,
    };
    fs_stat(inode, &ret->attr);
}

/* False: this kernel has it not. */
static bool
want(struct fuse_conn_info *conn, uint64_t flag)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
    return fuse_set_feature_flag(conn, flag);
#else
    conn->want |= conn->capable & (unsigned)flag;
    return (conn->capable & flag) != 0;
#endif
}

static void
refuse(struct fuse_conn_info *conn, uint64_t flag)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
    fuse_unset_feature_flag(conn, flag);
#else
    conn->want &= ~(unsigned)flag;
#endif
}

/* Both ask that much of libfuse: passthrough that the opens can be told of, and to be told who must
 * lose setuid by a write. */
static void
negotiate_passthrough(struct varve_mount *mount, struct fuse_conn_info *conn)
{
    struct fs_features *features = &mount->features;
#ifdef HAVE_KILL_SUIDGID
    features->killpriv = fuse_set_feature_flag(conn, FUSE_CAP_HANDLE_KILLPRIV_V2);
#endif
#ifdef FUSE_CAP_PASSTHROUGH
    features->kernel_passes = (conn->capable_ext & FUSE_CAP_PASSTHROUGH) != 0;
    /* Without HANDLE_KILLPRIV_V2 the kernel asks for security.capability at each write. */
    if (features->killpriv && !features->no_passthrough && features->privileged)
        mount->passthrough = fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH);
    /* Tiers are real filesystems; so overlayfs can still be laid over this one. */
    conn->max_backing_stack_depth = 1;
#endif
}

static void
negotiate(void *userdata, struct fuse_conn_info *conn)
{
    struct varve_mount *mount = userdata;
    /* The umask is ours to apply, as a default ACL takes its place. */
    bool masks = want(conn, FUSE_CAP_DONT_MASK);
    mount->features.acls = masks && !mount->features.no_acls && want(conn, FUSE_CAP_POSIX_ACL);
    mount->features.selinux = access("/sys/fs/selinux", F_OK) == 0;
    want(conn, FUSE_CAP_ASYNC_READ);
    want(conn, FUSE_CAP_ASYNC_DIO);
    want(conn, FUSE_CAP_PARALLEL_DIROPS);
    want(conn, FUSE_CAP_READDIRPLUS);
    want(conn, FUSE_CAP_READDIRPLUS_AUTO);
    mount->features.readdirplus = (conn->capable & FUSE_CAP_READDIRPLUS) != 0;
    want(conn, FUSE_CAP_SPLICE_WRITE);
    want(conn, FUSE_CAP_SPLICE_MOVE);
    /* Without opendir here libfuse then says that there is none: the kernel opens directories by
     * itself, and keeps what it listed until a name in them changes, which only this mount does. */
    want(conn, FUSE_CAP_NO_OPENDIR_SUPPORT);
    want(conn, FUSE_CAP_CACHE_SYMLINKS); /* a target never changes */
    want(conn, FUSE_CAP_EXPORT_SUPPORT); /* lookup knows "." and ".." of any inode */
#ifdef FUSE_CAP_DIRECT_IO_ALLOW_MMAP
    want(conn, FUSE_CAP_DIRECT_IO_ALLOW_MMAP); /* migrated files are opened so: open.c */
#endif
    /* Most requests are small, and a pipe between costs each of them two more system calls; without
     * CAP_SYS_RESOURCE libfuse even makes a new pipe for each, which doubled the price of a create.
     */
    refuse(conn, FUSE_CAP_SPLICE_READ);
    /* Data must be in the backing file when write(2) returns: freeze, move and fsync look there. */
    refuse(conn, FUSE_CAP_WRITEBACK_CACHE);
    /* Only this mount changes files; where it is otherwise, notify.c says so. */
    refuse(conn, FUSE_CAP_AUTO_INVAL_DATA);
    /* open(O_TRUNC) comes as open and setattr. */
    refuse(conn, FUSE_CAP_ATOMIC_O_TRUNC);
    /* Writes and truncations that must strip setuid, setgid and capabilities say so (V2). Where
     * libfuse cannot hand that on, the kernel strips by itself, which costs a getxattr a write. */
    refuse(conn, FUSE_CAP_HANDLE_KILLPRIV);
#if defined(FUSE_CAP_HANDLE_KILLPRIV_V2) && !defined(HAVE_KILL_SUIDGID)
    refuse(conn, FUSE_CAP_HANDLE_KILLPRIV_V2);
#endif
    negotiate_passthrough(mount, conn);
    conn->time_gran = 1;
    conn->max_write = mount->features.uring_asked ? FS_URING_BYTES_MAX : FS_REQUEST_BYTES_MAX;
    /* Page reads of mapped files that wait for discs count as background: they must not use up the
     * few that the kernel allows by default and stop the read-ahead of everybody else. */
    conn->max_background = 16384;
    conn->congestion_threshold = 12288;
}

/* Not here on purpose: flush (nothing to do at close, and without it the kernel stops asking),
 * opendir and releasedir (directories have no handle: an offset is a cookie of the catalog), access
 * (default_permissions), locks (one kernel sees them all). */
const struct fuse_lowlevel_ops fs_ops = {
    .init = negotiate,
    .lookup = fs_lookup,
    .forget = fs_forget,
    .forget_multi = fs_forget_multi,
    .getattr = fs_getattr,
    .setattr = fs_setattr,
    .readlink = fs_readlink,
    .mknod = fs_mknod,
    .mkdir = fs_mkdir,
    .unlink = fs_unlink,
    .rmdir = fs_rmdir,
    .symlink = fs_symlink,
    .rename = fs_rename,
    .link = fs_link,
    .open = fs_open,
    .create = fs_create,
    .read = fs_read,
    .write_buf = fs_write_buf,
    .release = fs_release,
    .fsync = fs_fsync,
    .readdir = fs_readdir,
    .readdirplus = fs_readdirplus,
    .fsyncdir = fs_fsyncdir,
    .statfs = fs_statfs,
    .setxattr = fs_setxattr,
    .getxattr = fs_getxattr,
    .listxattr = fs_listxattr,
    .removexattr = fs_removexattr,
    .fallocate = fs_fallocate,
    .lseek = fs_lseek,
    .copy_file_range = fs_copy_file_range,
#ifdef FUSE_HAS_TMPFILE
    .tmpfile = fs_tmpfile,
#endif
#ifdef FUSE_HAS_STATX
    .statx = fs_statx,
#endif
};
