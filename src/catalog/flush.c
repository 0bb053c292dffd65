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
    return !now->stored || inode_erase(catalog, &now->inode, now->deleted_ns, err);
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

bool
pending_flush(struct varve_catalog *catalog, size_t max, struct varve_error *err)
{
    struct pending *pending = &catalog->pending;
    for (size_t i = 0; i < max && pending->first_dirty != NULL; i++) {
        struct pending_row *row = pending->first_dirty;
        if (!pending_note(catalog, row, err))
            return false;
        /* The rows were checked when they were changed: what fails now is the disk, or damage. */
        if (!write_row(catalog, row, err))
            return catalog_fail(catalog, err);
        pending_written(catalog, row);
    }
    return true;
}
