/* SPDX-License-Identifier: Apache-2.0 */
/* What a drive says of itself and its disc (MMC-6). Callers hold the drive's lock. */
#include "mmc_codec.h"
#include "virtual_internal.h"

#include <string.h>
#include <varve/byteorder.h>

/* Where virtual_get_configuration() has its list of profiles, and the feature behind it. */
#define PROFILES_AT 4u
#define PROFILES_BYTES 32u
#define INCREMENTAL_AT (PROFILES_AT + PROFILES_BYTES)

static bool
quirky(const struct virtual_drive *drive, enum varve_virtual_quirk quirk)
{
    return virtual_has(&drive->device, quirk);
}

static uint16_t
profile_of(const struct virtual_drive *drive)
{
    const struct varve_media *media = drive->disc.media;
    bool rom = drive->disc.closed && quirky(drive, VARVE_VIRTUAL_ROM_PROFILE);
    return rom && media->closed_profile != 0 ? media->closed_profile : media->profile;
}

/* MMC-6, GET CONFIGURATION and features: profile list, core, removable medium, random readable, BD
 * read, BD write, serial number. */
void
virtual_get_configuration(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    static const uint8_t features[] = {
        0x00, 0x00, 0x03, 32,                                                   /* profiles */
        0x00, 0x43, 0x00, 0x00, 0x00, 0x41, 0x00, 0x00,                         /* */
        0x00, 0x40, 0x00, 0x00, 0x00, 0x2b, 0x00, 0x00,                         /* */
        0x00, 0x1b, 0x00, 0x00, 0x00, 0x15, 0x00, 0x00,                         /* */
        0x00, 0x11, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00,                         /* */
        0x00, 0x21, 0x00, 8,    0x00, 0x01, 0x00, 0x01, 0x10, 0x00, 0x00, 0x00, /* incremental */
        0x00, 0x01, 0x0b, 8,    0x00, 0x00, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, /* core: SCSI */
        0x00, 0x03, 0x03, 4,    0x29, 0x00, 0x00, 0x00, /* tray, eject, lock */
        0x00, 0x10, 0x01, 8,    0x00, 0x00, 0x08, 0x00, 0x00, 0x20, 0x00, 0x00, /* 2048, 32 */
        0x00, 0x40, 0x01, 0,                                                    /* BD read */
        0x00, 0x41, 0x01, 0,                                                    /* BD write */
        0x01, 0x07, 0x01, 4,    0x0b, 0x00, 0x00, 0x00, /* streaming, speeds, buffer capacity */
        0x01, 0x08, 0x03, 12,                           /* serial follows */
    };
    uint8_t out[8 + sizeof features + 12] = {0};
    uint8_t how = command->cdb[1] & 0x03;
    uint16_t first = varve_get_be16(command->cdb + 2);
    bool usable = virtual_drive_is_usable(drive);
    char serial[17];
    virtual_drive_serial(drive->device.library, drive->number, serial);
    if (how == 3) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    uint16_t profile = usable ? profile_of(drive) : VARVE_MMC_PROFILE_NONE;
    varve_put_be16(out + 6, profile);
    uint8_t list[sizeof features + 12];
    memcpy(list, features, sizeof features);
    memset(list + sizeof features, ' ', 12);
    memcpy(list + sizeof features, serial, strlen(serial));
    for (size_t i = PROFILES_AT; i < PROFILES_AT + PROFILES_BYTES; i += 4)
        list[i + 2] = varve_get_be16(list + i) == profile; /* is current */
    list[INCREMENTAL_AT + 2] |=
        usable && drive->disc.media->model == VARVE_MEDIA_SEQUENTIAL && !drive->disc.media->reserve;
    size_t used = 8;
    for (size_t at = 0; at < sizeof list; at += 4u + list[at + 3]) {
        uint16_t code = varve_get_be16(list + at);
        bool current = list[at + 2] & 1;
        if (code < first || (how == 2 && code != first) || (how == 1 && !current))
            continue;
        memcpy(out + used, list + at, 4u + list[at + 3]);
        used += 4u + list[at + 3];
    }
    varve_put_be32(out, (uint32_t)(used - 4));
    virtual_answer(command, out, used, varve_get_be16(command->cdb + 7));
}

/* MMC-6, READ DISC INFORMATION */
void
virtual_read_disc_information(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint8_t out[34] = {0};
    if ((command->cdb[1] & 0x07) != 0) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    varve_put_be16(out, sizeof out - 2);
    out[2] = virtual_drive_is_blank(drive) ? 0x00 : drive->disc.closed ? 0x0e : 0x05;
    if (drive->disc.media->model == VARVE_MEDIA_OVERWRITE)
        out[2] = 0x1f;   /* erasable, of another kind than blank or closed */
    out[3] = 1;          /* first track */
    out[4] = 1;          /* sessions */
    out[5] = out[6] = 1; /* first and last track of the last session */
    out[7] = 0x20;       /* URU */
    memset(out + 16, 0xff, 8);
    virtual_answer(command, out, sizeof out, varve_get_be16(command->cdb + 7));
}

static bool
names_the_track(const struct virtual_drive *drive, const uint8_t *cdb)
{
    uint32_t number = varve_get_be32(cdb + 2);
    uint32_t end = drive->disc.closed ? drive->disc.recorded : drive->disc.capacity;
    switch (cdb[1] & 0x07) {
    case 0:
        return number < end;
    case 1:
        return number == 1 || (number == 0xff && !drive->disc.closed);
    case 2:
        return number == 1;
    default:
        return false;
    }
}

/* MMC-6, READ TRACK INFORMATION; the disc has one track. */
void
virtual_read_track_information(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint8_t out[36] = {0};
    if (!names_the_track(drive, command->cdb)) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    bool open = !drive->disc.closed && drive->disc.media->model == VARVE_MEDIA_SEQUENTIAL;
    uint32_t room = virtual_disc_room(&drive->disc);
    varve_put_be16(out, sizeof out - 2);
    out[2] = out[3] = 1;
    out[5] = 0x04; /* data track */
    out[6] = (uint8_t)(0x01 | (virtual_drive_is_blank(drive) ? 0x40 : 0));
    out[7] = (uint8_t)((open ? 0x01 : 0) | (virtual_drive_recorded(drive) > 0 ? 0x02 : 0));
    if (open) {
        bool negative = virtual_drive_is_blank(drive) && quirky(drive, VARVE_VIRTUAL_NWA_NEGATIVE);
        bool stuck = quirky(drive, VARVE_VIRTUAL_NWA_STUCK);
        varve_put_be32(out + 12, negative ? (uint32_t)-150 : stuck ? 0 : drive->next);
        varve_put_be32(out + 16, room - drive->next);
    }
    varve_put_be32(out + 20, drive->disc.media->block_sectors);
    varve_put_be32(out + 24, open ? room : virtual_drive_recorded(drive));
    if (virtual_drive_recorded(drive) > 0)
        varve_put_be32(out + 28, virtual_drive_recorded(drive) - 1);
    virtual_answer(command, out, sizeof out, varve_get_be16(command->cdb + 7));
}

/* MMC-6, READ CAPACITY */
void
virtual_read_capacity(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint8_t out[8];
    uint32_t sectors = virtual_drive_recorded(drive);
    if (sectors > 0 && quirky(drive, VARVE_VIRTUAL_PADDED))
        sectors += 150;
    varve_put_be32(out, sectors > 0 ? sectors - 1 : 0);
    varve_put_be32(out + 4, VARVE_SECTOR_BYTES);
    virtual_answer(command, out, sizeof out, sizeof out);
}

/* MMC-6, READ BUFFER CAPACITY: always empty if nothing takes time. */
void
virtual_read_buffer_capacity(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint8_t out[12] = {0, 10};
    varve_put_be32(out + 4, drive->device.library->timing.buffer_bytes);
    varve_put_be32(out + 8, virtual_buffer_free(drive));
    virtual_answer(command, out, sizeof out, varve_get_be16(command->cdb + 7));
}
