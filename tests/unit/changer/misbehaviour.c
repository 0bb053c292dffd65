/* SPDX-License-Identifier: Apache-2.0 */
/* Each action of a rule, each condition, and every single quirk does to a host's commands what
 * docs/virtual-library.md says; the same seed does the same again. */
#include "support.h"

#include "smc_codec.h"
#include "virtual_internal.h"

#include <string.h>
#include <varve/byteorder.h>

struct fixture {
    char *dir;
    struct varve_clock_sim clock;
    struct varve_virtual *folder;
    struct varve_scsi_port *changer, *drive;
    struct test_answer answer;
    uint8_t data[65536];
};
static uint64_t quirks_seen;

static uint32_t
send(struct fixture *f, struct varve_scsi_port *port, const uint8_t *cdb)
{
    return test_send(port, cdb, 12, &f->answer);
}
#define CDB(...) ((const uint8_t[12]){__VA_ARGS__})

static uint32_t
settle(struct fixture *f, struct varve_scsi_port *port)
{
    uint32_t sense = 0;
    for (unsigned i = 0; i < 20; i++) {
        sense = send(f, port, CDB(0x00));
        if (sense >> 16 != 6 && sense != 0x020401)
            return sense;
    }
    return sense;
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct varve_error err = {0};
    assert_non_null(f);
    f->dir = test_dir_new();
    varve_clock_sim_init(&f->clock, 1000 * VARVE_NS_PER_SECOND);
    struct varve_virtual_options options = {
        .slots = 6, .drives = 2, .mail_slots = 2, .disc_bytes = 4u << 20};
    EXPECT_OK(varve_virtual_create(f->dir, &options, &err), err);
    EXPECT_OK(varve_virtual_open(f->dir, &f->clock.clock, &f->folder, &err), err);
    EXPECT_OK(varve_virtual_changer_port(f->folder, &f->changer, &err), err);
    EXPECT_OK(varve_virtual_drive_port(f->folder, 0, &f->drive, &err), err);
    assert_int_equal(settle(f, f->changer), 0);
    test_fill(f->data, sizeof f->data, 0);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    f->changer->close(f->changer);
    f->drive->close(f->drive);
    varve_virtual_close(f->folder);
    test_dir_done(f->dir);
    free(f);
    return 0;
}

static void
script(struct fixture *f, const char *text)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_virtual_script(f->folder, text, &err), err);
}

static void
quirk(struct fixture *f, enum varve_virtual_quirk which)
{
    char line[100];
    quirks_seen |= UINT64_C(1) << which;
    (void)snprintf(line, sizeof line, "quirk %s", varve_virtual_quirk_name(which));
    script(f, line);
}

static uint32_t
move(struct fixture *f, uint16_t from, uint16_t to)
{
    return send(
        f, f->changer,
        CDB(0xa5, 0, 0, 1, (uint8_t)(from >> 8), (uint8_t)from, (uint8_t)(to >> 8), (uint8_t)to));
}

static void
load(struct fixture *f)
{
    assert_int_equal(move(f, 1024, 256), 0);
    assert_int_equal(settle(f, f->drive), 0);
}

static uint32_t
write_at(struct fixture *f, uint32_t lba)
{
    return test_write(f->drive, lba, 32, f->data);
}

static uint32_t
read_at(struct fixture *f, uint32_t lba, uint8_t count)
{
    return send(f, f->drive, CDB(0x28, 0, 0, 0, (uint8_t)(lba >> 8), (uint8_t)lba, 0, 0, count));
}

/* READ ELEMENT STATUS as raw bytes; type 2 with bar codes if nothing else is said. */
static uint32_t
status(struct fixture *f, uint8_t type, uint16_t count, uint8_t byte6)
{
    memset(f->answer.data, 0, sizeof f->answer.data);
    return send(f, f->changer,
                CDB(0xb8, (uint8_t)(0x10 | type), 0, 0, (uint8_t)(count >> 8), (uint8_t)count,
                    byte6, 0, 0x40, 0));
}

static const uint8_t *
descriptor(const struct fixture *f, unsigned index)
{
    return f->answer.data + 16 + index * 52u;
}

/* --- rules --- */

static bool
execute(struct fixture *f, struct varve_scsi_port *port, struct varve_scsi_command *command,
        struct varve_error *err)
{
    command->data = f->answer.data;
    command->data_bytes = sizeof f->answer.data;
    command->timeout_ms = 60000;
    return port->execute(port, command, err);
}

static void
test_statuses(void **state)
{
    struct fixture *f = *state;
    static const uint8_t wanted[] = {0x08, 0x18, 0x28, 0x40};
    struct varve_error err = {0};
    script(f,
           "on changer ready: busy\non changer ready: conflict\non changer ready: task-set-full\n"
           "on changer ready: aborted\n");
    for (unsigned i = 0; i < 4; i++) {
        struct varve_scsi_command c = {.cdb_bytes = 6};
        assert_true(execute(f, f->changer, &c, &err));
        assert_true(c.status == wanted[i] && c.sense_bytes == 0);
    }
    assert_int_equal(send(f, f->changer, CDB(0x00)), 0);
}

static void
test_lost_and_dead(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_scsi_command c = {.cdb = {0xa5, 0, 0, 1, 4, 0, 4, 6}, .cdb_bytes = 12};
    c.cdb[6] = 1;
    c.cdb[7] = 0;
    script(f, "on changer move: drop\non changer move after: drop\non changer move after: dead");
    assert_false(execute(f, f->changer, &c, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY);
    assert_false(execute(f, f->changer, &c, &err)); /* this one was carried out */
    assert_int_equal(settle(f, f->drive), 0);
    assert_false(execute(f, f->changer, &c, &err));
    assert_int_equal(err.kind, VARVE_ERROR_HARDWARE);
    assert_false(execute(f, f->changer, &c, &err));
    f->changer->close(f->changer);
    EXPECT_OK(varve_virtual_changer_port(f->folder, &f->changer, &err), err);
    assert_int_equal(settle(f, f->changer), 0);
}

static void
test_delay(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    int64_t before = varve_clock_monotonic(&f->clock.clock);
    script(f, "on changer ready: delay 5s\non changer move: delay 100s");
    assert_int_equal(send(f, f->changer, CDB(0x00)), 0);
    assert_int_equal(varve_clock_monotonic(&f->clock.clock) - before, 5 * VARVE_NS_PER_SECOND);
    struct varve_scsi_command c = {.cdb = {0xa5, 0, 0, 1, 4, 0, 1, 0}, .cdb_bytes = 12};
    assert_false(execute(f, f->changer, &c, &err)); /* the host waits a minute, the arm moves */
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY);
    assert_int_equal(varve_clock_monotonic(&f->clock.clock) - before, 65 * VARVE_NS_PER_SECOND);
    assert_int_equal(settle(f, f->drive), 0);
}

static void
test_data(void **state)
{
    struct fixture *f = *state;
    struct test_answer whole;
    assert_int_equal(status(f, 2, 6, 2), 0);
    whole = f->answer;
    script(f, "on changer status: cut 100\non changer status: garble 40\n"
              "on drive 0 write: corrupt\non drive 0 read nth 2: corrupt");
    assert_int_equal(status(f, 2, 6, 2), 0);
    assert_int_equal(f->answer.received, 100);
    assert_memory_equal(f->answer.data, whole.data, 100);
    assert_int_equal(status(f, 2, 6, 2), 0);
    assert_int_equal(f->answer.received, whole.received);
    assert_memory_not_equal(f->answer.data, whole.data, whole.received);
    load(f);
    assert_int_equal(write_at(f, 0), 0);
    assert_int_equal(write_at(f, 32), 0);
    assert_int_equal(read_at(f, 0, 32), 0);
    assert_memory_not_equal(f->answer.data, f->data, 65536); /* so it is on the disc */
    assert_int_equal(read_at(f, 32, 32), 0);
    assert_memory_not_equal(f->answer.data, f->data, 65536);
    assert_int_equal(read_at(f, 32, 32), 0);
    assert_memory_equal(f->answer.data, f->data, 65536);
}

static void
test_stick_and_misplace(void **state)
{
    struct fixture *f = *state;
    script(f, "on changer move: stick\non changer move from 1025: misplace 16");
    assert_int_equal(move(f, 1024, 256), 0x041501);
    assert_int_equal(settle(f, f->drive), 0x023a00);
    assert_int_equal(move(f, 1, 1024), 0);
    assert_int_equal(move(f, 1025, 256), 0);
    assert_int_equal(settle(f, f->drive), 0x023a00);
    assert_int_equal(move(f, 16, 1025), 0);
    script(f, "on changer move: stick, sense 4/3B/16");
    assert_int_equal(move(f, 1024, 256), 0x043b16);
    assert_int_equal(move(f, 1, 256), 0);
}

static void
test_conditions(void **state)
{
    struct fixture *f = *state;
    script(f, "on changer move from 1026: sense 4/01/01\non changer move to 257: sense 4/01/02\n"
              "on changer move element 1027: sense 4/01/03\n"
              "on changer move disc VRV00005: sense 4/01/04\n"
              "on drive any read disc VRV00002: sense 4/01/05\n"
              "on drive 0 write lba 100..200 nth 2 times 2: sense 4/01/06\n"
              "on changer status element 1024..1025: sense 4/01/07");
    assert_int_equal(move(f, 1024, 256), 0);
    assert_int_equal(settle(f, f->drive), 0);
    assert_int_equal(write_at(f, 0), 0);
    assert_int_equal(write_at(f, 32), 0);
    assert_int_equal(write_at(f, 64), 0);
    assert_int_equal(write_at(f, 96), 0); /* the first that touches 100..200 */
    assert_int_equal(write_at(f, 128), 0x040106);
    assert_int_equal(write_at(f, 128), 0x040106);
    assert_int_equal(write_at(f, 128), 0);
    assert_int_equal(read_at(f, 0, 1), 0);
    assert_int_equal(move(f, 1026, 1024), 0x040101);
    assert_int_equal(move(f, 1026, 1024), 0);
    assert_int_equal(move(f, 1025, 257), 0x040102);
    assert_int_equal(move(f, 1027, 257), 0x040103);
    assert_int_equal(move(f, 1028, 257), 0x040104);
    assert_int_equal(move(f, 256, 1026), 0);
    assert_int_equal(move(f, 1025, 256), 0);
    assert_int_equal(settle(f, f->drive), 0);
    assert_int_equal(read_at(f, 0, 1), 0x040105);
    assert_int_equal(status(f, 2, 1, 2), 0); /* starts at 0 */
    assert_int_equal(send(f, f->changer, CDB(0xb8, 2, 4, 1, 0, 1, 2, 0, 1, 0)), 0x040107);
}

static void
test_counts(void **state)
{
    struct fixture *f = *state;
    unsigned busy = 0;
    script(f, "on changer ready every 3: sense 2/04/07 progress 32768");
    for (unsigned i = 1; i <= 9; i++)
        assert_int_equal(send(f, f->changer, CDB(0x00)), i % 3 == 0 ? 0x020407 : 0);
    varve_virtual_calm(f->folder);
    script(f, "on changer ready always times 2: sense 2/04/07");
    for (unsigned i = 1; i <= 3; i++)
        busy += send(f, f->changer, CDB(0x00)) != 0 ? 1 : 0;
    assert_int_equal(busy, 2);
    script(f, "on drive any ready: sense 5/01/01"); /* once on each drive */
    (void)settle(f, f->drive);
    struct varve_scsi_port *second;
    struct varve_error err = {0};
    EXPECT_OK(varve_virtual_drive_port(f->folder, 1, &second, &err), err);
    assert_int_equal(send(f, second, CDB(0x00)), 0x050101);
    second->close(second);
}

static uint64_t
throw_dice(struct fixture *f, const char *seed)
{
    uint64_t bits = 0;
    varve_virtual_calm(f->folder);
    script(f, seed);
    script(f, "on changer ready chance 1/4: sense 2/04/07");
    for (unsigned i = 0; i < 64; i++)
        bits = bits << 1 | (send(f, f->changer, CDB(0x00)) != 0);
    return bits;
}

static void
test_seed_replays(void **state)
{
    struct fixture *f = *state;
    uint64_t first = throw_dice(f, "seed 7"), again = throw_dice(f, "seed 7");
    assert_true(first == again);
    assert_true(first != throw_dice(f, "seed 8"));
    int fired = __builtin_popcountll(first);
    assert_true(fired > 4 && fired < 40);
}

static void
test_event_in_a_rule(void **state)
{
    struct fixture *f = *state;
    script(f, "on drive 0 write nth 2: door-force, swap 1025 1026\n"
              "on drive 0 write nth 3 after: take 256");
    load(f);
    assert_int_equal(write_at(f, 0), 0);
    assert_int_equal(send(f, f->changer, CDB(0x00)), 0);
    assert_int_equal(write_at(f, 32), 0);
    assert_int_equal(send(f, f->changer, CDB(0x00)), 0x023a02);
    assert_int_equal(write_at(f, 64), 0);
    assert_int_equal(write_at(f, 96), 0x023a00);
}

/* --- quirks of the changer --- */

static void
test_status_quirks(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(status(f, 2, 2, 2), 0);
    assert_int_equal(f->answer.received, 16 + 2 * 52);
    assert_int_equal(varve_get_be16(f->answer.data), 1024);
    quirk(f, VARVE_VIRTUAL_STATUS_SHORT);
    assert_int_equal(status(f, 2, 2, 2), 0);
    assert_int_equal(f->answer.received, 8 + 2 * 52);
    assert_int_equal(varve_get_be24(f->answer.data + 5), 8 + 2 * 52);
    varve_virtual_calm(f->folder);
    quirk(f, VARVE_VIRTUAL_STATUS_COUNT);
    assert_int_equal(status(f, 2, 2, 2), 0);
    assert_int_equal(varve_get_be16(f->answer.data + 2), 6);
    quirk(f, VARVE_VIRTUAL_STATUS_JUNK);
    assert_int_equal(status(f, 2, 2, 2), 0);
    assert_int_equal(varve_get_be16(f->answer.data), 0x0403);
    varve_virtual_calm(f->folder);
    assert_int_equal(status(f, 0, 255, 2), 0);
    uint32_t all = f->answer.received;
    quirk(f, VARVE_VIRTUAL_STATUS_OVERLAP);
    assert_int_equal(status(f, 0, 255, 2), 0);
    assert_int_equal(f->answer.received, all - 16);
    assert_int_equal(status(f, 2, 6, 2), 0); /* one type at a time is right */
    assert_int_equal(f->answer.received, 16 + 6 * 52);
    quirk(f, VARVE_VIRTUAL_STATUS_STRICT);
    assert_int_equal(send(f, f->changer, CDB(0xb8, 2, 0, 0, 0, 9, 2, 1, 0, 0)), 0);
    assert_int_equal(send(f, f->changer, CDB(0xb8, 2, 0, 0, 0, 9, 2, 1, 0, 1)), 0x052400);
    varve_virtual_calm(f->folder);
    quirk(f, VARVE_VIRTUAL_DESCENDING);
    assert_int_equal(status(f, 2, 6, 2), 0);
    assert_int_equal(varve_get_be16(descriptor(f, 0)), 1029);
    assert_int_equal(varve_get_be16(descriptor(f, 5)), 1024);
    varve_virtual_calm(f->folder);
    quirk(f, VARVE_VIRTUAL_ZERO_ADDRESS);
    assert_int_equal(status(f, 2, 6, 2), 0);
    assert_int_equal(f->answer.received, 16 + 7 * 52);
    assert_int_equal(varve_get_be16(descriptor(f, 6)), 0);
    varve_virtual_calm(f->folder);
    quirk(f, VARVE_VIRTUAL_EMPTY_PAGES);
    assert_int_equal(status(f, 2, 6, 2), 0);
    assert_int_equal(varve_get_be16(f->answer.data + 2), 7);
    assert_int_equal(f->answer.received, 16 + 6 * 52 + 8);
}

static void
test_descriptor_quirks(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(move(f, 1024, 256), 0);
    assert_int_equal(move(f, 256, 1024), 0);
    assert_int_equal(status(f, 2, 1, 2), 0);
    assert_int_equal(descriptor(f, 0)[2], 0x09);
    assert_true(descriptor(f, 0)[9] == 0x80 && varve_get_be16(descriptor(f, 0) + 10) == 1024);
    assert_int_equal(descriptor(f, 0)[12 + 8], ' ');
    quirk(f, VARVE_VIRTUAL_LABEL_NOISE);
    assert_int_equal(status(f, 2, 1, 2), 0);
    assert_int_equal(descriptor(f, 0)[12 + 8], 0x01);
    quirk(f, VARVE_VIRTUAL_STATUS_FLAGS);
    assert_int_equal(status(f, 3, 1, 2), 0);
    assert_int_equal(descriptor(f, 0)[2], 0);
    quirk(f, VARVE_VIRTUAL_NO_SOURCE);
    assert_int_equal(status(f, 2, 1, 2), 0);
    assert_int_equal(descriptor(f, 0)[9], 0);
    varve_virtual_calm(f->folder);
    quirk(f, VARVE_VIRTUAL_STATUS_SOURCE);
    assert_int_equal(move(f, 1024, 256), 0);
    assert_int_equal(move(f, 256, 1024), 0);
    assert_int_equal(status(f, 2, 1, 2), 0);
    assert_int_equal(varve_get_be16(descriptor(f, 0) + 10), 256);
    assert_int_equal(status(f, 4, 1, 3), 0);
    const char *serial = (const char *)f->answer.data + 16 + 52 + 24;
    assert_true(serial[0] == 'D' && serial[9] != ' ');
    quirk(f, VARVE_VIRTUAL_DVCID_CUT);
    assert_int_equal(status(f, 4, 1, 3), 0);
    assert_true(serial[0] == 'D' && serial[2] == ' ');
    quirk(f, VARVE_VIRTUAL_NO_DVCID);
    assert_int_equal(status(f, 4, 1, 3), 0x052400);
    quirk(f, VARVE_VIRTUAL_NO_CURDATA);
    assert_int_equal(status(f, 2, 1, 2), 0x052400);
    assert_int_equal(status(f, 2, 1, 0), 0);
    quirk(f, VARVE_VIRTUAL_NO_VOLTAG);
    assert_int_equal(status(f, 2, 1, 0), 0x052400);
}

static void
test_changer_quirks(void **state)
{
    struct fixture *f = *state;
    static const uint8_t exchange[12] = {0xa6, 0, 0, 1, 4, 0, 4, 1, 4, 0};
    assert_int_equal(send(f, f->changer, CDB(0x1a, 8, 0x1d, 0, 255)), 0);
    assert_int_equal(f->answer.received, 24);
    assert_int_equal(varve_get_be16(f->answer.data + 4 + 4), 1);
    quirk(f, VARVE_VIRTUAL_NO_GRIPPER);
    quirk(f, VARVE_VIRTUAL_MODE_BLOCKS);
    assert_int_equal(send(f, f->changer, CDB(0x1a, 8, 0x1d, 0, 255)), 0);
    assert_int_equal(varve_get_be16(f->answer.data + 4 + 4), 0);
    assert_int_equal(send(f, f->changer, CDB(0x1a, 0, 0x1d, 0, 255)), 0);
    assert_true(f->answer.data[3] == 8 && f->answer.data[12] == 0x1d);
    assert_int_equal(send(f, f->changer, CDB(0x5a, 0, 0x1d, 0, 0, 0, 0, 1, 0)), 0);
    assert_true(f->answer.data[7] == 8 && f->answer.data[16] == 0x1d);
    quirk(f, VARVE_VIRTUAL_NO_DBD);
    assert_int_equal(send(f, f->changer, CDB(0x1a, 8, 0x1d, 0, 255)), 0x052400);
    quirk(f, VARVE_VIRTUAL_NO_INIT_RANGE);
    assert_int_equal(send(f, f->changer, CDB(0x37)), 0x052000);
    assert_int_equal(send(f, f->changer, CDB(0x07)), 0);
    assert_int_equal(send(f, f->changer, CDB(0x1a, 0, 0x1f, 0, 255)), 0);
    assert_int_equal(f->answer.data[12 + 12], 0x0f);
    assert_int_equal(send(f, f->changer, exchange), 0);
    quirk(f, VARVE_VIRTUAL_NO_EXCHANGE);
    assert_int_equal(send(f, f->changer, CDB(0x1a, 0, 0x1f, 0, 255)), 0);
    assert_int_equal(f->answer.data[12 + 12], 0);
    assert_int_equal(send(f, f->changer, exchange), 0x052000);
    quirk(f, VARVE_VIRTUAL_NO_PREVENT);
    assert_int_equal(send(f, f->changer, CDB(0x1e, 0, 0, 0, 1)), 0x052000);
    assert_int_equal(move(f, 1024, 7), 0x052101);
    quirk(f, VARVE_VIRTUAL_MOVE_FIELD);
    assert_int_equal(move(f, 1024, 7), 0x052400);
    assert_int_equal(send(f, f->changer, CDB(0x12, 0, 0, 0, 36)), 0);
    assert_int_equal(f->answer.data[6], 0);
    quirk(f, VARVE_VIRTUAL_MCHANGER);
    assert_int_equal(send(f, f->changer, CDB(0x12, 0, 0, 0, 36)), 0);
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
    struct fixture *f = *state;
    assert_int_equal(move(f, 1029, 1), 0); /* the gripper is needed for it */
    assert_int_equal(send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 0, 4, 1, 4, 0)), 0x053b0d);
    assert_int_equal(move(f, 1, 1029), 0);
    load(f);
    /* 1025 -> drive, what is there -> 1024 */
    assert_int_equal(send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 1, 1, 0, 4, 0)), 0);
    assert_int_equal(status(f, 4, 1, 2), 0);
    assert_memory_equal(descriptor(f, 0) + 12, "VRV00002", 8);
    assert_int_equal(settle(f, f->drive), 0);
    /* 1024 -> drive, back the same way */
    assert_int_equal(send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 0, 1, 0, 4, 0)), 0);
    assert_int_equal(status(f, 2, 1, 2), 0);
    assert_memory_equal(descriptor(f, 0) + 12, "VRV00002", 8);
    assert_int_equal(send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 1, 1, 0, 4, 2)), 0x053b0e);
    assert_int_equal(send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 0, 1, 0, 4, 2)), 0x053b0d);
    assert_int_equal(send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 0, 1, 0, 4, 1, 1)), 0x052400);
    assert_int_equal(send(f, f->drive, CDB(0x1e, 0, 0, 0, 1)), 0x062800);
    assert_int_equal(send(f, f->drive, CDB(0x1e, 0, 0, 0, 1)), 0);
    assert_int_equal(send(f, f->changer, CDB(0xa6, 0, 0, 1, 4, 0, 1, 0, 4, 1)), 0x055302);
    assert_int_equal(send(f, f->changer, CDB(0x2b, 0, 0, 1, 4, 0)), 0);
    assert_int_equal(send(f, f->changer, CDB(0x2b, 0, 0, 1, 0, 7)), 0x052101);
    assert_int_equal(send(f, f->changer, CDB(0x2b, 0, 0, 1, 4, 0, 0, 0, 1)), 0x052400);
}

/* --- quirks of drives --- */

static void
test_sense_quirks(void **state)
{
    struct fixture *f = *state;
    struct varve_scsi_sense sense;
    struct varve_error err = {0};
    load(f);
    assert_int_equal(write_at(f, 0), 0);
    quirk(f, VARVE_VIRTUAL_DESCRIPTOR_SENSE);
    struct varve_scsi_command c = {.cdb = {0x28, 0, 0, 0, 1, 0, 0, 0, 1}, .cdb_bytes = 10};
    assert_true(execute(f, f->drive, &c, &err));
    assert_int_equal(c.sense[0], 0x72);
    varve_scsi_sense_decode(c.sense, c.sense_bytes, &sense);
    assert_true(sense.valid && sense.key == 5 && sense.asc == 0x21);
    assert_true(sense.has_information && sense.information == 256);
    assert_int_equal(send(f, f->drive, CDB(0x5b, 1, 1, 0, 0, 1)), 0);
    struct varve_scsi_command ready = {.cdb_bytes = 6};
    assert_true(execute(f, f->drive, &ready, &err));
    varve_scsi_sense_decode(ready.sense, ready.sense_bytes, &sense);
    assert_true(ready.sense[0] == 0x72 && sense.ascq == 0x07 && sense.has_progress);
    quirk(f, VARVE_VIRTUAL_NO_SKSV);
    ready = (struct varve_scsi_command){.cdb_bytes = 6};
    assert_true(execute(f, f->drive, &ready, &err));
    varve_scsi_sense_decode(ready.sense, ready.sense_bytes, &sense);
    assert_true(sense.ascq == 0x07 && !sense.has_progress);
}

static void
test_busy_quirks(void **state)
{
    struct fixture *f = *state;
    quirk(f, VARVE_VIRTUAL_TUR_BUSY);
    quirk(f, VARVE_VIRTUAL_NO_ATTENTION);
    assert_int_equal(settle(f, f->drive), 0x023a00);
    assert_int_equal(move(f, 1024, 256), 0);
    assert_int_equal(send(f, f->drive, CDB(0x00)), 0); /* a lie, and no 6/28/00 */
    assert_int_equal(send(f, f->drive, CDB(0x51, 0, 0, 0, 0, 0, 0, 0, 34)), 0x020401);
    assert_int_equal(send(f, f->drive, CDB(0x51, 0, 0, 0, 0, 0, 0, 0, 34)), 0);
    quirk(f, VARVE_VIRTUAL_LONG_WRITE);
    unsigned long_writes = 0;
    for (uint32_t lba = 0; lba < 8 * 32;) {
        uint32_t sense = write_at(f, lba);
        assert_true(sense == 0 || sense == 0x020408);
        lba += sense == 0 ? 32 : 0;
        long_writes += sense != 0 ? 1 : 0;
    }
    assert_int_equal(long_writes, 2);
}

static uint32_t
next_address(struct fixture *f)
{
    assert_int_equal(send(f, f->drive, CDB(0x52, 1, 0, 0, 0, 0xff, 0, 0, 36)), 0);
    return varve_get_be32(f->answer.data + 12);
}

static void
test_address_quirks(void **state)
{
    struct fixture *f = *state;
    load(f);
    quirk(f, VARVE_VIRTUAL_NWA_NEGATIVE);
    assert_int_equal(next_address(f), (uint32_t)-150);
    assert_int_equal(write_at(f, 0), 0);
    assert_int_equal(next_address(f), 32);
    quirk(f, VARVE_VIRTUAL_NWA_STUCK);
    assert_int_equal(next_address(f), 0);
    assert_int_equal(send(f, f->drive, CDB(0x25)), 0);
    assert_int_equal(varve_get_be32(f->answer.data), 31);
    quirk(f, VARVE_VIRTUAL_PADDED);
    assert_int_equal(send(f, f->drive, CDB(0x25)), 0);
    assert_int_equal(varve_get_be32(f->answer.data), 181);
    assert_int_equal(read_at(f, 40, 1), 0x052100);
    quirk(f, VARVE_VIRTUAL_BLANK_CHECK);
    assert_int_equal(read_at(f, 40, 1), 0x080000);
    quirk(f, VARVE_VIRTUAL_READ_LOCKED);
    assert_int_equal(read_at(f, 0, 1), 0x052c00);
    for (uint32_t lba = 32; lba < 2048; lba += 32)
        assert_int_equal(write_at(f, lba), 0);
    assert_int_equal(write_at(f, 2048), 0x056300);
    quirk(f, VARVE_VIRTUAL_FULL_RANGE);
    assert_int_equal(write_at(f, 2048), 0x052100);
    assert_int_equal(send(f, f->drive, CDB(0x5b, 0, 6)), 0);
    assert_int_equal(read_at(f, 0, 1), 0); /* the burn is over */
    assert_int_equal(write_at(f, 0), 0x053005);
    quirk(f, VARVE_VIRTUAL_CLOSED_MODE);
    assert_int_equal(write_at(f, 0), 0x056400);
    assert_int_equal(send(f, f->drive, CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 8)), 0);
    assert_int_equal(varve_get_be16(f->answer.data + 6), 0x0041);
    quirk(f, VARVE_VIRTUAL_ROM_PROFILE);
    assert_int_equal(send(f, f->drive, CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 8)), 0);
    assert_int_equal(varve_get_be16(f->answer.data + 6), 0x0040);
}

static void
test_missing_commands(void **state)
{
    struct fixture *f = *state;
    static const uint8_t structure[12] = {0xad, 1, 0, 0, 0, 0, 0, 0, 0, 116};
    load(f);
    assert_int_equal(send(f, f->drive, structure), 0);
    assert_memory_equal(f->answer.data + 4, "DI", 2);
    quirk(f, VARVE_VIRTUAL_NO_DI);
    assert_int_equal(send(f, f->drive, structure), 0);
    assert_memory_equal(f->answer.data + 4, "\0\0", 2);
    assert_int_equal(send(f, f->drive, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8)), 0);
    assert_int_equal(f->answer.data[5], 0x02);
    quirk(f, VARVE_VIRTUAL_NO_EVENTS);
    assert_int_equal(send(f, f->drive, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8)), 0x052000);
    assert_int_equal(send(f, f->drive, CDB(0x53, 0, 0, 0, 0, 0, 0, 0, 32)), 0);
    quirk(f, VARVE_VIRTUAL_NO_RESERVE);
    assert_int_equal(send(f, f->drive, CDB(0x53, 0, 0, 0, 0, 0, 0, 0, 32)), 0x052000);
}

static void
test_deferred(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_scsi_sense sense;
    load(f);
    quirk(f, VARVE_VIRTUAL_DEFERRED);
    script(f, "now defect VRV00001 32..32 write");
    assert_int_equal(write_at(f, 0), 0);
    assert_int_equal(write_at(f, 32), 0);
    struct varve_scsi_command c = {.cdb_bytes = 6};
    assert_true(execute(f, f->drive, &c, &err));
    varve_scsi_sense_decode(c.sense, c.sense_bytes, &sense);
    assert_true(sense.valid && sense.deferred && sense.key == 3 && sense.asc == 0x0c);
    assert_true(sense.has_information && sense.information == 32);
    assert_int_equal(send(f, f->drive, CDB(0x00)), 0);
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
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_statuses),
        CASE(test_lost_and_dead),
        CASE(test_delay),
        CASE(test_data),
        CASE(test_stick_and_misplace),
        CASE(test_conditions),
        CASE(test_counts),
        CASE(test_seed_replays),
        CASE(test_event_in_a_rule),
        CASE(test_status_quirks),
        CASE(test_descriptor_quirks),
        CASE(test_changer_quirks),
        CASE(test_exchange),
        CASE(test_sense_quirks),
        CASE(test_busy_quirks),
        CASE(test_address_quirks),
        CASE(test_missing_commands),
        CASE(test_deferred),
        cmocka_unit_test(test_every_quirk_was_shown),
    };
    return cmocka_run_group_tests_name("misbehaviour", tests, NULL, NULL);
}
