/* hotplug.h - the daemon's eye on the cables: tells when a changer or drive of a configured library
 * is unplugged or comes back, whatever its node is called then.
 *
 * Ports find their devices again by themselves (ports.h) when a command is sent; this is so that
 * the log says what happened when it happens, and so that a changer that comes back has its
 * inventory read at once (INV-7): somebody stood in front of it. */
#ifndef VARVE_TOOLS_HOTPLUG_H
#define VARVE_TOOLS_HOTPLUG_H

#include <varve/config.h>
#include <varve/devices.h>
#include <varve/engine.h>

/* A device that the configuration names. Plain data. */
struct hotplug_place {
    const char *library;                    /* its name */
    int drive;                              /* number of the drive; -1: the changer */
    const char *place;                      /* as configured */
    char serial[VARVE_DEVICE_SERIAL_BYTES]; /* learned when it was there; "" */
    char node[VARVE_DEVICE_NODE_BYTES];     /* where it is; "": gone */
};
enum hotplug_change { HOTPLUG_SAME, HOTPLUG_GONE, HOTPLUG_BACK, HOTPLUG_MOVED };
/* Brings `place` up to date and says what changed. Pure. */
enum hotplug_change
hotplug_update(struct hotplug_place *place, const struct varve_devices *devices);
/* "library 'tower': drive 1 (serial:X) is back as /dev/sg5"; returns `ret`. Pure. */
#define HOTPLUG_TEXT_BYTES 512u
const char *hotplug_text(const struct hotplug_place *place, enum hotplug_change change,
                         char ret[HOTPLUG_TEXT_BYTES]);

struct hotplug;
/* A thread until hotplug_stop(). *ret NULL and true: no library has a device of this machine, or
 * the machine has no such events. `engine` outlives it. */
VARVE_MUST_CHECK bool hotplug_start(const char *dir, struct varve_engine *engine,
                                    struct hotplug **ret, struct varve_error *err);
void hotplug_stop(struct hotplug *hotplug);
VARVE_DEFINE_CLEANUP(struct hotplug, hotplug_stop)

#endif
