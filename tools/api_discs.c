/* SPDX-License-Identifier: Apache-2.0 */
/* Sets and discs, as the catalog knows them, and the jobs on them. */
#include "api.h"

#include <varve/text.h>

enum { PAGE = 256 };

static struct varve_catalog *
get_catalog(const struct api_request *request)
{
    return varve_engine_catalog(request->options->engine);
}

bool
api_get_sets(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_set *sets = calloc(PAGE, sizeof *sets);
    json_t *list = json_array();
    struct varve_set_id after = {0};
    size_t count = PAGE;
    bool ok = sets != NULL && list != NULL;
    if (!ok)
        varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list sets");
    while (ok && count == PAGE) {
        ok = varve_catalog_sets(get_catalog(request), after, sets, PAGE, &count, err);
        for (size_t i = 0; ok && i < count; i++)
            json_add(&list, json_set(&sets[i]));
        if (ok && count > 0)
            after = sets[count - 1].id;
    }
    if (!ok) {
        json_decref(list);
        return false;
    }
    return answer(json_pack("{s:o}", "sets", list), ret, err);
}

static bool
parse_set(const struct api_request *request, struct varve_set_id *ret, struct varve_error *err)
{
    return varve_text_parse_number(request->word, INT64_MAX, &ret->value, err) ||
           varve_error_wrap(err, "set");
}

bool
api_get_set(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_set_id id;
    struct varve_set set;
    if (!parse_set(request, &id, err) ||
        !varve_catalog_set_get(get_catalog(request), id, &set, err))
        return false;
    /* Failed discs of a set stay in it: more rows than members, but not without bound. */
    enum { ROWS_MAX = 4 * VARVE_SET_DISCS_MAX };
    VARVE_CLEANUP_FREE struct varve_disc_row *discs = calloc(ROWS_MAX, sizeof *discs);
    size_t count = 0;
    if (discs == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "show a set");
    if (!varve_catalog_set_discs(get_catalog(request), id, discs, ROWS_MAX, &count, err))
        return false;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_add(&list, json_disc(&discs[i]));
    return answer(json_pack("{s:o, s:o}", "set", json_set(&set), "discs", list), ret, err);
}

bool
api_post_set_repair(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_set_id id;
    uint64_t job = 0;
    return parse_set(request, &id, err) &&
           varve_engine_set_repair(request->options->engine, id, &job, err) &&
           answer_job(request, job, ret, err);
}

bool
api_get_discs(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_row *discs = calloc(PAGE, sizeof *discs);
    json_t *list = json_array();
    struct varve_barcode after = {""};
    size_t count = PAGE;
    bool ok = discs != NULL && list != NULL;
    if (!ok)
        varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list discs");
    while (ok && count == PAGE) {
        ok = varve_catalog_discs(get_catalog(request), &after, discs, PAGE, &count, err);
        for (size_t i = 0; ok && i < count; i++)
            json_add(&list, json_disc(&discs[i]));
        if (ok && count > 0)
            after = discs[count - 1].barcode;
    }
    if (!ok) {
        json_decref(list);
        return false;
    }
    return answer(json_pack("{s:o}", "discs", list), ret, err);
}

static bool
parse_barcode(const struct api_request *request, struct varve_barcode *ret, struct varve_error *err)
{
    if (varve_barcode_make(request->word, ret))
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.64s' is no bar code", request->word);
}

/* The last incidents of a disc, newest first. */
static bool
list_incidents(const struct api_request *request, const struct varve_barcode *barcode, json_t **ret,
               struct varve_error *err)
{
    enum { INCIDENTS_SHOWN = 32 };
    VARVE_CLEANUP_FREE struct varve_incident *incidents =
        calloc(INCIDENTS_SHOWN, sizeof *incidents);
    size_t count;
    if (incidents == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list incidents");
    if (!varve_catalog_incidents(get_catalog(request), NULL, barcode, incidents, INCIDENTS_SHOWN,
                                 &count, err))
        return false;
    *ret = json_array();
    for (size_t i = 0; i < count; i++)
        json_add(ret, json_incident(&incidents[i]));
    return true;
}

bool
api_get_disc(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_barcode barcode;
    struct varve_disc_row disc;
    struct varve_health_counters counters = {0};
    struct varve_error none = {0}; /* nothing known is zeros */
    json_t *incidents = NULL;
    if (!parse_barcode(request, &barcode, err) ||
        !varve_catalog_disc_get(get_catalog(request), &barcode, &disc, err) ||
        !list_incidents(request, &barcode, &incidents, err))
        return false;
    VARVE_IGNORE(varve_catalog_disc_health_get(get_catalog(request), &barcode, &counters, &none));
    return answer(json_pack("{s:o, s:o, s:o}", "disc", json_disc(&disc), "health",
                            json_counters(&counters), "incidents", incidents),
                  ret, err);
}

bool
api_post_disc_verify(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_barcode barcode;
    uint64_t job = 0;
    return parse_barcode(request, &barcode, err) &&
           varve_engine_verify(request->options->engine, barcode.text, &job, err) &&
           answer_job(request, job, ret, err);
}

bool
api_post_disc_retire(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_barcode barcode;
    return parse_barcode(request, &barcode, err) &&
           varve_engine_disc_retire(request->options->engine, barcode.text, err) &&
           api_get_disc(request, ret, err);
}

bool
api_post_disc_clear(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_barcode barcode;
    return parse_barcode(request, &barcode, err) &&
           varve_engine_disc_clear(request->options->engine, barcode.text, err) &&
           api_get_disc(request, ret, err);
}

bool
api_post_scrub(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    uint64_t job = 0;
    return varve_engine_verify(request->options->engine, NULL, &job, err) &&
           answer_job(request, job, ret, err);
}
