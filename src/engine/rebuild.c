/* SPDX-License-Identifier: Apache-2.0 */
/* `varve rebuild`: a new catalog from discs alone (INV-8). */
#include "rebuild.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

void
rebuild_tell(struct rebuild *r, uint64_t done, uint64_t total, const char *format, ...)
{
    char text[160];
    va_list args;
    if (r->options->progress == NULL)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->options->progress(r->options->context, text, done, total);
}

static bool
with_image(const struct member *member, source_fn *use, void *context, struct varve_error *err)
{
    VARVE_CLEANUP(varve_image_file_close) struct varve_image_file *file = NULL;
    return varve_image_file_open(member->image, &file, err) &&
           use(context, varve_image_file_source(file), err);
}

bool
rebuild_with_disc(struct rebuild *r, const struct member *member, source_fn *use, void *context,
                  struct varve_error *err)
{
    size_t index;
    struct drive_source source;
    if (member->image != NULL)
        return with_image(member, use, context, err);
    if (!library_index(r->engine, member->library, &index, err))
        return false;
    struct varve_library *library = r->engine->libraries[index].library;
    struct varve_drive *drive = varve_library_drive(library, 0);
    return varve_library_load(library, &member->barcode, 0, err) &&
           drive_source_open(&source, drive, err) && use(context, &source.source, err);
}

/* --- the archive without a catalog --- */

/* Moves are not journaled: there is no catalog to keep them in, and the next start reads the
 * inventory anyway (INV-7). */
static bool
no_intend(void *context, const char *library, const struct varve_barcode *barcode, uint16_t from,
          uint16_t to, uint64_t *ret_id, struct varve_error *err)
{
    (void)context, (void)library, (void)barcode, (void)from, (void)to, (void)err;
    *ret_id = 0;
    return true;
}

static bool
no_done(void *context, uint64_t id, struct varve_error *err)
{
    (void)context, (void)id, (void)err;
    return true;
}

static bool
open_libraries(struct rebuild *r, struct varve_error *err)
{
    const struct varve_move_journal journal = {.intend = no_intend, .done = no_done};
    if (r->options->image_count > 0)
        return true;
    for (size_t i = 0; i < r->engine->config->library_count; i++) {
        if (!library_attach(r->engine, i, &journal, err))
            return false;
    }
    return r->engine->library_count > 0 ||
           varve_error_set(err, VARVE_ERROR_INVALID, 0,
                           "no library in %s and no images: nothing to rebuild from",
                           VARVE_CONFIG_FILE);
}

/* --- the catalog's file --- */

static void
remove_catalog(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        VARVE_CLEANUP_FREE char *name = NULL;
        if (asprintf(&name, "%s%s", path, suffixes[i]) >= 0)
            (void)unlink(name); /* a half-made catalog of ours; making the next one would say so */
    }
}

/* What is there already is kept beside: a rebuild that was a mistake can be taken back. */
static bool
keep_old(const char *path, struct varve_error *err)
{
    static const char *const suffixes[] = {"-wal", "-shm", ""};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        VARVE_CLEANUP_FREE char *from = NULL;
        VARVE_CLEANUP_FREE char *to = NULL;
        if (asprintf(&from, "%s%s", path, suffixes[i]) < 0 ||
            asprintf(&to, "%s.old%s", path, suffixes[i]) < 0)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
        (void)unlink(to);
        if (rename(from, to) != 0 && errno != ENOENT)
            return varve_error_system(err, errno, "rename '%s'", from);
    }
    return true;
}

static bool
fill_catalog(struct rebuild *r, struct varve_error *err)
{
    if (!rebuild_apply(r, err) ||
        !tiers_open(r->engine->config, r->catalog, &r->archive, &r->store, err) ||
        !rebuild_adopt(r, err))
        return false;
    rebuild_tell(r, 0, 0, "counting links");
    varve_catalog_begin(r->catalog);
    bool ok = rebuild_finish(r, err);
    return varve_catalog_end(r->catalog, ok, err) && varve_catalog_sync(r->catalog, err);
}

static bool
make_catalog(struct rebuild *r, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(r->engine->dir, "catalog.sqlite");
    VARVE_CLEANUP_FREE char *fresh = varve_file_join(r->engine->dir, "catalog.sqlite.rebuild");
    if (path == NULL || fresh == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    remove_catalog(fresh);
    if (!catalog_make(fresh, r->name, &r->archive, r->engine->clock, err) ||
        !varve_catalog_open(fresh, r->engine->clock, &r->catalog, err))
        return false;
    bool ok = fill_catalog(r, err);
    if (ok)
        rebuild_keep_places(r, path);
    varve_catalog_close(VARVE_TAKE(r->catalog));
    if (!ok) {
        remove_catalog(fresh);
        return false;
    }
    if (!keep_old(path, err))
        return false;
    if (rename(fresh, path) != 0)
        return varve_error_system(err, errno, "rename '%s'", fresh);
    return varve_file_sync_dir(r->engine->dir, err);
}

static bool
rebuild(struct rebuild *r, struct varve_error *err)
{
    if (!varve_config_load(r->engine->dir, &r->engine->config, err) ||
        !engine_lock(r->engine, err) || !open_libraries(r, err) || !rebuild_scan(r, err))
        return false;
    if (r->set_count == 0)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0,
                               "no disc of a varve archive was found");
    return rebuild_decode(r, err) && make_catalog(r, err);
}

bool
varve_engine_rebuild(const struct varve_rebuild_options *options,
                     const struct varve_engine_ports *ports, struct varve_rebuild_report *ret,
                     struct varve_error *err)
{
    struct rebuild r = {.options = options};
    VARVE_CLEANUP(varve_engine_close)
    struct varve_engine *engine = engine_new(options->dir, ports, err);
    if (engine == NULL)
        return false;
    r.engine = engine;
    bool ok = rebuild(&r, err);
    varve_store_close(r.store);
    for (size_t i = 0; i < r.set_count; i++)
        free(r.sets[i].members);
    free(r.sets);
    free(r.others);
    if (!ok)
        return varve_error_wrap(err, "rebuild '%s'", options->dir);
    *ret = r.report;
    return true;
}
