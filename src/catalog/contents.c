/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

static bool
content_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_content *ret = row;
    int phase;
    int tier;
    int head_tier;
    uint64_t unsynced = column_u64(statement, 10); /* 0: all is durable; n: the first n - 1 */
    if (!column_enum(statement, 5, VARVE_PHASE_SEALED, &phase, err) ||
        !column_enum(statement, 6, VARVE_TIER_HDD, &tier, err) ||
        !column_enum(statement, 11, VARVE_TIER_HDD, &head_tier, err))
        return false;
    *ret = (struct varve_content){
        .id = {column_u64(statement, 0)},
        .ino = column_u64(statement, 1),
        .version = column_u32(statement, 2),
        .size = column_u64(statement, 3),
        .mtime_ns = sqlite3_column_int64(statement, 4),
        .phase = (enum varve_phase)phase,
        .place = {.tier = (enum varve_tier)tier,
                  .path_id = column_u32(statement, 7),
                  .file = column_u64(statement, 8)},
        .current = sqlite3_column_int(statement, 9) != 0,
        .unsynced = unsynced != 0,
        .synced_bytes = unsynced != 0 ? unsynced - 1 : 0,
        .head = {.tier = (enum varve_tier)head_tier,
                 .path_id = column_u32(statement, 12),
                 .file = column_u64(statement, 13)},
        .head_bytes = column_u64(statement, 14),
    };
    return true;
}

static void
bind_content(sqlite3_stmt *statement, uint64_t id, const struct varve_content *content)
{
    bind_u64(statement, 1, id);
    bind_u64(statement, 2, content->ino);
    bind_u64(statement, 3, content->version);
    bind_u64(statement, 4, content->size);
    bind_i64(statement, 5, content->mtime_ns);
    bind_i64(statement, 6, content->phase);
    bind_i64(statement, 7, content->place.tier);
    bind_u64(statement, 8, content->place.path_id);
    bind_u64(statement, 9, content->place.file);
    bind_i64(statement, 10, content->current);
    bind_u64(statement, 11, content->unsynced ? content->synced_bytes + 1 : 0);
    bind_i64(statement, 12, content->head.tier);
    bind_u64(statement, 13, content->head.path_id);
    bind_u64(statement, 14, content->head.file);
    bind_u64(statement, 15, content->head_bytes);
}

bool
content_missing(struct varve_content_id id, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no content %llu",
                           (unsigned long long)id.value);
}

/* --- between pending rows and SQLite --- */

bool
content_read(struct varve_catalog *catalog, uint64_t id, struct varve_content *ret, bool *ret_found,
             struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_row_statement(catalog, SQL_CONTENT_GET, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, id);
    if (!catalog_step(catalog, statement, ret_found, err))
        return false;
    return !*ret_found || content_from_row(statement, ret, err);
}

bool
content_write(struct varve_catalog *catalog, const struct varve_content *content, bool stored,
              struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement =
        catalog_row_statement(catalog, stored ? SQL_CONTENT_UPDATE : SQL_CONTENT_INSERT, err);
    if (statement == NULL)
        return false;
    bind_content(statement, content->id.value, content);
    return catalog_run(catalog, statement, err);
}

bool
content_erase(struct varve_catalog *catalog, uint64_t id, struct varve_error *err)
{
    /* The request first: its trigger takes the size of the content off the totals. */
    return catalog_row_run_ids(catalog, SQL_REQUEST_DELETE, id, 0, err) &&
           catalog_row_run_ids(catalog, SQL_CONTENT_PIECES_DELETE, id, 0, err) &&
           catalog_row_run_ids(catalog, SQL_CONTENT_DELETE, id, 0, err);
}

/* --- for callers --- */

/* The row of a content that exists. */
static bool
find_content(struct varve_catalog *catalog, struct varve_content_id id, struct pending_row **ret,
             struct varve_error *err)
{
    pending_room(catalog);
    return pending_load(catalog, PENDING_CONTENT, id.value, NULL, ret, err) &&
           ((*ret)->now.present || content_missing(id, err));
}

bool
varve_catalog_content_get(struct varve_catalog *catalog, struct varve_content_id id,
                          struct varve_content *ret, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    if (!find_content(catalog, id, &row, err))
        return false;
    *ret = row->now.content;
    return true;
}

/* What the table's CHECKs refuse must not wait until it is written. */
static bool
check_content(const struct varve_content *content, struct varve_error *err)
{
    if ((unsigned)content->phase <= VARVE_PHASE_SEALED &&
        (unsigned)content->place.tier <= VARVE_TIER_HDD &&
        (unsigned)content->head.tier <= VARVE_TIER_HDD)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "content of phase %d on tier %d",
                           (int)content->phase, (int)content->place.tier);
}

/* A row that is not there yet, for a new number or for `id`. */
static bool
new_row(struct varve_catalog *catalog, uint64_t id, struct pending_row **ret,
        struct varve_error *err)
{
    if (id == 0)
        return catalog_numbers_new(catalog, NUMBER_CONTENT, 1, &id, err) &&
               pending_fresh(catalog, PENDING_CONTENT, id, ret, err);
    if (!catalog_number_taken(catalog, NUMBER_CONTENT, id, err) ||
        !pending_load(catalog, PENDING_CONTENT, id, NULL, ret, err))
        return false;
    return !(*ret)->now.present ||
           varve_error_set(err, VARVE_ERROR_EXISTS, 0, "content %llu exists already",
                           (unsigned long long)id);
}

bool
varve_catalog_content_insert(struct varve_catalog *catalog, const struct varve_content *content,
                             struct varve_content_id *ret, struct varve_error *err)
{
    if (!check_content(content, err))
        return false;
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    pending_room(catalog);
    if (!new_row(catalog, content->id.value, &row, err) || !pending_change(catalog, row, err))
        return false;
    row->now.present = true;
    row->now.content = *content;
    row->now.content.id.value = row->key;
    ret->value = row->key;
    return true;
}

struct varve_content_id
varve_catalog_content_next(struct varve_catalog *catalog)
{
    VARVE_LOCKED(&catalog->lock);
    return (struct varve_content_id){catalog->numbers[NUMBER_CONTENT].next};
}

bool
varve_catalog_content_update(struct varve_catalog *catalog, const struct varve_content *content,
                             struct varve_error *err)
{
    if (!check_content(content, err))
        return false;
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    if (!find_content(catalog, content->id, &row, err) || !pending_change(catalog, row, err))
        return false;
    row->now.content = *content;
    return true;
}

bool
varve_catalog_content_synced(struct varve_catalog *catalog, const struct varve_content *content,
                             struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    pending_room(catalog);
    if (!pending_load(catalog, PENDING_CONTENT, content->id.value, NULL, &row, err))
        return false;
    const struct varve_content *now = &row->now.content;
    if (!row->now.present || !now->unsynced || now->size != content->size ||
        now->mtime_ns != content->mtime_ns)
        return true;
    if (!pending_change(catalog, row, err))
        return false;
    row->now.content.unsynced = false;
    return true;
}

bool
varve_catalog_content_delete(struct varve_catalog *catalog, struct varve_content_id id,
                             struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    struct pending_row *row;
    if (!find_content(catalog, id, &row, err) || !pending_change(catalog, row, err))
        return false;
    row->now.present = false;
    return true;
}

/* Contents that `sql` finds behind `after`, its parameter. */
static bool
list_contents(struct varve_catalog *catalog, enum catalog_sql sql, struct varve_content_id after,
              const struct catalog_page *page, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *statement = catalog_reader(catalog, sql, err);
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, after.value);
    return catalog_collect(catalog, statement, content_from_row, page, err);
}

bool
varve_catalog_contents(struct varve_catalog *catalog, struct varve_content_id after, bool resident,
                       struct varve_content *ret, size_t max, size_t *ret_count,
                       struct varve_error *err)
{
    return list_contents(catalog, resident ? SQL_CONTENTS_RESIDENT : SQL_CONTENTS, after,
                         &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}

bool
varve_catalog_heads(struct varve_catalog *catalog, struct varve_content_id after,
                    struct varve_content *ret, size_t max, size_t *ret_count,
                    struct varve_error *err)
{
    return list_contents(catalog, SQL_CONTENTS_HEADS, after,
                         &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}

bool
varve_catalog_file_numbers(struct varve_catalog *catalog, unsigned count, uint64_t *ret,
                           struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    if (catalog->failed.kind != VARVE_ERROR_NONE) {
        *err = catalog->failed;
        return false;
    }
    return catalog_numbers_new(catalog, NUMBER_FILE, count, ret, err);
}

bool
varve_catalog_file_number_taken(struct varve_catalog *catalog, uint64_t number,
                                struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    return catalog_number_taken(catalog, NUMBER_FILE, number, err);
}
