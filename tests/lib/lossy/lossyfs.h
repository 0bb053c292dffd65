/* lossyfs.h - shared by the files of lossyfs: commands and points (lossyfs.c), FUSE (operations.c,
 * listing.c). One thread. */
#ifndef LOSSYFS_H
#define LOSSYFS_H

#include "world.h"

#include <fuse3/fuse_lowlevel.h>

struct lossy_points {
    struct lossy_node *tree;
    uint64_t every; /* 0: none are made */
    uint64_t next, seed;
    unsigned made;
    struct varve_random_seeded random;
    char name[128];
};

struct lossy_cut {
    struct lossy_node *tree; /* NULL: none is planned */
    uint64_t at, seed;
    enum lossy_loss loss;
    char name[128];
};

struct lossy_fs {
    struct lossy_world world;
    struct lossy_node *root, *control;
    const char *logs;
    struct lossy_points points;
    struct lossy_cut cut;
};

extern struct lossy_fs lossy_fs;
extern const struct fuse_lowlevel_ops lossy_operations;

/* --- operations.c --- */
struct lossy_node *lossy_node_of(fuse_ino_t ino);
/* True: the power is off, and the request was answered. */
bool lossy_is_off(fuse_req_t req, struct lossy_node *node);
/* False: the request was answered. */
bool lossy_may_change(fuse_req_t req, struct lossy_node *node);

/* --- listing.c --- */
void lossy_fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void lossy_fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                      struct fuse_file_info *fi);
void lossy_fs_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void lossy_fs_statfs(fuse_req_t req, fuse_ino_t ino);
void lossy_fs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                       size_t size, int flags);
void lossy_fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void lossy_fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void lossy_fs_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* --- lossyfs.c --- */
/* Before every operation that changes something: false if the power is off. */
bool lossy_step(struct lossy_node *node);
/* False: not understood. */
bool lossy_command(const char *line);

#endif
