/* SPDX-License-Identifier: Apache-2.0 */
/* A parity disc made again: its file system and tables from what the set knows, parity.bin from the
 * data discs. The layout is a pure function, so of a damaged disc the same bytes come out. */
#include "recover_internal.h"

#include <string.h>

/* A fresh UUID without randomness (RFC 9562, version 8): the same every time it is made again. */
static struct varve_uuid
derive_uuid(const struct varve_disc_identity *set, uint32_t index)
{
    uint8_t bytes[16 + 1];
    struct varve_digest digest;
    struct varve_uuid uuid;
    memcpy(bytes, set->set.bytes, 16);
    bytes[16] = (uint8_t)index;
    varve_sha256_of(bytes, sizeof bytes, &digest);
    memcpy(uuid.bytes, digest.bytes, 16);
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0F) | 0x80);
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3F) | 0x80);
    return uuid;
}

static struct varve_disc_identity
identity_of(const struct member *member)
{
    if (member->disc != NULL)
        return *varve_disc_identity(member->disc);
    struct varve_disc_identity identity = member->recovery->set;
    identity.index = member->index;
    identity.disc =
        member->has_uuid ? member->uuid : derive_uuid(&member->recovery->set, member->index);
    return identity;
}

/* All extents are needed, since the disc tells them: if no parity disc knows more than its length,
 * the data disc itself does. */
static bool
collect_maps(struct varve_recovery *recovery, struct varve_disc_map *ret, uint64_t *ret_clusters,
             struct varve_error *err)
{
    *ret_clusters = 0;
    for (uint32_t i = 0; i < recovery->n; i++) {
        if (!varve_recovery_map(recovery, i, &ret[i]))
            return varve_error_set(err, VARVE_ERROR_UNRECOVERABLE, 0,
                                   "disc %u is missing, and so are all parity discs", i);
        if (ret[i].disc_json.bytes == 0) {
            if (!recover_open_whole(&recovery->members[i], err))
                return false;
            ret[i] = *varve_disc_map(recovery->members[i].whole_disc);
        }
        if (ret[i].clusters > *ret_clusters)
            *ret_clusters = ret[i].clusters;
    }
    return true;
}

/* The CRC table of data disc `index`: as tables tell, else of the cluster itself. */
static bool
collect_crcs(struct varve_recovery *recovery, uint32_t index, uint64_t clusters, uint32_t *ret,
             struct varve_error *err)
{
    const struct varve_cluster_source *whole;
    VARVE_CLEANUP_FREE uint8_t *bytes = malloc(VARVE_CLUSTER_BYTES);
    if (bytes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a cluster");
    if (!varve_recovery_source(recovery, index, &whole, err))
        return false;
    for (uint64_t cluster = 0; cluster < clusters; cluster++) {
        if (recover_crc(&recovery->members[index], cluster, &ret[cluster]))
            continue;
        if (!whole->read(whole->context, cluster, bytes, err))
            return false;
        ret[cluster] = varve_crc32c(0, bytes, VARVE_CLUSTER_BYTES);
    }
    return true;
}

static bool
fill_tables(struct varve_recovery *recovery, const struct varve_disc_map *maps,
            struct varve_image *image, struct varve_error *err)
{
    for (uint32_t i = 0; i < recovery->n; i++) {
        VARVE_CLEANUP_FREE uint32_t *crcs = calloc((size_t)maps[i].clusters + 1, sizeof *crcs);
        if (crcs == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "checksums of disc %u", i);
        if (!collect_crcs(recovery, i, maps[i].clusters, crcs, err) ||
            !varve_image_set_member_crcs(image, i, crcs, maps[i].clusters, err))
            return varve_error_wrap(err, "checksums of disc %u", i);
    }
    return true;
}

bool
recover_make_image(struct member *member, struct varve_error *err)
{
    struct varve_recovery *recovery = member->recovery;
    struct varve_disc_identity identity = identity_of(member);
    VARVE_CLEANUP_FREE struct varve_disc_map *maps = calloc(recovery->n, sizeof *maps);
    if (maps == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "maps of the set");
    uint64_t clusters;
    if (!collect_maps(recovery, maps, &clusters, err))
        return false;
    if (member->disc != NULL)
        clusters = varve_disc_map(member->disc)->parity.bytes / VARVE_CLUSTER_BYTES;
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = NULL;
    if (!varve_image_new_parity(&identity, maps, clusters, &image, err) ||
        !fill_tables(recovery, maps, image, err))
        return varve_error_wrap(err, "make parity disc %u again", member->index);
    member->image = VARVE_TAKE(image);
    member->rendered = 0;
    return true;
}

/* Bytes of parity.bin for the image. It asks for whole clusters, or the parts of one in order. */
static bool
read_parity(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
            struct varve_error *err)
{
    (void)record;
    struct member *member = context;
    VARVE_CLEANUP_FREE uint8_t *bytes = malloc(VARVE_CLUSTER_BYTES);
    if (bytes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a cluster");
    while (size > 0) {
        size_t skip = (size_t)(offset % VARVE_CLUSTER_BYTES);
        size_t step = VARVE_CLUSTER_BYTES - skip;
        step = step < size ? step : size;
        if (!recover_shard(member, offset / VARVE_CLUSTER_BYTES, bytes, err))
            return false;
        memcpy(ret, bytes + skip, step);
        offset += step;
        ret += step;
        size -= step;
    }
    return true;
}

/* Before an image is learned, its clusters come in ascending order, each once: a reader that goes
 * the same way costs one pass over the data discs, any other a second one. */
bool
recover_render(struct member *member, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
               struct varve_error *err)
{
    struct varve_image_source source = {.context = member, .read = read_parity};
    if (member->image == NULL && !recover_make_image(member, err))
        return false;
    uint64_t end = varve_image_map(member->image)->clusters;
    uint64_t until = cluster >= member->rendered ? cluster : end;
    while (!varve_image_learned(member->image) && member->rendered < until) {
        if (!varve_image_render(member->image, member->rendered, &source, ret, err))
            return false;
        member->rendered++;
    }
    if (!varve_image_render(member->image, cluster, &source, ret, err))
        return false;
    if (member->rendered == cluster)
        member->rendered++;
    return true;
}
