/* SPDX-License-Identifier: Apache-2.0 */
/* acl.c - POSIX ACLs: two xattr rows of an inode, kept in step with its mode bits. The kernel
 * checks permissions by them; what they become when a file is made, changed or given another ACL is
 * ours (fs/ops.c asks the kernel for that). Everything here runs inside a unit. */
#include "vfs_internal.h"

#include <string.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

bool
acl_is_name(const char *name)
{
    return strcmp(name, ACCESS) == 0 || strcmp(name, DEFAULT) == 0;
}

/* *ret_found false: there is none, which is the common case. */
static bool
load(struct varve_vfs *vfs, uint64_t ino, const char *name, struct acl *ret, bool *ret_found,
     struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    struct varve_error missing;
    *ret_found = varve_catalog_xattr_get(vfs->catalog, ino, name, &value, &missing);
    if (*ret_found)
        return acl_decode(value.data, value.size, ret, err);
    if (missing.kind == VARVE_ERROR_NOT_FOUND)
        return true;
    *err = missing;
    return false;
}

static bool
store(struct varve_vfs *vfs, uint64_t ino, const char *name, const struct acl *acl,
      struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    acl_encode(acl, &value);
    return varve_buffer_ok(&value, err) &&
           varve_catalog_xattr_put(vfs->catalog, ino, name, value.data, value.size, err);
}

bool
acl_plan_inheritance(struct varve_vfs *vfs, uint64_t dir, uint32_t umask, struct varve_inode *inode,
                     struct acl_inheritance *ret, struct varve_error *err)
{
    ret->found = false;
    if (S_ISLNK(inode->mode))
        return true;
    if (!load(vfs, dir, DEFAULT, &ret->defaults, &ret->found, err))
        return false;
    ret->access = ret->defaults;
    ret->plain = true;
    if (ret->found)
        ret->plain = acl_inherit(&ret->access, inode->mode, &inode->mode);
    else
        inode->mode &= ~(umask & 0777u);
    return true;
}

bool
acl_give_inheritance(struct varve_vfs *vfs, const struct varve_inode *inode,
                     const struct acl_inheritance *plan, struct varve_error *err)
{
    if (!plan->found)
        return true;
    return (plan->plain || store(vfs, inode->ino, ACCESS, &plan->access, err)) &&
           (!S_ISDIR(inode->mode) || store(vfs, inode->ino, DEFAULT, &plan->defaults, err));
}

bool
acl_follow_mode(struct varve_vfs *vfs, const struct varve_inode *inode, struct varve_error *err)
{
    struct acl acl;
    bool found;
    if (S_ISLNK(inode->mode))
        return true;
    if (!load(vfs, inode->ino, ACCESS, &acl, &found, err))
        return false;
    if (!found)
        return true;
    acl_take_mode(&acl, inode->mode);
    return store(vfs, inode->ino, ACCESS, &acl, err);
}

static bool
drop(struct varve_vfs *vfs, uint64_t ino, const char *name, bool *ret_changed,
     struct varve_error *err)
{
    struct varve_error missing;
    *ret_changed = varve_catalog_xattr_delete(vfs->catalog, ino, name, &missing);
    if (*ret_changed || missing.kind == VARVE_ERROR_NOT_FOUND)
        return true;
    *err = missing;
    return false;
}

bool
acl_set(struct varve_vfs *vfs, const char *name, const struct acl *acl, struct varve_inode *inode,
        bool *ret_changed, struct varve_error *err)
{
    uint32_t before = inode->mode;
    bool access = strcmp(name, ACCESS) == 0;
    if (S_ISLNK(inode->mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, EOPNOTSUPP, "ACL of a symlink");
    if (!access && !S_ISDIR(inode->mode))
        return varve_error_set(err, VARVE_ERROR_INVALID, EACCES, "default ACL of a file");
    *ret_changed = true;
    if (!access || !acl_to_mode(acl, inode->mode, &inode->mode))
        return store(vfs, inode->ino, name, acl, err);
    if (!drop(vfs, inode->ino, name, ret_changed, err)) /* the mode bits say it all */
        return false;
    *ret_changed = *ret_changed || inode->mode != before;
    return true;
}
