/* cli.h - what every verb of `varve` gets and gives: options in, one answer out.
 *
 * A verb is a row of the table in verbs.c; main.c finds it, options.c parses its command line
 * against the row, the verb's function does the work and prints. One thread. An error is printed
 * once, by main.c. */
#ifndef VARVE_TOOLS_CLI_H
#define VARVE_TOOLS_CLI_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <varve/error.h>

/* varve(1), EXIT STATUS. */
enum exit_code {
    EXIT_CODE_DONE = 0,
    EXIT_CODE_FAILED = 1,
    EXIT_CODE_USAGE = 2,
    EXIT_CODE_NO_DAEMON = 3,
};

struct cli {
    bool json;                /* exactly one JSON document goes to stdout */
    enum exit_code exit_code; /* of a verb that returns false */
};

struct option_spec {
    const char *name;     /* "wait" for --wait; NULL ends a table */
    const char *argument; /* "DURATION"; NULL: a flag */
    const char *help;
    char letter; /* 'R' for -R; 0: none */
};

struct args;
struct verb {
    const char *name;  /* "archive", "disc show" */
    const char *words; /* what follows the name in the synopsis: "PATH..." */
    unsigned words_min, words_max;
    const char *summary; /* one line for `varve --help` */
    const char *help;    /* paragraphs for `varve VERB --help`; NULL: the summary says it all */
    const struct option_spec *options;
    bool (*run)(struct cli *cli, const struct args *args, struct varve_error *err);
};
extern const struct verb verbs[];
extern const size_t verb_count;
#define WORDS_MANY 1000000u

/* The parsed command line of one verb. Strings belong to argv. */
struct option_use {
    const char *name, *value;
};
struct args {
    const struct verb *verb;
    struct option_use *uses;
    size_t use_count;
    char *const *words;
    size_t count;
    bool help;
};
static inline void
args_done(struct args *args)
{
    free(args->uses);
    args->uses = NULL;
}
bool args_flag(const struct args *args, const char *name);
/* The last value given, or NULL. */
const char *args_value(const struct args *args, const char *name);

/* The verb that `argv` begins with ("disc show" takes two words); *ret_taken counts them. INVALID
 * with a suggestion if there is none. */
VARVE_MUST_CHECK bool verb_find(int argc, char *const *argv, const struct verb **ret,
                                int *ret_taken, struct varve_error *err);
/* argv[0] is the last word of the verb's name; argv may be permuted. --json sets cli->json. */
VARVE_MUST_CHECK bool options_parse(struct cli *cli, const struct verb *verb, int argc, char **argv,
                                    struct args *ret, struct varve_error *err);

void help_print(FILE *out);
void help_print_verb(FILE *out, const struct verb *verb);

/* --- output --- */
/* Takes `document`; false if it is NULL (out of memory) or cannot be written. */
VARVE_MUST_CHECK bool cli_print_json(json_t *document, struct varve_error *err);
/* "varve: TEXT" with the hint on a line of its own to stderr; with --json also as a document. */
void cli_print_error(const struct cli *cli, const struct varve_error *err);
/* {"error": {"kind", "text", "hint"}} */
json_t *cli_error_json(const struct varve_error *err);
/* Sets the exit code for wrong usage and the error INVALID; returns false. */
bool
cli_usage(struct cli *cli, struct varve_error *err, const char *format, ...) VARVE_PRINTF(3, 4);

/* Names of media to their capacity ("bd-r-25"), or any size that varve_text_parse_bytes() takes. */
VARVE_MUST_CHECK bool media_parse(const char *text, uint64_t *ret_bytes, struct varve_error *err);

#endif
