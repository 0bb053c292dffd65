/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_bench.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <varve/file.h>

static const char media[] = "/library";

/* --- a clock that skips most of every sleep --- */

/* Robots and drives are polled for seconds that nothing happens in; the time that was not slept has
 * passed all the same, so that time-outs come when they should. */
static atomic_int_least64_t skipped_ns;

static int64_t
hurried_realtime(struct varve_clock *clock)
{
    (void)clock;
    return varve_clock_realtime(varve_clock_system()) + atomic_load(&skipped_ns);
}

static int64_t
hurried_monotonic(struct varve_clock *clock)
{
    (void)clock;
    return varve_clock_monotonic(varve_clock_system()) + atomic_load(&skipped_ns);
}

static void
hurried_sleep(struct varve_clock *clock, int64_t duration_ns)
{
    (void)clock;
    varve_clock_sleep(varve_clock_system(), duration_ns / 64);
    atomic_fetch_add(&skipped_ns, duration_ns - duration_ns / 64);
}

static struct varve_clock hurried = {hurried_realtime, hurried_realtime, hurried_monotonic,
                                     hurried_sleep};

/* --- life --- */

static bool
open_library(void *context, const struct varve_config *config, size_t index,
             struct varve_library_ports *ret, struct varve_error *err)
{
    struct bench *bench = context;
    struct varve_library_ports made = {.name = config->libraries[index].name};
    if (index == 0 && atomic_load(&bench->fails) > 0) {
        atomic_fetch_sub(&bench->fails, 1);
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "the host does not answer");
    }
    if (index >= BENCH_LIBRARIES_MAX ||
        !varve_virtual_open(config->libraries[index].path, &hurried, &bench->libraries[index], err))
        return false;
    struct varve_virtual *library = bench->libraries[index];
    bench->library = bench->libraries[0];
    made.drive_count = varve_virtual_drive_count(library);
    made.drives = calloc(made.drive_count + 1, sizeof(struct varve_scsi_port *));
    bool ok = made.drives != NULL && varve_virtual_changer_port(library, &made.changer, err);
    for (unsigned i = 0; ok && i < made.drive_count; i++)
        ok = varve_virtual_drive_port(library, i, &made.drives[i], err);
    if (ok && bench->wrap != NULL)
        bench->wrap(bench, index, made.drives, made.drive_count);
    if (ok)
        *ret = made;
    return ok;
}

static bool
append_rules(struct bench *bench, const char *rules)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(bench->dir, VARVE_CONFIG_FILE);
    VARVE_CLEANUP_STREAM FILE *file = path != NULL ? fopen(path, "ae") : NULL;
    return file != NULL && fprintf(file, "\n%s\n", rules) > 0;
}

/* Behind the line "[archive]". */
static bool
insert_keys(struct bench *bench, const char *keys)
{
    static const char section[] = "[archive]\n";
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer made = {0};
    VARVE_CLEANUP_FREE char *path = varve_file_join(bench->dir, VARVE_CONFIG_FILE);
    if (path == NULL || !varve_file_read(path, VARVE_CONFIG_BYTES_MAX, &text, &bench->err))
        return false;
    const char *at = strstr(varve_buffer_string(&text), section);
    if (at == NULL)
        return false;
    at += strlen(section);
    varve_buffer_append(&made, varve_buffer_string(&text),
                        (size_t)(at - varve_buffer_string(&text)));
    varve_buffer_printf(&made, "%s\n%s", keys, at);
    return varve_file_replace(path, made.data, made.size, &bench->err);
}

/* Further libraries like the first one. */
static bool
make_more(struct bench *bench, const struct bench_options *options)
{
    for (unsigned i = 1; i < options->libraries && i < BENCH_LIBRARIES_MAX; i++) {
        char path[sizeof bench->dir + 16], section[64], prefix[8];
        (void)snprintf(prefix, sizeof prefix, "M%u_", i);
        const struct varve_virtual_options library = {.slots = options->slots,
                                                      .drives = options->drives,
                                                      .mail_slots = 1,
                                                      .disc_bytes = options->disc_bytes,
                                                      .barcode = prefix};
        (void)snprintf(path, sizeof path, "%s/more%u", bench->dir, i);
        (void)snprintf(section, sizeof section, "[library more%u]\nkind = virtual\npath = more%u",
                       i, i);
        if (!append_rules(bench, section) || !varve_virtual_create(path, &library, &bench->err))
            return false;
    }
    return true;
}

bool
bench_make(struct bench *bench, const struct bench_options *options, uint64_t seed)
{
    const char *tmp = getenv("TMPDIR");
    static struct varve_random_seeded random;
    *bench = (struct bench){0};
    (void)setenv("VARVE_LOG", "error", 0);
    varve_random_seeded_init(&random, seed);
    bench->ports = (struct varve_engine_ports){.clock = &hurried,
                                               .random = &random.random,
                                               .context = bench,
                                               .open_library = open_library};
    (void)snprintf(bench->dir, sizeof bench->dir, "%.120s/varve-engine-XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(bench->dir) == NULL)
        return varve_error_system(&bench->err, errno, "mkdtemp");
    const struct varve_init_options init = {.dir = bench->dir,
                                            .name = "bench",
                                            .library = "virtual",
                                            .disc_bytes = options->disc_bytes,
                                            .data_discs = options->data_discs,
                                            .parity_discs = options->parity_discs};
    const struct varve_virtual_options library = {.slots = options->slots,
                                                  .drives = options->drives,
                                                  .mail_slots = 1,
                                                  .disc_bytes = options->disc_bytes};
    char path[sizeof bench->dir + sizeof media];
    (void)snprintf(path, sizeof path, "%s%s", bench->dir, media);
    return varve_engine_init(&init, bench->ports.clock, bench->ports.random, &bench->err) &&
           insert_keys(bench, options->keys != NULL ? options->keys : "head = 0") &&
           (options->rules == NULL || append_rules(bench, options->rules)) &&
           varve_virtual_create(path, &library, &bench->err) && make_more(bench, options);
}

bool
bench_open(struct bench *bench)
{
    if (varve_engine_open(bench->dir, &bench->ports, &bench->engine, &bench->err) &&
        varve_engine_start(bench->engine, &bench->err))
        return true;
    bench_close(bench);
    return false;
}

void
bench_close(struct bench *bench)
{
    varve_engine_close(VARVE_TAKE(bench->engine));
    bench->library = NULL;
    for (unsigned i = 0; i < BENCH_LIBRARIES_MAX; i++)
        varve_virtual_close(VARVE_TAKE(bench->libraries[i]));
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void
bench_remove(struct bench *bench)
{
    (void)nftw(bench->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

char *
bench_image(const struct bench *bench, const char *barcode, const char *suffix)
{
    char *path = NULL;
    return asprintf(&path, "%s%s/discs/%s%s", bench->dir, media, barcode, suffix) < 0 ? NULL : path;
}

unsigned
bench_staged(const struct bench *bench)
{
    unsigned count = 0;
    static const char *const tiers[] = {"ssd", "hdd"};
    for (size_t i = 0; i < 2; i++) {
        char path[sizeof bench->dir + 32];
        (void)snprintf(path, sizeof path, "%s/%s/staging", bench->dir, tiers[i]);
        VARVE_CLEANUP_DIR DIR *dir = opendir(path);
        for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
            count += entry->d_name[0] != '.';
    }
    return count;
}

/* --- waiting for content --- */

struct arrival {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over, ok;
    struct varve_error err;
};

static void
arrived(void *context, const struct varve_error *err)
{
    struct arrival *arrival = context;
    VARVE_LOCKED(&arrival->lock);
    arrival->over = true;
    arrival->ok = err == NULL;
    if (err != NULL)
        arrival->err = *err;
    pthread_cond_broadcast(&arrival->changed);
}

bool
bench_await(struct bench *bench, uint64_t ino, uint64_t offset, uint64_t size)
{
    struct arrival arrival = {.lock = PTHREAD_MUTEX_INITIALIZER,
                              .changed = PTHREAD_COND_INITIALIZER};
    struct timespec until;
    uint64_t ticket;
    if (!varve_vfs_await(varve_engine_vfs(bench->engine), ino, offset, size, arrived, &arrival,
                         &ticket, &bench->err))
        return false;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 120;
    VARVE_LOCKED(&arrival.lock);
    while (!arrival.over) {
        if (pthread_cond_timedwait(&arrival.changed, &arrival.lock, &until) == ETIMEDOUT) {
            (void)fprintf(stderr, "a recall of inode %llu never ends\n", (unsigned long long)ino);
            abort(); /* the callback may still come: its context must not go away */
        }
    }
    if (!arrival.ok)
        bench->err = arrival.err;
    return arrival.ok;
}

/* --- files --- */

VARVE_DEFINE_CLEANUP(struct varve_open, varve_open_close)

static bool
read_some(struct bench *bench, struct varve_open *open, uint64_t offset, uint8_t *ret,
          uint64_t *size)
{
    int fd;
    if (!varve_open_read(open, offset, size, &fd, &bench->err))
        return false;
    if (*size == 0)
        return varve_error_set(&bench->err, VARVE_ERROR_CORRUPT, 0, "file ends at %llu",
                               (unsigned long long)offset);
    bool ok = varve_file_pread(fd, ret, (size_t)*size, offset, &bench->err);
    varve_open_done(open);
    return ok;
}

bool
bench_read(struct bench *bench, uint64_t ino, uint64_t offset, uint8_t *ret, uint64_t size)
{
    VARVE_CLEANUP(varve_open_close) struct varve_open *open = NULL;
    if (!varve_vfs_open(varve_engine_vfs(bench->engine), ino, O_RDONLY, &open, &bench->err))
        return false;
    for (uint64_t at = 0; at < size;) {
        uint64_t count = size - at;
        if (read_some(bench, open, offset + at, &ret[at], &count)) {
            at += count;
            continue;
        }
        count = size - at < 100000 ? size - at : 100000; /* a kernel asks for a piece at a time */
        if (bench->err.kind != VARVE_ERROR_WAIT || !bench_await(bench, ino, offset + at, count))
            return false;
        if (!read_some(bench, open, offset + at, &ret[at], &count))
            return false;
        at += count;
    }
    return true;
}

bool
bench_write(struct bench *bench, uint64_t ino, uint64_t offset, const uint8_t *bytes, uint64_t size)
{
    VARVE_CLEANUP(varve_open_close) struct varve_open *open = NULL;
    int fd;
    if (!varve_vfs_open(varve_engine_vfs(bench->engine), ino, O_WRONLY, &open, &bench->err))
        return false;
    if (!varve_open_write(open, &fd, &bench->err) &&
        (bench->err.kind != VARVE_ERROR_WAIT || !bench_await(bench, ino, 0, UINT64_MAX) ||
         !varve_open_write(open, &fd, &bench->err)))
        return false;
    bool ok = varve_file_pwrite(fd, bytes, (size_t)size, offset, &bench->err);
    varve_open_done(open);
    return ok;
}

bool
bench_truncate(struct bench *bench, uint64_t ino, uint64_t size)
{
    const struct varve_setattr change = {.mask = VARVE_SET_SIZE, .size = size};
    struct varve_vfs *vfs = varve_engine_vfs(bench->engine);
    struct varve_inode inode;
    return varve_vfs_setattr(vfs, ino, &change, &inode, &bench->err) ||
           (bench->err.kind == VARVE_ERROR_WAIT && bench_await(bench, ino, 0, UINT64_MAX) &&
            varve_vfs_setattr(vfs, ino, &change, &inode, &bench->err));
}

bool
bench_create(struct bench *bench, uint64_t parent, const char *name, uint32_t mode,
             uint64_t *ret_ino)
{
    const struct varve_caller caller = {getuid(), getgid()};
    struct varve_inode inode;
    if (!varve_vfs_make(varve_engine_vfs(bench->engine), &caller, parent, name, mode, 0, &inode,
                        &bench->err))
        return false;
    *ret_ino = inode.ino;
    return true;
}

/* --- dice --- */

static uint64_t
next(struct dice *dice)
{
    uint64_t z = dice->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t
dice_roll(struct dice *dice, uint64_t sides)
{
    return sides == 0 ? 0 : next(dice) % sides;
}

void
dice_fill(struct dice *dice, uint8_t *bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i += 8) {
        uint64_t value = next(dice);
        memcpy(&bytes[i], &value, count - i < 8 ? (size_t)(count - i) : 8);
    }
}
