/* SPDX-License-Identifier: Apache-2.0 */
/* Which disc is in which element, in memory and in library.json. */
#include "virtual_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/file.h>

unsigned
virtual_element_count(const struct varve_virtual *library)
{
    return 1 + library->mail_slots + library->drive_count + library->slots;
}

int32_t
virtual_index(const struct varve_virtual *library, uint16_t address)
{
    if (address == VIRTUAL_TRANSPORT)
        return 0;
    if (address >= VIRTUAL_SLOT_FIRST)
        return address - VIRTUAL_SLOT_FIRST < library->slots
                   ? (int32_t)(1 + library->mail_slots + library->drive_count + address -
                               VIRTUAL_SLOT_FIRST)
                   : -1;
    if (address >= VIRTUAL_DRIVE_FIRST)
        return address - VIRTUAL_DRIVE_FIRST < library->drive_count
                   ? (int32_t)(1 + library->mail_slots + address - VIRTUAL_DRIVE_FIRST)
                   : -1;
    if (address >= VIRTUAL_MAIL_FIRST && address - VIRTUAL_MAIL_FIRST < library->mail_slots)
        return (int32_t)(1 + address - VIRTUAL_MAIL_FIRST);
    return -1;
}

uint16_t
virtual_address(const struct varve_virtual *library, unsigned index)
{
    if (index == 0)
        return VIRTUAL_TRANSPORT;
    index -= 1;
    if (index < library->mail_slots)
        return (uint16_t)(VIRTUAL_MAIL_FIRST + index);
    index -= library->mail_slots;
    if (index < library->drive_count)
        return (uint16_t)(VIRTUAL_DRIVE_FIRST + index);
    return (uint16_t)(VIRTUAL_SLOT_FIRST + index - library->drive_count);
}

enum varve_element_type
virtual_type(uint16_t address)
{
    if (address >= VIRTUAL_SLOT_FIRST)
        return VARVE_ELEMENT_SLOT;
    if (address >= VIRTUAL_DRIVE_FIRST)
        return VARVE_ELEMENT_DRIVE;
    return address >= VIRTUAL_MAIL_FIRST ? VARVE_ELEMENT_MAIL_SLOT : VARVE_ELEMENT_TRANSPORT;
}

static bool
is_missing(const struct varve_virtual *library, const struct varve_barcode *barcode, bool side_b)
{
    struct stat st;
    struct virtual_name name = virtual_name_of(barcode, side_b);
    VARVE_CLEANUP_FREE char *path = virtual_disc_path(library->dir, &name, ".img");
    return path != NULL && stat(path, &st) != 0 && errno == ENOENT;
}

/* Someone who deletes an image takes the disc out of the library. */
bool
virtual_is_gone(const struct varve_virtual *library, const struct virtual_place *place)
{
    return (place->written && is_missing(library, &place->barcode, false)) ||
           (place->written_b && is_missing(library, &place->barcode, true));
}

unsigned
virtual_magazine_count(const struct varve_virtual *library)
{
    if (library->magazine_slots == 0)
        return 0;
    return (library->slots + library->magazine_slots - 1) / library->magazine_slots;
}

bool
virtual_is_absent(const struct varve_virtual *library, uint16_t address)
{
    if (library->magazine_out == NULL || virtual_type(address) != VARVE_ELEMENT_SLOT)
        return false;
    return library->magazine_out[(address - VIRTUAL_SLOT_FIRST) / library->magazine_slots];
}

struct virtual_mark *
virtual_mark_of(struct varve_virtual *library, uint16_t address)
{
    for (unsigned i = 0; i < library->mark_count; i++) {
        if (library->marks[i].element == address)
            return &library->marks[i];
    }
    return NULL;
}

struct virtual_place *
virtual_at(struct varve_virtual *library, uint16_t address)
{
    int32_t index = virtual_index(library, address);
    if (index < 0 || library->occupant[index] < 0 || virtual_is_absent(library, address))
        return NULL;
    struct virtual_place *place = &library->places[library->occupant[index]];
    return virtual_is_gone(library, place) ? NULL : place;
}

struct virtual_place *
virtual_find(struct varve_virtual *library, const struct varve_barcode *barcode)
{
    for (size_t i = 0; i < library->place_count; i++) {
        if (varve_barcode_equal(&library->places[i].barcode, barcode))
            return &library->places[i];
    }
    return NULL;
}

/* Forgets the line of a disc that is gone, whose element is needed. */
void
virtual_drop(struct varve_virtual *library, struct virtual_place *place)
{
    size_t which = (size_t)(place - library->places);
    size_t last = library->place_count - 1;
    library->occupant[virtual_index(library, library->places[which].element)] = -1;
    if (which != last) {
        library->places[which] = library->places[last];
        library->occupant[virtual_index(library, library->places[which].element)] = (int32_t)which;
    }
    library->place_count--;
}

bool
virtual_put(struct varve_virtual *library, const struct virtual_place *place,
            struct varve_error *err)
{
    if (library->place_count == library->place_capacity) {
        size_t capacity = library->place_capacity * 2 + 16;
        struct virtual_place *grown =
            reallocarray(library->places, capacity, sizeof *library->places);
        if (grown == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "add a disc");
        library->places = grown;
        library->place_capacity = capacity;
    }
    int32_t index = virtual_index(library, place->element);
    if (library->occupant[index] >= 0)
        virtual_drop(library, &library->places[library->occupant[index]]);
    library->occupant[index] = (int32_t)library->place_count;
    library->places[library->place_count++] = *place;
    return true;
}

/* SMC-3: the last storage element that the disc came from; some name whatever it came from. */
static void
note_source(const struct varve_virtual *library, struct virtual_place *place, uint16_t from)
{
    enum varve_element_type type = virtual_type(from);
    bool storage = type == VARVE_ELEMENT_SLOT || type == VARVE_ELEMENT_MAIL_SLOT;
    if (!storage && !virtual_has(&library->changer, VARVE_VIRTUAL_STATUS_SOURCE))
        return;
    place->has_source = true;
    place->source = from;
    place->turned = false;
}

bool
virtual_relocate(struct varve_virtual *library, const struct virtual_move *move,
                 struct varve_error *err)
{
    int32_t source = virtual_index(library, move->from);
    int32_t target = virtual_index(library, move->to);
    if (library->occupant[target] >= 0) /* only a disc that is gone can be there */
        virtual_drop(library, &library->places[library->occupant[target]]);
    int32_t which = library->occupant[source];
    struct virtual_place *place = &library->places[which];
    struct virtual_place before = *place;
    place->element = move->to;
    note_source(library, place, move->from);
    place->turned = place->turned != move->invert;
    place->inverted = place->inverted != move->invert;
    place->imported = false;
    library->occupant[target] = which;
    library->occupant[source] = -1;
    if (virtual_save(library, err))
        return true;
    *place = before;
    library->occupant[source] = which;
    library->occupant[target] = -1;
    return false;
}

bool
virtual_mark_written(struct varve_virtual *library, const struct varve_barcode *barcode,
                     bool side_b, struct varve_error *err)
{
    struct virtual_place *place = virtual_find(library, barcode);
    bool *written = place == NULL ? NULL : side_b ? &place->written_b : &place->written;
    if (written == NULL || *written)
        return true;
    *written = true;
    if (virtual_save(library, err))
        return true;
    *written = false;
    return false;
}

static void
print_place(struct varve_buffer *out, const struct virtual_place *place, bool last)
{
    varve_buffer_printf(out, "    {\"barcode\": \"%s\", \"element\": %u, \"written\": %s",
                        place->barcode.text, place->element, place->written ? "true" : "false");
    if (place->has_source)
        varve_buffer_printf(out, ", \"source\": %u", place->source);
    if (place->imported)
        varve_buffer_printf(out, ", \"imported\": true");
    if (place->written_b)
        varve_buffer_printf(out, ", \"written_b\": true");
    if (place->inverted)
        varve_buffer_printf(out, ", \"inverted\": true");
    if (place->turned)
        varve_buffer_printf(out, ", \"turned\": true");
    if (place->has_label)
        varve_buffer_printf(out, ", \"label\": \"%s\"", place->label.text);
    varve_buffer_printf(out, "}%s\n", last ? "" : ",");
}

/* What older programs do not know is only there when it is needed. */
static void
print_state(struct varve_buffer *out, const struct varve_virtual *library)
{
    if (library->has_timing)
        virtual_timing_print(out, &library->timing);
    if (library->two_sided)
        varve_buffer_printf(out, "  \"sides\": 2,\n");
    if (library->door_open)
        varve_buffer_printf(out, "  \"door_open\": true,\n");
    if (library->magazine_slots == 0)
        return;
    varve_buffer_printf(out, "  \"magazine_slots\": %u,\n  \"magazines_out\": [",
                        library->magazine_slots);
    const char *comma = "";
    for (unsigned i = 0; i < virtual_magazine_count(library); i++) {
        if (!library->magazine_out[i])
            continue;
        varve_buffer_printf(out, "%s%u", comma, i);
        comma = ", ";
    }
    varve_buffer_printf(out, "],\n");
}

/* Printed by hand, one disc a line, so that people can read and compare it; all texts in it are of
 * characters that need no escape. */
bool
virtual_save(const struct varve_virtual *library, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer out = {0};
    varve_buffer_printf(&out,
                        "{\n  \"varve_virtual_library\": 1,\n  \"serial\": \"%s\",\n"
                        "  \"slots\": %u,\n  \"drives\": %u,\n  \"mail_slots\": %u,\n"
                        "  \"barcode\": \"%s\",\n  \"kind\": \"%s\",\n"
                        "  \"next_number\": %" PRIu32 ",\n",
                        library->serial, library->slots, library->drive_count, library->mail_slots,
                        library->prefix, library->media->name, library->next_number);
    print_state(&out, library);
    varve_buffer_printf(&out, "  \"discs\": [\n");
    for (size_t i = 0; i < library->place_count; i++)
        print_place(&out, &library->places[i], i + 1 == library->place_count);
    varve_buffer_printf(&out, "  ]\n}\n");
    VARVE_CLEANUP_FREE char *path = varve_file_join(library->dir, "library.json");
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "save library.json");
    return varve_buffer_ok(&out, err) && varve_file_replace(path, out.data, out.size, err);
}

static bool
take_number(const json_t *object, const char *key, uint64_t max, uint64_t *ret,
            struct varve_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"%s\" must be a number from 0 to %" PRIu64, key, max);
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

static bool
parse_place(struct varve_virtual *library, const json_t *line, struct varve_error *err)
{
    struct virtual_place place = {0};
    uint64_t number;
    const char *barcode = json_string_value(json_object_get(line, "barcode"));
    if (barcode == NULL || !varve_barcode_make(barcode, &place.barcode))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "\"barcode\" is no bar code");
    if (!take_number(line, "element", UINT16_MAX, &number, err))
        return varve_error_wrap(err, "disc '%s'", barcode);
    place.element = (uint16_t)number;
    place.written = json_is_true(json_object_get(line, "written"));
    place.imported = json_is_true(json_object_get(line, "imported"));
    place.written_b = json_is_true(json_object_get(line, "written_b"));
    place.inverted = json_is_true(json_object_get(line, "inverted"));
    place.turned = json_is_true(json_object_get(line, "turned"));
    const char *label = json_string_value(json_object_get(line, "label"));
    place.has_label = label != NULL;
    if (label != NULL && label[0] != 0 && !varve_barcode_make(label, &place.label))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "disc '%s': \"label\" is no bar code",
                               barcode);
    place.has_source = json_object_get(line, "source") != NULL;
    if (place.has_source) {
        if (!take_number(line, "source", UINT16_MAX, &number, err))
            return varve_error_wrap(err, "disc '%s'", barcode);
        place.source = (uint16_t)number;
    }
    int32_t index = virtual_index(library, place.element);
    if (index < 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "disc '%s': the library has no element %u", barcode, place.element);
    if (library->occupant[index] >= 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "discs '%s' and '%s' are both in "
                               "element %u",
                               library->places[library->occupant[index]].barcode.text, barcode,
                               place.element);
    return virtual_put(library, &place, err);
}

static int
compare_barcodes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
check_unique(const struct varve_virtual *library, struct varve_error *err)
{
    VARVE_CLEANUP_FREE const char **names = calloc(library->place_count + 1, sizeof *names);
    if (names == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "check bar codes");
    for (size_t i = 0; i < library->place_count; i++)
        names[i] = library->places[i].barcode.text;
    qsort(names, library->place_count, sizeof *names, compare_barcodes);
    for (size_t i = 1; i < library->place_count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "disc '%s' is there twice",
                                   names[i]);
    }
    return true;
}

static bool
take_text(const json_t *root, const char *key, char *ret, size_t ret_bytes, struct varve_error *err)
{
    struct varve_barcode checked; /* the same characters are allowed */
    const char *text = json_string_value(json_object_get(root, key));
    if (text == NULL || strlen(text) >= ret_bytes || !varve_barcode_make(text, &checked))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"%s\" must be 1 to %zu of A-Z a-z 0-9 _ - .", key, ret_bytes - 1);
    (void)snprintf(ret, ret_bytes, "%s", text);
    return true;
}

bool
virtual_allocate(struct varve_virtual *library, struct varve_error *err)
{
    unsigned count = virtual_element_count(library);
    library->occupant = calloc(count, sizeof *library->occupant);
    library->drives = calloc(library->drive_count + 1, sizeof *library->drives);
    library->cable = calloc(library->drive_count + 1, sizeof *library->cable);
    if (library->magazine_slots > 0)
        library->magazine_out =
            calloc(virtual_magazine_count(library), sizeof *library->magazine_out);
    if (library->occupant == NULL || library->drives == NULL || library->cable == NULL ||
        (library->magazine_slots > 0 && library->magazine_out == NULL))
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "virtual library");
    for (unsigned i = 0; i < count; i++)
        library->occupant[i] = -1;
    for (unsigned i = 0; i < library->drive_count; i++) {
        struct virtual_drive *drive = &library->drives[i];
        drive->device.library = library;
        drive->device.number = 1 + i;
        library->cable[i] = i;
        drive->number = i;
        drive->image = -1;
        (void)pthread_mutex_init(&drive->lock, NULL); /* cannot fail on Linux */
        (void)pthread_mutex_init(&drive->device.nexus_lock, NULL);
    }
    return true;
}

/* All of it may be missing: older folders. */
static bool
parse_machine(struct varve_virtual *library, const json_t *root, struct varve_error *err)
{
    uint64_t number = 0, sides = 1;
    if (json_object_get(root, "sides") != NULL && !take_number(root, "sides", 2, &sides, err))
        return false;
    library->two_sided = sides == 2;
    if (json_object_get(root, "magazine_slots") != NULL &&
        !take_number(root, "magazine_slots", VIRTUAL_SLOT_MAX, &number, err))
        return false;
    if (!virtual_timing_parse(json_object_get(root, "timing"), &library->timing, err))
        return false;
    library->arm_at = VIRTUAL_TRANSPORT;
    library->has_timing = json_object_get(root, "timing") != NULL;
    library->magazine_slots = (unsigned)number;
    library->door_open = json_is_true(json_object_get(root, "door_open"));
    return true;
}

static bool
parse_magazines(struct varve_virtual *library, const json_t *root, struct varve_error *err)
{
    const json_t *out = json_object_get(root, "magazines_out");
    unsigned count = virtual_magazine_count(library);
    if (out == NULL)
        return true;
    if (!json_is_array(out) || json_array_size(out) > count)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"magazines_out\" must be a list of at most %u", count);
    for (size_t i = 0; i < json_array_size(out); i++) {
        json_int_t which = json_integer_value(json_array_get(out, i));
        if (!json_is_integer(json_array_get(out, i)) || which < 0 || which >= count)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "\"magazines_out\" has a number that is not 0 to %u", count - 1);
        library->magazine_out[which] = true;
    }
    return true;
}

static bool
parse_root(struct varve_virtual *library, const json_t *root, struct varve_error *err)
{
    uint64_t version, slots, drives, mail, next;
    if (!take_number(root, "varve_virtual_library", 1, &version, err) ||
        !take_number(root, "slots", VIRTUAL_SLOT_MAX, &slots, err) ||
        !take_number(root, "drives", VIRTUAL_DRIVE_MAX, &drives, err) ||
        !take_number(root, "mail_slots", VIRTUAL_MAIL_MAX, &mail, err) ||
        !take_number(root, "next_number", UINT32_MAX, &next, err) ||
        !take_text(root, "serial", library->serial, sizeof library->serial, err) ||
        !take_text(root, "barcode", library->prefix, sizeof library->prefix, err))
        return false;
    /* Libraries of earlier versions do not say it. */
    const char *kind = json_string_value(json_object_get(root, "kind"));
    library->media = varve_media_of_name(kind != NULL ? kind : "BD-R SRM");
    if (library->media == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "\"kind\": no kind of disc is '%s'",
                               kind);
    library->slots = (unsigned)slots;
    library->drive_count = (unsigned)drives;
    library->mail_slots = (unsigned)mail;
    library->next_number = (uint32_t)next;
    if (!parse_machine(library, root, err) || !virtual_allocate(library, err) ||
        !parse_magazines(library, root, err))
        return false;
    const json_t *discs = json_object_get(root, "discs");
    if (!json_is_array(discs) || json_array_size(discs) > virtual_element_count(library))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"discs\" must be a list of at most %u",
                               virtual_element_count(library));
    for (size_t i = 0; i < json_array_size(discs); i++) {
        if (!parse_place(library, json_array_get(discs, i), err))
            return false;
    }
    return check_unique(library, err);
}

bool
virtual_parse_text(struct varve_virtual *library, const char *text, size_t size,
                   struct varve_error *err)
{
    json_error_t why;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "line %d: %s", why.line, why.text);
    bool ok = parse_root(library, root, err);
    json_decref(root);
    return ok;
}

bool
virtual_parse(struct varve_virtual *library, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(library->dir, "library.json");
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open library.json");
    if (!varve_file_read(path, VIRTUAL_JSON_MAX, &text, err))
        return false;
    return virtual_parse_text(library, varve_buffer_string(&text), text.size, err) ||
           varve_error_wrap(err, "'%s'", path);
}
