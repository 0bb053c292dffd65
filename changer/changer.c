/* SPDX-License-Identifier: Apache-2.0 */
#include "changer.h"

#include <string.h>

#define STATUS_BYTES 65536u
#define ATTENTIONS_MAX 10u
#define START_SECONDS 3600 /* a large library counts its discs for up to an hour */
#define POLL_SECONDS 5

void
varve_smc_list_done(struct varve_smc_list *list)
{
    free(list->elements);
    *list = (struct varve_smc_list){0};
}

/* --- not ready --- */

static void
note(struct varve_changer *changer, enum varve_library_condition condition, const char *why)
{
    const struct varve_changer_observer *observer = &changer->observer;
    if (observer->note != NULL)
        observer->note(observer->context, condition, why);
}

/* What a TEST UNIT READY that is not good says of the whole unit (SMC-3, SPC-4; the table is in the
 * reference, 1.2). READY: nothing that waiting could help. */
static enum varve_library_condition
condition_of(const struct varve_scsi_command *command, const struct varve_scsi_sense *sense)
{
    if (varve_scsi_is(sense, 2, 0x04, 0x03))
        return VARVE_LIBRARY_NEEDS_HAND;
    if (varve_scsi_is(sense, 2, 0x04, 0x12))
        return VARVE_LIBRARY_OFFLINE;
    if (sense->valid && sense->key == 2 && sense->asc == 0x3a)
        return VARVE_LIBRARY_DOOR_OPEN;
    if (varve_scsi_is_busy(command, sense))
        return VARVE_LIBRARY_COUNTING;
    return VARVE_LIBRARY_READY;
}

static bool
fail_not_ready(const struct varve_changer *changer, enum varve_library_condition condition,
               struct varve_error *err)
{
    switch (condition) {
    case VARVE_LIBRARY_COUNTING:
        return varve_error_hint(err, "library '%s' still counts its discs: wait, do not reset it",
                                changer->name);
    case VARVE_LIBRARY_DOOR_OPEN:
        return varve_error_hint(err,
                                "close the door, the mail slots and the magazines of library "
                                "'%s'; its discs are then counted anew and jobs go on",
                                changer->name);
    case VARVE_LIBRARY_NEEDS_HAND:
        return varve_error_hint(err, "library '%s' wants a person: read its panel", changer->name);
    case VARVE_LIBRARY_OFFLINE:
        return varve_error_hint(err, "set library '%s' online at its panel", changer->name);
    case VARVE_LIBRARY_READY:
    case VARVE_LIBRARY_UNLOCKED:
    case VARVE_LIBRARY_MAINTENANCE:
        break;
    }
    return false;
}

/* The unit may want to be told once to count its discs (02/04/02); that takes up to an hour. Asked
 * for again afterwards, something is wrong with it. */
static bool
count_discs(struct varve_changer *changer, struct varve_error *err)
{
    struct varve_scsi_command command;
    if (changer->counted) {
        varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                        "the changer wants its discs counted again right after that was done "
                        "(2/04/02)");
        return varve_error_hint(err, "read the panel of library '%s'", changer->name);
    }
    changer->counted = true;
    note(changer, VARVE_LIBRARY_COUNTING, "told to count its discs (2/04/02)");
    varve_smc_encode_initialize(&command);
    return varve_scsi_run(&changer->device, &command, err);
}

struct ready_wait {
    struct varve_scsi_wait naps;
    unsigned attentions;
};

/* One question. True: ask again, or the unit is ready (*ret_ready). */
static bool
ask_ready(struct varve_changer *changer, struct ready_wait *wait, bool *ret_ready,
          struct varve_error *err)
{
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    varve_smc_encode_test_unit_ready(&command);
    if (!varve_scsi_once(&changer->device, &command, &sense, err))
        return false;
    *ret_ready = varve_scsi_is_good(&command, &sense);
    if (*ret_ready || (sense.valid && sense.key == 6 && wait->attentions++ < ATTENTIONS_MAX))
        return true;
    if (varve_scsi_is(&sense, 2, 0x04, 0x02))
        return count_discs(changer, err);
    enum varve_library_condition condition = condition_of(&command, &sense);
    char why[VARVE_SCSI_TEXT_BYTES];
    if (condition != VARVE_LIBRARY_READY)
        note(changer, condition, varve_scsi_sense_text(&sense, why));
    const struct varve_changer_observer *observer = &changer->observer;
    bool stop = observer->stopping != NULL && observer->stopping(observer->context);
    if (condition != VARVE_LIBRARY_READY && !stop && varve_scsi_wait_nap(&wait->naps))
        return true;
    (void)varve_scsi_fail(&command, &sense, err);
    return fail_not_ready(changer, condition, err);
}

bool
varve_changer_wait_ready(struct varve_changer *changer, int64_t limit_ns, struct varve_error *err)
{
    struct ready_wait wait = {0};
    bool ready = false;
    varve_scsi_wait_begin(&wait.naps, changer->device.clock, limit_ns);
    while (!ready) {
        if (!ask_ready(changer, &wait, &ready, err))
            return false;
    }
    note(changer, VARVE_LIBRARY_READY, "");
    return true;
}

/* --- mode pages --- */

static bool
read_page(struct varve_changer *changer, uint8_t page, uint8_t data[252], uint32_t *ret_bytes,
          struct varve_error *err)
{
    struct varve_scsi_command command;
    struct varve_error first = {0};
    varve_smc_encode_mode_sense(&command, page, true, data, 252);
    if (!varve_scsi_run(&changer->device, &command, &first)) {
        if (first.kind != VARVE_ERROR_INVALID) {
            *err = first;
            return false;
        }
        /* Some units refuse the bit that leaves block descriptors out. */
        varve_smc_encode_mode_sense(&command, page, false, data, 252);
        if (!varve_scsi_run(&changer->device, &command, err))
            return false;
    }
    *ret_bytes = command.received_bytes;
    return true;
}

/* 1Dh must be there. What 1Eh and 1Fh would say is assumed to be "no" where they are not. */
static bool
read_pages(struct varve_changer *changer, struct varve_error *err)
{
    uint8_t data[252];
    uint32_t bytes;
    struct varve_error ignored = {0};
    if (!read_page(changer, 0x1d, data, &bytes, err) ||
        !varve_smc_decode_assignment(data, bytes, &changer->map, err))
        return false;
    changer->can = (struct varve_smc_capabilities){0};
    changer->rotates = false;
    if (read_page(changer, 0x1f, data, &bytes, &ignored))
        (void)!varve_smc_decode_capabilities(data, bytes, &changer->can, &ignored);
    if (read_page(changer, 0x1e, data, &bytes, &ignored))
        (void)!varve_smc_decode_geometry(data, bytes, &changer->rotates, &ignored);
    changer->device.reconfigured = false;
    return true;
}

bool
varve_changer_init(struct varve_changer *changer, const struct varve_changer_setup *setup,
                   struct varve_error *err)
{
    *changer = (struct varve_changer){
        .device = {.port = setup->port,
                   .clock = setup->clock,
                   .ready_ns = START_SECONDS * VARVE_NS_PER_SECOND,
                   .attention = true,
                   .heard = true}, /* never read yet */
        .journal = setup->journal,
        .observer = setup->observer,
    };
    (void)snprintf(changer->name, sizeof changer->name, "%s", setup->name);
    changer->buffer = malloc(STATUS_BYTES);
    if (changer->buffer == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "new changer");
    varve_scsi_set_timeouts(&changer->device, &setup->timeouts);
    int64_t ready_ns = setup->ready_ns > 0 ? setup->ready_ns : changer->device.ready_ns;
    if (!varve_changer_wait_ready(changer, ready_ns, err) || !read_pages(changer, err))
        return varve_error_wrap(err, "changer");
    changer->device.reset = false;
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
    if (!varve_changer_wait_ready(changer, POLL_SECONDS * VARVE_NS_PER_SECOND, err))
        return false;
    if (changer->device.reconfigured && !read_pages(changer, err))
        return false;
    if (changer->device.reset) { /* a reset forgets PREVENT, and may want to count */
        changer->device.reset = false;
        changer->counted = false;
        if (changer->wants_lock)
            varve_changer_lock(changer, true);
    }
    *ret_changed = changer->device.attention;
    return true;
}

/* --- locks --- */

/* An unlocked door is no danger: opening it is noticed, and the discs are counted anew. So failures
 * are not told. */
void
varve_changer_lock(struct varve_changer *changer, bool lock)
{
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    struct varve_error ignored = {0};
    changer->wants_lock = lock;
    if (changer->no_prevent)
        return;
    varve_smc_encode_prevent(&command, lock);
    if (varve_scsi_run(&changer->device, &command, &ignored))
        return;
    varve_scsi_sense_decode(command.sense, command.sense_bytes, &sense);
    changer->no_prevent =
        varve_scsi_is(&sense, 5, 0x20, 0x00) || varve_scsi_is(&sense, 5, 0x24, 0x00);
}

void
varve_changer_open_mail(struct varve_changer *changer, bool open)
{
    const struct varve_smc_range *mail = &changer->map.of[VARVE_ELEMENT_MAIL_SLOT];
    if (mail->count == 0)
        return;
    struct varve_scsi_command command;
    struct varve_scsi_sense sense;
    struct varve_error ignored = {0};
    varve_smc_encode_open_mail(&command, mail->first, open);
    (void)!varve_scsi_once(&changer->device, &command, &sense, &ignored);
}

uint16_t
varve_changer_transport(const struct varve_changer *changer)
{
    return changer->map.of[VARVE_ELEMENT_TRANSPORT].first;
}
