/* yard.h - a virtual library behind the simulation: what the scheduler decides happens there, too,
 * with faults, and afterwards every disc must be where and what it should be.
 *
 * One thread, a clock that stands still but for sleeps. die() of the caller ends the program. */
#ifndef VARVE_TEST_SIM_YARD_H
#define VARVE_TEST_SIM_YARD_H

#include "engine_bench.h"

struct yard;
struct yard_options {
    unsigned slots, drives;
    const bool *written; /* of each disc: it has content */
    uint64_t seed;
};
struct yard *yard_new(const struct yard_options *options, struct varve_error *err);
void yard_free(struct yard *yard); /* with its folder */

/* The next fault that hardware has, soon, in the arm or a drive. */
void yard_fault(struct yard *yard);
/* The library ends and comes back, as after a crash. */
bool yard_restart(struct yard *yard, struct varve_error *err);

/* What the engine does with a disc. MEDIUM, CORRUPT: the disc is spoilt; WRONG_DISC must not be. */
bool yard_load(struct yard *yard, unsigned disc, unsigned drive, struct varve_error *err);
bool yard_unload(struct yard *yard, unsigned drive, struct varve_error *err);
bool yard_burn(struct yard *yard, unsigned disc, unsigned drive, struct varve_error *err);
bool yard_read(struct yard *yard, unsigned disc, unsigned drive, struct varve_error *err);
/* True with *ret: the disc that a drive holds. */
bool yard_drive_disc(struct yard *yard, unsigned drive, unsigned *ret);
/* No disc is missing or twice there, none has another's content, none was written that was not told
 * to. False: *err says what is wrong. */
bool yard_check(struct yard *yard, struct varve_error *err);

#endif
