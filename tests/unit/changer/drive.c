/* SPDX-License-Identifier: Apache-2.0 */
/* A burn proves its disc first, writes each cluster once, survives what hardware does in between,
 * and reads back what it wrote. */
#include "support.h"

#include "drive.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLUSTERS 12u

struct fixture {
    struct test_bench bench;
    struct varve_drive *drive;
    uint8_t data[CLUSTERS * VARVE_CLUSTER_BYTES];
    uint8_t back[CLUSTERS * VARVE_CLUSTER_BYTES];
    char image[512];
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    assert_non_null(f);
    test_bench_start(&f->bench);
    EXPECT_OK(varve_library_load(f->bench.library, &one, 0, &err), err);
    f->drive = varve_library_drive(f->bench.library, 0);
    test_fill(f->data, sizeof f->data, 0);
    (void)snprintf(f->image, sizeof f->image, "%s/discs/VRV00001.img", f->bench.dir);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    test_bench_done(&f->bench);
    free(f);
    return 0;
}

static void
fault(struct fixture *f, uint8_t opcode, unsigned nth, uint32_t sense)
{
    struct varve_error err = {0};
    struct varve_virtual_fault one = {.opcode = opcode,
                                      .nth = nth,
                                      .key = (uint8_t)(sense >> 16),
                                      .asc = (uint8_t)(sense >> 8),
                                      .ascq = (uint8_t)sense};
    EXPECT_OK(varve_virtual_inject(f->bench.folder, &one, &err), err);
}

static bool
burn(struct fixture *f, struct varve_error *err)
{
    if (!varve_drive_burn_begin(f->drive, 0, CLUSTERS, err))
        return false;
    for (unsigned i = 0; i < CLUSTERS; i += 3) {
        if (!varve_drive_burn_write(f->drive, f->data + i * VARVE_CLUSTER_BYTES, 3, err))
            return false;
    }
    return varve_drive_burn_close(f->drive, NULL, NULL, err);
}

static void
expect_data(struct fixture *f)
{
    struct varve_error err = {0};
    struct varve_medium medium;
    EXPECT_OK(varve_drive_medium(f->drive, &medium, &err), err);
    assert_int_equal(medium.state, VARVE_MEDIUM_CLOSED);
    assert_int_equal(medium.profile, 0x41);
    assert_int_equal(medium.readable_clusters, CLUSTERS);
    EXPECT_OK(varve_drive_read(f->drive, 0, CLUSTERS, f->back, NULL, &err), err);
    assert_memory_equal(f->back, f->data, sizeof f->data);
    assert_false(f->bench.watch.rewritten);
    struct stat st;
    assert_int_equal(stat(f->image, &st), 0);
    assert_int_equal(st.st_size, sizeof f->data);
}

static unsigned ticks;
static void
count_tick(void *context, int percent)
{
    (void)context;
    assert_true(percent >= -1 && percent <= 100);
    ticks++;
}

static void
test_burn_and_read_back(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_medium medium;
    EXPECT_OK(varve_drive_medium(f->drive, &medium, &err), err);
    assert_int_equal(medium.state, VARVE_MEDIUM_BLANK);
    assert_int_equal(medium.capacity_clusters, TEST_DISC_BYTES / VARVE_CLUSTER_BYTES);
    assert_int_equal(medium.next_cluster, 0);
    assert_true(medium.next_valid);
    assert_int_equal(access(f->image, F_OK), -1);
    EXPECT_OK(burn(f, &err), err);
    expect_data(f);
    assert_false(varve_drive_burn_write(f->drive, f->data, 1, &err));
    assert_string_equal(err.text, "library 'lib', drive 0 (element 256): no burn is open");
    assert_false(varve_drive_burn_begin(f->drive, 0, 1, &err));
    assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
    assert_string_equal(
        err.text, "library 'lib', drive 0 (element 256): begin to burn: disc is closed (profile "
                  "0041h), not blank as expected");
}

static void
test_burn_goes_on_after_restart(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_medium medium;
    EXPECT_OK(varve_drive_burn_begin(f->drive, 0, CLUSTERS, &err), err);
    EXPECT_OK(varve_drive_burn_write(f->drive, f->data, 5, &err), err);
    test_bench_close(&f->bench);
    /* A power cut in the middle of a cluster. */
    assert_int_equal(truncate(f->image, 4 * VARVE_CLUSTER_BYTES + 12345), 0);
    test_bench_open(&f->bench);
    f->bench.watch = (struct test_watch){0};
    f->drive = varve_library_drive(f->bench.library, 0);
    EXPECT_OK(varve_drive_medium(f->drive, &medium, &err), err);
    assert_int_equal(medium.state, VARVE_MEDIUM_APPENDABLE);
    assert_int_equal(medium.next_cluster, 4);
    assert_int_equal(medium.readable_clusters, 4);
    assert_false(varve_drive_burn_begin(f->drive, 0, CLUSTERS, &err));
    assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
    assert_false(varve_drive_burn_begin(f->drive, 5, CLUSTERS, &err));
    assert_string_equal(
        err.text, "library 'lib', drive 0 (element 256): begin to burn: next writable cluster is "
                  "4, not 5 as expected");
    EXPECT_OK(varve_drive_burn_begin(f->drive, 4, CLUSTERS, &err), err);
    EXPECT_OK(varve_drive_burn_write(f->drive, f->data + 4 * VARVE_CLUSTER_BYTES, 8, &err), err);
    EXPECT_OK(varve_drive_burn_close(f->drive, count_tick, NULL, &err), err);
    expect_data(f);
}

static void
test_refusals(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    assert_false(varve_drive_burn_begin(f->drive, 0, 65, &err));
    assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
    assert_string_equal(
        err.text, "library 'lib', drive 0 (element 256): begin to burn: disc holds 64 clusters, "
                  "65 are to be written");
    assert_false(varve_drive_burn_close(f->drive, NULL, NULL, &err));
    EXPECT_OK(varve_drive_burn_begin(f->drive, 0, 2, &err), err);
    assert_false(varve_drive_burn_write(f->drive, f->data, 3, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
    assert_false(varve_drive_burn_write(f->drive, f->data, 17, &err));
    assert_false(varve_drive_read(f->drive, 0, 17, f->back, NULL, &err));
    assert_false(varve_drive_read(f->drive, UINT64_C(1) << 40, 1, f->back, NULL, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
    assert_false(varve_drive_read(f->drive, 0, 1, f->back, NULL, &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    assert_string_equal(
        err.text, "library 'lib', drive 0 (element 256): READ(10) at LBA 0: logical block address "
                  "out of range (5/21/00)");
    EXPECT_OK(varve_library_unload(f->bench.library, 0, &err), err);
    assert_false(varve_drive_burn_begin(f->drive, 0, 2, &err));
    assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
    assert_non_null(strstr(err.text, "disc is missing"));
}

/* What a burn must survive: opcode, which of them, sense. */
static void
test_survivable(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    for (unsigned i = 0; i < 5; i++)
        fault(f, 0x2a, 2, 0x020408); /* long write in progress, five times */
    fault(f, 0x2a, 9, 0x020407);     /* busy: flush and repeat */
    fault(f, 0x35, 2, 0x020408);
    fault(f, 0x5b, 1, 0x062900); /* reset just before closing */
    fault(f, 0x5b, 3, 0x020407);
    EXPECT_OK(burn(f, &err), err);
    expect_data(f);
    struct varve_drive_health health;
    varve_drive_health(f->drive, &health);
    assert_true(health.retries >= 8);
}

static void
test_recovered_error_is_good(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_virtual_fault one = {
        .opcode = 0x2a, .nth = 2, .key = 1, .asc = 0x0c, .ascq = 0x01, .after = true};
    EXPECT_OK(varve_virtual_inject(f->bench.folder, &one, &err), err);
    EXPECT_OK(burn(f, &err), err);
    expect_data(f);
}

static void
test_lost_answer(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    /* The second WRITE arrived, its answer did not; the fourth did not arrive. */
    struct varve_virtual_fault arrived = {.opcode = 0x2a, .nth = 2, .lost = true, .after = true};
    struct varve_virtual_fault missed = {.opcode = 0x2a, .nth = 4, .lost = true};
    EXPECT_OK(varve_virtual_inject(f->bench.folder, &arrived, &err), err);
    EXPECT_OK(varve_virtual_inject(f->bench.folder, &missed, &err), err);
    EXPECT_OK(burn(f, &err), err);
    expect_data(f);
}

static void
test_fatal(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    fault(f, 0x2a, 3, 0x030c00);
    assert_false(burn(f, &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    assert_string_equal(err.text,
                        "library 'lib', drive 0 (element 256): write 3 clusters at 6 (LBA 192): "
                        "WRITE(10): write error (3/0c/00)\nhint: 6 of 12 clusters were "
                        "acknowledged; the drive calls the disc BD-R SRM and stands at "
                        "cluster 6");
    assert_false(varve_drive_burn_write(f->drive, f->data, 1, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
}

/* A reset before a WRITE and a lost answer after it: the next writable address decides both times;
 * an aborted WRITE ends the burn without a second try. */
static void
test_next_address_decides(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    EXPECT_OK(varve_drive_burn_begin(f->drive, 0, CLUSTERS, &err), err);
    EXPECT_OK(varve_drive_burn_write(f->drive, f->data, 4, &err), err);
    test_bench_close(&f->bench);
    assert_int_equal(truncate(f->image, 3 * VARVE_CLUSTER_BYTES), 0);
    test_bench_open(&f->bench);
    f->drive = varve_library_drive(f->bench.library, 0);
    EXPECT_OK(varve_drive_burn_begin(f->drive, 3, CLUSTERS, &err), err);
    fault(f, 0x2a, 1, 0x062900);
    struct varve_virtual_fault arrived = {.opcode = 0x2a, .nth = 2, .lost = true, .after = true};
    EXPECT_OK(varve_virtual_inject(f->bench.folder, &arrived, &err), err);
    EXPECT_OK(varve_drive_burn_write(f->drive, f->data + 3 * VARVE_CLUSTER_BYTES, 2, &err), err);
    f->bench.watch = (struct test_watch){.fail_nth = 1, .sense = {0x0b, 0x00, 0x00}};
    assert_false(varve_drive_burn_write(f->drive, f->data, 1, &err));
    assert_int_equal(err.kind, VARVE_ERROR_HARDWARE);
    assert_int_equal(f->bench.watch.commands, 1);
    f->bench.watch = (struct test_watch){0};
}

/* An earlier command failed after it was acknowledged: the burn is lost, whatever comes now. */
static bool
deferred_execute(struct varve_scsi_port *port, struct varve_scsi_command *command,
                 struct varve_error *err)
{
    static const uint8_t sense[14] = {0x71, 0, 3, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0x0c, 0x00};
    (void)port;
    (void)err;
    command->status = 2;
    memcpy(command->sense, sense, sizeof sense);
    command->sense_bytes = sizeof sense;
    return true;
}

static void
test_deferred_error_ends_the_burn(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_scsi_port broken = {deferred_execute, NULL};
    EXPECT_OK(varve_drive_burn_begin(f->drive, 0, CLUSTERS, &err), err);
    struct varve_scsi_port *port = f->drive->device.port;
    f->drive->device.port = &broken;
    assert_false(varve_drive_burn_write(f->drive, f->data, 1, &err));
    f->drive->device.port = port;
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    assert_string_equal(err.text,
                        "library 'lib', drive 0 (element 256): write 1 clusters at 0 (LBA 0): "
                        "WRITE(10): earlier command: write error (3/0c/00)\nhint: 0 of 12 "
                        "clusters were acknowledged; the drive tells nothing of the disc "
                        "any more");
    assert_false(varve_drive_burn_close(f->drive, NULL, NULL, &err));
}

static void
test_changed_medium_stops_the_burn(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    fault(f, 0x2a, 2, 0x062800);
    assert_false(burn(f, &err));
    assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
    assert_non_null(strstr(err.text, "medium may have changed (6/28/00)"));
}

static void
test_stuck_write_ends(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    EXPECT_OK(varve_drive_burn_begin(f->drive, 0, CLUSTERS, &err), err);
    f->bench.watch =
        (struct test_watch){.fail_nth = 1, .fail_count = UINT32_MAX - 1, .sense = {2, 0x04, 0x08}};
    int64_t began = varve_clock_monotonic(&f->bench.clock.clock);
    assert_false(varve_drive_burn_write(f->drive, f->data, 1, &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    int64_t took = varve_clock_monotonic(&f->bench.clock.clock) - began;
    assert_true(took >= 900 * VARVE_NS_PER_SECOND && took < 1700 * VARVE_NS_PER_SECOND);
    f->bench.watch = (struct test_watch){0};
}

static void
test_read_retries(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    int64_t took = -1;
    EXPECT_OK(burn(f, &err), err);
    fault(f, 0x28, 1, 0x031105);
    fault(f, 0x28, 2, 0x031105);
    EXPECT_OK(varve_drive_read(f->drive, 3, 1, f->back, &took, &err), err);
    assert_true(took >= 0);
    assert_memory_equal(f->back, f->data + 3 * VARVE_CLUSTER_BYTES, VARVE_CLUSTER_BYTES);
    for (unsigned i = 0; i < 4; i++)
        fault(f, 0x28, 1, 0x031105);
    assert_false(varve_drive_read(f->drive, 3, 1, f->back, NULL, &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    assert_string_equal(
        err.text, "library 'lib', drive 0 (element 256): READ(10) at LBA 96: L-EC uncorrectable "
                  "error (3/11/05)");
    struct varve_drive_health health;
    varve_drive_health(f->drive, &health);
    assert_int_equal(health.medium_errors, 6);
}

static void
test_damaged_image(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    EXPECT_OK(burn(f, &err), err);
    assert_int_equal(truncate(f->image, 2 * VARVE_CLUSTER_BYTES + 4096), 0);
    EXPECT_OK(varve_drive_read(f->drive, 0, 2, f->back, NULL, &err), err);
    assert_false(varve_drive_read(f->drive, 2, 4, f->back, NULL, &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    assert_string_equal(
        err.text, "library 'lib', drive 0 (element 256): READ(10) at LBA 66: unrecovered read "
                  "error (3/11/00)");
    int fd = open(f->image, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 70000), 1);
    assert_int_equal(close(fd), 0);
    EXPECT_OK(varve_drive_read(f->drive, 1, 1, f->back, NULL, &err), err);
    assert_int_equal(f->back[70000 - VARVE_CLUSTER_BYTES], 'x');
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_burn_and_read_back),
        CASE(test_burn_goes_on_after_restart),
        CASE(test_refusals),
        CASE(test_survivable),
        CASE(test_recovered_error_is_good),
        CASE(test_lost_answer),
        CASE(test_fatal),
        CASE(test_next_address_decides),
        CASE(test_deferred_error_ends_the_burn),
        CASE(test_changed_medium_stops_the_burn),
        CASE(test_stuck_write_ends),
        CASE(test_read_retries),
        CASE(test_damaged_image),
    };
    return cmocka_run_group_tests_name("drive", tests, NULL, NULL);
}
