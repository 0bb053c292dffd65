/* SPDX-License-Identifier: Apache-2.0 */
/* A fault script of any bytes is refused with a line's number, or every line of it is within the
 * limits that the emulator relies on. */
#include "virtual_script.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_rule(const struct virtual_rule *rule)
{
    assert(rule->action_count > 0 && rule->action_count <= VIRTUAL_ACTIONS_MAX);
    assert(rule->opcode_count <= VIRTUAL_OPCODES_MAX);
    assert(rule->sector_first <= rule->sector_last && rule->element_first <= rule->element_last);
    assert(rule->chance <= 1000000);
    for (unsigned i = 0; i < rule->action_count; i++) {
        const struct virtual_action *action = &rule->actions[i];
        assert(action->drive[0] < 768 && action->drive[1] < 768);
        assert(action->sense.key < 16 && action->ns >= 0);
        assert(strnlen(action->disc.text, VARVE_BARCODE_BYTES) < VARVE_BARCODE_BYTES);
        if (action->verb == VIRTUAL_VERB_QUIRK_ON || action->verb == VIRTUAL_VERB_QUIRK_OFF)
            assert(action->word < VARVE_VIRTUAL_QUIRK_COUNT);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtual_script script = {0};
    struct varve_error err = {0};
    if (!virtual_script_parse((const char *)data, size, &script, &err)) {
        assert(err.kind == VARVE_ERROR_INVALID);
        assert(strncmp(err.text, "fault script", 12) == 0);
        assert(script.lines == NULL);
        return 0;
    }
    assert(script.count <= VIRTUAL_SCRIPT_LINES_MAX);
    for (size_t i = 0; i < script.count; i++) {
        if (script.lines[i].kind != VIRTUAL_LINE_SEED)
            check_rule(&script.lines[i].rule);
    }
    virtual_script_done(&script);
    return 0;
}
