/* disc.h - reading a disc of ours from any cluster source: anchors, tables, manifest, checked
 * clusters.
 *
 * Needs no catalog, no changer and no UDF: three anchors (first sector, sector 96, near the end)
 * tell where everything is; when all three are damaged the file system is asked instead. Everything
 * read is untrusted (INV-9). A varve_disc belongs to one thread at a time and borrows the source.
 */
#ifndef VARVE_DISC_H
#define VARVE_DISC_H

#include <varve/image.h>

/* Image file or device node as a source; `clusters` counts whole clusters (a last partial one is
 * lost). */
struct varve_image_file;
VARVE_MUST_CHECK bool
varve_image_file_open(const char *path, struct varve_image_file **ret, struct varve_error *err);
void varve_image_file_close(struct varve_image_file *file);
VARVE_DEFINE_CLEANUP(struct varve_image_file, varve_image_file_close)
const struct varve_cluster_source *varve_image_file_source(const struct varve_image_file *file);

struct varve_disc;
/* WRONG_DISC: not a varve disc (or nothing of it can be found); INVALID: made by a newer format
 * version. */
VARVE_MUST_CHECK bool varve_disc_open(const struct varve_cluster_source *source,
                                      struct varve_disc **ret, struct varve_error *err);
void varve_disc_close(struct varve_disc *disc);
VARVE_DEFINE_CLEANUP(struct varve_disc, varve_disc_close)

const struct varve_disc_identity *varve_disc_identity(const struct varve_disc *disc);
const struct varve_disc_map *varve_disc_map(const struct varve_disc *disc);
/* Parity discs: the maps of the N data discs (from disc.json; where that is damaged their lengths
 * only, extents of 0 bytes); NULL on data discs. */
const struct varve_disc_map *varve_disc_members(const struct varve_disc *disc);

/* CRC of cluster `cluster` of set member `index` as this disc knows it (itself, or on a parity disc
 * any data disc). False: not known here (damaged part of the table, a late cluster of a data disc
 * seen from itself). */
bool varve_disc_crc(struct varve_disc *disc, uint32_t index, uint64_t cluster, uint32_t *ret);
/* Reads and checks against the own table. CORRUPT: does not match. Clusters with no known CRC come
 * back unchecked with *ret_checked false. */
VARVE_MUST_CHECK bool
varve_disc_read(struct varve_disc *disc, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
                bool *ret_checked, struct varve_error *err);
/* Bytes of an extent, through varve_disc_read; CORRUPT names the first bad cluster. */
VARVE_MUST_CHECK bool
varve_disc_read_extent(struct varve_disc *disc, const struct varve_extent *extent, uint64_t offset,
                       uint8_t *ret, size_t size, struct varve_error *err);
/* The manifest of a data disc. */
VARVE_MUST_CHECK bool
varve_disc_manifest(struct varve_disc *disc, struct varve_manifest **ret, struct varve_error *err);

#endif
