/* SPDX-License-Identifier: Apache-2.0 */
/* Which device is in which drive element, found out again when it is not what it was: cables were
 * swapped, device names changed places (fault 17). Found out before anything is written. */
#include "library_internal.h"

#include <string.h>

/* The drive's devices change places: elements, and what is known of the discs in them. */
static void
swap_elements(struct varve_library_drive *a, struct varve_library_drive *b)
{
    struct varve_library_drive old = *a;
    a->drive.element = b->drive.element;
    a->has_home = b->has_home;
    a->home = b->home;
    a->proven = b->proven;
    b->drive.element = old.drive.element;
    b->has_home = old.has_home;
    b->home = old.home;
    b->proven = old.proven;
}

static struct varve_library_drive *
drive_in(struct varve_library *library, uint16_t element)
{
    for (size_t i = 0; i < library->drive_count; i++) {
        if (library->drives[i].drive.element == element)
            return &library->drives[i];
    }
    return NULL;
}

/* "": it does not say. */
static void
read_serial(struct varve_drive *drive, char ret[33])
{
    uint8_t data[252];
    struct varve_scsi_command command;
    struct varve_error ignored = {0}; /* a drive that is dead tells so at the next command */
    ret[0] = 0;
    varve_smc_encode_inquiry_vpd(&command, 0x80, data, sizeof data);
    if (varve_scsi_run(&drive->device, &command, &ignored))
        (void)varve_smc_decode_serial(data, command.received_bytes, ret);
}

/* Holding the arm. */
static bool
follow_serial(struct varve_library *library, struct varve_library_drive *drive, const char *serial,
              struct varve_error *err)
{
    int32_t element = varve_library_find_serial(library, serial);
    struct varve_library_drive *other = element < 0 ? NULL : drive_in(library, (uint16_t)element);
    if (other == NULL) {
        varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                        "%s: the device behind it has serial number '%s', and had '%s' before",
                        drive->drive.name, serial, drive->drive.identity.serial);
        return varve_error_hint(err, "were cables swapped or a drive replaced? nothing is written; "
                                     "mount the archive again when drives and configuration agree");
    }
    varve_library_tell(library,
                       "%s: the device behind it is now '%s', which is in element %u: cables or "
                       "device names have changed places, and the drives were learned anew",
                       drive->drive.name, serial, (unsigned)element);
    if (other != drive)
        swap_elements(drive, other);
    drive->proven = true;
    (void)snprintf(drive->drive.identity.serial, sizeof drive->drive.identity.serial, "%s", serial);
    varve_library_publish(library);
    return true;
}

bool
varve_library_check_device(struct varve_library *library, struct varve_library_drive *drive,
                           struct varve_error *err)
{
    char serial[sizeof drive->drive.identity.serial];
    if (drive->drive.identity.serial[0] == 0)
        return true;
    read_serial(&drive->drive, serial);
    if (serial[0] == 0 || strcmp(serial, drive->drive.identity.serial) == 0)
        return true;
    VARVE_LOCKED(&library->arm);
    return follow_serial(library, drive, serial, err);
}

/* An empty drive belongs to whoever has the arm: nobody else asks it anything. */
static struct varve_library_drive *
find_seer(struct varve_library *library, const struct varve_library_drive *drive)
{
    struct varve_library_drive *found = NULL;
    for (size_t i = 0; i < library->drive_count; i++) {
        struct varve_library_drive *other = &library->drives[i];
        const struct varve_element *at = varve_library_element(library, other->drive.element);
        struct varve_error ignored = {0};
        bool present;
        if (other == drive || at == NULL || at->full ||
            !varve_drive_has_medium(&other->drive, &present, &ignored) || !present)
            continue;
        if (found != NULL)
            return NULL; /* two: it proves nothing */
        found = other;
    }
    return found;
}

bool
varve_library_learn_by_look(struct varve_library *library, struct varve_library_drive *drive,
                            const struct varve_barcode *barcode)
{
    VARVE_LOCKED(&library->arm);
    struct varve_library_drive *seer = find_seer(library, drive);
    if (seer == NULL)
        return false;
    varve_library_tell(library,
                       "disc '%s' was put into element %u, and %s sees it instead of %s: they are "
                       "listed in another order than the changer's, and were learned anew",
                       barcode->text, drive->drive.element, seer->drive.name, drive->drive.name);
    swap_elements(drive, seer);
    seer->proven = true;
    drive->proven = false; /* its next load tells */
    varve_library_publish(library);
    struct varve_error ignored = {0}; /* then the next load finds it in there */
    (void)!varve_library_unload_locked(library, seer, &ignored);
    return true;
}
