/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts, an operator and a script at work on one virtual library at once neither block each other
 * for ever nor lose a disc (run it under ThreadSanitizer, too). */
#include "machine.h"

#include <pthread.h>
#include <string.h>
#include <varve/byteorder.h>

#define ROUNDS 300u

struct worker {
    struct varve_virtual *folder;
    struct varve_scsi_port *port; /* NULL: the operator */
    uint64_t state;
    bool is_changer;
};

static uint32_t
roll(struct worker *worker, uint32_t below)
{
    worker->state = worker->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(worker->state >> 33) % below;
}

static void
send_one(struct worker *worker, uint8_t data[65536])
{
    static const uint8_t drive_opcodes[] = {0x00, 0x28, 0x2a, 0x51, 0x52, 0x1b, 0x1e, 0x5c, 0x03};
    struct varve_error err = {0};
    struct varve_scsi_command c = {.cdb_bytes = 12, .data = data, .data_bytes = 65536};
    if (worker->is_changer) {
        c.cdb[0] = roll(worker, 3) == 0 ? 0xb8 : 0xa5;
        varve_put_be16(c.cdb + 4, (uint16_t)(roll(worker, 2) ? 1024 + roll(worker, 6) : 256));
        varve_put_be16(c.cdb + 6, (uint16_t)(roll(worker, 2) ? 1024 + roll(worker, 6) : 256));
        if (c.cdb[0] == 0xb8)
            memcpy(c.cdb, CDB(0xb8, 0x10, 0, 0, 0, 255, 0, 0, 0xff, 0), 12);
    } else {
        c.cdb[0] = drive_opcodes[roll(worker, sizeof drive_opcodes)];
        if (c.cdb[0] == 0x2a || c.cdb[0] == 0x28)
            c.cdb[8] = 32;
        if (c.cdb[0] == 0x1b)
            c.cdb[4] = (uint8_t)(2 + roll(worker, 2));
        if (c.cdb[0] == 0x1e)
            c.cdb[4] = (uint8_t)roll(worker, 2);
    }
    (void)!worker->port->execute(worker->port, &c, &err); /* any answer will do */
}

static void
upset(struct worker *worker)
{
    static const char *const lines[] = {
        "now attention drive any 3F/01, attention changer 28/00",
        "now stale 1024, label VRV00001 OTHER",
        "now label VRV00001 VRV00001, power changer",
        "now swap 1024 1025",
        "now cables 0 1",
        "now power drive 0",
        "quirk tur-busy\nquirk status-short",
        "now door-force, door-close",
        "now trouble VRV00002 dirty",
        "now trouble VRV00002 none, ready",
        "on drive any any chance 1/9: busy\non changer move disc VRV00003: stick",
    };
    VARVE_CLEANUP_BUFFER struct varve_buffer seen = {0};
    struct varve_error err = {0};
    const char *line = lines[roll(worker, sizeof lines / sizeof lines[0])];
    (void)!varve_virtual_script(worker->folder, line, &err); /* the state may forbid it */
    if (roll(worker, 4) == 0)
        varve_virtual_calm(worker->folder);
    if (roll(worker, 4) == 0)
        (void)!varve_virtual_describe(worker->folder, &seen, &err);
}

static void *
work(void *argument)
{
    struct worker *worker = argument;
    uint8_t *data = calloc(1, 65536);
    for (unsigned i = 0; data != NULL && i < ROUNDS; i++) {
        if (worker->port != NULL)
            send_one(worker, data);
        else
            upset(worker);
    }
    free(data);
    return NULL;
}

static unsigned
count_discs(struct machine *m)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    struct varve_error err = {0};
    unsigned count = 0;
    EXPECT_OK(varve_virtual_describe(m->folder, &text, &err), err);
    const char *at = varve_buffer_string(&text);
    while ((at = strstr(at, "\"barcode\"")) != NULL) {
        at++;
        count++;
    }
    return count;
}

static void
test_all_at_once(void **state)
{
    struct machine *m = *state;
    struct varve_error err = {0};
    struct varve_scsi_port *second, *foreign;
    EXPECT_OK(varve_virtual_drive_port(m->folder, 1, &second, &err), err);
    EXPECT_OK(varve_virtual_foreign_port(m->folder, -1, &foreign, &err), err);
    struct worker workers[] = {
        {m->folder, m->changer, 1, true}, {m->folder, foreign, 2, true},
        {m->folder, m->drive, 3, false},  {m->folder, second, 4, false},
        {m->folder, NULL, 5, false},
    };
    enum { COUNT = sizeof workers / sizeof workers[0] };
    pthread_t threads[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(count_discs(m), 6);
    second->close(second);
    foreign->close(foreign);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_at_once, machine_setup, machine_teardown),
    };
    return cmocka_run_group_tests_name("unrest", tests, NULL, NULL);
}
