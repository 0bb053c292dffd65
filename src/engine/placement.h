/* placement.h - which library the next disc of a set is burned in: pure.
 *
 * A library burns down or breaks as a whole, so none of them should hold more discs of a set than
 * the set can lose; within that, discs are spread so that all libraries' drives burn at once. */
#ifndef VARVE_ENGINE_PLACEMENT_H
#define VARVE_ENGINE_PLACEMENT_H

#include <stddef.h>
#include <stdint.h>

struct placement_library {
    uint64_t blanks; /* that would do; 0: not here */
    unsigned held;   /* discs of the set that it has */
    unsigned drives; /* that may burn */
};
#define PLACEMENT_NONE SIZE_MAX
/* First a library that has fewer discs of the set than the set has parity; then the one whose
 * drives have the least to burn of it; then the one with the most blanks. */
size_t
placement_choose(const struct placement_library *libraries, size_t count, unsigned parity_discs);

#endif
