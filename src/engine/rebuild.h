/* rebuild.h - shared by the parts of `varve rebuild`: scanning discs, applying manifests, adopting
 * resident copies. */
#ifndef VARVE_ENGINE_REBUILD_H
#define VARVE_ENGINE_REBUILD_H

#include "engine_internal.h"

/* A position of a set, and the disc that was seen for it. */
struct member {
    bool present, has_map, has_manifest, has_crcs;
    struct varve_barcode barcode;
    char library[64];
    const char *image;      /* path, of image mode */
    struct varve_uuid uuid; /* of the disc, as it says itself */
    struct varve_disc_map map;
};
struct found_set {
    struct varve_set row;
    struct varve_disc_identity identity;
    struct member *members;
    uint32_t count;
};
struct other_disc { /* blank, or not of this archive */
    struct varve_barcode barcode;
    char library[64];
    enum varve_disc_state state;
    uint64_t capacity_clusters;
};

struct rebuild {
    const struct varve_rebuild_options *options;
    struct varve_engine *engine; /* only dir, clock, config and libraries: no catalog is open yet */
    struct found_set *sets;
    size_t set_count;
    struct other_disc *others;
    size_t other_count;
    bool has_archive;
    struct varve_uuid archive;
    char name[64];
    struct varve_catalog *catalog;
    struct varve_store *store;
    struct varve_rebuild_report report;
};

void rebuild_tell(struct rebuild *rebuild, uint64_t done, uint64_t total, const char *format, ...)
    VARVE_PRINTF(4, 5);
/* Looks at every disc; keeps manifests and CRCs in the archive's sets/ folder (rebuild_scan.c). */
VARVE_MUST_CHECK bool rebuild_scan(struct rebuild *rebuild, struct varve_error *err);
/* Decodes manifests of data discs that were not at hand or not readable (rebuild_decode.c). */
VARVE_MUST_CHECK bool rebuild_decode(struct rebuild *rebuild, struct varve_error *err);
/* Fills the catalog (rebuild_apply.c). */
VARVE_MUST_CHECK bool rebuild_apply(struct rebuild *rebuild, struct varve_error *err);
/* Takes over what lies on the tiers (rebuild_adopt.c). */
VARVE_MUST_CHECK bool rebuild_adopt(struct rebuild *rebuild, struct varve_error *err);
/* The directory of that name in `parent`, made if there is none (rebuild_adopt.c). */
VARVE_MUST_CHECK bool rebuild_directory(struct rebuild *rebuild, uint64_t parent, const char *name,
                                        uint64_t *ret, struct varve_error *err);
/* Link counts and current contents, after all names are known (rebuild_apply.c). */
VARVE_MUST_CHECK bool rebuild_finish(struct rebuild *rebuild, struct varve_error *err);

/* Runs `use` with the disc of a member as a cluster source, from its image file or through its
 * library. */
typedef bool
source_fn(void *context, const struct varve_cluster_source *source, struct varve_error *err);
VARVE_MUST_CHECK bool rebuild_with_disc(struct rebuild *rebuild, const struct member *member,
                                        source_fn *use, void *context, struct varve_error *err);

/* Shelves, magazines and histories of discs from the catalog that is replaced, if it can be read
 * (rebuild_places.c). */
void rebuild_keep_places(struct rebuild *r, const char *old_path);

#endif
