/* SPDX-License-Identifier: Apache-2.0 */
/* What a unit says of itself when it is asked by commands. */
#include <varve/probe.h>

#include <string.h>
#include <varve/byteorder.h>
#include <varve/cursor.h>

#include "exec.h"
#include "mmc_codec.h"
#include "smc_codec.h"

#define ASK_SECONDS 10 /* a drive that is busy does not hold up the whole probe */

static struct varve_scsi_device
device_of(struct varve_scsi_port *port, struct varve_clock *clock)
{
    return (struct varve_scsi_device){
        .port = port, .clock = clock, .ready_ns = ASK_SECONDS * VARVE_NS_PER_SECOND};
}

static bool
ask_page_80(struct varve_scsi_device *device, char ret[33])
{
    uint8_t data[252];
    struct varve_scsi_command command;
    struct varve_error unused = {0}; /* a drive without it is asked otherwise */
    varve_smc_encode_inquiry_vpd(&command, 0x80, data, sizeof data);
    return varve_scsi_run(device, &command, &unused) &&
           varve_smc_decode_serial(data, command.received_bytes, ret);
}

static bool
ask_feature_108(struct varve_scsi_device *device, char ret[VARVE_DEVICE_SERIAL_BYTES])
{
    uint8_t data[256];
    struct varve_scsi_command command;
    struct varve_error unused = {0};
    varve_mmc_encode_get_configuration(&command, data, sizeof data);
    varve_put_be16(command.cdb + 2, 0x0108); /* RT 2: this feature only */
    return varve_scsi_run(device, &command, &unused) &&
           varve_probe_decode_serial(data, command.received_bytes, ret);
}

static void
ask_serial(struct varve_scsi_device *device, bool drive, char ret[VARVE_DEVICE_SERIAL_BYTES])
{
    char serial[33];
    if (ask_page_80(device, serial))
        (void)snprintf(ret, VARVE_DEVICE_SERIAL_BYTES, "%s", serial);
    else if (!drive || !ask_feature_108(device, ret))
        ret[0] = 0;
}

void
varve_probe_identify(struct varve_probe_drive *drive, struct varve_clock *clock)
{
    if (drive->port == NULL || drive->serial[0] != 0)
        return;
    struct varve_scsi_device device = device_of(drive->port, clock);
    ask_serial(&device, true, drive->serial);
}

bool
varve_probe_inquire(struct varve_scsi_port *port, struct varve_clock *clock,
                    struct varve_device *ret, struct varve_error *err)
{
    uint8_t data[252];
    struct varve_scsi_command command;
    struct varve_inquiry inquiry;
    struct varve_scsi_device device = device_of(port, clock);
    varve_smc_encode_inquiry(&command, data, sizeof data);
    if (!varve_scsi_run(&device, &command, err))
        return false;
    if (!varve_smc_decode_inquiry(data, command.received_bytes, &inquiry))
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "INQUIRY: unreadable answer");
    ret->kind = (enum varve_device_kind)inquiry.device_type;
    memcpy(ret->vendor, inquiry.vendor, sizeof ret->vendor);
    memcpy(ret->product, inquiry.product, sizeof ret->product);
    memcpy(ret->revision, inquiry.revision, sizeof ret->revision);
    ask_serial(&device, ret->kind == VARVE_DEVICE_DRIVE, ret->serial);
    return true;
}

/* SPC-4 6.33: a list of 8-byte LUNs behind 8 bytes; of these, single-level ones with peripheral or
 * flat addressing (SAM-5 4.7), which is all that URLs can say. */
size_t
varve_probe_decode_luns(const uint8_t *bytes, size_t size, uint16_t *ret, size_t max)
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    uint32_t length, reserved, rest;
    uint16_t first, second;
    size_t count = 0;
    (void)varve_cursor_be32(&cursor, &length);
    if (!varve_cursor_be32(&cursor, &reserved))
        return 0;
    for (uint32_t at = 0; at + 8 <= length && count < max; at += 8) {
        (void)varve_cursor_be16(&cursor, &first);
        (void)varve_cursor_be16(&cursor, &second);
        if (!varve_cursor_be32(&cursor, &rest))
            break; /* what came is the bound, whatever the header says */
        unsigned method = first >> 14;
        if (second != 0 || rest != 0 || method > 1 || (method == 0 && first > 0xff))
            continue;
        ret[count++] = first & 0x3fff;
    }
    return count;
}

bool
varve_probe_luns(struct varve_scsi_port *port, struct varve_clock *clock, uint16_t *ret, size_t max,
                 size_t *ret_count, struct varve_error *err)
{
    uint8_t data[8 + 8 * VARVE_PROBE_LUNS_MAX];
    struct varve_scsi_device device = device_of(port, clock);
    struct varve_scsi_command command = {.cdb = {0xa0},
                                         .cdb_bytes = 12,
                                         .direction = VARVE_SCSI_FROM_DEVICE,
                                         .data = data,
                                         .data_bytes = sizeof data};
    varve_put_be32(command.cdb + 6, sizeof data);
    if (!varve_scsi_run(&device, &command, err))
        return varve_error_wrap(err, "REPORT LUNS");
    *ret_count = varve_probe_decode_luns(data, command.received_bytes, ret, max);
    return true;
}

/* MMC-6 5.3.38, logical unit serial number feature: 8 bytes of header, 4 of the descriptor. */
bool
varve_probe_decode_serial(const uint8_t *bytes, size_t size, char ret[VARVE_DEVICE_SERIAL_BYTES])
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    uint16_t code;
    uint8_t flags, length;
    const uint8_t *text;
    (void)varve_cursor_skip(&cursor, 8);
    (void)varve_cursor_be16(&cursor, &code);
    (void)varve_cursor_u8(&cursor, &flags);
    if (!varve_cursor_u8(&cursor, &length) || code != 0x0108 ||
        !varve_cursor_take(&cursor, length, &text))
        return false;
    size_t used = 0;
    for (size_t i = 0; i < length && used + 1 < VARVE_DEVICE_SERIAL_BYTES; i++) {
        if (text[i] > ' ' && text[i] <= '~')
            ret[used++] = (char)text[i];
    }
    ret[used] = 0;
    return used > 0;
}
