/* SPDX-License-Identifier: Apache-2.0 */
/* Second part of a rebuild: manifests of data discs that are lost or damaged, decoded from the rest
 * of their sets. Of each disc that is there a slim copy is staged: its tables and the stripes
 * wanted. So every disc is loaded once, with one drive too. */
#include "rebuild.h"

#include <inttypes.h>
#include <string.h>
#include <varve/recover.h>

struct slim {
    struct varve_cluster_source source;
    int fd;
    uint8_t *there; /* per cluster */
};

struct decoding {
    struct rebuild *rebuild;
    struct found_set *set;
    struct slim *slims;
    uint32_t index; /* the member that is being copied */
    uint64_t parity_first;
};

static bool
slim_read(void *context, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
          struct varve_error *err)
{
    struct slim *slim = context;
    if (cluster >= slim->source.clusters || slim->there[cluster] == 0)
        return varve_error_set(err, VARVE_ERROR_MEDIUM, 0, "cluster %" PRIu64 " was not staged",
                               cluster);
    return varve_file_pread(slim->fd, ret, VARVE_CLUSTER_BYTES, cluster * VARVE_CLUSTER_BYTES, err);
}

static bool
copy_cluster(struct slim *slim, const struct varve_cluster_source *source, uint64_t cluster,
             uint8_t *buffer, struct varve_error *err)
{
    struct varve_error ignored = {0}; /* what cannot be read is not there: parity decides */
    if (cluster >= slim->source.clusters || slim->there[cluster] != 0 ||
        !source->read(source->context, cluster, buffer, &ignored))
        return true;
    if (!varve_file_pwrite(slim->fd, buffer, VARVE_CLUSTER_BYTES, cluster * VARVE_CLUSTER_BYTES,
                           err))
        return varve_error_wrap(err, "stage clusters");
    slim->there[cluster] = 1;
    return true;
}

static bool
copy_extent(struct slim *slim, const struct varve_cluster_source *source,
            const struct varve_extent *extent, uint8_t *buffer, struct varve_error *err)
{
    uint64_t first = extent->lba / VARVE_CLUSTER_SECTORS;
    uint64_t end = (extent->lba * VARVE_SECTOR_BYTES + extent->bytes + VARVE_CLUSTER_BYTES - 1) /
                   VARVE_CLUSTER_BYTES;
    for (uint64_t k = first; k < end && k < slim->source.clusters; k++) {
        if (!copy_cluster(slim, source, k, buffer, err))
            return false;
    }
    return true;
}

/* The stripes that the missing manifests lie in. */
static bool
copy_stripes(struct decoding *d, struct slim *slim, const struct varve_cluster_source *source,
             uint8_t *buffer, struct varve_error *err)
{
    const struct member *self = &d->set->members[d->index];
    uint64_t shift = d->index < d->set->row.data_discs ? 0 : self->map.parity.lba;
    for (uint32_t i = 0; i < d->set->row.data_discs; i++) {
        const struct member *member = &d->set->members[i];
        if (member->has_manifest || !member->has_map)
            continue;
        const struct varve_extent wanted[] = {
            {0, VARVE_CLUSTER_BYTES}, member->map.disc_json, member->map.inodes};
        for (size_t w = 0; w < sizeof wanted / sizeof wanted[0]; w++) {
            uint64_t skew = wanted[w].lba % VARVE_CLUSTER_SECTORS;
            const struct varve_extent there = {shift + wanted[w].lba - skew,
                                               wanted[w].bytes + skew * VARVE_SECTOR_BYTES};
            if (!copy_extent(slim, source, &there, buffer, err))
                return false;
        }
    }
    return true;
}

static bool
copy_disc(void *context, const struct varve_cluster_source *source, struct varve_error *err)
{
    struct decoding *d = context;
    struct slim *slim = &d->slims[d->index];
    const struct member *member = &d->set->members[d->index];
    VARVE_CLEANUP_FREE uint8_t *buffer = aligned_alloc(4096, VARVE_CLUSTER_BYTES);
    slim->source = (struct varve_cluster_source){slim, source->clusters, slim_read};
    slim->there = calloc((size_t)source->clusters + 1, 1);
    if (buffer == NULL || slim->there == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    if (!varve_file_temporary(d->rebuild->engine->dir, &slim->fd, err))
        return false;
    /* docs/format.md: the three anchors are in these clusters. */
    const uint64_t anchors[] = {0, 3, source->clusters >= 9 ? source->clusters - 9 : 0,
                                member->map.clusters >= 9 ? member->map.clusters - 9 : 0};
    for (size_t i = 0; i < sizeof anchors / sizeof anchors[0]; i++) {
        if (!copy_cluster(slim, source, anchors[i], buffer, err))
            return false;
    }
    return copy_extent(slim, source, &member->map.disc_json, buffer, err) &&
           copy_extent(slim, source, &member->map.inodes, buffer, err) &&
           copy_extent(slim, source, &member->map.crcs, buffer, err) &&
           copy_stripes(d, slim, source, buffer, err);
}

static bool
copy_all(struct decoding *d, struct varve_recovery *recovery, struct varve_error *err)
{
    for (uint32_t i = 0; i < d->set->count; i++) {
        const struct member *member = &d->set->members[i];
        struct varve_error why = {0};
        if (!member->present)
            continue;
        d->index = i;
        rebuild_tell(d->rebuild, i, d->set->count, "set %" PRIu64 ": decoding, reading disc '%s'",
                     d->set->row.id.value, member->barcode.text);
        if (!rebuild_with_disc(d->rebuild, member, copy_disc, d, err))
            return false;
        if (!varve_recovery_add(recovery, member->barcode.text, &d->slims[i].source, &why))
            varve_log(VARVE_LOG_WARNING, "rebuild: disc '%s' does not help: %s",
                      member->barcode.text, why.text);
    }
    return true;
}

static bool
decode_members(struct decoding *d, struct varve_recovery *recovery, struct varve_error *err)
{
    for (uint32_t i = 0; i < d->set->row.data_discs; i++) {
        VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
        VARVE_CLEANUP_FREE char *path = set_file(d->rebuild->engine, &d->set->row, i, "jsonl");
        struct varve_error why = {0};
        if (d->set->members[i].has_manifest)
            continue;
        if (path == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
        if (!varve_recovery_manifest(recovery, i, &manifest, &why)) {
            varve_log(VARVE_LOG_ERROR,
                      "rebuild: what was on disc %" PRIu32 " of set %" PRIu64 " is not known: %s",
                      i + 1, d->set->row.id.value, why.text);
            continue;
        }
        if (!manifest_save(path, manifest, err))
            return false;
        d->set->members[i].has_manifest = true;
        d->rebuild->report.repaired_discs++;
    }
    return true;
}

static bool
decode_set(struct rebuild *r, struct found_set *set, struct varve_error *err)
{
    struct decoding d = {.rebuild = r, .set = set, .slims = calloc(set->count, sizeof *d.slims)};
    VARVE_CLEANUP(varve_recovery_free) struct varve_recovery *recovery = varve_recovery_new();
    for (uint32_t i = 0; d.slims != NULL && i < set->count; i++)
        d.slims[i].fd = -1;
    bool ok = d.slims != NULL && recovery != NULL;
    if (!ok)
        varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    ok = ok && copy_all(&d, recovery, err) && decode_members(&d, recovery, err);
    varve_recovery_free(VARVE_TAKE(recovery)); /* it borrows the slims */
    for (uint32_t i = 0; d.slims != NULL && i < set->count; i++) {
        free(d.slims[i].there);
        if (d.slims[i].fd >= 0)
            (void)close(d.slims[i].fd);
    }
    free(d.slims);
    return ok;
}

bool
rebuild_decode(struct rebuild *r, struct varve_error *err)
{
    for (size_t s = 0; s < r->set_count; s++) {
        bool missing = false;
        for (uint32_t i = 0; i < r->sets[s].count; i++) {
            r->report.missing_discs += !r->sets[s].members[i].present;
            missing =
                missing || (i < r->sets[s].row.data_discs && !r->sets[s].members[i].has_manifest);
        }
        if (missing && !decode_set(r, &r->sets[s], err))
            return varve_error_wrap(err, "set %" PRIu64, r->sets[s].row.id.value);
    }
    return true;
}
