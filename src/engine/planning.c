/* SPDX-License-Identifier: Apache-2.0 */
/* Closing a set: what is in line becomes frozen contents, manifests and a PLANNED set, or nothing
 * happens. */
#include "engine_internal.h"
#include "layout.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/grow.h>

struct planning {
    struct varve_engine *engine;
    struct job *job;
    uint32_t n, m;
    uint64_t clusters_max; /* of a data image */
    uint64_t blanks;
    struct plan_item *items;
    size_t count, capacity;
    size_t frozen;     /* items [0, frozen) are frozen */
    unsigned patience; /* naps left for files that are just being closed */
    bool committed;    /* the set exists: nothing of it may be taken back */
    uint64_t *extras;  /* inodes recorded without content */
    size_t extra_count, extra_capacity;
    struct varve_tombstone *tombstones;
    size_t tombstone_count;
    struct varve_image_cost extra_cost;
    struct plan plan;
    struct disc_draft *drafts;
    struct varve_set set;
    struct varve_image **images;
};

static void
planning_done(struct planning *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->items[i].path);
    for (uint32_t i = 0; p->drafts != NULL && i < p->plan.discs; i++)
        draft_done(&p->drafts[i]);
    for (uint32_t i = 0; p->images != NULL && i < p->plan.discs; i++)
        varve_image_free(p->images[i]);
    free(p->items);
    free(p->extras);
    free(p->tombstones);
    free(p->drafts);
    free(p->images);
    plan_done(&p->plan);
}

/* --- sizes --- */

/* Names and values of the inode's xattrs, for the planner's bound. */
static bool
xattr_bytes(struct varve_engine *engine, uint64_t ino, size_t *ret, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer names = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    *ret = 0;
    if (!varve_catalog_xattr_names(engine->catalog, ino, &names, err))
        return false;
    for (size_t at = 0; at < names.size;) {
        const char *name = varve_buffer_string(&names) + at;
        varve_buffer_clear(&value);
        if (!varve_catalog_xattr_get(engine->catalog, ino, name, &value, err))
            return false;
        at += strlen(name) + 1;
        *ret += strlen(name) + value.size;
    }
    return true;
}

/* --- what is in line --- */

static bool
push_item(struct planning *p, const struct varve_content *content, const char *rule_name,
          struct varve_error *err)
{
    struct varve_inode inode;
    size_t xattrs;
    const struct varve_rule *rule =
        varve_policy_find(p->engine->policy, rule_name); /* NULL: by hand */
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    if (!varve_vfs_getattr(p->engine->vfs, content->ino, &inode, err) ||
        !varve_catalog_path(p->engine->catalog, content->ino, &path, err) ||
        !xattr_bytes(p->engine, content->ino, &xattrs, err))
        return false;
    if (p->count == p->capacity) {
        size_t capacity = p->capacity == 0 ? 1024 : p->capacity * 2;
        struct plan_item *items = realloc(p->items, capacity * sizeof *items);
        if (items == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "plan %zu files", capacity);
        p->items = items;
        p->capacity = capacity;
    }
    struct plan_item item = {
        .ino = content->ino,
        .content = content->id,
        .size = inode.size,
        .path = strdup(varve_buffer_string(&path) + 1), /* without the first slash */
        .names = inode.nlink,
        .xattr_bytes = (uint32_t)xattrs,
        .keep_together = rule == NULL || rule->keep_together};
    if (item.path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "plan a file");
    p->items[p->count++] = item;
    return true;
}

/* A request whose content was replaced, deleted, emptied or archived meanwhile is dropped. */
static bool
consider(struct planning *p, const struct varve_request *request, struct varve_error *err)
{
    struct varve_content content;
    struct varve_inode inode;
    struct varve_error why = {0};
    bool wanted = varve_catalog_content_get(p->engine->catalog, request->content, &content, &why) &&
                  content.current && content.phase == VARVE_PHASE_LIVE &&
                  varve_vfs_getattr(p->engine->vfs, content.ino, &inode, &why) && inode.nlink > 0 &&
                  inode.size > 0;
    if (!wanted)
        return request_drop(p->engine, request->content, err);
    if (p->n == 0) {
        p->n = request->n;
        p->m = request->m;
    }
    if (request->n != p->n || request->m != p->m || p->count >= SET_FILES_MAX)
        return true; /* another set's turn */
    return push_item(p, &content, request->rule, err);
}

static bool
collect(struct planning *p, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_request *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_content_id after = {0};
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "plan a set");
    while (count == PAGE_ROWS) {
        if (!go_on(p->engine, err) ||
            !varve_catalog_requests(p->engine->catalog, after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (!consider(p, &page[i], err))
                return false;
            after = page[i].content;
        }
    }
    return true;
}

/* Order of a depth-first walk: '/' sorts before everything else, so directories stay whole. */
static int
compare_paths(const void *a, const void *b)
{
    const unsigned char *x = (const unsigned char *)((const struct plan_item *)a)->path;
    const unsigned char *y = (const unsigned char *)((const struct plan_item *)b)->path;
    while (*x != 0 && *x == *y) {
        x++;
        y++;
    }
    int left = *x == '/' ? 1 : *x + (*x != 0);
    int right = *y == '/' ? 1 : *y + (*y != 0);
    return left - right;
}

/* --- freezing --- */

static void
thaw(struct planning *p, struct plan_item *item)
{
    struct varve_error ignored = {0};
    /* A failure leaves it frozen without pieces: pipeline_recover thaws it at the next start. */
    VARVE_IGNORE(varve_vfs_thaw(p->engine->vfs, item->content, &ignored));
    free(item->path);
    item->path = NULL;
}

static bool
freeze_one(struct planning *p, struct plan_item *item, bool *ret_frozen, struct varve_error *err)
{
    struct varve_content content;
    struct varve_error why = {0};
    *ret_frozen = varve_vfs_freeze(p->engine->vfs, item->ino, INT64_MAX, &content, &why);
    /* The kernel tells of a close a little after close(2) has returned: what was just copied in is
     * not left behind for that. */
    while (!*ret_frozen && why.kind == VARVE_ERROR_BUSY && p->patience > 0) {
        p->patience--;
        varve_clock_sleep(p->engine->clock, 20 * VARVE_NS_PER_MS);
        *ret_frozen = varve_vfs_freeze(p->engine->vfs, item->ino, INT64_MAX, &content, &why);
    }
    if (!*ret_frozen) {
        if (why.kind == VARVE_ERROR_BUSY || why.kind == VARVE_ERROR_NOT_FOUND ||
            why.kind == VARVE_ERROR_EXISTS)
            return true; /* open, gone or replaced: another time */
        *err = why;
        return varve_error_wrap(err, "freeze '/%s'", item->path);
    }
    item->size = content.size;
    item->content = content.id;
    if (content.size > 0)
        return true;
    *ret_frozen = false; /* emptied since: nothing to archive */
    return varve_vfs_thaw(p->engine->vfs, content.id, err);
}

/* Freezes in path order as much as one set can hold; what is open stays in line. */
static bool
freeze(struct planning *p, struct varve_error *err)
{
    uint64_t room = p->clusters_max * VARVE_CLUSTER_BYTES * p->n;
    uint64_t bytes = 0;
    size_t kept = 0;
    size_t i = 0;
    /* Freezing syncs each file; done for all at once first, those syncs find nothing left to do. */
    if (!varve_store_sync_all(p->engine->store, err))
        return false;
    for (; i < p->count && bytes < room; i++) {
        bool frozen;
        if (!go_on(p->engine, err) || !freeze_one(p, &p->items[i], &frozen, err))
            break;
        if (frozen) {
            bytes += p->items[i].size;
            p->items[kept++] = p->items[i];
        } else {
            free(p->items[i].path);
        }
    }
    bool ok = i == p->count || bytes >= room;
    for (; i < p->count; i++)
        free(p->items[i].path);
    p->count = p->frozen = kept;
    return ok;
}

/* --- records of what changed without content --- */

/* Adds what the record costs; of its directories only those that the record before did not have. */
static bool
cost_extra(struct planning *p, const struct varve_inode *inode, const char *path,
           const char *path_before, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer target = {0};
    size_t xattrs;
    size_t same = 0;
    if ((S_ISLNK(inode->mode) &&
         !varve_catalog_symlink_get(p->engine->catalog, inode->ino, &target, err)) ||
        !xattr_bytes(p->engine, inode->ino, &xattrs, err))
        return false;
    for (size_t i = 0; path[i] != 0 && path[i] == path_before[i]; i++) {
        if (path[i] == '/')
            same = i + 1;
    }
    for (size_t i = same; path[i] != 0; i++) {
        if (path[i] == '/')
            varve_image_cost_other(&p->extra_cost, i + 1, 0, 0);
    }
    if (!S_ISDIR(inode->mode) && inode->nlink > 1)
        varve_image_cost_file(&p->extra_cost, strlen(path), inode->nlink, 0, xattrs);
    else
        varve_image_cost_other(&p->extra_cost, strlen(path), xattrs, target.size);
    return true;
}

static bool
push_extra(struct planning *p, const struct varve_inode *inode, struct varve_buffer *path_before,
           struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    if (!varve_catalog_path(p->engine->catalog, inode->ino, &path, err) ||
        !cost_extra(p, inode, varve_buffer_string(&path), varve_buffer_string(path_before), err))
        return false;
    uint64_t *extras = varve_grow(p->extras, &p->extra_capacity, p->extra_count, sizeof *extras);
    if (extras == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "plan records");
    p->extras = extras;
    p->extras[p->extra_count++] = inode->ino;
    varve_buffer_clear(path_before);
    varve_buffer_text(path_before, varve_buffer_string(&path));
    return varve_buffer_ok(path_before, err);
}

/* Inodes that are gone, as many as half of the room for records holds. */
static bool
collect_tombstones(struct planning *p, uint64_t budget, struct varve_error *err)
{
    enum { TOMBSTONES_MAX = 65536 };
    size_t count = 0;
    p->tombstones = calloc(TOMBSTONES_MAX, sizeof *p->tombstones);
    if (p->tombstones == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "plan records");
    if (!varve_catalog_tombstones(p->engine->catalog, 0, p->tombstones, TOMBSTONES_MAX, &count,
                                  err))
        return false;
    while (p->tombstone_count < count &&
           (p->tombstone_count % 64 != 0 || varve_image_cost_clusters(&p->extra_cost) < budget)) {
        varve_image_cost_other(&p->extra_cost, 1, 0, 0);
        p->tombstone_count++;
    }
    return true;
}

/* Records of changed inodes ride along on the first disc of a set, as far as a fiftieth of a disc
 * holds; the rest waits for the next set. */
static bool
collect_extras(struct planning *p, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_inode *page = calloc(PAGE_ROWS, sizeof *page);
    const struct varve_image_cost empty = {0};
    uint64_t budget = varve_image_cost_clusters(&empty) + p->clusters_max / 2;
    VARVE_CLEANUP_BUFFER struct varve_buffer path_before = {0};
    uint64_t after = 0;
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "plan records");
    if (!collect_tombstones(p, budget / 2, err))
        return false;
    while (count == PAGE_ROWS) {
        if (!varve_catalog_unrecorded(p->engine->catalog, after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (varve_image_cost_clusters(&p->extra_cost) >= budget)
                return true;
            if (page[i].nlink > 0 && !push_extra(p, &page[i], &path_before, err))
                return false;
            after = page[i].ino;
        }
    }
    return true;
}

/* --- the set --- */

static bool
draft_discs(struct planning *p, struct varve_error *err)
{
    struct plan *plan = &p->plan;
    p->drafts = calloc(plan->discs, sizeof *p->drafts);
    if (p->drafts == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "plan %" PRIu32 " discs", plan->discs);
    for (uint32_t disc = 0; disc < plan->discs; disc++) {
        if (!draft_init(&p->drafts[disc], err))
            return false;
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_slice *slice = &plan->slices[i];
        if (!draft_add_slice(p->engine, &p->drafts[slice->disc], &p->items[slice->item], slice,
                             err))
            return false;
    }
    for (size_t i = 0; i < p->extra_count; i++) {
        if (!draft_add_inode(p->engine, &p->drafts[0], p->extras[i], err))
            return false;
    }
    for (size_t i = 0; i < p->tombstone_count; i++) {
        if (!draft_add_tombstone(&p->drafts[0], &p->tombstones[i], err))
            return false;
    }
    return true;
}

static bool
make_images(struct planning *p, struct varve_error *err)
{
    p->images = calloc(p->plan.discs, sizeof(struct varve_image *));
    if (p->images == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "plan images");
    for (uint32_t disc = 0; disc < p->plan.discs; disc++) {
        struct varve_disc_identity identity;
        identity_fill(p->engine, &p->set, disc, &identity);
        if (!varve_image_new_data(&identity, p->drafts[disc].manifest, &p->images[disc], err))
            return varve_error_wrap(err, "lay out disc %" PRIu32, disc);
        p->drafts[disc].manifest = NULL; /* the image's now */
        uint64_t clusters = varve_image_map(p->images[disc])->clusters;
        if (clusters > p->set.clusters)
            p->set.clusters = clusters;
    }
    return true;
}

static bool
save_manifests(struct planning *p, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *dir = set_dir(p->engine, &p->set);
    if (dir == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "save manifests");
    if (!varve_file_make_dirs(dir, 0700, err))
        return false;
    for (uint32_t disc = 0; disc < p->plan.discs; disc++) {
        VARVE_CLEANUP_FREE char *path = set_file(p->engine, &p->set, disc, "jsonl");
        if (path == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "save manifests");
        if (!manifest_save(path, varve_image_manifest(p->images[disc]), err))
            return false;
    }
    return true;
}

static bool
insert_pieces(struct planning *p, uint32_t disc, struct varve_error *err)
{
    const struct varve_manifest *manifest = varve_image_manifest(p->images[disc]);
    for (size_t i = 0; i < manifest->count; i++) {
        const struct varve_record *record = &manifest->records[i];
        if (record->type != VARVE_RECORD_FILE || record->piece_bytes == 0)
            continue;
        const struct varve_piece piece = {.content = {record->content},
                                          .set = p->set.id,
                                          .index = disc,
                                          .part = record->part,
                                          .offset = record->piece_offset,
                                          .bytes = record->piece_bytes,
                                          .lba = record->lba};
        if (!varve_catalog_piece_insert(p->engine->catalog, &piece, err) ||
            !request_drop(p->engine, piece.content, err))
            return false;
    }
    return true;
}

/* From here on the set exists: one unit. */
static bool
commit(struct planning *p, struct varve_error *err)
{
    struct varve_catalog *catalog = p->engine->catalog;
    p->set.state = VARVE_SET_PLANNED;
    varve_catalog_begin(catalog);
    bool ok = varve_catalog_set_update(catalog, &p->set, err);
    for (uint32_t disc = 0; ok && disc < p->plan.discs; disc++)
        ok = insert_pieces(p, disc, err);
    p->committed = varve_catalog_end(catalog, ok, err);
    return p->committed && varve_catalog_sync(catalog, err);
}

/* The set must fit the blanks at hand before anything is frozen for good. */
static bool
enough_blanks(const struct planning *p, uint32_t data_discs, struct varve_error *err)
{
    if (data_discs + p->m <= p->blanks)
        return true;
    varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                    "a set of %" PRIu32 "+%" PRIu32 " discs needs %" PRIu32
                    " blanks, the libraries have %" PRIu64,
                    data_discs, p->m, data_discs + p->m, p->blanks);
    const char *absent = absent_library(p->engine);
    if (absent != NULL)
        return varve_error_hint(err, "library '%s' is offline: 'varve status' says why", absent);
    return varve_error_hint(err, "add blank discs, then run 'varve library inventory --refresh'");
}

/* A file that no set can hold must not block the line for ever. */
static bool
refuse_too_large(struct planning *p, struct varve_error *err)
{
    struct varve_error ignored = {0};
    VARVE_IGNORE(request_drop(p->engine, p->items[0].content,
                              &ignored)); /* asked again, it is refused again */
    varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                    "'/%s' (%" PRIu64 " bytes) is larger than a whole set", p->items[0].path,
                    p->items[0].size);
    return varve_error_hint(err, "use larger media or more data discs a set");
}

/* The set on paper: slices, manifests, images; the images know its exact size. */
static bool
fit(struct planning *p, struct varve_error *err)
{
    const struct plan_limits limits = {
        .clusters_max = p->clusters_max, .discs_max = p->n, .first_extra = p->extra_cost};
    if (!plan_make(p->items, p->count, &limits, &p->plan, err))
        return false;
    if (p->plan.discs == 0)
        return refuse_too_large(p, err);
    if (!enough_blanks(p, p->plan.discs, err))
        return false;
    p->set = (struct varve_set){.uuid = varve_uuid_new(p->engine->random),
                                .data_discs = p->plan.discs,
                                .parity_discs = p->m,
                                .state = VARVE_SET_ABANDONED, /* until it is whole */
                                .created_ns = varve_clock_realtime(p->engine->clock)};
    if (!varve_catalog_set_insert(p->engine->catalog, &p->set, &p->set.id, err) ||
        !draft_discs(p, err) || !make_images(p, err))
        return false;
    if (p->set.clusters <= p->clusters_max)
        return true;
    return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0,
                           "the layout needs %" PRIu64 " clusters, a disc has %" PRIu64,
                           p->set.clusters, p->clusters_max);
}

static void
thaw_left_out(struct planning *p)
{
    VARVE_CLEANUP_FREE bool *placed = calloc(p->count + 1, sizeof *placed);
    for (size_t i = 0; placed != NULL && i < p->plan.count; i++)
        placed[p->plan.slices[i].item] = true;
    for (size_t i = 0; i < p->count; i++) {
        if (placed == NULL || !placed[i])
            thaw(p, &p->items[i]);
    }
}

static bool
capacity(struct planning *p, struct varve_error *err)
{
    uint64_t disc_clusters;
    if (!blanks_count(p->engine, &p->blanks, err) || !enough_blanks(p, 1, err))
        return false;
    if (!blank_capacity(p->engine, &disc_clusters, err))
        return false;
    p->clusters_max = varve_image_clusters_max(disc_clusters, p->n);
    if (p->clusters_max > 0)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                           "discs of %" PRIu64 " clusters are too small for sets of %" PRIu32
                           "+%" PRIu32,
                           disc_clusters, p->n, p->m);
}

static bool
plan(struct planning *p, bool *ret_made, struct varve_error *err)
{
    *ret_made = false;
    job_text(p->job, "choosing files for a set");
    if (!collect(p, err))
        return false;
    if (p->count == 0)
        return true;
    if (!capacity(p, err))
        return false;
    qsort(p->items, p->count, sizeof *p->items, compare_paths);
    if (!freeze(p, err))
        return false;
    if (p->count == 0)
        return true;
    job_text(p->job, "planning a set of %zu files", p->count);
    if (!collect_extras(p, err) || !fit(p, err) || !save_manifests(p, err) || !commit(p, err))
        return false;
    thaw_left_out(p);
    *ret_made = true;
    return true;
}

bool
set_plan(struct varve_engine *engine, struct job *job, struct varve_set *ret, bool *ret_made,
         struct varve_error *err)
{
    struct planning p = {.engine = engine, .job = job, .patience = 100};
    bool ok = plan(&p, ret_made, err);
    if (ok)
        *ret = p.set;
    for (size_t i = 0; !ok && !p.committed && i < p.frozen; i++)
        thaw(&p, &p.items[i]);
    if (!ok && !p.committed && p.set.id.value != 0)
        set_files_remove(engine, &p.set, false);
    planning_done(&p);
    return ok || varve_error_wrap(err, "plan a set");
}
