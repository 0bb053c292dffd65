/* SPDX-License-Identifier: Apache-2.0 */
/* Each fault of a drive with a disc (reference scsi.md section 6, by its number) ends in the action
 * that it asks for, loses nothing that was acknowledged, and tells library, element, disc and what
 * to do. */
#include "drive_bench.h"

#include <string.h>
#include <varve/byteorder.h>

/* 3: a drive that wants to be started is started, once; one that keeps asking is told of. */
static void
test_fault_03_initializing_command(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    script(f, "on drive 0 ready nth 4: sense 2/04/02");
    expect_loaded(f, "VRV00001");
    assert_int_equal(f->counter.count[0x1b], 1);
    assert_int_equal(f->counter.last_tray, 0x01);
    expect_whole_burn(f, "VRV00001");
    EXPECT_OK(varve_library_unload(f->bench.library, 0, &err), err);
    f->counter.count[0x1b] = 0;
    script(f, "on drive 0 ready disc VRV00002 always: sense 2/04/02");
    assert_false(load(f, "VRV00002", &err));
    assert_int_equal(f->counter.count[0x1b], 1);
    EXPECT_TEXT(err, "load disc 'VRV00002'", WHERE, "initializing command required (2/04/02)",
                "hint: ");
    assert_int_equal(test_where(f->bench.library, "VRV00002"), 1025);
}

/* 12: a drive that keeps its disc is unlocked, told to eject twice, and named with the disc. */
static void
test_fault_12_drive_will_not_release(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    expect_loaded(f, "VRV00001");
    script(f, "now lock 0");
    EXPECT_OK(varve_library_unload(f->bench.library, 0, &err), err);
    expect_loaded(f, "VRV00001");
    script(f, "now hold 0");
    f->counter.count[0x1b] = 0;
    assert_false(varve_library_unload(f->bench.library, 0, &err));
    assert_int_equal(f->counter.count[0x1b], 2);
    assert_int_equal(f->counter.last_tray, 0x02);
    EXPECT_TEXT(err, "'lib'", "'VRV00001'", "256", "(4/53/00)", "hint: ", "eject");
    assert_int_equal(test_where(f->bench.library, "VRV00001"), 256);
    script(f, "now release 0");
    EXPECT_OK(varve_library_unload(f->bench.library, 0, &err), err);
    assert_int_equal(test_where(f->bench.library, "VRV00001"), 1024);
}

/* 18: a disc that the drive does not see is pulled in, put in again, and brought home. */
static void
test_fault_18_drive_sees_no_disc(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    unsigned moves = f->bench.journal.intents;
    script(f, "now trouble VRV00001 unseen");
    expect_loaded(f, "VRV00001");
    assert_int_equal(f->bench.journal.intents - moves, 3); /* in, out, in */
    assert_true(f->counter.count[0x1b] > 0);
    expect_whole_burn(f, "VRV00001");
    script(f, "on drive 0 ready disc VRV00002 always: sense 2/3A/00");
    EXPECT_OK(varve_library_unload(f->bench.library, 0, &err), err);
    moves = f->bench.journal.intents;
    int64_t began = varve_clock_monotonic(&f->bench.clock.clock);
    assert_false(load(f, "VRV00002", &err));
    int64_t took = varve_clock_monotonic(&f->bench.clock.clock) - began;
    assert_true(took >= 240 * VARVE_NS_PER_SECOND && took < 300 * VARVE_NS_PER_SECOND);
    assert_int_equal(f->bench.journal.intents - moves, 4);
    EXPECT_TEXT(err, "load disc 'VRV00002'", WHERE, "(2/3a/00)", "hint: ", "element 256");
    assert_int_equal(test_where(f->bench.library, "VRV00002"), 1025);
}

/* 19: a dirty disc and one that is upside down are given up after five minutes, taken home and
 * flagged. */
static void
test_fault_19_dirty_or_upside_down(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    script(f, "now trouble VRV00001 dirty, trouble VRV00002 reversed");
    int64_t began = varve_clock_monotonic(&f->bench.clock.clock);
    assert_false(load(f, "VRV00001", &err));
    int64_t took = varve_clock_monotonic(&f->bench.clock.clock) - began;
    assert_true(took >= 300 * VARVE_NS_PER_SECOND && took < 320 * VARVE_NS_PER_SECOND);
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    EXPECT_TEXT(err, "load disc 'VRV00001'", WHERE, "not ready with the disc after 300 s",
                "hint: clean the disc and look which side is up");
    err = (struct varve_error){0};
    assert_false(load(f, "VRV00002", &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    EXPECT_TEXT(err, "load disc 'VRV00002'", WHERE, "(2/30/00)", "hint: ", "which side is up");
    assert_int_equal(test_where(f->bench.library, "VRV00001"), 1024);
    assert_int_equal(test_where(f->bench.library, "VRV00002"), 1025);
    expect_loaded(f, "VRV00003");
}

/* Answers GET CONFIGURATION with another profile, or with POW switched on. */
struct other_kind {
    struct varve_scsi_port port;
    struct varve_scsi_port *inner;
    uint16_t profile; /* 0: as it is */
    bool pseudo_overwrite;
};

static bool
other_execute(struct varve_scsi_port *base, struct varve_scsi_command *command,
              struct varve_error *err)
{
    static const uint8_t pow[] = {0x00, 0x38, 0x01, 4, 0, 0, 0, 0};
    struct other_kind *other = (struct other_kind *)base;
    if (!other->inner->execute(other->inner, command, err))
        return false;
    if (command->cdb[0] != 0x46 || command->status != 0)
        return true;
    if (other->profile != 0)
        varve_put_be16(command->data + 6, other->profile);
    if (other->pseudo_overwrite) {
        memcpy(command->data + command->received_bytes, pow, sizeof pow);
        command->received_bytes += sizeof pow;
        varve_put_be32(command->data, command->received_bytes - 4);
    }
    return true;
}

/* 20: what is not the blank that was planned gets no byte and goes back. */
static void
test_fault_20_blank_is_not_blank(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    static const struct {
        uint16_t profile;
        bool pseudo_overwrite;
        const char *words;
    } cases[] = {
        {0x0009, false, "disc is CD-R (profile 0009h), of a kind that varve does not write"},
        {0x0042, false, "disc is BD-R in random recording mode (profile 0042h)"},
        {0x001a, false, "disc is DVD+RW (profile 001Ah)"},
        {0x0099, false, "disc is unknown kind of disc (profile 0099h)"},
        {0x0040, false, "disc is BD-ROM (profile 0040h)"},
        {0, true, "disc is BD-R SRM (profile 0041h), formatted for pseudo overwrite"},
    };
    expect_loaded(f, "VRV00001");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct other_kind other = {.port = {.execute = other_execute},
                                   .inner = &f->counter.port,
                                   .profile = cases[i].profile,
                                   .pseudo_overwrite = cases[i].pseudo_overwrite};
        f->drive->device.port = &other.port;
        err = (struct varve_error){0};
        assert_false(varve_drive_burn_begin(f->drive, 0, CLUSTERS, &err));
        f->drive->device.port = &f->counter.port;
        assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
        EXPECT_TEXT(err, WHERE ": begin to burn: ", cases[i].words, "not blank as expected");
    }
    err = (struct varve_error){0};
    assert_false(varve_drive_burn_begin(f->drive, 0, 65, &err));
    EXPECT_TEXT(err, WHERE, "disc holds 64 clusters, 65 are to be written");
    assert_false(varve_drive_burn_begin(f->drive, 7, CLUSTERS, &err));
    assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
    assert_int_equal(f->counter.count[0x2a], 0);
    expect_whole_burn(f, "VRV00001"); /* it was the blank all the time */
    err = (struct varve_error){0};
    assert_false(varve_drive_burn_begin(f->drive, 0, CLUSTERS, &err));
    EXPECT_TEXT(err, WHERE, "disc is closed (profile 0041h), not blank as expected");
}

/* 21: no power calibration: this disc failed; the second one in a row is told to be the drive's. */
static void
test_fault_21_power_calibration(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    script(f, "on drive 0 write disc VRV00001: sense 3/73/03\n"
              "on drive 0 write disc VRV00002: sense 5/73/03\n"
              "on drive 0 write disc VRV00004: sense 3/73/03\n");
    expect_loaded(f, "VRV00001");
    assert_false(burn_from(f, 0, &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    EXPECT_TEXT(err, WHERE ": write 16 clusters at 0", "power calibration area error (3/73/03)",
                "hint: the disc is scrapped and the next blank is tried");
    expect_loaded(f, "VRV00002");
    err = (struct varve_error){0};
    assert_false(burn_from(f, 0, &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    EXPECT_TEXT(err, WHERE,
                "hint: 2 discs in a row failed so in this drive: clean or service the "
                "drive, or try discs of another batch (this one is of VARVE-V01-000)");
    expect_loaded(f, "VRV00003");
    expect_whole_burn(f, "VRV00003");
    expect_loaded(f, "VRV00004");
    err = (struct varve_error){0};
    assert_false(burn_from(f, 0, &err));
    EXPECT_TEXT(err, "hint: the disc is scrapped"); /* a good one came between */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_fault_03_initializing_command), CASE(test_fault_12_drive_will_not_release),
        CASE(test_fault_18_drive_sees_no_disc),   CASE(test_fault_19_dirty_or_upside_down),
        CASE(test_fault_20_blank_is_not_blank),   CASE(test_fault_21_power_calibration),
    };
    return cmocka_run_group_tests_name("drive faults", tests, NULL, NULL);
}
