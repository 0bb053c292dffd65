/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

#include <assert.h>
#include <fcntl.h>

/* Numbers are reserved in blocks; a block is extended at a commit when half of it is used. */
#define NUMBER_BLOCK 65536u
#define NUMBER_MARGIN (NUMBER_BLOCK / 2)
/* Numbers that one unit may use before the next one has to reserve first. */
#define NUMBER_UNIT_MAX 4096u

/* Past the first count the committer copies the log into the database beside the writers; past the
 * second (64 MiB) the next commit does it while it holds them off, because a log that is always
 * being written to can only start again from its beginning in a pause. */
#define WAL_FRAMES_CHECKPOINT 1000
#define WAL_FRAMES_MAX 16384

bool
catalog_fail(struct varve_catalog *catalog, const struct varve_error *err)
{
    if (catalog->failed.kind == VARVE_ERROR_NONE) {
        catalog->failed = *err;
        (void)varve_error_wrap(&catalog->failed, "the catalog stopped");
    }
    /* Nothing after the failure may reach the file: undo what is left of the transaction. The
     * result does not matter, close would do the same. */
    (void)sqlite3_exec(catalog->db, "ROLLBACK", NULL, NULL, NULL);
    catalog->in_transaction = false;
    catalog->uncommitted = false;
    catalog->savepoint = false;
    return false;
}

/* --- numbers --- */

static bool
put_number(struct varve_catalog *catalog, enum catalog_number kind, uint64_t next,
           struct varve_error *err)
{
    if (next > CATALOG_INTEGER_MAX)
        next = CATALOG_INTEGER_MAX;
    if (!catalog_run_ids(catalog, SQL_NUMBER_PUT, kind, next, err))
        return false;
    catalog->numbers[kind].written = next;
    return true;
}

/* Extends the blocks that are half used, or gives them back at the end; part of every commit. */
static bool
reserve_numbers(struct varve_catalog *catalog, struct varve_error *err)
{
    uint64_t block = catalog->closing ? 0 : NUMBER_BLOCK;
    uint64_t margin = catalog->closing ? NUMBER_BLOCK : NUMBER_MARGIN;
    for (unsigned kind = 0; kind < NUMBER_COUNT; kind++) {
        struct catalog_sequence *sequence = &catalog->numbers[kind];
        sequence->written = sequence->reserved;
        if (sequence->next + margin > sequence->reserved &&
            !put_number(catalog, (enum catalog_number)kind, sequence->next + block, err))
            return false;
    }
    return true;
}

bool
catalog_numbers_load(struct varve_catalog *catalog, struct varve_error *err)
{
    for (unsigned kind = 0; kind < NUMBER_COUNT; kind++) {
        VARVE_CLEANUP(catalog_reset)
        sqlite3_stmt *statement = catalog_reader(catalog, SQL_NUMBER_GET, err);
        bool row;
        bind_u64(statement, 1, kind);
        if (!catalog_step(catalog, statement, &row, err))
            return false;
        int64_t next = row ? sqlite3_column_int64(statement, 0) : 0;
        if (next <= 0)
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                                   "catalog '%s' is damaged: number %u is missing", catalog->path,
                                   kind);
        catalog->numbers[kind].next = catalog->numbers[kind].reserved = (uint64_t)next;
    }
    /* Reserved before the first is used. */
    return reserve_numbers(catalog, err) && catalog_commit_durably(catalog, err);
}

/* Makes sure that `wanted` more numbers of each kind are durably reserved. */
static bool
numbers_ready(struct varve_catalog *catalog, uint64_t wanted, struct varve_error *err)
{
    for (unsigned kind = 0; kind < NUMBER_COUNT; kind++) {
        const struct catalog_sequence *sequence = &catalog->numbers[kind];
        if (sequence->next + wanted <= sequence->reserved)
            continue;
        if (sequence->next + NUMBER_MARGIN >= CATALOG_INTEGER_MAX)
            return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                                   "catalog '%s' has used all numbers", catalog->path);
        return reserve_numbers(catalog, err) && catalog_commit_durably(catalog, err);
    }
    return true;
}

bool
catalog_numbers_new(struct varve_catalog *catalog, enum catalog_number kind, unsigned count,
                    uint64_t *ret, struct varve_error *err)
{
    assert(count <= NUMBER_MARGIN);
    /* In a unit nobody else has seen the numbers if a crash takes them back with the unit. */
    if (catalog->depth == 0 && !numbers_ready(catalog, count, err))
        return false;
    *ret = catalog->numbers[kind].next;
    catalog->numbers[kind].next += count;
    return true;
}

bool
catalog_number_taken(struct varve_catalog *catalog, enum catalog_number kind, uint64_t number,
                     struct varve_error *err)
{
    if (number >= CATALOG_INTEGER_MAX - 2 * NUMBER_BLOCK)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "number %llu is too large",
                               (unsigned long long)number);
    if (number >= catalog->numbers[kind].next)
        catalog->numbers[kind].next = number + 1;
    return true;
}

/* --- units --- */

void
varve_catalog_begin(struct varve_catalog *catalog)
{
    (void)varve_lock_enter(&catalog->lock);
    struct varve_error ignored; /* the first call of the unit meets the same failure */
    if (catalog->depth == 0 && catalog->failed.kind == VARVE_ERROR_NONE) {
        pending_room(catalog);
        (void)numbers_ready(catalog, NUMBER_UNIT_MAX, &ignored);
    }
    catalog->depth++;
}

static bool
finish_unit(struct varve_catalog *catalog, bool keep, struct varve_error *err)
{
    if (keep)
        pending_unit_keep(catalog);
    else if (catalog->savepoint)
        pending_unit_forget(catalog);
    else
        pending_unit_undo(catalog);
    if (!catalog->savepoint)
        return true;
    catalog->savepoint = false;
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *undo = catalog->statements[SQL_UNIT_UNDO];
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *release = catalog->statements[SQL_UNIT_KEEP];
    if (!keep && !catalog_run(catalog, undo, err))
        return catalog_fail(catalog, err);
    if (!catalog_run(catalog, release, err))
        return catalog_fail(catalog, err);
    return true;
}

bool
varve_catalog_end(struct varve_catalog *catalog, bool keep, struct varve_error *err)
{
    assert(catalog->depth > 0);
    struct varve_error own = {0};
    bool ok = true;
    if (catalog->depth == 1) {
        ok = catalog->failed.kind == VARVE_ERROR_NONE;
        if (!ok) {
            own = catalog->failed;
            pending_unit_undo(catalog);
        } else {
            ok = finish_unit(catalog, keep, &own);
        }
    }
    catalog->depth--;
    pthread_mutex_t *lock = &catalog->lock;
    varve_lock_leave(&lock);
    if (!ok && keep)
        *err = own; /* with !keep the caller's own error is the one worth telling */
    return keep && ok;
}

/* --- commits --- */

void
catalog_note_change(struct varve_catalog *catalog)
{
    atomic_fetch_add(&catalog->changed, 1);
    if (catalog->uncommitted)
        return;
    catalog->uncommitted = true;
    catalog->commit_by_ns = varve_clock_monotonic(varve_clock_system()) + CATALOG_COMMIT_NS_MAX;
    (void)pthread_cond_signal(&catalog->wake); /* cannot fail */
}

/* Everything that changed until now, in one transaction. */
static bool
write_all(struct varve_catalog *catalog, struct varve_error *err)
{
    if (!pending_flush(catalog, SIZE_MAX, err) || !reserve_numbers(catalog, err))
        return false;
    VARVE_CLEANUP(catalog_reset) sqlite3_stmt *commit = catalog->statements[SQL_COMMIT];
    return !catalog->in_transaction || catalog_run(catalog, commit, err);
}

bool
catalog_commit(struct varve_catalog *catalog, struct varve_error *err)
{
    assert(catalog->depth == 0);
    if (!catalog->uncommitted)
        return true;
    if (!write_all(catalog, err))
        return catalog_fail(catalog, err);
    catalog->in_transaction = false;
    catalog->uncommitted = false;
    atomic_store(&catalog->committed, atomic_load(&catalog->changed));
    for (unsigned kind = 0; kind < NUMBER_COUNT; kind++)
        catalog->numbers[kind].committed = catalog->numbers[kind].written;
    if (catalog->wal_frames >= WAL_FRAMES_MAX)
        (void)sqlite3_wal_checkpoint_v2(catalog->db, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                        &catalog->wal_frames, NULL); /* the next one tries again */
    return true;
}

/* --- durability ---
 *
 * SQLite runs with synchronous=NORMAL: a commit goes into the log, and the fsync of the log, which
 * takes milliseconds, is ours and needs no lock. What synchronous=FULL promises holds from the
 * moment that fsync returns. (Checkpoints are SQLite's own: it syncs the log before it copies from
 * it, and the database before it starts the log again.) */

/* What is in the log, to be called durable when the log is. */
struct mark {
    uint64_t committed;
    uint64_t numbers[NUMBER_COUNT];
};

/* Lock held. */
static struct mark
mark_of(const struct varve_catalog *catalog)
{
    struct mark mark = {.committed = atomic_load(&catalog->committed)};
    for (unsigned kind = 0; kind < NUMBER_COUNT; kind++)
        mark.numbers[kind] = catalog->numbers[kind].committed;
    return mark;
}

/* Lock held. */
static void
note_durable(struct varve_catalog *catalog, const struct mark *mark)
{
    if (atomic_load(&catalog->durable) < mark->committed)
        atomic_store(&catalog->durable, mark->committed);
    for (unsigned kind = 0; kind < NUMBER_COUNT; kind++) {
        if (catalog->numbers[kind].reserved < mark->numbers[kind])
            catalog->numbers[kind].reserved = mark->numbers[kind];
    }
}

/* The name of the log, which SQLite makes at the first commit, must be durable as well. */
static bool
open_log(struct varve_catalog *catalog, struct varve_error *err)
{
    char path[VARVE_PATH_BYTES_MAX];
    (void)snprintf(path, sizeof path, "%s-wal", catalog->path);
    catalog->log_fd = open(path, O_RDWR | O_CLOEXEC);
    if (catalog->log_fd < 0)
        return varve_error_system(err, errno, "log '%s' of the catalog", path);
    return catalog_sync_parent(path, err);
}

static bool
sync_log(struct varve_catalog *catalog, struct varve_error *err)
{
    if (catalog->log_fd < 0 && !open_log(catalog, err))
        return false;
    return fdatasync(catalog->log_fd) == 0 ||
           varve_error_system(err, errno, "catalog '%s': sync its log", catalog->path);
}

/* Takes the lock. `err` is set if not `ok`. */
static bool
end_sync(struct varve_catalog *catalog, bool ok, const struct mark *mark, struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    if (!ok)
        return catalog_fail(catalog, err);
    note_durable(catalog, mark);
    return true;
}

bool
catalog_commit_durably(struct varve_catalog *catalog, struct varve_error *err)
{
    if (!catalog_commit(catalog, err))
        return false;
    struct mark mark = mark_of(catalog);
    return end_sync(catalog, sync_log(catalog, err), &mark, err);
}

/* With the lock: commits if `wanted` asks for it. */
static bool
commit_for(struct varve_catalog *catalog, uint64_t wanted, struct mark *ret,
           struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    assert(catalog->depth == 0);
    if (catalog->failed.kind != VARVE_ERROR_NONE) {
        *err = catalog->failed;
        return false;
    }
    if (atomic_load(&catalog->committed) < wanted && !catalog_commit(catalog, err))
        return false;
    if (catalog->wal_frames >= WAL_FRAMES_CHECKPOINT)
        (void)pthread_cond_signal(&catalog->wake); /* cannot fail */
    *ret = mark_of(catalog);
    return true;
}

bool
varve_catalog_sync(struct varve_catalog *catalog, struct varve_error *err)
{
    uint64_t wanted = atomic_load(&catalog->changed);
    struct mark mark;
    VARVE_LOCKED(&catalog->sync_lock);
    /* Whoever had the lock before may have done it for us. A failed catalog says so. */
    if (!commit_for(catalog, atomic_load(&catalog->durable) >= wanted ? 0 : wanted, &mark, err))
        return false;
    if (atomic_load(&catalog->durable) >= wanted)
        return true;
    return end_sync(catalog, sync_log(catalog, err), &mark, err);
}

void
catalog_commit_last(struct varve_catalog *catalog)
{
    VARVE_LOCKED(&catalog->lock);
    struct varve_error ignored; /* a crash at this point would have done the same */
    if (catalog->failed.kind == VARVE_ERROR_NONE && reserve_numbers(catalog, &ignored))
        (void)catalog_commit_durably(catalog, &ignored);
}

static int
note_frames(void *context, sqlite3 *db, const char *name, int frames)
{
    (void)db;
    (void)name;
    ((struct varve_catalog *)context)->wal_frames = frames;
    return SQLITE_OK;
}

/* Copies the log into the database without the lock: writers append behind what is copied. */
static void
checkpoint(struct varve_catalog *catalog)
{
    catalog->wal_frames = 0; /* until the next commit tells */
    pthread_mutex_t *lock = &catalog->lock;
    varve_lock_leave(&lock);
    (void)sqlite3_wal_checkpoint_v2(catalog->checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL,
                                    NULL); /* what is not copied stays in the log, also durable */
    (void)varve_lock_enter(lock);
}

static void
wait_until(struct varve_catalog *catalog, int64_t monotonic_ns)
{
    struct timespec until = {.tv_sec = monotonic_ns / VARVE_NS_PER_SECOND,
                             .tv_nsec = monotonic_ns % VARVE_NS_PER_SECOND};
    (void)pthread_cond_timedwait(&catalog->wake, &catalog->lock, &until); /* the caller looks */
}

/* Writes what is pending in steps, so that nobody waits for all of it, then syncs. */
static void
commit_in_steps(struct varve_catalog *catalog)
{
    struct varve_error ignored; /* sticks in the catalog: the next caller tells it */
    pthread_mutex_t *lock = &catalog->lock;
    while (catalog->pending.dirty > PENDING_STEP &&
           pending_flush(catalog, PENDING_STEP, &ignored)) {
        varve_lock_leave(&lock);
        (void)varve_lock_enter(lock);
    }
    varve_lock_leave(&lock);
    VARVE_IGNORE(varve_catalog_sync(catalog, &ignored));
    (void)varve_lock_enter(lock);
}

static bool
commit_is_due(const struct varve_catalog *catalog)
{
    return catalog->pending.dirty >= PENDING_DIRTY_SOON ||
           varve_clock_monotonic(varve_clock_system()) >= catalog->commit_by_ns;
}

static void *
run_committer(void *argument)
{
    struct varve_catalog *catalog = argument;
    VARVE_LOCKED(&catalog->lock);
    while (!catalog->closing) {
        if (catalog->wal_frames >= WAL_FRAMES_CHECKPOINT)
            checkpoint(catalog);
        else if (!catalog->uncommitted)
            (void)pthread_cond_wait(&catalog->wake, &catalog->lock); /* the loop looks why */
        else if (commit_is_due(catalog))
            commit_in_steps(catalog);
        else
            wait_until(catalog, catalog->commit_by_ns);
    }
    return NULL;
}

bool
catalog_committer_start(struct varve_catalog *catalog, struct varve_error *err)
{
    (void)sqlite3_wal_hook(catalog->db, note_frames, catalog);
    int code = pthread_create(&catalog->committer, NULL, run_committer, catalog);
    if (code != 0)
        return varve_error_system(err, code, "catalog '%s': start the committer", catalog->path);
    catalog->committer_runs = true;
    return true;
}

void
catalog_committer_stop(struct varve_catalog *catalog)
{
    if (!catalog->committer_runs)
        return;
    (void)varve_lock_enter(&catalog->lock);
    catalog->closing = true;
    (void)pthread_cond_signal(&catalog->wake); /* cannot fail */
    pthread_mutex_t *lock = &catalog->lock;
    varve_lock_leave(&lock);
    (void)pthread_join(catalog->committer, NULL); /* it exists and is joined once */
    catalog->committer_runs = false;
}
