/* SPDX-License-Identifier: Apache-2.0 */
/* lease.c - whether anybody else has a backing file open.
 *
 * What the kernel does with a backing file in passthrough, it does without us, and a mapping goes
 * on when all who opened the file have closed it. Only the filesystem below knows: it grants a
 * write lease on a file (fcntl(2), F_SETLEASE) to its only user alone. The lease is given back at
 * once; nobody is to be kept out, we just ask. */
#include "store_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <varve/file.h>

#define PROBE_NAME ".lease"

/* `fd` is the only descriptor of ours. */
static bool
has_other_users(int fd)
{
    /* Who opens the file in this very moment makes the kernel send us a signal: one that nobody
     * minds, as the default one (SIGIO) would end the process. */
    (void)fcntl(fd, F_SETSIG, SIGURG);
    if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
        return true;
    (void)fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
}

/* Leases are of use if they are refused while there is another user, and only then. */
static bool
leases_work(int first_fd, int tmp_fd)
{
    VARVE_CLEANUP_FD int second_fd = openat(tmp_fd, PROBE_NAME, O_RDONLY | O_CLOEXEC);
    if (second_fd < 0 || !has_other_users(first_fd))
        return false;
    (void)close(second_fd);
    second_fd = -1;
    return !has_other_users(first_fd);
}

bool
store_probe_leases(const struct store_path *path)
{
    int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC;
    VARVE_CLEANUP_FD int fd = openat(path->tmp_fd, PROBE_NAME, flags, 0600);
    if (fd < 0)
        return false;
    bool work = leases_work(fd, path->tmp_fd);
    /* Programs may ask for O_DIRECT, and an open in passthrough fails where it is not to be had. */
    VARVE_CLEANUP_FD int direct_fd =
        openat(path->tmp_fd, PROBE_NAME, O_RDONLY | O_DIRECT | O_CLOEXEC);
    (void)unlinkat(path->tmp_fd, PROBE_NAME, 0); /* else the next start empties tmp/ */
    return work && direct_fd >= 0;
}

bool
varve_store_may_pass(const struct varve_store *store, const struct varve_place *place)
{
    const struct store_path *path;
    struct varve_error unused;
    return store_path_of(store, place, &path, &unused) && atomic_load(&path->may_pass);
}

static struct store_path *
mutable_path(const struct varve_store *store, const struct varve_place *place)
{
    for (size_t i = 0; i < store->count; i++) {
        if (store->paths[i].path_id == place->path_id && store->paths[i].tier == place->tier)
            return &store->paths[i];
    }
    return NULL;
}

void
varve_store_never_pass(const struct varve_store *store, const struct varve_place *place)
{
    struct store_path *path = mutable_path(store, place);
    if (path != NULL)
        atomic_store(&path->may_pass, false);
}

bool
varve_store_passes(const struct varve_store *store)
{
    for (size_t i = 0; i < store->count; i++) {
        if (atomic_load(&store->paths[i].may_pass))
            return true;
    }
    return false;
}

bool
store_guest_enters(const struct varve_store *store, const struct varve_place *place, int *ret_fd,
                   struct varve_error *err)
{
    struct store_path *path = mutable_path(store, place);
    if (path != NULL)
        atomic_fetch_add(&path->guests, 1);
    if (varve_store_open_file(store, place, O_RDONLY, ret_fd, err))
        return true;
    if (path != NULL)
        atomic_fetch_sub(&path->guests, 1);
    return false;
}

void
store_guest_leaves(const struct varve_store *store, const struct varve_place *place, int fd)
{
    (void)close(fd); /* opened for reading: nothing to lose */
    atomic_fetch_sub(&mutable_path(store, place)->guests, 1);
}

/* The kernel gives its backing files back a moment after it has told us of the last close, and
 * guests of ours leave when their sync is done: the first refusal is not to be believed. */
static bool
stays_in_use(const struct store_path *path, int fd, unsigned patience_ms)
{
    enum { LOOKS = 5 };
    unsigned alone = 0; /* looks since there was no guest */
    for (unsigned look = 0; has_other_users(fd); look++) {
        alone = atomic_load(&path->guests) > 0 ? 0 : alone + 1;
        if (alone > LOOKS || (alone == 0 && look >= patience_ms))
            return true;
        (void)usleep(1000);
    }
    return false;
}

bool
varve_store_in_use(const struct varve_store *store, const struct varve_place *place, int fd,
                   unsigned patience_ms)
{
    const struct store_path *path;
    struct varve_error unused;
    VARVE_CLEANUP_FD int own_fd = -1;
    if (!store_path_of(store, place, &path, &unused) || !path->leases)
        return false; /* then no file of this path was ever passed */
    if (fd < 0 && !varve_store_open_file(store, place, O_RDWR, &own_fd, &unused))
        return false; /* gone: whoever looks at the file itself will say so */
    return stays_in_use(path, fd >= 0 ? fd : own_fd, patience_ms);
}

bool
varve_store_sync_file(const struct varve_store *store, const struct varve_place *place,
                      struct varve_error *err)
{
    int fd;
    if (!store_guest_enters(store, place, &fd, err))
        return false;
    bool ok = varve_file_sync(fd, "backing file", err);
    store_guest_leaves(store, place, fd);
    return ok;
}
