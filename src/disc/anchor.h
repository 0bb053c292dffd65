/* anchor.h - what a disc says of itself: the three anchor sectors and /varve/disc.json.
 *
 * Both hold the same JSON object; disc.json adds the labels of the set and, on parity discs, the
 * maps of the data discs. All numbers that the layout decides have a fixed width, so the text has
 * its length before they are known. Pure. Format: docs/format.md. */
#ifndef VARVE_DISC_ANCHOR_H
#define VARVE_DISC_ANCHOR_H

#include <varve/buffer.h>
#include <varve/image.h>

#define VARVE_ANCHOR_LBA_FIRST 0
#define VARVE_ANCHOR_LBA_SECOND 96
/* The third: first sector of the image's ninth-to-last cluster. Not nearer to the end: 7-Zip wants
 * nothing but zeros and AVDPs behind the reserve volume descriptors. */
#define VARVE_ANCHOR_CLUSTERS_FROM_END 9
#define VARVE_DISC_JSON_BYTES_MAX (1u << 20)
#define VARVE_IMAGE_CLUSTERS_MAX (UINT32_MAX / VARVE_CLUSTER_SECTORS)

/* Volume label of member `index`: "<archive>-<set, 4 digits>-<index, 3 digits>", the archive's name
 * cut so that it fits. */
#define VARVE_LABEL_BYTES 64
void varve_label_make(const struct varve_disc_identity *identity, uint32_t index,
                      char ret[VARVE_LABEL_BYTES]);

VARVE_MUST_CHECK bool
varve_anchor_encode(const struct varve_disc_identity *identity, const struct varve_disc_map *map,
                    uint8_t ret[VARVE_SECTOR_BYTES], struct varve_error *err);
/* WRONG_DISC: no anchor; INVALID: of a newer format; CORRUPT: an anchor that contradicts itself. */
VARVE_MUST_CHECK bool varve_anchor_decode(const uint8_t block[VARVE_SECTOR_BYTES],
                                          struct varve_disc_identity *ret_identity,
                                          struct varve_disc_map *ret_map, struct varve_error *err);

/* `members`: data_discs maps, or NULL. */
void
varve_disc_json_encode(const struct varve_disc_identity *identity, const struct varve_disc_map *map,
                       const struct varve_disc_map *members, struct varve_buffer *ret);
/* *ret_members is NULL unless the disc is a parity disc; to be freed. */
VARVE_MUST_CHECK bool
varve_disc_json_decode(const void *text, size_t size, struct varve_disc_identity *ret_identity,
                       struct varve_disc_map *ret_map, struct varve_disc_map **ret_members,
                       struct varve_error *err);

#endif
