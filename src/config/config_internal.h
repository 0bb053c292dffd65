/* config_internal.h - what the files of src/config/ share: sections as read, before they mean
 * anything. */
#ifndef VARVE_CONFIG_INTERNAL_H
#define VARVE_CONFIG_INTERNAL_H

#include <varve/config.h>

/* Longest section name and key: inih cuts them at 50 silently. */
#define CONFIG_WORD_BYTES_MAX 48u

/* Sections reuse the raw form of a rule; `name` is all that stands in the brackets, its words with
 * one blank between. */
struct ini_file {
    struct varve_config_rule *sections;
    size_t count;
};

/* INVALID: "file:line: ..." for what is no INI, a section or key given twice, or too much of it. */
VARVE_MUST_CHECK bool config_read_ini(const char *text, size_t size, const char *file_name,
                                      struct ini_file *ret, struct varve_error *err);
void config_ini_done(struct ini_file *file);
void config_section_done(struct varve_config_rule *section);

/* The section that is being read, for messages. */
struct scope {
    const char *file_name;
    const char *dir;
    const struct varve_config_rule *section;
};
/* What one section says, into the configuration; a rule's keys are taken. */
VARVE_MUST_CHECK bool
config_read_section(const struct scope *scope, struct varve_config_rule *section,
                    struct varve_config *config, struct varve_error *err);
/* --- sections.c: what all sections share --- */
#define CONFIG_FIELDS_MAX 32
/* One key that a section knows. `object` is what the section becomes. */
struct config_field {
    const char *key;
    bool required;
    bool (*parse)(const struct scope *scope, void *object, const char *value,
                  struct varve_error *err);
};
/* Each key goes to its field, with file, line and key in every error; required ones must come. */
VARVE_MUST_CHECK bool config_read_keys(const struct scope *scope, const struct config_field *fields,
                                       size_t count, void *object, struct varve_error *err);
/* Both return false. */
bool config_wrap_section(const struct scope *scope, struct varve_error *err);
bool config_wrap_key(const struct scope *scope, const struct varve_config_key *key,
                     struct varve_error *err);
/* An absolute path; a relative one counts from the archive's folder. */
VARVE_MUST_CHECK bool
config_set_path(const struct scope *scope, char **ret, const char *value, struct varve_error *err);
VARVE_MUST_CHECK bool config_check_name(const char *name, struct varve_error *err);
/* Appends a zeroed element to an array of the configuration. NULL: no memory. */
void *config_append(void **array, size_t *count, size_t size, const struct scope *scope,
                    struct varve_error *err);
/* --- libraries.c --- */
VARVE_MUST_CHECK bool config_read_library(const struct scope *scope, const char *name,
                                          struct varve_config *config, struct varve_error *err);

/* A copy of a text that must not be empty; frees what was there. */
VARVE_MUST_CHECK bool config_set_text(char **ret, const char *value, struct varve_error *err);

/* --- readers.c: keys of [archive] about heads, recalls and readers --- */
#define CONFIG_LIST_WORDS_MAX 64u
bool
config_head(const struct scope *scope, void *object, const char *value, struct varve_error *err);
bool config_head_total(const struct scope *scope, void *object, const char *value,
                       struct varve_error *err);
bool
config_recall(const struct scope *scope, void *object, const char *value, struct varve_error *err);
bool config_recalls_per_user(const struct scope *scope, void *object, const char *value,
                             struct varve_error *err);
bool config_recall_users(const struct scope *scope, void *object, const char *value,
                         struct varve_error *err);
bool config_recall_groups(const struct scope *scope, void *object, const char *value,
                          struct varve_error *err);
bool config_scan_users(const struct scope *scope, void *object, const char *value,
                       struct varve_error *err);
bool config_scan_groups(const struct scope *scope, void *object, const char *value,
                        struct varve_error *err);
bool config_scan_commands(const struct scope *scope, void *object, const char *value,
                          struct varve_error *err);
bool config_head_commands(const struct scope *scope, void *object, const char *value,
                          struct varve_error *err);
/* After the whole section. */
VARVE_MUST_CHECK bool
config_check_readers(const struct varve_config *config, struct varve_error *err);
void config_list_done(struct varve_config_list *list);

#endif
