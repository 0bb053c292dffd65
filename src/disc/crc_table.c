/* SPDX-License-Identifier: Apache-2.0 */
#include "crc_table.h"

#include <string.h>
#include <varve/byteorder.h>
#include <varve/checksum.h>
#include <varve/cursor.h>

#include "anchor.h"

enum { CRC_AT = VARVE_CLUSTER_BYTES - 4, SECTIONS = 32, SECTION_BYTES = 32 };
static const char magic[] = "VARVECRC";

uint64_t
varve_crc_section_blocks(uint64_t clusters)
{
    return (clusters + VARVE_CRC_BLOCK_ENTRIES - 1) / VARVE_CRC_BLOCK_ENTRIES;
}

uint64_t
varve_crc_section_first(const struct varve_crc_section *sections, uint32_t section)
{
    uint64_t block = 1; /* the header */
    for (uint32_t i = 0; i < section; i++)
        block += varve_crc_section_blocks(sections[i].clusters);
    return block;
}

uint32_t
varve_crc_sections(const struct varve_disc_identity *identity, const struct varve_disc_map *map,
                   const struct varve_disc_map *members,
                   struct varve_crc_section ret[VARVE_SET_DISCS_MAX + 1])
{
    uint32_t count = 0;
    for (uint32_t i = 0; members != NULL && i < identity->data_discs; i++)
        ret[count++] = (struct varve_crc_section){
            .disc = i, .clusters = members[i].clusters, .covered = members[i].clusters};
    /* A disc cannot know the CRCs of the clusters that hold them, nor of those burned after. */
    ret[count++] = (struct varve_crc_section){.disc = identity->index,
                                              .clusters = map->clusters,
                                              .covered = map->crcs.lba / VARVE_CLUSTER_SECTORS};
    return count;
}

void
varve_crc_header_encode(const struct varve_uuid *set, const struct varve_crc_section *sections,
                        uint32_t count, uint8_t ret[VARVE_CLUSTER_BYTES])
{
    memset(ret, 0, VARVE_CLUSTER_BYTES);
    memcpy(&ret[0], magic, 8);
    varve_put_le32(&ret[8], VARVE_FORMAT_VERSION);
    varve_put_le32(&ret[12], count);
    memcpy(&ret[16], set->bytes, sizeof set->bytes);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *section = &ret[SECTIONS + SECTION_BYTES * i];
        varve_put_le32(&section[0], sections[i].disc);
        varve_put_le32(&section[4], (uint32_t)varve_crc_section_first(sections, i));
        varve_put_le64(&section[8], sections[i].clusters);
        varve_put_le64(&section[16], sections[i].covered);
    }
    varve_crc_block_finish(ret);
}

bool
varve_crc_header_decode(const uint8_t block[VARVE_CLUSTER_BYTES],
                        struct varve_crc_section ret[VARVE_SET_DISCS_MAX + 1], uint32_t *ret_count,
                        struct varve_error *err)
{
    if (memcmp(block, magic, 8) != 0 || !varve_crc_block_valid(block))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "crc32c.bin: no valid header");
    struct varve_cursor cursor = varve_cursor_new(block, CRC_AT);
    uint32_t count = 0, first = 0;
    uint64_t spare = 0;
    if (!varve_cursor_seek(&cursor, 12) || !varve_cursor_le32(&cursor, &count) ||
        !varve_cursor_seek(&cursor, SECTIONS) || count == 0 || count > VARVE_SET_DISCS_MAX + 1)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "crc32c.bin: %u sections", count);
    for (uint32_t i = 0; i < count; i++) {
        struct varve_crc_section *section = &ret[i];
        bool whole =
            varve_cursor_le32(&cursor, &section->disc) && varve_cursor_le32(&cursor, &first) &&
            varve_cursor_le64(&cursor, &section->clusters) &&
            varve_cursor_le64(&cursor, &section->covered) && varve_cursor_le64(&cursor, &spare);
        if (!whole || section->clusters > VARVE_IMAGE_CLUSTERS_MAX ||
            section->covered > section->clusters || first != varve_crc_section_first(ret, i))
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "crc32c.bin: section %u", i);
    }
    *ret_count = count;
    return true;
}

void
varve_crc_block_finish(uint8_t block[VARVE_CLUSTER_BYTES])
{
    varve_put_le32(&block[CRC_AT], varve_crc32c(0, block, CRC_AT));
}

bool
varve_crc_block_valid(const uint8_t block[VARVE_CLUSTER_BYTES])
{
    return varve_get_le32(&block[CRC_AT]) == varve_crc32c(0, block, CRC_AT);
}
