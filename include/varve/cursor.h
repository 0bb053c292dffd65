/* cursor.h - a bounded walk over bytes that nobody vouches for (INV-9).
 *
 * Every parser of discs, devices and sockets reads through this and never by pointer arithmetic. A
 * read past the end returns false (0 bytes consumed) and makes all later reads fail too, so a
 * parser may read a whole record and test once. Pure, one thread at a time; does not own the bytes.
 */
#ifndef VARVE_CURSOR_H
#define VARVE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <varve/cleanup.h>

struct varve_cursor {
    const uint8_t *data;
    uint64_t size;
    uint64_t at;
    bool failed;
};

struct varve_cursor varve_cursor_new(const void *data, uint64_t size);

/* Points *ret at the next `count` bytes and steps over them. */
bool varve_cursor_take(struct varve_cursor *cursor, uint64_t count, const uint8_t **ret);
bool varve_cursor_skip(struct varve_cursor *cursor, uint64_t count);
/* Moves to the absolute position `at` (<= size). */
bool varve_cursor_seek(struct varve_cursor *cursor, uint64_t at);
uint64_t varve_cursor_left(const struct varve_cursor *cursor);
/* A cursor over the next `count` bytes; this one steps over them. */
bool varve_cursor_sub(struct varve_cursor *cursor, uint64_t count, struct varve_cursor *ret);

/* Values come back through `ret`, set to 0 when there are too few bytes. */
bool varve_cursor_u8(struct varve_cursor *cursor, uint8_t *ret);
bool varve_cursor_le16(struct varve_cursor *cursor, uint16_t *ret);
bool varve_cursor_le32(struct varve_cursor *cursor, uint32_t *ret);
bool varve_cursor_le64(struct varve_cursor *cursor, uint64_t *ret);
bool varve_cursor_be16(struct varve_cursor *cursor, uint16_t *ret);
bool varve_cursor_be24(struct varve_cursor *cursor, uint32_t *ret);
bool varve_cursor_be32(struct varve_cursor *cursor, uint32_t *ret);

#endif
