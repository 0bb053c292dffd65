/* SPDX-License-Identifier: Apache-2.0 */
/* A device is found by node, link or serial number, and by no other; what the sg driver answers is
 * told apart from what the device answers; risky commands take turns on a host adapter. */
#include "support.h"

#include "port_internal.h"
#include "port_sg.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- what sg says --- */

static void
test_sg_answers(void **state)
{
    (void)state;
    static const struct {
        struct sg_io_hdr done;
        enum port_answer answer;
        uint8_t status;
        uint32_t received;
        const char *error;
    } cases[] = {
        {{.dxfer_len = 100, .resid = 4}, PORT_ANSWERED, 0, 96, ""},
        {{.dxfer_len = 100, .resid = -8}, PORT_ANSWERED, 0, 100, ""},
        {{.dxfer_len = 100, .resid = 200}, PORT_ANSWERED, 0, 100, ""},
        {{.dxfer_len = 100, .status = 2, .driver_status = 8}, PORT_ANSWERED, 2, 100, ""},
        {{.status = 0x18}, PORT_ANSWERED, 0x18, 0, ""},
        {{.host_status = 0x11}, PORT_ANSWERED, 0x18, 0, ""},
        {{.host_status = 3, .timeout = 30000}, PORT_TIMED_OUT, 0, 0, "no answer in 30 s"},
        {{.driver_status = 6, .timeout = 30000}, PORT_TIMED_OUT, 0, 0, "no answer in 30 s"},
        {{.host_status = 1},
         PORT_GONE,
         0,
         0,
         "no answer: host status 01h (no connection), driver status 00h"},
        /* Status 0 beside it is no success (reference 3.1). */
        {{.host_status = 7},
         PORT_TIMED_OUT,
         0,
         0,
         "no answer: host status 07h (error), driver status 00h"},
        {{.host_status = 0x0e},
         PORT_TIMED_OUT,
         0,
         0,
         "no answer: host status 0Eh (link disrupted), driver status 00h"},
        {{.driver_status = 4},
         PORT_TIMED_OUT,
         0,
         0,
         "no answer: host status 00h (unknown), driver status 04h"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_scsi_command command = {.direction = VARVE_SCSI_FROM_DEVICE};
        struct varve_error err = {0};
        assert_int_equal(port_sg_judge(&cases[i].done, &command, &err), cases[i].answer);
        assert_string_equal(err.text, cases[i].error);
        if (cases[i].answer != PORT_ANSWERED)
            continue;
        assert_int_equal(command.status, cases[i].status);
        assert_int_equal(command.received_bytes, cases[i].received);
    }
}

/* --- sysfs --- */

static void
make(const char *root, const char *path, const void *bytes, size_t size)
{
    char whole[512];
    (void)snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = 0;
        (void)mkdir(whole, 0700);
        *at = '/';
    }
    int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    (void)close(fd);
}

static void
test_nodes_by_sysfs(void **state)
{
    (void)state;
    char *root = test_dir_new();
    char node[PORT_NODE_BYTES];
    struct varve_error err = {0};
    make(root, "/dev/sg3", "", 0);
    make(root, "/dev/sg4", "", 0);
    make(root, "/dev/sr0", "", 0);
    make(root, "/dev/sda", "", 0);
    make(root, "/sys/class/scsi_generic/sg3/device/vpd_pg80", "\0\200\0\6  ABC1", 10);
    make(root, "/sys/class/scsi_generic/sg4/device/vpd_pg80", "\0\200\0\377ABC", 7); /* too long */
    make(root, "/sys/class/scsi_generic/sg3/device/block/sr0/dev", "11:0\n", 5);
    make(root, "/sys/class/block/sr0/device/scsi_generic/sg3/dev", "21:3\n", 5);

    EXPECT_OK(port_sysfs_sg_of(root, "/dev/sr0", node, &err), err);
    assert_string_equal(node, "/dev/sg3");
    EXPECT_OK(port_sysfs_sg_of(root, "/dev/sg4", node, &err), err);
    assert_string_equal(node, "/dev/sg4");
    assert_false(port_sysfs_sg_of(root, "/dev/sda", node, &err));
    assert_string_equal(err.text, "'/dev/sda' (sda) is no SCSI device, or has no /dev/sg node\n"
                                  "hint: `modprobe sg` makes the nodes; a changer is /dev/sgN");
    assert_false(port_sysfs_sg_of(root, "/dev/sg9", node, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
    assert_true(port_sysfs_block_of(root, "/dev/sg3", node));
    assert_string_equal(node, "/dev/sr0");
    assert_false(port_sysfs_block_of(root, "/dev/sg4", node));

    EXPECT_OK(port_sysfs_by_serial(root, "ABC1", node, &err), err);
    assert_string_equal(node, "/dev/sg3");
    EXPECT_OK(port_sysfs_by_serial(root, "ABC", node, &err), err);
    assert_string_equal(node, "/dev/sg4");
    assert_false(port_sysfs_by_serial(root, "ABD", node, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
    make(root, "/sys/class/scsi_generic/sg5/device/vpd_pg80", "\0\200\0\4ABC1", 8);
    assert_false(port_sysfs_by_serial(root, "ABC1", node, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
    test_dir_done(root);
}

/* --- host adapters (fault 34) --- */

static void
test_host_of_a_node(void **state)
{
    (void)state;
    char *root = test_dir_new();
    char from[512], to[512];
    make(root, "/sys/devices/pci0/host3/target3:0:1/3:0:1:0/type", "5\n", 2);
    make(root, "/sys/devices/pci0/host3/exp/host12/target12:0:0/12:0:0:0/type", "8\n", 2);
    make(root, "/sys/class/scsi_generic/sg1/dev", "21:1\n", 5);
    make(root, "/sys/class/scsi_generic/sg2/dev", "21:2\n", 5);
    (void)snprintf(from, sizeof from, "%s/sys/class/scsi_generic/sg1/device", root);
    (void)snprintf(to, sizeof to, "%s/sys/devices/pci0/host3/target3:0:1/3:0:1:0", root);
    assert_int_equal(symlink(to, from), 0);
    (void)snprintf(from, sizeof from, "%s/sys/class/scsi_generic/sg2/device", root);
    (void)snprintf(to, sizeof to, "%s/sys/devices/pci0/host3/exp/host12/target12:0:0/12:0:0:0",
                   root);
    assert_int_equal(symlink(to, from), 0);
    assert_int_equal(port_sysfs_host_of(root, "/dev/sg1"), 3);
    assert_int_equal(port_sysfs_host_of(root, "/dev/sg2"), 12);
    assert_int_equal(port_sysfs_host_of(root, "/dev/sg3"), -1);
    test_dir_done(root);
}

static void
test_what_may_reset_the_bus(void **state)
{
    (void)state;
    uint8_t later[12] = {0, 0x82}, at_once[12] = {0, 0x80};
    static const struct {
        uint8_t cdb[3];
        bool risky;
    } cases[] = {
        {{0xa5}, true},        {{0xa6}, true},     {{0x07}, true},  {{0x37}, true},
        {{0x1b, 0}, true},     {{0x1b, 1}, false}, {{0x5b}, true},  {{0x5b, 1}, false},
        {{0x35}, true},        {{0x35, 2}, false}, {{0x2a}, false}, {{0x28}, false},
        {{0xb8, 0x12}, false}, {{0x00}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_scsi_command command = {.cdb_bytes = 12};
        memcpy(command.cdb, cases[i].cdb, 3);
        assert_int_equal(port_host_is_risky(&command), cases[i].risky);
    }
    struct varve_scsi_command format = {.cdb = {0x04}, .data = later, .data_bytes = 12};
    assert_false(port_host_is_risky(&format));
    format.data = at_once;
    assert_true(port_host_is_risky(&format));
}

static void *
move_once(void *context)
{
    struct varve_scsi_command move = {.cdb = {0xa5}};
    pthread_mutex_t *held = port_host_enter(1, &move);
    __atomic_store_n((bool *)context, true, __ATOMIC_SEQ_CST);
    port_host_leave(held);
    return NULL;
}

static void
test_risky_commands_take_turns(void **state)
{
    (void)state;
    struct varve_scsi_command close = {.cdb = {0x5b}}, write = {.cdb = {0x2a}};
    bool moved = false;
    pthread_t other;
    pthread_mutex_t *held = port_host_enter(1, &close);
    assert_non_null(held);
    assert_null(port_host_enter(1, &write)); /* these never wait */
    assert_null(port_host_enter(-1, &close));
    pthread_mutex_t *elsewhere = port_host_enter(2, &close);
    assert_non_null(elsewhere);
    port_host_leave(elsewhere);
    assert_int_equal(pthread_create(&other, NULL, move_once, &moved), 0);
    varve_clock_sleep(varve_clock_system(), 50 * VARVE_NS_PER_MS);
    assert_false(__atomic_load_n(&moved, __ATOMIC_SEQ_CST));
    port_host_leave(held);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_true(moved);
}

/* --- places --- */

static void
test_places(void **state)
{
    (void)state;
    static const struct {
        const char *place;
        bool valid;
        const char *text;
    } cases[] = {
        {"/dev/sg3", true, "/dev/sg3"},
        {"serial:ABC 1", true, "serial:ABC 1"},
        {"iscsi://h/t/1", true, "iscsi://h/t/1"},
        {"iscsi://user%pa@ss@h:3260/t@x/1?target_password=z", true, "iscsi://h:3260/t@x/1"},
        {"iscsi://", false, "iscsi://"},
        {"serial:", false, "serial:"},
        {"sg3", false, "sg3"},
        {"", false, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[VARVE_PORT_PLACE_BYTES];
        assert_int_equal(varve_port_is_place(cases[i].place), cases[i].valid);
        assert_string_equal(varve_port_place_text(cases[i].place, text), cases[i].text);
    }
    struct varve_scsi_port *port = NULL;
    const struct varve_port_options options = {0};
    struct varve_error err = {0};
    assert_false(varve_port_open("tape", &options, &port, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
    /* Nobody listens on port 1; the password stays out of the message. */
    assert_false(varve_port_open("iscsi://me%secret@127.0.0.1:1/iqn.x:y/1", &options, &port, &err));
    assert_int_equal(err.kind, VARVE_ERROR_HARDWARE);
    assert_null(strstr(err.text, "secret"));
    assert_non_null(strstr(err.text, "iscsi://127.0.0.1:1/iqn.x:y/1: connect to 127.0.0.1:1"));
    assert_false(varve_port_open("iscsi://127.0.0.1:1/iqn.x:y", &options, &port, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sg_answers),
        cmocka_unit_test(test_nodes_by_sysfs),
        cmocka_unit_test(test_host_of_a_node),
        cmocka_unit_test(test_what_may_reset_the_bus),
        cmocka_unit_test(test_risky_commands_take_turns),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
