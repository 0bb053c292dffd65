/* SPDX-License-Identifier: Apache-2.0 */
/* What a power cut could leave. */
#include "world.h"

#include <assert.h>
#include <string.h>

struct crash {
    struct lossy_world *world;
    struct lossy_tree *from, *to;
    enum lossy_loss loss;
    struct varve_random *random;
};

static bool
one_in(struct crash *crash, uint64_t count)
{
    return varve_random_below(crash->random, count) == 0;
}

/* --- names --- */

static bool
is_of(const struct crash *crash, const struct lossy_op *op)
{
    return op->sets[0].dir->tree == crash->from;
}

/* The first operations of all, as a journal would have it. */
static void
choose_prefix(struct crash *crash, uint64_t count)
{
    for (struct lossy_op *op = crash->world->first; op != NULL; op = op->next) {
        op->chosen = count > 0 && is_of(crash, op);
        count -= op->chosen;
    }
}

static uint64_t
hash(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* The first ones of each directory: how many is drawn from the directory's number. Of a rename
 * between two directories either side decides, but no operation goes before an older one on the
 * same name. */
static void
choose_by_directory(struct crash *crash, uint64_t count)
{
    uint64_t salt = varve_random_below(crash->random, UINT64_MAX);
    uint64_t position = 0;
    for (struct lossy_op *op = crash->world->first; op != NULL; op = op->next) {
        for (unsigned i = 0; i < op->count; i++)
            op->sets[i].entry->marked = false;
    }
    for (struct lossy_op *op = crash->world->first; op != NULL; op = op->next) {
        bool held = !is_of(crash, op);
        op->chosen = false;
        for (unsigned i = 0; i < op->count; i++) {
            op->chosen = op->chosen || position < hash(op->sets[i].dir->id ^ salt) % (count + 1);
            held = held || op->sets[i].entry->marked;
        }
        op->chosen = op->chosen && !held;
        for (unsigned i = 0; !op->chosen && i < op->count; i++)
            op->sets[i].entry->marked = true;
        position += is_of(crash, op);
    }
}

static void
choose_names(struct crash *crash)
{
    uint64_t count = 0;
    for (const struct lossy_op *op = crash->world->first; op != NULL; op = op->next)
        count += is_of(crash, op);
    switch (crash->loss) {
    case LOSSY_KILL:
    case LOSSY_BYTES:
        choose_prefix(crash, count);
        return;
    case LOSSY_ALL:
        choose_prefix(crash, 0);
        return;
    case LOSSY_SOME:
        choose_prefix(crash, varve_random_below(crash->random, count + 1));
        return;
    case LOSSY_MIXED:
        choose_by_directory(crash, count);
        return;
    }
}

static void
leave_disk(struct lossy_node *dir)
{
    for (struct lossy_entry *entry = dir->entries; entry != NULL; entry = entry->next)
        entry->left = entry->disk;
}

static void
leave_disk_below(struct lossy_node *dir)
{
    leave_disk(dir);
    for (struct lossy_entry *entry = dir->entries; entry != NULL; entry = entry->next) {
        if (entry->now != NULL)
            leave_disk_below(entry->now);
        if (entry->disk != NULL && entry->disk != entry->now)
            leave_disk_below(entry->disk);
    }
}

/* Every entry's `left` becomes what a lookup after the crash would find, also in directories that
 * only an operation leads to. */
static void
leave_names(struct lossy_world *world, struct lossy_node *root)
{
    leave_disk_below(root);
    for (struct lossy_op *op = world->first; op != NULL; op = op->next) {
        for (unsigned i = 0; i < op->count; i++) {
            leave_disk(op->sets[i].dir);
            if (op->sets[i].node != NULL)
                leave_disk_below(op->sets[i].node);
        }
    }
    for (struct lossy_op *op = world->first; op != NULL; op = op->next) {
        for (unsigned i = 0; op->chosen && i < op->count; i++)
            op->sets[i].entry->left = op->sets[i].node;
    }
}

/* --- bytes --- */

/* One block that had not been synced: the old one, the new one, or the new one's first sectors. */
static bool
leave_page(struct crash *crash, struct lossy_state *left, const struct lossy_state *now, size_t i)
{
    struct lossy_page *old = left->pages[i];
    struct lossy_page *fresh = i < now->page_count ? now->pages[i] : NULL;
    uint64_t draw = varve_random_below(crash->random, 8);
    if (old == fresh || draw < 3)
        return true;
    if (fresh == NULL || draw < 7) {
        if (fresh != NULL)
            fresh->refs++;
        left->pages[i] = fresh;
        lossy_page_put(crash->world, old);
        return true;
    }
    struct lossy_page *torn = lossy_page_new(crash->world);
    if (torn == NULL)
        return false;
    size_t bytes = LOSSY_SECTOR_BYTES * (1 + (size_t)varve_random_below(crash->random, 7));
    if (old != NULL)
        memcpy(torn->bytes, old->bytes, LOSSY_PAGE_BYTES);
    memcpy(torn->bytes, fresh->bytes, bytes);
    left->pages[i] = torn;
    lossy_page_put(crash->world, old);
    return true;
}

static uint64_t
left_size(struct crash *crash, uint64_t least, uint64_t now)
{
    uint64_t most = now > least ? now : least;
    if (crash->loss == LOSSY_BYTES)
        return now;
    switch (varve_random_below(crash->random, 4)) {
    case 0:
        return least;
    case 1:
        return least + varve_random_below(crash->random, most - least + 1);
    default:
        return now > least ? now : least;
    }
}

/* A truncation that did not reach the disk leaves all as it was; one that did has zeros behind it,
 * whatever was written there later. */
static bool
leave_some(struct crash *crash, const struct lossy_node *node, struct lossy_state *left)
{
    const struct lossy_state *now = &node->now;
    uint64_t least = node->disk.size;
    if (node->cut < least) {
        if (crash->loss != LOSSY_BYTES && one_in(crash, 3))
            return true;
        least = node->cut;
        if (!lossy_state_resize(crash->world, left, least))
            return false;
    }
    uint64_t size = left_size(crash, least, now->size);
    if (size > left->size && !lossy_state_resize(crash->world, left, size))
        return false;
    size_t pages = (size_t)((size + LOSSY_PAGE_BYTES - 1) / LOSSY_PAGE_BYTES);
    for (size_t i = 0; i < pages; i++) {
        if (!leave_page(crash, left, now, i))
            return false;
    }
    uint64_t rounded = (uint64_t)pages * LOSSY_PAGE_BYTES;
    left->size = rounded; /* so that the last page is zero behind the size */
    return lossy_state_resize(crash->world, left, size);
}

static bool
leave_state(struct crash *crash, const struct lossy_node *node, struct lossy_node *copy)
{
    struct lossy_state *left = &copy->now;
    bool all = crash->loss == LOSSY_KILL;
    bool some = crash->loss != LOSSY_KILL && crash->loss != LOSSY_ALL;
    bool attributes = all || (some && (crash->loss == LOSSY_BYTES || one_in(crash, 2)));
    return lossy_state_attributes(left, attributes ? &node->now : &node->disk) &&
           lossy_state_bytes(crash->world, left, all ? &node->now : &node->disk) &&
           (!some || !S_ISREG(node->now.mode) || leave_some(crash, node, left));
}

/* --- the tree --- */

static void
forget_copies(struct lossy_node *node)
{
    if (node->copy == NULL)
        return;
    node->copy = NULL;
    for (struct lossy_entry *entry = node->entries; entry != NULL; entry = entry->next) {
        if (entry->left != NULL)
            forget_copies(entry->left);
    }
}

/* The copy has one reference for the caller. */
static struct lossy_node *
copy_node(struct crash *crash, struct lossy_node *node)
{
    if (node->copy != NULL) {
        lossy_node_ref(node->copy);
        return node->copy;
    }
    struct lossy_node *copy = lossy_node_new(crash->world, crash->to, node->now.mode);
    assert(copy != NULL); /* out of memory: no result is better than a wrong one */
    crash->to = copy->tree;
    node->copy = copy;
    copy->rdev = node->rdev;
    copy->target = node->target != NULL ? strdup(node->target) : NULL;
    bool ok = leave_state(crash, node, copy) && lossy_state_attributes(&copy->disk, &copy->now) &&
              lossy_state_bytes(crash->world, &copy->disk, &copy->now);
    assert(ok);
    copy->cut = copy->now.size;
    for (struct lossy_entry *entry = node->entries; entry != NULL; entry = entry->next) {
        if (entry->left == NULL)
            continue;
        struct lossy_node *child = copy_node(crash, entry->left);
        struct lossy_entry *name = lossy_entry(copy, entry->name);
        assert(name != NULL);
        name->now = name->disk = child;
        child->links++;
        lossy_node_ref(child); /* the second of the two entries; the first is the copy's own */
    }
    return copy;
}

struct lossy_node *
lossy_crash(struct lossy_world *world, struct lossy_node *root, enum lossy_loss loss,
            struct varve_random *random)
{
    struct crash crash = {.world = world, .from = root->tree, .loss = loss, .random = random};
    choose_names(&crash);
    leave_names(world, root);
    struct lossy_node *copy = copy_node(&crash, root);
    forget_copies(root);
    return copy;
}
