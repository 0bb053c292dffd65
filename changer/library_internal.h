/* library_internal.h - a library's state, shared by library*.c. Everything but the drives is under
 * `arm`, what people are shown under `view`. */
#ifndef VARVE_CHANGER_LIBRARY_INTERNAL_H
#define VARVE_CHANGER_LIBRARY_INTERNAL_H

#include "changer.h"
#include "drive.h"

#define LIBRARY_EVENTS_MAX 64u

struct varve_library_drive {
    struct varve_drive drive;
    bool proven; /* the device is in this element: by serial number, or by a load that it saw */
    bool has_home;
    uint16_t home;              /* slot of the disc in the drive */
    struct varve_barcode shown; /* what is in it, "" if empty: under `view` */
    bool shown_full;
    bool refused;                       /* the last disc brought was not taken: likewise */
    uint16_t shown_element, shown_home; /* likewise; 0: none */
    unsigned shown_flags;
};

struct varve_library {
    char name[64];
    struct varve_clock *clock;
    bool two_sided;
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
    struct varve_element_record *records; /* by address */
    size_t record_count, record_capacity;
    bool unlocked, maintenance;
    const char *advice; /* how maintenance ends */
    unsigned surprises; /* a bit for each of the last ten moves: an end was not as remembered */
    atomic_bool stopping;
    const atomic_bool *stop; /* the same, while it is opened; else NULL */
    /* Under `view`: */
    struct varve_library_state state;
    char events[LIBRARY_EVENTS_MAX][VARVE_LIBRARY_EVENT_BYTES];
    unsigned event_first, event_count;
    unsigned events_lost;
};

/* --- library.c --- */

/* Reads the inventory if the changer says that something may have changed, and empties the gripper.
 */
bool varve_library_refresh(struct varve_library *library, bool always, struct varve_error *err);
/* NULL: no such element. */
struct varve_element *varve_library_element(struct varve_library *library, uint16_t address);
/* NULL: there is none. Slots that are the home of a disc in a drive come last. */
struct varve_element *varve_library_free_slot(struct varve_library *library);
/* May a disc be put into it? */
bool varve_library_is_free(const struct varve_element *slot);
/* Moves and takes over what both ends look like now. `ret_ends` may be NULL. */
bool varve_library_move(struct varve_library *library, const struct varve_changer_move *move,
                        struct varve_changer_ends *ret_ends, struct varve_error *err);
bool varve_library_exchange(struct varve_library *library,
                            const struct varve_changer_exchange *exchange, struct varve_error *err);
/* Shows what the drives hold to varve_library_drive_disc(). */
void varve_library_publish(struct varve_library *library);
/* For varve_library_drive_refused(). */
void varve_library_note_refusal(struct varve_library *library, unsigned drive, bool refused);
/* The same for varve_library_element_of(); holding both locks (library_view.c). */
void varve_library_view_positions(struct varve_library *library);
bool varve_library_empty_gripper(struct varve_library *library, struct varve_error *err);

/* The drive element whose identifier contains the serial number of a drive, -1 if none does. */
int32_t varve_library_find_serial(struct varve_library *library, const char *serial);

/* --- library_moves.c --- */

/* OFFLINE: not in the library, or in a magazine that is out, or two discs have this bar code. */
bool varve_library_find_disc(struct varve_library *library, const struct varve_barcode *barcode,
                             struct varve_element **ret, struct varve_error *err);
/* After a move that the unit refused because of what lies at its ends: true if the inventory, read
 * again by looking, may tell another way. */
bool varve_library_look_again(struct varve_library *library, const struct varve_changer_move *move,
                              const struct varve_scsi_sense *sense);

/* Brings the disc of the drive home, holding the arm. */
bool varve_library_unload_locked(struct varve_library *library, struct varve_library_drive *drive,
                                 struct varve_error *err);

/* --- library_learn.c --- */

/* The device behind the drive is the one it was, or another drive of the library, whose place it
 * takes then. Without the arm. */
bool varve_library_check_device(struct varve_library *library, struct varve_library_drive *drive,
                                struct varve_error *err);
/* The disc was put into the drive's element, and the drive saw none. True: another drive that
 * should be empty sees one; they changed places, and the disc went home, if it would. Without the
 * arm. */
bool varve_library_learn_by_look(struct varve_library *library, struct varve_library_drive *drive,
                                 const struct varve_barcode *barcode);

/* --- library_people.c --- */

void varve_library_tell(struct varve_library *library, const char *format, ...) VARVE_PRINTF(2, 3);
void varve_library_note(void *library, enum varve_library_condition condition, const char *why);
/* Fails while people have the library, or its mechanics want them; else refreshes. */
bool varve_library_begin(struct varve_library *library, struct varve_error *err);
/* Does `act` with the arm held; again while the library cannot move now and is worth waiting for.
 */
typedef bool
varve_library_act_fn(struct varve_library *library, void *context, struct varve_error *err);
bool varve_library_when_movable(struct varve_library *library, varve_library_act_fn *act,
                                void *context, struct varve_error *err);
/* No more moves until somebody looked; `why` is static. */
void varve_library_stop(struct varve_library *library, const char *why, const char *advice);
/* Fault 35, met by the arm: two moves out of ten refused for what lay at their ends, and nobody had
 * been at the library: stops. Once may be the unit's own memory (faults 8, 9). */
void varve_library_check_surprise(struct varve_library *library, bool moved,
                                  const struct varve_scsi_sense *sense);
/* Two slips in ten moves: stops. */
void varve_library_check_wear(struct varve_library *library);

/* --- library_judge.c --- */

/* Compares a fresh list with the records, flags and names its elements, and tells people what
 * changed. `doubtful`: somebody may have exchanged discs since. */
bool varve_library_judge(struct varve_library *library, bool doubtful, struct varve_error *err);
/* Shows how many elements are flagged. */
void varve_library_count_flags(struct varve_library *library);

/* --- library_records.c --- */

/* What goes with a disc wherever the arm brings it. */
#define LIBRARY_DISC_FLAGS                                                                         \
    ((unsigned)VARVE_ELEMENT_QUARANTINED | VARVE_ELEMENT_NAMED | VARVE_ELEMENT_UNKNOWN |           \
     VARVE_ELEMENT_CLEANING)

bool varve_library_records_load(struct varve_library *library, struct varve_error *err);
/* NULL: there is none. */
struct varve_element_record *varve_library_record(struct varve_library *library, uint16_t address);
/* Of the first of `records`, which are sorted, at or after `address`. */
size_t varve_library_record_position(const struct varve_element_record *records, size_t count,
                                     uint16_t address);
/* In memory. *ret_changed: it was not so before. */
bool
varve_library_record_put(struct varve_library *library, const struct varve_element_record *record,
                         bool *ret_changed, struct varve_error *err);
bool
varve_library_remember(struct varve_library *library, const struct varve_element_record *records,
                       size_t count, struct varve_error *err);
/* Before a move: what `to` will hold is remembered, so that the move is not taken for somebody
 * else's after a crash. */
bool varve_library_announce(struct varve_library *library, const struct varve_changer_move *move,
                            struct varve_error *err);
/* ... that the element between will hold one of the two. */
bool varve_library_announce_exchange(struct varve_library *library,
                                     const struct varve_changer_exchange *exchange,
                                     struct varve_error *err);
/* After it: both ends as they are now. */
void varve_library_moved(struct varve_library *library, const struct varve_changer_move *move,
                         const struct varve_changer_ends *ends);
void
varve_library_exchanged(struct varve_library *library,
                        const struct varve_changer_exchange *exchange,
                        const struct varve_changer_ends *in, const struct varve_changer_ends *out);
/* Slot that the disc in the drive element came from, by the record; -1: not known. */
int32_t varve_library_recorded_home(struct varve_library *library, uint16_t address,
                                    const struct varve_barcode *barcode);

#endif
