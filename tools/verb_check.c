/* SPDX-License-Identifier: Apache-2.0 */
/* check (with and without a daemon) and rebuild (without). */
#include "verb.h"

#include <inttypes.h>
#include <string.h>
#include <varve/clock.h>

#include "client.h"
#include "json.h"
#include "ports.h"
#include "show.h"

enum { FINDINGS_MAX = 10000 };

static void
take_finding(void *context, const char *finding)
{
    json_t **findings = context;
    if (json_array_size(*findings) < FINDINGS_MAX)
        json_add(findings, json_bytes(finding));
}

static bool
check_offline(const char *archive, bool repair, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP_PORTS struct ports ports;
    ports_init(&ports);
    VARVE_CLEANUP(varve_engine_close) struct varve_engine *engine = NULL;
    VARVE_CLEANUP_JSON json_t *findings = json_array();
    struct varve_check_report report = {0};
    if (!varve_engine_open(archive, &ports.engine, &engine, err) ||
        !varve_engine_check(engine, repair, take_finding, &findings, &report, err))
        return false;
    *ret = json_pack("{s:o, s:O}", "report", json_check(&report), "findings", findings);
    return *ret != NULL || varve_error_set(err, VARVE_ERROR_NOMEM, 0, "check");
}

static bool
check(struct cli *cli, const char *archive, bool repair, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    struct varve_error no_daemon = {0};
    if (client_open(cli, archive, &client, &no_daemon))
        return client_post(client, "/v1/check", json_pack("{s:b}", "repair", repair), ret, err);
    if (no_daemon.kind != VARVE_ERROR_NOT_READY) {
        *err = no_daemon;
        return false;
    }
    cli->exit_code = EXIT_CODE_FAILED;
    return check_offline(archive, repair, ret, err);
}

bool
verb_check(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *archive = NULL;
    VARVE_CLEANUP_JSON json_t *answer = NULL;
    const char *word = args->count > 0 ? args->words[0] : args_value(args, "archive");
    if (!find_archive(cli, word, &archive, err) ||
        !check(cli, archive, args_flag(args, "repair"), &answer, err))
        return false;
    const json_t *report = json_object_get(answer, "report");
    uint64_t found = show_integer(report, "findings"), repaired = show_integer(report, "repaired");
    if (cli->json && !cli_print_json(json_incref(answer), err))
        return false;
    const json_t *findings = json_object_get(answer, "findings");
    for (size_t i = 0; !cli->json && i < json_array_size(findings); i++) {
        const char *text = json_string_value(json_array_get(findings, i));
        (void)printf("%s\n", text != NULL ? text : "(a name that is not UTF-8)");
    }
    if (!cli->json)
        (void)printf("checked %" PRIu64 " contents, %" PRIu64 " sets, %" PRIu64 " discs: %" PRIu64
                     " findings, %" PRIu64 " repaired\n",
                     show_integer(report, "contents"), show_integer(report, "sets"),
                     show_integer(report, "discs"), found, repaired);
    return found <= repaired; /* what was found is printed: no more to say */
}

/* On a terminal one line that is written over, elsewhere a line in ten seconds. */
struct rebuild_display {
    int64_t printed_ns;
    bool terminal;
};

/* `done` and `total` count steps of the rebuild, not bytes. */
static void
show_rebuild(void *context, const char *text, uint64_t done, uint64_t total)
{
    struct rebuild_display *display = context;
    int64_t now_ns = varve_clock_monotonic(varve_clock_system());
    int64_t interval_ns = display->terminal ? 100 * VARVE_NS_PER_MS : 10 * VARVE_NS_PER_SECOND;
    if (now_ns - display->printed_ns < interval_ns)
        return;
    display->printed_ns = now_ns;
    char count[64] = "";
    if (total > 0)
        (void)snprintf(count, sizeof count, "%" PRIu64 " of %" PRIu64 ": ", done, total);
    (void)fprintf(stderr, display->terminal ? "\r%s%.*s\033[K" : "%s%.*s\n", count, 60, text);
}

/* Values of --from, and the words after DIR. */
static const char **
collect_images(const struct args *args, size_t *ret_count)
{
    const char **images = calloc(args->use_count + args->count + 1, sizeof *images);
    size_t count = 0;
    for (size_t i = 0; images != NULL && i < args->use_count; i++) {
        if (strcmp(args->uses[i].name, "from") == 0)
            images[count++] = args->uses[i].value;
    }
    for (size_t i = 1; images != NULL && i < args->count; i++)
        images[count++] = args->words[i];
    *ret_count = count;
    return images;
}

static bool
print_rebuild(const struct cli *cli, const struct varve_rebuild_report *report,
              struct varve_error *err)
{
    if (cli->json)
        return cli_print_json(json_pack("{s:o}", "report", json_rebuild(report)), err);
    (void)printf("read %" PRIu64 " discs of %" PRIu64 " sets: %" PRIu64 " names, %" PRIu64
                 " contents, %" PRIu64 " resident copies taken over\n",
                 report->discs, report->sets, report->inodes, report->contents, report->adopted);
    if (report->missing_discs > 0)
        (void)printf("%" PRIu64 " discs were not at hand, %" PRIu64
                     " of them known through parity\n",
                     report->missing_discs, report->repaired_discs);
    if (report->lost_files > 0)
        (void)printf("%" PRIu64 " files are known by name only\n", report->lost_files);
    return true;
}

bool
verb_rebuild(struct cli *cli, const struct args *args, struct varve_error *err)
{
    if (args->count > 1 && args_value(args, "from") == NULL)
        return cli_usage(cli, err, "rebuild: images follow --from");
    VARVE_CLEANUP_FREE char *archive = NULL;
    if (!is_archive(args->words[0])) {
        cli->exit_code = EXIT_CODE_NO_DAEMON;
        varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "'%s' is no archive: it has no varve.conf",
                        args->words[0]);
        return varve_error_hint(err, "write one, or make it with: varve init");
    }
    archive = realpath(args->words[0], NULL);
    if (archive == NULL)
        return varve_error_system(err, errno, "'%s'", args->words[0]);
    size_t count = 0;
    VARVE_CLEANUP_FREE const char **images = collect_images(args, &count);
    if (images == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "rebuild");
    VARVE_CLEANUP_PORTS struct ports ports;
    ports_init(&ports);
    struct rebuild_display display = {.printed_ns = varve_clock_monotonic(ports.engine.clock),
                                      .terminal = isatty(STDERR_FILENO) == 1};
    const struct varve_rebuild_options options = {.dir = archive,
                                                  .images = images,
                                                  .image_count = count,
                                                  .progress = show_rebuild,
                                                  .context = &display};
    struct varve_rebuild_report report = {0};
    bool ok = varve_engine_rebuild(&options, &ports.engine, &report, err);
    if (display.terminal)
        (void)fputs("\r\033[K", stderr);
    return ok && print_rebuild(cli, &report, err);
}
