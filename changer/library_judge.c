/* SPDX-License-Identifier: Apache-2.0 */
/* A fresh inventory against what the library remembers: labels that cannot be read, doubles, discs
 * exchanged by hand, magazines that are out (reference, faults 4-7, 14, 15). */
#include "library_internal.h"

#include <inttypes.h>
#include <string.h>

#define CLEANING_PREFIX "CLN"

static bool
is_blank(const struct varve_barcode *barcode)
{
    return barcode->text[0] == 0;
}

struct judging {
    struct varve_library *library;
    bool doubtful, first;                /* first: nothing was ever remembered */
    struct varve_element_record *before; /* all records as they were, by address */
    size_t before_count;
    struct varve_element_record *changed;
    size_t changed_count;
    struct varve_element **labels; /* full elements by bar code */
    size_t label_count;
    unsigned strangers;                          /* discs that another program moved */
    unsigned gone_count, gone_discs, back_count; /* of a magazine */
    uint16_t gone_first, gone_last, back_first, back_last;
};

static void
judging_done_cleanup(struct judging *judging)
{
    free(judging->before);
    free(judging->changed);
    free(judging->labels);
}

static bool
prepare(struct judging *judging, struct varve_error *err)
{
    const struct varve_library *library = judging->library;
    size_t room = library->list.count + library->record_count + 1;
    judging->before = calloc(room, sizeof *judging->before);
    judging->changed = calloc(room, sizeof *judging->changed);
    judging->labels = calloc(room, sizeof *judging->labels);
    if (judging->before == NULL || judging->changed == NULL || judging->labels == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "compare %zu elements", room);
    if (library->record_count > 0)
        memcpy(judging->before, library->records, library->record_count * sizeof *judging->before);
    judging->before_count = library->record_count;
    judging->first = library->record_count == 0;
    return true;
}

static int
compare_list(const void *a, const void *b)
{
    const struct varve_element *x = &((const struct varve_smc_element *)a)->element;
    const struct varve_element *y = &((const struct varve_smc_element *)b)->element;
    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    return (x->address > y->address) - (x->address < y->address);
}

/* Elements that held a disc and are not reported any more: the magazine is out, or the unit counts
 * fewer slots than it did. The disc is known to be with them, so it is not lost. */
static bool
add_unreported(struct varve_library *library, struct varve_error *err)
{
    size_t count = library->list.count; /* the list stays sorted, to be searched, until the end */
    for (size_t i = 0; i < library->record_count; i++) {
        const struct varve_element_record *record = &library->records[i];
        if (is_blank(&record->barcode) || varve_library_element(library, record->address) != NULL)
            continue;
        struct varve_smc_element *grown =
            reallocarray(library->list.elements, count + 1, sizeof *library->list.elements);
        if (grown == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "compare elements");
        library->list.elements = grown;
        grown[count++] = (struct varve_smc_element){.element = {.type = VARVE_ELEMENT_SLOT,
                                                                .address = record->address,
                                                                .exception = true,
                                                                .asc = 0x3b,
                                                                .ascq = 0x12}};
    }
    if (count > library->list.count)
        qsort(library->list.elements, count, sizeof *library->list.elements, compare_list);
    library->list.count = count;
    return true;
}

/* 3B/11 and 3B/12 magazine, 3B/18 element disabled, 83/02 not fitted (ATL); or what the unit says
 * of it changes from one reading to the next. */
static bool
is_absent(const struct varve_smc_element *at)
{
    const struct varve_element *element = &at->element;
    if (at->disabled)
        return true;
    if (!element->exception)
        return false;
    return (element->asc == 0x3b &&
            (element->ascq == 0x11 || element->ascq == 0x12 || element->ascq == 0x18)) ||
           (element->asc == 0x83 && element->ascq == 0x02) ||
           element->asc == VARVE_CHANGER_UNREADABLE;
}

static void
note_range(uint16_t address, unsigned *count, uint16_t *first, uint16_t *last)
{
    if (*count == 0 || address < *first)
        *first = address;
    if (*count == 0 || address > *last)
        *last = address;
    ++*count;
}

static void
judge_absent(struct judging *judging, struct varve_element *at,
             const struct varve_element_record *record, struct varve_element_record *next)
{
    at->flags = VARVE_ELEMENT_ABSENT;
    at->full = false;
    at->barcode = record->barcode;
    *next = *record; /* what it holds is with it, wherever it is */
    next->flags |= VARVE_ELEMENT_ABSENT;
    if (record->flags & VARVE_ELEMENT_ABSENT || judging->first)
        return;
    note_range(at->address, &judging->gone_count, &judging->gone_first, &judging->gone_last);
    judging->gone_discs += !is_blank(&record->barcode);
}

/* A name that no label has and no other disc gets: time and place of the first sight. */
static void
make_name(const struct varve_library *library, uint16_t address, struct varve_barcode *ret)
{
    int64_t seconds = varve_clock_realtime(library->clock) / VARVE_NS_PER_SECOND;
    char text[VARVE_BARCODE_BYTES];
    (void)snprintf(text, sizeof text, "N%08" PRIX32 "-%u", (uint32_t)seconds, address);
    (void)varve_barcode_make(text, ret); /* only allowed characters */
}

/* Some other disc shows this label. */
static bool
is_label(const struct varve_library *library, const struct varve_barcode *barcode)
{
    for (size_t i = 0; i < library->list.count; i++) {
        const struct varve_element *at = &library->list.elements[i].element;
        if (at->full && (at->flags & VARVE_ELEMENT_NAMED) == 0 &&
            varve_barcode_equal(&at->barcode, barcode))
            return true;
    }
    return false;
}

/* No bar code could be read (fault 6): it goes by the name that it had here, or by a new one, until
 * somebody looked at it; after a doubt it is looked at again. */
static void
judge_unlabelled(struct judging *judging, struct varve_element *at,
                 const struct varve_element_record *record)
{
    struct varve_library *library = judging->library;
    if (at->type == VARVE_ELEMENT_TRANSPORT)
        return; /* named where it is put down */
    bool had_name = !is_blank(&record->barcode) && !is_label(library, &record->barcode);
    if (had_name && record->flags & VARVE_ELEMENT_NAMED) {
        at->barcode = record->barcode;
        at->flags = record->flags & LIBRARY_DISC_FLAGS;
        if (judging->doubtful)
            at->flags |= VARVE_ELEMENT_UNKNOWN;
        return;
    }
    if (had_name)
        at->barcode = record->barcode;
    else
        make_name(library, at->address, &at->barcode);
    at->flags =
        VARVE_ELEMENT_NAMED | VARVE_ELEMENT_UNKNOWN | (record->flags & VARVE_ELEMENT_QUARANTINED);
    varve_library_tell(library,
                       "library '%s': the disc in element %u has no readable bar code%s; it is "
                       "called '%s' and looked at once\nhint: give it a label",
                       library->name, at->address, had_name ? " any more" : "", at->barcode.text);
}

/* Another disc than the one that lies here by the record, and the arm did not bring it (fault 5).
 */
static void
judge_labelled(struct judging *judging, struct varve_element *at,
               const struct varve_element_record *record, struct varve_element_record *next)
{
    struct varve_library *library = judging->library;
    bool same = varve_barcode_equal(&at->barcode, &record->barcode);
    bool kept = at->type == VARVE_ELEMENT_SLOT || at->type == VARVE_ELEMENT_DRIVE;
    at->flags = same ? record->flags & VARVE_ELEMENT_QUARANTINED : 0;
    bool kept_apart = same && record->flags & VARVE_ELEMENT_QUARANTINED;
    next->expected = kept_apart ? record->expected : (struct varve_barcode){{0}};
    if (strncmp(at->barcode.text, CLEANING_PREFIX, strlen(CLEANING_PREFIX)) == 0)
        at->flags |= VARVE_ELEMENT_CLEANING;
    /* An exchange was cut off before it took the old disc out. */
    if (!same && (record->flags & VARVE_ELEMENT_QUARANTINED) == 0 &&
        varve_barcode_equal(&at->barcode, &record->expected))
        return;
    /* A name of ours says nothing against a label that can be read now. */
    if (same || !kept || is_blank(&record->barcode) || record->flags & VARVE_ELEMENT_NAMED)
        return;
    if (record->flags & VARVE_ELEMENT_QUARANTINED &&
        varve_barcode_equal(&at->barcode, &record->expected)) {
        varve_library_tell(library,
                           "library '%s': disc '%s' is back in element %u, which is in "
                           "use again",
                           library->name, at->barcode.text, at->address);
        return;
    }
    at->flags |= VARVE_ELEMENT_QUARANTINED;
    next->expected = record->flags & VARVE_ELEMENT_QUARANTINED ? record->expected : record->barcode;
    varve_library_tell(library,
                       "library '%s': element %u holds disc '%s' instead of '%s', and varve did "
                       "not move it: it is quarantined and never written\nhint: put disc '%s' "
                       "back, or run 'varve library accept %u'",
                       library->name, at->address, at->barcode.text, next->expected.text,
                       next->expected.text, at->address);
}

static void
judge_home(struct judging *judging, struct varve_element *at,
           const struct varve_element_record *record, struct varve_element_record *next)
{
    struct varve_library *library = judging->library;
    if (at->type != VARVE_ELEMENT_DRIVE)
        return;
    const struct varve_element *source =
        at->has_source ? varve_library_element(library, at->source) : NULL;
    if (source != NULL && source->type == VARVE_ELEMENT_SLOT) {
        next->has_home = true;
        next->home = at->source;
        return;
    }
    if (!record->has_home || !varve_barcode_equal(&record->barcode, &at->barcode))
        return;
    next->has_home = true; /* SVALID is lost: ours is not (fault 14) */
    next->home = record->home;
    if (!at->has_source && judging->doubtful)
        varve_library_tell(library,
                           "library '%s': the changer forgot where disc '%s' in element %u came "
                           "from; by varve's record it was element %u",
                           library->name, at->barcode.text, at->address, next->home);
}

static bool
judge_element(struct judging *judging, struct varve_smc_element *smc, struct varve_error *err)
{
    struct varve_library *library = judging->library;
    struct varve_element *at = &smc->element;
    const struct varve_element_record *known = varve_library_record(library, at->address);
    const struct varve_element_record none = {.address = at->address};
    const struct varve_element_record record = known != NULL ? *known : none;
    struct varve_element_record next = none;
    at->flags = 0;
    if (is_absent(smc)) {
        judge_absent(judging, at, &record, &next);
    } else {
        if (at->full && is_blank(&at->barcode))
            judge_unlabelled(judging, at, &record);
        else if (at->full)
            judge_labelled(judging, at, &record, &next);
        else
            at->barcode = (struct varve_barcode){{0}};
        if (at->full) {
            judge_home(judging, at, &record, &next);
            bool same = varve_barcode_equal(&at->barcode, &record.barcode);
            at->inverted = same ? record.inverted : smc->inverted && at->has_source;
        }
        next.barcode = at->barcode;
        next.flags = at->flags | (record.flags & VARVE_ELEMENT_DUPLICATE);
        next.inverted = at->inverted;
        if (record.flags & VARVE_ELEMENT_ABSENT)
            note_range(at->address, &judging->back_count, &judging->back_first,
                       &judging->back_last);
    }
    bool changed;
    if (!varve_library_record_put(library, &next, &changed, err))
        return false;
    if (changed)
        judging->changed[judging->changed_count++] = next;
    return true;
}

/* --- labels --- */

static int
compare_labels(const void *a, const void *b)
{
    const struct varve_element *x = *(struct varve_element *const *)a;
    const struct varve_element *y = *(struct varve_element *const *)b;
    int order = strcmp(x->barcode.text, y->barcode.text);
    return order != 0 ? order : (x->address > y->address) - (x->address < y->address);
}

static void
sort_labels(struct judging *judging)
{
    struct varve_smc_list *list = &judging->library->list;
    for (size_t i = 0; i < list->count; i++) {
        struct varve_element *at = &list->elements[i].element;
        if (at->full && !is_blank(&at->barcode))
            judging->labels[judging->label_count++] = at;
    }
    qsort(judging->labels, judging->label_count, sizeof(struct varve_element *), compare_labels);
}

static const struct varve_element *
find_label(const struct judging *judging, const struct varve_barcode *barcode)
{
    size_t low = 0;
    size_t high = judging->label_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(judging->labels[middle]->barcode.text, barcode->text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found =
        low < judging->label_count && varve_barcode_equal(&judging->labels[low]->barcode, barcode);
    return found ? judging->labels[low] : NULL;
}

/* Persons are told once of each pair (fault 7). */
static void
flag_duplicates(struct judging *judging)
{
    struct varve_library *library = judging->library;
    for (size_t i = 1; i < judging->label_count; i++) {
        struct varve_element *a = judging->labels[i - 1];
        struct varve_element *b = judging->labels[i];
        if (!varve_barcode_equal(&a->barcode, &b->barcode))
            continue;
        struct varve_element_record *record = varve_library_record(library, b->address);
        a->flags |= VARVE_ELEMENT_DUPLICATE;
        b->flags |= VARVE_ELEMENT_DUPLICATE;
        if (record == NULL || record->flags & VARVE_ELEMENT_DUPLICATE)
            continue;
        varve_library_tell(library,
                           "library '%s': two discs have the bar code '%s', in elements %u and "
                           "%u: neither is used\nhint: take one of them out and relabel it",
                           library->name, a->barcode.text, a->address, b->address);
    }
    for (size_t i = 0; i < library->list.count; i++) {
        const struct varve_element *at = &library->list.elements[i].element;
        struct varve_element_record *record = varve_library_record(library, at->address);
        if (record != NULL)
            record->flags = (record->flags & ~(unsigned)VARVE_ELEMENT_DUPLICATE) |
                            (at->flags & VARVE_ELEMENT_DUPLICATE);
    }
}

static const struct varve_element_record *
record_before(const struct judging *judging, uint16_t address)
{
    size_t at = varve_library_record_position(judging->before, judging->before_count, address);
    bool found = at < judging->before_count && judging->before[at].address == address;
    return found ? &judging->before[at] : NULL;
}

/* Discs that are not where they were and that the arm did not move (fault 4). What the record
 * announced for a move that a crash cut off is at one of its two ends, and no news. */
static void
tell_departures(struct judging *judging)
{
    struct varve_library *library = judging->library;
    for (size_t i = 0; i < judging->before_count; i++) {
        const struct varve_element_record *old = &judging->before[i];
        const struct varve_element *at = varve_library_element(library, old->address);
        if (is_blank(&old->barcode) || at == NULL || at->full || at->flags & VARVE_ELEMENT_ABSENT)
            continue;
        const struct varve_element *now = find_label(judging, &old->barcode);
        if (now == NULL) {
            varve_library_tell(library,
                               "library '%s': disc '%s' is gone from element %u\nhint: put it "
                               "back, or into a mail slot and run 'varve library import'",
                               library->name, old->barcode.text, old->address);
            continue;
        }
        const struct varve_element_record *there = record_before(judging, now->address);
        if (there != NULL && (varve_barcode_equal(&there->barcode, &old->barcode) ||
                              varve_barcode_equal(&there->expected, &old->barcode)))
            continue;
        /* What hangs in the gripper is our own trouble. */
        bool by_hand = library->changer.device.heard || judging->first ||
                       now->type == VARVE_ELEMENT_TRANSPORT || at->type == VARVE_ELEMENT_TRANSPORT;
        varve_library_tell(library, "library '%s': disc '%s' was moved %s from element %u to %u",
                           library->name, old->barcode.text,
                           by_hand ? "by hand" : "by somebody else", old->address, now->address);
        judging->strangers += !by_hand;
    }
}

/* Fault 35: who opens a door is heard of; a disc that moves while nobody did was moved by another
 * program or host, and its next move may meet ours. While the unit's memory is in doubt it proves
 * nothing (fault 8). */
static void
judge_strangers(struct judging *judging)
{
    struct varve_library *library = judging->library;
    if (judging->strangers > 0 && !library->changer.distrusted && !library->maintenance)
        varve_library_stop(library,
                           "discs were moved although nobody opened it: another program or host "
                           "uses this changer",
                           "stop the other program");
}

static void
tell_magazines(struct judging *judging)
{
    struct varve_library *library = judging->library;
    if (judging->gone_count > 0)
        varve_library_tell(library,
                           "library '%s': elements %u to %u are out of use (magazine out?), and "
                           "%u discs with them; jobs wait for these\nhint: put the magazine back",
                           library->name, judging->gone_first, judging->gone_last,
                           judging->gone_discs);
    if (judging->back_count > 0)
        varve_library_tell(library, "library '%s': elements %u to %u are in use again",
                           library->name, judging->back_first, judging->back_last);
}

void
varve_library_count_flags(struct varve_library *library)
{
    unsigned absent = 0, quarantined = 0, duplicate = 0, unknown = 0;
    for (size_t i = 0; i < library->list.count; i++) {
        unsigned flags = library->list.elements[i].element.flags;
        absent += (flags & VARVE_ELEMENT_ABSENT) != 0;
        quarantined += (flags & VARVE_ELEMENT_QUARANTINED) != 0;
        duplicate += (flags & VARVE_ELEMENT_DUPLICATE) != 0;
        unknown += (flags & VARVE_ELEMENT_UNKNOWN) != 0;
    }
    VARVE_LOCKED(&library->view);
    library->state.absent = absent;
    library->state.quarantined = quarantined;
    library->state.duplicate = duplicate;
    library->state.unknown = unknown;
}

static void
note_reading(struct varve_library *library)
{
    VARVE_LOCKED(&library->view);
    library->state.readings++;
}

static bool
judge_all(struct judging *judging, struct varve_error *err)
{
    struct varve_library *library = judging->library;
    if (!add_unreported(library, err))
        return false;
    for (size_t i = 0; i < library->list.count; i++) {
        if (!judge_element(judging, &library->list.elements[i], err))
            return false;
    }
    sort_labels(judging);
    flag_duplicates(judging);
    tell_departures(judging);
    judge_strangers(judging);
    tell_magazines(judging);
    varve_library_count_flags(library);
    note_reading(library);
    return varve_library_remember(library, judging->changed, judging->changed_count, err);
}

bool
varve_library_judge(struct varve_library *library, bool doubtful, struct varve_error *err)
{
    VARVE_CLEANUP(judging_done) struct judging judging = {.library = library, .doubtful = doubtful};
    return prepare(&judging, err) && judge_all(&judging, err);
}
