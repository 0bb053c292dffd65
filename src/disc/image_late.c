/* SPDX-License-Identifier: Apache-2.0 */
#include "image_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <varve/byteorder.h>

/* The part of a text file [offset, offset + size) that `piece`, which stands at `at`, covers. */
static void
copy_overlap(const struct varve_buffer *piece, uint64_t at, uint64_t offset, uint8_t *ret,
             size_t size)
{
    uint64_t from = at > offset ? at : offset;
    uint64_t piece_end = at + piece->size, end = offset + size;
    uint64_t to = piece_end < end ? piece_end : end;
    if (from < to)
        memcpy(&ret[from - offset], &piece->data[from - at], to - from);
}

/* Index of the last of offsets[0..count) that is not after `offset`. */
static size_t
find_line(const uint64_t *offsets, size_t count, uint64_t offset)
{
    size_t low = 0, high = count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (offsets[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

bool
varve_image_inodes(const struct varve_image *image, uint64_t offset, uint8_t *ret, size_t size,
                   struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer line = {0};
    const struct varve_manifest *manifest = image->manifest;
    size_t i = find_line(image->inode_offsets, manifest->count, offset);
    for (; i < manifest->count && image->inode_offsets[i] < offset + size; i++) {
        varve_buffer_clear(&line);
        varve_record_encode(&manifest->records[i], &line);
        if (!varve_buffer_ok(&line, err))
            return false;
        assert(line.size == image->inode_offsets[i + 1] - image->inode_offsets[i]);
        copy_overlap(&line, image->inode_offsets[i], offset, ret, size);
    }
    return true;
}

static const struct varve_digest *
digest_of(const struct varve_image *image, const struct varve_tree_node *node)
{
    switch ((enum varve_own)node->own) {
    case VARVE_OWN_NONE:
        return &image->manifest->records[node->record].digest;
    case VARVE_OWN_README:
        return &image->readme_digest;
    case VARVE_OWN_FORMAT:
        return &image->format_digest;
    case VARVE_OWN_DISC_JSON:
        return &image->disc_json_digest;
    case VARVE_OWN_PARITY:
        return &image->parity_digest;
    case VARVE_OWN_INODES: /* tables have checksums of their own, or would need their own sum */
    case VARVE_OWN_SUMS:
    case VARVE_OWN_CRCS:
        return NULL;
    }
    return NULL;
}

void
varve_image_sum_lines(const struct varve_image *image, uint32_t node_index,
                      struct varve_buffer *ret)
{
    const struct varve_tree_node *node = &image->tree->nodes[node_index];
    const struct varve_digest *digest = digest_of(image, node);
    if (digest == NULL)
        return;
    char hex[VARVE_SHA256_HEX_BYTES];
    varve_digest_format(digest, hex);
    for (uint32_t i = 0; i < node->link_count; i++) {
        varve_buffer_printf(ret, "%s  ", hex);
        varve_tree_path(image->tree, node->first_link + i, ret);
        varve_buffer_text(ret, "\n");
    }
}

bool
varve_image_sums(const struct varve_image *image, uint64_t offset, uint8_t *ret, size_t size,
                 struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer lines = {0};
    const struct varve_tree *tree = image->tree;
    size_t files = tree->node_count - tree->directory_count;
    size_t i = find_line(image->sum_offsets, files, offset);
    for (; i < files && image->sum_offsets[i] < offset + size; i++) {
        varve_buffer_clear(&lines);
        varve_image_sum_lines(image, tree->directory_count + (uint32_t)i, &lines);
        if (!varve_buffer_ok(&lines, err))
            return false;
        assert(lines.size == image->sum_offsets[i + 1] - image->sum_offsets[i]);
        copy_overlap(&lines, image->sum_offsets[i], offset, ret, size);
    }
    return true;
}

bool
varve_image_crc_block(const struct varve_image *image, uint64_t block,
                      uint8_t ret[VARVE_CLUSTER_BYTES], struct varve_error *err)
{
    if (block == 0) {
        varve_crc_header_encode(&image->identity.set, image->sections, image->section_count, ret);
        return true;
    }
    uint32_t section = image->section_count - 1;
    while (varve_crc_section_first(image->sections, section) > block)
        section--;
    const struct varve_crc_section *of = &image->sections[section];
    const uint32_t *crcs =
        of->disc == image->identity.index ? image->crcs : image->member_crcs[of->disc];
    if (crcs == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "the CRCs of disc %" PRIu32 " of the set were not given", of->disc);
    uint64_t first =
        (block - varve_crc_section_first(image->sections, section)) * VARVE_CRC_BLOCK_ENTRIES;
    memset(ret, 0, VARVE_CLUSTER_BYTES);
    for (uint64_t i = 0; i < VARVE_CRC_BLOCK_ENTRIES && first + i < of->covered; i++)
        varve_put_le32(&ret[4 * i], crcs[first + i]);
    varve_crc_block_finish(ret);
    return true;
}
