/* SPDX-License-Identifier: Apache-2.0 */
/* What verbs that talk with a daemon share: finding it, naming paths to it, following jobs. */
#include "client.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <varve/clock.h>
#include <varve/text.h>

#include "json.h"
#include "progress.h"

bool
session_open(struct cli *cli, const struct args *args, const char *word, struct client **ret,
             struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *archive = NULL;
    if (word == NULL)
        word = args_value(args, "archive");
    return find_archive(cli, word, &archive, err) && client_open(cli, archive, ret, err);
}

bool
session_open_paths(struct cli *cli, const struct args *args, struct client **ret,
                   json_t **ret_paths, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *archive = NULL;
    VARVE_CLEANUP_JSON json_t *paths = json_array();
    for (size_t i = 0; i < args->count; i++) {
        VARVE_CLEANUP_FREE char *other = NULL;
        VARVE_CLEANUP_FREE char *inside = NULL;
        if (!find_path(cli, args->words[i], &other, &inside, err))
            return false;
        if (archive != NULL && strcmp(archive, other) != 0)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "'%s' and '%s' are in different archives", args->words[0],
                                   args->words[i]);
        json_add(&paths, json_bytes(inside));
        if (archive == NULL)
            archive = VARVE_TAKE(other);
    }
    if (paths == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "name the paths");
    if (!client_open(cli, archive, ret, err))
        return false;
    *ret_paths = VARVE_TAKE(paths);
    return true;
}

static uint64_t
get_number(const json_t *json, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(json, key));
    return value < 0 ? 0 : (uint64_t)value;
}

static const char *
get_text(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text != NULL ? text : "";
}

static bool
is_over(const json_t *job)
{
    const char *state = get_text(job, "state");
    return strcmp(state, "done") == 0 || strcmp(state, "failed") == 0;
}

/* Where the progress of one job goes: a line that is written over on a terminal, else a line every
 * ten seconds, so that logs of cron stay short. */
struct display {
    struct progress progress;
    bool terminal;
    int64_t printed_ns;
};
enum { POLL_MS_FIRST = 50, POLL_MS_MAX = 500 };
static const int64_t plain_interval_ns = 10 * VARVE_NS_PER_SECOND;

static size_t
terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
        return 80;
    return size.ws_col;
}

static void
display_show(struct display *display, const json_t *job, int64_t now_ns)
{
    const struct progress_view view = {.text = get_text(job, "text"),
                                       .done = get_number(job, "done"),
                                       .total = get_number(job, "total"),
                                       .files_done = get_number(job, "files_done"),
                                       .files_total = get_number(job, "files_total"),
                                       .width = display->terminal ? terminal_width() : 0};
    progress_update(&display->progress, now_ns, view.done);
    char line[PROGRESS_LINE_BYTES];
    progress_line(&display->progress, &view, line);
    if (display->terminal) {
        (void)fprintf(stderr, "\r%s\033[K", line);
    } else if (now_ns - display->printed_ns >= plain_interval_ns) {
        (void)fprintf(stderr, "%s\n", line);
        display->printed_ns = now_ns;
    }
}

/* *job is replaced by its last state. */
static bool
follow(struct client *client, json_t **job, struct varve_error *err)
{
    struct varve_clock *clock = varve_clock_system();
    struct display display = {.terminal = isatty(STDERR_FILENO) == 1,
                              .printed_ns = varve_clock_monotonic(clock)};
    char url[64];
    (void)snprintf(url, sizeof url, "/v1/jobs/%" PRIu64, get_number(*job, "id"));
    int64_t poll_ms = POLL_MS_FIRST;
    while (!is_over(*job)) {
        display_show(&display, *job, varve_clock_monotonic(clock));
        varve_clock_sleep(clock, poll_ms * VARVE_NS_PER_MS);
        poll_ms = 2 * poll_ms < POLL_MS_MAX ? 2 * poll_ms : POLL_MS_MAX;
        json_t *next = NULL;
        if (!client_get(client, url, &next, err))
            return false;
        json_decref(*job);
        *job = json_incref(json_object_get(next, "job"));
        json_decref(next);
    }
    if (display.terminal)
        (void)fputs("\r\033[K", stderr);
    return true;
}

static bool
fail_with(const json_t *job, struct varve_error *err)
{
    const json_t *error = json_object_get(job, "error");
    const char *text = get_text(error, "text"), *hint = get_text(error, "hint");
    uint64_t failed = get_number(job, "files_failed");
    char files[64] = "";
    if (failed > 0)
        (void)snprintf(files, sizeof files, ", %" PRIu64 " file%s failed", failed,
                       failed == 1 ? "" : "s");
    varve_error_set(err, varve_error_kind_parse(get_text(error, "kind")), 0,
                    "job %" PRIu64 " (%s)%s: %s", get_number(job, "id"), get_text(job, "kind"),
                    files, text[0] != 0 ? text : "it does not say why");
    return hint[0] == 0 ? false : varve_error_hint(err, "%s", hint);
}

static void
print_job(const json_t *job, bool over)
{
    uint64_t id = get_number(job, "id");
    if (!over) {
        (void)printf("job %" PRIu64 " (%s) is running; follow it with: varve job %" PRIu64
                     " --wait\n",
                     id, get_text(job, "kind"), id);
        return;
    }
    char bytes[VARVE_TEXT_BYTES];
    uint64_t files = get_number(job, "files_done");
    (void)printf("%s done", get_text(job, "kind"));
    if (files > 0)
        (void)printf(": %" PRIu64 " file%s", files, files == 1 ? "" : "s");
    if (get_number(job, "done") > 0)
        (void)printf("%s %s", files > 0 ? "," : ":",
                     varve_text_bytes(get_number(job, "done"), bytes));
    (void)putchar('\n');
}

bool
session_job(struct cli *cli, struct client *client, json_t *answer, bool wait,
            struct varve_error *err)
{
    VARVE_CLEANUP_JSON json_t *owned = answer;
    VARVE_CLEANUP_JSON json_t *job = json_incref(json_object_get(owned, "job"));
    if (!json_is_object(job))
        return varve_error_set(err, VARVE_ERROR_SYSTEM, 0, "the daemon's answer has no job");
    if (wait && !follow(client, &job, err))
        return false;
    bool over = is_over(job);
    if (strcmp(get_text(job, "state"), "failed") == 0 || get_number(job, "files_failed") > 0)
        return fail_with(job, err);
    if (cli->json)
        return cli_print_json(json_pack("{s:O}", "job", job), err);
    print_job(job, over);
    return true;
}
