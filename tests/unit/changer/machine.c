/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <string.h>

uint32_t
machine_send(struct machine *f, struct varve_scsi_port *port, const uint8_t *cdb)
{
    return test_send(port, cdb, 12, &f->answer);
}

uint32_t
machine_settle(struct machine *f, struct varve_scsi_port *port)
{
    uint32_t sense = 0;
    for (unsigned i = 0; i < 20; i++) {
        sense = machine_send(f, port, CDB(0x00));
        if (sense >> 16 != 6 && sense != 0x020401)
            return sense;
    }
    return sense;
}

void
machine_script(struct machine *f, const char *text)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_virtual_script(f->folder, text, &err), err);
}

int
machine_setup(void **state)
{
    struct machine *f = calloc(1, sizeof *f);
    struct varve_error err = {0};
    assert_non_null(f);
    f->dir = test_dir_new();
    varve_clock_sim_init(&f->clock, 1000 * VARVE_NS_PER_SECOND);
    struct varve_virtual_options options = {
        .slots = 6, .drives = 2, .mail_slots = 2, .disc_bytes = 4u << 20};
    EXPECT_OK(varve_virtual_create(f->dir, &options, &err), err);
    EXPECT_OK(varve_virtual_open(f->dir, &f->clock.clock, &f->folder, &err), err);
    EXPECT_OK(varve_virtual_changer_port(f->folder, &f->changer, &err), err);
    EXPECT_OK(varve_virtual_drive_port(f->folder, 0, &f->drive, &err), err);
    assert_int_equal(machine_settle(f, f->changer), 0);
    test_fill(f->data, sizeof f->data, 0);
    *state = f;
    return 0;
}

int
machine_teardown(void **state)
{
    struct machine *f = *state;
    f->changer->close(f->changer);
    f->drive->close(f->drive);
    varve_virtual_close(f->folder);
    test_dir_done(f->dir);
    free(f);
    return 0;
}

uint32_t
machine_move(struct machine *f, uint16_t from, uint16_t to)
{
    return machine_send(
        f, f->changer,
        CDB(0xa5, 0, 0, 1, (uint8_t)(from >> 8), (uint8_t)from, (uint8_t)(to >> 8), (uint8_t)to));
}

void
machine_load(struct machine *f)
{
    assert_int_equal(machine_move(f, 1024, 256), 0);
    assert_int_equal(machine_settle(f, f->drive), 0);
}

uint32_t
machine_write(struct machine *f, uint32_t lba)
{
    return test_write(f->drive, lba, 32, f->data);
}

uint32_t
machine_read(struct machine *f, uint32_t lba, uint8_t count)
{
    return machine_send(f, f->drive,
                        CDB(0x28, 0, 0, 0, (uint8_t)(lba >> 8), (uint8_t)lba, 0, 0, count));
}

uint32_t
machine_status(struct machine *f, uint8_t type, uint16_t count, uint8_t byte6)
{
    memset(f->answer.data, 0, sizeof f->answer.data);
    return machine_send(f, f->changer,
                        CDB(0xb8, (uint8_t)(0x10 | type), 0, 0, (uint8_t)(count >> 8),
                            (uint8_t)count, byte6, 0, 0x40, 0));
}

const uint8_t *
machine_descriptor(const struct machine *f, unsigned index)
{
    return f->answer.data + 16 + index * 52u;
}

bool
machine_execute(struct machine *f, struct varve_scsi_port *port, struct varve_scsi_command *command,
                struct varve_error *err)
{
    command->data = f->answer.data;
    command->data_bytes = sizeof f->answer.data;
    command->timeout_ms = 60000;
    return port->execute(port, command, err);
}
