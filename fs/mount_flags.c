/* SPDX-License-Identifier: Apache-2.0 */
/* mount_flags.c - the words of mount(8) that every filesystem has, and the flags of mount(2) behind
 * them. mountinfo speaks the same words. */
#include "fs_internal.h"

#include <string.h>
#include <sys/mount.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256 /* Linux 5.10; glibc has no name for it before 2.40 */
#endif
#define ATIMES (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

static const struct {
    const char *word;
    unsigned long set, clear;
} words[] = {
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"nosuid", MS_NOSUID, 0},
    {"suid", 0, MS_NOSUID},
    {"nodev", MS_NODEV, 0},
    {"dev", 0, MS_NODEV},
    {"noexec", MS_NOEXEC, 0},
    {"exec", 0, MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS, 0},
    {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC, 0},
    {"noatime", MS_NOATIME, ATIMES},
    {"atime", 0, MS_NOATIME},
    {"nodiratime", MS_NODIRATIME, 0},
    {"diratime", 0, MS_NODIRATIME},
    {"relatime", MS_RELATIME, ATIMES},
    {"norelatime", 0, MS_RELATIME},
    {"strictatime", MS_STRICTATIME, ATIMES},
    {"nostrictatime", 0, MS_STRICTATIME},
    {"nosymfollow", MS_NOSYMFOLLOW, 0},
    {"symfollow", 0, MS_NOSYMFOLLOW},
};

bool
varve_mount_flag(const char *word, size_t length, unsigned long *flags, unsigned long *named)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].word) != length || memcmp(words[i].word, word, length) != 0)
            continue;
        *flags = (*flags & ~words[i].clear) | words[i].set;
        *named |= words[i].set | words[i].clear;
        return true;
    }
    return false;
}

void
varve_mount_flags_text(unsigned long flags, struct varve_buffer *ret)
{
    varve_buffer_text(ret, flags & MS_RDONLY ? "ro" : "rw");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (words[i].set != MS_RDONLY && (flags & words[i].set) != 0)
            varve_buffer_printf(ret, ",%s", words[i].word);
    }
}

unsigned long
fs_flags_of_words(const char *text)
{
    unsigned long flags = 0, named = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        (void)varve_mount_flag(text, length, &flags, &named); /* user_id=0 and its like are none */
        text += length + (text[length] == ',');
    }
    return flags;
}

static const unsigned long of_mount =
    MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | ATIMES | MS_NODIRATIME | MS_NOSYMFOLLOW;

/* What libfuse's own option words cannot say in every version of it. */
bool
fs_flags_finish(const char *mountpoint, unsigned long flags, struct varve_error *err)
{
    if ((flags & (MS_STRICTATIME | MS_NOSYMFOLLOW)) == 0)
        return true;
    if (mount(NULL, mountpoint, NULL, MS_REMOUNT | MS_BIND | (flags & of_mount), NULL) == 0)
        return true;
    (void)varve_error_system(err, errno, "set the options of '%s'", mountpoint);
    return varve_error_hint(err, "only root may mount with strictatime or nosymfollow");
}

bool
varve_remount(const char *mountpoint, unsigned long flags, struct varve_error *err)
{
    struct varve_mounted mounted;
    if (!varve_mounted_at(mountpoint, &mounted, err) || !fs_is_ours(mountpoint, &mounted, err))
        return varve_error_wrap(err, "remount");
    if (mount(mounted.source, mountpoint, mounted.type, MS_REMOUNT | flags, NULL) == 0)
        return true;
    int sys = errno;
    (void)varve_error_system(err, sys, "remount '%s'", mountpoint);
    if (sys == EBUSY)
        return varve_error_hint(err, "files are open for writing; fuser -vm '%s' shows by whom",
                                mountpoint);
    if (sys == EPERM)
        return varve_error_hint(err, "only root may change the options of a mount");
    return false;
}
