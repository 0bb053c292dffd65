/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>

/* A tree deeper than this can only be a loop in a damaged catalog. */
#define DEPTH_MAX 1000000u

/* One rename: both ends as they were before, all inside one unit. */
struct renaming {
    struct varve_vfs *vfs;
    uint64_t parent, new_parent;
    const char *name, *new_name;
    struct varve_dentry source, target;
    bool has_target;
    int64_t now_ns;
};

static bool
is_dir(const struct varve_dentry *dentry)
{
    return S_ISDIR(dentry->inode.mode);
}

/* INVALID if `dir` is `below` or lies above it: a directory cannot be moved into itself. */
static bool
check_not_above(struct varve_vfs *vfs, uint64_t dir, uint64_t below, struct varve_error *err)
{
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        if (below == dir)
            return varve_error_set(err, VARVE_ERROR_INVALID, EINVAL,
                                   "a directory cannot be moved into itself");
        if (below == VARVE_ROOT_INO)
            return true;
        if (!varve_vfs_parent(vfs, below, &below, err))
            return false;
    }
    return varve_error_set(err, VARVE_ERROR_CORRUPT, EIO, "directories form a loop");
}

static bool
find_ends(struct renaming *r, struct varve_error *err)
{
    struct varve_inode dir;
    struct varve_error missing;
    if (!names_dir(r->vfs, r->parent, &dir, err) || !names_dir(r->vfs, r->new_parent, &dir, err) ||
        !varve_catalog_lookup(r->vfs->catalog, r->parent, r->name, &r->source, err))
        return false;
    r->has_target =
        varve_catalog_lookup(r->vfs->catalog, r->new_parent, r->new_name, &r->target, &missing);
    if (r->has_target || missing.kind == VARVE_ERROR_NOT_FOUND)
        return true;
    *err = missing;
    return false;
}

static bool
move_name(struct renaming *r, uint64_t to, const char *name, struct varve_inode *inode,
          struct varve_error *err)
{
    inode->ctime_ns = vfs_later(inode->ctime_ns, r->now_ns);
    return varve_catalog_dentry_insert(r->vfs->catalog, to, name, inode->ino, err) &&
           varve_catalog_inode_update(r->vfs->catalog, inode, err);
}

/* `from` and `to`: how many subdirectories the two parents win or lose. */
static bool
touch_parents(struct renaming *r, int from, int to, struct varve_error *err)
{
    if (r->parent == r->new_parent)
        return names_touch_dir(r->vfs, r->parent, from + to, r->now_ns, err);
    return names_touch_dir(r->vfs, r->parent, from, r->now_ns, err) &&
           names_touch_dir(r->vfs, r->new_parent, to, r->now_ns, err);
}

static bool
exchange(struct renaming *r, struct varve_error *err)
{
    struct varve_catalog *catalog = r->vfs->catalog;
    if (!r->has_target)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, ENOENT, "'%s'", r->new_name);
    if (r->source.inode.ino == r->target.inode.ino)
        return true;
    if ((is_dir(&r->source) && !check_not_above(r->vfs, r->source.inode.ino, r->new_parent, err)) ||
        (is_dir(&r->target) && !check_not_above(r->vfs, r->target.inode.ino, r->parent, err)))
        return false;
    int delta = (is_dir(&r->source) ? 1 : 0) - (is_dir(&r->target) ? 1 : 0);
    return varve_catalog_dentry_delete(catalog, r->parent, r->name, err) &&
           varve_catalog_dentry_delete(catalog, r->new_parent, r->new_name, err) &&
           move_name(r, r->new_parent, r->new_name, &r->source.inode, err) &&
           move_name(r, r->parent, r->name, &r->target.inode, err) &&
           touch_parents(r, -delta, delta, err);
}

static bool
check_replace(struct renaming *r, struct varve_error *err)
{
    bool empty = false;
    if (is_dir(&r->source) && !is_dir(&r->target))
        return varve_error_set(err, VARVE_ERROR_INVALID, ENOTDIR, "'%s'", r->new_name);
    if (!is_dir(&r->source) && is_dir(&r->target))
        return varve_error_set(err, VARVE_ERROR_INVALID, EISDIR, "'%s'", r->new_name);
    if (!is_dir(&r->target))
        return true;
    if (!varve_catalog_dir_empty(r->vfs->catalog, r->target.inode.ino, &empty, err))
        return false;
    if (!empty)
        return varve_error_set(err, VARVE_ERROR_INVALID, ENOTEMPTY, "'%s'", r->new_name);
    return true;
}

static bool
replace(struct renaming *r, struct varve_place *ret_place, struct varve_error *err)
{
    struct varve_catalog *catalog = r->vfs->catalog;
    if (r->has_target && r->source.inode.ino == r->target.inode.ino)
        return true; /* two names of one file: POSIX wants both kept */
    if (is_dir(&r->source) && !check_not_above(r->vfs, r->source.inode.ino, r->new_parent, err))
        return false;
    if (r->has_target && (!check_replace(r, err) ||
                          !varve_catalog_dentry_delete(catalog, r->new_parent, r->new_name, err) ||
                          !names_drop_link(r->vfs, &r->target.inode, r->now_ns, ret_place, err)))
        return false;
    int moved = is_dir(&r->source) ? 1 : 0;
    int gone = r->has_target && is_dir(&r->target) ? 1 : 0;
    return varve_catalog_dentry_delete(catalog, r->parent, r->name, err) &&
           move_name(r, r->new_parent, r->new_name, &r->source.inode, err) &&
           touch_parents(r, -moved, moved - gone, err);
}

/* Inside a unit. */
static bool
rename_rows(struct renaming *r, unsigned flags, struct varve_place *ret_place,
            struct varve_error *err)
{
    if (!find_ends(r, err))
        return false;
    if (flags == RENAME_EXCHANGE)
        return exchange(r, err);
    if (flags == RENAME_NOREPLACE && r->has_target)
        return varve_error_set(err, VARVE_ERROR_EXISTS, EEXIST, "'%s'", r->new_name);
    return replace(r, ret_place, err);
}

bool
varve_vfs_rename(struct varve_vfs *vfs, uint64_t parent, const char *name, uint64_t new_parent,
                 const char *new_name, unsigned flags, struct varve_error *err)
{
    struct varve_place place = {.tier = VARVE_TIER_NONE};
    if (flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
        return varve_error_set(err, VARVE_ERROR_INVALID, EINVAL, "rename with flags %#x", flags);
    if (!names_check(name, err) || !names_check(new_name, err))
        return false;
    VARVE_CLEANUP_FREE struct renaming *r = malloc(sizeof *r);
    if (r == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rename '%s'", name);
    *r = (struct renaming){.vfs = vfs,
                           .parent = parent,
                           .new_parent = new_parent,
                           .name = name,
                           .new_name = new_name,
                           .now_ns = vfs_now(vfs)};
    varve_catalog_begin(vfs->catalog);
    if (!varve_catalog_end(vfs->catalog, rename_rows(r, flags, &place, err), err))
        return varve_error_wrap(err, "rename '%s'", name);
    varve_vfs_remove_later(vfs, place);
    return true;
}
