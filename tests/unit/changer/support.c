/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <varve/byteorder.h>

char *
test_dir_new(void)
{
    const char *base = getenv("TMPDIR");
    char *dir = NULL;
    assert_true(asprintf(&dir, "%s/varve-changer-XXXXXX", base != NULL ? base : "/tmp") > 0);
    assert_non_null(mkdtemp(dir));
    return dir;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void
test_dir_done(char *dir)
{
    assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(dir);
}

#define TEST_RECORDS_MAX 65536

struct watch_port {
    struct varve_scsi_port port;
    struct varve_scsi_port *inner;
    struct test_watch *watch;
};

static void
answer_sense(const struct test_watch *watch, struct varve_scsi_command *command)
{
    command->status = 2;
    memset(command->sense, 0, 18);
    command->sense[0] = 0x70;
    command->sense[2] = watch->sense[0];
    command->sense[7] = 10;
    command->sense[12] = watch->sense[1];
    command->sense[13] = watch->sense[2];
    command->sense_bytes = 18;
    command->received_bytes = 0;
}

static void
note_write(struct test_watch *watch, const struct varve_scsi_command *command, bool acknowledged)
{
    if (command->cdb[0] != 0x2a)
        return;
    uint64_t lba = varve_get_be32(command->cdb + 2);
    if (lba < watch->acknowledged)
        watch->rewritten = true;
    if (acknowledged)
        watch->acknowledged = lba + varve_get_be16(command->cdb + 7);
}

static bool
watch_execute(struct varve_scsi_port *base, struct varve_scsi_command *command,
              struct varve_error *err)
{
    struct watch_port *port = (struct watch_port *)base;
    struct test_watch *watch = port->watch;
    unsigned nth = ++watch->commands;
    watch->of[command->cdb[0]]++;
    unsigned last = watch->fail_nth + (watch->fail_count > 0 ? watch->fail_count : 1) - 1;
    bool due = watch->fail_nth > 0 && nth >= watch->fail_nth && nth <= last;
    bool after = watch->fault == TEST_FAULT_SENSE_AFTER || watch->fault == TEST_FAULT_LOST_AFTER;
    bool lost = watch->fault == TEST_FAULT_LOST || watch->fault == TEST_FAULT_LOST_AFTER;
    command->status = 0;
    command->sense_bytes = 0;
    command->received_bytes = 0;
    if (due) {
        watch->fired++;
        watch->fired_opcode = command->cdb[0];
    }
    if ((!due || after) && !port->inner->execute(port->inner, command, err))
        return false;
    note_write(watch, command, command->status == 0 && !due);
    if (!due)
        return true;
    if (lost)
        return varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "no answer in time");
    answer_sense(watch, command);
    return true;
}

static void
watch_close(struct varve_scsi_port *base)
{
    struct watch_port *port = (struct watch_port *)base;
    port->inner->close(port->inner);
    free(port);
}

struct varve_scsi_port *
test_watch_port(struct test_watch *watch, struct varve_scsi_port *inner)
{
    struct watch_port *port = calloc(1, sizeof *port);
    assert_non_null(port);
    *port = (struct watch_port){{watch_execute, watch_close}, inner, watch};
    return &port->port;
}

static bool
journal_intend(void *context, const char *library, const struct varve_barcode *barcode,
               uint16_t from, uint16_t to, uint64_t *ret_id, struct varve_error *err)
{
    struct test_journal *journal = context;
    (void)barcode;
    assert_string_equal(library, "lib");
    assert_int_not_equal(from, to);
    if (journal->refuse)
        return varve_error_set(err, VARVE_ERROR_SYSTEM, 0, "journal is full");
    journal->intents++;
    *ret_id = ++journal->last_id;
    return true;
}

static bool
journal_done(void *context, uint64_t id, struct varve_error *err)
{
    struct test_journal *journal = context;
    (void)err;
    assert_true(id > 0 && id <= journal->last_id && journal->done < journal->intents);
    journal->done++;
    return true;
}

static void
keep_record(struct test_journal *journal, const struct varve_element_record *record)
{
    if (journal->records == NULL)
        journal->records = calloc(TEST_RECORDS_MAX, sizeof *journal->records);
    assert_non_null(journal->records);
    journal->records[record->address] = *record;
}

static bool
journal_remember(void *context, const char *library, const struct varve_element_record *records,
                 size_t count, struct varve_error *err)
{
    (void)err;
    assert_string_equal(library, "lib");
    for (size_t i = 0; i < count; i++)
        keep_record(context, &records[i]);
    return true;
}

static bool
journal_records(void *context, const char *library, struct varve_element_record **ret,
                size_t *ret_count, struct varve_error *err)
{
    struct test_journal *journal = context;
    (void)library;
    (void)err;
    *ret = calloc(TEST_RECORDS_MAX, sizeof **ret);
    assert_non_null(*ret);
    *ret_count = 0;
    for (size_t i = 0; journal->records != NULL && i < TEST_RECORDS_MAX; i++) {
        if (journal->records[i].address != 0)
            (*ret)[(*ret_count)++] = journal->records[i];
    }
    return true;
}

void
test_journal_forget(struct test_journal *journal)
{
    free(journal->records);
    journal->records = NULL;
}

struct varve_move_journal
test_journal_port(struct test_journal *journal)
{
    return (struct varve_move_journal){.context = journal,
                                       .intend = journal_intend,
                                       .done = journal_done,
                                       .remember = journal_remember,
                                       .records = journal_records};
}

void
test_bench_open(struct test_bench *bench)
{
    struct varve_error err = {0};
    struct varve_scsi_port *changer, *drives[2];
    EXPECT_OK(varve_virtual_open(bench->dir, &bench->clock.clock, &bench->folder, &err), err);
    EXPECT_OK(varve_virtual_changer_port(bench->folder, &changer, &err), err);
    changer = test_watch_port(&bench->watch, changer);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_OK(varve_virtual_drive_port(bench->folder, i, &drives[i], &err), err);
        drives[i] = test_watch_port(&bench->watch, drives[i]);
    }
    struct varve_library_ports ports = {"lib", changer, drives, 2};
    struct varve_move_journal journal = test_journal_port(&bench->journal);
    EXPECT_OK(varve_library_new(&ports, &journal, &bench->clock.clock, &bench->library, &err), err);
}

static void
start_bench(struct test_bench *bench, const char *kind, unsigned magazine_slots)
{
    struct varve_error err = {0};
    *bench = (struct test_bench){.dir = test_dir_new()};
    varve_clock_sim_init(&bench->clock, 1000 * VARVE_NS_PER_SECOND);
    struct varve_virtual_options options = {.slots = 6,
                                            .drives = 2,
                                            .mail_slots = 2,
                                            .disc_bytes = TEST_DISC_BYTES,
                                            .kind = kind,
                                            .magazine_slots = magazine_slots};
    EXPECT_OK(varve_virtual_create(bench->dir, &options, &err), err);
    test_bench_open(bench);
}

void
test_bench_start_kind(struct test_bench *bench, const char *kind)
{
    start_bench(bench, kind, 0);
}

void
test_bench_start(struct test_bench *bench)
{
    start_bench(bench, NULL, 0);
}

void
test_bench_start_magazines(struct test_bench *bench)
{
    start_bench(bench, NULL, 3);
}

static int
keep_bench(void **state, unsigned magazine_slots)
{
    struct test_bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    start_bench(bench, NULL, magazine_slots);
    *state = bench;
    return 0;
}

int
test_bench_setup(void **state)
{
    return keep_bench(state, 0);
}

int
test_bench_setup_magazines(void **state)
{
    return keep_bench(state, 3);
}

int
test_bench_teardown(void **state)
{
    test_bench_done(*state);
    free(*state);
    return 0;
}

void
test_script(struct test_bench *bench, const char *text)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_virtual_script(bench->folder, text, &err), err);
}

void
test_bench_close(struct test_bench *bench)
{
    varve_library_free(bench->library);
    bench->library = NULL;
    varve_virtual_close(bench->folder);
    bench->folder = NULL;
}

void
test_bench_done(struct test_bench *bench)
{
    test_bench_close(bench);
    test_journal_forget(&bench->journal);
    test_dir_done(bench->dir);
}

struct varve_barcode
test_barcode(const char *text)
{
    struct varve_barcode barcode = {0};
    assert_true(varve_barcode_make(text, &barcode));
    return barcode;
}

unsigned
test_where(struct varve_library *library, const char *barcode)
{
    struct varve_error err = {0};
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t count;
    unsigned found = 0;
    EXPECT_OK(varve_library_inventory(library, true, &elements, &count, &err), err);
    for (size_t i = 0; i < count; i++) {
        if (!elements[i].full || strcmp(elements[i].barcode.text, barcode) != 0)
            continue;
        assert_int_equal(found, 0);
        found = elements[i].address;
    }
    return found;
}

void
test_fill(uint8_t *bytes, size_t size, uint64_t first_cluster)
{
    for (size_t i = 0; i < size; i += 8)
        varve_put_le64(bytes + i, (first_cluster * VARVE_CLUSTER_BYTES + i) * 0x9e3779b97f4a7c15);
}

static uint32_t
sense_of(const struct varve_scsi_command *command)
{
    if (command->status == 0)
        return 0;
    struct varve_scsi_sense sense;
    varve_scsi_sense_decode(command->sense, command->sense_bytes, &sense);
    assert_true(sense.valid);
    return (uint32_t)sense.key << 16 | (uint32_t)sense.asc << 8 | sense.ascq;
}

uint32_t
test_send(struct varve_scsi_port *port, const uint8_t *cdb, size_t cdb_bytes,
          struct test_answer *ret)
{
    struct varve_error err = {0};
    struct varve_scsi_command command = {
        .cdb_bytes = (uint8_t)cdb_bytes,
        .direction = VARVE_SCSI_FROM_DEVICE,
        .data = ret->data,
        .data_bytes = sizeof ret->data,
        .timeout_ms = 60000,
    };
    memcpy(command.cdb, cdb, cdb_bytes);
    EXPECT_OK(port->execute(port, &command, &err), err);
    ret->received = command.received_bytes;
    ret->sense = sense_of(&command);
    return ret->sense;
}

uint32_t
test_write(struct varve_scsi_port *port, uint32_t lba, uint16_t sectors, const uint8_t *data)
{
    struct varve_error err = {0};
    struct varve_scsi_command command = {
        .cdb = {0x2a},
        .cdb_bytes = 10,
        .direction = VARVE_SCSI_TO_DEVICE,
        .data = (uint8_t *)(uintptr_t)data,
        .data_bytes = sectors * 2048u,
        .timeout_ms = 60000,
    };
    varve_put_be32(command.cdb + 2, lba);
    varve_put_be16(command.cdb + 7, sectors);
    EXPECT_OK(port->execute(port, &command, &err), err);
    return sense_of(&command);
}
