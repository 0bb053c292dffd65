/* SPDX-License-Identifier: Apache-2.0 */
/* A name of a device leads to that device and to no other one, and the name chosen for a
 * configuration is one that outlives a re-plugging. */
#include <varve/devices.h>

#include <string.h>

#include "support.h"

static struct varve_device three[] = {
    {.kind = VARVE_DEVICE_CHANGER,
     .serial = "CHG1",
     .serial_is_page_80 = true,
     .sg = "/dev/sg3",
     .changer = "/dev/sch0",
     .by_path = "/dev/tape/by-path/pci-0-changer"},
    {.kind = VARVE_DEVICE_DRIVE,
     .serial = "SAME",
     .serial_is_page_80 = true,
     .sg = "/dev/sg1",
     .block = "/dev/sr0",
     .by_id = "/dev/disk/by-id/usb-X",
     .by_path = "/dev/disk/by-path/usb-1"},
    {.kind = VARVE_DEVICE_DRIVE,
     .serial = "SAME",
     .serial_is_page_80 = true,
     .sg = "/dev/sg2",
     .block = "/dev/sr1",
     .by_id = "/dev/disk/by-id/usb-X2"},
};
static const struct varve_devices devices = {three, 3};

static void
test_find(void **state)
{
    (void)state;
    static const struct {
        enum varve_device_kind kind;
        const char *name;
        int wanted; /* -1: none */
        enum varve_error_kind error;
    } cases[] = {
        {VARVE_DEVICE_CHANGER, "serial:CHG1", 0, 0},
        {VARVE_DEVICE_CHANGER, "/dev/sg3", 0, 0},
        {VARVE_DEVICE_CHANGER, "/dev/sch0", 0, 0},
        {VARVE_DEVICE_CHANGER, "/dev/tape/by-path/pci-0-changer", 0, 0},
        {VARVE_DEVICE_DRIVE, "/dev/sr1", 2, 0},
        {VARVE_DEVICE_DRIVE, "/dev/disk/by-id/usb-X", 1, 0},
        {VARVE_DEVICE_DRIVE, "/dev/sg3", -1, VARVE_ERROR_NOT_FOUND},
        {VARVE_DEVICE_DRIVE, "serial:CHG1", -1, VARVE_ERROR_NOT_FOUND},
        {VARVE_DEVICE_DRIVE, "serial:", -1, VARVE_ERROR_NOT_FOUND},
        {VARVE_DEVICE_DRIVE, "", -1, VARVE_ERROR_NOT_FOUND},
        {VARVE_DEVICE_DRIVE, "serial:SAM", -1, VARVE_ERROR_NOT_FOUND},
        {VARVE_DEVICE_DRIVE, "serial:SAME", -1, VARVE_ERROR_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct varve_device *found = NULL;
        struct varve_error err = {0};
        bool ok = varve_devices_find(&devices, cases[i].kind, cases[i].name, &found, &err);
        assert_int_equal(ok, cases[i].wanted >= 0);
        if (ok)
            assert_ptr_equal(found, &three[cases[i].wanted]);
        else
            assert_int_equal(err.kind, cases[i].error);
    }
}

static void
test_ambiguous_text(void **state)
{
    (void)state;
    const struct varve_device *found = NULL;
    struct varve_error err = {0};
    assert_false(varve_devices_find(&devices, VARVE_DEVICE_DRIVE, "serial:SAME", &found, &err));
    assert_non_null(strstr(err.text, "drive 'serial:SAME': /dev/sg1 and /dev/sg2 both are"));
    assert_non_null(strstr(err.text, "name it by path"));
}

static void
test_name(void **state)
{
    (void)state;
    static const char *const wanted[] = {
        "serial:CHG1",             /* nobody else has it */
        "/dev/disk/by-path/usb-1", /* the serial number is on two drives */
        "/dev/disk/by-id/usb-X2",  /* ... and this one has no path */
    };
    char name[VARVE_DEVICE_NAME_BYTES];
    for (size_t i = 0; i < 3; i++) {
        varve_devices_name(&devices, &three[i], name);
        assert_string_equal(name, wanted[i]);
    }
    struct varve_device odd[] = {{.kind = VARVE_DEVICE_DRIVE,
                                  .serial = "A B;C", /* no word of a configuration */
                                  .serial_is_page_80 = true,
                                  .sg = "/dev/sg9"},
                                 {.kind = VARVE_DEVICE_DRIVE,
                                  .serial = "UDEV1", /* of a bridge: the kernel knows none */
                                  .sg = "/dev/sg10"}};
    const struct varve_devices two = {odd, 2};
    varve_devices_name(&two, &odd[0], name);
    assert_string_equal(name, "/dev/sg9");
    varve_devices_name(&two, &odd[1], name);
    assert_string_equal(name, "/dev/sg10");
}

/* This process has /dev/null open; another process, seen from a child, is named. */
static void
test_holders(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    struct varve_device device = {.kind = VARVE_DEVICE_DRIVE, .sg = "/dev/zero"};
    if (child == 0) { /* holds /dev/zero until the pipe ends */
        char byte;
        FILE *held = fopen("/dev/zero", "re");
        (void)close(pipe_fds[1]);
        if (held == NULL)
            _exit(1);
        while (read(pipe_fds[0], &byte, 1) < 0) {
        }
        _exit(0);
    }
    (void)close(pipe_fds[0]);
    bool seen = false;
    for (unsigned tries = 0; tries < 1000 && !seen; tries++) {
        struct varve_device_holder holders[VARVE_DEVICE_HOLDERS_MAX];
        size_t count = varve_device_holders(&device, holders, VARVE_DEVICE_HOLDERS_MAX);
        for (size_t i = 0; i < count; i++) {
            assert_true(holders[i].pid != getpid());
            seen = seen || (holders[i].pid == child && strcmp(holders[i].node, "/dev/zero") == 0 &&
                            holders[i].what[0] != 0);
        }
        (void)usleep(1000);
    }
    (void)close(pipe_fds[1]);
    assert_true(seen);
    char text[VARVE_DEVICE_HOLDERS_BYTES];
    struct varve_device none = {.kind = VARVE_DEVICE_DRIVE, .sg = "/dev/there-is-none"};
    varve_device_holders_text(&none, text);
    assert_string_equal(text, "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_ambiguous_text),
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_holders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
