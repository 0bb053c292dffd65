/* SPDX-License-Identifier: Apache-2.0 */
/* fill_catalog ARCHIVE FILES - fills a new archive (`varve init ARCHIVE --library none`) with FILES
 * files in FILES / 100 directories, as an archive looks that has been in use for years: most are on
 * discs only, some on discs and hdd, some not archived yet, some empty. What is resident has a
 * (sparse) backing file. The discs are on a shelf. */
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/catalog.h>
#include <varve/store.h>

#define FILES_PER_DIR 100u
#define DIRS_PER_DIR 100u
#define FILES_PER_SET 400000u
#define DATA_DISCS 4u
#define PARITY_DISCS 2u
#define UNIT_FILES 100u /* a unit holds back everybody else; here nobody waits */
#define NOW_NS INT64_C(1700000000000000000)
#define DAY_NS INT64_C(86400000000000)

static struct varve_error err;
static struct varve_catalog *catalog;
static struct varve_store *store;
static uint32_t path_id;
static uint64_t last_ino = VARVE_ROOT_INO;

static void
must(bool ok)
{
    if (ok)
        return;
    (void)fprintf(stderr, "fill_catalog: %s\n", err.text);
    exit(1);
}

/* --- discs --- */

static void
make_disc(struct varve_set_id set, uint32_t index)
{
    struct varve_disc_row disc = {.state = VARVE_DISC_OFFLINE,
                                  .set = set,
                                  .index = index,
                                  .capacity_clusters = 1525000,
                                  .clusters = 1500000,
                                  .burned_ns = NOW_NS,
                                  .verified_ns = NOW_NS};
    (void)snprintf(disc.barcode.text, sizeof disc.barcode.text, "V%04" PRIu64 "%" PRIu32,
                   set.value % 10000, index);
    (void)snprintf(disc.library, sizeof disc.library, "shelf");
    (void)snprintf(disc.place, sizeof disc.place, "on the shelf");
    disc.uuid.bytes[0] = (uint8_t)index;
    memcpy(&disc.uuid.bytes[8], &set.value, sizeof set.value);
    must(varve_catalog_disc_put(catalog, &disc, &err));
}

static struct varve_set_id
make_set(uint64_t number)
{
    struct varve_set set = {.data_discs = DATA_DISCS,
                            .parity_discs = PARITY_DISCS,
                            .clusters = 1500000,
                            .state = VARVE_SET_SEALED,
                            .created_ns = NOW_NS,
                            .sealed_ns = NOW_NS};
    memcpy(set.uuid.bytes, &number, sizeof number);
    set.uuid.bytes[15] = 1;
    must(varve_catalog_set_insert(catalog, &set, &set.id, &err));
    for (uint32_t i = 0; i < DATA_DISCS + PARITY_DISCS; i++)
        make_disc(set.id, i);
    return set.id;
}

/* --- the namespace --- */

static uint64_t
make_dir(uint64_t parent, const char *name, uint32_t subdirs)
{
    struct varve_inode dir = {.ino = ++last_ino,
                              .mode = S_IFDIR | 0755,
                              .nlink = 2 + subdirs,
                              .atime_ns = NOW_NS,
                              .mtime_ns = NOW_NS,
                              .ctime_ns = NOW_NS,
                              .btime_ns = NOW_NS,
                              .heat_ns = NOW_NS,
                              .recorded_ctime_ns = NOW_NS};
    must(varve_catalog_inode_insert(catalog, &dir, &dir.ino, &err));
    must(varve_catalog_dentry_insert(catalog, parent, name, dir.ino, &err));
    return dir.ino;
}

enum kind { KIND_MIGRATED, KIND_PREMIGRATED, KIND_LIVE, KIND_NEVER_WRITTEN, KIND_EMPTY };

static enum kind
kind_of(uint64_t number)
{
    uint64_t percent = number % 100;
    if (percent < 91)
        return KIND_MIGRATED;
    if (percent < 92)
        return KIND_PREMIGRATED;
    if (percent < 93)
        return KIND_LIVE;
    return percent < 94 ? KIND_NEVER_WRITTEN : KIND_EMPTY;
}

/* From some bytes to some MiB, the same in every run. */
static uint64_t
size_of(uint64_t number)
{
    uint64_t mixed = number * UINT64_C(0x9e3779b97f4a7c15);
    return 1 + (mixed >> 40) % (UINT64_C(64) << (mixed % 17));
}

static void
make_backing_file(const struct varve_content *content)
{
    VARVE_CLEANUP_FD int fd = -1;
    must(varve_store_create(store, &content->place, &fd, &err));
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = content->mtime_ns / VARVE_NS_PER_SECOND}};
    if (ftruncate(fd, (off_t)content->size) != 0 || futimens(fd, times) != 0)
        must(varve_error_system(&err, errno, "make a backing file"));
}

static void
make_piece(const struct varve_content *content, struct varve_set_id set, uint64_t number)
{
    struct varve_piece piece = {.content = content->id,
                                .set = set,
                                .index = (uint32_t)(number % DATA_DISCS),
                                .bytes = content->size,
                                .lba = 1024 + number % FILES_PER_SET * 32,
                                .has_digest = true};
    memcpy(piece.digest.bytes, &number, sizeof number);
    must(varve_catalog_piece_insert(catalog, &piece, &err));
}

static void
make_content(const struct varve_inode *inode, enum kind kind, struct varve_set_id set,
             uint64_t number)
{
    bool sealed = kind == KIND_MIGRATED || kind == KIND_PREMIGRATED;
    bool resident = kind != KIND_MIGRATED;
    bool has_file = kind == KIND_PREMIGRATED || kind == KIND_LIVE;
    struct varve_content content = {.id = inode->content,
                                    .ino = inode->ino,
                                    .version = 1,
                                    .size = inode->size,
                                    .mtime_ns = inode->mtime_ns,
                                    .phase = sealed ? VARVE_PHASE_SEALED : VARVE_PHASE_LIVE,
                                    .current = true};
    if (resident)
        content.place.tier = VARVE_TIER_HDD;
    if (has_file) {
        content.place.path_id = path_id;
        must(varve_catalog_file_numbers(catalog, 1, &content.place.file, &err));
        make_backing_file(&content);
    }
    must(varve_catalog_content_insert(catalog, &content, &content.id, &err));
    if (sealed)
        make_piece(&content, set, number);
}

static void
make_file(uint64_t dir, struct varve_set_id set, uint64_t number)
{
    static const char *const extensions[] = {"jpg", "pdf", "mxf", "txt", "dat", "wav", "c"};
    char name[64];
    enum kind kind = kind_of(number);
    int64_t time_ns = NOW_NS - (int64_t)(number % 3000) * DAY_NS;
    struct varve_inode inode = {.ino = ++last_ino,
                                .mode = S_IFREG | 0644,
                                .uid = (uint32_t)(1000 + number % 20),
                                .gid = 1000,
                                .nlink = 1,
                                .atime_ns = time_ns,
                                .mtime_ns = time_ns,
                                .ctime_ns = time_ns,
                                .btime_ns = time_ns,
                                .heat = number % 10 == 0 ? 0.5 : 0,
                                .heat_ns = time_ns};
    if (kind == KIND_MIGRATED || kind == KIND_PREMIGRATED || kind == KIND_LIVE)
        inode.size = size_of(number);
    if (kind == KIND_MIGRATED || kind == KIND_PREMIGRATED)
        inode.recorded_ctime_ns = time_ns;
    if (kind != KIND_EMPTY)
        inode.content.value = number + 1;
    (void)snprintf(name, sizeof name, "recording-%08" PRIu64 "-take.%s", number,
                   extensions[number % (sizeof extensions / sizeof extensions[0])]);
    must(varve_catalog_inode_insert(catalog, &inode, &inode.ino, &err));
    must(varve_catalog_dentry_insert(catalog, dir, name, inode.ino, &err));
    if (kind != KIND_EMPTY)
        make_content(&inode, kind, set, number);
}

/* /year-NNN/shelf-NNNNN/recording-... */
static void
fill(uint64_t files)
{
    uint64_t dirs = (files + FILES_PER_DIR - 1) / FILES_PER_DIR, top = 0, dir = 0;
    struct varve_set_id set = {0};
    for (uint64_t number = 0; number < files; number++) {
        char name[32];
        if (number % UNIT_FILES == 0)
            varve_catalog_begin(catalog);
        if (number % FILES_PER_SET == 0)
            set = make_set(number / FILES_PER_SET);
        uint64_t dir_number = number / FILES_PER_DIR;
        if (number % (FILES_PER_DIR * DIRS_PER_DIR) == 0) {
            uint64_t left = dirs - dir_number;
            (void)snprintf(name, sizeof name, "year-%03" PRIu64, dir_number / DIRS_PER_DIR);
            top = make_dir(VARVE_ROOT_INO, name,
                           (uint32_t)(left < DIRS_PER_DIR ? left : DIRS_PER_DIR));
        }
        if (number % FILES_PER_DIR == 0) {
            (void)snprintf(name, sizeof name, "shelf-%05" PRIu64, dir_number);
            dir = make_dir(top, name, 0);
        }
        make_file(dir, set, number);
        if (number % UNIT_FILES == UNIT_FILES - 1 || number == files - 1)
            must(varve_catalog_end(catalog, true, &err));
    }
}

/* The root has a link for each directory in it. */
static void
count_links(uint64_t files)
{
    struct varve_inode root;
    uint64_t per_top = (uint64_t)FILES_PER_DIR * DIRS_PER_DIR;
    must(varve_catalog_inode_get(catalog, VARVE_ROOT_INO, &root, &err));
    root.nlink = (uint32_t)(2 + (files + per_top - 1) / per_top);
    must(varve_catalog_inode_update(catalog, &root, &err));
}

static void
open_archive(const char *dir)
{
    char catalog_path[PATH_MAX], hdd[PATH_MAX];
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    struct varve_uuid uuid;
    (void)snprintf(catalog_path, sizeof catalog_path, "%s/catalog.sqlite", dir);
    (void)snprintf(hdd, sizeof hdd, "%s/hdd", dir);
    must(varve_catalog_open(catalog_path, varve_clock_system(), &catalog, &err));
    must(varve_catalog_setting_get(catalog, "archive.uuid", &text, &err));
    must(varve_uuid_parse(varve_buffer_string(&text), &uuid) ||
         varve_error_set(&err, VARVE_ERROR_CORRUPT, 0, "'%s' has no UUID", dir));
    must(varve_catalog_tier_path(catalog, VARVE_TIER_HDD, hdd, &path_id, &err));
    const struct varve_store_path path = {VARVE_TIER_HDD, path_id, hdd};
    must(varve_store_open(&path, 1, &uuid, &store, &err));
}

int
main(int count, char **arguments)
{
    uint64_t files = count == 3 ? strtoull(arguments[2], NULL, 10) : 0;
    if (files == 0 || arguments[1][0] != '/') {
        (void)fprintf(stderr, "usage: fill_catalog ARCHIVE FILES (ARCHIVE absolute)\n");
        return 2;
    }
    open_archive(arguments[1]);
    fill(files);
    count_links(files);
    varve_store_close(store);
    must(varve_catalog_sync(catalog, &err));
    varve_catalog_close(catalog);
    return 0;
}
