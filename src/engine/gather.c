/* SPDX-License-Identifier: Apache-2.0 */
/* Degraded reading: clusters of a disc that is lost or damaged, decoded from the other discs of its
 * set. Discs are read one after another (or side by side, as drives allow), each at the wanted
 * stripes only, into staging files; so one drive is enough for any set. */
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>

enum { STRIPES_MAX = 2048 }; /* at a time: bounds staging to 128 MiB a disc */

struct gathering {
    struct varve_engine *engine;
    const struct varve_set *set;
    struct job *job;
    uint32_t discs; /* n + m */
    const struct gather_want *wants;
    size_t want_count;
    uint64_t stripes[STRIPES_MAX];
    size_t stripe_count;
    uint8_t *have; /* [stripe][disc]: a good cluster is in the staging file */
    int *files;    /* staging, one per disc; -1: none */
    bool *tried;
    pthread_mutex_t lock; /* guards have */
    gather_fn *each;
    void *context;
};

/* One disc to be read at some stripes. */
struct survivor {
    struct gathering *gathering;
    uint32_t index;
    struct varve_disc_row disc;
    struct task task;
    bool submitted;
};

static uint8_t *
have_at(const struct gathering *g, size_t stripe, uint32_t index)
{
    return &g->have[stripe * g->discs + index];
}

static uint32_t
have_count(struct gathering *g, size_t stripe)
{
    uint32_t count = 0;
    VARVE_LOCKED(&g->lock);
    for (uint32_t i = 0; i < g->discs; i++)
        count += *have_at(g, stripe, i) != 0;
    return count;
}

static bool
is_wanted(const struct gathering *g, uint32_t index, uint64_t cluster)
{
    for (size_t i = 0; i < g->want_count; i++) {
        if (g->wants[i].cluster == cluster && g->wants[i].index == index)
            return true;
        if (g->wants[i].cluster > cluster)
            break;
    }
    return false;
}

/* --- reading one disc --- */

static bool
stage(struct gathering *g, uint32_t index, size_t stripe, const uint8_t *bytes,
      struct varve_error *err)
{
    if (!varve_file_pwrite(g->files[index], bytes, VARVE_CLUSTER_BYTES,
                           (uint64_t)stripe * VARVE_CLUSTER_BYTES, err))
        return varve_error_wrap(err, "stage clusters");
    VARVE_LOCKED(&g->lock);
    *have_at(g, stripe, index) = 1;
    return true;
}

/* The physical cluster on disc `index` that holds its part of stripe `k`; UINT64_MAX: past the
 * image's end, zeros by definition. */
static uint64_t
physical(const struct gathering *g, const struct varve_disc_map *map, uint32_t index, uint64_t k)
{
    if (index >= g->set->data_discs)
        return map->parity.lba / VARVE_CLUSTER_SECTORS + k;
    return k < map->clusters ? k : UINT64_MAX;
}

static bool
read_stripes(struct survivor *survivor, struct drive *drive, const struct varve_disc_map *map,
             const uint32_t *crcs, uint64_t crc_count, struct varve_error *err)
{
    struct gathering *g = survivor->gathering;
    VARVE_CLEANUP_FREE uint8_t *buffer = aligned_alloc(4096, VARVE_CLUSTER_BYTES);
    if (buffer == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "degraded read");
    for (size_t stripe = 0; stripe < g->stripe_count; stripe++) {
        uint64_t k = g->stripes[stripe];
        uint64_t cluster = physical(g, map, survivor->index, k);
        struct varve_error ignored = {0}; /* a cluster that cannot be read is simply not there */
        if (is_wanted(g, survivor->index, k) || have_count(g, stripe) >= g->set->data_discs)
            continue;
        if (!go_on(g->engine, err))
            return false;
        bool good = true;
        if (cluster == UINT64_MAX)
            memset(buffer, 0, VARVE_CLUSTER_BYTES);
        else
            good = cluster < crc_count &&
                   varve_drive_read(drive_handle(drive), cluster, 1, buffer, NULL, &ignored) &&
                   varve_crc32c(0, buffer, VARVE_CLUSTER_BYTES) == crcs[cluster];
        if (good && !stage(g, survivor->index, stripe, buffer, err))
            return false;
        job_add(g->job, VARVE_CLUSTER_BYTES, 0);
    }
    return true;
}

static bool
survivor_task(struct varve_engine *engine, struct task *task, struct drive *drive,
              struct varve_error *err)
{
    struct survivor *survivor = task->context;
    struct drive_source source;
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *disc = NULL;
    VARVE_CLEANUP_FREE uint32_t *crcs = NULL;
    uint64_t count;
    return disc_tables(engine, drive, &survivor->disc, &crcs, &count, err) &&
           drive_source_open(&source, drive_handle(drive), err) &&
           varve_disc_open(&source.source, &disc, err) &&
           read_stripes(survivor, drive, varve_disc_map(disc), crcs, count, err);
}

/* Whether reading the disc would help: some stripe that still lacks clusters can get one from it.
 */
static bool
is_useful(struct gathering *g, uint32_t index)
{
    if (g->tried[index])
        return false;
    for (size_t stripe = 0; stripe < g->stripe_count; stripe++) {
        if (have_count(g, stripe) < g->set->data_discs && !is_wanted(g, index, g->stripes[stripe]))
            return true;
    }
    return false;
}

static bool
survivor_submit(struct gathering *g, uint32_t index, struct survivor *survivor)
{
    struct varve_error ignored = {0}; /* a disc that is not to be had is not a survivor */
    *survivor = (struct survivor){.gathering = g, .index = index};
    g->tried[index] = true;
    if (!set_disc(g->engine, g->set->id, index, &survivor->disc, &ignored) ||
        survivor->disc.state == VARVE_DISC_LOST || survivor->disc.state == VARVE_DISC_OFFLINE)
        return false;
    survivor->task = (struct task){.class = TASK_RECALL,
                                   .barcode = survivor->disc.barcode,
                                   .run = survivor_task,
                                   .context = survivor,
                                   .reader = g->job == NULL, /* a repair has a job */
                                   .job = g->job};
    if (!library_index(g->engine, survivor->disc.library, &survivor->task.library, &ignored) ||
        !library_is_there(g->engine, survivor->task.library))
        return false;
    task_submit(g->engine, &survivor->task);
    survivor->submitted = true;
    return true;
}

static bool
survivor_wait(struct survivor *survivor, struct varve_error *err)
{
    struct varve_error why = {0};
    if (!survivor->submitted || task_wait(survivor->gathering->engine, &survivor->task, &why))
        return true;
    if (why.kind == VARVE_ERROR_CANCELLED || why.kind == VARVE_ERROR_NO_SPACE ||
        why.kind == VARVE_ERROR_NOMEM) {
        *err = why;
        return false;
    }
    /* The disc cannot help now; others may. What it is worth the next scrub finds out. */
    varve_log(VARVE_LOG_WARNING, "degraded read: disc '%s': %s", survivor->disc.barcode.text,
              why.text);
    struct varve_engine *engine = survivor->gathering->engine;
    struct varve_error ignored = {0};
    if (!survivor->task.disc_arrived && why.kind == VARVE_ERROR_OFFLINE)
        /* Regraded, too: nothing may be released on the word of a disc that is gone. */
        VARVE_IGNORE(
            disc_mark(engine, &survivor->disc.barcode, VARVE_DISC_LOST, why.text, &ignored) &&
            set_regrade(engine, survivor->disc.set, &ignored));
    return true;
}

/* Discs that the stripe worst off still needs. */
static uint32_t
still_needed(struct gathering *g)
{
    uint32_t most = 0;
    for (size_t stripe = 0; stripe < g->stripe_count; stripe++) {
        uint32_t have = have_count(g, stripe);
        if (have < g->set->data_discs && g->set->data_discs - have > most)
            most = g->set->data_discs - have;
    }
    return most;
}

/* Rounds: as many further discs as are still needed, until every stripe has n clusters or no disc
 * is left. */
static bool
read_survivors(struct gathering *g, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct survivor *round = calloc(g->discs, sizeof *round);
    if (round == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "degraded read");
    for (uint32_t tried = 0; tried < g->discs;) {
        uint32_t needed = still_needed(g);
        uint32_t submitted = 0;
        for (uint32_t index = 0; index < g->discs && submitted < needed; index++) {
            if (is_useful(g, index) && survivor_submit(g, index, &round[submitted]))
                submitted++;
        }
        if (submitted == 0)
            return true;
        bool ok = true;
        for (uint32_t i = 0; i < submitted; i++)
            ok = survivor_wait(&round[i], err) && ok;
        if (!ok)
            return false;
        tried += submitted;
    }
    return true;
}

/* --- decoding --- */

static bool
unrecoverable(struct gathering *g, size_t stripe, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer lost = {0};
    for (uint32_t i = 0; i < g->discs; i++) {
        if (*have_at(g, stripe, i) == 0)
            varve_buffer_printf(&lost, "%s%" PRIu32, lost.size > 0 ? ", " : "", i + 1);
    }
    return varve_error_set(err, VARVE_ERROR_UNRECOVERABLE, 0,
                           "set %" PRIu64 ", cluster %" PRIu64 ": only %" PRIu32 " of %" PRIu32
                           " needed discs give it (not disc %s of %" PRIu32 ")",
                           g->set->id.value, g->stripes[stripe], have_count(g, stripe),
                           g->set->data_discs, varve_buffer_string(&lost), g->discs);
}

struct decoding {
    unsigned have[VARVE_SET_DISCS_MAX];
    unsigned wanted[VARVE_SET_DISCS_MAX];
    unsigned have_count, wanted_count;
    struct varve_decoder *decoder;
    uint8_t *buffers[VARVE_SET_DISCS_MAX]; /* n sources, then results */
};

static void
decoding_done(struct decoding *d)
{
    for (unsigned i = 0; i < VARVE_SET_DISCS_MAX; i++)
        free(d->buffers[i]);
    varve_decoder_free(d->decoder);
}

/* The decoder for this stripe; neighbours mostly need the same. */
static bool
set_up(struct gathering *g, struct decoding *d, const unsigned *have, const unsigned *wanted,
       unsigned wanted_count, struct varve_error *err)
{
    unsigned n = g->set->data_discs;
    if (d->decoder != NULL && d->wanted_count == wanted_count &&
        memcmp(d->have, have, n * sizeof *have) == 0 &&
        memcmp(d->wanted, wanted, wanted_count * sizeof *wanted) == 0)
        return true;
    varve_decoder_free(d->decoder);
    d->decoder = NULL;
    memcpy(d->have, have, n * sizeof *have);
    memcpy(d->wanted, wanted, wanted_count * sizeof *wanted);
    d->wanted_count = wanted_count;
    for (unsigned i = 0; i < n + wanted_count && i < VARVE_SET_DISCS_MAX; i++) {
        if (d->buffers[i] == NULL &&
            (d->buffers[i] = aligned_alloc(4096, VARVE_CLUSTER_BYTES)) == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "degraded read");
    }
    return varve_decoder_new(n, g->set->parity_discs, have, wanted, wanted_count, &d->decoder, err);
}

static bool
read_sources(struct gathering *g, struct decoding *d, size_t stripe, struct varve_error *err)
{
    for (unsigned i = 0; i < g->set->data_discs; i++) {
        if (!varve_file_pread(g->files[d->have[i]], d->buffers[i], VARVE_CLUSTER_BYTES,
                              (uint64_t)stripe * VARVE_CLUSTER_BYTES, err))
            return varve_error_wrap(err, "read staged clusters");
    }
    return true;
}

static bool
decode_stripe(struct gathering *g, struct decoding *d, size_t stripe,
              const struct gather_want *wants, unsigned count, struct varve_error *err)
{
    unsigned have[VARVE_SET_DISCS_MAX];
    unsigned wanted[VARVE_SET_DISCS_MAX];
    unsigned n = 0;
    for (uint32_t i = 0; i < g->discs && n < g->set->data_discs; i++) {
        if (*have_at(g, stripe, i) != 0)
            have[n++] = i;
    }
    if (n < g->set->data_discs)
        return unrecoverable(g, stripe, err);
    for (unsigned i = 0; i < count; i++)
        wanted[i] = wants[i].index;
    if (!set_up(g, d, have, wanted, count, err) || !read_sources(g, d, stripe, err))
        return false;
    varve_decoder_run(d->decoder, VARVE_CLUSTER_BYTES, (const uint8_t *const *)d->buffers,
                      &d->buffers[n]);
    for (unsigned i = 0; i < count; i++) {
        if (!g->each(g->context, &wants[i], d->buffers[n + i], err))
            return false;
    }
    return true;
}

static bool
decode(struct gathering *g, struct varve_error *err)
{
    struct decoding d = {0};
    bool ok = true;
    size_t at = 0;
    for (size_t stripe = 0; ok && stripe < g->stripe_count; stripe++) {
        size_t end = at;
        while (end < g->want_count && g->wants[end].cluster == g->stripes[stripe])
            end++;
        ok = go_on(g->engine, err) &&
             decode_stripe(g, &d, stripe, &g->wants[at], (unsigned)(end - at), err);
        at = end;
    }
    decoding_done(&d);
    return ok;
}

/* --- one chunk of stripes --- */

static bool
open_files(struct gathering *g, struct varve_error *err)
{
    for (uint32_t i = 0; i < g->discs; i++) {
        if (!varve_file_temporary(varve_store_staging(g->engine->store), &g->files[i], err))
            return false;
    }
    return true;
}

static bool
chunk_run(struct gathering *g, struct varve_error *err)
{
    g->have = calloc(g->stripe_count, g->discs);
    g->files = malloc(g->discs * sizeof *g->files);
    g->tried = calloc(g->discs, sizeof *g->tried);
    for (uint32_t i = 0; g->files != NULL && i < g->discs; i++)
        g->files[i] = -1;
    bool ok = g->have != NULL && g->files != NULL && g->tried != NULL;
    if (!ok)
        varve_error_set(err, VARVE_ERROR_NOMEM, 0, "degraded read");
    ok = ok && open_files(g, err) && read_survivors(g, err) && decode(g, err);
    for (uint32_t i = 0; g->files != NULL && i < g->discs; i++) {
        if (g->files[i] >= 0)
            (void)close(g->files[i]);
    }
    free(g->have);
    free(g->files);
    free(g->tried);
    return ok;
}

bool
gather_run(struct varve_engine *engine, const struct varve_set *set,
           const struct gather_want *wants, size_t count, struct job *job, gather_fn *each,
           void *context, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct gathering *g = calloc(1, sizeof *g);
    if (g == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "degraded read");
    bool ok = true;
    for (size_t at = 0; ok && at < count;) {
        size_t end = at;
        *g = (struct gathering){
            .engine = engine, .set = set, .job = job, .each = each, .context = context};
        g->discs = set->data_discs + set->parity_discs;
        (void)pthread_mutex_init(&g->lock, NULL);
        while (end < count) {
            bool fresh =
                g->stripe_count == 0 || g->stripes[g->stripe_count - 1] != wants[end].cluster;
            if (fresh && g->stripe_count == STRIPES_MAX)
                break;
            if (fresh)
                g->stripes[g->stripe_count++] = wants[end].cluster;
            end++;
        }
        g->wants = &wants[at];
        g->want_count = end - at;
        ok = chunk_run(g, err);
        (void)pthread_mutex_destroy(&g->lock);
        at = end;
    }
    return ok;
}
