/* SPDX-License-Identifier: Apache-2.0 */
/* A person instead of a robot: asks for a disc, waits, shows what came to who knows discs, gives
 * back what is wrong. */
#include "manual.h"

#include "mmc_codec.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <varve/manual.h>

#define POLL_NS VARVE_NS_PER_SECOND    /* TEST UNIT READY */
#define NAP_NS (100 * VARVE_NS_PER_MS) /* advice, the person's words */

struct manual_drive {
    struct varve_manual_request request; /* under `view`, like the next four */
    bool asking;
    bool inserted; /* the person says so */
    bool refused;  /* ... that the disc cannot be found; `why` */
    char why[128];
    struct varve_barcode out; /* the drive's thread only: what lies in its open tray */
};

struct varve_manual {
    struct varve_manual_options options;
    struct varve_manual_port port;
    struct manual_drive *drives;
};

/* One load that the person has to help with. Belongs to the drive's thread. */
struct asking {
    struct varve_library *library;
    struct varve_manual *manual;
    struct varve_library_drive *target;
    struct manual_drive *own;
    struct varve_manual_request request;
    int64_t deadline_ns, remind_ns;
    bool asked;  /* the person was told */
    bool judged; /* what is in the drive was looked at and could not be given back */
};

/* --- what the drive holds --- */

static void
show(struct varve_library *library, unsigned drive, const struct varve_barcode *barcode)
{
    VARVE_LOCKED(&library->view);
    struct varve_library_drive *own = &library->drives[drive];
    own->shown_full = barcode != NULL;
    own->shown = barcode != NULL ? *barcode : (struct varve_barcode){{0}};
}

static struct varve_barcode
shown(struct varve_library *library, unsigned drive)
{
    struct varve_barcode barcode = {{0}};
    if (!varve_library_drive_disc(library, drive, &barcode))
        barcode.text[0] = 0;
    return barcode;
}

/* START STOP UNIT: a tray that a motor moves comes in with what the person laid into it. Others
 * refuse, and the person has pushed it in. */
static void
pull_in(struct varve_library_drive *target)
{
    struct varve_scsi_command command;
    struct varve_error ignored = {0};
    varve_mmc_encode_start_stop(&command, VARVE_MMC_LOAD);
    (void)!varve_scsi_run(&target->drive.device, &command, &ignored);
}

static bool
open_tray(struct varve_library *library, unsigned drive, struct varve_error *err)
{
    struct varve_library_drive *target = &library->drives[drive];
    struct varve_error ignored = {0}; /* a drive that cannot be unlocked may open all the same */
    library->manual->drives[drive].out = shown(library, drive);
    (void)!varve_drive_release(&target->drive, &ignored);
    varve_drive_forget(&target->drive);
    show(library, drive, NULL);
    return varve_drive_eject(&target->drive, err);
}

/* --- requests, for others to see --- */

static void
publish(struct asking *a, bool asking)
{
    VARVE_LOCKED(&a->library->view);
    a->own->request = a->request;
    a->own->asking = asking;
    if (!asking) {
        a->own->refused = false;
        a->own->inserted = false;
    }
}

static void
tell(struct asking *a, enum varve_manual_news news)
{
    publish(a, news != VARVE_MANUAL_CAME && news != VARVE_MANUAL_ENDED);
    a->manual->port.tell(a->manual->port.context, news, &a->request);
}

static void
note_problem(struct asking *a, const char *text)
{
    (void)snprintf(a->request.problem, sizeof a->request.problem, "%.*s", (int)strcspn(text, "\n"),
                   text);
}

/* --- one look --- */

/* The tray opens and the person is told why. */
static void
hand_back(struct asking *a, const char *problem)
{
    struct varve_error stuck = {0};
    note_problem(a, problem);
    if (!open_tray(a->library, a->request.drive, &stuck)) {
        size_t used = strlen(a->request.problem);
        (void)snprintf(a->request.problem + used, sizeof a->request.problem - used,
                       "; press the drive's button, its tray does not open by itself");
    }
    a->judged = true;
    a->request.out = (struct varve_barcode){{0}}; /* what is in the tray now is the problem's */
    if (a->asked)
        tell(a, VARVE_MANUAL_WRONG);
}

static bool
fail_yielded(const struct asking *a, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_WAIT, 0,
                           "disc '%s' has to wait for another one in drive %u",
                           a->request.barcode.text, a->request.drive);
}

static bool
take_advice(const struct asking *a, const struct varve_barcode *here, struct varve_error *err)
{
    const struct varve_manual_port *port = &a->manual->port;
    switch (port->advise(port->context, a->request.drive, &a->request.barcode, here)) {
    case VARVE_MANUAL_GO_ON:
        return true;
    case VARVE_MANUAL_YIELD:
        return fail_yielded(a, err);
    case VARVE_MANUAL_STOP:
        break;
    }
    return varve_error_set(err, VARVE_ERROR_CANCELLED, 0, "varve is stopping");
}

/* A medium is there that nobody has looked at. */
static bool
examine(struct asking *a, bool *ret_fits, struct varve_error *err)
{
    const struct varve_manual_port *port = &a->manual->port;
    struct varve_manual_sight sight = {.fits = false};
    struct varve_error why = {0};
    bool missing;
    if (!varve_drive_wait_loaded(&a->target->drive, &missing, &why) ||
        !port->look(port->context, a->request.drive, &a->request.barcode, &sight, &why)) {
        if (why.kind == VARVE_ERROR_CANCELLED || why.kind == VARVE_ERROR_NOMEM) {
            *err = why;
            return false;
        }
        hand_back(a, why.text);
        return true;
    }
    a->own->out = (struct varve_barcode){{0}};
    if (sight.fits) {
        show(a->library, a->request.drive, &a->request.barcode);
        *ret_fits = true;
        return true;
    }
    show(a->library, a->request.drive, &sight.barcode);
    if (sight.barcode.text[0] != 0 && !take_advice(a, &sight.barcode, err))
        return false; /* the disc stays: it is waited for as well */
    hand_back(a, sight.text);
    return true;
}

/* One poll of the drive. */
static bool
poll_drive(struct asking *a, bool *ret_fits, struct varve_error *err)
{
    bool present;
    struct varve_error why = {0};
    if (!varve_drive_has_medium(&a->target->drive, &present, &why)) {
        if (why.kind == VARVE_ERROR_HARDWARE || why.kind == VARVE_ERROR_SYSTEM) {
            *err = why;
            return false;
        }
        if (!a->judged)
            hand_back(a, why.text); /* it never gets ready: dirty, or upside down */
        return true;
    }
    if (a->target->drive.device.medium_changed)
        a->judged = false;
    if (present)
        return a->judged || examine(a, ret_fits, err);
    a->judged = false;
    return true;
}

/* --- waiting --- */

/* What the person said; *ret_look: to look now. */
static bool
listen(struct asking *a, bool *ret_look, struct varve_error *err)
{
    VARVE_LOCKED(&a->library->view);
    if (a->own->refused)
        return varve_error_set(err, VARVE_ERROR_OFFLINE, 0, "it cannot be found: %s", a->own->why);
    *ret_look = a->own->inserted;
    a->own->inserted = false;
    return true;
}

/* Until the next poll is due. */
static bool
wait_a_while(struct asking *a, struct varve_error *err)
{
    bool look = false;
    struct varve_clock *clock = a->library->clock;
    int64_t until = varve_clock_monotonic(clock) + POLL_NS;
    while (!look && varve_clock_monotonic(clock) < until) {
        varve_clock_sleep(clock, NAP_NS);
        if (!listen(a, &look, err) || !take_advice(a, NULL, err))
            return false;
    }
    if (look)
        pull_in(a->target);
    return true;
}

static bool
mind_the_time(struct asking *a, struct varve_error *err)
{
    int64_t now = varve_clock_monotonic(a->library->clock);
    if (now >= a->deadline_ns)
        return varve_error_set(
            err, VARVE_ERROR_NOT_READY, 0, "nobody brought it to drive %u within %" PRId64 " s%s%s",
            a->request.drive, a->manual->options.timeout_ns / VARVE_NS_PER_SECOND,
            a->request.problem[0] != 0 ? "; what came last: " : "", a->request.problem);
    if (a->manual->options.reminder_ns > 0 && now >= a->remind_ns) {
        a->remind_ns = now + a->manual->options.reminder_ns;
        tell(a, VARVE_MANUAL_REMINDED);
    }
    return true;
}

/* Until the disc is there; false says why it is not. */
static bool
wait_for_disc(struct asking *a, struct varve_error *err)
{
    for (;;) {
        bool fits = false;
        if (!poll_drive(a, &fits, err))
            return false;
        if (fits)
            return true;
        if (!a->asked) {
            a->asked = true;
            tell(a, VARVE_MANUAL_ASKED);
        }
        if (!wait_a_while(a, err) || !mind_the_time(a, err))
            return false;
    }
}

/* It was there and the tray was not open since. */
static bool
is_there_already(struct asking *a)
{
    struct varve_barcode here = shown(a->library, a->request.drive);
    bool present;
    struct varve_error ignored = {0}; /* the poll that follows says it again */
    return varve_barcode_equal(&here, &a->request.barcode) &&
           varve_drive_has_medium(&a->target->drive, &present, &ignored) && present &&
           !a->target->drive.device.medium_changed;
}

/* The tray opens for the person if another disc is in the drive, and closes over the one that was
 * taken out a moment ago. */
static void
prepare_drive(struct asking *a)
{
    struct varve_barcode here = shown(a->library, a->request.drive);
    struct varve_error stuck = {0};
    if (here.text[0] != 0 && !varve_barcode_equal(&here, &a->request.barcode)) {
        if (!open_tray(a->library, a->request.drive, &stuck))
            note_problem(a, "press the drive's button, its tray does not open by itself");
        a->judged = stuck.kind != VARVE_ERROR_NONE;
    } else if (varve_barcode_equal(&a->own->out, &a->request.barcode)) {
        pull_in(a->target);
    }
    a->request.out = a->own->out;
}

static bool
ask(struct asking *a, struct varve_error *err)
{
    struct varve_clock *clock = a->library->clock;
    a->request.since_ns = varve_clock_realtime(clock);
    a->deadline_ns = varve_clock_monotonic(clock) + a->manual->options.timeout_ns;
    a->remind_ns = varve_clock_monotonic(clock) + a->manual->options.reminder_ns;
    prepare_drive(a);
    bool came = wait_for_disc(a, err);
    a->own->out = came ? (struct varve_barcode){{0}} : a->own->out;
    if (a->asked)
        tell(a, came ? VARVE_MANUAL_CAME : VARVE_MANUAL_ENDED);
    return came;
}

static bool
check_drive(const struct varve_library *library, unsigned drive, struct varve_error *err)
{
    return drive < library->drive_count ||
           varve_error_set(err, VARVE_ERROR_INVALID, 0, "library '%s' has no drive %u: it has %zu",
                           library->name, drive, library->drive_count);
}

bool
varve_manual_load(struct varve_library *library, const struct varve_barcode *barcode,
                  unsigned drive, struct varve_error *err)
{
    if (!check_drive(library, drive, err))
        return false;
    struct asking a = {.library = library,
                       .manual = library->manual,
                       .target = &library->drives[drive],
                       .own = &library->manual->drives[drive],
                       .request = {.drive = drive, .barcode = *barcode}};
    return is_there_already(&a) || ask(&a, err) ||
           varve_error_wrap(err, "library '%s': disc '%s'", library->name, barcode->text);
}

bool
varve_manual_unload(struct varve_library *library, unsigned drive, struct varve_error *err)
{
    if (!check_drive(library, drive, err))
        return false;
    return open_tray(library, drive, err) ||
           varve_error_wrap(err, "library '%s': unload drive %u", library->name, drive);
}

bool
varve_library_look(struct varve_library *library, unsigned drive, struct varve_manual_sight *ret,
                   struct varve_error *err)
{
    const struct varve_barcode nothing = {{0}};
    assert(library->manual != NULL);
    if (!check_drive(library, drive, err))
        return false;
    struct varve_library_drive *target = &library->drives[drive];
    const struct varve_manual_port *port = &library->manual->port;
    bool present;
    bool missing;
    pull_in(target);
    if (!varve_drive_has_medium(&target->drive, &present, err))
        return false;
    show(library, drive, NULL);
    if (!present)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                               "library '%s': there is no disc in drive %u", library->name, drive);
    if (!varve_drive_wait_loaded(&target->drive, &missing, err) ||
        !port->look(port->context, drive, &nothing, ret, err))
        return varve_error_wrap(err, "library '%s', drive %u", library->name, drive);
    library->manual->drives[drive].out = nothing;
    show(library, drive, &ret->barcode);
    return true;
}

/* --- the rest of library.h --- */

bool
varve_manual_inventory(struct varve_library *library, struct varve_element **ret, size_t *ret_count,
                       struct varve_error *err)
{
    struct varve_element *elements = calloc(library->drive_count + 1, sizeof *elements);
    if (elements == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "inventory of library '%s'",
                               library->name);
    VARVE_LOCKED(&library->view);
    for (size_t i = 0; i < library->drive_count; i++) {
        elements[i].type = VARVE_ELEMENT_DRIVE;
        elements[i].address = (uint16_t)i;
        elements[i].full = library->drives[i].shown_full;
        elements[i].barcode = library->drives[i].shown;
    }
    *ret = elements;
    *ret_count = library->drive_count;
    return true;
}

bool
varve_manual_refuse_mail(const struct varve_library *library, struct varve_error *err)
{
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "library '%s' has no mail slots: it is a person",
                    library->name);
    return varve_error_hint(
        err, "'varve disc checkout' and 'varve disc checkin' note what is taken away and back");
}

bool
varve_manual_refuse_door(const struct varve_library *library, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "library '%s' has no door: it is a person",
                           library->name);
}

size_t
varve_library_requests(struct varve_library *library, struct varve_manual_request *ret, size_t max)
{
    size_t count = 0;
    VARVE_LOCKED(&library->view);
    for (size_t i = 0; library->manual != NULL && i < library->drive_count && count < max; i++) {
        if (library->manual->drives[i].asking)
            ret[count++] = library->manual->drives[i].request;
    }
    return count;
}

bool
varve_library_inserted(struct varve_library *library, unsigned drive)
{
    VARVE_LOCKED(&library->view);
    if (library->manual == NULL || drive >= library->drive_count ||
        !library->manual->drives[drive].asking)
        return false;
    library->manual->drives[drive].inserted = true;
    return true;
}

bool
varve_library_refuse(struct varve_library *library, const struct varve_barcode *barcode,
                     const char *why)
{
    bool found = false;
    VARVE_LOCKED(&library->view);
    for (size_t i = 0; library->manual != NULL && i < library->drive_count; i++) {
        struct manual_drive *own = &library->manual->drives[i];
        if (!own->asking || !varve_barcode_equal(&own->request.barcode, barcode))
            continue;
        own->refused = true;
        (void)snprintf(own->why, sizeof own->why, "%s", why);
        found = true;
    }
    return found;
}

bool
varve_library_is_manual(const struct varve_library *library)
{
    return library->manual != NULL;
}

/* --- life --- */

static void
dismantle(struct varve_library *library)
{
    if (library->manual != NULL)
        free(library->manual->drives);
    free(library->manual);
    free(library->drives);
    (void)pthread_mutex_destroy(&library->arm);
    (void)pthread_mutex_destroy(&library->view);
    free(library);
}

void
varve_manual_free(struct varve_library *library)
{
    for (size_t i = 0; i < library->drive_count; i++) {
        struct varve_scsi_port *port = library->drives[i].drive.device.port;
        port->close(port);
    }
    dismantle(library);
}

static bool
allocate(struct varve_library *library, size_t drives, struct varve_error *err)
{
    library->drives = calloc(drives + 1, sizeof *library->drives);
    library->manual = calloc(1, sizeof *library->manual);
    if (library->manual != NULL)
        library->manual->drives = calloc(drives + 1, sizeof *library->manual->drives);
    return (library->drives != NULL && library->manual != NULL &&
            library->manual->drives != NULL) ||
           varve_error_set(err, VARVE_ERROR_NOMEM, 0, "new library");
}

static bool
bring_up(struct varve_library *library, const struct varve_library_ports *ports,
         struct varve_error *err)
{
    if (!allocate(library, ports->drive_count, err))
        return false;
    for (size_t i = 0; i < ports->drive_count; i++) {
        struct varve_drive *drive = &library->drives[i].drive;
        (void)snprintf(drive->name, sizeof drive->name, "library '%s', drive %zu", library->name,
                       i);
        drive->element = (uint16_t)i;
        if (!varve_drive_init(drive, ports->drives[i], library->clock, err))
            return false;
    }
    library->drive_count = ports->drive_count;
    return true;
}

bool
varve_library_new_manual(const struct varve_library_ports *ports,
                         const struct varve_manual_options *options,
                         const struct varve_manual_port *port, struct varve_clock *clock,
                         struct varve_library **ret, struct varve_error *err)
{
    assert(ports != NULL && ports->name != NULL && ports->changer == NULL);
    assert(port->look != NULL && port->advise != NULL && port->tell != NULL);
    struct varve_library *library = calloc(1, sizeof *library);
    if (library == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "new library");
    (void)snprintf(library->name, sizeof library->name, "%s", ports->name);
    library->clock = clock;
    (void)pthread_mutex_init(&library->arm, NULL);
    (void)pthread_mutex_init(&library->view, NULL);
    if (!bring_up(library, ports, err)) {
        dismantle(library);
        return false;
    }
    library->manual->options = *options;
    library->manual->port = *port;
    *ret = library;
    return true;
}
