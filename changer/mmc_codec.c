/* SPDX-License-Identifier: Apache-2.0 */
#include "mmc_codec.h"
#include "cdb.h"

#include <varve/byteorder.h>
#include <varve/cursor.h>

/* MMC-6, GET CONFIGURATION; RT 0, all features: RT 1 would do, but is less often used. */
void
varve_mmc_encode_get_configuration(struct varve_scsi_command *ret, uint8_t *data, uint16_t bytes)
{
    cdb_start(ret, 0x46, 10);
    varve_put_be16(ret->cdb + 7, bytes);
    cdb_expect(ret, data, bytes);
}

/* SPC-4, REQUEST SENSE, fixed format */
void
varve_mmc_encode_request_sense(struct varve_scsi_command *ret, uint8_t *data, uint8_t bytes)
{
    cdb_start(ret, 0x03, 6);
    ret->cdb[4] = bytes;
    cdb_expect(ret, data, bytes);
}

/* MMC-6, READ DISC INFORMATION */
void
varve_mmc_encode_disc_information(struct varve_scsi_command *ret, uint8_t *data, uint16_t bytes)
{
    cdb_start(ret, 0x51, 10);
    varve_put_be16(ret->cdb + 7, bytes);
    cdb_expect(ret, data, bytes);
}

/* MMC-6, READ TRACK INFORMATION, address type 1: logical track number */
void
varve_mmc_encode_track_information(struct varve_scsi_command *ret, uint32_t track, uint8_t *data,
                                   uint16_t bytes)
{
    cdb_start(ret, 0x52, 10);
    ret->cdb[1] = 0x01;
    varve_put_be32(ret->cdb + 2, track);
    varve_put_be16(ret->cdb + 7, bytes);
    cdb_expect(ret, data, bytes);
}

/* MMC-6, READ CAPACITY */
void
varve_mmc_encode_read_capacity(struct varve_scsi_command *ret, uint8_t data[8])
{
    cdb_start(ret, 0x25, 10);
    cdb_expect(ret, data, 8);
}

/* MMC-6, READ (10) */
void
varve_mmc_encode_read(struct varve_scsi_command *ret, uint32_t lba, uint16_t sectors, uint8_t *data)
{
    cdb_start(ret, 0x28, 10);
    varve_put_be32(ret->cdb + 2, lba);
    varve_put_be16(ret->cdb + 7, sectors);
    cdb_expect(ret, data, sectors * VARVE_SECTOR_BYTES);
}

/* MMC-6, WRITE (10); the plain form, since streaming turns verification and replacement off. */
void
varve_mmc_encode_write(struct varve_scsi_command *ret, uint32_t lba, uint16_t sectors,
                       const uint8_t *data)
{
    cdb_start(ret, 0x2a, 10);
    varve_put_be32(ret->cdb + 2, lba);
    varve_put_be16(ret->cdb + 7, sectors);
    ret->direction = VARVE_SCSI_TO_DEVICE;
    ret->data = (uint8_t *)(uintptr_t)data; /* never written through for TO_DEVICE */
    ret->data_bytes = sectors * VARVE_SECTOR_BYTES;
}

/* MMC-6, SYNCHRONIZE CACHE */
void
varve_mmc_encode_synchronize(struct varve_scsi_command *ret, bool immediate)
{
    cdb_start(ret, 0x35, 10);
    ret->cdb[1] = immediate ? 0x02 : 0;
}

/* MMC-6, CLOSE TRACK/SESSION */
void
varve_mmc_encode_close(struct varve_scsi_command *ret, enum varve_mmc_close what, uint16_t track,
                       bool immediate)
{
    cdb_start(ret, 0x5b, 10);
    ret->cdb[1] = immediate ? 0x01 : 0;
    ret->cdb[2] = (uint8_t)what;
    varve_put_be16(ret->cdb + 4, track);
}

/* MMC-6, START STOP UNIT, byte 4: LOEJ and START */
void
varve_mmc_encode_start_stop(struct varve_scsi_command *ret, enum varve_mmc_tray what)
{
    cdb_start(ret, 0x1b, 6);
    ret->cdb[4] = (uint8_t)what;
}

/* MMC-6, GET CONFIGURATION, feature header */
bool
varve_mmc_decode_profile(const uint8_t *bytes, size_t size, uint16_t *ret)
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    return varve_cursor_skip(&cursor, 6) && varve_cursor_be16(&cursor, ret);
}

static void
take_serial(const uint8_t *bytes, size_t size, char ret[33])
{
    size_t used = 0;
    for (size_t i = 0; i < size && used < 32; i++) {
        if (bytes[i] > 0x20 && bytes[i] < 0x7f)
            ret[used++] = (char)bytes[i];
    }
    ret[used] = 0;
}

static void
take_feature(uint16_t code, bool current, struct varve_cursor *body, struct varve_mmc_features *ret)
{
    const uint8_t *bytes;
    size_t size = (size_t)varve_cursor_left(body);
    if (code == 0x0021)
        ret->incremental = current;
    else if (code == 0x0023)
        ret->formattable = current;
    else if (code == 0x0038)
        ret->pseudo_overwrite = current;
    else if (code == 0x0107)
        ret->streaming = current;
    else if (code == 0x0108 && varve_cursor_take(body, size, &bytes))
        take_serial(bytes, size, ret->serial);
}

/* MMC-6, GET CONFIGURATION, feature header and descriptors: four bytes and what they say follows.
 * tgt sends more than its header says, and drives less than theirs: both ends are bounds. */
bool
varve_mmc_decode_features(const uint8_t *bytes, size_t size, struct varve_mmc_features *ret)
{
    *ret = (struct varve_mmc_features){0};
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    uint32_t length;
    if (!varve_cursor_be32(&cursor, &length) || !varve_cursor_skip(&cursor, 2) ||
        !varve_cursor_be16(&cursor, &ret->profile))
        return false;
    uint64_t left = length > 4 ? length - 4 : 0;
    struct varve_cursor list, body;
    if (left > varve_cursor_left(&cursor))
        left = varve_cursor_left(&cursor);
    (void)varve_cursor_sub(&cursor, left, &list);
    for (;;) {
        uint16_t code;
        uint8_t flags, more;
        if (!varve_cursor_be16(&list, &code) || !varve_cursor_u8(&list, &flags) ||
            !varve_cursor_u8(&list, &more) || !varve_cursor_sub(&list, more, &body))
            return true;
        take_feature(code, flags & 0x01, &body, ret);
    }
}

/* MMC-6, READ DISC INFORMATION, standard disc information */
bool
varve_mmc_decode_disc(const uint8_t *bytes, size_t size, struct varve_mmc_disc *ret)
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    const uint8_t *b;
    if (!varve_cursor_take(&cursor, 12, &b) || varve_get_be16(b) < 10)
        return false;
    *ret = (struct varve_mmc_disc){
        .status = (enum varve_mmc_disc_status)(b[2] & 0x03),
        .last_session = b[2] >> 2 & 0x03,
        .erasable = b[2] & 0x10,
        .sessions = (uint16_t)(b[9] << 8 | b[4]),
        .last_track = (uint16_t)(b[11] << 8 | b[6]),
    };
    return true;
}

/* MMC-6, READ TRACK INFORMATION, track information block. Drives answer 28 to 48 bytes; the high
 * bytes of the numbers came with later ones.
 */
bool
varve_mmc_decode_track(const uint8_t *bytes, size_t size, struct varve_mmc_track *ret)
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    const uint8_t *b;
    if (!varve_cursor_take(&cursor, 28, &b) || varve_get_be16(b) < 26)
        return false;
    *ret = (struct varve_mmc_track){
        .track = b[2],
        .session = b[3],
        .damaged = b[5] & 0x20,
        .blank = b[6] & 0x40,
        .next_valid = b[7] & 0x01,
        .start = varve_get_be32(b + 8),
        .next = varve_get_be32(b + 12),
        .free = varve_get_be32(b + 16),
        .size = varve_get_be32(b + 24),
    };
    uint32_t last;
    uint8_t track_high, session_high;
    if (varve_cursor_be32(&cursor, &last) && b[7] & 0x02) {
        ret->last_valid = true;
        ret->last = last;
    }
    if (varve_cursor_u8(&cursor, &track_high) && varve_cursor_u8(&cursor, &session_high)) {
        ret->track = (uint16_t)(track_high << 8 | ret->track);
        ret->session = (uint16_t)(session_high << 8 | ret->session);
    }
    return true;
}

/* MMC-6, READ CAPACITY, response data */
bool
varve_mmc_decode_capacity(const uint8_t *bytes, size_t size, uint64_t *ret_sectors)
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    uint32_t last, block;
    if (!varve_cursor_be32(&cursor, &last) || !varve_cursor_be32(&cursor, &block))
        return false;
    if (block != VARVE_SECTOR_BYTES)
        return false;
    *ret_sectors = (uint64_t)last + 1;
    return true;
}
