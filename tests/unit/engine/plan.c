/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever files are in line, a plan puts each of them whole and in order onto discs that hold it,
 * or counts it as left out. */
#include "engine_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <varve/random.h>

#include <cmocka.h>

enum { ITEMS_MAX = 400, SEEDS = 300 };

struct trial {
    struct varve_random_seeded seeded;
    struct plan_item items[ITEMS_MAX];
    size_t count;
    struct plan_limits limits;
    struct plan plan;
    uint64_t seed;
};

static uint64_t
below(struct trial *t, uint64_t bound)
{
    return varve_random_below(&t->seeded.random, bound);
}

static void
add(struct trial *t, const char *path, uint64_t size, uint32_t names)
{
    assert_true(t->count < ITEMS_MAX);
    struct plan_item *item = &t->items[t->count++];
    *item = (struct plan_item){.ino = t->count + 1,
                               .content = {t->count},
                               .size = size,
                               .path = strdup(path),
                               .names = names,
                               .xattr_bytes = 1024};
    assert_non_null(item->path);
}

static void
done(struct trial *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->items[i].path);
    plan_done(&t->plan);
    t->count = 0;
}

static void
make(struct trial *t)
{
    struct varve_error err = {0};
    if (!plan_make(t->items, t->count, &t->limits, &t->plan, &err))
        fail_msg("seed %llu: %s", (unsigned long long)t->seed, err.text);
}

/* --- what a disc costs, reckoned anew: every directory once, every slice once --- */

static void
add_new_directories(struct varve_image_cost *cost, const struct plan *plan, size_t at,
                    const struct trial *t)
{
    const char *path = t->items[plan->slices[at].item].path;
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t bytes = (size_t)(slash - path) + 1;
        bool seen = false;
        for (size_t i = 0; i < at && !seen; i++)
            seen = plan->slices[i].disc == plan->slices[at].disc &&
                   strncmp(t->items[plan->slices[i].item].path, path, bytes) == 0;
        if (!seen)
            varve_image_cost_other(cost, bytes, 0, 0);
    }
}

static uint64_t
disc_clusters(const struct trial *t, uint32_t disc)
{
    struct varve_image_cost cost = disc == 0 ? t->limits.first_extra : (struct varve_image_cost){0};
    for (size_t i = 0; i < t->plan.count; i++) {
        const struct plan_slice *slice = &t->plan.slices[i];
        const struct plan_item *item = &t->items[slice->item];
        if (slice->disc != disc)
            continue;
        add_new_directories(&cost, &t->plan, i, t);
        varve_image_cost_file(&cost, strlen(item->path), item->names, slice->bytes,
                              item->xattr_bytes);
    }
    return varve_image_cost_clusters(&cost);
}

static uint64_t
alone_clusters(const struct plan_item *item)
{
    struct varve_image_cost cost = {0};
    for (const char *c = item->path; *c != 0; c++) {
        if (*c == '/')
            varve_image_cost_other(&cost, (size_t)(c - item->path) + 1, 0, 0);
    }
    varve_image_cost_file(&cost, strlen(item->path), item->names, item->size, item->xattr_bytes);
    return varve_image_cost_clusters(&cost);
}

/* --- properties --- */

/* Slices of one item stand together, in order, on ascending discs, and cover it exactly. */
static void
expect_item(const struct trial *t, size_t item, size_t first, size_t count)
{
    uint64_t offset = 0;
    for (size_t i = first; i < first + count; i++) {
        const struct plan_slice *slice = &t->plan.slices[i];
        assert_int_equal(slice->item, item);
        assert_int_equal(slice->part, i - first);
        assert_int_equal(slice->parts, count);
        assert_int_equal(slice->offset, offset);
        assert_true(slice->bytes > 0);
        if (i + 1 < first + count)
            assert_int_equal(slice->bytes % VARVE_CLUSTER_BYTES, 0);
        if (i > first)
            assert_int_equal(slice->disc, slice[-1].disc + 1);
        offset += slice->bytes;
    }
    assert_int_equal(offset, t->items[item].size);
    /* Only what no disc holds alone is split. */
    if (count > 1)
        assert_true(alone_clusters(&t->items[item]) > t->limits.clusters_max);
}

static void
expect_plan(struct trial *t)
{
    size_t placed = 0;
    uint32_t last_disc = 0;
    size_t last_item = 0;
    for (size_t at = 0; at < t->plan.count;) {
        const struct plan_slice *slice = &t->plan.slices[at];
        assert_true(slice->item < t->count);
        if (at > 0)
            assert_true(slice->item > last_item); /* path order, none twice */
        assert_true(slice->disc >= last_disc);
        expect_item(t, slice->item, at, slice->parts);
        last_item = slice->item;
        at += slice->parts;
        last_disc = t->plan.slices[at - 1].disc;
        placed++;
    }
    assert_int_equal(placed + t->plan.left_out, t->count);
    assert_int_equal(t->plan.discs, t->plan.count == 0 ? 0 : last_disc + 1);
    assert_true(t->plan.discs <= t->limits.discs_max);
    for (uint32_t disc = 0; disc < t->plan.discs; disc++)
        assert_true(disc_clusters(t, disc) <= t->limits.clusters_max);
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(((const struct plan_item *)a)->path, ((const struct plan_item *)b)->path);
}

static uint64_t
random_size(struct trial *t)
{
    uint64_t disc = t->limits.clusters_max * VARVE_CLUSTER_BYTES;
    switch (below(t, 12)) {
    case 0:
        return 1 + below(t, disc * (t->limits.discs_max + 1));
    case 1:
    case 2:
        return 1 + below(t, disc);
    case 3:
        return VARVE_CLUSTER_BYTES * (1 + below(t, 8));
    default:
        return 1 + below(t, disc / 8);
    }
}

static void
random_items(struct trial *t)
{
    size_t count = 1 + below(t, ITEMS_MAX / 4);
    for (size_t i = 0; i < count; i++) {
        char path[128];
        /* Letters before the digits of a name keep strcmp() in the order of a walk. */
        (void)snprintf(path, sizeof path, "d%llu/e%llu/%s%04zu", (unsigned long long)below(t, 5),
                       (unsigned long long)below(t, 4), below(t, 4) == 0 ? "a-long-name-" : "f", i);
        add(t, path, random_size(t), below(t, 10) == 0 ? 3 : 1);
    }
    qsort(t->items, t->count, sizeof *t->items, compare_names);
}

static void
keep_together(struct trial *t, bool keep)
{
    for (size_t i = 0; i < t->count; i++)
        t->items[i].keep_together = keep;
}

static void
test_random(void **state)
{
    static struct trial trial;
    uint64_t left_out = 0, split = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct trial *t = &trial;
        t->seed = seed;
        varve_random_seeded_init(&t->seeded, seed);
        t->limits = (struct plan_limits){.clusters_max = 40 + below(t, 400),
                                         .discs_max = (uint32_t)(1 + below(t, 6))};
        for (uint64_t i = below(t, 20); i > 0; i--)
            varve_image_cost_other(&t->limits.first_extra, 40, 1024, 0);
        random_items(t);
        keep_together(t, below(t, 2) == 0);
        make(t);
        expect_plan(t);
        left_out += t->plan.left_out;
        for (size_t i = 0; i < t->plan.count; i++)
            split += t->plan.slices[i].part == 1;
        done(t);
    }
    /* The trials reached what they are for. */
    assert_true(left_out > 0 && split > 0);
}

static void
test_same_input_same_plan(void **state)
{
    static struct trial a, b;
    (void)state;
    struct trial *both[] = {&a, &b};
    for (size_t i = 0; i < 2; i++) {
        varve_random_seeded_init(&both[i]->seeded, 77);
        both[i]->limits = (struct plan_limits){.clusters_max = 100, .discs_max = 4};
        random_items(both[i]);
        make(both[i]);
    }
    assert_int_equal(a.plan.count, b.plan.count);
    for (size_t i = 0; i < a.plan.count; i++) {
        assert_int_equal(a.plan.slices[i].item, b.plan.slices[i].item);
        assert_int_equal(a.plan.slices[i].disc, b.plan.slices[i].disc);
        assert_int_equal(a.plan.slices[i].bytes, b.plan.slices[i].bytes);
    }
    done(&a);
    done(&b);
}

/* --- cases --- */

static void
test_directory_begins_on_a_fresh_disc(void **state)
{
    struct trial t = {.limits = {.clusters_max = 200, .discs_max = 3}};
    (void)state;
    add(&t, "a/big", 160 * VARVE_CLUSTER_BYTES, 1);
    for (int i = 0; i < 10; i++) {
        char path[16];
        (void)snprintf(path, sizeof path, "b/%d", i);
        add(&t, path, 3 * VARVE_CLUSTER_BYTES, 1);
    }
    keep_together(&t, true);
    make(&t);
    expect_plan(&t);
    for (size_t i = 1; i < t.plan.count; i++)
        assert_int_equal(t.plan.slices[i].disc, 1);
    plan_done(&t.plan);
    keep_together(&t, false);
    make(&t);
    expect_plan(&t);
    assert_int_equal(t.plan.slices[1].disc, 0);
    assert_int_equal(t.plan.slices[10].disc, 1);
    done(&t);
}

static void
test_file_larger_than_a_disc(void **state)
{
    struct trial t = {.limits = {.clusters_max = 100, .discs_max = 3}};
    (void)state;
    add(&t, "film", 220 * VARVE_CLUSTER_BYTES + 17, 1);
    make(&t);
    expect_plan(&t);
    assert_int_equal(t.plan.count, 3);
    assert_int_equal(t.plan.left_out, 0);
    done(&t);
}

static void
test_file_larger_than_a_set(void **state)
{
    struct trial t = {.limits = {.clusters_max = 100, .discs_max = 3}};
    (void)state;
    add(&t, "a", 5, 1);
    add(&t, "film", 301 * VARVE_CLUSTER_BYTES, 1);
    add(&t, "z", 5, 1);
    make(&t);
    expect_plan(&t);
    /* What follows is not lost with it. */
    assert_int_equal(t.plan.left_out, 1);
    assert_int_equal(t.plan.count, 2);
    assert_int_equal(t.plan.slices[1].item, 2);
    assert_int_equal(t.plan.discs, 1);
    done(&t);
}

static void
test_nothing(void **state)
{
    struct trial t = {.limits = {.clusters_max = 100, .discs_max = 3}};
    (void)state;
    make(&t);
    assert_int_equal(t.plan.count, 0);
    assert_int_equal(t.plan.discs, 0);
    done(&t);
    /* A disc too small for anything takes nothing, and the plan says so. */
    t.limits.clusters_max = 1;
    add(&t, "a", 1, 1);
    make(&t);
    assert_int_equal(t.plan.discs, 0);
    assert_int_equal(t.plan.left_out, 1);
    done(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_same_input_same_plan),
        cmocka_unit_test(test_directory_begins_on_a_fresh_disc),
        cmocka_unit_test(test_file_larger_than_a_disc),
        cmocka_unit_test(test_file_larger_than_a_set),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests_name("engine plan", tests, NULL, NULL);
}
