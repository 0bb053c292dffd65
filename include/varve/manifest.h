/* manifest.h - what one disc says of inodes: one JSON line each in /varve/inodes.jsonl.
 *
 * A manifest decides the layout of its disc completely (image.h), and all manifests of an archive
 * together give back its namespace (INV-8). Names are tied by (parent inode, name), so a renamed
 * directory needs one record, not one for each file below. Pure; a manifest belongs to one thread
 * at a time. Format: docs/format.md. */
#ifndef VARVE_MANIFEST_H
#define VARVE_MANIFEST_H

#include <varve/buffer.h>
#include <varve/checksum.h>
#include <varve/types.h>

enum varve_record_type {
    VARVE_RECORD_FILE,
    VARVE_RECORD_DIRECTORY,
    VARVE_RECORD_SYMLINK,
    VARVE_RECORD_SPECIAL, /* fifo, socket, device: by mode and rdev */
    VARVE_RECORD_DELETED, /* ino and ctime_ns only: the inode is gone since then */
};

struct varve_record_name {
    uint64_t parent;
    char *name; /* the exact bytes */
};
struct varve_record_xattr {
    char *name;
    uint8_t *value;
    size_t size;
};

struct varve_record {
    enum varve_record_type type;
    uint64_t ino;
    uint32_t mode, uid, gid; /* mode with S_IFMT */
    uint64_t rdev, size;
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
    struct varve_record_name *names; /* all names of the inode */
    size_t name_count;
    struct varve_record_xattr *xattrs;
    size_t xattr_count;
    char *target; /* of a symlink */

    /* Content. A FILE record with content 0 is an empty file; one with piece_bytes 0 and size > 0
     * is a record only: its content is on an earlier disc, named by (content, version). */
    uint64_t content;
    uint32_t version;
    uint32_t part, parts; /* 0 of 1 for a file that lies on one disc */
    uint64_t piece_offset, piece_bytes;
    struct varve_digest
        digest; /* of the piece; zero until known: the line has the same length either way */
    /* Set by the layout: */
    uint64_t lba; /* first sector of the piece */
    char *path;   /* where it is in the disc's own file system, UTF-8, without leading slash; NULL:
                     not there */
};

struct varve_manifest {
    struct varve_record *records;
    size_t count, capacity;
};

struct varve_manifest *varve_manifest_new(void); /* NULL when out of memory */
void varve_manifest_free(struct varve_manifest *manifest);
VARVE_DEFINE_CLEANUP(struct varve_manifest, varve_manifest_free)
void varve_record_done(struct varve_record *record); /* frees what it points at */
/* Appends; takes what the record points at on success only. */
VARVE_MUST_CHECK bool varve_manifest_add(struct varve_manifest *manifest,
                                         struct varve_record *record, struct varve_error *err);
/* Owned copies: helpers to fill a record. */
VARVE_MUST_CHECK bool varve_record_add_name(struct varve_record *record, uint64_t parent,
                                            const char *name, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_record_add_xattr(struct varve_record *record, const char *name, const void *value,
                       size_t size, struct varve_error *err);

/* One line with its newline. Its length depends on everything but lba, digest and path (fixed-width
 * or left to the layout, which sets path before it asks for lengths). */
void varve_record_encode(const struct varve_record *record, struct varve_buffer *ret);
/* `line` without newline, `size` bytes; at most 1 MiB. CORRUPT says what is wrong. *ret is owned by
 * the caller. */
VARVE_MUST_CHECK bool varve_record_decode(const char *line, size_t size, struct varve_record *ret,
                                          struct varve_error *err);
void varve_manifest_encode(const struct varve_manifest *manifest, struct varve_buffer *ret);
/* All lines; the error names the line. */
VARVE_MUST_CHECK bool varve_manifest_decode(const void *bytes, size_t size,
                                            struct varve_manifest **ret, struct varve_error *err);

#endif
