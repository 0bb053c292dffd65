/* SPDX-License-Identifier: Apache-2.0 */
/* What the libraries hold against what the catalog knows of discs. */
#include "manual.h"
#include "placement.h"

#include <inttypes.h>
#include <string.h>

bool
library_index(const struct varve_engine *engine, const char *name, size_t *ret,
              struct varve_error *err)
{
    for (size_t i = 0; i < engine->library_count; i++) {
        if (name == NULL || strcmp(engine->libraries[i].name, name) == 0) {
            *ret = i;
            return true;
        }
    }
    if (name == NULL)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "this archive has no library");
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "there is no library '%s'", name);
}

bool
disc_mark(struct varve_engine *engine, const struct varve_barcode *barcode,
          enum varve_disc_state state, const char *why, struct varve_error *err)
{
    struct varve_disc_row disc;
    if (!varve_catalog_disc_get(engine->catalog, barcode, &disc, err))
        return false;
    disc.state = state;
    (void)snprintf(disc.place, sizeof disc.place, "%.*s", (int)strcspn(why, "\n"), why);
    return varve_catalog_disc_put(engine->catalog, &disc, err) &&
           varve_catalog_sync(engine->catalog, err);
}

/* --- sets --- */

static int
usefulness(enum varve_disc_state state)
{
    switch (state) {
    case VARVE_DISC_SEALED:
        return 6;
    case VARVE_DISC_SUSPECT:
        return 5;
    case VARVE_DISC_BURNED:
        return 4;
    case VARVE_DISC_BURNING:
        return 3;
    case VARVE_DISC_OFFLINE:
        return 2;
    case VARVE_DISC_LOST:
        return 1;
    case VARVE_DISC_BLANK:
    case VARVE_DISC_FAILED:
    case VARVE_DISC_RETIRED:
    case VARVE_DISC_FOREIGN:
        break;
    }
    return 0;
}

bool
set_disc(struct varve_engine *engine, struct varve_set_id set, uint32_t index,
         struct varve_disc_row *ret, struct varve_error *err)
{
    enum { ROWS_MAX = 1024 }; /* failed ones count too */
    VARVE_CLEANUP_FREE struct varve_disc_row *rows = calloc(ROWS_MAX, sizeof *rows);
    size_t count;
    int best = 0;
    if (rows == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "discs of set %" PRIu64, set.value);
    if (!varve_catalog_set_discs(engine->catalog, set, rows, ROWS_MAX, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].index == index && usefulness(rows[i].state) > best) {
            best = usefulness(rows[i].state);
            *ret = rows[i];
        }
    }
    return best > 0 ||
           varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "set %" PRIu64 " has no disc %" PRIu32,
                           set.value, index + 1);
}

bool
set_regrade(struct varve_engine *engine, struct varve_set_id id, struct varve_error *err)
{
    struct varve_set set;
    if (id.value == 0)
        return true;
    if (!varve_catalog_set_get(engine->catalog, id, &set, err))
        return false;
    if (set.state != VARVE_SET_SEALED && set.state != VARVE_SET_DEGRADED)
        return true;
    enum varve_set_state state = VARVE_SET_SEALED;
    for (uint32_t i = 0; i < set.data_discs + set.parity_discs; i++) {
        struct varve_disc_row disc;
        struct varve_error why = {0};
        if (!set_disc(engine, id, i, &disc, &why) ||
            (disc.state != VARVE_DISC_SEALED && disc.state != VARVE_DISC_OFFLINE))
            state = VARVE_SET_DEGRADED;
    }
    if (state == set.state)
        return true;
    set.state = state;
    varve_log(state == VARVE_SET_DEGRADED ? VARVE_LOG_WARNING : VARVE_LOG_NOTICE,
              "set %" PRIu64 " is %s", id.value, varve_set_state_name(state));
    return varve_catalog_set_update(engine->catalog, &set, err);
}

/* --- discs --- */

/* Everything read from it is checked, so it may serve again; a scrub tells how good it is. */
enum varve_disc_state
state_on_return(const struct varve_disc_row *disc)
{
    if (disc->set.value == 0)
        return VARVE_DISC_BLANK;
    if (disc->verified_ns == 0)
        return VARVE_DISC_BURNING;
    return disc->bad_clusters > 0 ? VARVE_DISC_SUSPECT : VARVE_DISC_SEALED;
}

/* A disc that the catalog does not know counts as blank until a drive says otherwise (INV-5 proves
 * it before burning). */
static bool
note_present(struct varve_engine *engine, const char *library, const struct varve_element *element,
             struct varve_error *err)
{
    const struct varve_barcode *barcode = &element->barcode;
    struct varve_disc_row disc = {.barcode = *barcode};
    struct varve_error why = {0};
    if (!varve_catalog_disc_get(engine->catalog, barcode, &disc, &why)) {
        if (why.kind != VARVE_ERROR_NOT_FOUND) {
            *err = why;
            return false;
        }
        (void)snprintf(disc.library, sizeof disc.library, "%s", library);
        return varve_catalog_disc_put(engine->catalog, &disc, err);
    }
    if (disc.state == VARVE_DISC_OFFLINE && element->type == VARVE_ELEMENT_MAIL_SLOT)
        return true; /* exported, and waits there to be taken out */
    bool back = disc.state == VARVE_DISC_LOST || disc.state == VARVE_DISC_OFFLINE;
    if (!back && strcmp(disc.library, library) == 0)
        return true;
    (void)snprintf(disc.library, sizeof disc.library, "%s", library);
    if (back) {
        disc.state = state_on_return(&disc);
        disc.place[0] = 0;
        varve_log(VARVE_LOG_NOTICE, "disc '%s' is in library '%s' again", disc.barcode.text,
                  library);
    }
    return varve_catalog_disc_put(engine->catalog, &disc, err) &&
           (!back || (set_regrade(engine, disc.set, err) &&
                      places_came_back(engine, barcode, library, err)));
}

static bool
is_present(const struct varve_element *elements, size_t count, const struct varve_barcode *barcode)
{
    for (size_t i = 0; i < count; i++) {
        if (elements[i].full && varve_barcode_equal(&elements[i].barcode, barcode))
            return true;
    }
    return false;
}

static bool
note_missing(struct varve_engine *engine, struct varve_disc_row *disc, struct varve_error *err)
{
    if (disc->state == VARVE_DISC_LOST || disc->state == VARVE_DISC_OFFLINE ||
        disc->state == VARVE_DISC_FAILED || disc->state == VARVE_DISC_RETIRED)
        return true;
    varve_log(VARVE_LOG_WARNING, "disc '%s' (%s) is not in library '%s' any more",
              disc->barcode.text, varve_disc_state_name(disc->state), disc->library);
    disc->state = VARVE_DISC_LOST;
    (void)snprintf(disc->place, sizeof disc->place, "not in library '%.60s' any more",
                   disc->library);
    return varve_catalog_disc_put(engine->catalog, disc, err) &&
           set_regrade(engine, disc->set, err);
}

static bool
note_all_missing(struct varve_engine *engine, const char *library,
                 const struct varve_element *elements, size_t element_count,
                 struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_row *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_barcode after = {{0}};
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list discs");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_discs(engine->catalog, &after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].barcode;
            if (strcmp(page[i].library, library) == 0 &&
                !is_present(elements, element_count, &page[i].barcode) &&
                !note_missing(engine, &page[i], err))
                return false;
        }
    }
    return true;
}

static bool
update(struct varve_engine *engine, struct library *row, struct varve_library *handle, bool refresh,
       struct varve_element **ret, size_t *ret_count, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t count;
    struct varve_library_state before;
    varve_library_state(handle, &before);
    if (!varve_library_inventory(handle, refresh, &elements, &count, err))
        return varve_error_wrap(err, "library '%s'", row->name);
    for (size_t i = 0; i < count; i++) {
        bool usable;
        if (!element_note(engine, row->name, &elements[i], &usable, err) ||
            (usable && !note_present(engine, row->name, &elements[i], err)))
            return false;
    }
    /* Without a robot nobody can see what is on the shelves: discs there are at hand until somebody
     * says that they are not. */
    if (!row->has_no_robot && !note_all_missing(engine, row->name, elements, count, err))
        return false;
    /* At least these: what was read meanwhile is looked at once more. */
    atomic_store(&row->readings_seen, before.readings + (refresh ? 1 : 0));
    *ret = VARVE_TAKE(elements);
    *ret_count = count;
    return true;
}

/* A library that is not there says nothing of its discs: none is noted as missing. */
bool
inventory_update(struct varve_engine *engine, size_t library, bool refresh,
                 struct varve_element **ret, size_t *ret_count, struct varve_error *err)
{
    struct library *row = &engine->libraries[library];
    return library_need(engine, library, err) &&
           update(engine, row, row->library, refresh, ret, ret_count, err);
}

bool
inventory_take(struct varve_engine *engine, size_t library, struct varve_library *handle,
               struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t count;
    return update(engine, &engine->libraries[library], handle, false, &elements, &count, err);
}

/* --- blanks --- */

/* Blanks by library, and the first of each by bar code. */
struct census {
    struct placement_library libraries[LIBRARIES_MAX];
    struct varve_disc_row first[LIBRARIES_MAX];
    uint64_t count;
};

static void
note_blank(struct varve_engine *engine, const struct varve_disc_row *disc, uint64_t capacity_min,
           struct census *census)
{
    size_t library;
    struct varve_error ignored = {0};
    if (disc->state != VARVE_DISC_BLANK ||
        !library_index(engine, disc->library, &library, &ignored) ||
        engine->libraries[library].no_burning || !library_is_there(engine, library) ||
        (disc->capacity_clusters > 0 && disc->capacity_clusters < capacity_min))
        return;
    census->count++;
    if (census->libraries[library].blanks++ == 0)
        census->first[library] = *disc;
}

static bool
count_blanks(struct varve_engine *engine, uint64_t capacity_min, struct census *ret,
             struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_row *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_barcode after = {{0}};
    size_t count = PAGE_ROWS;
    memset(ret, 0, sizeof *ret);
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list discs");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_discs(engine->catalog, &after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].barcode;
            note_blank(engine, &page[i], capacity_min, ret);
        }
    }
    return true;
}

/* What each library has of the set already, and with how many drives it would burn more. */
static bool
note_holders(struct varve_engine *engine, struct varve_set_id set, struct census *census,
             struct varve_error *err)
{
    enum { ROWS_MAX = 1024 };
    VARVE_CLEANUP_FREE struct varve_disc_row *rows = calloc(ROWS_MAX, sizeof *rows);
    size_t count;
    if (rows == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "discs of a set");
    if (!varve_catalog_set_discs(engine->catalog, set, rows, ROWS_MAX, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t library;
        struct varve_error ignored = {0}; /* of a library that is no more */
        if (usefulness(rows[i].state) > usefulness(VARVE_DISC_LOST) &&
            library_index(engine, rows[i].library, &library, &ignored))
            census->libraries[library].held++;
    }
    VARVE_LOCKED(&engine->tasks_lock);
    for (size_t i = 0; i < engine->library_count; i++)
        census->libraries[i].drives = (unsigned)__builtin_popcountll(drives_usable(engine, i));
    return true;
}

bool
blanks_count(struct varve_engine *engine, uint64_t *ret, struct varve_error *err)
{
    struct census census;
    if (!count_blanks(engine, 0, &census, err))
        return false;
    *ret = census.count;
    return true;
}

/* A blank of the library that is best for the set. */
static bool
choose_blank(struct varve_engine *engine, const struct varve_set *set, struct varve_disc_row *ret,
             struct varve_error *err)
{
    struct census census;
    if (!count_blanks(engine, set->clusters, &census, err) ||
        !note_holders(engine, set->id, &census, err))
        return false;
    size_t library = placement_choose(census.libraries, engine->library_count, set->parity_discs);
    if (library != PLACEMENT_NONE) {
        *ret = census.first[library];
        return true;
    }
    const char *absent = absent_library(engine);
    varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "no blank disc is left%s%s%s",
                    absent != NULL ? "; library '" : "", absent != NULL ? absent : "",
                    absent != NULL ? "' is offline" : "");
    return varve_error_hint(
        err, "add blank discs, then run 'varve library inventory --refresh' and 'varve flush'");
}

bool
blank_take(struct varve_engine *engine, const struct varve_set *set, uint32_t index,
           struct varve_disc_row *ret, struct varve_error *err)
{
    VARVE_LOCKED(&engine->blanks_lock);
    struct varve_disc_row disc;
    if (!choose_blank(engine, set, &disc, err))
        return false;
    disc.state = VARVE_DISC_BURNING;
    disc.set = set->id;
    disc.index = index;
    disc.uuid = member_uuid(&set->uuid, index);
    disc.place[0] = 0;
    if (!varve_catalog_disc_put(engine->catalog, &disc, err) ||
        !varve_catalog_sync(engine->catalog, err))
        return false;
    *ret = disc;
    return true;
}

struct probing {
    struct varve_medium medium;
};

static bool
probe_task(struct varve_engine *engine, struct task *task, struct drive *drive,
           struct varve_error *err)
{
    (void)engine;
    struct probing *probing = task->context;
    return varve_drive_medium(drive_handle(drive), &probing->medium, err);
}

/* The disc may have been given to a set while the probe waited for a drive: then what was seen says
 * nothing any more, and the row is the set's. */
static bool
note_probe(struct varve_engine *engine, const struct varve_barcode *barcode,
           const struct varve_medium *medium, struct varve_error *err)
{
    VARVE_LOCKED(&engine->blanks_lock);
    struct varve_disc_row disc;
    if (!varve_catalog_disc_get(engine->catalog, barcode, &disc, err))
        return false;
    if (disc.state != VARVE_DISC_BLANK)
        return true;
    if (medium->state == VARVE_MEDIUM_BLANK) {
        disc.capacity_clusters = medium->capacity_clusters;
    } else {
        disc.state = VARVE_DISC_FOREIGN;
        (void)snprintf(disc.place, sizeof disc.place,
                       "it is not blank and not known to this archive");
        varve_log(VARVE_LOG_WARNING, "disc '%s' is not blank and is set aside", disc.barcode.text);
    }
    return varve_catalog_disc_put(engine->catalog, &disc, err);
}

/* Looks at a blank nobody has seen in a drive yet; one that is not blank is set aside. */
static bool
probe(struct varve_engine *engine, const struct varve_disc_row *disc, struct varve_error *err)
{
    struct probing probing = {0};
    struct task task = {
        .class = TASK_BURN, .barcode = disc->barcode, .run = probe_task, .context = &probing};
    if (!library_index(engine, disc->library, &task.library, err))
        return false;
    task_submit(engine, &task);
    if (!task_wait(engine, &task, err))
        return varve_error_wrap(err, "look at blank disc '%s'", disc->barcode.text);
    return note_probe(engine, &disc->barcode, &probing.medium, err);
}

/* The first that a drive has told of, else the first; NO_SPACE: there is none. */
static bool
known_blank(struct varve_engine *engine, struct varve_disc_row *ret, struct varve_error *err)
{
    struct census census;
    bool found = false;
    if (!count_blanks(engine, 0, &census, err))
        return false;
    for (size_t i = 0; i < engine->library_count; i++) {
        bool known = census.libraries[i].blanks > 0 && census.first[i].capacity_clusters > 0;
        if (census.libraries[i].blanks > 0 && (!found || (known && ret->capacity_clusters == 0))) {
            *ret = census.first[i];
            found = true;
        }
    }
    return found || varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "no blank disc is left");
}

/* `media` of a SCSI library: who wants to leave the outer edge of discs alone plans with less
 * than the drives report. */
static uint64_t
planned_capacity(const struct varve_engine *engine, const struct varve_disc_row *disc)
{
    for (size_t i = 0; i < engine->config->library_count; i++) {
        const struct varve_config_library *library = &engine->config->libraries[i];
        uint64_t most = library->media_bytes / VARVE_CLUSTER_BYTES;
        if (library->kind == VARVE_LIBRARY_SCSI && strcmp(library->name, disc->library) == 0 &&
            most > 0 && most < disc->capacity_clusters)
            return most;
    }
    return disc->capacity_clusters;
}

bool
blank_capacity(struct varve_engine *engine, uint64_t *ret_clusters, struct varve_error *err)
{
    enum { PROBES_MAX = 64 };
    for (unsigned i = 0; i < PROBES_MAX; i++) {
        struct varve_disc_row disc;
        if (!known_blank(engine, &disc, err))
            return false;
        if (disc.capacity_clusters > 0) {
            *ret_clusters = planned_capacity(engine, &disc);
            return true;
        }
        if (!probe(engine, &disc, err))
            return false;
    }
    return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                           "%d discs in a row that should be blank are not", PROBES_MAX);
}
