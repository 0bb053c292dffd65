/* SPDX-License-Identifier: Apache-2.0 */
/* mount_helper.c - `varve` as mount(8) and umount(8) call it for a filesystem of type varve or
 * fuse.varve:
 *   /sbin/mount.TYPE  ARCHIVE DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]
 *   /sbin/umount.TYPE DIR [-flnrv] [-N NAMESPACE] [-t TYPE]
 * and as mount.fuse(8) does, for type fuse and "varve#ARCHIVE": varve ARCHIVE DIR [-o OPTIONS] */
#include "mounting.h"

#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>

/* mount(8), EXIT STATUS. */
enum { MOUNT_DONE = 0, MOUNT_USAGE = 1, MOUNT_FAILED = 32 };

static const char *
name_of(char *const *argv)
{
    const char *slash = strrchr(argv[0], '/');
    return slash != NULL ? slash + 1 : argv[0];
}

static bool
begins(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

bool
helper_wanted(int argc, char *const *argv)
{
    if (argc < 1 || argv[0] == NULL)
        return false;
    return begins(name_of(argv), "mount.") || begins(name_of(argv), "umount.") ||
           (argc > 2 && strchr(argv[1], '/') != NULL && argv[1][0] != '-');
}

/* Archive and mount point are then looked up where the mount shall be seen. */
static bool
enter_namespace(const char *path, struct varve_error *err)
{
    if (path == NULL)
        return true;
    VARVE_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNS) != 0)
        return varve_error_system(err, errno, "enter the mount namespace '%s'", path);
    return true;
}

struct line {
    const char *words[2]; /* [archive,] directory */
    const char *options, *namespace;
    bool sloppy, fake, verbose, lazy, force, read_only;
};

static void
take_letter(int letter, bool mounting, struct line *ret)
{
    switch (letter) {
    case 's':
        ret->sloppy = true;
        break;
    case 'f':
        ret->fake = mounting;
        ret->force = !mounting;
        break;
    case 'v':
        ret->verbose = true;
        break;
    case 'l':
        ret->lazy = true;
        break;
    case 'r':
        ret->read_only = true;
        break;
    case 'o':
        ret->options = optarg;
        break;
    case 'N':
        ret->namespace = optarg;
        break;
    default: /* n: there is no mtab any more; t: it is known; w: it is the default */
        break;
    }
}

static bool
read_line(int argc, char **argv, bool mounting, struct line *ret, struct varve_error *err)
{
    int wanted = mounting ? 2 : 1, letter = 0;
    opterr = 0;
    while ((letter = getopt(argc, argv, mounting ? "sfnvrwo:N:t:" : "flnrvN:t:")) != -1) {
        if (letter == '?')
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "unknown option '-%c'", optopt);
        take_letter(letter, mounting, ret);
    }
    if (argc - optind != wanted)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               mounting ? "usage: %s ARCHIVE DIRECTORY [-sfnv] [-o OPTIONS]"
                                        : "usage: %s DIRECTORY [-flnrv]",
                               name_of(argv));
    for (int i = 0; i < wanted; i++)
        ret->words[i] = argv[optind + i];
    return true;
}

static bool
do_mount(struct cli *cli, const struct line *line, struct varve_error *err)
{
    static const char prefix[] = "varve#";
    struct mounting mounting = {
        .dir = line->words[0], .mountpoint = line->words[1], .by_mount = true, .fake = line->fake};
    if (begins(mounting.dir, prefix))
        mounting.dir += sizeof prefix - 1;
    if (line->options != NULL &&
        !mount_options_parse(line->options, line->sloppy, &mounting.options, err)) {
        cli->exit_code = EXIT_CODE_USAGE;
        return false;
    }
    if (line->read_only)
        mounting.options.flags |= MS_RDONLY;
    /* mount(8) gives a user's mount nosuid and nodev; by hand it shall be the same. */
    if (geteuid() != 0)
        mounting.options.flags |= MS_NOSUID | MS_NODEV;
    if (!enter_namespace(line->namespace, err) || !mount_archive(cli, &mounting, err))
        return false;
    if (line->verbose)
        (void)printf("varve: %s %s on %s\n", mounting.dir,
                     mounting.options.remount ? "mounted anew" : "mounted", mounting.mountpoint);
    return true;
}

static bool
do_unmount(struct cli *cli, const struct line *line, struct varve_error *err)
{
    struct unmounting unmounting = {.mountpoint = line->words[0],
                                    .lazy = line->lazy,
                                    .force = line->force,
                                    .read_only = line->read_only};
    if (!enter_namespace(line->namespace, err) || !unmount_archive(cli, &unmounting, err))
        return false;
    if (line->verbose)
        (void)printf("varve: %s unmounted\n", unmounting.mountpoint);
    return true;
}

int
helper_run(int argc, char **argv)
{
    struct cli cli = {0};
    struct line line = {0};
    struct varve_error err = {0};
    bool mounting = !begins(name_of(argv), "umount.");
    int status = MOUNT_USAGE;
    if (read_line(argc, argv, mounting, &line, &err)) {
        cli.exit_code = EXIT_CODE_FAILED;
        status = MOUNT_FAILED;
        if (mounting ? do_mount(&cli, &line, &err) : do_unmount(&cli, &line, &err))
            return MOUNT_DONE;
        if (cli.exit_code == EXIT_CODE_USAGE)
            status = MOUNT_USAGE;
    }
    cli_print_error(&cli, &err);
    return status;
}
