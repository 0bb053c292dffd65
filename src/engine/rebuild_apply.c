/* SPDX-License-Identifier: Apache-2.0 */
/* Third part of a rebuild: what the manifests say, into the catalog. Sets come in the order in
 * which they were made; of two records of an inode the one with the later ctime wins. */
#include "rebuild.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* --- inodes and contents --- */

static bool
clear_xattrs(struct rebuild *r, uint64_t ino, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer names = {0};
    if (!varve_catalog_xattr_names(r->catalog, ino, &names, err))
        return false;
    for (size_t at = 0; at < names.size; at += strlen(varve_buffer_string(&names) + at) + 1) {
        if (!varve_catalog_xattr_delete(r->catalog, ino, varve_buffer_string(&names) + at, err))
            return false;
    }
    return true;
}

static bool
apply_attributes(struct rebuild *r, const struct varve_record *record, bool exists,
                 struct varve_error *err)
{
    uint64_t ino;
    const struct varve_inode inode = {
        .ino = record->ino,
        .mode = record->mode,
        .uid = record->uid,
        .gid = record->gid,
        .nlink = 1, /* counted at the end */
        .rdev = record->rdev,
        /* Records of symlinks say 0; stat(2) says how long the target is. */
        .size = record->target != NULL ? strlen(record->target) : record->size,
        .atime_ns = record->atime_ns,
        .mtime_ns = record->mtime_ns,
        .ctime_ns = record->ctime_ns,
        .btime_ns = record->btime_ns,
        .content = {record->content},
        .recorded_ctime_ns = record->ctime_ns,
    };
    if (exists ? !varve_catalog_inode_update(r->catalog, &inode, err)
               : !varve_catalog_inode_insert(r->catalog, &inode, &ino, err))
        return false;
    if (exists && !clear_xattrs(r, record->ino, err))
        return false;
    for (size_t i = 0; i < record->xattr_count; i++) {
        const struct varve_record_xattr *xattr = &record->xattrs[i];
        if (!varve_catalog_xattr_put(r->catalog, record->ino, xattr->name, xattr->value,
                                     xattr->size, err))
            return false;
    }
    return record->target == NULL ||
           varve_catalog_symlink_put(r->catalog, record->ino, record->target, err);
}

static bool
apply_content(struct rebuild *r, const struct varve_record *record, struct varve_error *err)
{
    struct varve_content content;
    struct varve_content_id id;
    struct varve_error why = {0};
    if (record->type != VARVE_RECORD_FILE || record->content == 0 ||
        varve_catalog_content_get(r->catalog, (struct varve_content_id){record->content}, &content,
                                  &why))
        return true;
    if (why.kind != VARVE_ERROR_NOT_FOUND) {
        *err = why;
        return false;
    }
    content = (struct varve_content){.id = {record->content},
                                     .ino = record->ino,
                                     .version = record->version,
                                     .size = record->size,
                                     .mtime_ns = record->mtime_ns,
                                     .phase = VARVE_PHASE_SEALED};
    r->report.contents++;
    return varve_catalog_content_insert(r->catalog, &content, &id, err);
}

static bool
apply_piece(struct rebuild *r, const struct found_set *set, uint32_t index,
            const struct varve_record *record, struct varve_error *err)
{
    struct varve_error why = {0};
    if (record->type != VARVE_RECORD_FILE || record->piece_bytes == 0)
        return true;
    const struct varve_piece piece = {.content = {record->content},
                                      .set = set->row.id,
                                      .index = index,
                                      .part = record->part,
                                      .offset = record->piece_offset,
                                      .bytes = record->piece_bytes,
                                      .lba = record->lba,
                                      .has_digest = true,
                                      .digest = record->digest};
    if (varve_catalog_piece_insert(r->catalog, &piece, &why) || why.kind == VARVE_ERROR_EXISTS)
        return true;
    *err = why;
    return false;
}

static bool
drop_names(struct rebuild *r, uint64_t ino, struct varve_error *err)
{
    enum { BATCH = 8 };
    struct varve_dentry names[BATCH];
    size_t count = 0;
    do {
        if (!varve_catalog_names(r->catalog, ino, 0, names, BATCH, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (!varve_catalog_dentry_delete(r->catalog, names[i].parent, names[i].name, err))
                return false;
        }
    } while (count > 0);
    return true;
}

/* What a directory that is gone still seems to hold: their own records, moved or deleted, are on a
 * later disc or on none. */
static bool
drop_entries(struct rebuild *r, uint64_t ino, struct varve_error *err)
{
    enum { BATCH = 8 };
    struct varve_dentry entries[BATCH];
    size_t count = 0;
    do {
        if (!varve_catalog_readdir(r->catalog, ino, 0, entries, BATCH, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (!varve_catalog_dentry_delete(r->catalog, ino, entries[i].name, err))
                return false;
        }
    } while (count > 0);
    return true;
}

/* *ret_newer: the record says more than the catalog has. */
static bool
compare(struct rebuild *r, const struct varve_record *record, bool *ret_exists, bool *ret_newer,
        struct varve_error *err)
{
    struct varve_inode inode;
    struct varve_error why = {0};
    *ret_exists = varve_catalog_inode_get(r->catalog, record->ino, &inode, &why);
    if (!*ret_exists && why.kind != VARVE_ERROR_NOT_FOUND) {
        *err = why;
        return false;
    }
    *ret_newer = !*ret_exists || inode.recorded_ctime_ns <= record->ctime_ns;
    return true;
}

static bool
apply_record(struct rebuild *r, const struct found_set *set, uint32_t index,
             const struct varve_record *record, struct varve_error *err)
{
    bool exists;
    bool newer;
    if (!compare(r, record, &exists, &newer, err))
        return false;
    if (record->type == VARVE_RECORD_DELETED) {
        if (!exists || !newer || record->ino == VARVE_ROOT_INO)
            return true;
        return drop_names(r, record->ino, err) && drop_entries(r, record->ino, err) &&
               varve_catalog_inode_delete(r->catalog, record->ino, record->ctime_ns, err);
    }
    /* The content's row first: the inode refers to it. */
    if (!apply_content(r, record, err) || (newer && !apply_attributes(r, record, exists, err)))
        return false;
    return apply_piece(r, set, index, record, err);
}

/* --- names --- */

static bool
apply_name(struct rebuild *r, uint64_t ino, const struct varve_record_name *name,
           struct varve_error *err)
{
    struct varve_inode parent;
    struct varve_error why = {0};
    if (!varve_catalog_inode_get(r->catalog, name->parent, &parent, &why) ||
        !S_ISDIR(parent.mode)) {
        varve_log(VARVE_LOG_WARNING,
                  "rebuild: inode %" PRIu64 ": the directory of its name '%s' is not known", ino,
                  name->name);
        return true;
    }
    if (varve_catalog_dentry_insert(r->catalog, name->parent, name->name, ino, &why))
        return true;
    if (why.kind != VARVE_ERROR_EXISTS) {
        *err = why;
        return false;
    }
    /* Somebody else had this name before: records come in order of time, so the later one keeps it.
     */
    return varve_catalog_dentry_delete(r->catalog, name->parent, name->name, err) &&
           varve_catalog_dentry_insert(r->catalog, name->parent, name->name, ino, err);
}

static bool
apply_names(struct rebuild *r, const struct varve_record *record, struct varve_error *err)
{
    bool exists;
    bool newer;
    if (record->type == VARVE_RECORD_DELETED || record->ino == VARVE_ROOT_INO)
        return true;
    if (!compare(r, record, &exists, &newer, err) || (newer && !drop_names(r, record->ino, err)))
        return false;
    for (size_t i = 0; newer && i < record->name_count; i++) {
        if (!apply_name(r, record->ino, &record->names[i], err))
            return false;
    }
    return true;
}

/* --- sets --- */

static bool
insert_discs(struct rebuild *r, const struct found_set *set, struct varve_error *err)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct member *member = &set->members[i];
        if (!member->present)
            continue;
        struct varve_disc_row disc = {.barcode = member->barcode,
                                      .state = VARVE_DISC_SEALED,
                                      .set = set->row.id,
                                      .index = i,
                                      .uuid = member->uuid,
                                      .clusters = member->map.clusters,
                                      .burned_ns = set->row.created_ns,
                                      .verified_ns = set->row.created_ns};
        memcpy(disc.library, member->library, sizeof disc.library);
        if (!varve_catalog_disc_put(r->catalog, &disc, err))
            return false;
    }
    return true;
}

static bool
save_maps(struct rebuild *r, const struct found_set *set, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_map *maps = calloc(set->row.data_discs, sizeof *maps);
    if (maps == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    for (uint32_t i = 0; i < set->row.data_discs; i++)
        maps[i] = set->members[i].map;
    return maps_save(r->engine, &set->row, maps, err);
}

/* An archive that was rebuilt without its newest set and then used has two sets of one number: the
 * second gets another. */
static bool
insert_row(struct rebuild *r, struct found_set *set, struct varve_error *err)
{
    struct varve_error why = {0};
    struct varve_set_id id = set->row.id;
    if (!varve_catalog_set_insert(r->catalog, &set->row, &id, &why)) {
        if (why.kind != VARVE_ERROR_EXISTS) {
            *err = why;
            return false;
        }
        set->row.id.value = 0;
        if (!varve_catalog_set_insert(r->catalog, &set->row, &id, err))
            return false;
    }
    set->row.id = id;
    return true;
}

static bool
insert_set(struct rebuild *r, struct found_set *set, struct varve_error *err)
{
    set->row.state = VARVE_SET_SEALED;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct member *member = &set->members[i];
        if (!member->present)
            set->row.state = VARVE_SET_DEGRADED;
        if (i < set->row.data_discs && member->map.clusters > set->row.clusters)
            set->row.clusters = member->map.clusters; /* no parity disc at hand to say it */
    }
    r->report.sets++;
    return insert_row(r, set, err) && insert_discs(r, set, err) && save_maps(r, set, err);
}

typedef bool record_fn(struct rebuild *r, const struct found_set *set, uint32_t index,
                       const struct varve_record *record, struct varve_error *err);

static bool
name_record(struct rebuild *r, const struct found_set *set, uint32_t index,
            const struct varve_record *record, struct varve_error *err)
{
    (void)set;
    (void)index;
    return apply_names(r, record, err);
}

static bool
each_record(struct rebuild *r, const struct found_set *set, record_fn *apply,
            struct varve_error *err)
{
    for (uint32_t i = 0; i < set->row.data_discs; i++) {
        VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
        VARVE_CLEANUP_FREE char *path = set_file(r->engine, &set->row, i, "jsonl");
        if (!set->members[i].has_manifest)
            continue;
        if (path == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
        if (!manifest_load(path, &manifest, err))
            return false;
        for (size_t m = 0; m < manifest->count; m++) {
            if (!apply(r, set, i, &manifest->records[m], err))
                return varve_error_wrap(err, "inode %" PRIu64 " on disc %" PRIu32,
                                        manifest->records[m].ino, i + 1);
        }
    }
    return true;
}

static int
compare_sets(const void *a, const void *b)
{
    uint64_t x = ((const struct found_set *)a)->row.id.value;
    uint64_t y = ((const struct found_set *)b)->row.id.value;
    return x < y ? -1 : x > y;
}

static bool
insert_others(struct rebuild *r, struct varve_error *err)
{
    for (size_t i = 0; i < r->other_count; i++) {
        struct varve_disc_row disc = {.barcode = r->others[i].barcode,
                                      .state = r->others[i].state,
                                      .capacity_clusters = r->others[i].capacity_clusters};
        memcpy(disc.library, r->others[i].library, sizeof disc.library);
        if (!varve_catalog_disc_put(r->catalog, &disc, err))
            return false;
    }
    return true;
}

bool
rebuild_apply(struct rebuild *r, struct varve_error *err)
{
    qsort(r->sets, r->set_count, sizeof *r->sets, compare_sets);
    for (size_t s = 0; s < r->set_count; s++) {
        struct found_set *set = &r->sets[s];
        rebuild_tell(r, s, r->set_count, "set %" PRIu64 ": names", set->row.id.value);
        varve_catalog_begin(r->catalog);
        bool ok = insert_set(r, set, err) && each_record(r, set, apply_record, err) &&
                  each_record(r, set, name_record, err);
        if (!varve_catalog_end(r->catalog, ok, err))
            return varve_error_wrap(err, "set %" PRIu64, set->row.id.value);
        set_files_trim(r->engine, &set->row);
    }
    return insert_others(r, err);
}

/* --- the end --- */

static bool
count_links(struct rebuild *r, struct varve_inode *inode, struct varve_error *err)
{
    enum { BATCH = 64 };
    VARVE_CLEANUP_FREE struct varve_dentry *page = calloc(BATCH, sizeof *page);
    uint64_t after = 0;
    size_t count = BATCH;
    uint32_t links = 0;
    bool directory = S_ISDIR(inode->mode);
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    while (count == BATCH) {
        if (directory
                ? !varve_catalog_readdir(r->catalog, inode->ino, after, page, BATCH, &count, err)
                : !varve_catalog_names(r->catalog, inode->ino, after, page, BATCH, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            links += !directory || S_ISDIR(page[i].inode.mode);
            after = page[i].cookie;
        }
    }
    inode->nlink = directory ? links + 2 : links;
    return true;
}

/* A file whose name went to another one, and that no record says is deleted: renamed or deleted
 * after its last record. Nobody knows which, so it is kept. */
static bool
keep_nameless(struct rebuild *r, const struct varve_inode *inode, struct varve_error *err)
{
    char name[32];
    uint64_t parent;
    (void)snprintf(name, sizeof name, "inode-%" PRIu64, inode->ino);
    return rebuild_directory(r, VARVE_ROOT_INO, "lost+found", &parent, err) &&
           varve_catalog_dentry_insert(r->catalog, parent, name, inode->ino, err);
}

static bool
finish_content(struct rebuild *r, const struct varve_inode *inode, struct varve_error *err)
{
    struct varve_content content;
    struct varve_piece piece;
    size_t pieces;
    if (inode->nlink == 0 || inode->content.value == 0)
        return true;
    if (!varve_catalog_content_get(r->catalog, inode->content, &content, err) ||
        !varve_catalog_pieces(r->catalog, inode->content, &piece, 1, &pieces, err))
        return false;
    if (pieces == 0 && content.place.tier == VARVE_TIER_NONE)
        r->report.lost_files++;
    content.current = true;
    return varve_catalog_content_update(r->catalog, &content, err);
}

static bool
has_name(struct rebuild *r, uint64_t ino, bool *ret, struct varve_error *err)
{
    struct varve_dentry name;
    size_t count;
    *ret = ino == VARVE_ROOT_INO;
    if (*ret || !varve_catalog_names(r->catalog, ino, 0, &name, 1, &count, err))
        return *ret;
    *ret = count > 0;
    return true;
}

/* Gives every nameless file a name, before links are counted. */
static bool
name_inode(struct rebuild *r, struct varve_inode *inode, struct varve_error *err)
{
    bool named;
    if (!S_ISREG(inode->mode) || inode->content.value == 0)
        return true;
    return has_name(r, inode->ino, &named, err) && (named || keep_nameless(r, inode, err));
}

static bool
finish_inode(struct rebuild *r, struct varve_inode *inode, struct varve_error *err)
{
    bool named;
    if (!count_links(r, inode, err) || !has_name(r, inode->ino, &named, err))
        return false;
    if (!named)
        inode->nlink = 0; /* replaced by a later record: the next start removes it */
    r->report.inodes += named;
    return varve_catalog_inode_update(r->catalog, inode, err) && finish_content(r, inode, err);
}

static bool
each_inode(struct rebuild *r,
           bool (*each)(struct rebuild *r, struct varve_inode *inode, struct varve_error *err),
           struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_inode *page = calloc(PAGE_ROWS, sizeof *page);
    uint64_t after = 0;
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_inodes(r->catalog, after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].ino;
            if (!each(r, &page[i], err))
                return false;
        }
    }
    return true;
}

bool
rebuild_finish(struct rebuild *r, struct varve_error *err)
{
    return each_inode(r, name_inode, err) && each_inode(r, finish_inode, err);
}
