/* SPDX-License-Identifier: Apache-2.0 */
/* archive, flush, release, recall, pin: what people and scripts ask for by path. */
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

struct verb {
    struct path_copy paths;
    struct job *job;
    bool now;
};

static void
verb_free(void *context)
{
    struct verb *verb = context;
    path_copy_done(&verb->paths);
    free(verb);
}

static bool
verb_start(struct varve_engine *engine, const char *kind, const struct varve_path_list *paths,
           bool now, job_fn *run, uint64_t *ret_job, struct varve_error *err)
{
    struct verb *verb = calloc(1, sizeof *verb);
    if (verb == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%s", kind);
    verb->now = now;
    if (!path_copy_make(engine, paths, &verb->paths, err)) {
        free(verb);
        return false;
    }
    return job_start(engine, kind, run, verb, verb_free, ret_job, err);
}

static struct varve_path_list
list_of(const struct verb *verb)
{
    return (struct varve_path_list){(const char *const *)verb->paths.paths, verb->paths.count};
}

/* One file that cannot be done is counted and named; the others go on. */
static bool
file_failed(struct varve_engine *engine, struct job *job, uint64_t ino, struct varve_error *why)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    struct varve_error ignored = {0}; /* without a path the number has to do */
    if (varve_catalog_path(engine->catalog, ino, &path, &ignored))
        varve_error_wrap(why, "'%s'", varve_buffer_string(&path));
    else
        varve_error_wrap(why, "inode %" PRIu64, ino);
    job_file_failed(job, why);
    return true;
}

/* --- archive --- */

/* Since when the content is in line already; `now` if it is not. A rule that means it again at
 * every run must not put off the day on which seal_after closes the set. */
static bool
in_line_since(struct varve_engine *engine, struct varve_content_id content, int64_t now,
              int64_t *ret, struct varve_error *err)
{
    struct varve_request request;
    size_t count;
    const struct varve_content_id before = {content.value - 1};
    if (!varve_catalog_requests(engine->catalog, before, &request, 1, &count, err))
        return false;
    *ret = count == 1 && request.content.value == content.value ? request.since_ns : now;
    return true;
}

bool
request_content(struct varve_engine *engine, struct varve_content_id content, const char *rule,
                unsigned n, unsigned m, struct varve_error *err)
{
    struct varve_request request = {.content = content, .n = n, .m = m};
    (void)snprintf(request.rule, sizeof request.rule, "%s", rule);
    return in_line_since(engine, content, varve_clock_realtime(engine->clock), &request.since_ns,
                         err) &&
           varve_catalog_request_put(engine->catalog, &request, err);
}

bool
request_drop(struct varve_engine *engine, struct varve_content_id content, struct varve_error *err)
{
    struct varve_error why = {0};
    if (varve_catalog_request_delete(engine->catalog, content, &why) ||
        why.kind == VARVE_ERROR_NOT_FOUND)
        return true;
    *err = why;
    return false;
}

static bool
archive_inode(struct varve_engine *engine, const struct varve_inode *inode, void *context,
              struct varve_error *err)
{
    struct verb *verb = context;
    struct varve_content content;
    if (!S_ISREG(inode->mode) || inode->content.value == 0)
        return true;
    if (!varve_catalog_content_get(engine->catalog, inode->content, &content, err))
        return false;
    if (content.phase != VARVE_PHASE_LIVE)
        return true; /* on its way, or there */
    job_add(verb->job, 0, 1);
    return request_content(engine, content.id, "manual", engine->config->data_discs,
                           engine->config->parity_discs, err);
}

/* With `now` the job has failed if something that was asked for is still in line: it was open, or
 * no set took it. */
static bool
tell_left(struct varve_engine *engine, struct job *job, struct varve_error *err)
{
    struct varve_catalog_totals totals;
    if (!varve_catalog_sync(engine->catalog, err) ||
        !varve_catalog_totals(engine->catalog, &totals, err))
        return false;
    if (totals.requests == 0)
        return true;
    struct varve_error why = {0};
    varve_error_set(&why, VARVE_ERROR_BUSY, 0,
                    "%" PRIu64 " files stay in line: they are open for writing", totals.requests);
    varve_error_hint(&why, "close them; the next set takes them");
    job_file_failed(job, &why);
    return true;
}

static bool
archive_job(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err)
{
    struct verb *verb = context;
    struct varve_path_list paths = list_of(verb);
    verb->job = job;
    job_text(job, "putting files in line");
    if (!paths_walk(engine, &paths, archive_inode, verb, err) ||
        !varve_catalog_sync(engine->catalog, err))
        return false;
    return !verb->now || (pipeline_run(engine, job, err) && tell_left(engine, job, err));
}

static bool
need_library(const struct varve_engine *engine, struct varve_error *err)
{
    if (engine->drive_count > 0 || absent_library(engine) != NULL)
        return true; /* what is not there yet is waited for */
    varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "this archive has no library to burn discs in");
    return varve_error_hint(err, "add a [library NAME] section to %s/%s", engine->dir,
                            VARVE_CONFIG_FILE);
}

/* Says at once what could never work. */
static bool
check_set_size(struct varve_engine *engine, struct varve_error *err)
{
    struct varve_catalog_totals totals;
    unsigned m = engine->config->parity_discs;
    if (!need_library(engine, err) || !varve_catalog_totals(engine->catalog, &totals, err))
        return false;
    uint64_t discs = 0;
    for (size_t i = 0; i < sizeof totals.discs_by_state / sizeof totals.discs_by_state[0]; i++)
        discs += totals.discs_by_state[i];
    if (discs >= m + 1)
        return true;
    varve_error_set(err, VARVE_ERROR_INVALID, 0,
                    "set = %u+%u does not fit the libraries: they hold %" PRIu64 " discs",
                    engine->config->data_discs, m, discs);
    return varve_error_hint(err, "change `set` in %s/%s, or add discs", engine->dir,
                            VARVE_CONFIG_FILE);
}

bool
varve_engine_archive(struct varve_engine *engine, const struct varve_path_list *paths, bool now,
                     uint64_t *ret_job, struct varve_error *err)
{
    return check_set_size(engine, err) &&
           verb_start(engine, "archive", paths, now, archive_job, ret_job, err);
}

static bool
flush_job(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err)
{
    (void)context;
    return pipeline_run(engine, job, err) && tell_left(engine, job, err);
}

bool
varve_engine_flush(struct varve_engine *engine, uint64_t *ret_job, struct varve_error *err)
{
    return check_set_size(engine, err) &&
           job_start(engine, "flush", flush_job, NULL, NULL, ret_job, err);
}

/* --- release --- */

/* The discs must hold the content with all the redundancy that was asked for before anything else
 * that holds it goes. */
static bool
set_is_whole(struct varve_engine *engine, struct varve_content_id content, struct varve_error *err)
{
    enum { PIECES_MAX = 256 }; /* of all its sets; more than enough to find a whole one */
    VARVE_CLEANUP_FREE struct varve_piece *pieces = calloc(PIECES_MAX, sizeof *pieces);
    struct varve_set set = {.state = VARVE_SET_ABANDONED};
    size_t count = 0;
    if (pieces == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "release");
    if (!varve_catalog_pieces(engine->catalog, content, pieces, PIECES_MAX, &count, err))
        return false;
    if (count == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "is on no disc");
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && pieces[i].set.value == pieces[i - 1].set.value)
            continue;
        if (!varve_catalog_set_get(engine->catalog, pieces[i].set, &set, err))
            return false;
        if (set.state == VARVE_SET_SEALED)
            return true;
    }
    varve_error_set(err, VARVE_ERROR_INVALID, 0,
                    "its set %" PRIu64 " is %s: the resident copy stays", set.id.value,
                    varve_set_state_name(set.state));
    return varve_error_hint(err, "'varve set repair %" PRIu64 "' first", set.id.value);
}

bool
release_content(struct varve_engine *engine, const struct varve_inode *inode,
                const struct varve_content *content, struct varve_error *err)
{
    struct varve_place old;
    if (content->phase != VARVE_PHASE_SEALED)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "is %s, not yet on sealed discs",
                               varve_state_name(varve_state_of(content->phase, content->place)));
    if (inode->pinned_until_ns > varve_clock_realtime(engine->clock))
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "is pinned");
    if (!set_is_whole(engine, content->id, err) ||
        !varve_vfs_release(engine->vfs, content->id, &old, err))
        return false;
    varve_vfs_remove_later(engine->vfs, old);
    return true;
}

static bool
release_inode(struct varve_engine *engine, const struct varve_inode *inode, void *context,
              struct varve_error *err)
{
    struct verb *verb = context;
    struct varve_content content;
    struct varve_error why = {0};
    if (!S_ISREG(inode->mode) || inode->content.value == 0)
        return true;
    if (!varve_catalog_content_get(engine->catalog, inode->content, &content, err))
        return false;
    bool emptied = content.phase == VARVE_PHASE_LIVE && content.size == 0; /* goes onto no disc */
    if (emptied || varve_state_of(content.phase, content.place) == VARVE_STATE_MIGRATED)
        return true;
    /* Emptied: no set takes it, and there is nothing to release. */
    if (content.phase == VARVE_PHASE_LIVE && inode->size == 0)
        return true;
    if (!release_content(engine, inode, &content, &why))
        return file_failed(engine, verb->job, inode->ino, &why);
    job_add(verb->job, content.size, 1);
    return true;
}

static bool
release_job(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err)
{
    struct verb *verb = context;
    struct varve_path_list paths = list_of(verb);
    verb->job = job;
    return paths_walk(engine, &paths, release_inode, verb, err) && varve_vfs_reap(engine->vfs, err);
}

bool
varve_engine_release(struct varve_engine *engine, const struct varve_path_list *paths,
                     uint64_t *ret_job, struct varve_error *err)
{
    return verb_start(engine, "release", paths, false, release_job, ret_job, err);
}

/* --- recall --- */

/* Files whose recall was asked for and has not come to an end. */
struct recalling {
    struct varve_engine *engine;
    struct job *job;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t waiting;
};
struct recalling_file {
    struct recalling *recalling;
    uint64_t ino, size;
};

static void
file_came(void *context, const struct varve_error *err)
{
    struct recalling_file *file = context;
    struct recalling *recalling = file->recalling;
    if (err != NULL) {
        struct varve_error why = *err;
        file_failed(recalling->engine, recalling->job, file->ino, &why);
    } else {
        job_add(recalling->job, file->size, 1);
    }
    free(file);
    VARVE_LOCKED(&recalling->lock);
    recalling->waiting--;
    pthread_cond_broadcast(&recalling->changed);
}

static bool
recall_inode(struct varve_engine *engine, const struct varve_inode *inode, void *context,
             struct varve_error *err)
{
    struct recalling *recalling = context;
    struct varve_content content;
    struct varve_error why = {0};
    uint64_t ticket;
    if (!S_ISREG(inode->mode) || inode->content.value == 0)
        return true;
    if (!varve_catalog_content_get(engine->catalog, inode->content, &content, err))
        return false;
    if (varve_state_of(content.phase, content.place) != VARVE_STATE_MIGRATED)
        return true;
    struct recalling_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "recall");
    *file = (struct recalling_file){recalling, inode->ino, content.size};
    job_grow(recalling->job, content.size, 1);
    {
        VARVE_LOCKED(&recalling->lock);
        recalling->waiting++;
    }
    if (varve_vfs_await(engine->vfs, inode->ino, 0, UINT64_MAX, file_came, file, &ticket, &why))
        return true;
    file_came(file, &why);
    return true;
}

static bool
recall_job(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err)
{
    struct verb *verb = context;
    struct varve_path_list paths = list_of(verb);
    struct recalling recalling = {.engine = engine, .job = job};
    (void)pthread_mutex_init(&recalling.lock, NULL);
    (void)pthread_cond_init(&recalling.changed, NULL);
    job_text(job, "asking for files");
    bool ok = paths_walk(engine, &paths, recall_inode, &recalling, err);
    job_text(job, "reading from discs");
    {
        /* Every recall ends, if only because varve stops. */
        VARVE_LOCKED(&recalling.lock);
        while (recalling.waiting > 0)
            pthread_cond_wait(&recalling.changed, &recalling.lock);
    }
    (void)pthread_mutex_destroy(&recalling.lock);
    (void)pthread_cond_destroy(&recalling.changed);
    return ok;
}

bool
varve_engine_recall(struct varve_engine *engine, const struct varve_path_list *paths,
                    uint64_t *ret_job, struct varve_error *err)
{
    return verb_start(engine, "recall", paths, false, recall_job, ret_job, err);
}

/* --- pin --- */

struct pinning {
    int64_t until_ns;
    uint64_t files;
};

static bool
pin_inode(struct varve_engine *engine, const struct varve_inode *inode, void *context,
          struct varve_error *err)
{
    struct pinning *pinning = context;
    struct varve_inode fresh;
    if (!S_ISREG(inode->mode))
        return true;
    varve_catalog_begin(
        engine->catalog); /* read and written as one, or a rename in between would be undone */
    bool ok = varve_catalog_inode_get(engine->catalog, inode->ino, &fresh, err);
    if (ok) {
        fresh.pinned_until_ns = pinning->until_ns;
        ok = varve_catalog_inode_update(engine->catalog, &fresh, err);
    }
    pinning->files++;
    return varve_catalog_end(engine->catalog, ok, err);
}

bool
varve_engine_pin(struct varve_engine *engine, const struct varve_path_list *paths, int64_t until_ns,
                 uint64_t *ret_files, struct varve_error *err)
{
    struct pinning pinning = {.until_ns = until_ns};
    if (!paths_walk(engine, paths, pin_inode, &pinning, err))
        return false;
    *ret_files = pinning.files;
    return varve_catalog_sync(engine->catalog, err);
}
