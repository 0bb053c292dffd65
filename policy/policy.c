/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_internal.h"

#include <string.h>

bool
varve_policy_new(const struct varve_config *config, struct varve_policy **ret,
                 struct varve_error *err)
{
    VARVE_CLEANUP(varve_policy_free) struct varve_policy *policy = calloc(1, sizeof *policy);
    if (policy != NULL)
        policy->rules = calloc(config->rule_count + 1, sizeof *policy->rules);
    if (policy == NULL || policy->rules == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "policy");
    policy->config = config;
    for (size_t i = 0; i < config->rule_count; i++) {
        if (!policy_read_rule(config, &config->rules[i], &policy->rules[i], err))
            return false;
        policy->count++;
    }
    *ret = VARVE_TAKE(policy);
    return true;
}

void
varve_policy_free(struct varve_policy *policy)
{
    if (policy == NULL)
        return;
    free(policy->rules);
    free(policy);
}

size_t
varve_policy_count(const struct varve_policy *policy)
{
    return policy->count;
}

const struct varve_rule *
varve_policy_rule(const struct varve_policy *policy, size_t index)
{
    return index < policy->count ? &policy->rules[index] : NULL;
}

const struct varve_rule *
varve_policy_find(const struct varve_policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->count; i++) {
        if (strcmp(policy->rules[i].name, name) == 0)
            return &policy->rules[i];
    }
    return NULL;
}

bool
varve_policy_marks(const struct varve_policy *policy, enum varve_tier tier,
                   unsigned *ret_high_percent, unsigned *ret_low_percent)
{
    const struct varve_config *config = policy->config;
    bool found = false;
    for (size_t i = 0; i < config->tier_count; i++) {
        const struct varve_config_tier *one = &config->tiers[i];
        if (one->tier != tier)
            continue;
        if (!found || one->high_percent < *ret_high_percent)
            *ret_high_percent = one->high_percent;
        if (!found || one->low_percent < *ret_low_percent)
            *ret_low_percent = one->low_percent;
        found = true;
    }
    return found;
}

/* The tier whose files a rule takes away; NONE: any. */
static enum varve_tier
tier_of(const struct varve_rule *rule)
{
    switch (rule->from) {
    case VARVE_FROM_SSD:
        return VARVE_TIER_SSD;
    case VARVE_FROM_HDD:
        return VARVE_TIER_HDD;
    case VARVE_FROM_PREMIGRATED:
        return rule->when_tier;
    }
    return VARVE_TIER_NONE;
}

static uint64_t
used_bytes(const struct varve_policy_tier *tier)
{
    return tier->free_bytes < tier->total_bytes ? tier->total_bytes - tier->free_bytes : 0;
}

/* How much is used beyond `percent` of a tier. In 128 bits: a total times 100 may not fit 64. */
static uint64_t
bytes_above(const struct varve_policy_tier *tier, unsigned percent)
{
    __extension__ typedef unsigned __int128 wide;
    uint64_t mark = (uint64_t)((wide)tier->total_bytes * percent / 100);
    uint64_t used = used_bytes(tier);
    return used > mark ? used - mark : 0;
}

static bool
is_above_high(const struct varve_policy *policy, const struct varve_policy_input *input,
              enum varve_tier tier)
{
    unsigned high, low;
    return varve_policy_marks(policy, tier, &high, &low) &&
           bytes_above(&input->tiers[tier], high) > 0;
}

static bool
is_urgent(const struct varve_policy *policy, const struct varve_policy_input *input,
          const struct varve_rule *rule)
{
    enum varve_tier tier = tier_of(rule);
    if (tier != VARVE_TIER_NONE)
        return is_above_high(policy, input, tier);
    return is_above_high(policy, input, VARVE_TIER_SSD) ||
           is_above_high(policy, input, VARVE_TIER_HDD);
}

/* A window may reach over midnight. */
static bool
in_window(const struct varve_rule *rule, unsigned minute)
{
    if (!rule->has_window)
        return true;
    if (rule->window_from < rule->window_to)
        return minute >= rule->window_from && minute < rule->window_to;
    return minute >= rule->window_from || minute < rule->window_to;
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Decides by `when`: false, or the bytes to move. Writes the reason either way. */
static bool
check_when(const struct varve_policy *policy, const struct varve_policy_input *input,
           struct varve_policy_step *step)
{
    const struct varve_rule *rule = step->rule;
    const struct varve_policy_tier *tier = &input->tiers[rule->when_tier];
    const char *name = varve_tier_name(rule->when_tier);
    double usage =
        tier->total_bytes == 0 ? 0 : 100. * (double)used_bytes(tier) / (double)tier->total_bytes;
    unsigned high = 100, low = rule->when_percent;
    (void)varve_policy_marks(policy, rule->when_tier, &high, &low);
    if (bytes_above(tier, rule->when_percent) == 0) {
        (void)snprintf(step->reason, sizeof step->reason, "usage(%s) is %.1f%%, not above %u%%",
                       name, usage, rule->when_percent);
        return false;
    }
    step->bytes_max = bytes_above(tier, low);
    if (step->bytes_max == 0) {
        (void)snprintf(step->reason, sizeof step->reason,
                       "usage(%s) is %.1f%%, not above low = %u%%", name, usage, low);
        return false;
    }
    (void)snprintf(step->reason, sizeof step->reason, "usage(%s) is %.1f%%, above %u%%", name,
                   usage, rule->when_percent);
    return true;
}

static void
plan_rule(const struct varve_policy *policy, const struct varve_policy_input *input,
          struct varve_policy_step *step)
{
    const struct varve_rule *rule = step->rule;
    if (!in_window(rule, input->minute)) {
        (void)snprintf(step->reason, sizeof step->reason,
                       "it is %02u:%02u, outside its window %02u:%02u-%02u:%02u",
                       input->minute / 60, input->minute % 60, rule->window_from / 60,
                       rule->window_from % 60, rule->window_to / 60, rule->window_to % 60);
        return;
    }
    step->bytes_max = UINT64_MAX;
    step->files_max = rule->limit_files > 0 ? rule->limit_files : UINT64_MAX;
    if (rule->when_tier == VARVE_TIER_NONE) {
        (void)snprintf(step->reason, sizeof step->reason, "it has no condition");
        step->active = true;
    } else {
        step->active = check_when(policy, input, step);
    }
    if (rule->limit_bytes > 0)
        step->bytes_max = smaller(step->bytes_max, rule->limit_bytes);
    step->urgent = step->active && is_urgent(policy, input, rule);
    if (!step->active)
        step->bytes_max = step->files_max = 0;
}

void
varve_policy_plan(const struct varve_policy *policy, const struct varve_policy_input *input,
                  struct varve_policy_step *ret)
{
    for (size_t i = 0; i < policy->count; i++) {
        ret[i] = (struct varve_policy_step){.rule = &policy->rules[i]};
        plan_rule(policy, input, &ret[i]);
    }
}

bool
varve_policy_urgent(const struct varve_policy *policy, const struct varve_policy_input *input)
{
    for (size_t i = 0; i < policy->count; i++) {
        struct varve_policy_step step = {.rule = &policy->rules[i]};
        plan_rule(policy, input, &step);
        if (step.urgent)
            return true;
    }
    return false;
}

struct varve_selection
varve_rule_selection(const struct varve_policy *policy, const struct varve_rule *rule,
                     int64_t now_ns)
{
    struct varve_selection selection = {.where = rule->where,
                                        .order = rule->order,
                                        .tier = tier_of(rule),
                                        .now_ns = now_ns,
                                        .half_life_ns = policy->config->half_life_ns};
    if (rule->to == VARVE_TO_OPTICAL) {
        selection.has_state = true; /* what is planned or sealed needs no second disc */
        selection.state = VARVE_STATE_RESIDENT;
    }
    if (rule->from == VARVE_FROM_PREMIGRATED) {
        selection.has_state = true;
        selection.state = VARVE_STATE_PREMIGRATED;
    }
    return selection;
}
