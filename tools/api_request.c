/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <string.h>
#include <varve/text.h>

enum { PATHS_MAX = 1000000 };

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
route_find(const struct route *table, const char *method, const char *url, struct route_match *ret,
           struct varve_error *err)
{
    *ret = (struct route_match){0};
    for (const struct route *route = table; route->method != NULL; route++) {
        const char *word = "";
        size_t length = 0;
        if (!match(route->pattern, url, &word, &length))
            continue;
        ret->known = true;
        if (strcmp(route->method, method) != 0)
            continue;
        ret->route = route;
        ret->word = strndup(word, length);
        return ret->word != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read the URL");
    }
    if (ret->known)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%.16s is no method of '%.200s'",
                               method, url);
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "there is no '%.200s'", url);
}

static const struct field *
find_field(const struct field *fields, const char *name)
{
    for (; fields != NULL && fields->name != NULL; fields++) {
        if (strcmp(fields->name, name) == 0)
            return fields;
    }
    return NULL;
}

static bool
check_path(const json_t *json, const char *key, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = NULL;
    if (!json_bytes_get(json, key, &path, err))
        return false;
    if (path[0] != '/')
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "'%s': '%.200s' does not begin with '/'", key, path);
    if (strlen(path) > VARVE_PATH_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s': longer than %u bytes", key,
                               VARVE_PATH_BYTES_MAX);
    return true;
}

static bool
check_paths(const json_t *json, const char *key, struct varve_error *err)
{
    size_t count = json_array_size(json); /* 0 if it is no array */
    if (count == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "'%s': an array of at least one path is wanted", key);
    if (count > PATHS_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s': more than %d paths", key,
                               PATHS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!check_path(json_array_get(json, i), key, err))
            return false;
    }
    return true;
}

static bool
is_text_array(const json_t *json)
{
    size_t count = json_array_size(json);
    bool fits = json_is_array(json) && count <= PATHS_MAX;
    for (size_t i = 0; i < count && fits; i++)
        fits = json_is_string(json_array_get(json, i));
    return fits;
}

static bool
check_field(const struct field *field, const json_t *json, struct varve_error *err)
{
    const char *wanted = NULL;
    switch (field->type) {
    case FIELD_TEXT:
        wanted = json_is_string(json) ? NULL : "a string";
        break;
    case FIELD_FLAG:
        wanted = json_is_boolean(json) ? NULL : "true or false";
        break;
    case FIELD_NUMBER:
        wanted = json_is_integer(json) && json_integer_value(json) >= 0
                     ? NULL
                     : "an integer that is not negative";
        break;
    case FIELD_BYTES:
        return check_path(json, field->name, err);
    case FIELD_PATHS:
        return check_paths(json, field->name, err);
    case FIELD_TEXTS:
        wanted = is_text_array(json) ? NULL : "an array of strings";
        break;
    }
    if (wanted == NULL)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s': %s is wanted", field->name, wanted);
}

bool
fields_check(const struct field *fields, const json_t *in, struct varve_error *err)
{
    if (!json_is_object(in))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "a JSON object is wanted");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)in, key, value)
    {
        const struct field *field = find_field(fields, key);
        if (field == NULL)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.100s': unknown key", key);
        if (!check_field(field, value, err))
            return false;
    }
    for (const struct field *field = fields; field != NULL && field->name != NULL; field++) {
        if (field->required && json_object_get(in, field->name) == NULL)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s': missing", field->name);
    }
    return true;
}

bool
body_parse(const struct field *fields, const char *bytes, size_t size, json_t **ret,
           struct varve_error *err)
{
    json_error_t why;
    json_t *in = size == 0 ? json_object() : json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &why);
    if (in == NULL && size == 0)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read the request");
    if (in == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "the body is not JSON: line %d, column %d: %.120s", why.line,
                               why.column, why.text);
    if (!fields_check(fields, in, err)) {
        json_decref(in);
        return false;
    }
    *ret = in;
    return true;
}

static bool
parse_flag(const char *key, const char *value, bool *ret, struct varve_error *err)
{
    *ret = value == NULL || value[0] == 0 || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (*ret || strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s': true or false is wanted", key);
}

static bool
make_value(const struct field *field, const char *value, json_t **ret, struct varve_error *err)
{
    const char *text = value != NULL ? value : "";
    bool flag = false;
    uint64_t number = 0;
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_BYTES:
    case FIELD_PATHS:
    case FIELD_TEXTS:
        *ret = json_bytes(text);
        break;
    case FIELD_FLAG:
        if (!parse_flag(field->name, value, &flag, err))
            return false;
        *ret = json_boolean(flag);
        break;
    case FIELD_NUMBER:
        if (!varve_text_parse_number(text, INT64_MAX, &number, err))
            return varve_error_wrap(err, "'%s'", field->name);
        *ret = json_integer((json_int_t)number);
        break;
    }
    return *ret != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read the query");
}

bool
query_add(const struct field *fields, json_t *in, const char *key, const char *value,
          struct varve_error *err)
{
    const struct field *field = find_field(fields, key);
    if (field == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.100s': unknown key", key);
    if (json_object_get(in, key) != NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s': given twice", key);
    json_t *made = NULL;
    if (!make_value(field, value, &made, err))
        return false;
    if (json_object_set_new(in, key, made) != 0)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read the query");
    return true;
}

const char *
request_text(const struct api_request *request, const char *key)
{
    return json_string_value(json_object_get(request->in, key));
}

bool
request_flag(const struct api_request *request, const char *key)
{
    return json_is_true(json_object_get(request->in, key));
}

uint64_t
request_number(const struct api_request *request, const char *key, uint64_t otherwise)
{
    const json_t *value = json_object_get(request->in, key);
    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : otherwise;
}

bool
answer(json_t *document, json_t **ret, struct varve_error *err)
{
    if (document == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "make the answer");
    *ret = document;
    return true;
}
