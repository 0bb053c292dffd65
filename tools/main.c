/* SPDX-License-Identifier: Apache-2.0 */
/* The program `varve`: finds the verb, reads its options, runs it, tells its error. */
#include "cli.h"

#include <string.h>

#include "build.h"
#include "mounting.h"

/* True if --json is on the line: errors before the verb is known honour it too. */
static bool
wants_json(int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

static bool
print_version(const struct cli *cli, struct varve_error *err)
{
    if (cli->json)
        return cli_print_json(json_pack("{s:s}", "version", VARVE_VERSION), err);
    (void)printf("varve %s\n", VARVE_VERSION);
    return true;
}

static bool
print_help(const struct cli *cli, const struct verb *verb, struct varve_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = cli->json ? open_memstream(&text, &size) : stdout;
    if (out == NULL)
        return varve_error_system(err, errno, "print help");
    if (verb != NULL)
        help_print_verb(out, verb);
    else
        help_print(out);
    if (!cli->json)
        return true;
    (void)fclose(out);
    bool ok = cli_print_json(json_pack("{s:s}", "help", text), err);
    free(text);
    return ok;
}

static bool
run_verb(struct cli *cli, int argc, char **argv, struct varve_error *err)
{
    const struct verb *verb = NULL;
    int taken = 0;
    if (!verb_find(argc - 1, argv + 1, &verb, &taken, err)) {
        cli->exit_code = EXIT_CODE_USAGE;
        return false;
    }
    struct args args = {0};
    if (!options_parse(cli, verb, argc - taken, argv + taken, &args, err))
        return false;
    bool ok = args.help ? print_help(cli, verb, err) : verb->run(cli, &args, err);
    args_done(&args);
    return ok;
}

static bool
run(struct cli *cli, int argc, char **argv, struct varve_error *err)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                     strcmp(argv[1], "help") == 0))
        return print_help(cli, NULL, err);
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return print_version(cli, err);
    return run_verb(cli, argc, argv, err);
}

int
main(int argc, char **argv)
{
    if (helper_wanted(argc, argv))
        return helper_run(argc, argv);
    struct cli cli = {.json = wants_json(argc, argv), .exit_code = EXIT_CODE_FAILED};
    struct varve_error err = {0};
    if (run(&cli, argc, argv, &err) && fflush(stdout) == 0)
        return EXIT_CODE_DONE;
    if (err.kind != VARVE_ERROR_NONE)
        cli_print_error(&cli, &err);
    return cli.exit_code;
}
