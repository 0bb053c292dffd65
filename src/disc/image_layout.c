/* SPDX-License-Identifier: Apache-2.0 */
#include "image_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "anchor.h"
#include "record.h"

/* Metadata blocks: 0 file set, 1 terminator, 2.. one ICB per node, AEDs, directories. */
enum { FIRST_ICB = 2, PARENT_FID_BYTES = 40 };

static uint32_t
blocks_of(uint64_t bytes)
{
    return (uint32_t)varve_sectors_of(bytes);
}

static bool
size_directory(struct varve_image *image, uint32_t index, struct varve_error *err)
{
    struct varve_tree *tree = image->tree;
    struct varve_tree_node *node = &tree->nodes[index];
    uint64_t bytes = PARENT_FID_BYTES;
    for (uint32_t i = 0; i < node->entries; i++) {
        struct varve_tree_link *link = &tree->links[tree->order[node->first_entry + i]];
        link->offset = (uint32_t)bytes;
        bytes += varve_udf_fid_bytes(link->name);
        if (bytes > VARVE_UDF_EXTENT_BYTES_MAX)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "a directory of %" PRIu32 " names is too large for UDF",
                                   node->entries);
    }
    node->bytes = bytes;
    return true;
}

static bool
find_aeds(struct varve_image *image, struct varve_error *err)
{
    const struct varve_tree *tree = image->tree;
    for (uint32_t i = tree->directory_count; i < tree->node_count; i++)
        image->aed_count += varve_udf_extents(tree->nodes[i].bytes) > VARVE_UDF_EFE_EXTENTS;
    image->aed_nodes = calloc((size_t)image->aed_count + 1, sizeof image->aed_nodes[0]);
    if (image->aed_nodes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu32 " AEDs", image->aed_count);
    uint32_t count = 0;
    for (uint32_t i = tree->directory_count; i < tree->node_count; i++) {
        if (varve_udf_extents(tree->nodes[i].bytes) > VARVE_UDF_EFE_EXTENTS)
            image->aed_nodes[count++] = i;
    }
    return true;
}

static bool
lay_out_metadata(struct varve_image *image, struct varve_error *err)
{
    struct varve_tree *tree = image->tree;
    if (!find_aeds(image, err))
        return false;
    image->aed_block = FIRST_ICB + tree->node_count;
    uint64_t block = (uint64_t)image->aed_block + image->aed_count;
    for (uint32_t i = 0; i < tree->directory_count; i++) {
        if (!size_directory(image, i, err))
            return false;
        tree->nodes[i].block = (uint32_t)block;
        block += blocks_of(tree->nodes[i].bytes);
    }
    block = varve_round_up_cluster(block);
    if (block * VARVE_SECTOR_BYTES > VARVE_UDF_METADATA_EXTENTS_MAX * VARVE_UDF_EXTENT_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "%" PRIu64 " blocks of metadata are too many for UDF", block);
    image->volume.metadata_blocks = block;
    return true;
}

/* Paths of records that are in the tree; lba and path of all others are cleared. */
static bool
set_paths(struct varve_image *image, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    const struct varve_tree *tree = image->tree;
    for (size_t i = 0; i < image->manifest->count; i++) {
        struct varve_record *record = &image->manifest->records[i];
        free(record->path);
        record->path = NULL;
        record->lba = 0;
    }
    for (uint32_t i = 0; i < tree->node_count; i++) {
        const struct varve_tree_node *node = &tree->nodes[i];
        if (node->record == VARVE_NO_RECORD || node->link_count == 0)
            continue;
        varve_buffer_clear(&path);
        varve_tree_path(tree, node->first_link, &path);
        if (!varve_buffer_ok(&path, err))
            return false;
        struct varve_record *record = &image->manifest->records[node->record];
        record->path = strdup(varve_buffer_string(&path));
        if (record->path == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "path '%s'",
                                   varve_buffer_string(&path));
        if (i >= tree->directory_count && record->size == 0)
            varve_sha256_of("", 0, &record->digest);
    }
    return true;
}

/* Length of inodes.jsonl: every number that is not known yet has a fixed width. */
static bool
measure_inodes(struct varve_image *image, uint64_t *ret, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer line = {0};
    const struct varve_manifest *manifest = image->manifest;
    image->inode_offsets = calloc(manifest->count + 1, sizeof image->inode_offsets[0]);
    if (image->inode_offsets == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%zu records", manifest->count);
    for (size_t i = 0; i < manifest->count; i++) {
        varve_buffer_clear(&line);
        varve_record_encode(&manifest->records[i], &line);
        if (!varve_buffer_ok(&line, err))
            return false;
        if (line.size > VARVE_RECORD_LINE_BYTES_MAX)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "inode %" PRIu64 ": its record is longer than 1 MiB",
                                   manifest->records[i].ino);
        image->inode_offsets[i + 1] = image->inode_offsets[i] + line.size;
    }
    *ret = image->inode_offsets[manifest->count];
    return true;
}

static bool
measure_sums(struct varve_image *image, uint64_t *ret, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer lines = {0};
    const struct varve_tree *tree = image->tree;
    uint32_t files = tree->node_count - tree->directory_count;
    image->sum_offsets = calloc((size_t)files + 1, sizeof image->sum_offsets[0]);
    if (image->sum_offsets == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu32 " files", files);
    for (uint32_t i = 0; i < files; i++) {
        varve_buffer_clear(&lines);
        varve_image_sum_lines(image, tree->directory_count + i, &lines);
        if (!varve_buffer_ok(&lines, err))
            return false;
        image->sum_offsets[i + 1] = image->sum_offsets[i] + lines.size;
    }
    *ret = image->sum_offsets[files];
    return true;
}

static bool
make_disc_json(struct varve_image *image, struct varve_error *err)
{
    varve_buffer_clear(&image->disc_json);
    varve_disc_json_encode(&image->identity, &image->map, image->members, &image->disc_json);
    return varve_buffer_ok(&image->disc_json, err);
}

static bool
measure_own(struct varve_image *image, struct varve_tree_node *node, struct varve_error *err)
{
    switch ((enum varve_own)node->own) {
    case VARVE_OWN_NONE: /* a user's file knows its size */
    case VARVE_OWN_CRCS: /* depends on the length of the image, and comes last */
        return true;
    case VARVE_OWN_README:
        varve_readme_make(&image->identity, &image->readme);
        node->bytes = image->readme.size;
        return varve_buffer_ok(&image->readme, err);
    case VARVE_OWN_FORMAT:
        node->bytes = varve_format_txt_bytes;
        return true;
    case VARVE_OWN_DISC_JSON:
        if (!make_disc_json(image, err))
            return false;
        node->bytes = image->disc_json.size;
        return true;
    case VARVE_OWN_PARITY:
        node->bytes = image->parity_clusters * VARVE_CLUSTER_BYTES;
        return true;
    case VARVE_OWN_INODES:
        return measure_inodes(image, &node->bytes, err);
    case VARVE_OWN_SUMS:
        return measure_sums(image, &node->bytes, err);
    }
    return false;
}

/* The table lists every cluster of the image, its own among them: lengthen it until it suffices. */
static void
size_crc_table(struct varve_image *image, struct varve_tree_node *node)
{
    uint64_t rest = varve_round_up_cluster(node->lba) / VARVE_CLUSTER_SECTORS;
    rest += image->volume.metadata_blocks / VARVE_CLUSTER_SECTORS + 1 + VARVE_UDF_TAIL_CLUSTERS;
    image->map.crcs.lba = node->lba;
    uint64_t blocks = 0, need = 1;
    while (blocks < need) {
        blocks = need;
        image->map.clusters = rest + blocks;
        image->section_count =
            varve_crc_sections(&image->identity, &image->map, image->members, image->sections);
        need = varve_crc_section_first(image->sections, image->section_count);
    }
    node->bytes = blocks * VARVE_CLUSTER_BYTES;
    image->map.crcs.bytes = node->bytes;
}

static void
note_extent(struct varve_image *image, const struct varve_tree_node *node)
{
    struct varve_extent extent = {.lba = node->lba, .bytes = node->bytes};
    switch ((enum varve_own)node->own) {
    case VARVE_OWN_NONE:
        if (node->bytes > 0)
            image->manifest->records[node->record].lba = node->lba;
        break;
    case VARVE_OWN_README:
    case VARVE_OWN_FORMAT:
        break;
    case VARVE_OWN_DISC_JSON:
        image->map.disc_json = extent;
        break;
    case VARVE_OWN_PARITY:
        image->map.parity = extent;
        break;
    case VARVE_OWN_INODES:
        image->map.inodes = extent;
        break;
    case VARVE_OWN_SUMS:
        image->map.sums = extent;
        break;
    case VARVE_OWN_CRCS:
        image->map.crcs = extent;
        break;
    }
}

static bool
lay_out_data(struct varve_image *image, struct varve_error *err)
{
    struct varve_tree *tree = image->tree;
    image->data_lba = VARVE_UDF_METADATA_LBA + image->volume.metadata_blocks;
    uint64_t lba = image->data_lba;
    for (uint32_t i = tree->directory_count; i < tree->node_count; i++) {
        struct varve_tree_node *node = &tree->nodes[i];
        if (!measure_own(image, node, err))
            return false;
        /* One damaged cluster then costs one block of the table, or one stripe of parity. */
        if (node->own == VARVE_OWN_CRCS || node->own == VARVE_OWN_PARITY)
            lba = varve_round_up_cluster(lba);
        node->lba = lba;
        if (node->own == VARVE_OWN_CRCS)
            size_crc_table(image, node);
        note_extent(image, node);
        lba += varve_sectors_of(node->bytes);
        if (lba > UINT32_MAX)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "an image of more than 2^32 sectors is too large for UDF");
    }
    image->data_end_lba = lba;
    return true;
}

static void
lay_out_volume(struct varve_image *image)
{
    struct varve_udf_volume *volume = &image->volume;
    const struct varve_tree *tree = image->tree;
    volume->mirror_lba = image->data_end_lba; /* crc32c.bin ends with its cluster */
    volume->mirror_fe_lba = volume->mirror_lba + volume->metadata_blocks;
    volume->partition_sectors =
        volume->mirror_fe_lba + VARVE_CLUSTER_SECTORS - VARVE_UDF_PARTITION_LBA;
    volume->sectors = image->map.clusters * VARVE_CLUSTER_SECTORS;
    assert(volume->sectors == volume->mirror_fe_lba + VARVE_CLUSTER_SECTORS +
                                  VARVE_UDF_TAIL_CLUSTERS * VARVE_CLUSTER_SECTORS);
    volume->time_ns = image->identity.created_ns;
    volume->next_unique_id = UINT64_C(16) + tree->node_count + tree->link_count;
    volume->files = tree->node_count - tree->directory_count;
    volume->directories = tree->directory_count;
    varve_label_make(&image->identity, image->identity.index, volume->label);
    /* The first 16 characters are what blkid shows as UUID. */
    char disc[VARVE_UUID_TEXT_BYTES], set[VARVE_UUID_TEXT_BYTES];
    varve_uuid_format(&image->identity.disc, disc);
    varve_uuid_format(&image->identity.set, set);
    (void)snprintf(volume->set_id, sizeof volume->set_id, "%.8s%.4s%.4s%.4s%.12s varve set %s",
                   &disc[0], &disc[9], &disc[14], &disc[19], &disc[24], set);
}

bool
varve_image_lay_out(struct varve_image *image, struct varve_error *err)
{
    if (!lay_out_metadata(image, err))
        return false;
    if (image->manifest != NULL && !set_paths(image, err))
        return false;
    if (!lay_out_data(image, err))
        return false;
    if (image->map.clusters > VARVE_IMAGE_CLUSTERS_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "an image of more than 2^32 sectors is too large for UDF");
    lay_out_volume(image);
    size_t planned = image->disc_json.size;
    if (!make_disc_json(image, err))
        return false;
    assert(image->disc_json.size == planned);
    varve_sha256_of(image->readme.data, image->readme.size, &image->readme_digest);
    varve_sha256_of(varve_format_txt, varve_format_txt_bytes, &image->format_digest);
    varve_sha256_of(image->disc_json.data, image->disc_json.size, &image->disc_json_digest);
    return varve_anchor_encode(&image->identity, &image->map, image->anchor, err);
}
