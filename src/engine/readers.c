/* SPDX-License-Identifier: Apache-2.0 */
/* Who may recall and who only scans: names of the configuration as numbers. */
#include "engine_internal.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <varve/text.h>

enum { NAME_BUFFER_BYTES = 1 << 16 }; /* more than any entry of passwd or group has */

typedef bool find_fn(const char *name, char *buffer, uint32_t *ret);

static bool
find_user(const char *name, char *buffer, uint32_t *ret)
{
    struct passwd entry;
    struct passwd *found = NULL;
    if (getpwnam_r(name, &entry, buffer, NAME_BUFFER_BYTES, &found) != 0 || found == NULL)
        return false;
    *ret = found->pw_uid;
    return true;
}

static bool
find_group(const char *name, char *buffer, uint32_t *ret)
{
    struct group entry;
    struct group *found = NULL;
    if (getgrnam_r(name, &entry, buffer, NAME_BUFFER_BYTES, &found) != 0 || found == NULL)
        return false;
    *ret = found->gr_gid;
    return true;
}

/* An unknown name is left out with a warning: a directory service that is not up yet must not keep
 * an archive from being mounted, and a list that is too short lets nobody in. */
static bool
resolve(const char *key, const struct varve_config_list *words, find_fn *find,
        struct varve_id_list *ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *buffer = malloc(NAME_BUFFER_BYTES);
    uint32_t *ids = calloc(words->count + 1, sizeof *ids);
    *ret = (struct varve_id_list){ids, 0};
    if (buffer == NULL || ids == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%s", key);
    for (size_t i = 0; i < words->count; i++) {
        struct varve_error no_number;
        uint64_t number;
        uint32_t id;
        if (varve_text_parse_number(words->words[i], UINT32_MAX, &number, &no_number))
            id = (uint32_t)number;
        else if (!find(words->words[i], buffer, &id)) {
            varve_log(VARVE_LOG_WARNING, "%s: %s: there is no '%s'; left out", VARVE_CONFIG_FILE,
                      key, words->words[i]);
            continue;
        }
        ids[ret->count++] = id;
    }
    return true;
}

static enum varve_recall_mode
mode_of(enum varve_config_recall recall)
{
    switch (recall) {
    case VARVE_CONFIG_RECALL_BLOCK:
        return VARVE_RECALL_BLOCK;
    case VARVE_CONFIG_RECALL_AGAIN:
        return VARVE_RECALL_AGAIN;
    case VARVE_CONFIG_RECALL_DENY:
        return VARVE_RECALL_DENY;
    }
    return VARVE_RECALL_BLOCK;
}

bool
readers_make(const struct varve_config *config, struct varve_reader_rules *ret,
             struct varve_error *err)
{
    static const char *const usual[] = {"file"};
    bool own = config->head_commands.count > 0;
    *ret = (struct varve_reader_rules){
        .mode = mode_of(config->recall),
        .per_user = config->recalls_per_user,
        .scan_commands = (const char *const *)config->scan_commands.words,
        .scan_command_count = config->scan_commands.count,
        .head_commands = own ? (const char *const *)config->head_commands.words : usual,
        .head_command_count = own ? config->head_commands.count : 1,
    };
    return resolve("recall_users", &config->recall_users, find_user, &ret->users, err) &&
           resolve("recall_groups", &config->recall_groups, find_group, &ret->groups, err) &&
           resolve("scan_users", &config->scan_users, find_user, &ret->scan_users, err) &&
           resolve("scan_groups", &config->scan_groups, find_group, &ret->scan_groups, err);
}

void
readers_done(struct varve_reader_rules *rules)
{
    free((void *)(uintptr_t)rules->users.ids);
    free((void *)(uintptr_t)rules->groups.ids);
    free((void *)(uintptr_t)rules->scan_users.ids);
    free((void *)(uintptr_t)rules->scan_groups.ids);
    *rules = (struct varve_reader_rules){0};
}
