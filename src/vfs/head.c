/* SPDX-License-Identifier: Apache-2.0 */
/* The head cache: the first bytes of contents that are on discs only, on ssd, so that who looks at
 * the beginning of a file wakes no robot. A row names the head, but the head proves itself when it
 * is opened: nothing is synced, and whatever goes wrong with it costs a recall, never a byte. */
#include "vfs_internal.h"

#include <fcntl.h>
#include <inttypes.h>

static struct varve_head
head_of(const struct varve_content *content, uint64_t bytes)
{
    return (struct varve_head){.content = content->id.value,
                               .ino = content->ino,
                               .version = content->version,
                               .size = content->size,
                               .mtime_ns = content->mtime_ns,
                               .bytes = bytes};
}

/* --- keeping --- */

static bool
write_head(struct varve_vfs *vfs, struct varve_content *content, int from, struct varve_error *err)
{
    uint64_t bytes = vfs->head_bytes < content->size ? vfs->head_bytes : content->size;
    const struct varve_head head = head_of(content, bytes);
    struct varve_place place = {.tier = vfs->first_tier};
    if (!varve_store_choose(vfs->store, place.tier, bytes, &place.path_id, err) ||
        !varve_catalog_file_numbers(vfs->catalog, 1, &place.file, err) ||
        !varve_store_head_write(vfs->store, &place, &head, from, err))
        return false;
    content->head = place;
    content->head_bytes = bytes;
    return true;
}

void
head_keep(struct varve_vfs *vfs, struct varve_content *content)
{
    struct varve_error unused; /* without a head the beginning is recalled with the rest */
    VARVE_CLEANUP_FD int from = -1;
    if (content->head.tier != VARVE_TIER_NONE || vfs->head_bytes == 0 || content->size == 0 ||
        atomic_load(&vfs->heads_stopped) || content->place.file == 0 ||
        !varve_store_open_file(vfs->store, &content->place, O_RDONLY, &from, &unused))
        return;
    VARVE_IGNORE(write_head(vfs, content, from, &unused));
}

/* Inside a unit. */
static bool
name_head(struct varve_vfs *vfs, const struct varve_content *made, struct varve_content *ret,
          struct varve_error *err)
{
    if (!varve_catalog_content_get(vfs->catalog, made->id, ret, err))
        return false;
    if (!ret->current || ret->head.tier != VARVE_TIER_NONE)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0, "a head is not wanted");
    ret->head = made->head;
    ret->head_bytes = made->head_bytes;
    return varve_catalog_content_update(vfs->catalog, ret, err);
}

void
head_keep_part(struct varve_vfs *vfs, struct vnode *vnode, int from)
{
    struct varve_error unused;
    struct varve_content row;
    struct varve_content made = vnode->content;
    if (made.head.tier != VARVE_TIER_NONE || vfs->head_bytes == 0 || made.size == 0 ||
        atomic_load(&vfs->heads_stopped) || !write_head(vfs, &made, from, &unused))
        return;
    varve_catalog_begin(vfs->catalog);
    if (varve_catalog_end(vfs->catalog, name_head(vfs, &made, &row, &unused), &unused))
        vnode->content = row;
    else
        VARVE_IGNORE(varve_store_head_remove(vfs->store, &made.head, &unused));
}

/* --- dropping --- */

void
head_remove(struct varve_vfs *vfs, struct varve_content *content)
{
    struct varve_error unused; /* a file that stays is swept */
    if (content->head.tier == VARVE_TIER_NONE)
        return;
    /* Before the commit on purpose: a row that names no file costs a recall. */
    VARVE_IGNORE(varve_store_head_remove(vfs->store, &content->head, &unused));
    content->head = (struct varve_place){.tier = VARVE_TIER_NONE};
    content->head_bytes = 0;
}

/* Inside a unit: the row, if it still names this file. */
static bool
unname_head(struct varve_vfs *vfs, struct varve_content_id id, uint64_t file,
            struct varve_content *ret, struct varve_error *err)
{
    if (!varve_catalog_content_get(vfs->catalog, id, ret, err))
        return false;
    if (ret->head.tier == VARVE_TIER_NONE || ret->head.file != file)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                               "content %" PRIu64 " has no such head", id.value);
    ret->head = (struct varve_place){.tier = VARVE_TIER_NONE};
    ret->head_bytes = 0;
    return varve_catalog_content_update(vfs->catalog, ret, err);
}

static void
close_fd(struct vnode *vnode)
{
    vnode_retire_fd(vnode, VARVE_TAKE_FD(vnode->head_fd));
    vnode->head_of = 0;
}

/* Locked, if there is a vnode. */
static void
forget_head(struct varve_vfs *vfs, struct vnode *vnode, struct varve_content_id id,
            struct varve_place head)
{
    struct varve_error unused;
    struct varve_content row;
    varve_catalog_begin(vfs->catalog);
    bool named =
        varve_catalog_end(vfs->catalog, unname_head(vfs, id, head.file, &row, &unused), &unused);
    if (vnode != NULL && vnode->content.id.value == id.value) {
        close_fd(vnode);
        if (named)
            vnode->content = row;
    }
    VARVE_IGNORE(varve_store_head_remove(vfs->store, &head, &unused));
}

/* --- using --- */

int
head_fd(struct varve_vfs *vfs, struct vnode *vnode, uint64_t *ret_bytes)
{
    struct varve_error why = {0};
    const struct varve_content *content = &vnode->content;
    if (vnode->head_of != content->id.value)
        close_fd(vnode);
    if (content->head.tier == VARVE_TIER_NONE)
        return -1;
    const struct varve_head head = head_of(content, content->head_bytes);
    if (vnode->head_fd < 0 &&
        !varve_store_head_open(vfs->store, &content->head, &head, &vnode->head_fd, &why)) {
        forget_head(vfs, vnode, content->id, content->head);
        return -1;
    }
    vnode->head_of = content->id.value;
    *ret_bytes = content->head_bytes;
    return vnode->head_fd;
}

void
varve_vfs_stop_heads(struct varve_vfs *vfs, bool stop)
{
    atomic_store(&vfs->heads_stopped, stop);
}

/* --- making room --- */

enum { OLDEST_MAX = 4096, ROUNDS_MAX = 256 };

struct aged {
    struct varve_place place;
    uint64_t bytes;
    int64_t used_ns;
};

/* The heads that were used least recently: of twice as many the older half stays. */
struct oldest {
    struct aged heads[2 * OLDEST_MAX];
    size_t count;
};

static int
compare_ages(const void *a, const void *b)
{
    int64_t x = ((const struct aged *)a)->used_ns;
    int64_t y = ((const struct aged *)b)->used_ns;
    return x < y ? -1 : x > y;
}

static bool
note_age(void *context, const struct varve_place *place, uint64_t bytes, int64_t used_ns,
         struct varve_error *err)
{
    struct oldest *oldest = context;
    (void)err;
    oldest->heads[oldest->count++] = (struct aged){*place, bytes, used_ns};
    if (oldest->count == 2 * OLDEST_MAX) {
        qsort(oldest->heads, oldest->count, sizeof oldest->heads[0], compare_ages);
        oldest->count = OLDEST_MAX;
    }
    return true;
}

/* The file says whose it is; its row and, if that is open, its vnode let go of it. */
static void
evict(struct varve_vfs *vfs, const struct varve_place *place)
{
    struct varve_error unused; /* gone meanwhile, or to be swept */
    struct varve_head head;
    struct varve_content content = {0};
    struct vnode *vnode = NULL;
    if (!varve_store_head_look(vfs->store, place, &head, &unused)) {
        VARVE_IGNORE(varve_store_head_remove(vfs->store, place, &unused));
        return;
    }
    const struct varve_content_id id = {head.content};
    if (varve_catalog_content_get(vfs->catalog, id, &content, &unused))
        vnode = vnode_peek(vfs, content.ino);
    if (vnode != NULL)
        vnode_lock(vnode);
    forget_head(vfs, vnode, id, *place);
    if (vnode != NULL)
        vnode_release(vfs, vnode);
}

static bool
evict_round(struct varve_vfs *vfs, struct oldest *oldest, uint64_t bytes, uint64_t *freed,
            struct varve_error *err)
{
    oldest->count = 0;
    if (!varve_store_each_head(vfs->store, note_age, oldest, err))
        return false;
    qsort(oldest->heads, oldest->count, sizeof oldest->heads[0], compare_ages);
    for (size_t i = 0; i < oldest->count && i < OLDEST_MAX && *freed < bytes; i++) {
        evict(vfs, &oldest->heads[i].place);
        *freed += oldest->heads[i].bytes;
    }
    return true;
}

bool
varve_vfs_trim_heads(struct varve_vfs *vfs, uint64_t bytes, uint64_t *ret_freed,
                     struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct oldest *oldest = malloc(sizeof *oldest);
    uint64_t freed = 0;
    bool ok = oldest != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "drop heads");
    for (unsigned round = 0; ok && freed < bytes && round < ROUNDS_MAX; round++) {
        uint64_t before = freed;
        ok = evict_round(vfs, oldest, bytes, &freed, err);
        if (freed == before)
            break; /* no more, or empty ones */
    }
    *ret_freed = freed;
    return ok;
}
