/* SPDX-License-Identifier: Apache-2.0 */
/* One position of a set onto one disc: prove it blank, burn, close, reload, read back whole. */
#include "manual.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define SOURCE_PAUSE_NS (10 * VARVE_NS_PER_SECOND)

struct burning {
    struct varve_engine *engine;
    const struct varve_set *set;
    uint32_t index, count;     /* position, and how many the set has */
    struct varve_image *image; /* NULL: the bytes are in raw_fd (a repaired disc) */
    int raw_fd;
    const uint32_t *crcs;
    uint64_t clusters;
    struct varve_disc_row disc; /* the physical disc that this position goes to */
    struct task task;
    bool submitted, sealed;
    bool unclosed; /* burned, but the drive could not close it */
    unsigned attempts;
    uint64_t not_drives;          /* that failed with a disc of this position */
    bool guilty;                  /* the disc: two drives agree */
    bool asked_another;           /* drive to read it back */
    struct varve_barcode cut_off; /* the disc whose drive was out of reach while it was burned */
};

static bool
save_disc(struct varve_engine *engine, const struct varve_disc_row *disc, struct varve_error *err)
{
    return varve_catalog_disc_put(engine->catalog, disc, err) &&
           varve_catalog_sync(engine->catalog, err);
}

/* --- where to begin --- */

/* What is already on an unfinished disc must be the beginning of this very image; only then the
 * burn goes on behind it. */
static bool
check_prefix(struct burning *b, struct drive *drive, uint64_t clusters, struct varve_error *err)
{
    VARVE_CLEANUP_FREE uint8_t *buffer = aligned_alloc(4096, VARVE_CLUSTER_BYTES);
    if (buffer == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "burn");
    for (uint64_t k = 0; k < clusters; k++) {
        struct varve_error why = {0};
        if (!go_on(b->engine, err))
            return false;
        bool read = varve_drive_read(drive_handle(drive), k, 1, buffer, NULL, &why);
        if (!read && is_drive_trouble(&why)) {
            *err = why; /* says nothing of the disc */
            return false;
        }
        if (!read || varve_crc32c(0, buffer, VARVE_CLUSTER_BYTES) != b->crcs[k])
            return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                                   "it is not blank, and what is on it is not ours");
    }
    return true;
}

/* Somebody put it where another disc lay: until a person says that it is right, it is not written.
 */
static bool
check_quarantine(struct drive *drive, struct varve_error *err)
{
    if ((varve_library_drive_flags(drive_library(drive), drive->number) &
         VARVE_ELEMENT_QUARANTINED) == 0)
        return true;
    varve_error_set(err, VARVE_ERROR_OFFLINE, 0,
                    "it lies where another disc was, and is quarantined");
    return varve_error_hint(err, "see 'varve library inventory', then run 'varve library accept'");
}

/* *ret_first: the cluster to begin with; the image's length when the disc is burned and closed
 * already. */
static bool
where_to_begin(struct burning *b, struct drive *drive, uint64_t *ret_first, struct varve_error *err)
{
    struct varve_medium medium;
    uint64_t clusters = b->clusters;
    if (!check_quarantine(drive, err) || !varve_drive_medium(drive_handle(drive), &medium, err))
        return false;
    switch (medium.state) {
    case VARVE_MEDIUM_BLANK:
        *ret_first = 0;
        return true;
    case VARVE_MEDIUM_APPENDABLE:
        if (!medium.next_valid || medium.next_cluster > clusters)
            return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                                   "it is not blank, and what is on it is not ours");
        *ret_first = medium.next_cluster;
        return check_prefix(b, drive, medium.next_cluster, err);
    case VARVE_MEDIUM_CLOSED:
        if (disc_prove(drive, &b->disc.uuid, err)) {
            *ret_first = UINT64_MAX; /* a crash came between closing and noting it */
            return true;
        }
        return varve_error_wrap(err, "it is not blank");
    case VARVE_MEDIUM_NONE:
    case VARVE_MEDIUM_OTHER:
        break;
    }
    return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                           "it is no disc that varve can write: %s (profile %04Xh), %s\nhint: take "
                           "it out of library '%s' and put a blank disc in",
                           medium.kind, medium.profile, medium.why_other, b->disc.library);
}

/* --- writing --- */

/* The bytes of the image: files of the tiers, or the staged parity. */
struct burn_source {
    struct content_reader reader;
    int parity_fd;
    bool is_parity;
};

static bool
burn_source_open(const struct burning *b, struct burn_source *source, struct varve_error *err)
{
    *source = (struct burn_source){.parity_fd = -1, .is_parity = b->index >= b->set->data_discs};
    content_reader_init(&source->reader, b->engine,
                        b->image != NULL ? varve_image_manifest(b->image) : NULL);
    if (!source->is_parity || b->image == NULL)
        return true;
    VARVE_CLEANUP_FREE char *path = parity_file(b->engine, b->set, b->index);
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open staged parity");
    source->parity_fd = open(path, O_RDONLY | O_CLOEXEC);
    return source->parity_fd >= 0 || varve_error_system(err, errno, "open '%s'", path);
}

static void
burn_source_close(struct burn_source *source)
{
    content_reader_done(&source->reader);
    if (source->parity_fd >= 0)
        (void)close(source->parity_fd);
}

/* Renders up to a batch of clusters from `at`. Each must be what was prepared: a source that
 * changed since must not get onto a disc (its tier is failing, or something wrote behind varve's
 * back). */
static bool
render_batch(struct burning *b, struct burn_source *source, uint64_t at, unsigned count,
             uint8_t *buffer, struct varve_error *err)
{
    const struct varve_image_source files = {&source->reader, content_reader_read};
    const struct varve_image_source parity = {&source->parity_fd, parity_read};
    for (unsigned i = 0; i < count; i++) {
        uint8_t *bytes = &buffer[(size_t)i * VARVE_CLUSTER_BYTES];
        bool ok = b->image != NULL
                      ? varve_image_render(b->image, at + i, source->is_parity ? &parity : &files,
                                           bytes, err)
                      : varve_file_pread(b->raw_fd, bytes, VARVE_CLUSTER_BYTES,
                                         (at + i) * VARVE_CLUSTER_BYTES, err);
        if (!ok)
            return false;
        if (varve_crc32c(0, bytes, VARVE_CLUSTER_BYTES) != b->crcs[at + i])
            return varve_error_set(
                err, VARVE_ERROR_SYSTEM, EIO,
                "cluster %" PRIu64 " of the source changed after it was prepared", at + i);
    }
    return true;
}

/* One burn: filled by a thread that reads files, emptied by the drive's. */
struct feeding {
    struct burning *b;
    struct burn_source source;
    uint64_t told;      /* clusters that the job counts */
    bool told_of_pause; /* the log knows that the drive waits */
};

static bool
feed(void *context, uint64_t cluster, unsigned count, uint8_t *ret, struct varve_error *err)
{
    struct feeding *feeding = context;
    return render_batch(feeding->b, &feeding->source, cluster, count, ret, err);
}

/* A drive that has to wait loses speed, and the operator the reason: the source's disk. */
static bool
feed_tick(void *context, const struct varve_burn_progress *progress, struct varve_error *err)
{
    struct feeding *feeding = context;
    struct burning *b = feeding->b;
    if (progress->written > feeding->told) {
        job_add(b->task.job, (progress->written - feeding->told) * VARVE_CLUSTER_BYTES, 0);
        feeding->told = progress->written;
    }
    bool pauses = progress->waited_ns >= SOURCE_PAUSE_NS;
    if (pauses && !feeding->told_of_pause)
        varve_log(VARVE_LOG_WARNING,
                  "disc '%s': the drive has been waiting for the files' disk for %d s; it goes on "
                  "when the bytes come",
                  b->disc.barcode.text, (int)(SOURCE_PAUSE_NS / VARVE_NS_PER_SECOND));
    feeding->told_of_pause = pauses || (feeding->told_of_pause && progress->waited_ns > 0);
    return go_on(b->engine, err);
}

static bool
write_all(struct burning *b, struct drive *drive, uint64_t first, struct varve_error *err)
{
    struct feeding feeding = {.b = b, .told = first};
    const struct varve_burn burn = {.first_cluster = first,
                                    .clusters = b->clusters,
                                    .context = &feeding,
                                    .fill = feed,
                                    .tick = feed_tick};
    bool ok = burn_source_open(b, &feeding.source, err);
    job_add(b->task.job, first * VARVE_CLUSTER_BYTES, 0);
    ok = ok && varve_drive_burn(drive_handle(drive), &burn, err);
    burn_source_close(&feeding.source);
    return ok;
}

static void
close_tick(void *context, int percent)
{
    struct burning *b = context;
    if (percent >= 0)
        job_text(b->task.job, "closing disc '%s' (%d %%)", b->disc.barcode.text, percent);
}

/* A disc that was written whole and does not let itself be closed may be as good as any: reading it
 * back decides (fault 25). Lost data is another thing, and fails. */
static bool
close_disc(struct burning *b, struct drive *drive, struct varve_error *err)
{
    struct varve_error why = {0};
    if (varve_drive_burn_close(drive_handle(drive), close_tick, b, &why))
        return true;
    if (why.kind != VARVE_ERROR_NOT_READY) {
        *err = why;
        return false;
    }
    varve_log(VARVE_LOG_WARNING, "disc '%s': %s", b->disc.barcode.text, why.text);
    b->unclosed = true;
    return true;
}

/* After a reload and a reading without a wrong byte. */
static bool
note_unclosed(struct burning *b, struct drive *drive, struct varve_error *err)
{
    struct varve_medium medium;
    if (!varve_drive_medium(drive_handle(drive), &medium, err))
        return false;
    b->unclosed = medium.state != VARVE_MEDIUM_CLOSED;
    if (!b->unclosed)
        return true;
    (void)snprintf(b->disc.place, sizeof b->disc.place,
                   "not closed: other drives than library '%.40s', drive %u may not read it",
                   b->disc.library, drive->number);
    varve_log(VARVE_LOG_WARNING,
              "disc '%s' reads back equal and is kept, but library '%s', drive %u could not close "
              "it: other drives may not read it",
              b->disc.barcode.text, b->disc.library, drive->number);
    return true;
}

static bool
burn(struct burning *b, struct drive *drive, struct varve_error *err)
{
    uint64_t first = 0;
    if (!where_to_begin(b, drive, &first, err))
        return false;
    if (first != UINT64_MAX) {
        job_text(b->task.job, "set %" PRIu64 ": burning disc %" PRIu32 " of %" PRIu32 " ('%s')",
                 b->set->id.value, b->index + 1, b->count, b->disc.barcode.text);
        if (!write_all(b, drive, first, err) || !close_disc(b, drive, err))
            return false;
    } else {
        job_add(b->task.job, b->clusters * VARVE_CLUSTER_BYTES, 0);
    }
    b->disc.state = VARVE_DISC_BURNED;
    b->disc.burned_ns = varve_clock_realtime(b->engine->clock);
    return save_disc(b->engine, &b->disc, err);
}

/* A reload in between, so that nothing comes from a cache of the drive. */
static bool
read_back(struct burning *b, struct drive *drive, struct varve_error *err)
{
    struct bad_clusters bad;
    char text[VARVE_REASON_BYTES];
    if (!varve_library_unload(drive_library(drive), drive->number, err) ||
        !varve_library_load(drive_library(drive), &b->disc.barcode, drive->number, err))
        return false;
    job_text(b->task.job, "set %" PRIu64 ": reading back disc %" PRIu32 " of %" PRIu32 " ('%s')",
             b->set->id.value, b->index + 1, b->count, b->disc.barcode.text);
    if (!disc_prove(drive, &b->disc.uuid, err) ||
        !disc_read_back(b->engine, drive, b->task.job, b->crcs, b->clusters, &bad, err))
        return false;
    if (bad.count > 0)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "reading back: %s",
                               bad_clusters_text(&bad, b->clusters, text));
    if (b->unclosed && !note_unclosed(b, drive, err))
        return false;
    b->disc.state = VARVE_DISC_SEALED;
    b->disc.bad_clusters = 0;
    b->disc.verified_ns = varve_clock_realtime(b->engine->clock);
    varve_log(VARVE_LOG_NOTICE,
              "disc '%s' burned and read back: set %" PRIu64 ", disc %" PRIu32 " of %" PRIu32,
              b->disc.barcode.text, b->set->id.value, b->index + 1, b->count);
    manual_note_burned(drive, &b->disc.barcode);
    return save_disc(b->engine, &b->disc, err);
}

static bool
burn_task(struct varve_engine *engine, struct task *task, struct drive *drive,
          struct varve_error *err)
{
    (void)engine;
    struct burning *b = task->context;
    enum varve_incident_act act = VARVE_INCIDENT_BURN;
    bool ok = b->disc.state == VARVE_DISC_BURNED || burn(b, drive, err);
    if (ok) {
        act = VARVE_INCIDENT_READ;
        ok = read_back(b, drive, err);
    }
    if (ok) {
        health_good(drive, &b->disc.barcode);
        return true;
    }
    bool out_of_reach = is_out_of_reach(err);
    if (out_of_reach)
        b->cut_off = b->disc.barcode; /* what is wrong with it then is nobody's fault */
    if (!out_of_reach && !is_disc_or_drive(err))
        return false;
    if (!varve_barcode_equal(&b->cut_off, &b->disc.barcode))
        b->guilty = health_bad(drive, &b->disc.barcode, act, err->text);
    b->not_drives |= UINT64_C(1) << drive->number;
    return false;
}

/* --- all positions of a set --- */

/* The disc that an earlier run gave to this position. A repair has the old disc there too, which
 * may be worth more to a reader but is not to be written. */
static bool
find_begun(struct burning *b, bool *ret_found, struct varve_error *err)
{
    enum { ROWS_MAX = 1024 };
    VARVE_CLEANUP_FREE struct varve_disc_row *rows = calloc(ROWS_MAX, sizeof *rows);
    size_t count;
    *ret_found = false;
    if (rows == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "discs of a set");
    if (!varve_catalog_set_discs(b->engine->catalog, b->set->id, rows, ROWS_MAX, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        bool sealed = rows[i].state == VARVE_DISC_SEALED;
        bool begun = rows[i].state == VARVE_DISC_BURNING || rows[i].state == VARVE_DISC_BURNED;
        if (rows[i].index != b->index || (!sealed && (!begun || *ret_found)))
            continue;
        b->disc = rows[i];
        b->sealed = sealed;
        *ret_found = true;
        if (sealed)
            break;
    }
    return true;
}

/* That, or a fresh blank. */
static bool
choose_disc(struct burning *b, struct varve_error *err)
{
    const struct varve_set *set = b->set;
    bool found;
    if (!find_begun(b, &found, err))
        return false;
    if (found)
        return true;
    struct varve_set sized = *set;
    sized.clusters = b->clusters; /* a parity image is longer than the data that it covers */
    if (!blank_take(b->engine, &sized, b->index, &b->disc, err))
        return false;
    b->disc.clusters = b->clusters;
    return save_disc(b->engine, &b->disc, err);
}

static bool
submit(struct burning *b, struct job *job, struct varve_error *err)
{
    const struct varve_set *set = b->set;
    if (!choose_disc(b, err))
        return varve_error_wrap(err, "disc %" PRIu32 " of %" PRIu32, b->index + 1, b->count);
    if (b->sealed) {
        job_add(job, 2 * b->clusters * VARVE_CLUSTER_BYTES, 0);
        return true;
    }
    b->task = (struct task){.class = TASK_BURN,
                            .barcode = b->disc.barcode,
                            .group = set->id.value,
                            .not_drives = b->not_drives,
                            .run = burn_task,
                            .context = b,
                            .job = job};
    if (!library_index(b->engine, b->disc.library, &b->task.library, err))
        return false;
    b->attempts++;
    b->submitted = true;
    task_submit(b->engine, &b->task);
    return true;
}

/* Burned and closed without a complaint, and then not read back by the same drive: another drive
 * says whose fault that is (faults 25, 26). */
static bool
ask_another_drive(struct burning *b, const struct varve_error *why)
{
    if (b->disc.state != VARVE_DISC_BURNED || b->guilty || b->asked_another ||
        !health_others_usable(b->engine, b->task.library, b->not_drives))
        return false;
    varve_log(VARVE_LOG_WARNING, "disc '%s': %s; another drive reads it", b->disc.barcode.text,
              why->text);
    b->asked_another = true;
    b->attempts--; /* it is the same disc */
    return true;
}

/* A disc that cannot become what it should is scrapped (INV-6), and the next attempt takes another
 * blank. *ret_again: worth another attempt. */
static bool
after_failure(struct burning *b, const struct varve_error *why, bool *ret_again,
              struct varve_error *err)
{
    *ret_again = b->attempts < BURN_ATTEMPTS_MAX;
    switch (why->kind) {
    case VARVE_ERROR_MEDIUM:
    case VARVE_ERROR_CORRUPT:
        if (ask_another_drive(b, why)) {
            *ret_again = true;
            return true;
        }
        b->asked_another = false; /* the next blank has its own chance */
        varve_log(VARVE_LOG_WARNING, "disc '%s' failed and is scrapped: %s", b->disc.barcode.text,
                  why->text);
        return disc_mark(b->engine, &b->disc.barcode, VARVE_DISC_FAILED, why->text, err);
    case VARVE_ERROR_WRONG_DISC:
        varve_log(VARVE_LOG_WARNING,
                  "disc '%s' is not used: %s\nexport it from library '%s' and put a blank in",
                  b->disc.barcode.text, why->text, b->disc.library);
        return disc_mark(b->engine, &b->disc.barcode,
                         b->disc.state == VARVE_DISC_BURNING ? VARVE_DISC_FOREIGN
                                                             : VARVE_DISC_FAILED,
                         why->text, err);
    case VARVE_ERROR_OFFLINE:
        varve_log(VARVE_LOG_WARNING, "disc '%s' is gone: %s", b->disc.barcode.text, why->text);
        return disc_mark(b->engine, &b->disc.barcode, VARVE_DISC_LOST, why->text, err);
    case VARVE_ERROR_NOT_READY:
    case VARVE_ERROR_HARDWARE:
        /* The disc may be fine: the next attempt looks at it and goes on where it stopped, or
         * scraps it. */
        varve_log(VARVE_LOG_WARNING, "disc '%s': %s; trying again", b->disc.barcode.text,
                  why->text);
        return true;
    case VARVE_ERROR_NONE:
    case VARVE_ERROR_SYSTEM:
    case VARVE_ERROR_NOMEM:
    case VARVE_ERROR_INVALID:
    case VARVE_ERROR_NOT_FOUND:
    case VARVE_ERROR_EXISTS:
    case VARVE_ERROR_BUSY:
    case VARVE_ERROR_NO_SPACE:
    case VARVE_ERROR_WAIT:
    case VARVE_ERROR_UNRECOVERABLE:
    case VARVE_ERROR_CANCELLED:
        break;
    }
    *ret_again =
        false; /* not the disc's fault: it stays assigned and the next run goes on with it */
    return true;
}

/* Waits for one position. *ret_again: it has to be submitted once more. False only on what stops
 * the set. */
static bool
settle(struct burning *b, bool *ret_again, struct varve_error *err)
{
    struct varve_error why = {0};
    *ret_again = false;
    if (b->sealed || !b->submitted)
        return true;
    b->submitted = false;
    if (task_wait(b->engine, &b->task, &why)) {
        b->sealed = true;
        return true;
    }
    varve_error_wrap(&why, "disc '%s' (%" PRIu32 " of %" PRIu32 ")", b->disc.barcode.text,
                     b->index + 1, b->count);
    if (!after_failure(b, &why, ret_again, err))
        return false;
    if (*ret_again)
        return true;
    *err = why;
    return false;
}

/* One round: every position that is not sealed yet is tried once. All tasks are waited for,
 * whatever happens. */
static bool
burn_round(struct burning *all, uint32_t count, struct job *job, bool *ret_again,
           struct varve_error *err)
{
    bool ok = true;
    *ret_again = false;
    for (uint32_t i = 0; ok && i < count; i++)
        ok = all[i].sealed || submit(&all[i], job, err);
    for (uint32_t i = 0; i < count; i++) {
        struct varve_error why = {0};
        bool again;
        if (!settle(&all[i], &again, &why)) {
            if (ok)
                *err = why; /* the first one is told */
            ok = false;
        }
        *ret_again = *ret_again || again;
    }
    return ok;
}

static bool
burn_all(struct burning *all, uint32_t count, struct job *job, struct varve_error *err)
{
    bool again = true;
    for (unsigned round = 0; again && round < 2 * BURN_ATTEMPTS_MAX; round++) {
        if (!burn_round(all, count, job, &again, err))
            return false;
    }
    return !again ||
           varve_error_set(err, VARVE_ERROR_MEDIUM, 0, "%d discs in a row failed for one position",
                           BURN_ATTEMPTS_MAX);
}

bool
set_burn(struct varve_engine *engine, struct job *job, struct set_images *images,
         struct varve_error *err)
{
    const struct varve_set *set = &images->set;
    VARVE_CLEANUP_FREE struct burning *all = calloc(images->count, sizeof *all);
    if (all == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "burn set %" PRIu64, set->id.value);
    for (uint32_t i = 0; i < images->count; i++) {
        struct varve_image *image = images->images[i];
        all[i] = (struct burning){.engine = engine,
                                  .set = set,
                                  .index = i,
                                  .count = images->count,
                                  .image = image,
                                  .raw_fd = -1,
                                  .crcs = varve_image_crcs(image),
                                  .clusters = varve_image_map(image)->clusters};
    }
    return burn_all(all, images->count, job, err) ||
           varve_error_wrap(err, "burn set %" PRIu64, set->id.value);
}

bool
disc_burn_raw(struct varve_engine *engine, struct job *job, const struct varve_set *set,
              uint32_t index, int raw_fd, const uint32_t *crcs, uint64_t clusters,
              struct varve_error *err)
{
    struct burning one = {.engine = engine,
                          .set = set,
                          .index = index,
                          .count = set->data_discs + set->parity_discs,
                          .raw_fd = raw_fd,
                          .crcs = crcs,
                          .clusters = clusters};
    return burn_all(&one, 1, job, err);
}
