/* SPDX-License-Identifier: Apache-2.0 */
#include "disc_internal.h"

#include <inttypes.h>
#include <string.h>
#include <varve/byteorder.h>

#include "anchor.h"
#include "crc_table.h"
#include "record.h"

#define NO_CLUSTER UINT64_MAX

/* The block of one section of crc32c.bin that was asked for last: a scrub or a repair walks all
 * sections in step. */
struct cached_block {
    uint64_t block; /* NO_CLUSTER: none */
    bool valid;
    uint8_t *bytes;
};

struct varve_disc {
    const struct varve_cluster_source *source;
    struct varve_disc_identity identity;
    struct varve_disc_map map;
    struct varve_disc_map *members; /* parity discs */
    struct varve_crc_section sections[VARVE_SET_DISCS_MAX + 1];
    uint32_t section_count;
    struct cached_block *cache; /* one per section */
    uint64_t cluster;           /* in `bytes`: small reads come in rows */
    uint8_t bytes[VARVE_CLUSTER_BYTES];
};

static bool
try_anchor(struct varve_disc *disc, uint64_t lba, struct varve_error *err)
{
    const struct varve_cluster_source *source = disc->source;
    uint64_t cluster = lba / VARVE_CLUSTER_SECTORS;
    if (cluster >= source->clusters)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0, "not a varve disc (too short)");
    return source->read(source->context, cluster, disc->bytes, err) &&
           varve_anchor_decode(&disc->bytes[lba % VARVE_CLUSTER_SECTORS * VARVE_SECTOR_BYTES],
                               &disc->identity, &disc->map, err);
}

/* True if one of the anchors is whole, or says that only a newer program can read the disc
 * (*ret_newer, err set). */
static bool
find_anchor(struct varve_disc *disc, bool *ret_newer, struct varve_error *err)
{
    uint64_t clusters = disc->source->clusters, from_end = VARVE_ANCHOR_CLUSTERS_FROM_END;
    uint64_t third = clusters < from_end ? 0 : (clusters - from_end) * VARVE_CLUSTER_SECTORS;
    const uint64_t places[] = {VARVE_ANCHOR_LBA_FIRST, VARVE_ANCHOR_LBA_SECOND, third};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (try_anchor(disc, places[i], err))
            return true;
        if (err->kind == VARVE_ERROR_INVALID) {
            *ret_newer = true;
            return true;
        }
    }
    return false;
}

static bool
load_from_file_system(struct varve_disc *disc, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer json = {0};
    return varve_disc_find_json(disc->source, &json, err) &&
           varve_disc_json_decode(varve_buffer_string(&json), json.size, &disc->identity,
                                  &disc->map, &disc->members, err);
}

/* Disc.json of a parity disc, where the anchor says it is: the maps of the data discs. No CRC of it
 * can be looked up yet, but JSON that parses and repeats the anchor will do. */
static bool
load_members(struct varve_disc *disc, struct varve_error *err)
{
    const struct varve_extent *extent = &disc->map.disc_json;
    if (extent->bytes == 0 || extent->bytes > VARVE_DISC_JSON_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "disc.json has %" PRIu64 " bytes",
                               extent->bytes);
    VARVE_CLEANUP_FREE uint8_t *text = malloc(extent->bytes);
    VARVE_CLEANUP_FREE struct varve_disc_map *members = NULL;
    struct varve_disc_identity identity;
    struct varve_disc_map map;
    if (text == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "disc.json");
    if (!varve_disc_read_extent(disc, extent, 0, text, extent->bytes, err) ||
        !varve_disc_json_decode(text, extent->bytes, &identity, &map, &members, err))
        return false;
    if (members == NULL || identity.data_discs != disc->identity.data_discs ||
        identity.index != disc->identity.index)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "disc.json contradicts the anchor");
    disc->members = VARVE_TAKE(members);
    return true;
}

/* The same from the header of crc32c.bin: how long the data discs are, not where their tables lie;
 * enough for their CRCs and for repair. */
static bool
load_member_lengths(struct varve_disc *disc, struct varve_error *err)
{
    struct varve_crc_section sections[VARVE_SET_DISCS_MAX + 1];
    struct varve_extent header = {.lba = disc->map.crcs.lba, .bytes = VARVE_CLUSTER_BYTES};
    uint32_t count = 0, members = disc->identity.data_discs;
    VARVE_CLEANUP_FREE uint8_t *block = malloc(VARVE_CLUSTER_BYTES);
    if (block == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a cluster");
    if (!varve_disc_read_extent(disc, &header, 0, block, VARVE_CLUSTER_BYTES, err) ||
        !varve_crc_header_decode(block, sections, &count, err))
        return false;
    if (count != members + 1)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "crc32c.bin contradicts the anchor");
    disc->members = calloc(members, sizeof disc->members[0]);
    if (disc->members == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu32 " members", members);
    for (uint32_t i = 0; i < members; i++)
        disc->members[i].clusters = sections[i].clusters;
    return true;
}

/* What is at hand must agree with itself before anything is computed from it. */
static bool
prepare_tables(struct varve_disc *disc, struct varve_error *err)
{
    disc->section_count =
        varve_crc_sections(&disc->identity, &disc->map, disc->members, disc->sections);
    uint64_t blocks = varve_crc_section_first(disc->sections, disc->section_count);
    if (disc->map.crcs.lba % VARVE_CLUSTER_SECTORS != 0 ||
        disc->map.crcs.bytes != blocks * VARVE_CLUSTER_BYTES)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "crc32c.bin has %" PRIu64 " bytes instead of %" PRIu64,
                               disc->map.crcs.bytes, blocks * VARVE_CLUSTER_BYTES);
    disc->cache = calloc(disc->section_count, sizeof disc->cache[0]);
    if (disc->cache == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "tables");
    for (uint32_t i = 0; i < disc->section_count; i++)
        disc->cache[i].block = NO_CLUSTER;
    return true;
}

static bool
load_disc(struct varve_disc *disc, struct varve_error *err)
{
    bool newer = false;
    struct varve_error anchor = {0};
    bool found = find_anchor(disc, &newer, &anchor);
    if (newer) {
        *err = anchor;
        return false;
    }
    if (!found && !load_from_file_system(disc, err))
        return false;
    bool parity = disc->identity.index >= disc->identity.data_discs;
    if (parity && disc->members == NULL && !load_members(disc, &anchor) &&
        !load_member_lengths(disc, err))
        return false;
    return prepare_tables(disc, err);
}

bool
varve_disc_open(const struct varve_cluster_source *source, struct varve_disc **ret,
                struct varve_error *err)
{
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *disc = calloc(1, sizeof *disc);
    if (disc == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open a disc");
    disc->source = source;
    disc->cluster = NO_CLUSTER;
    if (!load_disc(disc, err))
        return varve_error_wrap(err, "open disc");
    *ret = VARVE_TAKE(disc);
    return true;
}

void
varve_disc_close(struct varve_disc *disc)
{
    if (disc == NULL)
        return;
    for (uint32_t i = 0; disc->cache != NULL && i < disc->section_count; i++)
        free(disc->cache[i].bytes);
    free(disc->cache);
    free(disc->members);
    free(disc);
}

const struct varve_disc_identity *
varve_disc_identity(const struct varve_disc *disc)
{
    return &disc->identity;
}

const struct varve_disc_map *
varve_disc_map(const struct varve_disc *disc)
{
    return &disc->map;
}

const struct varve_disc_map *
varve_disc_members(const struct varve_disc *disc)
{
    return disc->members;
}

/* Block `block` of section `section`, or NULL. What failed once is not tried at every cluster. */
static const uint8_t *
load_block(struct varve_disc *disc, uint32_t section, uint64_t block)
{
    struct cached_block *cached = &disc->cache[section];
    if (cached->block == block)
        return cached->valid ? cached->bytes : NULL;
    if (cached->bytes == NULL && (cached->bytes = malloc(VARVE_CLUSTER_BYTES)) == NULL)
        return NULL;
    uint64_t cluster = disc->map.crcs.lba / VARVE_CLUSTER_SECTORS +
                       varve_crc_section_first(disc->sections, section) + block;
    struct varve_error ignored; /* unreadable: those CRCs are unknown */
    cached->block = block;
    cached->valid = cluster < disc->source->clusters &&
                    disc->source->read(disc->source->context, cluster, cached->bytes, &ignored) &&
                    varve_crc_block_valid(cached->bytes);
    return cached->valid ? cached->bytes : NULL;
}

bool
varve_disc_crc(struct varve_disc *disc, uint32_t index, uint64_t cluster, uint32_t *ret)
{
    uint32_t section = index;
    if (disc->members == NULL || index == disc->identity.index)
        section = disc->section_count - 1;
    if (disc->cache == NULL || section >= disc->section_count ||
        disc->sections[section].disc != index || cluster >= disc->sections[section].covered)
        return false;
    const uint8_t *block = load_block(disc, section, cluster / VARVE_CRC_BLOCK_ENTRIES);
    if (block == NULL)
        return false;
    *ret = varve_get_le32(&block[4 * (cluster % VARVE_CRC_BLOCK_ENTRIES)]);
    return true;
}

bool
varve_disc_read(struct varve_disc *disc, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
                bool *ret_checked, struct varve_error *err)
{
    const struct varve_cluster_source *source = disc->source;
    uint32_t want = 0;
    if (cluster >= source->clusters)
        return varve_error_set(err, VARVE_ERROR_MEDIUM, 0,
                               "cluster %" PRIu64 " is behind the end (%" PRIu64 " clusters)",
                               cluster, source->clusters);
    if (!source->read(source->context, cluster, ret, err))
        return false;
    bool known = varve_disc_crc(disc, disc->identity.index, cluster, &want);
    if (known && varve_crc32c(0, ret, VARVE_CLUSTER_BYTES) != want)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "cluster %" PRIu64 " does not match its checksum", cluster);
    *ret_checked = known;
    return true;
}

bool
varve_disc_read_extent(struct varve_disc *disc, const struct varve_extent *extent, uint64_t offset,
                       uint8_t *ret, size_t size, struct varve_error *err)
{
    if (offset > extent->bytes || size > extent->bytes - offset ||
        extent->lba > (uint64_t)VARVE_IMAGE_CLUSTERS_MAX * VARVE_CLUSTER_SECTORS)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "%zu bytes at %" PRIu64 " of an extent of %" PRIu64, size, offset,
                               extent->bytes);
    uint64_t position = extent->lba * VARVE_SECTOR_BYTES + offset;
    while (size > 0) {
        uint64_t cluster = position / VARVE_CLUSTER_BYTES;
        size_t within = position % VARVE_CLUSTER_BYTES, step = VARVE_CLUSTER_BYTES - within;
        if (step > size)
            step = size;
        bool checked;
        if (cluster != disc->cluster) {
            disc->cluster = NO_CLUSTER;
            if (!varve_disc_read(disc, cluster, disc->bytes, &checked, err))
                return false;
            disc->cluster = cluster;
        }
        memcpy(ret, &disc->bytes[within], step);
        ret += step;
        size -= step;
        position += step;
    }
    return true;
}

/* Decodes the whole lines in `text` and keeps the rest. */
static bool
take_lines(struct varve_manifest *manifest, struct varve_buffer *text, struct varve_error *err)
{
    size_t at = 0;
    const uint8_t *end;
    while (at < text->size && (end = memchr(&text->data[at], '\n', text->size - at)) != NULL) {
        size_t length = (size_t)(end - &text->data[at]);
        struct varve_record record = {0};
        if (!varve_record_decode((const char *)&text->data[at], length, &record, err) ||
            !varve_manifest_add(manifest, &record, err)) {
            varve_record_done(&record);
            return varve_error_wrap(err, "line %zu", manifest->count + 1);
        }
        at += length + 1;
    }
    text->size -= at;
    if (text->size > 0)
        memmove(text->data, &text->data[at], text->size);
    if (text->size > VARVE_RECORD_LINE_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "line %zu: longer than 1 MiB",
                               manifest->count + 1);
    return true;
}

static bool
read_manifest(struct varve_disc *disc, struct varve_manifest *manifest, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    VARVE_CLEANUP_FREE uint8_t *chunk = malloc(VARVE_CLUSTER_BYTES);
    const struct varve_extent *extent = &disc->map.inodes;
    if (chunk == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a cluster");
    for (uint64_t at = 0; at < extent->bytes;) {
        uint64_t left = extent->bytes - at;
        size_t step = left < VARVE_CLUSTER_BYTES ? (size_t)left : VARVE_CLUSTER_BYTES;
        if (!varve_disc_read_extent(disc, extent, at, chunk, step, err))
            return false;
        varve_buffer_append(&text, chunk, step);
        if (!varve_buffer_ok(&text, err) || !take_lines(manifest, &text, err))
            return false;
        at += step;
    }
    if (text.size > 0)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "line %zu: it has no end",
                               manifest->count + 1);
    return true;
}

bool
varve_disc_manifest(struct varve_disc *disc, struct varve_manifest **ret, struct varve_error *err)
{
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = varve_manifest_new();
    if (manifest == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "manifest");
    if (!read_manifest(disc, manifest, err))
        return varve_error_wrap(err, "inodes.jsonl");
    *ret = VARVE_TAKE(manifest);
    return true;
}
