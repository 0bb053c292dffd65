/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/clock.h>
#include <varve/text.h>

#include <inttypes.h>
#include <string.h>
#include <time.h>

struct unit {
    const char *name;
    double factor;
};

static const struct unit byte_units[] = {
    {"", 1},
    {"B", 1},
    {"K", 1024.},
    {"KiB", 1024.},
    {"kB", 1e3},
    {"KB", 1e3},
    {"M", 1048576.},
    {"MiB", 1048576.},
    {"MB", 1e6},
    {"G", 1073741824.},
    {"GiB", 1073741824.},
    {"GB", 1e9},
    {"T", 1099511627776.},
    {"TiB", 1099511627776.},
    {"TB", 1e12},
    {"P", 1125899906842624.},
    {"PiB", 1125899906842624.},
    {"PB", 1e15},
};

static const struct unit time_units[] = {
    {"", 1e9},     {"ms", 1e6},    {"s", 1e9},         {"min", 60e9},        {"m", 60e9},
    {"h", 3600e9}, {"d", 86400e9}, {"w", 7 * 86400e9}, {"y", 365 * 86400e9},
};

static bool
parse_units(const char *text, const struct unit *units, size_t count, double limit, double *ret)
{
    size_t digits = strspn(text, "0123456789.");
    if (digits == 0 || digits > 20)
        return false;
    char number[24];
    memcpy(number, text, digits);
    number[digits] = 0;
    char *end = NULL;
    double value = strtod(number, &end);
    if (end == NULL || *end != 0)
        return false;
    const char *suffix = text + digits + strspn(text + digits, " ");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(units[i].name, suffix) == 0) {
            *ret = value * units[i].factor;
            return *ret < limit;
        }
    }
    return false;
}

bool
varve_text_parse_bytes(const char *text, uint64_t *ret, struct varve_error *err)
{
    double value;
    if (!parse_units(text, byte_units, sizeof byte_units / sizeof byte_units[0], 9e18, &value)) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is not a size", text);
        return varve_error_hint(err, "write it like 64MiB, 25GB or 4096");
    }
    *ret = (uint64_t)value;
    return true;
}

bool
varve_text_parse_duration(const char *text, int64_t *ret_ns, struct varve_error *err)
{
    double value;
    if (!parse_units(text, time_units, sizeof time_units / sizeof time_units[0], 9e18, &value)) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is not a duration", text);
        return varve_error_hint(err, "write it like 90s, 15min, 2h, 30d or 1y");
    }
    *ret_ns = (int64_t)value;
    return true;
}

bool
varve_text_parse_percent(const char *text, unsigned *ret, struct varve_error *err)
{
    char number[8];
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || (text[digits] != 0 && strcmp(text + digits, "%") != 0))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is not a percentage", text);
    memcpy(number, text, digits);
    number[digits] = 0;
    unsigned value = (unsigned)strtoul(number, NULL, 10);
    if (value > 100)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is more than 100%%", text);
    *ret = value;
    return true;
}

bool
varve_text_parse_number(const char *text, uint64_t max, uint64_t *ret, struct varve_error *err)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 20 || text[digits] != 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is not a number", text);
    errno = 0;
    uint64_t value = strtoull(text, NULL, 10);
    if (errno != 0 || value > max)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is more than %" PRIu64, text,
                               max);
    *ret = value;
    return true;
}

const char *
varve_text_bytes(uint64_t bytes, char ret[VARVE_TEXT_BYTES])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024. && unit + 1 < sizeof names / sizeof names[0]) {
        value /= 1024.;
        unit++;
    }
    (void)snprintf(ret, VARVE_TEXT_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", value, names[unit]);
    return ret;
}

const char *
varve_text_duration(int64_t duration_ns, char ret[VARVE_TEXT_BYTES])
{
    int64_t seconds = duration_ns < 0 ? 0 : duration_ns / VARVE_NS_PER_SECOND;
    if (seconds >= 86400)
        (void)snprintf(ret, VARVE_TEXT_BYTES, "%" PRId64 "d%02" PRId64 "h", seconds / 86400,
                       seconds / 3600 % 24);
    else if (seconds >= 3600)
        (void)snprintf(ret, VARVE_TEXT_BYTES, "%" PRId64 "h%02" PRId64 "m", seconds / 3600,
                       seconds / 60 % 60);
    else if (seconds >= 60)
        (void)snprintf(ret, VARVE_TEXT_BYTES, "%" PRId64 "m%02" PRId64 "s", seconds / 60,
                       seconds % 60);
    else
        (void)snprintf(ret, VARVE_TEXT_BYTES, "%" PRId64 "s", seconds);
    return ret;
}

const char *
varve_text_time(int64_t realtime_ns, char ret[VARVE_TEXT_TIME_BYTES])
{
    time_t seconds = (time_t)(realtime_ns / VARVE_NS_PER_SECOND);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(ret, VARVE_TEXT_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        (void)snprintf(ret, VARVE_TEXT_TIME_BYTES, "?");
    return ret;
}

static size_t
utf8_length(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead < 0xE0)
        return 2;
    if (lead >= 0xE0 && lead < 0xF0)
        return 3;
    if (lead >= 0xF0 && lead < 0xF5)
        return 4;
    return 0;
}

size_t
varve_utf8_decode(const uint8_t *bytes, size_t size, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    static const uint8_t lead_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t length = size == 0 ? 0 : utf8_length(bytes[0]);
    if (length == 0 || length > size)
        return 0;
    uint32_t point = bytes[0] & lead_mask[length];
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
        point = point << 6 | (bytes[i] & 0x3F);
    }
    if (point < least[length] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
        return 0;
    *ret = point;
    return length;
}

bool
varve_utf8_valid(const char *text)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t size = strlen(text);
    uint32_t point;
    for (size_t at = 0, length; at < size; at += length) {
        length = varve_utf8_decode(&bytes[at], size - at, &point);
        if (length == 0)
            return false;
    }
    return true;
}
