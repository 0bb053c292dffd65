/* SPDX-License-Identifier: Apache-2.0 */
/* READ TRACK INFORMATION from any bytes: too short, or no more than was there. */
#include "mmc_codec.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_mmc_track track;
    if (!varve_mmc_decode_track(data, size, &track))
        return 0;
    assert(size >= 28);
    assert(!track.last_valid || size >= 32);
    assert(size >= 34 || (track.track <= 0xff && track.session <= 0xff));
    return 0;
}
