/* SPDX-License-Identifier: Apache-2.0 */
/* make_golden FOLDER: writes the golden discs of the present format version. Run once per released
 * version, never to make a failing test pass. */
#include <stdio.h>
#include <string.h>

#include "disc_fixture.h"

static bool
read_hello(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
           struct varve_error *err)
{
    (void)context, (void)record, (void)err;
    memcpy(ret, &"hello\n"[offset], size);
    return true;
}

static bool
read_disc(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
          struct varve_error *err)
{
    const struct fixture_disc *disc = context;
    (void)record, (void)err;
    memcpy(ret, &disc->bytes[offset], size);
    return true;
}

static bool
make_image(struct varve_image **ret, struct varve_error *err)
{
    struct varve_disc_identity identity = fixture_identity(1, 1, 0);
    struct varve_manifest *manifest = varve_manifest_new();
    struct varve_record record = fixture_record(VARVE_RECORD_DIRECTORY, 1, 0);
    if (manifest == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "manifest");
    fixture_add(manifest, &record);
    fixture_directory(manifest, 2, 1, "dir");
    record = fixture_record(VARVE_RECORD_FILE, 3, 6);
    fixture_name(&record, 2, "hello\x01.txt");
    if (!varve_record_add_xattr(&record, "user.note", "x", 1, err))
        return false;
    fixture_add(manifest, &record);
    record = fixture_record(VARVE_RECORD_SYMLINK, 4, 0);
    record.target = strdup("dir/hello");
    fixture_name(&record, 1, "link");
    fixture_add(manifest, &record);
    record = fixture_record(VARVE_RECORD_DELETED, 5, 0);
    fixture_add(manifest, &record);
    return varve_image_new_data(&identity, manifest, ret, err);
}

int
main(int argc, char **argv)
{
    VARVE_CLEANUP(varve_image_free) struct varve_image *data = NULL;
    VARVE_CLEANUP(varve_image_free) struct varve_image *parity = NULL;
    FIXTURE_DISC data_disc = {0};
    FIXTURE_DISC parity_disc = {0};
    struct varve_error err = {0};
    char path[4096];
    struct varve_image_source hello = {.read = read_hello};
    struct varve_image_source copy = {.context = &data_disc, .read = read_disc};
    struct varve_disc_identity identity = fixture_identity(1, 1, 1);
    if (argc != 2 || !make_image(&data, &err))
        return 2;
    fixture_render(data, &hello, &data_disc);
    const struct varve_disc_map *map = varve_image_map(data);
    if (!varve_image_new_parity(&identity, map, map->clusters, &parity, &err) ||
        !varve_image_set_member_crcs(parity, 0, varve_image_crcs(data), map->clusters, &err))
        return 2;
    fixture_render(parity, &copy, &parity_disc);
    (void)snprintf(path, sizeof path, "%s/disc-1-data.txt", argv[1]);
    fixture_store_golden(&data_disc, path);
    (void)snprintf(path, sizeof path, "%s/disc-1-parity.txt", argv[1]);
    fixture_store_golden(&parity_disc, path);
    return 0;
}
