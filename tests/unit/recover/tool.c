/* What varve-recover makes of records: the newest one counts over all sets, and no name leads out
 * of the target directory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_set.h"
#include "recover_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* --- trees written by hand: what no disc of ours would hold --- */

#define NODES 6
struct hand_made {
    struct varve_record records[NODES];
    struct varve_record_name names[NODES];
    struct tree_record tree_records[NODES];
    struct tree_node nodes[NODES];
    struct tree tree;
    char dir[64];
    struct writer writer;
};

static void
hand_made_init(struct hand_made *made)
{
    struct varve_error err = {0};
    *made = (struct hand_made){.tree = {.nodes = made->nodes}};
    (void)snprintf(made->dir, sizeof made->dir, "/tmp/varve-tool-XXXXXX");
    assert_non_null(mkdtemp(made->dir));
    char inner[96];
    (void)snprintf(inner, sizeof inner, "%s/to", made->dir);
    assert_true(writer_open(inner, &made->tree, &made->writer, &err));
}

static const struct varve_record *
hand_made_add(struct hand_made *made, uint64_t ino, mode_t mode, uint64_t parent, const char *name)
{
    size_t at = made->tree.node_count++;
    char *copy = strdup(name);
    assert_true(at < NODES && copy != NULL);
    made->names[at] = (struct varve_record_name){parent, copy};
    made->records[at] =
        (struct varve_record){.type = S_ISDIR(mode) ? VARVE_RECORD_DIRECTORY : VARVE_RECORD_FILE,
                              .ino = ino,
                              .mode = mode,
                              .names = &made->names[at],
                              .name_count = 1};
    made->tree_records[at].record = &made->records[at];
    made->nodes[at] = (struct tree_node){
        .ino = ino, .records = &made->tree_records[at], .count = 1, .newest = &made->records[at]};
    return &made->records[at];
}

static void
hand_made_done(struct hand_made *made)
{
    char command[128];
    writer_close(&made->writer);
    for (size_t i = 0; i < made->tree.node_count; i++)
        free(made->names[i].name);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", made->dir);
    assert_int_equal(system(command), 0);
}

static bool
exists(const struct hand_made *made, const char *path)
{
    char whole[512];
    struct stat st;
    (void)snprintf(whole, sizeof whole, "%s/%s", made->dir, path);
    return lstat(whole, &st) == 0;
}

static bool
create(struct hand_made *made, const struct varve_record *record, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = -1;
    return writer_create(&made->writer, record, &fd, err);
}

static void
test_hostile_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", ".", "..", "../evil", "/tmp/evil", "a/b", "evil/"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct hand_made made;
        hand_made_init(&made);
        struct varve_error err = {0};
        assert_false(
            create(&made, hand_made_add(&made, 2, S_IFREG, VARVE_ROOT_INO, names[i]), &err));
        assert_int_equal(err.kind, VARVE_ERROR_INVALID);
        /* The same as a directory on the way. */
        hand_made_add(&made, 3, S_IFDIR, VARVE_ROOT_INO, names[i]);
        err = (struct varve_error){0};
        assert_false(create(&made, hand_made_add(&made, 4, S_IFREG, 3, "file"), &err));
        assert_int_equal(err.kind, VARVE_ERROR_INVALID);
        assert_false(exists(&made, "evil"));
        assert_false(exists(&made, "file"));
        hand_made_done(&made);
    }
}

static void
test_symlinks_in_the_way_are_not_followed(void **state)
{
    (void)state;
    struct hand_made made;
    char link[96];
    hand_made_init(&made);
    (void)snprintf(link, sizeof link, "%s/to/dir", made.dir);
    assert_int_equal(symlink("..", link), 0);
    (void)snprintf(link, sizeof link, "%s/to/name", made.dir);
    assert_int_equal(symlink("../stolen", link), 0);
    hand_made_add(&made, 2, S_IFDIR, VARVE_ROOT_INO, "dir");
    struct varve_error err = {0};
    assert_false(create(&made, hand_made_add(&made, 3, S_IFREG, 2, "file"), &err));
    assert_false(create(&made, hand_made_add(&made, 4, S_IFREG, VARVE_ROOT_INO, "name"), &err));
    assert_false(exists(&made, "file"));
    assert_false(exists(&made, "stolen"));
    hand_made_done(&made);
}

static void
test_circles_and_unknown_parents_end_in_lost_and_found(void **state)
{
    (void)state;
    struct hand_made made;
    hand_made_init(&made);
    hand_made_add(&made, 2, S_IFDIR, 3, "a");
    hand_made_add(&made, 3, S_IFDIR, 2, "b");
    const struct varve_record *orphan = hand_made_add(&made, 4, S_IFREG, 99, "orphan");
    const struct varve_record *under_file = hand_made_add(&made, 5, S_IFREG, 4, "below");
    struct varve_error err = {0};
    assert_true(create(&made, orphan, &err));
    assert_true(exists(&made, "to/lost+found/99/orphan"));
    assert_true(create(&made, under_file, &err));
    assert_true(exists(&made, "to/lost+found/4/below"));
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    tree_path(&made.tree, &made.nodes[2], 0, &path);
    assert_string_equal(varve_buffer_string(&path), "lost+found/99/orphan");
    int fd;
    bool ended = writer_dir(&made.writer, 2, &fd, &err); /* either way: it ends */
    assert_true(ended || err.kind != VARVE_ERROR_NONE);
    varve_buffer_clear(&path);
    tree_path(&made.tree, &made.nodes[0], 0, &path);
    assert_int_equal(strncmp(varve_buffer_string(&path), "lost+found/", 11), 0);
    hand_made_done(&made);
}

/* --- records of two sets --- */

static bool
read_letters(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
             struct varve_error *err)
{
    (void)context;
    (void)offset;
    (void)err;
    memset(ret, 'a' + (int)record, size);
    return true;
}

struct wish {
    enum varve_record_type type;
    uint64_t ino, parent;
    const char *name; /* NULL: the root, or deleted */
    int64_t ctime_ns;
    uint64_t size, piece_bytes, content;
    uint32_t version;
};

static void
make_set(struct memory_set *set, uint64_t number, const struct wish *wishes, size_t count)
{
    struct varve_error err = {0};
    struct varve_manifest *manifest = varve_manifest_new();
    assert_non_null(manifest);
    for (size_t i = 0; i < count; i++) {
        const struct wish *wish = &wishes[i];
        static const uint32_t modes[] = {[VARVE_RECORD_FILE] = S_IFREG | 0644,
                                         [VARVE_RECORD_DIRECTORY] = S_IFDIR | 0755,
                                         [VARVE_RECORD_DELETED] = 0};
        struct varve_record record = {.type = wish->type,
                                      .ino = wish->ino,
                                      .ctime_ns = wish->ctime_ns,
                                      .mode = modes[wish->type],
                                      .size = wish->size,
                                      .piece_bytes = wish->piece_bytes,
                                      .content = wish->content,
                                      .version = wish->version,
                                      .parts = 1};
        if (wish->name != NULL)
            assert_true(varve_record_add_name(&record, wish->parent, wish->name, &err));
        bool added = varve_manifest_add(manifest, &record, &err);
        assert_string_equal(err.text, "");
        assert_true(added);
    }
    struct memory_set shape = {.n = 1, .m = 0, .number = number};
    struct varve_image_source source = {.read = read_letters};
    bool made = memory_set_make(set, &shape, &manifest, &source, &err);
    assert_string_equal(err.text, "");
    assert_true(made);
}

static const struct wish first_set[] = {
    {VARVE_RECORD_DIRECTORY, 1, 0, NULL, 10, 0, 0, 0, 0},
    {VARVE_RECORD_DIRECTORY, 2, 1, "dir", 10, 0, 0, 0, 0},
    {VARVE_RECORD_FILE, 3, 2, "renamed later", 10, 5000, 5000, 30, 1},
    {VARVE_RECORD_FILE, 4, 2, "deleted later", 10, 100, 100, 40, 1},
    {VARVE_RECORD_FILE, 5, 2, "changed later", 10, 70, 70, 50, 1},
    {VARVE_RECORD_FILE, 6, 2, "empty", 10, 0, 0, 0, 0},
};
static const struct wish second_set[] = {
    {VARVE_RECORD_DIRECTORY, 1, 0, NULL, 20, 0, 0, 0, 0},
    {VARVE_RECORD_DIRECTORY, 2, 1, "moved", 20, 0, 0, 0, 0},
    {VARVE_RECORD_FILE, 3, 1, "new name", 20, 5000, 0, 30, 1},
    {VARVE_RECORD_DELETED, 4, 0, NULL, 20, 0, 0, 0, 0},
    {VARVE_RECORD_FILE, 5, 2, "changed later", 20, 90, 90, 51, 2},
    {VARVE_RECORD_FILE, 7, 2, "elsewhere", 20, 10, 0, 70, 1},
};

struct two_sets {
    struct memory_set sets[2];
    struct disc_set disc_sets[2];
    struct discs discs;
};

/* In the order given, or the other way: it must not matter. */
static void
open_sets(struct two_sets *two, bool turned)
{
    struct varve_error err = {0};
    *two = (struct two_sets){.discs = {.sets = two->disc_sets, .set_count = 2}};
    make_set(&two->sets[turned], 1, first_set, sizeof first_set / sizeof first_set[0]);
    make_set(&two->sets[!turned], 2, second_set, sizeof second_set / sizeof second_set[0]);
    for (unsigned i = 0; i < 2; i++) {
        two->disc_sets[i].recovery = varve_recovery_new();
        assert_true(varve_recovery_add(two->disc_sets[i].recovery, "x",
                                       &two->sets[i].discs[0].source, &err));
    }
}

static void
close_sets(struct two_sets *two)
{
    for (unsigned i = 0; i < 2; i++) {
        varve_recovery_free(two->disc_sets[i].recovery);
        memory_set_done(&two->sets[i]);
    }
}

static void
check_path(const struct tree *tree, uint64_t ino, const char *path)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer got = {0};
    const struct tree_node *node = tree_find(tree, ino);
    assert_non_null(node);
    tree_path(tree, node, 0, &got);
    assert_string_equal(varve_buffer_string(&got), path);
}

static void
test_the_newest_record_of_all_sets_counts(void **state)
{
    (void)state;
    for (int turned = 0; turned < 2; turned++) {
        struct two_sets two;
        struct tree tree;
        struct varve_error err = {0};
        open_sets(&two, turned == 1);
        assert_true(tree_make(&two.discs, &tree, &err));
        assert_int_equal(tree.node_count, 7);
        check_path(&tree, 2, "moved");
        check_path(&tree, 3, "new name");
        check_path(&tree, 5, "moved/changed later");
        check_path(&tree, 6, "moved/empty");
        assert_int_equal(tree_find(&tree, 4)->newest->type, VARVE_RECORD_DELETED);

        size_t *pieces = NULL, count = 0;
        const struct tree_node *renamed = tree_find(&tree, 3);
        assert_true(tree_pieces(renamed, &pieces, &count, &err));
        assert_int_equal(count, 1); /* the bytes are in the first set */
        assert_int_equal(varve_recovery_set(renamed->records[pieces[0]].set->recovery)->set_number,
                         1);
        free(pieces);
        const struct tree_node *changed = tree_find(&tree, 5);
        assert_true(tree_pieces(changed, &pieces, &count, &err));
        assert_int_equal(count, 1);
        assert_int_equal(changed->records[pieces[0]].record->version, 2);
        free(pieces);
        assert_true(tree_pieces(tree_find(&tree, 6), &pieces, &count, &err));
        assert_int_equal(count, 0);
        free(pieces);
        assert_false(tree_pieces(tree_find(&tree, 7), &pieces, &count, &err));
        assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
        tree_done(&tree);
        close_sets(&two);
    }
}

/* --- reading a disc whole --- */

struct named {
    unsigned lost, damaged;
    uint64_t ino;
};

static void
note_file(void *context, const struct varve_record *record, bool lost)
{
    struct named *named = context;
    named->lost += lost;
    named->damaged += !lost;
    named->ino = record->ino;
}

static void
test_check_names_the_files_that_damage_touches(void **state)
{
    (void)state;
    struct two_sets two;
    struct disc_health health;
    struct named named = {0};
    struct progress progress = {0};
    struct varve_error err = {0};
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
    open_sets(&two, false);
    struct memory_disc *disc = &two.sets[0].discs[0];
    assert_true(varve_recovery_manifest(two.disc_sets[0].recovery, 0, &manifest, &err));
    assert_true(
        disc_check(&two.disc_sets[0], 0, manifest, &progress, &health, note_file, &named, &err));
    assert_int_equal(health.damaged, 0);
    assert_int_equal(health.files, 3);
    assert_int_equal(named.lost + named.damaged, 0);
    assert_int_equal(progress.done, disc->map.clusters * VARVE_CLUSTER_BYTES);

    uint64_t lba = manifest->records[2].lba;
    disc->bytes[lba * VARVE_SECTOR_BYTES] ^= 1;
    assert_true(
        disc_check(&two.disc_sets[0], 0, manifest, &progress, &health, note_file, &named, &err));
    assert_int_equal(health.damaged, 1);
    assert_int_equal(health.lost, 1);
    assert_int_equal(health.files, 3);
    assert_true(health.files_lost >= 1);
    assert_int_equal(named.lost, health.files_lost);
    close_sets(&two);
}

/* A digest that is wrong although every CRC is right: a manifest of lies. */
static void
test_check_believes_no_wrong_digest(void **state)
{
    (void)state;
    struct two_sets two;
    struct disc_health health;
    struct named named = {0};
    struct progress progress = {0};
    struct varve_error err = {0};
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = NULL;
    open_sets(&two, false);
    assert_true(varve_recovery_manifest(two.disc_sets[0].recovery, 0, &manifest, &err));
    manifest->records[3].digest.bytes[0] ^= 1;
    manifest->records[4].lba = 0; /* overlaps nothing of its own */
    assert_true(
        disc_check(&two.disc_sets[0], 0, manifest, &progress, &health, note_file, &named, &err));
    assert_int_equal(health.damaged, 0);
    assert_int_equal(health.files_lost, 2);
    manifest->records[4].lba = UINT64_C(1) << 40; /* behind the end */
    assert_true(
        disc_check(&two.disc_sets[0], 0, manifest, &progress, &health, note_file, &named, &err));
    assert_int_equal(health.files_lost, 2);
    close_sets(&two);
}

static void
test_words(void **state)
{
    (void)state;
    char label[LABEL_BYTES];
    struct varve_disc_identity set = {.archive_name = "../a/b\n", .set_number = 12};
    make_label(&set, 3, label);
    assert_string_equal(label, "_._a_b_-0012-003");
    json_t *object = json_object();
    json_put_text(object, "path", "a\xC3\xA4");
    json_put_text(object, "name", "\xFFx");
    assert_string_equal(json_string_value(json_object_get(object, "path")), "a\xC3\xA4");
    assert_null(json_object_get(object, "name"));
    assert_string_equal(json_string_value(json_object_get(object, "name_b64")), "/3g=");
    json_decref(object);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_names_are_refused),
        cmocka_unit_test(test_symlinks_in_the_way_are_not_followed),
        cmocka_unit_test(test_circles_and_unknown_parents_end_in_lost_and_found),
        cmocka_unit_test(test_the_newest_record_of_all_sets_counts),
        cmocka_unit_test(test_check_names_the_files_that_damage_touches),
        cmocka_unit_test(test_check_believes_no_wrong_digest),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
