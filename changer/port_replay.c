/* SPDX-License-Identifier: Apache-2.0 */
/* Replay: the recorded answers to the recorded commands, and to nothing else. */
#include "port_trace.h"

#include <inttypes.h>
#include <string.h>
#include <varve/checksum.h>
#include <varve/file.h>
#include <varve/grow.h>

#define FILE_BYTES_MAX (UINT64_C(1) << 30)
#define NAME_BYTES 101

struct replay_device {
    char name[NAME_BYTES];
    struct trace_exchange *exchanges;
    size_t count, capacity, next;
    bool failed;
    struct varve_error failure;
};

struct varve_replay {
    char *path;
    struct varve_buffer text;
    struct replay_device *devices;
    unsigned count;
};

struct replay_port {
    struct varve_scsi_port port;
    struct varve_replay *replay;
    struct replay_device *device;
};

/* --- lines --- */

struct words {
    const char *at;
    size_t left;
};

static bool
take_word(struct words *words, const char **ret, size_t *ret_size)
{
    while (words->left > 0 && words->at[0] == ' ') {
        words->at++;
        words->left--;
    }
    size_t size = 0;
    while (size < words->left && words->at[size] != ' ')
        size++;
    *ret = words->at;
    *ret_size = size;
    words->at += size;
    words->left -= size;
    return size > 0;
}

static int
digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c != 0 ? strchr(digits, c) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

static bool
get_number(const char *text, size_t size, unsigned base, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0 || digit >= (int)base || value > max)
            return false;
        value = value * base + (unsigned)digit;
    }
    *ret = value;
    return size > 0 && size <= 20 && value <= max;
}

static bool
take_number(struct words *words, unsigned base, uint64_t max, uint64_t *ret)
{
    const char *word;
    size_t size;
    return take_word(words, &word, &size) && get_number(word, size, base, max, ret);
}

static bool
get_hex(const char *text, size_t size, uint8_t *ret, size_t max, size_t *ret_size)
{
    if (size % 2 != 0 || size / 2 > max)
        return false;
    for (size_t i = 0; i < size / 2; i++) {
        int high = digit_of(text[2 * i]);
        int low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    *ret_size = size / 2;
    return true;
}

static bool
get_token(const char *text, size_t size, uint8_t *ret, size_t max, size_t *ret_size)
{
    const char *star = memchr(text, '*', size);
    uint64_t count;
    size_t one;
    if (star == NULL)
        return get_hex(text, size, ret, max, ret_size);
    size_t head = (size_t)(star - text);
    uint8_t byte;
    if (head != 2 || !get_hex(text, 2, &byte, 1, &one) ||
        !get_number(star + 1, size - head - 1, 10, max, &count))
        return false;
    memset(ret, byte, count);
    *ret_size = count;
    return true;
}

bool
trace_get_data(const char *text, size_t size, uint8_t *ret, size_t max, size_t *ret_size)
{
    struct words words = {text, size};
    const char *word;
    size_t length;
    size_t used = 0;
    while (take_word(&words, &word, &length)) {
        size_t more;
        if (!get_token(word, length, ret + used, max - used, &more))
            return false;
        used += more;
    }
    *ret_size = used;
    return true;
}

static bool
is_word(const char *word, size_t size, const char *wanted)
{
    return size == strlen(wanted) && memcmp(word, wanted, size) == 0;
}

bool
trace_parse_command(const char *line, size_t size, struct trace_exchange *ret)
{
    struct words words = {line + 1, size - 1};
    struct trace_exchange made = {0};
    uint64_t device, bytes = 0, crc = 0;
    const char *word;
    size_t length, cdb;
    if (!take_number(&words, 10, TRACE_DEVICES_MAX - 1, &device) ||
        !take_word(&words, &word, &length) ||
        !get_hex(word, length, made.command.cdb, sizeof made.command.cdb, &cdb) || cdb == 0 ||
        !take_word(&words, &word, &length))
        return false;
    bool in = is_word(word, length, "in"), out = is_word(word, length, "out");
    if (!in && !out && !is_word(word, length, "none"))
        return false;
    if ((in || out) && !take_number(&words, 10, TRACE_DATA_MAX, &bytes))
        return false;
    if (out && !take_number(&words, 16, UINT32_MAX, &crc))
        return false;
    if (take_word(&words, &word, &length))
        return false;
    made.device = (unsigned)device;
    made.command.cdb_bytes = (uint8_t)cdb;
    made.command.direction = in    ? VARVE_SCSI_FROM_DEVICE
                             : out ? VARVE_SCSI_TO_DEVICE
                                   : VARVE_SCSI_NO_DATA;
    made.command.data_bytes = (uint32_t)bytes;
    made.out_crc = (uint32_t)crc;
    *ret = made;
    return true;
}

static bool
parse_silence(struct words *words, struct trace_exchange *ret)
{
    const char *word;
    size_t length;
    if (!take_word(words, &word, &length))
        return false;
    ret->timed_out = is_word(word, length, "not_ready");
    return (ret->timed_out || is_word(word, length, "hardware")) &&
           !take_word(words, &word, &length);
}

/* `ret` is an exchange without its answer; checks that its data decodes. */
bool
trace_parse_answer(const char *line, size_t size, struct trace_exchange *ret)
{
    struct words words = {line + 1, size - 1};
    uint64_t device, status, bytes;
    const char *word;
    size_t length, sense = 0;
    if (!take_number(&words, 10, TRACE_DEVICES_MAX - 1, &device))
        return false;
    ret->device = (unsigned)device;
    if (line[0] == '!')
        return parse_silence(&words, ret);
    if (!take_number(&words, 16, 255, &status) || !take_word(&words, &word, &length))
        return false;
    if (!is_word(word, length, "-") &&
        !get_hex(word, length, ret->command.sense, sizeof ret->command.sense, &sense))
        return false;
    struct words data = words;
    if (!take_word(&words, &word, &length))
        return false;
    ret->answered = true;
    ret->command.status = (uint8_t)status;
    ret->command.sense_bytes = (uint8_t)sense;
    ret->withheld = is_word(word, length, "=");
    if (ret->withheld)
        return take_number(&words, 10, TRACE_DATA_MAX, &bytes) &&
               take_number(&words, 16, UINT32_MAX, &bytes) && !take_word(&words, &word, &length);
    if (is_word(word, length, "-"))
        return !take_word(&words, &word, &length);
    ret->data = data.at;
    ret->data_size = data.left;
    return true;
}

/* --- the file --- */

static bool
fail_line(const struct varve_replay *replay, unsigned line, const char *what,
          struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "trace '%s', line %u: %s", replay->path,
                           line, what);
}

static bool
add_device(struct varve_replay *replay, unsigned number, const char *line, size_t size,
           struct varve_error *err)
{
    struct words words = {line + strlen("device"), size - strlen("device")};
    uint64_t device;
    if (!take_number(&words, 10, TRACE_DEVICES_MAX - 1, &device) || device != replay->count)
        return fail_line(replay, number, "devices are not numbered 0, 1, ...", err);
    struct replay_device *made = &replay->devices[replay->count++];
    size_t skip = words.left > 0 ? 1 : 0;
    size_t length = words.left - skip < NAME_BYTES ? words.left - skip : NAME_BYTES - 1;
    (void)snprintf(made->name, sizeof made->name, "%.*s", (int)length, words.at + skip);
    return true;
}

static bool
add_command(struct varve_replay *replay, unsigned number, const char *line, size_t size,
            struct varve_error *err)
{
    struct trace_exchange fresh;
    if (!trace_parse_command(line, size, &fresh) || fresh.device >= replay->count)
        return fail_line(replay, number, "no command", err);
    struct replay_device *device = &replay->devices[fresh.device];
    struct trace_exchange *grown =
        varve_grow(device->exchanges, &device->capacity, device->count, sizeof *grown);
    if (grown == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read trace '%s'", replay->path);
    device->exchanges = grown;
    fresh.line = number;
    grown[device->count++] = fresh;
    return true;
}

static bool
add_answer(struct varve_replay *replay, unsigned number, const char *line, size_t size,
           struct varve_error *err)
{
    struct trace_exchange fresh = {0};
    if (!trace_parse_answer(line, size, &fresh) || fresh.device >= replay->count)
        return fail_line(replay, number, "no answer", err);
    struct replay_device *device = &replay->devices[fresh.device];
    struct trace_exchange *last = device->count > 0 ? &device->exchanges[device->count - 1] : NULL;
    if (last == NULL || last->answer_line != 0)
        return fail_line(replay, number, "an answer without its command", err);
    VARVE_CLEANUP_FREE uint8_t *scratch = malloc(last->command.data_bytes + 1);
    size_t length;
    if (scratch == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read trace '%s'", replay->path);
    if (fresh.data != NULL &&
        !trace_get_data(fresh.data, fresh.data_size, scratch, last->command.data_bytes, &length))
        return fail_line(replay, number, "data that is none, or more than was asked for", err);
    struct varve_scsi_command command = last->command;
    command.status = fresh.command.status;
    command.sense_bytes = fresh.command.sense_bytes;
    memcpy(command.sense, fresh.command.sense, sizeof command.sense);
    fresh.command = command;
    fresh.line = last->line;
    fresh.out_crc = last->out_crc;
    fresh.answer_line = number;
    *last = fresh;
    return true;
}

static bool
add_line(struct varve_replay *replay, unsigned number, const char *line, size_t size,
         struct varve_error *err)
{
    if (number == 1)
        return is_word(line, size, TRACE_HEADER) ||
               fail_line(replay, number, "this is no trace of varve", err);
    if (size == 0 || line[0] == '#')
        return true;
    if (line[0] == '>')
        return add_command(replay, number, line, size, err);
    if (line[0] == '<' || line[0] == '!')
        return add_answer(replay, number, line, size, err);
    if (size > strlen("device") && memcmp(line, "device", strlen("device")) == 0 &&
        replay->count < TRACE_DEVICES_MAX)
        return add_device(replay, number, line, size, err);
    return fail_line(replay, number, "unknown line", err);
}

static bool
read_lines(struct varve_replay *replay, struct varve_error *err)
{
    const char *text = varve_buffer_string(&replay->text);
    size_t left = replay->text.size;
    unsigned number = 0;
    while (left > 0) {
        const char *end = memchr(text, '\n', left);
        if (end == NULL)
            return number > 0 || fail_line(replay, 1, "this is no trace of varve", err);
        size_t size = (size_t)(end - text); /* a last line that was cut off is left out */
        if (!add_line(replay, ++number, text, size, err))
            return false;
        text += size + 1;
        left -= size + 1;
    }
    return number > 0 || fail_line(replay, 1, "the file is empty", err);
}

bool
varve_replay_open(const char *path, struct varve_replay **ret, struct varve_error *err)
{
    VARVE_CLEANUP(varve_replay_free) struct varve_replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL || (replay->path = strdup(path)) == NULL ||
        (replay->devices = calloc(TRACE_DEVICES_MAX, sizeof *replay->devices)) == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read trace '%s'", path);
    if (!varve_file_read(path, FILE_BYTES_MAX, &replay->text, err) || !read_lines(replay, err))
        return false;
    *ret = VARVE_TAKE(replay);
    return true;
}

void
varve_replay_free(struct varve_replay *replay)
{
    if (replay == NULL)
        return;
    for (unsigned i = 0; i < replay->count; i++)
        free(replay->devices[i].exchanges);
    free(replay->devices);
    varve_buffer_done(&replay->text);
    free(replay->path);
    free(replay);
}

const char *
varve_replay_name(const struct varve_replay *replay, unsigned device)
{
    return device < replay->count ? replay->devices[device].name : NULL;
}

bool
varve_replay_is_done(const struct varve_replay *replay, struct varve_error *err)
{
    for (unsigned i = 0; i < replay->count; i++) {
        const struct replay_device *device = &replay->devices[i];
        if (device->next < device->count)
            return fail_line(replay, device->exchanges[device->next].line,
                             "this command was not sent", err);
    }
    return true;
}

/* --- ports --- */

static void
put_cdb(const struct varve_scsi_command *command, char *ret, size_t size)
{
    size_t used = 0;
    for (unsigned i = 0; i < command->cdb_bytes && used + 3 < size; i++)
        used += (size_t)snprintf(ret + used, size - used, "%02x", command->cdb[i]);
}

/* NULL: the command is the recorded one. */
static const char *
difference(const struct trace_exchange *recorded, const struct varve_scsi_command *command)
{
    const struct varve_scsi_command *was = &recorded->command;
    if (was->cdb_bytes != command->cdb_bytes ||
        memcmp(was->cdb, command->cdb, command->cdb_bytes) != 0)
        return "another command";
    uint32_t bytes = command->direction == VARVE_SCSI_NO_DATA ? 0 : command->data_bytes;
    if (was->direction != command->direction || was->data_bytes != bytes)
        return "another direction or length of data";
    if (command->direction == VARVE_SCSI_TO_DEVICE &&
        varve_crc32c(0, command->data, command->data_bytes) != recorded->out_crc)
        return "other data";
    return NULL;
}

static bool
fail_replay(struct replay_port *self, unsigned line, const struct varve_scsi_command *command,
            const char *what, struct varve_error *err)
{
    char cdb[2 * VARVE_SCSI_CDB_BYTES + 1] = "";
    put_cdb(command, cdb, sizeof cdb);
    (void)varve_error_set(&self->device->failure, VARVE_ERROR_INVALID, 0,
                          "trace '%s', line %u: %s: %s was sent to %s", self->replay->path, line,
                          what, cdb, self->device->name);
    self->device->failed = true;
    *err = self->device->failure;
    return false;
}

static bool
answer(struct replay_port *self, const struct trace_exchange *recorded,
       struct varve_scsi_command *command, struct varve_error *err)
{
    if (!recorded->answered)
        return varve_error_set(
            err, recorded->timed_out ? VARVE_ERROR_NOT_READY : VARVE_ERROR_HARDWARE, 0,
            "trace '%s', line %u: no answer, as recorded", self->replay->path, recorded->line);
    if (recorded->withheld)
        return fail_replay(self, recorded->answer_line, command,
                           "the data that was read from the disc is not in the trace", err);
    size_t received = 0;
    if (recorded->data != NULL && !trace_get_data(recorded->data, recorded->data_size,
                                                  command->data, command->data_bytes, &received))
        return fail_replay(self, recorded->answer_line, command, "unreadable data", err);
    command->status = recorded->command.status;
    command->sense_bytes = recorded->command.sense_bytes;
    memcpy(command->sense, recorded->command.sense, recorded->command.sense_bytes);
    command->received_bytes = (uint32_t)received;
    return true;
}

static bool
execute(struct varve_scsi_port *port, struct varve_scsi_command *command, struct varve_error *err)
{
    struct replay_port *self = (struct replay_port *)port;
    struct replay_device *device = self->device;
    if (device->failed) {
        *err = device->failure;
        return false;
    }
    if (device->next == device->count) {
        unsigned last = device->count > 0 ? device->exchanges[device->count - 1].line : 1;
        return fail_replay(self, last, command, "a command after the last one", err);
    }
    const struct trace_exchange *recorded = &device->exchanges[device->next];
    const char *differs = difference(recorded, command);
    if (differs != NULL)
        return fail_replay(self, recorded->line, command, differs, err);
    device->next++;
    return answer(self, recorded, command, err);
}

static void
close_port(struct varve_scsi_port *port)
{
    free(port);
}

bool
varve_replay_port(struct varve_replay *replay, unsigned device, struct varve_scsi_port **ret,
                  struct varve_error *err)
{
    if (device >= replay->count)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                               "trace '%s' has %u devices, and no device %u", replay->path,
                               replay->count, device);
    struct replay_port *self = calloc(1, sizeof *self);
    if (self == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "replay");
    self->port = (struct varve_scsi_port){.execute = execute, .close = close_port};
    self->replay = replay;
    self->device = &replay->devices[device];
    *ret = &self->port;
    return true;
}
