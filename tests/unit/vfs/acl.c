/* SPDX-License-Identifier: Apache-2.0 */
/* ACLs are refused unless the kernel would take them; modes and ACLs follow each other. */
#include "acl_codec.h"
#include "fixture.h"

#include <fcntl.h>
#include <linux/posix_acl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <varve/byteorder.h>

#define ROOT VARVE_ROOT_INO
#define NOBODY UINT32_MAX
#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

struct bytes {
    uint8_t data[256];
    size_t size;
};

/* Entries are tag, perm, id, ...; a tag of 0 ends them. */
static struct bytes
value_of(const uint32_t *entries)
{
    struct bytes value = {.size = 4};
    varve_put_le32(value.data, 2);
    for (; entries[0] != 0; entries += 3) {
        varve_put_le16(value.data + value.size, (uint16_t)entries[0]);
        varve_put_le16(value.data + value.size + 2, (uint16_t)entries[1]);
        varve_put_le32(value.data + value.size + 4, entries[2]);
        value.size += 8;
    }
    return value;
}

/* Owner rwx, user 1000 rw, group r, mask rw, others nothing. */
static const uint32_t named[] = {ACL_USER_OBJ,  7, NOBODY, ACL_USER, 6, 1000,
                                 ACL_GROUP_OBJ, 4, NOBODY, ACL_MASK, 6, NOBODY,
                                 ACL_OTHER,     0, NOBODY, 0};
static const uint32_t plain[] = {ACL_USER_OBJ, 6,         NOBODY, ACL_GROUP_OBJ, 4,
                                 NOBODY,       ACL_OTHER, 0,      NOBODY,        0};

static void
test_decode(void **state)
{
    (void)state;
    struct acl acl;
    struct varve_error err = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer again = {0};
    struct bytes value = value_of(named);
    assert_true(acl_decode(value.data, value.size, &acl, &err));
    assert_int_equal(acl.count, 5);
    assert_int_equal(acl.entries[1].id, 1000);
    acl_encode(&acl, &again);
    assert_int_equal(again.size, value.size);
    assert_memory_equal(again.data, value.data, value.size);
    for (size_t cut = 0; cut < value.size; cut++) /* no beginning of an ACL is one */
        assert_false(acl_decode(value.data, cut, &acl, &err));
    value.data[0] = 1; /* version */
    assert_false(acl_decode(value.data, value.size, &acl, &err));
}

static void
test_decode_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint32_t entries[24];
    } table[] = {
        {"nothing", {0}},
        {"no owner", {ACL_GROUP_OBJ, 4, NOBODY, ACL_OTHER, 0, NOBODY}},
        {"no group", {ACL_USER_OBJ, 4, NOBODY, ACL_OTHER, 0, NOBODY}},
        {"no other", {ACL_USER_OBJ, 4, NOBODY, ACL_GROUP_OBJ, 0, NOBODY}},
        {"two owners",
         {ACL_USER_OBJ, 4, NOBODY, ACL_USER_OBJ, 4, NOBODY, ACL_GROUP_OBJ, 0, NOBODY, ACL_OTHER, 0,
          NOBODY}},
        {"named without a mask",
         {ACL_USER_OBJ, 4, NOBODY, ACL_USER, 4, 7, ACL_GROUP_OBJ, 0, NOBODY, ACL_OTHER, 0, NOBODY}},
        {"named nobody",
         {ACL_USER_OBJ, 4, NOBODY, ACL_USER, 4, NOBODY, ACL_GROUP_OBJ, 0, NOBODY, ACL_MASK, 7,
          NOBODY, ACL_OTHER, 0, NOBODY}},
        {"order", {ACL_USER_OBJ, 4, NOBODY, ACL_OTHER, 0, NOBODY, ACL_GROUP_OBJ, 0, NOBODY}},
        {"permission 8", {ACL_USER_OBJ, 8, NOBODY, ACL_GROUP_OBJ, 0, NOBODY, ACL_OTHER, 0, NOBODY}},
        {"tag 3",
         {ACL_USER_OBJ, 4, NOBODY, 3, 0, NOBODY, ACL_GROUP_OBJ, 0, NOBODY, ACL_OTHER, 0, NOBODY}},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct acl acl;
        struct varve_error err = {0};
        struct bytes value = value_of(table[i].entries);
        if (acl_decode(value.data, value.size, &acl, &err) || varve_error_errno(&err) != EINVAL)
            fail_msg("taken or refused otherwise: %s", table[i].why);
    }
}

static void
test_decode_limit(void **state)
{
    (void)state;
    struct acl acl;
    struct varve_error err = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    acl.count = 2;
    acl.entries[0] = (struct acl_entry){ACL_USER_OBJ, 7, NOBODY};
    acl.entries[1] = (struct acl_entry){ACL_GROUP_OBJ, 7, NOBODY};
    for (uint32_t i = 0; acl.count < ACL_ENTRIES_MAX - 2; i++)
        acl.entries[acl.count++] = (struct acl_entry){ACL_GROUP, 5, i};
    acl.entries[acl.count++] = (struct acl_entry){ACL_MASK, 5, NOBODY};
    acl.entries[acl.count++] = (struct acl_entry){ACL_OTHER, 5, NOBODY};
    acl_encode(&acl, &value);
    assert_true(acl_decode(value.data, value.size, &acl, &err));
    varve_buffer_zeros(&value, 8);
    assert_false(acl_decode(value.data, value.size, &acl, &err));
    assert_int_equal(varve_error_errno(&err), E2BIG);
}

static void
test_modes(void **state)
{
    (void)state;
    struct acl acl;
    struct varve_error err = {0};
    uint32_t mode;
    struct bytes value = value_of(named);
    assert_true(acl_decode(value.data, value.size, &acl, &err));
    assert_false(acl_to_mode(&acl, S_IFREG | 04111, &mode));
    assert_int_equal(mode, S_IFREG | 04760); /* the mask stands in the group bits */
    acl_take_mode(&acl, 0741);
    assert_int_equal(acl.entries[3].perm, 4); /* mask */
    assert_int_equal(acl.entries[2].perm, 4); /* group: as it was */
    assert_int_equal(acl.entries[4].perm, 1);
    assert_true(acl_decode(value.data, value.size, &acl, &err));
    assert_false(acl_inherit(&acl, S_IFREG | 02647, &mode));
    assert_int_equal(mode, S_IFREG | 02640);
    assert_int_equal(acl.entries[0].perm, 6);
    assert_int_equal(acl.entries[3].perm, 4);
    value = value_of(plain);
    assert_true(acl_decode(value.data, value.size, &acl, &err));
    assert_true(acl_to_mode(&acl, S_IFREG, &mode));
    assert_int_equal(mode, S_IFREG | 0640);
    acl_take_mode(&acl, 0751);
    assert_int_equal(acl.entries[1].perm, 5); /* without a mask the group itself */
}

static void
set_acl(struct fixture *f, uint64_t ino, const char *name, const uint32_t *entries, int flags)
{
    struct bytes value = value_of(entries);
    OK(varve_vfs_xattr_set(f->vfs, ino, name, value.data, value.size, flags, &f->err));
}

static bool
has_acl(struct fixture *f, uint64_t ino, const char *name, struct acl *ret)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer value = {0};
    if (!varve_vfs_xattr_get(f->vfs, ino, name, &value, &f->err))
        return false;
    OK(acl_decode(value.data, value.size, ret, &f->err));
    return true;
}

static void
test_set_and_chmod(void **state)
{
    struct fixture *f = *state;
    struct acl acl;
    struct varve_inode inode;
    uint64_t file = make_file(f, ROOT, "file");
    set_acl(f, file, ACCESS, named, 0);
    assert_int_equal(attributes(f, file).mode, S_IFREG | 0760);
    struct varve_setattr change = {.mask = VARVE_SET_MODE, .mode = 04740};
    OK(varve_vfs_setattr(f->vfs, file, &change, &inode, &f->err));
    assert_true(has_acl(f, file, ACCESS, &acl));
    assert_int_equal(acl.entries[3].perm, 4);
    int64_t before = attributes(f, file).ctime_ns;
    varve_clock_sim_advance(&f->clock, 5);
    set_acl(f, file, ACCESS, plain, 0); /* says no more than a mode: nothing is stored */
    assert_false(has_acl(f, file, ACCESS, &acl));
    assert_int_equal(attributes(f, file).mode, S_IFREG | 04640);
    assert_true(attributes(f, file).ctime_ns > before);
    before = attributes(f, file).ctime_ns;
    varve_clock_sim_advance(&f->clock, 5);
    set_acl(f, file, ACCESS, plain, 0);
    assert_true(attributes(f, file).ctime_ns == before); /* nothing changed */
    struct bytes value = value_of(named);
    FAILS(varve_vfs_xattr_set(f->vfs, file, DEFAULT, value.data, value.size, 0, &f->err), EACCES);
    OK(varve_vfs_xattr_remove(f->vfs, file, ACCESS, &f->err));
}

static void
test_setgid_is_lost_on_demand(void **state)
{
    struct fixture *f = *state;
    struct varve_inode inode;
    uint64_t file = make_file(f, ROOT, "file");
    struct varve_setattr change = {.mask = VARVE_SET_MODE, .mode = 02770};
    OK(varve_vfs_setattr(f->vfs, file, &change, &inode, &f->err));
    set_acl(f, file, ACCESS, named, 0);
    assert_int_equal(attributes(f, file).mode, S_IFREG | 02760);
    set_acl(f, file, ACCESS, named, VARVE_XATTR_LOSE_SETGID); /* even if the ACL is the same */
    assert_int_equal(attributes(f, file).mode, S_IFREG | 0760);
}

static uint64_t
make_under(struct fixture *f, uint64_t parent, const char *name, uint32_t mode, uint32_t umask)
{
    struct varve_inode inode;
    const struct varve_caller caller = {1000, 100, umask};
    OK(varve_vfs_make(f->vfs, &caller, parent, name, mode, 0, &inode, &f->err));
    assert_int_equal(inode.mode, attributes(f, inode.ino).mode);
    return inode.ino;
}

static void
test_inheritance(void **state)
{
    struct fixture *f = *state;
    struct acl acl;
    uint64_t dir = make_dir(f, ROOT, "dir");
    assert_int_equal(attributes(f, make_under(f, dir, "m", S_IFREG | 0666, 027)).mode,
                     S_IFREG | 0640);
    set_acl(f, dir, DEFAULT, named, 0);
    uint64_t file =
        make_under(f, dir, "f", S_IFREG | 0666, 077); /* no umask where there is an ACL */
    assert_int_equal(attributes(f, file).mode, S_IFREG | 0660);
    assert_true(has_acl(f, file, ACCESS, &acl));
    assert_int_equal(acl.entries[1].perm, 6);
    assert_false(has_acl(f, file, DEFAULT, &acl));
    uint64_t below = make_under(f, dir, "d", S_IFDIR | 0777, 077);
    assert_int_equal(attributes(f, below).mode, S_IFDIR | 0760);
    assert_true(has_acl(f, below, DEFAULT, &acl) && has_acl(f, below, ACCESS, &acl));
    file = make_under(f, below, "deep", S_IFIFO | 0600, 0);
    assert_int_equal(attributes(f, file).mode, S_IFIFO | 0600);
    set_acl(f, dir, DEFAULT, plain, 0); /* a default ACL without names: kept, and obeyed */
    file = make_under(f, dir, "plain", S_IFREG | 0777, 077);
    assert_int_equal(attributes(f, file).mode, S_IFREG | 0640);
    assert_false(has_acl(f, file, ACCESS, &acl));
}

static void
test_tmpfile(void **state)
{
    struct fixture *f = *state;
    struct varve_inode inode;
    struct varve_open *open = NULL;
    struct acl acl;
    const struct varve_caller caller = {1000, 100, 077};
    uint64_t dir = make_dir(f, ROOT, "dir");
    set_acl(f, dir, DEFAULT, named, 0);
    OK(varve_vfs_tmpfile(f->vfs, &caller, dir, 0666, O_RDWR, &open, &inode, &f->err));
    assert_int_equal(inode.mode, S_IFREG | 0660);
    assert_int_equal(inode.nlink, 0);
    assert_true(has_acl(f, inode.ino, ACCESS, &acl));
    write_open(f, open, 0, "text", 4);
    OK(varve_vfs_link(f->vfs, inode.ino, dir, "name", &inode, &f->err));
    assert_int_equal(inode.nlink, 1);
    varve_open_close(open);
    expect_text(f, inode.ino, "text");
    OK(varve_vfs_tmpfile(f->vfs, &caller, dir, 0666, O_RDWR, &open, &inode, &f->err));
    write_open(f, open, 0, "text", 4);
    varve_open_close(open);
    FAILS(varve_vfs_getattr(f->vfs, inode.ino, &inode, &f->err), ENOENT);
    FAILS(varve_vfs_link(f->vfs, inode.ino, dir, "late", &inode, &f->err), ENOENT);
    OK(varve_vfs_reap(f->vfs, &f->err));
    assert_int_equal(count_files(f), 1);
    expect_consistent(f);
}

/* An unlinked file that is open is no file without a name: it cannot come back. */
static void
test_unlinked_cannot_be_linked(void **state)
{
    struct fixture *f = *state;
    struct varve_inode inode;
    uint64_t file = make_file(f, ROOT, "file");
    struct varve_open *open = open_file(f, file, O_RDWR);
    OK(varve_vfs_unlink(f->vfs, ROOT, "file", &f->err));
    FAILS(varve_vfs_link(f->vfs, file, ROOT, "again", &inode, &f->err), ENOENT);
    varve_open_close(open);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_refuses),
        cmocka_unit_test(test_decode_limit),
        cmocka_unit_test(test_modes),
        cmocka_unit_test_setup_teardown(test_set_and_chmod, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_setgid_is_lost_on_demand, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_inheritance, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_tmpfile, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_unlinked_cannot_be_linked, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
