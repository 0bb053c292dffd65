/* SPDX-License-Identifier: Apache-2.0 */
/* GET EVENT STATUS NOTIFICATION from any bytes: an event of the media class only if one is there.
 */
#include "mmc_codec.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_mmc_event event;
    if (!varve_mmc_decode_event(data, size, &event))
        return 0;
    assert(size >= 6 && (data[2] & 0x87) == 0x04 && event.code <= 15);
    return 0;
}
