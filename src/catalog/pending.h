/* pending.h - rows of inode, dentry and content in memory, in front of SQLite: those read lately,
 * and those changed and not written yet.
 *
 * A file that is made, written and closed changes the same few rows several times, and its
 * directory's row once more; a temporary file leaves nothing behind. So changes are collected here
 * and written when somebody needs them in SQLite: at a commit, or before a statement that reads or
 * refers to these tables by anything but their key. All changes of the three tables go through
 * here; nothing else ever writes them.
 *
 * All of it under the catalog's lock. A unit notes what rows were before it first touched them; an
 * undone one puts that back. When a unit needs its changes in SQLite, or grows large, what is older
 * than it is written first, then its savepoint is opened; from there on nothing is noted, and if it
 * is undone everything is forgotten: SQLite has it all. */
#ifndef VARVE_CATALOG_PENDING_H
#define VARVE_CATALOG_PENDING_H

#include <varve/catalog.h>

/* Rows kept, about 250 bytes each, beside those not written yet. */
#define PENDING_ROWS_MAX 32768u
/* Rows not written yet; with more the committer need not wait for its second, with twice as many
 * whoever changes one writes some. */
#define PENDING_DIRTY_SOON 49152u
#define PENDING_STEP 256u
/* Rows that a unit may touch before it takes a savepoint. */
#define PENDING_NOTES_MAX 2048u
#define PENDING_BUCKETS 65536u /* a power of two */

enum pending_kind { PENDING_INODE, PENDING_DENTRY, PENDING_CONTENT };

struct pending_state {
    bool present; /* the row exists */
    bool stored;  /* SQLite has it */
    bool dirty;   /* SQLite differs */
    union {
        struct varve_inode inode;
        struct varve_content content;
        struct {
            uint64_t cookie, ino;
        } dentry;
    };
    int64_t deleted_ns; /* of an inode that is not present any more */
};

/* What is known of an inode's extended attributes, which are in SQLite alone. Most files have none,
 * and the kernel asks again and again. An undone unit need not put it back: only one with a
 * savepoint removes xattrs, and its rows go. */
enum pending_xattrs { PENDING_XATTRS_UNKNOWN, PENDING_XATTRS_NONE, PENDING_XATTRS_SOME };

struct pending_row {
    struct pending_row *next;                    /* in its bucket */
    struct pending_row *dirty_prev, *dirty_next; /* oldest change first */
    uint64_t key;                                /* ino, content id, or parent */
    uint64_t unit;                               /* that has noted what it was */
    enum pending_kind kind;
    enum pending_xattrs xattrs; /* of an inode */
    struct pending_state now;
    char name[]; /* of a dentry */
};

struct pending_note {
    struct pending_row *row;
    struct pending_state before;
};

struct pending {
    struct pending_row *buckets[PENDING_BUCKETS];
    struct pending_row *first_dirty, *last_dirty;
    size_t rows, dirty, dirty_dentries;
    struct pending_note *notes; /* of the unit under way */
    size_t note_count, note_capacity;
    uint64_t unit; /* counts units, from 1 */
};

/* The row, read from SQLite if it is not here; *ret->now.present says whether it exists. `name` is
 * NULL but for dentries. */
VARVE_MUST_CHECK bool
pending_load(struct varve_catalog *catalog, enum pending_kind kind, uint64_t key, const char *name,
             struct pending_row **ret, struct varve_error *err);
/* The same for a number that was never used before: SQLite need not be asked. */
VARVE_MUST_CHECK bool
pending_fresh(struct varve_catalog *catalog, enum pending_kind kind, uint64_t key,
              struct pending_row **ret, struct varve_error *err);
/* NULL: not here. */
struct pending_row *pending_find(const struct varve_catalog *catalog, enum pending_kind kind,
                                 uint64_t key, const char *name);
/* Before row->now is changed: notes it for the unit and marks it as to be written. */
VARVE_MUST_CHECK bool
pending_change(struct varve_catalog *catalog, struct pending_row *row, struct varve_error *err);
/* Takes a row that was read with another, unless a newer one is here. Best effort. */
void pending_keep_read(struct varve_catalog *catalog, const struct varve_inode *inode);

/* The end of the outermost unit: it stands; it did not happen; or it did not happen and had a
 * savepoint, which was rolled back. */
void pending_unit_keep(struct varve_catalog *catalog);
void pending_unit_undo(struct varve_catalog *catalog);
void pending_unit_forget(struct varve_catalog *catalog);
/* With no row in hand: forgets what was read when there is too much of it, and writes some when
 * there is too much to write. */
void pending_room(struct varve_catalog *catalog);
/* Forgets everything. */
void pending_clear(struct varve_catalog *catalog);

/* SQLite has the row as it is now. */
void pending_written(struct varve_catalog *catalog, struct pending_row *row);

/* --- flush.c --- */
/* Writes up to `max` rows, those changed first. A failure stops the catalog. */
VARVE_MUST_CHECK bool
pending_flush(struct varve_catalog *catalog, size_t max, struct varve_error *err);
/* Before a unit's savepoint is opened: writes what is older than the unit, and drops its notes. */
VARVE_MUST_CHECK bool pending_flush_older(struct varve_catalog *catalog, struct varve_error *err);

#endif
