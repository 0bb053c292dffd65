/* SPDX-License-Identifier: Apache-2.0 */
/* However many changers and drives there are and whatever fails, the scheduler loses no disc, lets
 * nobody starve, and keeps drives busy with few moves.
 *
 * A simulation by events on a clock of its own, one thread: a seed replays exactly. Arm and drives
 * take the time that `model` (library_sim.h) says. With `--real` every move, burn and reading also
 * happens in a virtual library (yard.h), which refuses what hardware refuses, with faults.
 * `--policy fifo` is what the scheduler is measured against: first come, first served, by the first
 * free drive. */
#include "library_sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

void
die(struct sim *sim, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "sim library: seed %" PRIu64 ", at %.0f s: ", sim->options.seed,
                  (double)sim->now_ns / 1e9);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    for (unsigned i = 0; i < sim->options.changers; i++) {
        if (sim->changers[i].yard != NULL)
            yard_free(sim->changers[i].yard);
    }
    exit(1);
}

/* --- the run --- */

static void
make_changer(struct sim *sim, unsigned number)
{
    const struct traffic_options *o = &sim->options;
    struct changer *changer = &sim->changers[number];
    struct varve_error err = {0};
    changer->number = number;
    changer->geometry = (struct varve_geometry){
        .kind = number % 2 == 0 ? VARVE_GEOMETRY_CAROUSEL : VARVE_GEOMETRY_GANTRY,
        .slot_first = 1024,
        .drive_first = 256,
        .slots = o->slots,
        .drives = o->drives,
        .column = 25,
        .grip_ns = 8 * SECOND,
        .step_ns = number % 2 == 0 ? 4 * SECOND * 2 / o->slots : SECOND / 8};
    changer->load_ns = 60e9;
    changer->again_ns = INT64_MAX;
    changer->next_blank = o->slots;
    changer->discs = calloc(o->slots, sizeof *changer->discs);
    for (int class = 0; class < TASK_CLASSES; class ++)
        changer->began_ns[class] = INT64_MIN;
    for (unsigned d = 0; d < o->drives; d++)
        changer->drives[d].view = (struct schedule_drive){
            .element = (uint16_t)(256 + d), .usable = true, .served_ns = INT64_MIN};
    VARVE_CLEANUP_FREE bool *written = calloc(o->slots, sizeof *written);
    if (changer->discs == NULL || written == NULL)
        die(sim, "no memory");
    for (size_t i = 0; i < sim->traffic.count; i++) {
        const struct job *job = &sim->traffic.jobs[i];
        if (job->library != number)
            continue;
        changer->discs[job->disc] = DISC_WRITTEN; /* or taken for that */
        written[job->disc] = job->class != TASK_BURN;
    }
    const struct yard_options yard = {o->slots, o->drives, written, o->seed * 16 + number};
    if (o->real && (changer->yard = yard_new(&yard, &err)) == NULL)
        die(sim, "%s", err.text);
}

static void
restart_some(struct sim *sim)
{
    struct varve_error err = {0};
    struct changer *changer = &sim->changers[dice_roll(&sim->dice, sim->options.changers)];
    for (unsigned tries = 0; tries < 64; tries++) {
        err = (struct varve_error){0};
        if (yard_restart(changer->yard, &err)) {
            look_at_drives(sim, changer);
            return;
        }
    }
    die(sim, "restart: %s", err.text);
}

static void
run(struct sim *sim)
{
    unsigned steps = 0;
    traffic_make(&sim->options, &sim->traffic);
    for (unsigned c = 0; c < sim->options.changers; c++)
        make_changer(sim, c);
    while (sim->over < sim->traffic.count && next_moment(sim, &sim->now_ns)) {
        step(sim);
        steps++;
        for (unsigned c = 0; c < sim->options.changers; c++)
            check_patience(sim, &sim->changers[c]);
        if (sim->options.real && sim->options.faults && dice_roll(&sim->dice, 200) == 0)
            restart_some(sim);
        if (sim->options.real && steps % 400 == 0)
            check_yards(sim);
    }
    check_order(sim);
    check_yards(sim);
}

static struct outcome
run_one(struct traffic_options options, bool fifo)
{
    struct outcome outcome;
    struct sim *sim = calloc(1, sizeof *sim);
    if (sim == NULL)
        abort();
    sim->options = options;
    sim->fifo = fifo;
    sim->dice.state = options.seed + 1;
    run(sim);
    report(sim, &outcome);
    for (unsigned c = 0; c < options.changers; c++) {
        if (sim->changers[c].yard != NULL)
            yard_free(sim->changers[c].yard);
        free(sim->changers[c].discs);
    }
    traffic_done(&sim->traffic);
    free(sim);
    return outcome;
}

/* A different library for each seed, unless the command says which. */
static void
vary(struct traffic_options *o)
{
    struct dice dice = {o->seed};
    unsigned drives = 1 + (unsigned)dice_roll(&dice, 24);
    unsigned slots = 100 + (unsigned)dice_roll(&dice, dice_roll(&dice, 4) == 0 ? 4901 : 400);
    unsigned changers = 1 + (unsigned)dice_roll(&dice, 4);
    if (o->changers == 0)
        o->changers = changers;
    if (o->drives == 0)
        o->drives = drives;
    if (o->slots == 0)
        o->slots = slots;
}

static bool
parse_number(int argc, char **argv, int *i, struct traffic_options *o)
{
    const struct {
        const char *name;
        unsigned *value;
    } numbers[] = {{"--changers", &o->changers},
                   {"--drives", &o->drives},
                   {"--slots", &o->slots},
                   {"--jobs", &o->jobs},
                   {"--recall-drives", &o->recall_drives}};
    for (size_t n = 0; n < sizeof numbers / sizeof numbers[0] && *i + 1 < argc; n++) {
        if (strcmp(argv[*i], numbers[n].name) == 0) {
            *numbers[n].value = (unsigned)strtoul(argv[++*i], NULL, 0);
            return true;
        }
    }
    if (*i + 1 < argc && strcmp(argv[*i], "--seed") == 0)
        o->seed = strtoull(argv[++*i], NULL, 0);
    else if (*i + 1 < argc && strcmp(argv[*i], "--disc-gb") == 0)
        o->disc_bytes = strtoull(argv[++*i], NULL, 0) * UINT64_C(1000000000);
    else
        return false;
    return true;
}

int
main(int argc, char **argv)
{
    struct traffic_options options = {.seed = 1,
                                      .jobs = 1000,
                                      .recall_drives = 1,
                                      .disc_bytes = UINT64_C(25000000000),
                                      .rate = 6 * 4495600.0}; /* 6x Blu-ray */
    bool fifo = false, both = false, twice = false;
    double goal = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--fifo") == 0)
            fifo = true;
        else if (strcmp(argv[i], "--compare") == 0)
            both = true;
        else if (strcmp(argv[i], "--twice") == 0)
            twice = true;
        else if (i + 1 < argc && strcmp(argv[i], "--goal") == 0)
            goal = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--backlog") == 0)
            options.backlog = true;
        else if (strcmp(argv[i], "--real") == 0)
            options.real = true;
        else if (strcmp(argv[i], "--faults") == 0)
            options.real = options.faults = true;
        else if (!parse_number(argc, argv, &i, &options)) {
            (void)fprintf(stderr,
                          "sim library [--seed N] [--jobs N] [--changers N] [--drives N] "
                          "[--slots N] [--recall-drives N] [--disc-gb N] [--backlog] "
                          "[--goal PERCENT] [--real] [--faults] [--twice] [--fifo | --compare]\n");
            return 2;
        }
    }
    vary(&options);
    if (options.changers < 1 || options.changers > CHANGERS_MAX || options.drives < 1 ||
        options.drives > DRIVES || options.slots < 10 || options.slots > 5000)
        return 2;
    (void)printf("seed %" PRIu64 ": %u changers, %u drives and %u slots each\n", options.seed,
                 options.changers, options.drives, options.slots);
    struct outcome first = run_one(options, fifo);
    if (first.utilisation < goal) {
        (void)fprintf(stderr, "the goal are %.1f %%\n", goal);
        return 1;
    }
    if (twice && run_one(options, fifo).digest != first.digest) {
        (void)fprintf(stderr, "the same seed came to something else\n");
        return 1;
    }
    if (both && run_one(options, !fifo).recall_p99_s < first.recall_p99_s) {
        (void)fprintf(stderr, "the slowest hundredth of recalls is not better off\n");
        return 1;
    }
    return 0;
}
