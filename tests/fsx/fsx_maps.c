/* SPDX-License-Identifier: Apache-2.0 */
/* fsx_maps.c - files in memory. A mapping outlives the descriptor it was made by. */
#include "fsx.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

/* How much of it can be touched: behind the end of the file is SIGBUS. */
static uint64_t
usable(const struct fsx_map *map)
{
    uint64_t size = map->object->size;
    if (map->offset >= size)
        return 0;
    return size - map->offset < map->length ? size - map->offset : map->length;
}

static void
choose_part(struct fsx *f, const struct fsx_object *object, uint64_t *ret_offset,
            uint64_t *ret_length)
{
    *ret_offset = fsx_random(f, object->size / FSX_PAGE + 1) * FSX_PAGE;
    *ret_length = 1 + fsx_random(f, 16 * FSX_PAGE);
}

static uint8_t *
map_part(struct fsx *f, const struct fsx_handle *handle, int protection, int flags, uint64_t offset,
         uint64_t length)
{
    void *address = mmap(NULL, length, protection, flags, handle->fd, (off_t)offset);
    if (address == MAP_FAILED)
        fsx_fail_system(f, "mmap");
    return address;
}

void
fsx_do_map(struct fsx *f)
{
    const struct fsx_handle *handle = fsx_pick(f, FSX_READS);
    if (handle == NULL)
        return;
    struct fsx_map *map = &f->maps[fsx_random(f, FSX_MAPS)];
    struct fsx_object *object = handle->object;
    object->refs++;
    if (map->address != NULL)
        fsx_drop_map(f, map);
    *map = (struct fsx_map){.object = object, .writable = (handle->flags & O_ACCMODE) == O_RDWR};
    choose_part(f, object, &map->offset, &map->length);
    fsx_say(f, "map %d: %s by %d%s, %" PRIu64 " bytes at %" PRIu64, (int)(map - f->maps),
            fsx_label(f, object), (int)(handle - f->handles), map->writable ? " to write" : "",
            map->length, map->offset);
    int protection = PROT_READ | (map->writable ? PROT_WRITE : 0);
    map->address = map_part(f, handle, protection, MAP_SHARED, map->offset, map->length);
    fsx_compare(f, object, "a new mapping", map->offset, map->address, usable(map));
    fsx_check_stat(f, object, FSX_SAME);
}

static struct fsx_map *
pick_map(struct fsx *f, bool writable)
{
    unsigned first = (unsigned)fsx_random(f, FSX_MAPS);
    for (unsigned i = 0; i < FSX_MAPS; i++) {
        struct fsx_map *map = &f->maps[(first + i) % FSX_MAPS];
        if (map->address != NULL && (map->writable || !writable))
            return map;
    }
    return NULL;
}

void
fsx_do_map_write(struct fsx *f)
{
    struct fsx_map *map = pick_map(f, true);
    uint64_t most = map == NULL ? 0 : usable(map);
    if (most == 0)
        return;
    uint64_t at = fsx_random(f, most), size = 1 + fsx_random(f, most - at);
    bool sync = fsx_chance(f, 2);
    fsx_say(f, "write by map %d of %s: %" PRIu64 " bytes at %" PRIu64 "%s", (int)(map - f->maps),
            fsx_label(f, map->object), size, map->offset + at, sync ? ", msync" : "");
    fsx_fill(f, f->buffer, size);
    memcpy(map->address + at, f->buffer, size);
    fsx_model_write(f, map->object, map->offset + at, f->buffer, size);
    /* A page that is dirty already tells nobody of further writes: the time is that of the first.
     */
    bool first = !map->object->loose;
    map->object->loose = true;
    if (sync && msync(map->address, map->length, MS_SYNC) != 0)
        fsx_fail_system(f, "msync");
    fsx_check_stat(f, map->object, sync && first ? FSX_CHANGED : FSX_MAYBE);
}

void
fsx_do_map_read(struct fsx *f)
{
    const struct fsx_map *map = pick_map(f, false);
    if (map == NULL)
        return;
    fsx_say(f, "read by map %d of %s", (int)(map - f->maps), fsx_label(f, map->object));
    fsx_compare(f, map->object, "an old mapping", map->offset, map->address, usable(map));
}

/* What is written to a private mapping stays there. */
void
fsx_do_map_private(struct fsx *f)
{
    const struct fsx_handle *handle = fsx_pick(f, FSX_READS);
    if (handle == NULL || handle->object->size == 0)
        return;
    struct fsx_map map = {.object = handle->object};
    choose_part(f, map.object, &map.offset, &map.length);
    fsx_say(f, "private map of %s by %d, %" PRIu64 " bytes at %" PRIu64, fsx_label(f, map.object),
            (int)(handle - f->handles), map.length, map.offset);
    map.address = map_part(f, handle, PROT_READ | PROT_WRITE, MAP_PRIVATE, map.offset, map.length);
    fsx_compare(f, map.object, "a private mapping", map.offset, map.address, usable(&map));
    memset(map.address, 0xee, usable(&map));
    if (munmap(map.address, map.length) != 0)
        fsx_fail_system(f, "munmap");
    fsx_check_stat(f, map.object, FSX_SAME);
}

void
fsx_do_unmap(struct fsx *f)
{
    struct fsx_map *map = pick_map(f, false);
    if (map == NULL)
        return;
    struct fsx_object *object = map->object;
    fsx_say(f, "unmap %d of %s", (int)(map - f->maps), fsx_label(f, object));
    fsx_drop_map(f, map);
    if (object->used)
        fsx_check_stat(f, object, FSX_SAME);
}
