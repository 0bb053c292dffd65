/* SPDX-License-Identifier: Apache-2.0 */
/* What is allowed but probably not meant. */
#include "policy_internal.h"

#include <stdarg.h>
#include <string.h>

struct lint {
    const struct varve_policy *policy;
    struct varve_policy_warning *warnings;
    size_t count, capacity;
    bool failed; /* out of memory */
};

static void warn_rule(struct lint *lint, const struct varve_rule *rule, const char *format, ...)
    VARVE_PRINTF(3, 4);

static void
warn_rule(struct lint *lint, const struct varve_rule *rule, const char *format, ...)
{
    if (lint->count == lint->capacity) {
        size_t capacity = lint->capacity * 2 + 8;
        struct varve_policy_warning *grown =
            realloc(lint->warnings, capacity * sizeof *lint->warnings);
        if (grown == NULL) {
            lint->failed = true;
            return;
        }
        lint->warnings = grown;
        lint->capacity = capacity;
    }
    struct varve_policy_warning *warning = &lint->warnings[lint->count++];
    warning->rule = (size_t)(rule - lint->policy->rules);
    int used = snprintf(warning->text, sizeof warning->text,
                        "%s:%u: [rule %s]: ", lint->policy->config->file, rule->line, rule->name);
    if (used < 0 || (size_t)used >= sizeof warning->text)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(warning->text + used, sizeof warning->text - (size_t)used, format, args);
    va_end(args);
}

static void
lint_condition(struct lint *lint, const struct varve_rule *rule)
{
    unsigned high, low;
    if (rule->when_tier == VARVE_TIER_NONE ||
        !varve_policy_marks(lint->policy, rule->when_tier, &high, &low))
        return;
    const char *tier = varve_tier_name(rule->when_tier);
    if (rule->when_percent == 100)
        warn_rule(lint, rule, "it can never run: usage(%s) is never above 100%%", tier);
    else if (rule->when_percent < low)
        warn_rule(lint, rule, "it runs above %u%%, not above %u%%: it stops at low = %u%% of %s",
                  low, rule->when_percent, low, tier);
    if (rule->from == VARVE_FROM_SSD && rule->when_tier == VARVE_TIER_HDD)
        warn_rule(lint, rule, "it waits for hdd to be full but moves files away from ssd");
    if (rule->from == VARVE_FROM_HDD && rule->when_tier == VARVE_TIER_SSD)
        warn_rule(lint, rule, "it waits for ssd to be full but moves files away from hdd");
}

static void
lint_alone(struct lint *lint, const struct varve_rule *rule)
{
    lint_condition(lint, rule);
    if (rule->to == VARVE_TO_OPTICAL && rule->parity_discs == 0)
        warn_rule(lint, rule, "set = %u+0 has no parity: a lost disc is lost for ever",
                  rule->data_discs);
    if (rule->to == VARVE_TO_MIGRATED && rule->where == NULL && rule->when_tier == VARVE_TIER_NONE)
        warn_rule(lint, rule,
                  "without `where` and `when` it releases every file once it is sealed");
}

static bool
is_opposite(const struct varve_rule *a, const struct varve_rule *b)
{
    return a->from == VARVE_FROM_SSD && a->to == VARVE_TO_HDD && b->from == VARVE_FROM_HDD &&
           b->to == VARVE_TO_SSD;
}

/* `first` always takes every file that `second` could find. */
static bool
leaves_nothing(const struct varve_rule *first, const struct varve_rule *second)
{
    return first->from == second->from && first->to == second->to && first->where == NULL &&
           first->when_tier == VARVE_TIER_NONE && !first->has_window && first->limit_bytes == 0 &&
           first->limit_files == 0;
}

static void
lint_pair(struct lint *lint, const struct varve_rule *first, const struct varve_rule *second)
{
    if (is_opposite(first, second) || is_opposite(second, first))
        warn_rule(lint, second,
                  "ping-pong: it moves files from %s to %s, and [rule %s] moves them back; make "
                  "sure that no file fits both",
                  varve_rule_from_name(second->from), varve_rule_to_name(second->to), first->name);
    if (leaves_nothing(first, second))
        warn_rule(lint, second, "it never finds a file: [rule %s] takes them all before",
                  first->name);
}

bool
varve_policy_lint(const struct varve_policy *policy, struct varve_policy_warning **ret,
                  size_t *ret_count, struct varve_error *err)
{
    struct lint lint = {.policy = policy};
    for (size_t i = 0; i < policy->count; i++) {
        lint_alone(&lint, &policy->rules[i]);
        for (size_t j = 0; j < i; j++)
            lint_pair(&lint, &policy->rules[j], &policy->rules[i]);
    }
    if (lint.failed) {
        free(lint.warnings);
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "check the policy");
    }
    *ret = lint.warnings;
    *ret_count = lint.count;
    return true;
}
