/* In every phase a writer gets the bytes that were there, and no byte on discs ever changes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <varve/file.h>

#define ROOT VARVE_ROOT_INO

enum phase { NONE, LIVE, FROZEN, PREMIGRATED, MIGRATED, PHASES };

/* A file with "old bytes" in the phase. */
static uint64_t
file_in(struct fixture *f, enum phase phase, const char *name, struct varve_content *ret)
{
    uint64_t ino = make_file(f, ROOT, name);
    *ret = (struct varve_content){0};
    if (phase == NONE)
        return ino;
    put_text(f, ino, "old bytes");
    if (phase >= FROZEN)
        (void)freeze(f, ino);
    if (phase >= PREMIGRATED)
        seal(f, content_of(f, ino).id);
    if (phase >= MIGRATED)
        release(f, content_of(f, ino).id);
    *ret = content_of(f, ino);
    return ino;
}

static void
expect_place_text(struct fixture *f, struct varve_place place, const char *text)
{
    char got[64] = "";
    VARVE_CLEANUP_FD int fd = -1;
    OK(varve_store_open_file(f->store, &place, O_RDONLY, &fd, &f->err));
    assert_int_equal(pread(fd, got, sizeof got - 1, 0), strlen(text));
    assert_string_equal(got, text);
}

static void
test_create_costs_no_backing_file(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    varve_open_close(open_file(f, ino, O_RDWR | O_TRUNC));
    expect_text(f, ino, "");
    truncate_to(f, ino, 0);
    assert_int_equal(attributes(f, ino).content.value, 0);
    assert_int_equal(count_files(f), 0);
    truncate_to(f, ino, 3);
    expect_bytes(f, ino, "\0\0", 3);
    assert_int_equal(count_files(f), 1);
}

static void
test_first_write_in_each_phase(void **state)
{
    struct fixture *f = *state;
    static const char *const want[PHASES] = {"NEW", "NEW bytes", "NEW bytes", "NEW bytes", NULL};
    for (enum phase phase = NONE; phase < PHASES; phase++) {
        char name[2] = {(char)('a' + (int)phase), 0};
        struct varve_content old;
        uint64_t ino = file_in(f, phase, name, &old);
        struct varve_open *reader = open_file(f, ino, O_RDONLY);
        struct varve_open *writer = open_file(f, ino, O_RDWR);
        int fd = -1;
        if (phase == MIGRATED) {
            FAILS_AS(varve_open_write(writer, &fd, &f->err), WAIT);
            assert_int_equal(varve_error_errno(&f->err), EAGAIN);
            recall_bytes(f, old.id, "old bytes", 9);
            write_open(f, writer, 0, "NEW", 3);
        } else {
            write_open(f, writer, 0, "NEW", 3);
        }
        const char *text = want[phase] != NULL ? want[phase] : "NEW bytes";
        expect_open_text(f, writer, text);
        expect_open_text(f, reader, text); /* who opened before sees it too */
        varve_open_close(reader);
        varve_open_close(writer);
        expect_text(f, ino, text);
        struct varve_content now = content_of(f, ino);
        assert_int_equal(now.phase, VARVE_PHASE_LIVE);
        assert_true(now.current);
        assert_int_equal(now.size, strlen(text));
        assert_int_equal(now.version, phase >= FROZEN ? 2 : 1);
        if (phase < FROZEN)
            continue;
        struct varve_content then = row_of(f, old.id);
        assert_false(then.current);
        assert_int_equal(then.size, 9);
        assert_int_equal(then.phase, phase == FROZEN ? VARVE_PHASE_FROZEN : VARVE_PHASE_SEALED);
        if (phase == FROZEN)
            expect_place_text(f, then.place, "old bytes");
        else
            assert_int_equal(then.place.tier, VARVE_TIER_NONE);
        if (phase == PREMIGRATED)
            assert_int_equal(now.place.file, old.place.file); /* taken over, not copied */
    }
    expect_consistent(f);
}

static void
test_truncate_in_each_phase(void **state)
{
    struct fixture *f = *state;
    static const uint64_t sizes[] = {0, 3, 9, 12};
    static const char bytes[] = "old bytes\0\0\0";
    for (enum phase phase = LIVE; phase < PHASES; phase++) {
        for (size_t i = 0; i < 4; i++) {
            char name[8];
            (void)snprintf(name, sizeof name, "%d-%zu", (int)phase, i);
            struct varve_content old;
            struct varve_inode inode;
            uint64_t ino = file_in(f, phase, name, &old);
            struct varve_setattr change = {.mask = VARVE_SET_SIZE, .size = sizes[i]};
            if (phase == MIGRATED && sizes[i] != 0 && sizes[i] != 9) {
                FAILS_AS(varve_vfs_setattr(f->vfs, ino, &change, &inode, &f->err), WAIT);
                assert_int_equal(attributes(f, ino).size, 9);
                recall_bytes(f, old.id, "old bytes", 9);
            }
            truncate_to(f, ino, sizes[i]);
            if (phase == MIGRATED && sizes[i] == 9)
                assert_int_equal(content_of(f, ino).id.value, old.id.value); /* nothing to do */
            else
                expect_bytes(f, ino, bytes, sizes[i]);
            assert_int_equal(content_of(f, ino).size, sizes[i]);
            assert_int_equal(row_of(f, old.id).size, phase == LIVE ? sizes[i] : 9);
            if (phase == FROZEN)
                expect_place_text(f, row_of(f, old.id).place, "old bytes");
        }
    }
    expect_consistent(f);
}

static void
test_open_with_truncation_needs_no_recall(void **state)
{
    struct fixture *f = *state;
    for (enum phase phase = NONE; phase < PHASES; phase++) {
        char name[2] = {(char)('a' + (int)phase), 0};
        struct varve_content old;
        uint64_t ino = file_in(f, phase, name, &old);
        struct varve_open *open = open_file(f, ino, O_WRONLY | O_TRUNC);
        assert_int_equal(attributes(f, ino).size, 0);
        write_open(f, open, 0, "fresh", 5);
        varve_open_close(open);
        expect_text(f, ino, "fresh");
        assert_int_equal(content_of(f, ino).phase, VARVE_PHASE_LIVE);
    }
    expect_consistent(f);
}

static void
test_sealed_while_open(void **state)
{
    struct fixture *f = *state;
    struct varve_content old;
    uint64_t ino = file_in(f, FROZEN, "file", &old);
    struct varve_open *open = open_file(f, ino, O_RDWR);
    expect_open_text(f, open, "old bytes");
    seal(f, old.id); /* beside the vfs, as the engine does */
    write_open(f, open, 0, "NEW", 3);
    varve_open_close(open);
    assert_int_equal(row_of(f, old.id).phase, VARVE_PHASE_SEALED);
    assert_int_equal(row_of(f, old.id).place.tier, VARVE_TIER_NONE);
    expect_text(f, ino, "NEW bytes");
    expect_consistent(f);
}

static void
test_open_unlinked(void **state)
{
    struct fixture *f = *state;
    for (enum phase phase = NONE; phase < PHASES; phase++) {
        struct varve_content old;
        struct varve_inode inode;
        uint64_t ino = file_in(f, phase, "file", &old);
        struct varve_open *open = open_file(f, ino, O_RDWR);
        OK(varve_vfs_unlink(f->vfs, ROOT, "file", &f->err));
        assert_int_equal(attributes(f, ino).nlink, 0);
        FAILS(varve_vfs_link(f->vfs, ino, ROOT, "back", &inode, &f->err), ENOENT);
        if (phase == MIGRATED)
            recall_bytes(f, old.id, "old bytes", 9);
        if (phase != NONE)
            expect_open_text(f, open, "old bytes");
        write_open(f, open, 0, "still", 5);
        varve_open_close(open);
        FAILS(varve_vfs_getattr(f->vfs, ino, &inode, &f->err), ENOENT);
        if (phase >= FROZEN)
            assert_false(row_of(f, old.id).current);
    }
    expect_consistent(f);
    assert_int_equal(count_files(f), 1); /* the frozen one, until its set is done with */
}

static void
test_unlink_in_each_phase(void **state)
{
    struct fixture *f = *state;
    struct varve_content old[PHASES];
    for (enum phase phase = NONE; phase < PHASES; phase++) {
        uint64_t ino = file_in(f, phase, "file", &old[phase]);
        OK(varve_vfs_unlink(f->vfs, ROOT, "file", &f->err));
        struct varve_inode inode;
        FAILS(varve_vfs_getattr(f->vfs, ino, &inode, &f->err), ENOENT);
    }
    struct varve_content row;
    FAILS_AS(varve_catalog_content_get(f->catalog, old[LIVE].id, &row, &f->err), NOT_FOUND);
    assert_false(row_of(f, old[FROZEN].id).current);
    expect_place_text(f, old[FROZEN].place, "old bytes");
    assert_int_equal(row_of(f, old[PREMIGRATED].id).place.tier, VARVE_TIER_NONE);
    expect_consistent(f);
    assert_int_equal(count_files(f), 1);
    OK(varve_vfs_thaw(f->vfs, old[FROZEN].id, &f->err));
    expect_consistent(f);
    assert_int_equal(count_files(f), 0);
}

static void
test_orphans_go_at_the_next_start(void **state)
{
    struct fixture *f = *state;
    struct varve_content old;
    uint64_t ino = file_in(f, LIVE, "file", &old);
    struct varve_open *open = open_file(f, ino, O_RDONLY);
    OK(varve_vfs_unlink(f->vfs, ROOT, "file", &f->err));
    OK(varve_catalog_sync(f->catalog, &f->err));
    /* What a crash would leave: a second catalog as of now. */
    char copy[120], catalog[120];
    (void)snprintf(copy, sizeof copy, "%s/copy", f->dir);
    (void)snprintf(catalog, sizeof catalog, "%s/catalog.sqlite", f->dir);
    OK(varve_catalog_snapshot(f->catalog, copy, &f->err));
    varve_clock_sim_advance(&f->clock, 1);
    varve_open_close(open);
    fixture_close(f);
    assert_int_equal(rename(copy, catalog), 0);
    OK(fixture_open(f));
    struct varve_inode inode;
    FAILS(varve_vfs_getattr(f->vfs, ino, &inode, &f->err), ENOENT);
    expect_consistent(f);
}

static enum varve_pass_how
pass(struct fixture *f, struct varve_open *open)
{
    struct varve_pass pass;
    OK(varve_open_pass(open, &(struct varve_pass_wish){0}, &pass, &f->err));
    return pass.how;
}

static void
test_freeze_rules(void **state)
{
    struct fixture *f = *state;
    struct varve_content old, got;
    uint64_t empty = file_in(f, NONE, "empty", &old);
    FAILS_AS(varve_vfs_freeze(f->vfs, empty, INT64_MAX, &got, &f->err), NOT_FOUND);
    FAILS_AS(varve_vfs_freeze(f->vfs, 999, INT64_MAX, &got, &f->err), NOT_FOUND);
    uint64_t ino = file_in(f, LIVE, "live", &old);
    struct varve_open *writer = open_file(f, ino, O_WRONLY);
    FAILS_AS(varve_vfs_freeze(f->vfs, ino, INT64_MAX, &got, &f->err), BUSY);
    varve_open_close(writer);
    FAILS_AS(varve_vfs_freeze(f->vfs, ino, START_NS - 1, &got, &f->err), BUSY);
    struct varve_open *reader = open_file(f, ino, O_RDONLY);
    assert_true(varve_open_backing_fd(reader) >= 0); /* only asks */
    assert_int_equal(pass(f, reader), VARVE_PASS_ALL);
    FAILS_AS(varve_vfs_freeze(f->vfs, ino, INT64_MAX, &got, &f->err), BUSY);
    varve_open_close(reader);
    reader = open_file(f, ino, O_RDONLY); /* read through us: that is no obstacle */
    assert_true(varve_open_backing_fd(reader) >= 0);
    OK(varve_vfs_freeze(f->vfs, ino, START_NS, &got, &f->err));
    assert_int_equal(got.phase, VARVE_PHASE_FROZEN);
    assert_int_equal(got.size, 9);
    assert_true(got.mtime_ns == START_NS);
    assert_int_equal(varve_open_backing_fd(reader), -1);
    assert_int_equal(pass(f, reader), VARVE_PASS_NO);
    FAILS_AS(varve_vfs_freeze(f->vfs, ino, INT64_MAX, &got, &f->err), EXISTS);
    varve_open_close(reader);
    OK(varve_vfs_thaw(f->vfs, got.id, &f->err));
    assert_int_equal(content_of(f, ino).phase, VARVE_PHASE_LIVE);
    FAILS_AS(varve_vfs_thaw(f->vfs, got.id, &f->err), INVALID);
    put_text(f, ino, "changed");
    /* Emptied and written anew: the old bytes stay until the new ones are durable. */
    assert_true(content_of(f, ino).id.value != got.id.value);
    assert_true(content_of(f, ino).place.file != got.place.file);
    truncate_to(f, ino, 0);
    got = freeze(f, ino);
    seal(f, got.id);
    truncate_to(f, ino, 0);
    assert_int_equal(content_of(f, ino).id.value, got.id.value);
    expect_consistent(f);
}

static void
test_emptied_frozen_file_can_be_frozen_again(void **state)
{
    struct fixture *f = *state;
    struct varve_content old;
    uint64_t ino = file_in(f, FROZEN, "file", &old);
    truncate_to(f, ino, 0);
    assert_int_equal(content_of(f, ino).place.file, 0);
    struct varve_content empty = freeze(f, ino);
    assert_true(empty.place.file != 0); /* the engine has a file to read */
    assert_int_equal(empty.size, 0);
    assert_int_equal(empty.version, 2);
    expect_consistent(f);
}

static void
test_move_rules(void **state)
{
    struct fixture *f = *state;
    struct varve_place from;
    for (enum phase phase = LIVE; phase < MIGRATED; phase++) {
        char name[2] = {(char)('a' + (int)phase), 0};
        struct varve_content old;
        uint64_t ino = file_in(f, phase, name, &old);
        struct varve_open *open = open_file(f, ino, O_RDONLY);
        FAILS_AS(move_one(f->vfs, old.id, VARVE_TIER_HDD, &from, &f->err), BUSY);
        varve_open_close(open);
        FAILS_AS(move_one(f->vfs, old.id, VARVE_TIER_SSD, &from, &f->err), EXISTS);
        OK(move_one(f->vfs, old.id, VARVE_TIER_HDD, &from, &f->err));
        assert_int_equal(from.file, old.place.file);
        assert_true(backing_exists(f, from));
        struct varve_content now = content_of(f, ino);
        assert_int_equal(now.place.tier, VARVE_TIER_HDD);
        assert_true(now.mtime_ns == old.mtime_ns && now.phase == old.phase);
        varve_vfs_remove_later(f->vfs, from);
        OK(varve_vfs_reap(f->vfs, &f->err));
        assert_false(backing_exists(f, from));
        expect_text(f, ino, "old bytes");
    }
    struct varve_content old;
    (void)file_in(f, MIGRATED, "m", &old);
    FAILS_AS(move_one(f->vfs, old.id, VARVE_TIER_HDD, &from, &f->err), NOT_FOUND);
    expect_consistent(f);
}

static void
test_release_rules(void **state)
{
    struct fixture *f = *state;
    struct varve_place from;
    struct varve_content old;
    (void)file_in(f, LIVE, "live", &old);
    FAILS_AS(varve_vfs_release(f->vfs, old.id, &from, &f->err), INVALID);
    uint64_t ino = file_in(f, FROZEN, "file", &old);
    FAILS_AS(varve_vfs_release(f->vfs, old.id, &from, &f->err), INVALID);
    expect_text(f, ino, "old bytes");
    seal(f, old.id);
    struct varve_open *open = open_file(f, ino, O_RDONLY);
    FAILS_AS(varve_vfs_release(f->vfs, old.id, &from, &f->err), BUSY);
    varve_open_close(open);
    release(f, old.id);
    OK(varve_vfs_reap(f->vfs, &f->err));
    assert_false(backing_exists(f, old.place));
    FAILS_AS(varve_vfs_release(f->vfs, old.id, &from, &f->err), NOT_FOUND);
    uint64_t size = 4;
    int fd = -1;
    open = open_file(f, ino, O_RDONLY);
    assert_int_equal(varve_open_backing_fd(open), -1);
    FAILS_AS(varve_open_read(open, 0, &size, &fd, &f->err), WAIT);
    varve_open_close(open);
    assert_int_equal(attributes(f, ino).size, 9);
    expect_consistent(f);
}

static void
test_access_modes(void **state)
{
    struct fixture *f = *state;
    struct varve_content old;
    uint64_t ino = file_in(f, LIVE, "file", &old);
    struct varve_open *reader = open_file(f, ino, O_RDONLY);
    struct varve_open *writer = open_file(f, ino, O_WRONLY);
    struct varve_open *none = NULL;
    uint64_t size = 1;
    int fd = -1;
    FAILS(varve_open_write(reader, &fd, &f->err), EBADF);
    FAILS(varve_open_read(writer, 0, &size, &fd, &f->err), EBADF);
    FAILS(varve_vfs_open(f->vfs, ROOT, O_RDONLY, &none, &f->err), EISDIR);
    FAILS(varve_vfs_open(f->vfs, 999, O_RDONLY, &none, &f->err), ENOENT);
    size = 100;
    OK(varve_open_read(reader, 4, &size, &fd, &f->err));
    assert_int_equal(size, 5);
    varve_open_done(reader);
    OK(varve_open_read(reader, 9, &size, &fd, &f->err));
    assert_int_equal(size, 0);
    assert_int_equal(fd, -1);
    varve_open_close(reader);
    varve_open_close(writer);
}

static void
test_kernel_writes_past_us(void **state)
{
    struct fixture *f = *state;
    struct varve_pass pass;
    uint64_t ino = make_file(f, ROOT, "file");
    struct varve_open *open = open_file(f, ino, O_RDWR);
    assert_int_equal(varve_open_backing_fd(open), -1); /* asking makes no file */
    assert_int_equal(count_files(f), 0);
    OK(varve_open_pass(open, &(struct varve_pass_wish){0}, &pass, &f->err));
    assert_int_equal(pass.how, VARVE_PASS_ALL);
    assert_true(pass.unsteady); /* a mapping could change times */
    assert_int_equal(pwrite(pass.fd, "kernel", 6, 0), 6);
    assert_int_equal(attributes(f, ino).size, 6);
    assert_true(attributes(f, ino).unsteady);
    varve_open_close(open);
    assert_false(attributes(f, ino).unsteady);
    expect_text(f, ino, "kernel");
    assert_int_equal(content_of(f, ino).size, 6);
    expect_consistent(f);
}

/* Else the mapping's pages and those of the other open would write over each other. */
static void
test_every_open_joins_a_mapping_that_is_left(void **state)
{
    struct fixture *f = *state;
    struct varve_pass pass;
    struct varve_content got;
    const struct varve_pass_wish none = {.unwanted = true};
    const struct varve_pass_wish ours = {.unwanted = true, .mappings_only = true};
    char path[64];
    uint64_t ino = make_file(f, ROOT, "file");
    struct varve_open *file = open_file(f, ino, O_RDWR);
    OK(varve_open_pass(file, &none, &pass, &f->err));
    assert_int_equal(pass.how, VARVE_PASS_NO);
    OK(varve_open_pass(file, &(struct varve_pass_wish){0}, &pass, &f->err));
    assert_int_equal(pass.how, VARVE_PASS_ALL);
    assert_false(pass.forced);
    assert_int_equal(pwrite(pass.fd, "kernel", 6, 0), 6);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", pass.fd);
    int mapping = open(path, O_RDWR | O_CLOEXEC); /* what the kernel has */
    assert_true(mapping >= 0);
    varve_open_close(file);
    file = open_file(f, ino, O_RDWR);
    assert_true(varve_open_is_written(file));
    OK(varve_open_pass(file, &none, &pass, &f->err));
    assert_int_equal(pass.how, VARVE_PASS_ALL);
    assert_true(pass.forced && pass.fd >= 0);
    varve_open_close(file);
    file = open_file(f, ino, O_RDONLY);
    assert_false(varve_open_is_written(file));
    OK(varve_open_pass(file, &ours, &pass, &f->err));
    assert_int_equal(pass.how, VARVE_PASS_MAPPINGS);
    varve_open_close(file);
    FAILS_AS(varve_vfs_freeze(f->vfs, ino, INT64_MAX, &got, &f->err), BUSY);
    assert_int_equal(close(mapping), 0);
    OK(varve_vfs_freeze(f->vfs, ino, INT64_MAX, &got, &f->err));
    file = open_file(f, ino, O_RDWR); /* frozen: whatever is noted, no mapping can be left */
    OK(varve_open_pass(file, &none, &pass, &f->err));
    assert_int_equal(pass.how, VARVE_PASS_NO);
    varve_open_close(file);
    OK(varve_vfs_thaw(f->vfs, got.id, &f->err));
    expect_text(f, ino, "kernel");
    expect_consistent(f);
}

static void
test_a_reader_in_the_middle_keeps_its_descriptor(void **state)
{
    struct fixture *f = *state;
    struct varve_content old;
    uint64_t ino = file_in(f, FROZEN, "file", &old);
    struct varve_open *reader = open_file(f, ino, O_RDONLY);
    struct varve_open *writer = open_file(f, ino, O_WRONLY);
    uint64_t size = 9;
    int fd = -1;
    char got[9];
    OK(varve_open_read(reader, 0, &size, &fd, &f->err));
    write_open(f, writer, 0, "NEW", 3);
    OK(varve_file_pread(fd, got, 9, 0, &f->err)); /* still open, though no longer the file's */
    assert_memory_equal(got, "old bytes", 9);
    varve_open_done(reader);
    expect_open_text(f, reader, "NEW bytes");
    varve_open_close(reader);
    varve_open_close(writer);
}

static void
test_sizes_survive_a_clean_restart(void **state)
{
    struct fixture *f = *state;
    struct varve_content old;
    uint64_t ino = file_in(f, LIVE, "file", &old);
    fixture_close(f);
    OK(fixture_open(f));
    expect_text(f, ino, "old bytes");
    assert_true(attributes(f, ino).mtime_ns == START_NS);
    expect_consistent(f);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_create_costs_no_backing_file),
        T(test_first_write_in_each_phase),
        T(test_truncate_in_each_phase),
        T(test_open_with_truncation_needs_no_recall),
        T(test_sealed_while_open),
        T(test_open_unlinked),
        T(test_unlink_in_each_phase),
        T(test_orphans_go_at_the_next_start),
        T(test_freeze_rules),
        T(test_emptied_frozen_file_can_be_frozen_again),
        T(test_move_rules),
        T(test_release_rules),
        T(test_access_modes),
        T(test_kernel_writes_past_us),
        T(test_every_open_joins_a_mapping_that_is_left),
        T(test_a_reader_in_the_middle_keeps_its_descriptor),
        T(test_sizes_survive_a_clean_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
