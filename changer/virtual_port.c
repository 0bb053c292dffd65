/* SPDX-License-Identifier: Apache-2.0 */
/* Ports, faults, and what both device servers answer alike. */
#include "virtual_internal.h"

#include <string.h>
#include <varve/byteorder.h>

/* --- answers --- */

void
virtual_attend(struct virtual_device *device, uint8_t asc, uint8_t ascq)
{
    struct virtual_attentions *queue = &device->attentions;
    VARVE_LOCKED(&queue->lock);
    if (queue->count == VIRTUAL_ATTENTIONS_MAX)
        return; /* as devices do: the oldest ones say enough */
    for (unsigned i = 0; i < queue->count; i++) {
        if (queue->list[i].asc == asc && queue->list[i].ascq == ascq)
            return;
    }
    queue->list[queue->count++] = (struct virtual_sense){.key = 6, .asc = asc, .ascq = ascq};
}

static bool
take_attention(struct virtual_device *device, struct virtual_sense *ret)
{
    struct virtual_attentions *queue = &device->attentions;
    VARVE_LOCKED(&queue->lock);
    if (queue->count == 0)
        return false;
    *ret = queue->list[0];
    queue->count--;
    memmove(queue->list, queue->list + 1, queue->count * sizeof queue->list[0]);
    return true;
}

void
virtual_good(struct varve_scsi_command *command)
{
    command->status = 0;
}

/* SPC-4 4.5.3, fixed format, current error */
static void
encode_sense(const struct virtual_sense *sense, uint8_t ret[18])
{
    memset(ret, 0, 18);
    ret[0] = sense->has_information ? 0xf0 : 0x70;
    ret[2] = sense->key;
    varve_put_be32(ret + 3, sense->has_information ? sense->information : 0);
    ret[7] = 10;
    ret[12] = sense->asc;
    ret[13] = sense->ascq;
    if (sense->has_progress) {
        ret[15] = 0x80;
        varve_put_be16(ret + 16, sense->progress);
    }
}

void
virtual_check(struct varve_scsi_command *command, const struct virtual_sense *sense)
{
    command->status = 2;
    encode_sense(sense, command->sense);
    command->sense_bytes = 18;
    command->received_bytes = 0;
}

void
virtual_refuse(struct varve_scsi_command *command, uint8_t key, uint8_t asc, uint8_t ascq)
{
    virtual_check(command, &(struct virtual_sense){.key = key, .asc = asc, .ascq = ascq});
}

void
virtual_answer(struct varve_scsi_command *command, const void *bytes, size_t size,
               uint32_t allocation)
{
    size_t send = size < allocation ? size : allocation;
    if (send > command->data_bytes)
        send = command->data_bytes;
    if (send > 0)
        memcpy(command->data, bytes, send);
    command->received_bytes = (uint32_t)send;
    virtual_good(command);
}

static void
inquiry_vpd(struct varve_scsi_command *command, const struct virtual_identity *identity)
{
    uint8_t out[4 + 16] = {identity->device_type, command->cdb[2]};
    size_t bytes = strlen(identity->serial);
    uint32_t allocation = varve_get_be16(command->cdb + 3);
    if (command->cdb[2] == 0x00) {
        static const uint8_t pages[] = {0x00, 0x80};
        out[3] = sizeof pages;
        memcpy(out + 4, pages, sizeof pages);
        virtual_answer(command, out, 4 + sizeof pages, allocation);
    } else if (command->cdb[2] == 0x80) {
        out[3] = (uint8_t)bytes;
        memcpy(out + 4, identity->serial, bytes);
        virtual_answer(command, out, 4 + bytes, allocation);
    } else {
        virtual_refuse(command, 5, 0x24, 0x00);
    }
}

/* SPC-4, standard INQUIRY data */
void
virtual_inquiry(struct varve_scsi_command *command, const struct virtual_identity *identity)
{
    if (command->cdb[1] & 0x01) {
        inquiry_vpd(command, identity);
        return;
    }
    if (command->cdb[1] != 0 || command->cdb[2] != 0) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    uint8_t out[36] = {identity->device_type, 0x80, 0x06, 0x02, 31};
    char text[29];
    (void)snprintf(text, sizeof text, "%-8s%-16s%-4s", "VARVE", identity->product, "0001");
    memcpy(out + 8, text, 28);
    virtual_answer(command, out, sizeof out, varve_get_be16(command->cdb + 3));
}

/* SPC-4, REQUEST SENSE: a pending unit attention is told and gone. */
void
virtual_request_sense(struct varve_scsi_command *command, struct virtual_device *device,
                      const struct virtual_sense *now)
{
    uint8_t out[18];
    struct virtual_sense sense = {0};
    if (command->cdb[1] != 0) { /* DESC: fixed format only */
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    if (!take_attention(device, &sense) && now != NULL)
        sense = *now;
    encode_sense(&sense, out);
    virtual_answer(command, out, sizeof out, command->cdb[4]);
}

void
virtual_drive_serial(const struct varve_virtual *library, unsigned drive, char ret[17])
{
    (void)snprintf(ret, 17, "D%s%03u", library->serial, drive % 1000);
}

/* --- faults --- */

/* Commands without an address touch all sectors. */
static bool
touches(const struct varve_scsi_command *command, const struct varve_virtual_fault *fault)
{
    const uint8_t *cdb = command->cdb;
    bool ten = cdb[0] == 0x28 || cdb[0] == 0x2a;
    bool twelve = cdb[0] == 0xa8 || cdb[0] == 0xaa;
    if (!ten && !twelve)
        return true;
    uint64_t first = varve_get_be32(cdb + 2);
    uint64_t count = ten ? varve_get_be16(cdb + 7) : varve_get_be32(cdb + 6);
    return count > 0 && first <= fault->lba_last && first + count - 1 >= fault->lba_first;
}

/* True if a fault is due for this command; it is used up then. */
static bool
find_fault(struct varve_virtual *library, bool on_changer, unsigned drive,
           const struct varve_scsi_command *command, struct varve_virtual_fault *ret)
{
    VARVE_LOCKED(&library->fault_lock);
    bool due = false;
    for (size_t i = 0; i < VIRTUAL_FAULTS_MAX; i++) {
        struct virtual_fault *each = &library->faults[i];
        const struct varve_virtual_fault *fault = &each->fault;
        if (!each->armed || fault->on_changer != on_changer ||
            (!on_changer && fault->drive != drive) || fault->opcode != command->cdb[0] ||
            !touches(command, fault))
            continue;
        each->seen++;
        if (each->seen < fault->nth || due)
            continue;
        *ret = *fault;
        each->armed = false;
        due = true;
    }
    return due;
}

bool
varve_virtual_inject(struct varve_virtual *library, const struct varve_virtual_fault *fault,
                     struct varve_error *err)
{
    if (!fault->on_changer && fault->drive >= library->drive_count)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "inject a fault: no drive %u",
                               fault->drive);
    VARVE_LOCKED(&library->fault_lock);
    for (size_t i = 0; i < VIRTUAL_FAULTS_MAX; i++) {
        struct virtual_fault *each = &library->faults[i];
        if (each->armed)
            continue;
        *each = (struct virtual_fault){.fault = *fault, .armed = true};
        if (each->fault.lba_last == 0)
            each->fault.lba_last = UINT64_MAX;
        return true;
    }
    return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "inject a fault: %u are waiting already",
                           VIRTUAL_FAULTS_MAX);
}

/* --- ports --- */

struct virtual_port {
    struct varve_scsi_port port;
    struct varve_virtual *library;
    struct virtual_drive *drive; /* NULL: the changer */
};

static bool
fail_dead(struct virtual_device *device, struct varve_error *err)
{
    device->dead = true;
    return varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "virtual library: the link is gone");
}

static bool
owes_attention(const struct varve_scsi_command *command)
{
    return command->cdb[0] != 0x12 && command->cdb[0] != 0x03; /* SAM-5, unit attention */
}

static bool
execute(struct virtual_port *port, struct virtual_device *device,
        struct varve_scsi_command *command, struct varve_error *err)
{
    struct varve_virtual_fault fault = {0};
    struct virtual_sense attention;
    unsigned number = port->drive != NULL ? port->drive->number : 0;
    command->status = 0;
    command->sense_bytes = 0;
    command->received_bytes = 0;
    if (device->dead)
        return fail_dead(device, err);
    bool due = find_fault(port->library, port->drive == NULL, number, command, &fault);
    if (due && !fault.after) {
        if (fault.dead || fault.lost)
            return fault.dead ? fail_dead(device, err)
                              : varve_error_set(err, VARVE_ERROR_NOT_READY, 0,
                                                "virtual library: no answer in time");
        virtual_refuse(command, fault.key, fault.asc, fault.ascq);
        return true;
    }
    if (owes_attention(command) && take_attention(device, &attention))
        virtual_check(command, &attention);
    else if (port->drive != NULL)
        virtual_drive_execute(port->drive, command);
    else
        virtual_changer_execute(port->library, command);
    if (!due)
        return true;
    if (fault.dead)
        return fail_dead(device, err);
    if (fault.lost)
        return varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "virtual library: no answer in time");
    virtual_refuse(command, fault.key, fault.asc, fault.ascq);
    return true;
}

static bool
execute_drive(struct varve_scsi_port *base, struct varve_scsi_command *command,
              struct varve_error *err)
{
    struct virtual_port *port = (struct virtual_port *)base;
    VARVE_LOCKED(&port->drive->lock);
    return execute(port, &port->drive->device, command, err);
}

static bool
execute_changer(struct varve_scsi_port *base, struct varve_scsi_command *command,
                struct varve_error *err)
{
    struct virtual_port *port = (struct virtual_port *)base;
    return execute(port, &port->library->changer, command, err);
}

static void
close_port(struct varve_scsi_port *base)
{
    struct virtual_port *port = (struct virtual_port *)base;
    struct virtual_device *device =
        port->drive != NULL ? &port->drive->device : &port->library->changer;
    if (port->drive != NULL) {
        VARVE_LOCKED(&port->drive->lock);
        port->drive->prevented = false; /* ends with the nexus that asked for it (SPC-4) */
    }
    VARVE_LOCKED(&port->library->lock);
    device->is_open = false;
    device->dead = false;
    free(port);
}

static bool
open_port(struct varve_virtual *library, struct virtual_drive *drive, struct varve_scsi_port **ret,
          struct varve_error *err)
{
    struct virtual_device *device = drive != NULL ? &drive->device : &library->changer;
    struct virtual_port *port = calloc(1, sizeof *port);
    if (port == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open a port");
    VARVE_LOCKED(&library->lock);
    if (device->is_open) {
        free(port);
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "virtual library '%s': port is open",
                               library->dir);
    }
    device->is_open = true;
    port->port.execute = drive != NULL ? execute_drive : execute_changer;
    port->port.close = close_port;
    port->port.settle_ms = 20; /* it is never in doubt, and tests have no time */
    port->library = library;
    port->drive = drive;
    virtual_attend(device, 0x29, 0x00);
    *ret = &port->port;
    return true;
}

bool
varve_virtual_changer_port(struct varve_virtual *library, struct varve_scsi_port **ret,
                           struct varve_error *err)
{
    return open_port(library, NULL, ret, err);
}

bool
varve_virtual_drive_port(struct varve_virtual *library, unsigned drive,
                         struct varve_scsi_port **ret, struct varve_error *err)
{
    if (drive >= library->drive_count)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "virtual library '%s' has no drive %u: it has %u", library->dir,
                               drive, library->drive_count);
    return open_port(library, &library->drives[drive], ret, err);
}
