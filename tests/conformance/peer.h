/* SPDX-License-Identifier: Apache-2.0 */
/* peer.h - a changer with its drives behind SCSI ports, whatever carries them, and what each peer
 * is known to lack. One thread. */
#ifndef VARVE_TESTS_CONFORMANCE_PEER_H
#define VARVE_TESTS_CONFORMANCE_PEER_H

#include "mmc_codec.h"
#include "smc_codec.h"

#include <varve/ports.h>
#include <varve/virtual.h>

/* Name, and what a peer without it does instead, which is checked too where it can be. */
#define LACKS(X)                                                                                   \
    X(FIRST_ATTENTION, "first-attention", "somebody else heard the first unit attention")          \
    X(COUNTS, "counts", "ignores the number of elements asked for")                                \
    X(WHOLE_ANSWERS, "whole-answers", "answers end before their own length")                       \
    X(DRIVE_SERIALS, "drive-serials", "does not tell the serial number of each drive")             \
    X(HOMES, "homes", "does not tell where a disc came from")                                      \
    X(ADDRESS_SENSE, "address-sense", "calls a bad element address a bad field")                   \
    X(EXCHANGE, "exchange", "refuses EXCHANGE MEDIUM")                                             \
    X(CHANGER_LOCK, "changer-lock", "refuses PREVENT on the changer")                              \
    X(MAIL_SLOT, "mail-slot", "has no mail slot")                                                  \
    X(LOAD_ATTENTION, "load-attention", "gives no unit attention after a load")                    \
    X(DRIVE_LOCK, "drive-lock", "gives a disc although its tray is locked")                        \
    X(NEXT_ADDRESS, "next-address", "does not count the next writable address")                    \
    X(WRITE_ORDER, "write-order", "takes any address at any time")                                 \
    X(APPEND, "append", "ends an open disc when it leaves the drive")                              \
    X(BLANK_READ, "blank-read", "reads behind the end")                                            \
    X(EXACT_CAPACITY, "exact-capacity", "READ CAPACITY is off")                                    \
    X(DVD_PLUS_R, "bd", "its blanks are DVD+R")

enum lack {
#define X(name, word, what) LACK_##name,
    LACKS(X)
#undef X
        LACK_COUNT
};

#define PEER_DRIVES_MAX 8u
#define PEER_DATA_BYTES (256u * 1024u)
struct peer {
    struct varve_scsi_port *changer, *drives[PEER_DRIVES_MAX];
    unsigned drive_count;
    bool lacks[LACK_COUNT];
    struct varve_smc_assignment map;
    struct varve_clock *clock;
    /* What brought the ports. */
    struct varve_clock_sim sim;
    struct varve_virtual *folder;
    struct varve_trace *trace;
    struct varve_replay *replay;
    /* The answer of the last command. */
    uint8_t data[PEER_DATA_BYTES];
    uint32_t received;
    struct varve_error err;
};

/* key << 16 | asc << 8 | ascq; 0: good. What is no answer at all: */
#define PEER_SILENT 0xffffffffu
uint32_t peer_send(struct peer *peer, struct varve_scsi_port *port,
                   const struct varve_scsi_command *command);
/* Until no unit attention is in the way and the device is not becoming ready, as every host must.
 */
uint32_t peer_send_settled(struct peer *peer, struct varve_scsi_port *port,
                           const struct varve_scsi_command *command);
/* The checks, in order; each leaves discs where they were. */
void check_changer(struct peer *peer);
void check_drive(struct peer *peer);
void check_library(struct peer *peer);
/* Reads page 1Dh; false: the checks make no sense. */
bool peer_discover(struct peer *peer);
size_t peer_read_elements(struct peer *peer, enum varve_element_type type, bool dvcid,
                          struct varve_smc_element *ret, size_t max);
bool peer_look(struct peer *peer, enum varve_element_type type, uint16_t address,
               struct varve_smc_element *ret);
uint32_t peer_move(struct peer *peer, uint16_t from, uint16_t to);
/* A slot with a disc that no check wrote to yet; 0: none is left. */
uint16_t peer_next_disc(struct peer *peer);
uint16_t peer_drive_element(struct peer *peer, unsigned drive);

#endif
