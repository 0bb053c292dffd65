/* SPDX-License-Identifier: Apache-2.0 */
#include "schedule.h"

#include "eta.h"

#include <assert.h>

/* The shortest turn of a disc in a drive; else the time of two loads. */
#define TURN_MIN_NS 1e9
/* How long a disc stays for a reader's next request: a part of what bringing it back would take. */
#define DWELL_LOADS 0.125
#define DWELL_MAX_NS 10e9
/* A disc that was read a moment ago costs so much of a load to take out; less, the longer ago. */
#define RECENT_LOADS 4.0
/* Each further one who waits for a disc counts as so many loads of waiting, up to a bound. */
#define CROWD_LOADS 0.5
enum { CROWD_MAX = 16, NO_DRIVE = SCHEDULE_DRIVES_MAX };

/* What one call works with. */
struct planning {
    const struct schedule *s;
    int64_t again_ns;
    bool keeps[SCHEDULE_DRIVES_MAX]; /* recalls wait for its disc, which has its turn */
};

bool
schedule_turn_is_over(int64_t turn_ns, int64_t now_ns, double load_ns)
{
    return (double)(now_ns - turn_ns) > 2 * load_ns + TURN_MIN_NS;
}

unsigned
schedule_capacity(const struct schedule *s)
{
    unsigned usable = 0;
    for (unsigned d = 0; d < s->drive_count; d++)
        usable += s->drives[d].usable;
    if (usable == 0)
        return 0;
    return s->recall_drives < usable ? usable - s->recall_drives : 1;
}

static bool
has_capacity(const struct schedule *s)
{
    unsigned busy = 0;
    for (unsigned d = 0; d < s->drive_count; d++)
        busy += s->drives[d].usable && s->drives[d].busy && s->drives[d].class != TASK_RECALL;
    return busy < schedule_capacity(s);
}

static bool
allows(const struct schedule_task *task, unsigned drive)
{
    return (task->not_drives >> drive & 1) == 0;
}

/* The drive that has the disc or is about to; NO_DRIVE: none. */
static unsigned
holder_of(const struct schedule *s, const struct varve_barcode *disc)
{
    for (unsigned d = 0; d < s->drive_count; d++) {
        const struct schedule_drive *drive = &s->drives[d];
        if ((drive->busy && varve_barcode_equal(&drive->working, disc)) ||
            (drive->holds && varve_barcode_equal(&drive->disc, disc)))
            return d;
    }
    return NO_DRIVE;
}

/* False until the disc in it may leave; the time when is noted. */
static bool
may_be_emptied(struct planning *p, unsigned d)
{
    const struct schedule *s = p->s;
    const struct schedule_drive *drive = &s->drives[d];
    if (!drive->holds)
        return true;
    if (p->keeps[d])
        return false;
    if (drive->served_ns == INT64_MIN ||
        schedule_turn_is_over(drive->turn_ns, s->now_ns, s->load_ns))
        return true;
    double dwell = DWELL_LOADS * s->load_ns;
    int64_t until = drive->served_ns + (int64_t)(dwell < DWELL_MAX_NS ? dwell : DWELL_MAX_NS);
    if (s->now_ns >= until)
        return true;
    if (until < p->again_ns)
        p->again_ns = until;
    return false;
}

static bool
may_take(struct planning *p, const struct schedule_task *task, unsigned d)
{
    const struct schedule_drive *drive = &p->s->drives[d];
    if (drive->busy || !allows(task, d))
        return false;
    return task->forced || (drive->usable && may_be_emptied(p, d));
}

static double
move_cost(const struct schedule *s, uint16_t from, uint16_t to)
{
    return from == 0 || to == 0 ? 0 : s->cost.move_ns(s->cost.context, from, to);
}

/* What it takes to have the task's disc in the drive, in ns. */
static double
cost_of(const struct schedule *s, const struct schedule_task *task, const struct schedule_drive *d)
{
    double cost = move_cost(s, task->element, d->element);
    if (!d->holds)
        return cost;
    cost += s->load_ns / 4 + move_cost(s, d->element, d->home);
    if (d->served_ns == INT64_MIN || s->load_ns <= 0)
        return cost;
    double loads = (double)(s->now_ns - d->served_ns) / s->load_ns;
    return loads < RECENT_LOADS ? cost + (RECENT_LOADS - loads) * s->load_ns : cost;
}

static unsigned
burned_in_a_row(const struct schedule_task *task, const struct schedule_drive *drive)
{
    return task->group != 0 && drive->group == task->group ? drive->group_count : 0;
}

/* The best free drive for a disc that is in none that would do; NO_DRIVE: none. */
static unsigned
choose_drive(struct planning *p, const struct schedule_task *task)
{
    const struct schedule *s = p->s;
    unsigned best = NO_DRIVE;
    unsigned best_row = 0;
    double best_cost = 0;
    for (unsigned d = 0; d < s->drive_count; d++) {
        if (!may_take(p, task, d))
            continue;
        unsigned row = burned_in_a_row(task, &s->drives[d]);
        double cost = cost_of(s, task, &s->drives[d]);
        if (best != NO_DRIVE && (row > best_row || (row == best_row && cost >= best_cost)))
            continue;
        best = d;
        best_row = row;
        best_cost = cost;
    }
    return best;
}

/* The drive for a task, and whether its disc is in there. NO_DRIVE: it has to wait. */
static unsigned
drive_for(struct planning *p, const struct schedule_task *task, bool *ret_here)
{
    const struct schedule *s = p->s;
    unsigned holder = holder_of(s, &task->disc);
    *ret_here = false;
    if (holder != NO_DRIVE) {
        if (s->drives[holder].busy)
            return NO_DRIVE;
        if (allows(task, holder) && (s->drives[holder].usable || task->forced)) {
            *ret_here = true;
            return holder;
        }
    }
    return choose_drive(p, task);
}

/* --- recalls --- */

/* A disc that many wait for goes before one that a single one has waited for a little longer. */
static double
crowd_bonus(const struct schedule *s, const struct schedule_task *task)
{
    return (task->crowd < CROWD_MAX ? task->crowd : CROWD_MAX) * CROWD_LOADS * s->load_ns;
}

static double
rank_recall(const struct schedule *s, const struct schedule_task *task, unsigned drive, bool here)
{
    const struct rank_input input = {
        .since_ns = task->since_ns,
        .turn_ns = task->turn_ns,
        .reader = task->reader,
        .loaded = here,
        .stay = here && !schedule_turn_is_over(s->drives[drive].turn_ns, s->now_ns, s->load_ns),
        .load_ns = s->load_ns};
    return recall_rank(&input);
}

static bool
choose_recall(struct planning *p, struct schedule_choice *ret)
{
    const struct schedule *s = p->s;
    double best = 0;
    bool found = false;
    for (size_t i = 0; i < s->task_count; i++) {
        const struct schedule_task *task = &s->tasks[i];
        bool here;
        unsigned drive = task->class == TASK_RECALL ? drive_for(p, task, &here) : NO_DRIVE;
        if (drive == NO_DRIVE)
            continue;
        double rank = rank_recall(s, task, drive, here);
        if (!here)
            rank -= crowd_bonus(s, task);
        if (found && rank >= best)
            continue;
        *ret = (struct schedule_choice){i, drive, 0};
        best = rank;
        found = true;
    }
    return found;
}

/* --- the rest --- */

static bool
choose_work(struct planning *p, enum task_class class, struct schedule_choice *ret)
{
    const struct schedule *s = p->s;
    bool best_here = false;
    bool found = false;
    bool capacity = has_capacity(s);
    for (size_t i = 0; i < s->task_count; i++) {
        const struct schedule_task *task = &s->tasks[i];
        bool here;
        if (task->class != class || (!capacity && !task->forced))
            continue;
        if (found && (best_here || task->since_ns >= s->tasks[ret->task].since_ns) &&
            holder_of(s, &task->disc) == NO_DRIVE)
            continue; /* could not be better: spares a look at all drives */
        unsigned drive = drive_for(p, task, &here);
        if (drive == NO_DRIVE)
            continue;
        bool better = !found || (here && !best_here) ||
                      (here == best_here && task->since_ns < s->tasks[ret->task].since_ns);
        if (!better)
            continue;
        *ret = (struct schedule_choice){i, drive, 0};
        best_here = here;
        found = true;
    }
    return found;
}

/* Nothing of the class has begun for longer than it should wait. */
static bool
is_starving(const struct schedule *s, enum task_class class)
{
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < s->task_count; i++) {
        if (s->tasks[i].class == class && s->tasks[i].since_ns < oldest)
            oldest = s->tasks[i].since_ns;
    }
    int64_t since = oldest > s->began_ns[class] ? oldest : s->began_ns[class];
    return oldest != INT64_MAX && s->now_ns - since > s->patience_ns[class];
}

static void
note_kept(struct planning *p)
{
    const struct schedule *s = p->s;
    for (size_t i = 0; i < s->task_count; i++) {
        const struct schedule_task *task = &s->tasks[i];
        if (task->class != TASK_RECALL)
            continue;
        unsigned d = holder_of(s, &task->disc);
        if (d != NO_DRIVE && !s->drives[d].busy && s->drives[d].usable && allows(task, d) &&
            !schedule_turn_is_over(s->drives[d].turn_ns, s->now_ns, s->load_ns))
            p->keeps[d] = true;
    }
}

bool
schedule_next(const struct schedule *schedule, struct schedule_choice *ret)
{
    assert(schedule->drive_count <= SCHEDULE_DRIVES_MAX);
    struct planning p = {.s = schedule, .again_ns = INT64_MAX};
    struct schedule_choice choice = {0};
    note_kept(&p);
    bool found = (is_starving(schedule, TASK_BURN) && choose_work(&p, TASK_BURN, &choice)) ||
                 (is_starving(schedule, TASK_VERIFY) && choose_work(&p, TASK_VERIFY, &choice)) ||
                 choose_recall(&p, &choice) || choose_work(&p, TASK_BURN, &choice) ||
                 choose_work(&p, TASK_VERIFY, &choice);
    choice.again_ns = found ? 0 : p.again_ns;
    *ret = choice;
    return found;
}
