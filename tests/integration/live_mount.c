/* SPDX-License-Identifier: Apache-2.0 */
#include "live_mount.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <time.h>

static char root[64], mountpoint[80];
struct live live;
static unsigned device_minor;
static pthread_t server;

/* A thread of ours that waits for our own mount could not end with the process. */
static void
cut_connection(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/sys/fs/fuse/connections/%u/abort", device_minor);
    VARVE_CLEANUP_FD int fd = device_minor == 0 ? -1 : open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)!write(fd, "1", 1);
    (void)umount2(mountpoint, MNT_DETACH);
}

/* For what must work for the test to go on. */
void
need(bool ok, const char *what)
{
    if (ok)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    (void)fflush(stdout);
    cut_connection();
    _exit(1);
}

const char *
at(const char *name)
{
    static _Thread_local char path[2][160];
    static _Thread_local unsigned turn;
    turn = !turn;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", mountpoint, name);
    return path[turn];
}

int64_t
now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct stat
stat_of(const char *name)
{
    struct stat st;
    need(stat(at(name), &st) == 0, name);
    return st;
}

int64_t
mtime_of(const char *name)
{
    struct stat st = stat_of(name);
    return st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
}

void
remount(const char *options)
{
    char command[256];
    (void)snprintf(command, sizeof command, "mount -i -o %s '%s'", options, mountpoint);
    need(system(command) == 0, options); /* of ours, made below */
    sleep_ms(200);                       /* until the mount has looked */
}

int
make(const char *name, uint64_t bytes, int flags)
{
    int fd = open(at(name), flags | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    need(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, name);
    return fd;
}

/* --- the engine's side --- */
bool
freeze(const char *name, struct varve_content *ret, struct varve_error *err)
{
    return varve_vfs_freeze(live.vfs, stat_of(name).st_ino, INT64_MAX, ret, err);
}

struct varve_content
content_of(const char *name)
{
    struct varve_inode inode;
    struct varve_content content = {0};
    struct varve_error err = {0};
    need(varve_catalog_inode_get(live.catalog, stat_of(name).st_ino, &inode, &err) &&
             varve_catalog_content_get(live.catalog, inode.content, &content, &err),
         err.text);
    return content;
}

bool
move(const char *name, enum varve_tier to, struct varve_error *err)
{
    struct varve_move_result result = {.content = content_of(name).id};
    varve_vfs_move(live.vfs, &result, 1, to);
    if (result.moved)
        varve_vfs_remove_later(live.vfs, result.old);
    *err = result.error;
    return result.moved;
}

void
seal(struct varve_content_id id)
{
    struct varve_content row;
    struct varve_error err = {0};
    varve_catalog_begin(live.catalog);
    bool ok = varve_catalog_content_get(live.catalog, id, &row, &err);
    row.phase = VARVE_PHASE_SEALED;
    ok = varve_catalog_end(live.catalog,
                           ok && varve_catalog_content_update(live.catalog, &row, &err), &err);
    need(ok, err.text);
}

/* --- recalls, when the test says so --- */
static pthread_mutex_t asked_lock = PTHREAD_MUTEX_INITIALIZER;
static struct varve_content_id asked[16];
static unsigned asked_count;

static bool
take_wish(void *context, const struct varve_recall_wish *wish, struct varve_error *err)
{
    (void)context;
    (void)err;
    VARVE_LOCKED(&asked_lock);
    need(asked_count < sizeof asked / sizeof asked[0], "few recalls");
    asked[asked_count++] = wish->content;
    return true;
}

static bool
take_asked(struct varve_content_id id)
{
    VARVE_LOCKED(&asked_lock);
    for (unsigned i = 0; i < asked_count; i++) {
        if (asked[i].value != id.value)
            continue;
        asked[i] = asked[--asked_count];
        return true;
    }
    return false;
}

void
migrate(const char *name, struct migrated *ret)
{
    struct varve_place old;
    struct varve_error err = {0};
    int fd = open(at(name), O_RDONLY | O_CLOEXEC);
    need(fd >= 0, name);
    ssize_t size = pread(fd, ret->bytes, sizeof ret->bytes, 0);
    need(size > 0 && close(fd) == 0, name);
    ret->size = (size_t)size;
    sleep_ms(50); /* the kernel gives its backing file back */
    need(freeze(name, &ret->content, &err), err.text);
    seal(ret->content.id);
    need(varve_vfs_release(live.vfs, ret->content.id, &old, &err), err.text);
    varve_vfs_remove_later(live.vfs, old);
}

void
until_asked(const struct migrated *file)
{
    int64_t end_ms = now_ms() + 20000;
    bool found = false;
    while (!(found = take_asked(file->content.id)) && now_ms() < end_ms)
        sleep_ms(5);
    need(found, "somebody waits for a recall");
}

void
bring_back(const struct migrated *file)
{
    struct varve_recall *recall = NULL;
    struct varve_error err = {0};
    need(varve_vfs_recall_begin(live.vfs, file->content.id, &recall, &err) &&
             varve_recall_write(recall, 0, file->bytes, file->size, &err) &&
             varve_recall_end(recall, NULL, &err),
         err.text);
}

/* --- set up --- */
static void *
serve(void *context)
{
    struct varve_error err = {0};
    if (!varve_mount_serve(context, &err))
        printf("# serve: %s\n", err.text);
    return NULL;
}

static void
open_vfs(void)
{
    static const struct varve_uuid archive = {{1, 2, 3}};
    char path[96], ssd[96], hdd[96];
    struct varve_error err = {0};
    struct varve_clock *clock = varve_clock_system();
    (void)snprintf(path, sizeof path, "%s/catalog.sqlite", root);
    (void)snprintf(ssd, sizeof ssd, "%s/ssd", root);
    (void)snprintf(hdd, sizeof hdd, "%s/hdd", root);
    (void)snprintf(mountpoint, sizeof mountpoint, "%s/mnt", root);
    need(mkdir(ssd, 0700) == 0 && mkdir(hdd, 0700) == 0 && mkdir(mountpoint, 0755) == 0, "mkdir");
    need(varve_catalog_create(path, 0, 0, clock, &err) &&
             varve_catalog_open(path, clock, &live.catalog, &err),
         err.text);
    struct varve_store_path paths[] = {{.tier = VARVE_TIER_SSD, .path = ssd},
                                       {.tier = VARVE_TIER_HDD, .path = hdd}};
    for (size_t i = 0; i < 2; i++)
        need(varve_catalog_tier_path(live.catalog, paths[i].tier, paths[i].path, &paths[i].path_id,
                                     &err),
             err.text);
    need(varve_store_open(paths, 2, &archive, &live.store, &err), err.text);
    struct varve_vfs_options options = {.catalog = live.catalog,
                                        .store = live.store,
                                        .clock = clock,
                                        .archive_dir = root,
                                        .first_tier = VARVE_TIER_SSD,
                                        .heat_half_life_ns = INT64_C(1) << 50,
                                        .head_bytes = MIGRATED_HEAD_BYTES};
    need(varve_vfs_new(&options, &live.vfs, &err), err.text);
    varve_vfs_set_recall_port(live.vfs, &(struct varve_recall_port){.request = take_wish});
}

static void
tell_features(const struct varve_mount_options *options)
{
    struct varve_mount_features features;
    varve_mount_features(live.mount, &features);
    live.passing = features.passthrough;
    printf("# passthrough %s%s, io_uring %s%s\n",
           features.passthrough ? "yes" : "no: ", features.passthrough_why,
           features.io_uring ? "yes" : "no: ", features.io_uring_why);
    expect(!options->no_passthrough || !features.passthrough, "-o nopassthrough is obeyed");
    expect(!options->no_uring || !features.io_uring, "-o nouring is obeyed");
}

static struct varve_mount_options
read_words(int count, char **words)
{
    struct varve_mount_options options = {.mountpoint = mountpoint, .source = root};
    for (int i = 1; i < count; i++) {
        options.no_passthrough |= strcmp(words[i], "nopassthrough") == 0;
        options.no_uring |= strcmp(words[i], "nouring") == 0;
    }
    return options;
}

bool
live_start(int count, char **words)
{
    struct varve_mount_options options = read_words(count, words);
    struct varve_error err = {0};
    if (geteuid() != 0 || access("/dev/fuse", W_OK) != 0) {
        printf("1..0 # SKIP needs root and /dev/fuse\n");
        return false;
    }
    (void)umask(022);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(root, sizeof root, "%.40s/live-XXXXXX", tmp != NULL ? tmp : "/tmp");
    need(mkdtemp(root) != NULL && chmod(root, 0755) == 0, "mkdtemp");
    open_vfs();
    need(varve_mount_new(live.vfs, &options, &live.mount, &err), err.text);
    need(pthread_create(&server, NULL, serve, live.mount) == 0, "thread");
    device_minor = minor(stat_of(".").st_dev);
    tell_features(&options);
    return true;
}

int
live_end(void)
{
    char command[128];
    varve_mount_stop(live.mount);
    (void)pthread_join(server, NULL);
    varve_mount_free(live.mount);
    varve_vfs_free(live.vfs);
    varve_store_close(live.store);
    varve_catalog_close(live.catalog);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    need(system(command) == 0, "rm"); /* of ours, made above */
    return tap_end();
}
