/* SPDX-License-Identifier: Apache-2.0 */
#include "fsx.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool
suits(const struct fsx_handle *handle, unsigned wanted)
{
    int access = handle->flags & O_ACCMODE;
    return handle->fd >= 0 && !((wanted & FSX_READS) != 0 && access == O_WRONLY) &&
           !((wanted & FSX_WRITES) != 0 && access == O_RDONLY) &&
           !((wanted & FSX_PLAIN) != 0 && (handle->flags & (O_DIRECT | O_APPEND)) != 0);
}

void
fsx_drop_handle(struct fsx *f, struct fsx_handle *handle)
{
    if (close(handle->fd) != 0)
        fsx_fail_system(f, "close");
    handle->fd = -1;
    handle->object->refs--;
    fsx_object_dropped(handle->object);
}

void
fsx_drop_map(struct fsx *f, struct fsx_map *map)
{
    if (munmap(map->address, map->length) != 0)
        fsx_fail_system(f, "munmap");
    map->address = NULL;
    map->object->refs--;
    fsx_object_dropped(map->object);
}

void
fsx_drop_users(struct fsx *f, const struct fsx_object *object)
{
    for (unsigned i = 0; i < FSX_HANDLES; i++) {
        if (f->handles[i].fd >= 0 && (object == NULL || f->handles[i].object == object))
            fsx_drop_handle(f, &f->handles[i]);
    }
    for (unsigned i = 0; i < FSX_MAPS; i++) {
        if (f->maps[i].address != NULL && (object == NULL || f->maps[i].object == object))
            fsx_drop_map(f, &f->maps[i]);
    }
}

struct fsx_handle *
fsx_free_handle(struct fsx *f)
{
    for (unsigned i = 0; i < FSX_HANDLES; i++) {
        if (f->handles[i].fd < 0)
            return &f->handles[i];
    }
    struct fsx_handle *handle = &f->handles[fsx_random(f, FSX_HANDLES)];
    fsx_drop_handle(f, handle);
    return handle;
}

int
fsx_pick_name(struct fsx *f, bool existing)
{
    int first = (int)fsx_random(f, FSX_NAMES);
    for (int i = 0; i < FSX_NAMES; i++) {
        int name = (first + i) % FSX_NAMES;
        if ((f->names[name] != NULL) == existing)
            return name;
    }
    return -1;
}

static int
choose_flags(struct fsx *f, unsigned wanted)
{
    int flags = (wanted & FSX_READS) != 0 ? O_RDONLY : O_WRONLY;
    if ((wanted & (FSX_READS | FSX_WRITES)) == (FSX_READS | FSX_WRITES))
        flags = O_RDWR;
    if ((wanted & (FSX_READS | FSX_WRITES)) == 0 || fsx_chance(f, 3))
        flags = fsx_chance(f, 3) && (wanted & FSX_WRITES) == 0 ? O_RDONLY : O_RDWR;
    if ((wanted & FSX_PLAIN) == 0 && fsx_chance(f, 5))
        flags |= O_APPEND;
    else if ((wanted & FSX_PLAIN) == 0 && f->direct && fsx_chance(f, 4))
        flags |= O_DIRECT;
    if (flags != O_RDONLY && fsx_chance(f, 12))
        flags |= O_TRUNC;
    if (fsx_chance(f, 15))
        flags |= fsx_chance(f, 2) ? O_SYNC : O_DSYNC;
    return flags;
}

static void
flags_text(int flags, char *ret, size_t size)
{
    static const char *const access[] = {"r", "w", "rw", "?"};
    (void)snprintf(ret, size, "%s%s%s%s%s", access[flags & O_ACCMODE],
                   (flags & O_APPEND) != 0 ? " append" : "",
                   (flags & O_DIRECT) != 0 ? " direct" : "", (flags & O_TRUNC) != 0 ? " trunc" : "",
                   (flags & O_DSYNC) != 0 ? " sync" : "");
}

static void
made_new(struct fsx *f, int name, int fd)
{
    struct fsx_object *object = fsx_object_new(f);
    struct stat st;
    if (fstat(fd, &st) != 0)
        fsx_fail_system(f, "fstat of a new file");
    object->links = 1;
    object->mode = 0644;
    f->names[name] = object;
    object->mtime = st.st_mtim;
    object->ctime = st.st_ctim;
    fsx_check_stat(f, object, FSX_CHANGED);
}

static struct fsx_handle *
open_name(struct fsx *f, int name, int flags)
{
    char text[64];
    bool fresh = f->names[name] == NULL;
    struct fsx_handle *handle = fsx_free_handle(f);
    flags_text(flags, text, sizeof text);
    fsx_say(f, "open '%s' %s%s as %d", fsx_name(name), text, fresh ? " (new)" : "",
            (int)(handle - f->handles));
    if (fresh || fsx_chance(f, 3))
        flags |= O_CREAT;
    if (fresh && fsx_chance(f, 2))
        flags |= O_EXCL;
    int fd = openat(f->dir_fd, fsx_name(name), flags, 0644);
    if (fd < 0)
        fsx_fail_system(f, "open");
    *handle = (struct fsx_handle){.fd = fd, .flags = flags};
    if (fresh) /* no object is known by this descriptor yet: it is looked at by name */
        made_new(f, name, fd);
    handle->object = f->names[name];
    handle->object->refs++;
    bool emptied = (flags & O_TRUNC) != 0 && !fresh;
    if (emptied)
        fsx_model_resize(f, handle->object, 0);
    fsx_check_stat(f, handle->object, emptied ? FSX_CHANGED : FSX_SAME);
    return handle;
}

struct fsx_handle *
fsx_pick(struct fsx *f, unsigned wanted)
{
    unsigned first = (unsigned)fsx_random(f, FSX_HANDLES);
    for (unsigned i = 0; i < FSX_HANDLES && !fsx_chance(f, 12); i++) {
        struct fsx_handle *handle = &f->handles[(first + i) % FSX_HANDLES];
        if (suits(handle, wanted))
            return handle;
    }
    int name = fsx_pick_name(f, true);
    if (name < 0)
        return NULL;
    return open_name(f, name, choose_flags(f, wanted) & ~O_TRUNC);
}

void
fsx_do_open(struct fsx *f)
{
    int name = (int)fsx_random(f, FSX_NAMES);
    (void)open_name(f, name, choose_flags(f, 0));
}

void
fsx_do_close(struct fsx *f)
{
    unsigned first = (unsigned)fsx_random(f, FSX_HANDLES);
    for (unsigned i = 0; i < FSX_HANDLES; i++) {
        struct fsx_handle *handle = &f->handles[(first + i) % FSX_HANDLES];
        if (handle->fd < 0)
            continue;
        fsx_say(f, "close %d of %s", (int)(handle - f->handles), fsx_label(f, handle->object));
        struct fsx_object *object = handle->object;
        fsx_drop_handle(f, handle);
        if (object->used)
            fsx_check_stat(f, object, FSX_SAME);
        return;
    }
}
