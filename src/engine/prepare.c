/* SPDX-License-Identifier: Apache-2.0 */
/* The one pass over the sources of a set: digests, CRCs and parity. After it, discs can burn in any
 * order. */
#include "engine_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

struct preparing {
    struct varve_engine *engine;
    struct job *job;
    struct varve_set *set;
    struct set_images *images;
    struct varve_encoder *encoder;
    struct content_reader *readers;  /* one per data disc */
    uint8_t **clusters;              /* one per disc of the set */
    int *parity;                     /* descriptors, one per parity disc */
    struct varve_content_id culprit; /* what could not be read */
};

static void
preparing_done(struct preparing *p)
{
    for (uint32_t i = 0; p->readers != NULL && i < p->set->data_discs; i++)
        content_reader_done(&p->readers[i]);
    for (uint32_t i = 0; p->clusters != NULL && i < p->images->count; i++)
        free(p->clusters[i]);
    for (uint32_t i = 0; p->parity != NULL && i < p->set->parity_discs; i++) {
        if (p->parity[i] >= 0)
            (void)close(p->parity[i]);
    }
    free(p->readers);
    free(p->clusters);
    free(p->parity);
    varve_encoder_free(p->encoder);
}

static bool
open_parity(struct preparing *p, struct varve_error *err)
{
    for (uint32_t i = 0; i < p->set->parity_discs; i++) {
        VARVE_CLEANUP_FREE char *path = parity_file(p->engine, p->set, p->set->data_discs + i);
        if (path == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "stage parity");
        p->parity[i] = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (p->parity[i] < 0)
            return varve_error_system(err, errno, "create '%s'", path);
        /* The room is taken at once: a set is not to fail half-way for it. */
        int failed =
            posix_fallocate(p->parity[i], 0, (off_t)(p->set->clusters * VARVE_CLUSTER_BYTES));
        if (failed != 0)
            return varve_error_system(err, failed, "reserve '%s'", path);
    }
    return true;
}

static bool
allocate(struct preparing *p, struct varve_error *err)
{
    uint32_t data = p->set->data_discs;
    p->readers = calloc(data, sizeof *p->readers);
    p->clusters = calloc(p->images->count, sizeof *p->clusters);
    p->parity = calloc(p->set->parity_discs + 1, sizeof *p->parity);
    for (uint32_t i = 0; p->parity != NULL && i < p->set->parity_discs; i++)
        p->parity[i] = -1;
    if (p->readers == NULL || p->clusters == NULL || p->parity == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "prepare a set");
    for (uint32_t i = 0; i < data; i++)
        content_reader_init(&p->readers[i], p->engine, varve_image_manifest(p->images->images[i]));
    for (uint32_t i = 0; i < p->images->count; i++) {
        p->clusters[i] = aligned_alloc(4096, VARVE_CLUSTER_BYTES);
        if (p->clusters[i] == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "prepare a set");
    }
    return true;
}

/* Stripe `k`: cluster k of every data image, and from them cluster k of every parity payload. */
static bool
do_stripe(struct preparing *p, uint64_t k, struct varve_error *err)
{
    uint32_t data = p->set->data_discs;
    for (uint32_t i = 0; i < data; i++) {
        const struct varve_image_source source = {&p->readers[i], content_reader_read};
        if (!varve_image_render(p->images->images[i], k, &source, p->clusters[i], err)) {
            p->culprit = content_reader_failed(&p->readers[i]);
            return varve_error_wrap(err, "disc %" PRIu32 " of set %" PRIu64, i, p->set->id.value);
        }
    }
    varve_encoder_run(p->encoder, VARVE_CLUSTER_BYTES, (const uint8_t *const *)p->clusters,
                      &p->clusters[data]);
    for (uint32_t i = 0; i < p->set->parity_discs; i++) {
        if (!varve_file_pwrite(p->parity[i], p->clusters[data + i], VARVE_CLUSTER_BYTES,
                               k * VARVE_CLUSTER_BYTES, err))
            return varve_error_wrap(err, "stage parity");
    }
    job_add(p->job, (uint64_t)data * VARVE_CLUSTER_BYTES, 0);
    return true;
}

static bool
learn_parity(struct preparing *p, struct varve_error *err)
{
    uint32_t data = p->set->data_discs;
    if (!set_images_add_parity(p->engine, p->images, err))
        return false;
    for (uint32_t i = 0; i < p->set->parity_discs; i++) {
        struct varve_image *image = p->images->images[data + i];
        const struct varve_image_source source = {&p->parity[i], parity_read};
        for (uint64_t k = 0; k < varve_image_map(image)->clusters; k++) {
            if (!varve_image_render(image, k, &source, p->clusters[data + i], err))
                return varve_error_wrap(err, "disc %" PRIu32 " of set %" PRIu64, data + i,
                                        p->set->id.value);
        }
        if (!varve_file_sync(p->parity[i], "staged parity", err))
            return false;
    }
    return true;
}

static bool
save_maps(struct preparing *p, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_disc_map *maps = calloc(p->set->data_discs, sizeof *maps);
    if (maps == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "save maps");
    for (uint32_t i = 0; i < p->set->data_discs; i++)
        maps[i] = *varve_image_map(p->images->images[i]);
    return maps_save(p->engine, p->set, maps, err);
}

static bool
save(struct preparing *p, struct varve_error *err)
{
    if (!save_maps(p, err))
        return false;
    for (uint32_t i = 0; i < p->images->count; i++) {
        struct varve_image *image = p->images->images[i];
        VARVE_CLEANUP_FREE char *crcs = set_file(p->engine, p->set, i, "crc");
        VARVE_CLEANUP_FREE char *manifest = set_file(p->engine, p->set, i, "jsonl");
        if (crcs == NULL || manifest == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "save checksums");
        if (!crcs_save(crcs, varve_image_crcs(image), varve_image_map(image)->clusters, err))
            return false;
        if (i >= p->set->data_discs &&
            !parity_digest_save(p->engine, p->set, i, varve_image_parity_digest(image), err))
            return false;
        if (i < p->set->data_discs && !manifest_save(manifest, varve_image_manifest(image), err))
            return false;
    }
    return true;
}

static bool
store_digests(struct preparing *p, uint32_t disc, struct varve_error *err)
{
    const struct varve_manifest *manifest = varve_image_manifest(p->images->images[disc]);
    for (size_t i = 0; i < manifest->count; i++) {
        const struct varve_record *record = &manifest->records[i];
        if (record->type != VARVE_RECORD_FILE || record->piece_bytes == 0)
            continue;
        const struct varve_piece piece = {.content = {record->content},
                                          .set = p->set->id,
                                          .part = record->part,
                                          .has_digest = true,
                                          .digest = record->digest};
        if (!varve_catalog_piece_set_digest(p->engine->catalog, &piece, err))
            return false;
    }
    return true;
}

static bool
commit(struct preparing *p, struct varve_error *err)
{
    struct varve_catalog *catalog = p->engine->catalog;
    struct varve_set set = *p->set;
    set.state = VARVE_SET_BURNING;
    varve_catalog_begin(catalog);
    bool ok = varve_catalog_set_update(catalog, &set, err);
    for (uint32_t disc = 0; ok && disc < set.data_discs; disc++)
        ok = store_digests(p, disc, err);
    if (!varve_catalog_end(catalog, ok, err) || !varve_catalog_sync(catalog, err))
        return false;
    *p->set = set;
    return true;
}

static bool
prepare(struct preparing *p, struct varve_error *err)
{
    if (!allocate(p, err) ||
        !varve_encoder_new(p->set->data_discs, p->set->parity_discs, &p->encoder, err) ||
        !open_parity(p, err))
        return false;
    for (uint64_t k = 0; k < p->set->clusters; k++) {
        if (!go_on(p->engine, err) || !do_stripe(p, k, err))
            return false;
    }
    return learn_parity(p, err) && save(p, err) && commit(p, err);
}

bool
set_prepare(struct varve_engine *engine, struct job *job, struct set_images *images,
            struct varve_content_id *ret_culprit, struct varve_error *err)
{
    struct preparing p = {.engine = engine, .job = job, .set = &images->set, .images = images};
    job_text(job, "set %" PRIu64 ": reading files, computing parity", images->set.id.value);
    bool ok = prepare(&p, err);
    *ret_culprit = p.culprit;
    preparing_done(&p);
    return ok || varve_error_wrap(err, "prepare set %" PRIu64, images->set.id.value);
}
