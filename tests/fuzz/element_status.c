/* SPDX-License-Identifier: Apache-2.0 */
/* READ ELEMENT STATUS from any bytes gives no more elements than asked for, each with texts that
 * end, and bar codes that may become file names. */
#include "smc_codec.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ELEMENTS_MAX 64u

static void
check_element(const struct varve_smc_element *at, enum varve_element_type type)
{
    struct varve_barcode again;
    assert(at->element.type == type);
    assert(strnlen(at->element.barcode.text, VARVE_BARCODE_BYTES) < VARVE_BARCODE_BYTES);
    assert(strnlen(at->device_id, VARVE_SMC_DEVICE_ID_BYTES) < VARVE_SMC_DEVICE_ID_BYTES);
    if (at->element.barcode.text[0] != 0)
        assert(at->element.full && varve_barcode_make(at->element.barcode.text, &again));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct varve_smc_element found[ELEMENTS_MAX];
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++) {
        int32_t cut;
        size_t count = varve_smc_decode_elements(data, size, (enum varve_element_type)type, found,
                                                 ELEMENTS_MAX, &cut);
        assert(count <= ELEMENTS_MAX && cut >= -1 && cut <= 0xffff);
        assert(cut < 0 || count < ELEMENTS_MAX);
        for (size_t i = 0; i < count; i++)
            check_element(&found[i], (enum varve_element_type)type);
    }
    return 0;
}
