/* SPDX-License-Identifier: Apache-2.0 */
/* Every URL of the API, what it takes, and who answers it. docs/api.md has the same table. */
#include "api.h"

#include <string.h>

#define FIELDS(...) ((const struct field[]){__VA_ARGS__, {NULL, FIELD_TEXT, false}})

const struct route routes[] = {
    {"GET", "/v1/status", NULL, api_get_status},
    {"GET", "/v1/jobs", NULL, api_get_jobs},
    {"GET", "/v1/jobs/{}", NULL, api_get_job},
    {"GET", "/v1/files",
     FIELDS({"path", FIELD_BYTES, true}, {"recursive", FIELD_FLAG, false},
            {"self", FIELD_FLAG, false}, {"after", FIELD_TEXT, false},
            {"limit", FIELD_NUMBER, false}),
     api_get_files},
    {"POST", "/v1/archive", FIELDS({"paths", FIELD_PATHS, true}, {"now", FIELD_FLAG, false}),
     api_post_archive},
    {"POST", "/v1/release", FIELDS({"paths", FIELD_PATHS, true}), api_post_release},
    {"POST", "/v1/recall", FIELDS({"paths", FIELD_PATHS, true}), api_post_recall},
    {"POST", "/v1/pin", FIELDS({"paths", FIELD_PATHS, true}, {"seconds", FIELD_NUMBER, false}),
     api_post_pin},
    {"POST", "/v1/unpin", FIELDS({"paths", FIELD_PATHS, true}), api_post_unpin},
    {"POST", "/v1/flush", NULL, api_post_flush},
    {"GET", "/v1/policy", NULL, api_get_policy},
    {"GET", "/v1/policy/effects", FIELDS({"rule", FIELD_TEXT, false}), api_get_policy_effects},
    {"POST", "/v1/policy/run", FIELDS({"rule", FIELD_TEXT, false}), api_post_policy_run},
    {"GET", "/v1/sets", NULL, api_get_sets},
    {"GET", "/v1/sets/{}", NULL, api_get_set},
    {"POST", "/v1/sets/{}/repair", NULL, api_post_set_repair},
    {"GET", "/v1/discs", NULL, api_get_discs},
    {"GET", "/v1/discs/{}", NULL, api_get_disc},
    {"POST", "/v1/discs/{}/verify", NULL, api_post_disc_verify},
    {"POST", "/v1/discs/{}/retire", NULL, api_post_disc_retire},
    {"GET", "/v1/libraries", NULL, api_get_libraries},
    {"GET", "/v1/libraries/{}/inventory", FIELDS({"refresh", FIELD_FLAG, false}),
     api_get_inventory},
    {"POST", "/v1/libraries/{}/load",
     FIELDS({"barcode", FIELD_TEXT, true}, {"drive", FIELD_NUMBER, true}), api_post_load},
    {"POST", "/v1/libraries/{}/unload", FIELDS({"drive", FIELD_NUMBER, true}), api_post_unload},
    {"POST", "/v1/libraries/{}/import", NULL, api_post_import},
    {"POST", "/v1/libraries/{}/export", FIELDS({"barcode", FIELD_TEXT, true}), api_post_export},
    {"POST", "/v1/libraries/{}/blanks",
     FIELDS({"count", FIELD_NUMBER, true}, {"bytes", FIELD_NUMBER, false}), api_post_blanks},
    {"POST", "/v1/scrub", NULL, api_post_scrub},
    {"POST", "/v1/check", FIELDS({"repair", FIELD_FLAG, false}), api_post_check},
    {"POST", "/v1/stop", NULL, api_post_stop},
};
const size_t route_count = sizeof routes / sizeof routes[0];

/* True if `url` fits; *ret_word points at what {} stands for. */
static bool
match(const char *pattern, const char *url, const char **ret_word, size_t *ret_length)
{
    const char *hole = strstr(pattern, "{}");
    if (hole == NULL)
        return strcmp(pattern, url) == 0;
    size_t before = (size_t)(hole - pattern);
    if (strncmp(pattern, url, before) != 0)
        return false;
    *ret_word = url + before;
    *ret_length = strcspn(*ret_word, "/");
    return *ret_length > 0 && strcmp(*ret_word + *ret_length, hole + 2) == 0;
}

bool
route_find(const char *method, const char *url, const struct route **ret, char **ret_word,
           bool *ret_known, struct varve_error *err)
{
    *ret_known = false;
    for (size_t i = 0; i < route_count; i++) {
        const char *word = "";
        size_t length = 0;
        if (!match(routes[i].pattern, url, &word, &length))
            continue;
        *ret_known = true;
        if (strcmp(routes[i].method, method) != 0)
            continue;
        *ret_word = strndup(word, length);
        if (*ret_word == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read the URL");
        *ret = &routes[i];
        return true;
    }
    if (*ret_known)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%.16s is no method of '%.200s'",
                               method, url);
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "there is no '%.200s'", url);
}
