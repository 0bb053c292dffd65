/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - empty backing files, made before they are needed.
 *
 * A file that is made is most often written at once, and its first write (or, in passthrough, its
 * open) needs a backing file. Making one takes a journaled operation of the tier's filesystem; a
 * thread does that ahead for as long as files are being made. What the pool holds has numbers but
 * no rows: after a crash the sweep removes it as any file that nobody names. */
#include "vfs_internal.h"

#include <time.h>

#define POOL_FIRST 16u
/* Without a taker for so long the pool is emptied. */
#define POOL_IDLE_S 5
/* Numbers that are asked for at once; those of a batch that are not needed are never used. */
#define POOL_BATCH 32u
#define POOL_TRIES 1000u

struct place_batch {
    struct varve_place next;
    unsigned left;
};

bool
pool_take(struct varve_vfs *vfs, enum varve_tier tier, struct varve_place *ret, int *ret_fd,
          int64_t *ret_mtime_ns)
{
    struct file_pool *pool = &vfs->pool;
    if (!pool->started || tier != vfs->first_tier)
        return false;
    VARVE_LOCKED(&pool->lock);
    bool found = pool->count > 0;
    pool->taken = true;
    if (found) {
        pool->count--;
        *ret = pool->files[pool->count].place;
        *ret_fd = pool->files[pool->count].fd;
        *ret_mtime_ns = pool->files[pool->count].mtime_ns;
    } else if (pool->wanted < POOL_FILES_MAX) {
        pool->wanted = pool->wanted == 0 ? POOL_FIRST : 2 * pool->wanted;
    }
    /* In batches: each waking costs both sides. */
    if (pool->count <= pool->wanted / 2 && !pool->filling)
        (void)pthread_cond_signal(&pool->wake);
    return found;
}

/* Lock held. */
static bool
put(struct file_pool *pool, struct pooled_file file)
{
    if (pool->count >= pool->wanted)
        return false;
    pool->files[pool->count++] = file;
    return true;
}

static void
drop(struct varve_vfs *vfs, struct pooled_file file)
{
    struct varve_error unused; /* what stays is swept after the next start */
    (void)close(file.fd);
    VARVE_IGNORE(varve_store_remove(vfs->store, &file.place, &unused));
}

/* A number and a path for the next file. Asked for in batches: the catalog's lock is everybody's.
 */
static bool
next_place(struct varve_vfs *vfs, struct place_batch *batch, struct varve_place *ret)
{
    struct varve_error unused; /* whoever needs a file makes one himself and tells */
    if (batch->left == 0) {
        batch->next.tier = vfs->first_tier;
        if (!varve_store_choose(vfs->store, vfs->first_tier, 0, &batch->next.path_id, &unused) ||
            !varve_catalog_file_numbers(vfs->catalog, POOL_BATCH, &batch->next.file, &unused))
            return false;
        batch->left = POOL_BATCH;
    }
    *ret = batch->next;
    batch->next.file++;
    batch->left--;
    return true;
}

/* Having been asked for, Linux since 6.13 gives the first write a time of its own, later than this
 * one: then the row need not differ from the file. */
static int64_t
mtime_of(struct varve_vfs *vfs, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return INT64_MAX;
    int64_t mtime_ns = vfs_ns(st.st_mtim);
    vfs_note_stamp(vfs, mtime_ns);
    return mtime_ns;
}

/* A number that a crash gave out again, and whose file is still there, is passed by. */
static bool
make_file(struct varve_vfs *vfs, struct place_batch *batch, struct pooled_file *ret)
{
    struct varve_error failure = {.kind = VARVE_ERROR_EXISTS};
    for (unsigned tried = 0; tried < POOL_TRIES && failure.kind == VARVE_ERROR_EXISTS; tried++) {
        if (!next_place(vfs, batch, &ret->place))
            return false;
        if (varve_store_create(vfs->store, &ret->place, &ret->fd, &failure)) {
            ret->mtime_ns = mtime_of(vfs, ret->fd);
            return true;
        }
    }
    return false;
}

/* Lock held; given up while files are made. */
static void
fill(struct varve_vfs *vfs)
{
    struct file_pool *pool = &vfs->pool;
    pthread_mutex_t *lock = &pool->lock;
    struct place_batch batch = {.left = 0};
    bool ok = true;
    pool->filling = true;
    while (ok && !pool->stopping && pool->count < pool->wanted) {
        struct pooled_file file;
        varve_lock_leave(&lock);
        ok = make_file(vfs, &batch, &file);
        (void)varve_lock_enter(lock);
        if (ok && !put(pool, file)) {
            drop(vfs, file);
            ok = false;
        }
    }
    if (!ok) /* the tier is full or broken */
        pool->wanted = pool->count;
    pool->filling = false;
}

/* Lock held. */
static void
empty(struct varve_vfs *vfs)
{
    struct file_pool *pool = &vfs->pool;
    pool->wanted = 0;
    while (pool->count > 0)
        drop(vfs, pool->files[--pool->count]);
}

/* Lock held. True if nobody took anything for a while. */
static bool
wait_for_takers(struct file_pool *pool)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for this clock */
    until.tv_sec += POOL_IDLE_S;
    pool->taken = false;
    int sys = 0;
    while (sys == 0 && !pool->stopping && (pool->wanted == 0 || pool->count > pool->wanted / 2))
        sys = pool->wanted == 0 ? pthread_cond_wait(&pool->wake, &pool->lock)
                                : pthread_cond_timedwait(&pool->wake, &pool->lock, &until);
    return sys != 0 && !pool->taken;
}

static void *
run_pool(void *context)
{
    struct varve_vfs *vfs = context;
    VARVE_LOCKED(&vfs->pool.lock);
    while (!vfs->pool.stopping) {
        if (wait_for_takers(&vfs->pool))
            empty(vfs);
        else
            fill(vfs);
    }
    empty(vfs);
    return NULL;
}

/* Its waits are measured by the clock that nobody sets. */
static int
init_wake(struct file_pool *pool)
{
    pthread_condattr_t monotonic;
    int failed = pthread_condattr_init(&monotonic);
    if (failed != 0)
        return failed;
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* a valid clock */
    failed = pthread_cond_init(&pool->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic); /* cannot fail */
    return failed;
}

bool
pool_start(struct varve_vfs *vfs, struct varve_error *err)
{
    if (vfs->simulated)
        return true; /* what a simulation does must not hang on when a thread ran */
    int failed = init_wake(&vfs->pool);
    if (failed != 0)
        return varve_error_system(err, failed, "make a condition");
    failed = pthread_create(&vfs->pool.thread, NULL, run_pool, vfs);
    if (failed != 0) {
        (void)pthread_cond_destroy(&vfs->pool.wake);
        return varve_error_system(err, failed, "start a thread");
    }
    vfs->pool.started = true;
    return true;
}

void
pool_stop(struct varve_vfs *vfs)
{
    if (!vfs->pool.started)
        return;
    {
        VARVE_LOCKED(&vfs->pool.lock);
        vfs->pool.stopping = true;
        (void)pthread_cond_signal(&vfs->pool.wake);
    }
    (void)pthread_join(vfs->pool.thread, NULL); /* ours and joinable */
    (void)pthread_cond_destroy(&vfs->pool.wake);
    vfs->pool.started = false;
}
