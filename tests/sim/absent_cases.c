/* SPDX-License-Identifier: Apache-2.0 */
/* An archive whose library is not there at the start serves what is resident, says of the rest that
 * its library is offline, takes no disc for lost, and goes on by itself when the library comes. */
#include "engine_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { FILES = 4, FILE_BYTES = 300000, COMES_SECONDS = 60 };

static struct bench the_bench;
static uint64_t inos[FILES + 1];
static uint8_t bytes[FILES + 1][FILE_BYTES];
static const char *const root_path[] = {"/"};
static const struct varve_path_list root = {root_path, 1};

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, b->err.text);                                                \
    } while (0)

static struct varve_job
wait_job(struct bench *b, uint64_t id)
{
    struct varve_job job = {0};
    OK(varve_engine_job_wait(b->engine, id, &job, &b->err));
    return job;
}

static void
expect_done(struct bench *b, uint64_t id)
{
    struct varve_job job = wait_job(b, id);
    if (job.state != VARVE_JOB_DONE)
        fail_msg("%s: %s", job.kind, job.error.text);
}

static void
write_file(struct bench *b, unsigned i)
{
    char name[16];
    struct dice dice = {i + 1};
    (void)snprintf(name, sizeof name, "f%u", i);
    dice_fill(&dice, bytes[i], FILE_BYTES);
    OK(bench_create(b, VARVE_ROOT_INO, name, S_IFREG | 0644, &inos[i]));
    OK(bench_write(b, inos[i], 0, bytes[i], FILE_BYTES));
}

static void
expect_file(struct bench *b, unsigned i)
{
    static uint8_t got[FILE_BYTES];
    OK(bench_read(b, inos[i], 0, got, FILE_BYTES));
    assert_memory_equal(got, bytes[i], FILE_BYTES);
}

static uint64_t
discs_in(struct bench *b, enum varve_disc_state state)
{
    struct varve_engine_status status;
    OK(varve_engine_status(b->engine, &status, &b->err));
    return status.totals.discs_by_state[state];
}

static enum varve_library_condition
condition(struct bench *b)
{
    struct varve_library_state state;
    varve_engine_library_state(b->engine, 0, &state);
    return state.condition;
}

static bool
is_told(struct bench *b, const char *text)
{
    struct varve_engine_status status;
    OK(varve_engine_status(b->engine, &status, &b->err));
    for (unsigned i = 0; i < status.warnings_count; i++) {
        if (strstr(status.warnings[i], text) != NULL)
            return true;
    }
    return false;
}

static unsigned
open_moves(struct bench *b)
{
    struct varve_move moves[16];
    size_t count;
    OK(varve_catalog_moves_open(varve_engine_catalog(b->engine), "main", moves, 16, &count,
                                &b->err));
    return (unsigned)count;
}

/* An archive with FILES files on discs only and a move that was cut off, closed. */
static struct bench *
make(void)
{
    struct bench *b = &the_bench;
    const struct bench_options options = {.slots = 16,
                                          .drives = 2,
                                          .data_discs = 2,
                                          .parity_discs = 1,
                                          .disc_bytes = UINT64_C(8) << 20};
    struct varve_move move = {.from = 1, .to = 2, .library = "main"};
    uint64_t job, id;
    OK(bench_make(b, &options, 1));
    OK(bench_open(b));
    for (unsigned i = 0; i < FILES; i++)
        write_file(b, i);
    OK(varve_engine_archive(b->engine, &root, true, &job, &b->err));
    expect_done(b, job);
    OK(varve_engine_release(b->engine, &root, &job, &b->err));
    expect_done(b, job);
    OK(varve_catalog_move_begin(varve_engine_catalog(b->engine), &move, &id, &b->err));
    bench_close(b);
    return b;
}

static void
expect_absent(struct bench *b, uint64_t sealed)
{
    static uint8_t got[FILE_BYTES];
    struct varve_element *elements = NULL;
    size_t count;
    assert_int_equal(condition(b), VARVE_LIBRARY_OFFLINE);
    assert_true(is_told(b, "library 'main' is offline: the host does not answer; put right"));
    assert_false(bench_read(b, inos[0], 0, got, FILE_BYTES));
    assert_int_equal(b->err.kind, VARVE_ERROR_OFFLINE);
    assert_int_equal(varve_error_errno(&b->err), EHOSTUNREACH);
    assert_non_null(strstr(b->err.text, "library 'main', which is offline: the host"));
    assert_false(varve_engine_inventory(b->engine, NULL, false, &elements, &count, &b->err));
    assert_int_equal(b->err.kind, VARVE_ERROR_NOT_READY);
    assert_int_equal(discs_in(b, VARVE_DISC_SEALED), sealed);
    assert_int_equal(discs_in(b, VARVE_DISC_LOST), 0);
    assert_int_equal(open_moves(b), 1);
}

static void
wait_for_library(struct bench *b)
{
    for (unsigned i = 0; i < COMES_SECONDS * 20 && condition(b) == VARVE_LIBRARY_OFFLINE; i++)
        varve_clock_sleep(varve_clock_system(), VARVE_NS_PER_SECOND / 20);
    assert_int_equal(condition(b), VARVE_LIBRARY_READY);
}

static void
test_library_comes_by_itself(void **state)
{
    (void)state;
    struct bench *b = make();
    uint64_t job;
    atomic_store(&b->fails, 2);
    OK(bench_open(b));
    uint64_t sealed = discs_in(b, VARVE_DISC_SEALED);
    assert_true(sealed >= 2);
    expect_absent(b, sealed);
    write_file(b, FILES);
    expect_file(b, FILES);
    wait_for_library(b);
    assert_int_equal(open_moves(b), 0);
    assert_false(is_told(b, "offline"));
    for (unsigned i = 0; i <= FILES; i++)
        expect_file(b, i);
    OK(varve_engine_archive(b->engine, &root, true, &job, &b->err));
    expect_done(b, job);
    assert_int_equal(discs_in(b, VARVE_DISC_LOST), 0);
    bench_close(b);
    bench_remove(b);
}

/* No job takes a disc for lost or suspect either, and what is in line stays there. */
static void
test_jobs_while_it_is_away(void **state)
{
    (void)state;
    struct bench *b = make();
    struct varve_error why = {0};
    struct varve_engine_status status;
    uint64_t job;
    atomic_store(&b->fails, 1000000);
    OK(bench_open(b));
    uint64_t sealed = discs_in(b, VARVE_DISC_SEALED);
    OK(varve_engine_verify(b->engine, NULL, &job, &b->err));
    assert_int_equal(wait_job(b, job).state, VARVE_JOB_FAILED);
    OK(varve_engine_recall(b->engine, &root, &job, &b->err));
    assert_int_equal(wait_job(b, job).state, VARVE_JOB_FAILED);
    write_file(b, FILES);
    OK(varve_engine_archive(b->engine, &root, true, &job, &b->err));
    struct varve_job archive = wait_job(b, job);
    assert_int_equal(archive.error.kind, VARVE_ERROR_NO_SPACE);
    assert_non_null(strstr(archive.error.text, "library 'main' is offline"));
    assert_false(varve_engine_library_act(b->engine, NULL, VARVE_LIBRARY_RESUME, NULL, 0, &why));
    assert_int_equal(why.kind, VARVE_ERROR_NOT_READY);
    expect_absent(b, sealed);
    OK(varve_engine_status(b->engine, &status, &b->err));
    assert_int_equal(status.totals.requests, 1);
    /* At once, by a verb. */
    atomic_store(&b->fails, 0);
    OK(varve_engine_library_act(b->engine, NULL, VARVE_LIBRARY_RESUME, NULL, 0, &b->err));
    assert_int_equal(condition(b), VARVE_LIBRARY_READY);
    expect_file(b, 0);
    OK(varve_engine_flush(b->engine, &job, &b->err));
    expect_done(b, job);
    OK(varve_engine_status(b->engine, &status, &b->err));
    assert_int_equal(status.totals.requests, 0);
    assert_int_equal(discs_in(b, VARVE_DISC_LOST) + discs_in(b, VARVE_DISC_SUSPECT), 0);
    bench_close(b);
    bench_remove(b);
}

/* A set whose burning was cut off waits for its library, and is burned when that is there. */
static void
test_burns_wait(void **state)
{
    (void)state;
    struct bench *b = make();
    uint64_t job;
    OK(bench_open(b));
    uint64_t before = discs_in(b, VARVE_DISC_SEALED);
    write_file(b, FILES);
    OK(varve_engine_archive(b->engine, &root, true, &job, &b->err));
    while (discs_in(b, VARVE_DISC_BURNING) == 0)
        varve_clock_sleep(varve_clock_system(), VARVE_NS_PER_MS);
    bench_close(b);
    atomic_store(&b->fails, 1000000);
    OK(bench_open(b)); /* ... and it is closed while the burn waits */
    assert_true(discs_in(b, VARVE_DISC_BURNING) > 0);
    bench_close(b);
    atomic_store(&b->fails, 2);
    OK(bench_open(b));
    varve_clock_sleep(varve_clock_system(), VARVE_NS_PER_SECOND / 2);
    assert_int_equal(condition(b), VARVE_LIBRARY_OFFLINE);
    assert_int_equal(discs_in(b, VARVE_DISC_SEALED), before);
    wait_for_library(b);
    for (unsigned i = 0; i < 600 && discs_in(b, VARVE_DISC_SEALED) == before; i++)
        varve_clock_sleep(varve_clock_system(), VARVE_NS_PER_SECOND / 10);
    OK(varve_engine_flush(b->engine, &job, &b->err)); /* after the burn that is under way */
    expect_done(b, job);
    assert_true(discs_in(b, VARVE_DISC_SEALED) > before);
    assert_int_equal(discs_in(b, VARVE_DISC_BURNING) + discs_in(b, VARVE_DISC_BURNED), 0);
    assert_int_equal(discs_in(b, VARVE_DISC_LOST) + discs_in(b, VARVE_DISC_FAILED), 0);
    bench_close(b);
    bench_remove(b);
}

/* An archive that is closed while its library is away is closed at once, and checked all the same.
 */
static void
test_closed_while_it_is_away(void **state)
{
    (void)state;
    struct bench *b = make();
    struct varve_check_report report;
    atomic_store(&b->fails, 1000000);
    OK(varve_engine_open(b->dir, &b->ports, &b->engine, &b->err));
    OK(varve_engine_check(b->engine, true, NULL, NULL, &report, &b->err));
    assert_int_equal(report.findings, 1);
    assert_int_equal(discs_in(b, VARVE_DISC_LOST), 0);
    bench_close(b);
    atomic_store(&b->fails, 0);
    OK(bench_open(b));
    assert_int_equal(condition(b), VARVE_LIBRARY_READY);
    expect_file(b, 1);
    bench_close(b);
    bench_remove(b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_library_comes_by_itself),
        cmocka_unit_test(test_jobs_while_it_is_away),
        cmocka_unit_test(test_burns_wait),
        cmocka_unit_test(test_closed_while_it_is_away),
    };
    return cmocka_run_group_tests_name("sim absent_cases", tests, NULL, NULL);
}
