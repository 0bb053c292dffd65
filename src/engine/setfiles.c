/* SPDX-License-Identifier: Apache-2.0 */
/* What the archive's folder keeps of a set: manifests and CRC tables, and staged parity while it is
 * burned. */
#include "engine_internal.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <varve/byteorder.h>

static const uint64_t manifest_bytes_max = UINT64_C(4) << 30;
static const uint64_t crcs_bytes_max = UINT64_C(256) << 20;

char *
set_dir(const struct varve_engine *engine, const struct varve_set *set)
{
    char uuid[VARVE_UUID_TEXT_BYTES];
    char *path = NULL;
    varve_uuid_format(&set->uuid, uuid);
    return asprintf(&path, "%s/sets/%s", engine->dir, uuid) < 0 ? NULL : path;
}

char *
set_file(const struct varve_engine *engine, const struct varve_set *set, uint32_t index,
         const char *suffix)
{
    VARVE_CLEANUP_FREE char *dir = set_dir(engine, set);
    char *path = NULL;
    if (dir == NULL || asprintf(&path, "%s/disc-%03" PRIu32 ".%s", dir, index, suffix) < 0)
        return NULL;
    return path;
}

char *
parity_file(const struct varve_engine *engine, const struct varve_set *set, uint32_t index)
{
    char uuid[VARVE_UUID_TEXT_BYTES];
    char *path = NULL;
    varve_uuid_format(&set->uuid, uuid);
    if (asprintf(&path, "%s/%s-p%03" PRIu32, varve_store_staging(engine->store), uuid, index) < 0)
        return NULL;
    return path;
}

bool
manifest_save(const char *path, const struct varve_manifest *manifest, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    varve_manifest_encode(manifest, &text);
    return varve_buffer_ok(&text, err) &&
           varve_file_replace(path, varve_buffer_string(&text), text.size, err);
}

bool
manifest_load(const char *path, struct varve_manifest **ret, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    if (!varve_file_read(path, manifest_bytes_max, &text, err))
        return false;
    if (!varve_manifest_decode(varve_buffer_string(&text), text.size, ret, err))
        return varve_error_wrap(err, "'%s'", path);
    return true;
}

bool
crcs_save(const char *path, const uint32_t *crcs, uint64_t count, struct varve_error *err)
{
    size_t size = ((size_t)count + 1) * 4;
    VARVE_CLEANUP_FREE uint8_t *bytes = malloc(size);
    if (bytes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "save '%s'", path);
    for (uint64_t i = 0; i < count; i++)
        varve_put_le32(&bytes[i * 4], crcs[i]);
    varve_put_le32(&bytes[count * 4], varve_crc32c(0, bytes, (size_t)count * 4));
    return varve_file_replace(path, bytes, size, err);
}

bool
crcs_load(const char *path, uint32_t **ret, uint64_t *ret_count, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer bytes = {0};
    if (!varve_file_read(path, crcs_bytes_max, &bytes, err))
        return false;
    if (bytes.size < 4 || bytes.size % 4 != 0 ||
        varve_get_le32(&bytes.data[bytes.size - 4]) != varve_crc32c(0, bytes.data, bytes.size - 4))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is damaged", path);
    uint64_t count = bytes.size / 4 - 1;
    uint32_t *crcs = malloc(count == 0 ? 1 : (size_t)count * sizeof *crcs);
    if (crcs == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "load '%s'", path);
    for (uint64_t i = 0; i < count; i++)
        crcs[i] = varve_get_le32(&bytes.data[i * 4]);
    *ret = crcs;
    *ret_count = count;
    return true;
}

/* SHA-256 of parity.bin, which the SHA256SUMS of a parity disc names. */
bool
parity_digest_save(const struct varve_engine *engine, const struct varve_set *set, uint32_t index,
                   const struct varve_digest *digest, struct varve_error *err)
{
    char text[VARVE_SHA256_HEX_BYTES];
    VARVE_CLEANUP_FREE char *path = set_file(engine, set, index, "sha256");
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "save parity digest");
    varve_digest_format(digest, text);
    return varve_file_replace(path, text, strlen(text), err);
}

bool
parity_digest_load(const struct varve_engine *engine, const struct varve_set *set, uint32_t index,
                   struct varve_digest *ret, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    VARVE_CLEANUP_FREE char *path = set_file(engine, set, index, "sha256");
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "load parity digest");
    if (!varve_file_read(path, VARVE_SHA256_HEX_BYTES, &text, err))
        return false;
    return varve_digest_parse(varve_buffer_string(&text), ret) ||
           varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is damaged", path);
}

/* Where everything is on each data disc: parity discs say it too, and one that is lost must be made
 * again. */
bool
maps_save(const struct varve_engine *engine, const struct varve_set *set,
          const struct varve_disc_map *maps, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    VARVE_CLEANUP_FREE char *path = set_file(engine, set, 0, "maps");
    for (uint32_t i = 0; i < set->data_discs; i++) {
        const struct varve_disc_map *m = &maps[i];
        varve_buffer_printf(&text,
                            "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                            " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                            m->clusters, m->disc_json.lba, m->disc_json.bytes, m->inodes.lba,
                            m->inodes.bytes, m->sums.lba, m->sums.bytes, m->crcs.lba,
                            m->crcs.bytes);
    }
    if (path == NULL || !varve_buffer_ok(&text, err))
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "save maps");
    return varve_file_replace(path, varve_buffer_string(&text), text.size, err);
}

bool
maps_load(const struct varve_engine *engine, const struct varve_set *set,
          struct varve_disc_map *ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = set_file(engine, set, 0, "maps");
    VARVE_CLEANUP_STREAM FILE *file = path != NULL ? fopen(path, "re") : NULL;
    if (file == NULL)
        return varve_error_system(err, errno, "open '%s'", path != NULL ? path : "maps");
    for (uint32_t i = 0; i < set->data_discs; i++) {
        struct varve_disc_map *m = &ret[i];
        *m = (struct varve_disc_map){0};
        if (fscanf(file,
                   "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                   " %" SCNu64 " %" SCNu64 " %" SCNu64,
                   &m->clusters, &m->disc_json.lba, &m->disc_json.bytes, &m->inodes.lba,
                   &m->inodes.bytes, &m->sums.lba, &m->sums.bytes, &m->crcs.lba,
                   &m->crcs.bytes) != 9)
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is damaged", path);
    }
    return true;
}

/* The image at a position of a set always has the same UUID, whichever blank it is burned on:
 * derived, so that it needs no row of its own (RFC 9562, version 8). */
struct varve_uuid
member_uuid(const struct varve_uuid *set, uint32_t index)
{
    uint8_t seed[20];
    struct varve_digest digest;
    struct varve_uuid uuid;
    memcpy(seed, set->bytes, 16);
    varve_put_le32(&seed[16], index);
    varve_sha256_of(seed, sizeof seed, &digest);
    memcpy(uuid.bytes, digest.bytes, sizeof uuid.bytes);
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0F) | 0x80);
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3F) | 0x80);
    return uuid;
}

void
set_files_remove(const struct varve_engine *engine, const struct varve_set *set, bool keep_crcs)
{
    /* What cannot be removed now is found by the next sweep: nothing refers to it any more. */
    for (uint32_t index = 0; index < set->data_discs + set->parity_discs; index++) {
        VARVE_CLEANUP_FREE char *manifest = set_file(engine, set, index, "jsonl");
        VARVE_CLEANUP_FREE char *crcs = set_file(engine, set, index, "crc");
        VARVE_CLEANUP_FREE char *parity = parity_file(engine, set, index);
        VARVE_CLEANUP_FREE char *digest = set_file(engine, set, index, "sha256");
        if (digest != NULL && !keep_crcs)
            (void)unlink(digest);
        if (manifest != NULL)
            (void)unlink(manifest);
        if (crcs != NULL && !keep_crcs)
            (void)unlink(crcs);
        if (parity != NULL && index >= set->data_discs)
            (void)unlink(parity);
    }
    VARVE_CLEANUP_FREE char *maps = set_file(engine, set, 0, "maps");
    if (maps != NULL && !keep_crcs)
        (void)unlink(maps);
    VARVE_CLEANUP_FREE char *dir = set_dir(engine, set);
    if (dir != NULL && !keep_crcs)
        (void)rmdir(dir);
}

void
set_files_trim(const struct varve_engine *engine, const struct varve_set *set)
{
    for (uint32_t index = 0; index < set->data_discs; index++) {
        VARVE_CLEANUP_FREE char *manifest = set_file(engine, set, index, "jsonl");
        if (manifest != NULL)
            (void)unlink(manifest);
    }
}
