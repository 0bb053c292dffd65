/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_set.h"

#include <inttypes.h>
#include <string.h>
#include <varve/erasure.h>

static bool
read_memory(void *context, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
            struct varve_error *err)
{
    struct memory_disc *disc = context;
    disc->reads++;
    if (cluster >= disc->source.clusters || disc->unreadable[cluster])
        return varve_error_set(err, VARVE_ERROR_MEDIUM, 0, "cluster %" PRIu64, cluster);
    memcpy(ret, disc->bytes + cluster * VARVE_CLUSTER_BYTES, VARVE_CLUSTER_BYTES);
    return true;
}

static struct varve_disc_identity
make_identity(const struct memory_set *set, uint32_t index)
{
    struct varve_disc_identity identity = {.archive_name = "tests",
                                           .set_number = set->number,
                                           .data_discs = set->n,
                                           .parity_discs = set->m,
                                           .index = index,
                                           .created_ns = INT64_C(1700000000123456789)};
    memset(identity.archive.bytes, 0xA1, 16);
    memset(identity.set.bytes, 0x50 + (int)set->n, 16);
    identity.set.bytes[15] = (uint8_t)set->number;
    memset(identity.disc.bytes, 0xD0 + (int)index, 16);
    return identity;
}

static bool
render(struct memory_disc *disc, struct varve_image *image, const struct varve_image_source *source,
       struct varve_error *err)
{
    disc->map = *varve_image_map(image);
    uint64_t clusters = disc->map.clusters;
    disc->bytes = malloc(clusters * VARVE_CLUSTER_BYTES);
    disc->unreadable = calloc(clusters, sizeof *disc->unreadable);
    if (disc->bytes == NULL || disc->unreadable == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu64 " clusters", clusters);
    disc->source = (struct varve_cluster_source){disc, clusters, read_memory};
    for (uint64_t i = 0; i < clusters; i++) {
        if (!varve_image_render(image, i, source, disc->bytes + i * VARVE_CLUSTER_BYTES, err))
            return false;
    }
    return true;
}

struct parity {
    uint8_t *bytes;
};

static bool
read_parity(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
            struct varve_error *err)
{
    (void)record;
    (void)err;
    memcpy(ret, ((struct parity *)context)->bytes + offset, size);
    return true;
}

/* All of parity.bin of all parity discs, cluster by cluster. */
static bool
encode(const struct memory_set *set, uint64_t clusters, struct parity *parity,
       struct varve_error *err)
{
    static const uint8_t zeros[VARVE_CLUSTER_BYTES];
    VARVE_CLEANUP(varve_encoder_free) struct varve_encoder *encoder = NULL;
    if (!varve_encoder_new(set->n, set->m, &encoder, err))
        return false;
    for (unsigned i = 0; i < set->m; i++) {
        parity[i].bytes = malloc(clusters * VARVE_CLUSTER_BYTES);
        if (parity[i].bytes == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "parity");
    }
    for (uint64_t cluster = 0; cluster < clusters; cluster++) {
        const uint8_t *data[MEMORY_SET_DISCS_MAX];
        uint8_t *results[MEMORY_SET_DISCS_MAX];
        for (unsigned i = 0; i < set->n; i++)
            data[i] = cluster < set->discs[i].map.clusters
                          ? set->discs[i].bytes + cluster * VARVE_CLUSTER_BYTES
                          : zeros;
        for (unsigned i = 0; i < set->m; i++)
            results[i] = parity[i].bytes + cluster * VARVE_CLUSTER_BYTES;
        varve_encoder_run(encoder, VARVE_CLUSTER_BYTES, data, results);
    }
    return true;
}

static bool
make_parity_disc(struct memory_set *set, unsigned index, struct varve_image *const *images,
                 const struct varve_disc_map *maps, uint64_t clusters, struct parity *parity,
                 struct varve_error *err)
{
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = NULL;
    struct memory_disc *disc = &set->discs[index];
    struct varve_image_source source = {.context = parity, .read = read_parity};
    disc->identity = make_identity(set, index);
    if (!varve_image_new_parity(&disc->identity, maps, clusters, &image, err))
        return false;
    for (unsigned i = 0; i < set->n; i++) {
        if (!varve_image_set_member_crcs(image, i, varve_image_crcs(images[i]), maps[i].clusters,
                                         err))
            return false;
    }
    return render(disc, image, &source, err);
}

static bool
make_all(struct memory_set *set, struct varve_image **images, struct parity *parity,
         const struct varve_image_source *sources, struct varve_error *err)
{
    struct varve_disc_map maps[MEMORY_SET_DISCS_MAX];
    uint64_t clusters = 0;
    for (unsigned i = 0; i < set->n; i++) {
        if (!render(&set->discs[i], images[i], &sources[i], err))
            return false;
        maps[i] = set->discs[i].map;
        clusters = maps[i].clusters > clusters ? maps[i].clusters : clusters;
    }
    if (!encode(set, clusters, parity, err))
        return false;
    for (unsigned i = 0; i < set->m; i++) {
        if (!make_parity_disc(set, set->n + i, images, maps, clusters, &parity[i], err))
            return false;
    }
    return true;
}

bool
memory_set_make(struct memory_set *set, const struct memory_set *shape,
                struct varve_manifest *const *manifests, const struct varve_image_source *sources,
                struct varve_error *err)
{
    struct varve_image *images[MEMORY_SET_DISCS_MAX] = {NULL};
    struct parity parity[MEMORY_SET_DISCS_MAX] = {{NULL}};
    unsigned n = shape->n;
    *set = (struct memory_set){.n = n, .m = shape->m, .number = shape->number};
    bool ok = true;
    for (unsigned i = 0; i < n; i++) {
        set->discs[i].identity = make_identity(set, i);
        ok = ok && varve_image_new_data(&set->discs[i].identity, manifests[i], &images[i], err);
        if (images[i] == NULL)
            varve_manifest_free(manifests[i]);
    }
    ok = ok && make_all(set, images, parity, sources, err);
    for (unsigned i = 0; i < MEMORY_SET_DISCS_MAX; i++) {
        varve_image_free(images[i]);
        free(parity[i].bytes);
    }
    return ok;
}

void
memory_set_done(struct memory_set *set)
{
    for (unsigned i = 0; i < MEMORY_SET_DISCS_MAX; i++) {
        free(set->discs[i].bytes);
        free(set->discs[i].unreadable);
    }
    *set = (struct memory_set){0};
}
