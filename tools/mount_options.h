/* mount_options.h - the list behind -o, of `varve mount` and of mount(8) alike. Pure. */
#ifndef VARVE_TOOLS_MOUNT_OPTIONS_H
#define VARVE_TOOLS_MOUNT_OPTIONS_H

#include <varve/error.h>

#define MOUNT_THREADS_MAX 1024u

struct mount_options {
    unsigned long flags; /* MS_* of mount(2) */
    unsigned long named; /* the flags that a word spoke of */
    bool remount, allow_other, plain_type, no_passthrough, no_uring, no_acls;
    unsigned threads_max; /* 0: not said */
};
/* Reads "ro,noatime,max_threads=8" over what is in *ret; of words that contradict each other the
 * last one counts. What only mount(8), fstab(5) and the kernel's own list mean is skipped. INVALID:
 * an unknown word, or a wrong value; `sloppy` skips unknown words too. */
VARVE_MUST_CHECK bool mount_options_parse(const char *text, bool sloppy, struct mount_options *ret,
                                          struct varve_error *err);

#endif
