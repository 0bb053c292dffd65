/* smc_codec.h - medium changer commands and answers as bytes (SMC-3, SPC-4).
 *
 * Pure: encoders fill a command, decoders read what a device sent and trust none of it (INV-9). Any
 * thread. Layouts and quirks: docs/virtual-library.md and the clauses named at each function. */
#ifndef VARVE_CHANGER_SMC_CODEC_H
#define VARVE_CHANGER_SMC_CODEC_H

#include <varve/library.h>

/* Mode page 1Dh: where each type of element lies; indexed by enum varve_element_type. */
#define VARVE_SMC_TYPES 5
struct varve_smc_range {
    uint16_t first, count;
};
struct varve_smc_assignment {
    struct varve_smc_range of[VARVE_SMC_TYPES];
};

/* An element with what only the library itself needs. */
#define VARVE_SMC_DEVICE_ID_BYTES 65
struct varve_smc_element {
    struct varve_element element;
    bool access;                               /* the gripper can reach it */
    bool imported;                             /* mail slot: put in by the operator */
    bool may_import, may_export;               /* mail slot: INENAB, EXENAB */
    bool inverted;                             /* turned over since it left its source */
    bool disabled;                             /* out of use, says the unit */
    char device_id[VARVE_SMC_DEVICE_ID_BYTES]; /* drives: from DVCID; "" if not given */
};

struct varve_smc_status_request {
    enum varve_element_type type;
    uint16_t start, count;
    bool voltag, curdata, dvcid;
};

void varve_smc_encode_test_unit_ready(struct varve_scsi_command *ret);
void varve_smc_encode_inquiry(struct varve_scsi_command *ret, uint8_t *data, uint16_t bytes);
/* Vital product data page `page`. */
void varve_smc_encode_inquiry_vpd(struct varve_scsi_command *ret, uint8_t page, uint8_t *data,
                                  uint16_t bytes);
void varve_smc_encode_mode_sense(struct varve_scsi_command *ret, uint8_t page, bool no_blocks,
                                 uint8_t *data, uint8_t bytes);
void varve_smc_encode_initialize(struct varve_scsi_command *ret);
/* Of `count` elements from `start` on; `opcode` is 37h, or E7h, which came before the standard. */
void varve_smc_encode_initialize_range(struct varve_scsi_command *ret, uint8_t opcode,
                                       uint16_t start, uint16_t count);
void varve_smc_encode_read_status(struct varve_scsi_command *ret,
                                  const struct varve_smc_status_request *request, uint8_t *data,
                                  uint32_t bytes);
struct varve_smc_move {
    uint16_t transport, from, to;
    bool invert; /* turn the disc over on the way */
};
void varve_smc_encode_move(struct varve_scsi_command *ret, const struct varve_smc_move *move);
/* `from` to `first`, and what is in `first` to `second`. */
struct varve_smc_exchange {
    uint16_t transport, from, first, second;
};
void varve_smc_encode_exchange(struct varve_scsi_command *ret,
                               const struct varve_smc_exchange *exchange);
void varve_smc_encode_prevent(struct varve_scsi_command *ret, bool prevent);
/* Opens or closes a mail slot that has a motor. */
void varve_smc_encode_open_mail(struct varve_scsi_command *ret, uint16_t address, bool open);

/* `bytes` is the answer to MODE SENSE(6). INVALID says what is wrong with it. */
VARVE_MUST_CHECK bool
varve_smc_decode_assignment(const uint8_t *bytes, size_t size, struct varve_smc_assignment *ret,
                            struct varve_error *err);

/* Mode page 1Fh: what can go where, indexed by the type of the source; a bit is 1 << (type of the
 * destination - 1). */
struct varve_smc_capabilities {
    uint8_t move[VARVE_SMC_TYPES], exchange[VARVE_SMC_TYPES];
};
VARVE_MUST_CHECK bool
varve_smc_decode_capabilities(const uint8_t *bytes, size_t size, struct varve_smc_capabilities *ret,
                              struct varve_error *err);
/* Mode page 1Eh: can the first gripper turn discs over? */
VARVE_MUST_CHECK bool varve_smc_decode_geometry(const uint8_t *bytes, size_t size,
                                                bool *ret_rotates, struct varve_error *err);

/* --- smc_status.c --- */

/* A primary volume tag, 32 bytes: "" if it is no possible bar code. */
#define VARVE_SMC_TAG_BYTES 32
void varve_smc_decode_tag(const uint8_t tag[VARVE_SMC_TAG_BYTES], struct varve_barcode *ret);
/* The identification descriptor of a drive element (DVCID), as text; a binary one as hexadecimal
 * digits. "" if it is none. What is cut off is left out. */
void
varve_smc_decode_device_id(const uint8_t *bytes, size_t size, char ret[VARVE_SMC_DEVICE_ID_BYTES]);
/* Elements of `type` in an answer to READ ELEMENT STATUS, at most `max`, in the order given. What
 * was cut off is not counted; *ret_cut is then the address of an element that must be read again
 * (what is known of it stands at ret[count]), else -1. Never fails: junk gives no elements. */
size_t varve_smc_decode_elements(const uint8_t *bytes, size_t size, enum varve_element_type type,
                                 struct varve_smc_element *ret, size_t max, int32_t *ret_cut);

/* Type of the element at `address`; false if it is none. */
bool varve_smc_type_of(const struct varve_smc_assignment *map, uint16_t address,
                       enum varve_element_type *ret);

/* Printable characters up to the first other byte, without blanks at the end; ends in NUL. */
void varve_smc_copy_text(const uint8_t *bytes, size_t size, char *ret, size_t ret_bytes);

struct varve_inquiry {
    uint8_t device_type;
    char vendor[9], product[17], revision[5];
};
/* Standard INQUIRY data, trimmed and printable; false if shorter than 36 bytes. */
bool varve_smc_decode_inquiry(const uint8_t *bytes, size_t size, struct varve_inquiry *ret);
/* VPD page 80h, trimmed and printable; false if it is none. */
bool varve_smc_decode_serial(const uint8_t *bytes, size_t size, char ret[33]);

#endif
