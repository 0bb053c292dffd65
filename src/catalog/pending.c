/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

#include <assert.h>
#include <string.h>
#include <varve/grow.h>

static uint64_t
hash_of(enum pending_kind kind, uint64_t key, const char *name)
{
    /* FNV-1a; the name's bytes and the number's differ enough in it. */
    uint64_t hash = (UINT64_C(14695981039346656037) ^ (uint64_t)kind) + key;
    hash *= UINT64_C(1099511628211);
    for (; name != NULL && *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * UINT64_C(1099511628211);
    return hash ^ (hash >> 29);
}

static struct pending_row **
bucket_of(struct pending *pending, enum pending_kind kind, uint64_t key, const char *name)
{
    return &pending->buckets[hash_of(kind, key, name) % PENDING_BUCKETS];
}

static bool
is_row(const struct pending_row *row, enum pending_kind kind, uint64_t key, const char *name)
{
    return row->key == key && row->kind == kind && (name == NULL || strcmp(row->name, name) == 0);
}

struct pending_row *
pending_find(const struct varve_catalog *catalog, enum pending_kind kind, uint64_t key,
             const char *name)
{
    struct pending_row *row = catalog->pending.buckets[hash_of(kind, key, name) % PENDING_BUCKETS];
    while (row != NULL && !is_row(row, kind, key, name))
        row = row->next;
    return row;
}

static struct pending_row *
add_row(struct pending *pending, enum pending_kind kind, uint64_t key, const char *name)
{
    size_t length = name == NULL ? 0 : strlen(name);
    struct pending_row *row = calloc(1, sizeof *row + length + 1);
    if (row == NULL)
        return NULL;
    struct pending_row **bucket = bucket_of(pending, kind, key, name);
    row->kind = kind;
    row->key = key;
    if (length > 0)
        memcpy(row->name, name, length);
    row->next = *bucket;
    *bucket = row;
    pending->rows++;
    return row;
}

static bool
no_memory(struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "keep a row of the catalog");
}

/* Fills a row that was just added from SQLite. */
static bool
read_row(struct varve_catalog *catalog, struct pending_row *row, struct varve_error *err)
{
    struct varve_dentry dentry;
    bool found = false;
    switch (row->kind) {
    case PENDING_INODE:
        if (!inode_read(catalog, row->key, &row->now.inode, &found, err))
            return false;
        break;
    case PENDING_CONTENT:
        if (!content_read(catalog, row->key, &row->now.content, &found, err))
            return false;
        break;
    case PENDING_DENTRY:
        if (!dentry_read(catalog, row->key, row->name, &dentry, &found, err))
            return false;
        if (!found)
            break;
        row->now.dentry.cookie = dentry.cookie;
        row->now.dentry.ino = dentry.inode.ino;
        if (dentry.inode.mode != 0)
            pending_keep_read(catalog, &dentry.inode);
        break;
    }
    row->now.present = row->now.stored = found;
    return true;
}

static void
remove_row(struct pending *pending, struct pending_row *row)
{
    struct pending_row **link =
        bucket_of(pending, row->kind, row->key, row->kind == PENDING_DENTRY ? row->name : NULL);
    while (*link != row)
        link = &(*link)->next;
    *link = row->next;
    pending->rows--;
    free(row);
}

bool
pending_load(struct varve_catalog *catalog, enum pending_kind kind, uint64_t key, const char *name,
             struct pending_row **ret, struct varve_error *err)
{
    if (catalog->failed.kind != VARVE_ERROR_NONE) {
        *err = catalog->failed;
        return false;
    }
    *ret = pending_find(catalog, kind, key, name);
    if (*ret != NULL)
        return true;
    struct pending_row *row = add_row(&catalog->pending, kind, key, name);
    if (row == NULL)
        return no_memory(err);
    if (!read_row(catalog, row, err)) {
        remove_row(&catalog->pending, row);
        return false;
    }
    *ret = row;
    return true;
}

bool
pending_fresh(struct varve_catalog *catalog, enum pending_kind kind, uint64_t key,
              struct pending_row **ret, struct varve_error *err)
{
    if (catalog->failed.kind != VARVE_ERROR_NONE) {
        *err = catalog->failed;
        return false;
    }
    *ret = pending_find(catalog, kind, key, NULL); /* somebody may have asked for it in vain */
    if (*ret == NULL)
        *ret = add_row(&catalog->pending, kind, key, NULL);
    if (*ret == NULL)
        return no_memory(err);
    (*ret)->xattrs = PENDING_XATTRS_NONE;
    return true;
}

void
pending_keep_read(struct varve_catalog *catalog, const struct varve_inode *inode)
{
    if (pending_find(catalog, PENDING_INODE, inode->ino, NULL) != NULL)
        return;
    struct pending_row *row = add_row(&catalog->pending, PENDING_INODE, inode->ino, NULL);
    if (row == NULL)
        return;
    row->now.inode = *inode;
    row->now.present = row->now.stored = true;
}

/* --- changes --- */

static void
link_dirty(struct pending *pending, struct pending_row *row)
{
    row->dirty_next = NULL;
    row->dirty_prev = pending->last_dirty;
    if (row->dirty_prev != NULL)
        row->dirty_prev->dirty_next = row;
    else
        pending->first_dirty = row;
    pending->last_dirty = row;
    pending->dirty++;
    pending->dirty_dentries += row->kind == PENDING_DENTRY;
}

static void
unlink_dirty(struct pending *pending, struct pending_row *row)
{
    if (row->dirty_prev != NULL)
        row->dirty_prev->dirty_next = row->dirty_next;
    else
        pending->first_dirty = row->dirty_next;
    if (row->dirty_next != NULL)
        row->dirty_next->dirty_prev = row->dirty_prev;
    else
        pending->last_dirty = row->dirty_prev;
    pending->dirty--;
    pending->dirty_dentries -= row->kind == PENDING_DENTRY;
}

/* Keeps the list in step with row->now.dirty. */
static void
set_dirty(struct pending *pending, struct pending_row *row, bool dirty)
{
    if (dirty && !row->now.dirty)
        link_dirty(pending, row);
    else if (!dirty && row->now.dirty)
        unlink_dirty(pending, row);
    row->now.dirty = dirty;
}

static bool
grow_notes(struct pending *pending)
{
    struct pending_note *notes =
        varve_grow(pending->notes, &pending->note_capacity, pending->note_count, sizeof *notes);
    if (notes == NULL)
        return false;
    pending->notes = notes;
    return true;
}

/* Under a savepoint nothing is noted: SQLite has what was before. */
static bool
note(struct varve_catalog *catalog, struct pending_row *row, struct varve_error *err)
{
    struct pending *pending = &catalog->pending;
    if (catalog->depth == 0 || catalog->savepoint || row->unit == pending->unit)
        return true;
    if (!grow_notes(pending))
        return no_memory(err);
    pending->notes[pending->note_count++] = (struct pending_note){row, row->now};
    row->unit = pending->unit;
    return true;
}

void
pending_written(struct varve_catalog *catalog, struct pending_row *row)
{
    row->now.stored = row->now.present;
    set_dirty(&catalog->pending, row, false);
}

bool
pending_change(struct varve_catalog *catalog, struct pending_row *row, struct varve_error *err)
{
    struct pending *pending = &catalog->pending;
    if (!note(catalog, row, err))
        return false;
    set_dirty(pending, row, true);
    catalog_note_change(catalog);
    if (pending->dirty == PENDING_DIRTY_SOON)
        (void)pthread_cond_signal(&catalog->wake); /* cannot fail */
    return true;
}

void
pending_unit_keep(struct varve_catalog *catalog)
{
    catalog->pending.note_count = 0;
    catalog->pending.unit++;
}

void
pending_unit_undo(struct varve_catalog *catalog)
{
    struct pending *pending = &catalog->pending;
    for (size_t i = pending->note_count; i > 0; i--) {
        struct pending_note *note = &pending->notes[i - 1];
        set_dirty(pending, note->row, note->before.dirty);
        note->row->now = note->before;
    }
    pending_unit_keep(catalog);
}

void
pending_unit_forget(struct varve_catalog *catalog)
{
    pending_clear(catalog);
    pending_unit_keep(catalog);
}

/* --- forgetting --- */

static void
forget(struct pending *pending, bool dirty_too)
{
    for (size_t i = 0; i < PENDING_BUCKETS; i++) {
        struct pending_row **link = &pending->buckets[i];
        while (*link != NULL) {
            struct pending_row *row = *link;
            if (row->now.dirty && !dirty_too) {
                link = &row->next;
                continue;
            }
            *link = row->next;
            free(row);
            pending->rows--;
        }
    }
}

void
pending_room(struct varve_catalog *catalog)
{
    struct pending *pending = &catalog->pending;
    struct varve_error ignored; /* sticks in the catalog: what comes next meets it */
    if (catalog->failed.kind != VARVE_ERROR_NONE)
        return;
    if (pending->note_count >= PENDING_NOTES_MAX)
        VARVE_IGNORE(catalog_open_transaction(catalog, &ignored));
    bool writable = catalog->depth == 0 || catalog->savepoint;
    if (writable && pending->dirty >= 2 * (size_t)PENDING_DIRTY_SOON)
        VARVE_IGNORE(pending_flush(catalog, PENDING_STEP, &ignored));
    if (pending->rows >= PENDING_ROWS_MAX + pending->dirty)
        forget(pending, false);
}

void
pending_clear(struct varve_catalog *catalog)
{
    struct pending *pending = &catalog->pending;
    forget(pending, true);
    pending->first_dirty = pending->last_dirty = NULL;
    pending->dirty = pending->dirty_dentries = 0;
    free(pending->notes);
    pending->notes = NULL;
    pending->note_count = pending->note_capacity = 0;
}
