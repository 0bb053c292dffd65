/* SPDX-License-Identifier: Apache-2.0 */
/* mount and umount: the beginning and the end of a daemon. */
#include "verb.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <varve/config.h>
#include <varve/fuse.h>
#include <varve/log.h>

#include "client.h"
#include "daemon.h"

/* A daemon ends its current write to a disc before it goes: minutes, not more. */
enum { END_SECONDS_MAX = 600, END_SECONDS_QUIET = 5 };

/* From the daemon to its parent, once: "ready", or why not. */
struct report {
    bool ready;
    struct varve_error err;
};

static bool
parse_mount_options(struct cli *cli, const char *text, struct daemon_options *ret,
                    struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *copy = strdup(text);
    if (copy == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read the options");
    char *rest = copy;
    for (char *word = strsep(&rest, ","); word != NULL; word = strsep(&rest, ",")) {
        if (strcmp(word, "ro") == 0) {
            ret->read_only = true;
        } else if (strcmp(word, "allow_other") == 0) {
            ret->allow_other = true;
        } else if (strcmp(word, "nopassthrough") == 0) {
            ret->no_passthrough = true;
        } else if (strcmp(word, "nouring") == 0) {
            ret->no_uring = true;
        } else if (strcmp(word, "noacl") == 0) {
            ret->no_acls = true;
        } else if (strcmp(word, "rw") != 0 && word[0] != 0) {
            cli_usage(cli, err, "mount: unknown option '-o %s'", word);
            return varve_error_hint(
                err, "there are ro, rw, allow_other, noacl, nopassthrough and nouring");
        }
    }
    return true;
}

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

static bool
tell_foreground(void *context, struct varve_error *err)
{
    (void)err;
    const struct daemon_options *options = context;
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
find_places(struct cli *cli, const struct args *args, char **ret_dir, char **ret_mountpoint,
            struct varve_error *err)
{
    const char *dir = args->words[0], *mountpoint = args->words[1];
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

bool
verb_mount(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *dir = NULL;
    VARVE_CLEANUP_FREE char *mountpoint = NULL;
    struct daemon_options options = {.background = !args_flag(args, "foreground")};
    const char *text = args_value(args, "option");
    if (text != NULL && !parse_mount_options(cli, text, &options, err))
        return false;
    if (!find_places(cli, args, &dir, &mountpoint, err))
        return false;
    options.dir = dir;
    options.mountpoint = mountpoint;
    if (!options.background) {
        options.ready = tell_foreground;
        options.context = &options;
        if (!daemon_run(&options, err))
            return false;
    } else if (!mount_background(&options, err)) {
        return varve_error_wrap(err, "mount '%s'", args->words[0]);
    }
    if (!cli->json)
        return true;
    return cli_print_json(json_pack("{s:s, s:s}", "archive", dir, "mountpoint", mountpoint), err);
}

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

bool
verb_umount(struct cli *cli, const struct args *args, struct varve_error *err)
{
    const char *mountpoint = args->words[0];
    char archive[4097] = "";
    ssize_t size = getxattr(mountpoint, "user.varve.archive", archive, sizeof archive - 1);
    pid_t pid = 0;
    if (size < 0 && errno == ENOENT)
        return varve_error_system(err, ENOENT, "mount point '%s'", mountpoint);
    if (size < 0 && errno != ENOTCONN) {
        cli->exit_code = EXIT_CODE_NO_DAEMON;
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is no mount of varve",
                               mountpoint);
    }
    bool serving = size > 0 && client_daemon_pid(archive, &pid);
    char where[65] = "";
    if (size > 0) {
        ssize_t inside = getxattr(mountpoint, "user.varve.path", where, sizeof where - 1);
        if (inside != 1 || where[0] != '/')
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "'%s' is inside a mount, not its mount point", mountpoint);
    }
    if (!varve_unmount(mountpoint, err))
        return false;
    if (serving)
        tell_stop(cli, archive);
    if (serving && !wait_for_end(cli, pid, err))
        return false;
    return !cli->json || cli_print_json(json_pack("{s:s}", "unmounted", mountpoint), err);
}
