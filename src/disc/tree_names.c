/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <varve/checksum.h>

#include "names.h"
#include "tree.h"

/* Open addressing over (parent, name); a slot also counts how many marks its name has given out, so
 * that a thousand clashes cost a thousand steps. */
struct slot {
    uint32_t link; /* + 1; 0: free */
    uint32_t marks;
};
struct taken {
    struct slot *slots;
    uint32_t mask;
};

static struct slot *
find_slot(const struct varve_tree *tree, const struct taken *taken, uint32_t parent,
          const char *name)
{
    uint32_t at = varve_crc32c(parent, name, strlen(name)) & taken->mask;
    while (taken->slots[at].link != 0) {
        const struct varve_tree_link *link = &tree->links[taken->slots[at].link - 1];
        if (link->parent == parent && strcmp(link->name, name) == 0)
            break;
        at = (at + 1) & taken->mask;
    }
    return &taken->slots[at];
}

static const struct varve_record *
record_of(const struct varve_tree *tree, const struct varve_tree_link *link)
{
    size_t record = tree->nodes[link->node].record;
    return record == VARVE_NO_RECORD ? NULL : &tree->manifest->records[record];
}

/* A user's top-level "varve" gives way to ours, in any case: some readers fold it. */
static bool
is_reserved(const struct varve_tree *tree, const struct varve_tree_link *link)
{
    return link->parent == VARVE_TREE_ROOT && record_of(tree, link) != NULL &&
           strcasecmp(link->name, "varve") == 0;
}

static bool
is_part(const struct varve_tree *tree, const struct varve_tree_link *link)
{
    const struct varve_record *record = record_of(tree, link);
    return record != NULL && record->type == VARVE_RECORD_FILE && record->parts > 1;
}

/* Names that can stay as they are come first, so that no other takes them. */
static void
take_exact_names(struct varve_tree *tree, const struct taken *taken)
{
    for (uint32_t i = 0; i < tree->link_count; i++) {
        struct varve_tree_link *link = &tree->links[i];
        link->pending = true;
        if (is_reserved(tree, link) || is_part(tree, link) ||
            !varve_name_exact(link->name, strlen(link->name)))
            continue;
        struct slot *slot = find_slot(tree, taken, link->parent, link->name);
        if (slot->link != 0)
            continue;
        slot->link = i + 1;
        link->pending = false;
    }
}

static bool
keep_name(struct varve_tree *tree, uint32_t link, const char *name, struct varve_error *err)
{
    if (tree->owned_count == tree->owned_capacity) {
        size_t capacity = tree->owned_capacity == 0 ? 16 : 2 * tree->owned_capacity;
        char **owned = reallocarray(tree->owned, capacity, sizeof tree->owned[0]);
        if (owned == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%zu names", capacity);
        tree->owned = owned;
        tree->owned_capacity = capacity;
    }
    char *copy = strdup(name);
    if (copy == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "name '%s'", name);
    tree->owned[tree->owned_count++] = copy;
    tree->links[link].name = copy;
    tree->links[link].pending = false;
    return true;
}

/* Of `wish` with mark "", ~1, ~2, ... the first that is free. A directory's name does not grow if
 * it can give up letters instead: that bounds the paths below it (image_cost.c). */
static bool
choose_free(struct varve_tree *tree, const struct taken *taken, uint32_t index,
            struct varve_name_wish *wish, struct varve_error *err)
{
    char name[VARVE_UDF_NAME_BYTES_MAX + 1], mark[16] = "";
    uint32_t parent = tree->links[index].parent;
    bool shrink = wish->whole && !is_reserved(tree, &tree->links[index]);
    wish->mark = mark;
    (void)varve_name_make(wish, name);
    struct slot *base = find_slot(tree, taken, parent, name), *slot = base;
    size_t own = strlen(wish->name);
    while (slot->link != 0) {
        (void)snprintf(mark, sizeof mark, "~%" PRIu32, ++base->marks);
        if (shrink)
            wish->bytes_max = own > strlen(mark) ? own : strlen(mark);
        (void)varve_name_make(wish, name);
        slot = find_slot(tree, taken, parent, name);
    }
    if (!keep_name(tree, index, name, err))
        return false;
    slot->link = index + 1;
    return true;
}

static bool
choose_name(struct varve_tree *tree, const struct taken *taken, uint32_t index,
            struct varve_error *err)
{
    const struct varve_tree_link *link = &tree->links[index];
    char tail[48] = "";
    if (is_part(tree, link)) {
        const struct varve_record *record = record_of(tree, link);
        (void)snprintf(tail, sizeof tail, ".part-%04" PRIu32 "-of-%04" PRIu32, record->part + 1,
                       record->parts);
    }
    struct varve_name_wish wish = {
        .name = is_reserved(tree, link) ? "varve" : link->name,
        .tail = tail,
        .bytes_max = VARVE_UDF_NAME_BYTES_MAX,
        .whole = link->node < tree->directory_count,
    };
    return choose_free(tree, taken, index, &wish, err);
}

bool
varve_tree_choose_names(struct varve_tree *tree, struct varve_error *err)
{
    struct taken taken = {.mask = 64};
    while (taken.mask < 2 * tree->link_count)
        taken.mask *= 2;
    VARVE_CLEANUP_FREE struct slot *slots = calloc(taken.mask, sizeof slots[0]);
    if (slots == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu32 " names", tree->link_count);
    taken.slots = slots;
    taken.mask--;
    take_exact_names(tree, &taken);
    for (uint32_t i = 0; i < tree->link_count; i++) {
        if (tree->links[i].pending && !choose_name(tree, &taken, i, err))
            return false;
    }
    return true;
}
