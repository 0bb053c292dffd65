/* SPDX-License-Identifier: Apache-2.0 */
/* A look at a changer, and the drives' own word. Moves nothing. */
#include <varve/probe.h>

#include <string.h>
#include <varve/byteorder.h>
#include <varve/cursor.h>

#include "changer.h"
#include "mmc_codec.h"

#define ASK_SECONDS 10 /* a drive that is busy does not hold up the whole probe */

void
varve_probe_done(struct varve_probe *probe)
{
    free(probe->elements);
    *probe = (struct varve_probe){0};
}

/* --- drives --- */

static bool
ask_page_80(struct varve_scsi_device *device, char ret[33])
{
    uint8_t data[252];
    struct varve_scsi_command command;
    struct varve_error unused = {0}; /* a drive without it is asked otherwise */
    varve_smc_encode_inquiry_vpd(&command, 0x80, data, sizeof data);
    return varve_scsi_run(device, &command, &unused) &&
           varve_smc_decode_serial(data, command.received_bytes, ret);
}

/* MMC-6 5.3.38, logical unit serial number feature: 8 bytes of header, 4 of the descriptor. */
static bool
decode_feature_108(const uint8_t *bytes, size_t size, char *ret, size_t ret_bytes)
{
    struct varve_cursor cursor = varve_cursor_new(bytes, size);
    uint16_t code;
    uint8_t flags, length;
    const uint8_t *text;
    (void)varve_cursor_skip(&cursor, 8);
    (void)varve_cursor_be16(&cursor, &code);
    (void)varve_cursor_u8(&cursor, &flags);
    if (!varve_cursor_u8(&cursor, &length) || code != 0x0108 ||
        !varve_cursor_take(&cursor, length, &text))
        return false;
    size_t used = 0;
    for (size_t i = 0; i < length && used + 1 < ret_bytes; i++) {
        if (text[i] > ' ' && text[i] <= '~')
            ret[used++] = (char)text[i];
    }
    ret[used] = 0;
    return used > 0;
}

static bool
ask_feature_108(struct varve_scsi_device *device, char *ret, size_t ret_bytes)
{
    uint8_t data[256];
    struct varve_scsi_command command;
    struct varve_error unused = {0};
    varve_mmc_encode_get_configuration(&command, data, sizeof data);
    varve_put_be16(command.cdb + 2, 0x0108); /* RT 2: this feature only */
    return varve_scsi_run(device, &command, &unused) &&
           decode_feature_108(data, command.received_bytes, ret, ret_bytes);
}

void
varve_probe_identify(struct varve_probe_drive *drive, struct varve_clock *clock)
{
    if (drive->port == NULL || drive->serial[0] != 0)
        return;
    struct varve_scsi_device device = {
        .port = drive->port, .clock = clock, .ready_ns = ASK_SECONDS * VARVE_NS_PER_SECOND};
    char serial[33];
    if (ask_page_80(&device, serial))
        (void)snprintf(drive->serial, sizeof drive->serial, "%s", serial);
    else if (!ask_feature_108(&device, drive->serial, sizeof drive->serial))
        drive->serial[0] = 0;
}

/* --- the changer --- */

static bool
identify_changer(struct varve_changer *changer, struct varve_probe *ret, struct varve_error *err)
{
    uint8_t data[252];
    struct varve_scsi_command command;
    struct varve_inquiry inquiry;
    varve_smc_encode_inquiry(&command, data, sizeof data);
    if (!varve_scsi_run(&changer->device, &command, err))
        return false;
    if (!varve_smc_decode_inquiry(data, command.received_bytes, &inquiry) ||
        inquiry.device_type != VARVE_DEVICE_CHANGER)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "the device is no changer");
    memcpy(ret->vendor, inquiry.vendor, sizeof ret->vendor);
    memcpy(ret->product, inquiry.product, sizeof ret->product);
    memcpy(ret->revision, inquiry.revision, sizeof ret->revision);
    char serial[33];
    if (ask_page_80(&changer->device, serial))
        (void)snprintf(ret->serial, sizeof ret->serial, "%s", serial);
    return true;
}

static bool
take_elements(const struct varve_smc_list *list, struct varve_probe *ret, struct varve_error *err)
{
    ret->elements = calloc(list->count + 1, sizeof *ret->elements);
    if (ret->elements == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list the drives");
    for (size_t i = 0; i < list->count; i++) {
        const struct varve_smc_element *from = &list->elements[i];
        ret->slots += from->element.type == VARVE_ELEMENT_SLOT;
        ret->mail_slots += from->element.type == VARVE_ELEMENT_MAIL_SLOT;
        ret->discs += from->element.full;
        if (from->element.type != VARVE_ELEMENT_DRIVE)
            continue;
        struct varve_probe_element *element = &ret->elements[ret->element_count++];
        *element = (struct varve_probe_element){.address = from->element.address,
                                                .full = from->element.full,
                                                .barcode = from->element.barcode,
                                                .drive = -1};
        (void)snprintf(element->id, sizeof element->id, "%s", from->device_id);
    }
    return true;
}

/* No move is made through this changer, so there is nothing to journal. */
static bool
look(struct varve_changer *changer, struct varve_probe *ret, struct varve_error *err)
{
    struct varve_smc_list list = {0};
    if (!identify_changer(changer, ret, err) || !varve_changer_inventory(changer, &list, err))
        return false;
    bool ok = take_elements(&list, ret, err);
    varve_smc_list_done(&list);
    return ok;
}

bool
varve_probe_look(struct varve_scsi_port *port, const struct varve_probe_drive *drives,
                 size_t drive_count, struct varve_clock *clock, struct varve_probe *ret,
                 struct varve_error *err)
{
    const struct varve_library_ports ports = {.name = "probe", .changer = port};
    const struct varve_move_journal none = {0};
    struct varve_changer changer = {0};
    VARVE_CLEANUP_PROBE struct varve_probe made = {0};
    bool ok = varve_changer_init(&changer, &ports, &none, clock, err) && look(&changer, &made, err);
    varve_changer_done(&changer);
    if (!ok)
        return false;
    varve_probe_match(made.elements, made.element_count, drives, drive_count);
    *ret = made;
    made = (struct varve_probe){0};
    return true;
}
