/* text.h - sizes, durations and percentages as people write them, parsed and printed; UTF-8. Pure,
 * any thread. */
#ifndef VARVE_TEXT_H
#define VARVE_TEXT_H

#include <stdint.h>
#include <varve/error.h>

/* "64MiB", "64M" (both 2^20), "25GB" (10^9), "4096", "1.5T". INVALID names the text. */
VARVE_MUST_CHECK bool
varve_text_parse_bytes(const char *text, uint64_t *ret, struct varve_error *err);
/* "30d", "2h", "15min", "90s", "500ms", "2w", "1y" (365 days); a bare number is seconds. */
VARVE_MUST_CHECK bool
varve_text_parse_duration(const char *text, int64_t *ret_ns, struct varve_error *err);
/* "85%" or "85": 0-100. */
VARVE_MUST_CHECK bool
varve_text_parse_percent(const char *text, unsigned *ret, struct varve_error *err);
/* Decimal digits only, at most `max`. */
VARVE_MUST_CHECK bool
varve_text_parse_number(const char *text, uint64_t max, uint64_t *ret, struct varve_error *err);

#define VARVE_TEXT_BYTES 24
/* "1.5 GiB", "512 B"; returns `ret`. */
const char *varve_text_bytes(uint64_t bytes, char ret[VARVE_TEXT_BYTES]);
/* "1h05m", "3m20s", "12s"; returns `ret`. */
const char *varve_text_duration(int64_t duration_ns, char ret[VARVE_TEXT_BYTES]);
/* "2026-11-20T10:30:00Z"; returns `ret`. */
#define VARVE_TEXT_TIME_BYTES 32
const char *varve_text_time(int64_t realtime_ns, char ret[VARVE_TEXT_TIME_BYTES]);

/* Code point at bytes[0..size): its length 1-4 with *ret set, or 0 if it is not valid UTF-8
 * (overlong, surrogate, above 10FFFF, cut off). */
size_t varve_utf8_decode(const uint8_t *bytes, size_t size, uint32_t *ret);
/* The whole text is. */
bool varve_utf8_valid(const char *text);

#endif
