/* SPDX-License-Identifier: Apache-2.0 */
/* The lines to paste name drives in the order of the changer's elements, and what is not proven is
 * no line; what is missing is said with what to do. */
#include "../../../tools/probe.h"

#include "../../../tools/hotplug.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct probe_unit units[4];
static struct varve_probe_element elements[2];
static struct probe_changer changers[1];
static struct probe probe;

static void
set_up(void)
{
    static const struct probe_unit plain[4] = {
        {.device = {.kind = VARVE_DEVICE_CHANGER, .sg = "/dev/sg3"}, .name = "serial:CHG"},
        {.device = {.kind = VARVE_DEVICE_DRIVE, .sg = "/dev/sg1", .block = "/dev/sr0"},
         .name = "serial:D1"},
        {.device = {.kind = VARVE_DEVICE_DRIVE, .sg = "/dev/sg2", .block = "/dev/sr1"},
         .name = "serial:D2"},
        {.device = {.kind = VARVE_DEVICE_DRIVE, .sg = "/dev/sg4", .block = "/dev/sr2"},
         .name = "/dev/sg4"},
    };
    memcpy(units, plain, sizeof units);
    elements[0] =
        (struct varve_probe_element){.address = 256, .drive = 1, .proof = VARVE_PROOF_SERIAL};
    elements[1] =
        (struct varve_probe_element){.address = 257, .drive = 0, .proof = VARVE_PROOF_LOADED};
    changers[0] =
        (struct probe_changer){.known = true, .view = {.elements = elements, .element_count = 2}};
    probe = (struct probe){.machine = {.shows_scsi = true, .has_sg = true, .ch_init = -1},
                           .units = units,
                           .unit_count = 3,
                           .changer_count = 1,
                           .changers = changers};
}

static void
assert_config(const char *wanted)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    probe_config(&probe, &text);
    assert_string_equal(varve_buffer_string(&text), wanted);
}

static void
assert_advice(const char *wanted)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    probe_advice(&probe, &text);
    if (strstr(varve_buffer_string(&text), wanted) == NULL)
        fail_msg("'%s' is not in: %s", wanted, varve_buffer_string(&text));
}

static void
test_proven(void **state)
{
    (void)state;
    set_up();
    assert_config("[library changer]\n"
                  "kind = scsi\n"
                  "changer = serial:CHG\n"
                  "drive = serial:D2 ; element 256: serial number\n"
                  "drive = serial:D1 ; element 257: load and look\n");
    VARVE_CLEANUP_BUFFER struct varve_buffer advice = {0};
    probe_advice(&probe, &advice);
    assert_string_equal(varve_buffer_string(&advice), "");
}

static void
test_not_proven(void **state)
{
    (void)state;
    set_up();
    elements[0].proof = VARVE_PROOF_CUT;
    (void)snprintf(elements[0].why, sizeof elements[0].why, "it is cut");
    elements[1].drive = -1;
    elements[1].proof = VARVE_PROOF_NONE;
    (void)snprintf(elements[1].why, sizeof elements[1].why, "it says nothing");
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    probe_config(&probe, &text);
    for (const char *line = varve_buffer_string(&text); *line != 0;) {
        assert_true(*line == ';' || *line == '\n');
        line += strcspn(line, "\n");
        line += *line != 0;
    }
    assert_non_null(strstr(varve_buffer_string(&text), "; drive = ? ; element 257: not proven\n"));
    assert_non_null(strstr(varve_buffer_string(&text), "; drive = serial:D1\n")); /* a loose one */
    assert_advice("changer serial:CHG: drive element 256 is not proven: it is cut\n");
    assert_advice("changer serial:CHG: drive element 257 is not proven: it says nothing\n");
}

static void
test_drives_alone(void **state)
{
    (void)state;
    set_up();
    probe.units = &units[2];
    probe.unit_count = 2;
    probe.changer_count = 0;
    assert_config("[library shelf]\n"
                  "kind = manual\n"
                  "drive = serial:D2\n"
                  "drive = /dev/sg4\n");
    assert_advice("drive /dev/sg4: it has no serial number and no link of udev's");
}

static void
test_trouble(void **state)
{
    (void)state;
    set_up();
    changers[0].known = false;
    changers[0].view.element_count = 0;
    (void)snprintf(units[0].trouble, sizeof units[0].trouble, "no permission to use /dev/sg3");
    (void)snprintf(units[0].remedy, sizeof units[0].remedy, "join the group");
    (void)snprintf(units[1].holders, sizeof units[1].holders,
                   "udisksd (process 3) has /dev/sr0 open");
    probe.machine.ch_init = 1;
    assert_config(""); /* the drives may well be that changer's */
    assert_advice("changer /dev/sg3: no permission to use /dev/sg3: join the group\n");
    assert_advice("drive /dev/sg1: udisksd (process 3) has /dev/sr0 open: varve needs it alone");
    assert_advice("options ch init=0");
}

static void
test_rule_lines(void **state)
{
    (void)state;
    set_up();
    probe.machine.has_udev = true;
    units[1].device.in_udev = units[2].device.in_udev = true;
    (void)snprintf(units[1].device.wwid, sizeof units[1].device.wwid, "naa.5001");
    (void)snprintf(units[2].device.by_path, sizeof units[2].device.by_path,
                   "/dev/disk/by-path/pci-0:1");
    assert_advice("drive /dev/sr0: udisks, blkid and cdrom_id look into it");
    assert_advice("SUBSYSTEM==\"block|scsi_generic\", SUBSYSTEMS==\"scsi\", "
                  "ATTRS{wwid}==\"naa.5001\", ENV{VARVE_LIBRARY}=\"1\"\n");
    assert_advice("IMPORT{builtin}=\"path_id\", ENV{ID_PATH}==\"pci-0:1\", "
                  "ENV{VARVE_LIBRARY}=\"1\"\n");
    units[1].device.udisks_leaves = units[2].device.udisks_leaves = true;
    VARVE_CLEANUP_BUFFER struct varve_buffer advice = {0};
    probe_advice(&probe, &advice);
    assert_string_equal(varve_buffer_string(&advice), "");
}

static void
test_nothing(void **state)
{
    (void)state;
    probe = (struct probe){.machine = {.shows_scsi = true, .ch_init = -1}};
    assert_config("");
    assert_advice("switched on, and its cable in?");
    assert_advice("iscsi://HOST/TARGET");
    probe.machine.shows_scsi = false;
    assert_advice("this kernel shows no SCSI devices at all");
}

/* --- plugging in and out --- */

static void
test_hotplug(void **state)
{
    (void)state;
    struct varve_device list[] = {
        {.kind = VARVE_DEVICE_DRIVE, .serial = "D1", .serial_is_page_80 = true, .sg = "/dev/sg1"},
        {.kind = VARVE_DEVICE_DRIVE, .serial = "D2", .serial_is_page_80 = true, .sg = "/dev/sg2"},
    };
    const struct varve_devices both = {list, 2}, none = {list, 0};
    struct hotplug_place place = {.library = "tower", .drive = 0, .place = "/dev/sg1"};
    char text[HOTPLUG_TEXT_BYTES];
    assert_int_equal(hotplug_update(&place, &both), HOTPLUG_BACK); /* there at the start */
    assert_int_equal(hotplug_update(&place, &both), HOTPLUG_SAME);
    assert_int_equal(hotplug_update(&place, &none), HOTPLUG_GONE);
    assert_string_equal(hotplug_text(&place, HOTPLUG_GONE, text),
                        "library 'tower': drive 0 (/dev/sg1) is gone: look at its power and its "
                        "cable");
    assert_int_equal(hotplug_update(&place, &none), HOTPLUG_SAME);
    /* The node has another drive now: it is the serial number that counts. */
    (void)snprintf(list[0].sg, sizeof list[0].sg, "/dev/sg2");
    (void)snprintf(list[1].sg, sizeof list[1].sg, "/dev/sg1");
    assert_int_equal(hotplug_update(&place, &both), HOTPLUG_BACK);
    assert_string_equal(hotplug_text(&place, HOTPLUG_BACK, text),
                        "library 'tower': drive 0 (/dev/sg1) is back as /dev/sg2");
    (void)snprintf(list[0].sg, sizeof list[0].sg, "/dev/sg7");
    assert_int_equal(hotplug_update(&place, &both), HOTPLUG_MOVED);
    struct hotplug_place changer = {.library = "tower", .drive = -1, .place = "serial:D1"};
    assert_int_equal(hotplug_update(&changer, &both), HOTPLUG_SAME); /* a drive is no changer */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proven),       cmocka_unit_test(test_not_proven),
        cmocka_unit_test(test_drives_alone), cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_rule_lines),   cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_hotplug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
