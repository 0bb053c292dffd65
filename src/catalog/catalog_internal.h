/* catalog_internal.h - what the files of src/catalog share.
 *
 * One write connection under `lock` (recursive, so that units nest); everything here is called with
 * the lock held unless it says otherwise. A transaction is open while there are uncommitted
 * changes, so reads on this connection see them. Readers that take long (select, verify, snapshot)
 * open connections of their own. */
#ifndef VARVE_CATALOG_INTERNAL_H
#define VARVE_CATALOG_INTERNAL_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <varve/catalog.h>

#include "pending.h"
#include "statements.h"

#define CATALOG_APPLICATION_ID 0x76617276 /* "varv" */
#define CATALOG_COMMIT_NS_MAX VARVE_NS_PER_SECOND
#define CATALOG_INTEGER_MAX ((uint64_t)INT64_MAX)

/* The SQL that makes schema i + 1 of schema i. */
extern const char *const catalog_steps[VARVE_CATALOG_SCHEMA];

/* Numbers never handed out twice: those below `reserved` are durably taken before any of them is
 * used, so that a crash cannot bring one back. */
enum catalog_number { NUMBER_INODE, NUMBER_CONTENT, NUMBER_FILE, NUMBER_DENTRY, NUMBER_COUNT };
struct catalog_sequence {
    uint64_t next;
    uint64_t reserved;
    uint64_t written;   /* in the open transaction; becomes `committed` with it ... */
    uint64_t committed; /* ... and that `reserved` when the log is durable */
};

struct varve_catalog {
    char *path;
    struct varve_clock *clock;
    sqlite3 *db;
    sqlite3 *checkpointer; /* of the committer thread alone */
    sqlite3_stmt *statements[SQL_COUNT];
    pthread_mutex_t lock;
    struct varve_error failed; /* kind NONE: works. Else what every call answers from now on */
    struct catalog_sequence numbers[NUMBER_COUNT];

    unsigned depth;                 /* of units; the holder of the lock is in one if > 0 */
    bool savepoint;                 /* the unit has changed something in SQLite */
    bool in_transaction;            /* SQLite has changes not committed yet */
    bool uncommitted;               /* it has, or `pending` has */
    atomic_uint_fast64_t changed;   /* count of changes ... */
    atomic_uint_fast64_t committed; /* ... how many of them are in the log ... */
    atomic_uint_fast64_t durable;   /* ... and how many the disk has */
    int64_t commit_by_ns;           /* monotonic, while `uncommitted` */
    struct pending pending;

    pthread_mutex_t sync_lock; /* one fsync of the log at a time; taken before or without `lock` */
    int log_fd;                /* of the write-ahead log; -1: not open yet */

    pthread_t committer;
    bool committer_runs;
    bool closing;
    pthread_cond_t wake;
    int wal_frames; /* as of the last commit */
};

/* --- catalog.c --- */
/* Inside a transaction: brings a catalog of schema `from` (0: empty) to the newest one. */
bool catalog_take_steps(sqlite3 *db, const char *path, int64_t from, struct varve_error *err);
/* Makes the name `path` durable: fsync of its directory. */
bool catalog_sync_parent(const char *path, struct varve_error *err);

/* --- commit.c --- */
bool catalog_committer_start(struct varve_catalog *catalog, struct varve_error *err);
void catalog_committer_stop(struct varve_catalog *catalog); /* without the lock */
bool catalog_numbers_load(struct varve_catalog *catalog, struct varve_error *err);
/* Commits what is left and gives back the numbers that were reserved and not used. */
void catalog_commit_last(struct varve_catalog *catalog);
bool catalog_numbers_new(struct varve_catalog *catalog, enum catalog_number kind, unsigned count,
                         uint64_t *ret, struct varve_error *err);
/* `number` was chosen by the caller: never hand it out. INVALID if SQLite cannot hold it. */
bool catalog_number_taken(struct varve_catalog *catalog, enum catalog_number kind, uint64_t number,
                          struct varve_error *err);
/* Brings all changes into the log; not durable yet. */
bool catalog_commit(struct varve_catalog *catalog, struct varve_error *err);
/* The same, and makes them durable, with the lock held: for the rare case that cannot wait. */
bool catalog_commit_durably(struct varve_catalog *catalog, struct varve_error *err);
/* Something changed: there is a commit to come. */
void catalog_note_change(struct varve_catalog *catalog);
/* Makes `err` what every later call says; returns false. */
bool catalog_fail(struct varve_catalog *catalog, const struct varve_error *err);

/* --- statements.c --- */
/* Fills `err` from a SQLite result code of `db` (NULL: none was opened); returns false. */
bool catalog_sqlite_error(sqlite3 *db, int code, const char *path, struct varve_error *err);
bool catalog_statements_prepare(struct varve_catalog *catalog, struct varve_error *err);
void catalog_statements_finalize(struct varve_catalog *catalog);
/* A statement to bind and step; NULL with *err if the catalog failed before. Writes pending rows
 * first if the statement could miss them. */
sqlite3_stmt *
catalog_reader(struct varve_catalog *catalog, enum catalog_sql sql, struct varve_error *err);
/* The same for one that changes something: opens the transaction and the unit's savepoint. */
sqlite3_stmt *
catalog_writer(struct varve_catalog *catalog, enum catalog_sql sql, struct varve_error *err);
/* Opens the transaction, and the savepoint of a unit, if they are not open. */
bool catalog_open_transaction(struct varve_catalog *catalog, struct varve_error *err);
/* For the reading and writing of pending rows: no look at what is pending, and the transaction is
 * open already if it changes anything. */
sqlite3_stmt *
catalog_row_statement(struct varve_catalog *catalog, enum catalog_sql sql, struct varve_error *err);
/* Runs such a statement whose parameters are one or two integers. */
bool catalog_row_run_ids(struct varve_catalog *catalog, enum catalog_sql sql, uint64_t first,
                         uint64_t second, struct varve_error *err);
/* True with *ret_row: whether there is a (further) row. */
bool catalog_step(struct varve_catalog *catalog, sqlite3_stmt *statement, bool *ret_row,
                  struct varve_error *err);
/* Runs one that gives no rows. */
bool catalog_run(struct varve_catalog *catalog, sqlite3_stmt *statement, struct varve_error *err);
/* catalog_run() of a statement whose parameters are up to two integers. */
bool catalog_run_ids(struct varve_catalog *catalog, enum catalog_sql sql, uint64_t first,
                     uint64_t second, struct varve_error *err);
/* Rows that the last change touched. */
int catalog_changes(struct varve_catalog *catalog);
/* A connection of its own for long readers; writable only to checkpoint. */
bool catalog_connect(const char *path, int flags, sqlite3 **ret, struct varve_error *err);

static inline void
catalog_reset_cleanup(sqlite3_stmt **statement)
{
    (void)sqlite3_reset(*statement); /* repeats the error of the last step; NULL is fine */
}
static inline void
catalog_finalize_cleanup(sqlite3_stmt **statement)
{
    (void)sqlite3_finalize(*statement); /* likewise */
}
static inline void
catalog_disconnect_cleanup(sqlite3 **db)
{
    (void)sqlite3_close(*db); /* all statements of it are declared after it, so finalized before */
}

/* Binding integers, and blobs that stay put until the statement is reset, cannot fail but for want
 * of memory, and then the parameter is NULL, which NOT NULL refuses. */
static inline void
bind_i64(sqlite3_stmt *statement, int index, int64_t value)
{
    (void)sqlite3_bind_int64(statement, index, value);
}
/* SQLite's integers are signed: numbers past them compare as the greatest one. */
static inline void
bind_u64(sqlite3_stmt *statement, int index, uint64_t value)
{
    bind_i64(statement, index, value > CATALOG_INTEGER_MAX ? INT64_MAX : (int64_t)value);
}
static inline void
bind_blob(sqlite3_stmt *statement, int index, const void *bytes, size_t size)
{
    (void)sqlite3_bind_blob64(statement, index, size == 0 ? "" : bytes, size, SQLITE_STATIC);
}
void bind_bytes(sqlite3_stmt *statement, int index, const char *text); /* text as a BLOB */
void bind_text(sqlite3_stmt *statement, int index, const char *text);

static inline uint64_t
column_u64(sqlite3_stmt *statement, int index)
{
    return (uint64_t)sqlite3_column_int64(statement, index);
}
static inline uint32_t
column_u32(sqlite3_stmt *statement, int index)
{
    return (uint32_t)sqlite3_column_int64(statement, index);
}
void column_append(sqlite3_stmt *statement, int index, struct varve_buffer *ret);
/* Copies text or bytes with a NUL; CORRUPT if they do not fit. */
bool
column_text(sqlite3_stmt *statement, int index, char *ret, size_t size, struct varve_error *err);
/* Copies a blob of exactly `size` bytes; CORRUPT if it has another size. */
bool
column_exactly(sqlite3_stmt *statement, int index, void *ret, size_t size, struct varve_error *err);
/* An enum value 0 .. max; CORRUPT beyond. */
bool column_enum(sqlite3_stmt *statement, int index, int max, int *ret, struct varve_error *err);

/* Fills one row of a page from the statement's current row. */
typedef bool catalog_row_fn(sqlite3_stmt *statement, void *row, struct varve_error *err);
/* Where a page of rows goes: `max` of `stride` bytes each. */
struct catalog_page {
    void *rows;
    size_t stride, max;
    size_t *ret_count;
};
/* Steps through a bound statement until its end or until the page is full. */
bool
catalog_collect(struct varve_catalog *catalog, sqlite3_stmt *statement, catalog_row_fn *from_row,
                const struct catalog_page *page, struct varve_error *err);

/* With the lock: the one row whose key is this text, if there is one. */
bool
catalog_find_text(struct varve_catalog *catalog, enum catalog_sql sql, const char *key,
                  catalog_row_fn *from_row, void *ret, bool *ret_found, struct varve_error *err);

/* --- inodes.c, dentries.c, contents.c: rows of pending.h from and to SQLite --- */
bool inode_read(struct varve_catalog *catalog, uint64_t ino, struct varve_inode *ret,
                bool *ret_found, struct varve_error *err);
bool dentry_read(struct varve_catalog *catalog, uint64_t parent, const char *name,
                 struct varve_dentry *ret, bool *ret_found, struct varve_error *err);
bool content_read(struct varve_catalog *catalog, uint64_t id, struct varve_content *ret,
                  bool *ret_found, struct varve_error *err);
/* `stored`: the row is there and is changed, else it is inserted. */
bool inode_write(struct varve_catalog *catalog, const struct varve_inode *inode, bool stored,
                 struct varve_error *err);
bool content_write(struct varve_catalog *catalog, const struct varve_content *content, bool stored,
                   struct varve_error *err);
bool
dentry_write(struct varve_catalog *catalog, const struct pending_row *row, struct varve_error *err);
/* With what belongs to them. */
bool
inode_erase(struct varve_catalog *catalog, const struct pending_row *row, struct varve_error *err);
bool content_erase(struct varve_catalog *catalog, uint64_t id, struct varve_error *err);
bool dentry_erase(struct varve_catalog *catalog, uint64_t parent, const char *name,
                  struct varve_error *err);
/* `inode` was read by another statement: what is pending of it counts more. */
void inode_catch_up(const struct varve_catalog *catalog, struct varve_inode *inode);

/* Rows start at column `first`. */
void inode_from_row(sqlite3_stmt *statement, int first, struct varve_inode *ret);
/* Errors of a missing row. */
bool inode_missing(uint64_t ino, struct varve_error *err);
bool content_missing(struct varve_content_id id, struct varve_error *err);

#endif
