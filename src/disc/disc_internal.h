/* disc_internal.h - the two halves of the reader. */
#ifndef VARVE_DISC_DISC_INTERNAL_H
#define VARVE_DISC_DISC_INTERNAL_H

#include <varve/disc.h>

/* Bytes of /varve/disc.json found through the disc's file system (libudfread), when no anchor can
 * be read. WRONG_DISC: there is no such file system or file. */
VARVE_MUST_CHECK bool varve_disc_find_json(const struct varve_cluster_source *source,
                                           struct varve_buffer *ret, struct varve_error *err);

#endif
