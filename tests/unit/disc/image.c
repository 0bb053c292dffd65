/* An image is the same bytes however it is rendered: in one pass while it is learned, at random
 * once it is, and after a restart from manifest and CRCs; and every file reads back through a
 * foreign reader. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <varve/byteorder.h>

#include <cmocka.h>

#include "disc_fixture.h"
#include "image_internal.h"

static struct varve_manifest *
make_manifest(void)
{
    struct varve_manifest *manifest = varve_manifest_new();
    struct varve_record record;
    assert_non_null(manifest);
    fixture_directory(manifest, 2, 1, "dir");
    fixture_directory(manifest, 3, 2, "deeper");
    static const uint64_t sizes[] = {0,     1,     2047,   2048,   2049,   65535,
                                     65536, 65537, 200000, 131072, 300001, 5};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "file %zu.bin", i);
        fixture_file(manifest, 10 + i, 1 + i % 3, name, sizes[i]);
    }
    record = fixture_record(VARVE_RECORD_FILE, 40, 7000);
    fixture_name(&record, 3, "linked");
    fixture_name(&record, 1, "also linked");
    fixture_name(&record, 99, "from a folder that is not here");
    fixture_add(manifest, &record);
    record = fixture_record(VARVE_RECORD_FILE, 41, 12345); /* record only */
    record.piece_bytes = 0;
    fixture_name(&record, 1, "elsewhere");
    fixture_add(manifest, &record);
    record = fixture_record(VARVE_RECORD_SYMLINK, 42, 0);
    record.target = strdup("dir/deeper");
    fixture_name(&record, 1, "link");
    fixture_add(manifest, &record);
    record = fixture_record(VARVE_RECORD_DELETED, 43, 0);
    fixture_add(manifest, &record);
    return manifest;
}

static struct varve_image *
make_image(void)
{
    struct varve_image *image = NULL;
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(2, 1, 0);
    struct varve_manifest *manifest = make_manifest();
    if (!varve_image_new_data(&identity, manifest, &image, &err))
        fail_msg("%s", err.text);
    return image;
}

static void
test_files_read_back_through_libudfread(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = make_image();
    FIXTURE_DISC disc;
    fixture_render(image, &fixture_source, &disc);
    assert_true(varve_image_learned(image));
    const struct varve_manifest *manifest = varve_image_manifest(image);
    size_t found = 0;
    for (size_t i = 0; i < manifest->count; i++) {
        const struct varve_record *record = &manifest->records[i];
        if (record->type != VARVE_RECORD_FILE || record->path == NULL)
            continue;
        VARVE_CLEANUP_BUFFER struct varve_buffer bytes = {0};
        struct varve_digest digest;
        if (!fixture_udf_read(&disc, record->path, &bytes))
            fail_msg("'%s' cannot be read", record->path);
        assert_int_equal(bytes.size, record->piece_bytes);
        for (size_t at = 0; at < bytes.size; at++)
            assert_int_equal(bytes.data[at], fixture_byte(i, at));
        varve_sha256_of(varve_buffer_string(&bytes), bytes.size, &digest);
        assert_true(varve_digest_equal(&digest, &record->digest));
        if (bytes.size > 0)
            assert_memory_equal(&disc.bytes[record->lba * VARVE_SECTOR_BYTES], bytes.data,
                                bytes.size);
        found++;
    }
    assert_int_equal(found, 13);
    VARVE_CLEANUP_BUFFER struct varve_buffer linked = {0};
    assert_true(fixture_udf_read(&disc, "/dir/deeper/linked", &linked));
    assert_true(fixture_udf_read(&disc, "/also linked", &linked));
    assert_int_equal(linked.size, 14000);
    assert_false(fixture_udf_read(&disc, "/elsewhere", &linked));
    assert_false(fixture_udf_read(&disc, "/link", &linked));
}

static void
test_late_files_say_what_was_learned(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = make_image();
    VARVE_CLEANUP_BUFFER struct varve_buffer inodes = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer sums = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer file = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer expected = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer line = {0};
    FIXTURE_DISC disc;
    fixture_render(image, &fixture_source, &disc);
    assert_true(fixture_udf_read(&disc, "/varve/inodes.jsonl", &inodes));
    varve_manifest_encode(varve_image_manifest(image), &expected);
    assert_string_equal(varve_buffer_string(&inodes), varve_buffer_string(&expected));
    assert_true(fixture_udf_read(&disc, "/varve/SHA256SUMS", &sums));
    static const char *const paths[] = {"varve/README.txt", "varve/FORMAT.txt", "varve/disc.json",
                                        "file 0.bin",       "dir/file 1.bin",   "dir/deeper/linked",
                                        "also linked"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct varve_digest digest;
        char hex[VARVE_SHA256_HEX_BYTES];
        varve_buffer_clear(&file);
        varve_buffer_clear(&line);
        assert_true(fixture_udf_read(&disc, paths[i], &file));
        varve_sha256_of(varve_buffer_string(&file), file.size, &digest);
        varve_digest_format(&digest, hex);
        varve_buffer_printf(&line, "%s  %s\n", hex, paths[i]);
        if (strstr(varve_buffer_string(&sums), varve_buffer_string(&line)) == NULL)
            fail_msg("no line '%s'", varve_buffer_string(&line));
    }
}

static void
assert_renders(struct varve_image *image, const struct fixture_disc *disc, uint64_t step)
{
    static uint8_t cluster[VARVE_CLUSTER_BYTES];
    struct varve_error err = {0};
    for (uint64_t i = 0, at = 3; i < disc->clusters; i++, at = (at + step) % disc->clusters) {
        assert_true(varve_image_render(image, at, &fixture_source, cluster, &err));
        if (memcmp(cluster, &disc->bytes[at * VARVE_CLUSTER_BYTES], sizeof cluster) != 0)
            fail_msg("cluster %d differs", (int)at);
    }
}

static void
test_random_order_gives_the_same_bytes(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = make_image();
    VARVE_CLEANUP(varve_image_free) struct varve_image *again = make_image();
    FIXTURE_DISC disc, twin;
    fixture_render(image, &fixture_source, &disc);
    fixture_render(again, &fixture_source, &twin);
    assert_int_equal(disc.clusters, twin.clusters);
    assert_memory_equal(disc.bytes, twin.bytes, disc.clusters * VARVE_CLUSTER_BYTES);
    assert_renders(image, &disc, 17);
    assert_renders(image, &disc, disc.clusters - 1);
    const uint32_t *crcs = varve_image_crcs(image);
    for (uint64_t i = 0; i < disc.clusters; i++)
        assert_int_equal(
            crcs[i], varve_crc32c(0, &disc.bytes[i * VARVE_CLUSTER_BYTES], VARVE_CLUSTER_BYTES));
    uint8_t beyond[VARVE_CLUSTER_BYTES], zeros[VARVE_CLUSTER_BYTES] = {0};
    struct varve_error err = {0};
    assert_true(varve_image_render(image, disc.clusters, &fixture_source, beyond, &err));
    assert_memory_equal(beyond, zeros, sizeof zeros);
}

static void
test_relearned_image_gives_the_same_bytes(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = make_image();
    VARVE_CLEANUP(varve_image_free) struct varve_image *again = NULL;
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(2, 1, 0);
    FIXTURE_DISC disc;
    fixture_render(image, &fixture_source, &disc);
    varve_manifest_encode(varve_image_manifest(image), &text);
    assert_true(varve_manifest_decode(text.data, text.size, &manifest, &err));
    assert_true(varve_image_new_data(&identity, manifest, &again, &err));
    manifest = NULL;
    assert_false(varve_image_relearn(again, varve_image_crcs(image), disc.clusters - 1, &err));
    assert_true(varve_image_relearn(again, varve_image_crcs(image), disc.clusters, &err));
    assert_true(varve_image_learned(again));
    assert_renders(again, &disc, 29);
}

/* CRCs of another plan are refused, and the image can be learned anew. */
static void
test_relearning_another_plan_is_refused(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = make_image();
    VARVE_CLEANUP(varve_image_free) struct varve_image *again = make_image();
    struct varve_error err = {0};
    FIXTURE_DISC disc, twin;
    fixture_render(image, &fixture_source, &disc);
    uint32_t crcs[256];
    assert_true(disc.clusters <= 256);
    memcpy(crcs, varve_image_crcs(image), disc.clusters * sizeof crcs[0]);
    crcs[disc.clusters - 1] ^= 1;
    assert_false(varve_image_relearn(again, crcs, disc.clusters, &err));
    assert_int_equal(err.kind, VARVE_ERROR_CORRUPT);
    assert_false(varve_image_learned(again));
    fixture_render(again, &fixture_source, &twin);
    assert_memory_equal(disc.bytes, twin.bytes, disc.clusters * VARVE_CLUSTER_BYTES);
}

struct failing {
    uint64_t last; /* place of the last failure: each place fails once */
};

static bool
read_failing(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
             struct varve_error *err)
{
    struct failing *failing = context;
    uint64_t place = (uint64_t)record << 40 | offset;
    if (place > failing->last && record % 2 == 0) {
        failing->last = place;
        return varve_error_set(err, VARVE_ERROR_SYSTEM, 0, "injected");
    }
    return fixture_source.read(NULL, record, offset, ret, size, err);
}

/* Half of the reads fail once; the cluster is tried again, and nothing is hashed twice. */
static void
test_a_failed_cluster_can_be_tried_again(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = make_image();
    VARVE_CLEANUP(varve_image_free) struct varve_image *other = make_image();
    FIXTURE_DISC disc;
    static uint8_t cluster[VARVE_CLUSTER_BYTES];
    struct varve_error err = {0};
    unsigned failures = 0;
    struct failing failing = {0};
    struct varve_image_source source = {.context = &failing, .read = read_failing};
    fixture_render(image, &fixture_source, &disc);
    for (uint64_t i = 0; i < disc.clusters;) {
        if (!varve_image_render(other, i, &source, cluster, &err)) {
            char text[64];
            (void)snprintf(text, sizeof text, "render cluster %d: injected", (int)i);
            assert_string_equal(err.text, text);
            assert_true(++failures < 100);
            continue;
        }
        assert_memory_equal(cluster, &disc.bytes[i * VARVE_CLUSTER_BYTES], sizeof cluster);
        i++;
    }
    assert_true(failures > 2);
}

static void
test_rendering_out_of_order_is_refused_while_learning(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = make_image();
    uint8_t cluster[VARVE_CLUSTER_BYTES];
    struct varve_error err = {0};
    assert_false(varve_image_render(image, 1, &fixture_source, cluster, &err));
    assert_string_equal(err.text, "cluster 1 rendered before cluster 0");
}

static bool
read_parity(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
            struct varve_error *err)
{
    (void)context, (void)err;
    assert_true(record == SIZE_MAX);
    for (size_t i = 0; i < size; i++)
        ret[i] = fixture_byte(1000, offset + i);
    return true;
}

static void
test_parity_image(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_image_free) struct varve_image *data = make_image();
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = NULL;
    VARVE_CLEANUP(varve_image_free) struct varve_image *again = NULL;
    VARVE_CLEANUP_BUFFER struct varve_buffer file = {0};
    struct varve_error err = {0};
    struct varve_image_source source = {.read = read_parity};
    FIXTURE_DISC member, disc, twin;
    fixture_render(data, &fixture_source, &member);
    struct varve_disc_identity identity = fixture_identity(2, 1, 2);
    struct varve_disc_map maps[2] = {*varve_image_map(data), *varve_image_map(data)};
    assert_false(varve_image_new_parity(&identity, maps, member.clusters - 1, &image, &err));
    assert_true(varve_image_new_parity(&identity, maps, member.clusters, &image, &err));
    assert_true(varve_image_new_parity(&identity, maps, member.clusters, &again, &err));
    assert_null(varve_image_manifest(image));
    assert_null(varve_image_parity_digest(image));
    for (uint32_t i = 0; i < 2; i++) {
        assert_false(varve_image_set_member_crcs(image, i, varve_image_crcs(data), 1, &err));
        assert_true(
            varve_image_set_member_crcs(image, i, varve_image_crcs(data), member.clusters, &err));
        assert_true(
            varve_image_set_member_crcs(again, i, varve_image_crcs(data), member.clusters, &err));
    }
    fixture_render(image, &source, &disc);
    assert_int_equal(varve_image_map(image)->parity.lba % VARVE_CLUSTER_SECTORS, 0);
    assert_true(fixture_udf_read(&disc, "/varve/parity.bin", &file));
    assert_int_equal(file.size, member.clusters * VARVE_CLUSTER_BYTES);
    assert_int_equal(file.data[12345], fixture_byte(1000, 12345));
    assert_false(varve_image_relearn(again, varve_image_crcs(image), disc.clusters, &err));
    varve_image_set_parity_digest(again, varve_image_parity_digest(image));
    assert_true(varve_image_relearn(again, varve_image_crcs(image), disc.clusters, &err));
    twin = (struct fixture_disc){.clusters = disc.clusters};
    twin.bytes = malloc(disc.clusters * VARVE_CLUSTER_BYTES);
    for (uint64_t i = 0; i < disc.clusters; i++)
        assert_true(
            varve_image_render(again, i, &source, &twin.bytes[i * VARVE_CLUSTER_BYTES], &err));
    assert_memory_equal(disc.bytes, twin.bytes, disc.clusters * VARVE_CLUSTER_BYTES);
}

static void
test_parity_image_needs_the_crcs_of_its_members(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = NULL;
    uint8_t cluster[VARVE_CLUSTER_BYTES];
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(1, 1, 1);
    struct varve_disc_map map = {.clusters = 50};
    struct varve_image_source source = {.read = read_parity};
    assert_true(varve_image_new_parity(&identity, &map, 50, &image, &err));
    uint64_t i = 0;
    while (varve_image_render(image, i, &source, cluster, &err))
        i++;
    assert_non_null(strstr(err.text, "the CRCs of disc 0 of the set were not given"));
}

static void
test_impossible_images_are_refused(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = varve_manifest_new();
    struct varve_image *image = NULL;
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(2, 1, 2);
    assert_false(varve_image_new_data(&identity, manifest, &image, &err));
    assert_string_equal(err.text, "image of a data disc: disc 2 of 2+1 is no data disc");
    identity = fixture_identity(0, 1, 0);
    assert_false(varve_image_new_data(&identity, manifest, &image, &err));
    identity = fixture_identity(200, 56, 0);
    assert_false(varve_image_new_data(&identity, manifest, &image, &err));
    identity = fixture_identity(1, 0, 0);
    fixture_file(manifest, 5, 4, "orphan", 1);
    assert_false(varve_image_new_data(&identity, manifest, &image, &err));
    assert_string_equal(err.text, "image of a data disc: inode 5: no record for a directory that "
                                  "leads to it");
    manifest->records[0].names[0].parent = 1;
    manifest->records[0].size = manifest->records[0].piece_bytes = UINT64_C(1) << 40;
    assert_false(varve_image_new_data(&identity, manifest, &image, &err));
    assert_string_equal(err.text, "image of a data disc: inode 5: a piece larger than any disc");
    manifest->records[0].size = 1;
    assert_false(varve_image_new_data(&identity, manifest, &image, &err));
    assert_string_equal(err.text, "image of a data disc: inode 5: the piece does not fit the file");
}

/* A file of 150 GiB has more extents than its entry holds; only metadata is rendered, and the
 * foreign reader finds its last block. */
static void
test_a_file_with_an_allocation_extent_descriptor(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = varve_manifest_new();
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = NULL;
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(1, 0, 0);
    uint64_t bytes = UINT64_C(150) << 30;
    fixture_file(manifest, 5, 1, "small", 3);
    fixture_file(manifest, 6, 1, "huge", bytes + 1);
    assert_true(varve_image_new_data(&identity, manifest, &image, &err));
    manifest = NULL;
    assert_int_equal(image->aed_count, 1);
    image->learned = true;
    uint8_t icb[VARVE_CLUSTER_BYTES];
    assert_true(varve_image_render(image, VARVE_UDF_METADATA_LBA / VARVE_CLUSTER_SECTORS,
                                   &fixture_source, icb, &err));
    /* Where the pointer to the AED and the AED's own descriptors must be (format.md, section 8). */
    const uint8_t *entry = &icb[(2 + image->aed_nodes[0]) * VARVE_SECTOR_BYTES];
    const uint8_t *pointer = &entry[216 + 16 * 113];
    const uint8_t *aed = &icb[image->aed_block * VARVE_SECTOR_BYTES];
    assert_int_equal(varve_get_le32(&entry[212]), 114 * 16);
    assert_int_equal(varve_get_le32(&pointer[0]), 0xC0000000u | 2048);
    assert_int_equal(varve_get_le32(&pointer[4]), image->aed_block);
    assert_int_equal(varve_get_le32(&aed[0]) & 0xFFFF, 258);
    uint32_t extents = varve_get_le32(&aed[20]) / 16;
    assert_int_equal(113 + extents, varve_udf_extents(bytes + 1));
    const uint8_t *last = &aed[24 + 16 * (extents - 1)];
    uint64_t sectors = varve_sectors_of(bytes + 1);
    uint64_t end = varve_get_le32(&last[4]) + varve_sectors_of(varve_get_le32(&last[0]));
    assert_int_equal(end + 288, varve_image_manifest(image)->records[1].lba + sectors);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_read_back_through_libudfread),
        cmocka_unit_test(test_late_files_say_what_was_learned),
        cmocka_unit_test(test_random_order_gives_the_same_bytes),
        cmocka_unit_test(test_relearned_image_gives_the_same_bytes),
        cmocka_unit_test(test_relearning_another_plan_is_refused),
        cmocka_unit_test(test_a_failed_cluster_can_be_tried_again),
        cmocka_unit_test(test_rendering_out_of_order_is_refused_while_learning),
        cmocka_unit_test(test_parity_image),
        cmocka_unit_test(test_parity_image_needs_the_crcs_of_its_members),
        cmocka_unit_test(test_impossible_images_are_refused),
        cmocka_unit_test(test_a_file_with_an_allocation_extent_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
