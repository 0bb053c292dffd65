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
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_XATTR_GET, err);
    if (statement == NULL)
        return false;
    bool row;
    bind_u64(statement, 1, ino);
    bind_bytes(statement, 2, name);
    if (!catalog_step(catalog, statement, &row, err))
        return false;
    if (!row || is_gone(catalog, ino))
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
    return catalog_run(catalog, statement, err);
}

bool
varve_catalog_xattr_delete(struct varve_catalog *catalog, uint64_t ino, const char *name,
                           struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
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
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_XATTR_NAMES, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, ino);
    for (;;) {
        bool row;
        if (!catalog_step(catalog, statement, &row, err))
            return false;
        if (!row || is_gone(catalog, ino))
            return varve_buffer_ok(ret, err);
        column_append(statement, 0, ret);
        varve_buffer_zeros(ret, 1);
    }
}
