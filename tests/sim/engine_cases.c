/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that meet in the same drives, are cut off, or find a drive in trouble do each other and the
 * discs no harm: the cases behind findings of the simulation. */
#include "cases.h"
#include "engine_internal.h" /* what the ticker asks by itself */

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/file.h>

static struct archive the_archive;

static struct archive *
begin(unsigned drives)
{
    struct archive *a = &the_archive;
    const struct bench_options options = {.slots = 24,
                                          .drives = drives,
                                          .data_discs = 2,
                                          .parity_discs = 1,
                                          .disc_bytes = UINT64_C(8) << 20};
    OK(bench_make(&a->bench, &options, drives));
    OK(bench_open(&a->bench));
    write_files(a);
    return a;
}

/* A disc of the first set, by position. */
static struct varve_disc_row
disc_at(struct archive *a, uint32_t index)
{
    struct varve_disc_row rows[64];
    struct varve_set set;
    size_t count;
    OK(varve_catalog_sets(catalog_of(a), (struct varve_set_id){0}, &set, 1, &count, &a->bench.err));
    assert_int_equal(count, 1);
    OK(varve_catalog_set_discs(catalog_of(a), set.id, rows, 64, &count, &a->bench.err));
    for (size_t i = 0; i < count; i++) {
        if (rows[i].index == index && rows[i].state != VARVE_DISC_FAILED)
            return rows[i];
    }
    fail_msg("no disc at position %u", index);
    return (struct varve_disc_row){0};
}

static struct varve_disc_row
disc_now(struct archive *a, const struct varve_disc_row *before)
{
    struct varve_disc_row row = {0};
    OK(varve_catalog_disc_get(catalog_of(a), &before->barcode, &row, &a->bench.err));
    return row;
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

/* --- cases --- */

static void
test_recall_leaves_a_disc_that_is_being_verified(void **state)
{
    (void)state;
    struct archive *a = begin(2);
    archive_all(a);
    for (unsigned round = 0; round < 12; round++) {
        uint64_t job;
        release_all(a);
        OK(varve_engine_verify(a->bench.engine, NULL, &job, &a->bench.err));
        read_all(a);
        expect_done(a, job);
        assert_int_equal(discs_in(a, VARVE_DISC_SUSPECT), 0);
    }
    remove_archive(a);
}

static void
test_close_cuts_off_anything(void **state)
{
    (void)state;
    struct archive *a = begin(2);
    archive_all(a);
    for (unsigned round = 0; round < 40; round++) {
        uint64_t job;
        OK(varve_engine_release(a->bench.engine, &root, &job, &a->bench.err));
        (void)wait_job(a, job); /* those in line are not released */
        OK(varve_engine_verify(a->bench.engine, NULL, &job, &a->bench.err));
        OK(varve_engine_recall(a->bench.engine, &root, &job, &a->bench.err));
        OK(bench_truncate(&a->bench, a->inos[round % FILES], 0));
        OK(bench_write(&a->bench, a->inos[round % FILES], 0, a->bytes[round % FILES], FILE_BYTES));
        if (discs_in(a, VARVE_DISC_BLANK) >= 3)
            OK(varve_engine_archive(a->bench.engine, &root, true, &job, &a->bench.err));
        varve_clock_sleep(varve_clock_system(), (int64_t)round * VARVE_NS_PER_MS);
        (void)alarm(60); /* close must end */
        bench_close(&a->bench);
        (void)alarm(0);
        OK(bench_open(&a->bench));
    }
    read_all(a);
    remove_archive(a);
}

static void
test_repair_goes_on_with_its_blank(void **state)
{
    (void)state;
    struct archive *a = begin(1);
    archive_all(a);
    struct varve_disc_row row = disc_at(a, 0);
    uint64_t job, blanks = discs_in(a, VARVE_DISC_BLANK);
    spoil(a, &row);
    OK(varve_engine_verify(a->bench.engine, row.barcode.text, &job, &a->bench.err));
    assert_int_equal(wait_job(a, job).state, VARVE_JOB_FAILED);
    assert_int_equal(disc_now(a, &row).state, VARVE_DISC_SUSPECT);
    /* The drive stops answering in the middle of the burn. */
    const struct varve_virtual_fault dead = {.opcode = 0x2A, .nth = 2, .dead = true};
    OK(varve_virtual_inject(a->bench.library, &dead, &a->bench.err));
    OK(varve_engine_set_repair(a->bench.engine, row.set, &job, &a->bench.err));
    assert_int_equal(wait_job(a, job).state, VARVE_JOB_FAILED);
    bench_close(&a->bench);
    OK(bench_open(&a->bench));
    OK(varve_engine_set_repair(a->bench.engine, row.set, &job, &a->bench.err));
    expect_done(a, job);
    assert_int_equal(discs_in(a, VARVE_DISC_BURNING), 0);
    assert_int_equal(discs_in(a, VARVE_DISC_BLANK), blanks - 1);
    assert_int_equal(disc_now(a, &row).state, VARVE_DISC_FAILED);
    release_all(a);
    read_all(a);
    remove_archive(a);
}

static void
test_drive_trouble_is_not_the_discs(void **state)
{
    (void)state;
    struct archive *a = begin(1);
    archive_all(a);
    struct varve_disc_row row = disc_at(a, 0);
    /* The arm is stuck for as long as anybody tries. */
    static const uint8_t arm[] = {0xA5, 0xA6}; /* MOVE, EXCHANGE */
    for (unsigned i = 0; i < 80; i++) {
        const struct varve_virtual_fault stuck = {.on_changer = true,
                                                  .opcode = arm[i % 2],
                                                  .nth = 1 + i / 2,
                                                  .key = 4,
                                                  .asc = 0x15,
                                                  .ascq = 1};
        OK(varve_virtual_inject(a->bench.library, &stuck, &a->bench.err));
    }
    uint64_t job;
    OK(varve_engine_verify(a->bench.engine, row.barcode.text, &job, &a->bench.err));
    assert_int_equal(wait_job(a, job).state, VARVE_JOB_FAILED);
    assert_int_equal(disc_now(a, &row).state, VARVE_DISC_SEALED);
    assert_int_equal(discs_in(a, VARVE_DISC_LOST), 0);
    remove_archive(a);
}

static void
test_start_removes_stale_staging(void **state)
{
    (void)state;
    struct archive *a = begin(1);
    archive_all(a);
    char uuid[VARVE_UUID_TEXT_BYTES], path[400];
    struct varve_set set;
    size_t count;
    OK(varve_catalog_sets(catalog_of(a), (struct varve_set_id){0}, &set, 1, &count, &a->bench.err));
    varve_uuid_format(&set.uuid, uuid);
    bench_close(&a->bench);
    /* As a kill leaves it between the seal and the removal, */
    (void)snprintf(path, sizeof path, "%s/hdd/staging/%s-p002", a->bench.dir, uuid);
    OK(varve_file_replace(path, "x", 1, &a->bench.err));
    /* and for a set that never was. */
    uuid[0] = uuid[0] == '0' ? '1' : '0';
    (void)snprintf(path, sizeof path, "%s/hdd/staging/%s-p002", a->bench.dir, uuid);
    OK(varve_file_replace(path, "x", 1, &a->bench.err));
    (void)snprintf(path, sizeof path, "%s/hdd/staging/not-ours", a->bench.dir);
    OK(varve_file_replace(path, "x", 1, &a->bench.err));
    assert_int_equal(bench_staged(&a->bench), 3);
    OK(bench_open(&a->bench));
    struct varve_job jobs[8];
    for (count = varve_engine_jobs(a->bench.engine, jobs, 8); count > 0; count--)
        expect_done(a, jobs[count - 1].id);
    assert_int_equal(bench_staged(&a->bench), 1);
    remove_archive(a);
}

static void
test_file_too_large_holds_up_nobody(void **state)
{
    (void)state;
    struct archive *a = begin(1);
    uint64_t ino, job;
    OK(bench_create(&a->bench, VARVE_ROOT_INO, "huge", S_IFREG | 0644, &ino));
    OK(bench_truncate(&a->bench, ino, UINT64_C(100) << 20));
    OK(varve_engine_archive(a->bench.engine, &root, true, &job, &a->bench.err));
    struct varve_job over = wait_job(a, job);
    assert_int_equal(over.state, VARVE_JOB_FAILED);
    assert_non_null(strstr(over.error.text, "'/huge'"));
    OK(varve_engine_flush(a->bench.engine, &job, &a->bench.err));
    expect_done(a, job);
    for (unsigned i = 0; i < FILES; i++) {
        struct varve_inode inode;
        struct varve_content content;
        OK(varve_vfs_getattr(varve_engine_vfs(a->bench.engine), a->inos[i], &inode, &a->bench.err));
        OK(varve_catalog_content_get(catalog_of(a), inode.content, &content, &a->bench.err));
        assert_int_equal(content.phase, VARVE_PHASE_SEALED);
    }
    remove_archive(a);
}

static void *
look_at_blanks(void *context)
{
    struct varve_engine *engine = the_archive.bench.engine;
    atomic_bool *over = context;
    while (!atomic_load(over)) {
        struct varve_error ignored = {0}; /* there may be none */
        uint64_t clusters;
        VARVE_IGNORE(blank_capacity(engine, &clusters, &ignored));
    }
    return NULL;
}

static void
test_looking_at_blanks_spoils_no_burn(void **state)
{
    (void)state;
    struct archive *a = begin(2);
    atomic_bool over = false;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, look_at_blanks, &over), 0);
    for (unsigned round = 0; round < 7; round++) {
        OK(bench_truncate(&a->bench, a->inos[round], 0));
        OK(bench_write(&a->bench, a->inos[round], 0, a->bytes[round], FILE_BYTES));
        archive_all(a);
    }
    atomic_store(&over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(discs_in(a, VARVE_DISC_FOREIGN), 0);
    assert_int_equal(discs_in(a, VARVE_DISC_SEALED) + discs_in(a, VARVE_DISC_BLANK), 24);
    release_all(a);
    read_all(a);
    remove_archive(a);
}

struct reader {
    struct archive *a;
    pthread_t thread;
    unsigned number;
    uint64_t bytes;
    atomic_bool *over;
};

/* Reads one piece of a file wherever it is; recalls as needed. */
static void
read_piece(struct reader *reader, struct dice *dice)
{
    uint8_t got[5000];
    unsigned file = (unsigned)dice_roll(dice, FILES);
    uint64_t offset = dice_roll(dice, FILE_BYTES - sizeof got);
    struct bench mine = {.engine = reader->a->bench.engine}; /* an error text of its own */
    if (!bench_read(&mine, reader->a->inos[file], offset, got, sizeof got)) {
        (void)fprintf(stderr, "reader %u: %s\n", reader->number, mine.err.text);
        abort();
    }
    if (memcmp(got, &reader->a->bytes[file][offset], sizeof got) != 0) {
        (void)fprintf(stderr, "reader %u: wrong bytes (INV-12)\n", reader->number);
        abort();
    }
    reader->bytes += sizeof got;
}

static void *
read_for_ever(void *context)
{
    struct reader *reader = context;
    struct dice dice = {reader->number};
    while (!atomic_load(reader->over))
        read_piece(reader, &dice);
    return NULL;
}

static void
test_readers_beside_everything(void **state)
{
    (void)state;
    struct archive *a = begin(3);
    struct reader readers[4];
    atomic_bool over = false;
    archive_all(a);
    for (unsigned i = 0; i < 4; i++) {
        readers[i] = (struct reader){.a = a, .number = i, .over = &over};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_for_ever, &readers[i]), 0);
    }
    for (unsigned round = 0; round < 15; round++) {
        uint64_t verify, release, recall;
        OK(varve_engine_release(a->bench.engine, &root, &release, &a->bench.err));
        OK(varve_engine_verify(a->bench.engine, NULL, &verify, &a->bench.err));
        (void)wait_job(a, release); /* what a reader has open stays */
        OK(varve_engine_recall(a->bench.engine, &root, &recall, &a->bench.err));
        expect_done(a, recall);
        expect_done(a, verify);
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_true(readers[i].bytes > 0);
    }
    assert_int_equal(discs_in(a, VARVE_DISC_SUSPECT) + discs_in(a, VARVE_DISC_LOST), 0);
    remove_archive(a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looking_at_blanks_spoils_no_burn),
        cmocka_unit_test(test_readers_beside_everything),
        cmocka_unit_test(test_recall_leaves_a_disc_that_is_being_verified),
        cmocka_unit_test(test_close_cuts_off_anything),
        cmocka_unit_test(test_repair_goes_on_with_its_blank),
        cmocka_unit_test(test_drive_trouble_is_not_the_discs),
        cmocka_unit_test(test_start_removes_stale_staging),
        cmocka_unit_test(test_file_too_large_holds_up_nobody),
    };
    return cmocka_run_group_tests_name("sim engine_cases", tests, NULL, NULL);
}
