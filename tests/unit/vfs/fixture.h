/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.h - an archive in a temporary directory with both tiers, a clock that stands still, and
 * the few acts of an engine that the vfs has to live with. Every helper fails the test on error. */
#ifndef VARVE_TEST_VFS_FIXTURE_H
#define VARVE_TEST_VFS_FIXTURE_H

#include <varve/vfs.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define START_NS (INT64_C(1700000000) * VARVE_NS_PER_SECOND)
#define HALF_LIFE_NS (INT64_C(7 * 86400) * VARVE_NS_PER_SECOND)

struct fixture {
    char dir[80];
    struct varve_clock_sim clock;
    struct varve_clock *time; /* &clock.clock, or the system's */
    struct varve_catalog *catalog;
    struct varve_store *store;
    struct varve_vfs *vfs;
    struct varve_reader_rules readers; /* this and the next: taken at the next fixture_open() */
    uint64_t head_bytes;
    struct varve_error err;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
/* Opens what is in f->dir; fixture_close() leaves the files. */
bool fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);
void fixture_remove(struct fixture *f);

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, f->err.text);                                                \
    } while (0)
/* The call fails with just this errno. */
#define FAILS(call, number)                                                                        \
    do {                                                                                           \
        assert_false(call);                                                                        \
        if (varve_error_errno(&f->err) != (number))                                                \
            fail_msg("%s: errno %d (%s), not %d", #call, varve_error_errno(&f->err), f->err.text,  \
                     number);                                                                      \
    } while (0)
#define FAILS_AS(call, kind_)                                                                      \
    do {                                                                                           \
        assert_false(call);                                                                        \
        if (f->err.kind != VARVE_ERROR_##kind_)                                                    \
            fail_msg("%s: not " #kind_ " but: %s", #call, f->err.text);                            \
    } while (0)

uint64_t make_file(struct fixture *f, uint64_t parent, const char *name);
uint64_t make_dir(struct fixture *f, uint64_t parent, const char *name);
struct varve_inode attributes(struct fixture *f, uint64_t ino);
struct varve_open *open_file(struct fixture *f, uint64_t ino, int flags);
void write_open(struct fixture *f, struct varve_open *open, uint64_t offset, const void *bytes,
                size_t size);
/* Opens, truncates, writes, closes. */
void put_text(struct fixture *f, uint64_t ino, const char *text);
/* What can be read of the file is just this. */
void expect_bytes(struct fixture *f, uint64_t ino, const void *bytes, size_t size);
void expect_text(struct fixture *f, uint64_t ino, const char *text);
void expect_open_text(struct fixture *f, struct varve_open *open, const char *text);
void expect_xattr(struct fixture *f, uint64_t ino, const char *name, const char *value);
void truncate_to(struct fixture *f, uint64_t ino, uint64_t size);

/* --- the engine's side --- */
struct varve_content content_of(struct fixture *f, uint64_t ino);
struct varve_content row_of(struct fixture *f, struct varve_content_id id);
struct varve_content freeze(struct fixture *f, uint64_t ino);
/* As the engine does when the discs of the set are proven. */
void seal(struct fixture *f, struct varve_content_id id);
void release(struct fixture *f, struct varve_content_id id);
/* Keeps what was on the "disc" in memory, freezes, seals and releases. */
struct varve_content migrate(struct fixture *f, uint64_t ino);
void recall_bytes(struct fixture *f, struct varve_content_id id, const void *bytes, size_t size);
/* Backing files that are there. */
unsigned count_files(struct fixture *f);
bool backing_exists(struct fixture *f, struct varve_place place);
/* Every file that a row names is there and no other; the catalog verifies. */
void expect_consistent(struct fixture *f);

/* varve_vfs_move() of one file. */
bool move_one(struct varve_vfs *vfs, struct varve_content_id content, enum varve_tier to,
              struct varve_place *ret_old, struct varve_error *err);

#endif
