/* SPDX-License-Identifier: Apache-2.0 */
/* The recall manager: entries whose disc cannot give them get the missing clusters from the rest of
 * the set. */
#include "recall.h"

#include <inttypes.h>
#include <string.h>
#include <varve/grow.h>

enum { BATCH_ENTRIES = 1024 };

struct batch {
    struct varve_engine *engine;
    struct varve_set set;
    struct entry *entries[BATCH_ENTRIES];
    size_t count;
    struct gather_want *wants;
    size_t want_count, want_capacity;
    uint32_t *crcs[VARVE_SET_DISCS_MAX]; /* of the discs that clusters are wanted of */
    uint64_t crc_counts[VARVE_SET_DISCS_MAX];
};

static void degraded_batch(struct batch *batch);

/* All degraded entries of one set, the one that waits longest first. */
static bool
take(struct recalls *recalls, struct batch *batch)
{
    VARVE_LOCKED(&recalls->lock);
    for (;;) {
        batch->count = 0;
        for (struct entry *entry = recalls->entries; entry != NULL && batch->count < BATCH_ENTRIES;
             entry = entry->next) {
            if (entry->state != ENTRY_DEGRADED)
                continue;
            if (batch->count == 0)
                batch->set.id = entry_piece(entry)->set;
            if (entry_piece(entry)->set.value != batch->set.id.value)
                continue;
            entry->state = ENTRY_GATHERING;
            batch->entries[batch->count++] = entry;
        }
        if (batch->count > 0 || stopping(recalls->engine))
            return batch->count > 0;
        pthread_cond_wait(&recalls->changed, &recalls->lock);
    }
}

/* --- what is wanted --- */

static bool
want(struct batch *batch, uint32_t index, uint64_t cluster, struct varve_error *err)
{
    struct gather_want *wants =
        varve_grow(batch->wants, &batch->want_capacity, batch->want_count, sizeof *wants);
    if (wants == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "degraded read");
    batch->wants = wants;
    batch->wants[batch->want_count++] = (struct gather_want){index, cluster};
    return true;
}

/* Every cluster of the piece of which bytes are missing. */
static bool
want_entry(struct batch *batch, struct entry *entry, struct varve_error *err)
{
    uint64_t end = entry_end_cluster(entry);
    for (uint64_t cluster = entry_first_cluster(entry); cluster < end; cluster++) {
        struct varve_range range;
        entry_bytes_of(entry, cluster, 1, &range);
        if (!varve_recall_has(entry->recall, range.start, range.end) &&
            !want(batch, entry_piece(entry)->index, cluster, err))
            return false;
    }
    return true;
}

static int
compare_wants(const void *a, const void *b)
{
    const struct gather_want *x = a;
    const struct gather_want *y = b;
    if (x->cluster != y->cluster)
        return x->cluster < y->cluster ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static bool
collect(struct batch *batch, struct varve_error *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        uint32_t index = entry_piece(batch->entries[i])->index;
        if (index >= VARVE_SET_DISCS_MAX || !want_entry(batch, batch->entries[i], err))
            return false;
        if (batch->crcs[index] == NULL &&
            !disc_crcs(batch->engine, batch->set.id, index, &batch->crcs[index],
                       &batch->crc_counts[index], err))
            return false;
    }
    if (batch->want_count > 0)
        qsort(batch->wants, batch->want_count, sizeof *batch->wants, compare_wants);
    size_t kept = 0;
    for (size_t i = 0; i < batch->want_count; i++) {
        if (kept == 0 || compare_wants(&batch->wants[kept - 1], &batch->wants[i]) != 0)
            batch->wants[kept++] = batch->wants[i];
    }
    batch->want_count = kept;
    return true;
}

/* --- what came --- */

/* One file that goes wrong (deleted, no space) does not take the others with it. */
static void
hand_on(struct entry *entry, const struct gather_want *want, const uint8_t *bytes)
{
    bool its = entry_piece(entry)->index == want->index &&
               want->cluster >= entry_first_cluster(entry) &&
               want->cluster < entry_end_cluster(entry);
    if (its && entry->failure.kind == VARVE_ERROR_NONE)
        VARVE_IGNORE(entry_deliver(entry, want->cluster, 1, bytes, &entry->failure));
}

/* A decoded cluster is checked like one from a disc before anybody gets it (INV-12). */
static bool
came(void *context, const struct gather_want *want, const uint8_t *bytes, struct varve_error *err)
{
    struct batch *batch = context;
    if (want->cluster >= batch->crc_counts[want->index] ||
        varve_crc32c(0, bytes, VARVE_CLUSTER_BYTES) != batch->crcs[want->index][want->cluster])
        return varve_error_set(err, VARVE_ERROR_UNRECOVERABLE, 0,
                               "set %" PRIu64 ", disc %" PRIu32 ", cluster %" PRIu64
                               ": what parity gives does not match its checksum",
                               batch->set.id.value, want->index + 1, want->cluster);
    for (size_t i = 0; i < batch->count; i++)
        hand_on(batch->entries[i], want, bytes);
    return true;
}

/* Entries whose recall cannot begin leave the batch. */
static void
begin_all(struct batch *batch)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct varve_error why = {0};
        if (entry_begin(batch->engine, batch->entries[i], &why))
            batch->entries[kept++] = batch->entries[i];
        else
            entry_give_up(batch->engine, batch->entries[i], &why);
    }
    batch->count = kept;
}

/* All wanted clusters came, so the piece is whole. */
static void
end_all(struct batch *batch)
{
    struct varve_error none = {0};
    struct serving serving = {.engine = batch->engine,
                              .buffer = aligned_alloc(4096, SERVE_CLUSTERS * VARVE_CLUSTER_BYTES)};
    varve_error_set(&none, VARVE_ERROR_NOMEM, 0, "recall");
    for (size_t i = 0; i < batch->count; i++) {
        struct entry *entry = batch->entries[i];
        if (serving.buffer == NULL)
            entry_fail(batch->engine, entry, &none);
        else if (entry->failure.kind != VARVE_ERROR_NONE)
            entry_give_up(batch->engine, entry, &entry->failure);
        else
            entry_piece_over(&serving, entry);
    }
    free(serving.buffer);
}

/* Where the reader that waits longest is; the stripes from there on come first. */
static size_t
first_want(const struct batch *batch)
{
    const struct entry *entry = batch->entries[0];
    const struct varve_piece *piece = entry_piece(entry);
    const struct varve_range within = {piece->offset, piece->offset + piece->bytes};
    struct varve_range next;
    size_t at = 0;
    if (!varve_recall_next(entry->recall, NULL, &within, &next))
        return 0;
    uint64_t cluster = entry_cluster_of(entry, next.start);
    while (at < batch->want_count && batch->wants[at].cluster < cluster)
        at++;
    return at < batch->want_count ? at : 0;
}

static bool
gather_all(struct batch *batch, struct varve_error *err)
{
    size_t first = first_want(batch);
    return gather_run(batch->engine, &batch->set, &batch->wants[first], batch->want_count - first,
                      NULL, came, batch, err) &&
           gather_run(batch->engine, &batch->set, batch->wants, first, NULL, came, batch, err);
}

static void
retry_part(struct batch *batch, size_t from, size_t count)
{
    VARVE_CLEANUP_FREE struct batch *part = calloc(1, sizeof *part);
    struct varve_error err = {0};
    varve_error_set(&err, VARVE_ERROR_NOMEM, 0, "degraded read");
    for (size_t i = 0; part == NULL && i < count; i++)
        entry_fail(batch->engine, batch->entries[from + i], &err);
    if (part == NULL)
        return;
    part->engine = batch->engine;
    part->set = batch->set;
    memcpy(part->entries, &batch->entries[from], count * sizeof batch->entries[0]);
    part->count = count;
    degraded_batch(part);
}

/* Half by half, so that one entry that is beyond help does not take the others with it. */
static void
retry_halves(struct batch *batch, const struct varve_error *why)
{
    if (batch->count == 1 || why->kind == VARVE_ERROR_CANCELLED) {
        for (size_t i = 0; i < batch->count; i++)
            entry_fail(batch->engine, batch->entries[i], why);
        return;
    }
    retry_part(batch, 0, batch->count / 2);
    retry_part(batch, batch->count / 2, batch->count - batch->count / 2);
}

static void
degraded_batch(struct batch *batch)
{
    struct varve_error err = {0};
    begin_all(batch);
    if (batch->count == 0)
        return;
    bool ok = varve_catalog_set_get(batch->engine->catalog, batch->set.id, &batch->set, &err) &&
              collect(batch, &err);
    if (ok)
        varve_log(VARVE_LOG_INFO, "set %" PRIu64 ": %zu clusters of %zu files from the other discs",
                  batch->set.id.value, batch->want_count, batch->count);
    ok = ok && (batch->want_count == 0 || gather_all(batch, &err));
    if (ok) {
        end_all(batch);
        drives_wake(batch->engine);
    } else {
        retry_halves(batch, &err);
    }
    free(batch->wants);
    for (size_t i = 0; i < VARVE_SET_DISCS_MAX; i++)
        free(batch->crcs[i]);
}

void *
degraded_thread(void *argument)
{
    struct recalls *recalls = argument;
    for (;;) {
        VARVE_CLEANUP_FREE struct batch *batch = calloc(1, sizeof *batch);
        if (batch == NULL) {
            varve_clock_sleep(recalls->engine->clock,
                              VARVE_NS_PER_SECOND); /* memory may come back */
            continue;
        }
        batch->engine = recalls->engine;
        if (!take(recalls, batch))
            return NULL;
        degraded_batch(batch);
    }
}
