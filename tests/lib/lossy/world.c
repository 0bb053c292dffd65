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

/* --- pages and states --- */

struct lossy_page *
lossy_page_new(struct lossy_world *world)
{
    struct lossy_page *page = world->page_count < world->page_max ? calloc(1, sizeof *page) : NULL;
    if (page == NULL)
        return NULL;
    page->refs = 1;
    world->page_count++;
    return page;
}

void
lossy_page_put(struct lossy_world *world, struct lossy_page *page)
{
    if (page == NULL || --page->refs > 0)
        return;
    world->page_count--;
    free(page);
}

static void
free_xattrs(struct lossy_xattr *xattr)
{
    while (xattr != NULL) {
        struct lossy_xattr *next = xattr->next;
        free(xattr->name);
        free(xattr);
        xattr = next;
    }
}

static struct lossy_xattr *
new_xattr(const char *name, const void *value, size_t size)
{
    struct lossy_xattr *xattr = malloc(sizeof *xattr + size);
    if (xattr == NULL)
        return NULL;
    xattr->name = strdup(name);
    xattr->next = NULL;
    xattr->size = size;
    memcpy(xattr->value, value, size);
    if (xattr->name != NULL)
        return xattr;
    free(xattr);
    return NULL;
}

bool
lossy_state_attributes(struct lossy_state *to, const struct lossy_state *from)
{
    to->mode = from->mode;
    to->uid = from->uid;
    to->gid = from->gid;
    to->atime = from->atime;
    to->mtime = from->mtime;
    to->ctime = from->ctime;
    free_xattrs(to->xattrs);
    to->xattrs = NULL;
    struct lossy_xattr **link = &to->xattrs;
    for (const struct lossy_xattr *x = from->xattrs; x != NULL; x = x->next) {
        *link = new_xattr(x->name, x->value, x->size);
        if (*link == NULL)
            return false;
        link = &(*link)->next;
    }
    return true;
}

static void
free_bytes(struct lossy_world *world, struct lossy_state *state)
{
    for (size_t i = 0; i < state->page_count; i++)
        lossy_page_put(world, state->pages[i]);
    free(state->pages);
    state->pages = NULL;
    state->page_count = 0;
    state->size = 0;
}

bool
lossy_state_bytes(struct lossy_world *world, struct lossy_state *to, const struct lossy_state *from)
{
    free_bytes(world, to);
    to->pages = calloc(from->page_count + 1, sizeof(struct lossy_page *));
    if (to->pages == NULL)
        return false;
    for (size_t i = 0; i < from->page_count; i++) {
        to->pages[i] = from->pages[i];
        if (to->pages[i] != NULL)
            to->pages[i]->refs++;
    }
    to->page_count = from->page_count;
    to->size = from->size;
    return true;
}

/* Makes the array of pages long enough; the size stays. */
static bool
need_pages(struct lossy_state *state, uint64_t size)
{
    size_t wanted = (size_t)((size + LOSSY_PAGE_BYTES - 1) / LOSSY_PAGE_BYTES);
    if (wanted <= state->page_count)
        return true;
    size_t count = wanted < 2 * state->page_count ? 2 * state->page_count : wanted;
    struct lossy_page **grown = realloc(state->pages, (count + 1) * sizeof(struct lossy_page *));
    if (grown == NULL)
        return false;
    memset(grown + state->page_count, 0, (count - state->page_count) * sizeof(struct lossy_page *));
    state->pages = grown;
    state->page_count = count;
    return true;
}

/* The page of its own of this state, to be written. */
static struct lossy_page *
own_page(struct lossy_world *world, struct lossy_state *state, size_t index)
{
    struct lossy_page *shared = state->pages[index];
    if (shared != NULL && shared->refs == 1)
        return shared;
    struct lossy_page *own = lossy_page_new(world);
    if (own == NULL || shared == NULL)
        return state->pages[index] = own != NULL ? own : shared;
    memcpy(own->bytes, shared->bytes, LOSSY_PAGE_BYTES);
    shared->refs--;
    return state->pages[index] = own;
}

static bool
write_state(struct lossy_world *world, struct lossy_state *state, const uint8_t *bytes, size_t size,
            uint64_t offset)
{
    if (offset + size > LOSSY_FILE_BYTES_MAX || !need_pages(state, offset + size))
        return false;
    while (size > 0) {
        size_t index = (size_t)(offset / LOSSY_PAGE_BYTES);
        size_t start = (size_t)(offset % LOSSY_PAGE_BYTES);
        size_t part = LOSSY_PAGE_BYTES - start < size ? LOSSY_PAGE_BYTES - start : size;
        struct lossy_page *page = own_page(world, state, index);
        if (page == NULL || page->refs > 1)
            return false;
        if (bytes != NULL)
            memcpy(page->bytes + start, bytes, part);
        else
            memset(page->bytes + start, 0, part);
        bytes = bytes != NULL ? bytes + part : NULL;
        offset += part;
        size -= part;
    }
    return true;
}

bool
lossy_state_resize(struct lossy_world *world, struct lossy_state *state, uint64_t size)
{
    size_t keep = (size_t)((size + LOSSY_PAGE_BYTES - 1) / LOSSY_PAGE_BYTES);
    for (size_t i = keep; i < state->page_count; i++) {
        lossy_page_put(world, state->pages[i]);
        state->pages[i] = NULL;
    }
    size_t rest = (size_t)(size % LOSSY_PAGE_BYTES);
    if (rest != 0 && size < state->size && keep <= state->page_count &&
        state->pages[keep - 1] != NULL &&
        !write_state(world, state, NULL, LOSSY_PAGE_BYTES - rest, size))
        return false;
    state->size = size;
    return need_pages(state, size);
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
    free_bytes(world, &node->now);
    free_bytes(world, &node->disk);
    free_xattrs(node->now.xattrs);
    free_xattrs(node->disk.xattrs);
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

/* --- bytes --- */

size_t
lossy_read(const struct lossy_node *node, void *bytes, size_t size, uint64_t offset)
{
    const struct lossy_state *state = &node->now;
    if (offset >= state->size)
        return 0;
    if (size > state->size - offset)
        size = (size_t)(state->size - offset);
    for (size_t done = 0; done < size;) {
        size_t index = (size_t)((offset + done) / LOSSY_PAGE_BYTES);
        size_t start = (size_t)((offset + done) % LOSSY_PAGE_BYTES);
        size_t part =
            LOSSY_PAGE_BYTES - start < size - done ? LOSSY_PAGE_BYTES - start : size - done;
        const struct lossy_page *page = index < state->page_count ? state->pages[index] : NULL;
        if (page != NULL)
            memcpy((uint8_t *)bytes + done, page->bytes + start, part);
        else
            memset((uint8_t *)bytes + done, 0, part);
        done += part;
    }
    return size;
}

bool
lossy_write(struct lossy_world *world, struct lossy_node *node, const void *bytes, size_t size,
            uint64_t offset)
{
    if (!write_state(world, &node->now, bytes, size, offset))
        return false;
    if (offset + size > node->now.size)
        node->now.size = offset + size;
    return true;
}

bool
lossy_truncate(struct lossy_world *world, struct lossy_node *node, uint64_t size)
{
    if (size > LOSSY_FILE_BYTES_MAX || !lossy_state_resize(world, &node->now, size))
        return false;
    if (size < node->cut)
        node->cut = size;
    return true;
}

bool
lossy_zero(struct lossy_world *world, struct lossy_node *node, uint64_t offset, uint64_t size)
{
    struct lossy_state *state = &node->now;
    uint64_t end = offset + size < state->size ? offset + size : state->size;
    while (offset < end) {
        size_t index = (size_t)(offset / LOSSY_PAGE_BYTES);
        uint64_t next = (uint64_t)(index + 1) * LOSSY_PAGE_BYTES;
        uint64_t part = (next < end ? next : end) - offset;
        bool there = index < state->page_count && state->pages[index] != NULL;
        if (there && part == LOSSY_PAGE_BYTES) {
            lossy_page_put(world, state->pages[index]);
            state->pages[index] = NULL;
        } else if (there && !write_state(world, state, NULL, (size_t)part, offset)) {
            return false;
        }
        offset += part;
    }
    return true;
}

uint64_t
lossy_seek(const struct lossy_node *node, uint64_t offset, bool hole)
{
    const struct lossy_state *state = &node->now;
    while (offset < state->size) {
        size_t index = (size_t)(offset / LOSSY_PAGE_BYTES);
        bool is_hole = index >= state->page_count || state->pages[index] == NULL;
        if (is_hole == hole)
            return offset;
        offset = (uint64_t)(index + 1) * LOSSY_PAGE_BYTES;
    }
    return state->size;
}

const struct lossy_xattr *
lossy_xattr_find(const struct lossy_node *node, const char *name)
{
    const struct lossy_xattr *xattr = node->now.xattrs;
    while (xattr != NULL && strcmp(xattr->name, name) != 0)
        xattr = xattr->next;
    return xattr;
}

bool
lossy_xattr_set(struct lossy_node *node, const char *name, const void *value, size_t size)
{
    struct lossy_xattr *fresh = value != NULL ? new_xattr(name, value, size) : NULL;
    if (value != NULL && fresh == NULL)
        return false;
    struct lossy_xattr **link = &node->now.xattrs;
    while (*link != NULL && strcmp((*link)->name, name) != 0)
        link = &(*link)->next;
    struct lossy_xattr *former = *link;
    if (former != NULL) {
        *link = former->next;
        former->next = NULL;
        free_xattrs(former);
    }
    if (fresh != NULL) {
        fresh->next = *link;
        *link = fresh;
    }
    return true;
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
    free_bytes(world, &node->now);
    free_bytes(world, &node->disk);
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
