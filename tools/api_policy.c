/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

bool
api_get_policy(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    const struct varve_config *config = varve_engine_config(request->options->engine);
    json_t *rules = json_array();
    for (size_t i = 0; i < config->rule_count; i++)
        json_add(&rules, json_rule(&config->rules[i]));
    return answer(json_pack("{s:o}", "rules", rules), ret, err);
}

bool
api_get_policy_effects(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_policy_effect *effects = NULL;
    size_t count = 0;
    if (!varve_engine_policy_dry_run(request->options->engine, request_text(request, "rule"),
                                     &effects, &count, err))
        return false;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_add(&list, json_effect(&effects[i]));
    return answer(json_pack("{s:o}", "effects", list), ret, err);
}

bool
api_post_policy_run(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    uint64_t job = 0;
    return varve_engine_policy_run(request->options->engine, request_text(request, "rule"), &job,
                                   err) &&
           answer_job(request, job, ret, err);
}
