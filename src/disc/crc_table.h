/* crc_table.h - where the CRC of which cluster stands in /varve/crc32c.bin. Pure.
 * Format: docs/format.md. */
#ifndef VARVE_DISC_CRC_TABLE_H
#define VARVE_DISC_CRC_TABLE_H

#include <varve/image.h>

#define VARVE_CRC_BLOCK_ENTRIES 16383u /* the 16384th word is the block's own CRC */

struct varve_crc_section {
    uint32_t disc; /* member whose clusters it lists */
    uint64_t clusters;
    uint64_t covered; /* leading clusters whose CRC is there */
};

uint64_t varve_crc_section_blocks(uint64_t clusters);
/* First block of section `section`; with section == count, the blocks of the whole table. */
uint64_t varve_crc_section_first(const struct varve_crc_section *sections, uint32_t section);
/* The table's sections: of a data disc itself, of a parity disc all data discs and itself.
 * `members` may be NULL on data discs. Returns their number. */
uint32_t varve_crc_sections(const struct varve_disc_identity *identity,
                            const struct varve_disc_map *map, const struct varve_disc_map *members,
                            struct varve_crc_section ret[VARVE_SET_DISCS_MAX + 1]);
void varve_crc_header_encode(const struct varve_uuid *set, const struct varve_crc_section *sections,
                             uint32_t count, uint8_t ret[VARVE_CLUSTER_BYTES]);
/* The sections that a header block names; at most VARVE_SET_DISCS_MAX + 1, each at most as long as
 * a disc can be. CORRUPT otherwise. */
VARVE_MUST_CHECK bool varve_crc_header_decode(const uint8_t block[VARVE_CLUSTER_BYTES],
                                              struct varve_crc_section ret[VARVE_SET_DISCS_MAX + 1],
                                              uint32_t *ret_count, struct varve_error *err);
/* Appends the block's own CRC to the entries that are there. */
void varve_crc_block_finish(uint8_t block[VARVE_CLUSTER_BYTES]);
bool varve_crc_block_valid(const uint8_t block[VARVE_CLUSTER_BYTES]);

#endif
