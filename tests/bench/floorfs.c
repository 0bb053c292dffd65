/* SPDX-License-Identifier: Apache-2.0 */
/* floorfs - what FUSE itself costs: a filesystem that keeps nothing and waits for nothing.
 *
 * Asks of the kernel what varve asks, and answers as varve must answer, from a table in memory. The
 * files behind, which the kernel writes to by itself (passthrough), were all made before it was
 * mounted. What it needs for a create, a stat or an unlink no filesystem in FUSE with the same
 * options can go below: the rest is the kernel's, libfuse's and the client's. Knows directories and
 * regular files; made for tests/bench/fs alone.
 * usage: floorfs FOLDER COUNT -f -o OPTIONS MOUNTPOINT */
#define FUSE_USE_VERSION 318
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS 262144u /* a power of two */
#define TIMEOUT_S 86400.0
#define FILES_MAX 500000u

struct node {
    struct node *in_bucket;              /* next */
    struct node *parent, *first, **self; /* children; where this one hangs among its siblings */
    struct node *sibling;
    struct stat attr;
    int fd; /* of a regular file that has a name, -1 else */
    char name[];
};

static struct {
    pthread_mutex_t lock;
    struct node *buckets[BUCKETS];
    int *spare; /* files made before */
    size_t spares;
    uint64_t last_ino;
    struct node root;
} floor_;

__attribute__((noreturn)) static void
die(const char *what, const char *path)
{
    (void)fprintf(stderr, "floorfs: %s '%s': %s\n", what, path, strerror(errno));
    exit(1);
}

static struct node *
node_of(fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? &floor_.root : (struct node *)(uintptr_t)ino;
}

static fuse_ino_t
number_of(const struct node *node)
{
    return node == &floor_.root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)node;
}

static struct node **
bucket_of(const struct node *parent, const char *name)
{
    uint64_t hash = (uintptr_t)parent >> 4;
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return &floor_.buckets[(hash ^ hash >> 32) & (BUCKETS - 1)];
}

/* Lock held. */
static struct node **
find(const struct node *parent, const char *name)
{
    struct node **at = bucket_of(parent, name);
    while (*at != NULL && ((*at)->parent != parent || strcmp((*at)->name, name) != 0))
        at = &(*at)->in_bucket;
    return at;
}

static struct fuse_entry_param
entry_of(const struct node *node)
{
    return (struct fuse_entry_param){.ino = number_of(node),
                                     .attr = node->attr,
                                     .attr_timeout = TIMEOUT_S,
                                     .entry_timeout = TIMEOUT_S};
}

/* Lock held. NULL with errno. */
static struct node *
add(struct node *parent, const char *name, mode_t mode, const struct fuse_ctx *who)
{
    struct node **at = find(parent, name);
    bool regular = S_ISREG(mode);
    errno = *at != NULL ? EEXIST : regular && floor_.spares == 0 ? ENOSPC : 0;
    struct node *node = errno != 0 ? NULL : calloc(1, sizeof *node + strlen(name) + 1);
    if (node == NULL)
        return NULL;
    strcpy(node->name, name);
    node->parent = parent;
    node->fd = regular ? floor_.spare[--floor_.spares] : -1;
    node->attr = (struct stat){.st_ino = ++floor_.last_ino,
                               .st_mode = mode & ~who->umask,
                               .st_nlink = regular ? 1 : 2,
                               .st_uid = who->uid,
                               .st_gid = who->gid};
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &node->attr.st_mtim);
    node->attr.st_ctim = node->attr.st_atim = parent->attr.st_mtim = node->attr.st_mtim;
    *at = node;
    node->sibling = parent->first;
    if (node->sibling != NULL)
        node->sibling->self = &node->sibling;
    parent->first = node;
    node->self = &parent->first;
    return node;
}

/* Lock held. The node stays: the kernel may still know it, and this program ends soon. */
static int
take_away(struct node *parent, const char *name, bool directory)
{
    struct node **at = find(parent, name);
    struct node *node = *at;
    if (node == NULL)
        return ENOENT;
    if (directory && node->first != NULL)
        return ENOTEMPTY;
    *at = node->in_bucket;
    *node->self = node->sibling;
    if (node->sibling != NULL)
        node->sibling->self = node->self;
    if (node->fd >= 0)
        floor_.spare[floor_.spares++] = node->fd;
    node->fd = -1;
    return 0;
}

/* --- requests --- */

static void
negotiate(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    if (!fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH)) {
        (void)fprintf(stderr, "floorfs: this kernel has no passthrough\n");
        exit(1);
    }
    (void)fuse_set_feature_flag(conn, FUSE_CAP_HANDLE_KILLPRIV_V2);
    (void)fuse_set_feature_flag(conn, FUSE_CAP_DONT_MASK);
    (void)fuse_set_feature_flag(conn, FUSE_CAP_PARALLEL_DIROPS);
    (void)fuse_set_feature_flag(conn, FUSE_CAP_NO_OPENDIR_SUPPORT);
    fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_READ);
    fuse_unset_feature_flag(conn, FUSE_CAP_WRITEBACK_CACHE);
    fuse_unset_feature_flag(conn, FUSE_CAP_AUTO_INVAL_DATA);
    conn->max_backing_stack_depth = 1;
    conn->time_gran = 1;
}

static void
lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry = {.entry_timeout = TIMEOUT_S};
    (void)pthread_mutex_lock(&floor_.lock);
    const struct node *node = *find(node_of(parent), name);
    if (node != NULL)
        entry = entry_of(node);
    (void)pthread_mutex_unlock(&floor_.lock);
    (void)fuse_reply_entry(req, &entry);
}

static void
get_attributes(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct node *node = node_of(ino);
    struct stat behind;
    if (node->fd >= 0 && fstat(node->fd, &behind) == 0) {
        node->attr.st_size = behind.st_size;
        node->attr.st_blocks = behind.st_blocks;
    }
    (void)fuse_reply_attr(req, &node->attr, TIMEOUT_S);
}

static void
set_attributes(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
               struct fuse_file_info *fi)
{
    (void)attr;
    (void)to_set; /* times, by nothing that is measured */
    get_attributes(req, ino, fi);
}

static struct node *
make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    (void)pthread_mutex_lock(&floor_.lock);
    struct node *node = add(node_of(parent), name, mode, fuse_req_ctx(req));
    int failed = errno;
    (void)pthread_mutex_unlock(&floor_.lock);
    if (node == NULL)
        (void)fuse_reply_err(req, failed);
    return node;
}

static void
make_directory(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct node *node = make(req, parent, name, S_IFDIR | mode);
    if (node == NULL)
        return;
    struct fuse_entry_param entry = entry_of(node);
    (void)fuse_reply_entry(req, &entry);
}

static void
create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    struct node *node = make(req, parent, name, S_IFREG | mode);
    if (node == NULL)
        return;
    fi->backing_id = fuse_passthrough_open(req, node->fd);
    fi->noflush = 1;
    struct fuse_entry_param entry = entry_of(node);
    if (fi->backing_id <= 0)
        (void)fuse_reply_err(req, EIO);
    else
        (void)fuse_reply_create(req, &entry, fi);
}

static void
release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    if (fi->backing_id > 0)
        (void)fuse_passthrough_close(req, fi->backing_id);
    (void)fuse_reply_err(req, 0);
}

static void
remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, bool directory)
{
    (void)pthread_mutex_lock(&floor_.lock);
    int failed = take_away(node_of(parent), name, directory);
    (void)pthread_mutex_unlock(&floor_.lock);
    (void)fuse_reply_err(req, failed);
}

static void
unlink_file(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, false);
}

static void
remove_directory(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, true);
}

static void
get_xattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    (void)ino;
    (void)name;
    (void)size;
    (void)fuse_reply_err(req, ENODATA);
}

/* Newest first; good enough for `rm -r`, which begins anew when it has removed what it was told. */
static void
list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    (void)fi;
    char *bytes = malloc(size);
    size_t used = 0;
    off_t at = 0;
    (void)pthread_mutex_lock(&floor_.lock);
    for (const struct node *node = node_of(ino)->first; bytes != NULL && node != NULL;
         node = node->sibling) {
        if (at++ < offset)
            continue;
        size_t needed =
            fuse_add_direntry(req, bytes + used, size - used, node->name, &node->attr, at);
        if (needed > size - used)
            break;
        used += needed;
    }
    (void)pthread_mutex_unlock(&floor_.lock);
    (void)fuse_reply_buf(req, bytes, used);
    free(bytes);
}

static const struct fuse_lowlevel_ops operations = {
    .init = negotiate,
    .lookup = lookup,
    .getattr = get_attributes,
    .setattr = set_attributes,
    .mkdir = make_directory,
    .create = create,
    .release = release,
    .unlink = unlink_file,
    .rmdir = remove_directory,
    .getxattr = get_xattr,
    .readdir = list,
};

/* --- start --- */

static void
make_files(const char *folder, size_t count)
{
    struct rlimit files = {count + 1024, count + 1024};
    floor_.spare = calloc(count, sizeof *floor_.spare);
    if (floor_.spare == NULL || setrlimit(RLIMIT_NOFILE, &files) != 0)
        die("room for the files of", folder);
    for (; floor_.spares < count; floor_.spares++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%zu", folder, floor_.spares);
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
            die("create", path);
        floor_.spare[floor_.spares] = fd;
    }
}

static int
serve(struct fuse_args *args)
{
    struct fuse_cmdline_opts options;
    if (fuse_parse_cmdline(args, &options) != 0 || options.mountpoint == NULL)
        return 1;
    struct fuse_session *session = fuse_session_new(args, &operations, sizeof operations, NULL);
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    int failed = 1;
    if (session != NULL && config != NULL && fuse_set_signal_handlers(session) == 0 &&
        fuse_session_mount(session, options.mountpoint) == 0) {
        failed = fuse_session_loop_mt(session, config);
        fuse_session_unmount(session);
    }
    if (session != NULL)
        fuse_session_destroy(session);
    fuse_loop_cfg_destroy(config);
    free(options.mountpoint);
    return failed != 0;
}

int
main(int argc, char **argv)
{
    size_t count = argc > 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (count == 0 || count > FILES_MAX) {
        (void)fprintf(stderr, "usage: floorfs FOLDER COUNT -f -o OPTIONS MOUNTPOINT\n");
        return 2;
    }
    make_files(argv[1], count);
    (void)pthread_mutex_init(&floor_.lock, NULL); /* cannot fail with default attributes */
    floor_.root.attr = (struct stat){.st_ino = 1, .st_mode = S_IFDIR | 0755, .st_nlink = 2};
    floor_.root.fd = -1;
    floor_.last_ino = 1;
    argv[2] = argv[0];
    struct fuse_args args = FUSE_ARGS_INIT(argc - 2, argv + 2);
    return serve(&args);
}
