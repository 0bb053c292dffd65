/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <string.h>
#include <varve/text.h>

json_t *
json_time(int64_t realtime_ns)
{
    if (realtime_ns == 0)
        return json_null();
    char text[VARVE_TEXT_TIME_BYTES];
    return json_string(varve_text_time(realtime_ns, text));
}

static json_t *
make_hex(const char *text)
{
    static const char digits[] = "0123456789abcdef";
    size_t size = strlen(text);
    VARVE_CLEANUP_FREE char *hex = malloc(2 * size + 1);
    if (hex == NULL)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = digits[(unsigned char)text[i] >> 4];
        hex[2 * i + 1] = digits[(unsigned char)text[i] & 15];
    }
    hex[2 * size] = 0;
    return json_pack("{s:s}", "hex", hex);
}

json_t *
json_bytes(const char *text)
{
    json_t *plain = json_string(text); /* NULL also if it is no UTF-8 */
    return plain != NULL ? plain : make_hex(text);
}

void
json_add(json_t **list, json_t *item)
{
    if (*list != NULL && json_array_append_new(*list, item) == 0)
        return;
    if (*list == NULL)
        json_decref(item);
    json_decref(*list);
    *list = NULL;
}

static int
digit_value(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit != 0 ? strchr(digits, digit) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* False for an odd length, other characters, and NUL bytes. */
static bool
parse_hex(const char *hex, char *ret)
{
    size_t size = strlen(hex);
    for (size_t i = 0; i + 1 < size; i += 2) {
        int high = digit_value(hex[i]), low = digit_value(hex[i + 1]);
        if (high < 0 || low < 0 || (high == 0 && low == 0))
            return false;
        ret[i / 2] = (char)(high * 16 + low);
    }
    ret[size / 2] = 0;
    return size % 2 == 0;
}

bool
json_bytes_get(const json_t *json, const char *key, char **ret, struct varve_error *err)
{
    const char *text = json_string_value(json);
    const char *hex = NULL;
    if (text == NULL && json_object_size(json) == 1)
        hex = json_string_value(json_object_get(json, "hex"));
    if (text == NULL && hex == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "'%s': a string or {\"hex\": ...} is wanted", key);
    VARVE_CLEANUP_FREE char *bytes = text != NULL ? strdup(text) : malloc(strlen(hex) / 2 + 1);
    if (bytes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "'%s'", key);
    if (hex != NULL && !parse_hex(hex, bytes))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s': '%.40s' is not hexadecimal", key,
                               hex);
    *ret = VARVE_TAKE(bytes);
    return true;
}
