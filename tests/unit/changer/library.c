/* SPDX-License-Identifier: Apache-2.0 */
/* A library brings the disc asked for to the drive asked for, takes it home again, and says in
 * words an operator can act on why it did not. */
#include "support.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void
test_inventory_after_opening(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t count;
    EXPECT_OK(varve_library_inventory(bench->library, false, &elements, &count, &err), err);
    assert_int_equal(count, 1 + 6 + 2 + 2);
    for (size_t i = 1; i < count; i++) {
        assert_true(elements[i - 1].type < elements[i].type ||
                    elements[i - 1].address < elements[i].address);
    }
    assert_int_equal(elements[1].address, 1024);
    assert_string_equal(elements[1].barcode.text, "VRV00001");
    assert_int_equal(varve_library_drive_count(bench->library), 2);
    struct varve_drive_health health;
    varve_drive_health(varve_library_drive(bench->library, 1), &health);
    assert_string_equal(health.vendor, "VARVE");
    assert_string_equal(health.product, "VIRTUAL BD-R");
    assert_int_equal(strlen(health.serial), 10);
    assert_null(varve_library_drive(bench->library, 2));
}

static void
test_load_and_unload(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    struct varve_barcode two = test_barcode("VRV00002");
    struct varve_barcode seen;
    assert_false(varve_library_drive_disc(bench->library, 0, &seen));
    EXPECT_OK(varve_library_load(bench->library, &one, 0, &err), err);
    assert_true(varve_library_drive_disc(bench->library, 0, &seen));
    assert_string_equal(seen.text, "VRV00001");
    assert_int_equal(test_where(bench->library, "VRV00001"), 256);
    unsigned moves = bench->journal.intents;
    EXPECT_OK(varve_library_load(bench->library, &one, 0, &err), err);
    assert_int_equal(bench->journal.intents, moves);

    assert_false(varve_library_load(bench->library, &one, 1, &err));
    assert_int_equal(err.kind, VARVE_ERROR_BUSY);
    assert_string_equal(err.text, "load disc 'VRV00001': disc 'VRV00001' is in another drive of "
                                  "library 'lib' (element 256)");

    /* The disc in the drive goes home first. */
    EXPECT_OK(varve_library_load(bench->library, &two, 0, &err), err);
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
    assert_int_equal(test_where(bench->library, "VRV00002"), 256);
    EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
    EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
    assert_int_equal(test_where(bench->library, "VRV00002"), 1025);
    assert_int_equal(bench->journal.intents, 4);
    assert_int_equal(bench->journal.done, 4);
}

static void
test_unknown_disc_and_drive(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode missing = test_barcode("NOPE");
    assert_false(varve_library_load(bench->library, &missing, 0, &err));
    assert_int_equal(err.kind, VARVE_ERROR_OFFLINE);
    assert_string_equal(err.text, "load disc 'NOPE': disc 'NOPE' is not in library 'lib'\n"
                                  "hint: insert disc 'NOPE'");
    assert_false(varve_library_unload(bench->library, 7, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
}

static void
test_homes_survive_restart(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode three = test_barcode("VRV00003");
    EXPECT_OK(varve_library_load(bench->library, &three, 1, &err), err);
    test_bench_close(bench);
    test_bench_open(bench);
    assert_int_equal(test_where(bench->library, "VRV00003"), 257);
    EXPECT_OK(varve_library_unload(bench->library, 1, &err), err);
    assert_int_equal(test_where(bench->library, "VRV00003"), 1026);
}

static void
test_export_and_import(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    unsigned came;
    const char *names[] = {"VRV00001", "VRV00002"};
    for (unsigned i = 0; i < 2; i++) {
        struct varve_barcode disc = test_barcode(names[i]);
        EXPECT_OK(varve_library_export(bench->library, &disc, &err), err);
        EXPECT_OK(varve_library_export(bench->library, &disc, &err), err);
        assert_int_equal(test_where(bench->library, names[i]), 16 + i);
    }
    struct varve_barcode three = test_barcode("VRV00003");
    assert_false(varve_library_export(bench->library, &three, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NO_SPACE);
    assert_string_equal(err.text,
                        "export disc 'VRV00003': library 'lib': none of its 2 mail slots "
                        "is free\nhint: take the discs out of the mail slots, and close them");
    EXPECT_OK(varve_library_import(bench->library, &came, &err), err);
    assert_int_equal(came, 2);
    assert_true(test_where(bench->library, "VRV00001") >= 1024);
    EXPECT_OK(varve_library_import(bench->library, &came, &err), err);
    assert_int_equal(came, 0);
    EXPECT_OK(varve_library_load(bench->library, &three, 0, &err), err);
    assert_false(varve_library_export(bench->library, &three, &err));
    assert_int_equal(err.kind, VARVE_ERROR_BUSY);
}

static void
test_locked_tray_is_unlocked(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    EXPECT_OK(varve_library_load(bench->library, &one, 0, &err), err);
    /* cdrom_id --lock-media locks a tray behind our back: the move out meets it once. */
    struct varve_virtual_fault locked = {
        .on_changer = true, .opcode = 0xa5, .nth = 1, .key = 5, .asc = 0x53, .ascq = 0x02};
    EXPECT_OK(varve_virtual_inject(bench->folder, &locked, &err), err);
    EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
}

static void
test_gripper_is_emptied(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    varve_library_free(bench->library);
    bench->library = NULL;
    struct varve_scsi_port *changer;
    struct test_answer *answer = malloc(sizeof *answer);
    EXPECT_OK(varve_virtual_changer_port(bench->folder, &changer, &err), err);
    const uint8_t ready[6] = {0};
    const uint8_t grab[12] = {0xa5, 0, 0, 1, 1024 >> 8, 1024 & 0xff, 0, 1};
    assert_int_equal(test_send(changer, ready, 6, answer), 0x062900);
    assert_int_equal(test_send(changer, grab, 12, answer), 0);
    free(answer);
    changer->close(changer);
    varve_virtual_close(bench->folder);
    test_bench_open(bench);
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
    assert_int_equal(bench->journal.intents, 1);
    assert_int_equal(bench->journal.done, 1);
}

static void
test_swapped_drives_are_mapped_by_serial(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    varve_library_free(bench->library);
    bench->library = NULL;
    struct varve_scsi_port *changer, *drives[2];
    EXPECT_OK(varve_virtual_changer_port(bench->folder, &changer, &err), err);
    EXPECT_OK(varve_virtual_drive_port(bench->folder, 0, &drives[1], &err), err);
    EXPECT_OK(varve_virtual_drive_port(bench->folder, 1, &drives[0], &err), err);
    struct varve_library_ports ports = {"lib", changer, drives, 2};
    struct varve_move_journal journal = test_journal_port(&bench->journal);
    EXPECT_OK(varve_library_new(&ports, &journal, &bench->clock.clock, &bench->library, &err), err);
    struct varve_barcode one = test_barcode("VRV00001");
    EXPECT_OK(varve_library_load(bench->library, &one, 0, &err), err);
    assert_int_equal(test_where(bench->library, "VRV00001"), 257);
}

static void
test_drive_that_does_not_see_the_disc(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    for (unsigned i = 0; i < 60; i++) {
        struct varve_virtual_fault none = {.opcode = 0x00, .nth = 1, .key = 2, .asc = 0x3a};
        EXPECT_OK(varve_virtual_inject(bench->folder, &none, &err), err);
    }
    /* 60 answers are about a minute; the disc is seen in the end. */
    EXPECT_OK(varve_library_load(bench->library, &one, 0, &err), err);

    EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
    /* The first is for the empty drive before the move. */
    struct varve_virtual_fault dirty = {.opcode = 0x00, .nth = 2, .key = 2, .asc = 0x30};
    EXPECT_OK(varve_virtual_inject(bench->folder, &dirty, &err), err);
    assert_false(varve_library_load(bench->library, &one, 0, &err));
    assert_string_equal(
        err.text, "load disc 'VRV00001': library 'lib', drive 0 (element 256): TEST UNIT READY: "
                  "incompatible medium installed (2/30/00)\n"
                  "hint: the disc may be dirty, damaged or upside down: clean it and look "
                  "which side is up, or try another drive");
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
}

static void
test_deleted_image_is_a_gone_disc(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    static uint8_t cluster[VARVE_CLUSTER_BYTES];
    EXPECT_OK(varve_library_load(bench->library, &one, 0, &err), err);
    struct varve_drive *drive = varve_library_drive(bench->library, 0);
    EXPECT_OK(varve_drive_burn_begin(drive, 0, 1, &err), err);
    EXPECT_OK(varve_drive_burn_write(drive, cluster, 1, &err), err);
    EXPECT_OK(varve_drive_burn_close(drive, NULL, NULL, &err), err);
    EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
    char path[512];
    (void)snprintf(path, sizeof path, "%s/discs/VRV00001.img", bench->dir);
    assert_int_equal(unlink(path), 0);
    /* The library still believes in it: the robot finds the slot empty. */
    assert_false(varve_library_load(bench->library, &one, 0, &err));
    assert_non_null(strstr(err.text, "source element is empty (5/3b/0e)"));
    assert_false(varve_library_load(bench->library, &one, 0, &err));
    assert_int_equal(err.kind, VARVE_ERROR_OFFLINE);
    assert_int_equal(test_where(bench->library, "VRV00001"), 0);
}

static void
test_journal_refusal_moves_nothing(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    bench->journal.refuse = true;
    assert_false(varve_library_load(bench->library, &one, 0, &err));
    assert_string_equal(err.text, "load disc 'VRV00001': library 'lib': journal the move of disc "
                                  "'VRV00001': journal is full");
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
}

static void
test_blanks_added_are_seen(void **state)
{
    struct test_bench *bench = *state;
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    EXPECT_OK(varve_library_load(bench->library, &one, 0, &err), err);
    EXPECT_OK(varve_virtual_add_blanks(bench->folder, 1, TEST_DISC_BYTES, &err), err);
    struct varve_barcode seven = test_barcode("VRV00007");
    EXPECT_OK(varve_library_load(bench->library, &seven, 1, &err), err);
    /* Seven discs for six slots: one of the two finds no place. */
    EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
    assert_int_equal(test_where(bench->library, "VRV00001"), 1024);
    assert_false(varve_library_unload(bench->library, 1, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NO_SPACE);
    assert_string_equal(err.text,
                        "unload drive 1: library 'lib': no slot is free for disc "
                        "'VRV00007' of library 'lib', drive 1 (element 257)\nhint: export a disc");
    assert_false(varve_virtual_add_blanks(bench->folder, 5, TEST_DISC_BYTES, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NO_SPACE);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, test_bench_setup, test_bench_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_inventory_after_opening),
        CASE(test_load_and_unload),
        CASE(test_unknown_disc_and_drive),
        CASE(test_homes_survive_restart),
        CASE(test_export_and_import),
        CASE(test_locked_tray_is_unlocked),
        CASE(test_gripper_is_emptied),
        CASE(test_swapped_drives_are_mapped_by_serial),
        CASE(test_drive_that_does_not_see_the_disc),
        CASE(test_deleted_image_is_a_gone_disc),
        CASE(test_journal_refusal_moves_nothing),
        CASE(test_blanks_added_are_seen),
    };
    return cmocka_run_group_tests_name("library", tests, NULL, NULL);
}
