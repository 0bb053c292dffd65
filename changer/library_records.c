/* SPDX-License-Identifier: Apache-2.0 */
/* What a library remembers of its elements: by inventories, by moves of its own, and because people
 * said so. */
#include "library_internal.h"

#include <string.h>
#include <varve/grow.h>

static bool
is_blank(const struct varve_barcode *barcode)
{
    return barcode->text[0] == 0;
}

/* --- records --- */

size_t
varve_library_record_position(const struct varve_element_record *records, size_t count,
                              uint16_t address)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (records[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct varve_element_record *
varve_library_record(struct varve_library *library, uint16_t address)
{
    size_t at = varve_library_record_position(library->records, library->record_count, address);
    bool found = at < library->record_count && library->records[at].address == address;
    return found ? &library->records[at] : NULL;
}

static bool
same_record(const struct varve_element_record *a, const struct varve_element_record *b)
{
    return a->address == b->address && varve_barcode_equal(&a->barcode, &b->barcode) &&
           a->has_home == b->has_home && a->home == b->home && a->flags == b->flags &&
           varve_barcode_equal(&a->expected, &b->expected) && a->inverted == b->inverted;
}

bool
varve_library_record_put(struct varve_library *library, const struct varve_element_record *record,
                         bool *ret_changed, struct varve_error *err)
{
    struct varve_element_record *known = varve_library_record(library, record->address);
    *ret_changed = known == NULL || !same_record(known, record);
    if (known != NULL) {
        *known = *record;
        return true;
    }
    struct varve_element_record *grown =
        varve_grow(library->records, &library->record_capacity, library->record_count,
                   sizeof *library->records);
    if (grown == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "remember an element");
    library->records = grown;
    size_t at = varve_library_record_position(grown, library->record_count, record->address);
    memmove(&grown[at + 1], &grown[at], (library->record_count - at) * sizeof *grown);
    grown[at] = *record;
    library->record_count++;
    return true;
}

bool
varve_library_remember(struct varve_library *library, const struct varve_element_record *records,
                       size_t count, struct varve_error *err)
{
    const struct varve_move_journal *journal = &library->changer.journal;
    if (journal->remember == NULL || count == 0)
        return true;
    return journal->remember(journal->context, library->name, records, count, err) ||
           varve_error_wrap(err, "remember what lies where");
}

static bool
put_and_remember(struct varve_library *library, const struct varve_element_record *record,
                 struct varve_error *err)
{
    bool changed;
    return varve_library_record_put(library, record, &changed, err) &&
           (!changed || varve_library_remember(library, record, 1, err));
}

bool
varve_library_records_load(struct varve_library *library, struct varve_error *err)
{
    const struct varve_move_journal *journal = &library->changer.journal;
    VARVE_CLEANUP_FREE struct varve_element_record *found = NULL;
    size_t count = 0;
    if (journal->records == NULL)
        return true;
    if (!journal->records(journal->context, library->name, &found, &count, err))
        return varve_error_wrap(err, "read what lay where");
    for (size_t i = 0; i < count; i++) {
        bool changed;
        if (!varve_library_record_put(library, &found[i], &changed, err))
            return false;
    }
    return true;
}

int32_t
varve_library_recorded_home(struct varve_library *library, uint16_t address,
                            const struct varve_barcode *barcode)
{
    const struct varve_element_record *record = varve_library_record(library, address);
    bool known = record != NULL && record->has_home &&
                 (is_blank(barcode) || varve_barcode_equal(&record->barcode, barcode));
    return known ? record->home : -1;
}

/* --- moves of our own --- */

bool
varve_library_announce(struct varve_library *library, const struct varve_changer_move *move,
                       struct varve_error *err)
{
    const struct varve_element *from = varve_library_element(library, move->from);
    const struct varve_element *to = varve_library_element(library, move->to);
    if (from == NULL || to == NULL || to->full || to->type == VARVE_ELEMENT_TRANSPORT)
        return true; /* an exchange: its target has a record of its own until it is done */
    const struct varve_element_record *old = varve_library_record(library, move->from);
    struct varve_element_record next = {.address = move->to, .barcode = move->barcode};
    next.flags = from->flags & LIBRARY_DISC_FLAGS;
    next.has_home = to->type == VARVE_ELEMENT_DRIVE && from->type == VARVE_ELEMENT_SLOT;
    next.home = next.has_home ? move->from : 0;
    next.inverted = from->inverted != move->invert;
    if (old != NULL)
        next.expected = old->expected;
    return put_and_remember(library, &next, err);
}

bool
varve_library_announce_exchange(struct varve_library *library,
                                const struct varve_changer_exchange *exchange,
                                struct varve_error *err)
{
    const struct varve_element *from = varve_library_element(library, exchange->in.from);
    if (!varve_library_announce(library, &exchange->out, err))
        return false;
    struct varve_element_record next = {.address = exchange->in.to,
                                        .barcode = exchange->in.barcode,
                                        .has_home = true,
                                        .home = exchange->in.from,
                                        .expected = exchange->out.barcode};
    next.flags = from != NULL ? from->flags & LIBRARY_DISC_FLAGS : 0;
    return put_and_remember(library, &next, err);
}

/* How the element looks now; `disc` is the one that was moved, as it was at its source. */
static void
take_over(struct varve_library *library, const struct varve_smc_element *fresh,
          const struct varve_element *disc, bool turned)
{
    struct varve_element *known = varve_library_element(library, fresh->element.address);
    if (known == NULL)
        return;
    const struct varve_element before = *known;
    *known = fresh->element;
    if (!known->full) {
        known->barcode = (struct varve_barcode){{0}};
        return;
    }
    if (!is_blank(&known->barcode) && !varve_barcode_equal(&known->barcode, &disc->barcode)) {
        if (before.full && varve_barcode_equal(&known->barcode, &before.barcode))
            known->flags = before.flags; /* another disc, and no news */
        return;
    }
    known->barcode = disc->barcode;
    known->flags = disc->flags & LIBRARY_DISC_FLAGS;
    known->inverted = disc->inverted != turned;
}

static void
record_end(struct varve_library *library, uint16_t address,
           const struct varve_element_record *source)
{
    const struct varve_element *at = varve_library_element(library, address);
    struct varve_element_record next = {.address = address};
    struct varve_error ignored = {0}; /* the next inventory compares and writes it again */
    if (at == NULL || at->type == VARVE_ELEMENT_TRANSPORT)
        return;
    const struct varve_element_record *old = varve_library_record(library, address);
    if (at->full) {
        next.barcode = at->barcode;
        next.flags = at->flags;
        next.inverted = at->inverted;
        if (at->flags & VARVE_ELEMENT_QUARANTINED)
            next.expected = source->expected;
        bool same = old != NULL && varve_barcode_equal(&old->barcode, &at->barcode);
        next.has_home = same && old->has_home; /* announced before the move */
        next.home = next.has_home ? old->home : 0;
    }
    (void)!put_and_remember(library, &next, &ignored);
}

void
varve_library_moved(struct varve_library *library, const struct varve_changer_move *move,
                    const struct varve_changer_ends *ends)
{
    const struct varve_element *from = varve_library_element(library, move->from);
    const struct varve_element_record *record = varve_library_record(library, move->from);
    struct varve_element_record source =
        record != NULL ? *record : (struct varve_element_record){0};
    struct varve_element disc = from != NULL ? *from : (struct varve_element){0};
    disc.barcode = move->barcode;
    bool arrived = !ends->from.element.full;
    take_over(library, &ends->from, &disc, false);
    take_over(library, &ends->to, &disc, arrived && move->invert);
    record_end(library, move->to, &source);
    record_end(library, move->from, &source);
}

static void
record_home(struct varve_library *library, uint16_t drive, uint16_t home)
{
    struct varve_element_record *record = varve_library_record(library, drive);
    struct varve_error ignored = {0}; /* as above */
    if (record == NULL)
        return;
    struct varve_element_record next = *record;
    next.has_home = true;
    next.home = home;
    (void)!put_and_remember(library, &next, &ignored);
}

void
varve_library_exchanged(struct varve_library *library,
                        const struct varve_changer_exchange *exchange,
                        const struct varve_changer_ends *in, const struct varve_changer_ends *out)
{
    const struct varve_element *slot = varve_library_element(library, exchange->in.from);
    bool from_slot = slot != NULL && slot->type == VARVE_ELEMENT_SLOT;
    /* The drive is full after both moves: each is taken over as if the other had not happened. */
    struct varve_changer_ends first = *out;
    struct varve_changer_ends second = *in;
    bool left = varve_barcode_equal(&in->to.element.barcode, &exchange->in.barcode);
    if (left)
        first.from.element.full = false;
    varve_library_moved(library, &exchange->out, &first);
    varve_library_moved(library, &exchange->in, &second);
    if (left && from_slot)
        record_home(library, exchange->in.to, exchange->in.from);
}

/* --- decisions of people --- */

static bool
accept_one(struct varve_library *library, struct varve_element *at, struct varve_error *err)
{
    const struct varve_element_record *old = varve_library_record(library, at->address);
    struct varve_element_record next = old != NULL ? *old : (struct varve_element_record){0};
    next.address = at->address;
    next.barcode = at->barcode;
    next.flags = at->flags & ~(unsigned)VARVE_ELEMENT_QUARANTINED;
    next.expected = (struct varve_barcode){{0}};
    if (!put_and_remember(library, &next, err))
        return false;
    at->flags = next.flags;
    return true;
}

bool
varve_library_accept(struct varve_library *library, int32_t address, unsigned *ret_count,
                     struct varve_error *err)
{
    VARVE_LOCKED(&library->arm);
    unsigned count = 0;
    for (size_t i = 0; i < library->list.count; i++) {
        struct varve_element *at = &library->list.elements[i].element;
        if ((at->flags & VARVE_ELEMENT_QUARANTINED) == 0 ||
            (address >= 0 && at->address != address))
            continue;
        if (!accept_one(library, at, err))
            return varve_error_wrap(err, "library '%s'", library->name);
        count++;
    }
    varve_library_count_flags(library);
    varve_library_publish(library);
    if (count == 0 && address >= 0)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                               "library '%s': element %d is not quarantined", library->name,
                               address);
    *ret_count = count;
    return true;
}

static struct varve_element *
find_named(struct varve_library *library, const struct varve_barcode *barcode, bool named)
{
    for (size_t i = 0; i < library->list.count; i++) {
        struct varve_element *at = &library->list.elements[i].element;
        bool is_named = (at->flags & VARVE_ELEMENT_NAMED) != 0;
        if (at->full && is_named == named && varve_barcode_equal(&at->barcode, barcode))
            return at;
    }
    return NULL;
}

bool
varve_library_name(struct varve_library *library, const struct varve_barcode *old,
                   const struct varve_barcode *name, struct varve_error *err)
{
    VARVE_LOCKED(&library->arm);
    struct varve_element *at = find_named(library, old, true);
    if (at == NULL)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                               "library '%s' gave no disc the name '%s'", library->name, old->text);
    const struct varve_element *other = find_named(library, name, false);
    if (other != NULL)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0,
                               "library '%s': the disc without a label in element %u says that it "
                               "is '%s', which is the bar code of another disc, in element %u",
                               library->name, at->address, name->text, other->address);
    const struct varve_element_record *record = varve_library_record(library, at->address);
    struct varve_element_record next =
        record != NULL ? *record : (struct varve_element_record){.address = at->address};
    next.barcode = *name;
    next.flags = at->flags & ~(unsigned)VARVE_ELEMENT_UNKNOWN;
    if (!put_and_remember(library, &next, err))
        return varve_error_wrap(err, "library '%s'", library->name);
    at->barcode = *name;
    at->flags = next.flags;
    varve_library_count_flags(library);
    varve_library_publish(library);
    return true;
}
