/* SPDX-License-Identifier: Apache-2.0 */
/* An estimate grows with every disc and byte that comes before; nobody is held up by one who asks
 * for more; heads are dropped only when there are too many. */
#include "eta.h"
#include "engine_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MB UINT64_C(1000000)

static void
test_eta(void **state)
{
    (void)state;
    /* 60 s a load, 18 MB/s. */
    const struct pace pace = {60e9, 0.018};
    static const struct {
        struct eta_input input;
        int64_t seconds;
    } cases[] = {
        {{.bytes = 0, .drives = 1}, 1},
        {{.bytes = 18 * MB, .drives = 1}, 1},
        {{.bytes = 180 * MB, .drives = 1}, 10},
        {{.bytes = 180 * MB, .loads = 1, .drives = 1}, 70},
        {{.bytes = 180 * MB, .loads = 1, .loads_before = 2, .drives = 1}, 190},
        {{.bytes = 180 * MB, .loads = 1, .loads_before = 2, .drives = 2}, 130},
        {{.bytes = 180 * MB, .bytes_before = 360 * MB, .drives = 2}, 20},
        {{.bytes = 180 * MB, .loads = 4, .drives = 0}, 250}, /* by way of the set */
        {{.bytes = UINT64_MAX, .drives = 1}, 1000000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct eta_input input = cases[i].input;
        input.pace = pace;
        int64_t got = eta_seconds(&input);
        assert_in_range(got, cases[i].seconds, cases[i].seconds + 1);
    }
    struct eta_input stuck = {.bytes = MB, .drives = 1, .pace = {0, 0}};
    assert_int_equal(eta_seconds(&stuck),
                     1000); /* a drive that gave nothing: 1 kB/s, not for ever */
}

static void
test_who_comes_first(void **state)
{
    (void)state;
    /* A minute a load; times in seconds. */
    enum { NEVER = -1 };
    static const struct {
        const char *why;
        struct {
            int64_t since, turn;
            bool reader, loaded, stay;
        } first, second;
    } cases[] = {
        {"who has waited longer", {1, NEVER, true, 0, 0}, {2, NEVER, true, 0, 0}},
        {"another user than the one who had a disc just now",
         {50, NEVER, true, 0, 0},
         {1, 60, true, 0, 0}},
        {"but not one who came later than that", {1, 60, true, 0, 0}, {61, NEVER, true, 0, 0}},
        {"a reader before a job", {1000, NEVER, true, 0, 0}, {1, NEVER, false, 0, 0}},
        {"a job that has waited for twenty loads",
         {1, NEVER, false, 0, 0},
         {1300, NEVER, true, 0, 0}},
        {"what is in the drive", {99, NEVER, false, 1, 1}, {1, NEVER, true, 0, 0}},
        {"until its turn is over", {99, NEVER, false, 0, 0}, {1, NEVER, true, 1, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rank_input inputs[2] = {
            {cases[i].first.since, cases[i].first.turn, cases[i].first.reader,
             cases[i].first.loaded, cases[i].first.stay, 60e9},
            {cases[i].second.since, cases[i].second.turn, cases[i].second.reader,
             cases[i].second.loaded, cases[i].second.stay, 60e9}};
        for (size_t k = 0; k < 2; k++) {
            inputs[k].since_ns *= 1000000000;
            inputs[k].turn_ns = inputs[k].turn_ns < 0 ? INT64_MIN : inputs[k].turn_ns * 1000000000;
        }
        if (recall_rank(&inputs[0]) >= recall_rank(&inputs[1]))
            fail_msg("not first: %s", cases[i].why);
    }
}

static void
test_when_nobody_wants_it(void **state)
{
    (void)state;
    const int64_t second = 1000000000;
    const uint64_t much = 1000 * MB;
    int64_t since = 0;
    assert_false(recall_is_abandoned(much, false, 100 * second, &since));
    assert_false(recall_is_abandoned(much, false, 109 * second, &since));
    assert_false(recall_is_abandoned(much, true, 110 * second, &since)); /* he came back */
    assert_false(recall_is_abandoned(much, false, 111 * second, &since));
    assert_false(recall_is_abandoned(much, false, 120 * second, &since));
    assert_true(recall_is_abandoned(much, false, 121 * second, &since));
    assert_false(recall_is_abandoned(100 * MB, false, 200 * second, &since)); /* soon done */
}

static void
test_heads_to_free(void **state)
{
    (void)state;
    assert_int_equal(heads_to_free(1000, 0, 0), 0);
    assert_int_equal(heads_to_free(1000, 1000, 0), 0);
    assert_int_equal(heads_to_free(1100, 1000, 0), 200); /* some more, not to come again at once */
    assert_int_equal(heads_to_free(1000, 0, 10), 101);
    assert_int_equal(heads_to_free(5, 0, 1), 1);
    assert_int_equal(heads_to_free(1100, 1000, 10), 200);
    assert_int_equal(heads_to_free(UINT64_MAX, 1, 0), UINT64_MAX - 1);
    assert_int_equal(heads_share_to_drop(90, 90), 0);
    assert_int_equal(heads_share_to_drop(91, 90), 1);
    assert_int_equal(heads_share_to_drop(95, 90), 1);
    assert_int_equal(heads_share_to_drop(96, 90), 10);
    assert_int_equal(heads_share_to_drop(100, 100), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eta),
        cmocka_unit_test(test_who_comes_first),
        cmocka_unit_test(test_when_nobody_wants_it),
        cmocka_unit_test(test_heads_to_free),
    };
    return cmocka_run_group_tests_name("engine eta", tests, NULL, NULL);
}
