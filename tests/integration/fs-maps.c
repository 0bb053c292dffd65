/* SPDX-License-Identifier: Apache-2.0 */
/* No store through a mapping and no write beside one is lost, whatever happens to the file between
 * the store and the moment when the kernel writes the page out.
 *
 * fs-maps [nopassthrough] [nouring]: a mount, and its vfs, in this process. Each case makes an
 * order of events happen that would else need luck: who writes waits for a recall that comes when
 * the test says so. */
#include "live_mount.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define PAGE 4096u
#define SIZE (4 * PAGE)

static char *
map_file(int fd, int protection)
{
    char *map = mmap(NULL, SIZE, protection, MAP_SHARED, fd, 0);
    need(map != MAP_FAILED, "mmap");
    return map;
}

/* "...", of SIZE bytes. */
static void
make_dots(const char *name)
{
    static char dots[SIZE];
    memset(dots, '.', sizeof dots);
    int fd = make(name, 0, O_WRONLY);
    need(write(fd, dots, sizeof dots) == (ssize_t)sizeof dots && close(fd) == 0, name);
}

static int
open_again(const char *name, int flags)
{
    int fd = open(at(name), flags | O_CLOEXEC);
    need(fd >= 0, name);
    return fd;
}

/* Reads as somebody new does: what the file has, not what a mapping shows. */
static bool
has(const char *name, off_t offset, char what)
{
    char byte = 0;
    int fd = open_again(name, O_RDONLY);
    need(pread(fd, &byte, 1, offset) == 1 && close(fd) == 0, name);
    return byte == what;
}

/* For children: with the connection's descriptor they would keep it, and themselves, alive. */
static void
keep_only(int fd)
{
    need(dup2(fd, 0) == 0 && close_range(3, ~0u, 0) == 0, "close");
}

/* Another process that writes one byte, and waits in that for a recall. */
static pid_t
write_in_child(int fd, off_t offset, char what)
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        keep_only(fd);
        _exit(pwrite(0, &what, 1, offset) == 1 ? 0 : 1);
    }
    need(child > 0, "fork");
    return child;
}

static bool
ended_well(pid_t child)
{
    int status = 1;
    return waitpid(child, &status, 0) == child && status == 0;
}

/* munmap(2) would write out, too, but holding a lock that the threads of the mount, which are ours
 * here, may want. */
static void
unmap(char *map)
{
    need(msync(map, SIZE, MS_SYNC) == 0 && munmap(map, SIZE) == 0, "munmap");
}

static void
unmap_and_close(char *map, int fd)
{
    unmap(map);
    need(close(fd) == 0, "close");
}

/* --- files on discs only --- */

/* A page that comes from the head is changed through a mapping while a write(2) to another part of
 * it waits for the recall. */
static void
test_write_waits_beside_mapping(void)
{
    struct migrated file;
    make_dots("waits");
    migrate("waits", &file);
    int fd = open_again("waits", O_RDWR), writer = open_again("waits", O_RDWR);
    char *map = map_file(fd, PROT_READ | PROT_WRITE);
    need(map[1] == '.', "the page is there");
    pid_t child = write_in_child(writer, 1000, 'w');
    until_asked(&file);
    map[0] = 'm';
    bring_back(&file);
    expect(ended_well(child), "a write waits for a recall while its page is changed by a mapping");
    need(msync(map, SIZE, MS_SYNC) == 0, "msync");
    expect(has("waits", 1000, 'w'), "... and is not undone when the page is written out");
    expect(has("waits", 0, 'm'), "... nor is what the mapping wrote");
    need(close(writer) == 0, "close");
    unmap_and_close(map, fd);
}

/* The same while somebody opens the file anew, for reading: that must not drop the page either. */
static void
test_write_waits_beside_open(void)
{
    struct migrated file;
    make_dots("opened");
    migrate("opened", &file);
    int fd = open_again("opened", O_RDWR), writer = open_again("opened", O_RDWR);
    char *map = map_file(fd, PROT_READ | PROT_WRITE);
    need(map[1] == '.', "the page is there");
    pid_t child = write_in_child(writer, 1000, 'w');
    until_asked(&file);
    int reader = open_again("opened", O_RDONLY);
    map[0] = 'm';
    bring_back(&file);
    expect(ended_well(child), "a write waits while another program opens the file");
    unmap_and_close(map, fd);
    need(close(writer) == 0 && close(reader) == 0, "close");
    expect(has("opened", 1000, 'w') && has("opened", 0, 'm'),
           "... and neither it nor a mapping's store is lost");
}

/* A signal ends the write that waits; what a mapping stored in that page stays. */
static void
test_write_is_interrupted(void)
{
    struct migrated file;
    make_dots("signal");
    migrate("signal", &file);
    int fd = open_again("signal", O_RDWR), writer = open_again("signal", O_RDWR);
    char *map = map_file(fd, PROT_READ | PROT_WRITE);
    map[0] = 'm';
    pid_t child = write_in_child(writer, 1000, 'w');
    until_asked(&file);
    need(kill(child, SIGUSR1) == 0, "kill");
    sleep_ms(100);
    pid_t reader = fork();
    if (reader == 0) {
        char byte;
        keep_only(fd);
        _exit(pread(0, &byte, 1, 0) == 1 ? 0 : 1);
    }
    sleep_ms(300);
    expect(map[0] == 'm', "a signal to a writer that waits does not undo a mapping's store");
    bring_back(&file);
    int status = 0;
    need(waitpid(child, &status, 0) == child && waitpid(reader, &status, 0) == reader, "wait");
    unmap_and_close(map, fd);
    need(close(writer) == 0, "close");
    expect(has("signal", 0, 'm'), "... nor later");
}

/* Nobody could have a page of it mapped: then a signal ends it. */
static void
test_lone_write_is_interrupted(void)
{
    struct migrated file;
    make_dots("alone");
    migrate("alone", &file);
    int writer = open_again("alone", O_WRONLY);
    pid_t child = write_in_child(writer, 1000, 'w');
    until_asked(&file);
    need(kill(child, SIGUSR1) == 0, "kill");
    expect(!ended_well(child), "a signal ends a write that waits, if nothing is mapped");
    bring_back(&file);
    expect(has("alone", 1000, '.'), "... and it is not done later");
    need(close(writer) == 0, "close");
}

/* Pages that were changed while the file was on discs, and go on being changed when it is back. */
static void
test_recall_below_mapping(void)
{
    struct migrated file;
    struct varve_place old;
    struct varve_error err = {0};
    make_dots("below");
    migrate("below", &file);
    int fd = open_again("below", O_RDWR);
    char *map = map_file(fd, PROT_READ | PROT_WRITE);
    need(close(fd) == 0, "close");
    map[0] = '1';
    bring_back(&file);
    map[1] = '2';
    map[PAGE] = '3';
    bool released = varve_vfs_release(live.vfs, content_of("below").id, &old, &err);
    expect(!released && err.kind == VARVE_ERROR_BUSY, "what a mapping changed is not released: %s",
           err.text);
    unmap(map);
    expect(has("below", 0, '1') && has("below", 1, '2') && has("below", PAGE, '3'),
           "stores before and after the recall are in the file");
    expect(content_of("below").version == 2, "... which is a new version");
}

/* copy_file_range(2) into a page, waiting for its source. */
static void
test_copy_waits_beside_mapping(void)
{
    struct migrated source;
    make_dots("source");
    int fd = open_again("source", O_RDWR);
    const off_t behind_head = MIGRATED_HEAD_BYTES;
    need(pwrite(fd, "ssssssssss", 10, behind_head) == 10 && close(fd) == 0, "write");
    migrate("source", &source);
    make_dots("target");
    need(chmod(at("target"), 04755) == 0, "chmod"); /* so that the kernel has no backing file */
    fd = open_again("target", O_RDWR);
    char *map = map_file(fd, PROT_READ | PROT_WRITE);
    need(map[2000] == '.', "the page is there");
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        off_t place = behind_head, to = 1000;
        keep_only(fd);
        int from = open_again("source", O_RDONLY);
        (void)posix_fadvise(from, 0, 0, POSIX_FADV_DONTNEED); /* else it may be in the page cache */
        _exit(copy_file_range(from, &place, 0, &to, 10, 0) == 10 ? 0 : 1);
    }
    until_asked(&source);
    map[0] = 'm';
    bring_back(&source);
    expect(ended_well(child), "bytes are copied into a page that a mapping changes");
    unmap_and_close(map, fd);
    expect(has("target", 1000, 's') && has("target", 0, 'm'), "... and neither is lost");
}

/* --- mappings that outlive their descriptor --- */

static char *
leave_mapping(const char *name)
{
    make_dots(name);
    int fd = open_again(name, O_RDWR);
    char *map = map_file(fd, PROT_READ | PROT_WRITE);
    need(close(fd) == 0, "close");
    sleep_ms(50);
    return map;
}

/* `name` is mapped as `left`; somebody maps it again, and both write to one page. */
static void
expect_both_stores(const char *name, char *left, const char *when)
{
    int fd = open_again(name, O_RDWR);
    char *map = map_file(fd, PROT_READ | PROT_WRITE);
    map[100] = 'b';
    left[0] = 'a';
    map[200] = 'c';
    unmap_and_close(map, fd);
    expect(left[100] == 'b' && left[200] == 'c',
           "a mapping that is left shows the new one's stores, %s", when);
    unmap(left);
    expect(has(name, 0, 'a') && has(name, 100, 'b') && has(name, 200, 'c'),
           "... and the file has those of both");
}

static void
test_left_mapping(void)
{
    expect_both_stores("left", leave_mapping("left"), "as usual");
}

static void
test_left_mapping_and_setuid(void)
{
    char *left = leave_mapping("suid");
    need(chmod(at("suid"), 06755) == 0, "chmod");
    expect_both_stores("suid", left, "of a setuid file");
}

static void
test_left_mapping_and_options(void)
{
    char *left = leave_mapping("synchronous");
    remount("remount,sync");
    expect_both_stores("synchronous", left, "in a mount that became sync");
    remount("remount,async");
}

/* --- others --- */

/* Reads ahead go past the kernel's passthrough into a page cache that nobody looks at, until the
 * file is opened in another way. */
static void
test_readahead(void)
{
    struct varve_content content;
    struct varve_error err = {0};
    make_dots("ahead");
    int fd = open_again("ahead", O_RDWR);
    need(readahead(fd, 0, SIZE) == 0, "readahead");
    sleep_ms(100);
    need(pwrite(fd, "n", 1, 0) == 1 && close(fd) == 0, "write");
    sleep_ms(50);
    need(freeze("ahead", &content, &err), err.text);
    expect(has("ahead", 0, 'n'), "what was read ahead is not shown after a write");
    fd = open_again("ahead", O_RDWR);
    char *map = map_file(fd, PROT_READ | PROT_WRITE);
    map[100] = 'm';
    unmap_and_close(map, fd);
    expect(has("ahead", 0, 'n') && has("ahead", 100, 'm'), "... nor written over it");
}

/* The tier takes only half of a page. */
static void
test_short_write_out(void)
{
    enum { FAR = 1 << 30 };
    struct rlimit before;
    int fd = make("short", (uint64_t)FAR + PAGE, O_RDWR);
    need(close(fd) == 0 && chmod(at("short"), 04755) == 0, "chmod");
    fd = open_again("short", O_RDWR);
    char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, FAR);
    need(map != MAP_FAILED, "mmap");
    memset(map, 'm', PAGE);
    need(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit(RLIMIT_FSIZE, &before) == 0, "limit");
    struct rlimit limit = {.rlim_cur = FAR + PAGE / 2, .rlim_max = before.rlim_max};
    need(setrlimit(RLIMIT_FSIZE, &limit) == 0, "limit");
    bool told = msync(map, PAGE, MS_SYNC) != 0;
    need(setrlimit(RLIMIT_FSIZE, &before) == 0, "limit");
    expect(told, "a page of which only half could be written out is told of");
    need(munmap(map, PAGE) == 0 && close(fd) == 0, "close");
    need(unlink(at("short")) == 0, "unlink");
}

static void
note_signal(int number)
{
    (void)number;
}

int
main(int count, char **arguments)
{
    const struct sigaction action = {.sa_handler = note_signal}; /* no SA_RESTART */
    (void)sigaction(SIGUSR1, &action, NULL);
    if (!live_start(count, arguments))
        return 0;
    test_write_waits_beside_mapping();
    test_write_waits_beside_open();
    test_write_is_interrupted();
    test_lone_write_is_interrupted();
    test_recall_below_mapping();
    test_copy_waits_beside_mapping();
    test_left_mapping();
    test_left_mapping_and_setuid();
    test_left_mapping_and_options();
    test_readahead();
    test_short_write_out();
    remount("remount,strictatime");
    test_write_waits_beside_mapping();
    return live_end();
}
