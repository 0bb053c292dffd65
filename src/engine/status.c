/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator sees: numbers, and what deserves a look. Libraries by hand. */
#include "manual.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

static void warn(struct varve_engine_status *status, const char *format, ...) VARVE_PRINTF(2, 3);

static void
warn(struct varve_engine_status *status, const char *format, ...)
{
    if (status->warnings_count >= sizeof status->warnings / sizeof status->warnings[0])
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(status->warnings[status->warnings_count++], sizeof status->warnings[0], format,
                    args);
    va_end(args);
}

static void
warn_of_discs(const struct varve_engine *engine, struct varve_engine_status *status)
{
    const uint64_t *discs = status->totals.discs_by_state;
    const uint64_t *sets = status->totals.sets_by_state;
    if (sets[VARVE_SET_DEGRADED] > 0)
        warn(status,
             "%" PRIu64
             " sets are degraded; 'varve set list' shows which, 'varve set repair ID' mends one",
             sets[VARVE_SET_DEGRADED]);
    if (discs[VARVE_DISC_SUSPECT] > 0)
        warn(status, "%" PRIu64 " discs are suspect", discs[VARVE_DISC_SUSPECT]);
    if (discs[VARVE_DISC_LOST] > 0)
        warn(status, "%" PRIu64 " discs are lost", discs[VARVE_DISC_LOST]);
    if (discs[VARVE_DISC_FOREIGN] > 0)
        warn(status, "%" PRIu64 " discs are neither blank nor of this archive",
             discs[VARVE_DISC_FOREIGN]);
    uint64_t wanted = engine->config->data_discs + engine->config->parity_discs;
    if (engine->library_count > 0 && discs[VARVE_DISC_BLANK] < wanted)
        warn(status, "%" PRIu64 " blank discs are left, a full set takes %" PRIu64,
             discs[VARVE_DISC_BLANK], wanted);
}

/* First: nothing goes on without them. */
static void
warn_of_persons(struct varve_engine *engine, struct varve_engine_status *status)
{
    for (size_t i = 0; i < engine->library_count; i++) {
        char text[200];
        if (requests_warning(engine, i, text, sizeof text))
            warn(status, "%s", text);
    }
}

/* The first few of a kind, by name and with the reason; how many there are is said before. */
static void
name_discs(const struct varve_engine *engine, struct varve_engine_status *status)
{
    enum { NAMED_MAX = 4 };
    VARVE_CLEANUP_FREE struct varve_disc_row *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_barcode after = {{0}};
    struct varve_error ignored = {0}; /* the counts were told */
    size_t count = PAGE_ROWS;
    unsigned named = 0;
    while (page != NULL && count == PAGE_ROWS && named < NAMED_MAX &&
           varve_catalog_discs(engine->catalog, &after, page, PAGE_ROWS, &count, &ignored)) {
        for (size_t i = 0; i < count && named < NAMED_MAX; i++) {
            after = page[i].barcode;
            if (page[i].state != VARVE_DISC_SUSPECT && page[i].state != VARVE_DISC_LOST &&
                page[i].state != VARVE_DISC_FOREIGN)
                continue;
            warn(status, "disc '%s' of library '%.60s' is %s: %s", page[i].barcode.text,
                 page[i].library, varve_disc_state_name(page[i].state), page[i].place);
            named++;
        }
    }
}

static void
warn_of_drives(struct varve_engine *engine, struct varve_engine_status *status)
{
    VARVE_CLEANUP_FREE struct varve_engine_drive *drives = calloc(DRIVES_MAX, sizeof *drives);
    size_t count = drives != NULL ? varve_engine_drives(engine, drives, DRIVES_MAX) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct varve_drive_row *row = &drives[i].row;
        status->drives_by_service[row->service]++;
        if (row->service == VARVE_SERVICE_QUARANTINED)
            warn(
                status,
                "library '%.60s', drive %u is quarantined: %.150s; 'varve drive clear %u --library "
                "%.60s' puts it back",
                row->library, row->number, row->reason, row->number, row->library);
    }
}

/* What the libraries want of a person comes before all else. */
static void
warn_of_libraries(struct varve_engine *engine, struct varve_engine_status *status)
{
    for (size_t i = 0; i < engine->library_count; i++) {
        const char *name = engine->libraries[i].name;
        struct varve_library_state state;
        varve_engine_library_state(engine, i, &state);
        if (!library_is_there(engine, i)) {
            warn(status,
                 "library '%.40s' is offline: %.195s; put right, it is opened by itself, at once "
                 "by 'varve library resume %.40s'",
                 name, state.why, name);
            continue;
        }
        if (state.condition != VARVE_LIBRARY_READY)
            warn(status, "library '%.40s' moves no disc: %s: %.100s", name,
                 varve_library_condition_name(state.condition), state.why);
        if (state.absent > 0)
            warn(status, "library '%.40s': %u elements are out of use (magazine out?)", name,
                 state.absent);
        if (state.quarantined > 0 || state.duplicate > 0)
            warn(status,
                 "library '%.40s': %u discs are quarantined, %u have the bar code of another one; "
                 "see 'varve library inventory'",
                 name, state.quarantined, state.duplicate);
    }
}

static void
warn_of_tiers(const struct varve_engine *engine, struct varve_engine_status *status)
{
    for (int tier = VARVE_TIER_SSD; tier <= VARVE_TIER_HDD; tier++) {
        unsigned high;
        unsigned low;
        if (status->usage[tier].bytes_total > 0 &&
            varve_policy_marks(engine->policy, (enum varve_tier)tier, &high, &low) &&
            status->usage[tier].percent_used > high)
            warn(status, "tier %s is %u%% full, above its high mark of %u%%",
                 varve_tier_name((enum varve_tier)tier), status->usage[tier].percent_used, high);
    }
}

static void
count_jobs(struct varve_engine *engine, struct varve_engine_status *status)
{
    VARVE_CLEANUP_FREE struct varve_job *jobs = calloc(JOBS_KEPT_MAX, sizeof *jobs);
    size_t count = jobs != NULL ? varve_engine_jobs(engine, jobs, JOBS_KEPT_MAX) : 0;
    for (size_t i = 0; i < count; i++) {
        status->jobs_running += jobs[i].state == VARVE_JOB_RUNNING;
        status->jobs_queued += jobs[i].state == VARVE_JOB_QUEUED;
    }
}

static void
list_recalls(struct varve_engine *engine, struct varve_engine_status *status)
{
    const size_t max = sizeof status->recalls / sizeof status->recalls[0];
    if (engine->recalls == NULL)
        return;
    status->recalls_waiting = recalls_waiting(engine);
    status->recall_count = recalls_list(engine, status->recalls, max);
    for (size_t i = 0; i < status->recall_count; i++) {
        struct varve_engine_recall *recall = &status->recalls[i];
        struct varve_content content;
        struct varve_error ignored = {0}; /* gone meanwhile: then without a path */
        VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
        if (varve_catalog_content_get(engine->catalog, recall->content, &content, &ignored) &&
            varve_catalog_path(engine->catalog, content.ino, &path, &ignored))
            (void)snprintf(recall->path, sizeof recall->path, "%s", varve_buffer_string(&path));
    }
}

bool
varve_engine_status(struct varve_engine *engine, struct varve_engine_status *ret,
                    struct varve_error *err)
{
    struct varve_engine_status status = {.archive = engine->uuid, .started_ns = engine->started_ns};
    (void)snprintf(status.name, sizeof status.name, "%s", engine->name);
    if (!varve_catalog_totals(engine->catalog, &status.totals, err))
        return false;
    for (int tier = VARVE_TIER_SSD; tier <= VARVE_TIER_HDD; tier++) {
        struct varve_error why = {0};
        if (varve_store_has_tier(engine->store, (enum varve_tier)tier) &&
            !varve_store_usage(engine->store, (enum varve_tier)tier, &status.usage[tier], &why))
            warn(&status, "tier %s: %.150s", varve_tier_name((enum varve_tier)tier), why.text);
    }
    count_jobs(engine, &status);
    list_recalls(engine, &status);
    warn_of_persons(engine, &status);
    warn_of_libraries(engine, &status);
    warn_of_drives(engine, &status);
    warn_of_discs(engine, &status);
    if (status.totals.discs_by_state[VARVE_DISC_SUSPECT] +
            status.totals.discs_by_state[VARVE_DISC_LOST] +
            status.totals.discs_by_state[VARVE_DISC_FOREIGN] >
        0)
        name_discs(engine, &status);
    warn_of_tiers(engine, &status);
    {
        VARVE_LOCKED(&engine->warning_lock);
        if (engine->warning[0] != 0)
            warn(&status, "%s", engine->warning);
    }
    *ret = status;
    return true;
}

/* --- libraries --- */

size_t
varve_engine_library_count(struct varve_engine *engine)
{
    return engine->library_count;
}

const char *
varve_engine_library_name(struct varve_engine *engine, size_t index)
{
    return engine->libraries[index].name;
}

bool
varve_engine_inventory(struct varve_engine *engine, const char *library, bool refresh,
                       struct varve_element **ret, size_t *ret_count, struct varve_error *err)
{
    size_t index;
    return library_index(engine, library, &index, err) &&
           (!refresh || library_want(engine, index, err)) &&
           inventory_update(engine, index, refresh, ret, ret_count, err);
}

struct by_hand {
    enum varve_library_action action;
};

static bool
by_hand_task(struct varve_engine *engine, struct task *task, struct drive *drive,
             struct varve_error *err)
{
    const struct by_hand *by_hand = task->context;
    (void)engine;
    if (by_hand->action == VARVE_LIBRARY_LOAD)
        return true; /* the disc is in a drive: that was all */
    if (!varve_library_unload(drive_library(drive), drive->number, err))
        return false;
    return by_hand->action != VARVE_LIBRARY_EXPORT ||
           varve_library_export(drive_library(drive), &task->barcode, err);
}

/* Waits for the drive like any other work, so that nothing is pulled from under a job. */
static bool
with_disc(struct varve_engine *engine, size_t library, enum varve_library_action action,
          const struct varve_barcode *barcode, unsigned drive, struct varve_error *err)
{
    struct by_hand by_hand = {action};
    struct task task = {.class = TASK_RECALL,
                        .library = library,
                        .barcode = *barcode,
                        .has_drive = action != VARVE_LIBRARY_EXPORT,
                        .reader = true,
                        .drive = drive,
                        .run = by_hand_task,
                        .context = &by_hand};
    task_submit(engine, &task);
    return task_wait(engine, &task, err);
}

static bool
has_drive(struct varve_engine *engine, size_t library, unsigned drive, struct varve_error *err)
{
    return drive < varve_library_drive_count(engine->libraries[library].library) ||
           varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "library '%s' has no drive %u",
                           engine->libraries[library].name, drive);
}

static bool
eject_task(struct varve_engine *engine, struct task *task, struct drive *drive,
           struct varve_error *err)
{
    (void)engine, (void)task;
    return varve_library_unload(drive_library(drive), drive->number, err);
}

/* Whatever is in the drive, known or not. */
static bool
eject(struct varve_engine *engine, size_t library, unsigned drive, struct varve_error *err)
{
    struct varve_manual_request asked[VARVE_CONFIG_DRIVES_MAX];
    size_t count =
        varve_library_requests(engine->libraries[library].library, asked, VARVE_CONFIG_DRIVES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (asked[i].drive == drive)
            return true; /* its tray is open for the disc that it asks for */
    }
    struct task task = {.class = TASK_RECALL,
                        .library = library,
                        .has_drive = true,
                        .drive = drive,
                        .no_disc = true,
                        .run = eject_task};
    task_submit(engine, &task);
    return task_wait(engine, &task, err);
}

static bool
unload_drive(struct varve_engine *engine, size_t library, unsigned drive, struct varve_error *err)
{
    struct varve_library *handle = engine->libraries[library].library;
    struct varve_barcode loaded;
    if (!has_drive(engine, library, drive, err))
        return false;
    if (is_manual(engine, library))
        return eject(engine, library, drive, err);
    if (!varve_library_drive_disc(handle, drive, &loaded))
        return true;
    return with_disc(engine, library, VARVE_LIBRARY_UNLOAD, &loaded, drive, err);
}

static bool
export_disc(struct varve_engine *engine, size_t library, const struct varve_barcode *barcode,
            struct varve_error *err)
{
    struct varve_disc_row disc;
    if (!varve_catalog_disc_get(engine->catalog, barcode, &disc, err))
        return false;
    if (!with_disc(engine, library, VARVE_LIBRARY_EXPORT, barcode, 0, err))
        return false;
    disc.state = VARVE_DISC_OFFLINE;
    (void)snprintf(disc.place, sizeof disc.place, "exported from library '%.60s'",
                   engine->libraries[library].name);
    return varve_catalog_disc_put(engine->catalog, &disc, err) &&
           varve_catalog_sync(engine->catalog, err);
}

bool
varve_engine_library_act(struct varve_engine *engine, const char *library,
                         enum varve_library_action action, const char *barcode, unsigned drive,
                         struct varve_error *err)
{
    size_t index;
    unsigned imported;
    struct varve_barcode disc = {{0}};
    struct varve_element *elements = NULL;
    size_t count;
    bool needs_disc = action == VARVE_LIBRARY_LOAD || action == VARVE_LIBRARY_EXPORT;
    if (!library_index(engine, library, &index, err))
        return false;
    if (needs_disc && (barcode == NULL || !varve_barcode_make(barcode, &disc)))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is no barcode",
                               barcode != NULL ? barcode : "");
    bool was_there = library_is_there(engine, index);
    if (!library_want(engine, index, err))
        return false;
    if (!was_there && action == VARVE_LIBRARY_RESUME)
        return true; /* and its inventory was read */
    bool ok = false;
    switch (action) {
    case VARVE_LIBRARY_LOAD:
        ok = has_drive(engine, index, drive, err) &&
             with_disc(engine, index, action, &disc, drive, err);
        break;
    case VARVE_LIBRARY_UNLOAD:
        ok = unload_drive(engine, index, drive, err);
        break;
    case VARVE_LIBRARY_EXPORT:
        ok = export_disc(engine, index, &disc, err);
        break;
    case VARVE_LIBRARY_IMPORT:
        ok = varve_library_import(engine->libraries[index].library, &imported, err);
        break;
    case VARVE_LIBRARY_UNLOCK:
        return elements_act(engine, index, action, -1, err);
    case VARVE_LIBRARY_RESUME:
        ok = elements_act(engine, index, action, -1, err);
        break;
    case VARVE_LIBRARY_ACCEPT:
        ok = elements_act(engine, index, action, drive == UINT_MAX ? -1 : (int32_t)drive, err);
        break;
    }
    if (!ok || !inventory_update(engine, index, true, &elements, &count, err))
        return false;
    free(elements);
    return true;
}

bool
varve_engine_disc_retire(struct varve_engine *engine, const char *barcode, struct varve_error *err)
{
    struct varve_barcode name;
    struct varve_disc_row disc;
    struct varve_set set;
    if (!varve_barcode_make(barcode, &name))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is no barcode", barcode);
    if (!varve_catalog_disc_get(engine->catalog, &name, &disc, err))
        return varve_error_wrap(err, "disc '%s'", barcode);
    /* INV-2: a disc of a set may go only when the set is whole without it, that is never before a
     * repair replaced it. */
    if (disc.set.value != 0 && disc.state != VARVE_DISC_FAILED) {
        struct varve_disc_row best;
        if (!varve_catalog_set_get(engine->catalog, disc.set, &set, err) ||
            !set_disc(engine, disc.set, disc.index, &best, err))
            return false;
        if (set.state != VARVE_SET_ABANDONED && varve_barcode_equal(&best.barcode, &disc.barcode)) {
            varve_error_set(err, VARVE_ERROR_BUSY, 0,
                            "disc '%s' is the only disc %" PRIu32 " of set %" PRIu64, barcode,
                            disc.index + 1, disc.set.value);
            return varve_error_hint(err, "'varve set repair %" PRIu64 "' makes a new one first",
                                    disc.set.value);
        }
    }
    return disc_mark(engine, &name, VARVE_DISC_RETIRED, "retired by the operator", err);
}
