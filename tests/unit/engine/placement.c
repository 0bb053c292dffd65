/* SPDX-License-Identifier: Apache-2.0 */
/* No library gets more discs of a set than the set can lose, as long as another has blanks; within
 * that all drives have the same to do. */
#include "placement.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Where the discs of a set of `count` go. */
static void
burn(struct placement_library *libraries, size_t library_count, unsigned count, unsigned parity)
{
    for (unsigned i = 0; i < count; i++) {
        size_t chosen = placement_choose(libraries, library_count, parity);
        assert_int_not_equal(chosen, PLACEMENT_NONE);
        libraries[chosen].held++;
        libraries[chosen].blanks--;
    }
}

static void
test_spread(void **state)
{
    (void)state;
    struct placement_library three[] = {{90, 0, 2}, {100, 0, 2}, {80, 0, 2}};
    burn(three, 3, 6, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(three[i].held, 2);
}

/* 4+2 over a library with one drive and one with three: 2 at most in each as long as that is
 * possible, and then by drives. */
static void
test_safety_before_speed(void **state)
{
    (void)state;
    struct placement_library two[] = {{100, 0, 1}, {100, 0, 3}};
    burn(two, 2, 4, 2);
    assert_int_equal(two[0].held, 2);
    assert_int_equal(two[1].held, 2);
    burn(two, 2, 2, 2);
    assert_int_equal(two[1].held, 4);
}

static void
test_by_drives(void **state)
{
    (void)state;
    struct placement_library two[] = {{100, 0, 1}, {100, 0, 3}};
    burn(two, 2, 8, 0);
    assert_int_equal(two[0].held, 2);
    assert_int_equal(two[1].held, 6);
}

static void
test_where_blanks_are(void **state)
{
    (void)state;
    struct placement_library some[] = {{0, 0, 4}, {1, 3, 1}, {5, 0, 0}};
    assert_int_equal(placement_choose(some, 3, 2), 2); /* safe, though its drives are out */
    assert_int_equal(placement_choose(some, 3, 4), 1);
    some[1].blanks = some[2].blanks = 0;
    assert_int_equal(placement_choose(some, 3, 2), PLACEMENT_NONE);
    assert_int_equal(placement_choose(some, 0, 2), PLACEMENT_NONE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_safety_before_speed),
        cmocka_unit_test(test_by_drives),
        cmocka_unit_test(test_where_blanks_are),
    };
    return cmocka_run_group_tests_name("unit engine placement", tests, NULL, NULL);
}
