/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/file.h>

#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

bool
varve_file_pread(int fd, void *bytes, size_t count, uint64_t offset, struct varve_error *err)
{
    uint8_t *out = bytes;
    while (count > 0) {
        ssize_t got = pread(fd, out, count, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return varve_error_system(err, errno, "read at byte %" PRIu64, offset);
        if (got == 0)
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "file ends at byte %" PRIu64,
                                   offset);
        out += got;
        offset += (uint64_t)got;
        count -= (size_t)got;
    }
    return true;
}

bool
varve_file_pwrite(int fd, const void *bytes, size_t count, uint64_t offset, struct varve_error *err)
{
    const uint8_t *in = bytes;
    while (count > 0) {
        ssize_t put = pwrite(fd, in, count, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return varve_error_system(err, errno, "write at byte %" PRIu64, offset);
        in += put;
        offset += (uint64_t)put;
        count -= (size_t)put;
    }
    return true;
}

bool
varve_file_read(const char *path, uint64_t bytes_max, struct varve_buffer *ret,
                struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return varve_error_system(err, errno, "open '%s'", path);
    uint64_t total = 0;
    for (;;) {
        uint8_t chunk[16384];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return varve_error_system(err, errno, "read '%s'", path);
        if (got == 0)
            return varve_buffer_ok(ret, err);
        total += (uint64_t)got;
        if (total > bytes_max)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "'%s' has more than %" PRIu64 " bytes", path, bytes_max);
        varve_buffer_append(ret, chunk, (size_t)got);
    }
}

bool
varve_file_sync(int fd, const char *name, struct varve_error *err)
{
    if (fsync(fd) != 0)
        return varve_error_system(err, errno, "sync '%s'", name);
    return true;
}

bool
varve_file_sync_dir(const char *path, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return varve_error_system(err, errno, "open directory '%s'", path);
    return varve_file_sync(fd, path, err);
}

static bool
sync_parent(const char *path, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *parent = strdup(path);
    if (parent == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "sync parent of '%s'", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        return varve_file_sync_dir(".", err);
    slash[slash == parent ? 1 : 0] = 0;
    return varve_file_sync_dir(parent, err);
}

static bool
write_new(const char *path, const void *bytes, size_t count, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return varve_error_system(err, errno, "create '%s'", path);
    if (!varve_file_pwrite(fd, bytes, count, 0, err))
        return varve_error_wrap(err, "'%s'", path);
    return varve_file_sync(fd, path, err);
}

bool
varve_file_replace(const char *path, const void *bytes, size_t count, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *fresh = NULL;
    if (asprintf(&fresh, "%s.new", path) < 0)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "replace '%s'", path);
    if (!write_new(fresh, bytes, count, err)) {
        (void)unlink(fresh); /* the error to tell is the first one */
        return false;
    }
    if (rename(fresh, path) != 0)
        return varve_error_system(err, errno, "rename '%s' to '%s'", fresh, path);
    return sync_parent(path, err);
}

bool
varve_file_make_dirs(const char *path, mode_t mode, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *partial = strdup(path);
    if (partial == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "make directory '%s'", path);
    for (char *slash = strchr(partial + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = 0;
        if (mkdir(partial, mode) == 0) {
            if (!sync_parent(partial, err))
                return false;
        } else if (errno != EEXIST) {
            return varve_error_system(err, errno, "make directory '%s'", partial);
        }
        if (slash == NULL)
            break;
        *slash = '/';
    }
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, ENOTDIR, "make directory '%s'", path);
    return true;
}

static bool
copy_extent(int from, int to, uint64_t offset, uint64_t end, struct varve_error *err)
{
    VARVE_CLEANUP_FREE uint8_t *buffer = NULL;
    const size_t buffer_bytes = 1 << 20;
    while (offset < end) {
        size_t want = end - offset < buffer_bytes ? (size_t)(end - offset) : buffer_bytes;
        off_t in = (off_t)offset;
        off_t out = (off_t)offset;
        ssize_t done = buffer != NULL ? 0 : copy_file_range(from, &in, to, &out, want, 0);
        if (done > 0) {
            offset += (uint64_t)done;
            continue;
        }
        if (done < 0 && errno == EINTR)
            continue;
        /* Not supported between these filesystems, or the source shrank: plain reads tell which. */
        if (buffer == NULL && (buffer = malloc(buffer_bytes)) == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "copy");
        if (!varve_file_pread(from, buffer, want, offset, err) ||
            !varve_file_pwrite(to, buffer, want, offset, err))
            return false;
        offset += want;
    }
    return true;
}

bool
varve_file_copy(int from, int to, uint64_t count, struct varve_error *err)
{
    if (ioctl(to, FICLONE, from) == 0) {
        if (ftruncate(to, (off_t)count) != 0)
            return varve_error_system(err, errno, "copy");
        return true;
    }
    uint64_t offset = 0;
    while (offset < count) {
        off_t data = lseek(from, (off_t)offset, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* only a hole is left */
        if (data < 0)
            data = (off_t)offset;
        off_t hole = lseek(from, data, SEEK_HOLE);
        uint64_t end = hole < 0 || (uint64_t)hole > count ? count : (uint64_t)hole;
        if ((uint64_t)data < end && !copy_extent(from, to, (uint64_t)data, end, err))
            return false;
        offset = end;
    }
    if (ftruncate(to, (off_t)count) != 0)
        return varve_error_system(err, errno, "copy");
    return true;
}

bool
varve_file_temporary(const char *dir, int *ret_fd, struct varve_error *err)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return varve_error_system(err, errno, "temporary file in '%s'", dir);
    *ret_fd = fd;
    return true;
}

bool
varve_file_lock(const char *path, int *ret_fd, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return varve_error_system(err, errno, "open '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return varve_error_system(err, errno, "lock '%s'", path);
        char holder[32] = "";
        ssize_t got = pread(fd, holder, sizeof holder - 1, 0);
        holder[got > 0 ? strcspn(holder, "\n") : 0] = 0;
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "'%s' is locked by process %s", path,
                               holder[0] != 0 ? holder : "?");
    }
    char self[32];
    int length = snprintf(self, sizeof self, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, self, (size_t)length, 0) != length)
        return varve_error_system(err, errno, "write '%s'", path);
    *ret_fd = VARVE_TAKE_FD(fd);
    return true;
}

char *
varve_file_join(const char *dir, const char *name)
{
    char *joined = NULL;
    if (asprintf(&joined, "%s/%s", dir, name) < 0)
        return NULL;
    return joined;
}
