/* SPDX-License-Identifier: Apache-2.0 */
/* Devices out of sysfs and udev's database. Every text in there comes from a device in the end, so
 * it is bounded and made printable (INV-9). */
#include <varve/devices.h>

#include <errno.h>
#include <fcntl.h>
#include <libudev.h>
#include <string.h>
#include <varve/grow.h>

#include "smc_codec.h"

static void
unref_udev(struct udev **udev)
{
    (void)udev_unref(*udev);
}
static void
unref_enumerate(struct udev_enumerate **enumerate)
{
    (void)udev_enumerate_unref(*enumerate);
}
static void
unref_device(struct udev_device **device)
{
    (void)udev_device_unref(*device);
}
#define CLEANUP_UDEV __attribute__((cleanup(unref_udev)))
#define CLEANUP_ENUMERATE __attribute__((cleanup(unref_enumerate)))
#define CLEANUP_DEVICE __attribute__((cleanup(unref_device)))

/* Without blanks at both ends, and nothing that a terminal or a log would choke on. NULL is "". */
static void
copy_word(const char *from, char *ret, size_t ret_bytes)
{
    size_t used = 0;
    while (from != NULL && *from == ' ')
        from++;
    for (; from != NULL && *from != 0 && used + 1 < ret_bytes; from++) {
        if (*from < ' ' || *from > '~')
            break;
        ret[used++] = *from;
    }
    while (used > 0 && ret[used - 1] == ' ')
        used--;
    ret[used] = 0;
}

/* A name that does not fit is none: half a path leads somewhere else. */
static void
copy_path(const char *from, char *ret, size_t ret_bytes)
{
    if (from == NULL || strlen(from) >= ret_bytes)
        return;
    copy_word(from, ret, ret_bytes);
    if (strcmp(from, ret) != 0)
        ret[0] = 0;
}

/* A binary attribute, which may hold NULs: bytes read, 0 if there is none. */
static size_t
read_attribute(struct udev_device *device, const char *name, uint8_t *ret, size_t ret_bytes)
{
    char path[512];
    int length = snprintf(path, sizeof path, "%s/%s", udev_device_get_syspath(device), name);
    if (length < 0 || (size_t)length >= sizeof path)
        return 0;
    VARVE_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, ret, ret_bytes);
    return got < 0 ? 0 : (size_t)got;
}

static void
read_serial(struct udev_device *unit, struct varve_device *ret)
{
    uint8_t page[256];
    char serial[33];
    size_t size = read_attribute(unit, "vpd_pg80", page, sizeof page);
    if (varve_smc_decode_serial(page, size, serial))
        copy_word(serial, ret->serial, sizeof ret->serial);
    ret->serial_is_page_80 = ret->serial[0] != 0;
}

static bool
is_wanted(const char *type, enum varve_device_kind *ret)
{
    if (type == NULL)
        return false;
    long number = strtol(type, NULL, 10);
    if (number != VARVE_DEVICE_DRIVE && number != VARVE_DEVICE_CHANGER)
        return false;
    *ret = (enum varve_device_kind)number;
    return true;
}

struct scan {
    struct udev *udev;
    struct varve_devices devices;
    size_t capacity;
};

static bool
take_unit(struct scan *scan, struct udev_device *unit, struct varve_error *err)
{
    const char *devtype = udev_device_get_devtype(unit);
    enum varve_device_kind kind;
    if (devtype == NULL || strcmp(devtype, "scsi_device") != 0 ||
        !is_wanted(udev_device_get_sysattr_value(unit, "type"), &kind))
        return true;
    if (scan->devices.count == VARVE_DEVICES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u changers and drives",
                               VARVE_DEVICES_MAX);
    struct varve_device *grown = varve_grow(scan->devices.list, &scan->capacity,
                                            scan->devices.count, sizeof *scan->devices.list);
    if (grown == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list the devices");
    scan->devices.list = grown;
    struct varve_device *device = &grown[scan->devices.count++];
    *device = (struct varve_device){.kind = kind};
    copy_word(udev_device_get_sysname(unit), device->address, sizeof device->address);
    copy_word(udev_device_get_sysattr_value(unit, "vendor"), device->vendor, sizeof device->vendor);
    copy_word(udev_device_get_sysattr_value(unit, "model"), device->product,
              sizeof device->product);
    copy_word(udev_device_get_sysattr_value(unit, "rev"), device->revision,
              sizeof device->revision);
    copy_word(udev_device_get_sysattr_value(unit, "wwid"), device->wwid, sizeof device->wwid);
    read_serial(unit, device);
    return true;
}

/* The unit that a node belongs to. */
static struct varve_device *
unit_of(struct scan *scan, struct udev_device *node)
{
    struct udev_device *unit =
        udev_device_get_parent_with_subsystem_devtype(node, "scsi", "scsi_device");
    const char *address = unit != NULL ? udev_device_get_sysname(unit) : NULL;
    for (size_t i = 0; address != NULL && i < scan->devices.count; i++) {
        if (strcmp(scan->devices.list[i].address, address) == 0)
            return &scan->devices.list[i];
    }
    return NULL;
}

/* Shorter ones first, then by name, so that the choice does not depend on udev's order. */
static bool
is_better_link(const char *link, const char *than)
{
    size_t a = strlen(link), b = strlen(than);
    return than[0] == 0 || a < b || (a == b && strcmp(link, than) < 0);
}

static void
take_link(const char *link, struct varve_device *device)
{
    bool id = strstr(link, "/by-id/") != NULL;
    bool path = strstr(link, "/by-path/") != NULL;
    char *kept = id ? device->by_id : device->by_path;
    if ((id || path) && is_better_link(link, kept))
        copy_path(link, kept, VARVE_DEVICE_LINK_BYTES);
}

/* udev writes blanks in names as \x20, so that these separate. */
static void
take_links(struct udev_device *node, struct varve_device *device)
{
    const char *links = udev_device_get_property_value(node, "DEVLINKS");
    while (links != NULL && *links != 0) {
        char link[VARVE_DEVICE_LINK_BYTES];
        size_t size = strcspn(links, " ");
        if (size < sizeof link) {
            memcpy(link, links, size);
            link[size] = 0;
            take_link(link, device);
        }
        links += size + strspn(links + size, " ");
    }
}

/* The kernel asks for page 80h only of devices that claim SPC-2 or later; udev's helpers ask more.
 * Of a SCSI bus ID_SERIAL_SHORT is the name of page 83h, not the serial number. */
static void
take_properties(struct udev_device *node, struct varve_device *device)
{
    const char *bus = udev_device_get_property_value(node, "ID_BUS");
    const char *serial = udev_device_get_property_value(node, "ID_SCSI_SERIAL");
    const char *leave = udev_device_get_property_value(node, "UDISKS_IGNORE");
    if (serial == NULL && bus != NULL && strcmp(bus, "scsi") != 0)
        serial = udev_device_get_property_value(node, "ID_SERIAL_SHORT");
    if (device->serial[0] == 0)
        copy_word(serial, device->serial, sizeof device->serial);
    device->in_udev = device->in_udev || udev_device_get_is_initialized(node);
    device->udisks_leaves = device->udisks_leaves || (leave != NULL && strcmp(leave, "1") == 0);
}

static bool
take_node(struct scan *scan, struct udev_device *node, struct varve_error *err)
{
    (void)err;
    struct varve_device *device = unit_of(scan, node);
    const char *subsystem = udev_device_get_subsystem(node);
    if (device == NULL || subsystem == NULL)
        return true;
    char *name = strcmp(subsystem, "scsi_generic") == 0   ? device->sg
                 : strcmp(subsystem, "scsi_changer") == 0 ? device->changer
                                                          : device->block;
    copy_path(udev_device_get_devnode(node), name, VARVE_DEVICE_NODE_BYTES);
    take_links(node, device);
    take_properties(node, device);
    return true;
}

/* `take` for each device of `subsystem`. One that vanishes meanwhile is skipped. */
static bool
enumerate(struct scan *scan, const char *subsystem,
          bool (*take)(struct scan *scan, struct udev_device *device, struct varve_error *err),
          struct varve_error *err)
{
    CLEANUP_ENUMERATE struct udev_enumerate *all = udev_enumerate_new(scan->udev);
    if (all == NULL || udev_enumerate_add_match_subsystem(all, subsystem) < 0)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list the devices");
    int status = udev_enumerate_scan_devices(all);
    if (status < 0 && status != -ENOENT)
        return varve_error_system(err, -status, "list the devices of subsystem %s", subsystem);
    struct udev_list_entry *entry;
    udev_list_entry_foreach(entry, udev_enumerate_get_list_entry(all))
    {
        CLEANUP_DEVICE struct udev_device *device =
            udev_device_new_from_syspath(scan->udev, udev_list_entry_get_name(entry));
        if (device != NULL && !take(scan, device, err))
            return false;
    }
    return true;
}

/* "0:0:0:10" comes after "0:0:0:9". */
static int
compare_addresses(const char *a, const char *b)
{
    while (*a != 0 && *b != 0) {
        char *a_end, *b_end;
        unsigned long x = strtoul(a, &a_end, 10), y = strtoul(b, &b_end, 10);
        if (x != y || a_end == a || b_end == b)
            return x != y ? (x < y ? -1 : 1) : strcmp(a, b);
        a = *a_end == ':' ? a_end + 1 : a_end;
        b = *b_end == ':' ? b_end + 1 : b_end;
    }
    return strcmp(a, b);
}

static int
compare_devices(const void *a, const void *b)
{
    const struct varve_device *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind == VARVE_DEVICE_CHANGER ? -1 : 1;
    return compare_addresses(x->address, y->address);
}

bool
varve_devices_scan(struct varve_devices *ret, struct varve_error *err)
{
    CLEANUP_UDEV struct udev *udev = udev_new();
    if (udev == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list the devices");
    struct scan scan = {.udev = udev};
    /* A drive's other names are those of its block device: it comes last, and its links win over
     * none of the generic node. */
    if (!enumerate(&scan, "scsi", take_unit, err) ||
        !enumerate(&scan, "scsi_generic", take_node, err) ||
        !enumerate(&scan, "scsi_changer", take_node, err) ||
        !enumerate(&scan, "block", take_node, err)) {
        varve_devices_done(&scan.devices);
        return false;
    }
    if (scan.devices.count > 0)
        qsort(scan.devices.list, scan.devices.count, sizeof *scan.devices.list, compare_devices);
    *ret = scan.devices;
    return true;
}

/* --- plugging in and out --- */

struct varve_device_monitor {
    struct udev *udev;
    struct udev_monitor *monitor;
};

bool
varve_device_monitor_new(struct varve_device_monitor **ret, struct varve_error *err)
{
    VARVE_CLEANUP(varve_device_monitor_free)
    struct varve_device_monitor *made = calloc(1, sizeof *made);
    if (made == NULL || (made->udev = udev_new()) == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "listen for devices");
    /* "udev" speaks after permissions and links are there; without udevd nobody would. */
    const char *source = access("/run/udev/control", F_OK) == 0 ? "udev" : "kernel";
    made->monitor = udev_monitor_new_from_netlink(made->udev, source);
    if (made->monitor == NULL)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, errno,
                               "listen for devices: no events of this kind here");
    int status =
        udev_monitor_filter_add_match_subsystem_devtype(made->monitor, "scsi_generic", NULL);
    if (status >= 0)
        status = udev_monitor_enable_receiving(made->monitor);
    if (status < 0)
        return varve_error_system(err, -status, "listen for devices");
    *ret = VARVE_TAKE(made);
    return true;
}

void
varve_device_monitor_free(struct varve_device_monitor *monitor)
{
    if (monitor == NULL)
        return;
    (void)udev_monitor_unref(monitor->monitor);
    (void)udev_unref(monitor->udev);
    free(monitor);
}

int
varve_device_monitor_fd(const struct varve_device_monitor *monitor)
{
    return udev_monitor_get_fd(monitor->monitor);
}

static bool
read_event(struct udev_device *device, struct varve_device_event *ret)
{
    const char *action = udev_device_get_action(device);
    const char *node = udev_device_get_devnode(device);
    bool added = action != NULL && strcmp(action, "add") == 0;
    bool removed = action != NULL && strcmp(action, "remove") == 0;
    if ((!added && !removed) || node == NULL)
        return false;
    *ret = (struct varve_device_event){.added = added};
    copy_path(node, ret->node, sizeof ret->node);
    struct udev_device *unit =
        udev_device_get_parent_with_subsystem_devtype(device, "scsi", "scsi_device");
    if (unit != NULL)
        copy_word(udev_device_get_sysname(unit), ret->address, sizeof ret->address);
    return ret->node[0] != 0;
}

#define EVENTS_MAX 4096u /* looked at by one call; more come with the next */

bool
varve_device_monitor_next(struct varve_device_monitor *monitor, struct varve_device_event *ret)
{
    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        CLEANUP_DEVICE struct udev_device *device = udev_monitor_receive_device(monitor->monitor);
        if (device == NULL)
            return false;
        if (read_event(device, ret))
            return true;
    }
    return false;
}
