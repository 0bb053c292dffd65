/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a virtual library is made, refused, filled and reopened as virtual.h says. */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <varve/file.h>

struct fixture {
    char *dir;
    char path[600];
    struct varve_clock_sim clock;
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->dir = test_dir_new();
    varve_clock_sim_init(&f->clock, 0);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    test_dir_done(f->dir);
    free(f);
    return 0;
}

static void
create(struct fixture *f)
{
    struct varve_error err = {0};
    struct varve_virtual_options options = {
        .slots = 3, .drives = 1, .mail_slots = 1, .disc_bytes = TEST_DISC_BYTES, .barcode = "T-"};
    EXPECT_OK(varve_virtual_create(f->dir, &options, &err), err);
}

static const char *
in_dir(struct fixture *f, const char *name)
{
    (void)snprintf(f->path, sizeof f->path, "%s/%s", f->dir, name);
    return f->path;
}

static void
test_create(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    create(f);
    assert_int_equal(access(in_dir(f, "discs/T-00003.json"), F_OK), 0);
    assert_int_equal(access(in_dir(f, "discs/T-00003.img"), F_OK), -1);
    assert_int_equal(access(in_dir(f, "discs/T-00004.json"), F_OK), -1);
    struct varve_virtual_options options = {.slots = 1, .drives = 1, .disc_bytes = TEST_DISC_BYTES};
    assert_false(varve_virtual_create(f->dir, &options, &err));
    assert_int_equal(err.kind, VARVE_ERROR_EXISTS);
}

static void
test_create_refuses(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct varve_virtual_options options;
        const char *text;
    } cases[] = {
        {{.slots = 0, .drives = 1, .disc_bytes = TEST_DISC_BYTES}, "0 slots: must be 1 to 60000"},
        {{.slots = 1, .drives = 0, .disc_bytes = TEST_DISC_BYTES}, "0 drives: must be 1 to 768"},
        {{.slots = 1, .drives = 1, .mail_slots = 241, .disc_bytes = TEST_DISC_BYTES},
         "241 mail slots: must be 0 to 240"},
        {{.slots = 1, .drives = 1, .disc_bytes = 65536},
         "discs of 65536 bytes: must be a multiple of 64 KiB from 4 MiB to 8 TiB"},
        {{.slots = 1, .drives = 1, .disc_bytes = TEST_DISC_BYTES + 2048},
         "discs of 4196352 bytes: must be a multiple of 64 KiB from 4 MiB to 8 TiB"},
        {{.slots = 1, .drives = 1, .disc_bytes = TEST_DISC_BYTES, .barcode = "a/b"},
         "bar code prefix 'a/b': must be 1 to 15 of A-Z a-z 0-9 _ - ."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_error err = {0};
        assert_false(varve_virtual_create(f->dir, &cases[i].options, &err));
        assert_int_equal(err.kind, VARVE_ERROR_INVALID);
        assert_non_null(strstr(err.text, cases[i].text));
    }
    assert_int_equal(access(in_dir(f, "library.json"), F_OK), -1);
}

static void
test_open_is_exclusive(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_virtual *one, *two;
    create(f);
    EXPECT_OK(varve_virtual_open(f->dir, &f->clock.clock, &one, &err), err);
    assert_false(varve_virtual_open(f->dir, &f->clock.clock, &two, &err));
    assert_int_equal(err.kind, VARVE_ERROR_BUSY);
    char holder[32];
    (void)snprintf(holder, sizeof holder, "process %ld", (long)getpid());
    assert_non_null(strstr(err.text, holder));
    struct varve_scsi_port *port, *again;
    EXPECT_OK(varve_virtual_drive_port(one, 0, &port, &err), err);
    assert_false(varve_virtual_drive_port(one, 0, &again, &err));
    assert_int_equal(err.kind, VARVE_ERROR_BUSY);
    assert_false(varve_virtual_drive_port(one, 1, &again, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
    port->close(port);
    varve_virtual_close(one);
}

#define HEAD                                                                                       \
    "{\"varve_virtual_library\": 1, \"serial\": \"ABCDEF\", \"slots\": 2, \"drives\": 1, "         \
    "\"mail_slots\": 0, \"barcode\": \"T\", \"next_number\": 1, \"discs\": "

static void
test_open_refuses_broken_lists(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"", "library.json': line 1"},
        {"{\n\"slots\": \n", "library.json': line 3"},
        {"{}", "\"varve_virtual_library\" must be a number from 0 to 1"},
        {"{\"varve_virtual_library\": 2}",
         "\"varve_virtual_library\" must be a number from 0 to 1"},
        {HEAD "{}}", "\"discs\" must be a list of at most 4"},
        {HEAD "[{}]}", "\"barcode\" is no bar code"},
        {HEAD "[{\"barcode\": \"../x\", \"element\": 1024}]}", "\"barcode\" is no bar code"},
        {HEAD "[{\"barcode\": \"A\", \"element\": -1}]}",
         "disc 'A': \"element\" must be a number from 0 to 65535"},
        {HEAD "[{\"barcode\": \"A\", \"element\": 1026}]}",
         "disc 'A': the library has no element 1026"},
        {HEAD "[{\"barcode\": \"A\", \"element\": 1024}, {\"barcode\": \"B\", \"element\": 1024}]}",
         "discs 'A' and 'B' are both in element 1024"},
        {HEAD "[{\"barcode\": \"A\", \"element\": 1024}, {\"barcode\": \"A\", \"element\": 1025}]}",
         "disc 'A' is there twice"},
    };
    create(f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_error err = {0};
        struct varve_virtual *folder;
        const char *path = in_dir(f, "library.json");
        EXPECT_OK(varve_file_replace(path, cases[i].json, strlen(cases[i].json), &err), err);
        assert_false(varve_virtual_open(f->dir, &f->clock.clock, &folder, &err));
        assert_int_equal(err.kind, VARVE_ERROR_INVALID);
        if (strstr(err.text, cases[i].text) == NULL || strstr(err.text, "library.json") == NULL)
            fail_msg("%s", err.text);
    }
}

/* Status byte of the mail slot, or of the first slot. */
static unsigned
flags_of(struct varve_scsi_port *changer, uint8_t type)
{
    static struct test_answer answer;
    const uint8_t status[12] = {0xb8, (uint8_t)(0x10 | type), 0, 0, 0, 1, 0, 0, 4, 0};
    assert_int_equal(test_send(changer, status, 12, &answer), 0);
    return answer.data[18];
}

static void
test_insert(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_virtual *folder;
    struct varve_scsi_port *changer;
    static struct test_answer answer;
    static uint8_t image[3 * VARVE_SECTOR_BYTES];
    const uint8_t ready[6] = {0};
    create(f);
    EXPECT_OK(varve_virtual_open(f->dir, &f->clock.clock, &folder, &err), err);
    EXPECT_OK(varve_virtual_changer_port(folder, &changer, &err), err);
    assert_int_equal(test_send(changer, ready, 6, &answer), 0x062900);
    char from[600];
    (void)snprintf(from, sizeof from, "%s/foreign.iso", f->dir);
    struct varve_barcode name = test_barcode("FOREIGN1");
    assert_false(varve_virtual_insert(folder, from, &name, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
    EXPECT_OK(varve_file_replace(from, image, 1000, &err), err);
    assert_false(varve_virtual_insert(folder, from, &name, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
    EXPECT_OK(varve_file_replace(from, image, sizeof image, &err), err);
    EXPECT_OK(varve_virtual_insert(folder, from, &name, &err), err);
    assert_int_equal(test_send(changer, ready, 6, &answer), 0x062801);
    assert_int_equal(flags_of(changer, 3), 0x3b); /* full, by the operator */
    assert_false(varve_virtual_insert(folder, from, &name, &err));
    assert_int_equal(err.kind, VARVE_ERROR_EXISTS);
    struct varve_barcode more = test_barcode("FOREIGN2");
    assert_false(varve_virtual_insert(folder, from, &more, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NO_SPACE);

    /* The operator takes it away, and puts it in again. */
    assert_int_equal(unlink(in_dir(f, "discs/FOREIGN1.img")), 0);
    assert_int_equal(flags_of(changer, 3), 0x38);
    EXPECT_OK(varve_virtual_insert(folder, from, &name, &err), err);
    assert_int_equal(test_send(changer, ready, 6, &answer), 0x062801);
    assert_int_equal(flags_of(changer, 3), 0x3b);
    changer->close(changer);
    varve_virtual_close(folder);
}

static void
test_faults(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_virtual *folder;
    struct varve_scsi_port *changer;
    static struct test_answer answer;
    const uint8_t ready[6] = {0};
    create(f);
    EXPECT_OK(varve_virtual_open(f->dir, &f->clock.clock, &folder, &err), err);
    EXPECT_OK(varve_virtual_changer_port(folder, &changer, &err), err);
    struct varve_virtual_fault third = {
        .on_changer = true, .nth = 3, .key = 4, .asc = 0x44, .ascq = 0};
    struct varve_virtual_fault fifth = {.on_changer = true, .nth = 5, .dead = true};
    EXPECT_OK(varve_virtual_inject(folder, &third, &err), err);
    EXPECT_OK(varve_virtual_inject(folder, &fifth, &err), err);
    assert_int_equal(test_send(changer, ready, 6, &answer), 0x062900);
    assert_int_equal(test_send(changer, ready, 6, &answer), 0);
    assert_int_equal(test_send(changer, ready, 6, &answer), 0x044400);
    assert_int_equal(test_send(changer, ready, 6, &answer), 0);
    struct varve_scsi_command command = {.cdb_bytes = 6};
    for (unsigned i = 0; i < 2; i++) {
        assert_false(changer->execute(changer, &command, &err));
        assert_int_equal(err.kind, VARVE_ERROR_HARDWARE);
    }
    changer->close(changer);
    EXPECT_OK(varve_virtual_changer_port(folder, &changer, &err), err);
    assert_int_equal(test_send(changer, ready, 6, &answer), 0x062900);
    struct varve_virtual_fault nowhere = {.drive = 9, .nth = 1};
    assert_false(varve_virtual_inject(folder, &nowhere, &err));
    for (unsigned i = 0; i < 256; i++)
        EXPECT_OK(varve_virtual_inject(folder, &third, &err), err);
    assert_false(varve_virtual_inject(folder, &third, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NO_SPACE);
    changer->close(changer);
    varve_virtual_close(folder);
}

/* Killed between making the image and saying that it must exist: the disc is blank still, and once
 * it is written, deleting the image takes it out of the library. */
static void
test_empty_image_left_behind(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_virtual *folder;
    struct varve_scsi_port *changer, *drive;
    static struct test_answer answer;
    static uint8_t data[VARVE_CLUSTER_BYTES];
    const uint8_t ready[6] = {0};
    const uint8_t load[12] = {0xa5, 0, 0, 1, 4, 0, 1, 0};
    create(f);
    EXPECT_OK(varve_file_replace(in_dir(f, "discs/T-00001.img"), data, 0, &err), err);
    EXPECT_OK(varve_virtual_open(f->dir, &f->clock.clock, &folder, &err), err);
    EXPECT_OK(varve_virtual_changer_port(folder, &changer, &err), err);
    EXPECT_OK(varve_virtual_drive_port(folder, 0, &drive, &err), err);
    assert_int_equal(test_send(changer, ready, 6, &answer), 0x062900);
    assert_int_equal(test_send(changer, load, 12, &answer), 0);
    for (unsigned i = 0; i < 10 && test_send(drive, ready, 6, &answer) != 0; i++)
        continue;
    assert_int_equal(answer.sense, 0);
    assert_int_equal(test_write(drive, 0, 32, data), 0);
    assert_int_equal(flags_of(changer, 4), 0x09);
    assert_int_equal(unlink(in_dir(f, "discs/T-00001.img")), 0);
    assert_int_equal(flags_of(changer, 4), 0x08);
    assert_int_equal(test_send(drive, ready, 6, &answer), 0x023a00);
    changer->close(changer);
    drive->close(drive);
    varve_virtual_close(folder);
}

/* A library of 5000 discs opens, and is counted, in well under a second each. */
static void
test_large(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_virtual *folder;
    struct varve_scsi_port *changer, *drive;
    struct varve_library *library;
    struct test_journal journal = {0};
    struct varve_virtual_options options = {
        .slots = 5000, .drives = 1, .mail_slots = 1, .disc_bytes = TEST_DISC_BYTES};
    EXPECT_OK(varve_virtual_create(f->dir, &options, &err), err);
    int64_t began = varve_clock_monotonic(varve_clock_system());
    EXPECT_OK(varve_virtual_open(f->dir, &f->clock.clock, &folder, &err), err);
    EXPECT_OK(varve_virtual_changer_port(folder, &changer, &err), err);
    EXPECT_OK(varve_virtual_drive_port(folder, 0, &drive, &err), err);
    struct varve_library_ports ports = {"lib", changer, &drive, 1};
    struct varve_move_journal out = test_journal_port(&journal);
    EXPECT_OK(varve_library_new(&ports, &out, &f->clock.clock, &library, &err), err);
    struct varve_barcode last = test_barcode("VRV05000");
    EXPECT_OK(varve_library_load(library, &last, 0, &err), err);
    int64_t took = varve_clock_monotonic(varve_clock_system()) - began;
    print_message("5000 discs: opened, counted and one loaded in %ld ms\n",
                  (long)(took / VARVE_NS_PER_MS));
    assert_true(took < 10 * VARVE_NS_PER_SECOND); /* generous: shared machines, sanitizers */
    assert_int_equal(test_where(library, "VRV05000"), 256);
    varve_library_free(library);
    varve_virtual_close(folder);
}

static void
write_text(const char *dir, const char *name, const char *text)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

/* A folder as the first version wrote it: opened, used, and then still with all its discs. */
static void
test_old_folder(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    char discs[600];
    (void)snprintf(discs, sizeof discs, "%s/discs", f->dir);
    assert_int_equal(mkdir(discs, 0700), 0);
    write_text(f->dir, "library.json",
               "{\n  \"varve_virtual_library\": 1,\n  \"serial\": \"3FA90C\",\n  \"slots\": 2,\n"
               "  \"drives\": 1,\n  \"mail_slots\": 1,\n  \"barcode\": \"VRV\",\n"
               "  \"next_number\": 3,\n  \"discs\": [\n"
               "    {\"barcode\": \"VRV00001\", \"element\": 1024, \"written\": false, "
               "\"source\": 256},\n"
               "    {\"barcode\": \"VRV00002\", \"element\": 16, \"written\": false, "
               "\"imported\": true}\n  ]\n}\n");
    for (unsigned i = 1; i <= 2; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "discs/VRV%05u.json", i);
        write_text(f->dir, name,
                   "{\"kind\": \"BD-R SRM\", \"capacity_sectors\": 2048, \"closed\": false}\n");
    }
    for (unsigned again = 0; again < 2; again++) {
        struct varve_virtual *folder;
        struct varve_scsi_port *changer;
        struct test_answer answer;
        static const uint8_t ready[6] = {0x00};
        static const uint8_t there[12] = {0xa5, 0, 0, 1, 4, 0, 1, 0};
        static const uint8_t back[12] = {0xa5, 0, 0, 1, 1, 0, 4, 0};
        EXPECT_OK(varve_virtual_open(f->dir, &f->clock.clock, &folder, &err), err);
        EXPECT_OK(varve_virtual_changer_port(folder, &changer, &err), err);
        assert_int_equal(test_send(changer, ready, 6, &answer), 0x062900);
        assert_int_equal(test_send(changer, there, 12, &answer), 0);
        assert_int_equal(test_send(changer, back, 12, &answer), 0);
        EXPECT_OK(varve_virtual_script(folder, "now swap 1024 16", &err), err);
        changer->close(changer);
        varve_virtual_close(folder);
    }
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_create),
        CASE(test_create_refuses),
        CASE(test_open_is_exclusive),
        CASE(test_open_refuses_broken_lists),
        CASE(test_old_folder),
        CASE(test_insert),
        CASE(test_faults),
        CASE(test_empty_image_left_behind),
        CASE(test_large),
    };
    return cmocka_run_group_tests_name("virtual", tests, NULL, NULL);
}
