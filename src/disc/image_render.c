/* SPDX-License-Identifier: Apache-2.0 */
#include "image_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "anchor.h"

#define FIRST_ICB 2u /* after the file set and its terminator */

/* ---- metadata ---- */

static uint64_t
unique_id(const struct varve_image *image, uint32_t link_index)
{
    const struct varve_tree_link *link = &image->tree->links[link_index];
    /* The first name of an inode carries its id (15 + node >= 16), further ones have their own. */
    if (image->tree->nodes[link->node].first_link == link_index)
        return UINT64_C(15) + link->node;
    return UINT64_C(16) + image->tree->node_count + link_index;
}

static struct varve_udf_icb
describe_node(const struct varve_image *image, uint32_t index)
{
    const struct varve_tree_node *node = &image->tree->nodes[index];
    bool directory = index < image->tree->directory_count;
    int64_t created = image->identity.created_ns;
    struct varve_udf_icb icb = {
        .block = FIRST_ICB + index,
        .directory = directory,
        .mode = directory ? 0555 : 0444,
        .atime_ns = created,
        .mtime_ns = created,
        .ctime_ns = created,
        .btime_ns = created,
        .links = (uint16_t)(directory ? 1u + node->subdirectories : node->link_count),
        .unique_id = index == VARVE_TREE_ROOT ? 0 : UINT64_C(15) + index,
        .bytes = node->bytes,
        .data_block = directory ? node->block : (uint32_t)(node->lba - VARVE_UDF_PARTITION_LBA),
    };
    if (node->record != VARVE_NO_RECORD) {
        const struct varve_record *record = &image->manifest->records[node->record];
        icb.mode = record->mode;
        icb.uid = record->uid;
        icb.gid = record->gid;
        icb.atime_ns = record->atime_ns;
        icb.mtime_ns = record->mtime_ns;
        icb.ctime_ns = record->ctime_ns;
        icb.btime_ns = record->btime_ns;
    }
    if (!directory && varve_udf_extents(node->bytes) > VARVE_UDF_EFE_EXTENTS) {
        icb.aed_block = image->aed_block;
        while (image->aed_nodes[icb.aed_block - image->aed_block] != index)
            icb.aed_block++;
    }
    return icb;
}

static void
copy_window(const uint8_t *bytes, uint32_t size, uint32_t at, uint32_t window,
            uint8_t block[VARVE_SECTOR_BYTES])
{
    uint32_t end = at + size, window_end = window + VARVE_SECTOR_BYTES;
    uint32_t from = at > window ? at : window, to = end < window_end ? end : window_end;
    if (from < to)
        memcpy(&block[from - window], &bytes[from - at], to - from);
}

/* First entry of the directory whose FID ends after `window`. */
static uint32_t
find_entry(const struct varve_tree *tree, const struct varve_tree_node *directory, uint32_t window)
{
    uint32_t low = 0, high = directory->entries;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t next = directory->first_entry + middle + 1;
        uint64_t end = middle + 1 < directory->entries ? tree->links[tree->order[next]].offset
                                                       : directory->bytes;
        if (end <= window)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void
render_parent(const struct varve_image *image, uint32_t index, uint8_t block[VARVE_SECTOR_BYTES])
{
    const struct varve_tree *tree = image->tree;
    const struct varve_tree_node *directory = &tree->nodes[index];
    uint32_t parent =
        index == VARVE_TREE_ROOT ? VARVE_TREE_ROOT : tree->links[directory->first_link].parent;
    struct varve_udf_fid fid = {
        .block = directory->block,
        .directory = true,
        .parent = true,
        .icb_block = FIRST_ICB + parent,
        .unique_id = parent == VARVE_TREE_ROOT ? 0 : 15 + parent,
        .name = "",
    };
    uint8_t bytes[VARVE_UDF_FID_BYTES_MAX];
    copy_window(bytes, varve_udf_fid_encode(&fid, bytes), 0, 0, block);
}

static void
render_directory(const struct varve_image *image, uint32_t index, uint32_t block_index,
                 uint8_t block[VARVE_SECTOR_BYTES])
{
    const struct varve_tree *tree = image->tree;
    const struct varve_tree_node *directory = &tree->nodes[index];
    uint32_t window = block_index * VARVE_SECTOR_BYTES;
    if (window == 0)
        render_parent(image, index, block);
    for (uint32_t i = find_entry(tree, directory, window); i < directory->entries; i++) {
        uint32_t link_index = tree->order[directory->first_entry + i];
        const struct varve_tree_link *link = &tree->links[link_index];
        if (link->offset >= window + VARVE_SECTOR_BYTES)
            return;
        struct varve_udf_fid fid = {
            .block = directory->block + link->offset / VARVE_SECTOR_BYTES,
            .directory = link->node < tree->directory_count,
            .icb_block = FIRST_ICB + link->node,
            .unique_id = (uint32_t)unique_id(image, link_index),
            .name = link->name,
        };
        uint8_t bytes[VARVE_UDF_FID_BYTES_MAX];
        copy_window(bytes, varve_udf_fid_encode(&fid, bytes), link->offset, window, block);
    }
}

/* The directory that owns a block; they stand in the order of the nodes. */
static uint32_t
find_directory(const struct varve_tree *tree, uint32_t block)
{
    uint32_t low = 0, high = tree->directory_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (tree->nodes[middle].block <= block)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void
render_metadata(const struct varve_image *image, uint32_t block_index,
                uint8_t block[VARVE_SECTOR_BYTES])
{
    const struct varve_tree *tree = image->tree;
    if (block_index == 0) {
        varve_udf_file_set(&image->volume, FIRST_ICB + VARVE_TREE_ROOT, block);
    } else if (block_index == 1) {
        varve_udf_terminator(block_index, block);
    } else if (block_index < image->aed_block) {
        struct varve_udf_icb icb = describe_node(image, block_index - FIRST_ICB);
        varve_udf_icb_encode(&icb, block);
    } else if (block_index < image->aed_block + image->aed_count) {
        struct varve_udf_icb icb =
            describe_node(image, image->aed_nodes[block_index - image->aed_block]);
        varve_udf_aed_encode(&icb, block);
    } else {
        uint32_t directory = find_directory(tree, block_index);
        uint32_t within = block_index - tree->nodes[directory].block;
        if (within < varve_sectors_of(tree->nodes[directory].bytes))
            render_directory(image, directory, within, block);
    }
}

static void
render_sector(const struct varve_image *image, uint64_t lba, uint8_t block[VARVE_SECTOR_BYTES])
{
    const struct varve_udf_volume *volume = &image->volume;
    uint64_t third =
        volume->sectors - (uint64_t)VARVE_ANCHOR_CLUSTERS_FROM_END * VARVE_CLUSTER_SECTORS;
    if (lba >= VARVE_UDF_METADATA_LBA && lba < image->data_lba)
        render_metadata(image, (uint32_t)(lba - VARVE_UDF_METADATA_LBA), block);
    else if (lba >= volume->mirror_lba && lba < volume->mirror_fe_lba)
        render_metadata(image, (uint32_t)(lba - volume->mirror_lba), block);
    else if (lba == VARVE_ANCHOR_LBA_FIRST || lba == VARVE_ANCHOR_LBA_SECOND || lba == third)
        memcpy(block, image->anchor, VARVE_SECTOR_BYTES);
    else
        (void)varve_udf_volume_sector(volume, lba, block); /* or zeros */
}

/* ---- file data ---- */

/* Bytes of one file in one cluster. */
struct run {
    uint32_t node;
    uint64_t offset; /* in the file */
    size_t at;       /* in the cluster */
    size_t size;
};

/* The last file that begins at or before `lba`: of several at one place all but the last are empty.
 */
static uint32_t
find_file(const struct varve_tree *tree, uint64_t lba)
{
    uint32_t low = tree->directory_count, high = tree->node_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (tree->nodes[middle].lba <= lba)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The next run of the cluster from byte *at on, which moves behind it; false when there is none. */
static bool
next_run(const struct varve_image *image, uint64_t cluster, size_t *at, struct run *ret)
{
    const struct varve_tree *tree = image->tree;
    while (*at < VARVE_CLUSTER_BYTES) {
        uint64_t lba = cluster * VARVE_CLUSTER_SECTORS + *at / VARVE_SECTOR_BYTES;
        if (lba < image->data_lba || lba >= image->data_end_lba) {
            *at += VARVE_SECTOR_BYTES;
            continue;
        }
        uint32_t node = find_file(tree, lba);
        uint64_t offset = (lba - tree->nodes[node].lba) * VARVE_SECTOR_BYTES;
        if (offset >= tree->nodes[node].bytes) {
            *at += VARVE_SECTOR_BYTES;
            continue;
        }
        uint64_t left = tree->nodes[node].bytes - offset;
        size_t room = VARVE_CLUSTER_BYTES - *at, size = left < room ? (size_t)left : room;
        *ret = (struct run){.node = node, .offset = offset, .at = *at, .size = size};
        *at += (size_t)varve_sectors_of(size) * VARVE_SECTOR_BYTES;
        return true;
    }
    return false;
}

static bool
from_source(const struct varve_tree_node *node)
{
    return node->own == VARVE_OWN_NONE || node->own == VARVE_OWN_PARITY;
}

static bool
read_runs(const struct varve_image *image, uint64_t cluster,
          const struct varve_image_source *source, uint8_t *ret, struct varve_error *err)
{
    struct run run;
    for (size_t at = 0; next_run(image, cluster, &at, &run);) {
        const struct varve_tree_node *node = &image->tree->nodes[run.node];
        if (from_source(node) &&
            !source->read(source->context, node->record, run.offset, &ret[run.at], run.size, err))
            return false;
    }
    return true;
}

/* Each byte once, also when the cluster has to be rendered again because something else in it
 * failed. */
static void
hash_run(struct varve_image *image, uint64_t cluster, const struct run *run, const uint8_t *bytes)
{
    struct varve_tree_node *node = &image->tree->nodes[run->node];
    uint64_t position = cluster * VARVE_CLUSTER_BYTES + run->at;
    if (position < image->hashed_end)
        return;
    image->hashed_end = position + run->size;
    if (run->offset == 0)
        varve_sha256_reset(image->sha);
    varve_sha256_update(image->sha, bytes, run->size);
    if (run->offset + run->size < node->bytes)
        return;
    struct varve_digest *digest = node->own == VARVE_OWN_PARITY
                                      ? &image->parity_digest
                                      : &image->manifest->records[node->record].digest;
    varve_sha256_final(image->sha, digest);
    image->parity_known = image->parity_known || node->own == VARVE_OWN_PARITY;
}

static bool
render_own(const struct varve_image *image, const struct run *run, uint8_t *ret,
           struct varve_error *err)
{
    switch ((enum varve_own)image->tree->nodes[run->node].own) {
    case VARVE_OWN_NONE:
    case VARVE_OWN_PARITY:
        return true; /* came from the source */
    case VARVE_OWN_README:
        memcpy(ret, &image->readme.data[run->offset], run->size);
        return true;
    case VARVE_OWN_FORMAT:
        memcpy(ret, &varve_format_txt[run->offset], run->size);
        return true;
    case VARVE_OWN_DISC_JSON:
        memcpy(ret, &image->disc_json.data[run->offset], run->size);
        return true;
    case VARVE_OWN_INODES:
        return varve_image_inodes(image, run->offset, ret, run->size, err);
    case VARVE_OWN_SUMS:
        return varve_image_sums(image, run->offset, ret, run->size, err);
    case VARVE_OWN_CRCS:
        assert(run->size == VARVE_CLUSTER_BYTES && run->offset % VARVE_CLUSTER_BYTES == 0);
        return varve_image_crc_block(image, run->offset / VARVE_CLUSTER_BYTES, ret, err);
    }
    return false;
}

/* In the order of the disc: a late file may begin in the cluster in which the last piece ends, and
 * needs its digest. */
static bool
finish_runs(struct varve_image *image, uint64_t cluster, uint8_t *ret, struct varve_error *err)
{
    struct run run;
    for (size_t at = 0; next_run(image, cluster, &at, &run);) {
        if (!image->learned && from_source(&image->tree->nodes[run.node]))
            hash_run(image, cluster, &run, &ret[run.at]);
        if (!render_own(image, &run, &ret[run.at], err))
            return false;
    }
    return true;
}

static void
render_sectors(const struct varve_image *image, uint64_t cluster, uint8_t *ret)
{
    for (uint64_t i = 0; i < VARVE_CLUSTER_SECTORS; i++) {
        uint64_t lba = cluster * VARVE_CLUSTER_SECTORS + i;
        if (lba < image->data_lba || lba >= image->data_end_lba)
            render_sector(image, lba, &ret[i * VARVE_SECTOR_BYTES]);
    }
}

bool
varve_image_render(struct varve_image *image, uint64_t cluster,
                   const struct varve_image_source *source, uint8_t ret[VARVE_CLUSTER_BYTES],
                   struct varve_error *err)
{
    memset(ret, 0, VARVE_CLUSTER_BYTES);
    if (cluster >= image->map.clusters)
        return true;
    if (!image->learned && cluster != image->next)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "cluster %" PRIu64 " rendered before cluster %" PRIu64, cluster,
                               image->next);
    /* Everything that can fail for a while comes before anything is learned: a failed cluster may
     * be tried again. */
    if (!read_runs(image, cluster, source, ret, err) || !finish_runs(image, cluster, ret, err))
        return varve_error_wrap(err, "render cluster %" PRIu64, cluster);
    render_sectors(image, cluster, ret);
    if (!image->learned) {
        image->crcs[cluster] = varve_crc32c(0, ret, VARVE_CLUSTER_BYTES);
        image->next = cluster + 1;
        image->learned = image->next == image->map.clusters;
    }
    return true;
}
