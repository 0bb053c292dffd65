/* SPDX-License-Identifier: Apache-2.0 */
#include "disc_internal.h"

#include <string.h>
#include <udfread/blockinput.h>
#include <udfread/udfread.h>

#include "anchor.h"

/* libudfread reads blocks; one cluster is kept, since its neighbours are asked for next. `input` is
 * first, so that the library's pointer is ours. */
struct block_input {
    udfread_block_input input;
    const struct varve_cluster_source *source;
    uint64_t cluster; /* in `bytes`; UINT64_MAX: none */
    uint8_t bytes[VARVE_CLUSTER_BYTES];
};

static bool
load_cluster(struct block_input *blocks, uint64_t cluster)
{
    struct varve_error ignored; /* the library only knows that a block cannot be read */
    if (blocks->cluster == cluster)
        return true;
    blocks->cluster = UINT64_MAX;
    if (cluster >= blocks->source->clusters ||
        !blocks->source->read(blocks->source->context, cluster, blocks->bytes, &ignored))
        return false;
    blocks->cluster = cluster;
    return true;
}

static int
read_blocks(udfread_block_input *input, uint32_t lba, void *ret, uint32_t count, int flags)
{
    struct block_input *blocks = (struct block_input *)input;
    uint8_t *to = ret;
    (void)flags;
    uint32_t i = 0;
    for (; i < count && i < INT32_MAX; i++) {
        uint64_t at = (uint64_t)lba + i;
        if (!load_cluster(blocks, at / VARVE_CLUSTER_SECTORS))
            break;
        memcpy(&to[(size_t)i * VARVE_SECTOR_BYTES],
               &blocks->bytes[at % VARVE_CLUSTER_SECTORS * VARVE_SECTOR_BYTES], VARVE_SECTOR_BYTES);
    }
    return i == 0 ? -1 : (int)i;
}

static uint32_t
count_blocks(udfread_block_input *input)
{
    const struct block_input *blocks = (const struct block_input *)input;
    uint64_t sectors = blocks->source->clusters * VARVE_CLUSTER_SECTORS;
    return sectors > UINT32_MAX ? UINT32_MAX : (uint32_t)sectors;
}

static bool
read_json(udfread *udf, struct varve_buffer *ret, struct varve_error *err)
{
    UDFFILE *file = udfread_file_open(udf, "/varve/disc.json");
    if (file == NULL)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "a UDF volume, but not a varve disc");
    uint8_t chunk[VARVE_SECTOR_BYTES];
    ssize_t got = 0;
    while (ret->size <= VARVE_DISC_JSON_BYTES_MAX &&
           (got = udfread_file_read(file, chunk, sizeof chunk)) > 0)
        varve_buffer_append(ret, chunk, (size_t)got);
    udfread_file_close(file);
    if (got < 0)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0, "disc.json cannot be read");
    return varve_buffer_ok(ret, err);
}

bool
varve_disc_find_json(const struct varve_cluster_source *source, struct varve_buffer *ret,
                     struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct block_input *blocks = calloc(1, sizeof *blocks);
    udfread *udf = udfread_init();
    if (blocks == NULL || udf == NULL) {
        udfread_close(udf);
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "reader of file systems");
    }
    blocks->input = (udfread_block_input){.read = read_blocks, .size = count_blocks};
    blocks->source = source;
    blocks->cluster = UINT64_MAX;
    bool done = udfread_open_input(udf, &blocks->input) >= 0
                    ? read_json(udf, ret, err)
                    : varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                                      "not a varve disc (no anchor, no UDF volume)");
    udfread_close(udf);
    return done;
}
