/* SPDX-License-Identifier: Apache-2.0 */
/* READ CAPACITY from any bytes: too short, of other sectors than 2048 bytes, or 1 to 2^32 sectors.
 */
#include "mmc_codec.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t sectors = 0;
    if (!varve_mmc_decode_capacity(data, size, &sectors)) {
        assert(sectors == 0);
        return 0;
    }
    assert(size >= 8 && sectors >= 1 && sectors <= UINT64_C(0x100000000));
    assert(data[6] == 0x08 && data[7] == 0x00);
    return 0;
}
