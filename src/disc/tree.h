/* tree.h - the directory tree of a disc: which inodes and names its file system has.
 *
 * Made from a manifest (or for a parity disc from nothing), before addresses are known. Nodes:
 * directories first, node 0 the root, node 1 /varve; then files in the order of their data. Borrows
 * the manifest. Read-only after the layout has filled in the addresses. */
#ifndef VARVE_DISC_TREE_H
#define VARVE_DISC_TREE_H

#include <varve/manifest.h>

/* The files that varve adds under /varve. */
enum varve_own {
    VARVE_OWN_NONE, /* the user's */
    VARVE_OWN_README,
    VARVE_OWN_FORMAT,
    VARVE_OWN_DISC_JSON,
    VARVE_OWN_PARITY,
    VARVE_OWN_INODES,
    VARVE_OWN_SUMS,
    VARVE_OWN_CRCS,
};

#define VARVE_NO_RECORD SIZE_MAX
#define VARVE_TREE_ROOT 0u
#define VARVE_TREE_VARVE 1u
/* Names on one disc: seven digits number those that would clash. */
#define VARVE_TREE_LINKS_MAX 9999999u

struct varve_tree_node {
    size_t record;                   /* VARVE_NO_RECORD: varve's own */
    uint64_t lba, bytes;             /* files: data; directories: bytes of their FIDs */
    uint32_t first_link, link_count; /* names, adjacent in `links` */
    uint32_t first_entry, entries;   /* directories: their part of `order` */
    uint32_t block;                  /* directories: first metadata block of their FIDs */
    uint16_t subdirectories;         /* stops at 65534 */
    uint8_t own;                     /* enum varve_own */
};
struct varve_tree_link {
    const char *name; /* UTF-8, as on the disc; the record's own bytes where they can be kept */
    uint32_t node, parent;
    uint32_t offset; /* of its FID in the directory */
    bool pending;    /* while names are chosen */
};
struct varve_tree {
    const struct varve_manifest *manifest; /* NULL on a parity disc */
    struct varve_tree_node *nodes;
    uint32_t node_count, node_capacity, directory_count;
    struct varve_tree_link *links;
    uint32_t link_count, link_capacity;
    uint32_t *order; /* links by parent */
    char **owned;    /* names that had to change */
    size_t owned_count, owned_capacity;
};

/* INVALID names the inode of a record that cannot be stored. */
VARVE_MUST_CHECK bool varve_tree_new(const struct varve_manifest *manifest, struct varve_tree **ret,
                                     struct varve_error *err);
void varve_tree_free(struct varve_tree *tree);
VARVE_DEFINE_CLEANUP(struct varve_tree, varve_tree_free)

/* Appends the path of a link from the disc's root, without leading slash. */
void varve_tree_path(const struct varve_tree *tree, uint32_t link, struct varve_buffer *ret);

/* Chooses link->name for all links (tree_names.c): unique in each directory, legal everywhere. */
VARVE_MUST_CHECK bool varve_tree_choose_names(struct varve_tree *tree, struct varve_error *err);

#endif
