/* SPDX-License-Identifier: Apache-2.0 */
/* serve_mount.h - the end of a program that mounts something for a test. */
#ifndef VARVE_TESTS_SERVE_MOUNT_H
#define VARVE_TESTS_SERVE_MOUNT_H

#include <varve/fuse.h>

/* First in main(): SIGTERM and SIGINT are blocked in all threads, one of which waits for them. */
void serve_block_signals(void);
/* Serves until it is unmounted, or one of these signals comes. */
VARVE_MUST_CHECK bool serve_mount(struct varve_mount *mount, struct varve_error *err);

#endif
