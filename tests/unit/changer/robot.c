/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges and their fallback, people who open a library and bring discs, cleaning discs, and
 * discs with two sides do what library.h says. */
#include "support.h"

#include <string.h>

#define MOVE 0xa5
#define EXCHANGE 0xa6

static void
load(struct test_bench *bench, const char *disc, unsigned drive)
{
    struct varve_error err = {0};
    struct varve_barcode barcode = test_barcode(disc);
    EXPECT_OK(varve_library_load(bench->library, &barcode, drive, &err), err);
}

static void
expect_at(struct test_bench *bench, const char *disc, unsigned address)
{
    unsigned found = test_where(bench->library, disc);
    if (found != address)
        fail_msg("disc '%s' is in element %u, not %u", disc, found, address);
}

/* --- exchange --- */

static void
test_exchange(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    load(bench, "VRV00001", 0);
    load(bench, "VRV00002", 0);
    load(bench, "VRV00003", 0);
    assert_int_equal(bench->watch.of[MOVE], 1);
    assert_int_equal(bench->watch.of[EXCHANGE], 2);
    expect_at(bench, "VRV00001", 1024);
    expect_at(bench, "VRV00002", 1025);
    EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
    expect_at(bench, "VRV00003", 1026);
    assert_int_equal(bench->journal.intents, bench->journal.done);
    assert_int_equal(bench->journal.intents, 6); /* two for an exchange */
}

static void
test_no_exchange(void **state)
{
    struct test_bench *bench = *state;
    test_script(bench, "quirk no-exchange");
    load(bench, "VRV00001", 0);
    load(bench, "VRV00002", 0);
    load(bench, "VRV00003", 0);
    assert_int_equal(bench->watch.of[EXCHANGE], 1); /* tried once */
    assert_int_equal(bench->watch.of[MOVE], 5);
    expect_at(bench, "VRV00001", 1024);
    expect_at(bench, "VRV00002", 1025);
    expect_at(bench, "VRV00003", 256);
    assert_int_equal(bench->journal.intents, bench->journal.done);
}

/* Whatever happens in it, the load that wanted it comes to a right end. */
static void
test_exchange_goes_wrong(void **state)
{
    static const char *const scripts[] = {
        "on changer exchange: drop",
        "on changer exchange after: drop",
        "on changer exchange: delay 2000s",
        "on changer exchange: sense 4/15/01",
        "on changer exchange: sense 5/3B/0D",
        "on changer exchange: sense 6/28/00",
        "on changer exchange after: sense 4/44/00",
        "on changer exchange: sense B/00/00",
        "now lock 0",
    };
    struct test_bench *bench = *state;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        struct varve_error err = {0};
        load(bench, "VRV00001", 0);
        test_script(bench, scripts[i]);
        load(bench, "VRV00002", 0);
        expect_at(bench, "VRV00001", 1024);
        expect_at(bench, "VRV00002", 256);
        EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
        expect_at(bench, "VRV00002", 1025);
        assert_int_equal(bench->journal.intents, bench->journal.done);
        varve_virtual_calm(bench->folder);
    }
}

/* --- people --- */

static void
test_unlock(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    struct varve_library_state now;
    EXPECT_OK(varve_library_unlock(bench->library, &err), err);
    test_script(bench, "now door-open, take 1029, door-close"); /* PREVENT is off */
    unsigned moves = bench->watch.of[MOVE];
    assert_false(varve_library_load(bench->library, &one, 0, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY);
    assert_string_equal(err.text,
                        "load disc 'VRV00001': library 'lib' is unlocked\nhint: close it, "
                        "then run 'varve library resume lib'");
    assert_int_equal(bench->watch.of[MOVE], moves);
    varve_library_state(bench->library, &now);
    assert_int_equal(now.condition, VARVE_LIBRARY_UNLOCKED);
    EXPECT_OK(varve_library_resume(bench->library, &err), err);
    varve_library_state(bench->library, &now);
    assert_int_equal(now.condition, VARVE_LIBRARY_READY);
    err = (struct varve_error){0};
    assert_false(varve_virtual_script(bench->folder, "now door-open", &err)); /* locked again */
    load(bench, "VRV00001", 0);
    assert_int_equal(test_where(bench->library, "VRV00006"), 0);
}

static void
test_interrupt(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    test_script(bench, "now door-force");
    varve_library_interrupt(bench->library);
    int64_t begun = varve_clock_monotonic(&bench->clock.clock);
    assert_false(varve_library_load(bench->library, &one, 0, &err));
    int64_t waited = varve_clock_monotonic(&bench->clock.clock) - begun;
    assert_true(waited <= 2 * VARVE_NS_PER_SECOND);
    test_script(bench, "now door-close");
}

/* Units that tell all about their mail slots, and one that only tells whether they are full. */
static void
test_mail_slots(void **state)
{
    static const char *const quirks[] = {"", "quirk status-only-full"};
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    for (size_t i = 0; i < 2; i++) {
        unsigned count;
        test_script(bench, quirks[i]);
        EXPECT_OK(varve_library_export(bench->library, &one, &err), err);
        char event[VARVE_LIBRARY_EVENT_BYTES] = "";
        assert_true(varve_library_event(bench->library, event));
        assert_string_equal(event,
                            "library 'lib': disc 'VRV00001' is in mail slot 16: take it out");
        load(bench, "VRV00002", 0);                               /* work goes on, ... */
        test_script(bench, "now door-open, take 16, door-close"); /* ... and it can be taken */
        EXPECT_OK(varve_library_import(bench->library, &count, &err), err);
        assert_int_equal(count, 0);
        test_script(bench, "now put VRV00001 17");
        EXPECT_OK(varve_library_import(bench->library, &count, &err), err);
        assert_int_equal(count, 1);
        expect_at(bench, "VRV00001", 1024);
        EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
        while (varve_library_event(bench->library, event)) {
        }
    }
}

static void
test_import_ends_unlocking(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    unsigned count;
    EXPECT_OK(varve_library_unlock(bench->library, &err), err);
    test_script(bench, "now door-open, take 1024, put VRV00001 16, door-close");
    EXPECT_OK(varve_library_import(bench->library, &count, &err), err);
    assert_int_equal(count, 1);
    expect_at(bench, "VRV00001", 1024);
}

static void
test_cleaning_disc_is_flagged(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t count;
    char text[VARVE_ELEMENT_FLAGS_BYTES];
    test_bench_close(bench);
    test_journal_forget(&bench->journal); /* as if it had come with this label */
    test_bench_open(bench);
    test_journal_forget(&bench->journal);
    test_script(bench, "now label VRV00003 CLN00001");
    EXPECT_OK(varve_library_inventory(bench->library, true, &elements, &count, &err), err);
    for (size_t i = 0; i < count; i++) {
        bool cleaning = (elements[i].flags & VARVE_ELEMENT_CLEANING) != 0;
        assert_int_equal(cleaning, strcmp(elements[i].barcode.text, "CLN00001") == 0);
    }
    assert_string_equal(varve_element_flags_text(0x3f, text),
                        "absent, quarantined, duplicate, named, unknown, cleaning");
}

/* --- two sides --- */

/* A changer that turns discs over: the virtual one cannot, so this notes which way each lies. */
struct turning_port {
    struct varve_scsi_port port;
    struct varve_scsi_port *inner;
    bool rotates;
    unsigned turns; /* of the one disc that is moved here */
};

static bool
turning_execute(struct varve_scsi_port *base, struct varve_scsi_command *command,
                struct varve_error *err)
{
    struct turning_port *turning = (struct turning_port *)base;
    bool invert = command->cdb[0] == MOVE && command->cdb[10] & 1;
    bool geometry = command->cdb[0] == 0x1a && (command->cdb[2] & 0x3f) == 0x1e;
    if (invert && turning->rotates)
        command->cdb[10] = 0;
    if (!turning->inner->execute(turning->inner, command, err))
        return false;
    if (geometry && turning->rotates && command->received_bytes > 6)
        command->data[6] |= 1;
    turning->turns += invert && command->status == 0;
    return true;
}

static void
turning_close(struct varve_scsi_port *base)
{
    struct turning_port *turning = (struct turning_port *)base;
    turning->inner->close(turning->inner);
}

static void
reopen_two_sided(struct test_bench *bench, struct turning_port *turning)
{
    struct varve_error err = {0};
    struct varve_scsi_port *drives[2];
    if (bench->library != NULL)
        varve_library_free(bench->library);
    bench->library = NULL;
    turning->port = (struct varve_scsi_port){turning_execute, turning_close};
    EXPECT_OK(varve_virtual_changer_port(bench->folder, &turning->inner, &err), err);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_OK(varve_virtual_drive_port(bench->folder, i, &drives[i], &err), err);
    struct varve_library_ports ports = {"lib", &turning->port, drives, 2, .two_sided = true};
    struct varve_move_journal journal = test_journal_port(&bench->journal);
    EXPECT_OK(varve_library_new(&ports, &journal, &bench->clock.clock, &bench->library, &err), err);
}

static void
expect_drive(struct test_bench *bench, const char *name)
{
    struct varve_barcode in = {{0}};
    assert_true(varve_library_drive_disc(bench->library, 0, &in));
    assert_string_equal(in.text, name);
}

static void
test_two_sides(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct turning_port turning = {.rotates = true};
    reopen_two_sided(bench, &turning);
    load(bench, "VRV00001.B", 0);
    assert_int_equal(turning.turns, 1);
    expect_drive(bench, "VRV00001.B");
    load(bench, "VRV00001.B", 0); /* it is there */
    assert_int_equal(turning.turns, 1);
    load(bench, "VRV00001", 0); /* home, turned back, and in again */
    assert_int_equal(turning.turns, 2);
    expect_drive(bench, "VRV00001");
    load(bench, "VRV00001.B", 0);
    assert_int_equal(turning.turns, 3);
    reopen_two_sided(bench, &turning); /* which side is up is remembered */
    expect_drive(bench, "VRV00001.B");
    load(bench, "VRV00002", 0); /* in slots side A is up */
    assert_int_equal(turning.turns, 4);
    EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
    assert_int_equal(turning.turns, 4);
    expect_at(bench, "VRV00001", 1024);
    /* Without a gripper that turns a person has to. */
    varve_library_free(bench->library);
    bench->library = NULL;
    turning.rotates = false;
    reopen_two_sided(bench, &turning);
    struct varve_barcode side_b = test_barcode("VRV00001.B");
    assert_false(varve_library_load(bench->library, &side_b, 0, &err));
    assert_string_equal(err.text, "load disc 'VRV00001.B': library 'lib' cannot turn disc "
                                  "'VRV00001' over\nhint: export disc 'VRV00001', turn it over, "
                                  "and import it again");
    varve_library_free(bench->library); /* its port is on this stack */
    bench->library = NULL;
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, test_bench_setup, test_bench_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_exchange),
        CASE(test_no_exchange),
        CASE(test_exchange_goes_wrong),
        CASE(test_unlock),
        CASE(test_interrupt),
        CASE(test_mail_slots),
        CASE(test_two_sides),
        CASE(test_import_ends_unlocking),
        CASE(test_cleaning_disc_is_flagged),
    };
    return cmocka_run_group_tests_name("robot", tests, NULL, NULL);
}
