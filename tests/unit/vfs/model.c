/* Whatever is done in whatever order, the vfs answers as a simple model in memory does. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <varve/file.h>

/* Here the fixture hangs on the model. */
#undef OK
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, m->f->err.text);                                             \
    } while (0)

#define NODES_MAX 4000
#define ENTRIES_MAX 256
#define BYTES_MAX 3000
#define NAMES 5
#define OPERATIONS 3000

enum phase { NONE, LIVE, FROZEN, PREMIGRATED, MIGRATED };

struct node {
    uint64_t ino;
    bool dir, there;
    unsigned links; /* names; of a directory its subdirectories + 2 */
    enum phase phase;
    size_t size;
    uint8_t bytes[BYTES_MAX];
    struct varve_open *open;
};

struct entry {
    unsigned parent, node; /* node 0 is the root and has no entry */
    char name;
};

/* A frozen version that was replaced: its bytes must stay as they were. */
struct kept {
    struct varve_content_id id;
    size_t size;
    uint8_t bytes[BYTES_MAX];
};

struct model {
    struct fixture *f;
    struct varve_random_seeded random;
    struct node *nodes;
    unsigned node_count;
    struct entry entries[ENTRIES_MAX];
    unsigned entry_count;
    struct kept *kept;
    unsigned kept_count;
};

static unsigned
below(struct model *m, unsigned bound)
{
    return (unsigned)varve_random_below(&m->random.random, bound);
}

static struct entry *
find(struct model *m, unsigned parent, char name)
{
    for (unsigned i = 0; i < m->entry_count; i++) {
        if (m->entries[i].parent == parent && m->entries[i].name == name)
            return &m->entries[i];
    }
    return NULL;
}

static void
add_entry(struct model *m, unsigned parent, char name, unsigned node)
{
    assert_true(m->entry_count < ENTRIES_MAX);
    m->entries[m->entry_count++] = (struct entry){parent, node, name};
}

static void
remove_entry(struct model *m, unsigned parent, char name)
{
    struct entry *entry = find(m, parent, name);
    *entry = m->entries[--m->entry_count];
}

static bool
has_children(struct model *m, unsigned dir)
{
    for (unsigned i = 0; i < m->entry_count; i++) {
        if (m->entries[i].parent == dir)
            return true;
    }
    return false;
}

static unsigned
parent_of(struct model *m, unsigned dir)
{
    for (unsigned i = 0; i < m->entry_count; i++) {
        if (m->entries[i].node == dir)
            return m->entries[i].parent;
    }
    return 0;
}

static bool
is_above(struct model *m, unsigned dir, unsigned below_)
{
    for (;; below_ = parent_of(m, below_)) {
        if (below_ == dir)
            return true;
        if (below_ == 0)
            return false;
    }
}

static unsigned
pick_dir(struct model *m)
{
    for (unsigned tries = 0; tries < 30; tries++) {
        unsigned i = below(m, m->entry_count + 1);
        if (i == m->entry_count)
            return 0;
        if (m->nodes[m->entries[i].node].dir)
            return m->entries[i].node;
    }
    return 0;
}

/* A regular file that has a name; 0: none found. */
static unsigned
pick_file(struct model *m)
{
    for (unsigned tries = 0; tries < 30 && m->entry_count > 0; tries++) {
        unsigned node = m->entries[below(m, m->entry_count)].node;
        if (!m->nodes[node].dir)
            return node;
    }
    return 0;
}

static void
text_name(char name, char ret[2])
{
    ret[0] = name;
    ret[1] = 0;
}

static char
pick_name(struct model *m)
{
    return (char)('a' + (int)below(m, NAMES));
}

/* The real thing did what the model expects: errno 0 is success. */
static void
expect(struct model *m, bool done, int number, const char *what)
{
    int got = done ? 0 : varve_error_errno(&m->f->err);
    if (got != number)
        fail_msg("%s: errno %d (%s), the model says %d", what, got, done ? "" : m->f->err.text,
                 number);
}

/* The current version of a frozen file is about to be replaced or deleted. */
static void
keep_frozen(struct model *m, struct node *node)
{
    if (node->phase != FROZEN)
        return;
    m->kept = realloc(m->kept, (m->kept_count + 1) * sizeof *m->kept);
    struct kept *kept = &m->kept[m->kept_count++];
    kept->id = attributes(m->f, node->ino).content;
    kept->size = node->size;
    memcpy(kept->bytes, node->bytes, BYTES_MAX);
}

/* --- names --- */

static void
do_make(struct model *m)
{
    unsigned parent = pick_dir(m);
    char name[2];
    bool dir = below(m, 4) == 0;
    struct varve_inode inode;
    text_name(pick_name(m), name);
    bool done = varve_vfs_make(m->f->vfs, &(struct varve_caller){1, 1}, m->nodes[parent].ino, name,
                               dir ? S_IFDIR | 0755 : S_IFREG | 0644, 0, &inode, &m->f->err);
    expect(m, done, find(m, parent, name[0]) != NULL ? EEXIST : 0, "make");
    if (!done)
        return;
    assert_true(m->node_count < NODES_MAX);
    struct node *node = &m->nodes[m->node_count];
    *node = (struct node){.ino = inode.ino, .dir = dir, .there = true, .links = dir ? 2 : 1};
    m->nodes[parent].links += dir ? 1 : 0;
    add_entry(m, parent, name[0], m->node_count++);
}

static void
do_link(struct model *m)
{
    unsigned parent = pick_dir(m);
    unsigned node = pick_file(m);
    char name[2];
    struct varve_inode inode;
    if (node == 0)
        return;
    text_name(pick_name(m), name);
    bool done = varve_vfs_link(m->f->vfs, m->nodes[node].ino, m->nodes[parent].ino, name, &inode,
                               &m->f->err);
    expect(m, done, find(m, parent, name[0]) != NULL ? EEXIST : 0, "link");
    if (!done)
        return;
    m->nodes[node].links++;
    add_entry(m, parent, name[0], node);
}

/* Before the call, as the bytes of a frozen version can be asked for only while it is named. */
static void
about_to_lose_name(struct model *m, unsigned index)
{
    struct node *node = &m->nodes[index];
    if (!node->dir && node->links == 1 && node->open == NULL)
        keep_frozen(m, node);
}

static void
lost_name(struct model *m, unsigned index)
{
    struct node *node = &m->nodes[index];
    node->links = node->dir ? 0 : node->links - 1;
    node->there = node->links > 0 || node->open != NULL;
}

static void
do_unlink(struct model *m)
{
    unsigned parent = pick_dir(m);
    char name[2];
    text_name(pick_name(m), name);
    struct entry *entry = find(m, parent, name[0]);
    int number = entry == NULL ? ENOENT : m->nodes[entry->node].dir ? EISDIR : 0;
    if (number == 0)
        about_to_lose_name(m, entry->node);
    expect(m, varve_vfs_unlink(m->f->vfs, m->nodes[parent].ino, name, &m->f->err), number,
           "unlink");
    if (number != 0)
        return;
    lost_name(m, entry->node);
    remove_entry(m, parent, name[0]);
}

static void
do_rmdir(struct model *m)
{
    unsigned parent = pick_dir(m);
    char name[2];
    text_name(pick_name(m), name);
    struct entry *entry = find(m, parent, name[0]);
    int number = entry == NULL                  ? ENOENT
                 : !m->nodes[entry->node].dir   ? ENOTDIR
                 : has_children(m, entry->node) ? ENOTEMPTY
                                                : 0;
    expect(m, varve_vfs_rmdir(m->f->vfs, m->nodes[parent].ino, name, &m->f->err), number, "rmdir");
    if (number != 0)
        return;
    lost_name(m, entry->node);
    m->nodes[parent].links--;
    remove_entry(m, parent, name[0]);
}

static int
rename_errno(struct model *m, const struct entry *from, const struct entry *to, unsigned new_parent,
             unsigned flags)
{
    if (from == NULL)
        return ENOENT;
    bool dir = m->nodes[from->node].dir;
    if (flags == RENAME_EXCHANGE) {
        if (to == NULL)
            return ENOENT;
        if (from->node == to->node)
            return 0;
        bool loop = (dir && is_above(m, from->node, new_parent)) ||
                    (m->nodes[to->node].dir && is_above(m, to->node, from->parent));
        return loop ? EINVAL : 0;
    }
    if (to != NULL && flags == RENAME_NOREPLACE)
        return EEXIST;
    if (to != NULL && from->node == to->node)
        return 0;
    if (dir && is_above(m, from->node, new_parent))
        return EINVAL;
    if (to == NULL)
        return 0;
    if (dir != m->nodes[to->node].dir)
        return dir ? ENOTDIR : EISDIR;
    return dir && has_children(m, to->node) ? ENOTEMPTY : 0;
}

static void
apply_exchange(struct model *m, struct entry *from, struct entry *to)
{
    unsigned node = from->node;
    unsigned from_dirs = m->nodes[from->node].dir ? 1 : 0;
    unsigned to_dirs = m->nodes[to->node].dir ? 1 : 0;
    m->nodes[from->parent].links += to_dirs - from_dirs;
    m->nodes[to->parent].links += from_dirs - to_dirs;
    from->node = to->node;
    to->node = node;
}

static void
apply_replace(struct model *m, struct entry from, struct entry *to, unsigned new_parent, char name)
{
    if (to != NULL) {
        if (m->nodes[to->node].dir)
            m->nodes[new_parent].links--;
        lost_name(m, to->node);
        remove_entry(m, new_parent, name);
    }
    if (m->nodes[from.node].dir) {
        m->nodes[from.parent].links--;
        m->nodes[new_parent].links++;
    }
    remove_entry(m, from.parent, from.name);
    add_entry(m, new_parent, name, from.node);
}

static void
do_rename(struct model *m)
{
    static const unsigned all_flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    unsigned flags = all_flags[below(m, 4)];
    unsigned parent = pick_dir(m);
    unsigned new_parent = pick_dir(m);
    char name[2], new_name[2];
    text_name(pick_name(m), name);
    text_name(pick_name(m), new_name);
    struct entry *from = find(m, parent, name[0]);
    struct entry *to = find(m, new_parent, new_name[0]);
    int number = rename_errno(m, from, to, new_parent, flags);
    bool same = from != NULL && to != NULL && from->node == to->node;
    if (number == 0 && !same && to != NULL && flags == 0)
        about_to_lose_name(m, to->node);
    expect(m,
           varve_vfs_rename(m->f->vfs, m->nodes[parent].ino, name, m->nodes[new_parent].ino,
                            new_name, flags, &m->f->err),
           number, "rename");
    if (number != 0 || same)
        return;
    if (flags == RENAME_EXCHANGE)
        apply_exchange(m, from, to);
    else
        apply_replace(m, *from, to, new_parent, new_name[0]);
}

/* --- bytes --- */

static void
do_write(struct model *m)
{
    unsigned index = pick_file(m);
    if (index == 0)
        return;
    struct node *node = &m->nodes[index];
    size_t offset = below(m, BYTES_MAX - 1);
    size_t size = 1 + below(m, (unsigned)(BYTES_MAX - offset - 1));
    uint8_t bytes[BYTES_MAX];
    int fd = -1;
    m->random.random.fill(&m->random.random, bytes, size);
    struct varve_open *own = node->open == NULL ? open_file(m->f, node->ino, O_RDWR) : NULL;
    struct varve_open *open = own != NULL ? own : node->open;
    int number = node->phase == MIGRATED && node->size > 0 ? EAGAIN : 0;
    keep_frozen(m, node);
    expect(m, varve_open_write(open, &fd, &m->f->err), number, "write");
    if (number == 0) {
        OK(varve_file_pwrite(fd, bytes, size, offset, &m->f->err));
        varve_open_done(open);
        if (offset > node->size)
            memset(node->bytes + node->size, 0, offset - node->size);
        memcpy(node->bytes + offset, bytes, size);
        node->size = offset + size > node->size ? offset + size : node->size;
        node->phase = LIVE;
    }
    varve_open_close(own);
}

static void
do_truncate(struct model *m)
{
    unsigned index = pick_file(m);
    if (index == 0)
        return;
    struct node *node = &m->nodes[index];
    size_t size = below(m, 3) == 0 ? 0 : below(m, 4) == 0 ? node->size : below(m, BYTES_MAX);
    struct varve_setattr change = {.mask = VARVE_SET_SIZE, .size = size};
    struct varve_inode inode;
    bool same = size == node->size;
    int number = node->phase == MIGRATED && size != 0 && !same ? EAGAIN : 0;
    if (!same)
        keep_frozen(m, node);
    expect(m, varve_vfs_setattr(m->f->vfs, node->ino, &change, &inode, &m->f->err), number,
           "truncate");
    if (number != 0)
        return;
    assert_int_equal(inode.size, size);
    if (size > node->size)
        memset(node->bytes + node->size, 0, size - node->size);
    node->size = size;
    if (!same)
        node->phase = LIVE;
}

static void
check_bytes(struct model *m, struct node *node)
{
    uint64_t size = BYTES_MAX;
    int fd = -1;
    uint8_t got[BYTES_MAX];
    struct varve_open *own = node->open == NULL ? open_file(m->f, node->ino, O_RDONLY) : NULL;
    struct varve_open *open = own != NULL ? own : node->open;
    bool away = node->phase == MIGRATED && node->size > 0;
    expect(m, varve_open_read(open, 0, &size, &fd, &m->f->err), away ? EAGAIN : 0, "read");
    if (!away) {
        assert_int_equal(size, node->size);
        if (size > 0) {
            OK(varve_file_pread(fd, got, (size_t)size, 0, &m->f->err));
            varve_open_done(open);
            assert_memory_equal(got, node->bytes, (size_t)size);
        }
    }
    varve_open_close(own);
}

static void
do_read(struct model *m)
{
    unsigned index = pick_file(m);
    if (index != 0)
        check_bytes(m, &m->nodes[index]);
}

static void
close_node(struct model *m, struct node *node)
{
    check_bytes(m, node);
    if (node->links == 0)
        keep_frozen(m, node);
    varve_open_close(VARVE_TAKE(node->open));
    node->there = node->links > 0;
}

static void
do_hold(struct model *m)
{
    unsigned index = pick_file(m);
    if (index != 0 && m->nodes[index].open == NULL)
        m->nodes[index].open = open_file(m->f, m->nodes[index].ino, O_RDWR);
}

static void
do_close(struct model *m)
{
    for (unsigned i = 0; i < m->node_count; i++) {
        if (m->nodes[i].open != NULL && below(m, 3) == 0)
            close_node(m, &m->nodes[i]);
    }
}

/* --- the engine's side --- */

static void
do_freeze(struct model *m, struct node *node)
{
    struct varve_content content;
    if (node->phase == LIVE && node->open == NULL) {
        (void)freeze(m->f, node->ino);
        node->phase = FROZEN;
        return;
    }
    int number = node->phase == NONE ? ENOENT : node->phase == LIVE ? EBUSY : EEXIST;
    expect(m, varve_vfs_freeze(m->f->vfs, node->ino, INT64_MAX, &content, &m->f->err), number,
           "freeze");
}

static void
do_release(struct model *m, struct node *node)
{
    struct varve_place old;
    if (node->phase == NONE)
        return;
    int number = node->open != NULL           ? EBUSY
                 : node->phase == PREMIGRATED ? 0
                 : node->phase == MIGRATED    ? ENOENT
                                              : EINVAL;
    bool done = varve_vfs_release(m->f->vfs, attributes(m->f, node->ino).content, &old, &m->f->err);
    expect(m, done, number, "release");
    if (!done)
        return;
    varve_vfs_remove_later(m->f->vfs, old);
    node->phase = MIGRATED;
}

static void
do_move(struct model *m, struct node *node)
{
    struct varve_place old;
    if (node->phase == NONE)
        return;
    struct varve_content content = content_of(m->f, node->ino);
    enum varve_tier to = content.place.tier == VARVE_TIER_SSD ? VARVE_TIER_HDD : VARVE_TIER_SSD;
    int number = node->open != NULL ? EBUSY : node->phase == MIGRATED ? ENOENT : 0;
    bool done = move_one(m->f->vfs, content.id, to, &old, &m->f->err);
    expect(m, done, number, "move");
    if (done)
        varve_vfs_remove_later(m->f->vfs, old);
}

static void
do_recall(struct model *m, struct node *node)
{
    struct varve_recall *recall = NULL;
    if (node->phase == NONE)
        return;
    struct varve_content_id id = attributes(m->f, node->ino).content;
    if (node->phase != MIGRATED) {
        expect(m, varve_vfs_recall_begin(m->f->vfs, id, &recall, &m->f->err), EEXIST, "recall");
        return;
    }
    recall_bytes(m->f, id, node->bytes, node->size);
    node->phase = PREMIGRATED;
}

static void
do_engine(struct model *m)
{
    unsigned index = pick_file(m);
    if (index == 0)
        return;
    struct node *node = &m->nodes[index];
    switch (below(m, 7)) {
    case 0:
    case 1:
        do_freeze(m, node);
        return;
    case 2:
        if (node->phase == FROZEN) {
            seal(m->f, attributes(m->f, node->ino).content);
            node->phase = PREMIGRATED;
        }
        return;
    case 3:
        do_release(m, node);
        return;
    case 4:
        do_move(m, node);
        return;
    case 5:
        do_recall(m, node);
        return;
    default:
        if (node->phase == FROZEN && below(m, 4) == 0) {
            OK(varve_vfs_thaw(m->f->vfs, attributes(m->f, node->ino).content, &m->f->err));
            node->phase = LIVE;
        }
        return;
    }
}

/* --- the whole --- */

static void
check_dir(struct model *m, unsigned dir)
{
    VARVE_CLEANUP_FREE struct varve_dentry *all = calloc(NAMES + 1, sizeof *all);
    size_t count = 0;
    unsigned expected = 0;
    OK(varve_vfs_readdir(m->f->vfs, m->nodes[dir].ino, 0, all, NAMES + 1, &count, &m->f->err));
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = find(m, dir, all[i].name[0]);
        assert_non_null(entry);
        const struct node *node = &m->nodes[entry->node];
        assert_int_equal(all[i].inode.ino, node->ino);
        assert_int_equal(all[i].inode.nlink, node->links);
        if (!node->dir)
            assert_int_equal(all[i].inode.size, node->size);
    }
    for (unsigned i = 0; i < m->entry_count; i++)
        expected += m->entries[i].parent == dir ? 1 : 0;
    assert_int_equal(count, expected);
}

static void
check_all(struct model *m)
{
    static const char *const states[] = {"resident", "resident", "planned", "premigrated",
                                         "migrated"};
    for (unsigned i = 0; i < m->node_count; i++) {
        struct node *node = &m->nodes[i];
        struct varve_inode inode;
        if (!node->there) {
            expect(m, varve_vfs_getattr(m->f->vfs, node->ino, &inode, &m->f->err), ENOENT,
                   "getattr of what is gone");
            continue;
        }
        assert_int_equal(attributes(m->f, node->ino).nlink, node->links);
        if (node->dir) {
            check_dir(m, i);
            continue;
        }
        expect_xattr(m->f, node->ino, "user.varve.state", states[node->phase]);
        check_bytes(m, node);
    }
}

/* Bytes in a set that is being made never change, whatever became of the file. */
static void
check_kept(struct model *m)
{
    for (unsigned i = 0; i < m->kept_count; i++) {
        struct kept *kept = &m->kept[i];
        struct varve_content row = row_of(m->f, kept->id);
        VARVE_CLEANUP_FD int fd = -1;
        uint8_t got[BYTES_MAX];
        assert_false(row.current);
        assert_int_equal(row.size, kept->size);
        OK(varve_store_open_file(m->f->store, &row.place, O_RDONLY, &fd, &m->f->err));
        assert_int_equal(pread(fd, got, sizeof got, 0), kept->size);
        assert_memory_equal(got, kept->bytes, kept->size);
        if (i % 2 == 0) {
            OK(varve_vfs_thaw(m->f->vfs, kept->id, &m->f->err));
        } else {
            seal(m->f, kept->id);
            release(m->f, kept->id);
        }
    }
    m->kept_count = 0;
}

static void
restart(struct model *m)
{
    for (unsigned i = 0; i < m->node_count; i++) {
        if (m->nodes[i].open != NULL)
            close_node(m, &m->nodes[i]);
    }
    check_kept(m);
    expect_consistent(m->f);
    fixture_close(m->f);
    OK(fixture_open(m->f));
    check_all(m);
}

static void
step(struct model *m)
{
    static void (*const acts[])(struct model *) = {
        do_make,  do_make,   do_link,   do_unlink, do_rmdir,    do_rename,
        do_write, do_write,  do_write,  do_read,   do_truncate, do_hold,
        do_close, do_engine, do_engine, do_engine, do_engine};
    varve_clock_sim_advance(&m->f->clock, below(m, 1000));
    acts[below(m, sizeof acts / sizeof acts[0])](m);
}

static void
run_seed(uint64_t seed, unsigned operations)
{
    void *fixture = NULL;
    assert_int_equal(fixture_setup(&fixture), 0);
    struct model *m = calloc(1, sizeof *m);
    m->f = fixture;
    m->nodes = calloc(NODES_MAX, sizeof *m->nodes);
    m->nodes[0] = (struct node){.ino = VARVE_ROOT_INO, .dir = true, .there = true, .links = 2};
    m->node_count = 1;
    varve_random_seeded_init(&m->random, seed);
    for (unsigned i = 1; i <= operations; i++) {
        step(m);
        if (i % 500 == 0)
            check_all(m);
        if (i % 1500 == 0)
            restart(m);
    }
    restart(m);
    free(m->kept);
    free(m->nodes);
    free(m);
    assert_int_equal(fixture_teardown(&fixture), 0);
}

/* `vfs_model SEED [OPERATIONS]` replays one seed. */
static uint64_t only_seed;
static unsigned operations = OPERATIONS;

static void
test_seeds(void **state)
{
    (void)state;
    if (only_seed != 0) {
        run_seed(only_seed, operations);
        return;
    }
    for (uint64_t seed = 1; seed <= 4; seed++) {
        print_message("seed %d\n", (int)seed);
        run_seed(seed, operations);
    }
}

int
main(int argc, char **argv)
{
    only_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    operations = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : OPERATIONS;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
