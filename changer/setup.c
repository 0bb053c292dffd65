/* SPDX-License-Identifier: Apache-2.0 */
/* Making a proven disc ready for its first byte, as its kind needs it. */
#include "drive.h"

#define FORMAT_SECONDS 18000 /* a certifying format of a BD-RE (libburn) */
#define SLOW_FACTOR 2u       /* the slowest reading: twice the speed of the first drives */

static bool
format(struct varve_drive *drive, const struct varve_media *media, struct varve_error *err)
{
    struct varve_mmc_formats formats;
    uint8_t list[12];
    struct varve_scsi_command command;
    struct varve_operation operation = {.limit_ns = FORMAT_SECONDS * VARVE_NS_PER_SECOND};
    if (!varve_drive_formats(drive, &formats, err))
        return false;
    const struct varve_mmc_format *wanted = varve_drive_wanted_format(drive, media, &formats);
    if (wanted == NULL)
        return varve_error_set(err, VARVE_ERROR_MEDIUM, 0, "the drive offers no format for it");
    struct varve_mmc_format chosen = *wanted;
    if (chosen.type == (media->format_spares & 0xfc))
        chosen.type = media->format_spares; /* with the subtype that media.c wants */
    varve_mmc_encode_format(&command, &chosen, list);
    return varve_operation_send(drive, &command, &operation, err) &&
           varve_operation_wait(drive, &operation, err);
}

static bool
set_write_page(struct varve_drive *drive, bool incremental, struct varve_error *err)
{
    uint8_t page[VARVE_MMC_WRITE_PAGE_BYTES];
    struct varve_scsi_command command;
    varve_mmc_encode_write_page(&command, incremental, page);
    return varve_scsi_run(&drive->device, &command, err) ||
           varve_error_wrap(err, "set write parameters");
}

static bool
reserve(struct varve_drive *drive, uint64_t clusters, struct varve_error *err)
{
    struct varve_scsi_command command;
    struct varve_operation operation = {.limit_ns = 200 * VARVE_NS_PER_SECOND};
    uint64_t sectors = clusters * VARVE_CLUSTER_SECTORS;
    varve_mmc_encode_reserve(&command, (uint32_t)sectors);
    return varve_operation_send(drive, &command, &operation, err);
}

static bool
set_up_dvd_r(struct varve_drive *drive, const struct varve_media *media,
             const struct varve_medium *medium, uint64_t clusters, struct varve_error *err)
{
    struct varve_mmc_features features;
    if (!varve_drive_features(drive, &features, err))
        return false;
    bool in_one_go = media->reserve || (media->reserve_unless_incremental && !features.incremental);
    if (in_one_go && medium->state != VARVE_MEDIUM_BLANK)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "%s is written in one go and cannot be gone on with", media->name);
    return set_write_page(drive, !in_one_go, err) && (!in_one_go || reserve(drive, clusters, err));
}

/* What a drive does not know it says in many ways; none of them is a reason not to burn. */
static bool
try_command(struct varve_drive *drive, struct varve_scsi_command *command)
{
    struct varve_error ignored = {0};
    return varve_scsi_run(&drive->device, command, &ignored);
}

/* The fastest that the drive lists up to `wanted`, else its slowest; a drive without a list gets
 * what was asked for. */
static uint32_t
choose_speed(struct varve_drive *drive, uint32_t wanted, uint32_t *ret_end)
{
    uint8_t data[VARVE_MMC_SPEEDS_BYTES];
    struct varve_scsi_command command;
    struct varve_mmc_speeds speeds;
    varve_mmc_encode_write_speeds(&command, data, VARVE_MMC_SPEEDS_MAX);
    *ret_end = UINT32_MAX - 1;
    if (!try_command(drive, &command) ||
        !varve_mmc_decode_write_speeds(data, command.received_bytes, &speeds))
        return wanted;
    uint32_t best = 0;
    uint32_t slowest = UINT32_MAX;
    for (unsigned i = 0; i < speeds.count; i++) {
        uint32_t speed = speeds.list[i].write;
        *ret_end = speeds.list[i].end;
        if (speed <= wanted && speed > best)
            best = speed;
        if (speed != 0 && speed < slowest)
            slowest = speed;
    }
    if (best != 0)
        return best;
    return slowest != UINT32_MAX ? slowest : wanted;
}

void
varve_drive_apply_speed(struct varve_drive *drive, bool slow)
{
    const struct varve_drive_settings *wanted = &drive->settings;
    struct varve_mmc_features features;
    struct varve_error ignored = {0};
    uint8_t list[28];
    struct varve_scsi_command command;
    bool asked = wanted->read_speed != 0 || wanted->write_speed != 0;
    if (!slow && !asked && !drive->speed_set)
        return; /* as it is after loading */
    if (!varve_drive_features(drive, &features, &ignored))
        return;
    const struct varve_media *media = varve_media_of_profile(features.profile);
    if (media == NULL || media->single_speed == 0)
        return;
    uint32_t end = UINT32_MAX - 1;
    uint32_t read = slow ? SLOW_FACTOR * media->single_speed : wanted->read_speed;
    uint32_t write = slow ? read : wanted->write_speed;
    if (write != 0)
        write = choose_speed(drive, write, &end);
    drive->speed_set = true;
    varve_mmc_encode_streaming(&command, end, read, write, list);
    if (try_command(drive, &command))
        return;
    varve_mmc_encode_speed(&command, read, write);
    (void)try_command(drive, &command);
}

bool
varve_drive_set_up(struct varve_drive *drive, const struct varve_media *media,
                   const struct varve_medium *medium, uint64_t clusters, struct varve_error *err)
{
    if (medium->unformatted && !format(drive, media, err))
        return varve_error_wrap(err, "format");
    if (media->write_page && !set_up_dvd_r(drive, media, medium, clusters, err))
        return false;
    varve_drive_apply_speed(drive, false);
    return true;
}
