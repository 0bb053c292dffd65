/* SPDX-License-Identifier: Apache-2.0 */
/* What burner and reader build on, with a blank disc in drive 0. */
#include "peer.h"

#include <string.h>
#include <tap.h>
#include <varve/byteorder.h>

#define BURST 32u /* sectors */
#define BURST_BYTES (BURST * VARVE_SECTOR_BYTES)

static uint8_t image[4 * BURST_BYTES];

static struct varve_scsi_port *
drive(struct peer *peer)
{
    return peer->drives[0];
}

static uint32_t
write_sectors(struct peer *peer, uint32_t lba, uint16_t count, const uint8_t *bytes)
{
    struct varve_scsi_command c;
    varve_mmc_encode_write(&c, lba, count, bytes);
    return peer_send_settled(peer, drive(peer), &c);
}

static uint32_t
read_sectors(struct peer *peer, uint32_t lba, uint16_t count)
{
    struct varve_scsi_command c;
    varve_mmc_encode_read(&c, lba, count, peer->data);
    return peer_send_settled(peer, drive(peer), &c);
}

static bool
disc_status(struct peer *peer, struct varve_mmc_disc *ret)
{
    struct varve_scsi_command c;
    varve_mmc_encode_disc_information(&c, peer->data, 64);
    return peer_send_settled(peer, drive(peer), &c) == 0 &&
           varve_mmc_decode_disc(peer->data, peer->received, ret);
}

static bool
track(struct peer *peer, struct varve_mmc_track *ret)
{
    struct varve_scsi_command c;
    varve_mmc_encode_track_information(&c, 0xff, peer->data, 64);
    bool good = peer_send_settled(peer, drive(peer), &c) == 0;
    if (!good) { /* no invisible track: the first one */
        varve_mmc_encode_track_information(&c, 1, peer->data, 64);
        good = peer_send_settled(peer, drive(peer), &c) == 0;
    }
    return good && varve_mmc_decode_track(peer->data, peer->received, ret);
}

static uint32_t
ready(struct peer *peer)
{
    struct varve_scsi_command c;
    varve_smc_encode_test_unit_ready(&c);
    return peer_send_settled(peer, drive(peer), &c);
}

static void
check_empty(struct peer *peer)
{
    struct varve_scsi_command c;
    struct varve_inquiry inquiry = {0};
    varve_smc_encode_inquiry(&c, peer->data, 96);
    expect(peer_send(peer, drive(peer), &c) == 0 &&
               varve_smc_decode_inquiry(peer->data, peer->received, &inquiry) &&
               inquiry.device_type == 5,
           "INQUIRY says optical drive (%s %s)", inquiry.vendor, inquiry.product);
    uint32_t sense = ready(peer);
    expect(sense >> 8 == 0x023a, "an empty drive has no medium (%06x)", sense);
    expect(read_sectors(peer, 0, 1) >> 8 == 0x023a, "READ without a medium");
    c = (struct varve_scsi_command){.cdb = {0xa5}, .cdb_bytes = 12};
    expect(peer_send_settled(peer, drive(peer), &c) == 0x052000, "MOVE on a drive is refused");
}

static void
check_load(struct peer *peer, uint16_t slot, uint16_t element)
{
    struct varve_scsi_command c;
    expect(peer_move(peer, slot, element) == 0, "a blank goes into drive 0");
    varve_smc_encode_test_unit_ready(&c);
    uint32_t first = peer_send(peer, drive(peer), &c);
    if (!peer->lacks[LACK_LOAD_ATTENTION])
        expect(first == 0x062800, "the drive tells of the new medium (%06x)", first);
    expect(ready(peer) == 0, "it gets ready");
    uint16_t profile = 0, wanted = peer->lacks[LACK_DVD_PLUS_R] ? 0x001b : 0x0041;
    varve_mmc_encode_get_configuration(&c, peer->data, 256);
    bool right = peer_send_settled(peer, drive(peer), &c) == 0 &&
                 varve_mmc_decode_profile(peer->data, peer->received, &profile) &&
                 profile == wanted;
    expect(right, "profile %04x", profile);
    if (peer->lacks[LACK_DRIVE_LOCK])
        return;
    varve_smc_encode_prevent(&c, true);
    expect(peer_send_settled(peer, drive(peer), &c) == 0, "its tray is locked");
    uint32_t sense = peer_move(peer, element, slot);
    expect(sense == 0x055302 || sense == 0x055303, "a locked tray keeps its disc (%06x)", sense);
    varve_smc_encode_prevent(&c, false);
    expect(peer_send_settled(peer, drive(peer), &c) == 0, "and is unlocked again");
}

static void
check_order(struct peer *peer)
{
    uint32_t far = write_sectors(peer, 8 * BURST, BURST, image);
    expect(far == 0x052102, "a WRITE beyond the next writable address is refused (%06x)", far);
    uint32_t again = write_sectors(peer, 0, BURST, image);
    expect(again == 0x052102, "a WRITE over what is written is refused (%06x)", again);
}

static void
check_writing(struct peer *peer)
{
    struct varve_mmc_disc disc = {0};
    struct varve_mmc_track now = {0};
    expect(disc_status(peer, &disc) && disc.status == VARVE_MMC_DISC_BLANK, "the disc is blank");
    bool told = track(peer, &now) && now.next_valid && now.next == 0 && now.free >= 4 * BURST;
    expect(told, "its next writable address is 0, %u sectors are free", now.free);
    uint32_t capacity = now.free;
    expect(read_sectors(peer, 0, 1) == 0x052100, "a blank disc has nothing to read");
    expect(write_sectors(peer, 0, BURST, image) == 0, "WRITE at 0");
    expect(write_sectors(peer, BURST, 2 * BURST, image + BURST_BYTES) == 0, "WRITE behind it");
    told = track(peer, &now) && now.next == 3 * BURST && now.free == capacity - 3 * BURST;
    if (!peer->lacks[LACK_NEXT_ADDRESS])
        expect(told, "the next writable address is %u", now.next);
    if (!peer->lacks[LACK_WRITE_ORDER])
        check_order(peer);
}

static void
check_append(struct peer *peer, uint16_t slot, uint16_t element)
{
    struct varve_mmc_track now = {0};
    expect(peer_move(peer, element, slot) == 0 && peer_move(peer, slot, element) == 0 &&
               ready(peer) == 0,
           "the open disc goes out and in");
    bool goes_on = track(peer, &now) && now.next_valid && now.next == 3 * BURST;
    expect(goes_on, "and can still be written at %u", now.next);
}

static bool
close_step(struct peer *peer, enum varve_mmc_close what, uint16_t number)
{
    struct varve_scsi_command c;
    varve_mmc_encode_close(&c, what, number, true);
    return peer_send_settled(peer, drive(peer), &c) == 0 && ready(peer) == 0;
}

static void
check_closing(struct peer *peer, uint16_t slot, uint16_t element)
{
    struct varve_scsi_command c;
    struct varve_mmc_disc disc = {0};
    expect(write_sectors(peer, 3 * BURST, BURST, image + 3 * BURST_BYTES) == 0, "the last WRITE");
    varve_mmc_encode_synchronize(&c, false);
    expect(peer_send_settled(peer, drive(peer), &c) == 0, "SYNCHRONIZE CACHE");
    expect(close_step(peer, VARVE_MMC_CLOSE_TRACK, 1) && close_step(peer, VARVE_MMC_FINALISE, 0),
           "track and disc are closed");
    expect(disc_status(peer, &disc) && disc.status == VARVE_MMC_DISC_FINALISED,
           "the disc says that it is complete");
    uint32_t sense = write_sectors(peer, 4 * BURST, BURST, image);
    expect(sense == 0x053005 || sense == 0x056400, "nothing is written to a closed disc (%06x)",
           sense);
    expect(peer_move(peer, element, slot) == 0 && ready(peer) >> 8 == 0x023a,
           "the drive gives the disc, and is empty");
    expect(peer_move(peer, slot, element) == 0 && ready(peer) == 0, "and takes it again");
}

static void
check_reading(struct peer *peer)
{
    struct varve_scsi_command c;
    uint64_t sectors = 0;
    bool equal = read_sectors(peer, 0, 4 * BURST) == 0 && peer->received == sizeof image &&
                 memcmp(peer->data, image, sizeof image) == 0;
    expect(equal, "all that was written is read back equal by one command");
    expect(read_sectors(peer, BURST + 1, 3) == 0 &&
               memcmp(peer->data, image + BURST_BYTES + VARVE_SECTOR_BYTES,
                      3 * VARVE_SECTOR_BYTES) == 0,
           "and so are three sectors of it");
    varve_mmc_encode_read_capacity(&c, peer->data);
    bool told = peer_send_settled(peer, drive(peer), &c) == 0 &&
                varve_mmc_decode_capacity(peer->data, peer->received, &sectors);
    if (!peer->lacks[LACK_EXACT_CAPACITY])
        expect(told && sectors == 4 * BURST, "READ CAPACITY is exact (%u)", (unsigned)sectors);
    else
        expect(told && sectors >= 4 * BURST, "READ CAPACITY is enough (%u)", (unsigned)sectors);
    uint32_t sense = read_sectors(peer, 0x7fff0000, 1);
    if (!peer->lacks[LACK_BLANK_READ])
        expect(sense == 0x052100, "reading far behind the end is refused (%06x)", sense);
    else
        expect(sense != 0, "reading far behind the end fails (%06x)", sense);
}

void
check_drive(struct peer *peer)
{
    for (size_t i = 0; i < sizeof image; i++)
        image[i] = (uint8_t)(i * 7 + i / 2048 * 13 + i / 65536);
    check_empty(peer);
    uint16_t slot = peer_next_disc(peer);
    uint16_t element = peer_drive_element(peer, 0);
    if (!expect(slot != 0, "there is a disc to write to"))
        return;
    check_load(peer, slot, element);
    check_writing(peer);
    if (!peer->lacks[LACK_APPEND])
        check_append(peer, slot, element);
    check_closing(peer, slot, element);
    check_reading(peer);
    expect(peer_move(peer, element, slot) == 0, "the disc goes home");
}
