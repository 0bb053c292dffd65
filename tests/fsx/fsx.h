/* fsx.h - what the files of the random-operation checker share.
 *
 * A run is a sequence of operations on a few files, their names, descriptors and mappings. Each is
 * done on the filesystem and on a model in memory, and what can be seen of both is compared. An
 * operation draws all its choices from its own number and the seed, so that leaving others out
 * (--skip) does not change what it would like to do. Nothing of varve is used here but a script for
 * what only varve can do (--tier): the same program judges any filesystem. */
#ifndef FSX_H
#define FSX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

enum {
    FSX_NAMES = 8,
    FSX_OBJECTS = 40, /* names, descriptors and mappings can each keep one alive */
    FSX_HANDLES = 10,
    FSX_MAPS = 4,
    FSX_XATTRS = 3,
    FSX_XATTR_MAX = 1000,
    FSX_PAGE = 4096,
    FSX_LOG = 40, /* operations that are told about when one fails */
    FSX_LINE = 240,
    FSX_SKIPS = 64,
};

struct fsx_xattr {
    bool set;
    uint32_t size;
    uint64_t seed;
};

/* A file as it must be. bytes[size..size_max) are zero. */
struct fsx_object {
    bool used;
    uint64_t ino;
    uint8_t *bytes;
    uint64_t size;
    unsigned links, refs; /* refs: descriptors and mappings */
    uint32_t mode;
    struct timespec mtime, ctime;
    bool loose; /* written through a mapping: its times change when the kernel pleases */
    struct fsx_xattr xattrs[FSX_XATTRS];
};

struct fsx_handle {
    int fd; /* -1: free */
    int flags;
    struct fsx_object *object;
};

struct fsx_map {
    uint8_t *address; /* NULL: free */
    uint64_t offset, length;
    bool writable;
    struct fsx_object *object;
};

struct fsx_range {
    uint64_t first, end;
};

struct fsx {
    const char *dir;
    int dir_fd;
    const char *tier_script; /* NULL: no tier operations */
    bool remounts;           /* and it may unmount */
    bool direct, quiet;
    uint64_t seed, ops, size_max, compare_every;
    struct fsx_range skips[FSX_SKIPS];
    unsigned skip_count;
    const char *without; /* names of operations that are left out, in commas */

    uint64_t op; /* the one under way */
    uint64_t random;
    struct timespec before; /* the clock when it began */
    struct fsx_object objects[FSX_OBJECTS];
    struct fsx_object *names[FSX_NAMES];
    struct fsx_handle handles[FSX_HANDLES];
    struct fsx_map maps[FSX_MAPS];
    uint8_t *buffer, *got; /* size_max + a page, page aligned */
    char (*log)[FSX_LINE];
    uint64_t logged;
    unsigned refused; /* fallocate modes (bits of the table) that the filesystem does not have */
};

/* --- fsx_model.c --- */
uint64_t fsx_random(struct fsx *f, uint64_t below);
bool fsx_chance(struct fsx *f, unsigned of); /* one of so many */
/* A line of the log, about the operation under way. */
void fsx_say(struct fsx *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The filesystem is wrong: tells seed and log, exits. */
_Noreturn void
fsx_fail(struct fsx *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void fsx_fail_system(struct fsx *f, const char *what);
/* A part of a file with up to size_max bytes, sometimes at odd places, sometimes behind its end. */
void fsx_part(struct fsx *f, const struct fsx_object *object, bool aligned, uint64_t *ret_offset,
              uint64_t *ret_size);
/* Bytes that tell the operation that wrote them. */
void fsx_fill(struct fsx *f, uint8_t *bytes, uint64_t size);
void fsx_model_write(struct fsx *f, struct fsx_object *object, uint64_t offset,
                     const uint8_t *bytes, uint64_t size);
void fsx_model_resize(struct fsx *f, struct fsx_object *object, uint64_t size);
/* Compares what was read at `offset` with the model; fails with the first byte that differs. */
void fsx_compare(struct fsx *f, const struct fsx_object *object, const char *how, uint64_t offset,
                 const uint8_t *got, uint64_t size);
struct fsx_object *fsx_object_new(struct fsx *f);
/* Frees it once it has neither name nor user. */
void fsx_object_dropped(struct fsx_object *object);
int fsx_name_of(const struct fsx *f, const struct fsx_object *object); /* -1: it has none */
const char *fsx_name(int name);
const char *fsx_label(const struct fsx *f, const struct fsx_object *object);

/* What the operation may have done to the times of a file. */
enum fsx_times {
    FSX_SAME,
    FSX_CHANGED, /* both are of now */
    FSX_CTIME,   /* only ctime is of now */
    FSX_MAYBE,   /* they have not gone back */
};
/* Asks the filesystem, and compares all that stat(2) tells with the model. */
void fsx_check_stat(struct fsx *f, struct fsx_object *object, enum fsx_times times);
/* Reads the whole file by a descriptor. */
void fsx_check_fd(struct fsx *f, const struct fsx_object *object, int fd, const char *how);
/* Every file by name or descriptor, every mapping, all names. */
void fsx_check_all(struct fsx *f);

/* --- fsx_handles.c --- */
enum {
    FSX_READS = 1,
    FSX_WRITES = 2,
    FSX_PLAIN = 4, /* no O_DIRECT, no O_APPEND */
};
/* One that can do that, opened for the purpose if there is none; NULL: no file there. */
struct fsx_handle *fsx_pick(struct fsx *f, unsigned wanted);
struct fsx_handle *fsx_free_handle(struct fsx *f);
void fsx_drop_handle(struct fsx *f, struct fsx_handle *handle);
void fsx_drop_map(struct fsx *f, struct fsx_map *map);
/* Closes and unmaps all of one file; of every file if that is NULL. */
void fsx_drop_users(struct fsx *f, const struct fsx_object *object);
int fsx_pick_name(struct fsx *f, bool existing); /* -1: none */
void fsx_do_open(struct fsx *f);
void fsx_do_close(struct fsx *f);

/* --- operations: fsx_bytes.c, fsx_maps.c, fsx_names.c, fsx_tier.c --- */
void fsx_do_write(struct fsx *f);
void fsx_do_read(struct fsx *f);
void fsx_do_truncate(struct fsx *f);
void fsx_do_ftruncate(struct fsx *f);
void fsx_do_fallocate(struct fsx *f);
void fsx_do_copy_range(struct fsx *f);
void fsx_do_sendfile(struct fsx *f);
void fsx_do_splice(struct fsx *f);
void fsx_do_seek(struct fsx *f);
void fsx_do_sync(struct fsx *f);
void fsx_do_map(struct fsx *f);
void fsx_do_map_write(struct fsx *f);
void fsx_do_map_read(struct fsx *f);
void fsx_do_map_private(struct fsx *f);
void fsx_do_unmap(struct fsx *f);
void fsx_do_rename(struct fsx *f);
void fsx_do_link(struct fsx *f);
void fsx_do_unlink(struct fsx *f);
void fsx_do_xattr(struct fsx *f);
void fsx_do_chmod(struct fsx *f);
void fsx_do_utimens(struct fsx *f);
void fsx_do_stat(struct fsx *f);
void fsx_do_tier(struct fsx *f);
void fsx_do_remount(struct fsx *f);
void fsx_do_crash(struct fsx *f);

/* --- fsx_shared.c: several processes on one file; each tells what is wrong and returns false ---
 */
struct fsx_together {
    const char *dir;
    const char *rest; /* see --rest */
    bool maps;        /* of what is shared */
    unsigned writers;
    uint64_t rounds, seed;
};
bool fsx_append_together(const struct fsx_together *how);
bool fsx_share_pages(const struct fsx_together *how);

#endif
