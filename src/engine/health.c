/* SPDX-License-Identifier: Apache-2.0 */
/* How drives and discs do: counters of each, incidents of both, and what follows from them: a drive
 * out of service, a disc that is noted suspect by who called. */
#include "engine_internal.h"

#include "blame.h"

#include <inttypes.h>
#include <string.h>

enum { INCIDENTS_LOOKED_AT = 256 }; /* the newest of a drive or disc */

/* --- opening --- */

/* A serial number that another drive of the library has too proves nothing. */
static bool
is_serial_unique(struct drive *drive, const char *serial)
{
    struct varve_engine *engine = drive->engine;
    unsigned count = varve_library_drive_count(drive_library(drive));
    for (unsigned i = 0; i < count; i++) {
        struct varve_drive_health other;
        varve_drive_health(varve_library_drive(engine->libraries[drive->library].library, i),
                           &other);
        if (i != drive->number && strcmp(other.serial, serial) == 0)
            return false;
    }
    return true;
}

bool
health_open(struct drive *drive, struct varve_error *err)
{
    struct varve_engine *engine = drive->engine;
    const char *library = engine->libraries[drive->library].name;
    struct varve_drive_row fresh = {.number = drive->number};
    struct varve_drive_health identity;
    struct varve_error why = {0};
    varve_drive_health(drive_handle(drive), &identity);
    if (identity.serial[0] != 0 && is_serial_unique(drive, identity.serial))
        (void)snprintf(fresh.id, sizeof fresh.id, "%s/%s", library, identity.serial);
    else
        (void)snprintf(fresh.id, sizeof fresh.id, "%s/#%u", library, drive->number);
    (void)snprintf(fresh.library, sizeof fresh.library, "%s", library);
    (void)snprintf(fresh.model, sizeof fresh.model, "%s %s", identity.vendor, identity.product);
    drive->row = fresh;
    if (!varve_catalog_drive_get(engine->catalog, fresh.id, &drive->row, &why)) {
        if (why.kind == VARVE_ERROR_NOT_FOUND)
            return varve_catalog_drive_put(engine->catalog, &fresh, err);
        *err = why;
        return false;
    }
    drive->row.number = drive->number;
    if (drive->row.service != VARVE_SERVICE_IN)
        varve_log(VARVE_LOG_WARNING, "library '%s', drive %u is %s: %s", library, drive->number,
                  varve_service_name(drive->row.service), drive->row.reason);
    return true;
}

/* --- counters --- */

static void
add_counters(struct varve_health_counters *to, const struct varve_health_counters *more)
{
    to->loads += more->loads;
    to->works += more->works;
    to->commands += more->commands;
    to->retries += more->retries;
    to->medium_errors += more->medium_errors;
    to->hardware_errors += more->hardware_errors;
    to->incidents += more->incidents;
}

static bool
add_to_disc(struct varve_engine *engine, const struct varve_barcode *disc,
            const struct varve_health_counters *more, struct varve_error *err)
{
    struct varve_health_counters counters = {0};
    struct varve_error why = {0};
    if (!varve_catalog_disc_health_get(engine->catalog, disc, &counters, &why) &&
        why.kind != VARVE_ERROR_NOT_FOUND) {
        *err = why;
        return false;
    }
    add_counters(&counters, more);
    return varve_catalog_disc_health_put(engine->catalog, disc, &counters, err);
}

/* The row as it is now, with that added. */
static struct varve_drive_row
add_to_drive(struct drive *drive, const struct varve_health_counters *more)
{
    VARVE_LOCKED(&drive->engine->tasks_lock);
    add_counters(&drive->row.counters, more);
    return drive->row;
}

static struct varve_drive_row
row_of(struct drive *drive)
{
    VARVE_LOCKED(&drive->engine->tasks_lock);
    return drive->row;
}

void
health_count(struct drive *drive, const struct varve_drive_health *before, bool loaded)
{
    struct varve_engine *engine = drive->engine;
    struct varve_drive_health now;
    struct varve_error err = {0};
    varve_drive_health(drive_handle(drive), &now);
    const struct varve_health_counters more = {
        .loads = loaded,
        .works = 1,
        .commands = now.commands - before->commands,
        .retries = now.retries - before->retries,
        .medium_errors = now.medium_errors - before->medium_errors,
        .hardware_errors = now.hardware_errors - before->hardware_errors,
    };
    struct varve_drive_row row = add_to_drive(drive, &more);
    /* Counters are for people: work does not stop for them. */
    if (!varve_catalog_drive_put(engine->catalog, &row, &err) ||
        !add_to_disc(engine, &drive->disc, &more, &err))
        varve_log(VARVE_LOG_WARNING, "counters of drive and disc: %s", err.text);
}

/* --- verdicts --- */

uint64_t
drives_usable(const struct varve_engine *engine, size_t library)
{
    uint64_t usable = 0;
    for (size_t i = 0; i < engine->drive_count; i++) {
        const struct drive *drive = &engine->drives[i];
        if (drive->library == library && drive->row.service == VARVE_SERVICE_IN)
            usable |= UINT64_C(1) << drive->number;
    }
    return usable;
}

bool
health_others_usable(struct varve_engine *engine, size_t library, uint64_t not_drives)
{
    VARVE_LOCKED(&engine->tasks_lock);
    return (drives_usable(engine, library) & ~not_drives) != 0;
}

/* Inside a unit: those that match become `verdict`. NULL: any. */
static bool
judge(struct varve_engine *engine, const struct varve_incident *incidents, size_t count,
      const char *drive, enum varve_verdict verdict, struct varve_error *err)
{
    for (size_t i = 0; i < count; i++) {
        bool matches = drive == NULL || strcmp(incidents[i].drive, drive) == 0;
        if (matches && incidents[i].verdict == VARVE_VERDICT_OPEN &&
            !varve_catalog_incident_judge(engine->catalog, incidents[i].id, verdict, err))
            return false;
    }
    return true;
}

/* "A (read: 3/11/00), B (...)": the discs that a drive failed with. */
static void
name_discs(const struct varve_incident *incidents, size_t count, const char *drive, int64_t since,
           char ret[VARVE_REASON_BYTES])
{
    size_t used = 0;
    const char *last = "";
    ret[0] = 0;
    for (size_t i = 0; i < count && used + 1 < VARVE_REASON_BYTES; i++) {
        const struct varve_incident *at = &incidents[i];
        bool counts = at->verdict == VARVE_VERDICT_OPEN || at->verdict == VARVE_VERDICT_DRIVE;
        if (!counts || at->at_ns < since || strcmp(at->drive, drive) != 0 ||
            strcmp(at->disc.text, last) == 0)
            continue;
        int length = snprintf(&ret[used], VARVE_REASON_BYTES - used, "%sdisc %s (%s: %.60s)",
                              used > 0 ? ", " : "", at->disc.text, varve_incident_act_name(at->act),
                              at->text);
        used += length > 0 ? (size_t)length : 0;
        last = at->disc.text;
    }
}

static struct drive *
find_drive(struct varve_engine *engine, const char *id)
{
    for (size_t i = 0; i < engine->drive_count; i++) {
        if (strcmp(engine->drives[i].row.id, id) == 0)
            return &engine->drives[i];
    }
    return NULL;
}

/* The state of a drive, durable, with the reason. */
static bool
set_service(struct drive *drive, enum varve_service service, const char *reason,
            struct varve_error *err)
{
    struct varve_engine *engine = drive->engine;
    struct varve_drive_row row;
    {
        VARVE_LOCKED(&engine->tasks_lock);
        drive->row.service = service;
        drive->row.since_ns = varve_clock_realtime(engine->clock);
        (void)snprintf(drive->row.reason, sizeof drive->row.reason, "%s", reason);
        drive->good_works = 0;
        row = drive->row;
        drives_wake_locked(engine);
    }
    return varve_catalog_drive_put(engine->catalog, &row, err) &&
           varve_catalog_sync(engine->catalog, err);
}

/* Two discs failed in it. The last drive of a library goes on: there is nobody to do its work, nor
 * to tell whether the discs are to blame. */
static bool
quarantine(struct drive *drive, const struct varve_incident *incidents, size_t count,
           struct varve_error *err)
{
    struct varve_engine *engine = drive->engine;
    const char *library = engine->libraries[drive->library].name;
    char reason[VARVE_REASON_BYTES];
    struct varve_drive_row row = row_of(drive);
    name_discs(incidents, count, row.id, row.since_ns, reason);
    if (!health_others_usable(engine, drive->library, UINT64_C(1) << drive->number)) {
        varve_log(VARVE_LOG_WARNING,
                  "library '%s', drive %u failed with several discs and is the last in service: %s",
                  library, drive->number, reason);
        return true;
    }
    varve_log(VARVE_LOG_ERROR,
              "library '%s', drive %u is quarantined: %s; 'varve drive clear %u --library %s' puts "
              "it back into service",
              library, drive->number, reason, drive->number, library);
    return set_service(drive, VARVE_SERVICE_QUARANTINED, reason, err);
}

static bool
list_incidents(struct varve_engine *engine, const char *drive, const struct varve_barcode *disc,
               struct varve_incident **ret, size_t *ret_count, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_incident *all = calloc(INCIDENTS_LOOKED_AT, sizeof *all);
    if (all == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list incidents");
    if (!varve_catalog_incidents(engine->catalog, drive, disc, all, INCIDENTS_LOOKED_AT, ret_count,
                                 err))
        return false;
    *ret = VARVE_TAKE(all);
    return true;
}

/* Takes the drive out of service if it deserves that. */
static bool
judge_drive(struct drive *drive, bool *ret_guilty, struct varve_error *err)
{
    struct varve_engine *engine = drive->engine;
    VARVE_CLEANUP_FREE struct varve_incident *of_drive = NULL;
    size_t count;
    if (!list_incidents(engine, drive->row.id, NULL, &of_drive, &count, err))
        return false;
    struct varve_drive_row row = row_of(drive);
    *ret_guilty = blame_drive(of_drive, count, row.id, row.since_ns);
    if (!*ret_guilty)
        return true;
    const struct varve_health_counters more = {.incidents = 1};
    (void)add_to_drive(drive, &more);
    varve_catalog_begin(engine->catalog);
    bool keep = judge(engine, of_drive, count, NULL, VARVE_VERDICT_DRIVE, err);
    return varve_catalog_end(engine->catalog, keep, err) &&
           (row.service != VARVE_SERVICE_IN || quarantine(drive, of_drive, count, err));
}

static bool
note_incident(struct drive *drive, const struct varve_barcode *disc, enum varve_incident_act act,
              const char *text, struct varve_error *err)
{
    struct varve_engine *engine = drive->engine;
    struct varve_incident incident = {
        .at_ns = varve_clock_realtime(engine->clock), .disc = *disc, .act = act};
    (void)snprintf(incident.drive, sizeof incident.drive, "%s", drive->row.id);
    (void)snprintf(incident.text, sizeof incident.text, "%.*s", (int)strcspn(text, "\n"), text);
    varve_log(VARVE_LOG_WARNING, "disc '%s' in drive %u of library '%s': %s", disc->text,
              drive->number, engine->libraries[drive->library].name, incident.text);
    return varve_catalog_incident_add(engine->catalog, &incident, err);
}

static bool
judge_disc(struct drive *drive, const struct varve_barcode *disc, bool *ret_guilty,
           struct varve_error *err)
{
    struct varve_engine *engine = drive->engine;
    VARVE_CLEANUP_FREE struct varve_incident *of_disc = NULL;
    size_t count;
    if (!list_incidents(engine, NULL, disc, &of_disc, &count, err))
        return false;
    *ret_guilty = blame_judge(of_disc, count, "", disc, 0) == BLAME_DISC;
    if (!*ret_guilty)
        return true;
    const struct varve_health_counters more = {.incidents = 1};
    varve_catalog_begin(engine->catalog);
    bool keep = judge(engine, of_disc, count, NULL, VARVE_VERDICT_DISC, err) &&
                add_to_disc(engine, disc, &more, err);
    return varve_catalog_end(engine->catalog, keep, err);
}

bool
health_bad(struct drive *drive, const struct varve_barcode *disc, enum varve_incident_act act,
           const char *text)
{
    struct varve_error err = {0};
    bool disc_guilty = false;
    bool drive_guilty;
    {
        VARVE_LOCKED(&drive->engine->tasks_lock);
        drive->good_works = 0;
    }
    bool ok = note_incident(drive, disc, act, text, &err) &&
              judge_disc(drive, disc, &disc_guilty, &err) &&
              (disc_guilty || judge_drive(drive, &drive_guilty, &err));
    if (!ok)
        varve_log(VARVE_LOG_ERROR, "note what went wrong with disc '%s': %s", disc->text, err.text);
    return disc_guilty;
}

/* The disc is fine here: what happened to it in other drives was those drives'. */
static bool
blame_others(struct drive *drive, const struct varve_barcode *disc, struct varve_error *err)
{
    struct varve_engine *engine = drive->engine;
    VARVE_CLEANUP_FREE struct varve_incident *of_disc = NULL;
    size_t count;
    if (!list_incidents(engine, NULL, disc, &of_disc, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        bool guilty;
        if (of_disc[i].verdict != VARVE_VERDICT_OPEN ||
            strcmp(of_disc[i].drive, drive->row.id) == 0)
            continue;
        if (!varve_catalog_incident_judge(engine->catalog, of_disc[i].id, VARVE_VERDICT_DRIVE, err))
            return false;
        struct drive *other = find_drive(engine, of_disc[i].drive);
        varve_log(VARVE_LOG_WARNING,
                  "disc '%s' is fine in drive %u of library '%s': what was wrong with it was drive "
                  "%s",
                  disc->text, drive->number, engine->libraries[drive->library].name,
                  of_disc[i].drive);
        if (other != NULL && !judge_drive(other, &guilty, err))
            return false;
    }
    return true;
}

/* It does well again and again: its open incidents were the discs'. */
static bool
acquit(struct drive *drive, struct varve_error *err)
{
    struct varve_engine *engine = drive->engine;
    VARVE_CLEANUP_FREE struct varve_incident *of_drive = NULL;
    size_t count;
    {
        VARVE_LOCKED(&engine->tasks_lock);
        if (++drive->good_works != BLAME_GOOD_WORKS)
            return true;
    }
    return list_incidents(engine, drive->row.id, NULL, &of_drive, &count, err) &&
           judge(engine, of_drive, count, NULL, VARVE_VERDICT_DISC, err);
}

void
health_good(struct drive *drive, const struct varve_barcode *disc)
{
    struct varve_error err = {0};
    if (!blame_others(drive, disc, &err) || !acquit(drive, &err))
        varve_log(VARVE_LOG_ERROR, "note that disc '%s' is fine: %s", disc->text, err.text);
}

/* --- for operators --- */

size_t
varve_engine_drives(struct varve_engine *engine, struct varve_engine_drive *ret, size_t max)
{
    size_t count = 0;
    VARVE_LOCKED(&engine->tasks_lock);
    for (size_t i = 0; i < engine->drive_count && count < max; i++) {
        struct drive *drive = &engine->drives[i];
        struct varve_engine_drive *one = &ret[count++];
        struct varve_drive_health identity;
        *one = (struct varve_engine_drive){.row = drive->row, .busy = drive->busy};
        varve_drive_health(drive_handle(drive), &identity);
        (void)snprintf(one->serial, sizeof one->serial, "%s", identity.serial);
        if (!varve_library_drive_disc(drive_library(drive), drive->number, &one->disc))
            one->disc = (struct varve_barcode){{0}};
        one->work = !drive->busy                  ? ""
                    : drive->class == TASK_RECALL ? "recall"
                    : drive->class == TASK_BURN   ? "burn"
                                                  : "verify";
    }
    return count;
}

static bool
drive_named(struct varve_engine *engine, const char *library, unsigned number, struct drive **ret,
            struct varve_error *err)
{
    size_t index;
    if (!library_index(engine, library, &index, err))
        return false;
    for (size_t i = 0; i < engine->drive_count; i++) {
        *ret = &engine->drives[i];
        if (engine->drives[i].library == index && engine->drives[i].number == number)
            return true;
    }
    if (!library_need(engine, index, err))
        return false;
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "library '%s' has no drive %u",
                           engine->libraries[index].name, number);
}

bool
varve_engine_drive_retire(struct varve_engine *engine, const char *library, unsigned number,
                          const char *reason, struct varve_error *err)
{
    struct drive *drive;
    return drive_named(engine, library, number, &drive, err) &&
           set_service(drive, VARVE_SERVICE_RETIRED,
                       reason != NULL && reason[0] != 0 ? reason : "retired by the operator", err);
}

bool
varve_engine_drive_clear(struct varve_engine *engine, const char *library, unsigned number,
                         struct varve_error *err)
{
    struct drive *drive;
    VARVE_CLEANUP_FREE struct varve_incident *of_drive = NULL;
    size_t count;
    if (!drive_named(engine, library, number, &drive, err) ||
        !list_incidents(engine, drive->row.id, NULL, &of_drive, &count, err))
        return false;
    varve_catalog_begin(engine->catalog);
    bool keep = judge(engine, of_drive, count, NULL, VARVE_VERDICT_CLEARED, err);
    return varve_catalog_end(engine->catalog, keep, err) &&
           set_service(drive, VARVE_SERVICE_IN, "", err);
}

/* A disc that was set aside before it was burned may be tried again: its next burn proves that it
 * is blank (INV-5), or sets it aside again. */
static bool
may_be_blank(const struct varve_disc_row *disc)
{
    return disc->state == VARVE_DISC_FOREIGN ||
           ((disc->state == VARVE_DISC_FAILED || disc->state == VARVE_DISC_RETIRED) &&
            disc->burned_ns == 0 && disc->verified_ns == 0);
}

bool
varve_engine_disc_clear(struct varve_engine *engine, const char *barcode, struct varve_error *err)
{
    struct varve_barcode name;
    struct varve_disc_row disc;
    VARVE_CLEANUP_FREE struct varve_incident *of_disc = NULL;
    size_t count;
    if (!varve_barcode_make(barcode, &name))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is no barcode", barcode);
    VARVE_LOCKED(&engine->blanks_lock);
    if (!varve_catalog_disc_get(engine->catalog, &name, &disc, err) ||
        !list_incidents(engine, NULL, &name, &of_disc, &count, err))
        return false;
    varve_catalog_begin(engine->catalog);
    bool keep = judge(engine, of_disc, count, NULL, VARVE_VERDICT_CLEARED, err);
    if (keep && may_be_blank(&disc)) {
        disc = (struct varve_disc_row){.barcode = name,
                                       .state = VARVE_DISC_BLANK,
                                       .capacity_clusters = disc.capacity_clusters};
        struct varve_disc_row old;
        keep = varve_catalog_disc_get(engine->catalog, &name, &old, err);
        memcpy(disc.library, old.library, sizeof disc.library);
        keep = keep && varve_catalog_disc_put(engine->catalog, &disc, err);
    }
    return varve_catalog_end(engine->catalog, keep, err) &&
           varve_catalog_sync(engine->catalog, err);
}
