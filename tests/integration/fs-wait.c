/* SPDX-License-Identifier: Apache-2.0 */
/* A thousand reads that wait for a disc leave the mount free for others, end right when the content
 * comes, with EINTR when a signal comes, and never keep the mount from stopping.
 *
 * The real fs/ over a vfs made for this test: one file, "slow", whose bytes are there when the test
 * says so, and one, "fast", whose bytes always are. TAP; 77 where nothing can be mounted. */
#include <varve/fuse.h>

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define SLOW 2
#define FAST 3
#define FILE_BYTES 8192
#define READERS 1000
#define AWAITS_MAX 4096

/* --- the vfs --- */
struct await {
    varve_ready_fn *ready;
    void *context;
};
struct varve_vfs {
    pthread_mutex_t lock;
    bool resident;
    struct await awaits[AWAITS_MAX]; /* ticket = index + 1; ready NULL: over */
    unsigned await_count, cancelled;
    int fd;
    unsigned opens;
};
struct varve_open {
    struct varve_vfs *vfs;
    uint64_t ino;
};
static struct varve_vfs vfs = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static bool
unsupported(struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_SYSTEM, EOPNOTSUPP, "not in this test");
}

bool
varve_vfs_getattr(struct varve_vfs *v, uint64_t ino, struct varve_inode *ret,
                  struct varve_error *err)
{
    (void)v;
    (void)err;
    *ret = (struct varve_inode){.ino = ino, .nlink = 1, .mode = S_IFREG | 0644};
    if (ino == VARVE_ROOT_INO)
        ret->mode = S_IFDIR | 0755;
    else
        ret->size = FILE_BYTES;
    return true;
}

bool
varve_vfs_lookup(struct varve_vfs *v, uint64_t parent, const char *name, struct varve_inode *ret,
                 struct varve_error *err)
{
    (void)parent;
    if (strcmp(name, "slow") == 0)
        return varve_vfs_getattr(v, SLOW, ret, err);
    if (strcmp(name, "fast") == 0)
        return varve_vfs_getattr(v, FAST, ret, err);
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "'%s'", name);
}

bool
varve_vfs_open(struct varve_vfs *v, uint64_t ino, int flags, struct varve_open **ret,
               struct varve_error *err)
{
    (void)flags;
    struct varve_open *open_file = calloc(1, sizeof *open_file);
    if (open_file == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open");
    *open_file = (struct varve_open){v, ino};
    VARVE_LOCKED(&v->lock);
    v->opens++;
    *ret = open_file;
    return true;
}

void
varve_open_close(struct varve_open *open_file)
{
    {
        VARVE_LOCKED(&open_file->vfs->lock);
        open_file->vfs->opens--;
    }
    free(open_file);
}

bool
varve_open_read(struct varve_open *open_file, uint64_t offset, uint64_t *size, int *ret_fd,
                struct varve_error *err)
{
    VARVE_LOCKED(&open_file->vfs->lock);
    if (open_file->ino == SLOW && !open_file->vfs->resident)
        return varve_error_set(err, VARVE_ERROR_WAIT, 0, "on disc");
    uint64_t left = offset < FILE_BYTES ? FILE_BYTES - offset : 0;
    *size = *size < left ? *size : left;
    *ret_fd = *size == 0 ? -1 : open_file->vfs->fd;
    return true;
}

bool
varve_open_write(struct varve_open *open_file, int *ret_fd, struct varve_error *err)
{
    uint64_t size = 1;
    return varve_open_read(open_file, 0, &size, ret_fd, err);
}

void
varve_open_done(struct varve_open *open_file)
{
    (void)open_file;
}

bool
varve_vfs_await(struct varve_vfs *v, uint64_t ino, uint64_t offset, uint64_t size,
                varve_ready_fn *ready, void *context, uint64_t *ret_ticket, struct varve_error *err)
{
    (void)ino;
    (void)offset;
    (void)size;
    bool now = false;
    {
        VARVE_LOCKED(&v->lock);
        if (v->await_count == AWAITS_MAX)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "awaits");
        now = v->resident;
        if (!now)
            v->awaits[v->await_count] = (struct await){ready, context};
        v->await_count++;
        *ret_ticket = v->await_count;
    }
    if (now)
        ready(context, NULL); /* from this thread, before the return: allowed */
    return true;
}

bool
varve_vfs_await_cancel(struct varve_vfs *v, uint64_t ticket)
{
    VARVE_LOCKED(&v->lock);
    if (v->awaits[ticket - 1].ready == NULL)
        return false;
    v->awaits[ticket - 1].ready = NULL;
    v->cancelled++;
    return true;
}

/* Ends all awaits, as a recall that is done (failure NULL) or failed. */
static void
finish_recall(bool resident, const struct varve_error *failure)
{
    for (unsigned i = 0;; i++) {
        struct await await = {0};
        {
            VARVE_LOCKED(&vfs.lock);
            vfs.resident = resident;
            if (i >= vfs.await_count)
                break;
            await = vfs.awaits[i];
            vfs.awaits[i].ready = NULL;
        }
        if (await.ready != NULL)
            await.ready(await.context, failure);
    }
}

bool
varve_open_on_discs(struct varve_open *open_file)
{
    VARVE_LOCKED(&open_file->vfs->lock);
    return open_file->ino == SLOW && !open_file->vfs->resident;
}

bool
varve_open_try_close(struct varve_open *open_file)
{
    varve_open_close(open_file);
    return true;
}

bool
varve_open_pass(struct varve_open *open_file, bool forced, struct varve_pass *ret,
                struct varve_error *err)
{
    (void)open_file;
    (void)err;
    *ret = (struct varve_pass){.how = VARVE_PASS_NO};
    return !forced;
}

void
varve_open_pass_refused(struct varve_open *open_file, bool for_good)
{
    (void)open_file;
    (void)for_good;
}

bool
varve_vfs_passes(const struct varve_vfs *v)
{
    (void)v;
    return false;
}

void
varve_vfs_be_quick(bool yes)
{
    (void)yes;
}

bool
varve_vfs_takes_long(const struct varve_error *err)
{
    return err->kind == VARVE_ERROR_WAIT && varve_error_errno(err) == EINPROGRESS;
}

/* What the mount can ask for and this test does not. */
#define UNSUPPORTED(name, ...)                                                                     \
    bool name(__VA_ARGS__, struct varve_error *err)                                                \
    {                                                                                              \
        return unsupported(err);                                                                   \
    }
#pragma GCC diagnostic ignored "-Wunused-parameter"
UNSUPPORTED(varve_vfs_setattr, struct varve_vfs *v, uint64_t ino, const struct varve_setattr *c,
            struct varve_inode *ret)
UNSUPPORTED(varve_vfs_make, struct varve_vfs *v, const struct varve_caller *c, uint64_t parent,
            const char *name, uint32_t mode, uint64_t rdev, struct varve_inode *ret)
UNSUPPORTED(varve_vfs_symlink, struct varve_vfs *v, const struct varve_caller *c, uint64_t parent,
            const char *name, const char *target, struct varve_inode *ret)
bool
varve_vfs_getattr_gone(struct varve_vfs *v, uint64_t ino, struct varve_inode *ret)
{
    return false;
}
bool
varve_vfs_setattr_gone(struct varve_vfs *v, uint64_t ino, const struct varve_setattr *change,
                       struct varve_inode *ret)
{
    return false;
}
UNSUPPORTED(varve_vfs_tmpfile, struct varve_vfs *v, const struct varve_caller *c, uint64_t parent,
            uint32_t mode, int flags, struct varve_open **ret, struct varve_inode *ret_inode)
UNSUPPORTED(varve_vfs_readlink, struct varve_vfs *v, uint64_t ino, struct varve_buffer *ret)
UNSUPPORTED(varve_vfs_link, struct varve_vfs *v, uint64_t ino, uint64_t parent, const char *name,
            struct varve_inode *ret)
UNSUPPORTED(varve_vfs_unlink, struct varve_vfs *v, uint64_t parent, const char *name)
UNSUPPORTED(varve_vfs_rmdir, struct varve_vfs *v, uint64_t parent, const char *name)
UNSUPPORTED(varve_vfs_rename, struct varve_vfs *v, uint64_t parent, const char *name,
            uint64_t new_parent, const char *new_name, unsigned flags)
UNSUPPORTED(varve_vfs_readdir, struct varve_vfs *v, uint64_t ino, uint64_t after,
            struct varve_dentry *ret, size_t max, size_t *ret_count)
UNSUPPORTED(varve_vfs_parent, struct varve_vfs *v, uint64_t ino, uint64_t *ret)
UNSUPPORTED(varve_vfs_statfs, struct varve_vfs *v, struct statvfs *ret)
UNSUPPORTED(varve_vfs_fsync, struct varve_vfs *v, uint64_t ino)
UNSUPPORTED(varve_open_strip, struct varve_open *o, bool *ret_stripped)
UNSUPPORTED(varve_vfs_xattr_get, struct varve_vfs *v, uint64_t ino, const char *name,
            struct varve_buffer *ret)
UNSUPPORTED(varve_vfs_xattr_set, struct varve_vfs *v, uint64_t ino, const char *name,
            const void *value, size_t size, int flags)
UNSUPPORTED(varve_vfs_xattr_remove, struct varve_vfs *v, uint64_t ino, const char *name)
UNSUPPORTED(varve_vfs_xattr_list, struct varve_vfs *v, uint64_t ino, struct varve_buffer *ret)

static struct varve_notify_port notify_port;
void
varve_vfs_set_notify_port(struct varve_vfs *v, const struct varve_notify_port *port)
{
    notify_port = port == NULL ? (struct varve_notify_port){0} : *port;
}

/* --- the test --- */
static unsigned tests, failures;
static char mountpoint[64];

__attribute__((format(printf, 2, 3))) static bool
expect(bool ok, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%s %u - ", ok ? "ok" : "not ok", ++tests);
    (void)vprintf(format, args);
    printf("\n");
    va_end(args);
    (void)fflush(stdout);
    failures += !ok;
    return ok;
}

static void
sleep_ms(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

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
    expect(!varve_unmount("/", &err) && err.kind == VARVE_ERROR_INVALID,
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
    printf("1..%u\n", tests);
    return failures == 0 ? 0 : 1;
}
