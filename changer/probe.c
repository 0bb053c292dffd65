/* SPDX-License-Identifier: Apache-2.0 */
/* A look at a changer, and the drives' own word. Moves nothing. */
#include <varve/probe.h>

#include <string.h>

#include "changer.h"

#define ASK_SECONDS 10

void
varve_probe_done(struct varve_probe *probe)
{
    free(probe->elements);
    *probe = (struct varve_probe){0};
}

/* --- the changer --- */

static bool
identify_changer(struct varve_changer *changer, struct varve_probe *ret, struct varve_error *err)
{
    struct varve_device device = {0};
    if (!varve_probe_inquire(changer->device.port, changer->device.clock, &device, err))
        return false;
    if (device.kind != VARVE_DEVICE_CHANGER)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "the device is no changer");
    memcpy(ret->vendor, device.vendor, sizeof ret->vendor);
    memcpy(ret->product, device.product, sizeof ret->product);
    memcpy(ret->revision, device.revision, sizeof ret->revision);
    memcpy(ret->serial, device.serial, sizeof ret->serial);
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

/* A changer that counts its discs does so for minutes (reference 1.2); a person who probes wants to
 * know that now. */
static bool
check_ready(struct varve_scsi_port *port, struct varve_clock *clock, struct varve_error *err)
{
    struct varve_scsi_device device = {
        .port = port, .clock = clock, .ready_ns = ASK_SECONDS * VARVE_NS_PER_SECOND};
    struct varve_scsi_command command;
    struct varve_error failed = {0};
    varve_smc_encode_test_unit_ready(&command);
    if (varve_scsi_run(&device, &command, &failed) || failed.kind != VARVE_ERROR_NOT_READY)
        return true; /* other failures are told by what comes next */
    struct varve_scsi_sense sense;
    varve_scsi_sense_decode(command.sense, command.sense_bytes, &sense);
    if (varve_scsi_is(&sense, 2, 0x04, 0x02))
        return true; /* it waits to be told to count, which varve_changer_init() does */
    *err = failed;
    return varve_error_hint(err, "after power-on and after its door was open a changer counts its "
                                 "discs for some minutes: then probe again");
}

bool
varve_probe_look(struct varve_scsi_port *port, const struct varve_probe_drive *drives,
                 size_t drive_count, struct varve_clock *clock, struct varve_probe *ret,
                 struct varve_error *err)
{
    const struct varve_changer_setup setup = {.name = "probe", .port = port, .clock = clock};
    struct varve_changer changer = {0};
    VARVE_CLEANUP_PROBE struct varve_probe made = {0};
    bool ok = check_ready(port, clock, err) && varve_changer_init(&changer, &setup, err) &&
              look(&changer, &made, err);
    varve_changer_done(&changer);
    if (!ok)
        return false;
    varve_probe_match(made.elements, made.element_count, drives, drive_count);
    *ret = made;
    made = (struct varve_probe){0};
    return true;
}
