/* SPDX-License-Identifier: Apache-2.0 */
/* Where people keep discs: shelves, magazines, places elsewhere, and the log of it. */
#include "manual.h"

#include <string.h>
#include <varve/text.h>

bool
places_note(struct varve_engine *engine, const struct varve_barcode *barcode,
            enum varve_disc_deed deed, const char *who, const char *text, struct varve_error *err)
{
    struct varve_disc_event event = {
        .barcode = *barcode, .at_ns = varve_clock_realtime(engine->clock), .deed = deed};
    (void)snprintf(event.who, sizeof event.who, "%s", who != NULL ? who : "");
    (void)snprintf(event.text, sizeof event.text, "%s", text);
    return varve_catalog_disc_event_add(engine->catalog, &event, err);
}

bool
places_came_back(struct varve_engine *engine, const struct varve_barcode *barcode,
                 const char *library, struct varve_error *err)
{
    struct varve_disc_place place;
    char text[120];
    if (!varve_catalog_disc_place_get(engine->catalog, barcode, &place, err))
        return false;
    if (place.site[0] == 0)
        return true;
    place.site[0] = place.who[0] = 0;
    place.since_ns = 0;
    (void)snprintf(text, sizeof text, "seen in library '%.60s'", library);
    return varve_catalog_disc_place_put(engine->catalog, &place, err) &&
           places_note(engine, barcode, VARVE_DEED_CHECKED_IN, "", text, err);
}

/* --- one disc --- */

struct changing {
    struct varve_engine *engine;
    enum varve_disc_deed deed;
    const struct varve_disc_change *change;
    size_t library; /* of a check-in: the manual one that the discs are at hand in */
    bool at_hand;   /* there is one */
};

static bool
is_away(const struct varve_disc_row *row)
{
    return row->state == VARVE_DISC_OFFLINE || row->state == VARVE_DISC_LOST;
}

/* A disc of which somebody knows the place is not lost. */
static bool
find_again(struct changing *c, struct varve_disc_row *row, const char *where,
           struct varve_error *err)
{
    if (row->state == VARVE_DISC_LOST)
        row->state = VARVE_DISC_OFFLINE;
    (void)snprintf(row->place, sizeof row->place, "%s", where);
    return varve_catalog_disc_put(c->engine->catalog, row, err) &&
           set_regrade(c->engine, row->set, err);
}

static bool
put_on_shelf(struct changing *c, struct varve_disc_row *row, struct varve_disc_place *place,
             struct varve_error *err)
{
    (void)snprintf(place->shelf, sizeof place->shelf, "%s", c->change->text);
    return !is_away(row) || place->site[0] != 0 || find_again(c, row, place->shelf, err);
}

static bool
is_in_drive(struct varve_engine *engine, const struct varve_barcode *barcode)
{
    for (size_t i = 0; i < engine->drive_count; i++) {
        struct varve_barcode loaded;
        if (varve_library_drive_disc(drive_library(&engine->drives[i]), engine->drives[i].number,
                                     &loaded) &&
            varve_barcode_equal(&loaded, barcode))
            return true;
    }
    return false;
}

/* Nothing may need the disc where it is now. */
static bool
may_leave(struct changing *c, const struct varve_disc_row *row, struct varve_error *err)
{
    size_t library;
    struct varve_error ignored = {0}; /* of a library that is configured no more */
    if (row->state == VARVE_DISC_BURNING || row->state == VARVE_DISC_BURNED)
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "it is being burned");
    if (is_in_drive(c->engine, &row->barcode)) {
        varve_error_set(err, VARVE_ERROR_BUSY, 0, "it is in a drive");
        return varve_error_hint(err, "'varve library unload' gives it back");
    }
    if (is_away(row) || !library_index(c->engine, row->library, &library, &ignored) ||
        is_manual(c->engine, library))
        return true;
    varve_error_set(err, VARVE_ERROR_BUSY, 0, "it is in library '%s'", row->library);
    return varve_error_hint(err, "'varve library export %s' brings it out", row->barcode.text);
}

static bool
check_out(struct changing *c, struct varve_disc_row *row, struct varve_disc_place *place,
          struct varve_error *err)
{
    const char *who = c->change->who;
    char day[VARVE_TEXT_TIME_BYTES];
    char where[sizeof place->site + sizeof place->who + 64];
    if (!may_leave(c, row, err))
        return false;
    (void)snprintf(place->site, sizeof place->site, "%s", c->change->text);
    (void)snprintf(place->who, sizeof place->who, "%s", who);
    place->since_ns = varve_clock_realtime(c->engine->clock);
    (void)varve_text_time(place->since_ns, day);
    (void)snprintf(where, sizeof where, "%.48s, taken there by %.40s on %.10s", place->site, who,
                   day);
    if (row->state != VARVE_DISC_FAILED && row->state != VARVE_DISC_RETIRED)
        row->state = VARVE_DISC_OFFLINE;
    return find_again(c, row, where, err);
}

static bool
check_in(struct changing *c, struct varve_disc_row *row, struct varve_disc_place *place,
         struct varve_error *err)
{
    if (!is_away(row) && place->site[0] == 0)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0, "it is not away");
    place->site[0] = place->who[0] = 0;
    place->since_ns = 0;
    if (!is_away(row))
        return true;
    if (!c->at_hand) /* a changer says itself when it is in it */
        return find_again(c, row, place->shelf[0] != 0 ? place->shelf : "here, in no library", err);
    row->state = state_on_return(row);
    (void)snprintf(row->library, sizeof row->library, "%s", c->engine->libraries[c->library].name);
    return find_again(c, row, "", err);
}

static bool
change_one(struct changing *c, struct varve_disc_row *row, struct varve_disc_place *place,
           struct varve_error *err)
{
    switch (c->deed) {
    case VARVE_DEED_PLACED:
        return put_on_shelf(c, row, place, err);
    case VARVE_DEED_MAGAZINE:
        (void)snprintf(place->magazine, sizeof place->magazine, "%s", c->change->text);
        return true;
    case VARVE_DEED_CHECKED_OUT:
        return check_out(c, row, place, err);
    case VARVE_DEED_CHECKED_IN:
        return check_in(c, row, place, err);
    case VARVE_DEED_REGISTERED:
    case VARVE_DEED_MISSED:
        break;
    }
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "cannot be done by hand");
}

static bool
change_disc(struct changing *c, const struct varve_barcode *barcode, struct varve_error *err)
{
    struct varve_disc_row row;
    struct varve_disc_place place;
    return varve_catalog_disc_get(c->engine->catalog, barcode, &row, err) &&
           varve_catalog_disc_place_get(c->engine->catalog, barcode, &place, err) &&
           (change_one(c, &row, &place, err) ||
            varve_error_wrap(err, "disc '%s'", barcode->text)) &&
           varve_catalog_disc_place_put(c->engine->catalog, &place, err) &&
           places_note(c->engine, barcode, c->deed, c->change->who, c->change->text, err);
}

/* --- all of them --- */

struct list {
    struct varve_barcode *barcodes; /* malloc'd */
    size_t count;
};

static bool
list_named(const struct varve_disc_change *change, struct list *list, struct varve_error *err)
{
    for (size_t i = 0; i < change->count; i++) {
        if (!varve_barcode_make(change->barcodes[i], &list->barcodes[list->count++]))
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.64s' is no label",
                                   change->barcodes[i]);
    }
    return true;
}

static bool
list_magazine(struct varve_engine *engine, const struct varve_disc_change *change,
              struct list *list, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_place *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_barcode after = {{0}};
    size_t count = PAGE_ROWS;
    if (change->magazine == NULL)
        return true;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list a magazine");
    size_t before = list->count;
    while (count == PAGE_ROWS && list->count + PAGE_ROWS <= VARVE_DISC_CHANGE_MAX) {
        if (!varve_catalog_disc_places(engine->catalog, change->magazine, &after, page, PAGE_ROWS,
                                       &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].barcode;
            list->barcodes[list->count++] = after;
        }
    }
    return list->count > before ||
           varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no disc is in magazine '%.60s'",
                           change->magazine);
}

static bool
change_all(struct changing *c, const struct list *list, struct varve_error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!change_disc(c, &list->barcodes[i], err))
            return false;
    }
    return true;
}

static void
find_desk(struct changing *c)
{
    for (size_t i = 0; i < c->engine->library_count && !c->at_hand; i++) {
        c->at_hand = is_manual(c->engine, i);
        c->library = i;
    }
}

/* Whoever waits at a drive for a disc that was taken away waits in vain. */
static void
tell_drives(struct varve_engine *engine, const struct list *list, const char *site)
{
    char why[120];
    (void)snprintf(why, sizeof why, "it was taken to %.90s", site);
    for (size_t i = 0; i < list->count; i++) {
        for (size_t k = 0; k < engine->library_count; k++)
            (void)(is_manual(engine, k) && library_is_there(engine, k) &&
                   varve_library_refuse(engine->libraries[k].library, &list->barcodes[i], why));
    }
}

static bool
check_texts(enum varve_disc_deed deed, const struct varve_disc_change *change,
            struct varve_error *err)
{
    const struct varve_disc_place room = {{{0}}};
    size_t max = deed == VARVE_DEED_MAGAZINE ? sizeof room.magazine : sizeof room.shelf;
    bool empty_is_fine = deed != VARVE_DEED_CHECKED_OUT;
    if (change->count > VARVE_DISC_CHANGE_MAX / 2)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%u discs at a time at most",
                               VARVE_DISC_CHANGE_MAX / 2);
    if (strlen(change->text) >= max || strlen(change->who) >= sizeof room.who)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "'%.40s...' is too long: a place has %zu bytes, a name %zu",
                               strlen(change->text) >= max ? change->text : change->who, max - 1,
                               sizeof room.who - 1);
    if (!varve_utf8_valid(change->text) || !varve_utf8_valid(change->who))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "a text that is not UTF-8");
    return empty_is_fine || change->text[0] != 0 ||
           varve_error_set(err, VARVE_ERROR_INVALID, 0, "where to?");
}

bool
varve_engine_disc_change(struct varve_engine *engine, enum varve_disc_deed deed,
                         const struct varve_disc_change *change, size_t *ret_count,
                         struct varve_error *err)
{
    struct changing c = {.engine = engine, .deed = deed, .change = change};
    if (!check_texts(deed, change, err))
        return false;
    VARVE_CLEANUP_FREE struct varve_barcode *barcodes =
        calloc(VARVE_DISC_CHANGE_MAX, sizeof *barcodes);
    struct list list = {.barcodes = barcodes};
    if (barcodes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "change discs");
    if (!list_named(change, &list, err) || !list_magazine(engine, change, &list, err))
        return false;
    if (list.count == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "which discs?");
    find_desk(&c);
    varve_catalog_begin(engine->catalog);
    bool ok = change_all(&c, &list, err);
    if (!varve_catalog_end(engine->catalog, ok, err) || !varve_catalog_sync(engine->catalog, err))
        return false;
    if (deed == VARVE_DEED_CHECKED_OUT)
        tell_drives(engine, &list, change->text);
    drives_wake(engine);
    *ret_count = list.count;
    return true;
}
