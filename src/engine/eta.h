/* eta.h - how long a recall will take: pure. */
#ifndef VARVE_ENGINE_ETA_H
#define VARVE_ENGINE_ETA_H

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

#endif
