/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_mount.h"

#include <signal.h>

static sigset_t
end_signals(void)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    return signals;
}

void
serve_block_signals(void)
{
    const sigset_t signals = end_signals();
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static void *
wait_for_signal(void *context)
{
    const sigset_t signals = end_signals();
    int number = 0;
    (void)sigwait(&signals, &number); /* cannot fail for these */
    varve_mount_stop(context);
    return NULL;
}

bool
serve_mount(struct varve_mount *mount, struct varve_error *err)
{
    pthread_t waiter;
    int sys = pthread_create(&waiter, NULL, wait_for_signal, mount);
    if (sys != 0)
        return varve_error_system(err, sys, "start a thread");
    bool ok = varve_mount_serve(mount, err);
    (void)pthread_kill(waiter, SIGTERM); /* unmounted from outside: it waits still */
    (void)pthread_join(waiter, NULL);
    return ok;
}
