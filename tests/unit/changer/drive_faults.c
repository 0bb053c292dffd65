/* SPDX-License-Identifier: Apache-2.0 */
/* Each fault of drive and disc (reference scsi.md section 6, by its number) ends in the action that
 * it asks for, loses nothing that was acknowledged, and tells library, element, disc and what to
 * do. */
#include "support.h"

#include "drive.h"

#include <stdatomic.h>
#include <string.h>
#include <varve/byteorder.h>

#define CLUSTERS 48u

/* Counts what goes to drive 0, by opcode. */
struct counter {
    struct varve_scsi_port port;
    struct varve_scsi_port *inner;
    unsigned count[256];
    uint8_t last_tray;        /* START STOP UNIT, byte 4 */
    uint32_t last_read_speed; /* SET STREAMING */
};

struct fixture {
    struct test_bench bench;
    struct varve_drive *drive;
    struct counter counter;
    uint8_t data[CLUSTERS * VARVE_CLUSTER_BYTES];
    uint8_t back[CLUSTERS * VARVE_CLUSTER_BYTES];
};

static bool
count_execute(struct varve_scsi_port *base, struct varve_scsi_command *command,
              struct varve_error *err)
{
    struct counter *counter = (struct counter *)base;
    counter->count[command->cdb[0]]++;
    if (command->cdb[0] == 0x1b)
        counter->last_tray = command->cdb[4];
    if (command->cdb[0] == 0xb6)
        counter->last_read_speed = varve_get_be32(command->data + 12);
    return counter->inner->execute(counter->inner, command, err);
}

static void
count_close(struct varve_scsi_port *base)
{
    struct counter *counter = (struct counter *)base;
    counter->inner->close(counter->inner);
}

static void
watch(struct fixture *f)
{
    f->drive = varve_library_drive(f->bench.library, 0);
    f->counter = (struct counter){.port = {.execute = count_execute,
                                           .close = count_close,
                                           .settle_ms = f->drive->device.port->settle_ms},
                                  .inner = f->drive->device.port};
    f->drive->device.port = &f->counter.port;
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    test_bench_start(&f->bench);
    watch(f);
    test_fill(f->data, sizeof f->data, 0);
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
script(struct fixture *f, const char *text)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_virtual_script(f->bench.folder, text, &err), err);
}

static bool
load(struct fixture *f, const char *disc, struct varve_error *err)
{
    struct varve_barcode barcode = test_barcode(disc);
    return varve_library_load(f->bench.library, &barcode, 0, err);
}

static void
expect_loaded(struct fixture *f, const char *disc)
{
    struct varve_error err = {0};
    struct varve_barcode before;
    bool same =
        varve_library_drive_disc(f->bench.library, 0, &before) && strcmp(before.text, disc) == 0;
    if (!same)
        f->bench.watch.acknowledged = 0; /* of another disc */
    EXPECT_OK(load(f, disc, &err), err);
}

static void
expect_text(const struct varve_error *err, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strstr(err->text, *words) == NULL)
            fail_msg("'%s' is missing in: %s", *words, err->text);
    }
}
#define EXPECT_TEXT(err, ...) expect_text(&(err), (const char *const[]){__VA_ARGS__, NULL})
#define WHERE "library 'lib', drive 0 (element 256)"

static bool
fill(void *context, uint64_t cluster, unsigned count, uint8_t *ret, struct varve_error *err)
{
    struct fixture *f = context;
    (void)err;
    memcpy(ret, f->data + cluster * VARVE_CLUSTER_BYTES, (size_t)count * VARVE_CLUSTER_BYTES);
    return true;
}

static bool
burn_from(struct fixture *f, uint64_t first, struct varve_error *err)
{
    struct varve_burn burn = {
        .first_cluster = first, .clusters = CLUSTERS, .context = f, .fill = fill};
    return varve_drive_burn(f->drive, &burn, err) &&
           varve_drive_burn_close(f->drive, NULL, NULL, err);
}

static void
expect_read_back(struct fixture *f, const char *disc)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_library_unload(f->bench.library, 0, &err), err);
    EXPECT_OK(load(f, disc, &err), err);
    for (unsigned at = 0; at < CLUSTERS; at += 16)
        EXPECT_OK(
            varve_drive_read(f->drive, at, 16, f->back + at * VARVE_CLUSTER_BYTES, NULL, &err),
            err);
    assert_memory_equal(f->back, f->data, sizeof f->data);
    assert_false(f->bench.watch.rewritten);
}

static void
expect_whole_burn(struct fixture *f, const char *disc)
{
    struct varve_error err = {0};
    EXPECT_OK(burn_from(f, 0, &err), err);
    expect_read_back(f, disc);
}

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
                "drive, or try discs of another batch");
    expect_loaded(f, "VRV00003");
    expect_whole_burn(f, "VRV00003");
    expect_loaded(f, "VRV00004");
    err = (struct varve_error){0};
    assert_false(burn_from(f, 0, &err));
    EXPECT_TEXT(err, "hint: the disc is scrapped"); /* a good one came between */
}

/* 22: a write error ends the burn: flush, ask where the disc stands, tell it; nothing acknowledged
 * is lost, and the next disc takes it all. */
static void
test_fault_22_write_error(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    script(f, "now defect VRV00001 1030..1040 write");
    expect_loaded(f, "VRV00001");
    assert_false(burn_from(f, 0, &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    EXPECT_TEXT(err, WHERE ": write 16 clusters at 32 (LBA 1024)", "write error (3/0c/00)",
                "hint: 32 of 48 clusters were acknowledged; the drive calls the disc BD-R SRM and "
                "stands at cluster 32");
    assert_int_equal(f->counter.count[0x2a], 3); /* no second try on a write-once disc */
    assert_int_equal(f->counter.count[0x35], 1);
    EXPECT_OK(varve_drive_read(f->drive, 0, 16, f->back, NULL, &err), err);
    EXPECT_OK(varve_drive_read(f->drive, 16, 16, f->back + 16 * VARVE_CLUSTER_BYTES, NULL, &err),
              err);
    assert_memory_equal(f->back, f->data, 32 * VARVE_CLUSTER_BYTES);
    expect_loaded(f, "VRV00002");
    expect_whole_burn(f, "VRV00002");
}

/* 23: the burn pays for an error that an innocent command brought, and that command is sent again.
 */
static void
test_fault_23_deferred_error(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_medium medium;
    expect_loaded(f, "VRV00001");
    EXPECT_OK(varve_drive_burn_begin(f->drive, 0, CLUSTERS, &err), err);
    EXPECT_OK(varve_drive_burn_write(f->drive, f->data, 16, &err), err);
    script(f, "on drive 0 configuration: sense 3/0C/00 deferred");
    unsigned before = f->counter.count[0x46];
    EXPECT_OK(varve_drive_medium(f->drive, &medium, &err), err);
    assert_int_equal(f->counter.count[0x46], before + 2);
    assert_int_equal(medium.next_cluster, 16);
    assert_false(varve_drive_burn_write(f->drive, f->data + 16 * VARVE_CLUSTER_BYTES, 16, &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    EXPECT_TEXT(err, WHERE,
                "data it had acknowledged is lost: earlier command: write error "
                "(3/0c/00)");
    /* At the end of the burn it costs the disc too, though the steps all went well. */
    expect_loaded(f, "VRV00002");
    err = (struct varve_error){0};
    script(f, "on drive 0 disc-info disc VRV00002 nth 4: sense 3/0C/00 deferred");
    assert_false(burn_from(f, 0, &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    EXPECT_TEXT(err, WHERE ": close the disc", "data it had acknowledged is lost",
                "hint: 48 clusters had been acknowledged; the disc is scrapped");
    /* One that was corrected costs nothing. */
    expect_loaded(f, "VRV00003");
    script(f, "on drive 0 ready disc VRV00003 nth 3: sense 1/0C/01 deferred");
    expect_whole_burn(f, "VRV00003");
}

/* 24: no progress for five minutes: nothing more is fed, the drive may flush for ten; then the disc
 * is scrapped, or the burn goes on. */
static void
test_fault_24_long_write_without_end(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    script(f, "on drive 0 write disc VRV00001 always: sense 2/04/08\n"
              "on drive 0 sync disc VRV00001 always: sense 2/04/08\n"
              "on drive 0 write disc VRV00002 nth 2 times 12001: sense 2/04/08\n");
    expect_loaded(f, "VRV00001");
    EXPECT_OK(varve_drive_burn_begin(f->drive, 0, CLUSTERS, &err), err);
    int64_t began = varve_clock_monotonic(&f->bench.clock.clock);
    assert_false(varve_drive_burn_write(f->drive, f->data, 16, &err));
    int64_t took = varve_clock_monotonic(&f->bench.clock.clock) - began;
    assert_true(took >= 900 * VARVE_NS_PER_SECOND && took < 1200 * VARVE_NS_PER_SECOND);
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM);
    EXPECT_TEXT(err, WHERE, "long write in progress (2/04/08)",
                "hint: the drive stood still for more than 300 s", "the drive needs service");
    /* A drive that comes back after the flush goes on. */
    expect_loaded(f, "VRV00002");
    expect_whole_burn(f, "VRV00002");
    assert_true(f->counter.count[0x35] >= 2);
}

/* 25: a close that fails does not cost a disc that holds everything. */
static void
test_fault_25_close_fails(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_medium medium;
    script(f, "on drive 0 close disc VRV00001 always: sense 3/72/00");
    expect_loaded(f, "VRV00001");
    assert_false(burn_from(f, 0, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY);
    EXPECT_TEXT(err, WHERE ": close the disc: close track", "session fixation error (3/72/00)",
                "hint: all 48 clusters were written: reading the disc back tells whether it is "
                "good");
    expect_read_back(f, "VRV00001");
    EXPECT_OK(varve_drive_medium(f->drive, &medium, &err), err);
    assert_int_equal(medium.state, VARVE_MEDIUM_APPENDABLE);
    /* A complaint of a disc that is closed all the same is none. */
    script(f, "on drive 0 close disc VRV00002 nth 2 after: sense 3/72/00");
    expect_loaded(f, "VRV00002");
    expect_whole_burn(f, "VRV00002");
}

/* 28: slow spots and corrected errors are counted per disc, while the bytes are good. */
static void
test_fault_28_slow_reads(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_read_health reads;
    expect_loaded(f, "VRV00001");
    expect_whole_burn(f, "VRV00001");
    varve_drive_read_health(f->drive, &reads);
    assert_int_equal(reads.clusters, CLUSTERS);
    assert_int_equal(reads.slow + reads.recovered + reads.retried, 0);
    script(f, "on drive 0 read lba 1280..1311 always: delay 3s\n"
              "now defect VRV00001 1408..1409 soft\n");
    for (unsigned at = 0; at < CLUSTERS; at++) {
        EXPECT_OK(varve_drive_read(f->drive, at, 1, f->back, NULL, &err), err);
        assert_memory_equal(f->back, f->data + at * VARVE_CLUSTER_BYTES, VARVE_CLUSTER_BYTES);
    }
    varve_drive_read_health(f->drive, &reads);
    assert_int_equal(reads.clusters, 2 * CLUSTERS);
    assert_int_equal(reads.slow, 1);
    assert_int_equal(reads.first_slow, 40);
    assert_int_equal(reads.worst_cluster, 40);
    assert_true(reads.worst_ns >= 3 * VARVE_NS_PER_SECOND);
    assert_int_equal(reads.recovered, 1);
    EXPECT_OK(varve_library_unload(f->bench.library, 0, &err), err);
    varve_drive_read_health(f->drive, &reads);
    assert_int_equal(reads.clusters, 0); /* it goes with the disc */
}

/* 29: somebody else's reads between our writes: flush and again, at most three times; a tray locked
 * by cdrom_id is unlocked before every unload. */
static void
test_fault_29_foreign_opener(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    script(f, "on drive 0 write nth 2 times 2: sense 5/2C/00");
    expect_loaded(f, "VRV00001");
    expect_whole_burn(f, "VRV00001");
    script(f, "on drive 0 write disc VRV00002 always: sense 5/2C/00\nnow lock 0\n");
    expect_loaded(f, "VRV00002");
    assert_false(burn_from(f, 0, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY); /* the disc is as good as before */
    EXPECT_TEXT(err, WHERE, "command sequence error (5/2c/00)",
                "hint: another program on this host seems to use the drive", "udev rule");
    assert_true(f->counter.count[0x1e] > 0);
}

/* 31: a drive that says "ready" in the middle of its work is not believed. */
static void
test_fault_31_ready_but_busy(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    script(f, "quirk tur-busy drive 0");
    expect_loaded(f, "VRV00001");
    f->counter.count[0x51] = 0;
    expect_whole_burn(f, "VRV00001");
    /* Four times idle: begin, flush, two steps; the two steps are busy for two commands each. */
    assert_true(f->counter.count[0x51] > 4);
    err = (struct varve_error){0};
    script(f, "on drive 0 disc-info disc VRV00002 nth 3 times 100000: sense 2/04/07");
    expect_loaded(f, "VRV00002");
    assert_false(burn_from(f, 0, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY);
    EXPECT_TEXT(err, WHERE ": close the disc");
}

/* 33: a source that stalls: the drive waits, the caller is told, and after ten minutes the disc is
 * left so that the burn can go on. */
struct stall {
    struct fixture *f;
    int64_t pause_ns;        /* of the bench's clock, before cluster 32 */
    _Atomic int64_t told_ns; /* the longest pause that the tick was told of */
};

static bool
stalling_fill(void *context, uint64_t cluster, unsigned count, uint8_t *ret,
              struct varve_error *err)
{
    struct stall *stall = context;
    if (cluster == 32) {
        /* First everything before must be on the disc. */
        for (unsigned i = 0; i < 100 && atomic_load(&stall->told_ns) == 0; i++)
            varve_clock_sleep(varve_clock_system(), 50 * VARVE_NS_PER_MS);
        varve_clock_sim_advance(&stall->f->bench.clock, stall->pause_ns);
        for (unsigned i = 0; i < 60 && atomic_load(&stall->told_ns) < stall->pause_ns; i++)
            varve_clock_sleep(varve_clock_system(), 50 * VARVE_NS_PER_MS);
    }
    return fill(stall->f, cluster, count, ret, err);
}

static bool
stalled_tick(void *context, const struct varve_burn_progress *progress, struct varve_error *err)
{
    struct stall *stall = context;
    (void)err;
    int64_t told = progress->waited_ns;
    if (progress->written == 32 && told == 0)
        told = 1; /* the drive has all there is, and begins to wait */
    if (told > atomic_load(&stall->told_ns))
        atomic_store(&stall->told_ns, told);
    return true;
}

static void
test_fault_33_source_stalls(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_medium medium;
    struct stall stall = {.f = f, .pause_ns = 500 * VARVE_NS_PER_SECOND};
    struct varve_burn burn = {
        .clusters = CLUSTERS, .context = &stall, .fill = stalling_fill, .tick = stalled_tick};
    expect_loaded(f, "VRV00001");
    EXPECT_OK(varve_drive_burn(f->drive, &burn, &err), err); /* it waits */
    assert_true(stall.told_ns >= 500 * VARVE_NS_PER_SECOND);
    EXPECT_OK(varve_drive_burn_close(f->drive, NULL, NULL, &err), err);
    expect_read_back(f, "VRV00001");

    expect_loaded(f, "VRV00002");
    stall = (struct stall){.f = f, .pause_ns = 700 * VARVE_NS_PER_SECOND};
    assert_false(varve_drive_burn(f->drive, &burn, &err)); /* but not for ever */
    assert_int_equal(err.kind, VARVE_ERROR_SYSTEM);
    EXPECT_TEXT(err, WHERE, "the bytes for cluster 32 did not come for 600 s",
                "left open and can be gone on with", "hint: ");
    EXPECT_OK(varve_drive_medium(f->drive, &medium, &err), err);
    assert_int_equal(medium.state, VARVE_MEDIUM_APPENDABLE);
    assert_int_equal(medium.next_cluster, 32);
    EXPECT_OK(burn_from(f, 32, &err), err);
    expect_read_back(f, "VRV00002");
}

/* 37: a closed BD-R that the drive calls BD-ROM is closed, and is read. */
static void
test_fault_37_closed_shows_as_rom(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_medium medium;
    script(f, "quirk rom-profile drive 0\nquirk no-di drive 0\n");
    expect_loaded(f, "VRV00001");
    expect_whole_burn(f, "VRV00001");
    EXPECT_OK(varve_drive_medium(f->drive, &medium, &err), err);
    assert_int_equal(medium.profile, 0x40);
    assert_int_equal(medium.state, VARVE_MEDIUM_CLOSED);
    assert_false(varve_drive_burn_begin(f->drive, 0, CLUSTERS, &err));
    EXPECT_TEXT(err, "disc is closed (profile 0040h)");
}

/* 38: READ CAPACITY is no length: padding neither fails a close nor hides a byte. */
static void
test_fault_38_capacity_is_padded(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_medium medium;
    script(f, "quirk capacity-padded drive 0\n");
    expect_loaded(f, "VRV00001");
    expect_whole_burn(f, "VRV00001");
    EXPECT_OK(varve_drive_medium(f->drive, &medium, &err), err);
    assert_true(medium.readable_clusters > CLUSTERS);
    assert_false(varve_drive_read(f->drive, CLUSTERS, 1, f->back, NULL, &err));
    assert_int_equal(err.kind, VARVE_ERROR_MEDIUM); /* there is nothing there, whatever it says */
    EXPECT_TEXT(err, WHERE ": READ(10) at LBA 1536", "(5/21/00)");
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_fault_03_initializing_command),
        CASE(test_fault_12_drive_will_not_release),
        CASE(test_fault_18_drive_sees_no_disc),
        CASE(test_fault_19_dirty_or_upside_down),
        CASE(test_fault_20_blank_is_not_blank),
        CASE(test_fault_21_power_calibration),
        CASE(test_fault_22_write_error),
        CASE(test_fault_23_deferred_error),
        CASE(test_fault_24_long_write_without_end),
        CASE(test_fault_25_close_fails),
        CASE(test_fault_28_slow_reads),
        CASE(test_fault_29_foreign_opener),
        CASE(test_fault_31_ready_but_busy),
        CASE(test_fault_33_source_stalls),
        CASE(test_fault_37_closed_shows_as_rom),
        CASE(test_fault_38_capacity_is_padded),
    };
    return cmocka_run_group_tests_name("drive faults", tests, NULL, NULL);
}
