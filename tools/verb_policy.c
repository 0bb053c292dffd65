/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/catalog.h>
#include <varve/config.h>
#include <varve/file.h>

#include "client.h"
#include "json.h"
#include "show.h"

/* A file is read as it is; its relative paths count from its folder. */
static bool
load_file(const char *path, struct varve_config **ret, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    if (!varve_file_read(path, VARVE_CONFIG_BYTES_MAX, &text, err))
        return false;
    VARVE_CLEANUP_FREE char *whole = realpath(path, NULL);
    char *slash = whole != NULL ? strrchr(whole, '/') : NULL;
    if (slash == NULL)
        return varve_error_system(err, errno, "'%s'", path);
    slash[slash == whole ? 1 : 0] = 0;
    return varve_config_parse(varve_buffer_string(&text), text.size, path, whole, ret, err);
}

static bool
load(struct cli *cli, const struct args *args, struct varve_config **ret, struct varve_error *err)
{
    struct stat st;
    const char *word = args->count > 0 ? args->words[0] : NULL;
    if (word != NULL && stat(word, &st) != 0)
        return varve_error_system(err, errno, "'%s'", word);
    if (word != NULL && S_ISREG(st.st_mode))
        return load_file(word, ret, err);
    VARVE_CLEANUP_FREE char *archive = NULL;
    return find_archive(cli, word, &archive, err) && varve_config_load(archive, ret, err);
}

static const char *
find_value(const struct varve_config_rule *rule, const char *key)
{
    for (size_t i = 0; i < rule->key_count; i++) {
        if (strcmp(rule->keys[i].key, key) == 0)
            return rule->keys[i].value;
    }
    return NULL;
}

static bool
check_rule(const struct varve_config *config, const struct varve_config_rule *rule,
           struct varve_error *err)
{
    return varve_predicate_check(find_value(rule, "where"), find_value(rule, "order"), err) ||
           varve_error_wrap(err, "%s:%u: [rule %s]", config->file, rule->line, rule->name);
}

bool
verb_policy_check(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    if (!load(cli, args, &config, err))
        return false;
    for (size_t i = 0; i < config->rule_count; i++) {
        if (!check_rule(config, &config->rules[i], err))
            return false;
    }
    if (cli->json)
        return cli_print_json(json_pack("{s:I}", "rules", (json_int_t)config->rule_count), err);
    (void)printf("%s: %zu rule%s, no errors\n", config->file, config->rule_count,
                 config->rule_count == 1 ? "" : "s");
    return true;
}

/* "from = hdd; to = optical; ..." */
static void
show_keys(struct table *table, const json_t *row, const char *key)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(row, key), name, value)
    {
        const char *word = json_string_value(value);
        varve_buffer_printf(&text, "%s%s = %s", text.size > 0 ? "; " : "", name,
                            word != NULL ? word : "?");
    }
    table_cell(table, "%s", varve_buffer_string(&text));
}

static const struct column rule_columns[] = {
    {"RULE", "name", show_text},
    {"-LINE", "line", show_number},
    {"WHAT", "keys", show_keys},
    {NULL, NULL, NULL},
};

static void
show_active(struct table *table, const json_t *row, const char *key)
{
    table_cell(table, "%s", json_is_true(json_object_get(row, key)) ? "yes" : "no");
}

static const struct column effect_columns[] = {
    {"RULE", "rule", show_text},      {"ACTIVE", "active", show_active},
    {"-FILES", "files", show_number}, {"-SIZE", "bytes", show_bytes},
    {"WHY", "reason", show_text},     {NULL, NULL, NULL},
};

bool
verb_policy_list(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    return session_open(cli, args, args->count > 0 ? args->words[0] : NULL, &client, err) &&
           show_list(cli, client, "/v1/policy", "rules", rule_columns, "no rules", err);
}

static bool
dry_run(struct cli *cli, struct client *client, const char *rule, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *encoded = client_encode(rule != NULL ? rule : "");
    char url[1024];
    if (encoded == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "dry run");
    int length =
        snprintf(url, sizeof url, "/v1/policy/effects%s%s", rule != NULL ? "?rule=" : "", encoded);
    if (length < 0 || (size_t)length >= sizeof url)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "there is no rule '%.64s'", rule);
    return show_list(cli, client, url, "effects", effect_columns, "no rules", err);
}

bool
verb_policy_run(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    const char *rule = args->count > 0 ? args->words[0] : NULL;
    if (!session_open(cli, args, NULL, &client, err))
        return false;
    if (args_flag(args, "dry-run"))
        return dry_run(cli, client, rule, err);
    json_t *answer = NULL;
    json_t *body = rule != NULL ? json_pack("{s:s}", "rule", rule) : json_object();
    return client_post(client, "/v1/policy/run", body, &answer, err) &&
           session_job(cli, client, answer, args_flag(args, "wait"), err);
}
