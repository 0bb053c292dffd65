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

json_t *
cli_error_json(const struct varve_error *err)
{
    const char *hint = strstr(err->text, hint_lead);
    size_t length = hint != NULL ? (size_t)(hint - err->text) : strlen(err->text);
    json_t *text = json_stringn(err->text, length);
    if (text == NULL) /* a file name in it that is no UTF-8 */
        text = json_string("the text of the error is not UTF-8");
    return json_pack("{s:{s:s, s:o, s:s?}}", "error", "kind", varve_error_kind_name(err->kind),
                     "text", text, "hint", hint != NULL ? hint + sizeof hint_lead - 1 : NULL);
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
