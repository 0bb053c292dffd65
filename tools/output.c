/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdarg.h>
#include <string.h>
#include <varve/text.h>

static const char hint_lead[] = "\nhint: ";

bool
cli_print_json(json_t *document, struct varve_error *err)
{
    if (document == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "write JSON");
    int failed = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    json_decref(document);
    if (failed != 0 || putchar('\n') == EOF || fflush(stdout) != 0)
        return varve_error_system(err, errno, "write to standard output");
    return true;
}

/* Names of files get into errors, and a long text is cut anywhere: what is not UTF-8 must not cost
 * the rest of the text. */
static void
make_valid(char *text)
{
    json_t *valid = json_string(text);
    for (char *at = text; valid == NULL && *at != 0; at++) {
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    }
    json_decref(valid);
}

json_t *
cli_error_json(const struct varve_error *err)
{
    struct varve_error valid = *err;
    make_valid(valid.text);
    char *hint = strstr(valid.text, hint_lead);
    if (hint != NULL) {
        *hint = 0;
        hint += sizeof hint_lead - 1;
    }
    return json_pack("{s:{s:s, s:s, s:s?}}", "error", "kind", varve_error_kind_name(err->kind),
                     "text", valid.text, "hint", hint);
}

void
cli_print_error(const struct cli *cli, const struct varve_error *err)
{
    (void)fprintf(stderr, "varve: %s\n", err->text); /* the hint brings its own line */
    struct varve_error ignored; /* stdout is broken: stderr has the text already */
    if (cli->json)
        (void)!cli_print_json(cli_error_json(err), &ignored);
}

bool
cli_usage(struct cli *cli, struct varve_error *err, const char *format, ...)
{
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cli->exit_code = EXIT_CODE_USAGE;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s", text);
}

bool
media_parse(const char *text, uint64_t *ret_bytes, struct varve_error *err)
{
    /* Sectors of unformatted BD-R without spare area (BD-R format, table of capacities). */
    static const struct {
        const char *name;
        uint64_t sectors;
    } media[] = {
        {"bd-r-25", 12219392},
        {"bd-r-50", 24438784},
        {"bd-r-100", 48878592},
        {"bd-r-128", 62500864},
    };
    for (size_t i = 0; i < sizeof media / sizeof media[0]; i++) {
        if (strcmp(media[i].name, text) == 0) {
            *ret_bytes = media[i].sectors * 2048;
            return true;
        }
    }
    struct varve_error inner = {0};
    if (varve_text_parse_bytes(text, ret_bytes, &inner))
        return true;
    varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' is no medium and no size", text);
    return varve_error_hint(err, "use bd-r-25, bd-r-50, bd-r-100, bd-r-128 or a size like 64MiB");
}
