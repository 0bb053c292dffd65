/* eta.h - how long a recall will take, and which comes first: pure. */
#ifndef VARVE_ENGINE_ETA_H
#define VARVE_ENGINE_ETA_H

#include <stdbool.h>
#include <stdint.h>

/* What recalls took lately. */
struct pace {
    double load_ns;      /* to bring a disc that is in no drive */
    double bytes_per_ns; /* of a drive that reads */
};

struct eta_input {
    uint64_t bytes;        /* that it has to read still */
    uint64_t bytes_before; /* that are read before, by all drives together */
    uint64_t loads;        /* discs that must be brought for it */
    uint64_t loads_before; /* discs that are brought before */
    unsigned drives;       /* that serve */
    struct pace pace;
};
/* At least 1. */
int64_t eta_seconds(const struct eta_input *input);

/* One who waits for a disc. */
struct rank_input {
    int64_t since_ns; /* he waits */
    int64_t turn_ns;  /* a disc was last brought for his user; INT64_MIN: not lately */
    bool reader;      /* not a job */
    bool loaded;      /* his disc is in the drive */
    bool stay;        /* that disc's turn is not over */
    double load_ns;
};
/* The lowest comes first. Who has waited longest, but from a user for whom a disc was brought no
 * longer than since then: one who asks for a hundred discs does not hold up another who asks for
 * one. Readers come before the work of jobs, unless that has waited for very long; the disc in the
 * drive comes first while it has its turn, and after all others then. */
double recall_rank(const struct rank_input *input);

/* A recall goes on when its reader has gone, as he may come back, but not for hours: so many bytes
 * are left, and nobody has wanted them since *since_ns (0: somebody did), which is kept up to date.
 */
bool recall_is_abandoned(uint64_t left, bool wanted, int64_t now_ns, int64_t *since_ns);

#endif
