/* ranges.h - which bytes of something are there: disjoint ranges, in order. Plain memory; one
 * thread at a time, which the caller arranges. Initialize with {0}. */
#ifndef VARVE_RANGES_H
#define VARVE_RANGES_H

#include <stdint.h>
#include <varve/error.h>

/* More separate ranges than that are refused: whoever fills must not leave so many gaps. */
#define VARVE_RANGES_MAX 4096u

struct varve_range {
    uint64_t start, end; /* end: the first byte behind it */
};
struct varve_ranges {
    struct varve_range *list;
    size_t count, capacity;
    uint64_t bytes; /* of all of them */
};

void varve_ranges_done(struct varve_ranges *ranges);
/* Adds [start, end); what touches becomes one. NO_SPACE: too many ranges; nothing is added then. */
VARVE_MUST_CHECK bool varve_ranges_add(struct varve_ranges *ranges, uint64_t start, uint64_t end,
                                       struct varve_error *err);
/* All of [start, end) is there; true for an empty range. */
bool varve_ranges_cover(const struct varve_ranges *ranges, uint64_t start, uint64_t end);
/* The first run of bytes of [start, end) that is missing; false: there is none. */
bool varve_ranges_gap(const struct varve_ranges *ranges, uint64_t start, uint64_t end,
                      struct varve_range *ret);

#endif
