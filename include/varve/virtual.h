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

#include <varve/buffer.h>
#include <varve/clock.h>
#include <varve/geometry.h>
#include <varve/scsi.h>

/* How fast a drive turns: CLV the same everywhere; ZCLV in three steps; CAV ever faster towards the
 * rim, from 24 mm to 58 mm. */
#define VARVE_VIRTUAL_SPINS(X)                                                                     \
    X(CLV, "clv")                                                                                  \
    X(ZCLV, "zclv")                                                                                \
    X(CAV, "cav")
enum varve_virtual_spin {
#define X(name, word) VARVE_VIRTUAL_SPIN_##name,
    VARVE_VIRTUAL_SPINS(X)
#undef X
};

/* How long things take, on the library's clock. Times are those of hardware; all of them, and the
 * rates, are divided and multiplied by `speedup`. */
struct varve_virtual_timing {
    unsigned speedup; /* 0: nothing takes time; 1: as long as hardware; N: N times faster */
    enum varve_geometry_kind geometry;
    unsigned column;          /* gantry: slots above each other */
    int64_t grip_ns, step_ns; /* geometry.h */
    int64_t spin_up_ns;       /* from loading to ready */
    int64_t seek_ns;          /* laser, over the whole disc; less by the root of the way */
    int64_t close_ns;
    int64_t inventory_ns;             /* the robot counts after power-on and when the door closes */
    unsigned write_times, read_times; /* of 1x of the kind of disc, at the rim */
    uint32_t buffer_bytes;            /* of a drive */
    enum varve_virtual_spin spin;
};
/* A carousel, drives that burn BD-R at 6x (27 MB/s) and read at 8x; no time at all (speedup 0). The
 * numbers are those of common drives and of the reference, section 2; no model's. */
void varve_virtual_timing_usual(struct varve_virtual_timing *ret);
/* "clv", ...; "carousel", "gantry". False: none of them. */
bool varve_virtual_spin_parse(const char *word, enum varve_virtual_spin *ret);
bool varve_virtual_geometry_parse(const char *word, enum varve_geometry_kind *ret);
/* kB/s at `sector` of `sectors`, where `rate_max` is that of the rim. Pure. */
uint64_t varve_virtual_rate(enum varve_virtual_spin spin, unsigned rate_max, uint32_t sector,
                            uint32_t sectors);

struct varve_virtual_options {
    unsigned slots, drives, mail_slots;
    uint64_t
        disc_bytes; /* capacity of each blank, a multiple of 64 KiB, at least 4 MiB; 0: usual */
    const char *barcode;                       /* prefix, "VRV" if NULL: blanks are VRV00001, ... */
    const struct varve_virtual_timing *timing; /* NULL: varve_virtual_timing_usual() */
    unsigned magazine_slots;                   /* slots of each magazine; 0: they are fixed */
    bool two_sided;                            /* blanks; and the gripper can turn them over */
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

/* Of the arm, for a scheduler: the ways that moves here take. */
void varve_virtual_geometry(const struct varve_virtual *library, struct varve_geometry *ret);
bool varve_virtual_is_two_sided(const struct varve_virtual *library);
unsigned varve_virtual_drive_count(const struct varve_virtual *library);
VARVE_MUST_CHECK bool
varve_virtual_changer_port(struct varve_virtual *library, struct varve_scsi_port **ret,
                           struct varve_error *err);
VARVE_MUST_CHECK bool
varve_virtual_drive_port(struct varve_virtual *library, unsigned drive,
                         struct varve_scsi_port **ret, struct varve_error *err);
/* The port of another host to the same device (its own unit attentions and PREVENT); `drive` -1:
 * the changer. BUSY after three. */
VARVE_MUST_CHECK bool
varve_virtual_foreign_port(struct varve_virtual *library, int drive, struct varve_scsi_port **ret,
                           struct varve_error *err);
/* Puts `count` fresh blanks into free slots. NO_SPACE if there are too few. */
VARVE_MUST_CHECK bool varve_virtual_add_blanks(struct varve_virtual *library, unsigned count,
                                               uint64_t disc_bytes, struct varve_error *err);
/* The same of another kind (as in the options); 0 bytes: the usual size. */
VARVE_MUST_CHECK bool
varve_virtual_add_discs(struct varve_virtual *library, const char *kind, unsigned count,
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

/* What real changers and drives do differently, switched on one by one by a script ("quirk NAME").
 * The letters are those of the reference, section 4.1. Persist only in the folder's script. */
#define VARVE_VIRTUAL_CHANGER_QUIRKS(X)                                                            \
    X(STATUS_SHORT, "status-short", "element status ends 8 bytes early (a)")                       \
    X(STATUS_COUNT, "status-count-ignored", "element status ignores the element count (b)")        \
    X(STATUS_OVERLAP, "status-overlap", "status pages of type 0 overlap (c)")                      \
    X(STATUS_JUNK, "status-junk-header", "first address in the status header is junk (d)")         \
    X(STATUS_STRICT, "status-strict-length", "allocation beyond the transfer: 5/24/00 (e)")        \
    X(STATUS_FLAGS, "status-only-full", "no flag but FULL (f)")                                    \
    X(STATUS_SOURCE, "status-source-drive", "the source of a disc at home is the drive (g)")       \
    X(NO_SOURCE, "no-source", "source addresses are never valid")                                  \
    X(NO_DVCID, "no-dvcid", "DVCID: 5/24/00")                                                      \
    X(DVCID_CUT, "dvcid-cut", "DVCID serial cut to two characters")                                \
    X(NO_CURDATA, "no-curdata", "CURDATA: 5/24/00")                                                \
    X(NO_VOLTAG, "no-voltag", "VOLTAG: 5/24/00: no bar code reader")                               \
    X(LABEL_NOISE, "label-noise", "bytes that are no text after each bar code")                    \
    X(EMPTY_PAGES, "status-empty-page", "an empty status page still counts an element")            \
    X(DESCENDING, "status-descending", "elements in descending order")                             \
    X(ZERO_ADDRESS, "status-zero-address", "a descriptor with address 0 at the end")               \
    X(MAGAZINE_SHRINK, "magazine-shrink", "elements of a missing magazine are not listed")         \
    X(NO_INIT_RANGE, "no-init-range", "37h: 5/20/00")                                              \
    X(NO_EXCHANGE, "no-exchange", "EXCHANGE MEDIUM: 5/20/00")                                      \
    X(NO_PREVENT, "no-prevent", "changer's PREVENT ALLOW: 5/20/00")                                \
    X(NO_DBD, "no-dbd", "MODE SENSE with DBD: 5/24/00")                                            \
    X(MODE_BLOCKS, "mode-blocks", "MODE SENSE without DBD has a block descriptor")                 \
    X(NO_GRIPPER, "no-gripper", "page 1Dh tells of no transport element")                          \
    X(MOVE_FIELD, "move-invalid-field", "a bad element in MOVE: 5/24/00, not 5/21/01")             \
    X(DOOR_MANUAL, "door-manual", "open door: 2/04/03, not 2/3A/02")                               \
    X(EJECT_FIRST, "eject-first", "a drive must eject before the gripper can take the disc")       \
    X(LOAD_AFTER, "load-after", "a disc put in a drive lies in the open tray")                     \
    X(MCHANGER, "mchanger-bit", "INQUIRY has the obsolete MChngr bit")
#define VARVE_VIRTUAL_DRIVE_QUIRKS(X)                                                              \
    X(TUR_BUSY, "tur-busy", "TEST UNIT READY is good while busy")                                  \
    X(NO_SKSV, "no-sksv", "no progress in sense")                                                  \
    X(DESCRIPTOR_SENSE, "descriptor-sense", "sense in descriptor format")                          \
    X(NWA_NEGATIVE, "nwa-negative", "next writable address of a blank disc is -150")               \
    X(NWA_STUCK, "nwa-stuck", "next writable address stays 0 until the disc is closed")            \
    X(ROM_PROFILE, "rom-profile", "closed discs show as ROM")                                      \
    X(NO_DI, "no-di", "disc information (DI) is zeros")                                            \
    X(NO_RESERVE, "no-reserve", "RESERVE TRACK: 5/20/00")                                          \
    X(NO_EVENTS, "no-events", "GET EVENT STATUS NOTIFICATION: 5/20/00")                            \
    X(NO_ATTENTION, "no-load-attention", "no 6/28/00 when a disc came in")                         \
    X(DEFERRED, "deferred-writes", "write errors come with the next command")                      \
    X(BLANK_CHECK, "blank-check", "reading what is blank: 8/00/00, not 5/21/00")                   \
    X(READ_LOCKED, "read-locked", "reading while a burn is open: 5/2C/00")                         \
    X(PADDED, "capacity-padded", "READ CAPACITY tells 150 sectors too many")                       \
    X(CLOSED_MODE, "closed-illegal-mode", "writing to a closed disc: 5/64/00, not 5/30/05")        \
    X(FULL_RANGE, "full-out-of-range", "writing beyond the end: 5/21/00, not 5/63/00")             \
    X(LONG_WRITE, "long-write", "every fourth WRITE: 2/04/08 first")
enum varve_virtual_quirk {
#define X(name, word, what) VARVE_VIRTUAL_##name,
    VARVE_VIRTUAL_CHANGER_QUIRKS(X) VARVE_VIRTUAL_DRIVE_QUIRKS(X)
#undef X
        VARVE_VIRTUAL_QUIRK_COUNT
};
const char *varve_virtual_quirk_name(enum varve_virtual_quirk quirk);
const char *varve_virtual_quirk_text(enum varve_virtual_quirk quirk);

/* Takes a fault script (docs/virtual-library.md) to what is there already: rules wait, quirks and
 * `now` lines happen at once, in order. Opening a library takes "faults.txt" of its folder the same
 * way. INVALID names the line and what is wrong with it: then nothing happened, except for the
 * `now` lines before one that the state forbids. */
#define VARVE_VIRTUAL_SCRIPT_FILE "faults.txt"
VARVE_MUST_CHECK bool
varve_virtual_script(struct varve_virtual *library, const char *text, struct varve_error *err);
/* Parses only. */
VARVE_MUST_CHECK bool
varve_virtual_script_check(const char *text, size_t size, struct varve_error *err);
/* Appends all that can be seen of it as a JSON object (docs/virtual-library.md, "Seeing"). */
VARVE_MUST_CHECK bool varve_virtual_describe(struct varve_virtual *library,
                                             struct varve_buffer *ret, struct varve_error *err);
/* No rule waits any more; quirks are off. What happened stays. */
void varve_virtual_calm(struct varve_virtual *library);

#endif
