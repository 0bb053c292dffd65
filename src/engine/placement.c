/* SPDX-License-Identifier: Apache-2.0 */
#include "placement.h"

#include <stdbool.h>

static bool
is_better(const struct placement_library *a, const struct placement_library *b, unsigned parity)
{
    bool a_over = a->held >= parity;
    bool b_over = b->held >= parity;
    if (a_over != b_over)
        return b_over;
    /* (held + 1) / drives, compared without dividing. No drive in service: after all others. */
    uint64_t a_load = ((uint64_t)a->held + 1) * (b->drives > 0 ? b->drives : 1);
    uint64_t b_load = ((uint64_t)b->held + 1) * (a->drives > 0 ? a->drives : 1);
    if ((a->drives > 0) != (b->drives > 0))
        return a->drives > 0;
    return a_load != b_load ? a_load < b_load : a->blanks > b->blanks;
}

size_t
placement_choose(const struct placement_library *libraries, size_t count, unsigned parity_discs)
{
    size_t best = PLACEMENT_NONE;
    for (size_t i = 0; i < count; i++) {
        if (libraries[i].blanks > 0 &&
            (best == PLACEMENT_NONE || is_better(&libraries[i], &libraries[best], parity_discs)))
            best = i;
    }
    return best;
}
