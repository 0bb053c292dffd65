/* SPDX-License-Identifier: Apache-2.0 */
/* FUSE requests about directories and extended attributes. */
#include "lossyfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

struct listing {
    size_t size, capacity;
    char bytes[];
};

static struct lossy_world *const world = &lossy_fs.world;

/* --- directories --- */

static struct listing *
add_name(fuse_req_t req, struct listing *listing, const char *name, const struct lossy_node *node)
{
    struct stat st = {.st_ino = node->id, .st_mode = node->now.mode};
    size_t more = fuse_add_direntry(req, NULL, 0, name, NULL, 0);
    if (listing->size + more > listing->capacity) {
        size_t capacity = 2 * listing->capacity + more;
        struct listing *grown = realloc(listing, sizeof *listing + capacity);
        if (grown == NULL)
            return listing; /* the test that lists sees it */
        listing = grown;
        listing->capacity = capacity;
    }
    (void)fuse_add_direntry(req, listing->bytes + listing->size, more, name, &st,
                            (off_t)(listing->size + more));
    listing->size += more;
    return listing;
}

void
lossy_fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct lossy_node *dir = lossy_node_of(ino);
    if (lossy_is_off(req, dir))
        return;
    struct listing *listing = calloc(1, sizeof *listing + 1024);
    if (listing == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    listing->capacity = 1024;
    listing = add_name(req, listing, ".", dir);
    listing = add_name(req, listing, "..", dir);
    for (const struct lossy_entry *entry = dir->entries; entry != NULL; entry = entry->next) {
        if (entry->now != NULL)
            listing = add_name(req, listing, entry->name, entry->now);
    }
    fi->fh = (uint64_t)(uintptr_t)listing;
    (void)fuse_reply_open(req, fi);
}

void
lossy_fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                 struct fuse_file_info *fi)
{
    const struct listing *listing = (struct listing *)(uintptr_t)fi->fh;
    size_t start = (size_t)offset < listing->size ? (size_t)offset : listing->size;
    size_t end = start;
    if (lossy_is_off(req, lossy_node_of(ino)))
        return;
    while (end < listing->size) { /* whole names: the struct begins with ino, off, namelen */
        uint32_t name_bytes;
        memcpy(&name_bytes, listing->bytes + end + 16, sizeof name_bytes);
        size_t next = end + ((24 + (size_t)name_bytes + 7) & ~(size_t)7);
        if (next - start > size)
            break;
        end = next;
    }
    (void)fuse_reply_buf(req, listing->bytes + start, end - start);
}

void
lossy_fs_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    free((void *)(uintptr_t)fi->fh);
    (void)fuse_reply_err(req, 0);
}

void
lossy_fs_statfs(fuse_req_t req, fuse_ino_t ino)
{
    uint64_t total = world->page_max, left = total - world->page_count;
    (void)ino;
    struct statvfs st = {.f_bsize = LOSSY_PAGE_BYTES,
                         .f_frsize = LOSSY_PAGE_BYTES,
                         .f_blocks = total,
                         .f_bfree = left,
                         .f_bavail = left,
                         .f_files = 1000000,
                         .f_ffree = 900000,
                         .f_favail = 900000,
                         .f_namemax = 255};
    (void)fuse_reply_statfs(req, &st);
}

/* --- extended attributes --- */

void
lossy_fs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                  int flags)
{
    struct lossy_node *node = lossy_node_of(ino);
    bool there = lossy_xattr_find(node, name) != NULL;
    if (!lossy_may_change(req, node))
        return;
    if ((flags & XATTR_CREATE) != 0 && there)
        (void)fuse_reply_err(req, EEXIST);
    else if ((flags & XATTR_REPLACE) != 0 && !there)
        (void)fuse_reply_err(req, ENODATA);
    else
        (void)fuse_reply_err(req, lossy_xattr_set(node, name, value, size) ? 0 : ENOMEM);
}

static void
reply_sized(fuse_req_t req, const void *bytes, size_t found, size_t size)
{
    if (size == 0)
        (void)fuse_reply_xattr(req, found);
    else if (found > size)
        (void)fuse_reply_err(req, ERANGE);
    else
        (void)fuse_reply_buf(req, bytes, found);
}

void
lossy_fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    if (lossy_is_off(req, lossy_node_of(ino)))
        return;
    const struct lossy_xattr *xattr = lossy_xattr_find(lossy_node_of(ino), name);
    if (xattr == NULL)
        (void)fuse_reply_err(req, ENODATA);
    else
        reply_sized(req, xattr->value, xattr->size, size);
}

void
lossy_fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    char names[65536];
    size_t found = 0;
    if (lossy_is_off(req, lossy_node_of(ino)))
        return;
    for (const struct lossy_xattr *x = lossy_node_of(ino)->now.xattrs; x != NULL; x = x->next) {
        size_t bytes = strlen(x->name) + 1;
        if (found + bytes > sizeof names)
            break;
        memcpy(names + found, x->name, bytes);
        found += bytes;
    }
    reply_sized(req, names, found, size);
}

void
lossy_fs_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct lossy_node *node = lossy_node_of(ino);
    if (!lossy_may_change(req, node))
        return;
    if (lossy_xattr_find(node, name) == NULL)
        (void)fuse_reply_err(req, ENODATA);
    else
        (void)fuse_reply_err(req, lossy_xattr_set(node, name, NULL, 0) ? 0 : ENOMEM);
}
