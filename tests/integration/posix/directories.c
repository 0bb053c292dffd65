/* SPDX-License-Identifier: Apache-2.0 */
/* A directory can be read on, backwards and again, while it changes: TAP.
 * usage: directories EMPTY-DIRECTORY */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 500

static unsigned tests, failures;

static void
result(bool good, const char *words)
{
    printf("%sok %u - %s\n", good ? "" : "not ", ++tests, words);
    failures += !good;
}

static void
make(const char *kind, unsigned number)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s%03u", kind, number);
    int fd = open(name, O_CREAT | O_WRONLY, 0644);
    assert(fd >= 0);
    (void)close(fd);
}

static void
drop(const char *kind, unsigned number)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s%03u", kind, number);
    assert(unlink(name) == 0);
}

/* Counts what is read from now on; by number of the names that begin with 'f'. */
static unsigned
read_rest(DIR *dir, unsigned char *seen)
{
    unsigned count = 0;
    const struct dirent *entry = NULL;
    while ((entry = readdir(dir)) != NULL) {
        count++;
        if (entry->d_name[0] == 'f')
            seen[strtoul(entry->d_name + 1, NULL, 10)]++;
    }
    return count;
}

static bool
each_once(const unsigned char *seen, unsigned step)
{
    for (unsigned i = 0; i < FILES; i += step) {
        if (seen[i] != 1)
            return false;
    }
    return true;
}

static void
test_changes(DIR *dir)
{
    unsigned char seen[FILES] = {0};
    for (unsigned i = 0; i < 10; i++) {
        const struct dirent *entry = readdir(dir);
        if (entry->d_name[0] == 'f')
            seen[strtoul(entry->d_name + 1, NULL, 10)]++;
    }
    for (unsigned i = 0; i < FILES; i++) {
        if (i % 2 == 1)
            drop("f", i);
        make("n", i);
    }
    (void)read_rest(dir, seen);
    result(each_once(seen, 2), "what stays is read once, while half is removed and as much made");
    rewinddir(dir);
    memset(seen, 0, sizeof seen);
    unsigned count = read_rest(dir, seen);
    result(count == FILES + FILES / 2 + 2 && each_once(seen, 2), "rewinddir reads it as it is now");
}

static void
test_positions(DIR *dir)
{
    long places[FILES];
    char names[FILES][256];
    unsigned count = 0;
    rewinddir(dir);
    while (count < FILES) {
        places[count] = telldir(dir);
        const struct dirent *entry = readdir(dir);
        assert(entry != NULL);
        memcpy(names[count++], entry->d_name, strlen(entry->d_name) + 1);
    }
    bool same = true;
    for (unsigned step = 0; step < FILES; step++) {
        unsigned at = step * 197 % FILES;
        seekdir(dir, places[at]);
        const struct dirent *entry = readdir(dir);
        same = same && entry != NULL && strcmp(entry->d_name, names[at]) == 0;
    }
    result(same, "seekdir goes to each place that telldir gave");
    DIR *other = opendir(".");
    seekdir(other, places[FILES / 2]);
    const struct dirent *entry = readdir(other);
    result(entry != NULL && strcmp(entry->d_name, names[FILES / 2]) == 0,
           "a place is good in another opening");
    drop("f", 0);
    seekdir(dir, places[FILES / 2]);
    entry = readdir(dir);
    result(entry != NULL && strcmp(entry->d_name, names[FILES / 2]) == 0,
           "a place is good after a removal before it");
    (void)closedir(other);
}

/* A name that exists all the time, though another file takes it again and again, is always found.
 */
static void
test_replacing(void)
{
    bool found = true;
    make("f", 0);
    for (unsigned round = 0; round < 50; round++) {
        unsigned char seen[FILES] = {0};
        DIR *dir = opendir(".");
        for (unsigned i = 0; i < round * 5; i++)
            (void)readdir(dir);
        make("t", round);
        char name[64];
        (void)snprintf(name, sizeof name, "t%03u", round);
        assert(rename(name, "f002") == 0);
        (void)read_rest(dir, seen);
        rewinddir(dir);
        (void)read_rest(dir, seen);
        found = found && seen[2] >= 1;
        (void)closedir(dir);
    }
    result(found, "a name that is replaced while the directory is read does not vanish");
}

static void
test_types(void)
{
    bool good = true, found = false;
    assert(mkdir("dir", 0755) == 0 && symlink("x", "link") == 0 && mkfifo("fifo", 0600) == 0);
    DIR *dir = opendir(".");
    const struct dirent *entry = NULL;
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;
        assert(fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
        good = good && IFTODT(st.st_mode) == entry->d_type &&
               (entry->d_ino == st.st_ino || strcmp(entry->d_name, "..") == 0);
        found = found || entry->d_type == DT_FIFO;
    }
    (void)closedir(dir);
    result(good && found, "types and inode numbers of entries are those of the files");
}

int
main(int count, char **arguments)
{
    if (count != 2 || chdir(arguments[1]) != 0)
        return 2;
    for (unsigned i = 0; i < FILES; i++)
        make("f", i);
    DIR *dir = opendir(".");
    assert(dir != NULL);
    test_changes(dir);
    test_positions(dir);
    (void)closedir(dir);
    test_replacing();
    test_types();
    printf("1..%u\n", tests);
    return failures == 0 ? 0 : 1;
}
