/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <varve/fuse.h>
#include <varve/log.h>

#include "api.h"
#include "hotplug.h"

enum { HOUSEKEEPING_SECONDS = 5 };

struct daemon {
    const struct daemon_options *options;
    struct varve_mount *mount;
    pthread_t signals; /* waits for signals, so that no handler ever runs in the middle of work */
    sigset_t waited;
    atomic_bool stopping, ended;
};

static void
stop(void *context)
{
    struct daemon *daemon = context;
    if (!atomic_exchange(&daemon->stopping, true))
        varve_mount_stop(daemon->mount);
}

static void
act_on_signal(struct daemon *daemon, int number)
{
    if (number == SIGHUP) {
        varve_log(VARVE_LOG_WARNING, "SIGHUP: reloading the configuration is not supported yet; "
                                     "umount and mount again");
        return;
    }
    varve_log(VARVE_LOG_NOTICE, "%s: stopping", number == SIGTERM ? "SIGTERM" : "SIGINT");
    stop(daemon);
}

static void *
wait_for_signals(void *context)
{
    struct daemon *daemon = context;
    const struct timespec tick = {.tv_sec = HOUSEKEEPING_SECONDS};
    while (!atomic_load(&daemon->ended)) {
        int number = sigtimedwait(&daemon->waited, NULL, &tick);
        if (number > 0 && number != SIGUSR1) /* SIGUSR1: the end was announced */
            act_on_signal(daemon, number);
        if (daemon->options->background)
            logfile_rotate(daemon->options->dir);
    }
    return NULL;
}

/* Blocked in the first thread before there are others, signals are blocked in all. */
static void
block_signals(struct daemon *daemon)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    (void)sigemptyset(&daemon->waited);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        (void)sigaddset(&daemon->waited, numbers[i]);
    (void)pthread_sigmask(SIG_BLOCK, &daemon->waited, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* All is up: from here until the end of serve, signals stop the mount. */
static bool
serve(struct daemon *daemon, struct varve_error *err)
{
    int failed = pthread_create(&daemon->signals, NULL, wait_for_signals, daemon);
    if (failed != 0)
        return varve_error_system(err, failed, "start a thread");
    bool ok = daemon->options->ready(daemon->options->context, err) &&
              varve_mount_serve(daemon->mount, err);
    atomic_store(&daemon->stopping, true); /* a late stop finds nothing to do */
    atomic_store(&daemon->ended, true);
    (void)pthread_kill(daemon->signals, SIGUSR1);
    (void)pthread_join(daemon->signals, NULL);
    return ok;
}

static bool
run_engine(struct daemon *daemon, struct ports *ports, struct varve_engine *engine,
           struct varve_error *err)
{
    const struct daemon_options *options = daemon->options;
    const struct varve_mount_options mount_options = {.mountpoint = options->mountpoint,
                                                      .source = options->dir,
                                                      .flags = options->flags,
                                                      .allow_other = options->allow_other,
                                                      .plain_type = options->plain_type,
                                                      .no_passthrough = options->no_passthrough,
                                                      .no_uring = options->no_uring,
                                                      .no_acls = options->no_acls,
                                                      .threads_max = options->threads_max};
    VARVE_CLEANUP(varve_mount_free) struct varve_mount *mount = NULL;
    if (!varve_mount_new(varve_engine_vfs(engine), &mount_options, &mount, err))
        return false;
    daemon->mount = mount;
    const struct api_options api_options = {.engine = engine,
                                            .ports = ports,
                                            .dir = options->dir,
                                            .mountpoint = options->mountpoint,
                                            .mount = mount,
                                            .stop = stop,
                                            .context = daemon};
    /* Cleanups run from the last to the first: hotplug, API, then mount; the engine is the
     * caller's. */
    VARVE_CLEANUP(api_stop) struct api *api = NULL;
    VARVE_CLEANUP(hotplug_stop) struct hotplug *hotplug = NULL;
    return api_start(&api_options, &api, err) && varve_engine_start(engine, err) &&
           hotplug_start(options->dir, engine, &hotplug, err) && serve(daemon, err);
}

/* Logins and services begin with 1024, which is for programs that call select(). Open files of
 * users and recalls in degraded sets need more; that it cannot be had is no reason not to serve. */
static void
raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

bool
daemon_run(const struct daemon_options *options, struct varve_error *err)
{
    struct daemon daemon = {.options = options};
    block_signals(&daemon);
    raise_file_limit();
    (void)umask(077); /* what the daemon makes is its owner's: backing files, socket, log */
    VARVE_CLEANUP_PORTS struct ports ports;
    ports_init(&ports);
    struct varve_engine *engine = NULL;
    if (!varve_engine_open(options->dir, &ports.engine, &engine, err))
        return false;
    bool ok = run_engine(&daemon, &ports, engine, err);
    varve_engine_close(engine);
    return ok;
}
