/* SPDX-License-Identifier: Apache-2.0 */
/* What persons are asked for: what drives wait for now and what comes after it, as one walk. */
#include "manual.h"

#include <string.h>

enum { REQUESTS_MAX = 1024 };

struct gathering {
    struct varve_engine *engine;
    struct varve_engine_request *list; /* malloc'd */
    size_t count;
    size_t first; /* of the library under way: no disc twice in it */
};

/* --- gathering --- */

static struct varve_engine_request *
add(struct gathering *g, size_t library, const struct varve_barcode *barcode, enum task_class class)
{
    static const char *const words[] = {"recall", "burn", "verify"};
    if (barcode->text[0] == 0)
        return NULL;
    for (size_t i = g->first; i < g->count; i++) {
        if (varve_barcode_equal(&g->list[i].barcode, barcode))
            return &g->list[i];
    }
    if (g->count == REQUESTS_MAX)
        return NULL;
    struct varve_engine_request *fresh = &g->list[g->count++];
    *fresh = (struct varve_engine_request){.barcode = *barcode, .drive = -1, .what = words[class]};
    (void)snprintf(fresh->library, sizeof fresh->library, "%s", g->engine->libraries[library].name);
    return fresh;
}

static void
add_recalls(struct gathering *g, size_t library)
{
    enum { WANTED_MAX = 512 };
    VARVE_CLEANUP_FREE struct varve_barcode *wanted = calloc(WANTED_MAX, sizeof *wanted);
    size_t count = 0;
    if (wanted != NULL && g->engine->recalls != NULL)
        count = recalls_wanted(g->engine, library, wanted, WANTED_MAX);
    for (size_t i = 0; i < count; i++)
        (void)add(g, library, &wanted[i], TASK_RECALL);
}

static void
add_tasks(struct gathering *g, size_t library)
{
    VARVE_LOCKED(&g->engine->tasks_lock);
    const struct task *task = g->engine->libraries[library].tasks;
    for (; task != NULL; task = task->next) {
        if (!task->no_disc)
            (void)add(g, library, &task->barcode, task->class);
    }
}

/* What drives are asking for has left the lines. */
static void
add_asked(struct gathering *g, size_t library)
{
    struct varve_manual_request asked[VARVE_CONFIG_DRIVES_MAX];
    struct varve_engine *engine = g->engine;
    if (!library_is_there(engine, library))
        return;
    size_t count =
        varve_library_requests(engine->libraries[library].library, asked, VARVE_CONFIG_DRIVES_MAX);
    for (size_t i = 0; i < count; i++) {
        enum task_class class = TASK_RECALL;
        for (size_t d = 0; d < engine->drive_count; d++) {
            if (engine->drives[d].library == library && engine->drives[d].number == asked[i].drive)
                class = engine->drives[d].class;
        }
        struct varve_engine_request *own = add(g, library, &asked[i].barcode, class);
        if (own == NULL)
            continue;
        own->drive = (int)asked[i].drive;
        own->since_ns = asked[i].since_ns;
        own->out = asked[i].out;
        (void)snprintf(own->problem, sizeof own->problem, "%s", asked[i].problem);
        (void)ask_text(engine, &asked[i], own->text);
    }
}

static bool
is_in_a_drive(struct varve_engine *engine, size_t library, const struct varve_barcode *barcode)
{
    struct varve_library *handle = engine->libraries[library].library;
    if (handle == NULL)
        return false;
    for (unsigned i = 0; i < varve_library_drive_count(handle); i++) {
        struct varve_barcode loaded;
        if (varve_library_drive_disc(handle, i, &loaded) && varve_barcode_equal(&loaded, barcode))
            return true;
    }
    return false;
}

/* --- what is known of them --- */

static void
describe(struct varve_engine *engine, struct varve_engine_request *request)
{
    struct varve_disc_place place;
    struct varve_disc_row row;
    struct varve_error ignored = {0}; /* told without what is not known */
    if (varve_catalog_disc_place_get(engine->catalog, &request->barcode, &place, &ignored)) {
        (void)snprintf(request->shelf, sizeof request->shelf, "%s", place.shelf);
        (void)snprintf(request->magazine, sizeof request->magazine, "%s", place.magazine);
    }
    if (varve_catalog_disc_get(engine->catalog, &request->barcode, &row, &ignored))
        request->blank = row.state == VARVE_DISC_BLANK || row.state == VARVE_DISC_BURNING;
}

static int
compare(const void *a, const void *b)
{
    const struct varve_engine_request *x = a;
    const struct varve_engine_request *y = b;
    return walk_compare(x->shelf, x->barcode.text, y->shelf, y->barcode.text);
}

static void
gather_library(struct gathering *g, size_t library)
{
    g->first = g->count;
    add_asked(g, library);
    add_recalls(g, library);
    add_tasks(g, library);
    size_t kept = g->first;
    for (size_t i = g->first; i < g->count; i++) {
        if (g->list[i].drive < 0 && is_in_a_drive(g->engine, library, &g->list[i].barcode))
            continue;
        describe(g->engine, &g->list[i]);
        g->list[kept++] = g->list[i];
    }
    g->count = kept;
    qsort(&g->list[g->first], g->count - g->first, sizeof g->list[0], compare);
}

bool
varve_engine_requests(struct varve_engine *engine, const char *library,
                      struct varve_engine_request **ret, size_t *ret_count, struct varve_error *err)
{
    size_t only = 0;
    if (library != NULL && !library_index(engine, library, &only, err))
        return false;
    struct gathering g = {.engine = engine, .list = calloc(REQUESTS_MAX, sizeof *g.list)};
    if (g.list == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list requests");
    for (size_t i = 0; i < engine->library_count; i++) {
        if (is_manual(engine, i) && (library == NULL || i == only))
            gather_library(&g, i);
    }
    *ret = g.list;
    *ret_count = g.count;
    return true;
}

bool
requests_warning(struct varve_engine *engine, size_t library, char *ret, size_t size)
{
    struct varve_manual_request asked;
    char text[ASK_TEXT_BYTES];
    if (!is_manual(engine, library) || !library_is_there(engine, library) ||
        varve_library_requests(engine->libraries[library].library, &asked, 1) == 0)
        return false;
    (void)snprintf(ret, size, "library '%s' waits for a person: %.120s",
                   engine->libraries[library].name, ask_text(engine, &asked, text));
    return true;
}

/* --- what the person answers --- */

struct looking {
    struct varve_manual_sight sight;
};

static bool
look_task(struct varve_engine *engine, struct task *task, struct drive *drive,
          struct varve_error *err)
{
    (void)engine;
    struct looking *looking = task->context;
    return varve_library_look(drive_library(drive), drive->number, &looking->sight, err);
}

static bool
find_manual(struct varve_engine *engine, const char *name, size_t *ret, struct varve_error *err)
{
    if (name != NULL) {
        if (!library_index(engine, name, ret, err))
            return false;
        return is_manual(engine, *ret) ||
               varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "library '%s' has a robot: it is no manual library", name);
    }
    for (size_t i = 0; i < engine->library_count; i++) {
        if (is_manual(engine, i)) {
            *ret = i;
            return true;
        }
    }
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "this archive has no manual library");
}

bool
varve_engine_inserted(struct varve_engine *engine, const char *library, unsigned drive,
                      struct varve_engine_seen *ret, struct varve_error *err)
{
    size_t index;
    struct looking looking = {.sight = {.fits = false}};
    if (!find_manual(engine, library, &index, err) || !library_want(engine, index, err))
        return false;
    if (drive >= varve_library_drive_count(engine->libraries[index].library))
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "library '%s' has no drive %u",
                               engine->libraries[index].name, drive);
    *ret = (struct varve_engine_seen){.waiting = false};
    if (varve_library_inserted(engine->libraries[index].library, drive)) {
        ret->waiting = true;
        return true;
    }
    struct task task = {.class = TASK_RECALL,
                        .library = index,
                        .has_drive = true,
                        .drive = drive,
                        .no_disc = true,
                        .run = look_task,
                        .context = &looking};
    task_submit(engine, &task);
    if (!task_wait(engine, &task, err))
        return false;
    ret->barcode = looking.sight.barcode;
    (void)snprintf(ret->text, sizeof ret->text, "%s",
                   looking.sight.text[0] != 0 ? looking.sight.text : "it is not known");
    struct varve_element *elements = NULL;
    size_t count;
    if (!inventory_update(engine, index, false, &elements, &count, err))
        return false;
    free(elements);
    return true;
}

bool
varve_engine_refuse(struct varve_engine *engine, const char *barcode, const char *why,
                    const char *who, struct varve_error *err)
{
    struct varve_barcode name;
    bool found = false;
    if (!varve_barcode_make(barcode, &name))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.64s' is no label", barcode);
    for (size_t i = 0; i < engine->library_count; i++)
        found = (is_manual(engine, i) && library_is_there(engine, i) &&
                 varve_library_refuse(engine->libraries[i].library, &name, why)) ||
                found;
    if (!found) {
        varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "nobody is asked for disc '%s' now",
                        name.text);
        return varve_error_hint(err, "'varve library requests' lists what is asked for");
    }
    return places_note(engine, &name, VARVE_DEED_MISSED, who, why, err) &&
           varve_catalog_sync(engine->catalog, err);
}

bool
varve_engine_library_is_manual(struct varve_engine *engine, const char *library)
{
    size_t index;
    struct varve_error ignored = {0}; /* the caller's next call says it */
    return library_index(engine, library, &index, &ignored) && is_manual(engine, index);
}

/* --- blanks --- */

/* The highest number of a label with the prefix that the archive knows. */
static bool
last_number(struct varve_engine *engine, const char *prefix, uint64_t *ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_row *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_barcode after = {{0}};
    size_t count = PAGE_ROWS;
    *ret = 0;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list discs");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_discs(engine->catalog, &after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].barcode;
            uint64_t number = label_number(prefix, page[i].barcode.text);
            *ret = number > *ret ? number : *ret;
        }
    }
    return true;
}

static bool
register_one(struct varve_engine *engine, size_t library, const struct varve_new_blanks *blanks,
             const struct varve_barcode *label, struct varve_error *err)
{
    const struct varve_config_library *config = &engine->config->libraries[library];
    uint64_t bytes = blanks->bytes != 0 ? blanks->bytes : config->media_bytes;
    struct varve_disc_row row = {.barcode = *label,
                                 .state = VARVE_DISC_BLANK,
                                 .capacity_clusters = bytes / VARVE_CLUSTER_BYTES};
    struct varve_disc_place place = {.barcode = *label};
    (void)snprintf(row.library, sizeof row.library, "%s", config->name);
    (void)snprintf(place.shelf, sizeof place.shelf, "%s",
                   blanks->shelf != NULL ? blanks->shelf : "");
    return varve_catalog_disc_put(engine->catalog, &row, err) &&
           varve_catalog_disc_place_put(engine->catalog, &place, err) &&
           places_note(engine, label, VARVE_DEED_REGISTERED, blanks->who, place.shelf, err);
}

static bool
register_all(struct varve_engine *engine, size_t library, const struct varve_new_blanks *blanks,
             struct varve_barcode *labels, struct varve_error *err)
{
    const char *prefix = engine->config->libraries[library].labels;
    uint64_t last;
    if (!last_number(engine, prefix, &last, err))
        return false;
    for (unsigned i = 0; i < blanks->count; i++) {
        if (!label_make(prefix, last + 1 + i, &labels[i], err) ||
            !register_one(engine, library, blanks, &labels[i], err))
            return false;
    }
    return true;
}

bool
varve_engine_register_blanks(struct varve_engine *engine, const struct varve_new_blanks *blanks,
                             struct varve_barcode **ret, struct varve_error *err)
{
    size_t library;
    if (!find_manual(engine, blanks->library, &library, err))
        return false;
    if (blanks->count == 0 || blanks->count > VARVE_NEW_BLANKS_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "1 to %u blank discs at a time",
                               VARVE_NEW_BLANKS_MAX);
    VARVE_CLEANUP_FREE struct varve_barcode *labels = calloc(blanks->count, sizeof *labels);
    if (labels == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "register blank discs");
    VARVE_LOCKED(&engine->blanks_lock);
    varve_catalog_begin(engine->catalog);
    bool ok = register_all(engine, library, blanks, labels, err);
    if (!varve_catalog_end(engine->catalog, ok, err) || !varve_catalog_sync(engine->catalog, err))
        return false;
    *ret = VARVE_TAKE(labels);
    return true;
}
