/* devices.h - the SCSI changers and optical drives that this machine's kernel shows: what they are,
 * by which names they can be reached, and who else uses them.
 *
 * Found with libudev from sysfs and udev's database; nothing is opened and no command is sent, so
 * no permission is needed. Lists are plain data. Any thread. Sources: Linux sysfs (class
 * scsi_device, scsi_generic, scsi_changer, block); reference 3.4, 10.6. */
#ifndef VARVE_DEVICES_H
#define VARVE_DEVICES_H

#include <stddef.h>
#include <stdint.h>
#include <varve/cleanup.h>
#include <varve/error.h>

/* SCSI peripheral device types (SPC-4 6.4.2). */
enum varve_device_kind { VARVE_DEVICE_DRIVE = 0x05, VARVE_DEVICE_CHANGER = 0x08 };
const char *varve_device_kind_name(enum varve_device_kind kind); /* "drive", "changer" */

#define VARVE_DEVICES_MAX 1024u
#define VARVE_DEVICE_SERIAL_BYTES 65u
#define VARVE_DEVICE_NODE_BYTES 64u
#define VARVE_DEVICE_LINK_BYTES 256u
struct varve_device {
    enum varve_device_kind kind;
    char address[32]; /* "0:0:0:3": host, channel, target, LUN; new after each plugging in */
    char vendor[9], product[17], revision[5];
    char serial[VARVE_DEVICE_SERIAL_BYTES]; /* unit serial number; "" if the kernel has none */
    char wwid[VARVE_DEVICE_SERIAL_BYTES];   /* "naa.6000..."; "" if it has none */
    /* Nodes: "/dev/sg3" (what varve opens), "/dev/sr0", "/dev/sch0"; "" if there is none. */
    char sg[VARVE_DEVICE_NODE_BYTES];
    char block[VARVE_DEVICE_NODE_BYTES];
    char changer[VARVE_DEVICE_NODE_BYTES];
    /* Links that udev keeps; "" if it does not. */
    char by_id[VARVE_DEVICE_LINK_BYTES];
    char by_path[VARVE_DEVICE_LINK_BYTES];
    bool serial_is_page_80; /* the kernel has it: "serial:..." finds the device */
    bool in_udev;           /* udev's database knows one of the nodes */
    bool udisks_leaves;     /* UDISKS_IGNORE is set: our udev rule is in force */
};
struct varve_devices {
    struct varve_device *list; /* malloc'd, by kind then address */
    size_t count;
};
void varve_devices_done(struct varve_devices *devices);
#define VARVE_CLEANUP_DEVICES __attribute__((cleanup(varve_devices_done)))

/* What is there now. No SCSI at all gives an empty list. */
VARVE_MUST_CHECK bool varve_devices_scan(struct varve_devices *ret, struct varve_error *err);

/* Prefix of a name that stays with a device whatever node it gets: "serial:K1234". */
#define VARVE_DEVICE_SERIAL_PREFIX "serial:"
/* The device of `kind` that `name` means: serial:NUMBER, a node, or one of udev's links. Pure.
 * NOT_FOUND if none does, INVALID if two devices have this serial number. */
VARVE_MUST_CHECK bool
varve_devices_find(const struct varve_devices *devices, enum varve_device_kind kind,
                   const char *name, const struct varve_device **ret, struct varve_error *err);
/* The best name of a `device` of the list to write into a configuration: the serial number if no
 * other device has it (reference 3.4: USB bridges repeat theirs), else udev's link by path, else by
 * id, else the node, which the next boot may give to another device. "" if there is not even a
 * node. Pure. */
#define VARVE_DEVICE_NAME_BYTES VARVE_DEVICE_LINK_BYTES
void varve_devices_name(const struct varve_devices *devices, const struct varve_device *device,
                        char ret[VARVE_DEVICE_NAME_BYTES]);

/* A process that has one of the nodes of a device open, or a mount of it. */
struct varve_device_holder {
    int64_t pid;   /* 0: a mount, or a device on top of it */
    char what[64]; /* name of the program, or "mounted at /media/x" */
    char node[VARVE_DEVICE_NODE_BYTES];
};
#define VARVE_DEVICE_HOLDERS_MAX 16u
/* Who has it open besides this process; at most `max`. What the caller may not look at (other
 * users' processes) is not seen. */
size_t varve_device_holders(const struct varve_device *device, struct varve_device_holder *ret,
                            size_t max);
/* "cdrom_id (process 812) has /dev/sr0 open, udisksd (process 3) has /dev/sr1 open"; "" if nobody
 * does. */
#define VARVE_DEVICE_HOLDERS_BYTES 256u
void
varve_device_holders_text(const struct varve_device *device, char ret[VARVE_DEVICE_HOLDERS_BYTES]);

/* --- plugging in and out --- */

struct varve_device_event {
    bool added;                         /* else removed */
    char node[VARVE_DEVICE_NODE_BYTES]; /* "/dev/sg3" */
    char address[32];
};
struct varve_device_monitor;
/* Listens to udev from now on; where udevd does not run, to the kernel. NOT_FOUND: the machine has
 * no such events (a container). */
VARVE_MUST_CHECK bool
varve_device_monitor_new(struct varve_device_monitor **ret, struct varve_error *err);
void varve_device_monitor_free(struct varve_device_monitor *monitor);
VARVE_DEFINE_CLEANUP(struct varve_device_monitor, varve_device_monitor_free)
/* Readable when an event waits; for poll(2). */
int varve_device_monitor_fd(const struct varve_device_monitor *monitor);
/* The next event that is about a generic node (sg) of any device; false: none waits. One thread. */
bool
varve_device_monitor_next(struct varve_device_monitor *monitor, struct varve_device_event *ret);

#endif
