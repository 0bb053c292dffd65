/* After a kill at any moment every fsynced byte is there, and what reached a backing file counts.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <varve/file.h>

#define ROOT VARVE_ROOT_INO
#define FILES 12
#define BYTES_MAX 40000

/* What the child says through the pipe. `synced`: the file has had these bytes durably; else: they
 * may be changing from now on, in a way that need not survive. */
struct report {
    uint32_t file;
    uint32_t synced;
    uint32_t size;
    uint64_t seed; /* the bytes are the stream of this seed */
};

static void
fill(uint64_t seed, uint8_t *bytes, size_t size)
{
    struct varve_random_seeded random;
    varve_random_seeded_init(&random, seed);
    random.random.fill(&random.random, bytes, size);
}

static void
say(int pipe_fd, uint32_t file, bool synced, uint32_t size, uint64_t seed)
{
    struct report report = {file, synced, size, seed};
    if (write(pipe_fd, &report, sizeof report) != sizeof report)
        _exit(1);
}

/* The child's own checks: it must not run cmocka's. */
static void
need(bool ok, const struct fixture *f)
{
    if (ok)
        return;
    (void)dprintf(2, "child: %s\n", f->err.text);
    _exit(1);
}

static void
rewrite(struct fixture *f, int pipe_fd, uint64_t ino, uint32_t file, uint64_t seed)
{
    uint32_t size = (uint32_t)(seed % BYTES_MAX) + 1;
    VARVE_CLEANUP_FREE uint8_t *bytes = malloc(size);
    struct varve_open *open = NULL;
    int fd = -1;
    fill(seed, bytes, size);
    say(pipe_fd, file, false, 0, 0);
    need(varve_vfs_open(f->vfs, ino, O_WRONLY | O_TRUNC, &open, &f->err), f);
    need(varve_open_write(open, &fd, &f->err), f);
    need(varve_file_pwrite(fd, bytes, size, 0, &f->err), f);
    varve_open_done(open);
    if (seed % 3 != 0) {
        need(varve_vfs_fsync(f->vfs, ino, &f->err), f);
        say(pipe_fd, file, true, size, seed);
    }
    varve_open_close(open);
}

/* Freezes, seals, releases or thaws whatever is there: none of it may cost a synced byte. */
static void
be_the_engine(struct fixture *f, uint64_t ino, uint64_t choice)
{
    struct varve_content content = {0};
    struct varve_place old;
    if (varve_vfs_freeze(f->vfs, ino, INT64_MAX, &content, &f->err) && choice % 2 == 0)
        need(varve_vfs_thaw(f->vfs, content.id, &f->err), f);
    if (choice % 5 == 0 && move_one(f->vfs, content.id, VARVE_TIER_HDD, &old, &f->err))
        varve_vfs_remove_later(f->vfs, old);
    if (choice % 7 == 0)
        need(varve_vfs_reap(f->vfs, &f->err), f);
}

static void
run_child(struct fixture *f, int pipe_fd, uint64_t seed)
{
    struct varve_random_seeded random;
    uint64_t inos[FILES];
    varve_random_seeded_init(&random, seed);
    need(fixture_open(f), f);
    for (uint32_t i = 0; i < FILES; i++) {
        struct varve_inode inode;
        char name[16];
        (void)snprintf(name, sizeof name, "file%u", i);
        need(varve_vfs_make(f->vfs, &(struct varve_caller){0}, ROOT, name, S_IFREG | 0644, 0,
                            &inode, &f->err),
             f);
        inos[i] = inode.ino;
    }
    for (;;) {
        uint32_t file = (uint32_t)varve_random_below(&random.random, FILES);
        uint64_t choice = varve_random_below(&random.random, 1000);
        if (choice < 700)
            rewrite(f, pipe_fd, inos[file], file, seed * 1000000 + choice * 1000 + file);
        else
            be_the_engine(f, inos[file], choice);
    }
}

static unsigned
check_synced(struct fixture *f, const struct report *last)
{
    unsigned checked = 0;
    for (uint32_t i = 0; i < FILES; i++) {
        if (last[i].synced == 0)
            continue;
        char name[16];
        struct varve_inode inode;
        VARVE_CLEANUP_FREE uint8_t *want = malloc(last[i].size);
        (void)snprintf(name, sizeof name, "file%u", i);
        fill(last[i].seed, want, last[i].size);
        OK(varve_vfs_lookup(f->vfs, ROOT, name, &inode, &f->err));
        expect_bytes(f, inode.ino, want, last[i].size);
        checked++;
    }
    return checked;
}

static void
print_finding(void *context, const char *finding)
{
    print_error("%s\n", finding);
    (*(unsigned *)context)++;
}

/* What a kill leaves behind may be more files than the rows name, but never less. Frozen contents
 * in no set are thawed first, as the engine does with plans that did not come to be. */
static void
expect_nothing_missing(struct fixture *f)
{
    struct varve_content_id after = {0};
    struct varve_content row;
    size_t count = 1;
    unsigned findings = 0;
    while (count > 0) {
        OK(varve_catalog_contents(f->catalog, after, true, &row, 1, &count, &f->err));
        if (count == 0)
            break;
        after = row.id;
        assert_true(row.place.file == 0 || backing_exists(f, row.place));
        if (row.phase == VARVE_PHASE_FROZEN)
            OK(varve_vfs_thaw(f->vfs, row.id, &f->err));
    }
    OK(varve_catalog_verify(f->catalog, print_finding, &findings, &f->err));
    assert_int_equal(findings, 0);
}

static void
crash_once(struct fixture *f, uint64_t seed, unsigned *checked)
{
    struct report last[FILES] = {0};
    int ends[2];
    fixture_close(f);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        run_child(f, ends[1], seed);
    }
    (void)close(ends[1]);
    struct report report;
    unsigned reports = 0;
    unsigned limit = 20 + (unsigned)(seed * 37 % 200);
    while (read(ends[0], &report, sizeof report) == sizeof report) {
        assert_true(report.file < FILES);
        last[report.file] = report;
        if (++reports == limit)
            (void)kill(child, SIGKILL); /* and reads on what it had said before */
    }
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    OK(fixture_open(f));
    *checked += check_synced(f, last);
    expect_nothing_missing(f);
}

static void
test_fsynced_files_survive_a_kill(void **state)
{
    (void)state;
    unsigned checked = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        void *fixture = NULL;
        assert_int_equal(fixture_setup(&fixture), 0);
        crash_once(fixture, seed, &checked);
        assert_int_equal(fixture_teardown(&fixture), 0);
    }
    assert_true(checked > 10); /* else the kill came before there was anything to lose */
}

static void
write_unsynced(struct fixture *f, int pipe_fd)
{
    struct varve_inode inode;
    struct varve_open *open = NULL;
    int fd = -1;
    need(fixture_open(f), f);
    need(varve_vfs_make(f->vfs, &(struct varve_caller){0}, ROOT, "log", S_IFREG | 0644, 0, &inode,
                        &f->err),
         f);
    need(varve_vfs_open(f->vfs, inode.ino, O_WRONLY, &open, &f->err), f);
    need(varve_open_write(open, &fd, &f->err), f);
    need(varve_vfs_fsync(f->vfs, 0, &f->err), f); /* names, not bytes */
    need(varve_file_pwrite(fd, "late", 4, 0, &f->err), f);
    say(pipe_fd, 0, false, 4, 0);
    for (;;)
        (void)pause();
}

static void
test_the_backing_file_tells_what_the_catalog_missed(void **state)
{
    struct fixture *f = *state;
    struct report report;
    int ends[2];
    fixture_close(f);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        write_unsynced(f, ends[1]);
    assert_int_equal(read(ends[0], &report, sizeof report), sizeof report);
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ends[0]);
    (void)close(ends[1]);
    OK(fixture_open(f));
    struct varve_inode inode;
    OK(varve_vfs_lookup(f->vfs, ROOT, "log", &inode, &f->err));
    assert_int_equal(inode.size, 4);
    OK(varve_catalog_inode_get(f->catalog, inode.ino, &inode, &f->err));
    assert_int_equal(inode.size, 4);
    assert_int_equal(content_of(f, inode.ino).size, 4);
    expect_text(f, inode.ino, "late");
    expect_consistent(f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fsynced_files_survive_a_kill),
        cmocka_unit_test_setup_teardown(test_the_backing_file_tells_what_the_catalog_missed,
                                        fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
