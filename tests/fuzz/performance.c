/* SPDX-License-Identifier: Apache-2.0 */
/* GET PERFORMANCE (write speeds) from any bytes: too short, or no more speeds than came. */
#include "mmc_codec.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_mmc_speeds speeds;
    if (varve_mmc_decode_write_speeds(data, size, &speeds))
        assert(size >= 8 && speeds.count <= VARVE_MMC_SPEEDS_MAX && 8 + 16u * speeds.count <= size);
    return 0;
}
