/* SPDX-License-Identifier: Apache-2.0 */
/* Files into DIR and never out of it: names come from discs, so no symlink is followed, no name has
 * a '/', and nothing that exists is opened for writing. */
#include "recover_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <varve/clock.h>
#include <varve/file.h>

#define DEPTH_MAX 2048u
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

bool
writer_open(const char *dir, const struct tree *tree, struct writer *ret, struct varve_error *err)
{
    *ret = (struct writer){.root = -1, .parent = -1, .tree = tree, .privileged = geteuid() == 0};
    if (!varve_file_make_dirs(dir, 0777, err))
        return false;
    ret->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ret->root < 0)
        return varve_error_system(err, errno, "open '%s'", dir);
    return true;
}

void
writer_close(struct writer *writer)
{
    if (writer->parent >= 0)
        (void)close(writer->parent);
    if (writer->root >= 0)
        (void)close(writer->root);
}

static bool
check_name(const char *name, struct varve_error *err)
{
    size_t size = strlen(name);
    if (size == 0 || size > VARVE_NAME_BYTES_MAX || strchr(name, '/') != NULL ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.255s' is no name for a file", name);
    return true;
}

/* Steps from `*fd` into directory `name`, made if needed. Closes *fd either way. */
static bool
step_into(int *fd, const char *name, struct varve_error *err)
{
    VARVE_CLEANUP_FD int from = *fd;
    *fd = -1;
    if (!check_name(name, err))
        return false;
    /* 0700: nobody else looks in before modes are set, at the end. */
    if (mkdirat(from, name, 0700) != 0 && errno != EEXIST)
        return varve_error_system(err, errno, "make directory '%s'", name);
    *fd = openat(from, name, DIR_FLAGS);
    if (*fd < 0)
        return varve_error_system(err, errno, "directory '%s'", name);
    return true;
}

/* Inodes from `ino` up to the root; false with *ret_lost: where they end instead. */
static size_t
collect_parents(const struct tree *tree, uint64_t ino, const char **names, uint64_t *ret_lost)
{
    size_t count = 0;
    *ret_lost = 0;
    while (ino != VARVE_ROOT_INO) {
        const struct tree_node *node = tree_find(tree, ino);
        if (node == NULL || node->newest->type != VARVE_RECORD_DIRECTORY ||
            node->newest->name_count == 0 || count == DEPTH_MAX) {
            *ret_lost = ino;
            break;
        }
        names[count++] = node->newest->names[0].name;
        ino = node->newest->names[0].parent;
    }
    return count;
}

static bool
enter_lost(int *fd, uint64_t ino, struct varve_error *err)
{
    char name[24];
    (void)snprintf(name, sizeof name, "%" PRIu64, ino);
    return step_into(fd, "lost+found", err) && step_into(fd, name, err);
}

bool
writer_dir(struct writer *writer, uint64_t ino, int *ret_fd, struct varve_error *err)
{
    if (writer->parent_ino == ino && writer->parent >= 0) {
        *ret_fd = writer->parent;
        return true;
    }
    VARVE_CLEANUP_FREE const char **names = calloc(DEPTH_MAX, sizeof *names);
    if (names == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a path");
    uint64_t lost;
    size_t count = collect_parents(writer->tree, ino, names, &lost);
    VARVE_CLEANUP_FD int fd = openat(writer->root, ".", DIR_FLAGS);
    if (fd < 0)
        return varve_error_system(err, errno, "open the target directory");
    if (lost != 0 && !enter_lost(&fd, lost, err))
        return false;
    while (count-- > 0) {
        if (!step_into(&fd, names[count], err))
            return false;
    }
    if (writer->parent >= 0)
        (void)close(writer->parent);
    writer->parent = VARVE_TAKE_FD(fd);
    writer->parent_ino = ino;
    *ret_fd = writer->parent;
    return true;
}

bool
writer_create(struct writer *writer, const struct varve_record *record, int *ret_fd,
              struct varve_error *err)
{
    int dir;
    if (record->name_count == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "inode %" PRIu64 " has no name",
                               record->ino);
    const char *name = record->names[0].name;
    if (!check_name(name, err) || !writer_dir(writer, record->names[0].parent, &dir, err))
        return false;
    int result = -1;
    *ret_fd = -1;
    switch (record->type) {
    case VARVE_RECORD_FILE:
        result = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        *ret_fd = result;
        break;
    case VARVE_RECORD_SYMLINK:
        result = symlinkat(record->target != NULL ? record->target : "", dir, name);
        break;
    case VARVE_RECORD_SPECIAL:
        result = mknodat(dir, name, (record->mode & S_IFMT) | 0600, (dev_t)record->rdev);
        break;
    case VARVE_RECORD_DIRECTORY:
    case VARVE_RECORD_DELETED:
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "no file");
    }
    if (result >= 0)
        return true;
    int number = errno;
    varve_error_system(err, number, "make '%s'", name);
    if (number == EPERM && record->type == VARVE_RECORD_SPECIAL)
        (void)varve_error_hint(err, "only root makes device files");
    return false;
}

bool
writer_link(struct writer *writer, const struct varve_record *record, struct varve_error *err)
{
    int dir;
    if (record->name_count < 2)
        return true;
    if (!writer_dir(writer, record->names[0].parent, &dir, err))
        return false;
    VARVE_CLEANUP_FD int from = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    if (from < 0)
        return varve_error_system(err, errno, "keep a directory");
    for (size_t i = 1; i < record->name_count; i++) {
        const char *name = record->names[i].name;
        if (!check_name(name, err) || !writer_dir(writer, record->names[i].parent, &dir, err))
            return false;
        if (linkat(from, record->names[0].name, dir, name, 0) != 0)
            return varve_error_system(err, errno, "link '%s' to '%s'", name, record->names[0].name);
    }
    return true;
}

static struct timespec
timespec_of(int64_t ns)
{
    int64_t seconds = ns / VARVE_NS_PER_SECOND, rest = ns % VARVE_NS_PER_SECOND;
    if (rest < 0) {
        rest += VARVE_NS_PER_SECOND;
        seconds--;
    }
    return (struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)rest};
}

/* Paths below /proc name what a descriptor cannot: symlinks and special files. `name` was checked
 * and lsetxattr(2) does not follow it. */
static bool
set_xattrs(const struct varve_record *record, int fd, int dir)
{
    char path[64 + VARVE_NAME_BYTES_MAX];
    bool all = true;
    if (fd < 0)
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir, record->names[0].name);
    for (size_t i = 0; i < record->xattr_count; i++) {
        const struct varve_record_xattr *xattr = &record->xattrs[i];
        int result = fd >= 0 ? fsetxattr(fd, xattr->name, xattr->value, xattr->size, 0)
                             : lsetxattr(path, xattr->name, xattr->value, xattr->size, 0);
        all = all && result == 0;
    }
    return all;
}

/* Owner first: changing it takes away set-id bits and capabilities. */
bool
writer_attributes(struct writer *writer, const struct varve_record *record, int fd,
                  struct varve_error *err)
{
    int dir = -1;
    const char *name = record->name_count > 0 ? record->names[0].name : ".";
    if (fd < 0 && !writer_dir(writer, record->names[0].parent, &dir, err))
        return false;
    int owned = fd >= 0 ? fchown(fd, record->uid, record->gid)
                        : fchownat(dir, name, record->uid, record->gid, AT_SYMLINK_NOFOLLOW);
    writer->unowned += owned != 0;
    writer->without_xattrs += !set_xattrs(record, fd, dir);
    mode_t mode = (mode_t)(record->mode & 07777u);
    if (owned != 0)
        mode &= (mode_t) ~(S_ISUID | S_ISGID); /* never a set-id file of the wrong owner */
    int moded = fd >= 0 ? fchmod(fd, mode) : 0;
    if (fd < 0 && record->type == VARVE_RECORD_SPECIAL)
        moded = fchmodat(dir, name, mode, 0); /* just made by us, and no symlink */
    struct timespec times[2] = {timespec_of(record->atime_ns), timespec_of(record->mtime_ns)};
    int timed = fd >= 0 ? futimens(fd, times) : utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
    if (moded != 0 || timed != 0)
        return varve_error_system(err, errno, "set mode and times of '%s'", name);
    return true;
}

void
writer_remove(struct writer *writer, const struct varve_record *record)
{
    int dir;
    struct varve_error ignored = {0}; /* the error to tell is the one that made it useless */
    if (writer_dir(writer, record->names[0].parent, &dir, &ignored))
        (void)unlinkat(dir, record->names[0].name, 0);
}
