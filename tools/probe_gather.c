/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the machine: which devices, may they be opened, what do they say. */
#include "probe.h"

#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/grow.h>
#include <varve/ports.h>
#include <varve/text.h>

static void
close_units(struct probe *probe)
{
    for (size_t i = 0; i < probe->unit_count; i++) {
        if (probe->units[i].port != NULL)
            probe->units[i].port->close(probe->units[i].port);
        probe->units[i].port = NULL;
    }
}

void
probe_done(struct probe *probe)
{
    close_units(probe);
    for (size_t i = 0; probe->changers != NULL && i < probe->changer_count; i++)
        varve_probe_done(&probe->changers[i].view);
    free(probe->changers);
    free(probe->units);
    *probe = (struct probe){0};
}

/* --- the machine --- */

static bool
exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int
read_ch_init(void)
{
    VARVE_CLEANUP_STREAM FILE *file = fopen("/sys/module/ch/parameters/init", "re");
    int value = -1;
    if (file != NULL && fscanf(file, "%d", &value) != 1)
        value = -1;
    return value;
}

static void
look_at_machine(struct probe_machine *ret)
{
    *ret = (struct probe_machine){.shows_scsi = exists("/sys/class/scsi_device"),
                                  .has_sg = exists("/sys/class/scsi_generic"),
                                  .has_udev = exists("/run/udev/control"),
                                  .ch_init = read_ch_init(),
                                  .is_root = geteuid() == 0};
}

/* --- units --- */

static struct probe_unit *
add_unit(struct probe *probe, size_t *capacity, struct varve_error *err)
{
    struct probe_unit *grown =
        varve_grow(probe->units, capacity, probe->unit_count, sizeof *probe->units);
    if (grown == NULL) {
        (void)varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list the devices");
        return NULL;
    }
    probe->units = grown;
    struct probe_unit *unit = &grown[probe->unit_count++];
    *unit = (struct probe_unit){0};
    return unit;
}

static void
say_trouble(struct probe_unit *unit, const struct varve_error *err)
{
    static const char lead[] = "\nhint: ";
    const char *hint = strstr(err->text, lead);
    int size = hint != NULL ? (int)(hint - err->text) : (int)strlen(err->text);
    (void)snprintf(unit->trouble, sizeof unit->trouble, "%.*s", size, err->text);
    (void)snprintf(unit->remedy, sizeof unit->remedy, "%s",
                   hint != NULL ? hint + sizeof lead - 1 : "");
}

/* Who may open it, in words that a command can be made of. */
static void
say_permission(struct probe_unit *unit)
{
    struct stat info;
    const char *node = unit->device.sg;
    if (stat(node, &info) != 0)
        return;
    const struct group *group = getgrgid(info.st_gid);
    bool by_group = (info.st_mode & 060) == 060 && group != NULL && info.st_gid != 0;
    (void)snprintf(unit->trouble, sizeof unit->trouble, "no permission to use %s", node);
    if (by_group)
        (void)snprintf(unit->remedy, sizeof unit->remedy,
                       "the user belongs into group '%s' (usermod -aG %s USER, then log in again)",
                       group->gr_name, group->gr_name);
    else
        (void)snprintf(unit->remedy, sizeof unit->remedy,
                       "install varve's udev rule (59-varve.rules), or run as root");
}

static void
open_unit(struct probe_unit *unit, const char *place, const struct probe_options *options)
{
    const struct varve_port_options how = {.peer = (enum varve_port_peer)unit->device.kind,
                                           .reconnect_ns = -1,
                                           .look_only = !options->load};
    struct varve_error err = {0};
    const struct varve_device *device = &unit->device;
    varve_device_holders_text(device, unit->holders);
    if (!varve_port_is_free(device->vendor, device->product, device->serial, &err)) {
        say_trouble(unit, &err);
        (void)snprintf(unit->remedy, sizeof unit->remedy,
                       "the daemon of an archive? `varve library inventory` asks it; to probe, "
                       "unmount that archive");
        unit->holders[0] = 0; /* it is that one */
        return;
    }
    if (varve_port_open(place, &how, &unit->port, &err))
        return;
    if ((err.sys == EACCES || err.sys == EPERM) && unit->device.sg[0] != 0)
        say_permission(unit);
    else
        say_trouble(unit, &err);
}

static bool
add_devices(const struct probe_options *options, struct probe *probe, size_t *capacity,
            struct varve_error *err)
{
    VARVE_CLEANUP_DEVICES struct varve_devices devices = {0};
    if (!varve_devices_scan(&devices, err))
        return false;
    for (size_t i = 0; i < devices.count; i++) {
        struct probe_unit *unit = add_unit(probe, capacity, err);
        if (unit == NULL)
            return false;
        unit->device = devices.list[i];
        varve_devices_name(&devices, &devices.list[i], unit->name);
        if (unit->device.sg[0] != 0) {
            open_unit(unit, unit->device.sg, options);
            continue;
        }
        (void)snprintf(unit->trouble, sizeof unit->trouble, "it has no generic node (/dev/sgN)");
        (void)snprintf(unit->remedy, sizeof unit->remedy, "modprobe sg");
    }
    return true;
}

/* --- places that are not devices of this machine --- */

#define PLACE_BYTES 1024u

static bool
add_place(const struct probe_options *options, const char *place, struct probe *probe,
          size_t *capacity, struct varve_error *err)
{
    const struct varve_port_options look = {.reconnect_ns = -1, .look_only = true};
    struct varve_scsi_port *port = NULL;
    struct varve_device device = {0};
    if (!varve_port_open(place, &look, &port, err))
        return false;
    bool ok = varve_probe_inquire(port, varve_clock_system(), &device, err);
    port->close(port);
    if (!ok)
        return varve_error_wrap(err, "%s", varve_port_place_text(place, (char[200]){0}));
    if (device.kind != VARVE_DEVICE_CHANGER && device.kind != VARVE_DEVICE_DRIVE)
        return true;
    struct probe_unit *unit = add_unit(probe, capacity, err);
    if (unit == NULL)
        return false;
    unit->device = device;
    (void)snprintf(unit->name, sizeof unit->name, "%s",
                   strlen(place) < sizeof unit->name ? place : "");
    open_unit(unit, place, options);
    return true;
}

/* "iscsi://host/target": all of its units. */
static bool
add_target(const struct probe_options *options, const char *url, struct probe *probe,
           size_t *capacity, struct varve_error *err)
{
    const struct varve_port_options look = {.reconnect_ns = -1, .look_only = true};
    char place[PLACE_BYTES];
    uint16_t luns[VARVE_PROBE_LUNS_MAX];
    size_t count = 0;
    struct varve_scsi_port *port = NULL;
    (void)snprintf(place, sizeof place, "%s/0", url);
    if (!varve_port_open(place, &look, &port, err))
        return false;
    bool ok = varve_probe_luns(port, varve_clock_system(), luns, VARVE_PROBE_LUNS_MAX, &count, err);
    port->close(port);
    for (size_t i = 0; ok && i < count; i++) {
        (void)snprintf(place, sizeof place, "%s/%u", url, luns[i]);
        ok = add_place(options, place, probe, capacity, err);
    }
    return ok;
}

static const char scheme[] = "iscsi://";

static bool
is_target(const char *place)
{
    const char *slash = strchr(place + strlen(scheme), '/');
    return slash != NULL && slash[1] != 0 && strchr(slash + 1, '/') == NULL;
}

static bool
add_places(const struct probe_options *options, struct probe *probe, size_t *capacity,
           struct varve_error *err)
{
    for (size_t i = 0; i < options->place_count; i++) {
        const char *place = options->places[i];
        if (strncmp(place, scheme, strlen(scheme)) != 0) {
            varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.100s' is no iSCSI target", place);
            return varve_error_hint(err, "iscsi://HOST/TARGET names one; devices of this machine "
                                         "are found without being named");
        }
        if (strlen(place) + 8 > PLACE_BYTES)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.40s...' is too long", place);
        bool ok = is_target(place) ? add_target(options, place, probe, capacity, err)
                                   : add_place(options, place, probe, capacity, err);
        if (!ok)
            return false;
    }
    return true;
}

/* --- changers --- */

static int
compare_units(const void *a, const void *b)
{
    const struct probe_unit *x = a, *y = b;
    return (x->device.kind == VARVE_DEVICE_DRIVE) - (y->device.kind == VARVE_DEVICE_DRIVE);
}

/* qsort(3) keeps no order among equals: the scan's order is kept by hand. */
static void
changers_first(struct probe *probe)
{
    for (size_t i = 1; i < probe->unit_count; i++) {
        struct probe_unit unit = probe->units[i];
        size_t at = i;
        for (; at > 0 && compare_units(&probe->units[at - 1], &unit) > 0; at--)
            probe->units[at] = probe->units[at - 1];
        probe->units[at] = unit;
    }
    for (size_t i = 0; i < probe->unit_count; i++)
        probe->changer_count += probe->units[i].device.kind == VARVE_DEVICE_CHANGER;
}

static void
tell_move(void *context, const char *text)
{
    (void)context;
    (void)fprintf(stderr, "%s\n", text);
}

static void
look_at_changer(const struct probe_options *options, struct probe_unit *unit,
                const struct varve_probe_drive *drives, size_t drive_count,
                struct probe_changer *ret)
{
    struct varve_clock *clock = varve_clock_system();
    struct varve_error err = {0};
    if (unit->port == NULL)
        return;
    ret->known = varve_probe_look(unit->port, drives, drive_count, clock, &ret->view, &err);
    const struct varve_probe_loading loading = {.changer = unit->port,
                                                .drives = drives,
                                                .drive_count = drive_count,
                                                .clock = clock,
                                                .tell = tell_move};
    bool ok = ret->known && (!options->load || varve_probe_load(&loading, &ret->view, &err));
    if (!ok)
        say_trouble(unit, &err);
}

static bool
look_at_changers(const struct probe_options *options, struct probe *probe, struct varve_error *err)
{
    size_t drive_count = probe->unit_count - probe->changer_count;
    VARVE_CLEANUP_FREE struct varve_probe_drive *drives = calloc(drive_count + 1, sizeof *drives);
    probe->changers = calloc(probe->changer_count + 1, sizeof *probe->changers);
    if (drives == NULL || probe->changers == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "look at the changers");
    for (size_t i = 0; i < drive_count; i++) {
        struct probe_unit *unit = &probe->units[probe->changer_count + i];
        drives[i].port = unit->port;
        memcpy(drives[i].vendor, unit->device.vendor, sizeof drives[i].vendor);
        memcpy(drives[i].product, unit->device.product, sizeof drives[i].product);
        memcpy(drives[i].serial, unit->device.serial, sizeof drives[i].serial);
        memcpy(drives[i].wwid, unit->device.wwid, sizeof drives[i].wwid);
        varve_probe_identify(&drives[i], varve_clock_system());
        memcpy(unit->device.serial, drives[i].serial, sizeof unit->device.serial);
    }
    for (size_t i = 0; i < probe->changer_count; i++) {
        probe->changers[i].unit = i;
        look_at_changer(options, &probe->units[i], drives, drive_count, &probe->changers[i]);
    }
    return true;
}

bool
probe_gather(const struct probe_options *options, struct probe *ret, struct varve_error *err)
{
    CLEANUP_PROBE_REPORT struct probe probe = {0};
    size_t capacity = 0;
    look_at_machine(&probe.machine);
    bool ok = options->place_count > 0 ? add_places(options, &probe, &capacity, err)
                                       : add_devices(options, &probe, &capacity, err);
    if (!ok)
        return false;
    changers_first(&probe);
    if (!look_at_changers(options, &probe, err))
        return false;
    close_units(&probe);
    *ret = probe;
    probe = (struct probe){0};
    return true;
}
