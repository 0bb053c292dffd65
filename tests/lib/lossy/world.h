/* world.h - a filesystem in memory that knows of each file and name what a power cut would leave.
 *
 * For tests. One thread. Every node has two states: `now`, what programs see, and `disk`, what is
 * durable. Bytes and attributes become durable by lossy_sync_node() of that file, names by
 * lossy_sync_node() of their directory (strict: the least that POSIX promises); with `journal`
 * every sync makes all names and attributes durable, as ext4 does. lossy_crash() makes a new tree
 * of what could be left. Names are changed in operations of one or two entries (a rename), which
 * are durable whole or not at all; an operation never overtakes an older one on the same name. */
#ifndef LOSSY_WORLD_H
#define LOSSY_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <varve/random.h>

#define LOSSY_PAGE_BYTES 4096u
#define LOSSY_SECTOR_BYTES 512u
/* 1 TiB: more is a bug of the program under test. */
#define LOSSY_FILE_BYTES_MAX (UINT64_C(1) << 40)

struct lossy_page; /* shared by states, copied when one of them changes it */

struct lossy_xattr {
    struct lossy_xattr *next;
    char *name;
    size_t size;
    uint8_t value[];
};

struct lossy_state {
    mode_t mode;
    uid_t uid;
    gid_t gid;
    struct timespec atime, mtime, ctime;
    struct lossy_xattr *xattrs;
    uint64_t size;
    struct lossy_page **pages; /* NULL: a hole */
    size_t page_count;
};

struct lossy_node;

struct lossy_entry {
    struct lossy_entry *next;
    char *name;
    struct lossy_node *now, *disk; /* NULL: no such name */
    struct lossy_node *left;       /* while a crash is made */
    unsigned pending;              /* operations not durable yet */
    bool marked;                   /* while operations are chosen */
};

/* What belongs together and loses its power together. */
struct lossy_tree {
    unsigned nodes;
    bool dead; /* the power is off: nothing works */
    uint64_t operations;
};

struct lossy_node {
    uint64_t id;
    unsigned refs;
    struct lossy_tree *tree;
    unsigned links; /* now */
    dev_t rdev;
    char *target; /* of a symlink */
    struct lossy_state now, disk;
    uint64_t cut; /* the smallest size since the last sync */
    struct lossy_entry *entries;
    struct lossy_node *copy; /* while a crash is made */
};

/* An operation on names: these entries got these nodes. */
struct lossy_set {
    struct lossy_node *dir;
    const char *name;
    struct lossy_node *node; /* NULL: the name is removed */
};

struct lossy_op {
    struct lossy_op *next, *previous;
    unsigned count;
    bool chosen;
    struct {
        struct lossy_node *dir, *node;
        struct lossy_entry *entry;
    } sets[2];
};

struct lossy_world {
    uint64_t last_id;
    uint64_t page_count, page_max;
    struct lossy_op *first, *last; /* not durable, oldest first */
    bool journal;
    bool lie; /* a disk that says it has written what it has not: for tests of tests */
};

void lossy_world_init(struct lossy_world *world);

/* A new node with one reference for the caller; tree NULL: the root of a new one. */
struct lossy_node *lossy_node_new(struct lossy_world *world, struct lossy_tree *tree, mode_t mode);
void lossy_node_ref(struct lossy_node *node);
void lossy_node_put(struct lossy_world *world, struct lossy_node *node, unsigned refs);
/* Frees what is below; nodes that somebody still refers to stay, empty. */
void lossy_tree_drop(struct lossy_world *world, struct lossy_node *root);

struct lossy_node *lossy_find(const struct lossy_node *dir, const char *name);
/* False: out of memory. */
bool lossy_change(struct lossy_world *world, const struct lossy_set *sets, unsigned count);
/* The entry gets this node durably, at once. False: out of memory. */
bool lossy_place(struct lossy_world *world, struct lossy_node *dir, const char *name,
                 struct lossy_node *node);
bool lossy_is_empty(const struct lossy_node *dir);

size_t lossy_read(const struct lossy_node *node, void *bytes, size_t size, uint64_t offset);
/* False: no space. */
bool lossy_write(struct lossy_world *world, struct lossy_node *node, const void *bytes, size_t size,
                 uint64_t offset);
bool lossy_truncate(struct lossy_world *world, struct lossy_node *node, uint64_t size);
/* Zeros within the file's size. */
bool lossy_zero(struct lossy_world *world, struct lossy_node *node, uint64_t offset, uint64_t size);
/* The first offset from `offset` on that is a hole, or is none; at most the file's size. */
uint64_t lossy_seek(const struct lossy_node *node, uint64_t offset, bool hole);
const struct lossy_xattr *lossy_xattr_find(const struct lossy_node *node, const char *name);
/* value NULL: removes it. */
bool lossy_xattr_set(struct lossy_node *node, const char *name, const void *value, size_t size);

/* fsync (data_only: fdatasync). Of a directory: its names. */
void lossy_sync_node(struct lossy_world *world, struct lossy_node *node, bool data_only);
/* syncfs of the tree. */
void lossy_sync_tree(struct lossy_world *world, struct lossy_node *root);

enum lossy_loss {
    LOSSY_KILL,  /* nothing is lost: only the program died */
    LOSSY_ALL,   /* everything that was not synced */
    LOSSY_SOME,  /* any part of it: blocks, torn blocks, sizes, the first names of all */
    LOSSY_MIXED, /* the same, but each directory has its own first names */
    LOSSY_BYTES, /* all names and sizes are there, any part of the bytes */
};
/* The root of a new tree: what `root` could be after a power cut at this moment. */
struct lossy_node *lossy_crash(struct lossy_world *world, struct lossy_node *root,
                               enum lossy_loss loss, struct varve_random *random);

/* --- shared by bytes.c, world.c and crash.c --- */
struct lossy_page {
    unsigned refs;
    uint8_t bytes[LOSSY_PAGE_BYTES];
};
/* Without bytes; _free: without anything. */
void lossy_state_clear(struct lossy_world *world, struct lossy_state *state);
void lossy_state_free(struct lossy_world *world, struct lossy_state *state);
struct lossy_page *lossy_page_new(struct lossy_world *world);
void lossy_page_put(struct lossy_world *world, struct lossy_page *page);
bool lossy_state_attributes(struct lossy_state *to, const struct lossy_state *from);
bool lossy_state_bytes(struct lossy_world *world, struct lossy_state *to,
                       const struct lossy_state *from);
bool lossy_state_resize(struct lossy_world *world, struct lossy_state *state, uint64_t size);
/* The entry is made if it is not there. */
struct lossy_entry *lossy_entry(struct lossy_node *dir, const char *name);

#endif
