/* traffic.h - what is asked of libraries over some days, from a seed: the same for every scheduler.
 */
#ifndef VARVE_TEST_SIM_TRAFFIC_H
#define VARVE_TEST_SIM_TRAFFIC_H

#include "engine_bench.h"
#include "schedule.h"

#define SECOND VARVE_NS_PER_SECOND

/* Libraries as the simulation makes them; rates as drives state them. */
struct traffic_options {
    uint64_t seed;
    unsigned changers, drives, slots; /* of each changer */
    unsigned jobs;
    unsigned recall_drives;
    bool backlog; /* nothing but burns, all asked for at once */
    bool real;    /* moves and burns happen in virtual libraries, too */
    bool faults;
    uint64_t disc_bytes;
    double rate; /* bytes a second, burning and reading */
};

struct job {
    enum task_class class;
    unsigned library;
    unsigned disc; /* index in its library */
    int64_t asked_ns;
    int64_t work_ns; /* rated: without moves, spin-up and the like */
    uint32_t user;
    uint64_t group;
    /* What became of it: */
    int64_t begun_ns, done_ns; /* 0: not yet */
    uint64_t not_drives;
    unsigned attempts;
    bool waits;
};
struct traffic {
    struct job *jobs; /* in the order of asking */
    size_t count;
    unsigned *written; /* of each library: so many discs, from the first, have content */
};
void traffic_make(const struct traffic_options *options, struct traffic *ret);
void traffic_done(struct traffic *traffic);
/* What burning a disc takes the drive: burn, close, read back. */
int64_t traffic_burn_ns(const struct traffic_options *options);

#endif
