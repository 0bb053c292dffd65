/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_internal.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#define COPY_BYTES_MAX (UINT64_C(16) << 20)

/* Descriptors come from the vfs for the length of one request, so that it may change the file
 * behind an open one (a new version, a recall) between two of them. */

/* A descriptor for what was asked for, or for less if the reader's program takes it so: what is
 * kept of the beginning, and nothing (fd -1) behind that. */
static bool
find_bytes(struct fs_job *job, uint64_t *size, int *fd, struct varve_error *err)
{
    struct varve_open *open = job->handle->open;
    *fd = -1;
    if (varve_open_read(open, job->offset, size, fd, err))
        return true;
    if (!job->may_cut || err->kind != VARVE_ERROR_WAIT ||
        !varve_vfs_head_will_do(job->mount->vfs, &job->reader))
        return false;
    *size = job->size;
    return varve_open_read_some(open, job->offset, size, fd, err) ||
           (err->kind == VARVE_ERROR_WAIT && job->offset > 0);
}

static bool
attempt_read(struct fs_job *job, struct varve_error *err)
{
    uint64_t size = job->size;
    int fd;
    if (!find_bytes(job, &size, &fd, err)) {
        job->need.ino = job->ino;
        job->need.offset = job->offset;
        job->need.size = job->size;
        return false;
    }
    if (fd < 0) { /* at or behind the end */
        (void)fuse_reply_buf(job->req, NULL, 0);
        return true;
    }
    struct fuse_bufvec answer = FUSE_BUFVEC_INIT((size_t)size);
    answer.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
    answer.buf[0].fd = fd;
    answer.buf[0].pos = (off_t)job->offset;
    /* The descriptor must live until the reply is out, and then the file may be released already.
     */
    struct fs_handle *handle = job->handle;
    atomic_fetch_add(&handle->uses, 1);
    (void)fuse_reply_data(job->req, &answer, FUSE_BUF_SPLICE_MOVE); /* answers errors itself */
    varve_open_done(handle->open);
    fs_handle_drop(handle);
    return true;
}

/* Who looks at the beginning of a file, by a buffer larger than what is kept of it, gets just that
 * and no recall, if his program is known to take it so; other reads are as full as on any disk, as
 * too many programs rely on it. The kernel cuts large reads in pieces, so any offset may be meant.
 * The kernel tells the owner of a direct read(2). Pages that it fills for a mapping have none, and
 * there a short answer would mean the end of the file. */
static bool
may_be_short(const struct fuse_file_info *fi)
{
    return fs_handle_of(fi)->direct && fi->lock_owner != 0;
}

void
fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    fs_run(&(struct fs_job){
        .mount = fs_mount_of(req),
        .req = req,
        .what = "read",
        .reader = fs_reader_of(req),
        .may_cut = may_be_short(fi),
        .attempt = attempt_read,
        .handle = fs_handle_of(fi),
        .ino = ino,
        .offset = (uint64_t)offset,
        .size = size,
        .slow = fs_over_uring(req),
    });
}

/* The kernel has the inode cached with the bits that just went, and a program started now must not
 * get them. */
static bool
strip(struct fs_job *job, struct fs_handle *handle, struct varve_error *err)
{
    bool stripped = false;
    if (!varve_open_strip(handle->open, &stripped, err))
        return false;
    if (stripped)
        fs_forget_attributes(job->mount, handle->ino);
    return true;
}

/* Who must lose them by fallocate(2) and copy_file_range(2), of which the kernel does not say. */
static bool
lacks_fsetid(fuse_req_t req)
{
    return fs_mount_of(req)->features.killpriv && fuse_req_ctx(req)->uid != 0;
}

/* A descriptor to change the file by, or false with what to wait for: all of the file. */
static bool
begin_change(struct fs_job *job, struct fs_handle *handle, int *ret_fd, struct varve_error *err)
{
    if (job->strip && !strip(job, handle, err))
        return false;
    if (varve_open_write(handle->open, ret_fd, err))
        return true;
    job->need.ino = handle->ino;
    job->need.offset = 0;
    job->need.size = UINT64_MAX;
    return false;
}

/* Of a page of a mapping the kernel looks for an error only: what was left out would be lost
 * without a word. Both go on where the last copy ended. */
static ssize_t
write_rest(struct fuse_bufvec *to, struct fuse_bufvec *from, uint64_t rest)
{
    uint64_t done = 0;
    while (done < rest) {
        ssize_t written = fuse_buf_copy(to, from, 0);
        if (written <= 0)
            return written < 0 ? written : -EIO;
        done += (uint64_t)written;
    }
    return (ssize_t)done;
}

static bool
attempt_write(struct fs_job *job, struct varve_error *err)
{
    int fd = -1;
    if (!begin_change(job, job->handle, &fd, err))
        return false;
    struct fuse_bufvec from_memory = FUSE_BUFVEC_INIT((size_t)job->size);
    from_memory.buf[0].mem = job->held != NULL ? job->held : job->ring;
    struct fuse_bufvec to_file = FUSE_BUFVEC_INIT((size_t)job->size);
    to_file.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK | FUSE_BUF_FD_RETRY;
    to_file.buf[0].fd = fd;
    to_file.buf[0].pos = (off_t)job->offset;
    struct fuse_bufvec *from = from_memory.buf[0].mem != NULL ? &from_memory : job->incoming;
    ssize_t written = fuse_buf_copy(&to_file, from, 0);
    if (job->written_out && written >= 0 && (uint64_t)written < job->size)
        written = write_rest(&to_file, from, job->size - (uint64_t)written);
    varve_open_done(job->handle->open);
    if (written < 0)
        return varve_error_system(err, (int)-written, "write");
    (void)fuse_reply_write(job->req, job->written_out ? (size_t)job->size : (size_t)written);
    return true;
}

void
fs_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *incoming, off_t offset,
             struct fuse_file_info *fi)
{
    struct fs_job job = {
        .mount = fs_mount_of(req),
        .req = req,
        .what = "write",
        .reader = fs_reader_of(req),
        .attempt = attempt_write,
        .handle = fs_handle_of(fi),
        .ino = ino,
        .offset = (uint64_t)offset,
        .size = fuse_buf_size(incoming),
        .incoming = incoming,
        .from_cache = !fs_handle_of(fi)->passed,
        .written_out = fi->writepage,
    };
    if (job.written_out) /* by the kernel, for all who mapped the file: no rule may refuse it */
        job.reader = (struct varve_reader){0};
#ifdef HAVE_KILL_SUIDGID
    job.strip = fi->kill_suidgid;
#endif
    if (fs_over_uring(req)) { /* the bytes stay where they are until the answer */
        job.ring = incoming->buf[0].mem;
        job.incoming = NULL;
        job.slow = true;
    }
    fs_run(&job);
}

static bool
attempt_fsync(struct fs_job *job, struct varve_error *err)
{
    if (!varve_vfs_fsync(job->mount->vfs, job->ino, err))
        return false;
    (void)fuse_reply_err(job->req, 0);
    return true;
}

void
fs_sync(fuse_req_t req, uint64_t ino)
{
    fs_run(&(struct fs_job){
        .mount = fs_mount_of(req),
        .req = req,
        .what = "fsync",
        .attempt = attempt_fsync,
        .ino = ino,
        .slow = true,
    });
}

void
fs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)datasync; /* size and place are in the catalog: there is no cheaper half */
    (void)fi;
    fs_sync(req, ino);
}

static bool
attempt_fallocate(struct fs_job *job, struct varve_error *err)
{
    int fd = -1;
    if (!begin_change(job, job->handle, &fd, err))
        return false;
    int result = 0;
    do {
        result = fallocate(fd, job->mode, (off_t)job->offset, (off_t)job->size);
    } while (result != 0 && errno == EINTR);
    int sys = errno;
    if ((job->mode & FALLOC_FL_COLLAPSE_RANGE) != 0)
        varve_open_shortened(job->handle->open);
    varve_open_done(job->handle->open);
    /* Not ENOSYS: the kernel would never ask again, though another tier may be able to. */
    if (result != 0)
        return varve_error_system(err, sys == ENOSYS ? EOPNOTSUPP : sys, "fallocate");
    (void)fuse_reply_err(job->req, 0);
    return true;
}

void
fs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
             struct fuse_file_info *fi)
{
    fs_run(&(struct fs_job){
        .mount = fs_mount_of(req),
        .req = req,
        .what = "fallocate",
        .reader = fs_reader_of(req),
        .attempt = attempt_fallocate,
        .handle = fs_handle_of(fi),
        .ino = ino,
        .offset = (uint64_t)offset,
        .size = (uint64_t)length,
        .mode = mode,
        .slow = true,
        .strip = lacks_fsetid(req),
    });
}

/* What is not in a backing file as a whole, or may be newer in the page cache, counts as all data,
 * which lseek(2) allows. */
static bool
seek_plain(struct varve_vfs *vfs, uint64_t ino, off_t offset, int whence, off_t *ret,
           struct varve_error *err)
{
    struct varve_inode inode;
    if (!varve_vfs_getattr(vfs, ino, &inode, err))
        return false;
    if (offset < 0 || (uint64_t)offset >= inode.size)
        return varve_error_system(err, ENXIO, "seek");
    *ret = whence == SEEK_DATA ? offset : (off_t)inode.size;
    return true;
}

/* False: there is no descriptor that has all bytes from `offset` on. The position that lseek moves
 * is nobody's: all reads and writes name theirs. */
static bool
seek_backing(struct varve_open *open, off_t offset, int whence, off_t *ret)
{
    uint64_t rest = UINT64_MAX;
    int fd = -1;
    struct varve_error err = {0}; /* WAIT, or open for writing only: all data then */
    if (varve_open_hides_data(open) || !varve_open_read(open, (uint64_t)offset, &rest, &fd, &err))
        return false;
    *ret = -ENXIO;
    if (fd < 0)
        return true;
    *ret = lseek(fd, offset, whence);
    if (*ret < 0)
        *ret = -errno;
    else if ((uint64_t)*ret > (uint64_t)offset + rest) /* a kept head has more behind its bytes */
        *ret = (off_t)((uint64_t)offset + rest);
    varve_open_done(open);
    return true;
}

void
fs_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
    struct varve_error err = {0};
    off_t found = 0;
    if (!seek_backing(fs_handle_of(fi)->open, offset, whence, &found) &&
        !seek_plain(fs_mount_of(req)->vfs, ino, offset, whence, &found, &err))
        fs_reply_error(req, "lseek", ino, &err);
    else if (found < 0)
        (void)fuse_reply_err(req, (int)-found);
    else
        (void)fuse_reply_lseek(req, found);
}

/* Blocks are shared where the tier's filesystem can, whatever their number; else bytes are copied,
 * and not so many that nobody could interrupt it: programs ask for the rest. */
static ssize_t
copy_some(int fd, off_t from, int to_fd, off_t to, uint64_t size)
{
    struct file_clone_range range = {.src_fd = fd,
                                     .src_offset = (uint64_t)from,
                                     .src_length = size,
                                     .dest_offset = (uint64_t)to};
    if (size <= COPY_BYTES_MAX)
        return copy_file_range(fd, &from, to_fd, &to, (size_t)size, 0);
    if (ioctl(to_fd, FICLONERANGE, &range) == 0)
        return (ssize_t)size;
    return copy_file_range(fd, &from, to_fd, &to, COPY_BYTES_MAX, 0);
}

static bool
copy_between(struct fs_job *job, int to_fd, size_t *ret, struct varve_error *err)
{
    uint64_t size = job->size;
    int fd = -1;
    if (!varve_open_read(job->handle->open, job->offset, &size, &fd, err)) {
        job->need.ino = job->ino;
        job->need.offset = job->offset;
        job->need.size = job->size;
        return false;
    }
    *ret = 0;
    if (fd < 0)
        return true;
    ssize_t copied = copy_some(fd, (off_t)job->offset, to_fd, (off_t)job->to_offset, size);
    int sys = errno;
    varve_open_done(job->handle->open);
    if (copied < 0) /* EXDEV between tiers: the kernel copies by read and write then */
        return varve_error_system(err, sys == ENOSYS ? EOPNOTSUPP : sys, "copy");
    *ret = (size_t)copied;
    return true;
}

/* The kernel then drops the pages that were copied into, with what mappings have stored beside that
 * since it asked. Refused, it reads and writes through them. */
static bool
check_mappers(const struct fs_handle *to, struct varve_error *err)
{
    return to->passed || atomic_load(&to->node->mappers) == 0 ||
           varve_error_system(err, EOPNOTSUPP, "copy into what may be mapped");
}

static bool
attempt_copy(struct fs_job *job, struct varve_error *err)
{
    int to_fd = -1;
    if (!check_mappers(job->to, err) || !begin_change(job, job->to, &to_fd, err))
        return false;
    size_t copied = 0;
    bool ok = copy_between(job, to_fd, &copied, err);
    varve_open_done(job->to->open);
    ok = ok && check_mappers(job->to, err); /* it may have waited; the bytes are copied again */
    if (ok)
        (void)fuse_reply_write(job->req, copied);
    return ok;
}

void
fs_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t offset_in, struct fuse_file_info *fi_in,
                   fuse_ino_t ino_out, off_t offset_out, struct fuse_file_info *fi_out,
                   size_t length, int flags)
{
    (void)flags; /* none is defined */
    (void)ino_out;
    fs_run(&(struct fs_job){
        .mount = fs_mount_of(req),
        .req = req,
        .what = "copy_file_range",
        .reader = fs_reader_of(req),
        .attempt = attempt_copy,
        .handle = fs_handle_of(fi_in),
        .ino = ino_in,
        .offset = (uint64_t)offset_in,
        .size = length,
        .to = fs_handle_of(fi_out),
        .to_offset = (uint64_t)offset_out,
        .slow = true,
        .strip = lacks_fsetid(req),
    });
}
