/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include "cli.h"

const char *
json_job_state_name(enum varve_job_state state)
{
    switch (state) {
    case VARVE_JOB_QUEUED:
        return "queued";
    case VARVE_JOB_RUNNING:
        return "running";
    case VARVE_JOB_DONE:
        return "done";
    case VARVE_JOB_FAILED:
        return "failed";
    }
    return "?";
}

json_t *
json_job(const struct varve_job *job)
{
    json_t *error = job->error.kind == VARVE_ERROR_NONE ? NULL : cli_error_json(&job->error);
    json_t *why = error != NULL ? json_incref(json_object_get(error, "error")) : json_null();
    json_decref(error);
    return json_pack("{s:I, s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "id",
                     (json_int_t)job->id, "kind", job->kind, "text", json_bytes(job->text), "state",
                     json_job_state_name(job->state), "done", (json_int_t)job->done, "total",
                     (json_int_t)job->total, "files_done", (json_int_t)job->files_done,
                     "files_total", (json_int_t)job->files_total, "files_failed",
                     (json_int_t)job->files_failed, "started", json_time(job->started_ns),
                     "finished", json_time(job->finished_ns), "error", why);
}

/* {"NAME": {"files", "bytes"}, ...} */
static json_t *
make_states(const struct varve_catalog_totals *totals)
{
    json_t *states = json_object();
    for (int i = 0; i < 4; i++) {
        json_t *one = json_pack("{s:I, s:I}", "files", (json_int_t)totals->by_state[i].files,
                                "bytes", (json_int_t)totals->by_state[i].bytes);
        if (json_object_set_new(states, varve_state_name((enum varve_state)i), one) != 0) {
            json_decref(states);
            return NULL;
        }
    }
    return states;
}

static json_t *
make_tiers(const struct varve_engine_status *status)
{
    json_t *tiers = json_object();
    for (int i = VARVE_TIER_SSD; i <= VARVE_TIER_HDD; i++) {
        const struct varve_tier_usage *usage = &status->usage[i];
        if (usage->bytes_total == 0)
            continue; /* no such tier */
        json_t *one = json_pack(
            "{s:I, s:I, s:I, s:I, s:I}", "files", (json_int_t)status->totals.by_tier[i].files,
            "bytes", (json_int_t)status->totals.by_tier[i].bytes, "bytes_total",
            (json_int_t)usage->bytes_total, "bytes_free", (json_int_t)usage->bytes_free,
            "percent_used", (json_int_t)usage->percent_used);
        if (json_object_set_new(tiers, varve_tier_name((enum varve_tier)i), one) != 0) {
            json_decref(tiers);
            return NULL;
        }
    }
    return tiers;
}

static json_t *
make_set_counts(const struct varve_catalog_totals *totals)
{
    json_t *counts = json_object();
    for (int i = 0; i < 5; i++)
        (void)json_object_set_new(counts, varve_set_state_name((enum varve_set_state)i),
                                  json_integer((json_int_t)totals->sets_by_state[i]));
    return counts;
}

static json_t *
make_disc_counts(const struct varve_catalog_totals *totals)
{
    json_t *counts = json_object();
    for (int i = 0; i < 10; i++)
        (void)json_object_set_new(counts, varve_disc_state_name((enum varve_disc_state)i),
                                  json_integer((json_int_t)totals->discs_by_state[i]));
    return counts;
}

static json_t *
make_drive_counts(const struct varve_engine_status *status)
{
    json_t *counts = json_object();
    for (int i = 0; i <= VARVE_SERVICE_RETIRED; i++)
        (void)json_object_set_new(counts, varve_service_name((enum varve_service)i),
                                  json_integer((json_int_t)status->drives_by_service[i]));
    return counts;
}

/* Contents that are on their way, those that asked first. */
static json_t *
make_recalls(const struct varve_engine_status *status)
{
    json_t *recalls = json_array();
    for (size_t i = 0; i < status->recall_count; i++) {
        const struct varve_engine_recall *recall = &status->recalls[i];
        json_add(&recalls, json_pack("{s:o, s:I, s:I, s:s, s:s, s:I}", "path",
                                     json_bytes(recall->path), "bytes", (json_int_t)recall->bytes,
                                     "done", (json_int_t)recall->done, "disc", recall->disc,
                                     "state", recall->state, "eta", (json_int_t)recall->eta_s));
    }
    return recalls;
}

json_t *
json_status(const struct varve_engine_status *status)
{
    json_t *warnings = json_array();
    for (unsigned i = 0; i < status->warnings_count && i < VARVE_STATUS_WARNINGS_MAX; i++)
        json_add(&warnings, json_bytes(status->warnings[i]));
    char archive[VARVE_UUID_TEXT_BYTES];
    varve_uuid_format(&status->archive, archive);
    const struct varve_catalog_totals *totals = &status->totals;
    return json_pack(
        "{s:o, s:s, s:o, s:{s:I, s:I}, s:o, s:o, s:{s:I, s:I}, s:{s:I, s:I}, s:o, s:o, s:{s:I, "
        "s:I}, "
        "s:I, s:o, s:o, s:o}",
        "name", json_bytes(status->name), "archive", archive, "started",
        json_time(status->started_ns), "names", "inodes", (json_int_t)totals->inodes, "directories",
        (json_int_t)totals->directories, "states", make_states(totals), "tiers", make_tiers(status),
        "heads", "files", (json_int_t)totals->heads, "bytes", (json_int_t)totals->head_bytes,
        "in_line", "files", (json_int_t)totals->requests, "bytes",
        (json_int_t)totals->request_bytes, "sets", make_set_counts(totals), "discs",
        make_disc_counts(totals), "jobs", "running", (json_int_t)status->jobs_running, "queued",
        (json_int_t)status->jobs_queued, "recalls_waiting", (json_int_t)status->recalls_waiting,
        "recalls", make_recalls(status), "drives", make_drive_counts(status), "warnings", warnings);
}

json_t *
json_effect(const struct varve_policy_effect *effect)
{
    return json_pack("{s:o, s:b, s:o, s:I, s:I}", "rule", json_bytes(effect->rule), "active",
                     effect->active, "reason", json_bytes(effect->reason), "files",
                     (json_int_t)effect->files, "bytes", (json_int_t)effect->bytes);
}

json_t *
json_rule(const struct varve_config_rule *rule)
{
    json_t *keys = json_object();
    for (size_t i = 0; i < rule->key_count; i++)
        (void)json_object_set_new(keys, rule->keys[i].key, json_bytes(rule->keys[i].value));
    return json_pack("{s:o, s:i, s:o}", "name", json_bytes(rule->name), "line", (int)rule->line,
                     "keys", keys);
}

json_t *
json_check(const struct varve_check_report *report)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "contents", (json_int_t)report->contents, "discs",
                     (json_int_t)report->discs, "sets", (json_int_t)report->sets, "findings",
                     (json_int_t)report->findings, "repaired", (json_int_t)report->repaired);
}

json_t *
json_rebuild(const struct varve_rebuild_report *report)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "discs", (json_int_t)report->discs,
                     "sets", (json_int_t)report->sets, "inodes", (json_int_t)report->inodes,
                     "contents", (json_int_t)report->contents, "missing_discs",
                     (json_int_t)report->missing_discs, "repaired_discs",
                     (json_int_t)report->repaired_discs, "lost_files",
                     (json_int_t)report->lost_files, "adopted", (json_int_t)report->adopted);
}
