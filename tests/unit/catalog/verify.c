/* SPDX-License-Identifier: Apache-2.0 */
/* A sound catalog has no findings, and each way of breaking it is found and named. */
#include "fixture.h"

#include <sqlite3.h>

static void
note(void *context, const char *finding)
{
    struct varve_buffer *findings = context;
    if (findings->size > 0)
        varve_buffer_text(findings, "\n");
    varve_buffer_text(findings, finding);
}

static void
expect_findings(struct fixture *f, const char *wanted)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer findings = {0};
    MUST(varve_catalog_verify(f->catalog, note, &findings, &err));
    /* "..." at the end: what the first damage leads to is not spelt out. */
    size_t length = strlen(wanted);
    if (length > 3 && strcmp(wanted + length - 3, "...") == 0)
        assert_int_equal(strncmp(varve_buffer_string(&findings), wanted, length - 3), 0);
    else
        assert_string_equal(varve_buffer_string(&findings), wanted);
}

/* Inodes: 2 /d, 3 /d/live, 4 /d/sealed (two parts), 5 /d/frozen, 6 /d/link, 7 /d/fifo, linked
 * twice. Contents 1, 2, 3 of inodes 3, 4, 5; sets 1 sealed and 2 planned. */
static void
fill(struct fixture *f)
{
    struct varve_catalog *catalog = f->catalog;
    uint64_t dir = add_node(catalog, VARVE_ROOT_INO, "d", S_IFDIR | 0755);
    (void)add_file(catalog, dir, "live", 10);
    struct varve_content sealed = add_file(catalog, dir, "sealed", 100);
    struct varve_content frozen = add_file(catalog, dir, "frozen", 30);
    uint64_t link = add_node(catalog, dir, "link", S_IFLNK | 0777);
    MUST(varve_catalog_symlink_put(catalog, link, "live", &err));
    uint64_t fifo = add_node(catalog, dir, "fifo", S_IFIFO);
    MUST(varve_catalog_dentry_insert(catalog, VARVE_ROOT_INO, "fifo", fifo, &err));
    struct varve_inode node;
    MUST(varve_catalog_inode_get(catalog, fifo, &node, &err));
    node.nlink = 2;
    MUST(varve_catalog_inode_update(catalog, &node, &err));

    struct varve_set_id first = add_set(catalog, VARVE_SET_SEALED);
    struct varve_set_id second = add_set(catalog, VARVE_SET_PLANNED);
    struct varve_piece piece = {
        .content = sealed.id, .set = first, .bytes = 60, .has_digest = true};
    MUST(varve_catalog_piece_insert(catalog, &piece, &err));
    piece = (struct varve_piece){.content = sealed.id,
                                 .set = first,
                                 .index = 1,
                                 .part = 1,
                                 .offset = 60,
                                 .bytes = 40,
                                 .has_digest = true};
    MUST(varve_catalog_piece_insert(catalog, &piece, &err));
    piece = (struct varve_piece){.content = frozen.id, .set = second, .bytes = 30};
    MUST(varve_catalog_piece_insert(catalog, &piece, &err));
    sealed.phase = VARVE_PHASE_SEALED;
    sealed.place = (struct varve_place){0};
    frozen.phase = VARVE_PHASE_FROZEN;
    MUST(varve_catalog_content_update(catalog, &sealed, &err));
    MUST(varve_catalog_content_update(catalog, &frozen, &err));
    struct varve_disc_row disc = {.barcode = {"A1"}, .set = first, .index = 2};
    MUST(varve_catalog_disc_put(catalog, &disc, &err));
    MUST(varve_catalog_xattr_put(catalog, fifo, "user.a", "1", 1, &err));
}

static void
test_sound(void **state)
{
    struct fixture *f = *state;
    expect_findings(f, "");
    fill(f);
    expect_findings(f, "");
}

/* Breaks a fresh catalog with `sql` behind varve's back. */
static void
break_and_expect(const char *sql, const char *wanted)
{
    void *state = NULL;
    assert_int_equal(fixture_setup(&state), 0);
    struct fixture *f = state;
    fill(f);
    varve_catalog_close(VARVE_TAKE(f->catalog));
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    MUST(varve_catalog_open(f->path, &f->clock.clock, &f->catalog, &err));
    expect_findings(f, wanted);
    assert_int_equal(fixture_teardown(&state), 0);
}

static void
test_broken(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        const char *wanted;
    } cases[] = {
        {"INSERT INTO dentry VALUES (90, 99, x'78', 7); UPDATE inode SET nlink = 3 WHERE ino = 7",
         "directory 99 has the name 'x', but does not exist"},
        {"INSERT INTO dentry VALUES (90, 3, x'78', 7); UPDATE inode SET nlink = 3 WHERE ino = 7",
         "inode 3 is no directory, but has the name 'x' in it"},
        {"INSERT INTO dentry VALUES (90, 1, x'78', 99)",
         "'x' in directory 1 names inode 99, which does not exist"},
        {"UPDATE inode SET nlink = 5 WHERE ino = 7", "inode 7 has 5 links, but 2 names"},
        {"UPDATE inode SET nlink = 0 WHERE ino = 3", "inode 3 has 0 links, but 1 names"},
        {"UPDATE inode SET nlink = 4 WHERE ino = 2", "directory 2 has 4 links instead of 2"},
        {"INSERT INTO dentry VALUES (90, 1, x'78', 2); UPDATE inode SET nlink = 4 WHERE ino = 1",
         "directory 2 has 2 names instead of 1"},
        {"UPDATE dentry SET parent = 2 WHERE ino = 2; UPDATE inode SET nlink = 2 WHERE ino = 1;"
         "UPDATE inode SET nlink = 3 WHERE ino = 2",
         "directory 2 cannot be reached from the root"},
        {"DELETE FROM symlink", "symlink 6 has no target"},
        {"INSERT INTO symlink VALUES (3, x'78')",
         "inode 3 has a symlink target, but is no symlink"},
        {"INSERT INTO xattr VALUES (99, x'61', x'62')", "xattrs of inode 99, which does not exist"},
        {"UPDATE inode SET content = 77 WHERE ino = 7",
         "inode 7 names content 77, which does not exist\n"
         "inode 7 is no regular file, but has content 77"},
        {"UPDATE content SET is_current = 0 WHERE id = 1",
         "content 1 is not marked as current, but is that of inode 3"},
        {"UPDATE inode SET content = 0 WHERE ino = 3",
         "content 1 is marked as current, but not that of inode 3"},
        {"UPDATE content SET tier = 0 WHERE id = 1",
         "content 1 of inode 3 is on no disc and has no place"},
        {"UPDATE content SET path_id = 9 WHERE id = 1",
         "content 1 lies under tier path 9, which does not exist"},
        {"UPDATE content SET file = (SELECT file FROM content WHERE id = 3) WHERE id = 1",
         "backing file 3 is named by 2 contents"},
        {"UPDATE discset SET state = 4 WHERE id = 2",
         "content 3 is frozen, but in no set that is being made"},
        {"UPDATE discset SET state = 1 WHERE id = 1",
         "content 2 of inode 4 is sealed, but no sealed set has all of it"},
        {"DELETE FROM piece WHERE content = 2 AND part = 0",
         "content 2 of inode 4 is sealed, but no sealed set has all of it"},
        {"UPDATE piece SET start = 61 WHERE content = 2 AND part = 1",
         "content 2 of inode 4 is sealed, but no sealed set has all of it"},
        {"UPDATE piece SET bytes = 41 WHERE content = 2 AND part = 1",
         "content 2 of inode 4 is sealed, but no sealed set has all of it"},
        {"UPDATE piece SET disc_index = 2 WHERE content = 2 AND part = 1",
         "piece 1 of content 2 has disc index 2 in set 1 of 2 data discs"},
        {"UPDATE piece SET digest = NULL WHERE content = 2 AND part = 1",
         "sealed set 1: part 1 of content 2 has no digest"},
        {"UPDATE disc SET disc_index = 3", "disc A1 has index 3 in set 1 of 3 discs"},
        {"UPDATE total SET files = 99 WHERE kind = 1",
         "total 1 says 99 files and 0 bytes, but there are 2 and 0"},
        {"UPDATE total SET bytes = 99 WHERE kind = 16 + 1",
         "total 17 says 1 files and 99 bytes, but there are 1 and 10"},
        {"INSERT INTO request VALUES (1, 'r', 1, 1, 1); UPDATE total SET bytes = 9 WHERE kind = 2",
         "total 2 says 1 files and 9 bytes, but there are 1 and 10"},
        {"UPDATE disc SET set_id = 50", "disc row ?: its discset does not exist"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        break_and_expect(cases[i].sql, cases[i].wanted);
}

/* What SQLite itself finds: an index that lacks a row. */
static void
test_broken_index(void **state)
{
    (void)state;
    break_and_expect("PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = "
                     "'CREATE INDEX dentry_ino ON dentry (parent)' WHERE name = 'dentry_ino';"
                     "PRAGMA writable_schema = OFF",
                     "row 1 missing from index dentry_ino\n...");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_sound),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_broken_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
