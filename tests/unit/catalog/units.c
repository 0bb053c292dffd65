/* SPDX-License-Identifier: Apache-2.0 */
/* A unit stands or falls as a whole, whatever is nested in it, and the next one knows nothing of
 * it. */
#include "fixture.h"

static bool
has(struct varve_catalog *catalog, const char *name)
{
    struct varve_dentry entry;
    struct varve_error ignored;
    return varve_catalog_lookup(catalog, VARVE_ROOT_INO, name, &entry, &ignored);
}

static void
test_keep_and_undo(void **state)
{
    struct fixture *f = *state;
    (void)add_node(f->catalog, VARVE_ROOT_INO, "before", S_IFREG);
    varve_catalog_begin(f->catalog);
    (void)add_node(f->catalog, VARVE_ROOT_INO, "undone", S_IFREG);
    MUST(varve_catalog_dentry_delete(f->catalog, VARVE_ROOT_INO, "before", &err));
    assert_true(has(f->catalog, "undone")); /* visible inside */
    assert_false(varve_catalog_end(f->catalog, false, &err));
    assert_false(has(f->catalog, "undone"));
    assert_true(has(f->catalog, "before"));
    varve_catalog_begin(f->catalog);
    (void)add_node(f->catalog, VARVE_ROOT_INO, "kept", S_IFREG);
    assert_true(varve_catalog_end(f->catalog, true, &err));
    fixture_reopen(f);
    assert_true(has(f->catalog, "kept"));
    assert_true(has(f->catalog, "before"));
    assert_false(has(f->catalog, "undone"));
}

/* Only the outermost end decides. */
static void
test_nesting(void **state)
{
    struct fixture *f = *state;
    for (int outer = 0; outer < 2; outer++) {
        for (int inner = 0; inner < 2; inner++) {
            char name[8];
            (void)snprintf(name, sizeof name, "%d%d", outer, inner);
            varve_catalog_begin(f->catalog);
            varve_catalog_begin(f->catalog);
            (void)add_node(f->catalog, VARVE_ROOT_INO, name, S_IFREG);
            assert_int_equal(varve_catalog_end(f->catalog, inner == 1, &err), inner == 1);
            assert_int_equal(varve_catalog_end(f->catalog, outer == 1, &err), outer == 1);
            assert_int_equal(has(f->catalog, name), outer == 1);
        }
    }
}

/* A failing call inside does not end the unit, and the error of the caller survives the end. */
static void
test_failure_inside(void **state)
{
    struct fixture *f = *state;
    varve_catalog_begin(f->catalog);
    uint64_t ino = add_node(f->catalog, VARVE_ROOT_INO, "a", S_IFREG);
    MUST_FAIL(varve_catalog_dentry_insert(f->catalog, VARVE_ROOT_INO, "a", ino, &err), EXISTS,
              "directory 1 has a 'a' already");
    assert_true(has(f->catalog, "a"));
    assert_false(varve_catalog_end(f->catalog, false, &err));
    assert_string_equal(err.text, "directory 1 has a 'a' already");
    assert_false(has(f->catalog, "a"));
}

static void
test_empty_unit(void **state)
{
    struct fixture *f = *state;
    err = (struct varve_error){0};
    varve_catalog_begin(f->catalog);
    assert_false(varve_catalog_end(f->catalog, false, &err));
    varve_catalog_begin(f->catalog);
    assert_true(varve_catalog_end(f->catalog, true, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NONE);
}

/* What calls of several steps did is undone with the unit around them. */
static void
test_undo_of_deletes(void **state)
{
    struct fixture *f = *state;
    struct varve_content content = add_file(f->catalog, VARVE_ROOT_INO, "a", 10);
    MUST(varve_catalog_xattr_put(f->catalog, content.ino, "user.x", "1", 1, &err));
    MUST(varve_catalog_recorded(f->catalog, content.ino, 5, &err));
    struct varve_request request = {.content = content.id, .rule = "manual"};
    MUST(varve_catalog_request_put(f->catalog, &request, &err));
    varve_catalog_begin(f->catalog);
    MUST(varve_catalog_inode_delete(f->catalog, content.ino, 9, &err));
    MUST(varve_catalog_content_delete(f->catalog, content.id, &err));
    assert_false(varve_catalog_end(f->catalog, false, &err));
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    MUST(varve_catalog_xattr_get(f->catalog, content.ino, "user.x", &value, &err));
    struct varve_request row;
    struct varve_tombstone stone;
    size_t count;
    MUST(varve_catalog_requests(f->catalog, (struct varve_content_id){0}, &row, 1, &count, &err));
    assert_int_equal(count, 1);
    MUST(varve_catalog_tombstones(f->catalog, 0, &stone, 1, &count, &err));
    assert_int_equal(count, 0);
}

static bool
has_xattr(struct fixture *f, uint64_t ino)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    return varve_catalog_xattr_get(f->catalog, ino, "user.x", &value, &err);
}

/* That an inode has no xattrs is remembered, and never longer than it is true. */
static void
test_known_to_have_none(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = add_file(f->catalog, VARVE_ROOT_INO, "a", 10).ino;
    assert_false(has_xattr(f, ino));
    varve_catalog_begin(f->catalog);
    MUST(varve_catalog_xattr_put(f->catalog, ino, "user.x", "1", 1, &err));
    assert_true(has_xattr(f, ino));
    assert_false(varve_catalog_end(f->catalog, false, &err));
    assert_false(has_xattr(f, ino));
    MUST(varve_catalog_xattr_put(f->catalog, ino, "user.x", "1", 1, &err));
    assert_true(has_xattr(f, ino));
    varve_catalog_begin(f->catalog);
    MUST(varve_catalog_xattr_delete(f->catalog, ino, "user.x", &err));
    assert_false(has_xattr(f, ino));
    assert_false(varve_catalog_end(f->catalog, false, &err));
    assert_true(has_xattr(f, ino));
    MUST(varve_catalog_xattr_delete(f->catalog, ino, "user.x", &err));
    assert_false(has_xattr(f, ino));
}

/* Also of a row that comes from SQLite again, and when the inode is gone. */
static void
test_known_to_have_none_later(void **state)
{
    struct fixture *f = *state;
    uint64_t with = add_file(f->catalog, VARVE_ROOT_INO, "a", 10).ino;
    uint64_t without = add_file(f->catalog, VARVE_ROOT_INO, "b", 10).ino;
    struct varve_inode inode;
    MUST(varve_catalog_xattr_put(f->catalog, with, "user.x", "1", 1, &err));
    varve_catalog_begin(f->catalog); /* an undone unit with a savepoint empties the memory */
    MUST(varve_catalog_xattr_put(f->catalog, without, "user.x", "1", 1, &err));
    assert_false(varve_catalog_end(f->catalog, false, &err));
    MUST(varve_catalog_inode_get(f->catalog, with, &inode, &err));
    MUST(varve_catalog_inode_get(f->catalog, without, &inode, &err));
    assert_true(has_xattr(f, with));
    assert_false(has_xattr(f, without));
    MUST(varve_catalog_xattr_put(f->catalog, without, "user.x", "1", 1, &err));
    assert_true(has_xattr(f, without));
    MUST(varve_catalog_inode_delete(f->catalog, with, 1, &err));
    assert_false(has_xattr(f, with));
}

/* A unit that uses more numbers than are reserved in one go gets them, each once. */
static void
test_many_numbers_in_a_unit(void **state)
{
    struct fixture *f = *state;
    uint64_t last = 0;
    uint64_t file;
    varve_catalog_begin(f->catalog);
    for (int i = 0; i < 150000; i++) {
        MUST(varve_catalog_file_numbers(f->catalog, 1, &file, &err));
        assert_true(file > last);
        last = file;
    }
    assert_true(varve_catalog_end(f->catalog, true, &err));
    MUST(varve_catalog_sync(f->catalog, &err));
    MUST(varve_catalog_file_numbers(f->catalog, 1, &file, &err));
    assert_int_equal(file, last + 1);
    fixture_reopen(f);
    MUST(varve_catalog_file_numbers(f->catalog, 1, &file, &err));
    assert_int_equal(file, last + 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_keep_and_undo),
        FIXTURE_TEST(test_nesting),
        FIXTURE_TEST(test_failure_inside),
        FIXTURE_TEST(test_empty_unit),
        FIXTURE_TEST(test_undo_of_deletes),
        FIXTURE_TEST(test_known_to_have_none),
        FIXTURE_TEST(test_known_to_have_none_later),
        FIXTURE_TEST(test_many_numbers_in_a_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
