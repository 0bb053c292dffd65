/* SPDX-License-Identifier: Apache-2.0 */
#include "store_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <varve/file.h>

#define HASH_BYTES (UINT64_C(1) << 20)

static bool
hash_file(int fd, uint64_t bytes, struct varve_digest *ret, struct varve_error *err)
{
    VARVE_CLEANUP(varve_sha256_free) struct varve_sha256 *sha = NULL;
    VARVE_CLEANUP_FREE uint8_t *chunk = malloc(HASH_BYTES);
    if (chunk == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "checksum");
    if (!varve_sha256_new(&sha, err))
        return false;
    for (uint64_t offset = 0; offset < bytes; offset += HASH_BYTES) {
        size_t want = bytes - offset < HASH_BYTES ? (size_t)(bytes - offset) : HASH_BYTES;
        if (!varve_file_pread(fd, chunk, want, offset, err))
            return false;
        varve_sha256_update(sha, chunk, want);
    }
    varve_sha256_final(sha, ret);
    return true;
}

/* What has no name in objects/ is emptied away at the next open, but need not wait for it. */
static bool
drop_tmp(const struct store_path *path, const char *name)
{
    (void)unlinkat(path->tmp_fd, name, 0);
    return false;
}

static bool
copy_bytes(int from, int to, uint64_t bytes, struct varve_error *err)
{
    struct stat st;
    if (fstat(from, &st) != 0)
        return varve_error_system(err, errno, "look at source");
    if ((uint64_t)st.st_size != bytes)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "source has %" PRIu64 " bytes, not %" PRIu64, (uint64_t)st.st_size,
                               bytes);
    if (!varve_file_copy(from, to, bytes, err))
        return false;
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (futimens(to, times) != 0)
        return varve_error_system(err, errno, "set times");
    return true;
}

/* rename that never replaces; EINVAL is how filesystems without the flag answer. */
static bool
name_copy(const struct store_path *path, const char *tmp, const char *name, struct varve_error *err)
{
    int fail = 0;
    if (renameat2(path->tmp_fd, tmp, path->objects_fd, name, RENAME_NOREPLACE) != 0)
        fail = errno;
    if (fail == EINVAL || fail == ENOSYS) {
        fail = 0;
        if (faccessat(path->objects_fd, name, F_OK, 0) == 0)
            fail = EEXIST;
        else if (renameat(path->tmp_fd, tmp, path->objects_fd, name) != 0)
            fail = errno;
    }
    if (fail != 0)
        return varve_error_system(err, fail, "name '%s/objects/%s'", path->path, name);
    return true;
}

/* The mark goes with the bytes. Best effort, as everywhere. */
static void
copy_origin(int from, int to)
{
    char value[2 * VARVE_PATH_BYTES_MAX];
    ssize_t size = fgetxattr(from, STORE_ORIGIN, value, sizeof value);
    if (size > 0)
        (void)fsetxattr(to, STORE_ORIGIN, value, (size_t)size, 0);
}

bool
varve_store_copy(const struct varve_store *store, const struct varve_place *from,
                 const struct varve_place *to, uint64_t bytes, struct varve_error *err)
{
    const struct store_path *path;
    VARVE_CLEANUP_FD int source = -1;
    if (!varve_store_open_file(store, from, O_RDONLY, &source, err) ||
        !store_path_of(store, to, &path, err))
        return varve_error_wrap(err, "copy backing file");
    char name[STORE_NAME_BYTES];
    store_name(to->file, name);
    const char *tmp = name + 3; /* without the shard */
    VARVE_CLEANUP_FD int copy =
        openat(path->tmp_fd, tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (copy < 0)
        return varve_error_system(err, errno, "create '%s/tmp/%s'", path->path, tmp);
    copy_origin(source, copy);
    if (copy_bytes(source, copy, bytes, err) && name_copy(path, tmp, name, err))
        return true;
    varve_error_wrap(err, "copy backing file to '%s/objects/%s'", path->path, name);
    return drop_tmp(path, tmp);
}

bool
varve_store_compare(const struct varve_store *store, const struct varve_place *from,
                    const struct varve_place *copy, uint64_t bytes, struct varve_error *err)
{
    struct varve_digest digests[2];
    VARVE_CLEANUP_FD int source = -1;
    VARVE_CLEANUP_FD int target = -1;
    if (!varve_store_open_file(store, from, O_RDONLY, &source, err) ||
        !varve_store_open_file(store, copy, O_RDONLY, &target, err))
        return varve_error_wrap(err, "compare copy");
    /* The copy is clean once it is durable: dropping its pages makes the comparison one with the
     * medium. */
    (void)posix_fadvise(target, 0, 0, POSIX_FADV_DONTNEED);
    if (!hash_file(source, bytes, &digests[0], err) || !hash_file(target, bytes, &digests[1], err))
        return varve_error_wrap(err, "compare copy");
    return varve_digest_equal(&digests[0], &digests[1]) ||
           varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "the copy differs from its source");
}
