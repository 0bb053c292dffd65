/* image.h - the bytes of a disc, made on demand: UDF 2.50 with metadata partition and mirror, user
 * files, /varve.
 *
 * The layout is a pure function of identity and manifest; no image is ever staged. Any cluster can
 * be rendered at any time once the image is *learned*; before that, clusters are rendered once each
 * in ascending order, and learning collects what the late files (inodes.jsonl, SHA256SUMS,
 * crc32c.bin) need. The same identity and manifest give the same bytes for ever: a disc that fails
 * is burned again from them.
 *
 * An image belongs to one thread at a time; a learned one may be rendered by several. Format:
 * docs/format.md, ECMA-167 3rd edition and OSTA UDF 2.50. */
#ifndef VARVE_IMAGE_H
#define VARVE_IMAGE_H

#include <varve/manifest.h>
#include <varve/random.h>

#define VARVE_FORMAT_VERSION 1

/* What a disc says of itself in its anchors and in /varve/disc.json. No barcode: the same image may
 * have to be burned onto another blank. */
struct varve_disc_identity {
    struct varve_uuid archive, set, disc;
    char archive_name[64];
    uint64_t set_number; /* sequence number of the set in the archive */
    uint32_t data_discs, parity_discs;
    uint32_t index;     /* 0..N-1 data, N..N+M-1 parity */
    int64_t created_ns; /* of the plan: every disc of the set has the same */
};

/* Where the pieces of one disc are: in sectors and bytes from the start of the disc. */
struct varve_extent {
    uint64_t lba, bytes;
};
struct varve_disc_map {
    uint64_t clusters; /* of the whole image */
    struct varve_extent disc_json, inodes, sums, crcs;
    struct varve_extent parity; /* bytes 0 on data discs */
};

/* Gives bytes of a file: record `record` of the manifest, `offset` within its piece; or, on a
 * parity disc, of parity.bin (record SIZE_MAX). Exactly `size` bytes or an error. */
struct varve_image_source {
    void *context;
    bool (*read)(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
                 struct varve_error *err);
};

struct varve_image;
/* Running upper bound of a data disc while a planner adds records to it. Zero-initialise. Plain
 * data: copy it to try and go back. */
struct varve_image_cost {
    uint64_t metadata_bytes; /* ICBs and directories */
    uint64_t data_sectors;
    uint64_t late_bytes; /* lines of inodes.jsonl and SHA256SUMS */
};
/* All may be called with upper bounds. `path_bytes`: the longest of its paths; `names`: how many it
 * has; `xattr_bytes`: names and values together. */
void varve_image_cost_file(struct varve_image_cost *cost, size_t path_bytes, size_t names,
                           uint64_t piece_bytes, size_t xattr_bytes);
/* A directory on the way to a file (or just recorded), or a record without content (`target_bytes`
 * of a symlink). A record with several names counts as a file of 0 bytes. */
void varve_image_cost_other(struct varve_image_cost *cost, size_t path_bytes, size_t xattr_bytes,
                            size_t target_bytes);
uint64_t varve_image_cost_clusters(const struct varve_image_cost *cost);
/* Longest data image (in clusters) whose parity still fits a disc of `disc_clusters` in a set of
 * `data_discs`; 0 if none does. */
uint64_t varve_image_clusters_max(uint64_t disc_clusters, unsigned data_discs);

/* A data disc. Takes the manifest on success only; sets lba and path in its records. INVALID if a
 * record is impossible (a file whose parent directory has no record, ...). */
VARVE_MUST_CHECK bool
varve_image_new_data(const struct varve_disc_identity *identity, struct varve_manifest *manifest,
                     struct varve_image **ret, struct varve_error *err);
/* A parity disc: parity.bin of `parity_clusters`, and the CRC tables of all data discs. `members`
 * has one map per data disc. */
VARVE_MUST_CHECK bool
varve_image_new_parity(const struct varve_disc_identity *identity,
                       const struct varve_disc_map *members, uint64_t parity_clusters,
                       struct varve_image **ret, struct varve_error *err);
void varve_image_free(struct varve_image *image);
VARVE_DEFINE_CLEANUP(struct varve_image, varve_image_free)

const struct varve_disc_map *varve_image_map(const struct varve_image *image);
/* The manifest with lba, path and (once learned) digests; NULL on a parity disc. */
const struct varve_manifest *varve_image_manifest(const struct varve_image *image);

/* Renders cluster `cluster` of the image. Before the image is learned: ascending from 0, each once;
 * what is rendered is learned on the way (digests of pieces, CRC of clusters). Beyond the end:
 * zeros (parity covers the longest image). */
VARVE_MUST_CHECK bool varve_image_render(struct varve_image *image, uint64_t cluster,
                                         const struct varve_image_source *source,
                                         uint8_t ret[VARVE_CLUSTER_BYTES], struct varve_error *err);
bool varve_image_learned(const struct varve_image *image);
/* CRC32C of every cluster (map->clusters of them), once learned; valid as long as the image. */
const uint32_t *varve_image_crcs(const struct varve_image *image);
/* Makes an image learned again after a restart, from its CRCs; the manifest came with its digests.
 * CORRUPT: the clusters that are made of the plan alone are no longer the same (another version of
 * varve, another manifest). */
VARVE_MUST_CHECK bool varve_image_relearn(struct varve_image *image, const uint32_t *crcs,
                                          uint64_t count, struct varve_error *err);
/* Parity discs: the SHA-256 of parity.bin, learned by rendering (NULL before). Keep it with the
 * CRCs and give it back before varve_image_relearn(): SHA256SUMS names it. */
const struct varve_digest *varve_image_parity_digest(const struct varve_image *image);
void varve_image_set_parity_digest(struct varve_image *image, const struct varve_digest *digest);
/* Parity discs: the CRC table of data disc `index`, before rendering starts. Copies. */
VARVE_MUST_CHECK bool
varve_image_set_member_crcs(struct varve_image *image, uint32_t index, const uint32_t *crcs,
                            uint64_t count, struct varve_error *err);

#endif
