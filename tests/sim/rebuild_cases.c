/* SPDX-License-Identifier: Apache-2.0 */
/* A catalog made anew from discs and tiers names every file that there was, with its newest bytes,
 * also where what the discs say of names is older than what happened since. */
#include "engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { BYTES = 50000 };

static struct bench the_bench;

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, b->err.text);                                                \
    } while (0)

static struct bench *
begin(void)
{
    struct bench *b = &the_bench;
    const struct bench_options options = {.slots = 24,
                                          .drives = 1,
                                          .data_discs = 2,
                                          .parity_discs = 1,
                                          .disc_bytes = UINT64_C(8) << 20};
    OK(bench_make(b, &options, 1));
    OK(bench_open(b));
    return b;
}

static void
end(struct bench *b)
{
    bench_close(b);
    bench_remove(b);
}

static void
archive(struct bench *b, const char *path)
{
    const struct varve_path_list list = {&path, 1};
    struct varve_job job = {0};
    uint64_t id;
    OK(varve_engine_archive(b->engine, &list, true, &id, &b->err));
    OK(varve_engine_job_wait(b->engine, id, &job, &b->err));
    if (job.state != VARVE_JOB_DONE)
        fail_msg("archive: %s", job.error.text);
}

static void
rebuild(struct bench *b, struct varve_rebuild_report *ret)
{
    const struct varve_rebuild_options options = {.dir = b->dir};
    bench_close(b);
    OK(varve_engine_rebuild(&options, &b->ports, ret, &b->err));
    varve_virtual_close(VARVE_TAKE(b->library));
    OK(bench_open(b));
}

/* Bytes of a file are its seed's. */
static uint64_t
make_file(struct bench *b, uint64_t parent, const char *name, uint64_t seed)
{
    static uint8_t bytes[BYTES];
    struct dice dice = {seed};
    uint64_t ino;
    dice_fill(&dice, bytes, BYTES);
    OK(bench_create(b, parent, name, S_IFREG | 0644, &ino));
    OK(bench_write(b, ino, 0, bytes, BYTES));
    return ino;
}

static void
rewrite(struct bench *b, uint64_t ino, uint64_t seed)
{
    static uint8_t bytes[BYTES];
    struct dice dice = {seed};
    dice_fill(&dice, bytes, BYTES);
    OK(bench_write(b, ino, 0, bytes, BYTES));
}

static uint64_t
resolve(struct bench *b, const char *path)
{
    struct varve_inode inode;
    if (!varve_catalog_resolve(varve_engine_catalog(b->engine), path, &inode, &b->err))
        fail_msg("'%s': %s", path, b->err.text);
    return inode.ino;
}

static void
expect_bytes(struct bench *b, const char *path, uint64_t seed)
{
    static uint8_t wanted[BYTES];
    static uint8_t got[BYTES];
    struct dice dice = {seed};
    dice_fill(&dice, wanted, BYTES);
    OK(bench_read(b, resolve(b, path), 0, got, BYTES));
    assert_memory_equal(got, wanted, BYTES);
}

static void
count_finding(void *context, const char *finding)
{
    unsigned *count = context;
    (void)fprintf(stderr, "%s\n", finding);
    ++*count;
}

static void
expect_sound(struct bench *b)
{
    struct varve_check_report report;
    unsigned findings = 0;
    OK(varve_engine_check(b->engine, false, count_finding, &findings, &report, &b->err));
    assert_int_equal(findings, 0);
}

/* --- cases --- */

static void
test_everything_comes_back(void **state)
{
    (void)state;
    struct bench *b = begin();
    struct varve_vfs *vfs = varve_engine_vfs(b->engine);
    struct varve_rebuild_report report;
    struct varve_inode inode;
    uint64_t dir;
    OK(bench_create(b, VARVE_ROOT_INO, "d", S_IFDIR | 0755, &dir));
    uint64_t kept = make_file(b, dir, "kept", 1);
    uint64_t moved = make_file(b, dir, "moved", 2);
    (void)make_file(b, dir, "gone", 3);
    uint64_t changed = make_file(b, VARVE_ROOT_INO, "changed", 4);
    OK(varve_vfs_link(vfs, kept, VARVE_ROOT_INO, "link", &inode, &b->err));
    archive(b, "/");
    OK(varve_vfs_rename(vfs, dir, "moved", VARVE_ROOT_INO, "here", 0, &b->err));
    OK(varve_vfs_unlink(vfs, dir, "gone", &b->err));
    OK(varve_vfs_rename(vfs, VARVE_ROOT_INO, "d", VARVE_ROOT_INO, "e", 0, &b->err));
    rewrite(b, changed, 5);
    archive(b, "/");
    rebuild(b, &report);
    assert_int_equal(report.sets, 2);
    assert_int_equal(report.lost_files, 0);
    assert_true(resolve(b, "/e/kept") == kept && resolve(b, "/link") == kept);
    assert_true(resolve(b, "/here") == moved && resolve(b, "/changed") == changed);
    expect_bytes(b, "/link", 1);
    expect_bytes(b, "/here", 2);
    expect_bytes(b, "/changed", 5);
    assert_false(
        varve_catalog_resolve(varve_engine_catalog(b->engine), "/e/gone", &inode, &b->err));
    assert_false(varve_catalog_resolve(varve_engine_catalog(b->engine), "/d", &inode, &b->err));
    expect_sound(b);
    end(b);
}

/* The discs say that /log is another file now and nothing of where the old one is; its newest bytes
 * are on no disc. */
static void
test_rotated_log_is_not_dropped(void **state)
{
    (void)state;
    struct bench *b = begin();
    struct varve_rebuild_report report;
    char path[64];
    uint64_t old = make_file(b, VARVE_ROOT_INO, "log", 1);
    archive(b, "/");
    rewrite(b, old, 2);
    OK(varve_vfs_rename(varve_engine_vfs(b->engine), VARVE_ROOT_INO, "log", VARVE_ROOT_INO, "log.1",
                        0, &b->err));
    (void)make_file(b, VARVE_ROOT_INO, "log", 3);
    archive(b, "/log");
    rebuild(b, &report);
    bench_close(b); /* a start sweeps what has no name */
    OK(bench_open(b));
    expect_bytes(b, "/log", 3);
    (void)snprintf(path, sizeof path, "/lost+found/inode-%llu", (unsigned long long)old);
    expect_bytes(b, path, 2);
    expect_sound(b);
    end(b);
}

/* Files and directories that are on no disc: the numbers of those made anew must not be those of
 * others that are still to come. */
static void
test_unarchived_tree_comes_back(void **state)
{
    (void)state;
    enum { FILES = 20 };
    struct bench *b = begin();
    struct varve_rebuild_report report;
    uint64_t dir;
    uint64_t below;
    uint64_t inos[FILES];
    char name[64];
    (void)make_file(b, VARVE_ROOT_INO, "archived", 1);
    archive(b, "/");
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        inos[i] = make_file(b, VARVE_ROOT_INO, name, 100 + i);
    }
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "d%u", i);
        OK(bench_create(b, VARVE_ROOT_INO, name, S_IFDIR | 0755, &dir));
        OK(bench_create(b, dir, "below", S_IFDIR | 0755, &below));
        (void)snprintf(name, sizeof name, "f%u", i);
        OK(varve_vfs_rename(varve_engine_vfs(b->engine), VARVE_ROOT_INO, name, below, "file", 0,
                            &b->err));
        rewrite(b, inos[i], 100 + i); /* marks the backing file with its path */
    }
    rebuild(b, &report);
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "/d%u/below/file", i);
        expect_bytes(b, name, 100 + i);
    }
    expect_bytes(b, "/archived", 1);
    expect_sound(b);
    end(b);
}

/* More files were deleted than tombstones ride on one set; that of their directory is among those
 * that do. */
static void
test_deleted_directory_leaves_nothing_dangling(void **state)
{
    (void)state;
    enum { FILES = 300 };
    struct bench *b = begin();
    struct varve_vfs *vfs = varve_engine_vfs(b->engine);
    struct varve_rebuild_report report;
    uint64_t dir;
    uint64_t ino;
    char name[32];
    OK(bench_create(b, VARVE_ROOT_INO, "d", S_IFDIR | 0755, &dir));
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        OK(bench_create(b, dir, name, S_IFREG | 0644, &ino));
        OK(bench_write(b, ino, 0, (const uint8_t *)name, sizeof name));
    }
    archive(b, "/");
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        OK(varve_vfs_unlink(vfs, dir, name, &b->err));
    }
    OK(varve_vfs_rmdir(vfs, VARVE_ROOT_INO, "d", &b->err));
    (void)make_file(b, VARVE_ROOT_INO, "later", 7);
    archive(b, "/");
    rebuild(b, &report);
    expect_bytes(b, "/later", 7);
    expect_sound(b);
    end(b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_back),
        cmocka_unit_test(test_rotated_log_is_not_dropped),
        cmocka_unit_test(test_unarchived_tree_comes_back),
        cmocka_unit_test(test_deleted_directory_leaves_nothing_dangling),
    };
    return cmocka_run_group_tests_name("sim rebuild_cases", tests, NULL, NULL);
}
