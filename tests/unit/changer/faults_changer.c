/* SPDX-License-Identifier: Apache-2.0 */
/* Each fault of a changer that the field knows (scsi reference, section 6; a test is named by its
 * number) ends in the right action: no disc is lost or moved on a guess, and the operator reads
 * which library, element and disc it is about and what to do. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define MOVE 0xa5
#define EXCHANGE 0xa6

static int
setup(void **state)
{
    struct test_bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    test_bench_start(bench);
    *state = bench;
    return 0;
}

static int
setup_magazines(void **state)
{
    struct test_bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    test_bench_start_magazines(bench);
    *state = bench;
    return 0;
}

static int
teardown(void **state)
{
    struct test_bench *bench = *state;
    test_bench_done(bench);
    free(bench);
    return 0;
}

/* --- what is asked again and again --- */

static void
load(struct test_bench *bench, const char *disc, unsigned drive)
{
    struct varve_error err = {0};
    struct varve_barcode barcode = test_barcode(disc);
    EXPECT_OK(varve_library_load(bench->library, &barcode, drive, &err), err);
}

static void
unload(struct test_bench *bench, unsigned drive)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_library_unload(bench->library, drive, &err), err);
}

/* The text must have each of the words (up to a NULL). */
static void
expect_words(const char *text, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strstr(text, words[i]) == NULL)
            fail_msg("'%s' does not tell '%s'", text, words[i]);
    }
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
refused(struct test_bench *bench, const char *disc, enum varve_error_kind kind,
        const char *const *words)
{
    struct varve_error err = {0};
    struct varve_barcode barcode = test_barcode(disc);
    if (varve_library_load(bench->library, &barcode, 0, &err))
        fail_msg("disc '%s' was loaded", disc);
    expect_words(err.text, words);
    assert_int_equal(err.kind, kind);
}

/* One of the events since the last call has all these words. */
static void
told(struct test_bench *bench, const char *const *words)
{
    char event[VARVE_LIBRARY_EVENT_BYTES];
    char all[8000] = "";
    while (varve_library_event(bench->library, event)) {
        bool has = true;
        for (size_t i = 0; words[i] != NULL; i++)
            has = has && strstr(event, words[i]) != NULL;
        if (has)
            return;
        (void)snprintf(all + strlen(all), sizeof all - strlen(all), "\n%s", event);
    }
    fail_msg("nobody was told of '%s', but of:%s", words[0], all);
}

static void
told_nothing(struct test_bench *bench)
{
    char event[VARVE_LIBRARY_EVENT_BYTES];
    if (varve_library_event(bench->library, event))
        fail_msg("told: %s", event);
}

static void
forget_events(struct test_bench *bench)
{
    char event[VARVE_LIBRARY_EVENT_BYTES];
    while (varve_library_event(bench->library, event)) {
    }
}

static void
refresh(struct test_bench *bench)
{
    struct varve_error err = {0};
    struct varve_element *elements;
    size_t count;
    EXPECT_OK(varve_library_inventory(bench->library, true, &elements, &count, &err), err);
    free(elements);
}

static struct varve_element
element(struct test_bench *bench, uint16_t address)
{
    struct varve_error err = {0};
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t count;
    EXPECT_OK(varve_library_inventory(bench->library, false, &elements, &count, &err), err);
    for (size_t i = 0; i < count; i++) {
        if (elements[i].address == address)
            return elements[i];
    }
    fail_msg("no element %u", address);
    return (struct varve_element){0};
}

static unsigned
flags(struct test_bench *bench, uint16_t address)
{
    return element(bench, address).flags;
}

static enum varve_library_condition
condition(struct test_bench *bench)
{
    struct varve_library_state state;
    varve_library_state(bench->library, &state);
    return state.condition;
}

/* Each of the six discs but `without` is in one place by the hardware's own account, and no move is
 * open in the journal. */
static void
nothing_lost(struct test_bench *bench, const char *without)
{
    for (unsigned number = 1; number <= 6; number++) {
        char name[16];
        (void)snprintf(name, sizeof name, "VRV%05u", number);
        if (without != NULL && strcmp(name, without) == 0)
            continue;
        if (test_where(bench->library, name) == 0)
            fail_msg("disc '%s' is in no element", name);
    }
    assert_int_equal(bench->journal.intents, bench->journal.done);
}

static void
restart(struct test_bench *bench)
{
    test_bench_close(bench);
    test_bench_open(bench);
}

static int64_t
now(struct test_bench *bench)
{
    return varve_clock_monotonic(&bench->clock.clock);
}

/* --- 1: power-on attentions --- */

static void
fault_01_attention_storm(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "on changer any nth 1 times 9: sense 6/29/00\n"
                       "on drive any any nth 1 times 9: sense 6/29/00\n");
    load(bench, "VRV00001", 0); /* no job fails */
    unload(bench, 0);
    /* A reset forgets PREVENT: it is there again, so the button does not open the door. */
    test_script(bench, "now power changer");
    load(bench, "VRV00001", 0);
    struct varve_error err = {0};
    assert_false(varve_virtual_script(bench->folder, "now door-open", &err));
    expect_words(err.text, WORDS("locked by PREVENT"));
    nothing_lost(bench, NULL);
}

/* --- 2: counting after power-on --- */

static void
fault_02_counting(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now inventory 800");
    load(bench, "VRV00001", 0); /* waited for, more than ten minutes */
    told(bench, WORDS("library 'lib' moves no disc now: counting", "(2/04/01)", "do not reset"));
    told(bench, WORDS("library 'lib' is ready again"));
    unsigned moves = bench->watch.of[MOVE];
    test_script(bench, "now inventory 1000000");
    int64_t begun = now(bench);
    refused(bench, "VRV00002", VARVE_ERROR_NOT_READY,
            WORDS("load disc 'VRV00002'", "library 'lib'", "(2/04/01)", "wait, do not reset it"));
    assert_true(now(bench) - begun >= 3600 * VARVE_NS_PER_SECOND);
    assert_int_equal(condition(bench), VARVE_LIBRARY_COUNTING);
    assert_int_equal(bench->watch.of[MOVE], moves);
    assert_int_equal(bench->watch.of[0x07], 0);
    test_script(bench, "now ready");
    nothing_lost(bench, NULL);
}

/* --- 3: asked to count --- */

static void
fault_03_initialize(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now needs-init");
    load(bench, "VRV00001", 0);
    assert_int_equal(bench->watch.of[0x07], 1);
    forget_events(bench);
    test_script(bench, "on changer ready always: sense 2/04/02");
    refused(bench, "VRV00002", VARVE_ERROR_HARDWARE,
            WORDS("library 'lib'", "counted again", "read the panel of library 'lib'"));
    assert_int_equal(bench->watch.of[0x07], 1); /* not over and over */
    varve_virtual_calm(bench->folder);
    nothing_lost(bench, NULL);
}

/* --- 4: door --- */

static void
fault_04_door_opened_in_a_job(void **state)
{
    struct test_bench *bench = *state;
    load(bench, "VRV00001", 0);
    test_script(bench, "now door-force\n"
                       "on changer ready nth 100: swap 1025 1026\n"
                       "on changer ready nth 101: take 1027\n"
                       "on changer ready nth 200: door-close");
    unsigned moves = bench->watch.of[MOVE] + bench->watch.of[EXCHANGE];
    load(bench, "VRV00002", 1); /* waits until the door is closed, then goes on by itself */
    assert_int_equal(bench->watch.of[MOVE] + bench->watch.of[EXCHANGE], moves + 1);
    told(bench, WORDS("library 'lib' moves no disc now: door open", "close the door"));
    refused(bench, "VRV00004", VARVE_ERROR_OFFLINE,
            WORDS("disc 'VRV00004' is not in library 'lib'", "insert disc 'VRV00004'"));
    told(bench, WORDS("library 'lib': disc 'VRV00004' is gone from element 1027", "put it back"));
    nothing_lost(bench, "VRV00004");
}

static void
fault_04_door_left_open(void **state)
{
    static const char *const quirks[] = {"now door-force", "quirk door-manual\nnow door-force"};
    struct test_bench *bench = *state;
    for (size_t i = 0; i < 2; i++) {
        unsigned moves = bench->watch.of[MOVE];
        test_script(bench, quirks[i]);
        refused(bench, "VRV00002", VARVE_ERROR_NOT_READY,
                WORDS("load disc 'VRV00002'", "library 'lib'", "hint: "));
        assert_int_equal(bench->watch.of[MOVE], moves); /* frozen */
        test_script(bench, "now door-close");
        load(bench, "VRV00002", 0);
        unload(bench, 0);
    }
    nothing_lost(bench, NULL);
}

/* --- 5: swapped by hand --- */

static void
fault_05_swapped_discs(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    unsigned count;
    test_script(bench, "now swap 1024 1025");
    refresh(bench);
    told(bench, WORDS("library 'lib': element 1024 holds disc 'VRV00002' instead of 'VRV00001'",
                      "never written", "varve library accept 1024"));
    told(bench, WORDS("element 1025 holds disc 'VRV00001' instead of 'VRV00002'"));
    assert_int_equal(flags(bench, 1024), VARVE_ELEMENT_QUARANTINED);
    /* It stays with the disc, wherever that goes, and over a restart. */
    load(bench, "VRV00001", 0);
    assert_int_equal(flags(bench, 256), VARVE_ELEMENT_QUARANTINED);
    restart(bench);
    assert_int_equal(flags(bench, 256), VARVE_ELEMENT_QUARANTINED);
    unload(bench, 0);
    assert_int_equal(flags(bench, 1025), VARVE_ELEMENT_QUARANTINED);
    told_nothing(bench); /* once is enough */
    EXPECT_OK(varve_library_accept(bench->library, 1025, &count, &err), err);
    assert_int_equal(count, 1);
    assert_int_equal(flags(bench, 1025), 0);
    refresh(bench);
    assert_int_equal(flags(bench, 1025), 0);
    assert_false(varve_library_accept(bench->library, 1025, &count, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
    nothing_lost(bench, NULL);
}

static void
fault_05_put_back(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now swap 1024 1025");
    refresh(bench);
    forget_events(bench);
    test_script(bench, "now swap 1024 1025");
    refresh(bench);
    told(bench, WORDS("disc 'VRV00001' is back in element 1024"));
    assert_int_equal(flags(bench, 1024), 0);
    assert_int_equal(flags(bench, 1025), 0);
    nothing_lost(bench, NULL);
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
    forget_events(bench);
    restart(bench);
    told_nothing(bench);
    assert_int_equal(flags(bench, 256), 0);
    assert_string_equal(element(bench, 256).barcode.text, "VRV00001");
    unload(bench, 0);
    assert_string_equal(element(bench, 1024).barcode.text, "VRV00001");
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
    refresh(bench);
    struct varve_element at = element(bench, 1026);
    assert_int_equal(at.flags, VARVE_ELEMENT_NAMED | VARVE_ELEMENT_UNKNOWN);
    told(bench, WORDS("library 'lib': the disc in element 1026 has no readable bar code",
                      at.barcode.text, "give it a label"));
    /* It is loaded by that name and looked at; what it says of itself is its name from then on. */
    load(bench, at.barcode.text, 0);
    assert_false(varve_library_name(bench->library, &at.barcode, &four, &err));
    expect_words(err.text, WORDS("element 256", "'VRV00004'", "element 1027"));
    EXPECT_OK(varve_library_name(bench->library, &at.barcode, &three, &err), err);
    unload(bench, 0);
    assert_int_equal(flags(bench, 1026), VARVE_ELEMENT_NAMED);
    restart(bench);
    load(bench, "VRV00003", 1);
    unload(bench, 1);
    /* Somebody was at the slots: it may be another disc now, so it is looked at again. */
    test_script(bench, "now attention changer 28/00");
    refresh(bench);
    assert_int_equal(flags(bench, 1026), VARVE_ELEMENT_NAMED | VARVE_ELEMENT_UNKNOWN);
    assert_string_equal(element(bench, 1026).barcode.text, "VRV00003");
    test_script(bench, "now label VRV00003 VRV00003");
    refresh(bench);
    assert_int_equal(flags(bench, 1026), 0);
    nothing_lost(bench, NULL);
}

/* --- 7: two of the same --- */

static void
fault_07_duplicate_label(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now label VRV00002 VRV00001");
    refresh(bench);
    told(bench, WORDS("library 'lib': two discs have the bar code 'VRV00001'", "1024", "1025",
                      "take one of them out and relabel it"));
    assert_true(flags(bench, 1024) & VARVE_ELEMENT_DUPLICATE);
    assert_true(flags(bench, 1025) & VARVE_ELEMENT_DUPLICATE);
    unsigned moves = bench->watch.of[MOVE];
    refused(bench, "VRV00001", VARVE_ERROR_WRONG_DISC,
            WORDS("library 'lib'", "'VRV00001'", "1024", "1025", "relabel"));
    assert_int_equal(bench->watch.of[MOVE], moves);
    forget_events(bench);
    test_script(bench, "now label VRV00002 VRV00002");
    refresh(bench);
    assert_false(flags(bench, 1024) & VARVE_ELEMENT_DUPLICATE);
    load(bench, "VRV00001", 0);
    nothing_lost(bench, NULL);
}

/* --- 8, 9: the unit's memory is wrong --- */

static void
fault_08_full_slot_is_empty(void **state)
{
    struct test_bench *bench = *state;
    load(bench, "VRV00002", 1);
    test_script(bench, "now stale 1024, take 1024, stale 1025, put VRV00001 1025");
    load(bench, "VRV00001", 0); /* found where it is */
    unload(bench, 0);
    forget_events(bench);
    uint16_t home = (uint16_t)test_where(bench->library, "VRV00001");
    char script[64];
    (void)snprintf(script, sizeof script, "now stale %u, take %u", home, home);
    test_script(bench, script);
    char words[64];
    (void)snprintf(words, sizeof words, "is not in element %u of library 'lib'", home);
    refused(bench, "VRV00001", VARVE_ERROR_OFFLINE,
            WORDS("(5/3b/0e)", "disc 'VRV00001'", words, "look for it", "varve library import"));
    nothing_lost(bench, "VRV00001");
}

static void
fault_08_unit_cannot_look(void **state)
{
    struct test_bench *bench = *state;
    load(bench, "VRV00002", 1);
    test_script(bench, "quirk no-init-range\nnow stale 1024, take 1024, put VRV00001 1025");
    load(bench, "VRV00001", 0);
    nothing_lost(bench, NULL);
}

static void
fault_09_empty_slot_is_full(void **state)
{
    struct test_bench *bench = *state;
    load(bench, "VRV00001", 0);
    test_script(bench, "now stale 1024, take 1029, put VRV00006 1024");
    unload(bench, 0); /* to another slot */
    told(bench, WORDS("library 'lib': slot 1024", "disc 'VRV00001' goes to another slot",
                      "see what lies in slot 1024"));
    assert_int_equal(test_where(bench->library, "VRV00001"), 1029);
    assert_int_equal(test_where(bench->library, "VRV00006"), 1024);
    nothing_lost(bench, NULL);
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
    load(bench, "VRV00001", 0);
    assert_int_equal(bench->watch.of[MOVE], 1);
    /* Not carried out: never repeated, but told. */
    test_script(bench, "on changer move: drop\non changer ready nth 2 times 20: drop");
    assert_false(varve_library_load(bench->library, &two, 1, &err));
    assert_int_equal(bench->watch.of[MOVE], 2);
    expect_words(err.text, WORDS("library 'lib'", "disc 'VRV00002'", "1025", "257"));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY);
    nothing_lost(bench, NULL);
    assert_int_equal(test_where(bench->library, "VRV00002"), 1025);
    load(bench, "VRV00002", 1);
}

static void
fault_10_unit_stays_silent(void **state)
{
    struct test_bench *bench = *state;
    int64_t begun = now(bench);
    test_script(bench, "on changer move after: drop\non changer ready nth 2 times 5000: drop");
    refused(bench, "VRV00001", VARVE_ERROR_NOT_READY,
            WORDS("library 'lib'", "disc 'VRV00001' is in element 1024 or 256"));
    assert_true(now(bench) - begun >= 600 * VARVE_NS_PER_SECOND);
    assert_int_equal(bench->watch.of[MOVE], 1);
    assert_int_equal(bench->journal.intents, bench->journal.done + 1); /* still open */
    varve_virtual_calm(bench->folder);
    restart(bench); /* the inventory tells (INV-7) */
    assert_int_equal(test_where(bench->library, "VRV00001"), 256);
    unload(bench, 0);
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
}

/* --- 11: a disc in the gripper --- */

static void
fault_11_disc_in_the_gripper(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "on changer move nth 1: stick");
    refused(bench, "VRV00001", VARVE_ERROR_HARDWARE,
            WORDS("library 'lib'", "disc 'VRV00001' from element 1024 to 256"));
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024); /* put back at once */
    nothing_lost(bench, NULL);
}

static void
fault_11_gripper_full_at_start(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now take 1024, put VRV00001 1"); /* into the hand */
    restart(bench);
    told(bench, WORDS("disc 'VRV00001' hung in the gripper and was put into slot 1024"));
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
    nothing_lost(bench, NULL);
}

static void
fault_11_no_slot_for_it(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_element *elements;
    size_t count;
    load(bench, "VRV00001", 0);
    EXPECT_OK(varve_virtual_add_blanks(bench->folder, 1, TEST_DISC_BYTES, &err), err);
    load(bench, "VRV00002", 1);
    EXPECT_OK(varve_virtual_add_blanks(bench->folder, 1, TEST_DISC_BYTES, &err), err);
    refresh(bench);
    test_script(bench, "now take 256, put VRV00001 1");
    assert_false(varve_library_inventory(bench->library, true, &elements, &count, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NO_SPACE);
    expect_words(err.text, WORDS("library 'lib'", "disc 'VRV00001' hangs in the gripper",
                                 "element 1", "take a disc out", "varve library resume lib"));
    test_script(bench, "now take 1029");
    nothing_lost(bench, "VRV00006");
}

/* --- 13: the mechanics --- */

static void
fault_13_positioning_errors(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    test_script(bench, "on changer move nth 1: sense 4/15/01");
    int64_t begun = now(bench);
    load(bench, "VRV00001", 0); /* one more try, ten seconds later */
    assert_true(now(bench) - begun >= 10 * VARVE_NS_PER_SECOND);
    assert_int_equal(bench->watch.of[MOVE], 2);
    told_nothing(bench);
    /* The second one within ten moves. */
    test_script(bench, "on changer move nth 1: sense 4/15/01");
    load(bench, "VRV00002", 1);
    assert_int_equal(condition(bench), VARVE_LIBRARY_MAINTENANCE);
    told(bench, WORDS("library 'lib': the gripper missed its place twice", "look at the mechanics",
                      "varve library resume lib"));
    unsigned moves = bench->watch.of[MOVE];
    refused(bench, "VRV00003", VARVE_ERROR_HARDWARE,
            WORDS("library 'lib' is in maintenance", "varve library resume lib"));
    assert_int_equal(bench->watch.of[MOVE], moves);
    EXPECT_OK(varve_library_resume(bench->library, &err), err);
    assert_int_equal(condition(bench), VARVE_LIBRARY_READY);
    load(bench, "VRV00003", 0);
    nothing_lost(bench, NULL);
}

static void
fault_13_far_apart(void **state)
{
    struct test_bench *bench = *state;
    for (unsigned round = 0; round < 3; round++) {
        test_script(bench, "on changer move nth 1: sense 4/15/01");
        for (unsigned i = 0; i < 5; i++) {
            load(bench, "VRV00001", 0);
            unload(bench, 0);
        }
    }
    assert_int_equal(condition(bench), VARVE_LIBRARY_READY);
    nothing_lost(bench, NULL);
}

/* --- 14: forgotten homes --- */

static void
fault_14_sources_lost(void **state)
{
    struct test_bench *bench = *state;
    load(bench, "VRV00003", 0);
    test_script(bench, "now power changer, attention changer 28/00\nquirk no-source");
    refresh(bench);
    told(bench, WORDS("library 'lib'", "disc 'VRV00003'", "element 256", "element 1026"));
    unload(bench, 0);
    assert_int_equal(test_where(bench->library, "VRV00003"), 1026);
    load(bench, "VRV00004", 1);
    test_bench_close(bench);
    bench->journal.record_count = 0; /* not even varve knows: any free slot will do */
    test_bench_open(bench);
    test_script(bench, "quirk no-source");
    unload(bench, 1);
    assert_int_equal(test_where(bench->library, "VRV00004"), 1027);
    nothing_lost(bench, NULL);
}

static void
fault_14_homes_over_a_restart(void **state)
{
    struct test_bench *bench = *state;
    load(bench, "VRV00004", 1);
    load(bench, "VRV00001", 0);
    test_script(bench, "now power changer");
    restart(bench);
    unload(bench, 1);
    assert_int_equal(test_where(bench->library, "VRV00004"), 1027);
    unload(bench, 0);
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
}

/* --- 15: magazines --- */

static void
magazine_goes_and_comes(struct test_bench *bench)
{
    struct varve_error err = {0};
    test_script(bench, "now magazine-out 1");
    refused(bench, "VRV00005", VARVE_ERROR_OFFLINE,
            WORDS("disc 'VRV00005' is in element 1028 of library 'lib'", "put the magazine with",
                  "1028 back"));
    told(bench, WORDS("library 'lib': elements 1027 to 1029 are out of use", "3 discs",
                      "put the magazine back"));
    assert_int_equal(flags(bench, 1028), VARVE_ELEMENT_ABSENT);
    assert_string_equal(element(bench, 1028).barcode.text, "VRV00005");
    assert_false(element(bench, 1028).full);
    load(bench, "VRV00001", 0); /* the rest works on */
    restart(bench);             /* and it is known over a restart what is in it */
    assert_string_equal(element(bench, 1028).barcode.text, "VRV00005");
    unload(bench, 0);
    assert_string_equal(element(bench, 1024).barcode.text, "VRV00001");
    forget_events(bench);
    test_script(bench, "now magazine-in 1");
    struct varve_barcode five = test_barcode("VRV00005");
    EXPECT_OK(varve_library_load(bench->library, &five, 0, &err), err);
    told(bench, WORDS("library 'lib': elements 1027 to 1029 are in use again"));
    unload(bench, 0);
    nothing_lost(bench, NULL);
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
    restart(bench);
    magazine_goes_and_comes(bench);
}

static void
fault_15_slot_out_of_use(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "now except 1026 83/02");
    refresh(bench);
    refused(bench, "VRV00003", VARVE_ERROR_OFFLINE, WORDS("element 1026 of library 'lib'"));
    test_script(bench, "now fitted 1026");
    refresh(bench);
    load(bench, "VRV00003", 0);
    nothing_lost(bench, NULL);
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
        refresh(bench);
        load(bench, "VRV00003", 0);
        load(bench, "VRV00004", 1);
        unload(bench, 0);
        unload(bench, 1);
        varve_virtual_calm(bench->folder);
        forget_events(bench);
        refresh(bench);
        told_nothing(bench); /* nothing that was not so was written down */
        for (uint16_t slot = 1024; slot < 1030; slot++)
            assert_int_equal(flags(bench, slot), 0);
        nothing_lost(bench, NULL);
    }
}

/* Lists are wrong in another way each time, single elements are not. */
static void
fault_36_elements_one_by_one(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "on changer status element 1024..1024 nth 1 times 14: garble 300");
    unsigned before = bench->watch.of[0xb8];
    refresh(bench);
    assert_true(bench->watch.of[0xb8] - before > 2 * 11); /* each of 11 elements twice */
    varve_virtual_calm(bench->folder);
    refresh(bench);
    assert_int_equal(flags(bench, 1024), 0);
    told_nothing(bench);
    load(bench, "VRV00003", 0);
    nothing_lost(bench, NULL);
}

/* One element that cannot be read at all is out of use, and what lies in it is not lost. */
static void
fault_36_one_unreadable_element(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "on changer status element 1024..1024 always: garble 300");
    refresh(bench);
    assert_int_equal(flags(bench, 1024), VARVE_ELEMENT_ABSENT);
    told(bench, WORDS("library 'lib': elements 1024 to 1024 are out of use", "1 disc"));
    refused(bench, "VRV00001", VARVE_ERROR_OFFLINE, WORDS("'VRV00001' is in element 1024"));
    load(bench, "VRV00002", 0);
    varve_virtual_calm(bench->folder);
    refresh(bench);
    assert_int_equal(flags(bench, 1024), 0);
    nothing_lost(bench, NULL);
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
    expect_words(err.text, WORDS("library 'lib'", "readings in a row differ", "another program"));
    unsigned moves = bench->watch.of[MOVE];
    refused(bench, "VRV00001", VARVE_ERROR_NOT_READY, WORDS("readings in a row differ"));
    assert_int_equal(bench->watch.of[MOVE], moves); /* no plan */
    varve_virtual_calm(bench->folder);
    load(bench, "VRV00001", 0);
    nothing_lost(bench, NULL);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define MAGAZINES(name) cmocka_unit_test_setup_teardown(name, setup_magazines, teardown)
    const struct CMUnitTest tests[] = {
        CASE(fault_01_attention_storm),
        CASE(fault_02_counting),
        CASE(fault_03_initialize),
        CASE(fault_04_door_opened_in_a_job),
        CASE(fault_04_door_left_open),
        CASE(fault_05_swapped_discs),
        CASE(fault_05_put_back),
        CASE(fault_05_crash_is_no_swap),
        CASE(fault_06_unreadable_label),
        CASE(fault_07_duplicate_label),
        CASE(fault_08_full_slot_is_empty),
        CASE(fault_08_unit_cannot_look),
        CASE(fault_09_empty_slot_is_full),
        CASE(fault_10_move_times_out),
        CASE(fault_10_unit_stays_silent),
        CASE(fault_11_disc_in_the_gripper),
        CASE(fault_11_gripper_full_at_start),
        CASE(fault_11_no_slot_for_it),
        CASE(fault_13_positioning_errors),
        CASE(fault_13_far_apart),
        CASE(fault_14_sources_lost),
        CASE(fault_14_homes_over_a_restart),
        MAGAZINES(fault_15_magazine_removed),
        MAGAZINES(fault_15_count_shrinks),
        MAGAZINES(fault_15_slot_out_of_use),
        CASE(fault_36_garbled_now_and_then),
        CASE(fault_36_elements_one_by_one),
        CASE(fault_36_one_unreadable_element),
        CASE(fault_36_never_the_same),
    };
    return cmocka_run_group_tests_name("faults of the changer", tests, NULL, NULL);
}
