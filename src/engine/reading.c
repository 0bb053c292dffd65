/* SPDX-License-Identifier: Apache-2.0 */
/* What the time that reading took says of a disc: it ages before it fails (fault 28). */
#include "engine_internal.h"

#include <inttypes.h>

/* Clusters of a thousand that may be slow without a word: drives change their speed at layers and
 * zones. */
#define SLOW_PER_MILLE 2u

void
reading_tell(struct drive *drive)
{
    struct varve_read_health reads;
    varve_drive_read_health(drive_handle(drive), &reads);
    bool slow = reads.slow * 1000 > reads.clusters * SLOW_PER_MILLE;
    if (!slow && reads.recovered == 0 && reads.retried == 0)
        return;
    varve_log(VARVE_LOG_WARNING,
              "disc '%s' in library '%s', drive %u reads with effort: %" PRIu64 " of %" PRIu64
              " clusters slow (first %" PRIu64 ", last %" PRIu64 ", worst %" PRIu64 " with %" PRId64
              " ms), %" PRIu64 " corrected, %" PRIu64 " read again; what matches is good. Read it "
              "in another drive ('varve disc verify %s'), and look at other discs of its batch",
              drive->disc.text, drive->engine->libraries[drive->library].name, drive->number,
              reads.slow, reads.clusters, reads.first_slow, reads.last_slow, reads.worst_cluster,
              reads.worst_ns / VARVE_NS_PER_MS, reads.recovered, reads.retried, drive->disc.text);
}
