/* SPDX-License-Identifier: Apache-2.0 */
/* Each fault of a changer that the field knows (scsi reference, section 6; a test is named by its
 * number) ends in the right action: no disc is lost or moved on a guess, and the operator reads
 * which library, element and disc it is about and what to do. */
#include "faults.h"

#include <stdio.h>
#include <string.h>

#define MOVE 0xa5
#define EXCHANGE 0xa6

/* --- 1: power-on attentions --- */

static void
fault_01_attention_storm(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "on changer any nth 1 times 9: sense 6/29/00\n"
                       "on drive any any nth 1 times 9: sense 6/29/00\n");
    test_load(bench, "VRV00001", 0); /* no job fails */
    test_unload(bench, 0);
    /* A reset forgets PREVENT: it is there again, so the button does not open the door. */
    test_script(bench, "now power changer");
    test_load(bench, "VRV00001", 0);
    struct varve_error err = {0};
    assert_false(varve_virtual_script(bench->folder, "now door-open", &err));
    test_expect_words(err.text, WORDS("locked by PREVENT"));
    test_nothing_lost(bench, NULL);
}

/* --- 2: counting after power-on --- */

static void
fault_02_counting(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now inventory 800");
    test_load(bench, "VRV00001", 0); /* waited for, more than ten minutes */
    test_told(bench,
              WORDS("library 'lib' moves no disc now: counting", "(2/04/01)", "do not reset"));
    test_told(bench, WORDS("library 'lib' is ready again"));
    unsigned moves = bench->watch.of[MOVE];
    test_script(bench, "now inventory 1000000");
    int64_t begun = test_now(bench);
    test_refused(
        bench, "VRV00002", VARVE_ERROR_NOT_READY,
        WORDS("load disc 'VRV00002'", "library 'lib'", "(2/04/01)", "wait, do not reset it"));
    assert_true(test_now(bench) - begun >= 3600 * VARVE_NS_PER_SECOND);
    assert_int_equal(test_condition(bench), VARVE_LIBRARY_COUNTING);
    assert_int_equal(bench->watch.of[MOVE], moves);
    assert_int_equal(bench->watch.of[0x07], 0);
    test_script(bench, "now ready");
    test_nothing_lost(bench, NULL);
}

/* --- 3: asked to count --- */

static void
fault_03_initialize(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now needs-init");
    test_load(bench, "VRV00001", 0);
    assert_int_equal(bench->watch.of[0x07], 1);
    test_forget_events(bench);
    test_script(bench, "on changer ready always: sense 2/04/02");
    test_refused(bench, "VRV00002", VARVE_ERROR_HARDWARE,
                 WORDS("library 'lib'", "counted again", "read the panel of library 'lib'"));
    assert_int_equal(bench->watch.of[0x07], 1); /* not over and over */
    varve_virtual_calm(bench->folder);
    test_nothing_lost(bench, NULL);
}

/* --- 4: door --- */

static void
fault_04_door_opened_in_a_job(void **state)
{
    struct test_bench *bench = *state;
    test_load(bench, "VRV00001", 0);
    test_script(bench, "now door-force\n"
                       "on changer ready nth 100: swap 1025 1026\n"
                       "on changer ready nth 101: take 1027\n"
                       "on changer ready nth 200: door-close");
    unsigned moves = bench->watch.of[MOVE] + bench->watch.of[EXCHANGE];
    test_load(bench, "VRV00002", 1); /* waits until the door is closed, then goes on by itself */
    assert_int_equal(bench->watch.of[MOVE] + bench->watch.of[EXCHANGE], moves + 1);
    test_told(bench, WORDS("library 'lib' moves no disc now: door open", "close the door"));
    test_refused(bench, "VRV00004", VARVE_ERROR_OFFLINE,
                 WORDS("disc 'VRV00004' is not in library 'lib'", "insert disc 'VRV00004'"));
    test_told(bench,
              WORDS("library 'lib': disc 'VRV00004' is gone from element 1027", "put it back"));
    test_nothing_lost(bench, "VRV00004");
}

static void
fault_04_door_left_open(void **state)
{
    static const char *const quirks[] = {"now door-force", "quirk door-manual\nnow door-force"};
    struct test_bench *bench = *state;
    for (size_t i = 0; i < 2; i++) {
        unsigned moves = bench->watch.of[MOVE];
        test_script(bench, quirks[i]);
        test_refused(bench, "VRV00002", VARVE_ERROR_NOT_READY,
                     WORDS("load disc 'VRV00002'", "library 'lib'", "hint: "));
        assert_int_equal(bench->watch.of[MOVE], moves); /* frozen */
        test_script(bench, "now door-close");
        test_load(bench, "VRV00002", 0);
        test_unload(bench, 0);
    }
    test_nothing_lost(bench, NULL);
}

/* --- 8, 9: the unit's memory is wrong --- */

static void
fault_08_full_slot_is_empty(void **state)
{
    struct test_bench *bench = *state;
    test_load(bench, "VRV00002", 1);
    test_script(bench, "now stale 1024, take 1024, stale 1025, put VRV00001 1025");
    test_load(bench, "VRV00001", 0); /* found where it is */
    test_unload(bench, 0);
    test_forget_events(bench);
    uint16_t home = (uint16_t)test_where(bench->library, "VRV00001");
    char script[64];
    (void)snprintf(script, sizeof script, "now stale %u, take %u", home, home);
    test_script(bench, script);
    char words[64];
    (void)snprintf(words, sizeof words, "is not in element %u of library 'lib'", home);
    test_refused(
        bench, "VRV00001", VARVE_ERROR_OFFLINE,
        WORDS("(5/3b/0e)", "disc 'VRV00001'", words, "look for it", "varve library import"));
    test_nothing_lost(bench, "VRV00001");
}

static void
fault_08_unit_cannot_look(void **state)
{
    struct test_bench *bench = *state;
    test_load(bench, "VRV00002", 1);
    test_script(bench, "quirk no-init-range\nnow stale 1024, take 1024, put VRV00001 1025");
    test_load(bench, "VRV00001", 0);
    test_nothing_lost(bench, NULL);
}

static void
fault_09_empty_slot_is_full(void **state)
{
    struct test_bench *bench = *state;
    test_load(bench, "VRV00001", 0);
    test_script(bench, "now stale 1024, take 1029, put VRV00006 1024");
    test_unload(bench, 0); /* to another slot */
    test_told(bench, WORDS("library 'lib': slot 1024", "disc 'VRV00001' goes to another slot",
                           "see what lies in slot 1024"));
    assert_int_equal(test_where(bench->library, "VRV00001"), 1029);
    assert_int_equal(test_where(bench->library, "VRV00006"), 1024);
    test_nothing_lost(bench, NULL);
}

/* --- 10: no answer --- */

static void
fault_10_move_times_out(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode two = test_barcode("VRV00002");
    /* Carried out, in its own time. */
    test_script(bench, "on changer move: delay 700s");
    test_load(bench, "VRV00001", 0);
    assert_int_equal(bench->watch.of[MOVE], 1);
    /* Not carried out: never repeated, but told. */
    test_script(bench, "on changer move: drop\non changer ready nth 2 times 20: drop");
    assert_false(varve_library_load(bench->library, &two, 1, &err));
    assert_int_equal(bench->watch.of[MOVE], 2);
    test_expect_words(err.text, WORDS("library 'lib'", "disc 'VRV00002'", "1025", "257"));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY);
    test_nothing_lost(bench, NULL);
    assert_int_equal(test_where(bench->library, "VRV00002"), 1025);
    test_load(bench, "VRV00002", 1);
}

static void
fault_10_unit_stays_silent(void **state)
{
    struct test_bench *bench = *state;
    int64_t begun = test_now(bench);
    test_script(bench, "on changer move after: drop\non changer ready nth 2 times 5000: drop");
    test_refused(bench, "VRV00001", VARVE_ERROR_NOT_READY,
                 WORDS("library 'lib'", "disc 'VRV00001' is in element 1024 or 256"));
    assert_true(test_now(bench) - begun >= 600 * VARVE_NS_PER_SECOND);
    assert_int_equal(bench->watch.of[MOVE], 1);
    assert_int_equal(bench->journal.intents, bench->journal.done + 1); /* still open */
    varve_virtual_calm(bench->folder);
    test_restart(bench); /* the inventory tells (INV-7) */
    assert_int_equal(test_where(bench->library, "VRV00001"), 256);
    test_unload(bench, 0);
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
}

/* --- 11: a disc in the gripper --- */

static void
fault_11_disc_in_the_gripper(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "on changer move nth 1: stick");
    test_refused(bench, "VRV00001", VARVE_ERROR_HARDWARE,
                 WORDS("library 'lib'", "disc 'VRV00001' from element 1024 to 256"));
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024); /* put back at once */
    test_nothing_lost(bench, NULL);
}

static void
fault_11_gripper_full_at_start(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now take 1024, put VRV00001 1"); /* into the hand */
    test_restart(bench);
    test_told(bench, WORDS("disc 'VRV00001' hung in the gripper and was put into slot 1024"));
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
    test_nothing_lost(bench, NULL);
}

static void
fault_11_no_slot_for_it(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_element *elements;
    size_t count;
    test_load(bench, "VRV00001", 0);
    EXPECT_OK(varve_virtual_add_blanks(bench->folder, 1, TEST_DISC_BYTES, &err), err);
    test_load(bench, "VRV00002", 1);
    EXPECT_OK(varve_virtual_add_blanks(bench->folder, 1, TEST_DISC_BYTES, &err), err);
    test_refresh(bench);
    test_script(bench, "now take 256, put VRV00001 1");
    assert_false(varve_library_inventory(bench->library, true, &elements, &count, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NO_SPACE);
    test_expect_words(err.text, WORDS("library 'lib'", "disc 'VRV00001' hangs in the gripper",
                                      "element 1", "take a disc out", "varve library resume lib"));
    test_script(bench, "now take 1029");
    test_nothing_lost(bench, "VRV00006");
}

/* --- 13: the mechanics --- */

static void
fault_13_positioning_errors(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    test_script(bench, "on changer move nth 1: sense 4/15/01");
    int64_t begun = test_now(bench);
    test_load(bench, "VRV00001", 0); /* one more try, ten seconds later */
    assert_true(test_now(bench) - begun >= 10 * VARVE_NS_PER_SECOND);
    assert_int_equal(bench->watch.of[MOVE], 2);
    test_told_nothing(bench);
    /* The second one within ten moves. */
    test_script(bench, "on changer move nth 1: sense 4/15/01");
    test_load(bench, "VRV00002", 1);
    assert_int_equal(test_condition(bench), VARVE_LIBRARY_MAINTENANCE);
    test_told(bench, WORDS("library 'lib': the gripper missed its place twice",
                           "look at the mechanics", "varve library resume lib"));
    unsigned moves = bench->watch.of[MOVE];
    test_refused(bench, "VRV00003", VARVE_ERROR_HARDWARE,
                 WORDS("library 'lib' is in maintenance", "varve library resume lib"));
    assert_int_equal(bench->watch.of[MOVE], moves);
    EXPECT_OK(varve_library_resume(bench->library, &err), err);
    assert_int_equal(test_condition(bench), VARVE_LIBRARY_READY);
    test_load(bench, "VRV00003", 0);
    test_nothing_lost(bench, NULL);
}

static void
fault_13_far_apart(void **state)
{
    struct test_bench *bench = *state;
    for (unsigned round = 0; round < 3; round++) {
        test_script(bench, "on changer move nth 1: sense 4/15/01");
        for (unsigned i = 0; i < 5; i++) {
            test_load(bench, "VRV00001", 0);
            test_unload(bench, 0);
        }
    }
    assert_int_equal(test_condition(bench), VARVE_LIBRARY_READY);
    test_nothing_lost(bench, NULL);
}

/* --- 36: answers that cannot be believed --- */

static void
fault_36_garbled_now_and_then(void **state)
{
    static const char *const scripts[] = {
        "on changer status nth 1 times 3: garble 40",
        "on changer status nth 2: cut 90",
        "on changer status every 5: garble 60",
        "on changer status every 7: cut 30",
        "on changer status every 5: cut 8",
        "seed 7\non changer status chance 1/6: cut 100",
    };
    struct test_bench *bench = *state;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        test_script(bench, scripts[i]);
        test_refresh(bench);
        test_load(bench, "VRV00003", 0);
        test_load(bench, "VRV00004", 1);
        test_unload(bench, 0);
        test_unload(bench, 1);
        varve_virtual_calm(bench->folder);
        test_forget_events(bench);
        test_refresh(bench);
        test_told_nothing(bench); /* nothing that was not so was written down */
        for (uint16_t slot = 1024; slot < 1030; slot++)
            assert_int_equal(test_flags(bench, slot), 0);
        test_nothing_lost(bench, NULL);
    }
}

/* Lists are wrong in another way each time, single elements are not. */
static void
fault_36_elements_one_by_one(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "on changer status element 1024..1024 nth 1 times 14: garble 300");
    unsigned before = bench->watch.of[0xb8];
    test_refresh(bench);
    assert_true(bench->watch.of[0xb8] - before > 2 * 11); /* each of 11 elements twice */
    varve_virtual_calm(bench->folder);
    test_refresh(bench);
    assert_int_equal(test_flags(bench, 1024), 0);
    test_told_nothing(bench);
    test_load(bench, "VRV00003", 0);
    test_nothing_lost(bench, NULL);
}

/* One element that cannot be read at all is out of use, and what lies in it is not lost. */
static void
fault_36_one_unreadable_element(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "on changer status element 1024..1024 always: garble 300");
    test_refresh(bench);
    assert_int_equal(test_flags(bench, 1024), VARVE_ELEMENT_ABSENT);
    test_told(bench, WORDS("library 'lib': elements 1024 to 1024 are out of use", "1 disc"));
    test_refused(bench, "VRV00001", VARVE_ERROR_OFFLINE, WORDS("'VRV00001' is in element 1024"));
    test_load(bench, "VRV00002", 0);
    varve_virtual_calm(bench->folder);
    test_refresh(bench);
    assert_int_equal(test_flags(bench, 1024), 0);
    test_nothing_lost(bench, NULL);
}

static void
fault_36_never_the_same(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_element *elements;
    size_t count;
    test_script(bench, "on changer any every 2: sense 6/28/00");
    assert_false(varve_library_inventory(bench->library, true, &elements, &count, &err));
    test_expect_words(err.text,
                      WORDS("library 'lib'", "readings in a row differ", "another program"));
    unsigned moves = bench->watch.of[MOVE];
    test_refused(bench, "VRV00001", VARVE_ERROR_NOT_READY, WORDS("readings in a row differ"));
    assert_int_equal(bench->watch.of[MOVE], moves); /* no plan */
    varve_virtual_calm(bench->folder);
    test_load(bench, "VRV00001", 0);
    test_nothing_lost(bench, NULL);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, test_bench_setup, test_bench_teardown)
    const struct CMUnitTest tests[] = {
        CASE(fault_01_attention_storm),     CASE(fault_02_counting),
        CASE(fault_03_initialize),          CASE(fault_04_door_opened_in_a_job),
        CASE(fault_04_door_left_open),      CASE(fault_08_full_slot_is_empty),
        CASE(fault_08_unit_cannot_look),    CASE(fault_09_empty_slot_is_full),
        CASE(fault_10_move_times_out),      CASE(fault_10_unit_stays_silent),
        CASE(fault_11_disc_in_the_gripper), CASE(fault_11_gripper_full_at_start),
        CASE(fault_11_no_slot_for_it),      CASE(fault_13_positioning_errors),
        CASE(fault_13_far_apart),           CASE(fault_36_garbled_now_and_then),
        CASE(fault_36_elements_one_by_one), CASE(fault_36_one_unreadable_element),
        CASE(fault_36_never_the_same),
    };
    return cmocka_run_group_tests_name("faults of the changer", tests, NULL, NULL);
}
