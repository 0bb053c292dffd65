/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

bool
names_check(const char *name, struct varve_error *err)
{
    size_t length = strlen(name);
    if (length > VARVE_NAME_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, ENAMETOOLONG, "'%.32s...'", name);
    if (length == 0 || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, EINVAL, "name '%s'", name);
    return true;
}

bool
names_dir(struct varve_vfs *vfs, uint64_t ino, struct varve_inode *ret, struct varve_error *err)
{
    if (!varve_catalog_inode_get(vfs->catalog, ino, ret, err))
        return false;
    if (!S_ISDIR(ret->mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, ENOTDIR, "inode %" PRIu64, ino);
    if (ret->nlink == 0)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, ENOENT, "directory %" PRIu64, ino);
    return true;
}

bool
names_touch_dir(struct varve_vfs *vfs, uint64_t ino, int links, int64_t now_ns,
                struct varve_error *err)
{
    struct varve_inode dir;
    if (!varve_catalog_inode_get(vfs->catalog, ino, &dir, err))
        return false;
    if (links > 0 && dir.nlink >= VFS_LINKS_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, EMLINK, "directory %" PRIu64, ino);
    dir.nlink += (uint32_t)links;
    dir.mtime_ns = vfs_later(dir.mtime_ns, now_ns);
    dir.ctime_ns = vfs_later(dir.ctime_ns, now_ns);
    return varve_catalog_inode_update(vfs->catalog, &dir, err);
}

/* Inside a unit. LIVE bytes are on no disc and go with their file; the others stay known, because
 * a set holds them: a FROZEN one's copy until the engine has done with the set, a SEALED one's goes
 * now. */
static bool
drop_content(struct varve_vfs *vfs, struct varve_content_id id, struct varve_place *ret_place,
             struct varve_error *err)
{
    struct varve_content content;
    if (!varve_catalog_content_get(vfs->catalog, id, &content, err))
        return false;
    if (content.phase == VARVE_PHASE_LIVE) {
        *ret_place = content.place;
        return varve_catalog_content_delete(vfs->catalog, id, err);
    }
    if (content.phase == VARVE_PHASE_SEALED) {
        *ret_place = content.place;
        content.place = (struct varve_place){.tier = VARVE_TIER_NONE};
        head_remove(vfs, &content);
    }
    content.current = false;
    return varve_catalog_content_update(vfs->catalog, &content, err);
}

bool
names_delete_inode(struct varve_vfs *vfs, const struct varve_inode *inode, int64_t now_ns,
                   struct varve_place *ret_place, struct varve_error *err)
{
    *ret_place = (struct varve_place){.tier = VARVE_TIER_NONE};
    ghost_remember(vfs, inode);
    if (S_ISREG(inode->mode) && inode->content.value != 0 &&
        !drop_content(vfs, inode->content, ret_place, err))
        return false;
    return varve_catalog_inode_delete(vfs->catalog, inode->ino, now_ns, err);
}

bool
names_drop_link(struct varve_vfs *vfs, struct varve_inode *inode, int64_t now_ns,
                struct varve_place *ret_place, struct varve_error *err)
{
    *ret_place = (struct varve_place){.tier = VARVE_TIER_NONE};
    inode->nlink = S_ISDIR(inode->mode) ? 0 : inode->nlink - 1;
    inode->ctime_ns = vfs_later(inode->ctime_ns, now_ns);
    if (inode->nlink == 0 && !(S_ISREG(inode->mode) && vnode_orphan(vfs, inode->ino)))
        return names_delete_inode(vfs, inode, now_ns, ret_place, err);
    return varve_catalog_inode_update(vfs->catalog, inode, err);
}

static bool
delete_orphan_rows(struct varve_vfs *vfs, uint64_t ino, struct varve_place *ret_place,
                   struct varve_error *err)
{
    struct varve_inode inode;
    /* Whoever opened it again since (by number, over NFS) inherits the duty. */
    return varve_catalog_inode_get(vfs->catalog, ino, &inode, err) && inode.nlink == 0 &&
           !vnode_orphan(vfs, ino) && names_delete_inode(vfs, &inode, vfs_now(vfs), ret_place, err);
}

void
names_delete_orphan(struct varve_vfs *vfs, uint64_t ino)
{
    struct varve_error unused; /* what fails here is done at the next start */
    struct varve_place place = {.tier = VARVE_TIER_NONE};
    varve_catalog_begin(vfs->catalog);
    bool keep = delete_orphan_rows(vfs, ino, &place, &unused);
    if (varve_catalog_end(vfs->catalog, keep, &unused))
        varve_vfs_remove_later(vfs, place);
}

bool
varve_vfs_lookup(struct varve_vfs *vfs, uint64_t parent, const char *name, struct varve_inode *ret,
                 struct varve_error *err)
{
    struct varve_dentry dentry;
    uint64_t flushes = vfs_flushes(vfs);
    if (strcmp(name, ".") == 0)
        return varve_vfs_getattr(vfs, parent, ret, err);
    if (strcmp(name, "..") == 0) {
        uint64_t above;
        return varve_vfs_parent(vfs, parent, &above, err) &&
               varve_vfs_getattr(vfs, above, ret, err);
    }
    if (!names_check(name, err))
        return false;
    if (!varve_catalog_lookup(vfs->catalog, parent, name, &dentry, err)) {
        struct varve_inode dir;
        struct varve_error unused;
        if (err->kind == VARVE_ERROR_NOT_FOUND &&
            varve_catalog_inode_get(vfs->catalog, parent, &dir, &unused) && !S_ISDIR(dir.mode))
            return varve_error_set(err, VARVE_ERROR_INVALID, ENOTDIR, "inode %" PRIu64, parent);
        return false;
    }
    vfs_refresh(vfs, &dentry.inode, flushes);
    *ret = dentry.inode;
    return true;
}

bool
varve_vfs_parent(struct varve_vfs *vfs, uint64_t ino, uint64_t *ret, struct varve_error *err)
{
    struct varve_dentry name;
    size_t count = 0;
    if (ino == VARVE_ROOT_INO) {
        *ret = VARVE_ROOT_INO;
        return true;
    }
    if (!varve_catalog_names(vfs->catalog, ino, 0, &name, 1, &count, err))
        return false;
    if (count == 0)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, ENOENT, "parent of inode %" PRIu64, ino);
    *ret = name.parent;
    return true;
}

bool
varve_vfs_readdir(struct varve_vfs *vfs, uint64_t ino, uint64_t after, struct varve_dentry *ret,
                  size_t max, size_t *ret_count, struct varve_error *err)
{
    if (after == 0)
        vfs_touch_atime(vfs, ino);
    uint64_t flushes = vfs_flushes(vfs);
    if (!varve_catalog_readdir(vfs->catalog, ino, after, ret, max, ret_count, err))
        return false;
    for (size_t i = 0; i < *ret_count; i++)
        vfs_refresh(vfs, &ret[i].inode, flushes);
    return true;
}

/* --- making --- */

/* Inside a unit. Who owns what is made: the caller, and the directory's group if it says so. Its
 * permissions: those asked for, less what the umask or the directory's default ACL takes. */
static bool
insert_inode(struct varve_vfs *vfs, uint64_t parent, uint32_t umask, struct varve_inode *inode,
             struct varve_error *err)
{
    struct varve_inode dir;
    struct acl_inheritance acl;
    if (!names_dir(vfs, parent, &dir, err) ||
        !acl_plan_inheritance(vfs, parent, umask, inode, &acl, err))
        return false;
    if (dir.mode & S_ISGID) {
        inode->gid = dir.gid;
        if (S_ISDIR(inode->mode))
            inode->mode |= S_ISGID;
    }
    return varve_catalog_inode_insert(vfs->catalog, inode, &inode->ino, err) &&
           acl_give_inheritance(vfs, inode, &acl, err);
}

/* Inside a unit. */
static bool
insert_node(struct varve_vfs *vfs, uint64_t parent, const char *name, uint32_t umask,
            struct varve_inode *inode, struct varve_error *err)
{
    return insert_inode(vfs, parent, umask, inode, err) &&
           varve_catalog_dentry_insert(vfs->catalog, parent, name, inode->ino, err) &&
           names_touch_dir(vfs, parent, S_ISDIR(inode->mode) ? 1 : 0, inode->btime_ns, err);
}

static struct varve_inode
new_inode(struct varve_vfs *vfs, const struct varve_caller *caller, uint32_t mode)
{
    int64_t now_ns = vfs_now(vfs);
    return (struct varve_inode){.mode = mode,
                                .uid = caller->uid,
                                .gid = caller->gid,
                                .nlink = S_ISDIR(mode) ? 2 : 1,
                                .atime_ns = now_ns,
                                .mtime_ns = now_ns,
                                .ctime_ns = now_ns,
                                .btime_ns = now_ns,
                                .heat_ns = now_ns};
}

bool
varve_vfs_make(struct varve_vfs *vfs, const struct varve_caller *caller, uint64_t parent,
               const char *name, uint32_t mode, uint64_t rdev, struct varve_inode *ret,
               struct varve_error *err)
{
    if (!names_check(name, err))
        return false;
    if (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode) && !S_ISCHR(mode) &&
        !S_ISBLK(mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, EINVAL, "make '%s' of mode %o", name,
                               mode);
    struct varve_inode inode = new_inode(vfs, caller, mode & (S_IFMT | 07777));
    if (S_ISCHR(mode) || S_ISBLK(mode))
        inode.rdev = rdev;
    varve_catalog_begin(vfs->catalog);
    bool keep = insert_node(vfs, parent, name, caller->umask, &inode, err);
    if (!varve_catalog_end(vfs->catalog, keep, err))
        return varve_error_wrap(err, "make '%s'", name);
    *ret = inode;
    return true;
}

/* Until it is open nothing but the next start would delete the inode. */
bool
varve_vfs_tmpfile(struct varve_vfs *vfs, const struct varve_caller *caller, uint64_t parent,
                  uint32_t mode, int flags, struct varve_open **ret, struct varve_inode *ret_inode,
                  struct varve_error *err)
{
    struct varve_inode inode = new_inode(vfs, caller, S_IFREG | (mode & 07777));
    inode.nlink = 0;
    varve_catalog_begin(vfs->catalog);
    bool keep = insert_inode(vfs, parent, caller->umask, &inode, err);
    if (!varve_catalog_end(vfs->catalog, keep, err))
        return varve_error_wrap(err, "make a file without a name");
    if (!varve_vfs_open(vfs, inode.ino, flags & ~O_TRUNC, ret, err)) {
        names_delete_orphan(vfs, inode.ino);
        return false;
    }
    VARVE_LOCKED(&vfs->table_lock);
    (*ret)->vnode->nameless = true;
    *ret_inode = inode;
    return true;
}

bool
varve_vfs_symlink(struct varve_vfs *vfs, const struct varve_caller *caller, uint64_t parent,
                  const char *name, const char *target, struct varve_inode *ret,
                  struct varve_error *err)
{
    size_t length = strlen(target);
    if (!names_check(name, err))
        return false;
    if (length == 0)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, ENOENT, "symlink '%s' to nothing", name);
    if (length >= VARVE_PATH_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, ENAMETOOLONG, "symlink '%s'", name);
    struct varve_inode inode = new_inode(vfs, caller, S_IFLNK | 0777);
    inode.size = length;
    varve_catalog_begin(vfs->catalog);
    bool keep = insert_node(vfs, parent, name, 0, &inode, err) &&
                varve_catalog_symlink_put(vfs->catalog, inode.ino, target, err);
    if (!varve_catalog_end(vfs->catalog, keep, err))
        return varve_error_wrap(err, "symlink '%s'", name);
    *ret = inode;
    return true;
}

bool
varve_vfs_readlink(struct varve_vfs *vfs, uint64_t ino, struct varve_buffer *ret,
                   struct varve_error *err)
{
    struct varve_inode inode;
    if (!varve_catalog_inode_get(vfs->catalog, ino, &inode, err))
        return false;
    if (!S_ISLNK(inode.mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, EINVAL, "inode %" PRIu64, ino);
    if (vfs_wants_atime(vfs, &inode, vfs_now(vfs)))
        vfs_touch_atime(vfs, ino);
    return varve_catalog_symlink_get(vfs->catalog, ino, ret, err);
}

/* Inside a unit. */
static bool
link_rows(struct varve_vfs *vfs, uint64_t ino, uint64_t parent, const char *name,
          struct varve_inode *ret, struct varve_error *err)
{
    struct varve_inode dir;
    int64_t now_ns = vfs_now(vfs);
    if (!names_dir(vfs, parent, &dir, err) || !varve_catalog_inode_get(vfs->catalog, ino, ret, err))
        return false;
    if (S_ISDIR(ret->mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, EPERM, "inode %" PRIu64, ino);
    if (ret->nlink == 0 && !vnode_nameless(vfs, ino))
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, ENOENT, "inode %" PRIu64, ino);
    if (ret->nlink >= VFS_LINKS_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, EMLINK, "inode %" PRIu64, ino);
    ret->nlink++;
    ret->ctime_ns = vfs_later(ret->ctime_ns, now_ns);
    return varve_catalog_dentry_insert(vfs->catalog, parent, name, ino, err) &&
           varve_catalog_inode_update(vfs->catalog, ret, err) &&
           names_touch_dir(vfs, parent, 0, now_ns, err);
}

bool
varve_vfs_link(struct varve_vfs *vfs, uint64_t ino, uint64_t parent, const char *name,
               struct varve_inode *ret, struct varve_error *err)
{
    struct varve_inode inode;
    uint64_t flushes = vfs_flushes(vfs);
    if (!names_check(name, err))
        return false;
    varve_catalog_begin(vfs->catalog);
    bool keep = link_rows(vfs, ino, parent, name, &inode, err);
    if (!varve_catalog_end(vfs->catalog, keep, err))
        return varve_error_wrap(err, "link '%s'", name);
    vfs_refresh(vfs, &inode, flushes);
    *ret = inode;
    return true;
}

/* --- taking away --- */

/* Inside a unit. */
static bool
unlink_rows(struct varve_vfs *vfs, uint64_t parent, const char *name, struct varve_place *ret_place,
            struct varve_error *err)
{
    struct varve_inode dir;
    struct varve_dentry dentry;
    int64_t now_ns = vfs_now(vfs);
    if (!names_dir(vfs, parent, &dir, err) ||
        !varve_catalog_lookup(vfs->catalog, parent, name, &dentry, err))
        return false;
    if (S_ISDIR(dentry.inode.mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, EISDIR, "unlink");
    return varve_catalog_dentry_delete(vfs->catalog, parent, name, err) &&
           names_touch_dir(vfs, parent, 0, now_ns, err) &&
           names_drop_link(vfs, &dentry.inode, now_ns, ret_place, err);
}

bool
varve_vfs_unlink(struct varve_vfs *vfs, uint64_t parent, const char *name, struct varve_error *err)
{
    struct varve_place place = {.tier = VARVE_TIER_NONE};
    if (!names_check(name, err))
        return false;
    varve_catalog_begin(vfs->catalog);
    bool keep = unlink_rows(vfs, parent, name, &place, err);
    if (!varve_catalog_end(vfs->catalog, keep, err))
        return varve_error_wrap(err, "'%s'", name);
    varve_vfs_remove_later(vfs, place);
    return true;
}

/* Inside a unit. */
static bool
rmdir_rows(struct varve_vfs *vfs, uint64_t parent, const char *name, struct varve_error *err)
{
    struct varve_inode dir;
    struct varve_dentry dentry;
    struct varve_place none;
    bool empty = false;
    int64_t now_ns = vfs_now(vfs);
    if (!names_dir(vfs, parent, &dir, err) ||
        !varve_catalog_lookup(vfs->catalog, parent, name, &dentry, err))
        return false;
    if (!S_ISDIR(dentry.inode.mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, ENOTDIR, "rmdir");
    if (!varve_catalog_dir_empty(vfs->catalog, dentry.inode.ino, &empty, err))
        return false;
    if (!empty)
        return varve_error_set(err, VARVE_ERROR_INVALID, ENOTEMPTY, "rmdir");
    return varve_catalog_dentry_delete(vfs->catalog, parent, name, err) &&
           names_touch_dir(vfs, parent, -1, now_ns, err) &&
           names_drop_link(vfs, &dentry.inode, now_ns, &none, err);
}

bool
varve_vfs_rmdir(struct varve_vfs *vfs, uint64_t parent, const char *name, struct varve_error *err)
{
    if (strcmp(name, "..") == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, ENOTEMPTY, "rmdir '..'");
    if (!names_check(name, err))
        return false;
    varve_catalog_begin(vfs->catalog);
    if (!varve_catalog_end(vfs->catalog, rmdir_rows(vfs, parent, name, err), err))
        return varve_error_wrap(err, "'%s'", name);
    return true;
}
