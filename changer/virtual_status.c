/* SPDX-License-Identifier: Apache-2.0 */
/* READ ELEMENT STATUS (SMC-3 6.10), as it should be and as some units do it (reference 1.5, 4.1).
 */
#include "virtual_internal.h"

#include <string.h>
#include <varve/buffer.h>
#include <varve/byteorder.h>

struct status_request {
    uint8_t type;
    uint16_t start, count;
    bool voltag, dvcid;
};

static bool
quirky(const struct varve_virtual *library, enum varve_virtual_quirk quirk)
{
    return virtual_has(&library->changer, quirk);
}

/* What the machine believes is in an element. */
struct belief {
    bool full, imported, has_source, turned, except;
    uint16_t source;
    uint8_t asc, ascq;
    struct varve_barcode label;
};

static struct belief
belief_of(struct varve_virtual *library, uint16_t address)
{
    struct belief ret = {0};
    const struct virtual_place *place = virtual_at(library, address);
    const struct virtual_mark *mark = virtual_mark_of(library, address);
    if (place != NULL) {
        ret.full = true;
        ret.imported = place->imported;
        ret.has_source = place->has_source && !quirky(library, VARVE_VIRTUAL_NO_SOURCE);
        ret.source = place->source;
        ret.turned = place->turned;
        ret.label = place->has_label ? place->label : place->barcode;
    }
    if (virtual_is_absent(library, address)) { /* medium magazine removed */
        ret = (struct belief){.except = true, .asc = 0x3b, .ascq = 0x12};
    } else if (mark != NULL && mark->stale) {
        ret = (struct belief){.full = mark->stale_full, .label = mark->stale_label};
    }
    if (mark != NULL && mark->except) {
        ret.except = true;
        ret.asc = mark->asc;
        ret.ascq = mark->ascq;
    }
    return ret;
}

static bool
is_accessible(struct varve_virtual *library, uint16_t address)
{
    if (virtual_type(address) != VARVE_ELEMENT_DRIVE)
        return !virtual_is_absent(library, address);
    return !quirky(library, VARVE_VIRTUAL_EJECT_FIRST) ||
           library->drives[address - VIRTUAL_DRIVE_FIRST].tray_open;
}

static uint8_t
flags_of(struct varve_virtual *library, uint16_t address, const struct belief *belief)
{
    uint8_t flags = belief->full ? 0x01 : 0;
    enum varve_element_type type = virtual_type(address);
    if (quirky(library, VARVE_VIRTUAL_STATUS_FLAGS))
        return flags;
    if (belief->except)
        flags |= 0x04;
    if (type != VARVE_ELEMENT_TRANSPORT && is_accessible(library, address))
        flags |= 0x08;
    if (type == VARVE_ELEMENT_MAIL_SLOT)
        flags |= (uint8_t)(0x30 | (belief->imported ? 0x02 : 0));
    return flags;
}

static void
append_label(const struct varve_virtual *library, const struct belief *belief,
             struct varve_buffer *out)
{
    uint8_t tag[36] = {0};
    size_t length = strlen(belief->label.text);
    if (belief->full && length > 0) {
        memset(tag, ' ', 32);
        memcpy(tag, belief->label.text, length);
        if (quirky(library, VARVE_VIRTUAL_LABEL_NOISE) && length < 30)
            memcpy(tag + length, "\x01\xff\x80", 2);
    }
    varve_buffer_append(out, tag, sizeof tag);
}

/* T10 vendor identification: vendor, product, serial (SPC-4, designation descriptors). */
static void
append_device_id(const struct varve_virtual *library, uint16_t address, struct varve_buffer *out)
{
    static const uint8_t lead[4] = {0x02, 0x01, 0, 34};
    char serial[17];
    char id[48];
    virtual_drive_serial(library, address - VIRTUAL_DRIVE_FIRST, serial);
    if (quirky(library, VARVE_VIRTUAL_DVCID_CUT))
        serial[2] = 0;
    (void)snprintf(id, sizeof id, "%-8s%-16s%-10s", "VARVE", "VIRTUAL BD-R", serial);
    varve_buffer_append(out, lead, sizeof lead);
    varve_buffer_append(out, id, 34);
}

static void
append_descriptor(struct varve_virtual *library, uint16_t address,
                  const struct status_request *request, struct varve_buffer *out)
{
    uint8_t d[12] = {0};
    struct belief belief = belief_of(library, address);
    varve_put_be16(d, address);
    d[2] = flags_of(library, address, &belief);
    d[4] = belief.asc;
    d[5] = belief.ascq;
    if (belief.has_source) {
        d[9] = (uint8_t)(0x80 | (belief.turned ? 0x40 : 0));
        varve_put_be16(d + 10, belief.source);
    }
    varve_buffer_append(out, d, sizeof d);
    if (request->voltag)
        append_label(library, &belief, out);
    if (request->dvcid)
        append_device_id(library, address, out);
    else
        varve_buffer_zeros(out, 4);
}

static bool
is_listed(const struct varve_virtual *library, const struct status_request *request,
          uint16_t address)
{
    if (quirky(library, VARVE_VIRTUAL_MAGAZINE_SHRINK) && virtual_is_absent(library, address))
        return false;
    return address >= request->start &&
           (request->type == 0 || request->type == (uint8_t)virtual_type(address));
}

/* One page for the elements from *index on that are of one type, up to `left`. */
static unsigned
append_page(struct varve_virtual *library, const struct status_request *request, unsigned *index,
            unsigned left, struct varve_buffer *out)
{
    enum varve_element_type type = virtual_type(virtual_address(library, *index));
    struct status_request one = *request;
    one.dvcid = request->dvcid && type == VARVE_ELEMENT_DRIVE;
    unsigned count = 0;
    size_t page_at = out->size;
    size_t descriptor = 16 + (request->voltag ? 36u : 0u) + (one.dvcid ? 34u : 0u);
    varve_buffer_zeros(out, 8);
    for (; count < left && *index < virtual_element_count(library); ++*index) {
        uint16_t address = virtual_address(library, *index);
        if (virtual_type(address) != type)
            break;
        if (!is_listed(library, request, address))
            continue;
        append_descriptor(library, address, &one, out);
        count++;
    }
    if (out->failed)
        return count;
    uint8_t *page = out->data + page_at;
    page[0] = (uint8_t)type;
    page[1] = request->voltag ? 0x80 : 0;
    varve_put_be16(page + 2, (uint16_t)descriptor);
    varve_put_be24(page + 5, (uint32_t)(descriptor * count));
    return count;
}

/* --- as some units do it --- */

static void
reverse_page(uint8_t *page, size_t descriptor, unsigned count)
{
    uint8_t held[16 + 36 + 34];
    for (unsigned i = 0; i < count / 2; i++) {
        uint8_t *a = page + 8 + i * descriptor;
        uint8_t *b = page + 8 + (count - 1 - i) * descriptor;
        memcpy(held, a, descriptor);
        memcpy(a, b, descriptor);
        memcpy(b, held, descriptor);
    }
}

/* The last page begins where the one before has its last descriptor. */
static void
overlap(struct varve_buffer *out, size_t last_page)
{
    size_t back = out->size - last_page < 16 ? 0 : 16;
    if (last_page < 8 + 8 + 16 || back == 0)
        return;
    memmove(out->data + last_page - back, out->data + last_page, out->size - last_page);
    out->size -= back;
}

static void
spoil_page(struct varve_virtual *library, struct varve_buffer *out, size_t page_at, unsigned *total)
{
    uint8_t *page = out->data + page_at;
    size_t descriptor = varve_get_be16(page + 2);
    unsigned count = (unsigned)((out->size - page_at - 8) / descriptor);
    if (quirky(library, VARVE_VIRTUAL_DESCENDING))
        reverse_page(page, descriptor, count);
    if (quirky(library, VARVE_VIRTUAL_ZERO_ADDRESS)) {
        varve_buffer_zeros(out, descriptor);
        if (!out->failed)
            varve_put_be24(out->data + page_at + 5, (uint32_t)(descriptor * (count + 1)));
        ++*total;
    }
    if (quirky(library, VARVE_VIRTUAL_EMPTY_PAGES)) { /* ADIC: counted, but nothing there */
        uint8_t empty[8] = {out->data[page_at], 0, 0, 16};
        varve_buffer_append(out, empty, sizeof empty);
        ++*total;
    }
}

static void
collect(struct varve_virtual *library, const struct status_request *request,
        struct varve_buffer *out)
{
    unsigned total = 0, index = 0;
    uint16_t first = 0;
    size_t last_page = 0;
    varve_buffer_zeros(out, 8);
    while (index < virtual_element_count(library) && total < request->count && !out->failed) {
        uint16_t address = virtual_address(library, index);
        if (!is_listed(library, request, address)) {
            index++;
            continue;
        }
        first = total == 0 ? address : first;
        last_page = out->size;
        total += append_page(library, request, &index, request->count - total, out);
        if (!out->failed)
            spoil_page(library, out, last_page, &total);
    }
    if (out->failed)
        return;
    if (request->type == 0 && quirky(library, VARVE_VIRTUAL_STATUS_OVERLAP))
        overlap(out, last_page);
    varve_put_be16(out->data, quirky(library, VARVE_VIRTUAL_STATUS_JUNK) ? 0x0403 : first);
    varve_put_be16(out->data + 2, (uint16_t)total);
    varve_put_be24(out->data + 5, (uint32_t)(out->size - 8));
}

static bool
refuses(const struct varve_virtual *library, const struct varve_scsi_command *command)
{
    const uint8_t *cdb = command->cdb;
    return (cdb[1] & 0x0f) > VARVE_ELEMENT_DRIVE || (cdb[1] & 0xe0) != 0 || (cdb[6] & 0xfc) != 0 ||
           (cdb[6] & 0x01 && quirky(library, VARVE_VIRTUAL_NO_DVCID)) ||
           (cdb[6] & 0x02 && quirky(library, VARVE_VIRTUAL_NO_CURDATA)) ||
           (cdb[1] & 0x10 && quirky(library, VARVE_VIRTUAL_NO_VOLTAG)) ||
           (varve_get_be24(cdb + 7) > command->data_bytes &&
            quirky(library, VARVE_VIRTUAL_STATUS_STRICT));
}

void
virtual_read_status(struct varve_virtual *library, struct varve_scsi_command *command)
{
    const uint8_t *cdb = command->cdb;
    struct status_request request = {
        .type = cdb[1] & 0x0f,
        .voltag = cdb[1] & 0x10,
        .start = varve_get_be16(cdb + 2),
        .count = varve_get_be16(cdb + 4),
        .dvcid = cdb[6] & 0x01,
    };
    if (refuses(library, command)) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    VARVE_CLEANUP_BUFFER struct varve_buffer out = {0};
    VARVE_LOCKED(&library->lock);
    if (!(cdb[6] & 0x02)) /* without CURDATA the machine may move to look */
        virtual_look(library, request.start, request.count);
    if (quirky(library, VARVE_VIRTUAL_STATUS_COUNT))
        request.count = UINT16_MAX;
    collect(library, &request, &out);
    if (out.failed) {
        virtual_refuse(command, 4, 0x44, 0x00);
        return;
    }
    size_t size = out.size;
    if (quirky(library, VARVE_VIRTUAL_STATUS_SHORT) && size > 16)
        size -= 8;
    virtual_answer(command, out.data, size, varve_get_be24(cdb + 7));
}
