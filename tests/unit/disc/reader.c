/* A disc is opened from any of its anchors or from its file system alone, tells damaged clusters
 * from whole ones, and one bad cluster of a table costs only that cluster. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <varve/byteorder.h>

#include <cmocka.h>

#include "disc_fixture.h"

static void
make_data_disc(struct fixture_disc *ret, struct varve_disc_map *ret_map)
{
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = NULL;
    struct varve_manifest *manifest = varve_manifest_new();
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(1, 1, 0);
    for (uint64_t i = 0; i < 20; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", (int)i);
        fixture_file(manifest, 10 + i, 1, name, 50000 * i);
    }
    assert_true(varve_image_new_data(&identity, manifest, &image, &err));
    fixture_render(image, &fixture_source, ret);
    *ret_map = *varve_image_map(image);
}

static bool
read_other(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
           struct varve_error *err)
{
    const struct fixture_disc *other = context;
    (void)record, (void)err;
    memcpy(ret, &other->bytes[offset], size);
    return true;
}

/* The parity of one data disc is the disc itself. */
static void
make_parity_disc(const struct fixture_disc *data, const struct varve_disc_map *map,
                 struct fixture_disc *ret, struct varve_disc_map *ret_map)
{
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = NULL;
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(1, 1, 1);
    struct varve_image_source source = {.context = (void *)(uintptr_t)data, .read = read_other};
    VARVE_CLEANUP_FREE uint32_t *crcs = calloc(data->clusters, sizeof crcs[0]);
    for (uint64_t i = 0; i < data->clusters; i++)
        crcs[i] = varve_crc32c(0, &data->bytes[i * VARVE_CLUSTER_BYTES], VARVE_CLUSTER_BYTES);
    assert_true(varve_image_new_parity(&identity, map, map->clusters, &image, &err));
    assert_true(varve_image_set_member_crcs(image, 0, crcs, data->clusters, &err));
    fixture_render(image, &source, ret);
    *ret_map = *varve_image_map(image);
}

static void
kill_sector(struct fixture_disc *disc, uint64_t lba)
{
    memset(&disc->bytes[lba * VARVE_SECTOR_BYTES], 0x55, VARVE_SECTOR_BYTES);
}

static void
assert_opens(struct fixture_disc *disc, uint64_t clusters)
{
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *opened = NULL;
    struct varve_error err = {0};
    if (!varve_disc_open(&disc->source, &opened, &err))
        fail_msg("%s", err.text);
    assert_int_equal(varve_disc_map(opened)->clusters, clusters);
    assert_string_equal(varve_disc_identity(opened)->archive_name, "fixture");
}

static void
test_anchors_and_then_the_file_system(void **state)
{
    (void)state;
    FIXTURE_DISC disc;
    struct varve_disc_map map;
    make_data_disc(&disc, &map);
    assert_opens(&disc, map.clusters);
    kill_sector(&disc, 0);
    assert_opens(&disc, map.clusters);
    kill_sector(&disc, 96);
    assert_opens(&disc, map.clusters);
    kill_sector(&disc, (map.clusters - 9) * VARVE_CLUSTER_SECTORS);
    assert_opens(&disc, map.clusters);
    /* Even with the first copy of the metadata gone. */
    for (uint64_t i = 320; i < 352; i++)
        kill_sector(&disc, i);
    assert_opens(&disc, map.clusters);
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *opened = NULL;
    struct varve_error err = {0};
    kill_sector(&disc, map.disc_json.lba);
    assert_false(varve_disc_open(&disc.source, &opened, &err));
    kill_sector(&disc, 17);
    assert_false(varve_disc_open(&disc.source, &opened, &err));
    assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
    assert_string_equal(err.text, "open disc: not a varve disc (no anchor, no UDF volume)");
}

static void
test_foreign_and_short_sources(void **state)
{
    (void)state;
    FIXTURE_DISC disc;
    struct varve_disc_map map;
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *opened = NULL;
    struct varve_error err = {0};
    make_data_disc(&disc, &map);
    for (uint64_t clusters = 0; clusters < 3; clusters++) {
        disc.source.clusters = clusters;
        bool expected = clusters > 0;
        assert_int_equal(varve_disc_open(&disc.source, &opened, &err), expected);
        varve_disc_close(opened);
        opened = NULL;
    }
    memset(disc.bytes, 0, disc.clusters * VARVE_CLUSTER_BYTES);
    disc.source.clusters = disc.clusters;
    assert_false(varve_disc_open(&disc.source, &opened, &err));
    assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
}

static void
test_manifest_and_pieces(void **state)
{
    (void)state;
    FIXTURE_DISC disc;
    struct varve_disc_map map;
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *opened = NULL;
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
    VARVE_CLEANUP_FREE uint8_t *bytes = malloc(1000000);
    struct varve_error err = {0};
    make_data_disc(&disc, &map);
    assert_true(varve_disc_open(&disc.source, &opened, &err));
    assert_null(varve_disc_members(opened));
    if (!varve_disc_manifest(opened, &manifest, &err))
        fail_msg("%s", err.text);
    assert_int_equal(manifest->count, 20);
    for (size_t i = 0; i < manifest->count; i++) {
        const struct varve_record *record = &manifest->records[i];
        struct varve_extent extent = {record->lba, record->piece_bytes};
        struct varve_digest digest;
        assert_true(varve_disc_read_extent(opened, &extent, 0, bytes, record->piece_bytes, &err));
        varve_sha256_of(bytes, record->piece_bytes, &digest);
        assert_true(varve_digest_equal(&digest, &record->digest));
        assert_false(varve_disc_read_extent(opened, &extent, 1, bytes, record->piece_bytes, &err));
    }
}

static void
test_damage_is_noticed(void **state)
{
    (void)state;
    FIXTURE_DISC disc;
    struct varve_disc_map map;
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *opened = NULL;
    static uint8_t cluster[VARVE_CLUSTER_BYTES];
    struct varve_error err = {0};
    bool checked = false;
    make_data_disc(&disc, &map);
    uint64_t table = map.crcs.lba / VARVE_CLUSTER_SECTORS;
    assert_true(varve_disc_open(&disc.source, &opened, &err));
    disc.bytes[20 * VARVE_CLUSTER_BYTES + 5] ^= 1;
    for (uint64_t i = 0; i < disc.clusters; i++) {
        bool good = varve_disc_read(opened, i, cluster, &checked, &err);
        assert_int_equal(good, i != 20);
        if (good)
            assert_int_equal(checked, i < table);
    }
    assert_false(varve_disc_read(opened, 20, cluster, &checked, &err));
    assert_int_equal(err.kind, VARVE_ERROR_CORRUPT);
    assert_string_equal(err.text, "cluster 20 does not match its checksum");
    assert_false(varve_disc_read(opened, disc.clusters, cluster, &checked, &err));
    struct varve_extent all = {0, disc.clusters * VARVE_CLUSTER_BYTES};
    uint8_t few[16];
    assert_true(varve_disc_read_extent(opened, &all, 20 * VARVE_CLUSTER_BYTES - 16, few, 16, &err));
    assert_false(varve_disc_read_extent(opened, &all, 20 * VARVE_CLUSTER_BYTES - 8, few, 16, &err));
}

static void
test_damaged_table_makes_crcs_unknown(void **state)
{
    (void)state;
    FIXTURE_DISC disc;
    struct varve_disc_map map;
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *opened = NULL;
    static uint8_t cluster[VARVE_CLUSTER_BYTES];
    struct varve_error err = {0};
    uint32_t crc = 0;
    bool checked = true;
    make_data_disc(&disc, &map);
    disc.bytes[map.crcs.lba * VARVE_SECTOR_BYTES + VARVE_CLUSTER_BYTES + 100] ^= 1;
    assert_true(varve_disc_open(&disc.source, &opened, &err));
    assert_false(varve_disc_crc(opened, 0, 5, &crc));
    assert_true(varve_disc_read(opened, 5, cluster, &checked, &err));
    assert_false(checked);
}

static void
test_parity_disc_knows_its_members(void **state)
{
    (void)state;
    FIXTURE_DISC data, parity;
    struct varve_disc_map data_map, map;
    struct varve_error err = {0};
    uint32_t crc = 0;
    make_data_disc(&data, &data_map);
    make_parity_disc(&data, &data_map, &parity, &map);
    for (int round = 0; round < 2; round++) {
        VARVE_CLEANUP(varve_disc_close) struct varve_disc *opened = NULL;
        if (!varve_disc_open(&parity.source, &opened, &err))
            fail_msg("%s", err.text);
        const struct varve_disc_map *members = varve_disc_members(opened);
        assert_non_null(members);
        assert_int_equal(members[0].clusters, data_map.clusters);
        assert_int_equal(members[0].inodes.bytes, round == 0 ? data_map.inodes.bytes : 0);
        for (uint64_t i = 0; i < data.clusters; i++) {
            assert_true(varve_disc_crc(opened, 0, i, &crc));
            assert_int_equal(
                crc, varve_crc32c(0, &data.bytes[i * VARVE_CLUSTER_BYTES], VARVE_CLUSTER_BYTES));
        }
        assert_false(varve_disc_crc(opened, 0, data.clusters, &crc));
        assert_true(varve_disc_crc(opened, 1, 0, &crc));
        assert_false(varve_disc_crc(opened, 1, map.crcs.lba / VARVE_CLUSTER_SECTORS, &crc));
        assert_false(varve_disc_crc(opened, 2, 0, &crc));
        kill_sector(&parity, map.disc_json.lba); /* next round: lengths from crc32c.bin */
    }
}

/* Golden discs of every released format stay readable for ever. */
static void
test_golden_discs(void **state)
{
    (void)state;
    static const char *const names[] = {"disc-1-data.txt", "disc-1-parity.txt"};
    for (uint32_t i = 0; i < 2; i++) {
        FIXTURE_DISC disc = {0};
        VARVE_CLEANUP(varve_disc_close) struct varve_disc *opened = NULL;
        VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
        VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
        VARVE_CLEANUP_BUFFER struct varve_buffer file = {0};
        struct varve_error err = {0};
        varve_buffer_printf(&path, "%s/%s", GOLDEN_FOLDER, names[i]);
        assert_true(fixture_load_golden(varve_buffer_string(&path), &disc));
        if (!varve_disc_open(&disc.source, &opened, &err))
            fail_msg("%s", err.text);
        assert_int_equal(varve_disc_identity(opened)->index, i);
        assert_int_equal(varve_disc_map(opened)->clusters, disc.clusters);
        assert_true(fixture_udf_read(&disc, "/varve/README.txt", &file));
        if (i == 1)
            continue;
        assert_true(varve_disc_manifest(opened, &manifest, &err));
        assert_int_equal(manifest->count, 5);
        varve_buffer_clear(&file);
        assert_true(fixture_udf_read(&disc, "/dir/hello~1.txt", &file) == false);
        assert_true(fixture_udf_read(&disc, "/dir/hello_.txt", &file));
        assert_string_equal(varve_buffer_string(&file), "hello\n");
        assert_int_equal(manifest->records[2].xattr_count, 1);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anchors_and_then_the_file_system),
        cmocka_unit_test(test_foreign_and_short_sources),
        cmocka_unit_test(test_manifest_and_pieces),
        cmocka_unit_test(test_damage_is_noticed),
        cmocka_unit_test(test_damaged_table_makes_crcs_unknown),
        cmocka_unit_test(test_parity_disc_knows_its_members),
        cmocka_unit_test(test_golden_discs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
