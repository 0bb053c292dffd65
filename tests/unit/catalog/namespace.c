/* SPDX-License-Identifier: Apache-2.0 */
/* The namespace gives back what was put in, name by name and byte by byte, in the order promised.
 */
#include "fixture.h"

static void
test_root(void **state)
{
    struct fixture *f = *state;
    struct varve_inode root;
    MUST(varve_catalog_inode_get(f->catalog, VARVE_ROOT_INO, &root, &err));
    assert_int_equal(root.mode, S_IFDIR | 0755);
    assert_int_equal(root.uid, 7);
    assert_int_equal(root.gid, 8);
    assert_int_equal(root.nlink, 2);
    assert_int_equal(root.ctime_ns, NOW_NS);
}

static void
test_inode_round_trip(void **state)
{
    struct fixture *f = *state;
    struct varve_inode in = {.mode = S_IFCHR | 0600,
                             .uid = UINT32_MAX,
                             .gid = 2,
                             .nlink = 3,
                             .rdev = UINT64_MAX - 1,
                             .size = UINT64_C(1) << 62,
                             .atime_ns = -5,
                             .mtime_ns = INT64_MAX,
                             .ctime_ns = 7,
                             .btime_ns = INT64_MIN,
                             .content = {9},
                             .heat = 0.25,
                             .heat_ns = 11,
                             .opens = 12,
                             .pinned_until_ns = INT64_MAX,
                             .recorded_ctime_ns = 13};
    struct varve_inode out;
    MUST(varve_catalog_inode_insert(f->catalog, &in, &in.ino, &err));
    MUST(varve_catalog_inode_get(f->catalog, in.ino, &out, &err));
    assert_memory_equal(&in, &out, sizeof in);
    in.heat = 0.5;
    in.mode = S_IFCHR | 0644;
    in.nlink = 0;
    MUST(varve_catalog_inode_update(f->catalog, &in, &err));
    fixture_reopen(f);
    MUST(varve_catalog_inode_get(f->catalog, in.ino, &out, &err));
    assert_memory_equal(&in, &out, sizeof in);
}

static void
test_missing_rows(void **state)
{
    struct fixture *f = *state;
    struct varve_inode inode = {.ino = 99};
    struct varve_dentry entry;
    VARVE_CLEANUP_BUFFER struct varve_buffer buffer = {0};
    MUST_FAIL(varve_catalog_inode_get(f->catalog, 99, &inode, &err), NOT_FOUND, "no inode 99");
    MUST_FAIL(varve_catalog_inode_get(f->catalog, UINT64_MAX, &inode, &err), NOT_FOUND,
              "no inode 18446744073709551615");
    inode.ino = 99;
    MUST_FAIL(varve_catalog_inode_update(f->catalog, &inode, &err), NOT_FOUND, "no inode 99");
    MUST_FAIL(varve_catalog_inode_delete(f->catalog, 99, 1, &err), NOT_FOUND, "no inode 99");
    MUST_FAIL(varve_catalog_lookup(f->catalog, 1, "x", &entry, &err), NOT_FOUND,
              "no 'x' in directory 1");
    MUST_FAIL(varve_catalog_dentry_delete(f->catalog, 1, "x", &err), NOT_FOUND,
              "no 'x' in directory 1");
    MUST_FAIL(varve_catalog_path(f->catalog, 99, &buffer, &err), NOT_FOUND, "inode 99 has no name");
    MUST_FAIL(varve_catalog_symlink_get(f->catalog, 99, &buffer, &err), NOT_FOUND,
              "inode 99 is no symlink");
    MUST_FAIL(varve_catalog_resolve(f->catalog, "/a/b", &inode, &err), NOT_FOUND,
              "path '/a/b': no 'a' in directory 1");
    MUST_FAIL(varve_catalog_resolve(f->catalog, "a", &inode, &err), INVALID,
              "path 'a' is not absolute");
}

/* Numbers are never given twice: not after a deletion, a close, or an explicit one. */
static void
test_numbers(void **state)
{
    struct fixture *f = *state;
    struct varve_inode node = {.mode = S_IFREG};
    uint64_t first;
    uint64_t ino;
    MUST(varve_catalog_inode_insert(f->catalog, &node, &first, &err));
    MUST(varve_catalog_inode_delete(f->catalog, first, 1, &err));
    MUST(varve_catalog_inode_insert(f->catalog, &node, &ino, &err));
    assert_int_equal(ino, first + 1);
    fixture_reopen(f);
    MUST(varve_catalog_inode_insert(f->catalog, &node, &ino, &err));
    assert_int_equal(ino, first + 2); /* a clean close leaves no gap */
    node.ino = 1000;
    MUST(varve_catalog_inode_insert(f->catalog, &node, &ino, &err));
    assert_int_equal(ino, 1000);
    MUST_FAIL(varve_catalog_inode_insert(f->catalog, &node, &ino, &err), EXISTS,
              "inode 1000 exists already");
    node.ino = UINT64_MAX;
    MUST_FAIL(varve_catalog_inode_insert(f->catalog, &node, &ino, &err), INVALID,
              "number 18446744073709551615 is too large");
    node.ino = 0;
    MUST(varve_catalog_inode_insert(f->catalog, &node, &ino, &err));
    assert_int_equal(ino, 1001);
}

static void
test_names_are_bytes(void **state)
{
    struct fixture *f = *state;
    char longest[VARVE_NAME_BYTES_MAX + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *good[] = {"a",   "A",       "\xff\xfe", "name with\nnewline",
                          "...", "'; drop", "%",        longest};
    struct varve_dentry entry;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t ino = add_node(f->catalog, VARVE_ROOT_INO, good[i], S_IFREG);
        MUST(varve_catalog_lookup(f->catalog, VARVE_ROOT_INO, good[i], &entry, &err));
        assert_string_equal(entry.name, good[i]);
        assert_int_equal(entry.inode.ino, ino);
        assert_int_equal(entry.parent, VARVE_ROOT_INO);
    }
    static const struct {
        const char *name;
        const char *text;
    } bad[] = {{"", "'' cannot be a name"},
               {".", "'.' cannot be a name"},
               {"..", "'..' cannot be a name"},
               {"a/b", "'a/b' cannot be a name"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        MUST_FAIL(varve_catalog_dentry_insert(f->catalog, 1, bad[i].name, 1, &err), INVALID,
                  bad[i].text);
    char too_long[VARVE_NAME_BYTES_MAX + 2];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    assert_false(varve_catalog_dentry_insert(f->catalog, 1, too_long, 1, &err));
    assert_int_equal(varve_error_errno(&err), ENAMETOOLONG);
    MUST_FAIL(varve_catalog_dentry_insert(f->catalog, 1, "a", 1, &err), EXISTS,
              "directory 1 has a 'a' already");
}

/* Cookies ascend, and stay valid when entries before and behind them come and go. */
static void
test_readdir(void **state)
{
    struct fixture *f = *state;
    uint64_t dir = add_node(f->catalog, VARVE_ROOT_INO, "dir", S_IFDIR | 0755);
    bool empty = false;
    MUST(varve_catalog_dir_empty(f->catalog, dir, &empty, &err));
    assert_true(empty);
    char name[16];
    for (int i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof name, "%d", 9 - i);
        (void)add_node(f->catalog, dir, name, S_IFREG);
    }
    MUST(varve_catalog_dir_empty(f->catalog, dir, &empty, &err));
    assert_false(empty);
    struct varve_dentry entries[10];
    size_t count = 0;
    MUST(varve_catalog_readdir(f->catalog, dir, 0, entries, 4, &count, &err));
    assert_int_equal(count, 4);
    assert_string_equal(entries[0].name, "9");
    assert_string_equal(entries[3].name, "6");
    uint64_t after = entries[3].cookie;
    MUST(varve_catalog_dentry_delete(f->catalog, dir, "6", &err));
    MUST(varve_catalog_dentry_delete(f->catalog, dir, "5", &err));
    (void)add_node(f->catalog, dir, "new", S_IFREG);
    MUST(varve_catalog_readdir(f->catalog, dir, after, entries, 10, &count, &err));
    assert_int_equal(count, 6);
    static const char *const wanted[] = {"4", "3", "2", "1", "0", "new"};
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(entries[i].name, wanted[i]);
        assert_true(entries[i].cookie > after);
        after = entries[i].cookie;
    }
    MUST(varve_catalog_readdir(f->catalog, dir, after, entries, 10, &count, &err));
    assert_int_equal(count, 0);
}

static void
test_links_and_paths(void **state)
{
    struct fixture *f = *state;
    uint64_t a = add_node(f->catalog, VARVE_ROOT_INO, "a", S_IFDIR | 0755);
    uint64_t b = add_node(f->catalog, a, "b", S_IFDIR | 0755);
    uint64_t file = add_node(f->catalog, b, "old", S_IFREG);
    MUST(varve_catalog_dentry_insert(f->catalog, VARVE_ROOT_INO, "new", file, &err));
    struct varve_dentry names[4];
    size_t count;
    MUST(varve_catalog_names(f->catalog, file, 0, names, 4, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(names[0].name, "old");
    assert_int_equal(names[1].parent, VARVE_ROOT_INO);
    MUST(varve_catalog_names(f->catalog, file, names[0].cookie, names, 4, &count, &err));
    assert_int_equal(count, 1);
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    varve_buffer_text(&path, "is ");
    MUST(varve_catalog_path(f->catalog, file, &path, &err));
    assert_string_equal(varve_buffer_string(&path), "is /a/b/old");
    varve_buffer_clear(&path);
    MUST(varve_catalog_path(f->catalog, VARVE_ROOT_INO, &path, &err));
    assert_string_equal(varve_buffer_string(&path), "/");
    static const char *const same[] = {"/a/b/old", "/new", "//a///b/old/"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct varve_inode inode;
        MUST(varve_catalog_resolve(f->catalog, same[i], &inode, &err));
        assert_int_equal(inode.ino, file);
    }
    /* A loop, which only damage can make, ends. */
    MUST(varve_catalog_dentry_delete(f->catalog, VARVE_ROOT_INO, "a", &err));
    MUST(varve_catalog_dentry_insert(f->catalog, b, "a", a, &err));
    char text[64];
    (void)snprintf(text, sizeof text, "inode %d lies too deep, or in a loop", (int)b);
    MUST_FAIL(varve_catalog_path(f->catalog, b, &path, &err), CORRUPT, text);
}

static void
test_xattrs_and_symlinks(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = add_node(f->catalog, VARVE_ROOT_INO, "l", S_IFLNK | 0777);
    VARVE_CLEANUP_BUFFER struct varve_buffer buffer = {0};
    MUST(varve_catalog_symlink_put(f->catalog, ino, "../\xff", &err));
    MUST(varve_catalog_symlink_get(f->catalog, ino, &buffer, &err));
    assert_string_equal(varve_buffer_string(&buffer), "../\xff");
    MUST(varve_catalog_xattr_put(f->catalog, ino, "user.b", "1\0002", 3, &err));
    MUST(varve_catalog_xattr_put(f->catalog, ino, "user.a", "", 0, &err));
    MUST(varve_catalog_xattr_put(f->catalog, ino, "user.b", "\0x", 2, &err));
    varve_buffer_clear(&buffer);
    MUST(varve_catalog_xattr_get(f->catalog, ino, "user.b", &buffer, &err));
    assert_int_equal(buffer.size, 2);
    assert_memory_equal(buffer.data, "\0x", 2);
    varve_buffer_clear(&buffer);
    MUST(varve_catalog_xattr_get(f->catalog, ino, "user.a", &buffer, &err));
    assert_int_equal(buffer.size, 0);
    MUST(varve_catalog_xattr_names(f->catalog, ino, &buffer, &err));
    assert_int_equal(buffer.size, 14);
    assert_memory_equal(buffer.data, "user.a\0user.b\0", 14);
    MUST(varve_catalog_xattr_delete(f->catalog, ino, "user.a", &err));
    assert_false(varve_catalog_xattr_delete(f->catalog, ino, "user.a", &err));
    assert_int_equal(varve_error_errno(&err), ENODATA);
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);

    MUST(varve_catalog_inode_delete(f->catalog, ino, 1, &err));
    assert_false(varve_catalog_symlink_get(f->catalog, ino, &buffer, &err));
    assert_false(varve_catalog_xattr_get(f->catalog, ino, "user.b", &buffer, &err));
}

static void
test_orphans_and_walk(void **state)
{
    struct fixture *f = *state;
    struct varve_inode node = {.mode = S_IFREG};
    uint64_t made[3];
    for (size_t i = 0; i < 3; i++) {
        node.nlink = i == 1;
        MUST(varve_catalog_inode_insert(f->catalog, &node, &made[i], &err));
    }
    uint64_t orphans[4];
    size_t count;
    MUST(varve_catalog_orphans(f->catalog, 0, orphans, 4, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(orphans[0], made[0]);
    assert_int_equal(orphans[1], made[2]);
    MUST(varve_catalog_orphans(f->catalog, made[0], orphans, 4, &count, &err));
    assert_int_equal(count, 1);
    struct varve_inode walk[4];
    MUST(varve_catalog_inodes(f->catalog, 0, walk, 4, &count, &err));
    assert_int_equal(count, 4);
    assert_int_equal(walk[0].ino, VARVE_ROOT_INO);
    MUST(varve_catalog_inodes(f->catalog, made[0], walk, 1, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(walk[0].ino, made[1]);
}

/* Settings and tier paths. */
static void
test_settings(void **state)
{
    struct fixture *f = *state;
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    MUST_FAIL(varve_catalog_setting_get(f->catalog, "archive.name", &value, &err), NOT_FOUND,
              "no setting 'archive.name'");
    MUST(varve_catalog_setting_put(f->catalog, "archive.name", "old", &err));
    MUST(varve_catalog_setting_put(f->catalog, "archive.name", "new", &err));
    uint32_t ssd;
    uint32_t other;
    MUST(varve_catalog_tier_path(f->catalog, VARVE_TIER_SSD, "/s", &ssd, &err));
    MUST(varve_catalog_tier_path(f->catalog, VARVE_TIER_HDD, "/s", &other, &err));
    assert_int_not_equal(ssd, other);
    fixture_reopen(f);
    MUST(varve_catalog_setting_get(f->catalog, "archive.name", &value, &err));
    assert_string_equal(varve_buffer_string(&value), "new");
    MUST(varve_catalog_tier_path(f->catalog, VARVE_TIER_SSD, "/s", &other, &err));
    assert_int_equal(ssd, other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_root),
        FIXTURE_TEST(test_inode_round_trip),
        FIXTURE_TEST(test_missing_rows),
        FIXTURE_TEST(test_numbers),
        FIXTURE_TEST(test_names_are_bytes),
        FIXTURE_TEST(test_readdir),
        FIXTURE_TEST(test_links_and_paths),
        FIXTURE_TEST(test_xattrs_and_symlinks),
        FIXTURE_TEST(test_orphans_and_walk),
        FIXTURE_TEST(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
