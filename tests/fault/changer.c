/* SPDX-License-Identifier: Apache-2.0 */
/* Whichever command of a load, a burn, a close or an unload fails, and however: every disc is where
 * the library says it is, and no acknowledged sector is written twice (INV-6). Fails the 1st
 * command, then the 2nd, ... until a run in which no fault was reached. */
#include "support.h"

#include <string.h>

#define CLUSTERS 8u
#define RUNS_MAX 400u

struct kind {
    const char *name;
    enum test_fault fault;
    uint8_t sense[3];
    unsigned count;
    bool harmless; /* every step must succeed in spite of it */
};

static const struct kind kinds[] = {
    {"unit attention", TEST_FAULT_SENSE, {6, 0x29, 0x00}, 1, true},
    {"two unit attentions", TEST_FAULT_SENSE, {6, 0x29, 0x00}, 2, true},
    {"medium may have changed", TEST_FAULT_SENSE, {6, 0x28, 0x00}, 1, false},
    {"becoming ready", TEST_FAULT_SENSE, {2, 0x04, 0x01}, 1, false},
    {"long write", TEST_FAULT_SENSE, {2, 0x04, 0x08}, 1, true},
    {"recovered", TEST_FAULT_SENSE_AFTER, {1, 0x17, 0x00}, 1, false},
    {"medium error", TEST_FAULT_SENSE, {3, 0x0c, 0x00}, 1, false},
    {"hardware error", TEST_FAULT_SENSE, {4, 0x44, 0x00}, 1, false},
    {"hardware error, carried out", TEST_FAULT_SENSE_AFTER, {4, 0x44, 0x00}, 1, false},
    {"positioning error", TEST_FAULT_SENSE, {4, 0x15, 0x01}, 1, false},
    {"invalid field", TEST_FAULT_SENSE, {5, 0x24, 0x00}, 1, false},
    {"aborted", TEST_FAULT_SENSE, {0x0b, 0x00, 0x00}, 1, false},
    {"aborted, carried out", TEST_FAULT_SENSE_AFTER, {0x0b, 0x00, 0x00}, 1, false},
    {"lost", TEST_FAULT_LOST, {0}, 1, false},
    {"answer lost", TEST_FAULT_LOST_AFTER, {0}, 1, false},
    {"lost, five times", TEST_FAULT_LOST, {0}, 5, false},
    {"answer lost, five times", TEST_FAULT_LOST_AFTER, {0}, 5, false},
};

static bool
burn(struct varve_drive *drive, struct varve_error *err)
{
    static uint8_t data[CLUSTERS * VARVE_CLUSTER_BYTES];
    test_fill(data, sizeof data, 0);
    if (!varve_drive_burn_begin(drive, 0, CLUSTERS, err))
        return false;
    for (unsigned i = 0; i < CLUSTERS; i += 2) {
        if (!varve_drive_burn_write(drive, data + i * VARVE_CLUSTER_BYTES, 2, err))
            return false;
    }
    return varve_drive_burn_close(drive, NULL, NULL, err);
}

/* One disc to drive 0, burned; then another one in its place, and home. */
static bool
work(struct test_bench *bench, struct varve_error *err)
{
    struct varve_barcode one = test_barcode("VRV00001");
    struct varve_barcode two = test_barcode("VRV00002");
    return varve_library_load(bench->library, &one, 0, err) &&
           burn(varve_library_drive(bench->library, 0), err) &&
           varve_library_load(bench->library, &two, 0, err) &&
           varve_library_unload(bench->library, 0, err);
}

static size_t
list(struct test_bench *bench, bool refresh, struct varve_element **ret)
{
    struct varve_error err = {0};
    size_t count;
    EXPECT_OK(varve_library_inventory(bench->library, refresh, ret, &count, &err), err);
    return count;
}

static void
expect_discs_in_place(struct test_bench *bench, const struct kind *kind, unsigned nth)
{
    VARVE_CLEANUP_FREE struct varve_element *believed = NULL;
    VARVE_CLEANUP_FREE struct varve_element *real = NULL;
    bool many = kind->count > 2; /* then even the look afterwards may have failed */
    size_t count = list(bench, many, &believed);
    assert_int_equal(list(bench, true, &real), count);
    unsigned full = 0;
    for (size_t i = 0; i < count; i++) {
        full += real[i].full ? 1 : 0;
        if (believed[i].address != real[i].address || believed[i].full != real[i].full ||
            strcmp(believed[i].barcode.text, real[i].barcode.text) != 0)
            fail_msg("%s at command %u (%02Xh): element %u is believed to hold '%s', it holds '%s'",
                     kind->name, nth, bench->watch.fired_opcode, real[i].address,
                     believed[i].barcode.text, real[i].barcode.text);
    }
    assert_int_equal(full, 6);
    assert_false(bench->watch.rewritten);
}

/* The work of the broken run can be done by whoever comes next. */
static void
expect_usable(struct test_bench *bench)
{
    struct varve_error err = {0};
    struct varve_barcode three = test_barcode("VRV00003");
    EXPECT_OK(varve_library_load(bench->library, &three, 0, &err), err);
    EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
    assert_int_equal(test_where(bench->library, "VRV00003"), 1026);
}

/* Returns false once the whole work fits in front of the fault. */
static bool
run(const struct kind *kind, unsigned nth)
{
    struct test_bench bench;
    struct varve_error err = {0};
    test_bench_start(&bench);
    bench.watch =
        (struct test_watch){.fail_nth = nth, .fail_count = kind->count, .fault = kind->fault};
    memcpy(bench.watch.sense, kind->sense, 3);
    bool ok = work(&bench, &err);
    bool reached = bench.watch.fired > 0;
    bench.watch.fail_nth = 0;
    if (!ok && (!reached || kind->harmless))
        fail_msg("%s at command %u (%02Xh): %s", kind->name, nth, bench.watch.fired_opcode,
                 err.text);
    if (!ok)
        assert_true(strncmp(err.text, "load disc", 9) == 0 ||
                    strncmp(err.text, "unload drive", 12) == 0 ||
                    strncmp(err.text, "library 'lib', drive 0", 22) == 0 ||
                    strncmp(err.text, "begin to burn", 13) == 0);
    expect_discs_in_place(&bench, kind, nth);
    expect_usable(&bench);
    test_bench_done(&bench);
    return reached;
}

static void
test_every_command_fails_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        unsigned nth = 1;
        while (run(&kinds[i], nth)) {
            nth++;
            assert_true(nth < RUNS_MAX);
        }
        assert_true(nth > 40); /* the work has at least so many commands */
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_command_fails_once)};
    return cmocka_run_group_tests_name("fault changer", tests, NULL, NULL);
}
