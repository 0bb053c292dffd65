/* A rule means what it says, runs when it should and for as long as it should, and what makes no
 * sense is refused by name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/heat.h>
#include <varve/policy.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define TIERS                                                                                      \
    "[tier ssd]\npath = /s\nhigh = 85%\nlow = 70%\n[tier hdd]\npath = /h\n" /* 6 lines             \
                                                                             */

struct loaded {
    struct varve_config *config;
    struct varve_policy *policy;
};

static bool
load(struct loaded *loaded, const char *text, struct varve_error *err)
{
    *loaded = (struct loaded){0};
    assert_true(varve_config_parse(text, strlen(text), "varve.conf", "/a", &loaded->config, err));
    return varve_policy_new(loaded->config, &loaded->policy, err);
}

static void
load_good(struct loaded *loaded, const char *text)
{
    struct varve_error err = {0};
    bool ok = load(loaded, text, &err);
    assert_string_equal(err.text, "");
    assert_true(ok);
}

static void
unload(struct loaded *loaded)
{
    varve_policy_free(loaded->policy);
    varve_config_free(loaded->config);
}

static void
test_the_rules_of_the_design(void **state)
{
    (void)state;
    struct loaded it;
    load_good(&it, "[archive]\nset = 4+2\nheat_half_life = 2d\n" TIERS
                   "[rule cool]\nfrom = ssd\nto = hdd\nwhere = age(atime) > days(7) and heat < "
                   "0.5\norder = heat\n"
                   "[rule archive]\nfrom = hdd\nto = optical\nkeep_together = dir\nset = 10+3\n"
                   "copies = 1\nwindow = 22:00-06:00\nlimit_bytes = 1T\nlimit_files = 1000\n"
                   "[rule release]\nfrom = premigrated\nto = migrated\nwhen = usage( hdd )>85%\n"
                   "where = age(atime) > days(90) and not pinned\n");
    assert_int_equal(varve_policy_count(it.policy), 3);
    const struct varve_rule *cool = varve_policy_rule(it.policy, 0);
    assert_string_equal(cool->name, "cool");
    assert_int_equal(cool->line, 10);
    assert_int_equal(cool->from, VARVE_FROM_SSD);
    assert_int_equal(cool->to, VARVE_TO_HDD);
    assert_string_equal(cool->where, "age(atime) > days(7) and heat < 0.5");
    assert_string_equal(cool->order, "heat");
    assert_int_equal(cool->data_discs, 4);
    assert_false(cool->has_window);
    const struct varve_rule *archive = varve_policy_find(it.policy, "archive");
    assert_int_equal(archive->to, VARVE_TO_OPTICAL);
    assert_int_equal(archive->data_discs, 10);
    assert_int_equal(archive->parity_discs, 3);
    assert_true(archive->keep_together);
    assert_int_equal(archive->window_from, 22 * 60);
    assert_int_equal(archive->window_to, 6 * 60);
    assert_int_equal(archive->limit_bytes, UINT64_C(1) << 40);
    assert_int_equal(archive->limit_files, 1000);
    const struct varve_rule *release = varve_policy_find(it.policy, "release");
    assert_int_equal(release->when_tier, VARVE_TIER_HDD);
    assert_int_equal(release->when_percent, 85);
    assert_null(varve_policy_find(it.policy, "manual"));
    assert_null(varve_policy_rule(it.policy, 3));

    struct varve_selection selection = varve_rule_selection(it.policy, cool, 77);
    assert_int_equal(selection.tier, VARVE_TIER_SSD);
    assert_false(selection.has_state);
    assert_int_equal(selection.now_ns, 77);
    assert_int_equal(selection.half_life_ns, 2 * INT64_C(86400) * 1000000000);
    assert_ptr_equal(selection.where, cool->where);
    assert_ptr_equal(selection.order, cool->order);
    selection = varve_rule_selection(it.policy, archive, 77);
    assert_int_equal(selection.tier, VARVE_TIER_HDD);
    assert_true(selection.has_state && selection.state == VARVE_STATE_RESIDENT);
    selection = varve_rule_selection(it.policy, release, 77);
    assert_int_equal(selection.tier, VARVE_TIER_HDD);
    assert_true(selection.has_state && selection.state == VARVE_STATE_PREMIGRATED);
    unload(&it);
}

#define RULE TIERS "[rule r]\n" /* line 7 */
#define COOL RULE "from = ssd\nto = hdd\n"
#define BURN RULE "from = hdd\nto = optical\n"
static const struct {
    const char *text, *error;
} mistakes[] = {
    {RULE, "varve.conf:7: [rule r]: key 'from' is missing"},
    {RULE "from = ssd\n", "varve.conf:7: [rule r]: key 'to' is missing"},
    {COOL "wher = 1\n", "varve.conf:10: [rule r] wher: unknown key\nhint: did you mean 'where'?"},
    {COOL "colour = 1\n", "varve.conf:10: [rule r] colour: unknown key"},
    {COOL "where =\n", "varve.conf:10: [rule r] where: is empty"},
    {RULE "from = optical\n", "varve.conf:8: [rule r] from: 'optical' is not possible\n"
                              "hint: known are 'ssd', 'hdd', 'premigrated'"},
    {RULE "from = premigrate\n", "varve.conf:8: [rule r] from: 'premigrate' is not possible\n"
                                 "hint: did you mean 'premigrated'?"},
    {RULE "from = ssd\nto = tape\n", "varve.conf:9: [rule r] to: 'tape' is not possible\n"
                                     "hint: known are 'ssd', 'hdd', 'optical', 'migrated'"},
    {RULE "from = ssd\nto = ssd\n",
     "varve.conf:7: [rule r]: files cannot go from ssd to ssd\nhint: possible are ssd to hdd, hdd "
     "to ssd, ssd or hdd to optical, premigrated to migrated"},
    {RULE "from = ssd\nto = migrated\n",
     "varve.conf:7: [rule r]: files cannot go from ssd to migrated\nhint: possible are ssd to "
     "hdd, hdd to ssd, ssd or hdd to optical, premigrated to migrated"},
    {RULE "from = premigrated\nto = hdd\n",
     "varve.conf:7: [rule r]: files cannot go from premigrated to hdd\nhint: possible are ssd to "
     "hdd, hdd to ssd, ssd or hdd to optical, premigrated to migrated"},
    {COOL "where = het < 1\n",
     "varve.conf:10: [rule r] where: where 'het < 1': no such column: het\n"
     "hint: did you mean 'heat'?"},
    {COOL "order = het\n", "varve.conf:10: [rule r] order: order 'het': no such column: het\n"
                           "hint: did you mean 'heat'?"},
    {COOL "when = full\n", "varve.conf:10: [rule r] when: 'full' is not a condition\n"
                           "hint: write it like usage(hdd) > 85%"},
    {COOL "when = usage(optical) > 5%\n",
     "varve.conf:10: [rule r] when: 'usage(optical) > 5%' is not a condition\n"
     "hint: write it like usage(hdd) > 85%"},
    {COOL "when = usage(hdd) > 101%\n",
     "varve.conf:10: [rule r] when: 'usage(hdd) > 101%' is not a condition\n"
     "hint: write it like usage(hdd) > 85%"},
    {COOL "when = usage(hdd) > 85% and more\n",
     "varve.conf:10: [rule r] when: 'usage(hdd) > 85% and more' is not a condition\n"
     "hint: write it like usage(hdd) > 85%"},
    {COOL "set = 4+2\n", "varve.conf:7: [rule r]: key 'set' has a meaning only with to = optical"},
    {BURN "set = 300+2\n", "varve.conf:10: [rule r] set: '300+2' is no set of data+parity discs\n"
                           "hint: write it like 4+2 or 10+2, at most 255 discs in all"},
    {BURN "copies = 2\n", "varve.conf:10: [rule r] copies: '2': this version makes 1 copy\n"
                          "hint: more parity discs in `set` protect against more losses"},
    {BURN "copies = x\n", "varve.conf:10: [rule r] copies: 'x' is not a number"},
    {BURN "keep_together = file\n",
     "varve.conf:10: [rule r] keep_together: 'file' is not possible\nhint: known are 'none', "
     "'dir'"},
    {COOL "window = 22:00\n", "varve.conf:10: [rule r] window: '22:00' is not a time window\n"
                              "hint: write it like 22:00-06:00"},
    {COOL "window = 22:00-6:00\n",
     "varve.conf:10: [rule r] window: '22:00-6:00' is not a time window\n"
     "hint: write it like 22:00-06:00"},
    {COOL "window = 22:60-06:00\n",
     "varve.conf:10: [rule r] window: '22:60-06:00' is not a time window\n"
     "hint: write it like 22:00-06:00"},
    {COOL "window = 10:00-24:01\n",
     "varve.conf:10: [rule r] window: '10:00-24:01' is not a time window\n"
     "hint: write it like 22:00-06:00"},
    {COOL "window = 10:00-10:00\n",
     "varve.conf:10: [rule r] window: '10:00-10:00' is an empty time window"},
    {COOL "limit_bytes = 0\n", "varve.conf:10: [rule r] limit_bytes: a limit of 0 moves nothing"},
    {COOL "limit_files = 0\n", "varve.conf:10: [rule r] limit_files: a limit of 0 moves nothing"},
    {COOL "limit_files = many\n", "varve.conf:10: [rule r] limit_files: 'many' is not a number"},
    {"[tier ssd]\npath = /s\n[rule r]\nfrom = ssd\nto = hdd\n",
     "varve.conf:3: [rule r]: it needs a [tier hdd], which there is not"},
    {"[tier hdd]\npath = /s\n[rule r]\nfrom = hdd\nto = optical\nwhen = usage(ssd) > 1%\n",
     "varve.conf:3: [rule r]: it needs a [tier ssd], which there is not"},
};

static void
test_each_mistake_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(mistakes); i++) {
        struct loaded it;
        struct varve_error err = {0};
        assert_false(load(&it, mistakes[i].text, &err));
        assert_string_equal(err.text, mistakes[i].error);
        assert_int_equal(err.kind, VARVE_ERROR_INVALID);
        unload(&it);
    }
}

/* Two tiers of 1000 bytes; ssd 85/70, hdd 90/80. */
static struct varve_policy_input
make_input(unsigned minute, uint64_t ssd_used, uint64_t hdd_used)
{
    return (struct varve_policy_input){.minute = minute,
                                       .tiers = {[VARVE_TIER_SSD] = {1000, 1000 - ssd_used},
                                                 [VARVE_TIER_HDD] = {1000, 1000 - hdd_used}}};
}

struct planned {
    const char *rule; /* its keys */
    unsigned minute;
    uint64_t ssd_used, hdd_used;
    bool active, urgent;
    uint64_t bytes_max, files_max;
    const char *reason;
};
#define ALL UINT64_MAX
#define MOVE "from = ssd\nto = hdd\n"
#define DROP "from = premigrated\nto = migrated\n"
static const struct planned plans[] = {
    {MOVE, 0, 0, 0, true, false, ALL, ALL, "it has no condition"},
    {MOVE, 0, 850, 1000, true, false, ALL, ALL, "it has no condition"},
    {MOVE, 0, 851, 0, true, true, ALL, ALL, "it has no condition"},
    {MOVE "limit_bytes = 5\nlimit_files = 6\n", 0, 0, 0, true, false, 5, 6, "it has no condition"},
    {MOVE "when = usage(ssd) > 80%\n", 0, 800, 0, false, false, 0, 0,
     "usage(ssd) is 80.0%, not above 80%"},
    {MOVE "when = usage(ssd) > 80%\n", 0, 801, 0, true, false, 101, ALL,
     "usage(ssd) is 80.1%, above 80%"},
    {MOVE "when = usage(ssd) > 80%\n", 0, 990, 0, true, true, 290, ALL,
     "usage(ssd) is 99.0%, above 80%"},
    {MOVE "when = usage(ssd) > 80%\nlimit_bytes = 10\n", 0, 990, 0, true, true, 10, ALL,
     "usage(ssd) is 99.0%, above 80%"},
    {MOVE "when = usage(ssd) > 50%\n", 0, 690, 0, false, false, 0, 0,
     "usage(ssd) is 69.0%, not above low = 70%"},
    {MOVE "when = usage(ssd) > 50%\n", 0, 701, 0, true, false, 1, ALL,
     "usage(ssd) is 70.1%, above 50%"},
    {DROP "when = usage(hdd) > 85%\n", 0, 1000, 850, false, false, 0, 0,
     "usage(hdd) is 85.0%, not above 85%"},
    {DROP "when = usage(hdd) > 85%\n", 0, 0, 900, true, false, 100, ALL,
     "usage(hdd) is 90.0%, above 85%"},
    {DROP "when = usage(hdd) > 85%\n", 0, 0, 901, true, true, 101, ALL,
     "usage(hdd) is 90.1%, above 85%"},
    {DROP, 0, 0, 901, true, true, ALL, ALL, "it has no condition"},
    {DROP, 0, 0, 900, true, false, ALL, ALL, "it has no condition"},
    {MOVE "window = 22:00-06:00\n", 22 * 60, 0, 0, true, false, ALL, ALL, "it has no condition"},
    {MOVE "window = 22:00-06:00\n", 5 * 60 + 59, 0, 0, true, false, ALL, ALL,
     "it has no condition"},
    {MOVE "window = 22:00-06:00\n", 6 * 60, 990, 0, false, false, 0, 0,
     "it is 06:00, outside its window 22:00-06:00"},
    {MOVE "window = 08:30-24:00\n", 8 * 60 + 29, 0, 0, false, false, 0, 0,
     "it is 08:29, outside its window 08:30-24:00"},
    {MOVE "window = 08:30-24:00\n", 23 * 60 + 59, 0, 0, true, false, ALL, ALL,
     "it has no condition"},
};

static void
test_which_rules_run_now(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(plans); i++) {
        const struct planned *plan = &plans[i];
        char text[512];
        (void)snprintf(text, sizeof text, "%s[rule r]\n%s", TIERS, plan->rule);
        struct loaded it;
        load_good(&it, text);
        struct varve_policy_input input = make_input(plan->minute, plan->ssd_used, plan->hdd_used);
        struct varve_policy_step step;
        varve_policy_plan(it.policy, &input, &step);
        assert_string_equal(step.reason, plan->reason);
        assert_int_equal(step.active, plan->active);
        assert_int_equal(step.urgent, plan->urgent);
        assert_int_equal(step.bytes_max, plan->bytes_max);
        assert_int_equal(step.files_max, plan->files_max);
        assert_int_equal(varve_policy_urgent(it.policy, &input), plan->urgent);
        unload(&it);
    }
}

/* Totals near 2^64 and nonsense from statvfs(2) neither overflow nor divide by zero. */
static void
test_extreme_sizes(void **state)
{
    (void)state;
    struct loaded it;
    load_good(&it, TIERS "[rule r]\nfrom = ssd\nto = hdd\nwhen = usage(ssd) > 80%\n");
    struct varve_policy_step step;
    struct varve_policy_input input = {.tiers = {[VARVE_TIER_SSD] = {UINT64_MAX, 0}}};
    varve_policy_plan(it.policy, &input, &step);
    assert_true(step.active && step.urgent);
    assert_int_equal(step.bytes_max, UINT64_MAX - UINT64_C(12912720851596686130));
    input.tiers[VARVE_TIER_SSD] = (struct varve_policy_tier){0, 0};
    varve_policy_plan(it.policy, &input, &step);
    assert_false(step.active);
    input.tiers[VARVE_TIER_SSD] = (struct varve_policy_tier){10, 20};
    varve_policy_plan(it.policy, &input, &step);
    assert_false(step.active);
    unload(&it);
}

static void
test_marks_of_several_paths(void **state)
{
    (void)state;
    struct loaded it;
    load_good(&it, TIERS "[tier ssd b]\npath = /t\nhigh = 60%\nlow = 50%\n");
    unsigned high = 0, low = 0;
    assert_true(varve_policy_marks(it.policy, VARVE_TIER_SSD, &high, &low));
    assert_int_equal(high, 60);
    assert_int_equal(low, 50);
    assert_true(varve_policy_marks(it.policy, VARVE_TIER_HDD, &high, &low));
    assert_int_equal(high, 90);
    assert_int_equal(low, 80);
    unload(&it);
    load_good(&it, "[tier hdd]\npath = /h\n");
    assert_false(varve_policy_marks(it.policy, VARVE_TIER_SSD, &high, &low));
    unload(&it);
}

static const struct {
    const char *rules;
    const char *warnings[3];
} lints[] = {
    {"", {NULL}},
    {"[rule a]\n" MOVE "where = 1\n[rule b]\nfrom = hdd\nto = optical\n[rule c]\n" DROP
     "where = 1\n",
     {NULL}},
    {"[rule a]\n" MOVE "where = 1\n[rule b]\nfrom = hdd\nto = ssd\nwhere = 1\n",
     {"varve.conf:11: [rule b]: ping-pong: it moves files from hdd to ssd, and [rule a] moves "
      "them back; make sure that no file fits both"}},
    {"[rule a]\n" MOVE "when = usage(ssd) > 100%\n",
     {"varve.conf:7: [rule a]: it can never run: usage(ssd) is never above 100%"}},
    {"[rule a]\n" MOVE "when = usage(ssd) > 60%\n",
     {"varve.conf:7: [rule a]: it runs above 70%, not above 60%: it stops at low = 70% of ssd"}},
    {"[rule a]\n" MOVE "when = usage(hdd) > 85%\n",
     {"varve.conf:7: [rule a]: it waits for hdd to be full but moves files away from ssd"}},
    {"[rule a]\nfrom = hdd\nto = optical\nset = 5+0\n",
     {"varve.conf:7: [rule a]: set = 5+0 has no parity: a lost disc is lost for ever"}},
    {"[rule a]\n" DROP,
     {"varve.conf:7: [rule a]: without `where` and `when` it releases every file once it is "
      "sealed"}},
    {"[rule a]\n" MOVE "[rule b]\n" MOVE "where = 1\n",
     {"varve.conf:10: [rule b]: it never finds a file: [rule a] takes them all before"}},
    {"[rule a]\n" MOVE "limit_files = 1\n[rule b]\n" MOVE, {NULL}},
};

static void
test_lint(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lints); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "%s%s", TIERS, lints[i].rules);
        struct loaded it;
        load_good(&it, text);
        VARVE_CLEANUP_FREE struct varve_policy_warning *warnings = NULL;
        size_t count = 99;
        struct varve_error err = {0};
        assert_true(varve_policy_lint(it.policy, &warnings, &count, &err));
        for (size_t w = 0; w < count; w++)
            assert_string_equal(warnings[w].text, lints[i].warnings[w]);
        assert_null(lints[i].warnings[count]);
        unload(&it);
    }
}

static void
test_heat(void **state)
{
    (void)state;
    static const struct {
        double heat;
        int64_t from_ns, to_ns, half_life_ns;
        double result;
    } cases[] = {
        {8, 0, 0, 10, 8},
        {8, 0, 10, 10, 4},
        {8, 0, 30, 10, 1},
        {8, 100, 90, 10, 8}, /* the clock went back */
        {8, 0, 10, 0, 8},
        {0, 0, 10, 10, 0},
        {-1, 0, 10, 10, 0},
        {NAN, 0, 10, 10, 0},
        {8, INT64_MIN, INT64_MAX, 1000000000, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_true(fabs(varve_heat_decay(cases[i].heat, cases[i].from_ns, cases[i].to_ns,
                                          cases[i].half_life_ns) -
                         cases[i].result) < 1e-12);
    assert_true(fabs(varve_heat_touch(8, 0, 10, 10) - 5) < 1e-12);
    assert_true(fabs(varve_heat_touch(NAN, 0, 10, 10) - 1) < 1e-12);
    /* Touched once every half-life for ever: 2. */
    double heat = 0;
    for (int64_t i = 1; i < 100; i++)
        heat = varve_heat_touch(heat, (i - 1) * 10, i * 10, 10);
    assert_true(fabs(heat - 2) < 1e-12);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_rules_of_the_design),
        cmocka_unit_test(test_each_mistake_is_named),
        cmocka_unit_test(test_which_rules_run_now),
        cmocka_unit_test(test_extreme_sizes),
        cmocka_unit_test(test_marks_of_several_paths),
        cmocka_unit_test(test_lint),
        cmocka_unit_test(test_heat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
