/* SPDX-License-Identifier: Apache-2.0 */
/* vfs_internal.h - what the files of src/vfs share: the table of open files and how they lock.
 *
 * Lock order, outermost first; nothing is taken against it:
 *   1. vnode.lock     one at a time. May be held while this file's bytes are copied, frozen or
 *                     synced, never while a recall is awaited, a port or a `ready` is called.
 *   2. catalog unit   varve_catalog_begin .. _end; short. Every change of an inode or content row
 *                     reads the row again inside its unit: the engine changes phases beside us.
 *   3. recall_lock, then table_lock; reap_lock; flush_lock; mark_lock; pool.lock; ghost_lock:
 * leaves, held for a few instructions. crash_lock is taken between 1 and 2 while the start after a
 * crash is still looking at files. Names need no lock of their own: the unit is it. That a file is
 * open is known by its vnode being in the table, so unlink asks the table inside its unit, and an
 * opener that comes too late finds no inode row.
 *
 * The catalog has the truth of everything but size and mtime of LIVE contents that are or were
 * open for writing: there the backing file has it. */
#ifndef VARVE_VFS_INTERNAL_H
#define VARVE_VFS_INTERNAL_H

#include <stdatomic.h>
#include <sys/stat.h>
#include <varve/heat.h>
#include <varve/vfs.h>

#include "acl_codec.h"

#define VFS_BUCKETS 4096u
#define VFS_LINKS_MAX INT32_MAX
/* A file that waits for removal costs 24 bytes; beyond this many the caller removes them itself. */
#define VFS_REAP_MAX 65536u
#define VFS_REAP_SOON 1000u
/* synced_bytes of a file that the kernel writes with O_DSYNC. */
#define VFS_BELIEVED ((uint64_t)INT64_MAX - 1)
#define VFS_GHOSTS 1024u

/* The rule of passthrough. The kernel reads, writes and maps a backing file that it was given
 * without us, and a mapping outlives the last close. So:
 * - It gets the file of a LIVE or SEALED content only, and a FROZEN one has no such users: freezing
 *   is BUSY while the kernel has the file (passthroughs) or anybody has it open or mapped
 *   (pass_in_use, a lease). What is frozen thus never changes, and its copy for the next writer
 *   leaves nobody behind with the old bytes.
 * - The next version of a SEALED one takes over the same file, for readers' and mappings' sake. The
 *   kernel refuses to write one in passthrough before that; once it has the file, opening it for
 *   writing takes it over at once.
 * - One inode has one backing file at a time: moving and releasing are BUSY while it is open or in
 *   use. On a tier path without leases nobody could tell, so none of its files is passed.
 * - As long as a mapping is left, every open passes: else it would have pages of its own, and each
 *   side would write its whole pages over what the other stored beside.
 * - Writes by mmap change size-less attributes (mtime) silently: while a file is open so that it
 *   can be mapped for writing, or may still be mapped, it is `unsteady`: attributes come from
 *   fstat(2), and whoever caches them is told not to.
 * - The kernel strips no setuid, setgid or capabilities from what it writes without us. A file that
 *   has such is written through us; one that gets such while the kernel writes it is `watched`. */

struct request;
struct waiter;
struct wet;
struct recall_user;

struct vnode {
    struct vnode *next; /* in its bucket; this and the next four under table_lock */
    struct vnode *mapped_next;
    uint64_t ino;
    unsigned refs; /* opens, requests, recalls and calls under way */
    bool orphan;   /* no name is left: whoever drops the last ref deletes the inode */
    bool nameless; /* made without a name (O_TMPFILE), so link(2) may give it one */

    pthread_mutex_t lock; /* all below */
    bool loaded;
    struct varve_content content; /* id 0: none */
    int fd;                       /* backing file, O_RDWR; -1: not opened yet or none */
    int head_fd;                  /* head of content `head_of`; -1: not opened yet or none */
    uint64_t head_of;
    unsigned readers, writers; /* opens without and with write access */
    unsigned passthroughs;     /* of them, with the descriptor given to the kernel */
    unsigned passed_writers;   /* of these, those that write */
    unsigned passed_mappables; /* of these, those through which mappings can write */
    bool mapped;               /* may be mapped for writing by who closed it; in vfs->mapped */
    bool watched;              /* got privileges while the kernel writes it; not yet written */
    int64_t watched_mtime_ns;
    atomic_bool plain; /* known to have no setuid, setgid, capabilities; without the lock */
    atomic_bool slow;  /* whoever has the lock copies or syncs; without the lock */
    unsigned ios;      /* descriptors given out and not done with */
    bool dirty;        /* written since there was no writer */
    bool name_fresh;   /* the backing file's name is not durable yet */
    bool named;        /* it was durable when the content's row was written */
    bool wet;          /* bytes changed that are not durable, and flush.c knows */
    uint64_t synced;   /* so many of the first bytes are durable in some version */
    unsigned cuts;     /* counts what made `synced` smaller */
    bool believed;     /* the kernel writes it with O_DSYNC: whatever its size is, is durable */
    unsigned passed_synchronous;
    bool adopted; /* took a sealed content's file; that commit is not durable yet */
    struct {
        uint64_t size;
        int64_t row_ctime_ns; /* of the inode's row then */
        int64_t file_mtime_ns;
        int64_t mtime_ns, ctime_ns; /* what we tell of that state */
    } seen;                         /* of the backing file when it was last looked at */
    uint64_t changes;               /* counts what could make a copy under way out of date */
    double heat;                    /* opens not yet in the catalog, decayed to heat_ns */
    int64_t heat_ns;
    uint64_t opens;
    int64_t atime_ns; /* of a read not yet in the catalog; 0: none */
    int *retired;     /* descriptors of former backing files that a reader may still use */
    size_t retired_count;
    struct varve_recall *filling;
    struct request *request; /* under recall_lock */
    struct request *ended;   /* to be told by vnode_unlock() */
};

#define POOL_FILES_MAX 128u

struct pooled_file {
    struct varve_place place;
    int fd;
    int64_t mtime_ns;
};

struct file_pool {
    pthread_mutex_t lock; /* a leaf */
    pthread_cond_t wake;
    struct pooled_file files[POOL_FILES_MAX];
    size_t count, wanted;
    bool taken; /* since the thread last looked */
    bool filling, stopping, started;
    pthread_t thread;
};

/* A backing file that shall say whose it is. */
struct origin_mark {
    uint64_t ino;
    uint32_t version;
    struct varve_place place;
    int64_t due_ns; /* monotonic */
};

struct varve_vfs {
    struct varve_catalog *catalog;
    struct varve_store *store;
    struct varve_clock *clock;
    char *archive_dir;
    enum varve_tier first_tier;
    int64_t heat_half_life_ns;
    atomic_int file_atime, dir_atime; /* enum varve_atime */
    struct varve_reader_rules readers;
    uint64_t head_bytes;
    atomic_bool heads_stopped;
    atomic_uint_least64_t flushes; /* of sizes and times from backing files to the catalog */
    atomic_int_least64_t seen_ns;  /* latest time of change of a backing file */
    bool simulated; /* the clock is not the machine's, so backing files get its times by hand */

    pthread_mutex_t table_lock;
    struct vnode *buckets[VFS_BUCKETS];
    struct vnode *mapped;       /* each with a reference */
    pthread_mutex_t crash_lock; /* after a crash: held while one file is looked at; below a vnode */
    uint8_t *checked; /* after a crash: one bit per inode whose size was compared; NULL: no need */
    size_t checked_bytes;
    atomic_bool unclean;
    uint64_t first_own_content;     /* contents from this id on were made in this run */
    bool power_lost;                /* unsynced bytes may be gone: set before any thread runs */
    struct varve_vfs_losses losses; /* under table_lock */

    pthread_mutex_t recall_lock;
    struct request *requests[VFS_BUCKETS];
    struct waiter *waiters[VFS_BUCKETS];
    uint64_t last_ticket;
    struct recall_user *recall_users;
    struct varve_recall_port recall_port;
    struct varve_notify_port notify_port;

    pthread_mutex_t flush_lock; /* a leaf */
    pthread_cond_t flush_wake;
    struct wet *wet; /* what is not durable yet */
    size_t wet_count, wet_capacity;
    pthread_t flusher;
    bool flusher_started, flusher_stops;
    pthread_mutex_t ghost_lock;
    struct varve_inode ghosts[VFS_GHOSTS]; /* a ring */
    size_t ghost_next;

    pthread_mutex_t reap_lock;
    pthread_cond_t reap_wake;
    pthread_mutex_t reaping; /* one at a time; taken before reap_lock and any unit */
    struct varve_place *doomed;
    size_t doomed_count, doomed_capacity;
    struct file_pool pool;
    pthread_mutex_t mark_lock; /* a leaf */
    struct origin_mark *marks;
    size_t mark_count, mark_capacity;
    pthread_t reaper;
    bool reaper_started, stopping;
};

struct varve_open {
    struct varve_vfs *vfs;
    struct vnode *vnode;
    bool writing, reading, passthrough;
    bool synchronous; /* O_DSYNC */
    bool no_atime;    /* O_NOATIME */
    bool privileged;  /* opened for writing, and the file has setuid, setgid or capabilities */
    bool atime_done;  /* these two under the vnode's lock */
    unsigned writes;
};

/* What a new inode gets from its directory's default ACL. */
struct acl_inheritance {
    bool found; /* there is a default ACL */
    bool plain; /* the mode bits say all of `access` */
    struct acl access, defaults;
};

/* --- acl.c; all inside a unit --- */
bool acl_is_name(const char *name);
/* Before the inode is inserted: the mode that it gets, by the default ACL of `dir` or the umask. */
VARVE_MUST_CHECK bool
acl_plan_inheritance(struct varve_vfs *vfs, uint64_t dir, uint32_t umask, struct varve_inode *inode,
                     struct acl_inheritance *ret, struct varve_error *err);
/* After it. */
VARVE_MUST_CHECK bool
acl_give_inheritance(struct varve_vfs *vfs, const struct varve_inode *inode,
                     const struct acl_inheritance *plan, struct varve_error *err);
/* After a chmod: the access ACL, if there is one, says what the mode bits say. */
VARVE_MUST_CHECK bool
acl_follow_mode(struct varve_vfs *vfs, const struct varve_inode *inode, struct varve_error *err);
/* Stores an ACL under its name, or nothing where the mode bits say all of it; changes
 * inode->mode, which the caller stores. *ret_changed: it said something new. */
VARVE_MUST_CHECK bool
acl_set(struct varve_vfs *vfs, const char *name, const struct acl *acl, struct varve_inode *inode,
        bool *ret_changed, struct varve_error *err);

/* --- ghost.c --- */
/* Any time; a unit that is undone after it does no harm: living inodes are found first. */
void ghost_remember(struct varve_vfs *vfs, const struct varve_inode *inode);

/* --- vnode.c --- */
/* One more reference, made if it was not there; NULL: out of memory. Not loaded yet. */
struct vnode *vnode_get(struct varve_vfs *vfs, uint64_t ino);
/* One more reference if the file is in the table. */
struct vnode *vnode_peek(struct varve_vfs *vfs, uint64_t ino);
/* The last one closes the backing file, and deletes the inode if it has no name left. */
void vnode_put(struct varve_vfs *vfs, struct vnode *vnode);
void vnode_lock(struct vnode *vnode);
/* The same for a thread that may have to be quick (varve_vfs_be_quick): WAIT instead of waiting for
 * a copy or a sync. */
VARVE_MUST_CHECK bool vnode_enter(struct vnode *vnode, struct varve_error *err);
/* False, and nothing is held, if whoever has the lock copies or syncs. */
VARVE_MUST_CHECK bool vnode_try_lock(struct vnode *vnode);
/* Locked, around what takes long: false, with WAIT, if this thread must be quick. */
VARVE_MUST_CHECK bool vnode_slow_begin(struct vnode *vnode, struct varve_error *err);
void vnode_slow_end(struct vnode *vnode);
/* Also tells those who waited for a recall that ended meanwhile. */
void vnode_unlock(struct varve_vfs *vfs, struct vnode *vnode);
/* Locked: reads inode (may be NULL) and, the first time, content. ENOENT if there is no inode. */
VARVE_MUST_CHECK bool vnode_load(struct varve_vfs *vfs, struct vnode *vnode,
                                 struct varve_inode *ret, struct varve_error *err);
/* vnode_get, lock and load; nothing is held on failure. vnode_release undoes it. */
VARVE_MUST_CHECK bool vnode_acquire(struct varve_vfs *vfs, uint64_t ino, struct vnode **ret,
                                    struct varve_inode *ret_inode, struct varve_error *err);
void vnode_release(struct varve_vfs *vfs, struct vnode *vnode);
/* Locked: the content is another one; what is durable of it stands in its row. */
void vnode_installed(struct vnode *vnode);
/* Locked: opens the backing file of a resident content that has one. */
VARVE_MUST_CHECK bool
vnode_need_fd(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err);
/* Locked: `fd` becomes the backing file; the former one is closed when nobody can be using it. */
void vnode_replace_fd(struct vnode *vnode, int fd);
void vnode_retire_fd(struct vnode *vnode, int fd);
void vnode_io_done(struct vnode *vnode);
/* Locked: is there a backing file whose size and mtime count more than the catalog's? */
bool vnode_live_file(const struct vnode *vnode);
/* Locked: as vfs_take_stat, of the vnode's backing file; each state of it that is seen has times of
 * its own, later than those before. */
bool vnode_take_stat(struct varve_vfs *vfs, struct vnode *vnode, struct varve_inode *inode,
                     const struct stat *st);
/* Locked: the backing file gets the mtime of the catalog, so that a write shows by another one. */
void vnode_agree_on_mtime(struct vnode *vnode);
/* Locked: opens, read times, size and mtime to the catalog. */
VARVE_MUST_CHECK bool
vnode_flush(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err);
/* Inside a unit that takes away the last name: true if the file is open (then it is an orphan). */
bool vnode_orphan(struct varve_vfs *vfs, uint64_t ino);
/* Open since it was made without a name. */
bool vnode_nameless(struct varve_vfs *vfs, uint64_t ino);

/* --- attr.c --- */
/* The time to stamp files with: not before that of any backing file seen so far, not ahead of the
 * clock they are stamped by. */
int64_t vfs_now(struct varve_vfs *vfs);
/* To be asked before an inode is read that vfs_refresh() gets. */
uint64_t vfs_flushes(struct varve_vfs *vfs);
/* Corrects size and times of a regular file from its backing file where that knows better. What it
 * gives was true at some moment of this request: the kernel keeps it for a day, so an answer that
 * is older than a close would be a wrong size for a day. */
void vfs_refresh(struct varve_vfs *vfs, struct varve_inode *inode, uint64_t flushes);
/* What setattr makes of the attributes alone. */
void
vfs_apply_change(struct varve_inode *inode, const struct varve_setattr *change, int64_t now_ns);
/* The time of a change at `now_ns` of what was changed before: it must show, though the clock that
 * files are stamped by ticks slowly. */
int64_t vfs_later(int64_t before_ns, int64_t now_ns);
/* Remembers what a backing file was stamped with. */
void vfs_note_stamp(struct varve_vfs *vfs, int64_t ns);
/* For inode.blocks: never "not known", though a file of nothing but a hole takes none. */
uint64_t vfs_blocks(const struct stat *st);
/* Takes size, blocks and mtime from `st`; true if that changed anything. */
bool vfs_take_stat(struct varve_vfs *vfs, struct varve_inode *inode, const struct stat *st);
/* By the rule of relatime. */
bool vfs_atime_is_old(const struct varve_inode *inode, int64_t now_ns);
bool vfs_wants_atime(struct varve_vfs *vfs, const struct varve_inode *inode, int64_t now_ns);
/* Read time of what is read without being open: directories and symlinks. Best effort. */
void vfs_touch_atime(struct varve_vfs *vfs, uint64_t ino);
int64_t vfs_ns(struct timespec time);
struct timespec vfs_timespec(int64_t ns);

/* --- flush.c --- */
/* Locked: bytes of the file are changing. Within a second they are made durable. */
void flush_wet(struct varve_vfs *vfs, struct vnode *vnode);
/* Locked: the row was written, of a file that is closed now. */
void flush_closed(struct varve_vfs *vfs, struct vnode *vnode);
/* Locked, in memory: the file now ends here. */
void flush_cut(struct vnode *vnode, uint64_t size);
/* Locked: what the row has to say of this size. */
void flush_mark(const struct vnode *vnode, struct varve_content *row);
VARVE_MUST_CHECK bool flush_start(struct varve_vfs *vfs, struct varve_error *err);
/* Makes everything durable once more. */
void flush_stop(struct varve_vfs *vfs);
/* --- origin.c --- */
/* Inode, version, owner and path shall be written into the backing file's xattr. */
void
vfs_mark_origin(struct varve_vfs *vfs, uint64_t ino, uint32_t version, struct varve_place place);
/* Writes what is due, or all. No locks held. */
void origin_write_marks(struct varve_vfs *vfs, bool all);
/* After a crash: a file that was closed just before it may have got none. */
void origin_mark_missing(struct varve_vfs *vfs, const struct varve_content *content);

/* Takes setuid, setgid and so on from the rows alone: `change` sets no size and no mtime. */
VARVE_MUST_CHECK bool
vfs_change_rows(struct varve_vfs *vfs, uint64_t ino, const struct varve_setattr *change,
                struct varve_inode *ret, struct varve_error *err);

/* --- pass.c --- */
/* No locks held: the inode just got setuid, setgid or capabilities. */
void pass_privileges_given(struct varve_vfs *vfs, uint64_t ino);
/* Locked: strips what the kernel's writes should have stripped; `inode` (may be NULL) follows. */
void pass_settle_privileges(struct varve_vfs *vfs, struct vnode *vnode, struct varve_inode *inode);
/* The same for whoever holds no lock; does not wait. */
void pass_settle(struct varve_vfs *vfs, uint64_t ino);
/* Locked: what the backing file went through until now was no write by the kernel. */
void pass_watch_from_now(struct vnode *vnode);
/* Locked: `open` is no longer with the kernel. */
void pass_closed(struct varve_vfs *vfs, struct varve_open *open);
/* Locked: can size and times change without us, unseen by the kernel's own cache? */
bool pass_unsteady(const struct vnode *vnode);
/* Locked, if there is a vnode, and nobody has it open through us: is the backing file at `place`
 * mapped or open elsewhere? */
bool pass_in_use(struct varve_vfs *vfs, const struct vnode *vnode, const struct varve_place *place);
/* The same for the engine, which waits until the flusher has synced the file. */
bool pass_stays_in_use(struct varve_vfs *vfs, struct vnode *vnode, const struct varve_place *place);
/* Forgets the files that are no longer mapped; at_end: all. */
void pass_sweep(struct varve_vfs *vfs, bool at_end);

/* --- crash.c --- */
/* After a start that follows a crash: brings size and mtime of the file up to date, once. */
void crash_catch_up(struct varve_vfs *vfs, struct varve_inode *inode);
/* The same for all files; in the background. */
void crash_sweep(struct varve_vfs *vfs);

/* --- names.c --- */
/* Inside a unit. The row of a directory that can take or lose names: ENOENT, ENOTDIR. */
VARVE_MUST_CHECK bool
names_dir(struct varve_vfs *vfs, uint64_t ino, struct varve_inode *ret, struct varve_error *err);
VARVE_MUST_CHECK bool names_check(const char *name, struct varve_error *err);
/* Inside a unit: new mtime and ctime, `links` more or fewer subdirectories. EMLINK. */
VARVE_MUST_CHECK bool names_touch_dir(struct varve_vfs *vfs, uint64_t ino, int links,
                                      int64_t now_ns, struct varve_error *err);
/* Inside a unit, after the name is gone: one link fewer; at the last one deletes what is not open.
 * *ret_place: a backing file to remove after the unit (tier NONE: none). */
VARVE_MUST_CHECK bool
names_drop_link(struct varve_vfs *vfs, struct varve_inode *inode, int64_t now_ns,
                struct varve_place *ret_place, struct varve_error *err);
/* Inside a unit: the inode and what belongs to it only. */
VARVE_MUST_CHECK bool
names_delete_inode(struct varve_vfs *vfs, const struct varve_inode *inode, int64_t now_ns,
                   struct varve_place *ret_place, struct varve_error *err);
/* The inode had no name left and nobody has it open any more. */
void names_delete_orphan(struct varve_vfs *vfs, uint64_t ino);

/* --- open.c --- */
/* Locked: the read time, as the mount wants it. */
void open_note_read(struct varve_open *open);

/* --- write.c --- */
/* Locked: afterwards the content is LIVE and has a backing file with at least the first `keep`
 * bytes of what it was. WAIT: they are on discs. */
VARVE_MUST_CHECK bool version_for_write(struct varve_vfs *vfs, struct vnode *vnode, uint64_t keep,
                                        struct varve_error *err);
/* Locked. */
VARVE_MUST_CHECK bool version_truncate(struct varve_vfs *vfs, struct vnode *vnode, uint64_t size,
                                       struct varve_error *err);
/* Locked: gives a resident, empty content without backing file one. */
VARVE_MUST_CHECK bool
version_give_file(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err);
/* A new backing file on `tier`, or on the other one when that is full. */
VARVE_MUST_CHECK bool
version_new_file(struct varve_vfs *vfs, enum varve_tier tier, uint64_t bytes,
                 struct varve_place *ret, int *ret_fd, struct varve_error *err);
/* Locked: what was read of the content row may be old if it is not LIVE. */
VARVE_MUST_CHECK bool
version_reread(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err);
/* Bytes (and the name, when it is new) of the backing file are durable afterwards. Locked. */
VARVE_MUST_CHECK bool
version_sync_file(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err);

/* --- reader.c --- */
/* False: EAGAIN or EACCES instead of a recall. */
VARVE_MUST_CHECK bool reader_may_wait(const struct varve_vfs *vfs,
                                      const struct varve_reader *reader, struct varve_error *err);
bool reader_scans(const struct varve_vfs *vfs, const struct varve_reader *reader);

/* --- await.c --- */
/* Locked: takes the vnode's request away, as it is over; NULL if there is none. */
struct request *request_detach(struct varve_vfs *vfs, struct vnode *vnode);
/* No locks held. Tells all who waited and frees. */
void
request_tell(struct varve_vfs *vfs, struct request *request, const struct varve_error *failure);
void recall_cancel_all(struct varve_vfs *vfs);
struct varve_recall_port recall_port(struct varve_vfs *vfs);

/* --- recall.c --- */
/* Locked: the descriptor of a recall under way if it has [start, end), else -1. */
int recall_partial_fd(const struct vnode *vnode, uint64_t start, uint64_t end);

/* --- head.c --- */
/* Before the resident copy is released: makes a head if there is none; the caller names it. */
void head_keep(struct varve_vfs *vfs, struct varve_content *content);
/* Locked, of a recall that ends early: `from` has the beginning. Makes a head and names it. */
void head_keep_part(struct varve_vfs *vfs, struct vnode *vnode, int from);
/* The row is about to be written without it. */
void head_remove(struct varve_vfs *vfs, struct varve_content *content);
/* Locked: the descriptor of the head if there is one that proves itself, else -1. */
int head_fd(struct varve_vfs *vfs, struct vnode *vnode, uint64_t *ret_bytes);

/* --- pool.c --- */
VARVE_MUST_CHECK bool pool_start(struct varve_vfs *vfs, struct varve_error *err);
void pool_stop(struct varve_vfs *vfs);
/* False: none is ready. */
bool pool_take(struct varve_vfs *vfs, enum varve_tier tier, struct varve_place *ret, int *ret_fd,
               int64_t *ret_mtime_ns);

/* --- reap.c --- */
VARVE_MUST_CHECK bool reap_start(struct varve_vfs *vfs, struct varve_error *err);
void reap_stop(struct varve_vfs *vfs);

#endif
