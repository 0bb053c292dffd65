/* SPDX-License-Identifier: Apache-2.0 */
/* What waits in a library and what its drives do, described for schedule.c; and what that decides,
 * given to the drives. All of it under `tasks`. */
#include "engine_internal.h"

#include <string.h>

static double
move_cost(const void *context, uint16_t from, uint16_t to)
{
    return (double)varve_library_move_ns(context, from, to);
}

static void
describe_drive(const struct drive *drive, struct schedule_drive *ret)
{
    struct varve_library *library = drive->engine->libraries[drive->library].library;
    *ret = (struct schedule_drive){.usable = drive->row.service == VARVE_SERVICE_IN,
                                   .busy = drive->busy,
                                   .class = drive->class,
                                   .working = drive->disc,
                                   .turn_ns = drive->turn_ns,
                                   .served_ns = INT64_MIN,
                                   .group = drive->group,
                                   .group_count = drive->group_count};
    /* How long a disc stays for a reader's next request follows from what loads take here. */
    if (drive->engine->libraries[drive->library].loads > 0)
        ret->served_ns = drive->served_ns;
    ret->holds = varve_library_drive_disc(library, drive->number, &ret->disc);
    varve_library_drive_elements(library, drive->number, &ret->element, &ret->home);
}

static void
describe_task(const struct library *library, const struct task *task, uint64_t usable,
              struct schedule_task *ret)
{
    *ret = (struct schedule_task){.class = task->class,
                                  .disc = task->barcode,
                                  .forced = task->has_drive,
                                  .reader = task->reader,
                                  .since_ns = task->since_ns,
                                  .turn_ns = INT64_MIN,
                                  .not_drives = task->not_drives,
                                  .group = task->group};
    if ((usable & ~ret->not_drives) == 0)
        ret->not_drives = 0; /* no other is left */
    if (task->has_drive)
        ret->not_drives = ~(UINT64_C(1) << task->drive);
    ret->element = varve_library_element_of(library->library, &task->barcode);
}

/* All that waits, into engine->planning. */
static size_t
describe_line(struct varve_engine *engine, size_t index, uint64_t usable)
{
    struct library *library = &engine->libraries[index];
    size_t count = 0;
    for (struct task *task = library->tasks; task != NULL && count < PLANNING_MAX / 2;
         task = task->next) {
        describe_task(library, task, usable, &engine->planning[count]);
        engine->planning_tasks[count++] = task;
    }
    size_t first = count;
    if (engine->recalls != NULL)
        count += recalls_collect(engine, index, &engine->planning[count], PLANNING_MAX - count);
    for (size_t i = first; i < count; i++) {
        struct schedule_task *task = &engine->planning[i];
        engine->planning_tasks[i] = NULL;
        task->element = varve_library_element_of(library->library, &task->disc);
        if ((usable & ~task->not_drives) == 0)
            task->not_drives = 0;
    }
    return count;
}

static struct drive *
drive_of(struct varve_engine *engine, size_t library, unsigned number)
{
    for (size_t i = 0; i < engine->drive_count; i++) {
        if (engine->drives[i].library == library && engine->drives[i].number == number)
            return &engine->drives[i];
    }
    return NULL;
}

/* An idle drive that holds the disc gives it up. */
static struct drive *
claim_holder(struct drive *drive, const struct varve_barcode *barcode)
{
    struct varve_engine *engine = drive->engine;
    for (size_t i = 0; i < engine->drive_count; i++) {
        struct drive *other = &engine->drives[i];
        struct varve_barcode loaded;
        if (other == drive || other->library != drive->library ||
            !varve_library_drive_disc(drive_library(drive), other->number, &loaded) ||
            !varve_barcode_equal(&loaded, barcode))
            continue;
        other->busy = true;
        other->disc = *barcode;
        other->class = drive->class;
        return other;
    }
    return NULL;
}

static void
unlink_task(struct library *library, struct task *task)
{
    for (struct task **link = &library->tasks; *link != NULL; link = &(*link)->next) {
        if (*link == task) {
            *link = task->next;
            return;
        }
    }
}

static void
count_group(struct drive *drive, const struct schedule_task *task)
{
    if (task->class != TASK_BURN || task->group == 0)
        return;
    drive->group_count = drive->group == task->group ? drive->group_count + 1 : 1;
    drive->group = task->group;
}

static void
assign(struct varve_engine *engine, struct drive *drive, const struct schedule_task *chosen,
       struct task *task)
{
    struct library *library = &engine->libraries[drive->library];
    drive->busy = true;
    drive->assigned = true;
    drive->class = chosen->class;
    drive->disc = chosen->disc;
    drive->task = task;
    drive->holder = claim_holder(drive, &chosen->disc);
    library->began_ns[chosen->class] = varve_clock_monotonic(engine->clock);
    count_group(drive, chosen);
    if (task == NULL) {
        recalls_note_turn(engine, chosen);
        return;
    }
    task->state = TASK_RUNNING;
    task->ran_in = drive->number;
    unlink_task(library, task);
}

static bool
plan_one(struct varve_engine *engine, size_t index)
{
    struct schedule_drive drives[SCHEDULE_DRIVES_MAX];
    struct library *library = &engine->libraries[index];
    struct schedule schedule = {
        .drives = drives,
        .tasks = engine->planning,
        .recall_drives = library->recall_drives,
        .now_ns = varve_clock_monotonic(engine->clock),
        .load_ns = library->load_ns,
        .patience_ns = {0, SCHEDULE_PATIENCE_BURN_NS, SCHEDULE_PATIENCE_VERIFY_NS},
        .cost = {library->library, move_cost}};
    memcpy(schedule.began_ns, library->began_ns, sizeof schedule.began_ns);
    for (size_t i = 0; i < engine->drive_count; i++) {
        if (engine->drives[i].library == index)
            describe_drive(&engine->drives[i], &drives[schedule.drive_count++]);
    }
    schedule.task_count = describe_line(engine, index, drives_usable(engine, index));
    struct schedule_choice choice;
    bool found = schedule.task_count > 0 && schedule_next(&schedule, &choice);
    library->again_ns = schedule.task_count == 0 ? INT64_MAX : choice.again_ns;
    if (found)
        assign(engine, drive_of(engine, index, choice.drive), &engine->planning[choice.task],
               engine->planning_tasks[choice.task]);
    return found;
}

/* Nobody would ever do it. What was asked for by hand names its drive and is done. */
static void
end_hopeless(struct varve_engine *engine, size_t index)
{
    struct library *library = &engine->libraries[index];
    struct varve_error why = {0};
    varve_error_set(&why, VARVE_ERROR_NOT_READY, 0, "library '%s': no drive is in service",
                    library->name);
    varve_error_hint(&why, "'varve drive list' says why");
    for (struct task **link = &library->tasks; *link != NULL;) {
        struct task *task = *link;
        if (task->has_drive) {
            link = &task->next;
            continue;
        }
        *link = task->next;
        task_end(task, &why);
    }
    recalls_give_up_library(engine, index);
    pthread_cond_broadcast(&engine->tasks_changed);
}

void
dispatch(struct varve_engine *engine, size_t index)
{
    struct library *library = &engine->libraries[index];
    if (!library->stale && varve_clock_monotonic(engine->clock) < library->again_ns)
        return;
    library->stale = false;
    if (drives_usable(engine, index) == 0)
        end_hopeless(engine, index);
    bool any = false;
    while (plan_one(engine, index))
        any = true;
    if (any)
        pthread_cond_broadcast(&engine->tasks_changed);
}
