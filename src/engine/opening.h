/* opening.h - libraries that come and those that are not there yet (opening.c). The engine includes
 * it by engine_internal.h. */
#ifndef VARVE_ENGINE_OPENING_H
#define VARVE_ENGINE_OPENING_H

#include <pthread.h>
#include <varve/library.h>

struct varve_engine;

/* How far a library is that is not there yet: opening.c. Under `opening_lock`. */
struct opening {
    pthread_t thread;
    bool running;
    bool trying;       /* right now */
    bool asked;        /* try at once */
    unsigned attempts; /* that are over */
    bool fatal;        /* what failed is not the library */
    bool late;         /* it came after the drives of others were started */
    struct varve_error why;
};
/* Tries each library once. One that is not there is opened by itself later; false is for what
 * waiting would not put right. */
VARVE_MUST_CHECK bool libraries_open(struct varve_engine *engine, struct varve_error *err);
/* Nothing is opened any more. */
void openings_stop(struct varve_engine *engine);
bool library_is_there(const struct varve_engine *engine, size_t library);
/* NOT_READY, never OFFLINE: it says nothing of its discs. With the reason and what to do. */
VARVE_MUST_CHECK bool
library_need(struct varve_engine *engine, size_t library, struct varve_error *err);
/* The same after another attempt, which is waited for. */
VARVE_MUST_CHECK bool
library_want(struct varve_engine *engine, size_t library, struct varve_error *err);
/* Why it is not there, in one line; "" if it is. Returns `ret`. */
const char *library_absence(struct varve_engine *engine, size_t library, char ret[200]);
/* The first that is not there, NULL: all are. */
const char *absent_library(const struct varve_engine *engine);
/* Opens library `index` of the configuration with all its drives, now or not at all: for a rebuild
 * (opening.c). */
VARVE_MUST_CHECK bool
library_attach(struct varve_engine *engine, size_t index, const struct varve_move_journal *journal,
               struct varve_error *err);
void libraries_close(struct varve_engine *engine);

#endif
