/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of this host through /dev/sgN (Linux sg version 3, reference section 3.1).
 *
 * Opened read-write, sg lets every command through without any privilege. Commands are sent by
 * write(2) and answers fetched by read(2): the SG_IO ioctl is restarted by the kernel when a
 * signal, a debugger or a suspend interrupts it, and then sends its command a second time. */
#include "port_sg.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <varve/devices.h>

#define TRANSFER_MAX (1024u * 1024u)
#define TRANSFER_STEP (64u * 1024u)
/* The kernel ends a command itself, by error handling that may reset buses and take its time. */
#define GRACE_MS 180000
#define HOLD_SECONDS 5

struct sg_link {
    char *place;
    char node[PORT_NODE_BYTES];
    int fd;
    int host;  /* number of its host adapter; -1: not known */
    int block; /* /dev/srN, held against others; -1: not held */
    bool holds;
};

/* Linux include/scsi/scsi_host.h, as used by sg(4). */
static const char *
host_words(unsigned host)
{
    static const char *const words[] = {
        [0x01] = "no connection",
        [0x02] = "bus busy",
        [0x03] = "time-out",
        [0x04] = "bad target",
        [0x05] = "aborted",
        [0x06] = "parity error",
        [0x07] = "error",
        [0x08] = "reset",
        [0x09] = "bad interrupt",
        [0x0a] = "passthrough",
        [0x0b] = "soft error",
        [0x0c] = "retry",
        [0x0d] = "requeued",
        [0x0e] = "link disrupted",
        [0x0f] = "link failed fast",
        [0x10] = "target failure",
        [0x11] = "reserved by another host",
    };
    const char *found = host < sizeof words / sizeof words[0] ? words[host] : NULL;
    return found != NULL ? found : "unknown";
}

static enum port_answer
judge_host(const struct sg_io_hdr *done, struct varve_error *err)
{
    unsigned driver = done->driver_status & 0x0fu;
    if (done->host_status == 0x03 || driver == 0x06) {
        (void)varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "no answer in %u s",
                              done->timeout / 1000);
        return PORT_TIMED_OUT;
    }
    (void)varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                          "no answer: host status %02Xh (%s), driver status %02Xh",
                          done->host_status, host_words(done->host_status), driver);
    bool gone = done->host_status == 0x01 || done->host_status == 0x04;
    return gone ? PORT_GONE : PORT_TIMED_OUT;
}

enum port_answer
port_sg_judge(const struct sg_io_hdr *done, struct varve_scsi_command *command,
              struct varve_error *err)
{
    unsigned driver = done->driver_status & 0x0fu;
    if (done->host_status == 0x11) {
        command->status = 0x18; /* DID_NEXUS_FAILURE is how the kernel says reservation conflict */
        return PORT_ANSWERED;
    }
    /* 08h is DRIVER_SENSE: an answer with sense data. A host status with a SAM status beside it is
     * no answer either: the status is from nowhere. */
    if (done->host_status != 0 || (driver != 0 && driver != 0x08))
        return judge_host(done, err);
    command->status = done->status & 0x7e; /* vendor bits go */
    command->sense_bytes = done->sb_len_wr;
    int64_t received = (int64_t)done->dxfer_len - done->resid;
    /* An overflow comes as a negative rest, or (kernel's iSCSI initiator, reference 10.8) as one
     * that is larger than the buffer: the buffer is full. */
    if (received < 0 || received > done->dxfer_len)
        received = done->dxfer_len;
    command->received_bytes = command->direction == VARVE_SCSI_FROM_DEVICE ? (uint32_t)received : 0;
    return PORT_ANSWERED;
}

static bool
open_node(struct sg_link *self, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = open(self->node, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int version;
    if (fd < 0) {
        (void)varve_error_system(err, errno, "open %s", self->node);
        if (err->sys == EACCES || err->sys == EPERM)
            (void)varve_error_hint(err,
                                   "the user of varve belongs into the groups 'cdrom' (drives) "
                                   "and 'tape' (changers)");
        return false;
    }
    if (ioctl(fd, SG_GET_VERSION_NUM, &version) != 0 || version < 30000)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s is no SCSI generic device",
                               self->node);
    int keep = 1; /* answers of what timed out must not be taken for those of the next command */
    (void)ioctl(fd, SG_SET_FORCE_PACK_ID, &keep);
    self->fd = VARVE_TAKE_FD(fd);
    self->host = port_sysfs_host_of("", self->node);
    return true;
}

static bool
sg_connect(void *link, struct varve_error *err)
{
    struct sg_link *self = link;
    static const char serial[] = "serial:";
    bool by_serial = strncmp(self->place, serial, strlen(serial)) == 0;
    bool found = by_serial ? port_sysfs_by_serial("", self->place + strlen(serial), self->node, err)
                           : port_sysfs_sg_of("", self->place, self->node, err);
    return found && open_node(self, err) &&
           (!self->holds || port_sg_ops.hold(self, VARVE_PORT_DRIVE, err));
}

static void
sg_disconnect(void *link)
{
    struct sg_link *self = link;
    if (self->fd >= 0)
        (void)close(self->fd);
    if (self->block >= 0)
        (void)close(self->block);
    self->fd = -1;
    self->block = -1;
}

static bool
sg_is_alive(void *link)
{
    (void)link;
    return true; /* a device that went away says so to the next command, before it is sent */
}

/* Fault 16: after a re-plug the numbers of the nodes may be others. */
static bool
sg_find(void *link, const char *serial)
{
    struct sg_link *self = link;
    struct varve_error ignored = {0}; /* that the first attempt failed is what is told */
    char node[PORT_NODE_BYTES];
    if (!port_sysfs_by_serial("", serial, node, &ignored))
        return false;
    char *place = strdup(node);
    if (place == NULL)
        return false;
    free(self->place);
    self->place = place;
    return true;
}

static uint32_t
sg_transfer_max(void *link)
{
    struct sg_link *self = link;
    int bytes = 0; /* sg(4) gives bytes here, block devices sectors */
    if (ioctl(self->fd, BLKSECTGET, &bytes) != 0 || bytes < (int)TRANSFER_STEP)
        return TRANSFER_STEP;
    uint32_t whole = (uint32_t)bytes - (uint32_t)bytes % TRANSFER_STEP;
    return whole < TRANSFER_MAX ? whole : TRANSFER_MAX;
}

static enum port_answer
fail_sys(int sys, const char *what, struct varve_error *err)
{
    (void)varve_error_system(err, sys, "%s", what);
    err->kind = VARVE_ERROR_HARDWARE;
    return PORT_GONE;
}

/* Waits for the answer of this one command; others are those of commands given up before. */
static enum port_answer
fetch(struct sg_link *self, struct sg_io_hdr *ret, unsigned timeout_ms, struct varve_error *err)
{
    struct varve_clock *clock = varve_clock_system();
    int64_t until = varve_clock_monotonic(clock) + (timeout_ms + GRACE_MS) * VARVE_NS_PER_MS;
    for (;;) {
        int64_t left = (until - varve_clock_monotonic(clock)) / VARVE_NS_PER_MS;
        if (left <= 0) {
            (void)varve_error_set(err, VARVE_ERROR_NOT_READY, 0,
                                  "the kernel did not end the command in %u s", timeout_ms / 1000);
            return PORT_GONE;
        }
        struct pollfd wait = {.fd = self->fd, .events = POLLIN};
        int ready = poll(&wait, 1, left < INT_MAX ? (int)left : INT_MAX);
        if (ready < 0 && errno != EINTR)
            return fail_sys(errno, "wait for the answer", err);
        if (ready <= 0)
            continue;
        if (read(self->fd, ret, sizeof *ret) == (ssize_t)sizeof *ret)
            return PORT_ANSWERED;
        if (errno != EAGAIN && errno != EINTR)
            return fail_sys(errno, "read the answer", err);
        if ((wait.revents & (POLLHUP | POLLERR)) != 0 && (wait.revents & POLLIN) == 0)
            return fail_sys(ENODEV, "wait for the answer", err);
    }
}

static enum port_answer
run(struct sg_link *self, struct varve_scsi_command *command, struct varve_error *err)
{
    static const int directions[] = {[VARVE_SCSI_NO_DATA] = SG_DXFER_NONE,
                                     [VARVE_SCSI_FROM_DEVICE] = SG_DXFER_FROM_DEV,
                                     [VARVE_SCSI_TO_DEVICE] = SG_DXFER_TO_DEV};
    bool moves = command->data_bytes > 0 && command->direction != VARVE_SCSI_NO_DATA;
    struct sg_io_hdr io = {.interface_id = 'S',
                           .dxfer_direction =
                               moves ? directions[command->direction] : SG_DXFER_NONE,
                           .cmd_len = command->cdb_bytes,
                           .mx_sb_len = sizeof command->sense,
                           .dxfer_len = moves ? command->data_bytes : 0,
                           .dxferp = moves ? command->data : NULL,
                           .cmdp = command->cdb,
                           .sbp = command->sense,
                           .timeout = command->timeout_ms,
                           .pack_id = 1};
    ssize_t sent;
    do
        sent = write(self->fd, &io, sizeof io);
    while (sent < 0 && (errno == EINTR || errno == EAGAIN)); /* nothing was sent */
    if (sent != (ssize_t)sizeof io)
        return fail_sys(sent < 0 ? errno : EIO, "send the command", err);
    enum port_answer answer = fetch(self, &io, command->timeout_ms, err);
    return answer == PORT_ANSWERED ? port_sg_judge(&io, command, err) : answer;
}

static enum port_answer
sg_execute(void *link, struct varve_scsi_command *command, struct varve_error *err)
{
    struct sg_link *self = link;
    pthread_mutex_t *held = port_host_enter(self->host, command);
    enum port_answer answer = run(self, command, err);
    port_host_leave(held);
    return answer;
}

/* Fault 29: the operator is told whom to stop. */
static void
name_holder(const char *node, struct varve_error *err)
{
    struct varve_device device = {.kind = VARVE_DEVICE_DRIVE};
    char holders[VARVE_DEVICE_HOLDERS_BYTES];
    (void)snprintf(device.block, sizeof device.block, "%s", node);
    varve_device_holders_text(&device, holders);
    if (holders[0] != 0)
        (void)varve_error_hint(err, "%s: unmount it, or stop that program", holders);
    else
        (void)varve_error_hint(err, "is a disc in it mounted? `findmnt %s`", node);
}

/* While a writer holds the block device alone, nobody mounts it and the kernel does not poll it in
 * the middle of a burn (Linux sr and bdev, reference 3.3). Without that node, or the right to open
 * it, there is nobody to keep out. */
static bool
sg_hold(void *link, enum varve_port_peer peer, struct varve_error *err)
{
    struct sg_link *self = link;
    char node[PORT_NODE_BYTES];
    if (peer != VARVE_PORT_DRIVE || !port_sysfs_block_of("", self->node, node))
        return true;
    self->holds = true;
    for (unsigned tries = 0; tries < HOLD_SECONDS * 10; tries++) {
        self->block = open(node, O_RDWR | O_NONBLOCK | O_EXCL | O_CLOEXEC);
        if (self->block >= 0 || errno != EBUSY)
            return true;
        varve_clock_sleep(varve_clock_system(), 100 * VARVE_NS_PER_MS);
    }
    (void)varve_error_set(err, VARVE_ERROR_BUSY, 0, "%s is in use", node);
    name_holder(node, err);
    return false;
}

static void
sg_free(void *link)
{
    struct sg_link *self = link;
    sg_disconnect(self); /* a hold that failed may have left the node open */
    free(self->place);
    free(self);
}

const struct port_link_ops port_sg_ops = {
    .connect = sg_connect,
    .disconnect = sg_disconnect,
    .is_alive = sg_is_alive,
    .execute = sg_execute,
    .find = sg_find,
    .hold = sg_hold,
    .transfer_max = sg_transfer_max,
    .free = sg_free,
};

void *
port_sg_new(const char *place)
{
    struct sg_link *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->fd = -1;
    self->host = -1;
    self->block = -1;
    self->place = strdup(place);
    if (self->place == NULL) {
        free(self);
        return NULL;
    }
    return self;
}
