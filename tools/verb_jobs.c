/* SPDX-License-Identifier: Apache-2.0 */
/* flush, scrub, jobs, job. */
#include "verb.h"

#include <inttypes.h>
#include <string.h>
#include <varve/clock.h>
#include <varve/text.h>

#include "client.h"
#include "show.h"

static const char *
first_word(const struct args *args)
{
    return args->count > 0 ? args->words[0] : NULL;
}

static bool
start_job(struct cli *cli, const struct args *args, const char *url, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    json_t *answer = NULL;
    return session_open(cli, args, first_word(args), &client, err) &&
           client_post(client, url, json_object(), &answer, err) &&
           session_job(cli, client, answer, args_flag(args, "wait"), err);
}

bool
verb_flush(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return start_job(cli, args, "/v1/flush", err);
}

bool
verb_scrub(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return start_job(cli, args, "/v1/scrub", err);
}

static void
show_progress(struct table *table, const json_t *row, const char *key)
{
    (void)key;
    uint64_t done = show_integer(row, "done"), total = show_integer(row, "total");
    char text[VARVE_TEXT_BYTES];
    if (strcmp(show_string(row, "state"), "running") == 0 && total > 0)
        table_cell(table, "%u%%", (unsigned)((double)done * 100.0 / (double)total));
    else
        table_cell(table, "%s", done > 0 ? varve_text_bytes(done, text) : "-");
}

/* What it does; of a failed job, why. */
static void
show_story(struct table *table, const json_t *row, const char *key)
{
    const json_t *error = json_object_get(row, "error");
    if (json_is_object(error))
        table_cell(table, "%s", show_string(error, "text"));
    else
        show_text(table, row, key);
}

static const struct column columns[] = {
    {"-ID", "id", show_number},
    {"KIND", "kind", show_text},
    {"STATE", "state", show_text},
    {"-DONE", NULL, show_progress},
    {"-FILES", "files_done", show_number},
    {"-FAILED", "files_failed", show_number},
    {"STARTED", "started", show_text},
    {"WHAT", "text", show_story},
    {NULL, NULL, NULL},
};

bool
verb_jobs(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    bool watch = args_flag(args, "watch");
    if (watch && cli->json)
        return cli_usage(cli, err, "jobs: --watch has no end, --json prints one document");
    if (!session_open(cli, args, first_word(args), &client, err))
        return false;
    bool terminal = isatty(STDOUT_FILENO) == 1;
    for (;;) {
        if (watch && terminal)
            (void)fputs("\033[H\033[2J", stdout);
        if (!show_list(cli, client, "/v1/jobs", "jobs", columns, "no jobs yet", err))
            return false;
        if (!watch)
            return true;
        varve_clock_sleep(varve_clock_system(), VARVE_NS_PER_SECOND);
    }
}

bool
verb_job(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    uint64_t id = 0;
    if (!varve_text_parse_number(args->words[0], INT64_MAX, &id, err)) {
        cli->exit_code = EXIT_CODE_USAGE;
        return varve_error_wrap(err, "job");
    }
    char url[64];
    (void)snprintf(url, sizeof url, "/v1/jobs/%" PRIu64, id);
    if (!session_open(cli, args, NULL, &client, err) || !client_get(client, url, &answer, err))
        return false;
    if (args_flag(args, "wait"))
        return session_job(cli, client, json_incref(answer), true, err);
    if (cli->json)
        return cli_print_json(json_incref(answer), err);
    VARVE_CLEANUP_JSON json_t *one = json_pack("[O]", json_object_get(answer, "job"));
    return show_rows(one, columns, "", err);
}
