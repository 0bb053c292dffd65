/* SPDX-License-Identifier: Apache-2.0 */
#include "disc_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <udfread/blockinput.h>
#include <udfread/udfread.h>

#include "encoding.h"

static void
must(bool done, const struct varve_error *err)
{
    if (done)
        return;
    (void)fprintf(stderr, "fixture: %s\n", err->text);
    abort();
}

struct varve_disc_identity
fixture_identity(uint32_t data_discs, uint32_t parity_discs, uint32_t index)
{
    struct varve_disc_identity identity = {.archive_name = "fixture",
                                           .set_number = 7,
                                           .data_discs = data_discs,
                                           .parity_discs = parity_discs,
                                           .index = index,
                                           .created_ns = INT64_C(1700000000123456789)};
    memset(identity.archive.bytes, 0xA0, sizeof identity.archive.bytes);
    memset(identity.set.bytes, 0x50, sizeof identity.set.bytes);
    memset(identity.disc.bytes, 0xD0, sizeof identity.disc.bytes);
    identity.disc.bytes[0] = (uint8_t)index;
    return identity;
}

static uint32_t
mode_of(enum varve_record_type type)
{
    switch (type) {
    case VARVE_RECORD_FILE:
        return S_IFREG | 0640;
    case VARVE_RECORD_DIRECTORY:
        return S_IFDIR | 0755;
    case VARVE_RECORD_SYMLINK:
        return S_IFLNK | 0777;
    case VARVE_RECORD_SPECIAL:
        return S_IFIFO | 0600;
    case VARVE_RECORD_DELETED:
        return 0;
    }
    return 0;
}

struct varve_record
fixture_record(enum varve_record_type type, uint64_t ino, uint64_t size)
{
    struct varve_record record = {
        .type = type, .ino = ino, .mode = mode_of(type), .ctime_ns = INT64_C(1600000000000000003)};
    if (type == VARVE_RECORD_DELETED)
        return record;
    record.uid = 1000;
    record.gid = 100;
    record.size = size;
    record.atime_ns = INT64_C(1600000000000000001);
    record.mtime_ns = -INT64_C(1600000000000000002);
    record.btime_ns = INT64_C(1600000000000000004);
    if (type == VARVE_RECORD_FILE) {
        record.content = ino + 100;
        record.version = 1;
        record.parts = 1;
        record.piece_bytes = size;
    }
    return record;
}

void
fixture_name(struct varve_record *record, uint64_t parent, const char *name)
{
    struct varve_error err = {0};
    must(varve_record_add_name(record, parent, name, &err), &err);
}

void
fixture_add(struct varve_manifest *manifest, struct varve_record *record)
{
    struct varve_error err = {0};
    must(varve_manifest_add(manifest, record, &err), &err);
}

void
fixture_directory(struct varve_manifest *manifest, uint64_t ino, uint64_t parent, const char *name)
{
    struct varve_record record = fixture_record(VARVE_RECORD_DIRECTORY, ino, 0);
    fixture_name(&record, parent, name);
    fixture_add(manifest, &record);
}

void
fixture_file(struct varve_manifest *manifest, uint64_t ino, uint64_t parent, const char *name,
             uint64_t bytes)
{
    struct varve_record record = fixture_record(VARVE_RECORD_FILE, ino, bytes);
    fixture_name(&record, parent, name);
    fixture_add(manifest, &record);
}

uint8_t
fixture_byte(size_t record, uint64_t offset)
{
    return (uint8_t)(record * 37 + offset * 7 + (offset >> 8) + (offset >> 16));
}

static bool
read_pattern(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
             struct varve_error *err)
{
    (void)context, (void)err;
    for (size_t i = 0; i < size; i++)
        ret[i] = fixture_byte(record, offset + i);
    return true;
}

const struct varve_image_source fixture_source = {.read = read_pattern};

static bool
read_disc(void *context, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
          struct varve_error *err)
{
    const struct fixture_disc *disc = context;
    if (cluster >= disc->source.clusters || (cluster >= disc->bad_from && cluster < disc->bad_to))
        return varve_error_set(err, VARVE_ERROR_MEDIUM, 0, "cluster %" PRIu64 " is unreadable",
                               cluster);
    memcpy(ret, &disc->bytes[cluster * VARVE_CLUSTER_BYTES], VARVE_CLUSTER_BYTES);
    return true;
}

static void
allocate(struct fixture_disc *ret, uint64_t clusters)
{
    struct varve_error err = {.text = "out of memory"};
    *ret = (struct fixture_disc){.clusters = clusters};
    ret->bytes = calloc(clusters, VARVE_CLUSTER_BYTES);
    must(ret->bytes != NULL, &err);
    ret->source =
        (struct varve_cluster_source){.context = ret, .clusters = clusters, .read = read_disc};
}

void
fixture_render(struct varve_image *image, const struct varve_image_source *source,
               struct fixture_disc *ret)
{
    struct varve_error err = {0};
    allocate(ret, varve_image_map(image)->clusters);
    for (uint64_t i = 0; i < ret->clusters; i++)
        must(varve_image_render(image, i, source, &ret->bytes[i * VARVE_CLUSTER_BYTES], &err),
             &err);
}

void
fixture_disc_done(struct fixture_disc *disc)
{
    free(disc->bytes);
    disc->bytes = NULL;
}

struct udf_input {
    udfread_block_input input;
    const struct fixture_disc *disc;
};

static int
read_blocks(udfread_block_input *input, uint32_t lba, void *ret, uint32_t count, int flags)
{
    const struct fixture_disc *disc = ((struct udf_input *)input)->disc;
    (void)flags;
    if ((uint64_t)lba + count > disc->clusters * VARVE_CLUSTER_SECTORS)
        return -1;
    memcpy(ret, &disc->bytes[(size_t)lba * VARVE_SECTOR_BYTES], (size_t)count * VARVE_SECTOR_BYTES);
    return (int)count;
}

static uint32_t
count_blocks(udfread_block_input *input)
{
    return (uint32_t)(((struct udf_input *)input)->disc->clusters * VARVE_CLUSTER_SECTORS);
}

bool
fixture_udf_read(const struct fixture_disc *disc, const char *path, struct varve_buffer *ret)
{
    struct udf_input input = {.input = {.read = read_blocks, .size = count_blocks}, .disc = disc};
    udfread *udf = udfread_init();
    UDFFILE *file = NULL;
    uint8_t chunk[4096];
    ssize_t got = -1;
    if (udf != NULL && udfread_open_input(udf, &input.input) >= 0)
        file = udfread_file_open(udf, path);
    while (file != NULL && (got = udfread_file_read(file, chunk, sizeof chunk)) > 0)
        varve_buffer_append(ret, chunk, (size_t)got);
    udfread_file_close(file);
    udfread_close(udf);
    return got == 0;
}

void
fixture_store_golden(const struct fixture_disc *disc, const char *path)
{
    VARVE_CLEANUP_STREAM FILE *file = fopen(path, "w");
    struct varve_error err = {.text = "golden file"};
    must(file != NULL, &err);
    (void)fprintf(file, "%" PRIu64 "\n", disc->clusters);
    for (uint64_t i = 0; i < disc->clusters * VARVE_CLUSTER_SECTORS; i++) {
        VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
        size_t used = VARVE_SECTOR_BYTES;
        const uint8_t *sector = &disc->bytes[i * VARVE_SECTOR_BYTES];
        while (used > 0 && sector[used - 1] == 0)
            used--;
        if (used == 0)
            continue;
        varve_base64_append(&text, sector, used);
        (void)fprintf(file, "%" PRIu64 " %s\n", i, varve_buffer_string(&text));
    }
}

bool
fixture_load_golden(const char *path, struct fixture_disc *ret)
{
    VARVE_CLEANUP_STREAM FILE *file = fopen(path, "r");
    char line[4096];
    uint64_t clusters = 0, lba = 0;
    if (file == NULL || fgets(line, sizeof line, file) == NULL ||
        sscanf(line, "%" SCNu64, &clusters) != 1)
        return false;
    allocate(ret, clusters);
    while (fgets(line, sizeof line, file) != NULL) {
        VARVE_CLEANUP_BUFFER struct varve_buffer bytes = {0};
        char *text = strchr(line, ' ');
        if (text == NULL || sscanf(line, "%" SCNu64, &lba) != 1 ||
            lba >= clusters * VARVE_CLUSTER_SECTORS)
            return false;
        text++;
        text[strcspn(text, "\n")] = 0;
        if (!varve_base64_decode(text, strlen(text), &bytes) || bytes.size > VARVE_SECTOR_BYTES)
            return false;
        memcpy(&ret->bytes[lba * VARVE_SECTOR_BYTES], bytes.data, bytes.size);
    }
    return true;
}
