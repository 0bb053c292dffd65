/* SPDX-License-Identifier: Apache-2.0 */
#include "config_internal.h"

#include <varve/text.h>

#include <string.h>

static unsigned
smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits from `a` to `b`: insert, delete, replace, or swap two neighbours (optimal string alignment,
 * three rows of the table are enough). */
static unsigned
count_edits(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b);
    unsigned table[3][CONFIG_WORD_BYTES_MAX + 1];
    if (rows > CONFIG_WORD_BYTES_MAX || columns > CONFIG_WORD_BYTES_MAX)
        return CONFIG_WORD_BYTES_MAX;
    for (size_t j = 0; j <= columns; j++)
        table[0][j] = (unsigned)j;
    for (size_t i = 1; i <= rows; i++) {
        unsigned *row = table[i % 3], *above = table[(i + 2) % 3], *above2 = table[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= columns; j++) {
            row[j] = smaller(above[j] + 1, row[j - 1] + 1);
            row[j] = smaller(row[j], above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = smaller(row[j], above2[j - 2] + 1);
        }
    }
    return table[rows % 3][columns];
}

const char *
varve_config_nearest(const char *word, const char *const *words, size_t count)
{
    const char *best = NULL;
    unsigned best_edits = 3;
    for (size_t i = 0; i < count; i++) {
        unsigned edits = count_edits(word, words[i]);
        if (edits < best_edits && edits < strlen(words[i])) {
            best = words[i];
            best_edits = edits;
        }
    }
    return best;
}

/* False: not of the form, or out of bounds. */
static bool
read_set(const char *text, uint64_t *ret_data, uint64_t *ret_parity)
{
    struct varve_error ignored = {0}; /* the caller has one text for all that can be wrong */
    char data_text[8];
    size_t digits = strcspn(text, "+");
    if (digits >= sizeof data_text || text[digits] != '+')
        return false;
    memcpy(data_text, text, digits);
    data_text[digits] = 0;
    return varve_text_parse_number(data_text, VARVE_SET_DISCS_MAX, ret_data, &ignored) &&
           varve_text_parse_number(text + digits + 1, VARVE_SET_DISCS_MAX, ret_parity, &ignored) &&
           *ret_data > 0 && *ret_data + *ret_parity <= VARVE_SET_DISCS_MAX;
}

bool
varve_config_parse_set(const char *text, unsigned *ret_data, unsigned *ret_parity,
                       struct varve_error *err)
{
    uint64_t data, parity;
    if (!read_set(text, &data, &parity)) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is no set of data+parity discs", text);
        return varve_error_hint(err, "write it like 4+2 or 10+2, at most %u discs in all",
                                VARVE_SET_DISCS_MAX);
    }
    *ret_data = (unsigned)data;
    *ret_parity = (unsigned)parity;
    return true;
}
