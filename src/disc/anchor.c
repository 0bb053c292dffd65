/* SPDX-License-Identifier: Apache-2.0 */
#include "anchor.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <varve/byteorder.h>
#include <varve/checksum.h>

#include "encoding.h"
#include "names.h"

#define ANCHOR_TEXT_BYTES (VARVE_SECTOR_BYTES - 4)

void
varve_label_make(const struct varve_disc_identity *identity, uint32_t index,
                 char ret[VARVE_LABEL_BYTES])
{
    enum { LABEL_CS0_BYTES = 31 }; /* of the 32 of the volume's d-string */
    char name[VARVE_UDF_NAME_BYTES_MAX + 1], tail[40];
    uint8_t coded[LABEL_CS0_BYTES];
    int tail_bytes =
        snprintf(tail, sizeof tail, "-%04" PRIu64 "-%03" PRIu32, identity->set_number, index);
    assert(tail_bytes > 0 && tail_bytes < LABEL_CS0_BYTES - 1); /* 19 digits and 3 */
    struct varve_name_wish wish = {
        .name = identity->archive_name[0] == 0 ? "varve" : identity->archive_name,
        .mark = "",
        .tail = "",
        .bytes_max = (size_t)(LABEL_CS0_BYTES - 1 - tail_bytes),
        .whole = true,
    };
    size_t size = varve_name_make(&wish, name);
    while (true) {
        int length = snprintf(ret, VARVE_LABEL_BYTES, "%.*s%s", (int)size, name, tail);
        if (size == 0 || varve_cs0_encode(ret, (size_t)length, sizeof coded, coded) != 0)
            return;
        do /* wide characters take two bytes each */
            size--;
        while (size > 0 && ((uint8_t)name[size] & 0xC0) == 0x80);
    }
}

static void
put_uuid(struct varve_buffer *ret, const char *key, const struct varve_uuid *uuid)
{
    char text[VARVE_UUID_TEXT_BYTES];
    varve_uuid_format(uuid, text);
    varve_buffer_printf(ret, "\"%s\":\"%s\",\n", key, text);
}

static void
put_extent(struct varve_buffer *ret, const char *key, const struct varve_extent *extent)
{
    varve_buffer_printf(ret, ",\n\"%s\":{\"lba\":%10" PRIu64 ",\"bytes\":%16" PRIu64 "}", key,
                        extent->lba, extent->bytes);
}

static void
put_map(struct varve_buffer *ret, const struct varve_disc_map *map)
{
    varve_buffer_printf(ret, "\"clusters\":%10" PRIu64, map->clusters);
    put_extent(ret, "disc_json", &map->disc_json);
    put_extent(ret, "inodes", &map->inodes);
    put_extent(ret, "sums", &map->sums);
    put_extent(ret, "crcs", &map->crcs);
    put_extent(ret, "parity", &map->parity);
}

static void
put_common(struct varve_buffer *ret, const struct varve_disc_identity *identity,
           const struct varve_disc_map *map)
{
    varve_buffer_printf(ret, "{\"varve_disc\":%d,\n", VARVE_FORMAT_VERSION);
    put_uuid(ret, "archive", &identity->archive);
    varve_json_text(ret, "archive_name", identity->archive_name);
    varve_buffer_text(ret, ",\n");
    put_uuid(ret, "set", &identity->set);
    put_uuid(ret, "disc", &identity->disc);
    varve_buffer_printf(ret,
                        "\"set_number\":%" PRIu64 ",\n\"data_discs\":%" PRIu32
                        ",\n\"parity_discs\":%" PRIu32 ",\n\"index\":%" PRIu32
                        ",\n\"created\":%" PRId64 ",\n",
                        identity->set_number, identity->data_discs, identity->parity_discs,
                        identity->index, identity->created_ns);
    put_map(ret, map);
}

bool
varve_anchor_encode(const struct varve_disc_identity *identity, const struct varve_disc_map *map,
                    uint8_t ret[VARVE_SECTOR_BYTES], struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    put_common(&text, identity, map);
    varve_buffer_text(&text, "}\n");
    if (!varve_buffer_ok(&text, err))
        return false;
    assert(text.size < ANCHOR_TEXT_BYTES); /* names are bounded by the identity: half is the most */
    memset(ret, ' ', ANCHOR_TEXT_BYTES);
    memcpy(ret, text.data, text.size);
    ret[ANCHOR_TEXT_BYTES - 1] = '\n';
    varve_put_le32(&ret[ANCHOR_TEXT_BYTES], varve_crc32c(0, ret, ANCHOR_TEXT_BYTES));
    return true;
}

static void
put_labels(struct varve_buffer *ret, const struct varve_disc_identity *identity)
{
    varve_buffer_text(ret, ",\n\"discs\":[");
    for (uint32_t i = 0; i < identity->data_discs + identity->parity_discs; i++) {
        char label[VARVE_LABEL_BYTES];
        varve_label_make(identity, i, label);
        varve_buffer_text(ret, i == 0 ? "\n{" : ",\n{");
        varve_json_text(ret, "label", label);
        varve_buffer_text(ret, "}");
    }
    varve_buffer_text(ret, "]");
}

void
varve_disc_json_encode(const struct varve_disc_identity *identity, const struct varve_disc_map *map,
                       const struct varve_disc_map *members, struct varve_buffer *ret)
{
    put_common(ret, identity, map);
    varve_buffer_printf(ret, ",\n\"sector_bytes\":%u,\n\"cluster_bytes\":%u", VARVE_SECTOR_BYTES,
                        VARVE_CLUSTER_BYTES);
    varve_buffer_text(ret, ",\n\"parity_code\":\"Reed-Solomon, GF(2^8) polynomial 0x11D, "
                           "Cauchy: element (row i, column j) = 1 / (i xor j)\"");
    put_labels(ret, identity);
    if (members != NULL) {
        varve_buffer_text(ret, ",\n\"members\":[");
        for (uint32_t i = 0; i < identity->data_discs; i++) {
            varve_buffer_text(ret, i == 0 ? "\n{" : ",\n{");
            put_map(ret, &members[i]);
            varve_buffer_text(ret, "}");
        }
        varve_buffer_text(ret, "]");
    }
    varve_buffer_text(ret, "\n}\n");
}

static bool
get_uuid(const json_t *object, const char *key, struct varve_uuid *ret, struct varve_error *err)
{
    const char *text = varve_json_string(object, key);
    if (text != NULL && varve_uuid_parse(text, ret))
        return true;
    return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is no UUID", key);
}

static bool
get_extent(const json_t *object, const char *key, uint64_t clusters, struct varve_extent *ret,
           struct varve_error *err)
{
    const json_t *extent = json_object_get(object, key);
    uint64_t sectors = clusters * VARVE_CLUSTER_SECTORS;
    if (!json_is_object(extent))
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "'%s' is missing", key);
    if (!varve_json_u64(extent, "lba", sectors, &ret->lba, err) ||
        !varve_json_u64(extent, "bytes", (sectors - ret->lba) * VARVE_SECTOR_BYTES, &ret->bytes,
                        err))
        return varve_error_wrap(err, "'%s'", key);
    return true;
}

static bool
get_map(const json_t *object, struct varve_disc_map *ret, struct varve_error *err)
{
    if (!varve_json_u64(object, "clusters", VARVE_IMAGE_CLUSTERS_MAX, &ret->clusters, err))
        return false;
    return get_extent(object, "disc_json", ret->clusters, &ret->disc_json, err) &&
           get_extent(object, "inodes", ret->clusters, &ret->inodes, err) &&
           get_extent(object, "sums", ret->clusters, &ret->sums, err) &&
           get_extent(object, "crcs", ret->clusters, &ret->crcs, err) &&
           get_extent(object, "parity", ret->clusters, &ret->parity, err);
}

static bool
get_set(const json_t *object, struct varve_disc_identity *ret, struct varve_error *err)
{
    if (!varve_json_u64(object, "set_number", INT64_MAX, &ret->set_number, err) ||
        !varve_json_u32(object, "data_discs", &ret->data_discs, err) ||
        !varve_json_u32(object, "parity_discs", &ret->parity_discs, err) ||
        !varve_json_u32(object, "index", &ret->index, err) ||
        !varve_json_i64(object, "created", &ret->created_ns, err))
        return false;
    uint64_t discs = (uint64_t)ret->data_discs + ret->parity_discs;
    if (ret->data_discs == 0 || discs > VARVE_SET_DISCS_MAX || ret->index >= discs)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "disc %" PRIu32 " of %" PRIu32 "+%" PRIu32 " is impossible",
                               ret->index, ret->data_discs, ret->parity_discs);
    return true;
}

static bool
get_identity(const json_t *object, struct varve_disc_identity *ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *name = NULL;
    if (!get_uuid(object, "archive", &ret->archive, err) ||
        !get_uuid(object, "set", &ret->set, err) || !get_uuid(object, "disc", &ret->disc, err) ||
        !varve_json_text_get(object, "archive_name", sizeof ret->archive_name - 1, &name, err))
        return false;
    memcpy(ret->archive_name, name, strlen(name) + 1);
    return get_set(object, ret, err);
}

/* The object if it is one of ours, of a version that is understood. */
static bool
load(const char *text, size_t size, json_t **ret, struct varve_error *err)
{
    json_error_t trouble;
    VARVE_CLEANUP_JSON json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &trouble);
    if (object == NULL)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "not JSON: %s", trouble.text);
    uint64_t version = 0;
    struct varve_error ignored;
    if (!varve_json_u64(object, "varve_disc", INT64_MAX, &version, &ignored) || version == 0)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0, "not a varve disc");
    if (version > VARVE_FORMAT_VERSION)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "disc of format version %" PRIu64
                               ", newer than this program knows (%d)",
                               version, VARVE_FORMAT_VERSION);
    *ret = VARVE_TAKE(object);
    return true;
}

bool
varve_anchor_decode(const uint8_t block[VARVE_SECTOR_BYTES],
                    struct varve_disc_identity *ret_identity, struct varve_disc_map *ret_map,
                    struct varve_error *err)
{
    if (memcmp(block, "{\"varve_disc\":", 14) != 0 ||
        varve_crc32c(0, block, ANCHOR_TEXT_BYTES) != varve_get_le32(&block[ANCHOR_TEXT_BYTES]))
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0, "no anchor of a varve disc");
    VARVE_CLEANUP_JSON json_t *object = NULL;
    struct varve_disc_identity identity = {0};
    struct varve_disc_map map = {0};
    if (!load((const char *)block, ANCHOR_TEXT_BYTES, &object, err))
        return false;
    if (!get_identity(object, &identity, err) || !get_map(object, &map, err))
        return varve_error_wrap(err, "anchor");
    *ret_identity = identity;
    *ret_map = map;
    return true;
}

static bool
get_members(const json_t *object, uint32_t count, struct varve_disc_map **ret,
            struct varve_error *err)
{
    const json_t *list = json_object_get(object, "members");
    if (!json_is_array(list) || json_array_size(list) != count)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "'members' does not list %" PRIu32 " data discs", count);
    VARVE_CLEANUP_FREE struct varve_disc_map *members = calloc(count, sizeof *members);
    if (members == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu32 " members", count);
    for (uint32_t i = 0; i < count; i++) {
        if (!get_map(json_array_get(list, i), &members[i], err))
            return varve_error_wrap(err, "member %" PRIu32, i);
    }
    *ret = VARVE_TAKE(members);
    return true;
}

bool
varve_disc_json_decode(const void *text, size_t size, struct varve_disc_identity *ret_identity,
                       struct varve_disc_map *ret_map, struct varve_disc_map **ret_members,
                       struct varve_error *err)
{
    VARVE_CLEANUP_JSON json_t *object = NULL;
    struct varve_disc_identity identity = {0};
    struct varve_disc_map map = {0}, *members = NULL;
    if (size > VARVE_DISC_JSON_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "disc.json: longer than 1 MiB");
    if (!load(text, size, &object, err) || !get_identity(object, &identity, err) ||
        !get_map(object, &map, err))
        return varve_error_wrap(err, "disc.json");
    if (identity.index >= identity.data_discs &&
        !get_members(object, identity.data_discs, &members, err))
        return varve_error_wrap(err, "disc.json");
    *ret_identity = identity;
    *ret_map = map;
    *ret_members = members;
    return true;
}
