/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/grow.h>

#define FIRST 64u

void *
varve_grow(void *list, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return list;
    size_t wanted = *capacity == 0 ? FIRST : 2 * *capacity;
    void *grown = reallocarray(list, wanted, size);
    if (grown != NULL)
        *capacity = wanted;
    return grown;
}
