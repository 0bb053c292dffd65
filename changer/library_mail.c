/* SPDX-License-Identifier: Apache-2.0 */
/* Discs that come and go through the mail slots. Functions named *_locked hold the arm. */
#include "library_internal.h"

/* Some units tell of each mail slot whether the gripper reaches it and which way it may be used;
 * some (tgt) tell nothing at all: then it may be used both ways. */
struct mail_habits {
    bool tells_access, tells_ways;
};

static struct mail_habits
habits_of(const struct varve_library *library)
{
    struct mail_habits habits = {0};
    for (size_t i = 0; i < library->list.count; i++) {
        const struct varve_smc_element *at = &library->list.elements[i];
        if (at->element.type != VARVE_ELEMENT_MAIL_SLOT)
            continue;
        habits.tells_access = habits.tells_access || at->access;
        habits.tells_ways = habits.tells_ways || at->may_import || at->may_export;
    }
    return habits;
}

static bool
is_reachable(const struct mail_habits *habits, const struct varve_smc_element *mail)
{
    return !mail->element.exception && (!habits->tells_access || mail->access);
}

static struct varve_element *
find_free_mail_slot(struct varve_library *library, unsigned *ret_total)
{
    const struct mail_habits habits = habits_of(library);
    struct varve_element *found = NULL;
    *ret_total = 0;
    for (size_t i = 0; i < library->list.count; i++) {
        struct varve_smc_element *at = &library->list.elements[i];
        if (at->element.type != VARVE_ELEMENT_MAIL_SLOT)
            continue;
        ++*ret_total;
        bool may = !habits.tells_ways || at->may_export;
        if (found == NULL && may && is_reachable(&habits, at) &&
            varve_library_is_free(&at->element))
            found = &at->element;
    }
    return found;
}

static bool
fail_no_mail_slot(struct varve_library *library, unsigned total, struct varve_error *err)
{
    if (total > 0) {
        varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                        "library '%s': none of its %u mail slots is free", library->name, total);
        return varve_error_hint(err, "take the discs out of the mail slots, and close them");
    }
    varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "library '%s' has no mail slot", library->name);
    return varve_error_hint(err,
                            "run 'varve library unlock %s', take the disc out by the door, then "
                            "run 'varve library resume %s'",
                            library->name, library->name);
}

/* The disc waits for a person now: door and mail slots stay unlocked until the arm is wanted again.
 */
static void
let_take(struct varve_library *library, const struct varve_barcode *barcode, uint16_t address)
{
    varve_changer_lock(&library->changer, false);
    varve_changer_open_mail(&library->changer, true);
    varve_library_tell(library, "library '%s': disc '%s' is in mail slot %u: take it out",
                       library->name, barcode->text, address);
}

static bool
export_locked(struct varve_library *library, void *context, struct varve_error *err)
{
    const struct varve_barcode *barcode = context;
    struct varve_element *at;
    if (!varve_library_begin(library, err) || !varve_library_find_disc(library, barcode, &at, err))
        return false;
    if (at->type == VARVE_ELEMENT_MAIL_SLOT) {
        let_take(library, barcode, at->address);
        return true;
    }
    if (at->type == VARVE_ELEMENT_DRIVE) {
        varve_error_set(err, VARVE_ERROR_BUSY, 0,
                        "disc '%s' is in a drive of library '%s' (element %u)", barcode->text,
                        library->name, at->address);
        return varve_error_hint(err, "unload it first");
    }
    unsigned total;
    struct varve_element *mail = find_free_mail_slot(library, &total);
    if (mail == NULL)
        return fail_no_mail_slot(library, total, err);
    struct varve_changer_move move = {
        .barcode = *barcode, .from = at->address, .to = mail->address};
    if (!varve_library_move(library, &move, NULL, err))
        return false;
    let_take(library, barcode, move.to);
    return true;
}

bool
varve_library_export(struct varve_library *library, const struct varve_barcode *barcode,
                     struct varve_error *err)
{
    struct varve_barcode wanted = *barcode;
    return varve_library_when_movable(library, export_locked, &wanted, err) ||
           varve_error_wrap(err, "export disc '%s'", barcode->text);
}

static bool
import_one(struct varve_library *library, const struct varve_element *mail, struct varve_error *err)
{
    const struct varve_element *slot = varve_library_free_slot(library);
    if (slot == NULL) {
        varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                        "library '%s': no slot is free for disc '%s' in mail slot %u",
                        library->name, mail->barcode.text, mail->address);
        return varve_error_hint(err, "export a disc");
    }
    struct varve_changer_move move = {
        .barcode = mail->barcode, .from = mail->address, .to = slot->address};
    return varve_library_move(library, &move, NULL, err);
}

struct importing {
    unsigned count;
};

static bool
import_locked(struct varve_library *library, void *context, struct varve_error *err)
{
    struct importing *importing = context;
    /* Operators open mail slots without every unit telling: always look. */
    if (!varve_library_begin(library, err) || !varve_library_refresh(library, true, err))
        return false;
    const struct mail_habits habits = habits_of(library);
    for (size_t i = 0; i < library->list.count; i++) {
        const struct varve_smc_element mail = library->list.elements[i];
        if (mail.element.type != VARVE_ELEMENT_MAIL_SLOT || !mail.element.full)
            continue;
        if (!is_reachable(&habits, &mail) || (habits.tells_ways && !mail.may_import)) {
            varve_error_set(err, VARVE_ERROR_NOT_READY, 0,
                            "library '%s': the gripper does not reach mail slot %u with disc '%s'",
                            library->name, mail.element.address, mail.element.barcode.text);
            return varve_error_hint(err, "close the mail slot");
        }
        if (!import_one(library, &mail.element, err))
            return false;
        importing->count++;
    }
    return true;
}

bool
varve_library_import(struct varve_library *library, unsigned *ret_count, struct varve_error *err)
{
    struct importing importing = {0};
    struct varve_library_state state;
    varve_library_state(library, &state);
    /* Who asks for it has put the discs in. */
    if (state.condition == VARVE_LIBRARY_UNLOCKED && !varve_library_resume(library, err))
        return varve_error_wrap(err, "import");
    if (!varve_library_when_movable(library, import_locked, &importing, err))
        return varve_error_wrap(err, "import (%u discs came in before)", importing.count);
    *ret_count = importing.count;
    return true;
}
