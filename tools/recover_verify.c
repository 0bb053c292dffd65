/* SPDX-License-Identifier: Apache-2.0 */
/* verify: every cluster against the CRC tables, every piece of a file against its SHA-256, in one
 * pass over the disc. */
#include "recover_internal.h"

#include <inttypes.h>
#include <string.h>

/* Pieces in the order of the disc, and the one that is being hashed. */
struct hashing {
    const struct varve_record **pieces;
    size_t count, at;
    struct varve_sha256 *sha;
    bool begun, damaged, lost;
    struct disc_health *health;
    health_fn *each;
    void *context;
};

static uint64_t
start_of(const struct varve_record *record)
{
    return record->lba * VARVE_SECTOR_BYTES;
}

static int
compare_pieces(const void *left, const void *right)
{
    const struct varve_record *a = *(const struct varve_record *const *)left;
    const struct varve_record *b = *(const struct varve_record *const *)right;
    return (a->lba > b->lba) - (a->lba < b->lba);
}

static bool
collect_pieces(const struct varve_manifest *manifest, struct hashing *hashing,
               struct varve_error *err)
{
    size_t max = manifest == NULL ? 0 : manifest->count;
    hashing->pieces = calloc(max + 1, sizeof *hashing->pieces);
    if (hashing->pieces == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%zu files", max);
    for (size_t i = 0; i < max; i++) {
        const struct varve_record *record = &manifest->records[i];
        if (record->type == VARVE_RECORD_FILE && record->piece_bytes > 0)
            hashing->pieces[hashing->count++] = record;
    }
    if (hashing->count > 0)
        qsort(hashing->pieces, hashing->count, sizeof *hashing->pieces, compare_pieces);
    return varve_sha256_new(&hashing->sha, err);
}

static void
finish_piece(struct hashing *hashing)
{
    const struct varve_record *record = hashing->pieces[hashing->at++];
    struct varve_digest digest;
    varve_sha256_final(hashing->sha, &digest);
    varve_sha256_reset(hashing->sha);
    bool lost = hashing->lost || !hashing->begun || !varve_digest_equal(&digest, &record->digest);
    hashing->health->files++;
    hashing->health->files_damaged += lost || hashing->damaged;
    hashing->health->files_lost += lost;
    if (hashing->each != NULL && (lost || hashing->damaged))
        hashing->each(hashing->context, record, lost);
    hashing->begun = hashing->damaged = hashing->lost = false;
}

/* The part of each piece that lies in this cluster. */
static void
hash_cluster(struct hashing *hashing, uint64_t cluster, const uint8_t *bytes, bool damaged,
             bool lost)
{
    uint64_t from = cluster * VARVE_CLUSTER_BYTES, to = from + VARVE_CLUSTER_BYTES;
    while (hashing->at < hashing->count) {
        const struct varve_record *record = hashing->pieces[hashing->at];
        uint64_t start = start_of(record);
        if (start >= to)
            return;
        hashing->begun |= start >= from;
        hashing->damaged |= damaged;
        hashing->lost |= lost;
        uint64_t left = record->piece_bytes - (start >= from ? 0 : from - start);
        if (start < from && record->piece_bytes <= from - start)
            left = 0; /* pieces that overlap: no disc of ours has them */
        uint64_t skip = start > from ? start - from : 0;
        uint64_t size = left < VARVE_CLUSTER_BYTES - skip ? left : VARVE_CLUSTER_BYTES - skip;
        if (!lost)
            varve_sha256_update(hashing->sha, bytes + skip, (size_t)size);
        if (left > size)
            return;
        finish_piece(hashing);
    }
}

static void
note_damage(struct disc_health *health, uint64_t cluster)
{
    health->damaged++;
    unsigned count = health->range_count;
    if (count > 0 && health->ranges[count - 1].last + 1 == cluster) {
        health->ranges[count - 1].last = cluster;
    } else if (count < BAD_RANGES_MAX) {
        health->ranges[count].first = health->ranges[count].last = cluster;
        health->range_count++;
    }
}

bool
disc_check(const struct disc_set *set, uint32_t index, const struct varve_manifest *manifest,
           struct progress *progress, struct disc_health *ret, health_fn *each, void *context,
           struct varve_error *err)
{
    const struct varve_cluster_source *source;
    VARVE_CLEANUP_FREE uint8_t *bytes = calloc(1, VARVE_CLUSTER_BYTES);
    struct hashing hashing = {.health = ret, .each = each, .context = context};
    *ret = (struct disc_health){0};
    if (bytes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a cluster");
    bool ok = varve_recovery_source(set->recovery, index, &source, err) &&
              collect_pieces(manifest, &hashing, err);
    for (uint64_t cluster = 0; ok && cluster < source->clusters; cluster++) {
        struct varve_error one = {0};
        uint64_t before = varve_recovery_repaired(set->recovery, index);
        bool lost = !source->read(source->context, cluster, bytes, &one);
        bool damaged = lost || varve_recovery_repaired(set->recovery, index) != before;
        ret->clusters++;
        if (damaged)
            note_damage(ret, cluster);
        ret->lost += lost;
        /* Files decide by their digests: one may be whole in a cluster that is not. */
        bool gone = lost && !read_unrepaired(set, index, cluster, bytes);
        hash_cluster(&hashing, cluster, bytes, damaged && !lost, gone);
        progress_step(progress, VARVE_CLUSTER_BYTES);
    }
    while (ok && hashing.at < hashing.count)
        finish_piece(&hashing); /* behind the end of the image */
    varve_sha256_free(hashing.sha);
    free(hashing.pieces);
    return ok;
}

/* --- the verb --- */

struct verify {
    const struct options *options;
    const struct tree *tree;
    json_t *files; /* of the disc at hand; NULL without --json */
    bool bad;
};

static void
name_file(void *context, const struct varve_record *record, bool lost)
{
    struct verify *verify = context;
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    const struct tree_node *node = tree_find(verify->tree, record->ino);
    if (record->path != NULL)
        varve_buffer_text(&path, record->path);
    else if (node != NULL)
        tree_path(verify->tree, node, 0, &path);
    if (verify->files != NULL) {
        json_t *file = json_object();
        json_put_text(file, "path", varve_buffer_string(&path));
        (void)json_object_set_new(file, "lost", json_boolean(lost));
        (void)json_array_append_new(verify->files, file);
        return;
    }
    printf("  %s: ", lost ? "lost" : "damaged, parity repairs it");
    print_name(stdout, varve_buffer_string(&path));
    (void)putchar('\n');
}

static void
print_ranges(const struct disc_health *health)
{
    if (health->range_count == 0)
        return;
    printf("  clusters");
    for (unsigned i = 0; i < health->range_count; i++) {
        printf("%s %" PRIu64, i > 0 ? "," : "", health->ranges[i].first);
        if (health->ranges[i].last > health->ranges[i].first)
            printf("-%" PRIu64, health->ranges[i].last);
    }
    printf("%s\n", health->range_count == BAD_RANGES_MAX ? ", ..." : "");
}

static json_t *
describe_ranges(const struct disc_health *health)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < health->range_count; i++) {
        json_t *range = json_array();
        (void)json_array_append_new(range, json_integer((json_int_t)health->ranges[i].first));
        (void)json_array_append_new(range, json_integer((json_int_t)health->ranges[i].last));
        (void)json_array_append_new(list, range);
    }
    return list;
}

static void
print_health(const struct verify *verify, const struct disc_set *set, uint32_t index,
             const struct disc_health *health, bool *first)
{
    char text[DISC_TEXT_BYTES];
    if (verify->files != NULL) {
        const struct varve_disc_identity *identity = varve_recovery_set(set->recovery);
        json_t *disc = json_object();
        (void)json_object_set_new(disc, "set", json_integer((json_int_t)identity->set_number));
        (void)json_object_set_new(disc, "index", json_integer(index));
        json_put_text(disc, "image", set->inputs[index]->path);
        (void)json_object_set_new(disc, "clusters", json_integer((json_int_t)health->clusters));
        (void)json_object_set_new(disc, "damaged", json_integer((json_int_t)health->damaged));
        (void)json_object_set_new(disc, "lost", json_integer((json_int_t)health->lost));
        (void)json_object_set_new(disc, "files", json_integer((json_int_t)health->files));
        (void)json_object_set_new(disc, "ranges", describe_ranges(health));
        (void)json_object_set(disc, "bad_files", verify->files);
        (void)fputs(*first ? "" : ",", stdout);
        json_print(disc);
        *first = false;
        return;
    }
    (void)disc_text(set, index, text);
    if (health->damaged == 0 && health->files_damaged == 0)
        printf("%s: good, %" PRIu64 " clusters, %" PRIu64 " files\n", text, health->clusters,
               health->files);
    else
        printf("%s: BAD, %" PRIu64 " of %" PRIu64 " clusters damaged, %s; %" PRIu64 " of %" PRIu64
               " files touched, %" PRIu64 " lost\n",
               text, health->damaged, health->clusters,
               health->lost == 0 ? "the discs at hand can repair them all"
                                 : "not all can be repaired with the discs at hand",
               health->files_damaged, health->files, health->files_lost);
    print_ranges(health);
}

static bool
verify_disc(struct verify *verify, const struct disc_set *set, uint32_t index,
            struct progress *progress, bool *first, struct varve_error *err)
{
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
    struct disc_health health;
    struct varve_error one = {0};
    char text[DISC_TEXT_BYTES];
    if (index < varve_recovery_set(set->recovery)->data_discs &&
        !varve_recovery_manifest(set->recovery, index, &manifest, &one)) {
        tell("%s: %s", disc_text(set, index, text), one.text);
        verify->bad = true;
    }
    if (verify->options->json)
        verify->files = json_array();
    bool ok = disc_check(set, index, manifest, progress, &health, name_file, verify, err);
    progress_clear(progress);
    if (ok)
        print_health(verify, set, index, &health, first);
    verify->bad |= ok && (health.damaged > 0 || health.files_damaged > 0);
    json_decref(verify->files);
    verify->files = NULL;
    return ok;
}

static uint64_t
bytes_given(const struct discs *discs)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < discs->input_count; i++)
        bytes += varve_image_file_source(discs->inputs[i].file)->clusters * VARVE_CLUSTER_BYTES;
    return bytes;
}

int
verb_verify(struct discs *discs, const struct options *options, struct varve_error *err)
{
    struct tree tree;
    struct progress progress;
    bool ok = tree_make(discs, &tree, err), first = true;
    struct verify verify = {.options = options, .tree = &tree};
    progress_start(&progress, options, "verify", bytes_given(discs));
    if (ok && options->json)
        printf("{\"discs\":[");
    for (unsigned s = 0; ok && s < discs->set_count; s++) {
        const struct disc_set *set = &discs->sets[s];
        for (uint32_t i = 0; ok && i < VARVE_SET_DISCS_MAX; i++) {
            if (set->inputs[i] != NULL)
                ok = verify_disc(&verify, set, i, &progress, &first, err);
        }
    }
    bool good = ok && !verify.bad && !discs->refused;
    if (ok && options->json)
        printf("],\"good\":%s}\n", good ? "true" : "false");
    else if (ok && verify.bad)
        printf("`varve-recover rebuild --to DIR` with all discs of the set writes whole copies\n");
    tree_done(&tree);
    if (!ok)
        return RECOVER_FAILED;
    return good ? RECOVER_GOOD : RECOVER_BAD;
}
