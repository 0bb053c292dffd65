/* SPDX-License-Identifier: Apache-2.0 */
#include "discs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/disc.h>
#include <varve/file.h>

enum { DISCS_MAX = 1024, SETS_MAX = 256 };

struct disc_note {
    struct varve_barcode barcode;
    bool gone;    /* its image was deleted */
    bool swapped; /* it lies behind another barcode */
    uint8_t *bad; /* by stripe of its set; NULL: whole */
    uint64_t stripes;
    bool finished; /* seen sealed, failed, ...: from then on nobody writes it */
    off_t size;
    struct timespec written;
};
struct discs {
    struct disc_note notes[DISCS_MAX];
    size_t count;
    struct varve_barcode swapped[2]; /* "" while none are */
};

struct discs *
discs_new(void)
{
    return calloc(1, sizeof(struct discs));
}

void
discs_free(struct discs *discs)
{
    for (size_t i = 0; i < discs->count; i++)
        free(discs->notes[i].bad);
    free(discs);
}

static struct varve_catalog *
catalog_of(struct sim *sim)
{
    return varve_engine_catalog(sim->bench.engine);
}

static struct disc_note *
note_of(struct sim *sim, const struct varve_barcode *barcode)
{
    struct discs *discs = sim->discs;
    for (size_t i = 0; i < discs->count; i++) {
        if (varve_barcode_equal(&discs->notes[i].barcode, barcode))
            return &discs->notes[i];
    }
    if (discs->count == DISCS_MAX)
        die(sim, "more discs than the test has room for");
    discs->notes[discs->count].barcode = *barcode;
    return &discs->notes[discs->count++];
}

static size_t
all_sets(struct sim *sim, struct varve_set *ret)
{
    size_t count;
    if (!varve_catalog_sets(catalog_of(sim), (struct varve_set_id){0}, ret, SETS_MAX, &count,
                            &sim->bench.err))
        die(sim, "%s", sim->bench.err.text);
    return count;
}

static size_t
all_discs(struct sim *sim, struct varve_disc_row *ret)
{
    size_t count;
    if (!varve_catalog_discs(catalog_of(sim), &(struct varve_barcode){{0}}, ret, DISCS_MAX, &count,
                             &sim->bench.err))
        die(sim, "%s", sim->bench.err.text);
    return count;
}

static bool
is_sealed(const struct varve_set *set)
{
    return set->state == VARVE_SET_SEALED || set->state == VARVE_SET_DEGRADED;
}

/* --- what parity can still bear --- */

static int
worth(enum varve_disc_state state)
{
    return state == VARVE_DISC_SEALED    ? 3
           : state == VARVE_DISC_SUSPECT ? 2
           : state == VARVE_DISC_LOST    ? 1
                                         : 0;
}

/* The disc at a position, NULL: there is none. */
static const struct varve_disc_row *
member(const struct varve_disc_row *rows, size_t count, const struct varve_set *set, uint32_t index)
{
    const struct varve_disc_row *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].set.value == set->id.value && rows[i].index == index &&
            worth(rows[i].state) > (best == NULL ? 0 : worth(best->state)))
            best = &rows[i];
    }
    return best;
}

static bool
is_bad(struct sim *sim, const struct varve_disc_row *row, uint64_t stripe)
{
    if (row == NULL)
        return true;
    const struct disc_note *note = note_of(sim, &row->barcode);
    return note->gone || note->swapped ||
           (note->bad != NULL && stripe < note->stripes && note->bad[stripe] != 0);
}

static bool
may_lose(struct sim *sim, const struct varve_disc_row *rows, size_t count,
         const struct varve_set *set, uint64_t stripe, uint32_t index)
{
    uint32_t lost = 0;
    for (uint32_t i = 0; i < set->data_discs + set->parity_discs; i++)
        lost += i == index || is_bad(sim, member(rows, count, set, i), stripe);
    return lost <= set->parity_discs;
}

static bool
may_lose_whole(struct sim *sim, const struct varve_disc_row *rows, size_t count,
               const struct varve_set *set, uint32_t index)
{
    for (uint64_t stripe = 0; stripe < set->clusters; stripe++) {
        if (!may_lose(sim, rows, count, set, stripe, index))
            return false;
    }
    return true;
}

/* --- damaging --- */

/* Where the stripes of an image begin: the payload of a parity disc lies behind its tables. */
static uint64_t
first_stripe(struct sim *sim, const char *path, const struct varve_set *set, uint32_t index)
{
    VARVE_CLEANUP(varve_image_file_close) struct varve_image_file *file = NULL;
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *disc = NULL;
    if (index < set->data_discs)
        return 0;
    if (!varve_image_file_open(path, &file, &sim->bench.err) ||
        !varve_disc_open(varve_image_file_source(file), &disc, &sim->bench.err))
        return UINT64_MAX; /* damaged so that its map cannot be read any more */
    return varve_disc_map(disc)->parity.lba / VARVE_CLUSTER_SECTORS;
}

static void
remember_file(struct sim *sim, struct disc_note *note)
{
    struct stat st;
    VARVE_CLEANUP_FREE char *path = bench_image(&sim->bench, note->barcode.text, ".img");
    if (path == NULL || stat(path, &st) != 0)
        return;
    note->size = st.st_size;
    note->written = st.st_mtim;
}

static void
scatter(struct sim *sim, const struct varve_disc_row *rows, size_t count,
        const struct varve_set *set, const struct varve_disc_row *row)
{
    struct disc_note *note = note_of(sim, &row->barcode);
    VARVE_CLEANUP_FREE char *path = bench_image(&sim->bench, row->barcode.text, ".img");
    uint64_t first = first_stripe(sim, path, set, row->index);
    uint64_t clusters = row->index < set->data_discs ? row->clusters : set->clusters;
    VARVE_CLEANUP_FD int fd = open(path, O_RDWR | O_CLOEXEC);
    uint64_t odds = 2 + roll(sim, 20);
    uint8_t noise[512];
    if (fd < 0 || first == UINT64_MAX)
        return;
    if (note->bad == NULL) {
        note->bad = calloc(set->clusters, 1);
        note->stripes = set->clusters;
    }
    for (uint64_t k = 0; k < clusters && k < note->stripes; k++) {
        if (note->bad[k] != 0 || roll(sim, odds) != 0 ||
            !may_lose(sim, rows, count, set, k, row->index))
            continue;
        dice_fill(&sim->dice, noise, sizeof noise);
        if (!varve_file_pwrite(fd, noise, sizeof noise,
                               (first + k) * VARVE_CLUSTER_BYTES + 512 * roll(sim, 128),
                               &sim->bench.err))
            die(sim, "%s", sim->bench.err.text);
        note->bad[k] = 1;
    }
    remember_file(sim, note);
}

void
damage_disc(struct sim *sim)
{
    static struct varve_disc_row rows[DISCS_MAX];
    static struct varve_set sets[SETS_MAX];
    size_t set_count = all_sets(sim, sets);
    size_t count = all_discs(sim, rows);
    const struct varve_set *set = &sets[roll(sim, set_count)];
    if (set_count == 0 || !is_sealed(set))
        return;
    uint32_t index = (uint32_t)roll(sim, set->data_discs + set->parity_discs);
    const struct varve_disc_row *row = member(rows, count, set, index);
    if (row == NULL || note_of(sim, &row->barcode)->gone || note_of(sim, &row->barcode)->swapped)
        return;
    sim->damaged = true;
    if (roll(sim, 3) != 0 || !may_lose_whole(sim, rows, count, set, index)) {
        scatter(sim, rows, count, set, row);
        return;
    }
    VARVE_CLEANUP_FREE char *path = bench_image(&sim->bench, row->barcode.text, ".img");
    if (unlink(path) != 0)
        die(sim, "unlink '%s'", path);
    note_of(sim, &row->barcode)->gone = true;
}

static void
exchange_files(struct sim *sim, const char *a, const char *b, const char *suffix)
{
    VARVE_CLEANUP_FREE char *first = bench_image(&sim->bench, a, suffix);
    VARVE_CLEANUP_FREE char *second = bench_image(&sim->bench, b, suffix);
    if (renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE) != 0)
        die(sim, "exchange '%s' and '%s'", first, second);
}

static void
exchange(struct sim *sim, const struct varve_barcode *a, const struct varve_barcode *b, bool away)
{
    exchange_files(sim, a->text, b->text, ".img");
    exchange_files(sim, a->text, b->text, ".json");
    struct disc_note *first = note_of(sim, a);
    struct disc_note *second = note_of(sim, b);
    first->swapped = second->swapped = away;
    remember_file(sim, first);
    remember_file(sim, second);
    sim->discs->swapped[0] = away ? *a : (struct varve_barcode){{0}};
    sim->discs->swapped[1] = away ? *b : (struct varve_barcode){{0}};
    sim->damaged = true;
}

void
swap_discs(struct sim *sim)
{
    static struct varve_disc_row rows[DISCS_MAX];
    static struct varve_set sets[SETS_MAX];
    const struct varve_disc_row *chosen[2] = {NULL, NULL};
    size_t found = 0;
    struct varve_barcode *swapped = sim->discs->swapped;
    size_t set_count = all_sets(sim, sets);
    size_t count = all_discs(sim, rows);
    bench_close(&sim->bench);
    if (swapped[0].text[0] != 0) {
        const struct varve_barcode back[2] = {swapped[0], swapped[1]};
        exchange(sim, &back[0], &back[1], false);
        return;
    }
    for (size_t s = 0; s < set_count && found < 2; s++) {
        uint32_t index = (uint32_t)roll(sim, sets[s].data_discs + sets[s].parity_discs);
        const struct varve_disc_row *row = member(rows, count, &sets[s], index);
        if (is_sealed(&sets[s]) && row != NULL && !note_of(sim, &row->barcode)->gone &&
            may_lose_whole(sim, rows, count, &sets[s], index))
            chosen[found++] = row;
    }
    if (found == 2)
        exchange(sim, &chosen[0]->barcode, &chosen[1]->barcode, true);
}

bool
pick_degraded(struct sim *sim, struct varve_set_id *ret)
{
    static struct varve_set sets[SETS_MAX];
    size_t count = all_sets(sim, sets);
    size_t start = roll(sim, count);
    for (size_t i = 0; i < count; i++) {
        const struct varve_set *set = &sets[(start + i) % count];
        if (set->state != VARVE_SET_DEGRADED)
            continue;
        *ret = set->id;
        return true;
    }
    return false;
}

uint64_t
count_blanks(struct sim *sim)
{
    struct varve_catalog_totals totals;
    if (!varve_catalog_totals(catalog_of(sim), &totals, &sim->bench.err))
        die(sim, "%s", sim->bench.err.text);
    return totals.discs_by_state[VARVE_DISC_BLANK];
}

/* --- what always holds --- */

static void
check_pieces(struct sim *sim, const struct varve_content *content)
{
    struct varve_piece pieces[64];
    size_t count;
    uint64_t offset = 0;
    if (!varve_catalog_pieces(catalog_of(sim), content->id, pieces, 64, &count, &sim->bench.err))
        die(sim, "%s", sim->bench.err.text);
    for (size_t i = 0; i < count && pieces[i].set.value == pieces[0].set.value; i++) {
        struct varve_set set;
        if (pieces[i].offset != offset || !pieces[i].has_digest)
            die(sim, "content %" PRIu64 ": piece %zu does not follow the one before",
                content->id.value, i);
        offset += pieces[i].bytes;
        if (!varve_catalog_set_get(catalog_of(sim), pieces[i].set, &set, &sim->bench.err) ||
            !is_sealed(&set))
            die(sim, "INV-1: content %" PRIu64 " counts as sealed, its set %" PRIu64 " is not",
                content->id.value, pieces[i].set.value);
    }
    if (offset != content->size)
        die(sim, "content %" PRIu64 " has %" PRIu64 " bytes, its pieces %" PRIu64,
            content->id.value, content->size, offset);
}

static void
check_contents(struct sim *sim)
{
    static struct varve_content page[256];
    struct varve_content_id after = {0};
    size_t count = 256;
    while (count == 256) {
        if (!varve_catalog_contents(catalog_of(sim), after, false, page, 256, &count,
                                    &sim->bench.err))
            die(sim, "%s", sim->bench.err.text);
        for (size_t i = 0; i < count; i++) {
            after = page[i].id;
            if (page[i].phase == VARVE_PHASE_SEALED)
                check_pieces(sim, &page[i]);
            else if (page[i].place.tier == VARVE_TIER_NONE)
                die(sim, "INV-1: content %" PRIu64 " has no copy and is not sealed",
                    page[i].id.value);
        }
    }
}

static void
check_unwritten(struct sim *sim, const struct varve_disc_row *row)
{
    struct stat st;
    struct disc_note *note = note_of(sim, &row->barcode);
    VARVE_CLEANUP_FREE char *path = bench_image(&sim->bench, row->barcode.text, ".img");
    if (note->gone || path == NULL || stat(path, &st) != 0)
        return;
    if (note->finished && (st.st_size != note->size || st.st_mtim.tv_sec != note->written.tv_sec ||
                           st.st_mtim.tv_nsec != note->written.tv_nsec))
        die(sim, "INV-6: disc '%s' (%s) was written again", row->barcode.text,
            varve_disc_state_name(row->state));
    note->finished = true;
    remember_file(sim, note);
}

static bool
is_finished(enum varve_disc_state state)
{
    return state == VARVE_DISC_SEALED || state == VARVE_DISC_SUSPECT ||
           state == VARVE_DISC_FAILED || state == VARVE_DISC_FOREIGN || state == VARVE_DISC_RETIRED;
}

void
discs_check(struct sim *sim)
{
    static struct varve_disc_row rows[DISCS_MAX];
    size_t count = all_discs(sim, rows);
    check_contents(sim);
    for (size_t i = 0; i < count; i++) {
        if (is_finished(rows[i].state))
            check_unwritten(sim, &rows[i]);
    }
}

/* --- at rest --- */

static void
check_inventory(struct sim *sim, const struct varve_disc_row *rows, size_t count)
{
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t element_count;
    if (!varve_engine_inventory(sim->bench.engine, NULL, true, &elements, &element_count,
                                &sim->bench.err))
        die(sim, "%s", sim->bench.err.text);
    for (size_t i = 0; i < count; i++) {
        unsigned places = 0;
        bool gone = note_of(sim, &rows[i].barcode)->gone;
        for (size_t e = 0; e < element_count; e++)
            places +=
                elements[e].full && varve_barcode_equal(&elements[e].barcode, &rows[i].barcode);
        if (places != (gone ? 0 : 1))
            die(sim, "disc '%s' is in %u places", rows[i].barcode.text, places);
    }
}

static void
check_finding(void *context, const char *finding)
{
    struct sim *sim = context;
    if (strstr(finding, "discs are missing; 'varve set repair") == NULL || !sim->damaged)
        die(sim, "check: %s", finding);
}

void
discs_check_all(struct sim *sim)
{
    static struct varve_disc_row rows[DISCS_MAX];
    static struct varve_set sets[SETS_MAX];
    struct varve_check_report report;
    size_t count = all_discs(sim, rows);
    check_inventory(sim, rows, count);
    count = all_discs(sim, rows);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].state == VARVE_DISC_LOST && !note_of(sim, &rows[i].barcode)->gone)
            die(sim, "disc '%s' counts as lost and is in its slot", rows[i].barcode.text);
    }
    if (!varve_engine_check(sim->bench.engine, false, check_finding, sim, &report, &sim->bench.err))
        die(sim, "check: %s", sim->bench.err.text);
    bool unfinished = false;
    size_t set_count = all_sets(sim, sets);
    for (size_t i = 0; i < set_count; i++)
        unfinished =
            unfinished || sets[i].state == VARVE_SET_PLANNED || sets[i].state == VARVE_SET_BURNING;
    for (size_t i = 0; i < count && !unfinished; i++) {
        if (rows[i].state == VARVE_DISC_BURNING || rows[i].state == VARVE_DISC_BURNED)
            die(sim, "disc '%s' is %s for set %" PRIu64 ", which is done", rows[i].barcode.text,
                varve_disc_state_name(rows[i].state), rows[i].set.value);
    }
    if (!unfinished && bench_staged(&sim->bench) > 0)
        die(sim, "%u staged files are left", bench_staged(&sim->bench));
}
