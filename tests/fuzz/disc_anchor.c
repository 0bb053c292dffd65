/* SPDX-License-Identifier: Apache-2.0 */
/* The anchor sector from any bytes. The input is the text; padding and CRC are put around it, or
 * the fuzzer would never get past them. What is taken is written again and means the same. */
#include <assert.h>
#include <string.h>
#include <varve/byteorder.h>

#include "anchor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t block[VARVE_SECTOR_BYTES], again[VARVE_SECTOR_BYTES];
    struct varve_disc_identity identity, back;
    struct varve_disc_map map, back_map;
    struct varve_error err = {0};
    size_t used = size < sizeof block - 4 ? size : sizeof block - 4;
    memset(block, ' ', sizeof block);
    if (used > 0)
        memcpy(block, data, used);
    varve_put_le32(&block[sizeof block - 4], varve_crc32c(0, block, sizeof block - 4));
    if (!varve_anchor_decode(block, &identity, &map, &err)) {
        assert(err.kind == VARVE_ERROR_CORRUPT || err.kind == VARVE_ERROR_WRONG_DISC ||
               err.kind == VARVE_ERROR_INVALID);
        return 0;
    }
    assert(identity.data_discs > 0 && identity.index < identity.data_discs + identity.parity_discs);
    assert(map.crcs.lba <= map.clusters * VARVE_CLUSTER_SECTORS);
    if (!varve_anchor_encode(&identity, &map, again, &err))
        return 0;
    assert(varve_anchor_decode(again, &back, &back_map, &err));
    assert(memcmp(&map, &back_map, sizeof map) == 0);
    return 0;
}
