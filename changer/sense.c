/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/byteorder.h>
#include <varve/cursor.h>
#include <varve/scsi.h>

#include <stdio.h>
#include <string.h>

/* SPC-4 table 43, sense keys. */
static const char *const key_words[16] = {
    "no sense",       "recovered error", "not ready",      "medium error",
    "hardware error", "illegal request", "unit attention", "data protect",
    "blank check",    "vendor specific", "copy aborted",   "aborted command",
    "reserved key",   "volume overflow", "miscompare",     "completed",
};

struct words {
    uint8_t asc, ascq;
    const char *text;
};

/* SPC-4 annex F, the codes that changers and optical drives are known to send. */
static const struct words code_words[] = {
    {0x02, 0x00, "no seek complete"},
    {0x03, 0x00, "peripheral device write fault"},
    {0x04, 0x00, "not ready, cause not reportable"},
    {0x04, 0x01, "becoming ready"},
    {0x04, 0x02, "not ready, initializing command required"},
    {0x04, 0x03, "not ready, manual intervention required"},
    {0x04, 0x04, "not ready, format in progress"},
    {0x04, 0x07, "not ready, operation in progress"},
    {0x04, 0x08, "not ready, long write in progress"},
    {0x04, 0x09, "not ready, self-test in progress"},
    {0x04, 0x12, "not ready, offline"},
    {0x06, 0x00, "no reference position found"},
    {0x08, 0x00, "communication failure"},
    {0x09, 0x00, "track following error"},
    {0x0c, 0x00, "write error"},
    {0x0c, 0x01, "write error recovered with reallocation"},
    {0x0c, 0x02, "write error, reallocation failed"},
    {0x0c, 0x07, "write error, recovery needed"},
    {0x0c, 0x08, "write error, recovery failed"},
    {0x0c, 0x09, "write error, loss of streaming"},
    {0x0c, 0x0f, "defects in error window"},
    {0x10, 0x00, "id CRC or ECC error"},
    {0x11, 0x00, "unrecovered read error"},
    {0x11, 0x01, "read retries exhausted"},
    {0x11, 0x02, "error too long to correct"},
    {0x11, 0x05, "L-EC uncorrectable error"},
    {0x11, 0x06, "CIRC unrecovered error"},
    {0x12, 0x00, "address mark not found for id field"},
    {0x14, 0x00, "recorded entity not found"},
    {0x15, 0x00, "random positioning error"},
    {0x15, 0x01, "mechanical positioning error"},
    {0x17, 0x00, "recovered data without error correction"},
    {0x18, 0x00, "recovered data with error correction"},
    {0x1a, 0x00, "parameter list length error"},
    {0x20, 0x00, "invalid command operation code"},
    {0x21, 0x00, "logical block address out of range"},
    {0x21, 0x01, "invalid element address"},
    {0x21, 0x02, "invalid address for write"},
    {0x24, 0x00, "invalid field in CDB"},
    {0x28, 0x00, "medium may have changed"},
    {0x28, 0x01, "import or export element accessed"},
    {0x29, 0x00, "power on, reset, or bus device reset occurred"},
    {0x29, 0x01, "power on occurred"},
    {0x29, 0x02, "bus reset occurred"},
    {0x29, 0x03, "device reset occurred"},
    {0x29, 0x04, "device internal reset"},
    {0x2a, 0x01, "mode parameters changed"},
    {0x2c, 0x00, "command sequence error"},
    {0x30, 0x00, "incompatible medium installed"},
    {0x30, 0x01, "cannot read medium, unknown format"},
    {0x30, 0x02, "cannot read medium, incompatible format"},
    {0x30, 0x05, "cannot write medium, incompatible format"},
    {0x31, 0x00, "medium format corrupted"},
    {0x31, 0x01, "format command failed"},
    {0x32, 0x00, "no defect spare location available"},
    {0x39, 0x00, "saving parameters not supported"},
    {0x3a, 0x00, "medium not present"},
    {0x3a, 0x01, "medium not present, tray closed"},
    {0x3a, 0x02, "medium not present, tray or door open"},
    {0x3b, 0x0d, "destination element is full"},
    {0x3b, 0x0e, "source element is empty"},
    {0x3b, 0x11, "magazine not accessible"},
    {0x3b, 0x12, "magazine removed"},
    {0x3b, 0x13, "magazine inserted"},
    {0x3b, 0x14, "magazine locked"},
    {0x3b, 0x15, "magazine unlocked"},
    {0x3b, 0x16, "mechanical positioning or changer error"},
    {0x3b, 0x18, "element disabled"},
    {0x3b, 0x1a, "data transfer element removed"},
    {0x3b, 0x1b, "data transfer element inserted"},
    {0x3e, 0x00, "logical unit has not configured itself yet"},
    {0x3f, 0x01, "microcode has been changed"},
    {0x3f, 0x03, "inquiry data has changed"},
    {0x3f, 0x0e, "reported LUNs data has changed"},
    {0x44, 0x00, "internal target failure"},
    {0x53, 0x00, "medium load or eject failed"},
    {0x53, 0x02, "medium removal prevented"},
    {0x53, 0x03, "medium removal prevented by data transfer element"},
    {0x63, 0x00, "end of user area encountered on this track"},
    {0x64, 0x00, "illegal mode for this track"},
    {0x72, 0x00, "session fixation error"},
    {0x72, 0x03, "session fixation error, incomplete track in session"},
    {0x73, 0x01, "power calibration area almost full"},
    {0x73, 0x02, "power calibration area is full"},
    {0x73, 0x03, "power calibration area error"},
};

/* SPC-4 4.5.3, fixed format. */
static void
decode_fixed(const uint8_t *bytes, size_t size, struct varve_scsi_sense *ret)
{
    if (size < 3)
        return;
    ret->valid = true;
    ret->key = bytes[2] & 0x0f;
    if (bytes[0] & 0x80 && size >= 7) {
        ret->has_information = true;
        ret->information = varve_get_be32(bytes + 3);
    }
    ret->asc = size > 12 ? bytes[12] : 0;
    ret->ascq = size > 13 ? bytes[13] : 0;
    /* Progress is defined for "not ready" and "no sense" only; for other keys these bytes point at
     * a field. */
    if (size >= 18 && bytes[15] & 0x80 && (ret->key == 0 || ret->key == 2)) {
        ret->has_progress = true;
        ret->progress = varve_get_be16(bytes + 16);
    }
}

/* SPC-4 4.5.2, descriptor format. */
static void
decode_descriptors(const uint8_t *bytes, size_t size, struct varve_scsi_sense *ret)
{
    if (size < 4)
        return;
    ret->valid = true;
    ret->key = bytes[1] & 0x0f;
    ret->asc = bytes[2];
    ret->ascq = bytes[3];
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    if (!varve_cursor_skip(&cursor, 8))
        return;
    for (;;) {
        uint8_t type, length;
        const uint8_t *body;
        if (!varve_cursor_u8(&cursor, &type) || !varve_cursor_u8(&cursor, &length) ||
            !varve_cursor_take(&cursor, length, &body))
            return;
        if (type == 0x00 && length >= 10 && body[0] & 0x80) {
            ret->has_information = true;
            ret->information = varve_get_be64(body + 2);
        }
        if (type == 0x02 && length >= 5 && body[2] & 0x80 && (ret->key == 0 || ret->key == 2)) {
            ret->has_progress = true;
            ret->progress = varve_get_be16(body + 3);
        }
    }
}

void
varve_scsi_sense_decode(const uint8_t *bytes, size_t size, struct varve_scsi_sense *ret)
{
    *ret = (struct varve_scsi_sense){0};
    if (size == 0)
        return;
    uint8_t code = bytes[0] & 0x7f;
    ret->deferred = code == 0x71 || code == 0x73;
    if (code == 0x70 || code == 0x71)
        decode_fixed(bytes, size, ret);
    else if (code == 0x72 || code == 0x73)
        decode_descriptors(bytes, size, ret);
    if (!ret->valid)
        *ret = (struct varve_scsi_sense){0};
}

static const char *
find_words(const struct varve_scsi_sense *sense)
{
    for (size_t i = 0; i < sizeof code_words / sizeof code_words[0]; i++) {
        if (code_words[i].asc == sense->asc && code_words[i].ascq == sense->ascq)
            return code_words[i].text;
    }
    return key_words[sense->key & 0x0f];
}

const char *
varve_scsi_sense_text(const struct varve_scsi_sense *sense, char ret[VARVE_SCSI_TEXT_BYTES])
{
    if (!sense->valid) {
        (void)snprintf(ret, VARVE_SCSI_TEXT_BYTES, "no readable sense data");
        return ret;
    }
    (void)snprintf(ret, VARVE_SCSI_TEXT_BYTES, "%s%s (%x/%02x/%02x)",
                   sense->deferred ? "earlier command: " : "", find_words(sense), sense->key,
                   sense->asc, sense->ascq);
    return ret;
}
