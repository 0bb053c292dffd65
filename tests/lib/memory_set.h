/* memory_set.h - a whole set of discs in memory, made as the engine makes one: data images rendered
 * in order, parity encoded, parity images rendered. For tests; one thread. */
#ifndef VARVE_TEST_MEMORY_SET_H
#define VARVE_TEST_MEMORY_SET_H

#include <varve/image.h>

#define MEMORY_SET_DISCS_MAX 32u

struct memory_disc {
    struct varve_disc_identity identity;
    struct varve_disc_map map;
    uint8_t *bytes;   /* may be damaged by tests */
    bool *unreadable; /* by cluster */
    uint64_t reads;
    struct varve_cluster_source source; /* reads `bytes`, fails where unreadable */
};
struct memory_set {
    unsigned n, m;
    uint64_t number; /* of the set; its UUID depends on it and on n */
    struct memory_disc discs[MEMORY_SET_DISCS_MAX];
};

/* `shape` gives n, m and number. manifests[n] are taken in any case; sources[n] give the bytes of
 * their records. */
VARVE_MUST_CHECK bool
memory_set_make(struct memory_set *set, const struct memory_set *shape,
                struct varve_manifest *const *manifests, const struct varve_image_source *sources,
                struct varve_error *err);
void memory_set_done(struct memory_set *set);

#endif
