/* fuse.h - serves a vfs as a FUSE mount. The only door to libfuse; translates, decides nothing. */
#ifndef VARVE_FUSE_H
#define VARVE_FUSE_H

#include <varve/vfs.h>

struct varve_mount;
struct varve_mount_options {
    const char *mountpoint;
    const char *source;  /* shown as the device in /proc/mounts: the archive's directory */
    unsigned long flags; /* of mount(2): MS_RDONLY, MS_NOSUID, MS_NOATIME, ...; whoever is not root
                            gets nosuid and nodev, whatever is said here */
    bool allow_other;
    bool plain_type;               /* shown as type `fuse`, with the device "varve#SOURCE" */
    bool no_passthrough, no_uring; /* do without them, even where the kernel has them */
    bool no_acls;                  /* POSIX ACLs are neither obeyed nor shown */
    unsigned threads_max;          /* 0: 16 */
};
/* Mounts. BUSY: something is mounted there already; NOT_FOUND/INVALID: no directory. Nothing
 * changed on failure. */
VARVE_MUST_CHECK bool
varve_mount_new(struct varve_vfs *vfs, const struct varve_mount_options *options,
                struct varve_mount **ret, struct varve_error *err);
/* Serves until unmounted or varve_mount_stop(). */
VARVE_MUST_CHECK bool varve_mount_serve(struct varve_mount *mount, struct varve_error *err);
/* From any thread or a signal handler's thread: makes serve return. */
void varve_mount_stop(struct varve_mount *mount);
/* What of the kernel is in use, and for what is not: why. */
struct varve_mount_features {
    bool passthrough, io_uring, kill_priv, readdirplus;
    char passthrough_why[200], io_uring_why[200]; /* "" if in use */
};
void varve_mount_features(const struct varve_mount *mount, struct varve_mount_features *ret);
/* Unmounts if still mounted. NULL is fine. */
void varve_mount_free(struct varve_mount *mount);
VARVE_DEFINE_CLEANUP(struct varve_mount, varve_mount_free)

/* Flags of the mount as the kernel has them now, which is what its reads and writes obey. */
unsigned long varve_mount_flags(struct varve_mount *mount);

/* --- mounts of any process --- */
/* What lies on top at a path, from /proc/self/mountinfo: the path itself is not touched, so a dead
 * mount cannot hang the caller. */
struct varve_mounted {
    bool mounted;
    bool ours; /* fuse.varve, or plain fuse of varve#... */
    unsigned long flags;
    unsigned device_minor; /* names its connection under /sys/fs/fuse */
    char type[64];
    char source[VARVE_PATH_BYTES_MAX]; /* of ours: the archive's directory */
};
VARVE_MUST_CHECK bool
varve_mounted_at(const char *path, struct varve_mounted *ret, struct varve_error *err);
/* Asks the kernel to unmount (umount(2) as root, else fusermount3 -u). `flags` of umount2(2):
 * MNT_DETACH, MNT_FORCE (root only). BUSY: files are open. */
VARVE_MUST_CHECK bool varve_unmount(const char *mountpoint, int flags, struct varve_error *err);
/* Gives a mount other flags: root only. Its daemon finds out by itself. BUSY: MS_RDONLY while files
 * are open for writing. */
VARVE_MUST_CHECK bool
varve_remount(const char *mountpoint, unsigned long flags, struct varve_error *err);

/* Changes *flags by one word that every filesystem knows ("ro", "nosuid", "noatime"), and adds the
 * flags it spoke of to *named. False: not such a word. */
bool varve_mount_flag(const char *word, size_t length, unsigned long *flags, unsigned long *named);
/* Appends "rw,nosuid,nodev,relatime". */
void varve_mount_flags_text(unsigned long flags, struct varve_buffer *ret);

#endif
