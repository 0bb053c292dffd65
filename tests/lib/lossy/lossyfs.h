/* lossyfs.h - shared by the two files of lossyfs: commands and points (lossyfs.c), FUSE
 * (operations.c). One thread. */
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

/* Before every operation that changes something: false if the power is off. */
bool lossy_step(struct lossy_node *node);
/* False: not understood. */
bool lossy_command(const char *line);

#endif
