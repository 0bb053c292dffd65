/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <varve/file.h>

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

bool
fixture_open(struct fixture *f)
{
    static const struct varve_uuid archive = {{7}};
    char catalog[120], ssd[120], hdd[120];
    (void)snprintf(catalog, sizeof catalog, "%s/catalog.sqlite", f->dir);
    (void)snprintf(ssd, sizeof ssd, "%s/ssd", f->dir);
    (void)snprintf(hdd, sizeof hdd, "%s/hdd", f->dir);
    struct varve_store_path paths[] = {{VARVE_TIER_SSD, 0, ssd}, {VARVE_TIER_HDD, 0, hdd}};
    if (!varve_catalog_open(catalog, f->time, &f->catalog, &f->err))
        return false;
    for (size_t i = 0; i < 2; i++) {
        if (!varve_catalog_tier_path(f->catalog, paths[i].tier, paths[i].path, &paths[i].path_id,
                                     &f->err))
            return false;
    }
    if (!varve_store_open(paths, 2, &archive, &f->store, &f->err))
        return false;
    struct varve_vfs_options options = {.catalog = f->catalog,
                                        .store = f->store,
                                        .clock = f->time,
                                        .archive_dir = f->dir,
                                        .first_tier = VARVE_TIER_SSD,
                                        .heat_half_life_ns = HALF_LIFE_NS,
                                        .readers = f->readers,
                                        .head_bytes = f->head_bytes};
    return varve_vfs_new(&options, &f->vfs, &f->err);
}

void
fixture_close(struct fixture *f)
{
    varve_vfs_free(VARVE_TAKE(f->vfs));
    varve_store_close(VARVE_TAKE(f->store));
    varve_catalog_close(VARVE_TAKE(f->catalog));
}

void
fixture_remove(struct fixture *f)
{
    (void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
}

int
fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    char path[120];
    if (f == NULL)
        return -1;
    varve_clock_sim_init(&f->clock, START_NS);
    f->time = &f->clock.clock;
    (void)snprintf(f->dir, sizeof f->dir, "%.50s/varve-vfs-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/ssd", f->dir);
    if (mkdir(path, 0700) != 0)
        return -1;
    (void)snprintf(path, sizeof path, "%s/hdd", f->dir);
    if (mkdir(path, 0700) != 0)
        return -1;
    (void)snprintf(path, sizeof path, "%s/catalog.sqlite", f->dir);
    if (!varve_catalog_create(path, 1000, 100, f->time, &f->err) || !fixture_open(f)) {
        print_error("%s\n", f->err.text);
        return -1;
    }
    *state = f;
    return 0;
}

int
fixture_teardown(void **state)
{
    fixture_close(*state);
    fixture_remove(*state);
    return 0;
}

static const struct varve_caller caller = {1000, 100};

uint64_t
make_file(struct fixture *f, uint64_t parent, const char *name)
{
    struct varve_inode inode;
    OK(varve_vfs_make(f->vfs, &caller, parent, name, S_IFREG | 0644, 0, &inode, &f->err));
    return inode.ino;
}

uint64_t
make_dir(struct fixture *f, uint64_t parent, const char *name)
{
    struct varve_inode inode;
    OK(varve_vfs_make(f->vfs, &caller, parent, name, S_IFDIR | 0755, 0, &inode, &f->err));
    return inode.ino;
}

struct varve_inode
attributes(struct fixture *f, uint64_t ino)
{
    struct varve_inode inode = {0};
    OK(varve_vfs_getattr(f->vfs, ino, &inode, &f->err));
    return inode;
}

struct varve_open *
open_file(struct fixture *f, uint64_t ino, int flags)
{
    struct varve_open *open = NULL;
    OK(varve_vfs_open(f->vfs, ino, flags, &open, &f->err));
    return open;
}

void
write_open(struct fixture *f, struct varve_open *open, uint64_t offset, const void *bytes,
           size_t size)
{
    int fd = -1;
    OK(varve_open_write(open, &fd, &f->err));
    OK(varve_file_pwrite(fd, bytes, size, offset, &f->err));
    varve_open_done(open);
}

void
put_text(struct fixture *f, uint64_t ino, const char *text)
{
    struct varve_open *open = open_file(f, ino, O_WRONLY | O_TRUNC);
    write_open(f, open, 0, text, strlen(text));
    varve_open_close(open);
}

static void
expect_open_bytes(struct fixture *f, struct varve_open *open, const uint8_t *bytes, size_t size)
{
    VARVE_CLEANUP_FREE uint8_t *got = malloc(size + 1);
    uint64_t offset = 0;
    for (;;) {
        uint64_t count = size + 1 - offset;
        int fd = -1;
        OK(varve_open_read(open, offset, &count, &fd, &f->err));
        if (count == 0)
            break;
        OK(varve_file_pread(fd, got + offset, (size_t)count, offset, &f->err));
        varve_open_done(open);
        offset += count;
        assert_true(offset <= size);
    }
    assert_int_equal(offset, size);
    assert_memory_equal(got, bytes, size);
}

void
expect_bytes(struct fixture *f, uint64_t ino, const void *bytes, size_t size)
{
    struct varve_open *open = open_file(f, ino, O_RDONLY);
    expect_open_bytes(f, open, bytes, size);
    varve_open_close(open);
    assert_int_equal(attributes(f, ino).size, size);
}

void
expect_text(struct fixture *f, uint64_t ino, const char *text)
{
    expect_bytes(f, ino, text, strlen(text));
}

void
expect_open_text(struct fixture *f, struct varve_open *open, const char *text)
{
    expect_open_bytes(f, open, (const uint8_t *)text, strlen(text));
}

void
expect_xattr(struct fixture *f, uint64_t ino, const char *name, const char *value)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer got = {0};
    if (value == NULL) {
        FAILS(varve_vfs_xattr_get(f->vfs, ino, name, &got, &f->err), ENODATA);
        return;
    }
    OK(varve_vfs_xattr_get(f->vfs, ino, name, &got, &f->err));
    assert_string_equal(varve_buffer_string(&got), value);
}

void
truncate_to(struct fixture *f, uint64_t ino, uint64_t size)
{
    struct varve_setattr change = {.mask = VARVE_SET_SIZE, .size = size};
    struct varve_inode inode;
    OK(varve_vfs_setattr(f->vfs, ino, &change, &inode, &f->err));
    assert_int_equal(inode.size, size);
}

struct varve_content
row_of(struct fixture *f, struct varve_content_id id)
{
    struct varve_content content = {0};
    OK(varve_catalog_content_get(f->catalog, id, &content, &f->err));
    return content;
}

struct varve_content
content_of(struct fixture *f, uint64_t ino)
{
    return row_of(f, attributes(f, ino).content);
}

/* A set of one disc with the content in it. */
static void
plan(struct fixture *f, const struct varve_content *content)
{
    struct varve_set set = {.data_discs = 1, .clusters = 1, .state = VARVE_SET_PLANNED};
    struct varve_piece piece = {.content = content->id, .bytes = content->size, .has_digest = true};
    struct varve_piece given_up;
    size_t count = 0;
    set.uuid = varve_uuid_new(varve_random_system());
    OK(varve_catalog_pieces(f->catalog, content->id, &given_up, 1, &count, &f->err));
    if (count > 0) /* of a plan before a thaw */
        OK(varve_catalog_set_pieces_delete(f->catalog, given_up.set, &f->err));
    OK(varve_catalog_set_insert(f->catalog, &set, &piece.set, &f->err));
    OK(varve_catalog_piece_insert(f->catalog, &piece, &f->err));
    OK(varve_catalog_piece_set_digest(f->catalog, &piece, &f->err));
}

struct varve_content
freeze(struct fixture *f, uint64_t ino)
{
    struct varve_content content = {0};
    OK(varve_vfs_freeze(f->vfs, ino, INT64_MAX, &content, &f->err));
    assert_int_equal(content.phase, VARVE_PHASE_FROZEN);
    plan(f, &content);
    return content;
}

void
seal(struct fixture *f, struct varve_content_id id)
{
    varve_catalog_begin(f->catalog);
    struct varve_content content = row_of(f, id);
    assert_int_equal(content.phase, VARVE_PHASE_FROZEN);
    content.phase = VARVE_PHASE_SEALED;
    struct varve_piece piece;
    struct varve_set set;
    size_t count = 0;
    OK(varve_catalog_pieces(f->catalog, id, &piece, 1, &count, &f->err));
    assert_int_equal(count, 1);
    OK(varve_catalog_set_get(f->catalog, piece.set, &set, &f->err));
    set.state = VARVE_SET_SEALED;
    bool keep = varve_catalog_set_update(f->catalog, &set, &f->err) &&
                varve_catalog_content_update(f->catalog, &content, &f->err);
    OK(varve_catalog_end(f->catalog, keep, &f->err));
}

void
release(struct fixture *f, struct varve_content_id id)
{
    struct varve_place old;
    OK(varve_vfs_release(f->vfs, id, &old, &f->err));
    varve_vfs_remove_later(f->vfs, old);
}

struct varve_content
migrate(struct fixture *f, uint64_t ino)
{
    struct varve_content content = freeze(f, ino);
    seal(f, content.id);
    release(f, content.id);
    OK(varve_vfs_reap(f->vfs, &f->err));
    return row_of(f, content.id);
}

void
recall_bytes(struct fixture *f, struct varve_content_id id, const void *bytes, size_t size)
{
    struct varve_recall *recall = NULL;
    OK(varve_vfs_recall_begin(f->vfs, id, &recall, &f->err));
    OK(varve_recall_write(recall, 0, bytes, size, &f->err));
    OK(varve_recall_end(recall, NULL, &f->err));
}

static bool
count_one(void *context, const struct varve_place *place, uint64_t bytes, struct varve_error *err)
{
    (void)place;
    (void)bytes;
    (void)err;
    (*(unsigned *)context)++;
    return true;
}

unsigned
count_files(struct fixture *f)
{
    unsigned count = 0;
    OK(varve_store_each(f->store, count_one, &count, &f->err));
    return count;
}

bool
backing_exists(struct fixture *f, struct varve_place place)
{
    struct stat st;
    return varve_store_stat(f->store, &place, &st, &f->err);
}

static void
print_finding(void *context, const char *finding)
{
    print_error("%s\n", finding);
    (*(unsigned *)context)++;
}

void
expect_consistent(struct fixture *f)
{
    OK(varve_vfs_reap(f->vfs, &f->err));
    struct varve_content_id after = {0};
    struct varve_content rows[32];
    size_t count = 0;
    unsigned named = 0;
    do {
        OK(varve_catalog_contents(f->catalog, after, false, rows, 32, &count, &f->err));
        for (size_t i = 0; i < count; i++) {
            after = rows[i].id;
            if (rows[i].place.tier == VARVE_TIER_NONE || rows[i].place.file == 0)
                continue;
            OK(backing_exists(f, rows[i].place));
            named++;
        }
    } while (count > 0);
    assert_int_equal(count_files(f), named);
    unsigned findings = 0;
    OK(varve_catalog_verify(f->catalog, print_finding, &findings, &f->err));
    assert_int_equal(findings, 0);
}

bool
move_one(struct varve_vfs *vfs, struct varve_content_id content, enum varve_tier to,
         struct varve_place *ret_old, struct varve_error *err)
{
    struct varve_move_result file = {.content = content};
    varve_vfs_move(vfs, &file, 1, to);
    if (file.moved)
        *ret_old = file.old;
    else
        *err = file.error;
    return file.moved;
}
