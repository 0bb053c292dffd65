/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <string.h>
#include <sys/stat.h>

#include "encoding.h"

static bool
name_valid(const char *name)
{
    size_t size = strnlen(name, VARVE_NAME_BYTES_MAX + 1);
    return size > 0 && size <= VARVE_NAME_BYTES_MAX && strchr(name, '/') == NULL &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool
mode_fits(enum varve_record_type type, uint32_t mode)
{
    switch (type) {
    case VARVE_RECORD_FILE:
        return S_ISREG(mode);
    case VARVE_RECORD_DIRECTORY:
        return S_ISDIR(mode);
    case VARVE_RECORD_SYMLINK:
        return S_ISLNK(mode);
    case VARVE_RECORD_SPECIAL:
        return S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode);
    case VARVE_RECORD_DELETED:
        return mode == 0;
    }
    return false;
}

/* Relative, without empty, "." or ".." components: whoever joins it to a folder stays inside. */
static bool
path_valid(const char *path)
{
    while (true) {
        size_t size = strcspn(path, "/");
        if (size == 0 || (size == 1 && path[0] == '.') ||
            (size == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        if (path[size] == 0)
            return true;
        path += size + 1;
    }
}

static bool
piece_fits(const struct varve_record *record)
{
    if (record->parts == 0 || record->part >= record->parts)
        return false;
    return record->piece_offset <= record->size &&
           record->piece_bytes <= record->size - record->piece_offset;
}

static bool
names_valid(const struct varve_record *record)
{
    for (size_t i = 0; i < record->name_count; i++) {
        if (!name_valid(record->names[i].name) || record->names[i].parent > VARVE_RECORD_NUMBER_MAX)
            return false;
    }
    return true;
}

static bool
xattrs_valid(const struct varve_record *record)
{
    for (size_t i = 0; i < record->xattr_count; i++) {
        size_t size = strnlen(record->xattrs[i].name, VARVE_NAME_BYTES_MAX + 1);
        if (size == 0 || size > VARVE_NAME_BYTES_MAX)
            return false;
    }
    return true;
}

static bool
target_valid(const struct varve_record *record)
{
    return record->type != VARVE_RECORD_SYMLINK ||
           (record->target != NULL &&
            strnlen(record->target, VARVE_PATH_BYTES_MAX + 1) <= VARVE_PATH_BYTES_MAX);
}

static bool
numbers_valid(const struct varve_record *record)
{
    return record->ino <= VARVE_RECORD_NUMBER_MAX && record->size <= VARVE_RECORD_NUMBER_MAX &&
           record->rdev <= VARVE_RECORD_NUMBER_MAX && record->content <= VARVE_RECORD_NUMBER_MAX;
}

/* What is wrong with it, NULL if nothing. */
static const char *
find_fault(const struct varve_record *record)
{
    if (!numbers_valid(record))
        return "a number is out of range";
    if (!mode_fits(record->type, record->mode))
        return "'mode' does not fit the type";
    if (!names_valid(record))
        return "a name is no file name";
    if (!xattrs_valid(record))
        return "an xattr has no valid name";
    if (!target_valid(record))
        return "a symlink without a target";
    if (record->type == VARVE_RECORD_FILE && !piece_fits(record))
        return "the piece does not fit the file";
    if (record->path != NULL && !varve_utf8_plain(record->path, strlen(record->path)))
        return "'path' has bytes that no disc has";
    if (record->path != NULL && !path_valid(record->path))
        return "'path' leads outside the disc";
    return NULL;
}

bool
varve_record_check(const struct varve_record *record, enum varve_error_kind kind,
                   struct varve_error *err)
{
    const char *fault = find_fault(record);
    return fault == NULL || varve_error_set(err, kind, 0, "%s", fault);
}
