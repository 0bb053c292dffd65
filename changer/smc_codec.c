/* SPDX-License-Identifier: Apache-2.0 */
#include "smc_codec.h"

#include <string.h>
#include <varve/byteorder.h>
#include <varve/cursor.h>

static void
start(struct varve_scsi_command *ret, uint8_t opcode, uint8_t cdb_bytes)
{
    *ret = (struct varve_scsi_command){.cdb_bytes = cdb_bytes};
    ret->cdb[0] = opcode;
}

static void
expect(struct varve_scsi_command *ret, uint8_t *data, uint32_t bytes)
{
    ret->direction = VARVE_SCSI_FROM_DEVICE;
    ret->data = data;
    ret->data_bytes = bytes;
}

/* SPC-4, TEST UNIT READY */
void
varve_smc_encode_test_unit_ready(struct varve_scsi_command *ret)
{
    start(ret, 0x00, 6);
}

/* SPC-4, INQUIRY */
void
varve_smc_encode_inquiry(struct varve_scsi_command *ret, uint8_t *data, uint16_t bytes)
{
    start(ret, 0x12, 6);
    varve_put_be16(ret->cdb + 3, bytes);
    expect(ret, data, bytes);
}

void
varve_smc_encode_inquiry_vpd(struct varve_scsi_command *ret, uint8_t page, uint8_t *data,
                             uint16_t bytes)
{
    varve_smc_encode_inquiry(ret, data, bytes);
    ret->cdb[1] = 0x01; /* EVPD */
    ret->cdb[2] = page;
}

/* SPC-4, MODE SENSE (6); `no_blocks` is DBD, which some units refuse. */
void
varve_smc_encode_mode_sense(struct varve_scsi_command *ret, uint8_t page, bool no_blocks,
                            uint8_t *data, uint8_t bytes)
{
    start(ret, 0x1a, 6);
    ret->cdb[1] = no_blocks ? 0x08 : 0;
    ret->cdb[2] = page & 0x3f;
    ret->cdb[4] = bytes;
    expect(ret, data, bytes);
}

/* SMC-3, INITIALIZE ELEMENT STATUS */
void
varve_smc_encode_initialize(struct varve_scsi_command *ret)
{
    start(ret, 0x07, 6);
}

/* SMC-3 6.10, READ ELEMENT STATUS */
void
varve_smc_encode_read_status(struct varve_scsi_command *ret,
                             const struct varve_smc_status_request *request, uint8_t *data,
                             uint32_t bytes)
{
    start(ret, 0xb8, 12);
    ret->cdb[1] = (uint8_t)((request->voltag ? 0x10 : 0) | (uint8_t)request->type);
    varve_put_be16(ret->cdb + 2, request->start);
    varve_put_be16(ret->cdb + 4, request->count);
    ret->cdb[6] = (uint8_t)((request->curdata ? 0x02 : 0) | (request->dvcid ? 0x01 : 0));
    varve_put_be24(ret->cdb + 7, bytes);
    expect(ret, data, bytes);
}

/* SMC-3, MOVE MEDIUM; never inverted: discs have one side. */
void
varve_smc_encode_move(struct varve_scsi_command *ret, uint16_t transport, uint16_t from,
                      uint16_t to)
{
    start(ret, 0xa5, 12);
    varve_put_be16(ret->cdb + 2, transport);
    varve_put_be16(ret->cdb + 4, from);
    varve_put_be16(ret->cdb + 6, to);
}

/* SPC-4, PREVENT ALLOW MEDIUM REMOVAL */
void
varve_smc_encode_prevent(struct varve_scsi_command *ret, bool prevent)
{
    start(ret, 0x1e, 6);
    ret->cdb[4] = prevent ? 1 : 0;
}

static bool
ranges_overlap(const struct varve_smc_range *a, const struct varve_smc_range *b)
{
    return a->count > 0 && b->count > 0 && a->first < b->first + b->count &&
           b->first < a->first + a->count;
}

static bool
check_assignment(const struct varve_smc_assignment *map, struct varve_error *err)
{
    for (unsigned a = VARVE_ELEMENT_TRANSPORT; a <= VARVE_ELEMENT_DRIVE; a++) {
        if (map->of[a].first + map->of[a].count > 0x10000)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "mode page 1Dh: %u elements of type %u from address %u do not "
                                   "fit into 16 bits",
                                   map->of[a].count, a, map->of[a].first);
        for (unsigned b = VARVE_ELEMENT_TRANSPORT; b < a; b++) {
            if (ranges_overlap(&map->of[a], &map->of[b]))
                return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                       "mode page 1Dh: elements of type %u and %u overlap at "
                                       "address %u",
                                       b, a, map->of[a].first);
        }
    }
    return true;
}

/* SMC-3, element address assignment mode page, behind the mode parameter header of SPC-4. */
bool
varve_smc_decode_assignment(const uint8_t *bytes, size_t size, struct varve_smc_assignment *ret,
                            struct varve_error *err)
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    uint8_t length, medium, specific, blocks, page, page_bytes;
    (void)varve_cursor_u8(&cursor, &length); /* a failed read makes the later ones fail */
    (void)varve_cursor_u8(&cursor, &medium);
    (void)varve_cursor_u8(&cursor, &specific);
    (void)varve_cursor_u8(&cursor, &blocks);
    (void)varve_cursor_skip(&cursor, blocks);
    (void)varve_cursor_u8(&cursor, &page);
    if (!varve_cursor_u8(&cursor, &page_bytes))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "mode page 1Dh: only %zu bytes", size);
    if ((page & 0x3f) != 0x1d)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "mode page 1Dh: got page %02Xh",
                               page & 0x3f);
    struct varve_smc_assignment map = {0};
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++) {
        (void)varve_cursor_be16(&cursor, &map.of[type].first);
        (void)varve_cursor_be16(&cursor, &map.of[type].count);
    }
    if (cursor.failed || page_bytes < 16)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "mode page 1Dh: cut short");
    /* Some HP changers report no transport at all, and have one. */
    if (map.of[VARVE_ELEMENT_TRANSPORT].count == 0)
        map.of[VARVE_ELEMENT_TRANSPORT].first = 0;
    if (!check_assignment(&map, err))
        return false;
    *ret = map;
    return true;
}

/* Copies printable characters up to the first other byte, without blanks at the end. */
static void
copy_text(const uint8_t *bytes, size_t size, char *ret, size_t ret_bytes)
{
    size_t used = 0;
    while (used < size && used + 1 < ret_bytes && bytes[used] >= 0x20 && bytes[used] < 0x7f) {
        ret[used] = (char)bytes[used];
        used++;
    }
    while (used > 0 && ret[used - 1] == ' ')
        used--;
    ret[used] = 0;
}

/* SMC-3 6.10, volume tag. A label that is no possible bar code counts as unread: the disc is then
 * known by its slot only. */
static void
decode_tag(const uint8_t *tag, struct varve_barcode *ret)
{
    char text[VARVE_BARCODE_BYTES];
    copy_text(tag, 32, text, sizeof text);
    if (!varve_barcode_make(text, ret))
        ret->text[0] = 0;
}

/* The identification descriptor behind the tags (SMC-3 6.10): its type byte is not to be trusted
 * (tgt puts the device type there), so the text counts. */
static void
decode_device_id(struct varve_cursor *cursor, struct varve_smc_element *ret)
{
    uint8_t code_set, type, reserved, length;
    const uint8_t *id;
    (void)varve_cursor_u8(cursor, &code_set);
    (void)varve_cursor_u8(cursor, &type);
    (void)varve_cursor_u8(cursor, &reserved);
    if (!varve_cursor_u8(cursor, &length))
        return;
    uint64_t left = varve_cursor_left(cursor);
    uint64_t take = length < left ? length : left; /* a cut identifier still helps: prefix match */
    if (!varve_cursor_take(cursor, take, &id))
        return;
    if ((code_set & 0x0f) == 2)
        copy_text(id, take, ret->device_id, sizeof ret->device_id);
    /* Binary: a world wide name, as hex digits; a cut one names nobody. */
    size_t digits = (code_set & 0x0f) == 1 && take == length && take <= 32 ? take : 0;
    for (size_t i = 0; i < digits; i++)
        (void)snprintf(ret->device_id + 2 * i, 3, "%02x", id[i]);
}

enum descriptor_verdict { DESCRIPTOR_WHOLE, DESCRIPTOR_CUT, DESCRIPTOR_JUNK };

static void
decode_flags(const uint8_t *d, enum varve_element_type type, struct varve_smc_element *ret)
{
    *ret = (struct varve_smc_element){.element = {.type = type}};
    ret->element.address = varve_get_be16(d);
    ret->element.full = d[2] & 0x01;
    ret->imported = type == VARVE_ELEMENT_MAIL_SLOT && d[2] & 0x02;
    ret->access = d[2] & 0x08;
    ret->element.exception = d[2] & 0x04;
    if (ret->element.exception) {
        ret->element.asc = d[4];
        ret->element.ascq = d[5];
    }
    ret->element.has_source = d[9] & 0x80;
    if (ret->element.has_source)
        ret->element.source = varve_get_be16(d + 10);
}

/* SMC-3 6.10, element descriptor; `cursor` is over one descriptor of at most the page's descriptor
 * length. */
static enum descriptor_verdict
decode_descriptor(struct varve_cursor *cursor, enum varve_element_type type, bool has_tag,
                  bool has_alternate, struct varve_smc_element *ret)
{
    const uint8_t *fixed;
    const uint8_t *tag;
    if (!varve_cursor_take(cursor, 12, &fixed))
        return DESCRIPTOR_JUNK;
    decode_flags(fixed, type, ret);
    if (has_tag) {
        /* The last four bytes of a tag are a number nobody uses; tgt cuts them off. */
        if (!varve_cursor_take(cursor, 32, &tag))
            return DESCRIPTOR_CUT;
        if (ret->element.full)
            decode_tag(tag, &ret->element.barcode);
        (void)varve_cursor_skip(cursor, 4);
    }
    if (has_alternate)
        (void)varve_cursor_skip(cursor, 36);
    if (type == VARVE_ELEMENT_DRIVE && !cursor->failed)
        decode_device_id(cursor, ret);
    return DESCRIPTOR_WHOLE;
}

struct page {
    uint8_t type, flags;
    uint16_t descriptor_bytes;
    struct varve_cursor body;
};

/* SMC-3 6.10, element status page. Steps over the page; a page that claims more than there is has
 * what is left. */
static bool
next_page(struct varve_cursor *cursor, struct page *ret)
{
    uint8_t reserved;
    uint32_t body_bytes;
    (void)varve_cursor_u8(cursor, &ret->type);
    (void)varve_cursor_u8(cursor, &ret->flags);
    (void)varve_cursor_be16(cursor, &ret->descriptor_bytes);
    (void)varve_cursor_u8(cursor, &reserved);
    if (!varve_cursor_be24(cursor, &body_bytes))
        return false;
    uint64_t left = varve_cursor_left(cursor);
    return varve_cursor_sub(cursor, body_bytes < left ? body_bytes : left, &ret->body);
}

struct collector {
    struct varve_smc_element *ret;
    size_t max, count;
    int32_t cut;
};

static void
collect_page(struct page *page, enum varve_element_type type, struct collector *into)
{
    /* 16 bytes are the standard's least; ADIC counts elements in pages of zero-length ones. */
    if (page->descriptor_bytes < 12)
        return;
    while (into->count < into->max && varve_cursor_left(&page->body) > 0) {
        uint64_t left = varve_cursor_left(&page->body);
        uint64_t take = page->descriptor_bytes < left ? page->descriptor_bytes : left;
        struct varve_cursor one;
        if (!varve_cursor_sub(&page->body, take, &one))
            return;
        struct varve_smc_element *slot = &into->ret[into->count];
        enum descriptor_verdict verdict =
            decode_descriptor(&one, type, page->flags & 0x80, page->flags & 0x40, slot);
        if (verdict == DESCRIPTOR_JUNK)
            return;
        if (verdict == DESCRIPTOR_CUT) {
            into->cut = slot->element.address;
            return;
        }
        into->count++;
    }
}

size_t
varve_smc_decode_elements(const uint8_t *bytes, size_t size, enum varve_element_type type,
                          struct varve_smc_element *ret, size_t max, int32_t *ret_cut)
{
    /* Nothing of the 8-byte header is believed: first address and byte count are junk on some
     * units (SMC-3 6.10); the bytes that came are the bound. */
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    struct collector into = {.ret = ret, .max = max, .cut = -1};
    struct page page;
    if (varve_cursor_skip(&cursor, 8)) {
        while (next_page(&cursor, &page)) {
            if (page.type == (uint8_t)type)
                collect_page(&page, type, &into);
        }
    }
    *ret_cut = into.cut;
    return into.count;
}

bool
varve_smc_type_of(const struct varve_smc_assignment *map, uint16_t address,
                  enum varve_element_type *ret)
{
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++) {
        const struct varve_smc_range *range = &map->of[type];
        if (address >= range->first && address < range->first + range->count) {
            *ret = (enum varve_element_type)type;
            return true;
        }
    }
    return false;
}

/* SPC-4, standard INQUIRY data */
bool
varve_smc_decode_inquiry(const uint8_t *bytes, size_t size, struct varve_inquiry *ret)
{
    if (size < 36)
        return false;
    ret->device_type = bytes[0] & 0x1f;
    copy_text(bytes + 8, 8, ret->vendor, sizeof ret->vendor);
    copy_text(bytes + 16, 16, ret->product, sizeof ret->product);
    copy_text(bytes + 32, 4, ret->revision, sizeof ret->revision);
    return true;
}

/* SPC-4, unit serial number page; padded on the left by some. */
bool
varve_smc_decode_serial(const uint8_t *bytes, size_t size, char ret[33])
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    uint8_t type, page, high, length;
    const uint8_t *text;
    (void)varve_cursor_u8(&cursor, &type);
    (void)varve_cursor_u8(&cursor, &page);
    (void)varve_cursor_u8(&cursor, &high);
    if (!varve_cursor_u8(&cursor, &length) || page != 0x80)
        return false;
    uint64_t left = varve_cursor_left(&cursor);
    uint64_t take = length < left ? length : left;
    if (!varve_cursor_take(&cursor, take, &text))
        return false;
    while (take > 0 && *text == ' ') {
        text++;
        take--;
    }
    copy_text(text, take, ret, 33);
    return ret[0] != 0;
}
