/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

/* Its rows go with it, at the latest when that is written. */
static bool
is_gone(const struct varve_catalog *catalog, uint64_t ino)
{
    const struct pending_row *row = pending_find(catalog, PENDING_INODE, ino, NULL);
    return row != NULL && !row->now.present;
}

bool
varve_catalog_symlink_get(struct varve_catalog *catalog, uint64_t ino, struct varve_buffer *ret,
                          struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_SYMLINK_GET, err);
    if (statement == NULL)
        return false;
    bool row;
    bind_u64(statement, 1, ino);
    if (!catalog_step(catalog, statement, &row, err))
        return false;
    if (!row || is_gone(catalog, ino))
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "inode %llu is no symlink",
                               (unsigned long long)ino);
    column_append(statement, 0, ret);
    return varve_buffer_ok(ret, err);
}

bool
varve_catalog_symlink_put(struct varve_catalog *catalog, uint64_t ino, const char *target,
                          struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_SYMLINK_PUT, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, ino);
    bind_bytes(statement, 2, target);
    return catalog_run(catalog, statement, err);
}

/* Looks once whether an inode has any. */
static void
learn_xattrs(struct varve_catalog *catalog, struct pending_row *inode)
{
    struct varve_error unused; /* then it stays unknown, and the caller's own question tells */
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_XATTR_NAMES, &unused);
    if (statement == NULL)
        return;
    bool row;
    bind_u64(statement, 1, inode->key);
    if (catalog_step(catalog, statement, &row, &unused))
        inode->xattrs = row ? PENDING_XATTRS_SOME : PENDING_XATTRS_NONE;
}

/* Without asking SQLite more than once for each inode that is in memory. */
static bool
has_no_xattrs(struct varve_catalog *catalog, uint64_t ino)
{
    struct pending_row *row = pending_find(catalog, PENDING_INODE, ino, NULL);
    if (row == NULL)
        return false;
    if (row->now.present && row->xattrs == PENDING_XATTRS_UNKNOWN)
        learn_xattrs(catalog, row);
    return !row->now.present || row->xattrs == PENDING_XATTRS_NONE;
}

static void
note_xattr(struct varve_catalog *catalog, uint64_t ino)
{
    struct pending_row *row = pending_find(catalog, PENDING_INODE, ino, NULL);
    if (row != NULL)
        row->xattrs = PENDING_XATTRS_SOME;
}

static bool
xattr_missing(uint64_t ino, const char *name, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, ENODATA, "xattr '%s' of inode %llu", name,
                           (unsigned long long)ino);
}

bool
varve_catalog_xattr_get(struct varve_catalog *catalog, uint64_t ino, const char *name,
                        struct varve_buffer *ret, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    if (has_no_xattrs(catalog, ino))
        return xattr_missing(ino, name, err);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_XATTR_GET, err);
    if (statement == NULL)
        return false;
    bool row;
    bind_u64(statement, 1, ino);
    bind_bytes(statement, 2, name);
    if (!catalog_step(catalog, statement, &row, err))
        return false;
    if (!row)
        return xattr_missing(ino, name, err);
    column_append(statement, 0, ret);
    return varve_buffer_ok(ret, err);
}

bool
varve_catalog_xattr_put(struct varve_catalog *catalog, uint64_t ino, const char *name,
                        const void *value, size_t size, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_XATTR_PUT, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, ino);
    bind_bytes(statement, 2, name);
    bind_blob(statement, 3, value, size);
    note_xattr(catalog, ino);
    return catalog_run(catalog, statement, err);
}

bool
varve_catalog_xattr_delete(struct varve_catalog *catalog, uint64_t ino, const char *name,
                           struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP_BUFFER struct varve_buffer unused = {0};
    /* Each chown asks for the deletion of capabilities that hardly a file has, and a writer has all
     * that waits in memory written first. */
    if (!varve_catalog_xattr_get(catalog, ino, name, &unused, err))
        return false;
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_XATTR_DELETE, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, ino);
    bind_bytes(statement, 2, name);
    if (!catalog_run(catalog, statement, err))
        return false;
    return catalog_changes(catalog) == 1 || xattr_missing(ino, name, err);
}

bool
varve_catalog_xattr_names(struct varve_catalog *catalog, uint64_t ino, struct varve_buffer *ret,
                          struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    if (has_no_xattrs(catalog, ino))
        return varve_buffer_ok(ret, err);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_XATTR_NAMES, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, ino);
    for (;;) {
        bool row;
        if (!catalog_step(catalog, statement, &row, err))
            return false;
        if (!row)
            return varve_buffer_ok(ret, err);
        column_append(statement, 0, ret);
        varve_buffer_zeros(ret, 1);
    }
}
