/* SPDX-License-Identifier: Apache-2.0 */
/* One [rule NAME] from its keys. */
#include "policy_internal.h"

#include <varve/text.h>

#include <ctype.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const from_names[] = {
    [VARVE_FROM_SSD] = "ssd", [VARVE_FROM_HDD] = "hdd", [VARVE_FROM_PREMIGRATED] = "premigrated"};
static const char *const to_names[] = {[VARVE_TO_SSD] = "ssd",
                                       [VARVE_TO_HDD] = "hdd",
                                       [VARVE_TO_OPTICAL] = "optical",
                                       [VARVE_TO_MIGRATED] = "migrated"};

const char *
varve_rule_from_name(enum varve_rule_from from)
{
    return from_names[from];
}

const char *
varve_rule_to_name(enum varve_rule_to to)
{
    return to_names[to];
}

static bool
find_word(const char *value, const char *const *words, size_t count, size_t *ret,
          struct varve_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value, words[i]) == 0) {
            *ret = i;
            return true;
        }
    }
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.100s' is not possible", value);
    const char *nearest = varve_config_nearest(value, words, count);
    if (nearest != NULL)
        return varve_error_hint(err, "did you mean '%s'?", nearest);
    char list[96] = "";
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(list);
        (void)snprintf(list + used, sizeof list - used, "%s'%s'", i > 0 ? ", " : "", words[i]);
    }
    return varve_error_hint(err, "known are %s", list);
}

static bool
parse_from(struct varve_rule *rule, const char *value, struct varve_error *err)
{
    size_t index;
    if (!find_word(value, from_names, COUNT(from_names), &index, err))
        return false;
    rule->from = (enum varve_rule_from)index;
    return true;
}

static bool
parse_to(struct varve_rule *rule, const char *value, struct varve_error *err)
{
    size_t index;
    if (!find_word(value, to_names, COUNT(to_names), &index, err))
        return false;
    rule->to = (enum varve_rule_to)index;
    return true;
}

/* Wraps a predicate's error; the value is the configuration's, so it stays. */
static bool
parse_where(struct varve_rule *rule, const char *value, struct varve_error *err)
{
    rule->where = value;
    return varve_predicate_check(value, NULL, err);
}

static bool
parse_order(struct varve_rule *rule, const char *value, struct varve_error *err)
{
    rule->order = value;
    return varve_predicate_check(NULL, value, err);
}

static const char *
skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

/* Steps over `word`; NULL if the text does not begin with it. */
static const char *
skip_word(const char *text, const char *word)
{
    size_t size = strlen(word);
    return text != NULL && strncmp(text, word, size) == 0 ? skip_blanks(text + size) : NULL;
}

/* usage ( TIER ) > NN% */
static bool
read_usage(const char *text, enum varve_tier *ret_tier, unsigned *ret_percent)
{
    struct varve_error ignored = {0}; /* the caller shows how to write it */
    text = skip_word(skip_word(skip_blanks(text), "usage"), "(");
    if (text == NULL)
        return false;
    char name[8];
    size_t size = 0;
    while (isalpha((unsigned char)text[size]) && size + 1 < sizeof name) {
        name[size] = text[size];
        size++;
    }
    name[size] = 0;
    text = skip_word(skip_word(skip_blanks(text + size), ")"), ">");
    return text != NULL && varve_tier_parse(name, ret_tier) && *ret_tier != VARVE_TIER_NONE &&
           varve_text_parse_percent(text, ret_percent, &ignored);
}

static bool
parse_when(struct varve_rule *rule, const char *value, struct varve_error *err)
{
    if (read_usage(value, &rule->when_tier, &rule->when_percent))
        return true;
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.100s' is not a condition", value);
    return varve_error_hint(err, "write it like usage(hdd) > 85%%");
}

static bool
parse_set(struct varve_rule *rule, const char *value, struct varve_error *err)
{
    return varve_config_parse_set(value, &rule->data_discs, &rule->parity_discs, err);
}

static bool
parse_copies(struct varve_rule *rule, const char *value, struct varve_error *err)
{
    uint64_t copies;
    if (!varve_text_parse_number(value, 100, &copies, err))
        return false;
    if (copies != 1) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s': this version makes 1 copy", value);
        return varve_error_hint(err, "more parity discs in `set` protect against more losses");
    }
    rule->copies = 1;
    return true;
}

static bool
parse_keep_together(struct varve_rule *rule, const char *value, struct varve_error *err)
{
    static const char *const words[] = {"none", "dir"};
    size_t index;
    if (!find_word(value, words, COUNT(words), &index, err))
        return false;
    rule->keep_together = index == 1;
    return true;
}

/* "HH:MM" of exactly `size` bytes. */
static bool
read_minute(const char *text, size_t size, unsigned *ret)
{
    if (size != 5 || text[2] != ':' || !isdigit((unsigned char)text[0]) ||
        !isdigit((unsigned char)text[1]) || !isdigit((unsigned char)text[3]) ||
        !isdigit((unsigned char)text[4]))
        return false;
    unsigned hour = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
    unsigned minute = (unsigned)(text[3] - '0') * 10 + (unsigned)(text[4] - '0');
    *ret = hour * 60 + minute;
    return minute < 60 && *ret <= 24 * 60;
}

static bool
parse_window(struct varve_rule *rule, const char *value, struct varve_error *err)
{
    size_t dash = strcspn(value, "-");
    if (value[dash] != '-' || !read_minute(value, dash, &rule->window_from) ||
        !read_minute(value + dash + 1, strlen(value + dash + 1), &rule->window_to)) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%.100s' is not a time window", value);
        return varve_error_hint(err, "write it like 22:00-06:00");
    }
    if (rule->window_from == rule->window_to)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is an empty time window", value);
    rule->has_window = true;
    return true;
}

static bool
parse_limit_bytes(struct varve_rule *rule, const char *value, struct varve_error *err)
{
    if (!varve_text_parse_bytes(value, &rule->limit_bytes, err))
        return false;
    if (rule->limit_bytes == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "a limit of 0 moves nothing");
    return true;
}

static bool
parse_limit_files(struct varve_rule *rule, const char *value, struct varve_error *err)
{
    if (!varve_text_parse_number(value, UINT32_MAX, &rule->limit_files, err))
        return false;
    if (rule->limit_files == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "a limit of 0 moves nothing");
    return true;
}

static const struct {
    const char *key;
    bool required, optical_only;
    bool (*parse)(struct varve_rule *rule, const char *value, struct varve_error *err);
} fields[] = {
    {"from", true, false, parse_from},
    {"to", true, false, parse_to},
    {"where", false, false, parse_where},
    {"order", false, false, parse_order},
    {"when", false, false, parse_when},
    {"set", false, true, parse_set},
    {"copies", false, true, parse_copies},
    {"keep_together", false, true, parse_keep_together},
    {"window", false, false, parse_window},
    {"limit_bytes", false, false, parse_limit_bytes},
    {"limit_files", false, false, parse_limit_files},
};

static bool
wrap_key(const struct varve_config *config, const struct varve_config_rule *raw,
         const struct varve_config_key *key, struct varve_error *err)
{
    return varve_error_wrap(err, "%s:%u: [rule %s] %s", config->file, key->line, raw->name,
                            key->key);
}

static bool
unknown_key(const struct varve_config_key *key, struct varve_error *err)
{
    const char *words[COUNT(fields)];
    for (size_t i = 0; i < COUNT(fields); i++)
        words[i] = fields[i].key;
    const char *nearest = varve_config_nearest(key->key, words, COUNT(words));
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "unknown key");
    return nearest == NULL ? false : varve_error_hint(err, "did you mean '%s'?", nearest);
}

static bool
read_key(struct varve_rule *rule, const struct varve_config_key *key, bool *seen,
         struct varve_error *err)
{
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (strcmp(fields[i].key, key->key) != 0)
            continue;
        seen[i] = true;
        if (key->value[0] == 0)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "is empty");
        return fields[i].parse(rule, key->value, err);
    }
    return unknown_key(key, err);
}

static bool
has_tier(const struct varve_config *config, enum varve_tier tier)
{
    for (size_t i = 0; i < config->tier_count; i++) {
        if (config->tiers[i].tier == tier)
            return true;
    }
    return false;
}

static bool
is_possible(enum varve_rule_from from, enum varve_rule_to to)
{
    switch (from) {
    case VARVE_FROM_SSD:
        return to == VARVE_TO_HDD || to == VARVE_TO_OPTICAL;
    case VARVE_FROM_HDD:
        return to == VARVE_TO_SSD || to == VARVE_TO_OPTICAL;
    case VARVE_FROM_PREMIGRATED:
        return to == VARVE_TO_MIGRATED;
    }
    return false;
}

static bool
check_tiers(const struct varve_config *config, const struct varve_rule *rule,
            struct varve_error *err)
{
    enum varve_tier needed[] = {
        rule->from == VARVE_FROM_SSD || rule->to == VARVE_TO_SSD ? VARVE_TIER_SSD : VARVE_TIER_NONE,
        rule->from == VARVE_FROM_HDD || rule->to == VARVE_TO_HDD ? VARVE_TIER_HDD : VARVE_TIER_NONE,
        rule->when_tier};
    for (size_t i = 0; i < COUNT(needed); i++) {
        if (needed[i] == VARVE_TIER_NONE || has_tier(config, needed[i]))
            continue;
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "it needs a [tier %s], which there is not",
                               varve_tier_name(needed[i]));
    }
    return true;
}

static bool
check_whole(const struct varve_config *config, const struct varve_rule *rule, const bool *seen,
            struct varve_error *err)
{
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (fields[i].required && !seen[i])
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "key '%s' is missing",
                                   fields[i].key);
    }
    if (!is_possible(rule->from, rule->to)) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0, "files cannot go from %s to %s",
                        from_names[rule->from], to_names[rule->to]);
        return varve_error_hint(err, "possible are ssd to hdd, hdd to ssd, ssd or hdd to optical, "
                                     "premigrated to migrated");
    }
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (fields[i].optical_only && seen[i] && rule->to != VARVE_TO_OPTICAL)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "key '%s' has a meaning only with to = optical", fields[i].key);
    }
    return check_tiers(config, rule, err);
}

bool
policy_read_rule(const struct varve_config *config, const struct varve_config_rule *raw,
                 struct varve_rule *ret, struct varve_error *err)
{
    struct varve_rule rule = {.name = raw->name,
                              .line = raw->line,
                              .data_discs = config->data_discs,
                              .parity_discs = config->parity_discs,
                              .copies = 1};
    bool seen[COUNT(fields)] = {0};
    for (size_t i = 0; i < raw->key_count; i++) {
        if (!read_key(&rule, &raw->keys[i], seen, err))
            return wrap_key(config, raw, &raw->keys[i], err);
    }
    if (!check_whole(config, &rule, seen, err))
        return varve_error_wrap(err, "%s:%u: [rule %s]", config->file, raw->line, raw->name);
    *ret = rule;
    return true;
}
