/* SPDX-License-Identifier: Apache-2.0 */
/* READ FORMAT CAPACITIES from any bytes: no list, or as many formats as came, and none is made up.
 */
#include "mmc_codec.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_mmc_formats formats;
    if (!varve_mmc_decode_format_capacities(data, size, &formats))
        return 0;
    assert(size >= 12 && formats.state >= VARVE_MMC_UNFORMATTED &&
           formats.state <= VARVE_MMC_NO_MEDIUM);
    assert(formats.count <= VARVE_MMC_FORMATS_MAX && 12 + 8u * formats.count <= size);
    for (unsigned i = 0; i < formats.count; i++)
        assert(formats.list[i].parameter <= 0xffffff &&
               formats.list[i].type == data[12 + 8 * i + 4]);
    return 0;
}
