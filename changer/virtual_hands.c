/* SPDX-License-Identifier: Apache-2.0 */
/* A person at a drive, for libraries without a robot: the file `hands-N` in the folder says what is
 * done at drive N. It is looked for at each TEST UNIT READY, carried out and removed. */
#include "virtual_internal.h"

#include <string.h>
#include <varve/file.h>

enum { HANDS_BYTES_MAX = 1024, HANDS_ACTS_MAX = 16 };

static struct virtual_place *
find_in_slot(struct varve_virtual *library, const char *name, struct varve_error *err)
{
    struct varve_barcode barcode;
    struct virtual_place *place = NULL;
    if (varve_barcode_make(name, &barcode))
        place = virtual_find(library, &barcode);
    if (place != NULL && virtual_type(place->element) == VARVE_ELEMENT_SLOT &&
        !virtual_is_gone(library, place))
        return place;
    varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no disc '%.32s' is in a slot", name);
    return NULL;
}

static bool
insert(struct virtual_drive *drive, const char *name, struct varve_error *err)
{
    struct varve_virtual *library = drive->device.library;
    VARVE_LOCKED(&library->lock);
    uint16_t own = (uint16_t)(VIRTUAL_DRIVE_FIRST + drive->number);
    if (virtual_at(library, own) != NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "there is a disc in the drive");
    struct virtual_place *place = find_in_slot(library, name, err);
    if (place == NULL)
        return false;
    struct varve_barcode barcode = place->barcode;
    const struct virtual_move move = {.from = place->element, .to = own};
    if (!virtual_relocate(library, &move, err))
        return false;
    virtual_drive_remove(drive); /* what was in it is gone, or its tray was open */
    virtual_drive_insert(drive, &barcode, false);
    return true;
}

static bool
find_free_slot(struct varve_virtual *library, const struct virtual_place *disc, uint16_t *ret)
{
    if (disc->has_source && virtual_type(disc->source) == VARVE_ELEMENT_SLOT &&
        virtual_at(library, disc->source) == NULL) {
        *ret = disc->source;
        return true;
    }
    for (unsigned i = 0; i < library->slots; i++) {
        *ret = (uint16_t)(VIRTUAL_SLOT_FIRST + i);
        if (virtual_at(library, *ret) == NULL)
            return true;
    }
    return false;
}

static bool
take(struct virtual_drive *drive, struct varve_error *err)
{
    struct varve_virtual *library = drive->device.library;
    VARVE_LOCKED(&library->lock);
    uint16_t own = (uint16_t)(VIRTUAL_DRIVE_FIRST + drive->number);
    const struct virtual_place *place = virtual_at(library, own);
    uint16_t slot;
    if (place == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "there is no disc in the drive");
    bool locked = drive->locked || virtual_is_prevented(&drive->device);
    if (locked && !drive->tray_open)
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "the tray is locked");
    if (!find_free_slot(library, place, &slot))
        return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "no slot is free for the disc");
    const struct virtual_move move = {.from = own, .to = slot};
    if (!virtual_relocate(library, &move, err))
        return false;
    virtual_drive_remove(drive);
    drive->tray_open = true;
    return true;
}

static bool
act(struct virtual_drive *drive, char *line, struct varve_error *err)
{
    char *rest = NULL;
    const char *verb = strtok_r(line, " ", &rest);
    const char *name = strtok_r(NULL, " ", &rest);
    if (verb != NULL && strcmp(verb, "take") == 0 && name == NULL)
        return take(drive, err);
    if (verb != NULL && strcmp(verb, "insert") == 0 && name != NULL)
        return insert(drive, name, err);
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'take' or 'insert BARCODE' is wanted");
}

static bool
act_all(struct virtual_drive *drive, char *text, struct varve_error *err)
{
    char *rest = NULL;
    unsigned count = 0;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        if (++count > HANDS_ACTS_MAX || !act(drive, line, err))
            return false;
    return true;
}

void
virtual_hands(struct virtual_drive *drive)
{
    char path[VARVE_PATH_BYTES_MAX];
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    struct varve_error err = {0};
    if (snprintf(path, sizeof path, "%s/hands-%u", drive->device.library->dir, drive->number) >=
            (int)sizeof path ||
        access(path, F_OK) != 0)
        return;
    char copy[HANDS_BYTES_MAX + 1] = "";
    VARVE_LOCKED(&drive->lock);
    bool ok = varve_file_read(path, HANDS_BYTES_MAX, &text, &err);
    (void)snprintf(copy, sizeof copy, "%s", varve_buffer_string(&text));
    ok = ok && act_all(drive, copy, &err);
    if (!ok) { /* for who waits that the file goes away */
        char failed[VARVE_PATH_BYTES_MAX + 8];
        struct varve_error ignored = {0};
        (void)snprintf(failed, sizeof failed, "%s.failed", path);
        (void)!varve_file_replace(failed, err.text, strlen(err.text), &ignored);
    }
    (void)unlink(path); /* if it stays, it is done again: what it says will not fit then */
}
