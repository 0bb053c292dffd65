/* SPDX-License-Identifier: Apache-2.0 */
/* drive list, drive clear, drive retire. */
#include "verb.h"

#include <limits.h>
#include <string.h>
#include <varve/text.h>

#include "client.h"
#include "show.h"

static const struct column drive_columns[] = {
    {"LIBRARY", "library", show_text},    {"-DRIVE", "drive", show_number},
    {"MODEL", "model", show_text},        {"SERIAL", "serial", show_text},
    {"STATE", "state", show_text},        {"DISC", "disc", show_text},
    {"WORK", "work", show_text},          {"-LOADS", "loads", show_number},
    {"-RETRIES", "retries", show_number}, {"-BLAMED", "incidents", show_number},
    {"REASON", "reason", show_text},      {NULL, NULL, NULL},
};

bool
verb_drive_list(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    return session_open(cli, args, args->count > 0 ? args->words[0] : NULL, &client, err) &&
           show_list(cli, client, "/v1/drives", "drives", drive_columns, "no drives", err);
}

/* POSTs {"drive", "library", "reason"} and prints what comes back: that drive. */
static bool
act(struct cli *cli, const struct args *args, const char *url, const char *reason,
    struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    const char *library = args_value(args, "library");
    uint64_t drive = 0;
    if (!varve_text_parse_number(args->words[0], USHRT_MAX, &drive, err)) {
        cli->exit_code = EXIT_CODE_USAGE;
        return varve_error_wrap(err, "drive");
    }
    json_t *body = json_pack("{s:I}", "drive", (json_int_t)drive);
    if (library != NULL)
        (void)json_object_set_new(body, "library", json_string(library));
    if (reason != NULL)
        (void)json_object_set_new(body, "reason", json_string(reason));
    VARVE_CLEANUP_JSON json_t *owned = body;
    if (!session_open(cli, args, NULL, &client, err) ||
        !client_post(client, url, json_incref(owned), &answer, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(answer), err);
    return show_rows(json_object_get(answer, "drives"), drive_columns, "no drives", err);
}

bool
verb_drive_clear(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return act(cli, args, "/v1/drives/clear", NULL, err);
}

bool
verb_drive_retire(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return act(cli, args, "/v1/drives/retire", args_value(args, "reason"), err);
}
