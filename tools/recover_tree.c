/* SPDX-License-Identifier: Apache-2.0 */
/* The namespace that all discs given tell together: of every inode the newest record counts. */
#include "recover_internal.h"

#include <inttypes.h>
#include <string.h>

/* No path is deeper; a longer chain of parents is a circle. */
#define DEPTH_MAX 2048u

static bool
add_manifest(struct tree *tree, struct disc_set *set, uint32_t disc,
             struct varve_manifest *manifest, struct varve_error *err)
{
    struct varve_manifest **manifests =
        realloc(tree->manifests, (tree->manifest_count + 1) * sizeof *manifests);
    if (manifests != NULL)
        tree->manifests = manifests;
    struct tree_record *records =
        realloc(tree->records, (tree->record_count + manifest->count + 1) * sizeof *tree->records);
    if (records != NULL)
        tree->records = records;
    if (manifests == NULL || records == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%zu records", manifest->count);
    tree->manifests[tree->manifest_count++] = manifest;
    for (size_t i = 0; i < manifest->count; i++)
        tree->records[tree->record_count++] =
            (struct tree_record){.record = &manifest->records[i], .set = set, .disc = disc};
    return true;
}

static int
compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* By inode, then the newest last: by change time, then by set. */
static int
compare_records(const void *left, const void *right)
{
    const struct tree_record *a = left, *b = right;
    if (a->record->ino != b->record->ino)
        return compare_numbers(a->record->ino, b->record->ino);
    if (a->record->ctime_ns != b->record->ctime_ns)
        return a->record->ctime_ns < b->record->ctime_ns ? -1 : 1;
    const struct varve_disc_identity *set_a = varve_recovery_set(a->set->recovery);
    const struct varve_disc_identity *set_b = varve_recovery_set(b->set->recovery);
    if (set_a->set_number != set_b->set_number)
        return compare_numbers(set_a->set_number, set_b->set_number);
    return compare_numbers(a->disc, b->disc);
}

static bool
make_nodes(struct tree *tree, struct varve_error *err)
{
    if (tree->record_count > 0)
        qsort(tree->records, tree->record_count, sizeof *tree->records, compare_records);
    tree->nodes = calloc(tree->record_count + 1, sizeof *tree->nodes);
    if (tree->nodes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%zu inodes", tree->record_count);
    for (size_t i = 0; i < tree->record_count; i++) {
        const struct varve_record *record = tree->records[i].record;
        struct tree_node *node = tree->node_count > 0 ? &tree->nodes[tree->node_count - 1] : NULL;
        if (node == NULL || node->ino != record->ino) {
            node = &tree->nodes[tree->node_count++];
            *node = (struct tree_node){.ino = record->ino, .records = &tree->records[i]};
        }
        node->count++;
        node->newest = record;
    }
    return true;
}

/* Enough discs are at hand to bring every other one back. */
static bool
is_sufficient(const struct disc_set *set)
{
    const struct varve_disc_identity *identity = varve_recovery_set(set->recovery);
    uint32_t given = 0;
    for (uint32_t i = 0; i < VARVE_SET_DISCS_MAX; i++)
        given += varve_recovery_present(set->recovery, i);
    return given >= identity->data_discs;
}

/* Who gives some discs of a set wants what is on these: others are told of, and are no failure. */
static bool
add_set(struct tree *tree, struct disc_set *set, struct varve_error *err)
{
    const struct varve_disc_identity *identity = varve_recovery_set(set->recovery);
    char left_out[256] = "";
    for (uint32_t i = 0; i < identity->data_discs; i++) {
        VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
        char text[DISC_TEXT_BYTES];
        struct varve_error one = {0};
        if (varve_recovery_manifest(set->recovery, i, &manifest, &one)) {
            if (!add_manifest(tree, set, i, manifest, err))
                return false;
            manifest = NULL;
        } else if (varve_recovery_present(set->recovery, i) || is_sufficient(set)) {
            tell("%s: its files are not known: %s", disc_text(set, i, text), one.text);
            tree->incomplete = true;
        } else {
            size_t used = strlen(left_out);
            (void)snprintf(left_out + used, sizeof left_out - used, " %" PRIu32, i);
        }
    }
    if (left_out[0] != 0)
        tell("set %" PRIu64 ": data discs%s are not here, and too few others to bring them back; "
             "what is on them is left out",
             identity->set_number, left_out);
    return true;
}

bool
tree_make(struct discs *discs, struct tree *ret, struct varve_error *err)
{
    *ret = (struct tree){0};
    for (unsigned i = 0; i < discs->set_count; i++) {
        if (!add_set(ret, &discs->sets[i], err))
            return false;
    }
    return make_nodes(ret, err);
}

void
tree_done(struct tree *tree)
{
    for (size_t i = 0; i < tree->manifest_count; i++)
        varve_manifest_free(tree->manifests[i]);
    free(tree->manifests);
    free(tree->records);
    free(tree->nodes);
}

static int
compare_node(const void *key, const void *element)
{
    const struct tree_node *node = element;
    return compare_numbers(*(const uint64_t *)key, node->ino);
}

const struct tree_node *
tree_find(const struct tree *tree, uint64_t ino)
{
    return bsearch(&ino, tree->nodes, tree->node_count, sizeof *tree->nodes, compare_node);
}

/* Names from the top down to name `name` of the node, into `parts` (room for DEPTH_MAX). `*ret_ino`
 * is 0, or the inode whose parent is not known. */
static size_t
collect_parts(const struct tree *tree, const struct tree_node *node, size_t name,
              const char **parts, uint64_t *ret_ino)
{
    size_t count = 0;
    *ret_ino = 0;
    while (node->ino != VARVE_ROOT_INO) {
        const struct varve_record *record = node->newest;
        if (record->type == VARVE_RECORD_DELETED || name >= record->name_count ||
            count == DEPTH_MAX) {
            *ret_ino = node->ino;
            break;
        }
        parts[count++] = record->names[name].name;
        uint64_t parent = record->names[name].parent;
        if (parent == VARVE_ROOT_INO)
            break;
        node = tree_find(tree, parent);
        name = 0;
        if (node == NULL) {
            *ret_ino = parent;
            break;
        }
    }
    return count;
}

void
tree_path(const struct tree *tree, const struct tree_node *node, size_t name,
          struct varve_buffer *ret)
{
    VARVE_CLEANUP_FREE const char **parts = calloc(DEPTH_MAX, sizeof *parts);
    if (parts == NULL) {
        ret->failed = true;
        return;
    }
    uint64_t lost;
    size_t count = collect_parts(tree, node, name, parts, &lost);
    if (lost != 0)
        varve_buffer_printf(ret, "lost+found/%" PRIu64 "%s", lost, count > 0 ? "/" : "");
    while (count-- > 0)
        varve_buffer_printf(ret, "%s%s", parts[count], count > 0 ? "/" : "");
}

bool
tree_pieces(const struct tree_node *node, size_t **ret, size_t *ret_count, struct varve_error *err)
{
    const struct varve_record *newest = node->newest;
    VARVE_CLEANUP_FREE size_t *pieces = calloc(node->count + 1, sizeof *pieces);
    size_t count = 0;
    uint64_t at = 0;
    if (pieces == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%zu pieces", node->count);
    while (at < newest->size) {
        size_t i = 0;
        while (i < node->count) {
            const struct varve_record *record = node->records[i].record;
            if (record->type == VARVE_RECORD_FILE && record->content == newest->content &&
                record->version == newest->version && record->piece_bytes > 0 &&
                record->piece_offset == at)
                break;
            i++;
        }
        if (i == node->count || count == node->count) {
            varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                            "its bytes from %" PRIu64 " on are on a disc that was not given", at);
            return varve_error_hint(err,
                                    "look for version %" PRIu32 " of inode %" PRIu64
                                    " on the other discs of the archive",
                                    newest->version, node->ino);
        }
        pieces[count++] = i;
        at += node->records[i].record->piece_bytes;
    }
    if (at != newest->size)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "its pieces have %" PRIu64 " bytes, the file %" PRIu64, at,
                               newest->size);
    *ret = VARVE_TAKE(pieces);
    *ret_count = count;
    return true;
}
