/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of what people and labels do to the discs in a changer (scsi reference, section 6; a test
 * is named by its number): no disc is lost, taken for another one or written by mistake, and the
 * operator reads which library, element and disc it is about and what to do. */
#include "faults.h"

#include <stdio.h>
#include <string.h>

#define MOVE 0xa5
#define EXCHANGE 0xa6

/* --- 5: swapped by hand --- */

static void
fault_05_swapped_discs(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    unsigned count;
    test_script(bench, "now swap 1024 1025");
    test_refresh(bench);
    test_told(bench,
              WORDS("library 'lib': element 1024 holds disc 'VRV00002' instead of 'VRV00001'",
                    "never written", "varve library accept 1024"));
    test_told(bench, WORDS("element 1025 holds disc 'VRV00001' instead of 'VRV00002'"));
    assert_int_equal(test_flags(bench, 1024), VARVE_ELEMENT_QUARANTINED);
    /* It stays with the disc, wherever that goes, and over a restart. */
    test_load(bench, "VRV00001", 0);
    assert_int_equal(test_flags(bench, 256), VARVE_ELEMENT_QUARANTINED);
    test_restart(bench);
    assert_int_equal(test_flags(bench, 256), VARVE_ELEMENT_QUARANTINED);
    test_unload(bench, 0);
    assert_int_equal(test_flags(bench, 1025), VARVE_ELEMENT_QUARANTINED);
    test_told_nothing(bench); /* once is enough */
    EXPECT_OK(varve_library_accept(bench->library, 1025, &count, &err), err);
    assert_int_equal(count, 1);
    assert_int_equal(test_flags(bench, 1025), 0);
    test_refresh(bench);
    assert_int_equal(test_flags(bench, 1025), 0);
    assert_false(varve_library_accept(bench->library, 1025, &count, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
    test_nothing_lost(bench, NULL);
}

static void
fault_05_put_back(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now swap 1024 1025");
    test_refresh(bench);
    test_forget_events(bench);
    test_script(bench, "now swap 1024 1025");
    test_refresh(bench);
    test_told(bench, WORDS("disc 'VRV00001' is back in element 1024"));
    assert_int_equal(test_flags(bench, 1024), 0);
    assert_int_equal(test_flags(bench, 1025), 0);
    test_nothing_lost(bench, NULL);
}

/* A move that a crash cut off is no hand. */
static void
fault_05_crash_is_no_swap(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    test_script(bench, "on changer move after: dead");
    assert_false(varve_library_load(bench->library, &one, 0, &err));
    test_forget_events(bench);
    test_restart(bench);
    test_told_nothing(bench);
    assert_int_equal(test_flags(bench, 256), 0);
    assert_string_equal(test_element(bench, 256).barcode.text, "VRV00001");
    test_unload(bench, 0);
    assert_string_equal(test_element(bench, 1024).barcode.text, "VRV00001");
}

/* Nor is an exchange, before or after it was carried out; nor does a try of it forget a quarantine.
 */
static void
fault_05_crash_in_an_exchange(void **state)
{
    struct test_bench *bench = *state;
    static const char *const scripts[] = {"on changer exchange: dead",
                                          "on changer exchange after: dead"};
    for (size_t i = 0; i < 2; i++) {
        struct varve_error err = {0};
        struct varve_barcode two = test_barcode("VRV00002");
        test_load(bench, "VRV00001", 0);
        test_script(bench, scripts[i]);
        assert_false(varve_library_load(bench->library, &two, 0, &err));
        test_forget_events(bench);
        test_restart(bench);
        test_told_nothing(bench);
        assert_int_equal(test_flags(bench, 256), 0);
        assert_string_equal(test_element(bench, 256).barcode.text,
                            i == 0 ? "VRV00001" : "VRV00002");
        test_unload(bench, 0);
        assert_string_equal(test_element(bench, 1024).barcode.text, "VRV00001");
        assert_string_equal(test_element(bench, 1025).barcode.text, "VRV00002");
    }
}

/* --- 6: no label --- */

static void
fault_06_unreadable_label(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode three = test_barcode("VRV00003");
    struct varve_barcode four = test_barcode("VRV00004");
    test_script(bench, "now label VRV00003 none");
    test_refresh(bench);
    struct varve_element at = test_element(bench, 1026);
    assert_int_equal(at.flags, VARVE_ELEMENT_NAMED | VARVE_ELEMENT_UNKNOWN);
    assert_string_equal(at.barcode.text, "VRV00003"); /* until somebody looked */
    assert_true(varve_virtual_script(bench->folder, "now take 1026", &err));
    test_refresh(bench);
    test_script(bench, "now put VRV00003 1026, label VRV00003 none");
    test_refresh(bench);
    at = test_element(bench, 1026); /* nothing is known of this one */
    assert_int_equal(at.flags, VARVE_ELEMENT_NAMED | VARVE_ELEMENT_UNKNOWN);
    assert_int_equal(at.barcode.text[0], 'N');
    test_told(bench, WORDS("library 'lib': the disc in element 1026 has no readable bar code",
                           at.barcode.text, "give it a label"));
    /* It is loaded by that name and looked at; what it says of itself is its name from then on. */
    test_load(bench, at.barcode.text, 0);
    assert_false(varve_library_name(bench->library, &at.barcode, &four, &err));
    test_expect_words(err.text, WORDS("element 256", "'VRV00004'", "element 1027"));
    EXPECT_OK(varve_library_name(bench->library, &at.barcode, &three, &err), err);
    test_unload(bench, 0);
    assert_int_equal(test_flags(bench, 1026), VARVE_ELEMENT_NAMED);
    test_restart(bench);
    test_load(bench, "VRV00003", 1);
    test_unload(bench, 1);
    /* Somebody was at the slots: it may be another disc now, so it is looked at again. */
    test_script(bench, "now attention changer 28/00");
    test_refresh(bench);
    assert_int_equal(test_flags(bench, 1026), VARVE_ELEMENT_NAMED | VARVE_ELEMENT_UNKNOWN);
    assert_string_equal(test_element(bench, 1026).barcode.text, "VRV00003");
    test_script(bench, "now label VRV00003 VRV00003");
    test_refresh(bench);
    assert_int_equal(test_flags(bench, 1026), 0);
    test_nothing_lost(bench, NULL);
}

/* --- 7: two of the same --- */

/* The disc whose place it has is elsewhere: then it is none that was here. */
static void
fault_06_stranger_without_label(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now swap 1026 1027, label VRV00004 none");
    test_refresh(bench);
    struct varve_element at = test_element(bench, 1026);
    assert_int_equal(at.barcode.text[0], 'N');
    assert_int_equal(at.flags, VARVE_ELEMENT_NAMED | VARVE_ELEMENT_UNKNOWN);
    assert_string_equal(test_element(bench, 1027).barcode.text, "VRV00003");
    assert_int_equal(test_flags(bench, 1027), VARVE_ELEMENT_QUARANTINED);
    test_load(bench, at.barcode.text, 0);
    test_script(bench, "now label VRV00004 VRV00004");
    test_nothing_lost(bench, NULL);
}

static void
fault_07_duplicate_label(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now label VRV00002 VRV00001");
    test_refresh(bench);
    test_told(bench, WORDS("library 'lib': two discs have the bar code 'VRV00001'", "1024", "1025",
                           "take one of them out and relabel it"));
    assert_true(test_flags(bench, 1024) & VARVE_ELEMENT_DUPLICATE);
    assert_true(test_flags(bench, 1025) & VARVE_ELEMENT_DUPLICATE);
    unsigned moves = bench->watch.of[MOVE];
    test_refused(bench, "VRV00001", VARVE_ERROR_OFFLINE,
                 WORDS("library 'lib'", "'VRV00001'", "1024", "1025", "relabel"));
    assert_int_equal(bench->watch.of[MOVE], moves);
    test_forget_events(bench);
    test_script(bench, "now label VRV00002 VRV00002");
    test_refresh(bench);
    assert_false(test_flags(bench, 1024) & VARVE_ELEMENT_DUPLICATE);
    test_load(bench, "VRV00001", 0);
    test_nothing_lost(bench, NULL);
}

/* --- 14: forgotten homes --- */

static void
fault_14_sources_lost(void **state)
{
    struct test_bench *bench = *state;
    test_load(bench, "VRV00003", 0);
    test_script(bench, "now power changer, attention changer 28/00\nquirk no-source");
    test_refresh(bench);
    test_told(bench, WORDS("library 'lib'", "disc 'VRV00003'", "element 256", "element 1026"));
    test_unload(bench, 0);
    assert_int_equal(test_where(bench->library, "VRV00003"), 1026);
    test_load(bench, "VRV00004", 1);
    test_bench_close(bench);
    test_journal_forget(&bench->journal); /* not even varve knows: any free slot will do */
    test_bench_open(bench);
    test_script(bench, "quirk no-source");
    test_unload(bench, 1);
    assert_int_equal(test_where(bench->library, "VRV00004"), 1027);
    test_nothing_lost(bench, NULL);
}

static void
fault_14_homes_over_a_restart(void **state)
{
    struct test_bench *bench = *state;
    test_load(bench, "VRV00004", 1);
    test_load(bench, "VRV00001", 0);
    test_script(bench, "now power changer");
    test_restart(bench);
    test_unload(bench, 1);
    assert_int_equal(test_where(bench->library, "VRV00004"), 1027);
    test_unload(bench, 0);
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
}

/* --- 15: magazines --- */

static void
magazine_goes_and_comes(struct test_bench *bench)
{
    struct varve_error err = {0};
    test_script(bench, "now magazine-out 1");
    test_refused(bench, "VRV00005", VARVE_ERROR_OFFLINE,
                 WORDS("disc 'VRV00005' is in element 1028 of library 'lib'",
                       "put the magazine with", "1028 back"));
    test_told(bench, WORDS("library 'lib': elements 1027 to 1029 are out of use", "3 discs",
                           "put the magazine back"));
    assert_int_equal(test_flags(bench, 1028), VARVE_ELEMENT_ABSENT);
    assert_string_equal(test_element(bench, 1028).barcode.text, "VRV00005");
    assert_false(test_element(bench, 1028).full);
    test_load(bench, "VRV00001", 0); /* the rest works on */
    test_restart(bench);             /* and it is known over a restart what is in it */
    assert_string_equal(test_element(bench, 1028).barcode.text, "VRV00005");
    test_unload(bench, 0);
    assert_string_equal(test_element(bench, 1024).barcode.text, "VRV00001");
    test_forget_events(bench);
    test_script(bench, "now magazine-in 1");
    struct varve_barcode five = test_barcode("VRV00005");
    EXPECT_OK(varve_library_load(bench->library, &five, 0, &err), err);
    test_told(bench, WORDS("library 'lib': elements 1027 to 1029 are in use again"));
    test_unload(bench, 0);
    test_nothing_lost(bench, NULL);
}

static void
fault_15_magazine_removed(void **state)
{
    magazine_goes_and_comes(*state);
}

static void
fault_15_count_shrinks(void **state)
{
    struct test_bench *bench = *state;
    FILE *file;
    char path[512];
    (void)snprintf(path, sizeof path, "%s/faults.txt", bench->dir);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("quirk magazine-shrink\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    test_restart(bench);
    magazine_goes_and_comes(bench);
}

static void
fault_15_slot_out_of_use(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now except 1026 83/02");
    test_refresh(bench);
    test_refused(bench, "VRV00003", VARVE_ERROR_OFFLINE, WORDS("element 1026 of library 'lib'"));
    test_script(bench, "now fitted 1026");
    test_refresh(bench);
    test_load(bench, "VRV00003", 0);
    test_nothing_lost(bench, NULL);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, test_bench_setup, test_bench_teardown)
#define MAGAZINES(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, test_bench_setup_magazines, test_bench_teardown)
    const struct CMUnitTest tests[] = {
        CASE(fault_05_swapped_discs),        CASE(fault_05_put_back),
        CASE(fault_05_crash_is_no_swap),     CASE(fault_06_unreadable_label),
        CASE(fault_05_crash_in_an_exchange), CASE(fault_06_stranger_without_label),
        CASE(fault_07_duplicate_label),      CASE(fault_14_sources_lost),
        CASE(fault_14_homes_over_a_restart), MAGAZINES(fault_15_magazine_removed),
        MAGAZINES(fault_15_count_shrinks),   MAGAZINES(fault_15_slot_out_of_use),
    };
    return cmocka_run_group_tests_name("faults of discs in the changer", tests, NULL, NULL);
}
