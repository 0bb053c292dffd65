/* SPDX-License-Identifier: Apache-2.0 */
/* Which archive a path belongs to: the mount says so in user.varve.archive. */
#include "client.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <varve/config.h>
#include <varve/file.h>
#include <varve/types.h>

bool
is_archive(const char *dir)
{
    VARVE_CLEANUP_FREE char *file = varve_file_join(dir, VARVE_CONFIG_FILE);
    return file != NULL && access(file, F_OK) == 0;
}

/* The xattr as a string; NULL with errno if it is not there. */
static char *
read_xattr(const char *path, const char *name)
{
    char *value = malloc(VARVE_PATH_BYTES_MAX + 1);
    if (value == NULL)
        return NULL;
    ssize_t size = getxattr(path, name, value, VARVE_PATH_BYTES_MAX);
    if (size < 0) {
        free(value);
        return NULL;
    }
    value[size] = 0;
    return value;
}

/* user.* attributes exist on files and directories only, and a symlink must not be followed: so the
 * directory is asked, and the last name put behind its path (*ret_name; NULL: the directory itself
 * is meant). */
static bool
split(const char *path, char **ret_dir, const char **ret_name, struct varve_error *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return varve_error_system(err, errno, "'%s'", path);
    const char *slash = S_ISDIR(st.st_mode) ? NULL : strrchr(path, '/');
    VARVE_CLEANUP_FREE char *dir = NULL;
    if (S_ISDIR(st.st_mode))
        dir = strdup(path);
    else if (slash == NULL)
        dir = strdup(".");
    else
        dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (dir == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "'%s'", path);
    *ret_dir = realpath(dir, NULL);
    if (*ret_dir == NULL)
        return varve_error_system(err, errno, "'%s'", path);
    *ret_name = S_ISDIR(st.st_mode) ? NULL : slash != NULL ? slash + 1 : path;
    return true;
}

static bool
refuse_outside(struct cli *cli, const char *path, int sys, struct varve_error *err)
{
    cli->exit_code = EXIT_CODE_NO_DAEMON;
    if (sys == ENOTCONN)
        return varve_error_set(err, VARVE_ERROR_NOT_READY, 0,
                               "the daemon that mounted '%s' is gone\nhint: varve umount it, then "
                               "varve mount it again",
                               path);
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is not in a mounted archive", path);
    return varve_error_hint(err, "mount it with: varve mount DIR MOUNTPOINT");
}

bool
find_path(struct cli *cli, const char *path, char **ret_archive, char **ret_inside,
          struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *dir = NULL;
    const char *name = NULL;
    if (!split(path, &dir, &name, err)) {
        if (err->sys == ENOTCONN)
            return refuse_outside(cli, path, ENOTCONN, err);
        return false;
    }
    VARVE_CLEANUP_FREE char *archive = read_xattr(dir, "user.varve.archive");
    VARVE_CLEANUP_FREE char *inside = archive != NULL ? read_xattr(dir, "user.varve.path") : NULL;
    if (inside == NULL)
        return refuse_outside(cli, path, errno, err);
    char *whole = name != NULL ? varve_file_join(strcmp(inside, "/") == 0 ? "" : inside, name)
                               : VARVE_TAKE(inside);
    if (whole == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "'%s'", path);
    *ret_archive = VARVE_TAKE(archive);
    *ret_inside = whole;
    return true;
}

bool
find_archive(struct cli *cli, const char *word, char **ret_archive, struct varve_error *err)
{
    const char *path = word != NULL ? word : ".";
    if (is_archive(path)) {
        *ret_archive = realpath(path, NULL);
        return *ret_archive != NULL || varve_error_system(err, errno, "'%s'", path);
    }
    VARVE_CLEANUP_FREE char *inside = NULL;
    if (find_path(cli, path, ret_archive, &inside, err))
        return true;
    if (word != NULL || err->kind != VARVE_ERROR_INVALID)
        return false;
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "which archive? the current directory is in none");
    return varve_error_hint(err, "name its directory: varve ... DIR, or go into its mount");
}
