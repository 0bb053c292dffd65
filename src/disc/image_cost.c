/* SPDX-License-Identifier: Apache-2.0 */
/* Upper bounds, so that a planner fills a disc without laying it out at every step. What they rest
 * on, piece by piece:
 *
 * Path on the disc. A name is kept, or cleaned byte for byte, or (Latin-1 stays, the rest too) cut.
 * It grows only by "~" and at most seven digits (VARVE_TREE_LINKS_MAX), and a directory gives up
 * letters for them, so that one of L bytes becomes at most max(L, 8): with its slash 9 bytes for 2.
 * The last component of a file may in addition get ".part-" and two numbers of at most ten digits.
 * A user's top-level "varve" grows by 8.
 *
 * CS0. One byte per character or two per UTF-16 unit: never more than twice the UTF-8, plus its id.
 *
 * JSON text. Doubled by escapes at most; base64 (4/3, and up to 3 for padding) is less. */
#include "image_internal.h"

#include "anchor.h"
#include "names.h"

enum {
    MARK_BYTES = 8,
    TAIL_BYTES = 30,                               /* ".part-" 10 "-of-" 10 */
    FID_FIXED_BYTES = VARVE_UDF_FID_BYTES + 1 + 3, /* compression id, padding */
    /* All keys of a file's line, numbers at their widest, digest and lba. */
    LINE_BYTES = 640,
    NAME_BYTES = 48, /* {"parent":<19>,"name_b64":""}, and padding */
    SUM_BYTES = 64 + 2 + 1,
};

static uint64_t
path_on_disc(uint64_t path_bytes)
{
    return path_bytes * 9 / 2 + MARK_BYTES + TAIL_BYTES + MARK_BYTES;
}

static uint64_t
name_bytes(uint64_t path_bytes)
{
    return path_bytes < VARVE_NAME_BYTES_MAX ? path_bytes : VARVE_NAME_BYTES_MAX;
}

static uint64_t
fid_bytes(uint64_t path_bytes)
{
    uint64_t name = name_bytes(path_bytes) + MARK_BYTES + TAIL_BYTES;
    uint64_t coded = 2 * name < VARVE_CS0_BYTES_MAX ? 2 * name : VARVE_CS0_BYTES_MAX;
    return FID_FIXED_BYTES + coded;
}

/* Linux lists at most 64 KiB of names per inode, and a name has a namespace of five characters or
 * more ("user."): that bounds their number, and each costs {"name_b64":"","value":""}, and padding.
 */
static uint64_t
xattrs_bytes(uint64_t xattr_bytes)
{
    enum { LIST_BYTES_MAX = 65536, NAME_BYTES_MIN = 6, FIXED_BYTES = 36, LIST_FIXED_BYTES = 16 };
    uint64_t names = xattr_bytes < LIST_BYTES_MAX ? xattr_bytes : LIST_BYTES_MAX;
    return LIST_FIXED_BYTES + names * FIXED_BYTES / NAME_BYTES_MIN + names + xattr_bytes * 4 / 3;
}

void
varve_image_cost_file(struct varve_image_cost *cost, size_t path_bytes, size_t names,
                      uint64_t piece_bytes, size_t xattr_bytes)
{
    uint64_t path = path_on_disc(path_bytes);
    bool aed = varve_udf_extents(piece_bytes) > VARVE_UDF_EFE_EXTENTS;
    cost->metadata_bytes += VARVE_SECTOR_BYTES * (aed ? 2 : 1) + names * fid_bytes(path_bytes);
    cost->data_sectors += varve_sectors_of(piece_bytes);
    cost->late_bytes += LINE_BYTES + 2 * path + xattrs_bytes(xattr_bytes) +
                        names * (NAME_BYTES + 2 * name_bytes(path_bytes) + SUM_BYTES + path);
}

void
varve_image_cost_other(struct varve_image_cost *cost, size_t path_bytes, size_t xattr_bytes,
                       size_t target_bytes)
{
    enum { PARENT_FID_BYTES = 40 };
    cost->late_bytes += LINE_BYTES + NAME_BYTES + 2 * path_on_disc(path_bytes) +
                        2 * name_bytes(path_bytes) + 2 * (uint64_t)target_bytes +
                        xattrs_bytes(xattr_bytes);
    if (target_bytes > 0)
        return; /* a symlink: not in the tree */
    /* ICB, its name, and its own list begun and ended in the middle of a block. */
    cost->metadata_bytes += 2 * VARVE_SECTOR_BYTES + PARENT_FID_BYTES + fid_bytes(path_bytes);
}

static uint64_t
clusters_of_sectors(uint64_t sectors)
{
    return varve_round_up_cluster(sectors) / VARVE_CLUSTER_SECTORS;
}

/* Clusters of a table with the CRCs of `members` discs of `member_clusters` and of a disc that has
 * `rest` clusters besides the table. */
static uint64_t
crc_table_clusters(uint64_t members, uint64_t member_clusters, uint64_t rest)
{
    uint64_t fixed = 1 + members * varve_crc_section_blocks(member_clusters), blocks = 0, need = 1;
    while (blocks < need) {
        blocks = need;
        need = fixed + varve_crc_section_blocks(rest + blocks);
    }
    return blocks;
}

enum {
    HEAD_CLUSTERS = VARVE_UDF_METADATA_LBA / VARVE_CLUSTER_SECTORS,
    MIRROR_FE_CLUSTERS = 1,
    /* File set, terminator, root, /varve, seven own files, one AED, two directories. */
    OWN_METADATA_BLOCKS = 24,
    /* disc.json: fixed text, names and numbers; per disc its label, and on parity discs its map. */
    DISC_JSON_BYTES = 2048,
    DISC_JSON_LABEL_BYTES = 160,
    DISC_JSON_MAP_BYTES = 400,
    SUMS_OWN_BYTES = 4 * 100,
};

static uint64_t
own_sectors(uint64_t maps)
{
    uint64_t disc_json =
        DISC_JSON_BYTES + DISC_JSON_LABEL_BYTES * VARVE_SET_DISCS_MAX + DISC_JSON_MAP_BYTES * maps;
    return varve_sectors_of(varve_readme_bytes_max(VARVE_SET_DISCS_MAX)) +
           varve_sectors_of(varve_format_txt_bytes) + varve_sectors_of(disc_json);
}

uint64_t
varve_image_cost_clusters(const struct varve_image_cost *cost)
{
    /* The root may have a record and user names too; late files end with a part of a sector each.
     */
    uint64_t metadata_sectors = OWN_METADATA_BLOCKS + varve_sectors_of(cost->metadata_bytes);
    uint64_t late_sectors = varve_sectors_of(cost->late_bytes + LINE_BYTES + SUMS_OWN_BYTES) + 2;
    uint64_t rest = HEAD_CLUSTERS + 2 * clusters_of_sectors(metadata_sectors) +
                    clusters_of_sectors(own_sectors(0) + cost->data_sectors + late_sectors) +
                    MIRROR_FE_CLUSTERS + VARVE_UDF_TAIL_CLUSTERS;
    return rest + crc_table_clusters(0, 0, rest);
}

static uint64_t
parity_image_clusters(uint64_t parity_clusters, unsigned data_discs)
{
    uint64_t rest = HEAD_CLUSTERS + 2 * clusters_of_sectors(OWN_METADATA_BLOCKS) +
                    clusters_of_sectors(own_sectors(data_discs)) + parity_clusters +
                    clusters_of_sectors(varve_sectors_of(SUMS_OWN_BYTES)) + MIRROR_FE_CLUSTERS +
                    VARVE_UDF_TAIL_CLUSTERS;
    return rest + crc_table_clusters(data_discs, parity_clusters, rest);
}

uint64_t
varve_image_clusters_max(uint64_t disc_clusters, unsigned data_discs)
{
    uint64_t low = 0, high = disc_clusters; /* low fits (or is 0), high does not */
    if (data_discs == 0 || data_discs > VARVE_SET_DISCS_MAX ||
        disc_clusters > VARVE_IMAGE_CLUSTERS_MAX)
        return 0;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (parity_image_clusters(middle, data_discs) <= disc_clusters)
            low = middle;
        else
            high = middle;
    }
    return low;
}
