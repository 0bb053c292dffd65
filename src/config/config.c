/* SPDX-License-Identifier: Apache-2.0 */
#include "config_internal.h"

#include <varve/buffer.h>
#include <varve/file.h>

#include <string.h>

/* The last part of the archive's folder, if it has no name of its own. */
static bool
name_after_dir(struct varve_config *config, struct varve_error *err)
{
    size_t size = strlen(config->dir);
    while (size > 1 && config->dir[size - 1] == '/')
        size--;
    size_t from = size;
    while (from > 0 && config->dir[from - 1] != '/')
        from--;
    char name[64];
    (void)snprintf(name, sizeof name, "%.*s", (int)(size - from), config->dir + from);
    return config_set_text(&config->name, name[0] != 0 ? name : "archive", err);
}

static bool
read_all(struct ini_file *file, struct varve_config *config, struct varve_error *err)
{
    for (size_t i = 0; i < file->count; i++) {
        struct scope scope = {config->file, config->dir, &file->sections[i]};
        if (!config_read_section(&scope, &file->sections[i], config, err))
            return false;
    }
    if (config->tier_count == 0) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0,
                        "%s: no [tier ssd] and no [tier hdd]: files need a place", config->file);
        return varve_error_hint(err, "add a section [tier ssd] with a `path`");
    }
    return config_check_readers(config, err) &&
           (config->name != NULL || name_after_dir(config, err));
}

bool
varve_config_parse(const char *text, size_t size, const char *file_name, const char *dir,
                   struct varve_config **ret, struct varve_error *err)
{
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = calloc(1, sizeof *config);
    if (config == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%s", file_name);
    *config = (struct varve_config){
        .data_discs = 4,
        .parity_discs = 2,
        .seal_after_ns = 7 * 86400 * INT64_C(1000000000),
        .half_life_ns = 30 * 86400 * INT64_C(1000000000),
        .policy_interval_ns = 3600 * INT64_C(1000000000),
        .udf_revision = 0x0250,
        .head_bytes = UINT64_C(256) << 10,
        .recalls_per_user = 16,
    };
    if (!config_set_text(&config->dir, dir, err) || !config_set_text(&config->file, file_name, err))
        return false;
    struct ini_file file;
    if (!config_read_ini(text, size, file_name, &file, err))
        return false;
    bool ok = read_all(&file, config, err);
    config_ini_done(&file);
    if (ok)
        *ret = VARVE_TAKE(config);
    return ok;
}

bool
varve_config_load(const char *dir, struct varve_config **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *whole = realpath(dir, NULL);
    if (whole == NULL)
        return varve_error_system(err, errno, "archive '%s'", dir);
    VARVE_CLEANUP_FREE char *path = varve_file_join(whole, VARVE_CONFIG_FILE);
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "archive '%s'", dir);
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    if (!varve_file_read(path, VARVE_CONFIG_BYTES_MAX, &text, err)) {
        if (err->kind == VARVE_ERROR_NOT_FOUND)
            (void)varve_error_hint(err, "`varve init %s` makes an archive", dir);
        return false;
    }
    return varve_config_parse(varve_buffer_string(&text), text.size, VARVE_CONFIG_FILE, whole, ret,
                              err);
}

void
varve_config_free(struct varve_config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->tier_count; i++) {
        free(config->tiers[i].section);
        free(config->tiers[i].path);
    }
    for (size_t i = 0; i < config->library_count; i++) {
        free(config->libraries[i].name);
        free(config->libraries[i].path);
        free(config->libraries[i].changer);
        free(config->libraries[i].trace);
        config_list_done(&config->libraries[i].drives);
    }
    for (size_t i = 0; i < config->rule_count; i++)
        config_section_done(&config->rules[i]);
    config_list_done(&config->recall_users);
    config_list_done(&config->recall_groups);
    config_list_done(&config->scan_users);
    config_list_done(&config->scan_groups);
    config_list_done(&config->scan_commands);
    config_list_done(&config->head_commands);
    free(config->tiers);
    free(config->libraries);
    free(config->rules);
    free(config->name);
    free(config->file);
    free(config->dir);
    free(config);
}
