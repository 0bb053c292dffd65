/* SPDX-License-Identifier: Apache-2.0 */
#include "blame.h"

#include <string.h>

/* Only what nobody was found guilty of: a disc that was bad for one drive may be for another. */
static bool
counts_against_disc(const struct varve_incident *incident, const struct varve_barcode *disc)
{
    return incident->verdict == VARVE_VERDICT_OPEN && varve_barcode_equal(&incident->disc, disc);
}

static bool
counts_against_drive(const struct varve_incident *incident, const char *drive, int64_t since_ns)
{
    return (incident->verdict == VARVE_VERDICT_OPEN || incident->verdict == VARVE_VERDICT_DRIVE) &&
           incident->at_ns >= since_ns && strcmp(incident->drive, drive) == 0;
}

static bool
blame_disc(const struct varve_incident *incidents, size_t count, const struct varve_barcode *disc)
{
    unsigned drives = 0;
    for (size_t i = 0; i < count; i++) {
        bool fresh = counts_against_disc(&incidents[i], disc);
        for (size_t j = 0; j < i && fresh; j++)
            fresh = !counts_against_disc(&incidents[j], disc) ||
                    strcmp(incidents[j].drive, incidents[i].drive) != 0;
        drives += fresh;
    }
    return drives >= BLAME_DRIVES;
}

bool
blame_drive(const struct varve_incident *incidents, size_t count, const char *drive,
            int64_t since_ns)
{
    unsigned discs = 0;
    for (size_t i = 0; i < count; i++) {
        bool fresh = counts_against_drive(&incidents[i], drive, since_ns);
        for (size_t j = 0; j < i && fresh; j++)
            fresh = !counts_against_drive(&incidents[j], drive, since_ns) ||
                    !varve_barcode_equal(&incidents[j].disc, &incidents[i].disc);
        discs += fresh;
    }
    return discs >= BLAME_DISCS;
}

enum blame
blame_judge(const struct varve_incident *incidents, size_t count, const char *drive,
            const struct varve_barcode *disc, int64_t since_ns)
{
    if (blame_disc(incidents, count, disc))
        return BLAME_DISC;
    return blame_drive(incidents, count, drive, since_ns) ? BLAME_DRIVE : BLAME_OPEN;
}
