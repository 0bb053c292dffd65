/* Anchor and disc.json give back what they were made of, and every damaged or contradictory one is
 * refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <varve/byteorder.h>

#include <cmocka.h>

#include "anchor.h"
#include "crc_table.h"
#include "disc_fixture.h"

static const struct varve_disc_map example = {
    .clusters = 1000,
    .disc_json = {400, 900},
    .inodes = {5000, 100000},
    .sums = {6000, 70000},
    .crcs = {6400, 131072},
};

static void
assert_same(const struct varve_disc_identity *a, const struct varve_disc_identity *b)
{
    assert_memory_equal(a->disc.bytes, b->disc.bytes, 16);
    assert_memory_equal(a->set.bytes, b->set.bytes, 16);
    assert_memory_equal(a->archive.bytes, b->archive.bytes, 16);
    assert_string_equal(a->archive_name, b->archive_name);
    assert_int_equal(a->set_number, b->set_number);
    assert_int_equal(a->data_discs, b->data_discs);
    assert_int_equal(a->parity_discs, b->parity_discs);
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->created_ns, b->created_ns);
}

static void
test_anchor_comes_back(void **state)
{
    (void)state;
    static const char *const names[] = {"fixture", "", "\xff\x01 odd", "\"\\\"\\", "\xe6\x96\x87"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint8_t block[VARVE_SECTOR_BYTES];
        struct varve_error err = {0};
        struct varve_disc_identity identity = fixture_identity(10, 2, 11), back = {0};
        struct varve_disc_map map = {0};
        (void)snprintf(identity.archive_name, sizeof identity.archive_name, "%s", names[i]);
        assert_true(varve_anchor_encode(&identity, &example, block, &err));
        if (!varve_anchor_decode(block, &back, &map, &err))
            fail_msg("%s", err.text);
        assert_same(&identity, &back);
        assert_memory_equal(&map, &example, sizeof map);
    }
}

static void
test_longest_anchor_fits_its_sector(void **state)
{
    (void)state;
    uint8_t block[VARVE_SECTOR_BYTES];
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(200, 55, 254), back = {0};
    uint64_t clusters = VARVE_IMAGE_CLUSTERS_MAX, sectors = clusters * VARVE_CLUSTER_SECTORS;
    struct varve_extent far = {sectors - 1, VARVE_SECTOR_BYTES};
    struct varve_disc_map map = {clusters, far, far, far, far, far}, got = {0};
    memset(identity.archive_name, '"', sizeof identity.archive_name - 1);
    identity.set_number = INT64_MAX;
    identity.created_ns = INT64_MIN;
    assert_true(varve_anchor_encode(&identity, &map, block, &err));
    assert_true(varve_anchor_decode(block, &back, &got, &err));
    assert_same(&identity, &back);
    assert_memory_equal(&map, &got, sizeof map);
}

static void
test_every_flipped_byte_is_noticed(void **state)
{
    (void)state;
    uint8_t block[VARVE_SECTOR_BYTES];
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(1, 0, 0), back;
    struct varve_disc_map map;
    assert_true(varve_anchor_encode(&identity, &example, block, &err));
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] ^= 0x20;
        assert_false(varve_anchor_decode(block, &back, &map, &err));
        assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
        block[i] ^= 0x20;
    }
}

/* Replaces the first `from` in the anchor by `to` of the same length, with a valid CRC. */
static void
forge(uint8_t block[VARVE_SECTOR_BYTES], const char *from, const char *to)
{
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(10, 2, 3);
    assert_true(varve_anchor_encode(&identity, &example, block, &err));
    assert_int_equal(strlen(from), strlen(to));
    uint8_t *at = memmem(block, VARVE_SECTOR_BYTES, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
    varve_put_le32(&block[2044], varve_crc32c(0, block, 2044));
}

static void
test_contradictions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        enum varve_error_kind kind;
        const char *text;
    } cases[] = {
        {"\"varve_disc\":1", "\"varve_disc\":2", VARVE_ERROR_INVALID,
         "disc of format version 2, newer than this program knows (1)"},
        {"\"varve_disc\":1", "\"varve_disc\":0", VARVE_ERROR_WRONG_DISC, "not a varve disc"},
        {"\"index\":3", "\"index\":x", VARVE_ERROR_CORRUPT, "not JSON: invalid token near 'x'"},
        {"\"data_discs\":10", "\"data_discs\":-1", VARVE_ERROR_CORRUPT,
         "anchor: 'data_discs' is -1, out of range"},
        {"\"data_discs\":10", "\"data_discs\":00", VARVE_ERROR_CORRUPT, NULL},
        {"\"data_discs\":10,\n\"parity_discs\":2", "\"data_discs\":1 ,\n\"parity_discs\":2",
         VARVE_ERROR_CORRUPT, "anchor: disc 3 of 1+2 is impossible"},
        {"\"lba\":      5000", "\"lba\":     32001", VARVE_ERROR_CORRUPT,
         "anchor: 'inodes': 'lba' is 32001, out of range"},
        {"\"bytes\":           70000", "\"bytes\":53248001        ", VARVE_ERROR_CORRUPT,
         "anchor: 'sums': 'bytes' is 53248001, out of range"},
        {"\"clusters\":      1000", "\"clusters\":9999999999", VARVE_ERROR_CORRUPT,
         "anchor: 'clusters' is 9999999999, out of range"},
        {"\"set\":\"5", "\"set\":\"x", VARVE_ERROR_CORRUPT, "anchor: 'set' is no UUID"},
        {"\"crcs\"", "\"crcx\"", VARVE_ERROR_CORRUPT, "anchor: 'crcs' is missing"},
        {"\"set_number\"", "\"index\"     ", VARVE_ERROR_CORRUPT, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t block[VARVE_SECTOR_BYTES];
        struct varve_error err = {0};
        struct varve_disc_identity identity;
        struct varve_disc_map map;
        forge(block, cases[i].from, cases[i].to);
        if (varve_anchor_decode(block, &identity, &map, &err))
            fail_msg("'%s' was taken", cases[i].to);
        if (cases[i].text != NULL)
            assert_string_equal(err.text, cases[i].text);
        assert_int_equal(err.kind, cases[i].kind);
    }
}

static void
test_disc_json_comes_back(void **state)
{
    (void)state;
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    VARVE_CLEANUP_FREE struct varve_disc_map *members = NULL;
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(3, 2, 4), back = {0};
    struct varve_disc_map map = {0}, maps[3] = {example, example, example};
    maps[1].clusters = 777;
    varve_disc_json_encode(&identity, &example, maps, &text);
    assert_true(varve_disc_json_decode(text.data, text.size, &back, &map, &members, &err));
    assert_same(&identity, &back);
    assert_memory_equal(members, maps, sizeof maps);
    varve_buffer_clear(&text);
    varve_disc_json_encode(&identity, &example, NULL, &text);
    struct varve_disc_map *none = NULL;
    assert_false(varve_disc_json_decode(text.data, text.size, &back, &map, &none, &err));
    assert_string_equal(err.text, "disc.json: 'members' does not list 3 data discs");
    identity.index = 0;
    varve_buffer_clear(&text);
    varve_disc_json_encode(&identity, &example, NULL, &text);
    assert_true(varve_disc_json_decode(text.data, text.size, &back, &map, &none, &err));
    assert_null(none);
}

static void
test_labels(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t set;
        uint32_t index;
        const char *label;
    } cases[] = {
        {"film", 12, 3, "film-0012-003"},
        {"", 1, 0, "varve-0001-000"},
        {"a name that is far too long for a label", 1, 254, "a name that is far to-0001-254"},
        {"bad/\xff\\", 1, 0, "bad___-0001-000"},
        {"\xe6\x96\x87\xe4\xbb\xb6\xe6\x96\x87\xe4\xbb\xb6\xe6\x96\x87\xe4\xbb\xb6\xe6\x96\x87", 1,
         0, "\xe6\x96\x87\xe4\xbb\xb6\xe6\x96\x87\xe4\xbb\xb6\xe6\x96\x87\xe4\xbb\xb6-0001-000"},
        {"x", INT64_MAX, 7, "x-9223372036854775807-007"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char label[VARVE_LABEL_BYTES];
        struct varve_disc_identity identity = fixture_identity(1, 0, 0);
        (void)snprintf(identity.archive_name, sizeof identity.archive_name, "%s", cases[i].name);
        identity.set_number = cases[i].set;
        varve_label_make(&identity, cases[i].index, label);
        assert_string_equal(label, cases[i].label);
    }
}

static void
test_crc_header(void **state)
{
    (void)state;
    static uint8_t block[VARVE_CLUSTER_BYTES];
    struct varve_crc_section sections[VARVE_SET_DISCS_MAX + 1], back[VARVE_SET_DISCS_MAX + 1];
    struct varve_error err = {0};
    struct varve_disc_identity identity = fixture_identity(3, 2, 4);
    struct varve_disc_map maps[3] = {example, example, example};
    uint32_t count = varve_crc_sections(&identity, &example, maps, sections), got = 0;
    assert_int_equal(count, 4);
    varve_crc_header_encode(&identity.set, sections, count, block);
    assert_true(varve_crc_header_decode(block, back, &got, &err));
    assert_int_equal(got, 4);
    assert_int_equal(back[3].disc, 4);
    assert_int_equal(back[3].covered, 200);
    assert_int_equal(back[2].clusters, 1000);
    block[50]++;
    assert_false(varve_crc_header_decode(block, back, &got, &err));
    assert_string_equal(err.text, "crc32c.bin: no valid header");
    varve_put_le32(&block[12], 300);
    varve_crc_block_finish(block);
    assert_false(varve_crc_header_decode(block, back, &got, &err));
    varve_crc_header_encode(&identity.set, sections, count, block);
    varve_put_le64(&block[32 + 8], UINT64_MAX);
    varve_crc_block_finish(block);
    assert_false(varve_crc_header_decode(block, back, &got, &err));
    assert_string_equal(err.text, "crc32c.bin: section 0");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anchor_comes_back),
        cmocka_unit_test(test_longest_anchor_fits_its_sector),
        cmocka_unit_test(test_every_flipped_byte_is_noticed),
        cmocka_unit_test(test_contradictions_are_refused),
        cmocka_unit_test(test_disc_json_comes_back),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_crc_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
