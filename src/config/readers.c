/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of [archive] about who reads what is on discs. */
#include "config_internal.h"

#include <string.h>
#include <varve/text.h>

/* More would be no beginning of a file any more, and is read whole when a head is opened. */
#define HEAD_BYTES_MAX (UINT64_C(16) << 20)

void
config_list_done(struct varve_config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->words[i]);
    free(list->words);
    *list = (struct varve_config_list){0};
}

static bool
add_word(struct varve_config_list *list, const char *word, size_t size, struct varve_error *err)
{
    if (list->count == CONFIG_LIST_WORDS_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u words",
                               CONFIG_LIST_WORDS_MAX);
    char **words = realloc(list->words, (list->count + 1) * sizeof *words);
    if (words == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list");
    list->words = words;
    words[list->count] = strndup(word, size);
    return words[list->count++] != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list");
}

/* Commas between words; blanks belong to none (a command may have one inside). */
static bool
parse_list(struct varve_config_list *list, const char *value, struct varve_error *err)
{
    config_list_done(list);
    for (const char *at = value;; at++) {
        at += strspn(at, " \t");
        size_t size = strcspn(at, ",");
        size_t word = size;
        while (word > 0 && (at[word - 1] == ' ' || at[word - 1] == '\t'))
            word--;
        if (word == 0)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s': a word is missing", value);
        if (!add_word(list, at, word, err))
            return false;
        at += size;
        if (*at == 0)
            return true;
    }
}

bool
config_head(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    uint64_t bytes;
    if (!varve_text_parse_bytes(value, &bytes, err))
        return false;
    if (bytes > HEAD_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is more than 16 MiB", value);
    config->head_bytes = bytes;
    return true;
}

bool
config_head_total(const struct scope *scope, void *object, const char *value,
                  struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    return varve_text_parse_bytes(value, &config->head_total, err);
}

bool
config_recall(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    static const char *const words[] = {"block", "again", "deny"};
    struct varve_config *config = object;
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(value, words[i]) != 0)
            continue;
        config->recall = (enum varve_config_recall)i;
        return true;
    }
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "unknown word '%s'", value);
    const char *nearest = varve_config_nearest(value, words, 3);
    if (nearest != NULL)
        return varve_error_hint(err, "did you mean '%s'?", nearest);
    return varve_error_hint(err, "known are 'block', 'again' and 'deny'");
}

bool
config_recalls_per_user(const struct scope *scope, void *object, const char *value,
                        struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    uint64_t number;
    if (!varve_text_parse_number(value, 1000000, &number, err))
        return false;
    config->recalls_per_user = (unsigned)number;
    return true;
}

bool
config_recall_users(const struct scope *scope, void *object, const char *value,
                    struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    return parse_list(&config->recall_users, value, err);
}

bool
config_recall_groups(const struct scope *scope, void *object, const char *value,
                     struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    return parse_list(&config->recall_groups, value, err);
}

bool
config_scan_users(const struct scope *scope, void *object, const char *value,
                  struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    return parse_list(&config->scan_users, value, err);
}

bool
config_scan_groups(const struct scope *scope, void *object, const char *value,
                   struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    return parse_list(&config->scan_groups, value, err);
}

bool
config_scan_commands(const struct scope *scope, void *object, const char *value,
                     struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    return parse_list(&config->scan_commands, value, err);
}

bool
config_head_commands(const struct scope *scope, void *object, const char *value,
                     struct varve_error *err)
{
    (void)scope;
    struct varve_config *config = object;
    return parse_list(&config->head_commands, value, err);
}

bool
config_check_readers(const struct varve_config *config, struct varve_error *err)
{
    if (config->recall != VARVE_CONFIG_RECALL_BLOCK ||
        (config->recall_users.count == 0 && config->recall_groups.count == 0))
        return true;
    varve_error_set(err, VARVE_ERROR_INVALID, 0,
                    "%s: [archive] recall_users and recall_groups name who may wait, but with "
                    "recall = block everybody may",
                    config->file);
    return varve_error_hint(err, "say `recall = again` or `recall = deny`");
}
