/* SPDX-License-Identifier: Apache-2.0 */
/* A library works on changers that answer as the units in the field do (reference: tgt, ADIC, HP),
 * not only on one that follows the standard. */
#include "support.h"

#include <string.h>

enum quirk {
    QUIRK_NONE = 0,
    QUIRK_COUNT_IGNORED = 1, /* everything from the start address on is returned */
    QUIRK_EIGHT_SHORT = 2,   /* the last 8 bytes of an answer never come */
    QUIRK_JUNK_HEADER = 4,   /* first address and byte count mean nothing */
    QUIRK_NO_DVCID = 8,      /* refused with "invalid field" */
    QUIRK_NO_CURDATA = 16,   /* the same */
    QUIRK_NO_VOLTAG = 32,    /* the same */
    QUIRK_NO_DBD = 64,       /* MODE SENSE wants block descriptors */
    QUIRK_FLICKER = 128,     /* the first readings after power-on miss a disc */
    QUIRK_CUT_AT_100 = 256,  /* no answer is longer than 100 bytes */
    QUIRK_LATE = 512,        /* counts its discs for two minutes after power-on */
    QUIRK_INITIALIZE = 1024, /* wants to be told to count them */
    QUIRK_BUSY = 2048,       /* every third command: status BUSY */
    QUIRK_DROPS = 4096,      /* the first move ends in the gripper */
    QUIRK_HOLDS = 8192,      /* ... and the second one fails there */
};

struct quirky_port {
    struct varve_scsi_port port;
    struct varve_scsi_port *inner;
    unsigned quirks;
    unsigned statuses, commands, late;
    bool initialized;
    unsigned moves;
};

static bool
refuse(struct varve_scsi_command *command, uint8_t key, uint8_t asc, uint8_t ascq)
{
    const uint8_t sense[14] = {0x70, 0, key, 0, 0, 0, 0, 6, 0, 0, 0, 0, asc, ascq};
    command->status = 2;
    memcpy(command->sense, sense, sizeof sense);
    command->sense_bytes = sizeof sense;
    return true;
}

static bool
refuse_early(struct quirky_port *q, struct varve_scsi_command *command)
{
    const uint8_t *cdb = command->cdb;
    bool status = cdb[0] == 0xb8;
    if (q->quirks & QUIRK_BUSY && cdb[0] != 0xa5 && ++q->commands % 3 == 0) {
        command->status = 0x08;
        return true;
    }
    if (q->quirks & QUIRK_LATE && cdb[0] == 0x00 && q->late++ < 120)
        return refuse(command, 2, 0x04, 0x01);
    if (cdb[0] == 0x07)
        q->initialized = true;
    if (q->quirks & QUIRK_INITIALIZE && cdb[0] == 0x00 && !q->initialized)
        return refuse(command, 2, 0x04, 0x02);
    if ((q->quirks & QUIRK_NO_DBD && cdb[0] == 0x1a && cdb[1] & 0x08) ||
        (q->quirks & QUIRK_NO_DVCID && status && cdb[6] & 0x01) ||
        (q->quirks & QUIRK_NO_CURDATA && status && cdb[6] & 0x02) ||
        (q->quirks & QUIRK_NO_VOLTAG && status && cdb[1] & 0x10))
        return refuse(command, 5, 0x24, 0x00);
    return false;
}

static void
spoil_status(struct quirky_port *q, struct varve_scsi_command *command)
{
    if (q->quirks & QUIRK_EIGHT_SHORT && command->received_bytes > 16)
        command->received_bytes -= 8;
    if (q->quirks & QUIRK_CUT_AT_100 && command->received_bytes > 100)
        command->received_bytes = 100;
    if (q->quirks & QUIRK_JUNK_HEADER)
        memset(command->data, 0xa5, 8);
    /* Slots are asked for second in each reading of four types. */
    if (q->quirks & QUIRK_FLICKER && q->statuses++ < 3 && command->data[8] == 2)
        command->data[18] = 0;
}

/* The gripper slips on the way: the disc stays in it. */
static bool
drop(struct quirky_port *q, struct varve_scsi_command *command, struct varve_error *err)
{
    unsigned nth = ++q->moves;
    if (nth == 1) {
        command->cdb[6] = 0;
        command->cdb[7] = 1;
        if (!q->inner->execute(q->inner, command, err))
            return false;
        assert_int_equal(command->status, 0);
        return refuse(command, 4, 0x15, 0x01);
    }
    if (nth == 2 && q->quirks & QUIRK_HOLDS)
        return refuse(command, 4, 0x15, 0x01);
    return q->inner->execute(q->inner, command, err);
}

static bool
quirky_execute(struct varve_scsi_port *base, struct varve_scsi_command *command,
               struct varve_error *err)
{
    struct quirky_port *q = (struct quirky_port *)base;
    command->status = 0;
    command->sense_bytes = 0;
    command->received_bytes = 0;
    if (refuse_early(q, command))
        return true;
    if (q->quirks & QUIRK_DROPS && command->cdb[0] == 0xa5)
        return drop(q, command, err);
    if (q->quirks & QUIRK_COUNT_IGNORED && command->cdb[0] == 0xb8)
        memset(command->cdb + 4, 0xff, 2);
    if (!q->inner->execute(q->inner, command, err))
        return false;
    if (command->cdb[0] == 0xb8 && command->status == 0)
        spoil_status(q, command);
    return true;
}

static void
quirky_close(struct varve_scsi_port *base)
{
    struct quirky_port *q = (struct quirky_port *)base;
    q->inner->close(q->inner);
    free(q);
}

static void
reopen_with(struct test_bench *bench, unsigned quirks)
{
    struct varve_error err = {0};
    struct varve_scsi_port *drives[2];
    struct quirky_port *q = calloc(1, sizeof *q);
    assert_non_null(q);
    varve_library_free(bench->library);
    bench->library = NULL;
    *q = (struct quirky_port){.port = {quirky_execute, quirky_close}, .quirks = quirks};
    EXPECT_OK(varve_virtual_changer_port(bench->folder, &q->inner, &err), err);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_OK(varve_virtual_drive_port(bench->folder, i, &drives[i], &err), err);
    struct varve_library_ports ports = {"lib", &q->port, drives, 2};
    struct varve_move_journal journal = test_journal_port(&bench->journal);
    EXPECT_OK(varve_library_new(&ports, &journal, &bench->clock.clock, &bench->library, &err), err);
}

static void
test_quirks(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned quirks;
    } cases[] = {
        {"none", QUIRK_NONE},
        {"count ignored", QUIRK_COUNT_IGNORED},
        {"eight bytes short", QUIRK_EIGHT_SHORT},
        {"junk header", QUIRK_JUNK_HEADER},
        {"no DVCID", QUIRK_NO_DVCID},
        {"no CURDATA", QUIRK_NO_CURDATA},
        {"no DBD", QUIRK_NO_DBD},
        {"flicker", QUIRK_FLICKER},
        {"cut at 100 bytes", QUIRK_CUT_AT_100},
        {"becoming ready", QUIRK_LATE},
        {"initialize", QUIRK_INITIALIZE},
        {"busy", QUIRK_BUSY},
        {"tgt", QUIRK_COUNT_IGNORED | QUIRK_EIGHT_SHORT | QUIRK_JUNK_HEADER},
        {"all at once", QUIRK_COUNT_IGNORED | QUIRK_EIGHT_SHORT | QUIRK_JUNK_HEADER |
                            QUIRK_NO_DVCID | QUIRK_NO_CURDATA | QUIRK_NO_DBD | QUIRK_FLICKER |
                            QUIRK_LATE | QUIRK_INITIALIZE | QUIRK_BUSY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_bench bench;
        struct varve_error err = {0};
        struct varve_barcode six = test_barcode("VRV00006");
        VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
        size_t count;
        test_bench_start(&bench);
        reopen_with(&bench, cases[i].quirks);
        EXPECT_OK(varve_library_inventory(bench.library, false, &elements, &count, &err), err);
        if (count != 11)
            fail_msg("%s: %zu elements", cases[i].name, count);
        if (!varve_library_load(bench.library, &six, 1, &err))
            fail_msg("%s: %s", cases[i].name, err.text);
        assert_int_equal(test_where(bench.library, "VRV00006"), 257);
        if (!varve_library_unload(bench.library, 1, &err))
            fail_msg("%s: %s", cases[i].name, err.text);
        assert_int_equal(test_where(bench.library, "VRV00006"), 1029);
        for (unsigned number = 1; number <= 6; number++) {
            char name[16];
            (void)snprintf(name, sizeof name, "VRV%05u", number);
            assert_int_equal(test_where(bench.library, name), 1023 + number);
        }
        test_bench_done(&bench);
    }
}

static void
test_no_bar_codes(void **state)
{
    (void)state;
    struct test_bench bench;
    struct varve_error err = {0};
    struct varve_barcode six = test_barcode("VRV00006");
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t count;
    test_bench_start(&bench);
    test_journal_forget(&bench.journal); /* nor does the library know what they had */
    reopen_with(&bench, QUIRK_NO_VOLTAG);
    EXPECT_OK(varve_library_inventory(bench.library, false, &elements, &count, &err), err);
    assert_int_equal(count, 11);
    /* Each disc has a name of ours until somebody looked at it, which is loaded like any other. */
    assert_true(elements[6].full);
    assert_int_equal(elements[6].flags, VARVE_ELEMENT_NAMED | VARVE_ELEMENT_UNKNOWN);
    assert_string_equal(elements[6].barcode.text, "N000003E8-1029");
    assert_false(varve_library_load(bench.library, &six, 1, &err));
    assert_int_equal(err.kind, VARVE_ERROR_OFFLINE);
    err = (struct varve_error){0};
    EXPECT_OK(varve_library_load(bench.library, &elements[6].barcode, 1, &err), err);
    EXPECT_OK(varve_library_name(bench.library, &elements[6].barcode, &six, &err), err);
    assert_int_equal(test_where(bench.library, "VRV00006"), 257);
    EXPECT_OK(varve_library_unload(bench.library, 1, &err), err);
    assert_int_equal(test_where(bench.library, "VRV00006"), 1029);
    test_bench_done(&bench);
}

/* A disc that slipped is put back at once; if the gripper holds it, the next operation does it. */
static void
test_gripper_slips(void **state)
{
    (void)state;
    for (unsigned holds = 0; holds < 2; holds++) {
        struct test_bench bench;
        struct varve_error err = {0};
        struct varve_barcode six = test_barcode("VRV00006");
        test_bench_start(&bench);
        reopen_with(&bench, QUIRK_DROPS | (holds ? QUIRK_HOLDS : 0));
        assert_false(varve_library_load(bench.library, &six, 1, &err));
        assert_non_null(strstr(err.text, "library 'lib': move disc 'VRV00006' from element 1029 to "
                                         "257: MOVE MEDIUM: mechanical positioning error "
                                         "(4/15/01)"));
        assert_true((strstr(err.text, "hangs in the gripper (element 1)") != NULL) == holds);
        if (!holds)
            assert_int_equal(test_where(bench.library, "VRV00006"), 1029);
        struct varve_error worn = {0};
        if (holds) { /* two slips in a row: somebody has to look at the mechanics first */
            assert_false(varve_library_load(bench.library, &six, 1, &worn));
            assert_non_null(strstr(worn.text, "varve library resume lib"));
            EXPECT_OK(varve_library_resume(bench.library, &err), err);
        }
        EXPECT_OK(varve_library_load(bench.library, &six, 1, &err), err);
        assert_int_equal(test_where(bench.library, "VRV00006"), 257);
        assert_int_equal(bench.journal.intents, bench.journal.done);
        test_bench_done(&bench);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_quirks),
                                       cmocka_unit_test(test_gripper_slips),
                                       cmocka_unit_test(test_no_bar_codes)};
    return cmocka_run_group_tests_name("quirks", tests, NULL, NULL);
}
