/* SPDX-License-Identifier: Apache-2.0 */
/* What libraries say of their elements: what they remember in the catalog, what an operator is
 * told, which discs are not to be used, and looking at discs without a bar code. */
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>
#include <varve/grow.h>

enum { ELEMENT_ROWS = 256, LOOK_RETRY_SECONDS = 300 };

/* --- memory --- */

static void
row_from_record(const char *library, const struct varve_element_record *record,
                struct varve_element_row *ret)
{
    *ret = (struct varve_element_row){.address = record->address,
                                      .barcode = record->barcode,
                                      .home = record->has_home ? record->home : -1,
                                      .flags = record->flags,
                                      .expected = record->expected,
                                      .inverted = record->inverted};
    (void)snprintf(ret->library, sizeof ret->library, "%s", library);
}

bool
elements_remember(void *context, const char *library, const struct varve_element_record *records,
                  size_t count, struct varve_error *err)
{
    struct varve_engine *engine = context;
    VARVE_CLEANUP_FREE struct varve_element_row *rows = calloc(count + 1, sizeof *rows);
    if (rows == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "remember %zu elements", count);
    for (size_t i = 0; i < count; i++)
        row_from_record(library, &records[i], &rows[i]);
    return varve_catalog_elements_put(engine->catalog, rows, count, err);
}

static struct varve_element_record
record_from_row(const struct varve_element_row *row)
{
    return (struct varve_element_record){.address = row->address,
                                         .barcode = row->barcode,
                                         .has_home = row->home >= 0,
                                         .home = (uint16_t)(row->home >= 0 ? row->home : 0),
                                         .flags = row->flags,
                                         .expected = row->expected,
                                         .inverted = row->inverted};
}

bool
elements_records(void *context, const char *library, struct varve_element_record **ret,
                 size_t *ret_count, struct varve_error *err)
{
    struct varve_engine *engine = context;
    VARVE_CLEANUP_FREE struct varve_element_record *records = NULL;
    VARVE_CLEANUP_FREE struct varve_element_row *page = calloc(ELEMENT_ROWS, sizeof *page);
    size_t known = 0, capacity = 0;
    size_t count = ELEMENT_ROWS;
    int32_t after = -1;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read elements");
    while (count == ELEMENT_ROWS) {
        if (!varve_catalog_elements(engine->catalog, library, after, page, ELEMENT_ROWS, &count,
                                    err))
            return false;
        for (size_t i = 0; i < count; i++) {
            struct varve_element_record *grown =
                varve_grow(records, &capacity, known, sizeof *records);
            if (grown == NULL)
                return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read elements");
            records = grown;
            records[known++] = record_from_row(&page[i]);
            after = page[i].address;
        }
    }
    *ret = VARVE_TAKE(records);
    *ret_count = known;
    return true;
}

/* --- discs that are not to be used --- */

/* It is known where the disc is, and that no job may have it: offline, until the reason is gone.
 * What was given up stays given up. */
static bool
set_aside(struct varve_engine *engine, struct varve_disc_row *disc, const char *why,
          struct varve_error *err)
{
    if (disc->state == VARVE_DISC_FAILED || disc->state == VARVE_DISC_RETIRED ||
        disc->state == VARVE_DISC_FOREIGN)
        return true;
    if (disc->state == VARVE_DISC_OFFLINE && strcmp(disc->place, why) == 0)
        return true;
    disc->state = VARVE_DISC_OFFLINE;
    (void)snprintf(disc->place, sizeof disc->place, "%s", why);
    return varve_catalog_disc_put(engine->catalog, disc, err) &&
           set_regrade(engine, disc->set, err);
}

static bool
find_row(struct varve_engine *engine, const struct varve_barcode *barcode,
         struct varve_disc_row *ret, bool *ret_found, struct varve_error *err)
{
    struct varve_error why = {0};
    *ret_found = varve_catalog_disc_get(engine->catalog, barcode, ret, &why);
    if (*ret_found || why.kind == VARVE_ERROR_NOT_FOUND)
        return true;
    *err = why;
    return false;
}

/* A disc that somebody put where another one lay may be read, as it proves itself, but a blank
 * might be any other blank, and what was half burned any other half: never written (fault 5). */
static bool
note_quarantined(struct varve_engine *engine, const char *library,
                 const struct varve_element *element, bool *ret_usable, struct varve_error *err)
{
    struct varve_disc_row disc = {.barcode = element->barcode, .state = VARVE_DISC_BLANK};
    char why[sizeof disc.place];
    bool found;
    if (!find_row(engine, &element->barcode, &disc, &found, err))
        return false;
    bool offline = found && disc.state == VARVE_DISC_OFFLINE;
    bool writable = !found || disc.state == VARVE_DISC_BLANK || disc.state == VARVE_DISC_BURNING ||
                    (offline && disc.verified_ns == 0);
    *ret_usable = !writable;
    if (!writable)
        return true;
    (void)snprintf(disc.library, sizeof disc.library, "%s", library);
    (void)snprintf(why, sizeof why,
                   "quarantined in element %u of library '%.40s': 'varve library accept %u'",
                   element->address, library, element->address);
    return set_aside(engine, &disc, why, err);
}

static bool
note_unusable(struct varve_engine *engine, const char *library, const struct varve_element *element,
              struct varve_error *err)
{
    struct varve_disc_row disc;
    char why[sizeof disc.place];
    bool found;
    if (!find_row(engine, &element->barcode, &disc, &found, err) || !found)
        return err->kind == VARVE_ERROR_NONE;
    if (element->flags & VARVE_ELEMENT_DUPLICATE)
        (void)snprintf(why, sizeof why, "another disc in library '%.40s' has its bar code",
                       library);
    else
        (void)snprintf(why, sizeof why, "in element %u of library '%.40s', which is out of use",
                       element->address, library);
    return set_aside(engine, &disc, why, err);
}

bool
element_note(struct varve_engine *engine, const char *library, const struct varve_element *element,
             bool *ret_usable, struct varve_error *err)
{
    *ret_usable = false;
    if (element->barcode.text[0] == 0 || element->flags & VARVE_ELEMENT_CLEANING)
        return true;
    if (element->flags & (VARVE_ELEMENT_ABSENT | VARVE_ELEMENT_DUPLICATE))
        return note_unusable(engine, library, element, err);
    if (element->flags & VARVE_ELEMENT_UNKNOWN)
        return true; /* present, and looked at soon: elements_tick() */
    if (element->flags & VARVE_ELEMENT_QUARANTINED)
        return note_quarantined(engine, library, element, ret_usable, err);
    *ret_usable = element->full;
    return true;
}

/* --- discs without a label (fault 6) --- */

enum looked { LOOKED_BLANK, LOOKED_OURS, LOOKED_FOREIGN };
struct looking {
    enum looked result;
    struct varve_uuid disc;
    char why[120];
};

static bool
look_task(struct varve_engine *engine, struct task *task, struct drive *drive,
          struct varve_error *err)
{
    struct looking *looking = task->context;
    struct varve_medium medium;
    struct drive_source source;
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *disc = NULL;
    if (!varve_drive_medium(drive_handle(drive), &medium, err))
        return false;
    looking->result = LOOKED_BLANK;
    if (medium.state == VARVE_MEDIUM_BLANK)
        return true;
    looking->result = LOOKED_FOREIGN;
    struct varve_error why = {0};
    if (!drive_source_open(&source, drive_handle(drive), &why) ||
        !varve_disc_open(&source.source, &disc, &why)) {
        (void)snprintf(looking->why, sizeof looking->why, "%.*s", (int)strcspn(why.text, "\n"),
                       why.text);
        return true;
    }
    const struct varve_disc_identity *identity = varve_disc_identity(disc);
    if (!varve_uuid_equal(&identity->archive, &engine->uuid)) {
        (void)snprintf(looking->why, sizeof looking->why, "it is of archive '%.64s'",
                       identity->archive_name);
        return true;
    }
    looking->result = LOOKED_OURS;
    looking->disc = identity->disc;
    return true;
}

/* The row of the disc with this UUID. */
static bool
find_by_uuid(struct varve_engine *engine, const struct varve_uuid *uuid, struct varve_barcode *ret,
             bool *ret_found, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_row *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_barcode after = {{0}};
    size_t count = PAGE_ROWS;
    *ret_found = false;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list discs");
    while (count == PAGE_ROWS && !*ret_found) {
        if (!varve_catalog_discs(engine->catalog, &after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count && !*ret_found; i++) {
            after = page[i].barcode;
            *ret_found = page[i].set.value != 0 && varve_uuid_equal(&page[i].uuid, uuid);
            if (*ret_found)
                *ret = page[i].barcode;
        }
    }
    return true;
}

static bool
note_foreign(struct varve_engine *engine, const char *library, const struct varve_barcode *barcode,
             const char *why, struct varve_error *err)
{
    struct varve_disc_row disc = {.barcode = *barcode};
    bool found;
    if (!find_row(engine, barcode, &disc, &found, err))
        return false;
    if (found && disc.state != VARVE_DISC_BLANK)
        return true;
    disc.state = VARVE_DISC_FOREIGN;
    (void)snprintf(disc.library, sizeof disc.library, "%s", library);
    (void)snprintf(disc.place, sizeof disc.place, "no bar code; %.100s", why);
    varve_log(VARVE_LOG_WARNING,
              "library '%s': the disc without a bar code that is called '%s' is set aside: %s",
              library, barcode->text, why);
    return varve_catalog_disc_put(engine->catalog, &disc, err);
}

/* A name that no label has, for a disc that is not the one whose name it went by. */
static bool
rename_stranger(struct varve_engine *engine, struct library *library,
                const struct varve_barcode *old, struct varve_barcode *ret, struct varve_error *err)
{
    char text[VARVE_BARCODE_BYTES];
    uint64_t number = varve_random_below(engine->random, UINT64_MAX);
    (void)snprintf(text, sizeof text, "N%016" PRIX64, number);
    (void)varve_barcode_make(text, ret); /* allowed characters only */
    varve_log(VARVE_LOG_WARNING,
              "library '%s': the disc without a bar code in the place of disc '%s' is another one; "
              "it is called '%s'",
              library->name, old->text, text);
    return varve_library_name(library->library, old, ret, err);
}

/* It is none of this archive. Under the name of one that is it must not go. */
static bool
note_stranger(struct varve_engine *engine, struct library *library, const struct varve_barcode *old,
              const struct looking *looking, struct varve_error *err)
{
    struct varve_disc_row row;
    struct varve_barcode name = *old;
    bool found;
    if (!find_row(engine, old, &row, &found, err))
        return false;
    bool written = found && row.set.value != 0;
    if (!(written ? rename_stranger(engine, library, old, &name, err)
                  : varve_library_name(library->library, old, old, err)))
        return false;
    return looking->result == LOOKED_BLANK ||
           note_foreign(engine, library->name, &name, looking->why, err);
}

static bool
note_looked(struct varve_engine *engine, size_t index, const struct varve_barcode *old,
            struct looking *looking, struct varve_error *err)
{
    struct library *library = &engine->libraries[index];
    struct varve_barcode name = *old;
    struct varve_error other = {0};
    bool found = false;
    if (looking->result != LOOKED_OURS)
        return note_stranger(engine, library, old, looking, err);
    if (!find_by_uuid(engine, &looking->disc, &name, &found, err))
        return false;
    if (found && varve_library_name(library->library, old, &name, &other)) {
        varve_log(VARVE_LOG_NOTICE, "library '%s': the disc without a bar code is disc '%s'",
                  library->name, name.text);
        return true;
    }
    /* Its label may be on another disc: one of the two lies. */
    (void)snprintf(looking->why, sizeof looking->why, "%.*s", (int)strcspn(other.text, "\n"),
                   found ? other.text : "it is of this archive, but in no set of it");
    return note_stranger(engine, library, old, looking, err);
}

/* Loads it once. What keeps the library from moving is no finding about the disc. */
static bool
look_at(struct varve_engine *engine, size_t library, const struct varve_barcode *name,
        struct varve_error *err)
{
    struct looking looking = {0};
    struct task task = {.class = TASK_VERIFY,
                        .library = library,
                        .barcode = *name,
                        .run = look_task,
                        .context = &looking};
    struct varve_error why = {0};
    task_submit(engine, &task);
    if (!task_wait(engine, &task, &why)) {
        if (why.kind != VARVE_ERROR_MEDIUM && why.kind != VARVE_ERROR_INVALID) {
            *err = why;
            return varve_error_wrap(err, "look at disc '%s'", name->text);
        }
        looking.result = LOOKED_FOREIGN;
        (void)snprintf(looking.why, sizeof looking.why, "%.*s", (int)strcspn(why.text, "\n"),
                       why.text);
    }
    return note_looked(engine, library, name, &looking, err);
}

static bool
look_at_all(struct varve_engine *engine, size_t library, struct job *job, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t count;
    if (!library_is_there(engine, library))
        return true;
    if (!inventory_update(engine, library, false, &elements, &count, err))
        return false;
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++) {
        if ((elements[i].flags & VARVE_ELEMENT_UNKNOWN) == 0 || !elements[i].full ||
            elements[i].type == VARVE_ELEMENT_MAIL_SLOT)
            continue;
        job_text(job, "looking at the disc without a bar code in element %u of library '%s'",
                 elements[i].address, engine->libraries[library].name);
        ok = go_on(engine, err) && look_at(engine, library, &elements[i].barcode, err);
    }
    free(VARVE_TAKE(elements));
    return ok && inventory_update(engine, library, false, &elements, &count, err);
}

static bool
look_job(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err)
{
    (void)context;
    bool ok = true;
    for (size_t i = 0; i < engine->library_count && ok; i++)
        ok = look_at_all(engine, i, job, err);
    atomic_store(&engine->look_queued, false);
    return ok;
}

/* --- by itself --- */

static void
tell_events(struct library *library)
{
    char event[VARVE_LIBRARY_EVENT_BYTES];
    while (varve_library_event(library->library, event))
        varve_log(strstr(event, "\nhint: ") != NULL ? VARVE_LOG_WARNING : VARVE_LOG_NOTICE, "%s",
                  event);
}

void
elements_tick(struct varve_engine *engine, int64_t now)
{
    bool due = false;
    for (size_t i = 0; i < engine->library_count; i++) {
        struct library *library = &engine->libraries[i];
        struct varve_library_state state;
        if (!library_is_there(engine, i))
            continue;
        tell_events(library);
        varve_library_state(library->library, &state);
        bool again = now >= engine->look_retry_ns;
        bool news = state.readings != atomic_load(&library->readings_seen);
        due = due || (news && (again || state.readings != library->readings_tried)) ||
              (state.unknown > 0 && again);
        library->readings_tried = state.readings;
    }
    if (!due || atomic_load(&engine->look_queued))
        return;
    struct varve_error err = {0};
    uint64_t job;
    atomic_store(&engine->look_queued, true);
    engine->look_retry_ns = now + LOOK_RETRY_SECONDS * VARVE_NS_PER_SECOND;
    if (!job_start(engine, "inventory", look_job, NULL, NULL, &job, &err)) {
        atomic_store(&engine->look_queued, false);
        warning_set(engine, "inventory: %s", err.text);
    }
}

void
elements_interrupt(struct varve_engine *engine)
{
    for (size_t i = 0; i < engine->library_count; i++) {
        if (library_is_there(engine, i))
            varve_library_interrupt(engine->libraries[i].library);
    }
}

/* --- what people see and decide --- */

void
varve_engine_library_state(struct varve_engine *engine, size_t index,
                           struct varve_library_state *ret)
{
    if (library_is_there(engine, index)) {
        varve_library_state(engine->libraries[index].library, ret);
        return;
    }
    *ret = (struct varve_library_state){.condition = VARVE_LIBRARY_OFFLINE};
    (void)library_absence(engine, index, ret->why);
}

bool
elements_act(struct varve_engine *engine, size_t index, enum varve_library_action action,
             int32_t address, struct varve_error *err)
{
    struct library *library = &engine->libraries[index];
    unsigned count = 0;
    bool ok = false;
    switch (action) {
    case VARVE_LIBRARY_UNLOCK:
        ok = varve_library_unlock(library->library, err);
        break;
    case VARVE_LIBRARY_RESUME:
        ok = varve_library_resume(library->library, err);
        break;
    case VARVE_LIBRARY_ACCEPT:
        ok = varve_library_accept(library->library, address, &count, err);
        break;
    case VARVE_LIBRARY_LOAD:
    case VARVE_LIBRARY_UNLOAD:
    case VARVE_LIBRARY_EXPORT:
    case VARVE_LIBRARY_IMPORT:
        break;
    }
    tell_events(library);
    return ok;
}
