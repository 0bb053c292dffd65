/* vfs.h - what a mount does: names, attributes, open files; and the one place where open files meet
 * migration.
 *
 * Between fs/ (and the API) above and catalog and store below. Any thread. Decides POSIX; knows
 * nothing of FUSE, discs or robots: content that is only on discs is asked for through a recall
 * port that the engine plugs in.
 *
 * Rules that keep migration safe:
 * - A LIVE content changes in place; its backing file is the truth for size and mtime, the catalog
 * follows at flush, fsync, last close and load.
 * - FROZEN and SEALED contents never change. The first write, truncate or fallocate after open
 * makes a new version: a SEALED one whose copy is resident gives its backing file to the new
 * version (committed durably first), a FROZEN one is copied. A MIGRATED one must be recalled first
 * (WAIT), unless it is truncated to 0.
 * - Contents are frozen, moved or released only while nobody has the file open in a way that
 * conflicts (BUSY).
 * - A backing file is removed only after the commit that stops naming it (INV-4). */
#ifndef VARVE_VFS_H
#define VARVE_VFS_H

#include <sys/statvfs.h>
#include <varve/catalog.h>
#include <varve/store.h>

struct varve_vfs;

/* What a reader of content that is on discs gets. */
enum varve_recall_mode {
    VARVE_RECALL_BLOCK, /* he waits */
    VARVE_RECALL_AGAIN, /* EAGAIN, and nothing is recalled */
    VARVE_RECALL_DENY,  /* EACCES */
};
struct varve_id_list {
    const uint32_t *ids;
    size_t count;
};
/* Who may make discs move, and who only passes through. Groups: of the caller, his further ones
 * too. Root may always. */
struct varve_reader_rules {
    enum varve_recall_mode mode;
    struct varve_id_list users, groups; /* they wait, whatever the mode */
    unsigned per_user;                  /* recalls under way for one user; 0: no limit */
    struct varve_id_list scan_users, scan_groups;
    const char *const *scan_commands; /* names as in /proc/PID/comm */
    size_t scan_command_count;
    const char *const *head_commands; /* whose reads may end where the head does */
    size_t head_command_count;
};

struct varve_vfs_options {
    struct varve_catalog *catalog; /* borrowed, as the rest */
    struct varve_store *store;
    struct varve_clock *clock;
    const char *archive_dir;    /* absolute; given out as user.varve.archive */
    enum varve_tier first_tier; /* where new files go: ssd if there is one, else hdd */
    int64_t heat_half_life_ns;
    struct varve_reader_rules readers; /* lists borrowed, too */
    uint64_t head_bytes; /* kept on the first tier of a content that is released; 0: none */
};
/* Deletes orphans of the last run, empties nothing else. */
VARVE_MUST_CHECK bool varve_vfs_new(const struct varve_vfs_options *options, struct varve_vfs **ret,
                                    struct varve_error *err);
/* All files must be closed; flushes, removes what waits for removal. NULL is fine. */
void varve_vfs_free(struct varve_vfs *vfs);
VARVE_DEFINE_CLEANUP(struct varve_vfs, varve_vfs_free)

/* What the start after a power cut had to take back; grows while files are looked at. */
struct varve_vfs_losses {
    uint64_t files_emptied; /* their backing files had never become durable */
    uint64_t files_cut;     /* lost bytes at their end that had not become durable */
};
void varve_vfs_losses(struct varve_vfs *vfs, struct varve_vfs_losses *ret);

/* When reading changes read times. At first RELATIVE: after a change, or once a day. */
enum varve_atime { VARVE_ATIME_RELATIVE, VARVE_ATIME_STRICT, VARVE_ATIME_NEVER };
void
varve_vfs_set_atime(struct varve_vfs *vfs, enum varve_atime files, enum varve_atime directories);

/* Who reads: for limits and for the rules above. */
struct varve_reader {
    uint32_t uid, gid;
    int32_t pid; /* of the thread; 0: not known */
};

/* Who calls: owner of what is made. The umask counts where the directory has no default ACL. */
struct varve_caller {
    uint32_t uid, gid, umask;
};

/* --- names --- */
VARVE_MUST_CHECK bool varve_vfs_lookup(struct varve_vfs *vfs, uint64_t parent, const char *name,
                                       struct varve_inode *ret, struct varve_error *err);
/* Size and times of a file that is open for writing come from its backing file. `unsteady` in what
 * is returned, here and by all others that return an inode: a program may be changing them through
 * a mapping, so they must not be kept. */
VARVE_MUST_CHECK bool varve_vfs_getattr(struct varve_vfs *vfs, uint64_t ino,
                                        struct varve_inode *ret, struct varve_error *err);
/* What an inode was that is gone, for whoever holds it open without our knowing. False: not known.
 */
bool varve_vfs_getattr_gone(struct varve_vfs *vfs, uint64_t ino, struct varve_inode *ret);
enum {
    VARVE_SET_MODE = 1,
    VARVE_SET_UID = 2,
    VARVE_SET_GID = 4,
    VARVE_SET_SIZE = 8,
    VARVE_SET_ATIME = 16,
    VARVE_SET_MTIME = 32,
    VARVE_SET_ATIME_NOW = 64, /* whatever atime_ns is */
    VARVE_SET_MTIME_NOW = 128,
};
struct varve_setattr {
    unsigned mask;
    uint32_t mode, uid, gid; /* mode: permission bits */
    uint64_t size;
    int64_t atime_ns, mtime_ns;
    bool clear_suid; /* chown or truncate by an unprivileged caller: S_ISUID and (with group x)
                        S_ISGID go */
};
/* All or nothing. WAIT: the content must be recalled before it can be truncated to that size. */
VARVE_MUST_CHECK bool
varve_vfs_setattr(struct varve_vfs *vfs, uint64_t ino, const struct varve_setattr *change,
                  struct varve_inode *ret, struct varve_error *err);
/* As varve_vfs_getattr_gone: fchmod(2) and the like of what nobody will see again. */
bool varve_vfs_setattr_gone(struct varve_vfs *vfs, uint64_t ino, const struct varve_setattr *change,
                            struct varve_inode *ret);
/* Regular files, directories, fifos, sockets, devices: `mode` with S_IFMT, as it was asked for: the
 * caller's umask, or the default ACL of `parent`, is applied here. */
VARVE_MUST_CHECK bool
varve_vfs_make(struct varve_vfs *vfs, const struct varve_caller *caller, uint64_t parent,
               const char *name, uint32_t mode, uint64_t rdev, struct varve_inode *ret,
               struct varve_error *err);
VARVE_MUST_CHECK bool varve_vfs_symlink(struct varve_vfs *vfs, const struct varve_caller *caller,
                                        uint64_t parent, const char *name, const char *target,
                                        struct varve_inode *ret, struct varve_error *err);
/* A regular file without a name, open; varve_vfs_link() may name it while it is open, else it goes
 * with its last close, or with a crash. `flags` as varve_vfs_open. */
struct varve_open;
VARVE_MUST_CHECK bool
varve_vfs_tmpfile(struct varve_vfs *vfs, const struct varve_caller *caller, uint64_t parent,
                  uint32_t mode, int flags, struct varve_open **ret, struct varve_inode *ret_inode,
                  struct varve_error *err);
VARVE_MUST_CHECK bool varve_vfs_readlink(struct varve_vfs *vfs, uint64_t ino,
                                         struct varve_buffer *ret, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_vfs_link(struct varve_vfs *vfs, uint64_t ino, uint64_t parent, const char *name,
               struct varve_inode *ret, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_vfs_unlink(struct varve_vfs *vfs, uint64_t parent, const char *name, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_vfs_rmdir(struct varve_vfs *vfs, uint64_t parent, const char *name, struct varve_error *err);
/* `flags`: 0, RENAME_NOREPLACE or RENAME_EXCHANGE (renameat2(2)). */
VARVE_MUST_CHECK bool
varve_vfs_rename(struct varve_vfs *vfs, uint64_t parent, const char *name, uint64_t new_parent,
                 const char *new_name, unsigned flags, struct varve_error *err);
/* As varve_catalog_readdir, with current sizes; without "." and "..". */
VARVE_MUST_CHECK bool
varve_vfs_readdir(struct varve_vfs *vfs, uint64_t ino, uint64_t after, struct varve_dentry *ret,
                  size_t max, size_t *ret_count, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_vfs_parent(struct varve_vfs *vfs, uint64_t ino, uint64_t *ret, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_vfs_statfs(struct varve_vfs *vfs, struct statvfs *ret, struct varve_error *err);
/* Durability of everything that happened before, names and (for `ino` != 0) that file's bytes. */
VARVE_MUST_CHECK bool varve_vfs_fsync(struct varve_vfs *vfs, uint64_t ino, struct varve_error *err);

/* --- extended attributes --- */
/* user.varve.* are virtual and read-only: state, tier, heat, opens, set, discs, archive, path, and
 * of what is on discs only eta. */
VARVE_MUST_CHECK bool varve_vfs_xattr_get(struct varve_vfs *vfs, uint64_t ino, const char *name,
                                          struct varve_buffer *ret, struct varve_error *err);
/* `flags`: 0, XATTR_CREATE or XATTR_REPLACE. user.varve.*: EPERM; what is not in user., trusted. or
 * security.: EOPNOTSUPP, but for POSIX ACLs, which change the mode bits too (and take setgid away
 * with LOSE_SETGID, for a caller who is not of the file's group). */
#define VARVE_XATTR_LOSE_SETGID (1 << 30)
VARVE_MUST_CHECK bool
varve_vfs_xattr_set(struct varve_vfs *vfs, uint64_t ino, const char *name, const void *value,
                    size_t size, int flags, struct varve_error *err);
VARVE_MUST_CHECK bool varve_vfs_xattr_remove(struct varve_vfs *vfs, uint64_t ino, const char *name,
                                             struct varve_error *err);
VARVE_MUST_CHECK bool varve_vfs_xattr_list(struct varve_vfs *vfs, uint64_t ino,
                                           struct varve_buffer *ret, struct varve_error *err);

/* --- open files --- */
/* `flags` of open(2): access mode and O_TRUNC count. Counts one access for heat. Never waits for a
 * disc. */
VARVE_MUST_CHECK bool varve_vfs_open(struct varve_vfs *vfs, uint64_t ino, int flags,
                                     struct varve_open **ret, struct varve_error *err);
/* The same for a known reader: one who only scans (a backup, an indexer) heats nothing and leaves
 * no read time. */
VARVE_MUST_CHECK bool
varve_vfs_open_by(struct varve_vfs *vfs, const struct varve_reader *reader, uint64_t ino, int flags,
                  struct varve_open **ret, struct varve_error *err);
/* The last close of a written file brings size and times to the catalog. Frees `open`. */
void varve_open_close(struct varve_open *open);
/* False, and nothing is done, if it would have to wait for a copy or a sync. */
VARVE_MUST_CHECK bool varve_open_try_close(struct varve_open *open);
/* A descriptor to read [offset, offset+*size) from, valid until varve_open_done(); *size is cut at
 * the end of the file (0: end; then *ret_fd is -1 and done is not called). WAIT: on discs and not
 * there yet: varve_vfs_await(), then again. */
VARVE_MUST_CHECK bool varve_open_read(struct varve_open *open, uint64_t offset, uint64_t *size,
                                      int *ret_fd, struct varve_error *err);
/* The same, but may give less than there is: what is kept of the beginning, if more would need a
 * recall. */
VARVE_MUST_CHECK bool varve_open_read_some(struct varve_open *open, uint64_t offset, uint64_t *size,
                                           int *ret_fd, struct varve_error *err);
/* May a read by him be short so? Looks at /proc, so only to be asked when it matters. */
bool varve_vfs_head_will_do(const struct varve_vfs *vfs, const struct varve_reader *reader);
/* A descriptor to write to (or fallocate, copy into), valid until varve_open_done(). WAIT as above.
 */
VARVE_MUST_CHECK bool
varve_open_write(struct varve_open *open, int *ret_fd, struct varve_error *err);
void varve_open_done(struct varve_open *open);
/* Before varve_open_done(): the file may have become shorter (FALLOC_FL_COLLAPSE_RANGE). */
void varve_open_shortened(struct varve_open *open);
/* May the kernel have pages written through a mapping that did not come here yet? Then a hole of
 * the backing file may be none. */
bool varve_open_hides_data(struct varve_open *open);
/* Reading would have to wait for a disc. */
bool varve_open_on_discs(struct varve_open *open);
/* Somebody, this one perhaps, has it open for writing. */
bool varve_open_is_written(struct varve_open *open);
/* A write by somebody who may not keep setuid, setgid and capabilities: they go. *ret_stripped:
 * there were some. */
VARVE_MUST_CHECK bool
varve_open_strip(struct varve_open *open, bool *ret_stripped, struct varve_error *err);

/* --- kernel passthrough --- */
/* A descriptor that the kernel could use as long as the file is open, or -1: not resident, no
 * backing file yet, FROZEN (its next writer gets a copy), or not LIVE and open for writing. Only
 * asks: whoever hands it to the kernel takes it from varve_open_pass(). */
int varve_open_backing_fd(struct varve_open *open);
enum varve_pass_how {
    VARVE_PASS_NO,       /* reads and writes come to us, and so does what mappings change */
    VARVE_PASS_MAPPINGS, /* mappings go to the backing file; reads and writes come to us */
    VARVE_PASS_ALL,
};
struct varve_pass_wish {
    bool forced;        /* the kernel has the file in passthrough already: this open must join */
    bool unwanted;      /* not for its own sake */
    bool mappings_only; /* reads and writes shall come to us */
};
struct varve_pass {
    enum varve_pass_how how;
    int fd;        /* of the backing file, with MAPPINGS and ALL: the same for all opens of it */
    bool forced;   /* there is no other way: a mapping by the backing file is there */
    bool unsteady; /* the inode just became so: what is cached of it now must be dropped */
};
/* What the kernel may do without us; accounts for it: a file open for writing gets its backing file
 * now, what is written past us is looked for, and freezing is BUSY until `open` is closed. As long
 * as a mapping by the backing file may be left every open passes, whatever is wished: else the
 * mapping and the page cache would write over each other. */
VARVE_MUST_CHECK bool varve_open_pass(struct varve_open *open, const struct varve_pass_wish *wish,
                                      struct varve_pass *ret, struct varve_error *err);
/* Is there a tier whose files can be given to the kernel? */
bool varve_vfs_passes(const struct varve_vfs *vfs);
/* The kernel did not take the descriptor after all. `for_good`: it would take none of that tier
 * path. */
void varve_open_pass_refused(struct varve_open *open, bool for_good);

/* --- threads that must not be held up --- */
/* This thread serves many: from now on calls that would copy or sync a file's bytes, or wait for
 * who does, fail with a WAIT of which varve_vfs_takes_long() is true; the same call by another
 * thread does it. Not so: varve_vfs_fsync(), varve_open_close() and what the engine calls. */
void varve_vfs_be_quick(bool yes);
bool varve_vfs_takes_long(const struct varve_error *err);

/* Asks for content that is on discs. `ready` is called once, from another thread (or from this one
 * before the return), when [offset, offset+size) can be read or the recall failed (err != NULL).
 * *ret_ticket cancels. size UINT64_MAX: the whole file is resident. */
typedef void varve_ready_fn(void *context, const struct varve_error *err);
VARVE_MUST_CHECK bool varve_vfs_await(struct varve_vfs *vfs, uint64_t ino, uint64_t offset,
                                      uint64_t size, varve_ready_fn *ready, void *context,
                                      uint64_t *ret_ticket, struct varve_error *err);
/* The same for a reader whom the rules may refuse (EAGAIN, EACCES) or put in line behind his own
 * other recalls. NULL: nobody who is limited, as above. */
struct varve_await {
    uint64_t ino, offset, size;
    varve_ready_fn *ready;
    void *context;
};
VARVE_MUST_CHECK bool
varve_vfs_await_for(struct varve_vfs *vfs, const struct varve_reader *reader,
                    const struct varve_await *await, uint64_t *ret_ticket, struct varve_error *err);
/* True: `ready` will not be called. False: it was or is being called. When the last one who waits
 * for a content has gone before its recall began, it is not recalled. */
bool varve_vfs_await_cancel(struct varve_vfs *vfs, uint64_t ticket);

/* --- for the engine --- */
struct varve_recall_wish {
    struct varve_content_id content;
    uint64_t offset; /* what the first reader waits for */
    bool reader;     /* a reader asks, not a job */
    uint32_t uid;    /* of the reader */
    bool again;      /* was asked for already, by a job: now a reader waits for it too */
};
/* Called without locks held. */
struct varve_recall_port {
    void *context;
    /* Once per content until the recall ends, but for `again`. */
    bool (*request)(void *context, const struct varve_recall_wish *wish, struct varve_error *err);
    /* Nobody waits any more, and it has not begun: the request is over. May be NULL. */
    void (*forget)(void *context, struct varve_content_id content);
    /* When a recall would be over: seconds as digits, or "offline: " and where its discs are. May
     * be NULL. */
    bool (*eta)(void *context, struct varve_content_id content, struct varve_buffer *ret,
                struct varve_error *err);
};
void varve_vfs_set_recall_port(struct varve_vfs *vfs, const struct varve_recall_port *port);

struct varve_recall;
/* Makes the file that the bytes go to (tier: where the content was last, else the first tier).
 * NOT_FOUND: the content is gone or no longer current; EXISTS: it is resident already. Either ends
 * the request; waiters are told. */
VARVE_MUST_CHECK bool varve_vfs_recall_begin(struct varve_vfs *vfs, struct varve_content_id content,
                                             struct varve_recall **ret, struct varve_error *err);
/* What to bring next of the bytes `within` that are missing and not in `except` (may be NULL): what
 * somebody waits for, first come first; else on behind the last write; else the first gap. *ret
 * reaches to the next byte that is there. False: nothing is missing. */
struct varve_ranges;
struct varve_range;
VARVE_MUST_CHECK bool
varve_recall_next(struct varve_recall *recall, const struct varve_ranges *except,
                  const struct varve_range *within, struct varve_range *ret);
/* Bytes of the file, checked (INV-12), in any order, but not so that thousands of gaps are left.
 * Waiters whose range is complete are woken. */
VARVE_MUST_CHECK bool varve_recall_write(struct varve_recall *recall, uint64_t offset,
                                         const void *bytes, size_t size, struct varve_error *err);
/* Reads what was written. */
VARVE_MUST_CHECK bool varve_recall_read(struct varve_recall *recall, uint64_t offset, void *bytes,
                                        size_t size, struct varve_error *err);
/* [start, end) was written. */
bool varve_recall_has(struct varve_recall *recall, uint64_t start, uint64_t end);
/* Somebody waits for it or has the file open. */
bool varve_recall_is_wanted(struct varve_recall *recall);
/* failure NULL: all bytes were written; makes them durable, names them in the catalog, wakes all.
 * Else: drops the file and tells `failure` to all who wait. Frees `recall` in any case. */
VARVE_MUST_CHECK bool varve_recall_end(struct varve_recall *recall,
                                       const struct varve_error *failure, struct varve_error *err);
/* Ends a recall because nobody wants it: who came to wait for it in the very last moment is not
 * told of a failure, the port is asked anew. Keeps a head if the beginning is there. Frees
 * `recall`. */
void varve_recall_abandon(struct varve_recall *recall);
/* Ends a request that never began (no disc, no drive): tells `failure` to all who wait. */
void varve_vfs_recall_fail(struct varve_vfs *vfs, struct varve_content_id content,
                           const struct varve_error *failure);

/* LIVE -> FROZEN: the current bytes are durable and will not change. BUSY: open for writing, or
 * changed after `quiet_since_ns` (INT64_MAX: do not care). NOT_FOUND: no content, or not current.
 * Already FROZEN or SEALED: EXISTS. */
VARVE_MUST_CHECK bool varve_vfs_freeze(struct varve_vfs *vfs, uint64_t ino, int64_t quiet_since_ns,
                                       struct varve_content *ret, struct varve_error *err);
/* FROZEN -> LIVE if it is still current; else it is deleted. For plans that were given up. */
VARVE_MUST_CHECK bool
varve_vfs_thaw(struct varve_vfs *vfs, struct varve_content_id content, struct varve_error *err);
/* Moves resident copies to another tier, each compared by SHA-256; all of a call share one wait for
 * the disk, so give some dozens. Each has its own result: BUSY: the file is open or was changed
 * meanwhile; NOT_FOUND: no resident copy; EXISTS: it is on that tier. `old` of what was moved must
 * be given to varve_vfs_remove_later(). */
struct varve_move_result {
    struct varve_content_id content; /* in */
    bool moved;
    struct varve_place old;   /* if moved */
    struct varve_error error; /* if not */
};
void varve_vfs_move(struct varve_vfs *vfs, struct varve_move_result *files, size_t count,
                    enum varve_tier to);
/* SEALED contents only (INV-1; INVALID else): drops the resident copy. BUSY: open. `ret_old` as
 * above. */
VARVE_MUST_CHECK bool varve_vfs_release(struct varve_vfs *vfs, struct varve_content_id content,
                                        struct varve_place *ret_old, struct varve_error *err);
/* No new heads are kept while the tier is full. */
void varve_vfs_stop_heads(struct varve_vfs *vfs, bool stop);
/* Drops the heads that were used least recently, until so many bytes are free or none is left. */
VARVE_MUST_CHECK bool varve_vfs_trim_heads(struct varve_vfs *vfs, uint64_t bytes,
                                           uint64_t *ret_freed, struct varve_error *err);
/* Removes the backing file after the next commit (INV-4). */
void varve_vfs_remove_later(struct varve_vfs *vfs, struct varve_place place);
/* Now what the reaper does each second: commits and removes what waits, and marks the backing files
 * of files that were closed with whose they are. */
VARVE_MUST_CHECK bool varve_vfs_reap(struct varve_vfs *vfs, struct varve_error *err);

/* Tells the mount that the kernel's idea of an inode is old (size, times, data). NULL port: nobody
 * to tell. */
struct varve_notify_port {
    void *context;
    void (*inode_changed)(void *context, uint64_t ino);
};
void varve_vfs_set_notify_port(struct varve_vfs *vfs, const struct varve_notify_port *port);

#endif
