/* SPDX-License-Identifier: Apache-2.0 */
/* A library and the people at it: what they are told, doors they open, what they decide. */
#include "library_internal.h"

#include <stdarg.h>
#include <string.h>

#define PEOPLE_SECONDS                                                                             \
    900 /* how long work waits for a door, an unlocked or a switched-off library */
#define COUNTING_SECONDS 3600

const char *
varve_library_condition_name(enum varve_library_condition condition)
{
    switch (condition) {
    case VARVE_LIBRARY_READY:
        return "ready";
    case VARVE_LIBRARY_COUNTING:
        return "counting";
    case VARVE_LIBRARY_DOOR_OPEN:
        return "door open";
    case VARVE_LIBRARY_NEEDS_HAND:
        return "needs a person";
    case VARVE_LIBRARY_OFFLINE:
        return "offline";
    case VARVE_LIBRARY_UNLOCKED:
        return "unlocked";
    case VARVE_LIBRARY_MAINTENANCE:
        return "maintenance";
    }
    return "unknown";
}

const char *
varve_element_flags_text(unsigned flags, char ret[VARVE_ELEMENT_FLAGS_BYTES])
{
    static const struct {
        enum varve_element_flag flag;
        const char *word;
    } words[] = {
        {VARVE_ELEMENT_ABSENT, "absent"},       {VARVE_ELEMENT_QUARANTINED, "quarantined"},
        {VARVE_ELEMENT_DUPLICATE, "duplicate"}, {VARVE_ELEMENT_NAMED, "named"},
        {VARVE_ELEMENT_UNKNOWN, "unknown"},     {VARVE_ELEMENT_CLEANING, "cleaning"},
    };
    size_t used = 0;
    ret[0] = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if ((flags & (unsigned)words[i].flag) == 0)
            continue;
        int length = snprintf(ret + used, VARVE_ELEMENT_FLAGS_BYTES - used, "%s%s",
                              used > 0 ? ", " : "", words[i].word);
        used += (size_t)length; /* all words together fit */
    }
    return ret;
}

/* --- telling --- */

void
varve_library_tell(struct varve_library *library, const char *format, ...)
{
    VARVE_LOCKED(&library->view);
    if (library->event_count == LIBRARY_EVENTS_MAX) {
        library->events_lost++; /* the first ones say most */
        return;
    }
    va_list args;
    va_start(args, format);
    unsigned at = (library->event_first + library->event_count++) % LIBRARY_EVENTS_MAX;
    (void)vsnprintf(library->events[at], sizeof library->events[at], format, args);
    va_end(args);
}

bool
varve_library_event(struct varve_library *library, char ret[VARVE_LIBRARY_EVENT_BYTES])
{
    VARVE_LOCKED(&library->view);
    if (library->event_count == 0) {
        if (library->events_lost == 0)
            return false;
        (void)snprintf(ret, VARVE_LIBRARY_EVENT_BYTES, "library '%s': %u more events were not kept",
                       library->name, library->events_lost);
        library->events_lost = 0;
        return true;
    }
    memcpy(ret, library->events[library->event_first], VARVE_LIBRARY_EVENT_BYTES);
    library->event_first = (library->event_first + 1) % LIBRARY_EVENTS_MAX;
    library->event_count--;
    return true;
}

static void
set_condition(struct varve_library *library, enum varve_library_condition condition,
              const char *why)
{
    VARVE_LOCKED(&library->view);
    library->state.condition = condition;
    (void)snprintf(library->state.why, sizeof library->state.why, "%s", why);
    library->state.since_ns = varve_clock_monotonic(library->clock);
}

static enum varve_library_condition
condition_of(struct varve_library *library)
{
    VARVE_LOCKED(&library->view);
    return library->state.condition;
}

static const char *
advice_of(enum varve_library_condition condition)
{
    switch (condition) {
    case VARVE_LIBRARY_COUNTING:
        return "wait, do not reset it";
    case VARVE_LIBRARY_DOOR_OPEN:
        return "close the door, the mail slots and the magazines; jobs then go on with the discs "
               "that are found";
    case VARVE_LIBRARY_NEEDS_HAND:
        return "read its panel";
    case VARVE_LIBRARY_OFFLINE:
        return "set it online at its panel";
    case VARVE_LIBRARY_READY:
    case VARVE_LIBRARY_UNLOCKED:
    case VARVE_LIBRARY_MAINTENANCE:
        break;
    }
    return "";
}

/* What the changer waits for; told once, not at each question. Unlocking and maintenance are ours
 * and end otherwise. */
void
varve_library_note(void *context, enum varve_library_condition condition, const char *why)
{
    struct varve_library *library = context;
    enum varve_library_condition before = condition_of(library);
    if (condition == before || library->unlocked || library->maintenance)
        return;
    set_condition(library, condition, why);
    if (condition == VARVE_LIBRARY_READY)
        varve_library_tell(library, "library '%s' is ready again after: %s", library->name,
                           varve_library_condition_name(before));
    else
        varve_library_tell(library, "library '%s' moves no disc now: %s: %s\nhint: %s",
                           library->name, varve_library_condition_name(condition), why,
                           advice_of(condition));
}

void
varve_library_state(struct varve_library *library, struct varve_library_state *ret)
{
    VARVE_LOCKED(&library->view);
    *ret = library->state;
}

void
varve_library_interrupt(struct varve_library *library)
{
    atomic_store(&library->stopping, true);
}

void
varve_library_check_wear(struct varve_library *library)
{
    if (library->maintenance || !varve_changer_is_worn(&library->changer))
        return;
    library->maintenance = true;
    set_condition(library, VARVE_LIBRARY_MAINTENANCE,
                  "the gripper missed its place twice within ten moves");
    varve_library_tell(library,
                       "library '%s': the gripper missed its place twice within ten moves; no "
                       "disc is moved any more\nhint: look at the mechanics, then run 'varve "
                       "library resume %s'",
                       library->name, library->name);
}

/* --- waiting --- */

static bool
has_mail(const struct varve_library *library)
{
    for (size_t i = 0; i < library->list.count; i++) {
        const struct varve_element *at = &library->list.elements[i].element;
        if (at->type == VARVE_ELEMENT_MAIL_SLOT && at->full)
            return true;
    }
    return false;
}

bool
varve_library_begin(struct varve_library *library, struct varve_error *err)
{
    if (library->unlocked) {
        varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "library '%s' is unlocked", library->name);
        return varve_error_hint(err, "close it, then run 'varve library resume %s'", library->name);
    }
    if (library->maintenance) {
        varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                        "library '%s' is in maintenance: the gripper missed its place twice within "
                        "ten moves",
                        library->name);
        return varve_error_hint(err, "look at the mechanics, then run 'varve library resume %s'",
                                library->name);
    }
    if (!varve_library_refresh(library, false, err))
        return false;
    /* A disc in a mail slot waits for a person, who has to get at it. */
    if (!library->changer.wants_lock && !has_mail(library))
        varve_changer_lock(&library->changer, true);
    return true;
}

static int64_t
patience_of(enum varve_library_condition condition)
{
    int64_t seconds = condition == VARVE_LIBRARY_COUNTING ? COUNTING_SECONDS : PEOPLE_SECONDS;
    return seconds * VARVE_NS_PER_SECOND;
}

static bool
try_once(struct varve_library *library, varve_library_act_fn *act, void *context,
         struct varve_error *err)
{
    VARVE_LOCKED(&library->arm);
    return act(library, context, err);
}

/* The arm is free meanwhile, so that people can unlock, resume and look. */
bool
varve_library_when_movable(struct varve_library *library, varve_library_act_fn *act, void *context,
                           struct varve_error *err)
{
    int64_t begun = varve_clock_monotonic(library->clock);
    for (;;) {
        struct varve_error failed = {0};
        if (try_once(library, act, context, &failed))
            return true;
        enum varve_library_condition condition = condition_of(library);
        int64_t waited = varve_clock_monotonic(library->clock) - begun;
        if (failed.kind != VARVE_ERROR_NOT_READY || condition == VARVE_LIBRARY_READY ||
            condition == VARVE_LIBRARY_MAINTENANCE || waited >= patience_of(condition) ||
            atomic_load(&library->stopping)) {
            *err = failed;
            return false;
        }
        varve_clock_sleep(library->clock, VARVE_NS_PER_SECOND);
    }
}

/* --- what people decide --- */

bool
varve_library_unlock(struct varve_library *library, struct varve_error *err)
{
    VARVE_LOCKED(&library->arm);
    (void)err; /* an unlocked library is what was asked for: nothing to fail */
    if (library->unlocked)
        return true;
    varve_changer_lock(&library->changer, false);
    varve_changer_open_mail(&library->changer, true);
    library->unlocked = true;
    if (!library->maintenance)
        set_condition(library, VARVE_LIBRARY_UNLOCKED, "unlocked by the operator");
    varve_library_tell(library,
                       "library '%s' is unlocked; no disc is moved until 'varve library resume %s'",
                       library->name, library->name);
    return true;
}

bool
varve_library_resume(struct varve_library *library, struct varve_error *err)
{
    VARVE_LOCKED(&library->arm);
    varve_changer_open_mail(&library->changer, false);
    varve_changer_lock(&library->changer, true);
    bool unlocked = library->unlocked;
    bool maintenance = library->maintenance;
    unsigned slips = library->changer.slips;
    library->unlocked = library->maintenance = false;
    library->changer.slips = 0;
    /* A unit need not tell that its door was open, and it was let. */
    library->changer.device.medium_changed |= unlocked;
    if (varve_library_refresh(library, true, err)) {
        set_condition(library, VARVE_LIBRARY_READY, "");
        if (unlocked || maintenance)
            varve_library_tell(library, "library '%s' is in use again", library->name);
        return true;
    }
    library->unlocked = unlocked;
    library->maintenance = library->maintenance || maintenance;
    library->changer.slips |= slips;
    return varve_error_wrap(err, "resume");
}
