/* drive_hooks.h - something between a bench's engine and its drives: drives that lie, cannot read
 * or have changed places, and a kill in the middle of a burn. Any thread; set before bench_open()
 * or while nothing runs. */
#ifndef VARVE_TEST_SIM_DRIVE_HOOKS_H
#define VARVE_TEST_SIM_DRIVE_HOOKS_H

#include "engine_bench.h"

#include <stdatomic.h>

struct hooks {
    atomic_uint liars; /* a bit for each drive that reads wrong bytes without a word */
    atomic_uint blind; /* ... that cannot read sectors from `blind_from` on */
    atomic_uint blind_from;
    atomic_bool swapped;   /* the cables of drives 0 and 1 */
    atomic_bool anonymous; /* drives do not say their serial numbers */
    atomic_uint kill_at;   /* SIGKILL before this WRITE, from 1; 0: never */
    atomic_uint writes;    /* so many were seen ... */
    atomic_uint first_lba; /* ... and the first of them wrote here */
};
/* Of the first library. */
void hooks_set(struct bench *bench, struct hooks *hooks);

#endif
