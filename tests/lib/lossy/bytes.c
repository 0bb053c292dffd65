/* SPDX-License-Identifier: Apache-2.0 */
/* What a node has besides names: pages, attributes. */
#include "world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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

void
lossy_state_clear(struct lossy_world *world, struct lossy_state *state)
{
    for (size_t i = 0; i < state->page_count; i++)
        lossy_page_put(world, state->pages[i]);
    free(state->pages);
    state->pages = NULL;
    state->page_count = 0;
    state->size = 0;
}

void
lossy_state_free(struct lossy_world *world, struct lossy_state *state)
{
    lossy_state_clear(world, state);
    free_xattrs(state->xattrs);
    state->xattrs = NULL;
}

bool
lossy_state_bytes(struct lossy_world *world, struct lossy_state *to, const struct lossy_state *from)
{
    lossy_state_clear(world, to);
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

/* --- for programs --- */

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
