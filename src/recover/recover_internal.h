/* recover_internal.h - shared inside src/recover. */
#ifndef VARVE_RECOVER_INTERNAL_H
#define VARVE_RECOVER_INTERNAL_H

#include <varve/erasure.h>
#include <varve/recover.h>

/* Why a member cannot give a cluster. */
enum loss { LOSS_NONE, LOSS_MISSING, LOSS_UNREADABLE, LOSS_CHECKSUM, LOSS_UNCHECKED };

/* CRCs of a run of clusters of one member. Asking discs one by one for stripes would make each of
 * them read its table again and again. */
#define CRC_RUN 4096u
struct crc_run {
    bool loaded;
    uint64_t first;
    uint32_t crc[CRC_RUN];
    bool known[CRC_RUN];
};

struct member {
    struct varve_recovery *recovery;
    uint32_t index;
    char *name; /* NULL: not present */
    const struct varve_cluster_source *source;
    struct varve_disc *disc; /* NULL: not present, or added on the operator's word */
    struct crc_run *crcs;
    uint64_t repaired;

    struct varve_cluster_source whole; /* what the caller gets */
    struct varve_disc *whole_disc;     /* on it, for its manifest */

    bool has_uuid; /* of a parity disc made anew: */
    struct varve_uuid uuid;
    struct varve_image *image;
    uint64_t rendered; /* clusters, while it learns */
};

struct varve_recovery {
    bool known; /* the set is: a disc was added */
    struct varve_disc_identity set;
    unsigned n, m;
    bool has_parity; /* a parity disc is at hand, so every data cluster's CRC should be known */
    struct member members[VARVE_SET_DISCS_MAX];

    uint8_t *stripe; /* n clusters */
    struct varve_decoder *decoder;
    unsigned have[VARVE_SET_DISCS_MAX], wanted; /* what the decoder is for */
};

/* recovery.c: member->whole_disc, a disc on the member's whole source. */
VARVE_MUST_CHECK bool recover_open_whole(struct member *member, struct varve_error *err);

/* stripe.c */
enum loss
recover_read_cluster(struct member *member, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES]);
/* Forgets CRCs: a disc was added that may know more. */
void recover_forget_crcs(struct varve_recovery *recovery);
bool recover_crc(struct member *member, uint64_t cluster, uint32_t *ret);
/* Shard `member` of stripe `stripe` from the other members. */
VARVE_MUST_CHECK bool recover_decode(struct member *member, uint64_t stripe,
                                     uint8_t ret[VARVE_CLUSTER_BYTES], struct varve_error *err);
/* The same, from the member itself if it can. */
VARVE_MUST_CHECK bool recover_shard(struct member *member, uint64_t stripe,
                                    uint8_t ret[VARVE_CLUSTER_BYTES], struct varve_error *err);
/* Reads `cluster` of the member's image: its own bytes, or repaired. A read of `whole`. */
bool recover_read_whole(void *context, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
                        struct varve_error *err);

/* parity_image.c: parity discs but for parity.bin are not covered by parity; they are made again.
 */
VARVE_MUST_CHECK bool recover_make_image(struct member *member, struct varve_error *err);
VARVE_MUST_CHECK bool recover_render(struct member *member, uint64_t cluster,
                                     uint8_t ret[VARVE_CLUSTER_BYTES], struct varve_error *err);

#endif
