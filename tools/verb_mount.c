/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#include <sys/mount.h>

#include "mounting.h"

static bool
parse_options(struct cli *cli, const struct args *args, struct mount_options *ret,
              struct varve_error *err)
{
    const char *text = args_value(args, "option");
    if (text == NULL || mount_options_parse(text, false, ret, err)) {
        /* Root who wants programs and devices of the archive to have rights says so. */
        if (!ret->remount)
            ret->flags |= (MS_NOSUID | MS_NODEV) & ~ret->named;
        return true;
    }
    cli->exit_code = EXIT_CODE_USAGE;
    return varve_error_wrap(err, "mount");
}

bool
verb_mount(struct cli *cli, const struct args *args, struct varve_error *err)
{
    struct mounting mounting = {.dir = args->words[0],
                                .mountpoint = args->words[1],
                                .keep_flags = true,
                                .foreground = args_flag(args, "foreground")};
    if (!parse_options(cli, args, &mounting.options, err) || !mount_archive(cli, &mounting, err))
        return false;
    if (!cli->json)
        return true;
    VARVE_CLEANUP_FREE char *dir = realpath(mounting.dir, NULL);
    VARVE_CLEANUP_FREE char *mountpoint = realpath(mounting.mountpoint, NULL);
    return cli_print_json(json_pack("{s:s?, s:s?}", "archive", dir, "mountpoint", mountpoint), err);
}

bool
verb_umount(struct cli *cli, const struct args *args, struct varve_error *err)
{
    struct unmounting unmounting = {.mountpoint = args->words[0],
                                    .lazy = args_flag(args, "lazy"),
                                    .force = args_flag(args, "force")};
    return unmount_archive(cli, &unmounting, err) &&
           (!cli->json ||
            cli_print_json(json_pack("{s:s}", "unmounted", unmounting.mountpoint), err));
}
