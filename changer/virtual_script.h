/* virtual_script.h - fault scripts of the virtual library as data (language:
 * docs/virtual-library.md).
 *
 * Pure: text in, lines out; nothing here knows a library. What a rule matches is in
 * virtual_rules.c, what an action does in virtual_events.c. Any thread. */
#ifndef VARVE_CHANGER_VIRTUAL_SCRIPT_H
#define VARVE_CHANGER_VIRTUAL_SCRIPT_H

#include <limits.h>
#include <varve/virtual.h>

/* SPC-4 4.5. */
struct virtual_sense {
    uint8_t key, asc, ascq;
    bool has_information, has_progress, deferred;
    uint32_t information;
    uint16_t progress;
};

/* Verb, word, and what follows it: s sense, c ASC/ASCQ, t duration, n number, e element, d drive,
 * x device, b bar code, l label or "none", r sectors A..B, k kind of defect, p kind of trouble,
 * q quirk. */
#define VIRTUAL_VERBS(X)                                                                           \
    /* answers of one command: only in rules */                                                    \
    X(SENSE, "sense", "s")                                                                         \
    X(DELAY, "delay", "t")                                                                         \
    X(DROP, "drop", "")                                                                            \
    X(DEAD, "dead", "")                                                                            \
    X(BUSY, "busy", "")                                                                            \
    X(CONFLICT, "conflict", "")                                                                    \
    X(TASK_SET_FULL, "task-set-full", "")                                                          \
    X(ABORTED, "aborted", "")                                                                      \
    X(CUT, "cut", "n")                                                                             \
    X(GARBLE, "garble", "n")                                                                       \
    X(CORRUPT, "corrupt", "")                                                                      \
    X(STICK, "stick", "")                                                                          \
    X(MISPLACE, "misplace", "e")                                                                   \
    /* what happens to the machine: anywhere */                                                    \
    X(DOOR_OPEN, "door-open", "")                                                                  \
    X(DOOR_FORCE, "door-force", "")                                                                \
    X(DOOR_CLOSE, "door-close", "")                                                                \
    X(MAGAZINE_OUT, "magazine-out", "n")                                                           \
    X(MAGAZINE_IN, "magazine-in", "n")                                                             \
    X(SWAP, "swap", "ee")                                                                          \
    X(TAKE, "take", "e")                                                                           \
    X(FLIP, "flip", "e")                                                                           \
    X(PUT, "put", "be")                                                                            \
    X(LABEL, "label", "bl")                                                                        \
    X(STALE, "stale", "e")                                                                         \
    X(EXCEPT, "except", "ec")                                                                      \
    X(FITTED, "fitted", "e")                                                                       \
    X(ATTENTION, "attention", "xc")                                                                \
    X(NOT_READY, "not-ready", "s")                                                                 \
    X(READY, "ready", "")                                                                          \
    X(INVENTORY, "inventory", "n")                                                                 \
    X(NEEDS_INIT, "needs-init", "")                                                                \
    X(POWER, "power", "x")                                                                         \
    X(HOLD, "hold", "d")                                                                           \
    X(RELEASE, "release", "d")                                                                     \
    X(LOCK, "lock", "d")                                                                           \
    X(UNLOCK, "unlock", "d")                                                                       \
    X(EJECT, "eject", "d")                                                                         \
    X(LOAD, "load", "d")                                                                           \
    X(CABLES, "cables", "dd")                                                                      \
    X(TROUBLE, "trouble", "bp")                                                                    \
    X(DEFECT, "defect", "brk")                                                                     \
    X(QUIRK_ON, "quirk", "q")                                                                      \
    X(QUIRK_OFF, "no-quirk", "q")
enum virtual_verb {
#define X(name, word, follows) VIRTUAL_VERB_##name,
    VIRTUAL_VERBS(X)
#undef X
};
#define VIRTUAL_VERB_FIRST_EVENT VIRTUAL_VERB_DOOR_OPEN

/* What a drive makes of a disc: an endless "becoming ready" (dirty), "cannot read" (reversed),
 * or no medium until it was put in again (unseen). */
#define VIRTUAL_TROUBLES(X)                                                                        \
    X(NONE, "none")                                                                                \
    X(DIRTY, "dirty")                                                                              \
    X(REVERSED, "reversed")                                                                        \
    X(UNSEEN, "unseen")
enum virtual_trouble {
#define X(name, word) VIRTUAL_TROUBLE_##name,
    VIRTUAL_TROUBLES(X)
#undef X
};

/* hard: unreadable; soft: read with retries (recovered error); slow: read slowly, no error; write:
 * cannot be written. */
#define VIRTUAL_DEFECTS(X)                                                                         \
    X(HARD, "hard")                                                                                \
    X(SOFT, "soft")                                                                                \
    X(SLOW, "slow")                                                                                \
    X(WRITE, "write")
enum virtual_defect_kind {
#define X(name, word) VIRTUAL_DEFECT_##name,
    VIRTUAL_DEFECTS(X)
#undef X
};

/* Device numbers: the changer, then the drives. */
#define VIRTUAL_DEVICE_CHANGER 0u
#define VIRTUAL_DEVICE_ANY_DRIVE UINT_MAX

struct virtual_action {
    enum virtual_verb verb;
    struct virtual_sense sense; /* s, c */
    int64_t ns;                 /* t */
    uint64_t first, last;       /* n (first), r */
    uint16_t element[2];        /* e */
    unsigned drive[2];          /* d */
    unsigned device;            /* x; quirks: where */
    struct varve_barcode disc;  /* b */
    struct varve_barcode label; /* l; "" is none */
    unsigned word;              /* k, p, q: the enum's value */
};

enum virtual_end { VIRTUAL_EITHER_END, VIRTUAL_FROM, VIRTUAL_TO };

#define VIRTUAL_ACTIONS_MAX 6u
#define VIRTUAL_OPCODES_MAX 3u
#define VIRTUAL_RULE_TEXT_BYTES 200u
struct virtual_rule {
    unsigned line, part;                /* part of a "random" line, from 1 */
    char text[VIRTUAL_RULE_TEXT_BYTES]; /* as written, maybe cut; to be shown */
    unsigned device; /* VIRTUAL_DEVICE_CHANGER, 1 + drive, or VIRTUAL_DEVICE_ANY_DRIVE */
    uint8_t opcodes[VIRTUAL_OPCODES_MAX];
    unsigned opcode_count; /* 0: every command */
    bool has_sectors, has_elements;
    uint64_t sector_first, sector_last;
    enum virtual_end end;
    uint16_t element_first, element_last;
    struct varve_barcode disc; /* "": any */
    uint32_t nth;              /* from this matching command on, 1 is the first */
    uint32_t every;            /* 0: not that way */
    uint32_t chance;           /* of a million; 0: not that way */
    uint32_t times;            /* 0: for ever */
    bool after;                /* the command is carried out first */
    struct virtual_action actions[VIRTUAL_ACTIONS_MAX];
    unsigned action_count;
};

enum virtual_line_kind { VIRTUAL_LINE_RULE, VIRTUAL_LINE_NOW, VIRTUAL_LINE_SEED };
struct virtual_line {
    enum virtual_line_kind kind;
    uint64_t seed;
    struct virtual_rule rule; /* NOW: its actions only */
};

#define VIRTUAL_SCRIPT_BYTES_MAX (1u << 20)
#define VIRTUAL_SCRIPT_LINES_MAX 4096u
struct virtual_script {
    struct virtual_line *lines;
    size_t count, capacity;
};
void virtual_script_done(struct virtual_script *script);
static inline void
virtual_script_done_cleanup(struct virtual_script *script)
{
    virtual_script_done(script);
}

/* INVALID names the line and the word that is wrong; *ret is untouched then. */
VARVE_MUST_CHECK bool virtual_script_parse(const char *text, size_t size,
                                           struct virtual_script *ret, struct varve_error *err);

const char *virtual_verb_word(enum virtual_verb verb);
const char *virtual_trouble_word(enum virtual_trouble trouble);
const char *virtual_defect_word(enum virtual_defect_kind kind);
bool virtual_trouble_parse(const char *word, unsigned *ret);
bool virtual_defect_parse(const char *word, unsigned *ret);
bool virtual_quirk_parse(const char *word, unsigned *ret);

#endif
