/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#include <inttypes.h>
#include <string.h>
#include <varve/text.h>

#include "client.h"
#include "json.h"
#include "ports.h"
#include "show.h"

static void
print_amounts(const char *title, const json_t *by_name)
{
    const char *name;
    json_t *one;
    char bytes[VARVE_TEXT_BYTES];
    (void)printf("%s:\n", title);
    json_object_foreach((json_t *)(uintptr_t)by_name, name, one)
    {
        (void)printf("  %-12s %10" PRIu64 " files  %10s", name, show_integer(one, "files"),
                     varve_text_bytes(show_integer(one, "bytes"), bytes));
        if (json_object_get(one, "percent_used") != NULL)
            (void)printf("  disk %" PRIu64 "%% full, %s free", show_integer(one, "percent_used"),
                         varve_text_bytes(show_integer(one, "bytes_free"), bytes));
        (void)putchar('\n');
    }
}

/* "sealed 3, degraded 1"; zeros are left out. */
static void
print_counts(const char *title, const json_t *counts)
{
    const char *name;
    json_t *count;
    bool any = false;
    (void)printf("%s", title);
    json_object_foreach((json_t *)(uintptr_t)counts, name, count)
    {
        if (json_integer_value(count) == 0)
            continue;
        (void)printf("%s%s %" JSON_INTEGER_FORMAT, any ? ", " : "", name,
                     json_integer_value(count));
        any = true;
    }
    (void)printf("%s\n", any ? "" : "none");
}

static void
print_recalls(const json_t *recalls)
{
    for (size_t i = 0; i < json_array_size(recalls); i++) {
        const json_t *recall = json_array_get(recalls, i);
        struct varve_error ignored = {0}; /* then without a name */
        VARVE_CLEANUP_FREE char *path = NULL;
        char bytes[VARVE_TEXT_BYTES], total[VARVE_TEXT_BYTES], eta[VARVE_TEXT_BYTES];
        bool named = json_bytes_get(json_object_get(recall, "path"), "path", &path, &ignored);
        (void)printf(
            "  %s, %s of %s, about %s: %s\n", show_string(recall, "state"),
            varve_text_bytes(show_integer(recall, "done"), bytes),
            varve_text_bytes(show_integer(recall, "bytes"), total),
            varve_text_duration((int64_t)show_integer(recall, "eta") * INT64_C(1000000000), eta),
            named ? path : "?");
    }
}

static void
print_feature(const json_t *kernel, const char *name, const char *why)
{
    bool on = json_is_true(json_object_get(kernel, name));
    const char *reason = on || why == NULL ? "" : show_string(kernel, why);
    (void)printf("          %-12s %s%s%s\n", name, on ? "yes" : "no", reason[0] == '\0' ? "" : ": ",
                 reason);
}

/* What of the kernel's is in use, and why not. */
static void
print_kernel(const json_t *kernel)
{
    if (!json_is_object(kernel))
        return;
    (void)printf("kernel\n");
    print_feature(kernel, "passthrough", "passthrough_why");
    print_feature(kernel, "io_uring", "io_uring_why");
    print_feature(kernel, "kill_priv", NULL);
    print_feature(kernel, "readdirplus", NULL);
}

static void
print_status(const json_t *status)
{
    char bytes[VARVE_TEXT_BYTES];
    bool running = json_is_true(json_object_get(status, "running"));
    (void)printf("archive   %s (%s)\n", show_string(status, "name"),
                 show_string(status, "archive"));
    if (running)
        (void)printf("mounted   at %s (%s) since %s, process %" PRIu64 "\n",
                     show_string(status, "mountpoint"), show_string(status, "mount_options"),
                     show_string(status, "started"), show_integer(status, "pid"));
    else
        (void)printf("mounted   no\n");
    print_kernel(json_object_get(status, "kernel"));
    print_amounts("files by state", json_object_get(status, "states"));
    print_amounts("files by tier", json_object_get(status, "tiers"));
    const json_t *heads = json_object_get(status, "heads");
    (void)printf("heads     %" PRIu64 " files, %s of their beginnings on the first tier\n",
                 show_integer(heads, "files"),
                 varve_text_bytes(show_integer(heads, "bytes"), bytes));
    const json_t *in_line = json_object_get(status, "in_line");
    (void)printf("in line   %" PRIu64 " files, %s for the next set\n",
                 show_integer(in_line, "files"),
                 varve_text_bytes(show_integer(in_line, "bytes"), bytes));
    print_counts("sets      ", json_object_get(status, "sets"));
    print_counts("discs     ", json_object_get(status, "discs"));
    print_counts("drives    ", json_object_get(status, "drives"));
    print_counts("jobs      ", json_object_get(status, "jobs"));
    if (show_integer(status, "recalls_waiting") > 0)
        (void)printf("recalls   %" PRIu64 " files are waited for\n",
                     show_integer(status, "recalls_waiting"));
    print_recalls(json_object_get(status, "recalls"));
    const json_t *warnings = json_object_get(status, "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const char *text = json_string_value(json_array_get(warnings, i));
        (void)printf("warning   %s\n", text != NULL ? text : "?");
    }
}

/* Without a daemon: the archive is opened here, which holds its lock for a moment. */
static bool
read_offline(const char *archive, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP_PORTS struct ports ports;
    ports_init(&ports);
    VARVE_CLEANUP(varve_engine_close) struct varve_engine *engine = NULL;
    VARVE_CLEANUP_FREE struct varve_engine_status *status = calloc(1, sizeof *status);
    if (status == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "status");
    if (!varve_engine_open(archive, &ports.engine, &engine, err) ||
        !varve_engine_status(engine, status, err))
        return false;
    json_t *made = json_status(status);
    (void)json_object_set_new(made, "running", json_false());
    (void)json_object_set_new(made, "directory", json_bytes(archive));
    if (made == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "status");
    *ret = made;
    return true;
}

static bool
read_status(struct cli *cli, const char *archive, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP(client_free) struct client *client = NULL;
    struct varve_error no_daemon = {0};
    if (client_open(cli, archive, &client, &no_daemon))
        return client_get(client, "/v1/status", ret, err);
    if (no_daemon.kind != VARVE_ERROR_NOT_READY) {
        *err = no_daemon;
        return false;
    }
    cli->exit_code = EXIT_CODE_FAILED;
    return read_offline(archive, ret, err);
}

bool
verb_status(struct cli *cli, const struct args *args, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *archive = NULL;
    VARVE_CLEANUP_JSON json_t *status = NULL;
    const char *word = args->count > 0 ? args->words[0] : args_value(args, "archive");
    if (!find_archive(cli, word, &archive, err) || !read_status(cli, archive, &status, err))
        return false;
    if (cli->json)
        return cli_print_json(json_incref(status), err);
    print_status(status);
    return true;
}
