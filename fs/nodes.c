/* SPDX-License-Identifier: Apache-2.0 */
/* nodes.c - inodes that are open, and the backing files that the kernel has of them. */
#include "fs_internal.h"

#include <sys/ioctl.h>
#include <varve/log.h>

/* linux/fuse.h of older distributions lacks these; libfuse's own calls want a request and tell no
 * reason. */
struct backing_map {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

/* After a failure that may pass, such as a lack of memory. */
#define TRY_AGAIN_S 1

static struct fs_node **
bucket_of(struct varve_mount *mount, uint64_t ino)
{
    return &mount->nodes[ino % FS_NODE_BUCKETS];
}

struct fs_node *
fs_node_get(struct varve_mount *mount, uint64_t ino)
{
    VARVE_LOCKED(&mount->lock);
    struct fs_node *node = *bucket_of(mount, ino);
    while (node != NULL && node->ino != ino)
        node = node->next;
    if (node == NULL) {
        node = calloc(1, sizeof *node);
        if (node == NULL)
            return NULL;
        node->ino = ino;
        (void)pthread_mutex_init(&node->lock, NULL); /* default attributes: cannot fail on Linux */
        node->next = *bucket_of(mount, ino);
        *bucket_of(mount, ino) = node;
    }
    node->refs++;
    return node;
}

void
fs_node_put(struct varve_mount *mount, struct fs_node *node)
{
    if (node == NULL)
        return;
    {
        VARVE_LOCKED(&mount->lock);
        if (--node->refs > 0)
            return;
        struct fs_node **link = bucket_of(mount, node->ino);
        while (*link != node)
            link = &(*link)->next;
        *link = node->next;
    }
    (void)pthread_mutex_destroy(&node->lock);
    free(node);
}

static int64_t
now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return now.tv_sec;
}

bool
fs_passthrough_on(const struct varve_mount *mount)
{
    int64_t again_s = atomic_load(&mount->pass_again_s);
    return mount->passthrough && (again_s == 0 || now_s() >= again_s);
}

/* What a refusal says about the next time. */
static bool
judge_refusal(struct varve_mount *mount, int sys)
{
    switch (sys) {
    case EPERM: /* CAP_SYS_ADMIN is wanted, and is not there later either */
        atomic_store(&mount->pass_again_s, INT64_MAX);
        mount->pass_refusal = sys;
        return false;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
        atomic_store(&mount->pass_again_s, now_s() + TRY_AGAIN_S);
        return false;
    default: /* ELOOP: the tier lies on a filesystem that lies on another one */
        mount->pass_refusal = sys;
        return true;
    }
}

bool
fs_node_register(struct varve_mount *mount, struct fs_node *node, int fd, bool *ret_for_good)
{
    struct backing_map map = {.fd = fd};
    if (node->backing_id != 0)
        return true;
    int id = ioctl(fuse_session_fd(mount->session), BACKING_OPEN, &map);
    if (id > 0) {
        node->backing_id = id;
        return true;
    }
    int sys = errno;
    *ret_for_good = judge_refusal(mount, sys);
    varve_log(VARVE_LOG_INFO, "the kernel takes no backing file for passthrough: %s",
              strerror(sys));
    return false;
}

void
fs_node_left(struct varve_mount *mount, struct fs_node *node)
{
    node->passes--;
    if (node->passes > 0 || node->backing_id == 0)
        return;
    uint32_t id = (uint32_t)node->backing_id;
    node->backing_id = 0;
    /* Of a connection that is gone the kernel has dropped it already. */
    (void)ioctl(fuse_session_fd(mount->session), BACKING_CLOSE, &id);
}
