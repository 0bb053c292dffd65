/* scsi.h - one SCSI command to one logical unit, whatever carries it: the port that all hardware
 * sits behind.
 *
 * A port belongs to one thread at a time. Ports: virtual (virtual.h); SG_IO, iSCSI, recorder and
 * replay (ports.h). Nothing above a port knows which one it is. Sources: SPC-4, SAM-5. */
#ifndef VARVE_SCSI_H
#define VARVE_SCSI_H

#include <varve/error.h>
#include <varve/types.h>

enum varve_scsi_direction { VARVE_SCSI_NO_DATA, VARVE_SCSI_FROM_DEVICE, VARVE_SCSI_TO_DEVICE };

#define VARVE_SCSI_CDB_BYTES 16
#define VARVE_SCSI_SENSE_BYTES 252

struct varve_scsi_command {
    uint8_t cdb[VARVE_SCSI_CDB_BYTES];
    uint8_t cdb_bytes;
    enum varve_scsi_direction direction;
    uint8_t *data;
    uint32_t data_bytes;
    uint32_t timeout_ms;
    /* Answer: */
    uint8_t status; /* SAM status: 0 good, 2 check condition, 8 busy, 0x18 reservation conflict */
    uint8_t sense[VARVE_SCSI_SENSE_BYTES];
    uint8_t sense_bytes;
    uint32_t received_bytes; /* of data, from the device */
};

struct varve_scsi_port {
    /* True: the device answered, good or not. False: no answer, what happened is unknown (NOT_READY
     * time-out, HARDWARE link gone; with `sys` EHOSTUNREACH it was the network or the target, not
     * the device): the caller must find out the state, never just repeat. */
    bool (*execute)(struct varve_scsi_port *port, struct varve_scsi_command *command,
                    struct varve_error *err);
    void (*close)(struct varve_scsi_port *port); /* frees it */
    /* Most data of one command in bytes, a multiple of 64 KiB; 0: no limit. */
    uint32_t transfer_max;
    /* Pause between two looks at a device that may say "ready" while it is busy; 0: 2 s. */
    uint32_t settle_ms;
};

/* Sense data, either format, decoded (SPC-4 4.5). */
struct varve_scsi_sense {
    bool valid, deferred;
    uint8_t key, asc, ascq;
    bool has_information;
    uint64_t information;
    bool has_progress;
    uint16_t progress; /* of 65536 */
};
/* Pure; anything unreadable gives valid = false. */
void varve_scsi_sense_decode(const uint8_t *bytes, size_t size, struct varve_scsi_sense *ret);
/* "medium error (3/11/05)" with the standard's words where known; returns `ret`. */
#define VARVE_SCSI_TEXT_BYTES 160
const char *
varve_scsi_sense_text(const struct varve_scsi_sense *sense, char ret[VARVE_SCSI_TEXT_BYTES]);

#endif
