/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that take minutes: sent with IMMED, then looked at until the drive is idle. */
#include "drive.h"

#include "smc_codec.h"

#define ATTENTIONS_MAX 10
#define LOST_ANSWERS_MAX 2

bool
varve_drive_fail_deferred(const struct varve_drive *drive, struct varve_error *err)
{
    char text[VARVE_SCSI_TEXT_BYTES];
    return varve_error_set(err, VARVE_ERROR_MEDIUM, 0,
                           "drive reported that data it had acknowledged is lost: %s",
                           varve_scsi_sense_text(&drive->device.deferred_sense, text));
}

/* Some drives tell progress only when asked for their sense (HP dvd100i). */
static void
ask_progress(struct varve_drive *drive, struct varve_scsi_sense *sense)
{
    uint8_t data[18];
    struct varve_scsi_command command;
    struct varve_scsi_sense answer, told;
    struct varve_error ignored = {0}; /* progress is for people; the next look tells the rest */
    varve_mmc_encode_request_sense(&command, data, sizeof data);
    if (!varve_scsi_once(&drive->device, &command, &answer, &ignored) || command.status != 0)
        return;
    varve_scsi_sense_decode(data, command.received_bytes, &told);
    if (told.valid && told.has_progress) {
        sense->has_progress = true;
        sense->progress = told.progress;
    }
}

static void
tell_progress(struct varve_drive *drive, struct varve_operation *operation,
              struct varve_scsi_sense *sense)
{
    int64_t now = varve_clock_monotonic(drive->device.clock);
    if (operation->tick == NULL || now - operation->last_ns < VARVE_NS_PER_SECOND)
        return;
    operation->last_ns = now;
    if (sense->valid && sense->key == 2 && !sense->has_progress)
        ask_progress(drive, sense);
    int percent = sense->has_progress ? (int)((uint32_t)sense->progress * 100 / 65536) : -1;
    operation->tick(operation->context, percent);
}

/* Also an earlier error that was corrected: this command was not carried out, and may be again. */
static bool
is_harmless_attention(const struct varve_drive *drive, const struct varve_scsi_sense *sense,
                      unsigned *attentions)
{
    bool corrected = sense->valid && sense->deferred && sense->key <= 1;
    return (corrected || (sense->valid && sense->key == 6)) && !drive->device.medium_changed &&
           (*attentions)++ < ATTENTIONS_MAX;
}

/* "Ready" is believed when the drive can also tell about the disc. */
static bool
knows_the_disc(struct varve_drive *drive, bool *ret_busy, struct varve_error *err)
{
    uint8_t data[64];
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    varve_mmc_encode_disc_information(&command, data, sizeof data);
    if (!varve_scsi_once(&drive->device, &command, &sense, err))
        return false;
    if (drive->device.deferred)
        return varve_drive_fail_deferred(drive, err);
    if (sense.valid && sense.deferred) {
        *ret_busy = true; /* an earlier error was corrected, and this command not carried out */
        return true;
    }
    *ret_busy = varve_scsi_is_busy(&command, &sense) || (sense.valid && sense.key == 6);
    return *ret_busy || varve_scsi_is_good(&command, &sense) ||
           varve_scsi_fail(&command, &sense, err);
}

/* One look. *ret_idle: the drive said it is done. */
static bool
look(struct varve_drive *drive, struct varve_operation *operation, struct varve_scsi_wait *wait,
     unsigned *attentions, bool *ret_idle, struct varve_error *err)
{
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    varve_smc_encode_test_unit_ready(&command);
    if (!varve_scsi_once(&drive->device, &command, &sense, err))
        return false;
    tell_progress(drive, operation, &sense);
    *ret_idle = varve_scsi_is_good(&command, &sense);
    if (drive->device.deferred)
        return varve_drive_fail_deferred(drive, err);
    if (*ret_idle || is_harmless_attention(drive, &sense, attentions))
        return true;
    return (varve_scsi_is_busy(&command, &sense) && varve_scsi_wait_nap(wait)) ||
           varve_scsi_fail(&command, &sense, err);
}

bool
varve_operation_wait(struct varve_drive *drive, struct varve_operation *operation,
                     struct varve_error *err)
{
    struct varve_scsi_wait wait;
    varve_scsi_wait_begin(&wait, drive->device.clock, operation->limit_ns);
    unsigned good = 0;
    unsigned attentions = 0;
    for (;;) {
        bool idle;
        bool busy = false;
        if (!look(drive, operation, &wait, &attentions, &idle, err))
            return false;
        good = idle ? good + 1 : 0;
        if (good < 2) {
            if (idle)
                varve_clock_sleep(drive->device.clock, varve_drive_settle_ns(drive));
            continue;
        }
        if (!knows_the_disc(drive, &busy, err))
            return false;
        if (!busy)
            break;
        good = 0;
        if (!varve_scsi_wait_nap(&wait))
            return varve_error_set(err, VARVE_ERROR_NOT_READY, 0,
                                   "drive says that it is ready and cannot tell about the disc");
    }
    return !drive->device.deferred || varve_drive_fail_deferred(drive, err);
}

bool
varve_operation_send(struct varve_drive *drive, struct varve_scsi_command *command,
                     const struct varve_operation *operation, struct varve_error *err)
{
    struct varve_scsi_wait wait;
    varve_scsi_wait_begin(&wait, drive->device.clock, operation->limit_ns);
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
        if (drive->device.deferred)
            return varve_drive_fail_deferred(drive, err);
        bool attention = is_harmless_attention(drive, &sense, &attentions);
        bool busy = varve_scsi_is_busy(command, &sense) && varve_scsi_wait_nap(&wait);
        if (!attention && !busy)
            return varve_scsi_fail(command, &sense, err);
        drive->device.retries++;
    }
}
