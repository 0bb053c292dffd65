/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing discs to drives, home, and through the mail slots. Functions named *_locked hold the
 * arm. */
#include "library_internal.h"

#define SEAT_TRIES 2

static bool
check_drive(struct varve_library *library, unsigned drive, struct varve_error *err)
{
    if (drive < library->drive_count)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "library '%s' has no drive %u: it has %zu",
                           library->name, drive, library->drive_count);
}

static bool
find_disc(struct varve_library *library, const struct varve_barcode *barcode,
          struct varve_element **ret, struct varve_error *err)
{
    struct varve_element *found = NULL;
    for (size_t i = 0; i < library->list.count; i++) {
        struct varve_element *at = &library->list.elements[i].element;
        if (!at->full || !varve_barcode_equal(&at->barcode, barcode))
            continue;
        if (found != NULL)
            return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                                   "library '%s': two discs have the bar code '%s', in elements "
                                   "%u and %u\nhint: take one of them out and relabel it",
                                   library->name, barcode->text, found->address, at->address);
        found = at;
    }
    if (found == NULL)
        return varve_error_set(err, VARVE_ERROR_OFFLINE, 0,
                               "disc '%s' is not in library '%s'\nhint: insert disc '%s'",
                               barcode->text, library->name, barcode->text);
    *ret = found;
    return true;
}

/* Its old slot, else any free one. */
static struct varve_element *
find_home(struct varve_library *library, const struct varve_library_drive *drive)
{
    struct varve_element *home =
        drive->has_home ? varve_library_element(library, drive->home) : NULL;
    if (home != NULL && home->type == VARVE_ELEMENT_SLOT && !home->full && !home->exception)
        return home;
    return varve_library_free_slot(library);
}

/* The tray may be locked by another program on this host, or must be opened first on some models:
 * ALLOW before the move; if the disc stays, ALLOW and eject, and once more. */
static bool
move_out_locked(struct varve_library *library, struct varve_library_drive *drive,
                const struct varve_changer_move *move, struct varve_error *err)
{
    struct varve_error ignored = {0}; /* a dead drive may still give its disc back */
    struct varve_error first = {0};
    (void)!varve_drive_release(&drive->drive, &ignored);
    varve_drive_forget(&drive->drive);
    if (varve_library_move(library, move, &first))
        return true;
    const struct varve_element *at = varve_library_element(library, move->from);
    if (library->changer.device.attention || at == NULL || !at->full) {
        *err = first; /* not known to be in the drive any more */
        return false;
    }
    (void)!varve_drive_release(&drive->drive, &ignored);
    (void)!varve_drive_eject(&drive->drive, &ignored);
    return varve_library_move(library, move, err);
}

static bool
unload_locked(struct varve_library *library, struct varve_library_drive *drive,
              struct varve_error *err)
{
    const struct varve_element *at = varve_library_element(library, drive->drive.element);
    if (at == NULL || !at->full) {
        drive->has_home = false;
        return true;
    }
    const struct varve_element *home = find_home(library, drive);
    if (home == NULL)
        return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                               "library '%s': no slot is free for disc '%s' of %s\nhint: export a "
                               "disc",
                               library->name, at->barcode.text, drive->drive.name);
    struct varve_changer_move move = {at->barcode, at->address, home->address};
    if (!move_out_locked(library, drive, &move, err))
        return false;
    drive->has_home = false;
    return true;
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

static bool
place_locked(struct varve_library *library, const struct varve_barcode *barcode,
             struct varve_library_drive *drive, struct varve_error *err)
{
    struct varve_element *at;
    if (!varve_library_refresh(library, false, err) || !find_disc(library, barcode, &at, err))
        return false;
    if (at->address == drive->drive.element)
        return true;
    if (at->type == VARVE_ELEMENT_DRIVE)
        return varve_error_set(err, VARVE_ERROR_BUSY, 0,
                               "disc '%s' is in another drive of library '%s' (element %u)",
                               barcode->text, library->name, at->address);
    if (!unload_locked(library, drive, err))
        return varve_error_wrap(err, "empty the drive first");
    if (!check_empty(&drive->drive, err))
        return false;
    struct varve_changer_move move = {*barcode, at->address, drive->drive.element};
    bool from_slot = at->type == VARVE_ELEMENT_SLOT;
    if (!varve_library_move(library, &move, err))
        return false;
    varve_drive_forget(&drive->drive);
    drive->has_home = from_slot;
    drive->home = move.from;
    return true;
}

static bool
place(struct varve_library *library, const struct varve_barcode *barcode,
      struct varve_library_drive *drive, struct varve_error *err)
{
    VARVE_LOCKED(&library->arm);
    return place_locked(library, barcode, drive, err);
}

/* A disc that the drive does not take would block every later job with something nobody asked for.
 */
static bool
take_back(struct varve_library *library, struct varve_library_drive *drive, struct varve_error *err)
{
    VARVE_LOCKED(&library->arm);
    struct varve_error undo = {0};
    return unload_locked(library, drive, &undo) ||
           varve_error_wrap(err, "the disc stays in %s (%s)", drive->drive.name, undo.text);
}

/* A drive that sees nothing of the disc gets it a second time: it may have lain askew. */
static bool
seat(struct varve_library *library, const struct varve_barcode *barcode,
     struct varve_library_drive *drive, struct varve_error *err)
{
    for (unsigned tries = 1;; tries++) {
        struct varve_error why = {0};
        bool missing;
        if (!place(library, barcode, drive, err))
            return false;
        if (varve_drive_wait_loaded(&drive->drive, &missing, &why))
            return true;
        if (take_back(library, drive, &why) && missing && tries < SEAT_TRIES)
            continue;
        *err = why;
        return false;
    }
}

bool
varve_library_load(struct varve_library *library, const struct varve_barcode *barcode,
                   unsigned drive, struct varve_error *err)
{
    if (!check_drive(library, drive, err))
        return false;
    struct varve_library_drive *target = &library->drives[drive];
    return seat(library, barcode, target, err) ||
           varve_error_wrap(err, "load disc '%s'", barcode->text);
}

bool
varve_library_unload(struct varve_library *library, unsigned drive, struct varve_error *err)
{
    if (!check_drive(library, drive, err))
        return false;
    VARVE_LOCKED(&library->arm);
    if (!varve_library_refresh(library, false, err) ||
        !unload_locked(library, &library->drives[drive], err))
        return varve_error_wrap(err, "unload drive %u", drive);
    return true;
}

static struct varve_element *
find_free_mail_slot(struct varve_library *library, unsigned *ret_total)
{
    struct varve_element *found = NULL;
    *ret_total = 0;
    for (size_t i = 0; i < library->list.count; i++) {
        struct varve_element *at = &library->list.elements[i].element;
        if (at->type != VARVE_ELEMENT_MAIL_SLOT)
            continue;
        ++*ret_total;
        if (!at->full && !at->exception && found == NULL)
            found = at;
    }
    return found;
}

static bool
export_locked(struct varve_library *library, const struct varve_barcode *barcode,
              struct varve_error *err)
{
    struct varve_element *at;
    if (!varve_library_refresh(library, false, err) || !find_disc(library, barcode, &at, err))
        return false;
    if (at->type == VARVE_ELEMENT_MAIL_SLOT)
        return true;
    if (at->type == VARVE_ELEMENT_DRIVE)
        return varve_error_set(err, VARVE_ERROR_BUSY, 0,
                               "disc '%s' is in a drive of library '%s' (element %u)\nhint: unload "
                               "it first",
                               barcode->text, library->name, at->address);
    unsigned total;
    struct varve_element *mail = find_free_mail_slot(library, &total);
    if (mail == NULL)
        return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                               "library '%s': none of its %u mail slots is free\nhint: take the "
                               "discs out of the mail slots",
                               library->name, total);
    struct varve_changer_move move = {*barcode, at->address, mail->address};
    return varve_library_move(library, &move, err);
}

bool
varve_library_export(struct varve_library *library, const struct varve_barcode *barcode,
                     struct varve_error *err)
{
    VARVE_LOCKED(&library->arm);
    if (!export_locked(library, barcode, err))
        return varve_error_wrap(err, "export disc '%s'", barcode->text);
    return true;
}

static bool
import_one(struct varve_library *library, const struct varve_element *mail, struct varve_error *err)
{
    const struct varve_element *slot = varve_library_free_slot(library);
    if (slot == NULL)
        return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                               "library '%s': no slot is free for disc '%s' in mail slot %u",
                               library->name, mail->barcode.text, mail->address);
    struct varve_changer_move move = {mail->barcode, mail->address, slot->address};
    return varve_library_move(library, &move, err);
}

bool
varve_library_import(struct varve_library *library, unsigned *ret_count, struct varve_error *err)
{
    VARVE_LOCKED(&library->arm);
    /* Operators open mail slots without every unit telling: always look. */
    if (!varve_library_refresh(library, true, err))
        return varve_error_wrap(err, "import");
    unsigned count = 0;
    for (size_t i = 0; i < library->list.count; i++) {
        const struct varve_element at = library->list.elements[i].element;
        if (at.type != VARVE_ELEMENT_MAIL_SLOT || !at.full)
            continue;
        if (!import_one(library, &at, err))
            return varve_error_wrap(err, "import (%u discs came in before)", count);
        count++;
    }
    *ret_count = count;
    return true;
}
