/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

bool
varve_catalog_setting_get(struct varve_catalog *catalog, const char *key, struct varve_buffer *ret,
                          struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_SETTING_GET, err);
    if (statement == NULL)
        return false;
    bool row;
    bind_text(statement, 1, key);
    if (!catalog_step(catalog, statement, &row, err))
        return false;
    if (!row)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no setting '%s'", key);
    column_append(statement, 0, ret);
    return varve_buffer_ok(ret, err);
}

bool
varve_catalog_setting_put(struct varve_catalog *catalog, const char *key, const char *value,
                          struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_SETTING_PUT, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, key);
    bind_text(statement, 2, value);
    return catalog_run(catalog, statement, err);
}

static bool
find_tier_path(struct varve_catalog *catalog, enum varve_tier tier, const char *path,
               uint32_t *ret_id, struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_TIER_PATH_GET, err);
    if (statement == NULL)
        return false;
    bool row;
    bind_i64(statement, 1, tier);
    bind_bytes(statement, 2, path);
    if (!catalog_step(catalog, statement, &row, err))
        return false;
    *ret_id = row ? column_u32(statement, 0) : 0;
    return true;
}

bool
varve_catalog_tier_path(struct varve_catalog *catalog, enum varve_tier tier, const char *path,
                        uint32_t *ret_id, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    uint32_t id = 0;
    if (!find_tier_path(catalog, tier, path, &id, err))
        return false;
    if (id == 0) {
        VARVE_CLEANUP(catalog_reset)
        sqlite3_stmt *statement = catalog_writer(catalog, SQL_TIER_PATH_INSERT, err);
        if (statement == NULL)
            return false;
        bind_i64(statement, 1, tier);
        bind_bytes(statement, 2, path);
        if (!catalog_run(catalog, statement, err))
            return false;
        id = (uint32_t)sqlite3_last_insert_rowid(catalog->db);
    }
    *ret_id = id;
    return true;
}
