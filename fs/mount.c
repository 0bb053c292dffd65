/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <varve/log.h>

#define THREADS_DEFAULT 16
/* How long requests in flight may take after a stop before the connection is cut. */
#define STOP_GRACE_S 5

/* libfuse tells why it failed by its log alone; its last words become our error text. */
static pthread_mutex_t last_words_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_words[256];

__attribute__((format(printf, 2, 0))) static void
hear_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
    if (level > FUSE_LOG_WARNING)
        return;
    char text[sizeof last_words];
    (void)vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    {
        VARVE_LOCKED(&last_words_lock);
        memcpy(last_words, text, sizeof last_words);
    }
    varve_log(VARVE_LOG_DEBUG, "libfuse: %s", text);
}

static bool
fail_with_last_words(struct varve_error *err, const char *path)
{
    VARVE_LOCKED(&last_words_lock);
    (void)varve_error_set(err, VARVE_ERROR_SYSTEM, 0, "mount at '%s': %s", path,
                          last_words[0] == '\0' ? "libfuse gave no reason" : last_words);
    if (access("/dev/fuse", F_OK) != 0)
        (void)varve_error_hint(err, "there is no /dev/fuse here: load the kernel's fuse module");
    return false;
}

/* Resolved path of a directory where nothing is mounted yet. */
static bool
check_mountpoint(const char *mountpoint, char **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = NULL;
    struct varve_mounted mounted;
    if (!fs_resolve(mountpoint, &path, err))
        return varve_error_wrap(err, "mount point");
    if (!fs_mounted_at(path, &mounted, err))
        return false;
    if (mounted.mounted) {
        (void)varve_error_set(err, VARVE_ERROR_BUSY, 0,
                              "mount point '%s' is in use: %s of '%s' is mounted there", path,
                              mounted.type, mounted.source);
        if (mounted.ours)
            (void)varve_error_hint(err, "varve umount '%s'", path);
        return false;
    }
    struct stat attr;
    if (stat(path, &attr) != 0)
        return varve_error_system(err, errno, "mount point '%s'", path);
    if (!S_ISDIR(attr.st_mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "mount point '%s' is no directory",
                               path);
    *ret = VARVE_TAKE(path);
    return true;
}

/* Words that every libfuse knows; fs_flags_finish() says the others. */
static bool
add_flags(unsigned long flags, char **all)
{
    static const struct {
        unsigned long flag;
        const char *word;
    } words[] = {{MS_RDONLY, "ro"},       {MS_NOEXEC, "noexec"},   {MS_SYNCHRONOUS, "sync"},
                 {MS_DIRSYNC, "dirsync"}, {MS_NOATIME, "noatime"}, {MS_NODIRATIME, "nodiratime"}};
    bool ok = true;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if ((flags & words[i].flag) != 0)
            ok = ok && fuse_opt_add_opt(all, words[i].word) == 0;
    }
    /* Programs and devices of a user's archive must not have the rights of others; libfuse begins
     * with nosuid and nodev. */
    if (geteuid() == 0 && (flags & MS_NOSUID) == 0)
        ok = ok && fuse_opt_add_opt(all, "suid") == 0;
    if (geteuid() == 0 && (flags & MS_NODEV) == 0)
        ok = ok && fuse_opt_add_opt(all, "dev") == 0;
    return ok;
}

static bool
add_uring(struct varve_mount *mount, char **all)
{
    char option[64];
    if (!fs_uring_wanted(mount))
        return true;
    (void)snprintf(option, sizeof option, "io_uring,io_uring_q_depth=%u", mount->uring_depth);
    return fuse_opt_add_opt(all, option) == 0;
}

static bool
add_options(struct varve_mount *mount, const struct varve_mount_options *options,
            struct fuse_args *args)
{
    VARVE_CLEANUP_FREE char *source = NULL;
    VARVE_CLEANUP_FREE char *all = NULL;
    const char *prefix = options->plain_type ? VARVE_FUSE_PREFIX : "";
    if (asprintf(&source, "fsname=%s%s", prefix, options->source) < 0)
        return false;
    /* Root mounts for everybody, as with any other filesystem; the modes say who may do what. */
    bool allow_other = options->allow_other || geteuid() == 0;
    return fuse_opt_add_opt(&all, "default_permissions") == 0 &&
           fuse_opt_add_opt_escaped(&all, source) == 0 &&
           (options->plain_type || fuse_opt_add_opt(&all, "subtype=varve") == 0) &&
           (!allow_other || fuse_opt_add_opt(&all, "allow_other") == 0) &&
           add_flags(options->flags, &all) && add_uring(mount, &all) &&
           fuse_opt_add_arg(args, "varve") == 0 && fuse_opt_add_arg(args, "-o") == 0 &&
           fuse_opt_add_arg(args, all) == 0;
}

static bool
new_session(struct varve_mount *mount, const struct varve_mount_options *options,
            struct varve_error *err)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    if (add_options(mount, options, &args))
        mount->session = fuse_session_new(&args, &fs_ops, sizeof fs_ops, mount);
    fuse_opt_free_args(&args);
    return mount->session != NULL || fail_with_last_words(err, mount->mountpoint);
}

/* Waits until serving has ended (true) or a stop is wanted. */
static bool
wait_for_end(struct varve_mount *mount)
{
    VARVE_LOCKED(&mount->lock);
    while (!mount->served && !mount->stop_wanted)
        (void)pthread_cond_wait(&mount->stop_event, &mount->lock);
    return mount->served;
}

static bool
wait_grace(struct varve_mount *mount)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until); /* cannot fail for this clock */
    until.tv_sec += STOP_GRACE_S;
    VARVE_LOCKED(&mount->lock);
    int sys = 0;
    while (!mount->served && sys == 0)
        sys = pthread_cond_timedwait(&mount->stop_event, &mount->lock, &until);
    return mount->served;
}

/* Programs still have files open: from now on they get ENOTCONN. */
static void
cut_connection(const struct varve_mount *mount)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/sys/fs/fuse/connections/%u/abort", mount->device_minor);
    VARVE_CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "1", 1) != 1)
        varve_log(VARVE_LOG_WARNING, "%s: %s; waiting for the last file to be closed", path,
                  strerror(errno));
}

/* The stop of a mount whose workers sleep in the kernel: they wake when the mount goes. It needs a
 * thread of its own, since unmounting flushes mapped pages through those very workers. */
static void *
stop_thread(void *context)
{
    struct varve_mount *mount = context;
    if (wait_for_end(mount))
        return NULL;
    fs_waits_refuse(mount);
    struct varve_error err = {0};
    if (geteuid() == 0)
        (void)umount2(mount->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW); /* gone already: fine */
    else if (!varve_unmount(mount->mountpoint, 0, &err))
        varve_log(VARVE_LOG_INFO, "stop: %s", err.text);
    if (!wait_grace(mount))
        cut_connection(mount);
    return NULL;
}

static bool
start_threads(struct varve_mount *mount, struct varve_error *err)
{
    if (!fs_waits_start(mount, err) || !fs_uring_start(mount, err) ||
        !fs_notify_start(mount, err) || !fs_watch_start(mount, err))
        return false;
    int sys = pthread_create(&mount->stopper, NULL, stop_thread, mount);
    if (sys != 0)
        return varve_error_system(err, sys, "start a thread");
    mount->has_stopper = true;
    return true;
}

bool
varve_mount_new(struct varve_vfs *vfs, const struct varve_mount_options *options,
                struct varve_mount **ret, struct varve_error *err)
{
    VARVE_CLEANUP(varve_mount_free) struct varve_mount *mount = calloc(1, sizeof *mount);
    if (mount == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "mount");
    mount->vfs = vfs;
    mount->watch_quit = -1;
    mount->features.no_passthrough = options->no_passthrough;
    mount->features.no_uring = options->no_uring;
    mount->features.no_acls = options->no_acls;
    mount->features.privileged = geteuid() == 0;
    mount->threads_max = options->threads_max == 0 ? THREADS_DEFAULT : options->threads_max;
    (void)pthread_mutex_init(&mount->lock, NULL); /* default attributes: cannot fail on Linux */
    (void)pthread_cond_init(&mount->wait_event, NULL);
    (void)pthread_cond_init(&mount->waits_none, NULL);
    (void)pthread_cond_init(&mount->note_event, NULL);
    (void)pthread_cond_init(&mount->stop_event, NULL);
    (void)pthread_cond_init(&mount->work_event, NULL);
    (void)pthread_cond_init(&mount->look_event, NULL);
    fuse_set_log_func(hear_libfuse);
    struct varve_mounted mounted;
    if (!check_mountpoint(options->mountpoint, &mount->mountpoint, err) ||
        !new_session(mount, options, err))
        return false;
    if (fuse_session_mount(mount->session, mount->mountpoint) != 0)
        return fail_with_last_words(err, mount->mountpoint);
    if (!fs_flags_finish(mount->mountpoint, options->flags, err) ||
        !fs_mounted_at(mount->mountpoint, &mounted, err))
        return varve_error_wrap(err, "mount at '%s'", mount->mountpoint);
    mount->device_minor = mounted.device_minor;
    if (!start_threads(mount, err))
        return varve_error_wrap(err, "mount at '%s'", mount->mountpoint);
    *ret = VARVE_TAKE(mount);
    return true;
}

static void
tell_served(struct varve_mount *mount)
{
    VARVE_LOCKED(&mount->lock);
    mount->served = true;
    (void)pthread_cond_broadcast(&mount->stop_event);
}

bool
varve_mount_serve(struct varve_mount *mount, struct varve_error *err)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    if (config == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "serve '%s'", mount->mountpoint);
    fuse_loop_cfg_set_max_threads(config, mount->threads_max);
    int result = fuse_session_loop_mt(mount->session, config);
    fuse_loop_cfg_destroy(config);
    tell_served(mount);
    fs_waits_finish(mount);
    fs_uring_finish(mount);
    fs_work_finish(mount);
    if (result < 0)
        return varve_error_system(err, -result, "serve '%s'", mount->mountpoint);
    return true;
}

static void
passthrough_why_not(const struct varve_mount *mount, char *ret, size_t size)
{
    const struct fs_features *features = &mount->features;
    int sys = atomic_load(&mount->pass_refusal);
    ret[0] = '\0';
    if (features->no_passthrough)
        (void)snprintf(ret, size, "switched off by -o nopassthrough");
    else if (!features->killpriv)
        (void)snprintf(ret, size,
                       "libfuse %s or the kernel is too old (3.18 and Linux 6.9 are not)",
                       fuse_pkgversion());
    else if (!features->kernel_passes)
        (void)snprintf(ret, size, "the kernel has none (Linux 6.9 and newer may)");
    else if (sys == EPERM || !features->privileged)
        (void)snprintf(ret, size, "the daemon is not privileged (CAP_SYS_ADMIN)");
    else if (!varve_vfs_passes(mount->vfs))
        (void)snprintf(
            ret, size,
            "no tier is on a filesystem for it: leases, O_DIRECT, not on another one%s%s",
            sys == 0 ? "" : ": ", sys == 0 ? "" : strerror(sys));
}

void
varve_mount_features(const struct varve_mount *mount, struct varve_mount_features *ret)
{
    *ret = (struct varve_mount_features){.kill_priv = mount->features.killpriv,
                                         .readdirplus = mount->features.readdirplus};
    passthrough_why_not(mount, ret->passthrough_why, sizeof ret->passthrough_why);
    fs_uring_why_not(mount, ret->io_uring_why, sizeof ret->io_uring_why);
    ret->passthrough = ret->passthrough_why[0] == '\0';
    ret->io_uring = ret->io_uring_why[0] == '\0';
}

void
varve_mount_stop(struct varve_mount *mount)
{
    VARVE_LOCKED(&mount->lock);
    mount->stop_wanted = true;
    (void)pthread_cond_broadcast(&mount->stop_event);
}

void
varve_mount_free(struct varve_mount *mount)
{
    if (mount == NULL)
        return;
    tell_served(mount);
    if (mount->has_stopper)
        (void)pthread_join(mount->stopper, NULL); /* ours and joinable */
    fs_waits_finish(mount);
    fs_watch_finish(mount);
    fs_uring_finish(mount);
    fs_work_finish(mount);
    if (mount->session != NULL)
        fuse_session_unmount(mount->session);
    fs_notify_finish(mount);
    fs_close_handles(mount);
    if (mount->session != NULL)
        fuse_session_destroy(mount->session);
    (void)pthread_cond_destroy(&mount->look_event);
    (void)pthread_cond_destroy(&mount->work_event);
    (void)pthread_cond_destroy(&mount->stop_event);
    (void)pthread_cond_destroy(&mount->note_event);
    (void)pthread_cond_destroy(&mount->waits_none);
    (void)pthread_cond_destroy(&mount->wait_event);
    (void)pthread_mutex_destroy(&mount->lock);
    free(mount->notes);
    free(mount->mountpoint);
    free(mount);
}
