/* SPDX-License-Identifier: Apache-2.0 */
/* A fault script, line by line. The words that stand for things are in virtual_words.c. */
#include "virtual_script.h"

#include "virtual_words.h"

#include <string.h>
#include <varve/grow.h>

void
virtual_script_done(struct virtual_script *script)
{
    free(script->lines);
    *script = (struct virtual_script){0};
}

/* "drive 3" or "drive any" or "changer". */
static bool
take_device(struct words *words, unsigned *ret, struct varve_error *err)
{
    uint64_t number;
    if (words_skip(words, "changer")) {
        *ret = VIRTUAL_DEVICE_CHANGER;
        return true;
    }
    if (!words_skip(words, "drive"))
        return words_expected(words, "'changer' or 'drive'", err);
    if (words_skip(words, "any")) {
        *ret = VIRTUAL_DEVICE_ANY_DRIVE;
        return true;
    }
    if (!words_number(words, VIRTUAL_WORDS_DRIVE_MAX, &number, err))
        return false;
    *ret = 1 + (unsigned)number;
    return true;
}

/* "3/0C/00", then any of: deferred, progress N, info N. */
static bool
take_sense(struct words *words, struct virtual_sense *ret, struct varve_error *err)
{
    uint64_t number;
    if (!words_sense(words, ret, err))
        return false;
    while (true) {
        if (words_skip(words, "deferred")) {
            ret->deferred = true;
        } else if (words_skip(words, "progress")) {
            if (!words_number(words, UINT16_MAX, &number, err))
                return false;
            ret->has_progress = true;
            ret->progress = (uint16_t)number;
        } else if (words_skip(words, "info")) {
            if (!words_number(words, UINT32_MAX, &number, err))
                return false;
            ret->has_information = true;
            ret->information = (uint32_t)number;
        } else {
            return true;
        }
    }
}

/* A quirk's name, then "drive N" if it is for one drive only. */
static bool
take_quirk(struct words *words, struct virtual_action *ret, struct varve_error *err)
{
    ret->device = VIRTUAL_DEVICE_ANY_DRIVE;
    if (words->at >= words->count || !virtual_quirk_parse(words->word[words->at], &ret->word))
        return words_expected(words, "the name of a quirk", err);
    words->at++;
    if (words_ended(words) || words_is(words, ","))
        return true;
    return take_device(words, &ret->device, err);
}

struct cursor_of_action {
    unsigned elements, drives;
};

static bool
take_element(struct words *words, struct virtual_action *ret, struct cursor_of_action *at,
             struct varve_error *err)
{
    uint64_t number;
    if (!words_number(words, UINT16_MAX, &number, err))
        return false;
    ret->element[at->elements++ % 2] = (uint16_t)number;
    return true;
}

static bool
take_drive(struct words *words, struct virtual_action *ret, struct cursor_of_action *at,
           struct varve_error *err)
{
    uint64_t number;
    if (!words_number(words, VIRTUAL_WORDS_DRIVE_MAX, &number, err))
        return false;
    ret->drive[at->drives++ % 2] = (unsigned)number;
    return true;
}

static bool
take_enum(struct words *words, bool (*parse)(const char *word, unsigned *ret), const char *what,
          unsigned *ret, struct varve_error *err)
{
    if (words->at >= words->count || !parse(words->word[words->at], ret))
        return words_expected(words, what, err);
    words->at++;
    return true;
}

/* One letter of VIRTUAL_VERBS. */
static bool
take_argument(struct words *words, char letter, struct virtual_action *ret,
              struct cursor_of_action *at, struct varve_error *err)
{
    switch (letter) {
    case 's':
        return take_sense(words, &ret->sense, err);
    case 'c':
        return words_condition(words, &ret->sense, err);
    case 't':
        return words_duration(words, &ret->ns, err);
    case 'n':
        return words_number(words, UINT32_MAX, &ret->first, err);
    case 'e':
        return take_element(words, ret, at, err);
    case 'd':
        return take_drive(words, ret, at, err);
    case 'x':
        return take_device(words, &ret->device, err);
    case 'b':
        return words_barcode(words, &ret->disc, err);
    case 'l':
        return words_skip(words, "none") || words_barcode(words, &ret->label, err);
    case 'r':
        return words_range(words, UINT32_MAX, &ret->first, &ret->last, err);
    case 'k':
        return take_enum(words, virtual_defect_parse, "hard, soft, slow or write", &ret->word, err);
    case 'p':
        return take_enum(words, virtual_trouble_parse, "none, dirty, reversed or unseen",
                         &ret->word, err);
    default: /* q */
        return take_quirk(words, ret, err);
    }
}

static bool
take_action(struct words *words, bool in_rule, struct virtual_action *ret, struct varve_error *err)
{
    struct cursor_of_action at = {0};
    const char *letters;
    *ret = (struct virtual_action){0};
    if (words_ended(words) || !virtual_verb_parse(words->word[words->at], &ret->verb, &letters))
        return words_expected(words, "an action", err);
    if (!in_rule && ret->verb < VIRTUAL_VERB_FIRST_EVENT)
        return words_expected(words, "something that can happen by itself", err);
    words->at++;
    for (; *letters != 0; letters++) {
        if (!take_argument(words, *letters, ret, &at, err))
            return false;
    }
    return true;
}

static bool
take_actions(struct words *words, bool in_rule, struct virtual_rule *rule, struct varve_error *err)
{
    do {
        if (rule->action_count == VIRTUAL_ACTIONS_MAX)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u actions",
                                   VIRTUAL_ACTIONS_MAX);
        if (!take_action(words, in_rule, &rule->actions[rule->action_count], err))
            return false;
        rule->action_count++;
    } while (words_skip(words, ","));
    return words_ended(words) || words_expected(words, "',' or the end of the line", err);
}

static bool
take_elements(struct words *words, struct virtual_rule *rule, enum virtual_end end,
              struct varve_error *err)
{
    uint64_t first, last;
    if (!words_range(words, UINT16_MAX, &first, &last, err))
        return false;
    rule->has_elements = true;
    rule->end = end;
    rule->element_first = (uint16_t)first;
    rule->element_last = (uint16_t)last;
    return true;
}

static bool
take_count(struct words *words, uint32_t *ret, struct varve_error *err)
{
    uint64_t number;
    if (!words_number(words, UINT32_MAX, &number, err))
        return false;
    if (number == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "0 is too few: counts begin with 1");
    *ret = (uint32_t)number;
    return true;
}

/* Which commands: ranges and discs. *ret is false if the word is none of these. */
static bool
take_where(struct words *words, struct virtual_rule *rule, bool *ret, struct varve_error *err)
{
    *ret = true;
    if (words_skip(words, "lba")) {
        rule->has_sectors = true;
        return words_range(words, UINT32_MAX, &rule->sector_first, &rule->sector_last, err);
    }
    if (words_skip(words, "element"))
        return take_elements(words, rule, VIRTUAL_EITHER_END, err);
    if (words_skip(words, "from"))
        return take_elements(words, rule, VIRTUAL_FROM, err);
    if (words_skip(words, "to"))
        return take_elements(words, rule, VIRTUAL_TO, err);
    if (words_skip(words, "disc"))
        return words_barcode(words, &rule->disc, err);
    *ret = false;
    return true;
}

/* How often. */
static bool
take_when(struct words *words, struct virtual_rule *rule, bool *ret, struct varve_error *err)
{
    *ret = true;
    if (words_skip(words, "nth"))
        return take_count(words, &rule->nth, err);
    if (words_skip(words, "times"))
        return take_count(words, &rule->times, err);
    if (words_skip(words, "every")) {
        rule->times = 0;
        return take_count(words, &rule->every, err);
    }
    if (words_skip(words, "chance")) {
        rule->times = 0;
        return words_chance(words, &rule->chance, err);
    }
    if (words_skip(words, "always")) {
        rule->times = 0;
        return true;
    }
    *ret = words_skip(words, "after");
    rule->after = rule->after || *ret;
    return true;
}

/* "on DEVICE COMMAND [CONDITIONS] : ACTIONS" */
static bool
take_rule(struct words *words, struct virtual_rule *rule, struct varve_error *err)
{
    rule->nth = 1;
    rule->times = 1;
    if (!take_device(words, &rule->device, err) ||
        !words_command(words, rule->opcodes, &rule->opcode_count, err))
        return false;
    while (!words_skip(words, ":")) {
        bool known;
        if (!take_where(words, rule, &known, err))
            return false;
        if (!known && !take_when(words, rule, &known, err))
            return false;
        if (!known)
            return words_expected(words, "a condition or ':'", err);
    }
    return take_actions(words, true, rule, err);
}

static bool
take_line(struct words *words, struct virtual_line *ret, struct varve_error *err)
{
    *ret = (struct virtual_line){0};
    ret->rule.line = words->line;
    if (words_skip(words, "on"))
        return take_rule(words, &ret->rule, err);
    if (words_skip(words, "seed")) {
        ret->kind = VIRTUAL_LINE_SEED;
        if (!words_number(words, INT64_MAX, &ret->seed, err))
            return false;
        return words_ended(words) || words_expected(words, "the end of the line", err);
    }
    ret->kind = VIRTUAL_LINE_NOW;
    if (!words_is(words, "quirk") && !words_is(words, "no-quirk") && !words_skip(words, "now"))
        return words_expected(words, "'on', 'now', 'quirk', 'no-quirk', 'random' or 'seed'", err);
    return take_actions(words, false, &ret->rule, err);
}

static void
keep_text(const char *text, size_t length, struct virtual_line *ret)
{
    size_t used = 0;
    for (size_t i = 0; i < length && text[i] != '#' && used + 1 < sizeof ret->rule.text; i++)
        ret->rule.text[used++] = text[i] >= ' ' && text[i] <= '~' ? text[i] : ' ';
    while (used > 0 && ret->rule.text[used - 1] == ' ')
        used--;
    ret->rule.text[used] = 0;
}

static bool
append_line(struct virtual_script *script, const struct virtual_line *line, struct varve_error *err)
{
    if (script->count == VIRTUAL_SCRIPT_LINES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u lines that say something",
                               VIRTUAL_SCRIPT_LINES_MAX);
    struct virtual_line *grown =
        varve_grow(script->lines, &script->capacity, script->count, sizeof *script->lines);
    if (grown == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "fault script");
    script->lines = grown;
    script->lines[script->count++] = *line;
    return true;
}

/* "random 1/N": of everything a little. */
static const char *const random_faults[] = {
    "on changer move chance %s: stick",
    "on changer move chance %s: sense 4/15/01",
    "on changer move chance %s after: drop",
    "on changer move chance %s: attention changer 28/00",
    "on changer status chance %s: cut 60",
    "on changer status chance %s: garble 8",
    "on changer ready chance %s: sense 2/04/01",
    "on changer any chance %s: busy",
    "on drive any ready chance %s: sense 2/04/01",
    "on drive any read chance %s: sense 3/11/05",
    "on drive any read chance %s: corrupt",
    "on drive any write chance %s: sense 3/0C/00",
    "on drive any write chance %s: sense 2/04/08",
    "on drive any write chance %s: corrupt",
    "on drive any write chance %s after: drop",
    "on drive any close chance %s: sense 3/72/00",
    "on drive any start-stop chance %s: sense 4/53/00",
    "on drive any any chance %s: busy",
};

static bool parse_line(const char *text, size_t length, unsigned number,
                       struct virtual_script *script, struct varve_error *err);

static bool
add_random_faults(struct words *words, struct virtual_script *script, struct varve_error *err)
{
    uint32_t checked;
    const char *chance = words->at < words->count ? words->word[words->at] : "";
    if (!words_chance(words, &checked, err))
        return false;
    if (!words_ended(words))
        return words_expected(words, "the end of the line", err);
    for (unsigned i = 0; i < sizeof random_faults / sizeof random_faults[0]; i++) {
        const char *at = strstr(random_faults[i], "%s");
        char line[VIRTUAL_RULE_TEXT_BYTES];
        int length = snprintf(line, sizeof line, "%.*s%.12s%s", (int)(at - random_faults[i]),
                              random_faults[i], chance, at + 2);
        if (!parse_line(line, (size_t)length, words->line, script, err))
            return false;
        script->lines[script->count - 1].rule.part = i + 1;
    }
    return true;
}

static bool
parse_line(const char *text, size_t length, unsigned number, struct virtual_script *script,
           struct varve_error *err)
{
    struct words words;
    struct virtual_line line;
    if (!words_split(text, length, number, &words, err))
        return false;
    if (words.count == 0)
        return true;
    if (words_skip(&words, "random"))
        return add_random_faults(&words, script, err);
    if (!take_line(&words, &line, err))
        return false;
    keep_text(text, length, &line);
    return append_line(script, &line, err);
}

static bool
parse_lines(const char *text, size_t size, struct virtual_script *script, struct varve_error *err)
{
    size_t at = 0;
    for (unsigned number = 1; at < size; number++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end != NULL ? (size_t)(end - text) - at : size - at;
        if (!parse_line(text + at, length, number, script, err))
            return varve_error_wrap(err, "fault script, line %u", number);
        at += length + 1;
    }
    return true;
}

bool
virtual_script_parse(const char *text, size_t size, struct virtual_script *ret,
                     struct varve_error *err)
{
    __attribute__((cleanup(virtual_script_done_cleanup))) struct virtual_script script = {0};
    if (size > VIRTUAL_SCRIPT_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "fault script: more than %u bytes",
                               VIRTUAL_SCRIPT_BYTES_MAX);
    if (!parse_lines(text, size, &script, err))
        return false;
    *ret = script;
    script = (struct virtual_script){0};
    return true;
}

bool
varve_virtual_script_check(const char *text, size_t size, struct varve_error *err)
{
    __attribute__((cleanup(virtual_script_done_cleanup))) struct virtual_script script = {0};
    return virtual_script_parse(text, size, &script, err);
}
