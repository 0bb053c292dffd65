/* Names behave as on a local Linux filesystem, down to the errno and the link counts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>

#define ROOT VARVE_ROOT_INO

static const struct varve_caller user = {1000, 100};

enum call { MAKE, MKDIR, SYMLINK, LINK, UNLINK, RMDIR, LOOKUP, RENAME };

/* The tree that every case starts from:
 * /file  /other  /dir/  /dir/inside  /dir/sub/  /empty/  /link -> file */
struct tree {
    uint64_t file, other, dir, inside, sub, empty, link;
};

static struct tree
plant(struct fixture *f)
{
    struct tree t = {0};
    struct varve_inode inode;
    t.file = make_file(f, ROOT, "file");
    t.other = make_file(f, ROOT, "other");
    t.dir = make_dir(f, ROOT, "dir");
    t.inside = make_file(f, t.dir, "inside");
    t.sub = make_dir(f, t.dir, "sub");
    t.empty = make_dir(f, ROOT, "empty");
    OK(varve_vfs_symlink(f->vfs, &user, ROOT, "link", "file", &inode, &f->err));
    t.link = inode.ino;
    return t;
}

static bool
run(struct fixture *f, enum call call, uint64_t parent, const char *name, uint64_t other,
    const char *other_name, unsigned flags)
{
    struct varve_inode inode;
    switch (call) {
    case MAKE:
        return varve_vfs_make(f->vfs, &user, parent, name, S_IFREG | 0644, 0, &inode, &f->err);
    case MKDIR:
        return varve_vfs_make(f->vfs, &user, parent, name, S_IFDIR | 0755, 0, &inode, &f->err);
    case SYMLINK:
        return varve_vfs_symlink(f->vfs, &user, parent, name, other_name, &inode, &f->err);
    case LINK:
        return varve_vfs_link(f->vfs, other, parent, name, &inode, &f->err);
    case UNLINK:
        return varve_vfs_unlink(f->vfs, parent, name, &f->err);
    case RMDIR:
        return varve_vfs_rmdir(f->vfs, parent, name, &f->err);
    case LOOKUP:
        return varve_vfs_lookup(f->vfs, parent, name, &inode, &f->err);
    case RENAME:
        return varve_vfs_rename(f->vfs, parent, name, other, other_name, flags, &f->err);
    }
    return false;
}

static void
expect_links(struct fixture *f, const struct tree *t, uint32_t root, uint32_t dir)
{
    assert_int_equal(attributes(f, ROOT).nlink, root);
    assert_int_equal(attributes(f, t->dir).nlink, dir);
}

struct refusal {
    enum call call;
    uint64_t parent;
    const char *name;
    uint64_t other;
    const char *other_name;
    unsigned flags;
    int number;
};

static void
expect_refusals(struct fixture *f, const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool done = run(f, cases[i].call, cases[i].parent, cases[i].name, cases[i].other,
                        cases[i].other_name, cases[i].flags);
        if (done || varve_error_errno(&f->err) != cases[i].number)
            fail_msg("case %zu ('%.20s'): %s, not errno %d", i, cases[i].name,
                     done ? "done" : f->err.text, cases[i].number);
    }
}

static void
make_long_name(char ret[VARVE_NAME_BYTES_MAX + 2])
{
    memset(ret, 'n', VARVE_NAME_BYTES_MAX + 1);
    ret[VARVE_NAME_BYTES_MAX + 1] = 0;
}

static void
test_errnos(void **state)
{
    struct fixture *f = *state;
    struct tree t = plant(f);
    char long_name[VARVE_NAME_BYTES_MAX + 2];
    make_long_name(long_name);
    VARVE_CLEANUP_FREE char *long_path = calloc(1, VARVE_PATH_BYTES_MAX + 1);
    memset(long_path, 'p', VARVE_PATH_BYTES_MAX);
    const uint64_t none = 99999;
    const struct refusal cases[] = {
        {MAKE, ROOT, "file", 0, NULL, 0, EEXIST},
        {MAKE, ROOT, "dir", 0, NULL, 0, EEXIST},
        {MAKE, t.file, "x", 0, NULL, 0, ENOTDIR},
        {MAKE, none, "x", 0, NULL, 0, ENOENT},
        {MAKE, ROOT, long_name, 0, NULL, 0, ENAMETOOLONG},
        {MAKE, ROOT, "", 0, NULL, 0, EINVAL},
        {MAKE, ROOT, "a/b", 0, NULL, 0, EINVAL},
        {MKDIR, ROOT, "file", 0, NULL, 0, EEXIST},
        {MKDIR, t.link, "x", 0, NULL, 0, ENOTDIR},
        {SYMLINK, ROOT, "file", 0, "to", 0, EEXIST},
        {SYMLINK, ROOT, "new", 0, "", 0, ENOENT},
        {SYMLINK, ROOT, "new", 0, long_path, 0, ENAMETOOLONG},
        {LINK, ROOT, "new", t.dir, NULL, 0, EPERM},
        {LINK, ROOT, "new", none, NULL, 0, ENOENT},
        {LINK, ROOT, "other", t.file, NULL, 0, EEXIST},
        {LINK, t.file, "new", t.file, NULL, 0, ENOTDIR},
        {UNLINK, ROOT, "dir", 0, NULL, 0, EISDIR},
        {UNLINK, ROOT, "none", 0, NULL, 0, ENOENT},
        {UNLINK, t.file, "none", 0, NULL, 0, ENOTDIR},
        {UNLINK, ROOT, long_name, 0, NULL, 0, ENAMETOOLONG},
        {RMDIR, ROOT, "file", 0, NULL, 0, ENOTDIR},
        {RMDIR, ROOT, "link", 0, NULL, 0, ENOTDIR},
        {RMDIR, ROOT, "dir", 0, NULL, 0, ENOTEMPTY},
        {RMDIR, ROOT, "none", 0, NULL, 0, ENOENT},
        {RMDIR, ROOT, ".", 0, NULL, 0, EINVAL},
        {RMDIR, t.dir, "..", 0, NULL, 0, ENOTEMPTY},
        {LOOKUP, ROOT, "none", 0, NULL, 0, ENOENT},
        {LOOKUP, t.file, "x", 0, NULL, 0, ENOTDIR},
        {LOOKUP, ROOT, long_name, 0, NULL, 0, ENAMETOOLONG},
    };
    expect_refusals(f, cases, sizeof cases / sizeof cases[0]);
    expect_links(f, &t, 4, 3);
    assert_int_equal(attributes(f, t.file).nlink, 1);
    long_name[VARVE_NAME_BYTES_MAX] = 0;
    assert_int_equal(attributes(f, make_file(f, ROOT, long_name)).nlink, 1);
    expect_consistent(f);
}

static void
test_rename_errnos(void **state)
{
    struct fixture *f = *state;
    struct tree t = plant(f);
    char long_name[VARVE_NAME_BYTES_MAX + 2];
    make_long_name(long_name);
    const uint64_t none = 99999;
    const struct refusal cases[] = {
        {RENAME, ROOT, "none", ROOT, "new", 0, ENOENT},
        {RENAME, ROOT, "file", t.other, "new", 0, ENOTDIR},
        {RENAME, ROOT, "file", none, "new", 0, ENOENT},
        {RENAME, ROOT, "file", ROOT, "dir", 0, EISDIR},
        {RENAME, ROOT, "dir", ROOT, "file", 0, ENOTDIR},
        {RENAME, ROOT, "empty", ROOT, "dir", 0, ENOTEMPTY},
        {RENAME, ROOT, "dir", t.dir, "new", 0, EINVAL},
        {RENAME, ROOT, "dir", t.sub, "new", 0, EINVAL},
        {RENAME, t.dir, "sub", ROOT, "dir", 0, ENOTEMPTY},
        {RENAME, ROOT, "file", ROOT, "other", RENAME_NOREPLACE, EEXIST},
        {RENAME, ROOT, "file", ROOT, "file", RENAME_NOREPLACE, EEXIST},
        {RENAME, ROOT, "file", ROOT, "none", RENAME_EXCHANGE, ENOENT},
        {RENAME, ROOT, "dir", t.dir, "sub", RENAME_EXCHANGE, EINVAL},
        {RENAME, t.dir, "sub", ROOT, "dir", RENAME_EXCHANGE, EINVAL},
        {RENAME, t.dir, "inside", ROOT, "dir", RENAME_EXCHANGE, EINVAL},
        {RENAME, ROOT, "file", ROOT, "other", RENAME_EXCHANGE | RENAME_NOREPLACE, EINVAL},
        {RENAME, ROOT, "file", ROOT, "other", RENAME_WHITEOUT, EINVAL},
        {RENAME, ROOT, long_name, ROOT, "x", 0, ENAMETOOLONG},
        {RENAME, ROOT, "file", ROOT, long_name, 0, ENAMETOOLONG},
    };
    expect_refusals(f, cases, sizeof cases / sizeof cases[0]);
    expect_links(f, &t, 4, 3);
    expect_consistent(f);
}

static void
test_made_inodes_have_owner_times_and_links(void **state)
{
    struct fixture *f = *state;
    struct varve_inode inode;
    varve_clock_sim_advance(&f->clock, VARVE_NS_PER_SECOND);
    OK(varve_vfs_make(f->vfs, &(struct varve_caller){7, 8}, ROOT, "dev", S_IFCHR | 0600, 0x103,
                      &inode, &f->err));
    assert_int_equal(inode.mode, S_IFCHR | 0600);
    assert_int_equal(inode.uid, 7);
    assert_int_equal(inode.gid, 8);
    assert_int_equal(inode.rdev, 0x103);
    const int64_t now = START_NS + VARVE_NS_PER_SECOND;
    assert_true(inode.atime_ns == now && inode.mtime_ns == now && inode.ctime_ns == now &&
                inode.btime_ns == now);
    struct varve_inode root = attributes(f, ROOT);
    assert_true(root.mtime_ns == now && root.ctime_ns == now);
    FAILS(varve_vfs_make(f->vfs, &user, ROOT, "x", S_IFLNK | 0777, 0, &inode, &f->err), EINVAL);
    FAILS(varve_vfs_make(f->vfs, &user, ROOT, "x", 0644, 0, &inode, &f->err), EINVAL);
}

static void
test_setgid_directory_gives_its_group(void **state)
{
    struct fixture *f = *state;
    struct varve_inode inode;
    uint64_t dir = make_dir(f, ROOT, "dir");
    struct varve_setattr change = {
        .mask = VARVE_SET_MODE | VARVE_SET_GID, .mode = 02775, .gid = 55};
    OK(varve_vfs_setattr(f->vfs, dir, &change, &inode, &f->err));
    inode = attributes(f, make_file(f, dir, "file"));
    assert_int_equal(inode.gid, 55);
    assert_int_equal(inode.mode, S_IFREG | 0644);
    inode = attributes(f, make_dir(f, dir, "sub"));
    assert_int_equal(inode.gid, 55);
    assert_int_equal(inode.mode, S_IFDIR | 02755);
}

static void
test_links(void **state)
{
    struct fixture *f = *state;
    struct tree t = plant(f);
    struct varve_inode inode;
    varve_clock_sim_advance(&f->clock, 5);
    OK(varve_vfs_link(f->vfs, t.file, t.dir, "again", &inode, &f->err));
    assert_int_equal(inode.nlink, 2);
    assert_true(inode.ctime_ns == START_NS + 5 && inode.mtime_ns == START_NS);
    OK(varve_vfs_link(f->vfs, t.link, ROOT, "link2", &inode, &f->err)); /* of symlinks too */
    OK(varve_vfs_unlink(f->vfs, ROOT, "file", &f->err));
    assert_int_equal(attributes(f, t.file).nlink, 1);
    OK(varve_vfs_lookup(f->vfs, t.dir, "again", &inode, &f->err));
    assert_int_equal(inode.ino, t.file);
    OK(varve_vfs_unlink(f->vfs, t.dir, "again", &f->err));
    FAILS(varve_vfs_getattr(f->vfs, t.file, &inode, &f->err), ENOENT);

    inode = attributes(f, t.other);
    inode.nlink = INT32_MAX;
    OK(varve_catalog_inode_update(f->catalog, &inode, &f->err));
    FAILS(varve_vfs_link(f->vfs, t.other, ROOT, "many", &inode, &f->err), EMLINK);
    inode = attributes(f, t.empty);
    inode.nlink = INT32_MAX;
    OK(varve_catalog_inode_update(f->catalog, &inode, &f->err));
    FAILS(varve_vfs_make(f->vfs, &user, t.empty, "sub", S_IFDIR, 0, &inode, &f->err), EMLINK);
    FAILS(varve_vfs_lookup(f->vfs, t.empty, "sub", &inode, &f->err), ENOENT);
    FAILS(varve_vfs_rename(f->vfs, t.dir, "sub", t.empty, "sub", 0, &f->err), EMLINK);
    OK(varve_vfs_lookup(f->vfs, t.dir, "sub", &inode, &f->err));
}

static void
test_rmdir(void **state)
{
    struct fixture *f = *state;
    struct tree t = plant(f);
    struct varve_inode inode;
    OK(varve_vfs_rmdir(f->vfs, ROOT, "empty", &f->err));
    expect_links(f, &t, 3, 3);
    FAILS(varve_vfs_getattr(f->vfs, t.empty, &inode, &f->err), ENOENT);
    FAILS(varve_vfs_make(f->vfs, &user, t.empty, "late", S_IFREG, 0, &inode, &f->err), ENOENT);
    OK(varve_vfs_rmdir(f->vfs, t.dir, "sub", &f->err));
    expect_links(f, &t, 3, 2);
}

static void
test_symlinks(void **state)
{
    struct fixture *f = *state;
    struct tree t = plant(f);
    VARVE_CLEANUP_BUFFER struct varve_buffer target = {0};
    OK(varve_vfs_readlink(f->vfs, t.link, &target, &f->err));
    assert_string_equal(varve_buffer_string(&target), "file");
    assert_int_equal(attributes(f, t.link).size, 4);
    assert_int_equal(attributes(f, t.link).mode, S_IFLNK | 0777);
    FAILS(varve_vfs_readlink(f->vfs, t.file, &target, &f->err), EINVAL);
}

static void
test_rename_moves(void **state)
{
    struct fixture *f = *state;
    struct tree t = plant(f);
    struct varve_inode inode;
    uint64_t parent;
    varve_clock_sim_advance(&f->clock, 5);
    OK(varve_vfs_rename(f->vfs, ROOT, "empty", t.dir, "moved", 0, &f->err));
    expect_links(f, &t, 3, 4);
    OK(varve_vfs_parent(f->vfs, t.empty, &parent, &f->err));
    assert_int_equal(parent, t.dir);
    OK(varve_vfs_lookup(f->vfs, t.empty, "..", &inode, &f->err));
    assert_int_equal(inode.ino, t.dir);
    OK(varve_vfs_lookup(f->vfs, ROOT, "..", &inode, &f->err));
    assert_int_equal(inode.ino, ROOT);
    assert_true(attributes(f, t.empty).ctime_ns == START_NS + 5);
    assert_true(attributes(f, t.dir).mtime_ns == START_NS + 5);
    FAILS(varve_vfs_lookup(f->vfs, ROOT, "empty", &inode, &f->err), ENOENT);
    /* Over an empty directory, which goes. */
    OK(varve_vfs_rename(f->vfs, t.dir, "moved", t.dir, "sub", 0, &f->err));
    expect_links(f, &t, 3, 3);
    FAILS(varve_vfs_getattr(f->vfs, t.sub, &inode, &f->err), ENOENT);
    OK(varve_vfs_rename(f->vfs, ROOT, "file", ROOT, "fresh", RENAME_NOREPLACE, &f->err));
    OK(varve_vfs_lookup(f->vfs, ROOT, "fresh", &inode, &f->err));
    assert_int_equal(inode.ino, t.file);
    expect_consistent(f);
}

static void
test_rename_over_a_file_removes_it(void **state)
{
    struct fixture *f = *state;
    struct tree t = plant(f);
    struct varve_inode inode;
    put_text(f, t.file, "new");
    put_text(f, t.other, "old");
    assert_int_equal(count_files(f), 2);
    OK(varve_vfs_rename(f->vfs, ROOT, "file", ROOT, "other", 0, &f->err));
    OK(varve_vfs_lookup(f->vfs, ROOT, "other", &inode, &f->err));
    assert_int_equal(inode.ino, t.file);
    expect_text(f, t.file, "new");
    FAILS(varve_vfs_getattr(f->vfs, t.other, &inode, &f->err), ENOENT);
    expect_consistent(f);
    assert_int_equal(count_files(f), 1);
    /* Onto another name of itself: both stay. */
    OK(varve_vfs_link(f->vfs, t.file, ROOT, "twin", &inode, &f->err));
    OK(varve_vfs_rename(f->vfs, ROOT, "other", ROOT, "twin", 0, &f->err));
    OK(varve_vfs_lookup(f->vfs, ROOT, "other", &inode, &f->err));
    assert_int_equal(inode.nlink, 2);
}

static void
test_rename_exchange(void **state)
{
    struct fixture *f = *state;
    struct tree t = plant(f);
    struct varve_inode inode;
    OK(varve_vfs_rename(f->vfs, t.dir, "sub", ROOT, "file", RENAME_EXCHANGE, &f->err));
    expect_links(f, &t, 5, 2);
    OK(varve_vfs_lookup(f->vfs, t.dir, "sub", &inode, &f->err));
    assert_int_equal(inode.ino, t.file);
    OK(varve_vfs_lookup(f->vfs, ROOT, "file", &inode, &f->err));
    assert_int_equal(inode.ino, t.sub);
    OK(varve_vfs_rename(f->vfs, ROOT, "file", ROOT, "empty", RENAME_EXCHANGE, &f->err));
    expect_links(f, &t, 5, 2);
    OK(varve_vfs_lookup(f->vfs, ROOT, "empty", &inode, &f->err));
    assert_int_equal(inode.ino, t.sub);
    expect_consistent(f);
}

static void
test_readdir_pages(void **state)
{
    struct fixture *f = *state;
    (void)plant(f);
    VARVE_CLEANUP_FREE struct varve_dentry *page = calloc(2, sizeof *page);
    uint64_t after = 0;
    size_t count = 0;
    unsigned total = 0;
    char all[64] = "";
    do {
        OK(varve_vfs_readdir(f->vfs, ROOT, after, page, 2, &count, &f->err));
        for (size_t i = 0; i < count; i++) {
            assert_true(page[i].cookie > after);
            after = page[i].cookie;
            strcat(strcat(all, page[i].name), " ");
            total++;
        }
    } while (count > 0);
    assert_int_equal(total, 5);
    assert_string_equal(all, "file other dir empty link ");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_errnos),
        T(test_rename_errnos),
        T(test_made_inodes_have_owner_times_and_links),
        T(test_setgid_directory_gives_its_group),
        T(test_links),
        T(test_rmdir),
        T(test_symlinks),
        T(test_rename_moves),
        T(test_rename_over_a_file_removes_it),
        T(test_rename_exchange),
        T(test_readdir_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
