/* SPDX-License-Identifier: Apache-2.0 */
/* Reading discs back: after burning, and whenever somebody asks. */
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>

static bool
source_read(void *context, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
            struct varve_error *err)
{
    return varve_drive_read(context, cluster, 1, ret, NULL, err);
}

bool
drive_source_open(struct drive_source *source, struct varve_drive *drive, struct varve_error *err)
{
    struct varve_medium medium;
    if (!varve_drive_medium(drive, &medium, err))
        return false;
    source->drive = drive;
    source->source = (struct varve_cluster_source){drive, medium.readable_clusters, source_read};
    return true;
}

bool
disc_prove(struct drive *drive, const struct varve_uuid *uuid, struct varve_error *err)
{
    struct drive_source source;
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *disc = NULL;
    if (!drive_source_open(&source, drive_handle(drive), err) ||
        !varve_disc_open(&source.source, &disc, err))
        return false;
    const struct varve_disc_identity *identity = varve_disc_identity(disc);
    if (varve_uuid_equal(&identity->disc, uuid))
        return true;
    char found[VARVE_UUID_TEXT_BYTES];
    char wanted[VARVE_UUID_TEXT_BYTES];
    varve_uuid_format(&identity->disc, found);
    varve_uuid_format(uuid, wanted);
    return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                           "it is disc %s of set %" PRIu64 " of archive '%s', not %s", found,
                           identity->set_number, identity->archive_name, wanted);
}

bool
disc_crcs(struct varve_engine *engine, struct varve_set_id id, uint32_t index, uint32_t **ret,
          uint64_t *ret_count, struct varve_error *err)
{
    struct varve_set set;
    if (!varve_catalog_set_get(engine->catalog, id, &set, err))
        return false;
    VARVE_CLEANUP_FREE char *path = set_file(engine, &set, index, "crc");
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "load checksums");
    return crcs_load(path, ret, ret_count, err);
}

bool
crcs_from_disc(struct varve_disc *disc, const struct varve_cluster_source *source, uint32_t index,
               const uint32_t *old, uint64_t old_count, uint32_t *ret, uint64_t count,
               struct varve_error *err)
{
    VARVE_CLEANUP_FREE uint8_t *buffer = aligned_alloc(4096, VARVE_CLUSTER_BYTES);
    bool own = varve_disc_identity(disc)->index == index;
    if (buffer == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read checksums");
    for (uint64_t k = 0; k < count; k++) {
        struct varve_error ignored = {0}; /* unreadable: it will not match, as it should not */
        if (varve_disc_crc(disc, index, k, &ret[k]))
            continue;
        if (k < old_count)
            ret[k] = old[k];
        else if (own && source->read(source->context, k, buffer, &ignored))
            ret[k] = varve_crc32c(0, buffer, VARVE_CLUSTER_BYTES);
    }
    return true;
}

static bool
read_own_crcs(struct drive *drive, uint32_t index, uint32_t **ret, uint64_t *ret_count,
              struct varve_error *err)
{
    struct drive_source source;
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *disc = NULL;
    if (!drive_source_open(&source, drive_handle(drive), err) ||
        !varve_disc_open(&source.source, &disc, err))
        return false;
    uint64_t count = varve_disc_map(disc)->clusters;
    VARVE_CLEANUP_FREE uint32_t *crcs = calloc((size_t)count + 1, sizeof *crcs);
    if (crcs == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read checksums");
    if (!crcs_from_disc(disc, &source.source, index, NULL, 0, crcs, count, err))
        return false;
    *ret = VARVE_TAKE(crcs);
    *ret_count = count;
    return true;
}

bool
disc_tables(struct varve_engine *engine, struct drive *drive, const struct varve_disc_row *row,
            uint32_t **ret, uint64_t *ret_count, struct varve_error *err)
{
    struct varve_set set;
    struct varve_error why = {0};
    if (!disc_prove(drive, &row->uuid, err))
        return false;
    if (disc_crcs(engine, row->set, row->index, ret, ret_count, &why))
        return true;
    if (why.kind != VARVE_ERROR_CORRUPT && why.kind != VARVE_ERROR_NOT_FOUND) {
        *err = why;
        return false;
    }
    varve_log(VARVE_LOG_WARNING, "%s; taking the checksums that disc '%s' itself has", why.text,
              row->barcode.text);
    if (!read_own_crcs(drive, row->index, ret, ret_count, err) ||
        !varve_catalog_set_get(engine->catalog, row->set, &set, err))
        return false;
    VARVE_CLEANUP_FREE char *path = set_file(engine, &set, row->index, "crc");
    if (path != NULL && !crcs_save(path, *ret, *ret_count, &why))
        varve_log(VARVE_LOG_WARNING, "%s", why.text);
    return true;
}

bool
is_drive_trouble(const struct varve_error *why)
{
    return why->kind == VARVE_ERROR_HARDWARE || why->kind == VARVE_ERROR_NOT_READY;
}

/* One cluster. False with an error: the drive does not even tell what is in it. False without: the
 * cluster cannot be read, whatever the drive blames (servo errors on a worn disc look like its
 * own).
 */
static bool
read_one(struct drive *drive, uint64_t cluster, uint8_t *bytes, struct varve_error *err)
{
    struct varve_medium medium;
    struct varve_error why = {0};
    if (varve_drive_read(drive_handle(drive), cluster, 1, bytes, NULL, &why))
        return true;
    if (!is_drive_trouble(&why))
        return false;
    why = (struct varve_error){0};
    return varve_drive_medium(drive_handle(drive), &medium, err) &&
           varve_drive_read(drive_handle(drive), cluster, 1, bytes, NULL, &why);
}

bool
is_out_of_reach(const struct varve_error *why)
{
    return why->sys == EHOSTUNREACH;
}

bool
is_disc_or_drive(const struct varve_error *why)
{
    if (is_out_of_reach(why))
        return false;
    return is_drive_trouble(why) || why->kind == VARVE_ERROR_MEDIUM ||
           why->kind == VARVE_ERROR_CORRUPT;
}

const char *
bad_clusters_text(const struct bad_clusters *bad, uint64_t clusters, char ret[VARVE_REASON_BYTES])
{
    (void)snprintf(ret, VARVE_REASON_BYTES,
                   "%" PRIu64 " of %" PRIu64 " clusters do not match (LBA %" PRIu64 " to %" PRIu64
                   ")",
                   bad->count, clusters, bad->first * VARVE_CLUSTER_SECTORS,
                   (bad->last + 1) * VARVE_CLUSTER_SECTORS - 1);
    return ret;
}

/* Adds the clusters of the batch that do not match or cannot be read. False: the drive is in
 * trouble, which says nothing of the disc. */
static bool
count_bad(struct drive *drive, const uint32_t *crcs, uint64_t cluster, unsigned count,
          uint8_t *buffer, struct bad_clusters *ret_bad, struct varve_error *err)
{
    struct varve_error ignored = {0};
    bool whole = varve_drive_read(drive_handle(drive), cluster, count, buffer, NULL, &ignored);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *bytes = &buffer[(size_t)i * VARVE_CLUSTER_BYTES];
        struct varve_error why = {0};
        /* A batch that fails is read again one by one: usually one cluster is to blame. */
        bool read = whole || read_one(drive, cluster + i, bytes, &why);
        if (why.kind != VARVE_ERROR_NONE) {
            *err = why;
            return false;
        }
        if (read && varve_crc32c(0, bytes, VARVE_CLUSTER_BYTES) == crcs[cluster + i])
            continue;
        if (ret_bad->count++ == 0)
            ret_bad->first = cluster + i;
        ret_bad->last = cluster + i;
    }
    return true;
}

bool
disc_read_back(struct varve_engine *engine, struct drive *drive, struct job *job,
               const uint32_t *crcs, uint64_t clusters, struct bad_clusters *ret_bad,
               struct varve_error *err)
{
    VARVE_CLEANUP_FREE uint8_t *buffer =
        aligned_alloc(4096, (size_t)BURN_BATCH_CLUSTERS * VARVE_CLUSTER_BYTES);
    if (buffer == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read back");
    *ret_bad = (struct bad_clusters){0};
    for (uint64_t at = 0; at < clusters; at += BURN_BATCH_CLUSTERS) {
        unsigned count =
            clusters - at < BURN_BATCH_CLUSTERS ? (unsigned)(clusters - at) : BURN_BATCH_CLUSTERS;
        if (!go_on(engine, err))
            return false;
        if (recalls_wait_for(engine, drive)) /* readers do not wait for the whole disc */
            recalls_serve(engine, drive, &drive->disc, NULL);
        if (!count_bad(drive, crcs, at, count, buffer, ret_bad, err))
            return false;
        job_add(job, (uint64_t)count * VARVE_CLUSTER_BYTES, 0);
    }
    reading_tell(drive);
    return true;
}

/* --- varve disc verify, varve scrub --- */

struct verifying {
    struct varve_disc_row disc;
    struct task task;
    struct bad_clusters bad;
    bool guilty; /* two drives agree that the disc is bad */
};

static bool
verify_task(struct varve_engine *engine, struct task *task, struct drive *drive,
            struct varve_error *err)
{
    struct verifying *verifying = task->context;
    struct varve_disc_row *disc = &verifying->disc;
    VARVE_CLEANUP_FREE uint32_t *crcs = NULL;
    uint64_t clusters;
    char text[VARVE_REASON_BYTES];
    job_text(task->job, "reading disc '%s'", disc->barcode.text);
    bool read = disc_tables(engine, drive, disc, &crcs, &clusters, err) &&
                disc_read_back(engine, drive, task->job, crcs, clusters, &verifying->bad, err);
    if (read && verifying->bad.count == 0)
        health_good(drive, &disc->barcode);
    else if (read || is_disc_or_drive(err))
        verifying->guilty =
            health_bad(drive, &disc->barcode, VARVE_INCIDENT_READ,
                       read ? bad_clusters_text(&verifying->bad, clusters, text) : err->text);
    return read;
}

static bool
readable(const struct varve_disc_row *disc)
{
    return disc->set.value != 0 && disc->clusters > 0 &&
           (disc->state == VARVE_DISC_SEALED || disc->state == VARVE_DISC_SUSPECT ||
            disc->state == VARVE_DISC_LOST);
}

/* Why it is suspect or lost, "" if it is fine. */
static void
note_reason(const struct verifying *verifying, struct varve_disc_row *disc, bool read,
            const struct varve_error *why)
{
    char text[VARVE_REASON_BYTES];
    disc->place[0] = 0;
    if (!read)
        (void)snprintf(disc->place, sizeof disc->place, "%.*s", (int)strcspn(why->text, "\n"),
                       why->text);
    else if (verifying->bad.count > 0)
        (void)snprintf(disc->place, sizeof disc->place, "%.127s",
                       bad_clusters_text(&verifying->bad, disc->clusters, text));
}

/* Inside a unit. The row as it is now: a repair may have replaced the disc, an operator may have
 * taken it out, since the reading was asked for. */
static bool
judge_row(struct varve_engine *engine, const struct verifying *verifying, bool read,
          const struct varve_error *why, struct varve_error *err)
{
    struct varve_disc_row disc;
    if (!varve_catalog_disc_get(engine->catalog, &verifying->disc.barcode, &disc, err))
        return false;
    if (!readable(&disc))
        return true;
    if (read || verifying->task.disc_arrived) {
        disc.state = read && verifying->bad.count == 0 ? VARVE_DISC_SEALED : VARVE_DISC_SUSPECT;
        disc.bad_clusters = verifying->bad.count;
        disc.verified_ns = varve_clock_realtime(engine->clock);
    } else {
        disc.state = VARVE_DISC_LOST;
    }
    note_reason(verifying, &disc, read, why);
    return varve_catalog_disc_put(engine->catalog, &disc, err);
}

/* What a reading says of the disc, in the catalog. */
static bool
judge(struct varve_engine *engine, const struct verifying *verifying, bool read,
      const struct varve_error *why, struct varve_error *err)
{
    if (!read && (why->kind == VARVE_ERROR_CANCELLED || why->kind == VARVE_ERROR_NOMEM ||
                  is_drive_trouble(why)))
        return true; /* says nothing of the disc */
    if (!read && !verifying->task.disc_arrived && why->kind != VARVE_ERROR_OFFLINE)
        return true; /* nor does trouble of arm or drive */
    varve_catalog_begin(engine->catalog);
    bool keep = judge_row(engine, verifying, read, why, err);
    return varve_catalog_end(engine->catalog, keep, err) &&
           set_regrade(engine, verifying->disc.set, err);
}

/* One drive says that the disc is bad: worth asking another. */
static bool
is_doubtful(const struct verifying *verifying, bool read, const struct varve_error *why)
{
    return !verifying->guilty && (read ? verifying->bad.count > 0
                                       : verifying->task.disc_arrived && is_disc_or_drive(why));
}

/* A disc is condemned by two drives where there are two (fault 26): what only one of them says may
 * be its own fault. */
static bool
read_disc(struct varve_engine *engine, struct job *job, struct verifying *verifying,
          struct varve_error *why)
{
    const struct varve_disc_row *row = &verifying->disc;
    uint64_t tried = 0;
    for (;;) {
        verifying->task = (struct task){.class = TASK_VERIFY,
                                        .barcode = row->barcode,
                                        .not_drives = tried,
                                        .run = verify_task,
                                        .context = verifying,
                                        .job = job};
        if (!library_index(engine, row->library, &verifying->task.library, why))
            return false;
        task_submit(engine, &verifying->task);
        bool read = task_wait(engine, &verifying->task, why);
        bool again = tried == 0 && is_doubtful(verifying, read, why);
        tried |= UINT64_C(1) << verifying->task.ran_in;
        if (!again || !health_others_usable(engine, verifying->task.library, tried))
            return read;
        *why = (struct varve_error){0};
        job_grow(job, row->clusters * VARVE_CLUSTER_BYTES, 0);
    }
}

static void
tell_bad(struct job *job, const struct verifying *verifying, bool read, struct varve_error *why)
{
    const struct varve_disc_row *row = &verifying->disc;
    char text[VARVE_REASON_BYTES];
    if (read)
        varve_error_set(why, VARVE_ERROR_CORRUPT, 0, "%s",
                        bad_clusters_text(&verifying->bad, row->clusters, text));
    varve_error_wrap(why, "disc '%s'", row->barcode.text);
    varve_error_hint(why, "'varve set repair %" PRIu64 "' burns it anew from the rest of its set",
                     row->set.value);
    job_file_failed(job, why);
    varve_log(VARVE_LOG_WARNING, "%s", why->text);
}

static bool
verify_one(struct varve_engine *engine, struct job *job, const struct varve_disc_row *row,
           struct varve_error *err)
{
    struct verifying verifying = {.disc = *row};
    struct varve_error why = {0};
    size_t library;
    if (library_index(engine, row->library, &library, &why) &&
        !library_need(engine, library, &why)) {
        varve_error_wrap(&why, "disc '%s'", row->barcode.text);
        job_file_failed(job, &why); /* says nothing of the disc */
        return true;
    }
    why = (struct varve_error){0};
    bool read = read_disc(engine, job, &verifying, &why);
    if (!judge(engine, &verifying, read, &why, err))
        return false;
    if (!read && why.kind == VARVE_ERROR_CANCELLED) {
        *err = why;
        return false;
    }
    if (!read || verifying.bad.count > 0)
        tell_bad(job, &verifying, read, &why);
    job_add(job, 0, 1);
    return true;
}

static bool
verify_all(struct varve_engine *engine, struct job *job, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_row *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_barcode after = {{0}};
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list discs");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_discs(engine->catalog, &after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++)
            if (readable(&page[i]))
                job_grow(job, page[i].clusters * VARVE_CLUSTER_BYTES, 1);
        for (size_t i = 0; i < count; i++) {
            if (readable(&page[i]) && !verify_one(engine, job, &page[i], err))
                return false;
            after = page[i].barcode;
        }
    }
    return true;
}

static bool
verify_job(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err)
{
    struct varve_barcode *barcode = context;
    struct varve_disc_row disc;
    if (barcode->text[0] == 0)
        return verify_all(engine, job, err);
    if (!varve_catalog_disc_get(engine->catalog, barcode, &disc, err))
        return false;
    job_total(job, disc.clusters * VARVE_CLUSTER_BYTES, 1);
    return verify_one(engine, job, &disc, err);
}

bool
varve_engine_verify(struct varve_engine *engine, const char *barcode, uint64_t *ret_job,
                    struct varve_error *err)
{
    struct varve_disc_row disc;
    struct varve_barcode *context = calloc(1, sizeof *context);
    if (context == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "verify");
    bool ok = barcode == NULL || varve_barcode_make(barcode, context) ||
              varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is no barcode", barcode);
    ok = ok && (barcode == NULL || varve_catalog_disc_get(engine->catalog, context, &disc, err));
    if (ok && barcode != NULL && !readable(&disc))
        ok = varve_error_set(err, VARVE_ERROR_INVALID, 0,
                             "disc '%s' is %s: there is nothing to verify", barcode,
                             varve_disc_state_name(disc.state));
    if (!ok) {
        free(context);
        return false;
    }
    return job_start(engine, barcode != NULL ? "verify" : "scrub", verify_job, context, free,
                     ret_job, err);
}
