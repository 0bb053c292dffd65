/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

#include <string.h>

#define ATTENTIONS_MAX 10
#define DEFERRED_MAX 3

/* Time-outs are long on purpose: the kernel answers an expired one with bus resets, which can ruin
 * a burn in the next drive. Anchors: Linux ch, mtx, libburn. */
static const struct varve_scsi_rule rules[] = {
    {0x00, "TEST UNIT READY", VARVE_SCSI_IDEMPOTENT, 30, 0},
    {0x03, "REQUEST SENSE", VARVE_SCSI_IDEMPOTENT, 30, 0},
    {0x04, "FORMAT UNIT", VARVE_SCSI_WRITES, 200, 0},
    {0x07, "INITIALIZE ELEMENT STATUS", VARVE_SCSI_IDEMPOTENT, 3600, 0},
    {0x12, "INQUIRY", VARVE_SCSI_IDEMPOTENT, 30, 0},
    {0x1a, "MODE SENSE(6)", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0x1b, "START STOP UNIT", VARVE_SCSI_POSITION, 300, 0},
    {0x1e, "PREVENT ALLOW MEDIUM REMOVAL", VARVE_SCSI_IDEMPOTENT, 30, 0},
    {0x23, "READ FORMAT CAPACITIES", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0x25, "READ CAPACITY", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0x28, "READ(10)", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0x2a, "WRITE(10)", VARVE_SCSI_WRITES, 300, 120},
    {0x2b, "POSITION TO ELEMENT", VARVE_SCSI_POSITION, 300, 0},
    {0x35, "SYNCHRONIZE CACHE", VARVE_SCSI_WRITES, 200, 0},
    {0x37, "INITIALIZE ELEMENT STATUS WITH RANGE", VARVE_SCSI_IDEMPOTENT, 3600, 0},
    {0x4a, "GET EVENT STATUS NOTIFICATION", VARVE_SCSI_IDEMPOTENT, 30, 0},
    {0x46, "GET CONFIGURATION", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0x51, "READ DISC INFORMATION", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0x52, "READ TRACK INFORMATION", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0x53, "RESERVE TRACK", VARVE_SCSI_WRITES, 200, 0},
    {0x55, "MODE SELECT(10)", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0x5a, "MODE SENSE(10)", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0x5b, "CLOSE TRACK SESSION", VARVE_SCSI_WRITES, 200, 0},
    {0x5c, "READ BUFFER CAPACITY", VARVE_SCSI_IDEMPOTENT, 30, 0},
    {0xa5, "MOVE MEDIUM", VARVE_SCSI_POSITION, 600, 0},
    {0xa6, "EXCHANGE MEDIUM", VARVE_SCSI_POSITION, 1800, 0},
    {0xa8, "READ(12)", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0xaa, "WRITE(12)", VARVE_SCSI_WRITES, 300, 120},
    {0xac, "GET PERFORMANCE", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0xad, "READ DISC STRUCTURE", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0xb6, "SET STREAMING", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0xb8, "READ ELEMENT STATUS", VARVE_SCSI_IDEMPOTENT, 300, 0},
    {0xbb, "SET CD SPEED", VARVE_SCSI_IDEMPOTENT, 60, 0},
    {0xe7, "INITIALIZE ELEMENT STATUS WITH RANGE (vendor)", VARVE_SCSI_IDEMPOTENT, 3600, 0},
};
static const struct varve_scsi_rule unknown_rule = {0, "unknown command", VARVE_SCSI_POSITION, 60,
                                                    0};

const struct varve_scsi_rule *
varve_scsi_rule_of(uint8_t opcode)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].opcode == opcode)
            return &rules[i];
    }
    return &unknown_rule;
}

static void
note_sense(struct varve_scsi_device *device, const struct varve_scsi_sense *sense)
{
    if (!sense->valid)
        return;
    if (sense->deferred && sense->key > 1) {
        device->deferred = true;
        device->deferred_sense = *sense;
    }
    if (sense->key == 1) {
        device->recovered = true;
        device->recovered_errors++;
    }
    if (sense->key == 3)
        device->medium_errors++;
    if (sense->key == 4 || sense->key == 0x0b)
        device->hardware_errors++;
    if (sense->key != 6)
        return;
    device->attention = true;
    bool magazine = sense->asc == 0x3b && (sense->ascq == 0x12 || sense->ascq == 0x13);
    if ((sense->asc == 0x28 && sense->ascq != 0x01) || magazine)
        device->medium_changed = true;
    if (sense->asc == 0x29)
        device->reset = true;
    if ((sense->asc == 0x2a && sense->ascq == 0x01) || sense->asc == 0x3f)
        device->reconfigured = true;
}

bool
varve_scsi_once(struct varve_scsi_device *device, struct varve_scsi_command *command,
                struct varve_scsi_sense *ret, struct varve_error *err)
{
    const struct varve_scsi_rule *rule = varve_scsi_rule_of(command->cdb[0]);
    bool later = device->settled && rule->later_seconds != 0;
    command->timeout_ms = (later ? rule->later_seconds : rule->seconds) * 1000;
    device->recovered = false;
    command->status = 0;
    command->sense_bytes = 0;
    command->received_bytes = 0;
    *ret = (struct varve_scsi_sense){0};
    device->commands++;
    if (!device->port->execute(device->port, command, err)) {
        device->hardware_errors++;
        return varve_error_wrap(err, "%s", rule->name);
    }
    /* A port is no more to be trusted than the device behind it. */
    if (command->received_bytes > command->data_bytes)
        command->received_bytes = command->data_bytes;
    if (command->status == 2)
        varve_scsi_sense_decode(command->sense, command->sense_bytes, ret);
    note_sense(device, ret);
    return true;
}

bool
varve_scsi_is_good(const struct varve_scsi_command *command, const struct varve_scsi_sense *sense)
{
    if (command->status == 0)
        return true;
    return command->status == 2 && sense->valid && !sense->deferred && sense->key <= 1;
}

bool
varve_scsi_is(const struct varve_scsi_sense *sense, unsigned key, unsigned asc, unsigned ascq)
{
    return sense->valid && sense->key == key && sense->asc == asc && sense->ascq == ascq;
}

bool
varve_scsi_is_busy(const struct varve_scsi_command *command, const struct varve_scsi_sense *sense)
{
    if (command->status == 0x08 || command->status == 0x28)
        return true;
    return varve_scsi_is(sense, 2, 0x04, 0x00) || varve_scsi_is(sense, 2, 0x04, 0x01) ||
           varve_scsi_is(sense, 2, 0x04, 0x04) || varve_scsi_is(sense, 2, 0x04, 0x07) ||
           varve_scsi_is(sense, 2, 0x04, 0x08) || varve_scsi_is(sense, 2, 0x04, 0x09);
}

static enum varve_error_kind
kind_of_illegal_request(const struct varve_scsi_sense *sense)
{
    switch (sense->asc) {
    case 0x53: /* removal prevented: somebody holds the tray */
        return VARVE_ERROR_BUSY;
    case 0x30: /* incompatible medium */
    case 0x64: /* illegal mode for this track */
    case 0x72: /* session fixation */
    case 0x73: /* power calibration */
        return VARVE_ERROR_MEDIUM;
    case 0x63: /* end of user area */
        return VARVE_ERROR_NO_SPACE;
    default:
        return VARVE_ERROR_INVALID;
    }
}

static enum varve_error_kind
kind_of(const struct varve_scsi_sense *sense)
{
    switch (sense->key) {
    case 0x2:
        return sense->asc == 0x30 ? VARVE_ERROR_MEDIUM : VARVE_ERROR_NOT_READY;
    case 0x3:
    case 0x7:
    case 0x8:
        return VARVE_ERROR_MEDIUM;
    case 0x5:
        return kind_of_illegal_request(sense);
    case 0x6:
        return VARVE_ERROR_NOT_READY;
    default:
        return VARVE_ERROR_HARDWARE;
    }
}

bool
varve_scsi_fail(const struct varve_scsi_command *command, const struct varve_scsi_sense *sense,
                struct varve_error *err)
{
    const struct varve_scsi_rule *rule = varve_scsi_rule_of(command->cdb[0]);
    if (command->status == 0x08 || command->status == 0x28)
        return varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "%s: device is busy (status %02Xh)",
                               rule->name, command->status);
    if (command->status == 0x18)
        return varve_error_set(err, VARVE_ERROR_BUSY, 0,
                               "%s: device is reserved by another host (status 18h)", rule->name);
    if (command->status != 2 || !sense->valid)
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                               "%s: status %02Xh without readable sense data", rule->name,
                               command->status);
    char text[VARVE_SCSI_TEXT_BYTES];
    return varve_error_set(err, kind_of(sense), 0, "%s: %s", rule->name,
                           varve_scsi_sense_text(sense, text));
}

void
varve_scsi_wait_begin(struct varve_scsi_wait *wait, struct varve_clock *clock, int64_t limit_ns)
{
    wait->clock = clock;
    wait->deadline_ns = varve_clock_monotonic(clock) + limit_ns;
    wait->nap_ns = 20 * VARVE_NS_PER_MS;
}

bool
varve_scsi_wait_nap(struct varve_scsi_wait *wait)
{
    if (varve_clock_monotonic(wait->clock) >= wait->deadline_ns)
        return false;
    varve_clock_sleep(wait->clock, wait->nap_ns);
    wait->nap_ns *= 2;
    if (wait->nap_ns > VARVE_NS_PER_SECOND)
        wait->nap_ns = VARVE_NS_PER_SECOND;
    return true;
}

bool
varve_scsi_run(struct varve_scsi_device *device, struct varve_scsi_command *command,
               struct varve_error *err)
{
    const struct varve_scsi_rule *rule = varve_scsi_rule_of(command->cdb[0]);
    struct varve_scsi_wait wait;
    varve_scsi_wait_begin(&wait, device->clock, device->ready_ns);
    unsigned attentions = 0;
    unsigned deferred = 0;
    for (;;) {
        struct varve_scsi_sense sense;
        if (!varve_scsi_once(device, command, &sense, err))
            return false;
        if (varve_scsi_is_good(command, &sense))
            return true;
        if (rule->class != VARVE_SCSI_IDEMPOTENT)
            return varve_scsi_fail(command, &sense, err);
        bool again = sense.valid && sense.deferred && deferred++ < DEFERRED_MAX;
        again = again || (sense.valid && sense.key == 6 && attentions++ < ATTENTIONS_MAX);
        again = again || (varve_scsi_is_busy(command, &sense) && varve_scsi_wait_nap(&wait));
        if (!again)
            return varve_scsi_fail(command, &sense, err);
        device->retries++;
    }
}
