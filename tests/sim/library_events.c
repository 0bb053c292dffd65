/* SPDX-License-Identifier: Apache-2.0 */
/* Arms and drives at work, as the scheduler says. */
#include "library_sim.h"

#include <string.h>

static struct varve_barcode
barcode_of(unsigned disc)
{
    struct varve_barcode barcode;
    (void)snprintf(barcode.text, sizeof barcode.text, "VRV%05u", disc + 1);
    return barcode;
}

static uint16_t
slot_of(const struct changer *changer, unsigned disc)
{
    return (uint16_t)(changer->geometry.slot_first + disc);
}

/* --- what the scheduler sees --- */

static double
move_cost(const void *context, uint16_t from, uint16_t to)
{
    return (double)varve_geometry_move_ns(context, from, to);
}

static uint64_t
usable_of(const struct sim *sim, const struct changer *changer)
{
    uint64_t usable = 0;
    for (unsigned d = 0; d < DRIVES && d < sim->options.drives; d++)
        usable |= (uint64_t)changer->drives[d].view.usable << d;
    return usable;
}

static void
describe(struct sim *sim, struct changer *changer, struct job *job, size_t *count)
{
    struct schedule_task task = {.class = job->class,
                                 .disc = barcode_of(job->disc),
                                 .element = slot_of(changer, job->disc),
                                 .reader = job->class == TASK_RECALL,
                                 .since_ns = job->asked_ns,
                                 .turn_ns = INT64_MIN,
                                 .not_drives = job->not_drives,
                                 .group = job->group,
                                 .user = job->user};
    if ((usable_of(sim, changer) & ~task.not_drives) == 0)
        task.not_drives = 0;
    for (size_t i = 0; job->class == TASK_RECALL && !sim->fifo && i < *count; i++) {
        struct schedule_task *other = &sim->view[i];
        if (other->class == TASK_RECALL && sim->view_jobs[i]->disc == job->disc &&
            other->not_drives == task.not_drives) {
            other->crowd++; /* who asked first stands for all */
            return;
        }
    }
    if (*count == VIEW_MAX)
        return;
    sim->view[*count] = task;
    sim->view_jobs[(*count)++] = job;
}

/* First come, first served. */
static bool
fifo_next(const struct schedule *s, struct schedule_choice *ret)
{
    for (size_t i = 0; i < s->task_count; i++) {
        unsigned first = UINT32_MAX;
        bool busy = false;
        for (unsigned d = s->drive_count; d-- > 0;) {
            const struct schedule_drive *drive = &s->drives[d];
            bool has = (drive->holds && varve_barcode_equal(&drive->disc, &s->tasks[i].disc)) ||
                       (drive->busy && varve_barcode_equal(&drive->working, &s->tasks[i].disc));
            bool may = drive->usable && !drive->busy && (s->tasks[i].not_drives >> d & 1) == 0;
            busy = busy || (has && drive->busy);
            if (may && (has || first == UINT32_MAX || !s->drives[first].holds ||
                        !varve_barcode_equal(&s->drives[first].disc, &s->tasks[i].disc)))
                first = d;
        }
        if (busy || first == UINT32_MAX)
            continue;
        *ret = (struct schedule_choice){i, first, 0};
        return true;
    }
    ret->again_ns = INT64_MAX;
    return false;
}

static bool
plan(struct sim *sim, struct changer *changer, struct schedule_choice *ret)
{
    struct schedule_drive drives[DRIVES];
    struct schedule schedule = {
        .tasks = sim->view,
        .drives = drives,
        .drive_count = sim->options.drives,
        .recall_drives = sim->options.recall_drives,
        .now_ns = sim->now_ns,
        .load_ns = changer->load_ns,
        .patience_ns = {0, SCHEDULE_PATIENCE_BURN_NS, SCHEDULE_PATIENCE_VERIFY_NS},
        .cost = {&changer->geometry, move_cost}};
    memcpy(schedule.began_ns, changer->began_ns, sizeof schedule.began_ns);
    for (unsigned d = 0; d < sim->options.drives; d++)
        drives[d] = changer->drives[d].view;
    for (size_t i = 0; i < sim->asked; i++) {
        struct job *job = &sim->traffic.jobs[i];
        if (job->waits && job->library == changer->number)
            describe(sim, changer, job, &schedule.task_count);
    }
    *ret = (struct schedule_choice){.again_ns = INT64_MAX};
    if (schedule.task_count == 0)
        return false;
    return sim->fifo ? fifo_next(&schedule, ret) : schedule_next(&schedule, ret);
}

/* --- what happens --- */

/* The arm does one thing after another; trays open meanwhile. */
static int64_t
use_arm(struct changer *changer, int64_t from_ns, int64_t takes_ns)
{
    int64_t begin = from_ns > changer->arm_free_ns ? from_ns : changer->arm_free_ns;
    changer->arm_free_ns = begin + takes_ns;
    return changer->arm_free_ns;
}

static int64_t
carry(struct changer *changer, unsigned disc, unsigned drive, bool home)
{
    uint16_t slot = slot_of(changer, disc);
    uint16_t element = changer->drives[drive].view.element;
    changer->moves++;
    return varve_geometry_move_ns(&changer->geometry, home ? element : slot, home ? slot : element);
}

/* When the disc is in the drive and ready. */
static int64_t
bring(struct sim *sim, struct changer *changer, unsigned disc, unsigned d)
{
    int64_t arm_ns = 0;
    int64_t from_ns = sim->now_ns;
    for (unsigned other = 0; other < sim->options.drives; other++) {
        struct drive *drive = &changer->drives[other];
        bool leaves = drive->view.holds && (other == d || drive->disc == disc);
        if (!leaves)
            continue;
        from_ns = sim->now_ns + model.tray_ns;
        arm_ns += carry(changer, drive->disc, other, true);
        drive->view.holds = false;
    }
    arm_ns += carry(changer, disc, d, false);
    int64_t ready_ns = use_arm(changer, from_ns, arm_ns) + model.tray_ns + model.spin_ns;
    double weight = changer->loads++ == 0 ? 1 : 0.3;
    changer->load_ns += weight * ((double)(ready_ns - sim->now_ns) - changer->load_ns);
    return ready_ns;
}

static void
put(struct changer *changer, unsigned disc, unsigned d)
{
    struct drive *drive = &changer->drives[d];
    drive->view.holds = true;
    drive->view.disc = barcode_of(disc);
    drive->view.home = slot_of(changer, disc);
    drive->disc = disc;
    drive->view.served_ns = INT64_MIN;
}

/* The same in the virtual library. False: it failed, *ret_arrived tells where. */
static bool
do_really(struct sim *sim, struct changer *changer, const struct job *job, unsigned d,
          bool *ret_arrived)
{
    struct varve_error err = {0};
    if (sim->options.faults && dice_roll(&sim->dice, 8) == 0)
        yard_fault(changer->yard);
    for (unsigned other = 0; other < sim->options.drives; other++) {
        unsigned disc;
        if (other != d && yard_drive_disc(changer->yard, other, &disc) && disc == job->disc &&
            !yard_unload(changer->yard, other, &err))
            return false;
    }
    *ret_arrived = yard_load(changer->yard, job->disc, d, &err);
    bool ok =
        *ret_arrived && (job->class == TASK_BURN ? yard_burn(changer->yard, job->disc, d, &err)
                                                 : yard_read(changer->yard, job->disc, d, &err));
    if (!ok && !sim->options.faults)
        die(sim, "without a fault: %s", err.text);
    if (err.kind == VARVE_ERROR_WRONG_DISC)
        die(sim, "%s", err.text);
    return ok;
}

void
look_at_drives(struct sim *sim, struct changer *changer)
{
    for (unsigned d = 0; d < sim->options.drives; d++) {
        struct drive *drive = &changer->drives[d];
        unsigned disc;
        bool holds = yard_drive_disc(changer->yard, d, &disc);
        if (holds && (!drive->view.holds || drive->disc != disc))
            put(changer, disc, d);
        drive->view.holds = holds;
    }
}

static void
begin(struct sim *sim, struct changer *changer, struct job *job, unsigned d)
{
    struct drive *drive = &changer->drives[d];
    bool there = drive->view.holds && drive->disc == job->disc;
    int64_t ready_ns = there ? sim->now_ns : bring(sim, changer, job->disc, d);
    drive->failed = false;
    if (!there) {
        put(changer, job->disc, d);
        drive->view.turn_ns = ready_ns;
    } else if (schedule_turn_is_over(drive->view.turn_ns, sim->now_ns, changer->load_ns)) {
        drive->view.turn_ns = sim->now_ns;
    }
    int64_t work_ns = job->work_ns;
    if (job->class == TASK_BURN) /* out of the tray and back before it is read */
        work_ns += 2 * model.tray_ns + model.spin_ns;
    if (changer->yard != NULL) {
        bool arrived = false;
        drive->failed = !do_really(sim, changer, job, d, &arrived);
        if (!arrived)
            work_ns = 0;
        look_at_drives(sim, changer);
    }
    if (job->class == TASK_BURN && job->group != 0) {
        drive->view.group_count = drive->view.group == job->group ? drive->view.group_count + 1 : 1;
        drive->view.group = job->group;
    }
    job->waits = false;
    if (job->begun_ns == 0)
        job->begun_ns = sim->now_ns;
    changer->began_ns[job->class] = sim->now_ns;
    drive->job = job;
    drive->view.busy = true;
    drive->view.class = job->class;
    drive->view.working = barcode_of(job->disc);
    drive->until_ns = ready_ns + work_ns;
}

/* --- what goes wrong --- */

static void
set_blame(struct changer *changer, const char *drive, const struct varve_barcode *disc,
          enum varve_verdict verdict)
{
    for (size_t i = 0; i < changer->incident_count; i++) {
        struct varve_incident *at = &changer->incidents[i];
        bool matches =
            drive != NULL ? strcmp(at->drive, drive) == 0 : varve_barcode_equal(&at->disc, disc);
        if (matches && at->verdict == VARVE_VERDICT_OPEN)
            at->verdict = verdict;
    }
}

/* As engine/health.c has it. True: the disc is to blame. */
static bool
blame(struct sim *sim, struct changer *changer, unsigned d, unsigned disc)
{
    struct varve_barcode barcode = barcode_of(disc);
    struct varve_incident incident = {.at_ns = sim->now_ns, .disc = barcode};
    (void)snprintf(incident.drive, sizeof incident.drive, "%u", d);
    if (changer->incident_count == INCIDENTS_MAX)
        changer->incident_count = 0; /* the oldest are forgotten */
    changer->incidents[changer->incident_count++] = incident;
    switch (blame_judge(changer->incidents, changer->incident_count, incident.drive, &barcode, 0)) {
    case BLAME_DISC:
        set_blame(changer, NULL, &barcode, VARVE_VERDICT_DISC);
        return true;
    case BLAME_DRIVE:
        set_blame(changer, incident.drive, NULL, VARVE_VERDICT_CLEARED);
        /* An operator looks at it at once: faults here are nobody's for long. */
        break;
    case BLAME_OPEN:
        break;
    }
    return false;
}

/* A burn takes another blank, a reading another drive. */
static void
fail(struct sim *sim, struct changer *changer, struct job *job, unsigned d)
{
    enum { ATTEMPTS_MAX = 12 };
    bool guilty = blame(sim, changer, d, job->disc);
    uint64_t all = (UINT64_C(1) << sim->options.drives) - 1;
    job->attempts++;
    job->not_drives |= UINT64_C(1) << d;
    if (job->not_drives == all)
        job->not_drives = 0;
    if (job->class == TASK_BURN) {
        changer->discs[job->disc] = DISC_FAILED;
        while (changer->next_blank > 0 && changer->discs[changer->next_blank - 1] != DISC_BLANK)
            changer->next_blank--;
        guilty = changer->next_blank == 0; /* else another blank has its chance */
        if (!guilty) {
            job->disc = --changer->next_blank;
            changer->discs[job->disc] = DISC_WRITTEN; /* taken */
        }
    }
    if (guilty || job->attempts == ATTEMPTS_MAX) {
        job->done_ns = sim->now_ns;
        sim->over++;
        sim->lost++;
        return;
    }
    job->waits = true;
}

static void
finish(struct sim *sim, struct changer *changer, unsigned d)
{
    struct drive *drive = &changer->drives[d];
    struct job *job = drive->job;
    drive->view.busy = false;
    drive->job = NULL;
    if (drive->failed) {
        fail(sim, changer, job, d);
        return;
    }
    if (job->class == TASK_RECALL)
        drive->view.served_ns = sim->now_ns;
    job->done_ns = sim->now_ns;
    sim->over++;
}

/* --- time --- */

static void
dispatch(struct sim *sim, struct changer *changer)
{
    struct schedule_choice choice;
    while (plan(sim, changer, &choice))
        begin(sim, changer, sim->view_jobs[choice.task], choice.drive);
    changer->again_ns = choice.again_ns;
}

bool
next_moment(struct sim *sim, int64_t *ret)
{
    int64_t next = INT64_MAX;
    if (sim->asked < sim->traffic.count)
        next = sim->traffic.jobs[sim->asked].asked_ns;
    for (unsigned c = 0; c < sim->options.changers; c++) {
        struct changer *changer = &sim->changers[c];
        if (changer->again_ns < next)
            next = changer->again_ns;
        for (unsigned d = 0; d < sim->options.drives; d++) {
            if (changer->drives[d].view.busy && changer->drives[d].until_ns < next)
                next = changer->drives[d].until_ns;
        }
    }
    *ret = next;
    return next != INT64_MAX;
}

void
step(struct sim *sim)
{
    bool changed[CHANGERS_MAX] = {false};
    while (sim->asked < sim->traffic.count &&
           sim->traffic.jobs[sim->asked].asked_ns <= sim->now_ns) {
        struct job *job = &sim->traffic.jobs[sim->asked++];
        job->waits = true;
        changed[job->library] = true;
    }
    for (unsigned c = 0; c < sim->options.changers; c++) {
        struct changer *changer = &sim->changers[c];
        for (unsigned d = 0; d < sim->options.drives; d++) {
            if (changer->drives[d].view.busy && changer->drives[d].until_ns <= sim->now_ns) {
                finish(sim, changer, d);
                changed[c] = true;
            }
        }
        if (changed[c] || changer->again_ns <= sim->now_ns)
            dispatch(sim, changer);
    }
}
