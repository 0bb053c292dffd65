/* SPDX-License-Identifier: Apache-2.0 */
/* mounting.c - the beginning of a daemon, and other options for one that serves already. */
#include "mounting.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <varve/config.h>
#include <varve/fuse.h>
#include <varve/log.h>

#include "client.h"
#include "daemon.h"

/* From the daemon to its parent, once: "ready", or why not. */
struct report {
    bool ready;
    struct varve_error err;
};

/* The daemon in the background, and the pipe to its parent. */
struct child {
    const char *dir;
    int fd;
};

/* Only now does the log begin: a start that fails changes nothing, and its errors are the parent's
 * to tell. */
static bool
tell_ready(void *context, struct varve_error *err)
{
    const struct child *child = context;
    const struct report report = {.ready = true};
    if (!logfile_open(child->dir, err))
        return false;
    (void)!write(child->fd, &report, sizeof report); /* a parent that is gone needs no answer */
    return true;
}

/* True if the line is there: lines stay behind when umount(8) is not the one that unmounts. */
static bool
has_line(const char *target)
{
    VARVE_CLEANUP_STREAM FILE *table = fopen("/run/mount/utab", "re");
    VARVE_CLEANUP_FREE char *line = NULL;
    VARVE_CLEANUP_FREE char *wanted = NULL;
    size_t capacity = 0;
    if (asprintf(&wanted, " TARGET=%s ", target) < 0)
        return true;
    while (table != NULL && getline(&line, &capacity, table) > 0) {
        if (strstr(line, wanted) != NULL && strstr(line, "uhelper=varve") != NULL)
            return true;
    }
    return false;
}

/* umount(8) looks for the helper of a filesystem only if its own table has a line about the mount;
 * else it calls umount(2) and returns before the daemon is gone. A mount that is not one, as
 * libfuse makes it for the same table, writes the line. */
static void
note_unmount_helper(const struct daemon_options *options)
{
    char program[] = "mount", flags[] = "-fi", whole[] = "--no-canonicalize", t[] = "-t",
         type[] = "fuse.varve", o[] = "-o", helper[] = "uhelper=varve", end[] = "--";
    VARVE_CLEANUP_FREE char *source = strdup(options->dir);
    VARVE_CLEANUP_FREE char *target = strdup(options->mountpoint);
    char *const arguments[] = {program, flags, whole,  t,      type, o,
                               helper,  end,   source, target, NULL};
    pid_t child = 0;
    if (geteuid() != 0 || source == NULL || target == NULL || has_line(target) ||
        posix_spawnp(&child, program, NULL, NULL, arguments, environ) != 0)
        return; /* umount(8) works without, but does not wait */
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* systemd waits for this word of a service of Type=notify: sd_notify(3). Nobody else asks. */
static void
tell_manager(void)
{
    static const char ready[] = "READY=1";
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (name == NULL || (name[0] != '/' && name[0] != '@') ||
        strlen(name) >= sizeof address.sun_path)
        return;
    size_t length = strlen(name);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') /* an abstract name begins with a NUL */
        address.sun_path[0] = '\0';
    VARVE_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, ready, sizeof ready - 1, 0, (const struct sockaddr *)&address,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
        varve_log(VARVE_LOG_WARNING, "tell the service manager: %s", strerror(errno));
}

static bool
tell_foreground(void *context, struct varve_error *err)
{
    (void)err;
    const struct daemon_options *options = context;
    tell_manager();
    varve_log(VARVE_LOG_NOTICE, "serving '%s' at '%s'", options->dir, options->mountpoint);
    return true;
}

static int
run_child(struct daemon_options *options, int fd)
{
    (void)setsid();
    (void)!chdir("/");
    struct child child = {.dir = options->dir, .fd = fd};
    options->ready = tell_ready;
    options->context = &child;
    struct report report = {0};
    VARVE_CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        varve_error_system(&report.err, errno, "open '/dev/null'");
    else if (daemon_run(options, &report.err))
        return EXIT_CODE_DONE;
    /* After "ready" the parent is gone and this is for the log. */
    if (write(fd, &report, sizeof report) != sizeof report)
        varve_log(VARVE_LOG_ERROR, "%s", report.err.text);
    return EXIT_CODE_FAILED;
}

static bool
read_report(int fd, struct report *ret)
{
    size_t used = 0;
    while (used < sizeof *ret) {
        ssize_t got = read(fd, (char *)ret + used, sizeof *ret - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        used += (size_t)got;
    }
    return true;
}

/* Waits until the mount answers, not only until it is there. */
static bool
wait_for_mount(const struct daemon_options *options, int fd, pid_t child, struct varve_error *err)
{
    struct report report = {0};
    if (!read_report(fd, &report)) {
        int status = 0;
        (void)waitpid(child, &status, 0);
        return varve_error_set(err, VARVE_ERROR_SYSTEM, 0,
                               "the daemon ended before it was ready (%s %d)",
                               WIFSIGNALED(status) ? "signal" : "status",
                               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    if (!report.ready) {
        *err = report.err;
        (void)waitpid(child, NULL, 0);
        return false;
    }
    struct stat st;
    if (stat(options->mountpoint, &st) != 0) {
        varve_error_system(err, errno, "the mount at '%s' does not answer", options->mountpoint);
        return varve_error_hint(err, "the log is %s/%s", options->dir, LOG_FILE);
    }
    return true;
}

static bool
mount_background(struct daemon_options *options, struct varve_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return varve_error_system(err, errno, "make a pipe");
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        _exit(run_child(options, ends[1]));
    }
    (void)close(ends[1]);
    VARVE_CLEANUP_FD int from_child = ends[0];
    if (child < 0)
        return varve_error_system(err, errno, "fork");
    return wait_for_mount(options, from_child, child, err);
}

/* What the daemon would refuse too, but here before there is a log file and a child. */
static bool
find_places(struct cli *cli, const struct mounting *mounting, char **ret_dir, char **ret_mountpoint,
            struct varve_error *err)
{
    const char *dir = mounting->dir, *mountpoint = mounting->mountpoint;
    *ret_dir = realpath(dir, NULL);
    if (*ret_dir == NULL)
        return varve_error_system(err, errno, "archive '%s'", dir);
    if (!is_archive(*ret_dir)) {
        cli->exit_code = EXIT_CODE_NO_DAEMON;
        varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "'%s' is no archive: it has no %s", dir,
                        VARVE_CONFIG_FILE);
        return varve_error_hint(err, "make one with: varve init %s", dir);
    }
    *ret_mountpoint = realpath(mountpoint, NULL);
    if (*ret_mountpoint == NULL && errno == ENOTCONN)
        return varve_error_set(err, VARVE_ERROR_BUSY, 0,
                               "'%s' is the mount of a daemon that is gone\nhint: varve umount %s",
                               mountpoint, mountpoint);
    struct stat st;
    if (*ret_mountpoint == NULL || stat(*ret_mountpoint, &st) != 0)
        return varve_error_system(err, errno, "mount point '%s'", mountpoint);
    if (!S_ISDIR(st.st_mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, ENOTDIR, "mount point '%s'", mountpoint);
    size_t length = strlen(*ret_dir);
    if (strncmp(*ret_mountpoint, *ret_dir, length) == 0 &&
        ((*ret_mountpoint)[length] == 0 || (*ret_mountpoint)[length] == '/'))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "the mount point '%s' is inside the archive", mountpoint);
    return true;
}

/* --- other options --- */

/* The kernel tells the daemon by a wake-up that may come a moment later; a question answered by the
 * daemon proves that it has looked. */
static void
let_daemon_look(struct cli *cli, const char *archive)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    json_t *answer = NULL;
    struct varve_error ignored = {0}; /* it looks by itself */
    if (client_open(cli, archive, &client, &ignored) &&
        client_get(client, "/v1/status", &answer, &ignored))
        json_decref(answer);
}

static bool
remount(struct cli *cli, const struct mounting *mounting, struct varve_error *err)
{
    struct varve_mounted mounted;
    if (!varve_mounted_at(mounting->mountpoint, &mounted, err))
        return false;
    const struct mount_options *options = &mounting->options;
    unsigned long kept = mounting->keep_flags ? mounted.flags & ~options->named : 0;
    if (mounting->fake)
        return true;
    if (!varve_remount(mounting->mountpoint, kept | options->flags, err))
        return false;
    let_daemon_look(cli, mounted.source);
    return true;
}

/* --- both --- */

static bool
run_daemon(struct daemon_options *options, struct varve_error *err)
{
    if (options->background)
        return mount_background(options, err);
    options->ready = tell_foreground;
    options->context = options;
    return daemon_run(options, err);
}

bool
mount_archive(struct cli *cli, const struct mounting *mounting, struct varve_error *err)
{
    if (mounting->options.remount)
        return remount(cli, mounting, err);
    VARVE_CLEANUP_FREE char *dir = NULL;
    VARVE_CLEANUP_FREE char *mountpoint = NULL;
    if (!find_places(cli, mounting, &dir, &mountpoint, err))
        return false;
    const struct mount_options *words = &mounting->options;
    if (geteuid() != 0 && (words->flags & MS_STRICTATIME) != 0)
        return varve_error_set(err, VARVE_ERROR_SYSTEM, EPERM,
                               "only root may mount with strictatime");
    if (geteuid() != 0 && (words->named & ~words->flags & (MS_NOSUID | MS_NODEV)) != 0)
        return varve_error_set(err, VARVE_ERROR_SYSTEM, EPERM,
                               "only root may mount with suid or dev");
    struct daemon_options options = {.dir = dir,
                                     .mountpoint = mountpoint,
                                     .flags = words->flags,
                                     .allow_other = words->allow_other,
                                     .plain_type = words->plain_type,
                                     .no_passthrough = words->no_passthrough,
                                     .no_uring = words->no_uring,
                                     .no_acls = words->no_acls,
                                     .threads_max = words->threads_max,
                                     .background = !mounting->foreground};
    if (mounting->fake)
        return true;
    if (!run_daemon(&options, err))
        return varve_error_wrap(err, "mount '%s'", mounting->dir);
    if (mounting->by_mount)
        note_unmount_helper(&options);
    return true;
}
