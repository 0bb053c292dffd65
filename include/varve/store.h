/* store.h - resident copies on the ssd and hdd tiers: one backing file per content, named by
 * number.
 *
 * Any thread. Layout under each tier path: `.varve-tier` (archive uuid, tier; refuses a foreign
 * archive's path), `objects/xx/yyyyyyyyyyyyyyyy` (hex of the file number; xx its low byte),
 * `heads/xx/...` (a cache of first bytes), `tmp/` (copies in progress, emptied at open), `staging/`
 * (hdd: parity payloads, gathered clusters).
 * Nothing here knows the catalog: the caller orders commits and removals (INV-4). */
#ifndef VARVE_STORE_H
#define VARVE_STORE_H

#include <sys/stat.h>
#include <varve/buffer.h>
#include <varve/checksum.h>
#include <varve/random.h>
#include <varve/types.h>

struct varve_store;
struct varve_store_path {
    enum varve_tier tier;
    uint32_t path_id;
    const char *path;
};

/* Opens all paths. A path that is missing, no directory, not writable, or marked by another archive
 * is an error that names it; nothing is changed then. Copies the strings. An archive needs at least
 * one path. */
VARVE_MUST_CHECK bool varve_store_open(const struct varve_store_path *paths, size_t count,
                                       const struct varve_uuid *archive, struct varve_store **ret,
                                       struct varve_error *err);
void varve_store_close(struct varve_store *store);
VARVE_DEFINE_CLEANUP(struct varve_store, varve_store_close)

bool varve_store_has_tier(const struct varve_store *store, enum varve_tier tier);
/* The path of the tier with most free space gets the file. NO_SPACE if none has `bytes_expected` +
 * a reserve of 1 %. If the tier has no path at all: NOT_FOUND. */
VARVE_MUST_CHECK bool
varve_store_choose(const struct varve_store *store, enum varve_tier tier, uint64_t bytes_expected,
                   uint32_t *ret_path_id, struct varve_error *err);
/* Creates the (empty) backing file place->file, mode 0600, open read-write. EXISTS if there is one.
 */
VARVE_MUST_CHECK bool
varve_store_create(const struct varve_store *store, const struct varve_place *place, int *ret_fd,
                   struct varve_error *err);
/* `flags`: O_RDONLY or O_RDWR. */
VARVE_MUST_CHECK bool
varve_store_open_file(const struct varve_store *store, const struct varve_place *place, int flags,
                      int *ret_fd, struct varve_error *err);
/* NOT_FOUND (with EIO for whoever reads through the mount) if it is missing. */
VARVE_MUST_CHECK bool
varve_store_stat(const struct varve_store *store, const struct varve_place *place, struct stat *ret,
                 struct varve_error *err);
/* The tier that a path number belongs to; NONE if it is not configured. */
enum varve_tier varve_store_path_tier(const struct varve_store *store, uint32_t path_id);
/* Not there is no error. Durable only after the next varve_store_sync_name(). */
VARVE_MUST_CHECK bool varve_store_remove(const struct varve_store *store,
                                         const struct varve_place *place, struct varve_error *err);
/* Writes out everything that the tiers' filesystems hold back (syncfs(2)): one call instead of an
 * fsync for each of many files. */
VARVE_MUST_CHECK bool
varve_store_sync_all(const struct varve_store *store, struct varve_error *err);
/* Makes the bytes of a backing file durable. */
VARVE_MUST_CHECK bool
varve_store_sync_file(const struct varve_store *store, const struct varve_place *place,
                      struct varve_error *err);
/* Makes names durable that were created in the directory of `place`. */
VARVE_MUST_CHECK bool
varve_store_sync_name(const struct varve_store *store, const struct varve_place *place,
                      struct varve_error *err);
/* Copies `from` to the new file `to` (other path or tier), with mtime and mark. Neither bytes nor
 * name are durable before varve_store_sync_all(), so that many copies share one wait for the disk.
 * CORRUPT if the source has not `bytes`. */
VARVE_MUST_CHECK bool
varve_store_copy(const struct varve_store *store, const struct varve_place *from,
                 const struct varve_place *to, uint64_t bytes, struct varve_error *err);
/* Reads both files, the copy from its medium rather than from memory, and compares them by SHA-256:
 * CORRUPT if they differ. */
VARVE_MUST_CHECK bool
varve_store_compare(const struct varve_store *store, const struct varve_place *from,
                    const struct varve_place *copy, uint64_t bytes, struct varve_error *err);

/* Writes path, ino and version into the file's xattr user.varve.origin (JSON), so that resident
 * data too survives the loss of the catalog. A tier without user xattrs is no error. */
void varve_store_mark_origin(const struct varve_store *store, const struct varve_place *place,
                             const char *json);

/* Appends what varve_store_mark_origin() wrote. NOT_FOUND: the file has no such mark. */
VARVE_MUST_CHECK bool
varve_store_origin(const struct varve_store *store, const struct varve_place *place,
                   struct varve_buffer *ret, struct varve_error *err);

/* May the kernel be given files of this tier path to use without us (passthrough)? Only where
 * varve_store_in_use() can tell, and until varve_store_never_pass(). */
bool varve_store_may_pass(const struct varve_store *store, const struct varve_place *place);
/* The kernel has refused a file of this path: it is not asked again. */
void varve_store_never_pass(const struct varve_store *store, const struct varve_place *place);
/* Is there a path whose files may be passed? */
bool varve_store_passes(const struct varve_store *store);
/* Does anybody but us have the backing file open or mapped? `fd`: the only descriptor that this
 * process has of it; -1: it has none. False where no file was ever passed. While the store itself
 * has it open, as in varve_store_sync_file(), nobody can tell: that is waited for, `patience_ms` at
 * most, and then it counts as in use. */
bool varve_store_in_use(const struct varve_store *store, const struct varve_place *place, int fd,
                        unsigned patience_ms);

struct varve_tier_usage {
    uint64_t bytes_total, bytes_free; /* of the filesystems behind the tier, each counted once */
    unsigned percent_used;            /* 0-100, as df(1) reckons it */
};
/* tier NONE: of all tiers together. */
VARVE_MUST_CHECK bool varve_store_usage(const struct varve_store *store, enum varve_tier tier,
                                        struct varve_tier_usage *ret, struct varve_error *err);
/* Every backing file there is, in no order. True to go on. */
typedef bool varve_store_each_fn(void *context, const struct varve_place *place, uint64_t bytes,
                                 struct varve_error *err);
VARVE_MUST_CHECK bool varve_store_each(const struct varve_store *store, varve_store_each_fn *each,
                                       void *context, struct varve_error *err);
/* --- heads: the first bytes of contents that have no resident copy; a cache --- */
/* What a head is of. It stands behind the bytes in the file, with their CRC32C, so that a head that
 * is torn, damaged or of another content is seen to be that: nothing is synced. */
struct varve_head {
    uint64_t content, ino;
    uint32_t version;
    uint64_t size; /* of the content */
    int64_t mtime_ns;
    uint64_t bytes; /* kept */
};
/* Takes the first head->bytes of `from`. */
VARVE_MUST_CHECK bool
varve_store_head_write(const struct varve_store *store, const struct varve_place *place,
                       const struct varve_head *head, int from, struct varve_error *err);
/* Reads all of it first. CORRUPT: it is not what `head` says. Bytes behind head->bytes are not the
 * content's. Notes that it was used. */
VARVE_MUST_CHECK bool
varve_store_head_open(const struct varve_store *store, const struct varve_place *place,
                      const struct varve_head *head, int *ret_fd, struct varve_error *err);
/* What the file says of itself; its bytes are not looked at. */
VARVE_MUST_CHECK bool
varve_store_head_look(const struct varve_store *store, const struct varve_place *place,
                      struct varve_head *ret, struct varve_error *err);
/* Not there is no error. */
VARVE_MUST_CHECK bool
varve_store_head_remove(const struct varve_store *store, const struct varve_place *place,
                        struct varve_error *err);
/* Every head file, in no order; `used_ns`: when it was used last, to an hour. */
typedef bool varve_store_each_head_fn(void *context, const struct varve_place *place,
                                      uint64_t bytes, int64_t used_ns, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_store_each_head(const struct varve_store *store, varve_store_each_head_fn *each,
                      void *context, struct varve_error *err);

/* Directory for staged parity and gathered clusters: on the hdd tier if there is one, else ssd. */
const char *varve_store_staging(const struct varve_store *store);

#endif
