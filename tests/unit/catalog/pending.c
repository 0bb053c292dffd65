/* SPDX-License-Identifier: Apache-2.0 */
/* What is read equals what was written last, whether it is in memory or in SQLite, whatever units
 * were undone, and whenever the rows had to be written in between. */
#include "fixture.h"

#include <inttypes.h>

#define NODES 40u
#define NAMES 24u
#define STEPS 6000u

/* What the catalog should hold. */
struct model {
    struct {
        uint64_t ino; /* 0: none */
        uint64_t size;
    } nodes[NODES];
    struct {
        uint64_t ino;
    } names[NAMES];
    struct {
        uint64_t id, size;
    } contents[NODES];
};

static uint64_t seed;

static unsigned
pick(unsigned count)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % count;
}

static void
name_of(unsigned index, char ret[16])
{
    (void)snprintf(ret, 16, "name-%u", index);
}

/* As the vfs does it: an inode goes after its names. */
static void
delete_names(struct fixture *f, struct model *model, uint64_t ino)
{
    for (unsigned i = 0; i < NAMES; i++) {
        char name[16];
        name_of(i, name);
        if (model->names[i].ino != ino)
            continue;
        MUST(varve_catalog_dentry_delete(f->catalog, 1, name, &err));
        model->names[i].ino = 0;
    }
}

static void
change_node(struct fixture *f, struct model *model)
{
    unsigned i = pick(NODES);
    struct varve_inode inode = {.mode = 0100644, .nlink = 1, .size = pick(1000000)};
    if (model->nodes[i].ino == 0) {
        MUST(varve_catalog_inode_insert(f->catalog, &inode, &model->nodes[i].ino, &err));
        model->nodes[i].size = inode.size;
    } else if (pick(3) == 0) {
        delete_names(f, model, model->nodes[i].ino);
        MUST(varve_catalog_inode_delete(f->catalog, model->nodes[i].ino, 1, &err));
        assert_false(varve_catalog_inode_update(
            f->catalog, &(struct varve_inode){.ino = model->nodes[i].ino}, &err));
        model->nodes[i].ino = 0;
    } else {
        inode.ino = model->nodes[i].ino;
        MUST(varve_catalog_inode_update(f->catalog, &inode, &err));
        model->nodes[i].size = inode.size;
    }
}

static void
change_name(struct fixture *f, struct model *model)
{
    unsigned i = pick(NAMES);
    unsigned node = pick(NODES);
    char name[16];
    name_of(i, name);
    if (model->names[i].ino != 0) {
        assert_false(varve_catalog_dentry_insert(f->catalog, 1, name, 1, &err));
        assert_int_equal(err.kind, VARVE_ERROR_EXISTS);
        MUST(varve_catalog_dentry_delete(f->catalog, 1, name, &err));
        assert_false(varve_catalog_dentry_delete(f->catalog, 1, name, &err));
        model->names[i].ino = 0;
    }
    if (pick(2) == 0 || model->nodes[node].ino == 0)
        return;
    MUST(varve_catalog_dentry_insert(f->catalog, 1, name, model->nodes[node].ino, &err));
    model->names[i].ino = model->nodes[node].ino;
}

static void
change_content(struct fixture *f, struct model *model)
{
    unsigned i = pick(NODES);
    struct varve_content content = {.ino = 7,
                                    .version = 1,
                                    .size = pick(1000000),
                                    .place = {VARVE_TIER_SSD, 1, 5},
                                    .current = true};
    content.id.value = model->contents[i].id;
    if (model->contents[i].id == 0) {
        MUST(varve_catalog_content_insert(f->catalog, &content, &content.id, &err));
        model->contents[i].id = content.id.value;
    } else if (pick(3) == 0) {
        MUST(varve_catalog_content_delete(f->catalog, content.id, &err));
        model->contents[i].id = 0;
    } else {
        MUST(varve_catalog_content_update(f->catalog, &content, &err));
    }
    model->contents[i].size = content.size;
}

/* Statements that make everything be written; also in the middle of a unit. */
static void
ask_for_all(struct fixture *f)
{
    struct varve_catalog_totals totals;
    uint64_t inos[4];
    size_t count;
    if (pick(2) == 0)
        MUST(varve_catalog_totals(f->catalog, &totals, &err));
    else
        MUST(varve_catalog_orphans(f->catalog, 0, inos, 4, &count, &err));
}

static void
take_step(struct fixture *f, struct model *model)
{
    switch (pick(10)) {
    case 0:
        ask_for_all(f);
        break;
    case 1:
    case 2:
    case 3:
        change_node(f, model);
        break;
    case 4:
    case 5:
    case 6:
        change_name(f, model);
        break;
    default:
        change_content(f, model);
    }
}

static void
compare_names(struct fixture *f, const struct model *model)
{
    struct varve_dentry found[NAMES + 1];
    size_t count = 0, wanted = 0;
    for (unsigned i = 0; i < NAMES; i++) {
        char name[16];
        name_of(i, name);
        bool here = model->names[i].ino != 0;
        assert_int_equal(varve_catalog_lookup(f->catalog, 1, name, &found[0], &err), here);
        if (here)
            assert_int_equal(found[0].inode.ino, model->names[i].ino);
        wanted += here;
    }
    MUST(varve_catalog_readdir(f->catalog, 1, 0, found, NAMES + 1, &count, &err));
    assert_int_equal(count, wanted);
    for (size_t i = 0; i < count; i++) {
        for (unsigned n = 0; n < NODES; n++) {
            if (model->nodes[n].ino == found[i].inode.ino)
                assert_int_equal(found[i].inode.size, model->nodes[n].size);
        }
    }
}

static void
compare(struct fixture *f, const struct model *model)
{
    for (unsigned i = 0; i < NODES; i++) {
        struct varve_inode inode;
        struct varve_content content;
        if (model->nodes[i].ino != 0) {
            MUST(varve_catalog_inode_get(f->catalog, model->nodes[i].ino, &inode, &err));
            assert_int_equal(inode.size, model->nodes[i].size);
        }
        if (model->contents[i].id == 0)
            continue;
        MUST(varve_catalog_content_get(f->catalog, (struct varve_content_id){model->contents[i].id},
                                       &content, &err));
        assert_int_equal(content.size, model->contents[i].size);
    }
    compare_names(f, model);
}

static void
run(struct fixture *f, uint64_t start)
{
    struct model model = {0};
    seed = start;
    for (unsigned step = 0; step < STEPS; step++) {
        struct model before = model;
        bool unit = pick(2) == 0;
        unsigned changes = unit ? 1 + pick(12) : 1;
        bool keep = pick(3) != 0;
        if (unit)
            varve_catalog_begin(f->catalog);
        for (unsigned i = 0; i < changes; i++)
            take_step(f, &model);
        if (unit && varve_catalog_end(f->catalog, keep, &err) != keep)
            fail_msg("seed %" PRIu64 ", step %u: %s", start, step, err.text);
        if (unit && !keep)
            model = before;
        if (pick(20) == 0)
            MUST(varve_catalog_sync(f->catalog, &err));
        if (pick(500) == 0)
            fixture_reopen(f);
        if (step % 50 == 0)
            compare(f, &model);
    }
    fixture_reopen(f);
    compare(f, &model);
}

static void
test_random(void **state)
{
    run(*state, 1);
}

static void
test_random_again(void **state)
{
    run(*state, 4711);
}

/* A name, a node and a content that come and go between two commits leave no trace. */
static void
test_nothing_left(void **state)
{
    struct fixture *f = *state;
    struct varve_inode inode = {.mode = 0100644, .nlink = 1};
    struct varve_catalog_totals before, after;
    MUST(varve_catalog_totals(f->catalog, &before, &err));
    for (unsigned i = 0; i < 100000; i++) {
        varve_catalog_begin(f->catalog);
        MUST(varve_catalog_inode_insert(f->catalog, &inode, &inode.ino, &err));
        MUST(varve_catalog_dentry_insert(f->catalog, 1, "temporary", inode.ino, &err));
        MUST(varve_catalog_dentry_delete(f->catalog, 1, "temporary", &err));
        MUST(varve_catalog_inode_delete(f->catalog, inode.ino, 1, &err));
        assert_true(varve_catalog_end(f->catalog, true, &err));
        inode.ino = 0;
    }
    MUST(varve_catalog_totals(f->catalog, &after, &err));
    assert_int_equal(after.inodes, before.inodes);
}

/* A unit of any size stands or falls whole, with what was pending before it. */
static void
test_large_unit(void **state)
{
    struct fixture *f = *state;
    for (unsigned round = 0; round < 4; round++) {
        struct varve_catalog_totals before, after;
        struct varve_inode older = {.mode = 0100644, .nlink = 1, .size = 5};
        uint64_t older_ino, ino = 0;
        bool keep = round % 2 == 1;
        MUST(varve_catalog_totals(f->catalog, &before, &err));
        MUST(varve_catalog_inode_insert(f->catalog, &older, &older_ino, &err));
        varve_catalog_begin(f->catalog);
        older.ino = older_ino;
        older.size = 6;
        MUST(varve_catalog_inode_update(f->catalog, &older, &err));
        for (unsigned i = 0; i < 50000; i++) {
            struct varve_inode inode = {.mode = 0100644, .nlink = 1, .size = i};
            MUST(varve_catalog_inode_insert(f->catalog, &inode, &ino, &err));
        }
        assert_int_equal(varve_catalog_end(f->catalog, keep, &err), keep);
        MUST(varve_catalog_inode_get(f->catalog, older_ino, &older, &err));
        assert_int_equal(older.size, keep ? 6 : 5);
        assert_int_equal(varve_catalog_inode_get(f->catalog, ino, &older, &err), keep);
        MUST(varve_catalog_totals(f->catalog, &after, &err));
        assert_int_equal(after.inodes, before.inodes + 1 + (keep ? 50000 : 0));
        if (round >= 1)
            fixture_reopen(f);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_random),
        FIXTURE_TEST(test_random_again),
        FIXTURE_TEST(test_nothing_left),
        FIXTURE_TEST(test_large_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
