/* virtual_internal.h - the virtual library's folder as a model, its discs in drives, and the parts
 * that its two device servers share.
 *
 * Locks, in this order: drive locks by ascending drive number, then `lock` (the model). A WRITE
 * holds its drive's lock for long; READ ELEMENT STATUS needs the model only and never waits for it.
 */
#ifndef VARVE_CHANGER_VIRTUAL_INTERNAL_H
#define VARVE_CHANGER_VIRTUAL_INTERNAL_H

#include <stdatomic.h>
#include <varve/buffer.h>
#include <varve/library.h>
#include <varve/virtual.h>

#include "media.h"
#include "virtual_script.h"

#define VIRTUAL_TRANSPORT 1u
#define VIRTUAL_MAIL_FIRST 16u
#define VIRTUAL_DRIVE_FIRST 256u
#define VIRTUAL_SLOT_FIRST 1024u
#define VIRTUAL_MAIL_MAX 240u
#define VIRTUAL_DRIVE_MAX 768u
#define VIRTUAL_SLOT_MAX 60000u
#define VIRTUAL_RULES_MAX 256u
#define VIRTUAL_MARKS_MAX 64u
#define VIRTUAL_DEFECTS_MAX 64u
/* Polls that closing and formatting take, so that hosts must wait for it. */
#define VIRTUAL_CLOSING_COMMANDS 2
#define VIRTUAL_JSON_MAX (UINT64_C(64) << 20)

/* Files of one side of a disc: the bar code, or the bar code and "~B", which is in no bar code. */
struct virtual_name {
    char text[VARVE_BARCODE_BYTES + 2];
};

/* A disc's line in library.json. */
struct virtual_place {
    struct varve_barcode barcode;
    uint16_t element;
    bool has_source, imported;
    uint16_t source;
    bool written, written_b; /* an .img file (of side B) must exist, else the disc is gone */
    bool inverted;           /* side B is where drives read */
    bool turned;             /* turned over since it left its source */
    bool has_label;          /* what the bar code reader sees is `label` ("": nothing) */
    struct varve_barcode label;
};

struct virtual_defect {
    enum virtual_defect_kind kind;
    uint32_t first, last; /* sectors */
};

/* discs/<barcode>.json */
struct virtual_disc {
    const struct varve_media *media; /* never NULL */
    uint32_t capacity;               /* sectors, before formatting */
    bool formatted;
    uint32_t spares; /* sectors of it that are set aside for defects */
    bool closed;
    uint32_t recorded; /* sectors, once closed */
    enum virtual_trouble trouble;
    struct virtual_defect defects[VIRTUAL_DEFECTS_MAX];
    unsigned defect_count;
};

/* One host's port to a device (SAM-5, I_T_L nexus): 0 is ours, the others are foreign hosts. */
#define VIRTUAL_NEXUS_MAX 4u
#define VIRTUAL_ATTENTIONS_MAX 8u
struct virtual_nexus {
    bool is_open, dead, prevents;
    struct virtual_sense attentions[VIRTUAL_ATTENTIONS_MAX];
    unsigned attention_count;
    bool has_deferred;
    struct virtual_sense deferred;
};

struct virtual_device {
    struct varve_virtual *library;
    unsigned number;            /* VIRTUAL_DEVICE_CHANGER, 1 + drive */
    _Atomic uint64_t quirks;    /* bits by enum varve_virtual_quirk */
    pthread_mutex_t nexus_lock; /* innermost */
    struct virtual_nexus nexus[VIRTUAL_NEXUS_MAX];
};

struct virtual_drive {
    struct virtual_device device;
    unsigned number;
    pthread_mutex_t lock;
    bool loaded, unknown;             /* unknown: its .json cannot be used */
    _Atomic bool tray_open;           /* READ ELEMENT STATUS looks without the drive's lock */
    bool locked;                      /* by somebody who is no host of ours */
    bool held;                        /* the medium does not come out */
    bool unseen;                      /* the disc lies badly: no medium */
    unsigned becoming_ready, closing; /* commands still answered "not ready" */
    uint8_t closing_ascq;             /* 04h formatting, 07h closing */
    bool in_one_go;                   /* mode page 05h: write type 2 */
    uint32_t reserved;                /* sectors, by RESERVE TRACK */
    unsigned writes;                  /* for long-write */
    /* With a timing: when the disc has spun up, the buffer is empty, the operation is over (0:
     * none). */
    int64_t ready_at_ns, burned_at_ns, done_at_ns;
    int64_t began_ns; /* the operation */
    int64_t owed_ns;  /* the command being answered takes this much longer */
    uint32_t head;    /* sector under the laser */
    struct varve_barcode barcode;
    bool side_b;
    struct virtual_name name; /* of both */
    struct virtual_disc disc;
    int image;     /* -1 while nothing is written */
    uint32_t next; /* next writable sector, while not closed */
};

/* What is said of an element apart from the disc in it. */
struct virtual_mark {
    uint16_t element;
    bool stale; /* reported as it was, until somebody looks */
    bool stale_full;
    struct varve_barcode stale_label;
    bool except; /* EXCEPT with these */
    uint8_t asc, ascq;
};

struct virtual_waiting {
    struct virtual_rule rule;
    uint32_t *seen, *fired; /* by device number */
};

struct varve_virtual {
    char *dir;
    struct varve_clock *clock;
    int folder_lock;
    pthread_mutex_t lock;
    char serial[7];
    unsigned slots, drive_count, mail_slots, magazine_slots;
    uint32_t next_number;
    char prefix[16];
    const struct varve_media *media; /* of blanks to come */
    bool two_sided;                  /* so are blanks, and the gripper can turn discs over */
    struct virtual_place *places;
    size_t place_count, place_capacity;
    int32_t *occupant;  /* by virtual_index(): index of places, or -1 */
    bool *magazine_out; /* by number from 0; NULL without magazines */
    bool door_open;
    bool needs_init, not_ready;
    struct virtual_sense not_ready_sense;
    unsigned inventory; /* commands still answered "becoming ready" */
    int64_t inventory_until_ns;
    bool has_timing; /* said in library.json */
    struct varve_virtual_timing timing;
    uint16_t arm_at; /* element */
    struct virtual_mark marks[VIRTUAL_MARKS_MAX];
    unsigned mark_count;
    _Atomic unsigned *cable; /* by drive port: which drive it reaches */
    struct virtual_device changer;
    struct virtual_drive *drives;
    pthread_mutex_t rules_lock;
    uint64_t seed;
    struct virtual_waiting *rules[VIRTUAL_RULES_MAX];
    _Atomic unsigned rule_count;
    _Atomic bool names_discs; /* some rule does or did: looking for the disc costs a stat(2) */
};

/* --- model (virtual_model.c); callers hold `lock` --- */
unsigned virtual_element_count(const struct varve_virtual *library);
/* Dense number of an element address, -1 if there is no such element. Order: by address. */
int32_t virtual_index(const struct varve_virtual *library, uint16_t address);
uint16_t virtual_address(const struct varve_virtual *library, unsigned index);
enum varve_element_type virtual_type(uint16_t address);
/* The disc at `address`; NULL if empty or if somebody deleted its image. */
struct virtual_place *virtual_at(struct varve_virtual *library, uint16_t address);
bool virtual_is_gone(const struct varve_virtual *library, const struct virtual_place *place);
/* The element is in a magazine that was taken out. */
bool virtual_is_absent(const struct varve_virtual *library, uint16_t address);
unsigned virtual_magazine_count(const struct varve_virtual *library);
/* NULL: nothing is said of the element. */
struct virtual_mark *virtual_mark_of(struct varve_virtual *library, uint16_t address);
void virtual_drop(struct varve_virtual *library, struct virtual_place *place);
/* Adds a disc to the model (not to the folder). */
bool virtual_put(struct varve_virtual *library, const struct virtual_place *place,
                 struct varve_error *err);
/* Moves in the model and then durably; false leaves both as they were. */
struct virtual_move {
    uint16_t from, to;
    bool invert;
};
bool virtual_relocate(struct varve_virtual *library, const struct virtual_move *move,
                      struct varve_error *err);
bool virtual_mark_written(struct varve_virtual *library, const struct varve_barcode *barcode,
                          bool side_b, struct varve_error *err);
struct virtual_place *
virtual_find(struct varve_virtual *library, const struct varve_barcode *barcode);
/* library.json */
bool virtual_save(const struct varve_virtual *library, struct varve_error *err);
bool virtual_parse(struct varve_virtual *library, struct varve_error *err);
/* Of any bytes: INVALID, or a model that is whole. Once a library. */
bool virtual_parse_text(struct varve_virtual *library, const char *text, size_t size,
                        struct varve_error *err);
/* A library of which nothing is known yet; NULL when out of memory. */
struct varve_virtual *virtual_new(const char *dir);
bool virtual_allocate(struct varve_virtual *library, struct varve_error *err);

/* --- discs (virtual_disc.c) --- */
struct virtual_name virtual_name_of(const struct varve_barcode *barcode, bool side_b);
/* "<dir>/discs/<name><suffix>", to be freed; NULL when out of memory. */
char *virtual_disc_path(const char *dir, const struct virtual_name *name, const char *suffix);
bool virtual_disc_read(const char *dir, const struct virtual_name *name, struct virtual_disc *ret,
                       struct varve_error *err);
/* Of any bytes: INVALID, or a disc within all limits. */
bool virtual_disc_parse(const char *text, size_t size, struct virtual_disc *ret,
                        struct varve_error *err);
/* `durable`: else the caller syncs the filesystem later. */
bool virtual_disc_write(const char *dir, const struct virtual_name *name,
                        const struct virtual_disc *disc, bool durable, struct varve_error *err);
/* Drive lock held: takes the disc in; the drive says what it finds later, through sense. */
void
virtual_drive_insert(struct virtual_drive *drive, const struct varve_barcode *barcode, bool side_b);
void virtual_drive_remove(struct virtual_drive *drive);
/* No lock held: does what `hands-N` says a person does at the drive (virtual_hands.c). */
void virtual_hands(struct virtual_drive *drive);

/* --- time (virtual_timing.c); all 0 without a timing but virtual_now() --- */
int64_t virtual_now(const struct varve_virtual *library);
static inline bool
virtual_takes_time(const struct varve_virtual *library)
{
    return library->timing.speedup > 0;
}
/* The model's lock is held. */
int64_t virtual_move_ns(struct varve_virtual *library, uint16_t from, uint16_t to);
void virtual_begin_inventory(struct varve_virtual *library);
/* The drive's lock is held by these: what the command takes, or when what it began is over. */
void virtual_begin_spin_up(struct virtual_drive *drive);
void virtual_spend_read(struct virtual_drive *drive, uint32_t lba, uint32_t count);
void virtual_spend_write(struct virtual_drive *drive, uint32_t lba, uint32_t count);
/* SYNCHRONIZE CACHE: until the buffer is empty. */
void virtual_spend_flush(struct virtual_drive *drive, bool immediate);
/* Closing (`ascq` 07h) or formatting (04h). */
void virtual_spend_operation(struct virtual_drive *drive, uint8_t ascq, bool immediate);
/* True with what TEST UNIT READY says while an operation lasts; counts polls. */
bool virtual_is_operating(struct virtual_drive *drive, struct virtual_sense *ret);
uint32_t virtual_buffer_free(const struct virtual_drive *drive);
/* library.json; `json` is a json_t, NULL for the usual times. */
void virtual_timing_print(struct varve_buffer *out, const struct varve_virtual_timing *timing);
VARVE_MUST_CHECK bool
virtual_timing_parse(const void *json, struct varve_virtual_timing *ret, struct varve_error *err);
VARVE_MUST_CHECK bool
virtual_timing_check(const struct varve_virtual_timing *timing, struct varve_error *err);

/* --- misbehaviour --- */
static inline bool
virtual_has(const struct virtual_device *device, enum varve_virtual_quirk quirk)
{
    return atomic_load_explicit(&device->quirks, memory_order_relaxed) >> quirk & 1;
}
/* True if a rule is due for this command; counted as used. No lock may be held. */
bool virtual_rules_due(struct varve_virtual *library, const struct virtual_device *device,
                       const struct varve_scsi_command *command, struct virtual_rule *ret);
VARVE_MUST_CHECK bool virtual_rules_add(struct varve_virtual *library,
                                        const struct virtual_rule *rule, struct varve_error *err);
void virtual_rules_done(struct varve_virtual *library);
/* Deterministic: a number for the nth call of a rule on a device. */
uint64_t virtual_dice(const struct varve_virtual *library, const struct virtual_rule *rule,
                      unsigned device, uint32_t nth);
/* Locks all drives and the model, in the order above. */
void virtual_stop(struct varve_virtual *library);
void virtual_go_on(struct varve_virtual *library);
/* Makes happen what the action says (an event). No lock may be held. NOT_FOUND: the state does not
 * allow it (an empty element, ...). */
VARVE_MUST_CHECK bool virtual_happen(struct varve_virtual *library,
                                     const struct virtual_action *action, struct varve_error *err);
/* The folder's own script, if there is one; its `now` lines that the state forbids are skipped. */
VARVE_MUST_CHECK bool
virtual_take_script_file(struct varve_virtual *library, struct varve_error *err);

/* --- answers (virtual_answers.c) --- */
/* To all hosts that have a port. */
void virtual_attend(struct virtual_device *device, uint8_t asc, uint8_t ascq);
bool
virtual_take_attention(struct virtual_device *device, unsigned nexus, struct virtual_sense *ret);
/* PREVENT ALLOW of one host; whether any host prevents. */
void virtual_prevent(struct virtual_device *device, unsigned nexus, bool prevents);
bool virtual_is_prevented(struct virtual_device *device);
/* The hosts of two devices change places. */
void virtual_swap_hosts(struct virtual_device *a, struct virtual_device *b);
/* Power was off: attentions and locks of before are gone, all hosts are told. */
void virtual_power_cycle(struct virtual_device *device);
/* All of these fill the answer of `command`. */
void virtual_good(struct varve_scsi_command *command);
void virtual_check(struct varve_scsi_command *command, const struct virtual_sense *sense);
void virtual_refuse(struct varve_scsi_command *command, uint8_t key, uint8_t asc, uint8_t ascq);
/* Sends at most `allocation` of the `size` bytes. */
void virtual_answer(struct varve_scsi_command *command, const void *bytes, size_t size,
                    uint32_t allocation);
/* Answers an INQUIRY or REQUEST SENSE, common to both; `now` is the sense of the present state. */
struct virtual_identity {
    uint8_t device_type;
    uint8_t byte6;
    const char *product;
    char serial[17];
};
void virtual_inquiry(struct varve_scsi_command *command, const struct virtual_identity *identity);
void virtual_request_sense(struct varve_scsi_command *command, struct virtual_device *device,
                           unsigned nexus, const struct virtual_sense *now);
void virtual_drive_serial(const struct varve_virtual *library, unsigned drive, char ret[17]);

/* --- device servers --- */
void virtual_changer_execute(struct varve_virtual *library, unsigned nexus,
                             struct varve_scsi_command *command);
void virtual_drive_execute(struct virtual_drive *drive, unsigned nexus,
                           struct varve_scsi_command *command);
/* The parts of a drive; its lock is held. */
bool virtual_drive_is_blank(const struct virtual_drive *drive);
uint32_t virtual_drive_recorded(const struct virtual_drive *drive); /* sectors */
/* There is a medium, and it has spun up; counts as a poll. */
bool virtual_drive_is_usable(struct virtual_drive *drive);
void virtual_get_configuration(struct virtual_drive *drive, struct varve_scsi_command *command);
void virtual_read_disc_information(struct virtual_drive *drive, struct varve_scsi_command *command);
void
virtual_read_track_information(struct virtual_drive *drive, struct varve_scsi_command *command);
void virtual_read_capacity(struct virtual_drive *drive, struct varve_scsi_command *command);
void virtual_read_buffer_capacity(struct virtual_drive *drive, struct varve_scsi_command *command);
void virtual_read_sectors(struct virtual_drive *drive, struct varve_scsi_command *command);
void virtual_write_sectors(struct virtual_drive *drive, struct varve_scsi_command *command);
/* SYNCHRONIZE CACHE; false: the command was refused. */
bool virtual_flush(struct virtual_drive *drive, struct varve_scsi_command *command);
void virtual_close_track_session(struct virtual_drive *drive, struct varve_scsi_command *command);
/* Refuses a command that needs a usable medium while there is none; true if it did. */
bool virtual_drive_refuse_unready(struct virtual_drive *drive, struct varve_scsi_command *command);
/* Formatting, write parameters, speeds (virtual_media.c). Sectors that can hold data: 0 before a
 * format that the medium needs. */
uint32_t virtual_disc_room(const struct virtual_disc *disc);
/* False: not a command of these. */
bool virtual_media_execute(struct virtual_drive *drive, struct varve_scsi_command *command);
/* Refuses a WRITE that the kind of medium and the parameters do not allow; true if it did. */
bool virtual_media_refuse_write(struct virtual_drive *drive, struct varve_scsi_command *command,
                                uint32_t lba, uint32_t count);
/* READ ELEMENT STATUS (virtual_status.c) */
void virtual_read_status(struct varve_virtual *library, struct varve_scsi_command *command);
/* Forgets what is stale of `count` elements from `first` on: the machine looked. `lock` is held. */
void virtual_look(struct varve_virtual *library, uint16_t first, unsigned count);

#endif
