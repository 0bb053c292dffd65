/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a disc: prove it, feed it, close it (INV-5, INV-6). */
#include "drive.h"

#include "smc_codec.h"

#include <inttypes.h>

#define STALL_SECONDS 300  /* "long write" without progress: the disc will not recover */
#define CLOSE_SECONDS 3600 /* of one closing step */
#define ATTENTIONS_MAX 10
#define LOST_ANSWERS_MAX 2
#define INTERRUPTIONS_MAX 3 /* readers of others between our writes */
#define BURST_CLUSTERS_MAX 16u

static bool
check_place(const struct varve_medium *medium, uint64_t first_cluster, struct varve_error *err)
{
    bool fresh = first_cluster == 0;
    enum varve_medium_state wanted = fresh ? VARVE_MEDIUM_BLANK : VARVE_MEDIUM_APPENDABLE;
    static const char *const words[] = {"missing", "blank", "appendable", "closed",
                                        "of a kind that cannot be written"};
    if (medium->state != wanted)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "disc is %s (profile %04Xh), not %s as expected",
                               words[medium->state], medium->profile, words[wanted]);
    if (!medium->next_valid)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "drive names no next writable address on a cluster boundary");
    if (medium->next_cluster != first_cluster)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "next writable cluster is %" PRIu64 ", not %" PRIu64 " as expected",
                               medium->next_cluster, first_cluster);
    return true;
}

bool
varve_drive_burn_begin(struct varve_drive *drive, uint64_t first_cluster, uint64_t clusters_total,
                       struct varve_error *err)
{
    struct varve_medium medium;
    drive->burn = (struct varve_burn){0};
    if (!varve_drive_medium(drive, &medium, err))
        return varve_error_wrap(err, "begin to burn");
    if (!check_place(&medium, first_cluster, err))
        return varve_error_wrap(err, "%s: begin to burn", drive->name);
    if (medium.capacity_clusters < clusters_total)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "%s: begin to burn: disc holds %" PRIu64 " clusters, %" PRIu64
                               " are to be written",
                               drive->name, medium.capacity_clusters, clusters_total);
    /* From here on any sign that the medium changed stops the burn (INV-5). */
    drive->device.medium_changed = false;
    drive->device.deferred = false;
    drive->burn = (struct varve_burn){
        .open = true, .next_cluster = first_cluster, .end_cluster = clusters_total};
    return true;
}

struct burst {
    const uint8_t *bytes;
    unsigned count;
    unsigned attentions, lost, interruptions;
    struct varve_scsi_wait stall;
    int64_t nap_ns;
};

enum verdict { VERDICT_DONE, VERDICT_AGAIN, VERDICT_FAILED };

/* Buffer full: the same WRITE again after 2 ms, 4 ms, ... 25 ms (libburn's rhythm). */
static enum verdict
nap(struct varve_drive *drive, struct burst *burst)
{
    struct varve_clock *clock = drive->device.clock;
    if (varve_clock_monotonic(clock) >= burst->stall.deadline_ns)
        return VERDICT_FAILED;
    varve_clock_sleep(clock, burst->nap_ns);
    burst->nap_ns = burst->nap_ns < 16 * VARVE_NS_PER_MS ? burst->nap_ns * 2 : 25 * VARVE_NS_PER_MS;
    drive->device.retries++;
    return VERDICT_AGAIN;
}

/* After an answer that does not say whether the burst was taken: the next writable address does
 * (INV-6). */
static enum verdict
ask_where_it_stands(struct varve_drive *drive, struct burst *burst, struct varve_error *err)
{
    struct varve_medium medium;
    struct varve_error unread = {0};
    drive->device.retries++;
    if (!varve_drive_medium(drive, &medium, &unread) || !medium.next_valid)
        return VERDICT_FAILED;
    if (drive->device.medium_changed || drive->device.deferred)
        return VERDICT_FAILED;
    if (medium.next_cluster == drive->burn.next_cluster)
        return VERDICT_AGAIN;
    if (medium.next_cluster == drive->burn.next_cluster + burst->count)
        return VERDICT_DONE;
    varve_error_hint(err, "drive stands at cluster %" PRIu64 ", acknowledged are %" PRIu64,
                     medium.next_cluster, drive->burn.next_cluster);
    return VERDICT_FAILED;
}

/* Somebody else's read got in between, or the drive is busy with itself: flush, then again. */
static enum verdict
flush_and_repeat(struct varve_drive *drive, struct burst *burst)
{
    if (burst->interruptions++ >= INTERRUPTIONS_MAX)
        return VERDICT_FAILED;
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    struct varve_error ignored = {0}; /* the repeated WRITE tells */
    varve_mmc_encode_synchronize(&command, false);
    (void)!varve_scsi_once(&drive->device, &command, &sense, &ignored);
    return nap(drive, burst);
}

static enum verdict
judge_answer(struct varve_drive *drive, struct burst *burst,
             const struct varve_scsi_command *command, const struct varve_scsi_sense *sense,
             struct varve_error *err)
{
    if (drive->device.deferred)
        return VERDICT_FAILED; /* something acknowledged before is lost */
    if (varve_scsi_is_good(command, sense))
        return VERDICT_DONE;
    if (varve_scsi_is(sense, 2, 0x04, 0x08) || command->status == 0x08 || command->status == 0x28)
        return nap(drive, burst);
    if (varve_scsi_is(sense, 2, 0x04, 0x04) || varve_scsi_is(sense, 2, 0x04, 0x07) ||
        varve_scsi_is(sense, 5, 0x2c, 0x00))
        return flush_and_repeat(drive, burst);
    if (sense->valid && sense->key == 6 && !drive->device.medium_changed &&
        burst->attentions++ < ATTENTIONS_MAX)
        return ask_where_it_stands(drive, burst, err);
    return VERDICT_FAILED;
}

static enum verdict
write_burst(struct varve_drive *drive, struct burst *burst, struct varve_error *err)
{
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    uint32_t lba = (uint32_t)(drive->burn.next_cluster * VARVE_CLUSTER_SECTORS);
    varve_mmc_encode_write(&command, lba, (uint16_t)(burst->count * VARVE_CLUSTER_SECTORS),
                           burst->bytes);
    if (!varve_scsi_once(&drive->device, &command, &sense, err)) {
        if (burst->lost++ < LOST_ANSWERS_MAX)
            return ask_where_it_stands(drive, burst, err);
        return VERDICT_FAILED;
    }
    if (!varve_scsi_is_good(&command, &sense))
        (void)varve_scsi_fail(&command, &sense, err);
    else if (drive->device.deferred)
        (void)varve_error_set(err, VARVE_ERROR_MEDIUM, 0,
                              "drive reported that data it had acknowledged is lost");
    enum verdict verdict = judge_answer(drive, burst, &command, &sense, err);
    if (verdict != VERDICT_FAILED)
        return verdict;
    if (drive->device.deferred)
        err->kind = VARVE_ERROR_MEDIUM;
    if (drive->device.medium_changed) {
        err->kind = VARVE_ERROR_WRONG_DISC;
        varve_error_hint(err, "the medium was changed during the burn");
    }
    return VERDICT_FAILED;
}

bool
varve_drive_burn_write(struct varve_drive *drive, const uint8_t *bytes, unsigned count,
                       struct varve_error *err)
{
    struct varve_burn *burn = &drive->burn;
    if (!burn->open || burn->failed)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s: no burn is open", drive->name);
    if (count == 0 || count > BURST_CLUSTERS_MAX || burn->next_cluster + count > burn->end_cluster)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "%s: %u clusters at %" PRIu64 " are not in the burn, which ends at "
                               "%" PRIu64,
                               drive->name, count, burn->next_cluster, burn->end_cluster);
    struct burst burst = {.bytes = bytes, .count = count, .nap_ns = 2 * VARVE_NS_PER_MS};
    varve_scsi_wait_begin(&burst.stall, drive->device.clock, STALL_SECONDS * VARVE_NS_PER_SECOND);
    struct varve_error failed = {0};
    enum verdict verdict;
    do
        verdict = write_burst(drive, &burst, &failed);
    while (verdict == VERDICT_AGAIN);
    if (verdict == VERDICT_DONE) {
        burn->next_cluster += count;
        return true;
    }
    burn->failed = true;
    *err = failed;
    return varve_error_wrap(err, "%s: write %u clusters at %" PRIu64 " (LBA %" PRIu64 ")",
                            drive->name, count, burn->next_cluster,
                            burn->next_cluster * VARVE_CLUSTER_SECTORS);
}

struct ticker {
    void (*tick)(void *context, int percent);
    void *context;
    int64_t last_ns;
};

static void
tell_progress(struct varve_drive *drive, struct ticker *ticker,
              const struct varve_scsi_sense *sense)
{
    int64_t now = varve_clock_monotonic(drive->device.clock);
    if (ticker->tick == NULL || now - ticker->last_ns < VARVE_NS_PER_SECOND)
        return;
    ticker->last_ns = now;
    int percent = sense->has_progress ? (int)((uint32_t)sense->progress * 100 / 65536) : -1;
    ticker->tick(ticker->context, percent);
}

/* Two good answers with a pause between: some Pioneers say "ready" in the middle of closing. */
static bool
wait_idle(struct varve_drive *drive, struct ticker *ticker, struct varve_error *err)
{
    struct varve_scsi_wait wait;
    varve_scsi_wait_begin(&wait, drive->device.clock, CLOSE_SECONDS * VARVE_NS_PER_SECOND);
    unsigned good = 0;
    unsigned attentions = 0;
    while (good < 2) {
        struct varve_scsi_command command;
        struct varve_scsi_sense sense;
        varve_smc_encode_test_unit_ready(&command);
        if (!varve_scsi_once(&drive->device, &command, &sense, err))
            return false;
        tell_progress(drive, ticker, &sense);
        if (varve_scsi_is_good(&command, &sense)) {
            good++;
            varve_clock_sleep(drive->device.clock, 20 * VARVE_NS_PER_MS);
            continue;
        }
        good = 0;
        bool attention = sense.valid && sense.key == 6 && !drive->device.medium_changed &&
                         attentions++ < ATTENTIONS_MAX;
        bool busy = varve_scsi_is_busy(&command, &sense) && varve_scsi_wait_nap(&wait);
        if (!attention && !busy)
            return varve_scsi_fail(&command, &sense, err);
    }
    if (drive->device.deferred)
        return varve_error_set(err, VARVE_ERROR_MEDIUM, 0,
                               "drive reported that data it had acknowledged is lost");
    return true;
}

/* SYNCHRONIZE CACHE and CLOSE may be repeated: closing what is closed is no error (MMC-6, CLOSE
 * TRACK/SESSION). */
static bool
send_step(struct varve_drive *drive, struct varve_scsi_command *command, struct varve_error *err)
{
    struct varve_scsi_wait wait;
    varve_scsi_wait_begin(&wait, drive->device.clock, CLOSE_SECONDS * VARVE_NS_PER_SECOND);
    unsigned attentions = 0;
    unsigned lost = 0;
    for (;;) {
        struct varve_scsi_sense sense;
        struct varve_error failed = {0};
        bool answered = varve_scsi_once(&drive->device, command, &sense, &failed);
        if (!answered && lost++ < LOST_ANSWERS_MAX)
            continue;
        if (!answered) {
            *err = failed;
            return false;
        }
        if (varve_scsi_is_good(command, &sense))
            return true;
        bool attention = sense.valid && sense.key == 6 && !drive->device.medium_changed &&
                         attentions++ < ATTENTIONS_MAX;
        bool busy = varve_scsi_is_busy(command, &sense) && varve_scsi_wait_nap(&wait);
        if (!attention && !busy)
            return varve_scsi_fail(command, &sense, err);
        drive->device.retries++;
    }
}

static bool
close_steps(struct varve_drive *drive, struct ticker *ticker, struct varve_error *err)
{
    struct varve_scsi_command command;
    varve_mmc_encode_synchronize(&command, true);
    if (!send_step(drive, &command, err) || !wait_idle(drive, ticker, err))
        return varve_error_wrap(err, "flush");
    varve_mmc_encode_close(&command, VARVE_MMC_CLOSE_TRACK, 1, true);
    if (!send_step(drive, &command, err) || !wait_idle(drive, ticker, err))
        return varve_error_wrap(err, "close track");
    varve_mmc_encode_close(&command, VARVE_MMC_FINALISE, 0, true);
    if (!send_step(drive, &command, err) || !wait_idle(drive, ticker, err))
        return varve_error_wrap(err, "finalise");
    return true;
}

static bool
is_closed(struct varve_drive *drive, struct varve_medium *ret, struct varve_error *err)
{
    return varve_drive_medium(drive, ret, err) && ret->state == VARVE_MEDIUM_CLOSED;
}

bool
varve_drive_burn_close(struct varve_drive *drive, void (*tick)(void *context, int percent),
                       void *context, struct varve_error *err)
{
    struct varve_burn *burn = &drive->burn;
    if (!burn->open)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s: no burn is open", drive->name);
    uint64_t written = burn->next_cluster;
    struct ticker ticker = {tick, context, varve_clock_monotonic(drive->device.clock)};
    struct varve_medium medium = {0};
    struct varve_error failed = {0};
    bool ok = close_steps(drive, &ticker, &failed);
    burn->open = false;
    /* Whatever the steps answered, the disc says whether it is closed. Lost data is another thing:
     * then the disc is no good even if closed. */
    struct varve_error unread = {0};
    bool closed = is_closed(drive, &medium, &unread);
    if (closed && !drive->device.deferred && !drive->device.medium_changed &&
        medium.readable_clusters >= written)
        return true;
    if (ok && !closed)
        (void)varve_error_set(&failed, VARVE_ERROR_MEDIUM, 0, "disc is not closed%s%s",
                              unread.text[0] != 0 ? ": " : "", unread.text);
    else if (ok)
        (void)varve_error_set(&failed, VARVE_ERROR_MEDIUM, 0,
                              "disc holds %" PRIu64 " clusters after closing, %" PRIu64
                              " were acknowledged",
                              medium.readable_clusters, written);
    *err = failed;
    return varve_error_wrap(err, "%s: close the disc", drive->name);
}
