/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual library as JSON, for people and tests who want to see what is going on. */
#include "virtual_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

/* Adds `item`, taking it; *list goes to NULL if either is missing. */
static void
add(json_t **list, json_t *item)
{
    if (*list == NULL || item == NULL || json_array_append(*list, item) != 0) {
        json_decref(*list);
        *list = NULL;
    }
    json_decref(item);
}

static void
set(json_t **object, const char *key, json_t *item)
{
    if (*object == NULL || item == NULL || json_object_set(*object, key, item) != 0) {
        json_decref(*object);
        *object = NULL;
    }
    json_decref(item);
}

static json_t *
describe_defects(const struct virtual_disc *disc)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < disc->defect_count; i++) {
        const struct virtual_defect *one = &disc->defects[i];
        add(&list, json_pack("{s:s, s:I, s:I}", "kind", virtual_defect_word(one->kind), "first",
                             (json_int_t)one->first, "last", (json_int_t)one->last));
    }
    return list;
}

static json_t *
describe_disc(struct varve_virtual *library, const struct virtual_place *place)
{
    struct virtual_disc disc;
    struct varve_error why = {0};
    json_t *ret = json_pack("{s:s, s:i, s:s, s:b, s:b}", "barcode", place->barcode.text, "element",
                            (int)place->element, "label",
                            place->has_label ? place->label.text : place->barcode.text, "written",
                            (int)place->written, "gone", (int)virtual_is_gone(library, place));
    if (place->has_source)
        set(&ret, "source", json_integer(place->source));
    if (library->two_sided)
        set(&ret, "inverted", json_boolean(place->inverted));
    struct virtual_name name = virtual_name_of(&place->barcode, place->inverted);
    if (!virtual_disc_read(library->dir, &name, &disc, &why)) {
        set(&ret, "problem", json_string(why.text));
        return ret;
    }
    set(&ret, "kind", json_string(disc.media->name));
    set(&ret, "capacity_sectors", json_integer(disc.capacity));
    set(&ret, "closed", json_boolean(disc.closed));
    if (disc.trouble != VIRTUAL_TROUBLE_NONE)
        set(&ret, "trouble", json_string(virtual_trouble_word(disc.trouble)));
    if (disc.defect_count > 0)
        set(&ret, "defects", describe_defects(&disc));
    return ret;
}

static json_t *
describe_drive(struct varve_virtual *library, unsigned number)
{
    struct virtual_drive *drive = &library->drives[number];
    char serial[17];
    virtual_drive_serial(library, number, serial);
    json_t *ret = json_pack("{s:i, s:i, s:s, s:b, s:b, s:b, s:b}", "drive", (int)number, "element",
                            (int)(VIRTUAL_DRIVE_FIRST + number), "serial", serial, "tray_open",
                            (int)drive->tray_open, "held", (int)drive->held, "locked",
                            (int)(drive->locked || virtual_is_prevented(&drive->device)), "loaded",
                            (int)drive->loaded);
    for (unsigned i = 0; i < library->drive_count; i++) {
        if (library->cable[i] == number)
            set(&ret, "port", json_integer(i));
    }
    if (drive->loaded)
        set(&ret, "disc", json_string(drive->barcode.text));
    if (drive->loaded && !drive->unknown)
        set(&ret, "next_sector",
            json_integer(drive->disc.closed ? drive->disc.recorded : drive->next));
    return ret;
}

static void
describe_quirks(json_t **list, const struct virtual_device *device)
{
    for (unsigned i = 0; i < VARVE_VIRTUAL_QUIRK_COUNT; i++) {
        if (!virtual_has(device, (enum varve_virtual_quirk)i))
            continue;
        json_t *one =
            json_pack("{s:s, s:s}", "quirk", varve_virtual_quirk_name((enum varve_virtual_quirk)i),
                      "what", varve_virtual_quirk_text((enum varve_virtual_quirk)i));
        if (device->number != VIRTUAL_DEVICE_CHANGER)
            set(&one, "drive", json_integer(device->number - 1));
        add(list, one);
    }
}

static bool
is_drive_quirk(unsigned quirk)
{
    return quirk >= VARVE_VIRTUAL_TUR_BUSY; /* the first one of drives */
}

/* Those of drives once for each drive, those of the changer once. */
static json_t *
describe_all_quirks(struct varve_virtual *library)
{
    json_t *list = json_array();
    struct virtual_device shown = {.number = VIRTUAL_DEVICE_CHANGER};
    uint64_t changers = 0;
    for (unsigned i = 0; i < VARVE_VIRTUAL_QUIRK_COUNT; i++)
        changers |= is_drive_quirk(i) ? 0 : UINT64_C(1) << i;
    atomic_store(&shown.quirks, atomic_load(&library->changer.quirks) & changers);
    describe_quirks(&list, &shown);
    for (unsigned i = 0; i < library->drive_count; i++) {
        shown.number = 1 + i;
        atomic_store(&shown.quirks, atomic_load(&library->drives[i].device.quirks) & ~changers);
        describe_quirks(&list, &shown);
    }
    return list;
}

static json_t *
describe_rules(struct varve_virtual *library)
{
    json_t *list = json_array();
    VARVE_LOCKED(&library->rules_lock);
    for (unsigned i = 0; i < library->rule_count; i++) {
        const struct virtual_waiting *waiting = library->rules[i];
        uint64_t seen = 0, fired = 0;
        for (unsigned k = 0; k <= library->drive_count; k++) {
            seen += waiting->seen[k];
            fired += waiting->fired[k];
        }
        add(&list,
            json_pack("{s:i, s:s, s:I, s:I}", "line", (int)waiting->rule.line, "rule",
                      waiting->rule.text, "seen", (json_int_t)seen, "fired", (json_int_t)fired));
    }
    return list;
}

static json_t *
describe_magazines(const struct varve_virtual *library)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < virtual_magazine_count(library); i++)
        add(&list, json_pack("{s:i, s:i, s:i, s:b}", "magazine", (int)i, "first",
                             (int)(VIRTUAL_SLOT_FIRST + i * library->magazine_slots), "slots",
                             (int)(i + 1 == virtual_magazine_count(library)
                                       ? library->slots - i * library->magazine_slots
                                       : library->magazine_slots),
                             "out", (int)library->magazine_out[i]));
    return list;
}

/* Everything is locked, but the rules. */
static json_t *
describe_locked(struct varve_virtual *library)
{
    json_t *ret = json_pack(
        "{s:s, s:s, s:i, s:i, s:i, s:i, s:s, s:s, s:i, s:s, s:b}", "folder", library->dir, "serial",
        library->serial, "slots", (int)library->slots, "drives", (int)library->drive_count,
        "mail_slots", (int)library->mail_slots, "sides", library->two_sided ? 2 : 1, "kind",
        library->media->name, "arm",
        library->timing.geometry == VARVE_GEOMETRY_GANTRY ? "gantry" : "carousel", "speedup",
        (int)library->timing.speedup, "door", library->door_open ? "open" : "closed", "door_locked",
        (int)virtual_is_prevented(&library->changer));
    json_t *drives = json_array(), *discs = json_array();
    for (unsigned i = 0; i < library->drive_count; i++)
        add(&drives, describe_drive(library, i));
    for (size_t i = 0; i < library->place_count; i++)
        add(&discs, describe_disc(library, &library->places[i]));
    set(&ret, "magazines", describe_magazines(library));
    set(&ret, "drive_states", drives);
    set(&ret, "discs", discs);
    set(&ret, "quirks", describe_all_quirks(library));
    return ret;
}

bool
varve_virtual_describe(struct varve_virtual *library, struct varve_buffer *ret,
                       struct varve_error *err)
{
    virtual_stop(library);
    json_t *all = describe_locked(library);
    virtual_go_on(library);
    set(&all, "rules", describe_rules(library));
    char *text = all != NULL ? json_dumps(all, JSON_INDENT(2)) : NULL;
    json_decref(all);
    if (text == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "describe virtual library '%s'",
                               library->dir);
    varve_buffer_text(ret, text);
    free(text);
    return varve_buffer_ok(ret, err);
}
