/* SPDX-License-Identifier: Apache-2.0 */
/* A drive is not taken for a bad disc nor a disc for a bad drive, what one drive cannot do another
 * does, and nothing is written where it does not belong. Faults by their numbers in the reference.
 */
#include "cases.h"
#include "drive_hooks.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <varve/file.h>

static struct archive the_archive;
static struct hooks the_hooks;

static struct archive *
make(unsigned drives, unsigned libraries)
{
    struct archive *a = &the_archive;
    const struct bench_options options = {.slots = 24,
                                          .drives = drives,
                                          .data_discs = 2,
                                          .parity_discs = 1,
                                          .disc_bytes = UINT64_C(8) << 20,
                                          .libraries = libraries};
    memset(&the_hooks, 0, sizeof the_hooks);
    OK(bench_make(&a->bench, &options, drives));
    hooks_set(&a->bench, &the_hooks);
    return a;
}

static struct archive *
begin(unsigned drives)
{
    struct archive *a = make(drives, 1);
    OK(bench_open(&a->bench));
    write_files(a);
    return a;
}

/* Disc `index` of the only set that is whole. */
static struct varve_disc_row
disc_at(struct archive *a, uint32_t index)
{
    struct varve_disc_row rows[32];
    size_t count;
    OK(varve_catalog_set_discs(catalog_of(a), (struct varve_set_id){1}, rows, 32, &count,
                               &a->bench.err));
    for (size_t i = 0; i < count; i++) {
        if (rows[i].index == index)
            return rows[i];
    }
    fail_msg("no disc %u", index);
    return rows[0];
}

static enum varve_disc_state
state_of(struct archive *a, const struct varve_disc_row *row)
{
    struct varve_disc_row now;
    OK(varve_catalog_disc_get(catalog_of(a), &row->barcode, &now, &a->bench.err));
    return now.state;
}

static struct varve_drive_row
drive_at(struct archive *a, unsigned number)
{
    struct varve_engine_drive drives[16];
    assert_true(varve_engine_drives(a->bench.engine, drives, 16) > number);
    return drives[number].row;
}

static struct varve_incident
last_incident(struct archive *a, const struct varve_disc_row *row)
{
    struct varve_incident incident;
    size_t count;
    OK(varve_catalog_incidents(catalog_of(a), NULL, &row->barcode, &incident, 1, &count,
                               &a->bench.err));
    assert_int_equal(count, 1);
    return incident;
}

static void
load(struct archive *a, const struct varve_disc_row *row, unsigned drive)
{
    OK(varve_engine_library_act(a->bench.engine, NULL, VARVE_LIBRARY_LOAD, row->barcode.text, drive,
                                &a->bench.err));
}

static struct varve_job
verify(struct archive *a, const struct varve_disc_row *row)
{
    uint64_t job;
    OK(varve_engine_verify(a->bench.engine, row->barcode.text, &job, &a->bench.err));
    return wait_job(a, job);
}

static void
spoil(struct archive *a, const struct varve_disc_row *row)
{
    static const uint8_t noise[64] = {1, 2, 3};
    VARVE_CLEANUP_FREE char *path = bench_image(&a->bench, row->barcode.text, ".img");
    VARVE_CLEANUP_FD int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    OK(varve_file_pwrite(fd, noise, sizeof noise, (row->clusters / 2) * VARVE_CLUSTER_BYTES,
                         &a->bench.err));
}

static bool
warns_of(struct archive *a, const char *text)
{
    static struct varve_engine_status status;
    OK(varve_engine_status(a->bench.engine, &status, &a->bench.err));
    for (unsigned i = 0; i < status.warnings_count; i++) {
        if (strstr(status.warnings[i], text) != NULL)
            return true;
    }
    return false;
}

/* --- faults 26: a mismatch without sense --- */

static void
test_fault_26_a_drive_that_lies(void **state)
{
    (void)state;
    struct archive *a = begin(2);
    archive_all(a);
    struct varve_disc_row discs[] = {disc_at(a, 0), disc_at(a, 1)};
    atomic_store(&the_hooks.liars, 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(drive_at(a, 0).service, VARVE_SERVICE_IN);
        load(a, &discs[i], 0);
        assert_int_equal(verify(a, &discs[i]).state, VARVE_JOB_DONE);
        assert_int_equal(state_of(a, &discs[i]), VARVE_DISC_SEALED);
        assert_int_equal(last_incident(a, &discs[i]).verdict, VARVE_VERDICT_DRIVE);
    }
    struct varve_drive_row liar = drive_at(a, 0);
    assert_int_equal(liar.service, VARVE_SERVICE_QUARANTINED);
    assert_non_null(strstr(liar.reason, discs[0].barcode.text));
    assert_non_null(strstr(liar.reason, discs[1].barcode.text));
    assert_true(warns_of(a, "drive 0 is quarantined"));
    assert_int_equal(drive_at(a, 1).service, VARVE_SERVICE_IN);
    bench_close(&a->bench); /* it is remembered */
    OK(bench_open(&a->bench));
    assert_int_equal(drive_at(a, 0).service, VARVE_SERVICE_QUARANTINED);
    release_all(a);
    read_all(a);
    assert_int_equal(discs_in(a, VARVE_DISC_SUSPECT), 0);
    OK(varve_engine_drive_clear(a->bench.engine, NULL, 0, &a->bench.err));
    assert_int_equal(drive_at(a, 0).service, VARVE_SERVICE_IN);
    assert_false(warns_of(a, "quarantined"));
    remove_archive(a);
}

static void
test_fault_26_a_disc_that_is_bad(void **state)
{
    (void)state;
    struct archive *a = begin(2);
    archive_all(a);
    struct varve_disc_row disc = disc_at(a, 0);
    spoil(a, &disc);
    struct varve_job job = verify(a, &disc);
    assert_int_equal(job.state, VARVE_JOB_FAILED);
    assert_non_null(strstr(job.error.text, "LBA"));
    assert_non_null(strstr(job.error.text, "varve set repair 1"));
    assert_int_equal(state_of(a, &disc), VARVE_DISC_SUSPECT);
    assert_int_equal(last_incident(a, &disc).verdict, VARVE_VERDICT_DISC);
    assert_true(warns_of(a, disc.barcode.text));
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(drive_at(a, i).service, VARVE_SERVICE_IN);
    struct varve_health_counters counters;
    OK(varve_catalog_disc_health_get(catalog_of(a), &disc.barcode, &counters, &a->bench.err));
    assert_int_equal(counters.incidents, 1);
    remove_archive(a);
}

/* Burned well, read back wrong by the same drive: no blank is wasted. */
static void
test_fault_26_at_reading_back(void **state)
{
    (void)state;
    struct archive *a = begin(3);
    uint64_t blanks = discs_in(a, VARVE_DISC_BLANK);
    atomic_store(&the_hooks.liars, 4); /* the drive that is nearest to the slots */
    archive_all(a);
    assert_int_equal(discs_in(a, VARVE_DISC_FAILED), 0);
    assert_int_equal(discs_in(a, VARVE_DISC_BLANK), blanks - 2);
    release_all(a);
    atomic_store(&the_hooks.liars, 0);
    read_all(a);
    remove_archive(a);
}

/* --- fault 27: a read error on an archived disc --- */

static void
test_fault_27_another_drive_reads_it(void **state)
{
    (void)state;
    struct archive *a = begin(2);
    archive_all(a);
    release_all(a);
    struct varve_disc_row disc = disc_at(a, 0), parity = disc_at(a, 1);
    struct varve_health_counters before, after;
    load(a, &disc, 0);
    OK(varve_catalog_disc_health_get(catalog_of(a), &parity.barcode, &before, &a->bench.err));
    atomic_store(&the_hooks.blind_from, (uint32_t)(disc.clusters / 2) * VARVE_CLUSTER_SECTORS);
    atomic_store(&the_hooks.blind, 1);
    read_all(a);
    assert_int_equal(state_of(a, &disc), VARVE_DISC_SEALED);
    for (unsigned i = 0; i < 200 && last_incident(a, &disc).verdict == VARVE_VERDICT_OPEN; i++)
        (void)usleep(20000); /* readers have their bytes before the drive has put them down */
    assert_int_equal(last_incident(a, &disc).verdict, VARVE_VERDICT_DRIVE);
    OK(varve_catalog_disc_health_get(catalog_of(a), &parity.barcode, &after, &a->bench.err));
    assert_int_equal(before.loads, after.loads); /* the rest of the set was not needed */
    remove_archive(a);
}

static void
test_fault_27_the_set_serves(void **state)
{
    (void)state;
    struct archive *a = begin(2);
    archive_all(a);
    release_all(a);
    struct varve_disc_row disc = disc_at(a, 0);
    spoil(a, &disc);
    read_all(a);
    struct varve_disc_row now;
    struct varve_set set;
    OK(varve_catalog_disc_get(catalog_of(a), &disc.barcode, &now, &a->bench.err));
    assert_int_equal(now.state, VARVE_DISC_SUSPECT);
    assert_non_null(strstr(now.place, "LBA"));
    OK(varve_catalog_set_get(catalog_of(a), disc.set, &set, &a->bench.err));
    assert_int_equal(set.state, VARVE_SET_DEGRADED);
    assert_true(warns_of(a, "varve set repair"));
    uint64_t job;
    OK(varve_engine_set_repair(a->bench.engine, disc.set, &job, &a->bench.err));
    expect_done(a, job);
    OK(varve_catalog_set_get(catalog_of(a), disc.set, &set, &a->bench.err));
    assert_int_equal(set.state, VARVE_SET_SEALED);
    remove_archive(a);
}

/* --- fault 17: another drive became ready than mapped --- */

static void
test_fault_17_drives_in_another_order(void **state)
{
    (void)state;
    struct archive *a = make(2, 1);
    atomic_store(&the_hooks.swapped, true);
    atomic_store(&the_hooks.anonymous, true); /* only a load shows which is which */
    OK(bench_open(&a->bench));
    write_files(a);
    archive_all(a);
    assert_int_equal(discs_in(a, VARVE_DISC_FAILED) + discs_in(a, VARVE_DISC_FOREIGN), 0);
    assert_int_equal(discs_in(a, VARVE_DISC_SEALED), 2);
    for (unsigned i = 0; i < 2; i++) { /* each is where its bar code is */
        struct varve_disc_row disc = disc_at(a, i);
        assert_int_equal(verify(a, &disc).state, VARVE_JOB_DONE);
        assert_int_equal(drive_at(a, i).service, VARVE_SERVICE_IN);
        assert_int_equal(drive_at(a, i).counters.incidents, 0);
    }
    release_all(a);
    read_all(a);
    remove_archive(a);
}

static void
test_fault_17_cables_swapped_at_work(void **state)
{
    (void)state;
    struct archive *a = begin(2);
    archive_all(a);
    release_all(a);
    struct varve_disc_row first = disc_at(a, 0);
    load(a, &first, 0); /* a disc in each drive */
    struct varve_disc_row second = disc_at(a, 1);
    load(a, &second, 1);
    atomic_store(&the_hooks.swapped, true);
    read_all(a);
    OK(bench_truncate(&a->bench, a->inos[0], 0));
    OK(bench_write(&a->bench, a->inos[0], 0, a->bytes[0], FILE_BYTES));
    archive_all(a);
    assert_int_equal(discs_in(a, VARVE_DISC_SUSPECT) + discs_in(a, VARVE_DISC_FAILED) +
                         discs_in(a, VARVE_DISC_FOREIGN),
                     0);
    uint64_t job;
    OK(varve_engine_verify(a->bench.engine, NULL, &job, &a->bench.err));
    expect_done(a, job);
    remove_archive(a);
}

/* --- fault 32: the host dies in the middle of a burn --- */

static void
burn_until_killed(struct archive *a)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        uint64_t job;
        atomic_store(&the_hooks.kill_at, 3);
        if (bench_open(&a->bench)) {
            write_files(a);
            VARVE_IGNORE(varve_engine_archive(a->bench.engine, &root, true, &job, &a->bench.err));
            (void)wait_job(a, job);
        }
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static off_t
size_of_image(struct archive *a, const char *barcode)
{
    struct stat st;
    VARVE_CLEANUP_FREE char *path = bench_image(&a->bench, barcode, ".img");
    return stat(path, &st) == 0 ? st.st_size : 0;
}

static void
finish_burning(struct archive *a)
{
    uint64_t job;
    OK(bench_open(&a->bench));
    OK(varve_engine_flush(a->bench.engine, &job, &a->bench.err));
    expect_done(a, job);
}

static void
test_fault_32_the_burn_goes_on(void **state)
{
    (void)state;
    struct archive *a = make(1, 1);
    burn_until_killed(a);
    off_t there = size_of_image(a, "VRV00001");
    assert_true(there > 0);
    finish_burning(a);
    assert_int_equal(atomic_load(&the_hooks.first_lba), there / VARVE_SECTOR_BYTES);
    assert_int_equal(discs_in(a, VARVE_DISC_SEALED), 2);
    assert_int_equal(discs_in(a, VARVE_DISC_BLANK), 22);
    struct varve_disc_row disc = disc_at(a, 0);
    assert_int_equal(verify(a, &disc).state, VARVE_JOB_DONE);
    remove_archive(a);
}

static void
test_fault_32_what_is_not_ours_is_scrapped(void **state)
{
    (void)state;
    struct archive *a = make(1, 1);
    burn_until_killed(a);
    VARVE_CLEANUP_FREE char *path = bench_image(&a->bench, "VRV00001", ".img");
    VARVE_CLEANUP_FD int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t there = size_of_image(a, "VRV00001");
    OK(varve_file_pwrite(fd, "somebody else's", 15, VARVE_CLUSTER_BYTES, &a->bench.err));
    finish_burning(a);
    assert_int_equal(size_of_image(a, "VRV00001"), there); /* not a byte was added */
    assert_int_equal(discs_in(a, VARVE_DISC_SEALED), 2);
    assert_int_equal(discs_in(a, VARVE_DISC_BLANK), 21);
    assert_int_equal(discs_in(a, VARVE_DISC_FOREIGN), 1);
    remove_archive(a);
}

/* --- drives out of service --- */

static void
test_no_drive_is_left(void **state)
{
    (void)state;
    struct archive *a = begin(2);
    archive_all(a);
    struct varve_disc_row disc = disc_at(a, 0);
    for (unsigned i = 0; i < 2; i++)
        OK(varve_engine_drive_retire(a->bench.engine, NULL, i, "noisy", &a->bench.err));
    assert_string_equal(drive_at(a, 1).reason, "noisy");
    struct varve_job job = verify(a, &disc);
    assert_int_equal(job.state, VARVE_JOB_FAILED);
    assert_non_null(strstr(job.error.text, "no drive is in service"));
    assert_int_equal(state_of(a, &disc), VARVE_DISC_SEALED);
    load(a, &disc, 1); /* by hand it still does */
    OK(varve_engine_drive_clear(a->bench.engine, NULL, 1, &a->bench.err));
    assert_int_equal(verify(a, &disc).state, VARVE_JOB_DONE);
    remove_archive(a);
}

static void
test_last_drive_goes_on(void **state)
{
    (void)state;
    struct archive *a = begin(1);
    archive_all(a);
    for (unsigned i = 0; i < 2; i++) {
        struct varve_disc_row disc = disc_at(a, i);
        spoil(a, &disc);
        assert_int_equal(verify(a, &disc).state, VARVE_JOB_FAILED);
        assert_int_equal(state_of(a, &disc), VARVE_DISC_SUSPECT);
    }
    assert_int_equal(drive_at(a, 0).service, VARVE_SERVICE_IN);
    remove_archive(a);
}

static void
test_discs_cleared(void **state)
{
    (void)state;
    struct archive *a = begin(1);
    struct varve_disc_row disc = {.barcode = {"VRV00009"}};
    OK(varve_engine_disc_retire(a->bench.engine, disc.barcode.text, &a->bench.err));
    assert_int_equal(state_of(a, &disc), VARVE_DISC_RETIRED);
    OK(varve_engine_disc_clear(a->bench.engine, disc.barcode.text, &a->bench.err));
    assert_int_equal(state_of(a, &disc), VARVE_DISC_BLANK);
    archive_all(a);
    struct varve_disc_row sealed = disc_at(a, 0);
    OK(varve_engine_disc_clear(a->bench.engine, sealed.barcode.text, &a->bench.err));
    assert_int_equal(state_of(a, &sealed), VARVE_DISC_SEALED);
    remove_archive(a);
}

/* --- several libraries --- */

static void
test_a_library_may_go(void **state)
{
    (void)state;
    struct archive *a = make(1, 2);
    OK(bench_open(&a->bench));
    write_files(a);
    archive_all(a);
    struct varve_disc_row data = disc_at(a, 0), parity = disc_at(a, 1);
    assert_string_not_equal(data.library, parity.library);
    release_all(a);
    OK(varve_engine_drive_retire(a->bench.engine, data.library, 0, NULL, &a->bench.err));
    read_all(a); /* from what the other one has */
    remove_archive(a);
}

static void
test_libraries_work_side_by_side(void **state)
{
    (void)state;
    struct archive *a = make(2, 3);
    OK(bench_open(&a->bench));
    write_files(a);
    for (unsigned round = 0; round < 4; round++) {
        OK(bench_truncate(&a->bench, a->inos[round], 0));
        OK(bench_write(&a->bench, a->inos[round], 0, a->bytes[round], FILE_BYTES));
        archive_all(a);
    }
    release_all(a);
    read_all(a);
    uint64_t job;
    OK(varve_engine_verify(a->bench.engine, NULL, &job, &a->bench.err));
    expect_done(a, job);
    struct varve_engine_drive drives[16];
    assert_int_equal(varve_engine_drives(a->bench.engine, drives, 16), 6);
    unsigned used[3] = {0};
    for (unsigned i = 0; i < 6; i++)
        used[i / 2] += (unsigned)drives[i].row.counters.works;
    for (unsigned i = 0; i < 3; i++)
        assert_true(used[i] > 0);
    remove_archive(a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_26_a_drive_that_lies),
        cmocka_unit_test(test_fault_26_a_disc_that_is_bad),
        cmocka_unit_test(test_fault_26_at_reading_back),
        cmocka_unit_test(test_fault_27_another_drive_reads_it),
        cmocka_unit_test(test_fault_27_the_set_serves),
        cmocka_unit_test(test_fault_17_drives_in_another_order),
        cmocka_unit_test(test_fault_17_cables_swapped_at_work),
        cmocka_unit_test(test_fault_32_the_burn_goes_on),
        cmocka_unit_test(test_fault_32_what_is_not_ours_is_scrapped),
        cmocka_unit_test(test_no_drive_is_left),
        cmocka_unit_test(test_last_drive_goes_on),
        cmocka_unit_test(test_discs_cleared),
        cmocka_unit_test(test_a_library_may_go),
        cmocka_unit_test(test_libraries_work_side_by_side),
    };
    return cmocka_run_group_tests_name("sim drive_cases", tests, NULL, NULL);
}
