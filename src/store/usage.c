/* SPDX-License-Identifier: Apache-2.0 */
#include "store_internal.h"

#include <sys/statvfs.h>

static bool
look(const struct store_path *path, struct statvfs *ret, struct varve_error *err)
{
    if (fstatvfs(path->objects_fd, ret) != 0)
        return varve_error_system(err, errno, "free space of '%s'", path->path);
    return true;
}

bool
varve_store_choose(const struct varve_store *store, enum varve_tier tier, uint64_t bytes_expected,
                   uint32_t *ret_path_id, struct varve_error *err)
{
    const struct store_path *best = NULL;
    uint64_t best_free = 0;
    for (size_t i = 0; i < store->count; i++) {
        const struct store_path *path = &store->paths[i];
        if (path->tier != tier)
            continue;
        struct statvfs space;
        if (!look(path, &space, err))
            return false;
        uint64_t bytes_free = (uint64_t)space.f_bavail * space.f_frsize;
        uint64_t reserve = (uint64_t)space.f_blocks * space.f_frsize / 100;
        bool fits = bytes_free >= reserve && bytes_free - reserve >= bytes_expected;
        if (fits && (best == NULL || bytes_free > best_free)) {
            best = path;
            best_free = bytes_free;
        }
    }
    if (best == NULL && !varve_store_has_tier(store, tier))
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "there is no %s tier",
                               varve_tier_name(tier));
    if (best == NULL)
        return varve_error_set(err, VARVE_ERROR_NO_SPACE, ENOSPC, "tier %s", varve_tier_name(tier));
    *ret_path_id = best->path_id;
    return true;
}

static bool
counted_before(const struct varve_store *store, enum varve_tier tier, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if ((tier == VARVE_TIER_NONE || store->paths[i].tier == tier) &&
            store->paths[i].device == store->paths[index].device)
            return true;
    }
    return false;
}

bool
varve_store_usage(const struct varve_store *store, enum varve_tier tier,
                  struct varve_tier_usage *ret, struct varve_error *err)
{
    if (tier != VARVE_TIER_NONE && !varve_store_has_tier(store, tier))
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "there is no %s tier",
                               varve_tier_name(tier));
    uint64_t total = 0;
    uint64_t available = 0;
    uint64_t used = 0;
    for (size_t i = 0; i < store->count; i++) {
        if ((tier != VARVE_TIER_NONE && store->paths[i].tier != tier) ||
            counted_before(store, tier, i))
            continue;
        struct statvfs space;
        if (!look(&store->paths[i], &space, err))
            return false;
        total += (uint64_t)space.f_blocks * space.f_frsize;
        available += (uint64_t)space.f_bavail * space.f_frsize;
        used += (uint64_t)(space.f_blocks - space.f_bfree) * space.f_frsize;
    }
    /* As df: of what users can have, rounded up. In MiB, so that a hundred times it cannot wrap. */
    uint64_t used_mib = used >> 20;
    uint64_t usable_mib = used_mib + (available >> 20);
    ret->bytes_total = total;
    ret->bytes_free = available;
    ret->percent_used =
        usable_mib == 0 ? 100 : (unsigned)((used_mib * 100 + usable_mib - 1) / usable_mib);
    return true;
}
