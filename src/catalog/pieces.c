/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

/* --- pieces --- */

static bool
piece_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_piece *ret = row;
    *ret = (struct varve_piece){
        .content = {column_u64(statement, 0)},
        .set = {column_u64(statement, 1)},
        .index = column_u32(statement, 2),
        .part = column_u32(statement, 3),
        .offset = column_u64(statement, 4),
        .bytes = column_u64(statement, 5),
        .lba = column_u64(statement, 6),
        .has_digest = sqlite3_column_type(statement, 7) != SQLITE_NULL,
    };
    return !ret->has_digest ||
           column_exactly(statement, 7, ret->digest.bytes, sizeof ret->digest.bytes, err);
}

static bool
piece_error(const struct varve_piece *piece, enum varve_error_kind kind, const char *what,
            struct varve_error *err)
{
    return varve_error_set(err, kind, 0, "piece %u of content %llu in set %llu %s", piece->part,
                           (unsigned long long)piece->content.value,
                           (unsigned long long)piece->set.value, what);
}

bool
varve_catalog_piece_insert(struct varve_catalog *catalog, const struct varve_piece *piece,
                           struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_PIECE_INSERT, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, piece->content.value);
    bind_u64(statement, 2, piece->set.value);
    bind_u64(statement, 3, piece->index);
    bind_u64(statement, 4, piece->part);
    bind_u64(statement, 5, piece->offset);
    bind_u64(statement, 6, piece->bytes);
    bind_u64(statement, 7, piece->lba);
    if (piece->has_digest)
        bind_blob(statement, 8, piece->digest.bytes, sizeof piece->digest.bytes);
    else
        (void)sqlite3_bind_null(statement, 8); /* cannot fail */
    if (catalog_run(catalog, statement, err))
        return true;
    if (err->kind == VARVE_ERROR_EXISTS)
        return piece_error(piece, VARVE_ERROR_EXISTS, "exists already", err);
    if (err->kind == VARVE_ERROR_INVALID)
        return piece_error(piece, VARVE_ERROR_INVALID, "names a content or set that does not exist",
                           err);
    return false;
}

bool
varve_catalog_piece_set_digest(struct varve_catalog *catalog, const struct varve_piece *piece,
                               struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_PIECE_DIGEST, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, piece->content.value);
    bind_u64(statement, 2, piece->set.value);
    bind_u64(statement, 3, piece->part);
    bind_blob(statement, 4, piece->digest.bytes, sizeof piece->digest.bytes);
    if (!catalog_run(catalog, statement, err))
        return false;
    return catalog_changes(catalog) == 1 ||
           piece_error(piece, VARVE_ERROR_NOT_FOUND, "does not exist", err);
}

bool
varve_catalog_pieces(struct varve_catalog *catalog, struct varve_content_id content,
                     struct varve_piece *ret, size_t max, size_t *ret_count,
                     struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *statement = catalog_reader(catalog, SQL_PIECES, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, content.value);
    return catalog_collect(catalog, statement, piece_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}

bool
varve_catalog_set_pieces(struct varve_catalog *catalog, struct varve_set_id set,
                         struct varve_content_id after_content, uint32_t after_part,
                         struct varve_piece *ret, size_t max, size_t *ret_count,
                         struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_SET_PIECES, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, set.value);
    bind_u64(statement, 2, after_content.value);
    bind_u64(statement, 3, after_part);
    return catalog_collect(catalog, statement, piece_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}

bool
varve_catalog_set_pieces_delete(struct varve_catalog *catalog, struct varve_set_id set,
                                struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    return catalog_run_ids(catalog, SQL_SET_PIECES_DELETE, set.value, 0, err);
}

/* --- requests --- */

bool
varve_catalog_request_put(struct varve_catalog *catalog, const struct varve_request *request,
                          struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_REQUEST_PUT, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, request->content.value);
    bind_text(statement, 2, request->rule);
    bind_u64(statement, 3, request->n);
    bind_u64(statement, 4, request->m);
    bind_i64(statement, 5, request->since_ns);
    if (catalog_run(catalog, statement, err))
        return true;
    return err->kind == VARVE_ERROR_INVALID ? content_missing(request->content, err) : false;
}

bool
varve_catalog_request_delete(struct varve_catalog *catalog, struct varve_content_id content,
                             struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    if (!catalog_run_ids(catalog, SQL_REQUEST_DELETE, content.value, 0, err))
        return false;
    if (catalog_changes(catalog) == 1)
        return true;
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no request for content %llu",
                           (unsigned long long)content.value);
}

static bool
request_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_request *ret = row;
    *ret = (struct varve_request){.content = {column_u64(statement, 0)},
                                  .n = column_u32(statement, 2),
                                  .m = column_u32(statement, 3),
                                  .since_ns = sqlite3_column_int64(statement, 4)};
    return column_text(statement, 1, ret->rule, sizeof ret->rule, err);
}

bool
varve_catalog_requests(struct varve_catalog *catalog, struct varve_content_id after,
                       struct varve_request *ret, size_t max, size_t *ret_count,
                       struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_REQUESTS, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, after.value);
    return catalog_collect(catalog, statement, request_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}
