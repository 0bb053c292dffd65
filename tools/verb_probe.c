/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#include "client.h"
#include "probe.h"

bool
verb_library_probe(struct cli *cli, const struct args *args, struct varve_error *err)
{
    const struct probe_options options = {
        .load = args_flag(args, "load"), .places = args->words, .place_count = args->count};
    CLEANUP_PROBE_REPORT struct probe probe = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    if (!probe_gather(&options, &probe, err))
        return false;
    if (cli->json)
        return cli_print_json(probe_json(&probe), err);
    probe_text(&probe, &text);
    if (!varve_buffer_ok(&text, err))
        return false;
    if (fputs(varve_buffer_string(&text), stdout) == EOF || fflush(stdout) != 0)
        return varve_error_system(err, errno, "write to standard output");
    return true;
}
