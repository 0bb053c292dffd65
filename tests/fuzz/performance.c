/* SPDX-License-Identifier: Apache-2.0 */
/* GET PERFORMANCE (write speeds) and READ BUFFER CAPACITY from any bytes: too short, or no more
 * than came, and a buffer that has no more room than it is large. */
#include "mmc_codec.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_mmc_speeds speeds;
    struct varve_mmc_buffer buffer;
    if (varve_mmc_decode_write_speeds(data, size, &speeds))
        assert(size >= 8 && speeds.count <= VARVE_MMC_SPEEDS_MAX && 8 + 16u * speeds.count <= size);
    if (varve_mmc_decode_buffer(data, size, &buffer))
        assert(size >= 12 && buffer.total > 0 && buffer.free <= buffer.total);
    return 0;
}
