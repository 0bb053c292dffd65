/* SPDX-License-Identifier: Apache-2.0 */
/* Opening libraries, those too that are not there when the archive is opened: a thread each tries
 * again until its library is there. Nothing is said of discs before that: none is lost because the
 * changer is switched off. */
#include "manual.h"

#include <string.h>
#include <time.h>

enum {
    START_SECONDS = 5,  /* that the start waits for a library that does not answer */
    READY_SECONDS = 10, /* ... and an attempt for one that counts its discs or is open */
    AGAIN_SECONDS = 2,  /* to the second attempt; twice as long to each further one ... */
    AGAIN_SECONDS_MAX = 60,
    WANT_SECONDS = 60, /* that a verb waits for an attempt */
};

/* --- the journal of moves --- */

static bool
journal_intend(void *context, const char *library, const struct varve_barcode *barcode,
               uint16_t from, uint16_t to, uint64_t *ret_id, struct varve_error *err)
{
    struct varve_engine *engine = context;
    struct varve_move move = {.barcode = *barcode,
                              .from = from,
                              .to = to,
                              .started_ns = varve_clock_realtime(engine->clock)};
    (void)snprintf(move.library, sizeof move.library, "%s", library);
    return varve_catalog_move_begin(engine->catalog, &move, ret_id, err) &&
           varve_catalog_sync(engine->catalog, err);
}

static bool
journal_done(void *context, uint64_t id, struct varve_error *err)
{
    struct varve_engine *engine = context;
    return varve_catalog_move_done(engine->catalog, id, err);
}

/* Moves that a crash left open: the inventory, read from the hardware, tells where the discs are;
 * the rows are done with. */
static bool
settle_moves(struct varve_engine *engine, const char *name, struct varve_error *err)
{
    for (;;) {
        struct varve_move moves[16];
        size_t count;
        if (!varve_catalog_moves_open(engine->catalog, name, moves, 16, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            varve_log(VARVE_LOG_WARNING,
                      "library '%s': a move of disc '%s' from %u to %u was cut off; its place was "
                      "read anew",
                      name, moves[i].barcode.text, moves[i].from, moves[i].to);
            if (!varve_catalog_move_done(engine->catalog, moves[i].id, err))
                return false;
        }
        if (count == 0)
            return true;
    }
}

/* --- one attempt --- */

static void
ports_done(struct varve_library_ports *ports)
{
    if (ports->changer != NULL)
        ports->changer->close(ports->changer);
    for (size_t i = 0; i < ports->drive_count; i++)
        ports->drives[i]->close(ports->drives[i]);
    free(ports->drives);
}

/* Kept by the drives, and told to them with each disc. */
static void
set_drives(struct varve_library *library, const struct varve_config_library *config)
{
    const struct varve_drive_settings settings = {
        .read_speed = (uint32_t)(config->read_speed / 1000),
        .write_speed = (uint32_t)(config->burn_speed / 1000),
        .spares = config->spares,
    };
    for (unsigned i = 0; i < varve_library_drive_count(library); i++)
        varve_drive_set(varve_library_drive(library, i), &settings);
}

/* What is opened and nobody sees yet. */
struct opened {
    struct varve_library *library;
    struct manual *manual;
};

static void
opened_done(struct opened *opened)
{
    varve_library_free(opened->library);
    manual_free(opened->manual);
}

static bool
open_one(struct varve_engine *engine, size_t index, const struct varve_move_journal *journal,
         int64_t ready_ns, struct opened *ret, struct varve_error *err)
{
    const struct varve_config_library *config = &engine->config->libraries[index];
    struct varve_library_ports scsi = {0};
    if (!engine->ports.open_library(engine->ports.context, engine->config, index, &scsi, err))
        return varve_error_wrap(err, "library '%s'", config->name);
    scsi.name = config->name;
    scsi.timeouts = config->timeouts;
    scsi.ready_ns = ready_ns;
    scsi.stop = &engine->stopping;
    bool ok = config->kind == VARVE_LIBRARY_MANUAL
                  ? manual_attach(engine, &scsi, index, &ret->manual, &ret->library, err)
                  : varve_library_new(&scsi, journal, engine->clock, &ret->library, err);
    if (!ok) {
        ports_done(&scsi);
        return varve_error_wrap(err, "library '%s'", config->name);
    }
    free(scsi.drives); /* the ports are the library's now, the array is ours */
    set_drives(ret->library, config);
    return true;
}

/* --- its drives --- */

/* `opening_lock` held. A drive is seen by others once it is counted. */
static bool
add_drive(struct varve_engine *engine, size_t library, unsigned number, struct varve_error *err)
{
    struct drive *drive = &engine->drives[engine->drive_count];
    *drive = (struct drive){
        .engine = engine, .library = library, .number = number, .served_ns = INT64_MIN};
    if (!health_open(drive, err))
        return false;
    VARVE_LOCKED(&engine->tasks_lock);
    engine->drive_count++;
    return true;
}

static bool
add_drives(struct varve_engine *engine, size_t library, struct varve_error *err)
{
    unsigned count = varve_library_drive_count(engine->libraries[library].library);
    VARVE_LOCKED(&engine->opening_lock);
    size_t first = engine->drive_count;
    engine->libraries[library].opening.late = engine->drives_run;
    if (count > SCHEDULE_DRIVES_MAX)
        varve_log(VARVE_LOG_WARNING, "library '%s' has %u drives; %d of them are used",
                  engine->libraries[library].name, count, SCHEDULE_DRIVES_MAX);
    for (unsigned number = 0;
         number < count && number < SCHEDULE_DRIVES_MAX && engine->drive_count < DRIVES_MAX;
         number++) {
        if (!add_drive(engine, library, number, err))
            return false;
    }
    for (size_t i = first; i < engine->drive_count; i++) {
        if (engine->drives_run && !stopping(engine) && !drive_start(&engine->drives[i], err))
            return false;
    }
    return true;
}

/* --- from not there to there --- */

bool
library_is_there(const struct varve_engine *engine, size_t library)
{
    return engine->libraries[library].library != NULL;
}

/* Work that waited goes on. `err`: the library is there all the same. */
static bool
publish(struct varve_engine *engine, size_t index, const struct opened *opened,
        struct varve_error *err)
{
    struct library *library = &engine->libraries[index];
    library->manual = opened->manual;
    library->library = opened->library;
    bool ok = add_drives(engine, index, err);
    atomic_store(&engine->came, true);
    drives_wake(engine);
    return ok;
}

/* *ret_fatal: it failed for what is not the library's: the catalog, memory, or what varve.conf
 * says. */
static bool
attempt(struct varve_engine *engine, size_t index, bool *ret_fatal, struct varve_error *err)
{
    const struct varve_move_journal journal = {.context = engine,
                                               .intend = journal_intend,
                                               .done = journal_done,
                                               .remember = elements_remember,
                                               .records = elements_records};
    struct opened opened = {NULL, NULL};
    bool is_scsi = engine->config->libraries[index].kind == VARVE_LIBRARY_SCSI;
    if (!open_one(engine, index, &journal, READY_SECONDS * VARVE_NS_PER_SECOND, &opened, err)) {
        /* Of devices, also "it is no changer": numbers of devices change while one is off. */
        *ret_fatal =
            err->kind == VARVE_ERROR_NOMEM || (err->kind == VARVE_ERROR_INVALID && !is_scsi);
        return false;
    }
    *ret_fatal = true;
    if (settle_moves(engine, engine->libraries[index].name, err) &&
        inventory_take(engine, index, opened.library, err))
        return publish(engine, index, &opened, err);
    opened_done(&opened);
    return false;
}

/* --- trying again --- */

/* One line, with what to do, without the name of the library, which is said before. */
static const char *
reason_of(const struct varve_engine *engine, size_t index, const struct varve_error *why,
          char ret[200])
{
    char prefix[80];
    const char *text = why->text;
    size_t length =
        (size_t)snprintf(prefix, sizeof prefix, "library '%s': ", engine->libraries[index].name);
    while (strncmp(text, prefix, length) == 0)
        text += length;
    const char *hint = strstr(text, "\nhint: ");
    hint = hint != NULL ? hint + strlen("\nhint: ") : "";
    (void)snprintf(ret, 200, "%.*s%s%.*s", (int)strcspn(text, "\n"), text, hint[0] != 0 ? ": " : "",
                   (int)strcspn(hint, "\n"), hint);
    return ret;
}

static void
tell_absent(struct varve_engine *engine, size_t index, const struct varve_error *why)
{
    char text[200];
    const char *name = engine->libraries[index].name;
    varve_log(VARVE_LOG_WARNING,
              "library '%s' is offline: %s\nhint: put that right: it is then opened by itself, at "
              "once by 'varve library resume %s'; until then its discs are not read or burned",
              name, reason_of(engine, index, why, text), name);
}

static void
note_attempt(struct varve_engine *engine, size_t index, bool fatal, const struct varve_error *why)
{
    struct opening *opening = &engine->libraries[index].opening;
    bool news;
    bool gives_up; /* the archive is not opened: whoever wanted that tells why */
    {
        VARVE_LOCKED(&engine->opening_lock);
        /* The first one may have been told before the log was opened: to whoever mounts. */
        news = strcmp(opening->why.text, why->text) != 0 || opening->attempts == 1;
        gives_up = fatal && opening->attempts == 0;
        opening->trying = false;
        opening->fatal = fatal;
        opening->why = *why;
        opening->attempts++;
        pthread_cond_broadcast(&engine->opening_changed);
    }
    if (library_is_there(engine, index) || !news || gives_up || stopping(engine))
        return;
    tell_absent(engine, index, why);
}

/* Lock held. */
static void
wait_until(struct varve_engine *engine, const struct timespec *until)
{
    (void)pthread_cond_clockwait(&engine->opening_changed, &engine->opening_lock, CLOCK_MONOTONIC,
                                 until); /* too early: the loop looks again */
}

static struct timespec
in_seconds(unsigned seconds)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    return until;
}

static bool
has_come(const struct timespec *until)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > until->tv_sec ||
           (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

/* False: stop. */
static bool
wait_for_turn(struct varve_engine *engine, struct opening *opening)
{
    unsigned seconds = AGAIN_SECONDS_MAX;
    if (opening->attempts < 6)
        seconds = (unsigned)AGAIN_SECONDS << (opening->attempts - 1);
    const struct timespec until =
        in_seconds(seconds < AGAIN_SECONDS_MAX ? seconds : AGAIN_SECONDS_MAX);
    VARVE_LOCKED(&engine->opening_lock);
    while (!stopping(engine) && !opening->asked && !has_come(&until))
        wait_until(engine, &until);
    opening->asked = false;
    opening->trying = true;
    return !stopping(engine);
}

static void
tell_there(struct varve_engine *engine, size_t index)
{
    const char *name = engine->libraries[index].name;
    struct varve_error err = {0};
    varve_log(VARVE_LOG_NOTICE, "library '%s' is there: its discs are read and burned again", name);
    if (!repairs_resume(engine, name, &err))
        warning_set(engine, "repairs in library '%.40s': %s", name, err.text);
}

static void *
opening_thread(void *argument)
{
    struct library *library = argument;
    struct varve_engine *engine = library->engine;
    size_t index = (size_t)(library - engine->libraries);
    do {
        struct varve_error err = {0};
        bool fatal = false;
        bool ok = attempt(engine, index, &fatal, &err);
        if (ok)
            err = (struct varve_error){0};
        else if (library_is_there(engine, index)) /* without some of its drives */
            warning_set(engine, "library '%.40s': %s", library->name, err.text);
        note_attempt(engine, index, fatal && !ok, &err);
        if (library_is_there(engine, index)) {
            if (library->opening.late)
                tell_there(engine, index);
            return NULL;
        }
    } while (wait_for_turn(engine, &library->opening));
    return NULL;
}

/* --- life --- */

static void
describe(struct varve_engine *engine, size_t index)
{
    const struct varve_config_library *config = &engine->config->libraries[index];
    struct library *library = &engine->libraries[index];
    library->engine = engine;
    (void)snprintf(library->name, sizeof library->name, "%s", config->name);
    library->has_no_robot = config->kind == VARVE_LIBRARY_MANUAL;
    library->recall_drives = config->recall_drives;
    library->no_burning = config->no_burning;
    library->again_ns = INT64_MAX;
    library->load_ns = LOAD_GUESS_NS;
    for (int class = 0; class < TASK_CLASSES; class ++)
        library->began_ns[class] = INT64_MIN;
}

static bool
check_count(const struct varve_engine *engine, struct varve_error *err)
{
    return engine->config->library_count <= LIBRARIES_MAX ||
           varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %d libraries", LIBRARIES_MAX);
}

/* One after the other, so that drives have the order of varve.conf. */
static bool
open_first(struct varve_engine *engine, size_t index, struct varve_error *err)
{
    struct library *library = &engine->libraries[index];
    struct opening *opening = &library->opening;
    const struct timespec until = in_seconds(START_SECONDS);
    opening->trying = true;
    (void)varve_error_set(&opening->why, VARVE_ERROR_NOT_READY, 0,
                          "it is being opened, and has not answered yet");
    int failed = pthread_create(&opening->thread, NULL, opening_thread, library);
    if (failed != 0)
        return varve_error_system(err, failed, "start a thread to open library '%s'",
                                  library->name);
    opening->running = true;
    VARVE_LOCKED(&engine->opening_lock);
    while (opening->attempts == 0 && !has_come(&until))
        wait_until(engine, &until);
    if (!opening->fatal)
        return true;
    *err = opening->why;
    return false;
}

bool
libraries_open(struct varve_engine *engine, struct varve_error *err)
{
    if (!check_count(engine, err))
        return false;
    for (size_t i = 0; i < engine->config->library_count; i++)
        describe(engine, i);
    engine->library_count = engine->config->library_count;
    for (size_t i = 0; i < engine->library_count; i++) {
        if (!open_first(engine, i, err))
            return false;
    }
    return true;
}

bool
library_attach(struct varve_engine *engine, size_t index, const struct varve_move_journal *journal,
               struct varve_error *err)
{
    struct opened opened = {NULL, NULL};
    if (!check_count(engine, err) || !open_one(engine, index, journal, 0, &opened, err))
        return false;
    describe(engine, index);
    engine->libraries[index].manual = opened.manual;
    engine->libraries[index].library = opened.library;
    engine->library_count = index + 1;
    return true;
}

void
openings_stop(struct varve_engine *engine)
{
    {
        VARVE_LOCKED(&engine->opening_lock);
        pthread_cond_broadcast(&engine->opening_changed);
    }
    for (size_t i = 0; i < engine->library_count; i++) {
        struct opening *opening = &engine->libraries[i].opening;
        if (opening->running)
            (void)pthread_join(opening->thread, NULL);
        opening->running = false;
    }
}

void
libraries_close(struct varve_engine *engine)
{
    for (size_t i = 0; i < engine->library_count; i++) {
        varve_library_free(engine->libraries[i].library);
        manual_free(engine->libraries[i].manual);
    }
    engine->library_count = 0;
    free(engine->planning);
    free(engine->planning_tasks);
}

/* --- for all others --- */

const char *
library_absence(struct varve_engine *engine, size_t library, char ret[200])
{
    ret[0] = 0;
    VARVE_LOCKED(&engine->opening_lock);
    if (!library_is_there(engine, library))
        (void)reason_of(engine, library, &engine->libraries[library].opening.why, ret);
    return ret;
}

const char *
absent_library(const struct varve_engine *engine)
{
    for (size_t i = 0; i < engine->library_count; i++) {
        if (!library_is_there(engine, i))
            return engine->libraries[i].name;
    }
    return NULL;
}

bool
library_need(struct varve_engine *engine, size_t library, struct varve_error *err)
{
    char why[200];
    const char *name = engine->libraries[library].name;
    if (library_is_there(engine, library))
        return true;
    varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "library '%s' is offline: %s", name,
                    library_absence(engine, library, why));
    return varve_error_hint(err,
                            "put that right: it is then opened by itself, at once by 'varve "
                            "library resume %s'",
                            name);
}

bool
library_want(struct varve_engine *engine, size_t library, struct varve_error *err)
{
    struct opening *opening = &engine->libraries[library].opening;
    if (!library_is_there(engine, library)) {
        const struct timespec until = in_seconds(WANT_SECONDS);
        VARVE_LOCKED(&engine->opening_lock);
        /* One that began before may not have seen what was put right. */
        unsigned after = opening->attempts + (opening->trying ? 2 : 1);
        opening->asked = true;
        pthread_cond_broadcast(&engine->opening_changed);
        while (!stopping(engine) && !library_is_there(engine, library) &&
               opening->attempts < after && !has_come(&until))
            wait_until(engine, &until);
    }
    return library_need(engine, library, err);
}

void
varve_engine_library_retry(struct varve_engine *engine, const char *library)
{
    size_t index;
    struct varve_error ignored = {0}; /* no library of ours came */
    if (!library_index(engine, library, &index, &ignored))
        return;
    VARVE_LOCKED(&engine->opening_lock);
    engine->libraries[index].opening.asked = !library_is_there(engine, index);
    pthread_cond_broadcast(&engine->opening_changed);
}
