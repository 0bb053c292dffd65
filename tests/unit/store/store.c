/* A backing file is found again by its number with its bytes, and no foreign path is ever touched.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/file.h>
#include <varve/store.h>

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <cmocka.h>

static const struct varve_uuid ours = {{1, 2, 3}};
static const struct varve_uuid theirs = {{4, 5, 6}};

struct fixture {
    char dir[64];
    char ssd[80], hdd[80];
    struct varve_store *store;
};

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static bool
open_both(struct fixture *f, const struct varve_uuid *archive, struct varve_error *err)
{
    struct varve_store_path paths[] = {{VARVE_TIER_SSD, 1, f->ssd}, {VARVE_TIER_HDD, 2, f->hdd}};
    return varve_store_open(paths, 2, archive, &f->store, err);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(f->dir, sizeof f->dir, "%.40s/varve-store-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    (void)snprintf(f->ssd, sizeof f->ssd, "%s/ssd", f->dir);
    (void)snprintf(f->hdd, sizeof f->hdd, "%s/hdd", f->dir);
    if (mkdir(f->ssd, 0700) != 0 || mkdir(f->hdd, 0700) != 0)
        return -1;
    struct varve_error err = {0};
    if (!open_both(f, &ours, &err))
        return -1;
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    varve_store_close(f->store);
    int failed = nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return failed;
}

static bool
exists(const struct fixture *f, const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return access(path, F_OK) == 0;
}

static void
write_file(const struct fixture *f, const struct varve_place *place, const char *text)
{
    struct varve_error err = {0};
    VARVE_CLEANUP_FD int fd = -1;
    assert_true(varve_store_create(f->store, place, &fd, &err));
    assert_true(varve_file_pwrite(fd, text, strlen(text), 0, &err));
}

static void
test_create_open_remove(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_place place = {VARVE_TIER_SSD, 1, 0x1234};
    write_file(f, &place, "bytes");
    assert_true(exists(f, "ssd/objects/34/0000000000001234"));
    assert_true(varve_store_sync_name(f->store, &place, &err));

    VARVE_CLEANUP_FD int fd = -1;
    assert_false(varve_store_create(f->store, &place, &fd, &err));
    assert_int_equal(err.kind, VARVE_ERROR_EXISTS);
    assert_true(varve_store_open_file(f->store, &place, O_RDONLY, &fd, &err));
    char bytes[5];
    assert_true(varve_file_pread(fd, bytes, 5, 0, &err));
    assert_memory_equal(bytes, "bytes", 5);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);

    assert_true(varve_store_remove(f->store, &place, &err));
    assert_false(exists(f, "ssd/objects/34/0000000000001234"));
    assert_true(varve_store_remove(f->store, &place, &err));
    int gone = -1;
    assert_false(varve_store_open_file(f->store, &place, O_RDWR, &gone, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
    assert_int_equal(varve_error_errno(&err), EIO);
    assert_non_null(strstr(err.text, "ssd/objects/34/0000000000001234' is missing"));
}

static void
test_unknown_path_number(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    int fd = -1;
    assert_false(
        varve_store_create(f->store, &(struct varve_place){VARVE_TIER_HDD, 9, 1}, &fd, &err));
    assert_string_equal(err.text, "create backing file: tier hdd has no path number 9 in the "
                                  "configuration: Input/output error");
}

static void
test_copy_keeps_bytes_holes_and_mtime(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_place from = {VARVE_TIER_SSD, 1, 7};
    struct varve_place to = {VARVE_TIER_HDD, 2, 8};
    const uint64_t size = (3 << 20) + 17;
    {
        VARVE_CLEANUP_FD int fd = -1;
        assert_true(varve_store_create(f->store, &from, &fd, &err));
        assert_true(varve_file_pwrite(fd, "head", 4, 0, &err));
        assert_true(varve_file_pwrite(fd, "tail", 4, size - 4, &err));
        struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 1000, .tv_nsec = 123456789}};
        assert_int_equal(futimens(fd, times), 0);
    }
    assert_true(varve_store_copy(f->store, &from, &to, size, &err));
    assert_true(varve_store_sync_all(f->store, &err));
    assert_true(varve_store_compare(f->store, &from, &to, size, &err));
    VARVE_CLEANUP_FD int fd = -1;
    assert_true(varve_store_open_file(f->store, &to, O_RDWR, &fd, &err));
    VARVE_CLEANUP_FREE uint8_t *bytes = calloc(1, size);
    VARVE_CLEANUP_FREE uint8_t *want = calloc(1, size);
    memcpy(want, "head", 4);
    memcpy(want + size - 4, "tail", 4);
    assert_true(varve_file_pread(fd, bytes, size, 0, &err));
    assert_memory_equal(bytes, want, size);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, (off_t)size);
    assert_int_equal(st.st_mtim.tv_sec, 1000);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    assert_true(st.st_blocks * 512 < (off_t)size / 2); /* the hole stayed one */

    assert_true(varve_file_pwrite(fd, "x", 1, size / 2, &err));
    assert_false(varve_store_compare(f->store, &from, &to, size, &err));
    assert_int_equal(err.kind, VARVE_ERROR_CORRUPT);
}

static void
test_copy_refuses(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_place from = {VARVE_TIER_SSD, 1, 7};
    struct varve_place to = {VARVE_TIER_HDD, 2, 8};
    write_file(f, &from, "12345");
    assert_false(varve_store_copy(f->store, &from, &to, 6, &err));
    assert_int_equal(err.kind, VARVE_ERROR_CORRUPT);
    assert_false(exists(f, "hdd/objects/08/0000000000000008"));
    assert_false(exists(f, "hdd/tmp/0000000000000008"));

    write_file(f, &to, "other");
    assert_false(varve_store_copy(f->store, &from, &to, 5, &err));
    assert_int_equal(err.kind, VARVE_ERROR_EXISTS);
    VARVE_CLEANUP_FD int fd = -1;
    assert_true(varve_store_open_file(f->store, &to, O_RDONLY, &fd, &err));
    char bytes[5];
    assert_true(varve_file_pread(fd, bytes, 5, 0, &err));
    assert_memory_equal(bytes, "other", 5);
    assert_false(exists(f, "hdd/tmp/0000000000000008"));
}

static void
test_open_refuses_what_is_not_ours(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    char missing[100], file[100], fresh[100];
    (void)snprintf(missing, sizeof missing, "%s/missing", f->dir);
    (void)snprintf(file, sizeof file, "%s/file", f->dir);
    (void)snprintf(fresh, sizeof fresh, "%s/fresh", f->dir);
    assert_int_equal(mkdir(fresh, 0700), 0);
    assert_true(varve_file_replace(file, "x", 1, &err));
    const struct {
        struct varve_store_path second;
        const struct varve_uuid *archive;
        const char *words;
    } cases[] = {
        {{VARVE_TIER_HDD, 2, missing}, &ours, "missing': look at it: No such file or directory"},
        {{VARVE_TIER_HDD, 2, file}, &ours, "file': look at it: Not a directory"},
        {{VARVE_TIER_HDD, 2, f->hdd}, &theirs, "it belongs to another archive or tier"},
        {{VARVE_TIER_SSD, 2, f->hdd}, &ours, "it belongs to another archive or tier"},
        {{VARVE_TIER_SSD, 2, fresh}, &ours, "it is the same directory as"},
        {{VARVE_TIER_SSD, 1, f->ssd}, &ours, "it has the same number as"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_store_path paths[] = {{VARVE_TIER_SSD, 1, fresh}, cases[i].second};
        struct varve_store *store = NULL;
        assert_false(varve_store_open(paths, 2, cases[i].archive, &store, &err));
        assert_int_equal(strncmp(err.text, "tier path '", 11), 0);
        assert_non_null(strstr(err.text, cases[i].words));
        assert_false(exists(f, "fresh/.varve-tier"));
    }
    struct varve_store *store = NULL;
    assert_false(varve_store_open(NULL, 0, &ours, &store, &err));
    assert_string_equal(err.text, "an archive needs a path for its ssd or hdd tier");
}

static void
test_open_again_empties_tmp_only(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_place place = {VARVE_TIER_HDD, 2, 77};
    write_file(f, &place, "kept");
    char torn[120], staged[120];
    (void)snprintf(torn, sizeof torn, "%s/tmp/torn", f->hdd);
    (void)snprintf(staged, sizeof staged, "%s/staged", varve_store_staging(f->store));
    assert_true(varve_file_replace(torn, "x", 1, &err));
    assert_true(varve_file_replace(staged, "x", 1, &err));
    varve_store_close(f->store);
    f->store = NULL;
    assert_true(open_both(f, &ours, &err));
    assert_false(exists(f, "hdd/tmp/torn"));
    assert_true(exists(f, "hdd/staging/staged"));
    VARVE_CLEANUP_FD int fd = -1;
    assert_true(varve_store_open_file(f->store, &place, O_RDWR, &fd, &err));
}

struct seen {
    unsigned count;
    uint64_t bytes;
    uint64_t files;
};

static bool
count_file(void *context, const struct varve_place *place, uint64_t bytes, struct varve_error *err)
{
    struct seen *seen = context;
    seen->count++;
    seen->bytes += bytes;
    seen->files += place->file;
    return seen->count < 4 ||
           varve_error_set(err, VARVE_ERROR_CANCELLED, 0, "that is more than enough");
}

static void
test_each_sees_all_files_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    write_file(f, &(struct varve_place){VARVE_TIER_SSD, 1, 0x1ff}, "1");
    write_file(f, &(struct varve_place){VARVE_TIER_SSD, 1, 0x200}, "22");
    write_file(f, &(struct varve_place){VARVE_TIER_HDD, 2, UINT64_MAX}, "333");
    static const char *const strangers[] = {"00/lost", "01/0000000000000002", "00/000000000000000G",
                                            "00/00000000000000000"};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        char path[160];
        (void)snprintf(path, sizeof path, "%s/objects/%s", f->ssd, strangers[i]);
        assert_true(varve_file_replace(path, "xxxx", 4, &err));
    }
    struct seen seen = {0};
    assert_true(varve_store_each(f->store, count_file, &seen, &err));
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.bytes, 6);
    assert_true(seen.files == 0x1ff + UINT64_C(0x200) - 1);
    write_file(f, &(struct varve_place){VARVE_TIER_HDD, 2, 4}, "");
    seen = (struct seen){0};
    assert_false(varve_store_each(f->store, count_file, &seen, &err));
    assert_int_equal(err.kind, VARVE_ERROR_CANCELLED);
}

static void
test_choose_and_usage(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    uint32_t path_id = 0;
    assert_true(varve_store_choose(f->store, VARVE_TIER_HDD, 1000, &path_id, &err));
    assert_int_equal(path_id, 2);
    assert_false(varve_store_choose(f->store, VARVE_TIER_HDD, UINT64_MAX / 2, &path_id, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NO_SPACE);
    assert_string_equal(err.text, "tier hdd: No space left on device");
    struct varve_tier_usage usage;
    assert_true(varve_store_usage(f->store, VARVE_TIER_SSD, &usage, &err));
    struct statvfs space;
    assert_int_equal(statvfs(f->ssd, &space), 0);
    assert_true(usage.bytes_total == (uint64_t)space.f_blocks * space.f_frsize);
    assert_true(usage.bytes_free <= usage.bytes_total);
    assert_true(usage.percent_used <= 100);

    varve_store_close(f->store);
    f->store = NULL;
    struct varve_store_path only = {VARVE_TIER_SSD, 1, f->ssd};
    assert_true(varve_store_open(&only, 1, &ours, &f->store, &err));
    assert_true(varve_store_has_tier(f->store, VARVE_TIER_SSD));
    assert_false(varve_store_has_tier(f->store, VARVE_TIER_HDD));
    assert_non_null(strstr(varve_store_staging(f->store), "/ssd/staging"));
    assert_false(varve_store_choose(f->store, VARVE_TIER_HDD, 0, &path_id, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
    assert_false(varve_store_usage(f->store, VARVE_TIER_HDD, &usage, &err));
    assert_string_equal(err.text, "there is no hdd tier");
}

static void
test_origin_is_an_xattr(void **state)
{
    struct fixture *f = *state;
    struct varve_place place = {VARVE_TIER_SSD, 1, 7};
    write_file(f, &place, "x");
    varve_store_mark_origin(f->store, &place, "{\"ino\":5}");
    char path[160];
    char value[32] = "";
    (void)snprintf(path, sizeof path, "%s/objects/07/0000000000000007", f->ssd);
    ssize_t size = getxattr(path, "user.varve.origin", value, sizeof value);
    if (size < 0 && errno == ENOTSUP)
        skip(); /* this filesystem has no user xattrs */
    assert_int_equal(size, 9);
    assert_memory_equal(value, "{\"ino\":5}", 9);
    varve_store_mark_origin(f->store, &(struct varve_place){VARVE_TIER_SSD, 1, 8}, "none");
}

/* A lease tells of every other user: reader, writer, and a mapping whose descriptor is closed.
 */
static void
test_users_of_a_file(void **state)
{
    struct fixture *f = *state;
    const struct varve_place place = {.tier = VARVE_TIER_SSD, .path_id = 1, .file = 77};
    const struct varve_place nowhere = {.tier = VARVE_TIER_HDD, .path_id = 9, .file = 77};
    struct varve_error err = {0};
    int fd = -1, other = -1;
    assert_true(varve_store_create(f->store, &place, &fd, &err));
    assert_int_equal(ftruncate(fd, 4096), 0);
    if (!varve_store_may_pass(f->store, &place)) {
        print_message("no leases in %s\n", f->dir);
        assert_false(varve_store_in_use(f->store, &place, fd, 200));
        (void)close(fd);
        return;
    }
    assert_false(varve_store_in_use(f->store, &place, fd, 200));
    assert_true(
        varve_store_in_use(f->store, &place, -1, 200)); /* by `fd`, which it is not told of */
    for (int flags = O_RDONLY; flags <= O_RDWR; flags += O_RDWR) {
        assert_true(varve_store_open_file(f->store, &place, flags, &other, &err));
        assert_true(varve_store_in_use(f->store, &place, fd, 200));
        void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, other, 0);
        assert_ptr_not_equal(map, MAP_FAILED);
        (void)close(other);
        assert_true(varve_store_in_use(f->store, &place, fd, 200));
        assert_int_equal(munmap(map, 4096), 0);
        assert_false(varve_store_in_use(f->store, &place, fd, 200));
    }
    (void)close(fd);
    assert_false(varve_store_in_use(f->store, &place, -1, 200));
    assert_false(varve_store_may_pass(f->store, &nowhere));
    assert_true(varve_store_passes(f->store));
    varve_store_never_pass(f->store, &place);
    assert_false(varve_store_may_pass(f->store, &place));
    assert_false(
        varve_store_in_use(f->store, &place, -1, 200)); /* what was passed is looked for still */
}

int
main(void)
{

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_users_of_a_file),
        T(test_create_open_remove),
        T(test_unknown_path_number),
        T(test_copy_keeps_bytes_holes_and_mtime),
        T(test_copy_refuses),
        T(test_open_refuses_what_is_not_ours),
        T(test_open_again_empties_tmp_only),
        T(test_each_sees_all_files_and_nothing_else),
        T(test_choose_and_usage),
        T(test_origin_is_an_xattr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
