/* SPDX-License-Identifier: Apache-2.0 */
/* The header of crc32c.bin from any bytes, with a valid CRC put behind them. */
#include <assert.h>
#include <string.h>

#include "anchor.h"
#include "crc_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t block[VARVE_CLUSTER_BYTES];
    struct varve_crc_section sections[VARVE_SET_DISCS_MAX + 1];
    struct varve_error err = {0};
    uint32_t count = 0;
    memset(block, 0, sizeof block);
    if (size > 0)
        memcpy(block, data, size < sizeof block ? size : sizeof block);
    varve_crc_block_finish(block);
    if (!varve_crc_header_decode(block, sections, &count, &err))
        return 0;
    assert(count > 0 && count <= VARVE_SET_DISCS_MAX + 1);
    for (uint32_t i = 0; i < count; i++)
        assert(sections[i].covered <= sections[i].clusters &&
               sections[i].clusters <= VARVE_IMAGE_CLUSTERS_MAX);
    return 0;
}
