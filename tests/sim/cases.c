/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

#include <string.h>
#include <sys/stat.h>

static const char *const root_path[] = {"/"};
const struct varve_path_list root = {root_path, 1};

struct varve_catalog *
catalog_of(struct archive *a)
{
    return varve_engine_catalog(a->bench.engine);
}

struct varve_job
wait_job(struct archive *a, uint64_t id)
{
    struct varve_job job = {0};
    OK(varve_engine_job_wait(a->bench.engine, id, &job, &a->bench.err));
    return job;
}

void
expect_done(struct archive *a, uint64_t id)
{
    struct varve_job job = wait_job(a, id);
    if (job.state != VARVE_JOB_DONE)
        fail_msg("%s: %s", job.kind, job.error.text);
}

void
write_files(struct archive *a)
{
    struct dice dice = {4711};
    for (unsigned i = 0; i < FILES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%u", i);
        dice_fill(&dice, a->bytes[i], FILE_BYTES);
        OK(bench_create(&a->bench, VARVE_ROOT_INO, name, S_IFREG | 0644, &a->inos[i]));
        OK(bench_write(&a->bench, a->inos[i], 0, a->bytes[i], FILE_BYTES));
    }
}

void
archive_all(struct archive *a)
{
    uint64_t job;
    OK(varve_engine_archive(a->bench.engine, &root, true, &job, &a->bench.err));
    expect_done(a, job);
}

void
release_all(struct archive *a)
{
    uint64_t job;
    OK(varve_engine_release(a->bench.engine, &root, &job, &a->bench.err));
    expect_done(a, job);
}

void
read_all(struct archive *a)
{
    static uint8_t got[FILE_BYTES];
    for (unsigned i = 0; i < FILES; i++) {
        OK(bench_read(&a->bench, a->inos[i], 0, got, FILE_BYTES));
        assert_memory_equal(got, a->bytes[i], FILE_BYTES);
    }
}

void
remove_archive(struct archive *a)
{
    bench_close(&a->bench);
    bench_remove(&a->bench);
}

uint64_t
discs_in(struct archive *a, enum varve_disc_state state)
{
    struct varve_catalog_totals totals;
    OK(varve_catalog_totals(catalog_of(a), &totals, &a->bench.err));
    return totals.discs_by_state[state];
}
