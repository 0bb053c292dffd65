/* SPDX-License-Identifier: Apache-2.0 */
/* burn DIR [MIB]: burns and reads back one disc of a virtual library through the whole path
 * (library, drive, CDBs, image file) and prints GB/s per core of CPU time. On a tmpfs it measures
 * the path, elsewhere the storage. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <varve/file.h>
#include <varve/library.h>
#include <varve/virtual.h>

#define BURST 16u

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

static bool
open_library(const char *dir, uint64_t bytes, struct varve_clock *clock,
             struct varve_virtual **folder, struct varve_library **library, struct varve_error *err)
{
    struct varve_virtual_options options = {.slots = 1, .drives = 1, .disc_bytes = bytes};
    struct varve_scsi_port *changer, *drive;
    struct varve_move_journal journal = {.intend = intend, .done = done};
    if (!varve_virtual_create(dir, &options, err) || !varve_virtual_open(dir, clock, folder, err) ||
        !varve_virtual_changer_port(*folder, &changer, err) ||
        !varve_virtual_drive_port(*folder, 0, &drive, err))
        return false;
    struct varve_library_ports ports = {"bench", changer, &drive, 1};
    return varve_library_new(&ports, &journal, clock, library, err);
}

static bool
measure(struct varve_drive *drive, uint64_t clusters, struct varve_error *err)
{
    static uint8_t data[BURST * VARVE_CLUSTER_BYTES];
    double gigabytes = (double)clusters * VARVE_CLUSTER_BYTES / 1e9;
    double began = cpu_seconds();
    if (!varve_drive_burn_begin(drive, 0, clusters, err))
        return false;
    for (uint64_t at = 0; at < clusters; at += BURST) {
        if (!varve_drive_burn_write(drive, data, BURST, err))
            return false;
    }
    double burned = cpu_seconds();
    printf("burn: %.2f GB/s\n", gigabytes / (burned - began));
    if (!varve_drive_burn_close(drive, NULL, NULL, err))
        return false;
    burned = cpu_seconds();
    for (uint64_t at = 0; at < clusters; at += BURST) {
        if (!varve_drive_read(drive, at, BURST, data, NULL, err))
            return false;
    }
    printf("read: %.2f GB/s\n", gigabytes / (cpu_seconds() - burned));
    return true;
}

int
main(int argc, char **argv)
{
    struct varve_error err = {0};
    struct varve_clock_sim sim;
    VARVE_CLEANUP(varve_virtual_close) struct varve_virtual *folder = NULL;
    VARVE_CLEANUP(varve_library_free) struct varve_library *library = NULL;
    if (argc < 2) {
        fprintf(stderr, "usage: burn EMPTY-DIR [MIB]\n");
        return 2;
    }
    uint64_t clusters = (argc > 2 ? strtoull(argv[2], NULL, 10) : 512) * 16;
    varve_clock_sim_init(&sim, 0);
    struct varve_barcode disc;
    if (!varve_barcode_make("VRV00001", &disc) ||
        !open_library(argv[1], clusters * VARVE_CLUSTER_BYTES, &sim.clock, &folder, &library,
                      &err) ||
        !varve_library_load(library, &disc, 0, &err) ||
        !measure(varve_library_drive(library, 0), clusters, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}
