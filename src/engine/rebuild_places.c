/* SPDX-License-Identifier: Apache-2.0 */
/* Shelves, magazines and who took what where: on no disc, so they come from the catalog that the
 * new one replaces, as far as that can still be read. */
#include "rebuild.h"

#include <string.h>

static bool
copy_events(struct varve_catalog *from, struct varve_catalog *to,
            const struct varve_barcode *barcode, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_event *page = calloc(PAGE_ROWS, sizeof *page);
    size_t count = PAGE_ROWS;
    uint64_t after = 0;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "copy the history of discs");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_disc_events(from, barcode, after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].id;
            if (!varve_catalog_disc_event_add(to, &page[i], err))
                return false;
        }
    }
    return true;
}

/* A disc that was not among those the rebuild saw has no row to belong to. */
static bool
copy_place(struct varve_catalog *from, struct varve_catalog *to,
           const struct varve_disc_place *place, uint64_t *count, struct varve_error *err)
{
    struct varve_disc_row row;
    struct varve_error why = {0};
    if (!varve_catalog_disc_get(to, &place->barcode, &row, &why)) {
        if (why.kind == VARVE_ERROR_NOT_FOUND)
            return true;
        *err = why;
        return false;
    }
    ++*count;
    return varve_catalog_disc_place_put(to, place, err) &&
           copy_events(from, to, &place->barcode, err);
}

static bool
copy_places(struct varve_catalog *from, struct varve_catalog *to, uint64_t *ret_count,
            struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_place *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_barcode after = {{0}};
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "copy the places of discs");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_disc_places(from, NULL, &after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].barcode;
            if (!copy_place(from, to, &page[i], ret_count, err))
                return false;
        }
    }
    return true;
}

void
rebuild_keep_places(struct rebuild *r, const char *old_path)
{
    VARVE_CLEANUP(varve_catalog_close) struct varve_catalog *old = NULL;
    struct varve_error why = {0};
    uint64_t count = 0;
    if (access(old_path, F_OK) != 0)
        return;
    if (varve_catalog_open(old_path, r->engine->clock, &old, &why) &&
        copy_places(old, r->catalog, &count, &why)) {
        rebuild_tell(r, count, count, "places of discs taken over");
        return;
    }
    varve_log(
        VARVE_LOG_WARNING,
        "rebuild: the old catalog does not tell where discs are kept (%s); 'varve disc place' "
        "notes it anew",
        why.text);
}
