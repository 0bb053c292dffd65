/* SPDX-License-Identifier: Apache-2.0 */
/* Recalls come first and keep a drive, discs that are read stay while they are wanted, the nearest
 * drive that needs the least work is taken, and nobody waits for ever. */
#include "schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define S INT64_C(1000000000)
#define LOAD 60e9
enum { MAX = 8 };

struct world {
    struct schedule_drive drives[MAX];
    struct schedule_task tasks[MAX];
    struct schedule schedule;
};

/* Drives from 1: a second for each step. */
static double
by_distance(const void *context, uint16_t from, uint16_t to)
{
    (void)context;
    return 1e9 * abs((int)from - (int)to);
}

static struct varve_barcode
disc_of(const char *name)
{
    struct varve_barcode disc = {{0}};
    (void)snprintf(disc.text, sizeof disc.text, "%s", name);
    return disc;
}

/* Empty drives at work for nobody; an hour after the beginning of time. */
static void
make(struct world *w, unsigned drives)
{
    *w = (struct world){0};
    for (unsigned d = 0; d < drives; d++)
        w->drives[d] = (struct schedule_drive){
            .element = (uint16_t)(1 + d), .usable = true, .served_ns = INT64_MIN};
    w->schedule = (struct schedule){
        .tasks = w->tasks,
        .drives = w->drives,
        .drive_count = drives,
        .recall_drives = 1,
        .now_ns = 3600 * S,
        .load_ns = LOAD,
        .began_ns = {3600 * S, 3600 * S, 3600 * S},
        .patience_ns = {0, SCHEDULE_PATIENCE_BURN_NS, SCHEDULE_PATIENCE_VERIFY_NS},
        .cost = {NULL, by_distance}};
}

static struct schedule_task *
add(struct world *w, enum task_class class, const char *disc, int64_t since_s)
{
    struct schedule_task *task = &w->tasks[w->schedule.task_count++];
    *task = (struct schedule_task){.class = class,
                                   .disc = disc_of(disc),
                                   .element = 1, /* right before the first drive */
                                   .reader = class == TASK_RECALL,
                                   .since_ns = since_s * S,
                                   .turn_ns = INT64_MIN};
    return task;
}

static void
put(struct world *w, unsigned drive, const char *disc)
{
    w->drives[drive].holds = true;
    w->drives[drive].disc = disc_of(disc);
    w->drives[drive].home = 100;
}

static void
work(struct world *w, unsigned drive, enum task_class class, const char *disc)
{
    put(w, drive, disc);
    w->drives[drive].busy = true;
    w->drives[drive].class = class;
    w->drives[drive].working = disc_of(disc);
}

static void
expect(struct world *w, const char *disc, unsigned drive)
{
    struct schedule_choice choice;
    assert_true(schedule_next(&w->schedule, &choice));
    assert_string_equal(w->tasks[choice.task].disc.text, disc);
    assert_int_equal(choice.drive, drive);
}

static void
expect_nothing(struct world *w, int64_t again_ns)
{
    struct schedule_choice choice;
    assert_false(schedule_next(&w->schedule, &choice));
    assert_int_equal(choice.again_ns, again_ns);
}

static void
test_order_of_classes(void **state)
{
    (void)state;
    struct world w;
    make(&w, 3);
    add(&w, TASK_VERIFY, "V", 3000);
    add(&w, TASK_BURN, "B", 3100);
    struct schedule_task *recall = add(&w, TASK_RECALL, "R", 3599);
    expect(&w, "R", 0);
    recall->class = TASK_VERIFY; /* younger than the other check */
    expect(&w, "B", 0);
    w.tasks[1].class = TASK_VERIFY;
    expect(&w, "V", 0);
}

static void
test_one_drive_is_kept_for_recalls(void **state)
{
    (void)state;
    struct world w;
    make(&w, 3);
    add(&w, TASK_BURN, "B", 3000);
    work(&w, 1, TASK_BURN, "X");
    expect(&w, "B", 0);
    work(&w, 2, TASK_VERIFY, "Y");
    expect_nothing(&w, INT64_MAX);
    add(&w, TASK_RECALL, "R", 3600);
    expect(&w, "R", 0);
    w.schedule.task_count = 1;
    w.schedule.recall_drives = 0;
    expect(&w, "B", 0);
    w.schedule.recall_drives = 5; /* never all: burning must be possible */
    assert_int_equal(schedule_capacity(&w.schedule), 1);
    w.drives[0].usable = false;
    w.drives[1].usable = false;
    w.drives[2].usable = false;
    assert_int_equal(schedule_capacity(&w.schedule), 0);
}

/* Of two users at one drive, one who reads file after file from his disc keeps it for two loads'
 * time, also in the moment between two files; then the other has his turn. */
static void
test_no_thrashing(void **state)
{
    (void)state;
    struct world w;
    make(&w, 1);
    put(&w, 0, "A");
    w.drives[0].turn_ns = 3590 * S;
    w.drives[0].served_ns = 3600 * S - 1;
    add(&w, TASK_RECALL, "B", 3500);
    expect_nothing(&w, 3600 * S - 1 + (int64_t)(LOAD / 8));
    add(&w, TASK_RECALL, "A", 3600);
    expect(&w, "A", 0);
    w.drives[0].turn_ns = 3400 * S;
    expect(&w, "B", 0);
    w.drives[0].turn_ns = 3590 * S; /* nothing more came for A */
    w.schedule.task_count = 1;
    w.schedule.now_ns += 8 * S;
    expect(&w, "B", 0);
    w.drives[0].served_ns = INT64_MIN; /* no reader: a disc that was burned waits for nobody */
    w.schedule.now_ns -= 8 * S;
    expect(&w, "B", 0);
}

static void
test_drive_with_least_work(void **state)
{
    (void)state;
    struct world w;
    make(&w, 4);
    add(&w, TASK_RECALL, "R", 3600);
    w.tasks[0].element = 4;
    expect(&w, "R", 3); /* the nearest */
    put(&w, 3, "X");
    expect(&w, "R", 2); /* the nearest empty one: nothing has to leave */
    put(&w, 0, "R");
    expect(&w, "R", 0); /* it is there */
    w.drives[0].usable = false;
    expect(&w, "R", 2); /* ... but that drive is out of service */
    w.tasks[0].forced = true;
    w.tasks[0].not_drives = ~UINT64_C(1);
    expect(&w, "R", 0); /* ... which by hand does not matter */
}

static void
test_disc_not_wanted_lately_leaves_first(void **state)
{
    (void)state;
    struct world w;
    make(&w, 2);
    put(&w, 0, "X");
    put(&w, 1, "Y");
    w.drives[0].served_ns = 3540 * S;
    w.drives[1].served_ns = 3000 * S;
    add(&w, TASK_RECALL, "R", 3600);
    w.tasks[0].element = 1;
    expect(&w, "R", 1);
}

static void
test_discs_of_a_set_are_spread(void **state)
{
    (void)state;
    struct world w;
    make(&w, 3);
    w.drives[0].group = 7;
    w.drives[0].group_count = 2;
    w.drives[1].group = 7;
    w.drives[1].group_count = 1;
    w.drives[2].group = 6;
    w.drives[2].group_count = 9;
    struct schedule_task *task = add(&w, TASK_BURN, "B", 3600);
    task->group = 7;
    put(&w, 2, "X"); /* even though something must leave it */
    expect(&w, "B", 2);
    w.drives[2].busy = true;
    expect(&w, "B", 1);
}

static void
test_disc_of_another_drive_is_nobodys(void **state)
{
    (void)state;
    struct world w;
    make(&w, 2);
    work(&w, 0, TASK_BURN, "B");
    add(&w, TASK_RECALL, "B", 3000);
    expect_nothing(&w, INT64_MAX);
    w.drives[0].disc = disc_of("OLD"); /* what is still in it goes home first */
    expect_nothing(&w, INT64_MAX);
    w.tasks[0].disc = disc_of("OLD");
    expect_nothing(&w, INT64_MAX);
}

static void
test_tried_drives_are_left_out(void **state)
{
    (void)state;
    struct world w;
    make(&w, 2);
    put(&w, 0, "R");
    add(&w, TASK_RECALL, "R", 3000);
    w.tasks[0].not_drives = 1;
    expect(&w, "R", 1); /* out of the one that could not read it */
    w.tasks[0].not_drives = 3;
    expect_nothing(&w, INT64_MAX);
}

/* With recalls without end, burns and checks begin once in their patience. */
static void
test_nobody_starves(void **state)
{
    (void)state;
    struct world w;
    make(&w, 1);
    add(&w, TASK_BURN, "B", 1000);
    add(&w, TASK_VERIFY, "V", 0);
    add(&w, TASK_RECALL, "R", 3600);
    expect(&w, "R", 0);
    w.schedule.now_ns += SCHEDULE_PATIENCE_BURN_NS + 1;
    expect(&w, "B", 0);
    w.schedule.began_ns[TASK_BURN] = w.schedule.now_ns;
    expect(&w, "R", 0);
    w.schedule.now_ns += SCHEDULE_PATIENCE_VERIFY_NS;
    w.schedule.began_ns[TASK_BURN] = w.schedule.now_ns;
    expect(&w, "V", 0);
}

static void
test_a_crowd_counts(void **state)
{
    (void)state;
    struct world w;
    make(&w, 1);
    add(&w, TASK_RECALL, "A", 3500);
    add(&w, TASK_RECALL, "B", 3550)->crowd = 3;
    expect(&w, "B", 0);
    w.tasks[1].crowd = 1;
    expect(&w, "A", 0);
    w.tasks[1].crowd = 1000; /* not for ever */
    w.tasks[0].since_ns = 3000 * S;
    expect(&w, "A", 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_classes),
        cmocka_unit_test(test_one_drive_is_kept_for_recalls),
        cmocka_unit_test(test_no_thrashing),
        cmocka_unit_test(test_drive_with_least_work),
        cmocka_unit_test(test_disc_not_wanted_lately_leaves_first),
        cmocka_unit_test(test_discs_of_a_set_are_spread),
        cmocka_unit_test(test_disc_of_another_drive_is_nobodys),
        cmocka_unit_test(test_tried_drives_are_left_out),
        cmocka_unit_test(test_nobody_starves),
        cmocka_unit_test(test_a_crowd_counts),
    };
    return cmocka_run_group_tests_name("unit engine schedule", tests, NULL, NULL);
}
