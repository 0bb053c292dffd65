/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_internal.h"

#include <stdarg.h>
#include <string.h>

struct job {
    struct varve_job info;
    struct varve_engine *engine;
    job_fn *run;
    void *context;
    job_free_fn *release;
    struct job *next;
};

bool
stopping(const struct varve_engine *engine)
{
    return atomic_load(&engine->stopping);
}

bool
go_on(const struct varve_engine *engine, struct varve_error *err)
{
    if (!stopping(engine))
        return true;
    return varve_error_set(err, VARVE_ERROR_CANCELLED, 0,
                           "varve is stopping; the work goes on after the next start");
}

static void
finish(struct job *job, bool ok, const struct varve_error *err)
{
    struct varve_engine *engine = job->engine;
    if (job->release != NULL)
        job->release(job->context);
    VARVE_LOCKED(&engine->jobs_lock);
    job->context = NULL;
    job->info.finished_ns = varve_clock_realtime(engine->clock);
    if (!ok)
        job->info.error = *err;
    /* A job whose files failed one by one has failed too: scripts look at one exit code. */
    job->info.state = ok && job->info.files_failed == 0 ? VARVE_JOB_DONE : VARVE_JOB_FAILED;
    engine->jobs_running--;
    if (job->info.state == VARVE_JOB_FAILED)
        varve_log(job->info.error.kind == VARVE_ERROR_CANCELLED ? VARVE_LOG_INFO
                                                                : VARVE_LOG_WARNING,
                  "job %llu (%s): %s", (unsigned long long)job->info.id, job->info.kind,
                  job->info.error.text);
    else
        varve_log(VARVE_LOG_INFO, "job %llu (%s): done", (unsigned long long)job->info.id,
                  job->info.kind);
    pthread_cond_broadcast(&engine->jobs_changed);
}

static void *
job_thread(void *argument)
{
    struct job *job = argument;
    struct varve_error err = {0};
    {
        VARVE_LOCKED(&job->engine->jobs_lock);
        job->info.state = VARVE_JOB_RUNNING;
    }
    bool ok = job->run(job->engine, job, job->context, &err);
    finish(job, ok, &err);
    return NULL;
}

/* Forgets the oldest finished jobs beyond the bound. Lock held. */
static void
trim(struct varve_engine *engine)
{
    size_t count = 0;
    for (struct job **link = &engine->jobs; *link != NULL;) {
        struct job *job = *link;
        bool over = job->info.state == VARVE_JOB_DONE || job->info.state == VARVE_JOB_FAILED;
        if (++count > JOBS_KEPT_MAX && over) {
            *link = job->next;
            free(job);
        } else {
            link = &job->next;
        }
    }
}

static struct job *
job_new(struct varve_engine *engine, const char *kind, job_fn *run, void *context,
        job_free_fn *release)
{
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return NULL;
    job->engine = engine;
    job->run = run;
    job->context = context;
    job->release = release;
    (void)snprintf(job->info.kind, sizeof job->info.kind, "%s", kind);
    job->info.started_ns = varve_clock_realtime(engine->clock);
    return job;
}

static bool
launch(struct varve_engine *engine, struct job *job, uint64_t *ret_id, struct varve_error *err)
{
    VARVE_LOCKED(&engine->jobs_lock);
    if (stopping(engine))
        return varve_error_set(err, VARVE_ERROR_CANCELLED, 0, "varve is stopping");
    if (engine->jobs_running >= JOBS_RUNNING_MAX)
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "%d jobs are running already",
                               JOBS_RUNNING_MAX);
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, job_thread, job);
    if (failed != 0)
        return varve_error_system(err, failed, "start a thread for a job");
    (void)pthread_detach(thread); /* jobs_stop waits by count */
    engine->jobs_running++;
    job->info.id = ++engine->job_last;
    job->next = engine->jobs;
    engine->jobs = job;
    *ret_id = job->info.id;
    trim(engine);
    return true;
}

bool
job_start(struct varve_engine *engine, const char *kind, job_fn *run, void *context,
          job_free_fn *release, uint64_t *ret_id, struct varve_error *err)
{
    struct job *job = job_new(engine, kind, run, context, release);
    if (job != NULL && launch(engine, job, ret_id, err))
        return true;
    if (job == NULL)
        varve_error_set(err, VARVE_ERROR_NOMEM, 0, "start a job");
    if (release != NULL)
        release(context);
    free(job);
    return varve_error_wrap(err, "%s", kind);
}

void
job_text(struct job *job, const char *format, ...)
{
    if (job == NULL)
        return;
    VARVE_LOCKED(&job->engine->jobs_lock);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(job->info.text, sizeof job->info.text, format, args);
    va_end(args);
}

void
job_total(struct job *job, uint64_t bytes, uint64_t files)
{
    if (job == NULL)
        return;
    VARVE_LOCKED(&job->engine->jobs_lock);
    job->info.total = bytes;
    job->info.files_total = files;
}

void
job_grow(struct job *job, uint64_t bytes, uint64_t files)
{
    if (job == NULL)
        return;
    VARVE_LOCKED(&job->engine->jobs_lock);
    job->info.total += bytes;
    job->info.files_total += files;
}

void
job_add(struct job *job, uint64_t bytes, uint64_t files)
{
    if (job == NULL)
        return;
    VARVE_LOCKED(&job->engine->jobs_lock);
    job->info.done += bytes;
    job->info.files_done += files;
}

void
job_file_failed(struct job *job, const struct varve_error *why)
{
    if (job == NULL)
        return;
    VARVE_LOCKED(&job->engine->jobs_lock);
    if (job->info.files_failed++ == 0)
        job->info.error = *why;
}

static struct job *
find(struct varve_engine *engine, uint64_t id)
{
    struct job *job = engine->jobs;
    while (job != NULL && job->info.id != id)
        job = job->next;
    return job;
}

static bool
no_such_job(uint64_t id, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "there is no job %llu",
                           (unsigned long long)id);
}

bool
varve_engine_job(struct varve_engine *engine, uint64_t id, struct varve_job *ret,
                 struct varve_error *err)
{
    VARVE_LOCKED(&engine->jobs_lock);
    struct job *job = find(engine, id);
    if (job == NULL)
        return no_such_job(id, err);
    *ret = job->info;
    return true;
}

size_t
varve_engine_jobs(struct varve_engine *engine, struct varve_job *ret, size_t max)
{
    VARVE_LOCKED(&engine->jobs_lock);
    size_t count = 0;
    for (struct job *job = engine->jobs; job != NULL && count < max; job = job->next)
        ret[count++] = job->info;
    return count;
}

bool
varve_engine_job_wait(struct varve_engine *engine, uint64_t id, struct varve_job *ret,
                      struct varve_error *err)
{
    VARVE_LOCKED(&engine->jobs_lock);
    for (;;) {
        struct job *job = find(engine, id);
        if (job == NULL)
            return no_such_job(id, err);
        if (job->info.state == VARVE_JOB_DONE || job->info.state == VARVE_JOB_FAILED) {
            *ret = job->info;
            return true;
        }
        pthread_cond_wait(&engine->jobs_changed, &engine->jobs_lock);
    }
}

void
jobs_stop(struct varve_engine *engine)
{
    VARVE_LOCKED(&engine->jobs_lock);
    while (engine->jobs_running > 0)
        pthread_cond_wait(&engine->jobs_changed, &engine->jobs_lock);
}

void
jobs_done(struct varve_engine *engine)
{
    while (engine->jobs != NULL) {
        struct job *job = engine->jobs;
        engine->jobs = job->next;
        free(job);
    }
}
