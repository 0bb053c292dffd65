/* virtual_words.h - a line of a fault script as words, and the words that stand for things. Pure;
 * any thread. */
#ifndef VARVE_CHANGER_VIRTUAL_WORDS_H
#define VARVE_CHANGER_VIRTUAL_WORDS_H

#include "virtual_script.h"

#define VIRTUAL_WORDS_MAX 64u
#define VIRTUAL_LINE_BYTES_MAX 1000u
#define VIRTUAL_WORDS_DRIVE_MAX 767u

struct words {
    unsigned line;
    char text[VIRTUAL_LINE_BYTES_MAX + 3 * VIRTUAL_WORDS_MAX];
    const char *word[VIRTUAL_WORDS_MAX];
    size_t count, at;
};
/* Words end at blanks; ':' and ',' are words of their own; '#' begins a comment. */
VARVE_MUST_CHECK bool words_split(const char *line, size_t length, unsigned number,
                                  struct words *ret, struct varve_error *err);
bool words_ended(const struct words *words);
bool words_is(const struct words *words, const char *word);
/* Goes on behind `word` if it is next. */
bool words_skip(struct words *words, const char *word);
/* Always false: INVALID "'x' instead of ..." */
bool words_expected(const struct words *words, const char *what, struct varve_error *err);

/* Each takes the next word. */
VARVE_MUST_CHECK bool
words_number(struct words *words, uint64_t max, uint64_t *ret, struct varve_error *err);
/* "A" or "A..B" */
VARVE_MUST_CHECK bool words_range(struct words *words, uint64_t max, uint64_t *ret_first,
                                  uint64_t *ret_last, struct varve_error *err);
/* "1/200" or "0.5%", in millionths */
VARVE_MUST_CHECK bool words_chance(struct words *words, uint32_t *ret, struct varve_error *err);
VARVE_MUST_CHECK bool words_duration(struct words *words, int64_t *ret_ns, struct varve_error *err);
VARVE_MUST_CHECK bool
words_barcode(struct words *words, struct varve_barcode *ret, struct varve_error *err);
/* "3/0C/00" in hexadecimal digits */
VARVE_MUST_CHECK bool
words_sense(struct words *words, struct virtual_sense *ret, struct varve_error *err);
/* "28/00": ASC and ASCQ */
VARVE_MUST_CHECK bool
words_condition(struct words *words, struct virtual_sense *ret, struct varve_error *err);
/* A command's name ("write": both kinds), "2Ah", or "any" (no opcodes). */
VARVE_MUST_CHECK bool words_command(struct words *words, uint8_t ret[VIRTUAL_OPCODES_MAX],
                                    unsigned *ret_count, struct varve_error *err);
/* *ret_letters as in VIRTUAL_VERBS. */
bool virtual_verb_parse(const char *word, enum virtual_verb *ret, const char **ret_letters);

#endif
