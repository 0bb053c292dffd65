/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <varve/file.h>

/* Requests and waiters are under vfs->recall_lock; what has been filled is under the vnode's lock,
 * which is taken first. A request holds a reference of its vnode, so that the file stays in the
 * table, and its inode row with it, until the recall is over. */
struct waiter {
    struct waiter *next;        /* in its request, by `end` */
    struct waiter *bucket_next; /* by ticket */
    uint64_t ticket;
    uint64_t end; /* UINT64_MAX: only when the whole file is resident */
    varve_ready_fn *ready;
    void *context;
    struct request *request;
};

struct request {
    struct request *bucket_next; /* by content */
    struct varve_content_id content;
    struct vnode *vnode; /* with a reference */
    struct waiter *waiters;
};

struct varve_recall {
    struct varve_vfs *vfs;
    struct vnode *vnode; /* with a reference */
    struct varve_content content;
    struct varve_place place;
    int fd;
    uint64_t written; /* under the vnode's lock; only the one that recalls changes it */
};

static void
unhash_waiter(struct varve_vfs *vfs, struct waiter *waiter)
{
    struct waiter **link = &vfs->waiters[waiter->ticket % VFS_BUCKETS];
    while (*link != waiter)
        link = &(*link)->bucket_next;
    *link = waiter->bucket_next;
}

static void
tell_all(struct waiter *waiter, const struct varve_error *failure)
{
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        waiter->ready(waiter->context, failure);
        free(waiter);
        waiter = next;
    }
}

/* Under recall_lock: the waiters whose range ends at or before `end`, in a list of their own. */
static struct waiter *
take_waiters(struct varve_vfs *vfs, struct request *request, uint64_t end)
{
    struct waiter *first = request->waiters;
    struct waiter **link = &request->waiters;
    while (*link != NULL && (*link)->end <= end) {
        unhash_waiter(vfs, *link);
        link = &(*link)->next;
    }
    struct waiter *rest = *link;
    *link = NULL;
    request->waiters = rest;
    return first == rest ? NULL : first;
}

struct request *
request_detach(struct varve_vfs *vfs, struct vnode *vnode)
{
    VARVE_LOCKED(&vfs->recall_lock);
    struct request *request = VARVE_TAKE(vnode->request);
    if (request == NULL)
        return NULL;
    struct request **link = &vfs->requests[request->content.value % VFS_BUCKETS];
    while (*link != request)
        link = &(*link)->bucket_next;
    *link = request->bucket_next;
    request->waiters = take_waiters(vfs, request, UINT64_MAX);
    return request;
}

void
request_tell(struct varve_vfs *vfs, struct request *request, const struct varve_error *failure)
{
    if (request == NULL)
        return;
    tell_all(request->waiters, failure);
    vnode_put(vfs, request->vnode);
    free(request);
}

/* With a reference for the caller; NULL if nobody asked for the content. */
static struct vnode *
requested_vnode(struct varve_vfs *vfs, struct varve_content_id content)
{
    VARVE_LOCKED(&vfs->recall_lock);
    struct request *request = vfs->requests[content.value % VFS_BUCKETS];
    while (request != NULL && request->content.value != content.value)
        request = request->bucket_next;
    return request != NULL ? vnode_peek(vfs, request->vnode->ino) : NULL;
}

/* Locked vnode. */
static struct request *
detach_if_for(struct varve_vfs *vfs, struct vnode *vnode, struct varve_content_id content)
{
    bool same;
    {
        VARVE_LOCKED(&vfs->recall_lock);
        same = vnode->request != NULL && vnode->request->content.value == content.value;
    }
    return same ? request_detach(vfs, vnode) : NULL;
}

void
varve_vfs_recall_fail(struct varve_vfs *vfs, struct varve_content_id content,
                      const struct varve_error *failure)
{
    struct vnode *vnode = requested_vnode(vfs, content);
    if (vnode == NULL)
        return;
    vnode_lock(vnode);
    struct request *request = detach_if_for(vfs, vnode, content);
    vnode_unlock(vfs, vnode);
    request_tell(vfs, request, failure);
    vnode_put(vfs, vnode);
}

/* Requests that the engine still has when it goes down. */
void
recall_cancel_all(struct varve_vfs *vfs)
{
    struct varve_error err;
    (void)varve_error_set(&err, VARVE_ERROR_CANCELLED, 0, "the archive is being closed");
    for (size_t i = 0; i < VFS_BUCKETS; i++) {
        while (vfs->requests[i] != NULL)
            varve_vfs_recall_fail(vfs, vfs->requests[i]->content, &err);
    }
}

int
recall_partial_fd(const struct vnode *vnode, uint64_t end)
{
    const struct varve_recall *recall = vnode->filling;
    if (recall == NULL || recall->content.id.value != vnode->content.id.value ||
        recall->written < end)
        return -1;
    return recall->fd;
}

/* --- waiting --- */

/* Locked vnode, under recall_lock. */
static void
add_waiter(struct varve_vfs *vfs, struct request *request, struct waiter *waiter)
{
    struct waiter **link = &request->waiters;
    while (*link != NULL && (*link)->end <= waiter->end)
        link = &(*link)->next;
    waiter->next = *link;
    *link = waiter;
    waiter->request = request;
    waiter->bucket_next = vfs->waiters[waiter->ticket % VFS_BUCKETS];
    vfs->waiters[waiter->ticket % VFS_BUCKETS] = waiter;
}

/* Locked vnode, under recall_lock. NULL: out of memory. */
static struct request *
add_request(struct varve_vfs *vfs, struct vnode *vnode)
{
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    request->content = vnode->content.id;
    request->vnode = vnode_get(vfs, vnode->ino); /* there: the caller holds it */
    request->bucket_next = vfs->requests[request->content.value % VFS_BUCKETS];
    vfs->requests[request->content.value % VFS_BUCKETS] = request;
    vnode->request = request;
    return request;
}

static uint64_t
new_ticket(struct varve_vfs *vfs)
{
    VARVE_LOCKED(&vfs->recall_lock);
    return ++vfs->last_ticket;
}

/* Locked vnode. Takes `waiter` on success. */
static bool
enqueue(struct varve_vfs *vfs, struct vnode *vnode, struct waiter *waiter, bool *ret_first,
        struct varve_error *err)
{
    VARVE_LOCKED(&vfs->recall_lock);
    *ret_first = vnode->request == NULL;
    struct request *request = *ret_first ? add_request(vfs, vnode) : vnode->request;
    if (request == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "wait for inode %" PRIu64, vnode->ino);
    add_waiter(vfs, request, waiter);
    return true;
}

/* Locked vnode: can [offset, offset + size) be read without waiting? *ret_end: what to wait for. */
static bool
can_read(const struct vnode *vnode, uint64_t offset, uint64_t size, uint64_t *ret_end)
{
    const struct varve_content *content = &vnode->content;
    if (content->id.value == 0 || content->place.tier != VARVE_TIER_NONE)
        return true;
    *ret_end = UINT64_MAX;
    if (size == UINT64_MAX)
        return false;
    if (offset >= content->size || size == 0)
        return true;
    *ret_end = size < content->size - offset ? offset + size : content->size;
    return recall_partial_fd(vnode, *ret_end) >= 0;
}

static struct varve_recall_port
current_port(struct varve_vfs *vfs)
{
    VARVE_LOCKED(&vfs->recall_lock);
    return vfs->recall_port;
}

/* No locks held. The port's refusal ends the request for all who wait, the caller among them. */
static bool
ask_port(struct varve_vfs *vfs, struct varve_content_id content, uint64_t ticket,
         struct varve_error *err)
{
    struct varve_error failure = {0};
    struct varve_recall_port port = current_port(vfs);
    bool asked = port.request != NULL ? port.request(port.context, content, &failure)
                                      : varve_error_set(&failure, VARVE_ERROR_NOT_READY, 0,
                                                        "nothing is there to recall from discs");
    if (asked)
        return true;
    /* If it cannot be cancelled, somebody told it already: then the call has succeeded. */
    bool cancelled = varve_vfs_await_cancel(vfs, ticket);
    varve_vfs_recall_fail(vfs, content, &failure);
    if (cancelled)
        *err = failure;
    return !cancelled;
}

bool
varve_vfs_await(struct varve_vfs *vfs, uint64_t ino, uint64_t offset, uint64_t size,
                varve_ready_fn *ready, void *context, uint64_t *ret_ticket, struct varve_error *err)
{
    struct vnode *vnode;
    uint64_t end;
    bool first = false;
    VARVE_CLEANUP_FREE struct waiter *waiter = calloc(1, sizeof *waiter);
    if (waiter == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "wait for inode %" PRIu64, ino);
    if (!vnode_acquire(vfs, ino, &vnode, NULL, err))
        return false;
    if (can_read(vnode, offset, size, &end)) {
        vnode_release(vfs, vnode);
        *ret_ticket = 0;
        ready(context, NULL);
        return true;
    }
    waiter->end = end;
    waiter->ready = ready;
    waiter->context = context;
    struct varve_content_id content = vnode->content.id;
    uint64_t ticket = new_ticket(vfs);
    waiter->ticket = ticket;
    *ret_ticket = ticket; /* now: once enqueued, `ready` may come and take *ret_ticket with it */
    bool ok = enqueue(vfs, vnode, waiter, &first, err);
    if (ok)
        waiter = NULL; /* the request's */
    vnode_release(vfs, vnode);
    return ok && (!first || ask_port(vfs, content, ticket, err));
}

bool
varve_vfs_await_cancel(struct varve_vfs *vfs, uint64_t ticket)
{
    VARVE_LOCKED(&vfs->recall_lock);
    struct waiter *waiter = vfs->waiters[ticket % VFS_BUCKETS];
    while (waiter != NULL && waiter->ticket != ticket)
        waiter = waiter->bucket_next;
    if (waiter == NULL)
        return false;
    unhash_waiter(vfs, waiter);
    struct waiter **link = &waiter->request->waiters;
    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    free(waiter);
    return true;
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
    if (!version_create_file(vfs, tier_to_fill(vfs, &vnode->content), vnode->content.size,
                             &recall->place, &recall->fd, err))
        return false;
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
append(struct varve_recall *recall, const uint8_t *bytes, size_t size, struct varve_error *err)
{
    bool zeros = size > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
    if (!zeros)
        return varve_file_pwrite(recall->fd, bytes, size, recall->written, err);
    if (ftruncate(recall->fd, (off_t)(recall->written + size)) != 0)
        return varve_error_system(err, errno, "lengthen backing file");
    return true;
}

bool
varve_recall_write(struct varve_recall *recall, const void *bytes, size_t size,
                   struct varve_error *err)
{
    struct varve_vfs *vfs = recall->vfs;
    struct waiter *woken = NULL;
    if (size > recall->content.size - recall->written)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "content %" PRIu64 " has only %" PRIu64 " bytes",
                               recall->content.id.value, recall->content.size);
    if (!append(recall, bytes, size, err))
        return varve_error_wrap(err, "recall of content %" PRIu64, recall->content.id.value);
    vnode_lock(recall->vnode);
    bool current = recall->vnode->content.id.value == recall->content.id.value;
    recall->written += size;
    if (current) {
        VARVE_LOCKED(&vfs->recall_lock);
        if (recall->vnode->request != NULL)
            woken = take_waiters(vfs, recall->vnode->request, recall->written);
    }
    vnode_unlock(vfs, recall->vnode);
    tell_all(woken, NULL);
    return current || gone(recall->content.id, err);
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
    if (recall->written != recall->content.size)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "only %" PRIu64 " of %" PRIu64 " bytes came back", recall->written,
                               recall->content.size);
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
    vnode->filling = NULL;
    vnode_retire_fd(vnode, recall->fd);
    struct request *request = detach_if_for(vfs, vnode, recall->content.id);
    vnode_unlock(vfs, vnode);
    if (!ok)
        VARVE_IGNORE(varve_store_remove(vfs->store, &recall->place, &unused));
    request_tell(vfs, request, ok ? NULL : failure != NULL ? failure : &own);
    vnode_put(vfs, vnode);
    free(recall);
    if (!ok && failure == NULL) {
        *err = own;
        return varve_error_wrap(err, "recall");
    }
    return true;
}

void
varve_vfs_set_recall_port(struct varve_vfs *vfs, const struct varve_recall_port *port)
{
    VARVE_LOCKED(&vfs->recall_lock);
    vfs->recall_port = port != NULL ? *port : (struct varve_recall_port){0};
}
