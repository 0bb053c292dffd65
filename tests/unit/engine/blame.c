/* SPDX-License-Identifier: Apache-2.0 */
/* A disc that fails in two drives is bad, a drive in which two discs failed is bad, and neither is
 * blamed for what the other was found to have done. */
#include "blame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MAX = 6 };

/* "D1 X" open, "D1 X d" judged: the disc, "r": the drive, "c": cleared; "o": older than `since`. */
static struct varve_incident
parse(const char *text)
{
    struct varve_incident incident = {.at_ns = 100};
    char verdict = ' ';
    (void)sscanf(text, "%100s %32s %c", incident.drive, incident.disc.text, &verdict);
    incident.verdict = verdict == 'd'   ? VARVE_VERDICT_DISC
                       : verdict == 'r' ? VARVE_VERDICT_DRIVE
                       : verdict == 'c' ? VARVE_VERDICT_CLEARED
                                        : VARVE_VERDICT_OPEN;
    if (verdict == 'o')
        incident.at_ns = 10;
    return incident;
}

static void
test_verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        enum blame wanted;
        const char *incidents[MAX];
    } cases[] = {
        {"one incident says nothing", BLAME_OPEN, {"D1 X"}},
        {"nor does the same again", BLAME_OPEN, {"D1 X", "D1 X"}},
        {"bad in two drives", BLAME_DISC, {"D1 X", "D2 X"}},
        {"two discs bad in the drive", BLAME_DRIVE, {"D1 X", "D1 Y"}},
        {"another drive's discs do not count", BLAME_OPEN, {"D1 X", "D2 Y", "D2 Z"}},
        {"two drives are better witnesses than two discs", BLAME_DISC, {"D1 X", "D1 Y", "D2 X"}},
        {"a disc found bad does not count against the drive", BLAME_OPEN, {"D1 X", "D1 Y d"}},
        {"a drive found bad does not count against the disc", BLAME_OPEN, {"D1 X", "D2 X r"}},
        {"a drive found bad with another disc", BLAME_DRIVE, {"D1 X", "D1 Y r"}},
        {"what an operator cleared", BLAME_OPEN, {"D1 X", "D1 Y c"}},
        {"what was before the drive came into service", BLAME_OPEN, {"D1 X", "D1 Y o"}},
        {"but a disc has no such mercy", BLAME_DISC, {"D1 X", "D2 X o"}},
    };
    const struct varve_barcode disc = {"X"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_incident incidents[MAX];
        size_t count = 0;
        while (count < MAX && cases[i].incidents[count] != NULL) {
            incidents[count] = parse(cases[i].incidents[count]);
            count++;
        }
        enum blame got = blame_judge(incidents, count, "D1", &disc, 50);
        if (got != cases[i].wanted)
            fail_msg("%s: %d", cases[i].why, got);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts)};
    return cmocka_run_group_tests_name("unit engine blame", tests, NULL, NULL);
}
