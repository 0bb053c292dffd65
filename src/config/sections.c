/* SPDX-License-Identifier: Apache-2.0 */
/* Sections to tiers, libraries and rules: which keys each knows and what they mean. */
#include "config_internal.h"

#include <varve/file.h>
#include <varve/text.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

bool
config_wrap_section(const struct scope *scope, struct varve_error *err)
{
    return varve_error_wrap(err, "%s:%u: [%s]", scope->file_name, scope->section->line,
                            scope->section->name);
}

bool
config_wrap_key(const struct scope *scope, const struct varve_config_key *key,
                struct varve_error *err)
{
    return varve_error_wrap(err, "%s:%u: [%s] %s", scope->file_name, key->line,
                            scope->section->name, key->key);
}

static bool
unknown_key(const struct scope *scope, const struct varve_config_key *key,
            const struct config_field *fields, size_t count, struct varve_error *err)
{
    const char *words[CONFIG_FIELDS_MAX];
    for (size_t i = 0; i < count && i < COUNT(words); i++)
        words[i] = fields[i].key;
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "unknown key");
    const char *nearest = varve_config_nearest(key->key, words, count);
    if (nearest != NULL)
        (void)varve_error_hint(err, "did you mean '%s'?", nearest);
    return config_wrap_key(scope, key, err);
}

/* Messages quote values: none may be so long that it leaves no room for where it stands. */
static bool
check_length(const struct varve_config_key *key, struct varve_error *err)
{
    static const struct {
        const char *prefix;
        size_t max;
    } longer[] = {
        {"path", VARVE_PATH_BYTES_MAX - 1},
        {"trace", VARVE_PATH_BYTES_MAX - 1},
        {"recall_", 1000},
        {"scan_", 1000},
        {"changer", 1000},
        {"drive", 1000},
    };
    size_t max = 100;
    for (size_t i = 0; i < COUNT(longer); i++) {
        if (strncmp(key->key, longer[i].prefix, strlen(longer[i].prefix)) == 0)
            max = longer[i].max;
    }
    if (strlen(key->value) > max)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "longer than %zu bytes", max);
    return true;
}

/* Each key goes to its field; every required field must have come. */
bool
config_read_keys(const struct scope *scope, const struct config_field *fields, size_t count,
                 void *object, struct varve_error *err)
{
    const struct varve_config_rule *section = scope->section;
    bool seen[CONFIG_FIELDS_MAX] = {0};
    for (size_t k = 0; k < section->key_count; k++) {
        const struct varve_config_key *key = &section->keys[k];
        size_t i = 0;
        while (i < count && strcmp(fields[i].key, key->key) != 0)
            i++;
        if (i == count)
            return unknown_key(scope, key, fields, count, err);
        if (!check_length(key, err) || !fields[i].parse(scope, object, key->value, err))
            return config_wrap_key(scope, key, err);
        seen[i] = true;
    }
    for (size_t i = 0; i < count; i++) {
        if (!fields[i].required || seen[i])
            continue;
        varve_error_set(err, VARVE_ERROR_INVALID, 0, "key '%s' is missing", fields[i].key);
        return config_wrap_section(scope, err);
    }
    return true;
}

bool
config_set_text(char **ret, const char *value, struct varve_error *err)
{
    if (value[0] == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "is empty");
    char *copy = strdup(value);
    if (copy == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "copy '%s'", value);
    free(*ret);
    *ret = copy;
    return true;
}

bool
config_set_path(const struct scope *scope, char **ret, const char *value, struct varve_error *err)
{
    if (value[0] == '/' || value[0] == 0)
        return config_set_text(ret, value, err);
    VARVE_CLEANUP_FREE char *joined = varve_file_join(scope->dir, value);
    if (joined == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "copy '%s'", value);
    return config_set_text(ret, joined, err);
}

/* Names go into messages, the catalog and disc.json: short, and without surprises. */
bool
config_check_name(const char *name, struct varve_error *err)
{
    if (strlen(name) > 47 || name[0] == 0 ||
        name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")] !=
            0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "'%s' is no name: 1 to 47 of A-Z a-z 0-9 _ - .", name);
    return true;
}

/* --- [archive] --- */

static bool
archive_name(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    if (strlen(value) > 63)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "longer than 63 bytes");
    return config_set_text(&config->name, value, err);
}

static bool
archive_set(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    return varve_config_parse_set(value, &config->data_discs, &config->parity_discs, err);
}

static bool
archive_seal_after(const struct scope *scope, void *object, const char *value,
                   struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    return varve_text_parse_duration(value, &config->seal_after_ns, err);
}

/* Of what is divided by or slept for: 0 makes no sense. */
static bool
parse_positive_duration(const char *value, int64_t *ret, struct varve_error *err)
{
    int64_t duration;
    if (!varve_text_parse_duration(value, &duration, err))
        return false;
    if (duration < INT64_C(1000000000))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is shorter than one second",
                               value);
    *ret = duration;
    return true;
}

static bool
archive_half_life(const struct scope *scope, void *object, const char *value,
                  struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    return parse_positive_duration(value, &config->half_life_ns, err);
}

static bool
archive_interval(const struct scope *scope, void *object, const char *value,
                 struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    return parse_positive_duration(value, &config->policy_interval_ns, err);
}

static bool
archive_udf(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    if (strcmp(value, "2.50") != 0) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0, "UDF '%s' is not written by this version",
                        value);
        return varve_error_hint(err, "2.50 is");
    }
    config->udf_revision = 0x0250;
    return true;
}

static const struct config_field archive_fields[] = {
    {"name", false, archive_name},
    {"set", false, archive_set},
    {"seal_after", false, archive_seal_after},
    {"heat_half_life", false, archive_half_life},
    {"policy_interval", false, archive_interval},
    {"udf", false, archive_udf},
    {"head", false, config_head},
    {"head_total", false, config_head_total},
    {"recall", false, config_recall},
    {"recall_users", false, config_recall_users},
    {"recall_groups", false, config_recall_groups},
    {"recalls_per_user", false, config_recalls_per_user},
    {"scan_users", false, config_scan_users},
    {"scan_groups", false, config_scan_groups},
    {"scan_commands", false, config_scan_commands},
    {"head_commands", false, config_head_commands},
};

/* --- [tier ssd] and [tier hdd] --- */

static bool
tier_path(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    struct varve_config_tier *tier = object;
    return config_set_path(scope, &tier->path, value, err);
}

static bool
tier_high(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    struct varve_config_tier *tier = object;
    return varve_text_parse_percent(value, &tier->high_percent, err);
}

static bool
tier_low(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    struct varve_config_tier *tier = object;
    return varve_text_parse_percent(value, &tier->low_percent, err);
}

static const struct config_field tier_fields[] = {
    {"path", true, tier_path},
    {"high", false, tier_high},
    {"low", false, tier_low},
};

static bool
has_key(const struct varve_config_rule *section, const char *key)
{
    for (size_t i = 0; i < section->key_count; i++) {
        if (strcmp(section->keys[i].key, key) == 0)
            return true;
    }
    return false;
}

static bool
check_marks(const struct scope *scope, struct varve_config_tier *tier, struct varve_error *err)
{
    /* A high mark given alone pulls the other along: `high = 60%` is no mistake. */
    if (!has_key(scope->section, "low") && tier->low_percent >= tier->high_percent)
        tier->low_percent = tier->high_percent > 10 ? tier->high_percent - 10 : 0;
    if (!has_key(scope->section, "high") && tier->high_percent <= tier->low_percent)
        tier->high_percent = tier->low_percent < 90 ? tier->low_percent + 10 : 100;
    if (tier->low_percent < tier->high_percent)
        return true;
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "low (%u%%) is not below high (%u%%)",
                    tier->low_percent, tier->high_percent);
    return config_wrap_section(scope, err);
}

static bool
check_tier_path(const struct scope *scope, const struct varve_config *config,
                const struct varve_config_tier *tier, struct varve_error *err)
{
    for (size_t i = 0; i + 1 < config->tier_count; i++) {
        if (strcmp(config->tiers[i].path, tier->path) != 0)
            continue;
        varve_error_set(err, VARVE_ERROR_INVALID, 0, "path '%.200s' is that of [%s] too",
                        tier->path, config->tiers[i].section);
        return config_wrap_section(scope, err);
    }
    return true;
}

/* Appends a zeroed element to an array of the configuration. NULL: no memory. */
void *
config_append(void **array, size_t *count, size_t size, const struct scope *scope,
              struct varve_error *err)
{
    uint8_t *grown = realloc(*array, (*count + 1) * size);
    if (grown == NULL) {
        varve_error_set(err, VARVE_ERROR_NOMEM, 0, "no memory");
        (void)config_wrap_section(scope, err);
        return NULL;
    }
    *array = grown;
    memset(grown + *count * size, 0, size);
    return grown + (*count)++ * size;
}

static bool
read_tier(const struct scope *scope, enum varve_tier kind, struct varve_config *config,
          struct varve_error *err)
{
    struct varve_config_tier *tier =
        config_append((void **)&config->tiers, &config->tier_count, sizeof *tier, scope, err);
    if (tier == NULL)
        return false;
    *tier = (struct varve_config_tier){
        .tier = kind, .high_percent = 90, .low_percent = 80, .line = scope->section->line};
    tier->section = strdup(scope->section->name);
    if (tier->section == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "[%s]", scope->section->name);
    return config_read_keys(scope, tier_fields, COUNT(tier_fields), tier, err) &&
           check_marks(scope, tier, err) && check_tier_path(scope, config, tier, err);
}

/* --- [rule NAME] --- */

/* Takes the keys over from the section. */
static bool
read_rule(const struct scope *scope, struct varve_config_rule *section, const char *name,
          struct varve_config *config, struct varve_error *err)
{
    if (!config_check_name(name, err))
        return config_wrap_section(scope, err);
    if (strcmp(name, "manual") == 0) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0, "the name is taken by what users ask for");
        return config_wrap_section(scope, err);
    }
    struct varve_config_rule *rule =
        config_append((void **)&config->rules, &config->rule_count, sizeof *rule, scope, err);
    if (rule == NULL || !config_set_text(&rule->name, name, err))
        return false;
    rule->line = section->line;
    rule->keys = VARVE_TAKE(section->keys);
    rule->key_count = section->key_count;
    section->key_count = 0;
    return true;
}

/* --- all sections --- */

static bool
unknown_section(const struct scope *scope, struct varve_error *err)
{
    static const char *const kinds[] = {"archive", "tier", "library", "rule"};
    char first[CONFIG_WORD_BYTES_MAX + 1];
    (void)snprintf(first, sizeof first, "%.*s", (int)strcspn(scope->section->name, " "),
                   scope->section->name);
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "unknown section");
    const char *nearest = varve_config_nearest(first, kinds, COUNT(kinds));
    if (nearest != NULL && strcmp(nearest, first) != 0)
        (void)varve_error_hint(err, "did you mean '%s'?", nearest);
    else
        (void)varve_error_hint(
            err, "known are [archive], [tier ssd], [tier hdd], [library NAME] and [rule NAME]");
    return config_wrap_section(scope, err);
}

/* The text behind the first word `word` of a section's name, or NULL. */
static const char *
name_behind(const char *section, const char *word)
{
    size_t size = strlen(word);
    return strncmp(section, word, size) == 0 && section[size] == ' ' ? section + size + 1 : NULL;
}

bool
config_read_section(const struct scope *scope, struct varve_config_rule *section,
                    struct varve_config *config, struct varve_error *err)
{
    const char *name;
    if (strcmp(section->name, "archive") == 0)
        return config_read_keys(scope, archive_fields, COUNT(archive_fields), config, err);
    if ((name = name_behind(section->name, "tier")) != NULL) {
        char kind_text[CONFIG_WORD_BYTES_MAX + 1];
        (void)snprintf(kind_text, sizeof kind_text, "%.*s", (int)strcspn(name, " "), name);
        enum varve_tier kind;
        if (varve_tier_parse(kind_text, &kind) && kind != VARVE_TIER_NONE)
            return read_tier(scope, kind, config, err);
    }
    if ((name = name_behind(section->name, "library")) != NULL)
        return config_read_library(scope, name, config, err);
    if ((name = name_behind(section->name, "rule")) != NULL)
        return read_rule(scope, section, name, config, err);
    return unknown_section(scope, err);
}
