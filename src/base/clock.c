/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/cleanup.h>
#include <varve/clock.h>

#include <errno.h>
#include <stddef.h>
#include <time.h>

static int64_t
read_clock(clockid_t id)
{
    struct timespec now = {0};
    (void)clock_gettime(id, &now); /* cannot fail for these clocks */
    return (int64_t)now.tv_sec * VARVE_NS_PER_SECOND + now.tv_nsec;
}

static int64_t
system_realtime(struct varve_clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_REALTIME);
}

static int64_t
system_stamp(struct varve_clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_REALTIME_COARSE);
}

static int64_t
system_monotonic(struct varve_clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_MONOTONIC);
}

static void
system_sleep(struct varve_clock *clock, int64_t duration_ns)
{
    (void)clock;
    if (duration_ns <= 0)
        return;
    struct timespec left = {.tv_sec = duration_ns / VARVE_NS_PER_SECOND,
                            .tv_nsec = duration_ns % VARVE_NS_PER_SECOND};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

struct varve_clock *
varve_clock_system(void)
{
    static struct varve_clock clock = {system_realtime, system_stamp, system_monotonic,
                                       system_sleep};
    return &clock;
}

static struct varve_clock_sim *
sim_of(struct varve_clock *clock)
{
    return (struct varve_clock_sim *)((char *)clock - offsetof(struct varve_clock_sim, clock));
}

static int64_t
sim_now(struct varve_clock *clock)
{
    struct varve_clock_sim *sim = sim_of(clock);
    VARVE_LOCKED(&sim->lock);
    return sim->now_ns;
}

static void
sim_sleep(struct varve_clock *clock, int64_t duration_ns)
{
    varve_clock_sim_advance(sim_of(clock), duration_ns);
}

void
varve_clock_sim_init(struct varve_clock_sim *sim, int64_t start_ns)
{
    *sim = (struct varve_clock_sim){.clock = {sim_now, sim_now, sim_now, sim_sleep},
                                    .now_ns = start_ns};
    (void)pthread_mutex_init(&sim->lock, NULL); /* default attributes: cannot fail on Linux */
}

void
varve_clock_sim_advance(struct varve_clock_sim *sim, int64_t duration_ns)
{
    VARVE_LOCKED(&sim->lock);
    if (duration_ns > 0)
        sim->now_ns += duration_ns;
}
