/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel does with files without the daemon stays right: mappings that outlive the close
 * keep a file from being frozen, moved and released and give it right times, setuid and
 * capabilities fall with every kind of write, and nobody waits for another's copy or sync.
 *
 * fs-pass [nopassthrough] [nouring]: a mount, and its vfs, in this process. */
#include "live_mount.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#define NOBODY 65534
#define BIG_BYTES (UINT64_C(512) << 20)

/* --- mappings --- */

/* Through the page cache of FUSE a mapping's writes reach us, and get a time, when they are written
 * out. */
static void
settle(char *map)
{
    if (!live.passing)
        need(msync(map, 4096, MS_SYNC) == 0 && msync(map + 4096, 4096, MS_SYNC) == 0, "msync");
}

static bool
is_busy(bool done, const struct varve_error *err)
{
    return !done && err->kind == VARVE_ERROR_BUSY;
}

static void
test_mapping_outlives_close(void)
{
    struct varve_content content;
    struct varve_error err = {0};
    int fd = make("mapped", 8192, O_RDWR);
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(map != MAP_FAILED, "mmap");
    memcpy(map, "one", 3);
    need(close(fd) == 0, "close");
    int64_t before = mtime_of("mapped");
    sleep_ms(30);
    memcpy(map + 4096, "two", 3); /* a page that was not written yet */
    settle(map);
    expect(mtime_of("mapped") > before, "a write through a mapping after close changes mtime");
    before = mtime_of("mapped");
    need(msync(map, 8192, MS_SYNC) == 0, "msync");
    sleep_ms(30);
    memcpy(map, "six", 3);
    settle(map);
    expect(mtime_of("mapped") > before, "... and another one again");
    expect(is_busy(freeze("mapped", &content, &err), &err), "freezing a mapped file: %s", err.text);
    expect(is_busy(move("mapped", VARVE_TIER_HDD, &err), &err), "moving it: %s", err.text);
    char bytes[8] = {0};
    fd = open(at("mapped"), O_RDWR | O_CLOEXEC);
    need(fd >= 0, "open");
    expect(pread(fd, bytes, 3, 0) == 3 && memcmp(bytes, "six", 3) == 0,
           "who opens it reads what the mapping wrote");
    expect(pwrite(fd, "ten", 3, 0) == 3 && memcmp(map, "ten", 3) == 0, "... and the other way");
    need(close(fd) == 0 && munmap(map, 8192) == 0, "munmap");
    sleep_ms(50);
    bool frozen = freeze("mapped", &content, &err);
    expect(frozen, "after munmap it can be frozen: %s", err.text);
    expect(content.mtime_ns == mtime_of("mapped"), "... with the time of the last write");
}

static void
test_release_of_mapped(void)
{
    struct varve_content content;
    struct varve_place old;
    struct varve_error err = {0};
    int fd = make("sealed", 0, O_RDWR);
    need(write(fd, "content", 7) == 7 && close(fd) == 0, "write");
    sleep_ms(30);
    need(freeze("sealed", &content, &err), err.text);
    seal(content.id);
    fd = open(at("sealed"), O_RDONLY | O_CLOEXEC);
    char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    need(map != MAP_FAILED && close(fd) == 0, "mmap");
    sleep_ms(30);
    expect(is_busy(varve_vfs_release(live.vfs, content.id, &old, &err), &err),
           "releasing what is mapped for reading: %s", err.text);
    int writer = open(at("sealed"), O_WRONLY | O_CLOEXEC);
    need(writer >= 0 && pwrite(writer, "CONT", 4, 0) == 4 && close(writer) == 0, "write");
    expect(memcmp(map, "CONTent", 7) == 0, "a reader's mapping sees the next version");
    expect(content_of("sealed").version == 2, "... which is a new one");
    need(munmap(map, 4096) == 0, "munmap");
}

/* A reader has the sealed file with the kernel already when a writer comes. */
static void
test_writer_joins_readers(void)
{
    struct varve_content content;
    struct varve_error err = {0};
    char bytes[8] = {0};
    int fd = make("joined", 0, O_RDWR);
    need(write(fd, "content", 7) == 7 && close(fd) == 0, "write");
    sleep_ms(30);
    need(freeze("joined", &content, &err), err.text);
    seal(content.id);
    int reader = open(at("joined"), O_RDONLY | O_CLOEXEC);
    need(reader >= 0 && read(reader, bytes, 7) == 7, "read");
    int writer = open(at("joined"), O_RDWR | O_CLOEXEC);
    expect(writer >= 0, "a sealed file that is read can be opened for writing");
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0);
    need(map != MAP_FAILED, "mmap");
    memcpy(map, "MAPPED", 6);
    settle(map);
    expect(pread(reader, bytes, 7, 0) == 7 && memcmp(bytes, "MAPPEDt", 7) == 0,
           "... and the reader sees what is written through a mapping");
    struct varve_content row;
    need(varve_catalog_content_get(live.catalog, content.id, &row, &err), err.text);
    expect(row.place.tier == VARVE_TIER_NONE && content_of("joined").version == 2,
           "... but the sealed content has given its file away before");
    need(munmap(map, 8192) == 0 && close(writer) == 0 && close(reader) == 0, "close");
}

static void
test_frozen_goes_through_us(void)
{
    struct varve_content content;
    struct varve_error err = {0};
    char bytes[8] = {0};
    int fd = make("frozen", 0, O_RDWR);
    need(write(fd, "content", 7) == 7 && close(fd) == 0, "write");
    sleep_ms(30);
    need(freeze("frozen", &content, &err), err.text);
    int reader = open(at("frozen"), O_RDONLY | O_CLOEXEC);
    need(reader >= 0 && read(reader, bytes, 7) == 7, "read");
    int writer = open(at("frozen"), O_RDWR | O_CLOEXEC);
    need(writer >= 0, "open");
    expect(pwrite(writer, "CON", 3, 0) == 3 && pread(reader, bytes, 7, 0) == 7 &&
               memcmp(bytes, "CONtent", 7) == 0,
           "a reader of a frozen file sees what is written after");
    struct stat st;
    struct varve_content row;
    need(varve_catalog_content_get(live.catalog, content.id, &row, &err) &&
             varve_store_stat(live.store, &row.place, &st, &err),
         err.text);
    int backing = -1;
    need(varve_store_open_file(live.store, &row.place, O_RDONLY, &backing, &err), err.text);
    expect(pread(backing, bytes, 7, 0) == 7 && memcmp(bytes, "content", 7) == 0,
           "... and the frozen bytes are what they were");
    need(close(backing) == 0 && close(reader) == 0 && close(writer) == 0, "close");
}

/* --- privileges --- */
static bool
by_write(const char *name)
{
    int fd = open(at(name), O_WRONLY);
    return fd >= 0 && write(fd, "x", 1) == 1;
}
static bool
by_truncate(const char *name)
{
    return truncate(at(name), 1) == 0;
}
static bool
by_ftruncate(const char *name)
{
    int fd = open(at(name), O_RDWR);
    return fd >= 0 && ftruncate(fd, 2) == 0;
}
static bool
by_o_trunc(const char *name)
{
    return open(at(name), O_WRONLY | O_TRUNC) >= 0;
}
static bool
by_fallocate(const char *name)
{
    int fd = open(at(name), O_RDWR);
    return fd >= 0 && fallocate(fd, 0, 0, 10000) == 0;
}
static bool
by_copy(const char *name)
{
    int from = open(at("source"), O_RDONLY), to = open(at(name), O_WRONLY);
    return from >= 0 && to >= 0 && copy_file_range(from, NULL, to, NULL, 4, 0) == 4;
}
static bool
by_append(const char *name)
{
    int fd = open(at(name), O_WRONLY | O_APPEND | O_DSYNC);
    return fd >= 0 && write(fd, "x", 1) == 1;
}

static bool
as_nobody(bool (*act)(const char *name), const char *name)
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(setgid(NOBODY) == 0 && setuid(NOBODY) == 0 && act(name) ? 0 : 1);
    int status = 1;
    return waitpid(child, &status, 0) == child && status == 0;
}

static const struct {
    const char *name;
    bool (*act)(const char *name);
} acts[] = {
    {"write", by_write},
    {"truncate", by_truncate},
    {"ftruncate", by_ftruncate},
    {"O_TRUNC", by_o_trunc},
    {"fallocate", by_fallocate},
    {"copy_file_range", by_copy},
    {"O_APPEND, O_DSYNC", by_append},
};

static mode_t
mode_of(const char *name)
{
    return stat_of(name).st_mode & 07777;
}

static void
make_theirs(const char *name)
{
    int fd = make(name, 0, O_RDWR);
    need(write(fd, "content", 7) == 7 && fchown(fd, NOBODY, NOBODY) == 0 && close(fd) == 0, name);
}

/* VFS_CAP_REVISION_2 with one bit. */
static const uint8_t capability[20] = {0, 0, 0, 2, 1};

static bool
has_capability(const char *name)
{
    return getxattr(at(name), "security.capability", NULL, 0) > 0;
}

static void
test_privileges_fall(void)
{
    make_theirs("source");
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        make_theirs("suid");
        need(chmod(at("suid"), 06755) == 0, "chmod");
        bool done = as_nobody(acts[i].act, "suid");
        expect(done && mode_of("suid") == 0755, "setuid and setgid fall by %s (%o)", acts[i].name,
               mode_of("suid"));
        make_theirs("cap");
        need(setxattr(at("cap"), "security.capability", capability, sizeof capability, 0) == 0,
             "setcap");
        done = as_nobody(acts[i].act, "cap");
        expect(done && !has_capability("cap"), "capabilities fall by %s", acts[i].name);
        need(unlink(at("suid")) == 0 && unlink(at("cap")) == 0, "unlink");
    }
    make_theirs("suid");
    need(chmod(at("suid"), 06755) == 0, "chmod");
    expect(by_write("suid") && mode_of("suid") == 06755, "root's write leaves them (%o)",
           mode_of("suid"));
    need(chown(at("suid"), 1, 1) == 0, "chown");
    expect(mode_of("suid") == 0755, "chown does not (%o)", mode_of("suid"));
    need(chmod(at("suid"), 02745) == 0 && chown(at("suid"), NOBODY, NOBODY) == 0, "chmod");
    expect(as_nobody(by_write, "suid") && mode_of("suid") == 02745,
           "setgid of a file that its group may not execute stays (%o)", mode_of("suid"));
}

/* In the child: open for writing, then told to write. */
static bool
write_when_told(const char *name)
{
    int fd = open(at(name), O_WRONLY);
    sleep_ms(300);
    return fd >= 0 && write(fd, "x", 1) == 1 && (sleep_ms(300), true);
}

static void
test_privileges_given_while_open(void)
{
    make_theirs("given");
    need(chmod(at("given"), 0755) == 0, "chmod");
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(setgid(NOBODY) == 0 && setuid(NOBODY) == 0 && write_when_told("given") ? 0 : 1);
    sleep_ms(150);
    need(chmod(at("given"), 06755) == 0, "chmod");
    bool given = mode_of("given") == 06755;
    sleep_ms(300);
    expect(given && mode_of("given") == 0755,
           "setuid given to a file that is open for writing falls by the write (%o)",
           mode_of("given"));
    int status = 1;
    expect(waitpid(child, &status, 0) == child && status == 0, "... which succeeds");
}

/* --- times, O_SYNC --- */
static void
test_times(void)
{
    struct stat before, after;
    int fd = make("times", 0, O_WRONLY);
    need(write(fd, "content", 7) == 7, "write");
    need(fstat(fd, &before) == 0, "fstat");
    sleep_ms(30);
    need(write(fd, "content", 7) == 7 && fstat(fd, &after) == 0, "write");
    expect(after.st_size == 14 && after.st_mtim.tv_nsec != before.st_mtim.tv_nsec &&
               after.st_ctim.tv_nsec != before.st_ctim.tv_nsec,
           "size, mtime and ctime follow each write");
    need(close(fd) == 0, "close");
    after = stat_of("times");
    expect(after.st_size == 14, "... and stay after close");
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    need(utimensat(AT_FDCWD, at("times"), old, 0) == 0, "utimensat");
    expect(stat_of("times").st_mtim.tv_sec == 1000, "utimensat sets times");
    char bytes[4];
    fd = open(at("times"), O_RDONLY | O_CLOEXEC);
    need(fd >= 0 && read(fd, bytes, 4) == 4 && close(fd) == 0, "read");
    expect(stat_of("times").st_atim.tv_sec > 1000, "a read sets atime");
    need(utimensat(AT_FDCWD, at("times"), old, 0) == 0, "utimensat");
    fd = open(at("times"), O_RDWR | O_CLOEXEC);
    need(fd >= 0 && read(fd, bytes, 4) == 4 && close(fd) == 0, "read");
    expect(!live.passing || stat_of("times").st_atim.tv_sec > 1000,
           "... also of a file open for both (if the kernel's page cache had it not already)");
    fd = open(at("times"), O_WRONLY | O_APPEND | O_SYNC | O_CLOEXEC);
    expect(fd >= 0 && write(fd, "sync", 4) == 4 && stat_of("times").st_size == 18, "O_SYNC writes");
    need(close(fd) == 0, "close");
    fd = open(at("times"), O_RDONLY | O_DIRECT | O_CLOEXEC);
    expect(fd >= 0 && close(fd) == 0, "O_DIRECT opens");
}

/* --- nobody waits for another --- */
struct loop {
    pthread_t thread;
    atomic_bool stop;
    int64_t longest_ms, rounds;
    const char *name;
};

static void *
look_around(void *context)
{
    struct loop *loop = context;
    char state[32];
    struct statx stx;
    while (!atomic_load(&loop->stop)) {
        int64_t begun = now_ms();
        need(statx(AT_FDCWD, at(loop->name), AT_STATX_FORCE_SYNC, STATX_ALL, &stx) == 0, "statx");
        need(getxattr(at(loop->name), "user.varve.state", state, sizeof state) > 0, "getxattr");
        int64_t took = now_ms() - begun;
        loop->longest_ms = took > loop->longest_ms ? took : loop->longest_ms;
        loop->rounds++;
    }
    return NULL;
}

static void
fill(int fd, uint64_t bytes)
{
    static char block[1 << 20];
    memset(block, 'b', sizeof block);
    for (uint64_t done = 0; done < bytes; done += sizeof block)
        need(write(fd, block, sizeof block) == sizeof block, "write");
}

static void *
sync_in_a_loop(void *context)
{
    struct loop *loop = context;
    int fd = make(loop->name, 0, O_WRONLY);
    while (!atomic_load(&loop->stop)) {
        fill(fd, 8 << 20);
        int64_t begun = now_ms();
        need(fsync(fd) == 0, "fsync");
        int64_t took = now_ms() - begun;
        loop->longest_ms = took > loop->longest_ms ? took : loop->longest_ms;
        loop->rounds++;
        need(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0, "ftruncate");
    }
    (void)close(fd);
    return NULL;
}

static void
test_nobody_waits(void)
{
    struct varve_content content;
    struct varve_error err = {0};
    struct loop other = {.name = "times"}, same = {.name = "big"}, syncer = {.name = "synced"};
    int fd = make("big", 0, O_WRONLY);
    fill(fd, BIG_BYTES);
    need(close(fd) == 0, "close");
    sleep_ms(30);
    need(freeze("big", &content, &err), err.text);
    need(pthread_create(&other.thread, NULL, look_around, &other) == 0 &&
             pthread_create(&same.thread, NULL, look_around, &same) == 0 &&
             pthread_create(&syncer.thread, NULL, sync_in_a_loop, &syncer) == 0,
         "threads");
    int64_t begun = now_ms();
    fd = open(at("big"), O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && pwrite(fd, "x", 1, 0) == 1;
    int64_t took = now_ms() - begun;
    expect(written && content_of("big").version == 2, "the first write to a frozen file copies it");
    atomic_store(&other.stop, true);
    atomic_store(&same.stop, true);
    atomic_store(&syncer.stop, true);
    (void)pthread_join(other.thread, NULL);
    (void)pthread_join(same.thread, NULL);
    (void)pthread_join(syncer.thread, NULL);
    need(close(fd) == 0, "close");
    printf("# copy %" PRId64 " ms; longest fsync %" PRId64 " ms; %" PRId64 " and %" PRId64
           " looks\n",
           took, syncer.longest_ms, other.rounds, same.rounds);
    int64_t bound = took * 3 / 4 > 100 ? took * 3 / 4 : 100;
    expect(other.longest_ms < bound, "others are not held up by it (%" PRId64 " ms)",
           other.longest_ms);
    expect(same.longest_ms < bound, "nor who looks at it (%" PRId64 " ms)", same.longest_ms);
}

int
main(int count, char **arguments)
{
    if (!live_start(count, arguments))
        return 0;
    test_mapping_outlives_close();
    test_release_of_mapped();
    test_writer_joins_readers();
    test_frozen_goes_through_us();
    test_privileges_fall();
    test_privileges_given_while_open();
    test_times();
    test_nobody_waits();
    return live_end();
}
