/* SPDX-License-Identifier: Apache-2.0 */
/* work.c - requests that take long: a few threads do them, so that those that read the kernel's
 * queues are always there for the next request. Over io_uring there is one such thread a core, and
 * what it waits for everybody on that core waits for.
 *
 * Syncing, copying for the first write to a frozen file, cutting off and preallocating much, and
 * (over io_uring) reading and writing what is not passed to the kernel. */
#include "fs_internal.h"

struct fs_work {
    struct fs_job job;
    struct fs_work *next;
};

static void
do_work(struct fs_work *work)
{
    struct fs_job *job = &work->job;
    struct varve_error err = {0};
    if (fs_job_is_gone(job)) /* nothing of it was acknowledged */
        fs_job_done(job);
    else if (!job->attempt(job, &err))
        fs_job_failed(job, &err); /* waits for a disc, or is answered */
    else
        fs_job_done(job);
    free(work);
}

static struct fs_work *
next_work(struct varve_mount *mount)
{
    VARVE_LOCKED(&mount->lock);
    mount->workers_idle++;
    while (mount->first_work == NULL && !mount->work_quit)
        (void)pthread_cond_wait(&mount->work_event, &mount->lock);
    mount->workers_idle--;
    struct fs_work *work = mount->first_work;
    if (work == NULL)
        return NULL;
    mount->first_work = work->next;
    if (mount->first_work == NULL)
        mount->last_work = NULL;
    mount->work_queued--;
    return work;
}

static void *
work_thread(void *context)
{
    struct varve_mount *mount = context;
    struct fs_work *work = NULL;
    while ((work = next_work(mount)) != NULL)
        do_work(work);
    return NULL;
}

/* Lock held. Threads are made when they are wanted first, and stay. */
static void
add_worker(struct varve_mount *mount)
{
    if (mount->work_queued <= mount->workers_idle || mount->worker_count == FS_WORKERS_MAX)
        return;
    if (pthread_create(&mount->workers[mount->worker_count], NULL, work_thread, mount) == 0)
        mount->worker_count++;
}

static bool
push(struct varve_mount *mount, struct fs_work *work)
{
    VARVE_LOCKED(&mount->lock);
    mount->work_queued++;
    add_worker(mount);
    if (mount->worker_count == 0 || mount->work_quit) {
        mount->work_queued--;
        return false;
    }
    work->next = NULL;
    if (mount->last_work != NULL)
        mount->last_work->next = work;
    else
        mount->first_work = work;
    mount->last_work = work;
    (void)pthread_cond_signal(&mount->work_event);
    return true;
}

bool
fs_work_push(struct fs_job *job, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct fs_work *work = calloc(1, sizeof *work);
    if (work == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "hand a request on");
    if (job->incoming != NULL && !fs_job_hold(job, err))
        return false;
    work->job = *job;
    if (!push(job->mount, work))
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "hand a request on");
    work = NULL; /* the workers' */
    return true;
}

void
fs_work_finish(struct varve_mount *mount)
{
    {
        VARVE_LOCKED(&mount->lock);
        mount->work_quit = true;
        (void)pthread_cond_broadcast(&mount->work_event);
    }
    while (mount->worker_count > 0) {
        mount->worker_count--;
        (void)pthread_join(mount->workers[mount->worker_count], NULL); /* ours and joinable */
    }
}
