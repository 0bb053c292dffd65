/* types.h - the words of docs/glossary.md as types. Plain data; any thread.
 *
 * Identifiers are one-member structs, so that a set cannot be passed where a content is meant. */
#ifndef VARVE_TYPES_H
#define VARVE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ECC block of Blu-ray: 32 sectors of 2048 bytes; unit of checksums, of parity and of burning.
 */
#define VARVE_SECTOR_BYTES 2048u
#define VARVE_CLUSTER_BYTES 65536u
#define VARVE_CLUSTER_SECTORS 32u
/* Data and parity discs of one set: positions in a set are 0..N+M-1, data first. */
#define VARVE_SET_DISCS_MAX 255u
/* Longest name of a directory entry and of a path in bytes, without NUL (as Linux). */
#define VARVE_NAME_BYTES_MAX 255u
#define VARVE_PATH_BYTES_MAX 4096u
#define VARVE_ROOT_INO UINT64_C(1)

/* One version of the bytes of a file. 0 means none. */
struct varve_content_id {
    uint64_t value;
};
struct varve_set_id {
    uint64_t value;
};
/* Name of a physical disc: its barcode or printed label, 1-32 characters of A-Z a-z 0-9 _ - . */
#define VARVE_BARCODE_BYTES 33
struct varve_barcode {
    char text[VARVE_BARCODE_BYTES];
};

enum varve_tier { VARVE_TIER_NONE = 0, VARVE_TIER_SSD = 1, VARVE_TIER_HDD = 2 };

/* Where a resident copy lies: file `file` under the tier path `path_id`. tier NONE: no resident
 * copy. tier set and file 0: resident and empty, no backing file was made yet. */
struct varve_place {
    enum varve_tier tier;
    uint32_t path_id;
    uint64_t file;
};

/* Name in the catalog, in the API and in user.varve.state. */
#define VARVE_PHASES(X)                                                                            \
    X(LIVE, 0, "live")     /* may change in place; on no disc */                                   \
    X(FROZEN, 1, "frozen") /* in a set that is not sealed yet; immutable */                        \
    X(SEALED, 2, "sealed") /* on sealed discs; immutable */
enum varve_phase {
#define X(name, value, text) VARVE_PHASE_##name = value,
    VARVE_PHASES(X)
#undef X
};

/* What a user sees of a file, from phase and place: LIVE = resident, FROZEN = planned, SEALED with
 * a resident copy = premigrated, without = migrated. */
enum varve_state {
    VARVE_STATE_RESIDENT,
    VARVE_STATE_PLANNED,
    VARVE_STATE_PREMIGRATED,
    VARVE_STATE_MIGRATED,
};

/* planned: manifests are durable; prepared: parity, checksums and digests are durable; then discs
 * burn. */
#define VARVE_SET_STATES(X)                                                                        \
    X(PLANNED, 0, "planned")                                                                       \
    X(BURNING, 1, "burning") /* prepared: parity, CRCs and digests are durable */                  \
    X(SEALED, 2, "sealed")                                                                         \
    X(DEGRADED, 3, "degraded") /* sealed, but a disc failed or is lost */                          \
    X(ABANDONED, 4, "abandoned")
enum varve_set_state {
#define X(name, value, text) VARVE_SET_##name = value,
    VARVE_SET_STATES(X)
#undef X
};

#define VARVE_DISC_STATES(X)                                                                       \
    X(BLANK, 0, "blank")                                                                           \
    X(BURNING, 1, "burning") /* assigned to a set; writing has been announced */                   \
    X(BURNED, 2, "burned")   /* closed, not yet read back */                                       \
    X(SEALED, 3, "sealed")   /* read back whole and equal */                                       \
    X(SUSPECT, 4, "suspect") /* clusters did not match at the last reading */                      \
    X(FAILED, 5, "failed")   /* scrapped */                                                        \
    X(LOST, 6, "lost")       /* not in any library, no place known */                              \
    X(OFFLINE, 7, "offline") /* taken out on purpose; `place` says where */                        \
    X(RETIRED, 8, "retired")                                                                       \
    X(FOREIGN, 9, "foreign") /* neither blank nor ours */
enum varve_disc_state {
#define X(name, value, text) VARVE_DISC_##name = value,
    VARVE_DISC_STATES(X)
#undef X
};

/* Whether a drive gets work. */
#define VARVE_SERVICES(X)                                                                          \
    X(IN, 0, "in service")                                                                         \
    X(QUARANTINED, 1, "quarantined") /* by varve: gets no work until an operator clears it */      \
    X(RETIRED, 2, "retired")         /* by an operator: likewise */
enum varve_service {
#define X(name, value, text) VARVE_SERVICE_##name = value,
    VARVE_SERVICES(X)
#undef X
};

/* What was done with a disc in a drive when something went wrong, and who was to blame. */
#define VARVE_INCIDENT_ACTS(X)                                                                     \
    X(LOAD, 0, "load")                                                                             \
    X(BURN, 1, "burn")                                                                             \
    X(READ, 2, "read")
enum varve_incident_act {
#define X(name, value, text) VARVE_INCIDENT_##name = value,
    VARVE_INCIDENT_ACTS(X)
#undef X
};
#define VARVE_VERDICTS(X)                                                                          \
    X(OPEN, 0, "open")                                                                             \
    X(DISC, 1, "disc")                                                                             \
    X(DRIVE, 2, "drive")                                                                           \
    X(CLEARED, 3, "cleared") /* by an operator */
enum varve_verdict {
#define X(name, value, text) VARVE_VERDICT_##name = value,
    VARVE_VERDICTS(X)
#undef X
};

const char *varve_tier_name(enum varve_tier tier);
bool varve_tier_parse(const char *text, enum varve_tier *ret);
const char *varve_state_name(enum varve_state state);
const char *varve_set_state_name(enum varve_set_state state);
const char *varve_disc_state_name(enum varve_disc_state state);
const char *varve_service_name(enum varve_service service);
const char *varve_incident_act_name(enum varve_incident_act act);
const char *varve_verdict_name(enum varve_verdict verdict);
enum varve_state varve_state_of(enum varve_phase phase, struct varve_place place);
/* False if the text is no possible barcode. */
bool varve_barcode_make(const char *text, struct varve_barcode *ret);
bool varve_barcode_equal(const struct varve_barcode *a, const struct varve_barcode *b);

/* Something that can be read by cluster: an image file, a disc in a drive, a disc rebuilt from its
 * set. */
struct varve_error;
struct varve_cluster_source {
    void *context;
    uint64_t clusters; /* whole clusters available; reads beyond fail */
    bool (*read)(void *context, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
                 struct varve_error *err);
};

#endif
