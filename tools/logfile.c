/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <varve/file.h>
#include <varve/log.h>

bool
logfile_open(const char *dir, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(dir, LOG_FILE);
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open the log");
    VARVE_CLEANUP_FD int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return varve_error_system(err, errno, "open '%s'", path);
    if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        return varve_error_system(err, errno, "write to '%s'", path);
    return true;
}

void
logfile_rotate(const char *dir)
{
    struct stat st;
    if (fstat(STDERR_FILENO, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < LOG_BYTES_MAX)
        return;
    VARVE_CLEANUP_FREE char *path = varve_file_join(dir, LOG_FILE);
    VARVE_CLEANUP_FREE char *old = varve_file_join(dir, LOG_FILE ".1");
    struct varve_error err = {0};
    if (path == NULL || old == NULL || rename(path, old) != 0)
        return; /* tried again in a few seconds */
    if (!logfile_open(dir, &err))
        varve_log(VARVE_LOG_WARNING, "log: %s; going on in '%s'", err.text, old);
}
