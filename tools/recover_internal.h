/* recover_internal.h - shared by the files of varve-recover. One thread. */
#ifndef VARVE_RECOVER_TOOL_H
#define VARVE_RECOVER_TOOL_H

#include <jansson.h>
#include <stdio.h>
#include <varve/recover.h>

struct options {
    const char *to;
    bool json, quiet;
    bool has_disc;
    uint32_t disc;      /* --disc: rebuild only this one */
    const char *as[16]; /* --as: "INDEX=IMAGE" */
    unsigned as_count;
    char **images;
    unsigned image_count;
};

/* Exit codes. */
enum { RECOVER_GOOD = 0, RECOVER_BAD = 1, RECOVER_FAILED = 2 };

/* --- discs (recover_discs.c) --- */
struct input {
    const char *path;
    struct varve_image_file *file;
    struct varve_disc_identity identity;
};
/* The discs of one set that were given. */
struct disc_set {
    struct varve_recovery *recovery;
    const struct input *inputs[VARVE_SET_DISCS_MAX]; /* by member; NULL: not given */
};
struct discs {
    struct input *inputs;
    unsigned input_count;
    struct disc_set *sets;
    unsigned set_count;
    bool refused; /* an image was told of and left out */
};
/* Opens all images that can be opened, and tells of the others; fails if none can be. */
VARVE_MUST_CHECK bool
discs_open(const struct options *options, struct discs *ret, struct varve_error *err);
void discs_close(struct discs *discs);
/* "disc 3 of set 12", with the path if it was given. */
#define DISC_TEXT_BYTES 512
const char *disc_text(const struct disc_set *set, uint32_t index, char ret[DISC_TEXT_BYTES]);

/* --- bytes of a disc, repaired (recover_discs.c) --- */
/* Cluster `cluster` of a disc as it was given, damaged or not; false if it was not or cannot be
 * read. A file in it may be whole all the same: only for bytes whose SHA-256 is checked. */
bool read_unrepaired(const struct disc_set *set, uint32_t index, uint64_t cluster,
                     uint8_t ret[VARVE_CLUSTER_BYTES]);
struct piece_reader {
    const struct disc_set *set; /* NULL: none yet */
    uint32_t index;
    const struct varve_cluster_source *source;
    uint64_t cluster;         /* in `bytes`; UINT64_MAX: none */
    struct varve_error doubt; /* about `bytes`; kind NONE: they are good */
    uint8_t bytes[VARVE_CLUSTER_BYTES];
};
VARVE_MUST_CHECK bool piece_reader_aim(struct piece_reader *reader, const struct disc_set *set,
                                       uint32_t index, struct varve_error *err);
/* Next bytes at `offset` of the disc: points into the reader, at most `max` bytes. Where the set
 * cannot repair a cluster they are those of the damaged one, and `*ret_doubt` is filled with why.
 */
VARVE_MUST_CHECK bool
piece_reader_next(struct piece_reader *reader, uint64_t offset, uint64_t max, const uint8_t **ret,
                  size_t *ret_size, struct varve_error *ret_doubt);

/* --- what all manifests together say (recover_tree.c) --- */
struct tree_record {
    const struct varve_record *record;
    struct disc_set *set;
    uint32_t disc;
};
struct tree_node {
    uint64_t ino;
    const struct tree_record *records; /* of this inode, ascending by age */
    size_t count;
    const struct varve_record *newest;
};
struct tree {
    struct varve_manifest **manifests;
    size_t manifest_count;
    struct tree_record *records;
    size_t record_count;
    struct tree_node *nodes; /* ascending by inode */
    size_t node_count;
    bool incomplete; /* a manifest that should be there cannot be had, and somebody was told */
};
VARVE_MUST_CHECK bool tree_make(struct discs *discs, struct tree *ret, struct varve_error *err);
void tree_done(struct tree *tree);
const struct tree_node *tree_find(const struct tree *tree, uint64_t ino);
/* Appends the path of name `name` of the node, without leading slash; below "lost+found" if its
 * parents are not known. */
void tree_path(const struct tree *tree, const struct tree_node *node, size_t name,
               struct varve_buffer *ret);
/* The pieces of the newest content in file order: indexes into node->records, malloc'd. NOT_FOUND:
 * some are on discs that were not given. */
VARVE_MUST_CHECK bool
tree_pieces(const struct tree_node *node, size_t **ret, size_t *ret_count, struct varve_error *err);

/* --- words and progress (recover_output.c) --- */
struct progress {
    bool on;
    const char *verb;
    uint64_t done, total;
    int64_t started_ns, shown_ns;
};
void progress_start(struct progress *progress, const struct options *options, const char *verb,
                    uint64_t total);
void progress_step(struct progress *progress, uint64_t bytes);
void progress_clear(const struct progress *progress);
/* A line on stderr: "varve-recover: ...". */
void tell(const char *format, ...) VARVE_PRINTF(1, 2);
/* Names come from discs: control characters must not reach a terminal. */
void print_name(FILE *stream, const char *name);
/* object[key] = text, or object[key_b64] = base64 if it is not UTF-8. */
void json_put_text(json_t *object, const char *key, const char *text);
void json_print(json_t *object); /* one line; takes the reference */
/* "films-0012-003" */
#define LABEL_BYTES 128
void make_label(const struct varve_disc_identity *set, uint32_t index, char ret[LABEL_BYTES]);

/* --- reading a disc whole (recover_verify.c) --- */
#define BAD_RANGES_MAX 16u
struct disc_health {
    uint64_t clusters, damaged, lost; /* damaged counts lost ones too */
    uint64_t files, files_damaged, files_lost;
    struct {
        uint64_t first, last; /* damaged clusters in a row */
    } ranges[BAD_RANGES_MAX];
    unsigned range_count; /* stops at BAD_RANGES_MAX */
};
/* Called for each piece that damage touched. `lost`: parity at hand cannot help. */
typedef void health_fn(void *context, const struct varve_record *record, bool lost);
/* `manifest` NULL: clusters only. */
VARVE_MUST_CHECK bool
disc_check(const struct disc_set *set, uint32_t index, const struct varve_manifest *manifest,
           struct progress *progress, struct disc_health *ret, health_fn *each, void *context,
           struct varve_error *err);

/* --- safe writing (recover_write.c) --- */
struct writer {
    int root; /* DIR */
    const struct tree *tree;
    uint64_t parent_ino; /* that `parent` is; 0: none */
    int parent;
    bool privileged;
    uint64_t unowned, without_xattrs; /* files that did not get all */
};
VARVE_MUST_CHECK bool
writer_open(const char *dir, const struct tree *tree, struct writer *ret, struct varve_error *err);
void writer_close(struct writer *writer);
/* The directory `ino` is or would be in, made as needed and never through a symlink. The descriptor
 * stays the writer's. */
VARVE_MUST_CHECK bool
writer_dir(struct writer *writer, uint64_t ino, int *ret_fd, struct varve_error *err);
/* One name of an inode that is no directory; regular files come back open for writing in *ret_fd.
 */
VARVE_MUST_CHECK bool writer_create(struct writer *writer, const struct varve_record *record,
                                    int *ret_fd, struct varve_error *err);
/* The other names. */
VARVE_MUST_CHECK bool
writer_link(struct writer *writer, const struct varve_record *record, struct varve_error *err);
/* Owner, mode, xattrs, times; fd -1: by name (symlinks, special files). */
VARVE_MUST_CHECK bool writer_attributes(struct writer *writer, const struct varve_record *record,
                                        int fd, struct varve_error *err);
void writer_remove(struct writer *writer, const struct varve_record *record);

/* --- verbs: exit code, or RECOVER_FAILED with err --- */
typedef int verb_fn(struct discs *discs, const struct options *options, struct varve_error *err);
verb_fn verb_list, verb_verify, verb_extract, verb_rebuild;

#endif
