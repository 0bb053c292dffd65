/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing discs to drives and home. Functions named *_locked hold the arm. */
#include "library_internal.h"
#include "manual.h"

#include <string.h>

#define PLACES_MAX                                                                                 \
    3u /* tries of a disc that is not where the unit says, or of slots that are full */
#define SIDE_B ".B"
#define SEAT_TRIES 2
#define EJECT_TRIES 2

static bool
check_drive(struct varve_library *library, unsigned drive, struct varve_error *err)
{
    if (drive < library->drive_count)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "library '%s' has no drive %u: it has %zu",
                           library->name, drive, library->drive_count);
}

static bool
fail_absent(struct varve_library *library, const struct varve_barcode *barcode,
            struct varve_error *err)
{
    for (size_t i = 0; i < library->list.count; i++) {
        const struct varve_element *at = &library->list.elements[i].element;
        if ((at->flags & VARVE_ELEMENT_ABSENT) == 0 || !varve_barcode_equal(&at->barcode, barcode))
            continue;
        varve_error_set(err, VARVE_ERROR_OFFLINE, 0,
                        "disc '%s' is in element %u of library '%s', which is out of use",
                        barcode->text, at->address, library->name);
        return varve_error_hint(err, "put the magazine with element %u back", at->address);
    }
    varve_error_set(err, VARVE_ERROR_OFFLINE, 0, "disc '%s' is not in library '%s'", barcode->text,
                    library->name);
    return varve_error_hint(err, "insert disc '%s'", barcode->text);
}

bool
varve_library_find_disc(struct varve_library *library, const struct varve_barcode *barcode,
                        struct varve_element **ret, struct varve_error *err)
{
    struct varve_element *found = NULL;
    for (size_t i = 0; i < library->list.count; i++) {
        struct varve_element *at = &library->list.elements[i].element;
        if (!at->full || !varve_barcode_equal(&at->barcode, barcode))
            continue;
        if (found != NULL) {
            varve_error_set(err, VARVE_ERROR_OFFLINE, 0,
                            "library '%s': two discs have the bar code '%s', in elements %u and %u",
                            library->name, barcode->text, found->address, at->address);
            return varve_error_hint(err, "take one of them out and relabel it");
        }
        found = at;
    }
    if (found == NULL)
        return fail_absent(library, barcode, err);
    *ret = found;
    return true;
}

/* --- moves that the unit refuses --- */

bool
varve_library_look_again(struct varve_library *library, const struct varve_changer_move *move,
                         const struct varve_scsi_sense *sense)
{
    bool stale = varve_scsi_is(sense, 5, 0x3b, 0x0e) || varve_scsi_is(sense, 5, 0x3b, 0x0d);
    bool gone = varve_scsi_is(sense, 5, 0x3b, 0x11) || varve_scsi_is(sense, 5, 0x3b, 0x12) ||
                varve_scsi_is(sense, 5, 0x3b, 0x18) || varve_scsi_is(sense, 5, 0x21, 0x01);
    if (!stale && !gone)
        return false;
    struct varve_error ignored = {0}; /* then what was known before decides */
    if (stale)
        varve_changer_look_again(&library->changer, sense->ascq == 0x0e ? move->from : move->to);
    if (sense->asc == 0x21)
        library->changer.device.reconfigured = true;
    library->changer.distrusted = true;
    bool ok = varve_library_refresh(library, true, &ignored);
    library->changer.distrusted = false;
    return ok;
}

/* The unit still calls it empty, and something is in it (fault 9): left alone until the next
 * inventory. */
static void
shun(struct varve_library *library, uint16_t address)
{
    struct varve_element *slot = varve_library_element(library, address);
    if (slot == NULL || slot->full)
        return;
    slot->exception = true;
    slot->asc = 0x3b;
    slot->ascq = 0x0d;
}

/* --- unloading --- */

/* Its old slot, else any free one. */
static struct varve_element *
find_home(struct varve_library *library, const struct varve_library_drive *drive)
{
    struct varve_element *home =
        drive->has_home ? varve_library_element(library, drive->home) : NULL;
    if (home != NULL && home->type == VARVE_ELEMENT_SLOT && varve_library_is_free(home))
        return home;
    return varve_library_free_slot(library);
}

/* The tray may be locked by another program on this host, or must be opened first on some models:
 * ALLOW before the move; if the disc stays, ALLOW and eject, twice (fault 12). */
static bool
move_out_locked(struct varve_library *library, struct varve_library_drive *drive,
                const struct varve_changer_move *move, struct varve_changer_ends *ret,
                struct varve_error *err)
{
    struct varve_error ignored = {0}; /* a dead drive may still give its disc back */
    struct varve_error first = {0};
    (void)!varve_drive_release(&drive->drive, &ignored);
    varve_drive_forget(&drive->drive);
    if (varve_library_move(library, move, ret, &first))
        return true;
    const struct varve_element *at = varve_library_element(library, move->from);
    bool elsewhere = varve_scsi_is(&ret->sense, 5, 0x3b, 0x0d);
    if (library->changer.device.attention || library->maintenance || elsewhere || at == NULL ||
        !at->full) {
        *err = first; /* not known to be in the drive any more, or no matter of the drive */
        return false;
    }
    struct varve_error last = {0};
    for (unsigned tries = 0; tries < EJECT_TRIES; tries++) {
        (void)!varve_drive_release(&drive->drive, &ignored);
        (void)!varve_drive_eject(&drive->drive, &ignored);
        last = (struct varve_error){0};
        if (varve_library_move(library, move, ret, &last))
            return true;
    }
    *err = last;
    return varve_error_hint(err,
                            "%s does not give disc '%s' out: end the program that uses the "
                            "drive (lsof), or press its eject button; until then nothing "
                            "else goes into this drive",
                            drive->drive.name, move->barcode.text);
}

static bool
fail_no_slot(struct varve_library *library, const struct varve_library_drive *drive,
             const struct varve_barcode *barcode, struct varve_error *err)
{
    varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                    "library '%s': no slot is free for disc '%s' of %s", library->name,
                    barcode->text, drive->drive.name);
    return varve_error_hint(err, "export a disc");
}

bool
varve_library_unload_locked(struct varve_library *library, struct varve_library_drive *drive,
                            struct varve_error *err)
{
    for (unsigned tries = 1;; tries++) {
        const struct varve_element *at = varve_library_element(library, drive->drive.element);
        if (at == NULL || !at->full) {
            drive->has_home = false;
            return true;
        }
        const struct varve_element *home = find_home(library, drive);
        if (home == NULL)
            return fail_no_slot(library, drive, &at->barcode, err);
        struct varve_changer_ends ends = {0};
        struct varve_changer_move move = {at->barcode, at->address, home->address, at->inverted};
        struct varve_error failed = {0};
        if (move_out_locked(library, drive, &move, &ends, &failed)) {
            drive->has_home = false;
            return true;
        }
        if (tries == PLACES_MAX || !varve_library_look_again(library, &move, &ends.sense)) {
            *err = failed;
            return false;
        }
        if (varve_scsi_is(&ends.sense, 5, 0x3b, 0x0d)) {
            varve_library_tell(library,
                               "library '%s': slot %u was to be empty, and the gripper found a "
                               "disc in it; disc '%s' goes to another slot\nhint: see what lies "
                               "in slot %u",
                               library->name, move.to, move.barcode.text, move.to);
            shun(library, move.to);
        }
    }
}

/* --- loading --- */

struct placing {
    const struct varve_barcode *barcode;
    struct varve_library_drive *drive;
};

/* X.B is side B of disc X. */
static bool
wants_side_b(const struct varve_library *library, const struct varve_barcode *barcode,
             struct varve_barcode *ret_disc)
{
    size_t length = strlen(barcode->text);
    size_t suffix = strlen(SIDE_B);
    *ret_disc = *barcode;
    if (!library->two_sided || length <= suffix ||
        strcmp(barcode->text + length - suffix, SIDE_B) != 0)
        return false;
    ret_disc->text[length - suffix] = 0;
    return true;
}

static bool
check_can_turn(struct varve_library *library, const struct varve_barcode *disc,
               struct varve_error *err)
{
    if (library->changer.rotates)
        return true;
    varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "library '%s' cannot turn disc '%s' over",
                    library->name, disc->text);
    return varve_error_hint(err, "export disc '%s', turn it over, and import it again", disc->text);
}

/* An empty drive element with a medium behind it means that drive and element do not belong
 * together: better found out before a burn (INV-5). */
static bool
check_empty(struct varve_drive *drive, struct varve_error *err)
{
    bool present;
    if (!varve_drive_has_medium(drive, &present, err))
        return false;
    if (!present)
        return true;
    return varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                           "%s: holds a medium, but the changer calls its element %u empty\nhint: "
                           "are the drives listed in the changer's order?",
                           drive->name, drive->element);
}

/* Both discs by one command, where the unit can and the drive is proven to be this one: after an
 * exchange nobody has seen it empty (INV-5). False: nothing is lost, single moves go on from what
 * is. */
static bool
try_exchange(struct varve_library *library, const struct varve_element *at,
             struct varve_library_drive *drive)
{
    const struct varve_element *old = varve_library_element(library, drive->drive.element);
    const struct varve_element *home = find_home(library, drive);
    /* A device that does not say who it is may be another one by now. */
    if (!drive->proven || drive->drive.identity.serial[0] == 0 || old == NULL || !old->full ||
        home == NULL || at->type != VARVE_ELEMENT_SLOT)
        return false;
    struct varve_changer_exchange exchange = {
        .in = {at->barcode, at->address, old->address, at->inverted},
        .out = {old->barcode, old->address, home->address, old->inverted},
    };
    if (!varve_changer_can_exchange(&library->changer, &exchange))
        return false;
    struct varve_error ignored = {0}; /* the single moves tell what is wrong, if it still is */
    (void)!varve_drive_release(&drive->drive, &ignored);
    varve_drive_forget(&drive->drive);
    if (!varve_library_exchange(library, &exchange, &ignored)) {
        (void)!varve_library_refresh(library, false, &ignored);
        return false;
    }
    drive->has_home = true;
    drive->home = exchange.in.from;
    return true;
}

static bool
move_in_locked(struct varve_library *library, const struct varve_element *at,
               struct varve_library_drive *drive, bool invert, struct varve_changer_move *ret_move,
               struct varve_changer_ends *ret_ends, struct varve_error *err)
{
    struct varve_changer_move move = {at->barcode, at->address, drive->drive.element, invert};
    bool from_slot = at->type == VARVE_ELEMENT_SLOT;
    *ret_move = move;
    if (!varve_library_move(library, &move, ret_ends, err))
        return false;
    varve_drive_forget(&drive->drive);
    drive->has_home = from_slot;
    drive->home = move.from;
    return true;
}

enum placed { PLACED, PLACE_FAILED, PLACE_LOOK_AGAIN };

static enum placed
place_once(struct varve_library *library, const struct placing *placing,
           struct varve_changer_move *ret_move, struct varve_changer_ends *ret_ends,
           struct varve_error *err)
{
    struct varve_library_drive *drive = placing->drive;
    struct varve_barcode disc;
    struct varve_element *at;
    bool side_b = wants_side_b(library, placing->barcode, &disc);
    if (!varve_library_find_disc(library, &disc, &at, err))
        return PLACE_FAILED;
    bool here = at->address == drive->drive.element;
    if (here && at->inverted == side_b)
        return PLACED;
    if (at->inverted != side_b && !check_can_turn(library, &disc, err))
        return PLACE_FAILED;
    if (!here && at->type == VARVE_ELEMENT_DRIVE) {
        varve_error_set(err, VARVE_ERROR_BUSY, 0,
                        "disc '%s' is in another drive of library '%s' (element %u)", disc.text,
                        library->name, at->address);
        return PLACE_FAILED;
    }
    if (!here && at->inverted == side_b && try_exchange(library, at, drive))
        return PLACED;
    if (!varve_library_unload_locked(library, drive, err)) {
        (void)varve_error_wrap(err, "empty the drive first");
        return PLACE_FAILED;
    }
    if (!check_empty(&drive->drive, err) || !varve_library_find_disc(library, &disc, &at, err))
        return PLACE_FAILED;
    bool invert = at->inverted != side_b;
    return move_in_locked(library, at, drive, invert, ret_move, ret_ends, err) ? PLACED
                                                                               : PLACE_LOOK_AGAIN;
}

/* The slot was to be full, and the gripper found it empty (fault 8): nowhere else by another look
 * means that somebody has to look for it. */
static void
fail_stale(struct varve_library *library, const struct varve_changer_move *move,
           const struct varve_error *first, struct varve_error *err)
{
    *err = *first;
    err->kind = VARVE_ERROR_OFFLINE;
    varve_error_hint(err,
                     "disc '%s' is not in element %u of library '%s', nor in another one: look for "
                     "it, put it into a mail slot and run 'varve library import'",
                     move->barcode.text, move->from, library->name);
}

/* In an element, twice, or in a magazine that is out. */
static bool
is_listed(const struct varve_library *library, const struct varve_barcode *barcode)
{
    for (size_t i = 0; i < library->list.count; i++) {
        const struct varve_element *at = &library->list.elements[i].element;
        bool holds = at->full || (at->flags & VARVE_ELEMENT_ABSENT) != 0;
        if (holds && varve_barcode_equal(&at->barcode, barcode))
            return true;
    }
    return false;
}

static bool
place_locked(struct varve_library *library, void *context, struct varve_error *err)
{
    const struct placing *placing = context;
    struct varve_changer_move move = {0};
    struct varve_error first = {0};
    if (!varve_library_begin(library, err))
        return false;
    for (unsigned tries = 1;; tries++) {
        struct varve_changer_ends ends = {0};
        struct varve_error failed = {0};
        enum placed placed = place_once(library, placing, &move, &ends, &failed);
        if (placed == PLACED)
            return true;
        bool stale = first.kind != VARVE_ERROR_NONE && failed.kind == VARVE_ERROR_OFFLINE;
        if (placed == PLACE_LOOK_AGAIN && tries < PLACES_MAX &&
            varve_library_look_again(library, &move, &ends.sense)) {
            first = failed;
            continue;
        }
        if (stale && !is_listed(library, &move.barcode))
            fail_stale(library, &move, &first, err);
        else
            *err = failed;
        return false;
    }
}

struct unloading {
    struct varve_library_drive *drive;
};

static bool
begin_unload_locked(struct varve_library *library, void *context, struct varve_error *err)
{
    const struct unloading *unloading = context;
    return varve_library_begin(library, err) &&
           varve_library_unload_locked(library, unloading->drive, err);
}

/* A disc that the drive does not take would block every later job with something nobody asked for.
 */
static bool
take_back(struct varve_library *library, struct varve_library_drive *drive, struct varve_error *err)
{
    VARVE_LOCKED(&library->arm);
    struct varve_error undo = {0};
    return varve_library_unload_locked(library, drive, &undo) ||
           varve_error_wrap(err, "the disc stays in %s (%s)", drive->drive.name, undo.text);
}

/* It was empty before, and has a disc now. */
static void
note_proven(struct varve_library *library, struct varve_library_drive *drive)
{
    VARVE_LOCKED(&library->arm);
    drive->proven = true;
}

/* A drive that sees nothing of the disc gets it a second time: it may have lain askew. */
static bool
seat(struct varve_library *library, struct placing *placing, struct varve_error *err)
{
    struct varve_library_drive *drive = placing->drive;
    bool learned = false;
    for (unsigned tries = 1;; tries++) {
        struct varve_error why = {0};
        bool missing;
        if (!varve_library_when_movable(library, place_locked, placing, err))
            return false;
        if (varve_drive_wait_loaded(&drive->drive, &missing, &why)) {
            note_proven(library, drive);
            return true;
        }
        if (missing && !learned && varve_library_learn_by_look(library, drive, placing->barcode)) {
            learned = true;
            continue;
        }
        if (take_back(library, drive, &why) && missing && tries < SEAT_TRIES)
            continue;
        varve_library_note_refusal(library, (unsigned)(drive - library->drives), true);
        *err = why;
        return false;
    }
}

bool
varve_library_load(struct varve_library *library, const struct varve_barcode *barcode,
                   unsigned drive, struct varve_error *err)
{
    if (library->manual != NULL)
        return varve_manual_load(library, barcode, drive, err);
    if (!check_drive(library, drive, err))
        return false;
    varve_library_note_refusal(library, drive, false);
    struct placing placing = {barcode, &library->drives[drive]};
    return (varve_library_check_device(library, placing.drive, err) &&
            seat(library, &placing, err)) ||
           varve_error_wrap(err, "load disc '%s'", barcode->text);
}

bool
varve_library_unload(struct varve_library *library, unsigned drive, struct varve_error *err)
{
    if (library->manual != NULL)
        return varve_manual_unload(library, drive, err);
    if (!check_drive(library, drive, err))
        return false;
    struct unloading unloading = {&library->drives[drive]};
    return varve_library_when_movable(library, begin_unload_locked, &unloading, err) ||
           varve_error_wrap(err, "unload drive %u", drive);
}
