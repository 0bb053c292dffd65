/* SPDX-License-Identifier: Apache-2.0 */
/* What a backing file says of itself, for the day that the catalog is lost. */
#include "vfs_internal.h"

#include <inttypes.h>
#include <string.h>
#include <varve/grow.h>
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

/* Marks are written by the reaper half a minute after the last close: who closes a file does not
 * wait for them (on ext4 a mark takes a block of its own), and a file that is gone or written again
 * by then needs none. */
#define MARK_AFTER_NS (30 * VARVE_NS_PER_SECOND)
#define MARKS_MAX 65536u

void
vfs_mark_origin(struct varve_vfs *vfs, uint64_t ino, uint32_t version, struct varve_place place)
{
    bool full = false;
    {
        VARVE_LOCKED(&vfs->mark_lock);
        struct origin_mark *marks =
            varve_grow(vfs->marks, &vfs->mark_capacity, vfs->mark_count, sizeof *marks);
        if (marks == NULL)
            return; /* best effort: needed only when the catalog is lost too */
        vfs->marks = marks;
        vfs->marks[vfs->mark_count++] = (struct origin_mark){
            ino, version, place, varve_clock_monotonic(varve_clock_system()) + MARK_AFTER_NS};
        full = vfs->mark_count >= MARKS_MAX;
    }
    if (full)
        origin_write_marks(vfs, true);
}

/* The first ones are due first. */
static size_t
count_due(const struct varve_vfs *vfs)
{
    int64_t now_ns = varve_clock_monotonic(varve_clock_system());
    size_t count = 0;
    while (count < vfs->mark_count && vfs->marks[count].due_ns <= now_ns)
        count++;
    return count;
}

static size_t
take_marks(struct varve_vfs *vfs, bool all, struct origin_mark **ret)
{
    VARVE_LOCKED(&vfs->mark_lock);
    size_t count = all ? vfs->mark_count : count_due(vfs);
    if (count == 0)
        return 0;
    size_t bytes = count * sizeof **ret;
    *ret = malloc(bytes);
    if (*ret == NULL)
        return 0; /* another time */
    memcpy(*ret, vfs->marks, bytes);
    vfs->mark_count -= count;
    memmove(vfs->marks, vfs->marks + count, vfs->mark_count * sizeof **ret);
    if (vfs->mark_count == 0) {
        free(VARVE_TAKE(vfs->marks));
        vfs->mark_capacity = 0;
    }
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

/* Is the file still that version of that inode? */
static bool
holds(struct varve_vfs *vfs, const struct origin_mark *mark, struct varve_content_id id)
{
    struct varve_content content;
    struct varve_error unused;
    return id.value != 0 && varve_catalog_content_get(vfs->catalog, id, &content, &unused) &&
           content.place.file == mark->place.file && content.version == mark->version;
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
        !holds(vfs, mark, name.inode.content) || !find_dir(vfs, name.parent, dir))
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
origin_write_marks(struct varve_vfs *vfs, bool all)
{
    VARVE_CLEANUP_FREE struct origin_mark *marks = NULL;
    struct last_dir dir = {0};
    size_t count = take_marks(vfs, all, &marks);
    for (size_t i = 0; i < count; i++)
        write_mark(vfs, &marks[i], &dir);
    varve_buffer_done(&dir.path);
}

void
origin_mark_missing(struct varve_vfs *vfs, const struct varve_content *content)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer mark = {0};
    struct varve_error missing;
    if (!varve_store_origin(vfs->store, &content->place, &mark, &missing))
        vfs_mark_origin(vfs, content->ino, content->version, content->place);
}
