/* policy_internal.h - shared inside policy/. */
#ifndef VARVE_POLICY_INTERNAL_H
#define VARVE_POLICY_INTERNAL_H

#include <varve/policy.h>

struct varve_policy {
    const struct varve_config *config;
    struct varve_rule *rules;
    size_t count;
};

/* The meaning of one raw rule; checked except for what concerns other rules. */
VARVE_MUST_CHECK bool
policy_read_rule(const struct varve_config *config, const struct varve_config_rule *raw,
                 struct varve_rule *ret, struct varve_error *err);

#endif
