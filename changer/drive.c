/* SPDX-License-Identifier: Apache-2.0 */
#include "drive.h"

#include "smc_codec.h"

#include <inttypes.h>
#include <string.h>

#define LOAD_SECONDS 300      /* spin-up and recognition; then the disc is dirty or upside down */
#define NO_MEDIUM_SECONDS 120 /* how long a drive may overlook a disc just put in */
#define PULL_SECONDS 10       /* ... before it is told to close its tray */
#define READ_TRIES 3u
#define BURST_CLUSTERS_MAX 16u

bool
varve_drive_init(struct varve_drive *drive, struct varve_scsi_port *port, struct varve_clock *clock,
                 struct varve_error *err)
{
    drive->device = (struct varve_scsi_device){
        .port = port, .clock = clock, .ready_ns = LOAD_SECONDS * VARVE_NS_PER_SECOND};
    uint8_t data[252];
    struct varve_scsi_command command;
    struct varve_inquiry inquiry;
    varve_smc_encode_inquiry(&command, data, sizeof data);
    if (!varve_scsi_run(&drive->device, &command, err))
        return varve_error_wrap(err, "%s", drive->name);
    if (!varve_smc_decode_inquiry(data, command.received_bytes, &inquiry) ||
        inquiry.device_type != 0x05)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s: device is no optical drive",
                               drive->name);
    memcpy(drive->identity.vendor, inquiry.vendor, sizeof inquiry.vendor);
    memcpy(drive->identity.product, inquiry.product, sizeof inquiry.product);
    memcpy(drive->identity.revision, inquiry.revision, sizeof inquiry.revision);

    /* A drive without a serial number works; it only cannot be told apart. */
    struct varve_error ignored = {0};
    varve_smc_encode_inquiry_vpd(&command, 0x80, data, sizeof data);
    if (varve_scsi_run(&drive->device, &command, &ignored))
        (void)varve_smc_decode_serial(data, command.received_bytes, drive->identity.serial);
    return true;
}

bool
varve_drive_release(struct varve_drive *drive, struct varve_error *err)
{
    struct varve_scsi_command command;
    varve_smc_encode_prevent(&command, false);
    if (!varve_scsi_run(&drive->device, &command, err))
        return varve_error_wrap(err, "%s: unlock the tray", drive->name);
    return true;
}

bool
varve_drive_eject(struct varve_drive *drive, struct varve_error *err)
{
    struct varve_scsi_command command;
    varve_mmc_encode_start_stop(&command, VARVE_MMC_EJECT);
    if (!varve_scsi_run(&drive->device, &command, err))
        return varve_error_wrap(err, "%s: eject", drive->name);
    return true;
}

void
varve_drive_forget(struct varve_drive *drive)
{
    drive->burn = (struct varve_burn){0};
    drive->device.medium_changed = false;
    drive->device.deferred = false;
}

/* TEST UNIT READY through unit attentions (at most 10 of them in a row). */
static bool
ask_ready(struct varve_drive *drive, struct varve_scsi_command *command,
          struct varve_scsi_sense *ret, struct varve_error *err)
{
    for (unsigned attentions = 0;; attentions++) {
        varve_smc_encode_test_unit_ready(command);
        if (!varve_scsi_once(&drive->device, command, ret, err))
            return false;
        if (!ret->valid || ret->key != 6 || attentions == 10)
            return true;
    }
}

static bool
fail_unloadable(struct varve_drive *drive, const struct varve_scsi_command *command,
                const struct varve_scsi_sense *sense, struct varve_error *err)
{
    (void)varve_scsi_fail(command, sense, err);
    if (sense->valid && sense->key == 2 && sense->asc == 0x3a)
        varve_error_hint(err,
                         "the changer put a disc into element %u, and %s does not see it: are the "
                         "drives listed in the changer's order?",
                         drive->element, drive->name);
    else
        varve_error_hint(err, "the disc may be dirty, damaged or upside down");
    return varve_error_wrap(err, "%s", drive->name);
}

struct load_wait {
    struct varve_scsi_wait ready;
    int64_t pull_ns, missing_ns;
    bool pulled;
};

/* True: keep waiting for what `sense` says. */
static bool
wait_on(struct varve_drive *drive, struct load_wait *wait, const struct varve_scsi_command *command,
        const struct varve_scsi_sense *sense)
{
    int64_t now = varve_clock_monotonic(drive->device.clock);
    bool missing = sense->valid && sense->key == 2 && sense->asc == 0x3a;
    if (!missing && !varve_scsi_is_busy(command, sense))
        return false;
    if (missing && now >= wait->missing_ns)
        return false;
    if (missing && now >= wait->pull_ns && !wait->pulled) {
        wait->pulled = true;
        struct varve_scsi_command pull;
        struct varve_error ignored = {0}; /* the next TEST UNIT READY tells whether it helped */
        varve_mmc_encode_start_stop(&pull, VARVE_MMC_LOAD);
        (void)!varve_scsi_run(&drive->device, &pull, &ignored);
    }
    return varve_scsi_wait_nap(&wait->ready);
}

bool
varve_drive_wait_loaded(struct varve_drive *drive, struct varve_error *err)
{
    struct load_wait wait = {0};
    int64_t now = varve_clock_monotonic(drive->device.clock);
    varve_scsi_wait_begin(&wait.ready, drive->device.clock, LOAD_SECONDS * VARVE_NS_PER_SECOND);
    wait.pull_ns = now + PULL_SECONDS * VARVE_NS_PER_SECOND;
    wait.missing_ns = now + NO_MEDIUM_SECONDS * VARVE_NS_PER_SECOND;
    for (;;) {
        struct varve_scsi_command command;
        struct varve_scsi_sense sense;
        if (!ask_ready(drive, &command, &sense, err))
            return varve_error_wrap(err, "%s", drive->name);
        if (varve_scsi_is_good(&command, &sense))
            break;
        if (!wait_on(drive, &wait, &command, &sense))
            return fail_unloadable(drive, &command, &sense, err);
    }
    /* "Ready" is no proof on every drive: what it says about the disc is. */
    drive->device.medium_changed = false;
    drive->device.deferred = false;
    struct varve_medium medium;
    if (!varve_drive_medium(drive, &medium, err))
        return false;
    if (medium.state == VARVE_MEDIUM_NONE)
        return varve_error_set(err, VARVE_ERROR_NOT_READY, 0,
                               "%s: reports ready, but no medium (profile 0000h)", drive->name);
    return true;
}

static bool
read_profile(struct varve_drive *drive, uint16_t *ret, struct varve_error *err)
{
    uint8_t data[256];
    struct varve_scsi_command command;
    varve_mmc_encode_get_configuration(&command, data, sizeof data);
    if (!varve_scsi_run(&drive->device, &command, err))
        return false;
    if (!varve_mmc_decode_profile(data, command.received_bytes, ret))
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "GET CONFIGURATION: short answer");
    return true;
}

static bool
read_disc(struct varve_drive *drive, struct varve_mmc_disc *ret, struct varve_error *err)
{
    uint8_t data[64];
    struct varve_scsi_command command;
    varve_mmc_encode_disc_information(&command, data, sizeof data);
    if (!varve_scsi_run(&drive->device, &command, err))
        return false;
    if (!varve_mmc_decode_disc(data, command.received_bytes, ret))
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "READ DISC INFORMATION: short answer");
    return true;
}

static bool
read_open_track(struct varve_drive *drive, struct varve_medium *medium, struct varve_error *err)
{
    uint8_t data[64];
    struct varve_scsi_command command;
    struct varve_mmc_track track;
    varve_mmc_encode_track_information(&command, 0xff, data, sizeof data);
    if (!varve_scsi_run(&drive->device, &command, err))
        return false;
    if (!varve_mmc_decode_track(data, command.received_bytes, &track))
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                               "READ TRACK INFORMATION: short answer");
    /* Pioneer BDR-205 says -150 for a blank disc: the start of the track is meant. */
    uint32_t next = (int32_t)track.next < (int32_t)track.start ? track.start : track.next;
    medium->next_valid = track.next_valid && !track.damaged && next % VARVE_CLUSTER_SECTORS == 0;
    medium->next_cluster = next / VARVE_CLUSTER_SECTORS;
    medium->capacity_clusters = ((uint64_t)next + track.free) / VARVE_CLUSTER_SECTORS;
    medium->readable_clusters = medium->next_cluster;
    return true;
}

static bool
read_recorded(struct varve_drive *drive, struct varve_medium *medium, struct varve_error *err)
{
    uint8_t data[8];
    struct varve_scsi_command command;
    uint64_t sectors;
    varve_mmc_encode_read_capacity(&command, data);
    if (!varve_scsi_run(&drive->device, &command, err))
        return false;
    if (!varve_mmc_decode_capacity(data, command.received_bytes, &sectors))
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                               "READ CAPACITY: short answer or sectors that are not 2048 bytes");
    medium->readable_clusters = sectors / VARVE_CLUSTER_SECTORS;
    return true;
}

static enum varve_medium_state
state_of(uint16_t profile, const struct varve_mmc_disc *disc)
{
    if (profile != VARVE_MMC_PROFILE_BD_R && disc->status != VARVE_MMC_DISC_FINALISED)
        return VARVE_MEDIUM_OTHER;
    switch (disc->status) {
    case VARVE_MMC_DISC_BLANK:
        return VARVE_MEDIUM_BLANK;
    case VARVE_MMC_DISC_APPENDABLE:
        return VARVE_MEDIUM_APPENDABLE;
    case VARVE_MMC_DISC_FINALISED:
        return VARVE_MEDIUM_CLOSED;
    case VARVE_MMC_DISC_OTHER:
        break;
    }
    return VARVE_MEDIUM_OTHER;
}

/* Some drives report a closed BD-R as BD-ROM; a DVD-ROM may hold an archive of others. */
static bool
is_readable_profile(uint16_t profile)
{
    return profile == VARVE_MMC_PROFILE_BD_R || profile == VARVE_MMC_PROFILE_BD_ROM ||
           profile == VARVE_MMC_PROFILE_DVD_ROM;
}

static bool
read_medium(struct varve_drive *drive, struct varve_medium *medium, struct varve_error *err)
{
    struct varve_mmc_disc disc;
    if (!read_profile(drive, &medium->profile, err))
        return false;
    medium->state = VARVE_MEDIUM_OTHER;
    if (medium->profile == VARVE_MMC_PROFILE_NONE)
        medium->state = VARVE_MEDIUM_NONE;
    if (!is_readable_profile(medium->profile))
        return true;
    if (!read_disc(drive, &disc, err))
        return false;
    medium->state = state_of(medium->profile, &disc);
    if (medium->state == VARVE_MEDIUM_CLOSED)
        return read_recorded(drive, medium, err);
    if (medium->state == VARVE_MEDIUM_BLANK || medium->state == VARVE_MEDIUM_APPENDABLE)
        return read_open_track(drive, medium, err);
    return true;
}

/* Waits while the drive is busy or becoming ready; *ret_missing when it has no medium. */
static bool
settle(struct varve_drive *drive, bool *ret_missing, struct varve_error *err)
{
    struct varve_scsi_wait wait;
    varve_scsi_wait_begin(&wait, drive->device.clock, drive->device.ready_ns);
    for (;;) {
        struct varve_scsi_command command;
        struct varve_scsi_sense sense;
        if (!ask_ready(drive, &command, &sense, err))
            return false;
        *ret_missing = sense.valid && sense.key == 2 && sense.asc == 0x3a;
        if (*ret_missing || varve_scsi_is_good(&command, &sense))
            return true;
        if (!varve_scsi_is_busy(&command, &sense) || !varve_scsi_wait_nap(&wait))
            return varve_scsi_fail(&command, &sense, err);
    }
}

bool
varve_drive_has_medium(struct varve_drive *drive, bool *ret_present, struct varve_error *err)
{
    bool missing;
    if (!settle(drive, &missing, err))
        return varve_error_wrap(err, "%s", drive->name);
    *ret_present = !missing;
    return true;
}

bool
varve_drive_medium(struct varve_drive *drive, struct varve_medium *ret, struct varve_error *err)
{
    bool missing;
    struct varve_medium medium = {.state = VARVE_MEDIUM_NONE};
    if (!settle(drive, &missing, err) || (!missing && !read_medium(drive, &medium, err)))
        return varve_error_wrap(err, "%s", drive->name);
    *ret = medium;
    return true;
}

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

bool
varve_drive_read(struct varve_drive *drive, uint64_t cluster, unsigned count, uint8_t *ret,
                 int64_t *ret_ns, struct varve_error *err)
{
    if (count == 0 || count > BURST_CLUSTERS_MAX ||
        cluster > (UINT32_MAX - count * VARVE_CLUSTER_SECTORS) / VARVE_CLUSTER_SECTORS)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "%s: cannot read %u clusters from %" PRIu64, drive->name, count,
                               cluster);
    int64_t began = varve_clock_monotonic(drive->device.clock);
    bool done = false;
    bool worn = true;
    struct varve_error failed = {0};
    for (unsigned tries = 0; tries < READ_TRIES && !done && worn; tries++) {
        if (tries > 0)
            drive->device.retries++;
        done = read_once(drive, cluster, count, ret, &worn, &failed);
    }
    if (!done) {
        *err = failed;
        return varve_error_wrap(err, "%s", drive->name);
    }
    if (ret_ns != NULL)
        *ret_ns = varve_clock_monotonic(drive->device.clock) - began;
    return true;
}

void
varve_drive_health(struct varve_drive *drive, struct varve_drive_health *ret)
{
    *ret = drive->identity;
    ret->commands = drive->device.commands;
    ret->retries = drive->device.retries;
    ret->medium_errors = drive->device.medium_errors;
    ret->hardware_errors = drive->device.hardware_errors;
}
