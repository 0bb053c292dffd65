/* SPDX-License-Identifier: Apache-2.0 */
/* What the archive's folder keeps of a set comes back as it was saved, or is refused as damaged:
 * no flipped bit and no missing end gets through as checksums. */
#include "engine_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/file.h>

#include <cmocka.h>

static const struct varve_set set = {
    .id = {7}, .uuid = {{1, 2, 3}}, .data_discs = 3, .parity_discs = 2, .clusters = 50};

static int
setup(void **state)
{
    struct varve_engine *engine = calloc(1, sizeof *engine);
    const char *tmp = getenv("TMPDIR");
    if (engine == NULL ||
        asprintf(&engine->dir, "%s/varve-setfiles-XXXXXX", tmp != NULL ? tmp : "/tmp") < 0)
        return -1;
    if (mkdtemp(engine->dir) == NULL)
        return -1;
    VARVE_CLEANUP_FREE char *dir = set_dir(engine, &set);
    struct varve_error err = {0};
    *state = engine;
    return dir != NULL && varve_file_make_dirs(dir, 0700, &err) ? 0 : -1;
}

static int
teardown(void **state)
{
    static const char *const suffixes[] = {"jsonl", "crc", "sha256", "maps"};
    struct varve_engine *engine = *state;
    for (uint32_t i = 0; i < 5; i++) {
        for (size_t s = 0; s < 4; s++) {
            VARVE_CLEANUP_FREE char *path = set_file(engine, &set, i, suffixes[s]);
            (void)unlink(path);
        }
    }
    VARVE_CLEANUP_FREE char *dir = set_dir(engine, &set);
    VARVE_CLEANUP_FREE char *sets = varve_file_join(engine->dir, "sets");
    int left = rmdir(dir) + rmdir(sets) + rmdir(engine->dir);
    free(engine->dir);
    free(engine);
    return left; /* a file that nobody knows of would stay */
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

/* --- checksums --- */

static void
test_crcs(void **state)
{
    struct varve_error err = {0};
    static const uint64_t counts[] = {0, 1, 2, 50, 1000};
    VARVE_CLEANUP_FREE char *path = set_file(*state, &set, 1, "crc");
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        uint32_t crcs[1000];
        VARVE_CLEANUP_FREE uint32_t *got = NULL;
        uint64_t count;
        for (uint32_t i = 0; i < 1000; i++)
            crcs[i] = i * 2654435761u + 1;
        OK(crcs_save(path, crcs, counts[c], &err));
        OK(crcs_load(path, &got, &count, &err));
        assert_int_equal(count, counts[c]);
        assert_memory_equal(got, crcs, count * sizeof *crcs);
    }
}

static void
expect_damaged(const char *path)
{
    struct varve_error err = {0};
    uint32_t *got = NULL;
    uint64_t count;
    char text[512];
    (void)snprintf(text, sizeof text, "'%s' is damaged", path);
    assert_false(crcs_load(path, &got, &count, &err));
    assert_null(got);
    assert_int_equal(err.kind, VARVE_ERROR_CORRUPT);
    assert_string_equal(err.text, text);
}

static void
test_crcs_damaged(void **state)
{
    struct varve_error err = {0};
    const uint32_t crcs[] = {1, 2, 3, 0xFFFFFFFF};
    VARVE_CLEANUP_FREE char *path = set_file(*state, &set, 1, "crc");
    VARVE_CLEANUP_BUFFER struct varve_buffer whole = {0};
    OK(crcs_save(path, crcs, 4, &err));
    OK(varve_file_read(path, 1000, &whole, &err));
    for (size_t size = 0; size < whole.size; size++) {
        OK(varve_file_replace(path, whole.data, size, &err));
        expect_damaged(path);
    }
    for (size_t bit = 0; bit < whole.size * 8; bit++) {
        whole.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        OK(varve_file_replace(path, whole.data, whole.size, &err));
        expect_damaged(path);
        whole.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    uint32_t *got;
    uint64_t count;
    assert_int_equal(unlink(path), 0);
    assert_false(crcs_load(path, &got, &count, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
}

/* --- manifests --- */

static void
test_manifest(void **state)
{
    struct varve_error err = {0};
    VARVE_CLEANUP_FREE char *path = set_file(*state, &set, 0, "jsonl");
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = varve_manifest_new();
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *got = NULL;
    assert_non_null(manifest);
    for (uint64_t ino = 2; ino < 40; ino++) {
        struct varve_record record = {.type = VARVE_RECORD_FILE,
                                      .ino = ino,
                                      .mode = S_IFREG | 0644,
                                      .size = ino * 100,
                                      .content = ino,
                                      .version = 1,
                                      .parts = 1,
                                      .piece_bytes = ino * 100,
                                      .lba = ino * 32};
        char name[32];
        (void)snprintf(name, sizeof name, "file \"%d\"\n\xff", (int)ino);
        OK(varve_record_add_name(&record, 1, name, &err));
        OK(varve_manifest_add(manifest, &record, &err));
    }
    OK(manifest_save(path, manifest, &err));
    OK(manifest_load(path, &got, &err));
    assert_int_equal(got->count, manifest->count);
    for (size_t i = 0; i < got->count; i++) {
        assert_int_equal(got->records[i].ino, manifest->records[i].ino);
        assert_int_equal(got->records[i].lba, manifest->records[i].lba);
        assert_int_equal(got->records[i].name_count, 1);
        assert_string_equal(got->records[i].names[0].name, manifest->records[i].names[0].name);
    }
}

static void
test_manifest_damaged(void **state)
{
    struct varve_error err = {0};
    VARVE_CLEANUP_FREE char *path = set_file(*state, &set, 0, "jsonl");
    struct varve_manifest *got = NULL;
    static const char *const texts[] = {"{", "{}\n", "nonsense\n", "{\"ino\":1}\n", "\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        OK(varve_file_replace(path, texts[i], strlen(texts[i]), &err));
        assert_false(manifest_load(path, &got, &err));
        assert_int_equal(err.kind, VARVE_ERROR_CORRUPT);
        assert_non_null(strstr(err.text, path)); /* which file */
        assert_null(got);
    }
}

/* --- maps and digests --- */

static void
test_maps(void **state)
{
    struct varve_error err = {0};
    struct varve_disc_map maps[3], got[3];
    VARVE_CLEANUP_FREE char *path = set_file(*state, &set, 0, "maps");
    memset(maps, 0, sizeof maps);
    for (uint64_t i = 0; i < 3; i++) {
        maps[i].clusters = UINT64_MAX - i;
        maps[i].disc_json = (struct varve_extent){i, i + 1};
        maps[i].inodes = (struct varve_extent){i * 1000, UINT64_C(1) << 40};
        maps[i].sums = (struct varve_extent){3, 4};
        maps[i].crcs = (struct varve_extent){5, 6};
    }
    OK(maps_save(*state, &set, maps, &err));
    OK(maps_load(*state, &set, got, &err));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(got[i].clusters, maps[i].clusters);
        assert_memory_equal(&got[i].disc_json, &maps[i].disc_json, sizeof maps[i].disc_json);
        assert_memory_equal(&got[i].inodes, &maps[i].inodes, sizeof maps[i].inodes);
        assert_memory_equal(&got[i].sums, &maps[i].sums, sizeof maps[i].sums);
        assert_memory_equal(&got[i].crcs, &maps[i].crcs, sizeof maps[i].crcs);
    }
    static const char *const texts[] = {"", "1 2 3 4 5 6 7 8 9\n", "a b c\n",
                                        "1 2 3 4 5 6 7 8 9\n1 2 3 4 5 6 7 8 9\n1 2 3 4 x\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        OK(varve_file_replace(path, texts[i], strlen(texts[i]), &err));
        assert_false(maps_load(*state, &set, got, &err));
        assert_int_equal(err.kind, VARVE_ERROR_CORRUPT);
    }
    assert_int_equal(unlink(path), 0);
    assert_false(maps_load(*state, &set, got, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
}

static void
test_parity_digest(void **state)
{
    struct varve_error err = {0};
    struct varve_digest digest, got;
    VARVE_CLEANUP_FREE char *path = set_file(*state, &set, 4, "sha256");
    varve_sha256_of("x", 1, &digest);
    OK(parity_digest_save(*state, &set, 4, &digest, &err));
    OK(parity_digest_load(*state, &set, 4, &got, &err));
    assert_true(varve_digest_equal(&digest, &got));
    OK(varve_file_replace(path, "00ff", 4, &err));
    assert_false(parity_digest_load(*state, &set, 4, &got, &err));
    assert_int_equal(err.kind, VARVE_ERROR_CORRUPT);
}

static void
test_member_uuid(void **state)
{
    (void)state;
    /* The image at a position has the same UUID for ever, and no other has it. */
    for (uint32_t a = 0; a < 20; a++) {
        struct varve_uuid first = member_uuid(&set.uuid, a);
        struct varve_uuid again = member_uuid(&set.uuid, a);
        assert_true(varve_uuid_equal(&first, &again));
        assert_int_equal(first.bytes[6] >> 4, 8);
        assert_int_equal(first.bytes[8] >> 6, 2);
        for (uint32_t b = 0; b < a; b++) {
            struct varve_uuid other = member_uuid(&set.uuid, b);
            assert_false(varve_uuid_equal(&first, &other));
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crcs),        cmocka_unit_test(test_crcs_damaged),
        cmocka_unit_test(test_manifest),    cmocka_unit_test(test_manifest_damaged),
        cmocka_unit_test(test_maps),        cmocka_unit_test(test_parity_digest),
        cmocka_unit_test(test_member_uuid),
    };
    return cmocka_run_group_tests_name("engine setfiles", tests, setup, teardown);
}
