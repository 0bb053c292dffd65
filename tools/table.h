/* table.h - columns that line up, for people. One thread. Text from outside (file names, bar codes)
 * is made harmless for a terminal. */
#ifndef VARVE_TOOLS_TABLE_H
#define VARVE_TOOLS_TABLE_H

#include <varve/buffer.h>

#define TABLE_COLUMNS_MAX 12u

struct table {
    const char *titles[TABLE_COLUMNS_MAX]; /* "-SIZE": to the right; NULL ends */
    size_t columns;
    char **cells; /* row by row */
    size_t cell_count, cell_capacity;
    bool failed;
};
/* `titles` end with NULL. */
void table_init(struct table *table, const char *const *titles);
void table_done(struct table *table);
static inline void
table_done_cleanup(struct table *table)
{
    table_done(table);
}
/* The next cell, row by row. */
void table_cell(struct table *table, const char *format, ...) VARVE_PRINTF(2, 3);
/* Appends titles (none if there are no rows) and rows to *ret. */
VARVE_MUST_CHECK bool
table_format(const struct table *table, struct varve_buffer *ret, struct varve_error *err);
VARVE_MUST_CHECK bool table_print(const struct table *table, struct varve_error *err);
/* Control characters as \xNN, to be freed; NULL when out of memory. */
char *table_harmless(const char *text);

#endif
