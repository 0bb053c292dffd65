/* SPDX-License-Identifier: Apache-2.0 */
/* Serial numbers in answers become others of the same shape: the same number always the same other,
 * and the front part of a number the front part of the other, as changers cut them (reference 1.7).
 */
#include "port_trace.h"

#include <string.h>
#include <varve/byteorder.h>
#include <varve/checksum.h>

#define DESCRIPTORS_MAX 4096u

static bool
is_blank(uint8_t byte)
{
    return byte <= ' ' || byte > '~';
}

static uint8_t
other_of(uint8_t byte, uint32_t by)
{
    if (byte >= '0' && byte <= '9')
        return (uint8_t)('0' + by % 10);
    if (byte >= 'A' && byte <= 'Z')
        return (uint8_t)('A' + by % 26);
    if (byte >= 'a' && byte <= 'z')
        return (uint8_t)('a' + by % 26);
    return byte;
}

static void
mask_text(uint32_t key, uint8_t *bytes, size_t size)
{
    while (size > 0 && is_blank(bytes[0])) {
        bytes++;
        size--;
    }
    for (size_t i = 0; i < size; i++) {
        key = varve_crc32c(key, &bytes[i], 1);
        bytes[i] = other_of(bytes[i], key >> 8);
    }
}

static void
mask_binary(uint32_t key, uint8_t *bytes, size_t size)
{
    for (size_t i = 1; i < size; i++) { /* the first byte has the format */
        key = varve_crc32c(key, &bytes[i], 1);
        bytes[i] = (uint8_t)(key >> 8);
    }
}

/* A designator (SPC-4 7.8.6): text is vendor 8, product 16, serial number; or all serial number. */
static void
mask_designator(uint32_t key, uint8_t code_set, uint8_t *bytes, size_t size)
{
    if ((code_set & 0x0f) == 1)
        mask_binary(key, bytes, size);
    else if (size > 24)
        mask_text(key, bytes + 24, size - 24);
    else
        mask_text(key, bytes, size);
}

static size_t
at_most(size_t wanted, size_t left)
{
    return wanted < left ? wanted : left;
}

static void
mask_inquiry(uint32_t key, const uint8_t *cdb, uint8_t *bytes, size_t size)
{
    bool vpd = (cdb[1] & 1) != 0;
    if (!vpd && size > 36)
        mask_text(key, bytes + 36, at_most(20, size - 36)); /* vendor specific: often the serial */
    if (vpd && cdb[2] == 0x80 && size > 4)
        mask_text(key, bytes + 4, size - 4);
    if (!vpd || cdb[2] != 0x83)
        return;
    for (size_t at = 4; at + 4 <= size;) {
        size_t length = at_most(bytes[at + 3], size - at - 4);
        mask_designator(key, bytes[at], bytes + at + 4, length);
        at += 4 + length;
    }
}

/* Feature 0108h of GET CONFIGURATION (MMC-6 5.3.46). */
static void
mask_configuration(uint32_t key, uint8_t *bytes, size_t size)
{
    for (size_t at = 8; at + 4 <= size;) {
        size_t length = at_most(bytes[at + 3], size - at - 4);
        if (varve_get_be16(bytes + at) == 0x0108)
            mask_text(key, bytes + at + 4, length);
        at += 4 + length;
    }
}

/* The identifier behind the volume tags of a drive's descriptor. */
static void
mask_element(uint32_t key, uint8_t flags, uint8_t *bytes, size_t size)
{
    size_t at = 12 + ((flags & 0x80) != 0 ? 36u : 0u) + ((flags & 0x40) != 0 ? 36u : 0u);
    if (at + 4 > size)
        return;
    mask_designator(key, bytes[at], bytes + at + 4, at_most(bytes[at + 3], size - at - 4));
}

static void
mask_elements(uint32_t key, uint8_t *bytes, size_t size)
{
    unsigned seen = 0;
    for (size_t page = 8; page + 8 <= size && seen < DESCRIPTORS_MAX;) {
        size_t step = varve_get_be16(bytes + page + 2);
        size_t length = at_most(varve_get_be24(bytes + page + 5), size - page - 8);
        bool drives = bytes[page] == 4 && step > 0;
        for (size_t at = 0; drives && at < length && seen < DESCRIPTORS_MAX; at += step, seen++)
            mask_element(key, bytes[page + 1], bytes + page + 8 + at, at_most(step, length - at));
        page += 8 + length;
        seen++;
    }
}

void
trace_mask(uint32_t key, const uint8_t *cdb, uint8_t *bytes, size_t size)
{
    if (cdb[0] == 0x12)
        mask_inquiry(key, cdb, bytes, size);
    else if (cdb[0] == 0x46)
        mask_configuration(key, bytes, size);
    else if (cdb[0] == 0xb8 && (cdb[6] & 1) != 0)
        mask_elements(key, bytes, size);
}
