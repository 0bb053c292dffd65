/* SPDX-License-Identifier: Apache-2.0 */
/* Recording: a line before the command, a line after it. */
#include "port_trace.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <varve/checksum.h>

#define BYTES_MAX_DEFAULT (UINT64_C(256) << 20)
#define RUN_MIN 8u
#define NAME_MAX_BYTES 100

struct varve_trace {
    pthread_mutex_t lock; /* one line at a time */
    int fd;               /* -1: ended */
    bool with_data;
    uint64_t bytes, bytes_max;
    uint32_t key;
    unsigned devices;
    struct varve_clock *clock;
};

struct trace_port {
    struct varve_scsi_port port;
    struct varve_trace *trace;
    struct varve_scsi_port *inner;
    unsigned device;
};

void
trace_put_hex(struct varve_buffer *line, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char pair[2];
    for (size_t i = 0; i < size; i++) {
        pair[0] = digits[bytes[i] >> 4];
        pair[1] = digits[bytes[i] & 15];
        varve_buffer_append(line, pair, sizeof pair);
    }
}

static size_t
run_at(const uint8_t *bytes, size_t size)
{
    size_t run = 1;
    while (run < size && bytes[run] == bytes[0])
        run++;
    return run;
}

void
trace_put_data(struct varve_buffer *line, const uint8_t *bytes, size_t size)
{
    bool open = false; /* a token of hexadecimal bytes */
    if (size == 0)
        varve_buffer_text(line, " -");
    for (size_t i = 0; i < size;) {
        size_t run = run_at(bytes + i, size - i);
        if (run >= RUN_MIN) {
            varve_buffer_printf(line, " %02x*%zu", bytes[i], run);
            open = false;
        } else {
            if (!open)
                varve_buffer_text(line, " ");
            trace_put_hex(line, bytes + i, run);
            open = true;
        }
        i += run;
    }
}

/* Whole lines only; the end of the room or of the disk ends the trace, not the work. */
static void
put_line(struct varve_trace *trace, struct varve_buffer *line)
{
    struct varve_error ignored = {0};
    varve_buffer_text(line, "\n");
    if (!varve_buffer_ok(line, &ignored))
        return;
    VARVE_LOCKED(&trace->lock);
    if (trace->fd < 0)
        return;
    bool full = trace->bytes + line->size > trace->bytes_max;
    if (full) {
        varve_buffer_clear(line);
        varve_buffer_text(line, "# the trace ends here: it has reached its greatest size\n");
    }
    ssize_t put = write(trace->fd, line->data, line->size);
    trace->bytes += line->size;
    if (!full && put == (ssize_t)line->size)
        return;
    (void)close(trace->fd);
    trace->fd = -1;
}

static bool
is_medium_data(const struct varve_scsi_command *command)
{
    return command->cdb[0] == 0x28 || command->cdb[0] == 0xa8;
}

static void
put_command(struct trace_port *self, const struct varve_scsi_command *command)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer line = {0};
    varve_buffer_printf(&line, "> %u ", self->device);
    trace_put_hex(&line, command->cdb, command->cdb_bytes);
    switch (command->direction) {
    case VARVE_SCSI_NO_DATA:
        varve_buffer_text(&line, " none");
        break;
    case VARVE_SCSI_FROM_DEVICE:
        varve_buffer_printf(&line, " in %" PRIu32, command->data_bytes);
        break;
    case VARVE_SCSI_TO_DEVICE:
        varve_buffer_printf(&line, " out %" PRIu32 " %08" PRIx32, command->data_bytes,
                            varve_crc32c(0, command->data, command->data_bytes));
        break;
    }
    put_line(self->trace, &line);
}

static void
put_data(struct trace_port *self, const struct varve_scsi_command *command,
         struct varve_buffer *line)
{
    if (is_medium_data(command) && !self->trace->with_data && command->received_bytes > 0) {
        varve_buffer_printf(line, " = %" PRIu32 " %08" PRIx32, command->received_bytes,
                            varve_crc32c(0, command->data, command->received_bytes));
        return;
    }
    uint32_t size = command->received_bytes < command->data_bytes ? command->received_bytes
                                                                  : command->data_bytes;
    VARVE_CLEANUP_FREE uint8_t *copy = malloc(size + 1);
    if (copy == NULL) {
        line->failed = true;
        return;
    }
    if (size > 0)
        memcpy(copy, command->data, size);
    if (!is_medium_data(command))
        trace_mask(self->trace->key, command->cdb, copy, size);
    trace_put_data(line, copy, size);
}

static void
put_answer(struct trace_port *self, const struct varve_scsi_command *command)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer line = {0};
    varve_buffer_printf(&line, "< %u %02x ", self->device, command->status);
    trace_put_hex(&line, command->sense, command->sense_bytes);
    if (command->sense_bytes == 0)
        varve_buffer_text(&line, "-");
    put_data(self, command, &line);
    put_line(self->trace, &line);
}

static void
put_silence(struct trace_port *self, const struct varve_error *err, int64_t ns)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer line = {0};
    varve_buffer_printf(&line, "# after %" PRId64 " ms: %.*s\n", ns / VARVE_NS_PER_MS,
                        (int)strcspn(err->text, "\n"), err->text);
    varve_buffer_printf(&line, "! %u %s", self->device,
                        err->kind == VARVE_ERROR_NOT_READY ? "not_ready" : "hardware");
    put_line(self->trace, &line);
}

static bool
execute(struct varve_scsi_port *port, struct varve_scsi_command *command, struct varve_error *err)
{
    struct trace_port *self = (struct trace_port *)port;
    int64_t began = varve_clock_monotonic(self->trace->clock);
    put_command(self, command); /* before: it may be the last that anybody hears of us */
    bool answered = self->inner->execute(self->inner, command, err);
    if (answered)
        put_answer(self, command);
    else
        put_silence(self, err, varve_clock_monotonic(self->trace->clock) - began);
    return answered;
}

static void
close_port(struct varve_scsi_port *port)
{
    struct trace_port *self = (struct trace_port *)port;
    self->inner->close(self->inner);
    free(self);
}

bool
varve_trace_port(struct varve_trace *trace, const char *name, struct varve_scsi_port *inner,
                 struct varve_scsi_port **ret, struct varve_error *err)
{
    struct trace_port *self = calloc(1, sizeof *self);
    if (self == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "trace %s", name);
    {
        VARVE_LOCKED(&trace->lock);
        self->device = trace->devices;
        if (trace->devices < TRACE_DEVICES_MAX)
            trace->devices++;
    }
    if (self->device == TRACE_DEVICES_MAX) {
        free(self);
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "a trace has room for %u devices",
                               TRACE_DEVICES_MAX);
    }
    self->port = (struct varve_scsi_port){.execute = execute,
                                          .close = close_port,
                                          .transfer_max = inner->transfer_max,
                                          .settle_ms = inner->settle_ms};
    self->trace = trace;
    self->inner = inner;
    VARVE_CLEANUP_BUFFER struct varve_buffer line = {0};
    varve_buffer_printf(&line, "device %u %.*s", self->device, NAME_MAX_BYTES, name);
    put_line(trace, &line);
    *ret = &self->port;
    return true;
}

/* The trace before this one is worth keeping: it may be that of the crash. */
static bool
open_file(const char *path, int *ret, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer old = {0};
    varve_buffer_printf(&old, "%s.1", path);
    if (!varve_buffer_ok(&old, err))
        return false;
    if (rename(path, varve_buffer_string(&old)) != 0 && errno != ENOENT)
        return varve_error_system(err, errno, "rename '%s'", path);
    *ret = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    return *ret >= 0 || varve_error_system(err, errno, "make '%s'", path);
}

bool
varve_trace_new(const char *path, const struct varve_trace_options *options,
                struct varve_trace **ret, struct varve_error *err)
{
    struct varve_random *random = options->random != NULL ? options->random : varve_random_system();
    struct varve_trace *trace = calloc(1, sizeof *trace);
    if (trace == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "trace '%s'", path);
    if (!open_file(path, &trace->fd, err)) {
        free(trace);
        return varve_error_wrap(err, "trace");
    }
    (void)pthread_mutex_init(&trace->lock, NULL); /* cannot fail on Linux */
    random->fill(random, &trace->key, sizeof trace->key);
    trace->with_data = options->with_data;
    trace->bytes_max = options->bytes_max > 0 ? options->bytes_max : BYTES_MAX_DEFAULT;
    trace->clock = options->clock != NULL ? options->clock : varve_clock_system();
    VARVE_CLEANUP_BUFFER struct varve_buffer line = {0};
    varve_buffer_text(&line, TRACE_HEADER);
    put_line(trace, &line);
    *ret = trace;
    return true;
}

void
varve_trace_free(struct varve_trace *trace)
{
    if (trace == NULL)
        return;
    if (trace->fd >= 0)
        (void)close(trace->fd);
    (void)pthread_mutex_destroy(&trace->lock);
    free(trace);
}
