/* SPDX-License-Identifier: Apache-2.0 */
/* fsx_bytes.c - operations that read and change the bytes of files by descriptors. */
#include "fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

static int
number_of(const struct fsx *f, const struct fsx_handle *handle)
{
    return (int)(handle - f->handles);
}

/* Reads back what was just changed, by another way if there is one. */
static void
look_again(struct fsx *f, struct fsx_object *object, uint64_t offset, uint64_t size)
{
    if (offset >= object->size || fsx_chance(f, 2))
        return;
    uint64_t count = size < object->size - offset ? size : object->size - offset;
    for (unsigned i = 0; i < FSX_HANDLES; i++) {
        const struct fsx_handle *handle = &f->handles[i];
        if (handle->fd < 0 || handle->object != object || (handle->flags & O_DIRECT) != 0 ||
            (handle->flags & O_ACCMODE) == O_WRONLY)
            continue;
        ssize_t got = pread(handle->fd, f->got, count, (off_t)offset);
        if (got < 0)
            fsx_fail_system(f, "read what was written");
        if ((uint64_t)got != count)
            fsx_fail(f, "%zd bytes of %" PRIu64 " were read at %" PRIu64, got, count, offset);
        fsx_compare(f, object, "a descriptor", offset, f->got, count);
        return;
    }
}

void
fsx_do_write(struct fsx *f)
{
    struct fsx_handle *handle = fsx_pick(f, FSX_WRITES);
    if (handle == NULL)
        return;
    uint64_t offset, size;
    struct fsx_object *object = handle->object;
    bool append = (handle->flags & O_APPEND) != 0;
    fsx_part(f, object, (handle->flags & O_DIRECT) != 0, &offset, &size);
    if (append)
        offset = object->size;
    if (size > f->size_max - offset)
        size = f->size_max - offset;
    if (size == 0)
        return;
    fsx_say(f, "write %s by %d%s: %" PRIu64 " bytes at %" PRIu64, fsx_label(f, object),
            number_of(f, handle), append ? " (append)" : "", size, offset);
    fsx_fill(f, f->buffer, size);
    ssize_t written = append ? write(handle->fd, f->buffer, size)
                             : pwrite(handle->fd, f->buffer, size, (off_t)offset);
    if (written < 0)
        fsx_fail_system(f, "write");
    if ((uint64_t)written != size)
        fsx_fail(f, "%zd bytes of %" PRIu64 " were written", written, size);
    fsx_model_write(f, object, offset, f->buffer, size);
    fsx_check_stat(f, object, FSX_CHANGED);
    look_again(f, object, offset, size);
}

void
fsx_do_read(struct fsx *f)
{
    const struct fsx_handle *handle = fsx_pick(f, FSX_READS);
    if (handle == NULL)
        return;
    uint64_t offset, size;
    struct fsx_object *object = handle->object;
    fsx_part(f, object, (handle->flags & O_DIRECT) != 0, &offset, &size);
    fsx_say(f, "read %s by %d: %" PRIu64 " bytes at %" PRIu64, fsx_label(f, object),
            number_of(f, handle), size, offset);
    ssize_t got = pread(handle->fd, f->got, size, (off_t)offset);
    if (got < 0)
        fsx_fail_system(f, "read");
    uint64_t rest = offset < object->size ? object->size - offset : 0;
    if ((uint64_t)got != (size < rest ? size : rest))
        fsx_fail(f, "%zd bytes of %s were read, with %" PRIu64 " behind %" PRIu64, got,
                 fsx_label(f, object), rest, offset);
    fsx_compare(f, object, "read", offset, f->got, (uint64_t)got);
    fsx_check_stat(f, object, FSX_SAME);
}

static uint64_t
choose_size(struct fsx *f, const struct fsx_object *object)
{
    switch (fsx_random(f, 5)) {
    case 0:
        return 0;
    case 1:
        return object->size;
    case 2:
        return fsx_random(f, f->size_max / FSX_PAGE) * FSX_PAGE;
    case 3:
        return fsx_random(f, object->size + 1);
    default:
        return fsx_random(f, f->size_max);
    }
}

/* Linux sets both times also if the size stays as it was. */
void
fsx_do_truncate(struct fsx *f)
{
    int name = fsx_pick_name(f, true);
    if (name < 0)
        return;
    struct fsx_object *object = f->names[name];
    uint64_t size = choose_size(f, object);
    char path[4200];
    fsx_say(f, "truncate '%s' from %" PRIu64 " to %" PRIu64, fsx_name(name), object->size, size);
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, fsx_name(name));
    if (truncate(path, (off_t)size) != 0)
        fsx_fail_system(f, "truncate");
    fsx_model_resize(f, object, size);
    fsx_check_stat(f, object, FSX_CHANGED);
}

void
fsx_do_ftruncate(struct fsx *f)
{
    const struct fsx_handle *handle = fsx_pick(f, FSX_WRITES);
    if (handle == NULL)
        return;
    struct fsx_object *object = handle->object;
    uint64_t size = choose_size(f, object);
    fsx_say(f, "ftruncate %s by %d from %" PRIu64 " to %" PRIu64, fsx_label(f, object),
            number_of(f, handle), object->size, size);
    if (ftruncate(handle->fd, (off_t)size) != 0)
        fsx_fail_system(f, "ftruncate");
    fsx_model_resize(f, object, size);
    fsx_check_stat(f, object, FSX_CHANGED);
}

/* --- fallocate --- */

struct mode {
    int flags;
    const char *name;
    bool aligned;
};
static const struct mode modes[] = {
    {0, "allocate", false},
    {FALLOC_FL_KEEP_SIZE, "allocate, keep size", false},
    {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, "punch", false},
    {FALLOC_FL_ZERO_RANGE, "zero", false},
    {FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, "zero, keep size", false},
    {FALLOC_FL_COLLAPSE_RANGE, "collapse", true},
    {FALLOC_FL_INSERT_RANGE, "insert", true},
};
#define MODE_COUNT (sizeof modes / sizeof modes[0])

static void
model_zero(struct fsx_object *object, uint64_t offset, uint64_t size)
{
    if (offset >= object->size)
        return;
    uint64_t rest = object->size - offset;
    memset(object->bytes + offset, 0, size < rest ? size : rest);
}

static void
model_fallocate(struct fsx *f, struct fsx_object *object, int flags, uint64_t offset, uint64_t size)
{
    uint64_t end = offset + size, total = object->size;
    if ((flags & FALLOC_FL_COLLAPSE_RANGE) != 0) {
        memmove(object->bytes + offset, object->bytes + end, total - end);
        fsx_model_resize(f, object, total - size);
        return;
    }
    if ((flags & FALLOC_FL_INSERT_RANGE) != 0) {
        fsx_model_resize(f, object, total + size);
        memmove(object->bytes + end, object->bytes + offset, total - offset);
        memset(object->bytes + offset, 0, size);
        return;
    }
    if ((flags & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0)
        model_zero(object, offset, size);
    if ((flags & FALLOC_FL_KEEP_SIZE) == 0 && end > object->size)
        fsx_model_resize(f, object, end);
}

/* Collapse and insert want whole blocks, and room. */
static bool
fits(const struct fsx *f, const struct fsx_object *object, int flags, uint64_t offset,
     uint64_t size)
{
    if ((flags & FALLOC_FL_COLLAPSE_RANGE) != 0)
        return offset + size < object->size;
    if ((flags & FALLOC_FL_INSERT_RANGE) != 0)
        return offset < object->size && object->size + size <= f->size_max;
    return true;
}

void
fsx_do_fallocate(struct fsx *f)
{
    const struct fsx_handle *handle = fsx_pick(f, FSX_WRITES);
    if (handle == NULL)
        return;
    uint64_t offset, size;
    struct fsx_object *object = handle->object;
    unsigned number = (unsigned)fsx_random(f, MODE_COUNT);
    const struct mode *mode = &modes[number];
    fsx_part(f, object, mode->aligned, &offset, &size);
    if (mode->aligned && size > 16 * FSX_PAGE)
        size = 16 * FSX_PAGE;
    if (!fits(f, object, mode->flags, offset, size))
        return;
    fsx_say(f, "fallocate %s by %d (%s): %" PRIu64 " bytes at %" PRIu64, fsx_label(f, object),
            number_of(f, handle), mode->name, size, offset);
    bool changes = mode->flags != 0 && mode->flags != FALLOC_FL_KEEP_SIZE && offset < object->size;
    if (fallocate(handle->fd, mode->flags, (off_t)offset, (off_t)size) != 0) {
        if (errno != EOPNOTSUPP)
            fsx_fail_system(f, "fallocate");
        f->refused |= 1u << number;
        return;
    }
    changes = changes || ((mode->flags & FALLOC_FL_KEEP_SIZE) == 0 && offset + size > object->size);
    model_fallocate(f, object, mode->flags, offset, size);
    fsx_check_stat(f, object, changes ? FSX_CHANGED : FSX_MAYBE);
    look_again(f, object, offset > 100 ? offset - 100 : 0, size + 200);
}

/* --- from one file to another --- */

struct transfer {
    struct fsx_handle *from, *to;
    uint64_t offset, to_offset, size;
};

/* False: there are no two files, or the parts would lie on one another. */
static bool
choose_transfer(struct fsx *f, struct transfer *ret)
{
    uint64_t unused;
    struct fsx_handle *from = fsx_pick(f, FSX_READS | FSX_PLAIN);
    if (from == NULL)
        return false;
    const struct fsx_object *object = from->object;
    struct fsx_handle *to = fsx_pick(f, FSX_WRITES | FSX_PLAIN);
    if (to == NULL || from->fd < 0 || from->object != object)
        return false;
    if ((from->flags & (O_DIRECT | O_APPEND)) != 0 || (from->flags & O_ACCMODE) == O_WRONLY)
        return false; /* it was closed to make room for the other */
    *ret = (struct transfer){.from = from, .to = to};
    fsx_part(f, object, fsx_chance(f, 4), &ret->offset, &ret->size);
    fsx_part(f, to->object, fsx_chance(f, 4), &ret->to_offset, &unused);
    if (ret->size > f->size_max - ret->to_offset)
        ret->size = f->size_max - ret->to_offset;
    bool apart =
        ret->offset + ret->size <= ret->to_offset || ret->to_offset + ret->size <= ret->offset;
    return ret->size > 0 && (from->object != to->object || apart);
}

static void
say_transfer(struct fsx *f, const char *what, const struct transfer *t)
{
    char from[64];
    (void)snprintf(from, sizeof from, "%s", fsx_label(f, t->from->object));
    fsx_say(f, "%s %s at %" PRIu64 " to %s at %" PRIu64 ", %" PRIu64 " bytes", what, from,
            t->offset, fsx_label(f, t->to->object), t->to_offset, t->size);
}

/* Fewer bytes than asked for may be moved, but none only at the end. */
static void
model_transfer(struct fsx *f, const struct transfer *t, ssize_t moved)
{
    const struct fsx_object *from = t->from->object;
    uint64_t rest = t->offset < from->size ? from->size - t->offset : 0;
    uint64_t most = t->size < rest ? t->size : rest;
    if (moved < 0)
        fsx_fail_system(f, "move bytes");
    if ((uint64_t)moved > most || (moved == 0 && most > 0))
        fsx_fail(f, "%zd bytes were moved where %" PRIu64 " could be", moved, most);
    fsx_model_write(f, t->to->object, t->to_offset, from->bytes + t->offset, (uint64_t)moved);
    fsx_check_stat(f, t->to->object, moved > 0 ? FSX_CHANGED : FSX_MAYBE);
    look_again(f, t->to->object, t->to_offset, (uint64_t)moved);
}

void
fsx_do_copy_range(struct fsx *f)
{
    struct transfer t;
    if (!choose_transfer(f, &t))
        return;
    say_transfer(f, "copy_file_range", &t);
    off_t from = (off_t)t.offset, to = (off_t)t.to_offset;
    model_transfer(f, &t, copy_file_range(t.from->fd, &from, t.to->fd, &to, t.size, 0));
}

void
fsx_do_sendfile(struct fsx *f)
{
    struct transfer t;
    if (!choose_transfer(f, &t))
        return;
    /* Within one file it would go on with what it has just added itself. */
    uint64_t size = t.from->object->size;
    if (t.from->object == t.to->object && t.offset + t.size > size)
        return;
    say_transfer(f, "sendfile", &t);
    off_t from = (off_t)t.offset;
    if (lseek(t.to->fd, (off_t)t.to_offset, SEEK_SET) < 0)
        fsx_fail_system(f, "lseek");
    model_transfer(f, &t, sendfile(t.to->fd, t.from->fd, &from, t.size));
}

void
fsx_do_splice(struct fsx *f)
{
    struct transfer t;
    int ends[2];
    if (!choose_transfer(f, &t))
        return;
    if (pipe(ends) != 0)
        fsx_fail_system(f, "pipe");
    say_transfer(f, "splice", &t);
    off_t from = (off_t)t.offset, to = (off_t)t.to_offset;
    ssize_t in = splice(t.from->fd, &from, ends[1], NULL, t.size, 0), out = 0;
    if (in < 0)
        fsx_fail_system(f, "splice to a pipe");
    while (out < in) {
        ssize_t some = splice(ends[0], NULL, t.to->fd, &to, (size_t)(in - out), 0);
        if (some <= 0)
            fsx_fail_system(f, "splice from a pipe");
        out += some;
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    model_transfer(f, &t, in);
}

/* --- the rest --- */

static void
must_be_hole(struct fsx *f, const struct fsx_object *object, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        if (object->bytes[i] != 0)
            fsx_fail(f,
                     "a hole is seen from %" PRIu64 " to %" PRIu64 " of %s, and byte %" PRIu64
                     " is %02x",
                     first, end, fsx_label(f, object), i, object->bytes[i]);
    }
}

void
fsx_do_seek(struct fsx *f)
{
    const struct fsx_handle *handle = fsx_pick(f, 0);
    if (handle == NULL)
        return;
    const struct fsx_object *object = handle->object;
    uint64_t offset = fsx_random(f, object->size + 2);
    fsx_say(f, "lseek %s by %d from %" PRIu64, fsx_label(f, object), number_of(f, handle), offset);
    off_t end = lseek(handle->fd, 0, SEEK_END);
    if ((uint64_t)end != object->size)
        fsx_fail(f, "SEEK_END of %s gives %lld and not %" PRIu64, fsx_label(f, object),
                 (long long)end, object->size);
    off_t data = lseek(handle->fd, (off_t)offset, SEEK_DATA);
    if (data < 0 && errno != ENXIO)
        fsx_fail_system(f, "SEEK_DATA");
    if (data >= 0 && ((uint64_t)data < offset || (uint64_t)data >= object->size))
        fsx_fail(f, "SEEK_DATA gives %lld", (long long)data);
    must_be_hole(f, object, offset, data >= 0 ? (uint64_t)data : object->size);
    off_t hole = lseek(handle->fd, (off_t)offset, SEEK_HOLE);
    if (hole < 0 && (errno != ENXIO || offset < object->size))
        fsx_fail_system(f, "SEEK_HOLE");
    if (hole >= 0 && ((uint64_t)hole < offset || (uint64_t)hole > object->size))
        fsx_fail(f, "SEEK_HOLE gives %lld", (long long)hole);
    if (hole >= 0 && (uint64_t)hole < object->size)
        must_be_hole(f, object, (uint64_t)hole, (uint64_t)hole + 1);
}

void
fsx_do_sync(struct fsx *f)
{
    const struct fsx_handle *handle = fsx_pick(f, 0);
    if (handle == NULL)
        return;
    static const char *const names[] = {"fsync", "fdatasync", "sync_file_range", "syncfs"};
    static const uint8_t odds[] = {0, 0, 0, 0, 1, 1, 2, 3};
    unsigned which = odds[fsx_random(f, sizeof odds)];
    fsx_say(f, "%s %s by %d", names[which], fsx_label(f, handle->object), number_of(f, handle));
    int status = which == 0   ? fsync(handle->fd)
                 : which == 1 ? fdatasync(handle->fd)
                 : which == 2 ? sync_file_range(handle->fd, 0, 0,
                                                SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER)
                              : syncfs(handle->fd);
    if (status != 0)
        fsx_fail_system(f, names[which]);
    fsx_check_stat(f, handle->object, FSX_SAME);
    if (which < 2)
        handle->object->loose = false; /* all that was written through mappings has its time now */
}
