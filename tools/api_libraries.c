/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <limits.h>
#include <string.h>

static const char *
kind_name(const struct varve_config *config, const char *name)
{
    for (size_t i = 0; i < config->library_count; i++) {
        if (strcmp(config->libraries[i].name, name) != 0)
            continue;
        switch (config->libraries[i].kind) {
        case VARVE_LIBRARY_VIRTUAL:
            return "virtual";
        case VARVE_LIBRARY_SCSI:
            return "scsi";
        case VARVE_LIBRARY_MANUAL:
            return "manual";
        }
    }
    return "?";
}

static json_t *
json_library(struct varve_engine *engine, size_t index)
{
    struct varve_library_state state;
    varve_engine_library_state(engine, index, &state);
    const char *name = varve_engine_library_name(engine, index);
    return json_pack("{s:o, s:s, s:s, s:s, s:i, s:i, s:i, s:i}", "name", json_bytes(name), "kind",
                     kind_name(varve_engine_config(engine), name), "condition",
                     varve_library_condition_name(state.condition), "why", state.why, "absent",
                     (int)state.absent, "quarantined", (int)state.quarantined, "duplicate",
                     (int)state.duplicate, "unknown", (int)state.unknown);
}

bool
api_get_libraries(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_engine *engine = request->options->engine;
    json_t *list = json_array();
    size_t count = varve_engine_library_count(engine);
    for (size_t i = 0; i < count; i++)
        json_add(&list, json_library(engine, i));
    return answer(json_pack("{s:o}", "libraries", list), ret, err);
}

static bool
answer_inventory(const struct api_request *request, bool refresh, json_t **ret,
                 struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t count = 0;
    if (!varve_engine_inventory(request->options->engine, request->word, refresh, &elements, &count,
                                err))
        return false;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_add(&list, json_element(&elements[i]));
    return answer(json_pack("{s:s, s:o}", "library", request->word, "elements", list), ret, err);
}

bool
api_get_inventory(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    return answer_inventory(request, request_flag(request, "refresh"), ret, err);
}

/* Every act answers with the inventory after it. */
static bool
act(const struct api_request *request, enum varve_library_action action, json_t **ret,
    struct varve_error *err)
{
    uint64_t drive = request_number(request, "drive", 0);
    const char *barcode = request_text(request, "barcode");
    struct varve_barcode checked;
    if (drive > USHRT_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'drive': there is no such drive");
    if (barcode != NULL && !varve_barcode_make(barcode, &checked))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'barcode': '%.64s' is no bar code",
                               barcode);
    return varve_engine_library_act(request->options->engine, request->word, action, barcode,
                                    (unsigned)drive, err) &&
           answer_inventory(request, false, ret, err);
}

bool
api_post_load(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    return act(request, VARVE_LIBRARY_LOAD, ret, err);
}

bool
api_post_unload(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    return act(request, VARVE_LIBRARY_UNLOAD, ret, err);
}

bool
api_post_import(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    return act(request, VARVE_LIBRARY_IMPORT, ret, err);
}

bool
api_post_export(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    return act(request, VARVE_LIBRARY_EXPORT, ret, err);
}

/* A person has them: they get labels. */
static bool
register_blanks(const struct api_request *request, unsigned count, json_t **ret,
                struct varve_error *err)
{
    const char *who = request_text(request, "who");
    const struct varve_new_blanks blanks = {.library = request->word,
                                            .count = count,
                                            .bytes = request_number(request, "bytes", 0),
                                            .shelf = request_text(request, "shelf"),
                                            .who = who != NULL ? who : ""};
    VARVE_CLEANUP_FREE struct varve_barcode *labels = NULL;
    if (!varve_engine_register_blanks(request->options->engine, &blanks, &labels, err) ||
        !answer_inventory(request, false, ret, err))
        return false;
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++)
        json_add(&list, json_string(labels[i].text));
    return json_object_set_new(*ret, "labels", list) == 0 || list != NULL ||
           varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list labels");
}

bool
api_post_unlock(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    return act(request, VARVE_LIBRARY_UNLOCK, ret, err);
}

bool
api_post_resume(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    return act(request, VARVE_LIBRARY_RESUME, ret, err);
}

/* Without `element`: all of them. */
bool
api_post_accept(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    uint64_t element = request_number(request, "element", UINT_MAX);
    if (element > USHRT_MAX && element != UINT_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'element': there is no such element");
    return varve_engine_library_act(request->options->engine, request->word, VARVE_LIBRARY_ACCEPT,
                                    NULL, (unsigned)element, err) &&
           answer_inventory(request, false, ret, err);
}

bool
api_post_blanks(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    uint64_t count = request_number(request, "count", 0);
    if (count < 1 || count > USHRT_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'count': 1 to %d is wanted",
                               USHRT_MAX);
    if (varve_engine_library_is_manual(request->options->engine, request->word))
        return register_blanks(request, (unsigned)count, ret, err);
    return ports_add_blanks(request->options->ports, request->word, (unsigned)count,
                            request_number(request, "bytes", 0), request_text(request, "kind"),
                            err) &&
           answer_inventory(request, true, ret, err);
}

/* --- virtual libraries --- */

bool
api_get_virtual(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_virtual *library;
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    return ports_virtual(request->options->ports, request->word, &library, err) &&
           varve_virtual_describe(library, &text, err) &&
           answer(json_loadb(varve_buffer_string(&text), text.size, 0, NULL), ret, err);
}

bool
api_post_script(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_virtual *library;
    return ports_virtual(request->options->ports, request->word, &library, err) &&
           varve_virtual_script(library, request_text(request, "script"), err) &&
           answer(json_object(), ret, err);
}

bool
api_post_calm(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_virtual *library;
    if (!ports_virtual(request->options->ports, request->word, &library, err))
        return false;
    varve_virtual_calm(library);
    return answer(json_object(), ret, err);
}

bool
api_post_insert(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_virtual *library;
    struct varve_barcode name;
    const char *barcode = request_text(request, "barcode");
    if (!varve_barcode_make(barcode, &name))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'barcode': '%.64s' is no bar code",
                               barcode);
    return ports_virtual(request->options->ports, request->word, &library, err) &&
           varve_virtual_insert(library, request_text(request, "image"), &name, err) &&
           answer_inventory(request, true, ret, err);
}
