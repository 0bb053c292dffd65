/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <inttypes.h>

static bool
busy(const struct vnode *vnode, const char *why, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_BUSY, 0, "inode %" PRIu64 " %s", vnode->ino, why);
}

/* --- freeze and thaw --- */

/* Locked. */
static bool
check_quiet(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err)
{
    if (vnode->content.id.value == 0)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "inode %" PRIu64 " has no content",
                               vnode->ino);
    if (!version_reread(vfs, vnode, err))
        return false;
    if (vnode->content.phase != VARVE_PHASE_LIVE)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0, "inode %" PRIu64 " is frozen already",
                               vnode->ino);
    if (vnode->writers > 0)
        return busy(vnode, "is open for writing", err);
    /* The kernel would go on reading the frozen file when the next writer works on a copy. */
    if (vnode->passthroughs > 0)
        return busy(vnode, "is being read by the kernel directly", err);
    if (pass_stays_in_use(vfs, vnode, &vnode->content.place))
        return busy(vnode, "is mapped by a program", err);
    return true;
}

/* Inside a unit. */
static bool
freeze_rows(struct varve_vfs *vfs, struct vnode *vnode, const struct stat *st,
            struct varve_content *ret, struct varve_error *err)
{
    struct varve_inode inode;
    if (!varve_catalog_inode_get(vfs->catalog, vnode->ino, &inode, err) ||
        !varve_catalog_content_get(vfs->catalog, vnode->content.id, ret, err))
        return false;
    if (inode.nlink == 0)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "inode %" PRIu64 " is deleted",
                               vnode->ino);
    if (vnode_take_stat(vfs, vnode, &inode, st) &&
        !varve_catalog_inode_update(vfs->catalog, &inode, err))
        return false;
    ret->phase = VARVE_PHASE_FROZEN;
    ret->unsynced = false;
    ret->size = inode.size;
    ret->mtime_ns = inode.mtime_ns;
    return varve_catalog_content_update(vfs->catalog, ret, err);
}

/* Locked, so that no writer comes in between the sync and the row. */
static bool
freeze_vnode(struct varve_vfs *vfs, struct vnode *vnode, int64_t quiet_since_ns,
             struct varve_content *ret, struct varve_error *err)
{
    struct stat st;
    struct varve_content row;
    if (!check_quiet(vfs, vnode, err))
        return false;
    if (!vnode_live_file(vnode) && !version_give_file(vfs, vnode, err))
        return false;
    if (!vnode_need_fd(vfs, vnode, err))
        return false;
    if (fstat(vnode->fd, &st) != 0)
        return varve_error_system(err, errno, "look at backing file");
    if (vfs_ns(st.st_mtim) > quiet_since_ns)
        return busy(vnode, "was changed a short time ago", err);
    if (!vnode_slow_begin(vnode, err))
        return false;
    bool synced = version_sync_file(vfs, vnode, err);
    vnode_slow_end(vnode);
    if (!synced)
        return false;
    varve_catalog_begin(vfs->catalog);
    if (!varve_catalog_end(vfs->catalog, freeze_rows(vfs, vnode, &st, &row, err), err))
        return false;
    vnode->content = row;
    *ret = row;
    return true;
}

bool
varve_vfs_freeze(struct varve_vfs *vfs, uint64_t ino, int64_t quiet_since_ns,
                 struct varve_content *ret, struct varve_error *err)
{
    struct vnode *vnode;
    if (!vnode_acquire(vfs, ino, &vnode, NULL, err))
        return false;
    bool ok = freeze_vnode(vfs, vnode, quiet_since_ns, ret, err);
    vnode_release(vfs, vnode);
    return ok;
}

/* Inside a unit. */
static bool
thaw_row(struct varve_vfs *vfs, struct varve_content_id id, struct varve_content *ret,
         struct varve_error *err)
{
    if (!varve_catalog_content_get(vfs->catalog, id, ret, err))
        return false;
    if (ret->phase != VARVE_PHASE_FROZEN)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "content %" PRIu64 " is not frozen",
                               id.value);
    if (!ret->current)
        return varve_catalog_content_delete(vfs->catalog, id, err);
    ret->phase = VARVE_PHASE_LIVE;
    return varve_catalog_content_update(vfs->catalog, ret, err);
}

/* The vnode, if any, is locked by the caller, so that no write decides on the old phase. */
static bool
thaw_unit(struct varve_vfs *vfs, struct varve_content_id id, struct varve_content *ret,
          struct varve_error *err)
{
    varve_catalog_begin(vfs->catalog);
    if (!varve_catalog_end(vfs->catalog, thaw_row(vfs, id, ret, err), err))
        return false;
    if (!ret->current)
        varve_vfs_remove_later(vfs, ret->place);
    return true;
}

/* Locks the vnode of a content whose inode is there; *ret NULL if that is gone. */
static bool
lock_owner(struct varve_vfs *vfs, struct varve_content_id id, struct varve_content *ret_content,
           struct vnode **ret, struct varve_error *err)
{
    *ret = NULL;
    if (!varve_catalog_content_get(vfs->catalog, id, ret_content, err))
        return false;
    if (!ret_content->current)
        return true;
    if (!vnode_acquire(vfs, ret_content->ino, ret, NULL, err))
        return false;
    /* What was current may have been replaced before the lock was ours. */
    if (!version_reread(vfs, *ret, err) ||
        !varve_catalog_content_get(vfs->catalog, id, ret_content, err)) {
        vnode_release(vfs, *ret);
        return false;
    }
    return true;
}

bool
varve_vfs_thaw(struct varve_vfs *vfs, struct varve_content_id content, struct varve_error *err)
{
    struct varve_content row;
    struct vnode *vnode;
    if (!lock_owner(vfs, content, &row, &vnode, err))
        return false;
    bool ok = thaw_unit(vfs, content, &row, err);
    if (vnode == NULL)
        return ok;
    if (ok && vnode->content.id.value == content.value)
        vnode->content = row;
    vnode_release(vfs, vnode);
    return ok;
}

/* --- move and release --- */

/* Locked. Open in any way, or being recalled: nothing of it is taken away now. */
static bool
check_closed(struct varve_vfs *vfs, struct vnode *vnode, const struct varve_place *place,
             struct varve_error *err)
{
    if (vnode == NULL)
        return true;
    if (vnode->readers + vnode->writers > 0 || vnode->ios > 0)
        return busy(vnode, "is open", err);
    if (vnode->filling != NULL)
        return busy(vnode, "is being recalled", err);
    if (pass_stays_in_use(vfs, vnode, place))
        return busy(vnode, "is mapped by a program", err);
    return true;
}

/* Locked, for rows whose place changes; `row` becomes what the vnode knows. */
static void
vnode_took_row(struct vnode *vnode, const struct varve_content *row)
{
    if (vnode == NULL || vnode->content.id.value != row->id.value)
        return;
    vnode->content = *row;
    vnode_replace_fd(vnode, -1);
}

/* Inside a unit: the row must still have its copy where it was. */
static bool
move_row(struct varve_vfs *vfs, struct varve_content_id id, struct varve_place from,
         struct varve_place to, struct varve_content *ret, struct varve_error *err)
{
    if (!varve_catalog_content_get(vfs->catalog, id, ret, err))
        return false;
    if (ret->place.tier != from.tier || ret->place.path_id != from.path_id ||
        ret->place.file != from.file)
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "content %" PRIu64 " has changed",
                               id.value);
    ret->place = to;
    ret->unsynced = false; /* the copy was synced whole */
    return varve_catalog_content_update(vfs->catalog, ret, err);
}

/* What a move remembers from before the copy, which runs without the vnode's lock. */
struct moving {
    struct varve_content row;
    struct vnode *vnode; /* NULL: no longer current */
    uint64_t changes;
    struct varve_place to;
};

/* Locked. */
static bool
begin_move(struct varve_vfs *vfs, struct moving *moving, enum varve_tier tier,
           struct varve_error *err)
{
    struct stat st;
    const struct varve_content *row = &moving->row;
    if (!check_closed(vfs, moving->vnode, &row->place, err))
        return false;
    if (row->place.tier == VARVE_TIER_NONE)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                               "content %" PRIu64 " has no resident copy", row->id.value);
    if (row->place.tier == tier)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0, "content %" PRIu64 " is on tier %s",
                               row->id.value, varve_tier_name(tier));
    moving->to = (struct varve_place){.tier = tier};
    moving->changes = moving->vnode != NULL ? moving->vnode->changes : 0;
    if (row->place.file == 0)
        return true;
    if (!varve_store_stat(vfs->store, &row->place, &st, err))
        return false;
    moving->row.size = (uint64_t)st.st_size;
    return varve_store_choose(vfs->store, tier, moving->row.size, &moving->to.path_id, err) &&
           varve_catalog_file_numbers(vfs->catalog, 1, &moving->to.file, err);
}

/* Locked again, after the copy. */
static bool
check_unchanged(struct varve_vfs *vfs, const struct moving *moving, struct varve_error *err)
{
    if (!check_closed(vfs, moving->vnode, &moving->row.place, err))
        return false;
    if (moving->vnode != NULL && moving->vnode->changes != moving->changes)
        return busy(moving->vnode, "was changed during the copy", err);
    return true;
}

/* Locked. A copy that failed because somebody wrote meanwhile is no failure of the medium. */
static bool
end_move(struct varve_vfs *vfs, struct moving *moving, bool copied, struct varve_error *err)
{
    struct varve_content row;
    if (!check_unchanged(vfs, moving, err) || !copied)
        return false;
    varve_catalog_begin(vfs->catalog);
    bool keep = move_row(vfs, moving->row.id, moving->row.place, moving->to, &row, err);
    if (!varve_catalog_end(vfs->catalog, keep, err))
        return false;
    vnode_took_row(moving->vnode, &row);
    return true;
}

static void
lock_if(struct vnode *vnode)
{
    if (vnode != NULL)
        vnode_lock(vnode);
}

static void
unlock_if(struct varve_vfs *vfs, struct vnode *vnode)
{
    if (vnode != NULL)
        vnode_unlock(vfs, vnode);
}

/* First part: the copy exists, but is not durable. The vnode keeps a reference until move_finish().
 */
static bool
move_start(struct varve_vfs *vfs, struct moving *moving, struct varve_content_id content,
           enum varve_tier to, struct varve_error *err)
{
    if (!lock_owner(vfs, content, &moving->row, &moving->vnode, err))
        return false;
    bool ok = begin_move(vfs, moving, to, err);
    unlock_if(vfs, moving->vnode);
    if (!ok)
        moving->to.file = 0;
    if (ok && moving->to.file != 0)
        ok = varve_store_copy(vfs->store, &moving->row.place, &moving->to, moving->row.size, err);
    return ok;
}

/* Second part, after the sync: compared, and if nothing came in between, named. */
static bool
move_finish(struct varve_vfs *vfs, struct moving *moving, struct varve_error *err)
{
    bool same = moving->to.file == 0 || varve_store_compare(vfs->store, &moving->row.place,
                                                            &moving->to, moving->row.size, err);
    lock_if(moving->vnode);
    bool ok = end_move(vfs, moving, same, err);
    unlock_if(vfs, moving->vnode);
    return ok;
}

static void
move_end(struct varve_vfs *vfs, struct moving *moving, struct varve_move_result *result)
{
    struct varve_error unused;
    if (!result->moved && moving->to.file != 0)
        VARVE_IGNORE(varve_store_remove(vfs->store, &moving->to, &unused)); /* nothing names it */
    vnode_put(vfs, moving->vnode);
    if (result->moved)
        result->old = moving->row.place;
}

void
varve_vfs_move(struct varve_vfs *vfs, struct varve_move_result *files, size_t count,
               enum varve_tier to)
{
    VARVE_CLEANUP_FREE struct moving *moving = calloc(count + 1, sizeof *moving);
    struct varve_error sync = {0};
    for (size_t i = 0; i < count; i++) {
        files[i].error = (struct varve_error){0};
        files[i].moved =
            moving != NULL && move_start(vfs, &moving[i], files[i].content, to, &files[i].error);
        if (moving == NULL)
            varve_error_set(&files[i].error, VARVE_ERROR_NOMEM, 0, "move");
    }
    bool durable = moving != NULL && varve_store_sync_all(vfs->store, &sync);
    for (size_t i = 0; moving != NULL && i < count; i++) {
        if (files[i].moved && !durable)
            files[i].error = sync;
        files[i].moved = files[i].moved && durable && move_finish(vfs, &moving[i], &files[i].error);
        if (!files[i].moved)
            varve_error_wrap(&files[i].error, "move to tier %s", varve_tier_name(to));
        move_end(vfs, &moving[i], &files[i]);
    }
}

/* Inside a unit. INV-1. The path number stays in the row: a recall goes back to where it was. */
static bool
release_row(struct varve_vfs *vfs, const struct varve_content *kept, struct varve_content *ret,
            struct varve_place *ret_old, struct varve_error *err)
{
    const struct varve_content_id id = kept->id;
    if (!varve_catalog_content_get(vfs->catalog, id, ret, err))
        return false;
    if (ret->phase != VARVE_PHASE_SEALED)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "content %" PRIu64 " is not on sealed discs", id.value);
    if (ret->place.tier == VARVE_TIER_NONE)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                               "content %" PRIu64 " has no resident copy", id.value);
    *ret_old = ret->place;
    ret->place = (struct varve_place){.tier = VARVE_TIER_NONE, .path_id = ret_old->path_id};
    ret->head = kept->head;
    ret->head_bytes = kept->head_bytes;
    return varve_catalog_content_update(vfs->catalog, ret, err);
}

/* Locked, if there is a vnode. */
static bool
release_locked(struct varve_vfs *vfs, const struct varve_content *content, struct vnode *vnode,
               struct varve_place *ret_old, struct varve_error *err)
{
    struct varve_content row;
    struct varve_place old;
    struct varve_content kept = *content;
    if (!check_closed(vfs, vnode, &content->place, err))
        return false;
    if (content->phase == VARVE_PHASE_SEALED && vnode != NULL) {
        if (!vnode_slow_begin(vnode, err))
            return false;
        head_keep(vfs, &kept);
        vnode_slow_end(vnode);
    }
    varve_catalog_begin(vfs->catalog);
    if (!varve_catalog_end(vfs->catalog, release_row(vfs, &kept, &row, &old, err), err)) {
        if (content->head.tier == VARVE_TIER_NONE)
            head_remove(vfs, &kept);
        return false;
    }
    vnode_took_row(vnode, &row);
    *ret_old = old;
    return true;
}

bool
varve_vfs_release(struct varve_vfs *vfs, struct varve_content_id content,
                  struct varve_place *ret_old, struct varve_error *err)
{
    struct varve_content row;
    struct vnode *vnode;
    if (!lock_owner(vfs, content, &row, &vnode, err))
        return false;
    bool ok = release_locked(vfs, &row, vnode, ret_old, err);
    if (vnode != NULL)
        vnode_release(vfs, vnode);
    return ok;
}
