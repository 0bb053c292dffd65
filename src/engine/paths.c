/* SPDX-License-Identifier: Apache-2.0 */
/* From paths to inodes, down whole trees. */
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/grow.h>

/* Directories still to be read: a stack, so that depth costs memory and not calls. */
struct walk {
    uint64_t *inos;
    size_t count, capacity;
};

static bool
push(struct walk *walk, uint64_t ino, struct varve_error *err)
{
    uint64_t *inos = varve_grow(walk->inos, &walk->capacity, walk->count, sizeof *inos);
    if (inos == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "walk a tree");
    walk->inos = inos;
    walk->inos[walk->count++] = ino;
    return true;
}

static bool
visit(struct varve_engine *engine, struct walk *walk, const struct varve_inode *inode,
      inode_fn *each, void *context, struct varve_error *err)
{
    return each(engine, inode, context, err) &&
           (!S_ISDIR(inode->mode) || push(walk, inode->ino, err));
}

static bool
read_directory(struct varve_engine *engine, struct walk *walk, uint64_t ino, inode_fn *each,
               void *context, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_dentry *page = calloc(PAGE_ROWS, sizeof *page);
    uint64_t after = 0;
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "walk a tree");
    while (count == PAGE_ROWS) {
        if (!go_on(engine, err) ||
            !varve_catalog_readdir(engine->catalog, ino, after, page, PAGE_ROWS, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (!visit(engine, walk, &page[i].inode, each, context, err))
                return false;
            after = page[i].cookie;
        }
    }
    return true;
}

static bool
walk_all(struct varve_engine *engine, struct walk *walk, const struct varve_path_list *paths,
         inode_fn *each, void *context, struct varve_error *err)
{
    for (size_t i = 0; i < paths->count; i++) {
        struct varve_inode inode;
        if (!varve_catalog_resolve(engine->catalog, paths->paths[i], &inode, err) ||
            !visit(engine, walk, &inode, each, context, err))
            return varve_error_wrap(err, "'%s'", paths->paths[i]);
        while (walk->count > 0) {
            if (!read_directory(engine, walk, walk->inos[--walk->count], each, context, err))
                return varve_error_wrap(err, "'%s'", paths->paths[i]);
        }
    }
    return true;
}

bool
paths_walk(struct varve_engine *engine, const struct varve_path_list *paths, inode_fn *each,
           void *context, struct varve_error *err)
{
    struct walk walk = {0};
    bool ok = walk_all(engine, &walk, paths, each, context, err);
    free(walk.inos);
    return ok;
}

void
path_copy_done(struct path_copy *copy)
{
    for (size_t i = 0; i < copy->count; i++)
        free(copy->paths[i]);
    free(copy->paths);
    *copy = (struct path_copy){0};
}

bool
path_copy_make(struct varve_engine *engine, const struct varve_path_list *paths,
               struct path_copy *ret, struct varve_error *err)
{
    struct path_copy copy = {.paths = calloc(paths->count + 1, sizeof(char *))};
    bool ok = copy.paths != NULL;
    for (size_t i = 0; ok && i < paths->count; i++) {
        struct varve_inode inode;
        if (!varve_catalog_resolve(engine->catalog, paths->paths[i], &inode, err)) {
            varve_error_wrap(err, "'%s'", paths->paths[i]);
            path_copy_done(&copy);
            return false;
        }
        copy.paths[copy.count] = strdup(paths->paths[i]);
        ok = copy.paths[copy.count++] != NULL;
    }
    if (!ok) {
        path_copy_done(&copy);
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "copy paths");
    }
    *ret = copy;
    return true;
}
