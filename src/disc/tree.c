/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <inttypes.h>
#include <string.h>

#include "record.h"
#include "udf.h"

enum rooted { UNKNOWN, VISITING, ROOTED, ADRIFT };

/* Directory records by inode. */
struct folder {
    uint64_t ino;
    size_t record;
    uint32_t node;
    enum rooted rooted;
};
struct folders {
    struct folder *list;
    size_t count;
};

static int
compare_folders(const void *a, const void *b)
{
    const struct folder *x = a, *y = b;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static struct folder *
find_folder(const struct folders *folders, uint64_t ino)
{
    struct folder key = {.ino = ino};
    if (folders->count == 0)
        return NULL;
    return bsearch(&key, folders->list, folders->count, sizeof key, compare_folders);
}

/* The folder above; NULL at the end of a chain that does not reach the root. */
static struct folder *
step_up(const struct folders *folders, const struct varve_manifest *manifest,
        const struct folder *folder)
{
    const struct varve_record *record = &manifest->records[folder->record];
    return record->name_count == 0 ? NULL : find_folder(folders, record->names[0].parent);
}

/* Walks up until the answer is known, then gives it to everybody met on the way. A circle meets a
 * folder that is being visited: adrift like one whose parent has no record. */
static void
settle_folder(const struct folders *folders, const struct varve_manifest *manifest,
              struct folder *start)
{
    enum rooted answer = ADRIFT;
    for (struct folder *at = start; at != NULL; at = step_up(folders, manifest, at)) {
        if (at->rooted != UNKNOWN) {
            answer = at->rooted == ROOTED ? ROOTED : ADRIFT;
            break;
        }
        at->rooted = VISITING;
    }
    for (struct folder *at = start; at != NULL && at->rooted == VISITING;
         at = step_up(folders, manifest, at))
        at->rooted = answer;
}

static bool
collect_folders(const struct varve_manifest *manifest, struct folders *ret, struct varve_error *err)
{
    size_t count = 1; /* the root is there with or without a record */
    for (size_t i = 0; i < manifest->count; i++)
        count += manifest->records[i].type == VARVE_RECORD_DIRECTORY;
    ret->list = calloc(count, sizeof ret->list[0]);
    if (ret->list == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%zu directories", count);
    bool root = false;
    for (size_t i = 0; i < manifest->count; i++) {
        const struct varve_record *record = &manifest->records[i];
        if (record->type != VARVE_RECORD_DIRECTORY)
            continue;
        root = root || record->ino == VARVE_ROOT_INO;
        ret->list[ret->count++] = (struct folder){.ino = record->ino, .record = i};
    }
    if (!root)
        ret->list[ret->count++] = (struct folder){.ino = VARVE_ROOT_INO, .record = VARVE_NO_RECORD};
    qsort(ret->list, ret->count, sizeof ret->list[0], compare_folders);
    for (size_t i = 1; i < ret->count; i++) {
        if (ret->list[i].ino == ret->list[i - 1].ino)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "inode %" PRIu64 ": two directory records", ret->list[i].ino);
    }
    find_folder(ret, VARVE_ROOT_INO)->rooted = ROOTED;
    for (size_t i = 0; i < ret->count; i++)
        settle_folder(ret, manifest, &ret->list[i]);
    return true;
}

static bool
add_node(struct varve_tree *tree, const struct varve_tree_node *node, struct varve_error *err)
{
    if (tree->node_count == tree->node_capacity) {
        uint32_t capacity = tree->node_capacity == 0 ? 64 : tree->node_capacity * 2;
        struct varve_tree_node *nodes =
            tree->node_count > VARVE_TREE_LINKS_MAX
                ? NULL
                : reallocarray(tree->nodes, capacity, sizeof tree->nodes[0]);
        if (nodes == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu32 " inodes", capacity);
        tree->nodes = nodes;
        tree->node_capacity = capacity;
    }
    struct varve_tree_node *added = &tree->nodes[tree->node_count++];
    *added = *node;
    added->first_link = tree->link_count;
    return true;
}

/* A name of the node that was added last. */
static bool
add_link(struct varve_tree *tree, uint32_t parent, const char *name, struct varve_error *err)
{
    if (tree->link_count == VARVE_TREE_LINKS_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u names on one disc",
                               VARVE_TREE_LINKS_MAX);
    if (tree->link_count == tree->link_capacity) {
        uint32_t capacity = tree->link_capacity == 0 ? 64 : tree->link_capacity * 2;
        struct varve_tree_link *links = reallocarray(tree->links, capacity, sizeof tree->links[0]);
        if (links == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu32 " names", capacity);
        tree->links = links;
        tree->link_capacity = capacity;
    }
    uint32_t node = tree->node_count - 1;
    tree->links[tree->link_count++] =
        (struct varve_tree_link){.name = name, .node = node, .parent = parent};
    tree->nodes[node].link_count++;
    return true;
}

static bool
add_own(struct varve_tree *tree, enum varve_own own, const char *name, struct varve_error *err)
{
    return add_node(tree, &(struct varve_tree_node){.record = VARVE_NO_RECORD, .own = (uint8_t)own},
                    err) &&
           add_link(tree, VARVE_TREE_VARVE, name, err);
}

/* Root and /varve, then every rooted folder in the order of the manifest. */
static bool
add_folders(struct varve_tree *tree, const struct folders *folders, struct varve_error *err)
{
    size_t root = folders == NULL ? VARVE_NO_RECORD : find_folder(folders, VARVE_ROOT_INO)->record;
    if (!add_node(tree, &(struct varve_tree_node){.record = root}, err) ||
        !add_node(tree, &(struct varve_tree_node){.record = VARVE_NO_RECORD}, err) ||
        !add_link(tree, VARVE_TREE_ROOT, "varve", err))
        return false;
    for (size_t i = 0; tree->manifest != NULL && i < tree->manifest->count; i++) {
        const struct varve_record *record = &tree->manifest->records[i];
        struct folder *folder =
            record->type == VARVE_RECORD_DIRECTORY && record->ino != VARVE_ROOT_INO
                ? find_folder(folders, record->ino)
                : NULL;
        if (folder == NULL || folder->rooted != ROOTED)
            continue;
        folder->node = tree->node_count;
        if (!add_node(tree, &(struct varve_tree_node){.record = i}, err))
            return false;
        /* The parent's node may not exist yet: link_folders() sets it. */
        if (!add_link(tree, VARVE_TREE_ROOT, record->names[0].name, err))
            return false;
    }
    tree->directory_count = tree->node_count;
    return true;
}

static void
link_folders(struct varve_tree *tree, const struct folders *folders)
{
    for (uint32_t i = VARVE_TREE_VARVE + 1; i < tree->directory_count; i++) {
        const struct varve_record *record = &tree->manifest->records[tree->nodes[i].record];
        tree->links[tree->nodes[i].first_link].parent =
            find_folder(folders, record->names[0].parent)->node;
    }
}

static bool
add_file(struct varve_tree *tree, const struct folders *folders, size_t index,
         struct varve_error *err)
{
    const struct varve_record *record = &tree->manifest->records[index];
    if (!add_node(tree, &(struct varve_tree_node){.record = index, .bytes = record->piece_bytes},
                  err))
        return false;
    for (size_t i = 0; i < record->name_count; i++) {
        const struct folder *folder = find_folder(folders, record->names[i].parent);
        bool room = tree->nodes[tree->node_count - 1].link_count < UINT16_MAX;
        if (folder == NULL || folder->rooted != ROOTED || !room)
            continue;
        if (!add_link(tree, folder->node, record->names[i].name, err))
            return false;
    }
    if (tree->nodes[tree->node_count - 1].link_count > 0)
        return true;
    if (record->piece_bytes > 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "inode %" PRIu64 ": no record for a directory that leads to it",
                               record->ino);
    tree->node_count--; /* an empty file without a place needs none: its record says everything */
    return true;
}

static bool
add_user_files(struct varve_tree *tree, const struct folders *folders, struct varve_error *err)
{
    for (size_t i = 0; i < tree->manifest->count; i++) {
        const struct varve_record *record = &tree->manifest->records[i];
        if (record->type != VARVE_RECORD_FILE || (record->piece_bytes == 0 && record->size > 0))
            continue;
        if (varve_udf_extents(record->piece_bytes) > VARVE_UDF_FILE_EXTENTS_MAX)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "inode %" PRIu64 ": a piece larger than any disc", record->ino);
        if (!add_file(tree, folders, i, err))
            return false;
    }
    return true;
}

static bool
add_all(struct varve_tree *tree, const struct folders *folders, struct varve_error *err)
{
    bool data = tree->manifest != NULL;
    if (!add_folders(tree, folders, err))
        return false;
    if (data)
        link_folders(tree, folders);
    return add_own(tree, VARVE_OWN_README, "README.txt", err) &&
           add_own(tree, VARVE_OWN_FORMAT, "FORMAT.txt", err) &&
           add_own(tree, VARVE_OWN_DISC_JSON, "disc.json", err) &&
           (data ? add_user_files(tree, folders, err)
                 : add_own(tree, VARVE_OWN_PARITY, "parity.bin", err)) &&
           (!data || add_own(tree, VARVE_OWN_INODES, "inodes.jsonl", err)) &&
           add_own(tree, VARVE_OWN_SUMS, "SHA256SUMS", err) &&
           add_own(tree, VARVE_OWN_CRCS, "crc32c.bin", err);
}

/* Counting sort of the links by parent; the order of the links stays within each. */
static bool
sort_entries(struct varve_tree *tree, struct varve_error *err)
{
    tree->order = calloc(tree->link_count, sizeof tree->order[0]);
    if (tree->order == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu32 " names", tree->link_count);
    for (uint32_t i = 0; i < tree->link_count; i++) {
        struct varve_tree_node *parent = &tree->nodes[tree->links[i].parent];
        parent->entries++;
        if (tree->links[i].node < tree->directory_count && parent->subdirectories < UINT16_MAX - 1)
            parent->subdirectories++;
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < tree->directory_count; i++) {
        tree->nodes[i].first_entry = at;
        at += tree->nodes[i].entries;
        tree->nodes[i].entries = 0;
    }
    for (uint32_t i = 0; i < tree->link_count; i++) {
        struct varve_tree_node *parent = &tree->nodes[tree->links[i].parent];
        tree->order[parent->first_entry + parent->entries++] = i;
    }
    return true;
}

static bool
check_records(const struct varve_manifest *manifest, struct varve_error *err)
{
    for (size_t i = 0; i < manifest->count; i++) {
        if (!varve_record_check(&manifest->records[i], VARVE_ERROR_INVALID, err))
            return varve_error_wrap(err, "inode %" PRIu64, manifest->records[i].ino);
    }
    return true;
}

static bool
fill_tree(struct varve_tree *tree, struct folders *folders, struct varve_error *err)
{
    const struct varve_manifest *manifest = tree->manifest;
    if (manifest != NULL &&
        (!check_records(manifest, err) || !collect_folders(manifest, folders, err)))
        return false;
    return add_all(tree, manifest == NULL ? NULL : folders, err) && sort_entries(tree, err) &&
           varve_tree_choose_names(tree, err);
}

bool
varve_tree_new(const struct varve_manifest *manifest, struct varve_tree **ret,
               struct varve_error *err)
{
    VARVE_CLEANUP(varve_tree_free) struct varve_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "directory tree");
    tree->manifest = manifest;
    struct folders folders = {0};
    bool done = fill_tree(tree, &folders, err);
    free(folders.list);
    if (!done)
        return false;
    *ret = VARVE_TAKE(tree);
    return true;
}

void
varve_tree_free(struct varve_tree *tree)
{
    if (tree == NULL)
        return;
    for (size_t i = 0; i < tree->owned_count; i++)
        free(tree->owned[i]);
    free(tree->owned);
    free(tree->nodes);
    free(tree->links);
    free(tree->order);
    free(tree);
}

void
varve_tree_path(const struct varve_tree *tree, uint32_t link, struct varve_buffer *ret)
{
    const struct varve_tree_link *at = &tree->links[link];
    size_t bytes = strlen(at->name);
    while (at->parent != VARVE_TREE_ROOT) {
        at = &tree->links[tree->nodes[at->parent].first_link];
        bytes += strlen(at->name) + 1;
    }
    varve_buffer_zeros(ret, bytes);
    if (ret->failed)
        return;
    /* From the end: each step up knows only its parent. */
    size_t end = ret->size;
    for (at = &tree->links[link];; at = &tree->links[tree->nodes[at->parent].first_link]) {
        size_t size = strlen(at->name);
        end -= size;
        memcpy(&ret->data[end], at->name, size);
        if (at->parent == VARVE_TREE_ROOT)
            return;
        ret->data[--end] = '/';
    }
}
