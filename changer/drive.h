/* drive.h - what library.c needs of a drive beyond include/varve/library.h. */
#ifndef VARVE_CHANGER_DRIVE_H
#define VARVE_CHANGER_DRIVE_H

#include "exec.h"
#include "media.h"

#define VARVE_DRIVE_BURST_MAX 16u /* clusters of one command */

/* A burn in progress: what is acknowledged, and where it ends. */
struct varve_drive_burn {
    bool open, failed;
    const struct varve_media *media;
    uint64_t next_cluster, end_cluster;
    uint32_t skip; /* sectors of next_cluster that an earlier burn wrote */
};

struct varve_drive {
    struct varve_scsi_device device;
    char name[160]; /* "library 'main', drive 0 (element 256)" */
    uint16_t element;
    struct varve_drive_health identity; /* vendor ... serial; counters unused */
    struct varve_drive_burn burn;
    struct varve_drive_settings settings;
    bool speed_set; /* since the disc came in */
    struct varve_read_health reads;
    unsigned bad_powers; /* discs in a row on which the laser could not be adjusted */
};

/* INQUIRY and serial number. */
VARVE_MUST_CHECK bool varve_drive_init(struct varve_drive *drive, struct varve_scsi_port *port,
                                       struct varve_clock *clock, struct varve_error *err);
/* Waits until a medium that was just put in is ready, at most 300 s. *ret_missing (set on failure
 * only): the drive saw none at all. */
VARVE_MUST_CHECK bool
varve_drive_wait_loaded(struct varve_drive *drive, bool *ret_missing, struct varve_error *err);
/* Waits while the drive is busy, then: does it have a medium? */
VARVE_MUST_CHECK bool
varve_drive_has_medium(struct varve_drive *drive, bool *ret_present, struct varve_error *err);
/* ALLOW MEDIUM REMOVAL: somebody else on this host may have locked the tray. */
VARVE_MUST_CHECK bool varve_drive_release(struct varve_drive *drive, struct varve_error *err);
VARVE_MUST_CHECK bool varve_drive_eject(struct varve_drive *drive, struct varve_error *err);
/* Forgets an unfinished burn and what was seen of the disc: it leaves. */
void varve_drive_forget(struct varve_drive *drive);
/* TEST UNIT READY through unit attentions (at most 10 of them in a row). */
VARVE_MUST_CHECK bool varve_drive_ask(struct varve_drive *drive, struct varve_scsi_command *command,
                                      struct varve_scsi_sense *ret, struct varve_error *err);
/* Between two looks that must agree: some drives say "ready" while they are busy. */
int64_t varve_drive_settle_ns(const struct varve_drive *drive);
/* Clusters of one command that the port carries, 1 to VARVE_DRIVE_BURST_MAX. */
unsigned varve_drive_burst(const struct varve_drive *drive);

/* --- medium.c --- */
VARVE_MUST_CHECK bool varve_drive_features(struct varve_drive *drive,
                                           struct varve_mmc_features *ret, struct varve_error *err);
/* NOT_FOUND: the drive knows no format capacities. */
VARVE_MUST_CHECK bool varve_drive_formats(struct varve_drive *drive, struct varve_mmc_formats *ret,
                                          struct varve_error *err);
/* The format that the settings ask for, NULL if none is wanted or offered. */
const struct varve_mmc_format *
varve_drive_wanted_format(const struct varve_drive *drive, const struct varve_media *media,
                          const struct varve_mmc_formats *formats);

/* --- operation.c: what takes minutes --- */
struct varve_operation {
    void (*tick)(void *context, int percent); /* may be NULL; about once a second, 0-100 or -1 */
    void *context;
    int64_t last_ns;
    int64_t limit_ns; /* then it is given up: NOT_READY */
};
/* Sends a command that may be repeated while the device is busy or after a lost answer. */
VARVE_MUST_CHECK bool
varve_operation_send(struct varve_drive *drive, struct varve_scsi_command *command,
                     const struct varve_operation *operation, struct varve_error *err);
/* Waits until the drive is idle: two good looks with a pause, then disc information. */
VARVE_MUST_CHECK bool
varve_operation_wait(struct varve_drive *drive, struct varve_operation *operation,
                     struct varve_error *err);
/* MEDIUM, with what the drive said: something that it had acknowledged is lost. */
bool varve_drive_fail_deferred(const struct varve_drive *drive, struct varve_error *err);

/* --- setup.c: format, write parameters, reserving, speed; before the first byte --- */
VARVE_MUST_CHECK bool
varve_drive_set_up(struct varve_drive *drive, const struct varve_media *media,
                   const struct varve_medium *medium, uint64_t clusters, struct varve_error *err);
/* Tells the drive the speeds of its settings, or the slowest for reading. A drive that knows no
 * speeds is left alone. */
void varve_drive_apply_speed(struct varve_drive *drive, bool slow);

#endif
