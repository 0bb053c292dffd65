/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the drive: kind, state, next writable address, as the drive tells and as far as it can
 * be believed. */
#include "drive.h"

#include <string.h>

#define FEATURES_BYTES 2048u
/* Where every filesystem and partition table leaves something: the beginning and the end. */
#define PROOF_CLUSTERS 16u

bool
varve_drive_features(struct varve_drive *drive, struct varve_mmc_features *ret,
                     struct varve_error *err)
{
    uint8_t data[FEATURES_BYTES];
    struct varve_scsi_command command;
    varve_mmc_encode_get_configuration(&command, data, sizeof data);
    if (!varve_scsi_run(&drive->device, &command, err))
        return false;
    if (!varve_mmc_decode_features(data, command.received_bytes, ret))
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "GET CONFIGURATION: short answer");
    return true;
}

bool
varve_drive_formats(struct varve_drive *drive, struct varve_mmc_formats *ret,
                    struct varve_error *err)
{
    uint8_t data[VARVE_MMC_FORMATS_BYTES];
    struct varve_scsi_command command;
    varve_mmc_encode_format_capacities(&command, data, sizeof data);
    if (!varve_scsi_run(&drive->device, &command, err)) {
        if (err->kind == VARVE_ERROR_INVALID)
            err->kind = VARVE_ERROR_NOT_FOUND;
        return false;
    }
    if (!varve_mmc_decode_format_capacities(data, command.received_bytes, ret))
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                               "READ FORMAT CAPACITIES: unusable answer");
    return true;
}

static const struct varve_mmc_format *
find_format(const struct varve_mmc_formats *formats, uint8_t type)
{
    for (unsigned i = 0; type != 0 && i < formats->count; i++) {
        if (formats->list[i].type == type)
            return &formats->list[i];
    }
    return NULL;
}

/* Of BD-R drives list type 32h without its subtypes, which FORMAT UNIT chooses from (libburn). */
const struct varve_mmc_format *
varve_drive_wanted_format(const struct varve_drive *drive, const struct varve_media *media,
                          const struct varve_mmc_formats *formats)
{
    uint8_t wanted = drive->settings.spares ? media->format_spares : media->format_plain;
    const struct varve_mmc_format *found = find_format(formats, wanted);
    if (found == NULL)
        found = find_format(formats, wanted & 0xfc);
    if (found == NULL && media->must_format)
        found = find_format(formats, media->format_spares);
    return found;
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
read_open_track(struct varve_drive *drive, const struct varve_media *media,
                struct varve_medium *medium, struct varve_error *err)
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
    medium->next_valid = track.next_valid && !track.damaged && next % media->block_sectors == 0;
    medium->next_cluster = next / VARVE_CLUSTER_SECTORS;
    medium->next_sector = next % VARVE_CLUSTER_SECTORS;
    medium->capacity_clusters = ((uint64_t)next + track.free) / VARVE_CLUSTER_SECTORS;
    medium->readable_clusters = medium->next_cluster;
    return true;
}

/* A blank BD-R that is to be formatted will hold less than it says now. */
static bool
plan_format(struct varve_drive *drive, const struct varve_media *media, struct varve_medium *medium,
            struct varve_error *err)
{
    struct varve_mmc_formats formats;
    struct varve_error why = {0};
    if (!drive->settings.spares || media->format_spares == 0)
        return true;
    if (!varve_drive_formats(drive, &formats, &why)) {
        *err = why;
        return why.kind == VARVE_ERROR_NOT_FOUND; /* then it is burned as it is */
    }
    const struct varve_mmc_format *format = varve_drive_wanted_format(drive, media, &formats);
    if (format == NULL || formats.state == VARVE_MMC_FORMATTED)
        return true;
    medium->unformatted = true;
    medium->capacity_clusters = format->blocks / VARVE_CLUSTER_SECTORS;
    return true;
}

static bool
read_recorded(struct varve_drive *drive, uint64_t *ret_clusters, struct varve_error *err)
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
    *ret_clusters = sectors / VARVE_CLUSTER_SECTORS;
    return true;
}

static bool
is_zero(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Nothing but zeros in some clusters. What cannot be read is not blank. */
static bool
is_empty(struct varve_drive *drive, uint64_t cluster, unsigned count)
{
    VARVE_CLEANUP_FREE uint8_t *bytes = aligned_alloc(4096, VARVE_CLUSTER_BYTES);
    for (unsigned i = 0; bytes != NULL && i < count; i++) {
        struct varve_scsi_command command;
        struct varve_error ignored = {0};
        varve_mmc_encode_read(&command, (uint32_t)((cluster + i) * VARVE_CLUSTER_SECTORS),
                              VARVE_CLUSTER_SECTORS, bytes);
        if (!varve_scsi_run(&drive->device, &command, &ignored) ||
            command.received_bytes != VARVE_CLUSTER_BYTES || !is_zero(bytes, VARVE_CLUSTER_BYTES))
            return false;
    }
    return bytes != NULL;
}

/* Drives have no word for a rewritable disc that holds nothing: it is blank when it is unformatted,
 * or when there are only zeros where anything recorded begins and ends (INV-5). */
static bool
read_rewritable(struct varve_drive *drive, const struct varve_media *media,
                struct varve_medium *medium, struct varve_error *err)
{
    struct varve_mmc_formats formats;
    uint64_t clusters;
    if (!varve_drive_formats(drive, &formats, err))
        return false;
    medium->next_valid = true;
    if (formats.state != VARVE_MMC_FORMATTED) {
        const struct varve_mmc_format *format = varve_drive_wanted_format(drive, media, &formats);
        medium->state = format != NULL ? VARVE_MEDIUM_BLANK : VARVE_MEDIUM_OTHER;
        medium->why_other = "unformatted, and the drive offers no format for it";
        medium->unformatted = true;
        medium->capacity_clusters = format != NULL ? format->blocks / VARVE_CLUSTER_SECTORS : 0;
        return true;
    }
    if (!read_recorded(drive, &clusters, err))
        return false;
    unsigned look = clusters < PROOF_CLUSTERS ? (unsigned)clusters : PROOF_CLUSTERS;
    medium->capacity_clusters = clusters;
    bool blank = is_empty(drive, 0, look) && is_empty(drive, clusters - look, look);
    medium->state = blank ? VARVE_MEDIUM_BLANK : VARVE_MEDIUM_CLOSED;
    medium->readable_clusters = blank ? 0 : clusters;
    return true;
}

static enum varve_medium_state
state_of(const struct varve_media *media, const struct varve_mmc_disc *disc)
{
    if (media->model == VARVE_MEDIA_READ_ONLY && disc->status != VARVE_MMC_DISC_FINALISED)
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

static bool
read_sequential(struct varve_drive *drive, const struct varve_media *media,
                struct varve_medium *medium, struct varve_error *err)
{
    struct varve_mmc_disc disc;
    if (!read_disc(drive, &disc, err))
        return false;
    medium->state = state_of(media, &disc);
    medium->why_other = "in a state that is neither blank, open nor closed";
    if (medium->state == VARVE_MEDIUM_CLOSED)
        return read_recorded(drive, &medium->readable_clusters, err);
    if (medium->state != VARVE_MEDIUM_BLANK && medium->state != VARVE_MEDIUM_APPENDABLE)
        return true;
    if (!read_open_track(drive, media, medium, err))
        return false;
    return medium->state != VARVE_MEDIUM_BLANK || plan_format(drive, media, medium, err);
}

static bool
read_medium(struct varve_drive *drive, struct varve_medium *medium, struct varve_error *err)
{
    struct varve_mmc_features features;
    if (!varve_drive_features(drive, &features, err))
        return false;
    const struct varve_media *media = varve_media_of_profile(features.profile);
    medium->profile = features.profile;
    medium->state = VARVE_MEDIUM_OTHER;
    medium->why_other = "of a kind that varve does not write";
    if (features.profile == VARVE_MMC_PROFILE_NONE)
        medium->state = VARVE_MEDIUM_NONE;
    if (media == NULL)
        return true;
    medium->kind = media->name;
    if (features.pseudo_overwrite && media->model == VARVE_MEDIA_SEQUENTIAL) {
        medium->why_other = "formatted for pseudo overwrite";
        return true;
    }
    switch (media->model) {
    case VARVE_MEDIA_READ_ONLY:
    case VARVE_MEDIA_SEQUENTIAL:
        return read_sequential(drive, media, medium, err);
    case VARVE_MEDIA_OVERWRITE:
        return read_rewritable(drive, media, medium, err);
    case VARVE_MEDIA_REFUSED:
        break;
    }
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
        if (!varve_drive_ask(drive, &command, &sense, err))
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
    struct varve_medium medium = {
        .state = VARVE_MEDIUM_NONE, .kind = "unknown kind of disc", .why_other = ""};
    if (!settle(drive, &missing, err) || (!missing && !read_medium(drive, &medium, err)))
        return varve_error_wrap(err, "%s", drive->name);
    *ret = medium;
    return true;
}
