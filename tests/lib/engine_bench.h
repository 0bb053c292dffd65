/* engine_bench.h - a whole archive with a virtual library in a temporary folder, without a mount:
 * for the simulation and for the crash test of the engine.
 *
 * One thread. Calls that return bool leave the reason in bench->err. */
#ifndef VARVE_TEST_ENGINE_BENCH_H
#define VARVE_TEST_ENGINE_BENCH_H

#include <stdatomic.h>
#include <varve/engine.h>
#include <varve/virtual.h>

struct bench_options {
    unsigned slots, drives, data_discs, parity_discs;
    uint64_t disc_bytes;
    const char *rules;  /* appended to varve.conf */
    const char *keys;   /* of [archive]; NULL: no heads, so that every read comes from a disc */
    unsigned libraries; /* 0: one. More are called "more1", ...; their discs M1_00001, ... */
};
enum { BENCH_LIBRARIES_MAX = 4 };
struct bench {
    char dir[200];
    struct varve_engine_ports ports;
    struct varve_virtual *library; /* the first; NULL while closed */
    struct varve_virtual *libraries[BENCH_LIBRARIES_MAX];
    /* Puts something before the ports of a library's drives, which it may exchange; NULL: nothing.
     * Set it before bench_open(). */
    void (*wrap)(struct bench *bench, size_t library, struct varve_scsi_port **drives,
                 size_t count);
    void *context;     /* of wrap */
    atomic_uint fails; /* that many times the first library cannot be opened */
    struct varve_engine *engine;
    struct varve_error err;
};

/* The folder, its configuration, a library full of blanks. */
bool bench_make(struct bench *bench, const struct bench_options *options, uint64_t seed);
bool bench_open(struct bench *bench);
void bench_close(struct bench *bench);
/* Removes the folder. */
void bench_remove(struct bench *bench);

/* Waits (at most two minutes) until [offset, offset+size) of the file can be read. */
bool bench_await(struct bench *bench, uint64_t ino, uint64_t offset, uint64_t size);
/* Recalls what it needs. */
bool bench_read(struct bench *bench, uint64_t ino, uint64_t offset, uint8_t *ret, uint64_t size);
bool bench_write(struct bench *bench, uint64_t ino, uint64_t offset, const uint8_t *bytes,
                 uint64_t size);
bool bench_truncate(struct bench *bench, uint64_t ino, uint64_t size);
/* Regular file or directory, by the type in `mode`. */
bool bench_create(struct bench *bench, uint64_t parent, const char *name, uint32_t mode,
                  uint64_t *ret_ino);
/* Path of a disc's image, to be freed. */
char *bench_image(const struct bench *bench, const char *barcode, const char *suffix);
/* Files in the staging folders of the tiers: none once every set is sealed. */
unsigned bench_staged(const struct bench *bench);

/* A seeded stream of numbers (SplitMix64). */
struct dice {
    uint64_t state;
};
uint64_t dice_roll(struct dice *dice, uint64_t sides); /* 0 .. sides-1 */
void dice_fill(struct dice *dice, uint8_t *bytes, uint64_t count);

#endif
