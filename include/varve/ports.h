/* ports.h - real changers and drives as SCSI ports (scsi.h), and a recorder for any port.
 *
 * A place is
 *   /dev/...          a device of this host: sg, sr or sch node, or any link to one of them
 *   serial:TEXT       the device of this host whose unit serial number (VPD page 80h) is TEXT
 *   iscsi://[user[%password]@]host[:port]/target/lun
 * Each port knows its peer by vendor, product and serial number. When the link drops, the command
 * under way gets no answer, and nothing is sent again behind the caller's back. The next command
 * brings the link back: the same serial number must answer, also at another device node, within
 * `reconnect_ns`; then this command is not run either but answered with UNIT ATTENTION 06/29/07
 * (I_T nexus loss), so that whoever had a command under way finds out what became of it. Sources:
 * Linux sg(4), RFC 7143, SAM-5; scsi reference sections 3 and 6 (faults 16, 30, 34, 35). Thread: as
 * scsi.h says; different ports are independent of each other. */
#ifndef VARVE_PORTS_H
#define VARVE_PORTS_H

#include <varve/clock.h>
#include <varve/random.h>
#include <varve/scsi.h>

#define VARVE_PORT_RECONNECT_NS (60 * VARVE_NS_PER_SECOND)
#define VARVE_PORT_SERIAL_BYTES 65

enum varve_port_peer {
    VARVE_PORT_ANY = 0,
    VARVE_PORT_DRIVE = 5, /* peripheral device types of SPC-4 */
    VARVE_PORT_CHANGER = 8,
};
struct varve_port_options {
    enum varve_port_peer peer; /* INVALID if the device is of another type */
    struct varve_clock *clock; /* NULL: the machine's; for waiting only, not for time-outs */
    int64_t reconnect_ns;      /* 0: VARVE_PORT_RECONNECT_NS; negative: do not wait */
    /* Takes no lock and keeps nobody out: for who looks while somebody else may work. Otherwise a
     * changer that knows RESERVE is reserved against other hosts, and the
     * port is the only one of all varve processes of this host with this serial number, and a
     * drive's block device is held against mounts and the kernel's polling. */
    bool look_only;
};
/* BUSY names the process that has it; INVALID: not a place, or another type of device. The peer is
 * asked for its identity; a unit attention that it has for us is left for the caller. */
VARVE_MUST_CHECK bool varve_port_open(const char *place, const struct varve_port_options *options,
                                      struct varve_scsi_port **ret, struct varve_error *err);
/* BUSY names the varve process that has the device with this identity open (look_only ones do not
 * count). Who only looks must not send it a command then: all programs of a host share one nexus,
 * and he would hear the unit attention that the other one needs. */
VARVE_MUST_CHECK bool varve_port_is_free(const char *vendor, const char *product,
                                         const char *serial, struct varve_error *err);
/* Is it written as a place? Opens nothing. */
bool varve_port_is_place(const char *text);
/* The place without user and password, for messages; cut to fit. Returns `ret`. */
#define VARVE_PORT_PLACE_BYTES 200
const char *varve_port_place_text(const char *place, char ret[VARVE_PORT_PLACE_BYTES]);

/* --- record and replay ---
 *
 * A trace is a text file that several ports may share: every command before it is sent, every
 * answer as it came. Serial numbers are replaced by others of the same shape (a prefix of a serial
 * number by a prefix). What is written to discs is kept as length and CRC32C only; what is read
 * from them too, unless `with_data`. docs/testing.md has the format. */
struct varve_trace;
struct varve_trace_options {
    bool with_data;
    uint64_t bytes_max; /* of the file; then recording stops, and the file says so; 0: 256 MiB */
    struct varve_random *random; /* NULL: the machine's; for the masks */
    struct varve_clock *clock;   /* NULL: the machine's; for the times in comments */
};
/* A file that is there already is kept as PATH.1. */
VARVE_MUST_CHECK bool varve_trace_new(const char *path, const struct varve_trace_options *options,
                                      struct varve_trace **ret, struct varve_error *err);
/* After all of its ports. NULL is fine. */
void varve_trace_free(struct varve_trace *trace);
VARVE_DEFINE_CLEANUP(struct varve_trace, varve_trace_free)
/* A port that does what `inner` does and writes it down; takes `inner` on success. A trace that
 * cannot be written (disk full) ends, and never makes a command fail. */
VARVE_MUST_CHECK bool
varve_trace_port(struct varve_trace *trace, const char *name, struct varve_scsi_port *inner,
                 struct varve_scsi_port **ret, struct varve_error *err);

struct varve_replay;
/* Reads the whole trace. INVALID names file and line. */
VARVE_MUST_CHECK bool
varve_replay_open(const char *path, struct varve_replay **ret, struct varve_error *err);
/* After all of its ports. NULL is fine. */
void varve_replay_free(struct varve_replay *replay);
VARVE_DEFINE_CLEANUP(struct varve_replay, varve_replay_free)
/* Ports in the order in which they were recorded, from 0. NULL: there are fewer. */
const char *varve_replay_name(const struct varve_replay *replay, unsigned device);
/* Gives the recorded answers, in the recorded order, as long as each command is the recorded one.
 * Else INVALID names the line and what came instead, now and for ever after. */
VARVE_MUST_CHECK bool varve_replay_port(struct varve_replay *replay, unsigned device,
                                        struct varve_scsi_port **ret, struct varve_error *err);
/* False, with the line: something that was recorded was not asked for yet. */
VARVE_MUST_CHECK bool
varve_replay_is_done(const struct varve_replay *replay, struct varve_error *err);

#endif
