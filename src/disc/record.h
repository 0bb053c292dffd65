/* record.h - what the two halves of the record codec share. Format: docs/format.md, inodes.jsonl.
 */
#ifndef VARVE_DISC_RECORD_H
#define VARVE_DISC_RECORD_H

#include <varve/manifest.h>

#define VARVE_RECORD_TYPES 5
/* Names in the order of enum varve_record_type. */
extern const char *const varve_record_types[VARVE_RECORD_TYPES];

#define VARVE_RECORD_LBA_DIGITS 10
#define VARVE_RECORD_LINE_BYTES_MAX (1u << 20)
#define VARVE_RECORD_NUMBER_MAX INT64_MAX /* what JSON readers hold */

/* What both directions insist on, so that every line written can be read: mode and type agree,
 * names are single path components, the piece lies within the file, the path stays inside the disc.
 * `kind` is the error's. */
VARVE_MUST_CHECK bool varve_record_check(const struct varve_record *record,
                                         enum varve_error_kind kind, struct varve_error *err);

#endif
