/* SPDX-License-Identifier: Apache-2.0 */
/* What was recorded plays again, answer for answer, to the same commands and to no others; no
 * serial number of the hardware is in a trace, and no byte of the users unless that was asked for.
 */
#include "support.h"

#include "port_internal.h"
#include "port_trace.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <varve/file.h>
#include <varve/ports.h>

#define CLUSTERS 3u

struct fixture {
    char *dir;
    char path[512], library[512];
    struct varve_clock_sim clock;
    struct varve_random_seeded random;
    struct test_journal journal;
    uint8_t data[CLUSTERS * VARVE_CLUSTER_BYTES];
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct varve_error err = {0};
    assert_non_null(f);
    f->dir = test_dir_new();
    (void)snprintf(f->path, sizeof f->path, "%s/trace", f->dir);
    (void)snprintf(f->library, sizeof f->library, "%s/library", f->dir);
    varve_clock_sim_init(&f->clock, 1000 * VARVE_NS_PER_SECOND);
    varve_random_seeded_init(&f->random, 5);
    test_fill(f->data, sizeof f->data, 0);
    struct varve_virtual_options options = {
        .slots = 4, .drives = 2, .mail_slots = 1, .disc_bytes = TEST_DISC_BYTES};
    EXPECT_OK(varve_virtual_create(f->library, &options, &err), err);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    test_dir_done(f->dir);
    free(f);
    return 0;
}

/* A day in the life: load, burn, close, read back, unload. */
static bool
work(struct fixture *f, struct varve_library_ports *ports, struct varve_error *err)
{
    struct varve_library *library = NULL;
    struct varve_move_journal journal = test_journal_port(&f->journal);
    struct varve_barcode disc = test_barcode("VRV00002");
    uint8_t back[CLUSTERS * VARVE_CLUSTER_BYTES];
    if (!varve_library_new(ports, &journal, &f->clock.clock, &library, err)) {
        ports->changer->close(ports->changer);
        for (size_t i = 0; i < ports->drive_count; i++)
            ports->drives[i]->close(ports->drives[i]);
        return false;
    }
    struct varve_drive *drive = varve_library_drive(library, 1);
    bool ok = varve_library_load(library, &disc, 1, err) &&
              varve_drive_burn_begin(drive, 0, CLUSTERS, err) &&
              varve_drive_burn_write(drive, f->data, CLUSTERS, err) &&
              varve_drive_burn_close(drive, NULL, NULL, err) &&
              varve_drive_read(drive, 0, CLUSTERS, back, NULL, err) &&
              varve_library_unload(library, 1, err);
    if (ok)
        assert_memory_equal(back, f->data, sizeof back);
    varve_library_free(library);
    return ok;
}

static void
record(struct fixture *f, bool with_data, uint64_t bytes_max)
{
    VARVE_CLEANUP(varve_virtual_close) struct varve_virtual *folder = NULL;
    VARVE_CLEANUP(varve_trace_free) struct varve_trace *trace = NULL;
    struct varve_scsi_port *inner, *drives[2];
    struct varve_error err = {0};
    const struct varve_trace_options options = {.with_data = with_data,
                                                .bytes_max = bytes_max,
                                                .random = &f->random.random,
                                                .clock = &f->clock.clock};
    EXPECT_OK(varve_virtual_open(f->library, &f->clock.clock, &folder, &err), err);
    EXPECT_OK(varve_trace_new(f->path, &options, &trace, &err), err);
    struct varve_library_ports ports = {.name = "lib", .drives = drives, .drive_count = 2};
    EXPECT_OK(varve_virtual_changer_port(folder, &inner, &err), err);
    EXPECT_OK(varve_trace_port(trace, "changer", inner, &ports.changer, &err), err);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_OK(varve_virtual_drive_port(folder, i, &inner, &err), err);
        EXPECT_OK(varve_trace_port(trace, i == 0 ? "drive 0" : "drive 1", inner, &drives[i], &err),
                  err);
    }
    EXPECT_OK(work(f, &ports, &err), err);
}

static bool
replay(struct fixture *f, struct varve_error *err)
{
    VARVE_CLEANUP(varve_replay_free) struct varve_replay *replay = NULL;
    struct varve_scsi_port *drives[2];
    struct varve_library_ports ports = {.name = "lib", .drives = drives, .drive_count = 2};
    EXPECT_OK(varve_replay_open(f->path, &replay, err), *err);
    assert_string_equal(varve_replay_name(replay, 2), "drive 1");
    assert_null(varve_replay_name(replay, 3));
    EXPECT_OK(varve_replay_port(replay, 0, &ports.changer, err), *err);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_OK(varve_replay_port(replay, i + 1, &drives[i], err), *err);
    assert_false(varve_replay_is_done(replay, err));
    return work(f, &ports, err) && varve_replay_is_done(replay, err);
}

static void
test_the_same_again(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    record(f, true, 0);
    EXPECT_OK(replay(f, &err), err);
    assert_int_equal(f->journal.intents, 4);
    struct stat st; /* runs of equal bytes are short */
    assert_int_equal(stat(f->path, &st), 0);
    assert_true(st.st_size < (off_t)(3 * sizeof f->data));
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void
test_another_command_is_an_error_for_ever(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    record(f, true, 0);
    f->data[7]++; /* the burn writes another byte */
    assert_false(replay(f, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
    assert_non_null(strstr(err.text, "/trace', line "));
    assert_non_null(strstr(err.text, ": other data: 2a000000000000006000"));
    assert_non_null(strstr(err.text, " was sent to drive 1"));

    VARVE_CLEANUP(varve_replay_free) struct varve_replay *replay = NULL;
    struct varve_scsi_port *port;
    EXPECT_OK(varve_replay_open(f->path, &replay, &err), err);
    EXPECT_OK(varve_replay_port(replay, 0, &port, &err), err);
    struct varve_scsi_command command = {.cdb = {0xa5, 1}, .cdb_bytes = 12};
    assert_false(port->execute(port, &command, &err));
    char expected[700];
    (void)snprintf(expected, sizeof expected,
                   "trace '%s', line 5: another command: a50100000000000000000000 was sent to "
                   "changer",
                   f->path);
    assert_string_equal(err.text, expected);
    struct varve_error again = {0}; /* also for what would have been right */
    uint8_t data[252];
    command = (struct varve_scsi_command){.cdb = {0x12, 0, 0, 0, 252},
                                          .cdb_bytes = 6,
                                          .direction = VARVE_SCSI_FROM_DEVICE,
                                          .data = data,
                                          .data_bytes = sizeof data};
    assert_false(port->execute(port, &command, &again));
    assert_string_equal(again.text, expected);
    port->close(port);
    assert_false(varve_replay_port(replay, 3, &port, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
}

static void
read_text(struct fixture *f, struct varve_buffer *ret)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_file_read(f->path, UINT64_C(1) << 30, ret, &err), err);
}

static void
put_hex_text(const char *text, char *ret, size_t size)
{
    size_t used = 0;
    for (; *text != 0 && used + 3 < size; text++)
        used += (size_t)snprintf(ret + used, size - used, "%02x", (unsigned char)*text);
}

static void
test_no_serial_and_no_content(void **state)
{
    struct fixture *f = *state;
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    struct varve_error err = {0};
    uint8_t data[252];
    VARVE_CLEANUP(varve_virtual_close) struct varve_virtual *folder = NULL;
    struct varve_scsi_port *drive;
    record(f, false, 0);
    read_text(f, &text);
    EXPECT_OK(varve_virtual_open(f->library, &f->clock.clock, &folder, &err), err);
    EXPECT_OK(varve_virtual_drive_port(folder, 0, &drive, &err), err);
    struct varve_scsi_command command = {.cdb = {0x12, 1, 0x80, 0, 252},
                                         .cdb_bytes = 6,
                                         .direction = VARVE_SCSI_FROM_DEVICE,
                                         .data = data,
                                         .data_bytes = sizeof data};
    assert_true(drive->execute(drive, &command, &err));
    drive->close(drive);
    char serial[VARVE_PORT_SERIAL_BYTES], hex[2 * VARVE_PORT_SERIAL_BYTES + 1];
    port_trim_serial(data + 4, data[3], serial);
    assert_true(strlen(serial) >= 4);
    put_hex_text(serial, hex, sizeof hex);
    assert_null(strstr(varve_buffer_string(&text), hex));
    assert_non_null(strstr(varve_buffer_string(&text), " = 196608 ")); /* READ: length, CRC */
    /* ... and so cannot be read again. */
    assert_false(replay(f, &err));
    assert_non_null(strstr(err.text, "the data that was read from the disc is not in the trace"));
}

static void
test_masks_keep_shape_and_front(void **state)
{
    (void)state;
    static const uint8_t page80[] = {0x12, 1, 0x80}, status[] = {0xb8, 0, 0, 0, 0, 0, 1};
    uint8_t whole[20] = "\5\200\0\20    SN0a-12/34", cut[20], other[20];
    memcpy(cut, whole, sizeof whole);
    memcpy(other, whole, sizeof whole);
    trace_mask(1, page80, whole, 4 + 14);
    trace_mask(1, page80, cut, 4 + 8);
    trace_mask(2, page80, other, 4 + 14);
    assert_memory_equal(whole, "\5\200\0\20    ", 8);
    assert_memory_not_equal(whole + 8, "SN0a-12/34", 10);
    assert_memory_equal(whole, cut, 12);
    assert_memory_not_equal(whole, other, 18);
    assert_true(whole[8] >= 'A' && whole[8] <= 'Z' && whole[10] >= '0' && whole[10] <= '9');
    assert_true(whole[11] >= 'a' && whole[11] <= 'z' && whole[12] == '-' && whole[15] == '/');

    /* The same number in a drive's descriptor of READ ELEMENT STATUS, cut by the changer. */
    uint8_t answer[8 + 8 + 52] = {[5] = 0, [6] = 0, [7] = 60, [8] = 4, [11] = 52, [15] = 52};
    uint8_t *id = answer + 16 + 12;
    memcpy(id, "\2\1\0\50VENDOR  PRODUCT         SN0a-12/", 36);
    trace_mask(1, status, answer, sizeof answer);
    assert_memory_equal(id + 4, "VENDOR  PRODUCT         ", 24);
    assert_memory_equal(id + 28, whole + 8, 8);
    for (size_t size = 0; size < sizeof answer; size++)
        trace_mask(1, status, answer, size); /* junk of any length: ASan watches */
}

static void
test_a_full_trace_ends(void **state)
{
    struct fixture *f = *state;
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    struct varve_error err = {0};
    record(f, true, 2000); /* and the work is not disturbed */
    read_text(f, &text);
    assert_true(text.size < 2200);
    assert_non_null(strstr(varve_buffer_string(&text), "# the trace ends here"));
    assert_false(replay(f, &err));
    assert_non_null(strstr(err.text, "/trace', line ")); /* it tells where the trace ends */
}

static void
test_the_trace_before_is_kept(void **state)
{
    struct fixture *f = *state;
    char old[600];
    record(f, false, 0);
    (void)snprintf(old, sizeof old, "%s.1", f->path);
    assert_int_equal(access(old, F_OK), -1);
    VARVE_CLEANUP(varve_trace_free) struct varve_trace *trace = NULL;
    const struct varve_trace_options options = {0};
    struct varve_error err = {0};
    EXPECT_OK(varve_trace_new(f->path, &options, &trace, &err), err);
    assert_int_equal(access(old, F_OK), 0);
}

/* Faults are part of a trace. */
static void
test_silence_is_replayed(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "varve trace 1\ndevice 0 x\n> 0 00 none\n# after 5 ms: time-out\n"
                               "! 0 not_ready\n> 0 00 none\n! 0 hardware\n> 0 00 none\n"
                               "< 0 02 70*2 -\n> 0 00 none\n";
    struct varve_error err = {0};
    EXPECT_OK(varve_file_replace(f->path, text, sizeof text - 1, &err), err);
    VARVE_CLEANUP(varve_replay_free) struct varve_replay *replay = NULL;
    assert_false(varve_replay_open(f->path, &replay, &err)); /* sense has no runs */
    char good[sizeof text];
    memcpy(good, text, sizeof text);
    memcpy(strstr(good, "70*2"), "7000", 4);
    EXPECT_OK(varve_file_replace(f->path, good, sizeof good - 1, &err), err);
    EXPECT_OK(varve_replay_open(f->path, &replay, &err), err);
    struct varve_scsi_port *port;
    EXPECT_OK(varve_replay_port(replay, 0, &port, &err), err);
    struct varve_scsi_command command = {.cdb_bytes = 1};
    assert_false(port->execute(port, &command, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY);
    assert_false(port->execute(port, &command, &err));
    assert_int_equal(err.kind, VARVE_ERROR_HARDWARE);
    assert_true(port->execute(port, &command, &err));
    assert_int_equal(command.status, 2);
    assert_int_equal(command.sense_bytes, 2);
    assert_false(port->execute(port, &command, &err)); /* the recording ended there */
    assert_int_equal(err.kind, VARVE_ERROR_HARDWARE);
    port->close(port);
}

static void
test_bad_traces_are_refused_by_line(void **state)
{
    struct fixture *f = *state;
#define HEAD "varve trace 1\ndevice 0 x\n"
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "line 1: the file is empty"},
        {"GIF89a", "line 1: this is no trace of varve"},
        {"varve trace 2\n", "line 1: this is no trace of varve"},
        {"varve trace 1\ndevice 1 x\n", "line 2: devices are not numbered 0, 1, ..."},
        {HEAD "hello\n", "line 3: unknown line"},
        {HEAD "> 1 00 none\n", "line 3: no command"},
        {HEAD "> 0 0 none\n", "line 3: no command"},
        {HEAD "> 0 0000000000000000000000000000000000 none\n", "line 3: no command"},
        {HEAD "> 0 00 in\n", "line 3: no command"},
        {HEAD "> 0 00 in 99999999\n", "line 3: no command"},
        {HEAD "> 0 00 out 5\n", "line 3: no command"},
        {HEAD "> 0 00 none 5\n", "line 3: no command"},
        {HEAD "< 0 00 - -\n", "line 3: an answer without its command"},
        {HEAD "> 0 00 none\n< 0 00 - -\n< 0 00 - -\n", "line 5: an answer without its command"},
        {HEAD "> 0 00 in 4\n< 0 00 - 0001020304\n",
         "line 4: data that is none, or more than was asked for"},
        {HEAD "> 0 00 in 4\n< 0 00 - 00*5\n",
         "line 4: data that is none, or more than was asked for"},
        {HEAD "> 0 00 in 4\n< 0 00 - 00*18446744073709551617\n",
         "line 4: data that is none, or more than was asked for"},
        {HEAD "> 0 00 in 4\n< 0 00 - 0g\n",
         "line 4: data that is none, or more than was asked for"},
        {HEAD "> 0 00 in 4\n< 0 100 - -\n", "line 4: no answer"},
        {HEAD "> 0 00 in 4\n! 0 slow\n", "line 4: no answer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_replay *replay = NULL;
        struct varve_error err = {0};
        char expected[700];
        EXPECT_OK(varve_file_replace(f->path, cases[i].text, strlen(cases[i].text), &err), err);
        assert_false(varve_replay_open(f->path, &replay, &err));
        (void)snprintf(expected, sizeof expected, "trace '%s', %s", f->path, cases[i].error);
        assert_string_equal(err.text, expected);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_same_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_command_is_an_error_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_serial_and_no_content, setup, teardown),
        cmocka_unit_test(test_masks_keep_shape_and_front),
        cmocka_unit_test_setup_teardown(test_a_full_trace_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_trace_before_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silence_is_replayed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_traces_are_refused_by_line, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
