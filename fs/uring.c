/* SPDX-License-Identifier: Apache-2.0 */
/* uring.c - requests over io_uring instead of /dev/fuse: whether, and what is different then.
 *
 * - One thread a core handles requests one after another: see work.c.
 * - A request that waits for a disc keeps its place in the ring: FS_URING_KEPT.
 * - libfuse hears of signals to who waits, but cannot say which request they are about. So while
 *   requests wait, we look every fifth of a second whether their callers have a signal pending. */
#include "fs_internal.h"

#include <inttypes.h>

#define ENABLE_PATH "/sys/module/fuse/parameters/enable_uring"
#define LOOK_NS (VARVE_NS_PER_SECOND / 5)

/* libfuse before 3.19 can lose a reply that another thread gives: two threads write one tail
 * without a lock (libfuse issue 1443). tools/libfuse-uring.patch mends that in the one that
 * tools/install-deps builds, which says so in its version. */
static bool
libfuse_is_safe(void)
{
#ifdef HAVE_URING
    return fuse_version() >= FUSE_MAKE_VERSION(3, 19) ||
           strstr(fuse_pkgversion(), "+varve") != NULL;
#else
    return false;
#endif
}

/* 'Y', 'N', or '?' if this kernel has no such switch. */
static char
kernel_switch(void)
{
    VARVE_CLEANUP_FD int fd = open(ENABLE_PATH, O_RDONLY | O_CLOEXEC);
    char answer = '?';
    if (fd < 0 || read(fd, &answer, 1) != 1)
        return '?';
    return answer;
}

static unsigned
ring_depth(void)
{
    long cores = sysconf(_SC_NPROCESSORS_CONF);
    unsigned depth = FS_URING_ENTRIES / (cores < 1 ? 1u : (unsigned)cores);
    if (depth < FS_URING_DEPTH_MIN)
        return FS_URING_DEPTH_MIN;
    return depth > FS_URING_DEPTH_MAX ? FS_URING_DEPTH_MAX : depth;
}

bool
fs_uring_wanted(struct varve_mount *mount)
{
    struct fs_features *features = &mount->features;
    features->uring_switch = kernel_switch();
    features->uring_asked =
        !features->no_uring && libfuse_is_safe() && features->uring_switch == 'Y';
    mount->uring_depth = ring_depth();
    return features->uring_asked;
}

void
fs_uring_why_not(const struct varve_mount *mount, char *ret, size_t size)
{
    const struct fs_features *features = &mount->features;
    ret[0] = '\0';
    if (atomic_load(&mount->uring_seen))
        return;
    if (features->no_uring)
        (void)snprintf(ret, size, "switched off by -o nouring");
    else if (features->uring_switch == '?')
        (void)snprintf(ret, size, "the kernel has none (Linux 6.14 and newer do)");
    else if (features->uring_switch != 'Y')
        (void)snprintf(ret, size, "enable_uring is off: echo Y > %s, and mount again", ENABLE_PATH);
    else if (!libfuse_is_safe())
        (void)snprintf(ret, size,
                       "libfuse %s has none, or one that loses replies: tools/install-deps",
                       fuse_pkgversion());
    else
        (void)snprintf(ret, size, "libfuse could not start it");
}

void
fs_uring_thread(struct varve_mount *mount)
{
    static _Thread_local bool prepared;
    if (prepared)
        return;
    prepared = true;
    /* At the end libfuse cancels these threads wherever they are; they end by themselves too, but
     * with our locks given back. */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    atomic_store(&mount->uring_seen, true);
}

/* --- signals --- */

/* proc(5): hexadecimal masks. */
static uint64_t
mask_in(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 16);
}

/* A thread that is gone, or that we cannot see, has no signals. */
static bool
has_signal(pid_t thread)
{
    char path[64], status[4096];
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)thread);
    VARVE_CLEANUP_FD int fd = thread <= 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, status, sizeof status - 1);
    if (got <= 0)
        return false;
    status[got] = '\0';
    uint64_t pending = mask_in(status, "\nSigPnd:") | mask_in(status, "\nShdPnd:");
    return (pending & ~mask_in(status, "\nSigBlk:") & ~mask_in(status, "\nSigIgn:")) != 0;
}

/* Until there are requests that wait, then a moment. False: it is time to stop. */
static bool
wait_to_look(struct varve_mount *mount)
{
    struct timespec until;
    VARVE_LOCKED(&mount->lock);
    while (mount->waits == NULL && !mount->waits_quit)
        (void)pthread_cond_wait(&mount->look_event, &mount->lock);
    (void)clock_gettime(CLOCK_REALTIME, &until); /* cannot fail for this clock */
    until.tv_nsec += LOOK_NS;
    if (until.tv_nsec >= VARVE_NS_PER_SECOND) {
        until.tv_nsec -= VARVE_NS_PER_SECOND;
        until.tv_sec++;
    }
    int sys = 0;
    while (!mount->waits_quit && sys == 0)
        sys = pthread_cond_timedwait(&mount->look_event, &mount->lock, &until);
    return !mount->waits_quit;
}

static void *
look_thread(void *context)
{
    struct varve_mount *mount = context;
    struct fs_waiter waiters[FS_URING_DEPTH_MAX];
    while (wait_to_look(mount)) {
        size_t count = fs_waits_list(mount, waiters, FS_URING_DEPTH_MAX);
        for (size_t i = 0; i < count; i++) {
            if (has_signal(waiters[i].thread))
                fs_waits_interrupt(mount, waiters[i].number);
        }
    }
    return NULL;
}

bool
fs_uring_start(struct varve_mount *mount, struct varve_error *err)
{
    if (!mount->features.uring_asked)
        return true;
    int sys = pthread_create(&mount->looker, NULL, look_thread, mount);
    if (sys != 0)
        return varve_error_system(err, sys, "start a thread");
    mount->has_looker = true;
    return true;
}

void
fs_uring_finish(struct varve_mount *mount)
{
    if (!mount->has_looker)
        return;
    {
        VARVE_LOCKED(&mount->lock);
        (void)pthread_cond_broadcast(&mount->look_event); /* waits_quit is set */
    }
    (void)pthread_join(mount->looker, NULL); /* ours and joinable */
    mount->has_looker = false;
}
