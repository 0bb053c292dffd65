/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for contents on discs: requests, whose turn it is, and the port that is asked. */
#include "await.h"

#include <inttypes.h>

static void
unhash_waiter(struct varve_vfs *vfs, struct waiter *waiter)
{
    struct waiter **link = &vfs->waiters[waiter->ticket % VFS_BUCKETS];
    while (*link != waiter)
        link = &(*link)->bucket_next;
    *link = waiter->bucket_next;
}

void
tell_all(struct waiter *waiter, const struct varve_error *failure)
{
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        waiter->ready(waiter->context, failure);
        free(waiter);
        waiter = next;
    }
}

struct waiter *
take_waiters(struct varve_vfs *vfs, struct request *request,
             bool (*ready)(const void *context, const struct waiter *waiter), const void *context)
{
    struct waiter *taken = NULL;
    struct waiter **end = &taken;
    struct waiter **link = &request->waiters;
    while (*link != NULL) {
        struct waiter *waiter = *link;
        if (!ready(context, waiter)) {
            link = &waiter->next;
            continue;
        }
        *link = waiter->next;
        unhash_waiter(vfs, waiter);
        waiter->next = NULL;
        *end = waiter;
        end = &waiter->next;
    }
    request->last = link;
    return taken;
}

static bool
anybody(const void *context, const struct waiter *waiter)
{
    (void)context;
    (void)waiter;
    return true;
}

/* --- whose turn it is (under recall_lock) --- */

static struct recall_user *
user_get(struct varve_vfs *vfs, uint32_t uid)
{
    struct recall_user *user = vfs->recall_users;
    while (user != NULL && user->uid != uid)
        user = user->next;
    if (user != NULL)
        return user;
    user = calloc(1, sizeof *user);
    if (user == NULL)
        return NULL;
    *user = (struct recall_user){.next = vfs->recall_users, .uid = uid, .last = &user->first};
    vfs->recall_users = user;
    return user;
}

static void
user_put(struct varve_vfs *vfs, struct recall_user *user)
{
    if (user == NULL || user->active > 0 || user->first != NULL)
        return;
    struct recall_user **link = &vfs->recall_users;
    while (*link != user)
        link = &(*link)->next;
    *link = user->next;
    free(user);
}

static bool
user_is_full(const struct varve_vfs *vfs, const struct recall_user *user)
{
    return vfs->readers.per_user > 0 && user->active >= vfs->readers.per_user;
}

/* Takes a request that is not admitted out of its user's line. */
static void
leave_line(struct varve_vfs *vfs, struct request *request)
{
    struct recall_user *user = VARVE_TAKE(request->user);
    struct request **link = &user->first;
    while (*link != request)
        link = &(*link)->line;
    *link = request->line;
    if (request->line == NULL)
        user->last = link;
    request->line = NULL;
    user_put(vfs, user);
}

/* A request that `uid` (NULL: nobody who is limited) waits for too. True: the port is to be asked
 * for it now. */
static bool
claim_turn(struct varve_vfs *vfs, struct request *request, const uint32_t *uid)
{
    if (request->admitted)
        return false;
    if (uid == NULL || vfs->readers.per_user == 0) {
        if (request->user != NULL)
            leave_line(vfs, request);
        return request->admitted = true;
    }
    struct recall_user *user = user_get(vfs, *uid);
    if (user == NULL)
        return request->admitted = true; /* better out of turn than never */
    if (user_is_full(vfs, user)) {
        if (request->user == NULL) {
            request->user = user;
            *user->last = request;
            user->last = &request->line;
        }
        return false;
    }
    user->active++;
    if (request->user != NULL)
        leave_line(vfs, request);
    request->user = user;
    return request->admitted = true;
}

static void
end_turn(struct varve_vfs *vfs, struct request *request)
{
    if (request->user == NULL)
        return;
    if (!request->admitted) {
        leave_line(vfs, request);
        return;
    }
    struct recall_user *user = VARVE_TAKE(request->user);
    user->active--;
    user_put(vfs, user);
}

struct varve_recall_wish
wish_of(const struct request *request)
{
    const struct waiter *first = request->waiters;
    return (struct varve_recall_wish){
        .content = request->content,
        .offset = first != NULL && first->end != UINT64_MAX ? first->start : 0,
        .reader = request->reader,
        .uid = request->uid};
}

/* The next request whose turn has come, now admitted; false: there is none. */
static bool
next_turn(struct varve_vfs *vfs, struct varve_recall_wish *ret)
{
    VARVE_LOCKED(&vfs->recall_lock);
    struct recall_user *user = vfs->recall_users;
    while (user != NULL && (user->first == NULL || user_is_full(vfs, user)))
        user = user->next;
    if (user == NULL)
        return false;
    struct request *request = user->first;
    user->active++; /* first, so that the user stays */
    leave_line(vfs, request);
    request->user = user;
    request->admitted = true;
    *ret = wish_of(request);
    return true;
}

/* --- requests --- */

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
    request->waiters = take_waiters(vfs, request, anybody, NULL);
    end_turn(vfs, request);
    return request;
}

static void
request_finish(struct varve_vfs *vfs, struct request *request, const struct varve_error *failure)
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

struct request *
detach_if_for(struct varve_vfs *vfs, struct vnode *vnode, struct varve_content_id content)
{
    bool same;
    {
        VARVE_LOCKED(&vfs->recall_lock);
        same = vnode->request != NULL && vnode->request->content.value == content.value;
    }
    return same ? request_detach(vfs, vnode) : NULL;
}

/* Ends the request without giving the next one its turn. */
static void
fail_request(struct varve_vfs *vfs, struct varve_content_id content,
             const struct varve_error *failure)
{
    struct vnode *vnode = requested_vnode(vfs, content);
    if (vnode == NULL)
        return;
    vnode_lock(vnode);
    struct request *request = detach_if_for(vfs, vnode, content);
    vnode_unlock(vfs, vnode);
    request_finish(vfs, request, failure);
    vnode_put(vfs, vnode);
}

struct varve_recall_port
recall_port(struct varve_vfs *vfs)
{
    VARVE_LOCKED(&vfs->recall_lock);
    return vfs->recall_port;
}

static bool
ask_port(struct varve_vfs *vfs, const struct varve_recall_wish *wish, struct varve_error *err)
{
    struct varve_recall_port port = recall_port(vfs);
    if (port.request == NULL)
        return varve_error_set(err, VARVE_ERROR_NOT_READY, 0,
                               "nothing is there to recall from discs");
    return port.request(port.context, wish, err);
}

void
ask_anew(struct varve_vfs *vfs, const struct varve_recall_wish *wish)
{
    struct varve_error failure = {0};
    if (!ask_port(vfs, wish, &failure))
        varve_vfs_recall_fail(vfs, wish->content, &failure);
}

/* No locks held: after a request has ended. */
static void
give_turns(struct varve_vfs *vfs)
{
    struct varve_recall_wish wish;
    while (next_turn(vfs, &wish)) {
        struct varve_error failure = {0};
        if (!ask_port(vfs, &wish, &failure))
            fail_request(vfs, wish.content, &failure);
    }
}

void
request_tell(struct varve_vfs *vfs, struct request *request, const struct varve_error *failure)
{
    if (request == NULL)
        return;
    request_finish(vfs, request, failure);
    give_turns(vfs);
}

void
varve_vfs_recall_fail(struct varve_vfs *vfs, struct varve_content_id content,
                      const struct varve_error *failure)
{
    fail_request(vfs, content, failure);
    give_turns(vfs);
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

/* --- waiting --- */

/* Under recall_lock. */
static void
add_waiter(struct varve_vfs *vfs, struct request *request, struct waiter *waiter)
{
    waiter->next = NULL;
    *request->last = waiter;
    request->last = &waiter->next;
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
    request->last = &request->waiters;
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

/* Locked vnode. Takes `waiter` on success. True in *ret_ask: the port must be asked for *ret. */
static bool
enqueue(struct varve_vfs *vfs, struct vnode *vnode, const struct varve_reader *reader,
        struct waiter *waiter, bool *ret_ask, struct varve_recall_wish *ret,
        struct varve_error *err)
{
    VARVE_LOCKED(&vfs->recall_lock);
    struct request *request = vnode->request != NULL ? vnode->request : add_request(vfs, vnode);
    if (request == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "wait for inode %" PRIu64, vnode->ino);
    bool first_reader = reader != NULL && !request->reader;
    bool again = request->admitted && first_reader;
    if (first_reader) {
        request->reader = true;
        request->uid = reader->uid;
    }
    add_waiter(vfs, request, waiter);
    *ret_ask = claim_turn(vfs, request, reader != NULL ? &reader->uid : NULL) || again;
    *ret = wish_of(request);
    ret->again = again;
    return true;
}

/* Locked vnode: can [offset, offset + size) be read without waiting? *ret_end: what to wait for. */
static bool
can_read(struct varve_vfs *vfs, struct vnode *vnode, uint64_t offset, uint64_t size,
         uint64_t *ret_end)
{
    uint64_t head = 0;
    const struct varve_content *content = &vnode->content;
    if (content->id.value == 0 || content->place.tier != VARVE_TIER_NONE)
        return true;
    *ret_end = UINT64_MAX;
    if (size == UINT64_MAX)
        return false;
    if (offset >= content->size || size == 0)
        return true;
    *ret_end = size < content->size - offset ? offset + size : content->size;
    return recall_partial_fd(vnode, offset, *ret_end) >= 0 ||
           (head_fd(vfs, vnode, &head) >= 0 && *ret_end <= head);
}

/* No locks held. The port's refusal ends the request for all who wait, the caller among them. */
static bool
ask_for_caller(struct varve_vfs *vfs, const struct varve_recall_wish *wish, uint64_t ticket,
               struct varve_error *err)
{
    struct varve_error failure = {0};
    if (ask_port(vfs, wish, &failure))
        return true;
    /* If it cannot be cancelled, somebody told it already: then the call has succeeded. */
    bool cancelled = varve_vfs_await_cancel(vfs, ticket);
    varve_vfs_recall_fail(vfs, wish->content, &failure);
    if (cancelled)
        *err = failure;
    return !cancelled;
}

bool
varve_vfs_await_for(struct varve_vfs *vfs, const struct varve_reader *reader,
                    const struct varve_await *await, uint64_t *ret_ticket, struct varve_error *err)
{
    struct vnode *vnode;
    uint64_t end;
    bool ask = false;
    VARVE_CLEANUP_FREE struct waiter *waiter = calloc(1, sizeof *waiter);
    if (waiter == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "wait for inode %" PRIu64, await->ino);
    if (!vnode_acquire(vfs, await->ino, &vnode, NULL, err))
        return false;
    if (can_read(vfs, vnode, await->offset, await->size, &end)) {
        vnode_release(vfs, vnode);
        *ret_ticket = 0;
        await->ready(await->context, NULL);
        return true;
    }
    if (!reader_may_wait(vfs, reader, err)) {
        vnode_release(vfs, vnode);
        return false;
    }
    *waiter = (struct waiter){
        .start = await->offset, .end = end, .ready = await->ready, .context = await->context};
    struct varve_recall_wish wish;
    uint64_t ticket = new_ticket(vfs);
    waiter->ticket = ticket;
    *ret_ticket = ticket; /* now: once enqueued, `ready` may come and take *ret_ticket with it */
    bool ok = enqueue(vfs, vnode, reader, waiter, &ask, &wish, err);
    if (ok)
        waiter = NULL; /* the request's */
    vnode_release(vfs, vnode);
    return ok && (!ask || ask_for_caller(vfs, &wish, ticket, err));
}

bool
varve_vfs_await(struct varve_vfs *vfs, uint64_t ino, uint64_t offset, uint64_t size,
                varve_ready_fn *ready, void *context, uint64_t *ret_ticket, struct varve_error *err)
{
    const struct varve_await await = {ino, offset, size, ready, context};
    return varve_vfs_await_for(vfs, NULL, &await, ret_ticket, err);
}

/* Locked vnode. */
static bool
nobody_waits(struct varve_vfs *vfs, const struct vnode *vnode, struct varve_content_id content,
             bool *ret_admitted)
{
    VARVE_LOCKED(&vfs->recall_lock);
    const struct request *request = vnode->request;
    if (request == NULL || request->content.value != content.value || request->waiters != NULL)
        return false;
    *ret_admitted = request->admitted;
    return true;
}

/* The last one who waited has gone. What no drive has begun with is not worth a robot's way. */
static void
give_up_request(struct varve_vfs *vfs, struct varve_content_id content)
{
    struct vnode *vnode = requested_vnode(vfs, content);
    struct request *request = NULL;
    bool admitted = false;
    if (vnode == NULL)
        return;
    vnode_lock(vnode);
    if (vnode->filling == NULL && nobody_waits(vfs, vnode, content, &admitted))
        request = request_detach(vfs, vnode);
    vnode_unlock(vfs, vnode);
    struct varve_recall_port port = recall_port(vfs);
    if (request != NULL && admitted && port.forget != NULL)
        port.forget(port.context, content);
    request_tell(vfs, request, NULL);
    vnode_put(vfs, vnode);
}

bool
varve_vfs_await_cancel(struct varve_vfs *vfs, uint64_t ticket)
{
    struct varve_content_id alone = {0};
    {
        VARVE_LOCKED(&vfs->recall_lock);
        struct waiter *waiter = vfs->waiters[ticket % VFS_BUCKETS];
        while (waiter != NULL && waiter->ticket != ticket)
            waiter = waiter->bucket_next;
        if (waiter == NULL)
            return false;
        unhash_waiter(vfs, waiter);
        struct request *request = waiter->request;
        struct waiter **link = &request->waiters;
        while (*link != waiter)
            link = &(*link)->next;
        *link = waiter->next;
        if (waiter->next == NULL)
            request->last = link;
        if (request->waiters == NULL)
            alone = request->content;
        free(waiter);
    }
    if (alone.value != 0)
        give_up_request(vfs, alone);
    return true;
}

void
varve_vfs_set_recall_port(struct varve_vfs *vfs, const struct varve_recall_port *port)
{
    VARVE_LOCKED(&vfs->recall_lock);
    vfs->recall_port = port != NULL ? *port : (struct varve_recall_port){0};
}
