/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>

/* How often who waits for a vnode looks whether its holder has become slow. */
#define LOCK_LOOK_NS 1000000

static struct vnode **
bucket_of(struct varve_vfs *vfs, uint64_t ino)
{
    return &vfs->buckets[ino % VFS_BUCKETS];
}

static struct vnode *
find_vnode(struct varve_vfs *vfs, uint64_t ino)
{
    struct vnode *vnode = *bucket_of(vfs, ino);
    while (vnode != NULL && vnode->ino != ino)
        vnode = vnode->next;
    return vnode;
}

struct vnode *
vnode_peek(struct varve_vfs *vfs, uint64_t ino)
{
    VARVE_LOCKED(&vfs->table_lock);
    struct vnode *vnode = find_vnode(vfs, ino);
    if (vnode != NULL)
        vnode->refs++;
    return vnode;
}

struct vnode *
vnode_get(struct varve_vfs *vfs, uint64_t ino)
{
    VARVE_LOCKED(&vfs->table_lock);
    struct vnode *vnode = find_vnode(vfs, ino);
    if (vnode == NULL) {
        vnode = calloc(1, sizeof *vnode);
        if (vnode == NULL)
            return NULL;
        vnode->ino = ino;
        vnode->fd = -1;
        vnode->head_fd = -1;
        (void)pthread_mutex_init(&vnode->lock, NULL); /* cannot fail with default attributes */
        vnode->next = *bucket_of(vfs, ino);
        *bucket_of(vfs, ino) = vnode;
    }
    vnode->refs++;
    return vnode;
}

static void
free_vnode(struct vnode *vnode)
{
    assert(vnode->ios == 0);
    assert(vnode->filling == NULL);
    if (vnode->fd >= 0)
        (void)close(vnode->fd); /* who cares about write errors has called fsync */
    if (vnode->head_fd >= 0)
        (void)close(vnode->head_fd);
    for (size_t i = 0; i < vnode->retired_count; i++)
        (void)close(vnode->retired[i]);
    free(vnode->retired);
    (void)pthread_mutex_destroy(&vnode->lock);
    free(vnode);
}

void
vnode_put(struct varve_vfs *vfs, struct vnode *vnode)
{
    if (vnode == NULL)
        return;
    {
        VARVE_LOCKED(&vfs->table_lock);
        if (--vnode->refs > 0)
            return;
        struct vnode **link = bucket_of(vfs, vnode->ino);
        while (*link != vnode)
            link = &(*link)->next;
        *link = vnode->next;
    }
    uint64_t ino = vnode->ino;
    bool orphan = vnode->orphan;
    free_vnode(vnode);
    if (orphan)
        names_delete_orphan(vfs, ino);
}

bool
vnode_orphan(struct varve_vfs *vfs, uint64_t ino)
{
    VARVE_LOCKED(&vfs->table_lock);
    struct vnode *vnode = find_vnode(vfs, ino);
    if (vnode != NULL)
        vnode->orphan = true;
    return vnode != NULL;
}

bool
vnode_nameless(struct varve_vfs *vfs, uint64_t ino)
{
    VARVE_LOCKED(&vfs->table_lock);
    struct vnode *vnode = find_vnode(vfs, ino);
    return vnode != NULL && vnode->nameless;
}

void
vnode_lock(struct vnode *vnode)
{
    (void)varve_lock_enter(&vnode->lock);
}

/* Set in threads that serve many others. */
static _Thread_local bool quick;

void
varve_vfs_be_quick(bool yes)
{
    quick = yes;
}

static bool
would_take_long(uint64_t ino, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_WAIT, EINPROGRESS,
                           "inode %" PRIu64 " is being copied or synced", ino);
}

bool
varve_vfs_takes_long(const struct varve_error *err)
{
    return err->kind == VARVE_ERROR_WAIT && varve_error_errno(err) == EINPROGRESS;
}

/* Others hold the lock for a moment only, unless they say that they are slow. */
bool
vnode_try_lock(struct vnode *vnode)
{
    if (pthread_mutex_trylock(&vnode->lock) == 0)
        return true;
    while (!atomic_load(&vnode->slow)) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for this clock */
        until.tv_nsec += LOCK_LOOK_NS;
        if (until.tv_nsec >= VARVE_NS_PER_SECOND) {
            until.tv_nsec -= VARVE_NS_PER_SECOND;
            until.tv_sec++;
        }
        if (pthread_mutex_clocklock(&vnode->lock, CLOCK_MONOTONIC, &until) == 0)
            return true;
    }
    return false;
}

bool
vnode_enter(struct vnode *vnode, struct varve_error *err)
{
    if (quick)
        return vnode_try_lock(vnode) || would_take_long(vnode->ino, err);
    vnode_lock(vnode);
    return true;
}

bool
vnode_slow_begin(struct vnode *vnode, struct varve_error *err)
{
    if (quick)
        return would_take_long(vnode->ino, err);
    atomic_store(&vnode->slow, true);
    return true;
}

void
vnode_slow_end(struct vnode *vnode)
{
    atomic_store(&vnode->slow, false);
}

void
vnode_unlock(struct varve_vfs *vfs, struct vnode *vnode)
{
    pthread_mutex_t *lock = &vnode->lock;
    struct request *ended = VARVE_TAKE(vnode->ended);
    varve_lock_leave(&lock);
    if (ended != NULL)
        request_tell(vfs, ended, NULL);
}

void
vnode_installed(struct vnode *vnode)
{
    const struct varve_content *row = &vnode->content;
    vnode->believed = row->unsynced && row->synced_bytes == VFS_BELIEVED;
    vnode->synced = !row->unsynced ? row->size : vnode->believed ? 0 : row->synced_bytes;
    vnode->named = !row->unsynced || row->synced_bytes > 0;
    vnode->cuts++;
}

bool
vnode_load(struct varve_vfs *vfs, struct vnode *vnode, struct varve_inode *ret,
           struct varve_error *err)
{
    struct varve_inode own;
    struct varve_inode *inode = ret != NULL ? ret : &own;
    if (vnode->loaded && ret == NULL)
        return true;
    if (!varve_catalog_inode_get(vfs->catalog, vnode->ino, inode, err))
        return false;
    if (vnode->loaded)
        return true;
    if (inode->content.value != 0 && S_ISREG(inode->mode))
        crash_catch_up(vfs, inode); /* before anybody writes to it */
    if (inode->content.value != 0 && S_ISREG(inode->mode) &&
        !varve_catalog_content_get(vfs->catalog, inode->content, &vnode->content, err))
        return varve_error_wrap(err, "content of inode %" PRIu64, vnode->ino);
    vnode->loaded = true;
    vnode_installed(vnode);
    if (inode->nlink == 0)
        (void)vnode_orphan(vfs, vnode->ino); /* it is in the table: we hold it */
    return true;
}

bool
vnode_acquire(struct varve_vfs *vfs, uint64_t ino, struct vnode **ret,
              struct varve_inode *ret_inode, struct varve_error *err)
{
    struct vnode *vnode = vnode_get(vfs, ino);
    if (vnode == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open inode %" PRIu64, ino);
    if (!vnode_enter(vnode, err)) {
        vnode_put(vfs, vnode);
        return false;
    }
    if (!vnode_load(vfs, vnode, ret_inode, err)) {
        vnode_release(vfs, vnode);
        return false;
    }
    *ret = vnode;
    return true;
}

void
vnode_release(struct varve_vfs *vfs, struct vnode *vnode)
{
    vnode_unlock(vfs, vnode);
    vnode_put(vfs, vnode);
}

bool
vnode_need_fd(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err)
{
    assert(vnode->content.place.tier != VARVE_TIER_NONE);
    if (vnode->fd >= 0 || vnode->content.place.file == 0)
        return true;
    if (!varve_store_open_file(vfs->store, &vnode->content.place, O_RDWR, &vnode->fd, err))
        return false;
    /* Whoever made the name may have closed without a sync. */
    vnode->name_fresh = vnode->content.phase == VARVE_PHASE_LIVE;
    return true;
}

void
vnode_retire_fd(struct vnode *vnode, int fd)
{
    if (fd < 0)
        return;
    if (vnode->ios == 0 && vnode->passthroughs == 0) {
        (void)close(fd); /* its bytes were synced, or are no longer wanted */
        return;
    }
    int *grown = realloc(vnode->retired, (vnode->retired_count + 1) * sizeof *grown);
    if (grown == NULL)
        return; /* leaks one descriptor: closing it under a reader would be worse */
    grown[vnode->retired_count++] = fd;
    vnode->retired = grown;
}

void
vnode_replace_fd(struct vnode *vnode, int fd)
{
    int former = vnode->fd;
    vnode->fd = fd;
    vnode_retire_fd(vnode, former);
}

void
vnode_io_done(struct vnode *vnode)
{
    assert(vnode->ios > 0);
    vnode->ios--;
    if (vnode->ios > 0 || vnode->passthroughs > 0)
        return;
    for (size_t i = 0; i < vnode->retired_count; i++)
        (void)close(vnode->retired[i]);
    vnode->retired_count = 0;
}

bool
vnode_live_file(const struct vnode *vnode)
{
    return vnode->content.id.value != 0 && vnode->content.phase == VARVE_PHASE_LIVE &&
           vnode->content.place.tier != VARVE_TIER_NONE && vnode->content.place.file != 0;
}

void
vnode_agree_on_mtime(struct vnode *vnode)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, vfs_timespec(vnode->content.mtime_ns)};
    if (vnode->fd >= 0)
        (void)futimens(vnode->fd, times); /* else the file counts as written just now */
}

static int64_t
later_of(int64_t a_ns, int64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

/* A chmod of a file that is being written: the row's ctime is behind what was told already. */
static void
note_row(struct vnode *vnode, struct varve_inode *inode)
{
    bool changed = vnode->seen.row_ctime_ns != inode->ctime_ns;
    if (changed && vnode->seen.row_ctime_ns != 0)
        vnode->seen.ctime_ns = vfs_later(vnode->seen.ctime_ns, inode->ctime_ns);
    vnode->seen.row_ctime_ns = inode->ctime_ns;
    inode->ctime_ns = later_of(inode->ctime_ns, vnode->seen.ctime_ns);
}

/* An empty file that was made before it was needed is older than the row (pool.c). */
static bool
is_unwritten(const struct vnode *vnode, const struct varve_inode *inode, uint64_t size,
             int64_t file_mtime_ns)
{
    return size == 0 && inode->size == 0 && vnode->seen.file_mtime_ns == 0 &&
           file_mtime_ns < inode->mtime_ns;
}

bool
vnode_take_stat(struct varve_vfs *vfs, struct vnode *vnode, struct varve_inode *inode,
                const struct stat *st)
{
    uint64_t size = (uint64_t)st->st_size;
    int64_t file_mtime_ns = vfs_ns(st->st_mtim);
    bool more_blocks = inode->blocks != vfs_blocks(st);
    inode->blocks = vfs_blocks(st);
    vfs_note_stamp(vfs, file_mtime_ns);
    note_row(vnode, inode);
    if (inode->size == size && inode->mtime_ns == file_mtime_ns)
        return more_blocks;
    if (is_unwritten(vnode, inode, size, file_mtime_ns))
        return more_blocks;
    if (vnode->seen.size != size || vnode->seen.file_mtime_ns != file_mtime_ns) {
        int64_t before_ns = later_of(vnode->seen.mtime_ns, inode->mtime_ns);
        /* A simulated clock stands still: what happens at one moment has one time. */
        vnode->seen.mtime_ns = vfs->simulated ? file_mtime_ns : vfs_later(before_ns, file_mtime_ns);
        before_ns = later_of(vnode->seen.ctime_ns, inode->ctime_ns);
        vnode->seen.ctime_ns = vfs_later(before_ns, vnode->seen.mtime_ns);
    }
    vnode->seen.size = size;
    vnode->seen.file_mtime_ns = file_mtime_ns;
    if (inode->size == size && inode->mtime_ns == vnode->seen.mtime_ns)
        return more_blocks;
    inode->size = size;
    inode->mtime_ns = vnode->seen.mtime_ns;
    inode->ctime_ns = later_of(inode->ctime_ns, vnode->seen.ctime_ns);
    return true;
}

/* Inside a unit. */
static bool
flush_content(struct varve_vfs *vfs, struct vnode *vnode, const struct varve_inode *inode,
              struct varve_error *err)
{
    struct varve_content row;
    if (!varve_catalog_content_get(vfs->catalog, vnode->content.id, &row, err))
        return false;
    struct varve_content before = row;
    row.size = inode->size;
    row.mtime_ns = inode->mtime_ns;
    flush_mark(vnode, &row);
    if (row.size == before.size && row.mtime_ns == before.mtime_ns &&
        row.unsynced == before.unsynced &&
        (!row.unsynced || row.synced_bytes == before.synced_bytes))
        return true;
    if (!varve_catalog_content_update(vfs->catalog, &row, err))
        return false;
    vnode->content = row;
    return true;
}

/* Inside a unit. */
static bool
flush_rows(struct varve_vfs *vfs, struct vnode *vnode, const struct stat *st,
           struct varve_error *err)
{
    struct varve_inode inode;
    if (!varve_catalog_inode_get(vfs->catalog, vnode->ino, &inode, err))
        return false;
    if (vnode->opens > 0) {
        inode.opens += vnode->opens;
        inode.heat =
            varve_heat_decay(inode.heat, inode.heat_ns, vnode->heat_ns, vfs->heat_half_life_ns) +
            vnode->heat;
        inode.heat_ns = vnode->heat_ns;
    }
    if (vnode->atime_ns > inode.atime_ns)
        inode.atime_ns = vnode->atime_ns;
    if (st != NULL) {
        (void)vnode_take_stat(vfs, vnode, &inode, st);
        vnode->seen.row_ctime_ns = inode.ctime_ns;
        if (!flush_content(vfs, vnode, &inode, err))
            return false;
    }
    return varve_catalog_inode_update(vfs->catalog, &inode, err);
}

bool
vnode_flush(struct varve_vfs *vfs, struct vnode *vnode, struct varve_error *err)
{
    struct stat st;
    bool file =
        (vnode->dirty || vnode->content.unsynced) && vnode_live_file(vnode) && vnode->fd >= 0;
    if (!file && vnode->opens == 0 && vnode->atime_ns == 0)
        return true;
    if (file && fstat(vnode->fd, &st) != 0)
        return varve_error_system(err, errno, "look at backing file");
    varve_catalog_begin(vfs->catalog);
    if (!varve_catalog_end(vfs->catalog, flush_rows(vfs, vnode, file ? &st : NULL, err), err))
        return varve_error_wrap(err, "bring inode %" PRIu64 " up to date", vnode->ino);
    (void)atomic_fetch_add(&vfs->flushes, 1);
    vnode->opens = 0;
    vnode->heat = 0;
    vnode->atime_ns = 0;
    if (file && vnode->writers == 0 && !vnode->mapped &&
        vfs_ns(st.st_mtim) != vnode->content.mtime_ns)
        vnode_agree_on_mtime(vnode);
    /* With writers or mappings left, bytes may follow that this fstat has not seen. */
    if (vnode->writers > 0 || vnode->mapped)
        return true;
    vnode->dirty = false;
    if (file && vnode->content.unsynced)
        flush_closed(vfs, vnode);
    return true;
}
