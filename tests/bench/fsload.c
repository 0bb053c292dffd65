/* SPDX-License-Identifier: Apache-2.0 */
/* fsload - the tight loops of tests/bench/fs: one kind of work on the filesystem that a path is on.
 * Prints one line of JSON: operations, bytes, seconds and this process's own CPU time. Links to
 * nothing of varve, so that all peers meet the same client. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SMALL_BYTES 4096u /* of a created file and of a random access */
#define BLOCK_BYTES (1u << 20)
#define HEAD_BYTES 65536u
#define THREADS_MAX 64u
#define PATH_BYTES 4096u
/* Random accesses between two looks at the clock. */
#define CLOCK_EVERY 64u

struct result {
    uint64_t ops, bytes, worst_ns;
};

/* A failed benchmark has no number at all. */
__attribute__((noreturn)) static void
die(const char *what, const char *path)
{
    (void)fprintf(stderr, "fsload: %s '%s': %s\n", what, path, strerror(errno));
    exit(1);
}

static uint64_t
now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t
cpu_us(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used); /* cannot fail for ourselves */
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000u +
           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static uint64_t
number(const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-') {
        errno = EINVAL;
        die("number", text);
    }
    return value;
}

/* xorshift64*: the same accesses for every peer. */
static uint64_t
next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

static void
fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    uint64_t state = seed * 2 + 1;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word = next_random(&state);
        memcpy(bytes + i, &word, 8);
    }
}

static void *
page_aligned(size_t size)
{
    void *bytes = NULL;
    errno = posix_memalign(&bytes, 4096, size);
    if (errno != 0)
        die("memory", "");
    fill(bytes, size, 1);
    return bytes;
}

static uint64_t
size_of(int fd, const char *path)
{
    struct stat attr;
    if (fstat(fd, &attr) != 0)
        die("stat", path);
    return (uint64_t)attr.st_size;
}

/* --- many small files --- */

/* COUNT files under `dir`, in `spread` directories (0: in `dir` itself). */
struct files {
    const char *dir;
    uint64_t count, spread;
};

static void
path_of(const struct files *files, uint64_t i, char ret[PATH_BYTES])
{
    if (files->spread == 0)
        (void)snprintf(ret, PATH_BYTES, "%s/file-%06u.dat", files->dir, (unsigned)i);
    else
        (void)snprintf(ret, PATH_BYTES, "%s/d%03u/file-%06u.dat", files->dir,
                       (unsigned)(i % files->spread), (unsigned)i);
}

static void
create_file(const char *path, uint8_t *bytes, uint64_t i)
{
    memcpy(bytes, &i, sizeof i);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        die("create", path);
    if (write(fd, bytes, SMALL_BYTES) != (ssize_t)SMALL_BYTES)
        die("write", path);
    if (close(fd) != 0)
        die("close", path);
}

struct worker {
    const struct files *files;
    uint64_t first, step;
    bool remove;
    pthread_t thread;
};

static void *
run_worker(void *context)
{
    const struct worker *worker = context;
    uint8_t *bytes = page_aligned(SMALL_BYTES);
    char path[PATH_BYTES];
    for (uint64_t i = worker->first; i < worker->files->count; i += worker->step) {
        path_of(worker->files, i, path);
        if (!worker->remove)
            create_file(path, bytes, i);
        else if (unlink(path) != 0)
            die("unlink", path);
    }
    free(bytes);
    return NULL;
}

static struct result
many(const struct files *files, uint64_t threads, bool remove)
{
    static struct worker workers[THREADS_MAX];
    if (threads == 0 || threads > THREADS_MAX) {
        errno = ERANGE;
        die("threads", files->dir);
    }
    for (uint64_t i = 0; i < threads; i++) {
        workers[i] = (struct worker){files, i, threads, remove, 0};
        errno = pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]);
        if (errno != 0)
            die("thread", files->dir);
    }
    for (uint64_t i = 0; i < threads; i++)
        (void)pthread_join(workers[i].thread, NULL); /* ours and joinable */
    return (struct result){.ops = files->count, .bytes = remove ? 0 : files->count * SMALL_BYTES};
}

static struct result
do_create(char **args)
{
    struct files files = {args[0], number(args[1]), number(args[2])};
    return many(&files, number(args[3]), false);
}

static struct result
do_unlink(char **args)
{
    struct files files = {args[0], number(args[1]), number(args[2])};
    return many(&files, number(args[3]), true);
}

static struct result
do_dirs(char **args)
{
    uint64_t count = number(args[1]);
    char path[PATH_BYTES];
    for (uint64_t i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, "%s/d%03u", args[0], (unsigned)i);
        if (mkdir(path, 0755) != 0)
            die("mkdir", path);
    }
    return (struct result){.ops = count};
}

/* All of them once, in an order that no directory has. */
static struct result
do_stat(char **args)
{
    struct files files = {args[0], number(args[1]), number(args[2])};
    uint64_t state = number(args[3]) * 2 + 1;
    uint32_t *order = calloc(files.count + 1, sizeof *order);
    char path[PATH_BYTES];
    struct stat attr;
    if (order == NULL)
        die("memory", "");
    for (uint64_t i = 0; i < files.count; i++) {
        uint64_t other = next_random(&state) % (i + 1);
        order[i] = order[other];
        order[other] = (uint32_t)i;
    }
    for (uint64_t i = 0; i < files.count; i++) {
        path_of(&files, order[i], path);
        if (stat(path, &attr) != 0)
            die("stat", path);
    }
    free(order);
    return (struct result){.ops = files.count};
}

static uint64_t
walk(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    uint64_t count = 0;
    if (dir == NULL)
        die("open directory", name);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat attr;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(fd, entry->d_name, &attr, AT_SYMLINK_NOFOLLOW) != 0)
            die("stat", entry->d_name);
        count++;
        if (S_ISDIR(attr.st_mode))
            count += walk(fd, entry->d_name);
    }
    (void)closedir(dir); /* read only */
    return count;
}

static struct result
do_walk(char **args)
{
    return (struct result){.ops = walk(AT_FDCWD, args[0])};
}

/* --- the bytes of one file --- */

static int
open_or_die(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);
    if (fd < 0)
        die("open", path);
    return fd;
}

static struct result
do_read(char **args)
{
    struct result result = {0};
    uint8_t *block = page_aligned(BLOCK_BYTES);
    int fd = open_or_die(args[0], O_RDONLY);
    ssize_t got = 0;
    while ((got = read(fd, block, BLOCK_BYTES)) > 0) {
        result.ops++;
        result.bytes += (uint64_t)got;
    }
    if (got < 0)
        die("read", args[0]);
    (void)close(fd); /* read only */
    free(block);
    return result;
}

/* A new file or, if it is there, over what it holds; durable at the end. */
static struct result
do_write(char **args)
{
    struct result result = {0};
    uint8_t *block = page_aligned(BLOCK_BYTES);
    int fd = open_or_die(args[0], O_WRONLY | O_CREAT);
    for (uint64_t left = number(args[1]); left > 0; left--) {
        memcpy(block, &left, sizeof left);
        if (write(fd, block, BLOCK_BYTES) != (ssize_t)BLOCK_BYTES)
            die("write", args[0]);
        result.ops++;
        result.bytes += BLOCK_BYTES;
    }
    if (fsync(fd) != 0)
        die("fsync", args[0]);
    if (close(fd) != 0)
        die("close", args[0]);
    free(block);
    return result;
}

static struct result
at_random(char **args, bool writing)
{
    struct result result = {0};
    uint8_t *block = page_aligned(SMALL_BYTES);
    uint64_t state = number(args[2]) * 2 + 1;
    int fd = open_or_die(args[0], writing ? O_WRONLY : O_RDONLY);
    uint64_t blocks = size_of(fd, args[0]) / SMALL_BYTES;
    uint64_t end = now_ns() + number(args[1]) * 1000000u;
    if (blocks == 0)
        die("too small", args[0]);
    while (result.ops % CLOCK_EVERY != 0 || now_ns() < end) {
        off_t at = (off_t)(next_random(&state) % blocks * SMALL_BYTES);
        ssize_t done =
            writing ? pwrite(fd, block, SMALL_BYTES, at) : pread(fd, block, SMALL_BYTES, at);
        if (done != (ssize_t)SMALL_BYTES)
            die(writing ? "write" : "read", args[0]);
        result.ops++;
    }
    if (close(fd) != 0)
        die("close", args[0]);
    free(block);
    result.bytes = result.ops * SMALL_BYTES;
    return result;
}

static struct result
do_randread(char **args)
{
    return at_random(args, false);
}

static struct result
do_randwrite(char **args)
{
    return at_random(args, true);
}

/* --- beginnings of files --- */

static struct result
do_head(char **args)
{
    struct result result = {0};
    struct files files = {args[0], number(args[1]), 0};
    uint8_t *block = page_aligned(HEAD_BYTES);
    char path[PATH_BYTES];
    for (uint64_t i = 0; i < files.count; i++) {
        uint64_t start = now_ns();
        path_of(&files, i, path);
        int fd = open_or_die(path, O_RDONLY);
        ssize_t got = pread(fd, block, HEAD_BYTES, 0);
        if (got <= 0)
            die("read", path);
        (void)close(fd); /* read only */
        uint64_t took = now_ns() - start;
        result.worst_ns = took > result.worst_ns ? took : result.worst_ns;
        result.bytes += (uint64_t)got;
        result.ops++;
    }
    free(block);
    return result;
}

/* Memory that idled goes back to the host, and getting it again would be measured as the disk. */
static struct result
do_touch(char **args)
{
    size_t size = (size_t)number(args[0]) << 20;
    uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED)
        die("memory", args[0]);
    for (size_t i = 0; i < size; i += 4096)
        bytes[i] = 1;
    (void)munmap(bytes, size); /* cannot fail for what was just mapped */
    return (struct result){.ops = size / 4096, .bytes = size};
}

static const struct verb {
    const char *name;
    int args;
    struct result (*run)(char **args);
    const char *help;
} verbs[] = {
    {"create", 4, do_create, "DIR COUNT SPREAD THREADS"},
    {"unlink", 4, do_unlink, "DIR COUNT SPREAD THREADS"},
    {"dirs", 2, do_dirs, "DIR COUNT"},
    {"stat", 4, do_stat, "DIR COUNT SPREAD SEED"},
    {"walk", 1, do_walk, "DIR"},
    {"read", 1, do_read, "FILE"},
    {"write", 2, do_write, "FILE MIB"},
    {"randread", 3, do_randread, "FILE MILLISECONDS SEED"},
    {"randwrite", 3, do_randwrite, "FILE MILLISECONDS SEED"},
    {"head", 2, do_head, "DIR COUNT"},
    {"touch", 1, do_touch, "MIB"},
};

int
main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (argc < 2 || strcmp(argv[1], verbs[i].name) != 0 || argc != verbs[i].args + 2)
            continue;
        uint64_t start = now_ns(), used = cpu_us();
        struct result result = verbs[i].run(argv + 2);
        double seconds = (double)(now_ns() - start) / 1e9;
        used = cpu_us() - used;
        (void)printf("{\"ops\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"cpu_us\": %llu, "
                     "\"worst_us\": %.1f}\n",
                     (unsigned long long)result.ops, (unsigned long long)result.bytes, seconds,
                     (unsigned long long)used, (double)result.worst_ns / 1e3);
        return 0;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        (void)fprintf(stderr, "fsload %s %s\n", verbs[i].name, verbs[i].help);
    return 2;
}
