/* exec.h - one command to one device, with what every command needs: a time-out and a class from
 * one table, retries that the class allows, and errors that carry the sense.
 *
 * A device belongs to one thread at a time; its counters may be read from any. */
#ifndef VARVE_CHANGER_EXEC_H
#define VARVE_CHANGER_EXEC_H

#include <stdatomic.h>
#include <varve/library.h>

/* What may be done with a command whose outcome is a unit attention, "busy" or nothing at all. */
enum varve_scsi_class {
    VARVE_SCSI_IDEMPOTENT, /* may be repeated */
    VARVE_SCSI_POSITION,   /* moves something: find out where it is first */
    VARVE_SCSI_WRITES,     /* writes once: find out the next writable address first (INV-6) */
};
struct varve_scsi_rule {
    uint8_t opcode;
    const char *name;
    enum varve_scsi_class class;
    unsigned seconds;
    unsigned later_seconds; /* once the device has settled; 0: the same */
};
const struct varve_scsi_rule *varve_scsi_rule_of(uint8_t opcode);

struct varve_scsi_device {
    struct varve_scsi_port *port;
    struct varve_clock *clock;
    int64_t ready_ns;    /* how long "becoming ready" is waited for */
    bool attention;      /* a unit attention came; cleared by who dealt with it */
    bool medium_changed; /* ... that says the medium, or what lies in the slots, may be another one
                          */
    bool reset;          /* ... that says locks and modes are as after power-on */
    bool reconfigured;   /* ... that says mode pages or identity are others */
    bool deferred;       /* an earlier command failed after it was acknowledged */
    struct varve_scsi_sense deferred_sense;
    bool settled;   /* the first WRITE, which calibrates the laser, is done */
    bool recovered; /* the last command succeeded with retries or correction */
    atomic_uint_fast64_t commands, retries, medium_errors, hardware_errors, recovered_errors;
};

/* One command, once. True: the device answered; *ret is its sense (not valid when there is none).
 * False: what happened is unknown. */
VARVE_MUST_CHECK bool
varve_scsi_once(struct varve_scsi_device *device, struct varve_scsi_command *command,
                struct varve_scsi_sense *ret, struct varve_error *err);
/* Carried out, perhaps with errors that the device corrected. */
bool
varve_scsi_is_good(const struct varve_scsi_command *command, const struct varve_scsi_sense *sense);
/* Busy with something else or becoming ready: the same command may be tried again later. */
bool
varve_scsi_is_busy(const struct varve_scsi_command *command, const struct varve_scsi_sense *sense);
bool varve_scsi_is(const struct varve_scsi_sense *sense, unsigned key, unsigned asc, unsigned ascq);
/* Fills `err` from an answer that is not good; returns false. */
bool varve_scsi_fail(const struct varve_scsi_command *command, const struct varve_scsi_sense *sense,
                     struct varve_error *err);

/* A command with the retries of its class: idempotent ones go through unit attentions (at most 10)
 * and wait while the device is busy or becoming ready; others are sent once. */
VARVE_MUST_CHECK bool varve_scsi_run(struct varve_scsi_device *device,
                                     struct varve_scsi_command *command, struct varve_error *err);

/* Naps that grow: 20 ms, 40 ms, ... 1 s, until `limit_ns` after varve_scsi_wait_begin. */
struct varve_scsi_wait {
    struct varve_clock *clock;
    int64_t deadline_ns, nap_ns;
};
void
varve_scsi_wait_begin(struct varve_scsi_wait *wait, struct varve_clock *clock, int64_t limit_ns);
/* Naps; false when the time is over. */
bool varve_scsi_wait_nap(struct varve_scsi_wait *wait);

#endif
