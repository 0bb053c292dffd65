/* SPDX-License-Identifier: Apache-2.0 */
/* [library NAME]: what each kind of library is reached by. */
#include "config_internal.h"

#include <varve/text.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool
library_kind(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    static const char *const kinds[] = {"virtual", "scsi", "manual"};
    struct varve_config_library *library = object;
    if (strcmp(value, "virtual") == 0) {
        library->kind = VARVE_LIBRARY_VIRTUAL;
        return true;
    }
    if (strcmp(value, "scsi") == 0) {
        library->kind = VARVE_LIBRARY_SCSI;
        return true;
    }
    if (strcmp(value, "manual") == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "kind '%s' is not supported by this version", value);
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "unknown kind '%.100s'", value);
    const char *nearest = varve_config_nearest(value, kinds, COUNT(kinds));
    return varve_error_hint(err,
                            nearest != NULL ? "did you mean '%s'?" : "known are '%s' and 'scsi'",
                            nearest != NULL ? nearest : kinds[0]);
}

static bool
library_path(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    struct varve_config_library *library = object;
    return config_set_path(scope, &library->path, value, err);
}

static bool
library_no_device(const struct scope *scope, void *object, const char *value,
                  struct varve_error *err)
{
    (void)scope;
    (void)object;
    (void)value; /* it may hold a password */
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "a virtual library has no device");
    return varve_error_hint(err, "`path` names its folder; `kind = scsi` is for hardware");
}

static bool
library_no_path(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    (void)object;
    (void)value;
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "a SCSI library has no folder");
    return varve_error_hint(err, "`changer` and `drive` name its devices");
}

static bool
library_media(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    struct varve_config_library *library = object;
    return varve_text_parse_bytes(value, &library->media_bytes, err);
}

static bool
library_trace(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    struct varve_config_library *library = object;
    return config_set_path(scope, &library->trace, value, err);
}

/* As varve_port_is_place() has it; whether something is there is asked when it is opened. The text
 * is not quoted: it may hold a password. */
static bool
check_place(const char *value, struct varve_error *err)
{
    bool known =
        value[0] == '/' || strncmp(value, "iscsi://", 8) == 0 || strncmp(value, "serial:", 7) == 0;
    if (known)
        return true;
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "this names no device");
    return varve_error_hint(err, "known are /dev/..., serial:TEXT and "
                                 "iscsi://[user[%%password]@]host[:port]/target/lun");
}

static bool
library_changer(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    struct varve_config_library *library = object;
    return check_place(value, err) && config_set_text(&library->changer, value, err);
}

static bool
library_drive(const struct scope *scope, void *object, const char *value, struct varve_error *err)
{
    (void)scope;
    struct varve_config_library *library = object;
    struct varve_config_list *drives = &library->drives;
    if (!check_place(value, err))
        return false;
    for (size_t i = 0; i < drives->count; i++) {
        if (strcmp(drives->words[i], value) == 0)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "this is drive %zu too", i);
    }
    if (drives->count == VARVE_CONFIG_DRIVES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u drives",
                               VARVE_CONFIG_DRIVES_MAX);
    char **grown = realloc(drives->words, (drives->count + 1) * sizeof *grown);
    if (grown == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list of drives");
    drives->words = grown;
    grown[drives->count] = NULL;
    if (!config_set_text(&grown[drives->count], value, err))
        return false;
    drives->count++;
    return true;
}

static const struct config_field virtual_fields[] = {
    {"kind", true, library_kind},        {"path", true, library_path},
    {"media", false, library_media},     {"changer", false, library_no_device},
    {"drive", false, library_no_device}, {"device", false, library_no_device},
};
static const struct config_field scsi_fields[] = {
    {"kind", true, library_kind},    {"changer", true, library_changer},
    {"drive", true, library_drive},  {"media", false, library_media},
    {"trace", false, library_trace}, {"path", false, library_no_path},
};

static bool
read_library_keys(const struct scope *scope, struct varve_config_library *library,
                  struct varve_error *err)
{
    switch (library->kind) {
    case VARVE_LIBRARY_VIRTUAL:
        return config_read_keys(scope, virtual_fields, COUNT(virtual_fields), library, err);
    case VARVE_LIBRARY_SCSI:
        break;
    }
    return config_read_keys(scope, scsi_fields, COUNT(scsi_fields), library, err);
}

bool
config_read_library(const struct scope *scope, const char *name, struct varve_config *config,
                    struct varve_error *err)
{
    struct varve_config_library *library = config_append(
        (void **)&config->libraries, &config->library_count, sizeof *library, scope, err);
    if (library == NULL)
        return false;
    library->line = scope->section->line;
    if (!config_check_name(name, err) || !config_set_text(&library->name, name, err))
        return config_wrap_section(scope, err);
    /* The kind first: it decides what the other keys mean and which are missing. */
    for (size_t i = 0; i < scope->section->key_count; i++) {
        const struct varve_config_key *key = &scope->section->keys[i];
        if (strcmp(key->key, "kind") == 0 && !library_kind(scope, library, key->value, err))
            return config_wrap_key(scope, key, err);
    }
    return read_library_keys(scope, library, err);
}
