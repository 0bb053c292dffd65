/* fs_internal.h - one mount: the libfuse session, its open files, and the requests that wait.
 *
 * Locks: `lock` guards handles, waits and notes; it is held for list work only, never while calling
 * libfuse or the vfs, both of which call back from other threads. */
#ifndef VARVE_FS_INTERNAL_H
#define VARVE_FS_INTERNAL_H

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <varve/fuse.h>

/* Operations that libfuse learned later. */
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
#define FUSE_HAS_TMPFILE
#endif
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
#define FUSE_HAS_STATX
#endif

#define FS_RESUME_THREADS 2
#define FS_WORKERS_MAX 16
#define FS_NODE_BUCKETS 4096u
/* The largest request. Over io_uring every request that can be under way has a buffer of that size
 * set aside (memory is used when the buffer is). */
#define FS_REQUEST_BYTES_MAX (1u << 20)
#define FS_URING_BYTES_MAX (128u << 10)
/* Requests under way on a core, over io_uring: as many as all cores together may have, within these
 * bounds. One that waits for a disc keeps its place, so some are kept for others. */
#define FS_URING_ENTRIES 16384u
#define FS_URING_DEPTH_MIN 1152u
#define FS_URING_DEPTH_MAX 2048u
#define FS_URING_KEPT 64u
/* Bytes of write requests that wait for a recall; more are refused with EAGAIN. */
#define FS_HELD_BYTES_MAX (UINT64_C(256) << 20)
/* Inodes whose change the kernel has not been told yet. */
#define FS_NOTES_MAX (UINT64_C(1) << 20)
/* Names and attributes change only through this mount or after a notification, so the kernel may
 * keep them: a day. */
#define FS_TIMEOUT_S 86400.0

/* One open(2). fi->fh points to it. The kernel may release it as soon as it has the reply to the
 * last request on it, so whoever needs it beyond its own reply holds a use. */
struct fs_handle {
    struct varve_open *open;
    uint64_t ino;
    bool direct; /* this and the next three are set before the kernel knows the handle */
    struct fs_node *node;
    bool passed; /* counts in its node's passes */
    bool maps;   /* counts in its node's mappers */
    atomic_uint uses;
    struct fs_handle *prev, *next;
};

/* An inode that is open. `lock` is taken before any of the vfs and held while it is decided how the
 * kernel opens the file. */
struct fs_node {
    struct fs_node *next;
    uint64_t ino;
    unsigned refs; /* open files, opens and closes under way; under the mount's lock */

    pthread_mutex_t lock;
    unsigned handles; /* that the kernel has open */
    unsigned passes;  /* of these, in passthrough */
    int backing_id;   /* of the backing file that the kernel has for them; 0: none */
    /* Handles through which mappings can write into the page cache; may be read without the lock.
     */
    atomic_uint mappers;
};

/* One request that may have to wait for a disc: made on a worker's stack, moved to the heap when it
 * waits. */
struct fs_job {
    struct varve_mount *mount;
    fuse_req_t req;
    const char *what; /* for the log: "read" */
    /* Replies and returns true, or fails. May be called again after WAIT. */
    bool (*attempt)(struct fs_job *job, struct varve_error *err);
    struct fs_handle *handle;
    uint64_t ino, offset, size;
    /* What a WAIT is about; attempt sets it. */
    struct {
        uint64_t ino, offset, size;
    } need;
    struct fuse_bufvec *incoming; /* write: libfuse's, until the request waits */
    uint8_t *held;                /* then: our copy of `size` bytes */
    bool may_cut;                 /* read: less than asked for will do */
    void *ring;                   /* over io_uring: where they stay until the answer */
    int mode;                     /* fallocate */
    struct fs_handle *to;         /* copy_file_range */
    uint64_t to_offset;
    struct varve_setattr change;
    struct varve_reader reader; /* who asks */
    struct fuse_file_info fi;   /* open */
    bool uring;                 /* came over io_uring; fs_run sets it */
    bool slow;                  /* known to take long: not even tried here */
    bool from_cache;            /* write: of pages that others may have mapped */
    bool written_out;           /* write: what mappings changed; nobody waits for the answer */
    bool strip;                 /* setuid, setgid and capabilities must go with the change */
};

/* Before the device of a mount of plain type `fuse`; mount.fuse(8) runs what stands before the #.
 */
#define VARVE_FUSE_PREFIX "varve#"

struct fs_wait; /* wait.c */
struct fs_work; /* work.c */

/* What this mount asked for and got; written before the first request. */
struct fs_features {
    bool no_passthrough, no_uring, no_acls; /* by option */
    bool privileged;                        /* root */
    bool kernel_passes;                     /* the kernel and libfuse know passthrough */
    bool uring_asked;                       /* of libfuse */
    char uring_switch;                      /* the kernel's: Y, N, or ? if it has none */
    bool killpriv, readdirplus;
    bool acls;    /* the kernel enforces POSIX ACLs */
    bool selinux; /* runs on this machine */
};

struct varve_mount {
    struct varve_vfs *vfs;
    struct fuse_session *session;
    char *mountpoint;
    unsigned threads_max;
    unsigned device_minor; /* of the mount: names its connection under /sys/fs/fuse */
    atomic_ulong flags;    /* MS_*, as the kernel has them */
    struct fs_features features;

    bool passthrough;             /* negotiated */
    _Atomic int64_t pass_again_s; /* the kernel refused; when to ask again; 0: it did not */
    atomic_int pass_refusal;      /* errno of the last refusal */
    atomic_bool uring_seen;       /* a request came over io_uring */

    pthread_mutex_t lock;
    struct fs_handle *handles;
    struct fs_node *nodes[FS_NODE_BUCKETS];

    struct fs_work *first_work; /* work.c */
    struct fs_work *last_work;
    unsigned work_queued, workers_idle, worker_count;
    bool work_quit;
    pthread_cond_t work_event;
    pthread_t workers[FS_WORKERS_MAX];

    struct fs_wait *waits;       /* all that wait */
    struct fs_wait *first_event; /* those of them that a resume thread must look at */
    struct fs_wait *last_event;
    size_t wait_count;
    uint64_t wait_number; /* of the last one that began */
    uint64_t held_bytes;
    bool waits_refused, waits_quit;
    pthread_cond_t wait_event; /* an event or waits_quit */
    pthread_cond_t waits_none; /* waits became NULL */
    pthread_t resume[FS_RESUME_THREADS];
    unsigned resume_count;

    uint64_t *notes;
    size_t note_count, note_capacity;
    bool notes_quit, stop_wanted, served;
    pthread_cond_t note_event, stop_event;
    pthread_t notifier, stopper, watcher;
    bool has_notifier, has_stopper, has_watcher;
    int watch_quit; /* eventfd */
    unsigned uring_depth;
    pthread_t looker; /* uring.c */
    pthread_cond_t look_event;
    bool has_looker;
};

/* --- uring.c --- */
/* Before the session is made: is io_uring there, and good? */
bool fs_uring_wanted(struct varve_mount *mount);
/* Why requests do not come over it; "" if they do. */
void fs_uring_why_not(const struct varve_mount *mount, char *ret, size_t size);
/* This thread is one of io_uring's. */
void fs_uring_thread(struct varve_mount *mount);
VARVE_MUST_CHECK bool fs_uring_start(struct varve_mount *mount, struct varve_error *err);
/* After fs_waits_finish(). */
void fs_uring_finish(struct varve_mount *mount);

static inline bool
fs_over_uring(fuse_req_t req)
{
#ifdef HAVE_URING
    return fuse_req_is_uring(req);
#else
    (void)req;
    return false;
#endif
}

static inline struct varve_mount *
fs_mount_of(fuse_req_t req)
{
    struct varve_mount *mount = fuse_req_userdata(req);
    if (fs_over_uring(req))
        fs_uring_thread(mount);
    return mount;
}
static inline struct varve_caller
fs_caller_of(fuse_req_t req)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    return (struct varve_caller){.uid = ctx->uid, .gid = ctx->gid, .umask = ctx->umask};
}
static inline struct fs_handle *
fs_handle_of(const struct fuse_file_info *fi)
{
    return (struct fs_handle *)(uintptr_t)fi->fh;
}

static inline struct varve_reader
fs_reader_of(fuse_req_t req)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    return (struct varve_reader){.uid = ctx->uid, .gid = ctx->gid, .pid = ctx->pid};
}

/* --- ops.c --- */
extern const struct fuse_lowlevel_ops fs_ops;
/* Replies with the error's errno; logs it if it tells of damage rather than of a wrong call. */
void fs_reply_error(fuse_req_t req, const char *what, uint64_t ino, const struct varve_error *err);
/* How long the kernel may keep what it is told of the inode. */
double fs_attr_timeout(const struct varve_inode *inode);
/* The kernel forgets what it knows of an inode's attributes, at once; not its pages, so this can be
 * called inside any request. */
void fs_forget_attributes(struct varve_mount *mount, uint64_t ino);
/* Its pages too: only inside an open of what nobody else has open, as it waits for those in use. */
void fs_forget_pages(struct varve_mount *mount, uint64_t ino);
void fs_stat(const struct varve_inode *inode, struct stat *ret);
struct timespec fs_time(int64_t ns);
void fs_entry(const struct varve_inode *inode, struct fuse_entry_param *ret);

/* --- ops_names.c --- */
void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void fs_readlink(fuse_req_t req, fuse_ino_t ino);
void fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags);
void fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);

/* --- ops_attr.c --- */
void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                struct fuse_file_info *fi);
#ifdef FUSE_HAS_STATX
void fs_statx(fuse_req_t req, fuse_ino_t ino, int flags, int mask, struct fuse_file_info *fi);
#endif
void fs_statfs(fuse_req_t req, fuse_ino_t ino);
void fs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                 int flags);
void fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void fs_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* --- ops_dir.c --- */
void
fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void fs_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi);
void fs_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* --- open.c --- */
void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *fi);
#ifdef FUSE_HAS_TMPFILE
void fs_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi);
#endif
void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* Drops one use; the last one closes the file. */
void fs_handle_drop(struct fs_handle *handle);
/* Closes what the kernel never released: after an abort it sends no releases. */
void fs_close_handles(struct varve_mount *mount);

/* --- ops_file.c --- */
void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void fs_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *incoming, off_t offset,
                  struct fuse_file_info *fi);
/* Makes the file (0: names only) durable, and answers. */
void fs_sync(fuse_req_t req, uint64_t ino);
void fs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void fs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                  struct fuse_file_info *fi);
void fs_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
void fs_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t offset_in,
                        struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t offset_out,
                        struct fuse_file_info *fi_out, size_t length, int flags);

/* --- nodes.c --- */
/* One more reference, made if it was not there; NULL: out of memory. */
struct fs_node *fs_node_get(struct varve_mount *mount, uint64_t ino);
void fs_node_put(struct varve_mount *mount, struct fs_node *node);
/* Is it worth asking the kernel? */
bool fs_passthrough_on(const struct varve_mount *mount);
/* Locked: the kernel gets the backing file, unless it has it. False: it does not want it;
 * *ret_for_good: nor any other of that tier path. */
bool fs_node_register(struct varve_mount *mount, struct fs_node *node, int fd, bool *ret_for_good);
/* Locked: one passthrough open fewer. */
void fs_node_left(struct varve_mount *mount, struct fs_node *node);

/* --- work.c --- */
/* The job is done by a worker, with what it holds. */
VARVE_MUST_CHECK bool fs_work_push(struct fs_job *job, struct varve_error *err);
/* When no more come: ends the workers. */
void fs_work_finish(struct varve_mount *mount);

/* --- wait.c --- */
/* The kernel has cut the connection, and libfuse frees its rings: the memory of a request that came
 * through one is gone or about to be, and nobody is there to be answered. */
bool fs_job_is_gone(const struct fs_job *job);
VARVE_MUST_CHECK bool fs_waits_start(struct varve_mount *mount, struct varve_error *err);
/* Attempts `job`, answers it, lets it wait for its content, or leaves it to a worker: this thread
 * is not held up. */
void fs_run(struct fs_job *job);
/* For workers: answers a job that failed, or lets it wait. */
void fs_job_failed(struct fs_job *job, const struct varve_error *err);
/* Gives back what an answered job held. */
void fs_job_done(struct fs_job *job);
/* Copies the bytes to write, which libfuse takes back when the worker's call returns. */
VARVE_MUST_CHECK bool fs_job_hold(struct fs_job *job, struct varve_error *err);
/* Who waits: the thread that called, and a number that is never used again. */
struct fs_waiter {
    pid_t thread;
    uint64_t number;
};
size_t fs_waits_list(struct varve_mount *mount, struct fs_waiter *ret, size_t max);
/* A signal came to who waits. */
void fs_waits_interrupt(struct varve_mount *mount, uint64_t number);
/* Answers all that wait with EINTR and lets none wait from now on. */
void fs_waits_refuse(struct varve_mount *mount);
/* Refuses, and returns when the last is answered and the threads are gone. */
void fs_waits_finish(struct varve_mount *mount);

/* --- notify.c --- */
VARVE_MUST_CHECK bool fs_notify_start(struct varve_mount *mount, struct varve_error *err);
void fs_notify_finish(struct varve_mount *mount);

/* --- mount_flags.c --- */
/* Flags of a list of words as mountinfo has it; other words are skipped. */
unsigned long fs_flags_of_words(const char *text);
VARVE_MUST_CHECK bool
fs_flags_finish(const char *mountpoint, unsigned long flags, struct varve_error *err);

/* --- watch.c --- */
/* From here on the vfs and `flags` follow what the kernel says of the mount. */
VARVE_MUST_CHECK bool fs_watch_start(struct varve_mount *mount, struct varve_error *err);
void fs_watch_finish(struct varve_mount *mount);
/* Before an operation that changed something is answered: makes it durable if the mount has `sync`,
 * or the option that `flag` is: MS_DIRSYNC for names, else 0. Bytes are the kernel's to fsync. */
VARVE_MUST_CHECK bool
fs_settle(struct varve_mount *mount, unsigned long flag, struct varve_error *err);

/* --- mounted.c --- */
/* As varve_mounted_at(), for a path that is absolute and resolved. */
VARVE_MUST_CHECK bool
fs_mounted_at(const char *path, struct varve_mounted *ret, struct varve_error *err);
/* False with the reason unless it is a mount of varve. */
VARVE_MUST_CHECK bool
fs_is_ours(const char *path, const struct varve_mounted *mounted, struct varve_error *err);
/* Absolute path without symlinks, also if the last part is a dead mount. Malloc'd. */
VARVE_MUST_CHECK bool fs_resolve(const char *path, char **ret, struct varve_error *err);

#endif
