/* SPDX-License-Identifier: Apache-2.0 */
/* Device server of a drive: readiness, tray, and which command goes where (MMC-6). Callers hold the
 * drive's lock. */
#include "mmc_codec.h"
#include "virtual_internal.h"

#include <sys/stat.h>

static bool
is_gone(const struct virtual_drive *drive)
{
    struct stat st;
    return drive->image >= 0 && fstat(drive->image, &st) == 0 && st.st_nlink == 0;
}

/* True with the sense in *ret while there is no medium that could be used. Counts the commands that
 * the drive takes to get ready. */
static bool
has_no_medium(struct virtual_drive *drive, struct virtual_sense *ret)
{
    *ret = (struct virtual_sense){.key = 2, .asc = 0x04, .ascq = 0x01};
    if (drive->tray_open || !drive->loaded || drive->unseen || is_gone(drive)) {
        ret->asc = 0x3a;
        ret->ascq = drive->tray_open ? 0x02 : 0x00;
        return true;
    }
    bool spinning_up =
        drive->ready_at_ns != 0 && virtual_now(drive->device.library) < drive->ready_at_ns;
    if (drive->becoming_ready > 0 || spinning_up || drive->disc.trouble == VIRTUAL_TROUBLE_DIRTY) {
        drive->becoming_ready -= drive->becoming_ready > 0 ? 1 : 0;
        return true;
    }
    if (drive->unknown || drive->disc.trouble == VIRTUAL_TROUBLE_REVERSED) {
        ret->asc = 0x30;
        ret->ascq = 0x00;
        return true;
    }
    return false;
}

static bool
is_unready(struct virtual_drive *drive, struct virtual_sense *ret)
{
    return has_no_medium(drive, ret) || virtual_is_operating(drive, ret);
}

static bool
quirky(const struct virtual_drive *drive, enum varve_virtual_quirk quirk)
{
    return virtual_has(&drive->device, quirk);
}

bool
virtual_drive_refuse_unready(struct virtual_drive *drive, struct varve_scsi_command *command)
{
    struct virtual_sense sense;
    if (!is_unready(drive, &sense))
        return false;
    if (command->cdb[0] == 0x00 && sense.asc == 0x04 && quirky(drive, VARVE_VIRTUAL_TUR_BUSY)) {
        virtual_good(command);
        return true;
    }
    virtual_check(command, &sense);
    return true;
}

bool
virtual_drive_is_blank(const struct virtual_drive *drive)
{
    return !drive->disc.closed && drive->next == 0 &&
           drive->disc.media->model != VARVE_MEDIA_OVERWRITE;
}

/* Sectors that were recorded. */
uint32_t
virtual_drive_recorded(const struct virtual_drive *drive)
{
    if (drive->disc.media->model == VARVE_MEDIA_OVERWRITE)
        return virtual_disc_room(&drive->disc);
    return drive->disc.closed ? drive->disc.recorded : drive->next;
}

/* A command that says what the medium is does not wait for it, but counts as a poll. */
bool
virtual_drive_is_usable(struct virtual_drive *drive)
{
    struct virtual_sense ignored;
    return !has_no_medium(drive, &ignored);
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
    bool prevented = drive->locked || virtual_is_prevented(&drive->device);
    if (what == VARVE_MMC_EJECT && (prevented || drive->held)) {
        virtual_refuse(command, prevented ? 5 : 4, 0x53, prevented ? 0x02 : 0x00);
        return;
    }
    if (what == VARVE_MMC_EJECT)
        drive->tray_open = true;
    if (what == VARVE_MMC_LOAD && drive->tray_open) {
        struct varve_barcode barcode = drive->barcode;
        bool loaded = drive->loaded;
        virtual_drive_remove(drive);
        if (loaded)
            virtual_drive_insert(drive, &barcode, drive->side_b);
    }
    virtual_good(command);
}

/* SPC-4, PREVENT ALLOW MEDIUM REMOVAL */
static void
prevent_allow(struct virtual_drive *drive, unsigned nexus, struct varve_scsi_command *command)
{
    if ((command->cdb[4] & 0xfc) != 0) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    bool prevents = command->cdb[4] & 0x01;
    virtual_prevent(&drive->device, nexus, prevents);
    if (!prevents)
        drive->locked = false; /* a host's ALLOW undoes what the kernel's cdrom_id left behind */
    virtual_good(command);
}

static void
request_sense(struct virtual_drive *drive, unsigned nexus, struct varve_scsi_command *command)
{
    struct virtual_sense now;
    bool unready = is_unready(drive, &now);
    virtual_request_sense(command, &drive->device, nexus, unready ? &now : NULL);
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
    if (virtual_drive_refuse_unready(drive, command))
        return;
    switch (command->cdb[0]) {
    case 0x25:
        virtual_read_capacity(drive, command);
        return;
    case 0x28:
    case 0xa8:
        virtual_read_sectors(drive, command);
        return;
    case 0x2a:
    case 0xaa:
        virtual_write_sectors(drive, command);
        return;
    case 0x35:
        if (virtual_flush(drive, command)) {
            virtual_spend_flush(drive, command->cdb[1] & 0x02);
            virtual_good(command);
        }
        return;
    case 0x51:
        virtual_read_disc_information(drive, command);
        return;
    case 0x52:
        virtual_read_track_information(drive, command);
        return;
    case 0x5b:
        virtual_close_track_session(drive, command);
        return;
    case 0x5c:
        virtual_read_buffer_capacity(drive, command);
        return;
    default: /* TEST UNIT READY */
        virtual_good(command);
    }
}

void
virtual_drive_execute(struct virtual_drive *drive, unsigned nexus,
                      struct varve_scsi_command *command)
{
    switch (command->cdb[0]) {
    case 0x03:
        request_sense(drive, nexus, command);
        return;
    case 0x12:
        inquiry(drive, command);
        return;
    case 0x1b:
        start_stop(drive, command);
        return;
    case 0x1e:
        prevent_allow(drive, nexus, command);
        return;
    case 0x46:
        virtual_get_configuration(drive, command);
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
