/* manual.h - libraries without a robot, as the engine sees them: what the person is asked for and
 * told, and places of discs. */
#ifndef VARVE_ENGINE_MANUAL_H
#define VARVE_ENGINE_MANUAL_H

#include "engine_internal.h"

#include <varve/manual.h>

/* --- the port of such a library (manual.c) --- */
struct teller;
struct manual {
    struct varve_engine *engine;
    size_t library;
    const struct varve_config_library *config;
    struct teller *teller; /* NULL: no `ask_command` */
};
/* Opens library `index` of the configuration; takes the ports on success only. */
VARVE_MUST_CHECK bool
manual_attach(struct varve_engine *engine, struct varve_library_ports *ports, size_t index,
              struct manual **ret, struct varve_library **ret_library, struct varve_error *err);
void manual_free(struct manual *manual); /* after its library */
bool is_manual(const struct varve_engine *engine, size_t library);
/* OFFLINE with where it is and who has it, if the disc is away: nobody is asked for it then. */
VARVE_MUST_CHECK bool manual_may_ask(struct varve_engine *engine,
                                     const struct varve_barcode *barcode, struct varve_error *err);
/* A disc was burned and read back: tells the person what to write on it. */
void manual_note_burned(struct drive *drive, const struct varve_barcode *barcode);

/* --- telling (teller.c): runs a command for each thing to tell, one at a time --- */
struct message {
    char event[16]; /* "ask", "remind", "wrong", "label" */
    char library[64], drive[8], disc[VARVE_BARCODE_BYTES], place[200], text[640];
};
VARVE_MUST_CHECK bool teller_new(const char *command, struct teller **ret, struct varve_error *err);
/* Puts it in line; the oldest goes if there are too many. */
void teller_say(struct teller *teller, const struct message *message);
/* Ends a command that still runs. NULL is fine. */
void teller_free(struct teller *teller);

/* --- words (manual_words.c) --- */
#define PLACE_TEXT_BYTES 200
/* " (shelf A / box 3, magazine M7)", or "" if nothing is known. Returns `ret`. */
const char *place_text(struct varve_engine *engine, const struct varve_barcode *barcode,
                       char ret[PLACE_TEXT_BYTES]);
#define ASK_TEXT_BYTES 640
/* What the person is to do for a request, in one sentence. Returns `ret`. */
const char *ask_text(struct varve_engine *engine, const struct varve_manual_request *request,
                     char ret[ASK_TEXT_BYTES]);
/* Where the disc belongs, "" if that is not known. */
void disc_shelf(struct varve_engine *engine, const struct varve_barcode *barcode, char ret[96]);
/* Pure: the one with the prefix and the number after the highest in use. NO_SPACE: none is left. */
VARVE_MUST_CHECK bool
label_make(const char *prefix, uint64_t number, struct varve_barcode *ret, struct varve_error *err);
/* Pure: the number of a label with the prefix, 0: it is none of these. */
uint64_t label_number(const char *prefix, const char *label);

/* --- the order of a walk (walk.c) --- */
/* `tasks` held: the first `count` of engine->planning, of a manual library, in the order of a walk
 * that begins where the last disc came from. */
void walk_plan(struct varve_engine *engine, size_t library, size_t count);
/* A disc came: from here on. */
void walk_note(struct varve_engine *engine, size_t library, const struct varve_barcode *barcode);
/* The shelf of a disc that recalls wait for, "" if none does. */
void recalls_shelf(struct varve_engine *engine, const struct varve_barcode *barcode, char ret[96]);
/* Pure: by shelf as people count ("box 2" before "box 10"), then label. */
int
walk_compare(const char *shelf_a, const char *label_a, const char *shelf_b, const char *label_b);

/* --- requests (requests.c) --- */
/* Warnings for the status: one sentence for each library that waits for a person; false: none. */
bool requests_warning(struct varve_engine *engine, size_t library, char *ret, size_t size);
/* Discs that recalls of a library wait for; at most `max`. */
size_t
recalls_wanted(struct varve_engine *engine, size_t library, struct varve_barcode *ret, size_t max);
/* The person did not come in time: who waits for the disc of the drive is told to come again. */
void recalls_turn_away(struct varve_engine *engine, const struct drive *drive,
                       const struct varve_error *why);
/* A recall waits for the disc, and the drive will do. */
bool recalls_want(struct varve_engine *engine, const struct drive *drive,
                  const struct varve_barcode *barcode);

/* --- places (places.c) --- */
/* A disc is in a library again: no longer checked out. */
VARVE_MUST_CHECK bool
places_came_back(struct varve_engine *engine, const struct varve_barcode *barcode,
                 const char *library, struct varve_error *err);
VARVE_MUST_CHECK bool
places_note(struct varve_engine *engine, const struct varve_barcode *barcode,
            enum varve_disc_deed deed, const char *who, const char *text, struct varve_error *err);
/* SEALED, BLANK, ...: what a disc is when it is at hand again (inventory.c). */
enum varve_disc_state state_on_return(const struct varve_disc_row *disc);

#endif
