/* Whatever M discs or clusters of a set are lost, every byte of every disc comes back; beyond that
 * it is refused and named. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_set.h"

#include <varve/recover.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* --- a set with made-up files --- */

static uint8_t
content_byte(uint64_t content, uint64_t offset)
{
    uint64_t mixed = (content * 0x9E3779B97F4A7C15u) ^ (offset * 0xC2B2AE3D27D4EB4Fu);
    return (uint8_t)(mixed >> 32);
}

static bool
read_content(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
             struct varve_error *err)
{
    (void)err;
    uint64_t content = *(const uint64_t *)context + record;
    for (size_t i = 0; i < size; i++)
        ret[i] = content_byte(content, offset + i);
    return true;
}

static void
add_record(struct varve_manifest *manifest, const char *name, uint32_t mode, uint64_t size)
{
    struct varve_error err = {0};
    bool is_file = S_ISREG(mode);
    struct varve_record record = {.type = is_file ? VARVE_RECORD_FILE : VARVE_RECORD_DIRECTORY,
                                  .ino = manifest->count + 1,
                                  .mode = mode,
                                  .size = size,
                                  .content = is_file && size > 0 ? manifest->count + 1 : 0,
                                  .version = 1,
                                  .parts = 1,
                                  .piece_bytes = size};
    if (name != NULL)
        assert_true(varve_record_add_name(&record, VARVE_ROOT_INO, name, &err));
    assert_true(varve_manifest_add(manifest, &record, &err));
}

static uint64_t bases[MEMORY_SET_DISCS_MAX];

/* Discs of different lengths: disc i has i + 1 files. */
static void
make_set(struct memory_set *set, unsigned n, unsigned m)
{
    struct varve_manifest *manifests[MEMORY_SET_DISCS_MAX];
    struct varve_image_source sources[MEMORY_SET_DISCS_MAX];
    struct varve_error err = {0};
    for (unsigned i = 0; i < n; i++) {
        manifests[i] = varve_manifest_new();
        assert_non_null(manifests[i]);
        add_record(manifests[i], NULL, S_IFDIR | 0755, 0);
        for (unsigned f = 0; f <= i; f++) {
            char name[32];
            (void)snprintf(name, sizeof name, "file-%u", f);
            add_record(manifests[i], name, S_IFREG | 0644, 200000 + 77777 * f + i);
        }
        bases[i] = 1000 * (i + 1);
        sources[i] = (struct varve_image_source){&bases[i], read_content};
    }
    struct memory_set shape = {.n = n, .m = m, .number = 7};
    bool made = memory_set_make(set, &shape, manifests, sources, &err);
    assert_string_equal(err.text, "");
    assert_true(made);
}

static void
add_discs(struct varve_recovery *recovery, struct memory_set *set, uint32_t lost)
{
    for (unsigned i = 0; i < set->n + set->m; i++) {
        char name[16];
        struct varve_error err = {0};
        (void)snprintf(name, sizeof name, "disc-%u", i);
        if (lost >> i & 1u)
            continue;
        bool added = varve_recovery_add(recovery, name, &set->discs[i].source, &err);
        assert_string_equal(err.text, "");
        assert_true(added);
    }
}

/* Every cluster of member `index` is what was burned (`good` holds the bytes before damage). */
static void
check_member(struct varve_recovery *recovery, const struct memory_disc *disc, const uint8_t *good,
             uint32_t index)
{
    static uint8_t bytes[VARVE_CLUSTER_BYTES];
    const struct varve_cluster_source *whole;
    struct varve_error err = {0};
    bool ok = varve_recovery_source(recovery, index, &whole, &err);
    assert_string_equal(err.text, "");
    assert_true(ok);
    assert_int_equal(whole->clusters, disc->map.clusters);
    for (uint64_t i = 0; i < whole->clusters; i++) {
        ok = whole->read(whole->context, i, bytes, &err);
        assert_string_equal(err.text, "");
        assert_true(ok);
        assert_memory_equal(bytes, good + i * VARVE_CLUSTER_BYTES, VARVE_CLUSTER_BYTES);
    }
    assert_false(whole->read(whole->context, whole->clusters, bytes, &err));
}

static void
check_manifest(struct varve_recovery *recovery, uint32_t index)
{
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
    struct varve_error err = {0};
    bool ok = varve_recovery_manifest(recovery, index, &manifest, &err);
    assert_string_equal(err.text, "");
    assert_true(ok);
    assert_int_equal(manifest->count, index + 2);
    assert_string_equal(manifest->records[1].names[0].name, "file-0");
}

static void
check_loss(struct memory_set *set, uint32_t lost)
{
    VARVE_CLEANUP(varve_recovery_free) struct varve_recovery *recovery = varve_recovery_new();
    assert_non_null(recovery);
    add_discs(recovery, set, lost);
    assert_int_equal(varve_recovery_set(recovery)->set_number, 7);
    for (uint32_t i = 0; i < set->n + set->m; i++) {
        const struct memory_disc *disc = &set->discs[i];
        assert_int_equal(varve_recovery_present(recovery, i), !(lost >> i & 1u));
        varve_recovery_name_disc(recovery, i, &disc->identity.disc);
        check_member(recovery, disc, disc->bytes, i);
        uint64_t repaired = varve_recovery_repaired(recovery, i);
        assert_int_equal(repaired, lost >> i & 1u ? disc->map.clusters : 0);
    }
    for (uint32_t i = 0; i < set->n; i++)
        check_manifest(recovery, i);
}

static void
test_every_loss_of_discs(void **state)
{
    (void)state;
    static const unsigned geometries[][2] = {{1, 0}, {1, 1}, {2, 1}, {1, 2},
                                             {2, 2}, {3, 2}, {4, 1}};
    for (size_t g = 0; g < sizeof geometries / sizeof geometries[0]; g++) {
        unsigned n = geometries[g][0], m = geometries[g][1];
        struct memory_set set;
        make_set(&set, n, m);
        for (uint32_t lost = 0; lost < 1u << (n + m); lost++) {
            if ((unsigned)__builtin_popcount(lost) <= m)
                check_loss(&set, lost);
        }
        memory_set_done(&set);
    }
}

/* A copy of all bytes before damage. */
struct backup {
    uint8_t *bytes[MEMORY_SET_DISCS_MAX];
};

static void
backup_take(struct backup *backup, const struct memory_set *set)
{
    for (unsigned i = 0; i < set->n + set->m; i++) {
        size_t size = set->discs[i].map.clusters * VARVE_CLUSTER_BYTES;
        backup->bytes[i] = malloc(size);
        assert_non_null(backup->bytes[i]);
        memcpy(backup->bytes[i], set->discs[i].bytes, size);
    }
}

static void
backup_restore(const struct backup *backup, struct memory_set *set)
{
    for (unsigned i = 0; i < set->n + set->m; i++) {
        size_t clusters = set->discs[i].map.clusters;
        memcpy(set->discs[i].bytes, backup->bytes[i], clusters * VARVE_CLUSTER_BYTES);
        memset(set->discs[i].unreadable, 0, clusters * sizeof *set->discs[i].unreadable);
    }
}

static void
backup_done(struct backup *backup)
{
    for (unsigned i = 0; i < MEMORY_SET_DISCS_MAX; i++)
        free(backup->bytes[i]);
}

/* Cluster `cluster` of a disc is unreadable, or reads wrong. */
static void
damage(struct memory_disc *disc, uint64_t cluster, uint64_t how)
{
    if (cluster >= disc->map.clusters)
        return;
    if (how % 2 == 0)
        disc->unreadable[cluster] = true;
    else
        disc->bytes[cluster * VARVE_CLUSTER_BYTES + how % VARVE_CLUSTER_BYTES] ^= 0x40;
}

/* Loses up to M shards of every stripe, on discs that change from stripe to stripe: clusters of
 * data images and those of parity.bin, so no disc is whole. */
static uint64_t
scatter(struct memory_set *set, struct varve_random *random)
{
    uint64_t count = 0, stripes = set->discs[set->n].map.parity.bytes / VARVE_CLUSTER_BYTES;
    for (uint64_t stripe = 0; stripe < stripes; stripe++) {
        uint32_t lost = 0;
        for (unsigned k = 0; k < set->m; k++)
            lost |= 1u << varve_random_below(random, set->n + set->m);
        for (unsigned i = 0; i < set->n + set->m; i++) {
            if (!(lost >> i & 1u))
                continue;
            struct memory_disc *disc = &set->discs[i];
            uint64_t first = i < set->n ? 0 : disc->map.parity.lba / VARVE_CLUSTER_SECTORS;
            damage(disc, first + stripe, varve_random_below(random, 100000));
            count++;
        }
    }
    return count;
}

static void
test_scattered_damage_on_every_disc(void **state)
{
    (void)state;
    static const unsigned geometries[][2] = {{2, 1}, {3, 2}, {4, 3}};
    for (size_t g = 0; g < sizeof geometries / sizeof geometries[0]; g++) {
        struct memory_set set;
        struct backup backup = {{NULL}};
        struct varve_random_seeded seeded;
        varve_random_seeded_init(&seeded, 11 + g);
        make_set(&set, geometries[g][0], geometries[g][1]);
        backup_take(&backup, &set);
        for (unsigned round = 0; round < 4; round++) {
            backup_restore(&backup, &set);
            assert_true(scatter(&set, &seeded.random) > 20);
            VARVE_CLEANUP(varve_recovery_free)
            struct varve_recovery *recovery = varve_recovery_new();
            add_discs(recovery, &set, 0);
            for (uint32_t i = 0; i < set.n + set.m; i++)
                check_member(recovery, &set.discs[i], backup.bytes[i], i);
            for (uint32_t i = 0; i < set.n; i++)
                check_manifest(recovery, i);
        }
        backup_done(&backup);
        memory_set_done(&set);
    }
}

/* Each cluster of a parity disc alone: its file system and tables come back byte for byte too. */
static void
test_each_cluster_of_a_parity_disc(void **state)
{
    (void)state;
    struct memory_set set;
    struct backup backup = {{NULL}};
    make_set(&set, 2, 1);
    backup_take(&backup, &set);
    struct memory_disc *parity = &set.discs[2];
    for (uint64_t cluster = 0; cluster < parity->map.clusters; cluster++) {
        backup_restore(&backup, &set);
        damage(parity, cluster, 4243);
        VARVE_CLEANUP(varve_recovery_free)
        struct varve_recovery *recovery = varve_recovery_new();
        add_discs(recovery, &set, 0);
        check_member(recovery, parity, backup.bytes[2], 2);
        assert_int_equal(varve_recovery_repaired(recovery, 2), 1);
    }
    backup_done(&backup);
    memory_set_done(&set);
}

/* A data disc is lost, one parity disc has one bad cluster, any one: the other parity disc helps.
 */
static void
test_lost_disc_beside_a_damaged_parity_disc(void **state)
{
    (void)state;
    struct memory_set set;
    struct backup backup = {{NULL}};
    make_set(&set, 2, 2);
    backup_take(&backup, &set);
    for (uint64_t cluster = 0; cluster < set.discs[2].map.clusters; cluster++) {
        backup_restore(&backup, &set);
        damage(&set.discs[2], cluster, 4242);
        VARVE_CLEANUP(varve_recovery_free)
        struct varve_recovery *recovery = varve_recovery_new();
        add_discs(recovery, &set, 1u << 0);
        check_member(recovery, &set.discs[0], backup.bytes[0], 0);
        check_manifest(recovery, 0);
        check_member(recovery, &set.discs[2], backup.bytes[2], 2);
    }
    backup_done(&backup);
    memory_set_done(&set);
}

/* No parity disc can tell where the tables of data discs are: the data discs can. */
static void
test_disc_json_gone_on_all_parity_discs(void **state)
{
    (void)state;
    struct memory_set set;
    struct backup backup = {{NULL}};
    make_set(&set, 2, 2);
    backup_take(&backup, &set);
    for (unsigned i = 2; i < 4; i++) {
        const struct varve_extent *json = &set.discs[i].map.disc_json;
        uint64_t first = json->lba * VARVE_SECTOR_BYTES / VARVE_CLUSTER_BYTES;
        uint64_t last = (json->lba * VARVE_SECTOR_BYTES + json->bytes - 1) / VARVE_CLUSTER_BYTES;
        for (uint64_t cluster = first; cluster <= last; cluster++)
            damage(&set.discs[i], cluster, 77);
    }
    for (uint32_t lost = 0; lost < 3; lost++) { /* none, data disc 0, data disc 1 */
        VARVE_CLEANUP(varve_recovery_free)
        struct varve_recovery *recovery = varve_recovery_new();
        add_discs(recovery, &set, lost);
        for (uint32_t i = 0; i < 4; i++)
            check_member(recovery, &set.discs[i], backup.bytes[i], i);
    }
    backup_done(&backup);
    memory_set_done(&set);
}

static void
test_too_much_is_refused_and_named(void **state)
{
    (void)state;
    static uint8_t bytes[VARVE_CLUSTER_BYTES];
    struct memory_set set;
    make_set(&set, 3, 1);
    VARVE_CLEANUP(varve_recovery_free) struct varve_recovery *recovery = varve_recovery_new();
    add_discs(recovery, &set, 1u << 1);
    set.discs[0].unreadable[20] = true;
    set.discs[2].bytes[21 * VARVE_CLUSTER_BYTES] ^= 1;
    const struct varve_cluster_source *whole;
    struct varve_error err = {0};
    assert_true(varve_recovery_source(recovery, 1, &whole, &err));
    assert_true(whole->read(whole->context, 19, bytes, &err));
    assert_false(whole->read(whole->context, 20, bytes, &err));
    assert_int_equal(err.kind, VARVE_ERROR_UNRECOVERABLE);
    assert_string_equal(err.text,
                        "cluster 20 of disc 1: lost on 2 of 3+1 discs, parity covers 1: disc 0 "
                        "('disc-0') cannot be read, disc 1 is missing\n"
                        "hint: give the missing discs of the set too");
    err = (struct varve_error){0};
    assert_false(whole->read(whole->context, 21, bytes, &err));
    assert_non_null(strstr(err.text, "disc 2 ('disc-2') does not match its checksum"));
    memory_set_done(&set);
}

static void
test_missing_with_all_parity(void **state)
{
    (void)state;
    struct memory_set set;
    make_set(&set, 2, 1);
    VARVE_CLEANUP(varve_recovery_free) struct varve_recovery *recovery = varve_recovery_new();
    add_discs(recovery, &set, 1u << 1 | 1u << 2);
    const struct varve_cluster_source *whole;
    struct varve_error err = {0};
    assert_false(varve_recovery_source(recovery, 1, &whole, &err));
    assert_int_equal(err.kind, VARVE_ERROR_UNRECOVERABLE);
    assert_string_equal(err.text, "disc 1 is missing, and so are all parity discs\nhint: give the "
                                  "other discs of the set too: any 2 of 2+1");
    check_member(recovery, &set.discs[0], set.discs[0].bytes, 0);
    err = (struct varve_error){0};
    assert_false(varve_recovery_source(recovery, 3, &whole, &err));
    assert_string_equal(err.text, "the set has no disc 3");
    memory_set_done(&set);
}

static void
test_foreign_and_repeated_discs(void **state)
{
    (void)state;
    struct memory_set set, other;
    make_set(&set, 2, 1);
    make_set(&other, 3, 1);
    VARVE_CLEANUP(varve_recovery_free) struct varve_recovery *recovery = varve_recovery_new();
    struct varve_error err = {0};
    assert_null(varve_recovery_set(recovery));
    assert_true(varve_recovery_add(recovery, "a", &set.discs[0].source, &err));
    assert_false(varve_recovery_add(recovery, "b", &set.discs[0].source, &err));
    assert_int_equal(err.kind, VARVE_ERROR_EXISTS);
    assert_string_equal(err.text, "'b' is disc 0 of the set, and so is 'a'");
    err = (struct varve_error){0};
    assert_false(varve_recovery_add(recovery, "c", &other.discs[1].source, &err));
    assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
    assert_string_equal(
        err.text, "'c' belongs to set 7 of archive 'tests' (53535353-5353-5353-5353-535353535307), "
                  "the discs before it to set 7 of archive 'tests' "
                  "(52525252-5252-5252-5252-525252525207)");
    memory_set_done(&set);
    memory_set_done(&other);
}

/* Anchors, descriptors, metadata and tables gone: only files are left of the disc. */
static void
test_a_disc_that_does_not_tell_what_it_is(void **state)
{
    (void)state;
    struct memory_set set;
    struct backup backup = {{NULL}};
    make_set(&set, 2, 1);
    backup_take(&backup, &set);
    struct memory_disc *disc = &set.discs[1];
    for (uint64_t i = 0; i < disc->map.clusters; i++) {
        if (i < disc->map.disc_json.lba / 32 + 1 || i >= disc->map.inodes.lba / 32)
            disc->unreadable[i] = true;
    }
    VARVE_CLEANUP(varve_recovery_free) struct varve_recovery *recovery = varve_recovery_new();
    struct varve_error err = {0};
    assert_false(varve_recovery_add_as(recovery, "x", 1, &disc->source, &err));
    add_discs(recovery, &set, 1u << 1);
    assert_false(varve_recovery_add(recovery, "x", &disc->source, &err));
    err = (struct varve_error){0};
    assert_false(varve_recovery_add_as(recovery, "x", 0, &disc->source, &err));
    assert_int_equal(err.kind, VARVE_ERROR_EXISTS);
    assert_false(varve_recovery_add_as(recovery, "x", 2, &disc->source, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
    assert_false(varve_recovery_add_as(recovery, "x", 1, &set.discs[0].source, &err));
    assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
    assert_false(varve_recovery_present(recovery, 1));
    err = (struct varve_error){0};
    assert_true(varve_recovery_add_as(recovery, "x", 1, &disc->source, &err));
    check_member(recovery, disc, backup.bytes[1], 1);
    uint64_t repaired = varve_recovery_repaired(recovery, 1);
    assert_true(repaired > 0 && repaired < disc->map.clusters);
    backup_done(&backup);
    memory_set_done(&set);
}

/* What is good is read from the disc itself, once: decoding costs N reads. */
static void
test_good_discs_are_read_once(void **state)
{
    (void)state;
    struct memory_set set;
    make_set(&set, 3, 1);
    VARVE_CLEANUP(varve_recovery_free) struct varve_recovery *recovery = varve_recovery_new();
    add_discs(recovery, &set, 0);
    set.discs[0].reads = set.discs[1].reads = set.discs[3].reads = 0;
    check_member(recovery, &set.discs[0], set.discs[0].bytes, 0);
    assert_true(set.discs[0].reads < set.discs[0].map.clusters + 8);
    assert_int_equal(set.discs[1].reads, 0);
    assert_true(set.discs[3].reads < 8); /* its tables */
    memory_set_done(&set);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_loss_of_discs),
        cmocka_unit_test(test_scattered_damage_on_every_disc),
        cmocka_unit_test(test_each_cluster_of_a_parity_disc),
        cmocka_unit_test(test_lost_disc_beside_a_damaged_parity_disc),
        cmocka_unit_test(test_disc_json_gone_on_all_parity_discs),
        cmocka_unit_test(test_too_much_is_refused_and_named),
        cmocka_unit_test(test_missing_with_all_parity),
        cmocka_unit_test(test_foreign_and_repeated_discs),
        cmocka_unit_test(test_a_disc_that_does_not_tell_what_it_is),
        cmocka_unit_test(test_good_discs_are_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
