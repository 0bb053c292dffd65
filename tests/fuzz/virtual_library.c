/* SPDX-License-Identifier: Apache-2.0 */
/* library.json of any bytes is refused, or gives a model in which every disc is in one element that
 * exists, and all numbers are within the limits. */
#include "virtual_internal.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct varve_virtual *library)
{
    assert(library->slots <= VIRTUAL_SLOT_MAX && library->drive_count <= VIRTUAL_DRIVE_MAX);
    assert(library->mail_slots <= VIRTUAL_MAIL_MAX);
    for (size_t i = 0; i < library->place_count; i++) {
        const struct virtual_place *place = &library->places[i];
        int32_t index = virtual_index(library, place->element);
        assert(index >= 0 && library->occupant[index] == (int32_t)i);
        assert(virtual_address(library, (unsigned)index) == place->element);
    }
    for (unsigned i = 0; i < library->drive_count; i++)
        assert(library->cable[i] < library->drive_count);
    (void)virtual_is_absent(library, VIRTUAL_SLOT_FIRST);
    assert(library->timing.column >= 1 && library->timing.write_times >= 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_error err = {0};
    VARVE_CLEANUP(varve_virtual_close) struct varve_virtual *library = virtual_new("/nowhere");
    if (library == NULL)
        return 0;
    if (virtual_parse_text(library, (const char *)data, size, &err))
        check(library);
    else
        assert(err.kind == VARVE_ERROR_INVALID || err.kind == VARVE_ERROR_NOMEM);
    return 0;
}
