/* SPDX-License-Identifier: Apache-2.0 */
#include "image_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static bool
check_identity(const struct varve_disc_identity *identity, bool parity, struct varve_error *err)
{
    uint64_t discs = (uint64_t)identity->data_discs + identity->parity_discs;
    bool is_parity = identity->index >= identity->data_discs;
    if (identity->data_discs == 0 || discs > VARVE_SET_DISCS_MAX || identity->index >= discs ||
        is_parity != parity)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "disc %" PRIu32 " of %" PRIu32 "+%" PRIu32 " is no %s disc",
                               identity->index, identity->data_discs, identity->parity_discs,
                               parity ? "parity" : "data");
    if (identity->set_number > INT64_MAX ||
        strnlen(identity->archive_name, sizeof identity->archive_name) ==
            sizeof identity->archive_name)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "identity of the disc");
    return true;
}

static bool
plan(struct varve_image *image, struct varve_error *err)
{
    if (!varve_sha256_new(&image->sha, err) ||
        !varve_tree_new(image->manifest, &image->tree, err) || !varve_image_lay_out(image, err))
        return false;
    image->crcs = calloc(image->map.clusters, sizeof image->crcs[0]);
    if (image->crcs == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "CRCs of %" PRIu64 " clusters",
                               image->map.clusters);
    return true;
}

bool
varve_image_new_data(const struct varve_disc_identity *identity, struct varve_manifest *manifest,
                     struct varve_image **ret, struct varve_error *err)
{
    assert(manifest != NULL);
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = calloc(1, sizeof *image);
    if (image == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "image of a data disc");
    image->identity = *identity;
    image->manifest = manifest;
    if (!check_identity(identity, false, err) || !plan(image, err)) {
        image->manifest = NULL; /* stays the caller's */
        return varve_error_wrap(err, "image of a data disc");
    }
    *ret = VARVE_TAKE(image);
    return true;
}

static bool
take_members(struct varve_image *image, const struct varve_disc_map *members,
             struct varve_error *err)
{
    uint32_t count = image->identity.data_discs;
    image->members = calloc(count, sizeof image->members[0]);
    image->member_crcs = calloc(count, sizeof image->member_crcs[0]);
    if (image->members == NULL || image->member_crcs == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu32 " members", count);
    for (uint32_t i = 0; i < count; i++) {
        image->members[i] = members[i];
        if (members[i].clusters > image->parity_clusters)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "data disc %" PRIu32 " has %" PRIu64
                                   " clusters, more than its parity (%" PRIu64 ")",
                                   i, members[i].clusters, image->parity_clusters);
    }
    return true;
}

bool
varve_image_new_parity(const struct varve_disc_identity *identity,
                       const struct varve_disc_map *members, uint64_t parity_clusters,
                       struct varve_image **ret, struct varve_error *err)
{
    VARVE_CLEANUP(varve_image_free) struct varve_image *image = calloc(1, sizeof *image);
    if (image == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "image of a parity disc");
    image->identity = *identity;
    image->parity_clusters = parity_clusters;
    uint64_t most = VARVE_UDF_FILE_EXTENTS_MAX * VARVE_UDF_EXTENT_BYTES_MAX / VARVE_CLUSTER_BYTES;
    if (!check_identity(identity, true, err))
        return varve_error_wrap(err, "image of a parity disc");
    if (parity_clusters == 0 || parity_clusters > most)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "image of a parity disc: %" PRIu64 " clusters of parity",
                               parity_clusters);
    if (!take_members(image, members, err) || !plan(image, err))
        return varve_error_wrap(err, "image of a parity disc");
    *ret = VARVE_TAKE(image);
    return true;
}

void
varve_image_free(struct varve_image *image)
{
    if (image == NULL)
        return;
    for (uint32_t i = 0; image->member_crcs != NULL && i < image->identity.data_discs; i++)
        free(image->member_crcs[i]);
    free(image->member_crcs);
    free(image->members);
    free(image->crcs);
    free(image->inode_offsets);
    free(image->sum_offsets);
    free(image->aed_nodes);
    varve_buffer_done(&image->readme);
    varve_buffer_done(&image->disc_json);
    varve_sha256_free(image->sha);
    varve_tree_free(image->tree);
    varve_manifest_free(image->manifest);
    free(image);
}

const struct varve_disc_map *
varve_image_map(const struct varve_image *image)
{
    return &image->map;
}

const struct varve_manifest *
varve_image_manifest(const struct varve_image *image)
{
    return image->manifest;
}

bool
varve_image_learned(const struct varve_image *image)
{
    return image->learned;
}

const uint32_t *
varve_image_crcs(const struct varve_image *image)
{
    return image->crcs;
}

const struct varve_digest *
varve_image_parity_digest(const struct varve_image *image)
{
    return image->parity_known ? &image->parity_digest : NULL;
}

void
varve_image_set_parity_digest(struct varve_image *image, const struct varve_digest *digest)
{
    assert(image->manifest == NULL);
    image->parity_digest = *digest;
    image->parity_known = true;
}

static bool
refuse_source(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
              struct varve_error *err)
{
    (void)context, (void)record, (void)offset, (void)ret, (void)size;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "no source here");
}

/* Clusters [from, to) are made of the plan alone and must come out as they did when the CRCs were
 * taken. */
static bool
check_clusters(struct varve_image *image, uint64_t from, uint64_t to, struct varve_error *err)
{
    VARVE_CLEANUP_FREE uint8_t *bytes = malloc(VARVE_CLUSTER_BYTES);
    if (bytes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a cluster");
    struct varve_image_source none = {.read = refuse_source};
    for (uint64_t i = from; i < to; i++) {
        if (!varve_image_render(image, i, &none, bytes, err))
            return false;
        if (varve_crc32c(0, bytes, VARVE_CLUSTER_BYTES) != image->crcs[i])
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                                   "cluster %" PRIu64
                                   " is no longer what was planned: the plan, or "
                                   "the version of varve, is another",
                                   i);
    }
    return true;
}

/* Volume structures and file entries at both ends, and the table of CRCs: cheap, and they change
 * with any piece, name or length. */
static bool
check_plan(struct varve_image *image, struct varve_error *err)
{
    uint64_t data = image->data_lba / VARVE_CLUSTER_SECTORS;
    uint64_t crcs = image->map.crcs.lba / VARVE_CLUSTER_SECTORS;
    uint64_t table = image->map.crcs.bytes / VARVE_CLUSTER_BYTES;
    return check_clusters(image, 0, data, err) &&
           (image->manifest == NULL || check_clusters(image, crcs, crcs + table, err)) &&
           check_clusters(image, image->map.clusters - VARVE_UDF_TAIL_CLUSTERS, image->map.clusters,
                          err);
}

bool
varve_image_relearn(struct varve_image *image, const uint32_t *crcs, uint64_t count,
                    struct varve_error *err)
{
    if (count != image->map.clusters)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "%" PRIu64 " CRCs for an image of %" PRIu64 " clusters", count,
                               image->map.clusters);
    if (image->manifest == NULL && !image->parity_known)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "the digest of parity.bin was not given");
    memcpy(image->crcs, crcs, count * sizeof crcs[0]);
    image->learned = true;
    if (check_plan(image, err))
        return true;
    image->learned = false;
    image->next = 0;
    return varve_error_wrap(err, "take up an image again");
}

bool
varve_image_set_member_crcs(struct varve_image *image, uint32_t index, const uint32_t *crcs,
                            uint64_t count, struct varve_error *err)
{
    if (image->members == NULL || index >= image->identity.data_discs ||
        count != image->members[index].clusters)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "%" PRIu64 " CRCs for disc %" PRIu32 " of the set", count, index);
    VARVE_CLEANUP_FREE uint32_t *copy = calloc(count + 1, sizeof copy[0]);
    if (copy == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu64 " CRCs", count);
    memcpy(copy, crcs, count * sizeof crcs[0]);
    free(image->member_crcs[index]);
    image->member_crcs[index] = VARVE_TAKE(copy);
    return true;
}
