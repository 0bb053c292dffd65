/* SPDX-License-Identifier: Apache-2.0 */
/* Mode pages 1Eh and 1Fh from any bytes are refused with a text that names the page, or taken. */
#include "smc_codec.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_smc_capabilities can;
    struct varve_error err = {0};
    bool rotates;
    if (!varve_smc_decode_capabilities(data, size, &can, &err))
        assert(err.kind == VARVE_ERROR_INVALID && strncmp(err.text, "mode page 1Fh: ", 15) == 0);
    else
        assert(size >= 12); /* header, page header and the moves at least */
    err = (struct varve_error){0};
    if (!varve_smc_decode_geometry(data, size, &rotates, &err))
        assert(err.kind == VARVE_ERROR_INVALID && strncmp(err.text, "mode page 1Eh: ", 15) == 0);
    else
        assert(size >= 7);
    return 0;
}
