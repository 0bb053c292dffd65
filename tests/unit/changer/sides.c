/* SPDX-License-Identifier: Apache-2.0 */
/* A disc of two sides is two discs in one place: what is on one side is not on the other, the
 * gripper turns it over, and a changer that cannot do that refuses to. */
#include "machine.h"

#include <string.h>

static void
reopen(struct machine *m, bool two_sided)
{
    struct varve_error err = {0};
    m->changer->close(m->changer);
    m->drive->close(m->drive);
    varve_virtual_close(m->folder);
    if (two_sided) {
        test_dir_done(m->dir);
        m->dir = test_dir_new();
        struct varve_virtual_options options = {
            .slots = 6, .drives = 2, .disc_bytes = 4u << 20, .two_sided = true};
        EXPECT_OK(varve_virtual_create(m->dir, &options, &err), err);
    }
    EXPECT_OK(varve_virtual_open(m->dir, &m->clock.clock, &m->folder, &err), err);
    EXPECT_OK(varve_virtual_changer_port(m->folder, &m->changer, &err), err);
    EXPECT_OK(varve_virtual_drive_port(m->folder, 0, &m->drive, &err), err);
    assert_int_equal(machine_settle(m, m->changer), 0);
}

static uint32_t
turn(struct machine *m, uint16_t from, uint16_t to)
{
    return machine_send(m, m->changer,
                        CDB(0xa5, 0, 0, 1, (uint8_t)(from >> 8), (uint8_t)from, (uint8_t)(to >> 8),
                            (uint8_t)to, 0, 0, 1));
}

static bool
turned(struct machine *m, uint8_t type)
{
    assert_int_equal(machine_status(m, type, 1, 2), 0);
    return machine_descriptor(m, 0)[9] & 0x40;
}

static void
test_one_side(void **state)
{
    struct machine *m = *state;
    assert_int_equal(machine_send(m, m->changer, CDB(0x1a, 8, 0x1e, 0, 255)), 0);
    assert_int_equal(m->answer.data[4 + 2] & 1, 0);
    assert_int_equal(turn(m, 1024, 256), 0x052400);
}

static void
test_two_sides(void **state)
{
    struct machine *m = *state;
    reopen(m, true);
    assert_int_equal(machine_send(m, m->changer, CDB(0x1a, 8, 0x1e, 0, 255)), 0);
    assert_int_equal(m->answer.data[4 + 2] & 1, 1);
    machine_load(m);
    assert_int_equal(machine_write(m, 0), 0);
    assert_int_equal(machine_send(m, m->drive, CDB(0x5b, 0, 6)), 0);
    assert_false(turned(m, 4));
    assert_int_equal(machine_move(m, 256, 1024), 0);
    assert_int_equal(turn(m, 1024, 256), 0);
    assert_true(turned(m, 4));
    assert_int_equal(machine_settle(m, m->drive), 0);
    assert_int_equal(machine_read(m, 0, 1), 0x052100); /* blank */
    m->data[0] ^= 0xff;
    assert_int_equal(machine_write(m, 0), 0);
    for (unsigned again = 0; again < 2; again++) { /* also after a restart */
        assert_int_equal(machine_settle(m, m->drive), 0);
        assert_int_equal(machine_read(m, 0, 32), 0);
        assert_memory_equal(m->answer.data, m->data, 65536);
        reopen(m, false);
        assert_true(turned(m, 4));
    }
    assert_int_equal(turn(m, 256, 1024), 0);
    assert_false(turned(m, 2));
    machine_load(m);
    assert_int_equal(machine_read(m, 0, 32), 0);
    m->data[0] ^= 0xff;
    assert_memory_equal(m->answer.data, m->data, 65536);
    assert_int_equal(machine_write(m, 32), 0x053005); /* this side is closed */
}

static void
test_hands_and_losses(void **state)
{
    struct machine *m = *state;
    char path[600];
    reopen(m, true);
    assert_int_equal(turn(m, 1024, 256), 0);
    assert_int_equal(machine_settle(m, m->drive), 0);
    assert_int_equal(machine_write(m, 0), 0);
    machine_script(m, "now flip 256");
    assert_int_equal(machine_settle(m, m->drive), 0);
    assert_int_equal(machine_read(m, 0, 1), 0x052100); /* side A is blank */
    machine_script(m, "now defect VRV00001 0..0 hard, flip 256");
    assert_int_equal(machine_settle(m, m->drive), 0);
    assert_int_equal(machine_read(m, 0, 1), 0); /* the defect is on the other side */
    assert_int_equal(machine_move(m, 256, 1024), 0);
    machine_script(m, "now take 1024, put VRV00001 1024");
    assert_int_equal(machine_status(m, 2, 1, 2), 0);
    assert_int_equal(machine_descriptor(m, 0)[2] & 1, 1);
    (void)snprintf(path, sizeof path, "%s/discs/VRV00001~B.img", m->dir);
    assert_int_equal(remove(path), 0);
    assert_int_equal(machine_status(m, 2, 1, 2), 0);
    assert_int_equal(machine_descriptor(m, 0)[2] & 1, 0); /* the disc is gone */
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_one_side),
        CASE(test_two_sides),
        CASE(test_hands_and_losses),
    };
    return cmocka_run_group_tests_name("sides", tests, NULL, NULL);
}
