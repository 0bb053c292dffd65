/* library.h - a changer with its drives: who is where, and bringing discs to drives.
 *
 * Knows barcodes, slots and drives, nothing of sets or files. Thread: varve_library_* may be called
 * from any thread (one arm: moves queue on a lock inside); each drive belongs to one thread at a
 * time, which the caller arranges. Every move is announced to the journal first (INV-7); after
 * opening, or whenever the changer says that something may have changed, the inventory is read from
 * the hardware, never assumed. */
#ifndef VARVE_LIBRARY_H
#define VARVE_LIBRARY_H

#include <stdatomic.h>
#include <varve/clock.h>
#include <varve/geometry.h>
#include <varve/scsi.h>
#include <varve/timeouts.h>

struct varve_library;

/* What the library itself knows better than the hardware, of one element, across restarts: bar
 * codes that cannot be read, homes that the changer forgets, discs that somebody exchanged by hand.
 */
struct varve_element_record {
    uint16_t address;
    struct varve_barcode barcode; /* of the disc that was last seen here; "": empty */
    bool has_home;
    uint16_t home;  /* of a disc in a drive: its slot */
    unsigned flags; /* NAMED, UNKNOWN, QUARANTINED (enum varve_element_flag) */
    /* QUARANTINED: what lay here before. Else: what an exchange under way takes out. */
    struct varve_barcode expected;
    bool inverted; /* side B is up */
};

/* Where moves are written down before they happen. `intend` must be durable when it returns true,
 * and with it all that `remember` was given before. */
struct varve_move_journal {
    void *context;
    bool (*intend)(void *context, const char *library, const struct varve_barcode *barcode,
                   uint16_t from, uint16_t to, uint64_t *ret_id, struct varve_error *err);
    bool (*done)(void *context, uint64_t id, struct varve_error *err);
    /* Both or neither may be NULL; the library then remembers while it is open. `records` gives all
     * of the library, malloc'd. */
    bool (*remember)(void *context, const char *library, const struct varve_element_record *records,
                     size_t count, struct varve_error *err);
    bool (*records)(void *context, const char *library, struct varve_element_record **ret,
                    size_t *ret_count, struct varve_error *err);
};

struct varve_library_ports {
    const char *name; /* from the config; copied */
    struct varve_scsi_port *changer;
    struct varve_scsi_port **drives; /* in the order of the changer's data transfer elements */
    size_t drive_count;
    const struct varve_geometry *geometry; /* NULL: not known; copied */
    struct varve_timeouts timeouts;
    /* How long opening waits for a changer that counts its discs or is open, 0: an hour. */
    int64_t ready_ns;
    const atomic_bool *stop; /* true: opening gives up; NULL: never. Not used afterwards. */
    /* Discs have two sides. Side B of disc X is called X.B; in slots side A is up. */
    bool two_sided;
};
/* Reads the mode pages and the inventory; puts a disc that hangs in the gripper back. Takes all
 * ports on success only. */
VARVE_MUST_CHECK bool
varve_library_new(const struct varve_library_ports *ports, const struct varve_move_journal *journal,
                  struct varve_clock *clock, struct varve_library **ret, struct varve_error *err);
void varve_library_free(struct varve_library *library); /* moves no disc */
VARVE_DEFINE_CLEANUP(struct varve_library, varve_library_free)

enum varve_element_type {
    VARVE_ELEMENT_TRANSPORT = 1,
    VARVE_ELEMENT_SLOT = 2,
    VARVE_ELEMENT_MAIL_SLOT = 3,
    VARVE_ELEMENT_DRIVE = 4,
};
/* What is unusual about an element or the disc in it; a bit set. */
enum varve_element_flag {
    /* Its magazine is out, or the unit says it is out of use. Never full; `barcode` is the disc
     * that was in it. */
    VARVE_ELEMENT_ABSENT = 1,
    /* Another disc than before, and varve did not move it: to be read (it proves itself), never to
     * be written, until varve_library_accept(). Stays with the disc. */
    VARVE_ELEMENT_QUARANTINED = 2,
    /* Another disc has the same bar code: neither is used. */
    VARVE_ELEMENT_DUPLICATE = 4,
    /* No bar code could be read: `barcode` is a name that the library gave it. */
    VARVE_ELEMENT_NAMED = 8,
    /* ... and nobody has looked at the disc yet: see varve_library_name(). */
    VARVE_ELEMENT_UNKNOWN = 16,
    /* A cleaning disc (bar code CLN...): never loaded by jobs. */
    VARVE_ELEMENT_CLEANING = 32,
};
#define VARVE_ELEMENT_FLAGS_BYTES 80
/* "quarantined, named"; "" for none; returns `ret`. */
const char *varve_element_flags_text(unsigned flags, char ret[VARVE_ELEMENT_FLAGS_BYTES]);

struct varve_element {
    enum varve_element_type type;
    uint16_t address;
    bool full;
    bool exception; /* sense bytes in asc, ascq */
    uint8_t asc, ascq;
    bool has_source;
    uint16_t source;              /* where the disc came from */
    struct varve_barcode barcode; /* "" if empty */
    unsigned flags;               /* enum varve_element_flag */
    bool inverted;                /* side B of a two-sided disc is up */
};
/* The inventory: as remembered, or read anew from the hardware when `refresh`. *ret is malloc'd,
 * ordered by type then address. */
VARVE_MUST_CHECK bool
varve_library_inventory(struct varve_library *library, bool refresh, struct varve_element **ret,
                        size_t *ret_count, struct varve_error *err);
unsigned varve_library_drive_count(const struct varve_library *library);
/* Barcode of the disc in drive `drive`, false if it is empty. */
bool
varve_library_drive_disc(struct varve_library *library, unsigned drive, struct varve_barcode *ret);
/* What is unusual about it (enum varve_element_flag); QUARANTINED must not be written. */
unsigned varve_library_drive_flags(struct varve_library *library, unsigned drive);

/* For choosing between drives; none of these waits for the arm. The element where a disc was last
 * seen, 0: not known. */
uint16_t
varve_library_element_of(struct varve_library *library, const struct varve_barcode *barcode);
/* Element of a drive, and where the disc in it came from; 0: not known. */
void varve_library_drive_elements(struct varve_library *library, unsigned drive,
                                  uint16_t *ret_element, uint16_t *ret_home);
/* About what the arm takes from one element to another. */
int64_t varve_library_move_ns(const struct varve_library *library, uint16_t from, uint16_t to);

/* Brings the disc to the drive and waits until the drive is ready with it. What is in the drive
 * goes home first. Nothing moves if it is there already. OFFLINE: not in this library; BUSY: in
 * another drive; on failure the disc is back home, or the text says where it is. */
VARVE_MUST_CHECK bool
varve_library_load(struct varve_library *library, const struct varve_barcode *barcode,
                   unsigned drive, struct varve_error *err);
/* The last varve_library_load() brought the disc into the drive, and the drive did not become ready
 * with it: one of the two is to blame, not the arm. Does not wait for the arm. */
bool varve_library_drive_refused(struct varve_library *library, unsigned drive);
/* Brings the disc of the drive home (its old slot, else any free one). An empty drive is fine. */
VARVE_MUST_CHECK bool
varve_library_unload(struct varve_library *library, unsigned drive, struct varve_error *err);
/* To a free mail slot, which is unlocked and opened; or from the mail slots to free slots
 * (*ret_count discs came in). */
VARVE_MUST_CHECK bool
varve_library_export(struct varve_library *library, const struct varve_barcode *barcode,
                     struct varve_error *err);
VARVE_MUST_CHECK bool
varve_library_import(struct varve_library *library, unsigned *ret_count, struct varve_error *err);

/* --- the robot and the people at it --- */

/* What keeps the arm from moving. Loads, unloads, exports and imports wait for all but MAINTENANCE:
 * for 15 minutes, while discs are counted for an hour; then they fail with NOT_READY. */
enum varve_library_condition {
    VARVE_LIBRARY_READY,
    VARVE_LIBRARY_COUNTING,    /* after power-on or a door; never reset it then */
    VARVE_LIBRARY_DOOR_OPEN,   /* or a magazine is out that must be in */
    VARVE_LIBRARY_NEEDS_HAND,  /* "manual intervention required" */
    VARVE_LIBRARY_OFFLINE,     /* switched off at its panel */
    VARVE_LIBRARY_UNLOCKED,    /* varve_library_unlock() */
    VARVE_LIBRARY_MAINTENANCE, /* the gripper missed its place twice in ten moves */
};
const char *varve_library_condition_name(enum varve_library_condition condition);
struct varve_library_state {
    enum varve_library_condition condition;
    char why[200];     /* "" when ready */
    int64_t since_ns;  /* monotonic */
    uint64_t readings; /* inventories that were read from the hardware so far */
    unsigned absent, quarantined, duplicate, unknown; /* elements */
};
/* Never waits for a move. */
void varve_library_state(struct varve_library *library, struct varve_library_state *ret);

/* Something that an operator should read, in the order in which it happened: names the library, the
 * element, the disc and what to do. False: there is nothing new. */
#define VARVE_LIBRARY_EVENT_BYTES 400
bool varve_library_event(struct varve_library *library, char ret[VARVE_LIBRARY_EVENT_BYTES]);

/* Waits for the move under way, stops all others, and lets door and mail slots be opened. */
VARVE_MUST_CHECK bool varve_library_unlock(struct varve_library *library, struct varve_error *err);
/* Ends UNLOCKED and MAINTENANCE: locks, reads the inventory, compares it with what was there
 * before.
 */
VARVE_MUST_CHECK bool varve_library_resume(struct varve_library *library, struct varve_error *err);
/* Ends the quarantine of the element at `address`, or of all (-1). NOT_FOUND: it is in none. */
VARVE_MUST_CHECK bool varve_library_accept(struct varve_library *library, int32_t address,
                                           unsigned *ret_count, struct varve_error *err);
/* The disc that the library calls `old` (NAMED) was looked at: it is `name` from now on, which may
 * be the same. EXISTS: another disc here has that bar code. */
VARVE_MUST_CHECK bool
varve_library_name(struct varve_library *library, const struct varve_barcode *old,
                   const struct varve_barcode *name, struct varve_error *err);
/* What waits for the library gives up (CANCELLED or NOT_READY), now and from now on. */
void varve_library_interrupt(struct varve_library *library);

/* --- drives --- */
struct varve_drive;
/* Valid as long as the library. */
struct varve_drive *varve_library_drive(struct varve_library *library, unsigned drive);

enum varve_medium_state {
    VARVE_MEDIUM_NONE,
    VARVE_MEDIUM_BLANK,
    VARVE_MEDIUM_APPENDABLE, /* written, not closed */
    VARVE_MEDIUM_CLOSED,
    VARVE_MEDIUM_OTHER, /* no kind that varve writes */
};
struct varve_medium {
    enum varve_medium_state state;
    uint16_t profile;           /* MMC: 0x41 BD-R SRM, ... */
    const char *kind;           /* "BD-R SRM", in words; static */
    const char *why_other;      /* state OTHER: what is wrong with it, in words; static */
    uint64_t capacity_clusters; /* whole disc, while blank or appendable; as it will be formatted */
    uint64_t next_cluster;      /* next writable; only while blank or appendable */
    uint32_t next_sector;       /* ... within that cluster: a DVD's ECC block is half a cluster */
    bool next_valid;            /* false: not on a block boundary, or the drive does not say */
    bool unformatted;           /* will be formatted before the first byte */
    /* What the drive calls recorded. It may be off by padding, or say the whole disc (BD-RE): how
     * long the contents are is known from the image's own header and from the catalog. */
    uint64_t readable_clusters;
};
VARVE_MUST_CHECK bool
varve_drive_medium(struct varve_drive *drive, struct varve_medium *ret, struct varve_error *err);
/* `count` clusters (1-16): three tries, then one at the slowest speed. MEDIUM: unreadable. *ret_ns
 * (may be NULL) is the time it took. */
VARVE_MUST_CHECK bool varve_drive_read(struct varve_drive *drive, uint64_t cluster, unsigned count,
                                       uint8_t *ret, int64_t *ret_ns, struct varve_error *err);
/* How reading went since the disc was loaded: most drives report no recovered errors, but retries
 * take time. A slow cluster took four times the average of those before it, and 100 ms. */
struct varve_read_health {
    uint64_t clusters, recovered, retried, unreadable, slow;
    int64_t total_ns, worst_ns; /* of one cluster */
    uint64_t worst_cluster, first_slow, last_slow;
};
void varve_drive_read_health(struct varve_drive *drive, struct varve_read_health *ret);

/* What the drive is to do with each disc; kept until set again. */
struct varve_drive_settings {
    uint32_t read_speed, write_speed; /* kB/s; 0: the drive's own choice */
    /* Format BD-R and BD-RE with spare areas: defects are replaced while burning, at about half the
     * speed and 3 % of the room. varve reads everything back and has parity, so it needs none. */
    bool spares;
};
void varve_drive_set(struct varve_drive *drive, const struct varve_drive_settings *settings);

/* Proves identity and state before the first byte (INV-5): profile writable, state as given (BLANK,
 * or APPENDABLE with next_cluster = `first_cluster` to go on after a crash), capacity >=
 * clusters_total; formats, and sets write parameters and speed, where the kind of disc needs it.
 * WRONG_DISC says what differs. */
VARVE_MUST_CHECK bool varve_drive_burn_begin(struct varve_drive *drive, uint64_t first_cluster,
                                             uint64_t clusters_total, struct varve_error *err);
/* The next `count` (1-16) clusters in order; retries "long write in progress"; never repeats an
 * acknowledged sector (INV-6). */
VARVE_MUST_CHECK bool varve_drive_burn_write(struct varve_drive *drive, const uint8_t *bytes,
                                             unsigned count, struct varve_error *err);
/* Flushes, closes track and session and waits; `tick` (may be NULL) is called about once a second
 * with 0-100 or -1. MEDIUM: what was acknowledged is lost. NOT_READY: it could not be closed, and
 * whether it holds everything is found out by reading it back after a reload. */
VARVE_MUST_CHECK bool
varve_drive_burn_close(struct varve_drive *drive, void (*tick)(void *context, int percent),
                       void *context, struct varve_error *err);
/* Ends a burn that cannot go on: flushes what the drive has, leaves the disc open. Nothing happens
 * if no burn is open. */
void varve_drive_burn_abandon(struct varve_drive *drive);

/* --- a whole burn, with a ring of clusters between source and drive (burn_ring.c) --- */
struct varve_burn_progress {
    uint64_t written;  /* clusters, from 0 of the image */
    int64_t waited_ns; /* how long the drive has been waiting for the source, 0 if it is not */
};
struct varve_burn {
    uint64_t first_cluster, clusters; /* as varve_drive_burn_begin */
    void *context;
    /* `count` clusters (1-16) from `cluster` on, in order; called in a thread of its own, which
     * ends before varve_drive_burn() returns. */
    bool (*fill)(void *context, uint64_t cluster, unsigned count, uint8_t *ret,
                 struct varve_error *err);
    /* After each write and about once a second; false stops the burn. In the caller's thread. */
    bool (*tick)(void *context, const struct varve_burn_progress *progress,
                 struct varve_error *err);
};
/* Begins, and writes all clusters. The drive waits for a source that stalls, for ten minutes; then,
 * and when the source fails or `tick` stops it, the disc is left open where it stands, so that the
 * burn can go on there later. */
VARVE_MUST_CHECK bool
varve_drive_burn(struct varve_drive *drive, const struct varve_burn *burn, struct varve_error *err);

/* Counters since opening: of the drive itself, apart from media. */
struct varve_drive_health {
    uint64_t commands, retries, medium_errors, hardware_errors, recovered_errors;
    char vendor[9], product[17], revision[5], serial[33];
};
void varve_drive_health(struct varve_drive *drive, struct varve_drive_health *ret);

#endif
