/* SPDX-License-Identifier: Apache-2.0 */
/* SIGKILL at any moment of moving and burning loses no disc, doubles none, and leaves each disc
 * writable exactly where whole clusters end. */
#include "support.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <varve/random.h>

#define ROUNDS 40u
#define CLUSTERS 64u /* as many as a disc holds */

/* Written by the child as it goes, read by the parent when it is dead. */
struct progress {
    volatile uint64_t acknowledged; /* clusters of the disc in drive 0 */
    volatile uint64_t closed;
    volatile uint32_t disc; /* number of the disc that is being burned */
};

static void
work_for_ever(struct test_bench *bench, struct progress *progress)
{
    static uint8_t data[CLUSTERS * VARVE_CLUSTER_BYTES];
    test_fill(data, sizeof data, 0);
    struct varve_error err = {0};
    for (uint32_t number = progress->disc;; number = number % 6 + 1) {
        char name[16];
        (void)snprintf(name, sizeof name, "VRV%05" PRIu32, number);
        struct varve_barcode disc = test_barcode(name);
        struct varve_medium medium;
        if (!varve_library_load(bench->library, &disc, number % 2, &err))
            _exit(2);
        struct varve_drive *drive = varve_library_drive(bench->library, number % 2);
        if (!varve_drive_medium(drive, &medium, &err))
            _exit(3);
        if (medium.state == VARVE_MEDIUM_CLOSED)
            continue; /* only moving is left to do */
        progress->acknowledged = medium.next_cluster;
        progress->closed = 0;
        progress->disc = number;
        if (!varve_drive_burn_begin(drive, medium.next_cluster, CLUSTERS, &err))
            _exit(4);
        for (uint64_t at = medium.next_cluster; at < CLUSTERS; at++) {
            if (!varve_drive_burn_write(drive, data + at * VARVE_CLUSTER_BYTES, 1, &err))
                _exit(5);
            progress->acknowledged = at + 1;
        }
        if (!varve_drive_burn_close(drive, NULL, NULL, &err))
            _exit(6);
        progress->closed = 1;
    }
}

static void
run_and_kill(struct test_bench *bench, struct progress *progress, uint64_t delay_us)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        test_bench_open(bench);
        work_for_ever(bench, progress);
    }
    struct timespec delay = {0, (long)delay_us * 1000};
    (void)nanosleep(&delay, NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status))
        fail_msg("the child gave up by itself: exit %d", WEXITSTATUS(status));
}

static void
expect_all_discs(struct test_bench *bench)
{
    for (unsigned number = 1; number <= 6; number++) {
        char name[16];
        (void)snprintf(name, sizeof name, "VRV%05u", number);
        if (test_where(bench->library, name) == 0)
            fail_msg("disc '%s' is lost", name);
    }
}

static void
expect_burned_data(struct test_bench *bench, const struct progress *progress)
{
    static uint8_t want[VARVE_CLUSTER_BYTES], got[VARVE_CLUSTER_BYTES];
    struct varve_error err = {0};
    struct varve_medium medium;
    char name[16];
    (void)snprintf(name, sizeof name, "VRV%05" PRIu32, progress->disc);
    struct varve_barcode disc = test_barcode(name);
    struct varve_drive *drive = varve_library_drive(bench->library, progress->disc % 2);
    EXPECT_OK(varve_library_load(bench->library, &disc, progress->disc % 2, &err), err);
    EXPECT_OK(varve_drive_medium(drive, &medium, &err), err);
    if (progress->closed)
        assert_int_equal(medium.state, VARVE_MEDIUM_CLOSED);
    /* Acknowledged, or one more whose answer the child did not live to see. */
    assert_true(medium.readable_clusters >= progress->acknowledged);
    assert_true(medium.readable_clusters <= progress->acknowledged + 1);
    if (medium.state != VARVE_MEDIUM_CLOSED)
        assert_true(medium.next_valid && medium.next_cluster == medium.readable_clusters);
    for (uint64_t at = 0; at < medium.readable_clusters; at++) {
        EXPECT_OK(varve_drive_read(drive, at, 1, got, NULL, &err), err);
        test_fill(want, sizeof want, at);
        assert_memory_equal(got, want, sizeof want);
    }
}

static void
test_kill(void **state)
{
    (void)state;
    struct test_bench bench;
    struct varve_random_seeded seeded;
    varve_random_seeded_init(&seeded, 20261120);
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(progress != MAP_FAILED);
    test_bench_start(&bench);
    progress->disc = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        test_bench_close(&bench);
        if (round % 10 == 9) { /* all discs are closed by now: fresh ones */
            test_bench_done(&bench);
            test_bench_start(&bench);
            test_bench_close(&bench);
            progress->disc = 1;
            progress->acknowledged = progress->closed = 0;
        }
        run_and_kill(&bench, progress, varve_random_below(&seeded.random, 30000));
        test_bench_open(&bench);
        expect_all_discs(&bench);
        expect_burned_data(&bench, progress);
    }
    test_bench_done(&bench);
    assert_int_equal(munmap(progress, sizeof *progress), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill)};
    return cmocka_run_group_tests_name("fault changer_kill", tests, NULL, NULL);
}
