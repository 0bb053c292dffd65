/* SPDX-License-Identifier: Apache-2.0 */
/* Moves: announced first, looked at afterwards, never repeated on a guess. */
#include "changer.h"

#include <string.h>

#define MOVE_TRIES 3u       /* of a move that was provably not run */
#define SLIP_NAP_SECONDS 10 /* before the one retry of a move that missed its place */
#define SILENCE_SECONDS 600 /* how long a unit is asked that did not answer a move in time */
#define LINK_SECONDS 60     /* ... and one whose link is gone */
#define READY_SECONDS 900   /* busy after a move */
#define SLIP_WINDOW 0x3ffu  /* the last ten moves */
#define SLIPS_MAX 2

/* --- where discs are --- */

static bool
read_ends(struct varve_changer *changer, const struct varve_changer_move *move,
          struct varve_changer_ends *ret, struct varve_error *err)
{
    struct varve_smc_element from, to;
    if (!varve_changer_wait_ready(changer, READY_SECONDS * VARVE_NS_PER_SECOND, err) ||
        !varve_changer_element(changer, move->from, &from, err) ||
        !varve_changer_element(changer, move->to, &to, err))
        return false;
    ret->known = true;
    ret->from = from;
    ret->to = to;
    return true;
}

static bool
is_stopping(const struct varve_changer *changer)
{
    return changer->observer.stopping != NULL &&
           changer->observer.stopping(changer->observer.context);
}

/* Again and again for `limit_ns`, at least twice: a unit that failed a moment ago may well answer
 * now, and not to know where a disc is costs a whole inventory. */
static bool
read_ends_patiently(struct varve_changer *changer, const struct varve_changer_move *move,
                    int64_t limit_ns, struct varve_changer_ends *ret, struct varve_error *err)
{
    struct varve_clock *clock = changer->device.clock;
    int64_t deadline = varve_clock_monotonic(clock) + limit_ns;
    int64_t nap = VARVE_NS_PER_SECOND;
    for (unsigned tries = 0;; tries++) {
        struct varve_error failed = {0};
        if (read_ends(changer, move, ret, &failed))
            return true;
        bool over = varve_clock_monotonic(clock) >= deadline || is_stopping(changer);
        if (over && tries > 0) {
            changer->device.attention = true; /* the next operation reads the whole inventory */
            *err = failed;
            return false;
        }
        varve_clock_sleep(clock, nap);
        nap = nap < 8 * VARVE_NS_PER_SECOND ? nap * 2 : 10 * VARVE_NS_PER_SECOND;
    }
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
same_end(const struct varve_smc_element *a, const struct varve_smc_element *b)
{
    return a->element.full == b->element.full &&
           varve_barcode_equal(&a->element.barcode, &b->element.barcode);
}

/* Ends that are not as the command said are believed when they are read twice the same (reference,
 * fault 36). */
static bool
read_ends_surely(struct varve_changer *changer, const struct varve_changer_move *move,
                 int64_t limit_ns, bool expect_arrived, struct varve_changer_ends *ret,
                 struct varve_error *err)
{
    enum { READINGS = 6 };
    if (!read_ends_patiently(changer, move, limit_ns, ret, err))
        return false;
    for (unsigned i = 0; i < READINGS && !(expect_arrived && has_arrived(ret, move)); i++) {
        struct varve_changer_ends before = *ret;
        if (!read_ends_patiently(changer, move, 0, ret, err))
            return false;
        if (same_end(&before.from, &ret->from) && same_end(&before.to, &ret->to))
            return true;
    }
    if (expect_arrived && has_arrived(ret, move))
        return true;
    changer->device.attention = true;
    return varve_error_set(err, VARVE_ERROR_NOT_READY, 0,
                           "READ ELEMENT STATUS: elements %u and %u never read twice the same",
                           move->from, move->to);
}

static bool
gripper_holds(struct varve_changer *changer, struct varve_smc_element *ret)
{
    const struct varve_smc_range *hand = &changer->map.of[VARVE_ELEMENT_TRANSPORT];
    struct varve_error ignored = {0}; /* a unit that does not report its hand has an empty one */
    for (unsigned i = 0; i < hand->count; i++) {
        if (varve_changer_element(changer, (uint16_t)(hand->first + i), ret, &ignored) &&
            ret->element.full)
            return true;
    }
    return false;
}

/* --- one command --- */

static bool
is_slip(const struct varve_scsi_sense *sense)
{
    return varve_scsi_is(sense, 4, 0x15, 0x01) || varve_scsi_is(sense, 4, 0x3b, 0x16);
}

/* Sends it once, and counts what missed its place. */
static bool
send(struct varve_changer *changer, struct varve_scsi_command *command,
     struct varve_scsi_sense *ret, struct varve_error *err)
{
    bool answered = varve_scsi_once(&changer->device, command, ret, err);
    changer->slips = (changer->slips << 1 | (answered && is_slip(ret))) & SLIP_WINDOW;
    return answered;
}

bool
varve_changer_is_worn(const struct varve_changer *changer)
{
    return __builtin_popcount(changer->slips) >= SLIPS_MAX;
}

static void
encode(const struct varve_changer *changer, const struct varve_changer_move *move,
       struct varve_scsi_command *ret)
{
    varve_smc_encode_move(ret, &(struct varve_smc_move){varve_changer_transport(changer),
                                                        move->from, move->to, move->invert});
}

/* A disc in the hand is worse than one where it was: it blocks every other move. */
static void
put_back(struct varve_changer *changer, const struct varve_changer_move *move,
         struct varve_changer_ends *ends, struct varve_error *err)
{
    struct varve_smc_element hand;
    if (!gripper_holds(changer, &hand)) {
        changer->device.attention = true;
        varve_error_hint(err, "disc '%s' is neither in element %u nor in %u: look for it",
                         move->barcode.text, move->from, move->to);
        return;
    }
    struct varve_changer_move back = {move->barcode, hand.element.address, move->from, false};
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    struct varve_error undo = {0};
    encode(changer, &back, &command);
    bool answered = send(changer, &command, &sense, &undo);
    if (read_ends_patiently(changer, move, 0, ends, &undo) && may_be(&ends->from, &move->barcode))
        return;
    if (answered && !varve_scsi_is_good(&command, &sense))
        (void)varve_scsi_fail(&command, &sense, &undo);
    changer->device.attention = true;
    varve_error_hint(err, "disc '%s' hangs in the gripper (element %u): %s", move->barcode.text,
                     hand.element.address, undo.text);
}

/* --- a move --- */

enum attempt { ATTEMPT_MOVED, ATTEMPT_STAYED, ATTEMPT_AGAIN, ATTEMPT_SLIPPED, ATTEMPT_UNKNOWN };

/* Nothing moved. What was not run may be sent again; what got no answer never is: it may still be
 * carried out. */
static enum attempt
judge_stay(const struct varve_scsi_command *command, const struct varve_scsi_sense *sense,
           bool answered)
{
    if (!answered)
        return ATTEMPT_STAYED;
    if (is_slip(sense))
        return ATTEMPT_SLIPPED;
    bool not_run = varve_scsi_is_busy(command, sense) ||
                   (sense->valid && (sense->key == 0x06 || sense->key == 0x0b));
    return not_run ? ATTEMPT_AGAIN : ATTEMPT_STAYED;
}

static void
fail_unread(const struct varve_changer_move *move, const struct varve_error *why,
            struct varve_error *err)
{
    *err = *why;
    varve_error_hint(err, "disc '%s' is in element %u or %u, which could not be read",
                     move->barcode.text, move->from, move->to);
}

static int64_t
patience(bool answered, const struct varve_error *failed)
{
    if (answered)
        return 0;
    int64_t seconds = failed->kind == VARVE_ERROR_NOT_READY ? SILENCE_SECONDS : LINK_SECONDS;
    return seconds * VARVE_NS_PER_SECOND;
}

static enum attempt
attempt_move(struct varve_changer *changer, const struct varve_changer_move *move,
             struct varve_changer_ends *ret, struct varve_error *err)
{
    struct varve_scsi_command command;
    struct varve_error failed = {0};
    encode(changer, move, &command);
    bool answered = send(changer, &command, &ret->sense, &failed);
    bool good = answered && varve_scsi_is_good(&command, &ret->sense);
    if (answered && !good)
        (void)varve_scsi_fail(&command, &ret->sense, &failed);

    /* A time-out or an error says little about the disc: the elements say it all. */
    struct varve_error unread = {0};
    if (!read_ends_surely(changer, move, patience(answered, &failed), good, ret, &unread)) {
        ret->known = false;
        fail_unread(move, good ? &unread : &failed, err);
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
    if (ret->from.element.full)
        return judge_stay(&command, &ret->sense, answered);
    /* A full target then holds another disc than ours (3B/0D with a source that is empty too). */
    put_back(changer, move, ret, err);
    return ATTEMPT_STAYED;
}

static enum attempt
move_with_retries(struct varve_changer *changer, const struct varve_changer_move *move,
                  struct varve_changer_ends *ret, struct varve_error *err)
{
    bool slipped = false;
    for (unsigned tries = 1;; tries++) {
        enum attempt outcome = attempt_move(changer, move, ret, err);
        bool again = outcome == ATTEMPT_AGAIN || (outcome == ATTEMPT_SLIPPED && !slipped);
        if (!again || tries == MOVE_TRIES || is_stopping(changer))
            return outcome;
        slipped = slipped || outcome == ATTEMPT_SLIPPED;
        changer->device.retries++;
        int64_t seconds = outcome == ATTEMPT_SLIPPED ? SLIP_NAP_SECONDS : 1;
        varve_clock_sleep(changer->device.clock, seconds * VARVE_NS_PER_SECOND);
    }
}

static bool
announce(struct varve_changer *changer, const struct varve_changer_move *move, uint64_t *ret_id,
         struct varve_error *err)
{
    return changer->journal.intend(changer->journal.context, changer->name, &move->barcode,
                                   move->from, move->to, ret_id, err) ||
           varve_error_wrap(err, "journal the move of disc '%s'", move->barcode.text);
}

bool
varve_changer_move(struct varve_changer *changer, const struct varve_changer_move *move,
                   struct varve_changer_ends *ret, struct varve_error *err)
{
    *ret = (struct varve_changer_ends){0};
    uint64_t id;
    if (!announce(changer, move, &id, err))
        return false;
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

/* --- an exchange --- */

bool
varve_changer_can_exchange(const struct varve_changer *changer,
                           const struct varve_changer_exchange *exchange)
{
    enum varve_element_type from, at, home;
    if (changer->no_exchange || exchange->in.invert || exchange->out.invert ||
        !varve_smc_type_of(&changer->map, exchange->in.from, &from) ||
        !varve_smc_type_of(&changer->map, exchange->out.from, &at) ||
        !varve_smc_type_of(&changer->map, exchange->out.to, &home))
        return false;
    return (changer->can.exchange[from] & 1u << (at - 1)) != 0 &&
           (changer->can.exchange[at] & 1u << (home - 1)) != 0;
}

static bool
send_exchange(struct varve_changer *changer, const struct varve_changer_exchange *exchange,
              bool *ret_answered, struct varve_error *err)
{
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    varve_smc_encode_exchange(
        &command, &(struct varve_smc_exchange){varve_changer_transport(changer), exchange->in.from,
                                               exchange->in.to, exchange->out.to});
    *ret_answered = send(changer, &command, &sense, err);
    if (!*ret_answered)
        return false;
    /* A unit that claims it in mode page 1Fh and does not know it: tgt. */
    if (varve_scsi_is(&sense, 5, 0x20, 0x00) || varve_scsi_is(&sense, 5, 0x24, 0x00))
        changer->no_exchange = true;
    return varve_scsi_is_good(&command, &sense) || varve_scsi_fail(&command, &sense, err);
}

/* The three elements, twice the same. */
static bool
read_exchanged(struct varve_changer *changer, const struct varve_changer_exchange *exchange,
               int64_t limit_ns, struct varve_changer_ends *ret_in,
               struct varve_changer_ends *ret_out, struct varve_error *err)
{
    return read_ends_surely(changer, &exchange->out, limit_ns, true, ret_out, err) &&
           read_ends_surely(changer, &exchange->in, 0, true, ret_in, err);
}

static bool
is_exchanged(const struct varve_changer_exchange *exchange, const struct varve_changer_ends *in,
             const struct varve_changer_ends *out)
{
    bool swap = exchange->in.from == exchange->out.to; /* then the place of `in` is full again */
    return may_be(&in->to, &exchange->in.barcode) && may_be(&out->to, &exchange->out.barcode) &&
           (swap || !in->from.element.full);
}

static bool
close_entry(struct varve_changer *changer, uint64_t id, struct varve_error *err)
{
    return changer->journal.done(changer->journal.context, id, err);
}

bool
varve_changer_exchange(struct varve_changer *changer, const struct varve_changer_exchange *exchange,
                       struct varve_changer_ends *ret_in, struct varve_changer_ends *ret_out,
                       struct varve_error *err)
{
    uint64_t out_id, in_id;
    bool answered;
    struct varve_error failed = {0};
    *ret_in = *ret_out = (struct varve_changer_ends){0};
    if (!announce(changer, &exchange->out, &out_id, err))
        return false;
    if (!announce(changer, &exchange->in, &in_id, err)) {
        struct varve_error ignored = {0}; /* it stays open, and is settled at the next start */
        (void)!close_entry(changer, out_id, &ignored);
        return false;
    }
    bool good = send_exchange(changer, exchange, &answered, &failed);
    if (!read_exchanged(changer, exchange, patience(answered, &failed), ret_in, ret_out, err)) {
        ret_in->known = ret_out->known = false;
        return varve_error_wrap(err, "exchange discs '%s' and '%s'", exchange->out.barcode.text,
                                exchange->in.barcode.text);
    }
    if (!close_entry(changer, out_id, err) || !close_entry(changer, in_id, err))
        return varve_error_wrap(err, "journal the exchange of disc '%s'",
                                exchange->in.barcode.text);
    if (is_exchanged(exchange, ret_in, ret_out))
        return true;
    changer->device.attention = true; /* one of them may hang in the gripper */
    if (good)
        varve_error_set(&failed, VARVE_ERROR_HARDWARE, 0,
                        "EXCHANGE MEDIUM: reported good, but it did not happen");
    *err = failed;
    return false;
}
