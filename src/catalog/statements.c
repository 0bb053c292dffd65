/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

static const char *const texts[SQL_COUNT] = {
#define X(name, text) text,
    CATALOG_STATEMENTS(X)
#undef X
};

static enum varve_error_kind
kind_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return VARVE_ERROR_NOMEM;
    case SQLITE_FULL:
        return VARVE_ERROR_NO_SPACE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return VARVE_ERROR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return VARVE_ERROR_CORRUPT;
    case SQLITE_INTERRUPT:
        return VARVE_ERROR_CANCELLED;
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
        return code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE
                   ? VARVE_ERROR_EXISTS
                   : VARVE_ERROR_INVALID;
    default:
        return VARVE_ERROR_SYSTEM;
    }
}

bool
catalog_sqlite_error(sqlite3 *db, int code, const char *path, struct varve_error *err)
{
    int primary = code & 0xff;
    bool outside = primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN || primary == SQLITE_FULL;
    int sys = db != NULL && outside ? sqlite3_system_errno(db) : 0;
    const char *words = db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(code);
    return varve_error_set(err, kind_of(code), sys, "catalog '%s': %s", path, words);
}

bool
catalog_statements_prepare(struct varve_catalog *catalog, struct varve_error *err)
{
    for (size_t i = 0; i < SQL_COUNT; i++) {
        int code = sqlite3_prepare_v3(catalog->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &catalog->statements[i], NULL);
        if (code == SQLITE_OK)
            continue;
        /* Our own text is right, so the schema is not what user_version claims. */
        if (code == SQLITE_ERROR)
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "catalog '%s' is damaged: %s",
                                   catalog->path, sqlite3_errmsg(catalog->db));
        return catalog_sqlite_error(catalog->db, code, catalog->path, err);
    }
    return true;
}

void
catalog_statements_finalize(struct varve_catalog *catalog)
{
    for (size_t i = 0; i < SQL_COUNT; i++) {
        (void)sqlite3_finalize(catalog->statements[i]);
        catalog->statements[i] = NULL;
    }
}

/* What a statement must not miss. */
enum need { NEED_NOTHING, NEED_NAMES, NEED_ALL };

/* Statements that neither read nor refer to the tables of pending.h need nothing; those that read
 * names by another key than theirs need the names. */
static enum need
need_of(enum catalog_sql sql)
{
    switch ((unsigned)sql) {
    case SQL_NUMBER_GET:
    case SQL_NUMBER_PUT:
    case SQL_SETTING_GET:
    case SQL_SETTING_PUT:
    case SQL_TIER_PATH_GET:
    case SQL_TIER_PATH_INSERT:
    case SQL_SYMLINK_GET:
    case SQL_XATTR_GET:
    case SQL_XATTR_NAMES:
    case SQL_SET_GET:
    case SQL_SET_UPDATE:
    case SQL_SETS:
    case SQL_DISC_PUT:
    case SQL_DISC_GET:
    case SQL_DISCS:
    case SQL_SET_DISCS:
    case SQL_PLACE_PUT:
    case SQL_PLACE_GET:
    case SQL_PLACES:
    case SQL_PLACES_MAGAZINE:
    case SQL_EVENT_ADD:
    case SQL_EVENT_FORGET:
    case SQL_EVENTS:
    case SQL_MOVE_BEGIN:
    case SQL_MOVE_DONE:
    case SQL_MOVE_FORGET:
    case SQL_MOVES_OPEN:
    case SQL_DRIVE_PUT:
    case SQL_DRIVE_GET:
    case SQL_DISC_HEALTH_PUT:
    case SQL_DISC_HEALTH_GET:
    case SQL_INCIDENT_ADD:
    case SQL_INCIDENTS_FORGET:
    case SQL_INCIDENTS:
    case SQL_INCIDENT_JUDGE:
    case SQL_ELEMENT_PUT:
    case SQL_ELEMENTS:
        return NEED_NOTHING;
    case SQL_READDIR:
    case SQL_DIR_EMPTY:
    case SQL_NAMES:
    case SQL_OLDEST_NAME:
        return NEED_NAMES;
    default:
        return NEED_ALL;
    }
}

/* Runs one of the statements that steer the transaction. */
static bool
steer(struct varve_catalog *catalog, enum catalog_sql sql, struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *statement = catalog->statements[sql];
    return catalog_run(catalog, statement, err);
}

bool
catalog_open_transaction(struct varve_catalog *catalog, struct varve_error *err)
{
    if (!catalog->in_transaction) {
        if (!steer(catalog, SQL_BEGIN, err))
            return false;
        catalog->in_transaction = true;
    }
    if (catalog->depth > 0 && !catalog->savepoint) {
        if (!pending_flush_older(catalog, err) || !steer(catalog, SQL_UNIT, err))
            return false;
        catalog->savepoint = true;
    }
    return true;
}

static bool
meet_need(struct varve_catalog *catalog, enum catalog_sql sql, struct varve_error *err)
{
    const struct pending *pending = &catalog->pending;
    enum need need = need_of(sql);
    if (need == NEED_NOTHING ||
        (need == NEED_NAMES ? pending->dirty_dentries : pending->dirty) == 0)
        return true;
    return pending_flush(catalog, SIZE_MAX, err);
}

sqlite3_stmt *
catalog_row_statement(struct varve_catalog *catalog, enum catalog_sql sql, struct varve_error *err)
{
    if (catalog->failed.kind != VARVE_ERROR_NONE) {
        *err = catalog->failed;
        return NULL;
    }
    return catalog->statements[sql];
}

sqlite3_stmt *
catalog_reader(struct varve_catalog *catalog, enum catalog_sql sql, struct varve_error *err)
{
    sqlite3_stmt *statement = catalog_row_statement(catalog, sql, err);
    return statement != NULL && meet_need(catalog, sql, err) ? statement : NULL;
}

sqlite3_stmt *
catalog_writer(struct varve_catalog *catalog, enum catalog_sql sql, struct varve_error *err)
{
    sqlite3_stmt *statement = catalog_row_statement(catalog, sql, err);
    if (statement == NULL || !catalog_open_transaction(catalog, err) ||
        !meet_need(catalog, sql, err))
        return NULL;
    catalog_note_change(catalog);
    return statement;
}

bool
catalog_step(struct varve_catalog *catalog, sqlite3_stmt *statement, bool *ret_row,
             struct varve_error *err)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        *ret_row = code == SQLITE_ROW;
        return true;
    }
    (void)catalog_sqlite_error(catalog->db, code, catalog->path, err);
    /* Some failures (disk full, I/O) make SQLite roll the whole transaction back: changes that
     * callers saw succeed are gone, and nothing built on them may go on. */
    if (catalog->in_transaction && sqlite3_get_autocommit(catalog->db) != 0)
        return catalog_fail(catalog, err);
    return false;
}

bool
catalog_run(struct varve_catalog *catalog, sqlite3_stmt *statement, struct varve_error *err)
{
    bool row;
    if (!catalog_step(catalog, statement, &row, err))
        return false;
    assert(!row);
    return true;
}

static bool
run_ids(struct varve_catalog *catalog, sqlite3_stmt *bare, uint64_t first, uint64_t second,
        struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *statement = bare;
    if (statement == NULL)
        return false;
    bind_u64(statement, 1, first);
    if (sqlite3_bind_parameter_count(statement) > 1)
        bind_u64(statement, 2, second);
    return catalog_run(catalog, statement, err);
}

bool
catalog_run_ids(struct varve_catalog *catalog, enum catalog_sql sql, uint64_t first,
                uint64_t second, struct varve_error *err)
{
    return run_ids(catalog, catalog_writer(catalog, sql, err), first, second, err);
}

bool
catalog_row_run_ids(struct varve_catalog *catalog, enum catalog_sql sql, uint64_t first,
                    uint64_t second, struct varve_error *err)
{
    return run_ids(catalog, catalog_row_statement(catalog, sql, err), first, second, err);
}

int
catalog_changes(struct varve_catalog *catalog)
{
    return sqlite3_changes(catalog->db);
}

/* Counting its memory costs SQLite a lock shared by all threads at every allocation, a tenth of
 * what small statements take. Nobody asks for the count. Refused, without harm, if some other part
 * of the process uses SQLite already. */
static void
spare_the_count(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

bool
catalog_connect(const char *path, int flags, sqlite3 **ret, struct varve_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sqlite3 *db = NULL;
    (void)pthread_once(&once, spare_the_count); /* cannot fail */
    int code =
        sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code != SQLITE_OK) {
        (void)catalog_sqlite_error(db, code, path, err);
        (void)sqlite3_close(db); /* a handle comes even with most failures */
        return false;
    }
    (void)sqlite3_busy_timeout(db, 10000); /* only recovery after a crash makes anyone wait */
    *ret = db;
    return true;
}

void
bind_bytes(sqlite3_stmt *statement, int index, const char *text)
{
    bind_blob(statement, index, text, strlen(text));
}

void
bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    (void)sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC); /* as bind_blob */
}

void
column_append(sqlite3_stmt *statement, int index, struct varve_buffer *ret)
{
    const void *bytes = sqlite3_column_blob(statement, index);
    varve_buffer_append(ret, bytes, (size_t)sqlite3_column_bytes(statement, index));
}

static bool
column_damaged(sqlite3_stmt *statement, int index, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "catalog row has a bad '%s'",
                           sqlite3_column_name(statement, index));
}

bool
column_text(sqlite3_stmt *statement, int index, char *ret, size_t size, struct varve_error *err)
{
    const void *bytes = sqlite3_column_blob(statement, index);
    size_t length = (size_t)sqlite3_column_bytes(statement, index);
    if (length >= size)
        return column_damaged(statement, index, err);
    if (length > 0)
        memcpy(ret, bytes, length);
    ret[length] = '\0';
    return true;
}

bool
column_exactly(sqlite3_stmt *statement, int index, void *ret, size_t size, struct varve_error *err)
{
    const void *bytes = sqlite3_column_blob(statement, index);
    if (bytes == NULL || (size_t)sqlite3_column_bytes(statement, index) != size)
        return column_damaged(statement, index, err);
    memcpy(ret, bytes, size);
    return true;
}

bool
column_enum(sqlite3_stmt *statement, int index, int max, int *ret, struct varve_error *err)
{
    int64_t value = sqlite3_column_int64(statement, index);
    if (value < 0 || value > max)
        return column_damaged(statement, index, err);
    *ret = (int)value;
    return true;
}

bool
catalog_collect(struct varve_catalog *catalog, sqlite3_stmt *statement, catalog_row_fn *from_row,
                const struct catalog_page *page, struct varve_error *err)
{
    size_t count = 0;
    for (bool row = true; count < page->max; count++) {
        if (!catalog_step(catalog, statement, &row, err))
            return false;
        if (!row)
            break;
        if (!from_row(statement, (uint8_t *)page->rows + count * page->stride, err))
            return false;
    }
    *page->ret_count = count;
    return true;
}

bool
catalog_find_text(struct varve_catalog *catalog, enum catalog_sql sql, const char *key,
                  catalog_row_fn *from_row, void *ret, bool *ret_found, struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *statement = catalog_reader(catalog, sql, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, key);
    return catalog_step(catalog, statement, ret_found, err) &&
           (!*ret_found || from_row(statement, ret, err));
}
