/* mounting.h - the beginning and the end of a daemon, for the verbs mount and umount and for the
 * helpers that mount(8) and umount(8) call. One thread; nothing of the process is in use yet. */
#ifndef VARVE_TOOLS_MOUNTING_H
#define VARVE_TOOLS_MOUNTING_H

#include "cli.h"
#include "mount_options.h"

struct mounting {
    const char *dir; /* of the archive */
    const char *mountpoint;
    struct mount_options options; /* with `remount` the daemon is there and gets other options */
    bool keep_flags;              /* remount: flags that no word spoke of stay as they are */
    bool foreground;
    bool by_mount; /* mount(8) called: umount(8) shall call us too */
    bool fake;     /* all but the mount itself */
};
/* In the background it returns when the mount answers. */
VARVE_MUST_CHECK bool
mount_archive(struct cli *cli, const struct mounting *mounting, struct varve_error *err);

struct unmounting {
    const char *mountpoint;
    bool lazy;      /* who has files open keeps them, and the daemon, until they are closed */
    bool force;     /* who has files open gets errors from now on */
    bool read_only; /* where files are open, only makes it read-only */
};
/* Neither lazy nor force: returns when the daemon is gone, everything is durable and the archive's
 * lock is free. BUSY: files are open. */
VARVE_MUST_CHECK bool
unmount_archive(struct cli *cli, const struct unmounting *unmounting, struct varve_error *err);

/* --- mount_helper.c --- */
/* True if `varve` was called as mount(8), umount(8) or mount.fuse(8) call the program of a
 * filesystem: by the name mount.varve, mount.fuse.varve, umount.*, or with a path for a verb. */
bool helper_wanted(int argc, char *const *argv);
/* The exit status as mount(8) has it. */
int helper_run(int argc, char **argv);

#endif
