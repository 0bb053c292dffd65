/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a disc: prove it and feed it (INV-5, INV-6); close.c ends it. */
#include "drive.h"

#include <inttypes.h>

#define STALL_SECONDS 300 /* "long write" without progress ... */
#define FLUSH_SECONDS 600 /* ... and how long the drive may then take to write what it has */
#define ATTENTIONS_MAX 10
#define LOST_ANSWERS_MAX 2
#define INTERRUPTIONS_MAX 3 /* readers of others between our writes */
#define BAD_POWERS_MAX 2    /* discs in a row that one drive cannot calibrate its laser on */

static bool
check_place(const struct varve_medium *medium, uint64_t first_cluster, struct varve_error *err)
{
    bool fresh = first_cluster == 0;
    enum varve_medium_state wanted = fresh ? VARVE_MEDIUM_BLANK : VARVE_MEDIUM_APPENDABLE;
    static const char *const words[] = {"missing", "blank", "appendable", "closed", ""};
    if (medium->state == VARVE_MEDIUM_OTHER)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "disc is %s (profile %04Xh), %s, not %s as expected", medium->kind,
                               medium->profile, medium->why_other, words[wanted]);
    if (medium->state != wanted)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "disc is %s (profile %04Xh), not %s as expected",
                               words[medium->state], medium->profile, words[wanted]);
    if (!medium->next_valid)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "drive names no next writable address on a block boundary");
    if (medium->next_cluster != first_cluster)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "next writable cluster is %" PRIu64 ", not %" PRIu64 " as expected",
                               medium->next_cluster, first_cluster);
    return true;
}

/* INV-5: what is in the drive now is what the caller means. */
static bool
prove(struct varve_drive *drive, uint64_t first_cluster, uint64_t clusters_total,
      struct varve_medium *ret, struct varve_error *err)
{
    if (!varve_drive_medium(drive, ret, err))
        return varve_error_wrap(err, "begin to burn");
    if (!check_place(ret, first_cluster, err))
        return varve_error_wrap(err, "%s: begin to burn", drive->name);
    if (ret->capacity_clusters >= clusters_total &&
        clusters_total <= UINT32_MAX / VARVE_CLUSTER_SECTORS)
        return true;
    return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                           "%s: begin to burn: disc holds %" PRIu64 " clusters, %" PRIu64
                           " are to be written",
                           drive->name, ret->capacity_clusters, clusters_total);
}

bool
varve_drive_burn_begin(struct varve_drive *drive, uint64_t first_cluster, uint64_t clusters_total,
                       struct varve_error *err)
{
    struct varve_medium medium;
    drive->burn = (struct varve_drive_burn){0};
    if (!prove(drive, first_cluster, clusters_total, &medium, err))
        return false;
    /* From here on any sign that the medium changed stops the burn (INV-5). */
    drive->device.medium_changed = false;
    drive->device.deferred = false;
    drive->device.settled = false;
    const struct varve_media *media = varve_media_of_profile(medium.profile);
    if (!varve_drive_set_up(drive, media, &medium, clusters_total, err))
        return varve_error_wrap(err, "%s: begin to burn", drive->name);
    if (medium.unformatted && !prove(drive, first_cluster, clusters_total, &medium, err))
        return varve_error_wrap(err, "after formatting");
    if (drive->device.medium_changed)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "%s: begin to burn: the medium was changed while it was looked at",
                               drive->name);
    drive->burn = (struct varve_drive_burn){.open = true,
                                            .media = media,
                                            .next_cluster = first_cluster,
                                            .end_cluster = clusters_total,
                                            .skip = medium.next_sector};
    return true;
}

struct burst {
    const uint8_t *bytes;
    unsigned count;
    unsigned attentions, lost, interruptions;
    bool flushed; /* the drive stalled once, and came back */
    struct varve_scsi_wait stall;
    int64_t nap_ns;
};

enum verdict { VERDICT_DONE, VERDICT_AGAIN, VERDICT_FAILED };

/* No progress for minutes: nothing more is fed, and the drive gets time to write what it has. If it
 * does, the burn goes on, once. */
static enum verdict
outlast_stall(struct varve_drive *drive, struct burst *burst, struct varve_error *err)
{
    struct varve_scsi_command command;
    struct varve_operation operation = {.limit_ns = FLUSH_SECONDS * VARVE_NS_PER_SECOND};
    struct varve_error stuck = {0};
    varve_mmc_encode_synchronize(&command, true);
    if (!burst->flushed && varve_operation_send(drive, &command, &operation, &stuck) &&
        varve_operation_wait(drive, &operation, &stuck)) {
        burst->flushed = true;
        varve_scsi_wait_begin(&burst->stall, drive->device.clock,
                              STALL_SECONDS * VARVE_NS_PER_SECOND);
        return VERDICT_AGAIN;
    }
    err->kind = VARVE_ERROR_MEDIUM;
    varve_error_hint(err,
                     "the drive stood still for more than %d s and did not recover; the disc "
                     "is scrapped. If the next one does the same, the drive needs service",
                     STALL_SECONDS);
    return VERDICT_FAILED;
}

/* Buffer full: the same WRITE again after 2 ms, 4 ms, ... 25 ms (libburn's rhythm). */
static enum verdict
nap(struct varve_drive *drive, struct burst *burst, struct varve_error *err)
{
    struct varve_clock *clock = drive->device.clock;
    if (varve_clock_monotonic(clock) >= burst->stall.deadline_ns)
        return outlast_stall(drive, burst, err);
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
    if (varve_media_of_profile(medium.profile) != drive->burn.media)
        return VERDICT_FAILED;
    if (drive->device.medium_changed || drive->device.deferred)
        return VERDICT_FAILED;
    if (drive->burn.media->model == VARVE_MEDIA_OVERWRITE)
        return VERDICT_AGAIN; /* has no such address, and needs none */
    if (medium.next_cluster == drive->burn.next_cluster && medium.next_sector == drive->burn.skip)
        return VERDICT_AGAIN;
    if (medium.next_cluster == drive->burn.next_cluster + burst->count && medium.next_sector == 0)
        return VERDICT_DONE;
    varve_error_hint(err, "drive stands at cluster %" PRIu64 ", acknowledged are %" PRIu64,
                     medium.next_cluster, drive->burn.next_cluster);
    return VERDICT_FAILED;
}

/* Somebody else's read got in between, or the drive is busy with itself: flush, then again. */
static enum verdict
flush_and_repeat(struct varve_drive *drive, struct burst *burst, struct varve_error *err)
{
    if (burst->interruptions++ >= INTERRUPTIONS_MAX) {
        err->kind = VARVE_ERROR_NOT_READY;
        varve_error_hint(err, "another program on this host seems to use the drive: stop it "
                              "(udisks2, a desktop), and install varve's udev rule");
        return VERDICT_FAILED;
    }
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    struct varve_error ignored = {0}; /* the repeated WRITE tells */
    varve_mmc_encode_synchronize(&command, false);
    (void)!varve_scsi_once(&drive->device, &command, &sense, &ignored);
    return nap(drive, burst, err);
}

/* The drive could not keep its pace: slower, and on from where it stands. */
static enum verdict
slow_down(struct varve_drive *drive, struct burst *burst, struct varve_error *err)
{
    if (burst->interruptions++ >= INTERRUPTIONS_MAX)
        return VERDICT_FAILED;
    varve_drive_apply_speed(drive, true);
    return ask_where_it_stands(drive, burst, err);
}

/* The laser finds no power that this disc takes. Twice in a row it is hardly the discs. */
static enum verdict
note_bad_power(struct varve_drive *drive, struct varve_error *err)
{
    drive->bad_powers++;
    err->kind = VARVE_ERROR_MEDIUM;
    if (drive->bad_powers >= BAD_POWERS_MAX)
        varve_error_hint(err,
                         "%u discs in a row failed so in this drive: clean or service the "
                         "drive, or try discs of another batch",
                         drive->bad_powers);
    else
        varve_error_hint(err, "the disc is scrapped and the next blank is tried");
    return VERDICT_FAILED;
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
        return nap(drive, burst, err);
    if (sense->valid && sense->asc == 0x73)
        return note_bad_power(drive, err);
    if (sense->valid && sense->asc == 0x0c && sense->ascq == 0x09)
        return slow_down(drive, burst, err);
    if (varve_scsi_is(sense, 2, 0x04, 0x04) || varve_scsi_is(sense, 2, 0x04, 0x07) ||
        varve_scsi_is(sense, 5, 0x2c, 0x00))
        return flush_and_repeat(drive, burst, err);
    bool corrected = sense->valid && sense->deferred; /* an earlier error, told before this WRITE */
    if ((corrected || (sense->valid && sense->key == 6)) && !drive->device.medium_changed &&
        burst->attentions++ < ATTENTIONS_MAX)
        return ask_where_it_stands(drive, burst, err);
    return VERDICT_FAILED;
}

static enum verdict
write_burst(struct varve_drive *drive, struct burst *burst, struct varve_error *err)
{
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    uint32_t skip = drive->burn.skip;
    uint32_t lba = (uint32_t)(drive->burn.next_cluster * VARVE_CLUSTER_SECTORS) + skip;
    varve_mmc_encode_write(&command, lba, (uint16_t)(burst->count * VARVE_CLUSTER_SECTORS - skip),
                           burst->bytes + (size_t)skip * VARVE_SECTOR_BYTES);
    if (!varve_scsi_once(&drive->device, &command, &sense, err)) {
        if (burst->lost++ < LOST_ANSWERS_MAX)
            return ask_where_it_stands(drive, burst, err);
        return VERDICT_FAILED;
    }
    if (!varve_scsi_is_good(&command, &sense))
        (void)varve_scsi_fail(&command, &sense, err);
    else if (drive->device.deferred)
        (void)varve_drive_fail_deferred(drive, err);
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

/* What the drive still holds is written, and how far it came is told: the disc is scrapped, but who
 * wonders why wants to know. */
static void
tell_where_it_ended(struct varve_drive *drive, struct varve_error *err)
{
    struct varve_medium medium;
    struct varve_error unread = {0};
    uint64_t acknowledged = drive->burn.next_cluster;
    uint64_t wanted = drive->burn.end_cluster;
    varve_drive_burn_abandon(drive);
    if (varve_drive_medium(drive, &medium, &unread))
        varve_error_hint(err,
                         "%" PRIu64 " of %" PRIu64 " clusters were acknowledged; the drive "
                         "calls the disc %s and stands at cluster %" PRIu64,
                         acknowledged, wanted, medium.kind, medium.next_cluster);
    else
        varve_error_hint(err,
                         "%" PRIu64 " of %" PRIu64 " clusters were acknowledged; the drive "
                         "tells nothing of the disc any more",
                         acknowledged, wanted);
}

static bool
write_clusters(struct varve_drive *drive, const uint8_t *bytes, unsigned count,
               struct varve_error *err)
{
    struct varve_drive_burn *burn = &drive->burn;
    struct burst burst = {.bytes = bytes, .count = count, .nap_ns = 2 * VARVE_NS_PER_MS};
    varve_scsi_wait_begin(&burst.stall, drive->device.clock, STALL_SECONDS * VARVE_NS_PER_SECOND);
    struct varve_error failed = {0};
    enum verdict verdict;
    do
        verdict = write_burst(drive, &burst, &failed);
    while (verdict == VERDICT_AGAIN);
    if (verdict == VERDICT_DONE) {
        burn->next_cluster += count;
        burn->skip = 0;
        drive->device.settled = true;
        drive->bad_powers = 0;
        return true;
    }
    burn->failed = true;
    *err = failed;
    varve_error_wrap(err, "%s: write %u clusters at %" PRIu64 " (LBA %" PRIu64 ")", drive->name,
                     count, burn->next_cluster, burn->next_cluster * VARVE_CLUSTER_SECTORS);
    if (err->kind == VARVE_ERROR_MEDIUM)
        tell_where_it_ended(drive, err);
    return false;
}

bool
varve_drive_burn_write(struct varve_drive *drive, const uint8_t *bytes, unsigned count,
                       struct varve_error *err)
{
    const struct varve_drive_burn *burn = &drive->burn;
    if (!burn->open || burn->failed)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s: no burn is open", drive->name);
    if (count == 0 || count > VARVE_DRIVE_BURST_MAX ||
        burn->next_cluster + count > burn->end_cluster)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "%s: %u clusters at %" PRIu64 " are not in the burn, which ends at "
                               "%" PRIu64,
                               drive->name, count, burn->next_cluster, burn->end_cluster);
    unsigned most = varve_drive_burst(drive);
    for (unsigned done = 0; done < count;) {
        unsigned now = count - done < most ? count - done : most;
        if (!write_clusters(drive, &bytes[(size_t)done * VARVE_CLUSTER_BYTES], now, err))
            return false;
        done += now;
    }
    return true;
}
