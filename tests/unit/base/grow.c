/* SPDX-License-Identifier: Apache-2.0 */
/* A list keeps its elements while it gets longer, and is as it was when it cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <varve/grow.h>

static void
test_elements_stay(void **state)
{
    (void)state;
    uint64_t *list = NULL;
    size_t capacity = 0;
    for (size_t count = 0; count < 1000; count++) {
        uint64_t *grown = varve_grow(list, &capacity, count, sizeof *list);
        assert_non_null(grown);
        assert_true(capacity > count);
        list = grown;
        list[count] = count;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(list[i], i);
    size_t before = capacity;
    assert_ptr_equal(varve_grow(list, &capacity, 1000, sizeof *list), list);
    assert_int_equal(capacity, before);
    assert_null(varve_grow(list, &capacity, capacity, SIZE_MAX / 2));
    assert_int_equal(capacity, before);
    assert_int_equal(list[999], 999);
    free(list);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_elements_stay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
