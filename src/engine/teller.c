/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the operator's `ask_command` for each thing that a person is told. A thread of its own: a
 * mail server that does not answer must not keep a drive waiting. */
#include "manual.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

enum { LINE_MAX = 16 };
#define COMMAND_NS (60 * VARVE_NS_PER_SECOND) /* then it is killed */
#define NAP_NS (20 * VARVE_NS_PER_MS)

struct teller {
    char *command;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct message line[LINE_MAX]; /* under the lock; the oldest first */
    size_t count;
    bool ending;
    pthread_t thread;
};

static bool
is_ending(struct teller *teller)
{
    VARVE_LOCKED(&teller->lock);
    return teller->ending;
}

static bool
take(struct teller *teller, struct message *ret)
{
    VARVE_LOCKED(&teller->lock);
    while (teller->count == 0 && !teller->ending)
        pthread_cond_wait(&teller->changed, &teller->lock);
    if (teller->ending)
        return false;
    *ret = teller->line[0];
    memmove(&teller->line[0], &teller->line[1], --teller->count * sizeof teller->line[0]);
    return true;
}

/* The program's own environment and what is to be told. */
enum { OWN_MAX = 6 };
struct environment {
    char own[OWN_MAX][720];
    char **all; /* malloc'd, the strings are not */
};

static bool
make_environment(const struct message *message, struct environment *ret)
{
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    (void)snprintf(ret->own[0], sizeof ret->own[0], "VARVE_EVENT=%s", message->event);
    (void)snprintf(ret->own[1], sizeof ret->own[1], "VARVE_LIBRARY=%s", message->library);
    (void)snprintf(ret->own[2], sizeof ret->own[2], "VARVE_DRIVE=%s", message->drive);
    (void)snprintf(ret->own[3], sizeof ret->own[3], "VARVE_DISC=%s", message->disc);
    (void)snprintf(ret->own[4], sizeof ret->own[4], "VARVE_PLACE=%s", message->place);
    (void)snprintf(ret->own[5], sizeof ret->own[5], "VARVE_TEXT=%s", message->text);
    ret->all = calloc(count + OWN_MAX + 1, sizeof(char *));
    if (ret->all == NULL)
        return false;
    for (size_t i = 0; i < OWN_MAX; i++)
        ret->all[i] = ret->own[i]; /* first, so that they hide older ones of the same name */
    memcpy(&ret->all[OWN_MAX], environ, count * sizeof(char *));
    return true;
}

/* In a group of its own, so that it ends with all that it started; no signal of ours blocked. */
static bool
start(const char *command, const struct message *message, pid_t *ret)
{
    static char shell[] = "/bin/sh", option[] = "-c";
    VARVE_CLEANUP_FREE char *copy = strdup(command);
    struct environment environment = {.all = NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    if (copy == NULL || !make_environment(message, &environment))
        return false;
    char *argv[] = {shell, option, copy, NULL};
    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    bool ok = posix_spawn(ret, shell, &files, &attributes, argv, environment.all) == 0;
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    free(environment.all);
    return ok;
}

static void
run(struct teller *teller, const struct message *message)
{
    struct varve_clock *clock = varve_clock_system(); /* of a program outside, whatever drives us */
    int64_t until = varve_clock_monotonic(clock) + COMMAND_NS;
    int status = 0;
    pid_t child;
    if (!start(teller->command, message, &child)) {
        varve_log(VARVE_LOG_WARNING, "library '%s': ask_command cannot be started",
                  message->library);
        return;
    }
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (is_ending(teller) || varve_clock_monotonic(clock) >= until) {
            (void)kill(-child, SIGKILL);
            (void)waitpid(child, &status, 0);
            break;
        }
        varve_clock_sleep(clock, NAP_NS);
    }
    if (!is_ending(teller) && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        varve_log(VARVE_LOG_WARNING, "library '%s': ask_command failed (%s %d)", message->library,
                  WIFEXITED(status) ? "exit status" : "signal",
                  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static void *
teller_thread(void *argument)
{
    struct teller *teller = argument;
    struct message message;
    while (take(teller, &message))
        run(teller, &message);
    return NULL;
}

bool
teller_new(const char *command, struct teller **ret, struct varve_error *err)
{
    struct teller *teller = calloc(1, sizeof *teller);
    if (teller == NULL || (teller->command = strdup(command)) == NULL) {
        free(teller);
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "ask_command");
    }
    (void)pthread_mutex_init(&teller->lock, NULL);
    (void)pthread_cond_init(&teller->changed, NULL);
    int failed = pthread_create(&teller->thread, NULL, teller_thread, teller);
    if (failed != 0) {
        free(teller->command);
        free(teller);
        return varve_error_system(err, failed, "start the thread of ask_command");
    }
    *ret = teller;
    return true;
}

void
teller_say(struct teller *teller, const struct message *message)
{
    VARVE_LOCKED(&teller->lock);
    if (teller->count == LINE_MAX)
        memmove(&teller->line[0], &teller->line[1], --teller->count * sizeof teller->line[0]);
    teller->line[teller->count++] = *message;
    pthread_cond_signal(&teller->changed);
}

void
teller_free(struct teller *teller)
{
    if (teller == NULL)
        return;
    {
        VARVE_LOCKED(&teller->lock);
        teller->ending = true;
        pthread_cond_signal(&teller->changed);
    }
    (void)pthread_join(teller->thread, NULL);
    (void)pthread_mutex_destroy(&teller->lock);
    (void)pthread_cond_destroy(&teller->changed);
    free(teller->command);
    free(teller);
}
