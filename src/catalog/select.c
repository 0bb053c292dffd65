/* SPDX-License-Identifier: Apache-2.0 */
#include "select_internal.h"

#define TIME_MAX_MS_DEFAULT 60000
#define PROGRESS_STEPS 1000 /* of SQLite's machine between two looks at the clock: microseconds */
#define VALUE_BYTES_MAX 1048576

/* --- sessions --- */

static int
watch_time(void *context)
{
    struct select_session *session = context;
    if (session->deadline_ns == 0 ||
        varve_clock_monotonic(varve_clock_system()) < session->deadline_ns)
        return 0;
    session->timed_out = true;
    return 1;
}

static bool
open_session(struct select_session *session, const char *path, struct varve_error *err)
{
    const char *name = path == NULL ? ":memory:" : path;
    int flags = path == NULL ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    if (!catalog_connect(name, flags, &session->db, err))
        return false;
    /* "name" in double quotes is a column, never text that happens to be mistyped. */
    (void)sqlite3_db_config(session->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_limit(session->db, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
    (void)sqlite3_limit(session->db, SQLITE_LIMIT_EXPR_DEPTH, 200);
    (void)sqlite3_limit(session->db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 4096);
    sqlite3_progress_handler(session->db, PROGRESS_STEPS, watch_time, session);
    if (path == NULL && !catalog_take_steps(session->db, name, 0, err))
        return false;
    if (!select_functions_add(session) ||
        sqlite3_exec(session->db, select_view, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(session->db,
                           "SELECT parent, name FROM main.dentry INDEXED BY dentry_ino"
                           " WHERE ino = ?1 ORDER BY id LIMIT 1",
                           -1, &session->oldest_name, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(session->db, "SELECT value FROM main.xattr WHERE ino = ?1 AND name = ?2",
                           -1, &session->xattr, NULL) != SQLITE_OK)
        return catalog_sqlite_error(session->db, sqlite3_extended_errcode(session->db), name, err);
    return true;
}

bool
select_session_new(const char *path, struct select_session **ret, struct varve_error *err)
{
    VARVE_CLEANUP(select_session_free)
    struct select_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "new selection");
    if (!open_session(session, path, err))
        return false;
    *ret = VARVE_TAKE(session);
    return true;
}

void
select_session_free(struct select_session *session)
{
    if (session == NULL)
        return;
    (void)sqlite3_finalize(session->oldest_name); /* repeats the error of its last step */
    (void)sqlite3_finalize(session->xattr);
    (void)sqlite3_close(session->db); /* no statement is left */
    varve_buffer_done(&session->path);
    for (size_t i = 0; i < DIR_CACHE_COUNT; i++)
        free(session->dirs[i].path);
    free(session);
}

/* --- the query --- */

/* Puts the checked expressions into the query. They were compiled alone before, against a view
 * without the underscored columns, so here they can mean nothing else. */
static bool
build_query(struct select_session *session, const struct varve_selection *selection,
            struct varve_buffer *sql, struct varve_error *err)
{
    bool resident = selection->tier != VARVE_TIER_NONE ||
                    (selection->has_state && selection->state == VARVE_STATE_PREMIGRATED);
    varve_buffer_printf(sql,
                        "SELECT ino, _content, size, _tier, _path_id, _file, _phase, heat"
                        " FROM %s AS files WHERE 1",
                        resident ? "files_resident" : "files_placed");
    if (selection->tier != VARVE_TIER_NONE)
        varve_buffer_printf(sql, " AND _tier = %d", (int)selection->tier);
    if (selection->has_state)
        varve_buffer_printf(sql, " AND state = '%s'", varve_state_name(selection->state));
    if (selection->under_ino != 0)
        varve_buffer_text(sql, " AND ino IN (WITH RECURSIVE below (ino) AS (SELECT ?1 UNION"
                               " SELECT d.ino FROM below b CROSS JOIN main.dentry d"
                               " ON d.parent = b.ino) SELECT ino FROM below)");
    if (selection->where != NULL) {
        varve_buffer_text(sql, " AND (");
        if (!predicate_compile(session, "where", selection->where, sql, err))
            return false;
        varve_buffer_text(sql, "\n)");
    }
    varve_buffer_text(sql, " ORDER BY ");
    if (selection->order != NULL) {
        /* A bare number would be the number of a column; as an argument it is just a number. */
        varve_buffer_text(sql, "coalesce((");
        if (!predicate_compile(session, "order", selection->order, sql, err))
            return false;
        varve_buffer_text(sql, "\n), NULL), ");
    }
    varve_buffer_text(sql, "ino");
    return varve_buffer_ok(sql, err);
}

static bool
explain_stop(struct select_session *session, int code, struct varve_error *err)
{
    if (session->timed_out)
        return varve_error_set(err, VARVE_ERROR_CANCELLED, ETIMEDOUT,
                               "the predicate ran longer than %lld ms",
                               (long long)session->time_max_ms);
    if (code == SQLITE_OK)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "path of a file");
    if (code == SQLITE_ERROR) /* of a function: a wrong pattern, an overflow */
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s", sqlite3_errmsg(session->db));
    return catalog_sqlite_error(session->db, code, sqlite3_db_filename(session->db, "main"), err);
}

static bool
selected_from_row(struct select_session *session, sqlite3_stmt *row, struct varve_selected *ret,
                  struct varve_error *err)
{
    int tier;
    int phase;
    if (!column_enum(row, 3, VARVE_TIER_HDD, &tier, err) ||
        !column_enum(row, 6, VARVE_PHASE_SEALED, &phase, err))
        return false;
    *ret = (struct varve_selected){
        .ino = column_u64(row, 0),
        .content = {column_u64(row, 1)},
        .size = column_u64(row, 2),
        .place = {(enum varve_tier)tier, column_u32(row, 4), column_u64(row, 5)},
        .heat = sqlite3_column_double(row, 7),
    };
    ret->state = varve_state_of((enum varve_phase)phase, ret->place);
    ret->path = select_path(session, ret->ino);
    return ret->path != NULL || explain_stop(session, session->step_error, err);
}

/* Calls `each`; the time it takes is not the predicate's. */
static bool
tell(struct select_session *session, sqlite3_stmt *row, varve_select_fn *each, void *context,
     struct varve_error *err)
{
    struct varve_selected selected;
    if (!selected_from_row(session, row, &selected, err))
        return false;
    struct varve_clock *clock = varve_clock_system();
    int64_t start_ns = varve_clock_monotonic(clock);
    bool more = each(context, &selected, err);
    session->deadline_ns += varve_clock_monotonic(clock) - start_ns;
    return more;
}

static bool
run_query(struct select_session *session, const struct varve_selection *selection, const char *sql,
          varve_select_fn *each, void *context, struct varve_error *err)
{
    VARVE_CLEANUP(catalog_finalize) sqlite3_stmt *statement = NULL;
    session->time_max_ms =
        selection->time_max_ms > 0 ? selection->time_max_ms : TIME_MAX_MS_DEFAULT;
    int code = sqlite3_prepare_v2(session->db, sql, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return explain_stop(session, code, err);
    if (selection->under_ino != 0)
        bind_u64(statement, 1, selection->under_ino);
    session->deadline_ns =
        varve_clock_monotonic(varve_clock_system()) + session->time_max_ms * VARVE_NS_PER_MS;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct varve_error stop = {0};
        if (tell(session, statement, each, context, &stop))
            continue;
        if (stop.kind == VARVE_ERROR_NONE)
            return true; /* it has seen enough */
        *err = stop;
        return false;
    }
    return code == SQLITE_DONE || explain_stop(session, code, err);
}

bool
varve_catalog_select(struct varve_catalog *catalog, const struct varve_selection *selection,
                     varve_select_fn *each, void *context, struct varve_error *err)
{
    VARVE_CLEANUP(select_session_free) struct select_session *session = NULL;
    VARVE_CLEANUP_BUFFER struct varve_buffer sql = {0};
    if (!select_session_new(catalog->path, &session, err) ||
        !build_query(session, selection, &sql, err))
        return false;
    session->now_ns = selection->now_ns;
    session->half_life_ns = selection->half_life_ns;
    return run_query(session, selection, varve_buffer_string(&sql), each, context, err);
}

bool
varve_catalog_select_check(struct varve_catalog *catalog, const struct varve_selection *selection,
                           struct varve_error *err)
{
    VARVE_CLEANUP(select_session_free) struct select_session *session = NULL;
    VARVE_CLEANUP_BUFFER struct varve_buffer sql = {0};
    return select_session_new(catalog->path, &session, err) &&
           build_query(session, selection, &sql, err);
}

bool
varve_predicate_check(const char *where, const char *order, struct varve_error *err)
{
    VARVE_CLEANUP(select_session_free) struct select_session *session = NULL;
    VARVE_CLEANUP_BUFFER struct varve_buffer sql = {0};
    struct varve_selection selection = {.where = where, .order = order};
    return select_session_new(NULL, &session, err) && build_query(session, &selection, &sql, err);
}
