/* SPDX-License-Identifier: Apache-2.0 */
/* unmounting.c - the end of a daemon. */
#include "mounting.h"

#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <varve/fuse.h>

#include "client.h"

/* A daemon ends its current write to a disc before it goes: minutes, not more. */
enum { END_SECONDS_MAX = 600, END_SECONDS_QUIET = 5 };

/* Until the process is gone: only then is the archive's lock free and everything on its disks. */
static bool
wait_for_end(const struct cli *cli, pid_t pid, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return errno == ESRCH || varve_error_system(err, errno, "watch process %d", (int)pid);
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    for (int waited = 0; waited < END_SECONDS_MAX; waited += END_SECONDS_QUIET) {
        if (poll(&poller, 1, END_SECONDS_QUIET * 1000) > 0)
            return true;
        if (waited == 0 && !cli->json)
            (void)fprintf(stderr, "varve: waiting for the daemon (process %d) to end its work\n",
                          (int)pid);
    }
    varve_error_set(err, VARVE_ERROR_BUSY, 0, "unmounted, but its daemon (process %d) still works",
                    (int)pid);
    return varve_error_hint(err, "it ends when the disc that it writes is done");
}

/* The kernel ends the daemon's service only when the mount is gone everywhere, and another mount
 * namespace (a container, a service with PrivateMounts) may hold a copy of it for ever. So the
 * daemon is told as well. */
static void
tell_stop(struct cli *cli, const char *archive)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    json_t *answer = NULL;
    struct varve_error ignored = {0}; /* it may have gone already, which is what is wanted */
    if (client_open(cli, archive, &client, &ignored) &&
        client_post(client, "/v1/stop", json_object(), &answer, &ignored))
        json_decref(answer);
}

/* Nothing is mounted at the path itself: says what the path is instead. */
static bool
refuse(struct cli *cli, const char *mountpoint, struct varve_error *err)
{
    char where[2];
    if (getxattr(mountpoint, "user.varve.path", where, sizeof where) >= 0 || errno == ERANGE)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "'%s' is inside a mount, not its mount point", mountpoint);
    if (errno == ENOENT)
        return varve_error_system(err, ENOENT, "mount point '%s'", mountpoint);
    cli->exit_code = EXIT_CODE_NO_DAEMON;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is no mount of varve", mountpoint);
}

/* The archive may be served elsewhere by now, while here is the dead mount of a daemon before. */
static bool
is_served_here(const char *mountpoint, const char *archive, pid_t *ret_pid)
{
    char unused[1];
    return (getxattr(mountpoint, "user.varve.archive", unused, sizeof unused) >= 0 ||
            errno == ERANGE) &&
           client_daemon_pid(archive, ret_pid);
}

static bool
make_read_only(const char *mountpoint, unsigned long flags, struct varve_error *err)
{
    if (err->kind != VARVE_ERROR_BUSY)
        return false;
    if (!varve_remount(mountpoint, flags | MS_RDONLY, err))
        return varve_error_wrap(err, "files are in use, and");
    return true;
}

bool
unmount_archive(struct cli *cli, const struct unmounting *unmounting, struct varve_error *err)
{
    const char *mountpoint = unmounting->mountpoint;
    struct varve_mounted mounted;
    if (!varve_mounted_at(mountpoint, &mounted, err))
        return varve_error_wrap(err, "mount point");
    if (!mounted.ours)
        return refuse(cli, mountpoint, err);
    pid_t pid = 0;
    bool wait =
        !unmounting->lazy && !unmounting->force && is_served_here(mountpoint, mounted.source, &pid);
    int flags = (unmounting->lazy ? MNT_DETACH : 0) | (unmounting->force ? MNT_FORCE : 0);
    if (!varve_unmount(mountpoint, flags, err))
        return unmounting->read_only && make_read_only(mountpoint, mounted.flags, err);
    if (!wait)
        return true;
    tell_stop(cli, mounted.source);
    return wait_for_end(cli, pid, err);
}
