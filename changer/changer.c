/* SPDX-License-Identifier: Apache-2.0 */
#include "changer.h"

#include <assert.h>
#include <string.h>

#define STATUS_BYTES 65536u
#define CHUNK 255u        /* elements asked for at once */
#define AGREE_MAX 6u      /* readings until two agree */
#define MOVE_TRIES 3u     /* of a move that provably did not happen */
#define READY_SECONDS 900 /* inventory after power-on */

void
varve_smc_list_done(struct varve_smc_list *list)
{
    free(list->elements);
    *list = (struct varve_smc_list){0};
}

static void
list_cleanup(struct varve_smc_list *list)
{
    varve_smc_list_done(list);
}

static bool
wait_ready(struct varve_changer *changer, struct varve_error *err)
{
    struct varve_scsi_command command;
    varve_smc_encode_test_unit_ready(&command);
    return varve_scsi_run(&changer->device, &command, err);
}

/* The unit may want to count its discs once (02/04/02); that takes up to an hour. */
static bool
make_ready(struct varve_changer *changer, struct varve_error *err)
{
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    struct varve_error first = {0};
    if (wait_ready(changer, &first))
        return true;
    varve_smc_encode_test_unit_ready(&command);
    if (!varve_scsi_once(&changer->device, &command, &sense, err))
        return false;
    if (varve_scsi_is_good(&command, &sense))
        return true;
    if (!varve_scsi_is(&sense, 2, 0x04, 0x02)) {
        *err = first;
        return false;
    }
    varve_smc_encode_initialize(&command);
    return varve_scsi_run(&changer->device, &command, err) && wait_ready(changer, err);
}

static bool
read_assignment(struct varve_changer *changer, struct varve_error *err)
{
    uint8_t data[252];
    struct varve_scsi_command command;
    varve_smc_encode_mode_sense(&command, 0x1d, true, data, sizeof data);
    struct varve_error first = {0};
    if (!varve_scsi_run(&changer->device, &command, &first)) {
        if (first.kind != VARVE_ERROR_INVALID) {
            *err = first;
            return false;
        }
        /* Some units refuse the bit that leaves block descriptors out. */
        varve_smc_encode_mode_sense(&command, 0x1d, false, data, sizeof data);
        if (!varve_scsi_run(&changer->device, &command, err))
            return false;
    }
    return varve_smc_decode_assignment(data, command.received_bytes, &changer->map, err);
}

bool
varve_changer_init(struct varve_changer *changer, const struct varve_library_ports *ports,
                   const struct varve_move_journal *journal, struct varve_clock *clock,
                   struct varve_error *err)
{
    *changer = (struct varve_changer){
        .device = {.port = ports->changer,
                   .clock = clock,
                   .ready_ns = READY_SECONDS * VARVE_NS_PER_SECOND,
                   .attention = true}, /* never read yet */
        .journal = *journal,
    };
    (void)snprintf(changer->name, sizeof changer->name, "%s", ports->name);
    changer->buffer = malloc(STATUS_BYTES);
    if (changer->buffer == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "new changer");
    if (!make_ready(changer, err) || !read_assignment(changer, err))
        return varve_error_wrap(err, "changer");
    return true;
}

void
varve_changer_done(struct varve_changer *changer)
{
    free(changer->buffer);
    changer->buffer = NULL;
}

bool
varve_changer_poll(struct varve_changer *changer, bool *ret_changed, struct varve_error *err)
{
    if (!wait_ready(changer, err))
        return false;
    *ret_changed = changer->device.attention;
    return true;
}

/* What a unit refuses as an invalid field is left out from then on: first the identifiers, then
 * "from memory", at last the bar codes. Other errors are no sign of a missing feature. */
static bool
drop_option(struct varve_changer *changer, const struct varve_smc_status_request *request)
{
    bool *option = request->dvcid     ? &changer->no_dvcid
                   : request->curdata ? &changer->no_curdata
                   : request->voltag  ? &changer->no_voltag
                                      : NULL;
    if (option == NULL)
        return false;
    *option = true;
    return true;
}

static bool
read_status(struct varve_changer *changer, struct varve_smc_status_request *request,
            uint32_t *ret_bytes, struct varve_error *err)
{
    for (;;) {
        request->dvcid = request->type == VARVE_ELEMENT_DRIVE && !changer->no_dvcid;
        request->curdata = !changer->no_curdata;
        request->voltag = !changer->no_voltag;
        struct varve_scsi_command command;
        varve_smc_encode_read_status(&command, request, changer->buffer, STATUS_BYTES);
        struct varve_error failed = {0};
        if (varve_scsi_run(&changer->device, &command, &failed)) {
            *ret_bytes = command.received_bytes;
            return true;
        }
        struct varve_scsi_sense sense;
        varve_scsi_sense_decode(command.sense, command.sense_bytes, &sense);
        if (!varve_scsi_is(&sense, 5, 0x24, 0x00) || !drop_option(changer, request)) {
            *err = failed;
            return false;
        }
    }
}

static int
compare_elements(const void *a, const void *b)
{
    const struct varve_element *x = &((const struct varve_smc_element *)a)->element;
    const struct varve_element *y = &((const struct varve_smc_element *)b)->element;
    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    return (x->address > y->address) - (x->address < y->address);
}

/* Elements of one type whose address the mode page knows and that come at or after `start`, added
 * behind list->count (room for the whole type is there). Returns the address to go on from, or -1
 * when no more come. */
static int32_t
accept_chunk(const struct varve_smc_range *range, int32_t start,
             const struct varve_smc_element *from, size_t count, struct varve_smc_list *list)
{
    int32_t last = -1;
    size_t room = (size_t)(range->first + range->count - start);
    for (size_t i = 0; i < count && room > 0; i++) {
        int32_t address = from[i].element.address;
        /* Descending, repeated or foreign addresses are seen in the field: skip them. */
        if (address < start || address <= last || address >= range->first + range->count)
            continue;
        list->elements[list->count++] = from[i];
        last = address;
        room--;
    }
    return last < 0 ? -1 : last + 1;
}

/* The next address to read from after the answer in the buffer, or -1 at the end. */
static int32_t
take_answer(struct varve_changer *changer, enum varve_element_type type, int32_t start,
            uint32_t bytes, struct varve_smc_list *list)
{
    size_t max = STATUS_BYTES / 12;
    VARVE_CLEANUP_FREE struct varve_smc_element *fresh = calloc(max, sizeof *fresh);
    if (fresh == NULL)
        return -2;
    int32_t cut;
    size_t count = varve_smc_decode_elements(changer->buffer, bytes, type, fresh, max, &cut);
    int32_t next = accept_chunk(&changer->map.of[type], start, fresh, count, list);
    if (next >= 0 || cut < start)
        return next; /* what was cut comes next, since `next` follows the last whole one */
    /* Cut even as the first of an answer: it is there, only its label stays unknown. */
    return accept_chunk(&changer->map.of[type], start, fresh + count, 1, list);
}

static bool
read_type(struct varve_changer *changer, enum varve_element_type type, struct varve_smc_list *list,
          struct varve_error *err)
{
    const struct varve_smc_range *range = &changer->map.of[type];
    int32_t end = range->first + range->count;
    int32_t at = range->first;
    while (at < end) {
        int32_t left = end - at;
        struct varve_smc_status_request request = {
            .type = type,
            .start = (uint16_t)at,
            .count = (uint16_t)(left < (int32_t)CHUNK ? left : (int32_t)CHUNK),
        };
        uint32_t bytes;
        if (!read_status(changer, &request, &bytes, err))
            return varve_error_wrap(err, "elements of type %u from %d", type, at);
        int32_t next = take_answer(changer, type, at, bytes, list);
        if (next == -2)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read elements");
        if (next < 0)
            return true; /* fewer than the mode page says: the rest is not fitted */
        at = next;
    }
    return true;
}

static bool
read_all(struct varve_changer *changer, struct varve_smc_list *ret, struct varve_error *err)
{
    size_t total = 0;
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++)
        total += changer->map.of[type].count;
    __attribute__((cleanup(list_cleanup))) struct varve_smc_list list = {
        .elements = calloc(total + 1, sizeof *list.elements)};
    if (list.elements == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read %zu elements", total);
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++) {
        if (!read_type(changer, (enum varve_element_type)type, &list, err))
            return false;
    }
    qsort(list.elements, list.count, sizeof *list.elements, compare_elements);
    *ret = list;
    list = (struct varve_smc_list){0};
    return true;
}

static bool
lists_agree(const struct varve_smc_list *a, const struct varve_smc_list *b)
{
    if (a->elements == NULL || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct varve_element *x = &a->elements[i].element;
        const struct varve_element *y = &b->elements[i].element;
        if (x->type != y->type || x->address != y->address || x->full != y->full ||
            !varve_barcode_equal(&x->barcode, &y->barcode))
            return false;
    }
    return true;
}

bool
varve_changer_inventory(struct varve_changer *changer, struct varve_smc_list *ret,
                        struct varve_error *err)
{
    __attribute__((cleanup(list_cleanup))) struct varve_smc_list before = {0};
    bool doubtful = changer->device.attention;
    for (unsigned reading = 0; reading < AGREE_MAX; reading++) {
        struct varve_smc_list now = {0};
        changer->device.attention = false;
        if (!read_all(changer, &now, err)) {
            changer->device.attention = true; /* still not known */
            return varve_error_wrap(err, "read the inventory");
        }
        doubtful = doubtful || changer->device.attention;
        if (!changer->device.attention && (!doubtful || lists_agree(&before, &now))) {
            varve_smc_list_done(ret);
            *ret = now;
            return true;
        }
        varve_smc_list_done(&before);
        before = now;
    }
    changer->device.attention = true;
    return varve_error_set(err, VARVE_ERROR_NOT_READY, 0,
                           "read the inventory: %u readings in a row differ", AGREE_MAX);
}

/* One element anew, or *ret_found false if the unit does not report it. */
static bool
read_element(struct varve_changer *changer, uint16_t address, struct varve_smc_element *ret,
             struct varve_error *err)
{
    struct varve_smc_status_request request = {.start = address, .count = 1};
    if (!varve_smc_type_of(&changer->map, address, &request.type))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "no element has address %u", address);
    uint32_t bytes;
    if (!read_status(changer, &request, &bytes, err))
        return varve_error_wrap(err, "element %u", address);
    struct varve_smc_element found[CHUNK];
    int32_t cut;
    size_t count =
        varve_smc_decode_elements(changer->buffer, bytes, request.type, found, CHUNK, &cut);
    for (size_t i = 0; i < count; i++) {
        if (found[i].element.address == address) {
            *ret = found[i];
            return true;
        }
    }
    return varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                           "READ ELEMENT STATUS: element %u is not in the answer", address);
}

static bool
read_ends(struct varve_changer *changer, const struct varve_changer_move *move,
          struct varve_changer_ends *ret, struct varve_error *err)
{
    struct varve_changer_ends ends = {.known = true};
    if (!wait_ready(changer, err) || !read_element(changer, move->from, &ends.from, err) ||
        !read_element(changer, move->to, &ends.to, err))
        return false;
    *ret = ends;
    return true;
}

/* Once more after a nap: a unit that failed a moment ago may well answer now, and not to know where
 * a disc is costs a whole inventory. */
static bool
read_ends_patiently(struct varve_changer *changer, const struct varve_changer_move *move,
                    struct varve_changer_ends *ret, struct varve_error *err)
{
    struct varve_error first = {0};
    if (read_ends(changer, move, ret, &first))
        return true;
    varve_clock_sleep(changer->device.clock, VARVE_NS_PER_SECOND);
    if (read_ends(changer, move, ret, err))
        return true;
    changer->device.attention = true; /* the next operation reads the whole inventory */
    return false;
}

static bool
may_be(const struct varve_smc_element *at, const struct varve_barcode *barcode)
{
    return at->element.full && (barcode->text[0] == 0 || at->element.barcode.text[0] == 0 ||
                                varve_barcode_equal(&at->element.barcode, barcode));
}

static bool
has_arrived(const struct varve_changer_ends *ends, const struct varve_changer_move *move)
{
    return !ends->from.element.full && may_be(&ends->to, &move->barcode);
}

static bool
gripper_holds(struct varve_changer *changer, struct varve_smc_element *ret)
{
    const struct varve_smc_range *hand = &changer->map.of[VARVE_ELEMENT_TRANSPORT];
    struct varve_error ignored = {0}; /* a unit that does not report its hand has an empty one */
    for (unsigned i = 0; i < hand->count; i++) {
        if (read_element(changer, (uint16_t)(hand->first + i), ret, &ignored) && ret->element.full)
            return true;
    }
    return false;
}

static uint16_t
transport_of(const struct varve_changer *changer)
{
    return changer->map.of[VARVE_ELEMENT_TRANSPORT].first;
}

/* A disc in the hand is worse than one where it was: it blocks every other move. */
static void
put_back(struct varve_changer *changer, const struct varve_changer_move *move,
         struct varve_changer_ends *ends, struct varve_error *err)
{
    struct varve_smc_element hand;
    if (!gripper_holds(changer, &hand)) {
        varve_error_hint(err, "disc '%s' is neither in element %u nor in %u: look for it",
                         move->barcode.text, move->from, move->to);
        return;
    }
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    struct varve_error undo = {0};
    varve_smc_encode_move(&command, transport_of(changer), hand.element.address, move->from);
    bool answered = varve_scsi_once(&changer->device, &command, &sense, &undo);
    if (read_ends_patiently(changer, move, ends, &undo) && may_be(&ends->from, &move->barcode))
        return;
    if (answered && !varve_scsi_is_good(&command, &sense))
        (void)varve_scsi_fail(&command, &sense, &undo);
    changer->device.attention = true;
    varve_error_hint(err, "disc '%s' hangs in the gripper (element %u): %s", move->barcode.text,
                     hand.element.address, undo.text);
}

/* Worth another try once it is known that nothing moved: the command was not run, or the mechanics
 * slipped. */
static bool
is_worth_retry(const struct varve_scsi_command *command, const struct varve_scsi_sense *sense,
               bool answered)
{
    if (!answered)
        return false;
    return varve_scsi_is_busy(command, sense) || (sense->valid && sense->key == 0x06) ||
           (sense->valid && sense->key == 0x0b) || varve_scsi_is(sense, 4, 0x15, 0x01) ||
           varve_scsi_is(sense, 4, 0x3b, 0x16);
}

enum attempt { ATTEMPT_MOVED, ATTEMPT_STAYED, ATTEMPT_AGAIN, ATTEMPT_UNKNOWN };

static enum attempt
attempt_move(struct varve_changer *changer, const struct varve_changer_move *move,
             struct varve_changer_ends *ret, struct varve_error *err)
{
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    varve_smc_encode_move(&command, transport_of(changer), move->from, move->to);
    struct varve_error failed = {0};
    bool answered = varve_scsi_once(&changer->device, &command, &sense, &failed);
    bool good = answered && varve_scsi_is_good(&command, &sense);
    if (answered && !good)
        (void)varve_scsi_fail(&command, &sense, &failed);

    /* A time-out or an error says little about the disc: the elements say it all. */
    struct varve_error unread = {0};
    if (!read_ends_patiently(changer, move, ret, &unread)) {
        *err = good ? unread : failed;
        varve_error_hint(err, "disc '%s' is in element %u or %u, which could not be read",
                         move->barcode.text, move->from, move->to);
        return ATTEMPT_UNKNOWN;
    }
    if (has_arrived(ret, move))
        return ATTEMPT_MOVED;
    if (good)
        (void)varve_error_set(&failed, VARVE_ERROR_HARDWARE, 0,
                              "MOVE MEDIUM: reported good, but element %u is %s and %u holds '%s'",
                              move->from, ret->from.element.full ? "full" : "empty", move->to,
                              ret->to.element.barcode.text);
    *err = failed;
    if (!ret->from.element.full)
        put_back(changer, move, ret, err);
    else if (is_worth_retry(&command, &sense, answered))
        return ATTEMPT_AGAIN;
    return ATTEMPT_STAYED;
}

static enum attempt
move_with_retries(struct varve_changer *changer, const struct varve_changer_move *move,
                  struct varve_changer_ends *ret, struct varve_error *err)
{
    enum attempt outcome = ATTEMPT_AGAIN;
    for (unsigned tries = 0; tries < MOVE_TRIES && outcome == ATTEMPT_AGAIN; tries++) {
        if (tries > 0) {
            changer->device.retries++;
            varve_clock_sleep(changer->device.clock, VARVE_NS_PER_SECOND);
        }
        outcome = attempt_move(changer, move, ret, err);
    }
    return outcome;
}

bool
varve_changer_move(struct varve_changer *changer, const struct varve_changer_move *move,
                   struct varve_changer_ends *ret, struct varve_error *err)
{
    *ret = (struct varve_changer_ends){0};
    uint64_t id;
    if (!changer->journal.intend(changer->journal.context, changer->name, &move->barcode,
                                 move->from, move->to, &id, err))
        return varve_error_wrap(err, "journal the move of disc '%s'", move->barcode.text);

    struct varve_error failed = {0};
    enum attempt outcome = move_with_retries(changer, move, ret, &failed);
    bool moved = outcome == ATTEMPT_MOVED;
    /* While nobody knows where the disc is, the journal entry stays open: the next start compares
     * it with the inventory. */
    struct varve_error undone = {0};
    bool settled =
        outcome == ATTEMPT_UNKNOWN || changer->journal.done(changer->journal.context, id, &undone);
    if (moved && settled)
        return true;
    *err = moved ? undone : failed;
    return varve_error_wrap(err, "move disc '%s' from element %u to %u%s", move->barcode.text,
                            move->from, move->to, moved ? " (it arrived): journal" : "");
}
