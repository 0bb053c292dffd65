/* SPDX-License-Identifier: Apache-2.0 */
/* What others may ask of a library while its arm moves: where discs were last seen. */
#include "library_internal.h"

#include <string.h>

struct varve_library_position {
    struct varve_barcode barcode;
    uint16_t element;
};

static int
compare(const void *a, const void *b)
{
    const struct varve_library_position *x = a;
    const struct varve_library_position *y = b;
    return strcmp(x->barcode.text, y->barcode.text);
}

/* Out of memory the view stays empty: nobody's choice depends on more than distances. */
void
varve_library_view_positions(struct varve_library *library)
{
    size_t count = 0;
    struct varve_library_position *fresh = calloc(library->list.count + 1, sizeof *fresh);
    for (size_t i = 0; fresh != NULL && i < library->list.count; i++) {
        const struct varve_element *at = &library->list.elements[i].element;
        if (at->full && at->barcode.text[0] != 0)
            fresh[count++] = (struct varve_library_position){at->barcode, at->address};
    }
    if (fresh != NULL)
        qsort(fresh, count, sizeof *fresh, compare);
    free(library->positions);
    library->positions = fresh;
    library->position_count = count;
}

uint16_t
varve_library_element_of(struct varve_library *library, const struct varve_barcode *barcode)
{
    VARVE_LOCKED(&library->view);
    const struct varve_library_position wanted = {*barcode, 0};
    const struct varve_library_position *found =
        library->position_count == 0
            ? NULL
            : bsearch(&wanted, library->positions, library->position_count, sizeof wanted, compare);
    return found != NULL ? found->element : 0;
}

void
varve_library_drive_elements(struct varve_library *library, unsigned drive, uint16_t *ret_element,
                             uint16_t *ret_home)
{
    VARVE_LOCKED(&library->view);
    *ret_element = *ret_home = 0;
    if (drive >= library->drive_count)
        return;
    *ret_element = library->drives[drive].shown_element;
    *ret_home = library->drives[drive].shown_home;
}

int64_t
varve_library_move_ns(const struct varve_library *library, uint16_t from, uint16_t to)
{
    if (library->has_geometry)
        return varve_geometry_move_ns(&library->geometry, from, to);
    /* Addresses mostly follow the way of the arm; far less than a move, so that it only decides
     * between drives that are equal otherwise. */
    return VARVE_NS_PER_MS * (from > to ? from - to : to - from);
}

void
varve_library_note_refusal(struct varve_library *library, unsigned drive, bool refused)
{
    VARVE_LOCKED(&library->view);
    library->drives[drive].refused = refused;
}

bool
varve_library_drive_refused(struct varve_library *library, unsigned drive)
{
    VARVE_LOCKED(&library->view);
    return drive < library->drive_count && library->drives[drive].refused;
}
