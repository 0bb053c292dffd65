/* SPDX-License-Identifier: Apache-2.0 */
/* The line of contents that are to come back, and which disc is next. */
#include "recall.h"
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>

/* Until something was measured: 4x Blu-ray. */
#define BYTES_PER_NS_GUESS 0.018

/* --- entries --- */

void
entry_free(struct entry *entry)
{
    varve_sha256_free(entry->sha);
    varve_ranges_done(&entry->bad);
    free(entry->done);
    free(entry->pieces);
    free(entry);
}

enum entry_state
entry_locate(struct varve_engine *engine, struct entry *entry)
{
    struct reach reach;
    struct varve_error ignored = {0}; /* not at hand, for whatever reason: the set has to serve */
    if (!piece_reach(engine, entry_piece(entry), &reach, &ignored) || reach.degraded)
        return ENTRY_DEGRADED;
    VARVE_LOCKED(&engine->recalls->lock); /* others list entries that are being served */
    if (!varve_barcode_equal(&entry->barcode, &reach.barcode))
        entry->not_drives = 0;
    entry->library = reach.library;
    entry->barcode = reach.barcode;
    entry->since_ns = varve_clock_monotonic(engine->clock);
    return ENTRY_WAITING;
}

/* A content may lie in several sets (a second copy; a set that was given up half burned and found
 * again by a rebuild). Keeps the pieces of one: the first that is whole, else the first. */
static void
keep_best_set(struct varve_engine *engine, struct varve_piece *pieces, size_t *count)
{
    size_t best = 0;
    for (size_t i = 0; i < *count; i++) {
        struct varve_set set;
        struct varve_error ignored = {0}; /* a set that cannot be looked at is not the best */
        if ((i == 0 || pieces[i].set.value != pieces[i - 1].set.value) &&
            varve_catalog_set_get(engine->catalog, pieces[i].set, &set, &ignored) &&
            set.state == VARVE_SET_SEALED) {
            best = i;
            break;
        }
    }
    size_t kept = 0;
    while (best + kept < *count && pieces[best + kept].set.value == pieces[best].set.value)
        kept++;
    memmove(pieces, &pieces[best], kept * sizeof pieces[0]);
    *count = kept;
}

bool
content_pieces(struct varve_engine *engine, struct varve_content_id content,
               struct varve_piece **ret, size_t *ret_count, struct varve_error *err)
{
    enum { PIECES_MAX = 4096 };
    VARVE_CLEANUP_FREE struct varve_piece *pieces = calloc(PIECES_MAX, sizeof *pieces);
    size_t count = 0;
    if (pieces == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "recall");
    if (!varve_catalog_pieces(engine->catalog, content, pieces, PIECES_MAX, &count, err))
        return false;
    keep_best_set(engine, pieces, &count);
    if (count == 0)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "the catalog knows no disc for content %" PRIu64, content.value);
    struct varve_piece *smaller = realloc(pieces, count * sizeof *pieces);
    if (smaller != NULL)
        pieces = smaller;
    *ret = VARVE_TAKE(pieces);
    *ret_count = count;
    return true;
}

/* Which piece comes first; none of them may be out of reach. */
static bool
load_pieces(struct varve_engine *engine, struct entry *entry, struct varve_error *err)
{
    if (!content_pieces(engine, entry->content, &entry->pieces, &entry->piece_count, err))
        return false;
    entry->pieces_left = entry->piece_count;
    for (size_t i = 0; i < entry->piece_count; i++) {
        const struct varve_piece *piece = &entry->pieces[i];
        struct reach reach;
        if (!piece_reach(engine, piece, &reach, err))
            return false;
        if (entry->first >= piece->offset)
            entry->piece = i;
        entry->size = piece->offset + piece->bytes;
    }
    return true;
}

static bool
entry_new(struct varve_engine *engine, const struct varve_recall_wish *wish, struct entry **ret,
          struct varve_error *err)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "recall");
    entry->content = wish->content;
    entry->first = wish->offset;
    entry->reader = wish->reader;
    entry->uid = wish->uid;
    bool ok = load_pieces(engine, entry, err) && varve_sha256_new(&entry->sha, err);
    entry->done = ok ? calloc(entry->piece_count, sizeof *entry->done) : NULL;
    if (ok && entry->done == NULL)
        ok = varve_error_set(err, VARVE_ERROR_NOMEM, 0, "recall");
    if (!ok) {
        entry_free(entry);
        return false;
    }
    entry->state = entry_locate(engine, entry);
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

/* A reader waits for what a job asked for. It may be over by now: then he was told. */
static void
urge(struct recalls *recalls, const struct varve_recall_wish *wish)
{
    VARVE_LOCKED(&recalls->lock);
    for (struct entry *entry = recalls->entries; entry != NULL; entry = entry->next) {
        if (entry->content.value != wish->content.value || entry->reader)
            continue;
        entry->reader = true;
        entry->uid = wish->uid;
    }
}

static bool
request(void *context, const struct varve_recall_wish *wish, struct varve_error *err)
{
    struct varve_engine *engine = context;
    struct recalls *recalls = engine->recalls;
    struct entry *entry = NULL;
    if (wish->again) {
        urge(recalls, wish);
        return true;
    }
    if (!go_on(engine, err) || !entry_new(engine, wish, &entry, err))
        return varve_error_wrap(err, "recall");
    if (!join_line(recalls, entry)) {
        entry_free(entry);
        return go_on(engine, err);
    }
    drives_wake(engine);
    return true;
}

/* Nobody waits any more: a content that no drive has begun with leaves the line. */
static void
forget(void *context, struct varve_content_id content)
{
    struct varve_engine *engine = context;
    struct recalls *recalls = engine->recalls;
    struct entry *found = NULL;
    {
        VARVE_LOCKED(&recalls->lock);
        for (struct entry **link = &recalls->entries; *link != NULL; link = &(*link)->next) {
            struct entry *entry = *link;
            if (entry->content.value != content.value || entry->recall != NULL ||
                (entry->state != ENTRY_WAITING && entry->state != ENTRY_DEGRADED))
                continue;
            found = entry;
            *link = entry->next;
            recalls->count--;
            break;
        }
    }
    if (found != NULL)
        entry_free(found);
}

/* --- the end of an entry --- */

void
entry_drop(struct recalls *recalls, struct entry *entry)
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
    entry_drop(engine->recalls, entry);
}

void
entry_set_state(struct recalls *recalls, struct entry *entry, enum entry_state state)
{
    VARVE_LOCKED(&recalls->lock);
    entry->state = state;
    pthread_cond_broadcast(&recalls->changed);
}

/* --- what a disc serves --- */

static uint64_t
usable_of(const struct drive *drive)
{
    VARVE_LOCKED(&drive->engine->tasks_lock);
    return drives_usable(drive->engine, drive->library);
}

static int
compare_entries(const void *a, const void *b)
{
    uint64_t x = entry_piece(*(struct entry *const *)a)->lba;
    uint64_t y = entry_piece(*(struct entry *const *)b)->lba;
    return x < y ? -1 : x > y;
}

static bool
may_serve(const struct entry *entry, unsigned drive, uint64_t usable)
{
    return (entry->not_drives >> drive & 1) == 0 || (usable & ~entry->not_drives) == 0;
}

size_t
entries_take(struct recalls *recalls, const struct drive *drive,
             const struct varve_barcode *barcode, struct entry **ret, size_t max)
{
    uint64_t usable = usable_of(drive);
    VARVE_LOCKED(&recalls->lock);
    size_t count = 0;
    for (struct entry *entry = recalls->entries; entry != NULL && count < max;
         entry = entry->next) {
        if (entry->state == ENTRY_WAITING && varve_barcode_equal(&entry->barcode, barcode) &&
            may_serve(entry, drive->number, usable)) {
            entry->state = ENTRY_SERVING;
            ret[count++] = entry;
        }
    }
    qsort(ret, count, sizeof(struct entry *), compare_entries);
    return count;
}

/* What the disc is worth is noted, too. */
void
recalls_give_up_disc(struct varve_engine *engine, const struct varve_barcode *barcode,
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

/* --- what drives ask --- */

bool
turn_is_over(struct varve_engine *engine, const struct drive *drive,
             const struct varve_barcode *loaded)
{
    VARVE_LOCKED(&engine->recalls->lock);
    if (!schedule_turn_is_over(drive->turn_ns, varve_clock_monotonic(engine->clock),
                               engine->recalls->pace.load_ns))
        return false;
    for (const struct entry *entry = engine->recalls->entries; entry != NULL; entry = entry->next) {
        if (entry->state == ENTRY_WAITING && entry->library == drive->library &&
            !varve_barcode_equal(&entry->barcode, loaded))
            return true;
    }
    return false;
}

/* Under the lock. */
static struct user_turn *
turn_of(struct recalls *recalls, uint32_t uid)
{
    for (size_t i = 0; i < USER_TURNS_MAX; i++) {
        if (recalls->users[i].used && recalls->users[i].uid == uid)
            return &recalls->users[i];
    }
    return NULL;
}

void
recalls_note_turn(struct varve_engine *engine, const struct schedule_task *task)
{
    struct recalls *recalls = engine->recalls;
    if (!task->reader)
        return;
    VARVE_LOCKED(&recalls->lock);
    struct user_turn *turn = turn_of(recalls, task->user);
    if (turn == NULL)
        turn = &recalls->users[recalls->user_next++ % USER_TURNS_MAX];
    *turn = (struct user_turn){true, task->user, varve_clock_monotonic(engine->clock)};
}

static double
rank(const struct recalls *recalls, const struct schedule_task *task)
{
    const struct rank_input input = {.since_ns = task->since_ns,
                                     .turn_ns = task->turn_ns,
                                     .reader = task->reader,
                                     .load_ns = recalls->pace.load_ns};
    return recall_rank(&input);
}

/* Tasks found by their disc: open addressing, twice as many places as tasks. */
enum { PLACES = 2 * PLANNING_MAX };
struct collecting {
    struct schedule_task *tasks;
    size_t count, max;
    uint16_t places[PLACES]; /* index + 1 */
};

/* The task of the disc and those drives, a new one, or NULL: there are too many. */
static struct schedule_task *
task_of(struct collecting *c, const struct entry *entry, bool *ret_fresh)
{
    *ret_fresh = false;
    uint32_t hash = varve_crc32c(0, entry->barcode.text, sizeof entry->barcode.text);
    for (size_t at = hash % PLACES;; at = (at + 1) % PLACES) {
        if (c->places[at] == 0) {
            if (c->count == c->max)
                return NULL;
            *ret_fresh = true;
            c->places[at] = (uint16_t)(++c->count);
            struct schedule_task *fresh = &c->tasks[c->count - 1];
            *fresh =
                (struct schedule_task){.disc = entry->barcode, .not_drives = entry->not_drives};
            return fresh;
        }
        struct schedule_task *task = &c->tasks[c->places[at] - 1];
        if (task->not_drives == entry->not_drives &&
            varve_barcode_equal(&task->disc, &entry->barcode))
            return task;
    }
}

/* Under the lock. */
static void
collect(struct recalls *recalls, struct collecting *c, const struct entry *entry)
{
    const struct user_turn *turn = entry->reader ? turn_of(recalls, entry->uid) : NULL;
    bool first;
    struct schedule_task *task = task_of(c, entry, &first);
    if (task == NULL)
        return;
    struct schedule_task own = *task;
    own.class = TASK_RECALL;
    own.reader = entry->reader;
    own.since_ns = entry->since_ns;
    own.turn_ns = turn != NULL ? turn->since_ns : INT64_MIN;
    own.user = entry->uid;
    unsigned crowd = first ? 0 : task->crowd + 1;
    if (first || rank(recalls, &own) < rank(recalls, task))
        *task = own;
    task->crowd = crowd;
}

size_t
recalls_collect(struct varve_engine *engine, size_t library, struct schedule_task *ret, size_t max)
{
    struct recalls *recalls = engine->recalls;
    struct collecting c = {.tasks = ret, .max = max < PLANNING_MAX ? max : PLANNING_MAX};
    VARVE_LOCKED(&recalls->lock);
    for (const struct entry *entry = recalls->entries; entry != NULL; entry = entry->next) {
        if (entry->state == ENTRY_WAITING && entry->library == library)
            collect(recalls, &c, entry);
    }
    return c.count;
}

void
recalls_give_up_library(struct varve_engine *engine, size_t library)
{
    struct recalls *recalls = engine->recalls;
    if (recalls == NULL)
        return;
    VARVE_LOCKED(&recalls->lock);
    for (struct entry *entry = recalls->entries; entry != NULL; entry = entry->next) {
        if (entry->state == ENTRY_WAITING && entry->library == library)
            entry->state = ENTRY_DEGRADED;
    }
    pthread_cond_broadcast(&recalls->changed);
}

bool
recalls_wait_for(struct varve_engine *engine, const struct drive *drive)
{
    VARVE_LOCKED(&engine->recalls->lock);
    for (const struct entry *entry = engine->recalls->entries; entry != NULL; entry = entry->next) {
        if (entry->state == ENTRY_WAITING && varve_barcode_equal(&entry->barcode, &drive->disc) &&
            (entry->not_drives >> drive->number & 1) == 0)
            return true;
    }
    return false;
}

bool
recalls_try_elsewhere(struct varve_engine *engine, const struct drive *drive,
                      const struct varve_barcode *barcode)
{
    uint64_t own = UINT64_C(1) << drive->number;
    uint64_t usable = usable_of(drive);
    bool any = false;
    VARVE_LOCKED(&engine->recalls->lock);
    for (struct entry *entry = engine->recalls->entries; entry != NULL; entry = entry->next) {
        if (entry->state != ENTRY_WAITING || !varve_barcode_equal(&entry->barcode, barcode))
            continue;
        entry->not_drives |= own;
        any = any || (usable & ~entry->not_drives) != 0;
    }
    return any;
}

uint64_t
recalls_waiting(struct varve_engine *engine)
{
    VARVE_LOCKED(&engine->recalls->lock);
    return engine->recalls->count;
}

void
recalls_note_load(struct varve_engine *engine, int64_t ns)
{
    struct recalls *recalls = engine->recalls;
    VARVE_LOCKED(&recalls->lock);
    double weight = recalls->loads_seen++ == 0 ? 1 : 0.3;
    recalls->pace.load_ns += weight * ((double)ns - recalls->pace.load_ns);
}

void
recalls_note_drive(const struct drive *drive, const struct varve_barcode *barcode)
{
    struct recalls *recalls = drive->engine->recalls;
    VARVE_LOCKED(&recalls->lock);
    recalls->loaded[drive - drive->engine->drives] =
        barcode != NULL ? *barcode : (struct varve_barcode){{0}};
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
    recalls->pace = (struct pace){LOAD_GUESS_NS, BYTES_PER_NS_GUESS};
    engine->recalls = recalls;
    int failed = pthread_create(&recalls->thread, NULL, degraded_thread, recalls);
    if (failed != 0)
        return varve_error_system(err, failed, "start the recall thread");
    recalls->running = true;
    const struct varve_recall_port port = {engine, request, forget, recalls_eta};
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
