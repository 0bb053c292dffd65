/* SPDX-License-Identifier: Apache-2.0 */
/* Drives work in threads of their own while others look at the library, and every disc ends up
 * burned once and at home (run it under ThreadSanitizer, too). */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CLUSTERS 16u

struct shared {
    struct varve_library *library;
    atomic_bool stop;
};
struct worker {
    struct shared *shared;
    unsigned drive;
    char failed[600];
};

static bool
burn_disc(struct varve_library *library, unsigned number, unsigned drive, struct varve_error *err)
{
    uint8_t data[VARVE_CLUSTER_BYTES];
    char name[16];
    struct varve_barcode disc = {0};
    (void)snprintf(name, sizeof name, "VRV%05u", number);
    (void)varve_barcode_make(name, &disc); /* cannot fail for this name */
    struct varve_drive *at = varve_library_drive(library, drive);
    if (!varve_library_load(library, &disc, drive, err) ||
        !varve_drive_burn_begin(at, 0, CLUSTERS, err))
        return false;
    for (unsigned i = 0; i < CLUSTERS; i++) {
        test_fill(data, sizeof data, i * 100 + number);
        if (!varve_drive_burn_write(at, data, 1, err))
            return false;
    }
    return varve_drive_burn_close(at, NULL, NULL, err);
}

static void *
work(void *argument)
{
    struct worker *worker = argument;
    struct varve_error err = {0};
    for (unsigned number = 1 + worker->drive; number <= 6; number += 2) {
        if (!burn_disc(worker->shared->library, number, worker->drive, &err)) {
            (void)snprintf(worker->failed, sizeof worker->failed, "%s", err.text);
            return NULL;
        }
    }
    if (!varve_library_unload(worker->shared->library, worker->drive, &err))
        (void)snprintf(worker->failed, sizeof worker->failed, "%s", err.text);
    return NULL;
}

static void *
look(void *argument)
{
    struct shared *shared = argument;
    for (unsigned round = 0; !shared->stop && round < 100000; round++) {
        struct varve_error err = {0};
        struct varve_element *elements = NULL;
        size_t count, full = 0;
        struct varve_barcode ignored;
        struct varve_drive_health health;
        if (varve_library_inventory(shared->library, round % 8 == 0, &elements, &count, &err)) {
            for (size_t i = 0; i < count; i++)
                full += elements[i].full ? 1 : 0;
            assert_int_equal(full, 6);
        }
        free(elements);
        (void)varve_library_drive_disc(shared->library, round % 2, &ignored);
        varve_drive_health(varve_library_drive(shared->library, round % 2), &health);
    }
    return NULL;
}

static void
open_library(char *dir, struct varve_clock *clock, struct test_journal *journal,
             struct varve_virtual **folder, struct varve_library **library)
{
    struct varve_error err = {0};
    struct varve_scsi_port *changer, *drives[2];
    struct varve_virtual_options options = {.slots = 6, .drives = 2, .disc_bytes = TEST_DISC_BYTES};
    EXPECT_OK(varve_virtual_create(dir, &options, &err), err);
    EXPECT_OK(varve_virtual_open(dir, clock, folder, &err), err);
    EXPECT_OK(varve_virtual_changer_port(*folder, &changer, &err), err);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_OK(varve_virtual_drive_port(*folder, i, &drives[i], &err), err);
    struct varve_library_ports ports = {"lib", changer, drives, 2};
    struct varve_move_journal out = test_journal_port(journal);
    EXPECT_OK(varve_library_new(&ports, &out, clock, library, &err), err);
}

static void
test_two_drives_and_a_looker(void **state)
{
    (void)state;
    struct varve_clock_sim clock;
    struct test_journal journal = {0};
    struct varve_virtual *folder;
    struct shared shared = {0};
    struct worker workers[2] = {{&shared, 0, ""}, {&shared, 1, ""}};
    pthread_t threads[3];
    char *dir = test_dir_new();
    varve_clock_sim_init(&clock, 0);
    open_library(dir, &clock.clock, &journal, &folder, &shared.library);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, look, &shared), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    shared.stop = true;
    assert_int_equal(pthread_join(threads[2], NULL), 0);
    assert_string_equal(workers[0].failed, "");
    assert_string_equal(workers[1].failed, "");
    assert_int_equal(journal.intents, 12);
    assert_int_equal(journal.done, 12);
    for (unsigned number = 1; number <= 6; number++) {
        char name[16];
        (void)snprintf(name, sizeof name, "VRV%05u", number);
        assert_int_equal(test_where(shared.library, name), 1023 + number);
    }
    varve_library_free(shared.library);
    test_journal_forget(&journal);
    varve_virtual_close(folder);
    test_dir_done(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_two_drives_and_a_looker)};
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
