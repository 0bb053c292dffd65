/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

#include <sys/stat.h>

void
inode_from_row(sqlite3_stmt *statement, int first, struct varve_inode *ret)
{
    *ret = (struct varve_inode){
        .ino = column_u64(statement, first),
        .mode = column_u32(statement, first + 1),
        .uid = column_u32(statement, first + 2),
        .gid = column_u32(statement, first + 3),
        .nlink = column_u32(statement, first + 4),
        .rdev = column_u64(statement, first + 5),
        .size = column_u64(statement, first + 6),
        .atime_ns = sqlite3_column_int64(statement, first + 7),
        .mtime_ns = sqlite3_column_int64(statement, first + 8),
        .ctime_ns = sqlite3_column_int64(statement, first + 9),
        .btime_ns = sqlite3_column_int64(statement, first + 10),
        .content = {column_u64(statement, first + 11)},
        .heat = sqlite3_column_double(statement, first + 12),
        .heat_ns = sqlite3_column_int64(statement, first + 13),
        .opens = column_u64(statement, first + 14),
        .pinned_until_ns = sqlite3_column_int64(statement, first + 15),
        .recorded_ctime_ns = sqlite3_column_int64(statement, first + 16),
        .blocks = column_u64(statement, first + 17),
    };
}

static void
bind_inode(sqlite3_stmt *statement, uint64_t ino, const struct varve_inode *inode)
{
    bind_u64(statement, 1, ino);
    bind_u64(statement, 2, inode->mode);
    bind_u64(statement, 3, inode->uid);
    bind_u64(statement, 4, inode->gid);
    bind_u64(statement, 5, inode->nlink);
    bind_i64(statement, 6, (int64_t)inode->rdev); /* all 64 bits, never compared */
    bind_u64(statement, 7, inode->size);
    bind_i64(statement, 8, inode->atime_ns);
    bind_i64(statement, 9, inode->mtime_ns);
    bind_i64(statement, 10, inode->ctime_ns);
    bind_i64(statement, 11, inode->btime_ns);
    bind_u64(statement, 12, inode->content.value);
    (void)sqlite3_bind_double(statement, 13, inode->heat); /* cannot fail, as bind_i64 */
    bind_i64(statement, 14, inode->heat_ns);
    bind_u64(statement, 15, inode->opens);
    bind_i64(statement, 16, inode->pinned_until_ns);
    bind_i64(statement, 17, inode->recorded_ctime_ns);
    bind_u64(statement, 18, inode->blocks);
}

bool
inode_missing(uint64_t ino, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no inode %llu", (unsigned long long)ino);
}

/* --- between pending rows and SQLite --- */

bool
inode_read(struct varve_catalog *catalog, uint64_t ino, struct varve_inode *ret, bool *ret_found,
           struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_row_statement(catalog, SQL_INODE_GET, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, ino);
    if (!catalog_step(catalog, statement, ret_found, err))
        return false;
    if (*ret_found)
        inode_from_row(statement, 0, ret);
    return true;
}

bool
inode_write(struct varve_catalog *catalog, const struct varve_inode *inode, bool stored,
            struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement =
        catalog_row_statement(catalog, stored ? SQL_INODE_UPDATE : SQL_INODE_INSERT, err);
    if (statement == NULL)
        return false;
    bind_inode(statement, inode->ino, inode);
    return catalog_run(catalog, statement, err);
}

static bool
put_tombstone(struct varve_catalog *catalog, uint64_t ino, int64_t deleted_ns,
              struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_row_statement(catalog, SQL_TOMBSTONE_PUT, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, ino);
    bind_i64(statement, 2, deleted_ns);
    return catalog_run(catalog, statement, err);
}

bool
inode_erase(struct varve_catalog *catalog, const struct pending_row *row, struct varve_error *err)
{
    const struct varve_inode *inode = &row->now.inode;
    return (row->xattrs == PENDING_XATTRS_NONE ||
            catalog_row_run_ids(catalog, SQL_XATTR_DELETE_ALL, inode->ino, 0, err)) &&
           (!S_ISLNK(inode->mode) ||
            catalog_row_run_ids(catalog, SQL_SYMLINK_DELETE, inode->ino, 0, err)) &&
           catalog_row_run_ids(catalog, SQL_INODE_DELETE, inode->ino, 0, err) &&
           (inode->recorded_ctime_ns == 0 ||
            put_tombstone(catalog, inode->ino, row->now.deleted_ns, err));
}

void
inode_catch_up(const struct varve_catalog *catalog, struct varve_inode *inode)
{
    const struct pending_row *row = pending_find(catalog, PENDING_INODE, inode->ino, NULL);
    if (row != NULL && row->now.present)
        *inode = row->now.inode;
}

/* --- for callers --- */

/* The row of an inode that exists. */
static bool
find_inode(struct varve_catalog *catalog, uint64_t ino, struct pending_row **ret,
           struct varve_error *err)
{
    pending_room(catalog);
    return pending_load(catalog, PENDING_INODE, ino, NULL, ret, err) &&
           ((*ret)->now.present || inode_missing(ino, err));
}

bool
varve_catalog_inode_get(struct varve_catalog *catalog, uint64_t ino, struct varve_inode *ret,
                        struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    if (!find_inode(catalog, ino, &row, err))
        return false;
    *ret = row->now.inode;
    return true;
}

/* A row that is not there yet, for a new number or for `ino`. */
static bool
new_row(struct varve_catalog *catalog, uint64_t ino, struct pending_row **ret,
        struct varve_error *err)
{
    if (ino == 0)
        return catalog_numbers_new(catalog, NUMBER_INODE, 1, &ino, err) &&
               pending_fresh(catalog, PENDING_INODE, ino, ret, err);
    if (!catalog_number_taken(catalog, NUMBER_INODE, ino, err) ||
        !pending_load(catalog, PENDING_INODE, ino, NULL, ret, err))
        return false;
    return !(*ret)->now.present ||
           varve_error_set(err, VARVE_ERROR_EXISTS, 0, "inode %llu exists already",
                           (unsigned long long)ino);
}

bool
varve_catalog_inode_insert(struct varve_catalog *catalog, const struct varve_inode *inode,
                           uint64_t *ret_ino, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    pending_room(catalog);
    if (!new_row(catalog, inode->ino, &row, err) || !pending_change(catalog, row, err))
        return false;
    row->now.present = true;
    row->now.inode = *inode;
    row->now.inode.ino = row->key;
    *ret_ino = row->key;
    return true;
}

bool
varve_catalog_inode_update(struct varve_catalog *catalog, const struct varve_inode *inode,
                           struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    if (!find_inode(catalog, inode->ino, &row, err) || !pending_change(catalog, row, err))
        return false;
    row->now.inode = *inode;
    return true;
}

bool
varve_catalog_inode_delete(struct varve_catalog *catalog, uint64_t ino, int64_t now_ns,
                           struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    if (!find_inode(catalog, ino, &row, err) || !pending_change(catalog, row, err))
        return false;
    row->now.present = false;
    row->now.deleted_ns = now_ns;
    return true;
}

static bool
number_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    (void)err; /* integers cannot be wrong */
    *(uint64_t *)row = column_u64(statement, 0);
    return true;
}

static bool
whole_inode_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    (void)err; /* likewise */
    inode_from_row(statement, 0, row);
    return true;
}

bool
varve_catalog_orphans(struct varve_catalog *catalog, uint64_t after, uint64_t *ret_inos, size_t max,
                      size_t *ret_count, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_INODE_ORPHANS, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, after);
    return catalog_collect(catalog, statement, number_from_row,
                           &(struct catalog_page){ret_inos, sizeof *ret_inos, max, ret_count}, err);
}

bool
varve_catalog_inodes(struct varve_catalog *catalog, uint64_t after, struct varve_inode *ret,
                     size_t max, size_t *ret_count, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_INODES, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, after);
    return catalog_collect(catalog, statement, whole_inode_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}

/* --- records on discs (INV-8) --- */

/* Inodes looked at while the lock is held: those of contents that wait for a disc are passed over,
 * and there may be millions of them. */
#define UNRECORDED_STEP 1024

/* True for an inode that can be recorded now: its content is on discs, or will never be, as nothing
 * is in it (any more). */
static bool
is_recordable(sqlite3_stmt *statement, const struct varve_inode *inode)
{
    int phase_column = INODE_COLUMN_COUNT; /* behind INODE_COLUMNS; NULL if there is no content */
    if (inode->content.value == 0)
        return true;
    if (sqlite3_column_type(statement, phase_column) == SQLITE_NULL)
        return false;
    int phase = sqlite3_column_int(statement, phase_column);
    return phase == VARVE_PHASE_SEALED || (phase == VARVE_PHASE_LIVE && inode->size == 0);
}

/* Goes on behind *after for at most UNRECORDED_STEP rows; *ret_more is false at the end. */
static bool
unrecorded_step(struct varve_catalog *catalog, uint64_t *after, struct varve_inode *ret, size_t max,
                size_t *count, bool *ret_more, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_UNRECORDED, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, *after);
    for (unsigned seen = 0; seen < UNRECORDED_STEP && *count < max; seen++) {
        if (!catalog_step(catalog, statement, ret_more, err))
            return false;
        if (!*ret_more)
            return true;
        inode_from_row(statement, 0, &ret[*count]);
        *after = ret[*count].ino;
        if (is_recordable(statement, &ret[*count]))
            ++*count;
    }
    return true;
}

bool
varve_catalog_unrecorded(struct varve_catalog *catalog, uint64_t after, struct varve_inode *ret,
                         size_t max, size_t *ret_count, struct varve_error *err)
{
    size_t count = 0;
    bool more = true;
    while (more && count < max) {
        if (!unrecorded_step(catalog, &after, ret, max, &count, &more, err))
            return false;
    }
    *ret_count = count;
    return true;
}

static bool
record(struct varve_catalog *catalog, uint64_t ino, int64_t ctime_ns, struct varve_error *err)
{
    struct pending_row *row;
    if (!pending_load(catalog, PENDING_INODE, ino, NULL, &row, err))
        return false;
    if (!row->now.present) {
        /* Deleted while its record was being burned: without a tombstone a rebuild would bring it
         * back. */
        catalog_note_change(catalog);
        return catalog_open_transaction(catalog, err) &&
               put_tombstone(catalog, ino, varve_clock_realtime(catalog->clock), err);
    }
    if (row->now.inode.recorded_ctime_ns >= ctime_ns)
        return true;
    if (!pending_change(catalog, row, err))
        return false;
    row->now.inode.recorded_ctime_ns = ctime_ns;
    return true;
}

bool
varve_catalog_recorded(struct varve_catalog *catalog, uint64_t ino, int64_t ctime_ns,
                       struct varve_error *err)
{
    varve_catalog_begin(catalog);
    bool ok = record(catalog, ino, ctime_ns, err);
    return varve_catalog_end(catalog, ok, err);
}
