/* SPDX-License-Identifier: Apache-2.0 */
#include "library_internal.h"
#include "manual.h"

#include <assert.h>
#include <string.h>

/* The list is sorted by type, then address. What the mode page does not know (any more) is a slot
 * of a magazine that is out. */
struct varve_element *
varve_library_element(struct varve_library *library, uint16_t address)
{
    enum varve_element_type type = VARVE_ELEMENT_SLOT;
    (void)varve_smc_type_of(&library->changer.map, address, &type);
    size_t low = 0;
    size_t high = library->list.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct varve_element *at = &library->list.elements[middle].element;
        if (at->type < type || (at->type == type && at->address < address))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == library->list.count)
        return NULL;
    struct varve_element *found = &library->list.elements[low].element;
    return found->type == type && found->address == address ? found : NULL;
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

bool
varve_library_is_free(const struct varve_element *slot)
{
    return !slot->full && !slot->exception && (slot->flags & VARVE_ELEMENT_ABSENT) == 0;
}

struct varve_element *
varve_library_free_slot(struct varve_library *library)
{
    struct varve_element *reserve = NULL;
    for (size_t i = 0; i < library->list.count; i++) {
        struct varve_element *slot = &library->list.elements[i].element;
        if (slot->type != VARVE_ELEMENT_SLOT || !varve_library_is_free(slot))
            continue;
        if (!is_home(library, slot->address))
            return slot;
        if (reserve == NULL)
            reserve = slot;
    }
    return reserve;
}

bool
varve_library_move(struct varve_library *library, const struct varve_changer_move *move,
                   struct varve_changer_ends *ret_ends, struct varve_error *err)
{
    struct varve_changer_ends ends = {0};
    if (library->maintenance)
        return varve_library_begin(library, err);
    if (!varve_library_announce(library, move, err))
        return varve_error_wrap(err, "library '%s'", library->name);
    bool moved = varve_changer_move(&library->changer, move, &ends, err);
    if (ends.known) {
        varve_library_moved(library, move, &ends);
        varve_library_publish(library);
    }
    varve_library_check_wear(library);
    varve_library_check_surprise(library, moved, &ends.sense);
    if (ret_ends != NULL)
        *ret_ends = ends;
    return moved || varve_error_wrap(err, "library '%s'", library->name);
}

bool
varve_library_exchange(struct varve_library *library, const struct varve_changer_exchange *exchange,
                       struct varve_error *err)
{
    struct varve_changer_ends in = {0}, out = {0};
    if (!varve_library_announce_exchange(library, exchange, err))
        return varve_error_wrap(err, "library '%s'", library->name);
    bool done = varve_changer_exchange(&library->changer, exchange, &in, &out, err);
    if (out.known)
        varve_library_exchanged(library, exchange, &in, &out);
    varve_library_publish(library);
    varve_library_check_wear(library);
    return done || varve_error_wrap(err, "library '%s'", library->name);
}

/* Where a disc belongs that hangs in the hand; NULL: nowhere is room. */
static const struct varve_element *
home_of_hand(struct varve_library *library, const struct varve_element *hand)
{
    const struct varve_element *home =
        hand->has_source ? varve_library_element(library, hand->source) : NULL;
    if (home != NULL && home->type == VARVE_ELEMENT_SLOT && varve_library_is_free(home))
        return home;
    for (size_t i = 0; i < library->drive_count; i++) {
        uint16_t drive = library->drives[i].drive.element;
        int32_t recorded = varve_library_recorded_home(library, drive, &hand->barcode);
        home = recorded >= 0 ? varve_library_element(library, (uint16_t)recorded) : NULL;
        if (home != NULL && hand->barcode.text[0] != 0 && varve_library_is_free(home))
            return home;
    }
    return varve_library_free_slot(library);
}

bool
varve_library_empty_gripper(struct varve_library *library, struct varve_error *err)
{
    if (library->maintenance || library->unlocked)
        return true; /* not while hands may be in there */
    for (size_t i = 0; i < library->list.count; i++) {
        const struct varve_element hand = library->list.elements[i].element;
        if (hand.type != VARVE_ELEMENT_TRANSPORT || !hand.full)
            continue;
        const struct varve_element *home = home_of_hand(library, &hand);
        if (home == NULL) {
            varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                            "library '%s': disc '%s' hangs in the gripper (element %u) and no slot "
                            "is free",
                            library->name, hand.barcode.text, hand.address);
            return varve_error_hint(err,
                                    "open the library, take a disc out of a slot, and run 'varve "
                                    "library resume %s'",
                                    library->name);
        }
        struct varve_changer_move move = {
            .barcode = hand.barcode, .from = hand.address, .to = home->address};
        uint16_t slot = home->address;
        if (!varve_library_move(library, &move, NULL, err))
            return varve_error_wrap(err, "empty the gripper");
        varve_library_tell(library,
                           "library '%s': disc '%s' hung in the gripper and was put into "
                           "slot %u",
                           library->name, hand.barcode.text, slot);
    }
    return true;
}

static void
remember_homes(struct varve_library *library)
{
    for (size_t i = 0; i < library->drive_count; i++) {
        struct varve_library_drive *drive = &library->drives[i];
        const struct varve_element *at = varve_library_element(library, drive->drive.element);
        if (at == NULL || !at->full) {
            drive->has_home = false;
            continue;
        }
        int32_t home = varve_library_recorded_home(library, at->address, &at->barcode);
        drive->has_home = drive->has_home || home >= 0;
        if (home >= 0)
            drive->home = (uint16_t)home;
    }
}

bool
varve_library_refresh(struct varve_library *library, bool always, struct varve_error *err)
{
    bool changed;
    if (!varve_changer_poll(&library->changer, &changed, err))
        return varve_error_wrap(err, "library '%s'", library->name);
    if (!changed && !always)
        return true;
    struct varve_smc_list list = {0};
    if (!varve_changer_inventory(&library->changer, &list, err))
        return varve_error_wrap(err, "library '%s'", library->name);
    varve_smc_list_done(&library->list);
    library->list = list;
    bool doubtful = library->changer.device.medium_changed;
    if (!varve_library_judge(library, doubtful, err)) {
        library->changer.device.attention = true;
        return varve_error_wrap(err, "library '%s'", library->name);
    }
    library->changer.device.medium_changed = false;
    library->changer.device.heard = false;
    library->stop = NULL;
    remember_homes(library);
    varve_library_publish(library);
    return varve_library_empty_gripper(library, err);
}

int32_t
varve_library_find_serial(struct varve_library *library, const char *serial)
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
        int32_t proven = varve_library_find_serial(library, drive->identity.serial);
        drive->element = proven >= 0 ? (uint16_t)proven : (uint16_t)(range->first + i);
        (void)snprintf(drive->name, sizeof drive->name, "library '%s', drive %zu (element %u)",
                       library->name, i, drive->element);
        library->drives[i].proven = proven >= 0;
    }
    return check_mapping(library, err);
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
        varve_scsi_set_timeouts(&drive->device, &ports->timeouts);
    }
    return true;
}

/* Leaves the ports alone. */
static void
dismantle(struct varve_library *library)
{
    varve_changer_done(&library->changer);
    varve_smc_list_done(&library->list);
    free(library->records);
    free(library->drives);
    free(library->positions);
    (void)pthread_mutex_destroy(&library->arm);
    (void)pthread_mutex_destroy(&library->view);
    free(library);
}

static bool
is_stopping(void *context)
{
    struct varve_library *library = context;
    return atomic_load(&library->stopping) || (library->stop != NULL && atomic_load(library->stop));
}

static bool
bring_up(struct varve_library *library, const struct varve_library_ports *ports,
         const struct varve_move_journal *journal, struct varve_error *err)
{
    const struct varve_changer_setup setup = {
        .name = library->name,
        .port = ports->changer,
        .journal = *journal,
        .clock = library->clock,
        .observer = {library, varve_library_note, is_stopping},
        .timeouts = ports->timeouts,
        .ready_ns = ports->ready_ns,
    };
    if (!varve_changer_init(&library->changer, &setup, err) ||
        !varve_library_records_load(library, err))
        return varve_error_wrap(err, "library '%s'", library->name);
    varve_changer_lock(&library->changer, true);
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
    library->has_geometry = ports->geometry != NULL;
    if (library->has_geometry)
        library->geometry = *ports->geometry;
    library->two_sided = ports->two_sided;
    library->stop = ports->stop;
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
    if (library->manual != NULL) {
        varve_manual_free(library);
        return;
    }
    for (size_t i = 0; i < library->drive_count; i++) {
        struct varve_scsi_port *port = library->drives[i].drive.device.port;
        port->close(port);
    }
    varve_changer_lock(&library->changer, false); /* people may open it now */
    library->changer.device.port->close(library->changer.device.port);
    dismantle(library);
}

bool
varve_library_inventory(struct varve_library *library, bool refresh, struct varve_element **ret,
                        size_t *ret_count, struct varve_error *err)
{
    if (library->manual != NULL)
        return varve_manual_inventory(library, ret, ret_count, err);
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

/* What is to be read in the drive: side B has a name of its own. */
static struct varve_barcode
side_name(const struct varve_library *library, const struct varve_element *at)
{
    char text[VARVE_BARCODE_BYTES + 2];
    struct varve_barcode name;
    (void)snprintf(text, sizeof text, "%s.B", at->barcode.text);
    bool side_b = library->two_sided && at->inverted;
    return side_b && varve_barcode_make(text, &name) ? name : at->barcode;
}

void
varve_library_publish(struct varve_library *library)
{
    VARVE_LOCKED(&library->view);
    for (size_t i = 0; i < library->drive_count; i++) {
        struct varve_library_drive *drive = &library->drives[i];
        const struct varve_element *at = varve_library_element(library, drive->drive.element);
        drive->shown_full = at != NULL && at->full;
        drive->shown_flags = at != NULL ? at->flags : 0;
        if (drive->shown_full)
            drive->shown = side_name(library, at);
        drive->shown_element = drive->drive.element;
        drive->shown_home = drive->has_home ? drive->home : 0;
    }
    varve_library_view_positions(library);
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

unsigned
varve_library_drive_flags(struct varve_library *library, unsigned drive)
{
    VARVE_LOCKED(&library->view);
    return drive < library->drive_count ? library->drives[drive].shown_flags : 0;
}

struct varve_drive *
varve_library_drive(struct varve_library *library, unsigned drive)
{
    return drive < library->drive_count ? &library->drives[drive].drive : NULL;
}
