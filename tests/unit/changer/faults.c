/* SPDX-License-Identifier: Apache-2.0 */
#include "faults.h"

#include <stdio.h>
#include <string.h>

void
test_load(struct test_bench *bench, const char *disc, unsigned drive)
{
    struct varve_error err = {0};
    struct varve_barcode barcode = test_barcode(disc);
    EXPECT_OK(varve_library_load(bench->library, &barcode, drive, &err), err);
}

void
test_unload(struct test_bench *bench, unsigned drive)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_library_unload(bench->library, drive, &err), err);
}

void
test_expect_words(const char *text, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strstr(text, words[i]) == NULL)
            fail_msg("'%s' does not tell '%s'", text, words[i]);
    }
}
void
test_refused(struct test_bench *bench, const char *disc, enum varve_error_kind kind,
             const char *const *words)
{
    struct varve_error err = {0};
    struct varve_barcode barcode = test_barcode(disc);
    if (varve_library_load(bench->library, &barcode, 0, &err))
        fail_msg("disc '%s' was loaded", disc);
    test_expect_words(err.text, words);
    assert_int_equal(err.kind, kind);
}

void
test_told(struct test_bench *bench, const char *const *words)
{
    char event[VARVE_LIBRARY_EVENT_BYTES];
    char all[8000] = "";
    while (varve_library_event(bench->library, event)) {
        bool has = true;
        for (size_t i = 0; words[i] != NULL; i++)
            has = has && strstr(event, words[i]) != NULL;
        if (has)
            return;
        (void)snprintf(all + strlen(all), sizeof all - strlen(all), "\n%s", event);
    }
    fail_msg("nobody was told of '%s', but of:%s", words[0], all);
}

void
test_told_nothing(struct test_bench *bench)
{
    char event[VARVE_LIBRARY_EVENT_BYTES];
    if (varve_library_event(bench->library, event))
        fail_msg("told: %s", event);
}

void
test_forget_events(struct test_bench *bench)
{
    char event[VARVE_LIBRARY_EVENT_BYTES];
    while (varve_library_event(bench->library, event)) {
    }
}

void
test_refresh(struct test_bench *bench)
{
    struct varve_error err = {0};
    struct varve_element *elements;
    size_t count;
    EXPECT_OK(varve_library_inventory(bench->library, true, &elements, &count, &err), err);
    free(elements);
}

struct varve_element
test_element(struct test_bench *bench, uint16_t address)
{
    struct varve_error err = {0};
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t count;
    EXPECT_OK(varve_library_inventory(bench->library, false, &elements, &count, &err), err);
    for (size_t i = 0; i < count; i++) {
        if (elements[i].address == address)
            return elements[i];
    }
    fail_msg("no element %u", address);
    return (struct varve_element){0};
}

unsigned
test_flags(struct test_bench *bench, uint16_t address)
{
    return test_element(bench, address).flags;
}

enum varve_library_condition
test_condition(struct test_bench *bench)
{
    struct varve_library_state state;
    varve_library_state(bench->library, &state);
    return state.condition;
}

void
test_nothing_lost(struct test_bench *bench, const char *without)
{
    for (unsigned number = 1; number <= 6; number++) {
        char name[16];
        (void)snprintf(name, sizeof name, "VRV%05u", number);
        if (without != NULL && strcmp(name, without) == 0)
            continue;
        if (test_where(bench->library, name) == 0)
            fail_msg("disc '%s' is in no element", name);
    }
    assert_int_equal(bench->journal.intents, bench->journal.done);
}

void
test_restart(struct test_bench *bench)
{
    test_bench_close(bench);
    test_bench_open(bench);
}

int64_t
test_now(struct test_bench *bench)
{
    return varve_clock_monotonic(&bench->clock.clock);
}
