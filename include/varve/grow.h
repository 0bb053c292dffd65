/* SPDX-License-Identifier: Apache-2.0 */
/* grow.h - lists that get longer one by one. Pure, any thread. */
#ifndef VARVE_GROW_H
#define VARVE_GROW_H

#include <stddef.h>
#include <varve/cleanup.h>

/* `list` (malloc'd, or NULL) with room for one more than `count` elements of `size` bytes each: as
 * it is, or of twice the capacity; *capacity, in elements, follows. NULL: out of memory, and then
 * `list` and *capacity are what they were. */
VARVE_MUST_CHECK void *varve_grow(void *list, size_t *capacity, size_t count, size_t size);

#endif
