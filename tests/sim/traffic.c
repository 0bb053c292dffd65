/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <math.h>

/* Closing a BD-R: 0.5 to 3 minutes. */
#define CLOSE_SECONDS 60.0
enum { USERS = 8, SET_DISCS = 6 };

int64_t
traffic_burn_ns(const struct traffic_options *options)
{
    return (int64_t)((2 * (double)options->disc_bytes / options->rate + CLOSE_SECONDS) * 1e9);
}

/* Exponentially distributed. */
static int64_t
interval(struct dice *dice, double mean_ns)
{
    double u = ((double)dice_roll(dice, UINT64_C(1) << 40) + 1) / (double)(UINT64_C(1) << 40);
    return (int64_t)(-log(u) * mean_ns);
}

static void
add(struct traffic *traffic, const struct job *job)
{
    traffic->jobs[traffic->count++] = *job;
}

/* A user reads some files of one disc, one after another; few discs are read much. */
static void
add_reading(const struct traffic_options *o, struct traffic *traffic, struct dice *dice,
            int64_t at_ns, size_t max)
{
    unsigned library = (unsigned)dice_roll(dice, o->changers);
    unsigned written = traffic->written[library];
    unsigned disc = (unsigned)dice_roll(dice, dice_roll(dice, 4) != 0 ? written / 8 + 1 : written);
    uint32_t user = (uint32_t)dice_roll(dice, USERS);
    for (uint64_t files = 1 + dice_roll(dice, 8); files > 0 && traffic->count < max; files--) {
        double bytes = 1e6 * (double)(1 + dice_roll(dice, dice_roll(dice, 5) == 0 ? 2000 : 100));
        const struct job job = {.class = TASK_RECALL,
                                .library = library,
                                .disc = disc,
                                .asked_ns = at_ns,
                                .work_ns = (int64_t)((bytes / o->rate + 0.2) * 1e9),
                                .user = user};
        add(traffic, &job);
        at_ns += interval(dice, (double)(job.work_ns + 2 * SECOND));
    }
}

/* A set: its discs go to the libraries in turn. */
static void
add_set(const struct traffic_options *o, struct traffic *traffic, int64_t at_ns, size_t max,
        unsigned *blank)
{
    uint64_t group = traffic->count + 1;
    for (unsigned i = 0; i < SET_DISCS && traffic->count < max; i++) {
        unsigned library = (unsigned)((group + i) % o->changers);
        if (blank[library] >= o->slots - o->slots / 5) /* some are left for those that fail */
            continue;
        const struct job job = {.class = TASK_BURN,
                                .library = library,
                                .disc = blank[library]++,
                                .asked_ns = at_ns,
                                .work_ns = traffic_burn_ns(o),
                                .group = group};
        add(traffic, &job);
    }
}

static void
add_check(const struct traffic_options *o, struct traffic *traffic, struct dice *dice,
          int64_t at_ns)
{
    unsigned library = (unsigned)dice_roll(dice, o->changers);
    const struct job job = {.class = TASK_VERIFY,
                            .library = library,
                            .disc = (unsigned)dice_roll(dice, traffic->written[library]),
                            .asked_ns = at_ns,
                            .work_ns = (int64_t)((double)o->disc_bytes / o->rate * 1e9)};
    add(traffic, &job);
}

static int
compare_jobs(const void *a, const void *b)
{
    const struct job *x = a;
    const struct job *y = b;
    if (x->asked_ns != y->asked_ns)
        return x->asked_ns < y->asked_ns ? -1 : 1;
    return x->group != y->group ? (x->group < y->group ? -1 : 1)
                                : (x->disc < y->disc ? -1 : x->disc > y->disc);
}

/* Readings, sets and checks so often that the drives have something to do for about seven tenths of
 * the time. */
static void
mix(const struct traffic_options *o, struct traffic *traffic, struct dice *dice, unsigned *blank)
{
    double burn = (double)traffic_burn_ns(o);
    double drives = (double)o->changers * o->drives;
    double mean = burn * 0.34 / (0.7 * drives); /* between two events */
    int64_t at_ns = SECOND;
    size_t max = o->jobs;
    while (traffic->count + 8 < max) {
        uint64_t kind = dice_roll(dice, 100);
        if (kind < 6)
            add_set(o, traffic, at_ns, max, blank);
        else if (kind < 12)
            add_check(o, traffic, dice, at_ns);
        else
            add_reading(o, traffic, dice, at_ns, max);
        at_ns += interval(dice, mean);
    }
}

void
traffic_make(const struct traffic_options *o, struct traffic *ret)
{
    struct dice dice = {o->seed};
    unsigned blank[16];
    *ret = (struct traffic){.jobs = calloc(o->jobs + 1, sizeof *ret->jobs),
                            .written = calloc(o->changers, sizeof *ret->written)};
    if (ret->jobs == NULL || ret->written == NULL || o->changers > 16)
        abort();
    for (unsigned i = 0; i < o->changers; i++) {
        ret->written[i] = o->backlog ? 1 : o->slots / 2;
        blank[i] = ret->written[i];
    }
    if (!o->backlog) {
        mix(o, ret, &dice, blank);
    } else {
        size_t before = SIZE_MAX;
        while (ret->count < o->jobs && ret->count != before) {
            before = ret->count;
            add_set(o, ret, SECOND, o->jobs, blank);
        }
    }
    qsort(ret->jobs, ret->count, sizeof *ret->jobs, compare_jobs);
}

void
traffic_done(struct traffic *traffic)
{
    free(traffic->jobs);
    free(traffic->written);
}
