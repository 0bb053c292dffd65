/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/byteorder.h>
#include <varve/cursor.h>

struct varve_cursor
varve_cursor_new(const void *data, uint64_t size)
{
    return (struct varve_cursor){.data = data, .size = size};
}

bool
varve_cursor_take(struct varve_cursor *cursor, uint64_t count, const uint8_t **ret)
{
    if (cursor->failed || count > cursor->size - cursor->at) {
        cursor->failed = true;
        return false;
    }
    *ret = &cursor->data[cursor->at];
    cursor->at += count;
    return true;
}

bool
varve_cursor_skip(struct varve_cursor *cursor, uint64_t count)
{
    const uint8_t *ignored;
    return varve_cursor_take(cursor, count, &ignored);
}

bool
varve_cursor_seek(struct varve_cursor *cursor, uint64_t at)
{
    if (cursor->failed || at > cursor->size) {
        cursor->failed = true;
        return false;
    }
    cursor->at = at;
    return true;
}

uint64_t
varve_cursor_left(const struct varve_cursor *cursor)
{
    return cursor->failed ? 0 : cursor->size - cursor->at;
}

bool
varve_cursor_sub(struct varve_cursor *cursor, uint64_t count, struct varve_cursor *ret)
{
    const uint8_t *bytes;
    if (!varve_cursor_take(cursor, count, &bytes))
        return false;
    *ret = varve_cursor_new(bytes, count);
    return true;
}

#define DEFINE_READER(name, type, width, getter)                                                   \
    bool varve_cursor_##name(struct varve_cursor *cursor, type *ret)                               \
    {                                                                                              \
        const uint8_t *bytes;                                                                      \
        *ret = 0;                                                                                  \
        if (!varve_cursor_take(cursor, width, &bytes))                                             \
            return false;                                                                          \
        *ret = getter(bytes);                                                                      \
        return true;                                                                               \
    }

#define GET_U8(bytes) ((bytes)[0])
DEFINE_READER(u8, uint8_t, 1, GET_U8)
DEFINE_READER(le16, uint16_t, 2, varve_get_le16)
DEFINE_READER(le32, uint32_t, 4, varve_get_le32)
DEFINE_READER(le64, uint64_t, 8, varve_get_le64)
DEFINE_READER(be16, uint16_t, 2, varve_get_be16)
DEFINE_READER(be24, uint32_t, 3, varve_get_be24)
DEFINE_READER(be32, uint32_t, 4, varve_get_be32)
