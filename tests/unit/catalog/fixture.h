/* fixture.h - a catalog in a temporary directory, and short ways to fill it. For tests only. */
#ifndef CATALOG_FIXTURE_H
#define CATALOG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/catalog.h>

#define NOW_NS (INT64_C(1700000000) * VARVE_NS_PER_SECOND)

struct fixture {
    char dir[256];
    char path[300];
    struct varve_clock_sim clock;
    struct varve_catalog *catalog;
};

/* Fails the test with the error's words. */
#define MUST(call)                                                                                 \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)
/* The call fails with this kind and exactly this text. */
#define MUST_FAIL(call, wanted_kind, wanted_text)                                                  \
    do {                                                                                           \
        err = (struct varve_error){0};                                                             \
        assert_false(call);                                                                        \
        assert_string_equal(err.text, wanted_text);                                                \
        assert_int_equal(err.kind, VARVE_ERROR_##wanted_kind);                                     \
    } while (0)

static struct varve_error err __attribute__((unused));

__attribute__((unused)) static void
fixture_reopen(struct fixture *fixture)
{
    varve_catalog_close(VARVE_TAKE(fixture->catalog));
    MUST(varve_catalog_open(fixture->path, &fixture->clock.clock, &fixture->catalog, &err));
}

static int
fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(fixture->dir, sizeof fixture->dir, "%s/varve-catalog-XXXXXX",
                   tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(fixture->dir));
    (void)snprintf(fixture->path, sizeof fixture->path, "%s/catalog", fixture->dir);
    varve_clock_sim_init(&fixture->clock, NOW_NS);
    MUST(varve_catalog_create(fixture->path, 7, 8, &fixture->clock.clock, &err));
    MUST(varve_catalog_open(fixture->path, &fixture->clock.clock, &fixture->catalog, &err));
    *state = fixture;
    return 0;
}

static int
fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    varve_catalog_close(fixture->catalog);
    VARVE_CLEANUP_DIR DIR *dir = opendir(fixture->dir);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[600];
        (void)snprintf(path, sizeof path, "%s/%s", fixture->dir, entry->d_name);
        if (entry->d_name[0] != '.')
            assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(fixture->dir), 0);
    free(fixture);
    return 0;
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* An inode of this mode with a name; its number. Directories count as links of their parent. */
__attribute__((unused)) static uint64_t
add_node(struct varve_catalog *catalog, uint64_t parent, const char *name, uint32_t mode)
{
    struct varve_inode node = {.mode = mode,
                               .nlink = S_ISDIR(mode) ? 2 : 1,
                               .atime_ns = NOW_NS,
                               .mtime_ns = NOW_NS,
                               .ctime_ns = NOW_NS,
                               .btime_ns = NOW_NS};
    uint64_t ino = 0;
    MUST(varve_catalog_inode_insert(catalog, &node, &ino, &err));
    MUST(varve_catalog_dentry_insert(catalog, parent, name, ino, &err));
    if (S_ISDIR(mode)) {
        struct varve_inode above;
        MUST(varve_catalog_inode_get(catalog, parent, &above, &err));
        above.nlink++;
        MUST(varve_catalog_inode_update(catalog, &above, &err));
    }
    return ino;
}

/* A regular file with a live content on ssd; its content. */
__attribute__((unused)) static struct varve_content
add_file(struct varve_catalog *catalog, uint64_t parent, const char *name, uint64_t size)
{
    struct varve_inode node;
    uint32_t path_id = 0;
    MUST(varve_catalog_tier_path(catalog, VARVE_TIER_SSD, "/fast", &path_id, &err));
    MUST(varve_catalog_inode_get(catalog, add_node(catalog, parent, name, S_IFREG | 0644), &node,
                                 &err));
    struct varve_content content = {.ino = node.ino,
                                    .version = 1,
                                    .size = size,
                                    .mtime_ns = NOW_NS,
                                    .place = {VARVE_TIER_SSD, path_id, 0},
                                    .current = true};
    MUST(varve_catalog_file_numbers(catalog, 1, &content.place.file, &err));
    MUST(varve_catalog_content_insert(catalog, &content, &content.id, &err));
    node.size = size;
    node.content = content.id;
    MUST(varve_catalog_inode_update(catalog, &node, &err));
    return content;
}

/* A set of 2+1 discs. */
__attribute__((unused)) static struct varve_set_id
add_set(struct varve_catalog *catalog, enum varve_set_state state)
{
    static uint8_t next;
    struct varve_set set = {
        .uuid = {{++next}}, .data_discs = 2, .parity_discs = 1, .clusters = 9, .state = state};
    struct varve_set_id id = {0};
    MUST(varve_catalog_set_insert(catalog, &set, &id, &err));
    return id;
}

#endif
