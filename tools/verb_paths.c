/* SPDX-License-Identifier: Apache-2.0 */
/* archive, release, recall, pin, unpin: verbs on paths in a mount. */
#include "verb.h"

#include <inttypes.h>
#include <varve/clock.h>
#include <varve/text.h>

#include "client.h"

/* POSTs {"paths": ..., and what `more` (taken, or NULL) has}. */
static bool
post_paths(struct cli *cli, const struct args *args, const char *url, json_t *more,
           struct client **ret_client, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP_JSON json_t *body = more != NULL ? more : json_object();
    json_t *paths = NULL;
    if (!session_open_paths(cli, args, ret_client, &paths, err))
        return false;
    if (json_object_set_new(body, "paths", paths) != 0)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "name the paths");
    return client_post(*ret_client, url, json_incref(body), ret, err);
}

bool
verb_archive(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    bool wait = args_flag(args, "wait");
    json_t *answer = NULL;
    return post_paths(cli, args, "/v1/archive", json_pack("{s:b}", "now", wait), &client, &answer,
                      err) &&
           session_job(cli, client, answer, wait, err);
}

bool
verb_release(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    json_t *answer = NULL;
    return post_paths(cli, args, "/v1/release", NULL, &client, &answer, err) &&
           session_job(cli, client, answer, true, err);
}

bool
verb_recall(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    json_t *answer = NULL;
    return post_paths(cli, args, "/v1/recall", NULL, &client, &answer, err) &&
           session_job(cli, client, answer, args_flag(args, "wait"), err);
}

static bool
pin(struct cli *cli, const struct args *args, const char *url, json_t *more,
    struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    if (!post_paths(cli, args, url, more, &client, &answer, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(answer), err);
    json_int_t files = json_integer_value(json_object_get(answer, "files"));
    (void)printf("%" JSON_INTEGER_FORMAT " file%s\n", files, files == 1 ? "" : "s");
    return true;
}

bool
verb_pin(struct cli *cli, const struct args *args, struct varve_error *err)
{
    const char *text = args_value(args, "for");
    if (text == NULL)
        return pin(cli, args, "/v1/pin", NULL, err);
    int64_t duration_ns = 0;
    if (!varve_text_parse_duration(text, &duration_ns, err) || duration_ns < VARVE_NS_PER_SECOND) {
        cli->exit_code = EXIT_CODE_USAGE;
        return err->kind != VARVE_ERROR_NONE
                   ? varve_error_wrap(err, "--for")
                   : varve_error_set(err, VARVE_ERROR_INVALID, 0, "--for: '%s' is too short", text);
    }
    json_int_t seconds = duration_ns / VARVE_NS_PER_SECOND;
    return pin(cli, args, "/v1/pin", json_pack("{s:I}", "seconds", seconds), err);
}

bool
verb_unpin(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return pin(cli, args, "/v1/unpin", NULL, err);
}
