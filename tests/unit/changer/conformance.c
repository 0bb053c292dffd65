/* SPDX-License-Identifier: Apache-2.0 */
/* A changer with its first drive, seen through nothing but two SCSI ports, keeps the promises that
 * library and burner build on. Each check works on whatever addresses and discs it finds, so that
 * any port with a blank BD-R in some slot can be put behind it; main() puts the virtual library
 * there. */
#include "support.h"

#include "mmc_codec.h"
#include "smc_codec.h"

#include <string.h>

struct target {
    struct varve_scsi_port *changer, *drive;
    struct varve_smc_assignment map;
    uint16_t slot, drive_element; /* a slot with a blank disc; where `drive` is */
    struct test_answer answer;
    uint8_t data[64 * VARVE_SECTOR_BYTES];
    /* What main() needs to clean up. */
    char *dir;
    struct varve_virtual *folder;
    struct varve_clock_sim clock;
};

static uint32_t
send(struct target *t, struct varve_scsi_port *port, const struct varve_scsi_command *command)
{
    return test_send(port, command->cdb, command->cdb_bytes, &t->answer);
}

/* Sends until no unit attention is in the way, as every host must. */
static uint32_t
send_settled(struct target *t, struct varve_scsi_port *port,
             const struct varve_scsi_command *command)
{
    uint32_t sense = 0;
    for (unsigned i = 0; i < 10; i++) {
        sense = send(t, port, command);
        if (sense >> 16 != 6)
            return sense;
    }
    fail_msg("unit attentions do not end: %06x", sense);
    return sense;
}

static uint32_t
move(struct target *t, uint16_t from, uint16_t to)
{
    struct varve_scsi_command c;
    varve_smc_encode_move(
        &c, &(struct varve_smc_move){t->map.of[VARVE_ELEMENT_TRANSPORT].first, from, to, false});
    return send_settled(t, t->changer, &c);
}

static size_t
read_status(struct target *t, const struct varve_smc_status_request *request,
            struct varve_smc_element *ret, size_t max)
{
    struct varve_scsi_command c;
    int32_t cut;
    varve_smc_encode_read_status(&c, request, t->answer.data, sizeof t->answer.data);
    assert_int_equal(send_settled(t, t->changer, &c), 0);
    return varve_smc_decode_elements(t->answer.data, t->answer.received, request->type, ret, max,
                                     &cut);
}

static struct varve_smc_element
look_at(struct target *t, enum varve_element_type type, uint16_t address)
{
    struct varve_smc_element found[8];
    struct varve_smc_status_request one = {type, address, 1, true, true, false};
    assert_int_equal(read_status(t, &one, found, 8), 1);
    assert_int_equal(found[0].element.address, address);
    return found[0];
}

static void
wait_drive(struct target *t)
{
    struct varve_scsi_command c;
    varve_smc_encode_test_unit_ready(&c);
    for (unsigned i = 0; i < 300; i++) {
        uint32_t sense = send(t, t->drive, &c);
        if (sense == 0)
            return;
        if (sense >> 16 != 6 && sense != 0x020401)
            fail_msg("drive does not get ready: %06x", sense);
    }
    fail_msg("drive does not get ready in 300 polls");
}

static void
put_in_drive(struct target *t)
{
    if (!look_at(t, VARVE_ELEMENT_DRIVE, t->drive_element).element.full)
        assert_int_equal(move(t, t->slot, t->drive_element), 0);
    wait_drive(t);
}

static struct varve_mmc_track
track(struct target *t)
{
    struct varve_scsi_command c;
    struct varve_mmc_track ret;
    varve_mmc_encode_track_information(&c, 0xff, t->answer.data, 64);
    assert_int_equal(send_settled(t, t->drive, &c), 0);
    assert_true(varve_mmc_decode_track(t->answer.data, t->answer.received, &ret));
    return ret;
}

static struct varve_mmc_disc
disc(struct target *t)
{
    struct varve_scsi_command c;
    struct varve_mmc_disc ret;
    varve_mmc_encode_disc_information(&c, t->answer.data, 64);
    assert_int_equal(send_settled(t, t->drive, &c), 0);
    assert_true(varve_mmc_decode_disc(t->answer.data, t->answer.received, &ret));
    return ret;
}

static uint32_t
read_sectors(struct target *t, uint32_t lba, uint16_t count)
{
    struct varve_scsi_command c;
    varve_mmc_encode_read(&c, lba, count, t->answer.data);
    return send_settled(t, t->drive, &c);
}

static void
test_attention_once(void **state)
{
    struct target *t = *state;
    struct varve_scsi_command ready, inquiry;
    varve_smc_encode_test_unit_ready(&ready);
    varve_smc_encode_inquiry(&inquiry, t->answer.data, 96);
    assert_int_equal(send(t, t->changer, &inquiry), 0); /* INQUIRY leaves it pending */
    assert_int_equal(t->answer.data[0] & 0x1f, 0x08);
    assert_int_equal(send(t, t->changer, &ready) >> 8, 0x0629);
    assert_int_equal(send(t, t->changer, &ready), 0);
    assert_int_equal(send(t, t->drive, &inquiry), 0);
    assert_int_equal(t->answer.data[0] & 0x1f, 0x05);
    assert_int_equal(send(t, t->drive, &ready) >> 8, 0x0629);
    assert_int_equal(send(t, t->drive, &ready) >> 8, 0x023a);
}

static void
test_bad_commands(void **state)
{
    struct target *t = *state;
    static const struct {
        const char *name;
        bool changer;
        uint8_t cdb[12];
        uint32_t sense;
    } cases[] = {
        {"unknown opcode", true, {0xc1}, 0x052000},
        {"READ on a changer", true, {0x28}, 0x052000},
        {"EXCHANGE from nowhere", true, {0xa6}, 0x052101},
        {"element type 5", true, {0xb8, 0x05, 0, 0, 0, 1, 0, 0, 1, 0}, 0x052400},
        {"mode page 3Eh", true, {0x1a, 0x08, 0x3e, 0, 255}, 0x052400},
        {"saved mode page", true, {0x1a, 0x08, 0xdd, 0, 255}, 0x053900},
        {"VPD page C7h", true, {0x12, 0x01, 0xc7, 0, 255}, 0x052400},
        {"page without EVPD", true, {0x12, 0x00, 0x80, 0, 255}, 0x052400},
        {"MOVE from nowhere", true, {0xa5, 0, 0, 0, 0xff, 0xff, 0, 1}, 0x052101},
        {"unknown opcode", false, {0xc1}, 0x052000},
        {"MOVE on a drive", false, {0xa5}, 0x052000},
        {"READ without medium", false, {0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 0x023a00},
        {"WRITE without medium", false, {0x2a, 0, 0, 0, 0, 0, 0, 0, 0}, 0x023a00},
        {"disc information without medium", false, {0x51, 0, 0, 0, 0, 0, 0, 0, 34}, 0x023a00},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_scsi_command c = {.cdb_bytes = 12};
        memcpy(c.cdb, cases[i].cdb, 12);
        uint32_t got = send_settled(t, cases[i].changer ? t->changer : t->drive, &c);
        if (got != cases[i].sense)
            fail_msg("%s: %06x instead of %06x", cases[i].name, got, cases[i].sense);
    }
}

static void
test_element_status(void **state)
{
    struct target *t = *state;
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++) {
        const struct varve_smc_range *range = &t->map.of[type];
        struct varve_smc_element found[256];
        struct varve_smc_status_request all = {
            (enum varve_element_type)type, 0, 255, true, true, false};
        size_t count = read_status(t, &all, found, 256);
        assert_int_equal(count, range->count);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(found[i].element.address, range->first + i);
        if (count < 2)
            continue;
        struct varve_smc_status_request second = {
            (enum varve_element_type)type, (uint16_t)(range->first + 1), 1, false, true, false};
        assert_int_equal(read_status(t, &second, found, 256), 1);
        assert_int_equal(found[0].element.address, range->first + 1);
        assert_string_equal(found[0].element.barcode.text, "");
    }
    struct varve_smc_element drive[64];
    struct varve_smc_status_request named = {VARVE_ELEMENT_DRIVE, 0, 64, true, true, true};
    assert_true(read_status(t, &named, drive, 64) > 0);
    struct varve_scsi_command c;
    char serial[33];
    varve_smc_encode_inquiry_vpd(&c, 0x80, t->answer.data, 255);
    assert_int_equal(send_settled(t, t->drive, &c), 0);
    assert_true(varve_smc_decode_serial(t->answer.data, t->answer.received, serial));
    assert_non_null(strstr(drive[0].device_id, serial));
}

static void
test_allocation_length(void **state)
{
    struct target *t = *state;
    const uint8_t status[12] = {0xb8, 0x12, 0, 0, 0, 255, 0, 0, 0, 8};
    assert_int_equal(test_send(t->changer, status, 12, &t->answer) >> 16, 6);
    assert_int_equal(test_send(t->changer, status, 12, &t->answer), 0);
    assert_int_equal(t->answer.received, 8);
    /* The header tells what a long enough buffer would get. */
    assert_int_equal(t->answer.data[7], 8 + t->map.of[VARVE_ELEMENT_SLOT].count * 52);
    const uint8_t inquiry[6] = {0x12, 0, 0, 0, 5};
    assert_int_equal(test_send(t->changer, inquiry, 6, &t->answer), 0);
    assert_int_equal(t->answer.received, 5);
}

static void
test_moves(void **state)
{
    struct target *t = *state;
    uint16_t mail = t->map.of[VARVE_ELEMENT_MAIL_SLOT].first;
    struct varve_barcode tag = look_at(t, VARVE_ELEMENT_SLOT, t->slot).element.barcode;
    assert_int_equal(move(t, mail, t->slot), 0x053b0e);
    assert_int_equal(move(t, (uint16_t)(t->slot + 1), t->slot), 0x053b0d);
    assert_int_equal(move(t, t->slot, mail), 0);
    struct varve_smc_element there = look_at(t, VARVE_ELEMENT_MAIL_SLOT, mail);
    assert_true(there.element.full && there.element.has_source);
    assert_int_equal(there.element.source, t->slot);
    assert_string_equal(there.element.barcode.text, tag.text);
    assert_false(look_at(t, VARVE_ELEMENT_SLOT, t->slot).element.full);
    assert_int_equal(move(t, mail, t->slot), 0);
    assert_int_equal(move(t, t->slot, t->slot), 0x053b0d);
}

static void
test_load_makes_ready(void **state)
{
    struct target *t = *state;
    struct varve_scsi_command ready;
    varve_smc_encode_test_unit_ready(&ready);
    assert_int_equal(send_settled(t, t->drive, &ready) >> 8, 0x023a);
    assert_int_equal(move(t, t->slot, t->drive_element), 0);
    assert_int_equal(send(t, t->drive, &ready), 0x062800);
    assert_int_equal(send(t, t->drive, &ready), 0x020401);
    wait_drive(t);
    struct varve_scsi_command c;
    uint16_t profile;
    varve_mmc_encode_get_configuration(&c, t->answer.data, 256);
    assert_int_equal(send(t, t->drive, &c), 0);
    assert_true(varve_mmc_decode_profile(t->answer.data, t->answer.received, &profile));
    assert_int_equal(profile, VARVE_MMC_PROFILE_BD_R);
    /* A locked tray keeps its disc; unlocked it gives it. */
    varve_smc_encode_prevent(&c, true);
    assert_int_equal(send(t, t->drive, &c), 0);
    assert_int_equal(move(t, t->drive_element, t->slot), 0x055302);
    varve_mmc_encode_start_stop(&c, VARVE_MMC_EJECT);
    assert_int_equal(send(t, t->drive, &c), 0x055302);
    varve_smc_encode_prevent(&c, false);
    assert_int_equal(send(t, t->drive, &c), 0);
    varve_mmc_encode_start_stop(&c, VARVE_MMC_EJECT);
    assert_int_equal(send(t, t->drive, &c), 0);
    assert_int_equal(send(t, t->drive, &ready), 0x023a02);
    varve_mmc_encode_start_stop(&c, VARVE_MMC_LOAD);
    assert_int_equal(send(t, t->drive, &c), 0);
    wait_drive(t);
    assert_int_equal(move(t, t->drive_element, t->slot), 0);
    assert_int_equal(send_settled(t, t->drive, &ready) >> 8, 0x023a);
}

static void
test_write_once(void **state)
{
    struct target *t = *state;
    put_in_drive(t);
    assert_int_equal(disc(t).status, VARVE_MMC_DISC_BLANK);
    struct varve_mmc_track before = track(t);
    assert_true(before.next_valid && before.blank);
    assert_int_equal(before.next, 0);
    uint32_t capacity = before.free;
    assert_int_equal(read_sectors(t, 0, 1), 0x052100);
    assert_int_equal(test_write(t->drive, 32, 32, t->data), 0x052102);
    assert_int_equal(test_write(t->drive, 0, 64, t->data), 0);
    assert_int_equal(track(t).next, 64);
    assert_int_equal(track(t).free, capacity - 64);
    assert_int_equal(track(t).last, 63);
    assert_int_equal(disc(t).status, VARVE_MMC_DISC_APPENDABLE);
    assert_int_equal(test_write(t->drive, 0, 32, t->data), 0x052102);
    assert_int_equal(test_write(t->drive, 96, 32, t->data), 0x052102);
    assert_int_equal(read_sectors(t, 0, 32), 0);
    assert_memory_equal(t->answer.data, t->data, VARVE_CLUSTER_BYTES);
    assert_int_equal(read_sectors(t, 63, 2), 0x052100);
    /* A burst that is no whole cluster: the drive fills it up. */
    assert_int_equal(test_write(t->drive, 64, 3, t->data), 0);
    assert_int_equal(track(t).next, 96);
    assert_int_equal(read_sectors(t, 66, 2), 0);
    static const uint8_t zeros[VARVE_SECTOR_BYTES];
    assert_memory_equal(t->answer.data, t->data + 2 * VARVE_SECTOR_BYTES, VARVE_SECTOR_BYTES);
    assert_memory_equal(t->answer.data + VARVE_SECTOR_BYTES, zeros, VARVE_SECTOR_BYTES);
    /* It stays so through a trip to the slot. */
    assert_int_equal(move(t, t->drive_element, t->slot), 0);
    put_in_drive(t);
    assert_int_equal(track(t).next, 96);
}

static void
test_capacity_ends(void **state)
{
    struct target *t = *state;
    put_in_drive(t);
    struct varve_mmc_track now = track(t);
    while (now.free > 64) {
        assert_int_equal(test_write(t->drive, now.next, 64, t->data), 0);
        now = track(t);
    }
    assert_int_equal(test_write(t->drive, now.next, (uint16_t)(now.free), t->data), 0);
    assert_int_equal(track(t).free, 0);
    assert_int_equal(test_write(t->drive, now.next + now.free, 32, t->data), 0x056300);
}

static void
close_disc(struct target *t, enum varve_mmc_close what)
{
    struct varve_scsi_command c, ready;
    varve_mmc_encode_close(&c, what, what == VARVE_MMC_CLOSE_TRACK ? 1 : 0, true);
    varve_smc_encode_test_unit_ready(&ready);
    assert_int_equal(send_settled(t, t->drive, &c), 0);
    for (unsigned i = 0; i < 100; i++) {
        uint32_t sense = send(t, t->drive, &ready);
        if (sense == 0)
            return;
        assert_int_equal(sense, 0x020407);
    }
    fail_msg("closing does not end");
}

static void
test_close(void **state)
{
    struct target *t = *state;
    struct varve_scsi_command c;
    put_in_drive(t);
    assert_int_equal(test_write(t->drive, 0, 32, t->data), 0);
    varve_mmc_encode_synchronize(&c, false);
    assert_int_equal(send_settled(t, t->drive, &c), 0);
    close_disc(t, VARVE_MMC_CLOSE_TRACK);
    assert_int_equal(disc(t).status, VARVE_MMC_DISC_APPENDABLE);
    assert_int_equal(track(t).next, 32);
    close_disc(t, VARVE_MMC_FINALISE);
    assert_int_equal(disc(t).status, VARVE_MMC_DISC_FINALISED);
    assert_int_equal(disc(t).last_session, 3);
    assert_int_equal(test_write(t->drive, 32, 32, t->data), 0x053005);
    varve_mmc_encode_read_capacity(&c, t->answer.data);
    assert_int_equal(send(t, t->drive, &c), 0);
    uint64_t sectors;
    assert_true(varve_mmc_decode_capacity(t->answer.data, t->answer.received, &sectors));
    assert_int_equal(sectors, 32);
    varve_mmc_encode_track_information(&c, 0xff, t->answer.data, 64);
    assert_int_equal(send(t, t->drive, &c), 0x052400);
    assert_int_equal(read_sectors(t, 0, 32), 0);
    assert_memory_equal(t->answer.data, t->data, VARVE_CLUSTER_BYTES);
    assert_int_equal(read_sectors(t, 32, 1), 0x052100);
    close_disc(t, VARVE_MMC_FINALISE); /* closing what is closed is no error */
}

static void
discover(struct target *t)
{
    struct varve_error err = {0};
    struct varve_scsi_command c;
    const uint8_t sense_page[6] = {0x1a, 0x08, 0x1d, 0, 255, 0};
    struct varve_scsi_port *port = t->changer;
    /* The attentions are left for the tests: MODE SENSE gets one and tries again on its own port.
     */
    memcpy(c.cdb, sense_page, 6);
    c.cdb_bytes = 6;
    assert_int_equal(send_settled(t, port, &c), 0);
    EXPECT_OK(varve_smc_decode_assignment(t->answer.data, t->answer.received, &t->map, &err), err);
    t->drive_element = t->map.of[VARVE_ELEMENT_DRIVE].first;
    t->slot = t->map.of[VARVE_ELEMENT_SLOT].first;
}

static void
open_ports(struct target *t)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_virtual_changer_port(t->folder, &t->changer, &err), err);
    EXPECT_OK(varve_virtual_drive_port(t->folder, 0, &t->drive, &err), err);
}

static int
setup(void **state)
{
    struct target *t = calloc(1, sizeof *t);
    struct varve_error err = {0};
    assert_non_null(t);
    t->dir = test_dir_new();
    varve_clock_sim_init(&t->clock, 0);
    struct varve_virtual_options options = {
        .slots = 3, .drives = 2, .mail_slots = 1, .disc_bytes = TEST_DISC_BYTES};
    EXPECT_OK(varve_virtual_create(t->dir, &options, &err), err);
    EXPECT_OK(varve_virtual_open(t->dir, &t->clock.clock, &t->folder, &err), err);
    test_fill(t->data, sizeof t->data, 7);
    open_ports(t);
    discover(t);
    t->changer->close(t->changer);
    t->drive->close(t->drive);
    open_ports(t);
    *state = t;
    return 0;
}

static int
teardown(void **state)
{
    struct target *t = *state;
    t->changer->close(t->changer);
    t->drive->close(t->drive);
    varve_virtual_close(t->folder);
    test_dir_done(t->dir);
    free(t);
    return 0;
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_attention_once),    CASE(test_bad_commands),  CASE(test_element_status),
        CASE(test_allocation_length), CASE(test_moves),         CASE(test_load_makes_ready),
        CASE(test_write_once),        CASE(test_capacity_ends), CASE(test_close),
    };
    return cmocka_run_group_tests_name("conformance", tests, NULL, NULL);
}
