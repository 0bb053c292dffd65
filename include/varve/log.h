/* log.h - one line per event to stderr, with sd-daemon(3) priority prefixes. Any thread.
 *
 * Only engine jobs, fs and tools log, once, where an error stops; modules return errors instead.
 * The level is VARVE_LOG=error|warning|notice|info|debug in the environment (default notice). Lines
 * that repeat in a burst are dropped and counted (at most 200 a second), so no fault can fill a
 * disk with log. */
#ifndef VARVE_LOG_H
#define VARVE_LOG_H

#include <stdbool.h>
#include <varve/cleanup.h>

enum varve_log_level {
    VARVE_LOG_ERROR = 3,   /* somebody must act */
    VARVE_LOG_WARNING = 4, /* varve coped; the text says how */
    VARVE_LOG_NOTICE = 5,  /* life of a disc: loaded, sealed, quarantined */
    VARVE_LOG_INFO = 6,    /* jobs */
    VARVE_LOG_DEBUG = 7,
};

void varve_log(enum varve_log_level level, const char *format, ...) VARVE_PRINTF(2, 3);

#endif
