/* changer.h - the robot alone: its elements as it reports them, and moves whose both ends are
 * looked at afterwards.
 *
 * One thread at a time (library.c holds its lock). No call returns with a disc in the gripper
 * unless the error says so. Nothing is planned from one answer: a list is believed when two
 * readings agree, an end of a move when it is as the command said, or twice the same. */
#ifndef VARVE_CHANGER_CHANGER_H
#define VARVE_CHANGER_CHANGER_H

#include "exec.h"
#include "smc_codec.h"

/* Who shows people what the changer waits for, and may end the waiting. */
struct varve_changer_observer {
    void *context;
    void (*note)(void *context, enum varve_library_condition condition, const char *why);
    bool (*stopping)(void *context);
};
struct varve_changer_setup {
    const char *name; /* of the library, for the journal and for messages; copied */
    struct varve_scsi_port *port;
    struct varve_move_journal journal;
    struct varve_clock *clock;
    struct varve_changer_observer observer;
    struct varve_timeouts timeouts;
    int64_t ready_ns; /* patience with a unit that becomes ready; 0: that of the device */
};

struct varve_changer {
    struct varve_scsi_device device;
    char name[64];
    struct varve_move_journal journal;
    struct varve_changer_observer observer;
    struct varve_smc_assignment map;
    struct varve_smc_capabilities can; /* all zero if the unit does not tell */
    bool rotates;                      /* the gripper can turn discs over */
    /* What this model refused as unknown or as an invalid field; not asked again. */
    bool no_voltag, no_curdata, no_dvcid, no_prevent, no_exchange;
    bool counted;    /* was told to count its discs since power-on */
    bool wants_lock; /* door and mail slots shall be locked; again after a reset */
    bool garbled; /* an answer since this was cleared had bytes enough, and no element asked for */
    bool distrusted; /* its memory was found wrong: ask without CURDATA */
    bool one_by_one; /* its lists never agree: elements are read singly */
    unsigned slips;  /* bit 0: the last MOVE missed its place, bit 1: the one before, ... */
    uint8_t *buffer; /* for READ ELEMENT STATUS */
};

struct varve_smc_list {
    struct varve_smc_element *elements; /* malloc'd */
    size_t count;
};
void varve_smc_list_done(struct varve_smc_list *list);

/* --- changer.c --- */

/* Waits until the unit is ready (a door that stands open, and counting after power-on, included)
 * and reads the mode pages. */
VARVE_MUST_CHECK bool
varve_changer_init(struct varve_changer *changer, const struct varve_changer_setup *setup,
                   struct varve_error *err);
void varve_changer_done(struct varve_changer *changer); /* leaves the port open */

/* TEST UNIT READY through at most `limit_ns` of "not ready". */
VARVE_MUST_CHECK bool
varve_changer_wait_ready(struct varve_changer *changer, int64_t limit_ns, struct varve_error *err);
/* Ready now? *ret_changed: the inventory may have changed since the last varve_changer_inventory().
 * Does again what a reset undid. NOT_READY after a few seconds; the observer was told why. */
VARVE_MUST_CHECK bool
varve_changer_poll(struct varve_changer *changer, bool *ret_changed, struct varve_error *err);
/* Locks or unlocks door and mail slots. A unit that cannot is left alone. */
void varve_changer_lock(struct varve_changer *changer, bool lock);
/* Opens or closes mail slots that have a motor; others do not mind. */
void varve_changer_open_mail(struct varve_changer *changer, bool open);
uint16_t varve_changer_transport(const struct varve_changer *changer);

/* --- changer_status.c --- */

/* All elements from the hardware, by type then address: when two readings agree. Where they never
 * do, each element is read singly until it says the same twice. */
VARVE_MUST_CHECK bool varve_changer_inventory(struct varve_changer *changer,
                                              struct varve_smc_list *ret, struct varve_error *err);
/* ... an element that never does has an exception with this ASC. */
#define VARVE_CHANGER_UNREADABLE 0xffu
/* One element anew. */
VARVE_MUST_CHECK bool varve_changer_element(struct varve_changer *changer, uint16_t address,
                                            struct varve_smc_element *ret, struct varve_error *err);
/* Makes the unit look at the element itself. Not all can: then nothing happens. */
void varve_changer_look_again(struct varve_changer *changer, uint16_t address);

/* --- changer_moves.c --- */

struct varve_changer_move {
    struct varve_barcode barcode; /* "" if unknown */
    uint16_t from, to;
    bool invert; /* turn it over on the way */
};
/* Both ends as they are after the attempt, if they could be read, and what the last command was
 * refused with. */
struct varve_changer_ends {
    bool known;
    struct varve_smc_element from, to;
    struct varve_scsi_sense sense;
};
/* Journals, moves, verifies (INV-7). True: the disc is at `to`. False: *ret tells where it is. */
VARVE_MUST_CHECK bool
varve_changer_move(struct varve_changer *changer, const struct varve_changer_move *move,
                   struct varve_changer_ends *ret, struct varve_error *err);

/* `in` from its place to a full element, and `out` from there to another: in.to is out.from. */
struct varve_changer_exchange {
    struct varve_changer_move in, out;
};
bool varve_changer_can_exchange(const struct varve_changer *changer,
                                const struct varve_changer_exchange *exchange);
/* One command for both moves. True if both are done. False: *ret_in and *ret_out tell where the
 * discs are (where .known); the caller goes on from there with single moves. */
VARVE_MUST_CHECK bool
varve_changer_exchange(struct varve_changer *changer, const struct varve_changer_exchange *exchange,
                       struct varve_changer_ends *ret_in, struct varve_changer_ends *ret_out,
                       struct varve_error *err);
/* Two of the last ten moves missed their place. */
bool varve_changer_is_worn(const struct varve_changer *changer);

#endif
