/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

#include <string.h>
#include <sys/stat.h>
#include <varve/file.h>

#define CACHE_KIB 65536

static bool
execute(sqlite3 *db, const char *path, const char *sql, struct varve_error *err)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK || catalog_sqlite_error(db, code, path, err);
}

/* The first column of the first row of `sql`. */
static bool
ask(sqlite3 *db, const char *path, const char *sql, int64_t *ret, struct varve_error *err)
{
    VARVE_CLEANUP(catalog_finalize) sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return catalog_sqlite_error(db, code, path, err);
    *ret = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    return true;
}

/* --- making one --- */

static bool
insert_root(sqlite3 *db, const char *path, const struct varve_inode *root, struct varve_error *err)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO inode VALUES (%d, %u, %u, %u, 2, 0, 0, %lld, %lld, %lld, %lld, 0, "
                   "0, 0, 0, 0, 0, 0)",
                   (int)VARVE_ROOT_INO, root->mode, root->uid, root->gid, (long long)root->ctime_ns,
                   (long long)root->ctime_ns, (long long)root->ctime_ns, (long long)root->ctime_ns);
    return execute(db, path, sql, err);
}

bool
catalog_take_steps(sqlite3 *db, const char *path, int64_t from, struct varve_error *err)
{
    char version[64];
    (void)snprintf(version, sizeof version, "PRAGMA user_version = %d", VARVE_CATALOG_SCHEMA);
    for (int64_t step = from; step < VARVE_CATALOG_SCHEMA; step++) {
        if (!execute(db, path, catalog_steps[step], err))
            return false;
    }
    return execute(db, path, version, err);
}

static bool
fill_new(const char *path, const struct varve_inode *root, struct varve_error *err)
{
    VARVE_CLEANUP(catalog_disconnect) sqlite3 *db = NULL;
    if (!catalog_connect(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db, err))
        return false;
    char application[64];
    (void)snprintf(application, sizeof application, "PRAGMA application_id = %d",
                   CATALOG_APPLICATION_ID);
    return execute(db, path, "PRAGMA synchronous = FULL; BEGIN IMMEDIATE", err) &&
           execute(db, path, application, err) && catalog_take_steps(db, path, 0, err) &&
           insert_root(db, path, root, err) && execute(db, path, "COMMIT", err);
}

bool
catalog_sync_parent(const char *path, struct varve_error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return varve_file_sync_dir(".", err);
    VARVE_CLEANUP_FREE char *dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (dir == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "name of the directory of '%s'", path);
    return varve_file_sync_dir(dir, err);
}

bool
varve_catalog_create(const char *path, uint32_t uid, uint32_t gid, struct varve_clock *clock,
                     struct varve_error *err)
{
    struct stat st;
    if (lstat(path, &st) == 0)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0, "catalog '%s' exists already", path);
    char temporary[VARVE_PATH_BYTES_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return varve_error_set(err, VARVE_ERROR_INVALID, ENAMETOOLONG, "create catalog");
    /* Made under another name: one that a crash left half made is never taken for a catalog. */
    (void)unlink(temporary); /* of an earlier crash; most often there is none */
    struct varve_inode root = {
        .mode = S_IFDIR | 0755, .uid = uid, .gid = gid, .ctime_ns = varve_clock_realtime(clock)};
    if (!fill_new(temporary, &root, err)) {
        (void)unlink(temporary); /* the first error is the one to tell */
        return varve_error_wrap(err, "create");
    }
    if (rename(temporary, path) != 0)
        return varve_error_system(err, errno, "create catalog '%s'", path);
    return catalog_sync_parent(path, err);
}

/* --- opening one --- */

static bool
check_versions(const struct varve_catalog *catalog, int64_t *ret, struct varve_error *err)
{
    int64_t application = 0;
    int64_t version = 0;
    if (!ask(catalog->db, catalog->path, "PRAGMA application_id", &application, err))
        return err->kind == VARVE_ERROR_CORRUPT
                   ? varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                                     "'%s' is not a varve catalog, or it is damaged: %s",
                                     catalog->path, sqlite3_errmsg(catalog->db))
                   : false;
    if (application != CATALOG_APPLICATION_ID)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is not a varve catalog",
                               catalog->path);
    if (!ask(catalog->db, catalog->path, "PRAGMA user_version", &version, err))
        return false;
    if (version > VARVE_CATALOG_SCHEMA) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0,
                        "catalog '%s' was made by a newer varve: it has schema %lld, this varve "
                        "knows up to %d",
                        catalog->path, (long long)version, VARVE_CATALOG_SCHEMA);
        return varve_error_hint(err, "use the varve that made it, or a newer one");
    }
    if (version < 1)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "catalog '%s' is damaged: schema version %lld", catalog->path,
                               (long long)version);
    *ret = version;
    return true;
}

/* A catalog of an older varve; a crash in here leaves it as it was. */
static bool
upgrade(const struct varve_catalog *catalog, int64_t version, struct varve_error *err)
{
    if (version == VARVE_CATALOG_SCHEMA)
        return true;
    bool ok = execute(catalog->db, catalog->path, "BEGIN IMMEDIATE", err) &&
              catalog_take_steps(catalog->db, catalog->path, version, err) &&
              execute(catalog->db, catalog->path, "COMMIT", err);
    if (ok)
        return true;
    (void)sqlite3_exec(catalog->db, "ROLLBACK", NULL, NULL, NULL); /* the first error tells */
    return varve_error_wrap(err, "upgrade from schema %lld", (long long)version);
}

static bool
configure(const struct varve_catalog *catalog, struct varve_error *err)
{
    char sql[256];
    /* secure_delete costs writes; what is deleted here was a name, not a secret. */
    (void)snprintf(
        sql, sizeof sql,
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"
        "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -%d; PRAGMA secure_delete = OFF;"
        "PRAGMA journal_size_limit = 67108864",
        CACHE_KIB);
    if (!execute(catalog->db, catalog->path, sql, err))
        return false;
    VARVE_CLEANUP(catalog_finalize) sqlite3_stmt *mode = NULL;
    if (sqlite3_prepare_v2(catalog->db, "PRAGMA journal_mode", -1, &mode, NULL) != SQLITE_OK ||
        sqlite3_step(mode) != SQLITE_ROW)
        return catalog_sqlite_error(catalog->db, sqlite3_errcode(catalog->db), catalog->path, err);
    if (strcmp((const char *)sqlite3_column_text(mode, 0), "wal") != 0)
        return varve_error_set(err, VARVE_ERROR_SYSTEM, 0,
                               "catalog '%s': its filesystem cannot hold a shared log (WAL)",
                               catalog->path);
    return true;
}

static bool
init_locks(struct varve_catalog *catalog, struct varve_error *err)
{
    pthread_mutexattr_t recursive;
    pthread_condattr_t monotonic;
    int code = pthread_mutexattr_init(&recursive);
    if (code == 0) {
        (void)pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE); /* a valid type */
        code = pthread_mutex_init(&catalog->lock, &recursive);
        (void)pthread_mutexattr_destroy(&recursive); /* cannot fail */
    }
    (void)pthread_mutex_init(&catalog->sync_lock, NULL); /* cannot fail with default attributes */
    if (code == 0)
        code = pthread_condattr_init(&monotonic);
    if (code == 0) {
        (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* a valid clock */
        code = pthread_cond_init(&catalog->wake, &monotonic);
        (void)pthread_condattr_destroy(&monotonic); /* cannot fail */
    }
    return code == 0 || varve_error_system(err, code, "new catalog lock");
}

static bool
open_parts(struct varve_catalog *catalog, struct varve_error *err)
{
    struct varve_inode root;
    int64_t version = 0;
    if (!catalog_connect(catalog->path, SQLITE_OPEN_READWRITE, &catalog->db, err) ||
        !check_versions(catalog, &version, err) || !configure(catalog, err) ||
        !upgrade(catalog, version, err) || !catalog_statements_prepare(catalog, err) ||
        !catalog_connect(catalog->path, SQLITE_OPEN_READWRITE, &catalog->checkpointer, err))
        return false;
    if (!varve_catalog_inode_get(catalog, VARVE_ROOT_INO, &root, err))
        return err->kind == VARVE_ERROR_NOT_FOUND
                   ? varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                                     "catalog '%s' is damaged: it has no root directory",
                                     catalog->path)
                   : false;
    return catalog_numbers_load(catalog, err) && catalog_committer_start(catalog, err);
}

bool
varve_catalog_open(const char *path, struct varve_clock *clock, struct varve_catalog **ret,
                   struct varve_error *err)
{
    /* SQLite's own words for a missing file ("unable to open database file") help nobody. */
    if (access(path, F_OK) != 0)
        return varve_error_system(err, errno, "catalog '%s'", path);
    struct varve_catalog *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL || (fresh->path = strdup(path)) == NULL || !init_locks(fresh, err)) {
        if (fresh != NULL)
            free(fresh->path);
        free(fresh);
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open catalog '%s'", path);
    }
    VARVE_CLEANUP(varve_catalog_close) struct varve_catalog *catalog = fresh;
    catalog->clock = clock;
    catalog->log_fd = -1;
    catalog->pending.unit = 1;
    if (!open_parts(catalog, err))
        return false;
    *ret = VARVE_TAKE(catalog);
    return true;
}

void
varve_catalog_close(struct varve_catalog *catalog)
{
    if (catalog == NULL)
        return;
    if (catalog->committer_runs) {
        catalog_committer_stop(catalog);
        catalog_commit_last(catalog);
    }
    catalog_statements_finalize(catalog);
    pending_clear(catalog);
    if (catalog->log_fd >= 0)
        (void)close(catalog->log_fd);           /* durable by fsync, not by close */
    (void)sqlite3_close(catalog->checkpointer); /* no statement is left */
    (void)sqlite3_close(catalog->db);
    (void)pthread_cond_destroy(&catalog->wake); /* no thread is left */
    (void)pthread_mutex_destroy(&catalog->lock);
    (void)pthread_mutex_destroy(&catalog->sync_lock);
    free(catalog->path);
    free(catalog);
}
