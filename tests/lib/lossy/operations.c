/* SPDX-License-Identifier: Apache-2.0 */
/* FUSE requests to the world and back. */
#include "lossyfs.h"
#include "sync_shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LONG_S 3600.0 /* nobody changes anything but through the kernel */

static struct lossy_world *const world = &lossy_fs.world;

struct lossy_node *
lossy_node_of(fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? lossy_fs.root : (struct lossy_node *)(uintptr_t)ino;
}

static struct timespec
now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_REALTIME, &time);
    return time;
}

static void
get_stat(const struct lossy_node *node, struct stat *st)
{
    const struct lossy_state *state = &node->now;
    *st = (struct stat){.st_ino = node->id,
                        .st_mode = state->mode,
                        .st_nlink = S_ISDIR(state->mode) ? 1 : node->links, /* 1: not counted */
                        .st_uid = state->uid,
                        .st_gid = state->gid,
                        .st_rdev = node->rdev,
                        .st_size = (off_t)state->size,
                        .st_blksize = LOSSY_PAGE_BYTES,
                        .st_atim = state->atime,
                        .st_mtim = state->mtime,
                        .st_ctim = state->ctime};
    for (size_t i = 0; i < state->page_count; i++)
        st->st_blocks += state->pages[i] != NULL ? LOSSY_PAGE_BYTES / 512 : 0;
}

static struct fuse_entry_param
entry_of(struct lossy_node *parent, struct lossy_node *node)
{
    struct fuse_entry_param entry = {.ino = (fuse_ino_t)(uintptr_t)node,
                                     .attr_timeout = LONG_S,
                                     .entry_timeout = parent == lossy_fs.root ? 0 : LONG_S};
    get_stat(node, &entry.attr);
    lossy_node_ref(node); /* until it is forgotten */
    return entry;
}

bool
lossy_is_off(fuse_req_t req, struct lossy_node *node)
{
    if (!node->tree->dead)
        return false;
    (void)fuse_reply_err(req, EIO);
    return true;
}

bool
lossy_may_change(fuse_req_t req, struct lossy_node *node)
{
    if (node == lossy_fs.root || lossy_step(node))
        return true;
    (void)fuse_reply_err(req, EIO);
    return false;
}

static void
fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct lossy_node *dir = lossy_node_of(parent);
    struct lossy_node *node = lossy_find(dir, name);
    if (lossy_is_off(req, dir))
        return;
    if (node == NULL) {
        (void)fuse_reply_err(req, ENOENT);
        return;
    }
    struct fuse_entry_param entry = entry_of(dir, node);
    (void)fuse_reply_entry(req, &entry);
}

static void
fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    if (ino != FUSE_ROOT_ID)
        lossy_node_put(world, lossy_node_of(ino), (unsigned)count);
    fuse_reply_none(req);
}

static void
fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat st;
    (void)fi;
    if (lossy_is_off(req, lossy_node_of(ino)))
        return;
    get_stat(lossy_node_of(ino), &st);
    (void)fuse_reply_attr(req, &st, LONG_S);
}

static void
set_attributes(struct lossy_state *state, const struct stat *attr, int which)
{
    if (which & FUSE_SET_ATTR_MODE)
        state->mode = (state->mode & S_IFMT) | (attr->st_mode & 07777);
    if (which & FUSE_SET_ATTR_UID)
        state->uid = attr->st_uid;
    if (which & FUSE_SET_ATTR_GID)
        state->gid = attr->st_gid;
    state->ctime = now();
    if (which & FUSE_SET_ATTR_SIZE)
        state->mtime = state->ctime;
    if (which & FUSE_SET_ATTR_ATIME)
        state->atime = which & FUSE_SET_ATTR_ATIME_NOW ? now() : attr->st_atim;
    if (which & FUSE_SET_ATTR_MTIME)
        state->mtime = which & FUSE_SET_ATTR_MTIME_NOW ? now() : attr->st_mtim;
}

static void
fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int which, struct fuse_file_info *fi)
{
    struct lossy_node *node = lossy_node_of(ino);
    (void)fi;
    if (!lossy_may_change(req, node))
        return;
    if ((which & FUSE_SET_ATTR_SIZE) != 0 && node != lossy_fs.control &&
        !lossy_truncate(world, node, (uint64_t)attr->st_size)) {
        (void)fuse_reply_err(req, ENOSPC);
        return;
    }
    set_attributes(&node->now, attr, which);
    fs_getattr(req, ino, NULL);
}

static void
fs_readlink(fuse_req_t req, fuse_ino_t ino)
{
    if (!lossy_is_off(req, lossy_node_of(ino)))
        (void)fuse_reply_readlink(req, lossy_node_of(ino)->target);
}

/* NULL: the request was answered. The caller has a reference. */
static struct lossy_node *
make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct lossy_node *dir = lossy_node_of(parent);
    if (!lossy_may_change(req, dir))
        return NULL;
    bool root = dir == lossy_fs.root;
    struct lossy_node *node = lossy_node_new(world, root ? NULL : dir->tree, mode);
    const struct lossy_set set = {.dir = dir, .name = name, .node = node};
    if (node == NULL ||
        !(root ? lossy_place(world, dir, name, node) : lossy_change(world, &set, 1))) {
        lossy_node_put(world, node, 1);
        (void)fuse_reply_err(req, ENOMEM);
        return NULL;
    }
    const struct fuse_ctx *caller = fuse_req_ctx(req);
    node->now.uid = caller->uid;
    node->now.gid = caller->gid;
    node->now.atime = node->now.mtime = node->now.ctime = now();
    (void)lossy_state_attributes(&node->disk, &node->now);
    return node;
}

static void
reply_new(fuse_req_t req, fuse_ino_t parent, struct lossy_node *node)
{
    if (node == NULL)
        return;
    struct fuse_entry_param entry = entry_of(lossy_node_of(parent), node);
    lossy_node_put(world, node, 1);
    (void)fuse_reply_entry(req, &entry);
}

static void
fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct lossy_node *node = make(req, parent, name, mode);
    if (node != NULL)
        node->rdev = rdev;
    reply_new(req, parent, node);
}

static void
fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    reply_new(req, parent, make(req, parent, name, S_IFDIR | (mode & 07777)));
}

static void
fs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct lossy_node *node = make(req, parent, name, S_IFLNK | 0777);
    if (node != NULL)
        node->target = strdup(target);
    reply_new(req, parent, node);
}

static void
remove_name(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct lossy_node *dir = lossy_node_of(parent);
    struct lossy_node *node = lossy_find(dir, name);
    const struct lossy_set set = {.dir = dir, .name = name};
    if (dir == lossy_fs.root) { /* trees are dropped */
        (void)fuse_reply_err(req, EPERM);
        return;
    }
    if (!lossy_may_change(req, dir))
        return;
    if (node == NULL)
        (void)fuse_reply_err(req, ENOENT);
    else if (S_ISDIR(node->now.mode) && !lossy_is_empty(node))
        (void)fuse_reply_err(req, ENOTEMPTY);
    else
        (void)fuse_reply_err(req, lossy_change(world, &set, 1) ? 0 : ENOMEM);
}

static int
rename_error(struct lossy_node *node, struct lossy_node *there, unsigned flags)
{
    if (node == NULL || (flags == RENAME_EXCHANGE && there == NULL))
        return ENOENT;
    if (flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
        return EINVAL;
    if (there != NULL && flags == RENAME_NOREPLACE)
        return EEXIST;
    if (there == NULL || flags == RENAME_EXCHANGE)
        return 0;
    return S_ISDIR(there->now.mode) && !lossy_is_empty(there) ? ENOTEMPTY : 0;
}

static void
fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
          const char *newname, unsigned flags)
{
    struct lossy_node *from = lossy_node_of(parent), *to = lossy_node_of(newparent);
    if (from == lossy_fs.root || to == lossy_fs.root || from->tree != to->tree) {
        (void)fuse_reply_err(req, EXDEV);
        return;
    }
    if (!lossy_may_change(req, from))
        return;
    struct lossy_node *node = lossy_find(from, name);
    struct lossy_node *there = lossy_find(to, newname);
    const struct lossy_set sets[2] = {
        {.dir = to, .name = newname, .node = node},
        {.dir = from, .name = name, .node = flags == RENAME_EXCHANGE ? there : NULL}};
    int error = rename_error(node, there, flags);
    if (error == 0 && node != there && !lossy_change(world, sets, 2))
        error = ENOMEM;
    (void)fuse_reply_err(req, error);
}

static void
fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
    struct lossy_node *node = lossy_node_of(ino), *dir = lossy_node_of(newparent);
    const struct lossy_set set = {.dir = dir, .name = newname, .node = node};
    if (node->tree != dir->tree) {
        (void)fuse_reply_err(req, EXDEV);
        return;
    }
    if (!lossy_may_change(req, dir))
        return;
    if (!lossy_change(world, &set, 1)) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    struct fuse_entry_param entry = entry_of(dir, node);
    (void)fuse_reply_entry(req, &entry);
}

/* --- files --- */

static void
fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (lossy_is_off(req, lossy_node_of(ino)))
        return;
    fi->keep_cache = lossy_node_of(ino) != lossy_fs.control;
    fi->direct_io = lossy_node_of(ino) == lossy_fs.control;
    (void)fuse_reply_open(req, fi);
}

static void
fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
          struct fuse_file_info *fi)
{
    struct lossy_node *node = make(req, parent, name, S_IFREG | (mode & 07777));
    if (node == NULL)
        return;
    struct fuse_entry_param entry = entry_of(lossy_node_of(parent), node);
    lossy_node_put(world, node, 1);
    fi->keep_cache = true;
    (void)fuse_reply_create(req, &entry, fi);
}

static void
fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    (void)fi;
    if (lossy_is_off(req, lossy_node_of(ino)))
        return;
    char *bytes = malloc(size);
    if (bytes == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    (void)fuse_reply_buf(req, bytes, lossy_read(lossy_node_of(ino), bytes, size, (uint64_t)offset));
    free(bytes);
}

static void
take_command(fuse_req_t req, const char *bytes, size_t size)
{
    char line[512];
    if (size >= sizeof line) {
        (void)fuse_reply_err(req, EINVAL);
        return;
    }
    memcpy(line, bytes, size);
    line[size] = 0;
    if (lossy_command(line))
        (void)fuse_reply_write(req, size);
    else
        (void)fuse_reply_err(req, EINVAL);
}

static void
fs_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
         struct fuse_file_info *fi)
{
    struct lossy_node *node = lossy_node_of(ino);
    (void)fi;
    if (node == lossy_fs.control) {
        take_command(req, bytes, size);
        return;
    }
    if (!lossy_may_change(req, node))
        return;
    if (!lossy_write(world, node, bytes, size, (uint64_t)offset)) {
        (void)fuse_reply_err(req, ENOSPC);
        return;
    }
    node->now.mtime = node->now.ctime = now();
    (void)fuse_reply_write(req, size);
}

static void
fs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)fi;
    if (!lossy_may_change(req, lossy_node_of(ino)))
        return;
    lossy_sync_node(world, lossy_node_of(ino), datasync != 0);
    (void)fuse_reply_err(req, 0);
}

static struct lossy_node *
tree_of(const struct lossy_node *node)
{
    for (struct lossy_entry *entry = lossy_fs.root->entries; entry != NULL; entry = entry->next) {
        if (entry->now != NULL && entry->now->tree == node->tree && S_ISDIR(entry->now->now.mode))
            return entry->now;
    }
    return NULL;
}

static void
fs_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned command, void *argument,
         struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size, size_t out_size)
{
    (void)argument, (void)fi, (void)flags, (void)in, (void)in_size, (void)out_size;
    struct lossy_node *tree = tree_of(lossy_node_of(ino));
    if (command != LOSSY_SYNCFS || tree == NULL) {
        (void)fuse_reply_err(req, ENOTTY);
        return;
    }
    if (!lossy_may_change(req, tree))
        return;
    lossy_sync_tree(world, tree);
    (void)fuse_reply_ioctl(req, 0, NULL, 0);
}

static void
fs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t size,
             struct fuse_file_info *fi)
{
    struct lossy_node *node = lossy_node_of(ino);
    uint64_t end = (uint64_t)offset + (uint64_t)size;
    (void)fi;
    if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) {
        (void)fuse_reply_err(req, EOPNOTSUPP);
        return;
    }
    if (!lossy_may_change(req, node))
        return;
    bool ok = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) == 0 ||
              lossy_zero(world, node, (uint64_t)offset, (uint64_t)size);
    if (ok && (mode & FALLOC_FL_KEEP_SIZE) == 0 && end > node->now.size)
        ok = lossy_truncate(world, node, end);
    (void)fuse_reply_err(req, ok ? 0 : ENOSPC);
}

static void
fs_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
    struct lossy_node *node = lossy_node_of(ino);
    (void)fi;
    if (lossy_is_off(req, node))
        return;
    uint64_t found = lossy_seek(node, (uint64_t)offset, whence == SEEK_HOLE);
    if ((uint64_t)offset >= node->now.size || (whence == SEEK_DATA && found == node->now.size))
        (void)fuse_reply_err(req, ENXIO);
    else
        (void)fuse_reply_lseek(req, (off_t)found);
}

const struct fuse_lowlevel_ops lossy_operations = {
    .lookup = fs_lookup,
    .forget = fs_forget,
    .getattr = fs_getattr,
    .setattr = fs_setattr,
    .readlink = fs_readlink,
    .mknod = fs_mknod,
    .mkdir = fs_mkdir,
    .symlink = fs_symlink,
    .unlink = remove_name,
    .rmdir = remove_name,
    .rename = fs_rename,
    .link = fs_link,
    .open = fs_open,
    .create = fs_create,
    .read = fs_read,
    .write = fs_write,
    .fsync = fs_fsync,
    .fsyncdir = fs_fsync,
    .ioctl = fs_ioctl,
    .fallocate = fs_fallocate,
    .lseek = fs_lseek,
    .opendir = lossy_fs_opendir,
    .readdir = lossy_fs_readdir,
    .releasedir = lossy_fs_releasedir,
    .statfs = lossy_fs_statfs,
    .setxattr = lossy_fs_setxattr,
    .getxattr = lossy_fs_getxattr,
    .listxattr = lossy_fs_listxattr,
    .removexattr = lossy_fs_removexattr,
};
