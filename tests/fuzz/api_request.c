/* No body and no query of a request reaches a handler unless it fits the fields of the route. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <api.h>

#include <assert.h>
#include <string.h>

/* One field of each type, as routes have them. */
static const struct field fields[] = {
    {"paths", FIELD_PATHS, false},  {"now", FIELD_FLAG, false},   {"rule", FIELD_TEXT, false},
    {"count", FIELD_NUMBER, false}, {"path", FIELD_BYTES, false}, {NULL, FIELD_TEXT, false},
};

static void
try_query(const char *text)
{
    for (const struct field *field = fields; field->name != NULL; field++) {
        struct varve_error err = {0};
        json_t *in = json_object();
        assert(in != NULL);
        if (!query_add(fields, in, field->name, text, &err))
            assert(json_object_size(in) == 0 && err.text[0] != 0);
        json_decref(in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = strndup((const char *)bytes, size);
    assert(text != NULL);
    struct varve_error err = {0};
    json_t *in = NULL;
    if (body_parse(fields, (const char *)bytes, size, &in, &err)) {
        /* What was accepted is accepted again, and its paths can be taken. */
        assert(fields_check(fields, in, &err));
        const json_t *paths = json_object_get(in, "paths");
        for (size_t i = 0; i < json_array_size(paths); i++) {
            char *path = NULL;
            bool ok = json_bytes_get(json_array_get(paths, i), "paths", &path, &err);
            assert(ok && path[0] == '/');
            free(path);
        }
        json_decref(in);
    } else {
        assert(err.kind == VARVE_ERROR_INVALID && err.text[0] != 0);
    }
    try_query(text);
    free(text);
    return 0;
}
