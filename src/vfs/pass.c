/* SPDX-License-Identifier: Apache-2.0 */
/* pass.c - backing files that the kernel uses without us: which it may have, what is taken care of
 * while it has them, and of the mappings that stay when it gives them back. vfs_internal.h has the
 * rule that all of this keeps. */
#include "vfs_internal.h"

#include <fcntl.h>
#include <sched.h>

/* After a close the kernel drops its own file a moment later than it tells us. */
#define SETTLE_TRIES 3
/* How long a sync of the flusher is waited for: in requests, and by the engine. */
#define PATIENCE_MS 200
#define ENGINE_PATIENCE_MS 5000

/* Locked. Tells only while nobody has it open through the kernel. */
static bool
is_mapped(struct varve_vfs *vfs, const struct vnode *vnode)
{
    return vnode->fd >= 0 && vnode->content.place.tier != VARVE_TIER_NONE &&
           varve_store_in_use(vfs->store, &vnode->content.place, vnode->fd, PATIENCE_MS);
}

/* --- setuid, setgid and capabilities --- */

static bool
mode_gives_privileges(uint32_t mode)
{
    return (mode & S_ISUID) != 0 || (mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
}

static bool
has_privileges(struct varve_vfs *vfs, const struct varve_inode *inode)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer unused = {0};
    struct varve_error err;
    if (mode_gives_privileges(inode->mode))
        return true;
    /* What cannot be looked up counts as there: then writes go through us. */
    return varve_catalog_xattr_get(vfs->catalog, inode->ino, "security.capability", &unused,
                                   &err) ||
           err.kind != VARVE_ERROR_NOT_FOUND;
}

/* Do the rows say that a write by somebody unprivileged must strip something? */
static bool
must_strip(struct varve_vfs *vfs, uint64_t ino)
{
    struct varve_inode inode;
    struct varve_error unused;
    return varve_catalog_inode_get(vfs->catalog, ino, &inode, &unused) &&
           has_privileges(vfs, &inode);
}

bool
varve_open_strip(struct varve_open *open, bool *ret_stripped, struct varve_error *err)
{
    const struct varve_setattr change = {.clear_suid = true};
    struct varve_vfs *vfs = open->vfs;
    struct vnode *vnode = open->vnode;
    struct varve_inode unused;
    *ret_stripped = false;
    if (atomic_load(&vnode->plain))
        return true;
    /* First the note, then the look: who sets a bit in between takes the note back. */
    atomic_store(&vnode->plain, true);
    if (!must_strip(vfs, vnode->ino))
        return true;
    *ret_stripped = varve_vfs_setattr(vfs, vnode->ino, &change, &unused, err);
    if (!*ret_stripped)
        atomic_store(&vnode->plain, false);
    return *ret_stripped;
}

void
pass_watch_from_now(struct vnode *vnode)
{
    struct stat st;
    if (vnode->watched && vnode->fd >= 0 && fstat(vnode->fd, &st) == 0)
        vnode->watched_mtime_ns = vfs_ns(st.st_mtim);
}

void
pass_privileges_given(struct varve_vfs *vfs, uint64_t ino)
{
    struct vnode *vnode = vnode_peek(vfs, ino);
    if (vnode == NULL)
        return;
    atomic_store(&vnode->plain, false);
    /* A vnode that is busy for long has no file with the kernel. */
    if (vnode_try_lock(vnode)) {
        bool mapped = vnode->mapped && (vnode->passthroughs > 0 || is_mapped(vfs, vnode));
        vnode->watched = vnode->passed_writers > 0 || mapped;
        pass_watch_from_now(vnode);
        vnode_unlock(vfs, vnode);
    }
    vnode_put(vfs, vnode);
}

void
pass_settle_privileges(struct varve_vfs *vfs, struct vnode *vnode, struct varve_inode *inode)
{
    const struct varve_setattr change = {.clear_suid = true};
    struct stat st;
    struct varve_inode stripped;
    struct varve_error unused;
    if (!vnode->watched || vnode->fd < 0 || fstat(vnode->fd, &st) != 0 ||
        vfs_ns(st.st_mtim) == vnode->watched_mtime_ns)
        return;
    if (!must_strip(vfs, vnode->ino) ||
        vfs_change_rows(vfs, vnode->ino, &change, &stripped, &unused))
        vnode->watched = false;
    if (!vnode->watched && inode != NULL &&
        varve_catalog_inode_get(vfs->catalog, vnode->ino, &stripped, &unused)) {
        inode->mode = stripped.mode;
        if (inode->ctime_ns < stripped.ctime_ns) /* the file's may be later */
            inode->ctime_ns = stripped.ctime_ns;
    }
}

void
pass_settle(struct varve_vfs *vfs, uint64_t ino)
{
    struct vnode *vnode = vnode_peek(vfs, ino);
    if (vnode != NULL && vnode_try_lock(vnode)) {
        pass_settle_privileges(vfs, vnode, NULL);
        vnode_unlock(vfs, vnode);
    }
    vnode_put(vfs, vnode);
}

/* --- mappings that are left --- */

static bool
is_in_use(struct varve_vfs *vfs, const struct vnode *vnode, const struct varve_place *place,
          unsigned patience_ms)
{
    if (place->tier == VARVE_TIER_NONE || place->file == 0)
        return false;
    int fd = vnode != NULL && vnode->content.place.file == place->file ? vnode->fd : -1;
    return varve_store_in_use(vfs->store, place, fd, patience_ms);
}

bool
pass_in_use(struct varve_vfs *vfs, const struct vnode *vnode, const struct varve_place *place)
{
    return is_in_use(vfs, vnode, place, PATIENCE_MS);
}

bool
pass_stays_in_use(struct varve_vfs *vfs, struct vnode *vnode, const struct varve_place *place)
{
    if (vnode != NULL)
        atomic_store(&vnode->slow, true); /* who must be quick is not kept waiting for it */
    bool in_use = is_in_use(vfs, vnode, place, ENGINE_PATIENCE_MS);
    if (vnode != NULL)
        vnode_slow_end(vnode);
    return in_use;
}

bool
pass_unsteady(const struct vnode *vnode)
{
    return vnode->passed_mappables > 0 || vnode->mapped || vnode->watched;
}

/* Locked. The file stays in the table, and open, as long as it may be mapped. */
static void
keep_mapped(struct varve_vfs *vfs, struct vnode *vnode)
{
    vnode->mapped = true;
    VARVE_LOCKED(&vfs->table_lock);
    vnode->refs++;
    vnode->mapped_next = vfs->mapped;
    vfs->mapped = vnode;
}

void
pass_closed(struct varve_vfs *vfs, struct varve_open *open)
{
    struct vnode *vnode = open->vnode;
    vnode->passthroughs--;
    if (open->writing)
        vnode->passed_writers--;
    if (open->writing && open->synchronous)
        vnode->passed_synchronous--;
    pass_settle_privileges(vfs, vnode, NULL);
    if (vnode->passed_writers == 0 && !vnode->mapped)
        vnode->watched = false;
    if (!open->writing || !open->reading)
        return;
    vnode->passed_mappables--;
    bool left = !vnode->mapped;
    /* While others have it open nobody can tell: then it counts as mapped. */
    for (unsigned tried = 0; left && vnode->passthroughs == 0 && tried < SETTLE_TRIES; tried++) {
        left = is_mapped(vfs, vnode);
        if (left)
            (void)sched_yield();
    }
    if (left)
        keep_mapped(vfs, vnode);
}

/* True if the file is no longer mapped; then its last changes are in the catalog. */
static bool
check_mapped(struct varve_vfs *vfs, struct vnode *vnode, bool at_end)
{
    struct varve_error unused; /* as at a close: fsync is for who wants to know */
    vnode_lock(vnode);
    pass_settle_privileges(vfs, vnode, NULL);
    bool gone = at_end || (vnode->passthroughs == 0 && !is_mapped(vfs, vnode));
    if (gone) {
        vnode->mapped = false;
        vnode->watched = vnode->watched && vnode->passed_writers > 0;
        VARVE_IGNORE(vnode_flush(vfs, vnode, &unused));
    }
    vnode_unlock(vfs, vnode);
    return gone;
}

static struct vnode *
take_mapped(struct varve_vfs *vfs)
{
    VARVE_LOCKED(&vfs->table_lock);
    return VARVE_TAKE(vfs->mapped);
}

void
pass_sweep(struct varve_vfs *vfs, bool at_end)
{
    struct vnode *list = take_mapped(vfs);
    while (list != NULL) {
        struct vnode *vnode = list;
        list = vnode->mapped_next;
        if (check_mapped(vfs, vnode, at_end)) {
            vnode_put(vfs, vnode);
            continue;
        }
        VARVE_LOCKED(&vfs->table_lock);
        vnode->mapped_next = vfs->mapped;
        vfs->mapped = vnode;
    }
}

/* --- what the kernel may have --- */

/* Locked. A FROZEN file is never given to the kernel: its next writer gets a copy, and the kernel
 * would go on reading the old bytes. A SEALED one's next writer takes over the same file. */
static int
fd_for_kernel(struct varve_open *open)
{
    struct varve_error unused;
    struct vnode *vnode = open->vnode;
    const struct varve_content *content = &vnode->content;
    if (!version_reread(open->vfs, vnode, &unused) || content->id.value == 0 ||
        content->place.tier == VARVE_TIER_NONE || content->place.file == 0 ||
        content->phase == VARVE_PHASE_FROZEN ||
        (content->phase == VARVE_PHASE_SEALED && vnode->writers > 0) ||
        !varve_store_may_pass(open->vfs->store, &content->place) ||
        !vnode_need_fd(open->vfs, vnode, &unused))
        return -1;
    return vnode->fd;
}

int
varve_open_backing_fd(struct varve_open *open)
{
    vnode_lock(open->vnode);
    int fd = fd_for_kernel(open);
    vnode_unlock(open->vfs, open->vnode);
    return fd;
}

/* Locked. Only a LIVE file is made ready: others would be copied for a write that may never come.
 * But what the kernel has already is taken over now: a mapping would not ask us first. */
static bool
prepare(struct varve_open *open, bool forced, struct varve_error *err)
{
    struct varve_error unused;
    const struct varve_content *content = &open->vnode->content;
    if (!open->writing)
        return true;
    if (forced)
        return version_for_write(open->vfs, open->vnode, UINT64_MAX, err);
    if ((content->id.value == 0 && varve_store_passes(open->vfs->store)) ||
        (content->phase == VARVE_PHASE_LIVE && content->id.value != 0))
        VARVE_IGNORE(version_for_write(open->vfs, open->vnode, UINT64_MAX, &unused));
    return true;
}

/* Locked. */
static void
account(struct varve_open *open, struct varve_pass *pass)
{
    struct stat st;
    struct vnode *vnode = open->vnode;
    bool steady = !pass_unsteady(vnode);
    open->passthrough = true;
    vnode->passthroughs++;
    if (open->writing) {
        vnode->passed_writers++;
        vnode->passed_synchronous += open->synchronous;
        vnode->believed = vnode->believed || open->synchronous;
        vnode->dirty = true;
        vnode->changes++;
        flush_wet(open->vfs, vnode);
    }
    if (open->writing && open->reading)
        vnode->passed_mappables++;
    /* Nobody tells us of the first read; an empty file is opened so to be written. */
    if (open->reading && (!open->writing || (fstat(vnode->fd, &st) == 0 && st.st_size > 0)))
        open_note_read(open);
    pass->unsteady = steady && pass_unsteady(vnode);
}

static bool
pass_locked(struct varve_open *open, const struct varve_pass_wish *wish, struct varve_pass *ret,
            struct varve_error *err)
{
    struct vnode *vnode = open->vnode;
    /* Through a mapping that is left only what is LIVE is written: freezing is BUSY until then. */
    bool left = vnode->mapped && vnode_live_file(vnode) && vnode->fd >= 0;
    bool forced = wish->forced || left;
    *ret = (struct varve_pass){.how = VARVE_PASS_NO, .fd = -1, .forced = forced};
    if (wish->unwanted && !forced)
        return true;
    /* Looked up here: who gives privileges after this finds the file with the kernel. */
    bool through_us = wish->mappings_only || (open->writing && must_strip(open->vfs, vnode->ino));
    if (through_us && !forced)
        return true;
    if (!prepare(open, forced, err))
        return false;
    int fd = forced ? vnode->fd : fd_for_kernel(open);
    if (fd < 0)
        return true;
    ret->fd = fd;
    ret->how = through_us ? VARVE_PASS_MAPPINGS : VARVE_PASS_ALL;
    account(open, ret);
    return true;
}

bool
varve_open_pass(struct varve_open *open, const struct varve_pass_wish *wish, struct varve_pass *ret,
                struct varve_error *err)
{
    if (!vnode_enter(open->vnode, err))
        return false;
    bool ok = pass_locked(open, wish, ret, err);
    vnode_unlock(open->vfs, open->vnode);
    return ok;
}

void
varve_open_pass_refused(struct varve_open *open, bool for_good)
{
    vnode_lock(open->vnode);
    if (for_good)
        varve_store_never_pass(open->vfs->store, &open->vnode->content.place);
    if (open->passthrough)
        pass_closed(open->vfs, open);
    open->passthrough = false;
    vnode_unlock(open->vfs, open->vnode);
}

bool
varve_vfs_passes(const struct varve_vfs *vfs)
{
    return varve_store_passes(vfs->store);
}
