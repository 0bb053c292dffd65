/* SPDX-License-Identifier: Apache-2.0 */
/* Ports, and what a fault script makes of a command on its way through one. */
#include "virtual_internal.h"

#include <string.h>
#include <varve/byteorder.h>

struct virtual_port {
    struct varve_scsi_port port;
    struct varve_virtual *library;
    bool is_drive;
    unsigned number; /* of the drive, as cabled at first */
    unsigned nexus;
};

/* What is left to do of a rule's actions after events and delays: how to answer. */
struct effects {
    bool has_sense, drop, dead, stick, misplace, corrupt;
    struct virtual_sense sense;
    uint8_t status; /* 0: none */
    uint16_t element;
    uint32_t cut, garble; /* UINT32_MAX: not cut */
    uint64_t dice;
    int64_t delay_ns;
};

static void
take_answer(const struct virtual_action *action, struct effects *ret)
{
    switch ((unsigned)action->verb) {
    case VIRTUAL_VERB_SENSE:
        ret->has_sense = true;
        ret->sense = action->sense;
        return;
    case VIRTUAL_VERB_DELAY:
        ret->delay_ns += action->ns;
        return;
    case VIRTUAL_VERB_DROP:
        ret->drop = true;
        return;
    case VIRTUAL_VERB_DEAD:
        ret->dead = true;
        return;
    case VIRTUAL_VERB_BUSY:
        ret->status = 0x08;
        return;
    case VIRTUAL_VERB_CONFLICT:
        ret->status = 0x18;
        return;
    case VIRTUAL_VERB_TASK_SET_FULL:
        ret->status = 0x28;
        return;
    case VIRTUAL_VERB_ABORTED:
        ret->status = 0x40;
        return;
    case VIRTUAL_VERB_CUT:
        ret->cut = (uint32_t)action->first;
        return;
    case VIRTUAL_VERB_GARBLE:
        ret->garble = (uint32_t)action->first;
        return;
    case VIRTUAL_VERB_CORRUPT:
        ret->corrupt = true;
        return;
    case VIRTUAL_VERB_STICK:
        ret->stick = true;
        return;
    case VIRTUAL_VERB_MISPLACE:
        ret->misplace = true;
        ret->element = action->element[0];
        return;
    default:
        return; /* an event */
    }
}

/* Lets happen what the rule says, in its order; what the state forbids does not happen. */
static void
perform(struct varve_virtual *library, const struct virtual_rule *rule, struct effects *ret)
{
    *ret = (struct effects){.cut = UINT32_MAX};
    for (unsigned i = 0; i < rule->action_count; i++) {
        struct varve_error ignored = {0};
        if (rule->actions[i].verb >= VIRTUAL_VERB_FIRST_EVENT)
            (void)!virtual_happen(library, &rule->actions[i], &ignored);
        else
            take_answer(&rule->actions[i], ret);
    }
}

/* --- carrying out --- */

static struct virtual_drive *
drive_of(const struct virtual_port *port)
{
    if (!port->is_drive)
        return NULL;
    return &port->library->drives[port->library->cable[port->number]];
}

static struct virtual_device *
device_of(const struct virtual_port *port, struct virtual_drive *drive)
{
    return drive != NULL ? &drive->device : &port->library->changer;
}

static bool
owes_attention(const struct varve_scsi_command *command)
{
    return command->cdb[0] != 0x12 && command->cdb[0] != 0x03; /* SAM-5, unit attention */
}

static bool
take_deferred(struct virtual_device *device, unsigned nexus, struct virtual_sense *ret)
{
    VARVE_LOCKED(&device->nexus_lock);
    struct virtual_nexus *one = &device->nexus[nexus];
    *ret = one->deferred;
    bool has = one->has_deferred;
    one->has_deferred = false;
    return has;
}

/* deferred-writes: told with the next command. */
static void
defer(struct virtual_device *device, unsigned nexus, struct varve_scsi_command *command)
{
    bool writes = command->cdb[0] == 0x2a || command->cdb[0] == 0xaa;
    if (!virtual_has(device, VARVE_VIRTUAL_DEFERRED) || !writes || command->status != 2 ||
        (command->sense[2] & 0x0f) != 3)
        return;
    VARVE_LOCKED(&device->nexus_lock);
    device->nexus[nexus].has_deferred = true;
    device->nexus[nexus].deferred =
        (struct virtual_sense){.key = 3,
                               .asc = command->sense[12],
                               .ascq = command->sense[13],
                               .has_information = true,
                               .information = varve_get_be32(command->sense + 3),
                               .deferred = true};
    command->sense_bytes = 0;
    virtual_good(command);
}

/* Fixed format sense of ours as descriptors (SPC-4 4.5.2). */
static void
use_descriptors(struct varve_scsi_command *command)
{
    uint8_t fixed[18];
    memcpy(fixed, command->sense, sizeof fixed);
    memset(command->sense, 0, 32);
    command->sense[0] = (uint8_t)(0x72 | (fixed[0] & 1));
    command->sense[1] = fixed[2] & 0x0f;
    command->sense[2] = fixed[12];
    command->sense[3] = fixed[13];
    uint8_t at = 8;
    if (fixed[0] & 0x80) {
        command->sense[at + 1] = 0x0a;
        command->sense[at + 2] = 0x80;
        memcpy(command->sense + at + 8, fixed + 3, 4);
        at = (uint8_t)(at + 12);
    }
    if (fixed[15] & 0x80) {
        command->sense[at] = 0x02;
        command->sense[at + 1] = 0x06;
        memcpy(command->sense + at + 4, fixed + 15, 3);
        at = (uint8_t)(at + 8);
    }
    command->sense[7] = (uint8_t)(at - 8);
    command->sense_bytes = at;
}

static void
dress_sense(const struct virtual_device *device, struct varve_scsi_command *command)
{
    if (command->status != 2 || command->sense_bytes != 18)
        return;
    if (virtual_has(device, VARVE_VIRTUAL_NO_SKSV))
        memset(command->sense + 15, 0, 3);
    if (virtual_has(device, VARVE_VIRTUAL_DESCRIPTOR_SENSE))
        use_descriptors(command);
}

/* The drive works on for as long as it owes the command, and is not locked meanwhile. */
static void
execute_drive(struct virtual_port *port, struct virtual_drive *drive,
              struct varve_scsi_command *command)
{
    int64_t owed;
    {
        VARVE_LOCKED(&drive->lock);
        drive->owed_ns = 0;
        virtual_drive_execute(drive, port->nexus, command);
        owed = drive->owed_ns;
    }
    if (owed > 0)
        varve_clock_sleep(port->library->clock, owed);
}

static void
carry_out(struct virtual_port *port, struct virtual_drive *drive,
          struct varve_scsi_command *command)
{
    struct virtual_device *device = device_of(port, drive);
    struct virtual_sense sense;
    if (owes_attention(command) && virtual_take_attention(device, port->nexus, &sense)) {
        virtual_check(command, &sense);
    } else if (owes_attention(command) && take_deferred(device, port->nexus, &sense)) {
        virtual_check(command, &sense);
    } else if (drive != NULL) {
        execute_drive(port, drive, command);
    } else {
        virtual_changer_execute(port->library, port->nexus, command);
    }
    defer(device, port->nexus, command);
    dress_sense(device, command);
}

/* corrupt: one byte of the data is another one, in a WRITE on its way to the disc. */
static void
carry_out_corrupt(struct virtual_port *port, struct virtual_drive *drive,
                  const struct effects *effects, struct varve_scsi_command *command)
{
    uint8_t *data = command->data;
    bool writes = command->direction == VARVE_SCSI_TO_DEVICE && command->data_bytes > 0;
    VARVE_CLEANUP_FREE uint8_t *copy = writes ? malloc(command->data_bytes) : NULL;
    if (copy != NULL) {
        memcpy(copy, data, command->data_bytes);
        copy[effects->dice % command->data_bytes] ^= 0x40;
        command->data = copy;
    }
    carry_out(port, drive, command);
    command->data = data;
    if (!writes && command->received_bytes > 0)
        data[effects->dice % command->received_bytes] ^= 0x40;
}

static void
spoil_data(const struct effects *effects, struct varve_scsi_command *command)
{
    if (command->received_bytes > effects->cut)
        command->received_bytes = effects->cut;
    for (uint32_t i = 0; i < effects->garble && command->received_bytes > 0; i++) {
        uint64_t dice = effects->dice * (2 * (uint64_t)i + 1);
        command->data[(dice >> 16) % command->received_bytes] = (uint8_t)(dice >> 8);
    }
}

/* The gripper loses the disc on its way, or brings it somewhere else. */
static void
carry_out_astray(struct virtual_port *port, const struct effects *effects,
                 struct varve_scsi_command *command)
{
    uint8_t wanted[2] = {command->cdb[6], command->cdb[7]};
    varve_put_be16(command->cdb + 6, effects->stick ? VIRTUAL_TRANSPORT : effects->element);
    carry_out(port, NULL, command);
    memcpy(command->cdb + 6, wanted, sizeof wanted);
    if (effects->stick && command->status == 0)
        virtual_refuse(command, 4, 0x15, 0x01);
}

static void
carry_out_with(struct virtual_port *port, struct virtual_drive *drive,
               const struct effects *effects, struct varve_scsi_command *command)
{
    if ((effects->stick || effects->misplace) && command->cdb[0] == 0xa5 && drive == NULL)
        carry_out_astray(port, effects, command);
    else if (effects->corrupt)
        carry_out_corrupt(port, drive, effects, command);
    else
        carry_out(port, drive, command);
    spoil_data(effects, command);
}

/* --- answering --- */

static bool
fail_dead(struct virtual_device *device, unsigned nexus, struct varve_error *err)
{
    VARVE_LOCKED(&device->nexus_lock);
    device->nexus[nexus].dead = true;
    return varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "virtual library: the link is gone");
}

static bool
fail_late(struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "virtual library: no answer in time");
}

/* Something is answered instead of what the command itself would answer. */
static bool
answers(const struct effects *effects)
{
    return effects->has_sense || effects->status != 0 || effects->drop || effects->dead;
}

/* Waits as the rule says. False: the host gave up first. */
static bool
wait_for(const struct virtual_port *port, const struct effects *effects,
         const struct varve_scsi_command *command)
{
    int64_t limit = (int64_t)command->timeout_ms * VARVE_NS_PER_MS;
    bool late = limit > 0 && effects->delay_ns > limit;
    if (effects->delay_ns > 0)
        varve_clock_sleep(port->library->clock, late ? limit : effects->delay_ns);
    return !late;
}

static bool
answer_instead(struct virtual_device *device, unsigned nexus, const struct effects *effects,
               struct varve_scsi_command *command, struct varve_error *err)
{
    if (effects->dead)
        return fail_dead(device, nexus, err);
    if (effects->drop)
        return fail_late(err);
    if (effects->status != 0) {
        command->status = effects->status;
        command->sense_bytes = 0;
        command->received_bytes = 0;
    }
    if (effects->has_sense) {
        virtual_check(command, &effects->sense);
        dress_sense(device, command);
    }
    return true;
}

static bool
execute_rule(struct virtual_port *port, struct virtual_drive *drive,
             const struct virtual_rule *rule, struct varve_scsi_command *command,
             struct varve_error *err)
{
    struct virtual_device *device = device_of(port, drive);
    struct effects effects;
    if (rule->after)
        carry_out(port, drive, command);
    perform(port->library, rule, &effects);
    effects.dice = virtual_dice(port->library, rule, device->number, effects.cut);
    bool in_time = wait_for(port, &effects, command);
    bool instead = answers(&effects) && !effects.stick;
    if (!rule->after && !instead)
        carry_out_with(port, drive, &effects, command);
    else if (rule->after)
        spoil_data(&effects, command);
    if (!in_time)
        return fail_late(err);
    return !answers(&effects) || answer_instead(device, port->nexus, &effects, command, err);
}

static bool
is_dead(struct virtual_device *device, unsigned nexus)
{
    VARVE_LOCKED(&device->nexus_lock);
    return device->nexus[nexus].dead;
}

static bool
execute(struct varve_scsi_port *base, struct varve_scsi_command *command, struct varve_error *err)
{
    struct virtual_port *port = (struct virtual_port *)base;
    struct virtual_drive *drive = drive_of(port);
    struct virtual_device *device = device_of(port, drive);
    struct virtual_rule rule;
    command->status = 0;
    command->sense_bytes = 0;
    command->received_bytes = 0;
    if (is_dead(device, port->nexus))
        return fail_dead(device, port->nexus, err);
    if (drive != NULL && command->cdb[0] == 0x00) /* TEST UNIT READY */
        virtual_hands(drive);                     /* who polls finds what a person did meanwhile */
    if (virtual_rules_due(port->library, device, command, &rule))
        return execute_rule(port, drive, &rule, command, err);
    carry_out(port, drive, command);
    return true;
}

/* --- opening and closing --- */

static void
close_port(struct varve_scsi_port *base)
{
    struct virtual_port *port = (struct virtual_port *)base;
    struct virtual_device *device = device_of(port, drive_of(port));
    {
        VARVE_LOCKED(&device->nexus_lock);
        /* Its PREVENT ends with the nexus that asked for it (SPC-4). */
        device->nexus[port->nexus] = (struct virtual_nexus){0};
    }
    free(port);
}

static bool
take_nexus(struct virtual_device *device, unsigned first, unsigned *ret)
{
    VARVE_LOCKED(&device->nexus_lock);
    unsigned end = first == 0 ? 1 : VIRTUAL_NEXUS_MAX;
    for (unsigned i = first; i < end; i++) {
        if (device->nexus[i].is_open)
            continue;
        device->nexus[i] = (struct virtual_nexus){.is_open = true, .attention_count = 1};
        device->nexus[i].attentions[0] = (struct virtual_sense){.key = 6, .asc = 0x29};
        *ret = i;
        return true;
    }
    return false;
}

/* `first`: 0 for our own port, 1 for that of a foreign host. */
static bool
open_port(struct varve_virtual *library, int drive, unsigned first, struct varve_scsi_port **ret,
          struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct virtual_port *port = calloc(1, sizeof *port);
    if (port == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open a port");
    if (drive >= (int)library->drive_count)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "virtual library '%s' has no drive %d: it has %u", library->dir,
                               drive, library->drive_count);
    port->port.execute = execute;
    port->port.close = close_port;
    port->port.settle_ms = 20; /* it is never in doubt, and tests have no time */
    port->library = library;
    port->is_drive = drive >= 0;
    port->number = drive >= 0 ? (unsigned)drive : 0;
    if (!take_nexus(device_of(port, drive_of(port)), first, &port->nexus))
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "virtual library '%s': port is open",
                               library->dir);
    struct virtual_port *made = VARVE_TAKE(port);
    *ret = &made->port;
    return true;
}

bool
varve_virtual_changer_port(struct varve_virtual *library, struct varve_scsi_port **ret,
                           struct varve_error *err)
{
    return open_port(library, -1, 0, ret, err);
}

bool
varve_virtual_drive_port(struct varve_virtual *library, unsigned drive,
                         struct varve_scsi_port **ret, struct varve_error *err)
{
    return open_port(library, drive > INT_MAX ? INT_MAX : (int)drive, 0, ret, err);
}

bool
varve_virtual_foreign_port(struct varve_virtual *library, int drive, struct varve_scsi_port **ret,
                           struct varve_error *err)
{
    return open_port(library, drive < 0 ? -1 : drive, 1, ret, err);
}
