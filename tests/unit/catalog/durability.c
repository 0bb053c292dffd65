/* SPDX-License-Identifier: Apache-2.0 */
/* Whenever the process is killed, what was synced is there, and the rest is a prefix of whole
 * units. */
#include "fixture.h"

#include <signal.h>
#include <sys/wait.h>

#define KILLS 12

/* Unit n makes directory "n" and the setting "last" = n, and takes a file number; every seventh is
 * synced, and only then told to the parent. */
static void
work_until_killed(const char *path, int tell, uint64_t start)
{
    struct varve_catalog *catalog = NULL;
    struct varve_error error = {0};
    if (!varve_catalog_open(path, varve_clock_system(), &catalog, &error))
        _exit(1);
    for (uint64_t n = start;; n++) {
        char text[24];
        uint64_t told[3] = {n, 0, 0};
        struct varve_inode node = {.mode = S_IFDIR, .nlink = 2, .ctime_ns = 1};
        struct varve_inode root;
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
        varve_catalog_begin(catalog);
        bool ok = varve_catalog_inode_insert(catalog, &node, &told[1], &error) &&
                  varve_catalog_dentry_insert(catalog, VARVE_ROOT_INO, text, told[1], &error) &&
                  varve_catalog_inode_get(catalog, VARVE_ROOT_INO, &root, &error);
        root.nlink++;
        ok = ok && varve_catalog_inode_update(catalog, &root, &error) &&
             varve_catalog_setting_put(catalog, "last", text, &error);
        if (!varve_catalog_end(catalog, ok, &error) ||
            !varve_catalog_file_numbers(catalog, 1, &told[2], &error))
            _exit(1);
        bool synced = n % 7 == 0;
        if (synced && !varve_catalog_sync(catalog, &error))
            _exit(1);
        told[0] |= synced ? UINT64_C(1) << 63 : 0;
        if (write(tell, told, sizeof told) != sizeof told)
            _exit(1);
    }
}

struct heard {
    uint64_t synced;    /* the last unit known to be durable */
    uint64_t done;      /* the last unit that ended */
    uint64_t ino, file; /* the greatest numbers handed out */
};

static void
hear(int fd, struct heard *heard)
{
    uint64_t told[3];
    while (read(fd, told, sizeof told) == (ssize_t)sizeof told) {
        heard->done = told[0] & ~(UINT64_C(1) << 63);
        if (heard->done != told[0])
            heard->synced = heard->done;
        assert_true(told[1] > heard->ino); /* numbers are never given twice, crash or not */
        assert_true(told[2] > heard->file);
        heard->ino = told[1];
        heard->file = told[2];
    }
}

static void
run_and_kill(struct fixture *f, uint64_t start, useconds_t after_us, struct heard *heard)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        work_until_killed(f->path, ends[1], start);
    }
    (void)close(ends[1]);
    (void)usleep(after_us);
    assert_int_equal(kill(child, SIGKILL), 0);
    hear(ends[0], heard);
    (void)close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status)); /* it did not end by an error */
}

static void
fail_on_finding(void *context, const char *finding)
{
    (void)context;
    fail_msg("%s", finding);
}

/* Units 1 .. last are there whole, and nothing of any other; gives `last`. */
static uint64_t
check_prefix(struct fixture *f)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    MUST(varve_catalog_open(f->path, &f->clock.clock, &f->catalog, &err));
    MUST(varve_catalog_verify(f->catalog, fail_on_finding, NULL, &err));
    uint64_t last = 0;
    if (varve_catalog_setting_get(f->catalog, "last", &text, &err))
        last = strtoull(varve_buffer_string(&text), NULL, 10);
    static struct varve_dentry entries[256];
    uint64_t seen = 0;
    uint64_t after = 0;
    size_t count;
    do {
        MUST(varve_catalog_readdir(f->catalog, VARVE_ROOT_INO, after, entries, 256, &count, &err));
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(strtoull(entries[i].name, NULL, 10), ++seen);
            after = entries[i].cookie;
        }
    } while (count > 0);
    assert_int_equal(seen, last);
    return last;
}

static void
test_kill(void **state)
{
    struct fixture *f = *state;
    varve_catalog_close(VARVE_TAKE(f->catalog));
    struct varve_random_seeded seeded;
    varve_random_seeded_init(&seeded, 20261120);
    struct heard heard = {0};
    uint64_t last = 0;
    for (int round = 0; round < KILLS; round++) {
        /* From "while it is being opened" to "after the committer came by". */
        useconds_t after_us = (useconds_t)varve_random_below(&seeded.random, 150000);
        if (round == KILLS - 1)
            after_us = 1300000;
        run_and_kill(f, last + 1, after_us, &heard);
        uint64_t before = last;
        last = check_prefix(f);
        assert_true(last >= heard.synced);
        assert_true(last >= before);
        heard.synced = heard.done = last;
        varve_catalog_close(VARVE_TAKE(f->catalog));
    }
    assert_true(last > 100); /* something was done at all */
}

/* Without any sync a change is durable a second later. */
static void
test_committer(void **state)
{
    struct fixture *f = *state;
    MUST(varve_catalog_setting_put(f->catalog, "a", "b", &err));
    (void)usleep(1300000);
    struct varve_catalog *reader = NULL; /* sees what a crash would leave */
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    MUST(varve_catalog_open(f->path, &f->clock.clock, &reader, &err));
    MUST(varve_catalog_setting_get(reader, "a", &value, &err));
    assert_string_equal(varve_buffer_string(&value), "b");
    varve_catalog_close(reader);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_kill),
        FIXTURE_TEST(test_committer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
