/* await.h - who waits for contents on discs: shared by await.c (waiting) and recall.c (bytes that
 * come).
 *
 * Requests and waiters are under vfs->recall_lock; what has been filled is under the vnode's lock,
 * which is taken first. A request holds a reference of its vnode, so that the file stays in the
 * table, and its inode row with it, until the recall is over. */
#ifndef VARVE_VFS_AWAIT_H
#define VARVE_VFS_AWAIT_H

#include "vfs_internal.h"

struct waiter {
    struct waiter *next;        /* in its request, by arrival */
    struct waiter *bucket_next; /* by ticket */
    uint64_t ticket;
    uint64_t start, end; /* end UINT64_MAX: only when the whole file is resident */
    varve_ready_fn *ready;
    void *context;
    struct request *request;
};

/* Somebody with requests of his own; there as long as he has one. */
struct recall_user {
    struct recall_user *next;
    uint32_t uid;
    unsigned active;       /* requests that the port has */
    struct request *first; /* those that wait for their turn */
    struct request **last;
};

struct request {
    struct request *bucket_next; /* by content */
    struct varve_content_id content;
    struct vnode *vnode; /* with a reference */
    struct waiter *waiters;
    struct waiter **last;
    bool admitted; /* the port was asked or is being asked */
    bool reader;   /* somebody who reads, not a job, asked; `uid` is the first of them */
    uint32_t uid;
    struct recall_user *user; /* whose limit it counts for; NULL: nobody's */
    struct request *line;     /* behind it in the user's line, while not admitted */
};

/* Under recall_lock: the waiters that `ready` says yes to, in a list of their own. */
struct waiter *
take_waiters(struct varve_vfs *vfs, struct request *request,
             bool (*ready)(const void *context, const struct waiter *waiter), const void *context);
/* No locks held. */
void tell_all(struct waiter *waiter, const struct varve_error *failure);
/* Locked: takes the vnode's request away if it is for this content. */
struct request *
detach_if_for(struct varve_vfs *vfs, struct vnode *vnode, struct varve_content_id content);

/* Under recall_lock: what the port is asked for. */
struct varve_recall_wish wish_of(const struct request *request);
/* No locks held: the port, for a request that is there; its refusal ends it. */
void ask_anew(struct varve_vfs *vfs, const struct varve_recall_wish *wish);

#endif
