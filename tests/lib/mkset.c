/* SPDX-License-Identifier: Apache-2.0 */
/* mkset TREE OUT N M [SPLIT]: a set of N+M discs with the files of TREE, as OUT/0.img, OUT/1.img...
 * Files go round robin over the data discs; those larger than SPLIT bytes (default 1 MiB) lie in
 * two parts on two discs (of N > 1). Every disc has the records of all directories. */
#include "memory_set.h"

#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <varve/file.h>
#include <varve/text.h>

#define RECORDS_MAX 100000u

struct disc {
    struct varve_manifest *manifest;
    char *paths[RECORDS_MAX]; /* of the content of each record */
    uint64_t offsets[RECORDS_MAX];
};
struct maker {
    unsigned n, m, next;
    uint64_t split;
    struct disc *discs;
};

static int64_t
nanoseconds(const struct timespec *time)
{
    return time->tv_sec * INT64_C(1000000000) + time->tv_nsec;
}

static enum varve_record_type
type_of(mode_t mode)
{
    if (S_ISDIR(mode))
        return VARVE_RECORD_DIRECTORY;
    if (S_ISREG(mode))
        return VARVE_RECORD_FILE;
    return S_ISLNK(mode) ? VARVE_RECORD_SYMLINK : VARVE_RECORD_SPECIAL;
}

static bool
add_xattrs(const FTSENT *entry, struct varve_record *record, struct varve_error *err)
{
    char names[4096], value[4096];
    ssize_t size = llistxattr(entry->fts_accpath, names, sizeof names);
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t bytes = lgetxattr(entry->fts_accpath, names + at, value, sizeof value);
        if (bytes >= 0 && !varve_record_add_xattr(record, names + at, value, (size_t)bytes, err))
            return false;
    }
    return true;
}

/* One piece of the entry as a record of disc `index`. */
static bool
add_record(struct maker *maker, unsigned index, const FTSENT *entry,
           const struct varve_record *shape, struct varve_error *err)
{
    struct disc *disc = &maker->discs[index];
    struct varve_record record = *shape;
    char target[4096];
    size_t at = disc->manifest->count;
    uint64_t parent =
        entry->fts_level <= 1 ? VARVE_ROOT_INO : entry->fts_parent->fts_statp->st_ino + 1000;
    if (at == RECORDS_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "too many files");
    if (entry->fts_level > 0 && !varve_record_add_name(&record, parent, entry->fts_name, err))
        return false;
    if (record.type == VARVE_RECORD_SYMLINK) {
        ssize_t size = readlink(entry->fts_accpath, target, sizeof target - 1);
        target[size < 0 ? 0 : size] = 0;
        record.target = strdup(target);
    }
    disc->paths[at] = strdup(entry->fts_path);
    disc->offsets[at] = record.piece_offset;
    return add_xattrs(entry, &record, err) && varve_manifest_add(disc->manifest, &record, err);
}

/* Another name of a file that is there already, on every disc that has it. */
static bool
add_link(struct maker *maker, const FTSENT *entry, uint64_t ino, bool *ret, struct varve_error *err)
{
    uint64_t parent =
        entry->fts_level <= 1 ? VARVE_ROOT_INO : entry->fts_parent->fts_statp->st_ino + 1000;
    *ret = false;
    for (unsigned i = 0; i < maker->n; i++) {
        struct varve_manifest *manifest = maker->discs[i].manifest;
        for (size_t r = 0; r < manifest->count; r++) {
            if (manifest->records[r].ino != ino)
                continue;
            *ret = true;
            if (!varve_record_add_name(&manifest->records[r], parent, entry->fts_name, err))
                return false;
        }
    }
    return true;
}

static bool
add_entry(struct maker *maker, const FTSENT *entry, struct varve_error *err)
{
    const struct stat *info = entry->fts_statp;
    bool is_file = S_ISREG(info->st_mode), linked = false;
    uint64_t size = is_file ? (uint64_t)info->st_size : 0;
    struct varve_record shape = {
        .type = type_of(info->st_mode),
        .ino = entry->fts_level == 0 ? VARVE_ROOT_INO : info->st_ino + 1000,
        .mode = info->st_mode,
        .uid = info->st_uid,
        .gid = info->st_gid,
        .rdev = info->st_rdev,
        .size = size,
        .atime_ns = nanoseconds(&info->st_atim),
        .mtime_ns = nanoseconds(&info->st_mtim),
        .ctime_ns = nanoseconds(&info->st_ctim),
        .content = size > 0 ? info->st_ino + 1000 : 0,
        .version = size > 0,
        .parts = 1,
        .piece_bytes = size,
    };
    if (info->st_nlink > 1 && !S_ISDIR(info->st_mode) &&
        (!add_link(maker, entry, shape.ino, &linked, err) || linked))
        return linked;
    if (S_ISDIR(info->st_mode)) {
        for (unsigned i = 0; i < maker->n; i++) {
            if (!add_record(maker, i, entry, &shape, err))
                return false;
        }
        return true;
    }
    unsigned disc = maker->next++ % maker->n;
    if (size <= maker->split || maker->n < 2)
        return add_record(maker, disc, entry, &shape, err);
    shape.parts = 2;
    shape.piece_bytes = size / 2;
    if (!add_record(maker, disc, entry, &shape, err))
        return false;
    shape.part = 1;
    shape.piece_offset = size / 2;
    shape.piece_bytes = size - size / 2;
    return add_record(maker, maker->next++ % maker->n, entry, &shape, err);
}

static int
compare_names(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool
scan(struct maker *maker, char *root, struct varve_error *err)
{
    char *const roots[] = {root, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, compare_names);
    if (walk == NULL)
        return varve_error_system(err, errno, "open '%s'", root);
    bool done = true;
    for (FTSENT *entry; done && (entry = fts_read(walk)) != NULL;) {
        if (entry->fts_info != FTS_DP)
            done = add_entry(maker, entry, err);
    }
    (void)fts_close(walk); /* only read from */
    return done;
}

static bool
read_file(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
          struct varve_error *err)
{
    const struct disc *disc = context;
    VARVE_CLEANUP_FD int fd = open(disc->paths[record], O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return varve_error_system(err, errno, "open '%s'", disc->paths[record]);
    return varve_file_pread(fd, ret, size, disc->offsets[record] + offset, err);
}

static bool
write_set(const struct memory_set *set, const char *out, struct varve_error *err)
{
    for (unsigned i = 0; i < set->n + set->m; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%u.img", out, i);
        VARVE_CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0)
            return varve_error_system(err, errno, "create '%s'", path);
        if (!varve_file_pwrite(fd, set->discs[i].bytes,
                               set->discs[i].map.clusters * VARVE_CLUSTER_BYTES, 0, err))
            return false;
    }
    return true;
}

static bool
run(struct maker *maker, char **argv, struct varve_error *err)
{
    struct varve_manifest *manifests[MEMORY_SET_DISCS_MAX];
    struct varve_image_source sources[MEMORY_SET_DISCS_MAX];
    struct memory_set set, shape = {.n = maker->n, .m = maker->m, .number = 7};
    for (unsigned i = 0; i < maker->n; i++) {
        maker->discs[i].manifest = varve_manifest_new();
        if (maker->discs[i].manifest == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "manifest");
        manifests[i] = maker->discs[i].manifest;
        sources[i] = (struct varve_image_source){&maker->discs[i], read_file};
    }
    if (!scan(maker, argv[1], err))
        return false;
    bool ok =
        memory_set_make(&set, &shape, manifests, sources, err) && write_set(&set, argv[2], err);
    memory_set_done(&set);
    return ok;
}

int
main(int argc, char **argv)
{
    struct varve_error err = {0};
    uint64_t n, m, split = 1u << 20;
    if (argc < 5 || argc > 6 || !varve_text_parse_number(argv[3], 16, &n, &err) || n == 0 ||
        !varve_text_parse_number(argv[4], 16, &m, &err) ||
        (argc == 6 && !varve_text_parse_bytes(argv[5], &split, &err))) {
        (void)fputs("usage: mkset TREE OUT N M [SPLIT]\n", stderr);
        return 2;
    }
    struct maker maker = {.n = (unsigned)n, .m = (unsigned)m, .split = split};
    maker.discs = calloc(n, sizeof *maker.discs);
    bool ok = maker.discs != NULL && run(&maker, argv, &err);
    if (!ok)
        (void)fprintf(stderr, "mkset: %s\n", err.text);
    for (size_t i = 0; maker.discs != NULL && i < maker.n * RECORDS_MAX; i++)
        free(maker.discs[i / RECORDS_MAX].paths[i % RECORDS_MAX]);
    free(maker.discs);
    return ok ? 0 : 1;
}
