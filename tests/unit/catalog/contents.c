/* SPDX-License-Identifier: Apache-2.0 */
/* Contents, pieces, requests, records and totals agree after every change. */
#include "fixture.h"

/* Field by field: structs have padding. */
static void
expect_content(const struct varve_content *a, const struct varve_content *b)
{
    assert_int_equal(a->id.value, b->id.value);
    assert_int_equal(a->ino, b->ino);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->mtime_ns, b->mtime_ns);
    assert_int_equal(a->phase, b->phase);
    assert_int_equal(a->place.tier, b->place.tier);
    assert_int_equal(a->place.path_id, b->place.path_id);
    assert_int_equal(a->place.file, b->place.file);
    assert_int_equal(a->current, b->current);
}

static void
test_round_trip(void **state)
{
    struct fixture *f = *state;
    struct varve_content in = {.ino = 5,
                               .version = 3,
                               .size = 1234,
                               .mtime_ns = -1,
                               .phase = VARVE_PHASE_SEALED,
                               .place = {VARVE_TIER_HDD, 7, 99},
                               .current = true};
    struct varve_content out;
    MUST(varve_catalog_content_insert(f->catalog, &in, &in.id, &err));
    MUST(varve_catalog_content_get(f->catalog, in.id, &out, &err));
    expect_content(&in, &out);
    in.phase = VARVE_PHASE_FROZEN;
    in.place = (struct varve_place){0};
    in.current = false;
    MUST(varve_catalog_content_update(f->catalog, &in, &err));
    MUST(varve_catalog_content_get(f->catalog, in.id, &out, &err));
    expect_content(&in, &out);
    MUST_FAIL(varve_catalog_content_insert(f->catalog, &in, &out.id, &err), EXISTS,
              "content 1 exists already");
    in.id.value = 77;
    MUST_FAIL(varve_catalog_content_update(f->catalog, &in, &err), NOT_FOUND, "no content 77");
    MUST_FAIL(varve_catalog_content_delete(f->catalog, in.id, &err), NOT_FOUND, "no content 77");
    MUST_FAIL(varve_catalog_content_get(f->catalog, in.id, &out, &err), NOT_FOUND, "no content 77");
}

static void
test_listing(void **state)
{
    struct fixture *f = *state;
    struct varve_content content = {.ino = 5, .version = 1};
    for (int i = 0; i < 6; i++) {
        content.id.value = 0;
        content.place.tier = i % 2 == 0 ? VARVE_TIER_NONE : VARVE_TIER_SSD;
        MUST(varve_catalog_content_insert(f->catalog, &content, &content.id, &err));
    }
    struct varve_content rows[8];
    size_t count;
    MUST(varve_catalog_contents(f->catalog, (struct varve_content_id){0}, false, rows, 8, &count,
                                &err));
    assert_int_equal(count, 6);
    MUST(varve_catalog_contents(f->catalog, (struct varve_content_id){2}, true, rows, 8, &count,
                                &err));
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].id.value, 4);
    assert_int_equal(rows[1].id.value, 6);
    MUST(varve_catalog_contents(f->catalog, (struct varve_content_id){0}, true, rows, 1, &count,
                                &err));
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].id.value, 2);
}

static void
test_pieces(void **state)
{
    struct fixture *f = *state;
    struct varve_content a = add_file(f->catalog, VARVE_ROOT_INO, "a", 100);
    struct varve_content b = add_file(f->catalog, VARVE_ROOT_INO, "b", 50);
    struct varve_set_id set = add_set(f->catalog, VARVE_SET_PLANNED);
    struct varve_piece in = {.content = b.id, .set = set, .bytes = 50, .lba = 64};
    struct varve_piece out[4];
    size_t count;
    MUST(varve_catalog_piece_insert(f->catalog, &in, &err));
    MUST_FAIL(varve_catalog_piece_insert(f->catalog, &in, &err), EXISTS,
              "piece 0 of content 2 in set 1 exists already");
    in = (struct varve_piece){
        .content = a.id, .set = set, .index = 1, .part = 1, .offset = 60, .bytes = 40, .lba = 1};
    MUST(varve_catalog_piece_insert(f->catalog, &in, &err));
    in.part = in.index = 0;
    in.offset = 0;
    in.bytes = 60;
    in.has_digest = true;
    memset(in.digest.bytes, 0xab, sizeof in.digest.bytes);
    MUST(varve_catalog_piece_insert(f->catalog, &in, &err));
    MUST(varve_catalog_pieces(f->catalog, a.id, out, 4, &count, &err));
    assert_int_equal(count, 2);
    assert_true(out[0].has_digest);
    assert_memory_equal(&out[0].digest, &in.digest, sizeof in.digest);
    assert_false(out[1].has_digest);
    assert_int_equal(out[1].offset, 60);
    assert_int_equal(out[1].index, 1);
    out[1].digest = in.digest;
    MUST(varve_catalog_piece_set_digest(f->catalog, &out[1], &err));
    MUST(varve_catalog_set_pieces(f->catalog, set, a.id, 0, out, 4, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(out[0].part, 1);
    assert_true(out[0].has_digest);
    assert_int_equal(out[1].content.value, b.id.value);
    MUST(varve_catalog_set_pieces(f->catalog, set, (struct varve_content_id){0}, 0, out, 4, &count,
                                  &err));
    assert_int_equal(count, 3);

    in.set.value = 9;
    MUST_FAIL(varve_catalog_piece_insert(f->catalog, &in, &err), INVALID,
              "piece 0 of content 1 in set 9 names a content or set that does not exist");
    MUST_FAIL(varve_catalog_piece_set_digest(f->catalog, &in, &err), NOT_FOUND,
              "piece 0 of content 1 in set 9 does not exist");
    MUST(varve_catalog_content_delete(f->catalog, a.id, &err));
    MUST(varve_catalog_pieces(f->catalog, a.id, out, 4, &count, &err));
    assert_int_equal(count, 0);
    MUST(varve_catalog_set_pieces_delete(f->catalog, set, &err));
    MUST(varve_catalog_pieces(f->catalog, b.id, out, 4, &count, &err));
    assert_int_equal(count, 0);
}

static void
test_requests(void **state)
{
    struct fixture *f = *state;
    struct varve_content a = add_file(f->catalog, VARVE_ROOT_INO, "a", 100);
    struct varve_request in = {.content = a.id, .rule = "old", .n = 1, .m = 2, .since_ns = 3};
    struct varve_request out[2];
    size_t count;
    MUST(varve_catalog_request_put(f->catalog, &in, &err));
    (void)snprintf(in.rule, sizeof in.rule, "archive");
    in.n = 10;
    MUST(varve_catalog_request_put(f->catalog, &in, &err));
    MUST(varve_catalog_requests(f->catalog, (struct varve_content_id){0}, out, 2, &count, &err));
    assert_int_equal(count, 1);
    assert_string_equal(out[0].rule, "archive");
    assert_int_equal(out[0].n, 10);
    assert_int_equal(out[0].m, 2);
    assert_int_equal(out[0].since_ns, 3);
    struct varve_catalog_totals totals;
    a.size = 300; /* grows while it waits */
    MUST(varve_catalog_content_update(f->catalog, &a, &err));
    MUST(varve_catalog_totals(f->catalog, &totals, &err));
    assert_int_equal(totals.requests, 1);
    assert_int_equal(totals.request_bytes, 300);
    MUST(varve_catalog_content_delete(f->catalog, a.id, &err));
    MUST(varve_catalog_totals(f->catalog, &totals, &err));
    assert_int_equal(totals.requests, 0);
    assert_int_equal(totals.request_bytes, 0);
    MUST_FAIL(varve_catalog_request_put(f->catalog, &in, &err), NOT_FOUND, "no content 1");
    MUST_FAIL(varve_catalog_request_delete(f->catalog, a.id, &err), NOT_FOUND,
              "no request for content 1");
}

static void
test_totals(void **state)
{
    struct fixture *f = *state;
    uint64_t dir = add_node(f->catalog, VARVE_ROOT_INO, "d", S_IFDIR | 0755);
    (void)add_node(f->catalog, dir, "fifo", S_IFIFO);
    struct varve_content resident = add_file(f->catalog, dir, "resident", 10);
    struct varve_content planned = add_file(f->catalog, dir, "planned", 20);
    struct varve_content both = add_file(f->catalog, dir, "premigrated", 40);
    struct varve_content gone = add_file(f->catalog, dir, "migrated", 80);
    planned.phase = VARVE_PHASE_FROZEN;
    planned.place.tier = VARVE_TIER_HDD;
    both.phase = gone.phase = VARVE_PHASE_SEALED;
    gone.place = (struct varve_place){0};
    MUST(varve_catalog_content_update(f->catalog, &planned, &err));
    MUST(varve_catalog_content_update(f->catalog, &both, &err));
    MUST(varve_catalog_content_update(f->catalog, &gone, &err));
    (void)resident;
    struct varve_content old = both; /* an older version counts nowhere */
    old.id.value = 0;
    old.current = false;
    MUST(varve_catalog_content_insert(f->catalog, &old, &old.id, &err));
    struct varve_catalog_totals totals;
    MUST(varve_catalog_totals(f->catalog, &totals, &err));
    assert_int_equal(totals.inodes, 7);
    assert_int_equal(totals.directories, 2);
    for (int state_index = 0; state_index < 4; state_index++) {
        assert_int_equal(totals.by_state[state_index].files, 1);
        assert_int_equal(totals.by_state[state_index].bytes, 10 << state_index);
    }
    assert_int_equal(totals.by_tier[VARVE_TIER_NONE].bytes, 80);
    assert_int_equal(totals.by_tier[VARVE_TIER_SSD].bytes, 50);
    assert_int_equal(totals.by_tier[VARVE_TIER_SSD].files, 2);
    assert_int_equal(totals.by_tier[VARVE_TIER_HDD].bytes, 20);
    varve_catalog_begin(f->catalog);
    MUST(varve_catalog_content_delete(f->catalog, gone.id, &err));
    MUST(varve_catalog_totals(f->catalog, &totals, &err));
    assert_int_equal(totals.by_state[VARVE_STATE_MIGRATED].files, 0);
    assert_false(varve_catalog_end(f->catalog, false, &err));
    MUST(varve_catalog_totals(f->catalog, &totals, &err));
    assert_int_equal(totals.by_state[VARVE_STATE_MIGRATED].bytes, 80);
}

static void
expect_unrecorded(struct fixture *f, const uint64_t *wanted, size_t wanted_count)
{
    struct varve_inode rows[8];
    size_t count;
    MUST(varve_catalog_unrecorded(f->catalog, 0, rows, 8, &count, &err));
    assert_int_equal(count, wanted_count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(rows[i].ino, wanted[i]);
}

static void
test_records(void **state)
{
    struct fixture *f = *state;
    uint64_t dir = add_node(f->catalog, VARVE_ROOT_INO, "d", S_IFDIR | 0755);
    struct varve_content live = add_file(f->catalog, dir, "live", 10);
    struct varve_content sealed = add_file(f->catalog, dir, "sealed", 10);
    uint64_t empty = add_node(f->catalog, dir, "empty", S_IFREG);
    uint64_t emptied = add_file(f->catalog, dir, "emptied", 0).ino; /* has a content, of nothing */
    sealed.phase = VARVE_PHASE_SEALED;
    MUST(varve_catalog_content_update(f->catalog, &sealed, &err));
    expect_unrecorded(f, (uint64_t[]){1, dir, sealed.ino, empty, emptied}, 5);
    MUST(varve_catalog_recorded(f->catalog, emptied, NOW_NS, &err));
    MUST(varve_catalog_recorded(f->catalog, 1, NOW_NS, &err));
    MUST(varve_catalog_recorded(f->catalog, dir, NOW_NS - 1, &err)); /* changed since */
    MUST(varve_catalog_recorded(f->catalog, sealed.ino, NOW_NS, &err));
    MUST(varve_catalog_recorded(f->catalog, sealed.ino, 5, &err)); /* an older record */
    expect_unrecorded(f, (uint64_t[]){dir, empty}, 2);
    live.phase = VARVE_PHASE_SEALED;
    MUST(varve_catalog_content_update(f->catalog, &live, &err));
    expect_unrecorded(f, (uint64_t[]){dir, live.ino, empty}, 3);

    struct varve_tombstone stones[4];
    size_t count;
    MUST(varve_catalog_inode_delete(f->catalog, empty, 71, &err)); /* on no disc: nothing to tell */
    MUST(varve_catalog_inode_delete(f->catalog, sealed.ino, 72, &err));
    MUST(varve_catalog_inode_delete(f->catalog, live.ino, 73, &err));
    MUST(varve_catalog_recorded(f->catalog, live.ino, NOW_NS, &err)); /* was being burned */
    MUST(varve_catalog_tombstones(f->catalog, 0, stones, 4, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(stones[0].ino, live.ino);
    assert_int_equal(stones[0].deleted_ns, NOW_NS);
    assert_int_equal(stones[1].ino, sealed.ino);
    assert_int_equal(stones[1].deleted_ns, 72);
    MUST(varve_catalog_tombstone_delete(f->catalog, sealed.ino, &err));
    MUST(varve_catalog_tombstones(f->catalog, live.ino, stones, 4, &count, &err));
    assert_int_equal(count, 0);
    MUST_FAIL(varve_catalog_tombstone_delete(f->catalog, 77, &err), NOT_FOUND,
              "no tombstone of inode 77");
}

/* More rows than are looked at in one go, and none of them wanted but the last. */
static void
test_unrecorded_behind_many(void **state)
{
    struct fixture *f = *state;
    MUST(varve_catalog_recorded(f->catalog, 1, NOW_NS, &err));
    char name[16];
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        (void)add_file(f->catalog, VARVE_ROOT_INO, name, 1);
    }
    uint64_t fifo = add_node(f->catalog, VARVE_ROOT_INO, "fifo", S_IFIFO);
    expect_unrecorded(f, &fifo, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_round_trip),
        FIXTURE_TEST(test_listing),
        FIXTURE_TEST(test_pieces),
        FIXTURE_TEST(test_requests),
        FIXTURE_TEST(test_totals),
        FIXTURE_TEST(test_records),
        FIXTURE_TEST(test_unrecorded_behind_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
