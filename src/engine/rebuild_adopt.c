/* SPDX-License-Identifier: Apache-2.0 */
/* Last part of a rebuild: resident copies. A backing file carries its inode, version and path in an
 * xattr, so data that was never archived comes back too; what carries nothing goes to /lost+found.
 * Nothing on a tier is removed. */
#include "rebuild.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

struct origin {
    uint64_t ino;
    uint32_t version;
    char path[VARVE_PATH_BYTES_MAX];
    uint32_t mode, uid, gid;
};

struct backing {
    struct varve_place place;
    struct stat st;
};

static int
digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The path as text, or as hexadecimal where it is not UTF-8. */
static bool
parse_path(const char *path, const char *hex, char ret[VARVE_PATH_BYTES_MAX])
{
    size_t length = 0;
    if (path != NULL && strlen(path) < VARVE_PATH_BYTES_MAX)
        memcpy(ret, path, length = strlen(path));
    if (path == NULL && hex != NULL && strlen(hex) / 2 < VARVE_PATH_BYTES_MAX) {
        for (; hex[2 * length] != 0; length++) {
            int high = digit_value(hex[2 * length]);
            int low = digit_value(hex[2 * length + 1]); /* of the end: no digit */
            if (high < 0 || low < 0 || high + low == 0)
                return false;
            ret[length] = (char)(high << 4 | low);
        }
    }
    ret[length] = 0;
    return ret[0] == '/';
}

static bool
parse_origin(const char *text, size_t size, struct origin *ret)
{
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    json_int_t ino = 0;
    json_int_t version = 0;
    json_int_t mode = 0600;
    json_int_t uid = 0;
    json_int_t gid = 0;
    const char *path = NULL;
    const char *hex = NULL;
    bool ok = json != NULL &&
              json_unpack(json, "{s:I,s:I,s?:s,s?:s,s?:I,s?:I,s?:I}", "ino", &ino, "version",
                          &version, "path", &path, "path_hex", &hex, "mode", &mode, "uid", &uid,
                          "gid", &gid) == 0 &&
              ino > 1 && version >= 0 && version <= UINT32_MAX;
    if (ok) {
        *ret = (struct origin){.ino = (uint64_t)ino,
                               .version = (uint32_t)version,
                               .mode = (uint32_t)mode & 07777,
                               .uid = (uint32_t)uid,
                               .gid = (uint32_t)gid};
        ok = parse_path(path, hex, ret->path);
    }
    json_decref(json);
    return ok;
}

/* --- names for files that no disc knows --- */

static bool
make_directory(struct rebuild *r, uint64_t parent, const char *name, uint64_t *ret,
               struct varve_error *err)
{
    int64_t now = varve_clock_realtime(r->engine->clock);
    const struct varve_inode inode = {.mode = S_IFDIR | 0755,
                                      .nlink = 2,
                                      .atime_ns = now,
                                      .mtime_ns = now,
                                      .ctime_ns = now,
                                      .btime_ns = now};
    return varve_catalog_inode_insert(r->catalog, &inode, ret, err) &&
           varve_catalog_dentry_insert(r->catalog, parent, name, *ret, err);
}

bool
rebuild_directory(struct rebuild *r, uint64_t parent, const char *name, uint64_t *ret,
                  struct varve_error *err)
{
    struct varve_dentry entry;
    struct varve_error why = {0};
    if (varve_catalog_lookup(r->catalog, parent, name, &entry, &why)) {
        *ret = entry.inode.ino;
        return S_ISDIR(entry.inode.mode) ||
               varve_error_set(err, VARVE_ERROR_EXISTS, 0, "'%s' is no directory", name);
    }
    if (why.kind == VARVE_ERROR_NOT_FOUND)
        return make_directory(r, parent, name, ret, err);
    *err = why;
    return false;
}

/* Follows the path, making what is missing; *ret_name points at its last part. */
static bool
enter_path(struct rebuild *r, char *path, uint64_t *ret_parent, const char **ret_name,
           struct varve_error *err)
{
    uint64_t at = VARVE_ROOT_INO;
    char *rest = NULL;
    char *part = strtok_r(path, "/", &rest);
    for (char *next; part != NULL; part = next) {
        next = strtok_r(NULL, "/", &rest);
        if (strcmp(part, ".") == 0 || strcmp(part, "..") == 0 ||
            strlen(part) > VARVE_NAME_BYTES_MAX)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "bad path");
        if (next == NULL) {
            *ret_parent = at;
            *ret_name = part;
            return true;
        }
        if (!rebuild_directory(r, at, part, &at, err))
            return false;
    }
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "empty path");
}

static bool
insert_file(struct rebuild *r, const struct origin *origin, const struct backing *backing,
            uint64_t parent, const char *name, struct varve_error *err)
{
    uint64_t ino;
    int64_t mtime =
        (int64_t)backing->st.st_mtim.tv_sec * VARVE_NS_PER_SECOND + backing->st.st_mtim.tv_nsec;
    struct varve_inode inode = {.ino = origin->ino,
                                .mode = S_IFREG | origin->mode,
                                .uid = origin->uid,
                                .gid = origin->gid,
                                .nlink = 1,
                                .size = (uint64_t)backing->st.st_size,
                                .atime_ns = mtime,
                                .mtime_ns = mtime,
                                .ctime_ns = mtime,
                                .btime_ns = mtime};
    struct varve_content content = {.version = origin->version == 0 ? 1 : origin->version,
                                    .size = inode.size,
                                    .mtime_ns = mtime,
                                    .phase = VARVE_PHASE_LIVE,
                                    .place = backing->place,
                                    .current = true};
    struct varve_error why = {0};
    bool inserted = varve_catalog_inode_insert(r->catalog, &inode, &ino, &why);
    if (!inserted && why.kind == VARVE_ERROR_EXISTS) { /* something else has its number by now */
        inode.ino = 0;
        inserted = varve_catalog_inode_insert(r->catalog, &inode, &ino, err);
    } else if (!inserted) {
        *err = why;
    }
    if (!inserted)
        return false;
    inode.ino = content.ino = ino;
    return varve_catalog_content_insert(r->catalog, &content, &inode.content, err) &&
           varve_catalog_inode_update(r->catalog, &inode, err) &&
           varve_catalog_dentry_insert(r->catalog, parent, name, ino, err);
}

static bool
adopt_lost(struct rebuild *r, const struct backing *backing, struct varve_error *err)
{
    const struct origin origin = {.version = 1, .mode = 0600};
    char name[32];
    uint64_t parent;
    (void)snprintf(name, sizeof name, "%016" PRIx64, backing->place.file);
    return rebuild_directory(r, VARVE_ROOT_INO, "lost+found", &parent, err) &&
           insert_file(r, &origin, backing, parent, name, err);
}

static bool
adopt_new(struct rebuild *r, struct origin *origin, const struct backing *backing,
          struct varve_error *err)
{
    uint64_t parent = 0;
    const char *name = NULL;
    struct varve_dentry entry;
    struct varve_error why = {0};
    if (!enter_path(r, origin->path, &parent, &name, &why) ||
        varve_catalog_lookup(r->catalog, parent, name, &entry, &why))
        return adopt_lost(r, backing, err); /* the name is somebody else's now */
    return insert_file(r, origin, backing, parent, name, err);
}

/* --- files that discs know --- */

/* The bytes of one piece are those that a disc has: compared by digest, since "should be" is not
 * enough here. */
static bool
same_piece(int fd, const struct varve_piece *piece, uint8_t *buffer, size_t size)
{
    struct varve_error ignored = {0}; /* not provable is not the same */
    struct varve_digest digest;
    VARVE_CLEANUP(varve_sha256_free) struct varve_sha256 *sha = NULL;
    if (!piece->has_digest || !varve_sha256_new(&sha, &ignored))
        return false;
    for (uint64_t at = 0; at < piece->bytes;) {
        size_t part = piece->bytes - at < size ? (size_t)(piece->bytes - at) : size;
        if (!varve_file_pread(fd, buffer, part, piece->offset + at, &ignored))
            return false;
        varve_sha256_update(sha, buffer, part);
        at += part;
    }
    varve_sha256_final(sha, &digest);
    return varve_digest_equal(&digest, &piece->digest);
}

/* The backing file is the very content that discs have, each byte of it. A content may be on
 * several sets, each with all of its parts; one of them is enough. */
static bool
same_bytes(struct rebuild *r, const struct varve_content *content, const struct backing *backing)
{
    enum { CHUNK = 1 << 20 };
    size_t count;
    uint64_t at = 0;
    struct varve_error ignored = {0}; /* as above */
    VARVE_CLEANUP_FD int fd = -1;
    VARVE_CLEANUP_FREE uint8_t *buffer = malloc(CHUNK);
    VARVE_CLEANUP_FREE struct varve_piece *pieces = calloc(PAGE_ROWS, sizeof *pieces);
    if (buffer == NULL || pieces == NULL ||
        !varve_catalog_pieces(r->catalog, content->id, pieces, PAGE_ROWS, &count, &ignored) ||
        !varve_store_open_file(r->store, &backing->place, O_RDONLY, &fd, &ignored))
        return false;
    for (size_t i = 0; i < count && at < content->size; i++) {
        if (pieces[i].offset != at)
            return false;
        if (!same_piece(fd, &pieces[i], buffer, CHUNK))
            return false;
        at += pieces[i].bytes;
    }
    return count > 0 && at == content->size;
}

static bool
adopt_newer(struct rebuild *r, struct varve_inode *inode, const struct varve_content *old,
            const struct origin *origin, const struct backing *backing, struct varve_error *err)
{
    int64_t mtime =
        (int64_t)backing->st.st_mtim.tv_sec * VARVE_NS_PER_SECOND + backing->st.st_mtim.tv_nsec;
    const struct varve_content content = {
        .ino = inode->ino,
        .version = origin->version > old->version ? origin->version : old->version + 1,
        .size = (uint64_t)backing->st.st_size,
        .mtime_ns = mtime,
        .phase = VARVE_PHASE_LIVE,
        .place = backing->place,
        .current = true};
    inode->size = content.size;
    inode->mtime_ns = mtime;
    if (mtime > inode->ctime_ns)
        inode->ctime_ns = mtime;
    return varve_catalog_content_insert(r->catalog, &content, &inode->content, err) &&
           varve_catalog_inode_update(r->catalog, inode, err);
}

static bool
adopt_known(struct rebuild *r, struct varve_inode *inode, const struct origin *origin,
            const struct backing *backing, struct varve_error *err)
{
    struct varve_content content = {0};
    if (inode->content.value != 0 &&
        !varve_catalog_content_get(r->catalog, inode->content, &content, err))
        return false;
    if (origin->version < content.version)
        return true; /* an older version: a newer one is on discs */
    if (origin->version == content.version && content.size == (uint64_t)backing->st.st_size &&
        content.place.tier == VARVE_TIER_NONE && same_bytes(r, &content, backing)) {
        content.place = backing->place;
        return varve_catalog_content_update(r->catalog, &content, err);
    }
    if (content.phase == VARVE_PHASE_LIVE && content.id.value != 0)
        return adopt_lost(r, backing, err); /* two files claim to be the newest: both are kept */
    return adopt_newer(r, inode, &content, origin, backing, err);
}

static bool
adopt(void *context, const struct varve_place *place, uint64_t bytes, struct varve_error *err)
{
    struct rebuild *r = context;
    struct backing backing = {.place = *place};
    struct origin origin;
    struct varve_inode inode;
    struct varve_error why = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    (void)bytes;
    if (!varve_store_stat(r->store, place, &backing.st, err) ||
        !varve_catalog_file_number_taken(r->catalog, place->file, err))
        return false;
    r->report.adopted++;
    if (!varve_store_origin(r->store, place, &text, &why) ||
        !parse_origin(varve_buffer_string(&text), text.size, &origin))
        return backing.st.st_size == 0 || adopt_lost(r, &backing, err);
    if (varve_catalog_inode_get(r->catalog, origin.ino, &inode, &why) && S_ISREG(inode.mode))
        return adopt_known(r, &inode, &origin, &backing, err);
    return adopt_new(r, &origin, &backing, err);
}

/* New numbers begin far above those that any disc at hand tells of. Discs that are not at hand, and
 * origin marks of files that are on no disc, know higher ones; a number must not mean two things.
 */
static bool
leave_gap(struct rebuild *r, struct varve_error *err)
{
    static const uint64_t gap = UINT64_C(1) << 24;
    struct varve_inode inode = {.mode = S_IFREG};
    struct varve_content content = {.version = 1};
    uint64_t ino;
    if (!varve_catalog_inode_insert(r->catalog, &inode, &ino, err) ||
        !varve_catalog_inode_delete(r->catalog, ino, 0, err) ||
        !varve_catalog_content_insert(r->catalog, &content, &content.id, err) ||
        !varve_catalog_content_delete(r->catalog, content.id, err))
        return false;
    inode.ino = ino + gap;
    content.id.value += gap;
    struct varve_content_id id = content.id;
    return varve_catalog_inode_insert(r->catalog, &inode, &ino, err) &&
           varve_catalog_inode_delete(r->catalog, ino, 0, err) &&
           varve_catalog_content_insert(r->catalog, &content, &id, err) &&
           varve_catalog_content_delete(r->catalog, id, err);
}

/* The new catalog knows no heads, and may give their numbers away again. */
static bool
drop_head(void *context, const struct varve_place *place, uint64_t bytes, int64_t used_ns,
          struct varve_error *err)
{
    const struct rebuild *r = context;
    (void)bytes;
    (void)used_ns;
    return varve_store_head_remove(r->store, place, err);
}

bool
rebuild_adopt(struct rebuild *r, struct varve_error *err)
{
    rebuild_tell(r, 0, 0, "taking over what lies on the tiers");
    varve_catalog_begin(r->catalog);
    bool ok = leave_gap(r, err) && varve_store_each(r->store, adopt, r, err) &&
              varve_store_each_head(r->store, drop_head, r, err);
    return varve_catalog_end(r->catalog, ok, err);
}
