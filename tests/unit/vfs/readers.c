/* Who may not wait is told so and moves no disc; nobody has more recalls under way than he may; who
 * only scans leaves no trace. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "waiting.h"

#include <fcntl.h>
#include <unistd.h>

enum { MANY = 6 };

static void
await_as(struct fixture *f, uint64_t ino, uint32_t uid, struct told *told, uint64_t *ret_ticket)
{
    const struct varve_reader reader = {.uid = uid, .gid = uid};
    const struct varve_await wanted = {ino, 0, 4, be_told, told};
    OK(varve_vfs_await_for(f->vfs, &reader, &wanted, ret_ticket, &f->err));
}

static void
test_a_user_has_so_many_recalls_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content contents[MANY];
    uint64_t inos[MANY], tickets[MANY];
    struct told told[MANY] = {0}, other = {0}, job = {0};
    f->readers.per_user = 2;
    fixture_close(f);
    assert_true(fixture_open(f));
    plug(f, &port);
    for (unsigned i = 0; i < MANY; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "f%u", i);
        inos[i] = make_file(f, ROOT, name);
        put_text(f, inos[i], TEXT);
        contents[i] = migrate(f, inos[i]);
        await_as(f, inos[i], 7, &told[i], &tickets[i]);
    }
    assert_int_equal(port.asked, 2);
    assert_true(port.last.value == contents[1].id.value);
    uint64_t ticket;
    await_as(f, inos[5], 8, &other, &ticket); /* another user is not held up, nor is his file */
    assert_int_equal(port.asked, 3);
    assert_true(port.last.value == contents[5].id.value);
    OK(varve_vfs_await(f->vfs, inos[4], 0, UINT64_MAX, be_told, &job, &ticket, &f->err));
    assert_int_equal(port.asked, 4);
    recall_bytes(f, contents[0].id, TEXT, 16);
    assert_int_equal(told[0].count, 1);
    assert_int_equal(port.asked, 5); /* the next of the line */
    assert_true(port.last.value == contents[2].id.value);
    assert_true(varve_vfs_await_cancel(f->vfs, tickets[3])); /* never asked for */
    assert_int_equal(port.forgotten, 0);
    for (unsigned i = 1; i < MANY; i++) {
        if (i != 3)
            recall_bytes(f, contents[i].id, TEXT, 16);
    }
    assert_int_equal(port.asked, 5);
    assert_int_equal(told[5].count + other.count + job.count + told[4].count, 4);
    assert_int_equal(told[3].count, 0);
}

static void
test_refusals_in_line_do_not_pile_up(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    struct varve_content content;
    struct told told[200] = {0};
    uint64_t ticket;
    f->readers.per_user = 1;
    fixture_close(f);
    assert_true(fixture_open(f));
    plug(f, &port);
    for (unsigned i = 0; i < 200; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "f%u", i);
        uint64_t ino = make_file(f, ROOT, name);
        put_text(f, ino, TEXT);
        struct varve_content row = migrate(f, ino);
        if (i == 0)
            content = row;
        await_as(f, ino, 7, &told[i], &ticket);
    }
    assert_int_equal(port.asked, 1);
    port.refuse = true;
    recall_bytes(f, content.id, TEXT, 16);
    assert_int_equal(port.asked, 200);
    for (unsigned i = 1; i < 200; i++) {
        assert_int_equal(told[i].count, 1);
        assert_int_equal(told[i].err.kind, VARVE_ERROR_OFFLINE);
    }
}

static bool
may_wait(struct fixture *f, uint64_t ino, const struct varve_reader *reader)
{
    struct told told = {0};
    uint64_t ticket;
    const struct varve_await wanted = {ino, 0, 4, be_told, &told};
    return varve_vfs_await_for(f->vfs, reader, &wanted, &ticket, &f->err) &&
           varve_vfs_await_cancel(f->vfs, ticket);
}

static void
test_who_may_recall(void **state)
{
    struct fixture *f = *state;
    struct port port = {0};
    static const uint32_t users[] = {1000, 1001};
    static const uint32_t groups[] = {50};
    struct varve_content content;
    uint64_t ino = migrated_file(f, &content);
    const struct varve_reader listed = {1001, 1, 0}, in_group = {5, 50, 0}, root = {0, 0, 0},
                              stranger = {5, 5, 0};
    f->readers = (struct varve_reader_rules){
        .mode = VARVE_RECALL_AGAIN, .users = {users, 2}, .groups = {groups, 1}};
    fixture_close(f);
    assert_true(fixture_open(f));
    plug(f, &port);
    assert_true(may_wait(f, ino, NULL));
    assert_true(may_wait(f, ino, &listed));
    assert_true(may_wait(f, ino, &in_group));
    assert_true(may_wait(f, ino, &root));
    assert_int_equal(port.asked, 4);
    FAILS(may_wait(f, ino, &stranger), EAGAIN);
    f->readers.mode = VARVE_RECALL_DENY;
    fixture_close(f);
    assert_true(fixture_open(f));
    plug(f, &port);
    FAILS(may_wait(f, ino, &stranger), EACCES);
    assert_true(may_wait(f, ino, &listed));
    assert_int_equal(port.asked, 5); /* a refusal asks for nothing */
    recall_bytes(f, content.id, TEXT, 16);
    struct told told = {0};
    uint64_t ticket;
    await_as(f, ino, 5, &told, &ticket); /* what is here may be read by all */
    assert_int_equal(told.count, 1);
}

static void
read_as(struct fixture *f, uint64_t ino, const struct varve_reader *reader)
{
    struct varve_open *open = NULL;
    uint64_t size = 4;
    int fd;
    OK(varve_vfs_open_by(f->vfs, reader, ino, O_RDONLY, &open, &f->err));
    OK(varve_open_read(open, 0, &size, &fd, &f->err));
    varve_open_done(open);
    varve_open_close(open);
}

static void
test_who_scans_heats_nothing(void **state)
{
    struct fixture *f = *state;
    static const uint32_t users[] = {1000};
    static const uint32_t groups[] = {50};
    static const char *const commands[] = {"some-indexer", "vfs_readers"}; /* the second are we */
    const struct varve_reader listed = {1000, 1, 0}, in_group = {5, 50, 0}, other = {5, 5, 0},
                              command = {5, 5, getpid()};
    uint64_t ino = make_file(f, ROOT, "file");
    put_text(f, ino, TEXT);
    f->readers = (struct varve_reader_rules){.scan_users = {users, 1},
                                             .scan_groups = {groups, 1},
                                             .scan_commands = commands,
                                             .scan_command_count = 2};
    fixture_close(f);
    assert_true(fixture_open(f));
    varve_clock_sim_advance(&f->clock, HALF_LIFE_NS);
    const struct varve_inode before = attributes(f, ino);
    read_as(f, ino, &listed);
    read_as(f, ino, &in_group);
    read_as(f, ino, &command);
    assert_true(attributes(f, ino).opens == before.opens);
    assert_true(attributes(f, ino).heat_ns == before.heat_ns);
    assert_true(attributes(f, ino).atime_ns == before.atime_ns);
    read_as(f, ino, &other);
    assert_true(attributes(f, ino).opens == before.opens + 1);
    assert_true(attributes(f, ino).atime_ns > before.atime_ns);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_user_has_so_many_recalls_at_a_time),
        T(test_refusals_in_line_do_not_pile_up),
        T(test_who_may_recall),
        T(test_who_scans_heats_nothing),
    };
    return cmocka_run_group_tests_name("vfs readers", tests, NULL, NULL);
}
