/* SPDX-License-Identifier: Apache-2.0 */
/* Device server of the changer: SMC-3 over the model. Callers hold no lock. */
#include "virtual_internal.h"

#include <string.h>
#include <varve/buffer.h>
#include <varve/byteorder.h>

/* Gripper, slots, mail slots, drives; each may go to each. */
#define ANY_ELEMENT 0x0f

static bool
quirky(const struct varve_virtual *library, enum varve_virtual_quirk quirk)
{
    return virtual_has(&library->changer, quirk);
}

static void
put_range(uint8_t *at, unsigned first, unsigned count)
{
    varve_put_be16(at, (uint16_t)(count > 0 ? first : 0));
    varve_put_be16(at + 2, (uint16_t)count);
}

/* SMC-3: element address assignment, transport geometry, device capabilities. False: no such page.
 */
static bool
append_page(const struct varve_virtual *library, uint8_t page, struct varve_buffer *out)
{
    uint8_t bytes[20] = {page};
    switch (page) {
    case 0x1d:
        bytes[1] = 0x12;
        put_range(bytes + 2, VIRTUAL_TRANSPORT, quirky(library, VARVE_VIRTUAL_NO_GRIPPER) ? 0 : 1);
        put_range(bytes + 6, VIRTUAL_SLOT_FIRST, library->slots);
        put_range(bytes + 10, VIRTUAL_MAIL_FIRST, library->mail_slots);
        put_range(bytes + 14, VIRTUAL_DRIVE_FIRST, library->drive_count);
        varve_buffer_append(out, bytes, 20);
        return true;
    case 0x1e: /* one gripper; ROTATE: it can turn discs over */
        bytes[1] = 0x02;
        bytes[2] = library->two_sided ? 0x01 : 0;
        varve_buffer_append(out, bytes, 4);
        return true;
    case 0x1f: /* moves and exchanges in all directions */
        bytes[1] = 0x12;
        memset(bytes + 2, ANY_ELEMENT, 1);
        memset(bytes + 4, ANY_ELEMENT, 4);
        if (!quirky(library, VARVE_VIRTUAL_NO_EXCHANGE))
            memset(bytes + 12, ANY_ELEMENT, 4);
        varve_buffer_append(out, bytes, 20);
        return true;
    default:
        return false;
    }
}

/* SPC-4, MODE SENSE (6) and (10) */
static void
mode_sense(struct varve_virtual *library, struct varve_scsi_command *command)
{
    bool ten = command->cdb[0] == 0x5a;
    uint8_t page = command->cdb[2] & 0x3f;
    uint32_t allocation = ten ? varve_get_be16(command->cdb + 7) : command->cdb[4];
    if (command->cdb[2] >> 6 == 3) {
        virtual_refuse(command, 5, 0x39, 0x00);
        return;
    }
    bool no_blocks = command->cdb[1] & 0x08;
    if (no_blocks && quirky(library, VARVE_VIRTUAL_NO_DBD)) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    VARVE_CLEANUP_BUFFER struct varve_buffer out = {0};
    varve_buffer_zeros(&out, ten ? 8 : 4);
    if (!no_blocks && quirky(library, VARVE_VIRTUAL_MODE_BLOCKS)) {
        out.data[ten ? 7 : 3] = 8;
        varve_buffer_zeros(&out, 8);
    }
    for (uint8_t each = 0x1d; each <= 0x1f; each++) {
        if (page == 0x3f || page == each)
            (void)append_page(library, each, &out);
    }
    bool known = page == 0x3f || (page >= 0x1d && page <= 0x1f);
    if (!known || command->cdb[3] != 0 || out.failed) {
        virtual_refuse(command, 5, 0x24, 0x00);
        return;
    }
    if (ten)
        varve_put_be16(out.data, (uint16_t)(out.size - 2));
    else
        out.data[0] = (uint8_t)(out.size - 1);
    virtual_answer(command, out.data, out.size, allocation);
}

static struct virtual_drive *
drive_at(struct varve_virtual *library, uint16_t address)
{
    if (virtual_index(library, address) < 0 || virtual_type(address) != VARVE_ELEMENT_DRIVE)
        return NULL;
    return &library->drives[address - VIRTUAL_DRIVE_FIRST];
}

/* --- moving --- */

/* A move refused before the gripper does anything, with the sense of the table in reference 1.6. */
static bool
refuse_end(struct varve_virtual *library, struct varve_scsi_command *command, uint16_t element)
{
    const struct virtual_mark *mark = virtual_mark_of(library, element);
    if (virtual_is_absent(library, element))
        virtual_refuse(command, 5, 0x3b, 0x12);
    else if (mark != NULL && mark->except)
        virtual_refuse(command, 5, 0x3b, 0x18); /* medium magazine or element not there */
    else
        return false;
    return true;
}

/* Taking a disc out of `from`. */
static bool
refuse_source(struct varve_virtual *library, struct varve_scsi_command *command, uint16_t from)
{
    struct virtual_drive *drive = drive_at(library, from);
    if (refuse_end(library, command, from))
        return true;
    if (virtual_at(library, from) == NULL)
        virtual_refuse(command, 5, 0x3b, 0x0e);
    else if (drive != NULL && (virtual_is_prevented(&drive->device) || drive->locked))
        virtual_refuse(command, 5, 0x53, 0x02);
    else if (drive != NULL &&
             (drive->held || (quirky(library, VARVE_VIRTUAL_EJECT_FIRST) && !drive->tray_open)))
        virtual_refuse(command, 4, 0x53, 0x00);
    else
        return false;
    return true;
}

static void
put_into_drive(struct varve_virtual *library, uint16_t address)
{
    const struct virtual_place *place = virtual_at(library, address);
    struct virtual_drive *drive = drive_at(library, address);
    if (drive == NULL || place == NULL)
        return;
    virtual_drive_remove(drive); /* what was in it is gone */
    virtual_drive_insert(drive, &place->barcode, place->inverted);
    if (quirky(library, VARVE_VIRTUAL_LOAD_AFTER))
        drive->tray_open = true;
}

/* Model lock and the locks of both drives are held. */
static bool
relocate(struct varve_virtual *library, struct varve_scsi_command *command, uint16_t from,
         uint16_t to)
{
    struct virtual_drive *source = drive_at(library, from);
    struct virtual_move move = {
        .from = from, .to = to, .invert = command->cdb[0] == 0xa5 && command->cdb[10] & 0x01};
    struct varve_error failed = {0};
    if (!virtual_relocate(library, &move, &failed)) {
        virtual_refuse(command, 4, 0x44, 0x00); /* the folder could not be written */
        return false;
    }
    if (source != NULL)
        virtual_drive_remove(source);
    put_into_drive(library, to);
    return true;
}

static void
move_locked(struct varve_virtual *library, struct varve_scsi_command *command,
            const uint16_t ends[3])
{
    uint16_t from = ends[0], to = ends[1];
    if (refuse_source(library, command, from) || refuse_end(library, command, to))
        return;
    if (from == to || virtual_at(library, to) != NULL)
        virtual_refuse(command, 5, 0x3b, 0x0d);
    else if (relocate(library, command, from, to))
        virtual_good(command);
}

/* SMC-3, EXCHANGE MEDIUM: the disc of ends[1] goes to ends[2], that of ends[0] to ends[1]. By way
 * of the gripper, as two discs are under way at once. */
static void
exchange_locked(struct varve_virtual *library, struct varve_scsi_command *command,
                const uint16_t ends[3])
{
    if (refuse_source(library, command, ends[0]) || refuse_source(library, command, ends[1]) ||
        refuse_end(library, command, ends[2]))
        return;
    bool room = ends[2] == ends[0] || virtual_at(library, ends[2]) == NULL;
    if (ends[0] == ends[1] || ends[1] == ends[2] || !room ||
        virtual_at(library, VIRTUAL_TRANSPORT) != NULL) {
        virtual_refuse(command, 5, 0x3b, 0x0d);
        return;
    }
    if (relocate(library, command, ends[0], VIRTUAL_TRANSPORT) &&
        relocate(library, command, ends[1], ends[2]) &&
        relocate(library, command, VIRTUAL_TRANSPORT, ends[1]))
        virtual_good(command);
}

static int
compare_addresses(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* Drives by ascending number, each once, then the model. */
static void
with_drives(struct varve_virtual *library, struct varve_scsi_command *command,
            const uint16_t ends[3],
            void (*act)(struct varve_virtual *, struct varve_scsi_command *, const uint16_t *))
{
    uint16_t sorted[3] = {ends[0], ends[1], ends[2]};
    pthread_mutex_t *held[4];
    unsigned count = 0;
    qsort(sorted, 3, sizeof sorted[0], compare_addresses);
    for (unsigned i = 0; i < 3; i++) {
        struct virtual_drive *drive = drive_at(library, sorted[i]);
        if (drive != NULL && (i == 0 || sorted[i] != sorted[i - 1]))
            held[count++] = varve_lock_enter(&drive->lock);
    }
    held[count++] = varve_lock_enter(&library->lock);
    act(library, command, ends);
    while (count > 0)
        varve_lock_leave(&held[--count]);
}

static bool
refuse_addresses(const struct varve_virtual *library, struct varve_scsi_command *command,
                 const uint16_t ends[3])
{
    uint16_t transport = varve_get_be16(command->cdb + 2);
    bool bad = transport != 0 && transport != VIRTUAL_TRANSPORT;
    for (unsigned i = 0; i < 3; i++)
        bad = bad || virtual_index(library, ends[i]) < 0;
    if (!bad)
        return false;
    if (quirky(library, VARVE_VIRTUAL_MOVE_FIELD))
        virtual_refuse(command, 5, 0x24, 0x00);
    else
        virtual_refuse(command, 5, 0x21, 0x01);
    return true;
}

/* The arm is under way, and nothing is locked; true. It does not set out for nothing. */
static bool
travel(struct varve_virtual *library, uint16_t from, uint16_t to)
{
    int64_t ns;
    {
        VARVE_LOCKED(&library->lock);
        bool starts = virtual_at(library, from) != NULL || from == to;
        ns = starts ? virtual_move_ns(library, from, to) : 0;
        library->arm_at = starts ? to : library->arm_at;
    }
    if (ns > 0)
        varve_clock_sleep(library->clock, ns);
    return true;
}

/* SMC-3, MOVE MEDIUM */
static void
move_medium(struct varve_virtual *library, struct varve_scsi_command *command)
{
    uint16_t to = varve_get_be16(command->cdb + 6);
    uint16_t ends[3] = {varve_get_be16(command->cdb + 4), to, to};
    if ((command->cdb[10] & (library->two_sided ? 0xfe : 0xff)) != 0) /* INVERT */
        virtual_refuse(command, 5, 0x24, 0x00);
    else if (!refuse_addresses(library, command, ends) && travel(library, ends[0], to))
        with_drives(library, command, ends, move_locked);
}

static void
exchange_medium(struct varve_virtual *library, struct varve_scsi_command *command)
{
    uint16_t ends[3] = {varve_get_be16(command->cdb + 4), varve_get_be16(command->cdb + 6),
                        varve_get_be16(command->cdb + 8)};
    if (quirky(library, VARVE_VIRTUAL_NO_EXCHANGE))
        virtual_refuse(command, 5, 0x20, 0x00);
    else if (command->cdb[10] != 0)
        virtual_refuse(command, 5, 0x24, 0x00);
    else if (!refuse_addresses(library, command, ends) && travel(library, ends[1], ends[2]) &&
             travel(library, ends[0], ends[1]))
        with_drives(library, command, ends, exchange_locked);
}

/* SMC-3, POSITION TO ELEMENT */
static void
position(struct varve_virtual *library, struct varve_scsi_command *command)
{
    uint16_t to = varve_get_be16(command->cdb + 4);
    uint16_t ends[3] = {to, to, to};
    if (command->cdb[8] != 0)
        virtual_refuse(command, 5, 0x24, 0x00);
    else if (!refuse_addresses(library, command, ends) && travel(library, to, to))
        virtual_good(command);
}

/* --- readiness --- */

/* SMC-3, INITIALIZE ELEMENT STATUS (WITH RANGE) */
static void
initialize(struct varve_virtual *library, struct varve_scsi_command *command)
{
    const uint8_t *cdb = command->cdb;
    bool ranged = cdb[0] == 0x37 && cdb[1] & 0x02;
    if (cdb[0] == 0x37 && quirky(library, VARVE_VIRTUAL_NO_INIT_RANGE)) {
        virtual_refuse(command, 5, 0x20, 0x00);
        return;
    }
    VARVE_LOCKED(&library->lock);
    library->needs_init = false;
    virtual_look(library, ranged ? varve_get_be16(cdb + 2) : 0,
                 ranged ? varve_get_be16(cdb + 6) : UINT_MAX);
    virtual_good(command);
}

/* What the changer would answer to TEST UNIT READY; a count goes down. */
static bool
is_unready(struct varve_virtual *library, struct virtual_sense *ret)
{
    VARVE_LOCKED(&library->lock);
    *ret = (struct virtual_sense){.key = 2, .asc = 0x04};
    if (library->door_open) {
        ret->asc = quirky(library, VARVE_VIRTUAL_DOOR_MANUAL) ? 0x04 : 0x3a;
        ret->ascq = quirky(library, VARVE_VIRTUAL_DOOR_MANUAL) ? 0x03 : 0x02;
        return true;
    }
    if (library->not_ready) {
        *ret = library->not_ready_sense;
        return true;
    }
    bool counting =
        library->inventory_until_ns != 0 && virtual_now(library) < library->inventory_until_ns;
    if (library->inventory > 0 || counting) {
        library->inventory -= library->inventory > 0 ? 1 : 0;
        ret->ascq = 0x01;
        return true;
    }
    ret->ascq = 0x02;
    return library->needs_init;
}

static bool
refuse_unready(struct varve_virtual *library, struct varve_scsi_command *command)
{
    struct virtual_sense sense;
    bool init = command->cdb[0] == 0x07 || command->cdb[0] == 0x37;
    if (!is_unready(library, &sense) || (init && sense.ascq == 0x02 && sense.asc == 0x04))
        return false;
    virtual_check(command, &sense);
    return true;
}

static void
prevent_allow(struct varve_virtual *library, unsigned nexus, struct varve_scsi_command *command)
{
    if (quirky(library, VARVE_VIRTUAL_NO_PREVENT)) {
        virtual_refuse(command, 5, 0x20, 0x00);
    } else if ((command->cdb[4] & 0xfc) != 0) {
        virtual_refuse(command, 5, 0x24, 0x00);
    } else {
        virtual_prevent(&library->changer, nexus, command->cdb[4] & 0x01);
        virtual_good(command);
    }
}

static void
request_sense(struct varve_virtual *library, unsigned nexus, struct varve_scsi_command *command)
{
    struct virtual_sense now;
    bool unready = is_unready(library, &now);
    virtual_request_sense(command, &library->changer, nexus, unready ? &now : NULL);
}

static void
inquiry(struct varve_virtual *library, struct varve_scsi_command *command)
{
    struct virtual_identity identity = {
        .device_type = 0x08,
        .byte6 = quirky(library, VARVE_VIRTUAL_MCHANGER) ? 0x08 : 0,
        .product = "VIRTUAL CHANGER",
    };
    (void)snprintf(identity.serial, sizeof identity.serial, "C%s", library->serial);
    virtual_inquiry(command, &identity);
}

/* Commands that need the machine to be ready. */
static void
execute_ready(struct varve_virtual *library, struct varve_scsi_command *command)
{
    if (refuse_unready(library, command))
        return;
    switch (command->cdb[0]) {
    case 0x07:
    case 0x37:
        initialize(library, command);
        return;
    case 0x2b:
        position(library, command);
        return;
    case 0xa5:
        move_medium(library, command);
        return;
    case 0xa6:
        exchange_medium(library, command);
        return;
    case 0xb8:
        virtual_read_status(library, command);
        return;
    default: /* TEST UNIT READY */
        virtual_good(command);
    }
}

void
virtual_changer_execute(struct varve_virtual *library, unsigned nexus,
                        struct varve_scsi_command *command)
{
    switch (command->cdb[0]) {
    case 0x03:
        request_sense(library, nexus, command);
        return;
    case 0x12:
        inquiry(library, command);
        return;
    case 0x1a:
    case 0x5a:
        mode_sense(library, command);
        return;
    case 0x1e:
        prevent_allow(library, nexus, command);
        return;
    case 0x00:
    case 0x07:
    case 0x2b:
    case 0x37:
    case 0xa5:
    case 0xa6:
    case 0xb8:
        execute_ready(library, command);
        return;
    default:
        virtual_refuse(command, 5, 0x20, 0x00);
    }
}
