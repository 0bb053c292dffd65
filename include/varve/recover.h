/* recover.h - the discs of one set read together, whole although some are damaged or lost. No
 * catalog.
 *
 * Each member is offered as a cluster source; what a member cannot give (missing, read error, CRC
 * mismatch) is decoded from the others as long as no stripe has more than M losses (INV-10). Every
 * cluster handed out was checked (INV-12) or is refused. The exceptions are the last clusters of a
 * disc, its own tables: without any parity disc at hand nobody knows their CRCs on a data disc, and
 * on a parity disc nobody ever does, so where they cannot be made again they are handed out as
 * read; the digests of files still tell. One thread at a time. Borrows the sources. */
#ifndef VARVE_RECOVER_H
#define VARVE_RECOVER_H

#include <varve/disc.h>

struct varve_recovery;
struct varve_recovery *varve_recovery_new(void); /* NULL when out of memory */
void varve_recovery_free(struct varve_recovery *recovery);
VARVE_DEFINE_CLEANUP(struct varve_recovery, varve_recovery_free)

/* Adds a disc. `name` (copied) is used in messages: a path or barcode. WRONG_DISC: it belongs to
 * another set (names both); EXISTS: this member is there already. A set is known from its first
 * disc on. */
VARVE_MUST_CHECK bool
varve_recovery_add(struct varve_recovery *recovery, const char *name,
                   const struct varve_cluster_source *source, struct varve_error *err);
/* Adds a disc whose anchors, file system and tables are all unreadable, as member `index`: the
 * operator's word, proven by the CRCs that the parity discs hold (WRONG_DISC if less than half of
 * the clusters match). */
VARVE_MUST_CHECK bool
varve_recovery_add_as(struct varve_recovery *recovery, const char *name, uint32_t index,
                      const struct varve_cluster_source *source, struct varve_error *err);

const struct varve_disc_identity *
varve_recovery_set(const struct varve_recovery *recovery); /* index is meaningless */
bool varve_recovery_present(const struct varve_recovery *recovery, uint32_t index);
/* Map of a member, present or not; false if no disc at hand tells it. */
bool varve_recovery_map(const struct varve_recovery *recovery, uint32_t index,
                        struct varve_disc_map *ret);

/* Member `index` as a source that is whole: repaired where needed. Valid as long as the recovery.
 * UNRECOVERABLE from its read names cluster and lost members. */
VARVE_MUST_CHECK bool
varve_recovery_source(struct varve_recovery *recovery, uint32_t index,
                      const struct varve_cluster_source **ret, struct varve_error *err);
/* A parity disc that is made anew is a new disc: its UUID, before its source is asked for. Without
 * it, one is derived from the set and the index. Data discs keep theirs. */
void varve_recovery_name_disc(struct varve_recovery *recovery, uint32_t index,
                              const struct varve_uuid *disc);
/* What was repaired so far: clusters decoded for member `index`. */
uint64_t varve_recovery_repaired(const struct varve_recovery *recovery, uint32_t index);
/* The manifest of data disc `index`, whole. */
VARVE_MUST_CHECK bool varve_recovery_manifest(struct varve_recovery *recovery, uint32_t index,
                                              struct varve_manifest **ret, struct varve_error *err);

#endif
