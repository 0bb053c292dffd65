/* cases.h - what the cases of the engine begin with: an archive with a few files, its jobs waited
 * for, its bytes compared. A failure fails the test. One thread. */
#ifndef VARVE_TESTS_SIM_CASES_H
#define VARVE_TESTS_SIM_CASES_H

#include "engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { FILES = 12, FILE_BYTES = 300000 };

struct archive {
    struct bench bench;
    uint64_t inos[FILES];
    uint8_t bytes[FILES][FILE_BYTES];
};

/* Of a call on the archive `a`. */
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, a->bench.err.text);                                          \
    } while (0)

extern const struct varve_path_list root;

struct varve_catalog *catalog_of(struct archive *a);
struct varve_job wait_job(struct archive *a, uint64_t id);
void expect_done(struct archive *a, uint64_t id);
void write_files(struct archive *a);
void archive_all(struct archive *a);
void release_all(struct archive *a);
void read_all(struct archive *a);
void remove_archive(struct archive *a);
uint64_t discs_in(struct archive *a, enum varve_disc_state state);

#endif
