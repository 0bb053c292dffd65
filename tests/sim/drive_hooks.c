/* SPDX-License-Identifier: Apache-2.0 */
#include "drive_hooks.h"

#include <signal.h>
#include <string.h>
#include <varve/byteorder.h>
#include <varve/scsi.h>

struct hooked {
    struct varve_scsi_port port;
    struct hooks *hooks;
    unsigned number;
    struct varve_scsi_port *inner[2]; /* its own, and that of the drive it may be swapped with */
};

static bool
is(const struct varve_scsi_command *command, uint8_t short_opcode, uint8_t long_opcode)
{
    return command->cdb[0] == short_opcode || command->cdb[0] == long_opcode;
}

static void
refuse(struct varve_scsi_command *command, uint8_t key, uint8_t asc)
{
    command->status = 2;
    command->received_bytes = 0;
    memset(command->sense, 0, 18);
    command->sense[0] = 0x70;
    command->sense[2] = key;
    command->sense[7] = 10;
    command->sense[12] = asc;
    command->sense_bytes = 18;
}

static void
note_write(struct hooks *hooks, const struct varve_scsi_command *command)
{
    unsigned count = atomic_fetch_add(&hooks->writes, 1) + 1;
    if (count == 1)
        atomic_store(&hooks->first_lba, varve_get_be32(&command->cdb[2]));
    if (count == atomic_load(&hooks->kill_at))
        (void)raise(SIGKILL);
}

static bool
execute(struct varve_scsi_port *port, struct varve_scsi_command *command, struct varve_error *err)
{
    struct hooked *hooked = (struct hooked *)(void *)port;
    struct hooks *hooks = hooked->hooks;
    bool swapped = atomic_load(&hooks->swapped) && hooked->inner[1] != NULL;
    struct varve_scsi_port *inner = hooked->inner[swapped ? 1 : 0];
    unsigned bit = 1u << (swapped ? 1 - hooked->number : hooked->number);
    if (is(command, 0x2A, 0xAA))
        note_write(hooks, command);
    if (command->cdb[0] == 0x12 && (command->cdb[1] & 1) != 0 && atomic_load(&hooks->anonymous)) {
        refuse(command, 5, 0x24);
        return true;
    }
    bool reads = is(command, 0x28, 0xA8);
    uint32_t last = varve_get_be32(&command->cdb[2]) + command->data_bytes / VARVE_SECTOR_BYTES;
    if (reads && (atomic_load(&hooks->blind) & bit) != 0 &&
        last > atomic_load(&hooks->blind_from)) {
        refuse(command, 3, 0x11);
        return true;
    }
    if (!inner->execute(inner, command, err))
        return false;
    if (reads && (atomic_load(&hooks->liars) & bit) != 0 && command->received_bytes > 0)
        command->data[command->received_bytes / 2] ^= 1;
    return true;
}

static void
close_hooked(struct varve_scsi_port *port)
{
    struct hooked *hooked = (struct hooked *)(void *)port;
    hooked->inner[0]->close(hooked->inner[0]);
    free(hooked);
}

static void
wrap(struct bench *bench, size_t library, struct varve_scsi_port **drives, size_t count)
{
    struct varve_scsi_port *inner[16];
    if (library != 0 || count > 16)
        return;
    memcpy(inner, drives, count * sizeof inner[0]);
    for (size_t i = 0; i < count; i++) {
        struct hooked *hooked = calloc(1, sizeof *hooked);
        if (hooked == NULL)
            abort();
        *hooked = (struct hooked){.port = *inner[i],
                                  .hooks = bench->context,
                                  .number = (unsigned)i,
                                  .inner = {inner[i], i < 2 && count > 1 ? inner[1 - i] : NULL}};
        hooked->port.execute = execute;
        hooked->port.close = close_hooked;
        drives[i] = &hooked->port;
    }
}

void
hooks_set(struct bench *bench, struct hooks *hooks)
{
    bench->wrap = wrap;
    bench->context = hooks;
}
