/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

#include <string.h>

/* Deeper than any path that can be opened by name; a loop in a damaged catalog ends here. */
#define PATH_DEPTH_MAX 4096

static bool
dentry_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_dentry *ret = row;
    ret->cookie = column_u64(statement, 0);
    ret->parent = column_u64(statement, 1);
    inode_from_row(statement, 3, &ret->inode);
    return column_text(statement, 2, ret->name, sizeof ret->name, err);
}

static bool
dentry_missing(uint64_t parent, const char *name, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no '%s' in directory %llu", name,
                           (unsigned long long)parent);
}

/* --- between pending rows and SQLite --- */

bool
dentry_read(struct varve_catalog *catalog, uint64_t parent, const char *name,
            struct varve_dentry *ret, bool *ret_found, struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_row_statement(catalog, SQL_LOOKUP, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, parent);
    bind_bytes(statement, 2, name);
    if (!catalog_step(catalog, statement, ret_found, err))
        return false;
    if (!*ret_found)
        return true;
    if (!dentry_from_row(statement, ret, err))
        return false;
    /* In a damaged catalog there may be a name without an inode; mode 0 tells. */
    ret->inode.ino = column_u64(statement, 3 + INODE_COLUMN_COUNT);
    return true;
}

bool
dentry_write(struct varve_catalog *catalog, const struct pending_row *row, struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_row_statement(catalog, SQL_DENTRY_INSERT, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, row->now.dentry.cookie);
    bind_u64(statement, 2, row->key);
    bind_bytes(statement, 3, row->name);
    bind_u64(statement, 4, row->now.dentry.ino);
    return catalog_run(catalog, statement, err);
}

bool
dentry_erase(struct varve_catalog *catalog, uint64_t parent, const char *name,
             struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_row_statement(catalog, SQL_DENTRY_DELETE, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, parent);
    bind_bytes(statement, 2, name);
    return catalog_run(catalog, statement, err);
}

/* --- for callers --- */

bool
varve_catalog_lookup(struct varve_catalog *catalog, uint64_t parent, const char *name,
                     struct varve_dentry *ret, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    size_t length = strnlen(name, sizeof ret->name);
    pending_room(catalog);
    if (length == sizeof ret->name)
        return dentry_missing(parent, name, err);
    if (!pending_load(catalog, PENDING_DENTRY, parent, name, &row, err))
        return false;
    if (!row->now.present)
        return dentry_missing(parent, name, err);
    struct pending_row *inode;
    if (!pending_load(catalog, PENDING_INODE, row->now.dentry.ino, NULL, &inode, err))
        return false;
    if (!inode->now.present) /* a damaged catalog */
        return dentry_missing(parent, name, err);
    ret->cookie = row->now.dentry.cookie;
    ret->parent = parent;
    ret->inode = inode->now.inode;
    memcpy(ret->name, name, length + 1);
    return true;
}

static bool
check_name(const char *name, struct varve_error *err)
{
    size_t length = strnlen(name, VARVE_NAME_BYTES_MAX + 1);
    if (length > VARVE_NAME_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, ENAMETOOLONG, "name '%.32s...'", name);
    if (length == 0 || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' cannot be a name", name);
    return true;
}

bool
varve_catalog_dentry_insert(struct varve_catalog *catalog, uint64_t parent, const char *name,
                            uint64_t ino, struct varve_error *err)
{
    if (!check_name(name, err))
        return false;
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    uint64_t cookie;
    pending_room(catalog);
    if (!pending_load(catalog, PENDING_DENTRY, parent, name, &row, err))
        return false;
    if (row->now.present)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0, "directory %llu has a '%s' already",
                               (unsigned long long)parent, name);
    if (!catalog_numbers_new(catalog, NUMBER_DENTRY, 1, &cookie, err) ||
        !pending_change(catalog, row, err))
        return false;
    row->now.present = true;
    row->now.dentry.cookie = cookie;
    row->now.dentry.ino = ino;
    return true;
}

bool
varve_catalog_dentry_delete(struct varve_catalog *catalog, uint64_t parent, const char *name,
                            struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    pending_room(catalog);
    if (!pending_load(catalog, PENDING_DENTRY, parent, name, &row, err))
        return false;
    if (!row->now.present)
        return dentry_missing(parent, name, err);
    if (!pending_change(catalog, row, err))
        return false;
    row->now.present = false;
    return true;
}

/* Entries that `sql` finds for (key, after), which are its two parameters. */
static bool
list_dentries(struct varve_catalog *catalog, enum catalog_sql sql, const uint64_t key_after[2],
              struct varve_dentry *ret, size_t max, size_t *ret_count, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *statement = catalog_reader(catalog, sql, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, key_after[0]);
    bind_u64(statement, 2, key_after[1]);
    if (!catalog_collect(catalog, statement, dentry_from_row,
                         &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err))
        return false;
    for (size_t i = 0; i < *ret_count; i++)
        inode_catch_up(catalog, &ret[i].inode);
    return true;
}

bool
varve_catalog_readdir(struct varve_catalog *catalog, uint64_t parent, uint64_t after,
                      struct varve_dentry *ret, size_t max, size_t *ret_count,
                      struct varve_error *err)
{
    return list_dentries(catalog, SQL_READDIR, (const uint64_t[]){parent, after}, ret, max,
                         ret_count, err);
}

bool
varve_catalog_names(struct varve_catalog *catalog, uint64_t ino, uint64_t after,
                    struct varve_dentry *ret, size_t max, size_t *ret_count,
                    struct varve_error *err)
{
    return list_dentries(catalog, SQL_NAMES, (const uint64_t[]){ino, after}, ret, max, ret_count,
                         err);
}

bool
varve_catalog_dir_empty(struct varve_catalog *catalog, uint64_t ino, bool *ret,
                        struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_DIR_EMPTY, err);
    if (statement == NULL)
        return false;
    bool row;
    bind_u64(statement, 1, ino);
    if (!catalog_step(catalog, statement, &row, err))
        return false;
    *ret = !row;
    return true;
}

/* --- paths --- */

/* Appends "name" and "/" backwards: the path is built from its end, and turned round once. */
static void
append_reversed(struct varve_buffer *path, const uint8_t *name, size_t length)
{
    while (length > 0)
        varve_buffer_append(path, &name[--length], 1);
    varve_buffer_append(path, "/", 1);
}

static void
reverse(uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        uint8_t byte = bytes[i];
        bytes[i] = bytes[count - 1 - i];
        bytes[count - 1 - i] = byte;
    }
}

/* Appends the oldest name of *ino, reversed, and makes *ino its parent. */
static bool
climb(struct varve_catalog *catalog, uint64_t *ino, struct varve_buffer *path,
      struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_OLDEST_NAME, err);
    if (statement == NULL)
        return false;
    bool row;
    bind_u64(statement, 1, *ino);
    if (!catalog_step(catalog, statement, &row, err))
        return false;
    if (!row)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "inode %llu has no name",
                               (unsigned long long)*ino);
    append_reversed(path, sqlite3_column_blob(statement, 1),
                    (size_t)sqlite3_column_bytes(statement, 1));
    *ino = column_u64(statement, 0);
    return true;
}

bool
varve_catalog_path(struct varve_catalog *catalog, uint64_t ino, struct varve_buffer *ret,
                   struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    uint64_t at = ino;
    for (unsigned depth = 0; at != VARVE_ROOT_INO; depth++) {
        if (depth == PATH_DEPTH_MAX)
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                                   "inode %llu lies too deep, or in a loop",
                                   (unsigned long long)ino);
        if (!climb(catalog, &at, &path, err))
            return false;
    }
    if (path.size == 0)
        varve_buffer_text(&path, "/");
    if (!varve_buffer_ok(&path, err))
        return false;
    reverse(path.data, path.size);
    varve_buffer_append(ret, path.data, path.size);
    return varve_buffer_ok(ret, err);
}

bool
varve_catalog_resolve(struct varve_catalog *catalog, const char *path, struct varve_inode *ret,
                      struct varve_error *err)
{
    if (path[0] != '/')
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "path '%s' is not absolute", path);
    VARVE_LOCKED(&catalog->lock);
    struct varve_dentry entry = {0};
    if (!varve_catalog_inode_get(catalog, VARVE_ROOT_INO, &entry.inode, err))
        return false;
    for (const char *at = path + strspn(path, "/"); *at != '\0'; at += strspn(at, "/")) {
        size_t length = strcspn(at, "/");
        char name[VARVE_NAME_BYTES_MAX + 1];
        if (length >= sizeof name)
            return varve_error_set(err, VARVE_ERROR_INVALID, ENAMETOOLONG, "path '%s'", path);
        memcpy(name, at, length);
        name[length] = '\0';
        if (!varve_catalog_lookup(catalog, entry.inode.ino, name, &entry, err))
            return varve_error_wrap(err, "path '%s'", path);
        at += length;
    }
    *ret = entry.inode;
    return true;
}
