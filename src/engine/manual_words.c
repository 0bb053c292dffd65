/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences for the person, and labels. */
#include "manual.h"

#include <inttypes.h>
#include <string.h>

const char *
place_text(struct varve_engine *engine, const struct varve_barcode *barcode,
           char ret[PLACE_TEXT_BYTES])
{
    struct varve_disc_place place;
    struct varve_error ignored = {0}; /* asked for without its place */
    ret[0] = 0;
    if (engine->catalog == NULL || barcode->text[0] == 0 ||
        !varve_catalog_disc_place_get(engine->catalog, barcode, &place, &ignored))
        return ret;
    const char *magazine = place.magazine[0] != 0 ? "magazine " : "";
    const char *comma = place.shelf[0] != 0 && place.magazine[0] != 0 ? ", " : "";
    if (place.shelf[0] != 0 || place.magazine[0] != 0)
        (void)snprintf(ret, PLACE_TEXT_BYTES, " (%s%s%s%s)", place.shelf, comma, magazine,
                       place.magazine);
    return ret;
}

static bool
is_blank_row(struct varve_engine *engine, const struct varve_barcode *barcode)
{
    struct varve_disc_row row;
    struct varve_error ignored = {0}; /* a disc that nobody knows is asked for by its name */
    return engine->catalog != NULL &&
           varve_catalog_disc_get(engine->catalog, barcode, &row, &ignored) &&
           (row.state == VARVE_DISC_BLANK || row.state == VARVE_DISC_BURNING);
}

const char *
ask_text(struct varve_engine *engine, const struct varve_manual_request *request,
         char ret[ASK_TEXT_BYTES])
{
    char out[PLACE_TEXT_BYTES];
    char wanted[PLACE_TEXT_BYTES];
    char take[PLACE_TEXT_BYTES + 80] = "";
    char problem[sizeof request->problem + 40] = "";
    (void)place_text(engine, &request->barcode, wanted);
    if (request->out.text[0] != 0)
        (void)snprintf(take, sizeof take, "take disc %s out of drive %u%s and ", request->out.text,
                       request->drive, place_text(engine, &request->out, out));
    if (request->problem[0] != 0)
        (void)snprintf(problem, sizeof problem, "; what came last is given back: %s",
                       request->problem);
    if (is_blank_row(engine, &request->barcode))
        (void)snprintf(ret, ASK_TEXT_BYTES,
                       "%sput a fresh blank disc into drive %u: it becomes %s%s%s", take,
                       request->drive, request->barcode.text, wanted, problem);
    else
        (void)snprintf(ret, ASK_TEXT_BYTES, "%sput disc %s%s into drive %u%s", take,
                       request->barcode.text, wanted, request->drive, problem);
    return ret;
}

void
disc_shelf(struct varve_engine *engine, const struct varve_barcode *barcode, char ret[96])
{
    struct varve_disc_place place;
    struct varve_error ignored = {0}; /* then it comes first on a walk */
    ret[0] = 0;
    if (engine->catalog != NULL && barcode->text[0] != 0 &&
        varve_catalog_disc_place_get(engine->catalog, barcode, &place, &ignored))
        (void)snprintf(ret, 96, "%s", place.shelf);
}

bool
label_make(const char *prefix, uint64_t number, struct varve_barcode *ret, struct varve_error *err)
{
    char text[VARVE_BARCODE_BYTES + 32];
    (void)snprintf(text, sizeof text, "%s%05" PRIu64, prefix, number);
    return varve_barcode_make(text, ret) ||
           varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "no label '%s...' is left", prefix);
}

uint64_t
label_number(const char *prefix, const char *label)
{
    enum { DIGITS_MAX = 15 };
    size_t size = strlen(prefix);
    if (strncmp(label, prefix, size) != 0)
        return 0;
    const char *digits = label + size;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > DIGITS_MAX || digits[count] != 0)
        return 0;
    return strtoull(digits, NULL, 10);
}
