/* SPDX-License-Identifier: Apache-2.0 */
#include "fs-wait-vfs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct varve_open {
    struct varve_vfs *vfs;
    uint64_t ino;
};
struct varve_vfs vfs = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static bool
unsupported(struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_SYSTEM, EOPNOTSUPP, "not in this test");
}

bool
varve_vfs_getattr(struct varve_vfs *v, uint64_t ino, struct varve_inode *ret,
                  struct varve_error *err)
{
    (void)v;
    (void)err;
    *ret = (struct varve_inode){.ino = ino, .nlink = 1, .mode = S_IFREG | 0644};
    if (ino == VARVE_ROOT_INO)
        ret->mode = S_IFDIR | 0755;
    else
        ret->size = FILE_BYTES;
    return true;
}

bool
varve_vfs_lookup(struct varve_vfs *v, uint64_t parent, const char *name, struct varve_inode *ret,
                 struct varve_error *err)
{
    (void)parent;
    if (strcmp(name, "slow") == 0)
        return varve_vfs_getattr(v, SLOW, ret, err);
    if (strcmp(name, "fast") == 0)
        return varve_vfs_getattr(v, FAST, ret, err);
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "'%s'", name);
}

bool
varve_vfs_open_by(struct varve_vfs *v, const struct varve_reader *reader, uint64_t ino, int flags,
                  struct varve_open **ret, struct varve_error *err)
{
    (void)reader;
    (void)flags;
    struct varve_open *open_file = calloc(1, sizeof *open_file);
    if (open_file == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open");
    *open_file = (struct varve_open){v, ino};
    VARVE_LOCKED(&v->lock);
    v->opens++;
    *ret = open_file;
    return true;
}

void
varve_open_close(struct varve_open *open_file)
{
    {
        VARVE_LOCKED(&open_file->vfs->lock);
        open_file->vfs->opens--;
    }
    free(open_file);
}

bool
varve_open_read(struct varve_open *open_file, uint64_t offset, uint64_t *size, int *ret_fd,
                struct varve_error *err)
{
    VARVE_LOCKED(&open_file->vfs->lock);
    if (open_file->ino == SLOW && !open_file->vfs->resident)
        return varve_error_set(err, VARVE_ERROR_WAIT, 0, "on disc");
    uint64_t left = offset < FILE_BYTES ? FILE_BYTES - offset : 0;
    *size = *size < left ? *size : left;
    *ret_fd = *size == 0 ? -1 : open_file->vfs->fd;
    return true;
}

bool
varve_open_read_some(struct varve_open *open_file, uint64_t offset, uint64_t *size, int *ret_fd,
                     struct varve_error *err)
{
    return varve_open_read(open_file, offset, size, ret_fd, err);
}

bool
varve_open_write(struct varve_open *open_file, int *ret_fd, struct varve_error *err)
{
    uint64_t size = 1;
    return varve_open_read(open_file, 0, &size, ret_fd, err);
}

void
varve_open_shortened(struct varve_open *open)
{
    (void)open;
}

void
varve_open_done(struct varve_open *open_file)
{
    (void)open_file;
}

bool
varve_open_hides_data(struct varve_open *open_file)
{
    (void)open_file;
    return false;
}

bool
varve_vfs_await_for(struct varve_vfs *v, const struct varve_reader *reader,
                    const struct varve_await *await, uint64_t *ret_ticket, struct varve_error *err)
{
    (void)reader;
    bool now = false;
    {
        VARVE_LOCKED(&v->lock);
        if (v->await_count == AWAITS_MAX)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "awaits");
        now = v->resident;
        if (!now)
            v->awaits[v->await_count] = (struct await){await->ready, await->context};
        v->await_count++;
        *ret_ticket = v->await_count;
    }
    if (now)
        await->ready(await->context, NULL); /* from this thread, before the return: allowed */
    return true;
}

bool
varve_vfs_await_cancel(struct varve_vfs *v, uint64_t ticket)
{
    VARVE_LOCKED(&v->lock);
    if (v->awaits[ticket - 1].ready == NULL)
        return false;
    v->awaits[ticket - 1].ready = NULL;
    v->cancelled++;
    return true;
}

/* Ends all awaits, as a recall that is done (failure NULL) or failed. */
void
finish_recall(bool resident, const struct varve_error *failure)
{
    for (unsigned i = 0;; i++) {
        struct await await = {0};
        {
            VARVE_LOCKED(&vfs.lock);
            vfs.resident = resident;
            if (i >= vfs.await_count)
                break;
            await = vfs.awaits[i];
            vfs.awaits[i].ready = NULL;
        }
        if (await.ready != NULL)
            await.ready(await.context, failure);
    }
}

bool
varve_open_is_written(struct varve_open *open_file)
{
    (void)open_file;
    return false;
}

bool
varve_open_on_discs(struct varve_open *open_file)
{
    VARVE_LOCKED(&open_file->vfs->lock);
    return open_file->ino == SLOW && !open_file->vfs->resident;
}

bool
varve_open_try_close(struct varve_open *open_file)
{
    varve_open_close(open_file);
    return true;
}

bool
varve_open_pass(struct varve_open *open_file, const struct varve_pass_wish *wish,
                struct varve_pass *ret, struct varve_error *err)
{
    (void)open_file;
    (void)err;
    *ret = (struct varve_pass){.how = VARVE_PASS_NO};
    return !wish->forced;
}

void
varve_open_pass_refused(struct varve_open *open_file, bool for_good)
{
    (void)open_file;
    (void)for_good;
}

bool
varve_vfs_passes(const struct varve_vfs *v)
{
    (void)v;
    return false;
}

void
varve_vfs_be_quick(bool yes)
{
    (void)yes;
}

bool
varve_vfs_takes_long(const struct varve_error *err)
{
    return err->kind == VARVE_ERROR_WAIT && varve_error_errno(err) == EINPROGRESS;
}

/* What the mount can ask for and this test does not. */
#define UNSUPPORTED(name, ...)                                                                     \
    bool name(__VA_ARGS__, struct varve_error *err)                                                \
    {                                                                                              \
        return unsupported(err);                                                                   \
    }
#pragma GCC diagnostic ignored "-Wunused-parameter"
UNSUPPORTED(varve_vfs_setattr, struct varve_vfs *v, uint64_t ino, const struct varve_setattr *c,
            struct varve_inode *ret)
UNSUPPORTED(varve_vfs_make, struct varve_vfs *v, const struct varve_caller *c, uint64_t parent,
            const char *name, uint32_t mode, uint64_t rdev, struct varve_inode *ret)
UNSUPPORTED(varve_vfs_symlink, struct varve_vfs *v, const struct varve_caller *c, uint64_t parent,
            const char *name, const char *target, struct varve_inode *ret)
bool
varve_vfs_getattr_gone(struct varve_vfs *v, uint64_t ino, struct varve_inode *ret)
{
    return false;
}
bool
varve_vfs_setattr_gone(struct varve_vfs *v, uint64_t ino, const struct varve_setattr *change,
                       struct varve_inode *ret)
{
    return false;
}
UNSUPPORTED(varve_vfs_tmpfile, struct varve_vfs *v, const struct varve_caller *c, uint64_t parent,
            uint32_t mode, int flags, struct varve_open **ret, struct varve_inode *ret_inode)
UNSUPPORTED(varve_vfs_readlink, struct varve_vfs *v, uint64_t ino, struct varve_buffer *ret)
UNSUPPORTED(varve_vfs_link, struct varve_vfs *v, uint64_t ino, uint64_t parent, const char *name,
            struct varve_inode *ret)
UNSUPPORTED(varve_vfs_unlink, struct varve_vfs *v, uint64_t parent, const char *name)
UNSUPPORTED(varve_vfs_rmdir, struct varve_vfs *v, uint64_t parent, const char *name)
UNSUPPORTED(varve_vfs_rename, struct varve_vfs *v, uint64_t parent, const char *name,
            uint64_t new_parent, const char *new_name, unsigned flags)
UNSUPPORTED(varve_vfs_readdir, struct varve_vfs *v, uint64_t ino, uint64_t after,
            struct varve_dentry *ret, size_t max, size_t *ret_count)
UNSUPPORTED(varve_vfs_parent, struct varve_vfs *v, uint64_t ino, uint64_t *ret)
UNSUPPORTED(varve_vfs_statfs, struct varve_vfs *v, struct statvfs *ret)
UNSUPPORTED(varve_vfs_fsync, struct varve_vfs *v, uint64_t ino)
UNSUPPORTED(varve_open_strip, struct varve_open *o, bool *ret_stripped)
UNSUPPORTED(varve_vfs_xattr_get, struct varve_vfs *v, uint64_t ino, const char *name,
            struct varve_buffer *ret)
UNSUPPORTED(varve_vfs_xattr_set, struct varve_vfs *v, uint64_t ino, const char *name,
            const void *value, size_t size, int flags)
UNSUPPORTED(varve_vfs_xattr_remove, struct varve_vfs *v, uint64_t ino, const char *name)
UNSUPPORTED(varve_vfs_xattr_list, struct varve_vfs *v, uint64_t ino, struct varve_buffer *ret)

struct varve_notify_port notify_port;
void
varve_vfs_set_atime(struct varve_vfs *v, enum varve_atime files, enum varve_atime directories)
{
    (void)v;
    (void)files;
    (void)directories;
}

void
varve_vfs_set_notify_port(struct varve_vfs *v, const struct varve_notify_port *port)
{
    notify_port = port == NULL ? (struct varve_notify_port){0} : *port;
}

bool
varve_vfs_head_will_do(const struct varve_vfs *v, const struct varve_reader *reader)
{
    (void)v;
    (void)reader;
    return false;
}
