/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever happens to files, discs and drives in whatever order, every file has its bytes, nothing
 * is released before it is sealed, and no disc is lost or written twice.
 *
 * `--seed N` chooses everything that the test decides. The engine's threads are scheduled by the
 * machine, so a seed that failed replays the same acts, but not always the same interleaving: run
 * it several times (`--repeat`). */
#include "discs.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

enum { STEP_SECONDS = 300 }; /* under a sanitizer on a busy machine too */

static const char rules[] =
    "[rule cool]\nfrom = ssd\nto = hdd\nwhere = size % 3 = 0\n\n"
    "[rule shelve]\nfrom = hdd\nto = optical\nwhere = size > 1000\n\n"
    "[rule drop]\nfrom = premigrated\nto = migrated\nwhere = size % 2 = 0\n";

/* --- jobs --- */

/* A job may fail for what the test did to it, and for nothing else. */
static void
check_failure(struct sim *sim, const struct varve_job *job)
{
    enum varve_error_kind kind = job->error.kind;
    if (sim->faults)
        return;
    if (strcmp(job->kind, "archive") == 0 || strcmp(job->kind, "flush") == 0) {
        if (kind == VARVE_ERROR_BUSY || kind == VARVE_ERROR_NOT_FOUND /* deleted meanwhile */ ||
            strstr(job->error.text, "larger than a whole set") != NULL)
            return;
    } else if (strcmp(job->kind, "release") == 0) {
        if (kind == VARVE_ERROR_INVALID || kind == VARVE_ERROR_BUSY ||
            kind == VARVE_ERROR_NOT_FOUND)
            return;
    } else if (strcmp(job->kind, "recall") == 0) {
        if (kind == VARVE_ERROR_NOT_FOUND) /* deleted meanwhile */
            return;
    } else if (strcmp(job->kind, "verify") == 0 || strcmp(job->kind, "scrub") == 0) {
        if (sim->damaged)
            return;
    }
    die(sim, "job %s failed: %s", job->kind, job->error.text);
}

static void
wait_jobs(struct sim *sim)
{
    for (size_t i = 0; i < sim->job_count; i++) {
        struct varve_job job;
        if (!varve_engine_job_wait(sim->bench.engine, sim->jobs[i], &job, &sim->bench.err))
            die(sim, "%s", sim->bench.err.text);
        if (job.state == VARVE_JOB_FAILED)
            check_failure(sim, &job);
    }
    sim->job_count = 0;
}

/* Waits for it at once, or lets it run beside what comes. */
static void
started(struct sim *sim, bool ok, const uint64_t *job)
{
    if (!ok)
        die(sim, "%s", sim->bench.err.text);
    sim->jobs[sim->job_count++] = *job;
    if (roll(sim, 2) == 0 || sim->job_count == sizeof sim->jobs / sizeof sim->jobs[0])
        wait_jobs(sim);
}

/* Jobs that nobody here waits for, too: the sweep, sets that an earlier run left. */
static void
wait_all(struct sim *sim)
{
    static struct varve_job jobs[132];
    wait_jobs(sim);
    size_t count = varve_engine_jobs(sim->bench.engine, jobs, 132);
    for (size_t i = 0; i < count; i++) {
        struct varve_job job;
        if (jobs[i].finished_ns == 0 &&
            varve_engine_job_wait(sim->bench.engine, jobs[i].id, &job, &sim->bench.err) &&
            job.state == VARVE_JOB_FAILED)
            check_failure(sim, &job);
    }
}

void
reopen(struct sim *sim)
{
    bench_close(&sim->bench);
    sim->faults = false;
    sim->job_count = 0;
    if (!bench_open(&sim->bench))
        die(sim, "open: %s", sim->bench.err.text);
}

/* --- acts of the engine --- */

static bool
enough_blanks(struct sim *sim)
{
    return count_blanks(sim) >= 24;
}

static void
act_archive(struct sim *sim)
{
    char path[1024];
    const char *paths[] = {path};
    uint64_t job;
    path_of(sim, roll(sim, 3) == 0 ? -1 : pick_name(sim), path, sizeof path);
    if (!enough_blanks(sim))
        return;
    started(sim,
            varve_engine_archive(sim->bench.engine, &(struct varve_path_list){paths, 1},
                                 roll(sim, 3) != 0, &job, &sim->bench.err),
            &job);
}

static void
act_flush(struct sim *sim)
{
    uint64_t job;
    if (enough_blanks(sim))
        started(sim, varve_engine_flush(sim->bench.engine, &job, &sim->bench.err), &job);
}

static void
act_release(struct sim *sim)
{
    char path[1024];
    const char *paths[] = {path};
    uint64_t job;
    path_of(sim, roll(sim, 2) == 0 ? -1 : pick_name(sim), path, sizeof path);
    started(sim,
            varve_engine_release(sim->bench.engine, &(struct varve_path_list){paths, 1}, &job,
                                 &sim->bench.err),
            &job);
}

static void
act_recall(struct sim *sim)
{
    char path[1024];
    const char *paths[] = {path};
    uint64_t job;
    path_of(sim, roll(sim, 3) == 0 ? -1 : pick_name(sim), path, sizeof path);
    started(sim,
            varve_engine_recall(sim->bench.engine, &(struct varve_path_list){paths, 1}, &job,
                                &sim->bench.err),
            &job);
}

static void
act_policy(struct sim *sim)
{
    static const char *const names[] = {NULL, "cool", "shelve", "drop"};
    uint64_t job;
    bool ok =
        varve_engine_policy_run(sim->bench.engine, names[roll(sim, 4)], &job, &sim->bench.err);
    if (ok || sim->bench.err.kind != VARVE_ERROR_BUSY)
        started(sim, ok, &job);
}

static void
act_verify(struct sim *sim)
{
    uint64_t job;
    started(sim, varve_engine_verify(sim->bench.engine, NULL, &job, &sim->bench.err), &job);
}

static void
act_repair(struct sim *sim)
{
    struct varve_set_id set;
    uint64_t job;
    if (!enough_blanks(sim) || !pick_degraded(sim, &set))
        return;
    started(sim, varve_engine_set_repair(sim->bench.engine, set, &job, &sim->bench.err), &job);
    if (roll(sim, 4) != 0)
        wait_jobs(sim);
}

static void
act_damage(struct sim *sim)
{
    wait_all(sim);
    for (uint64_t i = 1 + roll(sim, 4); i > 0; i--)
        damage_disc(sim);
}

static void
act_swap(struct sim *sim)
{
    wait_all(sim);
    swap_discs(sim);
    reopen(sim);
}

/* One fault that hardware has, soon: sense as MMC and SMC give it. */
static void
act_fault(struct sim *sim)
{
    static const struct varve_virtual_fault faults[] = {
        {.opcode = 0x2A, .key = 3, .asc = 0x0C}, /* WRITE(10): write error */
        {.opcode = 0x28, .key = 3, .asc = 0x11}, /* READ(10): unrecovered read error */
        {.opcode = 0x28, .key = 3, .asc = 0x11},
        {.opcode = 0x00, .key = 2, .asc = 0x04, .ascq = 0x01}, /* TEST UNIT READY: becoming ready */
        {.opcode = 0x28, .key = 4, .asc = 0x44},               /* READ(10): internal failure */
        {.opcode = 0x2A, .key = 2, .asc = 0x3A},               /* WRITE(10): medium not present */
        {.opcode = 0x5B, .key = 3, .asc = 0x0C},               /* CLOSE TRACK: write error */
        {.on_changer = true, .opcode = 0xA5, .key = 4, .asc = 0x15, .ascq = 0x01}, /* MOVE: stuck */
        {.on_changer = true, .opcode = 0xA5, .key = 4, .asc = 0x15, .after = true},
        {.on_changer = true, .opcode = 0xB8, .key = 4, .asc = 0x44}, /* READ ELEMENT STATUS */
        {.opcode = 0x00, .key = 3, .asc = 0x30}, /* TEST UNIT READY: incompatible medium */
        {.opcode = 0x2A, .lost = true},          /* a write without an answer */
    };
    struct varve_virtual_fault fault = faults[roll(sim, sizeof faults / sizeof faults[0])];
    fault.nth = 1 + (unsigned)roll(sim, roll(sim, 2) == 0 ? 4 : 40);
    fault.drive = (unsigned)roll(sim, varve_virtual_drive_count(sim->bench.library));
    if (!varve_virtual_inject(sim->bench.library, &fault, &sim->bench.err))
        return; /* as many as the library takes */
    sim->faults = true;
}

static void
act_reopen(struct sim *sim)
{
    if (roll(sim, 2) == 0)
        wait_all(sim);
    reopen(sim);
}

/* At rest and without faults: all bytes, all discs. */
static void
act_look_at_all(struct sim *sim)
{
    if (sim->faults)
        reopen(sim);
    wait_all(sim);
    model_check_all(sim);
    wait_all(sim);
    discs_check_all(sim);
}

/* --- the run --- */

static const struct act {
    const char *name;
    unsigned weight;
    void (*run)(struct sim *sim);
} acts[] = {
    {"create", 16, act_create},
    {"overwrite", 10, act_overwrite},
    {"truncate", 5, act_truncate},
    {"rename", 5, act_rename},
    {"delete", 5, act_delete},
    {"link", 3, act_link},
    {"make a directory", 3, act_make_dir},
    {"peek", 12, act_peek},
    {"archive", 6, act_archive},
    {"flush", 3, act_flush},
    {"release", 9, act_release},
    {"recall", 5, act_recall},
    {"policy", 4, act_policy},
    {"verify", 2, act_verify},
    {"repair", 4, act_repair},
    {"damage", 4, act_damage},
    {"swap discs", 2, act_swap},
    {"fault", 5, act_fault},
    {"reopen", 3, act_reopen},
    {"look at all", 1, act_look_at_all},
};

/* Every third seed is plagued by faults, every third by bad media. */
static unsigned
weight_of(const struct sim *sim, const struct act *act)
{
    bool plague = (sim->seed % 3 == 1 && act->run == act_fault) ||
                  (sim->seed % 3 == 2 && (act->run == act_damage || act->run == act_repair));
    return plague ? 4 * act->weight : act->weight;
}

static const struct act *
choose_act(struct sim *sim)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        sum += weight_of(sim, &acts[i]);
    uint64_t at = roll(sim, sum);
    for (size_t i = 0;; i++) {
        if (at < weight_of(sim, &acts[i]))
            return &acts[i];
        at -= weight_of(sim, &acts[i]);
    }
}

static struct sim the_sim;

static void
hangs(int signal)
{
    (void)signal;
    static const char text[] = "sim engine: a step hangs\n";
    VARVE_IGNORE(write(STDERR_FILENO, text, sizeof text - 1));
    (void)raise(SIGABRT); /* a core shows where */
}

static void
begin(struct sim *sim, uint64_t seed)
{
    static const unsigned sets[][2] = {{2, 1}, {3, 2}, {4, 2}};
    static const char *const keys[] = {"head = 0", "head = 20K", "head = 1K\nhead_total = 10K",
                                       "head = 100K"};
    *sim = (struct sim){.seed = seed, .dice = {seed}, .act = "begin", .discs = discs_new()};
    uint64_t geometry = roll(sim, 3);
    sim->disc_bytes = (UINT64_C(8) << 20) + (roll(sim, 9) << 20);
    const struct bench_options options = {.slots = 160,
                                          .drives = 1 + (unsigned)roll(sim, 3),
                                          .data_discs = sets[geometry][0],
                                          .parity_discs = sets[geometry][1],
                                          .disc_bytes = sim->disc_bytes,
                                          .rules = rules,
                                          .keys = keys[seed % 4]};
    if (!bench_make(&sim->bench, &options, seed) || !bench_open(&sim->bench))
        die(sim, "%s", sim->bench.err.text);
    sim->dirs[0].ino = VARVE_ROOT_INO;
}

static void
run(struct sim *sim, uint64_t seed, unsigned steps, bool tell)
{
    begin(sim, seed);
    for (sim->step = 1; sim->step <= steps; sim->step++) {
        const struct act *act = choose_act(sim);
        sim->act = act->name;
        if (tell)
            (void)fprintf(stderr, "%u %s\n", sim->step, act->name);
        (void)alarm(STEP_SECONDS);
        act->run(sim);
        model_check(sim);
        discs_check(sim);
    }
    sim->act = "end";
    (void)alarm(STEP_SECONDS);
    reopen(sim);
    act_look_at_all(sim);
    (void)alarm(0);
    bench_close(&sim->bench);
    bench_remove(&sim->bench);
    model_done(sim);
    discs_free(sim->discs);
    (void)printf("seed %" PRIu64 ": %u steps, %u files seen on discs only\n", seed, steps,
                 sim->waited);
}

int
main(int argc, char **argv)
{
    uint64_t seed = 1, repeat = 1, steps = 120;
    bool tell = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--tell") == 0)
            tell = true;
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[++i], NULL, 0);
        else if (i + 1 < argc && strcmp(argv[i], "--repeat") == 0)
            repeat = strtoull(argv[++i], NULL, 0);
        else if (i + 1 < argc && strcmp(argv[i], "--steps") == 0)
            steps = strtoull(argv[++i], NULL, 0);
        else {
            (void)fprintf(stderr, "sim engine [--seed N] [--steps N] [--repeat N] [--tell]\n");
            return 2;
        }
    }
    (void)signal(SIGALRM, hangs);
    for (uint64_t i = 0; i < repeat; i++)
        run(&the_sim, seed, (unsigned)steps, tell);
    return 0;
}
