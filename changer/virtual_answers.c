/* SPDX-License-Identifier: Apache-2.0 */
/* Answers, attentions and locks of a device, alike for changer and drives. */
#include "virtual_internal.h"

#include <string.h>
#include <varve/byteorder.h>

static void
add_attention(struct virtual_nexus *nexus, uint8_t asc, uint8_t ascq)
{
    if (nexus->attention_count == VIRTUAL_ATTENTIONS_MAX)
        return; /* as devices do: the oldest ones say enough */
    for (unsigned i = 0; i < nexus->attention_count; i++) {
        if (nexus->attentions[i].asc == asc && nexus->attentions[i].ascq == ascq)
            return;
    }
    nexus->attentions[nexus->attention_count++] =
        (struct virtual_sense){.key = 6, .asc = asc, .ascq = ascq};
}

void
virtual_attend(struct virtual_device *device, uint8_t asc, uint8_t ascq)
{
    VARVE_LOCKED(&device->nexus_lock);
    for (unsigned i = 0; i < VIRTUAL_NEXUS_MAX; i++) {
        if (device->nexus[i].is_open)
            add_attention(&device->nexus[i], asc, ascq);
    }
}

bool
virtual_take_attention(struct virtual_device *device, unsigned nexus, struct virtual_sense *ret)
{
    VARVE_LOCKED(&device->nexus_lock);
    struct virtual_nexus *one = &device->nexus[nexus];
    if (one->attention_count == 0)
        return false;
    *ret = one->attentions[0];
    one->attention_count--;
    memmove(one->attentions, one->attentions + 1, one->attention_count * sizeof one->attentions[0]);
    return true;
}

void
virtual_prevent(struct virtual_device *device, unsigned nexus, bool prevents)
{
    VARVE_LOCKED(&device->nexus_lock);
    device->nexus[nexus].prevents = prevents;
}

bool
virtual_is_prevented(struct virtual_device *device)
{
    VARVE_LOCKED(&device->nexus_lock);
    bool prevented = false;
    for (unsigned i = 0; i < VIRTUAL_NEXUS_MAX; i++)
        prevented = prevented || device->nexus[i].prevents;
    return prevented;
}

void
virtual_swap_hosts(struct virtual_device *a, struct virtual_device *b)
{
    struct virtual_nexus held[VIRTUAL_NEXUS_MAX];
    pthread_mutex_t *first = a->number < b->number ? &a->nexus_lock : &b->nexus_lock;
    pthread_mutex_t *second = a->number < b->number ? &b->nexus_lock : &a->nexus_lock;
    (void)varve_lock_enter(first);
    (void)varve_lock_enter(second);
    memcpy(held, a->nexus, sizeof held);
    memcpy(a->nexus, b->nexus, sizeof held);
    memcpy(b->nexus, held, sizeof held);
    varve_lock_leave(&second);
    varve_lock_leave(&first);
}

void
virtual_power_cycle(struct virtual_device *device)
{
    VARVE_LOCKED(&device->nexus_lock);
    for (unsigned i = 0; i < VIRTUAL_NEXUS_MAX; i++) {
        struct virtual_nexus *nexus = &device->nexus[i];
        nexus->attention_count = 0;
        nexus->prevents = nexus->has_deferred = false;
        if (nexus->is_open)
            add_attention(nexus, 0x29, 0x01);
    }
}

void
virtual_good(struct varve_scsi_command *command)
{
    command->status = 0;
}

/* SPC-4 4.5.3, fixed format */
static void
encode_sense(const struct virtual_sense *sense, uint8_t ret[18])
{
    memset(ret, 0, 18);
    ret[0] = (uint8_t)((sense->has_information ? 0xf0 : 0x70) | (sense->deferred ? 1 : 0));
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
    uint8_t out[36] = {identity->device_type, 0x80, 0x06, 0x02, 31, 0, identity->byte6};
    char text[29];
    (void)snprintf(text, sizeof text, "%-8s%-16s%-4s", "VARVE", identity->product, "0001");
    memcpy(out + 8, text, 28);
    virtual_answer(command, out, sizeof out, varve_get_be16(command->cdb + 3));
}

/* SPC-4, REQUEST SENSE: a pending unit attention is told and gone. */
void
virtual_request_sense(struct varve_scsi_command *command, struct virtual_device *device,
                      unsigned nexus, const struct virtual_sense *now)
{
    uint8_t out[18];
    struct virtual_sense sense = {0};
    if (command->cdb[1] != 0) { /* DESC: fixed format only */
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    if (!virtual_take_attention(device, nexus, &sense) && now != NULL)
        sense = *now;
    encode_sense(&sense, out);
    virtual_answer(command, out, sizeof out, command->cdb[4]);
}

void
virtual_drive_serial(const struct varve_virtual *library, unsigned drive, char ret[17])
{
    (void)snprintf(ret, 17, "D%s%03u", library->serial, drive % 1000);
}
