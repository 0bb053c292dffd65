/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries without a robot: what persons are asked for and answer. Places of discs. */
#include "api.h"

#include <limits.h>
#include <string.h>

enum { PAGE = 256, EVENTS_MAX = 10000 };

static const char *
get_who(const struct api_request *request)
{
    const char *who = request_text(request, "who");
    return who != NULL ? who : "";
}

bool
api_get_requests(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_engine_request *list = NULL;
    size_t count = 0;
    if (!varve_engine_requests(request->options->engine, request_text(request, "library"), &list,
                               &count, err))
        return false;
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_add(&array, json_request(&list[i]));
    return answer(json_pack("{s:o}", "requests", array), ret, err);
}

bool
api_post_inserted(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_engine_seen seen;
    uint64_t drive = request_number(request, "drive", 0);
    if (drive > USHRT_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'drive': there is no such drive");
    return varve_engine_inserted(request->options->engine, request->word, (unsigned)drive, &seen,
                                 err) &&
           answer(json_pack("{s:b, s:s, s:o}", "waiting", (int)seen.waiting, "barcode",
                            seen.barcode.text, "text", json_bytes(seen.text)),
                  ret, err);
}

bool
api_post_refuse(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    const char *why = request_text(request, "why");
    return varve_engine_refuse(request->options->engine, request->word,
                               why != NULL ? why : "it is not where it should be", get_who(request),
                               err) &&
           api_get_disc(request, ret, err);
}

/* --- places --- */

static bool
parse_deed(const char *text, enum varve_disc_deed *ret, struct varve_error *err)
{
    for (int deed = VARVE_DEED_PLACED; deed <= VARVE_DEED_CHECKED_IN; deed++) {
        if (strcmp(varve_disc_deed_name((enum varve_disc_deed)deed), text) == 0) {
            *ret = (enum varve_disc_deed)deed;
            return true;
        }
    }
    return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                           "'deed': 'placed', 'magazine', 'checked out' or 'checked in' is wanted");
}

bool
api_post_places(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    const json_t *discs = json_object_get(request->in, "discs");
    const char *text = request_text(request, "text");
    VARVE_CLEANUP_FREE const char **labels =
        calloc(json_array_size(discs) + 1, sizeof(const char *));
    struct varve_disc_change change = {.barcodes = labels,
                                       .count = json_array_size(discs),
                                       .magazine = request_text(request, "magazine"),
                                       .text = text != NULL ? text : "",
                                       .who = get_who(request)};
    enum varve_disc_deed deed = VARVE_DEED_PLACED;
    size_t count = 0;
    if (labels == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "places");
    for (size_t i = 0; i < change.count; i++)
        labels[i] = json_string_value(json_array_get(discs, i));
    return parse_deed(request_text(request, "deed"), &deed, err) &&
           varve_engine_disc_change(request->options->engine, deed, &change, &count, err) &&
           answer(json_pack("{s:I}", "discs", (json_int_t)count), ret, err);
}

bool
api_get_history(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_barcode barcode;
    struct varve_catalog *catalog = varve_engine_catalog(request->options->engine);
    VARVE_CLEANUP_FREE struct varve_disc_event *events = calloc(PAGE, sizeof *events);
    VARVE_CLEANUP_JSON json_t *list = json_array();
    size_t count = PAGE;
    uint64_t after = 0;
    if (events == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "history");
    if (!varve_barcode_make(request->word, &barcode))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.64s' is no bar code",
                               request->word);
    while (count == PAGE && json_array_size(list) < EVENTS_MAX) {
        if (!varve_catalog_disc_events(catalog, &barcode, after, events, PAGE, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = events[i].id;
            json_add(&list, json_event(&events[i]));
        }
    }
    return answer(json_pack("{s:s, s:O}", "barcode", barcode.text, "events", list), ret, err);
}

/* One entry for each magazine, with its discs. Ordered by label, so that looking a magazine up is a
 * walk through the few that there are. */
static json_t *
magazine_of(json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *each = json_array_get(list, i);
        if (strcmp(json_string_value(json_object_get(each, "name")), name) == 0)
            return json_object_get(each, "discs");
    }
    json_t *discs = json_array();
    json_t *fresh = json_pack("{s:s, s:O}", "name", name, "discs", discs);
    json_decref(discs);
    return fresh != NULL && json_array_append_new(list, fresh) == 0 ? discs : NULL;
}

bool
api_get_magazines(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_catalog *catalog = varve_engine_catalog(request->options->engine);
    VARVE_CLEANUP_FREE struct varve_disc_place *places = calloc(PAGE, sizeof *places);
    VARVE_CLEANUP_JSON json_t *list = json_array();
    struct varve_barcode after = {{0}};
    size_t count = PAGE;
    if (places == NULL || list == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list magazines");
    while (count == PAGE) {
        if (!varve_catalog_disc_places(catalog, NULL, &after, places, PAGE, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = places[i].barcode;
            json_t *discs =
                places[i].magazine[0] != 0 ? magazine_of(list, places[i].magazine) : NULL;
            if (discs != NULL)
                (void)json_array_append_new(discs, json_place(&places[i]));
        }
    }
    return answer(json_pack("{s:O}", "magazines", list), ret, err);
}
