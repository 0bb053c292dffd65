/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that work on one catalog lose nothing, mix no units up, and readers beside them see only
 * whole units. */
#include "fixture.h"

#define THREADS 4
#define ROUNDS 150

struct worker {
    pthread_t thread;
    struct varve_catalog *catalog;
    uint64_t dir;
    unsigned index;
    struct varve_error err;
    bool ok;
};

/* Makes two entries in one unit, keeps every second unit, and syncs some. */
static bool
do_round(struct worker *worker, unsigned round)
{
    char first[32];
    char second[32];
    bool keep = round % 2 == 0;
    struct varve_inode node = {.mode = S_IFIFO, .nlink = 2};
    (void)snprintf(first, sizeof first, "%u-%u-a", worker->index, round);
    (void)snprintf(second, sizeof second, "%u-%u-b", worker->index, round);
    varve_catalog_begin(worker->catalog);
    bool ok =
        varve_catalog_inode_insert(worker->catalog, &node, &node.ino, &worker->err) &&
        varve_catalog_dentry_insert(worker->catalog, worker->dir, first, node.ino, &worker->err) &&
        varve_catalog_dentry_insert(worker->catalog, worker->dir, second, node.ino, &worker->err);
    if (varve_catalog_end(worker->catalog, ok && keep, &worker->err) != (ok && keep))
        return false;
    struct varve_dentry entry;
    struct varve_error missing;
    if (varve_catalog_lookup(worker->catalog, worker->dir, first, &entry, &missing) != keep)
        return false;
    return ok && (round % 5 != 0 || varve_catalog_sync(worker->catalog, &worker->err));
}

static void *
run_worker(void *argument)
{
    struct worker *worker = argument;
    worker->ok = true;
    for (unsigned round = 0; worker->ok && round < ROUNDS; round++)
        worker->ok = do_round(worker, round);
    return NULL;
}

static bool
count_row(void *context, const struct varve_selected *row, struct varve_error *row_err)
{
    (void)row;
    (void)row_err;
    ++*(unsigned *)context;
    return true;
}

static void
fail_on_finding(void *context, const char *finding)
{
    (void)context;
    fail_msg("%s", finding);
}

static void
test_threads(void **state)
{
    struct fixture *f = *state;
    uint64_t dir = add_node(f->catalog, VARVE_ROOT_INO, "d", S_IFDIR | 0755);
    (void)add_file(f->catalog, dir, "file", 5);
    MUST(varve_catalog_sync(f->catalog, &err));
    struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.catalog = f->catalog, .dir = dir, .index = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
    }
    char copy[400];
    (void)snprintf(copy, sizeof copy, "%s/copy", f->dir);
    for (int i = 0; i < 5; i++) {
        unsigned rows = 0;
        struct varve_selection selection = {.where = "under('/d')"};
        MUST(varve_catalog_verify(f->catalog, fail_on_finding, NULL, &err));
        MUST(varve_catalog_select(f->catalog, &selection, count_row, &rows, &err));
        assert_int_equal(rows, 1);
        MUST(varve_catalog_snapshot(f->catalog, copy, &err));
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        if (!workers[i].ok)
            fail_msg("worker %u: %s", i, workers[i].err.text);
    }
    static struct varve_dentry entries[THREADS * ROUNDS * 2];
    size_t count;
    MUST(varve_catalog_readdir(f->catalog, dir, 0, entries, THREADS * ROUNDS * 2, &count, &err));
    assert_int_equal(count, THREADS * ROUNDS + 1);
    MUST(varve_catalog_verify(f->catalog, fail_on_finding, NULL, &err));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {FIXTURE_TEST(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
