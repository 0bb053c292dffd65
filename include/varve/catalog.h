/* catalog.h - the whole namespace and everything varve knows of contents, sets and discs, in
 * SQLite.
 *
 * Thread: every call may come from any thread; a call outside a unit is atomic by itself. A *unit*
 * (varve_catalog_begin .. _end) makes several calls happen together or not at all and holds the
 * catalog's lock, so keep it short: no device, no file copy, no waiting inside.
 *
 * Durability: changes are visible at once and durable at the next commit: at the latest one second
 * later, or when varve_catalog_sync() returns. A crash keeps a consistent prefix of all units
 * (INV-3). WAL; the fsync of the log is done here, without the lock, so that nobody who does not
 * ask for durability waits for the disk.
 *
 * Rows come back by value in plain structs; strings inside them are owned by the row where its
 * _done() exists. NOT_FOUND is the error for a row that does not exist. No SQL leaves this module.
 */
#ifndef VARVE_CATALOG_H
#define VARVE_CATALOG_H

#include <varve/buffer.h>
#include <varve/checksum.h>
#include <varve/clock.h>
#include <varve/random.h>
#include <varve/types.h>

#define VARVE_CATALOG_SCHEMA 3 /* PRAGMA user_version */

struct varve_catalog;

/* Makes `path`, with the root directory (ino 1, owned by uid/gid, mode 0755) in it. EXISTS if there
 * is a file. */
VARVE_MUST_CHECK bool varve_catalog_create(const char *path, uint32_t uid, uint32_t gid,
                                           struct varve_clock *clock, struct varve_error *err);
/* CORRUPT: not a varve catalog, or damaged; INVALID: made by a newer varve (names both versions).
 */
VARVE_MUST_CHECK bool varve_catalog_open(const char *path, struct varve_clock *clock,
                                         struct varve_catalog **ret, struct varve_error *err);
/* Commits what is left and closes. NULL is fine. */
void varve_catalog_close(struct varve_catalog *catalog);
VARVE_DEFINE_CLEANUP(struct varve_catalog, varve_catalog_close)

/* Everything done before the call is durable after it. Callers that come together share one commit.
 * Not inside a unit (that is a bug, and asserted); nor are _snapshot and _verify, which sync. A
 * commit that fails stops the catalog: every later call says so, until it is opened again. */
VARVE_MUST_CHECK bool varve_catalog_sync(struct varve_catalog *catalog, struct varve_error *err);
/* A consistent copy at `path` (backup API), durable, while others go on working. */
VARVE_MUST_CHECK bool
varve_catalog_snapshot(struct varve_catalog *catalog, const char *path, struct varve_error *err);
/* SQLite's own integrity check, the foreign keys, and the catalog's own rules (names, links,
 * contents, places, pieces, totals), all of one moment; each finding is one call of `each`, at most
 * 100 of a kind. */
typedef void varve_catalog_finding_fn(void *context, const char *finding);
VARVE_MUST_CHECK bool
varve_catalog_verify(struct varve_catalog *catalog, varve_catalog_finding_fn *each, void *context,
                     struct varve_error *err);

/* Opens a unit. Nesting is allowed: only the outermost end decides. */
void varve_catalog_begin(struct varve_catalog *catalog);
/* keep: all changes since begin stand; else all are undone. Returns `keep` unless the catalog
 * itself fails. */
bool varve_catalog_end(struct varve_catalog *catalog, bool keep, struct varve_error *err);

/* --- settings of the archive: text by key ("archive.uuid", "archive.name", ...) --- */
VARVE_MUST_CHECK bool varve_catalog_setting_get(struct varve_catalog *catalog, const char *key,
                                                struct varve_buffer *ret, struct varve_error *err);
VARVE_MUST_CHECK bool varve_catalog_setting_put(struct varve_catalog *catalog, const char *key,
                                                const char *value, struct varve_error *err);
/* A stable number for a tier path; the same path gives the same number for ever. */
VARVE_MUST_CHECK bool
varve_catalog_tier_path(struct varve_catalog *catalog, enum varve_tier tier, const char *path,
                        uint32_t *ret_id, struct varve_error *err);

/* --- namespace --- */
struct varve_inode {
    uint64_t ino;
    uint32_t mode; /* with S_IFMT */
    uint32_t uid, gid;
    uint32_t nlink; /* 0: orphan, still open somewhere; directories 2 + subdirectories */
    uint64_t rdev;
    uint64_t size;
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
    struct varve_content_id content; /* of a regular file; value 0: empty, none yet */
    double heat;                     /* decayed count of opens, as of heat_ns */
    int64_t heat_ns;
    uint64_t opens;
    int64_t pinned_until_ns; /* 0 not pinned, INT64_MAX for ever */
    int64_t
        recorded_ctime_ns; /* ctime of the newest record of this inode on a sealed disc; 0 none */
    uint64_t blocks; /* of 512 bytes that its backing file took when last looked at; 0: not known */
    bool unsteady;   /* no column: the vfs sets it when size and times may change unseen (vfs.h) */
};
struct varve_dentry {
    uint64_t cookie; /* > 0, unique, ascending in order of creation: the readdir offset, stable for
                        ever */
    uint64_t parent;
    char name[VARVE_NAME_BYTES_MAX + 1];
    struct varve_inode inode;
};

VARVE_MUST_CHECK bool varve_catalog_inode_get(struct varve_catalog *catalog, uint64_t ino,
                                              struct varve_inode *ret, struct varve_error *err);
/* inode->ino 0: a new number, never used before; else that number (rebuild), EXISTS if taken. */
VARVE_MUST_CHECK bool
varve_catalog_inode_insert(struct varve_catalog *catalog, const struct varve_inode *inode,
                           uint64_t *ret_ino, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_inode_update(struct varve_catalog *catalog, const struct varve_inode *inode,
                           struct varve_error *err);
/* With its xattrs and symlink target; leaves a tombstone if recorded_ctime_ns != 0. Contents are
 * not touched. */
VARVE_MUST_CHECK bool varve_catalog_inode_delete(struct varve_catalog *catalog, uint64_t ino,
                                                 int64_t now_ns, struct varve_error *err);
/* Inodes with nlink 0 and ino > after, ascending. */
VARVE_MUST_CHECK bool
varve_catalog_orphans(struct varve_catalog *catalog, uint64_t after, uint64_t *ret_inos, size_t max,
                      size_t *ret_count, struct varve_error *err);
/* All inodes with ino > after, ascending: for checks. */
VARVE_MUST_CHECK bool
varve_catalog_inodes(struct varve_catalog *catalog, uint64_t after, struct varve_inode *ret,
                     size_t max, size_t *ret_count, struct varve_error *err);

VARVE_MUST_CHECK bool
varve_catalog_lookup(struct varve_catalog *catalog, uint64_t parent, const char *name,
                     struct varve_dentry *ret, struct varve_error *err);
/* EXISTS if the name is taken, INVALID if it cannot be one. Link counts and times are the
 * caller's. */
VARVE_MUST_CHECK bool
varve_catalog_dentry_insert(struct varve_catalog *catalog, uint64_t parent, const char *name,
                            uint64_t ino, struct varve_error *err);
VARVE_MUST_CHECK bool varve_catalog_dentry_delete(struct varve_catalog *catalog, uint64_t parent,
                                                  const char *name, struct varve_error *err);
/* Entries of `parent` with cookie > after, ascending by cookie, with their inodes. */
VARVE_MUST_CHECK bool varve_catalog_readdir(struct varve_catalog *catalog, uint64_t parent,
                                            uint64_t after, struct varve_dentry *ret, size_t max,
                                            size_t *ret_count, struct varve_error *err);
VARVE_MUST_CHECK bool varve_catalog_dir_empty(struct varve_catalog *catalog, uint64_t ino,
                                              bool *ret, struct varve_error *err);
/* All names of an inode (a directory has one, the root none), with cookie > after. Inodes are
 * filled. */
VARVE_MUST_CHECK bool varve_catalog_names(struct varve_catalog *catalog, uint64_t ino,
                                          uint64_t after, struct varve_dentry *ret, size_t max,
                                          size_t *ret_count, struct varve_error *err);
/* Appends the absolute path ("/a/b"; "/" for the root) by the inode's oldest name. */
VARVE_MUST_CHECK bool varve_catalog_path(struct varve_catalog *catalog, uint64_t ino,
                                         struct varve_buffer *ret, struct varve_error *err);
/* Follows an absolute path, not symlinks. */
VARVE_MUST_CHECK bool varve_catalog_resolve(struct varve_catalog *catalog, const char *path,
                                            struct varve_inode *ret, struct varve_error *err);

VARVE_MUST_CHECK bool varve_catalog_symlink_get(struct varve_catalog *catalog, uint64_t ino,
                                                struct varve_buffer *ret, struct varve_error *err);
VARVE_MUST_CHECK bool varve_catalog_symlink_put(struct varve_catalog *catalog, uint64_t ino,
                                                const char *target, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_xattr_get(struct varve_catalog *catalog, uint64_t ino, const char *name,
                        struct varve_buffer *ret, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_xattr_put(struct varve_catalog *catalog, uint64_t ino, const char *name,
                        const void *value, size_t size, struct varve_error *err);
VARVE_MUST_CHECK bool varve_catalog_xattr_delete(struct varve_catalog *catalog, uint64_t ino,
                                                 const char *name, struct varve_error *err);
/* Appends the names, each with its NUL, as listxattr(2) wants them. */
VARVE_MUST_CHECK bool varve_catalog_xattr_names(struct varve_catalog *catalog, uint64_t ino,
                                                struct varve_buffer *ret, struct varve_error *err);

/* --- contents: one row per version of a file's bytes --- */
struct varve_content {
    struct varve_content_id id;
    uint64_t ino;     /* the inode it belongs or belonged to */
    uint32_t version; /* 1, 2, ... per inode */
    uint64_t size;    /* of LIVE contents as of the last flush: the backing file decides */
    int64_t mtime_ns;
    enum varve_phase phase;
    struct varve_place place;
    bool current; /* false: an older version, or its inode is gone */
    /* Of LIVE contents: only the first synced_bytes of the backing file are known to be durable,
     * with 0 not even its name: a power cut may take the rest. Else all `size` bytes are. */
    bool unsynced;
    uint64_t synced_bytes;
    /* The first bytes of a content without resident copy, kept in a file of their own. */
    struct varve_place head; /* tier NONE: none */
    uint64_t head_bytes;
};
VARVE_MUST_CHECK bool
varve_catalog_content_get(struct varve_catalog *catalog, struct varve_content_id id,
                          struct varve_content *ret, struct varve_error *err);
/* id 0: a new number. */
VARVE_MUST_CHECK bool
varve_catalog_content_insert(struct varve_catalog *catalog, const struct varve_content *content,
                             struct varve_content_id *ret, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_content_update(struct varve_catalog *catalog, const struct varve_content *content,
                             struct varve_error *err);
/* No longer `unsynced`, if it has this size and mtime still. */
VARVE_MUST_CHECK bool
varve_catalog_content_synced(struct varve_catalog *catalog, const struct varve_content *content,
                             struct varve_error *err);
/* Contents that are made from now on have this id or a greater one; those of earlier runs have not.
 */
struct varve_content_id varve_catalog_content_next(struct varve_catalog *catalog);
/* With its pieces and requests. */
VARVE_MUST_CHECK bool
varve_catalog_content_delete(struct varve_catalog *catalog, struct varve_content_id id,
                             struct varve_error *err);
/* Contents with id > after, ascending; only those with a resident copy if `resident`. */
VARVE_MUST_CHECK bool
varve_catalog_contents(struct varve_catalog *catalog, struct varve_content_id after, bool resident,
                       struct varve_content *ret, size_t max, size_t *ret_count,
                       struct varve_error *err);
/* Contents that have a head, id > after, ascending. */
VARVE_MUST_CHECK bool varve_catalog_heads(struct varve_catalog *catalog,
                                          struct varve_content_id after, struct varve_content *ret,
                                          size_t max, size_t *ret_count, struct varve_error *err);
/* `count` (1-64) consecutive new numbers for backing files, from *ret on; never used before, nor
 * handed out before a crash. */
VARVE_MUST_CHECK bool varve_catalog_file_numbers(struct varve_catalog *catalog, unsigned count,
                                                 uint64_t *ret, struct varve_error *err);

/* Says that backing files up to this number exist (rebuild): new numbers come after it. */
VARVE_MUST_CHECK bool varve_catalog_file_number_taken(struct varve_catalog *catalog,
                                                      uint64_t number, struct varve_error *err);

/* A run of bytes of a content on one disc of a set. A file larger than a disc has several. */
struct varve_piece {
    struct varve_content_id content;
    struct varve_set_id set;
    uint32_t index;  /* disc in the set */
    uint32_t part;   /* 0, 1, ... in file order */
    uint64_t offset; /* first byte in the file */
    uint64_t bytes;
    uint64_t lba;    /* sector on the disc; the piece starts at its first byte and is contiguous */
    bool has_digest; /* false until the set is prepared */
    struct varve_digest digest; /* of the piece's bytes */
};
VARVE_MUST_CHECK bool
varve_catalog_piece_insert(struct varve_catalog *catalog, const struct varve_piece *piece,
                           struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_piece_set_digest(struct varve_catalog *catalog, const struct varve_piece *piece,
                               struct varve_error *err);
/* Of one content, by set and then part. */
VARVE_MUST_CHECK bool varve_catalog_pieces(struct varve_catalog *catalog,
                                           struct varve_content_id content, struct varve_piece *ret,
                                           size_t max, size_t *ret_count, struct varve_error *err);
/* Of one set, ordered by (content, part), after (after_content, after_part); start with {0}, 0. */
VARVE_MUST_CHECK bool
varve_catalog_set_pieces(struct varve_catalog *catalog, struct varve_set_id set,
                         struct varve_content_id after_content, uint32_t after_part,
                         struct varve_piece *ret, size_t max, size_t *ret_count,
                         struct varve_error *err);
/* Drops all pieces of a set (an abandoned plan). */
VARVE_MUST_CHECK bool
varve_catalog_set_pieces_delete(struct varve_catalog *catalog, struct varve_set_id set,
                                struct varve_error *err);

/* --- what was asked for and is not done: contents waiting for a set --- */
struct varve_request {
    struct varve_content_id content;
    char rule[64]; /* "manual", or the policy rule */
    uint32_t n, m; /* geometry of the set wanted */
    int64_t since_ns;
};
/* Replaces an older request of the same content. */
VARVE_MUST_CHECK bool
varve_catalog_request_put(struct varve_catalog *catalog, const struct varve_request *request,
                          struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_request_delete(struct varve_catalog *catalog, struct varve_content_id content,
                             struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_requests(struct varve_catalog *catalog, struct varve_content_id after,
                       struct varve_request *ret, size_t max, size_t *ret_count,
                       struct varve_error *err);

/* --- sets and discs --- */
struct varve_set {
    struct varve_set_id id; /* also the sequence number of the set in the archive */
    struct varve_uuid uuid;
    uint32_t data_discs, parity_discs; /* N (as used, maybe fewer than wanted) and M */
    uint64_t clusters;                 /* covered by parity: the longest data image */
    enum varve_set_state state;
    int64_t created_ns, sealed_ns;
};
VARVE_MUST_CHECK bool
varve_catalog_set_insert(struct varve_catalog *catalog, const struct varve_set *set,
                         struct varve_set_id *ret, struct varve_error *err);
VARVE_MUST_CHECK bool varve_catalog_set_get(struct varve_catalog *catalog, struct varve_set_id id,
                                            struct varve_set *ret, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_set_update(struct varve_catalog *catalog, const struct varve_set *set,
                         struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_sets(struct varve_catalog *catalog, struct varve_set_id after, struct varve_set *ret,
                   size_t max, size_t *ret_count, struct varve_error *err);

struct varve_disc_row {
    struct varve_barcode barcode;
    char library[64]; /* name of the library that holds or held it */
    enum varve_disc_state state;
    struct varve_set_id set;    /* 0: none */
    uint32_t index;             /* position in the set */
    struct varve_uuid uuid;     /* of the image on it; zero while blank */
    uint64_t capacity_clusters; /* 0 while unknown */
    uint64_t clusters;          /* of the image */
    int64_t burned_ns, verified_ns;
    uint64_t bad_clusters; /* at the last reading */
    char place[128];       /* where it is when offline; why when failed or suspect */
};
/* Inserts or replaces by barcode. */
VARVE_MUST_CHECK bool
varve_catalog_disc_put(struct varve_catalog *catalog, const struct varve_disc_row *disc,
                       struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_disc_get(struct varve_catalog *catalog, const struct varve_barcode *barcode,
                       struct varve_disc_row *ret, struct varve_error *err);
/* All discs by barcode, after `after` ("" at the start). */
VARVE_MUST_CHECK bool
varve_catalog_discs(struct varve_catalog *catalog, const struct varve_barcode *after,
                    struct varve_disc_row *ret, size_t max, size_t *ret_count,
                    struct varve_error *err);
/* Discs ever assigned to a set, by index then barcode (failed ones too). */
VARVE_MUST_CHECK bool
varve_catalog_set_discs(struct varve_catalog *catalog, struct varve_set_id set,
                        struct varve_disc_row *ret, size_t max, size_t *ret_count,
                        struct varve_error *err);

/* --- journal of moves (INV-7): written and synced before the arm moves. _begin is durable when it
 * returns, unless it is called in a unit. The last 10,000 finished ones are kept. --- */
struct varve_move {
    uint64_t id;
    char library[64];
    struct varve_barcode barcode;
    uint16_t from, to; /* element addresses */
    int64_t started_ns;
    bool done;
};
VARVE_MUST_CHECK bool
varve_catalog_move_begin(struct varve_catalog *catalog, const struct varve_move *move,
                         uint64_t *ret_id, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_move_done(struct varve_catalog *catalog, uint64_t id, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_moves_open(struct varve_catalog *catalog, const char *library, struct varve_move *ret,
                         size_t max, size_t *ret_count, struct varve_error *err);

/* --- what libraries remember of their elements (library.h, struct varve_element_record) --- */
struct varve_element_row {
    char library[64];
    uint16_t address;
    struct varve_barcode barcode; /* "": empty */
    int32_t home;                 /* -1: none */
    uint32_t flags;
    struct varve_barcode expected;
    bool inverted;
};
/* All of them or none. */
VARVE_MUST_CHECK bool
varve_catalog_elements_put(struct varve_catalog *catalog, const struct varve_element_row *rows,
                           size_t count, struct varve_error *err);
/* Those of the library with addresses above `after` (-1: all), in order. */
VARVE_MUST_CHECK bool
varve_catalog_elements(struct varve_catalog *catalog, const char *library, int32_t after,
                       struct varve_element_row *ret, size_t max, size_t *ret_count,
                       struct varve_error *err);

/* --- records for discs (INV-8) --- */
/* Inodes with ctime_ns > recorded_ctime_ns that need no content of their own on a disc to be
 * recorded: all but regular files whose current content is not SEALED. ino > after, ascending. */
VARVE_MUST_CHECK bool
varve_catalog_unrecorded(struct varve_catalog *catalog, uint64_t after, struct varve_inode *ret,
                         size_t max, size_t *ret_count, struct varve_error *err);
/* The inode has a record of this ctime on a sealed disc. If it was deleted since, a tombstone is
 * left, dated now. */
VARVE_MUST_CHECK bool varve_catalog_recorded(struct varve_catalog *catalog, uint64_t ino,
                                             int64_t ctime_ns, struct varve_error *err);
struct varve_tombstone {
    uint64_t ino;
    int64_t deleted_ns;
};
VARVE_MUST_CHECK bool
varve_catalog_tombstones(struct varve_catalog *catalog, uint64_t after, struct varve_tombstone *ret,
                         size_t max, size_t *ret_count, struct varve_error *err);
VARVE_MUST_CHECK bool varve_catalog_tombstone_delete(struct varve_catalog *catalog, uint64_t ino,
                                                     struct varve_error *err);

/* --- numbers for status --- */
struct varve_catalog_totals {
    uint64_t inodes, directories;
    struct {
        uint64_t files, bytes;
    } by_state[4],
        by_tier[3]; /* indexed by enum varve_state and enum varve_tier; current contents only */
    uint64_t requests, request_bytes;
    uint64_t heads, head_bytes;
    uint64_t sets_by_state[5], discs_by_state[10];
};
VARVE_MUST_CHECK bool
varve_catalog_totals(struct varve_catalog *catalog, struct varve_catalog_totals *ret,
                     struct varve_error *err);

/* --- the policy view: what a predicate may say (docs/policy.md) --- */
struct varve_selection {
    const char *where;    /* a SQL expression over the view `files`; NULL: all. One expression of
                             its columns and the functions allowed in predicate.c: no subselect */
    const char *order;    /* likewise, ascending ("-size" to turn it round); NULL: by ino */
    enum varve_tier tier; /* NONE: any */
    bool has_state;
    enum varve_state state;
    uint64_t under_ino;   /* 0: anywhere, else only this inode and what lies below */
    int64_t now_ns;       /* what age() and heat are reckoned from */
    int64_t half_life_ns; /* of heat */
    int64_t time_max_ms;  /* interrupt (CANCELLED) a predicate that runs longer; 0: 60 s. Time in
                             the callback does not count */
};
struct varve_selected {
    uint64_t ino;
    struct varve_content_id content;
    uint64_t size;
    struct varve_place place;
    enum varve_state state;
    double heat;      /* decayed to now */
    const char *path; /* valid during the call */
};
/* True to go on. False with *err: select fails with it; false without: it has seen enough, and
 * select succeeds. The catalog's lock is not held: the rows are those of the last commit, so sync
 * first. The callback may call the catalog. */
typedef bool
varve_select_fn(void *context, const struct varve_selected *row, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_select(struct varve_catalog *catalog, const struct varve_selection *selection,
                     varve_select_fn *each, void *context, struct varve_error *err);
/* Compiles `where` and `order` without running them. INVALID: says what is wrong with the
 * expression, with a hint for an unknown column that looks like a known one. */
VARVE_MUST_CHECK bool
varve_catalog_select_check(struct varve_catalog *catalog, const struct varve_selection *selection,
                           struct varve_error *err);
/* The same without a catalog (for `policy check` of a file alone): over an empty one in memory. */
VARVE_MUST_CHECK bool
varve_predicate_check(const char *where, const char *order, struct varve_error *err);

#endif
