/* SPDX-License-Identifier: Apache-2.0 */
#include "encoding.h"

#include <inttypes.h>
#include <string.h>

bool
varve_utf8_plain(const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;
    for (size_t at = 0; at < size;) {
        uint32_t point = 0;
        size_t length = varve_utf8_decode(&bytes[at], size - at, &point);
        if (length == 0 || point < 0x20 || point == 0x7F)
            return false;
        at += length;
    }
    return true;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
varve_base64_append(struct varve_buffer *buffer, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    for (size_t at = 0; at < size; at += 3) {
        size_t left = size - at;
        uint32_t three = (uint32_t)from[at] << 16;
        three |= left > 1 ? (uint32_t)from[at + 1] << 8 : 0;
        three |= left > 2 ? from[at + 2] : 0;
        char digits[4] = {base64_digits[three >> 18], base64_digits[three >> 12 & 63],
                          left > 1 ? base64_digits[three >> 6 & 63] : '=',
                          left > 2 ? base64_digits[three & 63] : '='};
        varve_buffer_append(buffer, digits, sizeof digits);
    }
}

static int
base64_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

/* One group of four digits, `pad` of them '='. */
static bool
base64_group(const char *digits, size_t pad, struct varve_buffer *ret)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - pad ? base64_value(digits[i]) : 0;
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
    }
    /* Bits that no byte takes must be zero, or two texts would mean the same. */
    if ((pad == 1 && (bits & 0xFF) != 0) || (pad == 2 && (bits & 0xFFFF) != 0))
        return false;
    uint8_t bytes[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
    varve_buffer_append(ret, bytes, 3 - pad);
    return true;
}

bool
varve_base64_decode(const char *text, size_t size, struct varve_buffer *ret)
{
    if (size % 4 != 0)
        return false;
    for (size_t at = 0; at < size; at += 4) {
        size_t pad = 0;
        if (at + 4 == size)
            pad = text[at + 3] != '=' ? 0 : text[at + 2] != '=' ? 1 : 2;
        if (!base64_group(&text[at], pad, ret))
            return false;
    }
    return true;
}

void
varve_json_text(struct varve_buffer *buffer, const char *key, const char *text)
{
    size_t size = strlen(text);
    if (!varve_utf8_plain(text, size)) {
        varve_buffer_printf(buffer, "\"%s_b64\":\"", key);
        varve_base64_append(buffer, text, size);
        varve_buffer_text(buffer, "\"");
        return;
    }
    varve_buffer_printf(buffer, "\"%s\":\"", key);
    while (size > 0) {
        size_t clean = strcspn(text, "\"\\");
        varve_buffer_append(buffer, text, clean);
        text += clean;
        size -= clean;
        if (size == 0)
            break;
        char escaped[2] = {'\\', *text};
        varve_buffer_append(buffer, escaped, sizeof escaped);
        text++;
        size--;
    }
    varve_buffer_text(buffer, "\"");
}

bool
varve_json_i64(const json_t *object, const char *key, int64_t *ret, struct varve_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is missing or not a number", key);
    *ret = json_integer_value(value);
    return true;
}

bool
varve_json_u64(const json_t *object, const char *key, uint64_t max, uint64_t *ret,
               struct varve_error *err)
{
    int64_t value;
    if (!varve_json_i64(object, key, &value, err))
        return false;
    if (value < 0 || (uint64_t)value > max)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is %" PRId64 ", out of range",
                               key, value);
    *ret = (uint64_t)value;
    return true;
}

bool
varve_json_u32(const json_t *object, const char *key, uint32_t *ret, struct varve_error *err)
{
    uint64_t value;
    if (!varve_json_u64(object, key, UINT32_MAX, &value, err))
        return false;
    *ret = (uint32_t)value;
    return true;
}

const char *
varve_json_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

bool
varve_json_text_get(const json_t *object, const char *key, size_t bytes_max, char **ret,
                    struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer bytes = {0};
    const char *plain = varve_json_string(object, key);
    char coded_key[32];
    (void)snprintf(coded_key, sizeof coded_key, "%s_b64", key);
    const json_t *coded = json_object_get(object, coded_key);
    if (plain != NULL)
        varve_buffer_text(&bytes, plain);
    else if (!json_is_string(coded))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is missing", key);
    else if (!varve_base64_decode(json_string_value(coded), json_string_length(coded), &bytes))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is not base64", coded_key);
    if (!varve_buffer_ok(&bytes, err))
        return false;
    if (bytes.size > bytes_max)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is longer than %zu bytes", key,
                               bytes_max);
    if (bytes.size > 0 && memchr(bytes.data, 0, bytes.size) != NULL)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' contains a NUL", key);
    char *text = strdup(varve_buffer_string(&bytes));
    if (text == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "'%s'", key);
    *ret = text;
    return true;
}
