/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of fault scripts: which command they are for, and whose turn it is. Counts are kept by
 * device, so that what happens does not depend on how threads take turns. */
#include "virtual_internal.h"

#include <string.h>
#include <varve/byteorder.h>
#include <varve/file.h>

static bool
matches_opcode(const struct virtual_rule *rule, uint8_t opcode)
{
    for (unsigned i = 0; i < rule->opcode_count; i++) {
        if (rule->opcodes[i] == opcode)
            return true;
    }
    return rule->opcode_count == 0;
}

/* Commands without an address touch all sectors. */
static bool
touches_sectors(const struct virtual_rule *rule, const uint8_t *cdb)
{
    bool ten = cdb[0] == 0x28 || cdb[0] == 0x2a || cdb[0] == 0x2e;
    bool twelve = cdb[0] == 0xa8 || cdb[0] == 0xaa;
    if (!rule->has_sectors || (!ten && !twelve))
        return true;
    uint64_t first = varve_get_be32(cdb + 2);
    uint64_t count = ten ? varve_get_be16(cdb + 7) : varve_get_be32(cdb + 6);
    return count > 0 && first <= rule->sector_last && first + count - 1 >= rule->sector_first;
}

static bool
in_elements(const struct virtual_rule *rule, uint16_t element)
{
    return element >= rule->element_first && element <= rule->element_last;
}

static bool
touches_elements(const struct virtual_rule *rule, const uint8_t *cdb)
{
    bool from = false, to = false;
    if (!rule->has_elements)
        return true;
    if (cdb[0] == 0xa5 || cdb[0] == 0xa6) {
        from = in_elements(rule, varve_get_be16(cdb + 4));
        to = in_elements(rule, varve_get_be16(cdb + 6)) ||
             (cdb[0] == 0xa6 && in_elements(rule, varve_get_be16(cdb + 8)));
    } else if (cdb[0] == 0x2b) {
        to = in_elements(rule, varve_get_be16(cdb + 4));
    } else if (cdb[0] == 0xb8 || cdb[0] == 0x37) {
        from = in_elements(rule, varve_get_be16(cdb + 2));
    }
    return (from && rule->end != VIRTUAL_TO) || (to && rule->end != VIRTUAL_FROM);
}

/* The disc in the drive; for the changer the one that is to be moved. */
static void
find_subject(struct varve_virtual *library, const struct virtual_device *device,
             const struct varve_scsi_command *command, struct varve_barcode *ret)
{
    uint16_t element = varve_get_be16(command->cdb + 4);
    *ret = (struct varve_barcode){0};
    if (device->number != VIRTUAL_DEVICE_CHANGER)
        element = (uint16_t)(VIRTUAL_DRIVE_FIRST + device->number - 1);
    else if (command->cdb[0] != 0xa5 && command->cdb[0] != 0xa6)
        return;
    VARVE_LOCKED(&library->lock);
    const struct virtual_place *place = virtual_at(library, element);
    if (place != NULL)
        *ret = place->barcode;
}

static bool
is_about_device(const struct virtual_rule *rule, const struct virtual_device *device)
{
    if (rule->device == VIRTUAL_DEVICE_ANY_DRIVE)
        return device->number != VIRTUAL_DEVICE_CHANGER;
    return rule->device == device->number;
}

/* SplitMix64's last step (Steele et al. 2014) over all that the number depends on. */
uint64_t
virtual_dice(const struct varve_virtual *library, const struct virtual_rule *rule, unsigned device,
             uint32_t nth)
{
    uint64_t z =
        library->seed +
        ((uint64_t)rule->line << 44 ^ (uint64_t)rule->part << 56 ^ (uint64_t)device << 32 ^ nth) +
        0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static bool
is_turn(const struct varve_virtual *library, const struct virtual_waiting *waiting, unsigned device)
{
    const struct virtual_rule *rule = &waiting->rule;
    uint32_t nth = waiting->seen[device];
    if (rule->times > 0 && waiting->fired[device] >= rule->times)
        return false;
    if (rule->chance > 0)
        return virtual_dice(library, rule, device, nth) % 1000000 < rule->chance;
    if (rule->every > 0)
        return nth % rule->every == 0;
    return nth >= rule->nth;
}

static void
free_waiting(struct virtual_waiting *waiting)
{
    if (waiting == NULL)
        return;
    free(waiting->seen);
    free(waiting->fired);
    free(waiting);
}

static void
forget_used(struct varve_virtual *library, unsigned which, unsigned device)
{
    struct virtual_waiting *waiting = library->rules[which];
    if (waiting->rule.device == VIRTUAL_DEVICE_ANY_DRIVE || waiting->rule.times == 0 ||
        waiting->fired[device] < waiting->rule.times)
        return;
    library->rule_count--;
    memmove(library->rules + which, library->rules + which + 1,
            (library->rule_count - which) * sizeof library->rules[0]);
    free_waiting(waiting);
}

bool
virtual_rules_due(struct varve_virtual *library, const struct virtual_device *device,
                  const struct varve_scsi_command *command, struct virtual_rule *ret)
{
    struct varve_barcode subject = {0};
    if (library->rule_count == 0)
        return false;
    if (library->names_discs)
        find_subject(library, device, command, &subject);
    VARVE_LOCKED(&library->rules_lock);
    unsigned due = UINT_MAX;
    for (unsigned i = 0; i < library->rule_count; i++) {
        struct virtual_waiting *waiting = library->rules[i];
        const struct virtual_rule *rule = &waiting->rule;
        if (!is_about_device(rule, device) || !matches_opcode(rule, command->cdb[0]) ||
            !touches_sectors(rule, command->cdb) || !touches_elements(rule, command->cdb) ||
            (rule->disc.text[0] != 0 && !varve_barcode_equal(&rule->disc, &subject)))
            continue;
        waiting->seen[device->number]++;
        if (due == UINT_MAX && is_turn(library, waiting, device->number))
            due = i; /* one at a time: another one that is due waits for the next command */
    }
    if (due == UINT_MAX)
        return false;
    library->rules[due]->fired[device->number]++;
    *ret = library->rules[due]->rule;
    forget_used(library, due, device->number);
    return true;
}

bool
virtual_rules_add(struct varve_virtual *library, const struct virtual_rule *rule,
                  struct varve_error *err)
{
    struct virtual_waiting *waiting = calloc(1, sizeof *waiting);
    if (waiting != NULL) {
        waiting->rule = *rule;
        waiting->seen = calloc(1 + library->drive_count, sizeof *waiting->seen);
        waiting->fired = calloc(1 + library->drive_count, sizeof *waiting->fired);
    }
    if (waiting == NULL || waiting->seen == NULL || waiting->fired == NULL) {
        free_waiting(waiting);
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "inject a fault");
    }
    VARVE_LOCKED(&library->rules_lock);
    if (library->rule_count == VIRTUAL_RULES_MAX) {
        free_waiting(waiting);
        return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                               "inject a fault: %u are waiting already", VIRTUAL_RULES_MAX);
    }
    if (rule->disc.text[0] != 0)
        library->names_discs = true;
    library->rules[library->rule_count++] = waiting;
    return true;
}

void
virtual_rules_done(struct varve_virtual *library)
{
    VARVE_LOCKED(&library->rules_lock);
    for (unsigned i = 0; i < library->rule_count; i++)
        free_waiting(library->rules[i]);
    library->rule_count = 0;
    library->names_discs = false;
}

/* --- from outside --- */

static bool
check_device(const struct varve_virtual *library, unsigned device, struct varve_error *err)
{
    if (device == VIRTUAL_DEVICE_ANY_DRIVE || device <= library->drive_count)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "no drive %u", device - 1);
}

bool
varve_virtual_inject(struct varve_virtual *library, const struct varve_virtual_fault *fault,
                     struct varve_error *err)
{
    struct virtual_rule rule = {
        .device = fault->on_changer ? VIRTUAL_DEVICE_CHANGER : 1 + fault->drive,
        .opcodes = {fault->opcode},
        .opcode_count = 1,
        .has_sectors = fault->lba_last != 0,
        .sector_first = fault->lba_first,
        .sector_last = fault->lba_last,
        .nth = fault->nth,
        .times = 1,
        .after = fault->after,
        .action_count = 1,
    };
    rule.actions[0] = (struct virtual_action){
        .verb = fault->dead   ? VIRTUAL_VERB_DEAD
                : fault->lost ? VIRTUAL_VERB_DROP
                              : VIRTUAL_VERB_SENSE,
        .sense = {.key = fault->key, .asc = fault->asc, .ascq = fault->ascq},
    };
    if (!check_device(library, rule.device, err))
        return varve_error_wrap(err, "inject a fault");
    return virtual_rules_add(library, &rule, err);
}

/* What can be known to be wrong before anything is done. */
static bool
check_line(const struct varve_virtual *library, const struct virtual_line *line,
           struct varve_error *err)
{
    const struct virtual_rule *rule = &line->rule;
    if (line->kind == VIRTUAL_LINE_RULE && !check_device(library, rule->device, err))
        return varve_error_wrap(err, "fault script, line %u", rule->line);
    for (unsigned i = 0; i < rule->action_count; i++) {
        const struct virtual_action *action = &rule->actions[i];
        unsigned drive = action->drive[0] > action->drive[1] ? action->drive[0] : action->drive[1];
        if (!check_device(library, action->device, err) || !check_device(library, 1 + drive, err))
            return varve_error_wrap(err, "fault script, line %u", rule->line);
    }
    return true;
}

/* `forgiving`: what the state forbids is left out. */
static bool
do_line(struct varve_virtual *library, const struct virtual_line *line, bool forgiving,
        struct varve_error *err)
{
    if (line->kind == VIRTUAL_LINE_SEED) {
        VARVE_LOCKED(&library->rules_lock);
        library->seed = line->seed;
        return true;
    }
    if (line->kind == VIRTUAL_LINE_RULE)
        return virtual_rules_add(library, &line->rule, err);
    for (unsigned i = 0; i < line->rule.action_count; i++) {
        struct varve_error failed = {0};
        if (virtual_happen(library, &line->rule.actions[i], &failed) ||
            (forgiving && failed.kind == VARVE_ERROR_NOT_FOUND))
            continue;
        *err = failed;
        return varve_error_wrap(err, "fault script, line %u", line->rule.line);
    }
    return true;
}

static bool
take_script(struct varve_virtual *library, const char *text, size_t size, bool forgiving,
            struct varve_error *err)
{
    __attribute__((cleanup(virtual_script_done_cleanup))) struct virtual_script script = {0};
    if (!virtual_script_parse(text, size, &script, err))
        return false;
    for (size_t i = 0; i < script.count; i++) {
        if (!check_line(library, &script.lines[i], err))
            return false;
    }
    for (size_t i = 0; i < script.count; i++) {
        if (!do_line(library, &script.lines[i], forgiving, err))
            return false;
    }
    return true;
}

bool
varve_virtual_script(struct varve_virtual *library, const char *text, struct varve_error *err)
{
    return take_script(library, text, strlen(text), false, err) ||
           varve_error_wrap(err, "virtual library '%s'", library->dir);
}

bool
virtual_take_script_file(struct varve_virtual *library, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(library->dir, VARVE_VIRTUAL_SCRIPT_FILE);
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "fault script");
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    if (!varve_file_read(path, VIRTUAL_SCRIPT_BYTES_MAX, &text, err))
        return false;
    return take_script(library, varve_buffer_string(&text), text.size, true, err) ||
           varve_error_wrap(err, "'%s'", path);
}

void
varve_virtual_calm(struct varve_virtual *library)
{
    virtual_rules_done(library);
    atomic_store(&library->changer.quirks, 0);
    for (unsigned i = 0; i < library->drive_count; i++)
        atomic_store(&library->drives[i].device.quirks, 0);
}
