/* SPDX-License-Identifier: Apache-2.0 */
/* varve.conf from any bytes: refused with a text, or read within its bounds. */
#include <varve/config.h>

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    struct varve_error err = {0};
    if (!varve_config_parse((const char *)data, size, "varve.conf", "/a", &config, &err)) {
        assert(err.kind == VARVE_ERROR_INVALID && strncmp(err.text, "varve.conf:", 11) == 0);
        return 0;
    }
    assert(config->tier_count > 0 && config->name != NULL);
    for (size_t i = 0; i < config->tier_count; i++)
        assert(config->tiers[i].path[0] == '/' &&
               config->tiers[i].low_percent < config->tiers[i].high_percent);
    for (size_t i = 0; i < config->rule_count; i++)
        assert(config->rules[i].key_count <= VARVE_CONFIG_KEYS_MAX);
    return 0;
}
