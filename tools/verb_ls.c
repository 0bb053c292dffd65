/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#include <string.h>
#include <varve/buffer.h>

#include "client.h"
#include "json.h"
#include "show.h"

/* As ls -l writes it: "drwxr-xr-x". */
static void
show_mode(struct table *table, const json_t *row, const char *key)
{
    static const char bits[] = "rwxrwxrwx";
    const char *type = show_string(row, "type");
    unsigned long mode = strtoul(show_string(row, key), NULL, 8);
    char text[11];
    text[0] = strcmp(type, "file") == 0 ? '-' : strcmp(type, "symlink") == 0 ? 'l' : type[0];
    for (int i = 0; i < 9; i++)
        text[i + 1] = '-';
    for (int i = 0; i < 9; i++) {
        if (mode >> (8 - i) & 1)
            text[i + 1] = bits[i];
    }
    text[10] = 0;
    table_cell(table, "%s", text);
}

static void
show_state(struct table *table, const json_t *row, const char *key)
{
    const json_t *pin = json_object_get(row, "pinned_until");
    table_cell(table, "%s%s", show_string(row, key), json_is_string(pin) ? " pinned" : "");
}

static void
show_discs(struct table *table, const json_t *row, const char *key)
{
    const json_t *discs = json_object_get(row, key);
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    for (size_t i = 0; i < json_array_size(discs); i++) {
        const char *disc = json_string_value(json_array_get(discs, i));
        varve_buffer_printf(&text, "%s%s", i > 0 ? "," : "", disc != NULL ? disc : "?");
    }
    table_cell(table, "%s", text.size > 0 ? varve_buffer_string(&text) : "-");
}

static void
show_path(struct table *table, const json_t *row, const char *key)
{
    VARVE_CLEANUP_FREE char *path = NULL;
    struct varve_error err = {0};
    bool ok = json_bytes_get(json_object_get(row, key), key, &path, &err);
    table_cell(table, "%s", ok ? path : "?");
}

static const struct column columns[] = {
    {"MODE", "mode", show_mode},      {"STATE", "state", show_state},
    {"TIER", "tier", show_text},      {"-SIZE", "size", show_bytes},
    {"MODIFIED", "mtime", show_text}, {"DISCS", "discs", show_discs},
    {"PATH", "path", show_path},      {NULL, NULL, NULL},
};

/* All pages below one path, appended to *files. */
static bool
fetch(struct client *client, const struct args *args, const char *inside, json_t **files,
      struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *encoded = client_encode(inside);
    VARVE_CLEANUP_FREE char *after = strdup("");
    while (after != NULL) {
        VARVE_CLEANUP_FREE char *url = NULL;
        VARVE_CLEANUP_JSON json_t *page = NULL;
        if (encoded == NULL || asprintf(&url, "/v1/files?path=%s%s%s%s%s", encoded,
                                        args_flag(args, "recursive") ? "&recursive=true" : "",
                                        args_flag(args, "directory") ? "&self=true" : "",
                                        after[0] != 0 ? "&after=" : "", after) < 0)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list files");
        if (!client_get(client, url, &page, err))
            return false;
        if (json_array_extend(*files, json_object_get(page, "files")) != 0)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list files");
        const char *next = json_string_value(json_object_get(page, "next"));
        free(after);
        after = next != NULL ? strdup(next) : NULL;
        if (next == NULL)
            break;
    }
    return true;
}

bool
verb_ls(struct cli *cli, const struct args *args, struct varve_error *err)
{
    static char here[] = ".";
    static char *const only_here[] = {here};
    struct args named = *args;
    if (named.count == 0) {
        named.words = only_here;
        named.count = 1;
    }
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    VARVE_CLEANUP_JSON json_t *paths = NULL;
    VARVE_CLEANUP_JSON json_t *files = json_array();
    if (!session_open_paths(cli, &named, &client, &paths, err))
        return false;
    for (size_t i = 0; i < json_array_size(paths); i++) {
        VARVE_CLEANUP_FREE char *inside = NULL;
        if (!json_bytes_get(json_array_get(paths, i), "path", &inside, err) ||
            !fetch(client, args, inside, &files, err))
            return false;
    }
    if (cli->json)
        return cli_print_json(json_pack("{s:O}", "files", files), err);
    return show_rows(files, columns, "nothing in there", err);
}
