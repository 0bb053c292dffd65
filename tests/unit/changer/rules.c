/* SPDX-License-Identifier: Apache-2.0 */
/* Each action and each condition of a fault script's rules does to a host's commands what
 * docs/virtual-library.md says; the same seed does the same again. */
#include "machine.h"

#include <string.h>

static void
test_statuses(void **state)
{
    struct machine *f = *state;
    static const uint8_t wanted[] = {0x08, 0x18, 0x28, 0x40};
    struct varve_error err = {0};
    machine_script(
        f, "on changer ready: busy\non changer ready: conflict\non changer ready: task-set-full\n"
           "on changer ready: aborted\n");
    for (unsigned i = 0; i < 4; i++) {
        struct varve_scsi_command c = {.cdb_bytes = 6};
        assert_true(machine_execute(f, f->changer, &c, &err));
        assert_true(c.status == wanted[i] && c.sense_bytes == 0);
    }
    assert_int_equal(machine_send(f, f->changer, CDB(0x00)), 0);
}

static void
test_lost_and_dead(void **state)
{
    struct machine *f = *state;
    struct varve_error err = {0};
    struct varve_scsi_command c = {.cdb = {0xa5, 0, 0, 1, 4, 0, 4, 6}, .cdb_bytes = 12};
    c.cdb[6] = 1;
    c.cdb[7] = 0;
    machine_script(
        f, "on changer move: drop\non changer move after: drop\non changer move after: dead");
    assert_false(machine_execute(f, f->changer, &c, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY);
    assert_false(machine_execute(f, f->changer, &c, &err)); /* this one was carried out */
    assert_int_equal(machine_settle(f, f->drive), 0);
    assert_false(machine_execute(f, f->changer, &c, &err));
    assert_int_equal(err.kind, VARVE_ERROR_HARDWARE);
    assert_false(machine_execute(f, f->changer, &c, &err));
    f->changer->close(f->changer);
    EXPECT_OK(varve_virtual_changer_port(f->folder, &f->changer, &err), err);
    assert_int_equal(machine_settle(f, f->changer), 0);
}

static void
test_delay(void **state)
{
    struct machine *f = *state;
    struct varve_error err = {0};
    int64_t before = varve_clock_monotonic(&f->clock.clock);
    machine_script(f, "on changer ready: delay 5s\non changer move: delay 100s");
    assert_int_equal(machine_send(f, f->changer, CDB(0x00)), 0);
    assert_int_equal(varve_clock_monotonic(&f->clock.clock) - before, 5 * VARVE_NS_PER_SECOND);
    struct varve_scsi_command c = {.cdb = {0xa5, 0, 0, 1, 4, 0, 1, 0}, .cdb_bytes = 12};
    assert_false(
        machine_execute(f, f->changer, &c, &err)); /* the host waits a minute, the arm moves */
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY);
    assert_int_equal(varve_clock_monotonic(&f->clock.clock) - before, 65 * VARVE_NS_PER_SECOND);
    assert_int_equal(machine_settle(f, f->drive), 0);
}

static void
test_data(void **state)
{
    struct machine *f = *state;
    struct test_answer whole;
    assert_int_equal(machine_status(f, 2, 6, 2), 0);
    whole = f->answer;
    machine_script(f, "on changer status: cut 100\non changer status: garble 40\n"
                      "on drive 0 write: corrupt\non drive 0 read nth 2: corrupt");
    assert_int_equal(machine_status(f, 2, 6, 2), 0);
    assert_int_equal(f->answer.received, 100);
    assert_memory_equal(f->answer.data, whole.data, 100);
    assert_int_equal(machine_status(f, 2, 6, 2), 0);
    assert_int_equal(f->answer.received, whole.received);
    assert_memory_not_equal(f->answer.data, whole.data, whole.received);
    machine_load(f);
    assert_int_equal(machine_write(f, 0), 0);
    assert_int_equal(machine_write(f, 32), 0);
    assert_int_equal(machine_read(f, 0, 32), 0);
    assert_memory_not_equal(f->answer.data, f->data, 65536); /* so it is on the disc */
    assert_int_equal(machine_read(f, 32, 32), 0);
    assert_memory_not_equal(f->answer.data, f->data, 65536);
    assert_int_equal(machine_read(f, 32, 32), 0);
    assert_memory_equal(f->answer.data, f->data, 65536);
}

static void
test_stick_and_misplace(void **state)
{
    struct machine *f = *state;
    machine_script(f, "on changer move: stick\non changer move from 1025: misplace 16");
    assert_int_equal(machine_move(f, 1024, 256), 0x041501);
    assert_int_equal(machine_settle(f, f->drive), 0x023a00);
    assert_int_equal(machine_move(f, 1, 1024), 0);
    assert_int_equal(machine_move(f, 1025, 256), 0);
    assert_int_equal(machine_settle(f, f->drive), 0x023a00);
    assert_int_equal(machine_move(f, 16, 1025), 0);
    machine_script(f, "on changer move: stick, sense 4/3B/16");
    assert_int_equal(machine_move(f, 1024, 256), 0x043b16);
    assert_int_equal(machine_move(f, 1, 256), 0);
}

static void
test_conditions(void **state)
{
    struct machine *f = *state;
    machine_script(
        f, "on changer move from 1026: sense 4/01/01\non changer move to 257: sense 4/01/02\n"
           "on changer move element 1027: sense 4/01/03\n"
           "on changer move disc VRV00005: sense 4/01/04\n"
           "on drive any read disc VRV00002: sense 4/01/05\n"
           "on drive 0 write lba 100..200 nth 2 times 2: sense 4/01/06\n"
           "on changer status element 1024..1025: sense 4/01/07");
    assert_int_equal(machine_move(f, 1024, 256), 0);
    assert_int_equal(machine_settle(f, f->drive), 0);
    assert_int_equal(machine_write(f, 0), 0);
    assert_int_equal(machine_write(f, 32), 0);
    assert_int_equal(machine_write(f, 64), 0);
    assert_int_equal(machine_write(f, 96), 0); /* the first that touches 100..200 */
    assert_int_equal(machine_write(f, 128), 0x040106);
    assert_int_equal(machine_write(f, 128), 0x040106);
    assert_int_equal(machine_write(f, 128), 0);
    assert_int_equal(machine_read(f, 0, 1), 0);
    assert_int_equal(machine_move(f, 1026, 1024), 0x040101);
    assert_int_equal(machine_move(f, 1026, 1024), 0);
    assert_int_equal(machine_move(f, 1025, 257), 0x040102);
    assert_int_equal(machine_move(f, 1027, 257), 0x040103);
    assert_int_equal(machine_move(f, 1028, 257), 0x040104);
    assert_int_equal(machine_move(f, 256, 1026), 0);
    assert_int_equal(machine_move(f, 1025, 256), 0);
    assert_int_equal(machine_settle(f, f->drive), 0);
    assert_int_equal(machine_read(f, 0, 1), 0x040105);
    assert_int_equal(machine_status(f, 2, 1, 2), 0); /* starts at 0 */
    assert_int_equal(machine_send(f, f->changer, CDB(0xb8, 2, 4, 1, 0, 1, 2, 0, 1, 0)), 0x040107);
}

static void
test_counts(void **state)
{
    struct machine *f = *state;
    unsigned busy = 0;
    machine_script(f, "on changer ready every 3: sense 2/04/07 progress 32768");
    for (unsigned i = 1; i <= 9; i++)
        assert_int_equal(machine_send(f, f->changer, CDB(0x00)), i % 3 == 0 ? 0x020407 : 0);
    varve_virtual_calm(f->folder);
    machine_script(f, "on changer ready always times 2: sense 2/04/07");
    for (unsigned i = 1; i <= 3; i++)
        busy += machine_send(f, f->changer, CDB(0x00)) != 0 ? 1 : 0;
    assert_int_equal(busy, 2);
    machine_script(f, "on drive any ready: sense 5/01/01"); /* once on each drive */
    (void)machine_settle(f, f->drive);
    struct varve_scsi_port *second;
    struct varve_error err = {0};
    EXPECT_OK(varve_virtual_drive_port(f->folder, 1, &second, &err), err);
    assert_int_equal(machine_send(f, second, CDB(0x00)), 0x050101);
    second->close(second);
}

static uint64_t
throw_dice(struct machine *f, const char *seed)
{
    uint64_t bits = 0;
    varve_virtual_calm(f->folder);
    machine_script(f, seed);
    machine_script(f, "on changer ready chance 1/4: sense 2/04/07");
    for (unsigned i = 0; i < 64; i++)
        bits = bits << 1 | (machine_send(f, f->changer, CDB(0x00)) != 0);
    return bits;
}

static void
test_seed_replays(void **state)
{
    struct machine *f = *state;
    uint64_t first = throw_dice(f, "seed 7"), again = throw_dice(f, "seed 7");
    assert_true(first == again);
    assert_true(first != throw_dice(f, "seed 8"));
    int fired = __builtin_popcountll(first);
    assert_true(fired > 4 && fired < 40);
}

/* "random": all kinds of faults come, as often as wished, and the same seed brings the same. */
static void
test_random_faults(void **state)
{
    struct machine *m = *state;
    uint32_t first[400];
    for (unsigned again = 0; again < 2; again++) {
        unsigned wrong = 0;
        varve_virtual_calm(m->folder);
        machine_script(m, "seed 99\nrandom 1/8");
        for (unsigned i = 0; i < 400; i++) {
            struct varve_scsi_command c = {.cdb = {i % 2 == 0 ? 0x00 : 0xb8, 2, 0, 0, 0, 9, 2, 1},
                                           .cdb_bytes = 12};
            struct varve_error err = {0};
            bool told = machine_execute(m, m->changer, &c, &err);
            uint32_t seen = (uint32_t)told << 31 | (uint32_t)c.status << 24 |
                            (uint32_t)c.sense[12] << 16 | c.received_bytes;
            if (again == 0)
                first[i] = seen;
            assert_int_equal(seen, first[i]);
            wrong += c.status != 0 ? 1 : 0;
        }
        assert_true(wrong > 40 && wrong < 200);
    }
}

static void
test_event_in_a_rule(void **state)
{
    struct machine *f = *state;
    machine_script(f, "on drive 0 write nth 2: door-force, swap 1025 1026\n"
                      "on drive 0 write nth 3 after: take 256");
    machine_load(f);
    assert_int_equal(machine_write(f, 0), 0);
    assert_int_equal(machine_send(f, f->changer, CDB(0x00)), 0);
    assert_int_equal(machine_write(f, 32), 0);
    assert_int_equal(machine_send(f, f->changer, CDB(0x00)), 0x023a02);
    assert_int_equal(machine_write(f, 64), 0);
    assert_int_equal(machine_write(f, 96), 0x023a00);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_statuses),
        CASE(test_lost_and_dead),
        CASE(test_delay),
        CASE(test_data),
        CASE(test_stick_and_misplace),
        CASE(test_conditions),
        CASE(test_counts),
        CASE(test_seed_replays),
        CASE(test_random_faults),
        CASE(test_event_in_a_rule),
    };
    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
