/* SPDX-License-Identifier: Apache-2.0 */
/* Device server of a drive: MMC-6 for the kinds of disc that media.c lists. Callers hold the
 * drive's lock. */
#include "mmc_codec.h"
#include "virtual_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/byteorder.h>
#include <varve/file.h>

/* Where get_configuration() has its list of profiles, and the feature behind it. */
#define PROFILES_AT 4u
#define PROFILES_BYTES 32u
#define INCREMENTAL_AT (PROFILES_AT + PROFILES_BYTES)

static bool
is_gone(const struct virtual_drive *drive)
{
    struct stat st;
    return drive->image >= 0 && fstat(drive->image, &st) == 0 && st.st_nlink == 0;
}

/* True with the sense in *ret while a medium cannot be used. Counts the commands that the drive
 * takes to get ready. */
static bool
is_unready(struct virtual_drive *drive, struct virtual_sense *ret)
{
    *ret = (struct virtual_sense){.key = 2, .asc = 0x04, .ascq = 0x01};
    if (drive->tray_open || !drive->loaded || is_gone(drive)) {
        ret->asc = 0x3a;
        ret->ascq = drive->tray_open ? 0x02 : 0x00;
        return true;
    }
    if (drive->becoming_ready > 0) {
        drive->becoming_ready--;
        return true;
    }
    if (drive->unknown) {
        ret->asc = 0x30;
        ret->ascq = 0x00;
        return true;
    }
    if (drive->closing > 0) {
        ret->ascq = drive->closing_ascq;
        ret->has_progress = true;
        ret->progress = (uint16_t)(65535 / drive->closing);
        drive->closing--;
        return true;
    }
    return false;
}

bool
virtual_media_is_unready(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    struct virtual_sense sense;
    if (!is_unready(drive, &sense))
        return false;
    virtual_check(command, &sense);
    return true;
}

static bool
is_blank(const struct virtual_drive *drive)
{
    return !drive->disc.closed && drive->next == 0 &&
           drive->disc.media->model != VARVE_MEDIA_OVERWRITE;
}

/* Sectors that were recorded. */
static uint32_t
recorded(const struct virtual_drive *drive)
{
    if (drive->disc.media->model == VARVE_MEDIA_OVERWRITE)
        return virtual_disc_room(&drive->disc);
    return drive->disc.closed ? drive->disc.recorded : drive->next;
}

/* MMC-6, GET CONFIGURATION and features: profile list, core, removable medium, random readable, BD
 * read, BD write, serial number. */
static void
get_configuration(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    static const uint8_t features[] =
        {
            0x00, 0x00, 0x03, 32, /* profiles */
            0x00, 0x43, 0x00, 0x00, 0x00, 0x41, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00,
            0x00, 0x2b, 0x00, 0x00, 0x00, 0x1b, 0x00, 0x00, 0x00, 0x15, 0x00, 0x00,
            0x00, 0x11, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x21, 0x00, 8,
            0x00, 0x01, 0x00, 0x01, 0x10, 0x00, 0x00, 0x00,                         /* incr. */
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
    struct virtual_sense ignored;
    bool usable = drive->loaded && !drive->unknown && !drive->tray_open && !is_gone(drive) &&
                  (drive->becoming_ready == 0 || !is_unready(drive, &ignored));
    char serial[17];
    virtual_drive_serial(drive->device.library, drive->number, serial);
    if (how == 3) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    uint16_t profile = usable ? drive->disc.media->profile : VARVE_MMC_PROFILE_NONE;
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
static void
read_disc_information(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint8_t out[34] = {0};
    if ((command->cdb[1] & 0x07) != 0) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    varve_put_be16(out, sizeof out - 2);
    out[2] = is_blank(drive) ? 0x00 : drive->disc.closed ? 0x0e : 0x05;
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
static void
read_track_information(struct virtual_drive *drive, struct varve_scsi_command *command)
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
    out[6] = (uint8_t)(0x01 | (is_blank(drive) ? 0x40 : 0));
    out[7] = (uint8_t)((open ? 0x01 : 0) | (recorded(drive) > 0 ? 0x02 : 0));
    if (open) {
        varve_put_be32(out + 12, drive->next);
        varve_put_be32(out + 16, room - drive->next);
    }
    varve_put_be32(out + 20, drive->disc.media->block_sectors);
    varve_put_be32(out + 24, open ? room : recorded(drive));
    if (recorded(drive) > 0)
        varve_put_be32(out + 28, recorded(drive) - 1);
    virtual_answer(command, out, sizeof out, varve_get_be16(command->cdb + 7));
}

/* MMC-6, READ CAPACITY */
static void
read_capacity(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint8_t out[8];
    uint32_t sectors = recorded(drive);
    varve_put_be32(out, sectors > 0 ? sectors - 1 : 0);
    varve_put_be32(out + 4, VARVE_SECTOR_BYTES);
    virtual_answer(command, out, sizeof out, sizeof out);
}

/* MMC-6, READ BUFFER CAPACITY: the image file takes all at once, so the buffer is always empty. */
static void
read_buffer_capacity(struct varve_scsi_command *command)
{
    uint8_t out[12] = {0, 10};
    varve_put_be32(out + 4, 4u << 20);
    varve_put_be32(out + 8, 4u << 20);
    virtual_answer(command, out, sizeof out, varve_get_be16(command->cdb + 7));
}

static void
get_extent(const uint8_t *cdb, uint32_t *ret_lba, uint32_t *ret_count)
{
    bool twelve = cdb[0] == 0xa8 || cdb[0] == 0xaa;
    *ret_lba = varve_get_be32(cdb + 2);
    *ret_count = twelve ? varve_get_be32(cdb + 6) : varve_get_be16(cdb + 7);
}

static void
refuse_at(struct varve_scsi_command *command, struct virtual_sense sense, uint32_t lba)
{
    sense.has_information = true;
    sense.information = lba;
    virtual_check(command, &sense);
}

/* The image ends before what was recorded: somebody cut it. */
static void
refuse_missing(struct virtual_drive *drive, struct varve_scsi_command *command, uint32_t lba)
{
    struct stat st = {0};
    uint64_t there = fstat(drive->image, &st) == 0 ? (uint64_t)st.st_size / VARVE_SECTOR_BYTES : 0;
    refuse_at(command, (struct virtual_sense){.key = 3, .asc = 0x11, .ascq = 0x00},
              there > lba ? (uint32_t)there : lba);
}

/* What was never written reads as zeros once the disc is formatted. */
static void
read_rewritable(struct virtual_drive *drive, struct varve_scsi_command *command, uint32_t lba,
                size_t bytes)
{
    ssize_t got = 0;
    if (drive->image >= 0)
        got = pread(drive->image, command->data, bytes, (off_t)lba * VARVE_SECTOR_BYTES);
    if (got < 0) {
        refuse_at(command, (struct virtual_sense){.key = 3, .asc = 0x11, .ascq = 0x00}, lba);
        return;
    }
    memset(command->data + got, 0, bytes - (size_t)got);
    command->received_bytes = (uint32_t)bytes;
    virtual_good(command);
}

/* MMC-6, READ (10), (12) */
static void
read_sectors(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint32_t lba, count;
    get_extent(command->cdb, &lba, &count);
    uint64_t bytes = (uint64_t)count * VARVE_SECTOR_BYTES;
    if (bytes > command->data_bytes) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    uint32_t end = recorded(drive);
    if (count > 0 && (uint64_t)lba + count > end) {
        refuse_at(command, (struct virtual_sense){.key = 5, .asc = 0x21, .ascq = 0x00},
                  lba > end ? lba : end);
        return;
    }
    if (drive->disc.media->model == VARVE_MEDIA_OVERWRITE) {
        read_rewritable(drive, command, lba, (size_t)bytes);
        return;
    }
    struct varve_error failed = {0};
    if (count > 0 && !varve_file_pread(drive->image, command->data, (size_t)bytes,
                                       (uint64_t)lba * VARVE_SECTOR_BYTES, &failed)) {
        refuse_missing(drive, command, lba);
        return;
    }
    command->received_bytes = (uint32_t)bytes;
    virtual_good(command);
}

/* Makes the image and says durably that it must exist from now on. */
static bool
begin_image(struct virtual_drive *drive)
{
    struct varve_virtual *library = drive->device.library;
    VARVE_CLEANUP_FREE char *path = virtual_disc_path(library->dir, &drive->barcode, ".img");
    VARVE_CLEANUP_FREE char *discs = varve_file_join(library->dir, "discs");
    struct varve_error ignored = {0}; /* becomes a write error */
    if (path == NULL || discs == NULL)
        return false;
    VARVE_CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || !varve_file_sync_dir(discs, &ignored))
        return false;
    VARVE_LOCKED(&library->lock);
    if (!virtual_mark_written(library, &drive->barcode, &ignored))
        return false;
    if (drive->image >= 0)
        (void)close(drive->image); /* the same file, empty */
    drive->image = VARVE_TAKE_FD(fd);
    return true;
}

/* A drive fills the last block with zeros; what failed is cut off again, since nothing of it was
 * acknowledged. */
static bool
append_sectors(struct virtual_drive *drive, const uint8_t *bytes, uint32_t count)
{
    static const uint8_t zeros[VARVE_CLUSTER_BYTES];
    struct varve_error failed = {0};
    uint64_t offset = (uint64_t)drive->next * VARVE_SECTOR_BYTES;
    uint32_t block = drive->disc.media->block_sectors;
    uint32_t padding = (block - count % block) % block;
    /* Also when a crash left an empty image behind before anything was said about it. */
    if (drive->next == 0 && !begin_image(drive))
        return false;
    if (!varve_file_pwrite(drive->image, bytes, (size_t)count * VARVE_SECTOR_BYTES, offset,
                           &failed) ||
        !varve_file_pwrite(drive->image, zeros, (size_t)padding * VARVE_SECTOR_BYTES,
                           offset + (uint64_t)count * VARVE_SECTOR_BYTES, &failed)) {
        (void)!ftruncate(drive->image, (off_t)offset); /* opening the disc does it again */
        return false;
    }
    drive->next += count + padding;
    return true;
}

static bool
overwrite_sectors(struct virtual_drive *drive, const uint8_t *bytes, uint32_t lba, uint32_t count)
{
    struct varve_error failed = {0};
    if (drive->image < 0 && !begin_image(drive))
        return false;
    drive->next = lba + count;
    return varve_file_pwrite(drive->image, bytes, (size_t)count * VARVE_SECTOR_BYTES,
                             (uint64_t)lba * VARVE_SECTOR_BYTES, &failed);
}

/* MMC-6, WRITE (10), (12): sequential media from the next writable address, never twice. */
static void
write_sectors(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint32_t lba, count;
    get_extent(command->cdb, &lba, &count);
    if ((uint64_t)count * VARVE_SECTOR_BYTES != command->data_bytes)
        virtual_refuse(command, 5, 0x24, 0x00);
    else if (virtual_media_refuse_write(drive, command, lba, count))
        return;
    else if (count > 0 && drive->disc.media->model == VARVE_MEDIA_OVERWRITE
                 ? !overwrite_sectors(drive, command->data, lba, count)
                 : count > 0 && !append_sectors(drive, command->data, count))
        refuse_at(command, (struct virtual_sense){.key = 3, .asc = 0x0c, .ascq = 0x00}, lba);
    else
        virtual_good(command);
}

/* MMC-6, SYNCHRONIZE CACHE */
static bool
flush(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    if (drive->image < 0 || fsync(drive->image) == 0)
        return true;
    virtual_refuse(command, 3, 0x0c, 0x00);
    return false;
}

static bool
finalise(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    struct virtual_disc closed = drive->disc;
    struct varve_error ignored = {0}; /* becomes a fixation error */
    closed.closed = true;
    closed.recorded = drive->next;
    if (virtual_disc_write(drive->device.library->dir, &drive->barcode, &closed, true, &ignored)) {
        drive->disc = closed;
        return true;
    }
    virtual_refuse(command, 3, 0x72, 0x00);
    return false;
}

/* MMC-6, CLOSE TRACK/SESSION. Track and session end where the data ends; only the last step of the
 * kind of disc changes what can be done with it. A blank one has nothing to close. */
static void
close_track_session(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint8_t what = command->cdb[2] & 0x07;
    if (what != VARVE_MMC_CLOSE_TRACK && what != VARVE_MMC_CLOSE_SESSION &&
        what != VARVE_MMC_FINALISE) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    if (what == VARVE_MMC_CLOSE_TRACK && varve_get_be16(command->cdb + 4) > 1) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    if (is_blank(drive)) {
        virtual_refuse(command, 5, 0x72, 0x03);
        return;
    }
    const struct varve_media *media = drive->disc.media;
    if (!drive->disc.closed && media->model == VARVE_MEDIA_SEQUENTIAL) {
        if (!flush(drive, command))
            return;
        if (what == media->close[media->close_count - 1].what && !finalise(drive, command))
            return;
        drive->closing_ascq = 0x07;
        if (command->cdb[1] & 0x01)
            drive->closing = VIRTUAL_CLOSING_COMMANDS;
    }
    virtual_good(command);
}

/* MMC-6, START STOP UNIT. An ejected disc waits in the open tray, where the gripper can take it. */
static void
start_stop(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint8_t what = command->cdb[4];
    if ((what & 0xfc) != 0) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    if (what == VARVE_MMC_EJECT && drive->prevented) {
        virtual_refuse(command, 5, 0x53, 0x02);
        return;
    }
    if (what == VARVE_MMC_EJECT)
        drive->tray_open = true;
    if (what == VARVE_MMC_LOAD && drive->tray_open) {
        struct varve_barcode barcode = drive->barcode;
        bool loaded = drive->loaded;
        virtual_drive_remove(drive);
        if (loaded)
            virtual_drive_insert(drive, &barcode);
    }
    virtual_good(command);
}

/* SPC-4, PREVENT ALLOW MEDIUM REMOVAL */
static void
prevent_allow(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    if ((command->cdb[4] & 0xfc) != 0) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    drive->prevented = command->cdb[4] & 0x01;
    virtual_good(command);
}

static void
request_sense(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    struct virtual_sense now;
    bool unready = is_unready(drive, &now);
    virtual_request_sense(command, &drive->device, unready ? &now : NULL);
}

static void
inquiry(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    struct virtual_identity identity = {.device_type = 0x05, .product = "VIRTUAL BD-R"};
    virtual_drive_serial(drive->device.library, drive->number, identity.serial);
    virtual_inquiry(command, &identity);
}

/* Commands that need a usable medium. */
static void
execute_on_medium(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    if (virtual_media_is_unready(drive, command))
        return;
    switch (command->cdb[0]) {
    case 0x25:
        read_capacity(drive, command);
        return;
    case 0x28:
    case 0xa8:
        read_sectors(drive, command);
        return;
    case 0x2a:
    case 0xaa:
        write_sectors(drive, command);
        return;
    case 0x35:
        if (flush(drive, command))
            virtual_good(command);
        return;
    case 0x51:
        read_disc_information(drive, command);
        return;
    case 0x52:
        read_track_information(drive, command);
        return;
    case 0x5b:
        close_track_session(drive, command);
        return;
    case 0x5c:
        read_buffer_capacity(command);
        return;
    default: /* TEST UNIT READY */
        virtual_good(command);
    }
}

void
virtual_drive_execute(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    switch (command->cdb[0]) {
    case 0x03:
        request_sense(drive, command);
        return;
    case 0x12:
        inquiry(drive, command);
        return;
    case 0x1b:
        start_stop(drive, command);
        return;
    case 0x1e:
        prevent_allow(drive, command);
        return;
    case 0x46:
        get_configuration(drive, command);
        return;
    case 0x00:
    case 0x25:
    case 0x28:
    case 0x2a:
    case 0x35:
    case 0x51:
    case 0x52:
    case 0x5b:
    case 0x5c:
    case 0xa8:
    case 0xaa:
        execute_on_medium(drive, command);
        return;
    default:
        if (!virtual_media_execute(drive, command))
            virtual_refuse(command, 5, 0x20, 0x00);
    }
}
