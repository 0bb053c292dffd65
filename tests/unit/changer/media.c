/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of disc in the table is burned as it needs it, goes on after a power cut if it can,
 * closes, and reads back equal after a reload; what varve does not write is refused before the
 * first byte. */
#include "support.h"

#include "media.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLUSTERS 40u

static uint8_t data[CLUSTERS * VARVE_CLUSTER_BYTES];
static uint8_t back[CLUSTERS * VARVE_CLUSTER_BYTES];
static const char *const kinds[] = {"BD-R SRM", "BD-RE", "DVD+R", "DVD+R DL", "DVD-R", "DVD-R DL"};

static bool
fill(void *context, uint64_t cluster, unsigned count, uint8_t *ret, struct varve_error *err)
{
    uint64_t *failing = context;
    if (failing != NULL && cluster + count > *failing)
        return varve_error_set(err, VARVE_ERROR_SYSTEM, 0, "cluster %u cannot be had",
                               (unsigned)*failing);
    memcpy(ret, data + cluster * VARVE_CLUSTER_BYTES, (size_t)count * VARVE_CLUSTER_BYTES);
    return true;
}

static struct varve_drive *
start(struct test_bench *bench, const char *kind)
{
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    test_bench_start_kind(bench, kind);
    EXPECT_OK(varve_library_load(bench->library, &one, 0, &err), err);
    return varve_library_drive(bench->library, 0);
}

static struct varve_drive *
reload(struct test_bench *bench)
{
    struct varve_error err = {0};
    struct varve_barcode one = test_barcode("VRV00001");
    EXPECT_OK(varve_library_unload(bench->library, 0, &err), err);
    EXPECT_OK(varve_library_load(bench->library, &one, 0, &err), err);
    return varve_library_drive(bench->library, 0);
}

static void
expect_read_back(struct varve_drive *drive, const char *kind)
{
    struct varve_error err = {0};
    struct varve_medium medium;
    EXPECT_OK(varve_drive_medium(drive, &medium, &err), err);
    assert_string_equal(medium.kind, kind);
    assert_int_equal(medium.state, VARVE_MEDIUM_CLOSED);
    assert_true(medium.readable_clusters >= CLUSTERS);
    memset(back, 0, sizeof back);
    for (unsigned at = 0; at < CLUSTERS; at += 8)
        EXPECT_OK(varve_drive_read(drive, at, 8, back + at * VARVE_CLUSTER_BYTES, NULL, &err), err);
    assert_memory_equal(back, data, sizeof data);
}

static void
test_each_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct test_bench bench;
        struct varve_error err = {0};
        struct varve_medium medium;
        struct varve_drive *drive = start(&bench, kinds[i]);
        EXPECT_OK(varve_drive_medium(drive, &medium, &err), err);
        assert_string_equal(medium.kind, kinds[i]);
        assert_int_equal(medium.state, VARVE_MEDIUM_BLANK);
        assert_int_equal(medium.capacity_clusters, TEST_DISC_BYTES / VARVE_CLUSTER_BYTES);
        assert_int_equal(medium.unformatted, strcmp(kinds[i], "BD-RE") == 0);
        struct varve_burn burn = {.clusters = CLUSTERS, .fill = fill};
        EXPECT_OK(varve_drive_burn(drive, &burn, &err), err);
        EXPECT_OK(varve_drive_burn_close(drive, NULL, NULL, &err), err);
        drive = reload(&bench);
        expect_read_back(drive, kinds[i]);
        assert_false(varve_drive_burn_begin(drive, 0, CLUSTERS, &err));
        assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
        test_bench_done(&bench);
    }
}

/* A source that fails leaves the disc open; the burn goes on where it stands, where the kind of
 * disc allows it. */
static void
test_each_kind_goes_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct test_bench bench;
        struct varve_error err = {0};
        struct varve_medium medium;
        uint64_t failing = 20;
        struct varve_drive *drive = start(&bench, kinds[i]);
        struct varve_burn burn = {.clusters = CLUSTERS, .context = &failing, .fill = fill};
        assert_false(varve_drive_burn(drive, &burn, &err));
        assert_string_equal(err.text, "cluster 20 cannot be had");
        drive = reload(&bench);
        EXPECT_OK(varve_drive_medium(drive, &medium, &err), err);
        burn = (struct varve_burn){.first_cluster = 16, .clusters = CLUSTERS, .fill = fill};
        const struct varve_media *media = varve_media_of_name(kinds[i]);
        if (media->model == VARVE_MEDIA_OVERWRITE || media->reserve) {
            assert_false(varve_drive_burn(drive, &burn, &err));
            assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
        } else {
            assert_int_equal(medium.state, VARVE_MEDIUM_APPENDABLE);
            assert_int_equal(medium.next_cluster, 16);
            EXPECT_OK(varve_drive_burn(drive, &burn, &err), err);
            EXPECT_OK(varve_drive_burn_close(drive, NULL, NULL, &err), err);
            expect_read_back(reload(&bench), kinds[i]);
            assert_false(bench.watch.rewritten);
        }
        test_bench_done(&bench);
    }
}

/* A DVD's ECC block is half a cluster: a power cut may leave one half. */
static void
test_half_a_cluster(void **state)
{
    (void)state;
    struct test_bench bench;
    struct varve_error err = {0};
    struct varve_medium medium;
    uint64_t failing = 20;
    struct varve_drive *drive = start(&bench, "DVD+R");
    struct varve_burn burn = {.clusters = CLUSTERS, .context = &failing, .fill = fill};
    assert_false(varve_drive_burn(drive, &burn, &err));
    test_bench_close(&bench);
    char image[512];
    (void)snprintf(image, sizeof image, "%s/discs/VRV00001.img", bench.dir);
    assert_int_equal(truncate(image, 9 * VARVE_CLUSTER_BYTES + VARVE_CLUSTER_BYTES / 2 + 1000), 0);
    bench.watch = (struct test_watch){0};
    test_bench_open(&bench);
    drive = varve_library_drive(bench.library, 0);
    EXPECT_OK(varve_drive_medium(drive, &medium, &err), err);
    assert_int_equal(medium.next_cluster, 9);
    assert_int_equal(medium.next_sector, 16);
    assert_true(medium.next_valid);
    burn = (struct varve_burn){.first_cluster = 9, .clusters = CLUSTERS, .fill = fill};
    EXPECT_OK(varve_drive_burn(drive, &burn, &err), err);
    EXPECT_OK(varve_drive_burn_close(drive, NULL, NULL, &err), err);
    expect_read_back(reload(&bench), "DVD+R");
    assert_false(bench.watch.rewritten);
    test_bench_done(&bench);
}

static void
test_spares(void **state)
{
    (void)state;
    static const char *const formattable[] = {"BD-R SRM", "BD-RE"};
    for (size_t i = 0; i < 2; i++) {
        struct test_bench bench;
        struct varve_error err = {0};
        struct varve_medium medium;
        struct varve_drive *drive = start(&bench, formattable[i]);
        varve_drive_set(drive, &(struct varve_drive_settings){.spares = true});
        EXPECT_OK(varve_drive_medium(drive, &medium, &err), err);
        assert_int_equal(medium.state, VARVE_MEDIUM_BLANK);
        assert_true(medium.unformatted);
        assert_int_equal(medium.capacity_clusters, 61); /* 64, less 1/32 and a cluster */
        assert_false(varve_drive_burn_begin(drive, 0, 62, &err));
        assert_int_equal(err.kind, VARVE_ERROR_WRONG_DISC);
        EXPECT_OK(varve_drive_medium(drive, &medium, &err), err);
        assert_true(medium.unformatted); /* refused before anything was done to the disc */
        struct varve_burn burn = {.clusters = CLUSTERS, .fill = fill};
        EXPECT_OK(varve_drive_burn(drive, &burn, &err), err);
        EXPECT_OK(varve_drive_burn_close(drive, NULL, NULL, &err), err);
        expect_read_back(reload(&bench), formattable[i]);
        test_bench_done(&bench);
    }
}

/* Formatted and never written is blank; anything at the beginning or the end is not. */
static void
test_blank_rewritable(void **state)
{
    (void)state;
    static const long places[] = {-1, 0, 1000000, TEST_DISC_BYTES - 1};
    for (size_t i = 0; i < 4; i++) {
        struct test_bench bench;
        struct varve_error err = {0};
        struct varve_medium medium;
        struct varve_drive *drive = start(&bench, "BD-RE");
        EXPECT_OK(varve_drive_burn_begin(drive, 0, CLUSTERS, &err), err); /* formats */
        test_bench_close(&bench);
        char image[512];
        (void)snprintf(image, sizeof image, "%s/discs/VRV00001.img", bench.dir);
        if (places[i] >= 0) {
            FILE *out = fopen(image, "w");
            assert_non_null(out);
            assert_int_equal(fseek(out, places[i], SEEK_SET), 0);
            assert_int_equal(fputc('x', out), 'x');
            assert_int_equal(fclose(out), 0);
        }
        test_bench_open(&bench);
        drive = varve_library_drive(bench.library, 0);
        EXPECT_OK(varve_drive_medium(drive, &medium, &err), err);
        assert_false(medium.unformatted);
        assert_int_equal(medium.state, places[i] < 0 ? VARVE_MEDIUM_BLANK : VARVE_MEDIUM_CLOSED);
        assert_int_equal(varve_drive_burn_begin(drive, 0, CLUSTERS, &err), places[i] < 0);
        test_bench_done(&bench);
    }
}

static void
test_table(void **state)
{
    (void)state;
    size_t count = 0;
    for (const struct varve_media *row; (row = varve_media_row(count)) != NULL; count++) {
        for (size_t other = 0; other < count; other++)
            assert_int_not_equal(varve_media_row(other)->profile, row->profile);
        assert_ptr_equal(varve_media_of_profile(row->profile), row);
        if (row->model != VARVE_MEDIA_SEQUENTIAL && row->model != VARVE_MEDIA_OVERWRITE)
            continue;
        assert_ptr_equal(varve_media_of_name(row->name), row);
        assert_int_equal(VARVE_CLUSTER_SECTORS % row->block_sectors, 0);
        assert_int_equal(row->sectors % VARVE_CLUSTER_SECTORS, 0);
        assert_true(row->sectors_spares <= row->sectors);
        assert_true(row->model == VARVE_MEDIA_OVERWRITE ? row->must_format : row->close_count > 0);
    }
    assert_true(count > 12);
    assert_null(varve_media_of_profile(0xffff));
    assert_null(varve_media_of_name("bd-r"));
}

int
main(void)
{
    test_fill(data, sizeof data, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_each_kind),
        cmocka_unit_test(test_each_kind_goes_on),
        cmocka_unit_test(test_half_a_cluster),
        cmocka_unit_test(test_spares),
        cmocka_unit_test(test_blank_rewritable),
    };
    return cmocka_run_group_tests_name("media", tests, NULL, NULL);
}
