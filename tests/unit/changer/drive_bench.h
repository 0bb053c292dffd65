/* drive_bench.h - a library with its first drive under watch, and burning in it: what the tests of
 * faults share. One thread. */
#ifndef VARVE_TESTS_CHANGER_DRIVE_BENCH_H
#define VARVE_TESTS_CHANGER_DRIVE_BENCH_H

#include "support.h"

#include "drive.h"

#define CLUSTERS 48u
#define WHERE "library 'lib', drive 0 (element 256)"

/* Counts what goes to drive 0, by opcode. */
struct counter {
    struct varve_scsi_port port;
    struct varve_scsi_port *inner;
    unsigned count[256];
    uint8_t last_tray; /* START STOP UNIT, byte 4 */
};

struct fixture {
    struct test_bench bench;
    struct varve_drive *drive;
    struct counter counter;
    uint8_t data[CLUSTERS * VARVE_CLUSTER_BYTES];
    uint8_t back[CLUSTERS * VARVE_CLUSTER_BYTES];
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* A fault script (docs/virtual-library.md). */
void script(struct fixture *f, const char *text);
bool load(struct fixture *f, const char *disc, struct varve_error *err);
void expect_loaded(struct fixture *f, const char *disc);
/* Every word, up to a NULL, is in the message. */
void expect_text(const struct varve_error *err, const char *const *words);
#define EXPECT_TEXT(err, ...) expect_text(&(err), (const char *const[]){__VA_ARGS__, NULL})
/* A source for varve_drive_burn(): f->data. */
bool fixture_fill(void *context, uint64_t cluster, unsigned count, uint8_t *ret,
                  struct varve_error *err);
bool burn_from(struct fixture *f, uint64_t first, struct varve_error *err);
/* Unloads, loads, reads, compares; nothing acknowledged was written twice. */
void expect_read_back(struct fixture *f, const char *disc);
void expect_whole_burn(struct fixture *f, const char *disc);

#endif
