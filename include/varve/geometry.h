/* geometry.h - where the elements of a changer stand, and what the arm needs from one to another.
 *
 * Plain data and pure functions, any thread. Two shapes: a *carousel* turns its slots past an arm
 * (BD changers of 100-200 discs), so that slots are as far apart as the shorter way round; a
 * *gantry* arm travels along a wall of slots in columns, with the drives at one end (towers and
 * racks of magazines). The numbers are estimates for choosing between drives and for simulations:
 * no time-out comes from here. */
#ifndef VARVE_GEOMETRY_H
#define VARVE_GEOMETRY_H

#include <stdint.h>

enum varve_geometry_kind { VARVE_GEOMETRY_CAROUSEL, VARVE_GEOMETRY_GANTRY };
struct varve_geometry {
    enum varve_geometry_kind kind;
    uint16_t slot_first, drive_first; /* addresses of elements */
    unsigned slots, drives;           /* at least 1 */
    unsigned column;                  /* gantry: slots above each other; at least 1 */
    int64_t grip_ns;                  /* take a disc and put it down, without any way */
    int64_t step_ns;                  /* carousel: a slot further; gantry: a column or a drive */
};
/* From an element to another: the ways and both ends. Elements that are neither slots nor drives
 * stand where the arm rests. */
int64_t varve_geometry_move_ns(const struct varve_geometry *geometry, uint16_t from, uint16_t to);

#endif
