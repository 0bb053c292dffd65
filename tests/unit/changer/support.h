/* support.h - what the changer's tests share: folders that vanish, a port that watches and breaks
 * commands, a journal in memory, and a virtual library with a real one on top. One thread. */
#ifndef VARVE_TESTS_CHANGER_SUPPORT_H
#define VARVE_TESTS_CHANGER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <varve/library.h>
#include <varve/virtual.h>

/* A fresh directory under $TMPDIR, removed with all it holds by test_dir_done(). */
char *test_dir_new(void);
void test_dir_done(char *dir); /* frees `dir` too */

/* What the watched port does with the command whose turn it is. */
enum test_fault {
    TEST_FAULT_SENSE,       /* refused with `sense`, not carried out */
    TEST_FAULT_SENSE_AFTER, /* carried out, then answered with `sense` */
    TEST_FAULT_LOST,        /* no answer, not carried out */
    TEST_FAULT_LOST_AFTER,  /* carried out, no answer */
};
struct test_watch {
    unsigned commands;   /* seen so far, on all ports of this watch */
    unsigned of[256];    /* ... by opcode */
    unsigned fail_nth;   /* 0: never */
    unsigned fail_count; /* how many in a row; 0 is 1 */
    enum test_fault fault;
    uint8_t sense[3];
    unsigned fired;
    uint8_t fired_opcode;
    uint64_t acknowledged; /* sectors that WRITE acknowledged, all from LBA 0 up */
    bool rewritten;        /* a WRITE below what was acknowledged was sent */
};
/* Wraps `inner`, which it closes with itself. */
struct varve_scsi_port *test_watch_port(struct test_watch *watch, struct varve_scsi_port *inner);

/* A journal that counts what is open, and remembers elements for as long as it lives. */
struct test_journal {
    struct varve_element_record *records; /* by address, 65,536 of them; NULL until the first */
    unsigned intents, done;
    uint64_t last_id;
    bool refuse;
};
struct varve_move_journal test_journal_port(struct test_journal *journal);
/* What it remembers of elements; before it goes. */
void test_journal_forget(struct test_journal *journal);

struct test_bench {
    char *dir;
    struct varve_clock_sim clock;
    struct varve_virtual *folder;
    struct varve_library *library; /* named "lib" */
    struct test_watch watch;
    struct test_journal journal;
};
#define TEST_DISC_BYTES (UINT64_C(4) << 20)
/* 6 slots with blanks VRV00001..6 (TEST_DISC_BYTES each), 2 drives, 2 mail slots. */
void test_bench_start(struct test_bench *bench);
/* The same with discs of a kind (virtual.h). */
void test_bench_start_kind(struct test_bench *bench, const char *kind);
/* ... in magazines of three slots: 0 is 1024..1026, 1 is 1027..1029. */
void test_bench_start_magazines(struct test_bench *bench);
/* Opens folder and library again, as after a restart. */
void test_bench_open(struct test_bench *bench);
void test_bench_close(struct test_bench *bench);
void test_bench_done(struct test_bench *bench);
/* For cmocka: *state is a bench as of test_bench_start() or test_bench_start_magazines(). */
int test_bench_setup(void **state);
int test_bench_setup_magazines(void **state);
int test_bench_teardown(void **state);

/* Takes a fault script, see docs/virtual-library.md. */
void test_script(struct test_bench *bench, const char *text);
struct varve_barcode test_barcode(const char *text);
/* Address of the element the disc is in by the hardware's own account, 0 if in none; fails the test
 * if it is in two. */
unsigned test_where(struct varve_library *library, const char *barcode);
/* `bytes` of a pattern that differs from cluster to cluster. */
void test_fill(uint8_t *bytes, size_t size, uint64_t first_cluster);

/* Sends a CDB and returns status << 24 | key << 16 | asc << 8 | ascq. */
struct test_answer {
    uint32_t sense; /* key << 16 | asc << 8 | ascq, 0 if good */
    uint32_t received;
    uint8_t data[65536];
};
uint32_t test_send(struct varve_scsi_port *port, const uint8_t *cdb, size_t cdb_bytes,
                   struct test_answer *ret);
uint32_t
test_write(struct varve_scsi_port *port, uint32_t lba, uint16_t sectors, const uint8_t *data);

#define EXPECT_OK(call, err)                                                                       \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, (err).text);                                                 \
    } while (0)

#endif
