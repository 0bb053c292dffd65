/* SPDX-License-Identifier: Apache-2.0 */
/* First part of a rebuild: which discs are there, of which sets, and what each says. */
#include "rebuild.h"

#include <inttypes.h>
#include <string.h>

/* --- sets --- */

static bool
add_set(struct rebuild *r, const struct varve_disc_identity *identity, struct found_set **ret,
        struct varve_error *err)
{
    struct found_set *sets = realloc(r->sets, (r->set_count + 1) * sizeof *sets);
    if (sets == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    r->sets = sets;
    struct found_set *set = &sets[r->set_count];
    *set = (struct found_set){.identity = *identity,
                              .count = identity->data_discs + identity->parity_discs};
    set->row = (struct varve_set){.id = {identity->set_number},
                                  .uuid = identity->set,
                                  .data_discs = identity->data_discs,
                                  .parity_discs = identity->parity_discs,
                                  .created_ns = identity->created_ns,
                                  .sealed_ns = identity->created_ns};
    set->members = calloc(set->count, sizeof *set->members);
    if (set->members == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    r->set_count++;
    VARVE_CLEANUP_FREE char *dir = set_dir(r->engine, &set->row);
    *ret = set;
    return dir != NULL ? varve_file_make_dirs(dir, 0700, err)
                       : varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
}

static bool
find_set(struct rebuild *r, const struct varve_disc_identity *identity, struct found_set **ret,
         struct varve_error *err)
{
    for (size_t i = 0; i < r->set_count; i++) {
        if (varve_uuid_equal(&r->sets[i].row.uuid, &identity->set)) {
            *ret = &r->sets[i];
            return true;
        }
    }
    return add_set(r, identity, ret, err);
}

static bool
add_other(struct rebuild *r, const struct member *seen, enum varve_disc_state state,
          uint64_t capacity, struct varve_error *err)
{
    struct other_disc *others = realloc(r->others, (r->other_count + 1) * sizeof *others);
    if (others == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    r->others = others;
    struct other_disc *other = &others[r->other_count++];
    *other = (struct other_disc){
        .barcode = seen->barcode, .state = state, .capacity_clusters = capacity};
    memcpy(other->library, seen->library, sizeof other->library);
    return true;
}

/* --- what a disc says --- */

static bool
save_crcs(struct rebuild *r, struct found_set *set, struct varve_disc *disc,
          const struct varve_cluster_source *source, uint32_t index, uint64_t clusters,
          struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = set_file(r->engine, &set->row, index, "crc");
    VARVE_CLEANUP_FREE uint32_t *old = NULL;
    VARVE_CLEANUP_FREE uint32_t *crcs = calloc((size_t)clusters + 1, sizeof *crcs);
    struct varve_error ignored = {0}; /* what an earlier disc said is a help, not a need */
    uint64_t old_count = 0;
    if (path == NULL || crcs == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    if (set->members[index].has_crcs && !crcs_load(path, &old, &old_count, &ignored))
        old_count = 0;
    if (!crcs_from_disc(disc, source, index, old, old_count, crcs, clusters, err))
        return false;
    set->members[index].has_crcs = true;
    return crcs_save(path, crcs, clusters, err);
}

static bool
save_own_manifest(struct rebuild *r, struct found_set *set, struct varve_disc *disc, uint32_t index,
                  struct varve_error *err)
{
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
    VARVE_CLEANUP_FREE char *path = set_file(r->engine, &set->row, index, "jsonl");
    struct varve_error why = {0};
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    if (!varve_disc_manifest(disc, &manifest, &why)) {
        varve_log(VARVE_LOG_WARNING,
                  "rebuild: disc %" PRIu32 " of set %" PRIu64 ": %s; decoding it from the others",
                  index + 1, set->row.id.value, why.text);
        return true;
    }
    set->members[index].has_manifest = true;
    return manifest_save(path, manifest, err);
}

/* The digest of parity.bin, from the disc's SHA256SUMS: a repair of this disc would need it. */
static void
save_parity_digest(struct rebuild *r, struct found_set *set, struct varve_disc *disc,
                   uint32_t index)
{
    const struct varve_extent *sums = &varve_disc_map(disc)->sums;
    struct varve_error ignored = {0}; /* without it, only a repair of this very disc is affected */
    if (sums->bytes == 0 || sums->bytes > 1 << 20)
        return;
    VARVE_CLEANUP_FREE char *text = calloc((size_t)sums->bytes + 1, 1);
    if (text == NULL ||
        !varve_disc_read_extent(disc, sums, 0, (uint8_t *)text, (size_t)sums->bytes, &ignored))
        return;
    const char *name = strstr(text, "  varve/parity.bin");
    struct varve_digest digest;
    char hex[VARVE_SHA256_HEX_BYTES] = "";
    if (name == NULL || name - text < 64)
        return;
    memcpy(hex, name - 64, 64);
    if (varve_digest_parse(hex, &digest))
        VARVE_IGNORE(parity_digest_save(r->engine, &set->row, index, &digest, &ignored));
}

static bool
take_parity(struct rebuild *r, struct found_set *set, struct varve_disc *disc,
            const struct varve_cluster_source *source, uint32_t index, struct varve_error *err)
{
    const struct varve_disc_map *maps = varve_disc_members(disc);
    set->row.clusters = varve_disc_map(disc)->parity.bytes / VARVE_CLUSTER_BYTES;
    save_parity_digest(r, set, disc, index);
    for (uint32_t i = 0; maps != NULL && i < set->row.data_discs; i++) {
        if (maps[i].inodes.bytes > 0 && !set->members[i].has_map) {
            set->members[i].map = maps[i];
            set->members[i].has_map = true;
        }
        if (!save_crcs(r, set, disc, source, i, maps[i].clusters, err))
            return false;
    }
    return true;
}

static bool
take_disc(struct rebuild *r, struct member *seen, struct varve_disc *disc,
          const struct varve_cluster_source *source, struct varve_error *err)
{
    const struct varve_disc_identity *identity = varve_disc_identity(disc);
    struct found_set *set = NULL;
    if (!find_set(r, identity, &set, err))
        return false;
    struct member *member = &set->members[identity->index];
    if (member->present) { /* a repaired disc and the one that it replaced: both say the same */
        varve_log(VARVE_LOG_WARNING,
                  "rebuild: discs '%s' and '%s' are both disc %" PRIu32 " of set %" PRIu64,
                  member->barcode.text, seen->barcode.text, identity->index + 1, set->row.id.value);
        return true;
    }
    bool had_crcs = member->has_crcs;
    bool had_manifest = member->has_manifest;
    *member = *seen;
    member->present = member->has_map = true;
    member->has_crcs = had_crcs;
    member->has_manifest = had_manifest;
    member->map = *varve_disc_map(disc);
    member->uuid = identity->disc;
    r->report.discs++;
    if (!save_crcs(r, set, disc, source, identity->index, member->map.clusters, err))
        return false;
    if (identity->index < set->row.data_discs)
        return save_own_manifest(r, set, disc, identity->index, err);
    return take_parity(r, set, disc, source, identity->index, err);
}

struct scanning {
    struct rebuild *rebuild;
    struct member *seen;
};

static bool
scan_disc(void *context, const struct varve_cluster_source *source, struct varve_error *err)
{
    struct scanning *scanning = context;
    struct rebuild *r = scanning->rebuild;
    struct member *seen = scanning->seen;
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *disc = NULL;
    struct varve_error why = {0};
    if (!varve_disc_open(source, &disc, &why)) {
        varve_log(VARVE_LOG_WARNING, "rebuild: '%s' is left out: %s",
                  seen->image != NULL ? seen->image : seen->barcode.text, why.text);
        return add_other(r, seen, VARVE_DISC_FOREIGN, 0, err);
    }
    const struct varve_disc_identity *identity = varve_disc_identity(disc);
    if (!r->has_archive) {
        r->has_archive = true;
        r->archive = identity->archive;
        memcpy(r->name, identity->archive_name, sizeof r->name);
    }
    if (!varve_uuid_equal(&r->archive, &identity->archive)) {
        varve_log(VARVE_LOG_WARNING, "rebuild: '%s' is left out: it belongs to archive '%s'",
                  seen->barcode.text, identity->archive_name);
        return add_other(r, seen, VARVE_DISC_FOREIGN, 0, err);
    }
    return take_disc(r, seen, disc, source, err);
}

/* --- where discs are --- */

static void
barcode_of_image(const char *path, struct varve_barcode *ret)
{
    const char *slash = strrchr(path, '/');
    char stem[VARVE_BARCODE_BYTES];
    (void)snprintf(stem, sizeof stem, "%s", slash != NULL ? slash + 1 : path);
    char *dot = strrchr(stem, '.');
    if (dot != NULL)
        *dot = 0;
    if (!varve_barcode_make(stem, ret))
        (void)varve_barcode_make("unnamed", ret);
}

static bool
scan_images(struct rebuild *r, struct varve_error *err)
{
    for (size_t i = 0; i < r->options->image_count; i++) {
        struct member seen = {.image = r->options->images[i]};
        struct scanning scanning = {r, &seen};
        barcode_of_image(seen.image, &seen.barcode);
        if (r->engine->config->library_count > 0)
            (void)snprintf(seen.library, sizeof seen.library, "%s",
                           r->engine->config->libraries[0].name);
        rebuild_tell(r, i, r->options->image_count, "reading '%s'", seen.image);
        if (!rebuild_with_disc(r, &seen, scan_disc, &scanning, err))
            return varve_error_wrap(err, "'%s'", seen.image);
    }
    return true;
}

static bool
scan_element(struct rebuild *r, size_t library, const struct varve_element *element,
             struct varve_error *err)
{
    struct varve_library *handle = r->engine->libraries[library].library;
    struct member seen = {.barcode = element->barcode};
    struct scanning scanning = {r, &seen};
    struct varve_medium medium;
    struct varve_error why = {0};
    (void)snprintf(seen.library, sizeof seen.library, "%s", r->engine->libraries[library].name);
    if (!varve_library_load(handle, &element->barcode, 0, &why) ||
        !varve_drive_medium(varve_library_drive(handle, 0), &medium, &why)) {
        varve_log(VARVE_LOG_WARNING, "rebuild: disc '%s' is left out: %s", element->barcode.text,
                  why.text);
        return true;
    }
    if (medium.state == VARVE_MEDIUM_BLANK)
        return add_other(r, &seen, VARVE_DISC_BLANK, medium.capacity_clusters, err);
    return rebuild_with_disc(r, &seen, scan_disc, &scanning, err) ||
           varve_error_wrap(err, "disc '%s'", element->barcode.text);
}

/* Everything goes through the first drive; what the last run left in the others goes home. */
static bool
unload_all(struct varve_library *library, struct varve_error *err)
{
    for (unsigned drive = 0; drive < varve_library_drive_count(library); drive++) {
        if (!varve_library_unload(library, drive, err))
            return false;
    }
    return true;
}

static bool
scan_libraries(struct rebuild *r, struct varve_error *err)
{
    for (size_t library = 0; library < r->engine->library_count; library++) {
        VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
        size_t count;
        if (!unload_all(r->engine->libraries[library].library, err))
            return false;
        if (!varve_library_inventory(r->engine->libraries[library].library, true, &elements, &count,
                                     err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (elements[i].full)
                rebuild_tell(r, i, count, "reading disc '%s'", elements[i].barcode.text);
            if (elements[i].full && elements[i].barcode.text[0] != 0 &&
                !scan_element(r, library, &elements[i], err))
                return false;
        }
    }
    return true;
}

bool
rebuild_scan(struct rebuild *r, struct varve_error *err)
{
    return r->options->image_count > 0 ? scan_images(r, err) : scan_libraries(r, err);
}
