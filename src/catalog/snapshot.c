/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

#include <fcntl.h>
#include <string.h>
#include <varve/file.h>

/* All pages in one step: it reads one snapshot of the log, so writers do not make it start again,
 * and in WAL mode it does not keep them waiting either. */
static bool
copy_pages(const char *from, const char *to, struct varve_error *err)
{
    VARVE_CLEANUP(catalog_disconnect) sqlite3 *source = NULL;
    VARVE_CLEANUP(catalog_disconnect) sqlite3 *copy = NULL;
    if (!catalog_connect(from, SQLITE_OPEN_READONLY, &source, err) ||
        !catalog_connect(to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &copy, err))
        return false;
    sqlite3_backup *backup = sqlite3_backup_init(copy, "main", source, "main");
    if (backup == NULL)
        return catalog_sqlite_error(copy, sqlite3_errcode(copy), to, err);
    int code = sqlite3_backup_step(backup, -1);
    int finish = sqlite3_backup_finish(backup);
    if (code != SQLITE_DONE)
        return catalog_sqlite_error(copy, finish != SQLITE_OK ? finish : code, to, err);
    /* One plain file that also a read-only medium can serve. */
    code = sqlite3_exec(copy, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    return code == SQLITE_OK || catalog_sqlite_error(copy, code, to, err);
}

static bool
make_durable(const char *temporary, const char *path, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = open(temporary, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return varve_error_system(err, errno, "'%s'", temporary);
    if (!varve_file_sync(fd, temporary, err))
        return false;
    if (rename(temporary, path) != 0)
        return varve_error_system(err, errno, "rename to '%s'", path);
    return catalog_sync_parent(path, err);
}

bool
varve_catalog_snapshot(struct varve_catalog *catalog, const char *path, struct varve_error *err)
{
    char temporary[VARVE_PATH_BYTES_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return varve_error_set(err, VARVE_ERROR_INVALID, ENAMETOOLONG, "snapshot");
    if (!varve_catalog_sync(catalog, err))
        return false;
    (void)unlink(temporary); /* of an earlier crash; most often there is none */
    if (copy_pages(catalog->path, temporary, err) && make_durable(temporary, path, err))
        return true;
    (void)unlink(temporary); /* the first error is the one to tell */
    return varve_error_wrap(err, "snapshot of catalog '%s'", catalog->path);
}
