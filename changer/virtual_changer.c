/* SPDX-License-Identifier: Apache-2.0 */
/* Device server of the changer: SMC-3 over the model. Callers hold no lock. */
#include "virtual_internal.h"

#include <string.h>
#include <varve/buffer.h>
#include <varve/byteorder.h>

/* Gripper, slots, mail slots, drives; each may go to each. */
#define ANY_ELEMENT 0x0f

static void
put_range(uint8_t *at, unsigned first, unsigned count)
{
    varve_put_be16(at, (uint16_t)(count > 0 ? first : 0));
    varve_put_be16(at + 2, (uint16_t)count);
}

/* SMC-3: element address assignment, transport geometry, device capabilities. False: no such page.
 */
static bool
append_page(const struct varve_virtual *library, uint8_t page, struct varve_buffer *out)
{
    uint8_t bytes[20] = {page};
    switch (page) {
    case 0x1d:
        bytes[1] = 0x12;
        put_range(bytes + 2, VIRTUAL_TRANSPORT, 1);
        put_range(bytes + 6, VIRTUAL_SLOT_FIRST, library->slots);
        put_range(bytes + 10, VIRTUAL_MAIL_FIRST, library->mail_slots);
        put_range(bytes + 14, VIRTUAL_DRIVE_FIRST, library->drive_count);
        varve_buffer_append(out, bytes, 20);
        return true;
    case 0x1e: /* one gripper that cannot turn discs over */
        bytes[1] = 0x02;
        varve_buffer_append(out, bytes, 4);
        return true;
    case 0x1f: /* moves in all directions, no exchanges */
        bytes[1] = 0x12;
        memset(bytes + 2, ANY_ELEMENT, 1);
        memset(bytes + 4, ANY_ELEMENT, 4);
        varve_buffer_append(out, bytes, 20);
        return true;
    default:
        return false;
    }
}

/* SPC-4, MODE SENSE (6) and (10) */
static void
mode_sense(struct varve_virtual *library, struct varve_scsi_command *command)
{
    bool ten = command->cdb[0] == 0x5a;
    uint8_t page = command->cdb[2] & 0x3f;
    uint32_t allocation = ten ? varve_get_be16(command->cdb + 7) : command->cdb[4];
    if (command->cdb[2] >> 6 == 3) {
        virtual_refuse(command, 5, 0x39, 0x00);
        return;
    }
    VARVE_CLEANUP_BUFFER struct varve_buffer out = {0};
    varve_buffer_zeros(&out, ten ? 8 : 4);
    for (uint8_t each = 0x1d; each <= 0x1f; each++) {
        if (page == 0x3f || page == each)
            (void)append_page(library, each, &out);
    }
    bool known = page == 0x3f || (page >= 0x1d && page <= 0x1f);
    if (!known || command->cdb[3] != 0 || out.failed) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    if (ten)
        varve_put_be16(out.data, (uint16_t)(out.size - 2));
    else
        out.data[0] = (uint8_t)(out.size - 1);
    virtual_answer(command, out.data, out.size, allocation);
}

struct status_request {
    uint8_t type;
    uint16_t start, count;
    bool voltag, dvcid;
};

/* SMC-3 6.10, element descriptor */
static void
append_descriptor(struct varve_virtual *library, uint16_t address,
                  const struct status_request *request, struct varve_buffer *out)
{
    uint8_t d[12] = {0};
    enum varve_element_type type = virtual_type(address);
    const struct virtual_place *place = virtual_at(library, address);
    varve_put_be16(d, address);
    d[2] = place != NULL ? 0x01 : 0;
    if (type != VARVE_ELEMENT_TRANSPORT)
        d[2] |= 0x08; /* ACCESS */
    if (type == VARVE_ELEMENT_MAIL_SLOT)
        d[2] |= (uint8_t)(0x30 | (place != NULL && place->imported ? 0x02 : 0));
    if (place != NULL && place->has_source) {
        d[9] = 0x80;
        varve_put_be16(d + 10, place->source);
    }
    varve_buffer_append(out, d, sizeof d);
    if (request->voltag) {
        uint8_t tag[36] = {0};
        if (place != NULL) {
            memset(tag, ' ', 32);
            memcpy(tag, place->barcode.text, strlen(place->barcode.text));
        }
        varve_buffer_append(out, tag, sizeof tag);
    }
    if (!request->dvcid) {
        varve_buffer_zeros(out, 4);
        return;
    }
    /* T10 vendor identification: vendor, product, serial (SPC-4, designation descriptors). */
    char serial[17];
    char id[48];
    virtual_drive_serial(library, address - VIRTUAL_DRIVE_FIRST, serial);
    (void)snprintf(id, sizeof id, "%-8s%-16s%-10s", "VARVE", "VIRTUAL BD-R", serial);
    uint8_t lead[4] = {0x02, 0x01, 0, 34};
    varve_buffer_append(out, lead, sizeof lead);
    varve_buffer_append(out, id, 34);
}

/* One page per type (SMC-3 6.10), with up to `left` elements from *index on; returns how many. */
static unsigned
append_status_page(struct varve_virtual *library, const struct status_request *request,
                   unsigned *index, unsigned left, struct varve_buffer *out)
{
    enum varve_element_type type = virtual_type(virtual_address(library, *index));
    struct status_request one = *request;
    one.dvcid = request->dvcid && type == VARVE_ELEMENT_DRIVE;
    unsigned count = 0;
    size_t page_at = out->size;
    varve_buffer_zeros(out, 8);
    while (count < left && *index < virtual_element_count(library) &&
           virtual_type(virtual_address(library, *index)) == type) {
        append_descriptor(library, virtual_address(library, *index), &one, out);
        count++;
        ++*index;
    }
    if (out->failed)
        return count;
    uint8_t *page = out->data + page_at;
    page[0] = (uint8_t)type;
    page[1] = request->voltag ? 0x80 : 0;
    size_t descriptor = 16 + (request->voltag ? 36u : 0u) + (one.dvcid ? 34u : 0u);
    varve_put_be16(page + 2, (uint16_t)descriptor);
    varve_put_be24(page + 5, (uint32_t)(descriptor * count));
    return count;
}

static void
collect_status(struct varve_virtual *library, const struct status_request *request,
               struct varve_buffer *out)
{
    unsigned total = 0;
    uint16_t first = 0;
    unsigned index = 0;
    varve_buffer_zeros(out, 8);
    while (index < virtual_element_count(library) && total < request->count) {
        uint16_t address = virtual_address(library, index);
        bool wanted = address >= request->start &&
                      (request->type == 0 || request->type == (uint8_t)virtual_type(address));
        if (!wanted) {
            index++;
            continue;
        }
        if (total == 0)
            first = address;
        total += append_status_page(library, request, &index, request->count - total, out);
    }
    if (out->failed)
        return;
    varve_put_be16(out->data, first);
    varve_put_be16(out->data + 2, (uint16_t)total);
    varve_put_be24(out->data + 5, (uint32_t)(out->size - 8));
}

/* SMC-3 6.10, READ ELEMENT STATUS */
static void
read_element_status(struct varve_virtual *library, struct varve_scsi_command *command)
{
    const uint8_t *cdb = command->cdb;
    struct status_request request = {
        .type = cdb[1] & 0x0f,
        .voltag = cdb[1] & 0x10,
        .start = varve_get_be16(cdb + 2),
        .count = varve_get_be16(cdb + 4),
        .dvcid = cdb[6] & 0x01,
    };
    if (request.type > VARVE_ELEMENT_DRIVE || (cdb[1] & 0xe0) != 0 || (cdb[6] & 0xfc) != 0) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    VARVE_CLEANUP_BUFFER struct varve_buffer out = {0};
    VARVE_LOCKED(&library->lock);
    collect_status(library, &request, &out);
    if (out.failed) {
        virtual_refuse(command, 4, 0x44, 0x00);
        return;
    }
    virtual_answer(command, out.data, out.size, varve_get_be24(cdb + 7));
}

static struct virtual_drive *
drive_at(struct varve_virtual *library, uint16_t address)
{
    if (virtual_index(library, address) < 0 || virtual_type(address) != VARVE_ELEMENT_DRIVE)
        return NULL;
    return &library->drives[address - VIRTUAL_DRIVE_FIRST];
}

/* Model lock and the locks of both drives are held. */
static void
move_locked(struct varve_virtual *library, struct varve_scsi_command *command, uint16_t from,
            uint16_t to)
{
    struct virtual_drive *source = drive_at(library, from);
    struct virtual_drive *target = drive_at(library, to);
    const struct virtual_place *place = virtual_at(library, from);
    if (place == NULL) {
        virtual_refuse(command, 5, 0x3b, 0x0e);
        return;
    }
    if (from == to || virtual_at(library, to) != NULL) {
        virtual_refuse(command, 5, 0x3b, 0x0d);
        return;
    }
    if (source != NULL && source->prevented) {
        virtual_refuse(command, 5, 0x53, 0x02);
        return;
    }
    struct varve_barcode barcode = place->barcode;
    struct varve_error failed = {0};
    if (!virtual_relocate(library, from, to, &failed)) {
        virtual_refuse(command, 4, 0x44, 0x00); /* the folder could not be written */
        return;
    }
    if (source != NULL)
        virtual_drive_remove(source);
    if (target != NULL) {
        virtual_drive_remove(target); /* what was in it is gone */
        virtual_drive_insert(target, &barcode);
    }
    virtual_good(command);
}

static void
move_with_drives(struct varve_virtual *library, struct varve_scsi_command *command, uint16_t from,
                 uint16_t to)
{
    struct virtual_drive *first = drive_at(library, from < to ? from : to);
    struct virtual_drive *second = drive_at(library, from < to ? to : from);
    if (second == first)
        second = NULL;
    pthread_mutex_t *held[3];
    unsigned count = 0;
    if (first != NULL)
        held[count++] = varve_lock_enter(&first->lock);
    if (second != NULL)
        held[count++] = varve_lock_enter(&second->lock);
    held[count++] = varve_lock_enter(&library->lock);
    move_locked(library, command, from, to);
    while (count > 0)
        varve_lock_leave(&held[--count]);
}

/* SMC-3, MOVE MEDIUM */
static void
move_medium(struct varve_virtual *library, struct varve_scsi_command *command)
{
    uint16_t transport = varve_get_be16(command->cdb + 2);
    uint16_t from = varve_get_be16(command->cdb + 4);
    uint16_t to = varve_get_be16(command->cdb + 6);
    if (command->cdb[10] != 0) { /* INVERT: this gripper cannot */
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    if ((transport != 0 && transport != VIRTUAL_TRANSPORT) || virtual_index(library, from) < 0 ||
        virtual_index(library, to) < 0) {
        virtual_refuse(command, 5, 0x21, 0x01);
        return;
    }
    move_with_drives(library, command, from, to);
}

static void
prevent_allow(struct varve_scsi_command *command)
{
    if ((command->cdb[4] & 0xfc) != 0)
        virtual_refuse(command, 5, 0x24, 0x00);
    else
        virtual_good(command); /* the door of a folder cannot be locked */
}

void
virtual_changer_execute(struct varve_virtual *library, struct varve_scsi_command *command)
{
    struct virtual_identity identity = {.device_type = 0x08, .product = "VIRTUAL CHANGER"};
    (void)snprintf(identity.serial, sizeof identity.serial, "C%s", library->serial);
    switch (command->cdb[0]) {
    case 0x00: /* TEST UNIT READY */
    case 0x07: /* INITIALIZE ELEMENT STATUS: the folder is always counted */
    case 0x37: /* ... WITH RANGE */
        virtual_good(command);
        return;
    case 0x03:
        virtual_request_sense(command, &library->changer, NULL);
        return;
    case 0x12:
        virtual_inquiry(command, &identity);
        return;
    case 0x1a:
    case 0x5a:
        mode_sense(library, command);
        return;
    case 0x1e:
        prevent_allow(command);
        return;
    case 0xa5:
        move_medium(library, command);
        return;
    case 0xb8:
        read_element_status(library, command);
        return;
    default:
        virtual_refuse(command, 5, 0x20, 0x00);
    }
}
