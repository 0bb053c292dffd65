/* SPDX-License-Identifier: Apache-2.0 */
/* What to write into varve.conf, and what to mend first: pure. */
#include "probe.h"

#include <ctype.h>
#include <string.h>

const struct probe_unit *
probe_drive(const struct probe *probe, int index)
{
    size_t at = probe->changer_count + (size_t)index;
    return index >= 0 && at < probe->unit_count ? &probe->units[at] : NULL;
}

bool
probe_drive_place(const struct probe *probe, int index, size_t *ret_changer,
                  const struct varve_probe_element **ret_element)
{
    for (size_t c = 0; c < probe->changer_count; c++) {
        const struct varve_probe *view = &probe->changers[c].view;
        for (size_t e = 0; e < view->element_count; e++) {
            if (view->elements[e].drive != index)
                continue;
            *ret_changer = c;
            *ret_element = &view->elements[e];
            return true;
        }
    }
    return false;
}

/* --- varve.conf --- */

static bool
is_complete(const struct varve_probe *view)
{
    for (size_t i = 0; i < view->element_count; i++) {
        if (!varve_proof_holds(view->elements[i].proof))
            return false;
    }
    return view->element_count > 0;
}

/* "[library changer]", "[library changer-2]": any name does, and none is taken twice. */
static void
add_title(struct varve_buffer *ret, const char *lead, const char *what, size_t number)
{
    varve_buffer_printf(ret, "%s[library %s", lead, what);
    if (number > 1)
        varve_buffer_printf(ret, "-%zu", number);
    varve_buffer_text(ret, "]\n");
}

static void
add_changer(const struct probe *probe, const struct probe_changer *changer, size_t number,
            struct varve_buffer *ret)
{
    const struct probe_unit *unit = &probe->units[changer->unit];
    bool complete = is_complete(&changer->view);
    const char *lead = complete ? "" : "; ";
    if (!complete)
        varve_buffer_text(ret, "; Not proven yet which drive is which element: with the wrong one "
                               "discs would be\n; mixed up. `varve library probe --load` finds "
                               "out.\n");
    add_title(ret, lead, "changer", number);
    varve_buffer_printf(ret, "%skind = scsi\n%schanger = %s\n", lead, lead, unit->name);
    for (size_t i = 0; i < changer->view.element_count; i++) {
        const struct varve_probe_element *element = &changer->view.elements[i];
        const struct probe_unit *drive = probe_drive(probe, element->drive);
        varve_buffer_printf(ret, "%sdrive = %s ; element %u: %s\n", lead,
                            drive != NULL ? drive->name : "?", element->address,
                            varve_proof_holds(element->proof) ? varve_proof_name(element->proof)
                                                              : "not proven");
    }
}

static bool
all_changers_known(const struct probe *probe)
{
    for (size_t i = 0; i < probe->changer_count; i++) {
        if (!probe->changers[i].known)
            return false;
    }
    return true;
}

/* Drives that are in no changer: a person may be the robot. */
static void
add_loose_drives(const struct probe *probe, struct varve_buffer *ret)
{
    bool titled = false;
    if (!all_changers_known(probe))
        return; /* they may be in that one */
    for (size_t i = 0; i + probe->changer_count < probe->unit_count; i++) {
        const struct varve_probe_element *element;
        size_t changer;
        const struct probe_unit *drive = probe_drive(probe, (int)i);
        if (drive->name[0] == 0 || probe_drive_place(probe, (int)i, &changer, &element))
            continue;
        if (!titled && probe->changer_count > 0)
            varve_buffer_text(ret, "\n; Found in no changer. If a person puts discs into it:\n");
        /* With a changer around, it may be one of its drives after all. */
        const char *lead = probe->changer_count > 0 ? "; " : "";
        if (!titled) {
            add_title(ret, lead, "shelf", 1);
            varve_buffer_printf(ret, "%skind = manual\n", lead);
        }
        varve_buffer_printf(ret, "%sdrive = %s\n", lead, drive->name);
        titled = true;
    }
}

void
probe_config(const struct probe *probe, struct varve_buffer *ret)
{
    for (size_t i = 0; i < probe->changer_count; i++) {
        if (!probe->changers[i].known || probe->units[i].name[0] == 0)
            continue;
        if (ret->size > 0)
            varve_buffer_text(ret, "\n");
        add_changer(probe, &probe->changers[i], i + 1, ret);
    }
    add_loose_drives(probe, ret);
}

/* --- what is missing --- */

static void
advise_nothing_found(const struct probe_machine *machine, struct varve_buffer *ret)
{
    varve_buffer_text(ret, machine->shows_scsi
                               ? "no changer and no optical drive: switched on, and its cable in? "
                                 "`dmesg` tells what the kernel saw\n"
                               : "this kernel shows no SCSI devices at all (a container, or no "
                                 "SCSI, SATA, SAS or USB storage driver): run this on the machine "
                                 "itself, or load the driver of the host adapter\n");
    varve_buffer_text(ret, "a changer over iSCSI needs no device here: varve library probe "
                           "iscsi://HOST/TARGET\n"
                           "without hardware: varve init makes a virtual library (kind = "
                           "virtual)\n");
}

static void
advise_unit(const struct probe_unit *unit, struct varve_buffer *ret)
{
    const struct varve_device *device = &unit->device;
    const char *name = device->sg[0] != 0   ? device->sg
                       : unit->name[0] != 0 ? unit->name
                                            : device->address;
    const char *kind = varve_device_kind_name(device->kind);
    if (unit->trouble[0] != 0)
        varve_buffer_printf(ret, "%s %s: %s%s%s\n", kind, name, unit->trouble,
                            unit->remedy[0] != 0 ? ": " : "", unit->remedy);
    if (unit->holders[0] != 0)
        varve_buffer_printf(ret, "%s %s: %s: varve needs it alone; stop that program\n", kind, name,
                            unit->holders);
    if (unit->name[0] != 0 && strcmp(unit->name, device->sg) == 0)
        varve_buffer_printf(ret,
                            "%s %s: it has no serial number and no link of udev's; after a boot "
                            "the node may be another device's\n",
                            kind, name);
}

/* The line of udev(7) that says so of a drive; serial numbers are nothing that a rule can see. */
static void
add_rule(const struct varve_device *device, struct varve_buffer *ret)
{
    const char *path = strrchr(device->by_path, '/');
    varve_buffer_text(ret, "SUBSYSTEM==\"block|scsi_generic\", ");
    if (device->wwid[0] != 0 && strpbrk(device->wwid, "\"*?[]|\\ ") == NULL)
        varve_buffer_printf(ret, "SUBSYSTEMS==\"scsi\", ATTRS{wwid}==\"%s\"", device->wwid);
    else if (path != NULL)
        varve_buffer_printf(ret, "IMPORT{builtin}=\"path_id\", ENV{ID_PATH}==\"%s\"", path + 1);
    else
        varve_buffer_printf(ret, "KERNEL==\"sr*\""); /* with neither there is only one of them */
    varve_buffer_text(ret, ", ENV{VARVE_LIBRARY}=\"1\"");
}

/* What the desktop looks into is not there for whole seconds at a time. */
static void
advise_rule(const struct probe *probe, struct varve_buffer *ret)
{
    for (size_t i = 0; i + probe->changer_count < probe->unit_count; i++) {
        const struct varve_probe_element *element;
        size_t changer;
        const struct varve_device *device = &probe_drive(probe, (int)i)->device;
        if (!device->in_udev || device->udisks_leaves || device->block[0] == 0 ||
            !probe_drive_place(probe, (int)i, &changer, &element))
            continue;
        varve_buffer_printf(ret,
                            "drive %s: udisks, blkid and cdrom_id look into it: install varve's "
                            "udev rule (59-varve.rules); if that is there, put into "
                            "/etc/udev/rules.d/58-varve.rules: ",
                            device->block);
        add_rule(device, ret);
        varve_buffer_text(ret, "\n");
    }
}

void
probe_advice(const struct probe *probe, struct varve_buffer *ret)
{
    if (probe->unit_count == 0)
        advise_nothing_found(&probe->machine, ret);
    for (size_t i = 0; i < probe->unit_count; i++)
        advise_unit(&probe->units[i], ret);
    for (size_t c = 0; c < probe->changer_count; c++) {
        const struct varve_probe *view = &probe->changers[c].view;
        for (size_t e = 0; e < view->element_count; e++) {
            if (!varve_proof_holds(view->elements[e].proof))
                varve_buffer_printf(ret, "changer %s: drive element %u is not proven: %s\n",
                                    probe->units[c].name, view->elements[e].address,
                                    view->elements[e].why);
        }
    }
    if (probe->unit_count > 0 && probe->machine.has_udev)
        advise_rule(probe, ret);
    if (probe->machine.ch_init == 1)
        varve_buffer_text(ret, "module ch makes each changer count its discs when it is plugged "
                               "in, which blocks it for minutes: install varve's modprobe snippet "
                               "(options ch init=0)\n");
}
