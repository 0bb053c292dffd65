/* SPDX-License-Identifier: Apache-2.0 */
/* What a changer says of its elements (READ ELEMENT STATUS), as bytes from units that lie. */
#include "smc_codec.h"

#include <string.h>
#include <varve/byteorder.h>
#include <varve/cursor.h>

/* SMC-3 6.10, volume tag. A label that is no possible bar code counts as unread: the disc is then
 * known by its slot only. */
void
varve_smc_decode_tag(const uint8_t tag[VARVE_SMC_TAG_BYTES], struct varve_barcode *ret)
{
    char text[VARVE_BARCODE_BYTES];
    varve_smc_copy_text(tag, VARVE_SMC_TAG_BYTES, text, sizeof text);
    if (!varve_barcode_make(text, ret))
        *ret = (struct varve_barcode){{0}};
}

static void
copy_hex(const uint8_t *bytes, size_t size, char ret[VARVE_SMC_DEVICE_ID_BYTES])
{
    size_t used = 0;
    for (size_t i = 0; i < size && used + 2 < VARVE_SMC_DEVICE_ID_BYTES; i++, used += 2)
        (void)snprintf(ret + used, 3, "%02x", bytes[i]);
    ret[used] = 0;
}

/* SMC-3 6.10: its type byte is not to be trusted (tgt puts the device type there), so the text
 * counts. Code set 1 is binary (NAA), 2 ASCII, 3 UTF-8. */
void
varve_smc_decode_device_id(const uint8_t *bytes, size_t size, char ret[VARVE_SMC_DEVICE_ID_BYTES])
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    uint8_t code_set, type, reserved, length;
    const uint8_t *id;
    ret[0] = 0;
    (void)varve_cursor_u8(&cursor, &code_set);
    (void)varve_cursor_u8(&cursor, &type);
    (void)varve_cursor_u8(&cursor, &reserved);
    if (!varve_cursor_u8(&cursor, &length))
        return;
    uint64_t left = varve_cursor_left(&cursor);
    uint64_t take = length < left ? length : left; /* a cut identifier still helps: prefix match */
    if (!varve_cursor_take(&cursor, take, &id))
        return;
    if ((code_set & 0x0f) == 1)
        copy_hex(id, take, ret);
    else if ((code_set & 0x0f) == 2 || (code_set & 0x0f) == 3)
        varve_smc_copy_text(id, take, ret, VARVE_SMC_DEVICE_ID_BYTES);
}

/* What is left of the descriptor behind the tags. */
static void
take_device_id(struct varve_cursor *cursor, struct varve_smc_element *ret)
{
    const uint8_t *rest;
    uint64_t left = varve_cursor_left(cursor);
    if (varve_cursor_take(cursor, left, &rest))
        varve_smc_decode_device_id(rest, left, ret->device_id);
}

enum descriptor_verdict { DESCRIPTOR_WHOLE, DESCRIPTOR_CUT, DESCRIPTOR_JUNK };

static void
decode_flags(const uint8_t *d, enum varve_element_type type, struct varve_smc_element *ret)
{
    *ret = (struct varve_smc_element){.element = {.type = type}};
    ret->element.address = varve_get_be16(d);
    ret->element.full = d[2] & 0x01;
    if (type == VARVE_ELEMENT_MAIL_SLOT) {
        ret->imported = d[2] & 0x02;
        ret->may_export = d[2] & 0x10;
        ret->may_import = d[2] & 0x20;
    }
    ret->access = d[2] & 0x08;
    ret->element.exception = d[2] & 0x04;
    if (ret->element.exception) {
        ret->element.asc = d[4];
        ret->element.ascq = d[5];
    }
    ret->inverted = d[9] & 0x40;
    ret->disabled = d[9] & 0x08;
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
        if (!varve_cursor_take(cursor, VARVE_SMC_TAG_BYTES, &tag))
            return DESCRIPTOR_CUT;
        if (ret->element.full)
            varve_smc_decode_tag(tag, &ret->element.barcode);
        (void)varve_cursor_skip(cursor, 4);
    }
    if (has_alternate)
        (void)varve_cursor_skip(cursor, 36);
    if (type == VARVE_ELEMENT_DRIVE && !cursor->failed)
        take_device_id(cursor, ret);
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
