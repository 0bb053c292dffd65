/* SPDX-License-Identifier: Apache-2.0 */
/* A logical unit over TCP by libiscsi (RFC 7143, reference 3.5). One session a port; its ISID stays
 * the same over reconnections, so that a new login ends what the old session left running (session
 * reinstatement, RFC 7143 6.3.5) before any answer of the new one. */
#include "port_internal.h"

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <varve/buffer.h>
#include <varve/file.h>

#define LOGIN_MS 10000
#define LOGOUT_MS 2000
/* A peer that went silent is noticed after about half a minute, also in the middle of a long move.
 */
#define TCP_SILENT_MS 30000
#define TCP_IDLE_SECONDS 15
#define TCP_PROBE_SECONDS 5
#define TCP_PROBES 3
#define COPIED_BYTES_MAX 65536u
#define NAME_BYTES 224 /* RFC 3720 3.2.6.1: iSCSI names have at most 223 */

struct iscsi_link {
    char *url; /* with user and password: never in a message */
    char initiator[NAME_BYTES];
    uint32_t isid;
    struct iscsi_context *context; /* NULL: not connected */
    int lun;
    bool done;       /* the callback came */
    int status;      /* and what it said */
    char stale[200]; /* libiscsi's error text of something before: it is never cleared */
};

static void
note_done(struct iscsi_context *context, int status, void *data, void *private)
{
    (void)context;
    (void)data;
    struct iscsi_link *self = private;
    self->done = true;
    self->status = status;
}

/* libiscsi writes to sockets that may be gone: no library may leave its program dying of SIGPIPE.
 */
struct pipe_guard {
    sigset_t before;
    bool pending;
};
static struct pipe_guard
guard_pipe(void)
{
    struct pipe_guard guard;
    sigset_t pipe, pending;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)sigpending(&pending);
    guard.pending = sigismember(&pending, SIGPIPE) == 1;
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &guard.before);
    return guard;
}

static void
unguard_pipe(const struct pipe_guard *guard)
{
    sigset_t pipe;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    static const struct timespec at_once = {0};
    if (!guard->pending)
        (void)sigtimedwait(&pipe, NULL, &at_once);
    (void)pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}

/* Until the callback came. Time-outs are of the real network: the machine's clock. */
static enum port_answer
serve(struct iscsi_link *self, unsigned timeout_ms, struct varve_error *err)
{
    struct varve_clock *clock = varve_clock_system();
    int64_t until = varve_clock_monotonic(clock) + timeout_ms * VARVE_NS_PER_MS;
    (void)snprintf(self->stale, sizeof self->stale, "%s", iscsi_get_error(self->context));
    while (!self->done) {
        int64_t left = (until - varve_clock_monotonic(clock)) / VARVE_NS_PER_MS;
        if (left <= 0) {
            (void)varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "no answer in %u %s",
                                  timeout_ms < 1000 ? timeout_ms : timeout_ms / 1000,
                                  timeout_ms < 1000 ? "ms" : "s");
            return PORT_TIMED_OUT;
        }
        struct pollfd wait = {.fd = iscsi_get_fd(self->context),
                              .events = (short)iscsi_which_events(self->context)};
        if (wait.fd < 0)
            break;
        int ready = poll(&wait, 1, left < INT_MAX ? (int)left : INT_MAX);
        if (ready < 0 && errno != EINTR)
            break;
        if (ready > 0 && iscsi_service(self->context, wait.revents) != 0)
            break;
    }
    bool lost = !self->done || self->status == (int)SCSI_STATUS_CANCELLED ||
                self->status == (int)SCSI_STATUS_ERROR || self->status == (int)SCSI_STATUS_TIMEOUT;
    if (!lost)
        return PORT_ANSWERED;
    const char *why = iscsi_get_error(self->context);
    if (strncmp(why, self->stale, sizeof self->stale - 1) == 0)
        why = "";
    (void)varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "the connection is gone%s%.300s",
                          why[0] != 0 ? ": " : "", why);
    err->sys = EHOSTUNREACH; /* the network or the target: no drive is to blame (scsi.h) */
    return PORT_GONE;
}

static enum port_answer
serve_guarded(struct iscsi_link *self, unsigned timeout_ms, struct varve_error *err)
{
    struct pipe_guard guard = guard_pipe();
    enum port_answer answer = serve(self, timeout_ms, err);
    unguard_pipe(&guard);
    return answer;
}

static void
iscsi_drop(void *link)
{
    struct iscsi_link *self = link;
    if (self->context == NULL)
        return;
    struct pipe_guard guard = guard_pipe();
    (void)iscsi_destroy_context(self->context);
    unguard_pipe(&guard);
    self->context = NULL;
}

static bool
iscsi_is_up(void *link)
{
    struct iscsi_link *self = link;
    struct pollfd look = {.fd = iscsi_get_fd(self->context), .events = POLLIN};
    if (look.fd < 0 || poll(&look, 1, 0) < 0 || (look.revents & (POLLHUP | POLLERR)) != 0)
        return false;
    if ((look.revents & POLLIN) == 0)
        return true;
    uint8_t byte;
    if (recv(look.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        return false;
    struct pipe_guard guard = guard_pipe(); /* a ping, or "I am going down" */
    bool ok = iscsi_service(self->context, POLLIN) == 0;
    unguard_pipe(&guard);
    return ok && iscsi_is_logged_in(self->context) != 0;
}

static bool
fail_setup(struct iscsi_link *self, const char *step, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s: %.300s", step,
                           iscsi_get_error(self->context));
}

static bool
configure(struct iscsi_link *self, const struct iscsi_url *url, struct varve_error *err)
{
    struct iscsi_context *context = self->context;
    iscsi_set_noautoreconnect(context, 1);
    iscsi_set_reconnect_max_retries(context, 0);
    iscsi_set_tcp_user_timeout(context, TCP_SILENT_MS);
    iscsi_set_tcp_keepidle(context, TCP_IDLE_SECONDS);
    iscsi_set_tcp_keepintvl(context, TCP_PROBE_SECONDS);
    iscsi_set_tcp_keepcnt(context, TCP_PROBES);
    bool ok = iscsi_set_isid_random(context, self->isid, 0) == 0 &&
              iscsi_set_targetname(context, url->target) == 0 &&
              iscsi_set_session_type(context, ISCSI_SESSION_NORMAL) == 0 &&
              iscsi_set_header_digest(context, ISCSI_HEADER_DIGEST_CRC32C_NONE) == 0;
    if (ok && url->user[0] != 0)
        ok = iscsi_set_initiator_username_pwd(context, url->user, url->passwd) == 0;
    if (ok && url->target_user[0] != 0)
        ok = iscsi_set_target_username_pwd(context, url->target_user, url->target_passwd) == 0;
    return ok || fail_setup(self, "set up the session", err);
}

/* No TEST UNIT READY here, as libiscsi's full connect does it: a unit attention is for the caller.
 */
static bool
log_in(struct iscsi_link *self, const struct iscsi_url *url, struct varve_error *err)
{
    self->lun = url->lun;
    self->done = false;
    if (iscsi_connect_async(self->context, url->portal, note_done, self) != 0)
        return fail_setup(self, "connect", err);
    if (serve_guarded(self, LOGIN_MS, err) != PORT_ANSWERED)
        return varve_error_wrap(err, "connect to %s", url->portal);
    self->done = false;
    if (iscsi_login_async(self->context, note_done, self) != 0)
        return fail_setup(self, "log in", err);
    if (serve_guarded(self, LOGIN_MS, err) != PORT_ANSWERED)
        return varve_error_wrap(err, "log in to target '%s'", url->target);
    if (self->status != (int)SCSI_STATUS_GOOD)
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                               "log in to target '%s': sent elsewhere", url->target);
    (void)iscsi_set_tcp_keepalive(self->context, TCP_IDLE_SECONDS, TCP_PROBES, TCP_PROBE_SECONDS);
    return true;
}

static bool
iscsi_link_up(void *link, struct varve_error *err)
{
    struct iscsi_link *self = link;
    self->context = iscsi_create_context(self->initiator);
    if (self->context == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "iSCSI session");
    struct iscsi_url *url = iscsi_parse_full_url(self->context, self->url);
    bool ok = url != NULL ? configure(self, url, err) && log_in(self, url, err)
                          : fail_setup(self, "URL", err);
    if (url != NULL)
        iscsi_destroy_url(url);
    if (!ok)
        iscsi_drop(self);
    return ok;
}

/* In order, so that the target need not find out that we are gone. */
static void
iscsi_link_down(void *link)
{
    struct iscsi_link *self = link;
    struct varve_error ignored = {0}; /* it is gone either way */
    self->done = false;
    if (self->context != NULL && iscsi_is_up(self) &&
        iscsi_logout_async(self->context, note_done, self) == 0)
        (void)serve_guarded(self, LOGOUT_MS, &ignored);
    iscsi_drop(self);
}

/* What is read from discs goes straight to the caller's buffer; of all else the exact number of
 * bytes that came counts more than a copy of some kilobytes: targets promise more than they send
 * (tgt, reference 4.1a). */
static bool
reads_in_place(const struct varve_scsi_command *command)
{
    return command->cdb[0] == 0x28 || command->cdb[0] == 0xa8 ||
           command->data_bytes > COPIED_BYTES_MAX;
}

static struct scsi_task *
make_task(struct varve_scsi_command *command)
{
    static const int directions[] = {[VARVE_SCSI_NO_DATA] = SCSI_XFER_NONE,
                                     [VARVE_SCSI_FROM_DEVICE] = SCSI_XFER_READ,
                                     [VARVE_SCSI_TO_DEVICE] = SCSI_XFER_WRITE};
    bool moves = command->data_bytes > 0 && command->direction != VARVE_SCSI_NO_DATA;
    struct scsi_task *task = scsi_create_task(
        command->cdb_bytes, command->cdb, moves ? directions[command->direction] : SCSI_XFER_NONE,
        moves ? (int)command->data_bytes : 0);
    if (task == NULL || !moves || command->direction != VARVE_SCSI_FROM_DEVICE ||
        !reads_in_place(command))
        return task;
    if (scsi_task_add_data_in_buffer(task, (int)command->data_bytes, command->data) == 0)
        return task;
    scsi_free_scsi_task(task);
    return NULL;
}

static void
take_sense(const struct scsi_task *task, struct varve_scsi_command *command)
{
    /* Sense follows a length of two bytes (RFC 7143 11.4.7.2). */
    if (task->datain.data == NULL || task->datain.size < 2)
        return;
    size_t size = (size_t)task->datain.data[0] << 8 | task->datain.data[1];
    size_t left = (size_t)task->datain.size - 2;
    size = size < left ? size : left;
    if (size > sizeof command->sense)
        size = sizeof command->sense;
    memcpy(command->sense, task->datain.data + 2, size);
    command->sense_bytes = (uint8_t)size;
}

static void
take_data(const struct scsi_task *task, struct varve_scsi_command *command)
{
    uint32_t wanted = command->data_bytes;
    if (command->direction != VARVE_SCSI_FROM_DEVICE || wanted == 0)
        return;
    if (reads_in_place(command)) {
        bool under = task->residual_status == SCSI_RESIDUAL_UNDERFLOW;
        size_t missing = under ? task->residual : 0;
        command->received_bytes = missing < wanted ? wanted - (uint32_t)missing : 0;
        return;
    }
    if (task->status == (int)SCSI_STATUS_CHECK_CONDITION || task->datain.data == NULL)
        return; /* then `datain` is the sense data */
    uint32_t came = task->datain.size > 0 ? (uint32_t)task->datain.size : 0;
    command->received_bytes = came < wanted ? came : wanted;
    memcpy(command->data, task->datain.data, command->received_bytes);
}

static enum port_answer
iscsi_execute(void *link, struct varve_scsi_command *command, struct varve_error *err)
{
    struct iscsi_link *self = link;
    struct scsi_task *task = make_task(command);
    if (task == NULL) {
        (void)varve_error_set(err, VARVE_ERROR_NOMEM, 0, "iSCSI command");
        return PORT_TIMED_OUT;
    }
    struct iscsi_data out = {.data = command->data, .size = command->data_bytes};
    bool sends = command->direction == VARVE_SCSI_TO_DEVICE && command->data_bytes > 0;
    enum port_answer answer = PORT_GONE;
    self->done = false;
    if (iscsi_scsi_command_async(self->context, self->lun, task, note_done, sends ? &out : NULL,
                                 self) != 0)
        (void)varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "send the command: %s",
                              iscsi_get_error(self->context));
    else
        answer = serve_guarded(self, command->timeout_ms, err);
    if (answer == PORT_ANSWERED) {
        command->status = (uint8_t)self->status;
        if (self->status == (int)SCSI_STATUS_CHECK_CONDITION)
            take_sense(task, command);
        take_data(task, command);
    } else if (!self->done) {
        (void)iscsi_scsi_cancel_task(self->context, task); /* it points to the caller's buffer */
    }
    scsi_free_scsi_task(task);
    return answer;
}

static void
iscsi_free_link(void *link)
{
    struct iscsi_link *self = link;
    iscsi_drop(self);
    free(self->url);
    free(self);
}

const struct port_link_ops port_iscsi_ops = {
    .connect = iscsi_link_up,
    .disconnect = iscsi_link_down,
    .is_alive = iscsi_is_up,
    .execute = iscsi_execute,
    .free = iscsi_free_link,
    .forgets_on_timeout = true,
};

/* The name that the administrator gave this host, which access lists of targets know; else one made
 * of the host's name. */
static void
choose_initiator(char ret[NAME_BYTES])
{
    static const char key[] = "InitiatorName=";
    struct varve_error ignored = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    char host[65] = "";
    (void)gethostname(host, sizeof host - 1);
    for (char *at = host; *at != 0; at++) {
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", *at) != NULL)
            *at = (char)(*at + ('a' - 'A'));
        else if (strchr("abcdefghijklmnopqrstuvwxyz0123456789.-", *at) == NULL)
            *at = '-';
    }
    (void)snprintf(ret, NAME_BYTES, "iqn.2026-01.org.varve:%s", host[0] != 0 ? host : "host");
    if (!varve_file_read("/etc/iscsi/initiatorname.iscsi", 65536, &text, &ignored))
        return;
    const char *line = varve_buffer_string(&text);
    while (line != NULL && strncmp(line, key, strlen(key)) != 0) {
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    if (line == NULL)
        return;
    line += strlen(key);
    size_t size = strcspn(line, " \t\r\n");
    if (size > 0 && size < NAME_BYTES)
        (void)snprintf(ret, NAME_BYTES, "%.*s", (int)size, line);
}

bool
port_iscsi_new(const char *url, void **ret, struct varve_error *err)
{
    struct iscsi_link *self = calloc(1, sizeof *self);
    if (self == NULL || (self->url = strdup(url)) == NULL) {
        free(self);
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "iSCSI session");
    }
    choose_initiator(self->initiator);
    varve_random_system()->fill(varve_random_system(), &self->isid, sizeof self->isid);
    self->isid &= 0xffffff;
    *ret = self;
    return true;
}
