/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold, and what it was like. */
#include "library_sim.h"

#include <inttypes.h>
#include <varve/checksum.h>

/* --- what must hold --- */

/* Of its class and library nobody may have come and begun so much later than a job that waits. */
void
check_order(struct sim *sim)
{
    for (size_t i = 0; i < sim->traffic.count; i++) {
        const struct job *job = &sim->traffic.jobs[i];
        unsigned overtaken = 0;
        if (job->done_ns == 0)
            die(sim, "job %zu of %zu (class %d) was never done", i, sim->traffic.count, job->class);
        for (size_t j = i + 1; j < sim->traffic.count; j++) {
            const struct job *later = &sim->traffic.jobs[j];
            overtaken += later->class == job->class && later->library == job->library &&
                         later->begun_ns != 0 && later->begun_ns < job->begun_ns;
        }
        if (overtaken > 200)
            die(sim, "job %zu (class %d) was overtaken by %u of its class", i, job->class,
                overtaken);
    }
}

void
check_patience(struct sim *sim, const struct changer *changer)
{
    int64_t longest = traffic_burn_ns(&sim->options) + 1800 * SECOND;
    bool room = false;
    for (unsigned d = 0; d < sim->options.drives; d++)
        room =
            room || !changer->drives[d].view.busy || changer->drives[d].view.class == TASK_RECALL;
    for (size_t i = 0; i < sim->asked && room && !sim->fifo; i++) {
        const struct job *job = &sim->traffic.jobs[i];
        if (!job->waits || job->library != changer->number || job->class != TASK_BURN)
            continue;
        int64_t since = changer->began_ns[TASK_BURN] > job->asked_ns ? changer->began_ns[TASK_BURN]
                                                                     : job->asked_ns;
        if (sim->now_ns - since > SCHEDULE_PATIENCE_BURN_NS + longest)
            die(sim, "changer %u: no burn has begun for %.0f s", changer->number,
                (double)(sim->now_ns - since) / 1e9);
        return;
    }
}

void
check_yards(struct sim *sim)
{
    for (unsigned c = 0; c < sim->options.changers; c++) {
        struct varve_error err = {0};
        if (sim->changers[c].yard != NULL && !yard_check(sim->changers[c].yard, &err))
            die(sim, "changer %u: %s", c, err.text);
    }
}

/* --- what it was like --- */

static int
compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static double
percentile(const int64_t *sorted, size_t count, unsigned percent)
{
    return count == 0 ? 0 : (double)sorted[(count - 1) * percent / 100] / 1e9;
}

/* How long jobs of a class took, from asking to the end, in seconds. */
static void
report_class(const struct sim *sim, enum task_class class, const char *name)
{
    VARVE_CLEANUP_FREE int64_t *times = calloc(sim->traffic.count + 1, sizeof *times);
    size_t count = 0;
    for (size_t i = 0; times != NULL && i < sim->traffic.count; i++) {
        const struct job *job = &sim->traffic.jobs[i];
        if (job->class == class)
            times[count++] = job->done_ns - job->asked_ns;
    }
    if (count == 0)
        return;
    qsort(times, count, sizeof *times, compare_times);
    (void)printf("  %-7s %6zu   p50 %8.0f s   p99 %8.0f s   max %8.0f s\n", name, count,
                 percentile(times, count, 50), percentile(times, count, 99),
                 percentile(times, count, 100));
}

/* Rated work of all drives until nothing waited any more, of what they could have done by then.
 * What comes after that, when fewer discs are left than drives, says nothing of the scheduler. */
static double
utilisation(const struct sim *sim, unsigned drives)
{
    int64_t until_ns = 0;
    double worked = 0;
    for (size_t i = 0; i < sim->traffic.count; i++) {
        if (sim->traffic.jobs[i].begun_ns > until_ns)
            until_ns = sim->traffic.jobs[i].begun_ns;
    }
    for (size_t i = 0; i < sim->traffic.count; i++) {
        const struct job *job = &sim->traffic.jobs[i];
        double share = job->done_ns <= until_ns ? 1
                                                : (double)(until_ns - job->begun_ns) /
                                                      (double)(job->done_ns - job->begun_ns);
        worked += share * (double)job->work_ns;
    }
    return 100 * worked / ((double)until_ns * drives);
}

/* Of each changer, those that are not kept for recalls. */
static unsigned
busy_drives(const struct sim *sim)
{
    const struct traffic_options *o = &sim->options;
    return sim->fifo || o->drives <= o->recall_drives ? o->drives : o->drives - o->recall_drives;
}

static void
sum_up(const struct sim *sim, struct outcome *ret)
{
    VARVE_CLEANUP_FREE int64_t *times = calloc(sim->traffic.count + 1, sizeof *times);
    size_t count = 0;
    ret->digest = 0;
    for (size_t i = 0; times != NULL && i < sim->traffic.count; i++) {
        const struct job *job = &sim->traffic.jobs[i];
        const int64_t all[] = {job->begun_ns, job->done_ns, job->disc, job->attempts};
        ret->digest = varve_crc32c(ret->digest, all, sizeof all);
        if (job->class == TASK_RECALL)
            times[count++] = job->done_ns - job->asked_ns;
    }
    if (count > 0)
        qsort(times, count, sizeof *times, compare_times);
    ret->recall_p99_s = percentile(times, count, 99);
    ret->utilisation = utilisation(sim, sim->options.changers * busy_drives(sim));
}

void
report(const struct sim *sim, struct outcome *ret)
{
    const struct traffic_options *o = &sim->options;
    uint64_t moves = 0;
    unsigned drives = o->changers * o->drives;
    unsigned used = o->changers * busy_drives(sim);
    for (unsigned c = 0; c < o->changers; c++)
        moves += sim->changers[c].moves;
    (void)printf(
        "%s: %zu jobs in %.1f days, %.2f moves a job, drives at their rated work %.1f %% of "
        "the time",
        sim->fifo ? "fifo" : "varve", sim->traffic.count, (double)sim->now_ns / 86400e9,
        (double)moves / (double)sim->traffic.count, utilisation(sim, drives));
    if (o->backlog && used < drives)
        (void)printf(" (%.1f %% of those not kept for recalls)", utilisation(sim, used));
    (void)printf("%s\n", sim->lost > 0 ? "; some discs were given up" : "");
    report_class(sim, TASK_RECALL, "recall");
    report_class(sim, TASK_BURN, "burn");
    report_class(sim, TASK_VERIFY, "verify");
    sum_up(sim, ret);
}
