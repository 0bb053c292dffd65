/* SPDX-License-Identifier: Apache-2.0 */
/* mkdisc TREE DATA.img [PARITY.img]: the disc of a set 1+1 that holds a directory tree, and its
 * parity disc. The parity of one data disc is that disc (1 / (1 xor 0) = 1), so no code is needed.
 * Prints what the image cost and how fast it was made. */
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <varve/file.h>
#include <varve/image.h>

struct tree {
    struct varve_manifest *manifest;
    char **paths; /* of each record's content */
    size_t capacity;
    struct varve_image_cost cost;
    int fd; /* open file of record `open` */
    size_t open;
    uint64_t bytes;
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
fill_target(const FTSENT *entry, struct varve_record *record, struct varve_error *err)
{
    char target[VARVE_PATH_BYTES_MAX + 1];
    if (record->type != VARVE_RECORD_SYMLINK)
        return true;
    ssize_t size = readlink(entry->fts_accpath, target, sizeof target - 1);
    if (size < 0)
        return varve_error_system(err, errno, "readlink '%s'", entry->fts_path);
    target[size] = 0;
    record->target = strdup(target);
    return record->target != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "target");
}

static bool
keep_path(struct tree *tree, const char *path, struct varve_error *err)
{
    size_t index = tree->manifest->count;
    if (index >= tree->capacity) {
        size_t capacity = 2 * tree->capacity + 64;
        char **paths = reallocarray(tree->paths, capacity, sizeof paths[0]);
        if (paths == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "paths");
        memset(&paths[tree->capacity], 0, (capacity - tree->capacity) * sizeof paths[0]);
        tree->paths = paths;
        tree->capacity = capacity;
    }
    if ((tree->paths[index] = strdup(path)) == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "path");
    return true;
}

static void
add_cost(struct tree *tree, const FTSENT *entry, const struct varve_record *record)
{
    if (record->type == VARVE_RECORD_FILE)
        varve_image_cost_file(&tree->cost, entry->fts_pathlen, record->name_count,
                              record->piece_bytes, 0);
    else
        varve_image_cost_other(&tree->cost, entry->fts_pathlen, 0,
                               record->target == NULL ? 0 : strlen(record->target));
}

static struct varve_record *
find_link(struct tree *tree, uint64_t ino)
{
    for (size_t i = 0; i < tree->manifest->count; i++) {
        if (tree->manifest->records[i].ino == ino)
            return &tree->manifest->records[i];
    }
    return NULL;
}

static bool
add_entry(struct tree *tree, FTSENT *entry, struct varve_error *err)
{
    const struct stat *info = entry->fts_statp;
    uint64_t ino = entry->fts_level == 0 ? VARVE_ROOT_INO : info->st_ino + 1000;
    uint64_t parent =
        entry->fts_level <= 1 ? VARVE_ROOT_INO : entry->fts_parent->fts_statp->st_ino + 1000;
    struct varve_record *known =
        S_ISREG(info->st_mode) && info->st_nlink > 1 ? find_link(tree, ino) : NULL;
    if (known != NULL) {
        varve_image_cost_file(&tree->cost, entry->fts_pathlen, 1, 0, 0);
        return varve_record_add_name(known, parent, entry->fts_name, err);
    }
    struct varve_record record = {
        .type = type_of(info->st_mode),
        .ino = ino,
        .mode = info->st_mode,
        .uid = info->st_uid,
        .gid = info->st_gid,
        .size = S_ISREG(info->st_mode) ? (uint64_t)info->st_size : 0,
        .atime_ns = nanoseconds(&info->st_mtim), /* atime would change from run to run */
        .mtime_ns = nanoseconds(&info->st_mtim),
        .ctime_ns = nanoseconds(&info->st_ctim),
        .btime_ns = nanoseconds(&info->st_mtim),
        .content = ino,
        .parts = 1,
        .piece_bytes = S_ISREG(info->st_mode) ? (uint64_t)info->st_size : 0,
    };
    tree->bytes += record.piece_bytes;
    bool done =
        (entry->fts_level == 0 || varve_record_add_name(&record, parent, entry->fts_name, err)) &&
        fill_target(entry, &record, err) && keep_path(tree, entry->fts_path, err);
    add_cost(tree, entry, &record);
    if (done && varve_manifest_add(tree->manifest, &record, err))
        return true;
    varve_record_done(&record);
    return false;
}

static int
compare_names(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool
scan(struct tree *tree, char *root, struct varve_error *err)
{
    char *const roots[] = {root, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, compare_names);
    if (walk == NULL)
        return varve_error_system(err, errno, "open '%s'", root);
    bool done = true;
    for (FTSENT *entry; done && (entry = fts_read(walk)) != NULL;) {
        if (entry->fts_info != FTS_DP)
            done = add_entry(tree, entry, err);
    }
    (void)fts_close(walk); /* only read from */
    return done;
}

static bool
read_tree(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
          struct varve_error *err)
{
    struct tree *tree = context;
    if (record != tree->open) {
        if (tree->fd >= 0)
            (void)close(tree->fd);
        tree->fd = open(tree->paths[record], O_RDONLY | O_CLOEXEC);
        if (tree->fd < 0)
            return varve_error_system(err, errno, "open '%s'", tree->paths[record]);
        tree->open = record;
    }
    return varve_file_pread(tree->fd, ret, size, offset, err);
}

/* Parity of the one data disc: its image file, zeros behind its end. */
static bool
read_parity(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
            struct varve_error *err)
{
    (void)record;
    return varve_file_pread(*(const int *)context, ret, size, offset, err);
}

static double
seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static bool
write_image(struct varve_image *image, const struct varve_image_source *source, const char *path,
            struct varve_error *err)
{
    static uint8_t cluster[VARVE_CLUSTER_BYTES];
    VARVE_CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    uint64_t clusters = varve_image_map(image)->clusters;
    double making = 0;
    if (fd < 0)
        return varve_error_system(err, errno, "create '%s'", path);
    for (uint64_t i = 0; i < clusters; i++) {
        double start = seconds_now();
        if (!varve_image_render(image, i, source, cluster, err))
            return false;
        making += seconds_now() - start;
        if (!varve_file_pwrite(fd, cluster, sizeof cluster, i * VARVE_CLUSTER_BYTES, err))
            return false;
    }
    (void)printf("%s: %" PRIu64 " clusters, %.0f MB/s\n", path, clusters,
                 (double)clusters * VARVE_CLUSTER_BYTES / 1e6 / (making > 0 ? making : 1e-9));
    return true;
}

static struct varve_disc_identity
identity_of(uint32_t index)
{
    struct varve_disc_identity identity = {.archive_name = "judge",
                                           .set_number = 1,
                                           .data_discs = 1,
                                           .parity_discs = 1,
                                           .index = index,
                                           .created_ns = INT64_C(1700000000123456789)};
    memset(identity.archive.bytes, 0xA1, 16);
    memset(identity.set.bytes, 0x5E, 16);
    memset(identity.disc.bytes, 0xD0 + (int)index, 16);
    return identity;
}

static bool
make_parity(const struct varve_image *data, const char *data_path, const char *path,
            struct varve_error *err)
{
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = NULL;
    VARVE_CLEANUP_FD int fd = open(data_path, O_RDONLY | O_CLOEXEC);
    struct varve_disc_identity identity = identity_of(1);
    const struct varve_disc_map *map = varve_image_map(data);
    struct varve_image_source source = {.context = &fd, .read = read_parity};
    return varve_image_new_parity(&identity, map, map->clusters, &image, err) &&
           varve_image_set_member_crcs(image, 0, varve_image_crcs(data), map->clusters, err) &&
           write_image(image, &source, path, err);
}

static bool
run(struct tree *tree, char **argv, struct varve_error *err)
{
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = NULL;
    struct varve_disc_identity identity = identity_of(0);
    struct varve_image_source source = {.context = tree, .read = read_tree};
    if (!scan(tree, argv[1], err))
        return false;
    size_t records = tree->manifest->count;
    double start = seconds_now();
    if (!varve_image_new_data(&identity, tree->manifest, &image, err))
        return false;
    tree->manifest = NULL;
    (void)printf("%zu records, %" PRIu64 " bytes of content, laid out in %.3f s, bound %" PRIu64
                 " clusters\n",
                 records, tree->bytes, seconds_now() - start,
                 varve_image_cost_clusters(&tree->cost));
    return write_image(image, &source, argv[2], err) &&
           (argv[3] == NULL || make_parity(image, argv[2], argv[3], err));
}

int
main(int argc, char **argv)
{
    struct varve_error err = {0};
    struct tree tree = {.fd = -1, .open = SIZE_MAX};
    if (argc != 3 && argc != 4) {
        (void)fputs("usage: mkdisc TREE DATA.img [PARITY.img]\n", stderr);
        return 2;
    }
    tree.manifest = varve_manifest_new();
    bool done = tree.manifest != NULL && run(&tree, argv, &err);
    if (!done)
        (void)fprintf(stderr, "mkdisc: %s\n", err.text);
    varve_manifest_free(tree.manifest);
    for (size_t i = 0; i < tree.capacity; i++)
        free(tree.paths[i]);
    free(tree.paths);
    if (tree.fd >= 0)
        (void)close(tree.fd);
    return done ? 0 : 1;
}
