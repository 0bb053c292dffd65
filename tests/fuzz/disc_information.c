/* SPDX-License-Identifier: Apache-2.0 */
/* READ DISC INFORMATION, and the other short answers about a medium, from any bytes: too short, or
 * values within their ranges. */
#include "mmc_codec.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_mmc_disc disc;
    uint16_t profile;
    uint64_t sectors;
    if (varve_mmc_decode_disc(data, size, &disc))
        assert(size >= 12 && disc.status <= VARVE_MMC_DISC_OTHER && disc.last_session <= 3);
    if (varve_mmc_decode_profile(data, size, &profile))
        assert(size >= 8);
    if (varve_mmc_decode_capacity(data, size, &sectors))
        assert(size >= 8 && sectors >= 1 && sectors <= UINT64_C(0x100000000));
    return 0;
}
