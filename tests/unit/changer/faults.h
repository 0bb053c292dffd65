/* faults.h - what the tests of a changer's faults ask again and again. One thread. */
#ifndef VARVE_TESTS_CHANGER_FAULTS_H
#define VARVE_TESTS_CHANGER_FAULTS_H

#include "support.h"

/* A list of words for the functions below. */
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

void test_load(struct test_bench *bench, const char *disc, unsigned drive);
void test_unload(struct test_bench *bench, unsigned drive);
/* The text must have each of the words (up to a NULL). */
void test_expect_words(const char *text, const char *const *words);
void test_refused(struct test_bench *bench, const char *disc, enum varve_error_kind kind,
                  const char *const *words);
/* One of the events since the last call has all these words. */
void test_told(struct test_bench *bench, const char *const *words);
void test_told_nothing(struct test_bench *bench);
void test_forget_events(struct test_bench *bench);
void test_refresh(struct test_bench *bench);
struct varve_element test_element(struct test_bench *bench, uint16_t address);
unsigned test_flags(struct test_bench *bench, uint16_t address);
enum varve_library_condition test_condition(struct test_bench *bench);
/* Each of the six discs but `without` is in one place by the hardware's own account, and no move is
 * open in the journal. */
void test_nothing_lost(struct test_bench *bench, const char *without);
void test_restart(struct test_bench *bench);
int64_t test_now(struct test_bench *bench);

#endif
