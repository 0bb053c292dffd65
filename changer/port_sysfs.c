/* SPDX-License-Identifier: Apache-2.0 */
/* Which node is which device, by sysfs: it needs no permission and wakes no device. */
#include "port_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define NODES_MAX 4096u /* entries of a class that are looked at */
#define NODE_NAME_MAX (PORT_NODE_BYTES - sizeof "/dev/")

/* The only entry of a directory whose name begins with `prefix`; "" if there is none. */
static void
first_entry(const char *path, const char *prefix, char ret[PORT_NODE_BYTES])
{
    ret[0] = 0;
    VARVE_CLEANUP_DIR DIR *dir = opendir(path);
    const struct dirent *entry = NULL;
    for (unsigned i = 0; dir != NULL && i < NODES_MAX && (entry = readdir(dir)) != NULL; i++) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 ||
            strlen(entry->d_name) > NODE_NAME_MAX)
            continue;
        (void)snprintf(ret, PORT_NODE_BYTES, "/dev/%.*s", (int)NODE_NAME_MAX, entry->d_name);
        return;
    }
}

/* `class` of sysfs -> the sg node beside it. */
static bool
sg_beside(const char *root, const char *class, const char *name, char ret[PORT_NODE_BYTES])
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/sys/class/%s/%s/device/scsi_generic", root, class, name);
    first_entry(path, "sg", ret);
    return ret[0] != 0;
}

bool
port_sysfs_sg_of(const char *root, const char *node, char ret[PORT_NODE_BYTES],
                 struct varve_error *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s%s", root, node);
    char whole[PATH_MAX];
    if (realpath(path, whole) == NULL)
        return varve_error_system(err, errno, "'%s'", node);
    const char *name = strrchr(whole, '/') + 1;
    if (strncmp(name, "sg", 2) == 0 && strlen(name) <= NODE_NAME_MAX) {
        (void)snprintf(ret, PORT_NODE_BYTES, "/dev/%s", name);
        return true;
    }
    if (sg_beside(root, "block", name, ret) || sg_beside(root, "scsi_changer", name, ret))
        return true;
    (void)varve_error_set(err, VARVE_ERROR_INVALID, 0,
                          "'%s' (%s) is no SCSI device, or has no "
                          "/dev/sg node",
                          node, name);
    return varve_error_hint(err, "`modprobe sg` makes the nodes; a changer is /dev/sgN");
}

bool
port_sysfs_block_of(const char *root, const char *sg, char ret[PORT_NODE_BYTES])
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/sys/class/scsi_generic/%s/device/block", root,
                   strrchr(sg, '/') + 1);
    first_entry(path, "sr", ret);
    return ret[0] != 0;
}

/* The unit serial number page as the kernel read it when the device came. */
static void
read_serial(const char *root, const char *name, char ret[VARVE_PORT_SERIAL_BYTES])
{
    char path[PATH_MAX];
    uint8_t page[256];
    ret[0] = 0;
    (void)snprintf(path, sizeof path, "%s/sys/class/scsi_generic/%s/device/vpd_pg80", root, name);
    VARVE_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, page, sizeof page) : -1;
    if (size < 4 || page[1] != 0x80)
        return;
    size_t text = (size_t)size - 4;
    port_trim_serial(page + 4, text < page[3] ? text : page[3], ret);
}

bool
port_sysfs_by_serial(const char *root, const char *serial, char ret[PORT_NODE_BYTES],
                     struct varve_error *err)
{
    char path[PATH_MAX];
    char found[PORT_NODE_BYTES] = "";
    (void)snprintf(path, sizeof path, "%s/sys/class/scsi_generic", root);
    VARVE_CLEANUP_DIR DIR *dir = opendir(path);
    const struct dirent *entry = NULL;
    for (unsigned i = 0; dir != NULL && i < NODES_MAX && (entry = readdir(dir)) != NULL; i++) {
        char has[VARVE_PORT_SERIAL_BYTES];
        if (strncmp(entry->d_name, "sg", 2) != 0 || strlen(entry->d_name) > NODE_NAME_MAX)
            continue;
        read_serial(root, entry->d_name, has);
        if (strcmp(has, serial) != 0)
            continue;
        if (found[0] != 0)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "%s and /dev/%.40s both have serial number '%s'\nhint: name the "
                                   "device by a link below /dev/disk/by-path or /dev/tape/by-path",
                                   found, entry->d_name, serial);
        (void)snprintf(found, sizeof found, "/dev/%.*s", (int)NODE_NAME_MAX, entry->d_name);
    }
    if (found[0] == 0) {
        (void)varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                              "no device of this host has serial number '%s'", serial);
        return varve_error_hint(err, "is it on, and does `ls /dev/sg*` show it?");
    }
    (void)snprintf(ret, PORT_NODE_BYTES, "%s", found);
    return true;
}
