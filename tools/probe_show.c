/* SPDX-License-Identifier: Apache-2.0 */
/* A probe as text for people and as JSON for programs. */
#include "probe.h"

#include <string.h>

#include "json.h"
#include "table.h"

static const char *
or_dash(const char *text)
{
    return text[0] != 0 ? text : "-";
}

/* --- text --- */

static void
show_units(const struct probe *probe, struct varve_buffer *ret)
{
    static const char *const titles[] = {"KIND",     "NODE",   "ALSO", "VENDOR", "PRODUCT",
                                         "FIRMWARE", "SERIAL", "NAME", NULL};
    __attribute__((cleanup(table_done_cleanup))) struct table table;
    struct varve_error unused = {0}; /* sticks in `ret`, which the caller asks */
    table_init(&table, titles);
    for (size_t i = 0; i < probe->unit_count; i++) {
        const struct varve_device *device = &probe->units[i].device;
        table_cell(&table, "%s", varve_device_kind_name(device->kind));
        table_cell(&table, "%s", or_dash(device->sg));
        table_cell(&table, "%s", or_dash(device->block[0] != 0 ? device->block : device->changer));
        table_cell(&table, "%s", or_dash(device->vendor));
        table_cell(&table, "%s", or_dash(device->product));
        table_cell(&table, "%s", or_dash(device->revision));
        table_cell(&table, "%s", or_dash(device->serial));
        table_cell(&table, "%s", or_dash(probe->units[i].name));
    }
    if (!table_format(&table, ret, &unused))
        ret->failed = true;
}

static void
show_changer(const struct probe *probe, const struct probe_changer *changer,
             struct varve_buffer *ret)
{
    static const char *const titles[] = {"-ELEMENT", "DRIVE", "NODE", "PROVEN BY", NULL};
    const struct varve_probe *view = &changer->view;
    varve_buffer_printf(ret, "\nchanger %s: %u slots, %u mail slots, %zu drives, %u discs\n",
                        probe->units[changer->unit].name, view->slots, view->mail_slots,
                        view->element_count, view->discs);
    __attribute__((cleanup(table_done_cleanup))) struct table table;
    struct varve_error unused = {0};
    table_init(&table, titles);
    for (size_t i = 0; i < view->element_count; i++) {
        const struct varve_probe_element *element = &view->elements[i];
        const struct probe_unit *drive = probe_drive(probe, element->drive);
        table_cell(&table, "%u", element->address);
        table_cell(&table, "%s", drive != NULL ? or_dash(drive->name) : "?");
        table_cell(&table, "%s", drive != NULL ? or_dash(drive->device.sg) : "-");
        if (varve_proof_holds(element->proof))
            table_cell(&table, "%s", varve_proof_name(element->proof));
        else
            table_cell(&table, "nothing: %s", element->why);
    }
    if (!table_format(&table, ret, &unused))
        ret->failed = true;
}

/* "  - LINE" for each line. */
static void
show_list_of(const char *lines, const char *lead, struct varve_buffer *ret)
{
    while (*lines != 0) {
        size_t size = strcspn(lines, "\n");
        varve_buffer_printf(ret, "%s%.*s\n", size > 0 ? lead : "", (int)size, lines);
        lines += size + (lines[size] != 0);
    }
}

void
probe_text(const struct probe *probe, struct varve_buffer *ret)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer advice = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer config = {0};
    probe_advice(probe, &advice);
    probe_config(probe, &config);
    if (probe->unit_count == 0)
        varve_buffer_text(ret, "No changer and no optical drive was found.\n");
    else
        show_units(probe, ret);
    for (size_t i = 0; i < probe->changer_count; i++) {
        if (probe->changers[i].known)
            show_changer(probe, &probe->changers[i], ret);
    }
    if (advice.size > 0) {
        varve_buffer_text(ret, "\nMissing:\n");
        show_list_of(varve_buffer_string(&advice), "  - ", ret);
    }
    if (config.size > 0) {
        varve_buffer_text(ret, "\nFor varve.conf:\n\n");
        show_list_of(varve_buffer_string(&config), "", ret);
    }
    ret->failed = ret->failed || advice.failed || config.failed;
}

/* --- JSON --- */

static json_t *
json_or_null(const char *text)
{
    return text[0] != 0 ? json_string(text) : json_null();
}

static json_t *
json_unit(const struct probe_unit *unit)
{
    const struct varve_device *device = &unit->device;
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o}",
        "kind", varve_device_kind_name(device->kind), "address", json_or_null(device->address),
        "vendor", json_or_null(device->vendor), "product", json_or_null(device->product),
        "firmware", json_or_null(device->revision), "serial", json_or_null(device->serial), "wwid",
        json_or_null(device->wwid), "sg", json_or_null(device->sg), "block",
        json_or_null(device->block), "changer", json_or_null(device->changer), "by_id",
        json_or_null(device->by_id), "by_path", json_or_null(device->by_path), "name",
        json_or_null(unit->name), "holders", json_or_null(unit->holders), "udisks_leaves",
        (int)device->udisks_leaves, "trouble", json_or_null(unit->trouble), "remedy",
        json_or_null(unit->remedy));
}

static json_t *
json_drive_element(const struct probe *probe, const struct varve_probe_element *element)
{
    const struct probe_unit *drive = probe_drive(probe, element->drive);
    return json_pack("{s:i, s:b, s:o, s:o, s:o, s:o, s:s, s:b, s:o}", "address",
                     (int)element->address, "full", (int)element->full, "barcode",
                     json_or_null(element->barcode.text), "id", json_or_null(element->id), "drive",
                     json_or_null(drive != NULL ? drive->name : ""), "sg",
                     json_or_null(drive != NULL ? drive->device.sg : ""), "proof",
                     varve_proof_name(element->proof), "proven",
                     (int)varve_proof_holds(element->proof), "why", json_or_null(element->why));
}

static json_t *
json_changer(const struct probe *probe, const struct probe_changer *changer)
{
    const struct varve_probe *view = &changer->view;
    json_t *elements = json_array();
    for (size_t i = 0; i < view->element_count; i++)
        json_add(&elements, json_drive_element(probe, &view->elements[i]));
    return json_pack("{s:o, s:b, s:i, s:i, s:i, s:o}", "name",
                     json_or_null(probe->units[changer->unit].name), "read", (int)changer->known,
                     "slots", (int)view->slots, "mail_slots", (int)view->mail_slots, "discs",
                     (int)view->discs, "drives", elements);
}

static json_t *
json_lines(const char *lines)
{
    json_t *list = json_array();
    while (*lines != 0) {
        size_t size = strcspn(lines, "\n");
        json_add(&list, json_stringn(lines, size));
        lines += size + (lines[size] != 0);
    }
    return list;
}

json_t *
probe_json(const struct probe *probe)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer advice = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer config = {0};
    json_t *devices = json_array();
    json_t *changers = json_array();
    probe_advice(probe, &advice);
    probe_config(probe, &config);
    for (size_t i = 0; i < probe->unit_count; i++)
        json_add(&devices, json_unit(&probe->units[i]));
    for (size_t i = 0; i < probe->changer_count; i++)
        json_add(&changers, json_changer(probe, &probe->changers[i]));
    return json_pack("{s:o, s:o, s:o, s:s}", "devices", devices, "changers", changers, "missing",
                     json_lines(varve_buffer_string(&advice)), "config",
                     varve_buffer_string(&config));
}
