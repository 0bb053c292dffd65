/* port_internal.h - what a link to hardware must do to become a port: port_link.c adds identity,
 * reconnection and the rule that nothing is sent twice. */
#ifndef VARVE_CHANGER_PORT_INTERNAL_H
#define VARVE_CHANGER_PORT_INTERNAL_H

#include <varve/ports.h>

enum port_answer {
    PORT_ANSWERED,
    PORT_TIMED_OUT, /* the link still stands; `err` says it */
    PORT_GONE,      /* the link is gone; `err` says why */
};

/* A link to one logical unit; all functions but free() are called by the port's thread. */
struct port_link_ops {
    /* One attempt, at most about ten seconds. */
    bool (*connect)(void *link, struct varve_error *err);
    void (*disconnect)(void *link); /* also of one that is gone */
    /* Cheap: no command is sent. False: it dropped while nothing was going on. */
    bool (*is_alive)(void *link);
    enum port_answer (*execute)(void *link, struct varve_scsi_command *command,
                                struct varve_error *err);
    /* Points the link at the device with this serial number, if there is one elsewhere. May be
     * NULL. */
    bool (*find)(void *link, const char *serial);
    /* Keeps others out, now that it is known what the device is. May be NULL. */
    bool (*hold)(void *link, enum varve_port_peer peer, struct varve_error *err);
    uint32_t (*transfer_max)(void *link); /* NULL: no limit */
    void (*free)(void *link);             /* disconnected before */
    /* A command that timed out may still be running at the other end: a new session, which ends it
     * (RFC 7143 6.3.5), must come before anything is written. */
    bool forgets_on_timeout;
};

/* Connects and identifies. Takes `link` always: frees it when it fails. `place` is for messages. */
VARVE_MUST_CHECK bool port_link_new(const struct port_link_ops *ops, void *link, const char *place,
                                    const struct varve_port_options *options,
                                    struct varve_scsi_port **ret, struct varve_error *err);

/* NULL: no memory. */
void *port_sg_new(const char *place);
extern const struct port_link_ops port_sg_ops;
VARVE_MUST_CHECK bool port_iscsi_new(const char *url, void **ret, struct varve_error *err);
extern const struct port_link_ops port_iscsi_ops;

/* --- port_sysfs.c: devices of this host, below `root` ("" but in tests) --- */
#define PORT_NODE_BYTES 64
/* "/dev/sgN" of any node or link of a SCSI device. */
VARVE_MUST_CHECK bool port_sysfs_sg_of(const char *root, const char *node,
                                       char ret[PORT_NODE_BYTES], struct varve_error *err);
/* NOT_FOUND; INVALID: two devices have it. */
VARVE_MUST_CHECK bool port_sysfs_by_serial(const char *root, const char *serial,
                                           char ret[PORT_NODE_BYTES], struct varve_error *err);
/* "/dev/srN" of "/dev/sgM". False: it has none. */
bool port_sysfs_block_of(const char *root, const char *sg, char ret[PORT_NODE_BYTES]);

/* --- port_host.c --- */
/* The number of the host adapter of "/dev/sgN", -1 if it is not known. */
int port_sysfs_host_of(const char *root, const char *sg);
/* May it run for minutes, and time out? Pure. */
bool port_host_is_risky(const struct varve_scsi_command *command);
/* Waits for other risky commands on this host adapter; NULL: nothing is held. */
pthread_mutex_t *port_host_enter(int host, const struct varve_scsi_command *command);
void port_host_leave(pthread_mutex_t *held);

/* --- port_lock.c --- */
/* At most one on this host holds the lock of a device; the lock goes with the descriptor. BUSY
 * names the process. */
VARVE_MUST_CHECK bool port_lock(const char *device, int *ret_fd, struct varve_error *err);

/* Blanks at both ends go, and bytes that are no printable ASCII; VPD 80h is padded on either side.
 */
void port_trim_serial(const uint8_t *bytes, size_t size, char ret[VARVE_PORT_SERIAL_BYTES]);

#endif
