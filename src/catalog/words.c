/* SPDX-License-Identifier: Apache-2.0 */
#include "select_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define WORD_BYTES_MAX 32u

static unsigned
smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, without regard to case, of words shorter than WORD_BYTES_MAX. */
static unsigned
edit_distance(const char *a, const char *b)
{
    unsigned row[WORD_BYTES_MAX + 1];
    size_t columns = strlen(b);
    for (unsigned i = 0; i <= columns; i++)
        row[i] = i;
    for (size_t y = 1; y <= strlen(a); y++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)y;
        for (size_t x = 1; x <= columns; x++) {
            bool same = tolower((unsigned char)a[y - 1]) == tolower((unsigned char)b[x - 1]);
            unsigned replaced = diagonal + (same ? 0 : 1);
            diagonal = row[x];
            row[x] = smaller(replaced, smaller(row[x], row[x - 1]) + 1);
        }
    }
    return row[columns];
}

struct guess {
    const char *wanted;
    unsigned distance;
    char word[WORD_BYTES_MAX];
};

static void
consider(struct guess *guess, const char *word, size_t length)
{
    char candidate[WORD_BYTES_MAX];
    if (length >= sizeof candidate)
        return;
    memcpy(candidate, word, length);
    candidate[length] = '\0';
    unsigned distance = edit_distance(guess->wanted, candidate);
    if (distance >= guess->distance)
        return;
    guess->distance = distance;
    memcpy(guess->word, candidate, length + 1);
}

static void
consider_columns(struct guess *guess)
{
    for (const char *at = select_columns; *at != '\0'; at += strspn(at, ", ")) {
        size_t length = strcspn(at, ",");
        consider(guess, at, length);
        at += length;
    }
}

static void
consider_functions(struct guess *guess)
{
    for (size_t i = 0; predicate_functions[i] != NULL; i++)
        consider(guess, predicate_functions[i], strlen(predicate_functions[i]));
}

static bool
is_word(const char *text)
{
    size_t length = 0;
    for (; text[length] != '\0'; length++) {
        if (!isalnum((unsigned char)text[length]) && strchr("_.", text[length]) == NULL)
            return false;
    }
    return length > 0 && length < WORD_BYTES_MAX;
}

void
words_plain(const char *message, char *ret, size_t size)
{
    static const char before[] = "no such column: \"";
    static const char after[] = "\" - should this be a string literal in single-quotes?";
    const char *name = message + sizeof before - 1;
    const char *end = strstr(message, after);
    if (strncmp(message, before, sizeof before - 1) == 0 && end != NULL)
        (void)snprintf(ret, size, "no such column: %.*s", (int)(end - name), name);
    else
        (void)snprintf(ret, size, "%s", message);
}

void
words_hint(const char *message, struct varve_error *err)
{
    static const char column[] = "no such column: ";
    static const char function[] = "no such function: ";
    bool is_column = strncmp(message, column, sizeof column - 1) == 0;
    bool is_function = strncmp(message, function, sizeof function - 1) == 0;
    if (!is_column && !is_function)
        return;
    const char *wanted = message + (is_column ? sizeof column : sizeof function) - 1;
    if (is_column && strncasecmp(wanted, "files.", 6) == 0)
        wanted += 6;
    if (is_column && !is_word(wanted)) {
        (void)varve_error_hint(err, "text is written in single quotes: '...'");
        return;
    }
    /* One letter in three may be wrong: "mtme", "sise", "modification" is too far from "mode". */
    struct guess guess = {wanted, (unsigned)strlen(wanted) / 3 + 2, ""};
    if (is_column)
        consider_columns(&guess);
    else if (is_word(wanted))
        consider_functions(&guess);
    if (guess.word[0] != '\0')
        (void)varve_error_hint(err, "did you mean '%s'?", guess.word);
    else if (is_column)
        (void)varve_error_hint(err, "columns are %s", select_columns);
}
