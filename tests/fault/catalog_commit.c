/* SPDX-License-Identifier: Apache-2.0 */
/* When the disk fails, the catalog says so once and for all, and what was durable before stays. */
#include "../unit/catalog/fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Bytes that files of the child may have: the log of the catalog hits it sooner or later. */
static void
limit_files(rlim_t bytes)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {bytes, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        _exit(9);
}

/* Synced directories "0", "1", ... until a call fails; then every other one must, with the same
 * words, and none may bring back a change. Exit code 0: so it was. */
static void
work_until_full(const char *path, rlim_t bytes, int tell)
{
    struct varve_catalog *catalog = NULL;
    struct varve_error first = {0};
    if (!varve_catalog_open(path, varve_clock_system(), &catalog, &first))
        _exit(1);
    limit_files(bytes);
    uint32_t done = 0;
    for (;; done++) {
        char name[16];
        struct varve_inode node = {.mode = S_IFIFO, .nlink = 1};
        (void)snprintf(name, sizeof name, "%u", done);
        varve_catalog_begin(catalog);
        bool ok = varve_catalog_inode_insert(catalog, &node, &node.ino, &first) &&
                  varve_catalog_dentry_insert(catalog, VARVE_ROOT_INO, name, node.ino, &first);
        if (!varve_catalog_end(catalog, ok, &first) || !varve_catalog_sync(catalog, &first))
            break;
    }
    if (write(tell, &done, sizeof done) != sizeof done)
        _exit(2);
    limit_files(RLIM_INFINITY); /* room again: it must not matter */
    struct varve_error again = {0};
    struct varve_inode root;
    uint64_t file;
    if (varve_catalog_sync(catalog, &again) || strstr(again.text, "the catalog stopped") == NULL)
        _exit(3);
    if (varve_catalog_inode_get(catalog, VARVE_ROOT_INO, &root, &again))
        _exit(4);
    if (varve_catalog_setting_put(catalog, "a", "b", &again))
        _exit(5);
    if (varve_catalog_file_numbers(catalog, 1, &file, &again))
        _exit(6);
    varve_catalog_begin(catalog);
    if (varve_catalog_end(catalog, true, &again) || strstr(again.text, path) == NULL)
        _exit(7);
    varve_catalog_close(catalog);
    _exit(0);
}

static void
fail_on_finding(void *context, const char *finding)
{
    (void)context;
    fail_msg("%s", finding);
}

static void
test_full(void **state)
{
    struct fixture *f = *state;
    uint32_t kept = 0;
    for (rlim_t bytes = 70000; bytes < 1000000; bytes = bytes * 3 / 2) {
        varve_catalog_close(VARVE_TAKE(f->catalog));
        assert_int_equal(unlink(f->path), 0);
        MUST(varve_catalog_create(f->path, 0, 0, &f->clock.clock, &err));
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            work_until_full(f->path, bytes, ends[1]);
        (void)close(ends[1]);
        uint32_t done = 0;
        assert_int_equal(read(ends[0], &done, sizeof done), sizeof done);
        (void)close(ends[0]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);

        MUST(varve_catalog_open(f->path, &f->clock.clock, &f->catalog, &err));
        MUST(varve_catalog_verify(f->catalog, fail_on_finding, NULL, &err));
        for (uint32_t i = 0; i < done; i++) {
            char name[16];
            struct varve_dentry entry;
            (void)snprintf(name, sizeof name, "%u", i);
            MUST(varve_catalog_lookup(f->catalog, VARVE_ROOT_INO, name, &entry, &err));
        }
        kept += done;
    }
    assert_true(kept > 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {FIXTURE_TEST(test_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
