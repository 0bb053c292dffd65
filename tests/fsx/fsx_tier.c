/* SPDX-License-Identifier: Apache-2.0 */
/* fsx_tier.c - what only an archive can do, by a script that is given a word and a path. */
#include "fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exit status of the script. */
static int
run_script(struct fsx *f, const char *word, const char *path)
{
    pid_t child = fork();
    int status = 0;
    if (child < 0)
        fsx_fail_system(f, "fork");
    if (child == 0) {
        (void)execl(f->tier_script, f->tier_script, word, path, (char *)NULL);
        _exit(127);
    }
    if (waitpid(child, &status, 0) != child)
        fsx_fail_system(f, "wait for the script");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Exit 1 is a refusal, as of a file that is open; nothing may have changed, whichever it was. */
void
fsx_do_tier(struct fsx *f)
{
    static const char *const words[] = {"archive", "release", "queue",   "recall",
                                        "down",    "up",      "release", "archive"};
    char path[4200];
    const char *word = words[fsx_random(f, sizeof words / sizeof words[0])];
    int name = fsx_chance(f, 2) ? fsx_pick_name(f, true) : -1;
    bool closed = !fsx_chance(f, 3);
    if (f->tier_script == NULL)
        return;
    fsx_say(f, "%s '%s'%s", word, name < 0 ? "." : fsx_name(name), closed ? " (closed)" : "");
    if (closed) /* open files are not moved or released */
        fsx_drop_users(f, name < 0 ? NULL : f->names[name]);
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name < 0 ? "." : fsx_name(name));
    int status = run_script(f, word, path);
    if (status > 1)
        fsx_fail(f, "the script answers '%s' with %d", word, status);
    for (int i = 0; i < FSX_NAMES; i++) {
        if (f->names[i] != NULL)
            fsx_check_stat(f, f->names[i], FSX_SAME);
    }
}

static void
sync_all(struct fsx *f)
{
    for (int i = 0; i < FSX_NAMES; i++) {
        if (f->names[i] == NULL)
            continue;
        int fd = openat(f->dir_fd, fsx_name(i), O_RDONLY);
        if (fd < 0 || fsync(fd) != 0)
            fsx_fail_system(f, "sync before the end");
        (void)close(fd);
        f->names[i]->loose = false;
        fsx_check_stat(f, f->names[i], FSX_MAYBE);
    }
    if (fsync(f->dir_fd) != 0)
        fsx_fail_system(f, "sync of the directory");
}

static void
end_and_begin(struct fsx *f, const char *word)
{
    fsx_drop_users(f, NULL);
    for (int i = 0; i < FSX_NAMES; i++) { /* mappings are written back when they go */
        if (f->names[i] != NULL)
            fsx_check_stat(f, f->names[i], FSX_SAME);
    }
    if (strcmp(word, "crash") == 0)
        sync_all(f);
    (void)close(f->dir_fd);
    int status = run_script(f, word, f->dir);
    if (status != 0)
        fsx_fail(f, "the script answers '%s' with %d", word, status);
    f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY);
    if (f->dir_fd < 0)
        fsx_fail_system(f, "open the directory again");
    fsx_check_all(f);
}

void
fsx_do_remount(struct fsx *f)
{
    if (f->tier_script == NULL || !f->remounts)
        return;
    fsx_say(f, "remount");
    end_and_begin(f, "remount");
}

void
fsx_do_crash(struct fsx *f)
{
    if (f->tier_script == NULL || !f->remounts)
        return;
    fsx_say(f, "sync, kill -9, mount again");
    end_and_begin(f, "crash");
}
