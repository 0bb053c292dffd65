/* SPDX-License-Identifier: Apache-2.0 */
#include "fsx.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t
mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t
fsx_random(struct fsx *f, uint64_t below)
{
    f->random = mix(f->random);
    return below == 0 ? 0 : f->random % below;
}

bool
fsx_chance(struct fsx *f, unsigned of)
{
    return fsx_random(f, of) == 0;
}

void
fsx_say(struct fsx *f, const char *format, ...)
{
    va_list arguments;
    char *line = f->log[f->logged++ % FSX_LOG];
    int used = snprintf(line, FSX_LINE, "%" PRIu64 ": ", f->op);
    va_start(arguments, format);
    (void)vsnprintf(line + used, FSX_LINE - (size_t)used, format, arguments);
    va_end(arguments);
    if (!f->quiet)
        (void)printf("%s\n", line);
}

_Noreturn void
fsx_fail(struct fsx *f, const char *format, ...)
{
    va_list arguments;
    uint64_t first = f->logged > FSX_LOG ? f->logged - FSX_LOG : 0;
    for (uint64_t i = first; i < f->logged; i++)
        (void)fprintf(stderr, "  %s\n", f->log[i % FSX_LOG]);
    (void)fprintf(stderr, "fsx: WRONG in '%s' after operation %" PRIu64 ": ", f->dir, f->op);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\nfsx: again: --seed %" PRIu64 " --ops %" PRIu64 " --size %" PRIu64 "\n",
                  f->seed, f->op, f->size_max);
    exit(1);
}

_Noreturn void
fsx_fail_system(struct fsx *f, const char *what)
{
    fsx_fail(f, "%s: %s", what, strerror(errno));
}

void
fsx_part(struct fsx *f, const struct fsx_object *object, bool aligned, uint64_t *ret_offset,
         uint64_t *ret_size)
{
    uint64_t max = f->size_max, size = object->size, offset, count;
    switch (fsx_random(f, 6)) {
    case 0: /* about the end */
        offset = size > 100 ? size - fsx_random(f, 100) : size;
        count = 1 + fsx_random(f, 200);
        break;
    case 1: /* behind it */
        offset = size + fsx_random(f, max / 4);
        count = 1 + fsx_random(f, 10000);
        break;
    case 2: /* pages */
        offset = fsx_random(f, max / FSX_PAGE) * FSX_PAGE;
        count = (1 + fsx_random(f, 8)) * FSX_PAGE;
        break;
    case 3:
        offset = fsx_random(f, size + 1);
        count = 1 + fsx_random(f, 16);
        break;
    case 4:
        offset = 0;
        count = max / 2 + fsx_random(f, max / 2);
        break;
    default:
        offset = fsx_random(f, max);
        count = 1 + fsx_random(f, 65536);
        break;
    }
    if (aligned) {
        offset -= offset % FSX_PAGE;
        count += FSX_PAGE - 1 - (count - 1) % FSX_PAGE;
    }
    if (offset >= max)
        offset = max - FSX_PAGE;
    *ret_offset = offset;
    *ret_size = count > max - offset ? max - offset : count;
}

void
fsx_fill(struct fsx *f, uint8_t *bytes, uint64_t size)
{
    for (uint64_t i = 0; i < size; i += 8) {
        uint64_t word = mix(f->op * 1000003 + i / 8) | UINT64_C(0x0101010101010101); /* no zeros */
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
}

void
fsx_model_resize(struct fsx *f, struct fsx_object *object, uint64_t size)
{
    if (size > f->size_max)
        fsx_fail(f, "the checker itself: a size of %" PRIu64, size);
    if (size < object->size)
        memset(object->bytes + size, 0, object->size - size);
    object->size = size;
}

void
fsx_model_write(struct fsx *f, struct fsx_object *object, uint64_t offset, const uint8_t *bytes,
                uint64_t size)
{
    if (size == 0)
        return;
    if (offset + size > object->size)
        fsx_model_resize(f, object, offset + size);
    memmove(object->bytes + offset, bytes, size);
}

static const char *
all_zero(const uint8_t *bytes, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return "not all zero";
    }
    return "all zero";
}

void
fsx_compare(struct fsx *f, const struct fsx_object *object, const char *how, uint64_t offset,
            const uint8_t *got, uint64_t size)
{
    const uint8_t *wanted = object->bytes + offset;
    if (memcmp(wanted, got, size) == 0)
        return;
    uint64_t i = 0, count = 0, last = 0;
    while (wanted[i] == got[i])
        i++;
    for (uint64_t k = i; k < size; k++) {
        if (wanted[k] != got[k]) {
            count++;
            last = k;
        }
    }
    fsx_fail(f,
             "%s (size %" PRIu64 ") by %s: at byte %" PRIu64 " (0x%" PRIx64
             ") it must be %02x and is %02x; %" PRIu64 " bytes differ up to %" PRIu64 " (0x%" PRIx64
             "); there wanted %s, got %s",
             fsx_label(f, object), object->size, how, offset + i, offset + i, wanted[i], got[i],
             count, offset + last, offset + last, all_zero(wanted + i, last + 1 - i),
             all_zero(got + i, last + 1 - i));
}

struct fsx_object *
fsx_object_new(struct fsx *f)
{
    for (unsigned i = 0; i < FSX_OBJECTS; i++) {
        struct fsx_object *object = &f->objects[i];
        if (object->used)
            continue;
        uint8_t *bytes = object->bytes;
        if (bytes == NULL)
            bytes = malloc(f->size_max + FSX_PAGE);
        if (bytes == NULL)
            fsx_fail(f, "the checker itself: no memory");
        memset(bytes, 0, f->size_max + FSX_PAGE);
        *object = (struct fsx_object){.used = true, .bytes = bytes};
        return object;
    }
    fsx_fail(f, "the checker itself: too many files");
}

void
fsx_object_dropped(struct fsx_object *object)
{
    if (object->links == 0 && object->refs == 0)
        object->used = false;
}

int
fsx_name_of(const struct fsx *f, const struct fsx_object *object)
{
    for (int i = 0; i < FSX_NAMES; i++) {
        if (f->names[i] == object)
            return i;
    }
    return -1;
}

const char *
fsx_name(int name)
{
    static const char *const names[FSX_NAMES] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    return names[name];
}

const char *
fsx_label(const struct fsx *f, const struct fsx_object *object)
{
    static char label[64];
    int name = fsx_name_of(f, object);
    (void)snprintf(label, sizeof label, "file %d '%s'", (int)(object - f->objects),
                   name < 0 ? "(unlinked)" : fsx_name(name));
    return label;
}

/* --- what stat tells --- */

static bool
earlier(struct timespec a, struct timespec b)
{
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static void
time_is(struct fsx *f, const struct fsx_object *object, const char *which, struct timespec wanted,
        struct timespec got)
{
    if (wanted.tv_sec == got.tv_sec && wanted.tv_nsec == got.tv_nsec)
        return;
    fsx_fail(f, "%s of %s must still be %" PRId64 ".%09ld and is %" PRId64 ".%09ld", which,
             fsx_label(f, object), (int64_t)wanted.tv_sec, wanted.tv_nsec, (int64_t)got.tv_sec,
             got.tv_nsec);
}

static void
time_reached(struct fsx *f, const struct fsx_object *object, const char *which,
             struct timespec least, struct timespec got)
{
    if (!earlier(got, least))
        return;
    fsx_fail(f, "%s of %s must be %" PRId64 ".%09ld or later and is %" PRId64 ".%09ld", which,
             fsx_label(f, object), (int64_t)least.tv_sec, least.tv_nsec, (int64_t)got.tv_sec,
             got.tv_nsec);
}

static void
check_times(struct fsx *f, struct fsx_object *object, enum fsx_times times, const struct stat *st)
{
    if (object->loose && times == FSX_SAME)
        times = FSX_MAYBE;
    switch (times) {
    case FSX_SAME:
        time_is(f, object, "mtime", object->mtime, st->st_mtim);
        time_is(f, object, "ctime", object->ctime, st->st_ctim);
        break;
    case FSX_CHANGED:
        time_reached(f, object, "mtime (bytes were changed)", f->before, st->st_mtim);
        time_reached(f, object, "ctime (bytes were changed)", f->before, st->st_ctim);
        break;
    case FSX_CTIME:
        if (!object->loose)
            time_is(f, object, "mtime", object->mtime, st->st_mtim);
        time_reached(f, object, "ctime (an attribute was changed)", f->before, st->st_ctim);
        break;
    case FSX_MAYBE:
        time_reached(f, object, "mtime", object->mtime, st->st_mtim);
        break;
    }
    time_reached(f, object, "ctime (must not go back)", object->ctime, st->st_ctim);
    object->mtime = st->st_mtim;
    object->ctime = st->st_ctim;
}

/* By a descriptor or by name, whatever there is. */
static bool
look(struct fsx *f, const struct fsx_object *object, struct stat *ret)
{
    int name = fsx_name_of(f, object);
    bool by_name = fsx_chance(f, 2);
    for (unsigned i = 0; i < FSX_HANDLES; i++) {
        if ((by_name && name >= 0) || f->handles[i].fd < 0 || f->handles[i].object != object)
            continue;
        if (fstat(f->handles[i].fd, ret) != 0)
            fsx_fail_system(f, "fstat");
        return true;
    }
    if (name >= 0 && fstatat(f->dir_fd, fsx_name(name), ret, 0) != 0)
        fsx_fail_system(f, "stat");
    return name >= 0;
}

void
fsx_check_stat(struct fsx *f, struct fsx_object *object, enum fsx_times times)
{
    struct stat st;
    if (!look(f, object, &st))
        return;
    if ((uint64_t)st.st_size != object->size)
        fsx_fail(f, "size of %s must be %" PRIu64 " and is %" PRIu64, fsx_label(f, object),
                 object->size, (uint64_t)st.st_size);
    if (st.st_nlink != object->links)
        fsx_fail(f, "%s must have %u links and has %u", fsx_label(f, object), object->links,
                 (unsigned)st.st_nlink);
    if ((st.st_mode & 07777) != object->mode)
        fsx_fail(f, "%s must have mode %o and has %o", fsx_label(f, object), object->mode,
                 st.st_mode & 07777);
    if (object->ino == 0)
        object->ino = st.st_ino;
    if (object->ino != st.st_ino)
        fsx_fail(f, "%s was inode %" PRIu64 " and is %" PRIu64, fsx_label(f, object), object->ino,
                 (uint64_t)st.st_ino);
    check_times(f, object, times, &st);
}

/* --- all of it --- */

void
fsx_check_fd(struct fsx *f, const struct fsx_object *object, int fd, const char *how)
{
    uint64_t done = 0;
    while (done < f->size_max) {
        ssize_t count = pread(fd, f->got + done, f->size_max - done, (off_t)done);
        if (count < 0)
            fsx_fail_system(f, "read");
        if (count == 0)
            break;
        done += (uint64_t)count;
    }
    if (done != object->size)
        fsx_fail(f, "%s by %s: must have %" PRIu64 " bytes, and %" PRIu64 " were read",
                 fsx_label(f, object), how, object->size, done);
    fsx_compare(f, object, how, 0, f->got, done);
}

static void
check_name(struct fsx *f, int name)
{
    struct fsx_object *object = f->names[name];
    struct stat st;
    if (object == NULL) {
        if (fstatat(f->dir_fd, fsx_name(name), &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
            fsx_fail(f, "'%s' must not be there", fsx_name(name));
        return;
    }
    int fd = openat(f->dir_fd, fsx_name(name), O_RDONLY | O_NOATIME);
    if (fd < 0)
        fsx_fail_system(f, "open to compare");
    fsx_check_fd(f, object, fd, "a new descriptor");
    (void)close(fd);
    fsx_check_stat(f, object, FSX_SAME);
}

static void
check_listing(struct fsx *f)
{
    int fd = openat(f->dir_fd, ".", O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL)
        fsx_fail_system(f, "open the directory");
    unsigned found = 0, wanted = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        found++;
        int name = entry->d_name[0] - 'a';
        if (entry->d_name[1] != '\0' || name < 0 || name >= FSX_NAMES || f->names[name] == NULL)
            fsx_fail(f, "'%s' is listed and must not be there", entry->d_name);
        if (f->names[name]->ino != 0 && f->names[name]->ino != entry->d_ino)
            fsx_fail(f, "'%s' is listed with another inode number", entry->d_name);
    }
    (void)closedir(dir);
    for (unsigned i = 0; i < FSX_NAMES; i++)
        wanted += f->names[i] != NULL;
    if (found != wanted)
        fsx_fail(f, "%u names are listed and %u must be there", found, wanted);
}

void
fsx_check_all(struct fsx *f)
{
    for (unsigned i = 0; i < FSX_HANDLES; i++) {
        const struct fsx_handle *handle = &f->handles[i];
        if (handle->fd < 0 || (handle->flags & O_ACCMODE) == O_WRONLY)
            continue;
        fsx_check_fd(f, handle->object, handle->fd, "an open descriptor");
        fsx_check_stat(f, handle->object, FSX_SAME);
    }
    for (int i = 0; i < FSX_NAMES; i++)
        check_name(f, i);
    check_listing(f);
    for (unsigned i = 0; i < FSX_MAPS; i++) {
        const struct fsx_map *map = &f->maps[i];
        if (map->address == NULL || map->offset >= map->object->size)
            continue;
        uint64_t rest = map->object->size - map->offset;
        fsx_compare(f, map->object, "a mapping", map->offset, map->address,
                    rest < map->length ? rest : map->length);
    }
}
