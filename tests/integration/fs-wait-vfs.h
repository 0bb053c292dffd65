/* SPDX-License-Identifier: Apache-2.0 */
/* fs-wait-vfs.h - a vfs for one test: a file "slow", whose bytes are there when the test says so,
 * and a file "fast", whose bytes always are. */
#ifndef FS_WAIT_VFS_H
#define FS_WAIT_VFS_H

#include <varve/fuse.h>

#define SLOW 2
#define FAST 3
#define FILE_BYTES 8192
#define AWAITS_MAX 4096

struct await {
    varve_ready_fn *ready;
    void *context;
};
struct varve_vfs {
    pthread_mutex_t lock;
    bool resident;
    struct await awaits[AWAITS_MAX]; /* ticket = index + 1; ready NULL: over */
    unsigned await_count, cancelled;
    int fd;
    unsigned opens;
};

extern struct varve_vfs vfs;
extern struct varve_notify_port notify_port;
/* The recall of "slow" ends: its bytes are there, or not. Tells all who wait. */
void finish_recall(bool resident, const struct varve_error *failure);

#endif
