/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the program under test: the kernel keeps syncfs(2) from FUSE filesystems, so here
 * it is sent as an ioctl. With VARVE_SKIP_SYNC the program believes that it has synced: "bytes",
 * "names" (of directories), "all" or "every" (syncfs): a campaign that does not notice tests
 * nothing. */
#include "sync_shim.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
skips(const char *what)
{
    const char *skipped = getenv("VARVE_SKIP_SYNC");
    return skipped != NULL && (strcmp(skipped, what) == 0 || strcmp(skipped, "all") == 0);
}

static bool
is_skipped(int fd)
{
    struct stat st;
    if (getenv("VARVE_SKIP_SYNC") == NULL || fstat(fd, &st) != 0)
        return false;
    return skips(S_ISDIR(st.st_mode) ? "names" : "bytes");
}

static int
call(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}

int
fsync(int fd)
{
    return is_skipped(fd) ? 0 : call("fsync", fd);
}

int
fdatasync(int fd)
{
    return is_skipped(fd) ? 0 : call("fdatasync", fd);
}

int
syncfs(int fd)
{
    if (skips("every"))
        return 0;
    /* Not both: the kernel would tell of errors that a tree without power had. */
    return ioctl(fd, LOSSY_SYNCFS) == 0 ? 0 : call("syncfs", fd);
}
