/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/manifest.h>

#include <inttypes.h>
#include <string.h>

struct varve_manifest *
varve_manifest_new(void)
{
    return calloc(1, sizeof(struct varve_manifest));
}

void
varve_record_done(struct varve_record *record)
{
    for (size_t i = 0; i < record->name_count; i++)
        free(record->names[i].name);
    for (size_t i = 0; i < record->xattr_count; i++) {
        free(record->xattrs[i].name);
        free(record->xattrs[i].value);
    }
    free(record->names);
    free(record->xattrs);
    free(record->target);
    free(record->path);
    *record = (struct varve_record){0};
}

void
varve_manifest_free(struct varve_manifest *manifest)
{
    if (manifest == NULL)
        return;
    for (size_t i = 0; i < manifest->count; i++)
        varve_record_done(&manifest->records[i]);
    free(manifest->records);
    free(manifest);
}

bool
varve_manifest_add(struct varve_manifest *manifest, struct varve_record *record,
                   struct varve_error *err)
{
    if (manifest->count == manifest->capacity) {
        size_t capacity = manifest->capacity == 0 ? 64 : manifest->capacity * 2;
        struct varve_record *records =
            reallocarray(manifest->records, capacity, sizeof manifest->records[0]);
        if (records == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "manifest of %zu records", capacity);
        manifest->records = records;
        manifest->capacity = capacity;
    }
    manifest->records[manifest->count++] = *record;
    *record = (struct varve_record){0};
    return true;
}

bool
varve_record_add_name(struct varve_record *record, uint64_t parent, const char *name,
                      struct varve_error *err)
{
    struct varve_record_name *names =
        reallocarray(record->names, record->name_count + 1, sizeof record->names[0]);
    if (names == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "name of inode %" PRIu64, record->ino);
    record->names = names;
    char *copy = strdup(name);
    if (copy == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "name of inode %" PRIu64, record->ino);
    names[record->name_count++] = (struct varve_record_name){.parent = parent, .name = copy};
    return true;
}

bool
varve_record_add_xattr(struct varve_record *record, const char *name, const void *value,
                       size_t size, struct varve_error *err)
{
    struct varve_record_xattr *xattrs =
        reallocarray(record->xattrs, record->xattr_count + 1, sizeof record->xattrs[0]);
    if (xattrs != NULL)
        record->xattrs = xattrs;
    VARVE_CLEANUP_FREE char *name_copy = strdup(name);
    VARVE_CLEANUP_FREE uint8_t *value_copy = malloc(size + 1); /* never NULL for an empty value */
    if (xattrs == NULL || name_copy == NULL || value_copy == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "xattr of inode %" PRIu64, record->ino);
    if (size > 0)
        memcpy(value_copy, value, size);
    xattrs[record->xattr_count++] = (struct varve_record_xattr){
        .name = VARVE_TAKE(name_copy), .value = VARVE_TAKE(value_copy), .size = size};
    return true;
}

void
varve_manifest_encode(const struct varve_manifest *manifest, struct varve_buffer *ret)
{
    for (size_t i = 0; i < manifest->count; i++)
        varve_record_encode(&manifest->records[i], ret);
}

static bool
decode_line(struct varve_manifest *manifest, const char *line, size_t size, struct varve_error *err)
{
    struct varve_record record = {0};
    if (varve_record_decode(line, size, &record, err) && varve_manifest_add(manifest, &record, err))
        return true;
    varve_record_done(&record);
    return varve_error_wrap(err, "line %zu", manifest->count + 1);
}

bool
varve_manifest_decode(const void *bytes, size_t size, struct varve_manifest **ret,
                      struct varve_error *err)
{
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = varve_manifest_new();
    if (manifest == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "manifest");
    const char *text = bytes;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(&text[at], '\n', size - at);
        if (end == NULL)
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "line %zu: it has no end",
                                   manifest->count + 1);
        size_t length = (size_t)(end - &text[at]);
        if (!decode_line(manifest, &text[at], length, err))
            return false;
        at += length + 1;
    }
    *ret = VARVE_TAKE(manifest);
    return true;
}
