/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

/* --- tombstones --- */

static bool
tombstone_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_tombstone *ret = row;
    (void)err; /* integers cannot be wrong */
    *ret = (struct varve_tombstone){column_u64(statement, 0), sqlite3_column_int64(statement, 1)};
    return true;
}

bool
varve_catalog_tombstones(struct varve_catalog *catalog, uint64_t after, struct varve_tombstone *ret,
                         size_t max, size_t *ret_count, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_TOMBSTONES, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, after);
    return catalog_collect(catalog, statement, tombstone_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}

bool
varve_catalog_tombstone_delete(struct varve_catalog *catalog, uint64_t ino, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    if (!catalog_run_ids(catalog, SQL_TOMBSTONE_DELETE, ino, 0, err))
        return false;
    if (catalog_changes(catalog) == 1)
        return true;
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no tombstone of inode %llu",
                           (unsigned long long)ino);
}

/* --- totals --- */

static void
add_total(struct varve_catalog_totals *totals, int64_t kind, uint64_t files, uint64_t bytes)
{
    if (kind == 0)
        totals->inodes = files;
    else if (kind == 1)
        totals->directories = files;
    else if (kind == 2) {
        totals->requests = files;
        totals->request_bytes = bytes;
    } else if (kind == 3) {
        totals->heads = files;
        totals->head_bytes = bytes;
    } else if (kind >= 16 && kind < 25) {
        struct varve_place place = {.tier = (enum varve_tier)((kind - 16) % 3)};
        enum varve_phase phase = (enum varve_phase)((kind - 16) / 3);
        enum varve_state state = varve_state_of(phase, place);
        totals->by_state[state].files += files;
        totals->by_state[state].bytes += bytes;
        totals->by_tier[place.tier].files += files;
        totals->by_tier[place.tier].bytes += bytes;
    }
}

static bool
read_totals(struct varve_catalog *catalog, struct varve_catalog_totals *ret,
            struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *statement = catalog_reader(catalog, SQL_TOTALS, err);
    if (statement == NULL)
        return false;
    for (;;) {
        bool row;
        if (!catalog_step(catalog, statement, &row, err))
            return false;
        if (!row)
            return true;
        add_total(ret, sqlite3_column_int64(statement, 0), column_u64(statement, 1),
                  column_u64(statement, 2));
    }
}

/* Rows of (state, count). */
static bool
count_states(struct varve_catalog *catalog, enum catalog_sql sql, uint64_t *ret, int states,
             struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *statement = catalog_reader(catalog, sql, err);
    if (statement == NULL)
        return false;
    for (;;) {
        bool row;
        int state;
        if (!catalog_step(catalog, statement, &row, err))
            return false;
        if (!row)
            return true;
        if (!column_enum(statement, 0, states - 1, &state, err))
            return false;
        ret[state] = column_u64(statement, 1);
    }
}

bool
varve_catalog_totals(struct varve_catalog *catalog, struct varve_catalog_totals *ret,
                     struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    struct varve_catalog_totals totals = {0};
    /* Sets and discs are counted each time: thousands of rows at most, a millisecond. */
    if (!read_totals(catalog, &totals, err) ||
        !count_states(catalog, SQL_TOTALS_SETS, totals.sets_by_state, 5, err) ||
        !count_states(catalog, SQL_TOTALS_DISCS, totals.discs_by_state, 10, err))
        return false;
    *ret = totals;
    return true;
}
