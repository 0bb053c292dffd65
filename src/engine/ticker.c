/* SPDX-License-Identifier: Apache-2.0 */
/* What happens by itself: policy runs by interval and by watermark, sets that are full or old
 * enough. */
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* The line is looked at as a whole: not at every tick. A run that failed is left alone for longer.
 */
enum { TICK_SECONDS = 5, LINE_SECONDS = 30, RETRY_SECONDS = 300 };

static void
run_policy(struct varve_engine *engine, int64_t now)
{
    bool due = now - engine->policy_last_ns >= engine->config->policy_interval_ns;
    if (varve_policy_count(engine->policy) == 0 || atomic_load(&engine->policy_running))
        return;
    /* Above a high mark not every tick: a run that could do nothing would repeat itself for ever.
     */
    bool urgent =
        now - engine->policy_last_ns >= 60 * VARVE_NS_PER_SECOND && policy_is_urgent(engine);
    if (!due && !urgent)
        return;
    struct varve_error err = {0};
    uint64_t job;
    engine->policy_last_ns = now;
    if (!policy_job_start(engine, NULL, &job, &err))
        warning_set(engine, "policy: %s", err.text);
}

static bool
burn_job(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err)
{
    (void)context;
    bool ok = pipeline_run(engine, job, err);
    if (!ok && err->kind != VARVE_ERROR_CANCELLED)
        warning_set(engine, "burning: %s", err->text);
    else if (ok)
        warning_set(engine, "%s", ""); /* what it warned of is over */
    atomic_store(&engine->pipeline_queued, false);
    return ok;
}

static bool
oldest_request(struct varve_engine *engine, int64_t *ret_since, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_request *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_content_id after = {0};
    size_t count = PAGE_ROWS;
    *ret_since = INT64_MAX;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "look at the line");
    while (count == PAGE_ROWS) {
        if (!go_on(engine, err) ||
            !varve_catalog_requests(engine->catalog, after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].content;
            if (page[i].since_ns < *ret_since)
                *ret_since = page[i].since_ns;
        }
    }
    return true;
}

/* A whole set's worth is in line, or something has waited for seal_after. */
static bool
set_is_due(struct varve_engine *engine, int64_t now, struct varve_error *err)
{
    struct varve_catalog_totals totals;
    int64_t since;
    uint64_t clusters;
    if (!varve_catalog_totals(engine->catalog, &totals, err) || totals.requests == 0)
        return false;
    if (!oldest_request(engine, &since, err))
        return false;
    if (now - since >= engine->config->seal_after_ns)
        return true;
    uint64_t smallest = (uint64_t)engine->config->data_discs * 64 * VARVE_CLUSTER_BYTES;
    if (totals.request_bytes < smallest || !blank_capacity(engine, &clusters, err))
        return false;
    uint64_t per_disc = varve_image_clusters_max(clusters, engine->config->data_discs);
    return totals.request_bytes >= per_disc * engine->config->data_discs * VARVE_CLUSTER_BYTES;
}

static void
run_pipeline(struct varve_engine *engine, int64_t now)
{
    struct varve_error err = {0};
    uint64_t job;
    if (atomic_exchange(&engine->came, false))
        engine->pipeline_retry_ns = 0; /* what failed may have missed that library */
    if (engine->drive_count == 0 || atomic_load(&engine->pipeline_queued) ||
        now < engine->pipeline_retry_ns)
        return;
    engine->pipeline_retry_ns = now + LINE_SECONDS * VARVE_NS_PER_SECOND;
    if (!set_is_due(engine, now, &err)) {
        if (err.kind != VARVE_ERROR_NONE) {
            warning_set(engine, "burning: %s", err.text);
            engine->pipeline_retry_ns = now + RETRY_SECONDS * VARVE_NS_PER_SECOND;
        }
        return;
    }
    /* A run that fails (no blanks, say) is not tried again at once. */
    engine->pipeline_retry_ns = now + RETRY_SECONDS * VARVE_NS_PER_SECOND;
    atomic_store(&engine->pipeline_queued, true);
    if (!job_start(engine, "burn", burn_job, NULL, NULL, &job, &err)) {
        atomic_store(&engine->pipeline_queued, false);
        warning_set(engine, "burning: %s", err.text);
    }
}

static bool
wait_tick(struct varve_engine *engine)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TICK_SECONDS;
    VARVE_LOCKED(&engine->ticker_lock);
    if (!stopping(engine))
        (void)pthread_cond_timedwait(&engine->ticker_wake, &engine->ticker_lock, &until);
    return !stopping(engine);
}

/* What the vfs takes back while it looks at files after a power cut. */
static void
tell_losses(struct varve_engine *engine)
{
    struct varve_vfs_losses now;
    varve_vfs_losses(engine->vfs, &now);
    if (now.files_emptied != engine->losses.files_emptied)
        varve_log(VARVE_LOG_WARNING,
                  "after the power cut: %" PRIu64 " files that nobody had synced are empty again",
                  now.files_emptied);
    if (now.files_cut != engine->losses.files_cut)
        varve_log(VARVE_LOG_WARNING,
                  "after the power cut: %" PRIu64
                  " files are without bytes at their end that nobody had synced",
                  now.files_cut);
    engine->losses = now;
}

static void *
ticker_thread(void *argument)
{
    struct varve_engine *engine = argument;
    while (wait_tick(engine)) {
        int64_t now = varve_clock_realtime(engine->clock);
        tell_losses(engine);
        elements_tick(engine, now);
        heads_trim(engine);
        run_policy(engine, now);
        run_pipeline(engine, now);
    }
    return NULL;
}

bool
ticker_start(struct varve_engine *engine, struct varve_error *err)
{
    engine->policy_last_ns = varve_clock_realtime(engine->clock);
    int failed = pthread_create(&engine->ticker, NULL, ticker_thread, engine);
    if (failed != 0)
        return varve_error_system(err, failed, "start the ticker");
    engine->ticker_running = true;
    return true;
}

void
ticker_stop(struct varve_engine *engine)
{
    if (!engine->ticker_running)
        return;
    {
        VARVE_LOCKED(&engine->ticker_lock);
        pthread_cond_broadcast(&engine->ticker_wake);
    }
    (void)pthread_join(engine->ticker, NULL);
    tell_losses(engine);
    engine->ticker_running = false;
}
