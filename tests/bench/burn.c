/* SPDX-License-Identifier: Apache-2.0 */
/* burn [DRIVES [MIB [DIR]]]: DRIVES virtual drives burn a disc of MIB each at the same time through
 * the whole path (a source that renders and checks clusters, ring, drive, CDBs, image file), then
 * read it back, and CPU time is told as GB/s per core; with the image file, which no real drive
 * costs, and without. Fails when 24 drives at 27 MB/s (6x Blu-ray) would need a core of varve's
 * own. In a temporary folder in memory (/dev/shm); elsewhere it measures the storage.
 */
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <varve/checksum.h>
#include <varve/file.h>
#include <varve/library.h>
#include <varve/virtual.h>

#define BURST 16u
#define DRIVES_MAX 64u
#define GOAL_GB (24 * 27e6 / 1e9) /* a second, by one core */

static bool
intend(void *context, const char *library, const struct varve_barcode *barcode, uint16_t from,
       uint16_t to, uint64_t *ret_id, struct varve_error *err)
{
    (void)context, (void)library, (void)barcode, (void)from, (void)to, (void)err;
    *ret_id = 1;
    return true;
}

static bool
done(void *context, uint64_t id, struct varve_error *err)
{
    (void)context, (void)id, (void)err;
    return true;
}

static double
cpu_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* cannot fail */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Stands before a virtual drive; swallows what is written when told to. */
struct sink {
    struct varve_scsi_port port;
    struct varve_scsi_port *inner;
};
static bool swallows;

static bool
sink_execute(struct varve_scsi_port *base, struct varve_scsi_command *command,
             struct varve_error *err)
{
    struct sink *sink = (struct sink *)base;
    if (!swallows || command->cdb[0] != 0x2a)
        return sink->inner->execute(sink->inner, command, err);
    command->status = 0;
    return true;
}

static void
sink_close(struct varve_scsi_port *base)
{
    struct sink *sink = (struct sink *)base;
    sink->inner->close(sink->inner);
}

struct worker {
    struct varve_library *library;
    unsigned number;
    uint64_t clusters;
    bool checks; /* the source does what the engine's does: copies, and compares with a CRC32C */
    bool ok;
    struct varve_error err;
    pthread_t thread;
};

static uint8_t pattern[VARVE_CLUSTER_BYTES];
static uint32_t pattern_crc;

static bool
fill(void *context, uint64_t cluster, unsigned count, uint8_t *ret, struct varve_error *err)
{
    const struct worker *worker = context;
    for (unsigned i = 0; worker->checks && i < count; i++) {
        uint8_t *at = ret + (size_t)i * VARVE_CLUSTER_BYTES;
        memcpy(at, pattern, VARVE_CLUSTER_BYTES);
        if (varve_crc32c(0, at, VARVE_CLUSTER_BYTES) != pattern_crc)
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "cluster %" PRIu64, cluster);
    }
    return true;
}

static void *
burn(void *context)
{
    struct worker *worker = context;
    struct varve_drive *drive = varve_library_drive(worker->library, worker->number);
    struct varve_burn burn = {.clusters = worker->clusters, .context = worker, .fill = fill};
    worker->ok = varve_drive_burn(drive, &burn, &worker->err);
    return NULL;
}

static void *
read_back(void *context)
{
    struct worker *worker = context;
    struct varve_drive *drive = varve_library_drive(worker->library, worker->number);
    VARVE_CLEANUP_FREE uint8_t *buffer = aligned_alloc(4096, BURST * VARVE_CLUSTER_BYTES);
    worker->ok = buffer != NULL && varve_drive_burn_close(drive, NULL, NULL, &worker->err);
    for (uint64_t at = 0; worker->ok && at < worker->clusters; at += BURST) {
        worker->ok = varve_drive_read(drive, at, BURST, buffer, NULL, &worker->err);
        for (unsigned i = 0; worker->ok && i < BURST; i++)
            worker->ok = !worker->checks || varve_crc32c(0, buffer + i * VARVE_CLUSTER_BYTES,
                                                         VARVE_CLUSTER_BYTES) == pattern_crc;
    }
    return NULL;
}

/* All drives at once; GB/s of CPU time, 0 when one failed. */
static double
measure(struct worker *workers, unsigned count, void *(*work)(void *))
{
    double began = cpu_seconds();
    bool ok = true;
    for (unsigned i = 0; i < count; i++)
        ok = pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0 && ok;
    for (unsigned i = 0; ok && i < count; i++)
        (void)pthread_join(workers[i].thread, NULL);
    double took = cpu_seconds() - began;
    for (unsigned i = 0; ok && i < count; i++) {
        if (!workers[i].ok)
            fprintf(stderr, "drive %u: %s\n", i, workers[i].err.text);
        ok = workers[i].ok;
    }
    double bytes = (double)count * (double)workers[0].clusters * VARVE_CLUSTER_BYTES;
    return ok ? bytes / took / 1e9 : 0;
}

static bool
open_library(const char *dir, unsigned drives, uint64_t bytes, struct varve_virtual **folder,
             struct varve_library **library, struct varve_error *err)
{
    struct varve_virtual_options options = {
        .slots = 3 * drives, .drives = drives, .disc_bytes = bytes};
    struct varve_scsi_port *changer, *ports[DRIVES_MAX];
    struct varve_move_journal journal = {NULL, intend, done};
    struct varve_clock *clock = varve_clock_system();
    if (!varve_virtual_create(dir, &options, err) || !varve_virtual_open(dir, clock, folder, err) ||
        !varve_virtual_changer_port(*folder, &changer, err))
        return false;
    static struct sink sinks[DRIVES_MAX];
    for (unsigned i = 0; i < drives; i++) {
        if (!varve_virtual_drive_port(*folder, i, &sinks[i].inner, err))
            return false;
        sinks[i].port = *sinks[i].inner;
        sinks[i].port.execute = sink_execute;
        sinks[i].port.close = sink_close;
        ports[i] = &sinks[i].port;
    }
    struct varve_library_ports scsi = {
        .name = "bench", .changer = changer, .drives = ports, .drive_count = drives};
    return varve_library_new(&scsi, &journal, clock, library, err);
}

static bool
load(struct varve_library *library, unsigned first_disc, unsigned drives, struct varve_error *err)
{
    for (unsigned i = 0; i < drives; i++) {
        struct varve_barcode disc = {0};
        (void)snprintf(disc.text, sizeof disc.text, "VRV%05u", first_disc + i);
        if (!varve_library_load(library, &disc, i, err))
            return false;
    }
    return true;
}

static void
tell(const char *what, double rate)
{
    printf("%-28s %6.2f GB/s per core: 24 drives at 27 MB/s take %4.1f %% of a core\n", what, rate,
           100 * GOAL_GB / rate);
}

static int
run(const char *dir, unsigned drives, uint64_t clusters)
{
    struct varve_error err = {0};
    VARVE_CLEANUP(varve_virtual_close) struct varve_virtual *folder = NULL;
    VARVE_CLEANUP(varve_library_free) struct varve_library *library = NULL;
    VARVE_CLEANUP_FREE struct worker *workers = calloc(drives, sizeof *workers);
    if (workers == NULL ||
        !open_library(dir, drives, clusters * VARVE_CLUSTER_BYTES, &folder, &library, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    double own = 0;
    for (unsigned round = 0; round < 3; round++) {
        bool checks = round > 0;
        swallows = round == 2;
        for (unsigned i = 0; i < drives; i++)
            workers[i] = (struct worker){
                .library = library, .number = i, .clusters = clusters, .checks = checks};
        if (!load(library, 1 + round * drives, drives, &err)) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        double burned = measure(workers, drives, burn);
        if (burned <= 0)
            return 1;
        static const char *const names[] = {"burn, empty source, image", "burn, CRC, image file",
                                            "burn, CRC, drive swallows"};
        tell(names[round], burned);
        own = burned;
        if (swallows)
            continue;
        double came = measure(workers, drives, read_back);
        if (came <= 0)
            return 1;
        tell(checks ? "read, CRC compared" : "read", came);
    }
    return own > GOAL_GB ? 0 : 1;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

int
main(int argc, char **argv)
{
    unsigned drives = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 24;
    uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 32;
    const char *base = argc > 3 ? argv[3] : "/dev/shm";
    char dir[4096];
    if (drives == 0 || drives > DRIVES_MAX || mib < 4 || mib > 1u << 20) {
        fprintf(stderr, "usage: burn [DRIVES [MIB [DIR]]], at most %u drives\n", DRIVES_MAX);
        return 2;
    }
    (void)snprintf(dir, sizeof dir, "%s/varve-bench-XXXXXX", base);
    if (mkdtemp(dir) == NULL) {
        perror(dir);
        return 1;
    }
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 31 + i / 256);
    pattern_crc = varve_crc32c(0, pattern, sizeof pattern);
    printf("%u drives, %" PRIu64 " MiB each\n", drives, mib);
    int status = run(dir, drives, mib * 16);
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}
