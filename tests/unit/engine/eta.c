/* SPDX-License-Identifier: Apache-2.0 */
/* An estimate grows with every disc and byte that comes before, and heads are dropped only when
 * there are too many. */
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
test_heads_to_free(void **state)
{
    (void)state;
    assert_int_equal(heads_to_free(1000, 0, false), 0);
    assert_int_equal(heads_to_free(1000, 1000, false), 0);
    assert_int_equal(heads_to_free(1100, 1000, false),
                     200); /* some more, not to come again at once */
    assert_int_equal(heads_to_free(1000, 0, true), 101);
    assert_int_equal(heads_to_free(5, 0, true), 1);
    assert_int_equal(heads_to_free(1100, 1000, true), 200);
    assert_int_equal(heads_to_free(UINT64_MAX, 1, false), UINT64_MAX - 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eta),
        cmocka_unit_test(test_heads_to_free),
    };
    return cmocka_run_group_tests_name("engine eta", tests, NULL, NULL);
}
