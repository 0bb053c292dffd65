/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/byteorder.h>

#include "names.h"
#include "udf.h"
#include "udf_codec.h"

enum { EFE_HEAD = 216, AED_HEAD = 24, LONG_AD = 16, NEXT_EXTENT = 3 };

uint64_t
varve_udf_extents(uint64_t bytes)
{
    return bytes / VARVE_UDF_EXTENT_BYTES_MAX + (bytes % VARVE_UDF_EXTENT_BYTES_MAX != 0);
}

/* POSIX bits as UDF has them; whoever may write may delete, the owner may change attributes. */
static uint32_t
permissions(uint32_t mode)
{
    enum { OTHER_DELETE = 1 << 4, GROUP_DELETE = 1 << 9, OWNER_DELETE = 1 << 14 };
    enum { OWNER_CHATTR = 1 << 13 };
    uint32_t bits = (mode & 07) | (mode & 070) << 2 | (mode & 0700) << 4 | OWNER_CHATTR;
    bits |= (mode & S_IWOTH) != 0 ? OTHER_DELETE : 0;
    bits |= (mode & S_IWGRP) != 0 ? GROUP_DELETE : 0;
    bits |= (mode & S_IWUSR) != 0 ? OWNER_DELETE : 0;
    return bits;
}

static uint16_t
icb_flags(const struct varve_udf_icb *icb)
{
    enum { SHORT_ADS = 0, LONG_ADS = 1, SETUID = 1 << 6, SETGID = 1 << 7, STICKY = 1 << 8 };
    uint32_t flags = icb->directory ? SHORT_ADS : LONG_ADS;
    flags |= (icb->mode & S_ISUID) != 0 ? SETUID : 0;
    flags |= (icb->mode & S_ISGID) != 0 ? SETGID : 0;
    flags |= (icb->mode & S_ISVTX) != 0 ? STICKY : 0;
    return (uint16_t)flags;
}

/* Extents `first`.. of the file, at most `count`; the number of bytes used. */
static uint32_t
encode_extents(const struct varve_udf_icb *icb, uint64_t first, uint64_t count, uint8_t *ret)
{
    uint64_t total = varve_udf_extents(icb->bytes), i = first;
    uint32_t used = 0;
    for (; i < total && i - first < count; i++) {
        uint64_t offset = i * VARVE_UDF_EXTENT_BYTES_MAX, left = icb->bytes - offset;
        uint64_t bytes = left < VARVE_UDF_EXTENT_BYTES_MAX ? left : VARVE_UDF_EXTENT_BYTES_MAX;
        varve_udf_long_ad(&ret[used], (uint32_t)bytes,
                          (uint32_t)(icb->data_block + offset / VARVE_SECTOR_BYTES),
                          VARVE_UDF_PARTITION_PHYSICAL);
        used += LONG_AD;
    }
    return used;
}

static uint32_t
encode_allocation(const struct varve_udf_icb *icb, uint8_t *ret)
{
    if (icb->directory) {
        assert(icb->bytes <= VARVE_UDF_EXTENT_BYTES_MAX);
        varve_udf_extent(ret, (uint32_t)icb->bytes, icb->data_block);
        return 8;
    }
    if (icb->aed_block == 0)
        return encode_extents(icb, 0, VARVE_UDF_EFE_EXTENTS, ret);
    uint32_t used = encode_extents(icb, 0, VARVE_UDF_EFE_EXTENTS - 1, ret);
    varve_udf_long_ad(&ret[used], VARVE_SECTOR_BYTES | (uint32_t)NEXT_EXTENT << 30, icb->aed_block,
                      VARVE_UDF_PARTITION_METADATA);
    return used + LONG_AD;
}

/* ECMA-167 4/14.17. */
void
varve_udf_icb_encode(const struct varve_udf_icb *icb, uint8_t block[VARVE_SECTOR_BYTES])
{
    enum { DIRECTORY = 4, REGULAR = 5 };
    uint64_t blocks = icb->bytes / VARVE_SECTOR_BYTES + (icb->bytes % VARVE_SECTOR_BYTES != 0);
    varve_put_le16(&block[20], 4); /* strategy */
    varve_put_le16(&block[24], 1);
    block[27] = icb->directory ? DIRECTORY : REGULAR;
    varve_put_le16(&block[34], icb_flags(icb));
    varve_put_le32(&block[36], icb->uid);
    varve_put_le32(&block[40], icb->gid);
    varve_put_le32(&block[44], permissions(icb->mode));
    varve_put_le16(&block[48], icb->links);
    varve_put_le64(&block[56], icb->bytes);
    varve_put_le64(&block[64], icb->bytes);
    varve_put_le64(&block[72], blocks);
    varve_udf_timestamp(&block[80], icb->atime_ns);
    varve_udf_timestamp(&block[92], icb->mtime_ns);
    varve_udf_timestamp(&block[104], icb->btime_ns);
    varve_udf_timestamp(&block[116], icb->ctime_ns);
    varve_put_le32(&block[128], 1);
    varve_udf_implementation_id(&block[168]);
    varve_put_le64(&block[200], icb->unique_id);
    uint32_t used = encode_allocation(icb, &block[EFE_HEAD]);
    varve_put_le32(&block[212], used);
    varve_udf_tag(block, VARVE_UDF_TAG_EFE, EFE_HEAD + used, icb->block);
}

void
varve_udf_aed_encode(const struct varve_udf_icb *icb, uint8_t block[VARVE_SECTOR_BYTES])
{
    uint32_t used =
        encode_extents(icb, VARVE_UDF_EFE_EXTENTS - 1, VARVE_UDF_AED_EXTENTS, &block[AED_HEAD]);
    varve_put_le32(&block[20], used);
    varve_udf_tag(block, VARVE_UDF_TAG_AED, AED_HEAD + used, icb->aed_block);
}

static uint32_t
padded(size_t bytes)
{
    return (uint32_t)(bytes + 3) & ~UINT32_C(3);
}

uint32_t
varve_udf_fid_bytes(const char *name)
{
    uint8_t coded[VARVE_CS0_BYTES_MAX];
    size_t size = strlen(name);
    size_t used = size == 0 ? 0 : varve_cs0_encode(name, size, sizeof coded, coded);
    return padded(VARVE_UDF_FID_BYTES + used);
}

/* ECMA-167 4/14.4. */
uint32_t
varve_udf_fid_encode(const struct varve_udf_fid *fid, uint8_t ret[VARVE_UDF_FID_BYTES_MAX])
{
    enum { DIRECTORY = 2, PARENT = 8 };
    memset(ret, 0, VARVE_UDF_FID_BYTES_MAX);
    size_t size = strlen(fid->name);
    size_t used = size == 0 ? 0
                            : varve_cs0_encode(fid->name, size, VARVE_CS0_BYTES_MAX,
                                               &ret[VARVE_UDF_FID_BYTES]);
    assert(used > 0 || fid->parent);
    varve_put_le16(&ret[16], 1);
    ret[18] = (uint8_t)((fid->directory ? DIRECTORY : 0) | (fid->parent ? PARENT : 0));
    ret[19] = (uint8_t)used;
    varve_udf_long_ad(&ret[20], VARVE_SECTOR_BYTES, fid->icb_block, VARVE_UDF_PARTITION_METADATA);
    varve_put_le32(&ret[32], fid->unique_id); /* implementation use of the long_ad, UDF 2.3.4.3 */
    uint32_t bytes = padded(VARVE_UDF_FID_BYTES + used);
    varve_udf_tag(ret, VARVE_UDF_TAG_FID, bytes, fid->block);
    return bytes;
}
