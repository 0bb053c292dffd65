/* SPDX-License-Identifier: Apache-2.0 */
/* /varve/disc.json from any bytes: refused, or members for every data disc, all within bounds. */
#include <assert.h>

#include "anchor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VARVE_CLEANUP_FREE struct varve_disc_map *members = NULL;
    struct varve_disc_identity identity;
    struct varve_disc_map map;
    struct varve_error err = {0};
    if (!varve_disc_json_decode(data, size, &identity, &map, &members, &err))
        return 0;
    assert((members != NULL) == (identity.index >= identity.data_discs));
    for (uint32_t i = 0; members != NULL && i < identity.data_discs; i++)
        assert(members[i].clusters <= VARVE_IMAGE_CLUSTERS_MAX);
    return 0;
}
