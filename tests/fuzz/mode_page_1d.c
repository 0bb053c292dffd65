/* SPDX-License-Identifier: Apache-2.0 */
/* Mode page 1Dh from any bytes is refused with a text, or names ranges that do not overlap. */
#include "smc_codec.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_smc_assignment map;
    struct varve_error err = {0};
    if (!varve_smc_decode_assignment(data, size, &map, &err)) {
        assert(err.kind == VARVE_ERROR_INVALID && strncmp(err.text, "mode page 1Dh: ", 15) == 0);
        return 0;
    }
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++) {
        enum varve_element_type found;
        if (map.of[type].count == 0)
            continue;
        assert(map.of[type].first + map.of[type].count <= 0x10000);
        assert(varve_smc_type_of(&map, map.of[type].first, &found) && (unsigned)found == type);
    }
    return 0;
}
