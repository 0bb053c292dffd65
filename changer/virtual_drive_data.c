/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, writing and closing a disc (MMC-6). Callers hold the drive's lock. */
#include "mmc_codec.h"
#include "virtual_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/byteorder.h>
#include <varve/file.h>

static bool
quirky(const struct virtual_drive *drive, enum varve_virtual_quirk quirk)
{
    return virtual_has(&drive->device, quirk);
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

/* The first defect of the kind in the extent, with the sector where it begins there. */
static bool
find_defect(const struct virtual_drive *drive, enum virtual_defect_kind kind, uint32_t lba,
            uint32_t count, uint32_t *ret)
{
    bool found = false;
    for (unsigned i = 0; i < drive->disc.defect_count; i++) {
        const struct virtual_defect *one = &drive->disc.defects[i];
        uint32_t at = one->first > lba ? one->first : lba;
        if (one->kind != kind || count == 0 || at > one->last || at - lba >= count ||
            (found && at >= *ret))
            continue;
        *ret = at;
        found = true;
    }
    return found;
}

static bool
refuse_read(struct virtual_drive *drive, struct varve_scsi_command *command, uint32_t lba,
            uint32_t count)
{
    uint32_t end = virtual_drive_recorded(drive), at;
    bool burning = !drive->disc.closed && drive->writes > 0;
    if (burning && quirky(drive, VARVE_VIRTUAL_READ_LOCKED)) {
        virtual_refuse(command, 5, 0x2c, 0x00);
    } else if (count > 0 && (uint64_t)lba + count > end) {
        bool blank = quirky(drive, VARVE_VIRTUAL_BLANK_CHECK);
        refuse_at(command, (struct virtual_sense){.key = blank ? 8 : 5, .asc = blank ? 0x00 : 0x21},
                  lba > end ? lba : end);
    } else if (find_defect(drive, VIRTUAL_DEFECT_HARD, lba, count, &at)) {
        refuse_at(command, (struct virtual_sense){.key = 3, .asc = 0x11, .ascq = 0x05}, at);
    } else {
        return false;
    }
    return true;
}

/* The data came, with retries: key 1 beside it. */
static void
tell_recovered(struct virtual_drive *drive, struct varve_scsi_command *command, uint32_t lba,
               uint32_t count)
{
    uint32_t at, bytes = command->received_bytes;
    if (!find_defect(drive, VIRTUAL_DEFECT_SOFT, lba, count, &at))
        return;
    refuse_at(command, (struct virtual_sense){.key = 1, .asc = 0x18, .ascq = 0x00}, at);
    command->received_bytes = bytes;
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
void
virtual_read_sectors(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint32_t lba, count;
    get_extent(command->cdb, &lba, &count);
    uint64_t bytes = (uint64_t)count * VARVE_SECTOR_BYTES;
    if (bytes > command->data_bytes) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    virtual_spend_read(drive, lba, count); /* a failure takes as long */
    if (refuse_read(drive, command, lba, count))
        return;
    if (drive->disc.media->model == VARVE_MEDIA_OVERWRITE) {
        read_rewritable(drive, command, lba, (size_t)bytes);
        tell_recovered(drive, command, lba, count);
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
    tell_recovered(drive, command, lba, count);
}

/* Makes the image and says durably that it must exist from now on. */
static bool
begin_image(struct virtual_drive *drive)
{
    struct varve_virtual *library = drive->device.library;
    VARVE_CLEANUP_FREE char *path = virtual_disc_path(library->dir, &drive->name, ".img");
    VARVE_CLEANUP_FREE char *discs = varve_file_join(library->dir, "discs");
    struct varve_error ignored = {0}; /* becomes a write error */
    if (path == NULL || discs == NULL)
        return false;
    VARVE_CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || !varve_file_sync_dir(discs, &ignored))
        return false;
    VARVE_LOCKED(&library->lock);
    if (!virtual_mark_written(library, &drive->barcode, drive->side_b, &ignored))
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

static bool
refuse_write(struct virtual_drive *drive, struct varve_scsi_command *command, uint32_t lba,
             uint32_t count)
{
    uint32_t at;
    if ((uint64_t)count * VARVE_SECTOR_BYTES != command->data_bytes)
        virtual_refuse(command, 5, 0x24, 0x00);
    else if (virtual_media_refuse_write(drive, command, lba, count))
        return true;
    else if (quirky(drive, VARVE_VIRTUAL_LONG_WRITE) && drive->writes++ % 4 == 3)
        virtual_refuse(command, 2, 0x04, 0x08);
    else if (find_defect(drive, VIRTUAL_DEFECT_WRITE, lba, count, &at))
        refuse_at(command, (struct virtual_sense){.key = 3, .asc = 0x0c, .ascq = 0x00}, at);
    else
        return false;
    return true;
}

/* MMC-6, WRITE (10), (12): sequential media from the next writable address, never twice. */
void
virtual_write_sectors(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    uint32_t lba, count;
    get_extent(command->cdb, &lba, &count);
    if (refuse_write(drive, command, lba, count))
        return;
    drive->writes += quirky(drive, VARVE_VIRTUAL_LONG_WRITE) ? 0 : 1;
    virtual_spend_write(drive, lba, count);
    bool anywhere = drive->disc.media->model == VARVE_MEDIA_OVERWRITE;
    bool written = count == 0 || (anywhere ? overwrite_sectors(drive, command->data, lba, count)
                                           : append_sectors(drive, command->data, count));
    if (!written)
        refuse_at(command, (struct virtual_sense){.key = 3, .asc = 0x0c, .ascq = 0x00}, lba);
    else
        virtual_good(command);
}

/* MMC-6, SYNCHRONIZE CACHE */
bool
virtual_flush(struct virtual_drive *drive, struct varve_scsi_command *command)
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
    if (virtual_disc_write(drive->device.library->dir, &drive->name, &closed, true, &ignored)) {
        drive->disc = closed;
        return true;
    }
    virtual_refuse(command, 3, 0x72, 0x00);
    return false;
}

/* MMC-6, CLOSE TRACK/SESSION. Track and session end where the data ends; only the last step of the
 * kind of disc changes what can be done with it. A blank one has nothing to close. */
void
virtual_close_track_session(struct virtual_drive *drive, struct varve_scsi_command *command)
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
    if (virtual_drive_is_blank(drive)) {
        virtual_refuse(command, 5, 0x72, 0x03);
        return;
    }
    const struct varve_media *media = drive->disc.media;
    if (!drive->disc.closed && media->model == VARVE_MEDIA_SEQUENTIAL) {
        if (!virtual_flush(drive, command))
            return;
        if (what == media->close[media->close_count - 1].what && !finalise(drive, command))
            return;
        virtual_spend_operation(drive, 0x07, command->cdb[1] & 0x01);
    }
    virtual_good(command);
}
