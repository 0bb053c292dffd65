/* virtual.h - a changer with drives and discs in a folder, behind the same CDBs as hardware.
 *
 * As strict as hardware: it refuses what a drive refuses (next writable address, overwriting,
 * capacity, closed discs, blank reads, moves from empty and to full elements, locked trays). Its
 * state is the folder: `library.json` (elements, which disc where), `discs/<barcode>.img` (raw
 * image, exactly what was written) and `discs/<barcode>.json` (kind, capacity, closed). kill -9
 * leaves what a power cut would leave. A disc whose .img file someone deletes is gone; one that
 * someone damages reads back damaged. Thread: create/add from anywhere; the ports follow scsi.h and
 * may be used by different threads. */
#ifndef VARVE_VIRTUAL_H
#define VARVE_VIRTUAL_H

#include <varve/clock.h>
#include <varve/scsi.h>

struct varve_virtual_options {
    unsigned slots, drives, mail_slots;
    uint64_t
        disc_bytes; /* capacity of each blank, a multiple of 64 KiB, at least 4 MiB; 0: usual */
    const char *barcode; /* prefix, "VRV" if NULL: blanks are VRV00001, ... */
    /* Of all blanks: "BD-R SRM" (if NULL), "BD-RE", "DVD+R", "DVD+R DL", "DVD-R", "DVD-R DL". */
    const char *kind;
};
/* Makes the folder with a blank disc in every slot. EXISTS if it is a library already. */
VARVE_MUST_CHECK bool
varve_virtual_create(const char *dir, const struct varve_virtual_options *options,
                     struct varve_error *err);

struct varve_virtual;
/* Locks the folder (BUSY names the holder). INVALID names the file and what is wrong with it. */
VARVE_MUST_CHECK bool varve_virtual_open(const char *dir, struct varve_clock *clock,
                                         struct varve_virtual **ret, struct varve_error *err);
/* After all ports were closed. NULL is fine. */
void varve_virtual_close(struct varve_virtual *library);
VARVE_DEFINE_CLEANUP(struct varve_virtual, varve_virtual_close)

unsigned varve_virtual_drive_count(const struct varve_virtual *library);
VARVE_MUST_CHECK bool
varve_virtual_changer_port(struct varve_virtual *library, struct varve_scsi_port **ret,
                           struct varve_error *err);
VARVE_MUST_CHECK bool
varve_virtual_drive_port(struct varve_virtual *library, unsigned drive,
                         struct varve_scsi_port **ret, struct varve_error *err);
/* Puts `count` fresh blanks into free slots. NO_SPACE if there are too few. */
VARVE_MUST_CHECK bool varve_virtual_add_blanks(struct varve_virtual *library, unsigned count,
                                               uint64_t disc_bytes, struct varve_error *err);
/* Puts an existing image file of a closed disc into a free mail slot or slot as `barcode` (hard
 * link or copy). */
VARVE_MUST_CHECK bool
varve_virtual_insert(struct varve_virtual *library, const char *image,
                     const struct varve_barcode *barcode, struct varve_error *err);

/* A fault for tests: the `nth` (from 1) command with this opcode answers with this sense instead;
 * with `dead` the link is gone from then on, until the port is closed; with `lost` this one command
 * gets no answer. `after`: the command is carried out first. For a drive `lba_first..lba_last`
 * limits it to commands that touch these sectors. Faults are used up. */
struct varve_virtual_fault {
    bool on_changer;
    unsigned drive;
    uint8_t opcode;
    unsigned nth;
    uint64_t lba_first, lba_last; /* 0, UINT64_MAX (or 0, 0): any */
    uint8_t key, asc, ascq;
    bool dead, lost, after;
};
VARVE_MUST_CHECK bool
varve_virtual_inject(struct varve_virtual *library, const struct varve_virtual_fault *fault,
                     struct varve_error *err);

#endif
