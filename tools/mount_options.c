/* SPDX-License-Identifier: Apache-2.0 */
#include "mount_options.h"

#include <string.h>
#include <varve/cleanup.h>
#include <varve/config.h>
#include <varve/fuse.h>
#include <varve/text.h>

/* Said to mount(8) and systemd rather than to a filesystem, or already so, or without meaning here.
 * Those with '=' and the kernel's own come back from the table of mounts when it is mounted anew
 * with other options. */
static const char *const skipped[] = {
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "nousers",
    "owner",
    "noowner",
    "group",
    "nogroup",
    "_netdev",
    "nofail",
    "defaults",
    "loud",
    "silent",
    "nomand",
    "noiversion",
    "seclabel",
    "lazytime",
    "nolazytime",          /* the catalog holds times back for a second anyway */
    "default_permissions", /* always */
    "acl",                 /* if the kernel can */
    "subtype=varve",
};
static const char *const skipped_beginnings[] = {
    "x-",        "X-",  "comment=",  "user=",    "user_id=", "group_id=",
    "rootmode=", "fd=", "max_read=", "blksize=", "uhelper=", "helper="};

/* All that may be said, for the hint. */
static const char *const known[] = {
    "ro",          "rw",          "suid",        "nosuid",      "dev",
    "nodev",       "exec",        "noexec",      "sync",        "async",
    "dirsync",     "atime",       "noatime",     "diratime",    "nodiratime",
    "relatime",    "norelatime",  "strictatime", "remount",     "nosubtype",
    "allow_other", "max_threads", "symfollow",   "nosymfollow", "default_permissions",
    "noacl",
};

static bool
is_skipped(const char *word)
{
    for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++) {
        if (strcmp(word, skipped[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof skipped_beginnings / sizeof skipped_beginnings[0]; i++) {
        if (strncmp(word, skipped_beginnings[i], strlen(skipped_beginnings[i])) == 0)
            return true;
    }
    return false;
}

static bool
take_threads(const char *value, struct mount_options *ret, struct varve_error *err)
{
    uint64_t threads = 0;
    if (!varve_text_parse_number(value, MOUNT_THREADS_MAX, &threads, err))
        return varve_error_wrap(err, "mount option max_threads");
    if (threads == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "mount option max_threads: at least one thread must serve");
    ret->threads_max = (unsigned)threads;
    return true;
}

static bool
refuse(const char *word, struct varve_error *err)
{
    char name[64];
    (void)varve_error_set(err, VARVE_ERROR_INVALID, 0, "unknown mount option '%s'", word);
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    const char *near = varve_config_nearest(name, known, sizeof known / sizeof known[0]);
    if (near != NULL)
        return varve_error_hint(err, "did you mean '%s'?", near);
    return varve_error_hint(err, "mount.varve(8) lists them");
}

static bool
take_word(const char *word, bool sloppy, struct mount_options *ret, struct varve_error *err)
{
    static const char threads[] = "max_threads=";
    if (word[0] == '\0' || varve_mount_flag(word, strlen(word), &ret->flags, &ret->named) ||
        is_skipped(word))
        return true;
    if (strncmp(word, threads, sizeof threads - 1) == 0)
        return take_threads(word + sizeof threads - 1, ret, err);
    if (strcmp(word, "remount") == 0)
        ret->remount = true;
    else if (strcmp(word, "allow_other") == 0)
        ret->allow_other = true;
    else if (strcmp(word, "nosubtype") == 0)
        ret->plain_type = true;
    else if (strcmp(word, "nopassthrough") == 0)
        ret->no_passthrough = true;
    else if (strcmp(word, "nouring") == 0)
        ret->no_uring = true;
    else if (strcmp(word, "noacl") == 0)
        ret->no_acls = true;
    else if (!sloppy)
        return refuse(word, err);
    return true;
}

bool
mount_options_parse(const char *text, bool sloppy, struct mount_options *ret,
                    struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *copy = strdup(text);
    if (copy == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read the options");
    char *rest = copy;
    for (char *word = strsep(&rest, ","); word != NULL; word = strsep(&rest, ",")) {
        if (!take_word(word, sloppy, ret, err))
            return false;
    }
    return true;
}
