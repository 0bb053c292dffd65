/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include <inttypes.h>
#include <varve/text.h>

const char *
show_string(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text != NULL && text[0] != 0 ? text : "-";
}

uint64_t
show_integer(const json_t *row, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(row, key));
    return value < 0 ? 0 : (uint64_t)value;
}

void
show_text(struct table *table, const json_t *row, const char *key)
{
    table_cell(table, "%s", show_string(row, key));
}

void
show_number(struct table *table, const json_t *row, const char *key)
{
    if (json_is_integer(json_object_get(row, key)))
        table_cell(table, "%" PRIu64, show_integer(row, key));
    else
        table_cell(table, "-");
}

void
show_bytes(struct table *table, const json_t *row, const char *key)
{
    char text[VARVE_TEXT_BYTES];
    uint64_t bytes = show_integer(row, key);
    bool known = json_is_integer(json_object_get(row, key));
    table_cell(table, "%s", known ? varve_text_bytes(bytes, text) : "-");
}

bool
show_rows(const json_t *rows, const struct column *columns, const char *none,
          struct varve_error *err)
{
    const char *titles[TABLE_COLUMNS_MAX + 1] = {NULL};
    for (size_t i = 0; i < TABLE_COLUMNS_MAX && columns[i].title != NULL; i++)
        titles[i] = columns[i].title;
    struct table table;
    table_init(&table, titles);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        for (const struct column *column = columns; column->title != NULL; column++)
            column->show(&table, json_array_get(rows, i), column->key);
    }
    bool ok = table_print(&table, err);
    table_done(&table);
    if (ok && json_array_size(rows) == 0)
        (void)printf("%s\n", none);
    return ok;
}

bool
show_list(struct cli *cli, struct client *client, const char *url, const char *key,
          const struct column *columns, const char *none, struct varve_error *err)
{
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    if (!client_get(client, url, &answer, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(answer), err);
    return show_rows(json_object_get(answer, key), columns, none, err);
}
