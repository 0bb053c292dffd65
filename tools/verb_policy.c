/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/catalog.h>
#include <varve/config.h>
#include <varve/file.h>
#include <varve/policy.h>

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

/* Each rule's predicate, as SQLite sees it. */
static bool
check_predicates(const struct varve_config *config, const struct varve_policy *policy,
                 struct varve_error *err)
{
    for (size_t i = 0; i < varve_policy_count(policy); i++) {
        const struct varve_rule *rule = varve_policy_rule(policy, i);
        if (!varve_predicate_check(rule->where, rule->order, err))
            return varve_error_wrap(err, "%s:%u: [rule %s]", config->file, rule->line, rule->name);
    }
    return true;
}

static bool
print_check(const struct cli *cli, const struct varve_config *config,
            const struct varve_policy *policy, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_policy_warning *warnings = NULL;
    size_t count = 0;
    size_t rules = varve_policy_count(policy);
    if (!varve_policy_lint(policy, &warnings, &count, err))
        return false;
    json_t *texts = json_array();
    for (size_t i = 0; i < count; i++) {
        json_add(&texts, json_bytes(warnings[i].text));
        if (!cli->json)
            (void)printf("warning: %s\n", warnings[i].text);
    }
    if (cli->json)
        return cli_print_json(
            json_pack("{s:I, s:o}", "rules", (json_int_t)rules, "warnings", texts), err);
    json_decref(texts);
    (void)printf("%s: %zu rule%s, no errors, %zu warning%s\n", config->file, rules,
                 rules == 1 ? "" : "s", count, count == 1 ? "" : "s");
    return true;
}

bool
verb_policy_check(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    VARVE_CLEANUP(varve_policy_free) struct varve_policy *policy = NULL;
    return load(cli, args, &config, err) && varve_policy_new(config, &policy, err) &&
           check_predicates(config, policy, err) && print_check(cli, config, policy, err);
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
