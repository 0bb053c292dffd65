/* SPDX-License-Identifier: Apache-2.0 */
/* Which file goes to which disc: a pure function of the items in path order and the size of a disc.
 */
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>

struct filling {
    const struct plan_item *items;
    const struct plan_limits *limits;
    struct plan *plan;
    uint32_t disc;
    struct varve_image_cost cost; /* of the disc being filled */
    const char *last_path;        /* of the item before on this disc; NULL: none */
};

static size_t
common_prefix(const char *a, const char *b)
{
    size_t slash = 0;
    for (size_t i = 0; a[i] != 0 && a[i] == b[i]; i++) {
        if (a[i] == '/')
            slash = i + 1;
    }
    return slash;
}

/* Adds the directories that the item needs and the item before it did not. */
static void
add_directories(struct varve_image_cost *cost, const char *path, const char *last_path)
{
    size_t from = last_path == NULL ? 0 : common_prefix(path, last_path);
    for (size_t i = from; path[i] != 0; i++) {
        if (path[i] == '/')
            varve_image_cost_other(cost, i + 1, 0, 0);
    }
}

static struct varve_image_cost
cost_with(const struct filling *filling, const struct plan_item *item, uint64_t bytes)
{
    struct varve_image_cost cost = filling->cost;
    add_directories(&cost, item->path, filling->last_path);
    varve_image_cost_file(&cost, strlen(item->path), item->names, bytes, item->xattr_bytes);
    return cost;
}

static bool
fits(const struct filling *filling, const struct varve_image_cost *cost)
{
    return varve_image_cost_clusters(cost) <= filling->limits->clusters_max;
}

static void
next_disc(struct filling *filling)
{
    filling->disc++;
    filling->cost = (struct varve_image_cost){0};
    filling->last_path = NULL;
}

static bool
add_slice(struct filling *filling, const struct plan_slice *slice, struct varve_error *err)
{
    struct plan *plan = filling->plan;
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity == 0 ? 1024 : plan->capacity * 2;
        struct plan_slice *slices = realloc(plan->slices, capacity * sizeof *slices);
        if (slices == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "plan %zu files", capacity);
        plan->slices = slices;
        plan->capacity = capacity;
    }
    plan->slices[plan->count++] = *slice;
    if (slice->disc >= plan->discs)
        plan->discs = slice->disc + 1;
    return true;
}

static bool
place(struct filling *filling, size_t index, const struct plan_slice *slice,
      struct varve_error *err)
{
    filling->cost = cost_with(filling, &filling->items[index], slice->bytes);
    filling->last_path = filling->items[index].path;
    return add_slice(filling, slice, err);
}

/* Most bytes of the item, in whole clusters, that the disc being filled still takes. */
static uint64_t
room_for(const struct filling *filling, const struct plan_item *item, uint64_t wanted)
{
    uint64_t low = 0;
    uint64_t high = wanted / VARVE_CLUSTER_BYTES + 1;
    while (low + 1 < high) {
        uint64_t middle = low + (high - low) / 2;
        struct varve_image_cost cost = cost_with(filling, item, middle * VARVE_CLUSTER_BYTES);
        if (fits(filling, &cost))
            low = middle;
        else
            high = middle;
    }
    return low * VARVE_CLUSTER_BYTES;
}

static void
number_parts(struct plan *plan, size_t first)
{
    uint32_t parts = (uint32_t)(plan->count - first);
    for (size_t i = first; i < plan->count; i++) {
        plan->slices[i].part = (uint32_t)(i - first);
        plan->slices[i].parts = parts;
    }
}

/* A file larger than a disc, over as many discs as it needs. False with *ret_fits false and nothing
 * changed when the set has not enough of them left. */
static bool
split(struct filling *filling, size_t index, bool *ret_fits, struct varve_error *err)
{
    const struct filling before = *filling;
    const struct plan plan_before = *filling->plan;
    const struct plan_item *item = &filling->items[index];
    size_t first = filling->plan->count;
    uint64_t offset = 0;
    *ret_fits = true;
    while (offset < item->size) {
        struct varve_image_cost rest = cost_with(filling, item, item->size - offset);
        uint64_t bytes = fits(filling, &rest) ? item->size - offset
                                              : room_for(filling, item, item->size - offset);
        const struct plan_slice slice = {
            .item = index, .disc = filling->disc, .offset = offset, .bytes = bytes};
        if (bytes > 0 && !place(filling, index, &slice, err))
            return false;
        offset += bytes;
        if (offset == item->size)
            break;
        if (filling->disc + 1 >= filling->limits->discs_max) {
            *filling = before;
            filling->plan->count = first;
            filling->plan->discs = plan_before.discs;
            *ret_fits = false;
            return true;
        }
        next_disc(filling);
    }
    number_parts(filling->plan, first);
    return true;
}

static bool
same_directory(const char *a, const char *b)
{
    size_t prefix = common_prefix(a, b);
    return strchr(a + prefix, '/') == NULL && strchr(b + prefix, '/') == NULL;
}

/* True if the rest of the item's directory is better begun on a fresh disc: it does not fit here,
 * fits there, and little room (an eighth of the disc) is wasted. */
static bool
better_fresh(const struct filling *filling, size_t index, size_t count)
{
    const struct plan_item *item = &filling->items[index];
    if (!item->keep_together || filling->last_path == NULL ||
        same_directory(item->path, filling->last_path) ||
        filling->disc + 1 >= filling->limits->discs_max ||
        varve_image_cost_clusters(&filling->cost) < filling->limits->clusters_max / 8 * 7)
        return false;
    struct filling here = *filling;
    struct filling fresh = *filling;
    next_disc(&fresh);
    bool fits_here = true;
    for (size_t i = index; i < count && same_directory(filling->items[i].path, item->path); i++) {
        here.cost = cost_with(&here, &filling->items[i], filling->items[i].size);
        fresh.cost = cost_with(&fresh, &filling->items[i], filling->items[i].size);
        here.last_path = fresh.last_path = filling->items[i].path;
        fits_here = fits_here && fits(&here, &here.cost);
        if (!fits(&fresh, &fresh.cost))
            return false;
    }
    return !fits_here;
}

static bool
add_item(struct filling *filling, size_t index, bool *ret_placed, struct varve_error *err)
{
    const struct plan_item *item = &filling->items[index];
    struct plan_slice slice = {.item = index, .parts = 1, .bytes = item->size};
    struct filling fresh = *filling;
    next_disc(&fresh);
    struct varve_image_cost here = cost_with(filling, item, item->size);
    struct varve_image_cost there = cost_with(&fresh, item, item->size);
    *ret_placed = true;
    if (!fits(filling, &here)) {
        if (!fits(&fresh, &there))
            return split(filling, index, ret_placed, err);
        if (fresh.disc >= filling->limits->discs_max) {
            *ret_placed = false;
            return true;
        }
        *filling = fresh;
    }
    slice.disc = filling->disc;
    return place(filling, index, &slice, err);
}

bool
plan_make(const struct plan_item *items, size_t count, const struct plan_limits *limits,
          struct plan *ret, struct varve_error *err)
{
    struct plan plan = {0};
    struct filling filling = {
        .items = items, .limits = limits, .plan = &plan, .cost = limits->first_extra};
    for (size_t i = 0; i < count; i++) {
        bool placed;
        if (better_fresh(&filling, i, count))
            next_disc(&filling);
        if (!add_item(&filling, i, &placed, err)) {
            plan_done(&plan);
            return false;
        }
        if (!placed)
            plan.left_out++;
    }
    *ret = plan;
    return true;
}

void
plan_done(struct plan *plan)
{
    free(plan->slices);
    *plan = (struct plan){0};
}
