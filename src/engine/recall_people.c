/* SPDX-License-Identifier: Apache-2.0 */
/* What recalls want of persons: which discs, from which shelves; and the end of waiting for one. */
#include "manual.h"
#include "recall.h"

void
recalls_shelf(struct varve_engine *engine, const struct varve_barcode *barcode, char ret[96])
{
    ret[0] = 0;
    if (engine->recalls == NULL)
        return;
    VARVE_LOCKED(&engine->recalls->lock);
    for (const struct entry *entry = engine->recalls->entries; entry != NULL; entry = entry->next) {
        if (entry->state == ENTRY_WAITING && varve_barcode_equal(&entry->barcode, barcode)) {
            (void)snprintf(ret, sizeof entry->shelf, "%s", entry->shelf);
            return;
        }
    }
}

size_t
recalls_wanted(struct varve_engine *engine, size_t library, struct varve_barcode *ret, size_t max)
{
    size_t count = 0;
    VARVE_LOCKED(&engine->recalls->lock);
    for (const struct entry *entry = engine->recalls->entries; entry != NULL && count < max;
         entry = entry->next) {
        bool seen = entry->state != ENTRY_WAITING || entry->library != library;
        for (size_t i = 0; i < count && !seen; i++)
            seen = varve_barcode_equal(&ret[i], &entry->barcode);
        if (!seen)
            ret[count++] = entry->barcode;
    }
    return count;
}

void
recalls_turn_away(struct varve_engine *engine, const struct drive *drive,
                  const struct varve_error *why)
{
    enum { BATCH = 256 };
    struct entry *batch[BATCH];
    size_t count;
    while ((count = entries_take(engine->recalls, drive, &drive->disc, batch, BATCH)) > 0) {
        for (size_t i = 0; i < count; i++)
            entry_fail(engine, batch[i], why);
    }
}
