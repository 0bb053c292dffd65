/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that come back, in the order in which somebody waits for them. */
#include "await.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <varve/file.h>
#include <varve/ranges.h>

/* After a jump so much is read in order before the next one, so that two readers of one file do not
 * send the lens to and fro for every request. */
#define RUN_BYTES (UINT64_C(2) << 20)
/* With so many separate ranges gaps are filled in order, whoever waits where. */
#define JUMPS_MAX (VARVE_RANGES_MAX / 2)

struct varve_recall {
    struct varve_vfs *vfs;
    struct vnode *vnode; /* with a reference */
    struct varve_content content;
    struct varve_place place;
    int fd;
    struct varve_ranges there; /* under the vnode's lock; only the one that recalls changes it */
    uint64_t last; /* where the last write ended, and what was written in order to there */
    uint64_t run;
};

int
recall_partial_fd(const struct vnode *vnode, uint64_t start, uint64_t end)
{
    const struct varve_recall *recall = vnode->filling;
    if (recall == NULL || recall->content.id.value != vnode->content.id.value ||
        !varve_ranges_cover(&recall->there, start, end))
        return -1;
    return recall->fd;
}

/* --- bringing back --- */

static bool
gone(struct varve_content_id content, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                           "content %" PRIu64 " is gone or no longer current", content.value);
}

/* Locked. A released row keeps its path number, which tells the tier it was on. */
static enum varve_tier
tier_to_fill(struct varve_vfs *vfs, const struct varve_content *content)
{
    enum varve_tier last = varve_store_path_tier(vfs->store, content->place.path_id);
    return last != VARVE_TIER_NONE ? last : vfs->first_tier;
}

/* Nothing names it yet. */
static bool
drop_file(struct varve_vfs *vfs, struct varve_recall *recall)
{
    struct varve_error unused; /* what stays is swept after the next start */
    (void)close(VARVE_TAKE_FD(recall->fd));
    VARVE_IGNORE(varve_store_remove(vfs->store, &recall->place, &unused));
    return false;
}

/* Locked. */
static bool
begin_filling(struct varve_vfs *vfs, struct vnode *vnode, struct varve_content_id content,
              struct varve_recall *recall, struct varve_error *err)
{
    if (vnode->content.id.value != content.value)
        return gone(content, err);
    if (!version_reread(vfs, vnode, err))
        return false;
    if (vnode->content.place.tier != VARVE_TIER_NONE)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0, "content %" PRIu64 " is resident",
                               content.value);
    if (vnode->filling != NULL)
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "content %" PRIu64 " is being recalled",
                               content.value);
    recall->content = vnode->content;
    if (!version_new_file(vfs, tier_to_fill(vfs, &vnode->content), vnode->content.size,
                          &recall->place, &recall->fd, err))
        return false;
    if (ftruncate(recall->fd, (off_t)vnode->content.size) != 0) {
        varve_error_system(err, errno, "lengthen backing file");
        return drop_file(vfs, recall);
    }
    vnode->filling = recall;
    return true;
}

/* The content row leads to the inode; both may be gone. */
static bool
acquire_content(struct varve_vfs *vfs, struct varve_content_id id, struct vnode **ret,
                struct varve_error *err)
{
    struct varve_content content;
    if (!varve_catalog_content_get(vfs->catalog, id, &content, err))
        return false;
    if (!content.current)
        return gone(id, err);
    return vnode_acquire(vfs, content.ino, ret, NULL, err);
}

static void
end_request(struct varve_vfs *vfs, struct varve_content_id content, const struct varve_error *err)
{
    bool there = err->kind == VARVE_ERROR_EXISTS;
    if (err->kind != VARVE_ERROR_BUSY) /* then another recall of it will end the request */
        varve_vfs_recall_fail(vfs, content, there ? NULL : err);
}

bool
varve_vfs_recall_begin(struct varve_vfs *vfs, struct varve_content_id content,
                       struct varve_recall **ret, struct varve_error *err)
{
    struct vnode *vnode;
    VARVE_CLEANUP_FREE struct varve_recall *recall = calloc(1, sizeof *recall);
    if (recall == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "recall");
    if (!acquire_content(vfs, content, &vnode, err)) {
        end_request(vfs, content, err);
        return false;
    }
    recall->vfs = vfs;
    recall->vnode = vnode;
    recall->fd = -1;
    if (!begin_filling(vfs, vnode, content, recall, err)) {
        vnode_release(vfs, vnode);
        end_request(vfs, content, err);
        return false;
    }
    vnode_unlock(vfs, vnode); /* the reference stays with the recall */
    *ret = VARVE_TAKE(recall);
    return true;
}

/* Zeros become a hole: a sparse file of a terabyte must fit when it comes back. */
static bool
put(struct varve_recall *recall, uint64_t offset, const uint8_t *bytes, size_t size,
    struct varve_error *err)
{
    bool zeros = size > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
    if (zeros && fallocate(recall->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                           (off_t)size) == 0)
        return true;
    return varve_file_pwrite(recall->fd, bytes, size, offset, err);
}

static bool
is_there(const void *context, const struct waiter *waiter)
{
    return waiter->end != UINT64_MAX && varve_ranges_cover(context, waiter->start, waiter->end);
}

bool
varve_recall_write(struct varve_recall *recall, uint64_t offset, const void *bytes, size_t size,
                   struct varve_error *err)
{
    struct varve_vfs *vfs = recall->vfs;
    struct waiter *woken = NULL;
    if (offset > recall->content.size || size > recall->content.size - offset)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "content %" PRIu64 " has only %" PRIu64 " bytes",
                               recall->content.id.value, recall->content.size);
    if (!put(recall, offset, bytes, size, err))
        return varve_error_wrap(err, "recall of content %" PRIu64, recall->content.id.value);
    vnode_lock(recall->vnode);
    bool current = recall->vnode->content.id.value == recall->content.id.value;
    bool noted = varve_ranges_add(&recall->there, offset, offset + size, err);
    recall->run = offset == recall->last ? recall->run + size : size;
    recall->last = offset + size;
    if (current && noted) {
        VARVE_LOCKED(&vfs->recall_lock);
        if (recall->vnode->request != NULL)
            woken = take_waiters(vfs, recall->vnode->request, is_there, &recall->there);
    }
    vnode_unlock(vfs, recall->vnode);
    tell_all(woken, NULL);
    return noted && (current || gone(recall->content.id, err));
}

bool
varve_recall_read(struct varve_recall *recall, uint64_t offset, void *bytes, size_t size,
                  struct varve_error *err)
{
    return varve_file_pread(recall->fd, bytes, size, offset, err) ||
           varve_error_wrap(err, "recall of content %" PRIu64, recall->content.id.value);
}

/* Locked vnode: the first missing byte of [from, to) that `except` has not either. */
static bool
missing(const struct varve_recall *recall, const struct varve_ranges *except, uint64_t from,
        uint64_t to, struct varve_range *ret)
{
    struct varve_range gap;
    while (varve_ranges_gap(&recall->there, from, to, &gap)) {
        if (except == NULL || varve_ranges_gap(except, gap.start, gap.end, &gap)) {
            *ret = gap;
            return true;
        }
        from = gap.end;
    }
    return false;
}

/* Locked vnode: what the one who has waited longest lacks of [from, to). */
static bool
waited_for(struct varve_recall *recall, const struct varve_ranges *except,
           const struct varve_range *within, struct varve_range *ret)
{
    VARVE_LOCKED(&recall->vfs->recall_lock);
    const struct request *request = recall->vnode->request;
    if (request == NULL || request->content.value != recall->content.id.value)
        return false;
    for (const struct waiter *waiter = request->waiters; waiter != NULL; waiter = waiter->next) {
        uint64_t start = waiter->start > within->start ? waiter->start : within->start;
        uint64_t end = waiter->end < within->end ? waiter->end : within->end;
        if (waiter->end != UINT64_MAX && start < end && missing(recall, except, start, end, ret))
            return true;
    }
    return false;
}

/* Locked vnode. */
static bool
choose_next(struct varve_recall *recall, const struct varve_ranges *except,
            const struct varve_range *within, struct varve_range *ret)
{
    struct varve_range on;
    bool more =
        recall->last >= within->start && missing(recall, except, recall->last, within->end, &on);
    bool in_run = more && on.start == recall->last && recall->run > 0 && recall->run < RUN_BYTES;
    if (!in_run && recall->there.count < JUMPS_MAX && waited_for(recall, except, within, ret)) {
        /* Goes on behind what is waited for, too. */
        return missing(recall, except, ret->start, within->end, ret);
    }
    if (more && recall->there.count < JUMPS_MAX) {
        *ret = on;
        return true;
    }
    return missing(recall, except, within->start, within->end, ret);
}

bool
varve_recall_next(struct varve_recall *recall, const struct varve_ranges *except,
                  const struct varve_range *within, struct varve_range *ret)
{
    vnode_lock(recall->vnode);
    bool found = choose_next(recall, except, within, ret);
    vnode_unlock(recall->vfs, recall->vnode);
    return found;
}

bool
varve_recall_has(struct varve_recall *recall, uint64_t start, uint64_t end)
{
    vnode_lock(recall->vnode);
    bool has = varve_ranges_cover(&recall->there, start, end);
    vnode_unlock(recall->vfs, recall->vnode);
    return has;
}

bool
varve_recall_is_wanted(struct varve_recall *recall)
{
    struct varve_vfs *vfs = recall->vfs;
    vnode_lock(recall->vnode);
    bool wanted = recall->vnode->readers + recall->vnode->writers > 0;
    if (!wanted) {
        VARVE_LOCKED(&vfs->recall_lock);
        wanted = recall->vnode->request != NULL && recall->vnode->request->waiters != NULL;
    }
    vnode_unlock(vfs, recall->vnode);
    return wanted;
}

/* Inside a unit. */
static bool
note_blocks(struct varve_recall *recall, struct varve_error *err)
{
    struct varve_inode inode;
    struct stat st;
    if (fstat(recall->fd, &st) != 0)
        return varve_error_system(err, errno, "look at backing file");
    if (!varve_catalog_inode_get(recall->vfs->catalog, recall->vnode->ino, &inode, err))
        return false;
    inode.blocks = vfs_blocks(&st);
    return varve_catalog_inode_update(recall->vfs->catalog, &inode, err);
}

/* Inside a unit. */
static bool
name_copy(struct varve_recall *recall, struct varve_content *ret, struct varve_error *err)
{
    if (!varve_catalog_content_get(recall->vfs->catalog, recall->content.id, ret, err))
        return false;
    ret->place = recall->place;
    return varve_catalog_content_update(recall->vfs->catalog, ret, err) && note_blocks(recall, err);
}

/* Locked. */
static bool
install_copy(struct varve_recall *recall, struct varve_error *err)
{
    struct vnode *vnode = recall->vnode;
    struct varve_content row;
    if (vnode->content.id.value != recall->content.id.value)
        return gone(recall->content.id, err);
    varve_catalog_begin(recall->vfs->catalog);
    if (!varve_catalog_end(recall->vfs->catalog, name_copy(recall, &row, err), err))
        return false;
    vnode->content = row;
    vnode->changes++;
    vnode_replace_fd(vnode, VARVE_TAKE_FD(recall->fd));
    vnode->name_fresh = false;
    return true;
}

static bool
make_durable(struct varve_recall *recall, struct varve_error *err)
{
    if (recall->there.bytes != recall->content.size)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "only %" PRIu64 " of %" PRIu64 " bytes came back",
                               recall->there.bytes, recall->content.size);
    int64_t mtime_ns = recall->content.mtime_ns;
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = mtime_ns / VARVE_NS_PER_SECOND, .tv_nsec = mtime_ns % VARVE_NS_PER_SECOND}};
    if (times[1].tv_nsec < 0) {
        times[1].tv_sec--;
        times[1].tv_nsec += VARVE_NS_PER_SECOND;
    }
    if (futimens(recall->fd, times) != 0)
        return varve_error_system(err, errno, "set time of backing file");
    vfs_mark_origin(recall->vfs, recall->vnode->ino, recall->content.version, recall->place);
    return varve_file_sync(recall->fd, "recalled file", err) &&
           varve_store_sync_name(recall->vfs->store, &recall->place, err);
}

/* Locked: if the beginning is there it need not be recalled again. */
static void
keep_head(struct varve_recall *recall)
{
    struct varve_vfs *vfs = recall->vfs;
    uint64_t bytes =
        vfs->head_bytes < recall->content.size ? vfs->head_bytes : recall->content.size;
    if (recall->vnode->content.id.value == recall->content.id.value &&
        varve_ranges_cover(&recall->there, 0, bytes))
        head_keep_part(vfs, recall->vnode, recall->fd);
}

/* Locked: true if somebody waits; then his request stays. */
static bool
still_waited_for(struct varve_recall *recall, struct varve_recall_wish *ret)
{
    VARVE_LOCKED(&recall->vfs->recall_lock);
    const struct request *request = recall->vnode->request;
    if (request == NULL || request->content.value != recall->content.id.value ||
        request->waiters == NULL)
        return false;
    *ret = wish_of(request);
    return true;
}

void
varve_recall_abandon(struct varve_recall *recall)
{
    struct varve_vfs *vfs = recall->vfs;
    struct vnode *vnode = recall->vnode;
    struct varve_error unused; /* the file is named nowhere; `varve check` would find it */
    struct varve_recall_wish wish;
    struct request *request = NULL;
    vnode_lock(vnode);
    keep_head(recall);
    vnode->filling = NULL;
    vnode_retire_fd(vnode, recall->fd);
    bool wanted = still_waited_for(recall, &wish);
    if (!wanted)
        request = detach_if_for(vfs, vnode, recall->content.id);
    vnode_unlock(vfs, vnode);
    VARVE_IGNORE(varve_store_remove(vfs->store, &recall->place, &unused));
    request_tell(vfs, request, NULL);
    if (wanted)
        ask_anew(vfs, &wish);
    vnode_put(vfs, vnode);
    varve_ranges_done(&recall->there);
    free(recall);
}

bool
varve_recall_end(struct varve_recall *recall, const struct varve_error *failure,
                 struct varve_error *err)
{
    struct varve_vfs *vfs = recall->vfs;
    struct vnode *vnode = recall->vnode;
    struct varve_error own = {0};
    struct varve_error unused; /* the file is named nowhere; `varve check` would find it */
    bool ok = failure == NULL && make_durable(recall, &own);
    vnode_lock(vnode);
    ok = ok && install_copy(recall, &own);
    if (!ok)
        keep_head(recall);
    vnode->filling = NULL;
    vnode_retire_fd(vnode, recall->fd);
    struct request *request = detach_if_for(vfs, vnode, recall->content.id);
    vnode_unlock(vfs, vnode);
    if (!ok)
        VARVE_IGNORE(varve_store_remove(vfs->store, &recall->place, &unused));
    request_tell(vfs, request, ok ? NULL : failure != NULL ? failure : &own);
    vnode_put(vfs, vnode);
    varve_ranges_done(&recall->there);
    free(recall);
    if (!ok && failure == NULL) {
        *err = own;
        return varve_error_wrap(err, "recall");
    }
    return true;
}
