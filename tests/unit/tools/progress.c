/* Rate and time to go follow what is really done, and are not told before they are known. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <progress.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define MIB (UINT64_C(1) << 20)

static void
test_a_steady_rate_is_told_exactly(void **state)
{
    (void)state;
    struct progress progress = {0};
    for (int i = 0; i <= 10; i++)
        progress_update(&progress, i * SECOND, (uint64_t)i * 20 * MIB);
    assert_true(progress.rate > 20.0 * MIB - 1 && progress.rate < 20.0 * MIB + 1);
    assert_int_equal(progress_eta_s(&progress, 200 * MIB, 1200 * MIB), 50);
}

static void
test_a_change_of_rate_is_followed(void **state)
{
    (void)state;
    struct progress progress = {0};
    uint64_t done = 0;
    int64_t now = 0;
    for (int i = 0; i < 60; i++, now += SECOND, done += 40 * MIB)
        progress_update(&progress, now, done);
    double before = progress.rate;
    progress_update(&progress, now, done); /* one second without a byte... */
    done += 40 * MIB;
    assert_true(progress.rate > before * 0.8); /* ...is hardly seen */
    for (int i = 0; i < 60; i++) {
        now += SECOND;
        done += 10 * MIB;
        progress_update(&progress, now, done);
    }
    assert_true(progress.rate > 9.5 * MIB && progress.rate < 10.5 * MIB);
}

static void
test_nothing_is_told_before_it_is_known(void **state)
{
    (void)state;
    struct progress progress = {0};
    assert_int_equal(progress_eta_s(&progress, 0, 100), -1);
    progress_update(&progress, 0, 5 * MIB); /* was there before we looked: no rate */
    assert_int_equal(progress_eta_s(&progress, 5 * MIB, 100 * MIB), -1);
    progress_update(&progress, SECOND, 6 * MIB);
    assert_int_equal(progress_eta_s(&progress, 6 * MIB, 16 * MIB), 10);
    assert_int_equal(progress_eta_s(&progress, 6 * MIB, 0), -1);
    assert_int_equal(progress_eta_s(&progress, 16 * MIB, 16 * MIB), -1);
    assert_int_equal(progress_eta_s(&progress, 0, UINT64_MAX), -1); /* more than a year */
}

/* A disc that is burned again makes `done` smaller. */
static void
test_going_back_begins_anew(void **state)
{
    (void)state;
    struct progress progress = {0};
    progress_update(&progress, 0, 0);
    progress_update(&progress, SECOND, 100 * MIB);
    progress_update(&progress, 2 * SECOND, 10 * MIB);
    assert_true(progress.rate < 1.0);
    progress_update(&progress, 3 * SECOND, 15 * MIB);
    assert_true(progress.rate > 4.9 * MIB && progress.rate < 5.1 * MIB);
}

static void
test_lines(void **state)
{
    (void)state;
    static const struct {
        double rate;
        struct progress_view view;
        const char *line;
    } cases[] = {
        {10.0 * MIB,
         {.text = "burning disc 1 of 6", .done = 100 * MIB, .total = 400 * MIB, .width = 200},
         " 25% [#####               ] 100.0 MiB of 400.0 MiB, 10.0 MiB/s, 30s to go: burning disc "
         "1 of 6"},
        {10.0 * MIB,
         {.text = "burning", .done = 100 * MIB, .total = 400 * MIB},
         " 25% 100.0 MiB of 400.0 MiB, 10.0 MiB/s, 30s to go: burning"},
        {0, {.text = "waiting for a drive"}, "waiting for a drive"},
        {0, {.text = "", .files_done = 3, .files_total = 9}, "3 of 9 files"},
        {0,
         {.text = "x", .done = 400, .total = 400, .width = 200},
         "100% [####################] 400 B of 400 B: x"},
        {0, {.text = "burning", .done = 1, .total = 400, .width = 21}, "  0% [              "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct progress progress = {.rate = cases[i].rate};
        char line[PROGRESS_LINE_BYTES];
        progress_line(&progress, &cases[i].view, line);
        assert_string_equal(line, cases[i].line);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_steady_rate_is_told_exactly),
        cmocka_unit_test(test_a_change_of_rate_is_followed),
        cmocka_unit_test(test_nothing_is_told_before_it_is_known),
        cmocka_unit_test(test_going_back_begins_anew),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
