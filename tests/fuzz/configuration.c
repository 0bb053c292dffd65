/* SPDX-License-Identifier: Apache-2.0 */
/* GET CONFIGURATION from any bytes: too short, or a profile, and a serial number of printable
 * characters that were there. */
#include "mmc_codec.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_mmc_features features;
    uint16_t profile;
    if (!varve_mmc_decode_features(data, size, &features)) {
        assert(size < 8 && !varve_mmc_decode_profile(data, size, &profile));
        return 0;
    }
    assert(varve_mmc_decode_profile(data, size, &profile) && profile == features.profile);
    size_t length = strlen(features.serial);
    assert(length < sizeof features.serial && length <= size);
    for (size_t i = 0; i < length; i++)
        assert(memchr(data, features.serial[i], size) != NULL);
    /* Only what a descriptor says can be current. */
    if (size < 12)
        assert(!features.incremental && !features.formattable && !features.pseudo_overwrite &&
               !features.streaming);
    return 0;
}
