/* SPDX-License-Identifier: Apache-2.0 */
/* What a backing file says of itself, for the day that the catalog is lost. */
#include "vfs_internal.h"

#include <inttypes.h>
#include <varve/text.h>

/* What JSON must not have inside a string is escaped. */
static void
append_json_text(struct varve_buffer *json, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++) {
        if (*c == '"' || *c == '\\')
            varve_buffer_printf(json, "\\%c", *c);
        else if (*c < 0x20)
            varve_buffer_printf(json, "\\u%04x", *c);
        else
            varve_buffer_append(json, c, 1);
    }
}

/* Names are bytes, JSON is UTF-8: a path that is not goes as "path_hex". */
static void
append_path(struct varve_buffer *json, const char *path)
{
    if (varve_utf8_valid(path)) {
        varve_buffer_text(json, "\"path\":\"");
        append_json_text(json, path);
    } else {
        varve_buffer_text(json, "\"path_hex\":\"");
        for (const unsigned char *c = (const unsigned char *)path; *c != 0; c++)
            varve_buffer_printf(json, "%02x", *c);
    }
    varve_buffer_text(json, "\"");
}

void
vfs_mark_origin(struct varve_vfs *vfs, uint64_t ino, uint32_t version, struct varve_place place)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer json = {0};
    struct varve_inode inode;
    struct varve_error
        unused; /* best effort: the mark is needed only when the catalog is lost too */
    if (!varve_catalog_inode_get(vfs->catalog, ino, &inode, &unused) ||
        !varve_catalog_path(vfs->catalog, ino, &path, &unused))
        return;
    varve_buffer_printf(&json,
                        "{\"ino\":%" PRIu64 ",\"version\":%" PRIu32 ",\"mode\":%" PRIu32
                        ",\"uid\":%" PRIu32 ",\"gid\":%" PRIu32 ",",
                        ino, version, inode.mode & 07777, inode.uid, inode.gid);
    append_path(&json, varve_buffer_string(&path));
    varve_buffer_text(&json, "}");
    if (varve_buffer_ok(&json, &unused))
        varve_store_mark_origin(vfs->store, &place, varve_buffer_string(&json));
}
