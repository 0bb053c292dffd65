/* SPDX-License-Identifier: Apache-2.0 */
/* Reading clusters, and what the time they take says of the disc (scsi.md 2.7, 2.8). */
#include "drive.h"

#include <inttypes.h>

#define READ_TRIES 3u /* at full speed; one more at the slowest */
#define SLOW_FACTOR 4 /* times the average */
#define SLOW_NS (100 * VARVE_NS_PER_MS)
#define AVERAGE_CLUSTERS 32u /* before that there is no average: the disc spins up */

/* One READ; *ret_worn tells that the disc, not the drive, is the reason. */
static bool
read_once(struct varve_drive *drive, uint64_t cluster, unsigned count, uint8_t *ret, bool *ret_worn,
          struct varve_error *err)
{
    struct varve_scsi_command command;
    uint32_t lba = (uint32_t)(cluster * VARVE_CLUSTER_SECTORS);
    varve_mmc_encode_read(&command, lba, (uint16_t)(count * VARVE_CLUSTER_SECTORS), ret);
    *ret_worn = false;
    if (varve_scsi_run(&drive->device, &command, err)) {
        if (command.received_bytes == command.data_bytes)
            return true;
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                               "READ(10) at LBA %" PRIu32 ": %" PRIu32 " of %" PRIu32 " bytes came",
                               lba, command.received_bytes, command.data_bytes);
    }
    struct varve_scsi_sense sense;
    varve_scsi_sense_decode(command.sense, command.sense_bytes, &sense);
    if (command.status != 2 || !sense.valid)
        return varve_error_wrap(err, "LBA %" PRIu32, lba);
    *ret_worn = sense.key == 3;
    char text[VARVE_SCSI_TEXT_BYTES];
    uint64_t at = sense.has_information ? sense.information : lba;
    /* Nothing recorded there is, for the one who wants to read it, the same as unreadable. */
    bool unrecorded = sense.key == 5 && sense.asc == 0x21;
    return varve_error_set(err, unrecorded ? VARVE_ERROR_MEDIUM : err->kind, 0,
                           "READ(10) at LBA %" PRIu64 ": %s", at,
                           varve_scsi_sense_text(&sense, text));
}

static bool
is_slow(const struct varve_read_health *reads, int64_t cluster_ns)
{
    if (reads->clusters < AVERAGE_CLUSTERS || cluster_ns < SLOW_NS)
        return false;
    return cluster_ns > SLOW_FACTOR * (reads->total_ns / (int64_t)reads->clusters);
}

/* The time of a command is spread over its clusters: a spot stands out less in a long one, and the
 * scrub, which looks for spots, reads few at a time. */
static void
note_time(struct varve_drive *drive, uint64_t cluster, unsigned count, int64_t took)
{
    struct varve_read_health *reads = &drive->reads;
    int64_t each = took / count;
    if (is_slow(reads, each)) {
        if (reads->slow == 0)
            reads->first_slow = cluster;
        reads->last_slow = cluster + count - 1;
        reads->slow += count;
    }
    if (each > reads->worst_ns) {
        reads->worst_ns = each;
        reads->worst_cluster = cluster;
    }
    reads->clusters += count;
    reads->total_ns += took;
}

static bool
read_stubbornly(struct varve_drive *drive, uint64_t cluster, unsigned count, uint8_t *ret,
                struct varve_error *err)
{
    bool worn = true;
    struct varve_error failed = {0};
    for (unsigned tries = 0; tries < READ_TRIES && worn; tries++) {
        if (tries > 0) {
            drive->device.retries++;
            drive->reads.retried++;
        }
        if (read_once(drive, cluster, count, ret, &worn, &failed))
            return true;
    }
    if (worn) {
        bool ignored;
        varve_drive_apply_speed(drive, true);
        drive->device.retries++;
        bool done = read_once(drive, cluster, count, ret, &ignored, &failed);
        varve_drive_apply_speed(drive, false);
        if (done)
            return true;
        drive->reads.unreadable += count;
    }
    *err = failed;
    return false;
}

static bool
read_burst(struct varve_drive *drive, uint64_t cluster, unsigned count, uint8_t *ret,
           struct varve_error *err)
{
    int64_t began = varve_clock_monotonic(drive->device.clock);
    if (!read_stubbornly(drive, cluster, count, ret, err))
        return false;
    if (drive->device.recovered)
        drive->reads.recovered++;
    note_time(drive, cluster, count, varve_clock_monotonic(drive->device.clock) - began);
    return true;
}

bool
varve_drive_read(struct varve_drive *drive, uint64_t cluster, unsigned count, uint8_t *ret,
                 int64_t *ret_ns, struct varve_error *err)
{
    if (count == 0 || count > VARVE_DRIVE_BURST_MAX ||
        cluster > (UINT32_MAX - count * VARVE_CLUSTER_SECTORS) / VARVE_CLUSTER_SECTORS)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "%s: cannot read %u clusters from %" PRIu64, drive->name, count,
                               cluster);
    int64_t began = varve_clock_monotonic(drive->device.clock);
    unsigned burst = varve_drive_burst(drive);
    for (unsigned done = 0; done < count;) {
        unsigned now = count - done < burst ? count - done : burst;
        if (!read_burst(drive, cluster + done, now, &ret[(size_t)done * VARVE_CLUSTER_BYTES], err))
            return varve_error_wrap(err, "%s", drive->name);
        done += now;
    }
    if (ret_ns != NULL)
        *ret_ns = varve_clock_monotonic(drive->device.clock) - began;
    return true;
}

void
varve_drive_read_health(struct varve_drive *drive, struct varve_read_health *ret)
{
    *ret = drive->reads;
}
