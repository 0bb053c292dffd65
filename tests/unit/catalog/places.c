/* SPDX-License-Identifier: Apache-2.0 */
/* Places of discs and what people did with them come back as they were put, also in a catalog that
 * an older varve made. */
#include "fixture.h"

#include <sqlite3.h>
#include <varve/file.h>

static struct varve_disc_place
make_place(const char *barcode, const char *magazine)
{
    struct varve_disc_place place = {.shelf = "shelf A / box 3"};
    assert_true(varve_barcode_make(barcode, &place.barcode));
    (void)snprintf(place.magazine, sizeof place.magazine, "%s", magazine);
    return place;
}

static void
expect_place(const struct varve_disc_place *a, const struct varve_disc_place *b)
{
    assert_string_equal(a->barcode.text, b->barcode.text);
    assert_string_equal(a->shelf, b->shelf);
    assert_string_equal(a->magazine, b->magazine);
    assert_string_equal(a->site, b->site);
    assert_string_equal(a->who, b->who);
    assert_int_equal(a->since_ns, b->since_ns);
}

static void
test_places(void **state)
{
    struct fixture *f = *state;
    struct varve_disc_place first = make_place("B1", "");
    struct varve_disc_place second = make_place("B2", "M 7");
    struct varve_disc_place third = make_place("B3", "M 7");
    struct varve_disc_place out[4];
    size_t count;
    const struct varve_barcode start = {""};
    MUST(varve_catalog_disc_place_get(f->catalog, &first.barcode, &out[0], &err));
    expect_place(&out[0], &(struct varve_disc_place){.barcode = first.barcode});
    MUST(varve_catalog_disc_place_put(f->catalog, &third, &err));
    MUST(varve_catalog_disc_place_put(f->catalog, &second, &err));
    MUST(varve_catalog_disc_place_put(f->catalog, &first, &err));
    (void)snprintf(second.site, sizeof second.site, "bank vault");
    (void)snprintf(second.who, sizeof second.who, "Anna");
    second.since_ns = 77;
    MUST(varve_catalog_disc_place_put(f->catalog, &second, &err));
    MUST(varve_catalog_disc_place_get(f->catalog, &second.barcode, &out[0], &err));
    expect_place(&out[0], &second);
    MUST(varve_catalog_disc_places(f->catalog, NULL, &start, out, 4, &count, &err));
    assert_int_equal(count, 3);
    expect_place(&out[0], &first);
    MUST(varve_catalog_disc_places(f->catalog, "M 7", &start, out, 4, &count, &err));
    assert_int_equal(count, 2);
    expect_place(&out[0], &second);
    expect_place(&out[1], &third);
    MUST(varve_catalog_disc_places(f->catalog, "M 7", &second.barcode, out, 4, &count, &err));
    assert_int_equal(count, 1);
    MUST(varve_catalog_disc_places(f->catalog, "", &start, out, 4, &count, &err));
    assert_int_equal(count, 0);
}

static void
test_events(void **state)
{
    struct fixture *f = *state;
    struct varve_disc_event in = {.barcode = {"B1"},
                                  .at_ns = 5,
                                  .deed = VARVE_DEED_CHECKED_OUT,
                                  .who = "Anna",
                                  .text = "to the bank vault"};
    struct varve_disc_event out[4];
    size_t count;
    MUST(varve_catalog_disc_event_add(f->catalog, &in, &err));
    in.deed = VARVE_DEED_CHECKED_IN;
    MUST(varve_catalog_disc_event_add(f->catalog, &in, &err));
    in.barcode.text[1] = '2';
    MUST(varve_catalog_disc_event_add(f->catalog, &in, &err));
    in.barcode.text[1] = '1';
    MUST(varve_catalog_disc_events(f->catalog, &in.barcode, 0, out, 4, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(out[0].deed, VARVE_DEED_CHECKED_OUT);
    assert_string_equal(out[0].who, "Anna");
    assert_string_equal(out[0].text, "to the bank vault");
    assert_int_equal(out[0].at_ns, 5);
    assert_int_equal(out[1].deed, VARVE_DEED_CHECKED_IN);
    MUST(varve_catalog_disc_events(f->catalog, &in.barcode, out[0].id, out, 4, &count, &err));
    assert_int_equal(count, 1);
}

static void
note(void *context, const char *finding)
{
    char *ret = context;
    (void)snprintf(ret, 200, "%s", finding);
}

static void
test_place_of_no_disc_is_a_finding(void **state)
{
    struct fixture *f = *state;
    const struct varve_disc_place place = make_place("B1", "");
    char finding[200] = "";
    MUST(varve_catalog_disc_place_put(f->catalog, &place, &err));
    MUST(varve_catalog_verify(f->catalog, note, finding, &err));
    assert_string_equal(finding, "a place is known for disc B1, which is not known itself");
    const struct varve_disc_row disc = {.barcode = place.barcode};
    MUST(varve_catalog_disc_put(f->catalog, &disc, &err));
    finding[0] = 0;
    MUST(varve_catalog_verify(f->catalog, note, finding, &err));
    assert_string_equal(finding, "");
}

static void
test_upgrade_from_2(void **state)
{
    struct fixture *f = *state;
    VARVE_CLEANUP_BUFFER struct varve_buffer sql = {0};
    sqlite3 *db = NULL;
    struct varve_disc_row disc;
    varve_catalog_close(VARVE_TAKE(f->catalog));
    assert_int_equal(unlink(f->path), 0);
    MUST(varve_file_read(GOLDEN_FOLDER "/catalog-2.sql", 1 << 20, &sql, &err));
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, varve_buffer_string(&sql), NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    MUST(varve_catalog_open(f->path, &f->clock.clock, &f->catalog, &err));
    struct varve_disc_place place = make_place("VRV00002", "");
    MUST(varve_catalog_disc_get(f->catalog, &place.barcode, &disc, &err));
    assert_int_equal(disc.state, VARVE_DISC_SEALED);
    MUST(varve_catalog_disc_place_put(f->catalog, &place, &err));
    char finding[200] = "";
    MUST(varve_catalog_verify(f->catalog, note, finding, &err));
    assert_string_equal(finding, "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_places),
        FIXTURE_TEST(test_events),
        FIXTURE_TEST(test_place_of_no_disc_is_a_finding),
        FIXTURE_TEST(test_upgrade_from_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
