/* Whatever bytes a file's name has, its name on a disc is legal in UDF, unique in its directory,
 * and the same bytes wherever they can be kept. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "disc_fixture.h"
#include "encoding.h"
#include "names.h"
#include "tree.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void
test_cs0(void **state)
{
    (void)state;
    uint8_t coded[VARVE_CS0_BYTES_MAX];
    assert_int_equal(varve_cs0_encode("a\xc3\xa9", 3, 255, coded), 3);
    assert_memory_equal(coded,
                        "\x08"
                        "a\xe9",
                        3);
    assert_int_equal(varve_cs0_encode("\xe6\x96\x87", 3, 255, coded), 3);
    assert_memory_equal(coded, "\x10\x65\x87", 3);
    assert_int_equal(varve_cs0_encode("\xf0\x9f\x92\xbe", 4, 255, coded), 5);
    assert_memory_equal(coded, "\x10\xd8\x3d\xdc\xbe", 5);
    assert_int_equal(varve_cs0_encode("\xff", 1, 255, coded), 0);
    char text[256];
    memset(text, 'x', sizeof text);
    assert_int_equal(varve_cs0_encode(text, 254, 255, coded), 255);
    assert_int_equal(varve_cs0_encode(text, 255, 255, coded), 0);
    assert_int_equal(varve_cs0_encode(text, 31, 31, coded), 0);
}

static void
test_made_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *mark, *tail;
        size_t bytes_max;
        bool whole;
        const char *made;
    } cases[] = {
        {"a.txt", "~1", "", 254, false, "a~1.txt"},
        {"a\xff.t\x01t", "", "", 254, false, "a_.t_t"},
        {"a/b\\c", "", "", 254, false, "a_b_c"},
        {".profile", "~2", "", 254, false, ".profile~2"},
        {"dir.d", "~1", "", 5, true, "dir~1"},
        {"d", "~1", "", 2, true, "~1"},
        {"film.mov", "", ".part-0001-of-0003", 254, false, "film.mov.part-0001-of-0003"},
        {"film.mov", "~1", ".part-0001-of-0003", 254, false, "film~1.mov.part-0001-of-0003"},
        {"name.extension that is none", "~1", "", 254, false, "name.extension that is none~1"},
        {"\xe6\x96\x87\xe4\xbb\xb6", "~1", "", 6, true, "\xe6\x96\x87~1"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char made[VARVE_UDF_NAME_BYTES_MAX + 1];
        struct varve_name_wish wish = {cases[i].name, cases[i].mark, cases[i].tail,
                                       cases[i].bytes_max, cases[i].whole};
        size_t size = varve_name_make(&wish, made);
        assert_string_equal(made, cases[i].made);
        assert_int_equal(size, strlen(made));
    }
}

/* The longest names of each kind are cut to what Linux, UDF and 7-Zip take. */
static void
test_long_names_are_cut(void **state)
{
    (void)state;
    char latin[256], wide[256], made[VARVE_UDF_NAME_BYTES_MAX + 1];
    uint8_t coded[VARVE_CS0_BYTES_MAX];
    memset(latin, 'x', 255);
    memcpy(&latin[251], ".mov", 5);
    for (size_t i = 0; i < 85; i++)
        memcpy(&wide[3 * i], "\xe6\x96\x87", 4);
    assert_false(varve_name_exact(latin, 255));
    assert_false(varve_name_exact(wide, 255));
    assert_true(varve_name_exact(&latin[1], 254));
    assert_true(varve_name_exact(&wide[3], 252));
    for (int i = 0; i < 2; i++) {
        struct varve_name_wish wish = {.name = i == 0 ? latin : wide,
                                       .mark = "~123",
                                       .tail = ".part-0001-of-0002",
                                       .bytes_max = 254};
        size_t size = varve_name_make(&wish, made);
        assert_true(size <= 254 && size > 230);
        assert_true(varve_cs0_encode(made, size, sizeof coded, coded) > 0);
        assert_true(varve_name_exact(made, size));
    }
    /* 200 Latin-1 bytes with one wide character: 127 UTF-16 units are the limit. */
    memset(latin, 'y', 200);
    memcpy(&latin[100], "\xe6\x96\x87", 3);
    latin[200] = 0;
    assert_false(varve_name_exact(latin, 200));
    struct varve_name_wish wish = {.name = latin, .mark = "", .tail = "", .bytes_max = 254};
    assert_int_equal(varve_name_make(&wish, made), 129);
}

static const char *
name_of(const struct varve_tree *tree, size_t record)
{
    for (uint32_t i = 0; i < tree->node_count; i++) {
        if (tree->nodes[i].record == record)
            return tree->links[tree->nodes[i].first_link].name;
    }
    return NULL;
}

static void
test_clashes(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = varve_manifest_new();
    VARVE_CLEANUP(varve_tree_free) struct varve_tree *tree = NULL;
    struct varve_error err = {0};
    static const struct {
        bool directory;
        const char *name, *made;
    } cases[] = {
        {false, "\x01", "_~1"},        {false, "_", "_"},
        {false, "\x02", "_~2"},        {false, "_~3", "_~3"},
        {false, "\x03", "_~4"},        {true, "VARVE", "varve~1"},
        {true, "varve", "varve~2"},    {false, "Varve", "varve~3"},
        {true, "d\xff", "d_"},         {true, "d\xfe", "~1"},
        {false, "two.txt", "two.txt"}, {false, "two.txt", "two~1.txt"},
        {false, "TWO.txt", "TWO.txt"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (cases[i].directory)
            fixture_directory(manifest, 10 + i, 1, cases[i].name);
        else
            fixture_file(manifest, 10 + i, 1, cases[i].name, 1);
    }
    assert_true(varve_tree_new(manifest, &tree, &err));
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(name_of(tree, i), cases[i].made);
}

/* A hundred thousand names that all become the same are told apart in reasonable time. */
static void
test_many_clashes(void **state)
{
    (void)state;
    enum { FILES = 100000 };
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = varve_manifest_new();
    VARVE_CLEANUP(varve_tree_free) struct varve_tree *tree = NULL;
    struct varve_error err = {0};
    for (uint64_t i = 0; i < FILES; i++)
        fixture_file(manifest, 10 + i, 1, "version", 1);
    assert_true(varve_tree_new(manifest, &tree, &err));
    assert_string_equal(name_of(tree, 0), "version");
    assert_string_equal(name_of(tree, FILES - 1), "version~99999");
}

static void
test_parts(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = varve_manifest_new();
    VARVE_CLEANUP(varve_tree_free) struct varve_tree *tree = NULL;
    struct varve_error err = {0};
    for (uint32_t part = 0; part < 2; part++) {
        struct varve_record record = fixture_record(VARVE_RECORD_FILE, 5, 30);
        fixture_name(&record, 1, "film.mov");
        record.part = 10 * part;
        record.parts = 12345;
        record.piece_bytes = 10;
        record.piece_offset = 10 * part;
        fixture_add(manifest, &record);
    }
    assert_true(varve_tree_new(manifest, &tree, &err));
    assert_string_equal(name_of(tree, 0), "film.mov.part-0001-of-12345");
    assert_string_equal(name_of(tree, 1), "film.mov.part-0011-of-12345");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cs0),
        cmocka_unit_test(test_made_names),
        cmocka_unit_test(test_long_names_are_cut),
        cmocka_unit_test(test_clashes),
        cmocka_unit_test(test_many_clashes),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
