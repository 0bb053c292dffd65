/* image_internal.h - what the files of an image share: plan, late files, rendering.
 *
 * image.c makes and frees it, image_layout.c gives everything its address (after which only
 * learning changes anything), image_render.c makes clusters, image_late.c the tables that know the
 * content. */
#ifndef VARVE_DISC_IMAGE_INTERNAL_H
#define VARVE_DISC_IMAGE_INTERNAL_H

#include <varve/image.h>

#include "crc_table.h"
#include "tree.h"
#include "udf.h"

struct varve_image {
    struct varve_disc_identity identity;
    struct varve_disc_map map;
    struct varve_manifest *manifest; /* NULL on a parity disc */
    struct varve_tree *tree;
    struct varve_udf_volume volume;
    uint8_t anchor[VARVE_SECTOR_BYTES];
    struct varve_buffer readme, disc_json;
    struct varve_digest readme_digest, format_digest, disc_json_digest, parity_digest;

    uint64_t data_lba, data_end_lba;
    uint32_t aed_block;  /* first of the AEDs in the metadata partition */
    uint32_t *aed_nodes; /* files that need one, ascending */
    uint32_t aed_count;
    uint64_t *inode_offsets; /* of each record's line, and the end */
    uint64_t *sum_offsets;   /* of each file node's lines, and the end */

    /* Parity discs. */
    struct varve_disc_map *members;
    uint32_t **member_crcs;
    uint64_t parity_clusters;

    struct varve_crc_section sections[VARVE_SET_DISCS_MAX + 1];
    uint32_t section_count;

    /* Learning. */
    uint32_t *crcs;
    uint64_t next;       /* cluster to be rendered next */
    uint64_t hashed_end; /* bytes of the image before this are in `sha` or done */
    bool learned;
    bool parity_known;
    struct varve_sha256 *sha; /* of the piece that `next` is in */
};

extern const char varve_format_txt[]; /* docs/format.md */
extern const size_t varve_format_txt_bytes;

VARVE_MUST_CHECK bool varve_image_lay_out(struct varve_image *image, struct varve_error *err);

/* Upper bound of what varve_readme_make() appends for a set of so many discs. */
uint64_t varve_readme_bytes_max(uint32_t discs);
void varve_readme_make(const struct varve_disc_identity *identity, struct varve_buffer *ret);

/* Bytes [offset, offset + size) of inodes.jsonl, SHA256SUMS, crc32c.bin (one whole block). */
VARVE_MUST_CHECK bool varve_image_inodes(const struct varve_image *image, uint64_t offset,
                                         uint8_t *ret, size_t size, struct varve_error *err);
VARVE_MUST_CHECK bool varve_image_sums(const struct varve_image *image, uint64_t offset,
                                       uint8_t *ret, size_t size, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_image_crc_block(const struct varve_image *image, uint64_t block,
                      uint8_t ret[VARVE_CLUSTER_BYTES], struct varve_error *err);
/* Lines of SHA256SUMS of one file node; none for the late files. */
void
varve_image_sum_lines(const struct varve_image *image, uint32_t node, struct varve_buffer *ret);

static inline uint64_t
varve_sectors_of(uint64_t bytes)
{
    return bytes / VARVE_SECTOR_BYTES + (bytes % VARVE_SECTOR_BYTES != 0);
}
static inline uint64_t
varve_round_up_cluster(uint64_t sectors)
{
    return (sectors + VARVE_CLUSTER_SECTORS - 1) / VARVE_CLUSTER_SECTORS * VARVE_CLUSTER_SECTORS;
}

#endif
