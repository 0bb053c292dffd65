/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
lossy_world_init(struct lossy_world *world)
{
    *world = (struct lossy_world){.page_max = (UINT64_C(3) << 30) / LOSSY_PAGE_BYTES};
}

/* --- nodes --- */

struct lossy_node *
lossy_node_new(struct lossy_world *world, struct lossy_tree *tree, mode_t mode)
{
    struct lossy_node *node = calloc(1, sizeof *node);
    if (node == NULL)
        return NULL;
    if (tree == NULL)
        tree = calloc(1, sizeof *tree);
    if (tree == NULL) {
        free(node);
        return NULL;
    }
    node->id = ++world->last_id;
    node->refs = 1;
    node->tree = tree;
    tree->nodes++;
    node->now.mode = node->disk.mode = mode;
    return node;
}

void
lossy_node_ref(struct lossy_node *node)
{
    if (node != NULL)
        node->refs++;
}

static void
unlink_entry(struct lossy_node *dir, struct lossy_entry *entry)
{
    struct lossy_entry **link = &dir->entries;
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    free(entry->name);
    free(entry);
}

static void
drop_if_unused(struct lossy_node *dir, struct lossy_entry *entry)
{
    if (entry->now == NULL && entry->disk == NULL && entry->pending == 0)
        unlink_entry(dir, entry);
}

static void
free_node(struct lossy_world *world, struct lossy_node *node)
{
    while (node->entries != NULL) { /* pending operations would have held the node */
        lossy_node_put(world, node->entries->now, 1);
        lossy_node_put(world, node->entries->disk, 1);
        unlink_entry(node, node->entries);
    }
    lossy_state_free(world, &node->now);
    lossy_state_free(world, &node->disk);
    free(node->target);
    if (--node->tree->nodes == 0)
        free(node->tree);
    free(node);
}

void
lossy_node_put(struct lossy_world *world, struct lossy_node *node, unsigned refs)
{
    if (node == NULL || refs == 0)
        return;
    assert(node->refs >= refs);
    node->refs -= refs;
    if (node->refs == 0)
        free_node(world, node);
}

struct lossy_node *
lossy_find(const struct lossy_node *dir, const char *name)
{
    for (const struct lossy_entry *entry = dir->entries; entry != NULL; entry = entry->next) {
        if (entry->now != NULL && strcmp(entry->name, name) == 0)
            return entry->now;
    }
    return NULL;
}

bool
lossy_is_empty(const struct lossy_node *dir)
{
    const struct lossy_entry *entry = dir->entries;
    while (entry != NULL && entry->now == NULL)
        entry = entry->next;
    return entry == NULL;
}

struct lossy_entry *
lossy_entry(struct lossy_node *dir, const char *name)
{
    struct lossy_entry *entry = dir->entries;
    while (entry != NULL && strcmp(entry->name, name) != 0)
        entry = entry->next;
    if (entry != NULL)
        return entry;
    entry = calloc(1, sizeof *entry);
    char *copy = strdup(name);
    if (entry == NULL || copy == NULL) {
        free(entry);
        free(copy);
        return NULL;
    }
    entry->name = copy;
    entry->next = dir->entries;
    dir->entries = entry;
    return entry;
}

/* --- names --- */

static void
set_now(struct lossy_world *world, struct lossy_entry *entry, struct lossy_node *node)
{
    struct lossy_node *former = entry->now;
    entry->now = node;
    if (node != NULL) {
        node->refs++;
        node->links++;
    }
    if (former != NULL)
        former->links--;
    lossy_node_put(world, former, 1);
}

static void
set_disk(struct lossy_world *world, struct lossy_entry *entry, struct lossy_node *node)
{
    struct lossy_node *former = entry->disk;
    entry->disk = node;
    lossy_node_ref(node);
    lossy_node_put(world, former, 1);
}

bool
lossy_change(struct lossy_world *world, const struct lossy_set *sets, unsigned count)
{
    struct lossy_op *op = calloc(1, sizeof *op);
    assert(count >= 1 && count <= 2);
    for (unsigned i = 0; op != NULL && i < count; i++) {
        op->sets[i].entry = lossy_entry(sets[i].dir, sets[i].name);
        if (op->sets[i].entry == NULL) {
            free(op);
            op = NULL;
        }
    }
    if (op == NULL)
        return false;
    op->count = count;
    for (unsigned i = 0; i < count; i++) {
        op->sets[i].dir = sets[i].dir;
        op->sets[i].node = sets[i].node;
        op->sets[i].entry->pending++;
        lossy_node_ref(sets[i].dir);
        lossy_node_ref(sets[i].node);
    }
    for (unsigned i = 0; i < count; i++)
        set_now(world, op->sets[i].entry, sets[i].node);
    op->previous = world->last;
    *(world->last != NULL ? &world->last->next : &world->first) = op;
    world->last = op;
    return true;
}

bool
lossy_place(struct lossy_world *world, struct lossy_node *dir, const char *name,
            struct lossy_node *node)
{
    struct lossy_entry *entry = lossy_entry(dir, name);
    if (entry == NULL)
        return false;
    set_now(world, entry, node);
    set_disk(world, entry, node);
    drop_if_unused(dir, entry);
    return true;
}

static void
apply_op(struct lossy_world *world, struct lossy_op *op)
{
    for (unsigned i = 0; i < op->count; i++) {
        op->sets[i].entry->pending--;
        set_disk(world, op->sets[i].entry, op->sets[i].node);
        lossy_node_put(world, op->sets[i].node, 1);
        drop_if_unused(op->sets[i].dir, op->sets[i].entry);
        lossy_node_put(world, op->sets[i].dir, 1);
    }
    free(op);
}

static void
unmark(struct lossy_world *world)
{
    for (struct lossy_op *op = world->first; op != NULL; op = op->next) {
        for (unsigned i = 0; i < op->count; i++)
            op->sets[i].entry->marked = false;
    }
}

/* Older operations on the same names go first. */
static void
choose_older(struct lossy_world *world)
{
    unmark(world);
    for (struct lossy_op *op = world->last; op != NULL; op = op->previous) {
        for (unsigned i = 0; i < op->count; i++)
            op->chosen = op->chosen || op->sets[i].entry->marked;
        for (unsigned i = 0; op->chosen && i < op->count; i++)
            op->sets[i].entry->marked = true;
    }
}

static void
apply_chosen(struct lossy_world *world)
{
    choose_older(world);
    for (struct lossy_op *op = world->first, *next; op != NULL; op = next) {
        next = op->next;
        if (!op->chosen)
            continue;
        *(op->previous != NULL ? &op->previous->next : &world->first) = next;
        *(next != NULL ? &next->previous : &world->last) = op->previous;
        apply_op(world, op);
    }
}

static bool
choose_ops(struct lossy_world *world, const struct lossy_node *dir, const struct lossy_tree *tree)
{
    bool any = false;
    for (struct lossy_op *op = world->first; op != NULL; op = op->next) {
        op->chosen = false;
        for (unsigned i = 0; i < op->count; i++)
            op->chosen = op->chosen ||
                         (dir != NULL ? op->sets[i].dir == dir : op->sets[i].dir->tree == tree);
        any = any || op->chosen;
    }
    return any;
}

/* --- syncs --- */

static void
sync_state(struct lossy_world *world, struct lossy_node *node, bool bytes, bool attributes)
{
    bool ok = true;
    if (bytes) {
        ok = lossy_state_bytes(world, &node->disk, &node->now);
        node->cut = node->now.size;
    }
    if (attributes)
        ok = ok && lossy_state_attributes(&node->disk, &node->now);
    assert(ok); /* out of memory: no result is better than a wrong one */
}

void
lossy_sync_node(struct lossy_world *world, struct lossy_node *node, bool data_only)
{
    if (world->lie)
        return;
    sync_state(world, node, !S_ISDIR(node->now.mode), !data_only || world->journal);
    bool names = world->journal ? choose_ops(world, NULL, node->tree)
                                : S_ISDIR(node->now.mode) && choose_ops(world, node, NULL);
    if (names)
        apply_chosen(world);
}

static void
sync_below(struct lossy_world *world, struct lossy_node *node)
{
    sync_state(world, node, !S_ISDIR(node->now.mode), true);
    for (struct lossy_entry *entry = node->entries; entry != NULL; entry = entry->next) {
        if (entry->now != NULL)
            sync_below(world, entry->now);
    }
}

void
lossy_sync_tree(struct lossy_world *world, struct lossy_node *root)
{
    if (world->lie)
        return;
    sync_below(world, root);
    if (choose_ops(world, NULL, root->tree))
        apply_chosen(world);
}

static void
empty_below(struct lossy_world *world, struct lossy_node *node)
{
    struct lossy_entry *entry = node->entries;
    lossy_state_clear(world, &node->now);
    lossy_state_clear(world, &node->disk);
    while (entry != NULL) {
        struct lossy_entry *next = entry->next;
        if (entry->now != NULL) {
            empty_below(world, entry->now);
            set_now(world, entry, NULL);
        }
        set_disk(world, entry, NULL);
        drop_if_unused(node, entry);
        entry = next;
    }
}

void
lossy_tree_drop(struct lossy_world *world, struct lossy_node *root)
{
    lossy_node_ref(root);
    root->tree->dead = true;
    if (choose_ops(world, NULL, root->tree))
        apply_chosen(world); /* so that no operation refers to it any more */
    empty_below(world, root);
    lossy_node_put(world, root, 1);
}
