/* SPDX-License-Identifier: Apache-2.0 */
/* The head cache stays within its bounds, and heads and their rows agree. */
#include "engine_internal.h"

#include <inttypes.h>

#include "number_set.h"

static enum varve_tier
tier_of_heads(const struct varve_engine *engine)
{
    return varve_store_has_tier(engine->store, VARVE_TIER_SSD) ? VARVE_TIER_SSD : VARVE_TIER_HDD;
}

/* Of a hundred heads so many go at a tick. Above the high mark rules make room too, and shall not
 * find the cache empty each time; halfway from there to full they have come too late. */
unsigned
heads_share_to_drop(unsigned percent_used, unsigned high_percent)
{
    if (percent_used <= high_percent)
        return 0;
    return 2 * percent_used > high_percent + 100 ? 10 : 1;
}

uint64_t
heads_to_free(uint64_t bytes, uint64_t total, unsigned share)
{
    uint64_t free_for_tier = share > 0 ? bytes / 100 * share + 1 : 0;
    uint64_t free_for_total = total > 0 && bytes > total ? bytes - total + total / 10 : 0;
    return free_for_tier > free_for_total ? free_for_tier : free_for_total;
}

static unsigned
share_now(struct varve_engine *engine)
{
    unsigned high;
    unsigned low;
    struct varve_tier_usage usage;
    struct varve_error ignored = {0}; /* a tier that does not answer is left alone */
    enum varve_tier tier = tier_of_heads(engine);
    if (!varve_store_usage(engine->store, tier, &usage, &ignored) ||
        !varve_policy_marks(engine->policy, tier, &high, &low))
        return 0;
    return heads_share_to_drop(usage.percent_used, high);
}

void
heads_trim(struct varve_engine *engine)
{
    struct varve_catalog_totals totals;
    struct varve_error err = {0};
    unsigned share = share_now(engine);
    varve_vfs_stop_heads(engine->vfs, share > 0);
    if (!varve_catalog_totals(engine->catalog, &totals, &err) || totals.heads == 0)
        return;
    uint64_t wanted = heads_to_free(totals.head_bytes, engine->config->head_total, share);
    uint64_t freed = 0;
    if (wanted == 0)
        return;
    if (!varve_vfs_trim_heads(engine->vfs, wanted, &freed, &err))
        varve_log(VARVE_LOG_WARNING, "head cache: %s", err.text);
    else
        varve_log(VARVE_LOG_INFO, "head cache: %" PRIu64 " bytes dropped", freed);
}

/* --- heads and rows --- */

struct comparing {
    struct varve_engine *engine;
    struct number_set named, there;
    bool repair;
    heads_finding_fn *each;
    void *context;
    uint64_t repaired;
};

static bool
note_head(void *context, const struct varve_place *place, uint64_t bytes, int64_t used_ns,
          struct varve_error *err)
{
    struct comparing *comparing = context;
    (void)bytes;
    (void)used_ns;
    return number_set_add(&comparing->there, place->file, err);
}

/* A row whose head is gone loses its name for it. */
static bool
clear_row(struct varve_engine *engine, const struct varve_content *seen, struct varve_error *err)
{
    struct varve_content row;
    varve_catalog_begin(engine->catalog);
    bool ok = varve_catalog_content_get(engine->catalog, seen->id, &row, err);
    if (ok && row.head.file == seen->head.file) {
        row.head = (struct varve_place){.tier = VARVE_TIER_NONE};
        row.head_bytes = 0;
        ok = varve_catalog_content_update(engine->catalog, &row, err);
    }
    return varve_catalog_end(engine->catalog, ok, err);
}

static bool
check_row(struct comparing *comparing, const struct varve_content *content, struct varve_error *err)
{
    if (!number_set_add(&comparing->named, content->head.file, err))
        return false;
    if (number_set_has(&comparing->there, content->head.file) ||
        content->head.file >= comparing->engine->file_limit)
        return true;
    if (comparing->repair) {
        comparing->repaired++;
        return clear_row(comparing->engine, content, err);
    }
    char text[160];
    (void)snprintf(text, sizeof text,
                   "the head of content %" PRIu64 " of inode %" PRIu64
                   " is missing (it would be recalled instead)",
                   content->id.value, content->ino);
    comparing->each(comparing->context, text);
    return true;
}

static bool
check_rows(struct comparing *comparing, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_content *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_content_id after = {0};
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "check heads");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_heads(comparing->engine->catalog, after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].id;
            if (!check_row(comparing, &page[i], err))
                return false;
        }
    }
    return true;
}

static bool
check_head_file(void *context, const struct varve_place *place, uint64_t bytes, int64_t used_ns,
                struct varve_error *err)
{
    struct comparing *comparing = context;
    char text[160];
    (void)used_ns;
    if (number_set_has(&comparing->named, place->file) ||
        place->file >= comparing->engine->file_limit) /* of this run: named soon, or removed */
        return true;
    if (comparing->repair) {
        comparing->repaired++;
        return varve_store_head_remove(comparing->engine->store, place, err);
    }
    (void)snprintf(text, sizeof text,
                   "head %016" PRIx64 " on tier %s (%" PRIu64 " bytes) belongs to no content",
                   place->file, varve_tier_name(place->tier), bytes);
    comparing->each(comparing->context, text);
    return true;
}

bool
heads_compare(struct varve_engine *engine, bool repair, heads_finding_fn *each, void *context,
              uint64_t *ret_repaired, struct varve_error *err)
{
    struct comparing comparing = {
        .engine = engine, .repair = repair, .each = each, .context = context};
    bool ok = varve_store_each_head(engine->store, note_head, &comparing, err);
    ok = ok && check_rows(&comparing, err);
    ok = ok && varve_store_each_head(engine->store, check_head_file, &comparing, err);
    number_set_done(&comparing.named);
    number_set_done(&comparing.there);
    *ret_repaired += comparing.repaired;
    return ok;
}
