/* SPDX-License-Identifier: Apache-2.0 */
#include "store_internal.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <varve/file.h>

bool
varve_store_create(const struct varve_store *store, const struct varve_place *place, int *ret_fd,
                   struct varve_error *err)
{
    const struct store_path *path;
    if (!store_path_of(store, place, &path, err))
        return varve_error_wrap(err, "create backing file");
    char name[STORE_NAME_BYTES];
    store_name(place->file, name);
    int fd = openat(path->objects_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return varve_error_system(err, errno, "create '%s/objects/%s'", path->path, name);
    *ret_fd = fd;
    return true;
}

bool
varve_store_open_file(const struct varve_store *store, const struct varve_place *place, int flags,
                      int *ret_fd, struct varve_error *err)
{
    const struct store_path *path;
    if (!store_path_of(store, place, &path, err))
        return varve_error_wrap(err, "open backing file");
    char name[STORE_NAME_BYTES];
    store_name(place->file, name);
    int fd = openat(path->objects_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);
    /* A backing file that is gone is an input/output error to whoever reads it through the mount:
     * the name that he opened is there. */
    if (fd < 0 && errno == ENOENT)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, EIO,
                               "backing file '%s/objects/%s' is missing", path->path, name);
    if (fd < 0)
        return varve_error_system(err, errno, "open '%s/objects/%s'", path->path, name);
    *ret_fd = fd;
    return true;
}

bool
varve_store_stat(const struct varve_store *store, const struct varve_place *place, struct stat *ret,
                 struct varve_error *err)
{
    const struct store_path *path;
    if (!store_path_of(store, place, &path, err))
        return varve_error_wrap(err, "look at backing file");
    char name[STORE_NAME_BYTES];
    store_name(place->file, name);
    if (fstatat(path->objects_fd, name, ret, AT_SYMLINK_NOFOLLOW) == 0)
        return true;
    if (errno == ENOENT)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, EIO,
                               "backing file '%s/objects/%s' is missing", path->path, name);
    return varve_error_system(err, errno, "look at '%s/objects/%s'", path->path, name);
}

bool
varve_store_remove(const struct varve_store *store, const struct varve_place *place,
                   struct varve_error *err)
{
    const struct store_path *path;
    if (!store_path_of(store, place, &path, err))
        return varve_error_wrap(err, "remove backing file");
    char name[STORE_NAME_BYTES];
    store_name(place->file, name);
    if (unlinkat(path->objects_fd, name, 0) != 0 && errno != ENOENT)
        return varve_error_system(err, errno, "remove '%s/objects/%s'", path->path, name);
    return true;
}

bool
varve_store_sync_name(const struct varve_store *store, const struct varve_place *place,
                      struct varve_error *err)
{
    const struct store_path *path;
    if (!store_path_of(store, place, &path, err))
        return varve_error_wrap(err, "sync name of backing file");
    char shard[8];
    (void)snprintf(shard, sizeof shard, "%02x", (unsigned)(place->file & 0xff));
    VARVE_CLEANUP_FD int fd = openat(path->objects_fd, shard, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return varve_error_system(err, errno, "open '%s/objects/%s'", path->path, shard);
    if (!varve_file_sync(fd, shard, err))
        return varve_error_wrap(err, "'%s/objects'", path->path);
    return true;
}

bool
varve_store_sync_all(const struct varve_store *store, struct varve_error *err)
{
    for (size_t i = 0; i < store->count; i++) {
        if (syncfs(store->paths[i].objects_fd) != 0)
            return varve_error_system(err, errno, "sync tier '%s'", store->paths[i].path);
    }
    return true;
}

void
varve_store_mark_origin(const struct varve_store *store, const struct varve_place *place,
                        const char *json)
{
    struct varve_error unused;
    int fd;
    if (!store_guest_enters(store, place, &fd, &unused))
        return; /* the mark is a convenience for the day the catalog is lost */
    (void)fsetxattr(fd, STORE_ORIGIN, json, strlen(json), 0);
    store_guest_leaves(store, place, fd);
}

bool
varve_store_origin(const struct varve_store *store, const struct varve_place *place,
                   struct varve_buffer *ret, struct varve_error *err)
{
    char value[2 * VARVE_PATH_BYTES_MAX];
    VARVE_CLEANUP_FD int fd = -1;
    if (!varve_store_open_file(store, place, O_RDONLY, &fd, err))
        return false;
    ssize_t size = fgetxattr(fd, STORE_ORIGIN, value, sizeof value);
    if (size < 0)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, errno, "origin of backing file");
    varve_buffer_append(ret, value, (size_t)size);
    return varve_buffer_ok(ret, err);
}

/* Exactly 16 lower-case hex digits whose last two are the shard; anything else is not ours. */
static bool
parse_name(const char *text, unsigned shard, uint64_t *ret)
{
    if (strlen(text) != 16)
        return false;
    uint64_t file = 0;
    for (const char *c = text; *c != 0; c++) {
        if (!isdigit((unsigned char)*c) && (*c < 'a' || *c > 'f'))
            return false;
        file = file << 4 | (uint64_t)(isdigit((unsigned char)*c) ? *c - '0' : *c - 'a' + 10);
    }
    *ret = file;
    return (file & 0xff) == shard;
}

static bool
each_in_shard(const struct store_path *path, int base_fd, unsigned shard, store_each_fn *each,
              void *context, struct varve_error *err)
{
    char name[8];
    (void)snprintf(name, sizeof name, "%02x", shard);
    int fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && base_fd == path->heads_fd)
        return true; /* no head was put there yet */
    VARVE_CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL)
        return varve_error_system(err, errno, "list '%s'", name);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct varve_place place = {.tier = path->tier, .path_id = path->path_id};
        struct stat st;
        if (!parse_name(entry->d_name, shard, &place.file) ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (!each(context, &place, &st, err))
            return false;
    }
    return true;
}

bool
store_each_file(const struct store_path *path, int base_fd, const char *base, store_each_fn *each,
                void *context, struct varve_error *err)
{
    for (unsigned shard = 0; shard < STORE_SHARDS; shard++) {
        if (!each_in_shard(path, base_fd, shard, each, context, err))
            return varve_error_wrap(err, "'%s/%s'", path->path, base);
    }
    return true;
}

/* For callers who want the size alone. */
struct each_size {
    varve_store_each_fn *each;
    void *context;
};

static bool
give_size(void *context, const struct varve_place *place, const struct stat *st,
          struct varve_error *err)
{
    const struct each_size *each = context;
    return each->each(each->context, place, (uint64_t)st->st_size, err);
}

bool
varve_store_each(const struct varve_store *store, varve_store_each_fn *each, void *context,
                 struct varve_error *err)
{
    struct each_size sizes = {each, context};
    for (size_t i = 0; i < store->count; i++) {
        const struct store_path *path = &store->paths[i];
        if (!store_each_file(path, path->objects_fd, "objects", give_size, &sizes, err))
            return false;
    }
    return true;
}
