/* SPDX-License-Identifier: Apache-2.0 */
/* Heads: files of first bytes that prove themselves. */
#include "store_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <varve/byteorder.h>
#include <varve/clock.h>
#include <varve/file.h>

/* Behind the bytes, little-endian: magic, content, inode, size, bytes, mtime (8 each), version,
 * CRC32C of the bytes, CRC32C of all before it, 0 (4 each). */
#define TRAILER_BYTES 64u
#define TRAILER_CRC_AT 56u
#define CHUNK_BYTES (256u << 10)
/* Uses are noted no more often than this: a note is a write. */
#define USED_NS (3600 * VARVE_NS_PER_SECOND)

static const uint8_t magic[8] = {'v', 'a', 'r', 'v', 'h', 'e', 'a', 'd'};

static void
encode(const struct varve_head *head, uint32_t crc, uint8_t ret[TRAILER_BYTES])
{
    memset(ret, 0, TRAILER_BYTES);
    memcpy(ret, magic, sizeof magic);
    varve_put_le64(ret + 8, head->content);
    varve_put_le64(ret + 16, head->ino);
    varve_put_le64(ret + 24, head->size);
    varve_put_le64(ret + 32, head->bytes);
    varve_put_le64(ret + 40, (uint64_t)head->mtime_ns);
    varve_put_le32(ret + 48, head->version);
    varve_put_le32(ret + 52, crc);
    varve_put_le32(ret + TRAILER_CRC_AT, varve_crc32c(0, ret, TRAILER_CRC_AT));
}

static bool
damaged(struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "the head is damaged or of another file");
}

static int
open_at(const struct store_path *path, const char *name, int flags)
{
    return openat(path->heads_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool
open_head(const struct varve_store *store, const struct varve_place *place, int flags, int *ret_fd,
          struct varve_error *err)
{
    const struct store_path *path;
    if (!store_path_of(store, place, &path, err))
        return varve_error_wrap(err, "open head");
    char name[STORE_NAME_BYTES];
    store_name(place->file, name);
    *ret_fd = open_at(path, name, flags);
    if (*ret_fd < 0 && errno == ENOENT && (flags & O_CREAT) != 0) {
        char shard[8]; /* made when it is needed first: most tiers have no heads */
        (void)snprintf(shard, sizeof shard, "%02x", (unsigned)(place->file & 0xff));
        (void)mkdirat(path->heads_fd, shard, 0700); /* the open tells if it is not there */
        *ret_fd = open_at(path, name, flags);
    }
    if (*ret_fd < 0 && errno == ENOENT)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "head '%s/heads/%s' is missing",
                               path->path, name);
    return *ret_fd >= 0 || varve_error_system(err, errno, "open '%s/heads/%s'", path->path, name);
}

/* CRC32C of the first bytes of `from`, which go to `to` too if that is not -1. */
static bool
run_through(int from, int to, uint64_t bytes, uint32_t *ret_crc, struct varve_error *err)
{
    VARVE_CLEANUP_FREE uint8_t *chunk = malloc(CHUNK_BYTES);
    if (chunk == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "head");
    *ret_crc = 0;
    for (uint64_t at = 0; at < bytes; at += CHUNK_BYTES) {
        size_t count = bytes - at < CHUNK_BYTES ? (size_t)(bytes - at) : CHUNK_BYTES;
        if (!varve_file_pread(from, chunk, count, at, err) ||
            (to >= 0 && !varve_file_pwrite(to, chunk, count, at, err)))
            return false;
        *ret_crc = varve_crc32c(*ret_crc, chunk, count);
    }
    return true;
}

static bool
fill(int fd, const struct varve_head *head, int from, struct varve_error *err)
{
    uint8_t trailer[TRAILER_BYTES];
    uint32_t crc;
    if (!run_through(from, fd, head->bytes, &crc, err))
        return false;
    encode(head, crc, trailer);
    return varve_file_pwrite(fd, trailer, sizeof trailer, head->bytes, err);
}

bool
varve_store_head_write(const struct varve_store *store, const struct varve_place *place,
                       const struct varve_head *head, int from, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = -1;
    struct varve_error unused; /* what stays is swept */
    if (!open_head(store, place, O_RDWR | O_CREAT | O_TRUNC, &fd, err))
        return false;
    if (fill(fd, head, from, err))
        return true;
    VARVE_IGNORE(varve_store_head_remove(store, place, &unused));
    return varve_error_wrap(err, "write head");
}

static bool
read_trailer(int fd, uint8_t ret[TRAILER_BYTES], struct varve_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return varve_error_system(err, errno, "look at head");
    if (st.st_size < (off_t)TRAILER_BYTES)
        return damaged(err);
    return varve_file_pread(fd, ret, TRAILER_BYTES, (uint64_t)st.st_size - TRAILER_BYTES, err) &&
           ((memcmp(ret, magic, sizeof magic) == 0 &&
             varve_get_le32(ret + TRAILER_CRC_AT) == varve_crc32c(0, ret, TRAILER_CRC_AT) &&
             varve_get_le64(ret + 32) == (uint64_t)st.st_size - TRAILER_BYTES) ||
            damaged(err));
}

static bool
check(int fd, const struct varve_head *head, struct varve_error *err)
{
    uint8_t trailer[TRAILER_BYTES];
    uint8_t wanted[TRAILER_BYTES];
    uint32_t crc;
    if (!read_trailer(fd, trailer, err))
        return false;
    encode(head, varve_get_le32(trailer + 52), wanted);
    if (memcmp(trailer, wanted, TRAILER_BYTES) != 0)
        return damaged(err);
    return run_through(fd, -1, head->bytes, &crc, err) &&
           (crc == varve_get_le32(trailer + 52) || damaged(err));
}

static void
note_use(int fd)
{
    struct stat st;
    struct timespec now;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    if (fstat(fd, &st) == 0 && clock_gettime(CLOCK_REALTIME, &now) == 0 &&
        now.tv_sec - st.st_mtim.tv_sec > USED_NS / VARVE_NS_PER_SECOND)
        (void)futimens(fd, times); /* else it goes a little early */
}

bool
varve_store_head_open(const struct varve_store *store, const struct varve_place *place,
                      const struct varve_head *head, int *ret_fd, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = -1;
    if (!open_head(store, place, O_RDONLY, &fd, err) || !check(fd, head, err))
        return false;
    note_use(fd);
    *ret_fd = VARVE_TAKE_FD(fd);
    return true;
}

bool
varve_store_head_look(const struct varve_store *store, const struct varve_place *place,
                      struct varve_head *ret, struct varve_error *err)
{
    uint8_t trailer[TRAILER_BYTES];
    VARVE_CLEANUP_FD int fd = -1;
    if (!open_head(store, place, O_RDONLY, &fd, err) || !read_trailer(fd, trailer, err))
        return false;
    *ret = (struct varve_head){.content = varve_get_le64(trailer + 8),
                               .ino = varve_get_le64(trailer + 16),
                               .size = varve_get_le64(trailer + 24),
                               .bytes = varve_get_le64(trailer + 32),
                               .mtime_ns = (int64_t)varve_get_le64(trailer + 40),
                               .version = varve_get_le32(trailer + 48)};
    return true;
}

bool
varve_store_head_remove(const struct varve_store *store, const struct varve_place *place,
                        struct varve_error *err)
{
    const struct store_path *path;
    if (!store_path_of(store, place, &path, err))
        return varve_error_wrap(err, "remove head");
    char name[STORE_NAME_BYTES];
    store_name(place->file, name);
    if (unlinkat(path->heads_fd, name, 0) != 0 && errno != ENOENT)
        return varve_error_system(err, errno, "remove '%s/heads/%s'", path->path, name);
    return true;
}

struct each_head {
    varve_store_each_head_fn *each;
    void *context;
};

static bool
give_head(void *context, const struct varve_place *place, const struct stat *st,
          struct varve_error *err)
{
    const struct each_head *each = context;
    uint64_t bytes = st->st_size > (off_t)TRAILER_BYTES ? (uint64_t)st->st_size - TRAILER_BYTES : 0;
    return each->each(each->context, place, bytes,
                      st->st_mtim.tv_sec * VARVE_NS_PER_SECOND + st->st_mtim.tv_nsec, err);
}

bool
varve_store_each_head(const struct varve_store *store, varve_store_each_head_fn *each,
                      void *context, struct varve_error *err)
{
    struct each_head heads = {each, context};
    for (size_t i = 0; i < store->count; i++) {
        const struct store_path *path = &store->paths[i];
        if (!store_each_file(path, path->heads_fd, "heads", give_head, &heads, err))
            return false;
    }
    return true;
}
