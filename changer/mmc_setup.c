/* SPDX-License-Identifier: Apache-2.0 */
/* Formatting, write parameters, speeds, and what else is said to a drive around a burn (MMC-6). */
#include "cdb.h"
#include "mmc_codec.h"

#include <string.h>
#include <varve/byteorder.h>
#include <varve/cursor.h>

/* MMC-6, READ FORMAT CAPACITIES */
void
varve_mmc_encode_format_capacities(struct varve_scsi_command *ret, uint8_t *data, uint16_t bytes)
{
    cdb_start(ret, 0x23, 10);
    varve_put_be16(ret->cdb + 7, bytes);
    cdb_expect(ret, data, bytes);
}

/* The list length must be a multiple of 8 (growisofs); what a short answer cuts off is left out. */
bool
varve_mmc_decode_format_capacities(const uint8_t *bytes, size_t size, struct varve_mmc_formats *ret)
{
    *ret = (struct varve_mmc_formats){0};
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    const uint8_t *b;
    uint8_t length;
    if (!varve_cursor_skip(&cursor, 3) || !varve_cursor_u8(&cursor, &length) || length < 8 ||
        length % 8 != 0 || !varve_cursor_take(&cursor, 8, &b))
        return false;
    uint8_t state = b[4] & 0x03;
    if (state == 0)
        return false;
    ret->state = (enum varve_mmc_format_state)state;
    ret->blocks = varve_get_be32(b);
    unsigned listed = length / 8u - 1u;
    while (ret->count < listed && varve_cursor_take(&cursor, 8, &b)) {
        ret->list[ret->count++] = (struct varve_mmc_format){
            .blocks = varve_get_be32(b),
            .type = b[4],
            .parameter = varve_get_be32(b + 4) & 0xffffff,
        };
    }
    return true;
}

/* MMC-6, FORMAT UNIT: FMTDATA, format code 1; FOV as libburn has it. */
void
varve_mmc_encode_format(struct varve_scsi_command *ret, const struct varve_mmc_format *format,
                        uint8_t data[12])
{
    cdb_start(ret, 0x04, 6);
    ret->cdb[1] = 0x11;
    memset(data, 0, 12);
    data[1] = 0x82; /* FOV, IMMED */
    data[3] = 8;
    varve_put_be32(data + 4, format->blocks);
    varve_put_be32(data + 8, format->parameter & 0xffffff);
    data[8] = format->type;
    cdb_send(ret, data, 12);
}

/* MMC-6, MODE SELECT (10) with page 05h: buffer under-run protection; write type 0 incremental or 2
 * session at once; no other session follows; track mode 5 and block type 8 as DVDs need. */
void
varve_mmc_encode_write_page(struct varve_scsi_command *ret, bool incremental,
                            uint8_t data[VARVE_MMC_WRITE_PAGE_BYTES])
{
    cdb_start(ret, 0x55, 10);
    ret->cdb[1] = 0x10; /* PF */
    varve_put_be16(ret->cdb + 7, VARVE_MMC_WRITE_PAGE_BYTES);
    memset(data, 0, VARVE_MMC_WRITE_PAGE_BYTES);
    uint8_t *page = data + 8;
    page[0] = 0x05;
    page[1] = 0x32;
    page[2] = (uint8_t)(0x40 | (incremental ? 0x20 : 0x02)); /* BUFE; LS_V */
    page[3] = (uint8_t)(incremental ? 0x20 | 0x05 : 0x05);   /* FP */
    page[4] = 0x08;
    page[5] = incremental ? 16 : 0; /* link size: one ECC block */
    if (incremental)
        varve_put_be32(page + 10, 16); /* packet size */
    cdb_send(ret, data, VARVE_MMC_WRITE_PAGE_BYTES);
}

/* MMC-6, RESERVE TRACK */
void
varve_mmc_encode_reserve(struct varve_scsi_command *ret, uint32_t sectors)
{
    cdb_start(ret, 0x53, 10);
    varve_put_be32(ret->cdb + 5, sectors);
}

/* MMC-6, SET STREAMING; RDD (restore the drive's own choice) when nothing is asked for. */
void
varve_mmc_encode_streaming(struct varve_scsi_command *ret, uint32_t last, uint32_t read,
                           uint32_t write, uint8_t data[28])
{
    cdb_start(ret, 0xb6, 12);
    varve_put_be16(ret->cdb + 9, 28);
    memset(data, 0, 28);
    data[0] = read == 0 && write == 0 ? 0x04 : 0;
    varve_put_be32(data + 8, last);
    varve_put_be32(data + 12, read != 0 ? read : UINT32_MAX);
    varve_put_be32(data + 16, 1000);
    varve_put_be32(data + 20, write != 0 ? write : UINT32_MAX);
    varve_put_be32(data + 24, 1000);
    cdb_send(ret, data, 28);
}

static uint16_t
speed_of(uint32_t wanted)
{
    return wanted == 0 || wanted > 0xffff ? 0xffff : (uint16_t)wanted;
}

/* MMC-5, SET CD SPEED; FFFFh is the fastest. */
void
varve_mmc_encode_speed(struct varve_scsi_command *ret, uint32_t read, uint32_t write)
{
    cdb_start(ret, 0xbb, 12);
    varve_put_be16(ret->cdb + 2, speed_of(read));
    varve_put_be16(ret->cdb + 4, speed_of(write));
}

/* MMC-6, GET PERFORMANCE, type 03h */
void
varve_mmc_encode_write_speeds(struct varve_scsi_command *ret, uint8_t *data, unsigned speeds)
{
    cdb_start(ret, 0xac, 12);
    varve_put_be16(ret->cdb + 8, (uint16_t)speeds);
    ret->cdb[10] = 0x03;
    cdb_expect(ret, data, 8 + 16 * speeds);
}

bool
varve_mmc_decode_write_speeds(const uint8_t *bytes, size_t size, struct varve_mmc_speeds *ret)
{
    *ret = (struct varve_mmc_speeds){0};
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    uint32_t length;
    const uint8_t *b;
    if (!varve_cursor_be32(&cursor, &length) || !varve_cursor_skip(&cursor, 4))
        return false;
    uint64_t listed = length > 4 ? (length - 4) / 16 : 0;
    while (ret->count < listed && ret->count < VARVE_MMC_SPEEDS_MAX &&
           varve_cursor_take(&cursor, 16, &b)) {
        ret->list[ret->count].end = varve_get_be32(b + 4);
        ret->list[ret->count].read = varve_get_be32(b + 8);
        ret->list[ret->count].write = varve_get_be32(b + 12);
        ret->count++;
    }
    return true;
}

/* MMC-6, GET EVENT STATUS NOTIFICATION, class 4 (media) */
void
varve_mmc_encode_event(struct varve_scsi_command *ret, uint8_t data[8])
{
    cdb_start(ret, 0x4a, 10);
    ret->cdb[1] = 0x01;
    ret->cdb[4] = 0x10;
    varve_put_be16(ret->cdb + 7, 8);
    cdb_expect(ret, data, 8);
}

bool
varve_mmc_decode_event(const uint8_t *bytes, size_t size, struct varve_mmc_event *ret)
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    const uint8_t *b;
    if (!varve_cursor_take(&cursor, 6, &b) || varve_get_be16(b) < 4 || b[2] & 0x80 ||
        (b[2] & 0x07) != 4)
        return false;
    *ret = (struct varve_mmc_event){
        .code = b[4] & 0x0f, .present = b[5] & 0x02, .tray_open = b[5] & 0x01};
    return true;
}

/* MMC-6, READ DISC STRUCTURE, medium type 1 (BD), format 00h. Without byte 1 drives answer with DVD
 * data (qpxtool issue 3). */
void
varve_mmc_encode_structure(struct varve_scsi_command *ret, uint8_t *data, uint16_t bytes)
{
    cdb_start(ret, 0xad, 12);
    ret->cdb[1] = 0x01;
    varve_put_be16(ret->cdb + 8, bytes);
    cdb_expect(ret, data, bytes);
}

static void
take_text(const uint8_t *bytes, size_t size, char *ret)
{
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] > 0x20 && bytes[i] < 0x7f)
            ret[used++] = (char)bytes[i];
    }
    ret[used] = 0;
}

bool
varve_mmc_decode_maker(const uint8_t *bytes, size_t size, struct varve_mmc_maker *ret)
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    const uint8_t *b;
    if (!varve_cursor_skip(&cursor, 4) || !varve_cursor_take(&cursor, 112, &b) ||
        memcmp(b, "DI", 2) != 0)
        return false;
    take_text(b + 8, 3, ret->type);
    take_text(b + 100, 6, ret->manufacturer);
    take_text(b + 106, 3, ret->media);
    ret->revision = b[111];
    return true;
}
