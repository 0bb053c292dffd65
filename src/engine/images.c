/* SPDX-License-Identifier: Apache-2.0 */
/* Images of a set, made again from what the archive's folder keeps, and where their bytes come
 * from. */
#include "engine_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

void
identity_fill(const struct varve_engine *engine, const struct varve_set *set, uint32_t index,
              struct varve_disc_identity *ret)
{
    *ret = (struct varve_disc_identity){
        .archive = engine->uuid,
        .set = set->uuid,
        .disc = member_uuid(&set->uuid, index),
        .set_number = set->id.value,
        .data_discs = set->data_discs,
        .parity_discs = set->parity_discs,
        .index = index,
        .created_ns = set->created_ns,
    };
    (void)snprintf(ret->archive_name, sizeof ret->archive_name, "%s", engine->name);
}

/* --- bytes of files --- */

void
content_reader_init(struct content_reader *reader, struct varve_engine *engine,
                    const struct varve_manifest *manifest)
{
    *reader = (struct content_reader){.engine = engine, .manifest = manifest, .fd = -1};
}

void
content_reader_done(struct content_reader *reader)
{
    if (reader->open)
        (void)close(reader->fd); /* only read from */
    reader->open = false;
}

static bool
open_record(struct content_reader *reader, size_t record, struct varve_error *err)
{
    struct varve_content content;
    struct varve_content_id id = {reader->manifest->records[record].content};
    content_reader_done(reader);
    if (!varve_catalog_content_get(reader->engine->catalog, id, &content, err) ||
        !varve_store_open_file(reader->engine->store, &content.place, O_RDONLY, &reader->fd, err))
        return false;
    reader->open = true;
    reader->record = record;
    return true;
}

static bool
read_failed(struct content_reader *reader, const struct varve_record *row, struct varve_error *err)
{
    reader->failed.value = row->content;
    return varve_error_wrap(err, "read file %" PRIu64 " ('%s')", row->ino,
                            row->name_count > 0 ? row->names[0].name : "?");
}

struct varve_content_id
content_reader_failed(const struct content_reader *reader)
{
    return reader->failed;
}

bool
content_reader_read(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
                    struct varve_error *err)
{
    struct content_reader *reader = context;
    const struct varve_record *row = &reader->manifest->records[record];
    if (((!reader->open || reader->record != record) && !open_record(reader, record, err)) ||
        !varve_file_pread(reader->fd, ret, size, row->piece_offset + offset, err))
        return read_failed(reader, row, err);
    return true;
}

bool
parity_read(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
            struct varve_error *err)
{
    (void)record;
    if (!varve_file_pread(*(int *)context, ret, size, offset, err))
        return varve_error_wrap(err, "read staged parity");
    return true;
}

/* --- the images --- */

void
set_images_free(struct set_images *images)
{
    if (images == NULL)
        return;
    for (uint32_t i = 0; images->images != NULL && i < images->count; i++)
        varve_image_free(images->images[i]);
    free(images->images);
    free(images);
}

static bool
load_data(struct varve_engine *engine, struct set_images *images, uint32_t index,
          struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = set_file(engine, &images->set, index, "jsonl");
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
    struct varve_disc_identity identity;
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "load manifest");
    identity_fill(engine, &images->set, index, &identity);
    if (!manifest_load(path, &manifest, err) ||
        !varve_image_new_data(&identity, manifest, &images->images[index], err))
        return false;
    VARVE_TAKE(manifest);
    return true;
}

static bool
load_parity(struct varve_engine *engine, struct set_images *images, uint32_t index,
            struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_map *maps = calloc(images->set.data_discs, sizeof *maps);
    struct varve_disc_identity identity;
    if (maps == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "load parity image");
    for (uint32_t i = 0; i < images->set.data_discs; i++)
        maps[i] = *varve_image_map(images->images[i]);
    identity_fill(engine, &images->set, index, &identity);
    struct varve_image **image = &images->images[index];
    if (!varve_image_new_parity(&identity, maps, images->set.clusters, image, err))
        return false;
    for (uint32_t i = 0; i < images->set.data_discs; i++) {
        if (!varve_image_set_member_crcs(*image, i, varve_image_crcs(images->images[i]),
                                         maps[i].clusters, err))
            return false;
    }
    return true;
}

bool
set_images_add_parity(struct varve_engine *engine, struct set_images *images,
                      struct varve_error *err)
{
    for (uint32_t i = images->set.data_discs; i < images->count; i++) {
        if (!load_parity(engine, images, i, err))
            return false;
    }
    return true;
}

static bool
relearn(struct varve_engine *engine, struct set_images *images, uint32_t index,
        struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = set_file(engine, &images->set, index, "crc");
    VARVE_CLEANUP_FREE uint32_t *crcs = NULL;
    uint64_t count;
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "load checksums");
    if (index >= images->set.data_discs) {
        struct varve_digest digest;
        if (!parity_digest_load(engine, &images->set, index, &digest, err))
            return false;
        varve_image_set_parity_digest(images->images[index], &digest);
    }
    return crcs_load(path, &crcs, &count, err) &&
           varve_image_relearn(images->images[index], crcs, count, err);
}

static bool
load_all(struct varve_engine *engine, struct set_images *images, struct varve_error *err)
{
    bool learned = images->set.state != VARVE_SET_PLANNED;
    for (uint32_t i = 0; i < images->set.data_discs; i++) {
        if (!load_data(engine, images, i, err) || (learned && !relearn(engine, images, i, err)))
            return false;
    }
    if (!learned)
        return true;
    if (!set_images_add_parity(engine, images, err))
        return false;
    for (uint32_t i = images->set.data_discs; i < images->count; i++) {
        if (!relearn(engine, images, i, err))
            return false;
    }
    return true;
}

bool
set_images_load(struct varve_engine *engine, const struct varve_set *set, struct set_images **ret,
                struct varve_error *err)
{
    VARVE_CLEANUP(set_images_free) struct set_images *images = calloc(1, sizeof *images);
    if (images != NULL) {
        images->set = *set;
        images->count = set->data_discs + set->parity_discs;
        images->images = calloc(images->count, sizeof(struct varve_image *));
    }
    if (images == NULL || images->images == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "load set %" PRIu64, set->id.value);
    if (!load_all(engine, images, err))
        return varve_error_wrap(err, "load set %" PRIu64, set->id.value);
    *ret = VARVE_TAKE(images);
    return true;
}
