/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <string.h>

#define ATTENTIONS_MAX 10u
#define POLLS_MAX 600u

static uint32_t
sense_of(const struct varve_scsi_command *command)
{
    struct varve_scsi_sense sense;
    if (command->status == 0)
        return 0;
    if (command->status != 2)
        return UINT32_C(0xf00000) | command->status;
    varve_scsi_sense_decode(command->sense, command->sense_bytes, &sense);
    if (!sense.valid)
        return UINT32_C(0xf0ffff);
    return sense.key <= 1 ? 0 : (uint32_t)sense.key << 16 | (uint32_t)sense.asc << 8 | sense.ascq;
}

uint32_t
peer_send(struct peer *peer, struct varve_scsi_port *port, const struct varve_scsi_command *command)
{
    struct varve_scsi_command c = *command;
    if (c.timeout_ms == 0)
        c.timeout_ms = 60000;
    peer->received = 0;
    peer->err = (struct varve_error){0};
    if (!port->execute(port, &c, &peer->err)) {
        printf("# no answer to %02x: %s\n", c.cdb[0], peer->err.text);
        return PEER_SILENT;
    }
    peer->received = c.received_bytes;
    return sense_of(&c);
}

uint32_t
peer_send_settled(struct peer *peer, struct varve_scsi_port *port,
                  const struct varve_scsi_command *command)
{
    uint32_t sense = 0;
    unsigned attentions = 0;
    for (unsigned i = 0; i < POLLS_MAX; i++) {
        sense = peer_send(peer, port, command);
        if (sense == PEER_SILENT)
            return sense;
        bool attention = sense >> 16 == 6 && attentions++ < ATTENTIONS_MAX;
        bool busy = sense == 0x020401 || sense == 0x020407 || sense == 0x020404;
        if (!attention && !busy)
            return sense;
        if (busy)
            varve_clock_sleep(peer->clock, 100 * VARVE_NS_PER_MS);
    }
    return sense;
}

bool
peer_discover(struct peer *peer)
{
    struct varve_scsi_command c;
    varve_smc_encode_mode_sense(&c, 0x1d, true, peer->data, 255);
    return peer_send_settled(peer, peer->changer, &c) == 0 &&
           varve_smc_decode_assignment(peer->data, peer->received, &peer->map, &peer->err);
}

size_t
peer_read_elements(struct peer *peer, enum varve_element_type type, bool dvcid,
                   struct varve_smc_element *ret, size_t max)
{
    const struct varve_smc_range *range = &peer->map.of[type];
    struct varve_smc_status_request all = {.type = type,
                                           .start = range->first,
                                           .count = range->count,
                                           .voltag = true,
                                           .curdata = true,
                                           .dvcid = dvcid};
    struct varve_scsi_command c;
    int32_t cut;
    varve_smc_encode_read_status(&c, &all, peer->data, 65536);
    if (peer_send_settled(peer, peer->changer, &c) != 0)
        return 0;
    size_t count = varve_smc_decode_elements(peer->data, peer->received, type, ret, max, &cut);
    return cut >= 0 && count < max ? count + 1 : count; /* what was cut stands behind the others */
}

bool
peer_look(struct peer *peer, enum varve_element_type type, uint16_t address,
          struct varve_smc_element *ret)
{
    enum { MAX = 512 };
    static struct varve_smc_element found[MAX];
    size_t count = peer_read_elements(peer, type, false, found, MAX);
    for (size_t i = 0; i < count; i++) {
        if (found[i].element.address == address) {
            *ret = found[i];
            return true;
        }
    }
    return false;
}

uint32_t
peer_move(struct peer *peer, uint16_t from, uint16_t to)
{
    struct varve_scsi_command c;
    const struct varve_smc_move move = {
        .transport = peer->map.of[VARVE_ELEMENT_TRANSPORT].first, .from = from, .to = to};
    varve_smc_encode_move(&c, &move);
    return peer_send_settled(peer, peer->changer, &c);
}

uint16_t
peer_next_disc(struct peer *peer)
{
    enum { MAX = 512 };
    static struct varve_smc_element found[MAX];
    static uint16_t taken;
    size_t count = peer_read_elements(peer, VARVE_ELEMENT_SLOT, false, found, MAX);
    for (size_t i = 0; i < count; i++) {
        if (found[i].element.full && found[i].element.address > taken) {
            taken = found[i].element.address;
            return taken;
        }
    }
    return 0;
}

uint16_t
peer_drive_element(struct peer *peer, unsigned drive)
{
    return (uint16_t)(peer->map.of[VARVE_ELEMENT_DRIVE].first + drive);
}
