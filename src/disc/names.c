/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <string.h>
#include <varve/types.h>

#include "encoding.h"

#define EXTENSION_BYTES_MAX 16

struct extent_of_text {
    size_t points, units; /* code points, UTF-16 units */
    bool latin;
};

/* False if it is not UTF-8. */
static bool
measure(const char *text, size_t size, struct extent_of_text *ret)
{
    *ret = (struct extent_of_text){.latin = true};
    const uint8_t *bytes = (const uint8_t *)text;
    for (size_t at = 0; at < size;) {
        uint32_t point = 0;
        size_t length = varve_utf8_decode(&bytes[at], size - at, &point);
        if (length == 0)
            return false;
        ret->points++;
        ret->units += point > 0xFFFF ? 2 : 1;
        ret->latin = ret->latin && point < 256;
        at += length;
    }
    return true;
}

static size_t
put_unit(uint8_t *ret, size_t at, uint32_t unit)
{
    ret[at] = (uint8_t)(unit >> 8);
    ret[at + 1] = (uint8_t)unit;
    return at + 2;
}

size_t
varve_cs0_encode(const char *text, size_t size, size_t bytes_max, uint8_t *ret)
{
    struct extent_of_text extent;
    if (!measure(text, size, &extent))
        return 0;
    size_t need = 1 + (extent.latin ? extent.points : 2 * extent.units);
    if (need > bytes_max || need > VARVE_CS0_BYTES_MAX)
        return 0;
    const uint8_t *bytes = (const uint8_t *)text;
    size_t out = 1;
    ret[0] = extent.latin ? 8 : 16;
    for (size_t at = 0; at < size;) {
        uint32_t point = 0;
        at += varve_utf8_decode(&bytes[at], size - at, &point);
        if (extent.latin) {
            ret[out++] = (uint8_t)point;
        } else if (point <= 0xFFFF) {
            out = put_unit(ret, out, point);
        } else {
            out = put_unit(ret, out, 0xD800 + ((point - 0x10000) >> 10));
            out = put_unit(ret, out, 0xDC00 + ((point - 0x10000) & 0x3FF));
        }
    }
    return out;
}

static bool
fits(const char *text, size_t size)
{
    struct extent_of_text extent;
    if (size > VARVE_UDF_NAME_BYTES_MAX || !measure(text, size, &extent))
        return false;
    return extent.latin || 2 * extent.units < VARVE_CS0_BYTES_MAX;
}

static bool
legal_point(uint32_t point)
{
    return point >= 0x20 && point != 0x7F && point != '/' && point != '\\';
}

bool
varve_name_exact(const char *name, size_t size)
{
    /* A backslash is a separator for 7-Zip and libudfread: a name with one cannot be opened there.
     */
    return size > 0 && fits(name, size) && varve_utf8_plain(name, size) &&
           memchr(name, '\\', size) == NULL;
}

/* `ret` has room for VARVE_NAME_BYTES_MAX + 1. */
static size_t
clean(const char *name, char *ret)
{
    size_t size = strnlen(name, VARVE_NAME_BYTES_MAX), out = 0;
    const uint8_t *bytes = (const uint8_t *)name;
    for (size_t at = 0; at < size;) {
        uint32_t point = 0;
        size_t length = varve_utf8_decode(&bytes[at], size - at, &point);
        if (length == 0 || !legal_point(point)) {
            ret[out++] = '_';
            at += length == 0 ? 1 : length;
            continue;
        }
        memcpy(&ret[out], &name[at], length);
        out += length;
        at += length;
    }
    return out;
}

/* Where the extension begins, `size` if there is none worth keeping. */
static size_t
find_extension(const char *name, size_t size)
{
    for (size_t at = size; at > 1; at--) {
        if (name[at - 1] == '.')
            return size - at < EXTENSION_BYTES_MAX ? at - 1 : size;
    }
    return size;
}

static size_t
step_back(const char *text, size_t at)
{
    do
        at--;
    while (at > 0 && ((uint8_t)text[at] & 0xC0) == 0x80);
    return at;
}

size_t
varve_name_make(const struct varve_name_wish *wish, char ret[VARVE_UDF_NAME_BYTES_MAX + 1])
{
    char cleaned[VARVE_NAME_BYTES_MAX + 1], whole[2 * VARVE_NAME_BYTES_MAX + 64];
    size_t size = clean(wish->name, cleaned);
    cleaned[size] = 0;
    size_t stem = wish->whole ? size : find_extension(cleaned, size);
    const char *extension = &cleaned[stem];
    size_t fixed = strlen(wish->mark) + strlen(extension) + strlen(wish->tail);
    while (stem > 0 && stem + fixed > wish->bytes_max)
        stem = step_back(cleaned, stem);
    while (true) {
        int length = snprintf(whole, sizeof whole, "%.*s%s%s%s", (int)stem, cleaned, wish->mark,
                              extension, wish->tail);
        if (stem == 0 || fits(whole, (size_t)length)) {
            memcpy(ret, whole, (size_t)length + 1);
            return (size_t)length;
        }
        stem = step_back(cleaned, stem);
    }
}
