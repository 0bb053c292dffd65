/* SPDX-License-Identifier: Apache-2.0 */
/* Where people keep discs, and what they did with them. */
#include "catalog_internal.h"

/* Kept for looking back; the log must not grow for ever. */
#define EVENTS_KEPT 100000u

static bool
place_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_disc_place *ret = row;
    *ret = (struct varve_disc_place){.since_ns = sqlite3_column_int64(statement, 5)};
    return column_text(statement, 0, ret->barcode.text, sizeof ret->barcode.text, err) &&
           column_text(statement, 1, ret->shelf, sizeof ret->shelf, err) &&
           column_text(statement, 2, ret->magazine, sizeof ret->magazine, err) &&
           column_text(statement, 3, ret->site, sizeof ret->site, err) &&
           column_text(statement, 4, ret->who, sizeof ret->who, err);
}

bool
varve_catalog_disc_place_put(struct varve_catalog *catalog, const struct varve_disc_place *place,
                             struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_PLACE_PUT, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, place->barcode.text);
    bind_text(statement, 2, place->shelf);
    bind_text(statement, 3, place->magazine);
    bind_text(statement, 4, place->site);
    bind_text(statement, 5, place->who);
    bind_i64(statement, 6, place->since_ns);
    return catalog_run(catalog, statement, err);
}

bool
varve_catalog_disc_place_get(struct varve_catalog *catalog, const struct varve_barcode *barcode,
                             struct varve_disc_place *ret, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    bool found;
    if (!catalog_find_text(catalog, SQL_PLACE_GET, barcode->text, place_from_row, ret, &found, err))
        return false;
    if (!found)
        *ret = (struct varve_disc_place){.barcode = *barcode};
    return true;
}

bool
varve_catalog_disc_places(struct varve_catalog *catalog, const char *magazine,
                          const struct varve_barcode *after, struct varve_disc_place *ret,
                          size_t max, size_t *ret_count, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement =
        catalog_reader(catalog, magazine != NULL ? SQL_PLACES_MAGAZINE : SQL_PLACES, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, after->text);
    if (magazine != NULL)
        bind_text(statement, 2, magazine);
    return catalog_collect(catalog, statement, place_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}

static bool
event_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_disc_event *ret = row;
    int deed;
    *ret = (struct varve_disc_event){.id = column_u64(statement, 0),
                                     .at_ns = sqlite3_column_int64(statement, 2)};
    if (!column_text(statement, 1, ret->barcode.text, sizeof ret->barcode.text, err) ||
        !column_enum(statement, 3, VARVE_DEED_MISSED, &deed, err) ||
        !column_text(statement, 4, ret->who, sizeof ret->who, err) ||
        !column_text(statement, 5, ret->text, sizeof ret->text, err))
        return false;
    ret->deed = (enum varve_disc_deed)deed;
    return true;
}

static bool
insert_event(struct varve_catalog *catalog, const struct varve_disc_event *event, uint64_t *ret_id,
             struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_EVENT_ADD, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, event->barcode.text);
    bind_i64(statement, 2, event->at_ns);
    bind_i64(statement, 3, event->deed);
    bind_text(statement, 4, event->who);
    bind_text(statement, 5, event->text);
    if (!catalog_run(catalog, statement, err))
        return false;
    *ret_id = (uint64_t)sqlite3_last_insert_rowid(catalog->db);
    return true;
}

bool
varve_catalog_disc_event_add(struct varve_catalog *catalog, const struct varve_disc_event *event,
                             struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    uint64_t id;
    return insert_event(catalog, event, &id, err) &&
           (id <= EVENTS_KEPT ||
            catalog_run_ids(catalog, SQL_EVENT_FORGET, id - EVENTS_KEPT, 0, err));
}

bool
varve_catalog_disc_events(struct varve_catalog *catalog, const struct varve_barcode *barcode,
                          uint64_t after, struct varve_disc_event *ret, size_t max,
                          size_t *ret_count, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_EVENTS, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, barcode->text);
    bind_u64(statement, 2, after);
    return catalog_collect(catalog, statement, event_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}
