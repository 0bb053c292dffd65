/* daemon.h - one archive at work: engine, mount and API, from start to stop. The calling thread
 * serves; it must be the only one of the process when daemon_run() is called. */
#ifndef VARVE_TOOLS_DAEMON_H
#define VARVE_TOOLS_DAEMON_H

#include <varve/error.h>

struct daemon_options {
    const char *dir;        /* of the archive, absolute */
    const char *mountpoint; /* absolute */
    unsigned long flags;    /* MS_* of mount(2) */
    bool allow_other, plain_type;
    bool no_passthrough, no_uring, no_acls;
    unsigned threads_max; /* 0: the default */
    bool background;      /* keeps dir/varve.log within its bounds */
    /* Called once when everything is up, before requests are served. False stops the daemon. */
    bool (*ready)(void *context, struct varve_error *err);
    void *context;
};
/* Returns when unmounted, stopped by SIGTERM, SIGINT or the API, or if the start failed: then
 * nothing is left behind. BUSY: another process has the archive or the mount point. */
VARVE_MUST_CHECK bool daemon_run(const struct daemon_options *options, struct varve_error *err);

/* --- the log of a daemon in the background --- */
#define LOG_FILE "varve.log"
#define LOG_BYTES_MAX (8u << 20)
/* Points stdout and stderr at dir/varve.log. */
VARVE_MUST_CHECK bool logfile_open(const char *dir, struct varve_error *err);
/* Starts a new file when the log has grown over LOG_BYTES_MAX; one old one is kept. Called every
 * few seconds: varve_log() lets through at most 200 lines a second. */
void logfile_rotate(const char *dir);

#endif
