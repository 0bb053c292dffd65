/* SPDX-License-Identifier: Apache-2.0 */
/* The way of sets: planned, prepared, burned, sealed; and its continuation after a crash. */
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>
#include <varve/grow.h>

/* --- sealing --- */

/* Backing files of old versions: they go once the unit that stops naming them is committed (INV-4).
 */
struct places {
    struct varve_place *rows;
    size_t count, capacity;
};

static bool
places_add(struct places *places, struct varve_place place, struct varve_error *err)
{
    struct varve_place *rows =
        varve_grow(places->rows, &places->capacity, places->count, sizeof *rows);
    if (rows == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "seal a set");
    places->rows = rows;
    places->rows[places->count++] = place;
    return true;
}

static bool
seal_content(struct varve_engine *engine, struct varve_content_id id, struct places *ret_old,
             struct varve_error *err)
{
    struct varve_content content;
    if (!varve_catalog_content_get(engine->catalog, id, &content, err))
        return false;
    /* What may have changed since it was read is not what the discs have. */
    if (content.phase == VARVE_PHASE_LIVE)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "content %" PRIu64 " is on its discs, but not frozen", id.value);
    if (!content.current && !places_add(ret_old, content.place, err))
        return false;
    content.phase = VARVE_PHASE_SEALED;
    if (!content.current)
        content.place =
            (struct varve_place){0}; /* an old version needs no resident copy any more */
    return varve_catalog_content_update(engine->catalog, &content, err);
}

static bool
seal_record(struct varve_engine *engine, const struct varve_record *record, struct places *ret_old,
            struct varve_error *err)
{
    struct varve_error why = {0};
    if (record->type == VARVE_RECORD_DELETED) {
        if (varve_catalog_tombstone_delete(engine->catalog, record->ino, &why) ||
            why.kind == VARVE_ERROR_NOT_FOUND)
            return true;
        *err = why;
        return false;
    }
    if (!varve_catalog_recorded(engine->catalog, record->ino, record->ctime_ns, &why) &&
        why.kind != VARVE_ERROR_NOT_FOUND) { /* deleted since: fine */
        *err = why;
        return false;
    }
    if (record->type != VARVE_RECORD_FILE || record->piece_bytes == 0 ||
        record->part + 1 != record->parts)
        return true;
    return seal_content(engine, (struct varve_content_id){record->content}, ret_old, err);
}

static bool
seal_unit(struct varve_engine *engine, struct set_images *images, struct varve_set *set,
          struct places *ret_old, struct varve_error *err)
{
    for (uint32_t i = 0; i < set->data_discs; i++) {
        const struct varve_manifest *manifest = varve_image_manifest(images->images[i]);
        for (size_t r = 0; r < manifest->count; r++) {
            if (!seal_record(engine, &manifest->records[r], ret_old, err))
                return false;
        }
    }
    return varve_catalog_set_update(engine->catalog, set, err);
}

bool
set_seal(struct varve_engine *engine, struct set_images *images, struct varve_error *err)
{
    struct varve_set *set = &images->set;
    struct varve_set sealed = *set;
    sealed.state = VARVE_SET_SEALED;
    sealed.sealed_ns = varve_clock_realtime(engine->clock);
    struct places old = {0};
    varve_catalog_begin(engine->catalog);
    bool ok = seal_unit(engine, images, &sealed, &old, err);
    ok = varve_catalog_end(engine->catalog, ok, err) && varve_catalog_sync(engine->catalog, err);
    for (size_t i = 0; ok && i < old.count; i++)
        varve_vfs_remove_later(engine->vfs, old.rows[i]);
    free(old.rows);
    if (!ok)
        return varve_error_wrap(err, "seal set %" PRIu64, set->id.value);
    *set = sealed;
    set_files_remove(engine, set, true);
    varve_log(VARVE_LOG_NOTICE, "set %" PRIu64 " sealed: %" PRIu32 "+%" PRIu32 " discs",
              set->id.value, set->data_discs, set->parity_discs);
    return true;
}

/* --- one set from where it stands --- */

static uint64_t
work_bytes(const struct varve_set *set)
{
    uint64_t reading = set->state == VARVE_SET_PLANNED ? set->data_discs : 0;
    return (reading + 2ull * (set->data_discs + set->parity_discs)) * set->clusters *
           VARVE_CLUSTER_BYTES;
}

/* --- giving a plan up --- */

struct contents {
    struct varve_content_id *ids;
    size_t count, capacity;
};

static bool
contents_add(struct contents *contents, struct varve_content_id id, struct varve_error *err)
{
    struct varve_content_id *ids =
        varve_grow(contents->ids, &contents->capacity, contents->count, sizeof *ids);
    if (ids == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "give up a plan");
    contents->ids = ids;
    contents->ids[contents->count++] = id;
    return true;
}

static bool
contents_of(struct varve_engine *engine, const struct varve_set *set, struct contents *ret,
            struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_piece *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_content_id after = {0};
    uint32_t after_part = 0;
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "give up a plan");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_set_pieces(engine->catalog, set->id, after, after_part, page, PAGE_ROWS,
                                      &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].content;
            after_part = page[i].part;
            if (page[i].part == 0 && !contents_add(ret, page[i].content, err))
                return false;
        }
    }
    return true;
}

/* In a unit: the plan is no more, its contents are back in line, except for the culprit: asked for
 * again, it would fail the next set as well. */
static bool
abandon_unit(struct varve_engine *engine, const struct varve_set *set,
             const struct contents *contents, struct varve_content_id culprit,
             struct varve_error *err)
{
    for (size_t i = 0; i < contents->count; i++) {
        if (contents->ids[i].value != culprit.value &&
            !request_content(engine, contents->ids[i], "manual", engine->config->data_discs,
                             engine->config->parity_discs, err))
            return false;
    }
    return varve_catalog_set_pieces_delete(engine->catalog, set->id, err) &&
           varve_catalog_set_update(engine->catalog, set, err);
}

/* A set whose files cannot be read is taken apart again, so that one bad file does not hold up all
 * others for ever. The set goes first and durably: a content that may change again must belong to
 * no set that could still be burned. What a crash leaves frozen is thawed at the next start. */
static bool
abandon(struct varve_engine *engine, struct varve_set *set, struct varve_content_id culprit,
        struct varve_error *err)
{
    struct contents contents = {0};
    struct varve_set abandoned = *set;
    abandoned.state = VARVE_SET_ABANDONED;
    bool ok = contents_of(engine, set, &contents, err);
    if (ok) {
        varve_catalog_begin(engine->catalog);
        ok = abandon_unit(engine, &abandoned, &contents, culprit, err);
        ok =
            varve_catalog_end(engine->catalog, ok, err) && varve_catalog_sync(engine->catalog, err);
    }
    for (size_t i = 0; ok && i < contents.count; i++) {
        struct varve_error why = {0};
        if (!varve_vfs_thaw(engine->vfs, contents.ids[i], &why) &&
            why.kind != VARVE_ERROR_NOT_FOUND)
            varve_log(VARVE_LOG_WARNING,
                      "content %" PRIu64 " stays frozen until the next start: %s",
                      contents.ids[i].value, why.text);
    }
    free(contents.ids);
    if (!ok)
        return false;
    *set = abandoned;
    set_files_remove(engine, set, false);
    return true;
}

static bool
prepare_or_abandon(struct varve_engine *engine, struct job *job, struct set_images *images,
                   struct varve_error *err)
{
    struct varve_set *set = &images->set;
    struct varve_content_id culprit = {0};
    if (set_prepare(engine, job, images, &culprit, err))
        return true;
    if (culprit.value == 0 || err->kind == VARVE_ERROR_CANCELLED)
        return false;
    struct varve_error why = {0};
    varve_log(VARVE_LOG_ERROR, "%s; the file is left out, the others are planned anew", err->text);
    if (!abandon(engine, set, culprit, &why)) {
        varve_log(VARVE_LOG_ERROR, "give up set %" PRIu64 ": %s", set->id.value, why.text);
        return false;
    }
    job_file_failed(job, err);
    engine->replan = true;
    return true;
}

/* Discs of a set that is given up. Whether one that was only announced is still blank its next burn
 * proves (INV-5). */
static bool
free_discs(struct varve_engine *engine, struct varve_set_id set, struct varve_error *err)
{
    enum { ROWS_MAX = 1024 };
    VARVE_CLEANUP_FREE struct varve_disc_row *rows = calloc(ROWS_MAX, sizeof *rows);
    size_t count;
    if (rows == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "give up a set");
    if (!varve_catalog_set_discs(engine->catalog, set, rows, ROWS_MAX, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        bool announced = rows[i].state == VARVE_DISC_BURNING;
        if (!announced && rows[i].state != VARVE_DISC_BURNED && rows[i].state != VARVE_DISC_SEALED)
            continue;
        rows[i].state = announced ? VARVE_DISC_BLANK : VARVE_DISC_FAILED;
        (void)snprintf(rows[i].place, sizeof rows[i].place, "%s",
                       announced ? "" : "its set was given up");
        if (announced) {
            rows[i].set = (struct varve_set_id){0};
            rows[i].uuid = (struct varve_uuid){{0}};
            rows[i].index = 0;
            rows[i].clusters = 0;
        }
        if (!varve_catalog_disc_put(engine->catalog, &rows[i], err))
            return false;
    }
    return true;
}

/* The plan on paper (manifests, CRCs) is lost, or another version of varve would draw other images
 * from it: its contents are still on the tiers, so the set is given up and planned anew. */
static bool
load_or_abandon(struct varve_engine *engine, struct varve_set *set, struct set_images **ret,
                struct varve_error *err)
{
    struct varve_error why = {0};
    if (set_images_load(engine, set, ret, err))
        return true;
    if (err->kind != VARVE_ERROR_CORRUPT && err->kind != VARVE_ERROR_INVALID &&
        err->kind != VARVE_ERROR_NOT_FOUND)
        return false;
    varve_log(VARVE_LOG_ERROR, "%s; the set is given up and its files are planned anew", err->text);
    if (!free_discs(engine, set->id, &why) ||
        !abandon(engine, set, (struct varve_content_id){0}, &why))
        varve_log(VARVE_LOG_ERROR, "give up set %" PRIu64 ": %s", set->id.value, why.text);
    return false;
}

/* The catalog as of now beside the live one: what a disc of the machine that fails leaves to begin
 * with. */
static void
snapshot(struct varve_engine *engine)
{
    struct varve_error why = {0};
    VARVE_CLEANUP_FREE char *path = varve_file_join(engine->dir, "catalog.snapshot");
    if (path != NULL && !varve_catalog_snapshot(engine->catalog, path, &why))
        warning_set(engine, "catalog snapshot: %s", why.text);
}

static bool
finish_set(struct varve_engine *engine, struct job *job, struct varve_set *set,
           struct varve_error *err)
{
    job_grow(job, work_bytes(set), 0);
    VARVE_CLEANUP(set_images_free) struct set_images *images = NULL;
    if (!load_or_abandon(engine, set, &images, err)) {
        engine->replan = engine->replan || set->state == VARVE_SET_ABANDONED;
        return set->state == VARVE_SET_ABANDONED; /* the next plan takes its files */
    }
    if (set->state == VARVE_SET_PLANNED && !prepare_or_abandon(engine, job, images, err))
        return false;
    if (images->set.state == VARVE_SET_ABANDONED)
        return true;
    return set_burn(engine, job, images, err) && set_seal(engine, images, err);
}

/* The next set that is under way, or *ret_found false. */
static bool
unfinished_set(struct varve_engine *engine, struct varve_set *ret, bool *ret_found,
               struct varve_error *err)
{
    struct varve_set page[16];
    struct varve_set_id after = {0};
    size_t count = 16;
    *ret_found = false;
    while (count == 16) {
        if (!varve_catalog_sets(engine->catalog, after, page, 16, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (page[i].state == VARVE_SET_PLANNED || page[i].state == VARVE_SET_BURNING) {
                *ret = page[i];
                *ret_found = true;
                return true;
            }
            after = page[i].id;
        }
    }
    return true;
}

static bool
finish_unfinished(struct varve_engine *engine, struct job *job, struct varve_error *err)
{
    for (;;) {
        struct varve_set set;
        bool found;
        if (!go_on(engine, err) || !unfinished_set(engine, &set, &found, err))
            return false;
        if (!found)
            return true;
        if (!finish_set(engine, job, &set, err))
            return false;
    }
}

/* A file that is deleted or renamed while its set is planned undoes the plan; the next one goes
 * without it. */
static bool
plan_again(struct varve_engine *engine, struct job *job, struct varve_set *set, bool *ret_made,
           struct varve_error *err)
{
    enum { TRIES_MAX = 5 };
    for (unsigned tries = 1;; tries++) {
        struct varve_error why = {0};
        if (set_plan(engine, job, set, ret_made, &why))
            return true;
        if (why.kind != VARVE_ERROR_NOT_FOUND || tries == TRIES_MAX) {
            *err = why;
            return false;
        }
    }
}

static bool
run(struct varve_engine *engine, struct job *job, struct varve_error *err)
{
    unsigned sealed = 0;
    for (;;) {
        struct varve_set set;
        bool made;
        if (!finish_unfinished(engine, job, err) || !plan_again(engine, job, &set, &made, err))
            return false;
        if (!made)
            break;
        sealed++;
    }
    if (sealed > 0)
        snapshot(engine);
    return true;
}

bool
pipeline_run(struct varve_engine *engine, struct job *job, struct varve_error *err)
{
    job_text(job, "waiting for the set before");
    VARVE_LOCKED(&engine->pipeline);
    bool ok = run(engine, job, err);
    if (ok)
        job_text(job, "%s", "");
    return ok;
}

bool
pipeline_resume_job(struct varve_engine *engine, struct job *job, void *context,
                    struct varve_error *err)
{
    (void)context;
    VARVE_LOCKED(&engine->pipeline);
    engine->replan = false;
    return finish_unfinished(engine, job, err) && (!engine->replan || run(engine, job, err));
}

/* --- after a crash --- */

static bool
has_pieces(struct varve_engine *engine, struct varve_content_id id, bool *ret,
           struct varve_error *err)
{
    struct varve_piece piece;
    size_t count;
    if (!varve_catalog_pieces(engine->catalog, id, &piece, 1, &count, err))
        return false;
    *ret = count > 0;
    return true;
}

/* Contents that were frozen for a set that never came to be. Nothing freezes meanwhile: that is
 * done under `pipeline`, which the caller holds. */
bool
pipeline_thaw_stranded(struct varve_engine *engine, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_content *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_content_id after = {0};
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "look for unfinished plans");
    while (count == PAGE_ROWS) {
        if (!go_on(engine, err) ||
            !varve_catalog_contents(engine->catalog, after, true, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            bool planned = true;
            after = page[i].id;
            if (page[i].phase != VARVE_PHASE_FROZEN)
                continue;
            if (!has_pieces(engine, page[i].id, &planned, err) ||
                (!planned && !varve_vfs_thaw(engine->vfs, page[i].id, err)))
                return false;
        }
    }
    return true;
}

bool
pipeline_recover(struct varve_engine *engine, struct varve_error *err)
{
    struct varve_set set;
    bool found;
    uint64_t job;
    if (!unfinished_set(engine, &set, &found, err))
        return false;
    if (!found)
        return true;
    varve_log(VARVE_LOG_NOTICE, "set %" PRIu64 " is %s: going on with it", set.id.value,
              varve_set_state_name(set.state));
    return job_start(engine, "burn", pipeline_resume_job, NULL, NULL, &job, err);
}
