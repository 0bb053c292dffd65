/* SPDX-License-Identifier: Apache-2.0 */
#include "virtual_words.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <varve/text.h>

static bool
is_mark(char c)
{
    return c == ':' || c == ',';
}

static bool
is_blank_char(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

bool
words_split(const char *line, size_t length, unsigned number, struct words *ret,
            struct varve_error *err)
{
    const char *comment = memchr(line, '#', length);
    if (comment != NULL)
        length = (size_t)(comment - line);
    if (length > VIRTUAL_LINE_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "longer than %u characters",
                               VIRTUAL_LINE_BYTES_MAX);
    *ret = (struct words){.line = number};
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        if (is_blank_char(line[i])) {
            i++;
            continue;
        }
        if (ret->count == VIRTUAL_WORDS_MAX)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u words",
                                   VIRTUAL_WORDS_MAX);
        ret->word[ret->count++] = ret->text + used;
        size_t from = i;
        do {
            if (line[i] < ' ' || line[i] > '~')
                return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                       "character %02Xh is not allowed", (uint8_t)line[i]);
            ret->text[used++] = line[i++];
        } while (i < length && !is_blank_char(line[i]) && !is_mark(line[i]) &&
                 !is_mark(line[from]));
        ret->text[used++] = 0;
    }
    return true;
}

bool
words_ended(const struct words *words)
{
    return words->at >= words->count;
}

bool
words_is(const struct words *words, const char *word)
{
    return words->at < words->count && strcmp(words->word[words->at], word) == 0;
}

bool
words_skip(struct words *words, const char *word)
{
    bool is = words_is(words, word);
    words->at += is ? 1 : 0;
    return is;
}

bool
words_expected(const struct words *words, const char *what, struct varve_error *err)
{
    if (words_ended(words))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "the line ends where %s should follow",
                               what);
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.60s' stands where %s should",
                           words->word[words->at], what);
}

static const char *
next_word(struct words *words)
{
    return words->at < words->count ? words->word[words->at] : "";
}

bool
words_number(struct words *words, uint64_t max, uint64_t *ret, struct varve_error *err)
{
    struct varve_error ignored = {0}; /* ours says where */
    char what[64];
    (void)snprintf(what, sizeof what, "a number of at most %" PRIu64, max);
    if (!varve_text_parse_number(next_word(words), max, ret, &ignored))
        return words_expected(words, what, err);
    words->at++;
    return true;
}

bool
words_range(struct words *words, uint64_t max, uint64_t *ret_first, uint64_t *ret_last,
            struct varve_error *err)
{
    struct varve_error ignored = {0};
    char first[32];
    const char *word = next_word(words);
    const char *dots = strstr(word, "..");
    size_t length = dots != NULL ? (size_t)(dots - word) : strlen(word);
    uint64_t from, to;
    (void)snprintf(first, sizeof first, "%.*s", (int)(length < 31 ? length : 31), word);
    if (!varve_text_parse_number(first, max, &from, &ignored) ||
        !varve_text_parse_number(dots != NULL ? dots + 2 : first, max, &to, &ignored) || to < from)
        return words_expected(words, "a number or a range A..B", err);
    *ret_first = from;
    *ret_last = to;
    words->at++;
    return true;
}

bool
words_chance(struct words *words, uint32_t *ret, struct varve_error *err)
{
    struct varve_error ignored = {0};
    const char *word = next_word(words);
    uint64_t of;
    if (strncmp(word, "1/", 2) != 0 || !varve_text_parse_number(word + 2, 1000000, &of, &ignored) ||
        of == 0)
        return words_expected(words, "a chance of 1/1 to 1/1000000", err);
    *ret = (uint32_t)(1000000 / of);
    words->at++;
    return true;
}

bool
words_duration(struct words *words, int64_t *ret_ns, struct varve_error *err)
{
    struct varve_error ignored = {0};
    if (!varve_text_parse_duration(next_word(words), ret_ns, &ignored))
        return words_expected(words, "a duration like 500ms, 90s or 15min", err);
    words->at++;
    return true;
}

bool
words_barcode(struct words *words, struct varve_barcode *ret, struct varve_error *err)
{
    if (!varve_barcode_make(next_word(words), ret))
        return words_expected(words, "a bar code", err);
    words->at++;
    return true;
}

/* Up to two hexadecimal digits, then `end`; the position behind, or NULL. */
static const char *
take_hex(const char *text, char end, uint8_t *ret)
{
    unsigned value = 0, digits = 0;
    while (digits < 2 && isxdigit((unsigned char)*text)) {
        char c = (char)tolower((unsigned char)*text++);
        value = value * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        digits++;
    }
    if (digits == 0 || *text != end)
        return NULL;
    *ret = (uint8_t)value;
    return text + 1;
}

bool
words_sense(struct words *words, struct virtual_sense *ret, struct varve_error *err)
{
    struct virtual_sense sense = {0};
    const char *at = take_hex(next_word(words), '/', &sense.key);
    at = at != NULL ? take_hex(at, '/', &sense.asc) : NULL;
    at = at != NULL ? take_hex(at, 0, &sense.ascq) : NULL;
    if (at == NULL || sense.key > 0x0f)
        return words_expected(words, "sense like 3/0C/00", err);
    *ret = sense;
    words->at++;
    return true;
}

bool
words_condition(struct words *words, struct virtual_sense *ret, struct varve_error *err)
{
    struct virtual_sense sense = {0};
    const char *at = take_hex(next_word(words), '/', &sense.asc);
    at = at != NULL ? take_hex(at, 0, &sense.ascq) : NULL;
    if (at == NULL)
        return words_expected(words, "a condition like 28/00", err);
    *ret = sense;
    words->at++;
    return true;
}

static const struct {
    const char *name;
    uint8_t count;
    uint8_t opcodes[VIRTUAL_OPCODES_MAX];
} commands[] = {
    {"any", 0, {0}},
    {"ready", 1, {0x00}},
    {"request-sense", 1, {0x03}},
    {"format", 1, {0x04}},
    {"initialize", 2, {0x07, 0x37}},
    {"inquiry", 1, {0x12}},
    {"mode-sense", 2, {0x1a, 0x5a}},
    {"start-stop", 1, {0x1b}},
    {"prevent", 1, {0x1e}},
    {"format-capacities", 1, {0x23}},
    {"capacity", 1, {0x25}},
    {"read", 2, {0x28, 0xa8}},
    {"write", 3, {0x2a, 0xaa, 0x2e}},
    {"position", 1, {0x2b}},
    {"sync", 1, {0x35}},
    {"configuration", 1, {0x46}},
    {"events", 1, {0x4a}},
    {"disc-info", 1, {0x51}},
    {"track-info", 1, {0x52}},
    {"reserve", 1, {0x53}},
    {"close", 1, {0x5b}},
    {"buffer", 1, {0x5c}},
    {"move", 1, {0xa5}},
    {"exchange", 1, {0xa6}},
    {"performance", 1, {0xac}},
    {"structure", 1, {0xad}},
    {"speed", 2, {0xb6, 0xbb}},
    {"status", 1, {0xb8}},
};

bool
words_command(struct words *words, uint8_t ret[VIRTUAL_OPCODES_MAX], unsigned *ret_count,
              struct varve_error *err)
{
    const char *word = next_word(words);
    const char *end = take_hex(word, 'h', ret);
    bool found = end != NULL && *end == 0;
    *ret_count = found ? 1 : 0;
    for (size_t i = 0; !found && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, word) != 0)
            continue;
        memcpy(ret, commands[i].opcodes, VIRTUAL_OPCODES_MAX);
        *ret_count = commands[i].count;
        found = true;
    }
    if (!found)
        return words_expected(words, "a command like write, move or 2Ah", err);
    words->at++;
    return true;
}

static bool
find_word(const char *const *list, size_t count, const char *word, unsigned *ret)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], word) == 0) {
            *ret = (unsigned)i;
            return true;
        }
    }
    return false;
}

#define X(name, word, ...) word,
static const char *const verbs[] = {VIRTUAL_VERBS(X)};
static const char *const troubles[] = {VIRTUAL_TROUBLES(X)};
static const char *const defects[] = {VIRTUAL_DEFECTS(X)};
static const char *const quirks[] = {VARVE_VIRTUAL_CHANGER_QUIRKS(X) VARVE_VIRTUAL_DRIVE_QUIRKS(X)};
#undef X
#define X(name, word, follows) follows,
static const char *const letters[] = {VIRTUAL_VERBS(X)};
#undef X
#define X(name, word, what) what,
static const char *const quirk_texts[] = {VARVE_VIRTUAL_CHANGER_QUIRKS(X)
                                              VARVE_VIRTUAL_DRIVE_QUIRKS(X)};
#undef X
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

bool
virtual_verb_parse(const char *word, enum virtual_verb *ret, const char **ret_letters)
{
    unsigned found;
    if (!find_word(verbs, COUNT(verbs), word, &found))
        return false;
    *ret = (enum virtual_verb)found;
    *ret_letters = letters[found];
    return true;
}

const char *
virtual_verb_word(enum virtual_verb verb)
{
    return verbs[verb];
}

const char *
virtual_trouble_word(enum virtual_trouble trouble)
{
    return troubles[trouble];
}

const char *
virtual_defect_word(enum virtual_defect_kind kind)
{
    return defects[kind];
}

bool
virtual_trouble_parse(const char *word, unsigned *ret)
{
    return find_word(troubles, COUNT(troubles), word, ret);
}

bool
virtual_defect_parse(const char *word, unsigned *ret)
{
    return find_word(defects, COUNT(defects), word, ret);
}

bool
virtual_quirk_parse(const char *word, unsigned *ret)
{
    return find_word(quirks, COUNT(quirks), word, ret);
}

const char *
varve_virtual_quirk_name(enum varve_virtual_quirk quirk)
{
    return quirks[quirk];
}

const char *
varve_virtual_quirk_text(enum varve_virtual_quirk quirk)
{
    return quirk_texts[quirk];
}
