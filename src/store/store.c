/* SPDX-License-Identifier: Apache-2.0 */
#include "store_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/file.h>

#define MARK_NAME ".varve-tier"
#define MARK_BYTES_MAX 256

void
store_name(uint64_t file, char ret[STORE_NAME_BYTES])
{
    (void)snprintf(ret, STORE_NAME_BYTES, "%02x/%016" PRIx64, (unsigned)(file & 0xff), file);
}

bool
store_path_of(const struct varve_store *store, const struct varve_place *place,
              const struct store_path **ret, struct varve_error *err)
{
    for (size_t i = 0; i < store->count; i++) {
        if (store->paths[i].path_id == place->path_id && store->paths[i].tier == place->tier) {
            *ret = &store->paths[i];
            return true;
        }
    }
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, EIO,
                           "tier %s has no path number %" PRIu32 " in the configuration",
                           varve_tier_name(place->tier), place->path_id);
}

static void
format_mark(const struct varve_uuid *archive, enum varve_tier tier, char ret[MARK_BYTES_MAX])
{
    char uuid[VARVE_UUID_TEXT_BYTES];
    varve_uuid_format(archive, uuid);
    (void)snprintf(ret, MARK_BYTES_MAX, "varve tier 1\narchive %s\ntier %s\n", uuid,
                   varve_tier_name(tier));
}

/* An unmarked path is free to be taken; any mark other than ours is another archive's or tier's. */
static bool
check_mark(const struct store_path *path, const struct varve_uuid *archive, bool *ret_marked,
           struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *name = varve_file_join(path->path, MARK_NAME);
    if (name == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open tier path");
    *ret_marked = false;
    if (access(name, F_OK) != 0 && errno == ENOENT)
        return true;
    VARVE_CLEANUP_BUFFER struct varve_buffer mark = {0};
    if (!varve_file_read(name, MARK_BYTES_MAX, &mark, err))
        return false;
    char want[MARK_BYTES_MAX];
    format_mark(archive, path->tier, want);
    if (strcmp(varve_buffer_string(&mark), want) != 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "it belongs to another archive or tier (see '%s')", name);
    *ret_marked = true;
    return true;
}

/* Looks without touching: an error in the last path must leave the first ones as they were. */
static bool
check_path(struct varve_store *store, struct store_path *path, const struct varve_uuid *archive,
           struct varve_error *err)
{
    struct stat st;
    if (stat(path->path, &st) != 0)
        return varve_error_system(err, errno, "look at it");
    if (!S_ISDIR(st.st_mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, ENOTDIR, "look at it");
    if (access(path->path, R_OK | W_OK | X_OK) != 0)
        return varve_error_system(err, errno, "not writable");
    path->device = st.st_dev;
    path->inode = st.st_ino;
    for (struct store_path *other = store->paths; other < path; other++) {
        if (other->device == path->device && other->inode == path->inode)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "it is the same directory as '%s'",
                                   other->path);
        if (other->path_id == path->path_id)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "it has the same number as '%s'",
                                   other->path);
    }
    bool marked;
    return check_mark(path, archive, &marked, err);
}

static bool
open_dir(const struct store_path *path, const char *name, int *ret_fd, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *dir = varve_file_join(path->path, name);
    if (dir == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open tier path");
    if (!varve_file_make_dirs(dir, 0700, err))
        return false;
    *ret_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return varve_error_system(err, errno, "open '%s'", dir);
    return true;
}

/* All shards are made and durable before the first file, so that a file's name needs one sync. */
static bool
make_shards(const struct store_path *path, struct varve_error *err)
{
    char last[8];
    (void)snprintf(last, sizeof last, "%02x", STORE_SHARDS - 1);
    if (faccessat(path->objects_fd, last, F_OK, 0) == 0)
        return true;
    for (unsigned shard = 0; shard < STORE_SHARDS; shard++) {
        char name[8];
        (void)snprintf(name, sizeof name, "%02x", shard);
        if (mkdirat(path->objects_fd, name, 0700) != 0 && errno != EEXIST)
            return varve_error_system(err, errno, "make directory 'objects/%s'", name);
    }
    return varve_file_sync(path->objects_fd, "objects", err);
}

/* What lies in tmp/ was cut off by a crash before it got a name in objects/. */
static bool
empty_tmp(const struct store_path *path, struct varve_error *err)
{
    int fd = openat(path->tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    VARVE_CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL)
        return varve_error_system(err, errno, "list 'tmp'");
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(path->tmp_fd, entry->d_name, 0) != 0)
            return varve_error_system(err, errno, "remove 'tmp/%s'", entry->d_name);
    }
    return true;
}

static bool
write_mark(const struct store_path *path, const struct varve_uuid *archive, struct varve_error *err)
{
    bool marked;
    if (!check_mark(path, archive, &marked, err))
        return false;
    if (marked)
        return true;
    VARVE_CLEANUP_FREE char *name = varve_file_join(path->path, MARK_NAME);
    if (name == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "mark tier path");
    char mark[MARK_BYTES_MAX];
    format_mark(archive, path->tier, mark);
    return varve_file_replace(name, mark, strlen(mark), err);
}

static bool
open_path(struct store_path *path, const struct varve_uuid *archive, struct varve_error *err)
{
    if (!write_mark(path, archive, err) || !open_dir(path, "objects", &path->objects_fd, err) ||
        !open_dir(path, "heads", &path->heads_fd, err) ||
        !open_dir(path, "tmp", &path->tmp_fd, err) || !make_shards(path, err) ||
        !empty_tmp(path, err))
        return false;
    path->staging = varve_file_join(path->path, "staging");
    if (path->staging == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open tier path");
    if (!varve_file_make_dirs(path->staging, 0700, err))
        return false;
    path->leases = store_probe_leases(path);
    atomic_store(&path->may_pass, path->leases);
    return true;
}

static bool
copy_paths(struct varve_store *store, const struct varve_store_path *paths, size_t count,
           struct varve_error *err)
{
    store->paths = calloc(count, sizeof *store->paths);
    if (store->paths == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open tiers");
    store->count = count;
    for (size_t i = 0; i < count; i++) {
        struct store_path *path = &store->paths[i];
        path->tier = paths[i].tier;
        path->path_id = paths[i].path_id;
        path->objects_fd = path->heads_fd = path->tmp_fd = -1;
        path->path = strdup(paths[i].path);
        if (path->path == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open tiers");
    }
    return true;
}

bool
varve_store_open(const struct varve_store_path *paths, size_t count,
                 const struct varve_uuid *archive, struct varve_store **ret,
                 struct varve_error *err)
{
    if (count == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "an archive needs a path for its ssd or hdd tier");
    VARVE_CLEANUP(varve_store_close) struct varve_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open tiers");
    if (!copy_paths(store, paths, count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!check_path(store, &store->paths[i], archive, err))
            return varve_error_wrap(err, "tier path '%s'", paths[i].path);
    }
    for (size_t i = 0; i < count; i++) {
        if (!open_path(&store->paths[i], archive, err))
            return varve_error_wrap(err, "tier path '%s'", paths[i].path);
    }
    *ret = VARVE_TAKE(store);
    return true;
}

void
varve_store_close(struct varve_store *store)
{
    if (store == NULL)
        return;
    for (size_t i = 0; i < store->count; i++) {
        struct store_path *path = &store->paths[i];
        if (path->path != NULL && path->objects_fd >= 0)
            (void)close(path->objects_fd); /* directories, opened for reading: nothing to lose */
        if (path->path != NULL && path->heads_fd >= 0)
            (void)close(path->heads_fd);
        if (path->path != NULL && path->tmp_fd >= 0)
            (void)close(path->tmp_fd);
        free(path->staging);
        free(path->path);
    }
    free(store->paths);
    free(store);
}

bool
varve_store_has_tier(const struct varve_store *store, enum varve_tier tier)
{
    for (size_t i = 0; i < store->count; i++) {
        if (store->paths[i].tier == tier)
            return true;
    }
    return false;
}

enum varve_tier
varve_store_path_tier(const struct varve_store *store, uint32_t path_id)
{
    for (size_t i = 0; i < store->count; i++) {
        if (store->paths[i].path_id == path_id)
            return store->paths[i].tier;
    }
    return VARVE_TIER_NONE;
}

const char *
varve_store_staging(const struct varve_store *store)
{
    for (size_t i = 0; i < store->count; i++) {
        if (store->paths[i].tier == VARVE_TIER_HDD)
            return store->paths[i].staging;
    }
    return store->paths[0].staging;
}
