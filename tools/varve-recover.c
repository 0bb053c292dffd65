/* SPDX-License-Identifier: Apache-2.0 */
/* varve-recover: what a disc or a set of discs holds, without catalog, daemon or library. */
#include "recover_internal.h"

#include <getopt.h>
#include <string.h>
#include <varve/text.h>

static const char help_text[] =
    "usage: varve-recover list    IMAGE|DEVICE... [--json]\n"
    "       varve-recover verify  IMAGE|DEVICE... [--json]\n"
    "       varve-recover extract IMAGE|DEVICE... --to DIR [--json]\n"
    "       varve-recover rebuild IMAGE|DEVICE... --to DIR [--disc N] [--json]\n"
    "\n"
    "Reads discs of a varve archive, as image files or in drives, without its catalog. Give as "
    "many\n"
    "discs of a set as there are: what one cannot give, parity brings back, up to as many losses\n"
    "as the set has parity discs, whole discs or scattered damage. Sources are only read.\n"
    "\n"
    "  list      which discs these are, which are missing from their sets, and the files on them\n"
    "  verify    read everything and compare it with the checksums; names the files that damage\n"
    "            touches and says whether the discs at hand can repair it\n"
    "  extract   write all files to DIR, with owners, modes, times, extended attributes and links\n"
    "            as far as you are allowed to; bad files are named and left out, nothing that\n"
    "            exists is overwritten\n"
    "  rebuild   write missing and damaged discs to DIR as images, and prove them\n"
    "\n"
    "  --to DIR         where to write to; made if needed\n"
    "  --disc N         rebuild just disc N of the set, damaged or not\n"
    "  --as N=IMAGE     a disc so damaged that it does not tell what it is: the word of the\n"
    "                   operator, proven by the checksums that parity discs hold\n"
    "  --json           machine-readable output on stdout\n"
    "  --quiet          no progress bar\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 all is well; 1 something is damaged, missing or was left out, and was named;\n"
    "2 wrong usage, or nothing could be done.\n";

enum {
    OPTION_TO = 256,
    OPTION_DISC,
    OPTION_AS,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option long_options[] = {
    {"to", required_argument, NULL, OPTION_TO},     {"disc", required_argument, NULL, OPTION_DISC},
    {"as", required_argument, NULL, OPTION_AS},     {"json", no_argument, NULL, OPTION_JSON},
    {"quiet", no_argument, NULL, OPTION_QUIET},     {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION}, {NULL, 0, NULL, 0},
};

static const struct verb {
    const char *name;
    verb_fn *run;
    bool writes;
} verbs[] = {
    {"list", verb_list, false},
    {"verify", verb_verify, false},
    {"extract", verb_extract, true},
    {"rebuild", verb_rebuild, true},
};

static bool
take_disc(struct options *options, const char *text, struct varve_error *err)
{
    uint64_t disc;
    if (!varve_text_parse_number(text, VARVE_SET_DISCS_MAX - 1, &disc, err))
        return varve_error_wrap(err, "--disc");
    options->has_disc = true;
    options->disc = (uint32_t)disc;
    return true;
}

static bool
take_as(struct options *options, const char *text, struct varve_error *err)
{
    if (options->as_count == sizeof options->as / sizeof options->as[0])
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "too many --as");
    options->as[options->as_count++] = text;
    return true;
}

/* *ret_done: --help or --version was all. */
static bool
read_options(int argc, char **argv, struct options *ret, bool *ret_done, struct varve_error *err)
{
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (option) {
        case OPTION_TO:
            ret->to = optarg;
            break;
        case OPTION_DISC:
            if (!take_disc(ret, optarg, err))
                return false;
            break;
        case OPTION_AS:
            if (!take_as(ret, optarg, err))
                return false;
            break;
        case OPTION_JSON:
            ret->json = true;
            break;
        case OPTION_QUIET:
            ret->quiet = true;
            break;
        case OPTION_HELP:
            (void)fputs(help_text, stdout);
            *ret_done = true;
            return true;
        case OPTION_VERSION:
            printf("varve-recover %s\n", VARVE_VERSION);
            *ret_done = true;
            return true;
        default:
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "try varve-recover --help");
        }
    }
    return true;
}

static const struct verb *
find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static bool
check_usage(const struct verb *verb, const char *name, const struct options *options,
            struct varve_error *err)
{
    if (verb == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "'%s' is not list, verify, extract or rebuild", name);
    if (options->image_count == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s: no image and no device is given",
                               name);
    if (verb->writes && options->to == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s: --to DIR is missing", name);
    if (!verb->writes && options->to != NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s: writes nothing, so no --to", name);
    if (options->has_disc && verb->run != verb_rebuild)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s: --disc is for rebuild", name);
    return true;
}

static int
run(const struct verb *verb, const struct options *options, struct varve_error *err)
{
    struct discs discs;
    int code = RECOVER_FAILED;
    if (discs_open(options, &discs, err))
        code = verb->run(&discs, options, err);
    discs_close(&discs);
    if (fflush(stdout) != 0 && code != RECOVER_FAILED) {
        (void)varve_error_system(err, errno, "write to stdout");
        return RECOVER_FAILED;
    }
    return code;
}

int
main(int argc, char **argv)
{
    struct options options = {0};
    struct varve_error err = {0};
    bool done = false;
    if (!read_options(argc, argv, &options, &done, &err)) {
        tell("%s", err.text);
        return RECOVER_FAILED;
    }
    if (done)
        return RECOVER_GOOD;
    if (optind >= argc) {
        (void)fputs(help_text, stderr);
        return RECOVER_FAILED;
    }
    const char *name = argv[optind];
    const struct verb *verb = find_verb(name);
    options.images = argv + optind + 1;
    options.image_count = (unsigned)(argc - optind - 1);
    int code = RECOVER_FAILED;
    if (check_usage(verb, name, &options, &err))
        code = run(verb, &options, &err);
    if (code == RECOVER_FAILED)
        tell("%s", err.text);
    return code;
}
