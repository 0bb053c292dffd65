/* SPDX-License-Identifier: Apache-2.0 */
/* flush.c - pending rows on their way into SQLite. */
#include "catalog_internal.h"

static bool
write_inode(struct varve_catalog *catalog, const struct pending_row *row, struct varve_error *err)
{
    const struct pending_state *now = &row->now;
    if (now->present)
        return inode_write(catalog, &now->inode, now->stored, err);
    /* One that was never stored has nothing either: who writes xattrs and targets stores it first.
     */
    return !now->stored || inode_erase(catalog, row, err);
}

static bool
write_content(struct varve_catalog *catalog, const struct pending_row *row, struct varve_error *err)
{
    const struct pending_state *now = &row->now;
    if (now->present)
        return content_write(catalog, &now->content, now->stored, err);
    return !now->stored || content_erase(catalog, row->key, err);
}

/* A name that was taken away and given again has a new cookie: another row. */
static bool
write_dentry(struct varve_catalog *catalog, const struct pending_row *row, struct varve_error *err)
{
    const struct pending_state *now = &row->now;
    return (!now->stored || dentry_erase(catalog, row->key, row->name, err)) &&
           (!now->present || dentry_write(catalog, row, err));
}

static bool
write_row(struct varve_catalog *catalog, const struct pending_row *row, struct varve_error *err)
{
    switch (row->kind) {
    case PENDING_INODE:
        return write_inode(catalog, row, err);
    case PENDING_DENTRY:
        return write_dentry(catalog, row, err);
    case PENDING_CONTENT:
        return write_content(catalog, row, err);
    }
    return true;
}

/* The rows were checked when they were changed: what fails here is the disk, or damage. */
static bool
write_or_fail(struct varve_catalog *catalog, struct pending_row *row, struct varve_error *err)
{
    return write_row(catalog, row, err) || catalog_fail(catalog, err);
}

bool
pending_flush(struct varve_catalog *catalog, size_t max, struct varve_error *err)
{
    struct pending *pending = &catalog->pending;
    if (pending->first_dirty != NULL && !catalog_open_transaction(catalog, err))
        return false;
    for (size_t i = 0; i < max && pending->first_dirty != NULL; i++) {
        struct pending_row *row = pending->first_dirty;
        if (!write_or_fail(catalog, row, err))
            return false;
        pending_written(catalog, row);
    }
    return true;
}

/* What the row was before the unit. */
static bool
write_before(struct varve_catalog *catalog, const struct pending_note *note,
             struct varve_error *err)
{
    struct pending_state now = note->row->now;
    note->row->now = note->before;
    bool ok = write_or_fail(catalog, note->row, err);
    note->row->now = now;
    if (ok)
        note->row->now.stored = note->before.present;
    return ok;
}

bool
pending_flush_older(struct varve_catalog *catalog, struct varve_error *err)
{
    struct pending *pending = &catalog->pending;
    struct pending_row *next;
    for (struct pending_row *row = pending->first_dirty; row != NULL; row = next) {
        next = row->dirty_next;
        if (row->unit == pending->unit)
            continue;
        if (!write_or_fail(catalog, row, err))
            return false;
        pending_written(catalog, row);
    }
    for (size_t i = 0; i < pending->note_count; i++) {
        if (pending->notes[i].before.dirty && !write_before(catalog, &pending->notes[i], err))
            return false;
    }
    pending->note_count = 0;
    return true;
}
