/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <varve/grow.h>
#include <varve/ranges.h>

void
varve_ranges_done(struct varve_ranges *ranges)
{
    free(ranges->list);
    *ranges = (struct varve_ranges){0};
}

/* The first range that ends at or behind `offset`. */
static size_t
find(const struct varve_ranges *ranges, uint64_t offset)
{
    size_t low = 0;
    size_t high = ranges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->list[middle].end < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
make_room(struct varve_ranges *ranges, struct varve_error *err)
{
    if (ranges->count == VARVE_RANGES_MAX)
        return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "more than %u separate ranges",
                               VARVE_RANGES_MAX);
    struct varve_range *list =
        varve_grow(ranges->list, &ranges->capacity, ranges->count, sizeof *list);
    if (list == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "note a range");
    ranges->list = list;
    return true;
}

bool
varve_ranges_add(struct varve_ranges *ranges, uint64_t start, uint64_t end, struct varve_error *err)
{
    if (start >= end)
        return true;
    size_t at = find(ranges, start);
    size_t behind = at;
    struct varve_range merged = {start, end};
    uint64_t before = 0;
    for (; behind < ranges->count && ranges->list[behind].start <= end; behind++) {
        const struct varve_range *range = &ranges->list[behind];
        merged.start = range->start < merged.start ? range->start : merged.start;
        merged.end = range->end > merged.end ? range->end : merged.end;
        before += range->end - range->start;
    }
    if (behind == at && !make_room(ranges, err))
        return false;
    /* The ranges at..behind-1 (maybe none) become one. */
    memmove(&ranges->list[at + 1], &ranges->list[behind], (ranges->count - behind) * sizeof merged);
    ranges->count = ranges->count - (behind - at) + 1;
    ranges->list[at] = merged;
    ranges->bytes += merged.end - merged.start - before;
    return true;
}

bool
varve_ranges_cover(const struct varve_ranges *ranges, uint64_t start, uint64_t end)
{
    struct varve_range gap;
    return !varve_ranges_gap(ranges, start, end, &gap);
}

bool
varve_ranges_gap(const struct varve_ranges *ranges, uint64_t start, uint64_t end,
                 struct varve_range *ret)
{
    size_t at = find(ranges, start);
    if (at < ranges->count && ranges->list[at].end == start)
        at++;
    if (at < ranges->count && ranges->list[at].start <= start) {
        start = ranges->list[at].end;
        at++;
    }
    if (start >= end)
        return false;
    ret->start = start;
    ret->end = at < ranges->count && ranges->list[at].start < end ? ranges->list[at].start : end;
    return true;
}
