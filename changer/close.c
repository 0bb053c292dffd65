/* SPDX-License-Identifier: Apache-2.0 */
/* Ending a burn: flush, close as the kind of disc needs it, and ask the disc whether it is closed.
 */
#include "drive.h"

#include <inttypes.h>

#define STEP_SECONDS 3600 /* of flushing or one closing step */
#define ABANDON_SECONDS 200

static const char *
step_name(enum varve_mmc_close what)
{
    switch (what) {
    case VARVE_MMC_CLOSE_TRACK:
        return "close track";
    case VARVE_MMC_CLOSE_SESSION:
        return "close session";
    case VARVE_MMC_FINALISE:
        break;
    }
    return "finalise";
}

/* SYNCHRONIZE CACHE and CLOSE may be repeated: closing what is closed is no error (MMC-6, CLOSE
 * TRACK/SESSION). */
static bool
do_step(struct varve_drive *drive, struct varve_scsi_command *command,
        struct varve_operation *operation, struct varve_error *err)
{
    return varve_operation_send(drive, command, operation, err) &&
           varve_operation_wait(drive, operation, err);
}

static bool
close_steps(struct varve_drive *drive, const struct varve_media *media,
            struct varve_operation *operation, struct varve_error *err)
{
    struct varve_scsi_command command;
    varve_mmc_encode_synchronize(&command, true);
    if (!do_step(drive, &command, operation, err)) {
        err->kind = err->kind == VARVE_ERROR_INVALID ? VARVE_ERROR_MEDIUM : err->kind;
        return varve_error_wrap(err, "flush");
    }
    for (unsigned i = 0; i < media->close_count; i++) {
        varve_mmc_encode_close(&command, media->close[i].what, media->close[i].track, true);
        if (!do_step(drive, &command, operation, err))
            return varve_error_wrap(err, "%s", step_name(media->close[i].what));
    }
    return true;
}

/* Drives may call a closed disc by another name, BD-ROM or DVD-ROM. */
static bool
is_closed(struct varve_drive *drive, const struct varve_media *media, struct varve_error *err)
{
    struct varve_medium medium;
    if (media->model == VARVE_MEDIA_OVERWRITE)
        return true; /* there is nothing to close */
    if (!varve_drive_medium(drive, &medium, err))
        return false;
    return medium.state == VARVE_MEDIUM_CLOSED &&
           (medium.profile == media->profile || medium.profile == media->closed_profile);
}

/* MEDIUM is lost data. A disc that only does not close may hold everything: the caller reads it. */
static bool
fail_to_close(struct varve_drive *drive, uint64_t written, struct varve_error *err)
{
    if (drive->device.medium_changed) {
        err->kind = VARVE_ERROR_WRONG_DISC;
        varve_error_hint(err, "the medium was changed during the burn");
    } else if (drive->device.deferred) {
        err->kind = VARVE_ERROR_MEDIUM;
        varve_error_hint(err, "%" PRIu64 " clusters had been acknowledged; the disc is scrapped",
                         written);
    } else {
        err->kind = VARVE_ERROR_NOT_READY;
        varve_error_hint(err,
                         "all %" PRIu64 " clusters were written: reading the disc back tells "
                         "whether it is good",
                         written);
    }
    return varve_error_wrap(err, "%s: close the disc", drive->name);
}

bool
varve_drive_burn_close(struct varve_drive *drive, void (*tick)(void *context, int percent),
                       void *context, struct varve_error *err)
{
    struct varve_drive_burn *burn = &drive->burn;
    if (!burn->open || burn->failed)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s: no burn is open", drive->name);
    struct varve_operation operation = {.tick = tick,
                                        .context = context,
                                        .last_ns = varve_clock_monotonic(drive->device.clock),
                                        .limit_ns = STEP_SECONDS * VARVE_NS_PER_SECOND};
    struct varve_error failed = {0};
    struct varve_error unread = {0};
    bool ok = close_steps(drive, burn->media, &operation, &failed);
    burn->open = false;
    /* Whatever the steps answered, the disc says whether it is closed. Lost data is another thing:
     * then the disc is no good even if closed. How long it is need not be asked: drives count
     * padding, or not, and the disc is read back whole. */
    bool closed = is_closed(drive, burn->media, &unread);
    if (closed && !drive->device.deferred && !drive->device.medium_changed)
        return true;
    if (ok && drive->device.deferred)
        (void)varve_drive_fail_deferred(drive, &failed);
    else if (ok)
        (void)varve_error_set(&failed, VARVE_ERROR_NOT_READY, 0, "disc is not closed%s%s",
                              unread.text[0] != 0 ? ": " : "", unread.text);
    *err = failed;
    return fail_to_close(drive, burn->next_cluster, err);
}

void
varve_drive_burn_abandon(struct varve_drive *drive)
{
    if (!drive->burn.open)
        return;
    struct varve_scsi_command command;
    struct varve_operation operation = {.limit_ns = ABANDON_SECONDS * VARVE_NS_PER_SECOND};
    struct varve_error ignored = {0}; /* the burn has failed already */
    drive->burn.open = false;
    varve_mmc_encode_synchronize(&command, true);
    (void)!do_step(drive, &command, &operation, &ignored);
}
