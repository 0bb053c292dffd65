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

/* Marks are written by the reaper, within a second or two: the last close of a file need not wait
 * for them, and a file that is gone by then needs none. */
#define MARKS_MAX 65536u

void
vfs_mark_origin(struct varve_vfs *vfs, uint64_t ino, uint32_t version, struct varve_place place)
{
    bool full = false;
    {
        VARVE_LOCKED(&vfs->mark_lock);
        if (vfs->mark_count == vfs->mark_capacity) {
            size_t capacity = vfs->mark_capacity == 0 ? 256 : vfs->mark_capacity * 2;
            struct origin_mark *grown = realloc(vfs->marks, capacity * sizeof *grown);
            if (grown == NULL)
                return; /* best effort: needed only when the catalog is lost too */
            vfs->marks = grown;
            vfs->mark_capacity = capacity;
        }
        vfs->marks[vfs->mark_count++] = (struct origin_mark){ino, version, place};
        full = vfs->mark_count >= MARKS_MAX;
    }
    if (full)
        origin_write_marks(vfs);
}

static size_t
take_marks(struct varve_vfs *vfs, struct origin_mark **ret)
{
    VARVE_LOCKED(&vfs->mark_lock);
    size_t count = vfs->mark_count;
    *ret = VARVE_TAKE(vfs->marks);
    vfs->mark_count = 0;
    vfs->mark_capacity = 0;
    return count;
}

/* The directory of the file that was marked last: most often of the next one too. */
struct last_dir {
    uint64_t ino; /* 0: none yet */
    struct varve_buffer path;
};

static bool
find_dir(struct varve_vfs *vfs, uint64_t ino, struct last_dir *dir)
{
    struct varve_error unused;
    if (dir->ino == ino)
        return true;
    varve_buffer_clear(&dir->path);
    dir->ino = 0;
    if (!varve_catalog_path(vfs->catalog, ino, &dir->path, &unused))
        return false;
    dir->ino = ino;
    return true;
}

static void
write_mark(struct varve_vfs *vfs, const struct origin_mark *mark, struct last_dir *dir)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer json = {0};
    struct varve_dentry name;
    size_t names = 0;
    struct varve_error unused;
    if (!varve_catalog_names(vfs->catalog, mark->ino, 0, &name, 1, &names, &unused) || names == 0 ||
        !find_dir(vfs, name.parent, dir))
        return;
    varve_buffer_append(&path, dir->path.data, dir->path.size);
    if (path.size > 1)
        varve_buffer_text(&path, "/");
    varve_buffer_text(&path, name.name);
    varve_buffer_printf(&json,
                        "{\"ino\":%" PRIu64 ",\"version\":%" PRIu32 ",\"mode\":%" PRIu32
                        ",\"uid\":%" PRIu32 ",\"gid\":%" PRIu32 ",",
                        mark->ino, mark->version, name.inode.mode & 07777, name.inode.uid,
                        name.inode.gid);
    if (!varve_buffer_ok(&path, &unused))
        return;
    append_path(&json, varve_buffer_string(&path));
    varve_buffer_text(&json, "}");
    if (varve_buffer_ok(&json, &unused))
        varve_store_mark_origin(vfs->store, &mark->place, varve_buffer_string(&json));
}

void
origin_write_marks(struct varve_vfs *vfs)
{
    VARVE_CLEANUP_FREE struct origin_mark *marks = NULL;
    struct last_dir dir = {0};
    size_t count = take_marks(vfs, &marks);
    for (size_t i = 0; i < count; i++)
        write_mark(vfs, &marks[i], &dir);
    varve_buffer_done(&dir.path);
}
