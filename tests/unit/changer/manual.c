/* SPDX-License-Identifier: Apache-2.0 */
/* A library without a robot asks for a disc once, waits for it, shows each disc that comes to who
 * knows discs, gives back the wrong ones with the reason, and ends in time. The person acts
 * whenever the library sleeps. */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <varve/file.h>
#include <varve/manual.h>

/* What the person does when so many seconds have gone by. */
struct deed {
    int64_t at_s;
    const char *hands;   /* "insert VRV00001", or NULL */
    const char *refuses; /* a label that cannot be found */
    bool inserted;       /* says that the tray is filled */
    bool stop;           /* ends the program */
};

struct fixture {
    struct varve_clock clock; /* sleeps let the person act */
    struct varve_clock_sim sim;
    char *dir;
    struct varve_virtual *folder;
    struct varve_library *library;
    const struct deed *deeds;
    size_t deed_count, done;
    char in[VARVE_BARCODE_BYTES]; /* what the person put in last */
    bool stopped;
    const char *also_wanted; /* a disc that others wait for */
    bool unreadable;
    unsigned looks, asked, reminded, wrong, came, ended;
    char problem[200];
    struct varve_barcode out;
};

/* One at a time: the clock's functions get no context of ours. */
static struct fixture *the;

static int64_t
now_ns(struct varve_clock *clock)
{
    (void)clock;
    return varve_clock_monotonic(&the->sim.clock);
}

static void
act(const struct deed *deed)
{
    char path[400];
    struct varve_error err = {0};
    struct varve_barcode label;
    if (deed->hands != NULL) {
        (void)snprintf(path, sizeof path, "%s/hands-0", the->dir);
        assert_true(varve_file_replace(path, deed->hands, strlen(deed->hands), &err));
        const char *disc = strstr(deed->hands, "insert ");
        (void)snprintf(the->in, sizeof the->in, "%s", disc != NULL ? disc + 7 : "");
    }
    if (deed->refuses != NULL) {
        assert_true(varve_barcode_make(deed->refuses, &label));
        assert_true(varve_library_refuse(the->library, &label, "not in its box"));
    }
    if (deed->inserted)
        assert_true(varve_library_inserted(the->library, 0));
    the->stopped = the->stopped || deed->stop;
}

static void
nap(struct varve_clock *clock, int64_t ns)
{
    (void)clock;
    varve_clock_sim_advance(&the->sim, ns);
    int64_t seconds = varve_clock_monotonic(&the->sim.clock) / VARVE_NS_PER_SECOND;
    while (the->done < the->deed_count && the->deeds[the->done].at_s <= seconds)
        act(&the->deeds[the->done++]);
}

static bool
look(void *context, unsigned drive, const struct varve_barcode *wanted,
     struct varve_manual_sight *ret, struct varve_error *err)
{
    struct fixture *f = context;
    struct varve_medium medium;
    assert_int_equal(drive, 0);
    f->looks++;
    if (!varve_drive_medium(varve_library_drive(f->library, 0), &medium, err))
        return false;
    if (f->unreadable)
        return varve_error_set(err, VARVE_ERROR_MEDIUM, 0, "its anchors cannot be read");
    *ret = (struct varve_manual_sight){.fits = strcmp(f->in, wanted->text) == 0};
    (void)snprintf(ret->text, sizeof ret->text, "it is disc %s", f->in);
    assert_true(varve_barcode_make(f->in, &ret->barcode));
    return true;
}

static enum varve_manual_advice
advise(void *context, unsigned drive, const struct varve_barcode *wanted,
       const struct varve_barcode *here)
{
    struct fixture *f = context;
    (void)drive, (void)wanted;
    if (f->stopped)
        return VARVE_MANUAL_STOP;
    return here != NULL && f->also_wanted != NULL && strcmp(here->text, f->also_wanted) == 0
               ? VARVE_MANUAL_YIELD
               : VARVE_MANUAL_GO_ON;
}

static void
tell(void *context, enum varve_manual_news news, const struct varve_manual_request *request)
{
    struct fixture *f = context;
    struct varve_manual_request open[4];
    size_t count = varve_library_requests(f->library, open, 4);
    switch (news) {
    case VARVE_MANUAL_ASKED:
        f->asked++;
        f->out = request->out;
        assert_int_equal(count, 1); /* whoever is told can see it */
        break;
    case VARVE_MANUAL_REMINDED:
        f->reminded++;
        break;
    case VARVE_MANUAL_WRONG:
        f->wrong++;
        assert_string_equal(open[0].problem, request->problem);
        break;
    case VARVE_MANUAL_CAME:
        f->came++;
        assert_int_equal(count, 0);
        break;
    case VARVE_MANUAL_ENDED:
        f->ended++;
        assert_int_equal(count, 0);
        break;
    }
    (void)snprintf(f->problem, sizeof f->problem, "%s", request->problem);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct varve_error err = {0};
    struct varve_library_ports ports = {.name = "desk", .drive_count = 1};
    const struct varve_virtual_options made = {
        .slots = 4, .drives = 1, .disc_bytes = TEST_DISC_BYTES};
    const struct varve_manual_options options = {100 * VARVE_NS_PER_SECOND,
                                                 30 * VARVE_NS_PER_SECOND};
    const struct varve_manual_port port = {f, look, advise, tell};
    assert_non_null(f);
    the = f;
    varve_clock_sim_init(&f->sim, 0);
    f->clock = (struct varve_clock){now_ns, now_ns, now_ns, nap};
    f->dir = test_dir_new();
    EXPECT_OK(varve_virtual_create(f->dir, &made, &err), err);
    EXPECT_OK(varve_virtual_open(f->dir, &f->sim.clock, &f->folder, &err), err);
    ports.drives = calloc(1, sizeof(struct varve_scsi_port *));
    assert_non_null(ports.drives);
    EXPECT_OK(varve_virtual_drive_port(f->folder, 0, &ports.drives[0], &err), err);
    EXPECT_OK(varve_library_new_manual(&ports, &options, &port, &f->clock, &f->library, &err), err);
    free(ports.drives);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    varve_library_free(f->library);
    varve_virtual_close(f->folder);
    test_dir_done(f->dir);
    free(f);
    return 0;
}

static void
plan(struct fixture *f, const struct deed *deeds, size_t count)
{
    f->deeds = deeds;
    f->deed_count = count;
    f->done = 0;
}
#define PLAN(f, ...)                                                                               \
    static const struct deed deeds[] = {__VA_ARGS__};                                              \
    plan(f, deeds, sizeof deeds / sizeof deeds[0])

static bool
load(struct fixture *f, const char *label, struct varve_error *err)
{
    const struct varve_barcode barcode = test_barcode(label);
    *err = (struct varve_error){0};
    return varve_library_load(f->library, &barcode, 0, err);
}

static void
expect_held(struct fixture *f, const char *label)
{
    struct varve_barcode held = {{0}};
    assert_int_equal(varve_library_drive_disc(f->library, 0, &held), label[0] != 0);
    assert_string_equal(held.text, label);
}

static void
test_asks_and_waits(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    PLAN(f, {.at_s = 65, .hands = "insert VRV00002"});
    assert_true(varve_library_is_manual(f->library));
    EXPECT_OK(load(f, "VRV00002", &err), err);
    assert_int_equal(f->asked, 1);
    assert_int_equal(f->reminded, 2);
    assert_int_equal(f->came, 1);
    assert_int_equal(f->wrong, 0);
    expect_held(f, "VRV00002");
    EXPECT_OK(load(f, "VRV00002", &err), err); /* it is there: nobody is asked, nothing looked at */
    assert_int_equal(f->asked, 1);
    assert_int_equal(f->looks, 1);
}

static void
test_wrong_disc_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    PLAN(f, {.at_s = 5, .hands = "insert VRV00001"}, {.at_s = 10, .hands = "take\ninsert VRV00003"},
         {.at_s = 15, .hands = "take\ninsert VRV00002"});
    EXPECT_OK(load(f, "VRV00002", &err), err);
    assert_int_equal(f->wrong, 2);
    assert_int_equal(f->looks, 3);
    assert_string_equal(f->problem, "it is disc VRV00003"); /* as told last */
    expect_held(f, "VRV00002");
}

static void
test_unreadable_disc_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    f->unreadable = true;
    PLAN(f, {.at_s = 5, .hands = "insert VRV00001"}, {.at_s = 20, .stop = true});
    assert_false(load(f, "VRV00001", &err));
    assert_int_equal(err.kind, VARVE_ERROR_CANCELLED);
    assert_int_equal(f->wrong, 1); /* not again and again while it lies in the tray */
    assert_string_equal(f->problem, "its anchors cannot be read");
    expect_held(f, "");
}

static void
test_another_wanted_disc_stays(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    f->also_wanted = "VRV00003";
    PLAN(f, {.at_s = 5, .hands = "insert VRV00003"});
    assert_false(load(f, "VRV00002", &err));
    assert_int_equal(err.kind, VARVE_ERROR_WAIT);
    assert_int_equal(f->ended, 1);
    expect_held(f, "VRV00003");
    EXPECT_OK(load(f, "VRV00003", &err), err);
    assert_int_equal(f->asked, 1);
    assert_int_equal(f->looks, 1);
}

static void
test_time_out(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    PLAN(f, {.at_s = 5, .hands = "insert VRV00001"}, {.at_s = 9, .hands = "take"});
    assert_false(load(f, "VRV00002", &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_READY);
    assert_string_equal(err.text, "library 'desk': disc 'VRV00002': nobody brought it to drive 0 "
                                  "within 100 s; what came last: it is disc VRV00001");
    assert_in_range(varve_clock_monotonic(&f->sim.clock), 100 * VARVE_NS_PER_SECOND,
                    103 * VARVE_NS_PER_SECOND);
    assert_int_equal(f->reminded, 3);
    assert_int_equal(f->ended, 1);
}

static void
test_refused(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    const struct varve_barcode other = test_barcode("VRV00001");
    PLAN(f, {.at_s = 5, .refuses = "VRV00002"});
    assert_false(load(f, "VRV00002", &err));
    assert_int_equal(err.kind, VARVE_ERROR_OFFLINE);
    assert_string_equal(err.text,
                        "library 'desk': disc 'VRV00002': it cannot be found: not in its box");
    assert_false(varve_library_refuse(f->library, &other, "x")); /* nobody asks */
    assert_false(varve_library_inserted(f->library, 0));
    plan(f, NULL, 0);
    f->stopped = true; /* the refusal was for that request only */
    assert_false(load(f, "VRV00002", &err));
    assert_int_equal(err.kind, VARVE_ERROR_CANCELLED);
}

/* After burning the disc is read back: the tray opens and closes by itself. */
static void
test_reload_needs_no_person(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    PLAN(f, {.at_s = 1, .hands = "insert VRV00002"});
    EXPECT_OK(load(f, "VRV00002", &err), err);
    EXPECT_OK(varve_library_unload(f->library, 0, &err), err);
    expect_held(f, "");
    EXPECT_OK(load(f, "VRV00002", &err), err);
    assert_int_equal(f->asked, 1);
    assert_int_equal(f->looks, 2); /* another one might lie there now */
}

/* The person is told what to take out. */
static void
test_exchange(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    PLAN(f, {.at_s = 1, .hands = "insert VRV00002"},
         {.at_s = 20, .hands = "take\ninsert VRV00001"});
    EXPECT_OK(load(f, "VRV00002", &err), err);
    EXPECT_OK(load(f, "VRV00001", &err), err);
    assert_int_equal(f->asked, 2);
    assert_string_equal(f->out.text, "VRV00002");
    assert_int_equal(f->wrong, 0);
    expect_held(f, "VRV00001");
}

/* INV-5: somebody changed the disc behind our back. */
static void
test_changed_medium_is_looked_at(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    PLAN(f, {.at_s = 1, .hands = "insert VRV00002"},
         {.at_s = 30, .hands = "take\ninsert VRV00002"});
    EXPECT_OK(load(f, "VRV00002", &err), err);
    act(&(struct deed){.hands = "take\ninsert VRV00003"});
    EXPECT_OK(load(f, "VRV00002", &err), err);
    assert_int_equal(f->looks, 3);
    assert_int_equal(f->asked, 2); /* for what came in the end */
    expect_held(f, "VRV00002");
}

/* Laid into the open tray, the person says so: the drive pulls it in, asked for or not. */
static void
test_inserted_pulls_the_tray_in(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_manual_sight sight;
    PLAN(f, {.at_s = 1, .hands = "insert VRV00002"}, {.at_s = 40, .inserted = true});
    EXPECT_OK(load(f, "VRV00002", &err), err);
    EXPECT_OK(varve_library_unload(f->library, 0, &err), err);
    (void)snprintf(f->in, sizeof f->in, "VRV00001"); /* so it seems: it stays in the tray */
    EXPECT_OK(load(f, "VRV00001", &err), err);
    assert_int_equal(f->asked, 2);
    assert_in_range(varve_clock_monotonic(&f->sim.clock), 40 * VARVE_NS_PER_SECOND,
                    42 * VARVE_NS_PER_SECOND);
    EXPECT_OK(varve_library_unload(f->library, 0, &err), err);
    (void)snprintf(f->in, sizeof f->in, "VRV00002");
    EXPECT_OK(varve_library_look(f->library, 0, &sight, &err), err);
    assert_string_equal(sight.barcode.text, "VRV00002");
    expect_held(f, "VRV00002");
    act(&(struct deed){.hands = "take"});
    assert_false(varve_library_look(f->library, 0, &sight, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
    expect_held(f, "");
}

static void
test_what_it_has_not(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    const struct varve_barcode barcode = test_barcode("VRV00001");
    unsigned imported;
    size_t count;
    assert_false(varve_library_export(f->library, &barcode, &err));
    assert_string_equal(err.text,
                        "library 'desk' has no mail slots: it is a person\nhint: 'varve disc "
                        "checkout' and 'varve disc checkin' note what is taken away and back");
    err = (struct varve_error){0};
    assert_false(varve_library_import(f->library, &imported, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
    err = (struct varve_error){0};
    assert_false(varve_library_load(f->library, &barcode, 1, &err));
    assert_string_equal(err.text, "library 'desk' has no drive 1: it has 1");
    EXPECT_OK(varve_library_inventory(f->library, true, &elements, &count, &err), err);
    assert_int_equal(count, 1);
    assert_int_equal(elements[0].type, VARVE_ELEMENT_DRIVE);
    assert_false(elements[0].full);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_asks_and_waits),
        T(test_wrong_disc_is_given_back),
        T(test_unreadable_disc_is_given_back),
        T(test_another_wanted_disc_stays),
        T(test_time_out),
        T(test_refused),
        T(test_reload_needs_no_person),
        T(test_exchange),
        T(test_changed_medium_is_looked_at),
        T(test_inserted_pulls_the_tray_in),
        T(test_what_it_has_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
