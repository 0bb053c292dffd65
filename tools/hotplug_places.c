/* SPDX-License-Identifier: Apache-2.0 */
/* What a change in the list of devices means for a configured library: pure. */
#include "hotplug.h"

#include <string.h>

static const struct varve_device *
find(const struct hotplug_place *place, const struct varve_devices *devices)
{
    enum varve_device_kind kind = place->drive < 0 ? VARVE_DEVICE_CHANGER : VARVE_DEVICE_DRIVE;
    const struct varve_device *found = NULL;
    struct varve_error unused = {0}; /* not there, or ambiguous: not there for us */
    char name[VARVE_DEVICE_SERIAL_BYTES + sizeof VARVE_DEVICE_SERIAL_PREFIX];
    /* Once its serial number is known that is what it is known by, as the ports do (fault 16): the
     * node may be another device's by now. */
    (void)snprintf(name, sizeof name, VARVE_DEVICE_SERIAL_PREFIX "%s", place->serial);
    const char *wanted = place->serial[0] != 0 ? name : place->place;
    return varve_devices_find(devices, kind, wanted, &found, &unused) && found->sg[0] != 0 ? found
                                                                                           : NULL;
}

enum hotplug_change
hotplug_update(struct hotplug_place *place, const struct varve_devices *devices)
{
    const struct varve_device *found = find(place, devices);
    if (found == NULL) {
        bool was = place->node[0] != 0;
        place->node[0] = 0;
        return was ? HOTPLUG_GONE : HOTPLUG_SAME;
    }
    if (found->serial_is_page_80)
        (void)snprintf(place->serial, sizeof place->serial, "%s", found->serial);
    if (strcmp(place->node, found->sg) == 0)
        return HOTPLUG_SAME;
    bool was = place->node[0] != 0;
    (void)snprintf(place->node, sizeof place->node, "%s", found->sg);
    return was ? HOTPLUG_MOVED : HOTPLUG_BACK;
}

const char *
hotplug_text(const struct hotplug_place *place, enum hotplug_change change,
             char ret[HOTPLUG_TEXT_BYTES])
{
    char what[32] = "the changer";
    if (place->drive >= 0)
        (void)snprintf(what, sizeof what, "drive %d", place->drive);
    const char *lead = "library";
    switch (change) {
    case HOTPLUG_SAME:
        ret[0] = 0;
        break;
    case HOTPLUG_GONE:
        (void)snprintf(ret, HOTPLUG_TEXT_BYTES,
                       "%s '%s': %s (%.256s) is gone: look at its power and its cable", lead,
                       place->library, what, place->place);
        break;
    case HOTPLUG_BACK:
        (void)snprintf(ret, HOTPLUG_TEXT_BYTES, "%s '%s': %s (%.256s) is back as %s", lead,
                       place->library, what, place->place, place->node);
        break;
    case HOTPLUG_MOVED:
        (void)snprintf(ret, HOTPLUG_TEXT_BYTES,
                       "%s '%s': %s (%.256s) was plugged in anew and is %s now", lead,
                       place->library, what, place->place, place->node);
        break;
    }
    return ret;
}
