/* SPDX-License-Identifier: Apache-2.0 */
/* mounted.c - what is mounted where, and unmounting. */
#include "fs_internal.h"

#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* Undoes mountinfo's \ooo in place. */
static void
unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0';) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
            from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* Plain `fuse` has no place for who serves it but the device: "varve#/srv/archive". */
static void
find_owner(struct varve_mounted *mounted)
{
    static const char prefix[] = VARVE_FUSE_PREFIX;
    mounted->ours = strcmp(mounted->type, "fuse.varve") == 0;
    if (strcmp(mounted->type, "fuse") != 0 ||
        strncmp(mounted->source, prefix, sizeof prefix - 1) != 0)
        return;
    mounted->ours = true;
    memmove(mounted->source, mounted->source + sizeof prefix - 1,
            strlen(mounted->source) - (sizeof prefix - 1) + 1);
}

/* After the " - ": "fuse.varve /srv/archive rw,sync,user_id=0". */
static void
take_tail(char *tail, struct varve_mounted *ret)
{
    const char *type = strsep(&tail, " ");
    char *source = strsep(&tail, " ");
    const char *options = strsep(&tail, " ");
    (void)snprintf(ret->type, sizeof ret->type, "%s", type);
    if (source != NULL) {
        unescape(source);
        (void)snprintf(ret->source, sizeof ret->source, "%s", source);
    }
    if (options != NULL)
        ret->flags |= fs_flags_of_words(options);
    find_owner(ret);
}

/* "36 35 0:52 / /mnt rw shared:1 - fuse.varve /srv/archive rw": proc(5). */
static void
match_line(char *line, const char *path, struct varve_mounted *ret)
{
    char *tail = strstr(line, " - ");
    if (tail == NULL)
        return;
    *tail = '\0';
    char *rest = line, *field[6] = {NULL};
    for (size_t i = 0; i < 6; i++) {
        field[i] = strsep(&rest, " ");
        if (field[i] == NULL)
            return;
    }
    unescape(field[4]);
    if (strcmp(field[4], path) != 0)
        return;
    *ret = (struct varve_mounted){.mounted = true, .flags = fs_flags_of_words(field[5])};
    unsigned major = 0;
    if (sscanf(field[2], "%u:%u", &major, &ret->device_minor) != 2)
        ret->device_minor = 0;
    take_tail(tail + 3, ret);
    /* Neither word stands for strict times. */
    if ((ret->flags & (MS_NOATIME | MS_RELATIME)) == 0)
        ret->flags |= MS_STRICTATIME;
}

bool
fs_mounted_at(const char *path, struct varve_mounted *ret, struct varve_error *err)
{
    VARVE_CLEANUP_STREAM FILE *stream = fopen("/proc/self/mountinfo", "re");
    if (stream == NULL)
        return varve_error_system(err, errno, "/proc/self/mountinfo");
    *ret = (struct varve_mounted){0};
    VARVE_CLEANUP_FREE char *line = NULL;
    size_t capacity = 0;
    ssize_t length = 0;
    while ((length = getline(&line, &capacity, stream)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        match_line(line, path, ret); /* the last one lies on top */
    }
    return true;
}

/* realpath(3) of the parent, for a last part that cannot be looked at. */
static char *
resolve_parent(const char *path)
{
    VARVE_CLEANUP_FREE char *for_dir = strdup(path);
    VARVE_CLEANUP_FREE char *for_base = strdup(path);
    if (for_dir == NULL || for_base == NULL)
        return NULL;
    VARVE_CLEANUP_FREE char *parent = realpath(dirname(for_dir), NULL);
    char *whole = NULL;
    if (parent == NULL ||
        asprintf(&whole, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, basename(for_base)) < 0)
        return NULL;
    return whole;
}

bool
fs_resolve(const char *path, char **ret, struct varve_error *err)
{
    char *resolved = realpath(path, NULL);
    int sys = errno;
    if (resolved == NULL && sys != ENOENT && sys != ENOTDIR && sys != ENAMETOOLONG)
        resolved = resolve_parent(path);
    if (resolved == NULL)
        return varve_error_system(err, sys, "'%s'", path);
    *ret = resolved;
    return true;
}

bool
varve_mounted_at(const char *path, struct varve_mounted *ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *resolved = NULL;
    return fs_resolve(path, &resolved, err) && fs_mounted_at(resolved, ret, err);
}

bool
fs_is_ours(const char *path, const struct varve_mounted *mounted, struct varve_error *err)
{
    if (!mounted->mounted)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "nothing is mounted at '%s'", path);
    return mounted->ours || varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                            "'%s' is not a mount of varve but %s of '%s'", path,
                                            mounted->type, mounted->source);
}

/* Runs fusermount3, which may do what an ordinary user may not. */
static bool
run_fusermount(const char *mountpoint, int flags, struct varve_error *err)
{
    char program[] = "fusermount3", option[] = "-u", lazy[] = "-uz", end[] = "--";
    VARVE_CLEANUP_FREE char *path = strdup(mountpoint);
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "unmount");
    if (flags & MNT_FORCE)
        return varve_error_system(err, EPERM, "cut off who uses it");
    char *const arguments[] = {program, flags & MNT_DETACH ? lazy : option, end, path, NULL};
    pid_t child = 0;
    int sys = posix_spawnp(&child, program, NULL, NULL, arguments, environ);
    if (sys != 0)
        return varve_error_system(err, sys, "run fusermount3");
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return varve_error_system(err, errno, "wait for fusermount3");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "fusermount3 could not unmount it");
    return true;
}

bool
varve_unmount(const char *mountpoint, int flags, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = NULL;
    struct varve_mounted mounted;
    if (!fs_resolve(mountpoint, &path, err) || !fs_mounted_at(path, &mounted, err))
        return varve_error_wrap(err, "unmount");
    if (!fs_is_ours(path, &mounted, err))
        return false;
    if (geteuid() != 0)
        return run_fusermount(path, flags, err) || varve_error_wrap(err, "unmount '%s'", path);
    if (umount2(path, UMOUNT_NOFOLLOW | flags) == 0)
        return true;
    if (errno != EBUSY)
        return varve_error_system(err, errno, "unmount '%s'", path);
    (void)varve_error_set(err, VARVE_ERROR_BUSY, 0, "unmount '%s': files are in use there", path);
    return varve_error_hint(err, "fuser -vm '%s' shows who uses them", path);
}
