/* json.h - each struct of the engine as JSON: the one place that names the fields of the API
 * (docs/api.md). Any thread; new references, NULL when out of memory. Sizes are integers in bytes,
 * times RFC 3339 strings in UTC or null. */
#ifndef VARVE_TOOLS_JSON_H
#define VARVE_TOOLS_JSON_H

#include <jansson.h>
#include <varve/engine.h>

/* null for 0, which means "never". */
json_t *json_time(int64_t realtime_ns);
/* A string, or {"hex": "2f61ff"} where the bytes are not UTF-8, as file names may be. */
json_t *json_bytes(const char *text);
/* Takes `item`. If either is missing *list goes to NULL, so that no list ends up short. */
void json_add(json_t **list, json_t *item);
/* The other way, to be freed. INVALID names `key`. */
VARVE_MUST_CHECK bool
json_bytes_get(const json_t *json, const char *key, char **ret, struct varve_error *err);

json_t *json_job(const struct varve_job *job);
json_t *json_status(const struct varve_engine_status *status);
json_t *json_effect(const struct varve_policy_effect *effect);
json_t *json_rule(const struct varve_config_rule *rule);
json_t *json_set(const struct varve_set *set);
json_t *json_disc(const struct varve_disc_row *disc);
json_t *json_drive(const struct varve_engine_drive *drive);
json_t *json_counters(const struct varve_health_counters *counters);
json_t *json_incident(const struct varve_incident *incident);
json_t *json_element(const struct varve_element *element);
json_t *json_check(const struct varve_check_report *report);
json_t *json_rebuild(const struct varve_rebuild_report *report);
const char *json_job_state_name(enum varve_job_state state);

/* What is known of a file beyond its inode. */
struct json_file {
    const char *path; /* inside the archive */
    const struct varve_inode *inode;
    const struct varve_content *content; /* NULL: none */
    double heat;                         /* now */
    json_t *discs;                       /* array of bar codes; taken */
    json_t *eta;                         /* of a recall: seconds, or a text; NULL: none; taken */
    uint64_t set;                        /* 0: none */
};
json_t *json_file(const struct json_file *file);

#endif
