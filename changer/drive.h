/* drive.h - what library.c needs of a drive beyond include/varve/library.h. */
#ifndef VARVE_CHANGER_DRIVE_H
#define VARVE_CHANGER_DRIVE_H

#include "exec.h"
#include "mmc_codec.h"

/* A burn in progress: what is acknowledged, and where it ends. */
struct varve_burn {
    bool open, failed;
    uint64_t next_cluster, end_cluster;
};

struct varve_drive {
    struct varve_scsi_device device;
    char name[112]; /* "library 'main', drive 0" */
    uint16_t element;
    struct varve_drive_health identity; /* vendor ... serial; counters unused */
    struct varve_burn burn;
};

/* INQUIRY and serial number. */
VARVE_MUST_CHECK bool varve_drive_init(struct varve_drive *drive, struct varve_scsi_port *port,
                                       struct varve_clock *clock, struct varve_error *err);
/* Waits until a medium that was just put in is ready, at most 300 s. */
VARVE_MUST_CHECK bool varve_drive_wait_loaded(struct varve_drive *drive, struct varve_error *err);
/* Waits while the drive is busy, then: does it have a medium? */
VARVE_MUST_CHECK bool
varve_drive_has_medium(struct varve_drive *drive, bool *ret_present, struct varve_error *err);
/* ALLOW MEDIUM REMOVAL: somebody else on this host may have locked the tray. */
VARVE_MUST_CHECK bool varve_drive_release(struct varve_drive *drive, struct varve_error *err);
VARVE_MUST_CHECK bool varve_drive_eject(struct varve_drive *drive, struct varve_error *err);
/* Forgets an unfinished burn: the disc leaves. */
void varve_drive_forget(struct varve_drive *drive);

#endif
