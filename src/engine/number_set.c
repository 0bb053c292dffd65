/* SPDX-License-Identifier: Apache-2.0 */
#include "number_set.h"

#include <stdlib.h>
#include <string.h>
#include <varve/grow.h>

#define CHUNK_NUMBERS 65536u
#define LISTED_MAX 2048u /* from here on the bitmap is the smaller */
#define BITMAP_WORDS (CHUNK_NUMBERS / 64)

struct number_chunk {
    uint64_t key; /* number / CHUNK_NUMBERS */
    uint32_t listed, capacity;
    uint16_t *list; /* ascending; NULL once there is a bitmap */
    uint64_t *bitmap;
};

/* Where the chunk of this key is, or would be. */
static size_t
find_chunk(const struct number_set *set, uint64_t key)
{
    size_t low = 0, high = set->count;
    /* Most come in ascending order. */
    if (set->count > 0 && set->chunks[set->count - 1].key < key)
        return set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->chunks[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t
find_listed(const struct number_chunk *chunk, uint16_t low)
{
    uint32_t from = 0, to = chunk->listed;
    if (chunk->listed > 0 && chunk->list[chunk->listed - 1] < low)
        return chunk->listed;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (chunk->list[middle] < low)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct number_chunk *
insert_chunk(struct number_set *set, size_t at, uint64_t key)
{
    struct number_chunk *chunks =
        varve_grow(set->chunks, &set->capacity, set->count, sizeof *chunks);
    if (chunks == NULL)
        return NULL;
    set->chunks = chunks;
    memmove(&set->chunks[at + 1], &set->chunks[at], (set->count - at) * sizeof *set->chunks);
    set->chunks[at] = (struct number_chunk){.key = key};
    set->count++;
    return &set->chunks[at];
}

static void
set_bit(uint64_t *bitmap, uint16_t low)
{
    bitmap[low / 64] |= UINT64_C(1) << (low % 64);
}

static bool
make_bitmap(struct number_chunk *chunk)
{
    chunk->bitmap = calloc(BITMAP_WORDS, sizeof *chunk->bitmap);
    if (chunk->bitmap == NULL)
        return false;
    for (uint32_t i = 0; i < chunk->listed; i++)
        set_bit(chunk->bitmap, chunk->list[i]);
    free(chunk->list);
    chunk->list = NULL;
    return true;
}

static bool
add_listed(struct number_chunk *chunk, uint16_t low)
{
    uint32_t at = find_listed(chunk, low);
    if (at < chunk->listed && chunk->list[at] == low)
        return true;
    if (chunk->listed == chunk->capacity) {
        uint32_t capacity = chunk->capacity == 0 ? 4 : chunk->capacity * 2;
        uint16_t *list = realloc(chunk->list, capacity * sizeof *list);
        if (list == NULL)
            return false;
        chunk->list = list;
        chunk->capacity = capacity;
    }
    memmove(&chunk->list[at + 1], &chunk->list[at], (chunk->listed - at) * sizeof *chunk->list);
    chunk->list[at] = low;
    chunk->listed++;
    return true;
}

static bool
add_to_chunk(struct number_chunk *chunk, uint16_t low)
{
    if (chunk->bitmap == NULL && chunk->listed < LISTED_MAX)
        return add_listed(chunk, low);
    if (chunk->bitmap == NULL && !make_bitmap(chunk))
        return false;
    set_bit(chunk->bitmap, low);
    return true;
}

bool
number_set_add(struct number_set *set, uint64_t number, struct varve_error *err)
{
    uint64_t key = number / CHUNK_NUMBERS;
    size_t at = find_chunk(set, key);
    struct number_chunk *chunk = at < set->count && set->chunks[at].key == key
                                     ? &set->chunks[at]
                                     : insert_chunk(set, at, key);
    if (chunk != NULL && add_to_chunk(chunk, (uint16_t)(number % CHUNK_NUMBERS)))
        return true;
    return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "remember %zu groups of numbers", set->count);
}

bool
number_set_has(const struct number_set *set, uint64_t number)
{
    uint64_t key = number / CHUNK_NUMBERS;
    uint16_t low = (uint16_t)(number % CHUNK_NUMBERS);
    size_t at = find_chunk(set, key);
    if (at == set->count || set->chunks[at].key != key)
        return false;
    const struct number_chunk *chunk = &set->chunks[at];
    if (chunk->bitmap != NULL)
        return (chunk->bitmap[low / 64] >> (low % 64) & 1) != 0;
    uint32_t place = find_listed(chunk, low);
    return place < chunk->listed && chunk->list[place] == low;
}

void
number_set_done(struct number_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++) {
        free(set->chunks[i].list);
        free(set->chunks[i].bitmap);
    }
    free(set->chunks);
    *set = (struct number_set){0};
}
