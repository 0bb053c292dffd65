/* SPDX-License-Identifier: Apache-2.0 */
/* mountvfs DIR MOUNTPOINT [nopassthrough] [nouring] - a mount over catalog and store alone, without
 * engine and libraries, for tests of the filesystem. Makes DIR/catalog.sqlite and the tiers
 * DIR/ssd, DIR/hdd if they are not there; serves until it is unmounted, or stops on SIGTERM. */
#include <varve/file.h>
#include <varve/fuse.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "serve_mount.h"

static struct varve_uuid archive = {{0x76, 0x61, 0x72, 0x76, 0x65}}; /* all runs are one archive */

static bool
make_dir(const char *path, struct varve_error *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return true;
    return varve_error_system(err, errno, "mkdir '%s'", path);
}

static bool
open_catalog(const char *path, struct varve_clock *clock, struct varve_catalog **ret,
             struct varve_error *err)
{
    if (access(path, F_OK) != 0 && !varve_catalog_create(path, geteuid(), getegid(), clock, err))
        return false;
    return varve_catalog_open(path, clock, ret, err);
}

static bool
open_store(struct varve_catalog *catalog, const char *ssd, const char *hdd,
           struct varve_store **ret, struct varve_error *err)
{
    struct varve_store_path paths[] = {{.tier = VARVE_TIER_SSD, .path = ssd},
                                       {.tier = VARVE_TIER_HDD, .path = hdd}};
    for (size_t i = 0; i < 2; i++) {
        if (!make_dir(paths[i].path, err) ||
            !varve_catalog_tier_path(catalog, paths[i].tier, paths[i].path, &paths[i].path_id, err))
            return false;
    }
    return varve_store_open(paths, 2, &archive, ret, err);
}

static bool
serve(struct varve_vfs *vfs, const struct varve_mount_options *options, struct varve_error *err)
{
    VARVE_CLEANUP(varve_mount_free) struct varve_mount *mount = NULL;
    if (!varve_mount_new(vfs, options, &mount, err))
        return false;
    return serve_mount(mount, err);
}

static bool
run(const struct varve_mount_options *options, struct varve_error *err)
{
    const char *dir = options->source;
    char catalog_path[4096], ssd[4096], hdd[4096];
    (void)snprintf(catalog_path, sizeof catalog_path, "%s/catalog.sqlite", dir);
    (void)snprintf(ssd, sizeof ssd, "%s/ssd", dir);
    (void)snprintf(hdd, sizeof hdd, "%s/hdd", dir);
    struct varve_clock *clock = varve_clock_system();
    VARVE_CLEANUP(varve_catalog_close) struct varve_catalog *catalog = NULL;
    VARVE_CLEANUP(varve_store_close) struct varve_store *store = NULL;
    VARVE_CLEANUP(varve_vfs_free) struct varve_vfs *vfs = NULL;
    if (!make_dir(dir, err) || !open_catalog(catalog_path, clock, &catalog, err) ||
        !open_store(catalog, ssd, hdd, &store, err))
        return false;
    struct varve_vfs_options vfs_options = {
        .catalog = catalog,
        .store = store,
        .clock = clock,
        .archive_dir = dir,
        .first_tier = VARVE_TIER_SSD,
        .heat_half_life_ns = INT64_C(7) * 86400 * 1000000000,
    };
    return varve_vfs_new(&vfs_options, &vfs, err) && serve(vfs, options, err);
}

int
main(int count, char **arguments)
{
    if (count < 3 || arguments[1][0] != '/') {
        (void)fprintf(stderr, "usage: mountvfs DIR MOUNTPOINT [OPTION...] (DIR absolute)\n");
        return 2;
    }
    struct varve_mount_options options = {
        .source = arguments[1], .mountpoint = arguments[2], .flags = MS_NOSUID | MS_NODEV};
    for (int i = 3; i < count; i++) {
        options.no_passthrough =
            options.no_passthrough || strcmp(arguments[i], "nopassthrough") == 0;
        options.no_uring = options.no_uring || strcmp(arguments[i], "nouring") == 0;
        options.no_acls = options.no_acls || strcmp(arguments[i], "noacl") == 0;
    }
    (void)umask(022);
    serve_block_signals();
    struct varve_error err = {0};
    if (run(&options, &err))
        return 0;
    (void)fprintf(stderr, "mountvfs: %s\n", err.text);
    return 1;
}
