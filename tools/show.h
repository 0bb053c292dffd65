/* show.h - fields of the API's JSON as cells of a table. Missing and null fields show as "-". */
#ifndef VARVE_TOOLS_SHOW_H
#define VARVE_TOOLS_SHOW_H

#include "client.h"
#include "table.h"

void show_text(struct table *table, const json_t *row, const char *key);
void show_number(struct table *table, const json_t *row, const char *key);
/* "1.5 GiB" */
void show_bytes(struct table *table, const json_t *row, const char *key);

/* "-" for what is missing. */
const char *show_string(const json_t *row, const char *key);
uint64_t show_integer(const json_t *row, const char *key);

/* One column of a table of rows. */
struct column {
    const char *title; /* "-SIZE": to the right */
    const char *key;
    void (*show)(struct table *table, const json_t *row, const char *key);
};
/* GETs `url` and prints the array `key` of the answer; `columns` end with a NULL title; `none` is
 * said if it is empty. */
VARVE_MUST_CHECK bool
show_list(struct cli *cli, struct client *client, const char *url, const char *key,
          const struct column *columns, const char *none, struct varve_error *err);
/* Prints such a table of `rows`. */
VARVE_MUST_CHECK bool show_rows(const json_t *rows, const struct column *columns, const char *none,
                                struct varve_error *err);

#endif
