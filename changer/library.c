/* SPDX-License-Identifier: Apache-2.0 */
#include "library_internal.h"

#include <assert.h>
#include <string.h>

struct varve_element *
varve_library_element(struct varve_library *library, uint16_t address)
{
    for (size_t i = 0; i < library->list.count; i++) {
        if (library->list.elements[i].element.address == address)
            return &library->list.elements[i].element;
    }
    return NULL;
}

static bool
is_home(const struct varve_library *library, uint16_t address)
{
    for (size_t i = 0; i < library->drive_count; i++) {
        if (library->drives[i].has_home && library->drives[i].home == address)
            return true;
    }
    return false;
}

struct varve_element *
varve_library_free_slot(struct varve_library *library)
{
    struct varve_element *reserve = NULL;
    for (size_t i = 0; i < library->list.count; i++) {
        struct varve_element *slot = &library->list.elements[i].element;
        if (slot->type != VARVE_ELEMENT_SLOT || slot->full || slot->exception)
            continue;
        if (!is_home(library, slot->address))
            return slot;
        if (reserve == NULL)
            reserve = slot;
    }
    return reserve;
}

static void
take_over(struct varve_library *library, const struct varve_smc_element *fresh)
{
    struct varve_element *known = varve_library_element(library, fresh->element.address);
    if (known != NULL)
        *known = fresh->element;
}

bool
varve_library_move(struct varve_library *library, const struct varve_changer_move *move,
                   struct varve_error *err)
{
    struct varve_changer_ends ends;
    bool moved = varve_changer_move(&library->changer, move, &ends, err);
    if (ends.known) {
        take_over(library, &ends.from);
        take_over(library, &ends.to);
        varve_library_publish(library);
    }
    return moved || varve_error_wrap(err, "library '%s'", library->name);
}

bool
varve_library_empty_gripper(struct varve_library *library, struct varve_error *err)
{
    for (size_t i = 0; i < library->list.count; i++) {
        const struct varve_element hand = library->list.elements[i].element;
        if (hand.type != VARVE_ELEMENT_TRANSPORT || !hand.full)
            continue;
        const struct varve_element *home =
            hand.has_source ? varve_library_element(library, hand.source) : NULL;
        if (home == NULL || home->type != VARVE_ELEMENT_SLOT || home->full)
            home = varve_library_free_slot(library);
        if (home == NULL)
            return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                                   "library '%s': disc '%s' hangs in the gripper and no slot is "
                                   "free\nhint: take a disc out of a slot",
                                   library->name, hand.barcode.text);
        struct varve_changer_move move = {hand.barcode, hand.address, home->address};
        if (!varve_library_move(library, &move, err))
            return varve_error_wrap(err, "empty the gripper");
    }
    return true;
}

bool
varve_library_refresh(struct varve_library *library, bool always, struct varve_error *err)
{
    bool changed;
    if (!varve_changer_poll(&library->changer, &changed, err))
        return varve_error_wrap(err, "library '%s'", library->name);
    if (!changed && !always)
        return true;
    if (!varve_changer_inventory(&library->changer, &library->list, err))
        return varve_error_wrap(err, "library '%s'", library->name);
    varve_library_publish(library);
    return varve_library_empty_gripper(library, err);
}

/* The drive element whose identifier contains the serial number of the drive, -1 if none does. */
static int32_t
find_by_serial(struct varve_library *library, const char *serial)
{
    int32_t found = -1;
    for (size_t i = 0; i < library->list.count && serial[0] != 0; i++) {
        const struct varve_smc_element *at = &library->list.elements[i];
        if (at->element.type != VARVE_ELEMENT_DRIVE || strstr(at->device_id, serial) == NULL)
            continue;
        if (found >= 0)
            return -1; /* two drives with one serial number: it proves nothing */
        found = at->element.address;
    }
    return found;
}

static bool
check_mapping(struct varve_library *library, struct varve_error *err)
{
    for (size_t a = 0; a < library->drive_count; a++) {
        const struct varve_drive *one = &library->drives[a].drive;
        if (varve_library_element(library, one->element) == NULL)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "library '%s': the changer has no element %u for drive %zu",
                                   library->name, one->element, a);
        for (size_t b = 0; b < a; b++) {
            if (library->drives[b].drive.element == one->element)
                return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                       "library '%s': drives %zu and %zu are both in element %u",
                                       library->name, b, a, one->element);
        }
    }
    return true;
}

/* By serial number where the changer tells it, else in the order given; each load proves it. */
static bool
map_drives(struct varve_library *library, struct varve_error *err)
{
    const struct varve_smc_range *range = &library->changer.map.of[VARVE_ELEMENT_DRIVE];
    if (library->drive_count > range->count)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "library '%s': %zu drives are configured, the changer has %u",
                               library->name, library->drive_count, range->count);
    for (size_t i = 0; i < library->drive_count; i++) {
        struct varve_drive *drive = &library->drives[i].drive;
        int32_t proven = find_by_serial(library, drive->identity.serial);
        drive->element = proven >= 0 ? (uint16_t)proven : (uint16_t)(range->first + i);
        (void)snprintf(drive->name, sizeof drive->name, "library '%s', drive %zu (element %u)",
                       library->name, i, drive->element);
    }
    return check_mapping(library, err);
}

static void
remember_homes(struct varve_library *library)
{
    for (size_t i = 0; i < library->drive_count; i++) {
        const struct varve_element *at =
            varve_library_element(library, library->drives[i].drive.element);
        const struct varve_element *home =
            at->full && at->has_source ? varve_library_element(library, at->source) : NULL;
        library->drives[i].has_home = home != NULL && home->type == VARVE_ELEMENT_SLOT;
        if (library->drives[i].has_home)
            library->drives[i].home = home->address;
    }
}

static bool
start_drives(struct varve_library *library, const struct varve_library_ports *ports,
             struct varve_error *err)
{
    library->drives = calloc(ports->drive_count + 1, sizeof *library->drives);
    if (library->drives == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "new library");
    library->drive_count = ports->drive_count;
    for (size_t i = 0; i < ports->drive_count; i++) {
        struct varve_drive *drive = &library->drives[i].drive;
        (void)snprintf(drive->name, sizeof drive->name, "library '%s', drive %zu", library->name,
                       i);
        if (!varve_drive_init(drive, ports->drives[i], library->clock, err))
            return false;
    }
    return true;
}

/* Leaves the ports alone. */
static void
dismantle(struct varve_library *library)
{
    varve_changer_done(&library->changer);
    varve_smc_list_done(&library->list);
    free(library->drives);
    (void)pthread_mutex_destroy(&library->arm);
    (void)pthread_mutex_destroy(&library->view);
    free(library);
}

static bool
bring_up(struct varve_library *library, const struct varve_library_ports *ports,
         const struct varve_move_journal *journal, struct varve_error *err)
{
    if (!varve_changer_init(&library->changer, ports, journal, library->clock, err))
        return varve_error_wrap(err, "library '%s'", library->name);
    return start_drives(library, ports, err) && varve_library_refresh(library, true, err) &&
           map_drives(library, err);
}

bool
varve_library_new(const struct varve_library_ports *ports, const struct varve_move_journal *journal,
                  struct varve_clock *clock, struct varve_library **ret, struct varve_error *err)
{
    assert(ports != NULL && ports->name != NULL && ports->changer != NULL);
    assert(journal != NULL && journal->intend != NULL && journal->done != NULL);
    struct varve_library *library = calloc(1, sizeof *library);
    if (library == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "new library");
    (void)snprintf(library->name, sizeof library->name, "%s", ports->name);
    library->clock = clock;
    (void)pthread_mutex_init(&library->arm, NULL); /* cannot fail on Linux */
    (void)pthread_mutex_init(&library->view, NULL);
    if (!bring_up(library, ports, journal, err)) {
        dismantle(library);
        return false;
    }
    remember_homes(library);
    varve_library_publish(library); /* again, now that each drive knows its element */
    *ret = library;
    return true;
}

void
varve_library_free(struct varve_library *library)
{
    if (library == NULL)
        return;
    for (size_t i = 0; i < library->drive_count; i++) {
        struct varve_scsi_port *port = library->drives[i].drive.device.port;
        port->close(port);
    }
    library->changer.device.port->close(library->changer.device.port);
    dismantle(library);
}

bool
varve_library_inventory(struct varve_library *library, bool refresh, struct varve_element **ret,
                        size_t *ret_count, struct varve_error *err)
{
    VARVE_LOCKED(&library->arm);
    if (refresh && !varve_library_refresh(library, true, err))
        return false;
    struct varve_element *copy = calloc(library->list.count + 1, sizeof *copy);
    if (copy == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "inventory of library '%s'",
                               library->name);
    for (size_t i = 0; i < library->list.count; i++)
        copy[i] = library->list.elements[i].element;
    *ret = copy;
    *ret_count = library->list.count;
    return true;
}

unsigned
varve_library_drive_count(const struct varve_library *library)
{
    return (unsigned)library->drive_count;
}

void
varve_library_publish(struct varve_library *library)
{
    VARVE_LOCKED(&library->view);
    for (size_t i = 0; i < library->drive_count; i++) {
        struct varve_library_drive *drive = &library->drives[i];
        const struct varve_element *at = varve_library_element(library, drive->drive.element);
        drive->shown_full = at != NULL && at->full;
        if (drive->shown_full)
            drive->shown = at->barcode;
    }
}

bool
varve_library_drive_disc(struct varve_library *library, unsigned drive, struct varve_barcode *ret)
{
    VARVE_LOCKED(&library->view);
    if (drive >= library->drive_count || !library->drives[drive].shown_full)
        return false;
    *ret = library->drives[drive].shown;
    return true;
}

struct varve_drive *
varve_library_drive(struct varve_library *library, unsigned drive)
{
    return drive < library->drive_count ? &library->drives[drive].drive : NULL;
}
