/* SPDX-License-Identifier: Apache-2.0 */
/* A disc in a drive gives what recalls wait for: first what a reader waits for, then on from there,
 * then the gaps; every cluster checked before a byte of it is handed on (INV-12). */
#include "recall.h"

#include <inttypes.h>
#include <string.h>

enum { TROUBLES_MAX = 4 };

/* --- the piece that is being read --- */

const struct varve_piece *
entry_piece(const struct entry *entry)
{
    return &entry->pieces[entry->piece];
}

uint64_t
entry_first_cluster(const struct entry *entry)
{
    return entry_piece(entry)->lba / VARVE_CLUSTER_SECTORS;
}

uint64_t
entry_end_cluster(const struct entry *entry)
{
    const struct varve_piece *piece = entry_piece(entry);
    return (piece->lba * VARVE_SECTOR_BYTES + piece->bytes + VARVE_CLUSTER_BYTES - 1) /
           VARVE_CLUSTER_BYTES;
}

uint64_t
entry_cluster_of(const struct entry *entry, uint64_t offset)
{
    const struct varve_piece *piece = entry_piece(entry);
    return (piece->lba * VARVE_SECTOR_BYTES + offset - piece->offset) / VARVE_CLUSTER_BYTES;
}

void
entry_bytes_of(const struct entry *entry, uint64_t cluster, unsigned count, struct varve_range *ret)
{
    const struct varve_piece *piece = entry_piece(entry);
    uint64_t begin = piece->lba * VARVE_SECTOR_BYTES;
    uint64_t start = cluster * VARVE_CLUSTER_BYTES;
    uint64_t end = start + (uint64_t)count * VARVE_CLUSTER_BYTES;
    start = start > begin ? start - begin : 0;
    end = end - begin < piece->bytes ? end - begin : piece->bytes;
    *ret = (struct varve_range){piece->offset + start, piece->offset + end};
}

static struct varve_range
piece_range(const struct entry *entry)
{
    const struct varve_piece *piece = entry_piece(entry);
    return (struct varve_range){piece->offset, piece->offset + piece->bytes};
}

/* --- handing bytes on --- */

bool
entry_deliver(struct entry *entry, uint64_t cluster, unsigned count, const uint8_t *bytes,
              struct varve_error *err)
{
    struct varve_range range;
    const struct varve_piece *piece = entry_piece(entry);
    entry_bytes_of(entry, cluster, count, &range);
    uint64_t start = piece->lba * VARVE_SECTOR_BYTES + range.start - piece->offset;
    const uint8_t *from = &bytes[start - cluster * VARVE_CLUSTER_BYTES];
    size_t size = (size_t)(range.end - range.start);
    if (range.start == piece->offset + entry->hashed) {
        varve_sha256_update(entry->sha, from, size);
        entry->hashed += size;
    }
    atomic_fetch_add(&entry->handed, size);
    return varve_recall_write(entry->recall, range.start, from, size, err);
}

/* What came out of order is hashed from the file. */
static bool
hash_rest(struct entry *entry, uint8_t *buffer, struct varve_error *err)
{
    const struct varve_piece *piece = entry_piece(entry);
    while (entry->hashed < piece->bytes) {
        size_t size = SERVE_CLUSTERS * VARVE_CLUSTER_BYTES;
        if (size > piece->bytes - entry->hashed)
            size = (size_t)(piece->bytes - entry->hashed);
        if (!varve_recall_read(entry->recall, piece->offset + entry->hashed, buffer, size, err))
            return false;
        varve_sha256_update(entry->sha, buffer, size);
        entry->hashed += size;
    }
    return true;
}

/* After the last byte of a piece: its digest decides. */
static bool
check_piece(struct entry *entry, uint8_t *buffer, struct varve_error *err)
{
    struct varve_digest digest;
    const struct varve_piece *piece = entry_piece(entry);
    if (!hash_rest(entry, buffer, err))
        return false;
    varve_sha256_final(entry->sha, &digest);
    varve_sha256_reset(entry->sha);
    entry->hashed = 0;
    return !piece->has_digest || varve_digest_equal(&digest, &piece->digest) ||
           varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                           "its SHA-256 does not match although every cluster's CRC did: the "
                           "catalog or set %" PRIu64 " is damaged",
                           piece->set.value);
}

static void
finish(struct varve_engine *engine, struct entry *entry)
{
    struct varve_error err = {0};
    if (!varve_recall_end(entry->recall, NULL, &err))
        varve_log(VARVE_LOG_ERROR, "recall of content %" PRIu64 ": %s", entry->content.value,
                  err.text);
    entry_drop(engine->recalls, entry);
}

/* The piece that somebody waits for, else the first that is missing. */
static void
choose_piece(struct entry *entry)
{
    struct varve_range next = {0};
    const struct varve_range all = {0, entry->size};
    if (!varve_recall_next(entry->recall, NULL, &all, &next))
        next.start = 0;
    for (size_t i = 0; i < entry->piece_count; i++) {
        const struct varve_piece *piece = &entry->pieces[i];
        if (entry->done[i])
            continue;
        entry->piece = i;
        if (next.start >= piece->offset && next.start - piece->offset < piece->bytes)
            return;
    }
}

void
entry_piece_over(struct serving *serving, struct entry *entry)
{
    struct varve_engine *engine = serving->engine;
    struct varve_error err = {0};
    if (!check_piece(entry, serving->buffer, &err)) {
        entry_fail(engine, entry, &err);
        return;
    }
    varve_ranges_done(&entry->bad);
    entry->done[entry->piece] = true;
    if (atomic_fetch_sub(&entry->pieces_left, 1) == 1) {
        finish(engine, entry);
        return;
    }
    choose_piece(entry);
    entry_set_state(engine->recalls, entry, entry_locate(engine, entry));
    drives_wake(engine);
}

bool
entry_begin(struct varve_engine *engine, struct entry *entry, struct varve_error *err)
{
    return entry->recall != NULL ||
           varve_vfs_recall_begin(engine->vfs, entry->content, &entry->recall, err);
}

void
entry_give_up(struct varve_engine *engine, struct entry *entry, const struct varve_error *why)
{
    /* Deleted, rewritten, here already or being brought by another entry: vfs has told the waiters,
     * or will. */
    bool needless =
        entry->recall == NULL && (why->kind == VARVE_ERROR_NOT_FOUND ||
                                  why->kind == VARVE_ERROR_EXISTS || why->kind == VARVE_ERROR_BUSY);
    if (needless)
        entry_drop(engine->recalls, entry);
    else
        entry_fail(engine, entry, why);
}

/* --- reading --- */

/* False: the cluster is bad. */
static bool
get_cluster(struct serving *serving, uint64_t cluster, uint8_t *buffer)
{
    struct varve_error why = {0}; /* not told: the set has it too */
    if (cluster >= serving->crc_count || serving->troubles >= TROUBLES_MAX)
        return false; /* a drive that is gone takes its time-out for every cluster */
    bool read = varve_drive_read(drive_handle(serving->drive), cluster, 1, buffer, NULL, &why);
    serving->troubles = !read && is_drive_trouble(&why) ? serving->troubles + 1 : 0;
    return read && varve_crc32c(0, buffer, VARVE_CLUSTER_BYTES) == serving->crcs[cluster];
}

/* Several clusters by one command. False: it failed, or one of them does not match. */
static bool
get_clusters(struct serving *serving, uint64_t cluster, unsigned count)
{
    struct varve_error why = {0}; /* found out again cluster by cluster */
    if (count < 2 || cluster + count > serving->crc_count || serving->troubles > 0 ||
        !varve_drive_read(drive_handle(serving->drive), cluster, count, serving->buffer, NULL,
                          &why))
        return false;
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *bytes = &serving->buffer[(size_t)i * VARVE_CLUSTER_BYTES];
        if (varve_crc32c(0, bytes, VARVE_CLUSTER_BYTES) != serving->crcs[cluster + i])
            return false;
    }
    return true;
}

/* Noted, and not tried again on this disc. With too many places the rest of the piece counts. */
static bool
note_bad(struct serving *serving, struct entry *entry, uint64_t cluster, struct varve_error *err)
{
    struct varve_range range;
    struct varve_error full = {0};
    if (serving->bad.count++ == 0)
        serving->bad.first = cluster;
    serving->bad.last = cluster;
    entry_bytes_of(entry, cluster, 1, &range);
    if (varve_ranges_add(&entry->bad, range.start, range.end, &full))
        return true;
    if (full.kind != VARVE_ERROR_NO_SPACE) {
        *err = full;
        return false;
    }
    range = piece_range(entry);
    return varve_ranges_add(&entry->bad, range.start, range.end, err);
}

static bool
read_one_by_one(struct serving *serving, struct entry *entry, uint64_t cluster, unsigned count,
                struct varve_error *err)
{
    for (unsigned i = 0; i < count; i++) {
        if (!go_on(serving->engine, err))
            return false;
        bool good = get_cluster(serving, cluster + i, serving->buffer);
        if (good ? !entry_deliver(entry, cluster + i, 1, serving->buffer, err)
                 : !note_bad(serving, entry, cluster + i, err))
            return false;
    }
    return true;
}

static void
note_pace(struct recalls *recalls, uint64_t bytes, int64_t ns)
{
    if (ns <= 0)
        return;
    VARVE_LOCKED(&recalls->lock);
    recalls->pace.bytes_per_ns += 0.1 * ((double)bytes / (double)ns - recalls->pace.bytes_per_ns);
}

/* The beginning of `next`: one cluster after a jump, so that its reader has it soon, then ever
 * more. */
static bool
read_some(struct serving *serving, struct entry *entry, const struct varve_range *next,
          struct varve_error *err)
{
    struct varve_clock *clock = serving->engine->clock;
    uint64_t cluster = entry_cluster_of(entry, next->start);
    uint64_t left = entry_cluster_of(entry, next->end - 1) + 1 - cluster;
    if (cluster != serving->position || serving->burst == 0)
        serving->burst = 1;
    unsigned count = left < serving->burst ? (unsigned)left : serving->burst;
    int64_t begun = varve_clock_monotonic(clock);
    bool ok = get_clusters(serving, cluster, count)
                  ? entry_deliver(entry, cluster, count, serving->buffer, err)
                  : read_one_by_one(serving, entry, cluster, count, err);
    note_pace(serving->engine->recalls, (uint64_t)count * VARVE_CLUSTER_BYTES,
              varve_clock_monotonic(clock) - begun);
    serving->position = cluster + count;
    serving->burst = serving->burst < SERVE_CLUSTERS ? serving->burst * 2 : SERVE_CLUSTERS;
    return ok;
}

static bool
is_abandoned(struct serving *serving, struct entry *entry)
{
    uint64_t handed = atomic_load(&entry->handed);
    return recall_is_abandoned(entry->size > handed ? entry->size - handed : 0,
                               varve_recall_is_wanted(entry->recall),
                               varve_clock_monotonic(serving->engine->clock), &entry->unwanted_ns);
}

static void
abandon(struct varve_engine *engine, struct entry *entry)
{
    varve_log(VARVE_LOG_INFO, "recall of content %" PRIu64 ": nobody reads it any more",
              entry->content.value);
    varve_recall_abandon(entry->recall);
    entry_drop(engine->recalls, entry);
}

/* All that this disc gives of the piece. *ret_left: nobody wants the rest. */
static bool
serve_piece(struct serving *serving, struct entry *entry, bool *ret_left, struct varve_error *err)
{
    struct varve_range next;
    const struct varve_range within = piece_range(entry);
    *ret_left = false;
    while (varve_recall_next(entry->recall, &entry->bad, &within, &next)) {
        *ret_left = is_abandoned(serving, entry);
        if (*ret_left)
            return true;
        if (!go_on(serving->engine, err) || !read_some(serving, entry, &next, err))
            return false;
    }
    return true;
}

/* What this drive could not read of the disc another one may: one load, where the rest of the set
 * takes many. */
static void
send_on(struct serving *serving, struct entry *entry)
{
    struct varve_engine *engine = serving->engine;
    const struct drive *drive = serving->drive;
    uint64_t tried = entry->not_drives;
    if (drive != NULL)
        tried |= UINT64_C(1) << drive->number;
    bool elsewhere = drive != NULL && health_others_usable(engine, drive->library, tried);
    entry->not_drives = tried;
    if (elsewhere)
        varve_ranges_done(&entry->bad);
    entry_set_state(engine->recalls, entry, elsewhere ? ENTRY_WAITING : ENTRY_DEGRADED);
    if (elsewhere)
        drives_wake(engine);
}

void
serve_one(struct serving *serving, struct entry *entry)
{
    struct varve_error err = {0};
    bool left;
    if (!entry_begin(serving->engine, entry, &err) || !serve_piece(serving, entry, &left, &err))
        entry_give_up(serving->engine, entry, &err);
    else if (left)
        abandon(serving->engine, entry);
    else if (entry->bad.count > 0)
        send_on(serving, entry);
    else {
        serving->proved = serving->proved || entry->not_drives != 0;
        entry_piece_over(serving, entry);
    }
}

/* --- a disc --- */

static bool
open_serving(struct serving *serving, struct drive *drive, const struct varve_barcode *barcode,
             struct varve_error *err)
{
    struct varve_disc_row disc;
    *serving = (struct serving){.engine = drive->engine, .drive = drive};
    serving->buffer = aligned_alloc(4096, SERVE_CLUSTERS * VARVE_CLUSTER_BYTES);
    if (serving->buffer == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "recall");
    return varve_catalog_disc_get(drive->engine->catalog, barcode, &disc, err) &&
           disc_tables(drive->engine, drive, &disc, &serving->crcs, &serving->crc_count, err);
}

static void
close_serving(struct serving *serving)
{
    free(serving->buffer);
    free(serving->crcs);
}

/* The disc is noted only when no other drive can say that it is fine. */
static void
note_bad_clusters(struct serving *serving, const struct varve_barcode *barcode)
{
    struct varve_engine *engine = serving->engine;
    const struct drive *drive = serving->drive;
    char text[VARVE_REASON_BYTES];
    struct varve_disc_row disc;
    struct varve_error ignored = {0}; /* the note helps operators; the recall goes on without it */
    if (serving->troubles >= TROUBLES_MAX)
        (void)snprintf(text, sizeof text, "the drive stopped reading at a recall");
    else
        (void)bad_clusters_text(&serving->bad, serving->crc_count, text);
    bool guilty = health_bad(serving->drive, barcode, VARVE_INCIDENT_READ, text);
    bool asked = health_others_usable(engine, drive->library, UINT64_C(1) << drive->number);
    if ((!guilty && asked) || serving->troubles >= TROUBLES_MAX)
        return;
    VARVE_IGNORE(disc_mark(engine, barcode, VARVE_DISC_SUSPECT, text, &ignored));
    if (varve_catalog_disc_get(engine->catalog, barcode, &disc, &ignored))
        VARVE_IGNORE(set_regrade(engine, disc.set, &ignored));
}

/* Batches until nobody waits for the disc, or others have waited long enough for theirs. */
static void
serve_batches(struct serving *serving, const struct varve_barcode *barcode)
{
    enum { BATCH = 1024 };
    struct varve_engine *engine = serving->engine;
    VARVE_CLEANUP_FREE struct entry **batch = calloc(BATCH, sizeof(struct entry *));
    bool over = batch == NULL;
    while (!over && !stopping(engine)) {
        size_t count = entries_take(engine->recalls, serving->drive, barcode, batch, BATCH);
        over = count == 0;
        for (size_t i = 0; i < count; i++) {
            over = over || turn_is_over(engine, serving->drive, barcode);
            if (over) {
                entry_set_state(engine->recalls, batch[i], ENTRY_WAITING);
                continue;
            }
            bool reader = batch[i]->reader;
            serve_one(serving, batch[i]);
            if (reader)
                serving->drive->served_ns = varve_clock_monotonic(engine->clock);
        }
    }
}

/* `arrived`: the disc is there, and the drive cannot read what it is. What was wrong before is
 * noted already. */
static bool
try_elsewhere(struct varve_engine *engine, struct drive *drive, const struct varve_barcode *barcode,
              const struct varve_error *why, bool arrived)
{
    if (arrived && !is_disc_or_drive(why))
        return false;
    if (!arrived && !varve_library_drive_refused(drive_library(drive), drive->number))
        return false;
    if (arrived && health_bad(drive, barcode, VARVE_INCIDENT_READ, why->text))
        return false;
    return recalls_try_elsewhere(engine, drive, barcode);
}

void
recalls_serve(struct varve_engine *engine, struct drive *drive, const struct varve_barcode *barcode,
              const struct varve_error *failure)
{
    struct serving serving = {0};
    struct varve_error err = {0};
    if (failure != NULL)
        err = *failure;
    bool ready = failure == NULL && open_serving(&serving, drive, barcode, &err);
    if (ready)
        serve_batches(&serving, barcode);
    else if (!stopping(engine) && !try_elsewhere(engine, drive, barcode, &err, failure == NULL))
        recalls_give_up_disc(engine, barcode, &err);
    if (serving.bad.count > 0)
        note_bad_clusters(&serving, barcode);
    else if (serving.proved)
        health_good(drive, barcode);
    close_serving(&serving);
}
