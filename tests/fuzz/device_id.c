/* SPDX-License-Identifier: Apache-2.0 */
/* The identification descriptor of a drive element (DVCID) from any bytes becomes printable text
 * that ends, no longer than what came. */
#include "smc_codec.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[VARVE_SMC_DEVICE_ID_BYTES];
    memset(text, 0xff, sizeof text);
    varve_smc_decode_device_id(data, size, text);
    size_t length = strnlen(text, sizeof text);
    assert(length < sizeof text);
    assert(length == 0 || (size > 4 && length <= 2 * (size - 4)));
    for (size_t i = 0; i < length; i++)
        assert(text[i] >= 0x20 && text[i] < 0x7f);
    return 0;
}
