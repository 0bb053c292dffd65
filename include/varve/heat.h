/* heat.h - how much a file is used: a count of opens that fades. One formula for the mount, the
 * catalog's predicates and the API. Pure; any thread. */
#ifndef VARVE_HEAT_H
#define VARVE_HEAT_H

#include <stdint.h>

/* Heat: a count of opens that halves with every half-life. A clock that went back changes nothing.
 */
double varve_heat_decay(double heat, int64_t from_ns, int64_t to_ns, int64_t half_life_ns);
/* One more open at `now_ns`. */
double varve_heat_touch(double heat, int64_t heat_ns, int64_t now_ns, int64_t half_life_ns);

#endif
