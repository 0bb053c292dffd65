/* SPDX-License-Identifier: Apache-2.0 */
/* fsx_shared.c - several processes on one file at the same time. */
#include "fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WRITERS_MAX = 32,
    RECORD_MAX = 3000,
    PIECE = 1000, /* of a page and no part of it: neighbours are others' */
    PIECES = 64,  /* of each writer */
};

static uint64_t
step(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static bool
wrong(const char *what)
{
    (void)fprintf(stderr, "fsx: %s: %s\n", what, strerror(errno));
    return false;
}

struct task {
    char path[4200];
    const struct fsx_together *how;
};

/* Runs `work` in so many processes; true if all end well. */
static bool
in_processes(const struct task *task, bool (*work)(const struct task *task, unsigned number))
{
    bool ok = true;
    (void)fflush(NULL);
    for (unsigned i = 0; i < task->how->writers; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(work(task, i) ? 0 : 1);
        ok = ok && child > 0;
    }
    for (int status = 0; wait(&status) > 0;)
        ok = ok && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return ok;
}

/* While that file is there nobody has the other one open: then it can be frozen, moved or released.
 */
static bool
is_rest(const struct fsx_together *how)
{
    return how->rest != NULL && access(how->rest, F_OK) == 0;
}

static void
rest(const struct fsx_together *how)
{
    while (is_rest(how))
        (void)usleep(5000);
}

/* --- appending --- */

struct record {
    uint32_t magic, writer, number, size; /* size: with this head */
};
#define MAGIC 0x66737861u

static bool
append_records(const struct task *task, unsigned number)
{
    uint8_t bytes[RECORD_MAX];
    uint64_t random = task->how->seed * 31 + number + 1;
    int fd = -1;
    for (uint64_t i = 0; i < task->how->rounds; i++) {
        if (fd >= 0 && (is_rest(task->how) || step(&random) % 50 == 0)) {
            (void)close(fd);
            fd = -1;
        }
        rest(task->how);
        if (fd < 0)
            fd = open(task->path, (step(&random) % 2 == 0 ? O_RDWR : O_WRONLY) | O_APPEND | O_CREAT,
                      0644);
        if (fd < 0)
            return wrong("open to append");
        struct record head = {.magic = MAGIC, .writer = number, .number = (uint32_t)i};
        head.size = (uint32_t)(sizeof head + step(&random) % (RECORD_MAX - sizeof head));
        memset(bytes, (int)(number + i), head.size);
        memcpy(bytes, &head, sizeof head);
        if (write(fd, bytes, head.size) != (ssize_t)head.size)
            return wrong("append");
        if (step(&random) % 200 == 0 && fsync(fd) != 0)
            return wrong("fsync");
    }
    (void)close(fd);
    return true;
}

static bool
check_record(const uint8_t *at, uint64_t rest, uint32_t *next, unsigned writers)
{
    struct record head;
    if (rest < sizeof head)
        return false;
    memcpy(&head, at, sizeof head);
    if (head.magic != MAGIC || head.writer >= writers || head.size < sizeof head ||
        head.size > rest || head.number != next[head.writer])
        return false;
    for (uint32_t i = sizeof head; i < head.size; i++) {
        if (at[i] != (uint8_t)(head.writer + head.number))
            return false;
    }
    next[head.writer]++;
    return true;
}

static bool
check_records(const uint8_t *bytes, uint64_t size, unsigned writers, uint64_t records)
{
    uint32_t next[WRITERS_MAX] = {0}, length = 0;
    for (uint64_t at = 0; at < size; at += length) {
        if (!check_record(bytes + at, size - at, next, writers)) {
            (void)fprintf(stderr, "fsx: no whole record at byte %" PRIu64 " of %" PRIu64 "\n", at,
                          size);
            return false;
        }
        memcpy(&length, bytes + at + offsetof(struct record, size), sizeof length);
    }
    for (unsigned i = 0; i < writers; i++) {
        if (next[i] == records)
            continue;
        (void)fprintf(stderr, "fsx: writer %u has %u records, not %" PRIu64 "\n", i, next[i],
                      records);
        return false;
    }
    return true;
}

static uint8_t *
read_all(const char *path, uint64_t *ret_size)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0)
        return NULL;
    uint8_t *bytes = malloc((size_t)st.st_size + 1);
    uint64_t done = 0;
    ssize_t count = bytes == NULL ? -1 : 1;
    while (count > 0) {
        count = pread(fd, bytes + done, (size_t)st.st_size + 1 - done, (off_t)done);
        done += count > 0 ? (uint64_t)count : 0;
    }
    (void)close(fd);
    if (count < 0 || done != (uint64_t)st.st_size) {
        free(bytes);
        return NULL;
    }
    *ret_size = done;
    return bytes;
}

bool
fsx_append_together(const struct fsx_together *how)
{
    struct task task = {.how = how};
    uint64_t size = 0;
    (void)snprintf(task.path, sizeof task.path, "%s/appended", how->dir);
    (void)unlink(task.path);
    if (how->writers > WRITERS_MAX || !in_processes(&task, append_records))
        return false;
    uint8_t *bytes = read_all(task.path, &size);
    bool ok = bytes != NULL ? check_records(bytes, size, how->writers, how->rounds)
                            : wrong("read it all");
    free(bytes);
    return ok;
}

/* --- pieces of one file, side by side on its pages --- */

struct sharer {
    const char *path;
    const struct fsx_together *how;
    unsigned number, writers;
    uint64_t random;
    int fd;
    uint8_t *map; /* NULL: not mapped */
    uint8_t values[PIECES];
    uint8_t bytes[PIECE];
};

static off_t
place_of(const struct sharer *s, unsigned piece)
{
    return (off_t)((piece * s->writers + s->number) * PIECE);
}

static bool
open_again(struct sharer *s)
{
    static const int flags[] = {0, 0, O_SYNC, O_NOATIME};
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = open(s->path, O_RDWR | O_CREAT | flags[step(&s->random) % 4], 0644);
    return s->fd >= 0 || wrong("open what is shared");
}

static bool
map_again(struct sharer *s)
{
    size_t size = (size_t)PIECE * PIECES * s->writers;
    if (s->map != NULL) {
        (void)munmap(s->map, size);
        s->map = NULL;
        return true;
    }
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (map == MAP_FAILED)
        return wrong("map what is shared");
    s->map = map;
    return true;
}

static bool
check_piece(struct sharer *s, unsigned piece)
{
    const uint8_t *got = s->bytes;
    bool mapped = s->map != NULL && step(&s->random) % 2 == 0;
    if (mapped)
        got = s->map + place_of(s, piece);
    else if (pread(s->fd, s->bytes, PIECE, place_of(s, piece)) != PIECE)
        return wrong("read what is shared");
    for (unsigned i = 0; i < PIECE; i++) {
        if (got[i] == s->values[piece])
            continue;
        (void)fprintf(stderr, "fsx: shared: byte %u at %lld by %s is %02x and must be %02x\n", i,
                      (long long)place_of(s, piece), mapped ? "mapping" : "read", got[i],
                      s->values[piece]);
        return false;
    }
    return true;
}

static bool
write_piece(struct sharer *s, unsigned piece)
{
    s->values[piece]++;
    if (s->map != NULL && step(&s->random) % 2 == 0) {
        memset(s->map + place_of(s, piece), s->values[piece], PIECE);
        return true;
    }
    memset(s->bytes, s->values[piece], PIECE);
    return pwrite(s->fd, s->bytes, PIECE, place_of(s, piece)) == PIECE ||
           wrong("write what is shared");
}

static bool
step_away(struct sharer *s)
{
    if (s->map != NULL && !map_again(s))
        return false;
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
    rest(s->how);
    return open_again(s);
}

static bool
share_round(struct sharer *s)
{
    if (is_rest(s->how))
        return step_away(s);
    unsigned piece = (unsigned)(step(&s->random) % PIECES);
    switch (step(&s->random) % 16) {
    case 0:
        return open_again(s);
    case 1:
        return s->how->maps ? map_again(s) : check_piece(s, piece);
    case 2:
        return fsync(s->fd) == 0 || wrong("fsync");
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        return write_piece(s, piece);
    default:
        return check_piece(s, piece);
    }
}

static bool
share(const struct task *task, unsigned number)
{
    struct sharer s = {.path = task->path, .how = task->how, .number = number, .fd = -1};
    s.writers = task->how->writers;
    s.random = task->how->seed * 77 + number + 1;
    bool ok = open_again(&s);
    for (uint64_t i = 0; ok && i < task->how->rounds; i++)
        ok = share_round(&s);
    for (unsigned piece = 0; ok && piece < PIECES; piece++)
        ok = check_piece(&s, piece);
    if (s.map != NULL)
        ok = map_again(&s) && ok;
    for (unsigned piece = 0; ok && piece < PIECES; piece++)
        ok = check_piece(&s, piece);
    if (s.fd >= 0)
        (void)close(s.fd);
    return ok;
}

bool
fsx_share_pages(const struct fsx_together *how)
{
    struct task task = {.how = how};
    (void)snprintf(task.path, sizeof task.path, "%s/shared", how->dir);
    (void)unlink(task.path);
    int fd = open(task.path, O_RDWR | O_CREAT, 0644);
    bool ok = fd >= 0 && ftruncate(fd, (off_t)PIECE * PIECES * how->writers) == 0;
    if (fd >= 0)
        (void)close(fd);
    return ok ? in_processes(&task, share) : wrong("make what is shared");
}
