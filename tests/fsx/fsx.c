/* SPDX-License-Identifier: Apache-2.0 */
/* fsx - random operations on files, compared with a model in memory.
 *
 * usage: fsx DIR [--seed S] [--ops N] [--size BYTES] [--compare K] [--skip A-B]...
 *            [--without NAMES] [--direct] [--tier SCRIPT [--remounts]] [--workers N]
 *            [--append N | --share N [--rest FILE]] [--log]
 *
 * DIR is on the filesystem to be judged, and empty. All is compared every K operations (20) and at
 * the end; what an operation has touched, at once. On a difference: exit 1, with the last
 * operations and the first byte that differs. The same seed does the same again; --skip leaves
 * operations out (numbers, may be given often), --without kinds of them, in commas, --log prints
 * each. --workers: as many processes, each in a directory of its own. --append, --share: so many
 * processes on one file, N rounds each; while FILE is there they have it closed. SCRIPT WORD
 * PATH does tier operations, and 'remount' and 'crash' with --remounts. Exit 2: wrong usage. */
#include "fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct operation {
    const char *name;
    unsigned weight;
    void (*run)(struct fsx *f);
};
static const struct operation operations[] = {
    {"write", 20, fsx_do_write},
    {"read", 14, fsx_do_read},
    {"open", 8, fsx_do_open},
    {"close", 8, fsx_do_close},
    {"truncate", 4, fsx_do_truncate},
    {"ftruncate", 4, fsx_do_ftruncate},
    {"fallocate", 10, fsx_do_fallocate},
    {"copy", 4, fsx_do_copy_range},
    {"sendfile", 2, fsx_do_sendfile},
    {"splice", 2, fsx_do_splice},
    {"seek", 4, fsx_do_seek},
    {"sync", 3, fsx_do_sync},
    {"map", 4, fsx_do_map},
    {"map-write", 8, fsx_do_map_write},
    {"map-read", 4, fsx_do_map_read},
    {"map-private", 2, fsx_do_map_private},
    {"unmap", 2, fsx_do_unmap},
    {"rename", 4, fsx_do_rename},
    {"link", 2, fsx_do_link},
    {"unlink", 2, fsx_do_unlink},
    {"xattr", 3, fsx_do_xattr},
    {"chmod", 2, fsx_do_chmod},
    {"utimens", 2, fsx_do_utimens},
    {"stat", 4, fsx_do_stat},
    {"tier", 8, fsx_do_tier},
    {"remount", 1, fsx_do_remount},
    {"crash", 1, fsx_do_crash},
};
#define OPERATION_COUNT (sizeof operations / sizeof operations[0])

static bool
in_list(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at != NULL && *at != '\0'; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
        if (strchr(at, ',') == NULL)
            return false;
    }
    return false;
}

static bool
is_skipped(const struct fsx *f, const char *name)
{
    for (unsigned i = 0; i < f->skip_count; i++) {
        if (f->op >= f->skips[i].first && f->op <= f->skips[i].end)
            return true;
    }
    return in_list(f->without, name);
}

static const struct operation *
choose_operation(struct fsx *f)
{
    unsigned total = 0;
    for (size_t i = 0; i < OPERATION_COUNT; i++)
        total += operations[i].weight;
    uint64_t at = fsx_random(f, total);
    size_t i = 0;
    for (; at >= operations[i].weight; i++)
        at -= operations[i].weight;
    return &operations[i];
}

static void
run(struct fsx *f)
{
    for (f->op = 1; f->op <= f->ops; f->op++) {
        f->random = f->seed * UINT64_C(1000000007) + f->op;
        const struct operation *operation = choose_operation(f);
        if (is_skipped(f, operation->name))
            continue;
        (void)clock_gettime(CLOCK_REALTIME_COARSE, &f->before);
        operation->run(f);
        if (f->op % f->compare_every == 0)
            fsx_check_all(f);
    }
    f->op = f->ops;
    fsx_check_all(f);
    fsx_drop_users(f, NULL);
    fsx_check_all(f);
}

static bool
prepare(struct fsx *f)
{
    f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY);
    f->buffer = aligned_alloc(FSX_PAGE, f->size_max + FSX_PAGE);
    f->got = aligned_alloc(FSX_PAGE, f->size_max + FSX_PAGE);
    f->log = calloc(FSX_LOG, sizeof *f->log);
    for (unsigned i = 0; i < FSX_HANDLES; i++)
        f->handles[i].fd = -1;
    if (f->dir_fd >= 0 && f->buffer != NULL && f->got != NULL && f->log != NULL)
        return true;
    (void)fprintf(stderr, "fsx: '%s': %s\n", f->dir, strerror(errno));
    return false;
}

static void
done(struct fsx *f)
{
    if (f->refused != 0)
        (void)printf("# fallocate modes that are not there: 0x%x\n", f->refused);
    for (unsigned i = 0; i < FSX_OBJECTS; i++)
        free(f->objects[i].bytes);
    free(f->buffer);
    free(f->got);
    free(f->log);
    (void)close(f->dir_fd);
}

static bool
run_here(const struct fsx *options, const char *dir, uint64_t seed)
{
    struct fsx *f = malloc(sizeof *f);
    if (f == NULL)
        return false;
    *f = *options;
    f->dir = dir;
    f->seed = seed;
    bool ok = prepare(f);
    if (ok) {
        run(f); /* does not return from what is wrong */
        done(f);
    }
    free(f);
    return ok;
}

static bool
run_workers(const struct fsx *options, unsigned count)
{
    char dir[4096];
    bool ok = true;
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(dir, sizeof dir, "%s/worker%u", options->dir, i);
        if (mkdir(dir, 0755) != 0 && errno != EEXIST)
            return false;
        pid_t child = fork();
        if (child == 0)
            exit(run_here(options, dir, options->seed + i) ? 0 : 1);
        ok = ok && child > 0;
    }
    for (int status = 0; wait(&status) > 0;)
        ok = ok && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return ok;
}

/* --- usage --- */

struct modes {
    unsigned workers;
    uint64_t append, share;
    const char *rest;
};

static uint64_t
number(const char *text)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0')
        return value;
    (void)fprintf(stderr, "fsx: '%s' is no number\n", text);
    exit(2);
}

static void
add_skip(struct fsx *f, const char *text)
{
    char first[32];
    const char *dash = strchr(text, '-');
    if (dash == NULL || (size_t)(dash - text) >= sizeof first || f->skip_count >= FSX_SKIPS) {
        (void)fprintf(stderr, "fsx: --skip wants A-B, at most %d times\n", FSX_SKIPS);
        exit(2);
    }
    (void)snprintf(first, sizeof first, "%.*s", (int)(dash - text), text);
    f->skips[f->skip_count++] = (struct fsx_range){number(first), number(dash + 1)};
}

static const struct option long_options[] = {
    {"seed", required_argument, NULL, 's'},
    {"ops", required_argument, NULL, 'o'},
    {"size", required_argument, NULL, 'b'},
    {"compare", required_argument, NULL, 'c'},
    {"skip", required_argument, NULL, 'k'},
    {"without", required_argument, NULL, 'x'},
    {"direct", no_argument, NULL, 'd'},
    {"tier", required_argument, NULL, 't'},
    {"remounts", no_argument, NULL, 'r'},
    {"workers", required_argument, NULL, 'w'},
    {"append", required_argument, NULL, 'a'},
    {"share", required_argument, NULL, 'p'},
    {"rest", required_argument, NULL, 'z'},
    {"log", no_argument, NULL, 'l'},
    {NULL, 0, NULL, 0},
};

static void
take_option(struct fsx *f, struct modes *modes, int option)
{
    switch (option) {
    case 's':
        f->seed = number(optarg);
        return;
    case 'o':
        f->ops = number(optarg);
        return;
    case 'b':
        f->size_max = number(optarg) / FSX_PAGE * FSX_PAGE;
        return;
    case 'c':
        f->compare_every = number(optarg);
        return;
    case 'k':
        add_skip(f, optarg);
        return;
    case 'x':
        f->without = optarg;
        return;
    case 'd':
        f->direct = true;
        return;
    case 't':
        f->tier_script = optarg;
        return;
    case 'r':
        f->remounts = true;
        return;
    case 'w':
        modes->workers = (unsigned)number(optarg);
        return;
    case 'a':
        modes->append = number(optarg);
        return;
    case 'p':
        modes->share = number(optarg);
        return;
    case 'z':
        modes->rest = optarg;
        return;
    case 'l':
        f->quiet = false;
        return;
    default:
        exit(2);
    }
}

static bool
run_as_asked(const struct fsx *f, const struct modes *modes)
{
    struct fsx_together how = {.dir = f->dir, .seed = f->seed, .rest = modes->rest};
    how.writers = modes->workers == 0 ? 4 : modes->workers;
    how.rounds = modes->append + modes->share;
    how.maps = !in_list(f->without, "map");
    if (modes->append > 0)
        return fsx_append_together(&how);
    if (modes->share > 0)
        return fsx_share_pages(&how);
    return modes->workers > 0 ? run_workers(f, modes->workers) : run_here(f, f->dir, f->seed);
}

int
main(int count, char **arguments)
{
    struct fsx f = {.seed = 1, .ops = 2000, .size_max = 300 * 1024, .compare_every = 20};
    struct modes modes = {0};
    f.quiet = true;
    for (int option = 0; option != -1;) {
        option = getopt_long(count, arguments, "", long_options, NULL);
        if (option != -1)
            take_option(&f, &modes, option);
    }
    if (optind != count - 1 || f.compare_every == 0 || f.size_max < 16 * FSX_PAGE) {
        (void)fprintf(stderr, "usage: fsx DIR [OPTIONS] (see the first lines of fsx.c)\n");
        return 2;
    }
    f.dir = arguments[optind];
    (void)umask(022);
    return run_as_asked(&f, &modes) ? 0 : 1;
}
