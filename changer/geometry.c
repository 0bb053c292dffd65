/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/geometry.h>

static unsigned
distance(unsigned a, unsigned b)
{
    return a > b ? a - b : b - a;
}

/* Carousel: the drives are evenly around it. */
static unsigned
angle_of(const struct varve_geometry *g, uint16_t element)
{
    unsigned slot = (unsigned)element - g->slot_first;
    unsigned drive = (unsigned)element - g->drive_first;
    if (element >= g->slot_first && slot < g->slots)
        return slot;
    if (element >= g->drive_first && drive < g->drives)
        return drive * g->slots / g->drives;
    return 0;
}

static unsigned
steps_round(const struct varve_geometry *g, uint16_t from, uint16_t to)
{
    unsigned there = distance(angle_of(g, from), angle_of(g, to));
    return there < g->slots - there ? there : g->slots - there;
}

/* Gantry: drives, then columns of slots, along one rail. */
static unsigned
place_on_rail(const struct varve_geometry *g, uint16_t element)
{
    unsigned slot = (unsigned)element - g->slot_first;
    unsigned drive = (unsigned)element - g->drive_first;
    if (element >= g->drive_first && drive < g->drives)
        return drive / g->column;
    if (element >= g->slot_first && slot < g->slots)
        return g->drives / g->column + slot / g->column;
    return 0;
}

int64_t
varve_geometry_move_ns(const struct varve_geometry *g, uint16_t from, uint16_t to)
{
    unsigned steps = 0;
    switch (g->kind) {
    case VARVE_GEOMETRY_CAROUSEL:
        steps = steps_round(g, from, to);
        break;
    case VARVE_GEOMETRY_GANTRY:
        steps = distance(place_on_rail(g, from), place_on_rail(g, to));
        break;
    }
    return g->grip_ns + (int64_t)steps * g->step_ns;
}
