/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

#include <varve/health.h>

/* Judged incidents kept for looking back. */
#define INCIDENTS_KEPT 10000u

/* Seven columns. */
static void
counters_from_row(sqlite3_stmt *statement, int first, struct varve_health_counters *ret)
{
    *ret = (struct varve_health_counters){
        .loads = column_u64(statement, first),
        .works = column_u64(statement, first + 1),
        .commands = column_u64(statement, first + 2),
        .retries = column_u64(statement, first + 3),
        .medium_errors = column_u64(statement, first + 4),
        .hardware_errors = column_u64(statement, first + 5),
        .incidents = column_u64(statement, first + 6),
    };
}

static void
bind_counters(sqlite3_stmt *statement, int first, const struct varve_health_counters *counters)
{
    bind_u64(statement, first, counters->loads);
    bind_u64(statement, first + 1, counters->works);
    bind_u64(statement, first + 2, counters->commands);
    bind_u64(statement, first + 3, counters->retries);
    bind_u64(statement, first + 4, counters->medium_errors);
    bind_u64(statement, first + 5, counters->hardware_errors);
    bind_u64(statement, first + 6, counters->incidents);
}

/* --- drives --- */

static bool
drive_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_drive_row *ret = row;
    int service;
    *ret = (struct varve_drive_row){.number = column_u32(statement, 2),
                                    .since_ns = sqlite3_column_int64(statement, 6)};
    if (!column_text(statement, 0, ret->id, sizeof ret->id, err) ||
        !column_text(statement, 1, ret->library, sizeof ret->library, err) ||
        !column_text(statement, 3, ret->model, sizeof ret->model, err) ||
        !column_enum(statement, 4, VARVE_SERVICE_RETIRED, &service, err) ||
        !column_text(statement, 5, ret->reason, sizeof ret->reason, err))
        return false;
    ret->service = (enum varve_service)service;
    counters_from_row(statement, 7, &ret->counters);
    return true;
}

bool
varve_catalog_drive_put(struct varve_catalog *catalog, const struct varve_drive_row *drive,
                        struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_DRIVE_PUT, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, drive->id);
    bind_text(statement, 2, drive->library);
    bind_u64(statement, 3, drive->number);
    bind_text(statement, 4, drive->model);
    bind_i64(statement, 5, drive->service);
    bind_text(statement, 6, drive->reason);
    bind_i64(statement, 7, drive->since_ns);
    bind_counters(statement, 8, &drive->counters);
    return catalog_run(catalog, statement, err);
}

bool
varve_catalog_drive_get(struct varve_catalog *catalog, const char *id, struct varve_drive_row *ret,
                        struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    bool found;
    if (!catalog_find_text(catalog, SQL_DRIVE_GET, id, drive_from_row, ret, &found, err))
        return false;
    return found ||
           varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no drive '%s' was ever seen", id);
}

/* --- discs --- */

static bool
all_counters_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    (void)err;
    counters_from_row(statement, 0, row);
    return true;
}

bool
varve_catalog_disc_health_get(struct varve_catalog *catalog, const struct varve_barcode *barcode,
                              struct varve_health_counters *ret, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    bool found;
    if (!catalog_find_text(catalog, SQL_DISC_HEALTH_GET, barcode->text, all_counters_from_row, ret,
                           &found, err))
        return false;
    return found || varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "nothing is known of disc '%s'",
                                    barcode->text);
}

bool
varve_catalog_disc_health_put(struct varve_catalog *catalog, const struct varve_barcode *barcode,
                              const struct varve_health_counters *counters, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_DISC_HEALTH_PUT, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, barcode->text);
    bind_counters(statement, 2, counters);
    return catalog_run(catalog, statement, err);
}

/* --- incidents --- */

static bool
incident_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_incident *ret = row;
    int act, verdict;
    *ret = (struct varve_incident){.id = column_u64(statement, 0),
                                   .at_ns = sqlite3_column_int64(statement, 1)};
    if (!column_text(statement, 2, ret->drive, sizeof ret->drive, err) ||
        !column_text(statement, 3, ret->disc.text, sizeof ret->disc.text, err) ||
        !column_enum(statement, 4, VARVE_INCIDENT_READ, &act, err) ||
        !column_enum(statement, 5, VARVE_VERDICT_CLEARED, &verdict, err) ||
        !column_text(statement, 6, ret->text, sizeof ret->text, err))
        return false;
    ret->act = (enum varve_incident_act)act;
    ret->verdict = (enum varve_verdict)verdict;
    return true;
}

bool
varve_catalog_incident_add(struct varve_catalog *catalog, const struct varve_incident *incident,
                           struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    {
        VARVE_CLEANUP(catalog_reset)
        sqlite3_stmt *statement = catalog_writer(catalog, SQL_INCIDENT_ADD, err);
        if (statement == NULL)
            return false;
        bind_i64(statement, 1, incident->at_ns);
        bind_text(statement, 2, incident->drive);
        bind_text(statement, 3, incident->disc.text);
        bind_i64(statement, 4, incident->act);
        bind_i64(statement, 5, incident->verdict);
        bind_text(statement, 6, incident->text);
        if (!catalog_run(catalog, statement, err))
            return false;
    }
    uint64_t id = (uint64_t)sqlite3_last_insert_rowid(catalog->db);
    return id <= INCIDENTS_KEPT ||
           catalog_run_ids(catalog, SQL_INCIDENTS_FORGET, id - INCIDENTS_KEPT, 0, err);
}

bool
varve_catalog_incidents(struct varve_catalog *catalog, const char *drive,
                        const struct varve_barcode *disc, struct varve_incident *ret, size_t max,
                        size_t *ret_count, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_INCIDENTS, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, drive != NULL ? drive : "");
    bind_text(statement, 2, disc != NULL ? disc->text : "");
    return catalog_collect(catalog, statement, incident_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}

bool
varve_catalog_incident_judge(struct varve_catalog *catalog, uint64_t id, enum varve_verdict verdict,
                             struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    return catalog_run_ids(catalog, SQL_INCIDENT_JUDGE, id, (uint64_t)verdict, err);
}
