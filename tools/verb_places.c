/* SPDX-License-Identifier: Apache-2.0 */
/* What persons are asked for and answer, and where they keep discs. */
#include "verb.h"

#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <varve/text.h>

#include "client.h"
#include "show.h"

/* --- requests --- */

static void
show_place(struct table *table, const json_t *row, const char *key)
{
    const char *shelf = show_string(row, "shelf");
    const char *magazine = show_string(row, "magazine");
    (void)key;
    if (strcmp(magazine, "-") == 0)
        table_cell(table, "%s", shelf);
    else if (strcmp(shelf, "-") == 0)
        table_cell(table, "magazine %s", magazine);
    else
        table_cell(table, "%s, magazine %s", shelf, magazine);
}

static void
show_label(struct table *table, const json_t *row, const char *key)
{
    bool blank = json_is_true(json_object_get(row, "blank"));
    table_cell(table, blank ? "a blank, becomes %s" : "%s", show_string(row, key));
}

static const struct column request_columns[] = {
    {"DISC", "barcode", show_label},     {"PLACE", NULL, show_place},
    {"LIBRARY", "library", show_text},   {"-DRIVE", "drive", show_number},
    {"FOR", "what", show_text},          {"SINCE", "since", show_text},
    {"LAST CAME", "problem", show_text}, {NULL, NULL, NULL},
};

bool
verb_library_requests(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    char url[512] = "/v1/requests";
    if (args->count > 0) {
        VARVE_CLEANUP_FREE char *name = client_encode(args->words[0]);
        if (name == NULL || strlen(name) > 200)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.64s' is no library",
                                   args->words[0]);
        (void)snprintf(url, sizeof url, "/v1/requests?library=%s", name);
    }
    return session_open(cli, args, NULL, &client, err) &&
           show_list(cli, client, url, "requests", request_columns, "no disc is asked for", err);
}

/* The manual library meant: --library, else the first one that asks for something, else "" lets the
 * daemon say. */
static bool
library_url(struct client *client, const struct args *args, const char *act, char ret[512],
            struct varve_error *err)
{
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    const char *name = args_value(args, "library");
    if (name == NULL) {
        if (!client_get(client, "/v1/libraries", &answer, err))
            return false;
        size_t index;
        const json_t *each;
        json_array_foreach(json_object_get(answer, "libraries"), index, each)
        {
            if (name == NULL && strcmp(show_string(each, "kind"), "manual") == 0)
                name = json_string_value(json_object_get(each, "name"));
        }
    }
    if (name == NULL)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "this archive has no manual library");
    VARVE_CLEANUP_FREE char *encoded = client_encode(name);
    int length = encoded != NULL ? snprintf(ret, 512, "/v1/libraries/%s/%s", encoded, act) : 512;
    return length < 512 ||
           varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.64s' is no library", name);
}

bool
verb_library_insert(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    char url[512];
    uint64_t drive = 0;
    if (!varve_text_parse_number(args->words[0], USHRT_MAX, &drive, err)) {
        cli->exit_code = EXIT_CODE_USAGE;
        return varve_error_wrap(err, "drive");
    }
    if (!session_open(cli, args, NULL, &client, err) ||
        !library_url(client, args, "inserted", url, err) ||
        !client_post(client, url, json_pack("{s:I}", "drive", (json_int_t)drive), &answer, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(answer), err);
    const char *barcode = show_string(answer, "barcode");
    if (json_is_true(json_object_get(answer, "waiting")))
        (void)printf("drive %" PRIu64 " looks at it; 'varve library requests' tells what is wrong "
                     "if it is\n",
                     drive);
    else if (strcmp(barcode, "-") != 0)
        (void)printf("drive %" PRIu64 " has disc %s\n", drive, barcode);
    else
        (void)printf("drive %" PRIu64 ": %s\n", drive, show_string(answer, "text"));
    return true;
}

/* --- who --- */

/* --who, else the user's name. */
static const char *
find_who(const struct args *args, char buffer[1024])
{
    struct passwd entry;
    struct passwd *found = NULL;
    const char *who = args_value(args, "who");
    if (who != NULL)
        return who;
    if (getpwuid_r(getuid(), &entry, buffer, 1024, &found) == 0 && found != NULL)
        return found->pw_name;
    return "";
}

bool
verb_library_refuse(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    VARVE_CLEANUP_FREE char *label = client_encode(args->words[0]);
    char buffer[1024];
    char url[512];
    if (label == NULL || snprintf(url, sizeof url, "/v1/discs/%s/refuse", label) >= 512)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.64s' is no label", args->words[0]);
    json_t *body = json_pack("{s:s}", "who", find_who(args, buffer));
    if (args->count > 1)
        (void)json_object_set_new(body, "why", json_string(args->words[1]));
    if (!session_open(cli, args, NULL, &client, err)) {
        json_decref(body);
        return false;
    }
    if (!client_post(client, url, body, &answer, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(answer), err);
    (void)printf("disc %s is given up; the rest of its set serves, as far as that goes\n",
                 args->words[0]);
    return true;
}

/* --- places --- */

struct change {
    const char *deed, *text;
    size_t first, count; /* labels among the words */
    const char *done;    /* "%d discs DONE" */
};

static bool
post_change(struct cli *cli, const struct args *args, const struct change *change,
            struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    const char *magazine = args_value(args, "magazine");
    char buffer[1024];
    if (!session_open(cli, args, NULL, &client, err))
        return false;
    json_t *labels = json_array();
    for (size_t i = 0; i < change->count; i++)
        json_add(&labels, json_string(args->words[change->first + i]));
    json_t *body = json_pack("{s:s, s:s, s:s, s:o}", "deed", change->deed, "text", change->text,
                             "who", find_who(args, buffer), "discs", labels);
    if (magazine != NULL)
        (void)json_object_set_new(body, "magazine", json_string(magazine));
    if (!client_post(client, "/v1/places", body, &answer, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(answer), err);
    uint64_t count = show_integer(answer, "discs");
    (void)printf("%" PRIu64 " disc%s %s\n", count, count == 1 ? "" : "s", change->done);
    return true;
}

bool
verb_disc_place(struct cli *cli, const struct args *args, struct varve_error *err)
{
    const struct change change = {.deed = "placed",
                                  .text = args->words[args->count - 1],
                                  .count = args->count - 1,
                                  .done = "placed"};
    return post_change(cli, args, &change, err);
}

bool
verb_disc_magazine(struct cli *cli, const struct args *args, struct varve_error *err)
{
    bool none = strcmp(args->words[0], "-") == 0;
    const struct change change = {.deed = "magazine",
                                  .text = none ? "" : args->words[0],
                                  .first = 1,
                                  .count = args->count - 1,
                                  .done = none ? "taken out" : "put into it"};
    return post_change(cli, args, &change, err);
}

bool
verb_disc_checkout(struct cli *cli, const struct args *args, struct varve_error *err)
{
    const char *to = args_value(args, "to");
    const struct change change = {
        .deed = "checked out", .text = to, .count = args->count, .done = "checked out"};
    return to != NULL ? post_change(cli, args, &change, err)
                      : cli_usage(cli, err, "--to is missing: where to?");
}

bool
verb_disc_checkin(struct cli *cli, const struct args *args, struct varve_error *err)
{
    const struct change change = {
        .deed = "checked in", .text = "", .count = args->count, .done = "checked in"};
    return post_change(cli, args, &change, err);
}

static const struct column event_columns[] = {
    {"AT", "at", show_text},     {"WHAT", "deed", show_text}, {"WHO", "who", show_text},
    {"NOTE", "text", show_text}, {NULL, NULL, NULL},
};

bool
verb_disc_history(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_FREE char *label = client_encode(args->words[0]);
    char url[512];
    if (label == NULL || snprintf(url, sizeof url, "/v1/discs/%s/history", label) >= 512)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.64s' is no label", args->words[0]);
    return session_open(cli, args, NULL, &client, err) &&
           show_list(cli, client, url, "events", event_columns, "nothing is noted of it", err);
}

static const struct column magazine_columns[] = {
    {"MAGAZINE", "magazine", show_text},
    {"DISC", "barcode", show_text},
    {"SHELF", "shelf", show_text},
    {"AWAY AT", "site", show_text},
    {"WITH", "who", show_text},
    {"SINCE", "since", show_text},
    {NULL, NULL, NULL},
};

bool
verb_magazine_list(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    VARVE_CLEANUP_JSON json_t *rows = json_array();
    if (!session_open(cli, args, args->count > 0 ? args->words[0] : NULL, &client, err) ||
        !client_get(client, "/v1/magazines", &answer, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(answer), err);
    size_t m, d;
    const json_t *magazine;
    json_t *disc;
    json_array_foreach(json_object_get(answer, "magazines"), m, magazine)
        json_array_foreach(json_object_get(magazine, "discs"), d, disc)(void)
            json_array_append(rows, disc);
    return show_rows(rows, magazine_columns, "no disc is in a magazine", err);
}
