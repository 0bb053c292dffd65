/* virtual_internal.h - the virtual library's folder as a model, its discs in drives, and the parts
 * that its two device servers share.
 *
 * Locks, in this order: drive locks by ascending drive number, then `lock` (the model). A WRITE
 * holds its drive's lock for long; READ ELEMENT STATUS needs the model only and never waits for it.
 */
#ifndef VARVE_CHANGER_VIRTUAL_INTERNAL_H
#define VARVE_CHANGER_VIRTUAL_INTERNAL_H

#include "media.h"

#include <varve/library.h>
#include <varve/virtual.h>

#define VIRTUAL_TRANSPORT 1u
#define VIRTUAL_MAIL_FIRST 16u
#define VIRTUAL_DRIVE_FIRST 256u
#define VIRTUAL_SLOT_FIRST 1024u
#define VIRTUAL_MAIL_MAX 240u
#define VIRTUAL_DRIVE_MAX 768u
#define VIRTUAL_SLOT_MAX 60000u
#define VIRTUAL_FAULTS_MAX 64u
/* Polls that closing and formatting take, so that hosts must wait for it. */
#define VIRTUAL_CLOSING_COMMANDS 2
#define VIRTUAL_JSON_MAX (UINT64_C(64) << 20)

/* A disc's line in library.json. */
struct virtual_place {
    struct varve_barcode barcode;
    uint16_t element;
    bool has_source, imported;
    uint16_t source;
    bool written; /* an .img file must exist, else the disc is gone */
};

/* discs/<barcode>.json */
struct virtual_disc {
    const struct varve_media *media; /* never NULL */
    uint32_t capacity;               /* sectors, before formatting */
    bool formatted;
    uint32_t spares; /* sectors of it that are set aside for defects */
    bool closed;
    uint32_t recorded; /* sectors, once closed */
};

/* SPC-4 4.5.3 in three bytes. */
struct virtual_sense {
    uint8_t key, asc, ascq;
    bool has_information, has_progress;
    uint32_t information;
    uint16_t progress;
};

#define VIRTUAL_ATTENTIONS_MAX 4
struct virtual_attentions {
    pthread_mutex_t lock; /* innermost */
    struct virtual_sense list[VIRTUAL_ATTENTIONS_MAX];
    unsigned count;
};

struct virtual_device {
    struct varve_virtual *library;
    bool is_open, dead;
    struct virtual_attentions attentions;
};

struct virtual_drive {
    struct virtual_device device;
    unsigned number;
    pthread_mutex_t lock;
    bool loaded, unknown; /* unknown: its .json cannot be used */
    bool tray_open, prevented;
    unsigned becoming_ready, closing; /* commands still answered "not ready" */
    uint8_t closing_ascq;             /* 04h formatting, 07h closing */
    bool in_one_go;                   /* mode page 05h: write type 2 */
    uint32_t reserved;                /* sectors, by RESERVE TRACK */
    struct varve_barcode barcode;
    struct virtual_disc disc;
    int image;     /* -1 while nothing is written */
    uint32_t next; /* next writable sector, while not closed */
};

struct virtual_fault {
    struct varve_virtual_fault fault;
    unsigned seen;
    bool armed;
};

struct varve_virtual {
    char *dir;
    struct varve_clock *clock;
    int folder_lock;
    pthread_mutex_t lock;
    char serial[7];
    unsigned slots, drive_count, mail_slots;
    uint32_t next_number;
    char prefix[16];
    const struct varve_media *media; /* of blanks to come */
    struct virtual_place *places;
    size_t place_count, place_capacity;
    int32_t *occupant; /* by virtual_index(): index of places, or -1 */
    struct virtual_device changer;
    struct virtual_drive *drives;
    pthread_mutex_t fault_lock;
    struct virtual_fault faults[VIRTUAL_FAULTS_MAX];
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
void virtual_drop(struct varve_virtual *library, struct virtual_place *place);
/* Adds a disc to the model (not to the folder). */
bool virtual_put(struct varve_virtual *library, const struct virtual_place *place,
                 struct varve_error *err);
/* Moves in the model and then durably; false leaves both as they were. */
bool virtual_relocate(struct varve_virtual *library, uint16_t from, uint16_t to,
                      struct varve_error *err);
bool virtual_mark_written(struct varve_virtual *library, const struct varve_barcode *barcode,
                          struct varve_error *err);
struct virtual_place *
virtual_find(struct varve_virtual *library, const struct varve_barcode *barcode);
/* library.json */
bool virtual_save(const struct varve_virtual *library, struct varve_error *err);
bool virtual_parse(struct varve_virtual *library, struct varve_error *err);
bool virtual_allocate(struct varve_virtual *library, struct varve_error *err);

/* --- discs (virtual_disc.c) --- */
/* "<dir>/discs/<barcode><suffix>", to be freed; NULL when out of memory. */
char *virtual_disc_path(const char *dir, const struct varve_barcode *barcode, const char *suffix);
bool virtual_disc_read(const char *dir, const struct varve_barcode *barcode,
                       struct virtual_disc *ret, struct varve_error *err);
/* `durable`: else the caller syncs the filesystem later. */
bool virtual_disc_write(const char *dir, const struct varve_barcode *barcode,
                        const struct virtual_disc *disc, bool durable, struct varve_error *err);
/* Drive lock held: takes the disc in; the drive says what it finds later, through sense. */
void virtual_drive_insert(struct virtual_drive *drive, const struct varve_barcode *barcode);
void virtual_drive_remove(struct virtual_drive *drive);

/* --- commands (virtual_port.c) --- */
void virtual_attend(struct virtual_device *device, uint8_t asc, uint8_t ascq);
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
    const char *product;
    char serial[17];
};
void virtual_inquiry(struct varve_scsi_command *command, const struct virtual_identity *identity);
void virtual_request_sense(struct varve_scsi_command *command, struct virtual_device *device,
                           const struct virtual_sense *now);
void virtual_drive_serial(const struct varve_virtual *library, unsigned drive, char ret[17]);

/* --- media (virtual_media.c): formatting, write parameters, speeds; drive lock held --- */
/* Sectors that can hold data; for media that must be formatted 0 before that. */
uint32_t virtual_disc_room(const struct virtual_disc *disc);
/* Refuses a command that needs a usable medium while there is none; true if it did. */
bool virtual_media_is_unready(struct virtual_drive *drive, struct varve_scsi_command *command);
/* False: not a command of these. */
bool virtual_media_execute(struct virtual_drive *drive, struct varve_scsi_command *command);
/* Refuses a WRITE that the kind of medium and the parameters do not allow; true if it did. */
bool virtual_media_refuse_write(struct virtual_drive *drive, struct varve_scsi_command *command,
                                uint32_t lba, uint32_t count);

/* --- device servers --- */
void virtual_changer_execute(struct varve_virtual *library, struct varve_scsi_command *command);
void virtual_drive_execute(struct virtual_drive *drive, struct varve_scsi_command *command);

#endif
