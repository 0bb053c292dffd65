/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <varve/byteorder.h>

#include "udf.h"
#include "udf_codec.h"

/* Offsets below are those of the standard's tables (RBP columns); the widths follow from them. */

static void
encode_vrs(uint64_t index, uint8_t *block)
{
    static const char *const ids[] = {"BEA01", "NSR03", "TEA01"};
    memcpy(&block[1], ids[index], 5);
    block[6] = 1;
}

static void
encode_avdp(const struct varve_udf_volume *volume, uint32_t lba, uint8_t *block)
{
    uint32_t reserve = (uint32_t)(volume->sectors - 256);
    varve_udf_extent(&block[16], VARVE_SECTOR_BYTES * 16, VARVE_UDF_VDS_LBA);
    varve_udf_extent(&block[24], VARVE_SECTOR_BYTES * 16, reserve);
    varve_udf_tag(block, VARVE_UDF_TAG_AVDP, 512, lba);
}

/* ECMA-167 3/10.1. */
static void
encode_pvd(const struct varve_udf_volume *volume, uint32_t lba, uint8_t *block)
{
    varve_udf_dstring(&block[24], 32, volume->label);
    varve_put_le16(&block[56], 1); /* volume 1 of 1: a real volume set confuses readers */
    varve_put_le16(&block[58], 1);
    varve_put_le16(&block[60], 2);
    varve_put_le16(&block[62], 2);
    varve_put_le32(&block[64], 1);
    varve_put_le32(&block[68], 1);
    varve_udf_dstring(&block[72], 128, volume->set_id);
    varve_udf_charspec(&block[200]);
    varve_udf_charspec(&block[264]);
    varve_udf_implementation_id(&block[344]); /* application */
    varve_udf_timestamp(&block[376], volume->time_ns);
    varve_udf_implementation_id(&block[388]);
    varve_udf_tag(block, VARVE_UDF_TAG_PVD, 512, lba);
}

/* UDF 2.50 2.2.10: where the metadata file and its mirror are. */
static void
encode_metadata_map(const struct varve_udf_volume *volume, uint8_t *map)
{
    map[0] = 2;
    map[1] = 64;
    varve_udf_udf_id(&map[4], "*UDF Metadata Partition");
    varve_put_le16(&map[36], 1);
    varve_put_le32(&map[40], 0); /* main file entry: first block of the partition */
    varve_put_le32(&map[44], (uint32_t)(volume->mirror_fe_lba - VARVE_UDF_PARTITION_LBA));
    varve_put_le32(&map[48], UINT32_MAX); /* no bitmap on a read-only partition (DCN-5102) */
    varve_put_le32(&map[52], VARVE_CLUSTER_SECTORS);
    varve_put_le16(&map[56], VARVE_CLUSTER_SECTORS);
    map[58] = 1; /* the mirror is a real duplicate */
}

/* ECMA-167 3/10.6. */
static void
encode_lvd(const struct varve_udf_volume *volume, uint32_t lba, uint8_t *block)
{
    enum { MAPS = 440, TYPE1_BYTES = 6, MAPS_BYTES = TYPE1_BYTES + 64 };
    varve_udf_charspec(&block[20]);
    varve_udf_dstring(&block[84], 128, volume->label);
    varve_put_le32(&block[212], VARVE_SECTOR_BYTES);
    varve_udf_domain_id(&block[216]);
    varve_udf_long_ad(&block[248], 2 * VARVE_SECTOR_BYTES, 0, VARVE_UDF_PARTITION_METADATA);
    varve_put_le32(&block[264], MAPS_BYTES);
    varve_put_le32(&block[268], 2);
    varve_udf_implementation_id(&block[272]);
    varve_udf_extent(&block[432], 2 * VARVE_SECTOR_BYTES, VARVE_UDF_LVID_LBA);
    block[MAPS] = 1;
    block[MAPS + 1] = TYPE1_BYTES;
    varve_put_le16(&block[MAPS + 2], 1);
    encode_metadata_map(volume, &block[MAPS + TYPE1_BYTES]);
    varve_udf_tag(block, VARVE_UDF_TAG_LVD, MAPS + MAPS_BYTES, lba);
}

/* ECMA-167 3/10.5. */
static void
encode_pd(const struct varve_udf_volume *volume, uint32_t lba, uint8_t *block)
{
    varve_put_le16(&block[20], 1);
    memcpy(&block[25], "+NSR03", 6);
    varve_put_le32(&block[184], 1); /* read only */
    varve_put_le32(&block[188], VARVE_UDF_PARTITION_LBA);
    varve_put_le32(&block[192], (uint32_t)volume->partition_sectors);
    varve_udf_implementation_id(&block[196]);
    varve_udf_tag(block, VARVE_UDF_TAG_PD, 512, lba);
}

/* UDF 2.2.7. */
static void
encode_iuvd(const struct varve_udf_volume *volume, uint32_t lba, uint8_t *block)
{
    varve_udf_udf_id(&block[20], "*UDF LV Info");
    varve_udf_charspec(&block[52]);
    varve_udf_dstring(&block[116], 128, volume->label);
    varve_udf_implementation_id(&block[352]);
    varve_udf_tag(block, VARVE_UDF_TAG_IUVD, 512, lba);
}

/* PVD first: Linux then tries the reserve sequence when the whole cluster is unreadable, and
 * udfclient 0.8.11 crashes on any other order. */
static bool
encode_vds(const struct varve_udf_volume *volume, uint64_t index, uint32_t lba, uint8_t *block)
{
    switch (index) {
    case 0:
        encode_pvd(volume, lba, block);
        break;
    case 1:
        encode_lvd(volume, lba, block);
        break;
    case 2:
        encode_pd(volume, lba, block);
        break;
    case 3:
        varve_put_le32(&block[16], 3);
        varve_udf_tag(block, VARVE_UDF_TAG_USD, 24, lba);
        return true;
    case 4:
        encode_iuvd(volume, lba, block);
        break;
    case 5:
        varve_udf_terminator(lba, block);
        return true;
    }
    return index < VARVE_UDF_VDS_SECTORS;
}

void
varve_udf_terminator(uint32_t location, uint8_t block[VARVE_SECTOR_BYTES])
{
    varve_udf_tag(block, VARVE_UDF_TAG_TD, 512, location);
}

/* ECMA-167 3/10.10 with UDF 2.2.6: closed, with the full implementation use (Linux refuses less).
 */
static void
encode_lvid(const struct varve_udf_volume *volume, uint8_t *block)
{
    enum { USE = 96, USE_BYTES = 46 };
    varve_udf_timestamp(&block[16], volume->time_ns);
    varve_put_le32(&block[28], 1);
    varve_put_le64(&block[40], volume->next_unique_id);
    varve_put_le32(&block[72], 2);
    varve_put_le32(&block[76], USE_BYTES);
    varve_put_le32(&block[88], (uint32_t)volume->partition_sectors);
    varve_put_le32(&block[92], (uint32_t)volume->metadata_blocks);
    varve_udf_implementation_id(&block[USE]);
    varve_put_le32(&block[USE + 32], volume->files);
    varve_put_le32(&block[USE + 36], volume->directories);
    for (size_t i = 0; i < 3; i++) /* read, write, highest written */
        varve_put_le16(&block[USE + 40 + 2 * i], VARVE_UDF_REVISION);
    varve_udf_tag(block, VARVE_UDF_TAG_LVID, USE + USE_BYTES, VARVE_UDF_LVID_LBA);
}

/* UDF 2.2.13: short_ads, contiguous. More than one extent only above 1 GiB of metadata. */
static void
encode_metadata_file(const struct varve_udf_volume *volume, uint64_t lba, uint8_t *block)
{
    enum { MAIN_FILE = 250, MIRROR_FILE = 251, ADS = 216 };
    bool mirror = lba == volume->mirror_fe_lba;
    uint64_t bytes = volume->metadata_blocks * VARVE_SECTOR_BYTES;
    uint64_t at = (mirror ? volume->mirror_lba : VARVE_UDF_METADATA_LBA) - VARVE_UDF_PARTITION_LBA;
    varve_put_le16(&block[20], 4);
    varve_put_le16(&block[24], 1);
    block[27] = mirror ? MIRROR_FILE : MAIN_FILE;
    varve_put_le32(&block[36], UINT32_MAX);
    varve_put_le32(&block[40], UINT32_MAX);
    varve_put_le64(&block[56], bytes);
    varve_put_le64(&block[64], bytes);
    varve_put_le64(&block[72], volume->metadata_blocks);
    for (size_t i = 0; i < 4; i++)
        varve_udf_timestamp(&block[80 + 12 * i], volume->time_ns);
    varve_put_le32(&block[128], 1);
    varve_udf_implementation_id(&block[168]);
    uint32_t count = 0;
    for (; bytes > 0; count++) {
        uint64_t step = bytes < VARVE_UDF_EXTENT_BYTES_MAX ? bytes : VARVE_UDF_EXTENT_BYTES_MAX;
        varve_udf_extent(&block[ADS + 8 * count], (uint32_t)step, (uint32_t)at);
        at += step / VARVE_SECTOR_BYTES;
        bytes -= step;
    }
    varve_put_le32(&block[212], 8 * count);
    varve_udf_tag(block, VARVE_UDF_TAG_EFE, ADS + 8 * count,
                  (uint32_t)(lba - VARVE_UDF_PARTITION_LBA));
}

bool
varve_udf_volume_sector(const struct varve_udf_volume *volume, uint64_t lba,
                        uint8_t block[VARVE_SECTOR_BYTES])
{
    uint64_t last = volume->sectors - 1, reserve = last - 255;
    if (lba >= VARVE_UDF_VRS_LBA && lba < VARVE_UDF_VRS_LBA + 3)
        encode_vrs(lba - VARVE_UDF_VRS_LBA, block);
    else if (lba >= VARVE_UDF_VDS_LBA && lba < VARVE_UDF_VDS_LBA + VARVE_UDF_VDS_SECTORS)
        return encode_vds(volume, lba - VARVE_UDF_VDS_LBA, (uint32_t)lba, block);
    else if (lba >= reserve && lba < reserve + VARVE_UDF_VDS_SECTORS)
        return encode_vds(volume, lba - reserve, (uint32_t)lba, block);
    else if (lba == VARVE_UDF_LVID_LBA)
        encode_lvid(volume, block);
    else if (lba == VARVE_UDF_LVID_LBA + 1)
        varve_udf_terminator((uint32_t)lba, block);
    else if (lba == VARVE_UDF_AVDP_LBA || lba == last - 256 || lba == last)
        encode_avdp(volume, (uint32_t)lba, block);
    else if (lba == VARVE_UDF_PARTITION_LBA || lba == volume->mirror_fe_lba)
        encode_metadata_file(volume, lba, block);
    else
        return false;
    return true;
}

/* ECMA-167 4/14.1. */
void
varve_udf_file_set(const struct varve_udf_volume *volume, uint32_t root,
                   uint8_t block[VARVE_SECTOR_BYTES])
{
    varve_udf_timestamp(&block[16], volume->time_ns);
    varve_put_le16(&block[28], 3);
    varve_put_le16(&block[30], 3);
    varve_put_le32(&block[32], 1);
    varve_put_le32(&block[36], 1);
    varve_udf_charspec(&block[48]);
    varve_udf_dstring(&block[112], 128, volume->label);
    varve_udf_charspec(&block[240]);
    varve_udf_dstring(&block[304], 32, volume->label);
    varve_udf_long_ad(&block[400], VARVE_SECTOR_BYTES, root, VARVE_UDF_PARTITION_METADATA);
    varve_udf_domain_id(&block[416]);
    varve_udf_tag(block, VARVE_UDF_TAG_FSD, 512, 0);
}
