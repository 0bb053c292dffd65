/* SPDX-License-Identifier: Apache-2.0 */
#include "encoding.h"
#include "record.h"

#include <string.h>

static bool
get_number(const json_t *object, const char *key, uint64_t *ret, struct varve_error *err)
{
    return varve_json_u64(object, key, VARVE_RECORD_NUMBER_MAX, ret, err);
}

static bool
decode_type(const json_t *object, enum varve_record_type *ret, struct varve_error *err)
{
    const char *name = varve_json_string(object, "type");
    for (int i = 0; name != NULL && i < VARVE_RECORD_TYPES; i++) {
        if (strcmp(name, varve_record_types[i]) == 0) {
            *ret = (enum varve_record_type)i;
            return true;
        }
    }
    return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'type' is missing or unknown");
}

static bool
decode_mode(const json_t *object, struct varve_record *record, struct varve_error *err)
{
    const char *text = varve_json_string(object, "mode");
    if (text == NULL || strlen(text) != 6 || strspn(text, "01234567") != 6)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'mode' is not six octal digits");
    record->mode = (uint32_t)strtoul(text, NULL, 8);
    return true;
}

static bool
decode_name(const json_t *object, struct varve_record *record, struct varve_error *err)
{
    uint64_t parent;
    VARVE_CLEANUP_FREE char *name = NULL;
    if (!json_is_object(object))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'names' holds something else");
    if (!get_number(object, "parent", &parent, err) ||
        !varve_json_text_get(object, "name", VARVE_NAME_BYTES_MAX, &name, err))
        return false;
    return varve_record_add_name(record, parent, name, err);
}

static bool
decode_xattr(const json_t *object, struct varve_record *record, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *name = NULL;
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    if (!json_is_object(object))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'xattrs' holds something else");
    if (!varve_json_text_get(object, "name", VARVE_NAME_BYTES_MAX, &name, err))
        return false;
    const json_t *coded = json_object_get(object, "value");
    if (!json_is_string(coded) ||
        !varve_base64_decode(json_string_value(coded), json_string_length(coded), &value))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "an xattr has no value");
    return varve_buffer_ok(&value, err) &&
           varve_record_add_xattr(record, name, value.data, value.size, err);
}

/* Calls `decode` for each element of the array `key`. */
static bool
decode_list(const json_t *object, const char *key, struct varve_record *record,
            bool (*decode)(const json_t *, struct varve_record *, struct varve_error *),
            struct varve_error *err)
{
    const json_t *list = json_object_get(object, key);
    if (!json_is_array(list))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is missing or not a list", key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!decode(json_array_get(list, i), record, err))
            return false;
    }
    return true;
}

static bool
decode_content(const json_t *object, struct varve_record *record, struct varve_error *err)
{
    if (!get_number(object, "content", &record->content, err) ||
        !varve_json_u32(object, "version", &record->version, err) ||
        !varve_json_u32(object, "part", &record->part, err) ||
        !varve_json_u32(object, "parts", &record->parts, err) ||
        !get_number(object, "offset", &record->piece_offset, err) ||
        !get_number(object, "bytes", &record->piece_bytes, err) ||
        !varve_json_u64(object, "lba", UINT32_MAX, &record->lba, err))
        return false;
    const char *hex = varve_json_string(object, "sha256");
    if (hex == NULL || !varve_digest_parse(hex, &record->digest))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'sha256' is not 64 hex digits");
    return true;
}

static bool
decode_attributes(const json_t *object, struct varve_record *record, struct varve_error *err)
{
    return decode_mode(object, record, err) && varve_json_u32(object, "uid", &record->uid, err) &&
           varve_json_u32(object, "gid", &record->gid, err) &&
           get_number(object, "size", &record->size, err) &&
           varve_json_i64(object, "atime", &record->atime_ns, err) &&
           varve_json_i64(object, "mtime", &record->mtime_ns, err) &&
           varve_json_i64(object, "btime", &record->btime_ns, err) &&
           (record->type != VARVE_RECORD_SPECIAL || get_number(object, "rdev", &record->rdev, err));
}

static bool
decode_object(const json_t *object, struct varve_record *record, struct varve_error *err)
{
    if (!get_number(object, "ino", &record->ino, err) || !decode_type(object, &record->type, err) ||
        !varve_json_i64(object, "ctime", &record->ctime_ns, err))
        return false;
    if (record->type == VARVE_RECORD_DELETED)
        return true;
    if (!decode_attributes(object, record, err) ||
        !decode_list(object, "names", record, decode_name, err))
        return false;
    if (json_object_get(object, "xattrs") != NULL &&
        !decode_list(object, "xattrs", record, decode_xattr, err))
        return false;
    if (record->type == VARVE_RECORD_SYMLINK &&
        !varve_json_text_get(object, "target", VARVE_PATH_BYTES_MAX, &record->target, err))
        return false;
    if (record->type == VARVE_RECORD_FILE && !decode_content(object, record, err))
        return false;
    if (json_object_get(object, "path") == NULL)
        return true;
    return varve_json_text_get(object, "path", VARVE_RECORD_LINE_BYTES_MAX, &record->path, err);
}

bool
varve_record_decode(const char *line, size_t size, struct varve_record *ret,
                    struct varve_error *err)
{
    if (size > VARVE_RECORD_LINE_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "longer than 1 MiB");
    json_error_t trouble;
    VARVE_CLEANUP_JSON json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, &trouble);
    if (object == NULL)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "not JSON: %s", trouble.text);
    if (!json_is_object(object))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "not a JSON object");
    struct varve_record record = {0};
    if (!decode_object(object, &record, err) ||
        !varve_record_check(&record, VARVE_ERROR_CORRUPT, err)) {
        varve_record_done(&record);
        return false;
    }
    *ret = record;
    return true;
}
