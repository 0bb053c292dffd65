/* SPDX-License-Identifier: Apache-2.0 */
/* From a plan to manifests: the records of each disc, with the directories that lead to its files.
 */
#include "layout.h"
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* --- the inodes that a manifest has already --- */

static bool
seen_grow(struct ino_set *seen, struct varve_error *err)
{
    size_t size = seen->size == 0 ? 1024 : seen->size * 2;
    uint64_t *inos = calloc(size, sizeof *inos);
    if (inos == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "plan a disc");
    for (size_t i = 0; i < seen->size; i++) {
        uint64_t ino = seen->inos[i];
        size_t at = ino * UINT64_C(0x9E3779B97F4A7C15) % size;
        while (ino != 0 && inos[at] != 0)
            at = (at + 1) % size;
        if (ino != 0)
            inos[at] = ino;
    }
    free(seen->inos);
    seen->inos = inos;
    seen->size = size;
    return true;
}

/* *ret_fresh: it was not there before. */
static bool
seen_add(struct ino_set *seen, uint64_t ino, bool *ret_fresh, struct varve_error *err)
{
    if (seen->count * 2 >= seen->size && !seen_grow(seen, err))
        return false;
    size_t at = ino * UINT64_C(0x9E3779B97F4A7C15) % seen->size;
    while (seen->inos[at] != 0 && seen->inos[at] != ino)
        at = (at + 1) % seen->size;
    *ret_fresh = seen->inos[at] == 0;
    if (*ret_fresh) {
        seen->inos[at] = ino;
        seen->count++;
    }
    return true;
}

/* --- records --- */

static bool
add_record(struct disc_draft *draft, struct varve_record *record, struct varve_error *err)
{
    if (varve_manifest_add(draft->manifest, record, err))
        return true;
    varve_record_done(record);
    return false;
}

static bool
parent_of(struct varve_engine *engine, uint64_t ino, uint64_t *ret, struct varve_error *err)
{
    struct varve_dentry name;
    size_t count;
    if (!varve_catalog_names(engine->catalog, ino, 0, &name, 1, &count, err))
        return false;
    if (count == 0)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                               "inode %" PRIu64 " has no name any more", ino);
    *ret = name.parent;
    return true;
}

/* The directory `ino` and all above it, as far as the disc does not have them. */
static bool
add_directories(struct varve_engine *engine, struct disc_draft *draft, uint64_t ino,
                struct varve_error *err)
{
    for (unsigned depth = 0; depth < VARVE_PATH_BYTES_MAX; depth++) {
        struct varve_inode inode;
        struct varve_record record;
        bool fresh;
        if (!seen_add(&draft->seen, ino, &fresh, err))
            return false;
        if (!fresh)
            return true;
        if (!varve_catalog_inode_get(engine->catalog, ino, &inode, err) ||
            !record_from_inode(engine, &inode, &record, err) || !add_record(draft, &record, err))
            return false;
        if (ino == VARVE_ROOT_INO)
            return true;
        if (!parent_of(engine, ino, &ino, err))
            return false;
    }
    return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                           "directories of inode %" PRIu64 " form a loop", ino);
}

bool
draft_add_slice(struct varve_engine *engine, struct disc_draft *draft, const struct plan_item *item,
                const struct plan_slice *slice, struct varve_error *err)
{
    struct varve_inode inode;
    struct varve_record record;
    uint64_t parent;
    bool fresh;
    if (!varve_catalog_inode_get(engine->catalog, item->ino, &inode, err) ||
        !parent_of(engine, item->ino, &parent, err) ||
        !add_directories(engine, draft, parent, err) ||
        !seen_add(&draft->seen, item->ino, &fresh, err) ||
        !record_from_inode(engine, &inode, &record, err))
        return false;
    record.content = item->content.value;
    record.size = item->size;
    record.part = slice->part;
    record.parts = slice->parts;
    record.piece_offset = slice->offset;
    record.piece_bytes = slice->bytes;
    return add_record(draft, &record, err);
}

bool
draft_add_inode(struct varve_engine *engine, struct disc_draft *draft, uint64_t ino,
                struct varve_error *err)
{
    struct varve_inode inode;
    struct varve_record record;
    uint64_t parent;
    bool fresh;
    if (!varve_catalog_inode_get(engine->catalog, ino, &inode, err))
        return false;
    if (S_ISDIR(inode.mode))
        return add_directories(engine, draft, ino, err);
    if (!parent_of(engine, ino, &parent, err) || !add_directories(engine, draft, parent, err) ||
        !seen_add(&draft->seen, ino, &fresh, err))
        return false;
    if (!fresh) /* it is there with its content */
        return true;
    return record_from_inode(engine, &inode, &record, err) && add_record(draft, &record, err);
}

bool
draft_add_tombstone(struct disc_draft *draft, const struct varve_tombstone *tombstone,
                    struct varve_error *err)
{
    struct varve_record record = {.type = VARVE_RECORD_DELETED,
                                  .ino = tombstone->ino,
                                  .ctime_ns = tombstone->deleted_ns,
                                  .parts = 1};
    return add_record(draft, &record, err);
}

bool
draft_init(struct disc_draft *draft, struct varve_error *err)
{
    *draft = (struct disc_draft){.manifest = varve_manifest_new()};
    return draft->manifest != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "plan a disc");
}

void
draft_done(struct disc_draft *draft)
{
    varve_manifest_free(draft->manifest);
    free(draft->seen.inos);
    *draft = (struct disc_draft){0};
}
