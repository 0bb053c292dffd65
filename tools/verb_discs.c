/* SPDX-License-Identifier: Apache-2.0 */
/* set and disc. */
#include "verb.h"

#include <inttypes.h>
#include <string.h>

#include "client.h"
#include "show.h"

static const char *
first_word(const struct args *args)
{
    return args->count > 0 ? args->words[0] : NULL;
}

static void
show_geometry(struct table *table, const json_t *row, const char *key)
{
    (void)key;
    table_cell(table, "%" PRIu64 "+%" PRIu64, show_integer(row, "data_discs"),
               show_integer(row, "parity_discs"));
}

static const struct column set_columns[] = {
    {"-ID", "id", show_number},
    {"STATE", "state", show_text},
    {"DISCS", NULL, show_geometry},
    {"-LONGEST", "bytes_longest", show_bytes},
    {"SEALED", "sealed", show_text},
    {"UUID", "uuid", show_text},
    {NULL, NULL, NULL},
};
static const struct column disc_columns[] = {
    {"BARCODE", "barcode", show_text}, {"STATE", "state", show_text},
    {"-SET", "set", show_number},      {"-INDEX", "index", show_number},
    {"-WRITTEN", "bytes", show_bytes}, {"-BAD", "bad_clusters", show_number},
    {"LIBRARY", "library", show_text}, {"VERIFIED", "verified", show_text},
    {"PLACE", "place", show_text},     {NULL, NULL, NULL},
};

bool
verb_set_list(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    return session_open(cli, args, first_word(args), &client, err) &&
           show_list(cli, client, "/v1/sets", "sets", set_columns, "no sets yet", err);
}

bool
verb_disc_list(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    return session_open(cli, args, first_word(args), &client, err) &&
           show_list(cli, client, "/v1/discs", "discs", disc_columns, "no discs", err);
}

/* "/v1/sets/ID/repair" with the word encoded. */
static bool
make_url(const char *before, const char *word, const char *after, char ret[512],
         struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *encoded = client_encode(word);
    if (encoded == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "talk to the daemon");
    int length = snprintf(ret, 512, "%s%s%s", before, encoded, after);
    if (encoded[0] == 0 || length >= 512)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.64s' is no name", word);
    return true;
}

bool
verb_set_show(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    char url[512];
    if (!make_url("/v1/sets/", args->words[0], "", url, err) ||
        !session_open(cli, args, NULL, &client, err) || !client_get(client, url, &answer, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(answer), err);
    VARVE_CLEANUP_JSON json_t *one = json_pack("[O]", json_object_get(answer, "set"));
    if (!show_rows(one, set_columns, "", err))
        return false;
    (void)putchar('\n');
    return show_rows(json_object_get(answer, "discs"), disc_columns, "no discs", err);
}

static bool
start_job(struct cli *cli, const struct args *args, const char *before, const char *after,
          struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    json_t *answer = NULL;
    char url[512];
    return make_url(before, args->words[0], after, url, err) &&
           session_open(cli, args, NULL, &client, err) &&
           client_post(client, url, json_object(), &answer, err) &&
           session_job(cli, client, answer, args_flag(args, "wait"), err);
}

bool
verb_set_repair(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return start_job(cli, args, "/v1/sets/", "/repair", err);
}

bool
verb_disc_verify(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return start_job(cli, args, "/v1/discs/", "/verify", err);
}

static void
print_fields(const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (json_is_integer(value))
            (void)printf("%-15s %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(value));
        else
            (void)printf("%-15s %s\n", key, show_string(object, key));
    }
}

static const struct column incident_columns[] = {
    {"WHEN", "at", show_text},       {"DRIVE", "drive", show_text}, {"WHAT", "act", show_text},
    {"BLAME", "verdict", show_text}, {"TEXT", "text", show_text},   {NULL, NULL, NULL},
};

static bool
print_disc(struct cli *cli, json_t *answer, struct varve_error *err)
{
    VARVE_CLEANUP_JSON json_t *owned = answer;
    if (cli->json)
        return cli_print_json(json_incref(owned), err);
    print_fields(json_object_get(owned, "disc"));
    print_fields(json_object_get(owned, "health"));
    const json_t *incidents = json_object_get(owned, "incidents");
    if (json_array_size(incidents) == 0)
        return true;
    (void)putchar('\n');
    return show_rows(incidents, incident_columns, "", err);
}

bool
verb_disc_show(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    json_t *answer = NULL;
    char url[512];
    return make_url("/v1/discs/", args->words[0], "", url, err) &&
           session_open(cli, args, NULL, &client, err) && client_get(client, url, &answer, err) &&
           print_disc(cli, answer, err);
}

/* POSTs nothing but the name; the disc comes back. */
static bool
act_on_disc(struct cli *cli, const struct args *args, const char *act, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    json_t *answer = NULL;
    char url[512];
    return make_url("/v1/discs/", args->words[0], act, url, err) &&
           session_open(cli, args, NULL, &client, err) &&
           client_post(client, url, json_object(), &answer, err) && print_disc(cli, answer, err);
}

bool
verb_disc_retire(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return act_on_disc(cli, args, "/retire", err);
}

bool
verb_disc_clear(struct cli *cli, const struct args *args, struct varve_error *err)
{
    return act_on_disc(cli, args, "/clear", err);
}
