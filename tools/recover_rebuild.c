/* SPDX-License-Identifier: Apache-2.0 */
/* rebuild: missing and damaged discs of each set as image files, proven before they count. */
#include "recover_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <varve/file.h>
#include <varve/text.h>

struct rebuild {
    const struct options *options;
    struct disc_set *set;
    uint32_t index;
    char *path;
    uint32_t crc; /* of all clusters in a row, as written */
};

static bool
write_image(struct rebuild *rebuild, const struct varve_cluster_source *source, int fd,
            struct varve_error *err)
{
    struct progress progress;
    VARVE_CLEANUP_FREE uint8_t *bytes = malloc(VARVE_CLUSTER_BYTES);
    if (bytes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a cluster");
    progress_start(&progress, rebuild->options, "rebuild", source->clusters * VARVE_CLUSTER_BYTES);
    bool ok = true;
    for (uint64_t cluster = 0; ok && cluster < source->clusters; cluster++) {
        ok = source->read(source->context, cluster, bytes, err) &&
             varve_file_pwrite(fd, bytes, VARVE_CLUSTER_BYTES, cluster * VARVE_CLUSTER_BYTES, err);
        rebuild->crc = varve_crc32c(rebuild->crc, bytes, VARVE_CLUSTER_BYTES);
        progress_step(&progress, VARVE_CLUSTER_BYTES);
    }
    progress_clear(&progress);
    return ok && varve_file_sync(fd, rebuild->path, err);
}

/* The bytes on disk are those that were written ... */
static bool
compare_image(const struct rebuild *rebuild, const struct varve_cluster_source *written,
              uint64_t clusters, struct varve_error *err)
{
    VARVE_CLEANUP_FREE uint8_t *bytes = malloc(VARVE_CLUSTER_BYTES);
    uint32_t crc = 0;
    if (bytes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a cluster");
    if (written->clusters != clusters)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "it has not the size it should have");
    for (uint64_t cluster = 0; cluster < clusters; cluster++) {
        if (!written->read(written->context, cluster, bytes, err))
            return false;
        crc = varve_crc32c(crc, bytes, VARVE_CLUSTER_BYTES);
    }
    if (crc != rebuild->crc)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "it does not read back as written");
    return true;
}

/* ... and as a disc, alone, it is whole: its own tables and the digests of its files say so. */
static bool
check_alone(const struct rebuild *rebuild, const struct varve_cluster_source *written,
            struct varve_error *err)
{
    VARVE_CLEANUP(varve_recovery_free) struct varve_recovery *alone = varve_recovery_new();
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
    if (alone == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "check it");
    if (!varve_recovery_add(alone, rebuild->path, written, err))
        return false;
    const struct varve_disc_identity *identity = varve_recovery_set(alone);
    if (identity->index != rebuild->index)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0, "it says that it is disc %" PRIu32,
                               identity->index);
    if (rebuild->index < identity->data_discs &&
        !varve_recovery_manifest(alone, rebuild->index, &manifest, err))
        return false;
    struct disc_set set = {.recovery = alone};
    struct disc_health health;
    struct progress progress;
    progress_start(&progress, rebuild->options, "prove", written->clusters * VARVE_CLUSTER_BYTES);
    bool ok = disc_check(&set, rebuild->index, manifest, &progress, &health, NULL, NULL, err);
    progress_clear(&progress);
    if (ok && (health.damaged > 0 || health.files_damaged > 0))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "%" PRIu64 " clusters and %" PRIu64 " files in it are wrong",
                               health.damaged, health.files_damaged);
    return ok;
}

static bool
prove_image(const struct rebuild *rebuild, uint64_t clusters, struct varve_error *err)
{
    VARVE_CLEANUP(varve_image_file_close) struct varve_image_file *file = NULL;
    if (!varve_image_file_open(rebuild->path, &file, err))
        return false;
    const struct varve_cluster_source *written = varve_image_file_source(file);
    if (!compare_image(rebuild, written, clusters, err) || !check_alone(rebuild, written, err))
        return varve_error_wrap(err, "'%s' was written, but", rebuild->path);
    return true;
}

static bool
rebuild_disc(struct rebuild *rebuild, struct varve_error *err)
{
    const struct varve_cluster_source *source;
    if (!varve_recovery_source(rebuild->set->recovery, rebuild->index, &source, err))
        return false;
    VARVE_CLEANUP_FD int fd =
        open(rebuild->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return varve_error_system(err, errno, "make '%s'", rebuild->path);
    if (write_image(rebuild, source, fd, err) && prove_image(rebuild, source->clusters, err))
        return varve_file_sync_dir(rebuild->options->to, err);
    (void)unlink(rebuild->path); /* a wrong image is worse than none */
    return false;
}

/* Missing, or damaged somewhere. */
static bool
needs_rebuild(const struct rebuild *rebuild, bool *ret, struct varve_error *err)
{
    const struct options *options = rebuild->options;
    const struct input *input = rebuild->set->inputs[rebuild->index];
    *ret = options->has_disc ? options->disc == rebuild->index : input == NULL;
    if (*ret || options->has_disc)
        return true;
    struct disc_health health;
    struct progress progress;
    progress_start(&progress, options, "look for damage",
                   varve_image_file_source(input->file)->clusters * VARVE_CLUSTER_BYTES);
    bool ok = disc_check(rebuild->set, rebuild->index, NULL, &progress, &health, NULL, NULL, err);
    progress_clear(&progress);
    *ret = ok && health.damaged > 0;
    return ok;
}

static void
report(const struct rebuild *rebuild, bool *first)
{
    char text[DISC_TEXT_BYTES];
    if (!rebuild->options->json) {
        printf("%s: written to ", disc_text(rebuild->set, rebuild->index, text));
        print_name(stdout, rebuild->path);
        printf(" and proven\n");
        return;
    }
    json_t *object = json_object();
    (void)json_object_set_new(object, "index", json_integer(rebuild->index));
    json_put_text(object, "image", rebuild->path);
    (void)fputs(*first ? "" : ",", stdout);
    json_print(object);
    *first = false;
}

/* False: it failed, and somebody was told. */
static bool
handle_disc(struct rebuild *rebuild, unsigned *ret_written, bool *first)
{
    char label[LABEL_BYTES], name[LABEL_BYTES + 8], text[DISC_TEXT_BYTES];
    struct varve_error err = {0};
    bool needed = false;
    make_label(varve_recovery_set(rebuild->set->recovery), rebuild->index, label);
    (void)snprintf(name, sizeof name, "%s.img", label);
    VARVE_CLEANUP_FREE char *path = varve_file_join(rebuild->options->to, name);
    rebuild->path = path;
    rebuild->crc = 0;
    bool ok = path != NULL ? needs_rebuild(rebuild, &needed, &err)
                           : varve_error_set(&err, VARVE_ERROR_NOMEM, 0, "no memory");
    if (ok && !needed)
        return true;
    if (ok && rebuild_disc(rebuild, &err)) {
        (*ret_written)++;
        report(rebuild, first);
        return true;
    }
    tell("%s: not rebuilt: %s", disc_text(rebuild->set, rebuild->index, text), err.text);
    return false;
}

int
verb_rebuild(struct discs *discs, const struct options *options, struct varve_error *err)
{
    unsigned written = 0;
    bool good = !discs->refused, first = true;
    if (!varve_file_make_dirs(options->to, 0777, err))
        return RECOVER_FAILED;
    if (options->json)
        printf("{\"rebuilt\":[");
    for (unsigned s = 0; s < discs->set_count; s++) {
        struct disc_set *set = &discs->sets[s];
        const struct varve_disc_identity *identity = varve_recovery_set(set->recovery);
        uint32_t total = identity->data_discs + identity->parity_discs;
        if (options->has_disc && options->disc >= total) {
            (void)varve_error_set(err, VARVE_ERROR_INVALID, 0, "the set has no disc %" PRIu32,
                                  options->disc);
            return RECOVER_FAILED;
        }
        for (uint32_t i = 0; i < total; i++) {
            struct rebuild rebuild = {.options = options, .set = set, .index = i};
            good = handle_disc(&rebuild, &written, &first) && good;
        }
    }
    if (options->json)
        printf("],\"good\":%s}\n", good ? "true" : "false");
    else if (good && written == 0)
        printf("nothing to rebuild: every disc is here and good\n");
    return good ? RECOVER_GOOD : RECOVER_BAD;
}
