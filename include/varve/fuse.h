/* fuse.h - serves a vfs as a FUSE mount. The only door to libfuse; translates, decides nothing. */
#ifndef VARVE_FUSE_H
#define VARVE_FUSE_H

#include <varve/vfs.h>

struct varve_mount;
struct varve_mount_options {
    const char *mountpoint;
    const char *source; /* shown as the device in /proc/mounts: the archive's directory */
    bool read_only, allow_other;
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

/* Asks the kernel to unmount (fusermount3 -u, or umount(2) as root). */
VARVE_MUST_CHECK bool varve_unmount(const char *mountpoint, struct varve_error *err);

#endif
