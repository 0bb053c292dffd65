/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include "encoding.h"

#include <inttypes.h>

const char *const varve_record_types[VARVE_RECORD_TYPES] = {"file", "directory", "symlink",
                                                            "special", "deleted"};

static void
encode_names(const struct varve_record *record, struct varve_buffer *ret)
{
    varve_buffer_text(ret, ",\"names\":[");
    for (size_t i = 0; i < record->name_count; i++) {
        varve_buffer_printf(ret, "%s{\"parent\":%" PRIu64 ",", i == 0 ? "" : ",",
                            record->names[i].parent);
        varve_json_text(ret, "name", record->names[i].name);
        varve_buffer_text(ret, "}");
    }
    varve_buffer_text(ret, "]");
}

static void
encode_xattrs(const struct varve_record *record, struct varve_buffer *ret)
{
    if (record->xattr_count == 0)
        return;
    varve_buffer_text(ret, ",\"xattrs\":[");
    for (size_t i = 0; i < record->xattr_count; i++) {
        varve_buffer_text(ret, i == 0 ? "{" : ",{");
        varve_json_text(ret, "name", record->xattrs[i].name);
        varve_buffer_text(ret, ",\"value\":\"");
        varve_base64_append(ret, record->xattrs[i].value, record->xattrs[i].size);
        varve_buffer_text(ret, "\"}");
    }
    varve_buffer_text(ret, "]");
}

static void
encode_content(const struct varve_record *record, struct varve_buffer *ret)
{
    char hex[VARVE_SHA256_HEX_BYTES];
    varve_digest_format(&record->digest, hex);
    /* lba has a fixed width and sha256 always all digits: both become known after the length. */
    varve_buffer_printf(
        ret,
        ",\"content\":%" PRIu64 ",\"version\":%" PRIu32 ",\"part\":%" PRIu32 ",\"parts\":%" PRIu32
        ",\"offset\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"sha256\":\"%s\",\"lba\":%*" PRIu64,
        record->content, record->version, record->part, record->parts, record->piece_offset,
        record->piece_bytes, hex, VARVE_RECORD_LBA_DIGITS, record->lba);
    if (record->path != NULL) {
        varve_buffer_text(ret, ",");
        varve_json_text(ret, "path", record->path);
    }
}

void
varve_record_encode(const struct varve_record *record, struct varve_buffer *ret)
{
    varve_buffer_printf(ret, "{\"ino\":%" PRIu64 ",\"type\":\"%s\"", record->ino,
                        varve_record_types[record->type]);
    if (record->type == VARVE_RECORD_DELETED) {
        varve_buffer_printf(ret, ",\"ctime\":%" PRId64 "}\n", record->ctime_ns);
        return;
    }
    varve_buffer_printf(ret,
                        ",\"mode\":\"%06" PRIo32 "\",\"uid\":%" PRIu32 ",\"gid\":%" PRIu32
                        ",\"size\":%" PRIu64 ",\"atime\":%" PRId64 ",\"mtime\":%" PRId64
                        ",\"ctime\":%" PRId64 ",\"btime\":%" PRId64,
                        record->mode, record->uid, record->gid, record->size, record->atime_ns,
                        record->mtime_ns, record->ctime_ns, record->btime_ns);
    if (record->type == VARVE_RECORD_SPECIAL)
        varve_buffer_printf(ret, ",\"rdev\":%" PRIu64, record->rdev);
    encode_names(record, ret);
    encode_xattrs(record, ret);
    if (record->type == VARVE_RECORD_SYMLINK) {
        varve_buffer_text(ret, ",");
        varve_json_text(ret, "target", record->target == NULL ? "" : record->target);
    }
    if (record->type == VARVE_RECORD_FILE)
        encode_content(record, ret);
    else if (record->path != NULL) {
        varve_buffer_text(ret, ",");
        varve_json_text(ret, "path", record->path);
    }
    varve_buffer_text(ret, "}\n");
}
