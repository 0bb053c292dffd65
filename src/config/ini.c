/* SPDX-License-Identifier: Apache-2.0 */
/* Lines to sections and keys. inih splits the lines; this file feeds it, because as distributions
 * build it inih knows no line numbers, no empty sections and no line over 197 bytes. */
#include "config_internal.h"

#include <varve/buffer.h>

#include <ini.h>
#include <string.h>

static const char blanks[] = " \t";

struct reader {
    const char *text;
    size_t size, at;
    const char *file_name;
    unsigned line;      /* of the raw line read last */
    unsigned line_from; /* where the current logical line began */
    struct varve_buffer logical;
    bool failed;
    struct ini_file *file;
    struct varve_error *err;
};

static bool
fail_at(struct reader *reader, unsigned line)
{
    reader->failed = true;
    return varve_error_wrap(reader->err, "%s:%u", reader->file_name, line);
}

static bool
fail_here(struct reader *reader, const char *what)
{
    varve_error_set(reader->err, VARVE_ERROR_INVALID, 0, "%s", what);
    return fail_at(reader, reader->line);
}

/* One raw line without its end and without blanks around it. */
static bool
take_raw_line(struct reader *reader, const char **ret, size_t *ret_size)
{
    const char *from = reader->text + reader->at;
    size_t left = reader->size - reader->at;
    const char *end = memchr(from, '\n', left);
    size_t size = end != NULL ? (size_t)(end - from) : left;
    reader->at += size + (end != NULL);
    reader->line++;
    if (reader->line == 1 && size >= 3 && memcmp(from, "\xEF\xBB\xBF", 3) == 0) {
        from += 3; /* a byte order mark */
        size -= 3;
    }
    if (size > 0 && from[size - 1] == '\r')
        size--;
    for (size_t i = 0; i < size; i++) {
        if (((unsigned char)from[i] < 0x20 && from[i] != '\t') || from[i] == 0x7F)
            return fail_here(reader, "a control character, this is no text");
    }
    while (size > 0 && strchr(blanks, from[0]) != NULL) {
        from++;
        size--;
    }
    *ret = from;
    *ret_size = size;
    return true;
}

/* Length of the line without an inline comment (a blank, then ';') and blanks before it. */
static size_t
without_comment(const char *line, size_t size)
{
    if (size > 0 && (line[0] == '#' || line[0] == ';'))
        return 0;
    for (size_t i = 1; i < size; i++) {
        if (line[i] == ';' && strchr(blanks, line[i - 1]) != NULL) {
            size = i;
            break;
        }
    }
    while (size > 0 && strchr(blanks, line[size - 1]) != NULL)
        size--;
    return size;
}

/* Raw lines that end in '\' and the one behind them are one logical line. */
static bool
take_logical_line(struct reader *reader)
{
    varve_buffer_clear(&reader->logical);
    reader->line_from = reader->line + 1;
    for (bool goes_on = true; goes_on && reader->at < reader->size;) {
        const char *line = "";
        size_t size = 0;
        if (!take_raw_line(reader, &line, &size))
            return false;
        size = without_comment(line, size);
        goes_on = size > 0 && line[size - 1] == '\\';
        if (goes_on)
            size--;
        while (goes_on && size > 0 && strchr(blanks, line[size - 1]) != NULL)
            size--;
        if (size > 0 && reader->logical.size > 0)
            varve_buffer_append(&reader->logical, " ", 1);
        varve_buffer_append(&reader->logical, line, size);
    }
    if (!varve_buffer_ok(&reader->logical, reader->err))
        return fail_at(reader, reader->line_from);
    return true;
}

/* The words between the brackets with one blank between them. */
static bool
read_section_name(struct reader *reader, const char *line, size_t size, char *ret)
{
    size_t used = 0;
    for (size_t i = 1; i + 1 < size; i++) {
        bool blank = strchr(blanks, line[i]) != NULL;
        if (line[i] == '[' || line[i] == ']')
            return fail_here(reader, "a section name has no '[' or ']'");
        if (blank && (used == 0 || ret[used - 1] == ' '))
            continue;
        if (used == CONFIG_WORD_BYTES_MAX)
            return fail_here(reader, "the section name is too long, 48 bytes are possible");
        ret[used++] = blank ? ' ' : line[i];
    }
    if (used > 0 && ret[used - 1] == ' ')
        used--;
    ret[used] = 0;
    if (used == 0)
        return fail_here(reader, "a section without a name");
    return true;
}

static bool
begin_section(struct reader *reader, const char *line, size_t size)
{
    char name[CONFIG_WORD_BYTES_MAX + 1];
    if (line[size - 1] != ']')
        return fail_here(reader, "a section name ends in ']'");
    if (!read_section_name(reader, line, size, name))
        return false;
    struct ini_file *file = reader->file;
    for (size_t i = 0; i < file->count; i++) {
        if (strcmp(file->sections[i].name, name) != 0)
            continue;
        varve_error_set(reader->err, VARVE_ERROR_INVALID, 0,
                        "section [%s] is there already, in line %u", name, file->sections[i].line);
        return fail_at(reader, reader->line_from);
    }
    if (file->count == VARVE_CONFIG_SECTIONS_MAX)
        return fail_here(reader, "too many sections, 256 are possible");
    struct varve_config_rule *grown =
        realloc(file->sections, (file->count + 1) * sizeof *file->sections);
    if (grown != NULL)
        file->sections = grown;
    char *copy = strdup(name);
    if (grown == NULL || copy == NULL) {
        free(copy);
        varve_error_set(reader->err, VARVE_ERROR_NOMEM, 0, "section [%s]", name);
        return fail_at(reader, reader->line_from);
    }
    file->sections[file->count++] =
        (struct varve_config_rule){.name = copy, .line = reader->line_from};
    return true;
}

/* What inih would refuse, or cut, is refused here with the line it stands in. */
static bool
check_key_line(struct reader *reader, const char *line)
{
    size_t key = strcspn(line, "=:");
    if (line[key] == 0)
        return fail_here(reader, "neither 'key = value' nor '[section]'");
    if (key == 0)
        return fail_here(reader, "a value without a key");
    if (reader->file->count == 0)
        return fail_here(reader, "a key before the first [section]");
    if (key > CONFIG_WORD_BYTES_MAX)
        return fail_here(reader, "the key is too long, 48 bytes are possible");
    return true;
}

/* Next line that has something in it, looked at. False: none is left, or failed. */
static bool
next_line(struct reader *reader)
{
    do {
        if (reader->at >= reader->size || !take_logical_line(reader))
            return false;
    } while (reader->logical.size == 0);
    const char *line = varve_buffer_string(&reader->logical);
    if (line[0] == '[')
        return begin_section(reader, line, reader->logical.size);
    return check_key_line(reader, line);
}

/* The ini_reader: as fgets. inih gets as much of the line as it has room for, and that is more than
 * a key; the value is taken from the whole line. */
static char *
give_line(char *ret, int room, void *stream)
{
    struct reader *reader = stream;
    if (reader->failed || room < (int)CONFIG_WORD_BYTES_MAX + 8 || !next_line(reader))
        return NULL;
    const char *line = varve_buffer_string(&reader->logical);
    if (line[0] == '[')
        line = "[x]"; /* the name is known already, in full */
    (void)snprintf(ret, (size_t)room - 1, "%s", line);
    strcat(ret, "\n");
    return ret;
}

/* A changer has several drives: one line each. */
static bool
may_repeat(const struct varve_config_rule *section, const char *name)
{
    return strncmp(section->name, "library ", 8) == 0 && strcmp(name, "drive") == 0;
}

static bool
add_key(struct reader *reader, struct varve_config_rule *section, const char *name,
        const char *value)
{
    for (size_t i = 0; i < section->key_count; i++) {
        if (strcmp(section->keys[i].key, name) == 0 && !may_repeat(section, name))
            return varve_error_set(reader->err, VARVE_ERROR_INVALID, 0,
                                   "[%s] %s: is there already, in line %u", section->name, name,
                                   section->keys[i].line);
    }
    if (section->key_count == VARVE_CONFIG_KEYS_MAX)
        return varve_error_set(reader->err, VARVE_ERROR_INVALID, 0,
                               "[%s]: too many keys, %u are possible", section->name,
                               VARVE_CONFIG_KEYS_MAX);
    struct varve_config_key *grown =
        realloc(section->keys, (section->key_count + 1) * sizeof *section->keys);
    if (grown != NULL)
        section->keys = grown;
    struct varve_config_key key = {strdup(name), strdup(value), reader->line_from};
    if (grown == NULL || key.key == NULL || key.value == NULL) {
        free(key.key);
        free(key.value);
        return varve_error_set(reader->err, VARVE_ERROR_NOMEM, 0, "[%s] %s", section->name, name);
    }
    section->keys[section->key_count++] = key;
    return true;
}

/* The ini_handler: one key. */
static int
take_key(void *user, const char *section_name, const char *name, const char *value)
{
    (void)section_name; /* cut at 50 bytes ... */
    (void)value;        /* ... and at 197: the reader has both whole */
    struct reader *reader = user;
    if (reader->failed)
        return 0;
    const char *line = varve_buffer_string(&reader->logical);
    const char *whole = line + strcspn(line, "=:") + 1;
    whole += strspn(whole, blanks);
    if (add_key(reader, &reader->file->sections[reader->file->count - 1], name, whole))
        return 1;
    return fail_at(reader, reader->line_from);
}

bool
config_read_ini(const char *text, size_t size, const char *file_name, struct ini_file *ret,
                struct varve_error *err)
{
    struct ini_file file = {0};
    struct reader reader = {
        .text = text, .size = size, .file_name = file_name, .file = &file, .err = err};
    if (size > VARVE_CONFIG_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s: larger than %u bytes", file_name,
                               VARVE_CONFIG_BYTES_MAX);
    int result = ini_parse_stream(give_line, &reader, take_key, &reader);
    varve_buffer_done(&reader.logical);
    if (!reader.failed && (result != 0 || reader.at < reader.size)) {
        varve_error_set(err, VARVE_ERROR_INVALID, 0, "libinih cannot read this line");
        (void)fail_at(&reader, reader.line);
    }
    if (reader.failed) {
        config_ini_done(&file);
        return false;
    }
    *ret = file;
    return true;
}

void
config_section_done(struct varve_config_rule *section)
{
    for (size_t i = 0; i < section->key_count; i++) {
        free(section->keys[i].key);
        free(section->keys[i].value);
    }
    free(section->keys);
    free(section->name);
    *section = (struct varve_config_rule){0};
}

void
config_ini_done(struct ini_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        config_section_done(&file->sections[i]);
    free(file->sections);
    *file = (struct ini_file){0};
}
