/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which a person is sent for discs: along the shelves, from where the last one came.
 */
#include "manual.h"

#include <string.h>

int
walk_compare(const char *shelf_a, const char *label_a, const char *shelf_b, const char *label_b)
{
    int order = strverscmp(shelf_a, shelf_b);
    return order != 0 ? order : strverscmp(label_a, label_b);
}

/* One thing that waits, on the way. */
struct stop {
    struct schedule_task *task;
    char shelf[96];
    bool behind; /* the last disc came from further on: first to the end of the shelves */
};

static int
compare_stops(const void *a, const void *b)
{
    const struct stop *x = a;
    const struct stop *y = b;
    if (x->task->class != y->task->class)
        return x->task->class < y->task->class ? -1 : 1;
    if (x->behind != y->behind)
        return x->behind ? 1 : -1;
    return walk_compare(x->shelf, x->task->disc.text, y->shelf, y->task->disc.text);
}

/* Who waits longest comes first in schedule.c: each class keeps its longest wait, and whose it is
 * follows from the way. */
static void
spread_waits(struct stop *stops, size_t count)
{
    int64_t oldest[TASK_CLASSES];
    for (size_t c = 0; c < TASK_CLASSES; c++)
        oldest[c] = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        int64_t *own = &oldest[stops[i].task->class];
        *own = stops[i].task->since_ns < *own ? stops[i].task->since_ns : *own;
    }
    for (size_t i = 0; i < count; i++) {
        stops[i].task->since_ns = oldest[stops[i].task->class]++;
        stops[i].task->turn_ns = INT64_MIN;
        stops[i].task->crowd = 0;
    }
}

void
walk_plan(struct varve_engine *engine, size_t library, size_t count)
{
    struct stop *stops = calloc(count + 1, sizeof *stops);
    size_t stop_count = 0;
    if (stops == NULL)
        return; /* in order of arrival, then */
    for (size_t i = 0; i < count; i++) {
        struct schedule_task *each = &engine->planning[i];
        const struct task *task = engine->planning_tasks[i];
        if (each->disc.text[0] == 0)
            continue;
        struct stop *stop = &stops[stop_count++];
        stop->task = each;
        if (task != NULL)
            (void)snprintf(stop->shelf, sizeof stop->shelf, "%s", task->shelf);
        else
            recalls_shelf(engine, &each->disc, stop->shelf);
        stop->behind = strverscmp(stop->shelf, engine->libraries[library].walk) < 0;
    }
    qsort(stops, stop_count, sizeof *stops, compare_stops);
    spread_waits(stops, stop_count);
    free(stops);
}

void
walk_note(struct varve_engine *engine, size_t library, const struct varve_barcode *barcode)
{
    char shelf[sizeof engine->libraries[library].walk];
    disc_shelf(engine, barcode, shelf);
    VARVE_LOCKED(&engine->tasks_lock);
    memcpy(engine->libraries[library].walk, shelf, sizeof shelf);
}
