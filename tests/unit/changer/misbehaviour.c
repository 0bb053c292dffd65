/* SPDX-License-Identifier: Apache-2.0 */
/* Every single quirk of changers and drives shows in a host's commands as docs/virtual-library.md
 * says. */
#include "machine.h"

#include <string.h>
#include <varve/byteorder.h>

static uint64_t quirks_seen;

static void
quirk(struct machine *f, enum varve_virtual_quirk which)
{
    char line[100];
    quirks_seen |= UINT64_C(1) << which;
    (void)snprintf(line, sizeof line, "quirk %s", varve_virtual_quirk_name(which));
    machine_script(f, line);
}

/* --- quirks of the changer --- */

static void
test_status_quirks(void **state)
{
    struct machine *f = *state;
    assert_int_equal(machine_status(f, 2, 2, 2), 0);
    assert_int_equal(f->answer.received, 16 + 2 * 52);
    assert_int_equal(varve_get_be16(f->answer.data), 1024);
    quirk(f, VARVE_VIRTUAL_STATUS_SHORT);
    assert_int_equal(machine_status(f, 2, 2, 2), 0);
    assert_int_equal(f->answer.received, 8 + 2 * 52);
    assert_int_equal(varve_get_be24(f->answer.data + 5), 8 + 2 * 52);
    varve_virtual_calm(f->folder);
    quirk(f, VARVE_VIRTUAL_STATUS_COUNT);
    assert_int_equal(machine_status(f, 2, 2, 2), 0);
    assert_int_equal(varve_get_be16(f->answer.data + 2), 6);
    quirk(f, VARVE_VIRTUAL_STATUS_JUNK);
    assert_int_equal(machine_status(f, 2, 2, 2), 0);
    assert_int_equal(varve_get_be16(f->answer.data), 0x0403);
    varve_virtual_calm(f->folder);
    assert_int_equal(machine_status(f, 0, 255, 2), 0);
    uint32_t all = f->answer.received;
    quirk(f, VARVE_VIRTUAL_STATUS_OVERLAP);
    assert_int_equal(machine_status(f, 0, 255, 2), 0);
    assert_int_equal(f->answer.received, all - 16);
    assert_int_equal(machine_status(f, 2, 6, 2), 0); /* one type at a time is right */
    assert_int_equal(f->answer.received, 16 + 6 * 52);
    quirk(f, VARVE_VIRTUAL_STATUS_STRICT);
    assert_int_equal(machine_send(f, f->changer, CDB(0xb8, 2, 0, 0, 0, 9, 2, 1, 0, 0)), 0);
    assert_int_equal(machine_send(f, f->changer, CDB(0xb8, 2, 0, 0, 0, 9, 2, 1, 0, 1)), 0x052400);
    varve_virtual_calm(f->folder);
    quirk(f, VARVE_VIRTUAL_DESCENDING);
    assert_int_equal(machine_status(f, 2, 6, 2), 0);
    assert_int_equal(varve_get_be16(machine_descriptor(f, 0)), 1029);
    assert_int_equal(varve_get_be16(machine_descriptor(f, 5)), 1024);
    varve_virtual_calm(f->folder);
    quirk(f, VARVE_VIRTUAL_ZERO_ADDRESS);
    assert_int_equal(machine_status(f, 2, 6, 2), 0);
    assert_int_equal(f->answer.received, 16 + 7 * 52);
    assert_int_equal(varve_get_be16(machine_descriptor(f, 6)), 0);
    varve_virtual_calm(f->folder);
    quirk(f, VARVE_VIRTUAL_EMPTY_PAGES);
    assert_int_equal(machine_status(f, 2, 6, 2), 0);
    assert_int_equal(varve_get_be16(f->answer.data + 2), 7);
    assert_int_equal(f->answer.received, 16 + 6 * 52 + 8);
}

static void
test_descriptor_quirks(void **state)
{
    struct machine *f = *state;
    assert_int_equal(machine_move(f, 1024, 256), 0);
    assert_int_equal(machine_move(f, 256, 1024), 0);
    assert_int_equal(machine_status(f, 2, 1, 2), 0);
    assert_int_equal(machine_descriptor(f, 0)[2], 0x09);
    assert_true(machine_descriptor(f, 0)[9] == 0x80 &&
                varve_get_be16(machine_descriptor(f, 0) + 10) == 1024);
    assert_int_equal(machine_descriptor(f, 0)[12 + 8], ' ');
    quirk(f, VARVE_VIRTUAL_LABEL_NOISE);
    assert_int_equal(machine_status(f, 2, 1, 2), 0);
    assert_int_equal(machine_descriptor(f, 0)[12 + 8], 0x01);
    quirk(f, VARVE_VIRTUAL_STATUS_FLAGS);
    assert_int_equal(machine_status(f, 3, 1, 2), 0);
    assert_int_equal(machine_descriptor(f, 0)[2], 0);
    quirk(f, VARVE_VIRTUAL_NO_SOURCE);
    assert_int_equal(machine_status(f, 2, 1, 2), 0);
    assert_int_equal(machine_descriptor(f, 0)[9], 0);
    varve_virtual_calm(f->folder);
    quirk(f, VARVE_VIRTUAL_STATUS_SOURCE);
    assert_int_equal(machine_move(f, 1024, 256), 0);
    assert_int_equal(machine_move(f, 256, 1024), 0);
    assert_int_equal(machine_status(f, 2, 1, 2), 0);
    assert_int_equal(varve_get_be16(machine_descriptor(f, 0) + 10), 256);
    assert_int_equal(machine_status(f, 4, 1, 3), 0);
    const char *serial = (const char *)f->answer.data + 16 + 52 + 24;
    assert_true(serial[0] == 'D' && serial[9] != ' ');
    quirk(f, VARVE_VIRTUAL_DVCID_CUT);
    assert_int_equal(machine_status(f, 4, 1, 3), 0);
    assert_true(serial[0] == 'D' && serial[2] == ' ');
    quirk(f, VARVE_VIRTUAL_NO_DVCID);
    assert_int_equal(machine_status(f, 4, 1, 3), 0x052400);
    quirk(f, VARVE_VIRTUAL_NO_CURDATA);
    assert_int_equal(machine_status(f, 2, 1, 2), 0x052400);
    assert_int_equal(machine_status(f, 2, 1, 0), 0);
    quirk(f, VARVE_VIRTUAL_NO_VOLTAG);
    assert_int_equal(machine_status(f, 2, 1, 0), 0x052400);
}

static void
test_changer_quirks(void **state)
{
    struct machine *f = *state;
    static const uint8_t exchange[12] = {0xa6, 0, 0, 1, 4, 0, 4, 1, 4, 0};
    assert_int_equal(machine_send(f, f->changer, CDB(0x1a, 8, 0x1d, 0, 255)), 0);
    assert_int_equal(f->answer.received, 24);
    assert_int_equal(varve_get_be16(f->answer.data + 4 + 4), 1);
    quirk(f, VARVE_VIRTUAL_NO_GRIPPER);
    quirk(f, VARVE_VIRTUAL_MODE_BLOCKS);
    assert_int_equal(machine_send(f, f->changer, CDB(0x1a, 8, 0x1d, 0, 255)), 0);
    assert_int_equal(varve_get_be16(f->answer.data + 4 + 4), 0);
    assert_int_equal(machine_send(f, f->changer, CDB(0x1a, 0, 0x1d, 0, 255)), 0);
    assert_true(f->answer.data[3] == 8 && f->answer.data[12] == 0x1d);
    assert_int_equal(machine_send(f, f->changer, CDB(0x5a, 0, 0x1d, 0, 0, 0, 0, 1, 0)), 0);
    assert_true(f->answer.data[7] == 8 && f->answer.data[16] == 0x1d);
    quirk(f, VARVE_VIRTUAL_NO_DBD);
    assert_int_equal(machine_send(f, f->changer, CDB(0x1a, 8, 0x1d, 0, 255)), 0x052400);
    quirk(f, VARVE_VIRTUAL_NO_INIT_RANGE);
    assert_int_equal(machine_send(f, f->changer, CDB(0x37)), 0x052000);
    assert_int_equal(machine_send(f, f->changer, CDB(0x07)), 0);
    assert_int_equal(machine_send(f, f->changer, CDB(0x1a, 0, 0x1f, 0, 255)), 0);
    assert_int_equal(f->answer.data[12 + 12], 0x0f);
    assert_int_equal(machine_send(f, f->changer, exchange), 0);
    quirk(f, VARVE_VIRTUAL_NO_EXCHANGE);
    assert_int_equal(machine_send(f, f->changer, CDB(0x1a, 0, 0x1f, 0, 255)), 0);
    assert_int_equal(f->answer.data[12 + 12], 0);
    assert_int_equal(machine_send(f, f->changer, exchange), 0x052000);
    quirk(f, VARVE_VIRTUAL_NO_PREVENT);
    assert_int_equal(machine_send(f, f->changer, CDB(0x1e, 0, 0, 0, 1)), 0x052000);
    assert_int_equal(machine_move(f, 1024, 7), 0x052101);
    quirk(f, VARVE_VIRTUAL_MOVE_FIELD);
    assert_int_equal(machine_move(f, 1024, 7), 0x052400);
    assert_int_equal(machine_send(f, f->changer, CDB(0x12, 0, 0, 0, 36)), 0);
    assert_int_equal(f->answer.data[6], 0);
    quirk(f, VARVE_VIRTUAL_MCHANGER);
    assert_int_equal(machine_send(f, f->changer, CDB(0x12, 0, 0, 0, 36)), 0);
    assert_int_equal(f->answer.data[6], 0x08);
    /* Shown in events.c, where their events are. */
    quirk(f, VARVE_VIRTUAL_DOOR_MANUAL);
    quirk(f, VARVE_VIRTUAL_EJECT_FIRST);
    quirk(f, VARVE_VIRTUAL_LOAD_AFTER);
    quirk(f, VARVE_VIRTUAL_MAGAZINE_SHRINK);
}

static void
test_exchange(void **state)
{
    struct machine *f = *state;
    assert_int_equal(machine_move(f, 1029, 1), 0); /* the gripper is needed for it */
    assert_int_equal(machine_send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 0, 4, 1, 4, 0)), 0x053b0d);
    assert_int_equal(machine_move(f, 1, 1029), 0);
    machine_load(f);
    /* 1025 -> drive, what is there -> 1024 */
    assert_int_equal(machine_send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 1, 1, 0, 4, 0)), 0);
    assert_int_equal(machine_status(f, 4, 1, 2), 0);
    assert_memory_equal(machine_descriptor(f, 0) + 12, "VRV00002", 8);
    assert_int_equal(machine_settle(f, f->drive), 0);
    /* 1024 -> drive, back the same way */
    assert_int_equal(machine_send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 0, 1, 0, 4, 0)), 0);
    assert_int_equal(machine_status(f, 2, 1, 2), 0);
    assert_memory_equal(machine_descriptor(f, 0) + 12, "VRV00002", 8);
    assert_int_equal(machine_send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 1, 1, 0, 4, 2)), 0x053b0e);
    assert_int_equal(machine_send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 0, 1, 0, 4, 2)), 0x053b0d);
    assert_int_equal(machine_send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 0, 1, 0, 4, 1, 1)),
                     0x052400);
    assert_int_equal(machine_send(f, f->drive, CDB(0x1e, 0, 0, 0, 1)), 0x062800);
    assert_int_equal(machine_send(f, f->drive, CDB(0x1e, 0, 0, 0, 1)), 0);
    assert_int_equal(machine_send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 0, 1, 0, 4, 1)), 0x055302);
    assert_int_equal(machine_send(f, f->changer, CDB(0x2b, 0, 0, 1, 4, 0)), 0);
    assert_int_equal(machine_send(f, f->changer, CDB(0x2b, 0, 0, 1, 0, 7)), 0x052101);
    assert_int_equal(machine_send(f, f->changer, CDB(0x2b, 0, 0, 1, 4, 0, 0, 0, 1)), 0x052400);
}

/* --- quirks of drives --- */

static void
test_sense_quirks(void **state)
{
    struct machine *f = *state;
    struct varve_scsi_sense sense;
    struct varve_error err = {0};
    machine_load(f);
    assert_int_equal(machine_write(f, 0), 0);
    quirk(f, VARVE_VIRTUAL_DESCRIPTOR_SENSE);
    struct varve_scsi_command c = {.cdb = {0x28, 0, 0, 0, 1, 0, 0, 0, 1}, .cdb_bytes = 10};
    assert_true(machine_execute(f, f->drive, &c, &err));
    assert_int_equal(c.sense[0], 0x72);
    varve_scsi_sense_decode(c.sense, c.sense_bytes, &sense);
    assert_true(sense.valid && sense.key == 5 && sense.asc == 0x21);
    assert_true(sense.has_information && sense.information == 256);
    assert_int_equal(machine_send(f, f->drive, CDB(0x5b, 1, 1, 0, 0, 1)), 0);
    struct varve_scsi_command ready = {.cdb_bytes = 6};
    assert_true(machine_execute(f, f->drive, &ready, &err));
    varve_scsi_sense_decode(ready.sense, ready.sense_bytes, &sense);
    assert_true(ready.sense[0] == 0x72 && sense.ascq == 0x07 && sense.has_progress);
    quirk(f, VARVE_VIRTUAL_NO_SKSV);
    ready = (struct varve_scsi_command){.cdb_bytes = 6};
    assert_true(machine_execute(f, f->drive, &ready, &err));
    varve_scsi_sense_decode(ready.sense, ready.sense_bytes, &sense);
    assert_true(sense.ascq == 0x07 && !sense.has_progress);
}

static void
test_busy_quirks(void **state)
{
    struct machine *f = *state;
    quirk(f, VARVE_VIRTUAL_TUR_BUSY);
    quirk(f, VARVE_VIRTUAL_NO_ATTENTION);
    assert_int_equal(machine_settle(f, f->drive), 0x023a00);
    assert_int_equal(machine_move(f, 1024, 256), 0);
    assert_int_equal(machine_send(f, f->drive, CDB(0x00)), 0); /* a lie, and no 6/28/00 */
    assert_int_equal(machine_send(f, f->drive, CDB(0x51, 0, 0, 0, 0, 0, 0, 0, 34)), 0x020401);
    assert_int_equal(machine_send(f, f->drive, CDB(0x51, 0, 0, 0, 0, 0, 0, 0, 34)), 0);
    quirk(f, VARVE_VIRTUAL_LONG_WRITE);
    unsigned long_writes = 0;
    for (uint32_t lba = 0; lba < 8 * 32;) {
        uint32_t sense = machine_write(f, lba);
        assert_true(sense == 0 || sense == 0x020408);
        lba += sense == 0 ? 32 : 0;
        long_writes += sense != 0 ? 1 : 0;
    }
    assert_int_equal(long_writes, 2);
}

static uint32_t
next_address(struct machine *f)
{
    assert_int_equal(machine_send(f, f->drive, CDB(0x52, 1, 0, 0, 0, 0xff, 0, 0, 36)), 0);
    return varve_get_be32(f->answer.data + 12);
}

static void
test_address_quirks(void **state)
{
    struct machine *f = *state;
    machine_load(f);
    quirk(f, VARVE_VIRTUAL_NWA_NEGATIVE);
    assert_int_equal(next_address(f), (uint32_t)-150);
    assert_int_equal(machine_write(f, 0), 0);
    assert_int_equal(next_address(f), 32);
    quirk(f, VARVE_VIRTUAL_NWA_STUCK);
    assert_int_equal(next_address(f), 0);
    assert_int_equal(machine_send(f, f->drive, CDB(0x25)), 0);
    assert_int_equal(varve_get_be32(f->answer.data), 31);
    quirk(f, VARVE_VIRTUAL_PADDED);
    assert_int_equal(machine_send(f, f->drive, CDB(0x25)), 0);
    assert_int_equal(varve_get_be32(f->answer.data), 181);
    assert_int_equal(machine_read(f, 40, 1), 0x052100);
    quirk(f, VARVE_VIRTUAL_BLANK_CHECK);
    assert_int_equal(machine_read(f, 40, 1), 0x080000);
    quirk(f, VARVE_VIRTUAL_READ_LOCKED);
    assert_int_equal(machine_read(f, 0, 1), 0x052c00);
    for (uint32_t lba = 32; lba < 2048; lba += 32)
        assert_int_equal(machine_write(f, lba), 0);
    assert_int_equal(machine_write(f, 2048), 0x056300);
    quirk(f, VARVE_VIRTUAL_FULL_RANGE);
    assert_int_equal(machine_write(f, 2048), 0x052100);
    assert_int_equal(machine_send(f, f->drive, CDB(0x5b, 0, 6)), 0);
    assert_int_equal(machine_read(f, 0, 1), 0); /* the burn is over */
    assert_int_equal(machine_write(f, 0), 0x053005);
    quirk(f, VARVE_VIRTUAL_CLOSED_MODE);
    assert_int_equal(machine_write(f, 0), 0x056400);
    assert_int_equal(machine_send(f, f->drive, CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 8)), 0);
    assert_int_equal(varve_get_be16(f->answer.data + 6), 0x0041);
    quirk(f, VARVE_VIRTUAL_ROM_PROFILE);
    assert_int_equal(machine_send(f, f->drive, CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 8)), 0);
    assert_int_equal(varve_get_be16(f->answer.data + 6), 0x0040);
}

static void
test_missing_commands(void **state)
{
    struct machine *f = *state;
    static const uint8_t structure[12] = {0xad, 1, 0, 0, 0, 0, 0, 0, 0, 116};
    machine_load(f);
    assert_int_equal(machine_send(f, f->drive, structure), 0);
    assert_memory_equal(f->answer.data + 4, "DI", 2);
    quirk(f, VARVE_VIRTUAL_NO_DI);
    assert_int_equal(machine_send(f, f->drive, structure), 0);
    assert_memory_equal(f->answer.data + 4, "\0\0", 2);
    assert_int_equal(machine_send(f, f->drive, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8)), 0);
    assert_int_equal(f->answer.data[5], 0x02);
    quirk(f, VARVE_VIRTUAL_NO_EVENTS);
    assert_int_equal(machine_send(f, f->drive, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8)), 0x052000);
    assert_int_equal(machine_send(f, f->drive, CDB(0x53, 0, 0, 0, 0, 0, 0, 0, 32)), 0);
    quirk(f, VARVE_VIRTUAL_NO_RESERVE);
    assert_int_equal(machine_send(f, f->drive, CDB(0x53, 0, 0, 0, 0, 0, 0, 0, 32)), 0x052000);
}

static void
test_deferred(void **state)
{
    struct machine *f = *state;
    struct varve_error err = {0};
    struct varve_scsi_sense sense;
    machine_load(f);
    quirk(f, VARVE_VIRTUAL_DEFERRED);
    machine_script(f, "now defect VRV00001 32..32 write");
    assert_int_equal(machine_write(f, 0), 0);
    assert_int_equal(machine_write(f, 32), 0);
    struct varve_scsi_command c = {.cdb_bytes = 6};
    assert_true(machine_execute(f, f->drive, &c, &err));
    varve_scsi_sense_decode(c.sense, c.sense_bytes, &sense);
    assert_true(sense.valid && sense.deferred && sense.key == 3 && sense.asc == 0x0c);
    assert_true(sense.has_information && sense.information == 32);
    assert_int_equal(machine_send(f, f->drive, CDB(0x00)), 0);
}

static void
test_every_quirk_was_shown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VARVE_VIRTUAL_QUIRK_COUNT; i++) {
        if (!(quirks_seen >> i & 1))
            fail_msg("quirk %s is not shown",
                     varve_virtual_quirk_name((enum varve_virtual_quirk)i));
    }
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_status_quirks),  CASE(test_descriptor_quirks),
        CASE(test_changer_quirks), CASE(test_exchange),
        CASE(test_sense_quirks),   CASE(test_busy_quirks),
        CASE(test_address_quirks), CASE(test_missing_commands),
        CASE(test_deferred),       cmocka_unit_test(test_every_quirk_was_shown),
    };
    return cmocka_run_group_tests_name("misbehaviour", tests, NULL, NULL);
}
