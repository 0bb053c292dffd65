/* Sizes and times are right at every moment of a file's life, and attributes say what it is. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define ROOT VARVE_ROOT_INO
#define DAY_NS (86400 * VARVE_NS_PER_SECOND)

static void
test_size_and_mtime_follow_the_backing_file(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    struct varve_open *open = open_file(f, ino, O_RDWR);
    struct varve_inode inode;
    struct varve_dentry listed;
    size_t count = 0;
    varve_clock_sim_advance(&f->clock, 1000);
    write_open(f, open, 0, "hello", 5);
    inode = attributes(f, ino);
    assert_int_equal(inode.size, 5);
    assert_true(inode.mtime_ns == START_NS + 1000 && inode.ctime_ns == START_NS + 1000);
    varve_clock_sim_advance(&f->clock, 1000);
    write_open(f, open, 100, "x", 1);
    OK(varve_vfs_lookup(f->vfs, ROOT, "file", &inode, &f->err));
    assert_int_equal(inode.size, 101);
    OK(varve_vfs_readdir(f->vfs, ROOT, 0, &listed, 1, &count, &f->err));
    assert_int_equal(listed.inode.size, 101);
    /* The catalog follows at fsync and at the last close. */
    OK(varve_vfs_fsync(f->vfs, ino, &f->err));
    OK(varve_catalog_inode_get(f->catalog, ino, &inode, &f->err));
    assert_int_equal(inode.size, 101);
    write_open(f, open, 101, "y", 1);
    assert_int_equal(attributes(f, ino).size, 102);
    varve_open_close(open);
    OK(varve_catalog_inode_get(f->catalog, ino, &inode, &f->err));
    assert_int_equal(inode.size, 102);
    assert_true(inode.mtime_ns == START_NS + 2000);
    assert_int_equal(content_of(f, ino).size, 102);
    assert_true(content_of(f, ino).mtime_ns == START_NS + 2000);
}

static void
test_setattr(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    uint64_t dir = make_dir(f, ROOT, "dir");
    struct varve_inode inode;
    put_text(f, ino, "0123456789");
    varve_clock_sim_advance(&f->clock, 7);
    struct varve_setattr change = {.mask = VARVE_SET_MODE | VARVE_SET_UID | VARVE_SET_GID |
                                           VARVE_SET_ATIME | VARVE_SET_MTIME,
                                   .mode = 06711,
                                   .uid = 1,
                                   .gid = 2,
                                   .atime_ns = -5,
                                   .mtime_ns = 123456789012345};
    OK(varve_vfs_setattr(f->vfs, ino, &change, &inode, &f->err));
    inode = attributes(f, ino);
    assert_int_equal(inode.mode, S_IFREG | 06711);
    assert_int_equal(inode.uid, 1);
    assert_int_equal(inode.gid, 2);
    assert_true(inode.atime_ns == -5 && inode.mtime_ns == 123456789012345);
    assert_true(inode.ctime_ns == START_NS + 7);

    OK(varve_vfs_xattr_set(f->vfs, ino, "security.capability", "c", 1, 0, &f->err));
    change = (struct varve_setattr){.clear_suid = true, .mask = VARVE_SET_SIZE, .size = 4};
    OK(varve_vfs_setattr(f->vfs, ino, &change, &inode, &f->err));
    assert_int_equal(inode.mode, S_IFREG | 0711);
    assert_int_equal(inode.size, 4);
    assert_true(inode.mtime_ns == START_NS + 7);
    expect_xattr(f, ino, "security.capability", NULL);
    expect_text(f, ino, "0123");
    truncate_to(f, ino, 6);
    expect_bytes(f, ino, "0123\0\0", 6);

    FAILS(varve_vfs_setattr(f->vfs, dir, &change, &inode, &f->err), EISDIR);
    change.size = UINT64_MAX;
    FAILS(varve_vfs_setattr(f->vfs, ino, &change, &inode, &f->err), EFBIG);
    FAILS(varve_vfs_setattr(f->vfs, 9999, &change, &inode, &f->err), ENOENT);
    expect_consistent(f);
}

static void
test_setgid_without_group_execute_is_a_lock_mode(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    struct varve_inode inode;
    struct varve_setattr change = {.mask = VARVE_SET_MODE, .mode = 06644};
    OK(varve_vfs_setattr(f->vfs, ino, &change, &inode, &f->err));
    change = (struct varve_setattr){.clear_suid = true};
    OK(varve_vfs_setattr(f->vfs, ino, &change, &inode, &f->err));
    assert_int_equal(inode.mode, S_IFREG | 02644);
}

static void
test_mtime_set_while_open_stays(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    struct varve_open *open = open_file(f, ino, O_WRONLY);
    struct varve_inode inode;
    write_open(f, open, 0, "x", 1);
    struct varve_setattr change = {.mask = VARVE_SET_MTIME, .mtime_ns = 42 * VARVE_NS_PER_SECOND};
    OK(varve_vfs_setattr(f->vfs, ino, &change, &inode, &f->err));
    assert_true(attributes(f, ino).mtime_ns == 42 * VARVE_NS_PER_SECOND);
    varve_open_close(open);
    assert_true(attributes(f, ino).mtime_ns == 42 * VARVE_NS_PER_SECOND);
    assert_true(content_of(f, ino).mtime_ns == 42 * VARVE_NS_PER_SECOND);
}

static void
test_atime_is_relative(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    put_text(f, ino, "x");
    varve_clock_sim_advance(&f->clock, 10);
    expect_text(f, ino, "x");
    assert_true(attributes(f, ino).atime_ns == START_NS + 10);
    varve_clock_sim_advance(&f->clock, DAY_NS - 1);
    expect_text(f, ino, "x");
    assert_true(attributes(f, ino).atime_ns == START_NS + 10);
    varve_clock_sim_advance(&f->clock, 1);
    expect_text(f, ino, "x");
    assert_true(attributes(f, ino).atime_ns == START_NS + 10 + DAY_NS);
    struct varve_open *open = open_file(f, ino, O_RDONLY);
    varve_open_close(open); /* opened, not read */
    assert_true(attributes(f, ino).atime_ns == START_NS + 10 + DAY_NS);

    struct varve_dentry entry;
    size_t count;
    OK(varve_vfs_readdir(f->vfs, ROOT, 0, &entry, 1, &count, &f->err));
    assert_true(attributes(f, ROOT).atime_ns == START_NS + 10 + DAY_NS);
}

static void
test_heat_decays_by_half_life(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    expect_xattr(f, ino, "user.varve.heat", "0.000");
    struct varve_open *one = open_file(f, ino, O_RDONLY);
    struct varve_open *two = open_file(f, ino, O_RDONLY);
    expect_xattr(f, ino, "user.varve.opens", "2");
    expect_xattr(f, ino, "user.varve.heat", "2.000");
    varve_clock_sim_advance(&f->clock, HALF_LIFE_NS);
    expect_xattr(f, ino, "user.varve.heat", "1.000");
    varve_open_close(one);
    varve_open_close(two);
    varve_open_close(open_file(f, ino, O_RDONLY));
    expect_xattr(f, ino, "user.varve.heat", "2.000");
    expect_xattr(f, ino, "user.varve.opens", "3");
    struct varve_inode inode;
    OK(varve_catalog_inode_get(f->catalog, ino, &inode, &f->err));
    assert_int_equal(inode.opens, 3);
}

static void
test_xattrs(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "file");
    VARVE_CLEANUP_FREE char *big = calloc(1, 65537);
    varve_clock_sim_advance(&f->clock, 3);
    OK(varve_vfs_xattr_set(f->vfs, ino, "user.a", "1", 1, XATTR_CREATE, &f->err));
    assert_true(attributes(f, ino).ctime_ns == START_NS + 3);
    FAILS(varve_vfs_xattr_set(f->vfs, ino, "user.a", "2", 1, XATTR_CREATE, &f->err), EEXIST);
    FAILS(varve_vfs_xattr_set(f->vfs, ino, "user.b", "2", 1, XATTR_REPLACE, &f->err), ENODATA);
    OK(varve_vfs_xattr_set(f->vfs, ino, "user.a", "22", 2, XATTR_REPLACE, &f->err));
    FAILS(varve_vfs_xattr_set(f->vfs, ino, "system.posix_acl_access", "acl", 3, 0, &f->err),
          EINVAL);
    FAILS(varve_vfs_xattr_set(f->vfs, ino, "system.nfs4_acl", "acl", 3, 0, &f->err), EOPNOTSUPP);
    FAILS(varve_vfs_xattr_set(f->vfs, ino, "colour", "red", 3, 0, &f->err), EOPNOTSUPP);
    FAILS(varve_vfs_xattr_set(f->vfs, ino, "user.", "red", 3, 0, &f->err), EINVAL);
    OK(varve_vfs_xattr_set(f->vfs, ino, "security.capability", "cap", 3, 0, &f->err));
    expect_xattr(f, ino, "user.a", "22");
    FAILS(varve_vfs_xattr_set(f->vfs, ino, "user.c", big, 65537, 0, &f->err), E2BIG);
    OK(varve_vfs_xattr_set(f->vfs, ino, "user.c", big, 65536, 0, &f->err));
    OK(varve_vfs_xattr_remove(f->vfs, ino, "user.c", &f->err));
    FAILS(varve_vfs_xattr_remove(f->vfs, ino, "user.c", &f->err), ENODATA);
    FAILS(varve_vfs_xattr_set(f->vfs, ino, "user.varve.heat", "9", 1, 0, &f->err), EPERM);
    FAILS(varve_vfs_xattr_remove(f->vfs, ino, "user.varve.new", &f->err), EPERM);
    FAILS(varve_vfs_xattr_set(f->vfs, 9999, "user.a", "1", 1, 0, &f->err), ENOENT);
    memset(big, 'n', 256);
    big[256] = 0;
    FAILS(varve_vfs_xattr_set(f->vfs, ino, big, "1", 1, 0, &f->err), ERANGE);
    VARVE_CLEANUP_BUFFER struct varve_buffer names = {0};
    OK(varve_vfs_xattr_list(f->vfs, ino, &names, &f->err));
    assert_int_equal(names.size, sizeof "user.a" + sizeof "security.capability");
}

static void
add_set(struct fixture *f, struct varve_content_id id)
{
    struct varve_set set = {.data_discs = 2, .parity_discs = 1, .clusters = 10};
    struct varve_set_id set_id;
    set.uuid.bytes[0] = 9;
    OK(varve_catalog_set_insert(f->catalog, &set, &set_id, &f->err));
    static const char *const discs[] = {"D1", "D2", "D3", "D0"};
    for (uint32_t i = 0; i < 4; i++) {
        struct varve_disc_row disc = {
            .library = "lib", .state = VARVE_DISC_SEALED, .set = set_id, .index = i % 3};
        if (i == 3)
            disc.state = VARVE_DISC_FAILED; /* the first try of disc 0 */
        assert_true(varve_barcode_make(discs[i], &disc.barcode));
        OK(varve_catalog_disc_put(f->catalog, &disc, &f->err));
    }
    for (uint32_t part = 0; part < 2; part++) {
        struct varve_piece piece = {.content = id,
                                    .set = set_id,
                                    .index = part,
                                    .part = part,
                                    .offset = part,
                                    .bytes = 1,
                                    .lba = 320};
        OK(varve_catalog_piece_insert(f->catalog, &piece, &f->err));
    }
}

static void
test_virtual_attributes_tell_the_state(void **state)
{
    struct fixture *f = *state;
    uint64_t dir = make_dir(f, ROOT, "dir");
    uint64_t ino = make_file(f, dir, "file");
    struct varve_place old;
    expect_xattr(f, dir, "user.varve.state", NULL);
    expect_xattr(f, dir, "user.varve.tier", NULL);
    expect_xattr(f, dir, "user.varve.path", "/dir");
    expect_xattr(f, ROOT, "user.varve.path", "/");
    expect_xattr(f, dir, "user.varve.archive", f->dir);
    expect_xattr(f, ino, "user.varve.path", "/dir/file");
    expect_xattr(f, ino, "user.varve.state", "resident");
    expect_xattr(f, ino, "user.varve.tier", "ssd");
    expect_xattr(f, ino, "user.varve.set", NULL);
    expect_xattr(f, ino, "user.varve.discs", NULL);
    expect_xattr(f, ino, "user.varve.none", NULL);
    put_text(f, ino, "ab");
    expect_xattr(f, ino, "user.varve.state", "resident");
    OK(move_one(f->vfs, content_of(f, ino).id, VARVE_TIER_HDD, &old, &f->err));
    varve_vfs_remove_later(f->vfs, old);
    expect_xattr(f, ino, "user.varve.tier", "hdd");
    struct varve_content content = freeze(f, ino);
    expect_xattr(f, ino, "user.varve.state", "planned");
    expect_xattr(f, ino, "user.varve.set", "1");
    expect_xattr(f, ino, "user.varve.discs", NULL); /* planned, no discs yet */
    add_set(f, content.id);
    expect_xattr(f, ino, "user.varve.set", "2");
    expect_xattr(f, ino, "user.varve.discs", "D1 D2");
    seal(f, content.id);
    expect_xattr(f, ino, "user.varve.state", "premigrated");
    release(f, content.id);
    expect_xattr(f, ino, "user.varve.state", "migrated");
    expect_xattr(f, ino, "user.varve.tier", "optical");
    VARVE_CLEANUP_BUFFER struct varve_buffer names = {0};
    OK(varve_vfs_xattr_list(f->vfs, ino, &names, &f->err));
    assert_int_equal(names.size, 0); /* cp -a shall not copy them */
}

static void
test_origin_is_marked_after_the_last_close(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "a\"b\\c\n");
    put_text(f, ino, "x");
    struct varve_place place = content_of(f, ino).place;
    char path[200], value[200] = "", want[200];
    (void)snprintf(path, sizeof path, "%s/ssd/objects/%02x/%016llx", f->dir,
                   (unsigned)(place.file & 0xff), (unsigned long long)place.file);
    OK(varve_vfs_reap(f->vfs, &f->err));
    ssize_t size = getxattr(path, "user.varve.origin", value, sizeof value - 1);
    if (size < 0 && errno == ENOTSUP)
        skip();
    (void)snprintf(want, sizeof want,
                   "{\"ino\":%llu,\"version\":1,\"mode\":420,\"uid\":1000,\"gid\":100,\"path\":\"/"
                   "a\\\"b\\\\c\\u000a\"}",
                   (unsigned long long)ino);
    assert_string_equal(value, want);
}

static void
test_statfs_is_of_both_tiers_counted_once(void **state)
{
    struct fixture *f = *state;
    struct statvfs got, real;
    OK(varve_vfs_statfs(f->vfs, &got, &f->err));
    assert_int_equal(statvfs(f->dir, &real), 0);
    assert_true((uint64_t)got.f_blocks * got.f_frsize <= (uint64_t)real.f_blocks * real.f_frsize);
    assert_true(got.f_blocks > 0 && got.f_bavail <= got.f_blocks);
    assert_int_equal(got.f_namemax, 255);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_size_and_mtime_follow_the_backing_file),
        T(test_setattr),
        T(test_setgid_without_group_execute_is_a_lock_mode),
        T(test_mtime_set_while_open_stays),
        T(test_atime_is_relative),
        T(test_heat_decays_by_half_life),
        T(test_xattrs),
        T(test_virtual_attributes_tell_the_state),
        T(test_origin_is_marked_after_the_last_close),
        T(test_statfs_is_of_both_tiers_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
