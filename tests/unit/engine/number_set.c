/* SPDX-License-Identifier: Apache-2.0 */
/* A number set has exactly the numbers that were put in, in whatever order and however dense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "number_set.h"

static struct varve_error err;

static void
test_edges(void **state)
{
    static const uint64_t numbers[] = {
        0, 1, 63, 64, 65535, 65536, 65537, UINT64_C(1) << 40, UINT64_MAX, UINT64_MAX - 1};
    struct number_set set = {0};
    (void)state;
    assert_false(number_set_has(&set, 0));
    for (size_t i = sizeof numbers / sizeof numbers[0]; i-- > 0;) {
        assert_false(number_set_has(&set, numbers[i]));
        assert_true(number_set_add(&set, numbers[i], &err));
        assert_true(number_set_add(&set, numbers[i], &err)); /* twice is once */
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_true(number_set_has(&set, numbers[i]));
    assert_false(number_set_has(&set, 2));
    assert_false(number_set_has(&set, 65534));
    assert_false(number_set_has(&set, UINT64_C(1) << 41));
    number_set_done(&set);
    assert_false(number_set_has(&set, 1));
    number_set_done(NULL);
}

/* Against one byte for each number: sparse, dense, and what lies between, in a shuffled order. */
static void
test_random(void **state)
{
    enum { NUMBERS = 400000 };
    uint8_t *model = calloc(NUMBERS, 1);
    uint64_t seed = 7;
    (void)state;
    assert_non_null(model);
    for (unsigned density = 1; density <= 1000000; density *= 10) {
        struct number_set set = {0};
        for (unsigned i = 0; i < density; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            uint64_t number = (seed >> 33) % NUMBERS;
            model[number] = 1;
            assert_true(number_set_add(&set, number, &err));
        }
        for (uint64_t number = 0; number < NUMBERS; number++) {
            if (number_set_has(&set, number) != (model[number] != 0))
                fail_msg("%u put in: number %lu", density, (unsigned long)number);
            model[number] = 0;
        }
        number_set_done(&set);
    }
    free(model);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_edges), cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
