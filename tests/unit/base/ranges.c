/* SPDX-License-Identifier: Apache-2.0 */
/* What a range map says is there is just what was added, in whatever order it came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <varve/random.h>
#include <varve/ranges.h>

#include <cmocka.h>

enum { SIZE = 300 };

static void
expect_as(const struct varve_ranges *ranges, const bool *there)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < SIZE; i++)
        bytes += there[i];
    assert_true(ranges->bytes == bytes);
    for (size_t i = 1; i < ranges->count; i++)
        assert_true(ranges->list[i - 1].end < ranges->list[i].start);
    for (unsigned start = 0; start < SIZE; start += 7) {
        for (unsigned end = start; end <= SIZE; end += 11) {
            unsigned first = start;
            while (first < end && there[first])
                first++;
            unsigned last = first;
            while (last < end && !there[last])
                last++;
            struct varve_range gap;
            bool found = varve_ranges_gap(ranges, start, end, &gap);
            assert_true(found == (first < end));
            assert_true(varve_ranges_cover(ranges, start, end) == !found);
            if (found) {
                assert_true(gap.start == first);
                assert_true(gap.end == last);
            }
        }
    }
}

static void
test_against_a_map_of_bytes(void **state)
{
    (void)state;
    struct varve_random_seeded random;
    struct varve_error err = {0};
    for (unsigned seed = 1; seed <= 40; seed++) {
        struct varve_ranges ranges = {0};
        bool there[SIZE] = {0};
        varve_random_seeded_init(&random, seed);
        for (unsigned round = 0; round < 40; round++) {
            uint16_t dice[2];
            random.random.fill(&random.random, dice, sizeof dice);
            unsigned start = dice[0] % SIZE;
            unsigned end = start + dice[1] % 12;
            end = end > SIZE ? SIZE : end;
            assert_true(varve_ranges_add(&ranges, start, end, &err));
            for (unsigned i = start; i < end; i++)
                there[i] = true;
            expect_as(&ranges, there);
        }
        varve_ranges_done(&ranges);
    }
}

static void
test_edges(void **state)
{
    (void)state;
    struct varve_ranges ranges = {0};
    struct varve_range gap;
    struct varve_error err = {0};
    assert_true(varve_ranges_cover(&ranges, 5, 5));
    assert_true(varve_ranges_gap(&ranges, 5, UINT64_MAX, &gap));
    assert_true(gap.start == 5 && gap.end == UINT64_MAX);
    assert_true(varve_ranges_add(&ranges, 10, 20, &err));
    assert_true(varve_ranges_add(&ranges, 30, 40, &err));
    assert_int_equal(ranges.count, 2);
    assert_true(varve_ranges_add(&ranges, 20, 30, &err)); /* touches both */
    assert_int_equal(ranges.count, 1);
    assert_false(varve_ranges_gap(&ranges, 10, 40, &gap));
    assert_true(varve_ranges_gap(&ranges, 12, 41, &gap));
    assert_true(gap.start == 40 && gap.end == 41);
    varve_ranges_done(&ranges);
}

static void
test_too_many_are_refused(void **state)
{
    (void)state;
    struct varve_ranges ranges = {0};
    struct varve_error err = {0};
    for (uint64_t i = 0; i < VARVE_RANGES_MAX; i++)
        assert_true(varve_ranges_add(&ranges, 2 * i, 2 * i + 1, &err));
    assert_false(varve_ranges_add(&ranges, UINT64_C(1) << 40, UINT64_MAX, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NO_SPACE);
    assert_true(ranges.bytes == VARVE_RANGES_MAX);
    assert_true(varve_ranges_add(&ranges, 1, 2, &err)); /* closes a gap */
    assert_int_equal(ranges.count, VARVE_RANGES_MAX - 1);
    varve_ranges_done(&ranges);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_a_map_of_bytes),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_too_many_are_refused),
    };
    return cmocka_run_group_tests_name("base ranges", tests, NULL, NULL);
}
