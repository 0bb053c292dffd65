/* SPDX-License-Identifier: Apache-2.0 */
/* With a timing, what a virtual library does takes as long as its numbers say on its clock, and
 * without one nothing takes time. */
#include "support.h"

#include "smc_codec.h"

#include <string.h>
#include <varve/byteorder.h>

struct fixture {
    char *dir;
    struct varve_clock_sim clock;
    struct varve_virtual *folder;
    struct varve_scsi_port *changer, *drive;
    struct test_answer answer;
    uint8_t data[65536];
};

#define CDB(...) ((const uint8_t[12]){__VA_ARGS__})
#define DISC_BYTES (UINT64_C(64) << 20)

static void
open_all(struct fixture *f)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_virtual_open(f->dir, &f->clock.clock, &f->folder, &err), err);
    EXPECT_OK(varve_virtual_changer_port(f->folder, &f->changer, &err), err);
    EXPECT_OK(varve_virtual_drive_port(f->folder, 0, &f->drive, &err), err);
    assert_int_equal(test_send(f->changer, CDB(0), 6, &f->answer), 0x062900);
    assert_int_equal(test_send(f->drive, CDB(0), 6, &f->answer), 0x062900);
}

static void
start(struct fixture *f, const struct varve_virtual_timing *timing)
{
    struct varve_error err = {0};
    f->dir = test_dir_new();
    varve_clock_sim_init(&f->clock, 1000 * VARVE_NS_PER_SECOND);
    struct varve_virtual_options options = {.slots = 100,
                                            .drives = 2,
                                            .disc_bytes = DISC_BYTES,
                                            .magazine_slots = 50,
                                            .timing = timing};
    EXPECT_OK(varve_virtual_create(f->dir, &options, &err), err);
    open_all(f);
    test_fill(f->data, sizeof f->data, 0);
}

static void
finish(struct fixture *f)
{
    f->changer->close(f->changer);
    f->drive->close(f->drive);
    varve_virtual_close(f->folder);
    test_dir_done(f->dir);
}

static int64_t
now(struct fixture *f)
{
    return varve_clock_monotonic(&f->clock.clock);
}

/* The sense, and in *ret_ms what it took. */
static uint32_t
timed(struct fixture *f, struct varve_scsi_port *port, const uint8_t *cdb, int64_t *ret_ms)
{
    int64_t begin = now(f);
    uint32_t sense = test_send(port, cdb, 12, &f->answer);
    *ret_ms = (now(f) - begin) / VARVE_NS_PER_MS;
    return sense;
}

static int64_t
move_ms(struct fixture *f, uint16_t from, uint16_t to)
{
    int64_t ms;
    assert_int_equal(timed(f, f->changer,
                           CDB(0xa5, 0, 0, 1, (uint8_t)(from >> 8), (uint8_t)from,
                               (uint8_t)(to >> 8), (uint8_t)to),
                           &ms),
                     0);
    return ms;
}

static struct varve_virtual_timing
usual(unsigned speedup)
{
    struct varve_virtual_timing timing;
    varve_virtual_timing_usual(&timing);
    timing.speedup = speedup;
    return timing;
}

static void
test_nothing_takes_time(void **state)
{
    (void)state;
    struct fixture f = {0};
    start(&f, NULL);
    int64_t begin = now(&f);
    assert_int_equal(move_ms(&f, 1099, 256), 0);
    while (test_send(f.drive, CDB(0), 6, &f.answer) != 0) {
    }
    for (uint32_t lba = 0; lba < 640; lba += 32)
        assert_int_equal(test_write(f.drive, lba, 32, f.data), 0);
    assert_int_equal(test_send(f.drive, CDB(0x5b, 0, 6), 12, &f.answer), 0);
    assert_int_equal(now(&f), begin);
    finish(&f);
}

/* The arm needs what the geometry says, from where it stands: the scheduler can rely on it. */
static void
test_arm(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 2; kind++) {
        struct fixture f = {0};
        struct varve_virtual_timing timing = usual(1);
        struct varve_geometry geometry;
        timing.geometry = kind == 0 ? VARVE_GEOMETRY_CAROUSEL : VARVE_GEOMETRY_GANTRY;
        timing.step_ns = 500 * VARVE_NS_PER_MS;
        start(&f, &timing);
        varve_virtual_geometry(f.folder, &geometry);
        assert_true(geometry.slots == 100 && geometry.drives == 2);
        int64_t first = varve_geometry_move_ns(&geometry, 1, 1080) - geometry.grip_ns +
                        varve_geometry_move_ns(&geometry, 1080, 256);
        int64_t second = varve_geometry_move_ns(&geometry, 256, 1080);
        int64_t third = varve_geometry_move_ns(&geometry, 1080, 1001 + 23 + 30) - geometry.grip_ns +
                        varve_geometry_move_ns(&geometry, 1054, 257);
        assert_int_equal(move_ms(&f, 1080, 256), first / VARVE_NS_PER_MS);
        assert_int_equal(move_ms(&f, 256, 1080), second / VARVE_NS_PER_MS);
        assert_int_equal(move_ms(&f, 1054, 257), third / VARVE_NS_PER_MS);
        assert_true(first > geometry.grip_ns && third > geometry.grip_ns);
        int64_t ms;
        assert_int_equal(timed(&f, f.changer, CDB(0xa5, 0, 0, 1, 4, 30, 1, 0), &ms), 0x053b0e);
        assert_int_equal(ms, 0); /* it does not set out for nothing */
        finish(&f);
    }
}

static uint32_t
ready(struct fixture *f)
{
    return test_send(f->drive, CDB(0), 6, &f->answer);
}

static void
test_spin_up_and_close(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct varve_virtual_timing timing = usual(10);
    start(&f, &timing);
    (void)move_ms(&f, 1024, 256);
    assert_int_equal(ready(&f), 0x062800);
    int64_t begin = now(&f);
    while (ready(&f) == 0x020401)
        varve_clock_sim_advance(&f.clock, 10 * VARVE_NS_PER_MS);
    int64_t took = now(&f) - begin;
    assert_true(took >= 2490 * VARVE_NS_PER_MS && took <= 2510 * VARVE_NS_PER_MS); /* 25 s / 10 */
    assert_int_equal(test_write(f.drive, 0, 32, f.data), 0);
    assert_int_equal(test_send(f.drive, CDB(0x5b, 1, 6), 12, &f.answer), 0);
    begin = now(&f);
    uint16_t before = 0;
    struct varve_scsi_command c = {.cdb_bytes = 6};
    struct varve_scsi_sense sense = {0};
    struct varve_error err = {0};
    for (unsigned i = 0; i < 5; i++) {
        varve_clock_sim_advance(&f.clock, VARVE_NS_PER_SECOND);
        assert_true(f.drive->execute(f.drive, &c, &err));
        varve_scsi_sense_decode(c.sense, c.sense_bytes, &sense);
        assert_true(sense.key == 2 && sense.asc == 0x04 && sense.ascq == 0x07);
        assert_true(sense.has_progress && sense.progress > before);
        before = sense.progress;
    }
    varve_clock_sim_advance(&f.clock, 2 * VARVE_NS_PER_SECOND);
    assert_int_equal(ready(&f), 0);
    finish(&f);
}

/* A burn of the whole disc: faster towards the rim, on the whole as the rates say, and the buffer
 * takes what it has room for at once. */
static void
test_burn(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct varve_virtual_timing timing = usual(1);
    int64_t ms;
    timing.spin = VARVE_VIRTUAL_SPIN_ZCLV;
    start(&f, &timing);
    (void)move_ms(&f, 1024, 256);
    varve_clock_sim_advance(&f.clock, 60 * VARVE_NS_PER_SECOND);
    assert_int_equal(ready(&f), 0x062800);
    int64_t begin = now(&f);
    for (uint32_t lba = 0; lba < 2048; lba += 32)
        assert_int_equal(test_write(f.drive, lba, 32, f.data), 0);
    assert_int_equal(now(&f), begin); /* 4 MiB */
    assert_int_equal(test_send(f.drive, CDB(0x5c, 0, 0, 0, 0, 0, 0, 0, 12), 12, &f.answer), 0);
    assert_int_equal(varve_get_be32(f.answer.data + 4), 4u << 20);
    assert_true(varve_get_be32(f.answer.data + 8) < 65536);
    int64_t inner = now(&f);
    for (uint32_t lba = 2048; lba < 4096; lba += 32)
        assert_int_equal(test_write(f.drive, lba, 32, f.data), 0);
    inner = now(&f) - inner;
    for (uint32_t lba = 4096; lba < 30720; lba += 32)
        assert_int_equal(test_write(f.drive, lba, 32, f.data), 0);
    int64_t rim = now(&f);
    for (uint32_t lba = 30720; lba < 32768; lba += 32)
        assert_int_equal(test_write(f.drive, lba, 32, f.data), 0);
    rim = now(&f) - rim;
    assert_true(rim * 10 < inner * 7 && rim * 10 > inner * 6); /* 4x and 6x */
    assert_int_equal(timed(&f, f.drive, CDB(0x35), &ms), 0);
    assert_true(ms > 100 && ms < 200); /* what was in the buffer, at 27 MB/s */
    assert_int_equal(test_send(f.drive, CDB(0x5c, 0, 0, 0, 0, 0, 0, 0, 12), 12, &f.answer), 0);
    assert_int_equal(varve_get_be32(f.answer.data + 8), 4u << 20);
    int64_t all = now(&f) - begin;
    double rate = (double)DISC_BYTES / ((double)all / 1e9) / 1000;
    assert_true(rate > 0.8 * 6 * 4496 && rate < 6 * 4496);
    assert_int_equal(timed(&f, f.drive, CDB(0x5b, 0, 6), &ms), 0); /* not IMMED */
    assert_int_equal(ms, 60000);
    finish(&f);
}

static void
test_reading(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct varve_virtual_timing timing = usual(1);
    struct varve_error err = {0};
    int64_t near, far, slow;
    timing.spin = VARVE_VIRTUAL_SPIN_CLV;
    start(&f, &timing);
    (void)move_ms(&f, 1024, 256);
    varve_clock_sim_advance(&f.clock, 60 * VARVE_NS_PER_SECOND);
    assert_int_equal(ready(&f), 0x062800);
    for (uint32_t lba = 0; lba < 32768; lba += 32)
        assert_int_equal(test_write(f.drive, lba, 32, f.data), 0);
    (void)timed(&f, f.drive, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 32), &near);
    assert_int_equal(timed(&f, f.drive, CDB(0x28, 0, 0, 0, 0, 32, 0, 0, 32), &near), 0);
    assert_int_equal(near, 65536 / (8 * 4496));
    assert_int_equal(timed(&f, f.drive, CDB(0x28, 0, 0, 0, 0x7f, 0xe0, 0, 0, 32), &far), 0);
    assert_true(far > 340 && far < 360); /* over the whole disc */
    EXPECT_OK(varve_virtual_script(f.folder, "now defect VRV00001 100..110 slow", &err), err);
    assert_int_equal(timed(&f, f.drive, CDB(0x28, 0, 0, 0, 0, 96, 0, 0, 32), &slow), 0);
    assert_true(slow > 2340 && slow < 2360);
    finish(&f);
}

static void
test_inventory(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct varve_virtual_timing timing = usual(1);
    struct varve_error err = {0};
    start(&f, &timing);
    EXPECT_OK(varve_virtual_script(f.folder, "now door-open, door-close", &err), err);
    assert_int_equal(test_send(f.changer, CDB(0), 6, &f.answer), 0x062800);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(test_send(f.changer, CDB(0), 6, &f.answer), 0x020401);
    varve_clock_sim_advance(&f.clock, 60 * VARVE_NS_PER_SECOND);
    assert_int_equal(test_send(f.changer, CDB(0), 6, &f.answer), 0);
    finish(&f);
}

/* Numbers survive in the folder; wrong ones are refused. */
static void
test_kept(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct varve_virtual_timing timing = usual(1);
    struct varve_geometry before, after;
    struct varve_error err = {0};
    timing.geometry = VARVE_GEOMETRY_GANTRY;
    timing.column = 7;
    timing.step_ns = 123 * VARVE_NS_PER_MS;
    start(&f, &timing);
    varve_virtual_geometry(f.folder, &before);
    f.changer->close(f.changer);
    f.drive->close(f.drive);
    varve_virtual_close(f.folder);
    open_all(&f);
    varve_virtual_geometry(f.folder, &after);
    assert_true(after.kind == VARVE_GEOMETRY_GANTRY && after.column == 7);
    assert_true(after.step_ns == before.step_ns && after.grip_ns == before.grip_ns);
    finish(&f);
    static const struct {
        unsigned column, speedup, write, read;
        uint32_t buffer;
    } wrong[] = {{0, 1, 6, 8, 65536},
                 {1, 1000001, 6, 8, 65536},
                 {1, 1, 0, 8, 65536},
                 {1, 1, 6, 101, 65536},
                 {1, 1, 6, 8, 65535}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct varve_virtual_timing bad = usual(wrong[i].speedup);
        bad.column = wrong[i].column;
        bad.write_times = wrong[i].write;
        bad.read_times = wrong[i].read;
        bad.buffer_bytes = wrong[i].buffer;
        struct varve_virtual_options options = {
            .slots = 1, .drives = 1, .disc_bytes = DISC_BYTES, .timing = &bad};
        char *dir = test_dir_new();
        assert_false(varve_virtual_create(dir, &options, &err));
        assert_non_null(strstr(err.text, "timing: the column must be at least 1"));
        test_dir_done(dir);
    }
}

static void
test_rates(void **state)
{
    (void)state;
    assert_int_equal(varve_virtual_rate(VARVE_VIRTUAL_SPIN_CLV, 27000, 5, 10), 27000);
    assert_int_equal(varve_virtual_rate(VARVE_VIRTUAL_SPIN_ZCLV, 27000, 0, 100), 18000);
    assert_int_equal(varve_virtual_rate(VARVE_VIRTUAL_SPIN_ZCLV, 27000, 30, 100), 22500);
    assert_int_equal(varve_virtual_rate(VARVE_VIRTUAL_SPIN_ZCLV, 27000, 99, 100), 27000);
    assert_int_equal(varve_virtual_rate(VARVE_VIRTUAL_SPIN_CAV, 58000, 0, 100), 24000);
    assert_int_equal(varve_virtual_rate(VARVE_VIRTUAL_SPIN_CAV, 58000, 100, 100), 58000);
    assert_int_equal(varve_virtual_rate(VARVE_VIRTUAL_SPIN_CAV, 58000, 200, 100), 58000);
    assert_int_equal(varve_virtual_rate(VARVE_VIRTUAL_SPIN_CAV, 58000, 0, 0), 24000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_takes_time),
        cmocka_unit_test(test_arm),
        cmocka_unit_test(test_spin_up_and_close),
        cmocka_unit_test(test_burn),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_inventory),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests_name("timing", tests, NULL, NULL);
}
