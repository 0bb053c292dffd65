/* SPDX-License-Identifier: Apache-2.0 */
/* What a virtual drive does for one kind of disc and not for another: formatting, write parameters,
 * reserving, and the speeds that it claims. */
#include "virtual_internal.h"

#include <string.h>
#include <varve/byteorder.h>

/* A drive's usual spare areas take 1/32 of a disc, in whole clusters (25 GB: 393,216 sectors). */
static uint32_t
spares_of(uint32_t capacity)
{
    uint32_t spares = capacity / 32;
    return spares + (VARVE_CLUSTER_SECTORS - spares % VARVE_CLUSTER_SECTORS);
}

uint32_t
virtual_disc_room(const struct virtual_disc *disc)
{
    if (disc->media->must_format && !disc->formatted)
        return 0;
    return disc->capacity - disc->spares;
}

static bool
quirky(const struct virtual_drive *drive, enum varve_virtual_quirk quirk)
{
    return virtual_has(&drive->device, quirk);
}

static bool
is_blank(const struct virtual_drive *drive)
{
    return !drive->disc.closed && drive->next == 0;
}

static bool
refuse(struct varve_scsi_command *command, uint8_t key, uint8_t asc, uint8_t ascq)
{
    virtual_refuse(command, key, asc, ascq);
    return true;
}

static bool
refuse_sequential(struct virtual_drive *drive, struct varve_scsi_command *command, uint32_t lba,
                  uint32_t count)
{
    const struct varve_media *media = drive->disc.media;
    if (media->reserve && !drive->in_one_go)
        return refuse(command, 5, 0x64, 0x00);
    if (media->write_page && drive->in_one_go && drive->reserved == 0)
        return refuse(command, 5, 0x2c, 0x00);
    if (lba != drive->next) {
        virtual_check(
            command,
            &(struct virtual_sense){
                .key = 5, .asc = 0x21, .ascq = 0x02, .has_information = true, .information = lba});
        return true;
    }
    uint32_t room = virtual_disc_room(&drive->disc);
    if (drive->reserved > 0 && drive->reserved < room)
        room = drive->reserved;
    uint8_t full = quirky(drive, VARVE_VIRTUAL_FULL_RANGE) ? 0x21 : 0x63;
    return count > room - drive->next && refuse(command, 5, full, 0x00);
}

bool
virtual_media_refuse_write(struct virtual_drive *drive, struct varve_scsi_command *command,
                           uint32_t lba, uint32_t count)
{
    const struct virtual_disc *disc = &drive->disc;
    switch (disc->media->model) {
    case VARVE_MEDIA_SEQUENTIAL:
        if (disc->closed && quirky(drive, VARVE_VIRTUAL_CLOSED_MODE))
            return refuse(command, 5, 0x64, 0x00);
        return disc->closed ? refuse(command, 5, 0x30, 0x05)
                            : refuse_sequential(drive, command, lba, count);
    case VARVE_MEDIA_OVERWRITE:
        if (!disc->formatted)
            return refuse(command, 3, 0x31, 0x00);
        return (uint64_t)lba + count > virtual_disc_room(disc) && refuse(command, 5, 0x21, 0x00);
    case VARVE_MEDIA_READ_ONLY:
    case VARVE_MEDIA_REFUSED:
        break;
    }
    return refuse(command, 5, 0x30, 0x05);
}

static void
put_format(uint8_t *at, uint32_t blocks, uint8_t type)
{
    varve_put_be32(at, blocks);
    varve_put_be32(at + 4, VARVE_SECTOR_BYTES);
    at[4] = type;
}

/* MMC-6, READ FORMAT CAPACITIES: what there is now, and what the kind of disc can become. */
static void
read_format_capacities(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    const struct virtual_disc *disc = &drive->disc;
    uint8_t out[4 + 3 * 8] = {0};
    uint32_t whole = disc->capacity;
    bool unformatted =
        disc->media->must_format ? !disc->formatted : is_blank(drive) && !disc->formatted;
    size_t used = 12;
    put_format(out + 4, unformatted ? whole : whole - disc->spares,
               unformatted ? VARVE_MMC_UNFORMATTED : VARVE_MMC_FORMATTED);
    if (disc->media->format_plain != 0) {
        put_format(out + used, whole, disc->media->format_plain);
        used += 8;
    }
    if (disc->media->format_spares != 0) {
        put_format(out + used, whole - spares_of(whole), disc->media->format_spares);
        used += 8;
    }
    out[3] = (uint8_t)(used - 4);
    virtual_answer(command, out, used, varve_get_be16(command->cdb + 7));
}

/* MMC-6, FORMAT UNIT: only of what read_format_capacities() offers, and of a write-once disc only
 * while it is blank. */
static void
format_unit(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    const uint8_t *list = command->data;
    struct virtual_disc after = drive->disc;
    struct varve_error ignored = {0}; /* becomes "format failed" */
    if (command->cdb[1] != 0x11 || command->data_bytes < 12 || varve_get_be16(list + 2) != 8) {
        virtual_refuse(command, 5, 0x26, 0x00);
        return;
    }
    bool spares = list[8] != 0 && list[8] == after.media->format_spares;
    bool plain = list[8] != 0 && list[8] == after.media->format_plain;
    bool rewritable = after.media->model == VARVE_MEDIA_OVERWRITE;
    after.spares = spares ? spares_of(after.capacity) : 0;
    after.formatted = true;
    if ((!spares && !plain) || varve_get_be32(list + 4) != after.capacity - after.spares ||
        (!rewritable && (after.closed || drive->next > 0 || drive->disc.formatted))) {
        virtual_refuse(command, 5, 0x26, 0x00);
        return;
    }
    bool emptied = !rewritable || drive->image < 0 || ftruncate(drive->image, 0) == 0;
    if (!emptied ||
        !virtual_disc_write(drive->device.library->dir, &drive->name, &after, true, &ignored)) {
        virtual_refuse(command, 3, 0x31, 0x01);
        return;
    }
    drive->disc = after;
    drive->next = 0;
    virtual_spend_operation(drive, 0x04, true);
    virtual_good(command);
}

/* MMC-6, RESERVE TRACK */
static void
reserve_track(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint32_t sectors = varve_get_be32(command->cdb + 5);
    bool possible = drive->disc.media->model == VARVE_MEDIA_SEQUENTIAL && is_blank(drive);
    if (!possible || sectors == 0 || sectors > virtual_disc_room(&drive->disc)) {
        virtual_refuse(command, 5, possible ? 0x24 : 0x2c, 0x00);
        return;
    }
    drive->reserved = sectors;
    virtual_good(command);
}

/* MMC-6, MODE SELECT (10), page 05h; others are taken and have no effect. */
static void
mode_select(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    const uint8_t *page = command->data + 8;
    if (command->data_bytes < 10 || command->data_bytes < 10u + page[1] ||
        varve_get_be16(command->data + 6) != 0 || ((page[0] & 0x3f) == 0x05 && page[1] != 0x32)) {
        virtual_refuse(command, 5, 0x26, 0x00);
        return;
    }
    if ((page[0] & 0x3f) == 0x05)
        drive->in_one_go = (page[2] & 0x0f) == 2;
    virtual_good(command);
}

/* MMC-6, GET PERFORMANCE, type 03h: the speeds of common drives for this kind of disc. */
static void
get_performance(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    static const uint8_t times[] = {6, 4, 2};
    uint8_t out[8 + 16 * sizeof times] = {0};
    if (command->cdb[10] != 0x03) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    for (size_t i = 0; i < sizeof times; i++) {
        uint8_t *at = out + 8 + 16 * i;
        uint32_t speed = times[i] * drive->disc.media->single_speed;
        varve_put_be32(at + 4, drive->disc.capacity - 1);
        varve_put_be32(at + 8, speed);
        varve_put_be32(at + 12, speed);
    }
    varve_put_be32(out, sizeof out - 4);
    virtual_answer(command, out, sizeof out, command->data_bytes);
}

/* MMC-6, GET EVENT STATUS NOTIFICATION, polled, class media: no events, only the state. */
static void
get_event_status(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint8_t out[8] = {0, 6, 0x04, 0x10};
    if (!(command->cdb[1] & 0x01)) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    if (!(command->cdb[4] & 0x10))
        out[2] = 0x80;
    out[5] =
        (uint8_t)((drive->tray_open ? 0x01 : 0) | (drive->loaded && !drive->tray_open ? 0x02 : 0));
    virtual_answer(command, out, sizeof out, varve_get_be16(command->cdb + 7));
}

/* MMC-6, READ DISC STRUCTURE, BD format 00h: disc information of a maker that does not exist. */
static void
read_structure(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint8_t out[4 + 112] = {0};
    const struct varve_media *media = drive->disc.media;
    if (command->cdb[1] != 0x01 || media->structure != 1 || command->cdb[7] != 0x00) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    varve_put_be16(out, sizeof out - 2);
    if (quirky(drive, VARVE_VIRTUAL_NO_DI)) {
        virtual_answer(command, out, sizeof out, varve_get_be16(command->cdb + 8));
        return;
    }
    memcpy(out + 4, "DI", 2);
    memcpy(out + 4 + 8, media->model == VARVE_MEDIA_OVERWRITE ? "BDW" : "BDR", 3);
    memcpy(out + 4 + 100, "VARVE ", 6);
    memcpy(out + 4 + 106, "V01", 3);
    virtual_answer(command, out, sizeof out, varve_get_be16(command->cdb + 8));
}

static bool
execute_on_medium(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    switch (command->cdb[0]) {
    case 0x04:
        format_unit(drive, command);
        return true;
    case 0x23:
        read_format_capacities(drive, command);
        return true;
    case 0x53:
        reserve_track(drive, command);
        return true;
    case 0xac:
        get_performance(drive, command);
        return true;
    case 0xad:
        read_structure(drive, command);
        return true;
    default:
        return false;
    }
}

bool
virtual_media_execute(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint8_t opcode = command->cdb[0];
    if ((opcode == 0x53 && quirky(drive, VARVE_VIRTUAL_NO_RESERVE)) ||
        (opcode == 0x4a && quirky(drive, VARVE_VIRTUAL_NO_EVENTS)))
        return false;
    switch (opcode) {
    case 0x04:
    case 0x23:
    case 0x53:
    case 0xac:
    case 0xad:
        return virtual_drive_refuse_unready(drive, command) || execute_on_medium(drive, command);
    case 0x4a:
        get_event_status(drive, command);
        return true;
    case 0x55:
        mode_select(drive, command);
        return true;
    case 0xb6: /* SET STREAMING, SET CD SPEED: as fast as the file is */
    case 0xbb:
        virtual_good(command);
        return true;
    default:
        return false;
    }
}
