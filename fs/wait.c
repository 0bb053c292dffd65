/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c - requests for content that is on discs: they wait here, not on a worker thread.
 *
 * A waiting request is looked at by a resume thread when it has an *event*: its content is ready
 * (or will never be), or it was interrupted. Only resume threads answer and free it, so whoever
 * brings an event - the vfs from any thread, libfuse with its own lock held - just marks it:
 * nothing can be freed under their hands, and no reply is sent from inside their calls.
 *
 * `ready` is called exactly once unless the await is cancelled in time, and may be called before
 * varve_vfs_await() has returned: the event counts from the moment the request is `armed`. */
#include "fs_internal.h"

struct fs_wait {
    struct fs_job job;
    uint64_t ticket;
    uint64_t number;
    pid_t thread;     /* that called */
    bool armed;       /* ticket is valid */
    bool ready;       /* the vfs has called, with `failure` if it has a kind */
    bool interrupted; /* by a signal, or by the end of the mount */
    bool queued;      /* is among the events */
    bool handled;     /* a resume thread works on it: an event now is looked at when it is done */
    struct varve_error failure;
    struct fs_wait *prev, *next;
    struct fs_wait *next_event;
};

bool
fs_job_is_gone(const struct fs_job *job)
{
    if (!job->uring)
        return false;
    VARVE_LOCKED(&job->mount->lock);
    return job->mount->served || fuse_session_exited(job->mount->session) != 0;
}

/* Lock held. */
static void
queue_event(struct fs_wait *wait)
{
    struct varve_mount *mount = wait->job.mount;
    if (wait->queued || wait->handled || !wait->armed)
        return;
    wait->queued = true;
    wait->next_event = NULL;
    if (mount->last_event != NULL)
        mount->last_event->next_event = wait;
    else
        mount->first_event = wait;
    mount->last_event = wait;
    (void)pthread_cond_signal(&mount->wait_event);
}

static void
on_ready(void *context, const struct varve_error *err)
{
    struct fs_wait *wait = context;
    VARVE_LOCKED(&wait->job.mount->lock);
    wait->ready = true;
    if (err != NULL)
        wait->failure = *err;
    queue_event(wait);
}

/* A write through the page cache that fails makes the kernel read its page anew, over what mappings
 * have stored there. */
static bool
may_interrupt(const struct fs_job *job)
{
    return !job->from_cache || atomic_load(&job->handle->node->mappers) <= job->handle->maps;
}

/* libfuse holds the lock of the request: answering it from here could deadlock. */
static void
on_interrupt(fuse_req_t req, void *context)
{
    (void)req;
    struct fs_wait *wait = context;
    if (!may_interrupt(&wait->job))
        return;
    VARVE_LOCKED(&wait->job.mount->lock);
    wait->interrupted = true;
    queue_event(wait);
}

/* Lock held. False: no more may wait. */
static bool
enter(struct fs_wait *wait, struct varve_error *err)
{
    struct varve_mount *mount = wait->job.mount;
    if (mount->waits_refused)
        return varve_error_set(err, VARVE_ERROR_CANCELLED, 0, "the archive is being unmounted");
    if (atomic_load(&mount->uring_seen) && !wait->job.written_out &&
        mount->wait_count >= mount->uring_depth - FS_URING_KEPT)
        return varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "too many requests wait for discs");
    mount->wait_count++;
    wait->number = ++mount->wait_number;
    wait->thread = fuse_req_ctx(wait->job.req)->pid;
    (void)pthread_cond_signal(&mount->look_event);
    wait->prev = NULL;
    wait->next = mount->waits;
    if (wait->next != NULL)
        wait->next->prev = wait;
    mount->waits = wait;
    return true;
}

void
fs_job_done(struct fs_job *job)
{
    if (job->held == NULL)
        return;
    free(job->held);
    job->held = NULL;
    VARVE_LOCKED(&job->mount->lock);
    job->mount->held_bytes -= job->size;
}

static void
leave_and_free(struct fs_wait *wait)
{
    struct varve_mount *mount = wait->job.mount;
    {
        VARVE_LOCKED(&mount->lock);
        if (wait->prev != NULL)
            wait->prev->next = wait->next;
        else
            mount->waits = wait->next;
        if (wait->next != NULL)
            wait->next->prev = wait->prev;
        mount->wait_count--;
        if (mount->waits == NULL)
            (void)pthread_cond_broadcast(&mount->waits_none);
    }
    free(wait);
}

static void
answer(struct fs_wait *wait, const struct varve_error *err)
{
    fs_reply_error(wait->job.req, wait->job.what, wait->job.ino, err);
    fs_job_done(&wait->job);
    leave_and_free(wait);
}

bool
fs_job_hold(struct fs_job *job, struct varve_error *err)
{
    {
        VARVE_LOCKED(&job->mount->lock);
        if (!job->written_out && job->mount->held_bytes + job->size > FS_HELD_BYTES_MAX)
            return varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "too many writes wait for discs");
        job->mount->held_bytes += job->size;
    }
    job->held = malloc(job->size + 1); /* never NULL for 0 bytes */
    struct fuse_bufvec memory = FUSE_BUFVEC_INIT((size_t)job->size);
    memory.buf[0].mem = job->held;
    ssize_t copied = job->held == NULL ? -ENOMEM : fuse_buf_copy(&memory, job->incoming, 0);
    job->incoming = NULL;
    if (copied >= 0 && (uint64_t)copied == job->size)
        return true;
    free(job->held);
    job->held = NULL;
    VARVE_LOCKED(&job->mount->lock);
    job->mount->held_bytes -= job->size;
    return varve_error_system(err, copied < 0 ? (int)-copied : EIO, "keep the bytes to write");
}

/* Asks for the content. From here on the request belongs to the resume threads. */
static void
ask(struct fs_wait *wait)
{
    struct fs_job *job = &wait->job;
    struct varve_error err = {0};
    uint64_t ticket = 0;
    const struct varve_await await = {job->need.ino, job->need.offset, job->need.size, on_ready,
                                      wait};
    bool asked = varve_vfs_await_for(job->mount->vfs, &job->reader, &await, &ticket, &err);
    VARVE_LOCKED(&job->mount->lock);
    wait->ticket = ticket;
    wait->armed = true;
    if (!asked) { /* `ready` will not be called */
        wait->ready = true;
        wait->failure = err;
    }
    if (wait->ready || wait->interrupted)
        queue_event(wait);
}

/* Moves the job to the heap and lets it wait. False: it is still the caller's to answer. */
static bool
start_wait(struct fs_job *job, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct fs_wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "wait for a disc");
    if (job->incoming != NULL && !fs_job_hold(job, err))
        return false;
    wait->job = *job;
    {
        VARVE_LOCKED(&job->mount->lock);
        if (!enter(wait, err))
            return false;
    }
    /* Calls on_interrupt at once if the interrupt has come already; then it is not armed yet. */
    fuse_req_interrupt_func(job->req, on_interrupt, wait);
    ask(VARVE_TAKE(wait));
    return true;
}

void
fs_job_failed(struct fs_job *job, const struct varve_error *failure)
{
    struct varve_error err = *failure;
    if (err.kind == VARVE_ERROR_WAIT) {
        err = (struct varve_error){0};
        if (start_wait(job, &err))
            return;
    }
    fs_reply_error(job->req, job->what, job->ino, &err);
    fs_job_done(job);
}

void
fs_run(struct fs_job *job)
{
    struct varve_error err = {0};
    if (job->reader.pid == 0 && !job->written_out) /* else the caller knows more of him */
        job->reader = fs_reader_of(job->req);
    job->uring = fs_over_uring(job->req);
    bool slow = job->slow;
    if (!slow) {
        varve_vfs_be_quick(true);
        bool done = job->attempt(job, &err);
        varve_vfs_be_quick(false);
        if (done)
            return;
        slow = varve_vfs_takes_long(&err);
    }
    if (!slow) {
        fs_job_failed(job, &err);
        return;
    }
    err = (struct varve_error){0};
    if (fs_work_push(job, &err))
        return;
    fs_reply_error(job->req, job->what, job->ino, &err);
    fs_job_done(job);
}

/* Redoes a request whose content came. It may have to wait again: the content can be released in
 * between, or the request needs a second file. */
static void
redo(struct fs_wait *wait)
{
    struct varve_error err = {0};
    varve_vfs_be_quick(true);
    bool done = wait->job.attempt(&wait->job, &err);
    varve_vfs_be_quick(false);
    if (!done && varve_vfs_takes_long(&err)) {
        err = (struct varve_error){0};
        if (fs_work_push(&wait->job, &err)) {
            leave_and_free(wait);
            return;
        }
    }
    if (done) {
        fs_job_done(&wait->job);
        leave_and_free(wait);
        return;
    }
    if (err.kind != VARVE_ERROR_WAIT) {
        answer(wait, &err);
        return;
    }
    {
        VARVE_LOCKED(&wait->job.mount->lock);
        wait->armed = wait->ready = wait->handled = false;
        wait->interrupted = wait->job.mount->waits_refused;
    }
    fuse_req_interrupt_func(wait->job.req, on_interrupt, wait);
    ask(wait);
}

static void
handle_event(struct fs_wait *wait, bool ready, bool interrupted)
{
    struct varve_mount *mount = wait->job.mount;
    if (!ready && !varve_vfs_await_cancel(mount->vfs, wait->ticket)) {
        VARVE_LOCKED(&mount->lock);
        wait->handled = false;
        if (wait->ready) /* else `ready` is on its way and will queue the request */
            queue_event(wait);
        return;
    }
    if (fs_job_is_gone(&wait->job)) {
        fs_job_done(&wait->job);
        leave_and_free(wait);
        return;
    }
    /* Takes libfuse's lock of the request, so no interrupt can be in the middle of it after. */
    fuse_req_interrupt_func(wait->job.req, NULL, NULL);
    if (interrupted) {
        struct varve_error err = {0};
        (void)varve_error_set(&err, VARVE_ERROR_CANCELLED, EINTR, "interrupted");
        answer(wait, &err);
    } else if (wait->failure.kind != VARVE_ERROR_NONE) {
        answer(wait, &wait->failure);
    } else {
        redo(wait);
    }
}

/* The next request with an event; NULL: no more will come. */
static struct fs_wait *
next_event(struct varve_mount *mount, bool *ret_ready, bool *ret_interrupted)
{
    VARVE_LOCKED(&mount->lock);
    while (mount->first_event == NULL && !mount->waits_quit)
        (void)pthread_cond_wait(&mount->wait_event, &mount->lock);
    struct fs_wait *wait = mount->first_event;
    if (wait == NULL)
        return NULL;
    mount->first_event = wait->next_event;
    if (mount->first_event == NULL)
        mount->last_event = NULL;
    wait->queued = false;
    wait->handled = true;
    *ret_ready = wait->ready;
    *ret_interrupted = wait->interrupted;
    return wait;
}

static void *
resume_thread(void *context)
{
    struct varve_mount *mount = context;
    bool ready = false, interrupted = false;
    struct fs_wait *wait = NULL;
    while ((wait = next_event(mount, &ready, &interrupted)) != NULL)
        handle_event(wait, ready, interrupted);
    return NULL;
}

bool
fs_waits_start(struct varve_mount *mount, struct varve_error *err)
{
    while (mount->resume_count < FS_RESUME_THREADS) {
        int sys = pthread_create(&mount->resume[mount->resume_count], NULL, resume_thread, mount);
        if (sys != 0)
            return varve_error_system(err, sys, "start a thread");
        mount->resume_count++;
    }
    return true;
}

size_t
fs_waits_list(struct varve_mount *mount, struct fs_waiter *ret, size_t max)
{
    VARVE_LOCKED(&mount->lock);
    size_t count = 0;
    for (struct fs_wait *wait = mount->waits; wait != NULL && count < max; wait = wait->next) {
        if (!wait->interrupted)
            ret[count++] = (struct fs_waiter){.thread = wait->thread, .number = wait->number};
    }
    return count;
}

void
fs_waits_interrupt(struct varve_mount *mount, uint64_t number)
{
    VARVE_LOCKED(&mount->lock);
    struct fs_wait *wait = mount->waits;
    while (wait != NULL && wait->number != number)
        wait = wait->next;
    if (wait == NULL || !may_interrupt(&wait->job))
        return; /* answered meanwhile, or goes on */
    wait->interrupted = true;
    queue_event(wait);
}

void
fs_waits_refuse(struct varve_mount *mount)
{
    VARVE_LOCKED(&mount->lock);
    mount->waits_refused = true;
    for (struct fs_wait *wait = mount->waits; wait != NULL; wait = wait->next) {
        wait->interrupted = true;
        queue_event(wait);
    }
}

void
fs_waits_finish(struct varve_mount *mount)
{
    fs_waits_refuse(mount);
    {
        VARVE_LOCKED(&mount->lock);
        while (mount->waits != NULL && mount->resume_count > 0)
            (void)pthread_cond_wait(&mount->waits_none, &mount->lock);
        mount->waits_quit = true;
        (void)pthread_cond_broadcast(&mount->wait_event);
    }
    while (mount->resume_count > 0) {
        mount->resume_count--;
        (void)pthread_join(mount->resume[mount->resume_count], NULL); /* ours and joinable */
    }
}
