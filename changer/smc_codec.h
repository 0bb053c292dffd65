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
void varve_smc_encode_read_status(struct varve_scsi_command *ret,
                                  const struct varve_smc_status_request *request, uint8_t *data,
                                  uint32_t bytes);
void varve_smc_encode_move(struct varve_scsi_command *ret, uint16_t transport, uint16_t from,
                           uint16_t to);
void varve_smc_encode_prevent(struct varve_scsi_command *ret, bool prevent);

/* `bytes` is the answer to MODE SENSE(6). INVALID says what is wrong with it. */
VARVE_MUST_CHECK bool
varve_smc_decode_assignment(const uint8_t *bytes, size_t size, struct varve_smc_assignment *ret,
                            struct varve_error *err);

/* Elements of `type` in an answer to READ ELEMENT STATUS, at most `max`, in the order given. What
 * was cut off is not counted; *ret_cut is then the address of an element that must be read again
 * (what is known of it stands at ret[count]), else -1. Never fails: junk gives no elements. */
size_t varve_smc_decode_elements(const uint8_t *bytes, size_t size, enum varve_element_type type,
                                 struct varve_smc_element *ret, size_t max, int32_t *ret_cut);

/* Type of the element at `address`; false if it is none. */
bool varve_smc_type_of(const struct varve_smc_assignment *map, uint16_t address,
                       enum varve_element_type *ret);

struct varve_inquiry {
    uint8_t device_type;
    char vendor[9], product[17], revision[5];
};
/* Standard INQUIRY data, trimmed and printable; false if shorter than 36 bytes. */
bool varve_smc_decode_inquiry(const uint8_t *bytes, size_t size, struct varve_inquiry *ret);
/* VPD page 80h, trimmed and printable; false if it is none. */
bool varve_smc_decode_serial(const uint8_t *bytes, size_t size, char ret[33]);

#endif
