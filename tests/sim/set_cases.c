/* SPDX-License-Identifier: Apache-2.0 */
/* A file that cannot be read holds up no other file, nothing that may change again stays in a plan,
 * and a disc that was taken out on purpose is not lost. */
#include "engine_bench.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/file.h>

#include <cmocka.h>

enum { FILES = 6, BYTES = 50000 };

static struct bench the_bench;

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, b->err.text);                                                \
    } while (0)

static uint64_t inos[FILES];

static struct bench *
begin(void)
{
    static uint8_t bytes[BYTES];
    struct bench *b = &the_bench;
    struct dice dice = {1};
    char name[16];
    const struct bench_options options = {.slots = 24,
                                          .drives = 1,
                                          .data_discs = 2,
                                          .parity_discs = 1,
                                          .disc_bytes = UINT64_C(8) << 20};
    OK(bench_make(b, &options, 1));
    OK(bench_open(b));
    dice_fill(&dice, bytes, BYTES);
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        OK(bench_create(b, VARVE_ROOT_INO, name, S_IFREG | 0644, &inos[i]));
        OK(bench_write(b, inos[i], 0, bytes, BYTES));
    }
    return b;
}

static void
end(struct bench *b)
{
    bench_close(b);
    bench_remove(b);
}

static struct varve_job
archive(struct bench *b)
{
    static const char *const root[] = {"/"};
    const struct varve_path_list list = {root, 1};
    struct varve_job job = {0};
    uint64_t id;
    OK(varve_engine_archive(b->engine, &list, true, &id, &b->err));
    OK(varve_engine_job_wait(b->engine, id, &job, &b->err));
    return job;
}

static struct varve_content
content_of(struct bench *b, unsigned file)
{
    struct varve_catalog *catalog = varve_engine_catalog(b->engine);
    struct varve_inode inode = {0};
    struct varve_content content = {0};
    OK(varve_catalog_inode_get(catalog, inos[file], &inode, &b->err));
    OK(varve_catalog_content_get(catalog, inode.content, &content, &b->err));
    return content;
}

static void
move_backing(struct bench *b, const struct varve_content *content, bool away)
{
    char path[sizeof b->dir + 80];
    char aside[sizeof path + 8];
    const char *tier = content->place.tier == VARVE_TIER_SSD ? "ssd" : "hdd";
    (void)snprintf(path, sizeof path, "%s/%s/objects/%02x/%016llx", b->dir, tier,
                   (unsigned)(content->place.file & 255), (unsigned long long)content->place.file);
    (void)snprintf(aside, sizeof aside, "%s.aside", path);
    assert_int_equal(away ? rename(path, aside) : rename(aside, path), 0);
}

static struct varve_job
flush(struct bench *b)
{
    struct varve_job job = {0};
    uint64_t id;
    OK(varve_engine_flush(b->engine, &id, &b->err));
    OK(varve_engine_job_wait(b->engine, id, &job, &b->err));
    return job;
}

/* Parity cannot be staged, so that the set is planned and goes no further. */
static void
plan_only(struct bench *b)
{
    char path[sizeof b->dir + 16];
    struct varve_catalog_totals totals;
    (void)snprintf(path, sizeof path, "%s/hdd/staging", b->dir);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(archive(b).state, VARVE_JOB_FAILED);
    assert_int_equal(mkdir(path, 0700), 0);
    OK(varve_catalog_totals(varve_engine_catalog(b->engine), &totals, &b->err));
    assert_int_equal(totals.sets_by_state[VARVE_SET_PLANNED], 1);
}

static void
expect_no_pieces(struct bench *b, unsigned file)
{
    struct varve_piece piece;
    size_t count;
    OK(varve_catalog_pieces(varve_engine_catalog(b->engine), content_of(b, file).id, &piece, 1,
                            &count, &b->err));
    assert_int_equal(count, 0);
}

static void
test_unreadable_file_holds_up_nobody(void **state)
{
    (void)state;
    struct bench *b = begin();
    struct varve_catalog_totals totals;
    plan_only(b);
    const struct varve_content bad = content_of(b, 2);
    move_backing(b, &bad, true);
    assert_int_equal(flush(b).state, VARVE_JOB_FAILED);
    OK(varve_catalog_totals(varve_engine_catalog(b->engine), &totals, &b->err));
    assert_int_equal(totals.sets_by_state[VARVE_SET_PLANNED], 0);
    assert_int_equal(totals.sets_by_state[VARVE_SET_ABANDONED], 1);
    assert_int_equal(totals.requests, 0);
    for (unsigned i = 0; i < FILES; i++)
        assert_int_equal(content_of(b, i).phase, i == 2 ? VARVE_PHASE_LIVE : VARVE_PHASE_SEALED);
    expect_no_pieces(b, 2);
    move_backing(b, &bad, false);
    assert_int_equal(archive(b).state, VARVE_JOB_DONE);
    assert_int_equal(content_of(b, 2).phase, VARVE_PHASE_SEALED);
    end(b);
}

static void
test_exported_disc_is_offline(void **state)
{
    (void)state;
    struct bench *b = begin();
    struct varve_disc_row rows[64];
    struct varve_disc_row row;
    size_t count;
    assert_int_equal(archive(b).state, VARVE_JOB_DONE);
    OK(varve_catalog_set_discs(varve_engine_catalog(b->engine), (struct varve_set_id){1}, rows, 64,
                               &count, &b->err));
    assert_true(count > 0);
    OK(varve_engine_library_act(b->engine, NULL, VARVE_LIBRARY_EXPORT, rows[0].barcode.text, 0,
                                &b->err));
    OK(varve_catalog_disc_get(varve_engine_catalog(b->engine), &rows[0].barcode, &row, &b->err));
    assert_int_equal(row.state, VARVE_DISC_OFFLINE);
    OK(varve_engine_library_act(b->engine, NULL, VARVE_LIBRARY_IMPORT, NULL, 0, &b->err));
    OK(varve_catalog_disc_get(varve_engine_catalog(b->engine), &rows[0].barcode, &row, &b->err));
    assert_int_equal(row.state, VARVE_DISC_SEALED);
    end(b);
}

static int64_t
in_line_since(struct bench *b)
{
    static const char *const root[] = {"/"};
    const struct varve_path_list list = {root, 1};
    struct varve_request request = {.since_ns = -1};
    struct varve_job job;
    uint64_t id;
    size_t count;
    OK(varve_engine_archive(b->engine, &list, false, &id, &b->err));
    OK(varve_engine_job_wait(b->engine, id, &job, &b->err));
    OK(varve_catalog_requests(varve_engine_catalog(b->engine), (struct varve_content_id){0},
                              &request, 1, &count, &b->err));
    assert_int_equal(count, 1);
    return request.since_ns;
}

/* Asked for again, a file keeps its place in line: else a rule that runs every hour would put off
 * seal_after for ever. */
static void
test_asking_again_keeps_the_place_in_line(void **state)
{
    (void)state;
    struct bench *b = begin();
    int64_t first = in_line_since(b);
    const struct timespec nap = {.tv_nsec = 20000000};
    assert_int_equal(nanosleep(&nap, NULL), 0);
    assert_true(in_line_since(b) == first);
    end(b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unreadable_file_holds_up_nobody),
        cmocka_unit_test(test_exported_disc_is_offline),
        cmocka_unit_test(test_asking_again_keeps_the_place_in_line),
    };
    return cmocka_run_group_tests_name("sim set_cases", tests, NULL, NULL);
}
