/* SPDX-License-Identifier: Apache-2.0 */
/* When a file will be here, and what cannot come at all because its discs are elsewhere. */
#include "eta.h"
#include "recall.h"

#include <inttypes.h>
#include <string.h>

enum { LINE_MAX = 512 }; /* discs that an estimate tells apart */

int64_t
eta_seconds(const struct eta_input *input)
{
    double drives = input->drives > 0 ? (double)input->drives : 1;
    double rate = input->pace.bytes_per_ns > 1e-6 ? input->pace.bytes_per_ns : 1e-6; /* 1 kB/s */
    double ns =
        input->pace.load_ns * ((double)input->loads + (double)input->loads_before / drives) +
        ((double)input->bytes + (double)input->bytes_before / drives) / rate;
    double seconds = ns / 1e9 + 0.999;
    return seconds < 1 ? 1 : seconds > 1e9 ? 1000000000 : (int64_t)seconds;
}

/* What a job asks for comes after readers who asked so many loads later. */
#define JOB_LOADS 20.0

double
recall_rank(const struct rank_input *input)
{
    int64_t since = input->turn_ns > input->since_ns ? input->turn_ns : input->since_ns;
    if (input->loaded)
        return input->stay ? -1e30 : (double)since + 1e29;
    return input->reader ? (double)since : (double)since + JOB_LOADS * input->load_ns;
}

/* What is left when nobody wants it is read if it is so little, else given up after this time. */
#define UNWANTED_BYTES (UINT64_C(256) << 20)
#define UNWANTED_NS (10 * VARVE_NS_PER_SECOND)

bool
recall_is_abandoned(uint64_t left, bool wanted, int64_t now_ns, int64_t *since_ns)
{
    if (wanted || left < UNWANTED_BYTES) {
        *since_ns = 0;
        return false;
    }
    if (*since_ns == 0)
        *since_ns = now_ns;
    return now_ns - *since_ns >= UNWANTED_NS;
}

/* --- where the bytes are to be had --- */

static bool
disc_is_at_hand(struct varve_engine *engine, const struct varve_disc_row *disc, size_t *ret_library)
{
    struct varve_error ignored = {0}; /* a library that is not configured has no disc at hand */
    return (disc->state == VARVE_DISC_SEALED || disc->state == VARVE_DISC_SUSPECT) &&
           library_index(engine, disc->library, ret_library, &ignored) &&
           library_is_there(engine, *ret_library);
}

/* ... and its library cannot be reached now: somebody can change that. */
static bool
is_in_absent(struct varve_engine *engine, const struct varve_disc_row *disc, size_t *ret_library)
{
    struct varve_error ignored = {0};
    return (disc->state == VARVE_DISC_SEALED || disc->state == VARVE_DISC_SUSPECT) &&
           library_index(engine, disc->library, ret_library, &ignored) &&
           !library_is_there(engine, *ret_library);
}

static bool
fail_absent(struct varve_engine *engine, const struct varve_disc_row *disc, size_t library,
            struct varve_error *err)
{
    char why[200];
    const char *name = engine->libraries[library].name;
    varve_error_set(err, VARVE_ERROR_OFFLINE, 0, "disc %s is in library '%s', which is offline: %s",
                    disc->barcode.text, name, library_absence(engine, library, why));
    return varve_error_hint(err,
                            "put that right: it is then opened by itself, at once by 'varve "
                            "library resume %s'",
                            name);
}

/* Counts the members of a set that can be read now, and those that somebody could bring. */
static bool
count_members(struct varve_engine *engine, const struct varve_set *set, uint32_t *ret_here,
              struct varve_disc_row *ret_away, uint32_t *ret_away_count, struct varve_error *err)
{
    *ret_here = 0;
    *ret_away_count = 0;
    for (uint32_t i = 0; i < set->data_discs + set->parity_discs; i++) {
        struct varve_disc_row disc;
        size_t library;
        struct varve_error why = {0};
        if (!set_disc(engine, set->id, i, &disc, &why)) {
            if (why.kind == VARVE_ERROR_NOT_FOUND)
                continue;
            *err = why;
            return false;
        }
        if (disc_is_at_hand(engine, &disc, &library))
            ++*ret_here;
        else if ((disc.state == VARVE_DISC_OFFLINE || is_in_absent(engine, &disc, &library)) &&
                 (*ret_away_count)++ == 0)
            *ret_away = disc;
    }
    return true;
}

bool
piece_reach(struct varve_engine *engine, const struct varve_piece *piece, struct reach *ret,
            struct varve_error *err)
{
    struct varve_set set;
    struct varve_disc_row disc = {0};
    struct varve_disc_row away = {0};
    struct varve_error why = {0};
    uint32_t here;
    uint32_t elsewhere;
    *ret = (struct reach){.loads = 1};
    bool known = set_disc(engine, piece->set, piece->index, &disc, &why);
    if (known && disc_is_at_hand(engine, &disc, &ret->library)) {
        ret->barcode = disc.barcode;
        return true;
    }
    ret->degraded = true;
    if (!varve_catalog_set_get(engine->catalog, piece->set, &set, err) ||
        !count_members(engine, &set, &here, &away, &elsewhere, err))
        return false;
    ret->loads = set.data_discs;
    if (here >= set.data_discs || here + elsewhere < set.data_discs)
        return true; /* the rest of the set serves, or will say what is lost */
    size_t library;
    if (known && (disc.state == VARVE_DISC_OFFLINE || is_in_absent(engine, &disc, &library)))
        away = disc;
    if (is_in_absent(engine, &away, &library))
        return fail_absent(engine, &away, library, err);
    return varve_error_set(err, VARVE_ERROR_OFFLINE, 0, "disc %s is not in a library%s%s%s",
                           away.barcode.text, away.place[0] != 0 ? ": " : "", away.place,
                           disc.state == VARVE_DISC_OFFLINE ? "" : " (to stand in for a lost one)");
}

/* --- the line --- */

/* Discs seen on a walk through the line. */
struct seen {
    struct varve_barcode discs[LINE_MAX];
    size_t count;
};

static bool
seen_before(struct seen *seen, const struct varve_barcode *barcode)
{
    for (size_t i = 0; i < seen->count; i++) {
        if (varve_barcode_equal(&seen->discs[i], barcode))
            return true;
    }
    if (seen->count < LINE_MAX)
        seen->discs[seen->count++] = *barcode;
    return false;
}

/* Lock of the line held. Starts with what lies in drives: nothing needs to be brought for that. */
static void
note_drives(const struct recalls *recalls, struct seen *seen)
{
    for (size_t i = 0; i < recalls->engine->drive_count && i < DRIVES_MAX; i++) {
        if (recalls->loaded[i].text[0] != 0)
            (void)seen_before(seen, &recalls->loaded[i]);
    }
}

/* What stands before `own` (NULL: the end of the line) goes into `input`. */
static void
walk_line(struct recalls *recalls, const struct entry *own, struct seen *seen,
          struct eta_input *input)
{
    for (const struct entry *entry = recalls->entries; entry != NULL && entry != own;
         entry = entry->next) {
        uint64_t handed = atomic_load(&entry->handed);
        input->bytes_before += entry->size > handed ? entry->size - handed : 0;
        if (entry->state == ENTRY_WAITING && !seen_before(seen, &entry->barcode))
            input->loads_before++;
    }
}

static struct eta_input
input_of(struct varve_engine *engine, const struct recalls *recalls)
{
    return (struct eta_input){.drives = (unsigned)engine->drive_count, .pace = recalls->pace};
}

/* Lock of the line held. */
static int64_t
eta_of_entry(struct recalls *recalls, const struct entry *entry)
{
    struct seen seen = {.count = 0};
    struct eta_input input = input_of(recalls->engine, recalls);
    uint64_t handed = atomic_load(&entry->handed);
    input.bytes = entry->size > handed ? entry->size - handed : 0;
    if (entry->state == ENTRY_SERVING)
        return eta_seconds(&input);
    note_drives(recalls, &seen);
    walk_line(recalls, entry, &seen, &input);
    input.loads = entry->pieces_left - 1;
    if (entry->state == ENTRY_WAITING)
        input.loads += !seen_before(&seen, &entry->barcode);
    else
        input.loads += 2; /* the set is read: more discs than one */
    return eta_seconds(&input);
}

/* Of a content that nobody asked for yet. */
static bool
eta_of_pieces(struct varve_engine *engine, const struct varve_piece *pieces, size_t count,
              int64_t *ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct seen *seen = calloc(1, sizeof *seen);
    VARVE_CLEANUP_FREE struct reach *reaches = calloc(count + 1, sizeof *reaches);
    if (seen == NULL || reaches == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "estimate");
    for (size_t i = 0; i < count; i++) {
        if (!piece_reach(engine, &pieces[i], &reaches[i], err))
            return false;
    }
    VARVE_LOCKED(&engine->recalls->lock);
    struct eta_input input = input_of(engine, engine->recalls);
    note_drives(engine->recalls, seen);
    walk_line(engine->recalls, NULL, seen, &input);
    for (size_t i = 0; i < count; i++) {
        input.bytes += pieces[i].bytes;
        if (reaches[i].degraded || !seen_before(seen, &reaches[i].barcode))
            input.loads += reaches[i].loads;
    }
    *ret = eta_seconds(&input);
    return true;
}

static bool
eta_in_line(struct recalls *recalls, struct varve_content_id content, int64_t *ret)
{
    VARVE_LOCKED(&recalls->lock);
    for (const struct entry *entry = recalls->entries; entry != NULL; entry = entry->next) {
        if (entry->content.value != content.value)
            continue;
        *ret = eta_of_entry(recalls, entry);
        return true;
    }
    return false;
}

bool
recalls_eta(void *context, struct varve_content_id content, struct varve_buffer *ret,
            struct varve_error *err)
{
    struct varve_engine *engine = context;
    VARVE_CLEANUP_FREE struct varve_piece *pieces = NULL;
    struct varve_error why = {0};
    size_t count;
    int64_t seconds = 0;
    bool known = eta_in_line(engine->recalls, content, &seconds);
    if (!known && !content_pieces(engine, content, &pieces, &count, err))
        return false;
    if (!known && !eta_of_pieces(engine, pieces, count, &seconds, &why)) {
        if (why.kind != VARVE_ERROR_OFFLINE) {
            *err = why;
            return false;
        }
        varve_buffer_printf(ret, "offline: %s", why.text);
        return true;
    }
    varve_buffer_printf(ret, "%" PRId64, seconds);
    return true;
}

/* --- for people --- */

static const char *
state_word(enum entry_state state)
{
    switch (state) {
    case ENTRY_WAITING:
        return "waiting";
    case ENTRY_SERVING:
        return "reading";
    case ENTRY_DEGRADED:
    case ENTRY_GATHERING:
        return "decoding";
    }
    return "?";
}

size_t
recalls_list(struct varve_engine *engine, struct varve_engine_recall *ret, size_t max)
{
    struct recalls *recalls = engine->recalls;
    size_t count = 0;
    VARVE_LOCKED(&recalls->lock);
    for (const struct entry *entry = recalls->entries; entry != NULL && count < max;
         entry = entry->next) {
        struct varve_engine_recall *recall = &ret[count++];
        *recall = (struct varve_engine_recall){.content = entry->content,
                                               .bytes = entry->size,
                                               .done = atomic_load(&entry->handed),
                                               .state = state_word(entry->state),
                                               .eta_s = eta_of_entry(recalls, entry)};
        if (entry->state == ENTRY_WAITING || entry->state == ENTRY_SERVING)
            (void)snprintf(recall->disc, sizeof recall->disc, "%s", entry->barcode.text);
    }
    return count;
}
