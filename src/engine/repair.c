/* SPDX-License-Identifier: Apache-2.0 */
/* `varve set repair`: discs that are lost, failed or suspect are made anew from the others and
 * burned onto blanks. What the old disc still gives is used; it is never written to (INV-10). The
 * new image is staged as a file: its bytes come from several discs, and a library may have one
 * drive. */
#include "engine_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

struct repairing {
    struct varve_engine *engine;
    struct job *job;
    struct varve_set set;
    uint32_t index;
    uint32_t *crcs;
    uint64_t clusters;
    uint8_t *bad;               /* per cluster: not in the staged image yet */
    int fd;                     /* the staged image */
    struct varve_image *parity; /* of a parity disc: the image around its payload */
    uint64_t first, end; /* clusters that stripes cover: all, or the payload of a parity disc */
};

static void
repairing_done(struct repairing *r)
{
    if (r->fd >= 0)
        (void)close(r->fd); /* it has no name: gone with this */
    varve_image_free(r->parity);
    free(r->crcs);
    free(r->bad);
}

static bool
put(struct repairing *r, uint64_t cluster, const uint8_t *bytes, struct varve_error *err)
{
    if (varve_crc32c(0, bytes, VARVE_CLUSTER_BYTES) != r->crcs[cluster])
        return varve_error_set(
            err, VARVE_ERROR_UNRECOVERABLE, 0,
            "cluster %" PRIu64 ": what the other discs give does not match its checksum", cluster);
    if (!varve_file_pwrite(r->fd, bytes, VARVE_CLUSTER_BYTES, cluster * VARVE_CLUSTER_BYTES, err))
        return varve_error_wrap(err, "stage the new disc");
    r->bad[cluster] = 0;
    return true;
}

/* --- what the old disc still gives --- */

static bool
salvage_task(struct varve_engine *engine, struct task *task, struct drive *drive,
             struct varve_error *err)
{
    struct repairing *r = task->context;
    struct varve_uuid uuid = member_uuid(&r->set.uuid, r->index);
    VARVE_CLEANUP_FREE uint8_t *buffer = aligned_alloc(4096, VARVE_CLUSTER_BYTES);
    if (buffer == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "repair");
    if (!disc_prove(drive, &uuid, err))
        return false;
    for (uint64_t k = 0; k < r->clusters; k++) {
        struct varve_error ignored = {0}; /* what it does not give comes from the others */
        if (!go_on(engine, err))
            return false;
        if (varve_drive_read(drive_handle(drive), k, 1, buffer, NULL, &ignored) &&
            varve_crc32c(0, buffer, VARVE_CLUSTER_BYTES) == r->crcs[k] && !put(r, k, buffer, err))
            return false;
    }
    return true;
}

static bool
salvage(struct repairing *r, struct varve_error *err)
{
    struct varve_disc_row disc;
    struct varve_error why = {0};
    struct task task = {.class = TASK_RECALL, .run = salvage_task, .context = r, .job = r->job};
    if (!set_disc(r->engine, r->set.id, r->index, &disc, &why) ||
        disc.state != VARVE_DISC_SUSPECT ||
        !library_index(r->engine, disc.library, &task.library, &why))
        return true;
    task.barcode = disc.barcode;
    job_text(r->job, "reading what disc '%s' still gives", disc.barcode.text);
    task_submit(r->engine, &task);
    if (task_wait(r->engine, &task, &why))
        return true;
    if (why.kind == VARVE_ERROR_CANCELLED || why.kind == VARVE_ERROR_NOMEM ||
        why.kind == VARVE_ERROR_NO_SPACE) {
        *err = why;
        return false;
    }
    varve_log(VARVE_LOG_WARNING, "repair: disc '%s': %s; all of it comes from the others",
              disc.barcode.text, why.text);
    return true;
}

/* --- what the others give --- */

static bool
came(void *context, const struct gather_want *want, const uint8_t *bytes, struct varve_error *err)
{
    struct repairing *r = context;
    return put(r, r->first + want->cluster, bytes, err);
}

static bool
decode(struct repairing *r, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct gather_want *wants =
        calloc((size_t)(r->end - r->first) + 1, sizeof *wants);
    size_t count = 0;
    if (wants == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "repair");
    for (uint64_t k = r->first; k < r->end; k++) {
        if (r->bad[k] != 0)
            wants[count++] = (struct gather_want){r->index, k - r->first};
    }
    job_grow(r->job, (uint64_t)count * r->set.data_discs * VARVE_CLUSTER_BYTES, 0);
    job_text(r->job, "set %" PRIu64 ": %zu clusters of disc %" PRIu32 " from the other discs",
             r->set.id.value, count, r->index + 1);
    return gather_run(r->engine, &r->set, wants, count, r->job, came, r, err);
}

/* --- a parity disc: payload from the stripes, the rest from the image --- */

static bool
payload_read(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
             struct varve_error *err)
{
    struct repairing *r = context;
    (void)record;
    return varve_file_pread(r->fd, ret, size, r->first * VARVE_CLUSTER_BYTES + offset, err);
}

static bool
load_parity_image(struct repairing *r, struct varve_error *err)
{
    struct varve_disc_identity identity;
    struct varve_digest digest;
    VARVE_CLEANUP_FREE struct varve_disc_map *maps = calloc(r->set.data_discs, sizeof *maps);
    if (maps == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "repair");
    identity_fill(r->engine, &r->set, r->index, &identity);
    if (!maps_load(r->engine, &r->set, maps, err) ||
        !varve_image_new_parity(&identity, maps, r->set.clusters, &r->parity, err) ||
        !parity_digest_load(r->engine, &r->set, r->index, &digest, err))
        return false;
    for (uint32_t i = 0; i < r->set.data_discs; i++) {
        VARVE_CLEANUP_FREE uint32_t *crcs = NULL;
        uint64_t count;
        if (!disc_crcs(r->engine, r->set.id, i, &crcs, &count, err) ||
            !varve_image_set_member_crcs(r->parity, i, crcs, count, err))
            return false;
    }
    varve_image_set_parity_digest(r->parity, &digest);
    r->first = varve_image_map(r->parity)->parity.lba / VARVE_CLUSTER_SECTORS;
    r->end = r->first + r->set.clusters;
    return varve_image_relearn(r->parity, r->crcs, r->clusters, err);
}

static bool
render_rest(struct repairing *r, struct varve_error *err)
{
    const struct varve_image_source source = {r, payload_read};
    VARVE_CLEANUP_FREE uint8_t *buffer = aligned_alloc(4096, VARVE_CLUSTER_BYTES);
    if (buffer == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "repair");
    for (uint64_t k = 0; k < r->clusters; k++) {
        if (r->bad[k] != 0 &&
            (!varve_image_render(r->parity, k, &source, buffer, err) || !put(r, k, buffer, err)))
            return false;
    }
    return true;
}

/* --- one disc --- */

static bool
open_staging(struct repairing *r, struct varve_error *err)
{
    const char *staging = varve_store_staging(r->engine->store);
    if (!varve_file_temporary(staging, &r->fd, err))
        return false;
    int failed = posix_fallocate(r->fd, 0, (off_t)(r->clusters * VARVE_CLUSTER_BYTES));
    return failed == 0 || varve_error_system(err, failed, "room for a disc in '%s'", staging);
}

static bool
repair_disc(struct repairing *r, struct varve_error *err)
{
    if (!disc_crcs(r->engine, r->set.id, r->index, &r->crcs, &r->clusters, err))
        return false;
    r->end = r->clusters;
    r->bad = malloc((size_t)r->clusters + 1);
    if (r->bad == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "repair");
    memset(r->bad, 1, (size_t)r->clusters);
    if (r->index >= r->set.data_discs && !load_parity_image(r, err))
        return false;
    job_grow(r->job, 2 * r->clusters * VARVE_CLUSTER_BYTES, 1);
    if (!open_staging(r, err) || !salvage(r, err) || !decode(r, err) ||
        (r->parity != NULL && !render_rest(r, err)))
        return false;
    return disc_burn_raw(r->engine, r->job, &r->set, r->index, r->fd, r->crcs, r->clusters, err);
}

static bool
needs_repair(struct varve_engine *engine, const struct varve_set *set, uint32_t index)
{
    struct varve_disc_row disc;
    struct varve_error ignored = {0};
    return !set_disc(engine, set->id, index, &disc, &ignored) ||
           (disc.state != VARVE_DISC_SEALED && disc.state != VARVE_DISC_OFFLINE);
}

/* The old disc has done its duty: it stays known, but not as a member that one could read from. */
static bool
replace_old(struct varve_engine *engine, const struct varve_set *set, uint32_t index,
            struct varve_error *err)
{
    enum { ROWS_MAX = 1024 };
    VARVE_CLEANUP_FREE struct varve_disc_row *rows = calloc(ROWS_MAX, sizeof *rows);
    size_t count;
    if (rows == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "repair");
    if (!varve_catalog_set_discs(engine->catalog, set->id, rows, ROWS_MAX, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].index == index && rows[i].state == VARVE_DISC_SUSPECT &&
            !disc_mark(engine, &rows[i].barcode, VARVE_DISC_FAILED, "replaced by a repair", err))
            return false;
    }
    return true;
}

static bool
repair_job(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err)
{
    struct varve_set_id *id = context;
    struct varve_set set;
    VARVE_LOCKED(&engine->pipeline);
    if (!varve_catalog_set_get(engine->catalog, *id, &set, err))
        return false;
    for (uint32_t index = 0; index < set.data_discs + set.parity_discs; index++) {
        struct repairing r = {.engine = engine, .job = job, .set = set, .index = index, .fd = -1};
        if (!needs_repair(engine, &set, index))
            continue;
        bool ok = repair_disc(&r, err) && replace_old(engine, &set, index, err);
        repairing_done(&r);
        if (!ok)
            return varve_error_wrap(err, "repair disc %" PRIu32 " of set %" PRIu64, index + 1,
                                    id->value);
        job_add(job, 0, 1);
    }
    return set_regrade(engine, *id, err) && varve_catalog_sync(engine->catalog, err);
}

bool
varve_engine_set_repair(struct varve_engine *engine, struct varve_set_id id, uint64_t *ret_job,
                        struct varve_error *err)
{
    struct varve_set set;
    if (!varve_catalog_set_get(engine->catalog, id, &set, err))
        return varve_error_wrap(err, "set %" PRIu64, id.value);
    if (set.state != VARVE_SET_SEALED && set.state != VARVE_SET_DEGRADED)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "set %" PRIu64 " is %s: only sealed sets can be repaired", id.value,
                               varve_set_state_name(set.state));
    struct varve_set_id *context = malloc(sizeof *context);
    if (context == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "repair");
    *context = id;
    return job_start(engine, "repair", repair_job, context, free, ret_job, err);
}

/* --- after a restart --- */

static bool
resume_one(struct varve_engine *engine, const struct varve_disc_row *disc, struct varve_error *err)
{
    struct varve_set set;
    struct varve_disc_row best;
    uint64_t job;
    if (!varve_catalog_set_get(engine->catalog, disc->set, &set, err))
        return false;
    if (set.state != VARVE_SET_SEALED && set.state != VARVE_SET_DEGRADED)
        return true; /* the pipeline looks after it */
    if (!set_disc(engine, set.id, disc->index, &best, err))
        return false;
    if (best.state == VARVE_DISC_SEALED)
        return disc_mark(engine, &disc->barcode, VARVE_DISC_FAILED,
                         "its set became whole without it", err);
    varve_log(VARVE_LOG_NOTICE, "set %" PRIu64 ": going on with its repair on disc '%s'",
              set.id.value, disc->barcode.text);
    /* One job mends all that its set lacks; others of the same set find nothing left to do. One
     * that cannot be started now can be asked for by hand. */
    struct varve_error why = {0};
    if (!varve_engine_set_repair(engine, set.id, &job, &why))
        warning_set(engine, "repair of set %" PRIu64 ": %s", set.id.value, why.text);
    return true;
}

/* `library` NULL: in any that is there, or that is configured no more. */
static bool
is_in(const struct varve_engine *engine, const struct varve_disc_row *disc, const char *library)
{
    size_t index;
    struct varve_error ignored = {0};
    if (library != NULL)
        return strcmp(disc->library, library) == 0;
    return !library_index(engine, disc->library, &index, &ignored) ||
           library_is_there(engine, index);
}

bool
repairs_resume(struct varve_engine *engine, const char *library, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_row *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_barcode after = {{0}};
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "look for unfinished repairs");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_discs(engine->catalog, &after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].barcode;
            bool begun = page[i].state == VARVE_DISC_BURNING || page[i].state == VARVE_DISC_BURNED;
            if (begun && is_in(engine, &page[i], library) && !resume_one(engine, &page[i], err))
                return false;
        }
    }
    return true;
}
