/* layout.h - drafts of the manifests of a set, filled record by record (layout.c, planning.c). */
#ifndef VARVE_ENGINE_LAYOUT_H
#define VARVE_ENGINE_LAYOUT_H

#include "engine_internal.h"

struct ino_set {
    uint64_t *inos; /* open addressing; 0 is free */
    size_t size, count;
};
struct disc_draft {
    struct varve_manifest *manifest;
    struct ino_set seen;
};

VARVE_MUST_CHECK bool draft_init(struct disc_draft *draft, struct varve_error *err);
void draft_done(struct disc_draft *draft);
/* A piece of a file, after the directories that lead to it. */
VARVE_MUST_CHECK bool
draft_add_slice(struct varve_engine *engine, struct disc_draft *draft, const struct plan_item *item,
                const struct plan_slice *slice, struct varve_error *err);
/* A record without content of its own: a directory, symlink, special or empty file, or a file that
 * is on earlier discs. */
VARVE_MUST_CHECK bool draft_add_inode(struct varve_engine *engine, struct disc_draft *draft,
                                      uint64_t ino, struct varve_error *err);
VARVE_MUST_CHECK bool
draft_add_tombstone(struct disc_draft *draft, const struct varve_tombstone *tombstone,
                    struct varve_error *err);

#endif
