/* names.h - file names as UDF can hold them (OSTA CS0) and as every reader tested takes them. Pure,
 * any thread. */
#ifndef VARVE_DISC_NAMES_H
#define VARVE_DISC_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Linux shows at most 254 bytes of UTF-8; a UDF name has at most 255 bytes with its compression id.
 */
#define VARVE_UDF_NAME_BYTES_MAX 254
#define VARVE_CS0_BYTES_MAX 255

/* UTF-8 as OSTA compressed unicode: id 8 (Latin-1) where it fits, else 16 (UTF-16 big-endian).
 * Number of bytes, 0 if it is not UTF-8 or needs more than `bytes_max` (<= 255). */
size_t varve_cs0_encode(const char *text, size_t size, size_t bytes_max, uint8_t *ret);

/* The name can be stored as it is. */
bool varve_name_exact(const char *name, size_t size);

/* A legal name near `name`: bytes that are not UTF-8, control characters, '/' and '\' become '_';
 * then `mark` (""; "~1"...) before the extension and `tail` (".part-0001-of-0003") at the end, the
 * rest shortened until it fits UDF and, if it can, `bytes_max` bytes. With `whole` the name has no
 * extension (directories). Returns the length. */
struct varve_name_wish {
    const char *name, *mark, *tail;
    size_t bytes_max;
    bool whole;
};
size_t varve_name_make(const struct varve_name_wish *wish, char ret[VARVE_UDF_NAME_BYTES_MAX + 1]);

#endif
