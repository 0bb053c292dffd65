/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - which options the mount has now. The kernel tells a FUSE daemon neither of noatime nor
 * of a remount, but read times, and whether names are made durable at once, are the daemon's to do:
 * so it looks where everybody can, and looks again whenever a mount of its namespace changes. */
#include "fs_internal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <varve/log.h>

static enum varve_atime
atime_of(unsigned long flags)
{
    if (flags & (MS_RDONLY | MS_NOATIME))
        return VARVE_ATIME_NEVER;
    return flags & MS_STRICTATIME ? VARVE_ATIME_STRICT : VARVE_ATIME_RELATIVE;
}

static bool
look(struct varve_mount *mount, struct varve_error *err)
{
    struct varve_mounted mounted;
    if (!fs_mounted_at(mount->mountpoint, &mounted, err))
        return false;
    /* Unmounted, or another mount lies on top: ours keeps what it had. */
    if (!mounted.ours || mounted.device_minor != mount->device_minor)
        return true;
    enum varve_atime files = atime_of(mounted.flags);
    varve_vfs_set_atime(mount->vfs, files,
                        mounted.flags & MS_NODIRATIME ? VARVE_ATIME_NEVER : files);
    atomic_store(&mount->flags, mounted.flags);
    return true;
}

unsigned long
varve_mount_flags(struct varve_mount *mount)
{
    struct varve_error unused; /* what was seen last is the best answer then */
    (void)!look(mount, &unused);
    return atomic_load(&mount->flags);
}

static void *
watch_thread(void *context)
{
    struct varve_mount *mount = context;
    VARVE_CLEANUP_FD int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    struct pollfd polled[2] = {{.fd = mount->watch_quit, .events = POLLIN},
                               {.fd = mounts, .events = POLLPRI}};
    while (polled[0].revents == 0) {
        unsigned long before = atomic_load(&mount->flags);
        unsigned long now = varve_mount_flags(mount);
        if (((before ^ now) & MS_RDONLY) != 0)
            varve_log(VARVE_LOG_NOTICE, "'%s' is mounted %s now", mount->mountpoint,
                      now & MS_RDONLY ? "read-only" : "read-write");
        while (poll(polled, 2, -1) <
               0) /* EINTR: no handler runs here, but a debugger may stop us */
            ;
    }
    return NULL;
}

bool
fs_watch_start(struct varve_mount *mount, struct varve_error *err)
{
    if (!look(mount, err))
        return false;
    mount->watch_quit = eventfd(0, EFD_CLOEXEC);
    if (mount->watch_quit < 0)
        return varve_error_system(err, errno, "make an eventfd");
    int sys = pthread_create(&mount->watcher, NULL, watch_thread, mount);
    if (sys != 0)
        return varve_error_system(err, sys, "start a thread");
    mount->has_watcher = true;
    return true;
}

void
fs_watch_finish(struct varve_mount *mount)
{
    if (mount->has_watcher) {
        (void)eventfd_write(mount->watch_quit, 1);
        (void)pthread_join(mount->watcher, NULL); /* ours and joinable */
    }
    if (mount->watch_quit >= 0)
        (void)close(mount->watch_quit);
}

bool
fs_settle(struct varve_mount *mount, unsigned long flag, struct varve_error *err)
{
    return (atomic_load(&mount->flags) & (MS_SYNCHRONOUS | flag)) == 0 ||
           varve_vfs_fsync(mount->vfs, 0, err);
}
