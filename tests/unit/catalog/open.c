/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is not a sound catalog of a known version is refused with words that name it. */
#include "fixture.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <varve/file.h>

static void
run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Opening fails with this kind and this text, in which %s is the path. */
static void
expect_refused(struct fixture *f, enum varve_error_kind kind, const char *before, const char *after)
{
    struct varve_catalog *catalog = NULL;
    char wanted[700];
    (void)snprintf(wanted, sizeof wanted, "%s'%s'%s", before, f->path, after);
    err = (struct varve_error){0};
    assert_false(varve_catalog_open(f->path, &f->clock.clock, &catalog, &err));
    assert_null(catalog);
    assert_string_equal(err.text, wanted);
    assert_int_equal(err.kind, kind);
}

static void
test_create_twice(void **state)
{
    struct fixture *f = *state;
    char wanted[600];
    (void)snprintf(wanted, sizeof wanted, "catalog '%s' exists already", f->path);
    MUST_FAIL(varve_catalog_create(f->path, 0, 0, &f->clock.clock, &err), EXISTS, wanted);
}

static void
test_create_in_missing_directory(void **state)
{
    struct fixture *f = *state;
    char path[400];
    (void)snprintf(path, sizeof path, "%s/none/catalog", f->dir);
    assert_false(varve_catalog_create(path, 0, 0, &f->clock.clock, &err));
    assert_non_null(strstr(err.text, path));
}

static void
test_missing(void **state)
{
    struct fixture *f = *state;
    varve_catalog_close(VARVE_TAKE(f->catalog));
    assert_int_equal(unlink(f->path), 0);
    expect_refused(f, VARVE_ERROR_NOT_FOUND, "catalog ", ": No such file or directory");
}

static void
test_foreign(void **state)
{
    struct fixture *f = *state;
    varve_catalog_close(VARVE_TAKE(f->catalog));
    static const char text[] = "Dear diary, this is not a database, but it is long enough to be "
                               "looked at as if it were one, is it not? Certainly.";
    MUST(varve_file_replace(f->path, text, sizeof text, &err));
    expect_refused(f, VARVE_ERROR_CORRUPT, "",
                   " is not a varve catalog, or it is damaged: file is not a database");
    MUST(varve_file_replace(f->path, "", 0, &err));
    expect_refused(f, VARVE_ERROR_CORRUPT, "", " is not a varve catalog");
    assert_int_equal(unlink(f->path), 0);
    run_sql(f->path, "CREATE TABLE inode (ino)");
    expect_refused(f, VARVE_ERROR_CORRUPT, "", " is not a varve catalog");
}

#define TEXT_OF(value) TEXT(value)
#define TEXT(value) #value

static void
test_newer(void **state)
{
    struct fixture *f = *state;
    varve_catalog_close(VARVE_TAKE(f->catalog));
    run_sql(f->path, "PRAGMA user_version = 99");
    expect_refused(f, VARVE_ERROR_INVALID, "catalog ",
                   " was made by a newer varve: it has schema 99, this varve knows up to " TEXT_OF(
                       VARVE_CATALOG_SCHEMA) "\n"
                                             "hint: use the varve that made it, or a newer one");
    run_sql(f->path, "PRAGMA user_version = 0");
    expect_refused(f, VARVE_ERROR_CORRUPT, "catalog ", " is damaged: schema version 0");
}

/* A catalog that an older varve left is brought up to date where it lies, with all that is in it.
 */
static void
test_upgrade(void **state)
{
    struct fixture *f = *state;
    VARVE_CLEANUP_BUFFER struct varve_buffer sql = {0};
    varve_catalog_close(VARVE_TAKE(f->catalog));
    assert_int_equal(unlink(f->path), 0);
    MUST(varve_file_read(GOLDEN_FOLDER "/catalog-1.sql", 1 << 20, &sql, &err));
    run_sql(f->path, varve_buffer_string(&sql));
    MUST(varve_catalog_open(f->path, &f->clock.clock, &f->catalog, &err));
    struct varve_inode inode;
    struct varve_content content;
    MUST(varve_catalog_resolve(f->catalog, "/dir/sealed", &inode, &err));
    MUST(varve_catalog_content_get(f->catalog, inode.content, &content, &err));
    assert_int_equal(inode.size, 100000);
    assert_int_equal(inode.blocks, 0);
    assert_int_equal(content.phase, VARVE_PHASE_SEALED);
    assert_int_equal(content.head.tier, VARVE_TIER_NONE);
    assert_false(content.unsynced);
    content.head = (struct varve_place){VARVE_TIER_SSD, 1, 77};
    content.head_bytes = 4096;
    MUST(varve_catalog_content_update(f->catalog, &content, &err));
    struct varve_catalog_totals totals;
    MUST(varve_catalog_totals(f->catalog, &totals, &err));
    assert_int_equal(totals.heads, 1);
    assert_int_equal(totals.head_bytes, 4096);
    MUST(varve_catalog_sync(f->catalog, &err));
    varve_catalog_close(VARVE_TAKE(f->catalog));
    /* The second time there is nothing left to do. */
    MUST(varve_catalog_open(f->path, &f->clock.clock, &f->catalog, &err));
    MUST(varve_catalog_resolve(f->catalog, "/dir/hard", &inode, &err));
}

static void
test_parts_missing(void **state)
{
    struct fixture *f = *state;
    varve_catalog_close(VARVE_TAKE(f->catalog));
    run_sql(f->path, "DELETE FROM number WHERE kind = 2");
    expect_refused(f, VARVE_ERROR_CORRUPT, "catalog ", " is damaged: number 2 is missing");
    run_sql(f->path, "DELETE FROM inode");
    expect_refused(f, VARVE_ERROR_CORRUPT, "catalog ", " is damaged: it has no root directory");
    run_sql(f->path, "DROP TABLE tombstone");
    expect_refused(f, VARVE_ERROR_CORRUPT, "catalog ", " is damaged: no such table: tombstone");
}

/* Whatever bytes are lost or turned, opening and verifying end without a crash, and a file cut
 * short is noticed at once. */
static void
test_damaged_pages(void **state)
{
    struct fixture *f = *state;
    char name[16];
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        (void)add_node(f->catalog, VARVE_ROOT_INO, name, S_IFREG);
    }
    varve_catalog_close(VARVE_TAKE(f->catalog));
    VARVE_CLEANUP_BUFFER struct varve_buffer good = {0};
    MUST(varve_file_read(f->path, 1 << 24, &good, &err));
    MUST(varve_file_replace(f->path, good.data, good.size / 2, &err));
    struct varve_catalog *catalog = NULL;
    assert_false(varve_catalog_open(f->path, &f->clock.clock, &catalog, &err));
    assert_int_equal(err.kind, VARVE_ERROR_CORRUPT);
    assert_non_null(strstr(err.text, f->path));

    struct varve_random_seeded seeded;
    varve_random_seeded_init(&seeded, 20261120);
    for (int round = 0; round < 20; round++) {
        VARVE_CLEANUP_BUFFER struct varve_buffer bad = {0};
        varve_buffer_append(&bad, good.data, good.size);
        for (int i = 0; i < 300; i++)
            bad.data[varve_random_below(&seeded.random, bad.size)] ^= 0xff;
        MUST(varve_file_replace(f->path, bad.data, bad.size, &err));
        if (varve_catalog_open(f->path, &f->clock.clock, &catalog, &err)) {
            struct varve_inode rows[8];
            size_t count;
            (void)!varve_catalog_inodes(catalog, 0, rows, 8, &count, &err); /* either is right */
            varve_catalog_close(VARVE_TAKE(catalog));
        } else {
            assert_non_null(strstr(err.text, f->path));
        }
        char log[400];
        (void)snprintf(log, sizeof log, "%s-wal", f->path);
        (void)unlink(log); /* the next round starts afresh */
        (void)snprintf(log, sizeof log, "%s-shm", f->path);
        (void)unlink(log);
    }
}

/* A half made catalog of a crashed creation is no obstacle and no catalog. */
static void
test_create_after_crash(void **state)
{
    struct fixture *f = *state;
    varve_catalog_close(VARVE_TAKE(f->catalog));
    assert_int_equal(unlink(f->path), 0);
    char temporary[400];
    (void)snprintf(temporary, sizeof temporary, "%s.new", f->path);
    MUST(varve_file_replace(temporary, "rubbish", 7, &err));
    MUST(varve_catalog_create(f->path, 0, 0, &f->clock.clock, &err));
    assert_int_equal(access(temporary, F_OK), -1);
    MUST(varve_catalog_open(f->path, &f->clock.clock, &f->catalog, &err));
}

/* A snapshot taken while the catalog changes is a catalog, and has what was done before it. */
static void
test_snapshot(void **state)
{
    struct fixture *f = *state;
    (void)add_file(f->catalog, VARVE_ROOT_INO, "a", 10);
    char path[400];
    (void)snprintf(path, sizeof path, "%s/copy", f->dir);
    MUST(varve_file_replace(path, "an older one", 12, &err));
    MUST(varve_catalog_snapshot(f->catalog, path, &err));
    (void)add_file(f->catalog, VARVE_ROOT_INO, "b", 10);
    struct varve_catalog *copy = NULL;
    struct varve_dentry entry;
    MUST(varve_catalog_open(path, &f->clock.clock, &copy, &err));
    MUST(varve_catalog_lookup(copy, VARVE_ROOT_INO, "a", &entry, &err));
    assert_false(varve_catalog_lookup(copy, VARVE_ROOT_INO, "b", &entry, &err));
    varve_catalog_close(copy);
    (void)snprintf(path, sizeof path, "%s/none/copy", f->dir);
    assert_false(varve_catalog_snapshot(f->catalog, path, &err));
    assert_non_null(strstr(err.text, path));
    (void)add_file(f->catalog, VARVE_ROOT_INO, "c", 10); /* a failed snapshot stops nothing */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_create_twice),
        FIXTURE_TEST(test_create_in_missing_directory),
        FIXTURE_TEST(test_missing),
        FIXTURE_TEST(test_foreign),
        FIXTURE_TEST(test_newer),
        FIXTURE_TEST(test_upgrade),
        FIXTURE_TEST(test_parts_missing),
        FIXTURE_TEST(test_damaged_pages),
        FIXTURE_TEST(test_create_after_crash),
        FIXTURE_TEST(test_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
