/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdarg.h>
#include <string.h>
#include <varve/grow.h>

void
table_init(struct table *table, const char *const *titles)
{
    *table = (struct table){0};
    while (table->columns < TABLE_COLUMNS_MAX && titles[table->columns] != NULL) {
        table->titles[table->columns] = titles[table->columns];
        table->columns++;
    }
}

void
table_done(struct table *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

char *
table_harmless(const char *text)
{
    char *safe = malloc(4 * strlen(text) + 1);
    if (safe == NULL)
        return NULL;
    char *to = safe;
    for (const char *from = text; *from != 0; from++) {
        unsigned char byte = (unsigned char)*from;
        if (byte < 0x20 || byte == 0x7f)
            to += snprintf(to, 5, "\\x%02x", byte);
        else
            *to++ = *from;
    }
    *to = 0;
    return safe;
}

static void
add_cell(struct table *table, const char *text)
{
    char **cells =
        varve_grow(table->cells, &table->cell_capacity, table->cell_count, sizeof *cells);
    if (cells == NULL) {
        table->failed = true;
        return;
    }
    table->cells = cells;
    char *safe = table_harmless(text);
    if (safe == NULL)
        table->failed = true;
    else
        table->cells[table->cell_count++] = safe;
}

void
table_cell(struct table *table, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0) {
        table->failed = true;
        return;
    }
    add_cell(table, text);
    free(text);
}

/* Columns that a string takes on a terminal: its UTF-8 characters. Wide characters count as one;
 * they shift a row, which is no harm. */
static size_t
text_width(const char *text)
{
    size_t width = 0;
    for (; *text != 0; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void
format_cell(struct varve_buffer *ret, const char *text, size_t width, bool right, bool last)
{
    size_t used = text_width(text);
    int pad = used < width ? (int)(width - used) : 0;
    if (right)
        varve_buffer_printf(ret, "%*s", pad, "");
    varve_buffer_text(ret, text);
    if (!right && !last)
        varve_buffer_printf(ret, "%*s", pad, "");
    varve_buffer_text(ret, last ? "\n" : "  ");
}

bool
table_format(const struct table *table, struct varve_buffer *ret, struct varve_error *err)
{
    if (table->failed)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "format a table");
    if (table->cell_count == 0)
        return true;
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    bool right[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->columns; i++) {
        right[i] = table->titles[i][0] == '-';
        widths[i] = text_width(table->titles[i] + right[i]);
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t width = text_width(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->columns; i++)
        format_cell(ret, table->titles[i] + right[i], widths[i], right[i], i + 1 == table->columns);
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t column = i % table->columns;
        format_cell(ret, table->cells[i], widths[column], right[column],
                    column + 1 == table->columns);
    }
    return varve_buffer_ok(ret, err);
}

bool
table_print(const struct table *table, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    if (!table_format(table, &text, err))
        return false;
    if (fputs(varve_buffer_string(&text), stdout) == EOF || fflush(stdout) != 0)
        return varve_error_system(err, errno, "write to standard output");
    return true;
}
