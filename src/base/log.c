/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/clock.h>
#include <varve/log.h>
#include <varve/text.h>

#include <stdarg.h>
#include <string.h>
#include <time.h>

enum { LINES_PER_SECOND_MAX = 200 };

static enum varve_log_level
level_from_environment(void)
{
    static const struct {
        const char *name;
        enum varve_log_level level;
    } names[] = {{"error", VARVE_LOG_ERROR},
                 {"warning", VARVE_LOG_WARNING},
                 {"notice", VARVE_LOG_NOTICE},
                 {"info", VARVE_LOG_INFO},
                 {"debug", VARVE_LOG_DEBUG}};
    const char *wanted = getenv("VARVE_LOG");
    for (size_t i = 0; wanted != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].name, wanted) == 0)
            return names[i].level;
    }
    return VARVE_LOG_NOTICE;
}

/* True if this second still has room; *ret_dropped is what the seconds before lost. */
static bool
admit(unsigned *ret_dropped)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static time_t second;
    static unsigned lines;
    static unsigned dropped;
    VARVE_LOCKED(&lock);
    time_t now = time(NULL);
    *ret_dropped = 0;
    if (now != second) {
        *ret_dropped = dropped;
        second = now;
        lines = dropped = 0;
    }
    if (lines < LINES_PER_SECOND_MAX) {
        lines++;
        return true;
    }
    dropped++;
    return false;
}

void
varve_log(enum varve_log_level level, const char *format, ...)
{
    unsigned dropped;
    if (level > level_from_environment() || !admit(&dropped))
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *c = line; *c != 0; c++) {
        if (*c == '\n') /* one event, one line: hints stand on a second one elsewhere */
            *c = ' ';
    }
    if (dropped > 0)
        (void)fprintf(stderr, "<4>varve: %u log lines dropped\n", dropped);
    char now[VARVE_TEXT_TIME_BYTES];
    varve_text_time(varve_clock_realtime(varve_clock_system()), now);
    (void)fprintf(stderr, "<%d>%s varve: %s\n", (int)level, now, line);
}
