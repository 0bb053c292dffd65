/* SPDX-License-Identifier: Apache-2.0 */
/* A volume tag of any bytes is a bar code that may become a file name, or none. */
#include "smc_codec.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t tag[VARVE_SMC_TAG_BYTES] = {0};
    struct varve_barcode barcode;
    struct varve_barcode again;
    memset(&barcode, 0xff, sizeof barcode);
    if (size > 0)
        memcpy(tag, data, size < sizeof tag ? size : sizeof tag);
    varve_smc_decode_tag(tag, &barcode);
    assert(strnlen(barcode.text, sizeof barcode.text) < sizeof barcode.text);
    if (barcode.text[0] != 0) {
        assert(varve_barcode_make(barcode.text, &again) && varve_barcode_equal(&barcode, &again));
        assert(memcmp(barcode.text, tag, strlen(barcode.text)) == 0);
    }
    return 0;
}
