/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a virtual library from outside: doors, magazines, hands, power. All drives and
 * the model are locked meanwhile: it happens between two commands. */
#include "virtual_internal.h"

#include <string.h>

static bool
impossible(struct varve_error *err, const char *what, unsigned number, const char *why)
{
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "%s %u %s", what, number, why);
}

static struct virtual_drive *
drive_at(struct varve_virtual *library, uint16_t address)
{
    if (virtual_index(library, address) < 0 || virtual_type(address) != VARVE_ELEMENT_DRIVE)
        return NULL;
    return &library->drives[address - VIRTUAL_DRIVE_FIRST];
}

/* The drive at the element finds in it what the model says. */
static void
settle_drive(struct varve_virtual *library, uint16_t address)
{
    struct virtual_drive *drive = drive_at(library, address);
    const struct virtual_place *place = virtual_at(library, address);
    if (drive == NULL)
        return;
    virtual_drive_remove(drive);
    if (place != NULL)
        virtual_drive_insert(drive, &place->barcode, place->inverted);
}

static bool
check_reachable(struct varve_virtual *library, uint16_t element, struct varve_error *err)
{
    if (virtual_index(library, element) < 0)
        return impossible(err, "element", element, "does not exist");
    if (virtual_is_absent(library, element))
        return impossible(err, "element", element, "is in a magazine that is out");
    return true;
}

static bool
check_filled(struct varve_virtual *library, uint16_t element, struct varve_error *err)
{
    if (!check_reachable(library, element, err))
        return false;
    return virtual_at(library, element) != NULL || impossible(err, "element", element, "is empty");
}

/* --- hands --- */

static bool
swap(struct varve_virtual *library, uint16_t a, uint16_t b, struct varve_error *err)
{
    if (!check_filled(library, a, err) || !check_filled(library, b, err))
        return false;
    struct virtual_place *first = virtual_at(library, a);
    struct virtual_place *second = virtual_at(library, b);
    int32_t *at_a = &library->occupant[virtual_index(library, a)];
    int32_t *at_b = &library->occupant[virtual_index(library, b)];
    int32_t which = *at_a;
    *at_a = *at_b;
    *at_b = which;
    first->element = b;
    second->element = a;
    settle_drive(library, a);
    settle_drive(library, b);
    return virtual_save(library, err);
}

/* The disc leaves the library; its files stay, so that it can be put back. */
static bool
take(struct varve_virtual *library, uint16_t element, struct varve_error *err)
{
    if (!check_filled(library, element, err))
        return false;
    virtual_drop(library, virtual_at(library, element));
    settle_drive(library, element);
    return virtual_save(library, err);
}

static bool
has_image(const struct varve_virtual *library, const struct varve_barcode *disc, bool side_b)
{
    struct virtual_name name = virtual_name_of(disc, side_b);
    VARVE_CLEANUP_FREE char *image = virtual_disc_path(library->dir, &name, ".img");
    return image != NULL && access(image, F_OK) == 0;
}

static bool
put(struct varve_virtual *library, const struct varve_barcode *disc, uint16_t element,
    struct varve_error *err)
{
    struct virtual_disc known;
    struct virtual_place place = {.barcode = *disc, .element = element};
    const struct virtual_place *there = virtual_find(library, disc);
    if (!check_reachable(library, element, err))
        return false;
    if (there != NULL)
        return impossible(err, "the disc is in element", there->element, "already");
    if (virtual_at(library, element) != NULL)
        return impossible(err, "element", element, "is full");
    struct virtual_name name = virtual_name_of(disc, false);
    if (!virtual_disc_read(library->dir, &name, &known, err))
        return false;
    place.written = has_image(library, disc, false);
    place.written_b = has_image(library, disc, true);
    place.imported = virtual_type(element) == VARVE_ELEMENT_MAIL_SLOT;
    if (!virtual_put(library, &place, err))
        return false;
    settle_drive(library, element);
    if (place.imported)
        virtual_attend(&library->changer, 0x28, 0x01);
    return virtual_save(library, err);
}

/* The disc is taken out and put in again the other way round. */
static bool
flip(struct varve_virtual *library, uint16_t element, struct varve_error *err)
{
    if (!check_filled(library, element, err))
        return false;
    struct virtual_place *place = virtual_at(library, element);
    place->inverted = !place->inverted;
    settle_drive(library, element);
    return virtual_save(library, err);
}

static bool
label(struct varve_virtual *library, const struct virtual_action *action, struct varve_error *err)
{
    struct virtual_place *place = virtual_find(library, &action->disc);
    if (place == NULL)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "disc '%s' is not in the library",
                               action->disc.text);
    place->has_label = !varve_barcode_equal(&action->label, &action->disc);
    place->label = action->label;
    return virtual_save(library, err);
}

/* --- doors and magazines --- */

static bool
open_door(struct varve_virtual *library, bool force, struct varve_error *err)
{
    if (!force && virtual_is_prevented(&library->changer))
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                               "the door is locked by PREVENT ALLOW: door-force breaks it open");
    library->door_open = true;
    return virtual_save(library, err);
}

static bool
close_door(struct varve_virtual *library, struct varve_error *err)
{
    if (!library->door_open)
        return true;
    library->door_open = false;
    virtual_begin_inventory(library);
    virtual_look(library, 0, UINT_MAX);
    virtual_attend(&library->changer, 0x28, 0x00);
    return virtual_save(library, err);
}

static bool
move_magazine(struct varve_virtual *library, uint64_t number, bool out, struct varve_error *err)
{
    if (number >= virtual_magazine_count(library))
        return impossible(err, "magazine", (unsigned)number, "does not exist");
    if (library->magazine_out[number] == out)
        return true;
    library->magazine_out[number] = out;
    virtual_attend(&library->changer, 0x3b, out ? 0x12 : 0x13);
    return virtual_save(library, err);
}

/* --- what the machine believes --- */

static bool
mark(struct varve_virtual *library, const struct virtual_action *action, struct varve_error *err)
{
    uint16_t element = action->element[0];
    struct virtual_mark *one = virtual_mark_of(library, element);
    if (virtual_index(library, element) < 0)
        return impossible(err, "element", element, "does not exist");
    if (one == NULL) {
        if (library->mark_count == VIRTUAL_MARKS_MAX)
            return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "%u elements are marked already",
                                   VIRTUAL_MARKS_MAX);
        one = &library->marks[library->mark_count++];
        *one = (struct virtual_mark){.element = element};
    }
    if (action->verb == VIRTUAL_VERB_STALE) {
        const struct virtual_place *place = virtual_at(library, element);
        one->stale = true;
        one->stale_full = place != NULL;
        one->stale_label = place == NULL      ? (struct varve_barcode){0}
                           : place->has_label ? place->label
                                              : place->barcode;
        return true;
    }
    one->except = action->verb == VIRTUAL_VERB_EXCEPT;
    one->asc = action->sense.asc;
    one->ascq = action->sense.ascq;
    return true;
}

void
virtual_look(struct varve_virtual *library, uint16_t first, unsigned count)
{
    for (unsigned i = 0; i < library->mark_count; i++) {
        struct virtual_mark *one = &library->marks[i];
        if (one->element >= first && (unsigned)(one->element - first) < count)
            one->stale = false;
    }
}

/* --- power, drives --- */

/* What was in the drive's buffer and not synchronised is in the image file: nothing is lost that
 * was acknowledged, as with a drive that still has power for its buffer. */
static void
power_drive(struct varve_virtual *library, unsigned number)
{
    struct virtual_drive *drive = &library->drives[number];
    drive->locked = false;
    settle_drive(library, (uint16_t)(VIRTUAL_DRIVE_FIRST + number));
    virtual_power_cycle(&drive->device);
}

static void
power(struct varve_virtual *library, unsigned device)
{
    if (device == VIRTUAL_DEVICE_CHANGER) {
        for (size_t i = 0; i < library->place_count; i++)
            library->places[i].has_source = false;
        virtual_begin_inventory(library);
        virtual_look(library, 0, UINT_MAX);
        virtual_power_cycle(&library->changer);
        return;
    }
    for (unsigned i = 0; i < library->drive_count; i++) {
        if (device == VIRTUAL_DEVICE_ANY_DRIVE || device == 1 + i)
            power_drive(library, i);
    }
}

/* Hosts stay with the cable they hold. */
static void
swap_cables(struct varve_virtual *library, unsigned a, unsigned b)
{
    struct virtual_device *first = &library->drives[library->cable[a]].device;
    struct virtual_device *second = &library->drives[library->cable[b]].device;
    unsigned was = library->cable[a];
    library->cable[a] = library->cable[b];
    library->cable[b] = was;
    if (first != second)
        virtual_swap_hosts(first, second);
    virtual_power_cycle(first);
    virtual_power_cycle(second);
}

static void
attend(struct varve_virtual *library, const struct virtual_action *action)
{
    if (action->device == VIRTUAL_DEVICE_CHANGER)
        virtual_attend(&library->changer, action->sense.asc, action->sense.ascq);
    for (unsigned i = 0; i < library->drive_count; i++) {
        if (action->device == VIRTUAL_DEVICE_ANY_DRIVE || action->device == 1 + i)
            virtual_attend(&library->drives[i].device, action->sense.asc, action->sense.ascq);
    }
}

/* Somebody pushes the button. */
static void
push_tray(struct varve_virtual *library, unsigned number, bool out)
{
    struct virtual_drive *drive = &library->drives[number];
    if (out && (drive->locked || drive->held || virtual_is_prevented(&drive->device)))
        return;
    if (out)
        drive->tray_open = true;
    else if (drive->tray_open)
        settle_drive(library, (uint16_t)(VIRTUAL_DRIVE_FIRST + number));
}

static void
set_quirk(struct varve_virtual *library, const struct virtual_action *action)
{
    uint64_t bit = UINT64_C(1) << action->word;
    bool on = action->verb == VIRTUAL_VERB_QUIRK_ON;
    if (on)
        atomic_fetch_or(&library->changer.quirks, bit);
    else
        atomic_fetch_and(&library->changer.quirks, ~bit);
    for (unsigned i = 0; i < library->drive_count; i++) {
        if (action->device != VIRTUAL_DEVICE_ANY_DRIVE && action->device != 1 + i)
            continue;
        if (on)
            atomic_fetch_or(&library->drives[i].device.quirks, bit);
        else
            atomic_fetch_and(&library->drives[i].device.quirks, ~bit);
    }
}

/* --- discs --- */

static bool
add_defect(struct virtual_disc *disc, const struct virtual_action *action, struct varve_error *err)
{
    if (disc->defect_count == VIRTUAL_DEFECTS_MAX)
        return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "disc '%s' has %u defects already",
                               action->disc.text, VIRTUAL_DEFECTS_MAX);
    disc->defects[disc->defect_count++] =
        (struct virtual_defect){.kind = (enum virtual_defect_kind)action->word,
                                .first = (uint32_t)action->first,
                                .last = (uint32_t)action->last};
    return true;
}

static bool
spoil_disc(struct varve_virtual *library, const struct virtual_action *action,
           struct varve_error *err)
{
    struct virtual_disc disc;
    const struct virtual_place *place = virtual_find(library, &action->disc);
    struct virtual_drive *drive = place != NULL ? drive_at(library, place->element) : NULL;
    if (place == NULL)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "disc '%s' is not in the library",
                               action->disc.text);
    struct virtual_name name = virtual_name_of(&action->disc, place->inverted);
    if (!virtual_disc_read(library->dir, &name, &disc, err))
        return false;
    if (action->verb == VIRTUAL_VERB_TROUBLE)
        disc.trouble = (enum virtual_trouble)action->word;
    else if (!add_defect(&disc, action, err))
        return false;
    if (!virtual_disc_write(library->dir, &name, &disc, true, err))
        return false;
    if (drive != NULL && drive->loaded)
        drive->disc = disc;
    return true;
}

/* Everything is locked. */
static bool
happen_locked(struct varve_virtual *library, const struct virtual_action *action,
              struct varve_error *err)
{
    switch ((unsigned)action->verb) {
    case VIRTUAL_VERB_DOOR_OPEN:
    case VIRTUAL_VERB_DOOR_FORCE:
        return open_door(library, action->verb == VIRTUAL_VERB_DOOR_FORCE, err);
    case VIRTUAL_VERB_DOOR_CLOSE:
        return close_door(library, err);
    case VIRTUAL_VERB_MAGAZINE_OUT:
    case VIRTUAL_VERB_MAGAZINE_IN:
        return move_magazine(library, action->first, action->verb == VIRTUAL_VERB_MAGAZINE_OUT,
                             err);
    case VIRTUAL_VERB_SWAP:
        return swap(library, action->element[0], action->element[1], err);
    case VIRTUAL_VERB_TAKE:
        return take(library, action->element[0], err);
    case VIRTUAL_VERB_FLIP:
        return flip(library, action->element[0], err);
    case VIRTUAL_VERB_PUT:
        return put(library, &action->disc, action->element[0], err);
    case VIRTUAL_VERB_LABEL:
        return label(library, action, err);
    case VIRTUAL_VERB_STALE:
    case VIRTUAL_VERB_EXCEPT:
    case VIRTUAL_VERB_FITTED:
        return mark(library, action, err);
    case VIRTUAL_VERB_TROUBLE:
    case VIRTUAL_VERB_DEFECT:
        return spoil_disc(library, action, err);
    case VIRTUAL_VERB_ATTENTION:
        attend(library, action);
        return true;
    case VIRTUAL_VERB_POWER:
        power(library, action->device);
        return true;
    case VIRTUAL_VERB_CABLES:
        swap_cables(library, action->drive[0], action->drive[1]);
        return true;
    default:
        return true; /* settle_state() */
    }
}

static void
settle_state(struct varve_virtual *library, const struct virtual_action *action)
{
    struct virtual_drive *drive = &library->drives[action->drive[0]];
    switch ((unsigned)action->verb) {
    case VIRTUAL_VERB_NOT_READY:
        library->not_ready = true;
        library->not_ready_sense = action->sense;
        return;
    case VIRTUAL_VERB_READY:
        library->not_ready = library->needs_init = false;
        library->inventory = 0;
        library->inventory_until_ns = 0;
        return;
    case VIRTUAL_VERB_INVENTORY:
        library->inventory = (unsigned)action->first;
        return;
    case VIRTUAL_VERB_NEEDS_INIT:
        library->needs_init = true;
        return;
    case VIRTUAL_VERB_HOLD:
    case VIRTUAL_VERB_RELEASE:
        drive->held = action->verb == VIRTUAL_VERB_HOLD;
        return;
    case VIRTUAL_VERB_LOCK:
    case VIRTUAL_VERB_UNLOCK:
        drive->locked = action->verb == VIRTUAL_VERB_LOCK;
        return;
    case VIRTUAL_VERB_EJECT:
    case VIRTUAL_VERB_LOAD:
        push_tray(library, action->drive[0], action->verb == VIRTUAL_VERB_EJECT);
        return;
    case VIRTUAL_VERB_QUIRK_ON:
    case VIRTUAL_VERB_QUIRK_OFF:
        set_quirk(library, action);
        return;
    default:
        return; /* happen_locked() */
    }
}

void
virtual_stop(struct varve_virtual *library)
{
    for (unsigned i = 0; i < library->drive_count; i++)
        (void)varve_lock_enter(&library->drives[i].lock);
    (void)varve_lock_enter(&library->lock);
}

void
virtual_go_on(struct varve_virtual *library)
{
    pthread_mutex_t *lock = &library->lock;
    varve_lock_leave(&lock);
    for (unsigned i = library->drive_count; i > 0; i--) {
        lock = &library->drives[i - 1].lock;
        varve_lock_leave(&lock);
    }
}

bool
virtual_happen(struct varve_virtual *library, const struct virtual_action *action,
               struct varve_error *err)
{
    if (action->drive[0] >= library->drive_count || action->drive[1] >= library->drive_count)
        return impossible(err, "drive", action->drive[0], "does not exist");
    virtual_stop(library);
    bool ok = happen_locked(library, action, err);
    settle_state(library, action);
    virtual_go_on(library);
    return ok || varve_error_wrap(err, "%s", virtual_verb_word(action->verb));
}
