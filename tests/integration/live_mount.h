/* SPDX-License-Identifier: Apache-2.0 */
/* live_mount.h - a mount and its vfs in one process, so that a test can be user and engine at once.
 */
#ifndef VARVE_TESTS_LIVE_MOUNT_H
#define VARVE_TESTS_LIVE_MOUNT_H

#include <sys/stat.h>
#include <varve/file.h>
#include <varve/fuse.h>

#include "tap.h"

struct live {
    struct varve_catalog *catalog;
    struct varve_store *store;
    struct varve_vfs *vfs;
    struct varve_mount *mount;
    bool passing; /* in passthrough */
};
extern struct live live;

/* Mounts in a new directory. Words: nopassthrough, nouring. False: it cannot be done here. */
bool live_start(int count, char **words);
/* Unmounts and removes it, prints the plan; what main() returns. */
int live_end(void);

/* For what must work for the test to go on; tells errno. */
void need(bool ok, const char *what);
int64_t now_ms(void);

/* mount(8) with such options. */
void remount(const char *options);

/* The path of a name in the mount; the last two of each thread are valid. */
const char *at(const char *name);
struct stat stat_of(const char *name);
int64_t mtime_of(const char *name);
/* A new file of that size, open. */
int make(const char *name, uint64_t bytes, int flags);

/* --- the engine's side --- */
bool freeze(const char *name, struct varve_content *ret, struct varve_error *err);
struct varve_content content_of(const char *name);
bool move(const char *name, enum varve_tier to, struct varve_error *err);
void seal(struct varve_content_id id);

/* A file that is on discs only, but for its head. */
#define MIGRATED_HEAD_BYTES 32768u
#define MIGRATED_BYTES_MAX 65536u
struct migrated {
    struct varve_content content;
    uint8_t bytes[MIGRATED_BYTES_MAX];
    size_t size;
};
/* Closed, and not larger than that. */
void migrate(const char *name, struct migrated *ret);
/* Until somebody waits for it. */
void until_asked(const struct migrated *file);
void bring_back(const struct migrated *file);

#endif
