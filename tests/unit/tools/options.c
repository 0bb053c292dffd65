/* Every verb and option that is not in the table is refused with the name that was meant, and what
 * is accepted reaches the verb as it was written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cli.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct option_spec file_options[] = {
    {"wait", NULL, "wait", 'w'},
    {"for", "DURATION", "how long", 0},
    {NULL, NULL, NULL, 0},
};

/* The table that the program would bring. */
const struct verb verbs[] = {
    {.name = "archive",
     .words = "PATH...",
     .words_min = 1,
     .words_max = WORDS_MANY,
     .summary = "copy",
     .options = file_options},
    {.name = "disc list", .words = "[DIR]", .words_max = 1, .summary = "all discs"},
    {.name = "disc show", .words = "BARCODE", .words_min = 1, .words_max = 1, .summary = "one"},
    {.name = "disc far off", .words = "", .summary = "three words"},
};
const size_t verb_count = COUNT(verbs);

static void
test_verbs_are_found_by_one_or_two_words(void **state)
{
    (void)state;
    static const struct {
        const char *argv[3];
        int argc, taken;
        const char *name, *error;
    } cases[] = {
        {{"archive", "x"}, 2, 1, "archive", NULL},
        {{"disc", "list"}, 2, 2, "disc list", NULL},
        {{"disc", "show", "A1"}, 3, 2, "disc show", NULL},
        {{"disc"}, 1, 0, NULL, "'disc' needs one word more\nhint: see: varve --help"},
        {{"disc", "--json"}, 2, 0, NULL, "'disc' needs one word more\nhint: see: varve --help"},
        {{"disc", "lst"},
         2,
         0,
         NULL,
         "unknown verb 'disc lst'\nhint: did you mean 'varve disc list'?"},
        {{"disc", "far", "off"}, 3, 3, "disc far off", NULL},
        {{"disc", "far"}, 2, 0, NULL, "'disc far' needs one word more\nhint: see: varve --help"},
        {{"disc", "far", "of"},
         3,
         0,
         NULL,
         "unknown verb 'disc far of'\nhint: did you mean 'varve disc far off'?"},
        {{"archvie"}, 1, 0, NULL, "unknown verb 'archvie'\nhint: did you mean 'varve archive'?"},
        {{"zzzzzzzz"}, 1, 0, NULL, "unknown verb 'zzzzzzzz'\nhint: see: varve --help"},
        {{NULL}, 0, 0, NULL, "no verb given\nhint: see: varve --help"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct varve_error err = {0};
        const struct verb *verb = NULL;
        int taken = 0;
        char *argv[3];
        for (int k = 0; k < 3; k++)
            argv[k] = (char *)(uintptr_t)cases[i].argv[k];
        bool ok = verb_find(cases[i].argc, argv, &verb, &taken, &err);
        assert_int_equal(ok, cases[i].name != NULL);
        if (ok) {
            assert_string_equal(verb->name, cases[i].name);
            assert_int_equal(taken, cases[i].taken);
        } else {
            assert_string_equal(err.text, cases[i].error);
        }
    }
}

/* Runs options_parse() over words; argv[0] is the verb. */
static bool
parse(struct cli *cli, const struct verb *verb, const char *const *words, int argc,
      struct args *ret, struct varve_error *err)
{
    static char *argv[16];
    for (int i = 0; i <= argc; i++)
        argv[i] = i < argc ? (char *)(uintptr_t)words[i] : NULL;
    return options_parse(cli, verb, argc, argv, ret, err);
}

static void
test_options_and_words_in_any_order(void **state)
{
    (void)state;
    static const char *const words[] = {"archive", "a",  "--for=1d", "--json",
                                        "b",       "-w", "--for",    "2d"};
    struct cli cli = {0};
    struct args args = {0};
    struct varve_error err = {0};
    assert_true(parse(&cli, &verbs[0], words, COUNT(words), &args, &err));
    assert_true(cli.json);
    assert_true(args_flag(&args, "wait"));
    assert_string_equal(args_value(&args, "for"), "2d");
    assert_int_equal(args.count, 2);
    assert_string_equal(args.words[0], "a");
    assert_string_equal(args.words[1], "b");
    args_done(&args);
}

static void
test_a_path_that_looks_like_an_option_follows_two_dashes(void **state)
{
    (void)state;
    static const char *const words[] = {"archive", "--", "--wait"};
    struct cli cli = {0};
    struct args args = {0};
    struct varve_error err = {0};
    assert_true(parse(&cli, &verbs[0], words, COUNT(words), &args, &err));
    assert_false(args_flag(&args, "wait"));
    assert_string_equal(args.words[0], "--wait");
    assert_null(args_value(&args, "for"));
    args_done(&args);
}

static void
test_wrong_usage_is_named(void **state)
{
    (void)state;
    static const struct {
        size_t verb;
        const char *words[4];
        int argc;
        const char *error;
    } cases[] = {
        {0,
         {"archive", "--wiat", "a"},
         3,
         "archive: unknown option '--wiat'\nhint: did you mean '--wait'?"},
        {0,
         {"archive", "--nothing-like-it"},
         2,
         "archive: unknown option '--nothing-like-it'\nhint: see: varve archive --help"},
        {0,
         {"archive", "-x", "a"},
         3,
         "archive: unknown option '-x'\nhint: see: varve archive --help"},
        {0, {"archive", "a", "--for"}, 3, "archive: option '--for' needs DURATION"},
        {0, {"archive", "a", "--wait=yes"}, 3, "archive: option '--wait' takes no value"},
        {0,
         {"archive"},
         1,
         "archive: something is missing: PATH...\nhint: see: varve archive --help"},
        {2,
         {"disc show", "a", "b"},
         3,
         "disc show: 'b' is too much\nhint: see: varve disc show --help"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct cli cli = {0};
        struct args args = {0};
        struct varve_error err = {0};
        assert_false(
            parse(&cli, &verbs[cases[i].verb], cases[i].words, cases[i].argc, &args, &err));
        assert_string_equal(err.text, cases[i].error);
        assert_int_equal(cli.exit_code, EXIT_CODE_USAGE);
        assert_int_equal(err.kind, VARVE_ERROR_INVALID);
    }
}

/* --json after the mistake still decides how the error is told; --help needs no words. */
static void
test_json_and_help_count_wherever_they_stand(void **state)
{
    (void)state;
    static const char *const wrong[] = {"archive", "--wiat", "--json"};
    static const char *const help[] = {"archive", "--help"};
    struct cli cli = {0};
    struct args args = {0};
    struct varve_error err = {0};
    assert_false(parse(&cli, &verbs[0], wrong, COUNT(wrong), &args, &err));
    assert_true(cli.json);
    assert_true(parse(&cli, &verbs[0], help, COUNT(help), &args, &err));
    assert_true(args.help);
    args_done(&args);
}

static void
test_media_have_the_capacity_of_their_kind(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"bd-r-25", UINT64_C(25025314816)},   {"bd-r-50", UINT64_C(50050629632)},
        {"bd-r-100", UINT64_C(100103356416)}, {"bd-r-128", UINT64_C(128001769472)},
        {"64MiB", UINT64_C(67108864)},
    };
    struct varve_error err = {0};
    uint64_t bytes = 0;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(media_parse(cases[i].text, &bytes, &err));
        assert_int_equal(bytes, cases[i].bytes);
    }
    assert_false(media_parse("bd-r-26", &bytes, &err));
    assert_string_equal(err.text, "'bd-r-26' is no medium and no size\nhint: use bd-r-25, bd-r-50, "
                                  "bd-r-100, bd-r-128 or a size like 64MiB");
}

static void
test_help_names_every_verb_and_option(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    help_print(out);
    help_print_verb(out, &verbs[0]);
    assert_int_equal(fclose(out), 0);
    static const char *const wanted[] = {
        "  archive                     copy\n",
        "  disc list                   all discs\n",
        "usage: varve archive PATH... [--wait] [--for DURATION] [--json]\n",
        "  -w, --wait             wait\n",
        "  --for DURATION         how long\n",
    };
    for (size_t i = 0; i < COUNT(wanted); i++)
        assert_non_null(strstr(text, wanted[i]));
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verbs_are_found_by_one_or_two_words),
        cmocka_unit_test(test_options_and_words_in_any_order),
        cmocka_unit_test(test_a_path_that_looks_like_an_option_follows_two_dashes),
        cmocka_unit_test(test_wrong_usage_is_named),
        cmocka_unit_test(test_json_and_help_count_wherever_they_stand),
        cmocka_unit_test(test_media_have_the_capacity_of_their_kind),
        cmocka_unit_test(test_help_names_every_verb_and_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
