/* SPDX-License-Identifier: Apache-2.0 */
/* A thousand reads that wait for a disc leave the mount free for others, end right when the content
 * comes, with EINTR when a signal comes, and never keep the mount from stopping.
 *
 * The real fs/ over a vfs made for this test: one file, "slow", whose bytes are there when the test
 * says so, and one, "fast", whose bytes always are. TAP; 77 where nothing can be mounted. */
#include "fs-wait-vfs.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "tap.h"

#define READERS 1000

static char mountpoint[64];

static unsigned
awaits_now(void)
{
    VARVE_LOCKED(&vfs.lock);
    return vfs.await_count;
}

static unsigned
cancelled_now(void)
{
    VARVE_LOCKED(&vfs.lock);
    return vfs.cancelled;
}

/* Waits up to 20 s until `count` awaits have been asked for. */
static bool
until_awaits(unsigned count)
{
    for (int i = 0; i < 2000 && awaits_now() < count; i++)
        sleep_ms(10);
    return awaits_now() == count;
}

static void
reset(void)
{
    VARVE_LOCKED(&vfs.lock);
    vfs.await_count = vfs.cancelled = 0;
    vfs.resident = false;
}

struct reader {
    pthread_t thread;
    ssize_t got;
    int sys;
    bool right;
};

static int
open_file(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", mountpoint, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void *
read_slow(void *context)
{
    struct reader *reader = context;
    VARVE_CLEANUP_FD int fd = open_file("slow");
    char bytes[4096] = {0};
    reader->got = pread(fd, bytes, sizeof bytes, 4096);
    reader->sys = errno;
    char want[4096];
    memset(want, 'B', sizeof want);
    reader->right = reader->got == 4096 && memcmp(bytes, want, sizeof bytes) == 0;
    return NULL;
}

static bool
start_readers(struct reader *readers, unsigned count)
{
    pthread_attr_t small;
    (void)pthread_attr_init(&small);
    (void)pthread_attr_setstacksize(&small, 65536);
    bool ok = true;
    for (unsigned i = 0; i < count; i++)
        ok = pthread_create(&readers[i].thread, &small, read_slow, &readers[i]) == 0 && ok;
    (void)pthread_attr_destroy(&small);
    return ok;
}

static void
join_readers(struct reader *readers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(readers[i].thread, NULL);
}

static void
ignore_signal(int number)
{
    (void)number;
}

static bool
fast_is_free(void)
{
    VARVE_CLEANUP_FD int fd = open_file("fast");
    char bytes[FILE_BYTES];
    return fd >= 0 && pread(fd, bytes, sizeof bytes, 0) == FILE_BYTES && bytes[0] == 'A';
}

static void
test_many_wait(struct reader *readers)
{
    reset();
    expect(start_readers(readers, READERS) && until_awaits(READERS), "%d reads wait", READERS);
    expect(fast_is_free(), "another file is read meanwhile");
    finish_recall(true, NULL);
    join_readers(readers, READERS);
    unsigned right = 0;
    for (unsigned i = 0; i < READERS; i++)
        right += readers[i].right;
    expect(right == READERS, "%u of %d reads got the right bytes", right, READERS);
}

static void
test_interrupt(struct reader *readers)
{
    reset();
    expect(start_readers(readers, 2) && until_awaits(2), "2 reads wait");
    (void)pthread_kill(readers[0].thread, SIGUSR1);
    join_readers(readers, 1);
    expect(readers[0].got == -1 && readers[0].sys == EINTR, "a signal ends one with EINTR: %s",
           strerror(readers[0].sys));
    expect(cancelled_now() == 1, "and its await was cancelled");
    finish_recall(true, NULL);
    join_readers(readers + 1, 1);
    expect(readers[1].right, "the other one gets its bytes");
}

static void *
finish_now(void *context)
{
    finish_recall(true, NULL);
    return context;
}

/* Signals and content come at the same time: every read ends one way or the other. */
static void
test_race(struct reader *readers)
{
    unsigned ended = 0, by_content = 0;
    for (unsigned round = 0; round < 20; round++) {
        reset();
        if (!start_readers(readers, 50) || !until_awaits(50))
            break;
        pthread_t finisher;
        (void)pthread_create(&finisher, NULL, finish_now, NULL);
        for (unsigned i = 0; i < 50; i++)
            (void)pthread_kill(readers[i].thread, SIGUSR1);
        (void)pthread_join(finisher, NULL);
        join_readers(readers, 50);
        for (unsigned i = 0; i < 50; i++) {
            by_content += readers[i].right;
            ended += readers[i].right || (readers[i].got == -1 && readers[i].sys == EINTR);
        }
    }
    expect(ended == 1000, "%u of 1000 reads ended by content (%u) or by signal", ended, by_content);
}

static void
test_failure(struct reader *readers)
{
    reset();
    expect(start_readers(readers, 1) && until_awaits(1), "a read waits");
    struct varve_error failure = {0};
    (void)varve_error_set(&failure, VARVE_ERROR_OFFLINE, 0, "disc 'A1' is on the shelf");
    finish_recall(false, &failure);
    join_readers(readers, 1);
    expect(readers[0].got == -1 && readers[0].sys == EHOSTUNREACH, "a failed recall says why: %s",
           strerror(readers[0].sys));
}

static void
test_write_waits(void)
{
    reset();
    char path[128];
    (void)snprintf(path, sizeof path, "%s/slow", mountpoint);
    VARVE_CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    pid_t child = fork();
    if (child == 0)
        _exit(pwrite(fd, "CCCC", 4, 100) == 4 ? 0 : 1);
    expect(until_awaits(1), "a write waits");
    finish_recall(true, NULL);
    int status = -1;
    (void)waitpid(child, &status, 0);
    char bytes[4] = "";
    expect(status == 0 && pread(vfs.fd, bytes, 4, 100) == 4 && memcmp(bytes, "CCCC", 4) == 0,
           "and is done when the content came");
}

static void *
serve(void *context)
{
    struct varve_error err = {0};
    bool ok = varve_mount_serve(context, &err);
    if (!ok)
        printf("# serve: %s\n", err.text);
    return ok ? context : NULL;
}

static void
test_stop(struct varve_mount *mount, pthread_t server, struct reader *readers)
{
    reset();
    expect(start_readers(readers, 100) && until_awaits(100), "100 reads wait");
    varve_mount_stop(mount);
    void *served = NULL;
    (void)pthread_join(server, &served);
    expect(served != NULL, "stop ends serving while they wait");
    join_readers(readers, 100);
    unsigned failed = 0;
    for (unsigned i = 0; i < 100; i++)
        failed += readers[i].got == -1;
    expect(failed == 100 && cancelled_now() == 100, "all of them failed, none hangs");
}

static bool
set_up(struct varve_mount **ret)
{
    (void)strcpy(mountpoint, "/tmp/varve-fs-wait-XXXXXX");
    vfs.fd = memfd_create("varve-fs-wait", MFD_CLOEXEC);
    char half[4096];
    memset(half, 'A', sizeof half);
    bool ok = mkdtemp(mountpoint) != NULL && pwrite(vfs.fd, half, sizeof half, 0) == 4096;
    memset(half, 'B', sizeof half);
    ok = ok && pwrite(vfs.fd, half, sizeof half, 4096) == 4096;
    struct varve_error err = {0};
    struct varve_mount_options options = {.mountpoint = mountpoint, .source = "/a, b\\c"};
    ok = ok && varve_mount_new(&vfs, &options, ret, &err);
    if (!ok)
        printf("# %s\n", err.text);
    return ok;
}

/* What a wrong mount point is told. */
static void
test_mountpoints(void)
{
    static const struct {
        const char *path; /* NULL: where we are mounted */
        enum varve_error_kind kind;
        const char *text;
    } cases[] = {
        {"/nowhere/at/all", VARVE_ERROR_NOT_FOUND,
         "mount point: '/nowhere/at/all': No such file or directory"},
        {"/dev/null", VARVE_ERROR_INVALID, "mount point '/dev/null' is no directory"},
        {NULL, VARVE_ERROR_BUSY, "is in use: fuse.varve of '/a, b\\c' is mounted there"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_mount *other = NULL;
        struct varve_error err = {0};
        struct varve_mount_options options = {
            .mountpoint = cases[i].path == NULL ? mountpoint : cases[i].path, .source = "x"};
        bool ok = varve_mount_new(&vfs, &options, &other, &err);
        expect(!ok && err.kind == cases[i].kind && strstr(err.text, cases[i].text) != NULL,
               "mounting at '%s' fails: %.*s", options.mountpoint, (int)strcspn(err.text, "\n"),
               err.text);
    }
    struct varve_error err = {0};
    expect(!varve_unmount("/", 0, &err) && err.kind == VARVE_ERROR_INVALID,
           "unmounting '/' is refused: %s", err.text);
}

int
main(void)
{
    if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0) {
        printf("1..0 # SKIP needs root and /dev/fuse\n");
        return 0;
    }
    struct sigaction action = {.sa_handler = ignore_signal}; /* no SA_RESTART: EINTR is seen */
    (void)sigaction(SIGUSR1, &action, NULL);
    VARVE_CLEANUP(varve_mount_free) struct varve_mount *mount = NULL;
    struct reader *readers = calloc(READERS, sizeof *readers);
    pthread_t server;
    if (!expect(readers != NULL && set_up(&mount), "mounted") ||
        pthread_create(&server, NULL, serve, mount) != 0)
        return 1;
    test_mountpoints();
    test_many_wait(readers);
    test_interrupt(readers);
    test_race(readers);
    test_failure(readers);
    test_write_waits();
    notify_port.inode_changed(notify_port.context, FAST);
    expect(fast_is_free(), "after a notification files are read as before");
    test_stop(mount, server, readers);
    varve_mount_free(VARVE_TAKE(mount));
    expect(vfs.opens == 0, "no file is left open");
    expect(rmdir(mountpoint) == 0, "and nothing is left mounted");
    free(readers);
    return tap_end();
}
