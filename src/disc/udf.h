/* udf.h - UDF 2.50 structures as bytes: what to say is passed in, where each byte goes is known
 * here.
 *
 * Pure, any thread. Sources: ECMA-167 3rd edition (parts 3 and 4), OSTA UDF 2.50. All encoders fill
 * bytes of a block that the caller has zeroed. */
#ifndef VARVE_DISC_UDF_H
#define VARVE_DISC_UDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <varve/types.h>

/* Where the vital structures stand (docs/format.md); each has a cluster of its own. */
#define VARVE_UDF_VRS_LBA 16
#define VARVE_UDF_VDS_LBA 32
#define VARVE_UDF_LVID_LBA 64
#define VARVE_UDF_AVDP_LBA 256
#define VARVE_UDF_PARTITION_LBA 288
#define VARVE_UDF_METADATA_LBA 320
#define VARVE_UDF_VDS_SECTORS 6
/* Of the volume's end: reserve VDS at N-255, AVDPs at N-256 and N. */
#define VARVE_UDF_TAIL_CLUSTERS 9

/* Largest extent that is a multiple of the block. */
#define VARVE_UDF_EXTENT_BYTES_MAX ((UINT64_C(1) << 30) - VARVE_SECTOR_BYTES)
/* long_ads in an EFE and in an AED. */
#define VARVE_UDF_EFE_EXTENTS 114u
#define VARVE_UDF_AED_EXTENTS 126u
/* With one AED: 113 in the EFE, whose last descriptor points on. */
#define VARVE_UDF_FILE_EXTENTS_MAX (VARVE_UDF_EFE_EXTENTS - 1 + VARVE_UDF_AED_EXTENTS)
#define VARVE_UDF_METADATA_EXTENTS_MAX 229u
#define VARVE_UDF_FID_BYTES 38u

struct varve_udf_volume {
    char label[64];   /* UTF-8, fits a d-string of 32 */
    char set_id[128]; /* ASCII, begins with 16 characters of its own */
    int64_t time_ns;
    uint64_t sectors; /* of the image; N = sectors - 1 */
    uint64_t metadata_blocks;
    uint64_t mirror_lba, mirror_fe_lba;
    uint64_t partition_sectors;
    uint64_t next_unique_id;
    uint32_t files, directories;
};

/* Sector of the volume structures, if `lba` is one of them: VRS, VDS (both), LVID, AVDPs and the
 * two metadata file entries. False: none of them, block untouched. */
bool varve_udf_volume_sector(const struct varve_udf_volume *volume, uint64_t lba,
                             uint8_t block[VARVE_SECTOR_BYTES]);
/* File set descriptor, for metadata block 0, with the root ICB in block `root`. */
void varve_udf_file_set(const struct varve_udf_volume *volume, uint32_t root,
                        uint8_t block[VARVE_SECTOR_BYTES]);
/* Terminating descriptor at `location`. */
void varve_udf_terminator(uint32_t location, uint8_t block[VARVE_SECTOR_BYTES]);

struct varve_udf_icb {
    uint32_t block; /* of the ICB in the metadata partition */
    bool directory;
    uint32_t mode, uid, gid;
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
    uint16_t links;
    uint64_t unique_id;
    uint64_t bytes;
    uint32_t data_block; /* first block: of a directory in the metadata partition, else physical */
    uint32_t aed_block;  /* in the metadata partition; 0: not needed */
};
void varve_udf_icb_encode(const struct varve_udf_icb *icb, uint8_t block[VARVE_SECTOR_BYTES]);
/* The rest of the allocation descriptors of such a file. */
void varve_udf_aed_encode(const struct varve_udf_icb *icb, uint8_t block[VARVE_SECTOR_BYTES]);
/* Number of extents of a file of so many bytes. */
uint64_t varve_udf_extents(uint64_t bytes);

struct varve_udf_fid {
    uint32_t block; /* of the metadata partition in which the FID starts */
    bool directory, parent;
    uint32_t icb_block;
    uint32_t unique_id;
    const char *name; /* "" for the parent */
};
/* Bytes that the FID of a name takes; 40 for the parent. */
uint32_t varve_udf_fid_bytes(const char *name);
#define VARVE_UDF_FID_BYTES_MAX 296
/* Returns the number of bytes. */
uint32_t
varve_udf_fid_encode(const struct varve_udf_fid *fid, uint8_t ret[VARVE_UDF_FID_BYTES_MAX]);

#endif
