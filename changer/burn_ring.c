/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of clusters between a source that may pause and a drive that should not have to. */
#include "drive.h"

#include <inttypes.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#define RING_BYTES ((size_t)64 << 20) /* two seconds of a 6x drive */
#define SOURCE_STALL_SECONDS 600

/* One slot is one WRITE. The producer owns the slots from `filled` to `drained` + slots, the
 * consumer those from `drained` to `filled`. */
struct ring {
    const struct varve_burn *burn;
    uint8_t *bytes;
    size_t mapped_bytes;
    unsigned burst;        /* clusters of a slot */
    uint64_t slots, total; /* in the ring; in the burn */
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint64_t filled, drained; /* counts of slots, from the beginning of the burn */
    bool stop, failed;
    struct varve_error why; /* the source's */
};

static uint64_t
slot_cluster(const struct ring *ring, uint64_t slot)
{
    return ring->burn->first_cluster + slot * ring->burst;
}

static unsigned
slot_count(const struct ring *ring, uint64_t slot)
{
    uint64_t left = ring->burn->clusters - slot_cluster(ring, slot);
    return left < ring->burst ? (unsigned)left : ring->burst;
}

static uint8_t *
slot_bytes(const struct ring *ring, uint64_t slot)
{
    return &ring->bytes[slot % ring->slots * ring->burst * VARVE_CLUSTER_BYTES];
}

static bool
ring_init(struct ring *ring, const struct varve_burn *burn, unsigned burst, struct varve_error *err)
{
    pthread_condattr_t monotonic;
    uint64_t clusters = burn->clusters - burn->first_cluster;
    *ring = (struct ring){.burn = burn, .burst = burst, .total = (clusters + burst - 1) / burst};
    size_t slot = (size_t)burst * VARVE_CLUSTER_BYTES;
    ring->slots = RING_BYTES / slot < ring->total ? RING_BYTES / slot : ring->total;
    ring->mapped_bytes = ring->slots * slot;
    ring->bytes =
        mmap(NULL, ring->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ring->bytes == MAP_FAILED)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "ring of %zu MiB for a burn",
                               ring->mapped_bytes >> 20);
    (void)pthread_mutex_init(&ring->lock, NULL); /* none of these can fail on Linux */
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&ring->moved, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return true;
}

static void
ring_done(struct ring *ring)
{
    (void)munmap(ring->bytes, ring->mapped_bytes);
    (void)pthread_cond_destroy(&ring->moved);
    (void)pthread_mutex_destroy(&ring->lock);
}

/* --- producer --- */

static bool
wait_for_room(struct ring *ring, uint64_t slot)
{
    VARVE_LOCKED(&ring->lock);
    while (!ring->stop && slot - ring->drained >= ring->slots)
        (void)pthread_cond_wait(&ring->moved, &ring->lock);
    return !ring->stop;
}

static void *
produce(void *context)
{
    struct ring *ring = context;
    for (uint64_t slot = 0; slot < ring->total && wait_for_room(ring, slot); slot++) {
        struct varve_error why = {0};
        bool ok = ring->burn->fill(ring->burn->context, slot_cluster(ring, slot),
                                   slot_count(ring, slot), slot_bytes(ring, slot), &why);
        VARVE_LOCKED(&ring->lock);
        if (ok) {
            ring->filled = slot + 1;
        } else {
            ring->failed = true;
            ring->why = why;
        }
        (void)pthread_cond_signal(&ring->moved);
        if (!ok)
            break;
    }
    return NULL;
}

/* --- consumer --- */

/* True when there is something to write, or nothing will come any more. An empty ring is filled
 * half before the drive starts again: each start costs it speed. */
static bool
is_worth_going_on(const struct ring *ring, bool refilling)
{
    if (ring->failed || ring->filled == ring->total)
        return true;
    uint64_t waiting = ring->filled - ring->drained;
    return refilling ? waiting > ring->slots / 2 : waiting > 0;
}

/* Waits for at most a second of the machine's time, whatever clock the burn has. */
static void
wait_for_source(struct ring *ring)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
    until.tv_sec += 1;
    (void)pthread_cond_timedwait(&ring->moved, &ring->lock, &until);
}

struct consumer {
    struct varve_drive *drive;
    struct ring *ring;
    bool refilling;
    uint64_t seen;    /* slots filled when the source last moved */
    int64_t moved_ns; /* when that was */
};

/* *ret_ready: a slot can be written, or the source has failed. */
static void
look_at_source(struct consumer *consumer, bool *ret_ready, int64_t *ret_waited)
{
    struct ring *ring = consumer->ring;
    struct varve_clock *clock = consumer->drive->device.clock;
    VARVE_LOCKED(&ring->lock);
    if (ring->filled == ring->drained && !ring->failed)
        consumer->refilling = true;
    *ret_ready = is_worth_going_on(ring, consumer->refilling);
    if (!*ret_ready)
        wait_for_source(ring);
    if (ring->filled != consumer->seen || *ret_ready) {
        consumer->seen = ring->filled;
        consumer->moved_ns = varve_clock_monotonic(clock);
    }
    *ret_waited = *ret_ready ? 0 : varve_clock_monotonic(clock) - consumer->moved_ns;
    if (*ret_ready)
        consumer->refilling = false;
}

static bool
tick(const struct consumer *consumer, int64_t waited_ns, struct varve_error *err)
{
    const struct varve_burn *burn = consumer->ring->burn;
    struct varve_burn_progress progress = {consumer->drive->burn.next_cluster, waited_ns};
    return burn->tick == NULL || burn->tick(burn->context, &progress, err);
}

static bool
wait_for_slot(struct consumer *consumer, struct varve_error *err)
{
    bool ready = false;
    while (!ready) {
        int64_t waited;
        look_at_source(consumer, &ready, &waited);
        if (!ready && waited >= SOURCE_STALL_SECONDS * VARVE_NS_PER_SECOND)
            return varve_error_set(err, VARVE_ERROR_SYSTEM, 0,
                                   "%s: the bytes for cluster %" PRIu64 " did not come for %d s; "
                                   "the disc is left open and can be gone on with\nhint: is the "
                                   "disk with the files still answering?",
                                   consumer->drive->name, consumer->drive->burn.next_cluster,
                                   SOURCE_STALL_SECONDS);
        if (!ready && !tick(consumer, waited, err))
            return false;
    }
    return true;
}

static bool
take_failure(struct ring *ring, uint64_t slot, struct varve_error *err)
{
    VARVE_LOCKED(&ring->lock);
    if (!ring->failed || slot < ring->filled)
        return false;
    *err = ring->why;
    return true;
}

static bool
consume(struct consumer *consumer, struct varve_error *err)
{
    struct ring *ring = consumer->ring;
    for (uint64_t slot = 0; slot < ring->total; slot++) {
        if (!wait_for_slot(consumer, err) || take_failure(ring, slot, err) ||
            !varve_drive_burn_write(consumer->drive, slot_bytes(ring, slot), slot_count(ring, slot),
                                    err))
            return false;
        {
            VARVE_LOCKED(&ring->lock);
            ring->drained = slot + 1;
            (void)pthread_cond_signal(&ring->moved);
        }
        if (!tick(consumer, 0, err))
            return false;
    }
    return true;
}

static void
stop(struct ring *ring)
{
    VARVE_LOCKED(&ring->lock);
    ring->stop = true;
    (void)pthread_cond_signal(&ring->moved);
}

static bool
run(struct varve_drive *drive, struct ring *ring, struct varve_error *err)
{
    pthread_t producer;
    int failed = pthread_create(&producer, NULL, produce, ring);
    if (failed != 0)
        return varve_error_system(err, failed, "start a thread for the burn");
    struct consumer consumer = {
        .drive = drive, .ring = ring, .moved_ns = varve_clock_monotonic(drive->device.clock)};
    bool ok = consume(&consumer, err);
    stop(ring);
    if (!ok)
        varve_drive_burn_abandon(drive); /* before waiting for a source that may be stuck */
    (void)pthread_join(producer, NULL);
    return ok;
}

bool
varve_drive_burn(struct varve_drive *drive, const struct varve_burn *burn, struct varve_error *err)
{
    struct ring ring;
    if (!varve_drive_burn_begin(drive, burn->first_cluster, burn->clusters, err))
        return false;
    if (burn->first_cluster == burn->clusters)
        return true; /* all is written, only closing is left */
    bool ok = ring_init(&ring, burn, varve_drive_burst(drive), err);
    if (ok) {
        ok = run(drive, &ring, err);
        ring_done(&ring);
    } else {
        varve_drive_burn_abandon(drive);
    }
    return ok;
}
