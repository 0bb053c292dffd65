/* SPDX-License-Identifier: Apache-2.0 */
/* A drive element gets a drive only if what the changer says, or a disc that was put there, leaves
 * no other one; and after load-and-look every disc is where it was. */
#include <varve/probe.h>

#include <string.h>

#include "smc_codec.h"
#include "support.h"

#define ID(serial) "LAB     DVD-DRIVE       " serial

static const struct varve_probe_drive drives[] = {
    {.vendor = "LAB", .product = "DVD-DRIVE", .serial = "LABDRV01", .wwid = "naa.60000000000000A1"},
    {.vendor = "LAB", .product = "DVD-DRIVE", .serial = "LABDRV02", .wwid = "naa.60000000000000A2"},
    {.vendor = "ASMT", .product = "2105", .serial = "K9FE3D11"},
    {.vendor = "LAB", .product = "DVD-DRIVE", .serial = ""},
};

struct match_case {
    const char *name;
    size_t drive_count;
    const char *ids[3];
    int drives[3];
    enum varve_proof proofs[3];
    const char *why; /* of the first element without proof */
};
static const struct match_case match_cases[] = {
    {"whole", 2, {ID("LABDRV02"), ID("LABDRV01")}, {1, 0}, {2, 2}, ""},
    {"serial alone", 2, {"LABDRV02", "  LABDRV01"}, {1, 0}, {2, 2}, ""},
    {"behind a bridge", 3, {"PIONEER BD-RW   BDR-209D K9FE3D11"}, {2}, {2}, ""},
    {"binary name", 2, {"60000000000000a2"}, {1}, {2}, ""},
    {"cut, one drive", 1, {ID("LA")}, {0}, {1}, "the changer's answer is cut"},
    {"cut, the other is known",
     2,
     {ID("LABDRV01"), ID("LA")},
     {0, 1},
     {2, 1},
     "no other drive fits"},
    {"cut, both", 2, {ID("LA"), ID("LA")}, {-1, -1}, {0, 0}, "fits 2 drives"},
    {"cut to nothing", 2, {"LAB     DVD-DRIVE"}, {-1}, {0}, "no drive found is that"},
    {"silent", 2, {""}, {-1}, {0}, "the changer does not say which drive it is"},
    {"other drive", 2, {ID("LABDRV03")}, {-1}, {0}, "no drive found is that"},
    {"longer than ours", 2, {ID("LABDRV011")}, {-1}, {0}, "no drive found is that"},
    {"twice", 2, {"LABDRV01", "LABDRV01"}, {-1, -1}, {0, 0}, "of several elements"},
    {"short tail is nobody's", 1, {"LAB DRV01"}, {-1}, {0}, "no drive found is that"},
};

static void
test_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof match_cases / sizeof match_cases[0]; i++) {
        const struct match_case *test = &match_cases[i];
        struct varve_probe_element elements[3] = {{0}};
        size_t count = 0;
        for (; count < 3 && test->ids[count] != NULL; count++)
            (void)snprintf(elements[count].id, sizeof elements[count].id, "%s", test->ids[count]);
        varve_probe_match(elements, count, drives, test->drive_count);
        const char *why = "";
        for (size_t e = 0; e < count; e++) {
            if (elements[e].drive != test->drives[e] || elements[e].proof != test->proofs[e])
                fail_msg("%s: element %zu: drive %d, proof %s", test->name, e, elements[e].drive,
                         varve_proof_name(elements[e].proof));
            if (why[0] == 0)
                why = elements[e].why;
        }
        if (strstr(why, test->why) == NULL || (test->why[0] == 0) != (why[0] == 0))
            fail_msg("%s: why is '%s'", test->name, why);
    }
}

/* Two drives with one serial number, as behind some USB bridges: neither is proven. */
static void
test_same_serial_twice(void **state)
{
    (void)state;
    static const struct varve_probe_drive twins[] = {{.serial = "00000001"},
                                                     {.serial = "00000001"}};
    struct varve_probe_element element = {.id = "00000001"};
    varve_probe_match(&element, 1, twins, 2);
    assert_int_equal(element.drive, -1);
    assert_non_null(strstr(element.why, "2 drives found have the serial number"));
}

/* --- on the virtual library --- */

struct rig {
    char *dir;
    struct varve_clock_sim clock;
    struct varve_virtual *folder;
    struct varve_scsi_port *changer;
    struct varve_probe_drive drives[3];
    char last[256];
};

static void
rig_start(struct rig *rig)
{
    *rig = (struct rig){.dir = test_dir_new()};
    varve_clock_sim_init(&rig->clock, 0);
    const struct varve_virtual_options options = {
        .slots = 4, .drives = 3, .mail_slots = 1, .disc_bytes = TEST_DISC_BYTES};
    struct varve_error err = {0};
    char path[512];
    (void)snprintf(path, sizeof path, "%s/library", rig->dir);
    assert_true(varve_virtual_create(path, &options, &err));
    assert_true(varve_virtual_open(path, &rig->clock.clock, &rig->folder, &err));
    assert_true(varve_virtual_changer_port(rig->folder, &rig->changer, &err));
    /* The host's order is another one than the changer's. */
    for (unsigned i = 0; i < 3; i++) {
        assert_true(varve_virtual_drive_port(rig->folder, (i + 1) % 3, &rig->drives[i].port, &err));
        varve_probe_identify(&rig->drives[i], &rig->clock.clock);
        assert_true(rig->drives[i].serial[0] != 0);
    }
}

static void
rig_done(struct rig *rig)
{
    rig->changer->close(rig->changer);
    for (unsigned i = 0; i < 3; i++)
        rig->drives[i].port->close(rig->drives[i].port);
    varve_virtual_close(rig->folder);
    test_dir_done(rig->dir);
}

static void
keep_last(void *context, const char *text)
{
    struct rig *rig = context;
    (void)snprintf(rig->last, sizeof rig->last, "%s", text);
}

static bool
look(struct rig *rig, struct varve_probe *ret)
{
    struct varve_error err = {0};
    bool ok = varve_probe_look(rig->changer, rig->drives, 3, &rig->clock.clock, ret, &err);
    if (!ok)
        print_error("%s\n", err.text);
    return ok;
}

static bool
load(struct rig *rig, struct varve_probe *probe, struct varve_error *err)
{
    const struct varve_probe_loading loading = {.changer = rig->changer,
                                                .drives = rig->drives,
                                                .drive_count = 3,
                                                .clock = &rig->clock.clock,
                                                .tell = keep_last,
                                                .context = rig};
    return varve_probe_load(&loading, probe, err);
}

static void
forget_serials(struct rig *rig)
{
    for (unsigned i = 0; i < 3; i++)
        rig->drives[i].serial[0] = 0;
}

static void
assert_home(struct rig *rig)
{
    VARVE_CLEANUP_PROBE struct varve_probe probe = {0};
    assert_true(look(rig, &probe));
    assert_int_equal(probe.discs, 4);
    for (size_t i = 0; i < 3; i++)
        assert_false(probe.elements[i].full);
}

static void
test_look(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig);
    VARVE_CLEANUP_PROBE struct varve_probe probe = {0};
    assert_true(look(&rig, &probe));
    assert_int_equal(probe.element_count, 3);
    assert_int_equal(probe.slots, 4);
    assert_int_equal(probe.mail_slots, 1);
    assert_int_equal(probe.discs, 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(probe.elements[i].drive, (i + 2) % 3);
        assert_int_equal(probe.elements[i].proof, VARVE_PROOF_SERIAL);
    }
    rig_done(&rig);
}

static void
test_load_and_look(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig);
    forget_serials(&rig);
    VARVE_CLEANUP_PROBE struct varve_probe probe = {0};
    assert_true(look(&rig, &probe));
    struct varve_error err = {0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(probe.elements[i].drive, -1);
    assert_true(load(&rig, &probe, &err));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(probe.elements[i].drive, (i + 2) % 3);
        assert_int_equal(probe.elements[i].proof, VARVE_PROOF_LOADED);
        assert_string_equal(probe.elements[i].why, "");
    }
    assert_true(rig.last[0] != 0);
    assert_home(&rig);
    rig_done(&rig);
}

/* A drive that cannot be asked is found by nobody, and costs the others nothing. */
static void
test_load_with_a_silent_drive(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig);
    forget_serials(&rig);
    struct varve_scsi_port *port = rig.drives[0].port;
    rig.drives[0].port = NULL;
    VARVE_CLEANUP_PROBE struct varve_probe probe = {0};
    struct varve_error err = {0};
    assert_true(look(&rig, &probe));
    assert_true(load(&rig, &probe, &err));
    assert_int_equal(probe.elements[1].drive, -1);
    assert_non_null(strstr(probe.elements[1].why, "no drive that can be asked saw the disc"));
    assert_int_equal(probe.elements[0].drive, 2);
    assert_int_equal(probe.elements[2].drive, 1);
    rig.drives[0].port = port;
    assert_home(&rig);
    rig_done(&rig);
}

/* cdrom_id locks the tray as soon as a disc comes (reference 10.1). */
static void
test_load_into_a_locked_drive(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig);
    forget_serials(&rig);
    struct varve_scsi_command lock;
    for (unsigned i = 0; i < 3; i++) {
        struct varve_error err = {0};
        for (unsigned tries = 0; tries < 3; tries++) {
            varve_smc_encode_prevent(&lock, true);
            lock.timeout_ms = 1000;
            assert_true(rig.drives[i].port->execute(rig.drives[i].port, &lock, &err));
        }
        assert_int_equal(lock.status, 0);
    }
    VARVE_CLEANUP_PROBE struct varve_probe probe = {0};
    struct varve_error err = {0};
    assert_true(look(&rig, &probe));
    assert_true(load(&rig, &probe, &err));
    assert_int_equal(probe.elements[2].proof, VARVE_PROOF_LOADED);
    assert_home(&rig);
    rig_done(&rig);
}

/* A disc that is in a drive is not moved away by a probe. */
static void
test_full_drive_is_left_alone(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig);
    forget_serials(&rig);
    struct test_answer answer;
    const uint8_t move[12] = {0xa5, 0, 0, 1, 1024 >> 8, 0, 256 >> 8, 1};
    (void)test_send(rig.changer, (const uint8_t[6]){0}, 6, &answer); /* the unit attention */
    assert_int_equal(test_send(rig.changer, move, 12, &answer), 0);
    VARVE_CLEANUP_PROBE struct varve_probe probe = {0};
    struct varve_error err = {0};
    assert_true(look(&rig, &probe));
    assert_true(load(&rig, &probe, &err));
    assert_true(probe.elements[1].full);
    assert_int_equal(probe.elements[1].drive, -1);
    assert_non_null(strstr(probe.elements[1].why, "holds a disc: unload it first"));
    assert_int_equal(probe.elements[0].drive, 2);
    rig_done(&rig);
}

/* The way back fails for good: the text says where the disc is. */
static void
test_disc_that_stays_in_the_drive(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig);
    forget_serials(&rig);
    VARVE_CLEANUP_PROBE struct varve_probe probe = {0};
    struct varve_error err = {0};
    assert_true(look(&rig, &probe));
    for (unsigned nth = 2; nth < 9; nth++) { /* the first move is the one to the drive */
        const struct varve_virtual_fault fault = {
            .on_changer = true, .opcode = 0xa5, .nth = nth, .key = 4, .asc = 0x53};
        assert_true(varve_virtual_inject(rig.folder, &fault, &err));
    }
    assert_false(load(&rig, &probe, &err));
    assert_non_null(strstr(err.text, "drive element 256"));
    assert_non_null(strstr(err.text, "bring disc 'VRV00001' back to slot 1024"));
    assert_non_null(strstr(err.text, "it is in drive element 256"));
    rig_done(&rig);
}

static void
test_binary_device_id(void **state)
{
    (void)state;
    uint8_t answer[8 + 8 + 12 + 4 + 4] = {
        [8] = 4,  [11] = 20, [15] = 20,   [17] = 1, [18] = 8, [28] = 1,
        [29] = 3, [31] = 4,  [32] = 0x50, 0x01,     0x0a,     0xff};
    struct varve_smc_element element;
    int32_t cut;
    assert_int_equal(
        varve_smc_decode_elements(answer, sizeof answer, VARVE_ELEMENT_DRIVE, &element, 1, &cut),
        1);
    assert_string_equal(element.device_id, "50010aff");
}

static void
test_luns(void **state)
{
    (void)state;
    static const uint8_t answer[8 + 5 * 8] = {
        [3] = 40,                           /* LUN 0 */
        [17] = 2,                           /* 2 */
        [24] = 0x41, [25] = 0x02,           /* 258, flat */
        [32] = 0xc1, [33] = 0x01,           /* a well-known one */
        [40] = 0x00, [41] = 0x05, [43] = 1, /* two levels */
    };
    uint16_t luns[8];
    assert_int_equal(varve_probe_decode_luns(answer, sizeof answer, luns, 8), 3);
    assert_int_equal(luns[1], 2);
    assert_int_equal(luns[2], 258);
    assert_int_equal(varve_probe_decode_luns(answer, 20, luns, 8), 1); /* cut */
    assert_int_equal(varve_probe_decode_luns(answer, sizeof answer, luns, 2), 2);
    assert_int_equal(varve_probe_decode_luns(answer, 7, luns, 8), 0);
}

static void
test_feature_serial(void **state)
{
    (void)state;
    static const uint8_t answer[20] = {[8] = 1, [9] = 8, [11] = 8, [12] = 'K', '1',
                                       'X',     ' ',     0,        '9'};
    static const uint8_t other[20] = {[8] = 1, [9] = 7, [11] = 8, [12] = 'K'};
    char serial[VARVE_DEVICE_SERIAL_BYTES];
    assert_true(varve_probe_decode_serial(answer, sizeof answer, serial));
    assert_string_equal(serial, "K1X9");
    assert_false(varve_probe_decode_serial(answer, 19, serial)); /* cut */
    assert_false(varve_probe_decode_serial(other, sizeof other, serial));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_same_serial_twice),
        cmocka_unit_test(test_look),
        cmocka_unit_test(test_load_and_look),
        cmocka_unit_test(test_load_with_a_silent_drive),
        cmocka_unit_test(test_load_into_a_locked_drive),
        cmocka_unit_test(test_full_drive_is_left_alone),
        cmocka_unit_test(test_disc_that_stays_in_the_drive),
        cmocka_unit_test(test_binary_device_id),
        cmocka_unit_test(test_luns),
        cmocka_unit_test(test_feature_serial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
