/* SPDX-License-Identifier: Apache-2.0 */
/* The port of a library without a robot: which disc is in its drive, what its drive had better do,
 * and telling the person. */
#include "manual.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <varve/text.h>

/* A drive that asked for one disc does not ask for another one sooner, so that the person is not
 * sent back and forth. */
#define YIELD_NS (10 * VARVE_NS_PER_SECOND)

bool
is_manual(const struct varve_engine *engine, size_t library)
{
    return engine->libraries[library].has_no_robot;
}

static struct drive *
drive_of(const struct manual *manual, unsigned number)
{
    struct varve_engine *engine = manual->engine;
    for (size_t i = 0; i < engine->drive_count; i++) {
        if (engine->drives[i].library == manual->library && engine->drives[i].number == number)
            return &engine->drives[i];
    }
    return NULL;
}

/* --- which disc it is --- */

static int
nearness(enum varve_disc_state state)
{
    return state == VARVE_DISC_SEALED ? 2 : state == VARVE_DISC_FAILED ? 0 : 1;
}

/* A disc that was made anew has the image of the old one: `wanted` if it has that, else the best.
 */
static bool
find_by_image(struct varve_engine *engine, const struct varve_uuid *image,
              const struct varve_barcode *wanted, struct varve_disc_row *ret,
              struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_row *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_barcode after = {{0}};
    size_t count = PAGE_ROWS;
    bool found = false;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list discs");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_discs(engine->catalog, &after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].barcode;
            if (!varve_uuid_equal(&page[i].uuid, image) || page[i].set.value == 0)
                continue;
            bool is_wanted = varve_barcode_equal(&page[i].barcode, wanted);
            if (is_wanted || !found || nearness(page[i].state) > nearness(ret->state))
                *ret = page[i];
            found = true;
            if (is_wanted)
                return true;
        }
    }
    return found || varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no such disc");
}

static void say(struct varve_manual_sight *ret, const char *format, ...) VARVE_PRINTF(2, 3);
static void
say(struct varve_manual_sight *ret, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(ret->text, sizeof ret->text, format, args);
    va_end(args);
}

/* A disc with an image of ours or of others. */
static bool
look_at_image(struct varve_engine *engine, struct drive *drive, const struct varve_barcode *wanted,
              struct varve_manual_sight *ret, struct varve_error *err)
{
    struct drive_source source;
    struct varve_disc_row row;
    struct varve_error why = {0};
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *disc = NULL;
    if (!drive_source_open(&source, drive_handle(drive), err))
        return false;
    if (!varve_disc_open(&source.source, &disc, &why)) {
        if (why.kind != VARVE_ERROR_WRONG_DISC) {
            *err = why;
            return false;
        }
        say(ret, "it is neither blank nor a disc of varve");
        return true;
    }
    const struct varve_disc_identity *identity = varve_disc_identity(disc);
    if (!find_by_image(engine, &identity->disc, wanted, &row, &why)) {
        if (why.kind != VARVE_ERROR_NOT_FOUND) {
            *err = why;
            return false;
        }
        say(ret, "it is disc %" PRIu32 " of set %" PRIu64 " of %s '%.40s', which is not known here",
            identity->index + 1, identity->set_number,
            varve_uuid_equal(&identity->archive, &engine->uuid) ? "this archive" : "archive",
            identity->archive_name);
        return true;
    }
    ret->barcode = row.barcode;
    ret->fits = varve_barcode_equal(&row.barcode, wanted);
    if (!ret->fits)
        say(ret, "it is disc %s", row.barcode.text);
    return true;
}

/* Nobody can tell one blank from another: each will do for a label that waits for one. */
static void
judge_blank(const struct varve_medium *medium, const struct varve_disc_row *row,
            struct varve_manual_sight *ret)
{
    char room[VARVE_TEXT_BYTES];
    char needed[VARVE_TEXT_BYTES];
    bool fresh = medium->state == VARVE_MEDIUM_BLANK;
    if (row == NULL || (row->state != VARVE_DISC_BLANK && row->state != VARVE_DISC_BURNING)) {
        say(ret, fresh ? "it is blank" : "it was begun to be written and not finished");
        return;
    }
    uint64_t clusters = row->clusters > 0 ? row->clusters : row->capacity_clusters;
    if (!fresh && row->state == VARVE_DISC_BLANK)
        say(ret, "it is not blank: it was begun to be written and not finished");
    else if (fresh && medium->capacity_clusters < clusters)
        say(ret, "it is blank and holds %s only; %s are needed",
            varve_text_bytes(medium->capacity_clusters * VARVE_CLUSTER_BYTES, room),
            varve_text_bytes(clusters * VARVE_CLUSTER_BYTES, needed));
    else
        ret->fits = true; /* of one that was begun the burn finds out whether it is the one */
    if (ret->fits)
        ret->barcode = row->barcode;
}

static bool
look(void *context, unsigned number, const struct varve_barcode *wanted,
     struct varve_manual_sight *ret, struct varve_error *err)
{
    const struct manual *manual = context;
    struct varve_engine *engine = manual->engine;
    struct drive *drive = drive_of(manual, number);
    struct varve_medium medium;
    struct varve_disc_row row;
    struct varve_error ignored = {0}; /* not known, or nothing was asked for */
    *ret = (struct varve_manual_sight){.fits = false};
    if (!varve_drive_medium(drive_handle(drive), &medium, err))
        return false;
    bool known = engine->catalog != NULL && wanted->text[0] != 0 &&
                 varve_catalog_disc_get(engine->catalog, wanted, &row, &ignored);
    switch (medium.state) {
    case VARVE_MEDIUM_BLANK:
    case VARVE_MEDIUM_APPENDABLE:
        judge_blank(&medium, known ? &row : NULL, ret);
        return true;
    case VARVE_MEDIUM_CLOSED:
        if (engine->catalog != NULL)
            return look_at_image(engine, drive, wanted, ret, err);
        break;
    case VARVE_MEDIUM_NONE:
    case VARVE_MEDIUM_OTHER:
        break;
    }
    say(ret, "it is no disc that varve can use");
    return true;
}

/* --- what the drive had better do --- */

static bool
task_waits(struct varve_engine *engine, const struct drive *drive,
           const struct varve_barcode *barcode)
{
    VARVE_LOCKED(&engine->tasks_lock);
    const struct task *task = engine->libraries[drive->library].tasks;
    for (; task != NULL; task = task->next) {
        if (task->class <= drive->class && varve_barcode_equal(&task->barcode, barcode))
            return true;
    }
    return false;
}

/* A burn or a check that asks makes way for readers, once in a while: the disc that they need was
 * not asked for yet. */
static bool
make_way(struct drive *drive)
{
    struct varve_engine *engine = drive->engine;
    struct varve_barcode one;
    int64_t now = varve_clock_monotonic(engine->clock);
    if (drive->class == TASK_RECALL || now - drive->yielded_ns < YIELD_NS ||
        recalls_wanted(engine, drive->library, &one, 1) == 0)
        return false;
    drive->yielded_ns = now;
    return true;
}

static enum varve_manual_advice
advise(void *context, unsigned number, const struct varve_barcode *wanted,
       const struct varve_barcode *here)
{
    const struct manual *manual = context;
    struct varve_engine *engine = manual->engine;
    struct drive *drive = drive_of(manual, number);
    bool yield;
    if (stopping(engine))
        return VARVE_MANUAL_STOP;
    if (engine->recalls == NULL)
        return VARVE_MANUAL_GO_ON; /* a rebuild */
    if (here != NULL)
        yield = recalls_want(engine, drive, here) || task_waits(engine, drive, here);
    else
        yield = (drive->task == NULL && !recalls_want(engine, drive, wanted)) || make_way(drive);
    return yield ? VARVE_MANUAL_YIELD : VARVE_MANUAL_GO_ON;
}

bool
manual_may_ask(struct varve_engine *engine, const struct varve_barcode *barcode,
               struct varve_error *err)
{
    struct varve_disc_row row;
    struct varve_error ignored = {0}; /* not known: asked for by its name */
    if (engine->catalog == NULL ||
        !varve_catalog_disc_get(engine->catalog, barcode, &row, &ignored) ||
        row.state != VARVE_DISC_OFFLINE)
        return true;
    varve_error_set(err, VARVE_ERROR_OFFLINE, 0, "disc '%s' is away: %s", barcode->text, row.place);
    return varve_error_hint(err, "when it is back: varve disc checkin %s", barcode->text);
}

/* --- telling --- */

static void
send(const struct manual *manual, unsigned drive, const struct varve_barcode *barcode,
     const char *event, const char *text)
{
    struct message message = {{0}};
    char place[PLACE_TEXT_BYTES];
    if (manual->teller == NULL)
        return;
    (void)place_text(manual->engine, barcode, place);
    (void)snprintf(message.event, sizeof message.event, "%s", event);
    (void)snprintf(message.library, sizeof message.library, "%s", manual->config->name);
    (void)snprintf(message.drive, sizeof message.drive, "%u", drive);
    (void)snprintf(message.disc, sizeof message.disc, "%s", barcode->text);
    (void)snprintf(message.place, sizeof message.place, "%s", place);
    (void)snprintf(message.text, sizeof message.text, "%s", text);
    teller_say(manual->teller, &message);
}

static void
tell(void *context, enum varve_manual_news news, const struct varve_manual_request *request)
{
    const struct manual *manual = context;
    char text[ASK_TEXT_BYTES];
    const char *event = NULL;
    switch (news) {
    case VARVE_MANUAL_ASKED:
        event = "ask";
        break;
    case VARVE_MANUAL_REMINDED:
        event = "remind";
        break;
    case VARVE_MANUAL_WRONG:
        event = "wrong";
        break;
    case VARVE_MANUAL_CAME:
    case VARVE_MANUAL_ENDED:
        varve_log(VARVE_LOG_INFO, "library '%s': disc '%s' %s", manual->config->name,
                  request->barcode.text,
                  news == VARVE_MANUAL_CAME ? "is there" : "is not asked for any more");
        return;
    }
    (void)ask_text(manual->engine, request, text);
    varve_log(VARVE_LOG_NOTICE, "library '%s': %s", manual->config->name, text);
    send(manual, request->drive, &request->barcode, event, text);
}

void
manual_note_burned(struct drive *drive, const struct varve_barcode *barcode)
{
    const struct manual *manual = drive->engine->libraries[drive->library].manual;
    char text[ASK_TEXT_BYTES];
    char place[PLACE_TEXT_BYTES];
    if (manual == NULL)
        return;
    (void)snprintf(text, sizeof text,
                   "the disc in drive %u is burned and verified: write %s on it%s", drive->number,
                   barcode->text, place_text(drive->engine, barcode, place));
    varve_log(VARVE_LOG_NOTICE, "library '%s': %s", manual->config->name, text);
    send(manual, drive->number, barcode, "label", text);
}

/* --- life --- */

void
manual_free(struct manual *manual)
{
    if (manual == NULL)
        return;
    teller_free(manual->teller);
    free(manual);
}
VARVE_DEFINE_CLEANUP(struct manual, manual_free)

bool
manual_attach(struct varve_engine *engine, struct varve_library_ports *ports, size_t index,
              struct manual **ret, struct varve_library **ret_library, struct varve_error *err)
{
    VARVE_CLEANUP(manual_free) struct manual *manual = calloc(1, sizeof *manual);
    if (manual == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open a library");
    manual->engine = engine;
    manual->library = index;
    manual->config = &engine->config->libraries[index];
    const struct varve_manual_options options = {manual->config->ask_timeout_ns,
                                                 manual->config->ask_reminder_ns};
    const struct varve_manual_port port = {manual, look, advise, tell};
    if (manual->config->ask_command != NULL &&
        !teller_new(manual->config->ask_command, &manual->teller, err))
        return false;
    if (!varve_library_new_manual(ports, &options, &port, engine->clock, ret_library, err))
        return false;
    *ret = VARVE_TAKE(manual);
    return true;
}
