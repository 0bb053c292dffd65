/* SPDX-License-Identifier: Apache-2.0 */
/* The arm takes the shorter way round a carousel and every column of a gantry, and no command waits
 * longer than its model may take. */
#include "exec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <varve/geometry.h>

static void
test_carousel(void **state)
{
    (void)state;
    const struct varve_geometry g = {VARVE_GEOMETRY_CAROUSEL, 1000, 200, 100, 2, 1, 10000, 100};
    assert_int_equal(varve_geometry_move_ns(&g, 1000, 200), 10000);
    assert_int_equal(varve_geometry_move_ns(&g, 1010, 200), 11000);
    assert_int_equal(varve_geometry_move_ns(&g, 1090, 200), 11000); /* round the other way */
    assert_int_equal(varve_geometry_move_ns(&g, 1050, 200), 15000);
    assert_int_equal(varve_geometry_move_ns(&g, 1050, 201), 10000); /* the drive opposite */
    assert_int_equal(varve_geometry_move_ns(&g, 200, 1090), 11000);
    assert_int_equal(varve_geometry_move_ns(&g, 7, 1010), 11000); /* from where it rests */
}

static void
test_gantry(void **state)
{
    (void)state;
    const struct varve_geometry g = {VARVE_GEOMETRY_GANTRY, 1000, 200, 100, 4, 10, 10000, 100};
    assert_int_equal(varve_geometry_move_ns(&g, 1000, 200), 10000);
    assert_int_equal(varve_geometry_move_ns(&g, 1009, 203), 10000); /* one column */
    assert_int_equal(varve_geometry_move_ns(&g, 1010, 203), 10100);
    assert_int_equal(varve_geometry_move_ns(&g, 203, 1099), 10900);
    assert_int_equal(varve_geometry_move_ns(&g, 1000, 1099), 10900);
}

static uint32_t given_ms;

static bool
execute(struct varve_scsi_port *port, struct varve_scsi_command *command, struct varve_error *err)
{
    (void)port, (void)err;
    given_ms = command->timeout_ms;
    command->status = 0;
    return true;
}

static uint32_t
timeout_of(struct varve_scsi_device *device, uint8_t opcode)
{
    struct varve_scsi_command command = {.cdb = {opcode}, .cdb_bytes = 12};
    struct varve_scsi_sense sense;
    struct varve_error err = {0};
    given_ms = 0;
    assert_true(varve_scsi_once(device, &command, &sense, &err));
    return given_ms / 1000;
}

static void
test_timeouts(void **state)
{
    (void)state;
    struct varve_scsi_port port = {.execute = execute};
    struct varve_scsi_device device = {
        .port = &port, .clock = varve_clock_system(), .ready_ns = VARVE_NS_PER_SECOND};
    static const uint8_t opcodes[] = {0xA5, 0xA6, 0xB8, 0x07, 0x28, 0x2A, 0x35, 0x5B, 0x00, 0x51};
    uint32_t usual[sizeof opcodes];
    for (size_t i = 0; i < sizeof opcodes; i++)
        usual[i] = timeout_of(&device, opcodes[i]);
    assert_int_equal(usual[0], 600); /* the reference, section 7 */
    assert_int_equal(usual[2], 300);
    struct varve_timeouts other = {{0}};
    varve_scsi_set_timeouts(&device, &other);
    assert_int_equal(device.ready_ns, VARVE_NS_PER_SECOND);
    for (size_t i = 0; i < sizeof opcodes; i++)
        assert_int_equal(timeout_of(&device, opcodes[i]), usual[i]);
    other = (struct varve_timeouts){{11, 12, 13, 14, 15, 16}}; /* in the order of the words */
    static const uint32_t wanted[] = {12, 12, 13, 13, 14, 15, 16, 16};
    varve_scsi_set_timeouts(&device, &other);
    assert_int_equal(device.ready_ns, 11 * VARVE_NS_PER_SECOND);
    for (size_t i = 0; i < sizeof opcodes; i++)
        assert_int_equal(timeout_of(&device, opcodes[i]),
                         i < sizeof wanted / sizeof wanted[0] ? wanted[i] : usual[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_carousel),
        cmocka_unit_test(test_gantry),
        cmocka_unit_test(test_timeouts),
    };
    return cmocka_run_group_tests_name("unit changer geometry", tests, NULL, NULL);
}
