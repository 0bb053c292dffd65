/* What a power cut takes from the backing files leaves every file as it was at some moment. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <varve/file.h>

#define ROOT VARVE_ROOT_INO
#define SECTOR 512u

static void
write_closed(struct fixture *f, uint64_t ino, char letter, size_t size, uint64_t offset)
{
    uint8_t bytes[16 * SECTOR];
    struct varve_open *open = open_file(f, ino, O_WRONLY);
    assert_true(size <= sizeof bytes);
    memset(bytes, letter, size);
    write_open(f, open, offset, bytes, size);
    varve_open_close(open);
}

static int
backing_of(struct fixture *f, uint64_t ino)
{
    struct varve_content row = content_of(f, ino);
    int fd = -1;
    OK(varve_store_open_file(f->store, &row.place, O_RDWR, &fd, &f->err));
    return fd;
}

/* Ends the run, then opens the catalog alone. */
static void
stop(struct fixture *f)
{
    char path[128];
    fixture_close(f);
    (void)snprintf(path, sizeof path, "%s/catalog.sqlite", f->dir);
    OK(varve_catalog_open(path, f->time, &f->catalog, &f->err));
}

/* As if the flusher had not come before the end: the row knows `synced` bytes as durable. */
static void
doubt(struct fixture *f, uint64_t ino, uint64_t synced)
{
    struct varve_inode inode;
    struct varve_content row;
    OK(varve_catalog_inode_get(f->catalog, ino, &inode, &f->err));
    OK(varve_catalog_content_get(f->catalog, inode.content, &row, &f->err));
    row.unsynced = true;
    row.synced_bytes = synced;
    OK(varve_catalog_content_update(f->catalog, &row, &f->err));
}

/* `last`: what the last run had noted. */
static void
start(struct fixture *f, const char *last)
{
    OK(varve_catalog_setting_put(f->catalog, "vfs.clean", last, &f->err));
    varve_catalog_close(f->catalog);
    f->catalog = NULL;
    OK(fixture_open(f));
}

static void
start_after_power_cut(struct fixture *f)
{
    start(f, "open another-boot");
}

static void
expect_size(struct fixture *f, uint64_t ino, uint64_t size)
{
    struct varve_inode inode;
    struct stat st;
    OK(varve_vfs_getattr(f->vfs, ino, &inode, &f->err));
    assert_int_equal(inode.size, size);
    assert_int_equal(content_of(f, ino).size, size);
    assert_false(content_of(f, ino).unsynced);
    if (content_of(f, ino).place.file == 0)
        return;
    VARVE_CLEANUP_FD int fd = backing_of(f, ino);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, size);
}

static struct varve_vfs_losses
losses(struct fixture *f)
{
    struct varve_vfs_losses losses;
    varve_vfs_losses(f->vfs, &losses);
    return losses;
}

static void
test_what_never_reached_the_disk_is_empty(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    write_closed(f, ino, 'a', 100, 0);
    struct varve_content row = content_of(f, ino);
    OK(varve_store_remove(f->store, &row.place, &f->err));
    stop(f);
    doubt(f, ino, 0);
    start_after_power_cut(f);
    expect_size(f, ino, 0);
    expect_bytes(f, ino, "", 0);
    assert_int_equal(losses(f).files_emptied, 1);
    write_closed(f, ino, 'b', 10, 0); /* and it can be written again */
    expect_bytes(f, ino, "bbbbbbbbbb", 10);
}

static void
test_a_durable_file_that_is_missing_is_an_error(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    write_closed(f, ino, 'a', 100, 0);
    OK(varve_vfs_fsync(f->vfs, ino, &f->err));
    assert_false(content_of(f, ino).unsynced);
    struct varve_content row = content_of(f, ino);
    OK(varve_store_remove(f->store, &row.place, &f->err));
    stop(f);
    start_after_power_cut(f);
    struct varve_inode inode;
    OK(varve_vfs_getattr(f->vfs, ino, &inode, &f->err));
    assert_int_equal(inode.size, 100);
    assert_int_equal(content_of(f, ino).place.file, row.place.file);
    assert_int_equal(losses(f).files_emptied, 0);
}

/* size in sectors, what the disk has of them ('.': a hole, '0': zeros), durable, what is left */
static void
test_tails_without_bytes_are_cut(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *disk;
        unsigned durable, left;
    } cases[] = {
        {"aaaa", 4, 4}, {"aaaa", 2, 4}, {"aa..", 2, 2}, {"aa00", 2, 2}, {"a0aa", 2, 4},
        {"a0aa", 1, 1}, {"....", 0, 0}, {"....", 4, 4}, {"aa0a", 2, 2}, {"aa", 4, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "file%zu", i);
        uint64_t ino = make_file(f, ROOT, name);
        write_closed(f, ino, 'x', 4 * SECTOR, 0);
        VARVE_CLEANUP_FD int fd = backing_of(f, ino);
        stop(f);
        doubt(f, ino, cases[i].durable * SECTOR);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(ftruncate(fd, (off_t)(strlen(cases[i].disk) * SECTOR)), 0);
        for (size_t at = 0; cases[i].disk[at] != 0; at++) {
            uint8_t bytes[SECTOR];
            memset(bytes, cases[i].disk[at] == '0' ? 0 : 'a', sizeof bytes);
            if (cases[i].disk[at] != '.')
                OK(varve_file_pwrite(fd, bytes, sizeof bytes, at * SECTOR, &f->err));
        }
        start_after_power_cut(f);
        expect_size(f, ino, cases[i].left * SECTOR);
    }
}

/* While files of the last run are still looked at, new ones are written, and have zeros in them. */
static void
test_files_made_since_are_let_alone(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[8 * SECTOR] = {'a'};
    char name[16];
    for (unsigned i = 0; i < 400; i++) {
        (void)snprintf(name, sizeof name, "old%u", i);
        write_closed(f, make_file(f, ROOT, name), 'o', SECTOR, 0);
    }
    stop(f);
    start_after_power_cut(f);
    for (unsigned i = 0; i < 20; i++) {
        struct varve_inode inode;
        (void)snprintf(name, sizeof name, "new%u", i);
        uint64_t ino = make_file(f, ROOT, name);
        struct varve_open *open = open_file(f, ino, O_WRONLY);
        write_open(f, open, 0, bytes, sizeof bytes);
        OK(varve_vfs_lookup(f->vfs, ROOT, name, &inode, &f->err));
        assert_int_equal(inode.size, sizeof bytes);
        varve_open_close(open);
        expect_bytes(f, ino, (const char *)bytes, sizeof bytes);
    }
    assert_int_equal(losses(f).files_cut, 0);
}

static void
test_after_a_mere_kill_the_file_is_believed(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    VARVE_CLEANUP_BUFFER struct varve_buffer boot = {0};
    VARVE_CLEANUP_FREE char *value = NULL;
    write_closed(f, ino, 'a', SECTOR, 0);
    VARVE_CLEANUP_FD int fd = backing_of(f, ino);
    stop(f);
    doubt(f, ino, 0);
    assert_int_equal(ftruncate(fd, 3 * SECTOR), 0); /* a hole at its end */
    OK(varve_file_read("/proc/sys/kernel/random/boot_id", 64, &boot, &f->err));
    assert_true(asprintf(&value, "open %s", varve_buffer_string(&boot)) > 0);
    start(f, value);
    expect_size(f, ino, 3 * SECTOR);
}

static bool
is_synced(struct fixture *f, uint64_t ino)
{
    for (unsigned tried = 0; tried < 400; tried++) {
        if (!content_of(f, ino).unsynced)
            return true;
        (void)usleep(10000);
    }
    return false;
}

static void
test_unsynced_bytes_are_durable_soon(void **state)
{
    struct fixture *f = *state;
    uint64_t inos[12];
    for (unsigned i = 0; i < 12; i++) { /* more than are synced one by one */
        char name[16];
        (void)snprintf(name, sizeof name, "file%u", i);
        inos[i] = make_file(f, ROOT, name);
        write_closed(f, inos[i], 'a', 100, 0);
    }
    assert_true(content_of(f, inos[11]).unsynced);
    for (unsigned i = 0; i < 12; i++)
        assert_true(is_synced(f, inos[i]));
    struct varve_open *open = open_file(f, inos[0], O_WRONLY); /* and stays open */
    write_open(f, open, 100, "more", 4);
    for (unsigned tried = 0; tried < 400 && content_of(f, inos[0]).size != 104; tried++)
        (void)usleep(10000);
    assert_int_equal(content_of(f, inos[0]).size, 104);
    assert_false(content_of(f, inos[0]).unsynced);
    varve_open_close(open);
}

/* Cut below what was durable and grown again, without a sync: the row never calls the new bytes
 * durable because there were old ones. */
static void
test_a_cut_takes_back_what_was_durable(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    write_closed(f, ino, 'a', 1000, 0);
    OK(varve_vfs_fsync(f->vfs, ino, &f->err));
    const struct varve_setattr cut = {.mask = VARVE_SET_SIZE, .size = 300};
    struct varve_inode inode;
    OK(varve_vfs_setattr(f->vfs, ino, &cut, &inode, &f->err));
    write_closed(f, ino, 'b', 700, 300);
    struct varve_content row = content_of(f, ino);
    assert_int_equal(row.size, 1000);
    assert_true(!row.unsynced || row.synced_bytes == 300); /* or the flusher was here already */
}

/* What the committed row says when a backing file is cut; see the meson file for the wrapping. */
static struct {
    char catalog[128]; /* "": not looked at */
    uint64_t content;
    int64_t size, cuts;
} at_cut;

int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);

int
__wrap_ftruncate64(int fd, off_t size)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    if (at_cut.catalog[0] == '\0')
        return __real_ftruncate64(fd, size);
    at_cut.cuts++;
    assert_int_equal(sqlite3_open_v2(at_cut.catalog, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT size FROM content WHERE id = ?", -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_bind_int64(row, 1, (sqlite3_int64)at_cut.content), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    at_cut.size = sqlite3_column_int64(row, 0);
    (void)sqlite3_finalize(row);
    (void)sqlite3_close(db);
    return __real_ftruncate64(fd, size);
}

/* A row that is short before its file is would have the file's old end believed up to its first
 * sector of zeros: a file that never was. */
static void
test_the_file_is_cut_before_its_row(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    write_closed(f, ino, 'a', 1000, 0);
    OK(varve_vfs_fsync(f->vfs, ino, &f->err));
    at_cut.content = content_of(f, ino).id.value;
    at_cut.cuts = 0;
    (void)snprintf(at_cut.catalog, sizeof at_cut.catalog, "%s/catalog.sqlite", f->dir);
    const struct varve_setattr cut = {.mask = VARVE_SET_SIZE, .size = 300};
    struct varve_inode inode;
    OK(varve_vfs_setattr(f->vfs, ino, &cut, &inode, &f->err));
    at_cut.catalog[0] = '\0';
    assert_int_equal(at_cut.cuts, 1);
    assert_int_equal(at_cut.size, 1000);
    assert_int_equal(content_of(f, ino).size, 300);
    assert_false(content_of(f, ino).unsynced); /* durable when it returns, row and file */
}

static void
test_a_collapsed_range_takes_back_what_was_durable(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    int fd = -1;
    write_closed(f, ino, 'a', 1000, 0);
    OK(varve_vfs_fsync(f->vfs, ino, &f->err));
    struct varve_open *open = open_file(f, ino, O_WRONLY);
    OK(varve_open_write(open, &fd, &f->err));
    assert_int_equal(ftruncate(fd, 300), 0); /* as FALLOC_FL_COLLAPSE_RANGE does */
    varve_open_shortened(open);
    varve_open_done(open);
    write_open(f, open, 300, "grown again", 11);
    varve_open_close(open);
    struct varve_content row = content_of(f, ino);
    assert_int_equal(row.size, 311);
    assert_true(!row.unsynced || row.synced_bytes == 300); /* or the flusher was here already */
}

static void
test_an_orderly_end_leaves_nothing_to_doubt(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    write_closed(f, ino, 'a', 100, 0);
    assert_true(content_of(f, ino).unsynced);
    fixture_close(f);
    OK(fixture_open(f));
    assert_false(content_of(f, ino).unsynced);
    assert_int_equal(losses(f).files_cut, 0);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_what_never_reached_the_disk_is_empty),
        T(test_a_durable_file_that_is_missing_is_an_error),
        T(test_tails_without_bytes_are_cut),
        T(test_files_made_since_are_let_alone),
        T(test_after_a_mere_kill_the_file_is_believed),
        T(test_unsynced_bytes_are_durable_soon),
        T(test_a_cut_takes_back_what_was_durable),
        T(test_the_file_is_cut_before_its_row),
        T(test_a_collapsed_range_takes_back_what_was_durable),
        T(test_an_orderly_end_leaves_nothing_to_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
