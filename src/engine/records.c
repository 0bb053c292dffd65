/* SPDX-License-Identifier: Apache-2.0 */
/* What the catalog knows of an inode, as a record for a disc (INV-8). */
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static enum varve_record_type
type_of(uint32_t mode)
{
    if (S_ISREG(mode))
        return VARVE_RECORD_FILE;
    if (S_ISDIR(mode))
        return VARVE_RECORD_DIRECTORY;
    if (S_ISLNK(mode))
        return VARVE_RECORD_SYMLINK;
    return VARVE_RECORD_SPECIAL;
}

static bool
fill_names(struct varve_engine *engine, struct varve_record *record, struct varve_error *err)
{
    enum { BATCH = 16 };
    VARVE_CLEANUP_FREE struct varve_dentry *names = calloc(BATCH, sizeof *names);
    uint64_t after = 0;
    size_t count = BATCH;
    if (names == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "names of inode %" PRIu64, record->ino);
    while (count == BATCH) {
        if (!varve_catalog_names(engine->catalog, record->ino, after, names, BATCH, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (!varve_record_add_name(record, names[i].parent, names[i].name, err))
                return false;
            after = names[i].cookie;
        }
    }
    return true;
}

static bool
fill_xattrs(struct varve_engine *engine, struct varve_record *record, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer names = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    if (!varve_catalog_xattr_names(engine->catalog, record->ino, &names, err))
        return false;
    for (size_t at = 0; at < names.size;) {
        const char *name = varve_buffer_string(&names) + at;
        varve_buffer_clear(&value);
        if (!varve_catalog_xattr_get(engine->catalog, record->ino, name, &value, err) ||
            !varve_record_add_xattr(record, name, varve_buffer_string(&value), value.size, err))
            return false;
        at += strlen(name) + 1;
    }
    return true;
}

static bool
fill_target(struct varve_engine *engine, struct varve_record *record, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer target = {0};
    if (!varve_catalog_symlink_get(engine->catalog, record->ino, &target, err))
        return false;
    record->target = strdup(varve_buffer_string(&target));
    return record->target != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "symlink target");
}

static bool
fill_content(struct varve_engine *engine, const struct varve_inode *inode,
             struct varve_record *record, struct varve_error *err)
{
    struct varve_content content;
    if (inode->content.value == 0) {
        record->size = 0;
        return true;
    }
    if (!varve_catalog_content_get(engine->catalog, inode->content, &content, err))
        return false;
    if (content.phase == VARVE_PHASE_LIVE) { /* emptied; what is written since goes another time */
        record->size = 0;
        return true;
    }
    record->content = content.id.value;
    record->version = content.version;
    record->size = content.size;
    return true;
}

static bool
fill(struct varve_engine *engine, const struct varve_inode *inode, struct varve_record *record,
     struct varve_error *err)
{
    if (!fill_names(engine, record, err) || !fill_xattrs(engine, record, err))
        return false;
    if (record->type == VARVE_RECORD_SYMLINK)
        return fill_target(engine, record, err);
    return record->type != VARVE_RECORD_FILE || fill_content(engine, inode, record, err);
}

bool
record_from_inode(struct varve_engine *engine, const struct varve_inode *inode,
                  struct varve_record *ret, struct varve_error *err)
{
    struct varve_record record = {
        .type = type_of(inode->mode),
        .ino = inode->ino,
        .mode = inode->mode,
        .uid = inode->uid,
        .gid = inode->gid,
        .rdev = inode->rdev,
        .size = S_ISREG(inode->mode) ? inode->size : 0,
        .atime_ns = inode->atime_ns,
        .mtime_ns = inode->mtime_ns,
        .ctime_ns = inode->ctime_ns,
        .btime_ns = inode->btime_ns,
        .parts = 1,
    };
    if (!fill(engine, inode, &record, err)) {
        varve_record_done(&record);
        return varve_error_wrap(err, "record of inode %" PRIu64, inode->ino);
    }
    *ret = record;
    return true;
}
