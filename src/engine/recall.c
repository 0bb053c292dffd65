/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing contents back: grouped by disc, read in the order of addresses, every cluster checked
 * before a byte of it is handed on (INV-12). What a disc does not give comes from the rest of its
 * set. */
#include "recall.h"
#include "engine_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/* --- entries --- */

void
entry_free(struct entry *entry)
{
    if (entry->patch_fd >= 0)
        (void)close(entry->patch_fd);
    varve_sha256_free(entry->sha);
    free(entry->bad);
    free(entry->patched);
    free(entry->pieces);
    free(entry);
}

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
entry_next_cluster(const struct entry *entry)
{
    return (entry_piece(entry)->lba * VARVE_SECTOR_BYTES + entry->done) / VARVE_CLUSTER_BYTES;
}

bool
entry_is_patched(const struct entry *entry, uint64_t cluster)
{
    return entry->patched != NULL && entry->patched[cluster - entry_first_cluster(entry)] != 0;
}

/* Where the current piece is to be had: from a disc in a library, or only by way of the others. The
 * state comes back because only the caller knows whether others can see the entry already. */
static enum entry_state
locate(struct varve_engine *engine, struct entry *entry)
{
    struct varve_disc_row disc;
    struct varve_error ignored = {0}; /* not at hand, for whatever reason: the set has to serve */
    const struct varve_piece *piece = entry_piece(entry);
    bool here = set_disc(engine, piece->set, piece->index, &disc, &ignored) &&
                (disc.state == VARVE_DISC_SEALED || disc.state == VARVE_DISC_SUSPECT) &&
                library_index(engine, disc.library, &entry->library, &ignored);
    if (!here)
        return ENTRY_DEGRADED;
    entry->barcode = disc.barcode;
    return ENTRY_WAITING;
}

/* A content may lie in several sets (a second copy; a set that was given up half burned and found
 * again by a rebuild). Keeps the pieces of one: the first that is whole, else the first. */
static void
keep_best_set(struct varve_engine *engine, struct entry *entry, size_t count)
{
    size_t best = 0;
    for (size_t i = 0; i < count; i++) {
        struct varve_set set;
        struct varve_error ignored = {0}; /* a set that cannot be looked at is not the best */
        if ((i == 0 || entry->pieces[i].set.value != entry->pieces[i - 1].set.value) &&
            varve_catalog_set_get(engine->catalog, entry->pieces[i].set, &set, &ignored) &&
            set.state == VARVE_SET_SEALED) {
            best = i;
            break;
        }
    }
    size_t kept = 0;
    while (best + kept < count &&
           entry->pieces[best + kept].set.value == entry->pieces[best].set.value)
        kept++;
    memmove(entry->pieces, &entry->pieces[best], kept * sizeof entry->pieces[0]);
    entry->piece_count = kept;
}

static bool
entry_new(struct varve_engine *engine, struct varve_content_id content, struct entry **ret,
          struct varve_error *err)
{
    enum { PIECES_MAX = 4096 };
    struct entry *entry = calloc(1, sizeof *entry);
    size_t count = 0;
    if (entry != NULL) {
        entry->patch_fd = -1;
        entry->content = content;
        entry->pieces = calloc(PIECES_MAX, sizeof *entry->pieces);
    }
    bool ok = entry != NULL && entry->pieces != NULL && varve_sha256_new(&entry->sha, err);
    if (!ok)
        varve_error_set(err, VARVE_ERROR_NOMEM, 0, "recall");
    ok = ok &&
         varve_catalog_pieces(engine->catalog, content, entry->pieces, PIECES_MAX, &count, err);
    if (ok)
        keep_best_set(engine, entry, count);
    if (ok && entry->piece_count == 0)
        ok = varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                             "the catalog knows no disc for content %" PRIu64, content.value);
    if (!ok) {
        if (entry != NULL)
            entry_free(entry);
        return false;
    }
    struct varve_piece *pieces = realloc(entry->pieces, entry->piece_count * sizeof *pieces);
    if (pieces != NULL)
        entry->pieces = pieces;
    entry->state = locate(engine, entry);
    *ret = entry;
    return true;
}

/* False when recalls were ended: nobody would look at the entry any more. */
static bool
join_line(struct recalls *recalls, struct entry *entry)
{
    VARVE_LOCKED(&recalls->lock);
    if (stopping(recalls->engine))
        return false;
    struct entry **link = &recalls->entries;
    while (*link != NULL)
        link = &(*link)->next;
    *link = entry;
    recalls->count++;
    pthread_cond_broadcast(&recalls->changed);
    return true;
}

static bool
request(void *context, struct varve_content_id content, struct varve_error *err)
{
    struct varve_engine *engine = context;
    struct recalls *recalls = engine->recalls;
    struct entry *entry;
    if (!go_on(engine, err) || !entry_new(engine, content, &entry, err))
        return varve_error_wrap(err, "recall");
    if (!join_line(recalls, entry)) {
        entry_free(entry);
        return go_on(engine, err);
    }
    drives_wake(engine);
    return true;
}

/* --- the end of an entry --- */

static void
drop(struct recalls *recalls, struct entry *entry)
{
    {
        VARVE_LOCKED(&recalls->lock);
        for (struct entry **link = &recalls->entries; *link != NULL; link = &(*link)->next) {
            if (*link == entry) {
                *link = entry->next;
                recalls->count--;
                break;
            }
        }
    }
    entry_free(entry);
}

void
entry_fail(struct varve_engine *engine, struct entry *entry, const struct varve_error *why)
{
    struct varve_error ignored = {0}; /* the waiters get `why` */
    varve_log(why->kind == VARVE_ERROR_CANCELLED ? VARVE_LOG_INFO : VARVE_LOG_ERROR,
              "recall of content %" PRIu64 ": %s", entry->content.value, why->text);
    if (entry->recall != NULL)
        VARVE_IGNORE(varve_recall_end(entry->recall, why, &ignored));
    else
        varve_vfs_recall_fail(engine->vfs, entry->content, why);
    drop(engine->recalls, entry);
}

static void
finish(struct varve_engine *engine, struct entry *entry)
{
    struct varve_error err = {0};
    if (!varve_recall_end(entry->recall, NULL, &err))
        varve_log(VARVE_LOG_ERROR, "recall of content %" PRIu64 ": %s", entry->content.value,
                  err.text);
    drop(engine->recalls, entry);
}

static void
set_state(struct recalls *recalls, struct entry *entry, enum entry_state state)
{
    VARVE_LOCKED(&recalls->lock);
    entry->state = state;
    pthread_cond_broadcast(&recalls->changed);
}

/* --- handing bytes on --- */

/* The bytes of a checked cluster that belong to the piece and were not handed on yet. */
static bool
deliver(struct entry *entry, uint64_t cluster, const uint8_t *bytes, struct varve_error *err)
{
    const struct varve_piece *piece = entry_piece(entry);
    uint64_t start = piece->lba * VARVE_SECTOR_BYTES + entry->done;
    uint64_t skip = start - cluster * VARVE_CLUSTER_BYTES;
    uint64_t count = VARVE_CLUSTER_BYTES - skip;
    if (count > piece->bytes - entry->done)
        count = piece->bytes - entry->done;
    varve_sha256_update(entry->sha, &bytes[skip], (size_t)count);
    if (!varve_recall_write(entry->recall, &bytes[skip], (size_t)count, err))
        return false;
    entry->done += count;
    return true;
}

/* After the last byte of a piece: its digest decides. *ret_over: that was the last piece. */
static bool
end_piece(struct entry *entry, bool *ret_over, struct varve_error *err)
{
    struct varve_digest digest;
    const struct varve_piece *piece = entry_piece(entry);
    varve_sha256_final(entry->sha, &digest);
    varve_sha256_reset(entry->sha);
    if (piece->has_digest && !varve_digest_equal(&digest, &piece->digest))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "its SHA-256 does not match although every cluster's CRC did: the "
                               "catalog or set %" PRIu64 " is damaged",
                               piece->set.value);
    entry->piece++;
    entry->done = 0;
    entry->rounds = 0;
    free(entry->patched);
    entry->patched = NULL;
    if (entry->patch_fd >= 0)
        (void)close(entry->patch_fd);
    entry->patch_fd = -1;
    *ret_over = entry->piece == entry->piece_count;
    return true;
}

static bool
begin(struct varve_engine *engine, struct entry *entry, struct varve_error *err)
{
    return entry->recall != NULL ||
           varve_vfs_recall_begin(engine->vfs, entry->content, &entry->recall, err);
}

/* A good cluster of the entry's disc: patched, or from the drive. False without error: it is bad.
 */
static bool
get_cluster(struct serving *serving, struct entry *entry, uint64_t cluster, uint8_t *buffer)
{
    struct varve_error why = {0}; /* not told: the set has it too */
    if (entry_is_patched(entry, cluster))
        return varve_file_pread(entry->patch_fd, buffer, VARVE_CLUSTER_BYTES,
                                (cluster - entry_first_cluster(entry)) * VARVE_CLUSTER_BYTES, &why);
    if (serving->drive == NULL || cluster >= serving->crc_count)
        return false;
    bool read = varve_drive_read(drive_handle(serving->drive), cluster, 1, buffer, NULL, &why);
    serving->troubles = !read && is_drive_trouble(&why) ? serving->troubles + 1 : 0;
    return read && varve_crc32c(0, buffer, VARVE_CLUSTER_BYTES) == serving->crcs[cluster];
}

enum { TROUBLES_MAX = 4 };

/* Goes through the rest of the piece and marks what is bad, so that one degraded read brings it
 * all. */
static bool
survey(struct serving *serving, struct entry *entry, uint8_t *buffer, struct varve_error *err)
{
    uint64_t first = entry_first_cluster(entry);
    free(entry->bad);
    entry->bad = calloc((size_t)(entry_end_cluster(entry) - first), 1);
    if (entry->bad == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "recall");
    for (uint64_t cluster = entry_next_cluster(entry); cluster < entry_end_cluster(entry);
         cluster++) {
        if (!go_on(serving->engine, err))
            return false;
        /* A drive that is gone takes its time-out for every cluster: the set is faster. */
        entry->bad[cluster - first] =
            serving->troubles >= TROUBLES_MAX || !get_cluster(serving, entry, cluster, buffer);
    }
    return true;
}

/* Serves one entry as far as this disc (or its patches) reach. False with an error: the entry is
 * lost. */
static bool
serve_entry(struct serving *serving, struct entry *entry, bool *ret_over, struct varve_error *err)
{
    *ret_over = false;
    if (!begin(serving->engine, entry, err))
        return false;
    for (uint64_t cluster = entry_next_cluster(entry); cluster < entry_end_cluster(entry);
         cluster++) {
        if (!go_on(serving->engine, err))
            return false;
        if (!get_cluster(serving, entry, cluster, serving->buffer)) {
            serving->bad_clusters += serving->troubles == 0; /* else the drive is to blame */
            if (!survey(serving, entry, serving->buffer, err))
                return false;
            set_state(serving->engine->recalls, entry, ENTRY_DEGRADED);
            return true;
        }
        if (!deliver(entry, cluster, serving->buffer, err))
            return false;
    }
    if (!end_piece(entry, ret_over, err))
        return false;
    if (!*ret_over) {
        set_state(serving->engine->recalls, entry, locate(serving->engine, entry));
        drives_wake(serving->engine);
    }
    return true;
}

void
serve_one(struct serving *serving, struct entry *entry)
{
    struct varve_error err = {0};
    bool over;
    if (serve_entry(serving, entry, &over, &err)) {
        if (over)
            finish(serving->engine, entry);
        return;
    }
    if (entry->recall == NULL &&
        (err.kind == VARVE_ERROR_NOT_FOUND || err.kind == VARVE_ERROR_EXISTS))
        drop(serving->engine->recalls,
             entry); /* deleted, rewritten or here already: vfs has told the waiters */
    else
        entry_fail(serving->engine, entry, &err);
}

/* --- serving a disc --- */

static int
compare_entries(const void *a, const void *b)
{
    uint64_t x = entry_piece(*(struct entry *const *)a)->lba;
    uint64_t y = entry_piece(*(struct entry *const *)b)->lba;
    return x < y ? -1 : x > y;
}

/* Takes all entries that wait for the disc, in the order of addresses. */
static size_t
take_waiting(struct recalls *recalls, const struct varve_barcode *barcode, struct entry **ret,
             size_t max)
{
    VARVE_LOCKED(&recalls->lock);
    size_t count = 0;
    for (struct entry *entry = recalls->entries; entry != NULL && count < max;
         entry = entry->next) {
        if (entry->state == ENTRY_WAITING && varve_barcode_equal(&entry->barcode, barcode)) {
            entry->state = ENTRY_SERVING;
            ret[count++] = entry;
        }
    }
    qsort(ret, count, sizeof(struct entry *), compare_entries);
    return count;
}

static bool
open_serving(struct serving *serving, struct drive *drive, const struct varve_barcode *barcode,
             struct varve_error *err)
{
    struct varve_disc_row disc;
    *serving = (struct serving){.engine = drive->engine, .drive = drive};
    serving->buffer = aligned_alloc(4096, VARVE_CLUSTER_BYTES);
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

/* The disc cannot serve at all: what it is worth is noted, and everybody goes the degraded way. */
static void
give_up_disc(struct varve_engine *engine, const struct varve_barcode *barcode,
             const struct varve_error *why)
{
    struct varve_disc_row disc;
    struct varve_error ignored = {0}; /* the note helps operators; the recall goes on without it */
    varve_log(VARVE_LOG_WARNING, "recall: disc '%s': %s; reading from the rest of its set",
              barcode->text, why->text);
    if (why->kind == VARVE_ERROR_OFFLINE)
        VARVE_IGNORE(disc_mark(engine, barcode, VARVE_DISC_LOST, why->text, &ignored));
    else if (why->kind == VARVE_ERROR_WRONG_DISC || why->kind == VARVE_ERROR_MEDIUM ||
             why->kind == VARVE_ERROR_CORRUPT)
        VARVE_IGNORE(disc_mark(engine, barcode, VARVE_DISC_SUSPECT, why->text, &ignored));
    if (varve_catalog_disc_get(engine->catalog, barcode, &disc, &ignored))
        VARVE_IGNORE(set_regrade(engine, disc.set, &ignored));
    VARVE_LOCKED(&engine->recalls->lock);
    for (struct entry *entry = engine->recalls->entries; entry != NULL; entry = entry->next) {
        if (entry->state == ENTRY_WAITING && varve_barcode_equal(&entry->barcode, barcode))
            entry->state = ENTRY_DEGRADED;
    }
    pthread_cond_broadcast(&engine->recalls->changed);
}

static void
note_bad_clusters(struct varve_engine *engine, const struct varve_barcode *barcode, uint64_t bad)
{
    char text[64];
    struct varve_disc_row disc;
    struct varve_error ignored = {0}; /* as above */
    (void)snprintf(text, sizeof text, "clusters did not match at a recall");
    varve_log(VARVE_LOG_WARNING,
              "recall: disc '%s': clusters do not match (%" PRIu64 " files touched)", barcode->text,
              bad);
    VARVE_IGNORE(disc_mark(engine, barcode, VARVE_DISC_SUSPECT, text, &ignored));
    if (varve_catalog_disc_get(engine->catalog, barcode, &disc, &ignored))
        VARVE_IGNORE(set_regrade(engine, disc.set, &ignored));
}

void
recalls_serve(struct varve_engine *engine, struct drive *drive, const struct varve_barcode *barcode,
              const struct varve_error *failure)
{
    enum { BATCH = 1024 };
    struct serving serving = {0};
    struct varve_error err = {0};
    VARVE_CLEANUP_FREE struct entry **batch = calloc(BATCH, sizeof(struct entry *));
    bool ready = batch != NULL && failure == NULL && open_serving(&serving, drive, barcode, &err);
    if (!ready && !stopping(engine))
        give_up_disc(engine, barcode, failure != NULL ? failure : &err);
    for (size_t count = BATCH; ready && count > 0 && !stopping(engine);) {
        count = take_waiting(engine->recalls, barcode, batch, BATCH);
        for (size_t i = 0; i < count; i++)
            serve_one(&serving, batch[i]);
    }
    if (serving.bad_clusters > 0)
        note_bad_clusters(engine, barcode, serving.bad_clusters);
    close_serving(&serving);
}

/* --- what drives ask --- */

bool
recalls_next_disc(struct varve_engine *engine, const struct drive *drive,
                  const struct varve_barcode *loaded, const struct discs_taken *taken,
                  struct varve_barcode *ret)
{
    struct recalls *recalls = engine->recalls;
    const struct entry *best = NULL;
    VARVE_LOCKED(&recalls->lock);
    for (const struct entry *entry = recalls->entries; entry != NULL; entry = entry->next) {
        if (entry->state != ENTRY_WAITING || entry->library != drive->library ||
            is_taken(taken, &entry->barcode))
            continue;
        bool here = varve_barcode_equal(&entry->barcode, loaded);
        if (best == NULL || here)
            best = entry;
        if (here)
            break;
    }
    if (best == NULL)
        return false;
    *ret = best->barcode;
    return true;
}

bool
recalls_wait_for(struct varve_engine *engine, const struct varve_barcode *barcode)
{
    VARVE_LOCKED(&engine->recalls->lock);
    for (const struct entry *entry = engine->recalls->entries; entry != NULL; entry = entry->next) {
        if (entry->state == ENTRY_WAITING && varve_barcode_equal(&entry->barcode, barcode))
            return true;
    }
    return false;
}

uint64_t
recalls_waiting(struct varve_engine *engine)
{
    VARVE_LOCKED(&engine->recalls->lock);
    return engine->recalls->count;
}

/* --- life --- */

bool
recalls_start(struct varve_engine *engine, struct varve_error *err)
{
    struct recalls *recalls = calloc(1, sizeof *recalls);
    if (recalls == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "start recalls");
    (void)pthread_mutex_init(&recalls->lock, NULL);
    (void)pthread_cond_init(&recalls->changed, NULL);
    recalls->engine = engine;
    engine->recalls = recalls;
    int failed = pthread_create(&recalls->thread, NULL, degraded_thread, recalls);
    if (failed != 0)
        return varve_error_system(err, failed, "start the recall thread");
    recalls->running = true;
    const struct varve_recall_port port = {engine, request};
    varve_vfs_set_recall_port(engine->vfs, &port);
    return true;
}

void
recalls_stop(struct varve_engine *engine)
{
    struct recalls *recalls = engine->recalls;
    if (recalls == NULL)
        return;
    {
        VARVE_LOCKED(&recalls->lock);
        pthread_cond_broadcast(&recalls->changed);
    }
    if (recalls->running)
        (void)pthread_join(recalls->thread, NULL);
    varve_vfs_set_recall_port(engine->vfs, NULL);
    struct varve_error why = {0};
    varve_error_set(&why, VARVE_ERROR_CANCELLED, 0, "varve is stopping");
    while (recalls->entries != NULL)
        entry_fail(engine, recalls->entries, &why);
}

void
recalls_free(struct varve_engine *engine)
{
    struct recalls *recalls = engine->recalls;
    if (recalls == NULL)
        return;
    (void)pthread_mutex_destroy(&recalls->lock);
    (void)pthread_cond_destroy(&recalls->changed);
    free(recalls);
    engine->recalls = NULL;
}
