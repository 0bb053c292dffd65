/* probe.h - which of the drives found is which drive element of a changer, and how that was proven.
 *
 * A changer moves discs to drive elements; the host burns through device nodes. Whoever takes one
 * drive for another writes to the wrong disc, so a pair counts only when it was proven: by the
 * serial number that the changer gives for the element (DVCID), or by putting a disc in and looking
 * which drive has it. One thread at a time; nothing here keeps state. Sources: SMC-3 6.10;
 * reference 1.7. */
#ifndef VARVE_PROBE_H
#define VARVE_PROBE_H

#include <varve/clock.h>
#include <varve/devices.h>
#include <varve/library.h>

enum varve_proof {
    VARVE_PROOF_NONE,
    VARVE_PROOF_CUT, /* what the changer says is cut, and fits one drive only: likely, not proven */
    VARVE_PROOF_SERIAL, /* the changer names this drive's serial number, and no other's */
    VARVE_PROOF_LOADED, /* a disc was put into the element, and this drive had it */
};
/* "serial number", "nothing" ...: for people and for JSON. */
const char *varve_proof_name(enum varve_proof proof);
bool varve_proof_holds(enum varve_proof proof); /* good enough to burn by */

/* A drive that may be in the changer. */
struct varve_probe_drive {
    struct varve_scsi_port *port; /* NULL: cannot be asked */
    char vendor[9], product[17];
    char serial[VARVE_DEVICE_SERIAL_BYTES]; /* "" if it has none */
    char wwid[VARVE_DEVICE_SERIAL_BYTES];   /* as in devices.h */
};

#define VARVE_PROBE_ID_BYTES 65u
#define VARVE_PROBE_WHY_BYTES 200u
/* A drive element of the changer. */
struct varve_probe_element {
    uint16_t address;
    bool full;
    struct varve_barcode barcode;  /* of the disc in it; "" if unread or empty */
    char id[VARVE_PROBE_ID_BYTES]; /* what the changer says of the drive; "" if nothing */
    int drive;                     /* index into the drives; -1: unknown */
    enum varve_proof proof;
    char why[VARVE_PROBE_WHY_BYTES]; /* why there is no proof; "" if there is */
};
struct varve_probe {
    char vendor[9], product[17], revision[5], serial[VARVE_DEVICE_SERIAL_BYTES];
    unsigned slots, mail_slots, discs;    /* discs: full slots, mail slots and drives */
    struct varve_probe_element *elements; /* malloc'd, by address: the order of `drive =` lines */
    size_t element_count;
};
void varve_probe_done(struct varve_probe *probe);
#define VARVE_CLEANUP_PROBE __attribute__((cleanup(varve_probe_done)))

/* Gives elements their drives by what the changer says of them. Pure; sets drive, proof and why of
 * each element. Never one drive for two elements: what is ambiguous stays unknown. */
void varve_probe_match(struct varve_probe_element *elements, size_t element_count,
                       const struct varve_probe_drive *drives, size_t drive_count);

/* Asks the drive itself for its serial number (VPD page 80h, else MMC feature 0108h) if `drive` has
 * none yet. Moves nothing. */
void varve_probe_identify(struct varve_probe_drive *drive, struct varve_clock *clock);

/* INQUIRY: kind (whatever type the unit has), vendor, product, revision and serial number of *ret.
 */
VARVE_MUST_CHECK bool varve_probe_inquire(struct varve_scsi_port *port, struct varve_clock *clock,
                                          struct varve_device *ret, struct varve_error *err);
/* REPORT LUNS: the units of a target, at most `max`. */
#define VARVE_PROBE_LUNS_MAX 256u
VARVE_MUST_CHECK bool
varve_probe_luns(struct varve_scsi_port *port, struct varve_clock *clock, uint16_t *ret, size_t max,
                 size_t *ret_count, struct varve_error *err);
/* Of an answer to REPORT LUNS. Pure; junk gives none. */
size_t varve_probe_decode_luns(const uint8_t *bytes, size_t size, uint16_t *ret, size_t max);
/* Of an answer to GET CONFIGURATION for feature 0108h, printable. Pure; false: it is none. */
bool
varve_probe_decode_serial(const uint8_t *bytes, size_t size, char ret[VARVE_DEVICE_SERIAL_BYTES]);

/* Looks at the changer and matches; moves nothing. */
VARVE_MUST_CHECK bool
varve_probe_look(struct varve_scsi_port *changer, const struct varve_probe_drive *drives,
                 size_t drive_count, struct varve_clock *clock, struct varve_probe *ret,
                 struct varve_error *err);

struct varve_probe_loading {
    struct varve_scsi_port *changer;
    const struct varve_probe_drive *drives;
    size_t drive_count;
    struct varve_clock *clock;
    /* Called before and after each move, with a line for people; may be NULL. */
    void (*tell)(void *context, const char *text);
    void *context;
};
/* Load-and-look: for each element without proof that is empty, brings a disc there, looks which
 * drive has it, and brings it back. Nobody else may use changer and drives. True: as far as it
 * went, the elements tell; false: the changer failed, and the text says where the disc is. Nothing
 * is written to any disc. */
VARVE_MUST_CHECK bool varve_probe_load(const struct varve_probe_loading *loading,
                                       struct varve_probe *probe, struct varve_error *err);

#endif
