/* The cost functions never promise less than the layout takes, whatever the names are, and not much
 * more; and parity for the longest image that they allow fits its disc. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "disc_fixture.h"

enum { FOLDERS_MAX = 40 };

struct plan {
    struct varve_random_seeded random;
    struct varve_manifest *manifest;
    struct varve_image_cost cost;
    size_t depth_bytes[FOLDERS_MAX]; /* of the path of folder i, inode i + 1 */
    uint32_t folders;
    uint64_t ino;
};

static uint64_t
below(struct plan *plan, uint64_t bound)
{
    return varve_random_below(&plan->random.random, bound);
}

/* Kinds: 0 plain, 1 short and likely to clash, 2 any bytes, 3 long, 4 wide characters. */
static void
make_name(struct plan *plan, char *ret)
{
    uint64_t kind = below(plan, 5);
    size_t size = kind == 0   ? 4 + below(plan, 20)
                  : kind == 1 ? 1 + below(plan, 2)
                  : kind == 2 ? 1 + below(plan, 40)
                              : 100 + below(plan, 156);
    for (size_t i = 0; i < size; i++) {
        do
            ret[i] =
                kind == 0 || kind == 3 ? (char)('a' + below(plan, 26)) : (char)below(plan, 256);
        while (ret[i] == 0 || ret[i] == '/' || ret[i] == '.');
    }
    if (kind == 1)
        ret[0] = (char)(1 + below(plan, 3));
    if (kind == 3 && below(plan, 2) == 0)
        memset(ret, '"', size);
    for (size_t i = 0; kind == 4 && i + 3 <= size; i += 3)
        memcpy(&ret[i], "\xe6\x96\x87", 3);
    ret[kind == 4 ? size - size % 3 : size] = 0;
}

static void
add_xattrs(struct plan *plan, struct varve_record *record, size_t *ret_bytes)
{
    struct varve_error err = {0};
    uint8_t value[300] = {0};
    *ret_bytes = 0;
    for (uint64_t i = below(plan, 4); i > 0; i--) {
        static const char *const names[] = {"user.a", "user.\xff", "system.posix_acl_access"};
        const char *name = names[below(plan, 3)];
        size_t size = below(plan, sizeof value);
        assert_true(varve_record_add_xattr(record, name, value, size, &err));
        *ret_bytes += strlen(name) + size;
    }
}

static void
add_folder(struct plan *plan)
{
    char name[256];
    size_t xattr_bytes = 0;
    uint32_t parent = (uint32_t)below(plan, plan->folders + 1);
    struct varve_record record = fixture_record(VARVE_RECORD_DIRECTORY, ++plan->ino, 0);
    make_name(plan, name);
    fixture_name(&record, parent + 1, name);
    add_xattrs(plan, &record, &xattr_bytes);
    size_t bytes = strlen(name) + (parent == 0 ? 0 : plan->depth_bytes[parent - 1] + 1);
    plan->depth_bytes[plan->folders++] = bytes;
    varve_image_cost_other(&plan->cost, bytes, xattr_bytes, 0);
    fixture_add(plan->manifest, &record);
}

static void
add_file(struct plan *plan, uint64_t bytes)
{
    char name[256];
    size_t xattr_bytes = 0, longest = 0, names = 1 + below(plan, 4) / 3;
    struct varve_record record = fixture_record(VARVE_RECORD_FILE, ++plan->ino, bytes);
    for (size_t i = 0; i < names; i++) {
        uint32_t parent = (uint32_t)below(plan, plan->folders + 1);
        make_name(plan, name);
        fixture_name(&record, parent + 1, name);
        size_t path = strlen(name) + (parent == 0 ? 0 : plan->depth_bytes[parent - 1] + 1);
        longest = path > longest ? path : longest;
    }
    if (below(plan, 3) == 0) {
        record.parts = UINT32_MAX;
        record.part = UINT32_MAX - 1;
    }
    add_xattrs(plan, &record, &xattr_bytes);
    varve_image_cost_file(&plan->cost, longest, names, bytes, xattr_bytes);
    fixture_add(plan->manifest, &record);
}

static void
add_symlink(struct plan *plan)
{
    char name[256], target[256];
    struct varve_record record = fixture_record(VARVE_RECORD_SYMLINK, ++plan->ino, 0);
    make_name(plan, name);
    make_name(plan, target);
    record.target = strdup(target);
    fixture_name(&record, 1, name);
    varve_image_cost_other(&plan->cost, strlen(name), 0, strlen(target));
    fixture_add(plan->manifest, &record);
}

static uint64_t
lay_out(struct plan *plan, bool long_texts)
{
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = NULL;
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(2, 1, 1);
    if (long_texts) {
        identity = fixture_identity(200, 55, 3);
        memset(identity.archive_name, 1, sizeof identity.archive_name - 1);
        identity.set_number = INT64_MAX;
    }
    if (!varve_image_new_data(&identity, plan->manifest, &image, &err))
        fail_msg("%s", err.text);
    return varve_image_map(image)->clusters;
}

static void
test_bound_holds_for_random_manifests(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct plan plan = {.ino = 1, .manifest = varve_manifest_new()};
        varve_random_seeded_init(&plan.random, seed);
        for (uint64_t i = below(&plan, FOLDERS_MAX); i > 0; i--)
            add_folder(&plan);
        for (uint64_t i = below(&plan, 60); i > 0; i--)
            add_file(&plan, below(&plan, 3) == 0 ? 0 : below(&plan, 1 << (2 * below(&plan, 12))));
        for (uint64_t i = below(&plan, 10); i > 0; i--)
            add_symlink(&plan);
        uint64_t bound = varve_image_cost_clusters(&plan.cost),
                 clusters = lay_out(&plan, seed % 10 == 0);
        if (clusters > bound)
            fail_msg("seed %d: %d clusters, bound %d", (int)seed, (int)clusters, (int)bound);
    }
}

/* Folders of one letter that all clash, eight deep: the worst growth of paths. */
static void
test_bound_holds_for_clashes(void **state)
{
    (void)state;
    struct plan plan = {.ino = 1, .manifest = varve_manifest_new()};
    varve_random_seeded_init(&plan.random, 1);
    uint64_t parent = 1;
    size_t depth = 0;
    for (int level = 0; level < 8; level++) {
        uint64_t last = 0;
        depth += level == 0 ? 1 : 2;
        for (int i = 1; i < 32; i++) {
            char name[2] = {(char)i, 0};
            last = ++plan.ino;
            fixture_directory(plan.manifest, last, parent, name);
            varve_image_cost_other(&plan.cost, depth, 0, 0);
        }
        parent = last;
    }
    for (int i = 0; i < 2000; i++) {
        fixture_file(plan.manifest, ++plan.ino, parent, "\x01", 0);
        varve_image_cost_file(&plan.cost, depth + 2, 1, 0, 0);
    }
    uint64_t bound = varve_image_cost_clusters(&plan.cost);
    assert_true(lay_out(&plan, true) <= bound);
}

/* What a planner loses by the bound, for plain names: constant, and a few percent. */
static void
test_bound_is_near(void **state)
{
    (void)state;
    static const struct {
        uint64_t files, bytes, percent;
    } cases[] = {{1000, 1000, 15}, {1000, 65536, 3}, {1000, 1000000, 1}, {3, 1000000000, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan plan = {.ino = 2, .manifest = varve_manifest_new()};
        fixture_directory(plan.manifest, 2, 1, "some project");
        varve_image_cost_other(&plan.cost, 12, 0, 0);
        for (uint64_t k = 0; k < cases[i].files; k++) {
            char name[64];
            (void)snprintf(name, sizeof name, "picture number %d of this year.jpg", (int)k);
            fixture_file(plan.manifest, ++plan.ino, 2, name, cases[i].bytes);
            varve_image_cost_file(&plan.cost, 13 + strlen(name), 1, cases[i].bytes, 0);
        }
        uint64_t bound = varve_image_cost_clusters(&plan.cost), clusters = lay_out(&plan, false);
        print_message("%d files of %d bytes: %d clusters, bound %d\n", (int)cases[i].files,
                      (int)cases[i].bytes, (int)clusters, (int)bound);
        assert_true(clusters <= bound);
        assert_true(bound <= clusters + 6 + clusters * cases[i].percent / 100);
    }
}

static void
test_parity_fits(void **state)
{
    (void)state;
    static const uint64_t discs[] = {40, 64, 100, 1000, 16383, 40000, 381856, 763712};
    for (size_t i = 0; i < sizeof discs / sizeof discs[0]; i++) {
        for (unsigned n = 1; n < 255; n += n < 12 ? 1 : 60) {
            VARVE_CLEANUP(varve_image_free) struct varve_image *image = NULL;
            struct varve_error err = {0};
            struct varve_disc_identity identity = fixture_identity(n, 255 - n, n);
            struct varve_disc_map maps[255] = {0};
            memset(identity.archive_name, 1, sizeof identity.archive_name - 1);
            identity.set_number = INT64_MAX;
            uint64_t most = varve_image_clusters_max(discs[i], n);
            if (most == 0)
                continue;
            for (unsigned k = 0; k < n; k++)
                maps[k].clusters = most;
            if (!varve_image_new_parity(&identity, maps, most, &image, &err))
                fail_msg("%s", err.text);
            uint64_t clusters = varve_image_map(image)->clusters;
            assert_true(clusters <= discs[i]);
            assert_true(discs[i] - clusters <= 4); /* and little is wasted */
        }
    }
    assert_int_equal(varve_image_clusters_max(20, 1), 0);
    assert_int_equal(varve_image_clusters_max(1000, 0), 0);
    assert_true(varve_image_clusters_max(381856, 10) > 381856 * 99 / 100);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound_holds_for_random_manifests),
        cmocka_unit_test(test_bound_holds_for_clashes),
        cmocka_unit_test(test_bound_is_near),
        cmocka_unit_test(test_parity_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
