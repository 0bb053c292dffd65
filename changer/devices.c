/* SPDX-License-Identifier: Apache-2.0 */
/* What names mean, over a list of devices: pure. */
#include <varve/devices.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

const char *
varve_device_kind_name(enum varve_device_kind kind)
{
    switch (kind) {
    case VARVE_DEVICE_DRIVE:
        return "drive";
    case VARVE_DEVICE_CHANGER:
        return "changer";
    }
    return "device";
}

void
varve_devices_done(struct varve_devices *devices)
{
    free(devices->list);
    *devices = (struct varve_devices){0};
}

static const char *
serial_of(const char *name)
{
    size_t size = strlen(VARVE_DEVICE_SERIAL_PREFIX);
    return strncmp(name, VARVE_DEVICE_SERIAL_PREFIX, size) == 0 ? name + size : NULL;
}

static bool
is_named(const struct varve_device *device, const char *name)
{
    const char *serial = serial_of(name);
    if (serial != NULL)
        return device->serial_is_page_80 && serial[0] != 0 && strcmp(device->serial, serial) == 0;
    return name[0] != 0 && (strcmp(device->sg, name) == 0 || strcmp(device->block, name) == 0 ||
                            strcmp(device->changer, name) == 0 ||
                            strcmp(device->by_id, name) == 0 || strcmp(device->by_path, name) == 0);
}

static bool
find_named(const struct varve_devices *devices, enum varve_device_kind kind, const char *name,
           const struct varve_device **ret, struct varve_error *err)
{
    const struct varve_device *found = NULL;
    for (size_t i = 0; i < devices->count; i++) {
        const struct varve_device *device = &devices->list[i];
        if (device->kind != kind || !is_named(device, name))
            continue;
        if (found != NULL) {
            varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s '%.200s': %s and %s both are",
                            varve_device_kind_name(kind), name, found->sg, device->sg);
            return varve_error_hint(err, "name it by path (`varve library probe` shows the names)");
        }
        found = device;
    }
    *ret = found;
    return true;
}

bool
varve_devices_find(const struct varve_devices *devices, enum varve_device_kind kind,
                   const char *name, const struct varve_device **ret, struct varve_error *err)
{
    const struct varve_device *found = NULL;
    if (!find_named(devices, kind, name, &found, err))
        return false;
    /* Another link than those we keep: it leads to a node all the same. */
    char node[PATH_MAX];
    if (found == NULL && name[0] == '/' && realpath(name, node) != NULL &&
        !find_named(devices, kind, node, &found, err))
        return false;
    if (found == NULL) {
        varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no %s '%.200s' is connected",
                        varve_device_kind_name(kind), name);
        return varve_error_hint(err, "is it switched on and plugged in? `varve library probe` "
                                     "shows what is there");
    }
    *ret = found;
    return true;
}

static bool
is_serial_unique(const struct varve_devices *devices, const struct varve_device *device)
{
    for (size_t i = 0; i < devices->count; i++) {
        const struct varve_device *other = &devices->list[i];
        if (other != device && strcmp(other->serial, device->serial) == 0)
            return false;
    }
    return true;
}

/* Only what a line of varve.conf and a person can carry: no blanks, no comment sign. */
static bool
is_plain(const char *text)
{
    for (; *text != 0; text++) {
        if (*text <= ' ' || *text > '~' || *text == ';' || *text == '#' || *text == '\\')
            return false;
    }
    return true;
}

void
varve_devices_name(const struct varve_devices *devices, const struct varve_device *device,
                   char ret[VARVE_DEVICE_NAME_BYTES])
{
    if (device->serial_is_page_80 && is_plain(device->serial) &&
        is_serial_unique(devices, device)) {
        (void)snprintf(ret, VARVE_DEVICE_NAME_BYTES, VARVE_DEVICE_SERIAL_PREFIX "%s",
                       device->serial);
        return;
    }
    const char *name = device->by_path[0] != 0 ? device->by_path
                       : device->by_id[0] != 0 ? device->by_id
                                               : device->sg;
    (void)snprintf(ret, VARVE_DEVICE_NAME_BYTES, "%s", name);
}
