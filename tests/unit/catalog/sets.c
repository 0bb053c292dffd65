/* SPDX-License-Identifier: Apache-2.0 */
/* Sets, discs and moves come back as they were put, in the order promised. */
#include "fixture.h"

/* Field by field: structs have padding. */
static void
expect_set(const struct varve_set *a, const struct varve_set *b)
{
    assert_int_equal(a->id.value, b->id.value);
    assert_true(varve_uuid_equal(&a->uuid, &b->uuid));
    assert_int_equal(a->data_discs, b->data_discs);
    assert_int_equal(a->parity_discs, b->parity_discs);
    assert_int_equal(a->clusters, b->clusters);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->created_ns, b->created_ns);
    assert_int_equal(a->sealed_ns, b->sealed_ns);
}

static void
expect_disc(const struct varve_disc_row *a, const struct varve_disc_row *b)
{
    assert_string_equal(a->barcode.text, b->barcode.text);
    assert_string_equal(a->library, b->library);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->set.value, b->set.value);
    assert_int_equal(a->index, b->index);
    assert_true(varve_uuid_equal(&a->uuid, &b->uuid));
    assert_int_equal(a->capacity_clusters, b->capacity_clusters);
    assert_int_equal(a->clusters, b->clusters);
    assert_int_equal(a->burned_ns, b->burned_ns);
    assert_int_equal(a->verified_ns, b->verified_ns);
    assert_int_equal(a->bad_clusters, b->bad_clusters);
    assert_string_equal(a->place, b->place);
}

static void
expect_move(const struct varve_move *a, const struct varve_move *b)
{
    assert_int_equal(a->id, b->id);
    assert_string_equal(a->library, b->library);
    assert_string_equal(a->barcode.text, b->barcode.text);
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->to, b->to);
    assert_int_equal(a->started_ns, b->started_ns);
    assert_int_equal(a->done, b->done);
}

static void
test_sets(void **state)
{
    struct fixture *f = *state;
    struct varve_set in = {.uuid = {{1, 2, 3}},
                           .data_discs = 10,
                           .parity_discs = 2,
                           .clusters = 381000,
                           .state = VARVE_SET_BURNING,
                           .created_ns = 4,
                           .sealed_ns = 5};
    struct varve_set out[3];
    size_t count;
    MUST(varve_catalog_set_insert(f->catalog, &in, &in.id, &err));
    assert_int_equal(in.id.value, 1);
    MUST(varve_catalog_set_get(f->catalog, in.id, &out[0], &err));
    expect_set(&in, &out[0]);
    in.state = VARVE_SET_DEGRADED;
    in.clusters = 1;
    MUST(varve_catalog_set_update(f->catalog, &in, &err));
    MUST(varve_catalog_set_get(f->catalog, in.id, &out[0], &err));
    expect_set(&in, &out[0]);
    struct varve_set second = {.id = {7}, .uuid = {{9}}, .state = VARVE_SET_ABANDONED};
    struct varve_set_id id;
    MUST(varve_catalog_set_insert(f->catalog, &second, &id, &err)); /* rebuild knows its number */
    assert_int_equal(id.value, 7);
    MUST(varve_catalog_sets(f->catalog, (struct varve_set_id){0}, out, 3, &count, &err));
    assert_int_equal(count, 2);
    MUST(varve_catalog_sets(f->catalog, in.id, out, 3, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(out[0].state, VARVE_SET_ABANDONED);
    MUST_FAIL(varve_catalog_set_insert(f->catalog, &second, &id, &err), EXISTS,
              "set 7 or a set with UUID 09000000-0000-0000-0000-000000000000 exists already");
    second.id.value = 9;
    second.uuid.bytes[0] = 10;
    MUST_FAIL(varve_catalog_set_update(f->catalog, &second, &err), NOT_FOUND, "no set 9");
    MUST_FAIL(varve_catalog_set_get(f->catalog, second.id, &second, &err), NOT_FOUND, "no set 9");
}

static struct varve_disc_row
make_disc(const char *barcode)
{
    struct varve_disc_row disc = {.library = "rack"};
    assert_true(varve_barcode_make(barcode, &disc.barcode));
    return disc;
}

static void
test_discs(void **state)
{
    struct fixture *f = *state;
    struct varve_set_id set = add_set(f->catalog, VARVE_SET_BURNING);
    struct varve_disc_row in = make_disc("B0002");
    in.state = VARVE_DISC_OFFLINE;
    in.set = set;
    in.index = 1;
    in.uuid.bytes[15] = 0xee;
    in.capacity_clusters = 381856;
    in.clusters = 5;
    in.burned_ns = 6;
    in.verified_ns = 7;
    in.bad_clusters = 8;
    (void)snprintf(in.place, sizeof in.place, "shelf 4");
    struct varve_disc_row out[4];
    size_t count;
    MUST(varve_catalog_disc_put(f->catalog, &in, &err));
    MUST(varve_catalog_disc_get(f->catalog, &in.barcode, &out[0], &err));
    expect_disc(&in, &out[0]);

    struct varve_disc_row first = make_disc("B0003");
    first.set = set;
    struct varve_disc_row failed = make_disc("B0001");
    failed.set = set;
    failed.index = 1;
    failed.state = VARVE_DISC_FAILED;
    struct varve_disc_row blank = make_disc("A9");
    MUST(varve_catalog_disc_put(f->catalog, &first, &err));
    MUST(varve_catalog_disc_put(f->catalog, &failed, &err));
    MUST(varve_catalog_disc_put(f->catalog, &blank, &err));
    MUST(varve_catalog_set_discs(f->catalog, set, out, 4, &count, &err));
    assert_int_equal(count, 3);
    assert_string_equal(out[0].barcode.text, "B0003");
    assert_string_equal(out[1].barcode.text, "B0001");
    assert_string_equal(out[2].barcode.text, "B0002");
    struct varve_barcode start = {""};
    MUST(varve_catalog_discs(f->catalog, &start, out, 4, &count, &err));
    assert_int_equal(count, 4);
    assert_string_equal(out[0].barcode.text, "A9");
    assert_int_equal(out[0].set.value, 0);
    MUST(varve_catalog_discs(f->catalog, &in.barcode, out, 4, &count, &err));
    assert_int_equal(count, 1);
    blank.state = VARVE_DISC_FOREIGN;
    MUST(varve_catalog_disc_put(f->catalog, &blank, &err));
    struct varve_catalog_totals totals;
    MUST(varve_catalog_totals(f->catalog, &totals, &err));
    assert_int_equal(totals.discs_by_state[VARVE_DISC_FOREIGN], 1);
    assert_int_equal(totals.discs_by_state[VARVE_DISC_BLANK], 1);
    assert_int_equal(totals.sets_by_state[VARVE_SET_BURNING], 1);

    blank.set.value = 99;
    MUST_FAIL(varve_catalog_disc_put(f->catalog, &blank, &err), INVALID,
              "disc 'A9' names set 99, which is none");
    blank.barcode = (struct varve_barcode){"no good"};
    MUST_FAIL(varve_catalog_disc_put(f->catalog, &blank, &err), INVALID,
              "'no good' cannot be a barcode");
    MUST_FAIL(varve_catalog_disc_get(f->catalog, &blank.barcode, &out[0], &err), NOT_FOUND,
              "no disc 'no good'");
}

/* A move that was begun is there after a crash, without any sync by the caller. */
static void
test_moves(void **state)
{
    struct fixture *f = *state;
    struct varve_move in = {
        .library = "rack", .barcode = {"A1"}, .from = 0x1000, .to = 0xffff, .started_ns = 5};
    struct varve_move out[3];
    uint64_t first;
    uint64_t second;
    size_t count;
    MUST(varve_catalog_move_begin(f->catalog, &in, &first, &err));
    struct varve_catalog *copy = NULL; /* what a crash would leave is what another reader sees */
    MUST(varve_catalog_open(f->path, &f->clock.clock, &copy, &err));
    MUST(varve_catalog_moves_open(copy, "rack", out, 3, &count, &err));
    varve_catalog_close(copy);
    assert_int_equal(count, 1);
    in.id = first;
    expect_move(&in, &out[0]);
    in.id = 0;
    MUST(varve_catalog_move_begin(f->catalog, &in, &second, &err));
    MUST(varve_catalog_move_done(f->catalog, first, &err));
    MUST(varve_catalog_moves_open(f->catalog, "rack", out, 3, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(out[0].id, second);
    MUST(varve_catalog_moves_open(f->catalog, "other", out, 3, &count, &err));
    assert_int_equal(count, 0);
    MUST_FAIL(varve_catalog_move_done(f->catalog, 77, &err), NOT_FOUND, "no move 77");
}

static void
test_elements(void **state)
{
    struct fixture *f = *state;
    struct varve_element_row rows[3] = {
        {.library = "rack", .address = 1024, .home = -1, .flags = 2},
        {.library = "rack", .address = 256, .home = 1024, .inverted = true},
        {.library = "other", .address = 1, .home = -1},
    };
    struct varve_element_row out[4];
    size_t count;
    (void)snprintf(rows[0].barcode.text, VARVE_BARCODE_BYTES, "A1");
    (void)snprintf(rows[0].expected.text, VARVE_BARCODE_BYTES, "A2");
    MUST(varve_catalog_elements_put(f->catalog, rows, 3, &err));
    rows[1].inverted = false;
    MUST(varve_catalog_elements_put(f->catalog, &rows[1], 1, &err));
    MUST(varve_catalog_elements(f->catalog, "rack", -1, out, 4, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(out[0].address, 256);
    assert_int_equal(out[0].home, 1024);
    assert_false(out[0].inverted);
    assert_int_equal(out[1].home, -1);
    assert_int_equal(out[1].flags, 2);
    assert_string_equal(out[1].barcode.text, "A1");
    assert_string_equal(out[1].expected.text, "A2");
    MUST(varve_catalog_elements(f->catalog, "rack", 256, out, 4, &count, &err));
    assert_int_equal(count, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_sets),
        FIXTURE_TEST(test_discs),
        FIXTURE_TEST(test_moves),
        FIXTURE_TEST(test_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
