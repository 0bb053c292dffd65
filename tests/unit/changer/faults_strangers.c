/* SPDX-License-Identifier: Apache-2.0 */
/* Fault 35: another program or host that moves discs behind our back is noticed, and no disc is
 * moved any more until somebody looked; people who go through the door are no such program. */
#include "faults.h"

#define MOVE 0xa5

static int
setup(void **state)
{
    struct test_bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    test_bench_start(bench);
    test_refresh(bench); /* whatever the first commands had to tell is heard */
    test_forget_events(bench);
    *state = bench;
    return 0;
}

static void
expect_stopped(struct test_bench *bench)
{
    struct varve_error err = {0};
    assert_int_equal(test_condition(bench), VARVE_LIBRARY_MAINTENANCE);
    test_told(bench, WORDS("library 'lib': ", "discs were", "although nobody opened it",
                           "another program or host", "no disc is moved any more",
                           "stop the other program", "varve library resume lib"));
    unsigned moves = bench->watch.of[MOVE];
    test_refused(bench, "VRV00001", VARVE_ERROR_HARDWARE,
                 WORDS("library 'lib' is in maintenance", "another program or host",
                       "stop the other program, then run 'varve library resume lib'"));
    assert_int_equal(bench->watch.of[MOVE], moves);
    EXPECT_OK(varve_library_resume(bench->library, &err), err);
    assert_int_equal(test_condition(bench), VARVE_LIBRARY_READY);
    test_load(bench, "VRV00002", 1); /* from where it is now */
}

/* By hand of the emulator: the changer gives no unit attention, as for a move of another host. */
static void
fault_35_seen_in_the_inventory(void **state)
{
    struct test_bench *bench = *state;
    test_load(bench, "VRV00001", 0);
    test_script(bench, "now take 1025, put VRV00002 1024");
    test_refresh(bench);
    test_told(bench, WORDS("library 'lib': disc 'VRV00002' was moved by somebody else from element "
                           "1025 to 1024"));
    expect_stopped(bench);
    test_nothing_lost(bench, NULL);
}

/* One disc that is not where it should be may be the unit's own error; a second one is not. */
static void
fault_35_met_by_the_arm(void **state)
{
    struct test_bench *bench = *state;
    test_load(bench, "VRV00003", 1);
    test_script(bench, "now take 1025, put VRV00002 1026");
    test_load(bench, "VRV00002", 0); /* found where it is */
    test_unload(bench, 0);
    assert_int_equal(test_condition(bench), VARVE_LIBRARY_READY);
    test_script(bench, "now take 1027, put VRV00004 1025");
    test_refused(bench, "VRV00004", VARVE_ERROR_HARDWARE, WORDS("library 'lib'"));
    expect_stopped(bench);
    test_nothing_lost(bench, NULL);
}

static void
fault_35_people_are_no_program(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    test_load(bench, "VRV00001", 0);
    test_script(bench, "now door-force, take 1025, put VRV00002 1024, door-close");
    test_refresh(bench);
    test_told(bench, WORDS("disc 'VRV00002' was moved by hand from element 1025 to 1024"));
    assert_int_equal(test_condition(bench), VARVE_LIBRARY_READY);
    /* Nor is one who told varve, with a door that tells nothing. */
    EXPECT_OK(varve_library_unlock(bench->library, &err), err);
    test_script(bench, "now take 1024, put VRV00002 1025");
    EXPECT_OK(varve_library_resume(bench->library, &err), err);
    assert_int_equal(test_condition(bench), VARVE_LIBRARY_READY);
    /* Nor is what happened while nobody was there to hear of it. */
    test_script(bench, "now take 1025, put VRV00002 1024");
    test_restart(bench);
    assert_int_equal(test_condition(bench), VARVE_LIBRARY_READY);
    test_load(bench, "VRV00002", 1);
    test_nothing_lost(bench, NULL);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, test_bench_teardown)
    const struct CMUnitTest tests[] = {
        CASE(fault_35_seen_in_the_inventory),
        CASE(fault_35_met_by_the_arm),
        CASE(fault_35_people_are_no_program),
    };
    return cmocka_run_group_tests_name("faults by other programs", tests, NULL, NULL);
}
