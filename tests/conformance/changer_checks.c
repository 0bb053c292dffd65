/* SPDX-License-Identifier: Apache-2.0 */
/* What library and mover build on. */
#include "peer.h"

#include <string.h>
#include <tap.h>

#define ELEMENTS_MAX 512u

static bool
is_sense(uint32_t got, uint32_t wanted)
{
    if (got != wanted)
        printf("# sense %06x instead of %06x\n", got, wanted);
    return got == wanted;
}

static void
check_identity(struct peer *peer)
{
    struct varve_scsi_command c;
    struct varve_inquiry inquiry = {0};
    varve_smc_encode_inquiry(&c, peer->data, 96);
    bool changer = peer_send(peer, peer->changer, &c) == 0 &&
                   varve_smc_decode_inquiry(peer->data, peer->received, &inquiry) &&
                   inquiry.device_type == 8;
    expect(changer, "INQUIRY says changer (%s %s), also before anything else", inquiry.vendor,
           inquiry.product);
    varve_smc_encode_test_unit_ready(&c);
    uint32_t first = peer_send(peer, peer->changer, &c);
    if (!peer->lacks[LACK_FIRST_ATTENTION])
        expect(first >> 8 == 0x0629, "the first command hears of the new nexus (%06x)", first);
    expect(peer_send_settled(peer, peer->changer, &c) == 0, "and then it is ready");
    uint8_t inquiry_short[6] = {0x12, 0, 0, 0, 5};
    c = (struct varve_scsi_command){
        .cdb_bytes = 6, .direction = VARVE_SCSI_FROM_DEVICE, .data = peer->data, .data_bytes = 5};
    memcpy(c.cdb, inquiry_short, 6);
    bool short_one = peer_send(peer, peer->changer, &c) == 0 && peer->received == 5;
    expect(short_one, "an allocation length of 5 gives 5 bytes (%u)", peer->received);
}

static void
check_refusals(struct peer *peer)
{
    static const struct {
        const char *name;
        uint8_t cdb[12];
        uint32_t sense;
    } cases[] = {
        {"an unknown opcode", {0xc1}, 0x052000},
        {"READ on a changer", {0x28}, 0x052000},
        {"mode page 3Eh", {0x1a, 0x08, 0x3e, 0, 255}, 0x052400},
        {"VPD page C7h", {0x12, 0x01, 0xc7, 0, 255}, 0x052400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool answers = cases[i].cdb[0] == 0x1a || cases[i].cdb[0] == 0x12;
        struct varve_scsi_command c = {.cdb_bytes = 12};
        c.cdb_bytes = answers ? 6 : 12;
        c.direction = answers ? VARVE_SCSI_FROM_DEVICE : VARVE_SCSI_NO_DATA;
        c.data = peer->data;
        c.data_bytes = answers ? 255 : 0;
        memcpy(c.cdb, cases[i].cdb, 12);
        expect(is_sense(peer_send_settled(peer, peer->changer, &c), cases[i].sense),
               "%s is refused", cases[i].name);
    }
    struct varve_scsi_command c = {.cdb = {0xa6}, .cdb_bytes = 12};
    uint32_t exchange = peer_send_settled(peer, peer->changer, &c);
    expect(peer->lacks[LACK_EXCHANGE] ? exchange == 0x052000
                                      : exchange != 0 && exchange != 0x052000,
           "EXCHANGE from nowhere: %06x", exchange);
    varve_smc_encode_prevent(&c, false);
    uint32_t allow = peer_send_settled(peer, peer->changer, &c);
    expect(is_sense(allow, peer->lacks[LACK_CHANGER_LOCK] ? 0x052000 : 0), "ALLOW on the changer");
    expect(
        is_sense(peer_move(peer, 0xffff, 1), peer->lacks[LACK_ADDRESS_SENSE] ? 0x052400 : 0x052101),
        "MOVE from nowhere is refused");
}

static void
check_type(struct peer *peer, enum varve_element_type type)
{
    static struct varve_smc_element found[ELEMENTS_MAX];
    const struct varve_smc_range *range = &peer->map.of[type];
    size_t count = peer_read_elements(peer, type, false, found, ELEMENTS_MAX);
    bool order = true;
    for (size_t i = 0; i < count && order; i++)
        order = found[i].element.address == range->first + i;
    expect(count == range->count && order, "READ ELEMENT STATUS shows %u of %u elements of type %u",
           (unsigned)count, range->count, type);
    if (range->count < 3)
        return;
    struct varve_smc_status_request one = {
        .type = type, .start = (uint16_t)(range->first + 1), .count = 1};
    struct varve_scsi_command c;
    int32_t cut;
    varve_smc_encode_read_status(&c, &one, peer->data, 65536);
    bool good = peer_send_settled(peer, peer->changer, &c) == 0;
    count = varve_smc_decode_elements(peer->data, peer->received, type, found, ELEMENTS_MAX, &cut);
    bool right = good && count > 0 && found[0].element.address == range->first + 1 &&
                 found[0].element.barcode.text[0] == 0;
    size_t wanted = peer->lacks[LACK_COUNTS] ? range->count - 2u : 1u;
    expect(right && (peer->lacks[LACK_COUNTS] ? count >= wanted : count == wanted),
           "one element from the second of type %u on: %u came", type, (unsigned)count);
}

static void
check_lengths(struct peer *peer)
{
    const struct varve_smc_range *slots = &peer->map.of[VARVE_ELEMENT_SLOT];
    struct varve_smc_status_request all = {
        .type = VARVE_ELEMENT_SLOT, .start = slots->first, .count = slots->count, .voltag = true};
    struct varve_scsi_command c;
    varve_smc_encode_read_status(&c, &all, peer->data, 8);
    bool good = peer_send_settled(peer, peer->changer, &c) == 0 && peer->received == 8;
    uint32_t promised =
        (uint32_t)peer->data[5] << 16 | (uint32_t)peer->data[6] << 8 | peer->data[7];
    expect(good, "a buffer of 8 bytes gets the header only (%u bytes)", peer->received);
    varve_smc_encode_read_status(&c, &all, peer->data, 65536);
    good = peer_send_settled(peer, peer->changer, &c) == 0;
    bool whole = peer->received == promised + 8;
    expect(good && whole == !peer->lacks[LACK_WHOLE_ANSWERS],
           "the header promises %u bytes, %u came behind it", promised,
           peer->received >= 8 ? peer->received - 8 : 0);
}

static void
check_serials(struct peer *peer)
{
    static struct varve_smc_element found[ELEMENTS_MAX];
    size_t count = peer_read_elements(peer, VARVE_ELEMENT_DRIVE, true, found, ELEMENTS_MAX);
    for (unsigned i = 0; i < peer->drive_count && i < count; i++) {
        char serial[33] = "";
        struct varve_scsi_command c;
        varve_smc_encode_inquiry_vpd(&c, 0x80, peer->data, 252);
        bool told = peer_send_settled(peer, peer->drives[i], &c) == 0 &&
                    varve_smc_decode_serial(peer->data, peer->received, serial) && serial[0] != 0;
        expect(told, "drive %u has a serial number", i);
        bool same = strstr(found[i].device_id, serial) != NULL;
        bool last = i + 1 == count; /* tgt cuts the last one */
        if (!peer->lacks[LACK_DRIVE_SERIALS] || !last)
            expect(same, "the changer knows drive %u by its serial number", i);
    }
}

static void
check_moves(struct peer *peer)
{
    uint16_t slot = peer_next_disc(peer);
    const struct varve_smc_range *mail = &peer->map.of[VARVE_ELEMENT_MAIL_SLOT];
    const struct varve_smc_range *slots = &peer->map.of[VARVE_ELEMENT_SLOT];
    uint16_t empty = (uint16_t)(slots->first + slots->count - 1);
    if (!peer->lacks[LACK_MAIL_SLOT])
        empty = mail->first;
    enum varve_element_type there =
        peer->lacks[LACK_MAIL_SLOT] ? VARVE_ELEMENT_SLOT : VARVE_ELEMENT_MAIL_SLOT;
    struct varve_smc_element before = {0}, after = {0};
    expect(slot != 0 && peer_look(peer, VARVE_ELEMENT_SLOT, slot, &before) &&
               before.element.barcode.text[0] != 0,
           "slot %u has a disc with a bar code", slot);
    expect(is_sense(peer_move(peer, empty, slot), 0x053b0e), "MOVE from an empty element");
    expect(is_sense(peer_move(peer, (uint16_t)(slot + 1), slot), 0x053b0d),
           "MOVE to a full element");
    expect(is_sense(peer_move(peer, slot, empty), 0), "MOVE to an empty element");
    expect(peer_look(peer, there, empty, &after) && after.element.full &&
               varve_barcode_equal(&after.element.barcode, &before.element.barcode),
           "the disc is there, with its bar code");
    if (!peer->lacks[LACK_HOMES])
        expect(after.element.has_source && after.element.source == slot, "and where it came from");
    expect(peer_look(peer, VARVE_ELEMENT_SLOT, slot, &after) && !after.element.full,
           "and not where it was");
    expect(is_sense(peer_move(peer, empty, slot), 0), "back again");
}

void
check_changer(struct peer *peer)
{
    check_identity(peer);
    bool discovered = peer_discover(peer);
    if (!expect(discovered, "mode page 1Dh: %u slots, %u mail slots, %u drives",
                peer->map.of[VARVE_ELEMENT_SLOT].count, peer->map.of[VARVE_ELEMENT_MAIL_SLOT].count,
                peer->map.of[VARVE_ELEMENT_DRIVE].count))
        return;
    check_refusals(peer);
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++)
        check_type(peer, (enum varve_element_type)type);
    check_lengths(peer);
    check_serials(peer);
    check_moves(peer);
}
