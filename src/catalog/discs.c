/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

/* Finished moves kept for looking back; the journal must not grow for ever. */
#define MOVES_KEPT 10000u

/* --- discs --- */

static bool
disc_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_disc_row *ret = row;
    int state;
    *ret = (struct varve_disc_row){
        .set = {column_u64(statement, 3)}, /* NULL reads as 0 */
        .index = column_u32(statement, 4),
        .capacity_clusters = column_u64(statement, 6),
        .clusters = column_u64(statement, 7),
        .burned_ns = sqlite3_column_int64(statement, 8),
        .verified_ns = sqlite3_column_int64(statement, 9),
        .bad_clusters = column_u64(statement, 10),
    };
    if (!column_text(statement, 0, ret->barcode.text, sizeof ret->barcode.text, err) ||
        !column_text(statement, 1, ret->library, sizeof ret->library, err) ||
        !column_enum(statement, 2, VARVE_DISC_FOREIGN, &state, err) ||
        !column_exactly(statement, 5, ret->uuid.bytes, sizeof ret->uuid.bytes, err) ||
        !column_text(statement, 11, ret->place, sizeof ret->place, err))
        return false;
    ret->state = (enum varve_disc_state)state;
    return true;
}

bool
varve_catalog_disc_put(struct varve_catalog *catalog, const struct varve_disc_row *disc,
                       struct varve_error *err)
{
    struct varve_barcode checked;
    if (!varve_barcode_make(disc->barcode.text, &checked))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.32s' cannot be a barcode",
                               disc->barcode.text);
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_DISC_PUT, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, disc->barcode.text);
    bind_text(statement, 2, disc->library);
    bind_i64(statement, 3, disc->state);
    if (disc->set.value == 0)
        (void)sqlite3_bind_null(statement, 4); /* cannot fail */
    else
        bind_u64(statement, 4, disc->set.value);
    bind_u64(statement, 5, disc->index);
    bind_blob(statement, 6, disc->uuid.bytes, sizeof disc->uuid.bytes);
    bind_u64(statement, 7, disc->capacity_clusters);
    bind_u64(statement, 8, disc->clusters);
    bind_i64(statement, 9, disc->burned_ns);
    bind_i64(statement, 10, disc->verified_ns);
    bind_u64(statement, 11, disc->bad_clusters);
    bind_text(statement, 12, disc->place);
    if (catalog_run(catalog, statement, err))
        return true;
    if (err->kind != VARVE_ERROR_INVALID)
        return false;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "disc '%s' names set %llu, which is none",
                           disc->barcode.text, (unsigned long long)disc->set.value);
}

bool
varve_catalog_disc_get(struct varve_catalog *catalog, const struct varve_barcode *barcode,
                       struct varve_disc_row *ret, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    bool found;
    if (!catalog_find_text(catalog, SQL_DISC_GET, barcode->text, disc_from_row, ret, &found, err))
        return false;
    return found || varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no disc '%s'", barcode->text);
}

bool
varve_catalog_discs(struct varve_catalog *catalog, const struct varve_barcode *after,
                    struct varve_disc_row *ret, size_t max, size_t *ret_count,
                    struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *statement = catalog_reader(catalog, SQL_DISCS, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, after->text);
    return catalog_collect(catalog, statement, disc_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}

bool
varve_catalog_set_discs(struct varve_catalog *catalog, struct varve_set_id set,
                        struct varve_disc_row *ret, size_t max, size_t *ret_count,
                        struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_SET_DISCS, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, set.value);
    return catalog_collect(catalog, statement, disc_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}

/* --- moves --- */

static bool
insert_move(struct varve_catalog *catalog, const struct varve_move *move, uint64_t *ret_id,
            struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_MOVE_BEGIN, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, move->library);
    bind_text(statement, 2, move->barcode.text);
    bind_u64(statement, 3, move->from);
    bind_u64(statement, 4, move->to);
    bind_i64(statement, 5, move->started_ns);
    if (!catalog_run(catalog, statement, err))
        return false;
    *ret_id = (uint64_t)sqlite3_last_insert_rowid(catalog->db);
    return true;
}

bool
varve_catalog_move_begin(struct varve_catalog *catalog, const struct varve_move *move,
                         uint64_t *ret_id, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    uint64_t id;
    if (!insert_move(catalog, move, &id, err))
        return false;
    /* The arm moves next (INV-7). In a unit the caller has to sync after its end. */
    if (catalog->depth == 0 && !catalog_commit(catalog, err))
        return false;
    *ret_id = id;
    return true;
}

bool
varve_catalog_move_done(struct varve_catalog *catalog, uint64_t id, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    if (!catalog_run_ids(catalog, SQL_MOVE_DONE, id, 0, err))
        return false;
    if (catalog_changes(catalog) != 1)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no move %llu",
                               (unsigned long long)id);
    return id <= MOVES_KEPT || catalog_run_ids(catalog, SQL_MOVE_FORGET, id - MOVES_KEPT, 0, err);
}

static bool
move_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_move *ret = row;
    *ret = (struct varve_move){.id = column_u64(statement, 0),
                               .from = (uint16_t)column_u32(statement, 3),
                               .to = (uint16_t)column_u32(statement, 4),
                               .started_ns = sqlite3_column_int64(statement, 5),
                               .done = sqlite3_column_int(statement, 6) != 0};
    return column_text(statement, 1, ret->library, sizeof ret->library, err) &&
           column_text(statement, 2, ret->barcode.text, sizeof ret->barcode.text, err);
}

bool
varve_catalog_moves_open(struct varve_catalog *catalog, const char *library, struct varve_move *ret,
                         size_t max, size_t *ret_count, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_MOVES_OPEN, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, library);
    return catalog_collect(catalog, statement, move_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}
