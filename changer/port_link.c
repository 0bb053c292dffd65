/* SPDX-License-Identifier: Apache-2.0 */
/* A link as a port: the same device or none, and no command twice (faults 16 and 30 of the SCSI
 * reference). */
#include "port_internal.h"

#include "smc_codec.h"

#include <string.h>

#define ATTENTIONS_MAX 10u
#define IDENTIFY_MS 10000u
#define NAP_FIRST_NS (100 * VARVE_NS_PER_MS)
#define NAP_MAX_NS (2 * VARVE_NS_PER_SECOND)
#define SETTLE_SOFTWARE_MS 20u
#define TIMEOUTS_MAX 2u /* in a row: nobody is there, whatever the link says */

struct identity {
    uint8_t type;
    char vendor[9], product[17], serial[VARVE_PORT_SERIAL_BYTES];
};

struct port_link {
    struct varve_scsi_port port;
    const struct port_link_ops *ops;
    void *link;
    struct varve_clock *clock;
    int64_t reconnect_ns;
    char place[VARVE_PORT_PLACE_BYTES];
    struct identity identity;
    int lock;
    bool look_only;
    bool connected;
    bool nexus_lost; /* nobody was told yet */
    bool reserves;   /* it is a changer that knows how */
    bool unreserved; /* a reset took the reservation away */
    unsigned timeouts;
    int64_t lost_ns; /* since when, while not connected */
};

static void
drop(struct port_link *self)
{
    if (!self->connected)
        return;
    self->ops->disconnect(self->link);
    self->connected = false;
    self->timeouts = 0;
    self->lost_ns = varve_clock_monotonic(self->clock);
}

static bool
ask(struct port_link *self, struct varve_scsi_command *command, struct varve_error *err)
{
    command->timeout_ms = IDENTIFY_MS;
    if (self->ops->execute(self->link, command, err) != PORT_ANSWERED)
        return varve_error_wrap(err, "command %02Xh", command->cdb[0]);
    return true;
}

static bool
identify(struct port_link *self, struct identity *ret, struct varve_error *err)
{
    uint8_t data[252];
    struct varve_scsi_command command;
    struct varve_inquiry inquiry;
    varve_smc_encode_inquiry(&command, data, sizeof data);
    if (!ask(self, &command, err))
        return false;
    if (command.status != 0 || !varve_smc_decode_inquiry(data, command.received_bytes, &inquiry))
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "INQUIRY: unreadable answer");
    if (data[0] >> 5 != 0) /* peripheral qualifier: nothing is connected here */
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "no device is at this address");
    *ret = (struct identity){.type = inquiry.device_type};
    memcpy(ret->vendor, inquiry.vendor, sizeof inquiry.vendor);
    memcpy(ret->product, inquiry.product, sizeof inquiry.product);
    varve_smc_encode_inquiry_vpd(&command, 0x80, data, sizeof data);
    if (!ask(self, &command, err))
        return false;
    /* Page 80h is optional: without it vendor and product must do. */
    if (command.status == 0 && command.received_bytes >= 4 && data[1] == 0x80) {
        size_t size = command.received_bytes - 4;
        port_trim_serial(data + 4, size < data[3] ? size : data[3], ret->serial);
    }
    return true;
}

static bool
is_same(const struct identity *a, const struct identity *b)
{
    return a->type == b->type && strcmp(a->vendor, b->vendor) == 0 &&
           strcmp(a->product, b->product) == 0 && strcmp(a->serial, b->serial) == 0;
}

/* Fault 35, the part that another host sees: RESERVE(6) (SPC-2 7.21) while we have the changer.
 * Many do not know it any more, and then nothing is reserved. A unit attention that comes instead
 * of the answer is the caller's: he gets ours for it. */
static bool
reserve(struct port_link *self, struct varve_error *err)
{
    self->unreserved = false;
    for (unsigned i = 0; i < ATTENTIONS_MAX; i++) {
        struct varve_scsi_command command = {.cdb = {0x16}, .cdb_bytes = 6};
        struct varve_scsi_sense sense;
        if (!ask(self, &command, err))
            return false;
        if (command.status == 0x18)
            return varve_error_set(err, VARVE_ERROR_BUSY, 0,
                                   "another host has reserved it (status 18h)\nhint: one host "
                                   "drives a changer: stop the program on the other one");
        varve_scsi_sense_decode(command.sense, command.sense_bytes, &sense);
        bool attention = command.status == 2 && sense.valid && sense.key == 6;
        self->reserves = command.status == 0;
        self->nexus_lost |= attention;
        if (!attention)
            return true;
    }
    return true;
}

static void
release(struct port_link *self)
{
    struct varve_scsi_command command = {.cdb = {0x17}, .cdb_bytes = 6};
    struct varve_error ignored = {0}; /* the end of the session does it as well, where it is one */
    if (self->reserves && self->connected && self->ops->is_alive(self->link))
        (void)ask(self, &command, &ignored);
}

/* One attempt: a link, and the device that was there before at its end. */
static bool
connect_same(struct port_link *self, struct varve_error *err)
{
    struct identity now;
    if (!self->ops->connect(self->link, err))
        return false;
    bool told = identify(self, &now, err);
    bool same = told && is_same(&self->identity, &now);
    if (same && (!self->reserves || reserve(self, err))) {
        self->connected = true;
        return true;
    }
    self->ops->disconnect(self->link);
    if (told && !same)
        (void)varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                              "another device answers there: %s %s, serial number '%s'", now.vendor,
                              now.product, now.serial);
    return false;
}

static bool
connect_anywhere(struct port_link *self, struct varve_error *err)
{
    if (connect_same(self, err))
        return true;
    if (self->ops->find == NULL || self->identity.serial[0] == 0)
        return false;
    return self->ops->find(self->link, self->identity.serial) && connect_same(self, err);
}

/* Waits until `reconnect_ns` after the loss; later callers get one attempt each, so that a device
 * that is gone for good does not hold up everybody for a minute each time. */
static bool
reconnect(struct port_link *self, struct varve_error *err)
{
    int64_t nap = NAP_FIRST_NS;
    int64_t until = self->lost_ns + self->reconnect_ns;
    struct varve_error why = {0};
    while (!connect_anywhere(self, &why)) {
        int64_t now = varve_clock_monotonic(self->clock);
        if (now < until) {
            varve_clock_sleep(self->clock, nap);
            nap = nap * 2 < NAP_MAX_NS ? nap * 2 : NAP_MAX_NS;
            continue;
        }
        *err = why;
        err->kind = VARVE_ERROR_HARDWARE;
        (void)varve_error_wrap(err, "%s: %s %s, serial number '%s', is gone since %lld s",
                               self->place, self->identity.vendor, self->identity.product,
                               self->identity.serial,
                               (long long)((now - self->lost_ns) / VARVE_NS_PER_SECOND));
        return varve_error_hint(err, "look at power and cables of the device");
    }
    self->nexus_lost = true;
    return true;
}

/* SAM-5 5.14: INQUIRY, REQUEST SENSE and REPORT LUNS are answered in spite of a unit attention. */
static bool
meets_attention(uint8_t opcode)
{
    return opcode != 0x12 && opcode != 0x03 && opcode != 0xa0;
}

static void
answer_nexus_lost(struct varve_scsi_command *command)
{
    static const uint8_t sense[18] = {0x70, [2] = 0x06, [7] = 10, [12] = 0x29, [13] = 0x07};
    command->status = 2;
    command->received_bytes = 0;
    memcpy(command->sense, sense, sizeof sense);
    command->sense_bytes = sizeof sense;
}

/* A reset ends reservations (SPC-2 5.5.1). */
static bool
was_reset(const struct varve_scsi_command *command)
{
    struct varve_scsi_sense sense;
    if (command->status != 2)
        return false;
    varve_scsi_sense_decode(command->sense, command->sense_bytes, &sense);
    return sense.valid && sense.key == 6 && sense.asc == 0x29;
}

static bool
no_answer(struct port_link *self, bool gone, const struct varve_scsi_command *command,
          struct varve_error *err)
{
    bool writes = command->direction == VARVE_SCSI_TO_DEVICE;
    if (!gone && ++self->timeouts < TIMEOUTS_MAX && !writes)
        gone = false;
    else
        gone = gone || self->ops->forgets_on_timeout;
    if (gone)
        drop(self);
    return varve_error_wrap(err, "%s", self->place);
}

static bool
execute(struct varve_scsi_port *port, struct varve_scsi_command *command, struct varve_error *err)
{
    struct port_link *self = (struct port_link *)port;
    if (self->connected && !self->ops->is_alive(self->link))
        drop(self);
    if (!self->connected && !reconnect(self, err))
        return false;
    if (self->nexus_lost && meets_attention(command->cdb[0])) {
        self->nexus_lost = false;
        answer_nexus_lost(command);
        return true;
    }
    if (self->unreserved && !reserve(self, err))
        return varve_error_wrap(err, "%s", self->place);
    switch (self->ops->execute(self->link, command, err)) {
    case PORT_ANSWERED:
        self->timeouts = 0;
        self->unreserved = self->reserves && was_reset(command);
        return true;
    case PORT_TIMED_OUT:
        return no_answer(self, false, command, err);
    case PORT_GONE:
        break;
    }
    return no_answer(self, true, command, err);
}

static void
close_port(struct varve_scsi_port *port)
{
    struct port_link *self = (struct port_link *)port;
    release(self);
    if (self->connected)
        self->ops->disconnect(self->link);
    self->ops->free(self->link);
    if (self->lock >= 0)
        (void)close(self->lock);
    free(self);
}

static const char *
type_words(unsigned type)
{
    return type == VARVE_PORT_CHANGER ? "changer"
           : type == VARVE_PORT_DRIVE ? "optical drive"
                                      : "other device";
}

static bool
check_peer(const struct port_link *self, enum varve_port_peer wanted, struct varve_error *err)
{
    if (wanted == VARVE_PORT_ANY || self->identity.type == (uint8_t)wanted)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                           "%s %s is no %s: its SCSI device type is %02Xh (%s)",
                           self->identity.vendor, self->identity.product, type_words(wanted),
                           self->identity.type, type_words(self->identity.type));
}

/* Fault 35: by what the device is, not by how it was named. */
static bool
lock(struct port_link *self, struct varve_error *err)
{
    char device[VARVE_PORT_PLACE_BYTES];
    if (self->identity.serial[0] != 0)
        (void)snprintf(device, sizeof device, "%s/%s/%s", self->identity.vendor,
                       self->identity.product, self->identity.serial);
    else
        (void)snprintf(device, sizeof device, "%s", self->place);
    return port_lock(device, &self->lock, err);
}

/* Devices of software (tgt, Linux-IO) never say "ready" too early: they are never busy (reference
 * 4.3). 0: let it be two seconds, as for a Pioneer. */
static uint32_t
settle_of(const struct identity *identity)
{
    static const char *const software[] = {"IET", "LIO-ORG"};
    for (size_t i = 0; i < sizeof software / sizeof software[0]; i++) {
        if (strcmp(identity->vendor, software[i]) == 0)
            return SETTLE_SOFTWARE_MS;
    }
    return 0;
}

static bool
bring_up(struct port_link *self, const struct varve_port_options *options, struct varve_error *err)
{
    if (!self->ops->connect(self->link, err))
        return false;
    self->connected = true;
    if (!identify(self, &self->identity, err) || !check_peer(self, options->peer, err))
        return false;
    self->port.settle_ms = settle_of(&self->identity);
    if (self->ops->transfer_max != NULL)
        self->port.transfer_max = self->ops->transfer_max(self->link);
    if (self->look_only)
        return true;
    bool changer = self->identity.type == VARVE_PORT_CHANGER;
    return lock(self, err) && (!changer || reserve(self, err)) &&
           (self->ops->hold == NULL ||
            self->ops->hold(self->link, (enum varve_port_peer)self->identity.type, err));
}

bool
port_link_new(const struct port_link_ops *ops, void *link, const char *place,
              const struct varve_port_options *options, struct varve_scsi_port **ret,
              struct varve_error *err)
{
    struct port_link *self = calloc(1, sizeof *self);
    if (self == NULL) {
        ops->free(link);
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%s", place);
    }
    self->port = (struct varve_scsi_port){.execute = execute, .close = close_port};
    self->ops = ops;
    self->link = link;
    self->lock = -1;
    self->look_only = options->look_only;
    self->clock = options->clock != NULL ? options->clock : varve_clock_system();
    self->reconnect_ns = options->reconnect_ns > 0    ? options->reconnect_ns
                         : options->reconnect_ns == 0 ? VARVE_PORT_RECONNECT_NS
                                                      : 0;
    (void)snprintf(self->place, sizeof self->place, "%s", place);
    if (!bring_up(self, options, err)) {
        close_port(&self->port);
        return varve_error_wrap(err, "%s", place);
    }
    *ret = &self->port;
    return true;
}
