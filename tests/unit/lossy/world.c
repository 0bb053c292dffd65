/* After a power cut lossyfs leaves what was synced, and of the rest only what could be left. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 200

struct disk {
    struct lossy_world world;
    struct lossy_node *root;
    uint64_t seed;
};

static int
setup(void **state)
{
    static struct disk disk;
    memset(&disk, 0, sizeof disk);
    lossy_world_init(&disk.world);
    disk.root = lossy_node_new(&disk.world, NULL, S_IFDIR | 0755);
    *state = &disk;
    return disk.root == NULL;
}

static int
teardown(void **state)
{
    struct disk *disk = *state;
    lossy_tree_drop(&disk->world, disk->root);
    lossy_node_put(&disk->world, disk->root, 1);
    return disk->world.page_count != 0 || disk->world.first != NULL; /* nothing leaks */
}

static void
set_name(struct disk *disk, struct lossy_node *dir, const char *name, struct lossy_node *node)
{
    const struct lossy_set set = {.dir = dir, .name = name, .node = node};
    assert_true(lossy_change(&disk->world, &set, 1));
}

/* The name holds it. */
static struct lossy_node *
make(struct disk *disk, struct lossy_node *dir, const char *name, mode_t mode)
{
    struct lossy_node *node = lossy_node_new(&disk->world, dir->tree, mode);
    assert_non_null(node);
    set_name(disk, dir, name, node);
    lossy_node_put(&disk->world, node, 1);
    return node;
}

static void
rename_to(struct disk *disk, struct lossy_node *from, const char *name, struct lossy_node *to,
          const char *other)
{
    const struct lossy_set sets[2] = {{.dir = to, .name = other, .node = lossy_find(from, name)},
                                      {.dir = from, .name = name}};
    assert_true(lossy_change(&disk->world, sets, 2));
}

static void
fill(struct disk *disk, struct lossy_node *node, char letter, size_t size, uint64_t offset)
{
    char bytes[3 * LOSSY_PAGE_BYTES];
    assert_true(size <= sizeof bytes);
    memset(bytes, letter, size);
    assert_true(lossy_write(&disk->world, node, bytes, size, offset));
}

static void
sync_node(struct disk *disk, struct lossy_node *node)
{
    lossy_sync_node(&disk->world, node, false);
}

static struct lossy_node *
crash(struct disk *disk, enum lossy_loss loss)
{
    struct varve_random_seeded random;
    varve_random_seeded_init(&random, ++disk->seed);
    struct lossy_node *left = lossy_crash(&disk->world, disk->root, loss, &random.random);
    assert_non_null(left);
    return left;
}

static void
done(struct disk *disk, struct lossy_node *left)
{
    lossy_tree_drop(&disk->world, left);
    lossy_node_put(&disk->world, left, 1);
}

static void
expect_text(const struct lossy_node *node, const char *text)
{
    char bytes[64] = "";
    assert_non_null(node);
    assert_int_equal(lossy_read(node, bytes, sizeof bytes, 0), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void
test_nothing_synced_is_gone(void **state)
{
    struct disk *disk = *state;
    struct lossy_node *file = make(disk, disk->root, "file", S_IFREG | 0644);
    fill(disk, file, 'a', 5, 0);
    struct lossy_node *left = crash(disk, LOSSY_ALL);
    assert_null(lossy_find(left, "file"));
    done(disk, left);
    left = crash(disk, LOSSY_KILL);
    expect_text(lossy_find(left, "file"), "aaaaa");
    done(disk, left);
}

static void
test_a_name_needs_its_directory(void **state)
{
    struct disk *disk = *state;
    struct lossy_node *file = make(disk, disk->root, "file", S_IFREG | 0644);
    fill(disk, file, 'a', 5, 0);
    sync_node(disk, file);
    struct lossy_node *left = crash(disk, LOSSY_ALL);
    assert_null(lossy_find(left, "file"));
    done(disk, left);
    sync_node(disk, disk->root);
    fill(disk, file, 'b', 9, 0);
    left = crash(disk, LOSSY_ALL);
    expect_text(lossy_find(left, "file"), "aaaaa");
    done(disk, left);
}

static void
test_a_name_without_bytes_is_an_empty_file(void **state)
{
    struct disk *disk = *state;
    fill(disk, make(disk, disk->root, "file", S_IFREG | 0644), 'a', 5, 0);
    sync_node(disk, disk->root);
    struct lossy_node *left = crash(disk, LOSSY_ALL);
    expect_text(lossy_find(left, "file"), "");
    done(disk, left);
}

static void
test_any_sync_of_a_journal_keeps_names(void **state)
{
    struct disk *disk = *state;
    disk->world.journal = true;
    struct lossy_node *file = make(disk, disk->root, "file", S_IFREG | 0644);
    (void)make(disk, disk->root, "other", S_IFREG | 0644);
    fill(disk, file, 'a', 5, 0);
    sync_node(disk, file);
    struct lossy_node *left = crash(disk, LOSSY_ALL);
    expect_text(lossy_find(left, "file"), "aaaaa");
    expect_text(lossy_find(left, "other"), "");
    done(disk, left);
}

static void
test_a_rename_is_durable_whole_or_not(void **state)
{
    struct disk *disk = *state;
    struct lossy_node *to = make(disk, disk->root, "to", S_IFDIR | 0755);
    fill(disk, make(disk, disk->root, "file", S_IFREG | 0644), 'a', 5, 0);
    lossy_sync_tree(&disk->world, disk->root);
    rename_to(disk, disk->root, "file", to, "moved");
    unsigned moved = 0;
    for (unsigned i = 0; i < SEEDS; i++) {
        struct lossy_node *left = crash(disk, i == 0 ? LOSSY_ALL : LOSSY_MIXED);
        struct lossy_node *there = lossy_find(lossy_find(left, "to"), "moved");
        assert_true((there == NULL) != (lossy_find(left, "file") == NULL));
        assert_true(i > 0 || there == NULL);
        moved += there != NULL;
        done(disk, left);
    }
    assert_in_range(moved, SEEDS / 10, SEEDS - SEEDS / 10);
    sync_node(disk, to); /* either directory will do */
    struct lossy_node *left = crash(disk, LOSSY_ALL);
    assert_null(lossy_find(left, "file"));
    expect_text(lossy_find(lossy_find(left, "to"), "moved"), "aaaaa");
    done(disk, left);
}

static void
test_a_synced_name_takes_older_changes_of_it_along(void **state)
{
    struct disk *disk = *state;
    struct lossy_node *a = make(disk, disk->root, "a", S_IFDIR | 0755);
    struct lossy_node *b = make(disk, disk->root, "b", S_IFDIR | 0755);
    sync_node(disk, disk->root);
    (void)make(disk, a, "file", S_IFREG | 0644); /* not synced */
    rename_to(disk, a, "file", b, "file");
    sync_node(disk, b);
    for (unsigned i = 0; i < SEEDS; i++) { /* the creation does not come back */
        struct lossy_node *left = crash(disk, LOSSY_MIXED);
        assert_null(lossy_find(lossy_find(left, "a"), "file"));
        assert_non_null(lossy_find(lossy_find(left, "b"), "file"));
        done(disk, left);
    }
}

static void
test_names_are_lost_from_the_last_one(void **state)
{
    struct disk *disk = *state;
    unsigned counts[11] = {0};
    for (unsigned i = 0; i < 10; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "n%u", i);
        (void)make(disk, disk->root, name, S_IFREG | 0644);
    }
    for (unsigned i = 0; i < SEEDS; i++) {
        struct lossy_node *left = crash(disk, LOSSY_SOME);
        unsigned there = 0;
        char name[8] = "n0";
        while (there < 10 && lossy_find(left, name) != NULL)
            (void)snprintf(name, sizeof name, "n%u", ++there);
        for (unsigned more = there; more < 10; more++) {
            (void)snprintf(name, sizeof name, "n%u", more);
            assert_null(lossy_find(left, name));
        }
        counts[there]++;
        done(disk, left);
    }
    for (unsigned i = 0; i <= 10; i++)
        assert_true(counts[i] > 0);
}

static void
test_unlinked_is_there_until_synced(void **state)
{
    struct disk *disk = *state;
    fill(disk, make(disk, disk->root, "file", S_IFREG | 0644), 'a', 5, 0);
    lossy_sync_tree(&disk->world, disk->root);
    set_name(disk, disk->root, "file", NULL);
    assert_null(lossy_find(disk->root, "file"));
    struct lossy_node *left = crash(disk, LOSSY_ALL);
    expect_text(lossy_find(left, "file"), "aaaaa");
    done(disk, left);
    sync_node(disk, disk->root);
    left = crash(disk, LOSSY_ALL);
    assert_null(lossy_find(left, "file"));
    done(disk, left);
}

static void
test_hard_links_stay_one_file(void **state)
{
    struct disk *disk = *state;
    struct lossy_node *file = make(disk, disk->root, "one", S_IFREG | 0644);
    set_name(disk, disk->root, "two", file);
    sync_node(disk, disk->root);
    struct lossy_node *left = crash(disk, LOSSY_ALL);
    assert_ptr_equal(lossy_find(left, "one"), lossy_find(left, "two"));
    assert_int_equal(lossy_find(left, "one")->links, 2);
    done(disk, left);
}

/* Old, new or torn at a sector: all of them happen, and nothing else does. */
static void
test_blocks_are_old_new_or_torn(void **state)
{
    struct disk *disk = *state;
    struct lossy_node *file = make(disk, disk->root, "file", S_IFREG | 0644);
    fill(disk, file, 'a', 3 * LOSSY_PAGE_BYTES, 0);
    lossy_sync_tree(&disk->world, disk->root);
    fill(disk, file, 'b', 2 * LOSSY_PAGE_BYTES, 0);
    unsigned old = 0, fresh = 0, torn = 0, reordered = 0;
    for (unsigned i = 0; i < SEEDS; i++) {
        char bytes[3 * LOSSY_PAGE_BYTES];
        struct lossy_node *left = crash(disk, LOSSY_SOME);
        assert_int_equal(lossy_read(lossy_find(left, "file"), bytes, sizeof bytes, 0),
                         sizeof bytes);
        size_t news = 0;
        while (news < LOSSY_PAGE_BYTES && bytes[news] == 'b')
            news++;
        assert_int_equal(news % LOSSY_SECTOR_BYTES, 0);
        for (size_t j = news; j < LOSSY_PAGE_BYTES; j++)
            assert_int_equal(bytes[j], 'a');
        assert_int_equal(bytes[2 * LOSSY_PAGE_BYTES], 'a'); /* was not touched */
        old += news == 0;
        fresh += news == LOSSY_PAGE_BYTES;
        torn += news > 0 && news < LOSSY_PAGE_BYTES;
        reordered += news == 0 && bytes[LOSSY_PAGE_BYTES] == 'b';
        done(disk, left);
    }
    assert_true(old > 0 && fresh > 0 && torn > 0 && reordered > 0);
}

static void
test_a_lost_truncation_brings_old_bytes_back(void **state)
{
    struct disk *disk = *state;
    struct lossy_node *file = make(disk, disk->root, "file", S_IFREG | 0644);
    fill(disk, file, 'a', 100, 0);
    lossy_sync_tree(&disk->world, disk->root);
    assert_true(lossy_truncate(&disk->world, file, 10));
    fill(disk, file, 'b', 50, 10);
    unsigned whole = 0, cut = 0;
    for (unsigned i = 0; i < SEEDS; i++) {
        char bytes[128];
        struct lossy_node *left = crash(disk, LOSSY_SOME);
        size_t size = lossy_read(lossy_find(left, "file"), bytes, sizeof bytes, 0);
        whole += size == 100;
        cut += size < 100;
        assert_true(size == 100 || (size >= 10 && size <= 60));
        for (size_t j = 0; j < size;
             j++) /* behind a cut that reached the disk nothing old is left */
            assert_true(bytes[j] == 'a' ? j < 10 || size == 100 : bytes[j] == 'b' || bytes[j] == 0);
        done(disk, left);
    }
    assert_true(whole > 0 && cut > 0);
}

static void
test_attributes_need_fsync_not_fdatasync(void **state)
{
    struct disk *disk = *state;
    struct lossy_node *file = make(disk, disk->root, "file", S_IFREG | 0644);
    sync_node(disk, disk->root);
    assert_true(lossy_xattr_set(file, "user.a", "1", 1));
    fill(disk, file, 'a', 5, 0);
    lossy_sync_node(&disk->world, file, true);
    struct lossy_node *left = crash(disk, LOSSY_ALL);
    expect_text(lossy_find(left, "file"), "aaaaa");
    assert_null(lossy_xattr_find(lossy_find(left, "file"), "user.a"));
    done(disk, left);
    sync_node(disk, file);
    left = crash(disk, LOSSY_ALL);
    assert_non_null(lossy_xattr_find(lossy_find(left, "file"), "user.a"));
    done(disk, left);
}

static void
test_a_crash_of_a_crash_loses_nothing_more(void **state)
{
    struct disk *disk = *state;
    fill(disk, make(disk, disk->root, "file", S_IFREG | 0644), 'a', 5, 0);
    struct lossy_node *left = crash(disk, LOSSY_BYTES);
    struct varve_random_seeded random;
    varve_random_seeded_init(&random, 1);
    struct lossy_node *again = lossy_crash(&disk->world, left, LOSSY_ALL, &random.random);
    assert_int_equal(lossy_find(again, "file")->now.size, lossy_find(left, "file")->now.size);
    done(disk, again);
    done(disk, left);
}

static void
test_a_disk_that_lies_loses_what_was_synced(void **state)
{
    struct disk *disk = *state;
    disk->world.lie = true;
    (void)make(disk, disk->root, "file", S_IFREG | 0644);
    lossy_sync_tree(&disk->world, disk->root);
    struct lossy_node *left = crash(disk, LOSSY_ALL);
    assert_null(lossy_find(left, "file"));
    done(disk, left);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_synced_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_name_needs_its_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_name_without_bytes_is_an_empty_file, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_any_sync_of_a_journal_keeps_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_rename_is_durable_whole_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_synced_name_takes_older_changes_of_it_along, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_names_are_lost_from_the_last_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unlinked_is_there_until_synced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hard_links_stay_one_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blocks_are_old_new_or_torn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lost_truncation_brings_old_bytes_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_attributes_need_fsync_not_fdatasync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_crash_of_a_crash_loses_nothing_more, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_disk_that_lies_loses_what_was_synced, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
