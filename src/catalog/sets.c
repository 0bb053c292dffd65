/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

static bool
set_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_set *ret = row;
    int state;
    *ret = (struct varve_set){
        .id = {column_u64(statement, 0)},
        .data_discs = column_u32(statement, 2),
        .parity_discs = column_u32(statement, 3),
        .clusters = column_u64(statement, 4),
        .created_ns = sqlite3_column_int64(statement, 6),
        .sealed_ns = sqlite3_column_int64(statement, 7),
    };
    if (!column_exactly(statement, 1, ret->uuid.bytes, sizeof ret->uuid.bytes, err) ||
        !column_enum(statement, 5, VARVE_SET_ABANDONED, &state, err))
        return false;
    ret->state = (enum varve_set_state)state;
    return true;
}

static void
bind_set(sqlite3_stmt *statement, const struct varve_set *set)
{
    if (set->id.value == 0)
        (void)sqlite3_bind_null(statement, 1); /* a new number; cannot fail */
    else
        bind_u64(statement, 1, set->id.value);
    bind_blob(statement, 2, set->uuid.bytes, sizeof set->uuid.bytes);
    bind_u64(statement, 3, set->data_discs);
    bind_u64(statement, 4, set->parity_discs);
    bind_u64(statement, 5, set->clusters);
    bind_i64(statement, 6, set->state);
    bind_i64(statement, 7, set->created_ns);
    bind_i64(statement, 8, set->sealed_ns);
}

static bool
set_missing(struct varve_set_id id, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no set %llu",
                           (unsigned long long)id.value);
}

static bool
set_taken(const struct varve_set *set, struct varve_error *err)
{
    char uuid[VARVE_UUID_TEXT_BYTES];
    varve_uuid_format(&set->uuid, uuid);
    return varve_error_set(err, VARVE_ERROR_EXISTS, 0,
                           "set %llu or a set with UUID %s exists already",
                           (unsigned long long)set->id.value, uuid);
}

bool
varve_catalog_set_insert(struct varve_catalog *catalog, const struct varve_set *set,
                         struct varve_set_id *ret, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_SET_INSERT, err);
    if (statement == NULL)
        return false;
    bind_set(statement, set);
    if (!catalog_run(catalog, statement, err))
        return err->kind == VARVE_ERROR_EXISTS ? set_taken(set, err) : false;
    ret->value = (uint64_t)sqlite3_last_insert_rowid(catalog->db);
    return true;
}

bool
varve_catalog_set_get(struct varve_catalog *catalog, struct varve_set_id id, struct varve_set *ret,
                      struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_SET_GET, err);
    if (statement == NULL)
        return false;
    bool row;
    bind_u64(statement, 1, id.value);
    if (!catalog_step(catalog, statement, &row, err))
        return false;
    return row ? set_from_row(statement, ret, err) : set_missing(id, err);
}

bool
varve_catalog_set_update(struct varve_catalog *catalog, const struct varve_set *set,
                         struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_SET_UPDATE, err);
    if (statement == NULL)
        return false;
    bind_set(statement, set);
    if (!catalog_run(catalog, statement, err))
        return err->kind == VARVE_ERROR_EXISTS ? set_taken(set, err) : false;
    return catalog_changes(catalog) == 1 || set_missing(set->id, err);
}

bool
varve_catalog_sets(struct varve_catalog *catalog, struct varve_set_id after, struct varve_set *ret,
                   size_t max, size_t *ret_count, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *statement = catalog_reader(catalog, SQL_SETS, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, after.value);
    return catalog_collect(catalog, statement, set_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}
