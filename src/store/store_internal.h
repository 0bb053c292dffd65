/* SPDX-License-Identifier: Apache-2.0 */
/* store_internal.h - what the files of src/store share: the open tier paths and how a file number
 * becomes a name. Immutable after varve_store_open() but for may_pass, so any thread may read it.
 */
#ifndef VARVE_STORE_INTERNAL_H
#define VARVE_STORE_INTERNAL_H

#include <stdatomic.h>
#include <sys/types.h>
#include <varve/store.h>

#define STORE_ORIGIN "user.varve.origin"
#define STORE_SHARDS 256u
/* "xx/yyyyyyyyyyyyyyyy" and NUL */
#define STORE_NAME_BYTES 20

struct store_path {
    enum varve_tier tier;
    uint32_t path_id;
    char *path;
    char *staging;
    int objects_fd;
    int heads_fd;
    int tmp_fd;
    dev_t device;
    ino_t inode;
    bool leases;          /* tell who else uses a file: lease.c */
    atomic_bool may_pass; /* leases do, and the kernel has not refused a file of it */
    atomic_uint guests;   /* descriptors of ours that are open for a moment, beside the vfs's own */
};

struct varve_store {
    struct store_path *paths;
    size_t count;
};

/* --- lease.c --- */
/* Opens a file for a moment: varve_store_in_use() waits until store_guest_leaves(). */
VARVE_MUST_CHECK bool
store_guest_enters(const struct varve_store *store, const struct varve_place *place, int *ret_fd,
                   struct varve_error *err);
void store_guest_leaves(const struct varve_store *store, const struct varve_place *place, int fd);
bool store_probe_leases(const struct store_path *path);

/* --- store.c --- */
void store_name(uint64_t file, char ret[STORE_NAME_BYTES]);
/* The open path that `place` names; NOT_FOUND says which number is not configured. */
VARVE_MUST_CHECK bool
store_path_of(const struct varve_store *store, const struct varve_place *place,
              const struct store_path **ret, struct varve_error *err);

typedef bool store_each_fn(void *context, const struct varve_place *place, const struct stat *st,
                           struct varve_error *err);
/* Directory `base_fd` ("objects" or "heads") of a path, one shard after another. */
VARVE_MUST_CHECK bool store_each_file(const struct store_path *path, int base_fd, const char *base,
                                      store_each_fn *each, void *context, struct varve_error *err);

#endif
