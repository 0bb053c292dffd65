/* SPDX-License-Identifier: Apache-2.0 */
/* ghost.c - what was last known of inodes that are gone. A program may hold a directory, a fifo or
 * an O_PATH descriptor (the kernel tells us of none) while its last name goes, and may ask fstat(2)
 * of it. The kernel does not say when it forgets, so the latest VFS_GHOSTS are remembered; numbers
 * never come again, so none of them can be taken for something that lives. */
#include "vfs_internal.h"

void
ghost_remember(struct varve_vfs *vfs, const struct varve_inode *inode)
{
    VARVE_LOCKED(&vfs->ghost_lock);
    struct varve_inode *ghost = &vfs->ghosts[vfs->ghost_next++ % VFS_GHOSTS];
    *ghost = *inode;
    ghost->nlink = 0;
}

/* Locked. */
static struct varve_inode *
find(struct varve_vfs *vfs, uint64_t ino)
{
    for (size_t i = 0; i < VFS_GHOSTS; i++) {
        if (vfs->ghosts[i].ino == ino && ino != 0)
            return &vfs->ghosts[i];
    }
    return NULL;
}

bool
varve_vfs_getattr_gone(struct varve_vfs *vfs, uint64_t ino, struct varve_inode *ret)
{
    VARVE_LOCKED(&vfs->ghost_lock);
    const struct varve_inode *ghost = find(vfs, ino);
    if (ghost != NULL)
        *ret = *ghost;
    return ghost != NULL;
}

bool
varve_vfs_setattr_gone(struct varve_vfs *vfs, uint64_t ino, const struct varve_setattr *change,
                       struct varve_inode *ret)
{
    VARVE_LOCKED(&vfs->ghost_lock);
    struct varve_inode *ghost = find(vfs, ino);
    if (ghost == NULL || (change->mask & VARVE_SET_SIZE) != 0)
        return false;
    vfs_apply_change(ghost, change, vfs_now(vfs));
    *ret = *ghost;
    return true;
}
