/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of one rule from any bytes: refused with the rule's name, or a plan within its bounds.
 */
#include <varve/policy.h>

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_plan(const struct varve_policy *policy)
{
    struct varve_policy_step step;
    struct varve_policy_input input = {
        .minute = 1439,
        .tiers = {[VARVE_TIER_SSD] = {1000, 10}, [VARVE_TIER_HDD] = {UINT64_MAX, 1}}};
    struct varve_error err = {0};
    VARVE_CLEANUP_FREE struct varve_policy_warning *warnings = NULL;
    size_t count;
    assert(varve_policy_lint(policy, &warnings, &count, &err));
    if (varve_policy_count(policy) != 1)
        return;
    varve_policy_plan(policy, &input, &step);
    assert(step.reason[0] != 0);
    assert(step.active ? step.bytes_max > 0 && step.files_max > 0 : !step.urgent);
    assert(step.rule->window_from <= 1440 && step.rule->window_to <= 1440);
    assert(step.rule->data_discs >= 1 && step.rule->data_discs + step.rule->parity_discs <= 255);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "[tier ssd]\npath = /s\n[tier hdd]\npath = /h\n[rule r]\n";
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    VARVE_CLEANUP(varve_policy_free) struct varve_policy *policy = NULL;
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    struct varve_error err = {0};
    varve_buffer_text(&text, head);
    varve_buffer_append(&text, data, size);
    if (text.failed || !varve_config_parse(varve_buffer_string(&text), text.size, "varve.conf",
                                           "/a", &config, &err))
        return 0;
    if (varve_policy_new(config, &policy, &err))
        check_plan(policy);
    else
        assert(err.text[0] != 0);
    return 0;
}
