/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what each call of the catalog costs: catalog_rates [files]. */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/catalog.h>

#define FILES_PER_DIR 500u
#define READDIR_BATCH 128u

static struct varve_error err;
static struct varve_catalog *catalog;
static uint64_t dirs[4096];
static struct varve_inode *files;
static size_t file_count = 100000;

/* A failure of the benchmark itself ends it. */
static void
must(bool ok)
{
    if (ok)
        return;
    (void)fprintf(stderr, "%s\n", err.text);
    exit(1);
}

static double
now(void)
{
    return (double)varve_clock_monotonic(varve_clock_system()) / 1e9;
}

static void
report(const char *what, double start, size_t count)
{
    double seconds = now() - start;
    printf("%-44s %8.2f us  %9.0f/s\n", what, seconds / (double)count * 1e6,
           (double)count / seconds);
}

static void
name_of(size_t file, char ret[32])
{
    (void)snprintf(ret, 32, "file-%07zu.dat", file);
}

static void
make_dirs(void)
{
    for (size_t i = 0; i <= file_count / FILES_PER_DIR; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "dir-%zu", i);
        struct varve_inode dir = {.mode = S_IFDIR | 0755, .nlink = 2, .ctime_ns = 1};
        must(varve_catalog_inode_insert(catalog, &dir, &dirs[i], &err));
        must(varve_catalog_dentry_insert(catalog, VARVE_ROOT_INO, name, dirs[i], &err));
    }
}

/* One file as the engine makes it: inode, name, content, inode again. */
static void
make_file(size_t i)
{
    char name[32];
    name_of(i, name);
    struct varve_inode *file = &files[i];
    *file = (struct varve_inode){.mode = S_IFREG | 0644,
                                 .nlink = 1,
                                 .size = i * 10,
                                 .mtime_ns = (int64_t)i,
                                 .ctime_ns = (int64_t)i + 1};
    struct varve_content content = {.version = 1, .size = i * 10, .current = true};
    varve_catalog_begin(catalog);
    must(varve_catalog_inode_insert(catalog, file, &file->ino, &err));
    must(varve_catalog_dentry_insert(catalog, dirs[i / FILES_PER_DIR], name, file->ino, &err));
    content.ino = file->ino;
    content.place = (struct varve_place){VARVE_TIER_SSD, 1, i + 1};
    must(varve_catalog_content_insert(catalog, &content, &file->content, &err));
    must(varve_catalog_inode_update(catalog, file, &err));
    must(varve_catalog_end(catalog, true, &err));
}

static void
bench_writes(void)
{
    double start = now();
    for (size_t i = 0; i < file_count; i++)
        make_file(i);
    report("create file (unit of 4 calls)", start, file_count);
    must(varve_catalog_sync(catalog, &err));

    start = now();
    for (size_t i = 0; i < file_count; i++) {
        files[i].atime_ns++;
        files[i].ctime_ns++;
        must(varve_catalog_inode_update(catalog, &files[i], &err));
    }
    report("inode_update", start, file_count);
    start = now();
    for (size_t i = 0; i < file_count; i++) {
        struct varve_content content = {.id = files[i].content,
                                        .ino = files[i].ino,
                                        .version = 1,
                                        .size = files[i].size + 1,
                                        .place = {VARVE_TIER_SSD, 1, i + 1},
                                        .current = true};
        must(varve_catalog_content_update(catalog, &content, &err));
    }
    report("content_update (size changes)", start, file_count);
    start = now();
    struct varve_inode inode = {.mode = S_IFREG | 0600, .nlink = 1, .ctime_ns = 1};
    for (size_t i = 0; i < file_count; i++)
        must(varve_catalog_inode_insert(catalog, &inode, &inode.rdev, &err));
    report("inode_insert", start, file_count);
    start = now();
    for (size_t i = 0; i < file_count; i++) {
        char name[32];
        name_of(i, name);
        must(varve_catalog_dentry_insert(catalog, files[i].ino, name, files[i].ino, &err));
    }
    report("dentry_insert", start, file_count);
    start = now();
    for (size_t i = 0; i < file_count; i++) {
        char name[32];
        name_of(i, name);
        must(varve_catalog_dentry_delete(catalog, files[i].ino, name, &err));
    }
    report("dentry_delete", start, file_count);
    start = now();
    struct varve_content_id id;
    for (size_t i = 0; i < file_count; i++) {
        struct varve_content content = {.ino = files[i].ino, .version = 2, .size = 5};
        must(varve_catalog_content_insert(catalog, &content, &id, &err));
    }
    report("content_insert (not current)", start, file_count);
    must(varve_catalog_sync(catalog, &err));
}

static void
bench_reads(const char *when)
{
    char what[64];
    struct varve_dentry entry;
    struct varve_inode inode;
    double start = now();
    for (size_t i = 0; i < file_count; i++) {
        char name[32];
        name_of(i, name);
        must(varve_catalog_lookup(catalog, dirs[i / FILES_PER_DIR], name, &entry, &err));
    }
    (void)snprintf(what, sizeof what, "lookup, %s", when);
    report(what, start, file_count);
    start = now();
    for (size_t i = 0; i < file_count; i++)
        must(varve_catalog_inode_get(catalog, files[i].ino, &inode, &err));
    (void)snprintf(what, sizeof what, "inode_get, %s", when);
    report(what, start, file_count);

    static struct varve_dentry batch[READDIR_BATCH];
    start = now();
    size_t total = 0;
    for (size_t dir = 0; dir < file_count / FILES_PER_DIR; dir++) {
        size_t count = 0;
        uint64_t after = 0;
        do {
            must(varve_catalog_readdir(catalog, dirs[dir], after, batch, READDIR_BATCH, &count,
                                       &err));
            total += count;
            if (count > 0)
                after = batch[count - 1].cookie;
        } while (count > 0);
    }
    (void)snprintf(what, sizeof what, "readdir, each entry, %s", when);
    report(what, start, total);
}

static bool
count_row(void *context, const struct varve_selected *row, struct varve_error *row_err)
{
    (void)row;
    (void)row_err;
    ++*(size_t *)context;
    return true;
}

static void
bench_select(const char *where, const char *order)
{
    size_t count = 0;
    char what[64];
    struct varve_selection selection = {
        .where = where, .order = order, .now_ns = varve_clock_realtime(varve_clock_system())};
    double start = now();
    must(varve_catalog_select(catalog, &selection, count_row, &count, &err));
    (void)snprintf(what, sizeof what, "select row: %s (%zu)", where == NULL ? "all" : where, count);
    report(what, start, file_count);
}

/* As `policy explain` asks: the cost of a query rather than of its rows. */
static void
bench_select_one(void)
{
    size_t count = 0;
    struct varve_selection selection = {.where = "size > kib(4)", .under_ino = files[7].ino};
    double start = now();
    for (size_t i = 0; i < 500; i++)
        must(varve_catalog_select(catalog, &selection, count_row, &count, &err));
    report("select of one file, whole query", start, 500);
}

static void
bench_syncs(void)
{
    double start = now();
    for (size_t i = 0; i < 200; i++) {
        files[i].atime_ns++;
        must(varve_catalog_inode_update(catalog, &files[i], &err));
        must(varve_catalog_sync(catalog, &err));
    }
    report("inode_update and sync", start, 200);
    struct varve_catalog_totals totals;
    start = now();
    for (size_t i = 0; i < 1000; i++)
        must(varve_catalog_totals(catalog, &totals, &err));
    report("totals", start, 1000);
}

int
main(int argc, char **argv)
{
    if (argc > 1)
        file_count = strtoul(argv[1], NULL, 10);
    if (file_count < FILES_PER_DIR || file_count > FILES_PER_DIR * 4000)
        return 2;
    files = calloc(file_count, sizeof *files);
    const char *tmp = getenv("TMPDIR");
    char dir[256];
    (void)snprintf(dir, sizeof dir, "%s/varve-rates-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    if (files == NULL || mkdtemp(dir) == NULL)
        return 1;
    char path[280];
    (void)snprintf(path, sizeof path, "%s/catalog", dir);
    must(varve_catalog_create(path, 0, 0, varve_clock_system(), &err));
    must(varve_catalog_open(path, varve_clock_system(), &catalog, &err));

    make_dirs();
    bench_writes();
    bench_reads("no transaction");
    files[0].atime_ns++;
    must(varve_catalog_inode_update(catalog, &files[0], &err));
    bench_reads("in transaction");
    bench_syncs();
    bench_select("age(mtime) > days(7) and size > kib(4)", "heat");
    bench_select("path glob '/dir-1*'", NULL);
    bench_select("under('/dir-1')", NULL);
    bench_select(NULL, NULL);
    bench_select_one();

    varve_catalog_close(catalog);
    struct stat st;
    if (stat(path, &st) == 0)
        printf("%-44s %8.1f bytes\n", "size per file (2 inodes, 2 contents)",
               (double)st.st_size / (double)file_count);
    (void)unlink(path); /* removing what the benchmark made */
    (void)rmdir(dir);
    free(files);
    return 0;
}
