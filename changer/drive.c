/* SPDX-License-Identifier: Apache-2.0 */
#include "drive.h"

#include "smc_codec.h"

#include <inttypes.h>
#include <string.h>

#define LOAD_SECONDS 300      /* spin-up and recognition; then the disc is dirty or upside down */
#define NO_MEDIUM_SECONDS 120 /* how long a drive may overlook a disc just put in */
#define PULL_SECONDS 10       /* ... before it is told to close its tray */
#define SETTLE_MS 2000

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
    drive->burn = (struct varve_drive_burn){0};
    drive->reads = (struct varve_read_health){0};
    drive->speed_set = false;
    drive->device.medium_changed = false;
    drive->device.deferred = false;
    drive->device.settled = false;
}

void
varve_drive_set(struct varve_drive *drive, const struct varve_drive_settings *settings)
{
    drive->settings = *settings;
    drive->speed_set = false;
}

int64_t
varve_drive_settle_ns(const struct varve_drive *drive)
{
    uint32_t pause = drive->device.port->settle_ms;
    return (pause != 0 ? pause : SETTLE_MS) * VARVE_NS_PER_MS;
}

unsigned
varve_drive_burst(const struct varve_drive *drive)
{
    uint32_t most = drive->device.port->transfer_max / VARVE_CLUSTER_BYTES;
    if (drive->device.port->transfer_max == 0 || most > VARVE_DRIVE_BURST_MAX)
        return VARVE_DRIVE_BURST_MAX;
    return most > 0 ? most : 1;
}

bool
varve_drive_ask(struct varve_drive *drive, struct varve_scsi_command *command,
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
is_missing(const struct varve_scsi_sense *sense)
{
    return sense->valid && sense->key == 2 && sense->asc == 0x3a;
}

static bool
fail_unloadable(struct varve_drive *drive, const struct varve_scsi_command *command,
                const struct varve_scsi_sense *sense, struct varve_error *err)
{
    (void)varve_scsi_fail(command, sense, err);
    if (is_missing(sense))
        varve_error_hint(err,
                         "the changer put a disc into element %u, and %s does not see it: are the "
                         "drives listed in the changer's order?",
                         drive->element, drive->name);
    else if (varve_scsi_is_busy(command, sense))
        (void)varve_error_set(err, VARVE_ERROR_MEDIUM, 0,
                              "not ready with the disc after %d s\nhint: clean the disc and look "
                              "which side is up, or try another drive",
                              LOAD_SECONDS);
    else
        varve_error_hint(err, "the disc may be dirty, damaged or upside down: clean it and look "
                              "which side is up, or try another drive");
    return varve_error_wrap(err, "%s", drive->name);
}

struct load_wait {
    struct varve_scsi_wait ready;
    int64_t pull_ns, missing_ns;
    bool pulled, started;
};

/* The next TEST UNIT READY tells whether it helped. */
static void
start_unit(struct varve_drive *drive, enum varve_mmc_tray what)
{
    struct varve_scsi_command command;
    struct varve_error ignored = {0};
    varve_mmc_encode_start_stop(&command, what);
    (void)!varve_scsi_run(&drive->device, &command, &ignored);
}

/* True: keep waiting for what `sense` says. */
static bool
wait_on(struct varve_drive *drive, struct load_wait *wait, const struct varve_scsi_command *command,
        const struct varve_scsi_sense *sense)
{
    int64_t now = varve_clock_monotonic(drive->device.clock);
    bool missing = is_missing(sense);
    bool stopped = varve_scsi_is(sense, 2, 0x04, 0x02); /* "initializing command required" */
    if (stopped && wait->started)
        return false;
    if (stopped) {
        wait->started = true;
        start_unit(drive, VARVE_MMC_START);
        return true;
    }
    if (!missing && !varve_scsi_is_busy(command, sense))
        return false;
    if (missing && now >= wait->missing_ns)
        return false;
    if (missing && now >= wait->pull_ns && !wait->pulled) {
        wait->pulled = true;
        start_unit(drive, VARVE_MMC_LOAD);
    }
    return varve_scsi_wait_nap(&wait->ready);
}

/* Two good answers with a pause between them (Pioneer drives say "ready" too early). */
static bool
wait_ready(struct varve_drive *drive, bool *ret_missing, struct varve_error *err)
{
    struct load_wait wait = {0};
    unsigned good = 0;
    int64_t now = varve_clock_monotonic(drive->device.clock);
    varve_scsi_wait_begin(&wait.ready, drive->device.clock, LOAD_SECONDS * VARVE_NS_PER_SECOND);
    wait.pull_ns = now + PULL_SECONDS * VARVE_NS_PER_SECOND;
    wait.missing_ns = now + NO_MEDIUM_SECONDS * VARVE_NS_PER_SECOND;
    while (good < 2) {
        struct varve_scsi_command command;
        struct varve_scsi_sense sense;
        if (good > 0)
            varve_clock_sleep(drive->device.clock, varve_drive_settle_ns(drive));
        if (!varve_drive_ask(drive, &command, &sense, err))
            return varve_error_wrap(err, "%s", drive->name);
        good = varve_scsi_is_good(&command, &sense) ? good + 1 : 0;
        if (good > 0 || wait_on(drive, &wait, &command, &sense))
            continue;
        *ret_missing = is_missing(&sense);
        return fail_unloadable(drive, &command, &sense, err);
    }
    return true;
}

bool
varve_drive_wait_loaded(struct varve_drive *drive, bool *ret_missing, struct varve_error *err)
{
    *ret_missing = false;
    if (!wait_ready(drive, ret_missing, err))
        return false;
    /* "Ready" is no proof on every drive: what it says about the disc is. */
    drive->device.medium_changed = false;
    drive->device.deferred = false;
    struct varve_medium medium;
    if (!varve_drive_medium(drive, &medium, err))
        return false;
    *ret_missing = medium.state == VARVE_MEDIUM_NONE;
    if (medium.state == VARVE_MEDIUM_NONE)
        return varve_error_set(err, VARVE_ERROR_NOT_READY, 0,
                               "%s: reports ready, but no medium (profile 0000h)", drive->name);
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
    ret->recovered_errors = drive->device.recovered_errors;
}
