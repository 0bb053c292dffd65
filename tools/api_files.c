/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/files: what is below a path, in pages.
 *
 * The walk is depth first, each directory in the order of its cookies. A page ends with `next`: the
 * cookies of the names that lead to its last entry, "12.7.31"; with it as `after` the walk goes on
 * behind that entry, whatever was made or removed meanwhile. So the daemon keeps no state. */
#include "api.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/heat.h>
#include <varve/policy.h>

enum { DEPTH_MAX = VARVE_PATH_BYTES_MAX / 2, PAGE_DEFAULT = 1000, PAGE_MAX = 10000 };
enum { PIECES_MAX = 64, SET_ROWS_MAX = 4 * VARVE_SET_DISCS_MAX };

struct level {
    uint64_t ino, after; /* directory, and the cookie that was done last in it */
    size_t path_size;    /* of the directory's path, without a final '/' */
};

struct walk {
    const struct api_request *request;
    struct varve_vfs *vfs;
    struct varve_catalog *catalog;
    bool recursive;
    struct level *levels; /* DEPTH_MAX */
    size_t depth;
    struct varve_buffer path;
    json_t *files;
    /* Discs of the set that was looked at last: neighbours mostly lie in one set. */
    struct varve_set_id set;
    struct varve_disc_row *rows; /* SET_ROWS_MAX */
    size_t row_count;
};

static void
walk_done(struct walk *walk)
{
    free(walk->levels);
    free(walk->rows);
    varve_buffer_done(&walk->path);
    json_decref(walk->files);
}

static bool
load_set(struct walk *walk, struct varve_set_id set, struct varve_error *err)
{
    if (walk->set.value == set.value)
        return true;
    walk->set = (struct varve_set_id){0};
    if (!varve_catalog_set_discs(walk->catalog, set, walk->rows, SET_ROWS_MAX, &walk->row_count,
                                 err))
        return false;
    walk->set = set;
    return true;
}

/* A disc that failed leaves its row in the set beside the one that took its place. */
static const struct varve_disc_row *
find_disc(const struct walk *walk, uint32_t index)
{
    const struct varve_disc_row *found = NULL;
    for (size_t i = 0; i < walk->row_count; i++) {
        const struct varve_disc_row *row = &walk->rows[i];
        if (row->index == index && (found == NULL || row->state != VARVE_DISC_FAILED))
            found = row;
    }
    return found;
}

static bool
add_discs(struct walk *walk, struct varve_content_id content, json_t **discs, uint64_t *ret_set,
          struct varve_error *err)
{
    struct varve_piece pieces[PIECES_MAX];
    size_t count = 0;
    if (!varve_catalog_pieces(walk->catalog, content, pieces, PIECES_MAX, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!load_set(walk, pieces[i].set, err))
            return false;
        const struct varve_disc_row *disc = find_disc(walk, pieces[i].index);
        if (disc != NULL)
            json_add(discs, json_string(disc->barcode.text));
        *ret_set = pieces[i].set.value;
    }
    return true;
}

static double
get_heat(const struct walk *walk, const struct varve_inode *inode)
{
    return varve_heat_decay(inode->heat, inode->heat_ns,
                            varve_clock_realtime(walk->request->options->ports->engine.clock),
                            varve_engine_config(walk->request->options->engine)->half_life_ns);
}

/* As user.varve.eta says; NULL for what is here. */
static json_t *
get_eta(const struct walk *walk, const struct varve_content *content)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    struct varve_error ignored = {0}; /* an estimate is better left out than in the way */
    if (varve_state_of(content->phase, content->place) != VARVE_STATE_MIGRATED ||
        !varve_vfs_xattr_get(walk->vfs, content->ino, "user.varve.eta", &text, &ignored))
        return NULL;
    char *end;
    const char *value = varve_buffer_string(&text);
    long long seconds = strtoll(value, &end, 10);
    return *end == 0 && end != value ? json_integer(seconds) : json_bytes(value);
}

static bool
add_file(struct walk *walk, const struct varve_inode *inode, struct varve_error *err)
{
    struct varve_content content;
    struct json_file file = {.path = varve_buffer_string(&walk->path),
                             .inode = inode,
                             .heat = get_heat(walk, inode),
                             .discs = json_array()};
    if (S_ISREG(inode->mode) && inode->content.value != 0) {
        bool ok = varve_catalog_content_get(walk->catalog, inode->content, &content, err) &&
                  add_discs(walk, inode->content, &file.discs, &file.set, err);
        if (!ok) {
            json_decref(file.discs);
            return varve_error_wrap(err, "'%s'", file.path);
        }
        file.content = &content;
        file.eta = get_eta(walk, &content);
    }
    json_add(&walk->files, json_file(&file));
    return walk->files != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list files");
}

static bool
push(struct walk *walk, uint64_t ino, uint64_t after, struct varve_error *err)
{
    if (walk->depth == DEPTH_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "deeper than %d directories",
                               DEPTH_MAX);
    size_t size = walk->path.size;
    if (size == 1)
        size = 0; /* the root: "/" + "/name" would have one too many */
    walk->levels[walk->depth++] = (struct level){.ino = ino, .after = after, .path_size = size};
    return true;
}

static void
set_path(struct walk *walk, const struct level *level, const char *name)
{
    VARVE_CLEANUP_FREE char *dir = strndup(varve_buffer_string(&walk->path), level->path_size);
    varve_buffer_clear(&walk->path);
    if (dir == NULL)
        walk->path.failed = true;
    else
        varve_buffer_printf(&walk->path, "%s/%s", dir, name);
}

/* Takes the next name; *ret_more is false when the walk is over. */
static bool
step(struct walk *walk, bool *ret_more, struct varve_error *err)
{
    struct varve_dentry entry;
    size_t count = 0;
    struct level *level = &walk->levels[walk->depth - 1];
    if (!varve_vfs_readdir(walk->vfs, level->ino, level->after, &entry, 1, &count, err)) {
        if (err->kind != VARVE_ERROR_NOT_FOUND)
            return false;
        *err = (struct varve_error){0}; /* the directory was removed meanwhile */
        count = 0;
    }
    if (count == 0) {
        walk->depth--;
        *ret_more = walk->depth > 0;
        return true;
    }
    level->after = entry.cookie;
    set_path(walk, level, entry.name);
    if (!varve_buffer_ok(&walk->path, err) || !add_file(walk, &entry.inode, err))
        return false;
    *ret_more = true;
    return !walk->recursive || !S_ISDIR(entry.inode.mode) || push(walk, entry.inode.ino, 0, err);
}

/* Puts the walk behind the entry that `after` ("12.7.31") names. */
static bool
resume(struct walk *walk, const char *after, struct varve_error *err)
{
    const char *at = after;
    while (*at != 0) {
        char *end = NULL;
        errno = 0;
        uint64_t cookie = strtoull(at, &end, 10);
        if (errno != 0 || end == at || (*end != '.' && *end != 0) || cookie == 0 || *at == '-')
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'after': '%.64s' is no position",
                                   after);
        at = *end == '.' ? end + 1 : end;
        struct level *level = &walk->levels[walk->depth - 1];
        level->after = cookie;
        struct varve_dentry entry;
        size_t count = 0;
        if (!varve_vfs_readdir(walk->vfs, level->ino, cookie - 1, &entry, 1, &count, err))
            return false;
        if (count == 0 || entry.cookie != cookie || !S_ISDIR(entry.inode.mode) || !walk->recursive)
            return true; /* gone: on with the next name of this directory */
        set_path(walk, level, entry.name);
        if (!varve_buffer_ok(&walk->path, err) || !push(walk, entry.inode.ino, 0, err))
            return false;
    }
    return true;
}

static json_t *
make_next(const struct walk *walk)
{
    if (walk->depth == 0)
        return json_null();
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    for (size_t i = 0; i < walk->depth && walk->levels[i].after != 0; i++)
        varve_buffer_printf(&text, "%s%" PRIu64, i > 0 ? "." : "", walk->levels[i].after);
    return json_string(varve_buffer_string(&text));
}

static bool
list(struct walk *walk, const char *path, struct varve_error *err)
{
    const struct api_request *request = walk->request;
    struct varve_inode inode;
    if (!varve_catalog_resolve(walk->catalog, path, &inode, err) ||
        !varve_vfs_getattr(walk->vfs, inode.ino, &inode, err))
        return false;
    varve_buffer_text(&walk->path, path);
    if (!varve_buffer_ok(&walk->path, err))
        return false;
    if (!S_ISDIR(inode.mode) || request_flag(request, "self"))
        return add_file(walk, &inode, err);
    const char *after = request_text(request, "after");
    if (!push(walk, inode.ino, 0, err) || (after != NULL && !resume(walk, after, err)))
        return false;
    uint64_t limit = request_number(request, "limit", PAGE_DEFAULT);
    bool more = true;
    while (more && json_array_size(walk->files) < limit) {
        if (!step(walk, &more, err))
            return false;
    }
    return true;
}

/* "/a/b" without doubled and final slashes. */
static void
tidy(char *path)
{
    char *to = path;
    for (const char *from = path; *from != 0; from++) {
        if (*from != '/' || to == path || to[-1] != '/')
            *to++ = *from;
    }
    if (to > path + 1 && to[-1] == '/')
        to--;
    *to = 0;
}

bool
api_get_files(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    uint64_t limit = request_number(request, "limit", PAGE_DEFAULT);
    if (limit < 1 || limit > PAGE_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'limit': 1 to %d is wanted", PAGE_MAX);
    VARVE_CLEANUP_FREE char *path = NULL;
    if (!json_bytes_get(json_object_get(request->in, "path"), "path", &path, err))
        return false;
    tidy(path);
    struct walk walk = {.request = request,
                        .vfs = varve_engine_vfs(request->options->engine),
                        .catalog = varve_engine_catalog(request->options->engine),
                        .recursive = request_flag(request, "recursive"),
                        .levels = calloc(DEPTH_MAX, sizeof *walk.levels),
                        .rows = calloc(SET_ROWS_MAX, sizeof *walk.rows),
                        .files = json_array()};
    bool ok = walk.levels != NULL && walk.rows != NULL;
    if (!ok)
        varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list files");
    ok = ok && list(&walk, path, err) &&
         answer(json_pack("{s:O, s:o}", "files", walk.files, "next", make_next(&walk)), ret, err);
    walk_done(&walk);
    return ok;
}
