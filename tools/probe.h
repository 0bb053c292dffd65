/* probe.h - `varve library probe`: what is there, what it is worth, and what to write into
 * varve.conf. Gathering (probe_gather.c) asks the machine; advice, lines and output are pure. One
 * thread. */
#ifndef VARVE_TOOLS_PROBE_H
#define VARVE_TOOLS_PROBE_H

#include <jansson.h>
#include <varve/buffer.h>
#include <varve/devices.h>
#include <varve/probe.h>

#define PROBE_TEXT_BYTES 512u

/* A device, or the place of one that the kernel does not show (iscsi://...). */
struct probe_unit {
    struct varve_device device;
    char name[VARVE_DEVICE_NAME_BYTES];       /* for varve.conf; "" if there is none */
    struct varve_scsi_port *port;             /* NULL: could not be opened */
    char trouble[PROBE_TEXT_BYTES];           /* why it is of no use as it is; "" if it is */
    char remedy[PROBE_TEXT_BYTES];            /* what to do about that */
    char holders[VARVE_DEVICE_HOLDERS_BYTES]; /* other programs that have it open */
};
struct probe_changer {
    size_t unit;
    bool known;              /* `view` was read */
    struct varve_probe view; /* elements name drives by their place among the drives of `probe` */
};
/* What the machine is like, apart from devices. */
struct probe_machine {
    bool shows_scsi; /* /sys/class/scsi_device: the kernel can show SCSI devices at all */
    bool has_sg;     /* module sg */
    bool has_udev;   /* udevd has a database */
    int ch_init;     /* of the module ch: 0, 1; -1: not loaded */
    bool is_root;
};
struct probe {
    struct probe_machine machine;
    struct probe_unit *units; /* changers, then drives */
    size_t unit_count, changer_count;
    struct probe_changer *changers;
};
void probe_done(struct probe *probe);
#define CLEANUP_PROBE_REPORT __attribute__((cleanup(probe_done)))

struct probe_options {
    bool load;           /* load-and-look where the changer does not prove it */
    char *const *places; /* iscsi://host[:port]/target[/lun] and nodes; none: all of this machine */
    size_t place_count;
};
/* Never fails for what is wrong with a device: the units tell. */
VARVE_MUST_CHECK bool
probe_gather(const struct probe_options *options, struct probe *ret, struct varve_error *err);

/* --- pure --- */

/* Drive `index` of the views. */
const struct probe_unit *probe_drive(const struct probe *probe, int index);
/* The changer and element that drive `index` was given to; false: none. */
bool probe_drive_place(const struct probe *probe, int index, size_t *ret_changer,
                       const struct varve_probe_element **ret_element);
/* Sections for varve.conf. What is not proven is commented out and says so. */
void probe_config(const struct probe *probe, struct varve_buffer *ret);
/* Lines "what is wrong: what to do", each ended; nothing if all is well. */
void probe_advice(const struct probe *probe, struct varve_buffer *ret);
/* All of it as one text, and as one document. */
void probe_text(const struct probe *probe, struct varve_buffer *ret);
json_t *probe_json(const struct probe *probe);

#endif
