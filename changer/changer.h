/* changer.h - the robot alone: its elements as it reports them, and moves whose both ends are
 * looked at afterwards.
 *
 * One thread at a time (library.c holds its lock). No call returns with a disc in the gripper
 * unless the error says so. */
#ifndef VARVE_CHANGER_CHANGER_H
#define VARVE_CHANGER_CHANGER_H

#include "exec.h"
#include "smc_codec.h"

struct varve_changer {
    struct varve_scsi_device device;
    char name[64]; /* of the library, for the journal */
    struct varve_move_journal journal;
    struct varve_smc_assignment map;
    /* What this model refused with "invalid field in CDB"; not asked again. */
    bool no_voltag, no_curdata, no_dvcid;
    uint8_t *buffer; /* for READ ELEMENT STATUS */
};

struct varve_smc_list {
    struct varve_smc_element *elements; /* malloc'd */
    size_t count;
};
void varve_smc_list_done(struct varve_smc_list *list);

/* Prepares `changer` for `port`, waits until it is ready and reads mode page 1Dh. */
VARVE_MUST_CHECK bool
varve_changer_init(struct varve_changer *changer, const struct varve_library_ports *ports,
                   const struct varve_move_journal *journal, struct varve_clock *clock,
                   struct varve_error *err);
void varve_changer_done(struct varve_changer *changer); /* leaves the port open */

/* TEST UNIT READY: true if the inventory may have changed since the last varve_changer_inventory().
 */
VARVE_MUST_CHECK bool
varve_changer_poll(struct varve_changer *changer, bool *ret_changed, struct varve_error *err);
/* All elements from the hardware, by type then address; read until two readings agree if the unit
 * said that something may have changed. */
VARVE_MUST_CHECK bool varve_changer_inventory(struct varve_changer *changer,
                                              struct varve_smc_list *ret, struct varve_error *err);

struct varve_changer_move {
    struct varve_barcode barcode; /* "" if unknown */
    uint16_t from, to;
};
/* Both ends as they are after the attempt, if they could be read. */
struct varve_changer_ends {
    bool known;
    struct varve_smc_element from, to;
};
/* Journals, moves, verifies (INV-7). True: the disc is at `to`. False: *ret tells where it is. */
VARVE_MUST_CHECK bool
varve_changer_move(struct varve_changer *changer, const struct varve_changer_move *move,
                   struct varve_changer_ends *ret, struct varve_error *err);

#endif
