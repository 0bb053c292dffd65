/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_internal.h"

/* Offsets: 1 is behind ".", 2 behind "..", and an entry's is its cookie + 2. Cookies never change,
 * so a directory can be read on while it is changed, by many at once, and after a restart. */
#define DOTS 2
#define BATCH 64

struct listing {
    fuse_req_t req;
    bool plus;
    char *bytes;
    size_t size, used;
};

/* False: it does not fit any more. */
static bool
add(struct listing *list, const char *name, const struct varve_inode *inode, uint64_t offset)
{
    char *at = list->bytes + list->used;
    size_t room = list->size - list->used;
    size_t need = 0;
    struct fuse_entry_param entry;
    fs_entry(inode, &entry);
    if (list->plus)
        need = fuse_add_direntry_plus(list->req, at, room, name, &entry, (off_t)offset);
    else
        need = fuse_add_direntry(list->req, at, room, name, &entry.attr, (off_t)offset);
    if (need > room)
        return false;
    list->used += need;
    return true;
}

static bool
add_dots(struct listing *list, uint64_t ino, uint64_t *offset, struct varve_error *err)
{
    struct varve_vfs *vfs = fs_mount_of(list->req)->vfs;
    struct varve_inode inode = {.ino = ino, .mode = S_IFDIR};
    if (*offset == 0 && add(list, ".", &inode, 1))
        *offset = 1;
    if (*offset != 1)
        return true;
    if (!varve_vfs_parent(vfs, ino, &inode.ino, err))
        return false;
    if (add(list, "..", &inode, 2))
        *offset = 2;
    return true;
}

static bool
add_entries(struct listing *list, uint64_t ino, uint64_t offset, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_dentry *batch = malloc(BATCH * sizeof *batch);
    if (batch == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read directory");
    uint64_t after = offset - DOTS;
    for (;;) {
        size_t count = 0;
        if (!varve_vfs_readdir(fs_mount_of(list->req)->vfs, ino, after, batch, BATCH, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (!add(list, batch[i].name, &batch[i].inode, batch[i].cookie + DOTS))
                return true;
        }
        if (count < BATCH)
            return true;
        after = batch[count - 1].cookie;
    }
}

static void
list_directory(fuse_req_t req, uint64_t ino, size_t size, off_t offset, bool plus)
{
    struct varve_error err = {0};
    VARVE_CLEANUP_FREE char *bytes = malloc(size);
    struct listing list = {.req = req, .plus = plus, .bytes = bytes, .size = size};
    uint64_t at = (uint64_t)offset;
    if (bytes == NULL)
        (void)fuse_reply_err(req, ENOMEM);
    else if (offset < 0)
        (void)fuse_reply_err(req, EINVAL);
    else if (!add_dots(&list, ino, &at, &err) || (at >= DOTS && !add_entries(&list, ino, at, &err)))
        fs_reply_error(req, "readdir", ino, &err);
    else
        (void)fuse_reply_buf(req, bytes, list.used);
}

void
fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    (void)fi;
    list_directory(req, ino, size, offset, false);
}

void
fs_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    (void)fi;
    list_directory(req, ino, size, offset, true);
}

void
fs_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    (void)fi;
    (void)ino;
    fs_sync(req, 0); /* all names are in the catalog */
}
