/* SPDX-License-Identifier: Apache-2.0 */
/* One thread per drive takes the most urgent work that its drive may do: recalls, then burns, then
 * checks. */
#include "engine_internal.h"

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

/* --- opening --- */

static bool
journal_intend(void *context, const char *library, const struct varve_barcode *barcode,
               uint16_t from, uint16_t to, uint64_t *ret_id, struct varve_error *err)
{
    struct varve_engine *engine = context;
    struct varve_move move = {.barcode = *barcode,
                              .from = from,
                              .to = to,
                              .started_ns = varve_clock_realtime(engine->clock)};
    (void)snprintf(move.library, sizeof move.library, "%s", library);
    return varve_catalog_move_begin(engine->catalog, &move, ret_id, err) &&
           varve_catalog_sync(engine->catalog, err);
}

static bool
journal_done(void *context, uint64_t id, struct varve_error *err)
{
    struct varve_engine *engine = context;
    return varve_catalog_move_done(engine->catalog, id, err);
}

static void
ports_done(struct varve_library_ports *ports)
{
    if (ports->changer != NULL)
        ports->changer->close(ports->changer);
    for (size_t i = 0; i < ports->drive_count; i++)
        ports->drives[i]->close(ports->drives[i]);
    free(ports->drives);
}

/* Moves that a crash left open: the inventory, read from the hardware, tells where the discs are;
 * the rows are done with. */
static bool
settle_moves(struct varve_engine *engine, const char *name, struct varve_error *err)
{
    for (;;) {
        struct varve_move moves[16];
        size_t count;
        if (!varve_catalog_moves_open(engine->catalog, name, moves, 16, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            varve_log(VARVE_LOG_WARNING,
                      "library '%s': a move of disc '%s' from %u to %u was cut off; its place was "
                      "read anew",
                      name, moves[i].barcode.text, moves[i].from, moves[i].to);
            if (!varve_catalog_move_done(engine->catalog, moves[i].id, err))
                return false;
        }
        if (count == 0)
            return true;
    }
}

static void
add_drives(struct varve_engine *engine, size_t library)
{
    unsigned count = varve_library_drive_count(engine->libraries[library].library);
    for (unsigned number = 0; number < count && engine->drive_count < DRIVES_MAX; number++) {
        struct drive *drive = &engine->drives[engine->drive_count++];
        *drive = (struct drive){.engine = engine, .library = library, .number = number};
        /* With two or more drives one is kept for recalls, so that a reader waits for no burn. */
        drive->recalls_only = number == 0 && count >= 2;
    }
}

bool
library_attach(struct varve_engine *engine, const struct varve_engine_ports *ports, size_t index,
               const struct varve_move_journal *journal, struct varve_error *err)
{
    const char *name = engine->config->libraries[index].name;
    struct varve_library_ports scsi = {0};
    if (engine->library_count == LIBRARIES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %d libraries",
                               LIBRARIES_MAX);
    if (!ports->open_library(ports->context, engine->config, index, &scsi, err))
        return varve_error_wrap(err, "library '%s'", name);
    scsi.name = name;
    struct library *library = &engine->libraries[engine->library_count];
    if (!varve_library_new(&scsi, journal, engine->clock, &library->library, err)) {
        ports_done(&scsi);
        return varve_error_wrap(err, "library '%s'", name);
    }
    free(scsi.drives); /* the ports are the library's now, the array is ours */
    (void)snprintf(library->name, sizeof library->name, "%s", name);
    add_drives(engine, engine->library_count++);
    return true;
}

bool
libraries_open(struct varve_engine *engine, const struct varve_engine_ports *ports,
               struct varve_error *err)
{
    const struct varve_move_journal journal = {.context = engine,
                                               .intend = journal_intend,
                                               .done = journal_done,
                                               .remember = elements_remember,
                                               .records = elements_records};
    for (size_t i = 0; i < engine->config->library_count; i++) {
        struct varve_element *elements = NULL;
        size_t count;
        if (!library_attach(engine, ports, i, &journal, err) ||
            !settle_moves(engine, engine->libraries[i].name, err) ||
            !inventory_update(engine, i, false, &elements, &count, err))
            return false;
        free(elements);
    }
    return true;
}

void
libraries_close(struct varve_engine *engine)
{
    for (size_t i = 0; i < engine->library_count; i++)
        varve_library_free(engine->libraries[i].library);
    engine->library_count = 0;
}

/* --- the line of tasks --- */

static void
cancel(struct task *task)
{
    task->ok = false;
    varve_error_set(&task->error, VARVE_ERROR_CANCELLED, 0, "varve is stopping");
    task->state = TASK_OVER;
}

void
task_submit(struct varve_engine *engine, struct task *task)
{
    task->state = TASK_WAITING;
    task->next = NULL;
    VARVE_LOCKED(&engine->tasks_lock);
    if (stopping(engine)) { /* the drives may have looked for the last time */
        cancel(task);
        return;
    }
    struct task **link = &engine->tasks;
    while (*link != NULL)
        link = &(*link)->next;
    *link = task;
    pthread_cond_broadcast(&engine->tasks_changed);
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
drives_wake(struct varve_engine *engine)
{
    VARVE_LOCKED(&engine->tasks_lock);
    pthread_cond_broadcast(&engine->tasks_changed);
}

/* The drive that holds the disc, NULL if none does. */
static struct drive *
holder_of(struct varve_engine *engine, size_t library, const struct varve_barcode *barcode)
{
    for (size_t i = 0; i < engine->drive_count; i++) {
        struct drive *drive = &engine->drives[i];
        struct varve_barcode loaded;
        if (drive->library == library &&
            varve_library_drive_disc(engine->libraries[library].library, drive->number, &loaded) &&
            varve_barcode_equal(&loaded, barcode))
            return drive;
    }
    return NULL;
}

bool
is_taken(const struct discs_taken *taken, const struct varve_barcode *barcode)
{
    for (size_t i = 0; i < taken->count; i++) {
        if (varve_barcode_equal(&taken->discs[i], barcode))
            return true;
    }
    return false;
}

/* Lock held. Where a disc is does not tell: it may be in the gripper, or out for a reload. */
static void
list_taken(const struct drive *drive, struct discs_taken *ret)
{
    struct varve_engine *engine = drive->engine;
    ret->count = 0;
    for (size_t i = 0; i < engine->drive_count; i++) {
        const struct drive *other = &engine->drives[i];
        if (other == drive || other->library != drive->library || !other->busy)
            continue;
        ret->discs[ret->count++] = other->disc;
        if (varve_library_drive_disc(engine->libraries[other->library].library, other->number,
                                     &ret->discs[ret->count]))
            ret->count++;
    }
}

static bool
may_take(const struct drive *drive, const struct task *task, const struct discs_taken *taken)
{
    if (task->state != TASK_WAITING || task->library != drive->library)
        return false;
    if (drive->recalls_only && task->class != TASK_RECALL)
        return false;
    return (!task->has_drive || task->drive == drive->number) && !is_taken(taken, &task->barcode);
}

/* Most urgent first; among equals a disc that is in this drive already, then who came first. Lock
 * held. */
static struct task *
pick(struct drive *drive, const struct varve_barcode *loaded, const struct discs_taken *taken)
{
    struct task *best = NULL;
    bool best_here = false;
    for (struct task *task = drive->engine->tasks; task != NULL; task = task->next) {
        if (!may_take(drive, task, taken))
            continue;
        bool here = varve_barcode_equal(&task->barcode, loaded);
        if (best == NULL || task->class < best->class ||
            (task->class == best->class && here && !best_here)) {
            best = task;
            best_here = here;
        }
    }
    return best;
}

static void
unlink_task(struct varve_engine *engine, struct task *task)
{
    for (struct task **link = &engine->tasks; *link != NULL; link = &(*link)->next) {
        if (*link == task) {
            *link = task->next;
            return;
        }
    }
}

/* Brings the disc, out of an idle drive if it is in one. The holder is marked busy by the caller.
 */
static bool
bring_disc(struct drive *drive, struct drive *holder, const struct varve_barcode *barcode,
           struct varve_error *err)
{
    if (holder != NULL && holder != drive &&
        !varve_library_unload(drive_library(drive), holder->number, err))
        return false;
    if (varve_library_load(drive_library(drive), barcode, drive->number, err))
        return true;
    if (err->kind == VARVE_ERROR_OFFLINE || stopping(drive->engine))
        return false;
    /* The failure may be another disc's: one that was to leave the drive and is gone. The library
     * has looked since. */
    varve_log(VARVE_LOG_WARNING, "%s; trying again", err->text);
    *err = (struct varve_error){0};
    return varve_library_load(drive_library(drive), barcode, drive->number, err);
}

static bool
bring(struct drive *drive, struct drive *holder, const struct varve_barcode *barcode,
      struct varve_error *err)
{
    bool ok = bring_disc(drive, holder, barcode, err);
    if (holder != NULL)
        recalls_note_drive(holder, NULL);
    recalls_note_drive(drive, ok ? barcode : NULL);
    return ok;
}

/* Lock held: the drive works with the disc from now on. Another drive that holds it gives it up. */
static struct drive *
claim(struct drive *drive, const struct varve_barcode *barcode)
{
    struct drive *holder = holder_of(drive->engine, drive->library, barcode);
    if (holder == drive)
        holder = NULL;
    if (holder != NULL) {
        holder->busy = true;
        holder->disc = *barcode;
    }
    drive->busy = true;
    drive->disc = *barcode;
    return holder;
}

/* The disc is in the drive, or it cannot be had: the holder is free, and so is what was in the
 * drive before. */
static void
brought(struct varve_engine *engine, struct drive *holder)
{
    VARVE_LOCKED(&engine->tasks_lock);
    if (holder != NULL)
        holder->busy = false;
    pthread_cond_broadcast(&engine->tasks_changed);
}

static void
run_task(struct drive *drive, struct task *task, struct drive *holder)
{
    struct varve_engine *engine = drive->engine;
    struct varve_error err = {0};
    bool arrived = bring(drive, holder, &task->barcode, &err);
    brought(engine, holder);
    bool ok = arrived && task->run(engine, task, drive, &err);
    VARVE_LOCKED(&engine->tasks_lock);
    task->disc_arrived = arrived;
    task->ok = ok;
    if (!ok)
        task->error = err;
    task->state = TASK_OVER;
    drive->busy = false;
    pthread_cond_broadcast(&engine->tasks_changed);
}

static void
run_recalls(struct drive *drive, const struct varve_barcode *barcode, struct drive *holder)
{
    struct varve_engine *engine = drive->engine;
    struct varve_error err = {0};
    int64_t begun = varve_clock_monotonic(engine->clock);
    bool there = false;
    struct varve_barcode loaded;
    if (varve_library_drive_disc(drive_library(drive), drive->number, &loaded))
        there = varve_barcode_equal(&loaded, barcode);
    bool arrived = bring(drive, holder, barcode, &err);
    brought(engine, holder);
    drive->turn_ns = varve_clock_monotonic(engine->clock);
    if (arrived && !there)
        recalls_note_load(engine, drive->turn_ns - begun);
    recalls_serve(engine, drive, barcode, arrived ? NULL : &err);
    VARVE_LOCKED(&engine->tasks_lock);
    drive->busy = false;
    pthread_cond_broadcast(&engine->tasks_changed);
}

/* Lock held. */
static bool
choose_work(struct drive *drive, struct task **ret_task, struct varve_barcode *ret_recall,
            struct drive **ret_holder)
{
    struct varve_engine *engine = drive->engine;
    struct varve_barcode loaded = {{0}};
    struct discs_taken taken;
    list_taken(drive, &taken);
    (void)varve_library_drive_disc(drive_library(drive), drive->number, &loaded);
    struct task *task = pick(drive, &loaded, &taken);
    if ((task == NULL || task->class != TASK_RECALL) &&
        recalls_next_disc(engine, drive, &loaded, &taken, ret_recall)) {
        *ret_task = NULL;
        *ret_holder = claim(drive, ret_recall);
        return true;
    }
    if (task == NULL)
        return false;
    task->state = TASK_RUNNING;
    unlink_task(engine, task);
    *ret_task = task;
    *ret_holder = claim(drive, &task->barcode);
    return true;
}

/* Takes the next work, or false when the engine stops. Exactly one of *ret_task and *ret_recall is
 * set. */
static bool
next_work(struct drive *drive, struct task **ret_task, struct varve_barcode *ret_recall,
          struct drive **ret_holder)
{
    struct varve_engine *engine = drive->engine;
    VARVE_LOCKED(&engine->tasks_lock);
    for (;;) {
        if (stopping(engine))
            return false;
        if (!drive->busy && choose_work(drive, ret_task, ret_recall, ret_holder))
            return true;
        pthread_cond_wait(&engine->tasks_changed, &engine->tasks_lock);
    }
}

static void *
drive_thread(void *argument)
{
    struct drive *drive = argument;
    struct task *task;
    struct varve_barcode recall;
    struct drive *holder;
    while (next_work(drive, &task, &recall, &holder)) {
        if (task != NULL)
            run_task(drive, task, holder);
        else
            run_recalls(drive, &recall, holder);
    }
    return NULL;
}

bool
drives_start(struct varve_engine *engine, struct varve_error *err)
{
    for (size_t i = 0; i < engine->drive_count; i++) {
        struct drive *drive = &engine->drives[i];
        int failed = pthread_create(&drive->thread, NULL, drive_thread, drive);
        if (failed != 0)
            return varve_error_system(err, failed, "start the thread of drive %u", drive->number);
        drive->running = true;
    }
    return true;
}

/* Tasks that nobody will run any more end as cancelled, so that their owners go on. */
static void
cancel_waiting(struct varve_engine *engine)
{
    VARVE_LOCKED(&engine->tasks_lock);
    while (engine->tasks != NULL) {
        struct task *task = engine->tasks;
        engine->tasks = task->next;
        cancel(task);
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
