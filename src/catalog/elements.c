/* SPDX-License-Identifier: Apache-2.0 */
/* What libraries remember of their elements. */
#include "catalog_internal.h"

static bool
put_element(struct varve_catalog *catalog, const struct varve_element_row *row,
            struct varve_error *err)
{
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_writer(catalog, SQL_ELEMENT_PUT, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, row->library);
    bind_u64(statement, 2, row->address);
    bind_text(statement, 3, row->barcode.text);
    bind_i64(statement, 4, row->home);
    bind_u64(statement, 5, row->flags);
    bind_text(statement, 6, row->expected.text);
    bind_u64(statement, 7, row->inverted ? 1 : 0);
    return catalog_run(catalog, statement, err);
}

bool
varve_catalog_elements_put(struct varve_catalog *catalog, const struct varve_element_row *rows,
                           size_t count, struct varve_error *err)
{
    varve_catalog_begin(catalog);
    bool ok = true;
    {
        VARVE_LOCKED(&catalog->lock);
        for (size_t i = 0; i < count && ok; i++)
            ok = put_element(catalog, &rows[i], err);
    }
    return varve_catalog_end(catalog, ok, err) && ok;
}

static bool
element_from_row(sqlite3_stmt *statement, void *row, struct varve_error *err)
{
    struct varve_element_row *ret = row;
    *ret = (struct varve_element_row){.address = (uint16_t)column_u32(statement, 1),
                                      .home = sqlite3_column_int(statement, 3),
                                      .flags = column_u32(statement, 4),
                                      .inverted = sqlite3_column_int(statement, 6) != 0};
    return column_text(statement, 0, ret->library, sizeof ret->library, err) &&
           column_text(statement, 2, ret->barcode.text, sizeof ret->barcode.text, err) &&
           column_text(statement, 5, ret->expected.text, sizeof ret->expected.text, err);
}

bool
varve_catalog_elements(struct varve_catalog *catalog, const char *library, int32_t after,
                       struct varve_element_row *ret, size_t max, size_t *ret_count,
                       struct varve_error *err)
{
    VARVE_LOCKED(&catalog->lock);
    VARVE_CLEANUP(catalog_reset)
    sqlite3_stmt *statement = catalog_reader(catalog, SQL_ELEMENTS, err);
    if (statement == NULL)
        return false;
    bind_text(statement, 1, library);
    bind_i64(statement, 2, after);
    return catalog_collect(catalog, statement, element_from_row,
                           &(struct catalog_page){ret, sizeof *ret, max, ret_count}, err);
}
