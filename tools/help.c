/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <string.h>

void
help_print(FILE *out)
{
    (void)fputs(
        "usage: varve VERB [ARGUMENTS] [--json]\n"
        "       varve VERB --help\n"
        "       varve --version\n"
        "\n"
        "A filesystem that keeps what is used on SSD and HDD and moves the rest, by rules,\n"
        "to sets of Blu-ray discs in a changer.\n"
        "\n"
        "verbs:\n",
        out);
    for (size_t i = 0; i < verb_count; i++)
        (void)fprintf(out, "  %-26s  %s\n", verbs[i].name, verbs[i].summary);
    (void)fputs("\nThe manual: varve(1), varve.conf(5).\n", out);
}

static void
print_option(FILE *out, const struct option_spec *spec)
{
    char left[64];
    char letter[8] = "";
    if (spec->letter != 0)
        (void)snprintf(letter, sizeof letter, "-%c, ", spec->letter);
    (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, spec->name,
                   spec->argument != NULL ? " " : "", spec->argument != NULL ? spec->argument : "");
    (void)fprintf(out, "  %-22s %s\n", left, spec->help);
}

void
help_print_verb(FILE *out, const struct verb *verb)
{
    (void)fprintf(out, "usage: varve %s%s%s", verb->name, verb->words[0] != 0 ? " " : "",
                  verb->words);
    for (const struct option_spec *spec = verb->options; spec != NULL && spec->name != NULL; spec++)
        (void)fprintf(out, " [--%s%s%s]", spec->name, spec->argument != NULL ? " " : "",
                      spec->argument != NULL ? spec->argument : "");
    (void)fprintf(out, " [--json]\n\n%s\n", verb->help != NULL ? verb->help : verb->summary);
    (void)fputs("\noptions:\n", out);
    for (const struct option_spec *spec = verb->options; spec != NULL && spec->name != NULL; spec++)
        print_option(out, spec);
    print_option(out, &(struct option_spec){"json", NULL, "print one JSON document", 0});
    print_option(out, &(struct option_spec){"help", NULL, "print this", 'h'});
}
