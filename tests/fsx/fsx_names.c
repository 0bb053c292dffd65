/* SPDX-License-Identifier: Apache-2.0 */
/* fsx_names.c - operations on names and attributes. */
#include "fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The directory whose names changed has times of now. */
static void
check_dir(struct fsx *f)
{
    struct stat st;
    if (fstat(f->dir_fd, &st) != 0)
        fsx_fail_system(f, "stat of the directory");
    struct timespec got[] = {st.st_mtim, st.st_ctim};
    for (unsigned i = 0; i < 2; i++) {
        if (got[i].tv_sec < f->before.tv_sec ||
            (got[i].tv_sec == f->before.tv_sec && got[i].tv_nsec < f->before.tv_nsec))
            fsx_fail(f, "%s of the directory is older than the change of a name",
                     i == 0 ? "mtime" : "ctime");
    }
}

static void
lost_name(struct fsx *f, struct fsx_object *object)
{
    object->links--;
    fsx_object_dropped(object);
    if (object->used)
        fsx_check_stat(f, object, FSX_CTIME);
}

static void
exchange(struct fsx *f, int a, int b)
{
    fsx_say(f, "exchange '%s' and '%s'", fsx_name(a), fsx_name(b));
    if (renameat2(f->dir_fd, fsx_name(a), f->dir_fd, fsx_name(b), RENAME_EXCHANGE) != 0)
        fsx_fail_system(f, "rename (exchange)");
    struct fsx_object *object = f->names[a];
    f->names[a] = f->names[b];
    f->names[b] = object;
    fsx_check_stat(f, f->names[a], FSX_MAYBE);
    fsx_check_stat(f, f->names[b], FSX_MAYBE);
    check_dir(f);
}

void
fsx_do_rename(struct fsx *f)
{
    int a = fsx_pick_name(f, true), b = (int)fsx_random(f, FSX_NAMES);
    if (a < 0 || a == b)
        return;
    struct fsx_object *object = f->names[a], *former = f->names[b];
    if (former != NULL && former != object && fsx_chance(f, 3)) {
        exchange(f, a, b);
        return;
    }
    bool refuse = fsx_chance(f, 4);
    fsx_say(f, "rename '%s' to '%s'%s", fsx_name(a), fsx_name(b), refuse ? " (no replace)" : "");
    int status =
        renameat2(f->dir_fd, fsx_name(a), f->dir_fd, fsx_name(b), refuse ? RENAME_NOREPLACE : 0);
    if (refuse && former != NULL) {
        if (status == 0 || errno != EEXIST)
            fsx_fail(f, "a rename replaced '%s', which it must not", fsx_name(b));
        return;
    }
    if (status != 0)
        fsx_fail_system(f, "rename");
    if (former == object) /* two names of one file: nothing happens */
        return;
    f->names[a] = NULL;
    f->names[b] = object;
    fsx_check_stat(f, object, FSX_CTIME);
    if (former != NULL)
        lost_name(f, former);
    check_dir(f);
}

void
fsx_do_link(struct fsx *f)
{
    int a = fsx_pick_name(f, true), b = fsx_pick_name(f, false);
    if (a < 0 || b < 0)
        return;
    fsx_say(f, "link '%s' to '%s'", fsx_name(a), fsx_name(b));
    if (linkat(f->dir_fd, fsx_name(a), f->dir_fd, fsx_name(b), 0) != 0)
        fsx_fail_system(f, "link");
    f->names[b] = f->names[a];
    f->names[b]->links++;
    fsx_check_stat(f, f->names[b], FSX_CTIME);
    check_dir(f);
}

void
fsx_do_unlink(struct fsx *f)
{
    int name = fsx_pick_name(f, true);
    if (name < 0)
        return;
    struct fsx_object *object = f->names[name];
    fsx_say(f, "unlink '%s'%s", fsx_name(name), object->refs > 0 ? " (open)" : "");
    if (unlinkat(f->dir_fd, fsx_name(name), 0) != 0)
        fsx_fail_system(f, "unlink");
    f->names[name] = NULL;
    lost_name(f, object);
    check_dir(f);
}

/* --- attributes --- */

static void
xattr_value(const struct fsx_xattr *xattr, uint8_t *ret)
{
    for (uint32_t i = 0; i < xattr->size; i++)
        ret[i] = (uint8_t)(xattr->seed >> (i % 8 * 8)) ^ (uint8_t)i;
}

static void
check_xattr(struct fsx *f, int fd, const struct fsx_object *object, unsigned number)
{
    uint8_t wanted[FSX_XATTR_MAX], got[FSX_XATTR_MAX + 1];
    const struct fsx_xattr *xattr = &object->xattrs[number];
    char name[32];
    (void)snprintf(name, sizeof name, "user.fsx%u", number);
    ssize_t size = fgetxattr(fd, name, got, sizeof got);
    if (!xattr->set) {
        if (size >= 0 || errno != ENODATA)
            fsx_fail(f, "%s must not have %s", fsx_label(f, object), name);
        return;
    }
    xattr_value(xattr, wanted);
    if (size != (ssize_t)xattr->size || memcmp(wanted, got, xattr->size) != 0)
        fsx_fail(f, "%s of %s is not what was set (%zd bytes)", name, fsx_label(f, object), size);
}

void
fsx_do_xattr(struct fsx *f)
{
    const struct fsx_handle *handle = fsx_pick(f, 0);
    if (handle == NULL)
        return;
    uint8_t value[FSX_XATTR_MAX];
    struct fsx_object *object = handle->object;
    unsigned number = (unsigned)fsx_random(f, FSX_XATTRS);
    struct fsx_xattr *xattr = &object->xattrs[number];
    bool remove = xattr->set && fsx_chance(f, 3);
    char name[32];
    (void)snprintf(name, sizeof name, "user.fsx%u", number);
    struct fsx_xattr fresh = {
        .set = !remove, .size = (uint32_t)fsx_random(f, FSX_XATTR_MAX), .seed = f->random};
    fsx_say(f, "%s %s of %s", remove ? "remove" : "set", name, fsx_label(f, object));
    xattr_value(&fresh, value);
    int status =
        remove ? fremovexattr(handle->fd, name) : fsetxattr(handle->fd, name, value, fresh.size, 0);
    if (status != 0)
        fsx_fail_system(f, "change an extended attribute");
    *xattr = fresh;
    fsx_check_stat(f, object, FSX_CTIME);
    for (unsigned i = 0; i < FSX_XATTRS; i++)
        check_xattr(f, handle->fd, object, i);
}

void
fsx_do_chmod(struct fsx *f)
{
    static const uint32_t modes[] = {0644, 0600, 0755, 0444, 02644, 01777};
    const struct fsx_handle *handle = fsx_pick(f, 0);
    if (handle == NULL)
        return;
    uint32_t mode = modes[fsx_random(f, sizeof modes / sizeof modes[0])];
    fsx_say(f, "chmod %s to %o", fsx_label(f, handle->object), mode);
    if (fchmod(handle->fd, mode) != 0)
        fsx_fail_system(f, "chmod");
    handle->object->mode = mode;
    fsx_check_stat(f, handle->object, FSX_CTIME);
}

void
fsx_do_utimens(struct fsx *f)
{
    int name = fsx_pick_name(f, true);
    if (name < 0)
        return;
    struct fsx_object *object = f->names[name];
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)fsx_random(f, 1500000000), .tv_nsec = (long)fsx_random(f, 1000000000)}};
    if (fsx_chance(f, 3))
        times[0] = times[1];
    bool now = fsx_chance(f, 4);
    if (now)
        times[1].tv_nsec = UTIME_NOW;
    fsx_say(f, "utimens '%s' %s", fsx_name(name), now ? "now" : "");
    if (utimensat(f->dir_fd, fsx_name(name), times, 0) != 0)
        fsx_fail_system(f, "utimens");
    if (!now)
        object->mtime = times[1];
    fsx_check_stat(f, object, now ? FSX_CHANGED : FSX_CTIME);
}

void
fsx_do_stat(struct fsx *f)
{
    int name = fsx_pick_name(f, true);
    if (name < 0)
        return;
    fsx_say(f, "stat '%s'", fsx_name(name));
    fsx_check_stat(f, f->names[name], FSX_SAME);
}
