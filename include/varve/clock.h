/* clock.h - time as a port (INV-11): the system's, or one that a test moves by hand. Any thread. */
#ifndef VARVE_CLOCK_H
#define VARVE_CLOCK_H

#include <pthread.h>
#include <stdint.h>

#define VARVE_NS_PER_SECOND INT64_C(1000000000)
#define VARVE_NS_PER_MS INT64_C(1000000)

struct varve_clock {
    int64_t (*realtime_ns)(struct varve_clock *clock); /* since 1970, UTC */
    /* The same as filesystems stamp files with it: it moves on a few times in a tick only. Whoever
     * stamps beside a filesystem must not be ahead of it: of two files the one that was changed
     * first would look newer (make). */
    int64_t (*stamp_ns)(struct varve_clock *clock);
    int64_t (*monotonic_ns)(struct varve_clock *clock); /* never goes back */
    void (*sleep_ns)(struct varve_clock *clock, int64_t duration_ns);
};

/* The machine's clock; static, never freed. */
struct varve_clock *varve_clock_system(void);

/* A clock that stands still except for sleeps and varve_clock_sim_advance(). */
struct varve_clock_sim {
    struct varve_clock clock;
    pthread_mutex_t lock;
    int64_t now_ns;
};
void varve_clock_sim_init(struct varve_clock_sim *sim, int64_t start_ns);
void varve_clock_sim_advance(struct varve_clock_sim *sim, int64_t duration_ns);

static inline int64_t
varve_clock_realtime(struct varve_clock *clock)
{
    return clock->realtime_ns(clock);
}
static inline int64_t
varve_clock_stamp(struct varve_clock *clock)
{
    return clock->stamp_ns(clock);
}
static inline int64_t
varve_clock_monotonic(struct varve_clock *clock)
{
    return clock->monotonic_ns(clock);
}
static inline void
varve_clock_sleep(struct varve_clock *clock, int64_t duration_ns)
{
    clock->sleep_ns(clock, duration_ns);
}

#endif
