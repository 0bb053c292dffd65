/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <assert.h>
#include <getopt.h>
#include <string.h>
#include <varve/config.h>

enum { VERB_WORDS_MAX = 3, OPTIONS_MAX = 24, SHORT_MAX = 3 * OPTIONS_MAX };

/* Options that every verb has. */
static const struct option_spec common[] = {
    {"json", NULL, NULL, 0},
    {"help", NULL, NULL, 'h'},
};
enum { COMMON_COUNT = sizeof common / sizeof common[0] };

/* A verb's options and the common ones in the forms that getopt_long(3) wants. */
struct grammar {
    const struct option_spec *specs[OPTIONS_MAX];
    struct option options[OPTIONS_MAX + 1];
    char letters[SHORT_MAX + 2];
    size_t count;
};

static void
grammar_add(struct grammar *grammar, const struct option_spec *spec)
{
    assert(grammar->count < OPTIONS_MAX);
    grammar->options[grammar->count] = (struct option){
        .name = spec->name,
        .has_arg = spec->argument != NULL ? required_argument : no_argument,
        .val = (int)(256 + grammar->count), /* beyond any letter */
    };
    grammar->specs[grammar->count++] = spec;
    if (spec->letter == 0)
        return;
    size_t used = strlen(grammar->letters);
    grammar->letters[used] = spec->letter;
    if (spec->argument != NULL)
        grammar->letters[used + 1] = ':';
}

static void
make_grammar(const struct verb *verb, struct grammar *ret)
{
    ret->letters[0] = ':'; /* getopt: tell a missing argument from an unknown option */
    for (const struct option_spec *spec = verb->options; spec != NULL && spec->name != NULL; spec++)
        grammar_add(ret, spec);
    for (size_t i = 0; i < COMMON_COUNT; i++)
        grammar_add(ret, &common[i]);
}

static const struct option_spec *
find_spec(const struct grammar *grammar, int code)
{
    if (code >= 256 && (size_t)(code - 256) < grammar->count)
        return grammar->specs[code - 256];
    for (size_t i = 0; i < grammar->count; i++) {
        if (grammar->specs[i]->letter != 0 && grammar->specs[i]->letter == code)
            return grammar->specs[i];
    }
    return NULL;
}

static bool
refuse_unknown(struct cli *cli, const struct verb *verb, const struct grammar *grammar,
               const char *given, struct varve_error *err)
{
    cli_usage(cli, err, "%s: unknown option '%s'", verb->name, given);
    const char *names[OPTIONS_MAX];
    for (size_t i = 0; i < grammar->count; i++)
        names[i] = grammar->specs[i]->name;
    char word[64];
    (void)snprintf(word, sizeof word, "%.*s", (int)strcspn(given, "="), given);
    const char *near = varve_config_nearest(word + strspn(word, "-"), names, grammar->count);
    if (near != NULL)
        return varve_error_hint(err, "did you mean '--%s'?", near);
    return varve_error_hint(err, "see: varve %s --help", verb->name);
}

/* getopt's answer for something that is not right, in words. */
static bool
refuse(struct cli *cli, const struct verb *verb, const struct grammar *grammar, int code,
       char *const *argv, struct varve_error *err)
{
    char letter[3] = {'-', (char)optopt, 0};
    bool is_letter = optopt > 0 && optopt < 256;
    const char *given = is_letter ? letter : argv[optind - 1];
    const struct option_spec *spec = find_spec(grammar, optopt);
    if (spec == NULL)
        return refuse_unknown(cli, verb, grammar, given, err);
    if (code == ':')
        return cli_usage(cli, err, "%s: option '--%s' needs %s", verb->name, spec->name,
                         spec->argument);
    return cli_usage(cli, err, "%s: option '--%s' takes no value", verb->name, spec->name);
}

static bool
check_words(struct cli *cli, const struct verb *verb, const struct args *args,
            struct varve_error *err)
{
    if (args->count < verb->words_min)
        cli_usage(cli, err, "%s: something is missing: %s", verb->name, verb->words);
    else if (args->count > verb->words_max)
        cli_usage(cli, err, "%s: '%s' is too much", verb->name, args->words[verb->words_max]);
    else
        return true;
    return varve_error_hint(err, "see: varve %s --help", verb->name);
}

/* All of argv is read even after an error, so that a --json anywhere on the line counts. */
static bool
read_options(struct cli *cli, const struct grammar *grammar, int argc, char **argv,
             struct args *ret, struct varve_error *err)
{
    bool ok = true;
    opterr = 0;
    optind = 0; /* GNU: start anew */
    for (;;) {
        int code = getopt_long(argc, argv, grammar->letters, grammar->options, NULL);
        if (code == -1)
            return ok;
        const struct option_spec *spec = find_spec(grammar, code);
        if (code == '?' || code == ':' || spec == NULL) {
            if (ok)
                ok = refuse(cli, ret->verb, grammar, code, argv, err);
        } else if (strcmp(spec->name, "json") == 0) {
            cli->json = true;
        } else if (strcmp(spec->name, "help") == 0) {
            ret->help = true;
        } else {
            ret->uses[ret->use_count++] = (struct option_use){spec->name, optarg};
        }
    }
}

bool
options_parse(struct cli *cli, const struct verb *verb, int argc, char **argv, struct args *ret,
              struct varve_error *err)
{
    struct grammar grammar = {0};
    make_grammar(verb, &grammar);
    struct args args = {.verb = verb};
    /* "-abc" holds several options in one word, but no verb has more letters than this. */
    size_t most = 0;
    for (int i = 0; i < argc; i++)
        most += strlen(argv[i]) + 1;
    args.uses = calloc(most + 1, sizeof *args.uses);
    if (args.uses == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read the options");
    bool ok = read_options(cli, &grammar, argc, argv, &args, err);
    args.words = argv + optind;
    args.count = (size_t)(argc - optind);
    if (!ok || (!args.help && !check_words(cli, verb, &args, err))) {
        args_done(&args);
        return false;
    }
    *ret = args;
    return true;
}

/* A verb that asks for an option which its own table lacks is a bug. */
static void
assert_declared(const struct args *args, const char *name)
{
    const struct option_spec *spec = args->verb->options;
    while (spec != NULL && spec->name != NULL && strcmp(spec->name, name) != 0)
        spec++;
    assert(spec != NULL && spec->name != NULL);
}

bool
args_flag(const struct args *args, const char *name)
{
    assert_declared(args, name);
    for (size_t i = 0; i < args->use_count; i++) {
        if (strcmp(args->uses[i].name, name) == 0)
            return true;
    }
    return false;
}

const char *
args_value(const struct args *args, const char *name)
{
    assert_declared(args, name);
    for (size_t i = args->use_count; i-- > 0;) {
        if (strcmp(args->uses[i].name, name) == 0)
            return args->uses[i].value;
    }
    return NULL;
}

static bool
refuse_verb(const char *given, bool is_group, struct varve_error *err)
{
    const char *names[128];
    size_t count = 0;
    for (size_t i = 0; i < verb_count && count < sizeof names / sizeof names[0]; i++)
        names[count++] = verbs[i].name;
    varve_error_set(err, VARVE_ERROR_INVALID, 0,
                    is_group ? "'%s' needs one word more" : "unknown verb '%s'", given);
    const char *near = is_group ? NULL : varve_config_nearest(given, names, count);
    if (near != NULL)
        return varve_error_hint(err, "did you mean 'varve %s'?", near);
    return varve_error_hint(err, "see: varve --help");
}

/* How many words the verb's name is of, if the command line begins with it; else 0. */
static int
words_of(const char *name, char (*begin)[128], int words)
{
    for (int i = 1; i <= words; i++) {
        if (strcmp(name, begin[i]) == 0)
            return i;
    }
    return 0;
}

/* How many words of the command line, but not all of the verb's name, the name begins with. */
static int
group_of(const char *name, char (*begin)[128], int words)
{
    int shared = 0;
    for (int i = 1; i <= words; i++) {
        size_t length = strlen(begin[i]);
        if (strncmp(name, begin[i], length) == 0 && name[length] == ' ')
            shared = i;
    }
    return shared;
}

bool
verb_find(int argc, char *const *argv, const struct verb **ret, int *ret_taken,
          struct varve_error *err)
{
    if (argc < 1)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "no verb given\nhint: see: varve --help");
    char begin[VERB_WORDS_MAX + 1][128] = {""};
    int words = 0;
    while (words < VERB_WORDS_MAX && words < argc) {
        (void)snprintf(begin[words + 1], sizeof begin[0], "%.100s%s%.25s", begin[words],
                       words > 0 ? " " : "", argv[words]);
        words++;
    }
    int group = 0; /* words that begin the names of several verbs */
    for (size_t i = 0; i < verb_count; i++) {
        int taken = words_of(verbs[i].name, begin, words);
        if (taken > 0) {
            *ret = &verbs[i];
            *ret_taken = taken;
            return true;
        }
        int shared = group_of(verbs[i].name, begin, words);
        group = shared > group ? shared : group;
    }
    bool has_next = group == 0 || (group < words && argv[group][0] != '-');
    return refuse_verb(begin[has_next ? group + 1 : group], group > 0 && !has_next, err);
}
