/* SPDX-License-Identifier: Apache-2.0 */
/* A person is sent along the shelves as people number them, on from where the last disc came, and
 * labels of new discs follow the highest that is in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "manual.h"

static void
test_order_of_shelves(void **state)
{
    (void)state;
    assert_true(walk_compare("shelf A / box 2", "X9", "shelf A / box 10", "X1") < 0);
    assert_true(walk_compare("shelf A / box 10", "X1", "shelf B / box 1", "X1") < 0);
    assert_true(walk_compare("shelf A", "X00009", "shelf A", "X00010") < 0);
    assert_true(walk_compare("", "X2", "shelf A", "X1") < 0);
    assert_int_equal(walk_compare("a", "b", "a", "b"), 0);
}

static struct schedule_task
make_task(enum task_class class, const char *disc, int64_t since_ns)
{
    struct schedule_task task = {.class = class, .since_ns = since_ns, .crowd = 3};
    assert_true(varve_barcode_make(disc, &task.disc));
    return task;
}

/* What waits gets its turn by the way, and nobody's class waits shorter for it. */
static void
test_walk(void **state)
{
    (void)state;
    struct varve_engine *engine = calloc(1, sizeof *engine);
    struct schedule_task planning[] = {
        make_task(TASK_BURN, "C", 100),
        make_task(TASK_VERIFY, "A", 5),
        make_task(TASK_BURN, "B", 300),
        make_task(TASK_BURN, "D", 200),
        {.class = TASK_BURN,
         .since_ns = 1,
         .forced = true,
         .crowd = 7}, /* a drive is wanted, no disc */
    };
    struct task tasks[] = {{.shelf = "box 10"},
                           {.shelf = "box 1"},
                           {.shelf = "box 9"},
                           {.shelf = "box 2"},
                           {.shelf = ""}};
    struct task *planned[] = {&tasks[0], &tasks[1], &tasks[2], &tasks[3], &tasks[4]};
    assert_non_null(engine);
    engine->planning = planning;
    engine->planning_tasks = planned;
    (void)snprintf(engine->libraries[0].walk, sizeof engine->libraries[0].walk, "box 9");
    walk_plan(engine, 0, 5);
    assert_int_equal(planning[2].since_ns, 100); /* box 9 is here */
    assert_int_equal(planning[0].since_ns, 101); /* box 10 */
    assert_int_equal(planning[3].since_ns, 102); /* box 2: round to the beginning */
    assert_int_equal(planning[1].since_ns, 5);   /* another class */
    assert_int_equal(planning[4].since_ns, 1);   /* untouched */
    assert_int_equal(planning[0].crowd, 0);
    assert_int_equal(planning[4].crowd, 7);
    free(engine);
}

static void
test_labels(void **state)
{
    (void)state;
    struct varve_barcode label;
    struct varve_error err = {0};
    assert_true(label_make("D-", 12, &label, &err));
    assert_string_equal(label.text, "D-00012");
    assert_true(label_make("D-", 123456, &label, &err));
    assert_string_equal(label.text, "D-123456");
    assert_int_equal(label_number("D-", "D-00012"), 12);
    assert_int_equal(label_number("D-", "D-123456"), 123456);
    assert_int_equal(label_number("D-", "D-12x"), 0);
    assert_int_equal(label_number("D-", "D-"), 0);
    assert_int_equal(label_number("D-", "E-00012"), 0);
    assert_int_equal(label_number("D-", "D-9999999999999999999"), 0); /* not one of ours */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_shelves),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
