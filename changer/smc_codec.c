/* SPDX-License-Identifier: Apache-2.0 */
#include "smc_codec.h"
#include "cdb.h"

#include <string.h>
#include <varve/byteorder.h>
#include <varve/cursor.h>

/* SPC-4, TEST UNIT READY */
void
varve_smc_encode_test_unit_ready(struct varve_scsi_command *ret)
{
    cdb_start(ret, 0x00, 6);
}

/* SPC-4, INQUIRY */
void
varve_smc_encode_inquiry(struct varve_scsi_command *ret, uint8_t *data, uint16_t bytes)
{
    cdb_start(ret, 0x12, 6);
    varve_put_be16(ret->cdb + 3, bytes);
    cdb_expect(ret, data, bytes);
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
    cdb_start(ret, 0x1a, 6);
    ret->cdb[1] = no_blocks ? 0x08 : 0;
    ret->cdb[2] = page & 0x3f;
    ret->cdb[4] = bytes;
    cdb_expect(ret, data, bytes);
}

/* SMC-3, INITIALIZE ELEMENT STATUS */
void
varve_smc_encode_initialize(struct varve_scsi_command *ret)
{
    cdb_start(ret, 0x07, 6);
}

/* SMC-3 6.10, READ ELEMENT STATUS */
void
varve_smc_encode_read_status(struct varve_scsi_command *ret,
                             const struct varve_smc_status_request *request, uint8_t *data,
                             uint32_t bytes)
{
    cdb_start(ret, 0xb8, 12);
    ret->cdb[1] = (uint8_t)((request->voltag ? 0x10 : 0) | (uint8_t)request->type);
    varve_put_be16(ret->cdb + 2, request->start);
    varve_put_be16(ret->cdb + 4, request->count);
    ret->cdb[6] = (uint8_t)((request->curdata ? 0x02 : 0) | (request->dvcid ? 0x01 : 0));
    varve_put_be24(ret->cdb + 7, bytes);
    cdb_expect(ret, data, bytes);
}

/* SMC-3, INITIALIZE ELEMENT STATUS WITH RANGE; RANGE is bit 0 of byte 1. */
void
varve_smc_encode_initialize_range(struct varve_scsi_command *ret, uint8_t opcode, uint16_t first,
                                  uint16_t count)
{
    cdb_start(ret, opcode, 10);
    ret->cdb[1] = 0x01;
    varve_put_be16(ret->cdb + 2, first);
    varve_put_be16(ret->cdb + 6, count);
}

/* SMC-3, MOVE MEDIUM */
void
varve_smc_encode_move(struct varve_scsi_command *ret, const struct varve_smc_move *move)
{
    cdb_start(ret, 0xa5, 12);
    varve_put_be16(ret->cdb + 2, move->transport);
    varve_put_be16(ret->cdb + 4, move->from);
    varve_put_be16(ret->cdb + 6, move->to);
    ret->cdb[10] = move->invert ? 1 : 0;
}

/* SMC-3, EXCHANGE MEDIUM. Never inverted: the order of its two bits is told differently by the
 * draft and by Linux, so what must be turned is moved twice. */
void
varve_smc_encode_exchange(struct varve_scsi_command *ret, const struct varve_smc_exchange *exchange)
{
    cdb_start(ret, 0xa6, 12);
    varve_put_be16(ret->cdb + 2, exchange->transport);
    varve_put_be16(ret->cdb + 4, exchange->from);
    varve_put_be16(ret->cdb + 6, exchange->first);
    varve_put_be16(ret->cdb + 8, exchange->second);
}

/* SMC-3, OPEN/CLOSE IMPORT/EXPORT ELEMENT */
void
varve_smc_encode_open_mail(struct varve_scsi_command *ret, uint16_t address, bool open)
{
    cdb_start(ret, 0x1b, 6);
    varve_put_be16(ret->cdb + 2, address);
    ret->cdb[4] = open ? 0 : 1;
}

/* SPC-4, PREVENT ALLOW MEDIUM REMOVAL */
void
varve_smc_encode_prevent(struct varve_scsi_command *ret, bool prevent)
{
    cdb_start(ret, 0x1e, 6);
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

/* Steps over mode parameter header (SPC-4, MODE SENSE (6)) and block descriptors to the body of the
 * page; *ret is what of it came. */
static bool
open_page(const uint8_t *bytes, size_t size, uint8_t wanted, struct varve_cursor *ret,
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
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "mode page %02Xh: only %zu bytes",
                               wanted, size);
    if ((page & 0x3f) != wanted)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "mode page %02Xh: got page %02Xh",
                               wanted, page & 0x3f);
    uint64_t left = varve_cursor_left(&cursor);
    if (!varve_cursor_sub(&cursor, page_bytes < left ? page_bytes : left, ret))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "mode page %02Xh: cut short", wanted);
    return true;
}

/* SMC-3, element address assignment mode page. */
bool
varve_smc_decode_assignment(const uint8_t *bytes, size_t size, struct varve_smc_assignment *ret,
                            struct varve_error *err)
{
    struct varve_cursor cursor;
    if (!open_page(bytes, size, 0x1d, &cursor, err))
        return false;
    struct varve_smc_assignment map = {0};
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++) {
        (void)varve_cursor_be16(&cursor, &map.of[type].first);
        (void)varve_cursor_be16(&cursor, &map.of[type].count);
    }
    if (cursor.failed)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "mode page 1Dh: cut short");
    /* Some HP changers report no transport at all, and have one. */
    if (map.of[VARVE_ELEMENT_TRANSPORT].count == 0)
        map.of[VARVE_ELEMENT_TRANSPORT].first = 0;
    if (!check_assignment(&map, err))
        return false;
    *ret = map;
    return true;
}

/* SMC-3, device capabilities mode page: which types can store, then four bytes of moves and, from
 * byte 12 on, four of exchanges, in the order of the types. Older units end before the exchanges.
 */
bool
varve_smc_decode_capabilities(const uint8_t *bytes, size_t size, struct varve_smc_capabilities *ret,
                              struct varve_error *err)
{
    struct varve_cursor cursor;
    struct varve_smc_capabilities can = {0};
    if (!open_page(bytes, size, 0x1f, &cursor, err))
        return false;
    (void)varve_cursor_skip(&cursor, 2);
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++)
        (void)varve_cursor_u8(&cursor, &can.move[type]);
    if (cursor.failed)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "mode page 1Fh: cut short");
    (void)varve_cursor_skip(&cursor, 4);
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++) {
        if (!varve_cursor_u8(&cursor, &can.exchange[type]))
            can.exchange[type] = 0;
    }
    *ret = can;
    return true;
}

/* SMC-3, transport geometry parameters mode page: two bytes for each gripper. */
bool
varve_smc_decode_geometry(const uint8_t *bytes, size_t size, bool *ret_rotates,
                          struct varve_error *err)
{
    struct varve_cursor cursor;
    uint8_t flags;
    if (!open_page(bytes, size, 0x1e, &cursor, err))
        return false;
    if (!varve_cursor_u8(&cursor, &flags))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "mode page 1Eh: cut short");
    *ret_rotates = flags & 0x01;
    return true;
}

void
varve_smc_copy_text(const uint8_t *bytes, size_t size, char *ret, size_t ret_bytes)
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
    varve_smc_copy_text(bytes + 8, 8, ret->vendor, sizeof ret->vendor);
    varve_smc_copy_text(bytes + 16, 16, ret->product, sizeof ret->product);
    varve_smc_copy_text(bytes + 32, 4, ret->revision, sizeof ret->revision);
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
    varve_smc_copy_text(text, take, ret, 33);
    return ret[0] != 0;
}
