/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/heat.h>

#include <math.h>

double
varve_heat_decay(double heat, int64_t from_ns, int64_t to_ns, int64_t half_life_ns)
{
    if (!(heat > 0)) /* NaN too: it comes from a catalog */
        return 0;
    if (to_ns <= from_ns || half_life_ns <= 0)
        return heat;
    /* As doubles first: the difference of two int64_t may not fit one. */
    return heat * exp2(-((double)to_ns - (double)from_ns) / (double)half_life_ns);
}

double
varve_heat_touch(double heat, int64_t heat_ns, int64_t now_ns, int64_t half_life_ns)
{
    return varve_heat_decay(heat, heat_ns, now_ns, half_life_ns) + 1;
}
