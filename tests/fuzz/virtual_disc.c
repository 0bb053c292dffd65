/* SPDX-License-Identifier: Apache-2.0 */
/* A disc's .json of any bytes is refused, or gives a disc of a known kind within all limits. */
#include "virtual_internal.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtual_disc disc;
    struct varve_error err = {0};
    if (!virtual_disc_parse((const char *)data, size, &disc, &err)) {
        assert(err.kind == VARVE_ERROR_INVALID);
        return 0;
    }
    assert(disc.media != NULL && disc.spares <= disc.capacity);
    assert(virtual_disc_room(&disc) <= disc.capacity);
    assert(disc.defect_count <= VIRTUAL_DEFECTS_MAX);
    for (unsigned i = 0; i < disc.defect_count; i++) {
        assert(disc.defects[i].first <= disc.defects[i].last);
        assert(virtual_defect_word(disc.defects[i].kind) != NULL);
    }
    assert(virtual_trouble_word(disc.trouble) != NULL);
    return 0;
}
