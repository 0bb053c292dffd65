/* SPDX-License-Identifier: Apache-2.0 */
/* One thread per drive does what dispatch.c gives its drive. */
#include "manual.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

struct varve_drive *
drive_handle(struct drive *drive)
{
    return varve_library_drive(drive_library(drive), drive->number);
}

struct varve_library *
drive_library(struct drive *drive)
{
    return drive->engine->libraries[drive->library].library;
}

/* --- the line of tasks --- */

void
task_end(struct task *task, const struct varve_error *why)
{
    task->ok = false;
    task->error = *why;
    task->state = TASK_OVER;
}

static void
cancel(struct task *task)
{
    struct varve_error why = {0};
    varve_error_set(&why, VARVE_ERROR_CANCELLED, 0, "varve is stopping");
    task_end(task, &why);
}

void
drives_wake_locked(struct varve_engine *engine)
{
    for (size_t i = 0; i < engine->library_count; i++)
        engine->libraries[i].stale = true;
    pthread_cond_broadcast(&engine->tasks_changed);
}

void
drives_wake(struct varve_engine *engine)
{
    VARVE_LOCKED(&engine->tasks_lock);
    drives_wake_locked(engine);
}

void
task_submit(struct varve_engine *engine, struct task *task)
{
    task->state = TASK_WAITING;
    task->next = NULL;
    task->since_ns = varve_clock_monotonic(engine->clock);
    if (is_manual(engine, task->library))
        disc_shelf(engine, &task->barcode, task->shelf);
    VARVE_LOCKED(&engine->tasks_lock);
    if (stopping(engine)) { /* the drives may have looked for the last time */
        cancel(task);
        return;
    }
    struct varve_error away = {0};
    if (task->class != TASK_BURN && !library_need(engine, task->library, &away)) {
        task_end(task, &away); /* burns wait until the library is there */
        return;
    }
    struct task **link = &engine->libraries[task->library].tasks;
    while (*link != NULL)
        link = &(*link)->next;
    *link = task;
    drives_wake_locked(engine);
}

bool
task_wait(struct varve_engine *engine, struct task *task, struct varve_error *err)
{
    VARVE_LOCKED(&engine->tasks_lock);
    while (task->state != TASK_OVER)
        pthread_cond_wait(&engine->tasks_changed, &engine->tasks_lock);
    if (!task->ok)
        *err = task->error;
    return task->ok;
}

void
drive_load_took(struct drive *drive, int64_t ns)
{
    struct varve_engine *engine = drive->engine;
    if (!is_manual(engine, drive->library)) /* how long a person takes says nothing of changers */
        recalls_note_load(engine, ns);
    VARVE_LOCKED(&engine->tasks_lock);
    struct library *library = &engine->libraries[drive->library];
    double weight = library->loads++ == 0 ? 1 : 0.3;
    library->load_ns += weight * ((double)ns - library->load_ns);
}

/* --- work --- */

/* Brings the disc, out of an idle drive if it is in one. The holder is marked busy by the caller.
 */
static bool
bring_disc(struct drive *drive, struct drive *holder, const struct varve_barcode *barcode,
           struct varve_error *err)
{
    bool manual = is_manual(drive->engine, drive->library);
    if (manual && !manual_may_ask(drive->engine, barcode, err))
        return false;
    if (holder != NULL && holder != drive &&
        !varve_library_unload(drive_library(drive), holder->number, err))
        return false;
    if (varve_library_load(drive_library(drive), barcode, drive->number, err))
        return true;
    if (manual || err->kind == VARVE_ERROR_OFFLINE || stopping(drive->engine) ||
        varve_library_drive_refused(drive_library(drive), drive->number))
        return false;
    /* The failure may be another disc's: one that was to leave the drive and is gone. The library
     * has looked since. */
    varve_log(VARVE_LOG_WARNING, "%s; trying again", err->text);
    *err = (struct varve_error){0};
    return varve_library_load(drive_library(drive), barcode, drive->number, err);
}

/* What was there already says nothing of how long loads take. */
static bool
bring(struct drive *drive, struct drive *holder, const struct varve_barcode *barcode,
      struct varve_error *err)
{
    struct varve_engine *engine = drive->engine;
    struct varve_barcode loaded;
    bool there = varve_library_drive_disc(drive_library(drive), drive->number, &loaded) &&
                 varve_barcode_equal(&loaded, barcode);
    int64_t begun = varve_clock_monotonic(engine->clock);
    bool ok = bring_disc(drive, holder, barcode, err);
    if (holder != NULL)
        recalls_note_drive(holder, NULL);
    recalls_note_drive(drive, ok ? barcode : NULL);
    if (there)
        return ok;
    drive->served_ns = INT64_MIN;
    drive->turn_ns = varve_clock_monotonic(engine->clock);
    if (ok)
        drive_load_took(drive, drive->turn_ns - begun);
    if (ok && is_manual(engine, drive->library))
        walk_note(engine, drive->library, barcode);
    return ok;
}

/* The disc is in the drive, or it cannot be had: the holder is free, and so is what was in the
 * drive before. */
static void
brought(struct varve_engine *engine, struct drive *holder)
{
    VARVE_LOCKED(&engine->tasks_lock);
    if (holder != NULL)
        holder->busy = false;
    drives_wake_locked(engine);
}

/* The drive did not take the disc (dirty, upside down, or the drive): noted, with what they did
 * until now. */
static void
note_refusal(struct drive *drive, const struct varve_error *why)
{
    if (varve_library_drive_refused(drive_library(drive), drive->number) &&
        why->kind != VARVE_ERROR_CANCELLED)
        (void)health_bad(drive, &drive->disc, VARVE_INCIDENT_LOAD, why->text);
}

/* Back into the line: another drive may take the disc (faults 18, 19). */
static bool
try_elsewhere(struct drive *drive, struct task *task)
{
    struct varve_engine *engine = drive->engine;
    if (task->has_drive || !varve_library_drive_refused(drive_library(drive), drive->number))
        return false;
    VARVE_LOCKED(&engine->tasks_lock);
    task->not_drives |= UINT64_C(1) << drive->number;
    if (stopping(engine) || (drives_usable(engine, drive->library) & ~task->not_drives) == 0)
        return false;
    drive->busy = false;
    task->state = TASK_WAITING;
    task->next = engine->libraries[drive->library].tasks;
    engine->libraries[drive->library].tasks = task;
    drives_wake_locked(engine);
    return true;
}

/* Lock held. A drive without a robot does something else first: the task waits on. */
static bool
put_back(struct drive *drive, struct task *task, const struct varve_error *why)
{
    struct varve_engine *engine = drive->engine;
    if (why->kind != VARVE_ERROR_WAIT || stopping(engine))
        return false;
    struct library *library = &engine->libraries[drive->library];
    task->state = TASK_WAITING;
    task->next = library->tasks;
    library->tasks = task;
    drive->busy = false;
    drives_wake_locked(engine);
    return true;
}

static void
run_task(struct drive *drive)
{
    struct varve_engine *engine = drive->engine;
    struct task *task = drive->task;
    struct varve_error err = {0};
    struct varve_drive_health before;
    varve_drive_health(drive_handle(drive), &before);
    bool arrived = task->no_disc || bring(drive, drive->holder, &task->barcode, &err);
    brought(engine, drive->holder);
    if (!arrived)
        note_refusal(drive, &err);
    if (!arrived && try_elsewhere(drive, task))
        return;
    bool ok = arrived && task->run(engine, task, drive, &err);
    health_count(drive, &before, arrived);
    VARVE_LOCKED(&engine->tasks_lock);
    if (!arrived && put_back(drive, task, &err))
        return;
    task->disc_arrived = arrived;
    task->ok = ok;
    if (!ok)
        task->error = err;
    task->state = TASK_OVER;
    drive->busy = false;
    drives_wake_locked(engine);
}

/* Nobody else was waiting: a disc whose turn is over has another one. */
static void
take_turn(struct drive *drive)
{
    struct varve_engine *engine = drive->engine;
    int64_t now = varve_clock_monotonic(engine->clock);
    VARVE_LOCKED(&engine->tasks_lock);
    if (schedule_turn_is_over(drive->turn_ns, now, engine->libraries[drive->library].load_ns))
        drive->turn_ns = now;
}

static void
run_recalls(struct drive *drive)
{
    struct varve_engine *engine = drive->engine;
    struct varve_error err = {0};
    struct varve_drive_health before;
    varve_drive_health(drive_handle(drive), &before);
    bool arrived = bring(drive, drive->holder, &drive->disc, &err);
    brought(engine, drive->holder);
    if (!arrived)
        note_refusal(drive, &err);
    if (arrived)
        take_turn(drive);
    if (!arrived && err.kind == VARVE_ERROR_NOT_READY && is_manual(engine, drive->library))
        recalls_turn_away(engine, drive, &err);
    else if (arrived || err.kind != VARVE_ERROR_WAIT) /* else it waits on */
        recalls_serve(engine, drive, &drive->disc, arrived ? NULL : &err);
    health_count(drive, &before, arrived);
    VARVE_LOCKED(&engine->tasks_lock);
    drive->busy = false;
    drives_wake_locked(engine);
}

/* Lock held: until something changes, or time alone does. */
static void
wait_for_change(struct varve_engine *engine, int64_t again_ns)
{
    if (again_ns == INT64_MAX) {
        pthread_cond_wait(&engine->tasks_changed, &engine->tasks_lock);
        return;
    }
    int64_t left = again_ns - varve_clock_monotonic(engine->clock);
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    left = (left > 0 ? left : 0) + until.tv_nsec + VARVE_NS_PER_MS;
    until.tv_sec += left / VARVE_NS_PER_SECOND;
    until.tv_nsec = left % VARVE_NS_PER_SECOND;
    (void)pthread_cond_clockwait(&engine->tasks_changed, &engine->tasks_lock, CLOCK_MONOTONIC,
                                 &until); /* too early or too late: the loop looks again */
}

/* Takes the next work, or false when the engine stops. */
static bool
next_work(struct drive *drive)
{
    struct varve_engine *engine = drive->engine;
    VARVE_LOCKED(&engine->tasks_lock);
    while (!stopping(engine)) {
        dispatch(engine, drive->library);
        if (drive->assigned) {
            drive->assigned = false;
            return true;
        }
        wait_for_change(engine, engine->libraries[drive->library].again_ns);
    }
    if (drive->assigned && drive->task != NULL)
        cancel(drive->task);
    drive->assigned = false;
    return false;
}

static void *
drive_thread(void *argument)
{
    struct drive *drive = argument;
    while (next_work(drive)) {
        if (drive->task != NULL)
            run_task(drive);
        else
            run_recalls(drive);
    }
    return NULL;
}

bool
drive_start(struct drive *drive, struct varve_error *err)
{
    int failed = pthread_create(&drive->thread, NULL, drive_thread, drive);
    if (failed != 0)
        return varve_error_system(err, failed, "start the thread of drive %u", drive->number);
    drive->running = true;
    return true;
}

bool
drives_start(struct varve_engine *engine, struct varve_error *err)
{
    VARVE_LOCKED(&engine->opening_lock); /* a library that is opened now starts its own */
    engine->planning = calloc(PLANNING_MAX, sizeof *engine->planning);
    engine->planning_tasks = calloc(PLANNING_MAX, sizeof(struct task *));
    if (engine->planning == NULL || engine->planning_tasks == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "start the drives");
    for (size_t i = 0; i < engine->drive_count; i++) {
        if (!drive_start(&engine->drives[i], err))
            return false;
    }
    engine->drives_run = true;
    return true;
}

/* Tasks that nobody will run any more end as cancelled, so that their owners go on. */
static void
cancel_waiting(struct varve_engine *engine)
{
    VARVE_LOCKED(&engine->tasks_lock);
    for (size_t i = 0; i < engine->library_count; i++) {
        struct library *library = &engine->libraries[i];
        while (library->tasks != NULL) {
            struct task *task = library->tasks;
            library->tasks = task->next;
            cancel(task);
        }
    }
    pthread_cond_broadcast(&engine->tasks_changed);
}

void
drives_stop(struct varve_engine *engine)
{
    assert(stopping(engine));
    drives_wake(engine);
    for (size_t i = 0; i < engine->drive_count; i++) {
        struct drive *drive = &engine->drives[i];
        if (drive->running)
            (void)pthread_join(drive->thread, NULL);
        drive->running = false;
    }
    cancel_waiting(engine);
}
