/* The beginning of a released file is read from its head, and a head that is not what it should be
 * is never read at all. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <varve/file.h>

#define ROOT VARVE_ROOT_INO
#define TEXT "0123456789abcdef"

enum { HEAD = 10 };

static int
setup(void **state)
{
    if (fixture_setup(state) != 0)
        return -1;
    struct fixture *f = *state;
    f->head_bytes = HEAD;
    fixture_close(f);
    return fixture_open(f) ? 0 : -1;
}

static bool
count_head(void *context, const struct varve_place *place, uint64_t bytes, int64_t used_ns,
           struct varve_error *err)
{
    (void)place;
    (void)used_ns;
    (void)err;
    ((uint64_t *)context)[0]++;
    ((uint64_t *)context)[1] += bytes;
    return true;
}

/* Head files that are there, and what the catalog says of them. */
static void
expect_heads(struct fixture *f, uint64_t count, uint64_t bytes)
{
    uint64_t found[2] = {0};
    struct varve_catalog_totals totals;
    OK(varve_store_each_head(f->store, count_head, found, &f->err));
    OK(varve_catalog_totals(f->catalog, &totals, &f->err));
    assert_int_equal(found[0], count);
    assert_int_equal(found[1], bytes);
    assert_int_equal(totals.heads, count);
    assert_int_equal(totals.head_bytes, bytes);
}

static uint64_t
released(struct fixture *f, const char *name, const char *text, struct varve_content *ret)
{
    uint64_t ino = make_file(f, ROOT, name);
    put_text(f, ino, text);
    *ret = migrate(f, ino);
    assert_int_equal(count_files(f), 0);
    return ino;
}

/* What varve_open_read() gives at `offset`: its length, 0 for WAIT. */
static uint64_t
get(struct fixture *f, uint64_t ino, uint64_t offset, uint64_t size, bool some, char *ret)
{
    struct varve_open *open = open_file(f, ino, O_RDONLY);
    int fd = -1;
    bool ok = some ? varve_open_read_some(open, offset, &size, &fd, &f->err)
                   : varve_open_read(open, offset, &size, &fd, &f->err);
    if (ok) {
        OK(varve_file_pread(fd, ret, (size_t)size, offset, &f->err));
        varve_open_done(open);
    } else {
        assert_int_equal(f->err.kind, VARVE_ERROR_WAIT);
        size = 0;
    }
    varve_open_close(open);
    return size;
}

static void
test_beginning_is_read_without_a_recall(void **state)
{
    struct fixture *f = *state;
    struct varve_content content;
    uint64_t ino = released(f, "file", TEXT, &content);
    char got[20];
    expect_heads(f, 1, HEAD);
    expect_xattr(f, ino, "user.varve.state", "migrated");
    assert_int_equal(get(f, ino, 0, HEAD, false, got), HEAD);
    assert_memory_equal(got, TEXT, HEAD);
    assert_int_equal(get(f, ino, 3, 4, false, got), 4);
    assert_memory_equal(got, &TEXT[3], 4);
    assert_int_equal(get(f, ino, 0, 16, false, got), 0);
    assert_int_equal(get(f, ino, 4, 16, true, got), HEAD - 4);
    assert_memory_equal(got, &TEXT[4], HEAD - 4);
    assert_int_equal(get(f, ino, HEAD, 1, true, got), 0);
    assert_int_equal(get(f, ino, 9, 2, false, got), 0);
    /* While the rest comes nothing is cut: no recall is saved. */
    struct varve_recall *recall = NULL;
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    assert_int_equal(get(f, ino, 4, 16, true, got), 0);
    OK(varve_recall_write(recall, 0, TEXT, 16, &f->err));
    assert_int_equal(get(f, ino, 4, 16, true, got), 12);
    OK(varve_recall_end(recall, NULL, &f->err));
    expect_text(f, ino, TEXT);
    expect_heads(f, 1, HEAD); /* kept for the next release */
    release(f, content.id);
    OK(varve_vfs_reap(f->vfs, &f->err));
    assert_int_equal(get(f, ino, 0, HEAD, false, got), HEAD);
    expect_heads(f, 1, HEAD);
    expect_consistent(f);
}

static void
test_a_small_file_is_all_head(void **state)
{
    struct fixture *f = *state;
    struct varve_content content;
    uint64_t ino = released(f, "file", "small", &content);
    expect_heads(f, 1, 5);
    expect_text(f, ino, "small");
    uint64_t empty = make_file(f, ROOT, "empty");
    expect_text(f, empty, "");
    expect_heads(f, 1, 5);
}

static void
test_gone_with_its_version(void **state)
{
    struct fixture *f = *state;
    struct varve_content content;
    (void)released(f, "deleted", TEXT, &content);
    uint64_t emptied = released(f, "emptied", TEXT, &content);
    uint64_t written = released(f, "written", TEXT, &content);
    expect_heads(f, 3, 3 * HEAD);
    OK(varve_vfs_unlink(f->vfs, ROOT, "deleted", &f->err));
    expect_heads(f, 2, 2 * HEAD);
    truncate_to(f, emptied, 0);
    expect_heads(f, 1, HEAD);
    recall_bytes(f, content.id, TEXT, 16);
    struct varve_open *open = open_file(f, written, O_WRONLY);
    write_open(f, open, 0, "X", 1);
    varve_open_close(open);
    expect_heads(f, 0, 0);
    expect_text(f, written, "X123456789abcdef");
    expect_consistent(f);
}

static void
head_path(struct fixture *f, const struct varve_content *content, char *ret, size_t size)
{
    const struct varve_content row = row_of(f, content->id);
    assert_int_equal(row.head.tier, VARVE_TIER_SSD);
    (void)snprintf(ret, size, "%s/ssd/heads/%02x/%016llx", f->dir, (unsigned)(row.head.file & 0xff),
                   (unsigned long long)row.head.file);
}

static void
test_damage_is_seen(void **state)
{
    struct fixture *f = *state;
    struct varve_content content;
    char got[20], path[200];
    for (unsigned way = 0; way < 6; way++) {
        char name[8];
        (void)snprintf(name, sizeof name, "f%u", way);
        uint64_t ino = released(f, name, TEXT, &content);
        expect_heads(f, 1, HEAD);
        head_path(f, &content, path, sizeof path);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        switch (way) {
        case 0: /* a byte */
            assert_int_equal(pwrite(fd, "!", 1, 5), 1);
            break;
        case 1: /* torn, as a power cut leaves it */
            assert_int_equal(ftruncate(fd, HEAD), 0);
            break;
        case 2:
            assert_int_equal(ftruncate(fd, 0), 0);
            break;
        case 3: /* its own description */
            assert_int_equal(pwrite(fd, "!", 1, HEAD + 9), 1);
            break;
        case 4:
            assert_int_equal(unlink(path), 0);
            break;
        default: /* zeros of the right length */
            assert_int_equal(ftruncate(fd, 0), 0);
            assert_int_equal(ftruncate(fd, HEAD + 64), 0);
        }
        (void)close(fd);
        assert_int_equal(get(f, ino, 0, 4, true, got), 0);
        expect_heads(f, 0, 0);
        recall_bytes(f, content.id, TEXT, 16);
        release(f, content.id); /* and has one again */
        OK(varve_vfs_reap(f->vfs, &f->err));
        assert_int_equal(get(f, ino, 0, 4, true, got), 4);
        OK(varve_vfs_unlink(f->vfs, ROOT, name, &f->err));
    }
}

static void
test_a_head_of_another_file_is_not_read(void **state)
{
    struct fixture *f = *state;
    struct varve_content one, two;
    char from[200], to[200], got[20];
    uint64_t ino = released(f, "one", TEXT, &one);
    (void)released(f, "two", "another text, as long", &two);
    head_path(f, &one, to, sizeof to);
    head_path(f, &two, from, sizeof from);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(get(f, ino, 0, 4, true, got), 0);
}

static void
test_a_reader_keeps_what_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct varve_content content;
    uint64_t ino = released(f, "file", TEXT, &content), freed = 0, size = 4;
    struct varve_open *open = open_file(f, ino, O_RDONLY);
    char got[4];
    int fd = -1;
    OK(varve_open_read(open, 0, &size, &fd, &f->err));
    OK(varve_vfs_trim_heads(f->vfs, 1, &freed, &f->err));
    assert_int_equal(freed, HEAD);
    expect_heads(f, 0, 0);
    OK(varve_file_pread(fd, got, 4, 0, &f->err));
    assert_memory_equal(got, TEXT, 4);
    varve_open_done(open);
    FAILS_AS(varve_open_read(open, 0, &size, &fd, &f->err), WAIT);
    varve_open_close(open);
    assert_true(row_of(f, content.id).current);
}

static void
test_the_least_used_go_first(void **state)
{
    struct fixture *f = *state;
    struct varve_content contents[8];
    uint64_t inos[8], freed = 0;
    char path[200], got[20];
    for (unsigned i = 0; i < 8; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "f%u", i);
        inos[i] = released(f, name, TEXT, &contents[i]);
        head_path(f, &contents[i], path, sizeof path);
        /* Seven and eight hours old and so on; the last ones the oldest. */
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                    {.tv_sec = time(NULL) - 3600 * (time_t)(7 + i)}};
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    }
    assert_int_equal(get(f, inos[7], 0, 4, true, got), 4); /* used now */
    OK(varve_vfs_trim_heads(f->vfs, 3 * HEAD, &freed, &f->err));
    assert_int_equal(freed, 3 * HEAD);
    expect_heads(f, 5, 5 * HEAD);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get(f, inos[i], 0, 4, true, got), i >= 4 && i <= 6 ? 0 : 4);
    OK(varve_vfs_trim_heads(f->vfs, UINT64_MAX, &freed, &f->err));
    assert_int_equal(freed, 5 * HEAD);
    expect_heads(f, 0, 0);
    varve_vfs_stop_heads(f->vfs, true);
    struct varve_content content;
    (void)released(f, "late", TEXT, &content);
    expect_heads(f, 0, 0);
}

static void
test_a_recall_that_ends_early_leaves_a_head(void **state)
{
    struct fixture *f = *state;
    struct varve_content content;
    uint64_t ino = released(f, "file", TEXT, &content), freed;
    char got[20];
    OK(varve_vfs_trim_heads(f->vfs, UINT64_MAX, &freed, &f->err));
    struct varve_error failure = {0};
    struct varve_recall *recall = NULL;
    varve_error_set(&failure, VARVE_ERROR_CANCELLED, 0, "nobody reads it any more");
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    OK(varve_recall_write(recall, 1, &TEXT[1], HEAD, &f->err));
    OK(varve_recall_end(recall, &failure, &f->err));
    expect_heads(f, 0, 0);
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    OK(varve_recall_write(recall, 0, TEXT, HEAD + 1, &f->err));
    OK(varve_recall_end(recall, &failure, &f->err));
    expect_heads(f, 1, HEAD);
    assert_int_equal(get(f, ino, 0, HEAD, true, got), HEAD);
    assert_memory_equal(got, TEXT, HEAD);
    expect_consistent(f);
}

static void
test_none_when_off(void **state)
{
    struct fixture *f = *state;
    struct varve_content content;
    f->head_bytes = 0;
    fixture_close(f);
    assert_true(fixture_open(f));
    (void)released(f, "file", TEXT, &content);
    expect_heads(f, 0, 0);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_beginning_is_read_without_a_recall),
        T(test_a_small_file_is_all_head),
        T(test_gone_with_its_version),
        T(test_damage_is_seen),
        T(test_a_head_of_another_file_is_not_read),
        T(test_a_reader_keeps_what_is_dropped),
        T(test_the_least_used_go_first),
        T(test_a_recall_that_ends_early_leaves_a_head),
        T(test_none_when_off),
    };
    return cmocka_run_group_tests_name("vfs heads", tests, NULL, NULL);
}
