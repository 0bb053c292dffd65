/* Whoever waits for bytes from discs is told exactly once: when they can be read, or why not. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "waiting.h"

#include <fcntl.h>
#include <varve/file.h>
#include <varve/ranges.h>

static void
test_waiters_wake_as_their_ranges_come(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content);
    plug(f, &port);
    struct told tail = {0}, head = {0}, middle = {0}, whole = {0}, late = {0}, past = {0};
    await(f, ino, 12, 100, &tail); /* cut at the end of the file */
    await(f, ino, 0, 4, &head);
    await(f, ino, 2, 6, &middle);
    await(f, ino, 0, UINT64_MAX, &whole);
    await(f, ino, 16, 1, &past);
    assert_int_equal(past.count, 1);
    assert_int_equal(port.asked, 1);
    assert_true(port.last.value == content.id.value);

    struct varve_recall *recall = NULL, *second = NULL;
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    FAILS_AS(varve_vfs_recall_begin(f->vfs, content.id, &second, &f->err), BUSY);
    OK(varve_recall_write(recall, 0, TEXT, 3, &f->err));
    assert_int_equal(head.count + middle.count + tail.count, 0);
    OK(varve_recall_write(recall, 3, &TEXT[3], 6, &f->err));
    assert_int_equal(head.count, 1);
    assert_int_equal(middle.count, 1);
    assert_int_equal(tail.count + whole.count, 0);

    /* What is there is read before the rest has come; what is not, is not. */
    struct varve_open *open = open_file(f, ino, O_RDONLY);
    uint64_t size = 9;
    int fd = -1;
    char got[9];
    OK(varve_open_read(open, 0, &size, &fd, &f->err));
    OK(varve_file_pread(fd, got, 9, 0, &f->err));
    varve_open_done(open);
    assert_memory_equal(got, TEXT, 9);
    size = 10;
    FAILS_AS(varve_open_read(open, 0, &size, &fd, &f->err), WAIT);
    await(f, ino, 0, 9, &late);
    assert_int_equal(late.count, 1);
    varve_open_close(open);

    FAILS_AS(varve_recall_write(recall, 9, TEXT, 8, &f->err), INVALID); /* more than there is */
    OK(varve_recall_write(recall, 9, &TEXT[9], 7, &f->err));
    assert_int_equal(tail.count, 1);
    assert_int_equal(whole.count, 0);
    OK(varve_recall_end(recall, NULL, &f->err));
    assert_int_equal(whole.count, 1);
    assert_int_equal(whole.err.kind, VARVE_ERROR_NONE);
    expect_text(f, ino, TEXT);
    expect_xattr(f, ino, "user.varve.state", "premigrated");
    assert_true(attributes(f, ino).mtime_ns == START_NS);
    expect_consistent(f);
}

static void
test_failure_reaches_all_and_drops_the_file(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content);
    plug(f, &port);
    struct told one = {0}, two = {0};
    await(f, ino, 0, 4, &one);
    await(f, ino, 0, UINT64_MAX, &two);
    struct varve_recall *recall = NULL;
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    OK(varve_recall_write(recall, 0, TEXT, 2, &f->err));
    struct varve_error failure = {0};
    varve_error_set(&failure, VARVE_ERROR_MEDIUM, 0, "scratched");
    OK(varve_recall_end(recall, &failure, &f->err));
    assert_int_equal(one.count, 1);
    assert_int_equal(two.err.kind, VARVE_ERROR_MEDIUM);
    assert_string_equal(two.err.text, "scratched");
    assert_int_equal(count_files(f), 0);
    /* Too few bytes are a failure even if nobody says so. */
    await(f, ino, 0, 4, &one);
    assert_int_equal(port.asked, 2);
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    OK(varve_recall_write(recall, 0, TEXT, 2, &f->err));
    FAILS_AS(varve_recall_end(recall, NULL, &f->err), CORRUPT);
    assert_int_equal(one.count, 2);
    assert_int_equal(one.err.kind, VARVE_ERROR_CORRUPT);
    expect_consistent(f);
    assert_int_equal(count_files(f), 0);
}

static void
test_cancel(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content);
    plug(f, &port);
    struct told one = {0}, two = {0};
    uint64_t first = await(f, ino, 0, 4, &one);
    uint64_t second = await(f, ino, 0, 8, &two);
    assert_true(varve_vfs_await_cancel(f->vfs, first));
    assert_false(varve_vfs_await_cancel(f->vfs, first));
    assert_false(varve_vfs_await_cancel(f->vfs, 12345));
    recall_bytes(f, content.id, TEXT, 16);
    assert_int_equal(one.count, 0);
    assert_int_equal(two.count, 1);
    assert_false(varve_vfs_await_cancel(f->vfs, second));
    struct told none = {0};
    await(f, ino, 0, UINT64_MAX, &none); /* resident: at once */
    assert_int_equal(none.count, 1);
    assert_int_equal(port.asked, 1);
}

static void
test_port_refuses_or_is_missing(void **state)
{
    struct fixture *f = *state;
    struct port port = {.refuse = true};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content);
    struct told told = {0};
    uint64_t ticket = 0;
    FAILS_AS(varve_vfs_await(f->vfs, ino, 0, 4, be_told, &told, &ticket, &f->err), NOT_READY);
    plug(f, &port);
    FAILS_AS(varve_vfs_await(f->vfs, ino, 0, 4, be_told, &told, &ticket, &f->err), OFFLINE);
    assert_int_equal(varve_error_errno(&f->err), EHOSTUNREACH);
    assert_int_equal(told.count, 0);
    port.refuse = false;
    await(f, ino, 0, 4, &told);
    assert_int_equal(port.asked, 2);
    struct varve_error away = {0};
    varve_error_set(&away, VARVE_ERROR_OFFLINE, 0, "no drive");
    varve_vfs_recall_fail(f->vfs, content.id, &away);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.err.text, "no drive");
    varve_vfs_recall_fail(f->vfs, content.id, &away); /* nobody waits: nothing happens */
    port.recall_now = f;
    await(f, ino, 0, 4, &told);
    assert_int_equal(told.count, 2);
    assert_int_equal(told.err.kind, VARVE_ERROR_NONE);
    expect_text(f, ino, TEXT);
}

static void
test_truncated_while_recalled(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content);
    plug(f, &port);
    struct told told = {0};
    struct varve_recall *recall = NULL;
    await(f, ino, 0, 4, &told);
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    truncate_to(f, ino, 0);
    assert_int_equal(told.count, 1); /* to read what is there now: nothing */
    assert_int_equal(told.err.kind, VARVE_ERROR_NONE);
    put_text(f, ino, "new");
    FAILS_AS(varve_recall_write(recall, 0, TEXT, 16, &f->err), NOT_FOUND);
    FAILS_AS(varve_recall_end(recall, NULL, &f->err), NOT_FOUND);
    expect_text(f, ino, "new");
    FAILS_AS(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err), NOT_FOUND);
    expect_consistent(f);
}

static void
test_begin_that_is_not_needed_ends_the_request(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content);
    plug(f, &port);
    struct varve_recall *recall = NULL;
    recall_bytes(f, content.id, TEXT, 16);
    FAILS_AS(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err), EXISTS);
    release(f, content.id);
    struct told told = {0};
    await(f, ino, 0, 4, &told);
    OK(varve_vfs_unlink(f->vfs, ROOT, "file", &f->err));
    /* Asked for, so still there; the recall brings it back for whoever waits. */
    recall_bytes(f, content.id, TEXT, 16);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.err.kind, VARVE_ERROR_NONE);
    struct varve_inode inode;
    FAILS(varve_vfs_getattr(f->vfs, ino, &inode, &f->err), ENOENT);
    FAILS_AS(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err), NOT_FOUND);
    expect_consistent(f);
}

static void
test_recall_goes_back_to_its_tier(void **state)
{
    struct fixture *f = *state;
    struct varve_place old;
    uint64_t ino = make_file(f, ROOT, "file");
    put_text(f, ino, TEXT);
    OK(move_one(f->vfs, content_of(f, ino).id, VARVE_TIER_HDD, &old, &f->err));
    varve_vfs_remove_later(f->vfs, old);
    struct varve_content content = migrate(f, ino);
    recall_bytes(f, content.id, TEXT, 16);
    assert_int_equal(content_of(f, ino).place.tier, VARVE_TIER_HDD);
    FAILS_AS(varve_vfs_release(f->vfs, (struct varve_content_id){999}, &old, &f->err), NOT_FOUND);
    struct varve_recall *recall = NULL;
    release(f, content.id);
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    struct varve_error failure = {0};
    varve_error_set(&failure, VARVE_ERROR_CANCELLED, 0, "stop");
    OK(varve_recall_end(recall, &failure, &f->err));
    expect_consistent(f);
}

static void
test_closing_tells_who_still_waits(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content);
    plug(f, &port);
    struct told told = {0};
    await(f, ino, 0, 4, &told);
    fixture_close(f);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.err.kind, VARVE_ERROR_CANCELLED);
}

/* --- the order asked for --- */

static struct varve_range
next_of(struct varve_recall *recall, uint64_t from, uint64_t to)
{
    const struct varve_range within = {from, to};
    struct varve_range next = {0, 0};
    if (!varve_recall_next(recall, NULL, &within, &next))
        return (struct varve_range){0, 0};
    return next;
}

#define EXPECT_NEXT(from, to, start_, end_)                                                        \
    do {                                                                                           \
        struct varve_range next_ = next_of(recall, from, to);                                      \
        assert_int_equal(next_.start, start_);                                                     \
        assert_int_equal(next_.end, end_);                                                         \
    } while (0)

static void
test_bytes_come_in_the_order_asked_for(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content);
    struct varve_recall *recall = NULL;
    plug(f, &port);
    struct told late = {0}, early = {0}, whole = {0};
    await(f, ino, 10, 2, &late);
    assert_int_equal(port.offset, 10);
    await(f, ino, 0, UINT64_MAX, &whole); /* cares for no order */
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    EXPECT_NEXT(0, 16, 10, 16); /* from what is waited for to the end */
    EXPECT_NEXT(0, 8, 0, 8);    /* of this piece nobody waits for anything */
    OK(varve_recall_write(recall, 10, &TEXT[10], 3, &f->err));
    assert_int_equal(late.count, 1);
    await(f, ino, 2, 4, &early);
    EXPECT_NEXT(0, 16, 13, 16); /* a run is not broken off at once */
    OK(varve_recall_write(recall, 13, &TEXT[13], 3, &f->err));
    EXPECT_NEXT(0, 16, 2, 10);
    OK(varve_recall_write(recall, 2, &TEXT[2], 4, &f->err));
    assert_int_equal(early.count, 1);
    EXPECT_NEXT(0, 16, 6, 10); /* on from there, then the gaps */
    OK(varve_recall_write(recall, 6, &TEXT[6], 4, &f->err));
    EXPECT_NEXT(0, 16, 0, 2);
    assert_false(varve_recall_has(recall, 1, 3));
    assert_true(varve_recall_has(recall, 2, 16));

    struct varve_ranges bad = {0};
    const struct varve_range all = {0, 16};
    struct varve_range next;
    OK(varve_ranges_add(&bad, 0, 1, &f->err));
    OK(varve_recall_next(recall, &bad, &all, &next)); /* what the disc does not give is left out */
    assert_true(next.start == 1 && next.end == 2);
    varve_ranges_done(&bad);

    OK(varve_recall_write(recall, 0, TEXT, 2, &f->err));
    assert_false(varve_recall_next(recall, NULL, &all, &next));
    OK(varve_recall_end(recall, NULL, &f->err));
    assert_int_equal(whole.count, 1);
    expect_text(f, ino, TEXT);
}

static void
test_nobody_waits_any_more(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content);
    struct varve_recall *recall = NULL;
    plug(f, &port);
    struct told told = {0};
    uint64_t one = await(f, ino, 0, 4, &told);
    uint64_t two = await(f, ino, 0, 4, &told);
    assert_true(varve_vfs_await_cancel(f->vfs, one));
    assert_int_equal(port.forgotten, 0);
    assert_true(varve_vfs_await_cancel(f->vfs, two));
    assert_int_equal(port.forgotten, 1);
    uint64_t three = await(f, ino, 0, 4, &told); /* asked for anew */
    assert_int_equal(port.asked, 2);
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    assert_true(varve_recall_is_wanted(recall));
    assert_true(varve_vfs_await_cancel(f->vfs, three));
    assert_int_equal(port.forgotten, 1); /* what has begun is the engine's to end */
    assert_false(varve_recall_is_wanted(recall));
    struct varve_open *open = open_file(f, ino, O_RDONLY);
    assert_true(varve_recall_is_wanted(recall)); /* between two reads */
    varve_open_close(open);
    OK(varve_recall_write(recall, 0, TEXT, 16, &f->err));
    OK(varve_recall_end(recall, NULL, &f->err));
    assert_int_equal(told.count, 0);
    expect_text(f, ino, TEXT);
}

static void
test_abandoned_but_for_one_who_just_came(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content);
    struct varve_recall *recall = NULL;
    plug(f, &port);
    struct told told = {0};
    uint64_t ticket = await(f, ino, 0, 4, &told);
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    assert_true(varve_vfs_await_cancel(f->vfs, ticket));
    varve_recall_abandon(recall);
    assert_int_equal(count_files(f), 0);
    assert_int_equal(port.asked, 1);
    (void)await(f, ino, 8, 4, &told);
    OK(varve_vfs_recall_begin(f->vfs, content.id, &recall, &f->err));
    OK(varve_recall_write(recall, 0, TEXT, 4, &f->err));
    varve_recall_abandon(recall);
    assert_int_equal(told.count, 0); /* no failure: it is asked for anew */
    assert_int_equal(port.asked, 3);
    assert_int_equal(port.offset, 8);
    recall_bytes(f, content.id, TEXT, 16);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.err.kind, VARVE_ERROR_NONE);
    expect_text(f, ino, TEXT);
    expect_consistent(f);
}

static void
test_a_reader_hurries_what_a_job_asked_for(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content), ticket;
    plug(f, &port);
    struct told job = {0}, told[2] = {0};
    const struct varve_reader reader = {.uid = 7};
    (void)await(f, ino, 0, UINT64_MAX, &job);
    assert_false(port.wish.reader);
    for (unsigned i = 0; i < 2; i++) {
        const struct varve_await wanted = {ino, 4, 4, be_told, &told[i]};
        OK(varve_vfs_await_for(f->vfs, &reader, &wanted, &ticket, &f->err));
        assert_int_equal(port.asked, 2); /* once again for the first of them */
        assert_true(port.wish.again && port.wish.reader && port.wish.uid == 7);
    }
    recall_bytes(f, content.id, TEXT, 16);
    assert_int_equal(job.count + told[0].count + told[1].count, 3);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_waiters_wake_as_their_ranges_come),
        T(test_failure_reaches_all_and_drops_the_file),
        T(test_cancel),
        T(test_port_refuses_or_is_missing),
        T(test_truncated_while_recalled),
        T(test_begin_that_is_not_needed_ends_the_request),
        T(test_recall_goes_back_to_its_tier),
        T(test_closing_tells_who_still_waits),
        T(test_bytes_come_in_the_order_asked_for),
        T(test_nobody_waits_any_more),
        T(test_abandoned_but_for_one_who_just_came),
        T(test_a_reader_hurries_what_a_job_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
