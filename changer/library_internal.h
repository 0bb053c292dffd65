/* library_internal.h - a library's state, shared by library.c and library_moves.c. Everything but
 * the drives is under `arm`. */
#ifndef VARVE_CHANGER_LIBRARY_INTERNAL_H
#define VARVE_CHANGER_LIBRARY_INTERNAL_H

#include "changer.h"
#include "drive.h"

struct varve_library_drive {
    struct varve_drive drive;
    bool has_home;
    uint16_t home;              /* slot of the disc in the drive */
    struct varve_barcode shown; /* what is in it, "" if empty: under `view` */
    bool shown_full;
    bool refused;                       /* the last disc brought was not taken: likewise */
    uint16_t shown_element, shown_home; /* likewise; 0: none */
};

struct varve_library {
    char name[64];
    struct varve_clock *clock;
    pthread_mutex_t arm;
    pthread_mutex_t view; /* short: who asks what is in a drive must not wait for a move */
    struct varve_changer changer;
    struct varve_smc_list list; /* as last seen */
    struct varve_library_drive *drives;
    size_t drive_count;
    struct varve_manual *manual; /* NULL: there is a robot. Else no changer, no list (manual.c) */
    bool has_geometry;
    struct varve_geometry geometry;
    struct varve_library_position *positions; /* by bar code: under `view` */
    size_t position_count;
};

/* Reads the inventory if the changer says that something may have changed, and empties the gripper.
 */
bool varve_library_refresh(struct varve_library *library, bool always, struct varve_error *err);
/* NULL: no such element. */
struct varve_element *varve_library_element(struct varve_library *library, uint16_t address);
/* NULL: there is none. Slots that are the home of a disc in a drive come last. */
struct varve_element *varve_library_free_slot(struct varve_library *library);
/* Moves and takes over what both ends look like now. */
bool varve_library_move(struct varve_library *library, const struct varve_changer_move *move,
                        struct varve_error *err);
/* Shows what the drives hold to varve_library_drive_disc(). */
void varve_library_publish(struct varve_library *library);
/* For varve_library_drive_refused(). */
void varve_library_note_refusal(struct varve_library *library, unsigned drive, bool refused);
/* The same for varve_library_element_of(); holding both locks (library_view.c). */
void varve_library_view_positions(struct varve_library *library);
bool varve_library_empty_gripper(struct varve_library *library, struct varve_error *err);

#endif
